/** What floating-point instructions on vectors share: forms, single numbers in the low lane, tests of magnitudes, the exact helper. */
import type { Operand, Ops } from './ops.ts';
import { lanes } from './vector.ts';

export type Precision = 's' | 'd';
export const FORMS = ['ps', 'pd', 'ss', 'sd'] as const;
export type FloatForm = (typeof FORMS)[number];
export const precisionOf = (form: FloatForm) => form[1] as Precision;
const PREFIXES = { ps: 'np', pd: '66', ss: 'f3', sd: 'f2' } as const;
export const floatEncoding = (form: FloatForm, opcode: string) =>
  `${PREFIXES[form]} 0f ${opcode} Vx,W${form[0] === 'p' ? 'x' : form[1] === 's' ? 'd' : 'q'}`;

export const TYPE = { s: 'f32x4', d: 'f64x2' } as const;
/** The lanes as integers, and the bitmask of all of them. */
export const WHOLE = { s: { ints: 'i32x4', mask: 15 }, d: { ints: 'i64x2', mask: 3 } } as const;

/** What the helper does: operation, format, one lane only. */
export const floatCode = (op: number, precision: Precision, isScalar: boolean) =>
  op | (precision === 'd' ? 0x100 : 0) | (isScalar ? 0x200 : 0);
/** In the helper, with every setting and flag of MXCSR; an operand in the code's upper half comes as a value. */
export function exactly<V>(o: Ops<V>, code: number, a: V, b: V, operand?: V): V {
  const number = o.const(code);
  const helper = o.form.vexPart === 'gather' ? 'vectorFloatGather' : 'vectorFloat';
  return o.callVector(helper, operand === undefined ? number : o.or(number, o.shl(operand, 16)), a, b);
}

/** What the fast path does not admit: through the native function for whole vectors, and in the helper where that gives up. Of
 *  scalars the lanes above are ones, which raise nothing. */
export function natively<V>(
  o: Ops<V>,
  name: string,
  operands: readonly [V, V],
  code: number,
  helped: readonly [V, V],
  store: (v: V) => void,
): void {
  if (o.form.vexPart === 'gather') {
    store(exactly(o, code, ...helped));
    return;
  }
  const result = o.native(name, ...operands);
  o.when(
    o.field('sseOutcome'),
    () => store(exactly(o, code, ...helped)),
    () => store(result),
    false,
  );
}
export const ones = <V>(o: Ops<V>, precision: Precision) =>
  lanes(o, precision === 's' ? [0, 0, 0x80, 0x3f] : [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);

/** An operand of 32 or 64 bits as a number. */
export function scalarOperand<V>(o: Ops<V>, src: Operand<V>, precision: Precision): V {
  return o.scalar(precision === 's' ? 'f32.reinterpret_i32' : 'f64.reinterpret_i64', src.load());
}
export const lowNumber = <V>(o: Ops<V>, precision: Precision, v: V) => o.lane(`${TYPE[precision]}.extract_lane`, 0, v);
export const withLow = <V>(o: Ops<V>, precision: Precision, v: V, number: V) =>
  o.lane(`${TYPE[precision]}.replace_lane`, 0, v, number);
export const floatVector = <V>(o: Ops<V>, precision: Precision, number: V) =>
  withLow(o, precision, lanes(o, [0]), number);

/** Windows of arithmetic: exponents of two where they begin, of the first number to look at and the other (vector-float.ts). */
export const WINDOWS = {
  add: { s: [-62, -62], d: [-510, -510] },
  sub: { s: [-62, -62], d: [-510, -510] },
  mul: { s: [-66, -62], d: [-514, -510] },
  div: { s: [-60, -64], d: [-508, -512] },
  sqrt: { s: -63, d: -511 },
} as const;
/** Twice the upper 32 bits of a power of two: where a window of magnitudes begins. */
const windowStart = (precision: Precision, exponent: number) =>
  precision === 's' ? (exponent + 127) << 24 : (exponent + 1023) << 21;
/** Sign bits of lanes whose magnitude is not in the window: 128 (double: 1024) powers of two from the exponent on. */
export function outside<V>(o: Ops<V>, precision: Precision, v: V, exponent: number): V {
  const { ints } = WHOLE[precision];
  const [size, start] = [precision === 's' ? 4 : 8, windowStart(precision, exponent)];
  const starts = Array.from({ length: 16 }, (_, i) => {
    const byte = (i % size) - (size - 4);
    return byte < 0 ? 0 : (start >>> (8 * byte)) & 0xff;
  });
  return o.simd(`${ints}.sub`, o.simd(`${ints}.add`, v, v), o.vector(starts));
}
/** The same of one number, by the upper 32 bits of its pattern. */
export const isOutside = <V>(o: Ops<V>, precision: Precision, top: V, exponent: number): V =>
  o.sub(o.shl(top, 1), o.const(windowStart(precision, exponent)));

/** The least normal number. */
export const LEAST = { s: [0, 0, 0x80, 0], d: [0, 0, 0, 0, 0, 0, 0x10, 0] } as const;
/** 2^31, and the last integer below it. */
export const INT_LIMIT = { s: [0, 0, 0, 0x4f], d: [0, 0, 0xc0, 0xff, 0xff, 0xff, 0xdf, 0x41] } as const;

/** Lanes that hold neither a NaN nor a denormal number. */
export function areOrdered<V>(o: Ops<V>, precision: Precision, v: V): V {
  const type = TYPE[precision];
  const least = lanes(o, LEAST[precision]);
  const isNormal = o.simd(`${type}.ge`, o.simd(`${type}.abs`, v), least);
  return o.simd('v128.or', isNormal, o.simd(`${type}.eq`, v, lanes(o, [0])));
}
