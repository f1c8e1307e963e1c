/**
 * Hours of work in minutes: in Debian from its disk, compile with tcc and run, compress, expand, sort and sum, over and over.
 * Every result is compared with the host's, and the emulator's memory must not grow after the first rounds.
 *
 *    node tests/guests/stress.soak.ts [MINUTES] [-- OPTION ...]       options for the emulator, such as -cpu pentium3
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { currentMiB } from '../bench/process-usage.ts';
import { diskGuest, stressOutput } from './disk-guest.ts';
import { GuestConsole } from './guest-console.ts';
import { guestOrReason } from './images.ts';

const cut = process.argv.indexOf('--');
const minutes = cut === 2 ? 5 : Number(process.argv[2] ?? 5);
const options = cut < 0 ? [] : process.argv.slice(cut + 1);
const LIMIT_MS = 300_000;
/** Code caches and V8's heap fill in the first rounds. */
const WARM_ROUNDS = 2;
const ALLOWED_GROWTH = 1.15;

const { guest, reason } = guestOrReason(() => ({
  disk: diskGuest(),
  programs: [3000, 8000].map((count) => ({ count, output: stressOutput(count) })),
}));
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}

const numbers = (to: number) => Array.from({ length: to }, (_, i) => `${i + 1}`);
const md5 = (lines: readonly string[]) =>
  `${createHash('md5')
    .update(lines.map((it) => `${it}\n`).join(''))
    .digest('hex')}  -\n`;
const work: readonly (readonly [string, string])[] = [
  ...guest.programs.map(({ count, output }) => [`tcc -o /root/s /root/stress.c && /root/s ${count}`, output] as const),
  ...guest.programs.map(({ count, output }) => [`tcc -run /root/stress.c ${count}`, output] as const),
  ['seq 1 40000 >/tmp/n; bzip2 -c /tmp/n | bunzip2 -c | md5sum', md5(numbers(40_000))],
  [
    'gzip -9c /tmp/n >/root/n.gz; sync; echo 3 >/proc/sys/vm/drop_caches; gunzip -c /root/n.gz | md5sum',
    md5(numbers(40_000)),
  ],
  ['sort /tmp/n | md5sum', md5(numbers(40_000).toSorted())],
  ['sort -rn /tmp/n | md5sum', md5(numbers(40_000).toReversed())],
  ["sed -e 's/7/seven/g' /tmp/n | md5sum", md5(numbers(40_000).map((it) => it.replaceAll('7', 'seven')))],
  [
    'find /usr/include -name "*.h" | xargs cat | md5sum >/tmp/a; find /usr/include -name "*.h" | xargs cat | md5sum | cmp - /tmp/a',
    '',
  ],
  ['i=0; while [ $i -lt 100 ]; do i=$(expr $i + 1); done; echo $i', '100\n'],
];

const folder = mkdtempSync(join(tmpdir(), 'terrarium-soak-'));
const disk = join(folder, 'disk.img');
copyFileSync(guest.disk, disk);
const machine = GuestConsole.start(['-m', '256', '-drive', `file=${disk},format=raw`, ...options]);
const started = performance.now();
let rounds = 0;
let settled = 0;
let now = 0;
try {
  await machine.waitForShell(LIMIT_MS);
  console.log(`shell after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  while (performance.now() - started < minutes * 60_000 || rounds <= WARM_ROUNDS) {
    const roundStarted = performance.now();
    for (const [command, expected] of work) {
      const { output, status } = await machine.run(command, LIMIT_MS);
      if (status !== 0 || output !== expected)
        throw new Error(`${command}: ended with ${status}, printed\n${output}\nexpected\n${expected}`);
    }
    rounds++;
    now = currentMiB(machine.child.pid!);
    if (rounds === WARM_ROUNDS) settled = now;
    console.log(
      `round ${rounds}: ${((performance.now() - roundStarted) / 1000).toFixed(1)} s, ${now.toFixed(0)} MiB resident`,
    );
  }
  const { output } = await machine.run("dmesg | grep -cE 'WARNING|Call Trace|segfault|trap |I/O error'; true");
  if (output !== '0\n') throw new Error(`the guest's log complains:\n${(await machine.run('dmesg')).output}`);
  if (now > settled * ALLOWED_GROWTH)
    throw new Error(`memory grew from ${settled.toFixed(0)} to ${now.toFixed(0)} MiB`);
  console.log(`${rounds} rounds of ${work.length} programs, all right; memory steady\n1 passed, 0 failed, 0 skipped`);
} finally {
  await machine.stop();
  rmSync(folder, { recursive: true, force: true });
}
