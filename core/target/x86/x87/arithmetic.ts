/** Sum, product, quotient, root, remainder, scaling and comparison of 80-bit numbers (Intel SDM volume 1, chapter 8; NaN rules:
 *  table 4-7). Operands may be changed (normalised); the result is in `r`, which is neither; flags raised are returned. */
import {
  BIAS,
  CHOP,
  DE,
  DOWN,
  EXTENDED,
  EXTENDED24,
  EXTENDED53,
  FINITE,
  type Float80,
  IE,
  INFINITY,
  INVALID,
  mulHigh,
  NEAREST,
  PE,
  QNAN,
  round,
  SNAN,
  shiftRight,
  type Target,
  UP,
  ZE,
  ZERO,
} from './float80.ts';

/** Format of a register result under a control word's precision control. */
export function precision(control: number): Target {
  const pc = (control >>> 8) & 3;
  return pc === 0 ? EXTENDED24 : pc === 2 ? EXTENDED53 : EXTENDED;
}

const isAbove = (a: Float80, b: Float80) => a.high > b.high || (a.high === b.high && a.low > b.low);

/** Result when an operand is a NaN or not a number at all. */
export function propagate(a: Float80, ca: number, b: Float80, cb: number, r: Float80): number {
  if (ca === INVALID || cb === INVALID) {
    r.indefinite();
    return IE;
  }
  const flags = ca === SNAN || cb === SNAN ? IE : 0;
  let chosen: Float80;
  if (ca < QNAN) chosen = b;
  else if (cb < QNAN) chosen = a;
  else if (ca !== cb) chosen = ca === QNAN ? a : b;
  else if (isAbove(a, b)) chosen = a;
  else if (isAbove(b, a)) chosen = b;
  else chosen = a.sign <= b.sign ? a : b;
  r.copy(chosen);
  r.high = (r.high | 0x4000_0000) >>> 0;
  return flags;
}
/** The same with one operand. */
export function propagateOne(a: Float80, ca: number, r: Float80): number {
  return propagate(a, ca, a, ca, r);
}
const denormal = (a: Float80, b: Float80) => (a.isDenormal || b.isDenormal ? DE : 0);
function invalid(r: Float80): number {
  r.indefinite();
  return IE;
}

/** r = a + b, or a - b with `negate`. */
export function add(a: Float80, b: Float80, negate: boolean, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  if (negate) b.sign ^= 1;
  const flags = denormal(a, b);
  if (ca === INFINITY || cb === INFINITY) {
    if (ca === cb && a.sign !== b.sign) return invalid(r);
    r.infinity(ca === INFINITY ? a.sign : b.sign);
    return flags;
  }
  const mode = (control >>> 10) & 3;
  if (ca === ZERO && cb === ZERO) {
    r.zero(a.sign === b.sign ? a.sign : mode === DOWN ? 1 : 0);
    return flags;
  }
  if (ca === ZERO || cb === ZERO) {
    r.copy(ca === ZERO ? b : a).normalize();
    return flags | round(r, 0, precision(control), control);
  }
  a.normalize();
  b.normalize();
  let big = a;
  let small = b;
  if (b.exponent > a.exponent || (b.exponent === a.exponent && isAbove(b, a))) {
    big = b;
    small = a;
  }
  const ext = shiftRight(small, big.exponent - small.exponent, 0);
  if (a.sign === b.sign) {
    const low = big.low + small.low;
    const high = big.high + small.high + (low > 0xffff_ffff ? 1 : 0);
    r.set(big.sign, big.exponent, high, low);
    if (high > 0xffff_ffff) {
      const shifted = shiftRight(r, 1, ext);
      r.high = (r.high | 0x8000_0000) >>> 0;
      r.exponent++;
      return flags | round(r, shifted, precision(control), control);
    }
    return flags | round(r, ext, precision(control), control);
  }
  // Magnitudes subtract: three words, the smaller one's extension taken from zero.
  let rest = -ext;
  const borrow = ext !== 0 ? 1 : 0;
  rest >>>= 0;
  let low = big.low - small.low - borrow;
  let high = big.high - small.high;
  if (low < 0) {
    low += 0x1_0000_0000;
    high--;
  }
  if ((high | low | rest) === 0) {
    r.zero(mode === DOWN ? 1 : 0);
    return flags;
  }
  let { exponent } = big;
  while (high === 0) {
    high = low;
    low = rest;
    rest = 0;
    exponent -= 32;
  }
  const shift = Math.clz32(high);
  if (shift > 0) {
    high = (high << shift) | (low >>> (32 - shift));
    low = (low << shift) | (rest >>> (32 - shift));
    rest <<= shift;
    exponent -= shift;
  }
  r.set(big.sign, exponent, high, low);
  return flags | round(r, rest, precision(control), control);
}

