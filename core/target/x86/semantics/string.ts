/** String instructions. Without a prefix they are written here; repeated ones are helpers that work on whole pages. */
import { EAX, EDI, EDX, ES, ESI } from '../state.ts';
import { instruction, type Operand, type Ops, type Width } from './ops.ts';

function advance<V>(o: Ops<V>, index: number, width: Width): void {
  const register = o.reg(index, o.form.addrSize);
  register.store(o.add(register.load(), o.mul(o.field('direction'), o.const(width / 8))));
}
const source = <V>(o: Ops<V>, segment: V, width: Width): Operand<V> =>
  o.memory(segment, o.reg(ESI, o.form.addrSize).load(), width);
const destination = <V>(o: Ops<V>, width: Width): Operand<V> => o.memory(ES, o.reg(EDI, o.form.addrSize).load(), width);

type Once = <V>(o: Ops<V>, width: Width, segment: V) => void;
/** A byte and a word/doubleword form; the decoder passes the source segment as operand `X`. */
function stringInstruction(name: string, opcode: number, helper: string, writesFlags: string, once: Once) {
  const hex = (n: number) => n.toString(16).padStart(2, '0');
  return instruction({
    name,
    encodings: [`${hex(opcode)} Xb`, `${hex(opcode + 1)} Xv`],
    dst: 'r',
    writesFlags,
    variants: ['addrSize', 'rep'],
    semantics: (o, segment) => {
      const { width } = segment;
      if (o.form.rep) {
        const shape = (width / 8) | (o.form.addrSize === 16 ? 0x100 : 0) | (o.form.rep === 0xf2 ? 0x200 : 0);
        o.repeat(helper, segment.load(), o.const(shape));
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

export const STRING = [
  stringInstruction('movs', 0xa4, 'repMovs', '', (o, width, segment) => {
    const value = source(o, segment, width).load();
    destination(o, width).store(value);
    advance(o, ESI, width);
    advance(o, EDI, width);
  }),
  stringInstruction('cmps', 0xa6, 'repCmps', 'OSZAPC', (o, width, segment) => {
    const a = source(o, segment, width).load();
    const b = destination(o, width).load();
    advance(o, ESI, width);
    advance(o, EDI, width);
    compare(o, a, b, width);
  }),
  stringInstruction('stos', 0xaa, 'repStos', '', (o, width) => {
    destination(o, width).store(o.reg(EAX, width).load());
    advance(o, EDI, width);
  }),
  stringInstruction('lods', 0xac, 'repLods', '', (o, width, segment) => {
    o.reg(EAX, width).store(source(o, segment, width).load());
    advance(o, ESI, width);
  }),
  stringInstruction('scas', 0xae, 'repScas', 'OSZAPC', (o, width) => {
    const b = destination(o, width).load();
    advance(o, EDI, width);
    compare(o, o.reg(EAX, width).load(), b, width);
  }),
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
