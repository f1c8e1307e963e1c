/** Integers, packed decimals, single and double precision to and from the 80-bit format. */
import { fromInteger } from './arithmetic.ts';
import {
  BIAS,
  CHOP,
  DE,
  DOUBLE,
  DOWN,
  FINITE,
  Float80,
  IE,
  INFINITY,
  MAX_EXPONENT,
  NEAREST,
  PE,
  QNAN,
  round,
  SINGLE,
  SNAN,
  shiftRight,
  UP,
  ZERO,
} from './float80.ts';

export { fromInteger };

/** A 64-bit signed integer from its halves, exactly. */
export function fromInteger64(r: Float80, high: number, low: number): void {
  const sign = high >>> 31;
  let h = high >>> 0;
  let l = low >>> 0;
  if (sign) {
    l = -l >>> 0;
    h = (~h + (l === 0 ? 1 : 0)) >>> 0;
  }
  if ((h | l) === 0) r.zero(0);
  else r.set(sign, BIAS + 63, h, l).normalize();
}

/** Single precision bits, exactly: a signalling NaN stays one. Gives DE for a denormal. */
export function fromSingle(r: Float80, bits: number): number {
  const sign = bits >>> 31;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7f_ffff;
  if (exponent === 0) {
    if (fraction === 0) {
      r.zero(sign);
      return 0;
    }
    r.set(sign, BIAS - 126, fraction << 8, 0).normalize();
    return DE;
  }
  if (exponent === 0xff) {
    if (fraction === 0) {
      r.infinity(sign);
      return 0;
    }
    r.set(sign, MAX_EXPONENT, 0x8000_0000 | (fraction << 8), 0);
    return 0;
  }
  r.set(sign, exponent - 127 + BIAS, 0x8000_0000 | (fraction << 8), 0);
  return 0;
}
/** Double precision bits. */
export function fromDouble(r: Float80, high: number, low: number): number {
  const sign = high >>> 31;
  const exponent = (high >>> 20) & 0x7ff;
  const fraction = high & 0xf_ffff;
  const upper = (fraction << 11) | (low >>> 21);
  const lower = low << 11;
  if (exponent === 0) {
    if ((fraction | low) === 0) {
      r.zero(sign);
      return 0;
    }
    r.set(sign, BIAS - 1022, upper, lower).normalize();
    return DE;
  }
  if (exponent === 0x7ff) {
    if ((fraction | low) === 0) {
      r.infinity(sign);
      return 0;
    }
    r.set(sign, MAX_EXPONENT, 0x8000_0000 | upper, lower);
    return 0;
  }
  r.set(sign, exponent - 1023 + BIAS, 0x8000_0000 | upper, lower);
  return 0;
}

/** Words of the last conversion to memory, least significant first; the value when it is one number. */
export const words = new Uint32Array(3);

export function toSingle(a: Float80, control: number): number {
  const top = a.sign << 31;
  const ca = a.classify();
  words[0] = top;
  if (ca === ZERO) return 0;
  if (ca === INFINITY) words[0] = top | 0x7f80_0000;
  else if (ca === QNAN || ca === SNAN) {
    words[0] = top | 0x7fc0_0000 | ((a.high >>> 8) & 0x3f_ffff);
    return ca === SNAN ? IE : 0;
  } else if (ca !== FINITE) {
    words[0] = 0xffc0_0000;
    return IE;
  } else {
    const flags = round(a.normalize(), 0, SINGLE, control);
    if (a.exponent === MAX_EXPONENT) words[0] = top | 0x7f80_0000;
    else if (a.exponent === 0) words[0] = top | (a.high >>> 8);
    else words[0] = top | ((a.exponent - BIAS + 127) << 23) | ((a.high >>> 8) & 0x7f_ffff);
    return flags;
  }
  return 0;
}
export function toDouble(a: Float80, control: number): number {
  const top = a.sign << 31;
  const ca = a.classify();
  words[0] = 0;
  words[1] = top;
  if (ca === ZERO) return 0;
  if (ca === INFINITY) words[1] = top | 0x7ff0_0000;
  else if (ca === QNAN || ca === SNAN) {
    words[1] = top | 0x7ff8_0000 | ((a.high >>> 11) & 0x7_ffff);
    words[0] = (a.high << 21) | (a.low >>> 11);
    return ca === SNAN ? IE : 0;
  } else if (ca !== FINITE) {
    words[1] = 0xfff8_0000;
    return IE;
  } else {
    const flags = round(a.normalize(), 0, DOUBLE, control);
    if (a.exponent === MAX_EXPONENT) {
      words[1] = top | 0x7ff0_0000;
      return flags;
    }
    const field = a.exponent === 0 ? 0 : a.exponent - BIAS + 1023;
    words[1] = top | (field << 20) | ((a.high >>> 11) & 0xf_ffff);
    words[0] = (a.high << 21) | (a.low >>> 11);
    return flags;
  }
  return 0;
}

