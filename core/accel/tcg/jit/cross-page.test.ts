import { describe, expect, it } from 'vitest';
import { CR0, EAX, EBX, ECX, ESI, ESP } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterFlat32 } from '../testing.ts';
import type { JitMode } from './jit.ts';

const START = 0x1000;
const CALLEE = 0x5000;
const ELSEWHERE = 0x9000;
const DIRECTORY = 0x10_0000;
const TABLE = 0x10_1000;
const HANDLER = 0x7000;

const word = (n: number) => [...new Uint8Array(Int32Array.of(n).buffer)];

/** 32-bit code with paging: the first 4 MiB are mapped to themselves. #PF halts. */
function machine(jit: JitMode, code: Readonly<Record<number, readonly number[]>>): BareMachine {
  const m = bareMachine(4 << 20, { jit });
  enterFlat32(m, START);
  const { cpu, view } = m;
  view.setUint32(DIRECTORY, TABLE | 7, true);
  for (let i = 0; i < 1024; i++) view.setUint32(TABLE + 4 * i, (i << 12) | 7, true);
  cpu.state.cr3 = DIRECTORY;
  cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
  cpu.state.setIdt(0x6000, 0x7ff);
  view.setUint32(0x6000 + 14 * 8, (8 << 16) | HANDLER, true);
  view.setUint32(0x6000 + 14 * 8 + 4, 0x8e00, true);
  cpu.state.setGdt(0x6800, 0x17);
  view.setUint32(0x6800 + 8, 0x0000_ffff, true);
  view.setUint32(0x6800 + 12, 0x00cf_9b00, true);
  m.ram.set([0xf4], HANDLER); // hlt
  for (const [at, bytes] of Object.entries(code)) m.ram.set(bytes, Number(at));
  cpu.flushTlb();
  return m;
}
function map(m: BareMachine, linear: number, physical: number | null): void {
  m.view.setUint32(TABLE + (linear >>> 12) * 4, physical === null ? 0 : physical | 7, true);
  m.cpu.flushTlb();
}

describe.each(['off', 'always', 'lockstep'] as const)('regions over several pages, x-jit=%s', (jit) => {
  // 1: call CALLEE; inc ecx; jmp 1b        callee: inc eax; ret
  const CALLS = {
    [START]: [0xe8, ...word(CALLEE - (START + 5)), 0x41, 0xeb, 0xf8],
    [CALLEE]: [0x40, 0xc3],
    [ELSEWHERE]: [0x43, 0xc3], // inc ebx; ret
  };

  it('take in a function that is called, and come back from it', () => {
    const m = machine(jit, CALLS);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    const { state, jit: compiler } = m.cpu;
    expect(state.reg32(EAX)).toBe(4000);
    expect(Math.abs(state.reg32(ECX) - 4000)).toBeLessThanOrEqual(1);
    if (jit !== 'always') return;
    const before = compiler.exits.interpreted;
    m.cpu.run(50_000);
    expect(compiler.exits.interpreted).toBe(before);
  });

  it('look whether a page is still the one that they were made of', () => {
    const m = machine(jit, CALLS);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    const { state } = m.cpu;
    const [eax, ecx] = [state.reg32(EAX), state.reg32(ECX)];
    map(m, CALLEE, ELSEWHERE);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(ECX) - ecx).toBe(4000);
    expect(state.reg32(EBX)).toBe(4000);
    expect(state.reg32(EAX)).toBe(eax);
    map(m, CALLEE, null);
    for (let i = 0; i < 10 && !m.cpu.halted; i++) m.cpu.run(500);
    expect(m.cpu.halted).toBe(true);
    expect(state.cr2).toBe(CALLEE);
  });

  it('are dropped when code in any of the pages is written', () => {
    const m = machine(jit, CALLS);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    const { state } = m.cpu;
    const eax = state.reg32(EAX);
    m.dma(CALLEE, Uint8Array.of(0x43));
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(EBX)).toBe(4000);
    expect(state.reg32(EAX)).toBe(eax);
  });

  it('follow a branch over the end of a page', () => {
    // In front of a page's end: dec ecx; jmp into the next, which jumps back.
    const m = machine(jit, {
      [START]: [0xe9, ...word(0x1ff0 - (START + 5))],
      8176: [0x49, 0xe9, ...word(0x2010 - 0x1ff6)],
      8208: [0x40, 0x75, 0xdd], // inc eax; jnz 0x1ff0
    });
    m.cpu.state.setReg32(EAX, 0xffff_0000);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    const { state } = m.cpu;
    expect((state.reg32(EAX) + state.reg32(ECX)) >>> 0).toBeGreaterThanOrEqual(0xfffe_ffff);
    expect(state.reg32(EAX) - 0xffff_0000).toBe(5000);
  });
});

describe.each(['off', 'always', 'lockstep'] as const)('accesses near each other, x-jit=%s', (jit) => {
  it('fault one by one, those before are done', () => {
    // 1: mov [esi+4],eax; mov [esi],ebx; mov [esi-4],ecx; inc eax; jmp 1b
    const m = machine(jit, { [START]: [0x89, 0x46, 0x04, 0x89, 0x1e, 0x89, 0x4e, 0xfc, 0x40, 0xeb, 0xf5] });
    const { state } = m.cpu;
    state.setReg32(ESI, 0x3_2000);
    state.setReg32(EBX, 0x1234);
    for (let i = 0; i < 20; i++) m.cpu.run(500);
    expect(m.view.getUint32(0x3_2000, true)).toBe(0x1234);
    while (state.eip !== START) m.cpu.run(1);
    state.setReg32(ESI, 0x3_1000);
    state.setReg32(EAX, 0x77);
    map(m, 0x3_0000, null);
    for (let i = 0; i < 20 && !m.cpu.halted; i++) m.cpu.run(500);
    expect(m.cpu.halted).toBe(true);
    expect(state.cr2).toBe(0x3_0ffc);
    expect(state.reg32(EAX)).toBe(0x77);
    expect([m.view.getUint32(0x3_1004, true), m.view.getUint32(0x3_1000, true)]).toEqual([0x77, 0x1234]);
    expect(m.view.getUint32(state.reg32(ESP) + 4, true)).toBe(START + 5);
  });

  it('that lie across two pages for good are looked up one by one', () => {
    // 1: mov eax,[esi-4]; add [esi],eax; mov ebx,[esi+8]; inc ecx; jmp 1b
    const m = machine(jit, { [START]: [0x8b, 0x46, 0xfc, 0x01, 0x06, 0x8b, 0x5e, 0x08, 0x41, 0xeb, 0xf5] });
    const { state, jit: compiler } = m.cpu;
    state.setReg32(ESI, 0x3_0000);
    m.view.setUint32(0x2_fffc, 3, true);
    m.view.setUint32(0x3_0008, 9, true);
    for (let i = 0; i < 80; i++) m.cpu.run(500);
    const resumed = compiler.exits.resumed;
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    if (jit === 'always') expect(compiler.exits.resumed - resumed).toBe(0);
    expect(state.reg32(ECX)).toBe(12_000);
    expect(m.view.getUint32(0x3_0000, true)).toBe(36_000);
    expect(state.reg32(EBX)).toBe(9);
  });
});
