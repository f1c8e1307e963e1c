/** What the code of a region leaves open: where things lie in one machine stands in words of linear memory that the code reads, so that
 *  it is good for others; functions of its module are filled in when it becomes part of one. */
import { NATIVES } from '../../../target/x86/semantics/natives.ts';

/** Words: an address among the records of a block; where a block's code lies in the arena; the region's handler number; how far an
 *  entry is from the head; four bytes of a block's code. */
export const WORD = { record: 0, code: 1, handler: 2, entry: 3, field: 4 } as const;

/** What a reference of a region's code says: the number here of the native function that it calls. */
export const NATIVE_NAMES = Object.keys(NATIVES);
const NUMBERS = new Map(NATIVE_NAMES.map((name, i) => [name, i]));
export function nativeNumber(name: string): number {
  const number = NUMBERS.get(name);
  if (number === undefined) throw new Error(`no native function ${name}`);
  return number;
}
