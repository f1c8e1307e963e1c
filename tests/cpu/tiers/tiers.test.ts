import { describe, expect, it } from 'vitest';
import { BITS, compare, Mismatch, tryWays } from './compare.ts';
import { generate } from './generate.ts';
import { regressions } from './regressions.ts';
import { blocks, compiled, compiledSlices, singleSteps, slices } from './ways.ts';

describe('random programs', () => {
  const reference = singleSteps();
  for (const way of [blocks(), slices(), compiled(), compiledSlices()]) {
    for (const bits of BITS)
      it(`of ${bits}-bit code come to the same end in ${way.name} as in single steps`, () => {
        let faults = 0;
        let executed = 0;
        let ended = 0;
        const { statistics } = way.guest.machine.cpu.jit;
        const before = statistics.compiledInstructions;
        for (let seed = 1; seed <= 120; seed++) {
          const result = tryWays(seed, reference, way, bits);
          executed += result.executed;
          faults += result.faults;
          if (result.how === 'halted') ended++;
        }
        expect(executed).toBeGreaterThan(50_000);
        expect(faults).toBeGreaterThan(1000);
        expect(ended).toBeGreaterThan(100);
        if (way.isCompiled) expect(statistics.compiledInstructions - before).toBeGreaterThan(5000);
      });

    it.each(regressions())(`$name, in ${way.name}`, ({ program, world }) => {
      // Twice: what the first run left cached must not show in the second.
      for (let i = 0; i < 2; i++) expect(compare(program, world, reference, way).difference).toBeNull();
    });
  }

  it('are reduced to the instruction that tells two CPUs apart', () => {
    const odd = blocks();
    const { tscNow } = odd.guest.machine.bus;
    Object.assign(odd.guest.machine.bus, { tscNow: () => tscNow() + 1 });
    let found: Mismatch | null = null;
    for (let seed = 1; seed < 2000 && !found; seed++) {
      if (!generate(seed, { portable: false }).items.some((item) => item.what.startsWith('rdtsc'))) continue;
      try {
        tryWays(seed, reference, odd);
      } catch (error) {
        if (!(error instanceof Mismatch)) throw error;
        found = error;
      }
    }
    const left = found?.program.items.map((item) => item.what.split(' ')[0]);
    expect(left?.some((name) => name?.startsWith('rdtsc'))).toBe(true);
    expect(left?.length).toBeLessThan(4);
  });
});
