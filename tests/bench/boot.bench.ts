/**
 * First light in numbers, ours beside QEMU TCG, in turn: wall time from process start to GRUB's menu, CPU use at the menu (polling),
 * at a halted CPU, key latency, resident memory.
 *
 *    node tests/bench/boot.bench.ts [runs]
 */
import { readFileSync } from 'node:fs';
import { hasQemu, qemu, RunningMachine, rescueCd, terrarium } from '../support/machine.ts';

const runs = Number(process.argv[2] ?? 3);
const CLOCK_TICK = 100;
const args = ['-m', '128', '-accel', 'tcg', '-cdrom', rescueCd, '-nodefaults', '-vga', 'std'];

interface Sample {
  readonly bootSeconds: number;
  readonly menuCpu: number;
  readonly rssMiB: number;
  readonly keyMs: number;
}

/** User and system time of a process, seconds. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICK;
}
function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

async function cpuShare(pid: number, seconds: number): Promise<number> {
  const before = cpuSeconds(pid);
  const start = performance.now();
  await sleep(seconds * 1000);
  return ((cpuSeconds(pid) - before) / ((performance.now() - start) / 1000)) * 100;
}

/** Where GRUB's title stands on its menu's screen; reading the whole screen all the time would cost the machine that is measured. */
const TITLE = { address: 0xb8000 + 2 * (80 + 20), text: 'GNU GRUB' };
async function untilMenu(machine: RunningMachine): Promise<void> {
  const end = performance.now() + 120_000;
  for (;;) {
    const dump = await machine.qmp.hmp(`xp /24xw 0x${TITLE.address.toString(16)}`);
    const words = [...dump.matchAll(/0x([0-9a-f]{8})/g)].map((match) => Number.parseInt(match[1]!, 16));
    const text = words.flatMap((word) => [word & 0xff, (word >>> 16) & 0xff]);
    if (String.fromCharCode(...text).includes(TITLE.text)) return;
    if (performance.now() > end) throw new Error('no menu after two minutes');
    await sleep(20);
  }
}

async function measure(program: string): Promise<Sample> {
  const start = performance.now();
  const machine = await RunningMachine.start({ program, args });
  try {
    await untilMenu(machine);
    const bootSeconds = (performance.now() - start) / 1000;
    const pid = machine.child.pid!;
    await sleep(1500);
    const menuCpu = await cpuShare(pid, 4);
    const before = (await machine.textScreen()).join('\n');
    const pressed = performance.now();
    await machine.qmp.execute('send-key', { keys: [{ type: 'qcode', data: 'c' }], 'hold-time': 5 });
    await machine.waitForScreen((lines) => lines.join('\n') !== before, 10_000);
    const keyMs = performance.now() - pressed;
    return { bootSeconds, menuCpu, keyMs, rssMiB: residentMiB(pid) };
  } finally {
    await machine.stop();
  }
}

/** A guest in HLT: a boot sector that halts for good. */
async function haltedCpu(program: string): Promise<number> {
  const machine = await RunningMachine.start({ program, args: ['-m', '64', '-nodefaults', '-vga', 'std'] });
  try {
    await sleep(4000); // SeaBIOS finds nothing to boot and halts
    return await cpuShare(machine.child.pid!, 5);
  } finally {
    await machine.stop();
  }
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const engines: [string, string][] = [
  ['terrarium', terrarium],
  ...(hasQemu ? [['qemu', qemu] as [string, string]] : []),
];
const samples = new Map<string, Sample[]>(engines.map(([name]) => [name, []]));
for (let run = 0; run < runs; run++)
  for (const [name, program] of engines) samples.get(name)!.push(await measure(program));

console.log('engine      boot s  menu CPU %  key ms  RSS MiB   (medians of', runs, 'runs, in turn)');
for (const [name, list] of samples)
  console.log(
    name.padEnd(10),
    median(list.map((s) => s.bootSeconds))
      .toFixed(2)
      .padStart(7),
    median(list.map((s) => s.menuCpu))
      .toFixed(1)
      .padStart(11),
    median(list.map((s) => s.keyMs))
      .toFixed(0)
      .padStart(7),
    median(list.map((s) => s.rssMiB))
      .toFixed(0)
      .padStart(8),
  );
const [ours, theirs] = engines.map(([name]) => median(samples.get(name)!.map((s) => s.bootSeconds)));
if (theirs !== undefined) console.log(`boot time ratio terrarium/qemu: ${(ours! / theirs).toFixed(2)} (bar: 2.5)`);
for (const [name, program] of engines)
  console.log(`${name}: halted guest uses ${(await haltedCpu(program)).toFixed(1)} % of a core (bar: 3)`);
