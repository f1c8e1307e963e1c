/** A 64-bit Debian with its C library and a compiler, in 3.5 GiB of memory: what glibc thinks of the CPU, memory above 4 GiB, a disk,
 *  the power button. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QmpConnection } from '../support/qmp-connection.ts';
import { stressOutput } from './disk-guest.ts';
import { GuestConsole, QUIET } from './guest-console.ts';
import { guestOrReason, longToolsGuest } from './images.ts';

const { guest, reason } = guestOrReason(() => ({ ...longToolsGuest(), expected: stressOutput(3000, 64) }));
if (!guest) console.log(`skipped: no 64-bit Linux guest can be made here: ${reason}`);

const LIMIT_MS = 180_000;
const LOADER = '/lib64/ld-linux-x86-64.so.2';
/** The levels of the x86-64 psABI that glibc finds the CPU to have; other models: cpu-models.test.ts. */
const levels = async (machine: GuestConsole) => {
  const { output } = await machine.run(`${LOADER} --help | grep 'x86-64-v.*supported, searched'`);
  return [...output.matchAll(/x86-64-v\d/g)].map(([level]) => level);
};
function start(...options: string[]): GuestConsole {
  const { kernel, initrd } = guest!;
  return GuestConsole.start([...options, '-kernel', kernel, '-initrd', initrd, '-append', QUIET]);
}

describe.skipIf(!guest)('64-bit Debian on -cpu max with 3.5 GiB', { timeout: LIMIT_MS }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-guest-'));
  const disk = Buffer.alloc(8 << 20);
  for (let at = 0; at < disk.length; at += 4) disk.writeUInt32LE((at * 2_654_435_761) >>> 0, at);
  let machine: GuestConsole;
  let qmp: QmpConnection;
  beforeAll(async () => {
    const path = join(folder, 'disk.img');
    writeFileSync(path, disk);
    const socket = join(folder, 'qmp');
    machine = start(
      ...[
        '-m',
        '3584',
        '-cpu',
        'max',
        '-drive',
        `file=${path},format=raw`,
        '-qmp',
        `unix:${socket},server=on,wait=off`,
      ],
    );
    qmp = await QmpConnection.open(socket);
    await machine.waitForShell();
  }, 180_000);
  afterAll(async () => {
    qmp?.close();
    await machine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('searches libraries for x86-64-v3', async () => {
    expect(await levels(machine)).toEqual(['x86-64-v3', 'x86-64-v2']);
  });
  it('uses process-context identifiers', async () => {
    const { output } = await machine.run('grep -c -w pcid /proc/cpuinfo; grep -c -w invpcid /proc/cpuinfo');
    expect(output).toBe('1\n1\n');
  });
  it('has memory below and above 4 GiB, and uses what is above', async () => {
    const { output: map } = await machine.run(
      "grep 'System RAM' /proc/iomem; awk '/MemTotal/ {print $2}' /proc/meminfo",
    );
    expect(map).toMatch(/-bff[0-9a-f]{5} : System RAM\n100000000-11fffffff : System RAM\n/);
    expect(Number(map.trim().split('\n').at(-1))).toBeGreaterThan(3_400_000);
    const free = async () =>
      Number(
        (await machine.run("awk '/zone +Normal/ {n=1} n && /nr_free_pages/ {print $2; exit}' /proc/zoneinfo")).output,
      );
    const before = await free();
    const bytes = 32 << 20;
    const fill = `dd if=/dev/zero bs=1M count=${bytes >> 20} 2>/dev/null | tr '\\0' x >/tmp/x`;
    const { output } = await machine.run(`${fill}; md5sum </tmp/x`, LIMIT_MS);
    const sum = createHash('md5').update('x'.repeat(bytes));
    expect(output).toBe(`${sum.digest('hex')}  -\n`);
    expect(before - (await free())).toBeGreaterThan(bytes / 4096 / 2);
  });
  it('reads a disk by DMA', async () => {
    const { output } = await machine.run('md5sum </dev/sda', LIMIT_MS);
    expect(output).toBe(`${createHash('md5').update(disk).digest('hex')}  -\n`);
    const { output: modes } = await machine.run('cat /sys/class/ata_device/dev*/dma_mode');
    expect(modes).toContain('DMA');
  });
  it('compiles a program and runs it', async () => {
    const { output, status } = await machine.run('tcc -o /root/stress /root/stress.c && /root/stress 3000', LIMIT_MS);
    expect(output).toBe(guest!.expected);
    expect(status).toBe(0);
  });
  it('hears the power button, and turns the machine off', async () => {
    const { output: device } = await machine.run(
      "grep -A5 'Name=\"Power Button\"' /proc/bus/input/devices | grep -o 'event[0-9]*'",
    );
    const event = device.trim().split('\n')[0]!;
    expect(event).toMatch(/^event\d+$/);
    // Until somebody has opened it, a press goes unheard.
    await machine.run(
      `dd if=/dev/input/${event} of=/tmp/event bs=24 count=1 2>/dev/null & while ! ls -l /proc/$!/fd | grep -q ${event}; do usleep 50000; done`,
    );
    await qmp.execute('system_powerdown');
    // struct input_event: 16 bytes of time, then EV_KEY, KEY_POWER, pressed (linux/input-event-codes.h).
    const { output: bytes } = await machine.run(`wait; hexdump -v -e '24/1 "%02x"' /tmp/event`);
    expect(bytes.slice(32)).toBe('0100740001000000');
    const ended = new Promise((done) => machine.child.once('exit', done));
    machine.child.stdin?.write('poweroff -f\n');
    expect(await ended).toBe(0);
  });
});
