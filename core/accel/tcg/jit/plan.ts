/** Chooses what a region consists of: blocks of one page that lead to each other and have run, from a hot one on. */
import { decode, decodeLong, type Executable, type OpcodeMaps, read32 } from '../../../target/x86/decode/decoder.ts';
import { displacementField, immediateField } from '../address-fields.ts';
import { type Block, isRelocated, MODE } from '../blocks.ts';
import { RECORD } from '../interpreter/layout.ts';
import { quickOf } from './region-ops.ts';
import { type RegionShape, regionShape } from './region-shape.ts';
import { type Traits, traitsOf } from './traits.ts';

/** Larger regions take longer to compile, in both tiers of V8, than they gain. */
export const LIMIT = { blocks: 32, instructions: 256 } as const;
/** Code at which another region begins is copied into a region up to so many instructions, to where it leaves or other regions
 *  begin: V8's optimiser has too much to do as it is. */
const ABSORB = 16;
/** Places where one region is entered. */
const MAX_ENTRIES = 8;
/** Places that a return inside a region is compared with. */
const MAX_RETURNS = 4;
/** Conditional and unconditional relative branches. */
const RELATIVE = /^(j(mp|cxz|n?[obzsplc]|n?be|n?le)|call|loop(n?e)?)$/;

/** What of a decoded block (blocks.ts) it takes to plan. */
export type CodeBlock = Pick<Block, 'record' | 'end' | 'mode' | 'start' | 'length' | 'second' | 'key'>;
/** Where blocks and what they were decoded from are found. */
export interface CodeSource {
  readonly bytes: Uint8Array;
  readonly maps: OpcodeMaps | undefined;
  readonly longMaps: OpcodeMaps | undefined;
  /** A block that has run often enough to be taken along. */
  findWarm(start: number, mode: number): CodeBlock | undefined;
  /** Whether a region begins with it. */
  isHead(block: CodeBlock): boolean;
  /** Whether each of its accesses is looked up by itself. */
  isApart(block: CodeBlock): boolean;
  /** Where in the arena the code of a page lies that is so many linear pages behind that of a region's first block; -1: unknown. What
   *  is mapped there may change: the region looks when it gets there. */
  pageAt(head: CodeBlock, distance: number): number;
  /** Of a record: number of its instruction in the block, and that one's offset. */
  index(record: number): number;
  pc(record: number): number;
}

/** An address in a block's code. */
export interface PlannedField {
  readonly offset: number;
  readonly value: number;
}
export interface PlannedInsn {
  readonly d: Executable;
  readonly traits: Traits;
  /** First record of the instruction: where the interpreter goes on with it. */
  readonly record: number;
  /** Offset in the block. */
  readonly pc: number;
  /** Displacement and immediate where they may differ another time. */
  readonly displacement: PlannedField | null;
  readonly immediate: PlannedField | null;
  /** Its flags must be in place before the next instruction that writes all of them: something may leave before. */
  flagsNeeded: boolean;
}
/** A way out of a block that the code says. */
export interface PlannedEdge {
  /** Block of the region, or -1. */
  target: number;
  /** EIP relative to the region's first block. */
  readonly delta: number;
  /** Address of the word with the record where the interpreter goes on; 0: it looks the address up. */
  readonly slot: number;
  /** It leads to the block's own page. */
  readonly isInside: boolean;
  /** 16-bit code: a branch with 16-bit operands that is taken cuts EIP. Inside the region that changes nothing: it was looked at
   *  as the region was entered. */
  readonly isCut: boolean;
}
export interface PlannedBlock {
  readonly block: CodeBlock;
  /** EIP of its start relative to the region's first block. */
  readonly delta: number;
  /** Linear page relative to that of the first block. */
  readonly page: number;
  /** Each of its accesses is looked up by itself. */
  readonly isApart: boolean;
  readonly insns: PlannedInsn[];
  /** All such addresses, of the last instruction's too if the interpreter does it. */
  readonly fields: readonly PlannedField[];
  /** What to pay when it is done. */
  readonly count: number;
  /** `stop`: the last instruction is not in `insns`, the interpreter goes on with it. */
  readonly ends: 'stop' | 'relative' | 'indirect' | 'on';
  readonly stopRecord: number;
  /** Taken or only way first, then the way straight on. */
  readonly edges: PlannedEdge[];
  /** Blocks behind a call, if this one ends in a return. */
  returns: number[];
  needsFlags: boolean;
}
/** Whether the way from one block to another leads to a page that has to be looked at: the first block's need not. */
export const crossesPage = (from: PlannedBlock, to: PlannedBlock) => to.page !== 0 && to.page !== from.page;

