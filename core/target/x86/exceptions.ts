/** Interrupt and exception delivery: real mode, protected mode with interrupt, trap and task gates, VM86, software interrupts,
 *  double and triple faults. Intel SDM volume 3A chapter 6 and section 20.2 (VM86), INT in volume 2.
 *  Long mode's 16-byte gates are in long-mode.ts. */
import {
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
  StackAccess,
  SYSTEM_TYPE,
  selectorError,
  setRealSegment,
  setSegment,
  setVm86Segment,
} from './context.ts';
import { GUEST_FAULT, raise, VECTOR } from './fault.ts';
import { deliverLong } from './long-mode.ts';
import { deliverQuickly } from './quick-transfer.ts';
import { logRegisters } from './registers-text.ts';
import { checkStackSegment, setCodeSegment } from './segmentation.ts';
import { type CpuState, CR0, CR4, CS, DESC, DS, EFLAGS, ES, ESP, FIELDS, FS, GS, SS, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';
import { requireTss, setStackPointer, switchTask, type TaskSwitchSource } from './task-switch.ts';

/** What is delivered, and how. */
interface Event {
  readonly vector: number;
  /** `software`: INT n, INT3, INTO, whose gates are checked against CPL. `int1`: an instruction, but an event of its own. */
  readonly kind: 'exception' | 'interrupt' | 'software' | 'int1';
  /** Pushed where the vector has one. */
  readonly errorCode?: number | undefined;
}

/** EXT of error codes that delivery itself raises: the cause was not an instruction that asks for an interrupt. */
function extOf(event: Event): 0 | 1 {
  return event.kind === 'software' ? 0 : 1;
}

const FAULTS_WITH_RF = mask(
  VECTOR.DE,
  VECTOR.BR,
  VECTOR.UD,
  VECTOR.NM,
  VECTOR.TS,
  VECTOR.NP,
  VECTOR.SS,
  VECTOR.GP,
  VECTOR.PF,
  VECTOR.MF,
  VECTOR.AC,
  VECTOR.XM,
);
const CONTRIBUTORY = mask(VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP);

function mask(...vectors: number[]): number {
  return vectors.reduce((all, vector) => all | (1 << vector), 0);
}

function isContributory(vector: number): boolean {
  return vector < 32 && ((CONTRIBUTORY >>> vector) & 1) === 1;
}

/** Whether a second fault while delivering the first makes a double fault (SDM table 6-5). */
export function makesDoubleFault(first: number, second: number): boolean {
  if (first === VECTOR.PF) return second === VECTOR.PF || isContributory(second);
  return isContributory(first) && isContributory(second);
}

/** Delivers a fault or trap; what goes wrong meanwhile becomes the second fault, #DF or shutdown. Never throws a guest fault. */
export function deliverException(ctx: CpuContext, vector: number, errorCode: number | undefined): void {
  if (!isLogged(ctx) && deliverQuickly(ctx, vector, false, errorCode ?? -1, raisesRf(vector))) settle(ctx);
  else deliverChain(ctx, { vector, errorCode, kind: 'exception' });
}

/** Delivers an external interrupt. */
export function deliverInterrupt(ctx: CpuContext, vector: number): void {
  if (!isLogged(ctx) && deliverQuickly(ctx, vector, false, -1, false)) settle(ctx);
  else deliverChain(ctx, { vector, kind: 'interrupt' });
}

/** Whether every delivery has to be described. */
function isLogged(ctx: CpuContext): boolean {
  return ctx.bus.logs?.('int') ?? true;
}
/** Nothing is in flight any more. */
function settle(ctx: CpuContext): void {
  ctx.state.set(FIELDS.exceptionVector, 0xffff_ffff);
}

/** Delivers a non-maskable interrupt; further ones wait for IRET. */
export function deliverNmi(ctx: CpuContext): void {
  ctx.state.nmiBlocked = true;
  deliverInterrupt(ctx, VECTOR.NMI);
}

/** Deliveries in a row without an instruction between them. */
const MAX_ROUNDS = 64;

function deliverChain(ctx: CpuContext, first: Event): void {
  const { state, bus } = ctx;
  let event = first;
  if (first.kind === 'exception') bus.log('int', () => describeCheck(0xffff_ffff, first.vector));
  // A guest may build tables in which every delivery clears the way for the next one: such a machine shuts down.
  for (let round = 0; round < MAX_ROUNDS; round++) {
    try {
      const current = event;
      if (state.protectedMode || isExternal(event)) bus.log('int', () => describe(ctx, current));
      deliver(ctx, event);
      settle(ctx);
      return;
    } catch (error) {
      if (error !== GUEST_FAULT) throw error;
    }
    const failed = event;
    bus.log('int', () =>
      describeCheck(failed.kind === 'exception' ? failed.vector : 0xffff_ffff, state.low(FIELDS.exceptionVector)),
    );
    const next = followUp(state, event);
    if (!next) break;
    event = next;
  }
  settle(ctx);
  bus.tripleFault();
  ctx.requestExit();
}

/** What comes after a fault during delivery; null: shutdown. Ends: a benign event is followed by a fault, a contributory one
 *  by #PF or #DF, #PF by #DF only or by a benign one that delivery cannot raise. */
function followUp(state: CpuState, event: Event): Event | null {
  const second = state.low(FIELDS.exceptionVector);
  const errorCode = state.low(FIELDS.exceptionHasErrorCode) ? state.low(FIELDS.exceptionErrorCode) : undefined;
  if (event.kind === 'exception') {
    if (event.vector === VECTOR.DF) return null;
    if (makesDoubleFault(event.vector, second)) return { vector: VECTOR.DF, errorCode: 0, kind: 'exception' };
  }
  return { vector: second, errorCode, kind: 'exception' };
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function wide(state: CpuState, field: (typeof FIELDS)[keyof typeof FIELDS], index = 0): string {
  return hex(state.high(field, index), 8) + hex(state.low(field, index), 8);
}
/** A linear address as 64 bits. */
function hexAddress(linear: number): string {
  return hex(Math.floor(linear / 2 ** 32) >>> 0, 8) + hex(linear >>> 0, 8);
}

function describeCheck(oldVector: number, newVector: number): string {
  return `check_exception old: 0x${hex(oldVector, 1)} new 0x${hex(newVector, 1)}`;
}

function isExternal(event: Event): boolean {
  return event.kind === 'interrupt' && event.vector !== VECTOR.NMI;
}

let eventCount = 0;
/** A line as QEMU's `-d int` has it, and the registers; real mode has no such line. */
function describe(ctx: CpuContext, event: Event, instructionBytes = 0): string {
  const { state } = ctx;
  const servicing = isExternal(event) ? `Servicing hardware INT=0x${hex(event.vector, 2)}` : '';
  if (!state.protectedMode) return servicing;
  const count = String(eventCount++).padStart(6);
  const cs = state.segments[CS]!;
  const rip = state.rip - instructionBytes;
  const eip = state.code64 ? rip : rip >>> 0;
  const pc = state.code64 ? rip : (cs.base + rip) >>> 0;
  const last =
    event.vector === VECTOR.PF ? ` CR2=${wide(state, FIELDS.cr2)}` : ` env->regs[R_EAX]=${wide(state, FIELDS.gpr)}`;
  return (
    (servicing ? `${servicing}\n` : '') +
    `${count}: v=${hex(event.vector, 2)} e=${hex(event.errorCode ?? 0, 4)} i=${event.kind === 'software' ? 1 : 0} cpl=${state.cpl} ` +
    `IP=${hex(cs.selector, 4)}:${hexAddress(eip)} pc=${hexAddress(pc)} ` +
    `SP=${hex(state.segments[SS]!.selector, 4)}:${wide(state, FIELDS.gpr, ESP)}${last}\n${logRegisters(state, eip)}`
  );
}

/** INT n, INT3, INTO (when OF is set) and INT1. May fault; `state.eip` is the next instruction. */
export function softwareInterrupt(ctx: CpuContext, vector: number, kind: 'int' | 'int3' | 'into' | 'int1'): void {
  const { state } = ctx;
  ctx.activity.softInts[vector]!++;
  if (kind === 'int' && state.vm86) {
    if (state.cr4 & CR4.VME && redirectsToGuest(ctx, vector)) {
      deliverInVm86(ctx, vector);
      return;
    }
    if (state.iopl < 3) raise(state, VECTOR.GP, 0);
  }
  if (!isLogged(ctx) && deliverQuickly(ctx, vector, kind !== 'int1', -1, false)) {
    state.set(FIELDS.trapInhibit, 1);
    return;
  }
  const event: Event = { vector, kind: kind === 'int1' ? 'int1' : 'software' };
  if (state.protectedMode) ctx.bus.log('int', () => describe(ctx, event, kind === 'int' ? 2 : 1));
  deliver(ctx, event);
  state.set(FIELDS.trapInhibit, 1); // TF is that of the handler now
}

/** Where a TSS tells where its I/O permissions begin. */
const IO_MAP_BASE = 0x66;
const REDIRECTION_BYTES = 32;
/** CR4.VME: whether the map below the TSS's I/O permissions leaves INT n to the VM86 program's own table. */
function redirectsToGuest(ctx: CpuContext, vector: number): boolean {
  const { state, memory } = ctx;
  const tr = state.segments[TR]!;
  const is32 = ((tr.flags >>> 8) & 15 & ~2) === SYSTEM_TYPE.tss32;
  if (!is32 || !(tr.flags & DESC.present) || tr.limit < IO_MAP_BASE + 1) raise(state, VECTOR.GP, 0);
  const at = memory.read((tr.base + IO_MAP_BASE) >>> 0, 2, true) - REDIRECTION_BYTES + (vector >>> 3);
  if (at < 0 || at > tr.limit) raise(state, VECTOR.GP, 0);
  return ((memory.read((tr.base + at) >>> 0, 1, true) >>> (vector & 7)) & 1) === 0;
}

/** INT n through the table at linear address 0, without leaving VM86. Below IOPL 3 the virtual interrupt flag takes IF's place. */
function deliverInVm86(ctx: CpuContext, vector: number): void {
  const { state, memory } = ctx;
  const offset = memory.read(vector * 4, 2);
  const selector = memory.read(vector * 4 + 2, 2);
  const cs = state.segments[CS]!;
  const isVirtual = state.iopl < 3;
  let image = state.getEflags() & 0xffff;
  if (isVirtual) image = (image & ~EFLAGS.IF) | EFLAGS.IOPL | (state.eflagsSystem & EFLAGS.VIF ? EFLAGS.IF : 0);
  const stack = StackAccess.current(ctx);
  stack.push(2, image);
  stack.push(2, cs.selector);
  stack.push(2, state.eip);
  setStackPointer(ctx, stack.sp);
  setVm86Segment(cs, selector);
  state.eip = offset;
  state.setEflags(state.getEflags() & ~(EFLAGS.TF | EFLAGS.RF | (isVirtual ? EFLAGS.VIF : EFLAGS.IF)));
  state.set(FIELDS.trapInhibit, 1);
  state.interruptShadow = false;
}

function deliver(ctx: CpuContext, event: Event): void {
  const { vector, kind, errorCode } = event;
  if (ctx.state.longMode)
    deliverLong(ctx, vector, kind === 'software', extOf(event), errorCode, flagsImage(ctx, event));
  else if (ctx.state.cr0 & CR0.PE) deliverProtected(ctx, event);
  else deliverReal(ctx, event);
  ctx.state.interruptShadow = false;
}

function deliverReal(ctx: CpuContext, event: Event): void {
  const { state, memory } = ctx;
  const { vector } = event;
  if (vector * 4 + 3 > state.idtLimit) raise(state, VECTOR.GP, gateError(event));
  const entry = (state.idtBase + vector * 4) >>> 0;
  const offset = memory.read(entry, 2, true);
  const selector = memory.read((entry + 2) >>> 0, 2, true);
  const cs = state.segments[CS]!;
  const stack = StackAccess.current(ctx);
  stack.push(2, flagsImage(ctx, event));
  stack.push(2, cs.selector);
  stack.push(2, state.eip);
  setStackPointer(ctx, stack.sp);
  setRealSegment(cs, selector);
  state.eip = offset;
  state.setEflags(state.getEflags() & ~(EFLAGS.IF | EFLAGS.TF | EFLAGS.AC | EFLAGS.RF));
}

function gateError(event: Event): number {
  return event.vector * 8 + 2 + extOf(event);
}

/** Faults are restarted: RF keeps the instruction from hitting its own breakpoint again. */
function setsRf({ kind, vector }: Event): boolean {
  return kind === 'exception' && raisesRf(vector);
}
function raisesRf(vector: number): boolean {
  return vector < 32 && ((FAULTS_WITH_RF >>> vector) & 1) === 1;
}

function flagsImage(ctx: CpuContext, event: Event): number {
  const flags = ctx.state.getEflags() & ~EFLAGS.RF;
  return (setsRf(event) ? flags | EFLAGS.RF : flags) >>> 0;
}

function deliverProtected(ctx: CpuContext, event: Event): void {
  const { state } = ctx;
  const { vector } = event;
  const ext = extOf(event);
  if (vector * 8 + 7 > state.idtLimit) raise(state, VECTOR.GP, gateError(event));
  const gate = readDescriptor(ctx, state.idtBase + vector * 8);
  const type = descriptorType(gate);
  const isGate = isSystem(gate) && (type === SYSTEM_TYPE.taskGate || (type & 7) === 6 || (type & 7) === 7); // 16- and 32-bit
  if (!isGate) raise(state, VECTOR.GP, gateError(event));
  if (event.kind === 'software' && descriptorDpl(gate) < state.cpl) raise(state, VECTOR.GP, gateError(event));
  if (!isPresent(gate)) raise(state, VECTOR.NP, gateError(event));
  if (type === SYSTEM_TYPE.taskGate) {
    deliverThroughTask(ctx, event, gate.low >>> 16);
    return;
  }

  const size = type & 8 ? 4 : 2;
  const selector = gate.low >>> 16;
  const offset = size === 4 ? ((gate.low & 0xffff) | (gate.high & 0xffff_0000)) >>> 0 : gate.low & 0xffff;
  if ((selector & 0xfffc) === 0) raise(state, VECTOR.GP, ext);
  const code = requireDescriptor(ctx, selector, VECTOR.GP, ext);
  const error = selectorError(selector, ext);
  const dpl = descriptorDpl(code);
  if (!isCode(code) || dpl > state.cpl) raise(state, VECTOR.GP, error);
  if (!isPresent(code)) raise(state, VECTOR.NP, error);
  const isInner = !isConforming(code) && dpl < state.cpl;
  if (state.vm86 && (!isInner || dpl !== 0)) raise(state, VECTOR.GP, error);
  if (offset > descriptorLimit(code)) raise(state, VECTOR.GP, ext);

  const cs = state.segments[CS]!;
  const flags = flagsImage(ctx, event);
  const newCpl = isInner ? dpl : state.cpl;
  const wasVm86 = state.vm86;
  let stack: StackAccess;
  let ss: { selector: number; descriptor: Descriptor } | null = null;
  if (isInner) {
    const inner = innerStack(ctx, dpl, ext);
    ss = inner;
    stack = inner.stack;
    if (wasVm86) for (const index of [GS, FS, DS, ES]) stack.push(size, state.segments[index]!.selector);
    stack.push(size, state.segments[SS]!.selector);
    stack.push(size, state.reg32(ESP));
  } else stack = StackAccess.current(ctx, ext);
  stack.push(size, flags);
  stack.push(size, cs.selector);
  stack.push(size, state.eip);
  if (event.errorCode !== undefined) stack.push(size, event.errorCode);

  const newSs = ss && markAccessed(ctx, ss.descriptor);
  setCodeSegment(ctx, (selector & 0xfffc) | newCpl, code);
  if (ss && newSs) setSegment(state.segments[SS]!, ss.selector, newSs);
  setStackPointer(ctx, stack.sp);
  if (wasVm86) for (const index of [GS, FS, DS, ES]) state.segments[index]!.set(0, 0, 0, 0);
  state.cpl = newCpl;
  state.eip = offset;
  let cleared = EFLAGS.TF | EFLAGS.VM | EFLAGS.RF | EFLAGS.NT;
  if ((type & 1) === 0) cleared |= EFLAGS.IF;
  state.setEflags(state.getEflags() & ~cleared);
}

/** The stack that the TSS names for a privilege level, checked; pushes to it are supervisor accesses. */
export function innerStack(
  ctx: CpuContext,
  dpl: number,
  ext: number,
): { selector: number; descriptor: Descriptor; stack: StackAccess } {
  const { state, memory } = ctx;
  const tr = state.segments[TR]!;
  const type = (tr.flags >>> 8) & 15 & ~2;
  const is32 = type === SYSTEM_TYPE.tss32;
  const size = is32 ? 4 : 2;
  const at = size * (dpl * 2 + 1);
  const error = selectorError(tr.selector, ext);
  if (!(tr.flags & DESC.present) || (!is32 && type !== SYSTEM_TYPE.tss16)) raise(state, VECTOR.TS, error);
  if (at + size * 2 - 1 > tr.limit) raise(state, VECTOR.TS, error);
  const sp = memory.read((tr.base + at) >>> 0, size, true);
  const selector = memory.read((tr.base + at + size) >>> 0, 2, true);
  const descriptor = checkStackSegment(ctx, selector, dpl, VECTOR.TS, ext);
  const segment = { base: 0, limit: descriptorLimit(descriptor), flags: descriptor.high };
  segment.base = ((descriptor.low >>> 16) | ((descriptor.high & 0xff) << 16) | (descriptor.high & 0xff00_0000)) >>> 0;
  // The part of ESP above a 16-bit stack stays what it was.
  const stackPointer = descriptor.high & DESC.big ? sp : ((state.reg32(ESP) & 0xffff_0000) | (sp & 0xffff)) >>> 0;
  return {
    selector,
    descriptor,
    stack: new StackAccess(ctx, segment, stackPointer, true, selectorError(selector, ext)),
  };
}

function deliverThroughTask(ctx: CpuContext, event: Event, selector: number): void {
  const ext = extOf(event);
  const d = requireTss(ctx, selector, false, VECTOR.GP, ext);
  // Within `deliverChain` a fault in the new task is simply the next fault.
  if (event.kind === 'software' || event.kind === 'int1') switchTaskNow(ctx, selector, d, 'call', ext);
  else switchTask(ctx, selector, d, 'call', { errorCode: event.errorCode, ext, setsRf: setsRf(event) });
}

/** A task switch asked for by an instruction: faults before the commit are the instruction's, later ones the new task's. */
export function switchTaskNow(
  ctx: CpuContext,
  selector: number,
  d: Descriptor,
  source: TaskSwitchSource,
  ext = 0,
): void {
  let isCommitted = false;
  const onCommit = () => {
    isCommitted = true;
  };
  try {
    switchTask(ctx, selector, d, source, { ext, onCommit });
  } catch (error) {
    if (error !== GUEST_FAULT || !isCommitted) throw error;
    const { state } = ctx;
    const code = state.low(FIELDS.exceptionHasErrorCode) ? state.low(FIELDS.exceptionErrorCode) : undefined;
    deliverException(ctx, state.low(FIELDS.exceptionVector), code);
  }
}
