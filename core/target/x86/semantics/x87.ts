/** x87 instructions: names and encodings (Intel SDM volume 2). Frequent cases are native functions (natives.ts); all the others,
 *  faults among them, are one function for each instruction in x87/unit.ts. */
import { NATIVES } from './natives.ts';
import { type Instruction, instruction, type Operand, type Ops } from './ops.ts';

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

const ES = 0x80;
const EM_TS = 0xc;
/** CR0.EM or CR0.TS, or (for instructions that wait) a pending exception. */
function blocked<V>(o: Ops<V>, waits: boolean): V {
  const off = o.and(o.field('cr0'), o.const(EM_TS));
  return waits ? o.or(off, o.and(o.field('fpuStatus'), o.const(ES))) : off;
}
/** What precedes the access to memory: #NM, #MF, or the interrupt that FERR# leads to. */
function ready<V>(o: Ops<V>, waits = true): void {
  o.when(blocked(o, waits), () => o.repeat('x87Ready', o.const(waits ? 1 : 0), o.const(0)), undefined, false);
}

/** Definition of one instruction, without name and encodings. */
type Part = Pick<Instruction, 'semantics'> & Partial<Instruction>;
/** What the definitions of a row share. */
class Row {
  readonly op: X87Op;
  readonly number: number;
  constructor(op: X87Op, number: number) {
    this.op = op;
    this.number = number;
  }
  /** Place of an instruction without operands, which has no such word in its record. */
  private get fixed(): number {
    return Number.parseInt(this.op.encoding.slice(3), 16) << 16;
  }
  /** First argument of native functions. */
  code<V>(o: Ops<V>, place: Operand<V> | null): V {
    const group = this.op.group << 24;
    return place ? o.or(o.const(group), place.load()) : o.const(group | this.fixed);
  }
  /** The whole instruction in the helper: for operands in registers. `x87Rare` is the same as `x87`, for cases in which a
   *  region of compiled code may as well be left. */
  byHelper<V>(o: Ops<V>, place: Operand<V> | null, helper = 'x87'): void {
    const code = place ? o.or(o.const(this.number), place.load()) : o.const(this.number | this.fixed);
    o.repeat(helper, code, o.const(0));
  }
  /** The same for an operand at a linear address. */
  atLinear<V>(o: Ops<V>, place: Operand<V>, linear: V): void {
    o.repeat('x87At', o.or(o.const(this.number), place.load()), linear);
  }

  /** A native function of code and EIP, perhaps with values before them. */
  register(native: string, ...before: number[]): Part {
    const body = <V>(o: Ops<V>, place: Operand<V> | null) => {
      const first = before.map((condition) => o.condition(condition));
      const refused = o.native(native, ...first, this.code(o, place), o.eip());
      o.when(refused, () => this.byHelper(o, place, 'x87Rare'), undefined, false);
    };
    const isFixed = !this.op.encoding.endsWith('H');
    return { natives: [native], semantics: (o, place) => body(o, isFixed ? null : place) };
  }
  /** FCOMI and its kin. */
  relation(native: string): Part {
    return {
      natives: [native],
      writesFlags: 'OSZAPC',
      semantics: (o, place) => {
        const relation = o.native(native, this.code(o, place), o.eip());
        o.when(
          o.ltS(relation, o.const(0)),
          () => this.byHelper(o, place, 'x87Rare'),
          () => o.commitZeroCarry(o.shrU(relation, 6), o.and(relation, o.const(1))),
          false,
        );
      },
    };
  }
  /** An operand in memory that is read. */
  load(native: string, bits: 16 | 32 | 64): Part {
    return {
      natives: [native],
      dst: 'r',
      semantics: (o, src, place) => {
        ready(o);
        const loaded = src.load();
        const linear = src.address();
        const value = bits === 16 ? o.signExtend(loaded, 16) : loaded;
        const refused = o.native(native, value, this.code(o, place), o.eip(), linear);
        o.when(refused, () => this.atLinear(o, place, linear), undefined, false);
      },
    };
  }
  /** ST0 converted, stored, perhaps popped. */
  store(native: string, bits: 16 | 32 | 64, pops: boolean): Part {
    return {
      natives: [native, 'x87Stored'],
      dst: 'w',
      semantics: (o, dst, place) => {
        ready(o);
        const linear = dst.address();
        const value = o.native(native);
        o.when(
          o.ltS(o.field('fpuOutcome'), o.const(0)),
          () => this.atLinear(o, place, linear),
          () => {
            dst.store(bits === 64 ? value : o.narrow(value));
            o.native('x87Stored', o.const(pops ? 1 : 0), this.code(o, place), o.eip(), linear);
          },
          false,
        );
      },
    };
  }
}
/** Segment number of an operand of which only the offset was computed. */
const segmentOf = <V>(o: Ops<V>, place: Operand<V>): V => o.and(o.shrU(place.load(), 8), o.const(7));

