/** MMX and the integer half of SSE2 to SSE4.2: arithmetic, comparisons, packing, shuffling, shifts. */
import type { SimdName } from '../../../wasm/simd.ts';
import { instruction, type Operand, type Ops } from './ops.ts';
import {
  type Binary,
  binary,
  commitMmx,
  enterMmx,
  enterSse,
  joinLow,
  lanes,
  loadAligned,
  mmxValue,
  spread64,
} from './vector.ts';

const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
const simple =
  (name: SimdName): Binary =>
  (o, a, b) =>
    o.simd(name, a, b);

/** Bytes of every second lane of two vectors, from the first (`odd` = 0) or second lane on. */
const everySecond = (size: number, odd: number) =>
  iota(16).map((i) => (Math.floor(i / size) * 2 + odd) * size + (i % size));
/** Lanes of two vectors by turns, from byte `from` on. */
const interleaved = (size: number, from: number) =>
  iota(16).map((i) => {
    const lane = Math.floor(i / size);
    return from + (lane >> 1) * size + (i % size) + (lane & 1 ? 16 : 0);
  });
const unpackHigh =
  (size: number): Binary =>
  (o, a, b, isMmx) =>
    o.shuffle(a, b, interleaved(size, isMmx ? 4 : 8));
const unpackLow =
  (size: number): Binary =>
  (o, a, b) =>
    o.shuffle(a, b, interleaved(size, 0));
const pack =
  (name: SimdName): Binary =>
  (o, a, b, isMmx) => {
    if (!isMmx) return o.simd(name, a, b);
    const both = joinLow(o, a, b);
    return o.simd(name, both, both);
  };
const horizontal =
  (name: SimdName, size: number): Binary =>
  (o, a, b, isMmx) => {
    const x = isMmx ? joinLow(o, a, b) : a;
    const y = isMmx ? x : b;
    return o.simd(name, o.shuffle(x, y, everySecond(size, 0)), o.shuffle(x, y, everySecond(size, 1)));
  };
/** Upper halves of 16-bit products. */
const highProduct =
  (sign: 's' | 'u'): Binary =>
  (o, a, b) =>
    o.shuffle(
      o.simd(`i32x4.extmul_low_i16x8_${sign}`, a, b),
      o.simd(`i32x4.extmul_high_i16x8_${sign}`, a, b),
      everySecond(2, 1),
    );
const evenDwords = everySecond(4, 0);
const wideProduct =
  (sign: 's' | 'u'): Binary =>
  (o, a, b) =>
    o.simd(`i64x2.extmul_low_i32x4_${sign}`, o.shuffle(a, a, evenDwords), o.shuffle(b, b, evenDwords));
const sumOfDifferences: Binary = (o, a, b) => {
  const distance = o.simd('v128.or', o.simd('i8x16.sub_sat_u', a, b), o.simd('i8x16.sub_sat_u', b, a));
  const sums = o.simd('i32x4.extadd_pairwise_i16x8_u', o.simd('i16x8.extadd_pairwise_i8x16_u', distance));
  const both = o.simd('i64x2.add', sums, o.simd('i64x2.shr_u', sums, o.const(32)));
  return o.simd('v128.and', both, lanes(o, [0xff, 0xff, 0, 0, 0, 0, 0, 0]));
};
const mixedProduct: Binary = (o, a, b) => {
  const eight = o.const(8);
  const even = o.simd(
    'i16x8.mul',
    o.simd('v128.and', a, lanes(o, [0xff, 0])),
    o.simd('i16x8.shr_s', o.simd('i16x8.shl', b, eight), eight),
  );
  const odd = o.simd('i16x8.mul', o.simd('i16x8.shr_u', a, eight), o.simd('i16x8.shr_s', b, eight));
  return o.simd('i16x8.add_sat_s', even, odd);
};
/** WebAssembly saturates the one product that overflows; here it wraps. */
const roundedProduct: Binary = (o, a, b) => {
  const least = lanes(o, [0, 0x80]);
  const overflow = o.simd('v128.and', o.simd('i16x8.eq', a, least), o.simd('i16x8.eq', b, least));
  return o.simd('v128.xor', o.simd('i16x8.q15mulr_sat_s', a, b), overflow);
};
const sign =
  (type: 'i8x16' | 'i16x8' | 'i32x4'): Binary =>
  (o, a, b) => {
    const zero = lanes(o, [0]);
    const signed = o.simd('v128.bitselect', o.simd(`${type}.neg`, a), a, o.simd(`${type}.lt_s`, b, zero));
    return o.simd('v128.and', signed, o.simd(`${type}.ne`, b, zero));
  };

