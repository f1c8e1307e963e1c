/** FSIN, FCOS, FSINCOS, FPATAN, FYL2X and F2XM1 in WebAssembly: reduction by exact arithmetic and tables, then a short series in 128
 *  bits; one rounding to nearest. Refused: other rounding modes, operands that are not normal, very small or very different ones, exact
 *  results. */
import { type Body, i32, i64, type Local, type Value } from '../../../../wasm/expressions.ts';
import { OP } from '../../../../wasm/opcodes.ts';
import { FIELDS } from '../../state.ts';
import { BIAS, PE } from '../float80.ts';
import { arcTangents, LN2_BITS, naturalLogarithm, PI_BITS, powerOfTwo, SERIES_PLACES } from '../transcendental.ts';
import { divide, multiply } from './arithmetic.ts';
import { EXPONENT, ONE, type Parts, SIGN, type Unit } from './unit.ts';
import {
  addTo,
  multiplyWide,
  negateBy,
  normalizeWide,
  polynomial,
  shiftDown,
  subtractFrom,
  type Wide,
  wide,
  wideConstant,
} from './wide.ts';

const P = SERIES_PLACES;
/** A number of P binary places as a fraction times 2^128. */
const fraction = (n: bigint) => n >> (P - 128n);
const ratio = (numerator: bigint, denominator: bigint) => (numerator << 128n) / denominator;

// -- tables ------------------------------------------------------------------------------------------------------------

/** Reciprocals of 9 bits for the logarithm: m * RECIPROCAL[i] / 512 is one but for 2^-7, for the i of m's first bits. */
const RECIPROCALS = Array.from({ length: 128 }, (_, i) =>
  i === 0 ? 512 : i === 127 ? 256 : Math.round(512 / (1 + (i + 0.5) / 128)),
);
/** Steps of the arc tangent's and of the power's argument. */
const ARC_STEPS = 64;
const POWER_STEPS = 32;
const RECIPROCAL_AT = 0;
const LOG_AT = RECIPROCAL_AT + 128 * 8;
const ARC_AT = LOG_AT + 128 * 16;
const POWER_AT = ARC_AT + (ARC_STEPS + 1) * 16;
export const TABLE_BYTES = POWER_AT + (2 * POWER_STEPS + 1) * 16;

/** Contents of the tables. */
export function transcendentalTables(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(TABLE_BYTES);
  const view = new DataView(bytes.buffer);
  const put = (at: number, n: bigint) => {
    view.setBigUint64(at, BigInt.asUintN(64, n), true);
    view.setBigUint64(at + 8, BigInt.asUintN(64, n >> 64n), true);
  };
  RECIPROCALS.forEach((r, i) => {
    view.setBigUint64(RECIPROCAL_AT + i * 8, BigInt(r), true);
    // -log2(r / 512), below one but for the last, which is one and stands as zero.
    const log = (naturalLogarithm(512n, BigInt(r)) << P) / LN2_BITS;
    put(LOG_AT + i * 16, i === 127 ? 0n : fraction(log));
  });
  arcTangents(BigInt(ARC_STEPS)).forEach((angle, k) => {
    put(ARC_AT + k * 16, fraction(angle));
  });
  // |2^(j / 32) - 1|; of j = 32 only zero is left.
  for (let j = -POWER_STEPS; j <= POWER_STEPS; j++) {
    const power = powerOfTwo(BigInt(j), BigInt(POWER_STEPS)) - (1n << P);
    put(POWER_AT + (j + POWER_STEPS) * 16, fraction(power < 0n ? -power : power));
  }
  return bytes;
}

