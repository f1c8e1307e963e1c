/** Where linear addresses lead, as generated code looks it up: 16-byte entries { linear, mode, record, code's place in the arena }.
 *  An entry counts while the TLB says that the address is executable and lies there; so it outlives address spaces and needs
 *  no flush of its own. */
import { FIELDS } from '../../../target/x86/state.ts';
import { I32, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { TLB } from '../interpreter/layout.ts';
import type { EngineLayout } from './instruction-emitter.ts';
import { emitTlbCheck } from './tlb-check.ts';

/** Numbers of the two entries that an address may have, as generated code finds them. */
export const jumpSlots = (linear: number): readonly [first: number, second: number] => [
  (linear ^ (linear >>> TLB.jumpHashShift)) & TLB.jumpMask,
  TLB.jumpEntries + (Math.imul(linear, TLB.secondFactor) >>> (32 - TLB.secondBits)),
];

/** Leaves the record of the block at `linear` (a local), or what `miss` leaves. `entry` and `translation` are locals to use. */
export function emitJumpLookup(
  w: FunctionWriter,
  layout: EngineLayout,
  linear: number,
  entry: number,
  translation: number,
  miss: () => void,
  isLong = false,
): void {
  // Of a 64-bit address the entry has the lower half; the TLB compares all of it.
  const low = () => {
    w.get(linear);
    if (isLong) w.op(OP.i32WrapI64);
  };
  const missIf = () => w.br(OP.brIf, 0, false);
  w.block(OP.block, I32);
  w.block(OP.block, VOID);
  low();
  low();
  w.i32(TLB.jumpHashShift);
  w.op(OP.i32ShrU);
  w.op(OP.i32Xor);
  w.i32(TLB.jumpMask);
  w.op(OP.i32And);
  w.i32(4);
  w.op(OP.i32Shl);
  w.tee(entry);
  w.memory(OP.i32Load, layout.jumpCache);
  low();
  w.op(OP.i32Ne);
  missIf();
  w.get(entry);
  w.memory(OP.i32Load, layout.jumpCache + 4);
  w.i32(0);
  w.memory(OP.i32Load, layout.state + FIELDS.mode.offset);
  w.op(OP.i32Ne);
  missIf();
  const last = () => w.get(linear);
  emitTlbCheck(w, { state: layout.state, low, last, right: TLB.execute, entry: translation, isLong }, true);
  missIf();
  w.get(translation);
  w.memory(OP.i32Load, TLB.addend);
  low();
  w.op(OP.i32Add);
  w.get(entry);
  w.memory(OP.i32Load, layout.jumpCache + 12);
  w.op(OP.i32Ne);
  missIf();
  w.get(entry);
  w.memory(OP.i32Load, layout.jumpCache + 8);
  w.br(OP.br, 1);
  w.end();
  miss();
  w.end();
}
