import { createCipheriv } from 'node:crypto';
import { constants, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DisplayConsole, type GraphicHardware } from '../backends/display/console.ts';
import { InputCore, type InputEvent, type InputEventKind } from '../backends/input/input-core.ts';
import { Clock } from '../clock/clock.ts';
import { nodeCompression } from '../node/compression.ts';
import { desEncryptBlock } from './des.ts';
import { NATIVE_FORMAT, type PixelFormat } from './pixel-format.ts';
import { RfbTestClient, type TestClientOptions } from './testing/rfb-test-client.ts';
import { type StreamPair, streamPair } from './testing/stream-pair.ts';
import { VncServer, type VncSettings } from './vnc-server.ts';

const MS = 1_000_000;
const inflate = (stream: Uint8Array) => Uint8Array.from(inflateSync(stream, { finishFlush: constants.Z_SYNC_FLUSH }));

/** A server with a hand-wound clock and a screen to paint on. */
class Bench {
  nowNs = 0;
  readonly clock = new Clock('realtime', () => this.nowNs);
  readonly input = new InputCore({
    after: (ms, callback) => this.clock.newTimer(callback).modify(this.nowNs + ms * MS),
  });
  readonly events: InputEvent[] = [];
  readonly logged: string[] = [];
  readonly console: DisplayConsole;
  readonly server: VncServer;

  constructor(width = 320, height = 200, settings: VncSettings = {}, hardware?: GraphicHardware) {
    this.console = new DisplayConsole(0, hardware);
    this.console.resize(width, height);
    this.server = new VncServer(
      {
        console: this.console,
        input: this.input,
        clock: this.clock,
        compression: nodeCompression,
        randomBytes: (count) => Uint8Array.from({ length: count }, (_, i) => (i * 37 + 11) & 0xff),
        log: (text) => this.logged.push(text),
      },
      { keyDelayMs: 0, ...settings },
    );
  }
  connect(options?: TestClientOptions): { client: RfbTestClient; pair: StreamPair } {
    const pair = streamPair();
    const client = new RfbTestClient(pair.client, inflate, options);
    this.server.addClient(pair.server, 'test');
    pair.pump();
    return { client, pair };
  }
  device(...mask: InputEventKind[]) {
    return this.input.register({ name: mask.join(), mask, event: (event) => this.events.push(event) });
  }
  wait(ms: number, ...pairs: StreamPair[]): void {
    for (let i = 0; i < ms; i += 5) {
      this.nowNs += 5 * MS;
      this.clock.runTimers();
      for (const pair of pairs) pair.pump();
    }
  }
  paint(
    draw: (x: number, y: number) => number,
    x0 = 0,
    y0 = 0,
    width = this.console.width,
    height = this.console.height,
  ) {
    const { surface } = this.console;
    for (let y = y0; y < y0 + height; y++) {
      for (let x = x0; x < x0 + width; x++) surface.pixels[y * surface.stride + x] = draw(x, y);
    }
    this.console.update(x0, y0, width, height);
  }
  /** The first pixel that differs between screen and client, allowing for the precision of the client's format. */
  difference(client: RfbTestClient): string | null {
    const { surface } = this.console;
    const { redMax, greenMax, blueMax } = client.format;
    const near = (a: number, b: number, max: number) => Math.abs(a - b) <= 127 / max + 0.5;
    for (let y = 0; y < surface.height; y++) {
      for (let x = 0; x < surface.width; x++) {
        const a = surface.pixel(x, y);
        const b = client.pixels[y * client.width + x]!;
        const same =
          near(a >> 16, b >> 16, redMax) &&
          near((a >> 8) & 255, (b >> 8) & 255, greenMax) &&
          near(a & 255, b & 255, blueMax);
        if (!same) return `(${x},${y}): ${a.toString(16)} became ${b.toString(16)}`;
      }
    }
    return null;
  }
}