export interface Plan {
  readonly blocks: PlannedBlock[];
  /** Blocks where the region is entered; the first is the head's. All are in the head's page. */
  readonly entries: readonly number[];
  readonly mode: number;
  readonly shape: RegionShape;
  readonly instructions: number;
}

const lastName = (b: PlannedBlock) => b.insns.at(-1)?.d.instruction.name;
const isCall = (b: PlannedBlock) => b.ends === 'relative' && lastName(b) === 'call';
/** Whether what follows is entered from outside, once that is done to which the block leads. */
const comesBack = (b: PlannedBlock) => b.ends === 'stop' || (b.ends === 'indirect' && lastName(b) === 'callE');
const isReturn = (b: PlannedBlock) => b.ends === 'indirect' && /^ret(I)?$/.test(lastName(b) ?? '');
/** Where the block's code ends. */
const behind = (b: PlannedBlock) => b.delta + b.block.length;

/** Lock-step does everything twice: what may be done only once stays out of regions. */
function isOnce(d: Executable, traits: Traits, isLong: boolean): boolean {
  return traits.calls || quickOf(d, isLong) !== undefined || /^(movs|stos|rdtscp?)$/.test(d.instruction.name);
}

/** The instructions of a decoded block with their records, or null when it cannot be part of a region. */
function planBlock(
  source: CodeSource,
  block: CodeBlock,
  delta: number,
  pageDistance: number,
  isTwice: boolean,
): PlannedBlock | null {
  if (block.second >= 0) return null;
  const page = (block.start & ~0xfff) >>> 0;
  const mode = block.mode;
  const isLong = (mode & MODE.code64) !== 0;
  const is16 = (mode & (MODE.code32 | MODE.code64)) === 0;
  const { bytes } = source;
  const insns: PlannedInsn[] = [];
  const fields: PlannedField[] = [];
  const end = block.start + block.length;
  let at = block.start;
  let record = block.record + RECORD.bytes;
  let ends: PlannedBlock['ends'] = 'on';
  let stopRecord = 0;
  let last: Executable | null = null;
  for (let index = 0; at < end; index++) {
    const d = isLong
      ? decodeLong(bytes, at, page + 4096, source.longMaps)
      : decode(bytes, at, page + 4096, (mode & MODE.code32) !== 0, source.maps);
    if (!d) return null;
    while (source.index(record) !== index || source.pc(record) !== at - block.start) {
      record += RECORD.bytes;
      if (record >= block.end) return null;
    }
    const pc = at - block.start;
    const fieldAt = (offset: number): PlannedField | null => {
      if (offset === 0 || !isRelocated(mode)) return null;
      const field = { offset: pc + offset, value: read32(bytes, block.start + pc + offset) };
      fields.push(field);
      return field;
    };
    const displacement = fieldAt(displacementField(d, bytes, at));
    const immediate = fieldAt(immediateField(d, bytes, at));
    const traits = traitsOf(d, mode);
    // Quick transfers are those of 32-bit gates and stacks: 16-bit code would leave all of them anyway.
    const isQuick = quickOf(d, isLong) && !(d.instruction.transfers && is16);
    // A branch of other code that cuts RIP leads to where hardly anything is.
    const isOdd = d.opSize === 16 && !is16 && RELATIVE.test(d.instruction.name);
    const isLeft = (d.instruction.ends === 'system' && !isQuick) || isOdd || d.instruction.name === 'invalid';
    if (isLeft || (isTwice && isOnce(d, traits, isLong))) {
      ends = 'stop';
      stopRecord = record;
      break;
    }
    insns.push({ d, traits, record, pc, displacement, immediate, flagsNeeded: false });
    at += d.length;
    last = d;
  }
  const edges: PlannedEdge[] = [];
  const pageDelta = page - block.start;
  const edge = (distance: number, slot: number, isCut = false) => {
    const isInside = distance >= pageDelta && distance < pageDelta + 4096;
    edges.push({ target: -1, delta: delta + distance, slot: isInside ? slot : 0, isInside, isCut });
  };
  if (ends !== 'stop') {
    const isLast = last?.instruction.ends === 'jump';
    if (isLast && RELATIVE.test(last!.instruction.name)) {
      ends = 'relative';
      const isConditional = last!.instruction.name !== 'jmp' && last!.instruction.name !== 'call';
      const branch = block.end - (isConditional ? 3 : 2) * RECORD.bytes;
      edge(block.length + last!.distance, branch + RECORD.imm2, last!.opSize === 16);
      if (isConditional) edge(block.length, branch + RECORD.bytes + RECORD.imm2);
    } else if (isLast || last?.instruction.transfers) ends = 'indirect';
    else if (last && quickOf(last, isLong)) {
      // What follows is found through the jump cache, or is part of the region.
      ends = 'on';
      edge(block.length, 0);
    } else edge(block.length, block.end - 2 * RECORD.bytes + RECORD.imm2);
  }
  return {
    block,
    delta,
    page: pageDistance,
    isApart: source.isApart(block),
    insns,
    fields,
    count: source.index(block.end - RECORD.bytes) + 1,
    ends,
    stopRecord,
    edges,
    returns: [],
    needsFlags: false,
  };
}

