/** Random programs on the host CPU and on ours: `node tests/cpu/tiers/host.soak.ts [SECONDS] [FIRST_BATCH]`.
 *  What tells them apart is reduced and kept in regressions/. */
import { soak } from '../../hostility/random.ts';
import { Mismatch } from './compare.ts';
import { Guest } from './guest.ts';
import { Host, tryOnHost } from './native.ts';
import { keep } from './regressions.ts';

const BATCH = 500;
const host = Host.open();
if (!host) {
  const reason = '32-bit programs can neither be built nor run here (gcc -m32 -static)';
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
const guest = new Guest();
let faults = 0;
await soak(`host (${BATCH} programs each)`, 60, (batch) => {
  try {
    faults += tryOnHost(host, guest, batch * BATCH, BATCH).faults;
  } catch (error) {
    if (error instanceof Mismatch)
      console.error(
        `kept as ${keep({ name: `host-${error.program.seed}`, program: error.program, world: error.world })}`,
      );
    throw error;
  }
});
host.close();
console.log(`host: ${faults} faults`);
