/** Both tiers inside a running machine (`-accel tcg,x-jit=lockstep`): a region runs, what it wrote is taken back, the interpreter does
 *  the same instructions from the same state, and both must have come to the same. Regions hold no instruction that calls a
 *  helper, a native function that writes memory, or leaves the segment; so nothing outside the CPU happens twice. */
import { infoRegisters } from '../../../target/x86/registers-text.ts';
import { CpuState, CS, FIELDS, STATE_BYTES, type StateField } from '../../../target/x86/state.ts';
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { type Block, type BlockCache, MODE } from '../blocks.ts';
import { JOURNAL } from '../emit/journal.ts';
import { RECORD } from '../interpreter/layout.ts';
import { WriteLog } from './write-log.ts';

/** What lock-step needs of the engine. */
export interface LockStepHost {
  readonly arena: RamArena;
  readonly state: CpuState;
  readonly blocks: BlockCache;
  /** Address of the journal in linear memory. */
  readonly journal: number;
  /** Number of the handler that stops, in one kind of code or the other. */
  stopHandler(isLong: boolean): number;
  interpret(record: number): void;
  /** The compiled region that begins with this block: (record, unused) -> record where the interpreter goes on. */
  regionOf(block: Block): ((record: number, unused: number | bigint) => number) | undefined;
  /** The next block's first record, or 0 to leave; RIP says where. */
  lookup(): number;
  /** A block's instructions as text; `linear`: the address that it runs at. */
  disassemble(block: Block, linear: number, bits: 16 | 32 | 64): string;
}

/** Instructions that a region may run before it is compared; the journal has room for what they write. */
const WINDOW = 4096;
/** Bookkeeping of the engine, the shadow of STI (whose end the engine notes when it is asked for a block, which a region may not do), flags (compared as EFLAGS), and places whose content lasts for one instruction. */
const IGNORED = new Set<string>(
  'flagResult flagAux flagAuxHigh flagKind budget charged record accessAddress accessSize argumentHigh resultHigh attend interruptShadow scratch fpuOutcome fpuStored sseOutcome vectorA vectorB pageCaches'.split(
    ' ',
  ),
);
const words = (offset: number, bytes: number) => Array.from({ length: bytes >>> 2 }, (_, i) => (offset >>> 2) + i);
/** What only helpers write, which regions in lock-step do not call. */
const FIXED =
  /^(mtrr|mc[A-Z]|pdpte|.star|star|fmask|kernelGs|sysenter|tsc|misc|feature|apic|smbase|smiCount|x[cs]|pat$)/;
/** Vector registers, and bytes of each that there are. */
const YMM = { count: 16, bytes: 32 } as const;
/** Words of the state block that must be the same. */
const COMPARED = Uint16Array.from(
  Object.entries(FIELDS as Record<string, StateField>)
    .filter(([name]) => !IGNORED.has(name) && !FIXED.test(name) && name !== 'xmm')
    .flatMap(([, { offset, count, stride }]) => words(offset, count * stride))
    .concat(Array.from({ length: YMM.count }, (_, i) => words(FIELDS.xmm.offset + 64 * i, YMM.bytes)).flat()),
);
/** Field and byte in it. */
function fieldAt(word: number): string {
  for (const [name, { offset, count, stride }] of Object.entries(FIELDS as Record<string, StateField>))
    if (4 * word >= offset && 4 * word < offset + count * stride) return `${name}+${4 * word - offset}`;
  return `word ${word}`;
}
const BUDGET = FIELDS.budget.offset >>> 2;

/** The tiers differ: our error, with everything that is known. */
export class LockStepError extends Error {
  constructor(report: string) {
    super(report);
    this.name = 'LockStepError';
  }
}

export class LockStep {
  private readonly host: LockStepHost;
  private readonly before = new Uint8Array(STATE_BYTES);
  /** What the region came to. */
  private readonly compiled = new CpuState(new ArrayBuffer(STATE_BYTES), 0);
  private readonly writes: WriteLog;
  private readonly interpreted: WriteLog;
  private buffer: ArrayBufferLike | null = null;
  private view: Uint32Array = new Uint32Array(0);
  private pending = 0;
  /** A region is being tried: nothing may be looked up. */
  isTrial = false;
  /** Runs of regions that were compared, and their instructions. */
  checked = 0;
  instructions = 0;

  constructor(host: LockStepHost) {
    this.host = host;
    this.writes = new WriteLog(host.arena, host.journal);
    this.interpreted = new WriteLog(host.arena, host.journal);
  }
  /** Linear memory, of which the buffer is another after it has grown. */
  private get words(): Uint32Array {
    const { buffer } = this.host.arena.bytes;
    if (buffer !== this.buffer) {
      this.buffer = buffer;
      this.view = new Uint32Array(buffer);
    }
    return this.view;
  }
  /** Generated code has come to a region, or to where `runTail` wants it to stop. */
  stopped(record: number): void {
    this.pending = record;
  }
  get isStopped(): boolean {
    return this.pending !== 0;
  }

