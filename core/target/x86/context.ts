/** What the system operations share: descriptor tables in memory, stack pushes with limit checks, selector error codes. */
import { raise, VECTOR } from './fault.ts';
import { type CpuState, CR0, DESC, EFLAGS, EFLAGS_ARITHMETIC, ESP, LDTR, type SegmentRegister, SS } from './state.ts';
import { ACCESS, type CpuContext } from './system-ops.ts';

/** A segment or system descriptor: its two words and what they say. */
export interface Descriptor {
  readonly low: number;
  readonly high: number;
  /** Linear address of the entry. */
  readonly address: number;
}

/** System descriptor types (S = 0). */
export const SYSTEM_TYPE = {
  tss16: 1,
  ldt: 2,
  tss16Busy: 3,
  callGate16: 4,
  taskGate: 5,
  interruptGate16: 6,
  trapGate16: 7,
  tss32: 9,
  tss32Busy: 11,
  callGate32: 12,
  interruptGate32: 14,
  trapGate32: 15,
} as const;

/** Protected mode without VM86: selectors name descriptors. */
export function usesDescriptors(state: CpuState): boolean {
  return (state.cr0 & CR0.PE) !== 0 && !(state.eflagsSystem & EFLAGS.VM);
}

export function descriptorBase(d: Descriptor): number {
  return ((d.low >>> 16) | ((d.high & 0xff) << 16) | (d.high & 0xff00_0000)) >>> 0;
}

/** Limit in bytes, granularity applied. */
export function descriptorLimit(d: Descriptor): number {
  const limit = (d.low & 0xffff) | (d.high & 0x000f_0000);
  return (d.high & DESC.granularity ? (limit << 12) | 0xfff : limit) >>> 0;
}

export function descriptorType(d: Descriptor): number {
  return (d.high >>> 8) & 15;
}

export function descriptorDpl(d: Descriptor): number {
  return (d.high >>> DESC.dplShift) & 3;
}

export function isPresent(d: Descriptor): boolean {
  return (d.high & DESC.present) !== 0;
}

export function isSystem(d: Descriptor): boolean {
  return !(d.high & DESC.s);
}

export function isCode(d: Descriptor): boolean {
  return (d.high & (DESC.s | DESC.code)) === (DESC.s | DESC.code);
}

export function isConforming(d: Descriptor): boolean {
  return (d.high & DESC.expandDown) !== 0;
}

/** Data segment that may be written. */
export function isWritableData(d: Descriptor): boolean {
  return (d.high & (DESC.s | DESC.code | DESC.writable)) === (DESC.s | DESC.writable);
}

/** What of a descriptor's second word stands in the hidden part: everything but base and limit bits 19:16 stays readable there. */
export function hiddenFlags(d: Descriptor): number {
  return d.high;
}

/** Loads hidden and visible part from a descriptor. */
export function setSegment(register: SegmentRegister, selector: number, d: Descriptor): void {
  register.set(selector, descriptorBase(d), descriptorLimit(d), hiddenFlags(d));
}

/** Hidden part of VM86 segments: 64 KiB of writable data at selector * 16, DPL 3. */
const VM86_FLAGS = DESC.present | DESC.s | DESC.writable | DESC.accessed | DESC.dpl;
export function setVm86Segment(register: SegmentRegister, selector: number): void {
  register.set(selector, (selector & 0xffff) << 4, 0xffff, VM86_FLAGS);
}

/** Real mode and VM86 loads change selector and base; limit and attributes stay ("unreal mode" depends on it). */
export function setRealSegment(register: SegmentRegister, selector: number): void {
  register.set(selector, (selector & 0xffff) << 4, register.limit, register.flags);
}

/** The descriptor a selector names, or null when it is null or outside of its table. May raise #PF. */
export function findDescriptor(ctx: CpuContext, selector: number): Descriptor | null {
  const { state } = ctx;
  const index = selector & 0xfff8;
  let base = state.gdtBase;
  let limit = state.gdtLimit;
  if (selector & 4) {
    const ldt = state.segments[LDTR]!;
    if (!(ldt.flags & DESC.present) || (ldt.selector & 0xfffc) === 0) return null;
    ({ base, limit } = ldt);
  } else if (index === 0) return null;
  if (index + 7 > limit) return null;
  return readDescriptor(ctx, base + index);
}

/** The eight bytes of a descriptor or gate. */
export function readDescriptor(ctx: CpuContext, address: number): Descriptor {
  const { memory } = ctx;
  const at = (address & 0xfff) <= 0xff8 && memory.window ? memory.window(address, ACCESS.read, true) : -1;
  if (at >= 0) {
    const view = memory.arenaView!;
    return { low: view.getUint32(at, true), high: view.getUint32(at + 4, true), address };
  }
  const low = memory.read(address, 4, true);
  return { low, high: memory.read(address + 4, 4, true), address };
}

/** As `findDescriptor`; outside of the table raises `vector` with the selector. */
export function requireDescriptor(ctx: CpuContext, selector: number, vector: number, ext = 0): Descriptor {
  const d = findDescriptor(ctx, selector);
  if (!d) raise(ctx.state, vector, selectorError(selector, ext));
  return d;
}

/** Error code that names a selector. */
export function selectorError(selector: number, ext = 0): number {
  return (selector & 0xfffc) | ext;
}

