import { afterEach, describe, expect, it } from 'vitest';
import { FIELDS } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterFlat32, enterLong } from '../testing.ts';
import { LockStepError } from './lockstep.ts';

const CODE = 0x1000;
/** 1: mov eax, [2000h]; add eax, ecx; mov [2000h], eax; push eax; pop edx; sub ebx, edx; adc esi, 0; loop 1b; hlt */
const LOOP = [
  0xa1, 0, 0x20, 0, 0, 0x01, 0xc8, 0xa3, 0, 0x20, 0, 0, 0x50, 0x5a, 0x29, 0xd3, 0x83, 0xd6, 0, 0xe2, 0xeb, 0xf4,
]; // biome-ignore format: instructions

function machine(code: readonly number[] = LOOP, jit: 'lockstep' | 'off' = 'lockstep'): BareMachine {
  const m = bareMachine(1 << 20, { jit });
  enterFlat32(m, CODE);
  m.ram.set(code, CODE);
  m.cpu.state.setReg32(1, 5000);
  return m;
}
function runAll(m: BareMachine): void {
  for (let i = 0; i < 10_000; i++) if (m.cpu.run(500) === 'halted') return;
  throw new Error('does not end');
}
const { Module } = WebAssembly;
afterEach(() => {
  WebAssembly.Module = Module;
});
/** Every module of regions is changed before V8 gets it; what they share is not. */
function sabotage(change: (bytes: Uint8Array<ArrayBuffer>) => void): void {
  WebAssembly.Module = class extends Module {
    constructor(bytes: Uint8Array<ArrayBuffer>) {
      const text = String.fromCharCode(...bytes);
      if (text.includes('interpreted') && !text.includes('seek')) change(bytes);
      super(bytes);
    }
  };
}
/** The constant of `i32.const from` (42: `i64.const`) becomes `to`, wherever the two bytes stand. */
const constant =
  (from: number, to: number, opcode = 0x41) =>
  (bytes: Uint8Array<ArrayBuffer>) => {
    let found = 0;
    for (let i = 8; i + 1 < bytes.length; i++)
      if (bytes[i] === opcode && bytes[i + 1] === from) {
        bytes[i + 1] = to;
        found++;
      }
    if (found === 0) throw new Error('nothing to change');
  };

describe('lock-step', () => {
  it('comes to the same as the interpreter, and has compared nearly everything', () => {
    const [a, b] = [machine(), machine(LOOP, 'off')];
    runAll(a);
    runAll(b);
    expect(a.cpu.executed).toBe(b.cpu.executed);
    expect(a.cpu.state.reg32(3)).toBe(b.cpu.state.reg32(3));
    expect(a.cpu.state.reg32(6)).toBe(b.cpu.state.reg32(6));
    expect(a.cpu.state.getEflags()).toBe(b.cpu.state.getEflags());
    expect(a.view.getUint32(0x2000, true)).toBe(b.view.getUint32(0x2000, true));
    expect(a.cpu.lockStep!.instructions).toBeGreaterThan(0.7 * a.cpu.executed);
  });
  it('does what has effects outside once', () => {
    // 1: inc eax; out 80h, al; loop 1b; hlt
    const m = machine([0x40, 0xe6, 0x80, 0xe2, 0xfb, 0xf4]);
    m.cpu.state.setReg32(1, 5000);
    runAll(m);
    expect(m.cpu.state.reg32(0)).toBe(5000);
    // The bare machine keeps a thousand of them.
    expect(m.writes.map(({ value }) => value & 0xff)).toEqual(Array.from({ length: 1000 }, (_, i) => (i + 1) & 0xff));
    expect(m.cpu.lockStep!.checked).toBeGreaterThan(2000);
  });
  it('reports a register that compiled code gets wrong', () => {
    // 1: add eax, 33h; loop 1b; hlt
    const m = machine([0x83, 0xc0, 0x33, 0xe2, 0xfb, 0xf4]);
    sabotage(constant(0x33, 0x34));
    expect(() => runAll(m)).toThrow(LockStepError);
    try {
      runAll(m);
    } catch (error) {
      const { message } = error as Error;
      expect(message).toMatch(/differ at EIP 00001000 after \d+ instructions/);
      expect(message).toMatch(/gpr\+0: region [0-9a-f]{8}, interpreter [0-9a-f]{8}/);
      expect(message).toContain('0x00001000:  83 c0 33                 addl     $0x33, %eax');
      expect(message).toMatch(/compiled:\nEAX=/);
    }
  });
  it('reports memory that compiled code writes wrong, and puts it right', () => {
    // 1: mov byte [2000h], 33h; loop 1b; hlt
    const m = machine([0xc6, 0x05, 0, 0x20, 0, 0, 0x33, 0xe2, 0xf7, 0xf4]);
    sabotage(constant(0x33, 0x34));
    expect(() => runAll(m)).toThrow(/memory at [0-9a-f]{8} of the arena: region 34, interpreter 33/);
    expect(m.ram[0x2000]).toBe(0x33);
  });
  it('reports a way that compiled code should not have taken', () => {
    // 1: dec ecx; cmp ecx, 33h; jae 1b; 2: dec ecx; jnz 2b; hlt
    const m = machine([0x49, 0x83, 0xf9, 0x33, 0x73, 0xfa, 0x49, 0x75, 0xfd, 0xf4]);
    sabotage(constant(0x33, 0x36));
    expect(() => runAll(m)).toThrow(LockStepError);
  });
});