let seed = 1;
function random(): number {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return seed / 2 ** 32;
}
const PICTURES: Record<string, (x: number, y: number) => number> = {
  solid: () => 0x123456,
  'two colours': (x, y) => ((x * 7 + y * 3) % 11 < 4 ? 0xffffff : 0x0000aa),
  'text-like': (x, y) => [0xaaaaaa, 0, 0x55ff55, 0xaa][(((x >> 3) * 31 + (y >> 4) * 17) ^ (x & y & 3)) & 3]!,
  'hundred colours': (x, y) => ((x >> 4) * 5 + (y >> 4) * 3) * 0x010203,
  gradient: (x, y) => ((x & 255) << 16) | ((y & 255) << 8) | ((x + y) & 255),
  noise: () => Math.floor(random() * 0x1000000),
  runs: (x, y) => (((x >> 5) + y) * 0x9e3779b1) >>> 8,
};
const FORMATS: Record<string, PixelFormat> = {
  native: NATIVE_FORMAT,
  'big endian 32': { ...NATIVE_FORMAT, bigEndian: true },
  'RGBX in the high bytes': { ...NATIVE_FORMAT, redShift: 24, greenShift: 16, blueShift: 8 },
  'BGR 32, depth 32': { ...NATIVE_FORMAT, depth: 32, redShift: 0, blueShift: 16 },
  '16 bits 565': {
    bitsPerPixel: 16,
    depth: 16,
    bigEndian: false,
    redMax: 31,
    greenMax: 63,
    blueMax: 31,
    redShift: 11,
    greenShift: 5,
    blueShift: 0,
  },
  '16 bits big endian 555': {
    bitsPerPixel: 16,
    depth: 15,
    bigEndian: true,
    redMax: 31,
    greenMax: 31,
    blueMax: 31,
    redShift: 10,
    greenShift: 5,
    blueShift: 0,
  },
  '8 bits 332': {
    bitsPerPixel: 8,
    depth: 8,
    bigEndian: false,
    redMax: 7,
    greenMax: 7,
    blueMax: 3,
    redShift: 0,
    greenShift: 3,
    blueShift: 6,
  },
};
const ENCODINGS = { raw: 0, hextile: 5, tight: 7, zrle: 16 };

describe('encodings', () => {
  for (const [name, encoding] of Object.entries(ENCODINGS)) {
    it.each(Object.keys(FORMATS))(`${name} gives the same picture in %s`, (formatName) => {
      const bench = new Bench(150, 83);
      const { client, pair } = bench.connect();
      client.setPixelFormat(FORMATS[formatName]!);
      client.setEncodings(encoding);
      for (const draw of Object.values(PICTURES)) {
        bench.paint(draw);
        client.request(false);
        bench.wait(100, pair);
        expect(bench.difference(client)).toBeNull();
      }
      expect(client.received.every((used) => used === encoding)).toBe(true);
      expect(client.isClosed).toBe(false);
    });
  }
  it('cuts Tight rectangles that are too wide', () => {
    const bench = new Bench(2500, 40);
    const { client, pair } = bench.connect();
    client.setEncodings(7);
    bench.paint(PICTURES.gradient!);
    client.request(false);
    bench.wait(100, pair);
    expect(bench.difference(client)).toBeNull();
  });
  it('sends only tiles that differ', () => {
    const bench = new Bench();
    const { client, pair } = bench.connect();
    client.setEncodings(0);
    client.request(false);
    pair.pump();
    const before = client.bytesReceived;
    client.request(true);
    bench.paint(() => 0xff, 100, 50, 1, 1);
    bench.console.updateAll(); // the device exaggerates
    bench.wait(50, pair);
    expect(bench.difference(client)).toBeNull();
    expect(client.bytesReceived - before).toBe(4 + 12 + 16 * 16 * 4);
  });
  it('copies what has scrolled', () => {
    const bench = new Bench();
    const text = (shift: number) => (x: number, y: number) =>
      ((x >> 3) * 13 + ((y + shift) >> 4) * 7 + ((y + shift) & x)) % 3 ? 0 : 0xaaaaaa;
    bench.paint(text(0));
    const { client, pair } = bench.connect();
    client.setEncodings(1, 16);
    client.request(false);
    pair.pump();
    for (const shift of [16, 32, 8]) {
      client.received = [];
      client.request(true);
      bench.paint(text(shift));
      bench.wait(50, pair);
      expect(bench.difference(client)).toBeNull();
      expect(client.received).toContain(1);
    }
  });
  it('leaves out CopyRect for clients that cannot', () => {
    const bench = new Bench();
    bench.paint((x, y) => (x ^ (y * 5)) & 0xff);
    const { client, pair } = bench.connect();
    client.setEncodings(5);
    client.request(false);
    pair.pump();
    client.request(true);
    bench.paint((x, y) => (x ^ ((y + 16) * 5)) & 0xff);
    bench.wait(50, pair);
    expect(bench.difference(client)).toBeNull();
    expect(client.received).not.toContain(1);
  });
  it('keeps scrolled pictures right under random changes and requests', () => {
    const bench = new Bench(160, 128);
    const { client, pair } = bench.connect();
    client.setEncodings(1, 7);
    client.request(false);
    pair.pump();
    const { surface } = bench.console;
    for (let step = 0; step < 60; step++) {
      if (random() < 0.5) {
        const by = 8 + Math.floor(random() * 40);
        surface.pixels.copyWithin(0, by * surface.stride);
        bench.console.updateAll();
      }
      const y = Math.floor(random() * 112);
      bench.paint(PICTURES.noise!, 0, y, 160, 16);
      if (random() < 0.6) client.request(true);
      bench.wait(35, pair);
    }
    client.request(true);
    bench.wait(100, pair);
    client.request(true);
    bench.wait(100, pair);
    expect(bench.difference(client)).toBeNull();
    expect(client.received).toContain(1);
  });
});

