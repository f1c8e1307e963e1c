import { describe, expect, it } from 'vitest';
import { decode, decodeLong } from '../../../target/x86/decode/decoder.ts';
import { type Encoding, parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { EXECUTABLE, INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import { LONG_WIDE } from '../../../target/x86/semantics/long.ts';
import { vexBytes } from '../../../target/x86/testing/vex-bytes.ts';
import { bareMachine } from '../testing.ts';
import { COLD_GROUPS, formCode, formKey, hotForms, LONG_COLD_GROUPS, longHotForms, parseForm } from './forms.ts';
import { generateCold, generateInterpreter } from './generate.ts';

/** What 64-bit code has not. */
const GONE = (
  'aaa aad aam aas arpl bound callFar daa das into jmpFar lds les popSeg0 popSeg2 popSeg3 popa pushSeg0 pushSeg1 pushSeg2 ' +
  'pushSeg3 pusha salc'
).split(' ');

/** Every length and W, with a register and with memory behind a SIB byte. */
function* withVex(e: Encoding, rex?: number): Generator<Uint8Array> {
  for (const address of [[], [0x67]])
    for (const modrm of e.mod === 0 ? [0x44] : e.mod === 1 ? [0xc1] : [0x44, 0xc1])
      for (const choice of [0, 1, 2, 3]) {
        const bytes = vexBytes(e, rex === undefined ? { register: 5, choice } : { register: 13, choice, rex });
        const code = [...address, ...bytes];
        if (e.hasModrm) code.push(modrm | ((e.digit < 0 ? 3 : e.digit) << 3));
        yield Uint8Array.from([...code, ...Array(20 - code.length).fill(1)]);
      }
}

/** Bytes of every encoding with every prefix that makes another form, register and memory operands. */
function* everyInstruction(): Generator<{ bytes: Uint8Array; name: string }> {
  for (const instruction of INSTRUCTIONS)
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (e.vex) {
        for (const bytes of withVex(e)) yield { bytes, name: instruction.name };
        continue;
      }
      for (const size of [[], [0x66]])
        for (const address of [[], [0x67]])
          for (const rep of [[], [0xf2], [0xf3]])
            for (const modrm of e.hasModrm ? (e.mod === 0 ? [0x40] : e.mod === 1 ? [0xc1] : [0x40, 0xc1]) : [-1]) {
              const opcodeEscape = e.map === 0 ? [] : e.map === 1 ? [0x0f] : [0x0f, e.map === 2 ? 0x38 : 0x3a];
              const code = [...size, ...address, ...(e.prefix > 0 ? [e.prefix] : rep), ...opcodeEscape, e.opcode];
              if (e.modrm >= 0) code.push(e.modrm);
              else if (modrm >= 0) code.push(modrm | ((e.digit < 0 ? 3 : e.digit) << 3));
              // The displacement of one byte, or the suffix itself.
              if (e.suffix >= 0) code.push(e.suffix, e.suffix);
              yield { bytes: Uint8Array.from([...code, ...Array(20 - code.length).fill(1)]), name: instruction.name };
            }
    }
}

/** The same of 64-bit code, with REX prefixes. */
function* everyLongInstruction(): Generator<Uint8Array> {
  for (const instruction of EXECUTABLE)
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (e.vex) {
        for (const rex of [0, 8, 15]) yield* withVex(e, rex);
        continue;
      }
      const isWide = LONG_WIDE.some((wide) => wide.instruction === instruction);
      for (const size of [[], [0x66]])
        for (const address of [[], [0x67]])
          for (const rep of [[], [0xf2], [0xf3]])
            for (const rex of isWide ? [0x48] : [0, 0x48, 0x40])
              for (const modrm of e.hasModrm ? (e.mod === 0 ? [0x40] : e.mod === 1 ? [0xc1] : [0x40, 0xc1]) : [-1]) {
                const opcodeEscape = e.map === 0 ? [] : e.map === 1 ? [0x0f] : [0x0f, e.map === 2 ? 0x38 : 0x3a];
                const before = [...size, ...address, ...(e.prefix > 0 ? [e.prefix] : rep), ...(rex ? [rex] : [])];
                const code = [...before, ...opcodeEscape, e.opcode];
                if (e.modrm >= 0) code.push(e.modrm);
                else if (modrm >= 0) code.push(modrm | ((e.digit < 0 ? 3 : e.digit) << 3));
                if (e.suffix >= 0) code.push(e.suffix, e.suffix);
                yield Uint8Array.from([...code, ...Array(24 - code.length).fill(0x81)]);
              }
    }
}

describe('handler forms', () => {
  it('give valid WebAssembly for everything of 64-bit code', () => {
    bareMachine(4096); // names the helpers
    const keys = new Map<string, number>();
    const codes = new Map<number, string>();
    const seen = new Set<string>();
    for (const bytes of everyLongInstruction()) {
      const d = decodeLong(bytes, 0, bytes.length);
      if (!d) throw new Error('every instruction must decode');
      seen.add(d.instruction.name);
      const key = formKey(d, 'm', true, true);
      const code = d.instruction.number! * 2 ** 31 + formCode(d, 'm', true, true);
      expect(keys.get(key) ?? code).toBe(code);
      expect(codes.get(code) ?? key).toBe(key);
      keys.set(key, code);
      codes.set(code, key);
    }
    const layout = { state: 4096, jumpCache: 65536 };
    const forms = [...keys.keys()].map((key) => parseForm(key, true));
    expect(forms.length).toBeGreaterThan(1200);
    const bad = forms.filter((form) => !WebAssembly.validate(generateCold([form], layout, true)));
    expect(bad.map((form) => form.key)).toEqual([]);
    const fused = [...longHotForms(), ...LONG_COLD_GROUPS.flat()].map((key) => key.replaceAll(/\b[fg](\d+)/g, 'm$1'));
    expect(fused.filter((key) => !keys.has(key))).toEqual([]);
    const hot = longHotForms().map((key) => parseForm(key, true));
    expect(WebAssembly.validate(generateInterpreter(hot, layout, true))).toBe(true);
    const missing = EXECUTABLE.filter((i) => i.encodings.length > 0 && !seen.has(i.name)).map((i) => i.name);
    expect(missing.sort()).toEqual(GONE);
  });

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
        for (const [flat, limited] of [
          [true, false],
          [false, false],
          [true, true],
          [false, true],
        ] as const) {
          const key = formKey(d!, 'm', flat, false, limited);
          const code = d!.instruction.number! * 2 ** 31 + formCode(d!, 'm', flat, false, limited);
          // Keys and their numbers name the same forms.
          expect(keys.get(key) ?? code).toBe(code);
          expect(codes.get(code) ?? key).toBe(key);
          keys.set(key, code);
          codes.set(code, key);
        }
      }
    const forms = [...keys.keys()].map((key) => parseForm(key));
    expect(forms.length).toBeGreaterThan(900);
    const bytes = generateCold(forms, { state: 4096, jumpCache: 65536 });
    expect(WebAssembly.validate(bytes)).toBe(true);
    // Nothing is defined that cannot be reached.
    const unreachable = INSTRUCTIONS.filter((i) => i.encodings.length > 0 && !seen.has(i.name)).map((i) => i.name);
    expect(unreachable).toEqual([]);
    // The hand-written lists name forms that exist.
    const fused = (key: string) => key.replaceAll(/\b[fg](\d+)/g, 'm$1');
    expect([...hotForms(), ...COLD_GROUPS.flat()].filter((key) => !keys.has(fused(key)))).toEqual([]);
  });
});
