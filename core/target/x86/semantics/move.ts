/** Data movement, exchange, stack. */
import { CR4, EAX, EBP, EBX, EFLAGS, ESP } from '../state.ts';
import { type FlagName, instruction, type Operand, type Ops, type Width } from './ops.ts';

const CONDITIONS = ['o', 'no', 'b', 'nb', 'z', 'nz', 'be', 'nbe', 's', 'ns', 'p', 'np', 'l', 'nl', 'le', 'nle'];
const hex = (n: number) => n.toString(16).padStart(2, '0');

function pop<V>(o: Ops<V>, dst: Operand<V>): void {
  const value = o.stackTop(dst.width);
  if (dst.kind === 'r') {
    o.dropStack(dst.width / 8);
    dst.store(value);
  } else {
    dst.store(value);
    o.dropStack(dst.width / 8);
  }
}

/** EFLAGS as PUSHF and LAHF show it: RF and VM read as 0. */
function flagsImage<V>(o: Ops<V>): V {
  const system = o.and(o.field('eflagsSystem'), o.const(~(EFLAGS.RF | EFLAGS.VM)));
  let image = o.or(system, o.const(2));
  const places: readonly (readonly [FlagName, number])[] = [
    ['C', 0],
    ['P', 2],
    ['A', 4],
    ['Z', 6],
    ['S', 7],
    ['O', 11],
  ];
  for (const [name, bit] of places) image = o.or(image, o.shl(o.flag(name), bit));
  return image;
}
/** Virtual-8086 mode with an IOPL below 3: PUSHF and POPF see the virtual interrupt flag, or fault. */
function seesVirtualFlags<V>(o: Ops<V>): V {
  const bits = o.and(o.field('eflagsSystem'), o.const(EFLAGS.VM | EFLAGS.IOPL));
  return o.and(o.ne(o.and(bits, o.const(EFLAGS.VM)), o.const(0)), o.ne(bits, o.const(EFLAGS.VM | EFLAGS.IOPL)));
}

/** Bytes in the opposite order. */
function reversed<V>(o: Ops<V>, a: V, width: Width): V {
  if (width === 16) return o.or(o.shl(a, 8), o.shrU(o.zeroExtend(a, 16), 8));
  if (width === 64)
    return o.or(o.shl(o.wideU(reversed(o, o.narrow(a), 32)), 32), o.wideU(reversed(o, o.narrow(o.shrU(a, 32)), 32)));
  const even = o.and(o.rotr(a, 8), o.const(0xff00ff00));
  const odd = o.and(o.rotl(a, 8), o.const(0x00ff00ff));
  return o.or(even, odd);
}

/** POPF in the kernel, not of 16 bits, with nothing but arithmetic flags and IF changed. */
function popFlags<V>(o: Ops<V>): void {
  if (o.form.opSize === 16) {
    o.giveUp(o.const(1));
    return;
  }
  const bytes = o.form.long ? 8 : 4;
  const value = o.narrow(o.stackTop(bytes === 8 ? 64 : 32));
  const old = o.field('eflagsSystem');
  const others = EFLAGS.TF | EFLAGS.DF | EFLAGS.IOPL | EFLAGS.NT | EFLAGS.AC | EFLAGS.ID;
  const changed = o.and(o.xor(value, old), o.const(others));
  const enables = o.and(o.field('interruptWaits'), o.and(value, o.const(EFLAGS.IF)));
  const traps = o.and(old, o.const(EFLAGS.TF | EFLAGS.VM));
  o.giveUp(o.or(o.or(changed, enables), o.or(traps, o.field('cpl'))));
  o.setField('eflagsSystem', o.or(o.and(old, o.const(~(EFLAGS.IF | EFLAGS.RF))), o.and(value, o.const(EFLAGS.IF))));
  o.dropStack(bytes);
  o.setFlags(value);
}

