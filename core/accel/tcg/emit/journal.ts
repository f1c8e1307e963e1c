/** The journal of guest memory that lock-step needs: generated code notes what stood at a place before it writes there.
 *  A ring in linear memory: one word with the offset of the next entry, one for stop.ts, then entries of 32 bytes { place, bytes, -, -, what stood there }. */
import type { Width } from '../../../target/x86/semantics/ops.ts';
import { OP } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { LOAD_U, STORE } from './graph.ts';

export const JOURNAL = {
  passes: 4,
  entries: 64,
  entryBytes: 32,
  old: 16,
  bytes: 64 + (1 << 20),
  mask: (1 << 20) - 1,
} as const;

/** Notes `bytes` bytes at the address in local `pointer` and `offset`; `next` is a local to use. */
export function emitJournal(
  w: FunctionWriter,
  journal: number,
  { pointer, offset }: { readonly pointer: number; readonly offset: number },
  bytes: number,
  next: number,
): void {
  const width = (8 * bytes) as Width;
  const at = journal + JOURNAL.entries;
  w.i32(0);
  w.memory(OP.i32Load, journal);
  w.tee(next);
  w.get(pointer);
  w.i32(offset);
  w.op(OP.i32Add);
  w.memory(OP.i32Store, at);
  w.get(next);
  w.i32(bytes);
  w.memory(OP.i32Store, at + 4);
  w.get(next);
  w.get(pointer);
  w.memory(LOAD_U[width], offset);
  w.memory(STORE[width], at + JOURNAL.old);
  w.i32(0);
  w.get(next);
  w.i32(JOURNAL.entryBytes);
  w.op(OP.i32Add);
  w.i32(JOURNAL.mask);
  w.op(OP.i32And);
  w.memory(OP.i32Store, journal);
}
