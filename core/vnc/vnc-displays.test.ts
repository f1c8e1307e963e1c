import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DisplayRegistry } from '../backends/display/console.ts';
import { InputCore } from '../backends/input/input-core.ts';
import { Clock } from '../clock/clock.ts';
import { nodeCompression } from '../node/compression.ts';
import type { VncAddress, VncOptions } from '../options/vnc-options.ts';
import { UserError } from '../util/errors.ts';
import { RfbTestClient } from './testing/rfb-test-client.ts';
import { streamPair } from './testing/stream-pair.ts';
import { type BoundListener, parsePeer, VncDisplays } from './vnc-displays.ts';

const OPTIONS: VncOptions = {
  id: 'default',
  address: { kind: 'inet', host: '127.0.0.1', port: 5903, to: undefined },
  websocket: undefined,
  password: false,
  share: 'allow-exclusive',
  connectionsLimit: 32,
  lockKeySync: true,
  keyDelayMs: 10,
  lossy: false,
  nonAdaptive: false,
  powerControl: false,
};

function bench() {
  const events: [string, unknown][] = [];
  const sockets: {
    address: VncAddress;
    connect: (peer: string) => ReturnType<typeof streamPair>;
    isClosed: boolean;
  }[] = [];
  const input = new InputCore({ after: () => {} });
  let now = 0;
  const displays = new VncDisplays(
    {
      displays: new DisplayRegistry(),
      input,
      clock: new Clock('realtime', () => now),
      compression: nodeCompression,
      randomBytes: (count) => new Uint8Array(count),
      sha1: (bytes) => createHash('sha1').update(bytes).digest(),
      emit: (event, data) => events.push([event, data]),
      wallMs: () => 1_000_000 + now / 1e6,
      async listen(address): Promise<BoundListener> {
        if (address.kind === 'unix' && address.path.startsWith('/nowhere'))
          throw new UserError('No such file or directory');
        const accept: ((stream: ReturnType<typeof streamPair>['server'], peer: string) => void)[] = [];
        const socket = {
          address,
          isClosed: false,
          connect(peer: string) {
            const pair = streamPair();
            for (const listener of accept) listener(pair.server, peer);
            return pair;
          },
        };
        sockets.push(socket);
        return {
          host: address.kind === 'unix' ? '' : address.host,
          service: address.kind === 'unix' ? address.path : String(address.port),
          family: address.kind === 'unix' ? 'unix' : 'ipv4',
          onConnection(listener) {
            accept.push(listener);
            return () => {};
          },
          close: () => {
            socket.isClosed = true;
          },
        };
      },
    },
    'guest',
  );
  return { displays, events, sockets, wait: (ns: number) => (now += ns) };
}

describe('VNC displays', () => {
  it('serve, tell monitors who is there, and raise events', async () => {
    const { displays, events, sockets } = bench();
    await displays.start(OPTIONS);
    const pair = sockets[0]!.connect('127.0.0.1:40000');
    const client = new RfbTestClient(pair.client, (bytes) => bytes);
    pair.pump();
    expect([client.isRunning, client.name, client.width]).toEqual([true, 'QEMU (guest)', 640]);
    const server = { host: '127.0.0.1', service: '5903', family: 'ipv4', isWebSocket: false };
    expect(displays.servers()).toEqual([
      {
        id: 'default',
        auth: 'none',
        servers: [server],
        clients: [{ ...server, service: '40000' }],
        display: undefined,
      },
    ]);
    pair.client.close();
    expect(events.map(([event]) => event)).toEqual(['VNC_CONNECTED', 'VNC_INITIALIZED', 'VNC_DISCONNECTED']);
    expect(events[0]![1]).toEqual({
      server: { auth: 'none', host: '127.0.0.1', service: '5903', family: 'ipv4', websocket: false },
      client: { host: '127.0.0.1', service: '40000', family: 'ipv4', websocket: false },
    });
    displays.close();
    expect([sockets[0]!.isClosed, displays.servers()]).toEqual([true, []]);
  });
  it('leave nothing open when one socket cannot be bound', async () => {
    const { displays, sockets } = bench();
    await expect(displays.start({ ...OPTIONS, websocket: { kind: 'unix', path: '/nowhere/x' } })).rejects.toThrow(
      'Failed to bind socket to /nowhere/x: No such file or directory',
    );
    expect([sockets[0]!.isClosed, displays.servers()]).toEqual([true, []]);
  });
  it('passwords by id, with expiry by wall clock', async () => {
    const { displays, wait } = bench();
    const server = await displays.start({ ...OPTIONS, password: true });
    expect([displays.setPassword(undefined, 'x'), displays.setPassword('other', 'x')]).toEqual([true, false]);
    expect(displays.expirePassword('default', 1_000_500)).toBe(true);
    expect(server.currentPassword()).toBe('x');
    wait(600e6);
    expect(server.currentPassword()).toBeNull();
    displays.expirePassword(undefined, null);
    expect(server.currentPassword()).toBe('x');
    await expect(displays.start(OPTIONS)).rejects.toThrow("Duplicate ID 'default'");
  });
  it('know one keyboard layout, and say which others exist', async () => {
    const { displays } = bench();
    await expect(displays.start(OPTIONS, 'nosuch')).rejects.toThrow("could not read keymap file: 'nosuch'");
    await expect(displays.start(OPTIONS, 'de')).rejects.toThrow("keyboard layout 'de' is not supported yet");
    expect((await displays.start(OPTIONS, 'en-us')).auth).toBe('none');
  });
  it('read peers', () => {
    expect(parsePeer('[::1]:5900', true)).toEqual({ host: '::1', service: '5900', family: 'ipv6', isWebSocket: true });
    expect(parsePeer('/run/x.sock', false)).toMatchObject({ family: 'unix', service: '/run/x.sock' });
  });
});