/** name, opcode, operation: MMX and SSE2 form. */
const BOTH: readonly (readonly [string, string, Binary])[] = [
  ['paddb', 'fc', simple('i8x16.add')],
  ['paddw', 'fd', simple('i16x8.add')],
  ['paddd', 'fe', simple('i32x4.add')],
  ['paddq', 'd4', simple('i64x2.add')],
  ['psubb', 'f8', simple('i8x16.sub')],
  ['psubw', 'f9', simple('i16x8.sub')],
  ['psubd', 'fa', simple('i32x4.sub')],
  ['psubq', 'fb', simple('i64x2.sub')],
  ['paddsb', 'ec', simple('i8x16.add_sat_s')],
  ['paddsw', 'ed', simple('i16x8.add_sat_s')],
  ['paddusb', 'dc', simple('i8x16.add_sat_u')],
  ['paddusw', 'dd', simple('i16x8.add_sat_u')],
  ['psubsb', 'e8', simple('i8x16.sub_sat_s')],
  ['psubsw', 'e9', simple('i16x8.sub_sat_s')],
  ['psubusb', 'd8', simple('i8x16.sub_sat_u')],
  ['psubusw', 'd9', simple('i16x8.sub_sat_u')],
  ['pmullw', 'd5', simple('i16x8.mul')],
  ['pmulhw', 'e5', highProduct('s')],
  ['pmulhuw', 'e4', highProduct('u')],
  ['pmaddwd', 'f5', simple('i32x4.dot_i16x8_s')],
  ['pmuludq', 'f4', wideProduct('u')],
  ['psadbw', 'f6', sumOfDifferences],
  ['pavgb', 'e0', simple('i8x16.avgr_u')],
  ['pavgw', 'e3', simple('i16x8.avgr_u')],
  ['pminub', 'da', simple('i8x16.min_u')],
  ['pmaxub', 'de', simple('i8x16.max_u')],
  ['pminsw', 'ea', simple('i16x8.min_s')],
  ['pmaxsw', 'ee', simple('i16x8.max_s')],
  ['pcmpeqb', '74', simple('i8x16.eq')],
  ['pcmpeqw', '75', simple('i16x8.eq')],
  ['pcmpeqd', '76', simple('i32x4.eq')],
  ['pcmpgtb', '64', simple('i8x16.gt_s')],
  ['pcmpgtw', '65', simple('i16x8.gt_s')],
  ['pcmpgtd', '66', simple('i32x4.gt_s')],
  ['pand', 'db', simple('v128.and')],
  ['pandn', 'df', (o, a, b) => o.simd('v128.andnot', b, a)],
  ['por', 'eb', simple('v128.or')],
  ['pxor', 'ef', simple('v128.xor')],
  ['punpcklbw', '60', unpackLow(1)],
  ['punpcklwd', '61', unpackLow(2)],
  ['punpckldq', '62', unpackLow(4)],
  ['punpckhbw', '68', unpackHigh(1)],
  ['punpckhwd', '69', unpackHigh(2)],
  ['punpckhdq', '6a', unpackHigh(4)],
  ['packsswb', '63', pack('i8x16.narrow_i16x8_s')],
  ['packuswb', '67', pack('i8x16.narrow_i16x8_u')],
  ['packssdw', '6b', pack('i16x8.narrow_i32x4_s')],
  [
    'pshufb',
    '38 00',
    (o, a, b, isMmx) => o.simd('i8x16.swizzle', a, o.simd('v128.and', b, lanes(o, [isMmx ? 0x87 : 0x8f]))),
  ],
  ['phaddw', '38 01', horizontal('i16x8.add', 2)],
  ['phaddd', '38 02', horizontal('i32x4.add', 4)],
  ['phaddsw', '38 03', horizontal('i16x8.add_sat_s', 2)],
  ['phsubw', '38 05', horizontal('i16x8.sub', 2)],
  ['phsubd', '38 06', horizontal('i32x4.sub', 4)],
  ['phsubsw', '38 07', horizontal('i16x8.sub_sat_s', 2)],
  ['pmaddubsw', '38 04', mixedProduct],
  ['pmulhrsw', '38 0b', roundedProduct],
  ['psignb', '38 08', sign('i8x16')],
  ['psignw', '38 09', sign('i16x8')],
  ['psignd', '38 0a', sign('i32x4')],
  ['pabsb', '38 1c', (o, _, b) => o.simd('i8x16.abs', b)],
  ['pabsw', '38 1d', (o, _, b) => o.simd('i16x8.abs', b)],
  ['pabsd', '38 1e', (o, _, b) => o.simd('i32x4.abs', b)],
];
/** The same with an SSE form only. */
const SSE_ONLY: readonly (readonly [string, string, Binary])[] = [
  ['punpcklqdq', '6c', unpackLow(8)],
  ['punpckhqdq', '6d', unpackHigh(8)],
  ['pmuldq', '38 28', wideProduct('s')],
  ['pcmpeqq', '38 29', simple('i64x2.eq')],
  ['packusdw', '38 2b', simple('i16x8.narrow_i32x4_u')],
  ['pcmpgtq', '38 37', simple('i64x2.gt_s')],
  ['pminsb', '38 38', simple('i8x16.min_s')],
  ['pminsd', '38 39', simple('i32x4.min_s')],
  ['pminuw', '38 3a', simple('i16x8.min_u')],
  ['pminud', '38 3b', simple('i32x4.min_u')],
  ['pmaxsb', '38 3c', simple('i8x16.max_s')],
  ['pmaxsd', '38 3d', simple('i32x4.max_s')],
  ['pmaxuw', '38 3e', simple('i16x8.max_u')],
  ['pmaxud', '38 3f', simple('i32x4.max_u')],
  ['pmulld', '38 40', simple('i32x4.mul')],
  [
    'pblendvb',
    '38 10',
    (o, a, b) => o.simd('v128.bitselect', b, a, o.simd('i8x16.lt_s', o.xmm(0).load(), lanes(o, [0]))),
  ],
  [
    'blendvps',
    '38 14',
    (o, a, b) => o.simd('v128.bitselect', b, a, o.simd('i32x4.lt_s', o.xmm(0).load(), lanes(o, [0]))),
  ],
  [
    'blendvpd',
    '38 15',
    (o, a, b) => o.simd('v128.bitselect', b, a, o.simd('i64x2.lt_s', o.xmm(0).load(), lanes(o, [0]))),
  ],
];

