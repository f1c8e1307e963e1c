/** Boolean operations, shifts, rotates, bit tests and scans. */
import { aluForms, instruction, type Operand, type Ops } from './ops.ts';

type Binary = 'and' | 'or' | 'xor';
function logic<V>(o: Ops<V>, name: Binary, dst: Operand<V>, src: Operand<V>): void {
  const result = o[name](dst.modify(), src.load());
  dst.store(result);
  o.commitLogicFlags(result, dst.width);
}
const logicInstruction = (name: Binary, base: number, digit: number) =>
  instruction({
    name,
    encodings: aluForms(base, digit),
    writesFlags: 'OSZAPC',
    undefinedFlags: 'A',
    lockable: true,
    semantics: (o, dst, src) => logic(o, name, dst, src),
  });

const SHIFT_FORMS = (digit: number) => [
  `c0 /${digit} Eb,Ib`,
  `c1 /${digit} Ev,Ib`,
  `d0 /${digit} Eb,1`,
  `d1 /${digit} Ev,1`,
  `d2 /${digit} Eb,CL`,
  `d3 /${digit} Ev,CL`,
];

/** Shift counts have five bits, of 64-bit operands six. */
const countMask = (width: number) => (width === 64 ? 63 : 31);
/** In 64-bit code a register of 32 bits is written, and its upper half cleared, even by what leaves its value alone. */
function rewritten<V>(o: Ops<V>, dst: Operand<V>, value: V): (() => void) | undefined {
  return o.form.long && dst.kind === 'r' && dst.width === 32 ? () => dst.store(value) : undefined;
}
/** Runs `body` with the count unless it is 0, in which case a memory operand is still accessed and nothing changes. */
function counted<V>(o: Ops<V>, dst: Operand<V>, count: Operand<V>, body: (a: V, n: V) => void): void {
  const a = dst.modify();
  const n = o.and(count.load(), o.const(countMask(dst.width)));
  o.when(n, () => body(a, n), rewritten(o, dst, a));
}

type Semantics = <V>(o: Ops<V>, dst: Operand<V>, count: Operand<V>) => void;
const shl: Semantics = (o, dst, count) =>
  counted(o, dst, count, (a, n) => {
    const { width } = dst;
    const result = o.shl(a, n);
    // The last bit shifted out stands at bit `width` of the unlimited result.
    const last = width >= 32 ? o.shrU(a, o.sub(o.const(width), n)) : o.shrU(result, width);
    dst.store(result);
    o.commitShiftFlags(result, width, 'shl', last);
  });
const shr: Semantics = (o, dst, count) =>
  counted(o, dst, count, (a, n) => {
    const { width } = dst;
    const result = o.shrU(a, n);
    const last = o.shrU(a, o.sub(n, o.const(1)));
    dst.store(result);
    o.commitShiftFlags(result, width, 'shr', last);
  });
const sar: Semantics = (o, dst, count) =>
  counted(o, dst, count, (zero, n) => {
    const { width } = dst;
    const a = o.signExtend(zero, width);
    const result = o.shrS(a, n);
    const last = o.shrS(a, o.sub(n, o.const(1)));
    dst.store(result);
    o.commitShiftFlags(result, width, 'sar', last);
  });
/** ROL and ROR: the value is repeated to fill 32 bits, then rotated. */
const rotate =
  (isLeft: boolean): Semantics =>
  (o, dst, count) =>
    counted(o, dst, count, (a, n) => {
      const { width } = dst;
      let spread = a;
      if (width === 8) spread = o.mul(a, o.const(0x0101_0101));
      if (width === 16) spread = o.or(a, o.shl(a, 16));
      const result = isLeft ? o.rotl(spread, n) : o.rotr(spread, n);
      dst.store(result);
      const top = o.and(o.shrU(result, width - 1), o.const(1));
      if (isLeft) {
        const carry = o.and(result, o.const(1));
        o.commitCarryOverflow(carry, o.xor(carry, top));
      } else o.commitCarryOverflow(top, o.xor(top, o.and(o.shrU(result, width - 2), o.const(1))));
    });
/** RCL and RCR: rotation of width + 1 bits, done in 64 bits. */
const rotateThroughCarry =
  (isLeft: boolean): Semantics =>
  (o, dst, count) => {
    const { width } = dst;
    const a = dst.modify();
    if (width === 64) {
      rotateLongThroughCarry(o, dst, a, o.and(count.load(), o.const(63)), isLeft);
      return;
    }
    const masked = o.and(count.load(), o.const(31));
    const n = width === 32 ? masked : o.remU(masked, o.const(width + 1));
    const turn = () => {
      // carry:value as one number of width + 1 bits
      const joined = o.or(o.wideU(a), o.shl(o.wideU(o.flag('C')), width));
      const by = o.wideU(n);
      const back = o.sub(o.const(width + 1), n);
      const other = o.wideU(back);
      const turned = isLeft
        ? o.or(o.shl(joined, by), o.shrU(joined, other))
        : o.or(o.shrU(joined, by), o.shl(joined, other));
      const result = o.narrow(turned);
      const carry = o.and(o.narrow(o.shrU(turned, width)), o.const(1));
      dst.store(result);
      const top = o.and(o.shrU(result, width - 1), o.const(1));
      const next = o.and(o.shrU(result, width - 2), o.const(1));
      o.commitCarryOverflow(carry, isLeft ? o.xor(carry, top) : o.xor(top, next));
    };
    o.when(n, turn, rewritten(o, dst, a));
  };
