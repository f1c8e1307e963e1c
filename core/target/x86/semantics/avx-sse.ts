/** AVX and AVX2: SSE instructions with a VEX prefix. Most have a third operand, and 256 bits are two times 128. */
import type { Instruction } from './ops.ts';
import { VECTOR_CONVERT } from './vector-convert.ts';
import { VECTOR_FLOAT } from './vector-float.ts';
import { VECTOR_IMMEDIATE } from './vector-immediate.ts';
import { VECTOR_INTEGER } from './vector-integer.ts';
import { VECTOR_MOVE } from './vector-move.ts';
import { type VexShape, vexed } from './vex.ts';

const SSE = new Map(
  [...VECTOR_MOVE, ...VECTOR_INTEGER, ...VECTOR_FLOAT, ...VECTOR_CONVERT, ...VECTOR_IMMEDIATE].map((i) => [i.name, i]),
);
const SHAPES: readonly (readonly [names: string, shape: VexShape])[] = [
  [
    'addps addpd subps subpd mulps mulpd divps divpd minps minpd maxps maxpd haddps haddpd hsubps hsubpd addsubps addsubpd cmpps cmppd dpps',
    { isThree: true, raises: true },
  ],
  [
    'addss addsd subss subsd mulss mulsd divss divsd minss minsd maxss maxsd sqrtss sqrtsd rcpss rsqrtss cmpss cmpsd cvtss2sd cvtsd2ss roundss roundsd cvtsi2ss cvtsi2sd',
    { isThree: true, lengths: ['lig'] },
  ],
  ['comiss comisd ucomiss ucomisd cvtss2si cvtsd2si cvttss2si cvttsd2si', { lengths: ['lig'] }],
  ['sqrtps sqrtpd cvtdq2ps cvtps2dq cvttps2dq roundps roundpd', { raises: true }],
  ['cvtps2pd cvtdq2pd', { raises: true, widens: true }],
  ['cvtpd2ps cvtpd2dq cvttpd2dq', { raises: true, narrows: true }],
  ['rcpps rsqrtps', { leaves: true }],
  ['movsldup movshdup pabsb pabsw pabsd pshufd pshufhw pshuflw', {}],
  ['andp andnp orp xorp unpcklps unpckhps unpcklpd unpckhpd shufps', { isThree: true }],
  ['shufpd blendpd', { isThree: true, immediateShift: 2 }],
  ['blendps', { isThree: true, immediateShift: 4 }],
  ['mpsadbw', { isThree: true, immediateShift: 3 }],
  ['dppd pclmulqdq aesenc aesenclast aesdec aesdeclast', { isThree: true, lengths: ['128'] }],
  ['insertps insertpsMemory pinsrb pinsrw pinsrd', { isThree: true, lengths: ['128'] }],
  ['aesimc aeskeygenassist phminposuw pextrb pextrw pextrd', { lengths: ['128'] }],
  [
    'paddb paddw paddd paddq psubb psubw psubd psubq paddsb paddsw paddusb paddusw psubsb psubsw psubusb psubusw ' +
      'pmullw pmulhw pmulhuw pmaddwd pmuludq psadbw pavgb pavgw pminub pmaxub pminsw pmaxsw pcmpeqb pcmpeqw pcmpeqd ' +
      'pcmpgtb pcmpgtw pcmpgtd pand pandn por pxor punpcklbw punpcklwd punpckldq punpckhbw punpckhwd punpckhdq ' +
      'packsswb packuswb packssdw pshufb phaddw phaddd phaddsw phsubw phsubd phsubsw pmaddubsw pmulhrsw psignb psignw ' +
      'psignd punpcklqdq punpckhqdq pmuldq pcmpeqq packusdw pcmpgtq pminsb pminsd pminuw pminud pmaxsb pmaxsd pmaxuw ' +
      'pmaxud pmulld palignr pblendw',
    { isThree: true },
  ],
  ['psrlw psrld psrlq psraw psrad psllw pslld psllq', { isThree: true, sharesSource: true }],
  [
    'pmovsxbw pmovsxbd pmovsxbq pmovsxwd pmovsxwq pmovsxdq pmovzxbw pmovzxbd pmovzxbq pmovzxwd pmovzxwq pmovzxdq',
    { widens: true },
  ],
];

export const AVX_SSE: readonly Instruction[] = SHAPES.flatMap(([names, shape]) =>
  names.split(' ').map((name) => {
    const sse = SSE.get(name);
    if (!sse) throw new Error(`${name} is no SSE instruction`);
    return vexed(sse, shape);
  }),
);
