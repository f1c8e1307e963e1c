/** BMI1 and BMI2 (Intel SDM volume 2, AMD APM volume 3): bit fields, shifts that leave the flags alone, products without flags. All but
 *  TZCNT have a VEX prefix. */
import { EDX } from '../state.ts';
import { instruction, type Operand, type Ops } from './ops.ts';
import { enterVex, VEX_VARIANTS } from './vex.ts';

const part = { dst: 'w', variants: VEX_VARIANTS } as const;
/** S and Z by the result, O clear, C as given; A and P, which are undefined, as the host CPUs have it: clear. */
function commit<V>(o: Ops<V>, result: V, dst: Operand<V>, carry: V): void {
  o.commitResultFlags(result, dst.width, carry, o.const(0));
}
const low = <V>(o: Ops<V>, value: V, width: number): V => (width === 64 ? o.narrow(value) : value);
const one = <V>(o: Ops<V>, width: number): V => (width === 64 ? o.wideU(o.const(1)) : o.const(1));
/** The low `count` bits set; `count` below the width, 32 bits wide. */
const ones = <V>(o: Ops<V>, count: V, width: number): V =>
  o.sub(o.shl(one(o, width), width === 64 ? o.wideU(count) : count), one(o, width));
const wide = <V>(o: Ops<V>, n: V, width: number): V => (width === 64 ? o.wideU(n) : n);

/** Lowest bit set: alone, up to it, without it. C: the source is zero (not zero for BLSI). */
const lowest = (name: string, digit: number) =>
  instruction({
    name,
    encodings: [`vex.128.np.0f38.wig f3 /${digit} By,Ey`],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'AP',
    ...part,
    semantics: (o, dst, src) => {
      enterVex(o);
      const value = src.load();
      const below = o.sub(value, one(o, dst.width));
      const isZero = o.eqz(value);
      const result =
        name === 'blsr'
          ? o.and(value, below)
          : name === 'blsmsk'
            ? o.xor(value, below)
            : o.and(value, o.sub(wide(o, o.const(0), dst.width), value));
      dst.store(result);
      commit(o, result, dst, name === 'blsi' ? o.eqz(isZero) : isZero);
    },
  });
const shift = (name: 'shlx' | 'sarx' | 'shrx', prefix: string) =>
  instruction({
    name,
    encodings: [`vex.128.${prefix}.0f38.wig f7 Gy,Ey,By`],
    ...part,
    semantics: (o, dst, src, count) => {
      enterVex(o);
      const value = src.load();
      const by = o.and(count.load(), o.const(dst.width - 1));
      dst.store(name === 'shlx' ? o.shl(value, by) : name === 'sarx' ? o.shrS(value, by) : o.shrU(value, by));
    },
  });
/** Bits to or from the places that a mask names; 64 bits are two times 32, the second behind as many bits as the first's mask has. */
const scatter = (name: 'pdep' | 'pext', prefix: string) =>
  instruction({
    name,
    encodings: [`vex.128.${prefix}.0f38.wig f5 Gy,By,Ey`],
    ...part,
    semantics: (o, dst, a, b) => {
      enterVex(o);
      const mask = b.load();
      const value = a.load();
      if (dst.width === 32) {
        dst.store(o.call(name, value, mask));
        return;
      }
      const [lowMask, highMask] = [o.narrow(mask), o.narrow(o.shrU(mask, 32))];
      const count = o.wideU(o.call('bitCount', lowMask));
      const first = o.wideU(o.call(name, o.narrow(value), lowMask));
      const rest = o.narrow(o.shrU(value, name === 'pdep' ? count : 32));
      const second = o.wideU(o.call(name, rest, highMask));
      dst.store(o.or(first, o.shl(second, name === 'pdep' ? 32 : count)));
    },
  });

