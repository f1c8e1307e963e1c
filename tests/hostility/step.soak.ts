/** Blocks against single steps: `node tests/hostility/step.soak.ts [SECONDS] [FIRST_SEED]`. */
import { newFuzzMachine } from './cpu-fuzz.ts';
import { soak } from './random.ts';
import { fuzzSteps } from './step-fuzz.ts';

const whole = newFuzzMachine();
const stepped = newFuzzMachine();
let executed = 0;
await soak('steps', 60, (seed) => {
  executed += fuzzSteps(seed, whole, stepped);
});
console.log(`steps: ${executed} instructions, both ways`);
