import { describe, expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from './cpu-definition.ts';
import { decode, mapsFor } from './decode/decoder.ts';
import { parseEncoding } from './decode/encoding.ts';
import { findFeature } from './features.ts';
import { featureOf } from './instruction-features.ts';
import { INSTRUCTIONS } from './semantics/index.ts';

const decoded = (model: string, ...bytes: number[]) => {
  const { features } = defineCpu(parseCpuOption(model)).definition;
  const code = Uint8Array.from([...bytes, ...Array<number>(16).fill(0)]);
  return decode(
    code,
    0,
    code.length,
    true,
    mapsFor((name) => features.has(name)),
  )!.instruction.name;
};

describe('a model has the instructions of its features', () => {
  it.each([
    ['486', [0x0f, 0x44, 0xc1], 'invalid'],
    ['pentium2', [0x0f, 0x44, 0xc1], 'cmovz'],
    ['486', [0x0f, 0xc7, 0x0e], 'invalid'],
    ['pentium', [0x0f, 0xc7, 0x0e], 'cmpxchg8b'],
    ['pentium', [0x0f, 0xfc, 0xc1], 'paddb'],
    ['486', [0x0f, 0xfc, 0xc1], 'invalid'],
    ['pentium3', [0x66, 0x0f, 0xfc, 0xc1], 'invalid'],
    ['pentium3', [0x0f, 0x58, 0xc1], 'addps'],
    ['pentium2', [0x0f, 0x58, 0xc1], 'invalid'],
    ['pentium3', [0x66, 0x0f, 0x58, 0xc1], 'invalid'],
    ['qemu32', [0x66, 0x0f, 0x58, 0xc1], 'addpd'],
    ['pentium3', [0x0f, 0xd4, 0xc1], 'invalid'],
    ['pentium2', [0x0f, 0xe0, 0xc1], 'invalid'],
    ['pentium3', [0x0f, 0xe0, 0xc1], 'pavgb'],
    ['kvm32', [0x0f, 0x38, 0x00, 0xc1], 'invalid'],
    ['core2duo', [0x0f, 0x38, 0x00, 0xc1], 'pshufb'],
    ['core2duo', [0x66, 0x0f, 0x38, 0x10, 0xc1], 'invalid'],
    ['max', [0x66, 0x0f, 0x38, 0x10, 0xc1], 'pblendvb'],
    ['qemu32', [0xdb, 0x0e], 'fisttp32'],
    ['athlon', [0xdb, 0x0e], 'invalid'],
  ])('%s: %j is %s', (model, bytes, name) => {
    expect(decoded(model, ...bytes)).toBe(name);
  });

  it('every feature is one that -cpu knows', () => {
    for (const instruction of INSTRUCTIONS)
      for (const text of instruction.encodings) {
        const feature = featureOf(parseEncoding(instruction, text));
        if (feature !== null) expect(findFeature(feature), `${instruction.name} ${text}`).toBeDefined();
      }
  });
});
