/** The x86 CPU as the board sees it: decoded blocks run in a generated WebAssembly interpreter; what is between blocks (faults,
 *  interrupts, mode changes, finding code) is here. One object is one CPU. */

import type { CpuDefinition } from '../../target/x86/cpu-definition.ts';
import {
  DR6,
  hasBreakpoints,
  matchBreakpoints,
  recordDebugException,
  watchesPage,
} from '../../target/x86/debug-registers.ts';
import { decodeLong, longMapsFor, MAX_LENGTH, mapsFor } from '../../target/x86/decode/decoder.ts';
import { inAsmText } from '../../target/x86/disassemble/listing.ts';
import { GUEST_FAULT, raise, VECTOR } from '../../target/x86/fault.ts';
import type { PagingFeatures } from '../../target/x86/mmu/page-walk.ts';
import { readTsc } from '../../target/x86/msr.ts';
import {
  CpuState,
  CR4,
  CS,
  DESC,
  DS,
  EFLAGS,
  ES,
  FIELDS,
  isCanonical,
  SS,
  STATE_BYTES,
} from '../../target/x86/state.ts';
import { createSystemOps, pagingFeatures } from '../../target/x86/system.ts';
import type { CpuActivity, CpuBus, CpuContext, SystemOps } from '../../target/x86/system-ops.ts';
import { cpuText, execText } from '../../target/x86/trace-text.ts';
import { type Block, BlockCache, MODE } from './blocks.ts';
import { type EngineLayout, InstructionEmitter } from './emit/instruction-emitter.ts';
import { JOURNAL } from './emit/journal.ts';
import { jumpSlots } from './emit/jump-cache.ts';
import { GuestMemory, type Watch } from './guest-memory.ts';
import { createHelpers, type Helper, type HelperContext } from './helpers.ts';
import { SPECIAL } from './interpreter/generate.ts';
import { RECORD, TLB } from './interpreter/layout.ts';
import {
  createInterpreters,
  type FunctionTable,
  type Instantiate,
  type Interpreter,
  instantiateAnew,
} from './interpreter/machine.ts';
import { JIT_DEFAULTS, Jit, type JitHost, type JitOptions } from './jit/jit.ts';
import { LockStep } from './jit/lockstep.ts';
import { stopModule } from './jit/stop.ts';
import { createNatives, createPaging } from './native/module.ts';
import { segmentAddress } from './strings.ts';

export interface X86CpuOptions {
  /** What `-cpu` says; QEMU's default model without it. */
  readonly definition?: CpuDefinition;
  /** For tests that need no system half of their own. */
  readonly createOps?: (context: CpuContext) => SystemOps;
  readonly jit?: JitOptions;
  /** Starts a thread that compiles. Without it regions are compiled where the guest runs. */
  readonly startCompiler?: JitHost['startCompiler'];
  readonly kept?: JitHost['kept'];
  /** Makes instances of the engine's own modules. */
  readonly instantiate?: Instantiate | undefined;
  /** Milliseconds, for statistics. */
  readonly now?: () => number;
}
export type RunResult = 'budget' | 'halted' | 'exit' | 'breakpoint';

const JUMP_CACHE_BYTES = (TLB.jumpEntries + (1 << TLB.secondBits)) * 16;
/** No mode, no place: a jump cache entry that is not in use. */
const EMPTY = 0xffff_ffff;
const RESYNC = SPECIAL.indexOf('resync');
/** Instructions between the moment when a loop is worth compiling and the request: its other blocks get hot with it. */
const GATHERING = 30_000;
/** Instructions at once while the other thread compiles: its answer should not wait long. */
const WAITING_SLICE = 60_000;
/** What stands in front of a block's first instruction. */
const PREAMBLE = new Set([SPECIAL.indexOf('enter'), SPECIAL.indexOf('split')]);
const BUDGET = FIELDS.budget.offset >>> 2;
const CHARGED = FIELDS.charged.offset >>> 2;
const ATTEND = FIELDS.attend.offset >>> 2;
/** Helpers of system instructions after which the mode is what it was. */
const LIGHT = new Set(['popf', 'sti', 'out', 'invlpg', 'invpcid', 'clts', 'wbinvd', 'invd']);
/** What is fetched from a device at a time, and where the rest of an instruction goes that begins in RAM. */
const DEVICE_BYTES = 16;
const DEVICE_REST = 2048;
const INTERRUPT_WAITS = FIELDS.interruptWaits.offset >>> 2;
const DELIVERIES_LOGGED = FIELDS.deliveriesLogged.offset >>> 2;
const MODE_WORD = FIELDS.mode.offset >>> 2;
const LONG = FIELDS.long.offset >>> 2;
const TSC_LOW = FIELDS.tscLow.offset >>> 2;
const TSC_HIGH = FIELDS.tscHigh.offset >>> 2;

