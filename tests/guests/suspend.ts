/** A Linux guest sleeps with everything in RAM (ACPI's S3) and goes on where it was: woken by a monitor, by a key, by its clock. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { QmpConnection } from '../support/qmp-connection.ts';
import type { GuestConsole } from './guest-console.ts';
import { NUMBERS_MD5 } from './shell-programs.ts';

/** Tests of a machine that has come to its shell. */
export function testSleep(guest: () => { readonly machine: GuestConsole; readonly qmp: QmpConnection }): void {
  describe('sleeps', () => {
    beforeAll(async () => {
      const { machine } = guest();
      await machine.run('seq 1 20000 >/tmp/numbers; seq 1 20000 | gzip >/tmp/packed; kept=kept');
      await machine.run('sleep 100000 & pid=$!');
    });

    /** Goes to sleep from the shell; what wakes it is the caller's. Gives what the shell says afterwards. */
    async function sleep(before: string, wake: (qmp: QmpConnection) => Promise<unknown>): Promise<readonly string[]> {
      const { machine, qmp } = guest();
      const awake = machine.run(
        `${before}; echo mem >/sys/power/state; echo $?; date +%s; echo $kept; kill -0 $pid; echo $?`,
      );
      await qmp.event('SUSPEND', 60_000);
      expect(await qmp.execute('query-status')).toMatchObject({ status: 'suspended', running: false });
      await wake(qmp);
      await qmp.event('WAKEUP', 60_000);
      const [started, status, ended, ...rest] = (await awake).output.trimEnd().split('\n');
      expect([status, ...rest]).toEqual(['0', 'kept', '0']);
      return [started!, ended!];
    }
    /** Nothing was lost, and the kernel has seen nothing odd. */
    async function looksWell(times: number): Promise<void> {
      const { output } = await guest().machine.run(
        'md5sum </tmp/numbers; gunzip -c /tmp/packed | md5sum; dmesg | grep -c "PM: suspend exit"; dmesg | grep -cE "WARNING|Call Trace|rror"',
      );
      expect(output.split('\n').slice(0, 4)).toEqual([`${NUMBERS_MD5}  -`, `${NUMBERS_MD5}  -`, `${times}`, '0']);
    }

    it('if it can at all', async () => {
      const { output } = await guest().machine.run('cat /sys/power/state /sys/power/mem_sleep');
      expect(output).toBe('freeze mem disk\ns2idle [deep]\n');
    });
    it('until system_wakeup', async () => {
      await sleep('date +%s', (qmp) => qmp.execute('system_wakeup'));
      await looksWell(1);
    });
    it('until a key is pressed', async () => {
      await sleep('date +%s', (qmp) => qmp.execute('send-key', { keys: [{ type: 'qcode', data: 'shift' }] }));
      await looksWell(2);
    });
    it('until the alarm of its clock, and knows how long it slept', async () => {
      const seconds = 4;
      const alarm = `echo +${seconds} >/sys/class/rtc/rtc0/wakealarm`;
      const [started, ended] = await sleep(`date +%s; ${alarm}`, async () => {});
      expect(Number(ended) - Number(started)).toBeGreaterThanOrEqual(seconds - 1);
      await looksWell(3);
    });
  });
}
