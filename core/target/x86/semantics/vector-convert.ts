/** SSE conversions between integers, single and double precision, and rounding to integers. Done with WebAssembly's operations
 *  where the operand shows that no flag of MXCSR but precision can rise, and that one is set and masked or the conversion is
 *  exact; else in sse-float.ts. */
import type { SimdName } from '../../../wasm/simd.ts';
import { FLOAT_OP } from '../sse-float.ts';
import { instruction, type Ops } from './ops.ts';
import { commitMmx, enterMmx, enterSse, lanes, loadAligned, mmxValue, spread64 } from './vector.ts';
import {
  areOrdered,
  exactly,
  floatCode,
  floatVector,
  INT_LIMIT,
  lowNumber,
  outside,
  type Precision,
  scalarOperand,
  TYPE,
  WHOLE,
  WINDOWS,
  withLow,
} from './vector-number.ts';

/** The helper's code for integers of 64 bits. */
const QUAD = 0x400;
/** An inexact result changes nothing in MXCSR and is not trapped, however it is rounded. */
const isInexactFree = <V>(o: Ops<V>) => o.eq(o.and(o.field('mxcsr'), o.const(0x1020)), o.const(0x1020));
/** Where lanes become whole numbers: `nearest` as MXCSR has it by default, or cut off. */
type Rounding = 'nearest' | 'trunc';

// -- between formats -------------------------------------------------------------------------------------------------

const widenScalar = instruction({
  name: 'cvtss2sd',
  encodings: ['f3 0f 5a Vx,Wd'],
  semantics: (o, dst, src) => {
    enterSse(o);
    const number = scalarOperand(o, src, 's');
    const a = dst.load();
    const b = floatVector(o, 's', number);
    o.when(
      o.and(o.simd('i32x4.bitmask', areOrdered(o, 's', b)), o.const(1)),
      () => dst.store(withLow(o, 'd', a, o.scalar('f64.promote_f32', number))),
      () => dst.store(exactly(o, floatCode(FLOAT_OP.widen, 'd', true), a, b)),
      true,
    );
  },
});
const widenPacked = instruction({
  name: 'cvtps2pd',
  encodings: ['np 0f 5a Vx,Wq'],
  dst: 'w',
  semantics: (o, dst, src) => {
    enterSse(o);
    const b = spread64(o, src.load());
    o.when(
      o.simd('i32x4.all_true', areOrdered(o, 's', b)),
      () => dst.store(o.simd('f64x2.promote_low_f32x4', b)),
      () => dst.store(exactly(o, floatCode(FLOAT_OP.widen, 'd', false), b, b)),
      true,
    );
  },
});
/** The result shows the operand's magnitude. */
const narrowed = <V>(o: Ops<V>, single: V) => o.simd('i32x4.bitmask', outside(o, 's', single, WINDOWS.sqrt.s));
const narrowScalar = instruction({
  name: 'cvtsd2ss',
  encodings: ['f2 0f 5a Vx,Wq'],
  semantics: (o, dst, src) => {
    enterSse(o);
    const number = scalarOperand(o, src, 'd');
    const a = dst.load();
    const result = withLow(o, 's', a, o.scalar('f32.demote_f64', number));
    o.when(
      o.ltU(o.and(narrowed(o, result), o.const(1)), o.field('ssePlain')),
      () => dst.store(result),
      () => {
        // Exact and not denormal: zeros above all.
        const single = lowNumber(o, 's', result);
        const isExact = o.scalar('f64.eq', o.scalar('f64.promote_f32', single), number);
        o.when(
          o.and(isExact, o.simd('i32x4.bitmask', areOrdered(o, 's', result))),
          () => dst.store(result),
          () => dst.store(exactly(o, floatCode(FLOAT_OP.narrow, 's', true), a, floatVector(o, 'd', number))),
        );
      },
      true,
    );
  },
});
const narrowPacked = instruction({
  name: 'cvtpd2ps',
  encodings: ['66 0f 5a Vx,Wx'],
  dst: 'w',
  semantics: (o, dst, src) => {
    enterSse(o);
    const b = loadAligned(o, src);
    const result = o.simd('f32x4.demote_f64x2_zero', b);
    o.when(
      o.ltU(o.and(narrowed(o, result), o.const(3)), o.field('ssePlain')),
      () => dst.store(result),
      () => {
        const same = o.simd('f64x2.eq', o.simd('f64x2.promote_low_f32x4', result), b);
        o.when(
          o.and(o.simd('i64x2.all_true', same), o.simd('i32x4.all_true', areOrdered(o, 's', result))),
          () => dst.store(result),
          () => dst.store(exactly(o, floatCode(FLOAT_OP.narrow, 's', false), b, b)),
        );
      },
      true,
    );
  },
});

