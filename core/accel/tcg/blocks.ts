/** Decoded blocks: records in linear memory, found by where the code is in the arena and the CPU mode. */
import {
  decode,
  decodeLong,
  type Executable,
  MAX_LENGTH,
  type OpcodeMaps,
  RIP_BASE,
} from '../../target/x86/decode/decoder.ts';
import { EXECUTABLE, INSTRUCTIONS } from '../../target/x86/semantics/index.ts';
import { DS, ES, FIELDS, FS, SEGMENT, SS } from '../../target/x86/state.ts';
import type { RamArena } from '../../target/x86/system-ops.ts';
import { displacementField, immediateField } from './address-fields.ts';
import { formCode, formKey } from './interpreter/forms.ts';
import { SPECIAL, type SpecialName, specialNames } from './interpreter/generate.ts';
import { RECORD } from './interpreter/layout.ts';
import { blockKey, KNOWN, type KnownBlocks } from './known-blocks.ts';

/** What decoded code depends on besides its bytes. `limited`: CS has a limit below 4 GiB, `narrow`: even one below 64 KiB, where
 *  targets of 16 bits may lie beyond it. */
export const MODE = {
  code32: 1,
  flatStack: 2,
  flatData: 4,
  user: 8,
  single: 16,
  code64: 32,
  limited: 64,
  narrow: 128,
} as const;
/** Whether a near jump has to look at the limit of CS. */
export const isLimited = (mode: number, opSize: number) => (mode & (opSize === 16 ? MODE.narrow : MODE.limited)) !== 0;

/** Code whose addresses may differ from one start to the next: programs are not changed where they are loaded. */
export const isRelocated = (mode: number) => (mode & MODE.user) === 0 && (mode & (MODE.code32 | MODE.code64)) !== 0;

/** Chains of blocks by where they begin, and by the mode. */
const CHAIN_BITS = 15;
const CHAIN_MASK = (1 << CHAIN_BITS) - 1;
const chainOf = (start: number, mode: number) => (start ^ (start >>> CHAIN_BITS) ^ (mode << 7)) & CHAIN_MASK;
const POOL_BYTES = 16 << 20;
/** Room that one block may take: records, stubs. */
const BLOCK_RECORDS = 260;
const MAX_INSTRUCTIONS = 64;
/** Part of the threshold for blocks with a branch backwards or vector instructions. */
const EAGER = 0.4;
/** A block that has run this part of the threshold comes along into a region. */
export const WARM_PART = 40;
/** Runs of a block with which a kept region begins, until it is asked for: at first, and when the rest of the region had not been
 *  decoded by then. */
const KNOWN_RUNS = [8, 64, 512];
/** Instruction offsets are bytes. */
const MAX_OFFSET = 255 - MAX_LENGTH;

/** Straight on; a relative branch, conditional or not, or call; what nobody knows before it runs. */
export const BLOCK_END = { on: 0, jump: 1, branch: 2, call: 3, elsewhere: 4 } as const;
export type BlockEnd = (typeof BLOCK_END)[keyof typeof BLOCK_END];

export interface Block {
  readonly record: number;
  readonly end: number;
  readonly mode: number;
  /** Arena offset and length of the code; a block that crosses into another page has its rest at `second`. */
  readonly start: number;
  readonly length: number;
  readonly second: number;
  /** How the block ends, and where a relative branch leads, relative to the block. */
  readonly ends: BlockEnd;
  readonly target: number;
  isValid: boolean;
  /** blockKey; -1: it does not count its runs. */
  readonly key: number;
  /** Earlier runs began a region with such a block. */
  isKnown: boolean;
  /** How often it has waited for a kept region, if it does; 0: it does not. */
  early: number;
  /** The last job of the compiling thread that it was part of. */
  job: number;
  /** The next block of its chain. */
  next: Block | null;
  /** Compiled regions that contain it. */
  regions: Set<CompiledRegion> | null;
}
/** A conditional branch at its end leads to itself or to what is before it: a loop. */
export const leadsBack = ({ ends, target, length }: Pick<Block, 'ends' | 'target' | 'length'>): boolean =>
  ends === BLOCK_END.branch && target < length;
/** What a block has to undo when its code changes. */
export interface CompiledRegion {
  /** Its blocks, its head first. */
  readonly blocks: readonly Block[];
  /** Those by which it is entered. */
  readonly entries: ReadonlySet<Block>;
  release(): void;
}

