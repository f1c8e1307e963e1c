/** Random programs on the host CPU and on ours: `node tests/cpu/tiers/host.soak.ts [SECONDS] [FIRST_BATCH] [32|64]`, both
 *  kinds of code if it is not said.
 *  What tells them apart is reduced and kept in regressions/. */
import { soak } from '../../hostility/random.ts';
import { Mismatch } from './compare.ts';
import { Guest } from './guest.ts';
import { Host, tryOnHost } from './native.ts';
import { keep } from './regressions.ts';

const BATCH = 500;
const [, , , , only] = process.argv;
const hosts = ([32, 64] as const)
  .filter((bits) => !only || String(bits) === only)
  .flatMap((bits) => {
    const host = Host.open(bits);
    if (!host) console.log(`${bits}-bit programs can neither be built nor run here (gcc -m${bits} -static)`);
    return host ?? [];
  });
if (hosts.length === 0) {
  console.log('0 passed, 0 failed, 1 skipped');
  process.exit(0);
}
const guest = new Guest();
let faults = 0;
await soak(`host (${BATCH} programs each)`, 60, (batch) => {
  for (const host of hosts)
    try {
      faults += tryOnHost(host, guest, batch * BATCH, BATCH).faults;
    } catch (error) {
      if (error instanceof Mismatch) {
        const { program, world } = error;
        const name = `host-${program.isLong ? 'long-' : ''}${program.seed}`;
        console.error(`kept as ${keep({ name, program, world })}`);
      }
      throw error;
    }
});
for (const host of hosts) host.close();
console.log(`host: ${faults} faults`);
