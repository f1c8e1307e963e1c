import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { X86Cpu } from '../../accel/tcg/cpu.ts';
import { bareMachine, enterFlat32 } from '../../accel/tcg/testing.ts';
import { decode } from './decode/decoder.ts';
import { UNIMPLEMENTED, unimplementedFamily } from './unimplemented.ts';

const SAMPLES: readonly (readonly [name: string, code: readonly number[]])[] = [
  ['XOP', [0x8f, 0xe8, 0x78, 0xc0]],
  ['XSAVEC, XSAVES', [0x0f, 0xc7, 0x23]],
  ['SVM', [0x0f, 0x01, 0xd9]],
  ['VMX', [0x0f, 0x01, 0xc1]],
  ['VMX', [0x0f, 0xc7, 0x33]],
  ['SSE4a', [0x66, 0x0f, 0x79, 0xc1]],
];

describe('what is not implemented', () => {
  it.each(SAMPLES)('%s %j is no instruction and has its name', (name, code) => {
    const bytes = Uint8Array.from([...code, ...Array<number>(16).fill(0)]);
    const decoded = decode(bytes, 0, bytes.length, true)!;
    expect(decoded.instruction.name).toBe('invalid');
    const detail = decoded.operands[0]!.value;
    expect(unimplementedFamily(detail >>> 16, (detail >>> 8) & 0xff, detail & 0xff)?.name).toBe(name);
  });

  it('has a sample for every family, and stands in the README', () => {
    expect(new Set(SAMPLES.map(([name]) => name))).toEqual(new Set(UNIMPLEMENTED.map(({ name }) => name)));
    const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
    for (const { name } of UNIMPLEMENTED) expect(readme).toContain(name);
  });

  it('raises #UD and is logged once by name', () => {
    const machine = bareMachine();
    const texts: string[] = [];
    const bus = { ...machine.bus, log: (mask: string, text: () => string) => mask === 'unimp' && texts.push(text()) };
    const cpu = new X86Cpu(bus as typeof machine.bus);
    const vectors: number[] = [];
    (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
      vectors.push(vector);
      cpu.state.eip = 0x1000;
    };
    machine.ram.set([0x66, 0x0f, 0x79, 0xc1], 0x1000);
    enterFlat32({ ...machine, cpu }, 0x1000);
    cpu.run(3);
    expect(vectors).toEqual([6, 6, 6]);
    expect(texts).toEqual(['SSE4a is not implemented: 0f 79 raises #UD']);
  });
});
