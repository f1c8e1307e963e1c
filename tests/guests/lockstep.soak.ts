/**
 * GRUB's rescue disc shows its menu, and Debian's 686 and cloud-amd64 kernels boot to a shell, run programs, sleep with everything in
 * RAM and wake, with both tiers in lock-step: compiled code and interpreter come to the same everywhere.
 *
 *    node tests/guests/lockstep.soak.ts [MINUTES] [16|32|64]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunningMachine, rescueCd } from '../support/machine.ts';
import { QmpConnection } from '../support/qmp-connection.ts';
import { GuestConsole } from './guest-console.ts';
import { guestOrReason, type KernelGuest, longShellGuest, shellGuest } from './images.ts';

const minutes = Number(process.argv[2] ?? 20);
const only = process.argv[3];
const LIMIT_MS = minutes * 60_000;
/** The kernel must not measure itself against time that goes by too fast. */
const APPEND =
  'console=ttyS0 quiet loglevel=2 tsc=unstable lpj=4000000 mitigations=off random.trust_cpu=on panic=-1 nowatchdog';
const GUESTS = [
  { bits: '32', architecture: 'i686', megabytes: '128', make: shellGuest },
  { bits: '64', architecture: 'x86_64', megabytes: '256', make: longShellGuest },
] as const;

async function boot({ kernel, initrd }: KernelGuest, { architecture, megabytes }: (typeof GUESTS)[number]) {
  const started = performance.now();
  const elapsed = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-lockstep-'));
  const machine = GuestConsole.start([
    ...['-accel', 'tcg,x-jit=lockstep', '-m', megabytes, '-kernel', kernel, '-initrd', initrd, '-append', APPEND],
    ...['-qmp', `unix:${join(folder, 'qmp')},server=on,wait=off`],
  ]);
  let qmp: QmpConnection | undefined;
  try {
    qmp = await QmpConnection.open(join(folder, 'qmp'));
    await machine.waitForShell(LIMIT_MS);
    console.log(`${architecture}, ${elapsed()}: a shell`);
    const { output, status } = await machine.run(
      'uname -m; seq 1 2000 | sort -r | md5sum; dmesg | grep -c "Call Trace"',
      LIMIT_MS,
    );
    const [said, sum, traces] = output.trim().split('\n');
    if (said !== architecture || !/^[0-9a-f]{32} /.test(sum ?? '') || traces !== '0' || status !== 1)
      throw new Error(`the guest says, with status ${status}:\n${output}`);
    const awake = machine.run('echo mem >/sys/power/state; seq 1 2000 | sort -r | md5sum', LIMIT_MS);
    await Promise.race([qmp.event('SUSPEND', LIMIT_MS), awake]);
    await qmp.execute('system_wakeup');
    const { output: again } = await awake;
    if (again.trim() !== sum) throw new Error(`after its sleep the guest says:\n${again}`);
    console.log(`${architecture}: both tiers agree, also about a sleep, ${elapsed()}`);
  } finally {
    qmp?.close();
    await machine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Firmware and boot loader: real mode above all. */
async function bootLoader(): Promise<void> {
  const started = performance.now();
  const machine = await RunningMachine.start({ args: ['-accel', 'tcg,x-jit=lockstep', '-cdrom', rescueCd] });
  try {
    await machine.waitForText('executed automatically', LIMIT_MS);
    await machine.sendKeys('c');
    await machine.waitForScreen((rows) => rows.some((row) => /^grub>$/.test(row)), LIMIT_MS);
    await machine.sendKeys('l', 's', 'ret');
    await machine.waitForScreen((rows) => rows.some((row) => /^\(cd\)/.test(row)), LIMIT_MS);
    console.log(`GRUB: both tiers agree, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  } finally {
    await machine.stop();
  }
}

let passed = 0;
let skipped = 0;
if (!only || only === '16') {
  await bootLoader();
  passed++;
}
for (const kind of GUESTS) {
  if (only && kind.bits !== only) continue;
  const { guest, reason } = guestOrReason<KernelGuest>(kind.make);
  if (guest) {
    await boot(guest, kind);
    passed++;
  } else {
    console.log(`skipped: ${reason}`);
    skipped++;
  }
}
console.log(`${passed} passed, 0 failed, ${skipped} skipped`);