/** `isTwice`: the region will be run in lock-step. */
export function planRegion(source: CodeSource, head: CodeBlock, isTwice = false): Plan | null {
  const planner = new Planner(source, head, isTwice);
  const { blocks, entries, comings } = planner;
  if (!planner.plan()) return null;
  const successors = blocks.map((b, i) => {
    const list = [...b.edges.filter((e) => e.target >= 0).map((e) => e.target), ...b.returns];
    return comings.has(i) ? [...list, comings.get(i)!] : list;
  });
  const shape = regionShape(successors, entries);
  for (const [from, to] of shape.cut) {
    const b = blocks[from]!;
    for (const e of b.edges) if (e.target === to) e.target = -1;
    b.returns = b.returns.filter((site) => site !== to);
  }
  analyseFlags(blocks, shape);
  return { blocks, entries, mode: head.mode, shape, instructions: planner.instructions };
}

/** Functions that are called from a region become part of it when they are not larger. */
const INLINE = { blocks: 8, instructions: 48, depth: 3 } as const;

class Planner {
  readonly blocks: PlannedBlock[] = [];
  readonly entries: number[] = [0];
  /** Where code comes back that a block leads out to. */
  readonly comings = new Map<number, number>();
  instructions = 0;
  private readonly source: CodeSource;
  private readonly head: CodeBlock;
  private readonly mode: number;
  private readonly isTwice: boolean;
  private readonly byDelta = new Map<number, number>();
  /** What planBlock said. */
  private readonly planned = new Map<number, PlannedBlock | null>();
  /** Code of other pages may be part of the region. */
  private readonly leavesPage: boolean;

