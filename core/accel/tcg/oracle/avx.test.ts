import { describe, expect, it } from 'vitest';
import { AVX_MEMORY } from '../../../target/x86/semantics/avx-memory.ts';
import { AVX_MOVE } from '../../../target/x86/semantics/avx-move.ts';
import { AVX_PERMUTE } from '../../../target/x86/semantics/avx-permute.ts';
import { AVX_SSE } from '../../../target/x86/semantics/avx-sse.ts';
import { BMI } from '../../../target/x86/semantics/bmi.ts';
import { FMA } from '../../../target/x86/semantics/fma.ts';
import type { Instruction } from '../../../target/x86/semantics/ops.ts';
import { runVectorNative, VectorSubject, vectorCases, vectorDifference } from './vector.ts';

/** Of every tenth snippet its compiled form runs too. */
const COMPILED_PART = 10;
const perForm = Number(process.env.CASES_PER_FORM ?? 12);
/** Arithmetic and conversions set flags of MXCSR. */
const isFloat = ({ name }: Instruction) =>
  /^v(f|(add|sub|mul|div|min|max|h|cmp|u?comi|sqrt|r|cvt|dp))/.test(name) && !/^vr(cp|sqrt)/.test(name);
const FLOATS = [...AVX_SSE, ...FMA].filter(isFloat);
describe('instructions with a VEX prefix against the host CPU', () => {
  for (const [what, instructions, mxcsrs, least] of [
    ['BMI', BMI.filter((i) => i.name !== 'tzcnt'), [0x1f80], 0.8],
    ['moves', AVX_MOVE, [0x1f80], 0.6],
    ['SSE in its new coat', AVX_SSE.filter((i) => !isFloat(i)), [0x1f80], 0.8],
    ['permutations', AVX_PERMUTE, [0x1f80], 0.8],
    ['masked accesses', AVX_MEMORY, [0x1f80], 0.8],
    ['floats', FLOATS, [0x1f80], 0.8],
    ['floats with flags set', FLOATS, [0x1fa0, 0x1fbf], 0.8],
    ['floats, other rounding', FLOATS, [0x3f80, 0x5f80, 0x7fa0], 0.8],
    ['floats without denormals', FLOATS, [0x1fc0, 0x9f80, 0x9fc0, 0xffe0], 0.8],
    ['floats that fault', FLOATS, [0, 0x1f00, 0x1e80, 0x1d80, 0x1b80, 0x1780, 0x0fa0, 0x8040], 0.3],
  ] as const) {
    const cases = vectorCases(instructions, perForm, mxcsrs, 17);
    const host = runVectorNative(cases, 32);
    it.skipIf(!host)(`agree on ${cases.length} snippets of ${what}`, { timeout: 120_000 }, () => {
      const subject = new VectorSubject();
      const failures = cases.map((s, i) => vectorDifference(s, host![i]!, subject.run(s))).filter((f) => f !== null);
      expect(failures.slice(0, 30)).toEqual([]);
      const compiled = new VectorSubject(true);
      const chosen = [...cases.keys()].filter((i) => i % COMPILED_PART === 0);
      const others = chosen.map((i) => vectorDifference(cases[i]!, host![i]!, compiled.run(cases[i]!)));
      expect(others.filter((f) => f !== null).slice(0, 30)).toEqual([]);
      // The same bytes mean the same in 64-bit code.
      for (const isCompiled of [false, true]) {
        const long = new VectorSubject(isCompiled, true);
        const differ = chosen.map((i) => vectorDifference(cases[i]!, host![i]!, long.run(cases[i]!)));
        expect(differ.filter((f) => f !== null).slice(0, 30)).toEqual([]);
      }
      expect(compiled.compiled).toBeGreaterThan(chosen.length * 0.8);
      const ran = host!.filter((h) => h.signal === 5).length;
      expect(ran).toBeGreaterThan(cases.length * least);
    });
  }
});