function factorials(first: number, step: number, count: number): bigint[] {
  const values: bigint[] = [];
  let f = 1n;
  for (let k = 1; values.length < count; k++) {
    f *= BigInt(k);
    if (k >= first && (k - first) % step === 0) values.push(ratio(1n, f));
  }
  return values;
}
const TERMS = 14;
/** sin x = x - x y S(y), cos x = 1 - y C(y), y = x^2, both alternating. */
const SINE = factorials(3, 2, TERMS);
const COSINE = factorials(2, 2, TERMS);
/** atan u = u - u w A(w), w = u^2. */
const ARC = Array.from({ length: 8 }, (_, k) => ratio(1n, BigInt(2 * k + 3)));
/** log2(1 + u) = 2 u L(u), alternating. */
const LOG = Array.from({ length: 17 }, (_, k) => (1n << (P + 127n)) / LN2_BITS / BigInt(k + 1));
/** 2^x - 1 = x E(x). */
const POWER = (() => {
  const values: bigint[] = [];
  let term = LN2_BITS;
  for (let k = 2n; values.length < 13; k++) {
    values.push(fraction(term));
    term = ((term * LN2_BITS) / k) >> P;
  }
  return values;
})();

// -- common ------------------------------------------------------------------------------------------------------------

/** Leaves unless results are rounded to nearest and inexact ones are masked. */
function requireUsual(b: Body, u: Unit): void {
  const control = u.get(b, FIELDS.fpuControl);
  b.unlikely(control.and(0xc00 | PE).ne(PE), () => b.return(1));
}
/** Rounds a normalised number to 64 bits: gives whether it went up. */
function roundNearest(b: Body, x: Wide, exponent: Local): Local {
  const up = b.let(x.low.shrU(63));
  x.high.set(x.high.add(up));
  b.unlikely(up.and(x.high.eqz().wideU()).eqz().eqz(), () => {
    x.high.set(ONE);
    exponent.set(exponent.add(1));
  });
  return b.let(up.narrow());
}
function report(b: Body, u: Unit, up: Value, cleared: number): void {
  const status = u.get(b, FIELDS.fpuStatus).and(~(0x200 | cleared));
  u.set(b, FIELDS.fpuStatus, status.or(PE).or(up.shl(9)));
}
function requireInRange(b: Body, exponent: Value): void {
  b.unlikely(exponent.sub(1).geU(0x7ffe), () => b.return(1));
}

// -- sine and cosine ---------------------------------------------------------------------------------------------------

/** Low 64 bits of a quarter turn of 66 bits, as the argument reduction has it; the upper two are ones. */
const QUARTER = 0x243f_6a88_85a3_08d3n;
/** 2 / pi times 2^64. */
const TURNS = 0xa2f9_836e_4e44_1529n;
/** Arguments below 2^-32, rests too, and from 2^40 on are left to the unit. */
const LEAST = 32;

