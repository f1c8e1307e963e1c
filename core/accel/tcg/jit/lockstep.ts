/** Both tiers inside a running machine (`-accel tcg,x-jit=lockstep`): a region runs, what it wrote is taken back, the interpreter does
 *  the same instructions from the same state, and both must have come to the same. Regions hold no instruction that calls a
 *  helper, a native function that writes memory, or leaves the segment; so nothing outside the CPU happens twice. */
import { infoRegisters } from '../../../target/x86/registers-text.ts';
import { CpuState, CS, FIELDS, STATE_BYTES, type StateField } from '../../../target/x86/state.ts';
import type { RamArena } from '../../../target/x86/system-ops.ts';
import type { Block, BlockCache } from '../blocks.ts';
import { JOURNAL } from '../emit/journal.ts';
import { RECORD } from '../interpreter/layout.ts';

/** What lock-step needs of the engine. */
export interface LockStepHost {
  readonly arena: RamArena;
  readonly state: CpuState;
  readonly blocks: BlockCache;
  /** Address of the journal in linear memory. */
  readonly journal: number;
  /** Number of the handler that stops. */
  readonly stopHandler: number;
  interpret(record: number): void;
  /** The compiled region that begins with this block: (record, unused) -> record where the interpreter goes on. */
  regionOf(block: Block): ((record: number, unused: number) => number) | undefined;
  /** The next block's first record, or 0 to leave; RIP says where. */
  lookup(): number;
  /** A block's instructions as text; `linear`: the address that it runs at. */
  disassemble(block: Block, linear: number): string;
}

/** Instructions that a region may run before it is compared; the journal has room for what they write. */
const WINDOW = 4096;
/** Bookkeeping of the engine, flags (compared as EFLAGS), and places whose content lasts for one instruction. */
const IGNORED = new Set<string>(
  'flagResult flagAux flagKind budget record accessAddress accessSize attend scratch fpuOutcome fpuStored sseOutcome vectorA vectorB'.split(
    ' ',
  ),
);
const COMPARED = Object.entries(FIELDS as Record<string, StateField>).filter(([name]) => !IGNORED.has(name));
const BUDGET = FIELDS.budget.offset >>> 2;