/** Finds the handler number of a form, making the handler if need be. */
export interface HandlerSource {
  handler(key: string): number;
  /** Number of a form in the big loop, or -1. */
  hot(key: string): number;
}
const RELATIVE = new Set(INSTRUCTIONS.filter((i) => i.encodings.some((e) => / J[bz]$/.test(e))));
function endOf({ instruction }: Executable): BlockEnd {
  if (!RELATIVE.has(instruction)) return BLOCK_END.elsewhere;
  if (instruction.name === 'jmp') return BLOCK_END.jump;
  return instruction.name === 'call' ? BLOCK_END.call : BLOCK_END.branch;
}
const BIT_TESTS = new Set(INSTRUCTIONS.filter((i) => /^bt[src]?$/.test(i.name)));
const special = Object.fromEntries(SPECIAL.map((name, i) => [name, i])) as Record<SpecialName, number>;
/** Effective-address handlers by address size, whether checked, and index (0: none, else scale + 1). */
const EA = Object.fromEntries(
  [16, 32].map((size) => [
    size,
    ['', 's'].map((checked) =>
      ['', 'x0', 'x1', 'x2', 'x3'].map((i) => special[`ea${size}${checked}${i}` as SpecialName]),
    ),
  ]),
) as Record<16 | 32, number[][]>;
const longSpecial = Object.fromEntries(specialNames(true).map((name, i) => [name, i]));
/** The same of 64-bit code, without and with the base of FS or GS. */
const LONG_EA = Object.fromEntries(
  [32, 64].map((size) => [
    size,
    ['', 'b'].map((base) => ['', 'x0', 'x1', 'x2', 'x3'].map((i) => longSpecial[`ea${size}${base}${i}`]!)),
  ]),
) as Record<32 | 64, number[][]>;
/** Bit mask of the 128-byte parts of a page that a range touches. */
function partsOf(offset: number, length: number): number {
  const first = offset >>> 7;
  const last = Math.min(31, (offset + length - 1) >>> 7);
  return (0xffff_ffff >>> (31 - last)) & (0xffff_ffff << first);
}
const segmentPointer = (index: number) => FIELDS.segments.offset + index * FIELDS.segments.stride;

/** MOV with an offset of 64 bits that does not fit into 32. */
export const isAbsolute = (d: Executable) =>
  d.high !== 0 && d.memory !== null && d.operands.every((o) => o.kind !== 'i');

function isOfVectors({ operands }: Executable): boolean {
  for (let i = 0; i < operands.length; i++) if (operands[i]!.width >= 128) return true;
  return false;
}

interface DroppedBlock {
  readonly block: Block;
  readonly bytes: Uint8Array;
  /** Record addresses and the handlers that stood there. */
  readonly handlers: readonly number[];
}
/** Remembered forms of a block that changes, and of all blocks together: each takes half a kilobyte of V8's heap. */
const VARIANTS = 8;
const REMEMBERED = 16384;

/** Blocks by record. Records come in rising order: a search by halves finds one, without a table that grows by copying itself. */
class ByRecord {
  private records = new Uint32Array(1 << 12);
  private readonly blocks: (Block | null)[] = [];
  /** How many there are. */
  size = 0;

