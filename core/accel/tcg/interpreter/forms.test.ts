import { describe, expect, it } from 'vitest';
import { decode } from '../../../target/x86/decode/decoder.ts';
import { parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import { bareMachine } from '../testing.ts';
import { formCode, formKey, hotForms, parseForm, WARM_FORMS } from './forms.ts';
import { generateCold } from './generate.ts';

/** Bytes of every encoding with every prefix that makes another form, register and memory operands. */
function* everyInstruction(): Generator<{ bytes: Uint8Array; name: string }> {
  for (const instruction of INSTRUCTIONS)
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      for (const size of [[], [0x66]])
        for (const address of [[], [0x67]])
          for (const rep of [[], [0xf2], [0xf3]])
            for (const modrm of e.hasModrm ? (e.mod === 0 ? [0x40] : e.mod === 1 ? [0xc1] : [0x40, 0xc1]) : [-1]) {
              const opcodeEscape = e.map === 0 ? [] : e.map === 1 ? [0x0f] : [0x0f, e.map === 2 ? 0x38 : 0x3a];
              const code = [...size, ...address, ...(e.prefix > 0 ? [e.prefix] : rep), ...opcodeEscape, e.opcode];
              if (e.modrm >= 0) code.push(e.modrm);
              else if (modrm >= 0) code.push(modrm | ((e.digit < 0 ? 3 : e.digit) << 3));
              yield { bytes: Uint8Array.from([...code, ...Array(20 - code.length).fill(1)]), name: instruction.name };
            }
    }
}

describe('handler forms', () => {
  it('give valid WebAssembly for everything that can be decoded', () => {
    bareMachine(4096); // names the helpers
    const keys = new Map<string, number>();
    const codes = new Map<number, string>();
    const seen = new Set<string>();
    for (const { bytes, name } of everyInstruction())
      for (const isCode32 of [true, false]) {
        const d = decode(bytes, 0, bytes.length, isCode32);
        expect(d, name).not.toBeNull();
        seen.add(d!.instruction.name);
        for (const flat of [true, false]) {
          const key = formKey(d!, 'm', flat);
          const code = formCode(d!, 'm', flat);
          // Keys and their numbers name the same forms.
          expect(keys.get(key) ?? code).toBe(code);
          expect(codes.get(code) ?? key).toBe(key);
          keys.set(key, code);
          codes.set(code, key);
        }
      }
    const forms = [...keys.keys()].map(parseForm);
    expect(forms.length).toBeGreaterThan(900);
    const bytes = generateCold(forms, { state: 4096, jumpCache: 65536 });
    expect(WebAssembly.validate(bytes)).toBe(true);
    // Nothing is defined that cannot be reached.
    const unreachable = INSTRUCTIONS.filter((i) => i.encodings.length > 0 && !seen.has(i.name)).map((i) => i.name);
    expect(unreachable).toEqual([]);
    // The hand-written lists name forms that exist.
    const fused = (key: string) => key.replaceAll(/\b[fg](\d+)/g, 'm$1');
    expect([...hotForms(), ...WARM_FORMS].filter((key) => !keys.has(fused(key)))).toEqual([]);
  });
});
