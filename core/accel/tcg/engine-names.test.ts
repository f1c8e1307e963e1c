/** A module of the engine is taken from an earlier run by its name alone. */
import { expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from '../../target/x86/cpu-definition.ts';
import { CR4 } from '../../target/x86/state.ts';
import { instantiateAnew } from './interpreter/machine.ts';
import { bareMachine, enterFlat32, enterLong, hexBytes } from './testing.ts';

const START = 0x1000;
/** What brings natives of every family and handlers of several groups: fld1; fsin; fstp st0; rep movsb; movaps xmm0,xmm1; addps xmm0,xmm1;
 *  bsf eax,ecx; bt eax,ecx; cmpxchg [esi],eax; hlt */
const CODE = {
  32: hexBytes('d9e8 d9fe ddd8 f3a4 0f28c1 0f58c1 0fbcc1 0fa3c8 0fb106 f4'),
  64: hexBytes('d9e8 d9fe ddd8 f3a4 0f28c1 0f58c1 0fbcc1 0fa3c8 480fb106 f4'),
};

it('modules of the engine that have the same name are the same, whatever the machine', () => {
  const bytesOf = new Map<string, Uint8Array>();
  const machinesOf = new Map<string, number>();
  let machines = 0;
  for (const model of ['max', 'qemu64,-nx', 'core2duo,-pge', 'Haswell,-pcid,-smep'])
    for (const [ramBytes, jit] of [
      [4 << 20, 'on'],
      [5 << 20, 'lockstep'],
    ] as const)
      for (const bits of [32, 64] as const) {
        machines++;
        const { definition } = defineCpu(parseCpuOption(model));
        const m = bareMachine(ramBytes, {
          jit,
          definition,
          instantiate: (module, imports) => {
            const bytes = module.make();
            const known = bytesOf.get(module.name);
            if (known) expect(bytes, module.name).toEqual(known);
            bytesOf.set(module.name, bytes);
            machinesOf.set(module.name, (machinesOf.get(module.name) ?? 0) + 1);
            return instantiateAnew({ ...module, make: () => bytes }, imports);
          },
        });
        m.ram.set(CODE[bits], START);
        if (bits === 64) enterLong(m, START);
        else enterFlat32(m, START);
        const { state } = m.cpu;
        state.cr4 |= CR4.OSFXSR;
        state.setReg32(1, 5);
        for (const register of [6, 7]) state.setReg32(register, 0x8000);
        for (let i = 0; i < 20 && !state.halted; i++) m.cpu.run(100);
        expect(state.halted).toBe(true);
      }
  const kinds = [...bytesOf.keys()].map((name) => name.split(' ')[0]);
  const all = ['interpreter', 'handlers', 'paging', 'stop', 'strings', 'sse', 'x87', 'transcendental'];
  expect(kinds).toEqual(expect.arrayContaining(all));
  // Names say no more than modules depend on: most are those of several machines.
  expect(Math.max(...machinesOf.values())).toBeGreaterThan(machines / 4);
});