describe('lock-step of 64-bit code', () => {
  function longMachine(code: readonly number[], jit: 'lockstep' | 'off' = 'lockstep'): BareMachine {
    const m = bareMachine(4 << 20, { jit });
    enterLong(m, CODE);
    m.ram.set(code, CODE);
    m.cpu.state.setReg64(1, 5000);
    m.cpu.state.setReg64(9, 0x1234_5678_9abc);
    return m;
  }
  /** 1: mov rax, [2000h]; add rax, r9; mov [2000h], rax; push rax; pop r10; sub r11, r10; adc r12, 0; movq xmm9, rax; paddq xmm8, xmm9;
   *  loop 1b; hlt */
  const LONG_LOOP = [
    ...[0x48, 0x8b, 0x04, 0x25, 0, 0x20, 0, 0, 0x4c, 0x01, 0xc8, 0x48, 0x89, 0x04, 0x25, 0, 0x20, 0, 0],
    ...[0x50, 0x41, 0x5a, 0x4d, 0x29, 0xd3, 0x49, 0x83, 0xd4, 0],
    ...[0x66, 0x4c, 0x0f, 0x6e, 0xc8, 0x66, 0x45, 0x0f, 0xd4, 0xc1, 0xe2, 0xd7, 0xf4],
  ];
  it('comes to the same as the interpreter, and has compared nearly everything', () => {
    const [a, b] = [longMachine(LONG_LOOP), longMachine(LONG_LOOP, 'off')];
    runAll(a);
    runAll(b);
    expect(a.cpu.executed).toBe(b.cpu.executed);
    const [x, y] = [a, b].map(({ cpu: { state } }) => [
      ...state.u32.subarray(FIELDS.gpr.offset >>> 2, (FIELDS.gpr.offset >>> 2) + 32),
      ...state.u32.subarray(FIELDS.xmm.offset >>> 2, (FIELDS.xmm.offset >>> 2) + 256),
      state.getEflags(),
    ]);
    expect(x).toEqual(y);
    expect(a.view.getBigUint64(0x2000, true)).toBe(b.view.getBigUint64(0x2000, true));
    expect(a.cpu.lockStep!.instructions).toBeGreaterThan(0.7 * a.cpu.executed);
  });
  it('reports a register that compiled code gets wrong', () => {
    // 1: add r8, 33h; loop 1b; hlt
    const m = longMachine([0x49, 0x83, 0xc0, 0x33, 0xe2, 0xfa, 0xf4]);
    sabotage(constant(0x33, 0x34, 0x42));
    expect(() => runAll(m)).toThrow(/differ at RIP 1000 after \d+ instructions\n {2}gpr\+64: region/);
  });
  it('reports memory that compiled code writes wrong, and puts it right', () => {
    // 1: mov byte [2000h], 33h; loop 1b; hlt
    const m = longMachine([0xc6, 0x04, 0x25, 0, 0x20, 0, 0, 0x33, 0xe2, 0xf6, 0xf4]);
    sabotage(constant(0x33, 0x34));
    expect(() => runAll(m)).toThrow(/memory at [0-9a-f]{8} of the arena: region 34, interpreter 33/);
    expect(m.ram[0x2000]).toBe(0x33);
  });
  it('does what has effects outside once', () => {
    // 1: inc rax; out 80h, al; loop 1b; hlt
    const m = longMachine([0x48, 0xff, 0xc0, 0xe6, 0x80, 0xe2, 0xf9, 0xf4]);
    runAll(m);
    expect(m.cpu.state.reg32(0)).toBe(5000);
    expect(m.writes.map(({ value }) => value & 0xff)).toEqual(Array.from({ length: 1000 }, (_, i) => (i + 1) & 0xff));
    expect(m.cpu.lockStep!.checked).toBeGreaterThan(2000);
  });
});
