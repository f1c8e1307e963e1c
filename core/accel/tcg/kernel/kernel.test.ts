import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bareMachine, enterFlat32 } from '../testing.ts';

const here = import.meta.dirname;
/** Behind the 12-byte multiboot header. */
const ENTRY = 0x10_000c;

describe('a kernel made of corner cases', () => {
  it('writes what it writes in QEMU 7.2', () => {
    const m = bareMachine(8 << 20);
    enterFlat32(m, ENTRY);
    m.ram.set(readFileSync(join(here, 'kernel.bin')), 0x10_0000);
    let text = '';
    let isDone = false;
    m.bus.io.write = (port, _size, value) => {
      if (port === 0xe9) text += String.fromCharCode(value);
      if (port === 0xf4) isDone = true;
    };
    for (let i = 0; i < 100 && !isDone && m.shutdowns === 0; i++) if (m.cpu.run(100_000) === 'halted') break;
    expect(text.split('\n')).toEqual(readFileSync(join(here, 'expected.txt'), 'latin1').split('\n'));
    expect(m.shutdowns).toBe(0);
  });
});
