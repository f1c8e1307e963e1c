import { describe, expect, it } from 'vitest';
import { VECTOR_INTEGER } from '../../../target/x86/semantics/vector-integer.ts';
import { VECTOR_MOVE } from '../../../target/x86/semantics/vector-move.ts';
import { runVectorNative, VectorSubject, vectorCases, vectorDifference } from './vector.ts';

const perForm = Number(process.env.CASES_PER_FORM ?? 12);
describe('vector instructions against the host CPU', () => {
  for (const [what, instructions] of [
    ['moves', VECTOR_MOVE],
    ['integers', VECTOR_INTEGER],
  ] as const) {
    const cases = vectorCases(instructions, perForm, [0x1f80]);
    const host = runVectorNative(cases.slice(0, 1)) ? runVectorNative(cases) : null;
    it.skipIf(!host)(`agree on ${cases.length} snippets of ${what}`, () => {
      const subject = new VectorSubject();
      const failures = cases.map((s, i) => vectorDifference(s, host![i]!, subject.run(s))).filter((f) => f !== null);
      expect(failures.slice(0, 30)).toEqual([]);
      const ran = host!.filter((h) => h.signal === 5).length;
      expect(ran).toBeGreaterThan(cases.length * 0.8);
    });
  }
});
