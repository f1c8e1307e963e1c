/** Bytes of VEX prefixes for tests that make code out of encodings. */
import type { Encoding } from '../decode/encoding.ts';

export interface VexChoice {
  /** Register that the prefix names; counts where an operand is it. */
  readonly register: number;
  /** Any number: picks length and W where they are ignored, and the two-byte form where that will do. */
  readonly choice: number;
  /** R, X and B as in REX, with W if it is ignored otherwise: for 64-bit code. */
  readonly rex?: number;
}
/** The prefix with its opcode. */
export function vexBytes(e: Encoding, { register, choice, rex }: VexChoice): number[] {
  const { lengths, wides } = e.vex!;
  const length = lengths[choice % lengths.length]!;
  const wide = rex !== undefined && wides.length > 1 ? (rex >> 3) & 1 : wides[(choice >> 1) % wides.length]!;
  const named = e.operands.some((o) => 'HBY'.includes(o.letter)) ? register & (rex === undefined ? 7 : 15) : 0;
  const mandatory = e.prefix === 0x66 ? 1 : e.prefix === 0xf3 ? 2 : e.prefix === 0xf2 ? 3 : 0;
  const last = (wide << 7) | ((~named & 15) << 3) | (length << 2) | mandatory;
  if (rex !== undefined) {
    const isShort = e.map === 1 && wide === 0 && (rex & 3) === 0 && (choice & 4) !== 0;
    if (isShort) return [0xc5, (last & 0x7f) | ((~rex & 4) << 5), e.opcode];
    return [0xc4, ((~rex & 7) << 5) | e.map, last, e.opcode];
  }
  if (e.map === 1 && wide === 0 && !(choice & 4)) return [0xc5, last | 0x80, e.opcode];
  return [0xc4, 0xe0 | e.map, last, e.opcode];
}
