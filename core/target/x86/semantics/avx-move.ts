/** AVX: moves, masks of signs, tests, strings; what SSE has in other shapes than two operands of one width. */
import { type Instruction, instruction, type Operand, type Ops } from './ops.ts';
import { joinLow, spread64, zeroExtended } from './vector.ts';
import { VECTOR_IMMEDIATE } from './vector-immediate.ts';
import { VECTOR_INTEGER } from './vector-integer.ts';
import { enterAvx, loadParts, standIn, storeLow, storeParts, VEX_VARIANTS, zeros } from './vex.ts';

const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
const part = { variants: VEX_VARIANTS } as const;
/** The same encoding with 128 and with 256 bits. */
const both = (text: string) => {
  const [prefix, ...rest] = text.split(' ');
  const wide = rest.join(' ').replaceAll(/([VWUHM])x/g, '$1t');
  const whole = prefix!.endsWith('.w0') ? prefix : `${prefix}.wig`;
  return [`vex.128.${whole} ${rest.join(' ')}`, `vex.256.${whole} ${wide}`];
};
/** #GP for memory that is not aligned to the operand. */
function checkWhole<V>(o: Ops<V>, x: Operand<V>): void {
  if (x.kind === 'r') return;
  o.when(o.ne(o.and(x.address(), o.const(x.width / 8 - 1)), o.const(0)), () => void o.call('denied'), undefined, false);
}

const VALUES = { ps: 'i32x4', pd: 'i64x2', b: 'i8x16' } as const;
const signMask = (name: string, text: string, type: (typeof VALUES)[keyof typeof VALUES], count: number) =>
  instruction({
    name,
    encodings: both(text),
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      const [low, high] = loadParts(src).map((v) => o.simd(`${type}.bitmask`, v));
      dst.store(high === undefined ? low! : o.or(low!, o.shl(high, count)));
    },
  });
/** Z: no bit (or sign) of both is set, C: none of the second that is not in the first. */
const test = (name: string, text: string, signs: readonly number[] | null) =>
  instruction({
    name,
    encodings: both(text),
    dst: 'r',
    writesFlags: 'OSZAPC',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      const seconds = loadParts(src);
      const firsts = loadParts(dst);
      const isAny = (f: 'v128.and' | 'v128.andnot') =>
        seconds
          .map((b, i) => {
            const bits = o.simd(f, b, firsts[i]!);
            return o.simd('v128.any_true', signs ? o.simd('v128.and', bits, o.vector(signs)) : bits);
          })
          .reduce((x, y) => o.or(x, y));
      const hasCommon = isAny('v128.and');
      const hasOther = isAny('v128.andnot');
      o.commitZeroCarry(o.eqz(hasCommon), o.eqz(hasOther));
    },
  });
/** Shifts by an immediate write the register that the prefix names. */
const shiftByImmediate = (name: string, inner: Instruction) =>
  instruction({
    name,
    encodings: both(inner.encodings[0]!.replace('66 0f', '66.0f').replace('Ux', 'Hx,Ux')),
    dst: 'w',
    ...part,
    semantics<V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>, imm: Operand<V>, d: Operand<V>): void {
      enterAvx(o);
      const values = loadParts(src);
      values.forEach((value, i) => {
        const target = standIn<V>(
          128,
          () => value,
          (result) => dst.part(i).store(result),
        );
        o.inPart('plain', () => inner.semantics(o, target, imm, d, d));
      });
      if (values.length === 1) dst.part(1).store(zeros(o));
    },
  });

