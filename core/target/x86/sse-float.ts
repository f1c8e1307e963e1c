/** SSE arithmetic with every MXCSR setting, exact: rounding, denormals-are-zero, flush-to-zero, all six flags (Intel SDM volume 1,
 *  chapter 11 and appendix E). The slow half: the definitions compute in WebAssembly where neither settings nor flags can
 *  matter. Reciprocal approximations are exact quotients cut to 12 bits; the makers' tables differ in the last of them. */

export const FLAG = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;
const DAZ = 0x40;
const FTZ = 0x8000;

/** Operations; the numbers stand in generated code. */
export const FLOAT_OP = {
  add: 0,
  mul: 1,
  sub: 2,
  min: 3,
  div: 4,
  max: 5,
  sqrt: 6,
  addsub: 7,
  rcp: 8,
  rsqrt: 9,
  widen: 10,
  narrow: 11,
  fromInteger: 12,
  toInteger: 13,
  truncate: 14,
  compare: 15,
  comis: 16,
  ucomis: 17,
  round: 18,
  fromHalf: 19,
  toHalf: 20,
} as const;

interface Format {
  readonly bits: bigint;
  /** Bits of the significand, the leading one included. */
  readonly p: number;
  readonly emax: number;
  readonly inf: bigint;
  readonly quiet: bigint;
}
const SINGLE: Format = { bits: 32n, p: 24, emax: 127, inf: 0x7f80_0000n, quiet: 0x40_0000n };
const DOUBLE: Format = { bits: 64n, p: 53, emax: 1023, inf: 0x7ff0_0000_0000_0000n, quiet: 0x8_0000_0000_0000n };

const HALF: Format = { bits: 16n, p: 11, emax: 15, inf: 0x7c00n, quiet: 0x200n };

/** A finite number: m * 2^e. */
interface Finite {
  readonly sign: boolean;
  readonly m: bigint;
  readonly e: number;
}
const length = (m: bigint) => {
  if (m === 0n) return 0;
  const text = m.toString(16);
  return text.length * 4 - Math.clz32(Number.parseInt(text[0]!, 16)) + 28;
};
const magnitude = (f: Format, x: bigint) => x & ((1n << (f.bits - 1n)) - 1n);
const isNan = (f: Format, x: bigint) => magnitude(f, x) > f.inf;
const isSignalling = (f: Format, x: bigint) => isNan(f, x) && (x & f.quiet) === 0n;
const isInf = (f: Format, x: bigint) => magnitude(f, x) === f.inf;
const isNegative = (f: Format, x: bigint) => x >> (f.bits - 1n) === 1n;
const isDenormal = (f: Format, x: bigint) => {
  const m = magnitude(f, x);
  return m !== 0n && m < 1n << BigInt(f.p - 1);
};
const signBit = (f: Format, sign: boolean) => (sign ? 1n << (f.bits - 1n) : 0n);
const indefinite = (f: Format) => signBit(f, true) | f.inf | f.quiet;

function finite(f: Format, x: bigint): Finite {
  const m = magnitude(f, x);
  const fraction = m & ((1n << BigInt(f.p - 1)) - 1n);
  const exponent = Number(m >> BigInt(f.p - 1));
  return {
    sign: isNegative(f, x),
    m: exponent === 0 ? fraction : fraction | (1n << BigInt(f.p - 1)),
    e: Math.max(exponent, 1) - f.emax - (f.p - 1),
  };
}