  /** The last place whose record is not behind this one; -1: there is none. */
  private placeOf(record: number): number {
    const { records } = this;
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (records[middle]! <= record) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
  /** Behind all the others. */
  add(block: Block): void {
    const at = this.blocks.length;
    if (at === this.records.length) {
      const { records } = this;
      this.records = new Uint32Array(2 * at);
      this.records.set(records);
    }
    this.records[at] = block.record;
    this.blocks.push(block);
    this.size++;
  }
  get(record: number): Block | undefined {
    const at = this.placeOf(record);
    return this.records[at] === record ? (this.blocks[at] ?? undefined) : undefined;
  }
  /** The block that holds the record. */
  around(record: number): Block | undefined {
    const block = this.blocks[this.placeOf(record)];
    return block && record < block.end ? block : undefined;
  }
  delete(record: number): void {
    const at = this.placeOf(record);
    if (this.records[at] !== record || this.blocks[at] === null) return;
    this.blocks[at] = null;
    this.size--;
  }
  clear(): void {
    this.blocks.length = 0;
    this.size = 0;
  }
}

export class BlockCache {
  private readonly arena: RamArena;
  private readonly handlers: HandlerSource;
  /** Of 64-bit code, made when some is first decoded. */
  private readonly longHandlers: () => HandlerSource;
  private readonly pool: number;
  private next: number;
  private readonly u8: Uint8Array;
  private readonly u16: Uint16Array;
  private readonly u32: Uint32Array;
  /** By where they begin: an array finds a block several times quicker than a Map, and does not grow. Those that were dropped
   *  stay until their chain gets another. */
  private readonly chains = new Array<Block | null>(CHAIN_MASK + 1).fill(null);
  /** Blocks that a write dropped, by where they begin: code that patches itself tends to come back to what it was. */
  private dropped = new Map<number, DroppedBlock[]>();
  /** The same, oldest first. */
  private readonly remembered = new Set<DroppedBlock>();
  private pages = new Map<number, Block[]>();
  /** For each arena page which of its 32 parts hold decoded code: most writes to a page with code miss it. */
  private readonly parts = new Uint32Array(1 << 20);
  /** Grows when everything was dropped: addresses of records from before are void. */
  generation = 0;
  decoded = 0;
  onPageWithCode: (arenaOffset: number) => void = () => {};
  /** Called before everything is dropped. */
  onClear: () => void = () => {};
  /** Called for a block whose code changes. */
  onDrop: (block: Block) => void = () => {};
  /** Runs of a block until it is worth compiling; 0: never. */
  threshold = 0;
  /** What earlier runs compiled. */
  earlier: KnownBlocks | null = null;
  /** Those that count their runs. */
  private readonly byRecord = new ByRecord();
  /** The instructions that the CPU's model has; all of them without it. */
  maps: OpcodeMaps | undefined;
  longMaps: OpcodeMaps | undefined;

  constructor(arena: RamArena, handlers: HandlerSource, longHandlers: () => HandlerSource) {
    this.arena = arena;
    this.handlers = handlers;
    this.longHandlers = longHandlers;
    this.pool = arena.allocate('cpu-code', POOL_BYTES).offset;
    this.next = this.pool;
    const { buffer } = arena.memory;
    this.u8 = new Uint8Array(buffer, this.pool, POOL_BYTES);
    this.u16 = new Uint16Array(buffer, this.pool, POOL_BYTES / 2);
    this.u32 = new Uint32Array(buffer, this.pool, POOL_BYTES / 4);
  }

  find(start: number, mode: number): Block | undefined {
    for (let block = this.chains[chainOf(start, mode)]!; block; block = block.next!)
      if (block.start === start && block.mode === mode) return block.isValid ? block : undefined;
    return undefined;
  }

  /** The block that begins with this record, if it counts its runs. */
  blockAt(record: number): Block | undefined {
    return this.byRecord.get(record);
  }
  /** The block that counts its runs and holds this record. */
  blockOf(record: number): Block | undefined {
    return this.byRecord.around(record);
  }
  /** A way out behind a block's last instruction. */
  isStub(record: number): boolean {
    const handler = this.half(record, RECORD.handler);
    return handler === special.link || handler === special.find;
  }
  setHandler(record: number, handler: number): void {
    this.u16[(record - this.pool) >>> 1] = handler;
  }
  /** Where the instructions of a block begin: behind the record that counts or leads to compiled code. */
  afterEntry(record: number): number {
    return this.byRecord.get(record) ? record + RECORD.bytes : record;
  }
  /** Runs so far of a block that counts them. */
  runs(block: Block): number {
    return this.threshold - (this.word(block.record, RECORD.imm) | 0);
  }
  /** Lets the first record of a block do something else than count: lead to an entry of a region, whose words are there. */
  setEntry(block: Block, handler: number, entry = 0, words = 0): void {
    const at = block.record - this.pool;
    this.u16[at >>> 1] = handler;
    this.u16[(at + RECORD.a) >>> 1] = entry;
    this.setWord(block.record + RECORD.imm2, words);
  }
  /** Counts again, down from the threshold. */
  resetEntry(block: Block, from = this.threshold): void {
    block.early = 0;
    this.setEntry(block, special.enter);
    this.setWord(block.record + RECORD.imm, from);
  }

  /** Counts again until a kept region may be there, or like any other if it has waited often enough. */
  waitLonger(block: Block): void {
    const { early } = block;
    this.resetEntry(block, KNOWN_RUNS[early] ?? this.threshold);
    if (early < KNOWN_RUNS.length) block.early = early + 1;
  }

  /** Drops every block. */
  clear(): void {
    this.onClear();
    this.byRecord.clear();
    for (const page of this.pages.keys()) {
      this.arena.codePages[page] = 0;
      this.parts[page] = 0;
    }
    this.chains.fill(null);
    this.dropped.clear();
    this.remembered.clear();
    this.pages.clear();
    this.next = this.pool;
    this.generation++;
  }