const product = new Uint32Array(4);
/** 64 by 64 bits into `product`, least significant word first. */
function multiply(ah: number, al: number, bh: number, bl: number): void {
  product[0] = Math.imul(al, bl);
  const x = mulHigh(al, bl) + (Math.imul(al, bh) >>> 0) + (Math.imul(ah, bl) >>> 0);
  product[1] = x % 0x1_0000_0000;
  const y = Math.floor(x / 0x1_0000_0000) + mulHigh(al, bh) + mulHigh(ah, bl) + (Math.imul(ah, bh) >>> 0);
  product[2] = y % 0x1_0000_0000;
  product[3] = Math.floor(y / 0x1_0000_0000) + mulHigh(ah, bh);
}

export function mul(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  const sign = a.sign ^ b.sign;
  if ((ca === INFINITY && cb === ZERO) || (ca === ZERO && cb === INFINITY)) return invalid(r);
  const flags = denormal(a, b);
  if (ca === INFINITY || cb === INFINITY) r.infinity(sign);
  else if (ca === ZERO || cb === ZERO) r.zero(sign);
  else {
    a.normalize();
    b.normalize();
    multiply(a.high, a.low, b.high, b.low);
    let high = product[3]!;
    let low = product[2]!;
    let ext = product[1]!;
    let exponent = a.exponent + b.exponent - BIAS + 1;
    const sticky = product[0]! !== 0 ? 1 : 0;
    if (high < 0x8000_0000) {
      high = (high << 1) | (low >>> 31);
      low = (low << 1) | (ext >>> 31);
      ext = (ext << 1) | (product[0]! >>> 31);
      exponent--;
    }
    r.set(sign, exponent, high, low);
    return flags | round(r, ext | sticky, precision(control), control);
  }
  return flags;
}

let restHigh = 0;
let restLow = 0;
/** One digit of a quotient: the rest times `scale` (a power of two up to 2^17) by b; both fit 64 bits, rest < b. */
function digit(scale: number, high: number, low: number, divisor: number): number {
  let q = Math.floor(((restHigh * 0x1_0000_0000 + restLow) / divisor) * scale);
  let lower = restLow * scale - q * low;
  let upper = restHigh * scale - q * high;
  for (;;) {
    const carry = Math.floor(lower / 0x1_0000_0000);
    lower -= carry * 0x1_0000_0000;
    upper += carry;
    if (upper < 0) {
      q--;
      upper += high;
      lower += low;
    } else if (upper > high || (upper === high && lower >= low)) {
      q++;
      upper -= high;
      lower -= low;
    } else break;
  }
  restHigh = upper;
  restLow = lower;
  return q;
}

export function div(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  const sign = a.sign ^ b.sign;
  if (ca === cb && ca !== FINITE) return invalid(r);
  if (cb === ZERO && ca === FINITE) {
    r.infinity(sign);
    return ZE;
  }
  const flags = denormal(a, b);
  if (ca === INFINITY) r.infinity(sign);
  else if (ca === ZERO || cb === INFINITY) r.zero(sign);
  else if (cb === ZERO) r.infinity(sign);
  else {
    a.normalize();
    b.normalize();
    const { high, low } = b;
    const divisor = high * 0x1_0000_0000 + low;
    const isSmaller = isAbove(b, a);
    restHigh = a.high;
    restLow = a.low;
    const first = digit(isSmaller ? 0x2_0000 : 0x1_0000, high, low, divisor);
    const second = digit(0x2_0000, high, low, divisor);
    const third = digit(0x2_0000, high, low, divisor);
    const fourth = digit(0x2_0000, high, low, divisor);
    r.set(
      sign,
      a.exponent - b.exponent + BIAS - (isSmaller ? 1 : 0),
      (first << 15) | (second >>> 2),
      (second << 30) | (third << 13) | (fourth >>> 4),
    );
    const ext = ((fourth << 28) | ((restHigh | restLow) !== 0 ? 1 : 0)) >>> 0;
    return flags | round(r, ext, precision(control), control);
  }
  return flags;
}