  constructor(source: CodeSource, head: CodeBlock, isTwice: boolean) {
    this.source = source;
    this.head = head;
    this.mode = head.mode;
    this.isTwice = isTwice;
    const isWhole = (this.mode & (MODE.code64 | MODE.code32)) !== 0 && (this.mode & (MODE.limited | MODE.narrow)) === 0;
    this.leavesPage = isWhole;
  }
  plan(): boolean {
    const { blocks, head } = this;
    const first = planBlock(this.source, head, 0, 0, this.isTwice);
    if (!first || (first.ends === 'stop' && first.insns.length === 0)) return false;
    this.take(0, first);
    const sites: number[] = [];
    for (let i = 0; i < blocks.length; i++) {
      const b = blocks[i]!;
      if (isCall(b)) {
        if (this.leavesPage && this.inline(b)) continue;
        const callee = b.edges[0]!;
        // A function that calls itself stays inside.
        if (!this.leavesPage && callee.isInside) callee.target = this.visit(callee.delta);
        else callee.target = this.byDelta.get(callee.delta) ?? -1;
        const site = callee.target < 0 ? -1 : this.visit(behind(b));
        if (site >= 0 && !sites.includes(site)) sites.push(site);
        if (callee.target < 0 && this.leavesPage) this.comeBack(i);
        continue;
      }
      for (const e of b.edges) if (e.target < 0) e.target = this.visit(e.delta);
      if (this.leavesPage && comesBack(b)) this.comeBack(i);
    }
    for (const b of blocks) if (isReturn(b) && b.returns.length === 0) b.returns = sites.slice(0, MAX_RETURNS);
    return true;
  }
  private take(delta: number, planned: PlannedBlock): number {
    this.byDelta.set(delta, this.blocks.length);
    this.instructions += planned.insns.length;
    return this.blocks.push(planned) - 1;
  }
  private find(delta: number): PlannedBlock | null {
    const known = this.planned.get(delta);
    if (known !== undefined) return known;
    const { source, head } = this;
    const inPage = (head.start & 0xfff) + delta;
    const page = Math.floor(inPage / 4096);
    const base = page === 0 ? (head.start & ~0xfff) >>> 0 : this.leavesPage ? source.pageAt(head, page) : -1;
    const block = base < 0 ? undefined : source.findWarm(base + (inPage - page * 4096), this.mode);
    const found = block ? planBlock(source, block, delta, page, this.isTwice) : null;
    const planned = found && found.insns.length > 0 ? found : null;
    this.planned.set(delta, planned);
    return planned;
  }
  /** The number of the block in the region, or -1: it has no place there. */
  private visit(delta: number): number {
    const known = this.byDelta.get(delta);
    if (known !== undefined) return known;
    if (this.isFull) return -1;
    const planned = this.find(delta);
    if (!planned || (this.source.isHead(planned.block) && !this.isTail(planned))) return -1;
    return this.take(delta, planned);
  }
  private get isFull(): boolean {
    return this.blocks.length >= LIMIT.blocks || this.instructions >= LIMIT.instructions;
  }
  /** Whether there is little from the head of another region on, until code leaves. */
  private isTail(head: PlannedBlock): boolean {
    let left = ABSORB;
    const seen = new Set<PlannedBlock>();
    const waiting = [head];
    for (let planned = waiting.pop(); planned; planned = waiting.pop()) {
      if (seen.has(planned)) continue;
      seen.add(planned);
      left -= planned.insns.length;
      if (left < 0) return false;
      for (const { delta } of planned.edges) {
        if (this.byDelta.has(delta)) continue;
        const next = this.find(delta);
        if (next && !this.source.isHead(next.block)) waiting.push(next);
      }
    }
    return true;
  }
  /** Makes the code behind a block that leaves the region an entry, so that the region goes on there. */
  private comeBack(from: number): void {
    const delta = behind(this.blocks[from]!);
    const inPage = (this.head.start & 0xfff) + delta;
    if (inPage < 0 || inPage >= 4096) return;
    let index = this.byDelta.get(delta);
    if (index === undefined || !this.entries.includes(index)) {
      if (this.entries.length >= MAX_ENTRIES) return;
      const planned = index === undefined ? this.find(delta) : this.blocks[index]!;
      if (!planned || this.source.isHead(planned.block)) return;
      if (index === undefined) {
        if (this.isFull) return;
        index = this.take(delta, planned);
      }
      this.entries.push(index);
    }
    this.comings.set(from, index);
  }
  /** Takes the function that a block calls with it, if it is small and comes back. Gives whether it did. */
  private inline(caller: PlannedBlock): boolean {
    const size = { blocks: 0, instructions: 0 };
    const callee = this.functionAt(caller.edges[0]!.delta, size, 1);
    if (!callee) return false;
    if (this.blocks.length + size.blocks > LIMIT.blocks + INLINE.blocks) return false;
    if (this.instructions + size.instructions > LIMIT.instructions + INLINE.instructions) return false;
    return this.link(caller, callee);
  }
  /** Blocks of a function by where they begin; null: too large, or not all of it is known. */
  private functionAt(
    entry: number,
    size: { blocks: number; instructions: number },
    depth: number,
  ): ReadonlyMap<number, PlannedBlock> | null {
    const members = new Map<number, PlannedBlock>();
    const waiting = [entry];
    let returns = false;
    for (let delta = waiting.pop(); delta !== undefined; delta = waiting.pop()) {
      if (members.has(delta)) continue;
      const planned = this.find(delta);
      if (!planned) {
        // What seldom runs may stay outside.
        if (delta === entry) return null;
        continue;
      }
      members.set(delta, planned);
      if (!this.byDelta.has(delta)) {
        size.blocks++;
        size.instructions += planned.insns.length;
      }
      if (size.blocks > INLINE.blocks || size.instructions > INLINE.instructions) return null;
      if (isReturn(planned)) returns = true;
      else if (isCall(planned)) {
        if (depth >= INLINE.depth || !this.functionAt(planned.edges[0]!.delta, size, depth + 1)) return null;
        waiting.push(behind(planned));
      } else if (planned.ends === 'indirect' || planned.ends === 'stop') return null;
      else waiting.push(...planned.edges.map((e) => e.delta));
    }
    return returns ? members : null;
  }
  /** Makes a function's blocks part of the region: the call leads there, its returns behind the call. */
  private link(caller: PlannedBlock, callee: ReadonlyMap<number, PlannedBlock>): boolean {
    const site = this.visit(behind(caller));
    if (site < 0) return false;
    for (const [delta, planned] of callee) if (!this.byDelta.has(delta)) this.take(delta, planned);
    caller.edges[0]!.target = this.byDelta.get(caller.edges[0]!.delta)!;
    let isLinked = true;
    for (const b of callee.values()) {
      if (!isReturn(b) || b.returns.includes(site)) continue;
      if (b.returns.length < MAX_RETURNS) b.returns.push(site);
      else isLinked = false;
    }
    if (!isLinked) this.comeBack(this.byDelta.get(caller.delta)!);
    return true;
  }
}

