/** What long mode does its own way: interrupts through 16-byte gates, IRET, far transfers and call gates of 64 bits, SYSCALL, SYSRET,
 *  SYSENTER, SYSEXIT, SWAPGS. Intel SDM volume 3A sections 5.8, 6.14 and 8.2.3, volume 2 for the instructions; AMD APM volume 3 for
 *  SYSCALL from compatibility mode. As on AMD processors (and in QEMU) a target that is not canonical faults when it is fetched. */
import {
  changeableFlags,
  type Descriptor,
  descriptorDpl,
  descriptorLimit,
  descriptorType,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  markAccessed,
  readDescriptor,
  requireDescriptor,
  SYSTEM_TYPE,
  selectorError,
  setSegment,
} from './context.ts';
import { hasBreakpoints } from './debug-registers.ts';
import { raise, VECTOR } from './fault.ts';
import { checkStackSegment, dropInnerSegments, setCodeSegment } from './segmentation.ts';
import {
  CS,
  DESC,
  EAX,
  ECX,
  EDX,
  EFLAGS,
  ESP,
  FIELDS,
  GS,
  isCanonical,
  linearAddress,
  SS,
  type StateField,
  TR,
} from './state.ts';
import { ACCESS, type CpuContext } from './system-ops.ts';

type OperandBytes = 2 | 4 | 8;
const TWO32 = 0x1_0000_0000;
const R11 = 11;
const GATE_BYTES = 16;
const TSS_RSP0 = 4;
const TSS_IST1 = 0x24;
const LONG_CODE = DESC.long | DESC.big;

/** 64 bits as two words. */
interface Wide {
  readonly low: number;
  readonly high: number;
}
const narrow = (low: number): Wide => ({ low, high: 0 });
const wideOf = (ctx: CpuContext, field: StateField, index = 0): Wide => ({
  low: ctx.state.low(field, index),
  high: ctx.state.high(field, index),
});

/** A stack in 64-bit mode: no base, no limit; the pointer is committed by the caller. */
class LongStack {
  private readonly ctx: CpuContext;
  private readonly isSupervisor: boolean;
  private readonly error: number;
  sp: number;
  constructor(ctx: CpuContext, pointer: Wide, isSupervisor: boolean, error = 0) {
    this.ctx = ctx;
    this.isSupervisor = isSupervisor;
    this.error = error;
    if (!isCanonical(pointer.high)) raise(ctx.state, VECTOR.SS, error);
    this.sp = linearAddress(pointer.low, pointer.high);
  }
  static current(ctx: CpuContext): LongStack {
    return new LongStack(ctx, wideOf(ctx, FIELDS.gpr, ESP), false);
  }
  private check(at: number): void {
    if (!isCanonical(Math.floor(at / TWO32))) raise(this.ctx.state, VECTOR.SS, this.error);
  }
  push(size: OperandBytes, { low, high }: Wide): void {
    const { memory } = this.ctx;
    const at = this.sp - size;
    this.check(at);
    const place =
      size === 8 && (at & 0xfff) <= 0xff8 && memory.hit ? memory.hit(at, ACCESS.write, this.isSupervisor) : -1;
    if (place >= 0) {
      const view = memory.arenaView!;
      view.setUint32(place, low, true);
      view.setUint32(place + 4, high, true);
    } else if (size === 8) {
      memory.probeWrite(at, 8, this.isSupervisor);
      memory.write(at, 4, low >>> 0, this.isSupervisor);
      memory.write(at + 4, 4, high >>> 0, this.isSupervisor);
    } else memory.write(at, size, size === 2 ? low & 0xffff : low >>> 0, this.isSupervisor);
    this.sp = at;
  }
  pop(size: OperandBytes): Wide {
    const { memory } = this.ctx;
    this.check(this.sp);
    const at = this.sp;
    this.sp += size;
    if (size !== 8) return narrow(memory.read(at, size, this.isSupervisor));
    return { low: memory.read(at, 4, this.isSupervisor), high: memory.read(at + 4, 4, this.isSupervisor) };
  }
}

