/** Far JMP, CALL and RET, call gates, IRET in all its forms, SYSENTER/SYSEXIT and legacy-mode SYSCALL/SYSRET.
 *  Intel SDM volume 3A sections 5.8 and 20.3 and the instructions' pages; AMD APM volume 3 for SYSCALL.
 *  Long mode has its own ways (long-mode.ts). */
import {
  changeableFlags,
  type Descriptor,
  descriptorDpl,
  descriptorLimit,
  descriptorType,
  EFLAGS_DEFINED,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  markAccessed,
  requireDescriptor,
  StackAccess,
  SYSTEM_TYPE,
  selectorError,
  setRealSegment,
  setSegment,
  setVm86Segment,
  usesDescriptors,
} from './context.ts';
import { hasBreakpoints } from './debug-registers.ts';
import { innerStack, switchTaskNow } from './exceptions.ts';
import { raise, VECTOR } from './fault.ts';
import {
  currentStack,
  farReturnLong,
  farTransferLong,
  iretLong,
  syscallLong,
  sysenterLong,
  sysexitLong,
  sysretLong,
} from './long-mode.ts';
import { iretQuickly } from './quick-transfer.ts';
import { checkStackSegment, dropInnerSegments, setCodeSegment } from './segmentation.ts';
import { CR4, CS, DESC, DS, EFER, EFLAGS, ES, ESP, FIELDS, FS, GS, SS, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';
import { requireTss, setStackPointer } from './task-switch.ts';

type OperandBytes = 2 | 4;
/** Of 64-bit code. */
type LongBytes = OperandBytes | 8;

/** Far JMP. */
export function farJump(ctx: CpuContext, selector: number, offset: number, size: LongBytes, high = 0): void {
  const { state } = ctx;
  if (state.longMode || size === 8) {
    farTransferLong(ctx, selector, longTarget(offset, high, size), size, false, () => 0);
    return;
  }
  const target = size === 2 ? offset & 0xffff : offset;
  if (!usesDescriptors(state)) {
    jumpReal(ctx, selector, target);
    return;
  }
  const d = requireTarget(ctx, selector);
  if (isSystem(d)) {
    jumpThroughSystemDescriptor(ctx, selector, d);
    return;
  }
  checkDirectCode(ctx, selector, d);
  enterCode(ctx, selector, d, target);
}

function longTarget(offset: number, high: number, size: LongBytes) {
  return { low: size === 2 ? offset & 0xffff : offset >>> 0, high: size === 8 ? high : 0 };
}

function jumpReal(ctx: CpuContext, selector: number, offset: number): void {
  const { state } = ctx;
  const cs = state.segments[CS]!;
  if (offset > cs.limit) raise(state, VECTOR.GP, 0);
  setRealSegment(cs, selector);
  state.eip = offset;
}

function requireTarget(ctx: CpuContext, selector: number): Descriptor {
  if ((selector & 0xfffc) === 0) raise(ctx.state, VECTOR.GP, 0);
  return requireDescriptor(ctx, selector, VECTOR.GP);
}

/** A code segment that is named by the instruction itself. */
function checkDirectCode(ctx: CpuContext, selector: number, d: Descriptor): void {
  const { state } = ctx;
  const error = selectorError(selector);
  const dpl = descriptorDpl(d);
  if (!isCode(d)) raise(state, VECTOR.GP, error);
  if (isConforming(d) ? dpl > state.cpl : (selector & 3) > state.cpl || dpl !== state.cpl)
    raise(state, VECTOR.GP, error);
  if (!isPresent(d)) raise(state, VECTOR.NP, error);
}

/** Commits CS:EIP at the current privilege level. */
function enterCode(ctx: CpuContext, selector: number, d: Descriptor, offset: number): void {
  const { state } = ctx;
  if (offset > descriptorLimit(d)) raise(state, VECTOR.GP, 0);
  setCodeSegment(ctx, (selector & 0xfffc) | state.cpl, d);
  state.eip = offset;
}

interface Gate {
  readonly size: OperandBytes;
  readonly selector: number;
  readonly offset: number;
  readonly parameters: number;
}

/** Checks a gate or TSS descriptor against CPL and RPL. */
function checkGateAccess(ctx: CpuContext, selector: number, d: Descriptor): void {
  const { state } = ctx;
  const dpl = descriptorDpl(d);
  if (dpl < state.cpl || dpl < (selector & 3)) raise(state, VECTOR.GP, selectorError(selector));
  if (!isPresent(d)) raise(state, VECTOR.NP, selectorError(selector));
}

function jumpThroughSystemDescriptor(ctx: CpuContext, selector: number, d: Descriptor): void {
  if (switchToTask(ctx, selector, d, 'jump')) return;
  const gate = decodeCallGate(ctx, selector, d);
  const code = gateTarget(ctx, gate);
  if (!isConforming(code) && descriptorDpl(code) !== ctx.state.cpl)
    raise(ctx.state, VECTOR.GP, selectorError(gate.selector));
  if (!isPresent(code)) raise(ctx.state, VECTOR.NP, selectorError(gate.selector));
  enterCode(ctx, gate.selector, code, gate.offset);
}

/** Task gates and TSS descriptors; false when the descriptor is neither. */
function switchToTask(ctx: CpuContext, selector: number, d: Descriptor, source: 'jump' | 'call'): boolean {
  const type = descriptorType(d);
  if (type === SYSTEM_TYPE.taskGate) {
    checkGateAccess(ctx, selector, d);
    const tss = d.low >>> 16;
    switchTaskNow(ctx, tss, requireTss(ctx, tss, false, VECTOR.GP), source);
    return true;
  }
  if ((type & ~2) !== SYSTEM_TYPE.tss16 && (type & ~2) !== SYSTEM_TYPE.tss32) return false;
  const dpl = descriptorDpl(d);
  if (dpl < ctx.state.cpl || dpl < (selector & 3)) raise(ctx.state, VECTOR.GP, selectorError(selector));
  switchTaskNow(ctx, selector, requireTss(ctx, selector, false, VECTOR.GP), source);
  return true;
}

function decodeCallGate(ctx: CpuContext, selector: number, d: Descriptor): Gate {
  const type = descriptorType(d);
  if (type !== SYSTEM_TYPE.callGate16 && type !== SYSTEM_TYPE.callGate32)
    raise(ctx.state, VECTOR.GP, selectorError(selector));
  checkGateAccess(ctx, selector, d);
  const size = type === SYSTEM_TYPE.callGate32 ? 4 : 2;
  return {
    size,
    selector: d.low >>> 16,
    offset: size === 4 ? ((d.low & 0xffff) | (d.high & 0xffff_0000)) >>> 0 : d.low & 0xffff,
    parameters: d.high & 31,
  };
}

/** The code segment that a call gate leads to; presence is checked by the caller. */
function gateTarget(ctx: CpuContext, gate: Gate): Descriptor {
  const code = requireTarget(ctx, gate.selector);
  if (!isCode(code) || descriptorDpl(code) > ctx.state.cpl) raise(ctx.state, VECTOR.GP, selectorError(gate.selector));
  return code;
}

/** Far CALL. */
export function farCall(ctx: CpuContext, selector: number, offset: number, size: LongBytes, high = 0): void {
  const { state } = ctx;
  if (state.longMode || size === 8) {
    const target = longTarget(offset, high, size);
    farTransferLong(ctx, selector, target, size, true, (bytes) => pushReturn(ctx, bytes).sp);
    return;
  }
  const target = size === 2 ? offset & 0xffff : offset;
  const cs = state.segments[CS]!;
  if (!usesDescriptors(state)) {
    if (target > cs.limit) raise(state, VECTOR.GP, 0);
    const stack = pushReturn(ctx, size);
    jumpReal(ctx, selector, target);
    setStackPointer(ctx, stack.sp);
    return;
  }
  const d = requireTarget(ctx, selector);
  if (isSystem(d)) {
    if (switchToTask(ctx, selector, d, 'call')) return;
    callThroughGate(ctx, decodeCallGate(ctx, selector, d));
    return;
  }
  checkDirectCode(ctx, selector, d);
  if (target > descriptorLimit(d)) raise(state, VECTOR.GP, 0);
  const stack = pushReturn(ctx, size);
  enterCode(ctx, selector, d, target);
  setStackPointer(ctx, stack.sp);
}

function pushReturn(ctx: CpuContext, size: OperandBytes, stack = StackAccess.current(ctx)): StackAccess {
  stack.push(size, ctx.state.segments[CS]!.selector);
  stack.push(size, ctx.state.eip);
  return stack;
}

function callThroughGate(ctx: CpuContext, gate: Gate): void {
  const { state } = ctx;
  const code = gateTarget(ctx, gate);
  if (!isPresent(code)) raise(state, VECTOR.NP, selectorError(gate.selector));
  if (gate.offset > descriptorLimit(code)) raise(state, VECTOR.GP, 0);
  const dpl = descriptorDpl(code);
  if (isConforming(code) || dpl === state.cpl) {
    const stack = pushReturn(ctx, gate.size);
    enterCode(ctx, gate.selector, code, gate.offset);
    setStackPointer(ctx, stack.sp);
    return;
  }
  const { size } = gate;
  const old = StackAccess.current(ctx);
  const inner = innerStack(ctx, dpl, 0);
  inner.stack.push(size, state.segments[SS]!.selector);
  inner.stack.push(size, state.reg32(ESP));
  for (let i = gate.parameters - 1; i >= 0; i--) inner.stack.push(size, old.peek(i * size, size));
  pushReturn(ctx, size, inner.stack);
  const ss = markAccessed(ctx, inner.descriptor);
  setCodeSegment(ctx, (gate.selector & 0xfffc) | dpl, code);
  setSegment(state.segments[SS]!, inner.selector, ss);
  setStackPointer(ctx, inner.stack.sp);
  state.cpl = dpl;
  state.eip = gate.offset;
}

/** RETF and RETF imm16. */
export function farReturn(ctx: CpuContext, size: LongBytes, popBytes: number): void {
  const { state } = ctx;
  if (state.longMode || size === 8) {
    farReturnLong(
      ctx,
      size,
      popBytes,
      currentStack(ctx, () => StackAccess.current(ctx)),
    );
    return;
  }
  const stack = StackAccess.current(ctx);
  const eip = stack.pop(size);
  const selector = stack.pop(size) & 0xffff;
  if (!usesDescriptors(state)) {
    jumpReal(ctx, selector, eip);
    stack.skip(popBytes);
    setStackPointer(ctx, stack.sp);
    return;
  }
  returnTo(ctx, stack, size, selector, eip, popBytes);
}

/** Return to a code segment at the same or an outer level; `stack` stands behind CS (and EFLAGS). */
function returnTo(
  ctx: CpuContext,
  stack: StackAccess,
  size: OperandBytes,
  selector: number,
  eip: number,
  popBytes: number,
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
  stack.skip(popBytes);
  if (rpl === state.cpl) {
    if (eip > descriptorLimit(code)) raise(state, VECTOR.GP, 0);
    setCodeSegment(ctx, selector, code);
    state.eip = eip;
    setStackPointer(ctx, stack.sp);
    return;
  }
  const sp = stack.pop(size);
  const ssSelector = stack.pop(size) & 0xffff;
  const ss = checkStackSegment(ctx, ssSelector, rpl, VECTOR.GP);
  if (eip > descriptorLimit(code)) raise(state, VECTOR.GP, 0);
  const accessed = markAccessed(ctx, ss);
  setCodeSegment(ctx, selector, code);
  setSegment(state.segments[SS]!, ssSelector, accessed);
  state.cpl = rpl;
  state.eip = eip;
  // RETF's immediate also leaves the outer stack; a 16-bit outer stack takes SP only.
  setStackPointer(ctx, (sp + popBytes) >>> 0);
  dropInnerSegments(ctx, rpl);
}

function mergeFlags(ctx: CpuContext, image: number, mask: number): void {
  const { state } = ctx;
  let flags = (state.getEflags() & ~mask) | (image & mask);
  // RF matters only to instruction breakpoints; without any it would merely linger.
  if (flags & EFLAGS.RF && !hasBreakpoints(state)) flags &= ~EFLAGS.RF;
  state.setEflags(flags);
}

/** IRET: real mode, VM86, same and outer level, to VM86, nested task. */
export function iret(ctx: CpuContext, size: LongBytes): void {
  const { state } = ctx;
  if (state.longMode || size === 8) {
    iretLong(
      ctx,
      size,
      currentStack(ctx, () => StackAccess.current(ctx)),
    );
    return;
  }
  if (size === 4 && iretQuickly(ctx)) return;
  if (usesDescriptors(state)) iretProtected(ctx, size);
  else iretReal(ctx, size);
  state.nmiBlocked = false;
}

function iretReal(ctx: CpuContext, size: OperandBytes): void {
  const { state } = ctx;
  const isVm86 = state.vm86;
  const isVirtual = isVm86 && state.iopl < 3;
  if (isVirtual && (!(state.cr4 & CR4.VME) || size !== 2)) raise(state, VECTOR.GP, 0);
  const stack = StackAccess.current(ctx);
  const eip = stack.pop(size);
  const selector = stack.pop(size) & 0xffff;
  const image = stack.pop(size);
  if (isVirtual) {
    const isWaiting = (state.eflagsSystem & EFLAGS.VIP) !== 0;
    if (image & EFLAGS.TF || (image & EFLAGS.IF && isWaiting)) raise(state, VECTOR.GP, 0);
  }
  jumpReal(ctx, selector, eip);
  setStackPointer(ctx, stack.sp);
  let mask = changeableFlags(0, 0, size) & ~(EFLAGS.VIF | EFLAGS.VIP);
  if (isVm86) mask &= ~EFLAGS.IOPL;
  if (isVirtual) {
    const virtual = image & EFLAGS.IF ? EFLAGS.VIF : 0;
    mergeFlags(ctx, (image & ~EFLAGS.VIF) | virtual, (mask & ~EFLAGS.IF) | EFLAGS.VIF);
    return;
  }
  mergeFlags(ctx, image, mask);
}

function iretProtected(ctx: CpuContext, size: OperandBytes): void {
  const { state } = ctx;
  if (state.eflagsSystem & EFLAGS.NT) {
    returnFromTask(ctx);
    return;
  }
  const stack = StackAccess.current(ctx);
  const eip = stack.pop(size);
  const selector = stack.pop(size) & 0xffff;
  const image = stack.pop(size);
  if (size === 4 && image & EFLAGS.VM && state.cpl === 0) {
    returnToVm86(ctx, stack, eip, selector, image);
    return;
  }
  const mask = changeableFlags(state.cpl, state.iopl, size);
  returnTo(ctx, stack, size, selector, eip, 0);
  mergeFlags(ctx, image, mask);
}

function returnFromTask(ctx: CpuContext): void {
  const { state } = ctx;
  const tr = state.segments[TR]!;
  const link = ctx.memory.read(tr.base, 2, true);
  if ((link & 0xfffc) === 0) raise(state, VECTOR.TS, selectorError(link));
  switchTaskNow(ctx, link, requireTss(ctx, link, true, VECTOR.TS), 'iret');
}

function returnToVm86(ctx: CpuContext, stack: StackAccess, eip: number, selector: number, image: number): void {
  const { state } = ctx;
  const esp = stack.pop(4);
  const ss = stack.pop(4);
  const [es, ds, fs, gs] = [stack.pop(4), stack.pop(4), stack.pop(4), stack.pop(4)];
  if (eip > 0xffff) raise(state, VECTOR.GP, 0);
  state.setEflags(image & EFLAGS_DEFINED);
  mergeFlags(ctx, image, EFLAGS_DEFINED);
  const selectors: [number, number][] = [
    [CS, selector],
    [SS, ss],
    [ES, es],
    [DS, ds],
    [FS, fs],
    [GS, gs],
  ];
  for (const [index, value] of selectors) setVm86Segment(state.segments[index]!, value);
  state.cpl = 3;
  state.eip = eip;
  state.setReg32(ESP, esp);
}

const FLAT_CODE = DESC.granularity | DESC.big | DESC.present | DESC.s | DESC.code | DESC.writable | DESC.accessed;
const FLAT_DATA = DESC.granularity | DESC.big | DESC.present | DESC.s | DESC.writable | DESC.accessed;

/** CS and SS as the fast system calls set them: flat, fixed attributes, no descriptor read. */
function setFlatSegments(ctx: CpuContext, cs: number, ss: number, dpl: number): void {
  const { state } = ctx;
  state.segments[CS]!.set(cs, 0, 0xffff_ffff, FLAT_CODE | (dpl << DESC.dplShift));
  state.segments[SS]!.set(ss, 0, 0xffff_ffff, FLAT_DATA | (dpl << DESC.dplShift));
  state.cpl = dpl;
}

/** `isIntel`: AMD's CPUs have neither SYSENTER nor SYSEXIT in 64-bit code. */
export function sysenter(ctx: CpuContext, isIntel: boolean): void {
  const { state } = ctx;
  if (state.code64 && !isIntel) raise(state, VECTOR.UD);
  const selector = state.low(FIELDS.sysenterCs) & 0xfffc;
  if (!state.protectedMode || selector === 0) raise(state, VECTOR.GP, 0);
  if (state.longMode) {
    state.set(FIELDS.eflagsSystem, (state.eflagsSystem & ~(EFLAGS.IF | EFLAGS.RF)) >>> 0);
    sysenterLong(ctx, selector);
    return;
  }
  state.set(FIELDS.eflagsSystem, (state.eflagsSystem & ~(EFLAGS.VM | EFLAGS.IF | EFLAGS.RF)) >>> 0);
  setFlatSegments(ctx, selector, selector + 8, 0);
  state.setReg32(ESP, state.low(FIELDS.sysenterEsp));
  state.eip = state.low(FIELDS.sysenterEip);
}

export function sysexit(ctx: CpuContext, size: LongBytes, isIntel: boolean): void {
  const { state } = ctx;
  if (state.code64 && !isIntel) raise(state, VECTOR.UD);
  const selector = state.low(FIELDS.sysenterCs) & 0xfffc;
  if (!state.protectedMode || selector === 0 || state.cpl !== 0) raise(state, VECTOR.GP, 0);
  if (state.longMode) {
    sysexitLong(ctx, selector, size);
    return;
  }
  setFlatSegments(ctx, (selector + 16) | 3, (selector + 24) | 3, 3);
  state.setReg32(ESP, state.reg32(1));
  state.eip = state.reg32(2);
}

export function syscall(ctx: CpuContext): void {
  const { state } = ctx;
  if (!(state.efer & EFER.SCE) || !state.protectedMode) raise(state, VECTOR.UD);
  if (state.longMode) {
    syscallLong(ctx);
    return;
  }
  const selector = state.high(FIELDS.star) & 0xfffc;
  state.setReg32(1, state.eip);
  state.setEflags(state.getEflags() & ~(EFLAGS.VM | EFLAGS.IF | EFLAGS.RF));
  setFlatSegments(ctx, selector, selector + 8, 0);
  state.eip = state.low(FIELDS.star);
}

export function sysret(ctx: CpuContext, size: LongBytes): void {
  const { state } = ctx;
  if (!(state.efer & EFER.SCE)) raise(state, VECTOR.UD);
  if (!state.protectedMode || state.cpl !== 0) raise(state, VECTOR.GP, 0);
  if (state.longMode) {
    sysretLong(ctx, size);
    return;
  }
  const selector = state.high(FIELDS.star) >>> 16;
  setFlatSegments(ctx, selector | 3, (selector + 8) | 3, 3);
  state.setEflags(state.getEflags() | EFLAGS.IF);
  state.eip = state.reg32(1);
}