  /** Fields of a record anywhere in the pool. */
  pc(record: number): number {
    return this.u8[record - this.pool + RECORD.pc]!;
  }
  index(record: number): number {
    return this.u8[record - this.pool + RECORD.index]!;
  }
  word(record: number, field: number): number {
    return this.u32[(record - this.pool + field) >>> 2]!;
  }
  half(record: number, field: number): number {
    return this.u16[(record - this.pool + field) >>> 1]!;
  }
  setWord(address: number, value: number): void {
    this.u32[(address - this.pool) >>> 2] = value;
  }

  private put(handler: number, pc: number, index: number, a: number, b: number, imm: number, imm2: number): number {
    const at = this.next - this.pool;
    this.u16[at >>> 1] = handler;
    this.u8[at + RECORD.pc] = pc;
    this.u8[at + RECORD.index] = index;
    this.u16[(at + RECORD.a) >>> 1] = a;
    this.u16[(at + RECORD.b) >>> 1] = b;
    this.u32[(at + RECORD.imm) >>> 2] = imm;
    this.u32[(at + RECORD.imm2) >>> 2] = imm2;
    this.next += RECORD.bytes;
    return this.next - RECORD.bytes;
  }

  /** Whether so many blocks can be decoded before everything is dropped. */
  hasRoom(blocks: number): boolean {
    return this.next + blocks * BLOCK_RECORDS * RECORD.bytes <= this.pool + POOL_BYTES;
  }
  /** Decodes a block. `start`: arena offset of its code; `linear`: its address. `fetchSecond` gives the arena offset of the next page
   *  (and may fault) for an instruction that crosses. */
  build(start: number, linear: number, mode: number, fetchSecond: () => number): Block {
    const revived = this.revive(start, mode);
    if (revived) return revived;
    if (this.next + BLOCK_RECORDS * RECORD.bytes > this.pool + POOL_BYTES) this.clear();
    const { bytes } = this.arena;
    const isLong = (mode & MODE.code64) !== 0;
    const pageEnd = start - (start % 4096) + 4096;
    const most = mode & MODE.single ? 1 : MAX_INSTRUCTIONS;
    const record = this.next;
    const counts = this.threshold > 0 && most > 1;
    if (counts) this.put(special.enter, 0, 0, 0, 0, this.threshold, 0);
    const limit = this.next;
    if (mode & MODE.limited) this.put(special.limit, 0, 0, mode & MODE.single ? 1 : 0, 0, 0, 0);
    let p = start;
    let count = 0;
    let second = -1;
    let length = 0;
    let ends: BlockEnd = BLOCK_END.on;
    let target = 0;
    let isVector = false;
    const fields: number[] | null = counts && isRelocated(mode) ? [] : null;
    for (;;) {
      let d = this.decodeOne(bytes, p, pageEnd, mode);
      if (!d) {
        if (count > 0) {
          this.goOn(p - start, count, linear, false, isLong);
          break;
        }
        second = fetchSecond();
        this.put(special.split, 0, 0, 0, 0, second, 0);
        const joined = new Uint8Array(2 * MAX_LENGTH);
        joined.set(bytes.subarray(p, pageEnd));
        joined.set(bytes.subarray(second, second + MAX_LENGTH), pageEnd - p);
        d = this.decodeOne(joined, 0, joined.length, mode);
        if (!d) throw new Error('an instruction of at most 15 bytes must decode');
      }
      const offset = p - start;
      if (fields !== null && second < 0) {
        const displacement = displacementField(d, bytes, p);
        if (displacement > 0) fields.push(offset + displacement);
        const immediate = immediateField(d, bytes, p);
        if (immediate > 0) fields.push(offset + immediate);
      }
      p += d.length;
      length = p - start;
      isVector ||= isOfVectors(d);
      if (isLong) this.longInstruction(d, offset, length, count);
      else this.instruction(d, offset, count, mode);
      count++;
      this.decoded++;
      if (d.instruction.ends) {
        this.terminate(d, offset, length, count, linear, second >= 0);
        ends = endOf(d);
        target = length + d.distance;
        break;
      }
      if (count >= most || length > MAX_OFFSET || second >= 0 || p >= pageEnd) {
        this.goOn(length, count, linear, second >= 0, isLong);
        break;
      }
    }
    if (mode & MODE.limited) this.setWord(limit + RECORD.imm, length - 1);
    // What repeats, and what the interpreter is slow at, is compiled sooner.
    if (counts && (isVector || leadsBack({ ends, target, length })))
      this.setWord(record + RECORD.imm, Math.ceil(this.threshold * EAGER));
    const block: Block = {
      record,
      end: this.next,
      mode,
      start,
      length: second >= 0 ? pageEnd - start : length,
      second,
      ends,
      target,
      isValid: true,
      key: counts && second < 0 ? blockKey(bytes, start, length, start & 0xfff, mode, fields ?? undefined) : -1,
      isKnown: false,
      early: 0,
      job: 0,
      next: null,
      regions: null,
    };
    if (counts) {
      this.byRecord.add(block);
      this.recall(block);
    }
    this.enlist(block);
    this.register(block, start, block.length);
    if (second >= 0) this.register(block, second, MAX_LENGTH);
    return block;
  }
  private decodeOne(code: Uint8Array, at: number, end: number, mode: number): Executable | null {
    if (mode & MODE.code64) return decodeLong(code, at, end, this.longMaps);
    return decode(code, at, end, (mode & MODE.code32) !== 0, this.maps);
  }
  /** What earlier runs compiled counts as warm, and is asked for soon where a region begins with it. */
  private recall(block: Block): void {
    const { earlier, threshold } = this;
    const { key, record } = block;
    if (earlier === null || key < 0) return;
    const found = earlier.find(key);
    if (found === KNOWN.no) return;
    let left = threshold - Math.ceil(threshold / WARM_PART);
    if (found === KNOWN.head) {
      block.isKnown = true;
      block.early = 1;
      left = KNOWN_RUNS[0]!;
    }
    this.setWord(record + RECORD.imm, Math.min(this.word(record, RECORD.imm), left));
  }
  /** To the front of its chain, which loses what is no more. A block that comes back may still be there. */
  private enlist(block: Block): void {
    const { chains } = this;
    const chain = chainOf(block.start, block.mode);
    let rest: Block | null = chains[chain] ?? null;
    let last: Block = block;
    const behind = block.next;
    chains[chain] = block;
    while (rest) {
      const next = rest === block ? behind : rest.next;
      if (rest.isValid && rest !== block) {
        last.next = rest;
        last = rest;
      }
      rest = next;
    }
    last.next = null;
  }
  private register(block: Block, at: number, length: number): void {
    const page = at >>> 12;
    this.parts[page] = this.parts[page]! | partsOf(at & 0xfff, length);
    const there = this.pages.get(page);
    if (there) there.push(block);
    else this.pages.set(page, [block]);
    if (this.arena.codePages[page]) return;
    this.arena.codePages[page] = 1;
    this.onPageWithCode((at & ~0xfff) >>> 0);
  }

