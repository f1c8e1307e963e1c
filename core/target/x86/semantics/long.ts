/** Instructions that only 64-bit code has. Intel SDM volume 2, AMD APM volume 3. */
import { EAX, EBX, ECX, EDX, FS, GS } from '../state.ts';
import { type Instruction, instruction } from './ops.ts';

export const LONG: readonly Instruction[] = [
  instruction({
    name: 'movsxd',
    encodings: ['63 Gv,Ed'],
    dst: 'w',
    semantics: (o, dst, src) => {
      const value = src.load();
      dst.store(dst.width === 64 ? o.wideS(value) : value);
    },
  }),
  instruction({
    name: 'swapgs',
    encodings: ['0f 01 f8'],
    ends: 'system',
    semantics: (o) => void o.call('swapgs'),
    natives: ['swapGs'],
    quickLong: (o) => o.giveUp(o.native('swapGs')),
  }),
  ...[
    { name: 'rdfsbase', digit: 0, index: FS },
    { name: 'rdgsbase', digit: 1, index: GS },
  ].map(({ name, digit, index }) =>
    instruction({
      name,
      encodings: [`f3 0f ae /${digit} Ry`],
      dst: 'w',
      semantics: (o, dst) => {
        o.call('checkFsGsBase');
        dst.store(o.segmentBase(index));
      },
    }),
  ),
  ...[
    { name: 'wrfsbase', digit: 2, index: FS },
    { name: 'wrgsbase', digit: 3, index: GS },
  ].map(({ name, digit, index }) =>
    instruction({
      name,
      encodings: [`f3 0f ae /${digit} Ry`],
      dst: 'r',
      semantics: (o, src) => {
        o.call('checkFsGsBase');
        o.call('writeSegmentBase', o.wideU(src.load()), o.const(index));
      },
    }),
  ),
];

/** With REX.W, by the encoding without it. */
export const LONG_WIDE: readonly { readonly text: string; readonly instruction: Instruction }[] = [
  {
    text: '0f c7 /1 Mq',
    instruction: instruction({
      name: 'cmpxchg16b',
      encodings: ['0f c7 /1 Mx'],
      writesFlags: 'Z',
      lockable: true,
      semantics: (o, dst) => {
        // Whoever is not aligned is refused before anything else.
        o.when(o.and(o.narrow(dst.address()), o.const(15)), () => void o.call('denied'), undefined, false);
        const old = dst.modify();
        const low = o.lane('i64x2.extract_lane', 0, old);
        const high = o.lane('i64x2.extract_lane', 1, old);
        const register = (index: number) => o.reg(index, 64);
        const isEqual = o.and(o.eq(low, register(EAX).load()), o.eq(high, register(EDX).load()));
        const fresh = o.lane(
          'i64x2.replace_lane',
          1,
          o.simd('i64x2.splat', register(EBX).load()),
          register(ECX).load(),
        );
        dst.store(o.select(isEqual, fresh, old));
        o.when(o.eqz(isEqual), () => {
          register(EAX).store(low);
          register(EDX).store(high);
        });
        o.setFlag('Z', isEqual);
      },
    }),
  },
];