/** Sets the accessed bit in memory and returns the descriptor as it is now. */
export function markAccessed(ctx: CpuContext, d: Descriptor): Descriptor {
  if (d.high & DESC.accessed) return d;
  const high = (d.high | DESC.accessed) >>> 0;
  ctx.memory.write(d.address + 4, 4, high, true);
  return { ...d, high };
}

/** A stack that is being pushed to or popped from; the stack pointer is committed by the caller when nothing can fault any more. */
export class StackAccess {
  private readonly ctx: CpuContext;
  readonly base: number;
  readonly limit: number;
  readonly flags: number;
  /** ESP as far as it has moved. */
  sp: number;
  /** Accesses ignore CPL: the stack of another privilege level. */
  private readonly isSupervisor: boolean;
  /** Error code of #SS. */
  private readonly error: number;
  /** Page of the last access and where it lies in the arena (-1: not plain RAM). */
  private page = -1;
  private pageAccess = -1;
  private pageOffset = -1;
  private view: DataView | null = null;

  constructor(
    ctx: CpuContext,
    segment: { base: number; limit: number; flags: number },
    sp: number,
    isSupervisor: boolean,
    error = 0,
  ) {
    this.ctx = ctx;
    this.base = segment.base;
    this.limit = segment.limit;
    this.flags = segment.flags;
    this.sp = sp;
    this.isSupervisor = isSupervisor;
    this.error = error;
  }

  /** The current stack. */
  static current(ctx: CpuContext, error = 0): StackAccess {
    return new StackAccess(ctx, ctx.state.segments[SS]!, ctx.state.reg32(ESP), false, error);
  }

  get mask(): number {
    return this.flags & DESC.big ? 0xffff_ffff : 0xffff;
  }

  private linear(offset: number, size: number): number {
    const at = (offset & this.mask) >>> 0;
    const last = at + size - 1;
    const isInside =
      this.flags & DESC.expandDown && !(this.flags & DESC.code)
        ? at > this.limit && last <= this.mask >>> 0
        : last <= this.limit;
    if (!isInside) raise(this.ctx.state, VECTOR.SS, this.error);
    return (this.base + at) >>> 0;
  }

  push(size: 2 | 4, value: number): void {
    const sp = this.moved(-size);
    const linear = this.linear(sp, size);
    const at = this.locate(linear, size, ACCESS.write);
    if (at >= 0) {
      const view = this.view!;
      this.ctx.memory.noteWrite!(at, size);
      if (size === 4) view.setUint32(at, value, true);
      else view.setUint16(at, value, true);
    } else this.ctx.memory.write(linear, size, size === 2 ? value & 0xffff : value >>> 0, this.isSupervisor);
    this.sp = sp;
  }

  /** Where a word lies in the arena, or -1: the page is looked up once for a whole frame. */
  private locate(linear: number, size: number, access: 0 | 1): number {
    const inPage = linear & 0xfff;
    if (inPage + size > 4096) return -1;
    const page = linear >>> 12;
    if (page !== this.page || access !== this.pageAccess) {
      const { memory } = this.ctx;
      const at = memory.window ? memory.window(linear, access, this.isSupervisor) : -1;
      this.page = page;
      this.pageAccess = access;
      this.pageOffset = at < 0 ? -1 : at - inPage;
      this.view = at < 0 ? null : memory.arenaView!;
    }
    return this.pageOffset < 0 ? -1 : this.pageOffset + inPage;
  }

  pop(size: 2 | 4): number {
    const value = this.peek(0, size);
    this.sp = this.moved(size);
    return value;
  }

  /** Reads `offset` bytes above the stack pointer. */
  peek(offset: number, size: 2 | 4): number {
    const linear = this.linear((this.sp + offset) >>> 0, size);
    const at = this.locate(linear, size, ACCESS.read);
    if (at < 0) return this.ctx.memory.read(linear, size, this.isSupervisor);
    const view = this.view!;
    return size === 4 ? view.getUint32(at, true) : view.getUint16(at, true);
  }

  /** Adds to the stack pointer within its width. */
  moved(by: number): number {
    const { sp, mask } = this;
    return (((sp + by) & mask) | (sp & ~mask)) >>> 0;
  }

  skip(bytes: number): void {
    this.sp = this.moved(bytes);
  }
}

/** EFLAGS bits that exist, for images that come from memory. */
export const EFLAGS_DEFINED =
  EFLAGS_ARITHMETIC |
  EFLAGS.TF |
  EFLAGS.IF |
  EFLAGS.DF |
  EFLAGS.IOPL |
  EFLAGS.NT |
  EFLAGS.RF |
  EFLAGS.VM |
  EFLAGS.AC |
  EFLAGS.VIF |
  EFLAGS.VIP |
  EFLAGS.ID;

/** Flags that IRET and POPF may change at a privilege level; `size` 2 leaves the upper half alone. */
export function changeableFlags(cpl: number, iopl: number, size: 2 | 4): number {
  let mask = EFLAGS_DEFINED & ~(EFLAGS.IF | EFLAGS.IOPL | EFLAGS.VM | EFLAGS.VIF | EFLAGS.VIP);
  if (cpl <= iopl) mask |= EFLAGS.IF;
  if (cpl === 0) mask |= EFLAGS.IOPL | EFLAGS.VIF | EFLAGS.VIP;
  return size === 2 ? mask & 0xffff : mask;
}
