/** Debian's 686 kernel from -kernel and -initrd to a shell, and programs there whose results are known beforehand. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engine } from '../support/machine.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, shellGuest } from './images.ts';

const { guest, reason } = guestOrReason(shellGuest);
if (!guest) console.log(`skipped: no Linux guest can be made here: ${reason}`);

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const count = (to: number) => Array.from({ length: to }, (_, i) => `${i + 1}`);
const lines = (all: readonly string[]) => all.map((line) => `${line}\n`).join('');

function start(...options: string[]): GuestConsole {
  const { kernel, initrd } = guest!;
  return GuestConsole.start([...options, '-m', '128', '-kernel', kernel, '-initrd', initrd, '-append', QUIET]);
}
async function tellsWhatItIs(machine: GuestConsole): Promise<void> {
  const { output, status } = await machine.run('uname -m; cat /proc/cmdline');
  expect(status).toBe(0);
  expect(output).toBe(`i686\n${QUIET}\n`);
}

describe.skipIf(!guest)("Debian's 686 kernel", () => {
  let machine: GuestConsole;
  /** Boots meanwhile. The real QEMU, when it is asked, has but one way. */
  let interpreted: GuestConsole | undefined;
  beforeAll(async () => {
    if (engine.includes('terrarium')) interpreted = start('-accel', 'tcg,x-jit=off');
    machine = start();
    await machine.waitForShell();
  }, 180_000);
  afterAll(() => Promise.all([machine?.stop(), interpreted?.stop()]));

  it('says what it is', () => tellsWhatItIs(machine));
  it.runIf(engine.includes('terrarium'))(
    'comes to a shell in the interpreter alone',
    async () => {
      await interpreted!.waitForShell();
      await tellsWhatItIs(interpreted!);
      await interpreted!.stop();
    },
    180_000,
  );
  it('has all of its memory, and no complaint in its log', async () => {
    const { output } = await machine.run(
      "awk '/MemTotal/ {print $2}' /proc/meminfo; dmesg | grep -cE 'WARNING|Call Trace'",
    );
    const [memory, complaints] = output.trim().split('\n').map(Number);
    expect(memory).toBeGreaterThan(95_000);
    expect(complaints).toBe(0);
  });
  it('runs on I/O APIC, local APIC timer and HPET, as the tables tell', async () => {
    const { output } = await machine.run(
      "awk '/IO-APIC +2-edge +timer|IO-APIC +9-fasteoi +acpi|^LOC:/ {print $NF, ($2 > 0)}' /proc/interrupts; dmesg | grep -cE 'ACPI: (FACP|DSDT|APIC|HPET|WAET) 0x|hpet0: 3 comparators|PM-Timer IO Port: 0x608'",
    );
    expect(output).toBe('timer 1\nacpi 0\ninterrupts 1\n7\n');
  });
  it('computes MD5', async () => {
    expect((await machine.run('seq 1 20000 | md5sum')).output).toBe(`${md5(lines(count(20_000)))}  -\n`);
  });
  it('sorts', async () => {
    const sorted = md5(lines(count(5000).toSorted().toReversed()));
    expect((await machine.run('seq 1 5000 | sort -r | md5sum')).output).toBe(`${sorted}  -\n`);
  });
  it('compresses and expands', async () => {
    const { output } = await machine.run('seq 1 20000 | gzip -9 >/tmp/z; wc -c </tmp/z; gunzip -c /tmp/z | md5sum');
    const [size, sum] = output.split('\n');
    expect(sum).toBe(`${md5(lines(count(20_000)))}  -`);
    expect(Number(size)).toBeLessThan(60_000);
  });
  it('computes with integers and floating point in awk', async () => {
    const sum = count(2000).reduce((total, i) => total + Number(i) ** 2, 0);
    const series = 'for(i=0;i<20;i++){e+=t;t/=i+1} a=16/5;b=4/239;for(i=1;i<60;i+=2){p+=u*(a-b)/i;u=-u;a/=25;b/=57121}';
    const program = `BEGIN{for(i=1;i<=2000;i++)s+=i*i;print s;t=1;u=1;${series} printf "%.9f %.9f\\n",e,p}`;
    const { output } = await machine.run(`awk '${program}'`);
    expect(output).toBe(`${sum}\n${Math.E.toFixed(9)} ${Math.PI.toFixed(9)}\n`);
  });
  it('forks, pipes, and tells how a program ended', async () => {
    expect(await machine.run("sh -c 'kill -SEGV $$'; echo $?; false")).toEqual({
      output: 'Segmentation fault\n139\n',
      status: 1,
    });
    const { output } = await machine.run('for i in 1 2 3 4 5; do (echo $i | tr 1-5 a-e) & done | sort; wait');
    expect(output).toBe('a\nb\nc\nd\ne\n');
  });
  it('sleeps for as long as it says', async () => {
    const started = performance.now();
    await machine.run('sleep 2');
    expect(performance.now() - started).toBeGreaterThan(1950);
  });
  it('turns the machine off', async () => {
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});
