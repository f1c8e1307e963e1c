/** Numbers from and to the formats that memory has: single, double, integers. Refused: denormals, infinities, NaNs, and results that do
 *  not fit or would be denormal. */
import { type Body, constant, i32, i64, type Local, type Value } from '../../../../wasm/expressions.ts';
import { I32, I64 } from '../../../../wasm/opcodes.ts';
import { FIELDS } from '../../state.ts';
import { BIAS, PE } from '../float80.ts';
import { C1, EXPONENT, integerTop, ONE, type Parts, SIGN, type Unit } from './unit.ts';

/** From single (i32) or double (i64) precision bits. */
export function fromFloat(b: Body, bits: Local): Parts {
  const isSingle = bits.type === I32;
  const field = isSingle ? bits.shrU(23).and(0xff) : bits.shrU(52).narrow().and(0x7ff);
  const exponent = b.let(field);
  const sign = isSingle ? bits.shrU(16).and(SIGN) : bits.shrU(48).narrow().and(SIGN);
  const mantissa = b.let(isSingle ? bits.wideU().shl(40).or(ONE) : bits.shl(11).or(ONE));
  const top = b.let(sign.or(exponent.add(isSingle ? BIAS - 127 : BIAS - 1023)));
  b.unlikely(exponent.sub(1).geU(isSingle ? 254 : 2046), () => {
    b.if(bits.shl(1).eqz().eqz(), () => b.return(1));
    mantissa.set(0);
    top.set(sign);
  });
  return { top, mantissa };
}
/** From a signed integer of 32 or 64 bits. */
export function fromInteger(b: Body, value: Local): Parts {
  const wide = b.let(value.type === I64 ? value : value.wideS());
  const isNegative = b.let(wide.shrS(63));
  const magnitude = b.let(wide.xor(isNegative).sub(isNegative));
  const zeros = b.let(magnitude.clz());
  const sign = isNegative.narrow().and(SIGN);
  const top = magnitude.eqz().select(i32(0), integerTop(sign, zeros.narrow()));
  return { top: b.let(top), mantissa: b.let(magnitude.shl(zeros)) };
}

