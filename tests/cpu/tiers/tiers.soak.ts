/** Random programs in one tier and in the other: `node tests/cpu/tiers/tiers.soak.ts [SECONDS] [FIRST_SEED] [32|64]`, both kinds of
 *  code if it is not said.
 *  What tells them apart is reduced and kept in regressions/. */
import { soak } from '../../hostility/random.ts';
import { Mismatch, tryWays } from './compare.ts';
import { keep } from './regressions.ts';
import { blocks, compiled, compiledSlices, singleSteps, slices } from './ways.ts';

const reference = singleSteps();
const ways = [blocks(), slices(), compiled(), compiledSlices()];
const [, , , , only] = process.argv;
let executed = 0;
await soak('tiers', 60, (seed) => {
  for (const isLong of only ? [only === '64'] : [false, true])
    for (const way of ways)
      try {
        executed += tryWays(seed, reference, way, isLong).executed;
      } catch (error) {
        const name = `${way.name}-${isLong ? 'long-' : ''}${seed}`;
        if (error instanceof Mismatch)
          console.error(`kept as ${keep({ name, program: error.program, world: error.world })}`);
        throw error;
      }
});
console.log(`tiers: ${executed} instructions, each ${ways.length + 1} times`);
