import { describe, expect, it } from 'vitest';
import { bareMachine, enterFlat32 } from '../../core/accel/tcg/testing.ts';
import { fuzzCpu, newFuzzMachine } from './cpu-fuzz.ts';
import { fuzzMachine } from './machine-fuzz.ts';
import { fuzzSteps } from './step-fuzz.ts';

describe('the CPU under random code', () => {
  const machine = newFuzzMachine();
  it('faults, halts or shuts down, and nothing else', () => {
    let executed = 0;
    let shutdowns = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const run = fuzzCpu(seed, machine);
      executed += run.executed;
      shutdowns += run.shutdowns;
    }
    expect(executed).toBeGreaterThan(100_000);
    expect(shutdowns).toBeGreaterThan(1);
  });

  it.each([1, 2, 3])('reaches every device of the machine and breaks none, seed %i', async (seed) => {
    expect(await fuzzMachine(seed, 40)).toBeGreaterThan(1000);
  });

  it('comes to the same state in whole blocks and one instruction at a time', () => {
    const stepped = newFuzzMachine();
    let executed = 0;
    // 40075: an interrupt's frame lies over code that runs again later.
    for (const seed of [40_075, ...Array.from({ length: 24 }, (_, i) => i + 1)])
      executed += fuzzSteps(seed, machine, stepped);
    expect(executed).toBeGreaterThan(1000);
  });

  it('fetches the rest of an instruction from a device', () => {
    const m = bareMachine(1 << 16);
    m.dma(0xffff, Uint8Array.of(0xb8)); // mov eax, imm32, which is all device
    enterFlat32(m, 0xffff);
    for (let i = 0; i < 2; i++) {
      m.cpu.state.eip = 0xffff;
      m.cpu.state.setReg32(0, 0);
      m.cpu.run(1);
      expect(m.cpu.state.reg32(0)).toBe(0x5a5a_5a5a);
    }
  });
});
