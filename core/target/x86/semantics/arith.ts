/** Addition, subtraction, comparison, multiplication, division, BCD. */

import { VECTOR } from '../fault.ts';
import { EAX, EDX } from '../state.ts';
import { aluForms, instruction, type Operand, type Ops } from './ops.ts';

function addWithCarry<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, carryIn: V | null): void {
  const a = dst.modify();
  const b = src.load();
  const sum = carryIn === null ? o.add(a, b) : o.add(o.add(a, b), carryIn);
  dst.store(sum);
  o.commitFlags(sum, () => carryVector(o, a, b, sum), dst.width, carryIn === null ? { op: 'add', a, b } : undefined);
}
/** Bit i: carry out of bit i of a + b. */
function carryVector<V>(o: Ops<V>, a: V, b: V, sum: V): V {
  return o.or(o.and(a, b), o.and(o.or(a, b), o.not(sum)));
}
function subtract<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, borrowIn: V | null): void {
  const a = dst.modify();
  const b = src.load();
  const difference = borrowIn === null ? o.sub(a, b) : o.sub(o.sub(a, b), borrowIn);
  dst.store(difference);
  const source = borrowIn === null ? ({ op: 'sub', a, b } as const) : undefined;
  o.commitFlags(difference, () => borrowVector(o, a, b, difference), dst.width, source);
}
/** Bit i: borrow out of bit i of a - b. */
function borrowVector<V>(o: Ops<V>, a: V, b: V, difference: V): V {
  const notA = o.not(a);
  return o.or(o.and(notA, b), o.and(o.or(notA, b), difference));
}
function compare<V>(o: Ops<V>, a: V, b: V, width: Operand<V>['width']): void {
  const difference = o.sub(a, b);
  o.commitFlags(difference, () => borrowVector(o, a, b, difference), width, { op: 'sub', a, b });
}

