import { describe, expect, it } from 'vitest';
import { SHA } from '../../../target/x86/semantics/sha.ts';
import { runVectorNative, VectorSubject, vectorCases, vectorDifference } from './vector.ts';

/** The host's CPU may lack them: then every snippet is an invalid opcode there. */
describe('SHA instructions against the host CPU', () => {
  const cases = vectorCases(SHA, Number(process.env.CASES_PER_FORM ?? 12), [0x1f80]);
  const host = runVectorNative(cases, 32);
  const isThere = host?.some((h) => h.signal === 5) ?? false;
  it.skipIf(!isThere)(`agree on ${cases.length} snippets`, () => {
    const subject = new VectorSubject();
    let compared = 0;
    const failures: string[] = [];
    cases.forEach((s, i) => {
      const ours = subject.run(s);
      // Some CPUs take operands that are not aligned; the manual's exception class 4 says #GP.
      if (host![i]!.signal === 5 && ours.signal === 11 && / m$/.test(s.what)) return;
      const failure = vectorDifference(s, host![i]!, ours);
      if (failure) failures.push(failure);
      else compared++;
    });
    expect(failures.slice(0, 30)).toEqual([]);
    expect(compared).toBeGreaterThan(cases.length * 0.7);
  });
});
