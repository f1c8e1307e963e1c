import { describe, expect, it } from 'vitest';
import { ECX } from '../../../target/x86/state.ts';
import { bareMachine, dropAllCode, enterFlat32 } from '../testing.ts';
import type { JitMode } from './jit.ts';

const START = 0x1000;

function machine(code: readonly number[], jit: JitMode = 'always') {
  const m = bareMachine(4 << 20, { jit });
  enterFlat32(m, START);
  m.ram.set(code, START);
  return m;
}
const INC_FOR_EVER = [0x40, 0xeb, 0xfd]; // 1: inc eax; jmp 1b

describe('what the second tier tells of itself', () => {
  it('counts what is compiled, and each time that it runs out of budget', () => {
    const m = machine(INC_FOR_EVER);
    const { jit } = m.cpu;
    m.cpu.run(100); // notices
    expect(jit.statistics).toMatchObject({ compiled: 0, regions: 0, modules: 0, codeBytes: 0 });
    for (let i = 0; i < 20; i++) {
      m.cpu.run(100);
      expect(jit.exits).toEqual({ resumed: 0, interpreted: 0, budget: i + 1 });
    }
    expect(jit.statistics).toMatchObject({ compiled: 1, compiledInstructions: 2, regions: 1, modules: 1, released: 0 });
    expect(jit.statistics.wasmBytes).toBeGreaterThan(50);
    expect(jit.statistics.codeBytes).toBeGreaterThan(jit.statistics.wasmBytes);
  });

  it('tells code that the guest changed from code that was dropped with all else', () => {
    const m = machine(INC_FOR_EVER);
    const { jit } = m.cpu;
    for (let i = 0; i < 3; i++) m.cpu.run(100);
    m.dma(START, Uint8Array.from([0x41])); // inc ecx
    expect(jit.statistics).toMatchObject({ regions: 0, modules: 0, released: 1, invalidated: 1, flushes: 0 });
    expect(jit.statistics).toMatchObject({ wasmBytes: 0, codeBytes: 0 });
    for (let i = 0; i < 3; i++) m.cpu.run(100);
    expect(m.cpu.state.reg32(ECX)).toBeGreaterThan(100);
    expect(jit.statistics).toMatchObject({ regions: 1, compiled: 2, released: 1 });
    dropAllCode(m);
    expect(jit.statistics).toMatchObject({ regions: 0, released: 2, invalidated: 1, flushes: 1 });
  });

  it('drops the oldest modules where code takes more room than it may, and goes on rightly', () => {
    const m = bareMachine(4 << 20, { jit: 'always', codeBytes: 100_000 });
    enterFlat32(m, START);
    // 64 loops in as many pages: mov ecx,100; 1: inc eax; dec ecx; jnz 1b; jmp to the next; the last jumps to the first.
    const loops = 64;
    for (let i = 0; i < loops; i++) {
      const at = START + i * 4096;
      m.ram.set([0xb9, 100, 0, 0, 0, 0x40, 0x49, 0x75, 0xfc, 0xe9], at);
      m.view.setInt32(at + 10, START + ((i + 1) % loops) * 4096 - (at + 14), true);
    }
    const { jit } = m.cpu;
    // A round is 64 * (1 + 300 + 1) instructions, 100 of each loop's 302 count in EAX.
    for (let i = 0; i < 200; i++) {
      m.cpu.run(1000);
      expect(jit.statistics.codeBytes).toBeLessThan(200_000);
    }
    expect(jit.statistics.evictedModules).toBeGreaterThan(10);
    expect(jit.statistics.released - jit.statistics.invalidated).toBeGreaterThan(10);
    const { executed } = m.cpu;
    const rest = executed % 302;
    const left = m.cpu.state.reg32(ECX);
    expect(m.cpu.state.reg32(0)).toBe(Math.floor(executed / 302) * 100 + (rest === 0 ? 0 : 100 - left));
  });

  it('compiles nothing while the guest waits most of the time', () => {
    const m = machine(INC_FOR_EVER, 'on');
    const { jit } = m.cpu;
    jit.ran(0, 1);
    jit.ran(99, 100);
    for (let i = 0; i < 50; i++) m.cpu.run(10_000);
    expect(jit.statistics.compiled).toBe(0);
    jit.ran(100, 200);
    for (let i = 0; i < 50; i++) m.cpu.run(10_000);
    expect(jit.statistics.compiled).toBe(1);
  });

  it('counts instructions that a region leaves to the interpreter', () => {
    // 1: inc eax; mov [0x500000], eax (a device); jmp 1b
    const m = machine([0x40, 0xa3, 0x00, 0x00, 0x50, 0x00, 0xeb, 0xf8]);
    const { jit } = m.cpu;
    for (let i = 0; i < 10; i++) m.cpu.run(300);
    // Every store but those before it was compiled.
    expect(m.mmio.length).toBe(1000);
    expect(jit.exits).toEqual({ resumed: 900, interpreted: 0, budget: 0 });
  });

  it('leaves a loop with the flags of its last instruction that wrote some', () => {
    // 1: sub ecx, 1; jz 2f; mov edx, ebx; nop; jmp 1b; 2: hlt
    const loop = [0x83, 0xe9, 0x01, 0x74, 0x05, 0x89, 0xda, 0x90, 0xeb, 0xf6, 0xf4];
    const compiled = machine(loop);
    const plain = machine(loop, 'off');
    for (const m of [compiled, plain]) m.cpu.state.setReg32(ECX, 0x8000_0040);
    compiled.cpu.run(100); // notices
    for (let i = 0; i < 200; i++) {
      compiled.cpu.run(7);
      while (plain.cpu.executed < compiled.cpu.executed) plain.cpu.run(1);
      expect(plain.cpu.executed).toBe(compiled.cpu.executed);
      expect(compiled.cpu.state.getEflags(), `after ${plain.cpu.executed}`).toBe(plain.cpu.state.getEflags());
    }
    expect(compiled.cpu.jit.statistics.compiled).toBeGreaterThan(0);
  });

  it('stays at nothing where nothing is compiled', () => {
    const m = machine(INC_FOR_EVER, 'off');
    for (let i = 0; i < 5; i++) m.cpu.run(10_000);
    expect(m.cpu.jit.exits).toEqual({ resumed: 0, interpreted: 0, budget: 0 });
    expect(Object.values(m.cpu.jit.statistics).every((value) => value === 0)).toBe(true);
  });
});
