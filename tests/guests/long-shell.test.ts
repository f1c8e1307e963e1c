/** Debian's amd64 kernels from -kernel and -initrd to a shell: in that for virtual machines, programs whose results are known beforehand;
 *  in that of every PC, what it has found of the board. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, longShellGuest } from './images.ts';

const { guest, reason } = guestOrReason(longShellGuest);
if (!guest) console.log(`skipped: no 64-bit Linux guest can be made here: ${reason}`);

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const count = (to: number) => Array.from({ length: to }, (_, i) => `${i + 1}`);
const lines = (all: readonly string[]) => all.map((line) => `${line}\n`).join('');

describe.skipIf(!guest)("Debian's cloud-amd64 kernel", () => {
  let machine: GuestConsole;
  beforeAll(async () => {
    const { kernel, initrd } = guest!;
    machine = GuestConsole.start(['-m', '256', '-kernel', kernel, '-initrd', initrd, '-append', QUIET]);
    await machine.waitForShell();
  }, 180_000);
  afterAll(() => machine?.stop());

  it('says what it is', async () => {
    const { output } = await machine.run('uname -m; grep -c -w lm /proc/cpuinfo');
    expect(output).toBe('x86_64\n1\n');
  });
  it('has all of its memory, and no complaint in its log', async () => {
    const { output } = await machine.run(
      "awk '/MemTotal/ {print $2}' /proc/meminfo; dmesg | grep -cE 'WARNING|Call Trace'",
    );
    const [memory, complaints] = output.trim().split('\n').map(Number);
    expect(memory).toBeGreaterThan(190_000);
    expect(complaints).toBe(0);
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
  it('turns the machine off', async () => {
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});

const { guest: generic, reason: whyNot } = guestOrReason(() => longShellGuest('amd64'));
if (!generic) console.log(`skipped: no Debian amd64 kernel can be had here: ${whyNot}`);

describe.skipIf(!generic)("Debian's amd64 kernel", () => {
  const UUID = '00112233-4455-6677-8899-aabbccddeeff';
  const FIELDS = {
    bios_vendor: 'Firm',
    bios_version: '1.2',
    bios_release: '3.7',
    sys_vendor: 'Maker',
    product_name: 'Thing',
    product_serial: 'S-1',
    product_uuid: UUID,
    board_name: 'Board',
    chassis_serial: 'C-1',
  };
  let machine: GuestConsole;
  beforeAll(async () => {
    const { kernel, initrd } = generic!;
    const smbios = [
      'type=0,vendor=Firm,version=1.2,release=3.7',
      `type=1,manufacturer=Maker,product=Thing,serial=S-1,uuid=${UUID}`,
      ...['type=2,product=Board', 'type=3,serial=C-1', 'type=11,value=from the host'],
    ];
    machine = GuestConsole.start([
      ...['-m', '256', '-nodefaults', '-vga', 'std', '-kernel', kernel, '-initrd', initrd, '-append', QUIET],
      ...smbios.flatMap((each) => ['-smbios', each]),
    ]);
    await machine.waitForShell();
  }, 240_000);
  afterAll(() => machine?.stop());

  it('is the one of every PC, and has no complaint in its log', async () => {
    const { output } = await machine.run("uname -rm; dmesg | grep -cE 'WARNING|Call Trace|BUG'");
    expect(output).toMatch(/^[\d.]+-\d+-amd64 x86_64\n0\n$/);
  });
  it('has found the functions on the PCI bus', async () => {
    const { output } = await machine.run(
      'for d in /sys/bus/pci/devices/*; do echo $(basename $d) $(cat $d/vendor $d/device $d/class); done',
    );
    expect(output.trimEnd().split('\n')).toEqual([
      '0000:00:00.0 0x8086 0x1237 0x060000',
      '0000:00:01.0 0x8086 0x7000 0x060100',
      '0000:00:01.1 0x8086 0x7010 0x010180',
      '0000:00:01.3 0x8086 0x7113 0x068000',
      '0000:00:02.0 0x1234 0x1111 0x030000',
    ]);
  });
  it('can tell the time by TSC, HPET and the power management timer, and has a clock for the wall', async () => {
    const source = '/sys/devices/system/clocksource/clocksource0';
    const { output } = await machine.run(
      `cat ${source}/available_clocksource; for s in hpet acpi_pm tsc; do echo $s >${source}/current_clocksource; cat ${source}/current_clocksource; sleep 0.2; done; cut -d ' ' -f 1 /sys/class/rtc/rtc0/name`,
    );
    const [available, ...rest] = output.trimEnd().split('\n');
    expect(available!.trim().split(' ').sort()).toEqual(['acpi_pm', 'hpet', 'tsc']);
    expect(rest).toEqual(['hpet', 'acpi_pm', 'tsc', 'rtc_cmos']);
  });
  it('sees what -smbios says', async () => {
    const names = Object.keys(FIELDS);
    const { output } = await machine.run(`cd /sys/class/dmi/id; cat ${names.join(' ')}; cd /`);
    expect(
      Object.fromEntries(
        output
          .trimEnd()
          .split('\n')
          .map((value, i) => [names[i], value]),
      ),
    ).toEqual(FIELDS);
    expect((await machine.run('tail -c 15 /sys/firmware/dmi/entries/11-0/raw | tr "\\0" .')).output).toBe(
      'from the host..',
    );
  });
  it('computes', async () => {
    const { output } = await machine.run('seq 1 20000 | gzip -9 | gunzip | md5sum');
    expect(output).toBe(`${md5(lines(count(20_000)))}  -\n`);
  });
  it('is turned off through ACPI', async () => {
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});