const cut = new Float80();
/** Rounds the magnitude to an integer in `cut` (high, low); null when it needs more than 64 bits. */
function magnitude(a: Float80, mode: number): number {
  cut.copy(a).normalize();
  const places = BIAS + 63 - cut.exponent;
  if (places < 0) return -1;
  const rest = shiftRight(cut, places, 0);
  let isUp = false;
  if (mode === NEAREST) isUp = rest > 0x8000_0000 || (rest === 0x8000_0000 && (cut.low & 1) !== 0);
  else if (rest !== 0) isUp = mode !== CHOP && (mode === DOWN) === (a.sign !== 0);
  if (isUp) {
    cut.low++;
    if (cut.low > 0xffff_ffff) {
      cut.low = 0;
      cut.high++;
    }
  }
  return rest === 0 ? 0 : isUp ? PE | UP : PE;
}

/** To a signed integer of 16, 32 or 64 bits; integer indefinite and IE when it does not fit. */
export function toInteger(a: Float80, bits: 16 | 32 | 64, mode: number): number {
  const ca = a.classify();
  words[0] = 0;
  words[1] = 0;
  if (ca === ZERO) return 0;
  if (ca === FINITE) {
    const flags = magnitude(a, mode);
    if (flags >= 0) {
      const { high, low } = cut;
      let fits: boolean;
      if (bits === 64) fits = high < 0x8000_0000 || (a.sign !== 0 && high === 0x8000_0000 && low === 0);
      else {
        const limit = bits === 32 ? 0x8000_0000 : 0x8000;
        fits = high === 0 && (low < limit || (a.sign !== 0 && low === limit));
      }
      if (fits) {
        words[0] = a.sign ? -low : low;
        words[1] = a.sign ? ~high + (low === 0 ? 1 : 0) : high;
        return flags;
      }
    }
  }
  words[0] = bits === 64 ? 0 : bits === 32 ? 0x8000_0000 : 0x8000;
  words[1] = 0x8000_0000;
  return IE;
}

const E9 = 1_000_000_000;
/** To 18 packed decimal digits (FBSTP): ten bytes in `words`. */
export function toDecimal(a: Float80, mode: number): number {
  const ca = a.classify();
  words[0] = 0;
  words[1] = 0;
  words[2] = a.sign << 15;
  if (ca === ZERO) return 0;
  if (ca === FINITE) {
    const flags = magnitude(a, mode);
    const { high, low } = cut;
    // 10^18 = 0x0de0b6b3_a7640000
    if (flags >= 0 && (high < 0x0de0_b6b3 || (high === 0x0de0_b6b3 && low < 0xa764_0000))) {
      // Two digits of base 10^9: 2^32 = 4 * 10^9 + 294967296, in steps that doubles hold exactly.
      const first = high % E9;
      const t = first * 0x1_0000 + (low >>> 16);
      const q1 = Math.floor(t / E9);
      const u = (t % E9) * 0x1_0000 + (low & 0xffff);
      const q0 = Math.floor(u / E9);
      packDecimal(u % E9, 0);
      packDecimal(q1 * 0x1_0000 + q0, 9);
      return flags;
    }
  }
  words[0] = 0;
  words[1] = 0xc000_0000;
  words[2] = 0xffff;
  return IE;
}
function packDecimal(value: number, firstDigit: number): void {
  let rest = value;
  for (let d = firstDigit; d < firstDigit + 9; d++) {
    const nibble = rest % 10;
    rest = Math.floor(rest / 10);
    words[d >>> 3] = words[d >>> 3]! | (nibble << ((d & 7) * 4));
  }
}
/** From packed decimal; digits above nine count as what they are. */
export function fromDecimal(r: Float80, w0: number, w1: number, w2: number): void {
  let high = 0;
  let low = 0;
  for (let d = 17; d >= 0; d--) {
    const word = d < 8 ? w0 : d < 16 ? w1 : w2;
    low = low * 10 + ((word >>> ((d & 7) * 4)) & 15);
    const carry = Math.floor(low / 0x1_0000_0000);
    low -= carry * 0x1_0000_0000;
    high = high * 10 + carry;
  }
  const sign = (w2 >>> 15) & 1;
  if ((high | low) === 0) r.zero(sign);
  else r.set(sign, BIAS + 63, high, low).normalize();
}
