/** String instructions. Without a prefix they are written here; repeated ones are helpers that work on whole pages. */
import { EAX, ECX, EDI, EDX, ES, ESI } from '../state.ts';
import { instruction, type Operand, type Ops, type Width } from './ops.ts';

function advance<V>(o: Ops<V>, index: number, width: Width): void {
  const register = o.reg(index, o.form.addrSize);
  const step = o.mul(o.field('direction'), o.const(width / 8));
  register.store(o.add(register.load(), o.form.addrSize === 64 ? o.wideS(step) : step));
}
const source = <V>(o: Ops<V>, segment: V, width: Width): Operand<V> =>
  o.memory(segment, o.reg(ESI, o.form.addrSize).load(), width);
const destination = <V>(o: Ops<V>, width: Width): Operand<V> => o.memory(ES, o.reg(EDI, o.form.addrSize).load(), width);

type Once = <V>(o: Ops<V>, width: Width, segment: V) => void;
/** Does what a native function can do and says whether more is left. */
type Begin = <V>(o: Ops<V>, width: Width, segment: V) => V;
/** A byte and a word/doubleword form; the decoder passes the source segment as operand `X`. */
function stringInstruction(
  name: string,
  opcode: number,
  helper: string,
  writesFlags: string,
  once: Once,
  begin?: Begin,
) {
  const hex = (n: number) => n.toString(16).padStart(2, '0');
  return instruction({
    name,
    encodings: [`${hex(opcode)} Xb`, `${hex(opcode + 1)} Xv`],
    dst: 'r',
    writesFlags,
    variants: ['addrSize', 'rep'],
    ...(begin ? { natives: [helper, `${helper}Long`] } : {}),
    semantics: (o, segment) => {
      const { width } = segment;
      if (o.form.rep) {
        const shape =
          (width / 8) |
          (o.form.addrSize === 16 ? 0x100 : o.form.addrSize === 64 ? 0x400 : 0) |
          (o.form.rep === 0xf2 ? 0x200 : 0);
        const rest = () => o.repeat(helper, segment.load(), o.const(shape));
        if (begin && o.form.addrSize !== (o.form.long ? 32 : 64)) o.when(begin(o, width, segment.load()), rest);
        else rest();
      } else once(o, width, segment.load());
    },
  });
}
function compare<V>(o: Ops<V>, a: V, b: V, width: Width): void {
  const difference = o.sub(a, b);
  const borrows = () => {
    const notA = o.not(a);
    return o.or(o.and(notA, b), o.and(o.or(notA, b), difference));
  };
  o.commitFlags(difference, borrows, width, { op: 'sub', a, b });
}

/** So many elements are done; says whether the count has more. */
function pass<V>(o: Ops<V>, done: V, width: Width, ...pointers: number[]): V {
  const size = o.form.addrSize;
  const elements = o.form.long ? o.wideU(done) : done;
  for (const index of pointers) {
    const pointer = o.reg(index, size);
    pointer.store(o.add(pointer.load(), o.shl(elements, Math.log2(width / 8))));
  }
  const count = o.reg(ECX, size);
  const left = o.sub(count.load(), elements);
  count.store(left);
  // As many as the helper takes for the same: `WORTH` in accel/tcg/strings.ts.
  o.charge(o.shrU(done, 4));
  return o.ne(left, o.const(0));
}
/** The same for comparisons, with what the native function answered. Only the end of the instruction writes flags: a fault before leaves
 *  them as they were (SDM volume 2, REP). */
function passComparing<V>(o: Ops<V>, answer: V, width: Width, ...pointers: number[]): V {
  const done = o.and(answer, o.const(0x7fff_ffff));
  const isLeft = o.and(pass(o, done, width, ...pointers), o.xor(o.shrU(answer, 31), o.const(1)));
  o.when(o.and(o.ne(done, o.const(0)), o.eqz(isLeft)), () => {
    const last = o.scratchVector(0).load();
    const [a, b] = [0, 1].map((lane) => {
      const value = o.lane('i64x2.extract_lane', lane, last);
      return width === 64 ? value : o.narrow(value);
    });
    compare(o, a!, b!, width);
  });
  return isLeft;
}
/** How many elements one call of a native function is asked for at most, in 64-bit code. */
function countForOne<V>(o: Ops<V>): V {
  const count = o.reg(ECX, 64).load();
  const most = o.const(0x7fff_ffff);
  return o.select(o.gtU(count, most), most, o.narrow(count));
}
/** The pointers and the count that a native function is given. It knows nothing of 16-bit addresses: the count ends where one of them
 *  would go round. */
