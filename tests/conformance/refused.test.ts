/** Settings that QEMU has and that would be without effect here are refused by name, never ignored. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { terrarium } from '../support/machine.ts';

describe('settings without effect yet', () => {
  it.each([
    ['-M', 'pc,usb=on', '-machine usb=on'],
    ['-M', 'pc,vmport=on', '-machine vmport=on'],
    ['-M', 'pc,pit=off', '-machine pit=off'],
    ['-boot', 'splash=picture.jpg', 'boot.splash'],
    ['-vnc', 'none,power-control=on', "'power-control'"],
    ['-vnc', 'none,lock-key-sync=off', "'lock-key-sync=off'"],
  ])('%s %s', (option, value, named) => {
    const { status, stderr } = spawnSync(terrarium, ['-display', 'none', '-S', option, value], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(status).toBe(1);
    expect(stderr).toContain(named);
    expect(stderr).toContain('not supported yet');
  });
});
