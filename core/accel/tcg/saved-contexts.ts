/** Translations of process contexts that are not the current one (CR4.PCIDE; Intel SDM volume 3A section 4.10.1). The TLB that generated
 *  code reads has no field for a PCID: what is not global moves here when another context comes, and back when its own does. */
import { SLOT, TLB } from './interpreter/layout.ts';

const WORDS = TLB.entryBytes / 4;
const READ = TLB.read / 4;
const WRITE = TLB.write / 4;
const KIND = TLB.kind / 4;
/** Linux uses six at a time, twice that with page table isolation. */
const MOST = 16;

interface Saved {
  readonly slots: Uint16Array;
  readonly entries: Uint32Array;
}

export class SavedContexts {
  private readonly tlb: Uint32Array;
  /** The one that was saved last comes last. */
  private readonly saved = new Map<number, Saved>();
  constructor(tlb: Uint32Array) {
    this.tlb = tlb;
  }

  clear(): void {
    if (this.saved.size > 0) this.saved.clear();
  }
  forget(pcid: number): void {
    this.saved.delete(pcid);
  }
  /** Copies what is not global of the slots in use. No write rights: whoever takes them away (from pages that get code, or are
   *  logged) looks at the TLB alone; a write walks the page tables again. */
  save(pcid: number, filled: Uint16Array, count: number): void {
    const { tlb } = this;
    const slots = new Uint16Array(count);
    const entries = new Uint32Array(count * WORDS);
    let length = 0;
    for (let i = 0; i < count; i++) {
      const slot = filled[i]!;
      const at = slot * WORDS;
      if (tlb[at + KIND]! & SLOT.global || tlb[at + READ] === TLB.invalid) continue;
      const to = length * WORDS;
      for (let k = 0; k < WORDS; k++) entries[to + k] = tlb[at + k]!;
      entries[to + WRITE] = TLB.invalid;
      entries[to + KIND] = entries[to + KIND]! & ~SLOT.guarded;
      slots[length] = slot;
      length++;
    }
    this.saved.delete(pcid);
    this.saved.set(pcid, { slots: slots.subarray(0, length), entries: entries.subarray(0, length * WORDS) });
    if (this.saved.size > MOST) this.saved.delete(this.saved.keys().next().value!);
  }
  /** Puts entries back where no global one stands, or forgets them; gives the new number of slots in use. */
  restore(pcid: number, isKept: boolean, filled: Uint16Array, count: number): number {
    const { tlb } = this;
    const saved = this.saved.get(pcid);
    this.saved.delete(pcid);
    if (!saved || !isKept) return count;
    const { slots, entries } = saved;
    let used = count;
    for (let i = 0; i < slots.length; i++) {
      const at = slots[i]! * WORDS;
      if (tlb[at + KIND] !== 0) continue;
      for (let k = 0; k < WORDS; k++) tlb[at + k] = entries[i * WORDS + k]!;
      filled[used++] = slots[i]!;
    }
    return used;
  }
}