export class X86Cpu {
  readonly state: CpuState;
  readonly activity: CpuActivity = {
    pauses: 0,
    softInts: new Uint32Array(256),
    portReads: 0,
    portWrites: 0,
    mmioAccesses: 0,
    blocksDecoded: 0,
    modeSwitches: 0,
    stringOps: 0,
  };
  /** Linear addresses at which `run` stops (before the instruction) with 'breakpoint'. */
  readonly breakpoints = new Set<number>();
  readonly memory: GuestMemory;
  readonly ops: SystemOps;
  private readonly bus: CpuBus;
  private readonly blocks: BlockCache;
  private readonly layout: EngineLayout;
  /** What paging is like; null: only whoever made the system half knows. */
  private readonly paging: PagingFeatures | null;
  private readonly jumpCache: Uint32Array;
  /** For 16- and 32-bit code, and for 64-bit code. */
  private readonly interpreter: Interpreter;
  private longInterpreter: Interpreter | null = null;
  private readonly makeLong: () => Interpreter;
  /** What runs now is 64-bit code. */
  private runsLong = false;
  readonly jit: Jit;
  private readonly now: () => number;
  /** With `x-jit=lockstep`. */
  readonly lockStep: LockStep | null = null;

  private irqLine = false;
  private nmi = false;
  private smi = false;
  private initRequest = false;
  private exitRequested = false;
  /** Budget taken away to make the interpreter return early. */
  private withheld = 0;
  /** Budget that long instructions used up beside the one that each of them counts. */
  private charged = 0;
  private retired = 0;
  private sliceStart = 0;
  private isRunning = false;
  private isSystem = false;
  private systemEip = 0;
  private resumeSkipsBreakpoint = false;
  /** TF or DR7 asks for a look at every instruction. */
  private isStepping = false;
  /** `-d nochain`: one block at a time, in the interpreter. */
  private isUnchained = false;
  /** The instruction that follows stands in the shadow of STI or MOV SS. */
  private isShadowShown = false;
  /** A repeated instruction stopped between two elements. */
  private isPartial = false;
  /** DR6 bits of data breakpoints met by the current instruction. */
  private watchHits = 0;
  private readonly watch: Watch = {
    touches: (page) => watchesPage(this.state, page),
    access: (linear, bytes, isWrite) => {
      this.watchHits |= matchBreakpoints(this.state, linear, bytes, isWrite ? 'write' : 'read');
    },
    port: (port, bytes) => {
      this.watchHits |= matchBreakpoints(this.state, port, bytes, 'io');
    },
  };

  constructor(bus: CpuBus, options: X86CpuOptions = {}) {
    this.bus = bus;
    this.now = options.now ?? (() => 0);
    const { arena } = bus;
    const own = arena.allocate('cpu-state', STATE_BYTES).offset;
    const jumps = arena.allocate('cpu-jumps', JUMP_CACHE_BYTES).offset;
    this.state = new CpuState(arena.memory.buffer, own);
    const isLockStep = options.jit?.mode === 'lockstep';
    const journal = isLockStep ? { journal: arena.allocate('cpu-journal', JOURNAL.bytes).offset } : {};
    this.layout = { state: own, jumpCache: jumps, ...journal };
    this.jumpCache = new Uint32Array(arena.memory.buffer, jumps, JUMP_CACHE_BYTES / 4);
    this.memory = new GuestMemory(this.state, bus, this.activity);
    const context: CpuContext = {
      state: this.state,
      bus,
      memory: this.memory,
      activity: this.activity,
      flushTlb: (keepGlobal) => this.flushTlb(keepGlobal),
      flushPage: (linear) => this.flushPage(linear),
      selectPcid: (pcid, keeps) => {
        this.memory.selectPcid(pcid, keeps);
        if (hasBreakpoints(this.state)) this.stopSoon();
      },
      flushPcid: (pcid, linear) => this.memory.flushPcid(pcid, linear),
      requestExit: () => this.requestExit(),
    };
    this.ops = options.createOps ? options.createOps(context) : createSystemOps(context, options.definition);
    this.memory.ops = this.ops;
    this.memory.guard = {
      codeWritten: (offset, length, isBefore) => this.blocks.invalidate(offset, length, isBefore),
    };
    this.memory.onFlush = () => this.flushTlb();
    this.paging = options.createOps ? null : pagingFeatures(options.definition);
    const machine = this.assemble(options.instantiate ?? instantiateAnew);
    this.interpreter = machine;
    this.makeLong = machine.makeLong;
    this.memory.refuseAddress = () => this.refuseAddress();
    this.blocks = new BlockCache(arena, machine.handlers, () => this.long().handlers);
    const counters = arena.allocate('cpu-jit', 64).offset;
    const nowhere = arena.allocate('cpu-nowhere', 4096).offset;
    const layout = { ...this.layout, counters, nowhere };
    const hotCount = (isLong: boolean) => (isLong ? this.long() : machine).hotCount;
    const features = options.definition?.features.names() ?? null;
    const host = {
      arena,
      blocks: this.blocks,
      layout,
      hotCount,
      features,
      helpers: machine.helpers,
      locate: (linear: number, isUser: boolean) =>
        this.memory.locateCached(this.runsLong ? linear : linear >>> 0, isUser),
      startCompiler: options.startCompiler,
      kept: options.kept,
    };
    this.jit = new Jit({ ...host, ...machine.table }, options.jit ?? JIT_DEFAULTS, this.now);
    if (isLockStep) this.lockStep = this.createLockStep(machine);
    const { definition } = options;
    if (definition) {
      const has = (name: string) => definition.features.has(name);
      this.blocks.maps = mapsFor(has);
      if (has('lm')) this.blocks.longMaps = longMapsFor(has);
    }
    this.blocks.onPageWithCode = (offset) => this.memory.protectCode(offset);
    this.jumpCache.fill(EMPTY);
    this.reset();
  }

