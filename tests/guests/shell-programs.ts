/** Programs at a guest's shell whose results are known beforehand, the same for every Debian here. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import type { GuestConsole } from './guest-console.ts';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const count = (to: number) => Array.from({ length: to }, (_, i) => `${i + 1}`);
const lines = (all: readonly string[]) => all.map((line) => `${line}\n`).join('');
/** What md5sum makes of `seq 1 20000`. */
export const NUMBERS_MD5 = md5(lines(count(20_000)));

/** Tests of a machine that has come to its shell. */
export function testShellPrograms(machine: () => GuestConsole, leastMemoryKiB: number): void {
  it('has all of its memory, and no complaint in its log', async () => {
    const { output } = await machine().run(
      "awk '/MemTotal/ {print $2}' /proc/meminfo; dmesg | grep -cE 'WARNING|Call Trace'",
    );
    const [memory, complaints] = output.trim().split('\n').map(Number);
    expect(memory).toBeGreaterThan(leastMemoryKiB);
    expect(complaints).toBe(0);
  });
  it('computes MD5', async () => {
    expect((await machine().run('seq 1 20000 | md5sum')).output).toBe(`${NUMBERS_MD5}  -\n`);
  });
  it('sorts', async () => {
    const sorted = md5(lines(count(5000).toSorted().toReversed()));
    expect((await machine().run('seq 1 5000 | sort -r | md5sum')).output).toBe(`${sorted}  -\n`);
  });
  it('compresses and expands', async () => {
    const { output } = await machine().run('seq 1 20000 | gzip -9 >/tmp/z; wc -c </tmp/z; gunzip -c /tmp/z | md5sum');
    const [size, sum] = output.split('\n');
    expect(sum).toBe(`${NUMBERS_MD5}  -`);
    expect(Number(size)).toBeLessThan(60_000);
  });
  it('computes with integers and floating point in awk', async () => {
    const sum = count(2000).reduce((total, i) => total + Number(i) ** 2, 0);
    const series = 'for(i=0;i<20;i++){e+=t;t/=i+1} a=16/5;b=4/239;for(i=1;i<60;i+=2){p+=u*(a-b)/i;u=-u;a/=25;b/=57121}';
    const program = `BEGIN{for(i=1;i<=2000;i++)s+=i*i;print s;t=1;u=1;${series} printf "%.9f %.9f\\n",e,p}`;
    const { output } = await machine().run(`awk '${program}'`);
    expect(output).toBe(`${sum}\n${Math.E.toFixed(9)} ${Math.PI.toFixed(9)}\n`);
  });
  it('forks, pipes, and tells how a program ended', async () => {
    expect(await machine().run("sh -c 'kill -SEGV $$'; echo $?; false")).toEqual({
      output: 'Segmentation fault\n139\n',
      status: 1,
    });
    const { output } = await machine().run('for i in 1 2 3 4 5; do (echo $i | tr 1-5 a-e) & done | sort; wait');
    expect(output).toBe('a\nb\nc\nd\ne\n');
  });
}

/** The last test of a machine: nothing runs there afterwards. */
export function testPowerOff(machine: () => GuestConsole): void {
  it('turns the machine off', async () => {
    const { child } = machine();
    const ended = new Promise((done) => child.once('exit', done));
    child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
}
