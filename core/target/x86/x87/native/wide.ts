/** Unsigned fractions of 128 bits (high, low; the point is in front) for series, and polynomials over them. */
import { type Body, i64, type Local, type Value } from '../../../../wasm/expressions.ts';
import { multiply } from './arithmetic.ts';

export interface Wide {
  readonly high: Local;
  readonly low: Local;
}
const MASK = 0xffff_ffff_ffff_ffffn;

export function wide(b: Body, high: Value, low: Value): Wide {
  return { high: b.let(high), low: b.let(low) };
}
/** The fraction n / 2^128. */
export function wideConstant(b: Body, n: bigint): Wide {
  return wide(b, i64((n >> 64n) & MASK), i64(n & MASK));
}
export function addTo(_b: Body, x: Wide, high: Value, low: Local): void {
  x.low.set(x.low.add(low));
  x.high.set(x.high.add(high).add(x.low.ltU(low).wideU()));
}
export function subtractFrom(b: Body, x: Wide, y: Wide): void {
  const borrow = b.let(x.low.ltU(y.low).wideU());
  x.low.set(x.low.sub(y.low));
  x.high.set(x.high.sub(y.high).sub(borrow));
}
/** Changes sign where `mask` is -1, not where it is 0. */
export function negateBy(b: Body, x: Wide, mask: Value): void {
  const low = b.let(x.low.xor(mask).sub(mask));
  const carry = low.eqz().wideU().and(mask);
  x.high.set(x.high.xor(mask).add(carry));
  x.low.set(low);
}
/** x * y without the last few units. */
export function multiplyWide(b: Body, x: Wide, y: Wide): Wide {
  const [high, low] = multiply(b, x.high, y.high);
  const product = { high, low };
  const [first] = multiply(b, x.high, y.low);
  addTo(b, product, i64(0), first);
  const [second] = multiply(b, x.low, y.high);
  addTo(b, product, i64(0), second);
  return product;
}
/** Moves the highest bit to bit 127; gives the count, 0 to 127. */
export function normalizeWide(b: Body, x: Wide): Local {
  const count = b.let(i64(0));
  b.if(x.high.eqz(), () => {
    x.high.set(x.low);
    x.low.set(0);
    count.set(64);
  });
  const shift = b.let(x.high.clz());
  b.if(shift.eqz().eqz(), () => {
    x.high.set(x.high.shl(shift).or(x.low.shrU(i64(64).sub(shift))));
    x.low.set(x.low.shl(shift));
  });
  return b.let(count.add(shift).narrow());
}
/** x * 2^-count, 0 to 127. */
export function shiftDown(b: Body, x: Wide, count: Value): void {
  b.if(count.geU(64), () => {
    x.low.set(x.high);
    x.high.set(0);
  });
  const shift = b.let(count.and(63));
  b.if(shift, () => {
    x.low.set(x.low.shrU(shift).or(x.high.shl(i64(64).sub(shift.wideU()))));
    x.high.set(x.high.shrU(shift));
  });
}
/** c[0] + s c[1] x + c[2] x^2 + s c[3] x^3 ...: s = -1 where `mask` is -1. All c are fractions times 2^128, each less than the one
 *  before; partial sums must stay between zero and one. From `narrowFrom` on 64 bits behind the leading zeros are enough. */
export function polynomial(b: Body, x: Wide, c: readonly bigint[], mask: Value, narrowFrom: number): Wide {
  const last = c.length - 1;
  const sign = b.let(mask);
  // One bit is left for sums greater than their first term.
  let zeros = 0n;
  while (c[narrowFrom]! >> (126n - zeros) === 0n) zeros++;
  const narrow = (k: number) => i64((c[k]! << zeros) >> 64n);
  const tail = b.let(narrow(last));
  for (let k = last - 1; k >= narrowFrom; k--) {
    const [product] = multiply(b, x.high, tail);
    tail.set(narrow(k).add(product.xor(sign).sub(sign)));
  }
  const sum = wide(b, tail.shrU(i64(zeros)), zeros === 0n ? i64(0) : tail.shl(i64(64n - zeros)));
  for (let k = narrowFrom - 1; k >= 0; k--) {
    const product = multiplyWide(b, x, sum);
    negateBy(b, product, sign);
    sum.high.set(i64((c[k]! >> 64n) & MASK));
    sum.low.set(i64(c[k]! & MASK));
    addTo(b, sum, product.high, product.low);
  }
  return sum;
}