  // -- board's side --------------------------------------------------------------------------------------------------

  reset(): void {
    this.nmi = false;
    this.smi = false;
    this.initRequest = false;
    this.ops.reset();
    this.flushTlb();
    this.updateMode();
    this.stopSoon();
  }
  setIrqLine(level: boolean): void {
    this.irqLine = level;
    this.state.u32[INTERRUPT_WAITS] = level ? 0xffff_ffff : 0;
    if (level) this.stopSoon();
  }
  raiseNmi(): void {
    this.nmi = true;
    this.stopSoon();
  }
  raiseSmi(): void {
    this.smi = true;
    this.stopSoon();
  }
  setInit(): void {
    this.initRequest = true;
    this.stopSoon();
  }
  setA20(on: boolean): void {
    const mask = on ? 0xffff_ffff : 0xffef_ffff;
    if (this.state.a20Mask === mask) return;
    this.bus.log('mmu', () => `A20 update: a20=${on ? 1 : 0}`);
    this.state.a20Mask = mask;
    this.flushTlb();
  }
  requestExit(): void {
    this.exitRequested = true;
    this.stopSoon();
  }
  get halted(): boolean {
    return this.state.halted;
  }
  /** Instructions retired since power-on; exact at block ends. */
  get executed(): number {
    if (!this.isRunning) return this.retired;
    return this.retired + this.sliceStart - (this.state.i32[BUDGET]! + this.withheld + this.state.u32[CHARGED]!);
  }
  flushTlb(keepGlobal = false): void {
    this.memory.flush(keepGlobal);
    if (hasBreakpoints(this.state)) this.stopSoon(); // they may be new
  }
  private flushPage(linear: number): void {
    this.memory.flushPage(linear);
  }
  translateDebug(linear: number): number | null {
    return this.ops.translateDebug(linear);
  }

  /** Makes generated code return at the end of the block. */
  private stopSoon(): void {
    this.stopAfter(0);
  }
  /** The same after so many more instructions. */
  private stopAfter(instructions: number): void {
    if (!this.isRunning) return;
    const { i32 } = this.state;
    const surplus = i32[BUDGET]! - instructions;
    if (surplus <= 0) return;
    this.withheld += surplus;
    i32[BUDGET] = instructions;
  }
  /** Takes from the budget what does not count as retired instructions. */
  private charge(instructions: number): boolean {
    const { i32 } = this.state;
    i32[BUDGET] = i32[BUDGET]! - instructions;
    this.withheld += instructions;
    this.charged += instructions;
    return this.attention || i32[BUDGET]! <= 0;
  }
  /** Something must be looked at between two blocks. */
  private get attention(): boolean {
    return (
      this.exitRequested ||
      (this.nmi && !this.state.nmiBlocked) ||
      (this.smi && !this.state.inSmm) ||
      this.initRequest ||
      this.state.halted ||
      (this.irqLine && (this.state.eflagsSystem & EFLAGS.IF) !== 0)
    );
  }

  // -- running -------------------------------------------------------------------------------------------------------

