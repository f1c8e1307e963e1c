/** Hostile monitor clients: `node tests/hostility/monitor.soak.ts [SECONDS] [FIRST_SEED]`. */
import { fuzzMonitors } from './monitor-fuzz.ts';
import { soak } from './random.ts';

await soak('monitors', 60, async (seed) => {
  await fuzzMonitors(seed, 400);
});
