/** The native x87 functions: names and signatures in semantics/natives.ts. */
import {
  type Body,
  type Callee,
  defineFunction,
  i32,
  i64,
  type Local,
  type Value,
} from '../../../../wasm/expressions.ts';
import { I32, I64 } from '../../../../wasm/opcodes.ts';
import type { ModuleWriter } from '../../../../wasm/writer.ts';
import { NATIVES, X87_ARITHMETIC } from '../../semantics/natives.ts';
import { FIELDS } from '../../state.ts';
import { BIAS } from '../float80.ts';
import { product, quotient, relation, remainder, root, sum } from './arithmetic.ts';
import { fromFloat, fromInteger, roundToInteger, scale, toFloat, toInteger } from './convert.ts';
import { arcTangent, logarithm, powerMinusOne, sineAndCosine } from './transcendental.ts';
import { EXPONENT, ONE, type Parts, ROUND_SLOWLY, SIGN, Unit } from './unit.ts';

/** Constants: exponent, mantissa and the bits that follow it. */
const CONSTANTS: Readonly<Record<string, readonly [exponent: number, mantissa: bigint, isNextHigh: boolean]>> = {
  fldl2t: [BIAS + 1, 0xd49a_784b_cd1b_8afen, false],
  fldl2e: [BIAS, 0xb8aa_3b29_5c17_f0bbn, true],
  fldpi: [BIAS + 1, 0xc90f_daa2_2168_c234n, true],
  fldlg2: [BIAS - 2, 0x9a20_9a84_fbcf_f798n, true],
  fldln2: [BIAS - 1, 0xb172_17f7_d1cf_79abn, true],
};

/** Adds the transcendental functions; `tables`: address of `transcendentalTables`. */
export function defineX87Transcendental(module: ModuleWriter, state: number, tables: number): void {
  const u = new Unit(state);
  const functions: Readonly<Record<string, (b: Body) => void>> = {
    fsin: (b) => sineAndCosine(b, u, 'sine'),
    fcos: (b) => sineAndCosine(b, u, 'cosine'),
    fsincos: (b) => sineAndCosine(b, u, 'both'),
    fpatan: (b) => arcTangent(b, u, tables),
    fyl2x: (b) => logarithm(b, u, tables),
    f2xm1: (b) => powerMinusOne(b, u, tables),
  };
  for (const [name, write] of Object.entries(functions)) {
    const { params, result } = NATIVES[name]!;
    const body = (b: Body, code: Local, eip: Local) => {
      u.enter(b);
      write(b);
      u.note(b, code, eip);
      b.result(i32(0));
    };
    defineFunction(module, params, result, (b, code, eip) => body(b, code!, eip!), name);
  }
}

