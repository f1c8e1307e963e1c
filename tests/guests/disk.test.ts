/** Debian from a hard disk, as a BIOS boots it: SeaBIOS, MBR, GRUB, kernel, disk drivers, user space; and a compiler there. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { diskGuest, stressOutput } from './disk-guest.ts';
import { GuestConsole } from './guest-console.ts';
import { guestOrReason } from './images.ts';

const { guest, reason } = guestOrReason(() => ({ disk: diskGuest(), expected: stressOutput(5000) }));
if (!guest) console.log(`skipped: no Linux disk can be made here: ${reason}`);

describe.skipIf(!guest)('Debian from its disk', () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-guest-'));
  let machine: GuestConsole;
  beforeAll(async () => {
    const disk = join(folder, 'disk.img');
    copyFileSync(guest!.disk, disk);
    machine = GuestConsole.start(['-m', '128', '-drive', `file=${disk},format=raw`]);
    await machine.waitForShell();
  }, 180_000);
  afterAll(async () => {
    await machine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('runs from the disk', async () => {
    const { output } = await machine.run('mount | grep " / "; ls /boot /sbin/init');
    expect(output).toMatch(/^\/dev\/sda1 on \/ type ext[24] \(rw/);
    expect(output).toContain('vmlinuz');
  });
  it('compiles a program and runs it', async () => {
    const { output, status } = await machine.run('tcc -o /root/stress /root/stress.c && /root/stress 5000', 120_000);
    expect(output).toBe(guest!.expected);
    expect(status).toBe(0);
  });
  it('writes to the disk and reads it back', async () => {
    const sum = createHash('md5');
    for (let i = 1; i <= 50_000; i++) sum.update(`${i}\n`);
    const { output } = await machine.run(
      'seq 1 50000 >/root/n; sync; echo 3 >/proc/sys/vm/drop_caches; bzip2 -k /root/n; bunzip2 -c /root/n.bz2 | md5sum; md5sum </root/n',
      120_000,
    );
    const expected = `${sum.digest('hex')}  -\n`;
    expect(output).toBe(expected + expected);
  });
});
