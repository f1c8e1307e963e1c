/** F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FPTAN: series in fixed point with far more bits than the result has, then one rounding.
 *  Results differ from a correct rounding only where more than sixty bits behind the last one are all the same.
 *  As documented (Intel SDM volume 1, 8.3.8) the trigonometric ones take their argument modulo a pi of 66 bits. */
import { propagate, propagateOne } from './arithmetic.ts';
import { BIAS, DE, EXTENDED, FINITE, type Float80, IE, INFINITY, PE, round, UE, ZE, ZERO } from './float80.ts';

type Fixed = bigint;
/** Digits of the working constants. */
const WIDE = 400n;

function bitLength(n: bigint): number {
  const text = n.toString(16);
  return text.length * 4 - Math.clz32(Number.parseInt(text[0]!, 16)) + 28;
}
const mantissa = (a: Float80) => (BigInt(a.high) << 32n) | BigInt(a.low);

/** Rounds n * 2^-places to `r`; `isExact` false: the true value has more bits. */
function settle(r: Float80, sign: number, n: bigint, places: number, isExact: boolean, control: number): number {
  const length = bitLength(n);
  const drop = length - 96;
  let kept = drop >= 0 ? n >> BigInt(drop) : n << BigInt(-drop);
  if (!isExact || (drop > 0 && kept << BigInt(drop) !== n)) kept |= 1n;
  r.set(sign, BIAS + length - 1 - places, Number(kept >> 64n), Number((kept >> 32n) & 0xffff_ffffn));
  return round(r, Number(kept & 0xffff_ffffn), EXTENDED, control);
}

/** Sum of (-1)^k z^(2k+1) / (2k+1), or without alternation: atan and atanh of a small z. */
function arcSeries(z: Fixed, f: bigint, isAlternating: boolean): Fixed {
  // Shifts of negative numbers would never reach zero.
  if (z < 0n) return -arcSeries(-z, f, isAlternating);
  const square = (z * z) >> f;
  let power = z;
  let sum = z;
  for (let k = 3n, isMinus = isAlternating; power !== 0n; k += 2n) {
    power = (power * square) >> f;
    sum += isMinus ? -(power / k) : power / k;
    if (isAlternating) isMinus = !isMinus;
  }
  return sum;
}
/** ln 2 = 2 atanh(1/3). */
const LN2 = 2n * arcSeries((1n << (WIDE + 16n)) / 3n, WIDE + 16n, false);
const LN2_PLACES = WIDE + 16n;
const ln2At = (f: bigint) => LN2 >> (LN2_PLACES - f);
/** Machin: pi = 16 atan(1/5) - 4 atan(1/239). */
const PI =
  16n * arcSeries((1n << LN2_PLACES) / 5n, LN2_PLACES, true) -
  4n * arcSeries((1n << LN2_PLACES) / 239n, LN2_PLACES, true);
const piAt = (f: bigint) => PI >> (LN2_PLACES - f);

/** For the tables of the native functions (native/transcendental.ts): binary places, and what they are made of. */
export const SERIES_PLACES = 160n;
export const LN2_BITS = ln2At(SERIES_PLACES);
export const PI_BITS = piAt(SERIES_PLACES);
/** ln(n / d), the quotient being at most 2. */
export function naturalLogarithm(n: bigint, d: bigint): bigint {
  return 2n * arcSeries(((n - d) << SERIES_PLACES) / (n + d), SERIES_PLACES, false);
}
/** atan(k / n) for k = 0..n: atan(k/n) = atan((k-1)/n) + atan(n / (n^2 + k(k-1))). */
export function arcTangents(n: bigint): bigint[] {
  const made = [0n];
  for (let k = 1n; k <= n; k++)
    made.push(made.at(-1)! + arcSeries((n << SERIES_PLACES) / (n * n + k * (k - 1n)), SERIES_PLACES, true));
  return made;
}
/** 2^(j / n), |j| <= n. */
export function powerOfTwo(j: bigint, n: bigint): bigint {
  const x = (j * LN2_BITS) / n;
  let term = 1n << SERIES_PLACES;
  let sum = term;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = ((term * x) >> SERIES_PLACES) / k;
    sum += term;
  }
  return sum;
}
/** A quarter turn as the argument reduction has it: pi / 2 with 66 bits, times 2^65. */
const QUARTER = 0x3243f6a8885a308d3n;
const QUARTER_PLACES = 65n;