/** 65 bits: the part that comes round is shifted twice, for a count of one moves it by 64. */
function rotateLongThroughCarry<V>(o: Ops<V>, dst: Operand<V>, a: V, n: V, isLeft: boolean): void {
  o.when(n, () => {
    const before = o.sub(n, o.const(1));
    const back = o.sub(o.const(64), n);
    const carryIn = o.wideU(o.flag('C'));
    const around = isLeft ? o.shrU(o.shrU(a, 1), back) : o.shl(o.shl(a, 1), back);
    const kept = isLeft ? o.shl(a, n) : o.shrU(a, n);
    const result = o.or(o.or(kept, around), o.shl(carryIn, isLeft ? before : back));
    const carry = o.and(o.shrU(a, isLeft ? back : before), o.wideU(o.const(1)));
    dst.store(result);
    const top = o.shrU(result, 63);
    const next = o.and(o.shrU(result, 62), o.wideU(o.const(1)));
    o.commitCarryOverflow(carry, isLeft ? o.xor(carry, top) : o.xor(top, next));
  });
}
const shiftInstruction = (name: string, digits: number[], semantics: Semantics, undefinedFlags: string) =>
  instruction({
    name,
    encodings: digits.flatMap(SHIFT_FORMS),
    writesFlags: 'OSZAPC',
    undefinedFlags,
    semantics,
  });

/** SHLD and SHRD. Counts above the width (16-bit only) are undefined: here the pair is shifted as hardware does. */
function doubleShift<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, count: Operand<V>, isLeft: boolean): void {
  const { width } = dst;
  const a = dst.modify();
  const b = src.load();
  const n = o.and(count.load(), o.const(countMask(width)));
  if (width === 64) {
    o.when(n, () => {
      const back = o.sub(o.const(64), n);
      const result = isLeft ? o.or(o.shl(a, n), o.shrU(b, back)) : o.or(o.shrU(a, n), o.shl(b, back));
      const last = o.shrU(a, isLeft ? back : o.sub(n, o.const(1)));
      dst.store(result);
      o.commitResultFlags(result, 64, o.and(last, o.wideU(o.const(1))), o.shrU(o.xor(result, a), 63));
    });
    return;
  }
  const shift = () => {
    let result: V;
    let carry: V;
    const wideN = o.wideU(n);
    if (isLeft) {
      // 16 bits: a:b:a in 48 bits, so that counts above 16 take bits of the destination again.
      const joined =
        width === 32
          ? o.or(o.shl(o.wideU(a), 32), o.wideU(b))
          : o.or(o.or(o.shl(o.wideU(a), 32), o.shl(o.wideU(b), 16)), o.wideU(a));
      const moved = o.shl(joined, wideN);
      result = o.narrow(o.shrU(moved, 32));
      carry =
        width === 32
          ? o.and(o.shrU(a, o.sub(o.const(32), n)), o.const(1))
          : o.and(o.narrow(o.shrU(moved, 48)), o.const(1));
    } else {
      const joined =
        width === 32
          ? o.or(o.shl(o.wideU(b), 32), o.wideU(a))
          : o.or(o.or(o.shl(o.wideU(a), 32), o.shl(o.wideU(b), 16)), o.wideU(a));
      result = o.narrow(o.shrU(joined, wideN));
      carry = o.and(o.narrow(o.shrU(joined, o.sub(wideN, o.wideU(o.const(1))))), o.const(1));
    }
    dst.store(result);
    const changed = o.and(o.shrU(o.xor(result, a), width - 1), o.const(1));
    o.commitResultFlags(result, width, carry, changed);
  };
  o.when(n, shift, rewritten(o, dst, a));
}

