/** AVX and AVX2: loads and stores of the lanes that a mask chooses, and gathers. Lanes that are not chosen are not accessed. */
import { type Instruction, instruction, type Operand, type Ops } from './ops.ts';
import { enterAvx, loadParts, storeParts, VEX_VARIANTS } from './vex.ts';

const part = { dst: 'w', variants: VEX_VARIANTS } as const;

/** The sign of each lane in all of its dwords. */
const spreadSigns = <V>(o: Ops<V>, isWide: boolean, mask: V): V =>
  o.simd(isWide ? 'i64x2.shr_s' : 'i32x4.shr_s', mask, o.const(isWide ? 63 : 31));
const at = <V>(o: Ops<V>, x: Operand<V>, index: number): V => o.add(x.address(), o.const(16 * index));

function masked(name: string, load: string, store: string, w: 'w0' | 'w1', isWide: boolean): Instruction[] {
  return [
    instruction({
      name,
      encodings: [`vex.128.66.0f38.${w} ${load} Vx,Hx,Mx`, `vex.256.66.0f38.${w} ${load} Vt,Ht,Mt`],
      ...part,
      semantics: (o, dst, mask, src) => {
        enterAvx(o);
        const parts = loadParts(mask).map((m, i) => {
          const chosen = spreadSigns(o, isWide, m);
          return o.callVector('maskedLoad', at(o, src, i), chosen, chosen);
        });
        storeParts(o, dst, parts);
      },
    }),
    instruction({
      name: `${name}Store`,
      encodings: [`vex.128.66.0f38.${w} ${store} Mx,Hx,Vx`, `vex.256.66.0f38.${w} ${store} Mt,Ht,Vt`],
      ...part,
      semantics: (o, dst, mask, src) => {
        enterAvx(o);
        const masks = loadParts(mask).map((m) => spreadSigns(o, isWide, m));
        const values = loadParts(src);
        // All of it can be written before any of it is.
        masks.forEach((m, i) => {
          o.callVector('maskedProbe', at(o, dst, i), m, m);
        });
        masks.forEach((m, i) => {
          o.callVector('maskedStoreDwords', at(o, dst, i), values[i]!, m);
        });
      },
    }),
  ];
}
/** The helper works on the registers: a fault leaves what was gathered, and its lanes gone from the mask. */
const gather = (name: string, opcode: string, w: 'w0' | 'w1', indexIsWide: boolean) =>
  instruction({
    name,
    encodings: [`vex.128.66.0f38.${w} ${opcode} Mx,Yd`, `vex.256.66.0f38.${w} ${opcode} Mt,Yd`],
    variants: ['opSize', 'addrSize'],
    addressOnly: true,
    dst: 'r',
    semantics: (o, base, registers) => {
      enterAvx(o);
      const kind =
        (indexIsWide ? 1 : 0) | (w === 'w1' ? 2 : 0) | (base.width === 256 ? 4 : 0) | (o.form.addrSize === 64 ? 8 : 0);
      o.call('gather', registers.load(), base.address(), o.const(kind));
    },
  });

export const AVX_MEMORY: readonly Instruction[] = [
  ...masked('vmaskmovps', '2c', '2e', 'w0', false),
  ...masked('vmaskmovpd', '2d', '2f', 'w0', true),
  ...masked('vpmaskmovd', '8c', '8e', 'w0', false),
  ...masked('vpmaskmovq', '8c', '8e', 'w1', true),
  gather('vpgatherdd', '90', 'w0', false),
  gather('vpgatherdq', '90', 'w1', false),
  gather('vpgatherqd', '91', 'w0', true),
  gather('vpgatherqq', '91', 'w1', true),
  gather('vgatherdps', '92', 'w0', false),
  gather('vgatherdpd', '92', 'w1', false),
  gather('vgatherqps', '93', 'w0', true),
  gather('vgatherqpd', '93', 'w1', true),
];