/** One operation under one MXCSR; flags gather over the lanes. */
export class SseFloat {
  flags = 0;
  private mxcsr = 0x1f80;
  begin(mxcsr: number): void {
    this.mxcsr = mxcsr;
    this.flags = 0;
  }
  private get mode(): number {
    return (this.mxcsr >> 13) & 3;
  }
  private isMasked(flag: number): boolean {
    return (this.mxcsr & (flag << 7)) !== 0;
  }
  private input(f: Format, x: bigint): bigint {
    return this.mxcsr & DAZ && isDenormal(f, x) ? signBit(f, isNegative(f, x)) : x;
  }
  private noteDenormal(f: Format, ...inputs: bigint[]): void {
    if (inputs.some((x) => isDenormal(f, x))) this.flags |= FLAG.DE;
  }
  private invalid(f: Format): bigint {
    this.flags |= FLAG.IE;
    return indefinite(f);
  }
  private nan(f: Format, a: bigint, b: bigint): bigint {
    if (isSignalling(f, a) || isSignalling(f, b)) this.flags |= FLAG.IE;
    return (isNan(f, a) ? a : b) | f.quiet;
  }
  /** m / 2^shift to an integer; `sticky`: something non-zero follows below. */
  private cut(sign: boolean, m: bigint, shift: number, sticky: boolean, mode: number): { q: bigint; exact: boolean } {
    if (shift <= 0) return { q: m << BigInt(-shift), exact: !sticky };
    const by = BigInt(shift);
    const q = m >> by;
    const rest = m - (q << by);
    const half = 1n << (by - 1n);
    const exact = rest === 0n && !sticky;
    let up = false;
    if (mode === 0) up = rest > half || (rest === half && (sticky || (q & 1n) === 1n));
    else if (mode === 1) up = sign && !exact;
    else if (mode === 2) up = !sign && !exact;
    return { q: up ? q + 1n : q, exact };
  }
  /** Rounds a number that is not zero. With `sticky` the significand must be longer than the format's by two bits. */
  private rounded(f: Format, { sign, m, e }: Finite, sticky = false): bigint {
    const { p, emax } = f;
    const emin = 1 - emax;
    const free = length(m) + e - p;
    const least = emin - (p - 1);
    const unbounded = this.cut(sign, m, free - e, sticky, this.mode);
    const top = length(unbounded.q) - 1 + free;
    if (top > emax) {
      // Not masked: the flag tells of rounding with an unbounded exponent.
      this.flags |= FLAG.OE | (unbounded.exact && !this.isMasked(FLAG.OE) ? 0 : FLAG.PE);
      const toInfinity = this.mode === 0 || this.mode === (sign ? 1 : 2);
      return signBit(f, sign) | (toInfinity ? f.inf : f.inf - 1n);
    }
    const isTiny = top < emin;
    if (isTiny && this.mxcsr & FTZ && this.isMasked(FLAG.UE)) {
      this.flags |= FLAG.UE | FLAG.PE;
      return signBit(f, sign);
    }
    if (isTiny && !this.isMasked(FLAG.UE)) {
      this.flags |= FLAG.UE | (unbounded.exact ? 0 : FLAG.PE);
      return 0n; // never stored
    }
    const t = Math.max(free, least);
    const { q, exact } = t === free ? unbounded : this.cut(sign, m, t - e, sticky, this.mode);
    if (!exact) this.flags |= FLAG.PE;
    if (isTiny && !exact) this.flags |= FLAG.UE;
    // Adding lets a carry out of the significand become the next exponent.
    const biased = q >= 1n << BigInt(p - 1) ? BigInt(t - least) : 0n;
    return signBit(f, sign) + (biased << BigInt(p - 1)) + q;
  }
  private zero(f: Format, sign: boolean): bigint {
    return signBit(f, sign);
  }
  private sum(f: Format, a: bigint, b: bigint): bigint {
    if (isInf(f, a)) {
      if (isInf(f, b) && a !== b) return this.invalid(f);
      this.noteDenormal(f, b);
      return a;
    }
    this.noteDenormal(f, a, b);
    if (isInf(f, b)) return b;
    const x = finite(f, a);
    const y = finite(f, b);
    const e = Math.min(x.e, y.e);
    const signed = (n: Finite) => (n.sign ? -n.m : n.m) << BigInt(n.e - e);
    const total = signed(x) + signed(y);
    if (total === 0n) return this.zero(f, x.sign === y.sign ? x.sign : this.mode === 1);
    return this.rounded(f, { sign: total < 0n, m: total < 0n ? -total : total, e });
  }
  private product(f: Format, a: bigint, b: bigint): bigint {
    const sign = isNegative(f, a) !== isNegative(f, b);
    if (isInf(f, a) || isInf(f, b)) {
      if (magnitude(f, a) === 0n || magnitude(f, b) === 0n) return this.invalid(f);
      this.noteDenormal(f, a, b);
      return signBit(f, sign) | f.inf;
    }
    this.noteDenormal(f, a, b);
    const x = finite(f, a);
    const y = finite(f, b);
    if (x.m === 0n || y.m === 0n) return this.zero(f, sign);
    return this.rounded(f, { sign, m: x.m * y.m, e: x.e + y.e });
  }
  private quotient(f: Format, a: bigint, b: bigint): bigint {
    const sign = isNegative(f, a) !== isNegative(f, b);
    if (isInf(f, a)) {
      if (isInf(f, b)) return this.invalid(f);
      this.noteDenormal(f, b);
      return signBit(f, sign) | f.inf;
    }
    const x = finite(f, a);
    const y = finite(f, b);
    if (!isInf(f, b) && y.m === 0n) {
      if (x.m === 0n) return this.invalid(f);
      this.flags |= FLAG.ZE;
      return signBit(f, sign) | f.inf;
    }
    this.noteDenormal(f, a, b);
    if (isInf(f, b) || x.m === 0n) return this.zero(f, sign);
    const m = x.m << 120n;
    return this.rounded(f, { sign, m: m / y.m, e: x.e - y.e - 120 }, m % y.m !== 0n);
  }
  private root(f: Format, a: bigint): bigint {
    if (isNan(f, a)) return this.nan(f, a, a);
    if (magnitude(f, a) === 0n) return a;
    if (isNegative(f, a)) return this.invalid(f);
    if (isInf(f, a)) return a;
    this.noteDenormal(f, a);
    const x = finite(f, a);
    const even = 120 + (x.e & 1);
    const m = x.m << BigInt(even);
    // Newton from above.
    let r = 1n << BigInt((length(m) + 1) >> 1);
    for (;;) {
      const next = (r + m / r) >> 1n;
      if (next >= r) break;
      r = next;
    }
    return this.rounded(f, { sign: false, m: r, e: (x.e - even) / 2 }, r * r !== m);
  }
  /** -1, 0, 1, or 2 for unordered, of the numbers at a place; `quietIsInvalid` as COMISS has it. */
  private order(isDouble: boolean, a: DataView, b: DataView, at: number, quietIsInvalid: boolean): number {
    const least = isDouble ? 2 ** -1022 : 2 ** -126;
    let isInvalid = quietIsInvalid;
    let hasNan = false;
    let hasDenormal = false;
    const read = (v: DataView) => {
      const x = isDouble ? v.getFloat64(at, true) : v.getFloat32(at, true);
      if (Number.isNaN(x)) {
        hasNan = true;
        isInvalid ||= isDouble ? !(v.getUint32(at + 4, true) & 0x8_0000) : !(v.getUint32(at, true) & 0x40_0000);
      } else if (x !== 0 && Math.abs(x) < least) {
        if (this.mxcsr & DAZ) return 0;
        hasDenormal = true;
      }
      return x;
    };
    const x = read(a);
    const y = read(b);
    if (hasNan) {
      if (isInvalid) this.flags |= FLAG.IE;
      return 2;
    }
    if (hasDenormal) this.flags |= FLAG.DE;
    return x < y ? -1 : x > y ? 1 : 0;
  }
  /** As an integer of 32 or 64 bits (two's complement). */
  private integer(f: Format, a: bigint, mode: number, isQuad: boolean): bigint {
    const least = isQuad ? 1n << 63n : 0x8000_0000n;
    if (isNan(f, a) || isInf(f, a)) {
      this.flags |= FLAG.IE;
      return least;
    }
    const x = finite(f, a);
    const { q, exact } = this.cut(x.sign, x.m, -x.e, false, mode);
    if (q > (x.sign ? least : least - 1n)) {
      this.flags |= FLAG.IE;
      return least;
    }
    if (!exact) this.flags |= FLAG.PE;
    return x.sign ? -q : q;
  }
  private roundInteger(f: Format, a: bigint, control: number): bigint {
    if (isNan(f, a)) return this.nan(f, a, a);
    if (isInf(f, a)) return a;
    const x = finite(f, a);
    if (x.e >= 0 || x.m === 0n) return a;
    const { q, exact } = this.cut(x.sign, x.m, -x.e, false, control & 4 ? this.mode : control & 3);
    if (!exact && !(control & 8)) this.flags |= FLAG.PE;
    if (q === 0n) return this.zero(f, x.sign);
    const shift = f.p - length(q);
    return signBit(f, x.sign) + (BigInt(f.emax + f.p - 2 - shift) << BigInt(f.p - 1)) + (q << BigInt(shift));
  }
  private approximate(a: bigint, isRoot: boolean): bigint {
    const f = SINGLE;
    if (isNan(f, a)) return a | f.quiet;
    const sign = isNegative(f, a);
    const m = magnitude(f, a);
    if (m < 0x80_0000n) return signBit(f, sign) | f.inf;
    if (isRoot && sign) return indefinite(f);
    if (m === f.inf) return this.zero(f, sign);
    const x = finite(f, a);
    const value = Number(x.m) * 2 ** x.e;
    const scratch = new DataView(new ArrayBuffer(4));
    scratch.setFloat32(0, isRoot ? 1 / Math.sqrt(value) : 1 / value);
    const bits = scratch.getUint32(0);
    return signBit(f, sign) | (bits <= 0x80_0000 ? 0n : BigInt((bits + 0x400) & 0x7fff_f800));
  }

