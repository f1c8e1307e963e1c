import { describe, expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from '../../target/x86/cpu-definition.ts';
import { cpuid } from '../../target/x86/cpuid.ts';
import { xgetbv, xsetbv } from '../../target/x86/extended-control.ts';
import { GUEST_FAULT } from '../../target/x86/fault.ts';
import { CR0, CR4, EFLAGS, FIELDS, XCR0 } from '../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

type Machine = ReturnType<typeof bareMachine>;
const VADDPS = [0xc5, 0xf4, 0x58, 0xc1]; // ymm0 = ymm1 + ymm1
const ANDN = [0xc4, 0xe2, 0x70, 0xf2, 0xc2];
const ALL = XCR0.x87 | XCR0.avx;

/** Runs code up to its HLT; the vector of its fault or -1. */
function run(code: readonly number[], setup: (m: Machine) => void = () => {}) {
  const machine = bareMachine(1 << 20);
  const { cpu } = machine;
  let fault = -1;
  (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
    fault = vector;
    cpu.state.halted = true;
  };
  enterFlat32(machine, 0x1000);
  cpu.state.cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE;
  cpu.state.xcr0 = ALL;
  setup(machine);
  machine.dma(0x1000, Uint8Array.from([...code, 0xf4]));
  cpu.run(100);
  return { machine, fault, state: cpu.state };
}
const clearing =
  (register: 'cr4') =>
  ({ cpu }: Machine): void => {
    cpu.state[register] = 0;
  };
const withTs = ({ cpu }: Machine): void => {
  cpu.state.cr0 |= CR0.TS;
};
/** Fills the vector registers with numbers that tell them apart. */
function fillVectors({ cpu }: Machine): void {
  for (let i = 0; i < 8; i++)
    for (let k = 0; k < 32; k++) cpu.state.u8[FIELDS.xmm.offset + i * 64 + k] = (i * 32 + k) & 0xff;
}
const ymm = (machine: Machine, i: number) =>
  machine.cpu.state.u8.slice(FIELDS.xmm.offset + i * 64, FIELDS.xmm.offset + i * 64 + 32);
const eax = (value: number) => [0xb8, value & 0xff, (value >> 8) & 0xff, 0, 0];
const EDX_0 = [0x31, 0xd2];

describe('rights of instructions with a VEX prefix', () => {
  it.each([
    ['AVX, all on', VADDPS, 0, ALL, CR4.OSXSAVE, -1],
    ['AVX without OSXSAVE', VADDPS, 0, ALL, 0, 6],
    ['AVX, XCR0 without the upper halves', VADDPS, 0, 3, CR4.OSXSAVE, 6],
    ['AVX with TS', VADDPS, CR0.TS, ALL, CR4.OSXSAVE, 7],
    ['AVX with TS, not switched on', VADDPS, CR0.TS, 1, CR4.OSXSAVE, 6],
    ['AVX with EM', VADDPS, CR0.EM, ALL, CR4.OSXSAVE, -1],
    ['BMI, nothing on', ANDN, CR0.TS, 1, 0, -1],
  ] as const)('%s', (_what, code, cr0, xcr0, cr4, vector) => {
    const { fault } = run(code, ({ cpu }) => {
      cpu.state.xcr0 = xcr0;
      cpu.state.cr4 = cr4;
      cpu.state.cr0 |= cr0;
    });
    expect(fault).toBe(vector);
  });
  it.each([
    ['AVX', VADDPS],
    ['BMI', ANDN],
  ])('%s is undefined in real mode and VM86, not in 16-bit code of protected mode', (_what, code) => {
    const inSegment16 = (setup: (m: Machine) => void) =>
      run(code, (machine) => {
        const { cpu } = machine;
        const cs = cpu.state.segments[1]!;
        cs.set(cs.selector, 0, 0xffff, cs.flags & ~(1 << 22));
        setup(machine);
      }).fault;
    expect(inSegment16(() => {})).toBe(-1);
    expect(
      inSegment16(({ cpu }) => {
        cpu.state.setEflags(EFLAGS.VM | 2);
        cpu.state.cpl = 3;
      }),
    ).toBe(6);
    expect(
      inSegment16(({ cpu }) => {
        cpu.state.cr0 &= ~CR0.PE;
      }),
    ).toBe(6);
  });
});

describe('XSAVE', () => {
  const XSAVE = [0x0f, 0xae, 0x25, 0, 0x20, 0, 0]; // to 2000
  const XRSTOR = [0x0f, 0xae, 0x2d, 0, 0x20, 0, 0];
  const XGETBV = [0x0f, 0x01, 0xd0];
  const XSETBV = [0x0f, 0x01, 0xd1];

  it('stores what EDX:EAX and XCR0 name, and says so in the header', () => {
    const { machine, fault } = run([...eax(6), ...EDX_0, ...XSAVE], (m) => {
      fillVectors(m);
      m.dma(0x2000, new Uint8Array(1024).fill(0xee));
      m.dma(0x2200, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    });
    expect(fault).toBe(-1);
    const image = machine.ram.slice(0x2000, 0x2400);
    expect(image.slice(0, 24)).toEqual(new Uint8Array(24).fill(0xee)); // x87 was not asked for
    expect(machine.view.getUint32(0x2018, true)).toBe(0x1f80);
    expect(machine.view.getUint32(0x201c, true)).toBe(0xffff);
    expect(image[0x200]).toBe(7);
    for (let i = 0; i < 8; i++) {
      expect(image.slice(160 + i * 16, 176 + i * 16)).toEqual(ymm(machine, i).slice(0, 16));
      expect(image.slice(576 + i * 16, 592 + i * 16)).toEqual(ymm(machine, i).slice(16));
    }
    expect(image.slice(576 + 128, 576 + 256)).toEqual(new Uint8Array(128).fill(0xee)); // of 64-bit code
  });
  it('is read back by XRSTOR; what the header does not name takes its first value', () => {
    const clear = [0xc5, 0xfc, 0x77]; // VZEROALL
    const code = [...eax(7), ...EDX_0, ...XSAVE, ...clear, ...XRSTOR];
    const whole = run(code, fillVectors);
    expect(whole.fault).toBe(-1);
    for (let i = 0; i < 8; i++)
      expect(ymm(whole.machine, i)).toEqual(Uint8Array.from({ length: 32 }, (_, k) => (i * 32 + k) & 0xff));
    const withoutYmm = [0xc6, 0x05, 0x00, 0x22, 0, 0, 3]; // header: x87 and SSE
    const part = run([...code.slice(0, -XRSTOR.length), ...withoutYmm, ...XRSTOR], fillVectors);
    expect(part.fault).toBe(-1);
    expect(ymm(part.machine, 3)).toEqual(Uint8Array.from({ length: 32 }, (_, k) => (k < 16 ? 96 + k : 0)));
  });
  it.each([
    ['a state that XCR0 has not', 0x2200, 8],
    ['the compacted form', 0x220f, 0x80],
    ['reserved bytes of the header', 0x2210, 1],
    ['reserved bits of MXCSR', 0x201a, 1],
  ])('XRSTOR refuses %s and changes nothing', (_what, at, value) => {
    const { machine, fault } = run([...eax(7), ...EDX_0, ...XRSTOR], (m) => {
      fillVectors(m);
      m.dma(0x2000, new Uint8Array(1024));
      m.dma(at, Uint8Array.of(value));
    });
    expect(fault).toBe(13);
    expect(ymm(machine, 1)[31]).toBe(63);
  });
  it('wants 64-byte alignment, OSXSAVE and a clear TS', () => {
    const odd = [0x0f, 0xae, 0x25, 16, 0x20, 0, 0];
    expect(run([...eax(7), ...odd]).fault).toBe(13);
    expect(run([...eax(7), ...XSAVE], clearing('cr4')).fault).toBe(6);
    expect(run([...eax(7), ...XSAVE], withTs).fault).toBe(7);
  });
  it('XSETBV takes the states of the model, AVX only with SSE', () => {
    const set = (model: string, value: number, cpl = 0) => {
      const { cpu } = bareMachine(1 << 20);
      const { definition } = defineCpu(parseCpuOption(model));
      Object.assign(cpu.state, { cr4: CR4.OSXSAVE, xcr0: 1, cpl });
      for (const [register, n] of [value, 0, 0].entries()) cpu.state.setReg32(register, n);
      xsetbv(cpu.state, definition);
      cpu.state.setReg32(0, 0);
      xgetbv(cpu.state, definition);
      return cpu.state.reg32(0);
    };
    expect(set('Haswell', 7)).toBe(7);
    expect(set('Haswell', 3)).toBe(3);
    expect(set('Snowridge', 3)).toBe(3);
    for (const value of [0, 2, 5, 9]) expect(() => set('Haswell', value)).toThrow(GUEST_FAULT);
    expect(() => set('Snowridge', 7)).toThrow(GUEST_FAULT); // no AVX
    expect(() => set('Haswell', 3, 3)).toThrow(GUEST_FAULT);
    expect(run(XSETBV, clearing('cr4')).fault).toBe(6);
    expect(run(XGETBV, clearing('cr4')).fault).toBe(6);
  });
  it('CPUID tells the sizes of the area', () => {
    const leaf = (model: string, subleaf: number, xcr0: number) =>
      cpuid(defineCpu(parseCpuOption(model)).definition, 0xd, subleaf, {
        osxsave: true,
        ospke: false,
        apicEnabled: true,
        xcr0,
      });
    expect(leaf('Haswell', 0, 1)).toEqual([7, 576, 832, 0]);
    expect(leaf('Haswell', 0, 7)).toEqual([7, 832, 832, 0]);
    expect(leaf('Haswell', 1, 7)).toEqual([1, 832, 0, 0]); // XSAVEOPT
    expect(leaf('Haswell', 2, 7)).toEqual([256, 576, 0, 0]);
    expect(leaf('qemu64', 0, 1)).toEqual([0, 0, 0, 0]);
  });
});

describe('memory operands of 256 bits', () => {
  const store = (at: number) => [0xc5, 0xfc, 0x11, 0x0d, at & 0xff, (at >> 8) & 0xff, (at >> 16) & 0xff, 0]; // vmovups [at], ymm1
  it('cross pages', () => {
    const { machine, fault } = run(store(0x2ff0 - 3), fillVectors);
    expect(fault).toBe(-1);
    expect(machine.ram.slice(0x2fed, 0x300d)).toEqual(ymm(machine, 1));
  });
  it('must fit into their segment as a whole, or nothing is stored', () => {
    const { machine, fault } = run(store(0x3000 - 31), (m) => {
      fillVectors(m);
      const ds = m.cpu.state.segments[3]!;
      ds.set(ds.selector, 0, 0x2fff, ds.flags);
    });
    expect(fault).toBe(13);
    expect(machine.ram.slice(0x2fe0, 0x3010)).toEqual(new Uint8Array(48));
    expect(
      run(store(0x3000 - 32), ({ cpu }) => {
        const ds = cpu.state.segments[3]!;
        ds.set(ds.selector, 0, 0x2fff, ds.flags);
      }).fault,
    ).toBe(-1);
  });
  it('VMOVAPS wants 32-byte alignment', () => {
    const code = [0xc5, 0xfc, 0x29, 0x0d, 0x10, 0x20, 0, 0];
    expect(run(code).fault).toBe(13);
    code[4] = 0x20;
    expect(run(code).fault).toBe(-1);
  });
});