/** FSIN, FCOS, FSINCOS. */
export function sineAndCosine(b: Body, u: Unit, wanted: 'sine' | 'cosine' | 'both'): void {
  const first = u.physical(b, 0);
  u.requireUsed(b, first);
  requireUsual(b, u);
  const x = u.parts(b, first);
  const exponent = b.let(x.top.and(EXPONENT).sub(BIAS));
  const isFine = u.isNormal(x).and(exponent.add(LEAST).ltU(LEAST + 40));
  b.unlikely(isFine.eqz(), () => b.return(1));
  const isNegative = b.let(x.top.shrU(15));
  const turns = b.let(i64(0));
  const rest = wide(b, x.mantissa, i64(0));
  const restSign = b.let(i32(0));
  b.if(
    exponent.ltS(-1),
    () => shiftDown(b, rest, i32(-1).sub(exponent)),
    () => {
      // In units of 2^-65 everything is an integer.
      const [estimate] = multiply(b, x.mantissa, i64(TURNS));
      turns.set(estimate.shrU(i32(62).sub(exponent)).add(1).shrU(1));
      const [high, low] = multiply(b, turns, i64(QUARTER));
      const taken = { high: b.let(high.add(turns.mul(3))), low };
      const shift = b.let(exponent.add(2));
      rest.low.set(x.mantissa.shl(shift));
      rest.high.set(shift.geU(64).select(x.mantissa, x.mantissa.shrU(1).shrU(i32(63).sub(shift))));
      b.if(shift.geU(64), () => rest.low.set(0));
      subtractFrom(b, rest, taken);
      const mask = b.let(rest.high.shrS(63));
      restSign.set(mask.narrow().and(1));
      negateBy(b, rest, mask);
      rest.high.set(rest.high.shl(63).or(rest.low.shrU(1)));
      rest.low.set(rest.low.shl(63));
    },
  );
  b.unlikely(rest.high.shrU(32).eqz(), () => b.return(1));
  const square = multiplyWide(b, rest, rest);
  const quadrant = b.let(turns.narrow());
  const isOdd = b.let(quadrant.and(1));
  /** sine of the rest: mantissa and exponent. */
  const sine = (): { value: Wide; exponent: Local } => {
    const value = wide(b, rest.high, rest.low);
    const less = multiplyWide(b, multiplyWide(b, polynomial(b, square, SINE, i64(-1), 7), square), value);
    subtractFrom(b, value, less);
    const zeros = normalizeWide(b, value);
    return { value, exponent: b.let(i32(BIAS - 1).sub(zeros)) };
  };
  const cosine = (): { value: Wide; exponent: Local } => {
    const value = multiplyWide(b, polynomial(b, square, COSINE, i64(-1), 7), square);
    negateBy(b, value, i64(-1));
    const zeros = normalizeWide(b, value);
    return { value, exponent: b.let(i32(BIAS - 1).sub(zeros)) };
  };
  const top = (sign: Value, power: Value) => sign.and(1).shl(15).or(power);
  /** Signs of the two results. */
  const sineSign = isNegative.xor(quadrant.shrU(1)).xor(isOdd.eqz().and(restSign));
  const cosineSign = quadrant.add(1).shrU(1).xor(isOdd.and(restSign));
  if (wanted !== 'both') {
    const result = { value: wide(b, i64(0), i64(0)), exponent: b.let(i32(0)) };
    const take = (made: { value: Wide; exponent: Local }) => {
      result.value.high.set(made.value.high);
      result.value.low.set(made.value.low);
      result.exponent.set(made.exponent);
    };
    b.if(
      wanted === 'sine' ? isOdd : isOdd.eqz(),
      () => take(cosine()),
      () => take(sine()),
    );
    const up = roundNearest(b, result.value, result.exponent);
    u.write(b, first, top(wanted === 'sine' ? sineSign : cosineSign, result.exponent), result.value.high);
    report(b, u, up, 0x400);
    return;
  }
  const second = b.let(first.sub(1).and(7));
  const empty = u.get(b, FIELDS.fpuEmpty);
  b.unlikely(empty.shrU(second).and(1).eqz(), () => b.return(1));
  const s = sine();
  const c = cosine();
  const up = roundNearest(b, s.value, s.exponent);
  const other = roundNearest(b, c.value, c.exponent);
  const [sinAt, cosAt] = [b.let(isOdd.select(second, first)), b.let(isOdd.select(first, second))];
  // In odd quadrants they change places: the sign belongs to the place.
  const placeSign = (isFirst: Value) => isFirst.select(b.let(sineSign), b.let(cosineSign));
  const sSign = b.let(placeSign(isOdd.eqz()));
  const cSign = b.let(placeSign(isOdd));
  u.write(b, sinAt, top(sSign, s.exponent), s.value.high);
  u.write(b, cosAt, top(cSign, c.exponent), c.value.high);
  u.set(b, FIELDS.fpuTop, second);
  u.markUsed(b, second);
  report(b, u, up.or(other), 0x400);
}

// -- functions of two numbers ------------------------------------------------------------------------------------------

/** ST0 and ST1, both normal. */
function operands(b: Body, u: Unit): { first: Local; second: Local; x: Parts; y: Parts } {
  const first = u.physical(b, 0);
  const second = u.physical(b, 1);
  u.requireUsed(b, first, second);
  requireUsual(b, u);
  const x = u.parts(b, first);
  const y = u.parts(b, second);
  b.unlikely(u.isNormal(x).and(u.isNormal(y)).eqz(), () => b.return(1));
  return { first, second, x, y };
}
function entry(b: Body, table: number, index: Value): Wide {
  const at = b.let(index.shl(4));
  return { low: b.load(OP.i64Load, at, table), high: b.load(OP.i64Load, at, table + 8) };
}
/** Rounds into ST1 and pops. */
function deliver(b: Body, u: Unit, second: Local, sign: Value, exponent: Local, value: Wide): void {
  const up = roundNearest(b, value, exponent);
  requireInRange(b, exponent);
  u.write(b, second, sign.or(exponent), value.high);
  report(b, u, up, 0);
  u.pop(b);
}

