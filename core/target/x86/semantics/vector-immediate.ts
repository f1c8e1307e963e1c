/** Vector instructions whose work is a helper's, chosen by an immediate: blends, insertions, sums of products and of
 *  differences, string comparisons; CRC32, AES and carry-less multiplication. */
import { VECTOR_OP } from '../vector-tables.ts';
import { instruction, type Ops } from './ops.ts';
import { enterSse, loadAligned, zeroExtended } from './vector.ts';

const withCode = <V>(o: Ops<V>, op: number, imm: V) => o.or(o.const(op), o.shl(imm, 16));

export const VECTOR_IMMEDIATE = [
  ...(
    [
      ['blendps', '0c', VECTOR_OP.blend32],
      ['blendpd', '0d', VECTOR_OP.blend64],
      ['pblendw', '0e', VECTOR_OP.blend16],
      ['mpsadbw', '42', VECTOR_OP.mpsadbw],
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
      ['dpps', '40', 's'],
      ['dppd', '41', 'd'],
    ] as const
  ).map(([name, opcode, precision]) =>
    instruction({
      name,
      encodings: [`66 0f 3a ${opcode} Vx,Wx,Ib`],
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = loadAligned(o, src);
        const op = o.or(o.const(precision === 'd' ? 0x100 : 0), o.shl(imm.load(), 16));
        dst.store(o.callVector('vectorDot', op, dst.load(), b));
      },
    }),
  ),
  ...(
    [
      ['phminposuw', '41', VECTOR_OP.minimum],
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
      dst.store(o.callVector('vectorTable', withCode(o, VECTOR_OP.insert, imm.load()), dst.load(), src.load()));
    },
  }),
  instruction({
    name: 'insertpsMemory',
    encodings: ['66 0f 3a 21 Vx,Md,Ib'],
    semantics: (o, dst, src, imm) => {
      enterSse(o);
      const b = zeroExtended(o, src.load(), 32);
      const code = withCode(o, VECTOR_OP.insert, o.and(imm.load(), o.const(0x3f)));
      dst.store(o.callVector('vectorTable', code, dst.load(), b));
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
      semantics: (o, dst, src, imm) => {
        enterSse(o);
        const b = src.load();
        const result = o.callVector('vectorString', withCode(o, flags, imm.load()), dst.load(), b);
        if (flags & 0x200) o.xmm(0).store(result);
      },
    }),
  ),
  instruction({
    name: 'crc32',
    encodings: ['f2 0f 38 f0 Gy,Eb', 'f2 0f 38 f1 Gy,Ev'],
    semantics: (o, dst, src) => {
      const value = src.load();
      dst.store(o.call('crc32', dst.load(), value, o.const(src.width)));
    },
  }),
];
