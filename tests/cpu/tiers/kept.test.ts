import { describe, expect, it } from 'vitest';
import { FakeV8, KeepingRun } from '../../../core/accel/tcg/jit/kept-testing.ts';
import { BITS, tryWays } from './compare.ts';
import { compiledWith, singleSteps } from './ways.ts';
import { RAM_BYTES } from './world.ts';

const ROOM = 64 << 20;

describe('random programs, compiled once and run again elsewhere,', () => {
  const reference = singleSteps();
  const seeds = Array.from({ length: 60 }, (_, i) => i + 1);
  it.each(BITS)('of %d-bit code come to the same end as in single steps', (bits) => {
    const first = new KeepingRun(null, null, RAM_BYTES);
    const way = compiledWith(first);
    for (const seed of seeds) {
      tryWays(seed, reference, way, bits);
      first.finish();
    }
    const store = first.save(ROOM);
    expect(Math.max(...store.catalogue.modules.map(({ regions }) => regions.length))).toBe(64);
    const again = new KeepingRun(store, new FakeV8(), RAM_BYTES);
    const reused = (run: KeepingRun, order: readonly number[]) => {
      const kept = compiledWith(run);
      for (const seed of order) tryWays(seed, reference, kept, bits);
      const { statistics } = kept.guest.machine.cpu.jit;
      expect(statistics.reused).toBeGreaterThan(statistics.compiled / 4);
      expect(statistics.compiled).toBeGreaterThan(300);
    };
    // In another order: blocks' records lie elsewhere.
    reused(again, seeds.toReversed());
    // What was of use moves to other modules, where something else was not.
    let last = -1;
    for (const { regions } of store.catalogue.modules) {
      last += regions.length;
      again.used[last] = 0;
    }
    const moving = new KeepingRun(again.save(ROOM), new FakeV8(), RAM_BYTES);
    moving.finish();
    const moved = moving.save(ROOM);
    expect(Math.max(...moved.catalogue.modules.map(({ uses }) => uses))).toBe(2);
    reused(new KeepingRun(moved, null, RAM_BYTES), seeds);
  });
});