  run(budget: number): RunResult {
    const from = this.now();
    const result = this.runSlices(budget);
    this.jit.ran(from, this.now());
    return result;
  }
  private runSlices(budget: number): RunResult {
    const { state } = this;
    this.exitRequested = false;
    let left = budget;
    this.updateMode();
    state.u32[INTERRUPT_WAITS] = this.irqLine ? 0xffff_ffff : 0;
    state.u32[DELIVERIES_LOGGED] = (this.bus.logs?.('int') ?? true) ? 1 : 0;
    while (left > 0) {
      if (this.exitRequested) return 'exit';
      const isShadowed = state.interruptShadow;
      if ((!isShadowed && this.attention) || this.initRequest) {
        this.takeEvents();
        this.updateMode();
      }
      if (this.exitRequested) return 'exit';
      if (state.halted) return 'halted';
      if (this.breakpoints.size > 0 && !this.resumeSkipsBreakpoint && this.breakpoints.has(this.linearEip)) {
        this.resumeSkipsBreakpoint = true;
        return 'breakpoint';
      }
      this.resumeSkipsBreakpoint = false;
      this.isShadowShown = isShadowed;
      state.interruptShadow = false;
      const isTrap = (state.eflagsSystem & EFLAGS.TF) !== 0;
      const isDebugged = hasBreakpoints(state);
      this.memory.watch = isDebugged ? this.watch : null;
      this.isStepping = isTrap || isDebugged;
      if (isDebugged && this.meetsCodeBreakpoint()) {
        left--;
        continue;
      }
      const isSingle = this.isStepping || (isShadowed && this.attention) || this.breakpoints.size > 0;
      this.jit.poll();
      this.isUnchained = this.bus.logs?.('nochain') ?? false;
      const most = this.jit.isWaiting ? WAITING_SLICE : 1 << 30;
      left -= this.slice(isSingle || this.isUnchained ? 1 : Math.min(left, most), isSingle, isTrap);
      this.updateMode();
    }
    return this.exitRequested ? 'exit' : 'budget';
  }
  private get linearEip(): number {
    if (this.state.u32[LONG]!) return this.state.rip;
    return (this.state.eip + this.state.segments[CS]!.base) >>> 0;
  }

  /** A breakpoint on the next instruction is a fault before it; RF lets that one instruction pass. */
  private meetsCodeBreakpoint(): boolean {
    const { state } = this;
    if (state.eflagsSystem & EFLAGS.RF) {
      state.set(FIELDS.eflagsSystem, state.eflagsSystem & ~EFLAGS.RF);
      return false;
    }
    const met = matchBreakpoints(state, this.linearEip, 1, 'execute');
    if (met === 0) return false;
    recordDebugException(state, met);
    this.ops.deliverException(VECTOR.DB, undefined);
    return true;
  }

  private interpret(record: number): void {
    (this.runsLong ? this.long() : this.interpreter).run(record);
  }
  /** One stay in generated code. Gives how much of the budget it took. */
  private slice(budget: number, isSingle: boolean, isTrap: boolean): number {
    const { state } = this;
    state.i32[BUDGET] = budget;
    this.withheld = 0;
    state.u32[CHARGED] = 0;
    this.charged = 0;
    this.sliceStart = budget;
    this.isRunning = true;
    this.memory.record = 0;
    this.isSystem = false;
    this.isPartial = false;
    this.watchHits = 0;
    if (this.isStepping) state.set(FIELDS.trapInhibit, 0);
    let isFault = false;
    let next = 0;
    try {
      next = (isSingle ? 0 : this.cachedBlock()) || this.findBlock(isSingle ? MODE.single : 0);
      this.runsLong = state.u32[LONG]! !== 0;
      this.logEntry(next);
      if (this.isUnchained) next = this.blocks.afterEntry(next);
      if (next) this.interpret(next);
      if (this.lockStep)
        while (this.lockStep.isStopped) {
          next = this.lockStep.run();
          if (next) this.interpret(next);
        }
    } catch (error) {
      if (error !== GUEST_FAULT) {
        this.isRunning = false;
        throw error;
      }
      isFault = true;
      this.rewind();
    }
    this.isRunning = false;
    const nativelyCharged = state.u32[CHARGED]!;
    const done = budget - (state.i32[BUDGET]! + this.withheld + nativelyCharged);
    this.retired += done;
    if (isFault) this.deliverFault();
    else if (this.isStepping) this.deliverDebugTrap(isTrap && (done > 0 || this.isPartial));
    // A fault counts as progress: a guest whose every instruction faults must not hold the loop.
    return Math.max(isFault ? done + 1 : done, 1) + this.charged + nativelyCharged;
  }
  /** After a fault: EIP and the count go back to the instruction that faulted. */
  private rewind(): void {
    const { state, blocks } = this;
    const { record } = this.memory;
    if (record === 0) return;
    if (state.u32[LONG]!) state.rip = this.isSystem ? this.systemEip : state.rip + blocks.pc(record);
    else if (this.isSystem) state.eip = this.systemEip;
    else state.eip = (state.eip + blocks.pc(record)) >>> 0;
    state.i32[BUDGET] = state.i32[BUDGET]! - blocks.index(record);
    this.memory.record = 0;
    this.isSystem = false;
  }
  private deliverFault(): void {
    const { state } = this;
    const hasCode = state.low(FIELDS.exceptionHasErrorCode) !== 0;
    const code = hasCode ? state.low(FIELDS.exceptionErrorCode) : undefined;
    const vector = state.low(FIELDS.exceptionVector);
    this.ops.deliverException(vector, code);
  }
  /** After an instruction: data breakpoints that it met, and the single step. */
  private deliverDebugTrap(isStep: boolean): void {
    const { state } = this;
    const step = isStep && state.low(FIELDS.trapInhibit) === 0 ? DR6.BS : 0;
    if ((step | this.watchHits) === 0) return;
    recordDebugException(state, step | this.watchHits);
    this.ops.deliverException(VECTOR.DB, undefined);
  }
  /** Reset lines, SMI, NMI, interrupts, in their order of priority. */
  private takeEvents(): void {
    const { state, ops } = this;
    if (this.initRequest) {
      this.initRequest = false;
      ops.init();
      this.flushTlb();
    }
    if (this.smi && !state.inSmm) {
      this.smi = false;
      this.wake();
      ops.enterSmm();
      return;
    }
    if (this.nmi && !state.nmiBlocked) {
      this.nmi = false;
      this.wake();
      ops.deliverNmi();
      return;
    }
    if (this.irqLine && state.eflagsSystem & EFLAGS.IF) {
      this.wake();
      const vector = this.bus.acknowledgeInterrupt();
      if (vector >= 0) ops.deliverInterrupt(vector & 0xff);
    }
  }
  private wake(): void {
    if (!this.state.halted) return;
    this.state.halted = false;
    this.bus.haltedChanged?.(false);
  }