/** Shifts whose count is a register, memory, or a byte: `count` is 64 bits wide. */
type Shift = {
  name: string;
  opcode: string;
  group: string;
  type: 'i16x8' | 'i32x4' | 'i64x2';
  kind: 'shl' | 'shr_u' | 'shr_s';
};
const SHIFTS: readonly Shift[] = [
  { name: 'psrlw', opcode: 'd1', group: '71 /2', type: 'i16x8', kind: 'shr_u' },
  { name: 'psrld', opcode: 'd2', group: '72 /2', type: 'i32x4', kind: 'shr_u' },
  { name: 'psrlq', opcode: 'd3', group: '73 /2', type: 'i64x2', kind: 'shr_u' },
  { name: 'psraw', opcode: 'e1', group: '71 /4', type: 'i16x8', kind: 'shr_s' },
  { name: 'psrad', opcode: 'e2', group: '72 /4', type: 'i32x4', kind: 'shr_s' },
  { name: 'psllw', opcode: 'f1', group: '71 /6', type: 'i16x8', kind: 'shl' },
  { name: 'pslld', opcode: 'f2', group: '72 /6', type: 'i32x4', kind: 'shl' },
  { name: 'psllq', opcode: 'f3', group: '73 /6', type: 'i64x2', kind: 'shl' },
];
const BITS = { i16x8: 16, i32x4: 32, i64x2: 64 } as const;
/** `isLarge`: the count is not below the lane's width. */
function shifted<V>(o: Ops<V>, { type, kind }: Shift, a: V, count: V, isLarge: V): V {
  if (kind === 'shr_s') return o.simd(`${type}.${kind}`, a, o.select(isLarge, o.const(BITS[type] - 1), count));
  return o.select(isLarge, lanes(o, [0]), o.simd(`${type}.${kind}`, a, count));
}
function shiftedBy<V>(o: Ops<V>, { type, kind }: Shift, a: V, count: number): V {
  const most = BITS[type] - 1;
  if (count > most && kind !== 'shr_s') return lanes(o, [0]);
  return o.simd(`${type}.${kind}`, a, o.const(Math.min(count, most)));
}
const shiftBy =
  (shift: Shift): Binary =>
  (o, a, b) => {
    const wide = o.lane('i64x2.extract_lane', 0, b);
    const isLarge = o.gtU(wide, o.const(BITS[shift.type] - 1));
    return shifted(o, shift, a, o.narrow(wide), isLarge);
  };