export function sqrt(a: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  if (ca > INFINITY) return propagateOne(a, ca, r);
  if (ca === ZERO) {
    r.zero(a.sign);
    return 0;
  }
  if (a.sign) return invalid(r);
  if (ca === INFINITY) {
    r.infinity(0);
    return 0;
  }
  const flags = a.isDenormal ? DE : 0;
  a.normalize();
  // n = mantissa * 2^64 or half of it, so that the exponent is even; the root has 64 bits.
  const isOdd = ((a.exponent - BIAS) & 1) !== 0;
  let n3 = a.high;
  let n2 = a.low;
  let n1 = 0;
  if (!isOdd) {
    n1 = (n2 << 31) >>> 0;
    n2 = ((n2 >>> 1) | (n3 << 31)) >>> 0;
    n3 >>>= 1;
  }
  const top = n3 * 0x1_0000_0000 + n2;
  let high = Math.floor(Math.sqrt(top));
  if (high > 0xffff_ffff) high = 0xffff_ffff;
  // The high digit must not be too great: then the rest decides the low one.
  multiply(0, high, 0, high);
  if (product[1]! > n3 || (product[1] === n3 && product[0]! > n2)) {
    high--;
    multiply(0, high, 0, high);
  }
  const rest = (n3 - product[1]!) * 0x1_0000_0000 + (n2 - product[0]!);
  let low = Math.floor(((rest * 0x1_0000_0000 + n1) / high) * 0.5);
  if (low > 0xffff_ffff) low = 0xffff_ffff;
  for (;;) {
    // n - s^2 in four words, signed by the borrow.
    multiply(high, low, high, low);
    const d0 = -product[0]!;
    const d1 = n1 - product[1]!;
    const d2 = n2 - product[2]!;
    const d3 = n3 - product[3]!;
    const w0 = d0 < 0 ? d0 + 0x1_0000_0000 : d0;
    let t = d1 + (d0 < 0 ? -1 : 0);
    let borrow = Math.floor(t / 0x1_0000_0000);
    const w1 = t - borrow * 0x1_0000_0000;
    t = d2 + borrow;
    borrow = Math.floor(t / 0x1_0000_0000);
    const w2 = t - borrow * 0x1_0000_0000;
    const w3 = d3 + borrow;
    if (w3 < 0) {
      if (low-- === 0) {
        low = 0xffff_ffff;
        high--;
      }
      continue;
    }
    // Greatest s: the rest is at most 2 s. Compare with s twice (s as 64 bits).
    const isMore = w3 > 0 || w2 > 0 || w1 > high || (w1 === high && w0 > low);
    if (isMore) {
      const x0 = w0 - low;
      const x1 = w1 - high - (x0 < 0 ? 1 : 0) + (w3 * 0x1_0000_0000 + w2) * 0x1_0000_0000;
      const y0 = x0 < 0 ? x0 + 0x1_0000_0000 : x0;
      if (x1 > high || (x1 === high && y0 > low)) {
        if (++low > 0xffff_ffff) {
          low = 0;
          high++;
        }
        continue;
      }
    }
    r.set(0, ((a.exponent - BIAS - (isOdd ? 1 : 0)) >> 1) + BIAS, high, low);
    const isExact = (w0 | w1 | w2 | w3) === 0;
    return flags | round(r, isExact ? 0 : isMore ? 0xc000_0000 : 0x4000_0000, precision(control), control);
  }
}

