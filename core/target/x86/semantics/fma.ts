/** FMA (Intel SDM volume 1, 14.5): products that are added before they are rounded; and F16C: conversions to and from half precision. */
import { FLOAT_OP } from '../sse-float.ts';
import { type Instruction, instruction, type Operand, type Ops } from './ops.ts';
import { floatCode, floatVector, type Precision, scalarOperand } from './vector-number.ts';
import { enterAvx, loadParts, storeLow, storeParts, VEX_VARIANTS, zeros } from './vex.ts';

const part = { variants: VEX_VARIANTS } as const;

/** Low digit of the opcode, name, and what is negated: 1 product, 2 addend in even lanes, 4 addend in odd ones. */
const OPERATIONS = [
  [0x6, 'fmaddsub', 'p', 2],
  [0x7, 'fmsubadd', 'p', 4],
  [0x8, 'fmadd', 'p', 0],
  [0x9, 'fmadd', 's', 0],
  [0xa, 'fmsub', 'p', 6],
  [0xb, 'fmsub', 's', 6],
  [0xc, 'fnmadd', 'p', 1],
  [0xd, 'fnmadd', 's', 1],
  [0xe, 'fnmsub', 'p', 7],
  [0xf, 'fnmsub', 's', 7],
] as const;
/** Digits of the name: which operands are multiplied, and which is added. */
const ORDERS = [
  ['132', 0x90, [0, 2, 1]],
  ['213', 0xa0, [1, 0, 2]],
  ['231', 0xb0, [1, 2, 0]],
] as const;

/** x * y + z with everything that MXCSR asks for. */
function fused<V>(o: Ops<V>, pass: 'plain' | 'gather', code: number, x: V, y: V, z: V): V {
  o.scratchVector(3).store(z);
  return o.callVector(pass === 'gather' ? 'vectorFusedGather' : 'vectorFused', o.const(code), x, y);
}

const multiplyAdd = ORDERS.flatMap(([digits, base, order]) =>
  OPERATIONS.flatMap(([low, stem, shape, signs]) =>
    (['s', 'd'] as const).map((precision) => {
      const w = precision === 's' ? 'w0' : 'w1';
      const isScalar = shape === 's';
      const opcode = (base + low).toString(16);
      const code = floatCode(0, precision, isScalar) | (signs << 16);
      return instruction({
        name: `v${stem}${digits}${shape}${precision}`,
        encodings: isScalar
          ? [`vex.lig.66.0f38.${w} ${opcode} Vx,Hx,W${precision === 's' ? 'd' : 'q'}`]
          : [`vex.128.66.0f38.${w} ${opcode} Vx,Hx,Wx`, `vex.256.66.0f38.${w} ${opcode} Vt,Ht,Wt`],
        ...part,
        semantics<V>(o: Ops<V>, dst: Operand<V>, second: Operand<V>, third: Operand<V>): void {
          enterAvx(o);
          const thirds = isScalar ? [floatVector(o, precision, scalarOperand(o, third, precision))] : loadParts(third);
          const seconds = loadParts(second);
          const firsts = loadParts(dst);
          const compute = (pass: 'plain' | 'gather', store: (v: V, i: number) => void) => {
            firsts.forEach((first, i) => {
              const operands = [first, seconds[i]!, thirds[i]!] as const;
              const [x, y, z] = order.map((n) => operands[n]!) as [V, V, V];
              multiply(o, pass, precision, code, operands[0], [x, y, z], (v) => store(v, i));
            });
          };
          if (firsts.length === 1) {
            compute('plain', (v) => storeLow(o, dst, v));
            return;
          }
          const masks = o.const(0x1f80);
          o.rarely(
            o.ne(o.and(o.field('mxcsr'), masks), masks),
            () => {
              o.setField('sseGathered', o.const(0));
              compute('gather', (v, i) => o.scratchVector(i).store(v));
              o.call('settleGathered');
              storeParts(o, dst, [o.scratchVector(0).load(), o.scratchVector(1).load()]);
            },
            () => compute('plain', (v, i) => dst.part(i).store(v)),
          );
        },
      });
    }),
  ),
);
/** Of scalars the lanes above are those of the destination. */
function multiply<V>(
  o: Ops<V>,
  pass: 'plain' | 'gather',
  precision: Precision,
  code: number,
  kept: V,
  [x, y, z]: readonly [V, V, V],
  store: (v: V) => void,
): void {
  const isScalar = (code & 0x200) !== 0;
  const result = fused(o, pass, code, x, y, z);
  if (!isScalar) store(result);
  else {
    const number = o.lane(precision === 's' ? 'i32x4.extract_lane' : 'i64x2.extract_lane', 0, result);
    store(o.lane(precision === 's' ? 'i32x4.replace_lane' : 'i64x2.replace_lane', 0, kept, number));
  }
}

/** Halves in the low part of a vector. */
const fromHalf = instruction({
  name: 'vcvtph2ps',
  encodings: ['vex.128.66.0f38.w0 13 Vx,Wq', 'vex.256.66.0f38.w0 13 Vt,Wx'],
  dst: 'w',
  ...part,
  semantics: (o, dst, src) => {
    enterAvx(o);
    const code = floatCode(FLOAT_OP.fromHalf, 's', false);
    const value = src.load();
    if (src.width === 64) {
      const b = o.simd('i64x2.splat', value);
      storeLow(o, dst, o.callVector('vectorFloat', o.const(code), b, b));
      return;
    }
    const upper = o.shuffle(value, value, [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]);
    o.setField('sseGathered', o.const(0));
    const low = o.callVector('vectorFloatGather', o.const(code), value, value);
    o.scratchVector(0).store(low);
    const high = o.callVector('vectorFloatGather', o.const(code), upper, upper);
    o.scratchVector(1).store(high);
    o.call('settleGathered');
    storeParts(o, dst, [o.scratchVector(0).load(), o.scratchVector(1).load()]);
  },
});
const toHalf = instruction({
  name: 'vcvtps2ph',
  encodings: ['vex.128.66.0f3a.w0 1d Wq,Vx,Ib', 'vex.256.66.0f3a.w0 1d Wx,Vt,Ib'],
  dst: 'w',
  ...part,
  semantics: (o, dst, src, imm) => {
    enterAvx(o);
    const code = o.or(o.const(floatCode(FLOAT_OP.toHalf, 's', false)), o.shl(o.and(imm.load(), o.const(7)), 16));
    o.setField('sseGathered', o.const(0));
    const parts = loadParts(src);
    parts.forEach((v, i) => {
      o.scratchVector(i).store(o.callVector('vectorFloatGather', code, v, v));
    });
    // To memory: that it can be written is found first.
    if (dst.kind !== 'r') o.call('probeWritable', dst.address(), o.const(dst.width / 8));
    o.call('settleGathered');
    const low = o.scratchVector(0).load();
    if (dst.width === 64) {
      const value = o.lane('i64x2.extract_lane', 0, low);
      if (dst.kind === 'r') {
        dst.part(0).store(o.lane('i64x2.replace_lane', 0, zeros(o), value));
        dst.part(1).store(zeros(o));
      } else dst.store(value);
      return;
    }
    storeLow(
      o,
      dst,
      o.shuffle(low, o.scratchVector(1).load(), [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]),
    );
  },
});

export const FMA: readonly Instruction[] = [...multiplyAdd, fromHalf, toHalf];