  private instruction(d: Executable, pc: number, index: number, mode: number): void {
    const { memory, instruction } = d;
    const flatStack = (mode & MODE.flatStack) !== 0;
    let handler = -1;
    let b = 0;
    let imm = d.modrm;
    let imm2 = 0;
    let kind: 'm' | 's' = 'm';
    let fused: 'm' | 'f' | 'g' = 'm';
    if (memory) {
      const isFlat =
        instruction.addressOnly === true ||
        ((mode & MODE.flatData) !== 0 && (memory.segment === DS || memory.segment === SS || memory.segment === ES));
      if (isFlat && memory.addrSize === 32 && !instruction.addressOnly) {
        fused = memory.index < 0 ? 'f' : 'g';
        handler = this.fusedHandler(d, fused, flatStack, isLimited(mode, d.opSize));
      }
      if (handler >= 0) {
        b = memory.base < 0 ? FIELDS.zero.offset : FIELDS.gpr.offset + memory.base * 8;
        imm = memory.displacement;
        if (fused === 'g') imm2 = (FIELDS.gpr.offset + memory.index * 8) | (memory.scale << 16);
      } else {
        fused = 'm';
        if (instruction.guarded && !isFlat) kind = 's';
        this.effectiveAddress(d, pc, index, isFlat);
      }
    }
    if (handler < 0) handler = this.plainHandler(d, kind, flatStack, isLimited(mode, d.opSize));
    this.operands(d, handler, pc, index, b, imm, imm2, fused !== 'm');
  }
  /** The record of an instruction whose memory operand, if any, is settled. */
  private operands(
    d: Executable,
    handler: number,
    pc: number,
    index: number,
    b: number,
    first: number,
    second: number,
    isFused: boolean,
  ): void {
    let imm = first;
    let imm2 = second;
    let r0 = 0;
    let r1 = b;
    let r2 = -1;
    let r3 = -1;
    let registerCount = 0;
    let immediates = 0;
    const { operands } = d;
    for (let i = 0; i < operands.length; i++) {
      const operand = operands[i]!;
      if (operand.kind === 'r') {
        const { value } = operand;
        if (registerCount === 0) r0 = value;
        else if (registerCount === 1) r1 = value;
        else if (registerCount === 2) r2 = value;
        else r3 = value;
        registerCount++;
      } else if (operand.kind === 'i') {
        if (isFused) imm2 = operand.value;
        else if (immediates++ === 0) {
          imm = operand.value;
          if (operand.width === 64) imm2 = d.high;
        } else imm2 = operand.value;
      }
    }
    if (registerCount > 2) {
      if (immediates > 0) imm2 = imm; // an immediate makes room for the third register
      imm = r2;
      if (registerCount > 3) imm2 = r3;
    }
    this.put(handler, pc, index, r0, r1, imm, imm2);
  }
  /** An instruction of 64-bit code. Addresses relative to RIP are relative to the block, where RIP stands. */
  private longInstruction(d: Executable, pc: number, end: number, index: number): void {
    const { memory, instruction } = d;
    let handler = -1;
    let b = 0;
    let imm = d.modrm;
    let imm2 = 0;
    let isFused = false;
    if (memory) {
      const isRelative = memory.base === RIP_BASE;
      const displacement = isRelative ? memory.displacement + end : memory.displacement;
      const isNear = displacement === (displacement | 0);
      const hasBase = memory.segment >= FS && !instruction.addressOnly;
      if (memory.addrSize === 64 && isNear && !hasBase && !instruction.addressOnly && !isAbsolute(d)) {
        const kind = memory.index < 0 ? 'f' : 'g';
        handler = BIT_TESTS.has(instruction) ? -1 : this.longHandler(d, kind);
        if (handler >= 0) {
          isFused = true;
          b = isRelative ? FIELDS.rip.offset : this.baseRegister(memory.base);
          imm = displacement | 0;
          if (kind === 'g') imm2 = (FIELDS.gpr.offset + memory.index * 8) | (memory.scale << 16);
        }
      }
      if (!isFused) this.longAddress(d, pc, index, displacement, isRelative, hasBase);
    }
    if (handler < 0) handler = this.longHandler(d, 'm');
    this.operands(d, handler, pc, index, b, imm, imm2, isFused);
  }
  private baseRegister(number: number): number {
    return number < 0 ? FIELDS.zero.offset : FIELDS.gpr.offset + number * 8;
  }
  private readonly knownLong = EXECUTABLE.map(() => new Map<number, number>());
  /** -1 for a fused form that is not in the big loop. */
  private longHandler(d: Executable, kind: 'm' | 'f' | 'g'): number {
    const code = formCode(d, kind, true, true);
    const known = this.knownLong[d.instruction.number!]!;
    let handler = known.get(code);
    if (handler === undefined) {
      const key = formKey(d, kind, true, true);
      const handlers = this.longHandlers();
      handler = kind === 'm' ? handlers.handler(key) : handlers.hot(key);
      known.set(code, handler);
    }
    return handler;
  }
  private longAddress(
    d: Executable,
    pc: number,
    index: number,
    displacement: number,
    isRelative: boolean,
    hasBase: boolean,
  ): void {
    const memory = d.memory!;
    const segment = segmentPointer(memory.segment);
    const isWhole = isAbsolute(d);
    const isFar = isRelative && displacement !== (displacement | 0);
    if (isWhole || isFar) {
      // A distance that needs 33 bits, or an absolute address of 64.
      const high = isFar ? Math.floor(displacement / 2 ** 32) : d.high;
      this.put(longSpecial[isFar ? 'eaFar' : 'eaAbsolute']!, pc, index, 0, 0, displacement, high);
      if (hasBase) this.put(longSpecial.eaBase!, pc, index, segment, 0, 0, 0);
    } else {
      const size = memory.addrSize === 32 ? 32 : 64;
      const handler = LONG_EA[size][hasBase ? 1 : 0]![memory.index < 0 ? 0 : memory.scale + 1]!;
      const base = isRelative ? FIELDS.rip.offset : this.baseRegister(memory.base);
      const scaled = memory.index < 0 ? 0 : FIELDS.gpr.offset + memory.index * 8;
      this.put(handler, pc, index, base, scaled, displacement | 0, hasBase ? segment : 0);
    }
    const bitIndex = d.operands[1];
    if (bitIndex?.kind === 'r' && BIT_TESTS.has(d.instruction))
      this.put(longSpecial[`eaBits${d.opSize}`]!, pc, index, bitIndex.value, 0, 0, 0);
  }
  /** Handler numbers by instruction and form: keys are strings and slow. -1: no fused handler. */
  private readonly known = EXECUTABLE.map(() => new Map<number, number>());
  private fusedHandler(d: Executable, kind: 'f' | 'g', flatStack: boolean, limited: boolean): number {
    const code = formCode(d, kind, flatStack, false, limited);
    const known = this.known[d.instruction.number!]!;
    let handler = known.get(code);
    if (handler === undefined) {
      handler = this.handlers.hot(formKey(d, kind, flatStack, false, limited));
      known.set(code, handler);
    }
    return handler;
  }
  private plainHandler(d: Executable, kind: 'm' | 's', flatStack: boolean, limited: boolean): number {
    const code = formCode(d, kind, flatStack, false, limited);
    const known = this.known[d.instruction.number!]!;
    let handler = known.get(code);
    if (handler === undefined) {
      handler = this.handlers.handler(formKey(d, kind, flatStack, false, limited));
      known.set(code, handler);
    }
    return handler;
  }
  private effectiveAddress(d: Executable, pc: number, index: number, isFlat: boolean): void {
    const memory = d.memory!;
    const { base, scale } = memory;
    const addrSize = memory.addrSize === 16 ? 16 : 32;
    const isLater = d.instruction.guarded === true && !isFlat;
    const handler = EA[addrSize][isFlat || isLater ? 0 : 1]![memory.index < 0 ? 0 : scale + 1]!;
    const isWrite = d.operands[0]!.kind === 'm' && d.instruction.dst !== 'r';
    const pointer = segmentPointer(memory.segment);
    const end = pointer + (isWrite ? SEGMENT.writeEnd : SEGMENT.readEnd);
    this.put(
      handler,
      pc,
      index,
      base < 0 ? FIELDS.zero.offset : FIELDS.gpr.offset + base * 8,
      memory.index < 0 ? 0 : FIELDS.gpr.offset + memory.index * 8,
      memory.displacement,
      isFlat ? 0 : isLater ? memory.segment : pointer | (end << 16),
    );
    // Bit tests with a register index reach beyond the operand.
    const bitIndex = d.operands[1];
    if (bitIndex?.kind === 'r' && BIT_TESTS.has(d.instruction))
      this.put(special[d.opSize === 16 ? 'eaBits16' : 'eaBits32'], pc, index, bitIndex.value, 0, 0, 0);
  }
  /** The records behind an instruction that ends the block. */
  private terminate(d: Executable, offset: number, end: number, count: number, linear: number, crosses: boolean): void {
    const last = count - 1;
    if (d.instruction.ends === 'system') {
      this.put(special.endSystem, end, last, 0, 0, 0, 0);
      return;
    }
    const record = this.next - RECORD.bytes;
    const { name } = d.instruction;
    if (!RELATIVE.has(d.instruction)) {
      this.put(special.find, end, last, 0, 0, 0, 0);
      return;
    }
    const delta = end + d.distance;
    this.setWord(record + RECORD.imm, delta);
    const isConditional = name !== 'jmp' && name !== 'call';
    if (isConditional) this.stub(end, last, linear, end, this.next + RECORD.imm2, crosses, true);
    this.setWord(record + RECORD.imm2, this.next);
    this.stub(end, last, linear, delta, record + RECORD.imm2, crosses, false);
    void offset;
  }
  /** Straight on into the next block. */
  private goOn(end: number, count: number, linear: number, crosses: boolean, isLong: boolean): void {
    const handler = isLong ? this.longHandlers().handler('jmp;o64') : this.handlers.handler('jmp');
    const record = this.put(handler, end, count - 1, 0, 0, end, this.next + RECORD.bytes);
    this.stub(end, count - 1, linear, end, record + RECORD.imm2, crosses, false);
  }
  /** A way out of the block: linked on first use when it stays in the page, else looked up every time. For the way straight
   *  on of a conditional branch the stub itself carries distance and chain. */
  private stub(
    pc: number,
    index: number,
    linear: number,
    delta: number,
    slot: number,
    crosses: boolean,
    isSelf: boolean,
  ): void {
    const stays = !crosses && Math.floor(linear / 4096) === Math.floor((linear + delta) / 4096);
    this.put(
      special[stays ? 'link' : 'find'],
      pc,
      index,
      slot & 0xffff,
      slot >>> 16,
      isSelf ? delta : 0,
      isSelf ? this.next : 0,
    );
  }