/** ST0 for a conversion that returns a value of 64 bits and leaves its flags in `fpuOutcome`. */
function source(b: Body, u: Unit): Parts {
  u.set(b, FIELDS.fpuOutcome, i32(-1));
  const physical = u.physical(b, 0);
  u.requireUsedOr(b, () => b.return(i64(0)), physical);
  return u.parts(b, physical);
}
/** Leaves when an inexact result is not masked; else notes flags. */
function outcome(b: Body, u: Unit, rest: Value, up: Value): void {
  const isInexact = b.let(rest.eqz().eqz());
  b.unlikely(u.get(b, FIELDS.fpuControl).and(PE).eqz().and(isInexact), () => b.return(i64(0)));
  u.set(b, FIELDS.fpuOutcome, isInexact.shl(5).or(up.shl(9)));
}
/** Bits of ST0 in single or double precision. */
export function toFloat(b: Body, u: Unit, precision: 'single' | 'double'): void {
  const isDouble = precision === 'double';
  const fraction = isDouble ? 52 : 23;
  const drop = 63 - fraction;
  const x = source(b, u);
  const sign = b.let(x.top.and(SIGN));
  const shiftedSign = sign.wideU().shl(isDouble ? 48 : 16);
  const exponent = b.let(x.top.and(EXPONENT).sub(isDouble ? BIAS - 1023 : BIAS - 127));
  b.unlikely(
    exponent
      .sub(1)
      .geU(isDouble ? 2046 : 254)
      .or(x.mantissa.geS(0)),
    () => {
      b.if(u.isZero(x).eqz(), () => b.return(i64(0)));
      u.set(b, FIELDS.fpuOutcome, i32(0));
      b.return(shiftedSign);
    },
  );
  const rest = b.let(x.mantissa.shl(64 - drop));
  const kept = b.let(x.mantissa.shrU(drop));
  const up = u.roundsUp(b, u.get(b, FIELDS.fpuControl), sign, rest, kept.narrow().and(1));
  // The leading bit adds one to the exponent, a carry out of the fraction another.
  const bits = b.let(exponent.sub(1).wideU().shl(fraction).add(kept).add(up.wideU()));
  b.unlikely(bits.shrU(fraction).eq(isDouble ? 0x7ff : 0xff), () => b.return(i64(0)));
  outcome(b, u, rest, up);
  b.result(bits.or(shiftedSign));
}
/** Integer part of a normal number by rounding control, or cut: [integer, rest, up]; `refuse` when it needs 64 bits or more. */
function integerPart(b: Body, u: Unit, x: Parts, isCut: boolean, refuse: () => void): readonly [Local, Local, Local] {
  const places = b.let(i32(BIAS + 63).sub(x.top.and(EXPONENT)));
  b.unlikely(places.ltS(1), refuse);
  const whole = b.let(i64(0));
  const rest = b.let(i64(1));
  b.if(
    places.ltU(64),
    () => {
      whole.set(x.mantissa.shrU(places));
      rest.set(x.mantissa.shl(i32(0).sub(places)));
    },
    () => b.if(places.eq(64), () => rest.set(x.mantissa)),
  );
  if (isCut) return [whole, rest, b.let(i32(0))];
  const sign = x.top.and(SIGN);
  const up = u.roundsUp(b, u.get(b, FIELDS.fpuControl), sign, rest, whole.narrow().and(1));
  whole.set(whole.add(up.wideU()));
  return [whole, rest, up];
}
/** ST0 as a signed integer, sign-extended. */
export function toInteger(b: Body, u: Unit, bits: number, isCut: boolean): void {
  const x = source(b, u);
  b.unlikely(u.isNormal(x).eqz(), () => {
    b.if(u.isZero(x), () => u.set(b, FIELDS.fpuOutcome, i32(0)));
    b.return(i64(0));
  });
  const [whole, rest, up] = integerPart(b, u, x, isCut, () => b.return(i64(0)));
  const isNegative = b.let(x.top.shrU(15).wideU());
  const most = constant(I64, (1n << BigInt(bits - 1)) - 1n);
  b.unlikely(whole.gtU(most.add(isNegative)), () => b.return(i64(0)));
  outcome(b, u, rest, up);
  b.result(whole.xor(isNegative.neg()).add(isNegative));
}
/** FRNDINT: 0, or 1 when refused. */
export function roundToInteger(b: Body, u: Unit): void {
  const physical = u.physical(b, 0);
  u.requireUsed(b, physical);
  const x = u.parts(b, physical);
  const isDone = () => {
    u.clearC1(b);
    b.return(0);
  };
  b.unlikely(u.isNormal(x).eqz(), () => {
    b.if(u.isZero(x), isDone);
    b.return(1);
  });
  const [whole, rest, up] = integerPart(b, u, x, false, isDone);
  const isInexact = b.let(rest.eqz().eqz());
  b.unlikely(u.get(b, FIELDS.fpuControl).and(PE).eqz().and(isInexact), () => b.return(1));
  const zeros = b.let(whole.clz());
  const sign = b.let(x.top.and(SIGN));
  const top = whole.eqz().select(sign, integerTop(sign, zeros.narrow()));
  u.write(b, physical, top, whole.shl(zeros));
  const status = u.get(b, FIELDS.fpuStatus).and(~C1);
  u.set(b, FIELDS.fpuStatus, status.or(isInexact.shl(5)).or(up.shl(9)));
  b.result(i32(0));
}
/** FSCALE: the exponent grows by the integer part of ST1. */
export function scale(b: Body, u: Unit): void {
  const physical = u.physical(b, 0);
  const second = u.physical(b, 1);
  u.requireUsed(b, physical, second);
  const x = u.parts(b, physical);
  const by = u.parts(b, second);
  const isSimple = u.isNormal(x).and(u.isNormal(by).or(u.isZero(by)));
  const distance = b.let(by.top.and(EXPONENT).sub(BIAS));
  b.unlikely(isSimple.eqz().or(distance.gtS(15)), () => b.return(1));
  const amount = b.let(i32(0));
  b.if(distance.geS(0), () => {
    amount.set(by.mantissa.shrU(i32(63).sub(distance)).narrow());
    b.if(by.top.and(SIGN), () => amount.set(amount.neg()));
  });
  const exponent = b.let(x.top.and(EXPONENT).add(amount));
  b.unlikely(exponent.sub(1).geU(0x7ffe), () => b.return(1));
  u.write(b, physical, x.top.and(SIGN).or(exponent), x.mantissa);
  u.clearC1(b);
}
