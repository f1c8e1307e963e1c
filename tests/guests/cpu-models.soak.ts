/**
 * 64-bit Debian on CPU models from qemu64 to max: /proc/cpuinfo line by line as on QEMU but for what is listed with its reason in
 * cpu-models.ts, caches, glibc's levels, and programs that use each extension, with the host CPU's results.
 *
 *    node tests/guests/cpu-models.soak.ts [MODEL ...]
 */
import { hasQemu, qemu } from '../support/machine.ts';
import { MODELS, modelFaults } from './cpu-models.ts';
import { cpuModelsGuest, guestOrReason } from './images.ts';

const { guest, reason } = guestOrReason(cpuModelsGuest);
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
if (!hasQemu) console.log(`compared with the host CPU only: ${qemu} is not installed`);

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(MODELS);
const unknown = chosen.filter((name) => !(name in MODELS));
if (unknown.length > 0) throw new Error(`no ${unknown.join(', ')} here, but ${Object.keys(MODELS).join(', ')}`);
let failed = 0;
for (const model of chosen) {
  const started = performance.now();
  const faults = await modelFaults(guest, model);
  if (faults.length > 0) failed++;
  console.log(`${model}: ${faults.length} faults, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  for (const fault of faults) console.log(`  ${fault}`);
}
console.log(`${chosen.length - failed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 ? 1 : 0);