export const ARITH = [
  instruction({
    name: 'add',
    encodings: aluForms(0x00, 0),
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => addWithCarry(o, dst, src, null),
  }),
  instruction({
    name: 'adc',
    encodings: aluForms(0x10, 2),
    readsFlags: 'C',
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => addWithCarry(o, dst, src, o.flag('C')),
  }),
  // Two chains of carries that do not disturb each other.
  ...(['adcx', 'adox'] as const).map((name) =>
    instruction({
      name,
      encodings: [`${name === 'adcx' ? '66' : 'f3'} 0f 38 f6 Gy,Ey`],
      readsFlags: name === 'adcx' ? 'C' : 'O',
      writesFlags: name === 'adcx' ? 'C' : 'O',
      semantics: <V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>) => {
        const carryIn = o.flag(name === 'adcx' ? 'C' : 'O');
        const a = dst.load();
        const b = src.load();
        let sum: V;
        let carry: V;
        if (dst.width === 64) {
          sum = o.add(o.add(a, b), o.wideU(carryIn));
          carry = o.shrU(carryVector(o, a, b, sum), 63);
        } else {
          const wide = o.add(o.add(o.wideU(a), o.wideU(b)), o.wideU(carryIn));
          carry = o.narrow(o.shrU(wide, 32));
          sum = o.narrow(wide);
        }
        const [c, v] = name === 'adcx' ? [carry, o.flag('O')] : [o.flag('C'), carry];
        dst.store(sum);
        o.commitCarryOverflow(c, v);
      },
    }),
  ),
  instruction({
    name: 'sub',
    encodings: aluForms(0x28, 5),
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => subtract(o, dst, src, null),
  }),
  instruction({
    name: 'sbb',
    encodings: aluForms(0x18, 3),
    readsFlags: 'C',
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => subtract(o, dst, src, o.flag('C')),
  }),
  instruction({
    name: 'cmp',
    encodings: aluForms(0x38, 7),
    dst: 'r',
    writesFlags: 'OSZAPC',
    semantics: (o, dst, src) => compare(o, dst.load(), src.load(), dst.width),
  }),
  instruction({
    name: 'inc',
    encodings: ['40+ Zv', 'fe /0 Eb', 'ff /0 Ev'],
    writesFlags: 'OSZAP',
    lockable: true,
    semantics: (o, dst) => {
      const a = dst.modify();
      const sum = o.add(a, o.const(1));
      dst.store(sum);
      o.commitFlagsExceptCarry(sum, () => o.and(a, o.not(sum)), dst.width, 'inc');
    },
  }),
  instruction({
    name: 'dec',
    encodings: ['48+ Zv', 'fe /1 Eb', 'ff /1 Ev'],
    writesFlags: 'OSZAP',
    lockable: true,
    semantics: (o, dst) => {
      const a = dst.modify();
      const difference = o.sub(a, o.const(1));
      dst.store(difference);
      o.commitFlagsExceptCarry(difference, () => o.and(o.not(a), difference), dst.width, 'dec');
    },
  }),
  instruction({
    name: 'neg',
    encodings: ['f6 /3 Eb', 'f7 /3 Ev'],
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst) => {
      const a = dst.modify();
      const negated = o.sub(o.const(0), a);
      dst.store(negated);
      o.commitFlags(negated, () => o.or(a, negated), dst.width, { op: 'sub', a: o.const(0), b: a });
    },
  }),
  instruction({
    name: 'xadd',
    encodings: ['0f c0 Eb,Gb', '0f c1 Ev,Gv'],
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => {
      const a = dst.modify();
      const b = src.load();
      const sum = o.add(a, b);
      if (dst.kind === 'r') {
        src.store(a);
        dst.store(sum);
      } else {
        dst.store(sum);
        src.store(a);
      }
      o.commitFlags(sum, () => carryVector(o, a, b, sum), dst.width, { op: 'add', a, b });
    },
  }),
  instruction({
    name: 'cmpxchg',
    encodings: ['0f b0 Eb,Gb', '0f b1 Ev,Gv'],
    writesFlags: 'OSZAPC',
    lockable: true,
    semantics: (o, dst, src) => {
      const accumulator = o.reg(EAX, dst.width);
      const old = dst.modify();
      const expected = accumulator.load();
      const isEqual = o.eq(old, expected);
      const fresh = src.load();
      // Memory is always written; the accumulator takes the old value only when they differ.
      const exchange = () => dst.store(fresh);
      const refuse = () => accumulator.store(old);
      if (o.form.long && dst.kind === 'r' && dst.width === 32) o.when(isEqual, exchange, refuse);
      else {
        dst.store(o.select(isEqual, fresh, old));
        o.when(o.eqz(isEqual), refuse);
      }
      compare(o, expected, old, dst.width);
    },
  }),
  instruction({
    name: 'mul',
    encodings: ['f6 /4 Eb', 'f7 /4 Ev'],
    dst: 'r',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'SZAP',
    semantics: (o, src) => multiplyAccumulator(o, src, false),
  }),
  instruction({
    name: 'imul1',
    encodings: ['f6 /5 Eb', 'f7 /5 Ev'],
    dst: 'r',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'SZAP',
    semantics: (o, src) => multiplyAccumulator(o, src, true),
  }),
  instruction({
    name: 'imul',
    encodings: ['0f af Gv,Ev'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'SZAP',
    semantics: (o, dst, src) => multiplySigned(o, dst, dst.load(), src.load()),
  }),
  instruction({
    name: 'imul3',
    encodings: ['69 Gv,Ev,Iz', '6b Gv,Ev,sIb'],
    dst: 'w',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'SZAP',
    semantics: (o, dst, src, factor) => multiplySigned(o, dst, src.load(), factor.load()),
  }),
  instruction({
    name: 'div',
    encodings: ['f6 /6 Eb', 'f7 /6 Ev'],
    dst: 'r',
    writesFlags: '',
    undefinedFlags: 'OSZAPC',
    semantics: (o, src) => divide(o, src, false),
  }),
  instruction({
    name: 'idiv',
    encodings: ['f6 /7 Eb', 'f7 /7 Ev'],
    dst: 'r',
    writesFlags: '',
    undefinedFlags: 'OSZAPC',
    semantics: (o, src) => divide(o, src, true),
  }),
  instruction({
    name: 'daa',
    encodings: ['27'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'O',
    semantics: (o) => void o.call('daa'),
  }),
  instruction({
    name: 'das',
    encodings: ['2f'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'O',
    semantics: (o) => void o.call('das'),
  }),
  instruction({
    name: 'aaa',
    encodings: ['37'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OSZP',
    semantics: (o) => void o.call('aaa'),
  }),
  instruction({
    name: 'aas',
    encodings: ['3f'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OSZP',
    semantics: (o) => void o.call('aas'),
  }),
  instruction({
    name: 'aam',
    encodings: ['d4 Ib'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OAC',
    semantics: (o, base) => void o.call('aam', base.load()),
  }),
  instruction({
    name: 'aad',
    encodings: ['d5 Ib'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OAC',
    semantics: (o, base) => void o.call('aad', base.load()),
  }),
  instruction({
    name: 'cbw',
    encodings: ['98'],
    variants: ['opSize'],
    semantics: (o) => {
      const from = o.form.opSize === 16 ? 8 : o.form.opSize === 32 ? 16 : 32;
      const value = o.signExtend(o.reg(EAX, from).load(), from);
      o.reg(EAX, o.form.opSize).store(from === 32 ? o.wideS(value) : value);
    },
  }),
  instruction({
    name: 'cwd',
    encodings: ['99'],
    variants: ['opSize'],
    semantics: (o) => {
      const width = o.form.opSize;
      o.reg(EDX, width).store(o.shrS(o.signExtend(o.reg(EAX, width).load(), width), width === 64 ? 63 : 31));
    },
  }),
];

/** Upper 64 bits of an unsigned product, from the products of halves. */
function highProduct<V>(o: Ops<V>, a: V, b: V): V {
  const low = (v: V) => o.zeroExtend(v, 32);
  const high = (v: V) => o.shrU(v, 32);
  const middle = o.add(o.mul(high(a), low(b)), high(o.mul(low(a), low(b))));
  const other = o.add(o.mul(low(a), high(b)), low(middle));
  return o.add(o.add(o.mul(high(a), high(b)), high(middle)), high(other));
}
function highSigned<V>(o: Ops<V>, a: V, b: V): V {
  const correction = o.add(o.and(o.shrS(a, 63), b), o.and(o.shrS(b, 63), a));
  return o.sub(highProduct(o, a, b), correction);
}

/** AX, DX:AX, EDX:EAX or RDX:RAX = accumulator * source. */
function multiplyAccumulator<V>(o: Ops<V>, src: Operand<V>, isSigned: boolean): void {
  const { width } = src;
  const extend = (v: V) => (isSigned ? o.signExtend(v, width) : v);
  const a = extend(o.reg(EAX, width).load());
  const b = extend(src.load());
  if (width === 64) {
    const low = o.mul(a, b);
    const high = isSigned ? highSigned(o, a, b) : highProduct(o, a, b);
    const lost = o.ne(high, isSigned ? o.shrS(low, 63) : o.wideU(o.const(0)));
    o.reg(EAX, 64).store(low);
    o.reg(EDX, 64).store(high);
    o.commitResultFlags(low, 64, lost, lost);
    return;
  }
  if (width === 32) {
    const product = isSigned ? o.mul(o.wideS(a), o.wideS(b)) : o.mul(o.wideU(a), o.wideU(b));
    const low = o.narrow(product);
    const high = o.narrow(o.shrU(product, 32));
    const lost = o.ne(high, isSigned ? o.shrS(low, 31) : o.const(0));
    o.reg(EAX, 32).store(low);
    o.reg(EDX, 32).store(high);
    o.commitResultFlags(low, 32, lost, lost);
    return;
  }
  const product = o.mul(a, b);
  const low = isSigned ? o.signExtend(product, width) : o.zeroExtend(product, width);
  const lost = o.ne(low, product);
  if (width === 8) {
    o.reg(EAX, 16).store(product);
  } else {
    o.reg(EAX, 16).store(product);
    o.reg(EDX, 16).store(o.shrU(product, 16));
  }
  o.commitResultFlags(low, width, lost, lost);
}

function multiplySigned<V>(o: Ops<V>, dst: Operand<V>, left: V, right: V): void {
  const { width } = dst;
  const a = o.signExtend(left, width);
  const b = o.signExtend(right, width);
  if (width === 64) {
    const low = o.mul(a, b);
    const lost = o.ne(highSigned(o, a, b), o.shrS(low, 63));
    dst.store(low);
    o.commitResultFlags(low, 64, lost, lost);
    return;
  }
  if (width === 32) {
    const product = o.mul(o.wideS(a), o.wideS(b));
    const low = o.narrow(product);
    const lost = o.ne(o.narrow(o.shrU(product, 32)), o.shrS(low, 31));
    dst.store(low);
    o.commitResultFlags(low, 32, lost, lost);
    return;
  }
  const product = o.mul(a, b);
  const lost = o.ne(o.signExtend(product, width), product);
  dst.store(product);
  o.commitResultFlags(product, width, lost, lost);
}

/** Quotient and remainder of the double-width accumulator; #DE when the quotient does not fit. */
function divide<V>(o: Ops<V>, src: Operand<V>, isSigned: boolean): void {
  const { width } = src;
  const divisor = isSigned ? o.signExtend(src.load(), width) : src.load();
  o.when(o.eqz(divisor), () => o.raise(VECTOR.DE));
  if (width === 64) {
    divideLong(o, divisor, isSigned);
    return;
  }
  // Everything is done in 64 bits; 32-bit operands need them, smaller ones do not mind.
  const low = o.reg(EAX, width === 8 ? 16 : width).load();
  let dividend: V;
  if (width === 8) dividend = isSigned ? o.wideS(o.signExtend(low, 16)) : o.wideU(low);
  else {
    const high = o.reg(EDX, width).load();
    if (width === 16) {
      const joined = o.or(o.shl(high, 16), low);
      dividend = isSigned ? o.wideS(joined) : o.wideU(joined);
    } else dividend = o.or(o.shl(o.wideU(high), 32), o.wideU(low));
  }
  const by = isSigned ? o.wideS(divisor) : o.wideU(divisor);
  if (isSigned) {
    // The most negative dividend by -1 would trap; its quotient never fits.
    const isMost = o.eqz(o.shl(dividend, 1));
    const isNegative = o.ne(o.narrow(o.shrU(dividend, 63)), o.const(0));
    o.when(o.and(o.and(isMost, isNegative), o.eq(divisor, o.const(-1))), () => o.raise(VECTOR.DE));
  }
  const quotient = isSigned ? o.divS(dividend, by) : o.divU(dividend, by);
  const remainder = isSigned ? o.remS(dividend, by) : o.remU(dividend, by);
  const fits = isSigned ? o.eq(o.signExtend(quotient, width), quotient) : o.eqz(o.shrU(quotient, width));
  o.when(o.eqz(fits), () => o.raise(VECTOR.DE));
  const q = o.narrow(quotient);
  const r = o.narrow(remainder);
  if (width === 8) o.reg(EAX, 16).store(o.or(o.and(q, o.const(0xff)), o.shl(o.and(r, o.const(0xff)), 8)));
  else {
    o.reg(EAX, width).store(q);
    o.reg(EDX, width).store(r);
  }
}
/** RDX:RAX by 64 bits: mostly RDX only extends RAX; the rest is a helper's. */
function divideLong<V>(o: Ops<V>, divisor: V, isSigned: boolean): void {
  const low = o.reg(EAX, 64).load();
  const high = o.reg(EDX, 64).load();
  const isShort = o.eq(high, isSigned ? o.shrS(low, 63) : o.wideU(o.const(0)));
  // The most negative number by -1 would trap here; the helper raises #DE.
  const isPlain = isSigned ? o.and(isShort, o.ne(divisor, o.wideS(o.const(-1)))) : isShort;
  o.when(
    isPlain,
    () => {
      const remainder = isSigned ? o.remS(low, divisor) : o.remU(low, divisor);
      o.reg(EAX, 64).store(isSigned ? o.divS(low, divisor) : o.divU(low, divisor));
      o.reg(EDX, 64).store(remainder);
    },
    () => void o.call(isSigned ? 'divideSigned128' : 'divide128', divisor),
  );
}
