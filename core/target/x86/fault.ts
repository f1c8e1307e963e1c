/** Guest faults: the vector and error code stand in the CPU state, one preallocated object is thrown (a throw of a fresh
 *  Error through WebAssembly costs ten times more). */
import { type CpuState, FIELDS } from './state.ts';

/** Architectural vectors. */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

/** Says that a guest fault is described in the CPU state. Never constructed a second time. */
class GuestFault extends Error {}

/** The object that is thrown for every guest fault: compare by identity. */
export const GUEST_FAULT: Error = new GuestFault('guest fault');

/** Records the fault and leaves the instruction; nothing of it may have been committed yet. CR2 is set by the caller. */
export function raise(state: CpuState, vector: number, errorCode?: number): never {
  state.set(FIELDS.exceptionVector, vector);
  state.set(FIELDS.exceptionErrorCode, errorCode ?? 0);
  state.set(FIELDS.exceptionHasErrorCode, errorCode === undefined ? 0 : 1);
  throw GUEST_FAULT;
}
