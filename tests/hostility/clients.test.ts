import { describe, expect, it } from 'vitest';
import { SocketChardev } from '../../core/backends/char/chardev.ts';
import type { CommandScope, QmpCommand } from '../../core/monitor/command.ts';
import { QMP_CAPABILITIES, QmpSession } from '../../core/monitor/qmp-session.ts';
import { MemoryStream } from '../../core/monitor/testing/memory-stream.ts';
import { objectNewAs } from '../../core/qom/object.ts';
import { registerAllTypes } from '../../core/system/qemu-init.ts';
import { encodeUtf8 } from '../../core/util/json.ts';
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

  it('may not make a monitor keep what it cannot answer yet', () => {
    const [server, client] = MemoryStream.pair();
    const endless: QmpCommand = {
      name: 'endless',
      arguments: {},
      returns: undefined,
      run: () => new Promise(() => {}),
    };
    const identity = {
      packageName: '',
      version: { major: 7, minor: 2, micro: 0 },
      name: undefined,
      uuid: undefined,
      target: '',
    };
    const services = {
      identity,
      scope: {} as CommandScope,
      findCommand: (name: string) => (name === 'endless' ? endless : QMP_CAPABILITIES),
    };
    new QmpSession(services, server);
    client.write(encodeUtf8('{"execute":"qmp_capabilities"}{"execute":"endless"}'));
    const megabyte = encodeUtf8(`{"execute":"endless","id":"${'x'.repeat(1 << 20)}"}`);
    let sent = 0;
    while (!client.isClosed && sent < 100) {
      client.write(megabyte);
      sent++;
    }
    expect(sent).toBeGreaterThan(13);
    expect(sent).toBeLessThan(20);
  });
});
