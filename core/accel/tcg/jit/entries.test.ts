import { describe, expect, it } from 'vitest';
import { EAX, EBX, ECX, EDX, ESI } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterFlat32 } from '../testing.ts';
import { JIT_MODES } from './jit.ts';

const START = 0x1000;
const CALLEE = 0x5000;
/** More than a region takes along of a function that it calls. */
const LONG = 60;

const word = (n: number) => [...new Uint8Array(Int32Array.of(n).buffer)];
const callee = [...new Array<number>(LONG).fill(0x40), 0xc3]; // inc eax, ...; ret

/** 1: inc ecx; test cl,3; jnz 2f; call CALLEE; inc ebx; 2: dec esi; jmp 1b */
const LOOP = [0x41, 0xf6, 0xc1, 3, 0x75, 6, 0xe8, ...word(CALLEE - (START + 11)), 0x43, 0x4e, 0xeb, 0xf1];

function machine(jit: (typeof JIT_MODES)[number], code: readonly number[]): BareMachine {
  const m = bareMachine(4 << 20, { jit });
  enterFlat32(m, START);
  m.ram.set(code, START);
  m.ram.set(callee, CALLEE);
  return m;
}
function run(m: BareMachine, slices: number): void {
  for (let i = 0; i < slices; i++) m.cpu.run(500);
}

describe.each(JIT_MODES)('regions that code comes back into, x-jit=%s', (jit) => {
  it('go on in the middle of a loop, behind a call', () => {
    const m = machine(jit, LOOP);
    run(m, jit === 'on' ? 2000 : 300);
    const { state, jit: compiler } = m.cpu;
    const calls = Math.floor(state.reg32(ECX) / 4);
    expect(calls).toBeGreaterThan(1000);
    expect(Math.abs(state.reg32(EBX) - calls)).toBeLessThanOrEqual(1);
    expect(Math.abs(state.reg32(EAX) - LONG * calls)).toBeLessThanOrEqual(LONG);
    expect(Math.abs((state.reg32(ESI) | 0) + state.reg32(ECX))).toBeLessThanOrEqual(1);
    if (jit !== 'on') return;
    // The loop with both its entries, and the function.
    expect(compiler.statistics.regions).toBe(2);
    const before = compiler.exits.interpreted;
    run(m, 200);
    expect(compiler.exits.interpreted).toBe(before);
  });

  it('go on among more calls of a small function than its returns are compared with', () => {
    // call f; 1: inc ebx; call f; (five times in all); inc ebx; call CALLEE; inc ecx; dec esi; jmp 1b; f: inc edx; ret
    const SMALL = START + 0x100;
    const code: number[] = [];
    const call = (to: number) => code.push(0xe8, ...word(to - (START + code.length + 5)));
    for (let i = 0; i < 5; i++) {
      call(SMALL);
      code.push(0x43);
    }
    call(CALLEE);
    code.push(0x41, 0x4e, 0xeb, 5 - (code.length + 4));
    const m = machine(jit, code);
    m.ram.set([0x42, 0xc3], SMALL);
    m.cpu.state.setReg32(EDX, 0);
    run(m, jit === 'on' ? 2000 : 300);
    const { state, jit: compiler } = m.cpu;
    const rounds = state.reg32(ECX);
    expect(rounds).toBeGreaterThan(1000);
    expect(Math.abs(state.reg32(EBX) - 5 * rounds)).toBeLessThanOrEqual(5);
    expect(Math.abs(state.reg32(EDX) - 4 * rounds)).toBeLessThanOrEqual(5);
    expect(Math.abs(state.reg32(EAX) - LONG * rounds)).toBeLessThanOrEqual(LONG);
    if (jit !== 'on') return;
    const before = compiler.exits.interpreted;
    run(m, 200);
    expect(compiler.exits.interpreted).toBe(before);
  });

  it('are gone, all entries of them, once the guest changes their code', () => {
    const m = machine(jit, LOOP);
    run(m, jit === 'on' ? 2000 : 300);
    const { state, jit: compiler } = m.cpu;
    m.dma(START + LOOP.indexOf(0x43), Uint8Array.of(0x90)); // inc ebx becomes nop
    const [eax, ebx] = [state.reg32(EAX), state.reg32(EBX)];
    run(m, jit === 'on' ? 2000 : 300);
    expect(state.reg32(EBX) - ebx).toBe(0);
    expect(state.reg32(EAX) - eax).toBeGreaterThan(1000);
    if (jit === 'on') expect(compiler.statistics.invalidated).toBe(1);
  });
});
