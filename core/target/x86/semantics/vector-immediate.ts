/** Vector instructions whose work is a helper's, chosen by an immediate: blends, insertions, sums of products and of
 *  differences, string comparisons; CRC32, AES and carry-less multiplication. */
import { VECTOR_OP } from '../vector-tables.ts';
import { instruction, type Ops } from './ops.ts';
import { enterSse, lanes, loadAligned, zeroExtended } from './vector.ts';
import { byteWindow } from './vector-integer.ts';
import { outside, type Precision, TYPE, WHOLE, WINDOWS } from './vector-number.ts';

const withCode = <V>(o: Ops<V>, op: number, imm: V) => o.or(o.const(op), o.shl(imm, 16));

const iota = (n: number) => Array.from({ length: n }, (_, i) => i);
/** Lanes whose bit in the immediate is set, from bit `first` on. */
function laneMask<V>(o: Ops<V>, imm: V, size: 2 | 4 | 8, first = 0): V {
  const number = o.known(imm);
  if (number !== null)
    return o.vector(iota(16).map((i) => ((number >> (first + Math.floor(i / size))) & 1 ? 0xff : 0)));
  const bits = o.vector(iota(16).map((i) => (i % size ? 0 : 1 << (i / size))));
  const shifted = o.and(o.shrU(imm, first), o.const(0xff));
  // Every bit in the low byte of its lane.
  const type = ({ 2: 'i16x8', 4: 'i32x4', 8: 'i64x2' } as const)[size];
  const all = o.simd('v128.and', o.simd('i8x16.splat', shifted), bits);
  return o.simd(`${type}.ne`, all, lanes(o, [0]));
}
/** INSERTPS: a single of `b` to a place in `a`, and zeros where bits say so. */
function insertedSingle<V>(o: Ops<V>, a: V, b: V, imm: V): V {
  const number = o.known(imm);
  if (number !== null) {
    const to = (number >> 4) & 3;
    const bytes = iota(16).map((i) => (i >> 2 === to ? 16 + (number >> 6) * 4 + (i & 3) : i));
    const kept = iota(16).map((i) => ((number >> (i >> 2)) & 1 ? 0 : 0xff));
    return o.simd('v128.and', o.shuffle(a, b, bytes), o.vector(kept));
  }
  return o.callVector('vectorTable', withCode(o, VECTOR_OP.insert, imm), a, b);
}
/** Products of the lanes that bits 4-7 choose, summed in pairs, into the lanes of bits 0-3. Products in the window of a product
 *  can be added without a look: nothing over- or underflows. */