  /** Drops the blocks that overlap a written range. */
  invalidate(arenaOffset: number, length: number, isBeforeWrite = false): void {
    const lastPage = (arenaOffset + length - 1) >>> 12;
    for (let page = arenaOffset >>> 12; page <= lastPage; page++) {
      const from = Math.max(arenaOffset, page * 4096);
      const to = Math.min(arenaOffset + length, page * 4096 + 4096);
      if (!(this.parts[page]! & partsOf(from & 0xfff, to - from))) continue;
      const there = this.pages.get(page);
      if (!there) continue;
      let kept = 0;
      let parts = 0;
      for (let i = 0; i < there.length; i++) {
        const block = there[i]!;
        const hits =
          block.isValid &&
          (block.start >>> 12 === page
            ? block.start < to && block.start + block.length > from
            : block.second < to && block.second + MAX_LENGTH > from);
        if (hits) this.drop(block, isBeforeWrite);
        if (!block.isValid) continue;
        there[kept++] = block;
        parts |= block.start >>> 12 === page ? partsOf(block.start & 0xfff, block.length) : partsOf(0, MAX_LENGTH);
      }
      this.parts[page] = parts;
      there.length = kept;
      if (kept === 0) {
        this.arena.codePages[page] = 0;
      }
    }
  }
  /** A dropped block whose code is again what it was decoded from. */
  private revive(start: number, mode: number): Block | null {
    const variants = this.dropped.get(start);
    if (!variants) return null;
    const all = this.arena.bytes;
    for (let v = 0; v < variants.length; v++) {
      const variant = variants[v]!;
      const { block, bytes, handlers } = variant;
      if (block.mode !== mode) continue;
      let i = 0;
      while (i < bytes.length && all[block.start + i] === bytes[i]) i++;
      if (i < bytes.length) continue;
      variants.splice(v, 1);
      this.remembered.delete(variant);
      for (let k = 0; k < handlers.length; k += 2) this.u16[(handlers[k]! - this.pool) >>> 1] = handlers[k + 1]!;
      block.isValid = true;
      // Who had asked to compile it was told that it is gone.
      if (this.blockAt(block.record) && this.runs(block) >= this.threshold) this.resetEntry(block);
      this.enlist(block);
      this.register(block, block.start, block.length);
      return block;
    }
    return null;
  }
  /** Makes every instruction of the block find its successor afresh; whoever still points here is led on. */
  private drop(block: Block, isBeforeWrite: boolean): void {
    block.isValid = false;
    this.onDrop(block);
    // Code that changes is not worth compiling soon.
    if (block.isKnown && block.regions?.size) this.earlier?.forget(block.key);
    if (block.regions) for (const region of [...block.regions]) region.release();
    const handlers: number[] = [];
    let previous = -1;
    for (let record = block.record; record < block.end; record += RECORD.bytes) {
      const at = record - this.pool;
      const index = this.u8[at + RECORD.index]!;
      const isEntry = this.u16[at >>> 1] === special.enter;
      if (index !== previous) {
        handlers.push(record, this.u16[at >>> 1]!);
        this.u16[at >>> 1] = special.resync;
      }
      // The first instruction follows with the same index.
      previous = isEntry ? -1 : index;
    }
    if (!isBeforeWrite || block.second >= 0) {
      this.byRecord.delete(block.record);
      return;
    }
    const bytes = this.arena.bytes.slice(block.start, block.start + block.length);
    this.remember({ block, bytes, handlers });
  }
  private remember(variant: DroppedBlock): void {
    const { start } = variant.block;
    const variants = this.dropped.get(start);
    if (!variants) this.dropped.set(start, [variant]);
    else {
      if (variants.length === VARIANTS) this.forget(variants[0]!);
      variants.push(variant);
    }
    this.remembered.add(variant);
    if (this.remembered.size <= REMEMBERED) return;
    for (const oldest of this.remembered) {
      this.forget(oldest);
      break;
    }
  }
  private forget(variant: DroppedBlock): void {
    const { start, record } = variant.block;
    this.remembered.delete(variant);
    this.byRecord.delete(record);
    const variants = this.dropped.get(start)!;
    variants.splice(variants.indexOf(variant), 1);
    if (variants.length === 0) this.dropped.delete(start);
  }
}
