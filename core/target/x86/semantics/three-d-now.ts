/** AMD's 3DNow! and its extensions: pairs of singles in MMX registers (3DNow! Technology Manual, 21928; Extensions, 22466). The opcode
 *  is a byte behind the operands. As in QEMU, whose guests are what there is to compare with, arithmetic is IEEE 754 rounded to
 *  nearest: results beyond the range are infinities where the manual has the largest number, denormals are kept where it has zeros,
 *  and reciprocals are quotients that the steps of Newton's method leave alone. What a NaN gives the manual leaves open. */
import type { SimdName } from '../../../wasm/simd.ts';
import { instruction, type Ops } from './ops.ts';
import { type Binary, binary, enterMmx, lanes } from './vector.ts';

const bytesOf = (...words: number[]) => words.flatMap((word) => [0, 1, 2, 3].map((i) => 4 * word + i));
/** The numbers of both operands: from 0 on the first's, from 4 on the second's. */
const words = <V>(o: Ops<V>, a: V, b: V, first: number, second: number) =>
  o.shuffle(a, b, bytesOf(first, second, first, second));
const SIGN = [0, 0, 0, 0x80];
const QUIET = [0, 0, 0x40, 0];
const INDEFINITE = [0, 0, 0xc0, 0xff];
const ONE = [0, 0, 0x80, 0x3f];
const WORD_MAX = [0xff, 0x7f, 0, 0];
const WORD_MIN = [0, 0x80, 0xff, 0xff];
const INT_MAX = [0xff, 0xff, 0xff, 0x7f];

/** A NaN among operands comes out quiet, the first before the second, another one is the indefinite: the same in both tiers. */
function settled<V>(o: Ops<V>, result: V, a: V, b: V): V {
  const isNan = (v: V) => o.simd('f32x4.ne', v, v);
  const quiet = (v: V) => o.simd('v128.or', v, lanes(o, QUIET));
  const second = o.simd('v128.bitselect', quiet(b), lanes(o, INDEFINITE), isNan(b));
  const nan = o.simd('v128.bitselect', quiet(a), second, isNan(a));
  return o.simd('v128.bitselect', nan, result, isNan(result));
}
const computed = <V>(o: Ops<V>, name: SimdName, a: V, b: V) => settled(o, o.simd(name, a, b), a, b);
const arithmetic =
  (name: SimdName): Binary =>
  (o, a, b) =>
    computed(o, name, a, b);
const compared =
  (name: SimdName): Binary =>
  (o, a, b) =>
    o.simd(name, a, b);
/** The second operand where it is the greater (the lesser) one. */
const extreme =
  (name: SimdName): Binary =>
  (o, a, b) =>
    o.simd('v128.bitselect', b, a, o.simd(name, a, b));
/** Low result from the first operand's numbers, high result from the second's. */
const horizontal =
  (low: SimdName, high: SimdName): Binary =>
  (o, a, b) => {
    const [x, y] = [words(o, a, b, 0, 4), words(o, a, b, 1, 5)];
    return words(o, computed(o, low, x, y), computed(o, high, x, y), 0, 5);
  };
const first = <V>(o: Ops<V>, b: V) => words(o, b, b, 0, 0);
const reciprocal: Binary = (o, _a, b) => {
  const x = first(o, b);
  return settled(o, o.simd('f32x4.div', lanes(o, ONE), x), x, x);
};
/** Of the magnitude; the sign stays. */
const reciprocalRoot: Binary = (o, _a, b) => {
  const x = first(o, b);
  const root = o.simd('f32x4.sqrt', o.simd('f32x4.abs', x));
  const result = settled(o, o.simd('f32x4.div', lanes(o, ONE), root), x, x);
  return o.simd('v128.or', result, o.simd('v128.and', x, lanes(o, SIGN)));
};
/** Towards zero, as far as the integers go. */
function whole<V>(o: Ops<V>, b: V): V {
  const isNan = o.simd('f32x4.ne', b, b);
  return o.simd('v128.bitselect', lanes(o, INT_MAX), o.simd('i32x4.trunc_sat_f32x4_s', b), isNan);
}
const wholeWord: Binary = (o, _a, b) =>
  o.simd('i32x4.max_s', o.simd('i32x4.min_s', whole(o, b), lanes(o, WORD_MAX)), lanes(o, WORD_MIN));
const fromWord: Binary = (o, _a, b) =>
  o.simd('f32x4.convert_i32x4_s', o.simd('i32x4.shr_s', o.simd('i32x4.shl', b, o.const(16)), o.const(16)));
const second: Binary = (_o, _a, b) => b;
/** Upper halves of products, rounded. */
const roundedHigh: Binary = (o, a, b) => {
  const half = lanes(o, [0, 0x80, 0, 0]);
  const product = o.simd('i32x4.add', o.simd('i32x4.extmul_low_i16x8_s', a, b), half);
  return o.shuffle(product, product, [2, 3, 6, 7, 10, 11, 14, 15, 2, 3, 6, 7, 10, 11, 14, 15]);
};

/** name, suffix byte, operation. */
const OPERATIONS: readonly (readonly [string, string, Binary])[] = [
  ['pi2fd', '0d', (o, _a, b) => o.simd('f32x4.convert_i32x4_s', b)],
  ['pf2id', '1d', (o, _a, b) => whole(o, b)],
  ['pfcmpge', '90', compared('f32x4.ge')],
  ['pfmin', '94', extreme('f32x4.gt')],
  ['pfrcp', '96', reciprocal],
  ['pfrsqrt', '97', reciprocalRoot],
  ['pfsub', '9a', arithmetic('f32x4.sub')],
  ['pfadd', '9e', arithmetic('f32x4.add')],
  ['pfcmpgt', 'a0', compared('f32x4.gt')],
  ['pfmax', 'a4', extreme('f32x4.lt')],
  ['pfrcpit1', 'a6', second],
  ['pfrsqit1', 'a7', second],
  ['pfsubr', 'aa', (o, a, b) => computed(o, 'f32x4.sub', b, a)],
  ['pfacc', 'ae', horizontal('f32x4.add', 'f32x4.add')],
  ['pfcmpeq', 'b0', compared('f32x4.eq')],
  ['pfmul', 'b4', arithmetic('f32x4.mul')],
  ['pfrcpit2', 'b6', second],
  ['pmulhrw', 'b7', roundedHigh],
  ['pavgusb', 'bf', (o, a, b) => o.simd('i8x16.avgr_u', a, b)],
];
const EXTENSIONS: readonly (readonly [string, string, Binary])[] = [
  ['pi2fw', '0c', fromWord],
  ['pf2iw', '1c', wholeWord],
  ['pfnacc', '8a', horizontal('f32x4.sub', 'f32x4.sub')],
  ['pfpnacc', '8e', horizontal('f32x4.sub', 'f32x4.add')],
  ['pswapd', 'bb', (o, _a, b) => words(o, b, b, 1, 0)],
];
/** Names of what the extensions add. */
export const THREE_D_NOW_EXTENSIONS: ReadonlySet<string> = new Set(EXTENSIONS.map(([name]) => name));

export const THREE_D_NOW = [
  ...[...OPERATIONS, ...EXTENSIONS].map(([name, suffix, f]) =>
    instruction({ name, encodings: [`0f 0f ${suffix} Px,Qq`], semantics: binary(f) }),
  ),
  instruction({
    name: 'femms',
    encodings: ['0f 0e'],
    semantics: (o) => {
      enterMmx(o);
      o.setField('fpuTop', o.const(0));
      o.setField('fpuEmpty', o.const(0xff));
    },
  }),
];
