/** AVX and AVX2: broadcasts, permutations over both halves, insertion and extraction of halves, blends, shifts by a count of each lane. */
import { type Instruction, instruction, type Operand, type Ops } from './ops.ts';
import { lanes, spread64 } from './vector.ts';
import { VECTOR_IMMEDIATE } from './vector-immediate.ts';
import { VECTOR_INTEGER } from './vector-integer.ts';
import { enterAvx, loadParts, storeLow, storeParts, VEX_VARIANTS, type VexShape, vexed, zeros } from './vex.ts';

const part = { dst: 'w', variants: VEX_VARIANTS } as const;
const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
/** The same encoding with 128 and with 256 bits; `0` and `1` after the map: W. */
const both = (prefix: string, rest: string) => [
  `vex.128.${prefix} ${rest}`,
  `vex.256.${prefix} ${rest.replaceAll(/([VWUHMK])x/g, '$1t')}`,
];

// -- one value everywhere --------------------------------------------------------------------------------------------

const broadcast = (name: string, encodings: readonly string[]) =>
  instruction({
    name,
    encodings,
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      const value = src.load();
      const v =
        src.width === 128
          ? value
          : o.simd(
              ({ 8: 'i8x16.splat', 16: 'i16x8.splat', 32: 'i32x4.splat', 64: 'i64x2.splat' } as const)[src.width as 8],
              value,
            );
      storeParts(o, dst, dst.width === 256 ? [v, v] : [v]);
    },
  });
const BROADCASTS = [
  broadcast(
    'vbroadcastss',
    ['128', '256'].flatMap((l) => ['Md', 'Ud'].map((s) => `vex.${l}.66.0f38.w0 18 V${l === '128' ? 'x' : 't'},${s}`)),
  ),
  broadcast('vbroadcastsd', ['vex.256.66.0f38.w0 19 Vt,Mq', 'vex.256.66.0f38.w0 19 Vt,Uq']),
  broadcast('vbroadcastf128', ['vex.256.66.0f38.w0 1a Vt,Mx']),
  broadcast('vbroadcasti128', ['vex.256.66.0f38.w0 5a Vt,Mx']),
  ...(
    [
      ['b', '78'],
      ['w', '79'],
      ['d', '58'],
      ['q', '59'],
    ] as const
  ).map(([width, opcode]) => broadcast(`vpbroadcast${width}`, both('66.0f38.w0', `${opcode} Vx,W${width}`))),
];

// -- permutations ----------------------------------------------------------------------------------------------------

/** Bytes of dwords by their numbers (0 to 3) in the lanes. */
const dwordBytes = <V>(o: Ops<V>, numbers: V): V =>
  o.simd(
    'i32x4.add',
    o.simd('i32x4.mul', o.simd('v128.and', numbers, lanes(o, [3, 0, 0, 0])), lanes(o, [4])),
    lanes(o, [0, 1, 2, 3]),
  );
/** One of four quadwords by a number of two bits. */
function quadword<V>(o: Ops<V>, low: V, high: V, number: V): V {
  const from = (v: V, lane: number) => o.lane('i64x2.extract_lane', lane, v);
  const odd = o.and(number, o.const(1));
  return o.select(
    o.and(number, o.const(2)),
    o.select(odd, from(high, 1), from(high, 0)),
    o.select(odd, from(low, 1), from(low, 0)),
  );
}
const permuteQuadwords = (name: string, opcode: string) =>
  instruction({
    name,
    encodings: [`vex.256.66.0f3a.w1 ${opcode} Vt,Wt,Ib`],
    ...part,
    semantics: (o, dst, src, imm) => {
      enterAvx(o);
      const [low, high] = loadParts(src) as [never, never];
      const by = imm.load();
      const number = o.known(by);
      const half = (first: number) => {
        const field = (i: number) => o.and(o.shrU(by, 2 * (first + i)), o.const(3));
        if (number !== null)
          return o.shuffle(
            low,
            high,
            iota(16).map((i) => ((number >> (2 * (first + (i >> 3)))) & 3) * 8 + (i & 7)),
          );
        return o.lane(
          'i64x2.replace_lane',
          1,
          spread64(o, quadword(o, low, high, field(0))),
          quadword(o, low, high, field(1)),
        );
      };
      storeParts(o, dst, [half(0), half(2)]);
    },
  });