describe('handshake', () => {
  it.each(['003.003', '003.005', '003.007', '003.008'])('speaks %s without a password', (version) => {
    const { client } = new Bench(64, 48, { name: 'guest' }).connect({ version });
    expect(client).toMatchObject({
      isRunning: true,
      width: 64,
      height: 48,
      name: 'guest',
      serverVersion: 'RFB 003.008\n',
    });
    expect(client.serverFormat).toEqual([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]);
  });
  it.each(['003.003', '003.007', '003.008'])('checks a password in %s', (version) => {
    const bench = new Bench(64, 48, { requiresPassword: true });
    bench.server.setPassword('s3cret-and-more');
    expect(bench.connect({ version, password: 's3cret-a' }).client.isRunning).toBe(true);
    const { client, pair } = bench.connect({ version, password: 'S3cret-a' });
    expect(client.failure).toBeNull(); // the answer waits
    bench.wait(990, pair);
    expect(client.isClosed).toBe(false);
    bench.wait(20, pair);
    expect(client).toMatchObject({
      isRunning: false,
      isClosed: true,
      failure: version === '003.008' ? 'Authentication failed' : '',
    });
  });
  it('lets nobody in while no password is set, or when it has expired', () => {
    const bench = new Bench(64, 48, { requiresPassword: true });
    const first = bench.connect({ password: '' });
    bench.wait(1100, first.pair);
    expect(first.client.isClosed).toBe(true);
    bench.server.setPassword('x');
    bench.server.expirePassword(50 * MS);
    expect(bench.connect({ password: 'x' }).client.isRunning).toBe(true);
    bench.wait(60);
    const late = bench.connect({ password: 'x' });
    bench.wait(5000, late.pair);
    expect(late.client).toMatchObject({ isRunning: false, isClosed: true });
  });
  it('ends a handshake that takes too long', () => {
    const bench = new Bench();
    const pair = streamPair();
    bench.server.addClient(pair.server, 'silent');
    bench.wait(61_000, pair);
    expect(pair.client.isClosed).toBe(true);
  });
  it('refuses connections beyond the limit', () => {
    const bench = new Bench(64, 48, { connectionLimit: 2 });
    const pairs = [streamPair(), streamPair(), streamPair()];
    for (const pair of pairs) bench.server.addClient(pair.server, 'silent');
    expect(pairs.map((pair) => pair.client.isClosed)).toEqual([false, false, true]);
  });
  it('DES agrees with OpenSSL', () => {
    for (let i = 0; i < 50; i++) {
      const bytes = () => Uint8Array.from({ length: 8 }, () => Math.floor(random() * 256));
      const key = bytes();
      const block = bytes();
      const openssl = createCipheriv('des-ede3-ecb', Buffer.concat([key, key, key]), null)
        .setAutoPadding(false)
        .update(block);
      expect(Buffer.from(desEncryptBlock(key, block)).toString('hex')).toBe(openssl.toString('hex'));
    }
  });
});

