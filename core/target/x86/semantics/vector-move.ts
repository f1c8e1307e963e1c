/** Moves between memory, general, MMX and SSE registers, and the control register of SSE. */
import { instruction, type Operand, type Ops } from './ops.ts';
import {
  checkAligned,
  commitMmx,
  enterMmx,
  enterSse,
  joinLow,
  loadAligned,
  mmxValue,
  spread64,
  zeroExtended,
} from './vector.ts';

const iota = (n: number, from = 0) => Array.from({ length: n }, (_, i) => from + i);
type Semantics = <V>(o: Ops<V>, dst: Operand<V>, src: Operand<V>) => void;

const move: Semantics = (o, dst, src) => {
  enterSse(o);
  dst.store(src.load());
};
const moveAligned: Semantics = (o, dst, src) => {
  enterSse(o);
  checkAligned(o, dst);
  dst.store(loadAligned(o, src));
};
/** Into the low lane, zeros above. */
const moveZero: Semantics = (o, dst, src) => {
  enterSse(o);
  dst.store(zeroExtended(o, src.load(), src.width === 64 ? 64 : 32));
};
/** Of MMX: the other operand may be 32 or 64 bits wide. */
const moveMmx: Semantics = (o, dst, src) => {
  enterMmx(o);
  const value = src.load();
  commitMmx(o);
  if (dst.width === 128) dst.store(mmxValue(o, zeroExtended(o, value, src.width === 64 ? 64 : 32)));
  else dst.store(value);
};
/** A store that may fault, so the change of the x87 unit comes last. */
const storeMmx: Semantics = (o, dst, src) => {
  enterMmx(o);
  dst.store(src.load());
  commitMmx(o);
};
const shuffled =
  (bytes: readonly number[]): Semantics =>
  (o, dst, src) => {
    enterSse(o);
    const b = src.width === 64 ? spread64(o, src.load()) : loadAligned(o, src);
    dst.store(o.shuffle(dst.load(), b, bytes));
  };

