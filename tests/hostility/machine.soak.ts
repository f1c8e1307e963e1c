/** Random code in the whole machine: `node tests/hostility/machine.soak.ts [SECONDS] [FIRST_SEED]`. */
import { fuzzMachine } from './machine-fuzz.ts';
import { soak } from './random.ts';

let executed = 0;
await soak('machine', 120, async (seed) => {
  executed += await fuzzMachine(seed, 60);
});
console.log(`machine: ${executed} instructions`);
