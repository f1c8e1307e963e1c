/** Debian's amd64 kernel sleeps with everything in RAM (ACPI's S3) and goes on where it was: woken by a monitor, by a key, by its clock. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QmpConnection } from '../support/qmp-connection.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, longShellGuest } from './images.ts';

const { guest, reason } = guestOrReason(longShellGuest);
if (!guest) console.log(`skipped: no 64-bit Linux guest can be made here: ${reason}`);

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const NUMBERS = md5(Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join(''));

describe.skipIf(!guest)('a sleeping guest', () => {
  let machine: GuestConsole;
  let qmp: QmpConnection;
  let folder: string;
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
    await machine.run('seq 1 20000 >/tmp/numbers; seq 1 20000 | gzip >/tmp/packed; kept=kept');
    await machine.run('sleep 100000 & pid=$!');
  }, 180_000);
  afterAll(async () => {
    qmp?.close();
    await machine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Goes to sleep from the shell; what wakes it is the caller's. Gives what the shell says afterwards. */
  async function sleep(before: string, wake: () => Promise<unknown>): Promise<readonly string[]> {
    const awake = machine.run(
      `${before}; echo mem >/sys/power/state; echo $?; date +%s; echo $kept; kill -0 $pid; echo $?`,
    );
    await qmp.event('SUSPEND', 60_000);
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'suspended', running: false });
    await wake();
    await qmp.event('WAKEUP', 60_000);
    const [started, status, ended, ...rest] = (await awake).output.trimEnd().split('\n');
    expect([status, ...rest]).toEqual(['0', 'kept', '0']);
    return [started!, ended!];
  }
  /** Nothing was lost, and the kernel has seen nothing odd. */
  async function looksWell(times: number): Promise<void> {
    const { output } = await machine.run(
      'md5sum </tmp/numbers; gunzip -c /tmp/packed | md5sum; dmesg | grep -c "PM: suspend exit"; dmesg | grep -cE "WARNING|Call Trace|rror"',
    );
    expect(output.split('\n').slice(0, 4)).toEqual([`${NUMBERS}  -`, `${NUMBERS}  -`, `${times}`, '0']);
  }

  it('can be put to sleep at all', async () => {
    const { output } = await machine.run('cat /sys/power/state /sys/power/mem_sleep');
    expect(output).toBe('freeze mem disk\ns2idle [deep]\n');
  });
  it('is woken by system_wakeup', async () => {
    await sleep('date +%s', () => qmp.execute('system_wakeup'));
    await looksWell(1);
  });
  it('is woken by a key', async () => {
    await sleep('date +%s', () => qmp.execute('send-key', { keys: [{ type: 'qcode', data: 'shift' }] }));
    await looksWell(2);
  });
  it('is woken by the alarm of its clock, and knows how long it slept', async () => {
    const seconds = 4;
    const alarm = `echo +${seconds} >/sys/class/rtc/rtc0/wakealarm`;
    const [started, ended] = await sleep(`date +%s; ${alarm}`, async () => {});
    expect(Number(ended) - Number(started)).toBeGreaterThanOrEqual(seconds - 1);
    await looksWell(3);
  });
  it('can be turned off afterwards', async () => {
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});
