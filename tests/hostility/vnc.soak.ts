/** Hostile VNC clients: `node tests/hostility/vnc.soak.ts [SECONDS] [FIRST_SEED]`. */
import { soak } from './random.ts';
import { fuzzVnc } from './vnc-fuzz.ts';

let most = 0;
await soak('vnc', 60, (seed) => {
  most = Math.max(most, fuzzVnc(seed, 800).most);
});
console.log(`vnc: at most ${most} bytes waited for a client that does not read`);
