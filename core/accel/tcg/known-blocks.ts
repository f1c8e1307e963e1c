/** Blocks that earlier runs of machines compiled, by what they consist of. Only a hint: what is known to get hot is compiled soon. */

import { FIELD_BYTES } from './address-fields.ts';

/** `member`: part of a region; `head`: a region begins with it. */
export const KNOWN = { no: 0, member: 1, head: 2 } as const;
export type Known = (typeof KNOWN)[keyof typeof KNOWN];

/** What code does, not where it lies: its bytes but those of addresses (address-fields.ts), its place in the page, and the mode, in 31
 *  bits. @param fields where in the code addresses begin, in rising order */
export function blockKey(
  bytes: Uint8Array,
  at: number,
  length: number,
  inPage: number,
  mode: number,
  fields: readonly number[] = [],
): number {
  let key = inPage | (mode << 12);
  let field = 0;
  for (let i = 0; i < length; i++) {
    if (i === fields[field]) {
      field++;
      i += FIELD_BYTES - 1;
    } else key = Math.imul(key ^ bytes[at + i]!, 0x0100_0193);
  }
  key = Math.imul(key ^ (key >>> 15), 0x85eb_ca6b);
  return (key ^ (key >>> 13)) & 0x7fff_ffff;
}
const FREE = -1;
const FORGOTTEN = -2;

export class KnownBlocks {
  /** Open addressing: key * 2 + 1 for heads, in as many bits as an integer of V8 has. */
  private readonly slots: Int32Array;
  private readonly mask: number;

  /** @param keys of members and of heads; a block may be both */
  constructor(members: Int32Array, heads: Int32Array) {
    let size = 64;
    while (size < 2 * (members.length + heads.length)) size *= 2;
    this.slots = new Int32Array(size).fill(FREE);
    this.mask = size - 1;
    for (const key of heads) this.add(key, KNOWN.head);
    for (const key of members) if (this.find(key) === KNOWN.no) this.add(key, KNOWN.member);
  }
  private add(key: number, known: Known): void {
    const { slots, mask } = this;
    let at = key & mask;
    while (slots[at] !== FREE) at = (at + 1) & mask;
    slots[at] = ((key & 0x3fff_ffff) << 1) | (known === KNOWN.head ? 1 : 0);
  }
  /** Where a key is, or -1. */
  private placeOf(key: number): number {
    const { slots, mask } = this;
    const wanted = key & 0x3fff_ffff;
    for (let at = key & mask; ; at = (at + 1) & mask) {
      const slot = slots[at]!;
      if (slot === FREE) return -1;
      if (slot !== FORGOTTEN && slot >>> 1 === wanted) return at;
    }
  }
  find(key: number): Known {
    const at = this.placeOf(key);
    if (at < 0) return KNOWN.no;
    return this.slots[at]! & 1 ? KNOWN.head : KNOWN.member;
  }
  forget(key: number): void {
    const at = this.placeOf(key);
    if (at >= 0) this.slots[at] = FORGOTTEN;
  }
}