describe('several clients', () => {
  it('an exclusive client sends the others away, and later shared ones are refused', () => {
    const bench = new Bench();
    const first = bench.connect();
    const second = bench.connect();
    expect(bench.server.clients).toHaveLength(2);
    const exclusive = bench.connect({ shared: false });
    expect([first.client.isClosed, second.client.isClosed, exclusive.client.isRunning]).toEqual([true, true, true]);
    expect(bench.connect().client.isClosed).toBe(true);
    expect(bench.server.clients).toHaveLength(1);
  });
  it('ignore: all live together; force-shared: an exclusive one is refused', () => {
    const ignoring = new Bench(64, 48, { share: 'ignore' });
    const first = ignoring.connect();
    ignoring.connect({ shared: false });
    expect(first.client.isClosed).toBe(false);
    const forced = new Bench(64, 48, { share: 'force-shared' });
    forced.connect();
    expect(forced.connect({ shared: false }).client.isClosed).toBe(true);
  });
  it('each keeps its own state', () => {
    const bench = new Bench(150, 83);
    const one = bench.connect();
    const two = bench.connect();
    one.client.setEncodings(16);
    two.client.setEncodings(5);
    two.client.setPixelFormat(FORMATS['16 bits 565']!);
    for (let step = 0; step < 12; step++) {
      bench.paint(PICTURES.noise!, (step * 11) % 100, (step * 7) % 60, 20, 20);
      one.client.request(true);
      if (step % 3 === 0) two.client.request(true);
      bench.wait(40, one.pair, two.pair);
    }
    for (const { client, pair } of [one, two]) {
      client.request(true);
      bench.wait(60, pair);
      expect(bench.difference(client)).toBeNull();
    }
  });
});

describe('throttling', () => {
  it('a client that does not read costs one update, not memory', () => {
    const bench = new Bench(640, 480);
    const { client, pair } = bench.connect();
    client.setEncodings(0);
    pair.pump();
    for (let step = 0; step < 50; step++) {
      bench.paint(PICTURES.noise!);
      client.request(false);
      pair.pumpToServer();
      bench.nowNs += 40 * MS;
      bench.clock.runTimers();
    }
    expect(pair.server.queuedBytes).toBeLessThan(640 * 480 * 4 + 1000);
    pair.pump();
    client.request(true);
    bench.wait(100, pair);
    expect(bench.difference(client)).toBeNull();
  });
  it('does not draw while nobody asks', () => {
    let drawn = 0;
    const bench = new Bench(64, 48, {}, { graphicUpdate: () => drawn++, invalidate() {} });
    const { client, pair } = bench.connect();
    bench.wait(1000, pair);
    expect(drawn).toBe(1); // for the size, when the client came
    client.request(true); // answered at once with the first picture
    pair.pump();
    client.request(true);
    bench.wait(1000, pair);
    expect(drawn).toBeGreaterThan(5);
    expect(drawn).toBeLessThan(25); // a still picture is looked at less often
  });
});

