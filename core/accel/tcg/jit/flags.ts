/** Flags as a region keeps them between operations: which kind of operation, its result (sign-extended), one more word. */
import { I32, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';

/** Low four bits of the kind; 32 - width stands above. The word is: canonical: flagAux; add, sub: the second operand; inc,
 *  dec: the carry flag; shifts: a word whose bit 0 is the carry flag. */
export const FLAG_KIND = { canonical: 0, add: 1, sub: 2, inc: 3, dec: 4, shl: 5, shr: 6, sar: 7 } as const;
export type FlagKind = keyof typeof FLAG_KIND;

/** Leaves flagAux of a shift: C in bit 31, C^O in bit 30. The result is sign-extended, so bit 31 is its sign at any width. */
function emitShiftAux(w: FunctionWriter): void {
  const [kind, result, word] = [0, 1, 2];
  const topOf = (value: number) => {
    w.get(value);
    w.i32(31);
    w.op(OP.i32Shl);
  };
  const isKind = (k: number) => {
    w.get(kind);
    w.i32(15);
    w.op(OP.i32And);
    w.i32(k);
    w.op(OP.i32Eq);
  };
  // C^O, still in bit 31: SHL: the sign; SHR: C, and the upper two bits of the result differ; SAR: C.
  w.get(result);
  topOf(word);
  w.get(result);
  // The bit below the sign stands at width - 2.
  w.get(result);
  w.get(kind);
  w.i32(4);
  w.op(OP.i32ShrU);
  w.i32(1);
  w.op(OP.i32Add);
  w.op(OP.i32Shl);
  w.op(OP.i32Xor);
  w.i32(0);
  isKind(FLAG_KIND.shr);
  w.op(OP.select);
  w.op(OP.i32Xor);
  isKind(FLAG_KIND.shl);
  w.op(OP.select);
  w.i32(1);
  w.op(OP.i32ShrU);
  w.i32(0x4000_0000);
  w.op(OP.i32And);
  topOf(word);
  w.op(OP.i32Or);
}

/** (kind, result, word) -> flagAux. */
export function emitFlagAux(w: FunctionWriter): void {
  const [kind, result, word] = [0, 1, 2];
  const carries = w.local(I32);
  const other = w.local(I32);
  const aux = w.local(I32);
  const isKind = (k: number) => {
    w.get(kind);
    w.i32(15);
    w.op(OP.i32And);
    w.i32(k);
    w.op(OP.i32Eq);
    w.block(OP.if, VOID);
  };
  // (x & y) | ((x | y) & z) with x in `other`
  const majority = (isResultInverted: boolean) => {
    w.get(other);
    w.get(word);
    w.op(OP.i32And);
    w.get(other);
    w.get(word);
    w.op(OP.i32Or);
    w.get(result);
    if (isResultInverted) {
      w.i32(-1);
      w.op(OP.i32Xor);
    }
    w.op(OP.i32And);
    w.op(OP.i32Or);
    w.set(carries);
  };
  w.get(kind);
  w.op(OP.i32Eqz);
  w.block(OP.if, VOID);
  w.get(word);
  w.op(OP.return);
  w.end();
  w.get(kind);
  w.i32(15);
  w.op(OP.i32And);
  w.i32(FLAG_KIND.shl);
  w.op(OP.i32GeU);
  w.block(OP.if, VOID);
  emitShiftAux(w);
  w.op(OP.return);
  w.end();
  isKind(FLAG_KIND.add);
  w.get(result);
  w.get(word);
  w.op(OP.i32Sub);
  w.set(other);
  majority(true);
  w.end();
  isKind(FLAG_KIND.sub);
  w.get(result);
  w.get(word);
  w.op(OP.i32Add);
  w.i32(-1);
  w.op(OP.i32Xor);
  w.set(other);
  majority(false);
  w.end();
  isKind(FLAG_KIND.inc);
  // The operand was result - 1.
  w.get(result);
  w.i32(1);
  w.op(OP.i32Sub);
  w.get(result);
  w.i32(-1);
  w.op(OP.i32Xor);
  w.op(OP.i32And);
  w.set(carries);
  w.end();
  isKind(FLAG_KIND.dec);
  w.get(result);
  w.i32(1);
  w.op(OP.i32Add);
  w.i32(-1);
  w.op(OP.i32Xor);
  w.get(result);
  w.op(OP.i32And);
  w.set(carries);
  w.end();
  w.get(carries);
  w.get(kind);
  w.i32(4);
  w.op(OP.i32ShrU);
  w.op(OP.i32Shl);
  w.i32(0xc000_0000);
  w.op(OP.i32And);
  w.get(carries);
  w.i32(8);
  w.op(OP.i32And);
  w.op(OP.i32Or);
  w.set(aux);
  // INC and DEC keep C: CF and CF^OF change together.
  w.get(kind);
  w.i32(15);
  w.op(OP.i32And);
  w.i32(FLAG_KIND.inc);
  w.op(OP.i32GeU);
  w.block(OP.if, VOID);
  w.get(aux);
  w.get(word);
  w.i32(31);
  w.op(OP.i32Shl);
  w.op(OP.i32Xor);
  w.i32(0x8000_0000);
  w.op(OP.i32And);
  w.tee(carries);
  w.get(carries);
  w.i32(1);
  w.op(OP.i32ShrU);
  w.op(OP.i32Or);
  w.get(aux);
  w.op(OP.i32Xor);
  w.set(aux);
  w.end();
  w.get(aux);
}