export const VECTOR_MOVE = [
  instruction({
    name: 'movu',
    encodings: [
      'np 0f 10 Vx,Wx',
      '66 0f 10 Vx,Wx',
      'f3 0f 6f Vx,Wx',
      'f2 0f f0 Vx,Mx',
      'np 0f 11 Wx,Vx',
      '66 0f 11 Wx,Vx',
      'f3 0f 7f Wx,Vx',
    ],
    dst: 'w',
    semantics: move,
  }),
  instruction({
    name: 'mova',
    encodings: [
      'np 0f 28 Vx,Wx',
      '66 0f 28 Vx,Wx',
      '66 0f 6f Vx,Wx',
      'np 0f 29 Wx,Vx',
      '66 0f 29 Wx,Vx',
      '66 0f 7f Wx,Vx',
      'np 0f 2b Mx,Vx',
      '66 0f 2b Mx,Vx',
      '66 0f e7 Mx,Vx',
      '66 0f 38 2a Vx,Mx',
    ],
    dst: 'w',
    semantics: moveAligned,
  }),
  instruction({
    name: 'movScalar',
    encodings: [
      'f3 0f 10 Vd,Ud',
      'f3 0f 11 Wd,Vd',
      'f2 0f 10 Vq,Uq',
      'f2 0f 11 Wq,Vq',
      'np 0f 12 Vq,Mq',
      '66 0f 12 Vq,Mq',
      'np 0f 13 Mq,Vq',
      '66 0f 13 Mq,Vq',
      '66 0f d6 Mq,Vq',
      '66 0f 7e Ey,Vy',
    ],
    dst: 'w',
    semantics: move,
  }),
  instruction({
    name: 'movZero',
    encodings: ['f3 0f 10 Vx,Md', 'f2 0f 10 Vx,Mq', '66 0f 6e Vx,Ey', 'f3 0f 7e Vx,Wq', '66 0f d6 Ux,Vq'],
    dst: 'w',
    semantics: moveZero,
  }),
  instruction({
    name: 'movMmx',
    encodings: ['np 0f 6e Px,Ey', 'np 0f 6f Px,Qq', 'np 0f 7f Tx,Pq'],
    dst: 'w',
    semantics: moveMmx,
  }),
  instruction({
    name: 'movFromMmx',
    encodings: ['np 0f 7e Ey,Py', 'np 0f 7f Mq,Pq', 'np 0f e7 Mq,Pq'],
    dst: 'w',
    semantics: storeMmx,
  }),
  instruction({
    name: 'movq2dq',
    encodings: ['f3 0f d6 Vx,Tq'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterMmx(o);
      commitMmx(o);
      dst.store(zeroExtended(o, src.load(), 64));
    },
  }),
  instruction({
    name: 'movdq2q',
    encodings: ['f2 0f d6 Px,Uq'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterMmx(o);
      commitMmx(o);
      dst.store(mmxValue(o, spread64(o, src.load())));
    },
  }),
  instruction({
    name: 'movnti',
    encodings: ['np 0f c3 My,Gy'],
    dst: 'w',
    semantics: (_o, dst, src) => dst.store(src.load()),
  }),
  instruction({ name: 'movhlps', encodings: ['np 0f 12 Vx,Ux'], semantics: shuffled([...iota(8, 24), ...iota(8, 8)]) }),
  instruction({
    name: 'movhps',
    encodings: ['np 0f 16 Vx,Ux', 'np 0f 16 Vx,Mq', '66 0f 16 Vx,Mq'],
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = src.width === 64 ? spread64(o, src.load()) : src.load();
      dst.store(joinLow(o, dst.load(), b));
    },
  }),
  instruction({
    name: 'movhpsStore',
    encodings: ['np 0f 17 Mq,Vx', '66 0f 17 Mq,Vx'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      dst.store(o.lane('i64x2.extract_lane', 1, src.load()));
    },
  }),
  instruction({
    name: 'movddup',
    encodings: ['f2 0f 12 Vx,Wq'],
    dst: 'w',
    semantics: shuffled([...iota(8, 16), ...iota(8, 16)]),
  }),
  instruction({
    name: 'movsldup',
    encodings: ['f3 0f 12 Vx,Wx'],
    dst: 'w',
    semantics: shuffled(iota(16).map((i) => 16 + (i & 0x8) + (i & 3))),
  }),
  instruction({
    name: 'movshdup',
    encodings: ['f3 0f 16 Vx,Wx'],
    dst: 'w',
    semantics: shuffled(iota(16).map((i) => 20 + (i & 0x8) + (i & 3))),
  }),
  instruction({
    name: 'ldmxcsr',
    encodings: ['np 0f ae /2 Md'],
    dst: 'r',
    semantics: (o, src) => {
      enterSse(o);
      o.call('ldmxcsr', src.load());
    },
  }),
  instruction({
    name: 'stmxcsr',
    encodings: ['np 0f ae /3 Md'],
    dst: 'w',
    semantics: (o, dst) => {
      enterSse(o);
      dst.store(o.field('mxcsr'));
    },
  }),
  ...[
    { name: 'maskmovdqu', encoding: '66 0f f7 Vx,Ux,Xb', isMmx: false },
    { name: 'maskmovq', encoding: 'np 0f f7 Px,Tx,Xb', isMmx: true },
  ].map(({ name, encoding, isMmx }) =>
    instruction({
      name,
      encodings: [encoding],
      dst: 'r',
      variants: ['addrSize'],
      semantics: (o, src, mask, segment) => {
        if (isMmx) enterMmx(o);
        else enterSse(o);
        const at = o.reg(7, o.form.addrSize).load();
        const linear = o.memory(segment.load(), at, isMmx ? 64 : 128).address();
        const zero = o.vector(Array(16).fill(0));
        const bits = isMmx ? joinLow(o, mask.load(), zero) : mask.load();
        o.callVector('maskedStore', linear, src.load(), bits);
        if (isMmx) commitMmx(o);
      },
    }),
  ),
];