function isLongCode(d: Descriptor): boolean {
  return (d.high & DESC.long) !== 0;
}
/** L and D together are reserved. */
function checkCodeBits(ctx: CpuContext, d: Descriptor, error: number): void {
  if ((d.high & LONG_CODE) === LONG_CODE) raise(ctx.state, VECTOR.GP, error);
}
/** The upper half of an address in a descriptor of 16 bytes. */
function upperHalf(ctx: CpuContext, d: Descriptor): number {
  return ctx.memory.read(d.address + 8, 4, true);
}
function readTss(ctx: CpuContext, offset: number, ext: number): Wide {
  const { state, memory } = ctx;
  const tr = state.segments[TR]!;
  if (!(tr.flags & DESC.present) || offset + 7 > tr.limit) raise(state, VECTOR.TS, selectorError(tr.selector, ext));
  return { low: memory.read(tr.base + offset, 4, true), high: memory.read(tr.base + offset + 4, 4, true) };
}
/** SS when a privilege level is entered: null, with the level as RPL. */
function setNullStack(ctx: CpuContext, cpl: number): void {
  ctx.state.segments[SS]!.set(cpl, 0, 0, cpl << DESC.dplShift);
}

/** An exception or interrupt. `ext`: bit 0 of error codes that delivery raises; `isSoftware`: the gate is checked against CPL. */
export function deliverLong(
  ctx: CpuContext,
  vector: number,
  isSoftware: boolean,
  ext: number,
  errorCode: number | undefined,
  image: number,
): void {
  const { state } = ctx;
  const error = vector * 8 + 2 + ext;
  if (vector * GATE_BYTES + GATE_BYTES - 1 > state.idtLimit) raise(state, VECTOR.GP, error);
  const gate = readDescriptor(ctx, state.idtBase + vector * GATE_BYTES);
  const type = descriptorType(gate);
  if (!isSystem(gate) || (type & ~1) !== SYSTEM_TYPE.interruptGate32) raise(state, VECTOR.GP, error);
  if (isSoftware && descriptorDpl(gate) < state.cpl) raise(state, VECTOR.GP, error);
  if (!isPresent(gate)) raise(state, VECTOR.NP, error);
  const selector = gate.low >>> 16;
  const offset = { low: ((gate.low & 0xffff) | (gate.high & 0xffff_0000)) >>> 0, high: upperHalf(ctx, gate) };
  if ((selector & 0xfffc) === 0) raise(state, VECTOR.GP, ext);
  const code = requireDescriptor(ctx, selector, VECTOR.GP, ext);
  const codeError = selectorError(selector, ext);
  const dpl = descriptorDpl(code);
  if (!isCode(code) || dpl > state.cpl) raise(state, VECTOR.GP, codeError);
  if (!isPresent(code)) raise(state, VECTOR.NP, codeError);
  if ((code.high & LONG_CODE) !== DESC.long) raise(state, VECTOR.GP, codeError);

  const isInner = !isConforming(code) && dpl < state.cpl;
  const newCpl = isInner ? dpl : state.cpl;
  const ist = gate.high & 7;
  const pointer =
    ist !== 0
      ? readTss(ctx, TSS_IST1 + (ist - 1) * 8, ext)
      : isInner
        ? readTss(ctx, TSS_RSP0 + dpl * 8, ext)
        : wideOf(ctx, FIELDS.gpr, ESP);
  const aligned = { low: (pointer.low & ~15) >>> 0, high: pointer.high };
  const stack = new LongStack(ctx, aligned, newCpl !== 3, ext);
  const cs = state.segments[CS]!;
  stack.push(8, narrow(state.segments[SS]!.selector));
  stack.push(8, wideOf(ctx, FIELDS.gpr, ESP));
  stack.push(8, narrow(image));
  stack.push(8, narrow(cs.selector));
  stack.push(8, wideOf(ctx, FIELDS.rip));
  if (errorCode !== undefined) stack.push(8, narrow(errorCode));

  if (isInner) setNullStack(ctx, newCpl);
  setCodeSegment(ctx, (selector & 0xfffc) | newCpl, code);
  state.setReg64(ESP, stack.sp);
  state.cpl = newCpl;
  state.setParts(FIELDS.rip, offset.low, offset.high);
  const cleared = EFLAGS.TF | EFLAGS.VM | EFLAGS.RF | EFLAGS.NT | ((type & 1) === 0 ? EFLAGS.IF : 0);
  state.set(FIELDS.eflagsSystem, (state.eflagsSystem & ~cleared) >>> 0);
}

