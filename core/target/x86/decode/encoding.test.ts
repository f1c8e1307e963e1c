import { describe, expect, it } from 'vitest';
import { KNOWN_ONLY } from '../disassemble/known-only.ts';
import { WITHOUT_THIRD } from '../disassemble/vex.ts';
import { INSTRUCTIONS } from '../semantics/index.ts';
import { rivalsAmong } from './encoding.ts';
import { IN_LONG_MODE_ONLY } from './long-mode.ts';

describe('encodings', () => {
  it('are claimed by one instruction each', () => {
    expect(rivalsAmong(INSTRUCTIONS)).toEqual([]);
    expect(rivalsAmong([...IN_LONG_MODE_ONLY, ...KNOWN_ONLY])).toEqual([]);
    expect(rivalsAmong(WITHOUT_THIRD)).toEqual([]);
  });
  it('that two instructions claim are found', () => {
    const named = (name: string, ...encodings: string[]) => ({ name, encodings });
    const nop = named('nop', '0f 1f /0 Ev');
    expect(rivalsAmong([nop, named('other', '0f 1f /1 Ev')])).toEqual([]);
    expect(rivalsAmong([nop, named('other', '0f 1f /0 Mv')])).toEqual(['0f 1f /0 Mv is claimed by nop and other']);
    expect(rivalsAmong([named('inc', '40+ Zv'), named('other', '47')])).toEqual(['47 is claimed by inc and other']);
  });
});