  private binary(f: Format, op: number, a: bigint, b: bigint, lane: number): bigint {
    const x = this.input(f, a);
    const y = this.input(f, b);
    if (op === FLOAT_OP.sqrt) return this.root(f, y);
    if (isNan(f, x) || isNan(f, y)) return this.nan(f, x, y);
    const negated = y ^ signBit(f, true);
    if (op === FLOAT_OP.add || (op === FLOAT_OP.addsub && lane & 1)) return this.sum(f, x, y);
    if (op === FLOAT_OP.sub || op === FLOAT_OP.addsub) return this.sum(f, x, negated);
    return op === FLOAT_OP.mul ? this.product(f, x, y) : this.quotient(f, x, y);
  }

  /** `a` op= `b`. `code`: operation, format << 8 (1: double), scalar << 9, integers of 64 bits << 10, an operand << 16. For comparisons of scalars that
   *  set EFLAGS the result is ZF PF CF; else 0. */
  execute(code: number, a: DataView, b: DataView): number {
    const op = code & 0xff;
    const isDouble = (code & 0x100) !== 0;
    const isScalar = (code & 0x200) !== 0;
    const isQuad = (code & 0x400) !== 0;
    const size = isDouble ? 8 : 4;
    const operand = code >>> 16;
    const f = isDouble ? DOUBLE : SINGLE;
    const get = (v: DataView, i: number) => (isDouble ? v.getBigUint64(i * 8, true) : BigInt(v.getUint32(i * 4, true)));
    const put = (i: number, x: bigint) => {
      if (isDouble) a.setBigUint64(i * 8, x, true);
      else a.setUint32(i * 4, Number(x), true);
    };
    const count = isScalar ? 1 : isDouble ? 2 : 4;
    switch (op) {
      case FLOAT_OP.comis:
      case FLOAT_OP.ucomis: {
        const order = this.order(isDouble, a, b, 0, op === FLOAT_OP.comis);
        return order === 2 ? 0x45 : order === 0 ? 0x40 : order < 0 ? 1 : 0;
      }
      case FLOAT_OP.compare:
        for (let i = 0; i < count; i++) {
          // Bits 0 and 1: equal, less, less or equal, unordered; 2: not; 3: for unordered the other answer; 4: NaNs signal the
          // other way.
          const relation = operand & 3;
          const signals = (relation === 1 || relation === 2) !== (operand & 16) > 0;
          const order = this.order(isDouble, a, b, i * size, signals);
          const isInverted = ((operand & 4) !== 0) !== (order === 2 && (operand & 8) !== 0);
          const holds = [order === 0, order === -1, order <= 0, order === 2][relation]!;
          for (let k = 0; k < size; k += 4) a.setInt32(i * size + k, holds !== isInverted ? -1 : 0, true);
        }
        return 0;
      case FLOAT_OP.min:
      case FLOAT_OP.max:
        for (let i = 0; i < count; i++) {
          const order = this.order(isDouble, a, b, i * size, true);
          put(i, this.input(f, get(order === (op === FLOAT_OP.min ? -1 : 1) ? a : b, i)));
        }
        return 0;
      case FLOAT_OP.widen: {
        const inputs = Array.from({ length: isScalar ? 1 : 2 }, (_, i) =>
          this.input(SINGLE, BigInt(b.getUint32(i * 4, true))),
        );
        inputs.forEach((x, i) => {
          a.setBigUint64(i * 8, this.convert(SINGLE, DOUBLE, x), true);
        });
        return 0;
      }
      case FLOAT_OP.narrow: {
        const inputs = Array.from({ length: isScalar ? 1 : 2 }, (_, i) =>
          this.input(DOUBLE, b.getBigUint64(i * 8, true)),
        );
        if (!isScalar) a.setBigUint64(8, 0n, true);
        inputs.forEach((x, i) => {
          a.setUint32(i * 4, Number(this.convert(DOUBLE, SINGLE, x)), true);
        });
        return 0;
      }
      case FLOAT_OP.fromInteger: {
        const inputs = Array.from({ length: operand || count }, (_, i) =>
          isQuad ? b.getBigInt64(i * 8, true) : BigInt(b.getInt32(i * 4, true)),
        );
        inputs.forEach((n, i) => {
          put(i, n === 0n ? 0n : this.rounded(f, { sign: n < 0n, m: n < 0n ? -n : n, e: 0 }));
        });
        return 0;
      }
      case FLOAT_OP.toInteger:
      case FLOAT_OP.truncate: {
        const mode = op === FLOAT_OP.truncate ? 3 : this.mode;
        const results = Array.from({ length: operand || count }, (_, i) =>
          this.integer(f, this.input(f, get(b, i)), mode, isQuad),
        );
        if (isQuad) a.setBigInt64(0, results[0]!, true);
        else for (let i = 0; i < 4; i++) a.setInt32(i * 4, Number(BigInt.asIntN(32, results[i] ?? 0n)), true);
        return 0;
      }
      case FLOAT_OP.round:
        for (let i = 0; i < count; i++) put(i, this.roundInteger(f, this.input(f, get(b, i)), operand));
        return 0;
      case FLOAT_OP.fromHalf: {
        // Denormal halves are normal numbers here: MXCSR has no say, and no flag tells of them.
        const singles = [0, 2, 4, 6].map((at) => this.convert(HALF, SINGLE, BigInt(b.getUint16(at, true))));
        this.flags &= FLAG.IE;
        singles.forEach((x, i) => {
          a.setUint32(i * 4, Number(x), true);
        });
        return 0;
      }
      case FLOAT_OP.toHalf: {
        // The rounding is the immediate's unless bit 2 is set; tiny results are never flushed.
        const { mxcsr } = this;
        const singles = [0, 4, 8, 12].map((at) => this.input(SINGLE, BigInt(b.getUint32(at, true))));
        this.mxcsr = (mxcsr & ~(FTZ | (operand & 4 ? 0 : 0x6000))) | (operand & 4 ? 0 : (operand & 3) << 13);
        const halves = singles.map((x) => this.convert(SINGLE, HALF, x));
        this.mxcsr = mxcsr;
        halves.forEach((x, i) => {
          a.setUint16(i * 2, Number(x), true);
        });
        a.setBigUint64(8, 0n, true);
        return 0;
      }
      case FLOAT_OP.rcp:
      case FLOAT_OP.rsqrt:
        for (let i = 0; i < count; i++) put(i, this.approximate(get(b, i), op === FLOAT_OP.rsqrt));
        return 0;
      default:
        for (let i = 0; i < count; i++) put(i, this.binary(f, op, get(a, i), get(b, i), i));
        return 0;
    }
  }
  /** x = x * y + z, rounded once. `code` as above; operand: 1 negates the product, 2 the addend in even lanes, 4 in odd ones. */
  fused(code: number, x: DataView, y: DataView, z: DataView): void {
    const isDouble = (code & 0x100) !== 0;
    const f = isDouble ? DOUBLE : SINGLE;
    const get = (v: DataView, i: number) => (isDouble ? v.getBigUint64(i * 8, true) : BigInt(v.getUint32(i * 4, true)));
    const signs = code >>> 16;
    for (let i = 0; i < (code & 0x200 ? 1 : isDouble ? 2 : 4); i++) {
      const [a, b, c] = [x, y, z].map((v) => this.input(f, get(v, i))) as [bigint, bigint, bigint];
      const result = this.multiplyAdd(f, a, b, c, (signs & 1) !== 0, (signs & (i & 1 ? 4 : 2)) !== 0);
      if (isDouble) x.setBigUint64(i * 8, result, true);
      else x.setUint32(i * 4, Number(result), true);
    }
  }
  private multiplyAdd(
    f: Format,
    a: bigint,
    b: bigint,
    c: bigint,
    isProductNegated: boolean,
    isAddendNegated: boolean,
  ): bigint {
    const nan = [a, b, c].find((x) => isNan(f, x));
    const isInfinite = isInf(f, a) || isInf(f, b);
    const sign = (isNegative(f, a) !== isNegative(f, b)) !== isProductNegated;
    const addend = isAddendNegated ? c ^ signBit(f, true) : c;
    if (nan !== undefined) {
      if ([a, b, c].some((x) => isSignalling(f, x))) this.flags |= FLAG.IE;
      return nan | f.quiet;
    }
    if (isInfinite) {
      const hasZero = magnitude(f, a) === 0n || magnitude(f, b) === 0n;
      if (hasZero || (isInf(f, c) && isNegative(f, addend) !== sign)) return this.invalid(f);
      this.noteDenormal(f, a, b, c);
      return signBit(f, sign) | f.inf;
    }
    this.noteDenormal(f, a, b, c);
    if (isInf(f, c)) return addend;
    const [x, y, z] = [finite(f, a), finite(f, b), finite(f, addend)];
    const product = { sign, m: x.m * y.m, e: x.e + y.e };
    const e = Math.min(product.e, z.e);
    const signed = (n: Finite) => (n.sign ? -n.m : n.m) << BigInt(n.e - e);
    const total = signed(product) + signed(z);
    if (total !== 0n) return this.rounded(f, { sign: total < 0n, m: total < 0n ? -total : total, e });
    return this.zero(f, sign === z.sign ? sign : this.mode === 1);
  }
  /** DPPS and DPPD: products of the lanes that bits 4-7 choose, summed in pairs, into the lanes of bits 0-3. Products and each
   *  sum are operations of their own with their own flags. */
  dot(code: number, a: DataView, b: DataView, step: () => void): void {
    const isDouble = (code & 0x100) !== 0;
    const imm = code >>> 16;
    const f = isDouble ? DOUBLE : SINGLE;
    const count = isDouble ? 2 : 4;
    const get = (v: DataView, i: number) => (isDouble ? v.getBigUint64(i * 8, true) : BigInt(v.getUint32(i * 4, true)));
    const products = Array.from({ length: count }, (_, i) =>
      (imm >> (4 + i)) & 1 ? this.binary(f, FLOAT_OP.mul, get(a, i), get(b, i), i) : 0n,
    );
    step();
    let sums = products;
    while (sums.length > 1) {
      const old = sums;
      sums = Array.from({ length: old.length / 2 }, (_, i) =>
        this.binary(f, FLOAT_OP.add, old[2 * i]!, old[2 * i + 1]!, 0),
      );
      step();
    }
    for (let i = 0; i < count; i++) {
      const x = (imm >> i) & 1 ? sums[0]! : 0n;
      if (isDouble) a.setBigUint64(i * 8, x, true);
      else a.setUint32(i * 4, Number(x), true);
    }
  }
  private convert(from: Format, to: Format, x: bigint): bigint {
    const sign = isNegative(from, x);
    if (isNan(from, x)) {
      if (isSignalling(from, x)) this.flags |= FLAG.IE;
      const fraction = x & ((1n << BigInt(from.p - 1)) - 1n);
      const by = BigInt(to.p - from.p);
      return signBit(to, sign) | to.inf | to.quiet | (by > 0n ? fraction << by : fraction >> -by);
    }
    if (isInf(from, x)) return signBit(to, sign) | to.inf;
    this.noteDenormal(from, x);
    const number = finite(from, x);
    return number.m === 0n ? signBit(to, sign) : this.rounded(to, number);
  }
}