/** Low bits of the quotient of the last complete `remainder`, or -1: only a part was done (C2). */
export let quotient = 0;
/** FPREM (to zero) and FPREM1 (to nearest). */
export function remainder(a: Float80, b: Float80, isNearest: boolean, r: Float80, control: number): number {
  quotient = 0;
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  if (ca === INFINITY || cb === ZERO) return invalid(r);
  const flags = denormal(a, b);
  if (ca === ZERO) {
    r.copy(a);
    return flags;
  }
  a.normalize();
  r.copy(a);
  if (cb === INFINITY) return flags | round(r, 0, EXTENDED, control);
  b.normalize();
  const distance = a.exponent - b.exponent;
  if (distance < (isNearest ? -1 : 0)) return flags | round(r, 0, EXTENDED, control);
  const isPartial = distance >= 64;
  // A part takes 32 to 63 bits off the exponent.
  let steps = isPartial ? 32 + (distance % 32) : distance;
  let exponent = isPartial ? a.exponent - steps : b.exponent;
  let { high, low } = a;
  let q = 0;
  let isCarry = false;
  if (distance === -1) {
    // Less than b; the last step below compares with half of b.
    exponent = a.exponent;
  } else
    for (;;) {
      if (isCarry || high > b.high || (high === b.high && low >= b.low)) {
        low -= b.low;
        high -= b.high;
        if (low < 0) {
          low += 0x1_0000_0000;
          high--;
        }
        if (high < 0) high += 0x1_0000_0000;
        q = (q << 1) | 1;
      } else q <<= 1;
      if (steps-- === 0) break;
      isCarry = high >= 0x8000_0000;
      high = ((high << 1) | (low >>> 31)) >>> 0;
      low = (low << 1) >>> 0;
    }
  r.sign = a.sign;
  if (isPartial) quotient = -1;
  else {
    if (isNearest) {
      // Rest against half of b; with distance -1 the rest has twice the weight.
      let twiceHigh = high;
      let twiceLow = low;
      let isOver = false;
      if (distance >= 0) {
        isOver = high >= 0x8000_0000;
        twiceHigh = ((high << 1) | (low >>> 31)) >>> 0;
        twiceLow = (low << 1) >>> 0;
      }
      const isHalf = !isOver && twiceHigh === b.high && twiceLow === b.low;
      if (isOver || twiceHigh > b.high || (twiceHigh === b.high && twiceLow > b.low) || (isHalf && (q & 1) !== 0)) {
        q++;
        let bh = b.high;
        let bl = b.low;
        let ext = 0;
        if (distance < 0) {
          // b - a, where b has the greater exponent: in units of b, with one bit more below.
          ext = low & 1;
          low = ((low >>> 1) | (high << 31)) >>> 0;
          high >>>= 1;
          exponent = b.exponent;
        }
        bl -= low + ext;
        bh -= high;
        if (bl < 0) {
          bl += 0x1_0000_0000;
          bh--;
        }
        high = bh;
        low = bl;
        r.sign ^= 1;
        if (ext) {
          // Less than half of b: bit 63 is free for the bit below.
          high = ((high << 1) | (low >>> 31)) >>> 0;
          low = ((low << 1) | 1) >>> 0;
          exponent--;
        }
      }
    }
    quotient = q & 7;
  }
  if ((high | low) === 0) {
    r.zero(r.sign);
    return flags;
  }
  r.high = high;
  r.low = low;
  while (r.high < 0x8000_0000) {
    r.high = ((r.high << 1) | (r.low >>> 31)) >>> 0;
    r.low = (r.low << 1) >>> 0;
    exponent--;
  }
  r.exponent = exponent;
  return flags | round(r, 0, EXTENDED, control);
}

/** FRNDINT. */
export function roundToInteger(a: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  r.copy(a);
  if (ca > INFINITY) return propagateOne(a, ca, r);
  if (ca === ZERO || ca === INFINITY) return 0;
  const flags = a.isDenormal ? DE : 0;
  return flags | cutFraction(r.normalize(), (control >>> 10) & 3);
}
/** Rounds a normalised number to an integer in place. */
function cutFraction(r: Float80, mode: number): number {
  const places = BIAS + 63 - r.exponent;
  if (places <= 0) return 0;
  const rest = shiftRight(r, places, 0);
  let isUp = false;
  if (mode === NEAREST) isUp = rest > 0x8000_0000 || (rest === 0x8000_0000 && (r.low & 1) !== 0);
  else if (rest !== 0) isUp = mode !== CHOP && (mode === DOWN) === (r.sign !== 0);
  if (isUp) {
    r.low++;
    if (r.low > 0xffff_ffff) {
      r.low = 0;
      r.high++; // at most 2^63: fewer than 64 bits were left
    }
  }
  if ((r.high | r.low) === 0) r.zero(r.sign);
  else {
    r.exponent = BIAS + 63;
    r.normalize();
  }
  return rest === 0 ? 0 : isUp ? PE | UP : PE;
}

