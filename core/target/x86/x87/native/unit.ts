/** What every native x87 function does with the state in linear memory: registers, tags, status, pointers, and the rounding
 *  that a register result ends in. Rare cases are refused (`1`) before anything has changed. */
import { type Body, type Callee, i32, i64, type Local, type Value } from '../../../../wasm/expressions.ts';
import { I32, I64, OP } from '../../../../wasm/opcodes.ts';
import { CR0, CS, FIELDS, FS, SEGMENT, type StateField } from '../../state.ts';
import { BIAS, PE } from '../float80.ts';

export const C1 = 0x200;
const ES = 0x80;
export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
/** Bit 63 of a mantissa. */
export const ONE = 0x8000_0000_0000_0000n;
/** Precision and rounding control: 64 bits, to nearest. */
const CONTROL = 0xf00;
const DEFAULT = 0x300;

/** A register's content: mantissa, and sign with exponent. */
export interface Parts {
  readonly top: Local;
  readonly mantissa: Local;
}

export class Unit {
  private readonly state: number;
  /** Rounding under a control word that is not the usual one: slot, sign, exponent, mantissa, extension. */
  roundSlowly: Callee | null = null;

  /** `state`: address of the state block. */
  constructor(state: number) {
    this.state = state;
  }
  /** Where an operation goes on when it is done: out of the function, or behind its code in a greater one. */
  private leave: (() => void) | null = null;
  done(b: Body): void {
    if (this.leave) this.leave();
    else b.return(0);
  }
  /** An operation's code in place: what follows runs when it was not refused. */
  inline(b: Body, write: () => void): void {
    b.block((leave) => {
      this.leave = leave;
      write();
      this.leave = null;
    });
  }

  get(b: Body, field: StateField): Local {
    return b.load(OP.i32Load, i32(0), this.state + field.offset);
  }
  set(b: Body, field: StateField, value: Value): void {
    b.store(OP.i32Store, i32(0), this.state + field.offset, value);
  }
  /** Leaves when a fault or a pending exception comes before the instruction. */
  enter(b: Body, answer = 1): void {
    const pending = this.get(b, FIELDS.fpuStatus).and(ES);
    b.unlikely(pending.or(this.get(b, FIELDS.cr0).and(CR0.EM | CR0.TS)), () => b.return(answer));
  }
  /** Physical number of ST(i). */
  physical(b: Body, i: Value | number): Local {
    const top = this.get(b, FIELDS.fpuTop);
    return i === 0 ? top : b.let(top.add(i).and(7));
  }
  /** ST(i)'s number from the ModRM byte. */
  index(code: Value): Value {
    return code.shrU(16).and(7);
  }
  /** Leaves unless the physical registers are in use. */
  requireUsed(b: Body, ...physical: Value[]): void {
    this.requireUsedOr(b, () => b.return(1), ...physical);
  }
  requireUsedOr(b: Body, refuse: () => void, ...physical: Value[]): void {
    const empty = this.get(b, FIELDS.fpuEmpty);
    const bits = physical.map((p) => empty.shrU(p)).reduce((x, y) => x.or(y));
    b.unlikely(bits.and(1), refuse);
  }
  private slot(physical: Value): Value {
    return physical.shl(4);
  }
  parts(b: Body, physical: Value): Parts {
    const at = this.state + FIELDS.fpr.offset;
    const slot = b.let(this.slot(physical));
    return { top: b.load(OP.i32Load16U, slot, at + 8), mantissa: b.load(OP.i64Load, slot, at) };
  }
  write(b: Body, physical: Value, top: Value, mantissa: Value): void {
    const at = this.state + FIELDS.fpr.offset;
    b.store(OP.i32Store, this.slot(physical), at + 8, top);
    b.store(OP.i64Store, this.slot(physical), at, mantissa);
  }
  markUsed(b: Body, physical: Value): void {
    this.set(b, FIELDS.fpuEmpty, this.get(b, FIELDS.fpuEmpty).and(i32(1).shl(physical).not()));
  }
  pop(b: Body): void {
    const top = this.get(b, FIELDS.fpuTop);
    this.set(b, FIELDS.fpuEmpty, this.get(b, FIELDS.fpuEmpty).or(i32(1).shl(top)));
    this.set(b, FIELDS.fpuTop, top.add(1).and(7));
  }
  /** New ST0, without flags; refuses when there is no room. */
  push(b: Body, top: Value, mantissa: Value): void {
    const physical = b.let(this.get(b, FIELDS.fpuTop).sub(1).and(7));
    const empty = this.get(b, FIELDS.fpuEmpty);
    b.unlikely(empty.shrU(physical).and(1).eqz(), () => b.return(1));
    this.write(b, physical, top, mantissa);
    this.set(b, FIELDS.fpuTop, physical);
    this.set(b, FIELDS.fpuEmpty, empty.and(i32(1).shl(physical).not()));
    this.clearC1(b);
  }
  clearC1(b: Body): void {
    this.set(b, FIELDS.fpuStatus, this.get(b, FIELDS.fpuStatus).and(~C1));
  }
  /** Condition bits as FCOM's relation has them. */
  conditions(b: Body, relation: Value): void {
    this.set(b, FIELDS.fpuStatus, this.get(b, FIELDS.fpuStatus).and(~0x4700).or(relation.shl(8)));
  }

