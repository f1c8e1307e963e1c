/** Sum, product, quotient, root, comparison and remainder of 80-bit numbers in WebAssembly: operands that are normal or zero, results
 *  that are normal or zero. Everything else is refused. See ../arithmetic.ts for all cases. */
import { type Body, i32, i64, type Local, type Value } from '../../../../wasm/expressions.ts';
import { I64 } from '../../../../wasm/opcodes.ts';
import { FIELDS } from '../../state.ts';
import { BIAS } from '../float80.ts';
import { EXPONENT, ONE, type Parts, SIGN, type Unit } from './unit.ts';

const HALF = 0xffff_ffff;

/** Both operands must be normal or zero; `zeros` deals with those of which one is zero and must return. */
function classify(b: Body, u: Unit, x: Parts, y: Parts, zeros: () => void): void {
  b.unlikely(u.isNormal(x).and(u.isNormal(y)).eqz(), () => {
    const fine = (p: Parts) => u.isNormal(p).or(u.isZero(p));
    b.if(fine(x).and(fine(y)).eqz(), () => b.return(1));
    zeros();
  });
}

/** physical = x + y. */
export function sum(b: Body, u: Unit, xTop: Local, xMantissa: Local, yTop: Local, yMantissa: Local, to: Local): void {
  const x = { top: xTop, mantissa: xMantissa };
  const y = { top: yTop, mantissa: yMantissa };
  const ext = b.let(i64(0));
  const exponent = b.let(xTop.and(EXPONENT));
  const sign = b.let(xTop.and(SIGN));
  const high = b.let(xMantissa);
  classify(b, u, x, y, () => {
    b.if(u.isZero(x), () => {
      b.if(u.isZero(y), () => {
        const isDown = u.get(b, FIELDS.fpuControl).and(0xc00).eq(0x400);
        u.zero(b, to, xTop.eq(yTop).select(xTop, isDown.shl(15)));
        u.done(b);
      });
      sign.set(yTop.and(SIGN));
      exponent.set(yTop.and(EXPONENT));
      high.set(yMantissa);
    });
    u.settle(b, to, sign, exponent, high, ext);
  });
  // The greater one first; equal exponents are sorted when magnitudes subtract.
  const distance = b.let(exponent.sub(yTop.and(EXPONENT)));
  const small = b.let(yMantissa);
  b.if(distance.ltS(0), () => {
    distance.set(distance.neg());
    exponent.set(exponent.add(distance));
    sign.set(yTop.and(SIGN));
    high.set(yMantissa);
    small.set(xMantissa);
  });
  b.if(distance, () => {
    b.if(
      distance.ltS(64),
      () => {
        ext.set(small.shl(i32(0).sub(distance)));
        small.set(small.shrU(distance));
      },
      () => {
        // Nothing but what follows the last place; bits that fall out stick.
        b.if(
          distance.ltS(128),
          () =>
            ext.set(
              small.shrU(distance).or(
                distance
                  .eq(64)
                  .select(i64(0), small.shl(i32(0).sub(distance)))
                  .eqz()
                  .eqz()
                  .wideU(),
              ),
            ),
          () => ext.set(1),
        );
        small.set(0);
      },
    );
  });
  b.if(
    xTop.xor(yTop).and(SIGN).eqz(),
    () => {
      high.set(high.add(small));
      b.if(high.ltU(small), () => {
        ext.set(ext.shrU(1).or(ext.and(1)).or(high.shl(63)));
        high.set(high.shrU(1).or(ONE));
        exponent.set(exponent.add(1));
      });
      u.settle(b, to, sign, exponent, high, ext);
    },
    () => {
      b.if(distance.eqz().and(high.ltU(small)), () => {
        const other = b.let(high);
        high.set(small);
        small.set(other);
        sign.set(yTop.and(SIGN));
      });
      high.set(high.sub(small).sub(ext.eqz().eqz().wideU()));
      ext.set(ext.neg());
      b.unlikely(high.eqz(), () => {
        b.if(ext.eqz(), () => {
          u.zero(b, to, u.get(b, FIELDS.fpuControl).and(0xc00).eq(0x400).shl(15));
          u.done(b);
        });
        high.set(ext);
        ext.set(0);
        exponent.set(exponent.sub(64));
      });
      normalize(b, exponent, high, ext);
      u.settle(b, to, sign, exponent, high, ext);
    },
  );
  b.unreachable();
}
/** Moves the highest bit to bit 63. */
function normalize(b: Body, exponent: Local, high: Local, ext: Local): void {
  const zeros = b.let(high.clz());
  b.if(zeros.eqz().eqz(), () => {
    high.set(high.shl(zeros).or(ext.shrU(i64(64).sub(zeros))));
    ext.set(ext.shl(zeros));
    exponent.set(exponent.sub(zeros.narrow()));
  });
}

