/** SSE arithmetic as functions in WebAssembly, for what the definitions' own test does not admit: zeros, infinities, NaNs, denormal
 *  numbers and the precision flag still clear. Vectors in, vector out; the field `sseOutcome` is 1 when nothing was changed,
 *  because another flag could rise, is not masked, or MXCSR has unusual controls. sse-float.ts knows those cases. */
import { type Body, defineFunction, i32, type Local, Value } from '../../wasm/expressions.ts';
import { I32, I64, OP, V128 } from '../../wasm/opcodes.ts';
import { SIMD, type SimdName } from '../../wasm/simd.ts';
import type { FunctionWriter, ModuleWriter } from '../../wasm/writer.ts';
import { SSE_NATIVES } from './semantics/natives.ts';
import { FLAG } from './sse-float.ts';
import { FIELDS } from './state.ts';

type Precision = 's' | 'd';
type Arithmetic = 'add' | 'sub' | 'mul' | 'div' | 'sqrt';
const PM = 0x1000;
const ROUNDING = 0x6000;
const DAZ = 0x40;
const FTZ = 0x8000;
/** Everything masked, and the precision flag. */
const QUIET = 0x1f80 | FLAG.PE;

function simd(name: SimdName, ...args: Value[]): Value {
  return new Value(/any_true|all_true|bitmask/.test(name) ? I32 : V128, (w: FunctionWriter) => {
    for (const arg of args) arg.emit(w);
    w.op(SIMD[name]);
  });
}
function lane64(index: number, v: Value): Value {
  return new Value(I64, (w) => {
    v.emit(w);
    w.op(SIMD['i64x2.extract_lane']);
    w.code.byte(index);
  });
}
/** One lane's bytes, repeated. */
function lanes(bytes: readonly number[]): Value {
  return new Value(V128, (w) => {
    w.op(SIMD['v128.const']);
    for (let i = 0; i < 16; i++) w.code.byte(bytes[i % bytes.length]!);
  });
}
const double = (top: number) => [0, 0, 0, 0, 0, 0, top & 0xff, top >> 8];
const single = (top: number) => [0, 0, top & 0xff, top >> 8];
const CONSTANTS = {
  s: {
    least: single(0x0080),
    infinity: single(0x7f80),
    quiet: single(0x0040),
    large: single(0x7e80),
    nan: single(0xffc0),
  },
  d: {
    least: double(0x0010),
    infinity: double(0x7ff0),
    quiet: double(0x0008),
    large: double(0x7fd0),
    nan: double(0xfff8),
  },
} as const;

class Lanes {
  readonly precision: Precision;
  readonly type: 'f32x4' | 'f64x2';
  readonly ints: 'i32x4' | 'i64x2';
  readonly all: number;
  constructor(precision: Precision) {
    this.precision = precision;
    this.type = precision === 's' ? 'f32x4' : 'f64x2';
    this.ints = precision === 's' ? 'i32x4' : 'i64x2';
    this.all = precision === 's' ? 15 : 3;
  }
  constant(name: keyof (typeof CONSTANTS)['s']): Value {
    return lanes(CONSTANTS[this.precision][name]);
  }
  op(name: string, ...args: Value[]): Value {
    return simd(`${this.type}.${name}` as SimdName, ...args);
  }
  size(v: Value): Value {
    return this.op('abs', v);
  }
  isZero(v: Value): Value {
    return this.op('eq', v, lanes([0]));
  }
  isNan(v: Value): Value {
    return this.op('ne', v, v);
  }
  isInfinite(v: Value): Value {
    return this.op('eq', this.size(v), this.constant('infinity'));
  }
  isDenormal(v: Value): Value {
    return simd('v128.andnot', this.op('lt', this.size(v), this.constant('least')), this.isZero(v));
  }
  /** Zero, or not below the normal numbers; no NaN. */
  isPlain(v: Value): Value {
    return simd('v128.or', this.op('ge', this.size(v), this.constant('least')), this.isZero(v));
  }
  any(mask: Value): Value {
    return simd('v128.any_true', mask);
  }
  every(mask: Value): Value {
    return simd(`${this.ints}.bitmask`, mask).eq(this.all);
  }
}
const and = (a: Value, ...more: Value[]) => more.reduce((x, y) => simd('v128.and', x, y), a);
const or = (a: Value, ...more: Value[]) => more.reduce((x, y) => simd('v128.or', x, y), a);
const not = (a: Value, butNot: Value) => simd('v128.andnot', a, butNot);