/** Argument as fixed point with at least 128 significant bits. */
function fixed(a: Float80, f: bigint): Fixed {
  const shift = f + BigInt(a.exponent - BIAS - 63);
  return shift >= 0n ? mantissa(a) << shift : mantissa(a) >> -shift;
}
const fractionFor = (exponent: number) => BigInt(192 + Math.max(0, BIAS - exponent));

// -- trigonometric -----------------------------------------------------------------------------------------------------

/** Whether FSIN and its kin take the argument; otherwise they set C2. */
export function isReducible(a: Float80): boolean {
  return a.classify() !== FINITE || a.exponent < BIAS + 63;
}
function sineSeries(x: Fixed, f: bigint): Fixed {
  const square = (x * x) >> f;
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n; k += 2n) {
    term = -((term * square) >> f) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}
function cosineSeries(x: Fixed, f: bigint): Fixed {
  const square = (x * x) >> f;
  let term = 1n << f;
  let sum = term;
  for (let k = 1n; term !== 0n; k += 2n) {
    term = -((term * square) >> f) / (k * (k + 1n));
    sum += term;
  }
  return sum;
}
const angle = { quadrant: 0, rest: 0n };
/** Splits |a| into quarter turns and a rest of at most an eighth. */
function reduce(a: Float80, f: bigint): void {
  const x = fixed(a, f);
  const quarter = QUARTER << (f - QUARTER_PLACES);
  const turns = (x + (quarter >> 1n)) / quarter;
  angle.quadrant = Number(turns & 3n);
  angle.rest = x - turns * quarter;
}
function sineOrCosine(a: Float80, ahead: number, r: Float80, control: number): number {
  const sign = ahead === 0 ? a.sign : 0;
  const f = fractionFor(a.exponent);
  reduce(a, f);
  const quadrant = (angle.quadrant + ahead) & 3;
  let value = quadrant & 1 ? cosineSeries(angle.rest, f) : sineSeries(angle.rest, f);
  let isNegative = quadrant >= 2;
  if (value < 0n) {
    value = -value;
    isNegative = !isNegative;
  }
  return settle(r, sign ^ (isNegative ? 1 : 0), value, Number(f), false, control);
}
/** Arguments below 2^-70 are their own sine and tangent, but for a little. */
function almost(a: Float80, isLess: boolean, r: Float80, control: number): number {
  const m = mantissa(a) << 64n;
  return settle(r, a.sign, isLess ? m - 1n : m + 1n, 64 + 63 + BIAS - a.exponent, false, control);
}
const SMALL = BIAS - 70;

function trigonometric(a: Float80, r: Float80, f: (a: Float80) => number, atZero: (a: Float80) => void): number {
  const ca = a.classify();
  if (ca > INFINITY) return propagateOne(a, ca, r);
  if (ca === INFINITY) {
    r.indefinite();
    return IE;
  }
  if (ca === ZERO) {
    atZero(a);
    return 0;
  }
  const flags = a.isDenormal ? DE : 0;
  a.normalize();
  return flags | f(a);
}
export function sine(a: Float80, r: Float80, control: number): number {
  return trigonometric(
    a,
    r,
    (x) => (x.exponent < SMALL ? almost(x, true, r, control) : sineOrCosine(x, 0, r, control)),
    (x) => r.copy(x),
  );
}
export function cosine(a: Float80, r: Float80, control: number): number {
  return trigonometric(
    a,
    r,
    (x) => {
      if (x.exponent >= SMALL) return sineOrCosine(x, 1, r, control);
      return settle(r, 0, (1n << 128n) - 1n, 128, false, control);
    },
    () => r.set(0, BIAS, 0x8000_0000, 0),
  );
}
export function tangent(a: Float80, r: Float80, control: number): number {
  return trigonometric(
    a,
    r,
    (x) => {
      if (x.exponent < SMALL) return almost(x, false, r, control);
      const f = fractionFor(x.exponent);
      reduce(x, f);
      const s = sineSeries(angle.rest, f);
      const c = cosineSeries(angle.rest, f);
      let value = angle.quadrant & 1 ? (-c << f) / s : (s << f) / c;
      const isNegative = value < 0n;
      if (isNegative) value = -value;
      return settle(r, x.sign ^ (isNegative ? 1 : 0), value, Number(f), false, control);
    },
    (x) => r.copy(x),
  );
}

// -- exponential and logarithm -----------------------------------------------------------------------------------------