const dotProduct = (precision: Precision) =>
  instruction({
    name: `dpp${precision}`,
    encodings: [`66 0f 3a ${precision === 's' ? '40' : '41'} Vx,Wx,Ib`],
    natives: [`mulp${precision}`, `addp${precision}`],
    semantics: (o, dst, src, immediate) => {
      enterSse(o);
      const type = TYPE[precision];
      const { ints } = WHOLE[precision];
      const size = precision === 's' ? 4 : 8;
      const b = loadAligned(o, src);
      const a = dst.load();
      const imm = immediate.load();
      const chosen = laneMask(o, imm, size, 4);
      const products = o.simd('v128.and', o.simd(`${type}.mul`, a, b), chosen);
      const [ofA, ofProduct] = WINDOWS.mul[precision];
      const bad = o.simd('v128.or', outside(o, precision, a, ofA), outside(o, precision, products, ofProduct));
      const neighbours = (v: typeof a, by: number) =>
        o.shuffle(
          v,
          v,
          iota(16).map((i) => (i + by) & 15),
        );
      const store = (sums: typeof a) => {
        const total = o.shuffle(
          sums,
          sums,
          iota(16).map((i) => i % size),
        );
        dst.store(o.simd('v128.and', total, laneMask(o, imm, size)));
      };
      const isGathering = o.form.vexPart === 'gather';
      const exactly = () => {
        const code = o.or(o.const(precision === 'd' ? 0x100 : 0), o.shl(imm, 16));
        dst.store(o.callVector(isGathering ? 'vectorDotGather' : 'vectorDot', code, a, b));
      };
      if (isGathering) {
        exactly();
        return;
      }
      const unless = (isRefused: () => void, then: () => void) => o.when(o.field('sseOutcome'), isRefused, then, false);
      /** Sums of lanes 0 and 1, 2 and 3; then of those. */
      const sumUp = (v: typeof a, add: (x: typeof a, y: typeof a, then: (sum: typeof a) => void) => void) =>
        add(v, neighbours(v, size), (pairs) => {
          if (precision === 'd') store(pairs);
          else add(pairs, neighbours(pairs, 8), store);
        });
      const signs = o.simd(`${ints}.bitmask`, o.simd('v128.and', bad, chosen));
      o.when(
        o.ltU(signs, o.field('ssePlain')),
        () => sumUp(products, (x, y, then) => then(o.simd(`${type}.add`, x, y))),
        () => {
          const none = lanes(o, [0]);
          const masked = (v: typeof a) => o.simd('v128.bitselect', v, none, chosen);
          const first = o.native(`mulp${precision}`, masked(a), masked(b));
          // Only lanes that count are added; a helper that starts afresh finds the same flags again.
          const even = o.vector(iota(16).map((i) => (Math.floor(i / size) % 2 ? 0 : 0xff)));
          const low = o.vector(iota(16).map((i) => (i < size ? 0xff : 0)));
          const add = (keep: typeof a) => (x: typeof a, y: typeof a, then: (sum: typeof a) => void) => {
            const sum = o.native(`addp${precision}`, o.simd('v128.and', x, keep), o.simd('v128.and', y, keep));
            unless(exactly, () => then(sum));
          };
          unless(exactly, () =>
            add(precision === 's' ? even : low)(first, neighbours(first, size), (pairs) => {
              if (precision === 'd') store(pairs);
              else add(low)(pairs, neighbours(pairs, 8), store);
            }),
          );
        },
        true,
      );
    },
  });

