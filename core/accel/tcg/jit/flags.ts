/** Flags as a region keeps them between operations: which kind of operation, its result (sign-extended), one more word. */
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';

/** Low four bits of the kind; 32 - width stands above. The word is: canonical: flagAux; add, sub: the second operand; inc,
 *  dec: the carry flag; shifts: a word whose bit 0 is the carry flag. */
export const FLAG_KIND = { canonical: 0, add: 1, sub: 2, inc: 3, dec: 4, shl: 5, shr: 6, sar: 7 } as const;
export type FlagKind = keyof typeof FLAG_KIND;

const WIDE = {
  i32Add: OP.i64Add,
  i32Sub: OP.i64Sub,
  i32And: OP.i64And,
  i32Or: OP.i64Or,
  i32Xor: OP.i64Xor,
  i32Shl: OP.i64Shl,
} as const;

/** (kind, result, word) -> flagAux. In 64-bit code result and word have 64 bits, and 64 - width stands in the kind. */
export function emitFlagAux(w: FunctionWriter, isLong: boolean): void {
  const [kind, result, word] = [0, 1, 2];
  const type = isLong ? I64 : I32;
  const carries = w.local(type);
  const other = w.local(type);
  const aux = w.local(I32);
  const low = (op: keyof typeof WIDE) => w.op(isLong ? WIDE[op] : OP[op]);
  const number = (n: number) => (isLong ? w.i64(n) : w.i32(n));
  /** The upper 32 bits of what is on the stack, where the sign is. */
  const top = () => {
    if (!isLong) return;
    w.i64(32);
    w.op(OP.i64ShrU);
    w.op(OP.i32WrapI64);
  };
  const narrow = () => {
    if (isLong) w.op(OP.i32WrapI64);
  };
  const compareKind = (k: number) => {
    w.get(kind);
    w.i32(15);
    w.op(OP.i32And);
    w.i32(k);
  };
  const isKind = (k: number) => {
    compareKind(k);
    w.op(OP.i32Eq);
    w.block(OP.if, VOID);
  };
  const distance = () => {
    w.get(kind);
    w.i32(4);
    w.op(OP.i32ShrU);
    if (isLong) w.op(OP.i64ExtendI32U);
  };
  const carryTop = () => {
    w.get(word);
    narrow();
    w.i32(31);
    w.op(OP.i32Shl);
  };

  w.get(kind);
  w.op(OP.i32Eqz);
  w.block(OP.if, VOID);
  w.get(word);
  narrow();
  w.op(OP.return);
  w.end();

  // Shifts: C^O, still in bit 31. SHL: the sign; SHR: C, and the upper two bits of the result differ; SAR: C.
  compareKind(FLAG_KIND.shl);
  w.op(OP.i32GeU);
  w.block(OP.if, VOID);
  w.get(result);
  top();
  carryTop();
  w.get(result);
  w.get(result);
  // The bit below the sign stands at width - 2.
  distance();
  number(1);
  low('i32Add');
  low('i32Shl');
  low('i32Xor');
  top();
  w.i32(0);
  compareKind(FLAG_KIND.shr);
  w.op(OP.i32Eq);
  w.op(OP.select);
  w.op(OP.i32Xor);
  compareKind(FLAG_KIND.shl);
  w.op(OP.i32Eq);
  w.op(OP.select);
  w.i32(1);
  w.op(OP.i32ShrU);
  w.i32(0x4000_0000);
  w.op(OP.i32And);
  carryTop();
  w.op(OP.i32Or);
  w.op(OP.return);
  w.end();

  const inverted = () => {
    number(-1);
    low('i32Xor');
  };
  // (x & y) | ((x | y) & z) with x in `other`
  const majority = (isResultInverted: boolean) => {
    w.get(other);
    w.get(word);
    low('i32And');
    w.get(other);
    w.get(word);
    low('i32Or');
    w.get(result);
    if (isResultInverted) inverted();
    low('i32And');
    low('i32Or');
    w.set(carries);
  };
  isKind(FLAG_KIND.add);
  w.get(result);
  w.get(word);
  low('i32Sub');
  w.set(other);
  majority(true);
  w.end();
  isKind(FLAG_KIND.sub);
  w.get(result);
  w.get(word);
  low('i32Add');
  inverted();
  w.set(other);
  majority(false);
  w.end();
  isKind(FLAG_KIND.inc);
  // The operand was result - 1.
  w.get(result);
  number(1);
  low('i32Sub');
  w.get(result);
  inverted();
  low('i32And');
  w.set(carries);
  w.end();
  isKind(FLAG_KIND.dec);
  w.get(result);
  number(1);
  low('i32Add');
  inverted();
  w.get(result);
  low('i32And');
  w.set(carries);
  w.end();
  w.get(carries);
  distance();
  low('i32Shl');
  top();
  w.i32(0xc000_0000);
  w.op(OP.i32And);
  w.get(carries);
  narrow();
  w.i32(8);
  w.op(OP.i32And);
  w.op(OP.i32Or);
  w.set(aux);
  // INC and DEC keep C: CF and CF^OF change together.
  compareKind(FLAG_KIND.inc);
  w.op(OP.i32GeU);
  w.block(OP.if, VOID);
  w.get(aux);
  w.get(aux);
  carryTop();
  w.op(OP.i32Xor);
  w.i32(0x8000_0000);
  w.op(OP.i32And);
  w.tee(aux);
  w.get(aux);
  w.i32(1);
  w.op(OP.i32ShrU);
  w.op(OP.i32Or);
  w.op(OP.i32Xor);
  w.set(aux);
  w.end();
  w.get(aux);
}
