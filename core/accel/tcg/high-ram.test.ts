/** Guest RAM that lies above 2 GiB of linear memory, where offsets are negative as signed numbers: code, stack, data, strings and
 *  writes to code there, in both tiers. */
import { expect, it } from 'vitest';
import { bareMachine, enterFlat32, enterLong } from './testing.ts';

const START = 0x1000;
const PROGRAM = [
  'b9e8030000', //   mov ecx,1000
  '31c0', //         xor eax,eax
  '01c8', //   loop: add eax,ecx
  '49', //           dec ecx (in 64-bit code a REX prefix: see below)
  '75fb', //         jnz loop
];
const SUM = 500_500;
/** Stores the sum, copies it with REP MOVSB, patches an immediate ahead and runs into it, and calls. */
const REST = [
  'bf00200000', //     mov edi,0x2000
  '8907', //           mov [edi],eax
  'be00200000', //     mov esi,0x2000
  'bf00310000', //     mov edi,0x3100
  'b904000000', //     mov ecx,4
  'f3a4', //           rep movsb
  'e801000000', //     call next
  'f4', //             hlt
  '8b1d00310000', //   next: mov ebx,[0x3100] (in 64-bit code relative to RIP: see below)
  'c3', //             ret
];

it.each(['off', 'always'] as const)('32-bit code, x-jit=%s', (jit) => {
  const m = bareMachine(1 << 20, { jit, ramAt: 0xa000_0000 });
  enterFlat32(m, START);
  m.ram.set(Buffer.from([...PROGRAM, ...REST].join(''), 'hex'), START);
  expect(m.cpu.run(100_000)).toBe('halted');
  expect(m.cpu.state.reg32(3)).toBe(SUM);
  expect([m.view.getUint32(0x2000, true), m.view.getUint32(0x3100, true)]).toEqual([SUM, SUM]);
  // Again with another count, written over the code as a device and as the guest would.
  m.dma(START + 1, Uint8Array.of(4, 0, 0, 0));
  m.cpu.state.halted = false;
  m.cpu.state.eip = START;
  expect(m.cpu.run(100_000)).toBe('halted');
  expect(m.cpu.state.reg32(3)).toBe(10);
});

it.each(['off', 'always'] as const)('64-bit code with paging, x-jit=%s', (jit) => {
  const m = bareMachine(4 << 20, { jit, ramAt: 0xa000_0000 });
  enterLong(m, START);
  const code = [...PROGRAM, ...REST]
    .join('')
    .replace('01c84975fb', '01c8ffc975fa')
    .replace('8b1d00310000', '8b1c2500310000');
  m.ram.set(Buffer.from(code, 'hex'), START);
  expect(m.cpu.run(100_000)).toBe('halted');
  expect(m.cpu.state.reg32(3)).toBe(SUM);
  expect(m.view.getUint32(0x3100, true)).toBe(SUM);
});