export const VECTOR_IMMEDIATE = [
  ...(
    [
      ['pclmulqdq', '44', VECTOR_OP.clmul],
      ['aeskeygenassist', 'df', VECTOR_OP.aesKey],
    ] as const
  ).map(([name, opcode, op]) =>
    instruction({
      name,
      encodings: [`66 0f 3a ${opcode} Vx,Wx,Ib`],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = loadAligned(o, src);
        dst.store(o.callVector('vectorTable', withCode(o, op, imm.load()), dst.load(), b));
      },
    }),
  ),
  ...(
    [
      ['blendps', '0c', 4],
      ['blendpd', '0d', 8],
      ['pblendw', '0e', 2],
    ] as const
  ).map(([name, opcode, size]) =>
    instruction({
      name,
      encodings: [`66 0f 3a ${opcode} Vx,Wx,Ib`],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = loadAligned(o, src);
        dst.store(o.simd('v128.bitselect', b, dst.load(), laneMask(o, imm.load(), size)));
      },
    }),
  ),
  instruction({
    name: 'mpsadbw',
    encodings: ['66 0f 3a 42 Vx,Wx,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const b = loadAligned(o, src);
      const by = imm.load();
      const window = byteWindow(o, dst.load(), o.and(by, o.const(4)), true);
      const four = byteWindow(o, b, o.shl(o.and(by, o.const(3)), 2), true);
      const distance = (k: number) => {
        const x = o.shuffle(
          window,
          window,
          iota(16).map((i) => (i & 7) + k),
        );
        const y = o.shuffle(four, four, Array<number>(16).fill(k));
        const size = o.simd('v128.or', o.simd('i8x16.sub_sat_u', x, y), o.simd('i8x16.sub_sat_u', y, x));
        return o.simd('i16x8.extend_low_i8x16_u', size);
      };
      dst.store([1, 2, 3].reduce((sum, k) => o.simd('i16x8.add', sum, distance(k)), distance(0)));
    },
  }),
  instruction({
    name: 'phminposuw',
    encodings: ['66 0f 38 41 Vx,Wx'],
    dst: 'w',
    semantics: (o, dst, src) => {
      enterSse(o);
      const b = loadAligned(o, src);
      // Value above, number below: the least of the sums is the first of the least words.
      const numbered = (half: 'low' | 'high') =>
        o.simd(
          'v128.or',
          o.simd('i32x4.shl', o.simd(`i32x4.extend_${half}_i16x8_u`, b), o.const(16)),
          o.vector(iota(16).map((i) => (i % 4 ? 0 : i / 4 + (half === 'low' ? 0 : 4)))),
        );
      let least = o.simd('i32x4.min_u', numbered('low'), numbered('high'));
      for (const by of [8, 4])
        least = o.simd(
          'i32x4.min_u',
          least,
          o.shuffle(
            least,
            least,
            iota(16).map((i) => (i + by) & 15),
          ),
        );
      const found = o.rotl(o.lane('i32x4.extract_lane', 0, least), 16);
      dst.store(zeroExtended(o, found, 32));
    },
  }),
  ...(['s', 'd'] as const).map((precision) => dotProduct(precision)),
  ...(
    [
      ['aesimc', 'db', VECTOR_OP.aesMix],
      ['aesenc', 'dc', VECTOR_OP.aesEncrypt],
      ['aesenclast', 'dd', VECTOR_OP.aesEncryptLast],
      ['aesdec', 'de', VECTOR_OP.aesDecrypt],
      ['aesdeclast', 'df', VECTOR_OP.aesDecryptLast],
    ] as const
  ).map(([name, opcode, op]) =>
    instruction({
      name,
      encodings: [`66 0f 38 ${opcode} Vx,Wx`],
      semantics: (o, dst, src) => {
        enterSse(o);
        const b = loadAligned(o, src);
        dst.store(o.callVector('vectorTable', o.const(op), dst.load(), b));
      },
    }),
  ),
  instruction({
    name: 'insertps',
    encodings: ['66 0f 3a 21 Vx,Ux,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      dst.store(insertedSingle(o, dst.load(), src.load(), imm.load()));
    },
  }),
  instruction({
    name: 'insertpsMemory',
    encodings: ['66 0f 3a 21 Vx,Md,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const b = zeroExtended(o, src.load(), 32);
      dst.store(insertedSingle(o, dst.load(), b, o.and(imm.load(), o.const(0x3f))));
    },
  }),
  ...(
    [
      ['pcmpestrm', '60', 0x200],
      ['pcmpestri', '61', 0],
      ['pcmpistrm', '62', 0x300],
      ['pcmpistri', '63', 0x100],
    ] as const
  ).map(([name, opcode, flags]) =>
    instruction({
      name,
      encodings: [`66 0f 3a ${opcode} Vx,Wx,Ib`],
      dst: 'r',
      writesFlags: 'OSZAPC',
      variants: ['opSize'],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = src.load();
        const code = withCode(o, flags | (o.form.opSize === 64 ? 0x400 : 0), imm.load());
        const result = o.callVector('vectorString', code, dst.load(), b);
        if (flags & 0x200) o.xmm(0).store(result);
      },
    }),
  ),
  instruction({
    name: 'crc32',
    encodings: ['f2 0f 38 f0 Gy,Eb', 'f2 0f 38 f1 Gy,Ev'],
    semantics: (o, dst, src) => {
      const value = src.load();
      const before = dst.width === 64 ? o.narrow(dst.load()) : dst.load();
      if (src.width === 64) {
        const low = o.call('crc32', before, o.narrow(value), o.const(32));
        dst.store(o.wideU(o.call('crc32', low, o.narrow(o.shrU(value, 32)), o.const(32))));
        return;
      }
      const after = o.call('crc32', before, value, o.const(src.width));
      dst.store(dst.width === 64 ? o.wideU(after) : after);
    },
  }),
];