describe('extensions', () => {
  it('DesktopSize: the new size, then the new picture', () => {
    const bench = new Bench();
    const { client, pair } = bench.connect();
    client.setEncodings(16, -223);
    client.request(false);
    pair.pump();
    client.request(true);
    bench.console.resize(720, 400);
    bench.paint(PICTURES['text-like']!);
    bench.wait(50, pair);
    expect([client.width, client.height]).toEqual([720, 400]);
    client.request(true);
    bench.wait(50, pair);
    expect(bench.difference(client)).toBeNull();
  });
  it('ExtendedDesktopSize: told at first, after changes, and when a client asks for a size', () => {
    const wishes: string[] = [];
    const bench = new Bench(
      320,
      200,
      {},
      { graphicUpdate() {}, invalidate() {}, uiInfo: ({ width, height }) => wishes.push(`${width}x${height}`) },
    );
    const { client, pair } = bench.connect();
    client.setEncodings(0, -308);
    client.request(false);
    pair.pump();
    expect(client.resizes).toEqual([{ reason: 0, status: 0, width: 320, height: 200 }]);
    expect(bench.difference(client)).toBeNull();
    client.request(true);
    client.send((out) =>
      out.u8(251).u8(0).u16(1024).u16(768).u8(1).u8(0).u32(0).u16(0).u16(0).u16(1024).u16(768).u32(0),
    );
    bench.wait(50, pair);
    expect(wishes).toEqual(['1024x768']);
    expect(client.resizes[1]).toEqual({ reason: 1, status: 4, width: 320, height: 200 });
    client.request(true);
    client.send((out) => out.u8(251).u8(0).u16(1024).u16(768).u8(0).u8(0));
    bench.wait(50, pair);
    expect(client.resizes[2]).toMatchObject({ reason: 1, status: 3 });
    client.request(true);
    bench.console.resize(400, 300);
    bench.wait(50, pair);
    expect(client.resizes[3]).toEqual({ reason: 0, status: 0, width: 400, height: 300 });
    expect([client.width, client.height]).toEqual([400, 300]);
  });
  it('a client without either keeps its size and sees the part that fits', () => {
    const bench = new Bench(200, 100);
    const { client, pair } = bench.connect();
    client.request(false);
    pair.pump();
    bench.console.resize(100, 300);
    bench.paint(PICTURES.gradient!);
    client.request(true);
    bench.wait(50, pair);
    expect([client.width, client.height]).toEqual([200, 100]);
    expect(client.pixels[50 * 200 + 60]).toBe(bench.console.surface.pixel(60, 50));
  });
  it('cursors', () => {
    const bench = new Bench();
    const alpha = bench.connect();
    const plain = bench.connect();
    alpha.client.setEncodings(0, -239, -314);
    plain.client.setEncodings(0, -239);
    for (const { client, pair } of [alpha, plain]) {
      client.request(false);
      pair.pump();
      client.request(true);
      pair.pump();
    }
    bench.console.defineCursor({
      width: 2,
      height: 1,
      hotX: 1,
      hotY: 0,
      pixels: Uint32Array.of(0x80ff8040, 0x7f112233),
    });
    bench.wait(50, alpha.pair, plain.pair);
    expect(alpha.client.cursor).toMatchObject({ width: 2, hotX: 1, pixels: Uint32Array.of(0x80804020, 0x7f081119) });
    expect(plain.client.cursor?.pixels).toEqual(Uint32Array.of(0xffff8040, 0));
  });
  it('LEDs, extended keys and the pointer mode are told', () => {
    const bench = new Bench();
    const { client, pair } = bench.connect();
    client.setEncodings(0, -257, -258, -261);
    client.request(true);
    pair.pump();
    expect(client).toMatchObject({ leds: 0, hasExtendedKeys: true, absolute: false });
    bench.input.putLedState(4);
    bench.device('abs', 'btn');
    for (let i = 0; i < 2; i++) {
      client.request(true);
      bench.wait(50, pair);
    }
    expect(client).toMatchObject({ leds: 4, absolute: true });
  });
  it('clipboard both ways', () => {
    const bench = new Bench();
    const { client, pair } = bench.connect();
    const texts: string[] = [];
    bench.server.subscribe({ cutText: (text) => texts.push(text) });
    client.send((out) =>
      out
        .u8(6)
        .zeros(3)
        .u32(3)
        .raw(Uint8Array.of(0x61, 0xe9, 0x62)),
    );
    bench.server.sendCutText('héllo');
    pair.pump();
    expect([texts, client.clipboard]).toEqual([['aéb'], 'héllo']);
  });
});