/** Adds all other functions to a module for the CPU whose state is at `state`. */
export function defineX87(module: ModuleWriter, state: number): void {
  const u = new Unit(state);
  const define = (name: string, write: (b: Body, ...params: Local[]) => void) => {
    const { params, result } = NATIVES[name]!;
    defineFunction(module, params, result, write, name);
  };
  u.roundSlowly = defineFunction(module, ROUND_SLOWLY, I32, (b, physical, sign, exponent, mantissa, ext) =>
    u.writeRoundSlowly(b, physical!, sign!, exponent!, mantissa!, ext!),
  );
  const finish = (b: Body, code: Local, eip: Local, linear?: Local) => {
    u.note(b, code, eip, linear);
    b.result(i32(0));
  };

  // -- arithmetic ----------------------------------------------------------------------------------------------------

  const operation = (write: typeof sum): Callee =>
    defineFunction(module, [I32, I64, I32, I64, I32], I32, (b, xt, x, yt, y, to) => write(b, u, xt!, x!, yt!, y!, to!));
  const addition = { write: sum, callee: operation(sum) };
  const multiplication = { write: product, callee: operation(product) };
  const division = { write: null, callee: operation(quotient) };
  const operations = {
    add: addition,
    sub: addition,
    subr: addition,
    mul: multiplication,
    div: division,
    divr: division,
  };
  for (const name of X87_ARITHMETIC) {
    const isSwapped = name === 'subr' || name === 'divr';
    /** ST0 op y into a register; refused answers go on to the caller. */
    const { write, callee } = operations[name];
    const apply = (b: Body, x: Parts, y: Parts, to: Local, isFrequent: boolean) => {
      const [first, second] = isSwapped ? [y, x] : [x, y];
      const secondTop = b.let(name.startsWith('sub') ? second.top.xor(SIGN) : second.top);
      // A call would cost the quick ones a tenth.
      if (write && isFrequent) {
        u.inline(b, () => write(b, u, first.top, first.mantissa, secondTop, second.mantissa, to));
        return;
      }
      const refused = b.call(callee, first.top, first.mantissa, secondTop, second.mantissa, to);
      b.unlikely(refused, () => b.return(1));
    };
    for (const form of ['', 'To', 'p'])
      define(`f${name}${form}`, (b, code, eip) => {
        u.enter(b);
        const first = u.physical(b, 0);
        const other = u.physical(b, u.index(code!));
        u.requireUsed(b, first, other);
        apply(b, u.parts(b, first), u.parts(b, other), form === '' ? first : other, form !== 'To');
        if (form === 'p') u.pop(b);
        finish(b, code!, eip!);
      });
    const fromMemory = (form: string, read: (b: Body, value: Local) => Parts) =>
      define(form, (b, value, code, eip, linear) => {
        const y = read(b, value!);
        const first = u.physical(b, 0);
        u.requireUsed(b, first);
        apply(b, u.parts(b, first), y, first, form.endsWith('64'));
        finish(b, code!, eip!, linear!);
      });
    fromMemory(`f${name}32`, fromFloat);
    fromMemory(`f${name}64`, fromFloat);
    fromMemory(`fi${name}`, fromInteger);
  }
  const squareRoot = defineFunction(module, [I32, I64, I32], I32, (b, top, mantissa, to) =>
    root(b, u, top!, mantissa!, to!),
  );
  /** An instruction without operand in memory that works on ST0. */
  const onTop = (name: string, write: (b: Body, first: Local, x: Parts) => void) =>
    define(name, (b, code, eip) => {
      u.enter(b);
      const first = u.physical(b, 0);
      u.requireUsed(b, first);
      write(b, first, u.parts(b, first));
      finish(b, code!, eip!);
    });
  onTop('fsqrt', (b, first, { top, mantissa }) =>
    b.unlikely(b.call(squareRoot, top, mantissa, first), () => b.return(1)),
  );
  onTop('fchs', (b, first, { top, mantissa }) => {
    u.write(b, first, top.xor(SIGN), mantissa);
    u.clearC1(b);
  });
  onTop('fabs', (b, first, { top, mantissa }) => {
    u.write(b, first, top.and(EXPONENT), mantissa);
    u.clearC1(b);
  });
  const toWhole = defineFunction(module, [], I32, (b) => roundToInteger(b, u));
  define('frndint', (b, code, eip) => {
    u.enter(b);
    b.unlikely(b.call(toWhole), () => b.return(1));
    finish(b, code!, eip!);
  });
  for (const [name, write] of [
    ['fscale', scale],
    ['fprem', (b: Body) => remainder(b, u, false)],
    ['fprem1', (b: Body) => remainder(b, u, true)],
  ] as const)
    define(name, (b, code, eip) => {
      u.enter(b);
      write(b, u);
      finish(b, code!, eip!);
    });

  // -- comparison ----------------------------------------------------------------------------------------------------

  const order = defineFunction(module, [I32, I64, I32, I64], I32, (b, xt, x, yt, y) =>
    b.result(relation(b, u, { top: xt!, mantissa: x! }, { top: yt!, mantissa: y! }, () => b.return(-1))),
  );
  const compare = (b: Body, x: Parts, y: Parts, refused = 1): Local => {
    const answer = b.call(order, x.top, x.mantissa, y.top, y.mantissa);
    b.unlikely(answer.ltS(0), () => b.return(refused));
    return answer;
  };
  for (const [name, pops] of [
    ['fcom', 0],
    ['fcomp', 1],
    ['fcompp', 2],
  ] as const) {
    define(name, (b, code, eip) => {
      u.enter(b);
      const first = u.physical(b, 0);
      const other = u.physical(b, u.index(code!));
      u.requireUsed(b, first, other);
      u.conditions(b, compare(b, u.parts(b, first), u.parts(b, other)));
      for (let n = 0; n < pops; n++) u.pop(b);
      finish(b, code!, eip!);
    });
    if (pops === 2) continue;
    const fromMemory = (suffix: string, read: (b: Body, value: Local) => Parts) =>
      define(suffix, (b, value, code, eip, linear) => {
        const y = read(b, value!);
        const first = u.physical(b, 0);
        u.requireUsed(b, first);
        u.conditions(b, compare(b, u.parts(b, first), y));
        if (pops) u.pop(b);
        finish(b, code!, eip!, linear!);
      });
    fromMemory(`${name}32`, fromFloat);
    fromMemory(`${name}64`, fromFloat);
    fromMemory(name.replace('f', 'fi'), fromInteger);
    define(name.replace('com', 'comi'), (b, code, eip) => {
      u.enter(b, -1);
      const first = u.physical(b, 0);
      const other = u.physical(b, u.index(code!));
      u.requireUsedOr(b, () => b.return(-1), first, other);
      const answer = compare(b, u.parts(b, first), u.parts(b, other), -1);
      if (pops) u.pop(b);
      u.note(b, code!, eip!);
      b.result(answer);
    });
  }
  onTop('ftst', (b, _first, x) => {
    const zero = { top: b.let(i32(0)), mantissa: b.let(i64(0)) };
    u.conditions(b, compare(b, x, zero));
  });
  define('fxam', (b, code, eip) => {
    u.enter(b);
    const first = u.physical(b, 0);
    const x = u.parts(b, first);
    const exponent = x.top.and(EXPONENT);
    const isEmpty = u.get(b, FIELDS.fpuEmpty).shrU(first).and(1);
    const isSmall = x.mantissa.eqz().select(i32(0x40), 0x44);
    const isBig = x.mantissa.eq(ONE).select(i32(0x05), 0x01);
    const numbers = x.mantissa.ltS(0).select(exponent.eq(EXPONENT).select(isBig, 0x04), 0);
    const answer = isEmpty.select(i32(0x41), exponent.eqz().select(isSmall, numbers));
    u.conditions(b, answer.or(x.top.shrU(14).and(2)));
    finish(b, code!, eip!);
  });

  // -- registers and constants ---------------------------------------------------------------------------------------

  define('fxch', (b, code, eip) => {
    u.enter(b);
    const first = u.physical(b, 0);
    const other = u.physical(b, u.index(code!));
    u.requireUsed(b, first, other);
    const x = u.parts(b, first);
    const y = u.parts(b, other);
    u.write(b, first, y.top, y.mantissa);
    u.write(b, other, x.top, x.mantissa);
    u.clearC1(b);
    finish(b, code!, eip!);
  });
  define('fld', (b, code, eip) => {
    u.enter(b);
    const other = u.physical(b, u.index(code!));
    u.requireUsed(b, other);
    const { top, mantissa } = u.parts(b, other);
    u.push(b, top, mantissa);
    finish(b, code!, eip!);
  });
  for (const name of ['fst', 'fstp'])
    define(name, (b, code, eip) => {
      u.enter(b);
      const first = u.physical(b, 0);
      const other = u.physical(b, u.index(code!));
      u.requireUsed(b, first);
      const { top, mantissa } = u.parts(b, first);
      u.write(b, other, top, mantissa);
      u.markUsed(b, other);
      u.clearC1(b);
      if (name === 'fstp') u.pop(b);
      finish(b, code!, eip!);
    });
  define('fcmov', (b, condition, code, eip) => {
    u.enter(b);
    const first = u.physical(b, 0);
    const other = u.physical(b, u.index(code!));
    u.requireUsed(b, first, other);
    b.if(condition!, () => {
      const { top, mantissa } = u.parts(b, other);
      u.write(b, first, top, mantissa);
    });
    finish(b, code!, eip!);
  });
  const constant = (name: string, top: number, mantissa: (b: Body) => Value) =>
    define(name, (b, code, eip) => {
      u.enter(b);
      u.push(b, i32(top), mantissa(b));
      finish(b, code!, eip!);
    });
  constant('fld1', BIAS, () => i64(ONE));
  constant('fldz', 0, () => i64(0));
  for (const [name, [exponent, mantissa, isNextHigh]] of Object.entries(CONSTANTS))
    constant(name, exponent, (b) => {
      // Up, or to nearest when what follows asks for it.
      const mode = u.get(b, FIELDS.fpuControl).and(0xc00);
      const isUp = isNextHigh ? mode.eq(0x800).or(mode.eqz()) : mode.eq(0x800);
      return i64(mantissa).add(isUp.wideU());
    });

  // -- memory --------------------------------------------------------------------------------------------------------

  const load = (name: string, read: (b: Body, value: Local) => Parts) =>
    define(name, (b, value, code, eip, linear) => {
      const { top, mantissa } = read(b, value!);
      u.push(b, top, mantissa);
      finish(b, code!, eip!, linear!);
    });
  load('fld32', fromFloat);
  load('fld64', fromFloat);
  load('fild', fromInteger);
  load('fild64', fromInteger);
  define('fld80', (b, mantissa, top, code, eip, offset) => {
    u.push(b, top!, mantissa!);
    u.noteOffset(b, code!, offset!);
    finish(b, code!, eip!);
  });
  define('x87ToSingle', (b) => toFloat(b, u, 'single'));
  define('x87ToDouble', (b) => toFloat(b, u, 'double'));
  define('x87ToMantissa', (b) => {
    u.set(b, FIELDS.fpuOutcome, i32(-1));
    const first = u.physical(b, 0);
    u.requireUsedOr(b, () => b.return(i64(0)), first);
    const { top, mantissa } = u.parts(b, first);
    u.set(b, FIELDS.fpuStored, top);
    u.set(b, FIELDS.fpuOutcome, i32(0));
    b.result(mantissa);
  });
  for (const bits of [16, 32, 64]) {
    define(`x87ToInt${bits}`, (b) => toInteger(b, u, bits, false));
    define(`x87CutInt${bits}`, (b) => toInteger(b, u, bits, true));
  }
  define('x87Stored', (b, pops, code, eip, linear) => {
    const status = u.get(b, FIELDS.fpuStatus).and(~0x200);
    u.set(b, FIELDS.fpuStatus, status.or(u.get(b, FIELDS.fpuOutcome)));
    b.if(pops!, () => u.pop(b));
    finish(b, code!, eip!, linear!);
  });
  define('x87Stored80', (b, code, eip, offset) => {
    u.clearC1(b);
    u.pop(b);
    u.noteOffset(b, code!, offset!);
    finish(b, code!, eip!);
  });
  define('fldcw', (b, value) => {
    const control = b.let(value!.and(0x1f3f).or(0x40));
    u.set(b, FIELDS.fpuControl, control);
    // The summary follows flags and masks.
    const status = u.get(b, FIELDS.fpuStatus);
    const isPending = status.and(control.not()).and(0x3f);
    u.set(b, FIELDS.fpuStatus, isPending.select(status.or(0x8080), status.and(~0x8080)));
    b.result(i32(0));
  });
}