function mergeFlags(ctx: CpuContext, image: number, mask: number): void {
  const { state } = ctx;
  let flags = (state.getEflags() & ~mask) | (image & mask);
  if (flags & EFLAGS.RF && !hasBreakpoints(state)) flags &= ~EFLAGS.RF;
  state.setEflags(flags);
}

/** What a return needs of the stack that it leaves, in 64-bit or compatibility code. */
export interface ReturnStack {
  pop(size: OperandBytes): Wide;
  readonly sp: number;
}
/** The stack of the code that runs: of 64-bit code, else `legacy`. */
export function currentStack(ctx: CpuContext, legacy: () => { pop(size: 2 | 4): number; sp: number }): ReturnStack {
  if (ctx.state.code64) return LongStack.current(ctx);
  const stack = legacy();
  return {
    pop: (size) => (size === 8 ? { low: stack.pop(4), high: stack.pop(4) } : narrow(stack.pop(size))),
    get sp() {
      return stack.sp;
    },
  };
}

/** IRET. `stack`: as it stands. */
export function iretLong(ctx: CpuContext, size: OperandBytes, stack: ReturnStack): void {
  const { state } = ctx;
  if (state.eflagsSystem & EFLAGS.NT) raise(state, VECTOR.GP, 0);
  const isLong = state.code64;
  const rip = stack.pop(size);
  const selector = stack.pop(size).low & 0xffff;
  const image = stack.pop(size).low;
  const mask = changeableFlags(state.cpl, state.iopl, size === 2 ? 2 : 4) & ~EFLAGS.VM;
  returnLong(ctx, stack, size, selector, rip, 0, isLong);
  mergeFlags(ctx, image, mask);
  state.nmiBlocked = false;
}

/** RETF. */
export function farReturnLong(ctx: CpuContext, size: OperandBytes, popBytes: number, stack: ReturnStack): void {
  const rip = stack.pop(size);
  const selector = stack.pop(size).low & 0xffff;
  returnLong(ctx, stack, size, selector, rip, popBytes, false);
}