/** The instructions with a native function. */
function native(row: Row): { readonly width: string; readonly part: Part } | null {
  const { name, encoding, isMemory } = row.op;
  const memory = (width: string, part: Part) => ({ width, part });
  const register = (part: Part) => ({ width: '', part });
  const conversion = /^f(ist|istt|st)(p?)(16|32|64)$/.exec(name);
  if (conversion) {
    const bits = Number(conversion[3]) as 16 | 32 | 64;
    const isCut = conversion[1] === 'istt';
    const format = conversion[1] !== 'st' ? `${isCut ? 'Cut' : 'To'}Int${bits}` : bits === 32 ? 'ToSingle' : 'ToDouble';
    return memory(bits === 16 ? 'w' : bits === 32 ? 'd' : 'q', row.store(`x87${format}`, bits, name.includes('p')));
  }
  const loading = /^(f[a-z]+?)(16|32|64)$/.exec(name);
  if (isMemory && loading) {
    const bits = Number(loading[2]) as 16 | 32 | 64;
    const isInteger = loading[1]!.startsWith('fi');
    const known = isInteger && bits !== 64 ? loading[1]! : name;
    if (NATIVES[known]) return memory(bits === 16 ? 'w' : bits === 32 ? 'd' : 'q', row.load(known, bits));
  }
  if (isMemory) return null;
  const conditions = ['b', 'e', 'be', 'u', 'nb', 'ne', 'nbe', 'nu'].indexOf(name.replace('fcmov', ''));
  if (name.startsWith('fcmov')) return register(row.register('fcmov', [2, 4, 6, 10, 3, 5, 7, 11][conditions]!));
  if (/^fu?comip?$/.test(name)) return register(row.relation(name.replace('fu', 'f')));
  const plain = name.replace('fucom', 'fcom');
  // The exchange of ST0 with itself and the copies to it are no different.
  return NATIVES[plain] && (encoding.endsWith('H') || NATIVES[plain].params.length === 2)
    ? register(row.register(plain))
    : null;
}

/** Control and status words. */
const WORDS: Readonly<Record<string, (row: Row) => Part>> = {
  fnstcw: () => ({
    dst: 'w',
    semantics: (o, dst) => {
      ready(o, false);
      dst.store(o.field('fpuControl'));
    },
  }),
  fnstsw: () => ({
    dst: 'w',
    semantics: (o, dst) => {
      ready(o, false);
      dst.store(statusWord(o));
    },
  }),
  fldcw: () => ({
    dst: 'r',
    natives: ['fldcw'],
    semantics: (o, src) => {
      ready(o);
      o.native('fldcw', src.load());
    },
  }),
};
const statusWord = <V>(o: Ops<V>): V =>
  o.or(o.and(o.field('fpuStatus'), o.const(~0x3800)), o.shl(o.field('fpuTop'), 11));

