/** Chooses what a region consists of: blocks of one page that lead to each other and have run, from a hot one on. */
import { decode, decodeLong, type Executable } from '../../../target/x86/decode/decoder.ts';
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { type Block, type BlockCache, MODE, MODE_SHIFT } from '../blocks.ts';
import { RECORD } from '../interpreter/layout.ts';
import { quickOf } from './region-ops.ts';
import { type Structure, structure } from './structure.ts';
import { type Traits, traitsOf } from './traits.ts';

/** Larger regions take longer to compile, in both tiers of V8, than they gain. */
export const LIMIT = { blocks: 20, instructions: 160 } as const;
/** From this size on a region does not take in code that is compiled already. */
const ABSORB = 40;
/** Conditional and unconditional relative branches. */
const RELATIVE = /^(j(mp|cxz|n?[obzsplc]|n?be|n?le)|call|loop(n?e)?)$/;

export interface PlannedInsn {
  readonly d: Executable;
  readonly traits: Traits;
  /** First record of the instruction: where the interpreter goes on with it. */
  readonly record: number;
  /** Offset in the block. */
  readonly pc: number;
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
  /** It leads to the page of the region. */
  readonly isInside: boolean;
  /** 16-bit code: a branch with 16-bit operands that is taken cuts EIP. Inside the region that changes nothing: it was looked at
   *  as the region was entered. */
  readonly isCut: boolean;
}
export interface PlannedBlock {
  readonly block: Block;
  /** EIP of its start relative to the region's first block. */
  readonly delta: number;
  readonly insns: PlannedInsn[];
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
export interface Plan {
  readonly blocks: PlannedBlock[];
  readonly mode: number;
  readonly structure: Structure;
  readonly instructions: number;
}

/** Lock-step does everything twice: what may be done only once stays out of regions. */
function isOnce(d: Executable, traits: Traits, isLong: boolean): boolean {
  return traits.calls || quickOf(d, isLong) !== undefined || /^(movs|stos|rdtscp?)$/.test(d.instruction.name);
}

/** The instructions of a decoded block with their records, or null when it cannot be part of a region. */
function planBlock(
  arena: RamArena,
  cache: BlockCache,
  block: Block,
  delta: number,
  page: number,
  isTwice: boolean,
): PlannedBlock | null {
  if (block.second >= 0) return null;
  const mode = block.key % MODE_SHIFT;
  const isLong = (mode & MODE.code64) !== 0;
  const is16 = (mode & (MODE.code32 | MODE.code64)) === 0;
  const { bytes } = arena;
  const insns: PlannedInsn[] = [];
  const end = block.start + block.length;
  let at = block.start;
  let record = block.record + RECORD.bytes;
  let ends: PlannedBlock['ends'] = 'on';
  let stopRecord = 0;
  let last: Executable | null = null;
  for (let index = 0; at < end; index++) {
    const d = isLong
      ? decodeLong(bytes, at, page + 4096, cache.longMaps)
      : decode(bytes, at, page + 4096, (mode & MODE.code32) !== 0, cache.maps);
    if (!d) return null;
    while (cache.index(record) !== index || cache.pc(record) !== at - block.start) {
      record += RECORD.bytes;
      if (record >= block.end) return null;
    }
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
    insns.push({ d, traits, record, pc: at - block.start, flagsNeeded: false });
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
    insns,
    count: cache.index(block.end - RECORD.bytes) + 1,
    ends,
    stopRecord,
    edges,
    returns: [],
    needsFlags: false,
  };
}

/** `isWarm`: whether a block has run often enough to be taken along. `isHead`: whether a region begins with it. `isTwice`: the region will
 *  be run in lock-step. */
export function planRegion(
  arena: RamArena,
  cache: BlockCache,
  head: Block,
  isWarm: (block: Block) => boolean,
  isHead: (block: Block) => boolean,
  isTwice = false,
): Plan | null {
  const mode = head.key % MODE_SHIFT;
  const page = (head.start & ~0xfff) >>> 0;
  const first = planBlock(arena, cache, head, 0, page, isTwice);
  if (!first || (first.ends === 'stop' && first.insns.length === 0)) return null;
  const blocks = [first];
  const byStart = new Map<number, number>([[head.start, 0]]);
  let instructions = first.insns.length;
  const visit = (start: number): number => {
    const known = byStart.get(start);
    if (known !== undefined) return known;
    if (blocks.length >= LIMIT.blocks || instructions >= LIMIT.instructions) return -1;
    const block = cache.find(start, mode);
    if (!block || !isWarm(block)) return -1;
    if (instructions > ABSORB && isHead(block)) return -1;
    const planned = planBlock(arena, cache, block, block.start - head.start, page, isTwice);
    if (!planned || planned.insns.length === 0) return -1;
    byStart.set(start, blocks.length);
    instructions += planned.insns.length;
    return blocks.push(planned) - 1;
  };
  const returnSites: number[] = [];
  for (let i = 0; i < blocks.length; i++) {
    const b = blocks[i]!;
    for (const e of b.edges) if (e.isInside) e.target = visit(head.start + e.delta);
    const isCall = b.ends === 'relative' && b.insns.at(-1)!.d.instruction.name === 'call';
    if (isCall && b.edges[0]!.target >= 0) {
      const site = visit(b.block.start + b.block.length);
      if (site >= 0 && !returnSites.includes(site)) returnSites.push(site);
    }
  }
  for (const b of blocks) {
    const name = b.insns.at(-1)?.d.instruction.name;
    if (b.ends === 'indirect' && (name === 'ret' || name === 'retI')) b.returns = returnSites.slice(0, 4);
  }
  const shape = structure(
    blocks.map((b) => [...b.edges.filter((e) => e.target >= 0).map((e) => e.target), ...b.returns]),
  );
  for (const [from, to] of shape.cut) {
    const b = blocks[from]!;
    for (const e of b.edges) if (e.target === to) e.target = -1;
    b.returns = b.returns.filter((site) => site !== to);
  }
  analyseFlags(blocks, shape);
  return { blocks, mode, structure: shape, instructions };
}

/** Where flags have to be right: before whatever reads them or may leave. */
function analyseFlags(blocks: readonly PlannedBlock[], shape: Structure): void {
  const decided = blocks.map((b, i): boolean | null => {
    for (const { traits } of b.insns) {
      if (traits.readsFlags || traits.exits) return true;
      if (traits.writesAllFlags) return false;
    }
    // Indirect jumps and stops leave at once.
    if (b.ends === 'stop' || b.ends === 'indirect') return true;
    // Where a loop goes round, time may be up.
    return b.edges.some((e) => e.target < 0 || shape.isBackEdge(i, e.target)) ? true : null;
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
