/** Translations of pages that are not RAM. Entries of the TLB that generated code reads have places in RAM only; what a guest reaches
 *  of a device (a timer's registers, a frame buffer by planes) would be looked for in its page tables at every access. */
import type { Access } from '../../target/x86/system-ops.ts';

/** Slots by page: a window of 128 KiB and some registers. */
const SLOTS = 64;

export class DevicePages {
  /** Linear address of the page and, below it, who accesses how; NaN: nothing. */
  private readonly tags = new Float64Array(SLOTS).fill(Number.NaN);
  private readonly frames = new Float64Array(SLOTS);
  private isEmpty = true;

  /** Physical address of what an access reaches, or -1. */
  find(linear: number, access: Access, isUser: boolean): number {
    const slot = slotOf(linear);
    return this.tags[slot] === tagOf(linear, access, isUser) ? this.frames[slot]! + (linear & 0xfff) : -1;
  }
  /** An access was translated. */
  add(linear: number, access: Access, isUser: boolean, phys: number): void {
    const slot = slotOf(linear);
    this.tags[slot] = tagOf(linear, access, isUser);
    this.frames[slot] = phys - (linear & 0xfff);
    this.isEmpty = false;
  }
  /** Anything may be mapped elsewhere. */
  clear(): void {
    if (this.isEmpty) return;
    this.tags.fill(Number.NaN);
    this.isEmpty = true;
  }
}

const slotOf = (linear: number) => (linear >>> 12) & (SLOTS - 1);
const tagOf = (linear: number, access: Access, isUser: boolean) =>
  linear - (linear & 0xfff) + access * 2 + (isUser ? 1 : 0);
