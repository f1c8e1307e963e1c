/** The 80-bit floating-point format of the x87 (Intel SDM volume 1, 4.2 and 4.9): classes of operands, normalising, and the
 *  rounding that every operation ends in. A number is a sign, a biased exponent and two unsigned 32-bit halves of the mantissa;
 *  nothing here allocates. */

/** Exception flags, where the status and the control word have them; `UP` (C1's place) tells that rounding went away from zero. */
export const IE = 1;
export const DE = 2;
export const ZE = 4;
export const OE = 8;
export const UE = 16;
export const PE = 32;
export const UP = 0x200;

/** Rounding control. */
export const NEAREST = 0;
export const DOWN = 1;
export const CHOP = 3;

export const BIAS = 16383;
export const MAX_EXPONENT = 0x7fff;
/** What an unmasked overflow takes from the exponent and an unmasked underflow adds. */
const WRAP = 24576;

/** Classes of operands. INVALID: unnormals, pseudo-infinities and pseudo-NaNs, which no 387 or later takes. */
export const ZERO = 0;
export const FINITE = 1;
export const INFINITY = 2;
export const QNAN = 3;
export const SNAN = 4;
export const INVALID = 5;

/** One number. After `classify` and `normalize` the exponent of a denormal is zero or negative and bit 63 is set. */
export class Float80 {
  sign = 0;
  exponent = 0;
  high = 0;
  low = 0;

  set(sign: number, exponent: number, high: number, low: number): this {
    this.sign = sign;
    this.exponent = exponent;
    this.high = high >>> 0;
    this.low = low >>> 0;
    return this;
  }
  copy(from: Float80): this {
    this.sign = from.sign;
    this.exponent = from.exponent;
    this.high = from.high;
    this.low = from.low;
    return this;
  }
  zero(sign: number): this {
    return this.set(sign, 0, 0, 0);
  }
  infinity(sign: number): this {
    return this.set(sign, MAX_EXPONENT, 0x8000_0000, 0);
  }
  /** Real indefinite: what masked invalid operations give. */
  indefinite(): this {
    return this.set(1, MAX_EXPONENT, 0xc000_0000, 0);
  }
  get isZero(): boolean {
    return (this.high | this.low) === 0 && this.exponent === 0;
  }
  classify(): number {
    const { exponent, high, low } = this;
    if (exponent === 0) return (high | low) === 0 ? ZERO : FINITE;
    if (high < 0x8000_0000) return INVALID;
    if (exponent !== MAX_EXPONENT) return FINITE;
    if (high === 0x8000_0000 && low === 0) return INFINITY;
    return high & 0x4000_0000 ? QNAN : SNAN;
  }
  /** Exponent zero and not zero: raises DE as an operand (pseudo-denormals too). */
  get isDenormal(): boolean {
    return this.exponent === 0 && (this.high | this.low) !== 0;
  }
  /** Moves the highest bit of a finite number other than zero to bit 63. */
  normalize(): this {
    if (this.exponent === 0) this.exponent = 1;
    if (this.high >= 0x8000_0000) return this;
    if (this.high === 0) {
      this.high = this.low;
      this.low = 0;
      this.exponent -= 32;
    }
    const shift = Math.clz32(this.high);
    if (shift > 0) {
      this.high = ((this.high << shift) | (this.low >>> (32 - shift))) >>> 0;
      this.low = (this.low << shift) >>> 0;
      this.exponent -= shift;
    }
    return this;
  }
}

/** A format to round to: bits of precision and the range of exponents (with the 80-bit format's bias). */
export interface Target {
  readonly bits: 24 | 53 | 64;
  readonly min: number;
  readonly max: number;
}
export const EXTENDED: Target = { bits: 64, min: 1, max: 0x7ffe };
/** Register results under precision control. */
export const EXTENDED53: Target = { bits: 53, min: 1, max: 0x7ffe };
export const EXTENDED24: Target = { bits: 24, min: 1, max: 0x7ffe };
export const DOUBLE: Target = { bits: 53, min: BIAS - 1022, max: BIAS + 1023 };
export const SINGLE: Target = { bits: 24, min: BIAS - 126, max: BIAS + 127 };

/** Cuts to `bits` by rounding mode; result in `r`, inexactness and direction in the flags that are returned. Bit 63 may
 *  be clear (denormals). Only a carry out of bit 63 changes the exponent. */
