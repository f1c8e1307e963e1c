/** Debian's amd64 kernels from -kernel and -initrd to a shell: in that for virtual machines, programs whose results are known beforehand,
 *  and sleep; in that of every PC, what it has found of the board. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QmpConnection } from '../support/qmp-connection.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, longShellGuest } from './images.ts';
import { NUMBERS_MD5, testPowerOff, testShellPrograms } from './shell-programs.ts';
import { testSleep } from './suspend.ts';

const { guest, reason } = guestOrReason(longShellGuest);
if (!guest) console.log(`skipped: no 64-bit Linux guest can be made here: ${reason}`);

describe.skipIf(!guest)("Debian's cloud-amd64 kernel", () => {
  let folder: string;
  let machine: GuestConsole;
  let qmp: QmpConnection;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'terrarium-test-'));
    const { kernel, initrd } = guest!;
    const socket = join(folder, 'qmp');
    machine = GuestConsole.start([
      ...['-m', '256', '-kernel', kernel, '-initrd', initrd, '-append', QUIET],
      ...['-qmp', `unix:${socket},server=on,wait=off`],
    ]);
    qmp = await QmpConnection.open(socket);
    await machine.waitForShell();
  }, 180_000);
  afterAll(async () => {
    qmp?.close();
    await machine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('says what it is', async () => {
    const { output } = await machine.run('uname -m; grep -c -w lm /proc/cpuinfo');
    expect(output).toBe('x86_64\n1\n');
  });
  testShellPrograms(() => machine, 190_000);
  testSleep(() => ({ machine, qmp }));
  testPowerOff(() => machine);
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
    expect(output).toBe(`${NUMBERS_MD5}  -\n`);
  });
  it('is turned off through ACPI', async () => {
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});