const permuteDwords = (name: string, opcode: string) =>
  instruction({
    name,
    encodings: [`vex.256.66.0f38.w0 ${opcode} Vt,Ht,Wt`],
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, indices: Operand<V>, src: Operand<V>): void {
      enterAvx(o);
      const [low, high] = loadParts(src) as [V, V];
      const halves = loadParts(indices).map((numbers) => {
        const bytes = dwordBytes(o, numbers);
        const four = lanes(o, [4, 0, 0, 0]);
        const isHigh = o.simd('i32x4.eq', o.simd('v128.and', numbers, four), four);
        return o.simd(
          'v128.bitselect',
          o.simd('i8x16.swizzle', high, bytes),
          o.simd('i8x16.swizzle', low, bytes),
          isHigh,
        );
      });
      storeParts(o, dst, halves);
    },
  });
const permuteHalves = (name: string, opcode: string) =>
  instruction({
    name,
    encodings: [`vex.256.66.0f3a.w0 ${opcode} Vt,Ht,Wt,Ib`],
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, a: Operand<V>, b: Operand<V>, imm: Operand<V>): void {
      enterAvx(o);
      const sources = [...loadParts(a), ...loadParts(b)] as [V, V, V, V];
      const by = imm.load();
      const number = o.known(by);
      const half = (shift: number) => {
        if (number !== null) return (number >> shift) & 8 ? zeros(o) : sources[(number >> shift) & 3]!;
        const bit = (n: number) => o.and(o.shrU(by, shift + n), o.const(1));
        const [w, x, y, z] = sources;
        const chosen = o.select(bit(1), o.select(bit(0), z, y), o.select(bit(0), x, w));
        return o.select(bit(3), zeros(o), chosen);
      };
      storeParts(o, dst, [half(0), half(4)]);
    },
  });
/** Each lane by the lane of a control vector. */
const permuteInLane = (precision: 's' | 'd') =>
  instruction({
    name: `vpermilp${precision}`,
    encodings: both('66.0f38.w0', `${precision === 's' ? '0c' : '0d'} Vx,Hx,Wx`),
    ...part,
    semantics: (o, dst, a, control) => {
      enterAvx(o);
      const controls = loadParts(control);
      const values = loadParts(a);
      const bytes = (v: (typeof controls)[number]) => {
        if (precision === 's') return dwordBytes(o, v);
        const bit = o.simd('v128.and', o.simd('i64x2.shr_u', v, o.const(1)), lanes(o, [1, 0, 0, 0, 0, 0, 0, 0]));
        return o.simd('i64x2.add', o.simd('i64x2.mul', bit, lanes(o, [8])), lanes(o, iota(8)));
      };
      storeParts(
        o,
        dst,
        values.map((v, i) => o.simd('i8x16.swizzle', v, bytes(controls[i]!))),
      );
    },
  });
/** An SSE instruction under another name. */
const like = (list: readonly Instruction[], name: string, as: string, text: string, shape: VexShape) =>
  vexed({ ...list.find((i) => i.name === name)!, name: as, encodings: [text] }, shape);

// -- halves ----------------------------------------------------------------------------------------------------------

const insertHalf = (name: string, opcode: string) =>
  instruction({
    name,
    encodings: [`vex.256.66.0f3a.w0 ${opcode} Vt,Ht,Wx,Ib`],
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, a: Operand<V>, b: Operand<V>, imm: Operand<V>): void {
      enterAvx(o);
      const value = b.load();
      const [low, high] = loadParts(a) as [V, V];
      const isHigh = o.and(imm.load(), o.const(1));
      const number = o.known(isHigh);
      if (number !== null) storeParts(o, dst, number ? [low, value] : [value, high]);
      else storeParts(o, dst, [o.select(isHigh, low, value), o.select(isHigh, value, high)]);
    },
  });