  /** Pointers and opcode of the last instruction. */
  note(b: Body, code: Value, eip: Value, linear?: Value): void {
    const segments = this.state + FIELDS.segments.offset;
    b.store(OP.i64Store, i32(0), this.state + FIELDS.fpuIp.offset, eip);
    this.set(b, FIELDS.fpuOpcode, code.shrU(16).and(0x7ff));
    const cs = b.load(OP.i32Load, i32(0), segments + CS * FIELDS.segments.stride + SEGMENT.selector);
    this.set(b, FIELDS.fpuIpSelector, cs);
    if (!linear) return;
    const segment = b.let(code.shrU(3).and(7 * FIELDS.segments.stride));
    const relative = b.let(linear.sub(b.load(OP.i64Load, segment, segments + SEGMENT.base)));
    // In 64-bit code FS and GS alone have a base.
    const long = segment.geU(FS * FIELDS.segments.stride).select(relative, linear);
    this.noteOffset(b, code, this.get(b, FIELDS.long).select(long, relative.and(0xffff_ffffn)));
  }
  /** Pointer to the operand: selector and offset. */
  noteOffset(b: Body, code: Value, offset: Value): void {
    const segments = this.state + FIELDS.segments.offset;
    b.store(OP.i64Store, i32(0), this.state + FIELDS.fpuDp.offset, offset);
    this.set(b, FIELDS.fpuDpSelector, b.load(OP.i32Load, code.shrU(3).and(7 << 5), segments + SEGMENT.selector));
  }

  /** 1 for numbers that are neither zero, denormal, infinite nor anything worse. */
  isNormal({ top, mantissa }: Parts): Value {
    return top.and(EXPONENT).sub(1).ltU(0x7ffe).and(mantissa.shrU(63).narrow());
  }
  isZero({ top, mantissa }: Parts): Value {
    return top.and(EXPONENT).wideU().or(mantissa).eqz();
  }

  /** Last step of an operation: rounds a normalised number (`ext`: the 64 bits that follow the mantissa, the last one sticky) into a
   *  register, with its flags, and returns. */
  settle(b: Body, physical: Value, sign: Value, exponent: Local, mantissa: Local, ext: Local): void {
    const control = this.get(b, FIELDS.fpuControl);
    b.unlikely(control.and(CONTROL).ne(DEFAULT), () => {
      b.if(b.call(this.roundSlowly!, physical, sign, exponent, mantissa, ext), () => b.return(1));
      this.done(b);
    });
    const isInexact = b.let(ext.eqz().eqz());
    b.unlikely(control.and(PE).eqz().and(isInexact), () => b.return(1));
    const isOdd = mantissa.narrow().and(1);
    const up = b.let(ext.shrU(63).narrow().and(ext.shl(1).eqz().eqz().or(isOdd)));
    mantissa.set(mantissa.add(up.wideU()));
    b.unlikely(mantissa.eqz(), () => {
      mantissa.set(ONE);
      exponent.set(exponent.add(1));
    });
    this.deliver(b, physical, sign, exponent, mantissa, isInexact, up);
  }
  private deliver(
    b: Body,
    physical: Value,
    sign: Value,
    exponent: Value,
    mantissa: Value,
    isInexact: Value,
    up: Value,
  ): void {
    b.unlikely(exponent.sub(1).geU(0x7ffe), () => b.return(1));
    this.write(b, physical, sign.or(exponent), mantissa);
    const status = this.get(b, FIELDS.fpuStatus).and(~C1);
    this.set(b, FIELDS.fpuStatus, status.or(isInexact.shl(5)).or(up.shl(9)));
    this.done(b);
  }
  /** Body of `roundSlowly`. */
  writeRoundSlowly(b: Body, physical: Local, sign: Local, exponent: Local, mantissa: Local, ext: Local): void {
    const control = this.get(b, FIELDS.fpuControl);
    const precision = control.and(0x300);
    const drop = b.let(precision.eqz().select(i32(40), precision.eq(0x200).select(i32(11), 0)));
    const rest = b.let(ext);
    const unit = b.let(i64(1).shl(drop));
    b.if(drop, () => {
      rest.set(mantissa.shl(i32(64).sub(drop)).or(ext.eqz().eqz().wideU()));
      mantissa.set(mantissa.and(unit.neg()));
    });
    const isOdd = mantissa.and(unit).eqz().eqz();
    const up = this.roundsUp(b, control, sign, rest, isOdd);
    const isInexact = b.let(rest.eqz().eqz());
    b.unlikely(control.and(PE).eqz().and(isInexact), () => b.return(1));
    b.if(up, () => {
      mantissa.set(mantissa.add(unit));
      b.if(mantissa.eqz(), () => {
        mantissa.set(ONE);
        exponent.set(exponent.add(1));
      });
    });
    this.deliver(b, physical, sign, exponent, mantissa, isInexact, up);
    b.result(i32(0));
  }
  /** Whether the rounding control asks for the next greater magnitude, given the bits that are lost. */
  roundsUp(b: Body, control: Value, sign: Value, rest: Value, isOdd: Value): Local {
    const mode = b.let(control.and(0xc00));
    const up = b.let(rest.shrU(63).narrow().and(rest.shl(1).eqz().eqz().or(isOdd)));
    b.unlikely(mode, () => {
      const isAway = mode.eq(0x400).eq(sign.eqz().eqz()).and(mode.ne(0xc00));
      up.set(rest.eqz().eqz().and(isAway));
    });
    return up;
  }
  /** A value known to be 0 or 1 as a variable. */
  zero(b: Body, physical: Value, sign: Value): void {
    this.write(b, physical, sign, i64(0));
    this.clearC1(b);
  }
}

/** Sign and exponent of an integer's magnitude with `zeros` leading zeros in 64 bits. */
export function integerTop(sign: Value, zeros: Value): Value {
  return sign.or(i32(BIAS + 63).sub(zeros));
}
export const ROUND_SLOWLY = [I32, I32, I32, I64, I64] as const;