  /** Runs the region that generated code has come to, twice. Gives the record where the interpreter goes on, or 0 to leave. */
  run(): number {
    const { host } = this;
    const { state, blocks } = host;
    const head = this.take();
    const block = blocks.blockAt(head);
    const region = block && host.regionOf(block);
    if (!block || !region) return blocks.afterEntry(head);
    const { i32, u8 } = state;
    const left = i32[BUDGET]!;
    const window = Math.min(left, WINDOW);
    this.before.set(u8);
    this.clearJournal();
    i32[BUDGET] = window;
    this.isTrial = true;
    const resumed = region(head, state.code64 ? 0n : 0);
    this.isTrial = false;
    this.pending = 0;
    const paid = window - i32[BUDGET]!;
    const tail = resumed === 0 || blocks.isStub(resumed) ? 0 : blocks.index(resumed);
    this.compiled.u8.set(u8);
    this.writes.take(this.words);
    this.writes.undo();
    u8.set(this.before);
    if (paid + tail === 0) return resumed;
    this.clearJournal();
    const trouble = this.interpretSame(head, paid) ?? this.runTail(resumed, tail);
    const found = trouble ? [trouble] : this.differences();
    if (found.length > 0) throw new LockStepError(this.report(block, paid + tail, found));
    this.checked++;
    this.instructions += paid + tail;
    i32[BUDGET] = left - paid;
    if (tail > 0) return resumed;
    return i32[BUDGET]! > 0 && resumed !== 0 ? resumed : host.lookup();
  }
  private take(): number {
    const { pending } = this;
    this.pending = 0;
    return pending;
  }

  /** The interpreter over whole blocks, `count` instructions. Gives what went wrong. */
  private interpretSame(head: number, count: number): string | null {
    const { host } = this;
    const { i32 } = host.state;
    i32[BUDGET] = count;
    if (count === 0) return null;
    const passes = (this.host.journal + JOURNAL.passes) >>> 2;
    this.words[passes] = 1;
    try {
      host.interpret(host.blocks.afterEntry(head));
    } catch (error) {
      return `the interpreter faults after ${count - i32[BUDGET]!} instructions: ${String(error)}`;
    } finally {
      this.words[passes] = 0;
    }
    return i32[BUDGET] === 0
      ? null
      : `the interpreter leaves after ${count - i32[BUDGET]!} instructions, the region after ${count}`;
  }
  /** The interpreter over the first `count` instructions of the block in which the region stopped in front of `resumed`. */
  private runTail(resumed: number, count: number): string | null {
    const { state, blocks } = this.host;
    if (state.rip !== this.compiled.rip) return null; // another place: a difference in itself
    if (count === 0) return null;
    const block = blocks.blockOf(resumed);
    if (!block) return 'the record where the region stopped belongs to no block';
    const handler = blocks.half(resumed, RECORD.handler);
    blocks.setHandler(resumed, this.host.stopHandler(state.code64));
    state.i32[BUDGET] = WINDOW;
    try {
      this.host.interpret(blocks.afterEntry(block.record));
    } catch (error) {
      return `the interpreter faults among the last ${count} instructions: ${String(error)}`;
    } finally {
      blocks.setHandler(resumed, handler);
    }
    return this.take() === resumed ? null : `the interpreter does not come to where the region stopped`;
  }

  private clearJournal(): void {
    this.words[this.host.journal >>> 2] = 0;
  }

  // -- comparison ----------------------------------------------------------------------------------------------------

  private differences(): string[] {
    const { state } = this.host;
    const found: string[] = [];
    const [x, y] = [this.compiled.u32, state.u32];
    for (let i = 0; i < COMPARED.length; i++) {
      const word = COMPARED[i]!;
      if (x[word] !== y[word]) found.push(`${fieldAt(word)}: region ${hex(x[word]!)}, interpreter ${hex(y[word]!)}`);
    }
    const [a, b] = [this.compiled.getEflags(), state.getEflags()];
    if (a !== b) found.push(`eflags: region ${hex(a)}, interpreter ${hex(b)}`);
    found.push(...this.writes.unlike('region', 'interpreter'));
    // The other way round: what the interpreter wrote, in memory as the region left it.
    const { interpreted } = this;
    interpreted.take(this.words);
    interpreted.undo();
    this.writes.redo();
    found.push(...interpreted.unlike('interpreter', 'region'));
    interpreted.redo();
    return found;
  }
  private report(head: Block, count: number, found: readonly string[]): string {
    const { state } = this.host;
    const start = new CpuState(new ArrayBuffer(STATE_BYTES), 0);
    start.u8.set(this.before);
    const isLong = start.code64;
    const linear = start.rip + (isLong ? 0 : start.segments[CS]!.base);
    const bits = isLong ? 64 : head.mode & MODE.code32 ? 32 : 16;
    const place = isLong ? `RIP ${BigInt.asUintN(64, BigInt(start.rip)).toString(16)}` : `EIP ${hex(start.eip)}`;
    return [
      `lock-step: compiled code and interpreter differ at ${place} after ${count} instructions`,
      ...found.map((line) => `  ${line}`),
      'code of the region:',
      ...this.membersOf(head).map((block) => this.host.disassemble(block, linear + block.start - head.start, bits)),
      'before:',
      infoRegisters(start),
      'compiled:',
      infoRegisters(this.compiled),
      'interpreted:',
      infoRegisters(state),
    ].join('\n');
  }
  private membersOf(head: Block): readonly Block[] {
    return [...(head.regions ?? [])].find((region) => region.entries.has(head))?.blocks ?? [head];
  }
}
const hex = (n: number, digits = 8) => (n >>> 0).toString(16).padStart(digits, '0');