/** F2XM1: 2^a - 1 for |a| <= 1; beyond that the argument comes back. */
export function exponentialMinusOne(a: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  if (ca > INFINITY) return propagateOne(a, ca, r);
  r.copy(a);
  if (ca === ZERO) return 0;
  if (ca === INFINITY) {
    if (a.sign) r.set(1, BIAS, 0x8000_0000, 0);
    return 0;
  }
  const flags = a.isDenormal ? DE : 0;
  a.normalize();
  if (a.exponent > BIAS || (a.exponent === BIAS && (a.high !== 0x8000_0000 || a.low !== 0))) return flags;
  if (a.exponent === BIAS) {
    // 2^1 - 1 and 2^-1 - 1.
    r.set(a.sign, a.sign ? BIAS - 1 : BIAS, 0x8000_0000, 0);
    return flags;
  }
  if (a.exponent < BIAS - 160) {
    const f = 256n;
    return flags | settle(r, a.sign, mantissa(a) * ln2At(f), 63 + 256 + BIAS - a.exponent, false, control);
  }
  const f = fractionFor(a.exponent);
  let x = (fixed(a, f) * ln2At(f)) >> f;
  if (a.sign) x = -x;
  let term = x;
  let sum = x;
  for (let k = 2n; term !== 0n && term !== -1n; k++) {
    term = ((term * x) >> f) / k;
    sum += term;
  }
  return flags | settle(r, a.sign, sum < 0n ? -sum : sum, Number(f), false, control);
}

const SQRT2 = 0xb504_f333_f9de_6484n;

/** FYL2X: b * log2(a), to ST1. */
export function logarithm(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  const isOne = ca === FINITE && a.exponent === BIAS && a.high === 0x8000_0000 && a.low === 0;
  if (a.sign && ca !== ZERO) {
    r.indefinite();
    return IE;
  }
  if (ca === ZERO) {
    if (cb === ZERO) {
      r.indefinite();
      return IE;
    }
    r.infinity(b.sign ^ 1);
    return cb === INFINITY ? 0 : ZE;
  }
  const flags = a.isDenormal || b.isDenormal ? DE : 0;
  if (ca === INFINITY) {
    if (cb === ZERO) {
      r.indefinite();
      return IE;
    }
    r.infinity(b.sign);
    return flags;
  }
  a.normalize();
  const isBelow = a.exponent < BIAS;
  if (cb === INFINITY) {
    if (isOne) {
      r.indefinite();
      return IE;
    }
    r.infinity(b.sign ^ (isBelow ? 1 : 0));
    return flags;
  }
  if (cb === ZERO || isOne) {
    r.zero(b.sign ^ (isBelow ? 1 : 0));
    return flags;
  }
  b.normalize();
  let m = mantissa(a);
  let e = a.exponent - BIAS;
  const f = 272n;
  const isPower = m === 1n << 63n;
  let value: bigint;
  if (isPower) value = BigInt(e) << f;
  else {
    let half = 0n;
    if (m > SQRT2) {
      // m / 2, in the same units
      e++;
      half = 1n;
    }
    const one = 1n << (63n + half);
    const log = 2n * arcSeries(((m - one) << f) / (m + one), f, false);
    value = (BigInt(e) << f) + (log << f) / ln2At(f);
  }
  m = mantissa(b);
  const isNegative = value < 0n;
  if (isNegative) value = -value;
  const places = Number(f) + 63 + BIAS - b.exponent;
  const made = settle(r, b.sign ^ (isNegative ? 1 : 0), value * m, places, isPower, control);
  // Exact results are reported as inexact too.
  return flags | made | PE | (r.exponent === 0 ? UE : 0);
}