  /** Recomputes what decoded code depends on. */
  private updateMode(): void {
    const { state } = this;
    const { segments } = state;
    const ss = segments[SS]!;
    let mode = 0;
    const isLongMode = state.longMode;
    const isLong = isLongMode && (segments[CS]!.flags & DESC.long) !== 0;
    if (isLong) mode = MODE.code64 | MODE.flatStack | MODE.flatData;
    else {
      if (segments[CS]!.flags & DESC.big) mode |= MODE.code32;
      if (ss.flags & DESC.big && ss.flat) mode |= MODE.flatStack;
      if (ss.flat && segments[DS]!.flat && segments[ES]!.flat) mode |= MODE.flatData;
    }
    const { limit } = segments[CS]!;
    if (!isLong && limit !== 0xffff_ffff) mode |= limit < 0xffff ? MODE.limited | MODE.narrow : MODE.limited;
    const isUser = state.cpl === 3;
    if (isUser) mode |= MODE.user;
    if ((state.u32[LONG]! !== 0) !== isLong) {
      // The two kinds of code keep flags in different words.
      const flags = state.getEflags();
      state.u32[LONG] = isLong ? 1 : 0;
      state.setArithmeticFlags(flags);
    }
    state.u32[FIELDS.stackMask.offset >>> 2] = isLong || ss.flags & DESC.big ? 0xffff_ffff : 0xffff;
    state.u32[FIELDS.tlbBase.offset >>> 2] = this.memory.setMode(isLongMode, isLong, isUser);
    state.u32[MODE_WORD] = mode;
  }

  // -- called from generated code ------------------------------------------------------------------------------------