describe('input', () => {
  const keys = (bench: Bench) =>
    bench.events.map((event) => (event.type === 'key' ? `${event.down ? '+' : '-'}${event.key}` : '?'));

  it('keysyms become keys; a capital without shift gets one', () => {
    const bench = new Bench();
    bench.device('key');
    const { client, pair } = bench.connect();
    for (const keysym of [0x61, 0x41, 0xff0d, 0x12345678]) {
      client.key(keysym, true);
      client.key(keysym, false);
    }
    pair.pump();
    expect(keys(bench)).toEqual(['+a', '-a', '+shift', '+a', '-shift', '-a', '+ret', '-ret']);
  });
  it('extended key events carry set-1 numbers', () => {
    const bench = new Bench();
    bench.device('key');
    const { client, pair } = bench.connect();
    client.extendedKey(0xc8, true, 0xff52);
    client.extendedKey(0xc8, false, 0xff52);
    client.extendedKey(0x2c, true, 0x79); // a German Y: the place counts, not the letter
    client.extendedKey(0x1e, true, 0x41);
    pair.pump();
    bench.input.putLedState(4);
    client.extendedKey(0x30, true, 0x42); // caps lock makes this capital
    pair.pump();
    expect(keys(bench)).toEqual(['+up', '-up', '+z', '+shift', '+a', '-shift', '+b']);
  });
  it('spaces keys in guest time', () => {
    const bench = new Bench(64, 48, { keyDelayMs: 10 });
    bench.device('key');
    const { client, pair } = bench.connect();
    client.key(0x61, true);
    client.key(0x61, false);
    pair.pump();
    expect(keys(bench)).toEqual(['+a']);
    bench.wait(15, pair);
    expect(keys(bench)).toEqual(['+a', '-a']);
  });
  it('lets go of keys and buttons when a client leaves', () => {
    const bench = new Bench();
    bench.device('key');
    bench.device('rel', 'btn');
    const { client, pair } = bench.connect();
    client.key(0xffe3, true);
    client.pointer(1, 5, 5);
    pair.pump();
    bench.events.length = 0;
    pair.client.close();
    expect(bench.events).toEqual([
      { type: 'key', key: 'ctrl', down: false },
      { type: 'btn', button: 'left', down: false },
    ]);
  });
  it('pointer: relative by difference, by extension, and absolute', () => {
    const bench = new Bench(101, 51);
    bench.device('rel', 'btn');
    const { client, pair } = bench.connect();
    client.pointer(0, 10, 10);
    client.pointer(4, 13, 8);
    client.pointer(8, 13, 8);
    pair.pump();
    expect(bench.events).toEqual([
      { type: 'rel', axis: 'x', value: 3 },
      { type: 'rel', axis: 'y', value: -2 },
      { type: 'btn', button: 'right', down: true },
      { type: 'rel', axis: 'x', value: 0 },
      { type: 'rel', axis: 'y', value: 0 },
      { type: 'btn', button: 'right', down: false },
      { type: 'btn', button: 'wheel-up', down: true },
    ]);
    bench.events.length = 0;
    client.setEncodings(-257);
    client.pointer(0, 0x7fff + 5, 0x7fff - 6);
    pair.pump();
    expect(bench.events.slice(0, 2)).toEqual([
      { type: 'rel', axis: 'x', value: 5 },
      { type: 'rel', axis: 'y', value: -6 },
    ]);
    bench.device('abs', 'btn').activate();
    bench.events.length = 0;
    client.pointer(0, 50, 500);
    pair.pump();
    expect(bench.events.slice(0, 2)).toEqual([
      { type: 'abs', axis: 'x', value: 0x4000 },
      { type: 'abs', axis: 'y', value: 0x7fff },
    ]);
  });
});

describe('hostile clients', () => {
  it.each<[string, number[]]>([
    ['an unknown message', [99]],
    ['an unknown QEMU message', [255, 7]],
    ['a colour map', [0, 0, 0, 0, 8, 8, 0, 0, ...new Array(12).fill(0)]],
    ['9 bits per pixel', [0, 0, 0, 0, 9, 8, 0, 1, ...new Array(12).fill(0)]],
    ['colours that do not fit', [0, 0, 0, 0, 8, 8, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]],
    ['four gigabytes of clipboard', [6, 0, 0, 0, 255, 255, 255, 255]],
  ])('%s ends that connection only', (_, bytes) => {
    const bench = new Bench();
    const good = bench.connect();
    const bad = bench.connect();
    bad.pair.client.write(Uint8Array.from(bytes));
    bad.pair.pump();
    expect([bad.client.isClosed, good.client.isClosed]).toEqual([true, false]);
    good.client.request(false);
    good.pair.pump();
    expect(good.client.updates).toBe(1);
  });
  it('random bytes at any stage never throw', () => {
    for (let round = 0; round < 200; round++) {
      const bench = new Bench(64, 48, { requiresPassword: round % 3 === 0 });
      bench.device('key');
      bench.device('rel', 'btn');
      const pair = streamPair();
      bench.server.addClient(pair.server, 'noise');
      if (round % 2) pair.client.write(Uint8Array.from(Buffer.from('RFB 003.008\n\x01\x01')));
      pair.client.write(Uint8Array.from({ length: 400 }, () => Math.floor(random() * (round % 5 ? 256 : 7))));
      pair.pump(1 + (round % 7));
      bench.wait(100, pair);
      expect(pair.server.queuedBytes).toBeLessThan(1_000_000);
    }
  });
  it('requests outside the screen are cut to it', () => {
    const bench = new Bench(64, 48);
    const { client, pair } = bench.connect();
    client.request(false, 60, 40, 65535, 65535);
    client.request(false, 65535, 65535, 65535, 65535);
    pair.pump();
    expect(client.isClosed).toBe(false);
  });
  it('messages may come in any pieces', () => {
    const bench = new Bench(64, 48);
    const pair = streamPair();
    const client = new RfbTestClient(pair.client, inflate);
    bench.server.addClient(pair.server, 'slow typist');
    pair.pump(1);
    client.setEncodings(16, 5, 0);
    client.request(false);
    pair.pump(1);
    expect(bench.difference(client)).toBeNull();
  });
});
