/** Segment register loads and the instructions that look at descriptors: MOV/POP Sreg, LLDT, LTR, LAR, LSL, VERR, VERW.
 *  Intel SDM volume 3A chapter 5 and the instructions' pages in volume 2. Null selectors leave hidden parts as QEMU shows
 *  them: all zero. Long mode's descriptors of LDT and TSS have 16 bytes. */
import {
  type Descriptor,
  descriptorBase,
  descriptorDpl,
  descriptorLimit,
  descriptorType,
  findDescriptor,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  isWritableData,
  markAccessed,
  requireDescriptor,
  SYSTEM_TYPE,
  selectorError,
  setRealSegment,
  setSegment,
  usesDescriptors,
} from './context.ts';
import { raise, VECTOR } from './fault.ts';
import { loadSegmentQuickly } from './quick-transfer.ts';
import { CS, DESC, ES, FIELDS, FS, GS, isCanonical, LDTR, linearAddress, SS, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** Busy bit of a TSS descriptor's second word. */
export const TSS_BUSY = 1 << 9;

/** MOV/POP Sreg, LDS and friends. */
export function loadSegment(ctx: CpuContext, index: number, selector: number): void {
  const { state } = ctx;
  const register = state.segments[index]!;
  if (index === SS) state.set(FIELDS.trapInhibit, 1);
  if (loadSegmentQuickly(ctx, index, selector)) return;
  if (!usesDescriptors(state)) {
    setRealSegment(register, selector);
    return;
  }
  if (index === SS && (selector & 0xfffc) === 0 && state.code64 && state.cpl !== 3 && (selector & 3) === state.cpl) {
    register.set(selector, 0, 0, 0);
    return;
  }
  if (index === SS) {
    const d = checkStackSegment(ctx, selector, state.cpl, VECTOR.GP);
    setSegment(register, selector, markAccessed(ctx, d));
    return;
  }
  if ((selector & 0xfffc) === 0) {
    register.set(selector, 0, 0, 0);
    return;
  }
  setSegment(register, selector, markAccessed(ctx, checkDataSegment(ctx, selector, state.cpl, VECTOR.GP)));
}

/** Checks that DS, ES, FS or GS may hold a selector that is not null; raises `vector` (#GP, or #TS in a task switch) or #NP. */
export function checkDataSegment(ctx: CpuContext, selector: number, cpl: number, vector: number, ext = 0): Descriptor {
  const d = requireDescriptor(ctx, selector, vector, ext);
  const error = selectorError(selector, ext);
  const code = isCode(d);
  if (isSystem(d) || (code && !(d.high & DESC.writable))) raise(ctx.state, vector, error);
  if (!(code && isConforming(d))) {
    const dpl = descriptorDpl(d);
    if (cpl > dpl || (selector & 3) > dpl) raise(ctx.state, vector, error);
  }
  if (!isPresent(d)) raise(ctx.state, VECTOR.NP, error);
  return d;
}

/** Checks that SS may hold a selector at a privilege level; raises `vector`, or #SS when not present. */
export function checkStackSegment(ctx: CpuContext, selector: number, cpl: number, vector: number, ext = 0): Descriptor {
  if ((selector & 0xfffc) === 0) raise(ctx.state, vector, ext);
  const d = requireDescriptor(ctx, selector, vector, ext);
  const error = selectorError(selector, ext);
  if ((selector & 3) !== cpl || !isWritableData(d) || descriptorDpl(d) !== cpl) raise(ctx.state, vector, error);
  if (!isPresent(d)) raise(ctx.state, VECTOR.SS, error);
  return d;
}

/** Loads CS. Like QEMU and unlike hardware it leaves the accessed bit of code descriptors alone: the registers of a
 *  running guest then read the same under both. */
export function setCodeSegment(ctx: CpuContext, selector: number, d: Descriptor): void {
  setSegment(ctx.state.segments[CS]!, selector, d);
}

/** After a return to an outer level: data segments that the new level may not use become null. */
export function dropInnerSegments(ctx: CpuContext, cpl: number): void {
  for (let index = ES; index <= GS; index++) {
    if (index === CS || index === SS) continue;
    const register = ctx.state.segments[index]!;
    // In long mode the base of a null FS or GS is the MSR's.
    if (index >= FS && (register.selector & 0xfffc) === 0 && ctx.state.longMode) continue;
    const isConformingCode = (register.flags & (DESC.s | DESC.code | DESC.expandDown)) >>> 10 === 7;
    if (!isConformingCode && register.dpl < cpl) register.set(0, 0, 0, 0);
  }
}

export function lldt(ctx: CpuContext, selector: number): void {
  const { state } = ctx;
  const register = state.segments[LDTR]!;
  if ((selector & 0xfffc) === 0) {
    register.set(selector, 0, 0, register.flags);
    return;
  }
  if (selector & 4) raise(state, VECTOR.GP, selectorError(selector));
  const d = requireDescriptor(ctx, selector, VECTOR.GP);
  if (!isSystem(d) || descriptorType(d) !== SYSTEM_TYPE.ldt) raise(state, VECTOR.GP, selectorError(selector));
  if (!isPresent(d)) raise(state, VECTOR.NP, selectorError(selector));
  register.set(selector, systemBase(ctx, selector, d), descriptorLimit(d), d.high);
}

/** Base of an LDT or TSS; in long mode the descriptor has an upper half. */
function systemBase(ctx: CpuContext, selector: number, d: Descriptor): number {
  if (!ctx.state.longMode) return descriptorBase(d);
  const high = ctx.memory.read(d.address + 8, 4, true);
  const isBad = !isCanonical(high) || (ctx.memory.read(d.address + 12, 4, true) & 0x1f00) !== 0;
  if (isBad) raise(ctx.state, VECTOR.GP, selectorError(selector));
  return linearAddress(descriptorBase(d), high);
}

export function ltr(ctx: CpuContext, selector: number): void {
  const { state } = ctx;
  if ((selector & 0xfffc) === 0) raise(state, VECTOR.GP, 0);
  if (selector & 4) raise(state, VECTOR.GP, selectorError(selector));
  const d = requireDescriptor(ctx, selector, VECTOR.GP);
  const type = descriptorType(d);
  if (!isSystem(d) || ((type !== SYSTEM_TYPE.tss16 || state.longMode) && type !== SYSTEM_TYPE.tss32))
    raise(state, VECTOR.GP, selectorError(selector));
  if (!isPresent(d)) raise(state, VECTOR.NP, selectorError(selector));
  const base = systemBase(ctx, selector, d);
  ctx.memory.write(d.address + 4, 4, (d.high | TSS_BUSY) >>> 0, true);
  setTaskRegister(ctx, selector, d, base);
}

/** TR's hidden part never shows the busy bit, as in QEMU. */
export function setTaskRegister(ctx: CpuContext, selector: number, d: Descriptor, base = descriptorBase(d)): void {
  ctx.state.segments[TR]!.set(selector, base, descriptorLimit(d), d.high & ~TSS_BUSY);
}

/** Types that LAR accepts, one bit each; LSL takes those that have a limit. */
const LAR_TYPES = 0b0001_1010_0011_1110;
const LSL_TYPES = 0b0000_1010_0000_1110;
/** The same in long mode: no 16-bit TSS, no task gate; call gates are of 64 bits. */
const LONG_TYPES = 0b0001_1010_0000_0100;

/** The descriptor, if it may be looked at from here. */
function visibleDescriptor(ctx: CpuContext, selector: number, systemTypes: number): Descriptor | null {
  if ((selector & 0xfffc) === 0) return null;
  const d = findDescriptor(ctx, selector);
  if (!d) return null;
  const types = ctx.state.longMode ? systemTypes & LONG_TYPES : systemTypes;
  if (isSystem(d) && !((types >>> descriptorType(d)) & 1)) return null;
  return isCode(d) && isConforming(d) ? d : privileged(ctx, selector, d);
}

function privileged(ctx: CpuContext, selector: number, d: Descriptor): Descriptor | null {
  const dpl = descriptorDpl(d);
  return ctx.state.cpl > dpl || (selector & 3) > dpl ? null : d;
}

/** Access rights, or -1. */
export function lar(ctx: CpuContext, selector: number): number {
  const d = visibleDescriptor(ctx, selector, LAR_TYPES);
  return d ? d.high & 0x00f0_ff00 : -1;
}

/** Limit in bytes, or -1. */
export function lsl(ctx: CpuContext, selector: number): number {
  const d = visibleDescriptor(ctx, selector, LSL_TYPES);
  return d ? descriptorLimit(d) : -1;
}

/** Whether a segment may be read from here. */
export function verr(ctx: CpuContext, selector: number): boolean {
  const d = visibleDescriptor(ctx, selector, 0);
  return d !== null && !(isCode(d) && !(d.high & DESC.writable));
}

/** Whether a segment may be written from here. */
export function verw(ctx: CpuContext, selector: number): boolean {
  const d = visibleDescriptor(ctx, selector, 0);
  return d !== null && isWritableData(d);
}
