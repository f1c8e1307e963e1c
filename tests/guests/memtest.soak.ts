/**
 * memtest86+ (Debian's ia32 build) from -kernel completes a pass without an error, with the compiler and in the interpreter alone. Its
 * screen is read from video memory. A pass over 8 MiB takes four and a half minutes with the compiler on a busy machine, three and
 * a third of which the bit fade test (10) waits.
 *
 *    node tests/guests/memtest.soak.ts [MEBIBYTES] [MINUTES] [on|off]
 */
import { join } from 'node:path';
import { RunningMachine } from '../support/machine.ts';
import { debianPackage } from './debian-packages.ts';
import { guestOrReason } from './images.ts';

const mebibytes = process.argv[2] ?? '8';
const minutes = Number(process.argv[3] ?? 30);

const { guest, reason } = guestOrReason(() => join(debianPackage('memtest86+'), 'boot', 'memtest86+ia32.bin'));
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
async function pass(kernel: string, jit: string): Promise<void> {
  const machine = await RunningMachine.start({
    args: ['-accel', `tcg,x-jit=${jit}`, '-m', mebibytes, '-kernel', kernel, '-nodefaults', '-vga', 'std'],
  });
  const started = performance.now();
  const elapsed = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  try {
    let last = '';
    for (;;) {
      await new Promise((done) => setTimeout(done, 2000));
      const screen = (await machine.textScreen()).join('\n');
      const [, pass = '?'] = /Pass:\s+(\d+)/.exec(screen) ?? [];
      const [, errors = '?'] = /Errors:\s+(\d+)/.exec(screen) ?? [];
      const [, test = '?'] = /Test\s+#(\d+)/.exec(screen) ?? [];
      const line = `test ${test}, passes ${pass}, errors ${errors}`;
      if (line !== last) console.log(`${elapsed()}: ${line}`);
      last = line;
      if (errors !== '?' && errors !== '0') throw new Error(`memtest86+ found errors:\n${screen}`);
      if (pass !== '?' && pass !== '0') break;
      if (performance.now() - started > minutes * 60_000) throw new Error(`no pass in ${minutes} min:\n${screen}`);
    }
    console.log(`memtest86+, x-jit=${jit}: a pass over ${mebibytes} MiB without errors in ${elapsed()}`);
  } finally {
    await machine.stop();
  }
}

const tiers = process.argv[4] ? [process.argv[4]] : ['on', 'off'];
for (const jit of tiers) await pass(guest, jit);
console.log(`${tiers.length} passed, 0 failed, 0 skipped`);