/** To a code segment at the same or an outer level. `popsAlways`: SS:RSP stand in the frame even without a change of level. */
function returnLong(
  ctx: CpuContext,
  stack: ReturnStack,
  size: OperandBytes,
  selector: number,
  rip: Wide,
  popBytes: number,
  popsAlways: boolean,
): void {
  const { state } = ctx;
  const error = selectorError(selector);
  if ((selector & 0xfffc) === 0) raise(state, VECTOR.GP, 0);
  const code = requireDescriptor(ctx, selector, VECTOR.GP);
  const rpl = selector & 3;
  const dpl = descriptorDpl(code);
  if (rpl < state.cpl || !isCode(code) || (isConforming(code) ? dpl > rpl : dpl !== rpl))
    raise(state, VECTOR.GP, error);
  if (!isPresent(code)) raise(state, VECTOR.NP, error);
  checkCodeBits(ctx, code, error);
  const isLong = isLongCode(code);
  const isOuter = rpl !== state.cpl;
  const wasLong = state.code64;
  let sp = stack.sp + popBytes;
  let stackPointer: Wide = { low: sp >>> 0, high: Math.floor(sp / TWO32) >>> 0 };
  if (!isOuter && !popsAlways) {
    checkTarget(ctx, code, rip);
    setCodeSegment(ctx, selector, code);
    state.setParts(FIELDS.rip, rip.low, isLong ? rip.high : 0);
    commitStack(ctx, stackPointer, wasLong);
    return;
  }
  for (let skipped = 0; skipped < popBytes; skipped += 2) stack.pop(2);
  stackPointer = stack.pop(size);
  const ssSelector = stack.pop(size).low & 0xffff;
  let ss: Descriptor | null = null;
  if ((ssSelector & 0xfffc) !== 0) ss = checkStackSegment(ctx, ssSelector, rpl, VECTOR.GP);
  else if (!isLong || rpl === 3) raise(state, VECTOR.GP, 0);
  else if ((ssSelector & 3) !== rpl) raise(state, VECTOR.GP, 0);
  checkTarget(ctx, code, rip);
  const accessed = ss && markAccessed(ctx, ss);
  setCodeSegment(ctx, selector, code);
  if (accessed) setSegment(state.segments[SS]!, ssSelector, accessed);
  else setNullStack(ctx, ssSelector);
  state.cpl = rpl;
  state.setParts(FIELDS.rip, rip.low, isLong ? rip.high : 0);
  if (popBytes !== 0) {
    sp = linearAddress(stackPointer.low, stackPointer.high) + popBytes;
    stackPointer = { low: sp >>> 0, high: Math.floor(sp / TWO32) >>> 0 };
  }
  commitStack(ctx, stackPointer, isLong);
  if (isOuter) dropInnerSegments(ctx, rpl);
}
function checkTarget(ctx: CpuContext, code: Descriptor, { low }: Wide): void {
  if (!isLongCode(code) && low > descriptorLimit(code)) raise(ctx.state, VECTOR.GP, 0);
}
/** RSP whole in 64-bit code, else as wide as the stack. */
function commitStack(ctx: CpuContext, { low, high }: Wide, isLong: boolean): void {
  const { state } = ctx;
  if (isLong) state.setParts(FIELDS.gpr, low, high, ESP);
  else if (state.segments[SS]!.flags & DESC.big) state.setReg32(ESP, low);
  else state.setReg16(ESP, low);
}

/** Far JMP or CALL with the selector of a code segment or of a call gate; nothing else may be named in long mode. */
export function farTransferLong(
  ctx: CpuContext,
  selector: number,
  target: Wide,
  size: OperandBytes,
  isCall: boolean,
  pushLegacy: (size: 2 | 4) => number,
): void {
  const { state } = ctx;
  if ((selector & 0xfffc) === 0) raise(state, VECTOR.GP, 0);
  const d = requireDescriptor(ctx, selector, VECTOR.GP);
  const error = selectorError(selector);
  if (isSystem(d)) {
    transferThroughGate(ctx, selector, d, isCall);
    return;
  }
  const dpl = descriptorDpl(d);
  if (!isCode(d)) raise(state, VECTOR.GP, error);
  if (isConforming(d) ? dpl > state.cpl : (selector & 3) > state.cpl || dpl !== state.cpl)
    raise(state, VECTOR.GP, error);
  if (!isPresent(d)) raise(state, VECTOR.NP, error);
  checkCodeBits(ctx, d, error);
  checkTarget(ctx, d, target);
  let sp: Wide | null = null;
  const wasLong = state.code64;
  if (isCall) {
    if (wasLong) {
      const stack = LongStack.current(ctx);
      pushReturn(ctx, stack, size);
      sp = { low: stack.sp >>> 0, high: Math.floor(stack.sp / TWO32) >>> 0 };
    } else sp = narrow(pushLegacy(size === 2 ? 2 : 4));
  }
  setCodeSegment(ctx, (selector & 0xfffc) | state.cpl, d);
  state.setParts(FIELDS.rip, target.low, isLongCode(d) ? target.high : 0);
  if (sp) commitStack(ctx, sp, wasLong);
}
function pushReturn(ctx: CpuContext, stack: LongStack, size: OperandBytes): void {
  stack.push(size, narrow(ctx.state.segments[CS]!.selector));
  stack.push(size, wideOf(ctx, FIELDS.rip));
}

