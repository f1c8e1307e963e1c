/** Operands in AT&T syntax, as capstone writes them: small numbers decimal, others hexadecimal. */
import { type DecodedOperand, type LongDecoded, type MemoryOperand, RIP_BASE } from '../decode/decoder.ts';
import { FIELDS } from '../state.ts';

const LOW = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const LOW_WITH_REX = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** General register by number and width. */
export function generalRegister(index: number, width: number, hasRex = false): string {
  if (width === 8) return index > 7 ? `r${index}b` : (hasRex ? LOW_WITH_REX : LOW)[index]!;
  if (index > 7) return `r${index}${width === 16 ? 'w' : width === 32 ? 'd' : ''}`;
  return width === 16 ? WORDS[index]! : `${width === 32 ? 'e' : 'r'}${WORDS[index]!}`;
}
export const segmentRegister = (index: number) => SEGMENTS[index]!;

/** A register operand from its place in the state block. */
export function registerName(o: DecodedOperand): string {
  const { gpr, xmm, fpr } = FIELDS;
  if (o.value >= xmm.offset && o.value < xmm.offset + 16 * 64) return `%xmm${(o.value - xmm.offset) / 64}`;
  if (o.value >= fpr.offset && o.value < fpr.offset + 8 * 16) return `%mm${(o.value - fpr.offset) / 16}`;
  const at = o.value - gpr.offset;
  const index = at >>> 3;
  // The second byte of a register is AH, CH, DH or BH.
  if (o.width === 8) return `%${at & 1 ? LOW[index + 4]! : generalRegister(index, 8, true)}`;
  return `%${generalRegister(index, o.width)}`;
}

/** Numbers up to 9 are decimal. */
export function number(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  const digits = magnitude > 9n ? `0x${magnitude.toString(16)}` : magnitude.toString();
  return value < 0n ? `-${digits}` : digits;
}

/** A memory operand. `displacement`: without what the decoder added; `segment`: an override, -1 for none. */
export function memoryText(
  d: LongDecoded,
  memory: MemoryOperand<16 | 32 | 64>,
  segment: number,
  displacement: number,
  bits: 16 | 32 | 64,
): string {
  const { base, index, scale, addrSize } = memory;
  const prefix = segment < 0 ? '' : `%${segmentRegister(segment)}:`;
  const isAbsolute = base < 0 && index < 0;
  let shown = BigInt(displacement);
  if (isAbsolute) {
    // An absolute offset of 64 bits, or a displacement that is extended to the size of addresses.
    const isOffset = d.encoding!.operands.some((o) => o.letter === 'O');
    if (isOffset && addrSize === 64) shown = (BigInt(d.high >>> 0) << 32n) | BigInt(displacement >>> 0);
    // A 16-bit displacement in 32-bit code is shown sign-extended.
    const isShort = addrSize === 16 && !isOffset;
    shown = isShort ? BigInt.asUintN(bits, BigInt.asIntN(16, shown)) : BigInt.asUintN(addrSize, shown);
  } else if (addrSize === 16) shown = BigInt.asIntN(16, shown);
  if (isAbsolute) return `${prefix}${number(shown)}`;
  const offset = shown === 0n ? '' : number(shown);
  const registers: string[] = [
    base < 0 ? '' : base === RIP_BASE ? (addrSize === 64 ? '%rip' : '%eip') : `%${generalRegister(base, addrSize)}`,
  ];
  if (index >= 0) {
    registers.push(`%${generalRegister(index, addrSize)}`);
    if (scale > 0) registers.push(String(1 << scale));
  }
  return `${prefix}${offset}(${registers.join(', ')})`;
}
