import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from '../../../target/x86/cpu-definition.ts';
import { JIT_MODES, type JitMode } from '../jit/jit.ts';
import { bareMachine, enterFlat32 } from '../testing.ts';

const here = import.meta.dirname;
/** Behind the 12-byte multiboot header. */
const ENTRY = 0x10_000c;

/** What a kernel writes to port 0xe9. */
function output(kernel: string, jit: JitMode, cpu?: string): string[] {
  const m = bareMachine(8 << 20, { jit, ...(cpu ? { definition: defineCpu(parseCpuOption(cpu)).definition } : {}) });
  enterFlat32(m, ENTRY);
  m.ram.set(readFileSync(join(here, kernel)), 0x10_0000);
  let text = '';
  let isDone = false;
  m.bus.io.write = (port, _size, value) => {
    if (port === 0xe9) text += String.fromCharCode(value);
    if (port === 0xf4) isDone = true;
  };
  for (let i = 0; i < 300 && !isDone && m.shutdowns === 0; i++) if (m.cpu.run(100_000) === 'halted') break;
  expect(m.shutdowns).toBe(0);
  return text.split('\n');
}
const expected = (name: string) => readFileSync(join(here, name), 'latin1').split('\n');

describe.each(JIT_MODES)('kernels made of corner cases, JIT %s', (jit) => {
  it('one of segments, gates, tasks, VM86 writes what it writes in QEMU 7.2', () => {
    expect(output('kernel.bin', jit)).toEqual(expected('expected.txt'));
  });
  it('one of paging does', { timeout: 60_000 }, () => {
    expect(output('paging.bin', jit)).toEqual(expected('paging.txt'));
  });
  it('one of long mode does', () => {
    expect(output('long.bin', jit, 'qemu64,+pdpe1gb,+fsgsbase,+smap')).toEqual(expected('long.txt'));
  });
});
