import { describe, expect, it } from 'vitest';
import { SocketChardev } from '../../core/backends/char/chardev.ts';
import { objectNewAs } from '../../core/qom/object.ts';
import { registerAllTypes } from '../../core/system/qemu-init.ts';
import { fuzzMonitors } from './monitor-fuzz.ts';
import { fuzzTelnet, fuzzVnc } from './vnc-fuzz.ts';

describe('hostile clients', () => {
  it.each([1, 2, 3])('do no harm through monitors, seed %i', async (seed) => {
    expect((await fuzzMonitors(seed, 200)).answers).toBeGreaterThan(150);
  });
  it.each([1, 2, 3, 4])('do no harm to the VNC server, seed %i', (seed) => {
    expect(fuzzVnc(seed, 400).updates).toBeGreaterThan(10_000);
  });
  it('do no harm through telnet', () => {
    registerAllTypes();
    for (let seed = 1; seed < 20; seed++)
      expect(fuzzTelnet(seed, objectNewAs(SocketChardev, 'chardev-socket'))).toBeGreaterThan(100);
  });
});
