import { describe, expect, it } from 'vitest';
import { VECTOR_CONVERT } from '../../../target/x86/semantics/vector-convert.ts';
import { VECTOR_FLOAT } from '../../../target/x86/semantics/vector-float.ts';
import { VECTOR_IMMEDIATE } from '../../../target/x86/semantics/vector-immediate.ts';
import { VECTOR_INTEGER } from '../../../target/x86/semantics/vector-integer.ts';
import { VECTOR_MOVE } from '../../../target/x86/semantics/vector-move.ts';
import { runVectorNative, VectorSubject, vectorCases, vectorDifference } from './vector.ts';

/** Of every tenth snippet its compiled form runs too. */
const COMPILED_PART = 10;
const perForm = Number(process.env.CASES_PER_FORM ?? 12);
const FLOATS = [...VECTOR_FLOAT, ...VECTOR_CONVERT];
describe('vector instructions against the host CPU', () => {
  for (const [what, instructions, mxcsrs, least] of [
    ['moves', VECTOR_MOVE, [0x1f80], 0.8],
    ['integers', VECTOR_INTEGER, [0x1f80], 0.8],
    ['what an immediate chooses', VECTOR_IMMEDIATE, [0x1f80, 0x1fbf], 0.8],
    ['floats', FLOATS, [0x1f80], 0.8],
    ['floats with flags set', FLOATS, [0x1fa0, 0x1fbf], 0.8],
    ['floats, other rounding', FLOATS, [0x3f80, 0x5f80, 0x7fa0], 0.8],
    ['floats without denormals', FLOATS, [0x1fc0, 0x9f80, 0x9fc0, 0xffe0], 0.8],
    ['floats that fault', FLOATS, [0, 0x1f00, 0x1e80, 0x1d80, 0x1b80, 0x1780, 0x0fa0, 0x8040], 0.3],
  ] as const) {
    const cases = vectorCases(instructions, perForm, mxcsrs);
    const host = runVectorNative(cases, 32);
    it.skipIf(!host)(`agree on ${cases.length} snippets of ${what}`, { timeout: 120_000 }, () => {
      const subject = new VectorSubject();
      const failures = cases.map((s, i) => vectorDifference(s, host![i]!, subject.run(s))).filter((f) => f !== null);
      expect(failures.slice(0, 30)).toEqual([]);
      const compiled = new VectorSubject(true);
      const chosen = [...cases.keys()].filter((i) => i % COMPILED_PART === 0);
      const others = chosen.map((i) => vectorDifference(cases[i]!, host![i]!, compiled.run(cases[i]!)));
      expect(others.filter((f) => f !== null).slice(0, 30)).toEqual([]);
      expect(compiled.compiled).toBeGreaterThan(chosen.length * 0.8);
      const ran = host!.filter((h) => h.signal === 5).length;
      expect(ran).toBeGreaterThan(cases.length * least);
    });
  }
});
