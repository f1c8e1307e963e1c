/** x87 instructions: names and encodings (Intel SDM volume 2). What they do is one function each in x87/unit.ts, the same for every
 *  tier: address, segment and ModRM byte are all it needs. */
import { instruction } from './ops.ts';

/** An x87 instruction, by its place in the list. */
export interface X87Op {
  readonly name: string;
  readonly encoding: string;
  /** Low three bits of the first opcode byte. */
  readonly group: number;
  readonly isMemory: boolean;
}

const ROWS = [
  // Arithmetic and comparison, by the digit of D8.
  ...['add', 'mul', 'com', 'comp', 'sub', 'subr', 'div', 'divr'].flatMap((name, digit) => {
    const isCompare = digit === 2 || digit === 3;
    return [
      `f${name}32: d8 /${digit} M`,
      `f${name}: d8 /${digit} H`,
      `fi${name}32: da /${digit} M`,
      `f${name}64: dc /${digit} M`,
      `fi${name}16: de /${digit} M`,
      ...(isCompare ? [] : [`f${name}To: dc /${digit} H`, `f${name}p: de /${digit} H`]),
    ];
  }),
  // Second encodings that all CPUs decode.
  'fcom: dc /2 H',
  'fcomp: dc /3 H',
  'fcomp: de /2 H',
  'fxch: dd /1 H',
  'fxch: df /1 H',
  'fstp1: d9 /3 H',
  'fstp: df /2 H',
  'fstp: df /3 H',
  'ffreep: df /0 H',
  // D9
  'fld32: d9 /0 M',
  'fst32: d9 /2 M',
  'fstp32: d9 /3 M',
  'fldenv: d9 /4 M',
  'fldcw: d9 /5 M',
  'fnstenv: d9 /6 M',
  'fnstcw: d9 /7 M',
  'fld: d9 /0 H',
  'fxch: d9 /1 H',
  ...'fnop:d0 fchs:e0 fabs:e1 ftst:e4 fxam:e5 fld1:e8 fldl2t:e9 fldl2e:ea fldpi:eb fldlg2:ec fldln2:ed fldz:ee f2xm1:f0 fyl2x:f1 fptan:f2 fpatan:f3 fxtract:f4 fprem1:f5 fdecstp:f6 fincstp:f7 fprem:f8 fyl2xp1:f9 fsqrt:fa fsincos:fb frndint:fc fscale:fd fsin:fe fcos:ff'
    .split(' ')
    .map((text) => text.replace(':', ': d9 ')),
  // DA
  ...['b', 'e', 'be', 'u'].map((c, i) => `fcmov${c}: da /${i} H`),
  'fucompp: da e9',
  // DB
  'fild32: db /0 M',
  'fisttp32: db /1 M',
  'fist32: db /2 M',
  'fistp32: db /3 M',
  'fld80: db /5 M',
  'fstp80: db /7 M',
  ...['nb', 'ne', 'nbe', 'nu'].map((c, i) => `fcmov${c}: db /${i} H`),
  'fneni: db e0',
  'fndisi: db e1',
  'fnclex: db e2',
  'fninit: db e3',
  'fnsetpm: db e4',
  'fucomi: db /5 H',
  'fcomi: db /6 H',
  // DD
  'fld64: dd /0 M',
  'fisttp64: dd /1 M',
  'fst64: dd /2 M',
  'fstp64: dd /3 M',
  'frstor: dd /4 M',
  'fnsave: dd /6 M',
  'fnstsw: dd /7 M',
  'ffree: dd /0 H',
  'fst: dd /2 H',
  'fstp: dd /3 H',
  'fucom: dd /4 H',
  'fucomp: dd /5 H',
  // DE, DF
  'fcompp: de d9',
  'fild16: df /0 M',
  'fisttp16: df /1 M',
  'fist16: df /2 M',
  'fistp16: df /3 M',
  'fbld: df /4 M',
  'fild64: df /5 M',
  'fbstp: df /6 M',
  'fistp64: df /7 M',
  'fnstswAx: df e0',
  'fucomip: df /5 H',
  'fcomip: df /6 H',
];

/** Every x87 instruction: the numbers that generated code passes are positions in this list. */
export const X87_OPS: readonly X87Op[] = ROWS.map((row) => {
  const [name, encoding] = row.split(': ') as [string, string];
  return {
    name,
    encoding,
    group: Number.parseInt(encoding.slice(0, 2), 16) & 7,
    isMemory: encoding.endsWith('M'),
  };
});

/** These write all over the state or change what follows; the environment's layout depends on the operand size. */
const WITH_SIZE = new Set(['fldenv', 'fnstenv', 'frstor', 'fnsave']);
const seen = new Set<string>();
const uniqueName = (op: X87Op) => {
  const name = seen.has(op.name) ? `${op.name}.${op.encoding.slice(0, 4).replace(' /', '.')}` : op.name;
  seen.add(name);
  return name;
};

export const X87 = [
  ...X87_OPS.map((op, number) => {
    const { encoding } = op;
    const name = uniqueName(op);
    if (op.isMemory)
      return instruction({
        name,
        encodings: [`${encoding}b,Lb`],
        dst: 'rw',
        addressOnly: true,
        ...(WITH_SIZE.has(op.name) ? { variants: ['opSize'] as const } : {}),
        semantics: (o, at, place) => {
          const isWide = WITH_SIZE.has(op.name) && o.form.opSize === 32;
          const code = o.or(o.const(number | (isWide ? 0x8000 : 0)), place.load());
          o.repeat('x87', code, at.address());
        },
      });
    if (encoding.endsWith('H'))
      return instruction({
        name,
        encodings: [`${encoding}b`],
        dst: 'r',
        semantics: (o, place) => o.repeat('x87', o.or(o.const(number), place.load()), o.const(0)),
      });
    const modrm = Number.parseInt(encoding.slice(3), 16);
    return instruction({
      name,
      encodings: [encoding],
      semantics: (o) => o.repeat('x87', o.const(number | (modrm << 16)), o.const(0)),
    });
  }),
  instruction({ name: 'wait', encodings: ['9b'], semantics: (o) => o.repeat('wait', o.const(0), o.const(0)) }),
  ...['fxsave', 'fxrstor'].map((name, digit) =>
    instruction({
      name,
      encodings: [`0f ae /${digit} Mb,Lb`],
      dst: 'rw',
      addressOnly: true,
      semantics: (o, at, place) => void o.call(name, place.load(), at.address()),
    }),
  ),
];
