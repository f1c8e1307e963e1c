/** SSE floating point. Packed and scalar arithmetic runs on WebAssembly's vectors where MXCSR has its default controls, its
 *  precision flag is set already, and operands and result show that no other flag can rise; all else is exact in
 *  sse-float.ts. */
import type { SimdName } from '../../../wasm/simd.ts';
import { FLOAT_OP } from '../sse-float.ts';
import { instruction, type Operand, type Ops } from './ops.ts';
import { commitMmx, enterMmx, enterSse, lanes, loadAligned, mmxValue, spread64, zeroExtended } from './vector.ts';

type Precision = 's' | 'd';
const code = (op: number, precision: Precision, isScalar: boolean) =>
  op | (precision === 'd' ? 0x100 : 0) | (isScalar ? 0x200 : 0);
/** The source of a packed (aligned) or scalar operation as a vector. */
function source<V>(o: Ops<V>, src: Operand<V>): V {
  if (src.width === 128) return loadAligned(o, src);
  return zeroExtended(o, src.load(), src.width === 64 ? 64 : 32);
}
const PREFIXES = { ps: 'np', pd: '66', ss: 'f3', sd: 'f2' } as const;
const FORMS = ['ps', 'pd', 'ss', 'sd'] as const;
const encodingOf = (form: (typeof FORMS)[number], opcode: string) =>
  `${PREFIXES[form]} 0f ${opcode} Vx,W${form[0] === 'p' ? 'x' : form[1] === 's' ? 'd' : 'q'}`;

/** All controls at their defaults, the precision flag set. */
function isPlain<V>(o: Ops<V>): V {
  return o.eq(o.and(o.field('mxcsr'), o.const(0xffe0)), o.const(0x1fa0));
}
const least = (precision: Precision) => (precision === 's' ? [0, 0, 0x80, 0] : [0, 0, 0, 0, 0, 0, 0x10, 0]);
const infinity = (precision: Precision) => (precision === 's' ? [0, 0, 0x80, 0x7f] : [0, 0, 0, 0, 0, 0, 0xf0, 0x7f]);
const absolute = (precision: Precision) =>
  precision === 's' ? [0xff, 0xff, 0xff, 0x7f] : [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
/** Lanes where the result is normal (and was not rounded up to that) and no operand is denormal. */
function isSafe<V>(o: Ops<V>, precision: Precision, isSum: boolean, a: V, b: V, result: V): V {
  const type = precision === 's' ? 'i32x4' : 'i64x2';
  const zero = lanes(o, [0]);
  const bound = lanes(o, least(precision));
  const size = (v: V) => o.simd('v128.and', v, lanes(o, absolute(precision)));
  const isOperand = (v: V) => {
    const m = size(v);
    return o.simd('v128.or', o.simd(`${type}.eq`, m, zero), o.simd(`${type}.ge_s`, m, bound));
  };
  const m = size(result);
  let good = o.simd(
    'v128.and',
    o.simd(`${type}.gt_s`, m, bound),
    o.simd(`${type}.lt_s`, m, lanes(o, infinity(precision))),
  );
  // A sum of zero is exact.
  if (isSum) good = o.simd('v128.or', good, o.simd(`${type}.eq`, m, zero));
  return o.simd('v128.and', good, o.simd('v128.and', isOperand(a), isOperand(b)));
}
function allLanes<V>(o: Ops<V>, precision: Precision, isScalar: boolean, mask: V): V {
  if (isScalar) return o.and(o.lane('i32x4.extract_lane', precision === 's' ? 0 : 1, mask), o.const(1));
  return o.simd(precision === 's' ? 'i32x4.all_true' : 'i64x2.all_true', mask);
}

const arithmetic = (name: keyof typeof FLOAT_OP & ('add' | 'sub' | 'mul' | 'div' | 'sqrt'), opcode: string) =>
  FORMS.map((form) => {
    const precision = form[1] as Precision;
    const isScalar = form[0] === 's';
    const type = precision === 's' ? 'f32x4' : 'f64x2';
    return instruction({
      name: `${name}${form}`,
      encodings: [encodingOf(form, opcode)],
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = source(o, src);
        const a = dst.load();
        const whole = name === 'sqrt' ? o.simd(`${type}.sqrt`, b) : o.simd(`${type}.${name}` as SimdName, a, b);
        const safe = isSafe(o, precision, name === 'add' || name === 'sub', name === 'sqrt' ? b : a, b, whole);
        o.when(
          o.and(isPlain(o), allLanes(o, precision, isScalar, safe)),
          () => dst.store(isScalar ? lowLane(o, precision, a, whole) : whole),
          () => dst.store(o.callVector('vectorFloat', o.const(code(FLOAT_OP[name], precision, isScalar)), a, b)),
        );
      },
    });
  });