/** 80 bits: the address is only computed, the two parts are accessed like operands of their own. */
const EXTENDED: Readonly<Record<string, (row: Row) => Part>> = {
  fld80: (row) => ({
    natives: ['fld80'],
    semantics: (o, at, place) => {
      ready(o);
      const offset = at.address();
      const segment = segmentOf(o, place);
      const mantissa = o.memory(segment, offset, 64).load();
      const top = o.memory(segment, o.add(offset, o.const(8)), 16).load();
      const refused = o.native('fld80', mantissa, top, row.code(o, place), o.eip(), offset);
      o.when(refused, () => o.repeat('x87Rare', o.or(o.const(row.number), place.load()), offset), undefined, false);
    },
  }),
  fstp80: (row) => ({
    natives: ['x87ToMantissa', 'x87Stored80'],
    semantics: (o, at, place) => {
      ready(o);
      const offset = at.address();
      const segment = segmentOf(o, place);
      const mantissa = o.native('x87ToMantissa');
      o.when(
        o.ltS(o.field('fpuOutcome'), o.const(0)),
        () => o.repeat('x87Rare', o.or(o.const(row.number), place.load()), offset),
        () => {
          // Both parts must be writable before one is written, and a fault is the lower one's first.
          o.memory(segment, offset, 64).modify();
          const top = o.memory(segment, o.add(offset, o.const(8)), 16);
          top.modify();
          o.memory(segment, offset, 64).store(mantissa);
          top.store(o.field('fpuStored'));
          o.native('x87Stored80', row.code(o, place), o.eip(), offset);
        },
        false,
      );
    },
  }),
};

function define(op: X87Op, number: number): Instruction {
  const { encoding } = op;
  const row = new Row(op, number);
  const name = uniqueName(op);
  const word = WORDS[op.name];
  if (word) return instruction({ name, encodings: [`${encoding}w,Lb`], ...word(row) });
  const extended = EXTENDED[op.name];
  if (extended)
    return instruction({ name, encodings: [`${encoding}b,Lb`], dst: 'rw', addressOnly: true, ...extended(row) });
  const fast = native(row);
  if (fast && op.isMemory) return instruction({ name, encodings: [`${encoding}${fast.width},Lb`], ...fast.part });
  if (op.isMemory)
    return instruction({
      name,
      encodings: [`${encoding}b,Lb`],
      dst: 'rw',
      addressOnly: true,
      ...(WITH_SIZE.has(op.name) ? { variants: ['opSize'] as const } : {}),
      semantics: (o, at, place) => {
        const isWide = WITH_SIZE.has(op.name) && o.form.opSize !== 16;
        const code = o.or(o.const(number | (isWide ? 0x8000 : 0)), place.load());
        o.repeat('x87', code, at.address());
      },
    });
  if (op.name === 'fnstswAx')
    return instruction({
      name,
      encodings: [encoding],
      semantics: (o) => {
        ready(o, false);
        o.reg(0, 16).store(statusWord(o));
      },
    });
  if (encoding.endsWith('H'))
    return instruction({
      name,
      encodings: [`${encoding}b`],
      dst: 'r',
      semantics: (o, place) => row.byHelper(o, place),
      ...fast?.part,
    });
  return instruction({ name, encodings: [encoding], semantics: (o) => row.byHelper(o, null), ...fast?.part });
}

const waiting = <V>(o: Ops<V>): V => {
  const both = o.const(0xa);
  const unavailable = o.eq(o.and(o.field('cr0'), both), both);
  return o.or(unavailable, o.and(o.field('fpuStatus'), o.const(ES)));
};

export const X87 = [
  ...X87_OPS.map(define),
  instruction({
    name: 'wait',
    encodings: ['9b'],
    semantics: (o) => o.when(waiting(o), () => o.repeat('wait', o.const(0), o.const(0)), undefined, false),
  }),
  ...['fxsave', 'fxrstor'].map((name, digit) =>
    instruction({
      name,
      encodings: [`0f ae /${digit} Mb,Lb`],
      dst: 'rw',
      addressOnly: true,
      variants: ['opSize'],
      semantics: (o, at, place) => void o.call(name, place.load(), at.address(), o.const(o.form.opSize / 8)),
    }),
  ),
];