/** FYL2X. */
export function logarithm(b: Body, u: Unit, tables: number): void {
  const { second, x, y } = operands(b, u);
  b.unlikely(x.mantissa.eq(ONE).or(x.top.and(SIGN)), () => b.return(1));
  const index = b.let(x.mantissa.shrU(56).and(127).narrow());
  // u = m * r / 512 - 1, exactly.
  const reciprocal = b.load(OP.i64Load, index.shl(3), tables + RECIPROCAL_AT);
  const [high, low] = multiply(b, x.mantissa, reciprocal);
  // The product has its point 72 bits from the right: bits above are zero or one.
  const part = wide(b, high.shl(56).or(low.shrU(8)), low.shl(56));
  const isBelow = b.let(high.shrU(8).eqz().wideU().neg());
  negateBy(b, part, isBelow);
  const series = polynomial(b, part, LOG, isBelow.not(), 9);
  const count = normalizeWide(b, part);
  const value = multiplyWide(b, part, series);
  const exponent = b.let(i32(BIAS).sub(count));
  const isNegative = b.let(isBelow.narrow().and(1));
  // Integer part and the table's share; of these two sums one is zero for numbers next to one.
  const whole = b.let(x.top.sub(BIAS).add(index.eq(127)).wideS());
  const share = entry(b, tables + LOG_AT, index);
  b.if(
    whole.or(share.high).or(share.low).eqz().eqz(),
    () => {
      shiftDown(b, value, count.sub(1));
      negateBy(b, value, isBelow);
      // whole.share + value, three words.
      const isLess = b.let(isBelow);
      share.low.set(share.low.add(value.low));
      const carry = b.let(share.low.ltU(value.low).wideU());
      const sum = b.let(share.high.add(value.high));
      const overflow = b.let(sum.ltU(value.high).wideU());
      share.high.set(sum.add(carry));
      whole.set(whole.add(isLess).add(overflow).add(share.high.ltU(carry).wideU()));
      const mask = b.let(whole.shrS(63));
      isNegative.set(mask.narrow().and(1));
      share.low.set(share.low.xor(mask).sub(mask));
      const borrow = b.let(share.low.eqz().wideU().and(mask));
      share.high.set(share.high.xor(mask).add(borrow));
      whole.set(whole.xor(mask).add(share.high.eqz().wideU().and(borrow)));
      b.if(
        whole.eqz(),
        () => exponent.set(i32(BIAS - 1).sub(normalizeWide(b, share))),
        () => {
          const zeros = b.let(whole.clz());
          const shift = b.let(i64(64).sub(zeros));
          share.low.set(share.low.shrU(shift).or(share.high.shl(zeros)));
          share.high.set(share.high.shrU(shift).or(whole.shl(zeros)));
          exponent.set(i32(BIAS + 63).sub(zeros.narrow()));
        },
      );
      value.high.set(share.high);
      value.low.set(share.low);
    },
    () => exponent.set(exponent.sub(normalizeWide(b, value))),
  );
  scaleBy(b, value, exponent, y);
  const sign = b.let(y.top.and(SIGN).xor(isNegative.shl(15)));
  deliver(b, u, second, sign, exponent, value);
}
/** A normalised value times a normal number. */
function scaleBy(b: Body, value: Wide, exponent: Local, by: Parts): void {
  const product = { high: b.let(by.mantissa), low: b.let(i64(0)) };
  const scaled = multiplyWide(b, value, product);
  value.high.set(scaled.high);
  value.low.set(scaled.low);
  const shift = normalizeWide(b, value);
  exponent.set(
    exponent
      .add(by.top.and(EXPONENT))
      .sub(BIAS - 1)
      .sub(shift),
  );
}