  /** After a system instruction: does the engine have to look before the next block? */
  private settleSystem(isLight: boolean): void {
    const { state } = this;
    const { u32 } = state;
    let attend = false;
    if (!isLight) {
      const mode = u32[MODE_WORD]!;
      this.updateMode();
      attend = u32[MODE_WORD]! !== mode;
    }
    attend ||= this.attention || state.interruptShadow || (state.eflagsSystem & EFLAGS.TF) !== 0;
    u32[ATTEND] = attend ? 1 : 0;
  }
  /** Next block's first record, or 0 to leave. RIP says where; paid for already. */
  private lookup(): number {
    if (this.lockStep?.isTrial) return 0;
    this.memory.record = 0;
    this.updateMode();
    const { state } = this;
    if (this.attention || state.i32[BUDGET]! <= 0 || state.eflagsSystem & EFLAGS.TF) return 0;
    if ((state.u32[LONG]! !== 0) !== this.runsLong) return 0; // for the other interpreter
    // The next instruction follows before anyone looks at the interrupt line again.
    this.isShadowShown = state.interruptShadow;
    state.interruptShadow = false;
    const next = this.cachedBlock() || this.findBlock(0);
    this.logEntry(next);
    return next;
  }
  /** Where the jump cache leads from RIP, or 0. */
  private cachedBlock(): number {
    const { state, jumpCache } = this;
    let linear: number;
    if (state.u32[LONG]!) {
      if (!isCanonical(state.high(FIELDS.rip))) return 0;
      linear = state.rip;
    } else {
      const cs = state.segments[CS]!;
      const { eip } = state;
      if (eip > cs.limit) return 0;
      linear = (eip + cs.base) >>> 0;
    }
    const at = jumpSlots(linear)[0] * 4;
    if (jumpCache[at] !== linear >>> 0 || jumpCache[at + 1] !== state.u32[MODE_WORD]) return 0;
    if (this.memory.locateCached(linear) !== jumpCache[at + 3]) return 0;
    const record = jumpCache[at + 2]!;
    // The first record of a block that was dropped only asks where to go on.
    return this.blocks.half(record, RECORD.handler) === RESYNC ? 0 : record;
  }
  private findBlock(extraMode: number): number {
    const { state, memory, blocks } = this;
    let linear: number;
    if (state.u32[LONG]!) {
      if (!isCanonical(state.high(FIELDS.rip))) raise(state, VECTOR.GP, 0);
      linear = state.rip;
    } else {
      const cs = state.segments[CS]!;
      const { eip } = state;
      if (eip > cs.limit) raise(state, VECTOR.GP, 0);
      linear = (eip + cs.base) >>> 0;
    }
    const mode = state.u32[MODE_WORD]! | extraMode;
    const start = memory.locateCode(linear);
    this.isUncached = true;
    if (start < 0) return this.uncached(linear, mode);
    let block = blocks.find(start, mode);
    // The rest of an instruction that crosses pages may have been mapped elsewhere, or be a device's and read anew.
    if (block && block.second >= 0) {
      if (block.second !== this.nextPage(linear)) blocks.invalidate(block.start, 1);
      if (!block.isValid) block = undefined;
    }
    if (!block) {
      block = this.build(start, linear, mode, () => this.nextPage(linear));
      this.activity.blocksDecoded++;
    }
    if (extraMode === 0) {
      const { jumpCache } = this;
      for (const slot of jumpSlots(linear)) {
        const at = slot * 4;
        jumpCache[at] = linear;
        jumpCache[at + 1] = mode;
        jumpCache[at + 2] = block.record;
        jumpCache[at + 3] = start;
      }
    }
    this.isUncached = false;
    return block.record;
  }
  private build(start: number, linear: number, mode: number, fetchSecond: () => number): Block {
    const { blocks } = this;
    const { generation } = blocks;
    const block = blocks.build(start, linear, mode, fetchSecond);
    if (blocks.generation !== generation) this.jumpCache.fill(EMPTY);
    if (this.bus.logs?.('in_asm')) this.logCode(block, linear, mode);
    return block;
  }
  /** The block found last came from a device: nothing may lead there directly. */
  private isUncached = false;
  /** The second page of an instruction is not where it was: where to go on. */
  private findSplit(): number {
    this.memory.record = 0;
    const { blocks } = this;
    let record = this.findBlock(0);
    // Its mapping is known now.
    while (PREAMBLE.has(blocks.half(record, RECORD.handler))) record += RECORD.bytes;
    return record;
  }
  private nextPage(linear: number): number {
    const next = linear - (linear & 0xfff) + 4096;
    if (this.state.u32[MODE_WORD]! & MODE.limited) {
      const cs = this.state.segments[CS]!;
      if ((next - cs.base) >>> 0 > cs.limit) raise(this.state, VECTOR.GP, 0);
    }
    const at = this.memory.locateCode(this.state.u32[LONG]! ? next : next >>> 0);
    return at < 0 ? this.copyFromDevice(DEVICE_REST) : at;
  }
  /** Code in device memory: copied to a page of its own, one instruction at a time. */
  private uncached(linear: number, mode: number): number {
    return this.build(this.copyFromDevice(0), linear, mode | MODE.single, () => 0).record;
  }
  /** A block's instructions; the last may go on in another page. */
  private logCode({ start, length, second }: Block, linear: number, mode: number): void {
    let { bytes } = this.bus.arena;
    let at = start;
    if (second >= 0) {
      const joined = new Uint8Array(length + MAX_LENGTH);
      joined.set(bytes.subarray(start, start + length));
      joined.set(bytes.subarray(second, second + MAX_LENGTH), length);
      bytes = joined;
      at = 0;
    }
    const bits = mode & MODE.code64 ? 64 : mode & MODE.code32 ? 32 : 16;
    this.bus.log('in_asm', () => inAsmText(bytes, at, length, BigInt.asUintN(64, BigInt(linear)), bits).slice(0, -1));
  }
  /** Takes the code that `locateCode` found in a device to a place in a page of its own; what was decoded from there before is void. */
  private copyFromDevice(place: number): number {
    const { arena, memory } = this.bus;
    this.devicePage ??= arena.allocate('cpu-device-code', 4096).offset;
    const phys = this.memory.physOfLast;
    const at = this.devicePage + place;
    this.blocks.invalidate(at, DEVICE_BYTES);
    for (let i = 0; i < DEVICE_BYTES; i++) arena.bytes[at + i] = memory.read(phys + i, 1);
    return at;
  }
  private devicePage: number | undefined;

  /** The limit of CS lies in the block or in front of it: where to go on. */
  private overLimit(): number {
    const { state, blocks, memory } = this;
    const isSingle = blocks.half(memory.record, RECORD.a) !== 0;
    memory.record = 0;
    if (isSingle || state.eip > state.segments[CS]!.limit) raise(state, VECTOR.GP, 0);
    return this.findBlock(MODE.single);
  }