const scaleBy = { exponent: 0 };
/** FSCALE: a * 2^trunc(b). */
export function scale(a: Float80, b: Float80, r: Float80, control: number): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) return propagate(a, ca, b, cb, r);
  if (cb === INFINITY) {
    if ((ca === ZERO && !b.sign) || (ca === INFINITY && b.sign)) return invalid(r);
    const flags = denormal(a, b);
    if (b.sign) r.zero(a.sign);
    else r.infinity(a.sign);
    return flags;
  }
  const flags = denormal(a, b);
  r.copy(a);
  if (ca === ZERO || ca === INFINITY) return flags;
  r.normalize();
  scaleBy.exponent = 0;
  if (cb === FINITE && b.exponent >= BIAS) {
    const places = b.exponent - BIAS;
    // Beyond 2^16 nothing is left in range.
    const magnitude = places > 16 ? 0x2_0000 : b.high >>> (31 - places);
    scaleBy.exponent = b.sign ? -magnitude : magnitude;
  }
  r.exponent += scaleBy.exponent;
  return flags | round(r, 0, EXTENDED, control);
}

/** FXTRACT: the exponent into `power`, the significand into `r`. */
export function extract(a: Float80, power: Float80, r: Float80): number {
  const ca = a.classify();
  if (ca > INFINITY) {
    const flags = propagateOne(a, ca, r);
    power.copy(r);
    return flags;
  }
  r.copy(a);
  if (ca === ZERO) {
    power.infinity(1);
    return ZE;
  }
  if (ca === INFINITY) {
    power.infinity(0);
    return 0;
  }
  const flags = a.isDenormal ? DE : 0;
  r.normalize();
  fromInteger(power, r.exponent - BIAS);
  r.exponent = BIAS;
  return flags;
}

/** A 32-bit signed integer, exactly. */
export function fromInteger(r: Float80, value: number): void {
  if (value === 0) r.zero(0);
  else r.set(value < 0 ? 1 : 0, BIAS + 63, 0, Math.abs(value)).normalize();
}

export const LESS = 1;
export const EQUAL = 0x40;
export const GREATER = 0;
export const UNORDERED = 0x45;
/** Relation in `relation`: C0 as bit 0, C2 as bit 2, C3 as bit 6 (where SAHF and FCOMI have them). */
export let relation = 0;
export function compare(a: Float80, b: Float80, isQuiet: boolean): number {
  const ca = a.classify();
  const cb = b.classify();
  if (ca > INFINITY || cb > INFINITY) {
    relation = UNORDERED;
    const isQuietNan = (ca <= INFINITY || ca === QNAN) && (cb <= INFINITY || cb === QNAN);
    return isQuiet && isQuietNan ? 0 : IE;
  }
  const flags = denormal(a, b);
  if (ca === ZERO && cb === ZERO) relation = EQUAL;
  else if (a.sign !== b.sign) relation = a.sign ? LESS : GREATER;
  else {
    // A pseudo-denormal has the exponent of the least normal number.
    const ea = a.exponent === 0 && ca === FINITE ? 1 : a.exponent;
    const eb = b.exponent === 0 && cb === FINITE ? 1 : b.exponent;
    let order = ea - eb;
    if (ca === ZERO) order = -1;
    else if (cb === ZERO) order = 1;
    else if (order === 0) order = a.high - b.high;
    if (order === 0) order = a.low - b.low;
    if (a.sign) order = -order;
    relation = order < 0 ? LESS : order > 0 ? GREATER : EQUAL;
  }
  return flags;
}

/** FXAM's C3, C2 and C0 (as in `relation`) for a register that is not empty. */
export function examine(a: Float80): number {
  switch (a.classify()) {
    case ZERO:
      return 0x40;
    case INFINITY:
      return 0x05;
    case QNAN:
    case SNAN:
      return 0x01;
    case INVALID:
      return 0;
    default:
      return a.exponent === 0 ? 0x44 : 0x04;
  }
}