function transferThroughGate(ctx: CpuContext, selector: number, gate: Descriptor, isCall: boolean): void {
  const { state } = ctx;
  const error = selectorError(selector);
  if (descriptorType(gate) !== SYSTEM_TYPE.callGate32) raise(state, VECTOR.GP, error);
  const gateDpl = descriptorDpl(gate);
  if (gateDpl < state.cpl || gateDpl < (selector & 3)) raise(state, VECTOR.GP, error);
  // The type of the upper half must be zero: it is no descriptor of its own.
  if (ctx.memory.read(gate.address + 12, 4, true) & 0x1f00) raise(state, VECTOR.GP, error);
  if (!isPresent(gate)) raise(state, VECTOR.NP, error);
  const target = gate.low >>> 16;
  const rip = { low: ((gate.low & 0xffff) | (gate.high & 0xffff_0000)) >>> 0, high: upperHalf(ctx, gate) };
  if ((target & 0xfffc) === 0) raise(state, VECTOR.GP, 0);
  const code = requireDescriptor(ctx, target, VECTOR.GP);
  const dpl = descriptorDpl(code);
  const codeError = selectorError(target);
  if (!isCode(code) || dpl > state.cpl) raise(state, VECTOR.GP, codeError);
  if (!isCall && !isConforming(code) && dpl !== state.cpl) raise(state, VECTOR.GP, codeError);
  if ((code.high & LONG_CODE) !== DESC.long) raise(state, VECTOR.GP, codeError);
  if (!isPresent(code)) raise(state, VECTOR.NP, codeError);
  const isInner = isCall && !isConforming(code) && dpl < state.cpl;
  const newCpl = isInner ? dpl : state.cpl;
  if (isCall) {
    const pointer = isInner ? readTss(ctx, TSS_RSP0 + dpl * 8, 0) : wideOf(ctx, FIELDS.gpr, ESP);
    const stack = new LongStack(ctx, pointer, newCpl !== 3);
    if (isInner) {
      stack.push(8, narrow(state.segments[SS]!.selector));
      stack.push(8, wideOf(ctx, FIELDS.gpr, ESP));
    }
    pushReturn(ctx, stack, 8);
    if (isInner) setNullStack(ctx, newCpl);
    state.setReg64(ESP, stack.sp);
  }
  setCodeSegment(ctx, (target & 0xfffc) | newCpl, code);
  state.cpl = newCpl;
  state.setParts(FIELDS.rip, rip.low, rip.high);
}

const FLAT = DESC.granularity | DESC.present | DESC.s | DESC.writable | DESC.accessed;
/** CS and SS as the fast system calls set them. */
function setFlat(ctx: CpuContext, cs: number, ss: number, dpl: number, isLong: boolean): void {
  const { state } = ctx;
  const level = dpl << DESC.dplShift;
  state.segments[CS]!.set(cs, 0, 0xffff_ffff, FLAT | DESC.code | (isLong ? DESC.long : DESC.big) | level);
  state.segments[SS]!.set(ss, 0, 0xffff_ffff, FLAT | DESC.big | level);
  state.cpl = dpl;
}

export function syscallLong(ctx: CpuContext): void {
  const { state } = ctx;
  const entry = state.code64 ? FIELDS.lstar : FIELDS.cstar;
  const selector = state.high(FIELDS.star) & 0xfffc;
  const flags = state.getEflags() & ~EFLAGS.RF;
  state.setParts(FIELDS.gpr, state.low(FIELDS.rip), state.high(FIELDS.rip), ECX);
  state.setParts(FIELDS.gpr, flags, 0, R11);
  setFlat(ctx, selector, selector + 8, 0, true);
  state.setEflags(flags & ~state.low(FIELDS.fmask));
  state.setParts(FIELDS.rip, state.low(entry), state.high(entry));
}