export const AVX_MOVE = [
  instruction({
    name: 'vmovu',
    encodings: [
      ...both('np.0f 10 Vx,Wx'),
      ...both('66.0f 10 Vx,Wx'),
      ...both('f3.0f 6f Vx,Wx'),
      ...both('f2.0f f0 Vx,Mx'),
      ...both('np.0f 11 Wx,Vx'),
      ...both('66.0f 11 Wx,Vx'),
      ...both('f3.0f 7f Wx,Vx'),
    ],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      storeParts(o, dst, loadParts(src));
    },
  }),
  instruction({
    name: 'vmova',
    encodings: [
      ...both('np.0f 28 Vx,Wx'),
      ...both('66.0f 28 Vx,Wx'),
      ...both('66.0f 6f Vx,Wx'),
      ...both('np.0f 29 Wx,Vx'),
      ...both('66.0f 29 Wx,Vx'),
      ...both('66.0f 7f Wx,Vx'),
      ...both('np.0f 2b Mx,Vx'),
      ...both('66.0f 2b Mx,Vx'),
      ...both('66.0f e7 Mx,Vx'),
      ...both('66.0f38 2a Vx,Mx'),
    ],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      checkWhole(o, dst);
      checkWhole(o, src);
      storeParts(o, dst, loadParts(src));
    },
  }),
  instruction({
    name: 'vmovZero',
    encodings: [
      'vex.lig.f3.0f.wig 10 Vx,Md',
      'vex.lig.f2.0f.wig 10 Vx,Mq',
      'vex.128.66.0f.wig 6e Vx,Ey',
      'vex.128.f3.0f.wig 7e Vx,Wq',
      'vex.128.66.0f.wig d6 Ux,Vq',
    ],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      storeLow(o, dst, zeroExtended(o, src.load(), src.width === 64 ? 64 : 32));
    },
  }),
  instruction({
    name: 'vmovStore',
    encodings: [
      'vex.lig.f3.0f.wig 11 Md,Vd',
      'vex.lig.f2.0f.wig 11 Mq,Vq',
      'vex.128.np.0f.wig 13 Mq,Vq',
      'vex.128.66.0f.wig 13 Mq,Vq',
      'vex.128.66.0f.wig d6 Mq,Vq',
      'vex.128.66.0f.wig 7e Ey,Vy',
    ],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      dst.store(src.load());
    },
  }),
  ...(
    [
      ['vmovss', 'f3', 4],
      ['vmovsd', 'f2', 8],
    ] as const
  ).map(([name, prefix, bytes]) =>
    instruction({
      name,
      encodings: [`vex.lig.${prefix}.0f.wig 10 Vx,Hx,Ux`, `vex.lig.${prefix}.0f.wig 11 Ux,Hx,Vx`],
      dst: 'w',
      ...part,
      semantics: (o, dst, a, b) => {
        enterAvx(o);
        storeLow(o, dst, o.shuffle(a.load(), b.load(), [...iota(bytes, 16), ...iota(16 - bytes, bytes)]));
      },
    }),
  ),
  ...(
    [
      // Halves: the first operand's are 0 (low) and 8 (high), the second's 16 and 24.
      ['vmovhlps', ['np.0f.wig 12 Vx,Hx,Ux'], 24, 8],
      ['vmovlps', ['np.0f.wig 12 Vx,Hx,Mq', '66.0f.wig 12 Vx,Hx,Mq'], 16, 8],
      ['vmovhps', ['np.0f.wig 16 Vx,Hx,Ux', 'np.0f.wig 16 Vx,Hx,Mq', '66.0f.wig 16 Vx,Hx,Mq'], 0, 16],
    ] as const
  ).map(([name, encodings, low, high]) =>
    instruction({
      name,
      encodings: encodings.map((text) => `vex.128.${text}`),
      dst: 'w',
      ...part,
      semantics: (o, dst, a, b) => {
        enterAvx(o);
        const second = b.width === 64 ? spread64(o, b.load()) : b.load();
        storeLow(o, dst, o.shuffle(a.load(), second, [...iota(8, low), ...iota(8, high)]));
      },
    }),
  ),
  instruction({
    name: 'vmovhpsStore',
    encodings: ['vex.128.np.0f.wig 17 Mq,Vx', 'vex.128.66.0f.wig 17 Mq,Vx'],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      dst.store(o.lane('i64x2.extract_lane', 1, src.load()));
    },
  }),
  instruction({
    name: 'vmovddup',
    encodings: ['vex.128.f2.0f.wig 12 Vx,Wq', 'vex.256.f2.0f.wig 12 Vt,Wt'],
    dst: 'w',
    ...part,
    semantics: (o, dst, src) => {
      enterAvx(o);
      if (src.width === 64) storeLow(o, dst, spread64(o, src.load()));
      else
        storeParts(
          o,
          dst,
          loadParts(src).map((v) => joinLow(o, v, v)),
        );
    },
  }),
  signMask('vmovmskps', 'np.0f 50 Gd,Ux', 'i32x4', 4),
  signMask('vmovmskpd', '66.0f 50 Gd,Ux', 'i64x2', 2),
  signMask('vpmovmskb', '66.0f d7 Gd,Ux', 'i8x16', 16),
  test('vptest', '66.0f38 17 Vx,Wx', null),
  test(
    'vtestps',
    '66.0f38.w0 0e Vx,Wx',
    iota(16).map((i) => (i % 4 === 3 ? 0x80 : 0)),
  ),
  test(
    'vtestpd',
    '66.0f38.w0 0f Vx,Wx',
    iota(16).map((i) => (i % 8 === 7 ? 0x80 : 0)),
  ),
  instruction({
    name: 'vldmxcsr',
    encodings: ['vex.128.np.0f.wig ae /2 Md'],
    dst: 'r',
    ...part,
    semantics: (o, src) => {
      enterAvx(o);
      o.call('ldmxcsr', src.load());
    },
  }),
  instruction({
    name: 'vstmxcsr',
    encodings: ['vex.128.np.0f.wig ae /3 Md'],
    dst: 'w',
    ...part,
    semantics: (o, dst) => {
      enterAvx(o);
      dst.store(o.field('mxcsr'));
    },
  }),
  instruction({
    name: 'vmaskmovdqu',
    encodings: ['vex.128.66.0f.wig f7 Vx,Ux,Xb'],
    dst: 'r',
    variants: ['opSize', 'addrSize'],
    semantics: (o, src, mask, segment) => {
      enterAvx(o);
      const at = o.reg(7, o.form.addrSize).load();
      const linear = o.memory(segment.load(), at, 128).address();
      o.callVector('maskedStore', linear, src.load(), mask.load());
    },
  }),
  ...(['pcmpestrm', 'pcmpestri', 'pcmpistrm', 'pcmpistri'] as const).map((name, i) => {
    const inner = VECTOR_IMMEDIATE.find((x) => x.name === name)!;
    return instruction({
      name: `v${name}`,
      encodings: [`vex.128.66.0f3a.wig ${(0x60 + i).toString(16)} Vx,Wx,Ib`],
      dst: 'r',
      writesFlags: 'OSZAPC',
      ...part,
      semantics: (o, dst, src, imm, d) => {
        enterAvx(o);
        o.inPart('plain', () => inner.semantics(o, dst, src, imm, d));
        if (name.endsWith('m')) o.xmm(0).part(1).store(zeros(o));
      },
    });
  }),
  ...['psrlw', 'psrld', 'psrlq', 'psraw', 'psrad', 'psllw', 'pslld', 'psllq'].map((name) => {
    const inner = VECTOR_INTEGER.find((x) => x.name === `${name}Sse`)!;
    return shiftByImmediate(`v${name}I`, inner);
  }),
  ...['psrldq', 'pslldq'].map((name) => shiftByImmediate(`v${name}`, VECTOR_INTEGER.find((x) => x.name === name)!)),
  // 64-bit code has twice as many registers.
  ...(['vzeroupper', 'vzeroall'] as const).map((name, i) =>
    instruction({
      name,
      encodings: [`vex.${i ? 256 : 128}.np.0f.wig 77`],
      variants: VEX_VARIANTS,
      semantics: (o) => {
        enterAvx(o);
        for (let r = 0; r < (o.form.long ? 16 : 8); r++) {
          if (i) o.xmm(r).store(zeros(o));
          o.xmm(r).part(1).store(zeros(o));
        }
      },
    }),
  ),
];