const shiftImmediate =
  (shift: Shift, isMmx: boolean) =>
  <V>(o: Ops<V>, dst: Operand<V>, immediate: Operand<V>): void => {
    if (isMmx) enterMmx(o);
    else enterSse(o);
    const count = immediate.load();
    const number = o.known(count);
    const result =
      number === null
        ? shifted(o, shift, dst.load(), count, o.gtU(count, o.const(BITS[shift.type] - 1)))
        : shiftedBy(o, shift, dst.load(), number);
    if (isMmx) commitMmx(o);
    dst.store(isMmx ? mmxValue(o, result) : result);
  };

const IOTA = iota(16);
/** Indices for `swizzle` from the four two-bit fields of a shuffle's immediate. */
function dwordIndices<V>(o: Ops<V>, imm: V): V {
  const fields = o.simd(
    'i32x4.mul',
    o.simd('i32x4.splat', imm),
    o.vector([64, 0, 0, 0, 16, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0]),
  );
  const numbers = o.simd('v128.and', o.simd('i32x4.shr_u', fields, o.const(6)), lanes(o, [3, 0, 0, 0]));
  return o.simd('i32x4.add', o.simd('i32x4.mul', numbers, lanes(o, [4])), lanes(o, [0, 1, 2, 3]));
}
function wordIndices<V>(o: Ops<V>, imm: V): V {
  const fields = o.simd('i16x8.mul', o.simd('i16x8.splat', imm), lanes(o, [64, 0, 16, 0, 4, 0, 1, 0]));
  const numbers = o.simd('v128.and', o.simd('i16x8.shr_u', fields, o.const(6)), lanes(o, [3, 0]));
  const low = o.simd('i16x8.add', o.simd('i16x8.mul', numbers, lanes(o, [2])), lanes(o, [0, 1]));
  return o.simd('i8x16.add', low, o.vector(IOTA.map((i) => i & 8)));
}
const LOW_HALF = IOTA.map((i) => (i < 8 ? 0xff : 0));
/** Byte numbers of four lanes by an immediate's fields. */
const bytesOf = (imm: number, size: 2 | 4): number[] =>
  Array.from({ length: 4 * size }, (_, i) => ((imm >> (2 * Math.floor(i / size))) & 3) * size + (i % size));
function shuffledDwords<V>(o: Ops<V>, v: V, imm: V): V {
  const number = o.known(imm);
  if (number === null) return o.simd('i8x16.swizzle', v, dwordIndices(o, imm));
  return o.shuffle(v, v, bytesOf(number, 4));
}
/** Words of the low half by the immediate, those of the high half the same in their half. */
function shuffledWords<V>(o: Ops<V>, v: V, imm: V): V {
  const number = o.known(imm);
  if (number === null) return o.simd('i8x16.swizzle', v, wordIndices(o, imm));
  const low = bytesOf(number, 2);
  return o.shuffle(v, v, [...low, ...low.map((byte) => byte + 8)]);
}
const shuffleWords =
  (isHigh: boolean) =>
  <V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, imm: Operand<V>): void => {
    enterSse(o);
    const value = loadAligned(o, src);
    const by = imm.load();
    const number = o.known(by);
    if (number !== null) {
      const half = bytesOf(number, 2);
      dst.store(
        o.shuffle(value, value, isHigh ? [...iota(8), ...half.map((byte) => byte + 8)] : [...half, ...iota(8, 8)]),
      );
      return;
    }
    const moved = shuffledWords(o, value, by);
    const mask = o.vector(LOW_HALF);
    dst.store(isHigh ? o.simd('v128.bitselect', value, moved, mask) : o.simd('v128.bitselect', moved, value, mask));
  };
