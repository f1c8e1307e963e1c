/** Random programs in one tier and in the other: `node tests/cpu/tiers/tiers.soak.ts [SECONDS] [FIRST_SEED] [16|32|64]`, all
 *  kinds of code if it is not said.
 *  What tells them apart is reduced and kept in regressions/. */
import { KeepingRun } from '../../../core/accel/tcg/jit/kept-testing.ts';
import { soak } from '../../hostility/random.ts';
import { BITS, Mismatch, tryWays } from './compare.ts';
import { keep } from './regressions.ts';
import { blocks, compiled, compiledSlices, compiledWith, singleSteps, slices } from './ways.ts';
import { RAM_BYTES } from './world.ts';

const reference = singleSteps();
const kept = new KeepingRun(null, null, RAM_BYTES);
const ways = [blocks(), slices(), compiled(), compiledSlices(), compiledWith(kept), compiledWith(kept)];
const [, , , , only] = process.argv;
let executed = 0;
await soak('tiers', 60, (seed) => {
  for (const bits of BITS.filter((n) => !only || only === String(n)))
    for (const way of ways)
      try {
        executed += tryWays(seed, reference, way, bits).executed;
      } catch (error) {
        const name = `${way.name}-${bits}-${seed}`;
        if (error instanceof Mismatch)
          console.error(`kept as ${keep({ name, program: error.program, world: error.world })}`);
        throw error;
      }
});
console.log(`tiers: ${executed} instructions, each ${ways.length + 1} times`);