/** The low lane of `b` over the others of `a`. */
function lowLane<V>(o: Ops<V>, precision: Precision, a: V, b: V): V {
  const n = precision === 's' ? 4 : 8;
  return o.shuffle(
    a,
    b,
    Array.from({ length: 16 }, (_, i) => (i < n ? 16 + i : i)),
  );
}
/** An operation that is always done exactly; operands in the code's upper half come as a value. */
function exact<V>(o: Ops<V>, dst: Operand<V>, op: number, a: V, b: V, operand?: V): void {
  const number = o.const(op);
  dst.store(o.callVector('vectorFloat', operand === undefined ? number : o.or(number, o.shl(operand, 16)), a, b));
}
const plain = (name: string, opcode: string, op: number, forms: readonly (typeof FORMS)[number][]) =>
  forms.map((form) =>
    instruction({
      name: `${name}${form}`,
      encodings: [encodingOf(form, opcode)],
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = source(o, src);
        exact(o, dst, code(op, form[1] as Precision, form[0] === 's'), dst.load(), b);
      },
    }),
  );
/** Sums or differences of neighbours. */
const horizontal = (name: string, encoding: string, op: number, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = source(o, src);
      const a = dst.load();
      const size = precision === 's' ? 4 : 8;
      const every = (odd: number) =>
        Array.from({ length: 16 }, (_, i) => (Math.floor(i / size) * 2 + odd) * size + (i % size));
      exact(o, dst, code(op, precision, false), o.shuffle(a, b, every(0)), o.shuffle(a, b, every(1)));
    },
  });
/** A conversion between vector registers. `operand`: how many lanes. */
const conversion = (name: string, encoding: string, op: number, precision: Precision, isScalar: boolean, count = 0) =>
  instruction({
    name,
    encodings: [encoding],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = source(o, src);
      exact(o, dst, code(op, precision, isScalar) | (count << 16), dst.load(), b);
    },
  });
const toGeneral = (name: string, encoding: string, op: number, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = source(o, src);
      const result = o.callVector('vectorFloat', o.const(code(op, precision, true)), b, b);
      dst.store(o.lane('i32x4.extract_lane', 0, result));
    },
  });
const toMmx = (name: string, encoding: string, op: number, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterMmx(o);
      enterSse(o);
      const b = source(o, src);
      const result = o.callVector('vectorFloat', o.const(code(op, precision, false) | (2 << 16)), b, b);
      commitMmx(o);
      dst.store(mmxValue(o, result));
    },
  });
const fromMmx = (name: string, encoding: string, precision: Precision) =>
  instruction({
    name,
    encodings: [encoding],
    semantics: (o, dst, src) => {
      enterMmx(o);
      enterSse(o);
      const b = spread64(o, src.load());
      const op = code(FLOAT_OP.fromInteger, precision, false) | (2 << 16);
      const result = o.callVector('vectorFloat', o.const(op), dst.load(), b);
      // The form with doubles leaves the x87 unit alone when it reads memory.
      if (precision === 's' || src.kind === 'r') commitMmx(o);
      dst.store(result);
    },
  });
const comparison = (name: string, op: number) =>
  (['s', 'd'] as const).map((precision) =>
    instruction({
      name: `${name}s${precision}`,
      encodings: [
        `${precision === 's' ? 'np' : '66'} 0f ${name === 'comi' ? '2f' : '2e'} Vx,W${precision === 's' ? 'd' : 'q'}`,
      ],
      dst: 'r',
      writesFlags: 'OSZAPC',
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = source(o, src);
        o.callVector('vectorCompare', o.const(code(op, precision, true)), dst.load(), b);
      },
    }),
  );

