/** What the engine is asked for: seldom, however targets of jumps lie and whatever became of their code. */
import { describe, expect, it } from 'vitest';
import { ECX } from '../../target/x86/state.ts';
import { jumpSlots } from './emit/jump-cache.ts';
import { type BareMachine, bareMachine, enterFlat32, enterLong, hexBytes } from './testing.ts';

const CODE = 0x1000;
const ROUNDS = 5000;
const word = (value: number) => Buffer.from(Uint32Array.of(value).buffer).toString('hex');

function counting(m: BareMachine): { asked: number } {
  const counter = { asked: 0 };
  const cpu = m.cpu as unknown as { lookup(): number };
  const lookup = cpu.lookup.bind(m.cpu);
  cpu.lookup = () => {
    counter.asked++;
    return lookup();
  };
  return counter;
}
function runToHalt(m: BareMachine): void {
  for (let i = 0; i < 50 && !m.cpu.state.halted; i++) m.cpu.run(100_000);
  expect(m.cpu.state.halted).toBe(true);
}

describe.each([
  ['32', enterFlat32],
  ['64', enterLong],
] as const)('jumps in %s-bit code', (_bits, enter) => {
  it.each(['off', 'on'] as const)(
    'whose places in the jump cache are the same find their way without the engine, x-jit=%s',
    (jit) => {
      const m = bareMachine(4 << 20, { jit });
      enter(m, CODE);
      const first = 0x2_0000;
      let second = 0x2_4000;
      while (jumpSlots(second)[0] !== jumpSlots(first)[0]) second++;
      // mov ecx,ROUNDS; 1: mov eax,first; call rax; mov eax,second; call rax; sub ecx,1; jnz 1b; hlt
      m.dma(CODE, hexBytes(`b9${word(ROUNDS)} b8${word(first)} ffd0 b8${word(second)} ffd0 83e901 75ed f4`));
      m.dma(first, hexBytes('83c601 c3')); // add esi,1; ret
      m.dma(second, hexBytes('83c703 c3')); // add edi,3; ret
      m.cpu.state.setReg32(6, 0);
      m.cpu.state.setReg32(7, 0);
      const counter = counting(m);
      runToHalt(m);
      expect([m.cpu.state.reg32(6), m.cpu.state.reg32(7)]).toEqual([ROUNDS, 3 * ROUNDS]);
      expect(counter.asked).toBeLessThan(ROUNDS / 50);
    },
  );

  it('to code that was dropped find what is there now without the engine', () => {
    const m = bareMachine(4 << 20, { jit: 'off' });
    enter(m, CODE);
    const target = CODE + 0x40;
    // mov ecx,ROUNDS; 1: call target; sub ecx,1; jnz 1b; hlt
    m.dma(CODE, hexBytes(`b9${word(ROUNDS)} e8${word(target - CODE - 10)} 83e901 75f6 f4`));
    m.dma(target, hexBytes('83c601 c3'));
    const counter = counting(m);
    for (const step of [1, 5, 7]) {
      m.dma(target + 2, Uint8Array.of(step));
      const { state } = m.cpu;
      state.halted = false;
      state.setReg32(6, 0);
      if (state.code64) state.rip = CODE;
      else state.eip = CODE;
      runToHalt(m);
      expect([state.reg32(6), state.reg32(ECX)]).toEqual([step * ROUNDS, 0]);
    }
    expect(counter.asked).toBeLessThan(ROUNDS / 50);
  });
});

it('the jump cache is empty once code in a device has made everything go that was decoded', () => {
  const RAM_BYTES = 1 << 20;
  const m = bareMachine(RAM_BYTES, { jit: 'off' });
  enterFlat32(m, CODE);
  m.dma(CODE, hexBytes('83c601 ebfb')); // 1: add esi,1; jmp 1b
  const { state } = m.cpu;
  state.setReg32(6, 0);
  m.cpu.run(20);
  expect(state.reg32(6)).toBe(10);
  // The pool is full: what is decoded next begins where that loop was. Behind RAM every byte is 5ah, pop edx.
  const { blocks } = m.cpu as unknown as { blocks: { next: number; pool: number; generation: number } };
  const { generation } = blocks;
  blocks.next = blocks.pool + (16 << 20);
  state.eip = RAM_BYTES;
  m.cpu.run(1);
  expect([state.eip, blocks.generation]).toEqual([RAM_BYTES + 1, generation + 1]);
  state.eip = CODE;
  m.cpu.run(20);
  expect(state.reg32(6)).toBe(20);
});
