/** What differs in a kernel's code from one start to the next: addresses in immediates and displacements, which a kernel that is loaded
 *  to a random place changes in itself. Compiled code reads them where it runs, so that it is good for all of them. */
import { type Executable, RIP_BASE, read32 } from '../../target/x86/decode/decoder.ts';

export const FIELD_BYTES = 4;
/** Addresses of kernels lie in the upper half, but not where small negative numbers are. */
const HIGHEST = -0x80_0000;
/** Whether a field that was found may be an address. @param value signed */
export const isAddress = (value: number): boolean => value < HIGHEST;

/** How far from the start of an instruction such a displacement is; 0: there is none. */
export function displacementField(d: Executable, bytes: Uint8Array, at: number): number {
  const { memory, length, trailing } = d;
  if (memory === null || !isAddress(memory.displacement) || memory.base === RIP_BASE) return 0;
  const field = length - trailing - FIELD_BYTES;
  return read32(bytes, at + field) === memory.displacement ? field : 0;
}
/** The same of an immediate. */
export function immediateField(d: Executable, bytes: Uint8Array, at: number): number {
  if (d.trailing !== FIELD_BYTES) return 0;
  const field = d.length - FIELD_BYTES;
  for (const { kind, value } of d.operands)
    if (kind === 'i' && isAddress(value) && read32(bytes, at + field) === value) return field;
  return 0;
}