/** 64 by 64 bits: [high, low]. */
export function multiply(b: Body, x: Value, y: Value): readonly [Local, Local] {
  const xl = b.let(x.and(HALF));
  const xh = b.let(x.shrU(32));
  const yl = b.let(y.and(HALF));
  const yh = b.let(y.shrU(32));
  const bottom = b.let(xl.mul(yl));
  const first = b.let(xh.mul(yl).add(bottom.shrU(32)));
  const second = b.let(xl.mul(yh).add(first.and(HALF)));
  const high = b.let(xh.mul(yh).add(first.shrU(32)).add(second.shrU(32)));
  return [high, b.let(second.shl(32).or(bottom.and(HALF)))];
}

export function product(
  b: Body,
  u: Unit,
  xTop: Local,
  xMantissa: Local,
  yTop: Local,
  yMantissa: Local,
  to: Local,
): void {
  const sign = b.let(xTop.xor(yTop).and(SIGN));
  const x = { top: xTop, mantissa: xMantissa };
  const y = { top: yTop, mantissa: yMantissa };
  classify(b, u, x, y, () => {
    u.zero(b, to, sign);
    u.done(b);
  });
  const [high, low] = multiply(b, xMantissa, yMantissa);
  const exponent = b.let(
    xTop
      .and(EXPONENT)
      .add(yTop.and(EXPONENT))
      .sub(BIAS - 1),
  );
  const shift = b.let(high.shrU(63).xor(1));
  high.set(high.shl(shift).or(low.shrU(63).and(shift)));
  low.set(low.shl(shift));
  exponent.set(exponent.sub(shift.narrow()));
  u.settle(b, to, sign, exponent, high, low);
}

/** high:low by a divisor with bit 63 set and greater than `high`: [quotient, rest]. Two digits of 32 bits. */
export function divide(b: Body, high: Value, low: Value, divisor: Value): readonly [Local, Local] {
  const upper = b.let(divisor.shrU(32));
  const lower = b.let(divisor.and(HALF));
  const digit = (rest: Value, next: Value): readonly [Local, Local] => {
    const q = b.let(rest.divU(upper));
    const r = b.let(rest.sub(q.mul(upper)));
    for (let i = 0; i < 2; i++) {
      const isOver = q
        .shrU(32)
        .eqz()
        .eqz()
        .or(q.mul(lower).gtU(r.shl(32).or(next)));
      b.if(isOver.and(r.shrU(32).eqz()), () => {
        q.set(q.sub(1));
        r.set(r.add(upper));
      });
    }
    return [q, b.let(rest.shl(32).or(next).sub(q.mul(divisor)))];
  };
  const [first, middle] = digit(high, low.shrU(32));
  const [second, rest] = digit(middle, low.and(HALF));
  return [b.let(first.shl(32).or(second)), rest];
}

/** physical = x / y. */
export function quotient(
  b: Body,
  u: Unit,
  xTop: Local,
  xMantissa: Local,
  yTop: Local,
  yMantissa: Local,
  to: Local,
): void {
  const sign = b.let(xTop.xor(yTop).and(SIGN));
  const x = { top: xTop, mantissa: xMantissa };
  const y = { top: yTop, mantissa: yMantissa };
  classify(b, u, x, y, () => {
    b.if(u.isZero(y), () => b.return(1));
    u.zero(b, to, sign);
    u.done(b);
  });
  const shift = b.let(xMantissa.geU(yMantissa).wideU());
  const [result, rest] = divide(b, xMantissa.shrU(shift), xMantissa.shl(63).and(shift.neg()), yMantissa);
  const exponent = b.let(
    xTop
      .and(EXPONENT)
      .sub(yTop.and(EXPONENT))
      .add(BIAS - 1)
      .add(shift.narrow()),
  );
  // A rest of exactly half the divisor cannot be: the quotient would have one bit more than the operands.
  const isMore = rest.gtU(yMantissa.sub(rest)).wideU();
  const ext = b.let(rest.eqz().select(i64(0), isMore.shl(63).or(1)));
  u.settle(b, to, sign, exponent, result, ext);
}