export const VECTOR_FLOAT = [
  ...arithmetic('sqrt', '51'),
  ...arithmetic('add', '58'),
  ...arithmetic('mul', '59'),
  ...arithmetic('sub', '5c'),
  ...arithmetic('div', '5e'),
  ...plain('min', '5d', FLOAT_OP.min, FORMS),
  ...plain('max', '5f', FLOAT_OP.max, FORMS),
  ...plain('rcp', '53', FLOAT_OP.rcp, ['ps', 'ss']),
  ...plain('rsqrt', '52', FLOAT_OP.rsqrt, ['ps', 'ss']),
  ...FORMS.map((form) =>
    instruction({
      name: `cmp${form}`,
      encodings: [`${encodingOf(form, 'c2')},Ib`],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = source(o, src);
        const op = code(FLOAT_OP.compare, form[1] as Precision, form[0] === 's');
        exact(o, dst, op, dst.load(), b, imm.load());
      },
    }),
  ),
  ...comparison('ucomi', FLOAT_OP.ucomis),
  ...comparison('comi', FLOAT_OP.comis),
  ...(
    [
      ['roundps', '08', 'x'],
      ['roundpd', '09', 'x'],
      ['roundss', '0a', 'd'],
      ['roundsd', '0b', 'q'],
    ] as const
  ).map(([name, opcode, width]) =>
    instruction({
      name,
      encodings: [`66 0f 3a ${opcode} Vx,W${width},Ib`],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = source(o, src);
        const op = code(FLOAT_OP.round, name.endsWith('s') ? 's' : 'd', width !== 'x');
        exact(o, dst, op, dst.load(), b, o.and(imm.load(), o.const(15)));
      },
    }),
  ),
  horizontal('haddps', 'f2 0f 7c Vx,Wx', FLOAT_OP.add, 's'),
  horizontal('haddpd', '66 0f 7c Vx,Wx', FLOAT_OP.add, 'd'),
  horizontal('hsubps', 'f2 0f 7d Vx,Wx', FLOAT_OP.sub, 's'),
  horizontal('hsubpd', '66 0f 7d Vx,Wx', FLOAT_OP.sub, 'd'),
  conversion('addsubps', 'f2 0f d0 Vx,Wx', FLOAT_OP.addsub, 's', false),
  conversion('addsubpd', '66 0f d0 Vx,Wx', FLOAT_OP.addsub, 'd', false),
  conversion('cvtps2pd', 'np 0f 5a Vx,Wq', FLOAT_OP.widen, 'd', false),
  conversion('cvtpd2ps', '66 0f 5a Vx,Wx', FLOAT_OP.narrow, 's', false),
  conversion('cvtss2sd', 'f3 0f 5a Vx,Wd', FLOAT_OP.widen, 'd', true),
  conversion('cvtsd2ss', 'f2 0f 5a Vx,Wq', FLOAT_OP.narrow, 's', true),
  conversion('cvtdq2ps', 'np 0f 5b Vx,Wx', FLOAT_OP.fromInteger, 's', false),
  conversion('cvtdq2pd', 'f3 0f e6 Vx,Wq', FLOAT_OP.fromInteger, 'd', false),
  conversion('cvtsi2ss', 'f3 0f 2a Vx,Ey', FLOAT_OP.fromInteger, 's', true),
  conversion('cvtsi2sd', 'f2 0f 2a Vx,Ey', FLOAT_OP.fromInteger, 'd', true),
  conversion('cvtps2dq', '66 0f 5b Vx,Wx', FLOAT_OP.toInteger, 's', false),
  conversion('cvttps2dq', 'f3 0f 5b Vx,Wx', FLOAT_OP.truncate, 's', false),
  conversion('cvtpd2dq', 'f2 0f e6 Vx,Wx', FLOAT_OP.toInteger, 'd', false),
  conversion('cvttpd2dq', '66 0f e6 Vx,Wx', FLOAT_OP.truncate, 'd', false),
  toGeneral('cvtss2si', 'f3 0f 2d Gy,Wd', FLOAT_OP.toInteger, 's'),
  toGeneral('cvtsd2si', 'f2 0f 2d Gy,Wq', FLOAT_OP.toInteger, 'd'),
  toGeneral('cvttss2si', 'f3 0f 2c Gy,Wd', FLOAT_OP.truncate, 's'),
  toGeneral('cvttsd2si', 'f2 0f 2c Gy,Wq', FLOAT_OP.truncate, 'd'),
  toMmx('cvtps2pi', 'np 0f 2d Px,Wq', FLOAT_OP.toInteger, 's'),
  toMmx('cvtpd2pi', '66 0f 2d Px,Wx', FLOAT_OP.toInteger, 'd'),
  toMmx('cvttps2pi', 'np 0f 2c Px,Wq', FLOAT_OP.truncate, 's'),
  toMmx('cvttpd2pi', '66 0f 2c Px,Wx', FLOAT_OP.truncate, 'd'),
  fromMmx('cvtpi2ps', 'np 0f 2a Vx,Qq', 's'),
  fromMmx('cvtpi2pd', '66 0f 2a Vx,Qq', 'd'),
];
