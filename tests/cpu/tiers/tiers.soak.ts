/** Random programs in one tier and in the other: `node tests/cpu/tiers/tiers.soak.ts [SECONDS] [FIRST_SEED]`.
 *  What tells them apart is reduced and kept in regressions/. */
import { soak } from '../../hostility/random.ts';
import { Mismatch, tryWays } from './compare.ts';
import { keep } from './regressions.ts';
import { blocks, compiled, compiledSlices, singleSteps, slices } from './ways.ts';

const reference = singleSteps();
const ways = [blocks(), slices(), compiled(), compiledSlices()];
let executed = 0;
await soak('tiers', 60, (seed) => {
  for (const way of ways)
    try {
      executed += tryWays(seed, reference, way).executed;
    } catch (error) {
      if (error instanceof Mismatch)
        console.error(`kept as ${keep({ name: `${way.name}-${seed}`, program: error.program, world: error.world })}`);
      throw error;
    }
});
console.log(`tiers: ${executed} instructions, each ${ways.length + 1} times`);