/** physical = square root of x. */
export function root(b: Body, u: Unit, top: Local, mantissa: Local, to: Local): void {
  const x = { top, mantissa };
  b.unlikely(u.isNormal(x).and(top.and(SIGN).eqz()).eqz(), () => {
    b.if(u.isZero(x).eqz(), () => b.return(1));
    u.zero(b, to, top);
    u.done(b);
  });
  // n = mantissa * 2^64 or half of it, so that the exponent is even; the root has 64 bits.
  const isEven = b.let(top.sub(BIAS).and(1).eqz().wideU());
  const high = b.let(mantissa.shrU(isEven));
  const low = b.let(mantissa.shl(63).and(isEven.neg()));
  // Fifty bits from the host, as many again from one step of Newton's; it must stay above `high` for the division.
  const guess = b.let(high.toDoubleU().squareRoot().mul(i64(0x1_0000_0000).toDoubleU()).truncateU());
  b.if(guess.leU(high), () => guess.set(high.eq(-1).select(high, high.add(1))));
  const [q] = divide(b, high, low, guess);
  const s = b.let(q.shrU(1).add(guess.shrU(1)).add(q.and(guess).and(1)));
  // The one number for which no divisor is greater than `high`.
  b.unlikely(high.eq(-1), () => s.set(-1));
  const restHigh = b.variable(I64);
  const rest = b.variable(I64);
  b.loop((again) => {
    const [squareHigh, square] = multiply(b, s, s);
    rest.set(low.sub(square));
    restHigh.set(high.sub(squareHigh).sub(low.ltU(square).wideU()));
    b.unlikely(restHigh.ltS(0), () => {
      s.set(s.sub(1));
      again();
    });
    // The rest is at most twice the root.
    const doubled = b.let(s.shl(1));
    const carry = s.shrU(63);
    b.unlikely(restHigh.gtU(carry).or(restHigh.eq(carry).and(rest.gtU(doubled))), () => {
      s.set(s.add(1));
      again();
    });
  });
  const isMore = restHigh.eqz().eqz().or(rest.gtU(s)).wideU();
  const isExact = restHigh.or(rest).eqz();
  const ext = b.let(isExact.select(i64(0), isMore.shl(63).or(1)));
  const exponent = b.let(top.sub(BIAS).sub(i32(1).sub(isEven.narrow())).shrS(1).add(BIAS));
  u.settle(b, to, i32(0), exponent, s, ext);
}

/** Relation of two numbers as FCOM has it: 1 less, 0x40 equal, 0 greater; `refuse` for all but normal numbers and zeros. */
export function relation(b: Body, u: Unit, x: Parts, y: Parts, refuse: () => void): Local {
  const answer = b.let(i32(0));
  const isZero = b.let(i32(0));
  b.unlikely(u.isNormal(x).and(u.isNormal(y)).eqz(), () => {
    const fine = (p: Parts) => u.isNormal(p).or(u.isZero(p));
    b.if(fine(x).and(fine(y)).eqz(), refuse);
    isZero.set(u.isZero(x).and(u.isZero(y)));
  });
  const isNegative = b.let(x.top.shrU(15));
  const ex = x.top.and(EXPONENT);
  const ey = y.top.and(EXPONENT);
  const isBelow = ex.ltU(ey).or(ex.eq(ey).and(x.mantissa.ltU(y.mantissa)));
  const isSame = x.top.eq(y.top).and(x.mantissa.eq(y.mantissa));
  answer.set(isNegative.eq(y.top.shrU(15)).select(isBelow.xor(isNegative), isNegative));
  return b.let(isZero.or(isSame).select(i32(0x40), answer));
}

/** FPREM and FPREM1. */
export function remainder(b: Body, u: Unit, isNearest: boolean): void {
  const first = u.physical(b, 0);
  const second = u.physical(b, 1);
  u.requireUsed(b, first, second);
  const x = u.parts(b, first);
  const y = u.parts(b, second);
  b.unlikely(u.isNormal(x).and(u.isNormal(y)).eqz(), () => b.return(1));
  const exponent = b.let(x.top.and(EXPONENT));
  const distance = b.let(exponent.sub(y.top.and(EXPONENT)));
  // FPREM1 of a smaller number, and results of zero, are left to the helper.
  b.if(distance.ltS(0), () => b.return(1));
  const isPartial = b.let(distance.geS(64));
  // A part takes 32 to 63 bits off the exponent.
  const steps = b.let(isPartial.select(distance.and(31).add(32), distance));
  const high = b.let(steps.select(x.mantissa.shrU(i32(0).sub(steps)), i64(0)));
  const [q, rest] = divide(b, high, x.mantissa.shl(steps), y.mantissa);
  const result = b.let(rest);
  const sign = b.let(x.top.and(SIGN));
  const quotientBits = b.let(q.narrow());
  if (isNearest)
    b.if(isPartial.eqz(), () => {
      const other = y.mantissa.sub(result);
      const isOver = result.gtU(other).or(result.eq(other).and(quotientBits.and(1)));
      b.if(isOver, () => {
        quotientBits.set(quotientBits.add(1));
        result.set(other);
        sign.set(sign.xor(SIGN));
      });
    });
  b.if(result.eqz(), () => b.return(1));
  const zeros = b.let(result.clz());
  exponent.set(exponent.sub(steps).sub(zeros.narrow()));
  b.if(exponent.sub(1).geU(0x7ffe), () => b.return(1));
  u.write(b, first, sign.or(exponent), result.shl(zeros));
  // C0, C3, C1: bits 2, 1 and 0 of the quotient; C2: not finished.
  const bits = quotientBits.shrU(2).and(1).or(quotientBits.and(2).shl(5)).or(quotientBits.and(1).shl(1));
  u.conditions(b, isPartial.select(i32(4), bits));
}
