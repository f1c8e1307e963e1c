/** `-d in_asm`: what is logged as blocks are decoded. */
import { expect, it } from 'vitest';
import { type BareMachine, bareMachine, enterFlat32 } from './testing.ts';

const RAM_BYTES = 1 << 20;

/** Code at `start`; gives the machine and what it logs. */
function logged(start: number, code: readonly number[], isLogged = true): { m: BareMachine; texts: string[] } {
  const m = bareMachine(RAM_BYTES, { jit: 'off' });
  const texts: string[] = [];
  Object.assign(m.bus, {
    logs: (mask: string) => isLogged && mask === 'in_asm',
    log: (mask: string, text: () => string) => mask === 'in_asm' && texts.push(`${text()}\n`),
  });
  enterFlat32(m, start);
  m.ram.set(code, start);
  return { m, texts };
}

it('tells of every block once, and again when its code has changed', () => {
  const { m, texts } = logged(0x1000, [0x40, 0x90, 0xeb, 0xfc]); // 1: inc eax; nop; jmp 1b
  m.cpu.run(100);
  m.cpu.run(100);
  const block = (second: string) =>
    [
      '----------------',
      'IN: ',
      '0x00001000:  40                       incl     %eax',
      `0x00001001:  ${second}`,
      '0x00001002:  eb fc                    jmp      0x1000',
      '',
      '',
    ].join('\n');
  expect(texts).toEqual([block('90                       nop      ')]);
  m.dma(0x1001, Uint8Array.from([0x41]));
  m.cpu.run(100);
  expect(texts.slice(1)).toEqual([block('41                       incl     %ecx')]);
});

it('shows an instruction whole that begins in one page and ends in the next', () => {
  const { m, texts } = logged(0x1ffe, [0xb8, 0x78, 0x56, 0x34, 0x12, 0xf4]); // mov eax, 0x12345678; hlt
  expect(m.cpu.run(100)).toBe('halted');
  expect(texts).toEqual([
    '----------------\nIN: \n0x00001ffe:  b8 78 56 34 12           movl     $0x12345678, %eax\n\n',
    '----------------\nIN: \n0x00002003:  f4                       hlt      \n\n',
  ]);
});

it('shows code that stands in a device', () => {
  const { m, texts } = logged(RAM_BYTES, []); // every byte is 5ah: pop edx
  m.cpu.run(2);
  expect(texts[0]).toBe('----------------\nIN: \n0x00100000:  5a                       popl     %edx\n\n');
  expect(texts[1]).toContain('0x00100001:  5a');
});

it('says nothing unless it is asked for', () => {
  const { m, texts } = logged(0x1000, [0xf4], false);
  expect(m.cpu.run(100)).toBe('halted');
  expect(texts).toEqual([]);
});

it('exec without nochain tells what the engine looks up, with it every block', () => {
  const traces = (isUnchained: boolean) => {
    const m = bareMachine(RAM_BYTES, { jit: 'always' });
    const texts: string[] = [];
    Object.assign(m.bus, {
      logs: (mask: string) => mask === 'exec' || (isUnchained && mask === 'nochain'),
      log: (mask: string, text: () => string) => mask === 'exec' && texts.push(text()),
    });
    enterFlat32(m, 0x1000);
    m.ram.set([0x40, 0xeb, 0xfd], 0x1000); // 1: inc eax; jmp 1b
    m.cpu.run(200);
    return { texts, count: m.cpu.state.reg32(0) };
  };
  const all = traces(true);
  expect(all.count).toBe(100);
  expect(all.texts).toHaveLength(100);
  expect(all.texts[99]).toMatch(
    /^Trace 0: 0x[0-9a-f]{12} \[0000000000000000\/0000000000001000\/000000b0\/ff000200\] $/,
  );
  const some = traces(false);
  expect(some.count).toBe(100);
  expect(some.texts.length).toBeGreaterThan(0);
  expect(some.texts.length).toBeLessThan(10);
  expect(some.texts[0]).toContain('/ff000000]');
});