/** `size` 8: back to 64-bit code. */
export function sysretLong(ctx: CpuContext, size: OperandBytes): void {
  const { state } = ctx;
  const isLong = size === 8;
  const selector = state.high(FIELDS.star) >>> 16;
  const changeable = 0x003c_7fd7 & ~EFLAGS.VM;
  setFlat(ctx, ((isLong ? selector + 16 : selector) | 3) & 0xffff, ((selector + 8) | 3) & 0xffff, 3, isLong);
  state.setEflags((state.low(FIELDS.gpr, R11) & changeable) | 2);
  state.setParts(FIELDS.rip, state.low(FIELDS.gpr, ECX), isLong ? state.high(FIELDS.gpr, ECX) : 0);
}

export function sysenterLong(ctx: CpuContext, selector: number): void {
  const { state } = ctx;
  setFlat(ctx, selector, selector + 8, 0, true);
  state.setParts(FIELDS.gpr, state.low(FIELDS.sysenterEsp), state.high(FIELDS.sysenterEsp), ESP);
  state.setParts(FIELDS.rip, state.low(FIELDS.sysenterEip), state.high(FIELDS.sysenterEip));
}

export function sysexitLong(ctx: CpuContext, selector: number, size: OperandBytes): void {
  const { state } = ctx;
  const isLong = size === 8;
  const [cs, ss] = isLong ? [selector + 32, selector + 40] : [selector + 16, selector + 24];
  setFlat(ctx, (cs | 3) & 0xffff, (ss | 3) & 0xffff, 3, isLong);
  state.setParts(FIELDS.gpr, state.low(FIELDS.gpr, ECX), isLong ? state.high(FIELDS.gpr, ECX) : 0, ESP);
  state.setParts(FIELDS.rip, state.low(FIELDS.gpr, EDX), isLong ? state.high(FIELDS.gpr, EDX) : 0);
}

/** Exchanges the base of GS with the MSR's. */
export function swapgs(ctx: CpuContext): void {
  const { state } = ctx;
  if (state.cpl !== 0) raise(state, VECTOR.GP, 0);
  const base = FIELDS.segments.offset + GS * FIELDS.segments.stride;
  const [low, high] = [state.u32[base >>> 2]!, state.u32[(base >>> 2) + 1]!];
  state.segments[GS]!.setBase(state.low(FIELDS.kernelGsBase), state.high(FIELDS.kernelGsBase));
  state.setParts(FIELDS.kernelGsBase, low, high);
}

/** RDX:RAX by 64 bits; rare, so whole numbers of any length will do. #DE when the quotient does not fit. */
export function divide128(ctx: CpuContext, divisorLow: number, divisorHigh: number, isSigned: boolean): void {
  const { state } = ctx;
  const word = (low: number, high: number) => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  const register = (index: number) => word(state.low(FIELDS.gpr, index), state.high(FIELDS.gpr, index));
  const whole = (register(EDX) << 64n) | register(EAX);
  const dividend = isSigned ? BigInt.asIntN(128, whole) : whole;
  const raw = word(divisorLow, divisorHigh);
  const divisor = isSigned ? BigInt.asIntN(64, raw) : raw;
  const quotient = dividend / divisor;
  const kept = isSigned ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient);
  if (kept !== quotient) raise(state, VECTOR.DE);
  const put = (index: number, value: bigint) => {
    const bits = BigInt.asUintN(64, value);
    state.setParts(FIELDS.gpr, Number(bits & 0xffff_ffffn), Number(bits >> 32n), index);
  };
  put(EAX, quotient);
  put(EDX, dividend % divisor);
}
