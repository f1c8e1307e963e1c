import { describe, expect, it } from 'vitest';
import { AVX_MEMORY } from '../../../target/x86/semantics/avx-memory.ts';
import { AVX_MOVE } from '../../../target/x86/semantics/avx-move.ts';
import { AVX_PERMUTE } from '../../../target/x86/semantics/avx-permute.ts';
import { AVX_SSE } from '../../../target/x86/semantics/avx-sse.ts';
import { FMA } from '../../../target/x86/semantics/fma.ts';
import { VECTOR_CONVERT } from '../../../target/x86/semantics/vector-convert.ts';
import { VECTOR_FLOAT } from '../../../target/x86/semantics/vector-float.ts';
import { VECTOR_IMMEDIATE } from '../../../target/x86/semantics/vector-immediate.ts';
import { VECTOR_INTEGER } from '../../../target/x86/semantics/vector-integer.ts';
import { VECTOR_MOVE } from '../../../target/x86/semantics/vector-move.ts';
import { runVectorNative, vectorCases, vectorDifference } from './vector.ts';
import { LongVectorSubject, longVectorCases } from './vector64.ts';

/** Of every tenth snippet its compiled form runs too. */
const COMPILED_PART = 10;
const perForm = Number(process.env.CASES_PER_FORM ?? 12);
const AVX = [...AVX_MOVE.filter((i) => !i.name.startsWith('vld')), ...AVX_SSE, ...AVX_PERMUTE, ...AVX_MEMORY, ...FMA];
const FLOATS = [...VECTOR_FLOAT, ...VECTOR_CONVERT];
describe('vector instructions of 64-bit code against the host CPU', () => {
  for (const [what, instructions, mxcsrs, least] of [
    ['moves', VECTOR_MOVE, [0x1f80], 0.8],
    ['integers', VECTOR_INTEGER, [0x1f80], 0.8],
    ['what an immediate chooses', VECTOR_IMMEDIATE, [0x1f80, 0x1fbf], 0.8],
    ['floats', FLOATS, [0x1f80, 0x1fa0, 0x3f80, 0x9fc0], 0.8],
    ['AVX', AVX, [0x1f80, 0x1fa0, 0x3f80, 0x9fc0], 0.5],
    ['AVX that faults', AVX, [0, 0x1f00, 0x1d80, 0x0fa0], 0.3],
    ['floats that fault', FLOATS, [0, 0x1f00, 0x1d80, 0x0fa0], 0.3],
  ] as const) {
    const cases = longVectorCases(vectorCases(instructions, perForm, mxcsrs));
    const host = runVectorNative(cases, 64);
    it.skipIf(!host)(`agree on ${cases.length} snippets of ${what}`, { timeout: 120_000 }, () => {
      const subject = new LongVectorSubject();
      const failures = cases.map((s, i) => vectorDifference(s, host![i]!, subject.run(s))).filter((f) => f !== null);
      expect(failures.slice(0, 30)).toEqual([]);
      const compiled = new LongVectorSubject(true);
      const chosen = [...cases.keys()].filter((i) => i % COMPILED_PART === 0);
      const others = chosen.map((i) => vectorDifference(cases[i]!, host![i]!, compiled.run(cases[i]!)));
      expect(others.filter((f) => f !== null).slice(0, 30)).toEqual([]);
      expect(compiled.compiled).toBeGreaterThan(chosen.length * 0.8);
      const ran = host!.filter((h) => h.signal === 5).length;
      expect(ran).toBeGreaterThan(cases.length * least);
    });
  }
});
