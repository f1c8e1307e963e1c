import { describe, expect, it } from 'vitest';
import { KeptRegions } from '../../../core/accel/tcg/jit/kept-regions.ts';
import { saved } from '../../../core/accel/tcg/jit/thread-testing.ts';
import { BITS, tryWays } from './compare.ts';
import { compiledWith, singleSteps } from './ways.ts';

describe('random programs, compiled once and run again elsewhere,', () => {
  const reference = singleSteps();
  it.each(BITS)('of %d-bit code come to the same end as in single steps', (bits) => {
    const kept = new KeptRegions(null);
    const seeds = Array.from({ length: 60 }, (_, i) => i + 1);
    const first = compiledWith(kept);
    for (const seed of seeds) tryWays(seed, reference, first, bits);
    // In another order: blocks' records lie elsewhere.
    const again = compiledWith(new KeptRegions(saved(kept, 64 << 20)));
    for (const seed of seeds.toReversed()) tryWays(seed, reference, again, bits);
    const { reused, compiled } = again.guest.machine.cpu.jit.statistics;
    expect(reused).toBeGreaterThan(compiled / 4);
    expect(compiled).toBeGreaterThan(300);
  });
});
