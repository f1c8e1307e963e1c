/** Random code in every mode of the CPU: `node tests/hostility/cpu.soak.ts [SECONDS] [FIRST_SEED]`. */
import { fuzzCpu, newFuzzMachine } from './cpu-fuzz.ts';
import { soak } from './random.ts';

const machine = newFuzzMachine();
let executed = 0;
let shutdowns = 0;
await soak('cpu', 120, (seed) => {
  const run = fuzzCpu(seed, machine);
  executed += run.executed;
  shutdowns += run.shutdowns;
});
console.log(`cpu: ${executed} instructions, ${shutdowns} shutdowns`);