function roundBits(r: Float80, bits: number, mode: number, ext: number): number {
  let rest: number;
  let isOdd: boolean;
  if (bits === 64) {
    rest = ext >>> 0;
    isOdd = (r.low & 1) !== 0;
  } else if (bits === 53) {
    rest = ((r.low << 21) | (ext !== 0 ? 1 : 0)) >>> 0;
    r.low = (r.low & ~0x7ff) >>> 0;
    isOdd = (r.low & 0x800) !== 0;
  } else {
    rest = ((r.high << 24) | (r.low >>> 8) | ((r.low & 0xff) !== 0 || ext !== 0 ? 1 : 0)) >>> 0;
    r.high = (r.high & ~0xff) >>> 0;
    r.low = 0;
    isOdd = (r.high & 0x100) !== 0;
  }
  if (rest === 0) return 0;
  let isUp: boolean;
  if (mode === NEAREST) isUp = rest > 0x8000_0000 || (rest === 0x8000_0000 && isOdd);
  else isUp = mode !== CHOP && (mode === DOWN) === (r.sign !== 0);
  if (!isUp) return PE;
  let { high, low } = r;
  if (bits === 24) high += 0x100;
  else {
    low += bits === 64 ? 1 : 0x800;
    if (low > 0xffff_ffff) {
      low = 0;
      high++;
    }
  }
  if (high > 0xffff_ffff) {
    high = 0x8000_0000;
    r.exponent++;
  }
  r.high = high;
  r.low = low;
  return PE | UP;
}
/** Shifts mantissa and extension right, what falls out sticks to the last bit. Gives the extension. */
export function shiftRight(r: Float80, by: number, extension: number): number {
  let count = by;
  let { high, low } = r;
  let ext = extension;
  if (count >= 96) {
    ext = (high | low | ext) !== 0 ? 1 : 0;
    high = 0;
    low = 0;
    count = 0;
  }
  while (count >= 32) {
    ext = low | (ext !== 0 ? 1 : 0);
    low = high;
    high = 0;
    count -= 32;
  }
  if (count > 0) {
    const lost = ext << (32 - count);
    ext = (ext >>> count) | (low << (32 - count)) | (lost !== 0 ? 1 : 0);
    low = (low >>> count) | (high << (32 - count));
    high >>>= count;
  }
  r.high = high >>> 0;
  r.low = low >>> 0;
  return ext >>> 0;
}

const trial = new Float80();
/** Rounds a normalised number (sign, exponent, bit 63 set, `ext`: the next 32 bits, the last one sticky) to a format, with
 *  the masked or the unmasked response (`control`: control word) of overflow and underflow. Gives the flags raised. */
export function round(r: Float80, extension: number, target: Target, control: number): number {
  const mode = (control >>> 10) & 3;
  const { bits, min, max } = target;
  let flags: number;
  if (r.exponent >= min) flags = roundBits(r, bits, mode, extension);
  else {
    trial.copy(r);
    flags = roundBits(trial, bits, mode, extension);
    const isTiny = trial.exponent < min;
    if (isTiny && !(control & UE)) {
      r.copy(trial);
      r.exponent += WRAP;
      if (r.exponent >= min) return flags | UE;
      // Too small even so (FSCALE): nothing is left.
      r.zero(r.sign);
      return UE | PE;
    }
    const ext = shiftRight(r, min - r.exponent, extension);
    r.exponent = min;
    flags = roundBits(r, bits, mode, ext);
    // An 80-bit denormal's exponent field is zero; the memory formats take theirs from bit 63.
    if (r.high < 0x8000_0000) r.exponent = 0;
    return isTiny && flags & PE ? flags | UE : flags;
  }
  if (r.exponent <= max) return flags;
  if (!(control & OE)) {
    r.exponent -= WRAP;
    if (r.exponent <= max) return flags | OE;
    r.infinity(r.sign);
    return OE | PE | UP;
  }
  if (mode === NEAREST || (mode !== CHOP && (mode === DOWN) === (r.sign !== 0))) {
    r.infinity(r.sign);
    return OE | PE | UP;
  }
  r.exponent = max;
  r.high = bits === 24 ? 0xffff_ff00 : 0xffff_ffff;
  r.low = bits === 24 ? 0 : bits === 53 ? 0xffff_f800 : 0xffff_ffff;
  return OE | PE;
}

/** High half of a 32 by 32 bit product. */
export function mulHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16);
  const other = al * bh + (middle & 0xffff);
  return ah * bh + (middle >>> 16) + (other >>> 16);
}
