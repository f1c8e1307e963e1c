/**
 * A CPU-bound Linux guest (Debian's 686 kernel, busybox, the program in guest/) on this host natively, on ours, on QEMU TCG and
 * on v86, in turn; `first` is ours as when the guest is run for the first time. Every test's checksum must be the native run's. Ends with the bars that were met and missed.
 *
 *    node tests/bench/guest.bench.ts [--run int,sse,x87,system,app,GROUP.TEST,...] [--engines native,terrarium,first,qemu,v86]
 *                                    [--reps 3] [--idle 10] [--limit 900] [--json FILE] [--from FILE]
 *                                    [--clock host|best|cpu] [--verbose] [--bits 32|64] [-- OPTION ...]
 *
 * Options after `--` go to our engine, for example `-- -cpu core2duo`. `--idle 0` leaves the idle measurement out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { benchmarkGuest, guestOrReason } from '../guests/images.ts';
import { type BenchClock, GuestReport } from './guest-report.ts';
import { ENGINES, type EngineName, GROUPS, type GuestRun, runGuest, unavailable } from './guest-run.ts';

const given = process.argv.slice(2);
const cut = given.indexOf('--');
const { values } = parseArgs({
  args: cut < 0 ? given : given.slice(0, cut),
  options: {
    run: { type: 'string', default: GROUPS.join(',') },
    engines: { type: 'string', default: ENGINES.join(',') },
    reps: { type: 'string', default: '3' },
    idle: { type: 'string', default: '10' },
    limit: { type: 'string', default: '900' },
    json: { type: 'string' },
    from: { type: 'string' },
    clock: { type: 'string', default: 'host' },
    verbose: { type: 'boolean', default: false },
    bits: { type: 'string', default: '32' },
  },
});

if (values.bits !== '32' && values.bits !== '64') throw new Error(`--bits takes 32 or 64, not ${values.bits}`);
const bits = values.bits === '64' ? 64 : 32;

function isEngine(name: string): name is EngineName {
  return (ENGINES as readonly string[]).includes(name);
}

async function measure(): Promise<GuestRun[]> {
  const { guest, reason } = guestOrReason(() => benchmarkGuest(bits));
  if (!guest) {
    console.log(`skipped: the guest could not be made: ${reason}\n0 passed, 0 failed, 1 skipped`);
    process.exit(0);
  }
  const engines: EngineName[] = [];
  for (const name of values.engines.split(',')) {
    if (!isEngine(name)) throw new Error(`no engine ${name}; there are ${ENGINES.join(', ')}`);
    const why = unavailable(name, guest, bits);
    if (why) console.log(`skipped: ${name}: ${why}`);
    else engines.push(name);
  }
  const options = {
    words: values.run.split(','),
    idleSeconds: Number(values.idle),
    limitSeconds: Number(values.limit),
    ours: cut < 0 ? [] : given.slice(cut + 1),
  };
  const onTest = (engine: EngineName, test: string, seconds: number) =>
    console.error(`  ${engine} ${test} ${seconds.toFixed(3)} s`);
  const runs: GuestRun[] = [];
  for (let rep = 1; rep <= Number(values.reps); rep++)
    for (const engine of engines) {
      const started = performance.now();
      const run = await runGuest(engine, guest, values.verbose ? { ...options, onTest } : options);
      runs.push(run);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      const load = os.loadavg()[0]!.toFixed(1);
      console.error(
        `run ${rep} ${engine}: ${Object.keys(run.tests).length} tests in ${seconds} s, load ${load} ${run.error ?? ''}`,
      );
    }
  return runs;
}

const runs: GuestRun[] = values.from ? JSON.parse(readFileSync(values.from, 'utf8')) : await measure();
if (values.json) writeFileSync(values.json, JSON.stringify(runs, null, 1));
const clocks: Record<string, [BenchClock, string]> = {
  host: ['host', "medians, seconds by the host's clock"],
  best: ['best', "the quickest run's seconds by the host's clock"],
  cpu: ['cpu', 'medians, seconds of CPU time'],
};
const [clock, meaning] = clocks[values.clock] ?? clocks.host!;
const report = new GuestReport(runs, clock, bits);
console.log(`${os.cpus()[0]?.model.trim()}, ${os.cpus().length} CPUs; ${meaning}`);
console.log(report.lines().join('\n'));
const problems = report.problems();
console.log(problems.length > 0 ? `\nPROBLEMS\n  ${problems.join('\n  ')}` : '\nall checksums agree');
const verdicts = report.verdicts();
console.log('');
for (const { result, what, value, bar, reason } of verdicts)
  console.log(
    `${result.padEnd(8)}${what.padEnd(34)}${value === undefined ? `(${reason})` : value.toFixed(2).padStart(8)}  ${bar}`,
  );
const count = (result: string) => verdicts.filter((verdict) => verdict.result === result).length;
const failed = count('FAILED') + problems.length;
console.log(`${count('passed')} passed, ${failed} failed, ${count('skipped')} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
