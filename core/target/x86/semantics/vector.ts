/** What MMX and SSE instructions share: rights, alignment, and values of 64 and 128 bits as vectors.
 *  An MMX register is the mantissa of the x87 register of the same number; writing one sets exponent and sign to ones and makes
 *  every x87 register valid. MMX register operands are 128 bits wide (mantissa, exponent), what they are combined with is 64. */

import { FIELDS } from '../state.ts';
import type { Operand, Ops } from './ops.ts';

/** #UD for CR0.EM or a clear CR4.OSFXSR, #NM for CR0.TS. */
export function enterSse<V>(o: Ops<V>): void {
  if (o.form.vexPart) return;
  o.when(o.eqz(o.field('sseReady')), () => void o.call('sseUnavailable'), undefined, false);
}
/** #UD for CR0.EM, #NM for CR0.TS, #MF for a pending x87 exception. */
export function enterMmx<V>(o: Ops<V>): void {
  const pending = o.and(o.field('fpuStatus'), o.const(0x80));
  const off = o.or(o.and(o.field('cr0'), o.const(0xc)), pending);
  o.when(off, () => o.repeat('mmxUnavailable', o.const(0), o.const(0)), undefined, false);
}
/** After the last fault: what every MMX instruction but EMMS does to the x87 unit. */
export function commitMmx<V>(o: Ops<V>): void {
  o.setField('fpuTop', o.const(0));
  o.setField('fpuEmpty', o.const(0));
}
const ONES_ABOVE = [...Array<number>(8).fill(0), 0xff, 0xff, 0, 0, 0, 0, 0, 0];
const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
/** Low half of a vector as the content of an MMX register. */
export function mmxValue<V>(o: Ops<V>, v: V): V {
  return o.shuffle(v, o.vector(ONES_ABOVE), [...iota(8), ...iota(8, 24)]);
}

/** #GP for a memory operand that is not aligned to 16 bytes. */
export function checkAligned<V>(o: Ops<V>, x: Operand<V>): void {
  if (x.kind !== 'r') o.when(o.and(x.address(), o.const(15)), () => void o.call('denied'), undefined, false);
}
/** A 128-bit operand that must be aligned in memory. */
export function loadAligned<V>(o: Ops<V>, x: Operand<V>): V {
  checkAligned(o, x);
  return x.load();
}
/** 64 bits in both halves. */
export function spread64<V>(o: Ops<V>, x: V): V {
  return o.simd('i64x2.splat', x);
}
/** 32 or 64 bits in the low lane, zeros above. */
export function zeroExtended<V>(o: Ops<V>, x: V, width: 32 | 64): V {
  return o.lane(width === 32 ? 'i32x4.replace_lane' : 'i64x2.replace_lane', 0, o.vector(Array(16).fill(0)), x);
}
/** The low halves of two vectors. */
export function joinLow<V>(o: Ops<V>, a: V, b: V): V {
  return o.shuffle(a, b, [...iota(8), ...iota(8, 16)]);
}
/** Repeats the bytes of one lane. */
export function lanes<V>(o: Ops<V>, bytes: readonly number[]): V {
  return o.vector(iota(16).map((i) => bytes[i % bytes.length]!));
}
/** Register operands of the vector file: anything but MMX. */
export const XMM_OFFSET = FIELDS.xmm.offset;

export type Binary = <V>(o: Ops<V>, a: V, b: V, isMmx: boolean) => V;
/** An operation of two vectors on MMX (the source is 64 bits wide, or the 32 that are used) or SSE registers. */
export const binary =
  (f: Binary) =>
  <V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>): void => {
    if (src.width <= 64) {
      enterMmx(o);
      const b = src.width === 32 ? o.simd('i32x4.splat', src.load()) : spread64(o, src.load());
      const a = dst.load();
      commitMmx(o);
      dst.store(mmxValue(o, f(o, a, b, true)));
    } else {
      enterSse(o);
      const b = loadAligned(o, src);
      dst.store(f(o, dst.load(), b, false));
    }
  };
