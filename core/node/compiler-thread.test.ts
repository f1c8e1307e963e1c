import { describe, expect, it } from 'vitest';
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX, ECX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';

const WORKER = new URL('./compile-worker.ts', import.meta.url);
const START = 0x1000;

describe('the thread that compiles', () => {
  it('makes regions while the guest runs', async () => {
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(WORKER, setup) });
    enterFlat32(m, START);
    m.ram.set([0x40, 0x41, 0xeb, 0xfc], START); // 1: inc eax; inc ecx; jmp 1b
    const { state, jit } = m.cpu;
    for (let i = 0; i < 3000 && jit.statistics.regions === 0; i++) {
      m.cpu.run(3000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(jit.statistics.regions).toBe(1);
    expect(jit.statistics.compileMilliseconds).toBeGreaterThan(0);
    const before = state.reg32(EAX);
    m.cpu.run(30_000);
    expect(state.reg32(EAX) - before).toBe(10_000);
    expect(state.reg32(ECX)).toBe(state.reg32(EAX));
  });

  it('sleeps when it is not asked for long, and wakes when it is', async () => {
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(WORKER, setup) });
    for (let round = 1; round <= 3; round++) {
      const at = START * round;
      enterFlat32(m, at);
      m.ram.set([0x40, 0xeb, 0xfd], at); // 1: inc eax; jmp 1b
      for (let i = 0; i < 3000 && m.cpu.jit.statistics.regions < round; i++) {
        m.cpu.run(3000);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect(m.cpu.jit.statistics.regions).toBe(round);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  });

  it('that cannot start leaves compiling to the machine', async () => {
    const missing = new URL('./no-such-worker.ts', import.meta.url);
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(missing, setup) });
    enterFlat32(m, START);
    m.ram.set([0x40, 0xeb, 0xfd], START);
    for (let i = 0; i < 3000 && m.cpu.jit.statistics.regions === 0; i++) {
      m.cpu.run(3000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(m.cpu.jit.statistics.regions).toBe(1);
  });
});