/** Bytes `by` .. `by` + 15 of a vector, zeros beyond its end; negative: from before its start. */
export function byteWindow<V>(o: Ops<V>, v: V, by: V, isDown: boolean): V {
  const number = o.known(by);
  if (number !== null) {
    const from = isDown ? number : -number;
    return o.shuffle(
      v,
      lanes(o, [0]),
      IOTA.map((i) => (i + from >= 0 && i + from < 16 ? i + from : 16)),
    );
  }
  const offsets = o.simd('i8x16.splat', o.select(o.gtU(by, o.const(15)), o.const(16), by));
  const indices = isDown ? o.simd('i8x16.add', o.vector(IOTA), offsets) : o.simd('i8x16.sub', o.vector(IOTA), offsets);
  return o.simd('i8x16.swizzle', v, indices);
}
/** Repeats one 16-bit lane, its number known only now, in the low lane. */
function wordAt<V>(o: Ops<V>, v: V, lane: V): V {
  const number = o.known(lane);
  if (number !== null) return o.lane('i16x8.extract_lane_u', number, v);
  const at = o.simd('i8x16.splat', o.shl(lane, 1));
  return o.lane('i16x8.extract_lane_u', 0, o.simd('i8x16.swizzle', v, o.simd('i8x16.add', at, o.vector(IOTA))));
}
const inserted = <V>(o: Ops<V>, type: 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2', v: V, value: V, lane: V): V => {
  const size = { i8x16: 1, i16x8: 2, i32x4: 4, i64x2: 8 }[type];
  const number = o.known(lane);
  if (number !== null) return o.lane(`${type}.replace_lane`, number & (16 / size - 1), v, value);
  const numbers = o.vector(IOTA.map((i) => (i % size ? 0 : i / size)));
  const chosen = o.and(lane, o.const(16 / size - 1));
  const mask = o.simd(`${type}.eq`, numbers, o.simd(`${type}.splat`, size === 8 ? o.wideU(chosen) : chosen));
  return o.simd('v128.bitselect', o.simd(`${type}.splat`, value), v, mask);
};
const extension = (name: string, opcode: string, width: 'q' | 'd' | 'w', steps: readonly SimdName[]) =>
  instruction({
    name,
    encodings: [`66 0f 38 ${opcode} Vx,W${width}`],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      const value = src.load();
      let v = src.width === 64 ? spread64(o, value) : o.simd('i32x4.splat', value);
      for (const step of steps) v = o.simd(step, v);
      dst.store(v);
    },
  });

function bitCount<V>(o: Ops<V>, value: V): V {
  let count = o.sub(value, o.and(o.shrU(value, 1), o.const(0x5555_5555)));
  count = o.add(o.and(count, o.const(0x3333_3333)), o.and(o.shrU(count, 2), o.const(0x3333_3333)));
  count = o.and(o.add(count, o.shrU(count, 4)), o.const(0x0f0f_0f0f));
  return o.shrU(o.mul(count, o.const(0x0101_0101)), 24);
}