interface Write {
  readonly place: number;
  readonly old: Uint8Array;
  readonly now: Uint8Array;
}

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
  private pending = 0;
  /** A region is being tried: nothing may be looked up. */
  isTrial = false;
  /** Runs of regions that were compared, and their instructions. */
  checked = 0;
  instructions = 0;

  constructor(host: LockStepHost) {
    this.host = host;
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
    const resumed = region(head, 0);
    this.isTrial = false;
    this.pending = 0;
    const paid = window - i32[BUDGET]!;
    const tail = resumed === 0 || blocks.isStub(resumed) ? 0 : blocks.index(resumed);
    this.compiled.u8.set(u8);
    const writes = this.journaled();
    this.undo(writes);
    u8.set(this.before);
    if (paid + tail === 0) return resumed;
    this.clearJournal();
    const trouble = this.interpretSame(head, paid) ?? this.runTail(resumed, tail);
    const found = trouble ? [trouble] : this.differences(writes);
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
    let next = host.blocks.afterEntry(head);
    while (i32[BUDGET]! > 0) {
      try {
        host.interpret(next);
      } catch (error) {
        return `the interpreter faults after ${count - i32[BUDGET]!} instructions: ${String(error)}`;
      }
      if (i32[BUDGET]! <= 0) break;
      if (!this.isStopped) return `the interpreter leaves after ${count - i32[BUDGET]!} instructions`;
      next = host.blocks.afterEntry(this.take());
    }
    this.pending = 0;
    return i32[BUDGET] === 0 ? null : `the interpreter pays ${count - i32[BUDGET]!} instructions, the region ${count}`;
  }
  /** The interpreter over the first `count` instructions of the block in which the region stopped in front of `resumed`. */
  private runTail(resumed: number, count: number): string | null {
    const { state, blocks } = this.host;
    if (state.eip !== this.compiled.eip) return null; // another place: a difference in itself
    if (count === 0) return null;
    const block = blocks.blockOf(resumed);
    if (!block) return 'the record where the region stopped belongs to no block';
    const handler = blocks.half(resumed, RECORD.handler);
    blocks.setHandler(resumed, this.host.stopHandler);
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

  // -- memory --------------------------------------------------------------------------------------------------------

  private clearJournal(): void {
    new DataView(this.host.arena.memory.buffer).setUint32(this.host.journal, 0, true);
  }
  private journaled(): Write[] {
    const { arena, journal } = this.host;
    const view = new DataView(arena.memory.buffer);
    const all = arena.bytes;
    const end = view.getUint32(journal, true);
    const writes: Write[] = [];
    for (let at = 0; at < end; at += JOURNAL.entryBytes) {
      const entry = journal + JOURNAL.entries + at;
      const place = view.getUint32(entry, true);
      const bytes = view.getUint32(entry + 4, true);
      const old = all.slice(entry + JOURNAL.old, entry + JOURNAL.old + bytes);
      writes.push({ place, old, now: all.slice(place, place + bytes) });
    }
    return writes;
  }
  private undo(writes: readonly Write[]): void {
    const { bytes } = this.host.arena;
    for (let i = writes.length - 1; i >= 0; i--) bytes.set(writes[i]!.old, writes[i]!.place);
  }
  private redo(writes: readonly Write[]): void {
    const { bytes } = this.host.arena;
    for (const { place, now } of writes) bytes.set(now, place);
  }
  /** Writes that do not hold what memory holds. */
  private unlike(writes: readonly Write[], first: string, second: string): string[] {
    const { bytes } = this.host.arena;
    const found = writes.filter(({ place, now }) => now.some((byte, i) => byte !== bytes[place + i]));
    const text = (data: Uint8Array) => Array.from(data, (byte) => hex(byte, 2)).join(' ');
    return found.map(
      ({ place, now }) =>
        `memory at ${hex(place)} of the arena: ${first} ${text(now)}, ${second} ${text(bytes.slice(place, place + now.length))}`,
    );
  }

  // -- comparison ----------------------------------------------------------------------------------------------------

  private differences(compiled: readonly Write[]): string[] {
    const { state } = this.host;
    const found: string[] = [];
    for (const [name, field] of COMPARED) {
      const from = field.offset >>> 2;
      const end = (field.offset + field.count * field.stride) >>> 2;
      for (let i = from; i < end; i++)
        if (state.u32[i] !== this.compiled.u32[i])
          found.push(
            `${name}+${4 * (i - from)}: region ${hex(this.compiled.u32[i]!)}, interpreter ${hex(state.u32[i]!)}`,
          );
    }
    const [a, b] = [this.compiled.getEflags(), state.getEflags()];
    if (a !== b) found.push(`eflags: region ${hex(a)}, interpreter ${hex(b)}`);
    found.push(...this.unlike(compiled, 'region', 'interpreter'));
    // The other way round: what the interpreter wrote, in memory as the region left it.
    const interpreted = this.journaled();
    this.undo(interpreted);
    this.redo(compiled);
    found.push(...this.unlike(interpreted, 'interpreter', 'region'));
    this.redo(interpreted);
    return found;
  }
  private report(head: Block, count: number, found: readonly string[]): string {
    const { state } = this.host;
    const start = new CpuState(new ArrayBuffer(STATE_BYTES), 0);
    start.u8.set(this.before);
    const linear = start.eip + start.segments[CS]!.base;
    return [
      `lock-step: compiled code and interpreter differ at EIP ${hex(start.eip)} after ${count} instructions`,
      ...found.map((line) => `  ${line}`),
      'code of the region:',
      ...this.membersOf(head).map((block) => this.host.disassemble(block, linear + block.start - head.start)),
      'before:',
      infoRegisters(start),
      'compiled:',
      infoRegisters(this.compiled),
      'interpreted:',
      infoRegisters(state),
    ].join('\n');
  }
  private membersOf(head: Block): readonly Block[] {
    return [...(head.regions ?? [])].find((region) => region.blocks[0] === head)?.blocks ?? [head];
  }
}
const hex = (n: number, digits = 8) => (n >>> 0).toString(16).padStart(digits, '0');