export const MOVE = [
  instruction({
    name: 'mov',
    encodings: [
      '88 Eb,Gb',
      '89 Ev,Gv',
      '8a Gb,Eb',
      '8b Gv,Ev',
      'a0 AL,Ob',
      'a1 eAX,Ov',
      'a2 Ob,AL',
      'a3 Ov,eAX',
      'b0+ Zb,Ib',
      'b8+ Zv,Iv',
      'c6 /0 Eb,Ib',
      'c7 /0 Ev,Iz',
    ],
    dst: 'w',
    semantics: (_o, dst, src) => dst.store(src.load()),
  }),
  instruction({
    name: 'lea',
    encodings: ['8d Gv,Mv'],
    dst: 'w',
    addressOnly: true,
    semantics: (_o, dst, src) => dst.store(src.address()),
  }),
  instruction({
    name: 'movzx',
    encodings: ['0f b6 Gv,Eb', '0f b7 Gv,Ew'],
    dst: 'w',
    semantics: (_o, dst, src) => dst.store(src.load()),
  }),
  instruction({
    name: 'movsx',
    encodings: ['0f be Gv,Eb', '0f bf Gv,Ew'],
    dst: 'w',
    semantics: (o, dst, src) => {
      const value = o.signExtend(src.load(), src.width);
      dst.store(dst.width === 64 ? o.wideS(value) : value);
    },
  }),
  instruction({
    name: 'xchg',
    encodings: ['86 Eb,Gb', '87 Ev,Gv', '91+7 Zv,eAX'],
    lockable: true,
    semantics: (_o, a, b) => {
      const left = a.modify();
      const right = b.load();
      a.store(right);
      b.store(left);
    },
  }),
  instruction({ name: 'nop', encodings: ['90'], semantics: () => {} }),
  instruction({
    name: 'nopE',
    encodings: [
      '0f 18 Ev',
      '0f 19 Ev',
      '0f 1a Ev',
      '0f 1b Ev',
      '0f 1c Ev',
      '0f 1d Ev',
      '0f 1e Ev',
      '0f 1f Ev',
      '0f 0d Mv',
    ],
    addressOnly: true,
    dst: 'r',
    semantics: () => {},
  }),
  instruction({
    name: 'bswap',
    encodings: ['0f c8+ Zv'],
    semantics: (o, dst) => {
      const a = dst.modify();
      if (dst.width === 16) return dst.store(o.const(0)); // undefined by the manual, zero on hardware
      dst.store(reversed(o, a, dst.width));
    },
  }),
  instruction({
    name: 'movbeLoad',
    encodings: ['0f 38 f0 Gv,Mv'],
    dst: 'w',
    semantics: (o, dst, src) => dst.store(reversed(o, src.load(), dst.width)),
  }),
  instruction({
    name: 'movbeStore',
    encodings: ['0f 38 f1 Mv,Gv'],
    dst: 'w',
    semantics: (o, dst, src) => dst.store(reversed(o, src.load(), dst.width)),
  }),
  instruction({
    name: 'xlat',
    encodings: ['d7 Xb'],
    dst: 'r',
    variants: ['addrSize'],
    semantics: (o, segment) => {
      const index = o.reg(EAX, 8).load();
      const offset = o.add(o.reg(EBX, o.form.addrSize).load(), o.form.addrSize === 64 ? o.wideU(index) : index);
      o.reg(EAX, 8).store(o.memory(segment.load(), o.zeroExtend(offset, o.form.addrSize), 8).load());
    },
  }),
  ...CONDITIONS.map((name, code) =>
    instruction({
      name: `cmov${name}`,
      encodings: [`0f ${hex(0x40 + code)} Gv,Ev`],
      semantics: (o, dst, src) => {
        const value = src.load();
        dst.store(o.select(o.condition(code), value, dst.load()));
      },
    }),
  ),
  ...CONDITIONS.map((name, code) =>
    instruction({
      name: `set${name}`,
      encodings: [`0f ${hex(0x90 + code)} Eb`],
      dst: 'w',
      semantics: (o, dst) => dst.store(o.ne(o.condition(code), o.const(0))),
    }),
  ),
  instruction({
    name: 'push',
    encodings: ['50+ Zv', 'ff /6 Ev', '68 Iz', '6a sIbv'],
    dst: 'r',
    variants: ['stack'],
    semantics: (o, src) => o.push(src.load(), src.width),
  }),
  instruction({
    name: 'pop',
    encodings: ['58+ Zv', '8f /0 Ev'],
    dst: 'w',
    variants: ['stack'],
    semantics: (o, dst) => pop(o, dst),
  }),
  instruction({
    name: 'pusha',
    encodings: ['60'],
    variants: ['opSize', 'stack'],
    semantics: (o) => void o.call('pusha', o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'popa',
    encodings: ['61'],
    variants: ['opSize', 'stack'],
    semantics: (o) => void o.call('popa', o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'pushf',
    encodings: ['9c'],
    variants: ['opSize', 'stack'],
    semantics: (o) => {
      const image = flagsImage(o);
      const size = o.form.opSize;
      o.when(
        seesVirtualFlags(o),
        () => o.push(o.call('virtualFlags', image, o.const(size / 8)), size),
        () => o.push(image, size),
      );
    },
  }),
  instruction({
    name: 'popf',
    encodings: ['9d'],
    variants: ['opSize', 'stack'],
    ends: 'system',
    semantics: (o) => {
      const isVirtual = seesVirtualFlags(o);
      const hasVme = o.form.opSize === 16 ? o.and(o.field('cr4'), o.const(CR4.VME)) : o.const(0);
      o.when(o.and(isVirtual, o.eqz(hasVme)), () => void o.call('denied'));
      const value = o.stackTop(o.form.opSize);
      o.call('popf', value, o.const(o.form.opSize / 8));
      o.dropStack(o.form.opSize / 8);
    },
    quick: popFlags,
    quickLong: popFlags,
  }),
  instruction({
    name: 'lahf',
    encodings: ['9f'],
    semantics: (o) => o.reg(4, 8).store(flagsImage(o)),
  }),
  instruction({
    name: 'sahf',
    encodings: ['9e'],
    writesFlags: 'SZAPC',
    semantics: (o) => void o.call('sahf', o.reg(4, 8).load()),
  }),
  instruction({
    name: 'enter',
    encodings: ['c8 Iw,Ib'],
    variants: ['opSize', 'stack'],
    dst: 'r',
    semantics: (o, size, level) =>
      void o.call(o.form.long ? 'enterLong' : 'enter', size.load(), level.load(), o.const(o.form.opSize / 8)),
  }),
  instruction({
    name: 'leave',
    encodings: ['c9'],
    variants: ['opSize', 'stack'],
    semantics: (o) => {
      const width: Width = o.form.opSize;
      if (o.form.flatStack) {
        const pointer = o.form.long ? 64 : 32;
        const frame = o.reg(EBP, pointer).load();
        const saved = o.memoryFlat(frame, width).load();
        o.reg(ESP, pointer).store(o.add(frame, o.const(width / 8)));
        o.reg(EBP, width).store(saved);
      } else o.call('leave', o.const(width / 8));
    },
  }),
  instruction({
    name: 'bound',
    encodings: ['62 Gv,Mv'],
    dst: 'r',
    semantics: (o, index, limits) => void o.call('bound', index.load(), limits.address(), o.const(index.width / 8)),
  }),
  // Segment registers.
  instruction({
    name: 'movFromSeg',
    encodings: ['8c Fw,Sw'],
    dst: 'w',
    semantics: (o, dst, src) => dst.store(o.selector(src.load())),
  }),
  instruction({
    name: 'movToSeg',
    encodings: ['8e Sw,Ew'],
    dst: 'r',
    ends: 'system',
    semantics: (o, dst, src) => void o.call('loadSegment', dst.load(), src.load()),
    natives: ['loadSegment'],
    quick: (o, dst, src) => o.giveUp(o.native('loadSegment', dst.load(), src.load())),
  }),
  ...[
    { code: '06', index: 0 },
    { code: '0e', index: 1 },
    { code: '16', index: 2 },
    { code: '1e', index: 3 },
    { code: '0f a0', index: 4 },
    { code: '0f a8', index: 5 },
  ].map(({ code, index }) =>
    instruction({
      name: `pushSeg${index}`,
      encodings: [code],
      variants: ['opSize', 'stack'],
      semantics: (o) => o.push(o.selector(o.const(index)), o.form.opSize),
    }),
  ),
  ...[
    { code: '07', index: 0 },
    { code: '17', index: 2 },
    { code: '1f', index: 3 },
    { code: '0f a1', index: 4 },
    { code: '0f a9', index: 5 },
  ].map(({ code, index }) =>
    instruction({
      name: `popSeg${index}`,
      encodings: [code],
      variants: ['opSize', 'stack'],
      ends: 'system',
      semantics: (o) =>
        void o.call(o.form.long ? 'popSegmentLong' : 'popSegment', o.const(index), o.const(o.form.opSize / 8)),
      natives: ['loadSegment'],
      quick: (o) => {
        o.giveUp(o.native('loadSegment', o.const(index), o.stackTop(o.form.opSize)));
        o.dropStack(o.form.opSize / 8);
      },
    }),
  ),
  ...[
    { name: 'les', code: 'c4', index: 0 },
    { name: 'lds', code: 'c5', index: 3 },
    { name: 'lss', code: '0f b2', index: 2 },
    { name: 'lfs', code: '0f b4', index: 4 },
    { name: 'lgs', code: '0f b5', index: 5 },
  ].map(({ name, code, index }) =>
    instruction({
      name,
      encodings: [`${code} Gv,Mv`],
      dst: 'w',
      ends: 'system',
      semantics: (o, dst, pointer) => {
        const offset = pointer.load();
        o.call('loadFarSegment', o.const(index), pointer.address(), o.const(dst.width / 8));
        dst.store(offset);
      },
      natives: ['loadSegment'],
      quick: (o, dst, pointer) => {
        const offset = pointer.load();
        const selector = o.memoryFlat(o.add(pointer.address(), o.const(dst.width / 8)), 16).load();
        o.giveUp(o.native('loadSegment', o.const(index), selector));
        dst.store(offset);
      },
    }),
  ),
];