/** FPATAN: the angle of the point (ST0, ST1). */
export function arcTangent(b: Body, u: Unit, tables: number): void {
  const { second, x, y } = operands(b, u);
  const difference = b.let(y.top.and(EXPONENT).sub(x.top.and(EXPONENT)));
  // The lesser over the greater.
  const isSteep = b.let(difference.gtS(0).or(difference.eqz().and(y.mantissa.gtU(x.mantissa))));
  const small = b.let(isSteep.select(x.mantissa, y.mantissa));
  const large = b.let(isSteep.select(y.mantissa, x.mantissa));
  const distance = b.let(isSteep.select(difference, difference.neg()));
  b.unlikely(distance.gtS(60), () => b.return(1));
  // k / 64 next to the quotient t; atan t = atan(k/64) + atan((64 t - k) / (64 + k t)).
  const divisor = b.let(large.shrU(32));
  const step = b.let(small.shrU(26).shrU(distance).add(divisor.shrU(1)).divU(divisor));
  const n = wide(b, small, i64(0));
  const d = wide(b, large, i64(0));
  const shift = b.let(distance.sub(1));
  const isLess = b.let(i64(0));
  b.if(step.eqz().eqz(), () => {
    // Exact integers, with the greater operand's unit.
    const [stepHigh, stepLow] = multiply(b, large.shl(0), step);
    const taken = { high: stepHigh, low: stepLow };
    scaleUp(b, taken, distance);
    n.high.set(small.shrU(58));
    n.low.set(small.shl(6));
    subtractFrom(b, n, taken);
    isLess.set(n.high.shrS(63));
    negateBy(b, n, isLess);
    // A quotient of just k / 64: a rest of next to nothing keeps the rest of this simple.
    const isWhole = b.let(n.high.or(n.low).eqz());
    n.low.set(n.low.or(isWhole.wideU()));
    d.high.set(large.shrU(58));
    d.low.set(large.shl(6));
    scaleUp(b, d, distance);
    const [addHigh, addLow] = multiply(b, small, step);
    addTo(b, d, addHigh, addLow);
    const up = normalizeWide(b, n);
    const down = normalizeWide(b, d);
    shift.set(isWhole.select(i32(127), up.sub(down).sub(1)));
  });
  const value = divideWide(b, n, d);
  const u1 = wide(b, value.high, value.low);
  shiftDown(b, u1, shift);
  const square = multiplyWide(b, u1, u1);
  const less = multiplyWide(b, multiplyWide(b, polynomial(b, square, ARC, i64(-1), 4), square), value);
  subtractFrom(b, value, less);
  const exponent = b.let(i32(BIAS - 1).sub(shift));
  const isBehind = b.let(x.top.and(SIGN));
  b.if(
    step.narrow().or(isSteep).or(isBehind),
    () => {
      // In units of four: quarters of pi.
      shiftDown(b, value, shift);
      negateBy(b, value, isLess);
      const angle = entry(b, tables + ARC_AT, step.narrow());
      addTo(b, angle, value.high, value.low);
      shiftDown(b, angle, i32(2));
      const from = (n: bigint) => {
        const whole = wideConstant(b, fraction(n));
        subtractFrom(b, whole, angle);
        angle.high.set(whole.high);
        angle.low.set(whole.low);
      };
      b.if(isSteep, () => from(PI_BITS / 8n));
      b.if(isBehind, () => from(PI_BITS / 4n));
      const zeros = normalizeWide(b, angle);
      value.high.set(angle.high);
      value.low.set(angle.low);
      exponent.set(i32(BIAS + 1).sub(zeros));
    },
    () => exponent.set(exponent.sub(normalizeWide(b, value))),
  );
  deliver(b, u, second, b.let(y.top.and(SIGN)), exponent, value);
}
/** An integer of 128 bits to the left by less than 64. */
function scaleUp(b: Body, x: Wide, count: Value): void {
  b.if(count, () => {
    x.high.set(x.high.shl(count).or(x.low.shrU(i32(64).sub(count))));
    x.low.set(x.low.shl(count));
  });
}
/** Half of n / d as a fraction of 128 bits; both normalised, of at most 126 bits. */
function divideWide(b: Body, n: Wide, d: Wide): Wide {
  shiftDown(b, n, i32(1));
  const [first] = divideSafely(b, n.high, n.low, d.high);
  // The rest, in quarters so that its sign shows: the estimate may be too great by two.
  const quarter = wide(b, d.high, d.low);
  shiftDown(b, quarter, i32(2));
  const [high, low] = multiply(b, first, quarter.low);
  const rest = wide(b, n.low.shrU(2).or(n.high.shl(62)), i64(0));
  // n has zeros in its last bits, so nothing is lost below.
  rest.low.set(n.low.shl(62));
  subtractFrom(b, rest, { high: b.let(high.add(first.mul(quarter.high))), low });
  for (let i = 0; i < 2; i++)
    b.if(rest.high.ltS(0), () => {
      first.set(first.sub(1));
      addTo(b, rest, quarter.high, quarter.low);
    });
  const [second] = divideSafely(b, rest.high.shl(2).or(rest.low.shrU(62)), rest.low.shl(2), d.high);
  return { high: first, low: second };
}
/** Saturates where the quotient would have 65 bits. */
function divideSafely(b: Body, high: Value, low: Value, divisor: Value): readonly [Local] {
  const quotient = b.let(i64(-1));
  const upper = b.let(high);
  b.if(upper.ltU(divisor), () => {
    const [q] = divide(b, upper, low, divisor);
    quotient.set(q);
  });
  return [quotient];
}