/** Where flags have to be right: before whatever reads them or may leave. */
function analyseFlags(blocks: readonly PlannedBlock[], shape: RegionShape): void {
  const decided = blocks.map((b, i): boolean | null => {
    for (const { traits } of b.insns) {
      if (traits.readsFlags || traits.exits) return true;
      if (traits.writesAllFlags) return false;
    }
    // Indirect jumps and stops leave at once.
    if (b.ends === 'stop' || b.ends === 'indirect') return true;
    // Where a loop goes round, time may be up; another page may be mapped elsewhere.
    const leaves = (e: PlannedEdge) =>
      e.target < 0 || crossesPage(b, blocks[e.target]!) || shape.isBackEdge(i, e.target);
    return b.edges.some(leaves) ? true : null;
  });
  blocks.forEach((b, i) => {
    b.needsFlags = decided[i] ?? false;
  });
  for (let changed = true; changed; ) {
    changed = false;
    blocks.forEach((b, i) => {
      if (decided[i] !== null || b.needsFlags) return;
      if (!b.edges.some((e) => blocks[e.target]!.needsFlags)) return;
      b.needsFlags = true;
      changed = true;
    });
  }
  for (const { insns } of blocks) {
    let needed = false;
    for (let i = insns.length - 1; i >= 0; i--) {
      const { traits } = insns[i]!;
      insns[i]!.flagsNeeded = needed || traits.calls;
      if (traits.exits) needed = true;
      else if (traits.writesAllFlags) needed = false;
    }
  }
}
