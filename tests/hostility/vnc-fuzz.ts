/** VNC clients that send anything, read nothing, or hang up in the middle, plain and by WebSocket; and telnet clients of a socket. */
import { createHash } from 'node:crypto';
import type { SocketChardev } from '../../core/backends/char/chardev.ts';
import { DisplayConsole } from '../../core/backends/display/console.ts';
import { InputCore } from '../../core/backends/input/input-core.ts';
import { Clock } from '../../core/clock/clock.ts';
import { nodeCompression } from '../../core/node/compression.ts';
import { type StreamPair, streamPair } from '../../core/vnc/testing/stream-pair.ts';
import { VncServer } from '../../core/vnc/vnc-server.ts';
import { acceptWebSocket } from '../../core/vnc/websocket.ts';
import { Finding, Random } from './random.ts';

/** What one client that does not read may keep waiting: an update that was begun, and small answers. */
const MOST_QUEUED = 40 << 20;
const STEP_MS = 3000;
const UPGRADE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n';

const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const be16 = (n: number) => [(n >> 8) & 255, n & 255];
const be32 = (n: number) => [...be16(n >>> 16), ...be16(n & 0xffff)];

function message(random: Random): Uint8Array {
  const small = () => be16(random.pick([0, 1, 16, 320, 65535, random.below(65536)]));
  switch (random.below(9)) {
    case 0: {
      const depth = random.pick([8, 16, 32, 24, random.below(256)]);
      const maxima = random.pick([
        [0, 255, 0, 255, 0, 255, 16, 8, 0],
        [0, 31, 0, 63, 0, 31, 11, 5, 0],
        [0, 7, 0, 7, 0, 3, 0, 3, 6],
        [...random.bytes(9)],
      ]);
      return Uint8Array.of(
        0,
        0,
        0,
        0,
        depth,
        random.pick([8, 16, 24, 32, random.below(256)]),
        random.below(2),
        random.pick([1, 1, 0]),
        ...maxima,
        0,
        0,
        0,
      );
    }
    case 1: {
      const known = [
        0, 1, 5, 7, 16, -223, -224, -232, -239, -247, -256, -257, -258, -261, -307, -308, -314, 0x574d5664, 0xc0a1e5ce,
      ];
      const list = Array.from({ length: random.pick([0, 1, 5, 20, 3000]) }, () =>
        be32((random.chance(0.8) ? random.pick(known) : random.u32()) >>> 0),
      );
      return Uint8Array.from([2, 0, ...be16(random.chance(0.95) ? list.length : random.below(65536)), ...list.flat()]);
    }
    case 2:
    case 3:
      return Uint8Array.from([3, random.below(2), ...small(), ...small(), ...small(), ...small()]);
    case 4:
      return Uint8Array.from([4, random.below(2), 0, 0, ...be32(random.pick([0xff0d, 0x41, 0xffe1, random.u32()]))]);
    case 5:
      return Uint8Array.from([5, random.below(256), ...small(), ...small()]);
    case 6: {
      const length = random.pick([0, 1, 100, 5000, 0x10_0000, 0xffff_ffff, -1 >>> 0, random.u32()]);
      return Uint8Array.from([6, 0, 0, 0, ...be32(length), ...random.bytes(Math.min(length, 5000))]);
    }
    case 7:
      return Uint8Array.from([251, 0, ...small(), ...small(), random.below(4), 0, ...random.bytes(48)]);
    default:
      return random.chance(0.7)
        ? Uint8Array.from([255, 0, 0, random.below(2), ...be32(random.u32()), ...be32(random.below(512))])
        : random.bytes(random.below(40));
  }
}

function frame(random: Random, payload: Uint8Array): Uint8Array {
  const mask = random.bytes(4);
  const opcode = random.chance(0.97) ? 0x82 : random.below(256);
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : [0x80 | 126, ...be16(length)];
  if (random.chance(0.01)) return Uint8Array.from([opcode, 0xff, ...random.bytes(8), ...mask]);
  return Uint8Array.from([opcode, ...size, ...mask, ...payload.map((byte, i) => byte ^ mask[i & 3]!)]);
}