const extractHalf = (name: string, opcode: string) =>
  instruction({
    name,
    encodings: [`vex.256.66.0f3a.w0 ${opcode} Wx,Vt,Ib`],
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, imm: Operand<V>): void {
      enterAvx(o);
      const isHigh = o.and(imm.load(), o.const(1));
      const number = o.known(isHigh);
      const value =
        number !== null ? src.part(number).load() : o.select(isHigh, src.part(1).load(), src.part(0).load());
      storeLow(o, dst, value);
    },
  });

// -- blends and shifts -----------------------------------------------------------------------------------------------

const blend = (name: string, opcode: string, type: 'i8x16' | 'i32x4' | 'i64x2') =>
  instruction({
    name,
    encodings: both('66.0f3a.w0', `${opcode} Vx,Hx,Wx,Kx`),
    ...part,
    semantics: (o, dst, a, b, mask) => {
      enterAvx(o);
      const seconds = loadParts(b);
      const firsts = loadParts(a);
      const masks = loadParts(mask);
      const isNegative = (v: (typeof masks)[number]) => o.simd(`${type}.lt_s`, v, zeros(o));
      storeParts(
        o,
        dst,
        seconds.map((second, i) => o.simd('v128.bitselect', second, firsts[i]!, isNegative(masks[i]!))),
      );
    },
  });
const shiftLanes = (name: string, opcode: string, w: 'w0' | 'w1', kind: 'shl' | 'shrU' | 'shrS') =>
  instruction({
    name,
    encodings: both(`66.0f38.${w}`, `${opcode} Vx,Hx,Wx`),
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, a: Operand<V>, b: Operand<V>): void {
      enterAvx(o);
      const type = w === 'w0' ? 'i32x4' : 'i64x2';
      const last = w === 'w0' ? 31 : 63;
      const counts = loadParts(b);
      const results = loadParts(a).map((values, i) => {
        let result = values;
        for (let lane = 0; lane <= (w === 'w0' ? 3 : 1); lane++) {
          const value = o.lane(`${type}.extract_lane`, lane, values);
          const count = o.lane(`${type}.extract_lane`, lane, counts[i]!);
          const most = w === 'w0' ? o.const(last) : o.wideU(o.const(last));
          const isLarge = o.gtU(count, most);
          const none = w === 'w0' ? o.const(0) : o.wideU(o.const(0));
          const shifted =
            kind === 'shrS'
              ? o.shrS(value, o.select(isLarge, most, count))
              : o.select(isLarge, none, o[kind](value, count));
          result = o.lane(`${type}.replace_lane`, lane, result, shifted);
        }
        return result;
      });
      storeParts(o, dst, results);
    },
  });

export const AVX_PERMUTE: readonly Instruction[] = [
  ...BROADCASTS,
  permuteQuadwords('vpermq', '00'),
  permuteQuadwords('vpermpd', '01'),
  permuteDwords('vpermd', '36'),
  permuteDwords('vpermps', '16'),
  permuteHalves('vperm2f128', '06'),
  permuteHalves('vperm2i128', '46'),
  permuteInLane('s'),
  permuteInLane('d'),
  like(VECTOR_INTEGER, 'pshufd', 'permilpsI', '66 0f 3a 04 Vx,Wx,Ib', { w: 'w0' }),
  like(VECTOR_INTEGER, 'shufpd', 'permilpdI', '66 0f 3a 05 Vx,Wx,Ib', { w: 'w0', immediateShift: 2 }),
  like(VECTOR_IMMEDIATE, 'blendps', 'pblendd', '66 0f 3a 02 Vx,Wx,Ib', { w: 'w0', isThree: true, immediateShift: 4 }),
  insertHalf('vinsertf128', '18'),
  insertHalf('vinserti128', '38'),
  extractHalf('vextractf128', '19'),
  extractHalf('vextracti128', '39'),
  blend('vblendvps', '4a', 'i32x4'),
  blend('vblendvpd', '4b', 'i64x2'),
  blend('vpblendvb', '4c', 'i8x16'),
  shiftLanes('vpsrlvd', '45', 'w0', 'shrU'),
  shiftLanes('vpsrlvq', '45', 'w1', 'shrU'),
  shiftLanes('vpsravd', '46', 'w0', 'shrS'),
  shiftLanes('vpsllvd', '47', 'w0', 'shl'),
  shiftLanes('vpsllvq', '47', 'w1', 'shl'),
];
