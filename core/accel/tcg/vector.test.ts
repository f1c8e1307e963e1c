import { describe, expect, it } from 'vitest';
import { CR0, CR4, FIELDS } from '../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

const PADDB_MMX = [0x0f, 0xfc, 0xc1];
const PADDB_SSE = [0x66, 0x0f, 0xfc, 0xc1];
const EMMS = [0x0f, 0x77];

/** Runs one instruction; the vector of its fault or -1. */
function run(code: readonly number[], setup: (m: ReturnType<typeof bareMachine>) => void) {
  const machine = bareMachine(1 << 20);
  const { cpu } = machine;
  let fault = -1;
  (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
    fault = vector;
    cpu.state.halted = true;
  };
  enterFlat32(machine, 0x1000);
  cpu.state.cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT;
  setup(machine);
  machine.dma(0x1000, Uint8Array.from([...code, 0xf4]));
  cpu.run(100);
  return { machine, fault };
}

describe('rights of vector instructions', () => {
  it.each([
    ['MMX, nothing set', PADDB_MMX, 0, true, -1],
    ['MMX without OSFXSR', PADDB_MMX, 0, false, -1],
    ['MMX with TS', PADDB_MMX, CR0.TS, true, 7],
    ['MMX with EM', PADDB_MMX, CR0.EM, true, 6],
    ['MMX with EM and TS', PADDB_MMX, CR0.EM | CR0.TS, true, 6],
    ['EMMS with TS', EMMS, CR0.TS, true, 7],
    ['SSE, nothing set', PADDB_SSE, 0, true, -1],
    ['SSE without OSFXSR', PADDB_SSE, 0, false, 6],
    ['SSE with TS', PADDB_SSE, CR0.TS, true, 7],
    ['SSE with EM and TS', PADDB_SSE, CR0.EM | CR0.TS, true, 6],
    ['SSE with TS, without OSFXSR', PADDB_SSE, CR0.TS, false, 6],
  ] as const)('%s', (_what, code, cr0, osfxsr, vector) => {
    const { fault } = run(code, ({ cpu }) => {
      cpu.state.cr0 |= cr0;
      if (!osfxsr) cpu.state.cr4 = 0;
    });
    expect(fault).toBe(vector);
  });
  it('a pending x87 exception stops MMX', () => {
    const { fault, machine } = run(PADDB_MMX, ({ cpu }) => {
      cpu.state.set(FIELDS.fpuStatus, 0x81);
      cpu.state.set(FIELDS.fpuTop, 3);
      cpu.state.cr0 |= CR0.NE;
    });
    expect(fault).toBe(16);
    expect(machine.cpu.state.low(FIELDS.fpuTop)).toBe(3);
  });
  it('an exception that is not masked is #XM, or #UD where the system does not know it', () => {
    const divide = [0x0f, 0x5e, 0xc1]; // 0 / 0
    for (const [cr4, vector] of [
      [CR4.OSFXSR | CR4.OSXMMEXCPT, 19],
      [CR4.OSFXSR, 6],
    ] as const) {
      const { fault, machine } = run(divide, ({ cpu }) => {
        cpu.state.cr4 = cr4;
        cpu.state.mxcsr = 0x1f00;
      });
      expect(fault).toBe(vector);
      expect(machine.cpu.state.low(FIELDS.mxcsr)).toBe(0x1f01);
    }
  });
  it('a rounding mode counts from the instruction that sets it on, and back', () => {
    // ADDSD xmm1, xmm0 with an inexact sum: LDMXCSR [2000], add, FXRSTOR [3000], add to xmm2.
    const code = [0x0f, 0xae, 0x15, 0, 0x20, 0, 0, 0xf2, 0x0f, 0x58, 0xc8, 0x0f, 0x29, 0x0d, 0, 0x24, 0, 0];
    const restore = [0x0f, 0xae, 0x0d, 0, 0x30, 0, 0, 0xf2, 0x0f, 0x58, 0xd0];
    const one = new Uint8Array(Float64Array.of(1, 0).buffer);
    const tiny = new Uint8Array(Float64Array.of(2 ** -60, 0).buffer);
    const { machine, fault } = run([...code, ...restore], ({ cpu, dma }) => {
      cpu.state.mxcsr = 0x1fa0;
      cpu.state.u8.set(tiny, FIELDS.xmm.offset);
      cpu.state.u8.set(one, FIELDS.xmm.offset + 64);
      dma(0x2000, Uint8Array.of(0xa0, 0x5f, 0, 0)); // up
      dma(0x3000 + 24, Uint8Array.of(0xa0, 0x1f, 0, 0));
      dma(0x3000 + 160, tiny);
      dma(0x3000 + 160 + 32, one);
    });
    expect(fault).toBe(-1);
    expect(machine.view.getFloat64(0x2400, true)).toBe(1 + 2 ** -52);
    const nearest = machine.cpu.state.u8.slice(FIELDS.xmm.offset + 128, FIELDS.xmm.offset + 136);
    expect(nearest).toEqual(one.slice(0, 8));
  });
  it('MXCSR takes no reserved bits', () => {
    const load = [0x0f, 0xae, 0x15, 0, 0x20, 0, 0];
    const { fault } = run(load, ({ dma }) => dma(0x2000, Uint8Array.of(0x80, 0x1f, 1, 0)));
    expect(fault).toBe(13);
  });
});

describe('vector memory operands', () => {
  const value = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);
  const withValue = ({ cpu }: ReturnType<typeof bareMachine>) => cpu.state.u8.set(value, FIELDS.xmm.offset + 64);

  it('cross pages', () => {
    const code = [0x0f, 0x11, 0x0d, 0xf9, 0x2f, 0, 0, 0x0f, 0x10, 0x15, 0xf9, 0x2f, 0, 0]; // store xmm1, load xmm2
    const { machine, fault } = run(code, withValue);
    expect(fault).toBe(-1);
    expect(machine.ram.slice(0x2ff9, 0x3009)).toEqual(value);
    expect(machine.cpu.state.u8.slice(FIELDS.xmm.offset + 128, FIELDS.xmm.offset + 144)).toEqual(value);
  });
  it('reach devices, four bytes at a time and without reading first', () => {
    const { machine } = run([0x0f, 0x29, 0x0d, 0, 0, 0x10, 0], withValue);
    expect(machine.mmio).toEqual(
      [0, 4, 8, 12].map((i) => ({
        addr: 0x10_0000 + i,
        size: 4,
        value: new DataView(value.buffer).getUint32(i, true),
      })),
    );
  });
  it('replace code that runs next', () => {
    // movups [next], xmm1 over sixteen bytes of HLT: INC EAX, HLT ...
    const { machine } = run([0x0f, 0x11, 0x0d, 7, 0x10, 0, 0, ...Array<number>(16).fill(0xf4)], ({ cpu }) => {
      cpu.state.u8.set([0x40, ...Array<number>(15).fill(0xf4)], FIELDS.xmm.offset + 64);
      cpu.state.setReg32(0, 5);
    });
    expect(machine.cpu.state.reg32(0)).toBe(6);
  });
});