/** FYL2XP1: b * log2(a + 1), to ST1. */
export function logarithmOfOnePlus(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  const flags = a.isDenormal || b.isDenormal ? DE : 0;
  if (ca === INFINITY) {
    if (a.sign || cb === ZERO) {
      r.indefinite();
      return IE;
    }
    r.infinity(b.sign);
    return flags;
  }
  if (ca === ZERO) {
    if (cb === INFINITY) {
      r.indefinite();
      return IE;
    }
    r.zero(a.sign ^ b.sign);
    return flags;
  }
  if (cb === INFINITY) {
    r.infinity(a.sign ^ b.sign);
    return flags;
  }
  if (cb === ZERO) {
    r.zero(a.sign ^ b.sign);
    return flags;
  }
  const isMinusOne = a.sign === 1 && a.exponent >= BIAS;
  a.normalize();
  b.normalize();
  if (isMinusOne) {
    // Out of the documented range; the logarithm does not exist from -1 on.
    r.indefinite();
    return flags | IE;
  }
  let value: bigint;
  let places: number;
  if (a.exponent < BIAS - 200) {
    value = (mantissa(a) << 256n) / ln2At(256n);
    places = 63 + BIAS - a.exponent;
  } else {
    const f = fractionFor(a.exponent) + 64n + BigInt(Math.max(0, a.exponent - BIAS));
    const x = a.sign ? -fixed(a, f) : fixed(a, f);
    let log: bigint;
    if (a.exponent < BIAS - 1) log = 2n * arcSeries((x << f) / (x + (2n << f)), f, false);
    else {
      const sum = x + (1n << f);
      const e = bitLength(sum) - 1 - Number(f);
      const m = e >= 0 ? sum >> BigInt(e) : sum << BigInt(-e);
      log = BigInt(e) * ln2At(f) + 2n * arcSeries(((m - (1n << f)) << f) / (m + (1n << f)), f, false);
    }
    value = (log << f) / ln2At(f);
    if (value < 0n) value = -value;
    places = Number(f);
  }
  const total = value * mantissa(b);
  return flags | settle(r, a.sign ^ b.sign, total, places + 63 + BIAS - b.exponent, false, control);
}

// -- arc tangent -------------------------------------------------------------------------------------------------------

const ARC_PLACES = 384n;
/** atan(k / 16) for k = 0..16. */
let arcs: bigint[] | null = null;
function arcTable(): bigint[] {
  if (arcs) return arcs;
  const f = ARC_PLACES;
  const made = [0n];
  // atan(k/16) = atan((k-1)/16) + atan(16 / (256 + k(k-1)))
  for (let k = 1n; k <= 16n; k++) made.push(made.at(-1)! + arcSeries((16n << f) / (256n + k * (k - 1n)), f, true));
  arcs = made;
  return made;
}
/** atan of 0 <= t <= 1. */
function arcFixed(t: Fixed, f: bigint): Fixed {
  const k = (t * 16n + (1n << (f - 1n))) >> f;
  if (k === 0n) return arcSeries(t, f, true);
  const c = (k << f) / 16n;
  const u = ((t - c) << f) / ((1n << f) + ((t * c) >> f));
  return (arcTable()[Number(k)]! >> (ARC_PLACES - f)) + arcSeries(u, f, true);
}
/** Rounds an angle of `quarters` * pi / 4 (sign apart); the true one is a little less or more by `nudge`. */
function piMultiple(r: Float80, sign: number, eighths: bigint, nudge: bigint, control: number): number {
  return settle(r, sign, eighths * piAt(256n) + nudge, 258, false, control);
}

/** FPATAN: angle of the point (a, b), a = ST0 being x and b = ST1 being y. */
export function arcTangent(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  const flags = a.isDenormal || b.isDenormal ? DE : 0;
  const { sign } = b;
  if (cb === ZERO) {
    if (!a.sign) {
      r.zero(sign);
      return flags;
    }
    return flags | piMultiple(r, sign, 4n, 0n, control);
  }
  if (ca === ZERO) return flags | piMultiple(r, sign, 2n, 0n, control);
  if (ca === INFINITY || cb === INFINITY) {
    if (ca === INFINITY && cb === INFINITY) return flags | piMultiple(r, sign, a.sign ? 3n : 1n, 0n, control);
    if (cb === INFINITY) return flags | piMultiple(r, sign, 2n, 0n, control);
    if (a.sign) return flags | piMultiple(r, sign, 4n, 0n, control);
    r.zero(sign);
    return flags;
  }
  a.normalize();
  b.normalize();
  const distance = b.exponent - a.exponent;
  const x = mantissa(a);
  const y = mantissa(b);
  if (distance > 140) return flags | piMultiple(r, sign, 2n, a.sign ? 1n : -1n, control);
  if (distance < -140) {
    if (a.sign) return flags | piMultiple(r, sign, 4n, -1n, control);
    // y / x, and a little less; exact quotients too.
    const q = (y << 256n) / x;
    const isExact = q * x === y << 256n;
    return flags | settle(r, sign, isExact ? q - 1n : q, 256 - distance, false, control);
  }
  const f = BigInt(200 + Math.abs(distance));
  const up = distance > 0 ? y << BigInt(distance) : y;
  const right = distance < 0 ? x << BigInt(-distance) : x;
  let value = up <= right ? arcFixed((up << f) / right, f) : (piAt(f) >> 1n) - arcFixed((right << f) / up, f);
  if (a.sign) value = piAt(f) - value;
  return flags | settle(r, sign, value, Number(f), false, control);
}