function operandsOf<V>(o: Ops<V>, width: Width, ...pointers: number[]): V[] {
  const { addrSize } = o.form;
  const at = pointers.map((index) => o.reg(index, addrSize).load());
  let count = o.reg(ECX, addrSize).load();
  if (addrSize === 16)
    for (const pointer of at) {
      const room = o.shrU(o.sub(o.const(0x1_0000), pointer), Math.log2(width / 8));
      count = o.select(o.ltU(count, room), count, room);
    }
  return [...at, count];
}
/** The beginning of REP MOVS and REP STOS, perhaps all of it, by a native function. */
const beginMovs: Begin = (o, width, segment) => {
  if (o.form.long) {
    const from = source(o, segment, width).address();
    const to = destination(o, width).address();
    const done = o.native('repMovsLong', from, to, countForOne(o), o.const(Math.log2(width / 8)));
    return pass(o, done, width, ESI, EDI);
  }
  const registers = operandsOf(o, width, ESI, EDI);
  return pass(o, o.native('repMovs', segment, ...registers, o.const(Math.log2(width / 8))), width, ESI, EDI);
};
const beginStos: Begin = (o, width) => {
  if (o.form.long) {
    const value = o.wideU(o.reg(EAX, width).load());
    const to = destination(o, width).address();
    return pass(o, o.native('repStosLong', to, countForOne(o), value, o.const(Math.log2(width / 8))), width, EDI);
  }
  const registers = [...operandsOf(o, width, EDI), o.reg(EAX, 32).load()];
  return pass(o, o.native('repStos', ...registers, o.const(Math.log2(width / 8))), width, EDI);
};
const isRepne = <V>(o: Ops<V>) => o.const(o.form.rep === 0xf2 ? 1 : 0);
const beginCmps: Begin = (o, width, segment) => {
  const shift = o.const(Math.log2(width / 8));
  if (o.form.long) {
    const from = source(o, segment, width).address();
    const to = destination(o, width).address();
    return passComparing(o, o.native('repCmpsLong', from, to, countForOne(o), shift, isRepne(o)), width, ESI, EDI);
  }
  const registers = operandsOf(o, width, ESI, EDI);
  return passComparing(o, o.native('repCmps', segment, ...registers, shift, isRepne(o)), width, ESI, EDI);
};
const beginScas: Begin = (o, width) => {
  const shift = o.const(Math.log2(width / 8));
  if (o.form.long) {
    const value = o.wideU(o.reg(EAX, width).load());
    const to = destination(o, width).address();
    return passComparing(o, o.native('repScasLong', to, countForOne(o), value, shift, isRepne(o)), width, EDI);
  }
  const registers = [...operandsOf(o, width, EDI), o.reg(EAX, 32).load()];
  return passComparing(o, o.native('repScas', ...registers, shift, isRepne(o)), width, EDI);
};

export const STRING = [
  stringInstruction(
    'movs',
    0xa4,
    'repMovs',
    '',
    (o, width, segment) => {
      const value = source(o, segment, width).load();
      destination(o, width).store(value);
      advance(o, ESI, width);
      advance(o, EDI, width);
    },
    beginMovs,
  ),
  stringInstruction(
    'cmps',
    0xa6,
    'repCmps',
    'OSZAPC',
    (o, width, segment) => {
      const a = source(o, segment, width).load();
      const b = destination(o, width).load();
      advance(o, ESI, width);
      advance(o, EDI, width);
      compare(o, a, b, width);
    },
    beginCmps,
  ),
  stringInstruction(
    'stos',
    0xaa,
    'repStos',
    '',
    (o, width) => {
      destination(o, width).store(o.reg(EAX, width).load());
      advance(o, EDI, width);
    },
    beginStos,
  ),
  stringInstruction('lods', 0xac, 'repLods', '', (o, width, segment) => {
    o.reg(EAX, width).store(source(o, segment, width).load());
    advance(o, ESI, width);
  }),
  stringInstruction(
    'scas',
    0xae,
    'repScas',
    'OSZAPC',
    (o, width) => {
      const b = destination(o, width).load();
      advance(o, EDI, width);
      compare(o, o.reg(EAX, width).load(), b, width);
    },
    beginScas,
  ),
  stringInstruction('ins', 0x6c, 'repIns', '', (o, width) => {
    const at = destination(o, width);
    at.modify();
    at.store(o.call('in', o.reg(EDX, 16).load(), o.const(width / 8)));
    advance(o, EDI, width);
  }),
  stringInstruction('outs', 0x6e, 'repOuts', '', (o, width, segment) => {
    o.call('checkPort', o.reg(EDX, 16).load(), o.const(width / 8));
    const value = source(o, segment, width).load();
    advance(o, ESI, width);
    o.call('out', o.reg(EDX, 16).load(), o.const(width / 8), value);
  }),
];
