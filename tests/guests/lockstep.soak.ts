/**
 * Debian's 686 kernel boots to a shell and runs programs with both tiers in lock-step: compiled code and interpreter come to the same
 * everywhere.
 *
 *    node tests/guests/lockstep.soak.ts [MINUTES]
 */
import { GuestConsole } from './guest-console.ts';
import { guestOrReason, shellGuest } from './images.ts';

const minutes = Number(process.argv[2] ?? 20);
const LIMIT_MS = minutes * 60_000;
/** The kernel must not measure itself against time that goes by too fast. */
const APPEND =
  'console=ttyS0 quiet loglevel=2 tsc=unstable lpj=4000000 mitigations=off random.trust_cpu=on panic=-1 nowatchdog';

const { guest, reason } = guestOrReason(shellGuest);
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
const { kernel, initrd } = guest;
const started = performance.now();
const elapsed = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
const machine = GuestConsole.start(
  ['-accel', 'tcg,x-jit=lockstep', '-m', '128', '-kernel', kernel, '-initrd', initrd, '-append', APPEND],
); // biome-ignore format: options in a row
try {
  await machine.waitForShell(LIMIT_MS);
  console.log(`${elapsed()}: a shell`);
  const { output, status } = await machine.run(
    'uname -m; seq 1 2000 | sort -r | md5sum; dmesg | grep -c "Call Trace"',
    LIMIT_MS,
  );
  const [architecture, sum, traces] = output.trim().split('\n');
  if (architecture !== 'i686' || !/^[0-9a-f]{32} /.test(sum ?? '') || traces !== '0' || status !== 1)
    throw new Error(`the guest says, with status ${status}:\n${output}`);
  console.log(`both tiers agree, ${elapsed()}\n1 passed, 0 failed, 0 skipped`);
} finally {
  await machine.stop();
}