// -- from integers ---------------------------------------------------------------------------------------------------

/** Integers that a float cannot hold need rounding. */
function singlesFrom<V>(o: Ops<V>, integers: V, a: V, code: number, store: (v: V) => void, count: 2 | 4): void {
  const large = o.simd('i32x4.gt_s', o.simd('i32x4.abs', integers), lanes(o, [0, 0, 0, 1]));
  o.when(
    o.or(o.field('ssePlain'), o.eqz(o.simd('v128.any_true', large))),
    () => {
      const result = o.simd('f32x4.convert_i32x4_s', integers);
      store(count === 4 ? result : joinLowKeepHigh(o, result, a));
    },
    () => store(exactly(o, code, a, integers)),
    true,
  );
}
const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
/** The low half of `low` under the high half of `high`. */
const joinLowKeepHigh = <V>(o: Ops<V>, low: V, high: V) => o.shuffle(low, high, [...iota(8), ...iota(8, 24)]);

const fromGeneral = (['s', 'd'] as const).map((precision) =>
  instruction({
    name: `cvtsi2s${precision}`,
    encodings: [`${precision === 's' ? 'f3' : 'f2'} 0f 2a Vx,Ey`],
    semantics: (o, dst, src) => {
      enterSse(o);
      const n = src.load();
      const a = dst.load();
      const code = floatCode(FLOAT_OP.fromInteger, precision, true);
      const simple = (name: 'f32.convert_i32_s' | 'f32.convert_i64_s' | 'f64.convert_i32_s' | 'f64.convert_i64_s') =>
        dst.store(withLow(o, precision, a, o.scalar(name, n)));
      if (src.width === 32 && precision === 'd') {
        simple('f64.convert_i32_s');
        return;
      }
      // Not larger than the format's significand: exact.
      const isWide = src.width === 64;
      const bits = precision === 's' ? 24 : 53;
      const limit = isWide ? o.shl(o.wideU(o.const(1)), bits) : o.const(2 ** 24);
      const isSmall = o.ltU(o.add(n, limit), o.shl(limit, 1));
      o.when(
        o.or(o.field('ssePlain'), isSmall),
        () => simple(`f${precision === 's' ? 32 : 64}.convert_i${isWide ? 64 : 32}_s`),
        () => {
          const integer = isWide ? spread64(o, n) : o.simd('i32x4.splat', n);
          dst.store(exactly(o, code | (isWide ? QUAD : 0), a, integer));
        },
        true,
      );
    },
  }),
);
const doublesFrom = instruction({
  name: 'cvtdq2pd',
  encodings: ['f3 0f e6 Vx,Wq'],
  dst: 'w',
  semantics: (o, dst, src) => {
    enterSse(o);
    dst.store(o.simd('f64x2.convert_low_i32x4_s', spread64(o, src.load())));
  },
});
const singlesFromPacked = instruction({
  name: 'cvtdq2ps',
  encodings: ['np 0f 5b Vx,Wx'],
  dst: 'w',
  semantics: (o, dst, src) => {
    enterSse(o);
    const b = loadAligned(o, src);
    singlesFrom(o, b, b, floatCode(FLOAT_OP.fromInteger, 's', false), (v) => dst.store(v), 4);
  },
});
const fromMmx = (['s', 'd'] as const).map((precision) =>
  instruction({
    name: `cvtpi2p${precision}`,
    encodings: [`${precision === 's' ? 'np' : '66'} 0f 2a Vx,Qq`],
    semantics: (o, dst, src) => {
      enterMmx(o);
      enterSse(o);
      const integers = spread64(o, src.load());
      if (precision === 'd') {
        // This form leaves the x87 unit alone when it reads memory.
        if (src.kind === 'r') commitMmx(o);
        dst.store(o.simd('f64x2.convert_low_i32x4_s', integers));
        return;
      }
      const code = floatCode(FLOAT_OP.fromInteger, 's', false) | (2 << 16);
      const commit = (v: typeof integers) => {
        commitMmx(o);
        dst.store(v);
      };
      singlesFrom(o, integers, dst.load(), code, commit, 2);
    },
  }),
);

