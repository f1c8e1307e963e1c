/** What the code of a region leaves open until it becomes part of a module. */
import { NATIVES } from '../../../target/x86/semantics/natives.ts';

/** An address among the records of a block; where a block's code lies in the arena; the region's handler number; a native function; one
 *  of those in each module that look pages up. */
export const REFERENCE = { record: 0, code: 1, handler: 2, native: 3, find: 4 } as const;
/** (linear, bytes) -> addend, or 1: not by the TLB. `knownWrite`: the right to write as far as the TLB has it: a walk for it would set
 *  the page's dirty bit. */
export const FIND = { read: 0, knownWrite: 1, write: 2 } as const;

export const NATIVE_NAMES = Object.keys(NATIVES);
const NUMBERS = new Map(NATIVE_NAMES.map((name, i) => [name, i]));
export function nativeNumber(name: string): number {
  const number = NUMBERS.get(name);
  if (number === undefined) throw new Error(`no native function ${name}`);
  return number;
}