/** @throws Finding */
export function fuzzVnc(seed: number, steps: number): { readonly updates: number; readonly most: number } {
  const random = new Random(seed);
  const log: string[] = [];
  let now = 0;
  let updates = 0;
  let most = 0;
  const clock = new Clock('realtime', () => now);
  const input = new InputCore({ after: (ms, callback) => clock.newTimer(callback).modify(now + ms * 1e6) });
  const screen = new DisplayConsole(0);
  screen.resize(320, 200);
  const server = new VncServer(
    { console: screen, input, clock, compression: nodeCompression, randomBytes: (count) => new Uint8Array(count) },
    { requiresPassword: random.chance(0.2), share: random.pick(['ignore', 'allow-exclusive', 'force-shared']) },
  );
  server.setPassword('secret');
  const clients: { pair: StreamPair; isWeb: boolean; isReading: boolean; send(bytes: Uint8Array): void }[] = [];
  const connect = () => {
    const pair = streamPair();
    const isWeb = random.chance(0.3);
    pair.client.onData((bytes) => {
      updates += bytes.length;
    });
    server.addClient(
      isWeb ? acceptWebSocket(pair.server, (bytes) => createHash('sha1').update(bytes).digest()) : pair.server,
      'x',
      isWeb,
    );
    const send = (bytes: Uint8Array) => pair.client.write(isWeb && random.chance(0.98) ? frame(random, bytes) : bytes);
    if (isWeb) pair.client.write(ascii(random.chance(0.9) ? UPGRADE : UPGRADE.slice(random.below(60))));
    send(
      ascii(random.chance(0.9) ? random.pick(['RFB 003.008\n', 'RFB 003.007\n', 'RFB 003.003\n']) : 'RFB 004.000\n'),
    );
    if (random.chance(0.9)) send(Uint8Array.of(random.chance(0.9) ? 1 : 2));
    if (random.chance(0.2)) send(random.bytes(16));
    send(Uint8Array.of(random.below(2)));
    clients.push({ pair, isWeb, isReading: random.chance(0.7), send });
  };
  try {
    for (let i = 0; i < steps; i++) {
      const start = performance.now();
      if (clients.length < 4 || (random.chance(0.02) && clients.length < 40)) connect();
      const client = random.pick(clients);
      const bytes = message(random);
      log.push(`client ${clients.indexOf(client)}: ${[...bytes.subarray(0, 24)].join(' ')}`);
      client.send(bytes);
      const piece = random.pick([1, 3, 1000, Number.POSITIVE_INFINITY]);
      if (client.isReading) client.pair.pump(piece);
      else client.pair.pumpToServer();
      if (random.chance(0.1)) {
        const { pixels } = screen.surface;
        const from = random.below(pixels.length);
        for (let p = from; p < Math.min(pixels.length, from + 5000); p++) pixels[p] = random.u32();
        screen.updateAll();
      }
      if (random.chance(0.01)) screen.resize(random.pick([1, 15, 640, 1024, 5000]), random.pick([1, 17, 480, 768]));
      if (random.chance(0.01))
        screen.defineCursor(
          random.chance(0.3) ? null : { width: 16, height: 16, hotX: 99, hotY: 0, pixels: new Uint32Array(256) },
        );
      if (random.chance(0.3)) {
        now += random.pick([1e6, 3e7, 1e9, 7e10]);
        clock.runTimers();
      }
      if (random.chance(0.01)) client.pair.client.close();
      for (let c = clients.length - 1; c >= 0; c--) {
        const { pair } = clients[c]!;
        most = Math.max(most, pair.server.queuedBytes);
        if (pair.server.queuedBytes > MOST_QUEUED)
          throw new Error(`${pair.server.queuedBytes} bytes wait for a client that does not read`);
        if (pair.server.isClosed) clients.splice(c, 1);
      }
      if (performance.now() - start > STEP_MS) throw new Error(`a step took ${performance.now() - start} ms`);
    }
    server.close();
    if (server.clients.length !== 0) throw new Error('clients outlive the server');
    return { updates, most };
  } catch (error) {
    throw new Finding(seed, log, error);
  }
}

/** A telnet peer that sends any bytes: what a front end gets is data, each byte at most once. @throws Finding */
export function fuzzTelnet(seed: number, chardev: SocketChardev): number {
  const random = new Random(seed);
  const pair = streamPair();
  let received = 0;
  let sent = 0;
  chardev.isTelnet = true;
  chardev.attach({ canReceive: () => random.below(20), receive: (bytes) => (received += bytes.length) });
  try {
    chardev.connect(pair.server);
    for (let i = 0; i < 300; i++) {
      const bytes = Uint8Array.from({ length: random.below(50) }, () =>
        random.chance(0.3) ? random.between(239, 255) : random.below(256),
      );
      sent += bytes.length;
      pair.client.write(bytes);
      pair.pump(random.pick([1, 7, Number.POSITIVE_INFINITY]));
      chardev.acceptInput();
    }
    if (received > sent) throw new Error(`${received} bytes of ${sent}`);
    return received;
  } catch (error) {
    throw new Finding(seed, [`telnet, ${sent} sent`], error);
  } finally {
    pair.client.close();
    chardev.detach();
  }
}