// -- to integers -----------------------------------------------------------------------------------------------------

/** Whole numbers in the operand's lanes, and whether they fit into 32 bits and MXCSR stays as it is. `mask`: lanes that count. */
function wholeNumbers<V>(o: Ops<V>, precision: Precision, rounding: Rounding, b: V, mask: number) {
  const { ints } = WHOLE[precision];
  const type = TYPE[precision];
  const whole = o.simd(`${type}.${rounding}`, b);
  // Just below 2^31, so that rounding stays below too.
  const limit = lanes(o, INT_LIMIT[precision]);
  const fits = o.simd(`${type}.lt`, o.simd(`${type}.abs`, b), limit);
  const isExact = o.simd(`${ints}.bitmask`, o.simd('v128.and', fits, o.simd(`${type}.eq`, whole, b)));
  const fitting = o.simd(`${ints}.bitmask`, fits);
  const isFree = rounding === 'nearest' ? o.field('ssePlain') : isInexactFree(o);
  const good = o.select(isFree, fitting, isExact);
  return {
    result: o.simd(precision === 's' ? 'i32x4.trunc_sat_f32x4_s' : 'i32x4.trunc_sat_f64x2_s_zero', whole),
    isFast: o.eq(o.and(good, o.const(mask)), o.const(mask)),
  };
}
const FLOAT_OF: Record<Rounding, number> = { nearest: FLOAT_OP.toInteger, trunc: FLOAT_OP.truncate };
const packedToIntegers = (name: string, encoding: string, rounding: Rounding, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const { result, isFast } = wholeNumbers(o, precision, rounding, b, WHOLE[precision].mask);
      o.when(
        isFast,
        () => dst.store(result),
        () => dst.store(exactly(o, floatCode(FLOAT_OF[rounding], precision, false), b, b)),
        true,
      );
    },
  });
const toMmx = (name: string, encoding: string, rounding: Rounding, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterMmx(o);
      enterSse(o);
      const b = src.width === 128 ? loadAligned(o, src) : spread64(o, src.load());
      const { result, isFast } = wholeNumbers(o, precision, rounding, b, 3);
      const commit = (v: typeof b) => {
        commitMmx(o);
        dst.store(mmxValue(o, v));
      };
      o.when(
        isFast,
        () => commit(result),
        () => commit(exactly(o, floatCode(FLOAT_OF[rounding], precision, false) | (2 << 16), b, b)),
        true,
      );
    },
  });
const toGeneral = (name: string, encoding: string, rounding: Rounding, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      const type = precision === 's' ? 'f32' : 'f64';
      const constant = (n: number) => (precision === 's' ? o.float32(n) : o.float64(n));
      const b = scalarOperand(o, src, precision);
      const whole = o.scalar(`${type}.${rounding}`, b);
      const isWide = dst.width === 64;
      // What rounds to the limit does not fit; that is found by looking at the rounded number.
      const fits = o.scalar(`${type}.lt`, o.scalar(`${type}.abs`, whole), constant(isWide ? 2 ** 63 : 2 ** 31));
      const isFree = rounding === 'nearest' ? o.field('ssePlain') : isInexactFree(o);
      o.when(
        o.and(fits, o.or(isFree, o.scalar(`${type}.eq`, whole, b))),
        () => dst.store(o.scalar(`i${isWide ? 64 : 32}.trunc_sat_${type}_s`, whole)),
        () => {
          const v = floatVector(o, precision, b);
          const code = floatCode(FLOAT_OF[rounding], precision, true) | (isWide ? QUAD : 0);
          const result = exactly(o, code, v, v);
          dst.store(o.lane(isWide ? 'i64x2.extract_lane' : 'i32x4.extract_lane', 0, result));
        },
        true,
      );
    },
  });

// -- rounding in place -----------------------------------------------------------------------------------------------

