/** Translations of process contexts that are not the current one (CR4.PCIDE; Intel SDM volume 3A section 4.10.1). The TLB that generated
 *  code reads has no field for a PCID: what is not global moves here when another context comes, and back when its own does. */
import { TLB } from './interpreter/layout.ts';

/** What a slot holds; `used` also while its tags are invalid but it stands in the list. `guarded`: the page may be written, but
 *  holds decoded code. */
export const SLOT = { used: 1, global: 2, large: 4, guarded: 8 } as const;

const WORDS = TLB.entryBytes / 4;
/** Linux uses six at a time, twice that with page table isolation. */
const MOST = 16;
const READ = TLB.read / 4;
const WRITE = TLB.write / 4;

interface Saved {
  readonly slots: Uint16Array;
  readonly kinds: Uint8Array;
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
  save(pcid: number, filled: Uint16Array, count: number, kind: Uint8Array): void {
    const slots = new Uint16Array(count);
    const kinds = new Uint8Array(count);
    const entries = new Uint32Array(count * WORDS);
    let length = 0;
    for (let i = 0; i < count; i++) {
      const slot = filled[i]!;
      const at = slot * WORDS;
      if (kind[slot]! & SLOT.global || this.tlb[at + READ] === TLB.invalid) continue;
      const to = length * WORDS;
      for (let k = 0; k < WORDS; k++) entries[to + k] = this.tlb[at + k]!;
      entries[to + WRITE] = TLB.invalid;
      slots[length] = slot;
      kinds[length] = kind[slot]! & ~SLOT.guarded;
      length++;
    }
    this.saved.delete(pcid);
    this.saved.set(pcid, {
      slots: slots.subarray(0, length),
      kinds: kinds.subarray(0, length),
      entries: entries.subarray(0, length * WORDS),
    });
    if (this.saved.size > MOST) this.saved.delete(this.saved.keys().next().value!);
  }
  /** Puts entries back where no global one stands, or forgets them; gives the new number of slots in use. */
  restore(pcid: number, isKept: boolean, filled: Uint16Array, count: number, kind: Uint8Array): number {
    const saved = this.saved.get(pcid);
    this.saved.delete(pcid);
    if (!saved || !isKept) return count;
    const { slots, kinds, entries } = saved;
    let used = count;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (kind[slot] !== 0) continue;
      for (let k = 0; k < WORDS; k++) this.tlb[slot * WORDS + k] = entries[i * WORDS + k]!;
      kind[slot] = kinds[i]!;
      filled[used++] = slot;
    }
    return used;
  }
}