  /** A direct branch was taken for the first time: finds its target and lets the branch lead there from now on. */
  private link(record: number): number {
    this.memory.record = 0;
    if (this.attention || this.state.i32[BUDGET]! <= 0) return 0;
    const { generation } = this.blocks;
    const slot = this.blocks.word(record, RECORD.a);
    const next = this.findBlock(0);
    if (next && !this.isUncached && this.blocks.generation === generation) this.blocks.setWord(slot, next);
    this.logEntry(next);
    return next;
  }
  /** `-d exec` and `-d cpu`: the block that is about to run. What compiled code and links reach by themselves is not shown unless
   *  `nochain` is on, as in QEMU. */
  private logEntry(record: number): void {
    const { bus, state } = this;
    if (record === 0 || !(bus.logs?.('exec') || bus.logs?.('cpu'))) return;
    state.interruptShadow = this.isShadowShown;
    bus.log('exec', () => execText(state, record, this.isUnchained));
    bus.log('cpu', () => cpuText(state, bus.logs!('fpu')));
    state.interruptShadow = false;
    this.isShadowShown = false;
  }

  private createLockStep({ hotCount, table }: ReturnType<X86Cpu['assemble']>): LockStep {
    const stop = (isLong: boolean) => {
      const slot = table.takeSlot();
      const { layout } = this;
      const name = `stop ${isLong ? 64 : 32} ${JSON.stringify(layout)}`;
      const { stop } = table.instantiate({ name, make: () => stopModule(layout, layout.journal!, isLong) });
      table.setSlot(slot, stop);
      return slot;
    };
    const slots = [stop(false), stop(true)] as const;
    const stopHandler = (isLong: boolean) => (isLong ? this.long().hotCount + slots[1] : hotCount + slots[0]);
    this.jit.stopHandler = stopHandler;
    const { blocks } = this;
    return new LockStep({
      arena: this.bus.arena,
      state: this.state,
      blocks,
      journal: this.layout.journal!,
      stopHandler,
      interpret: (record) => this.interpret(record),
      regionOf: (block) => this.jit.regionOf(block),
      lookup: () => this.lookup(),
      disassemble: ({ start, length }, linear, bits) =>
        inAsmText(this.bus.arena.bytes, start, length, BigInt.asUintN(bits === 64 ? 64 : 32, BigInt(linear)), bits),
    });
  }

  // -- generated code ------------------------------------------------------------------------------------------------