// -- power -------------------------------------------------------------------------------------------------------------

/** F2XM1. */
export function powerMinusOne(b: Body, u: Unit, tables: number): void {
  const first = u.physical(b, 0);
  u.requireUsed(b, first);
  requireUsual(b, u);
  const x = u.parts(b, first);
  const power = b.let(x.top.and(EXPONENT).sub(BIAS));
  b.unlikely(u.isNormal(x).and(power.add(LEAST).ltU(LEAST)).eqz(), () => b.return(1));
  const isNegative = b.let(x.top.and(SIGN));
  const rest = wide(b, x.mantissa, i64(0));
  shiftDown(b, rest, b.let(i32(-1).sub(power)));
  // |x| = j / 32 + rest
  const step = b.let(rest.high.shrU(58).add(1).shrU(1));
  rest.high.set(rest.high.sub(step.shl(59)));
  const isLess = b.let(rest.high.shrS(63));
  negateBy(b, rest, isLess);
  b.unlikely(rest.high.or(rest.low).eqz(), () => b.return(1));
  const mask = b.let(isLess.xor(isNegative.wideU().shl(48).shrS(63)));
  const series = polynomial(b, rest, POWER, mask, 6);
  const count = normalizeWide(b, rest);
  const value = multiplyWide(b, rest, series);
  const exponent = b.let(i32(BIAS - 1).sub(count));
  b.if(
    step.eqz(),
    () => exponent.set(exponent.sub(normalizeWide(b, value))),
    () => {
      // (1 + T)(1 + E) - 1 = T + E + T E
      shiftDown(b, value, count);
      const index = isNegative.select(step.neg(), step).narrow().add(POWER_STEPS);
      const table = entry(b, tables + POWER_AT, index);
      const product = multiplyWide(b, table, value);
      // 2^1 - 1 is one and stands as zero.
      b.if(step.eq(POWER_STEPS).and(isNegative.eqz()), () => {
        product.high.set(value.high);
        product.low.set(value.low);
      });
      negateBy(b, product, b.let(isNegative.wideU().shl(48).shrS(63)));
      addTo(b, value, product.high, product.low);
      negateBy(b, value, isLess);
      addTo(b, table, value.high, value.low);
      exponent.set(i32(BIAS - 1).sub(normalizeWide(b, table)));
      value.high.set(table.high);
      value.low.set(table.low);
    },
  );
  const up = roundNearest(b, value, exponent);
  u.write(b, first, isNegative.or(exponent), value.high);
  report(b, u, up, 0);
}
