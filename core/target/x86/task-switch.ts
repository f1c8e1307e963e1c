/** Hardware task switches through 16- and 32-bit TSS (Intel SDM volume 3A chapter 8).
 *  Everything that concerns the old task is checked first; faults while the new task's segments are loaded belong to the
 *  new task, as on hardware. Not modelled: task switches in long mode (they do not exist). */

import {
  type Descriptor,
  descriptorDpl,
  descriptorLimit,
  descriptorType,
  EFLAGS_DEFINED,
  findDescriptor,
  isCode,
  isConforming,
  isPresent,
  isSystem,
  markAccessed,
  requireDescriptor,
  StackAccess,
  SYSTEM_TYPE,
  selectorError,
  setSegment,
  setVm86Segment,
} from './context.ts';
import { logCr3 } from './control-registers.ts';
import { raise, VECTOR } from './fault.ts';
import { checkDataSegment, checkStackSegment, setCodeSegment, setTaskRegister, TSS_BUSY } from './segmentation.ts';
import { CR0, CS, DESC, DS, EFLAGS, ES, ESP, FIELDS, FS, GS, LDTR, SS, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** What asked for the switch: decides about busy bits, NT and the back link. */
export type TaskSwitchSource = 'jump' | 'call' | 'iret';

/** Offsets in a TSS. */
const TSS32 = { bytes: 0x68, cr3: 0x1c, eip: 0x20, eflags: 0x24, gpr: 0x28, segments: 0x48, ldt: 0x60, trap: 0x64 };
const TSS16 = { bytes: 0x2c, ip: 0x0e, flags: 0x10, gpr: 0x12, segments: 0x22, ldt: 0x2a };

/** The TSS that a selector names, checked for being there and of the right kind. `vector`: #GP, or #TS for a return. */
export function requireTss(ctx: CpuContext, selector: number, wantsBusy: boolean, vector: number, ext = 0): Descriptor {
  const { state } = ctx;
  const error = selectorError(selector, ext);
  if (selector & 4) raise(state, vector, error);
  const d = requireDescriptor(ctx, selector, vector, ext);
  const type = descriptorType(d);
  const isRight = wantsBusy
    ? type === SYSTEM_TYPE.tss16Busy || type === SYSTEM_TYPE.tss32Busy
    : type === SYSTEM_TYPE.tss16 || type === SYSTEM_TYPE.tss32;
  if (!isSystem(d) || !isRight) raise(state, vector, error);
  if (!isPresent(d)) raise(state, VECTOR.NP, error);
  return d;
}

interface TaskImage {
  readonly cr3: number | null;
  readonly eip: number;
  readonly eflags: number;
  readonly gpr: number[];
  readonly segments: number[];
  readonly ldt: number;
  readonly isTrapped: boolean;
}

function readImage(ctx: CpuContext, base: number, is32: boolean): TaskImage {
  const read = (offset: number, size: 2 | 4) => ctx.memory.read((base + offset) >>> 0, size, true);
  if (is32)
    return {
      cr3: ctx.state.paging ? read(TSS32.cr3, 4) : null,
      eip: read(TSS32.eip, 4),
      eflags: read(TSS32.eflags, 4),
      gpr: Array.from({ length: 8 }, (_, i) => read(TSS32.gpr + i * 4, 4)),
      segments: Array.from({ length: 6 }, (_, i) => read(TSS32.segments + i * 4, 2)),
      ldt: read(TSS32.ldt, 2),
      isTrapped: (read(TSS32.trap, 2) & 1) !== 0,
    };
  return {
    cr3: null,
    eip: read(TSS16.ip, 2),
    eflags: read(TSS16.flags, 2),
    // The upper halves are the old task's.
    gpr: Array.from({ length: 8 }, (_, i) => ((ctx.state.reg32(i) & 0xffff_0000) | read(TSS16.gpr + i * 2, 2)) >>> 0),
    segments: Array.from({ length: 6 }, (_, i) => (i < 4 ? read(TSS16.segments + i * 2, 2) : 0)),
    ldt: read(TSS16.ldt, 2),
    isTrapped: false,
  };
}

/** Writes the running task's registers into its TSS; the range has been probed. */
function saveOldTask(ctx: CpuContext, is32: boolean, eflags: number): void {
  const { state, memory } = ctx;
  const { base } = state.segments[TR]!;
  const size = is32 ? 4 : 2;
  const mask = is32 ? 0xffff_ffff : 0xffff;
  const layout = is32 ? { ip: TSS32.eip, flags: TSS32.eflags, ...pick(TSS32) } : { ...TSS16, ...pick(TSS16) };
  const write = (offset: number, value: number) =>
    memory.write((base + offset) >>> 0, size, (value & mask) >>> 0, true);
  write(layout.ip, state.eip);
  write(layout.flags, eflags);
  for (let i = 0; i < 8; i++) write(layout.gpr + i * size, state.reg32(i));
  for (let i = 0; i < (is32 ? 6 : 4); i++)
    memory.write((base + layout.segments + i * size) >>> 0, 2, state.segments[i]!.selector, true);
}

function pick(layout: { gpr: number; segments: number }): { gpr: number; segments: number } {
  return { gpr: layout.gpr, segments: layout.segments };
}

function setBusy(ctx: CpuContext, d: Descriptor, isBusy: boolean): void {
  const high = isBusy ? d.high | TSS_BUSY : d.high & ~TSS_BUSY;
  ctx.memory.write((d.address + 4) >>> 0, 4, high >>> 0, true);
}

/** Switches to the task whose TSS has been checked with `requireTss`. `state.eip` is what the old task resumes at.
 *  An error code is pushed on the new task's stack. After the commit faults are raised in the new task's context:
 *  then `onCommit` has been called. */
export function switchTask(
  ctx: CpuContext,
  selector: number,
  d: Descriptor,
  source: TaskSwitchSource,
  options: {
    readonly errorCode?: number | undefined;
    readonly ext?: number;
    readonly setsRf?: boolean;
    readonly onCommit?: () => void;
  } = {},
): void {
  const { state, memory } = ctx;
  const ext = options.ext ?? 0;
  const tr = state.segments[TR]!;
  const oldSelector = tr.selector;
  const oldIs32 = ((tr.flags >>> 8) & 15 & ~2) === SYSTEM_TYPE.tss32;
  const newIs32 = (descriptorType(d) & ~2) === SYSTEM_TYPE.tss32;
  const newLayout = newIs32 ? TSS32 : TSS16;
  if (descriptorLimit(d) < newLayout.bytes - 1) raise(state, VECTOR.TS, selectorError(selector, ext));
  const oldBytes = oldIs32 ? TSS32.bytes : TSS16.bytes;
  // Some systems keep the minimal TSS that only holds ring stacks; saving into less than a whole one is #TS.
  if (tr.limit < oldBytes - 1) raise(state, VECTOR.TS, selectorError(oldSelector, ext));

  memory.probeWrite(tr.base, oldBytes, true);
  const newBase = ((d.low >>> 16) | ((d.high & 0xff) << 16) | (d.high & 0xff00_0000)) >>> 0;
  memory.probeRead(newBase, newLayout.bytes, true);
  if (source === 'call') memory.probeWrite(newBase, 2, true);
  if (source !== 'iret') memory.probeWrite((d.address + 4) >>> 0, 4, true);
  const oldDescriptor = source === 'call' ? null : findDescriptor(ctx, oldSelector);
  if (oldDescriptor) memory.probeWrite((oldDescriptor.address + 4) >>> 0, 4, true);

  // The new image is read before the old one is saved only where both are the same memory on real chips, too: after.
  let eflags = state.getEflags();
  if (source === 'iret') eflags &= ~EFLAGS.NT;
  saveOldTask(ctx, oldIs32, options.setsRf ? eflags | EFLAGS.RF : eflags);
  const image = readImage(ctx, newBase, newIs32);
  if (source === 'call') memory.write(newBase, 2, oldSelector, true);
  if (oldDescriptor) setBusy(ctx, oldDescriptor, false);
  if (source !== 'iret') setBusy(ctx, d, true);

  setTaskRegister(ctx, selector, d);
  ctx.activity.modeSwitches++;
  state.cr0 = (state.cr0 | CR0.TS) >>> 0;
  if (image.cr3 !== null && image.cr3 !== state.low(FIELDS.cr3)) {
    state.cr3 = image.cr3;
    ctx.flushTlb(true);
  }
  if (image.cr3 !== null) logCr3(ctx);
  state.eip = image.eip;
  for (let i = 0; i < 8; i++) state.setReg32(i, image.gpr[i]!);
  let newFlags = newIs32
    ? image.eflags & EFLAGS_DEFINED
    : (image.eflags & 0xffff & EFLAGS_DEFINED) | (eflags & 0xffff_0000 & ~EFLAGS.VM);
  if (source === 'call') newFlags |= EFLAGS.NT;
  state.setEflags(newFlags);
  options.onCommit?.();
  loadNewSegments(ctx, image, newIs32, ext);
  finish(ctx, image, newIs32, options.errorCode);
}

/** Selectors become visible at once, hidden parts only after their checks: until then segments are unusable. */
function loadNewSegments(ctx: CpuContext, image: TaskImage, is32: boolean, ext: number): void {
  const { state } = ctx;
  const ldt = state.segments[LDTR]!;
  ldt.set(image.ldt & ~4, 0, 0, 0);
  if (state.vm86) {
    for (let i = ES; i <= GS; i++) setVm86Segment(state.segments[i]!, image.segments[i]!);
    state.cpl = 3;
    state.set(FIELDS.dr, state.low(FIELDS.dr, 7) & ~0x55, 7);
    loadNewLdt(ctx, image.ldt, ext);
    return;
  }
  for (let i = ES; i <= (is32 ? GS : DS); i++) state.segments[i]!.set(image.segments[i]!, 0, 0, 0);
  if (!is32) for (const i of [FS, GS]) state.segments[i]!.set(0, 0, 0, 0);
  const cs = image.segments[CS]!;
  state.cpl = cs & 3;
  // Local breakpoints belong to the task that set them.
  state.set(FIELDS.dr, state.low(FIELDS.dr, 7) & ~0x55, 7);
  loadNewLdt(ctx, image.ldt, ext);

  const error = selectorError(cs, ext);
  if ((cs & 0xfffc) === 0) raise(state, VECTOR.TS, error);
  const code = requireDescriptor(ctx, cs, VECTOR.TS, ext);
  const dpl = descriptorDpl(code);
  if (!isCode(code) || (isConforming(code) ? dpl > (cs & 3) : dpl !== (cs & 3))) raise(state, VECTOR.TS, error);
  if (!isPresent(code)) raise(state, VECTOR.NP, error);
  setCodeSegment(ctx, cs, code);
  const ss = image.segments[SS]!;
  setSegment(state.segments[SS]!, ss, markAccessed(ctx, checkStackSegment(ctx, ss, cs & 3, VECTOR.TS, ext)));
  for (const i of [ES, DS, FS, GS]) {
    const selector = image.segments[i]!;
    if ((selector & 0xfffc) === 0) continue;
    const data = checkDataSegment(ctx, selector, cs & 3, VECTOR.TS, ext);
    setSegment(state.segments[i]!, selector, markAccessed(ctx, data));
  }
}

function loadNewLdt(ctx: CpuContext, selector: number, ext: number): void {
  const { state } = ctx;
  const error = selectorError(selector, ext);
  if (selector & 4) raise(state, VECTOR.TS, error);
  if ((selector & 0xfffc) === 0) return;
  const d = requireDescriptor(ctx, selector, VECTOR.TS, ext);
  if (!isSystem(d) || descriptorType(d) !== SYSTEM_TYPE.ldt || !isPresent(d)) raise(state, VECTOR.TS, error);
  setSegment(state.segments[LDTR]!, selector, d);
}

function finish(ctx: CpuContext, image: TaskImage, is32: boolean, errorCode: number | undefined): void {
  const { state } = ctx;
  if (errorCode !== undefined) {
    const stack = StackAccess.current(ctx);
    stack.push(is32 ? 4 : 2, errorCode);
    setStackPointer(ctx, stack.sp);
  }
  if (state.eip > state.segments[CS]!.limit) raise(state, VECTOR.GP, 0);
  if (image.isTrapped) {
    state.set(FIELDS.dr, (state.low(FIELDS.dr, 6) | 0x8000) >>> 0, 6); // BT
    raise(state, VECTOR.DB);
  }
}

/** Commits a stack pointer: SP or ESP, by the stack segment's size. */
export function setStackPointer(ctx: CpuContext, sp: number): void {
  const { state } = ctx;
  if (state.segments[SS]!.flags & DESC.big) state.setReg32(ESP, sp);
  else state.setReg16(ESP, sp);
}