/** Adds all functions to a module for the CPU whose state is at `state`. */
export function defineSse(module: ModuleWriter, state: number): void {
  // A product of two doubles is longer than the significand (r: the product as it was rounded; none is denormal).
  const productIsInexact = defineFunction(module, [I64, I64, I64], I32, (b, x, y, r) => {
    const significand = (v: Local) => v.and((1n << 52n) - 1n).or(1n << 52n);
    const exponent = (v: Local) => v.shrU(52).and(0x7ff).narrow();
    const trailing = (v: Value) =>
      new Value(I64, (w) => {
        v.emit(w);
        w.op(OP.i64Ctz);
      }).narrow();
    b.if(x!.shl(1).eqz().or(y!.shl(1).eqz()), () => b.return(0));
    // 105 bits, or 106 when the exponents' sum was too small by one.
    const carry = exponent(r!).sub(exponent(x!)).sub(exponent(y!)).add(1023);
    b.result(
      trailing(significand(x!))
        .add(trailing(significand(y!)))
        .ltS(carry.add(105 - 53)),
    );
  });

  for (const name of ['add', 'sub', 'mul', 'div', 'sqrt'] as const)
    for (const precision of ['s', 'd'] as const) {
      const l = new Lanes(precision);
      defineFunction(
        module,
        SSE_NATIVES.params,
        V128,
        (b, first, y) => write(b, l, name, first!, y!),
        `${name}p${precision}`,
      );
    }

  function write(b: Body, l: Lanes, name: Arithmetic, first: Local, y: Local): void {
    const x = name === 'sqrt' ? y : first;
    const zero = i32(0);
    const operation = () => (name === 'sqrt' ? l.op('sqrt', y) : l.op(name, x, y));
    const r = b.let(operation());
    const sign = lanes(l.precision === 's' ? single(0x8000) : double(0x8000));
    const mxcsr = b.load(OP.i32Load, zero, state + FIELDS.mxcsr.offset);
    const giveUp = () => {
      b.store(OP.i32Store, zero, state + FIELDS.sseOutcome.offset, i32(1));
      b.return(r);
    };
    const raise = (flags: Value) => b.store(OP.i32Store, zero, state + FIELDS.mxcsr.offset, mxcsr.or(flags));
    b.store(OP.i32Store, zero, state + FIELDS.sseOutcome.offset, zero);
    b.unlikely(mxcsr.and(ROUNDING), giveUp);
    b.unlikely(mxcsr.and(DAZ), () => {
      for (const v of name === 'sqrt' ? [y] : [x, y]) v.set(not(v, not(l.isDenormal(v), sign)));
      r.set(operation());
    });

    // Only the precision flag can rise.
    const isZeroProduct = or(l.isZero(x), l.isZero(y));
    const isResultPlain = {
      add: l.isPlain(r),
      sub: l.isPlain(r),
      mul: or(l.op('gt', l.size(r), l.constant('least')), isZeroProduct),
      // Zero by infinity is left to the other branch, which does not multiply back.
      div: or(l.op('gt', l.size(r), l.constant('least')), not(l.isZero(x), l.isInfinite(y))),
      sqrt: l.isPlain(r),
    }[name];
    const isBounded = l.op('lt', l.size(r), l.constant('infinity'));
    b.if(l.every(and(l.isPlain(x), l.isPlain(y), isBounded, isResultPlain)), () => {
      b.if(mxcsr.and(FLAG.PE), () => b.if(mxcsr.and(PM), () => b.return(r)));
      if (name === 'add' || name === 'sub')
        b.unlikely(
          l.every(and(l.op('lt', l.size(x), l.constant('large')), l.op('lt', l.size(r), l.constant('large')))).eqz(),
          giveUp,
        );
      b.if(isInexact(b, l, name, x, y, r), () => {
        b.if(mxcsr.and(PM).eqz(), giveUp);
        raise(i32(FLAG.PE));
        b.store(OP.i32Store, zero, state + FIELDS.ssePlain.offset, i32(1));
      });
      b.return(r);
    });

    // Specials: masked, and with the precision flag set, so that nobody need know whether they are exact.
    b.if(mxcsr.and(QUIET).ne(QUIET), giveUp);
    const nan = b.let(l.isNan(r));
    const nanX = b.let(l.isNan(x));
    const nanY = b.let(l.isNan(y));
    const flags = b.let(zero);
    const note = (flag: number, mask: Value) => b.if(l.any(mask), () => flags.set(flags.or(flag)));
    const isMultiplied = name === 'mul' || name === 'div';
    const isZeroAnyway = {
      mul: isZeroProduct,
      div: or(l.isZero(x), l.isInfinite(y)),
      add: l.isZero(r),
      sub: l.isZero(r),
    };
    if (name !== 'sqrt') {
      b.if(
        mxcsr.and(FTZ),
        () => {
          const tiny = b.let(not(l.op('lt', l.size(r), l.constant('least')), isZeroAnyway[name]));
          // It may have been tiny before it was rounded.
          if (isMultiplied) b.if(l.any(l.op('eq', l.size(r), l.constant('least'))), giveUp);
          note(FLAG.UE, tiny);
          r.set(not(r, not(tiny, sign)));
        },
        () => {
          // Whether such a result is exact is left to the helper, until the flag is set; sums are.
          if (isMultiplied) note(FLAG.UE, not(l.op('le', l.size(r), l.constant('least')), isZeroAnyway[name]));
          b.if(flags.and(mxcsr.not()), giveUp);
        },
      );
    }
    const isByZero = name === 'div' ? l.isZero(y) : lanes([0]);
    note(FLAG.DE, not(or(l.isDenormal(x), l.isDenormal(y)), or(nan, isByZero)));
    const infinite = not(l.isInfinite(r), or(l.isInfinite(x), l.isInfinite(y)));
    if (name === 'div') note(FLAG.ZE, and(infinite, isByZero));
    if (name !== 'sqrt') note(FLAG.OE, not(infinite, isByZero));
    b.if(l.any(nan), () => {
      const isSignalling = (v: Value, isNan: Value) =>
        and(isNan, simd(`${l.ints}.eq`, and(v, l.constant('quiet')), lanes([0])));
      note(FLAG.IE, or(not(nan, or(nanX, nanY)), isSignalling(x, nanX), isSignalling(y, nanY)));
      const fromY = simd('v128.bitselect', y, l.constant('nan'), nanY);
      const chosen = or(simd('v128.bitselect', x, fromY, nanX), l.constant('quiet'));
      r.set(simd('v128.bitselect', chosen, r, nan));
    });
    raise(flags);
    b.result(r);
  }

  /** For lanes that are zeros or normal numbers, as their result is. */
  function isInexact(b: Body, l: Lanes, name: Arithmetic, x: Local, y: Local, r: Local): Value {
    if (name === 'add' || name === 'sub') {
      // What rounding took away, by two-sum.
      const z = name === 'add' ? y : b.let(l.op('neg', y));
      const part = b.let(l.op('sub', r, x));
      const lost = l.op('add', l.op('sub', x, l.op('sub', r, part)), l.op('sub', z, part));
      return l.any(l.op('ne', lost, lanes([0])));
    }
    const [p, q, whole] = { mul: [x, y, r], div: [r, y, x], sqrt: [r, r, y] }[name] as [Local, Local, Local];
    if (l.precision === 's') {
      // Exact in double precision.
      const high = (v: Value) => simd('f64x2.promote_low_f32x4', upper(v));
      const low = (v: Value) => simd('f64x2.promote_low_f32x4', v);
      const differs = (half: (v: Value) => Value) =>
        l.any(simd('f64x2.ne', simd('f64x2.mul', half(p), half(q)), half(whole)));
      return differs(low).or(differs(high));
    }
    const test = (i: number) => b.call(productIsInexact, lane64(i, p), lane64(i, q), lane64(i, whole));
    const both = test(0).or(test(1));
    if (name === 'mul') return both;
    return both.or(l.any(l.op('ne', l.op('mul', p, q), whole)));
  }
}
/** The upper half in the place of the lower. */
function upper(v: Value): Value {
  return new Value(V128, (w) => {
    v.emit(w);
    v.emit(w);
    w.op(SIMD['i8x16.shuffle']);
    for (let i = 0; i < 16; i++) w.code.byte(8 + (i & 7));
  });
}