  /** As a native function: 1 where the instruction may fault. */
  private readTsc(): number {
    const { state, bus } = this;
    if (state.cr4 & CR4.TSD) return 1;
    const now = readTsc({ state, bus });
    const high = Math.floor(now / 2 ** 32);
    state.u32[TSC_LOW] = now - high * 2 ** 32;
    state.u32[TSC_HIGH] = high;
    return 0;
  }
  private long(): Interpreter {
    this.longInterpreter ??= this.makeLong();
    return this.longInterpreter;
  }
  private assemble(instantiate: Instantiate): Interpreter & {
    makeLong: () => Interpreter;
    /** Names by number. */
    helpers: readonly string[];
    table: FunctionTable;
  } {
    const { memory } = this;
    const context: HelperContext = {
      state: this.state,
      bus: this.bus,
      memory,
      ops: this.ops,
      activity: this.activity,
      link: (record) => this.link(record),
      findSplit: () => this.findSplit(),
      overLimit: () => this.overLimit(),
      flushPage: (linear) => this.flushPage(linear),
      get record() {
        return memory.record;
      },
      instructionEip: () => {
        if (this.isSystem) return this.systemEip;
        const pc = this.blocks.pc(memory.record);
        return this.state.u32[LONG]! ? this.state.rip + pc : (this.state.eip + pc) >>> 0;
      },
      interruptWaits: () => this.irqLine && (this.state.eflagsSystem & EFLAGS.IF) !== 0,
      pauseAtInstruction: () => {
        this.isPartial = true;
        this.rewind();
      },
      isStepped: () => this.isStepping,
      charge: (instructions) => this.charge(instructions),
    };
    const named = createHelpers(context);
    // Light ones first: they change neither segments nor privilege.
    const names = Object.keys(named).sort((x, y) => Number(LIGHT.has(y)) - Number(LIGHT.has(x)));
    const helpers: Helper[] = names.map((name) => named[name]!);
    const lightCount = LIGHT.size;
    const index = new Map(names.map((name, i) => [name, i]));
    InstructionEmitter.helperIndex = (name) => {
      const found = index.get(name);
      if (found === undefined) throw new Error(`no helper ${name}`);
      return found;
    };
    const table = new WebAssembly.Table({ element: 'anyfunc', initial: 64 });
    const slow = {
      slowRead: (linear: number, record: number, size: number) => memory.slowRead(linear, record, size),
      slowUpdate: (linear: number, record: number, size: number) => memory.slowUpdate(linear, record, size),
      slowWrite: (linear: number, value: number, size: number, record: number) =>
        memory.slowWrite(linear, value, size, record),
      slowReadLong: (low: number, high: number, record: number, size: number) =>
        memory.slowReadLong(low, high, record, size),
      slowUpdateLong: (low: number, high: number, record: number, size: number) =>
        memory.slowUpdateLong(low, high, record, size),
      slowWriteLong: (low: number, high: number, value: number, size: number, record: number) =>
        memory.slowWriteLong(low, high, value, size, record),
      storeScratch: (linear: number, record: number, size: number) => memory.storeScratch(linear, record, size),
      storeScratchLong: (low: number, high: number, record: number, size: number) =>
        memory.storeScratchLong(low, high, record, size),
      lookup: () => this.lookup(),
    };
    const { state, jumpCache } = this.layout;
    const paging = createPaging(
      this.bus.arena.memory,
      slow as Parameters<typeof createPaging>[1],
      state,
      jumpCache,
      memory.layout,
      this.paging ?? pagingFeatures(),
      instantiate,
    );
    // Lock-step takes back what compiled code wrote: bits of page tables would not be noted.
    if (this.paging && this.layout.journal === undefined) memory.setNative(paging);
    const natives = createNatives(this.bus.arena, state, memory.layout.tlb, paging, () => this.readTsc(), instantiate);
    const imports = {
      e: {
        lookup: slow.lookup,
        memory: this.bus.arena.memory,
        table,
        ...paging,
        commitUpdate: (record: number) => memory.commitUpdate(record),
        segmentCheck: (segment: number, offset: number, shape: number, record: number) => {
          memory.record = record;
          this.segmentCheck(context, segment, offset, shape, record);
        },
        helper: (id: number, record: number, a: number, b: number, c: number) => {
          memory.record = record;
          return helpers[id]!(a, b, c);
        },
        system: (id: number, record: number, a: number, b: number, c: number) => {
          memory.record = record;
          const { state, blocks } = this;
          if (this.runsLong) {
            const start = state.rip;
            this.systemEip = start + blocks.pc(record);
            state.rip = start + blocks.pc(record + RECORD.bytes);
          } else {
            const start = state.eip;
            this.systemEip = (start + blocks.pc(record)) >>> 0;
            state.eip = start + blocks.pc(record + RECORD.bytes);
          }
          this.isSystem = true;
          const result = helpers[id]!(a, b, c);
          this.isSystem = false;
          memory.record = 0;
          this.settleSystem(id < lightCount);
          return result;
        },
        hot: (record: number) => {
          if (this.jit.hot(record, this.linearEip)) this.stopAfter(GATHERING);
        },
        stopped: (record: number) => this.lockStep!.stopped(record),
      },
      n: natives,
    };
    const { legacy, makeLong, table: places } = createInterpreters(table, imports, this.layout, instantiate);
    return { ...legacy, makeLong, helpers: names, table: places };
  }

  /** A memory operand of 64-bit code has no canonical address: #GP, of a stack access #SS. Which it is the instruction tells. */
  private refuseAddress(): never {
    const { state, memory, blocks } = this;
    const at = state.rip + blocks.pc(memory.record);
    const code = Uint8Array.from({ length: MAX_LENGTH }, (_, i) => memory.read(at + i, 1));
    const d = decodeLong(code, 0, code.length);
    const isStack = d !== null && (d.memory === null || /^(push|pop)$/.test(d.instruction.name));
    const isString = d?.instruction.variants?.includes('addrSize');
    const isSs = !isString && (isStack || d?.memory?.segment === SS);
    return raise(state, isSs ? VECTOR.SS : VECTOR.GP, 0);
  }
  /** A limit check that the fast path could not decide. Segment -1: an effective-address record, the operand's size is in the next one. */
  private segmentCheck(context: HelperContext, segment: number, offset: number, shape: number, record: number): void {
    if (segment >= 0) {
      segmentAddress(context, segment, offset, shape & 0xff, (shape & 0x100) !== 0);
      return;
    }
    const { blocks } = this;
    const pointer = blocks.half(record, RECORD.imm2);
    const end = blocks.half(record, RECORD.imm2 + 2);
    const index = Math.floor((pointer - FIELDS.segments.offset) / FIELDS.segments.stride);
    let operation = record + RECORD.bytes;
    let form = this.interpreter.formOf(blocks.half(operation, RECORD.handler));
    if (!form) {
      operation += RECORD.bytes;
      form = this.interpreter.formOf(blocks.half(operation, RECORD.handler));
    }
    const operand = form?.operands.find((o) => o.kind === 'm');
    segmentAddress(context, index, offset, operand ? operand.width / 8 : 1, end - pointer === 24);
  }
}