const MODES = ['nearest', 'floor', 'ceil', 'trunc'] as const;
/** Lanes as whole numbers by the immediate's mode; bit 2 asks for that of MXCSR, which then has to be the default. */
function roundedBy<V>(o: Ops<V>, precision: Precision, v: V, imm: V): V {
  const number = o.known(imm);
  const by = (mode: (typeof MODES)[number]) => o.simd(`${TYPE[precision]}.${mode}` as SimdName, v);
  if (number !== null) return by(number & 4 ? 'nearest' : MODES[number & 3]!);
  const mode = o.select(o.and(imm, o.const(4)), o.const(0), o.and(imm, o.const(3)));
  const odd = o.and(mode, o.const(1));
  return o.select(
    o.and(mode, o.const(2)),
    o.select(odd, by('trunc'), by('ceil')),
    o.select(odd, by('floor'), by('nearest')),
  );
}
const round = (name: string, opcode: string, precision: Precision, isScalar: boolean) =>
  instruction({
    name,
    encodings: [`66 0f 3a ${opcode} Vx,W${isScalar ? (precision === 's' ? 'd' : 'q') : 'x'},Ib`],
    semantics: (o, dst, src, immediate) => {
      enterSse(o);
      const imm = o.and(immediate.load(), o.const(15));
      const type = TYPE[precision];
      const b = isScalar ? floatVector(o, precision, scalarOperand(o, src, precision)) : loadAligned(o, src);
      const a = isScalar ? dst.load() : b;
      const whole = roundedBy(o, precision, b, imm);
      const { ints, mask } = WHOLE[precision];
      const all = isScalar ? 1 : mask;
      // Bit 3: no precision flag. A rounding mode of MXCSR that is not the default leaves only what is whole already.
      const free = o.select(
        o.and(imm, o.const(4)),
        o.select(o.and(imm, o.const(8)), o.eqz(o.and(o.field('mxcsr'), o.const(0x6000))), o.field('ssePlain')),
        o.or(o.and(imm, o.const(8)), isInexactFree(o)),
      );
      const same = o.simd(`${ints}.bitmask`, o.simd(`${type}.eq`, whole, b));
      const numbers = o.simd(`${ints}.bitmask`, o.simd(`${type}.eq`, b, b));
      const good = o.and(o.select(free, numbers, same), o.const(all));
      // Denormals become zeros where MXCSR says so, signs and all.
      const keepsDenormals = o.eqz(o.and(o.field('mxcsr'), o.const(0x40)));
      o.when(
        o.and(o.eq(good, o.const(all)), keepsDenormals),
        () => dst.store(isScalar ? withLow(o, precision, a, lowNumber(o, precision, whole)) : whole),
        () => dst.store(exactly(o, floatCode(FLOAT_OP.round, precision, isScalar), a, b, imm)),
        true,
      );
    },
  });

export const VECTOR_CONVERT = [
  widenScalar,
  widenPacked,
  narrowScalar,
  narrowPacked,
  ...fromGeneral,
  doublesFrom,
  singlesFromPacked,
  ...fromMmx,
  packedToIntegers('cvtps2dq', '66 0f 5b Vx,Wx', 'nearest', 's'),
  packedToIntegers('cvttps2dq', 'f3 0f 5b Vx,Wx', 'trunc', 's'),
  packedToIntegers('cvtpd2dq', 'f2 0f e6 Vx,Wx', 'nearest', 'd'),
  packedToIntegers('cvttpd2dq', '66 0f e6 Vx,Wx', 'trunc', 'd'),
  toGeneral('cvtss2si', 'f3 0f 2d Gy,Wd', 'nearest', 's'),
  toGeneral('cvtsd2si', 'f2 0f 2d Gy,Wq', 'nearest', 'd'),
  toGeneral('cvttss2si', 'f3 0f 2c Gy,Wd', 'trunc', 's'),
  toGeneral('cvttsd2si', 'f2 0f 2c Gy,Wq', 'trunc', 'd'),
  toMmx('cvtps2pi', 'np 0f 2d Px,Wq', 'nearest', 's'),
  toMmx('cvtpd2pi', '66 0f 2d Px,Wx', 'nearest', 'd'),
  toMmx('cvttps2pi', 'np 0f 2c Px,Wq', 'trunc', 's'),
  toMmx('cvttpd2pi', '66 0f 2c Px,Wx', 'trunc', 'd'),
  round('roundps', '08', 's', false),
  round('roundpd', '09', 'd', false),
  round('roundss', '0a', 's', true),
  round('roundsd', '0b', 'd', true),
];