/** BT, BTS, BTR, BTC. With a register as bit index the memory operand reaches beyond the operand: the decoder gives `btm`. */
type BitChange = 'none' | 'set' | 'reset' | 'complement';
function bitTest<V>(o: Ops<V>, dst: Operand<V>, index: Operand<V>, change: BitChange): void {
  const a = change === 'none' ? dst.load() : dst.modify();
  const bit = o.and(index.load(), o.const(dst.width - 1));
  const one = o.const(1);
  const mask = o.shl(dst.width === 64 ? o.wideU(one) : one, bit);
  if (change === 'set') dst.store(o.or(a, mask));
  if (change === 'reset') dst.store(o.and(a, o.not(mask)));
  if (change === 'complement') dst.store(o.xor(a, mask));
  o.setFlag('C', o.and(o.shrU(a, bit), one));
}
const bitTestInstruction = (name: string, opcode: string, digit: number, change: BitChange) =>
  instruction({
    name,
    encodings: [`0f ba /${digit} Ev,Ib`, `0f ${opcode} Ev,Gv`],
    dst: change === 'none' ? 'r' : 'rw',
    writesFlags: 'C',
    undefinedFlags: 'OSAP',
    lockable: change !== 'none',
    semantics: (o, dst, index) => bitTest(o, dst, index, change),
  });

function bitScan<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, isForward: boolean): void {
  const a = src.load();
  // Zero leaves the destination as it is, all 64 bits of it, as AMD's manual says.
  o.when(a, () => dst.store(isForward ? o.ctz(a) : o.sub(o.const(src.width === 64 ? 63 : 31), o.clz(a))));
  o.setFlag('Z', o.eqz(a));
}

export const LOGIC = [
  logicInstruction('and', 0x20, 4),
  logicInstruction('or', 0x08, 1),
  logicInstruction('xor', 0x30, 6),
  instruction({
    name: 'test',
    encodings: [
      '84 Eb,Gb',
      '85 Ev,Gv',
      'a8 AL,Ib',
      'a9 eAX,Iz',
      'f6 /0 Eb,Ib',
      'f6 /1 Eb,Ib',
      'f7 /0 Ev,Iz',
      'f7 /1 Ev,Iz',
    ],
    dst: 'r',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'A',
    semantics: (o, a, b) => o.commitLogicFlags(o.and(a.load(), b.load()), a.width),
  }),
  instruction({
    name: 'not',
    encodings: ['f6 /2 Eb', 'f7 /2 Ev'],
    lockable: true,
    semantics: (o, dst) => dst.store(o.not(dst.modify())),
  }),
  shiftInstruction('shl', [4, 6], shl, 'OA'),
  shiftInstruction('shr', [5], shr, 'OA'),
  shiftInstruction('sar', [7], sar, 'OA'),
  shiftInstruction('rol', [0], rotate(true), 'O'),
  shiftInstruction('ror', [1], rotate(false), 'O'),
  shiftInstruction('rcl', [2], rotateThroughCarry(true), 'O'),
  shiftInstruction('rcr', [3], rotateThroughCarry(false), 'O'),
  instruction({
    name: 'shld',
    encodings: ['0f a4 Ev,Gv,Ib', '0f a5 Ev,Gv,CL'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OA',
    semantics: (o, dst, src, count) => doubleShift(o, dst, src, count, true),
  }),
  instruction({
    name: 'shrd',
    encodings: ['0f ac Ev,Gv,Ib', '0f ad Ev,Gv,CL'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OA',
    semantics: (o, dst, src, count) => doubleShift(o, dst, src, count, false),
  }),
  bitTestInstruction('bt', 'a3', 4, 'none'),
  bitTestInstruction('bts', 'ab', 5, 'set'),
  bitTestInstruction('btr', 'b3', 6, 'reset'),
  bitTestInstruction('btc', 'bb', 7, 'complement'),
  instruction({
    name: 'bsf',
    encodings: ['0f bc Gv,Ev'],
    dst: 'w',
    writesFlags: 'Z',
    undefinedFlags: 'OSAPC',
    semantics: (o, dst, src) => bitScan(o, dst, src, true),
  }),
  instruction({
    name: 'bsr',
    encodings: ['0f bd Gv,Ev'],
    dst: 'w',
    writesFlags: 'Z',
    undefinedFlags: 'OSAPC',
    semantics: (o, dst, src) => bitScan(o, dst, src, false),
  }),
  /** Without the feature the prefix means nothing and this is BSR. */
  instruction({
    name: 'lzcnt',
    encodings: ['f3 0f bd Gv,Ev'],
    dst: 'w',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OSAP',
    semantics: (o, dst, src) => {
      const a = src.load();
      const count = dst.width === 64 ? o.clz(a) : o.sub(o.clz(a), o.const(32 - dst.width));
      dst.store(count);
      o.commitResultFlags(count, dst.width, o.eqz(a), o.const(0));
    },
  }),
  instruction({
    name: 'cmc',
    encodings: ['f5'],
    readsFlags: 'C',
    writesFlags: 'C',
    semantics: (o) => o.setFlag('C', o.xor(o.flag('C'), o.const(1))),
  }),
  instruction({ name: 'clc', encodings: ['f8'], writesFlags: 'C', semantics: (o) => o.setFlag('C', o.const(0)) }),
  instruction({ name: 'stc', encodings: ['f9'], writesFlags: 'C', semantics: (o) => o.setFlag('C', o.const(1)) }),
];
