/** Addresses in a region's code that may differ another time (address-fields.ts). Those near each other are parts of one thing: code
 *  counts on their distance, as it does for fields of a structure, and reads one of them. */
import type { PlannedBlock, PlannedField } from './plan.ts';

/** Addresses no farther from each other keep their distance. */
const NEAR = 4096;

/** `at`: in the code of the region's blocks, one behind the other. `anchor`: position among all of the field from which it is so far;
 *  its own: none. */
export interface RegionField {
  readonly at: number;
  readonly anchor: number;
  readonly distance: number;
}
/** Where an anchor is: number of the block, offset in its code. */
interface Anchor {
  readonly position: number;
  readonly block: number;
  readonly offset: number;
  readonly value: number;
}
export interface FoundField {
  readonly anchor: Pick<Anchor, 'block' | 'offset'>;
  readonly distance: number;
}

export class RegionFields {
  readonly list: readonly RegionField[];
  private readonly found = new Map<PlannedField, FoundField>();

  constructor(blocks: readonly PlannedBlock[]) {
    const anchors: Anchor[] = [];
    const list: RegionField[] = [];
    let at = 0;
    blocks.forEach(({ fields, block: { length } }, block) => {
      for (const field of fields) {
        const { offset, value } = field;
        let anchor = anchors.find((known) => Math.abs(known.value - value) <= NEAR);
        if (!anchor) {
          anchor = { position: list.length, block, offset, value };
          anchors.push(anchor);
        }
        const distance = value - anchor.value;
        list.push({ at: at + offset, anchor: anchor.position, distance });
        this.found.set(field, { anchor, distance });
      }
      at += length;
    });
    this.list = list;
  }
  find(field: PlannedField): FoundField {
    const found = this.found.get(field);
    if (!found) throw new Error('an address is in none of the blocks of its region');
    return found;
  }
}