export const BMI = [
  instruction({
    name: 'tzcnt',
    encodings: ['f3 0f bc Gv,Ev'],
    dst: 'w',
    writesFlags: 'OSZAPC',
    undefinedFlags: 'OSAP',
    semantics: (o, dst, src) => {
      const value = src.load();
      const isZero = o.eqz(value);
      const count = dst.width === 16 ? o.ctz(o.or(value, o.const(0x1_0000))) : o.ctz(value);
      dst.store(count);
      o.commitResultFlags(count, dst.width, isZero, o.const(0));
    },
  }),
  instruction({
    name: 'andn',
    encodings: ['vex.128.np.0f38.wig f2 Gy,By,Ey'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'AP',
    ...part,
    semantics: (o, dst, a, b) => {
      enterVex(o);
      const second = b.load();
      const result = o.and(o.not(a.load()), second);
      dst.store(result);
      commit(o, result, dst, o.const(0));
    },
  }),
  lowest('blsr', 1),
  lowest('blsmsk', 2),
  lowest('blsi', 3),
  instruction({
    name: 'bextr',
    encodings: ['vex.128.np.0f38.wig f7 Gy,Ey,By'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'SAP',
    ...part,
    semantics: (o, dst, src, control) => {
      enterVex(o);
      const value = src.load();
      const by = low(o, control.load(), dst.width);
      const { width } = dst;
      const start = o.and(by, o.const(0xff));
      const count = o.and(o.shrU(by, 8), o.const(0xff));
      const last = o.const(width - 1);
      const moved = o.select(
        o.gtU(start, last),
        wide(o, o.const(0), width),
        o.shrU(value, wide(o, o.and(start, last), width)),
      );
      const kept = o.and(moved, ones(o, o.and(count, last), width));
      const result = o.select(o.gtU(count, last), moved, kept);
      dst.store(result);
      o.commitZeroCarry(o.eqz(result), o.const(0));
    },
  }),
  instruction({
    name: 'bzhi',
    encodings: ['vex.128.np.0f38.wig f5 Gy,Ey,By'],
    writesFlags: 'OSZAPC',
    undefinedFlags: 'AP',
    ...part,
    semantics: (o, dst, src, index) => {
      enterVex(o);
      const value = src.load();
      const { width } = dst;
      const from = o.and(low(o, index.load(), width), o.const(0xff));
      const last = o.const(width - 1);
      const isBeyond = o.gtU(from, last);
      const result = o.select(isBeyond, value, o.and(value, ones(o, o.and(from, last), width)));
      dst.store(result);
      commit(o, result, dst, isBeyond);
    },
  }),
  scatter('pdep', 'f2'),
  scatter('pext', 'f3'),
  instruction({
    name: 'mulx',
    encodings: ['vex.128.f2.0f38.wig f6 Gy,By,Ey'],
    ...part,
    semantics: (o, high, lowHalf, src) => {
      enterVex(o);
      const b = src.load();
      const a = o.reg(EDX, high.width).load();
      if (high.width === 32) {
        const product = o.mul(o.wideU(a), o.wideU(b));
        // The same register twice: the high half stays.
        lowHalf.store(o.narrow(product));
        high.store(o.narrow(o.shrU(product, 32)));
        return;
      }
      const [a0, a1] = [o.wideU(o.narrow(a)), o.shrU(a, 32)];
      const [b0, b1] = [o.wideU(o.narrow(b)), o.shrU(b, 32)];
      const middle = o.add(o.mul(a1, b0), o.shrU(o.mul(a0, b0), 32));
      const cross = o.add(o.mul(a0, b1), o.wideU(o.narrow(middle)));
      const top = o.add(o.add(o.mul(a1, b1), o.shrU(middle, 32)), o.shrU(cross, 32));
      lowHalf.store(o.mul(a, b));
      high.store(top);
    },
  }),
  instruction({
    name: 'rorx',
    encodings: ['vex.128.f2.0f3a.wig f0 Gy,Ey,Ib'],
    ...part,
    semantics: (o, dst, src, imm) => {
      enterVex(o);
      dst.store(o.rotr(src.load(), o.and(imm.load(), o.const(dst.width - 1))));
    },
  }),
  shift('shlx', '66'),
  shift('sarx', 'f3'),
  shift('shrx', 'f2'),
];