export const VECTOR_INTEGER = [
  ...BOTH.map(([name, opcode, f]) =>
    instruction({
      name,
      // The low halves are unpacked: of the MMX form's source only they are read.
      encodings: [`np 0f ${opcode} Px,Q${name.startsWith('punpckl') ? 'd' : 'q'}`, `66 0f ${opcode} Vx,Wx`],
      semantics: binary(f),
    }),
  ),
  ...SSE_ONLY.map(([name, opcode, f]) =>
    instruction({ name, encodings: [`66 0f ${opcode} Vx,Wx`], semantics: binary(f) }),
  ),
  ...SHIFTS.flatMap((shift) => [
    instruction({
      name: shift.name,
      encodings: [`np 0f ${shift.opcode} Px,Qq`, `66 0f ${shift.opcode} Vx,Wx`],
      semantics: binary(shiftBy(shift)),
    }),
    instruction({
      name: `${shift.name}Mmx`,
      encodings: [`np 0f ${shift.group} Tx,Ib`],
      semantics: shiftImmediate(shift, true),
    }),
    instruction({
      name: `${shift.name}Sse`,
      encodings: [`66 0f ${shift.group} Ux,Ib`],
      semantics: shiftImmediate(shift, false),
    }),
  ]),
  ...[
    { name: 'psrldq', digit: 3, isDown: true },
    { name: 'pslldq', digit: 7, isDown: false },
  ].map(({ name, digit, isDown }) =>
    instruction({
      name,
      encodings: [`66 0f 73 /${digit} Ux,Ib`],
      semantics: (o, dst, imm) => {
        enterSse(o);
        dst.store(byteWindow(o, dst.load(), imm.load(), isDown));
      },
    }),
  ),
  instruction({
    name: 'palignr',
    encodings: ['66 0f 3a 0f Vx,Wx,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const low = loadAligned(o, src);
      const by = imm.load();
      const number = o.known(by);
      if (number !== null) {
        const zeros = lanes(o, [0]);
        const isFar = number >= 16;
        const from = Math.min(number, 32) - (isFar ? 16 : 0);
        const bytes = IOTA.map((i) => i + from);
        dst.store(isFar ? o.shuffle(dst.load(), zeros, bytes) : o.shuffle(low, dst.load(), bytes));
        return;
      }
      const least = o.select(o.gtU(by, o.const(31)), o.const(32), by);
      const splat = o.simd('i8x16.splat', least);
      const indices = o.simd('i8x16.add', o.vector(IOTA), splat);
      const above = o.simd('i8x16.sub', indices, lanes(o, [16]));
      dst.store(o.simd('v128.or', o.simd('i8x16.swizzle', low, indices), o.simd('i8x16.swizzle', dst.load(), above)));
    },
  }),
  instruction({
    name: 'palignrMmx',
    encodings: ['np 0f 3a 0f Px,Qq,Ib'],
    semantics: (o, dst, src, imm) => {
      enterMmx(o);
      const low = spread64(o, src.load());
      const joined = joinLow(o, low, dst.load());
      const by = imm.load();
      commitMmx(o);
      dst.store(mmxValue(o, byteWindow(o, joined, by, true)));
    },
  }),
  instruction({
    name: 'pshufd',
    encodings: ['66 0f 70 Vx,Wx,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const value = loadAligned(o, src);
      dst.store(shuffledDwords(o, value, imm.load()));
    },
  }),
  instruction({ name: 'pshuflw', encodings: ['f2 0f 70 Vx,Wx,Ib'], dst: 'w', semantics: shuffleWords(false) }),
  instruction({ name: 'pshufhw', encodings: ['f3 0f 70 Vx,Wx,Ib'], dst: 'w', semantics: shuffleWords(true) }),
  instruction({
    name: 'pshufw',
    encodings: ['np 0f 70 Px,Qq,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterMmx(o);
      const value = spread64(o, src.load());
      const result = shuffledWords(o, value, imm.load());
      commitMmx(o);
      dst.store(mmxValue(o, result));
    },
  }),
  instruction({
    name: 'shufps',
    encodings: ['np 0f c6 Vx,Wx,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const by = imm.load();
      const number = o.known(by);
      if (number !== null) {
        const bytes = bytesOf(number, 4).map((byte, i) => (i < 8 ? byte : byte + 16));
        dst.store(o.shuffle(dst.load(), b, bytes));
        return;
      }
      const indices = dwordIndices(o, by);
      const low = o.simd('i8x16.swizzle', dst.load(), indices);
      dst.store(o.shuffle(low, o.simd('i8x16.swizzle', b, indices), [...iota(8), ...iota(8, 24)]));
    },
  }),
  instruction({
    name: 'shufpd',
    encodings: ['66 0f c6 Vx,Wx,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const by = imm.load();
      const number = o.known(by);
      if (number !== null) {
        const [low, high] = [(number & 1) * 8, 16 + ((number >> 1) & 1) * 8];
        dst.store(o.shuffle(dst.load(), b, [...iota(8, low), ...iota(8, high)]));
        return;
      }
      const at = (bit: number) => o.simd('i8x16.splat', o.shl(o.and(o.shrU(by, bit), o.const(1)), 3));
      const low = o.simd('i8x16.swizzle', dst.load(), o.simd('i8x16.add', at(0), o.vector(IOTA)));
      const high = o.simd('i8x16.swizzle', b, o.simd('i8x16.add', at(1), o.vector(IOTA)));
      dst.store(joinLow(o, low, high));
    },
  }),
  ...[
    { name: 'unpcklps', opcode: 'np 0f 14', f: unpackLow(4) },
    { name: 'unpckhps', opcode: 'np 0f 15', f: unpackHigh(4) },
    { name: 'unpcklpd', opcode: '66 0f 14', f: unpackLow(8) },
    { name: 'unpckhpd', opcode: '66 0f 15', f: unpackHigh(8) },
    { name: 'andp', opcode: 'np 0f 54', f: simple('v128.and') },
    { name: 'andnp', opcode: 'np 0f 55', f: ((o, a, b) => o.simd('v128.andnot', b, a)) satisfies Binary },
    { name: 'orp', opcode: 'np 0f 56', f: simple('v128.or') },
    { name: 'xorp', opcode: 'np 0f 57', f: simple('v128.xor') },
  ].map(({ name, opcode, f }) =>
    instruction({
      name,
      encodings:
        opcode.startsWith('np') && name.endsWith('p')
          ? [`${opcode} Vx,Wx`, `${opcode.replace('np', '66')} Vx,Wx`]
          : [`${opcode} Vx,Wx`],
      semantics: binary(f),
    }),
  ),
  instruction({
    name: 'pmovmskb',
    encodings: ['66 0f d7 Gd,Ux'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      dst.store(o.simd('i8x16.bitmask', src.load()));
    },
  }),
  instruction({
    name: 'pmovmskbMmx',
    encodings: ['np 0f d7 Gd,Tx'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterMmx(o);
      commitMmx(o);
      dst.store(o.and(o.simd('i8x16.bitmask', src.load()), o.const(0xff)));
    },
  }),
  instruction({
    name: 'movmskps',
    encodings: ['np 0f 50 Gd,Ux'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      dst.store(o.simd('i32x4.bitmask', src.load()));
    },
  }),
  instruction({
    name: 'movmskpd',
    encodings: ['66 0f 50 Gd,Ux'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      dst.store(o.simd('i64x2.bitmask', src.load()));
    },
  }),
  instruction({
    name: 'pinsrwMmx',
    encodings: ['np 0f c4 Px,Ew,Ib'],
    semantics: (o, dst, src, imm) => {
      enterMmx(o);
      const value = src.load();
      const result = inserted(o, 'i16x8', dst.load(), value, o.and(imm.load(), o.const(3)));
      commitMmx(o);
      dst.store(mmxValue(o, result));
    },
  }),
  ...(
    [
      ['pinsrw', ['66 0f c4 Vx,Ew,Ib'], 'i16x8'],
      ['pinsrb', ['66 0f 3a 20 Vx,Rd,Ib', '66 0f 3a 20 Vx,Mb,Ib'], 'i8x16'],
      ['pinsrd', ['66 0f 3a 22 Vx,Ey,Ib'], 'i32x4'],
    ] as const
  ).map(([name, encodings, type]) =>
    instruction({
      name,
      encodings,
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const value = src.load();
        dst.store(inserted(o, src.width === 64 ? 'i64x2' : type, dst.load(), value, imm.load()));
      },
    }),
  ),
  instruction({
    name: 'pextrwMmx',
    encodings: ['np 0f c5 Gd,Tx,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterMmx(o);
      commitMmx(o);
      dst.store(wordAt(o, src.load(), o.and(imm.load(), o.const(3))));
    },
  }),
  instruction({
    name: 'pextrw',
    encodings: ['66 0f c5 Gd,Ux,Ib', '66 0f 3a 15 Rd,Vx,Ib', '66 0f 3a 15 Mw,Vx,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      dst.store(wordAt(o, src.load(), o.and(imm.load(), o.const(7))));
    },
  }),
  instruction({
    name: 'pextrb',
    encodings: ['66 0f 3a 14 Rd,Vx,Ib', '66 0f 3a 14 Mb,Vx,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const lane = o.and(imm.load(), o.const(15));
      const number = o.known(lane);
      const moved = number === null ? byteWindow(o, src.load(), lane, true) : src.load();
      dst.store(o.lane('i8x16.extract_lane_u', number ?? 0, moved));
    },
  }),
  instruction({
    name: 'pextrd',
    encodings: ['66 0f 3a 16 Ey,Vx,Ib', '66 0f 3a 17 Ed,Vx,Ib'],
    dst: 'w',
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const isWide = dst.width === 64;
      const lane = o.and(imm.load(), o.const(isWide ? 1 : 3));
      const number = o.known(lane);
      const moved = number === null ? byteWindow(o, src.load(), o.shl(lane, isWide ? 3 : 2), true) : src.load();
      dst.store(o.lane(isWide ? 'i64x2.extract_lane' : 'i32x4.extract_lane', number ?? 0, moved));
    },
  }),
  instruction({
    name: 'ptest',
    encodings: ['66 0f 38 17 Vx,Wx'],
    dst: 'r',
    writesFlags: 'OSZAPC',
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const a = dst.load();
      const isZero = o.eqz(o.simd('v128.any_true', o.simd('v128.and', b, a)));
      const carry = o.eqz(o.simd('v128.any_true', o.simd('v128.andnot', b, a)));
      o.commitZeroCarry(isZero, carry);
    },
  }),
  extension('pmovsxbw', '20', 'q', ['i16x8.extend_low_i8x16_s']),
  extension('pmovsxbd', '21', 'd', ['i16x8.extend_low_i8x16_s', 'i32x4.extend_low_i16x8_s']),
  extension('pmovsxbq', '22', 'w', [
    'i16x8.extend_low_i8x16_s',
    'i32x4.extend_low_i16x8_s',
    'i64x2.extend_low_i32x4_s',
  ]),
  extension('pmovsxwd', '23', 'q', ['i32x4.extend_low_i16x8_s']),
  extension('pmovsxwq', '24', 'd', ['i32x4.extend_low_i16x8_s', 'i64x2.extend_low_i32x4_s']),
  extension('pmovsxdq', '25', 'q', ['i64x2.extend_low_i32x4_s']),
  extension('pmovzxbw', '30', 'q', ['i16x8.extend_low_i8x16_u']),
  extension('pmovzxbd', '31', 'd', ['i16x8.extend_low_i8x16_u', 'i32x4.extend_low_i16x8_u']),
  extension('pmovzxbq', '32', 'w', [
    'i16x8.extend_low_i8x16_u',
    'i32x4.extend_low_i16x8_u',
    'i64x2.extend_low_i32x4_u',
  ]),
  extension('pmovzxwd', '33', 'q', ['i32x4.extend_low_i16x8_u']),
  extension('pmovzxwq', '34', 'd', ['i32x4.extend_low_i16x8_u', 'i64x2.extend_low_i32x4_u']),
  extension('pmovzxdq', '35', 'q', ['i64x2.extend_low_i32x4_u']),
  instruction({
    name: 'emms',
    encodings: ['np 0f 77'],
    semantics: (o) => {
      enterMmx(o);
      o.setField('fpuTop', o.const(0));
      o.setField('fpuEmpty', o.const(0xff));
    },
  }),
  instruction({
    name: 'popcnt',
    encodings: ['f3 0f b8 Gv,Ev'],
    dst: 'w',
    writesFlags: 'OSZAPC',
    semantics: (o, dst, src) => {
      const value = src.load();
      if (src.width === 64) {
        const halves = o.add(bitCount(o, o.narrow(value)), bitCount(o, o.narrow(o.shrU(value, 32))));
        dst.store(o.wideU(halves));
      } else dst.store(bitCount(o, value));
      o.commitZeroCarry(o.eqz(value), o.const(0));
    },
  }),
];
