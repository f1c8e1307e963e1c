/** A small RFB client for tests, written from RFC 6143: decodes every encoding that the server sends into xRGB pixels. */
import type { ByteStream } from '../../util/byte-stream.ts';
import { ByteWriter } from '../byte-writer.ts';
import { vncAuthResponse } from '../des.ts';
import { NATIVE_FORMAT, type PixelFormat, writePixelFormat } from '../pixel-format.ts';

/** Everything that a zlib stream which goes on has given so far. */
export type InflateSoFar = (stream: Uint8Array) => Uint8Array;

export interface TestClientOptions {
  readonly version?: string;
  readonly shared?: boolean;
  readonly password?: string;
}

export class RfbTestClient {
  readonly stream: ByteStream;
  readonly options: TestClientOptions;
  serverVersion = '';
  width = 0;
  height = 0;
  name = '';
  pixels = new Uint32Array(0);
  format: PixelFormat = NATIVE_FORMAT;
  serverFormat: number[] = [];
  failure: string | null = null;
  isRunning = false;
  isClosed = false;
  /** Encoding numbers of all rectangles, in order of arrival. */
  received: number[] = [];
  updates = 0;
  bytesReceived = 0;
  leds: number | null = null;
  absolute: boolean | null = null;
  hasExtendedKeys = false;
  resizes: { reason: number; status: number; width: number; height: number }[] = [];
  cursor: { width: number; height: number; hotX: number; hotY: number; pixels: Uint32Array } | null = null;
  clipboard = '';
  #buffer = new Uint8Array(0);
  #at = 0;
  #steps: Generator<undefined, void, undefined>;
  #zlib = new Map<string, { input: Uint8Array; read: number }>();

  readonly #inflateSoFar: InflateSoFar;

  constructor(stream: ByteStream, inflateSoFar: InflateSoFar, options: TestClientOptions = {}) {
    this.stream = stream;
    this.#inflateSoFar = inflateSoFar;
    this.options = options;
    this.#steps = this.#run();
    stream.onData((bytes) => {
      this.bytesReceived += bytes.length;
      const joined = new Uint8Array(this.#buffer.length - this.#at + bytes.length);
      joined.set(this.#buffer.subarray(this.#at), 0);
      joined.set(bytes, this.#buffer.length - this.#at);
      this.#buffer = joined;
      this.#at = 0;
      this.#steps.next();
    });
    stream.onClose(() => {
      this.isClosed = true;
    });
    this.#steps.next();
  }

  send(write: (out: ByteWriter) => void): void {
    const out = new ByteWriter();
    write(out);
    this.stream.write(out.take());
  }
  setPixelFormat(format: PixelFormat): void {
    this.format = format;
    this.send((out) => writePixelFormat(out.u8(0).zeros(3), format));
  }
  setEncodings(...encodings: number[]): void {
    this.send((out) => {
      out.u8(2).u8(0).u16(encodings.length);
      for (const encoding of encodings) out.u32(encoding >>> 0);
    });
  }
  request(incremental: boolean, x = 0, y = 0, width = this.width, height = this.height): void {
    this.send((out) =>
      out
        .u8(3)
        .u8(incremental ? 1 : 0)
        .u16(x)
        .u16(y)
        .u16(width)
        .u16(height),
    );
  }
  key(keysym: number, down: boolean): void {
    this.send((out) =>
      out
        .u8(4)
        .u8(down ? 1 : 0)
        .u16(0)
        .u32(keysym),
    );
  }
  extendedKey(qnum: number, down: boolean, keysym = 0): void {
    this.send((out) =>
      out
        .u8(255)
        .u8(0)
        .u16(down ? 1 : 0)
        .u32(keysym)
        .u32(qnum),
    );
  }
  pointer(buttons: number, x: number, y: number): void {
    this.send((out) => out.u8(5).u8(buttons).u16(x).u16(y));
  }

  // ---- reading: generators wait for bytes by yielding

  *#need(count: number): Generator<undefined, Uint8Array, undefined> {
    while (this.#buffer.length - this.#at < count) yield;
    this.#at += count;
    return this.#buffer.slice(this.#at - count, this.#at);
  }
  *#number(bytes: number): Generator<undefined, number, undefined> {
    let value = 0;
    for (const byte of yield* this.#need(bytes)) value = value * 256 + byte;
    return value;
  }
  *#text(length: number): Generator<undefined, string, undefined> {
    return String.fromCharCode(...(yield* this.#need(length)));
  }

  *#run(): Generator<undefined, void, undefined> {
    this.serverVersion = yield* this.#text(12);
    const version = this.options.version ?? '003.008';
    this.stream.write(Uint8Array.from(`RFB ${version}\n`, (character) => character.charCodeAt(0)));
    const minor = Number(version.slice(4));
    let type: number;
    if (minor < 7) {
      type = yield* this.#number(4);
    } else {
      const types = yield* this.#need(yield* this.#number(1));
      type = types[0]!;
      this.stream.write(Uint8Array.of(type));
    }
    if (type === 2) {
      const challenge = yield* this.#need(16);
      this.stream.write(vncAuthResponse(this.options.password ?? '', challenge));
    }
    if (type === 2 || minor >= 8) {
      if (yield* this.#number(4)) {
        this.failure = minor >= 8 ? yield* this.#text(yield* this.#number(4)) : '';
        return;
      }
    }
    this.stream.write(Uint8Array.of(this.options.shared === false ? 0 : 1));
    this.#resize(yield* this.#number(2), yield* this.#number(2));
    this.serverFormat = [...(yield* this.#need(16))];
    this.name = yield* this.#text(yield* this.#number(4));
    this.isRunning = true;
    for (;;) yield* this.#message();
  }
  #resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height).fill(0xdead);
  }
  *#message(): Generator<undefined, void, undefined> {
    const type = yield* this.#number(1);
    if (type === 3) {
      yield* this.#need(3);
      this.clipboard = yield* this.#text(yield* this.#number(4));
      return;
    }
    if (type !== 0) throw new Error(`server message ${type}`);
    yield* this.#need(1);
    const count = yield* this.#number(2);
    for (let i = 0; i < count; i++) yield* this.#rect();
    this.updates++;
  }
  *#rect(): Generator<undefined, void, undefined> {
    const x = yield* this.#number(2);
    const y = yield* this.#number(2);
    const width = yield* this.#number(2);
    const height = yield* this.#number(2);
    const encoding = (yield* this.#number(4)) | 0;
    this.received.push(encoding);
    switch (encoding) {
      case 0:
        for (let row = 0; row < height; row++) {
          for (let column = 0; column < width; column++) this.#set(x + column, y + row, yield* this.#pixel());
        }
        return;
      case 1: {
        const fromX = yield* this.#number(2);
        const fromY = yield* this.#number(2);
        const copy = this.pixels.slice();
        for (let row = 0; row < height; row++) {
          for (let column = 0; column < width; column++) {
            this.#set(x + column, y + row, copy[(fromY + row) * this.width + fromX + column]!);
          }
        }
        return;
      }
      case 5:
        return yield* this.#hextile(x, y, width, height);
      case 7:
        return yield* this.#tight(x, y, width, height);
      case 16:
        return this.#zrle(x, y, width, height, this.#inflate('zrle', yield* this.#need(yield* this.#number(4))));
      case -223:
        this.#resize(width, height);
        return;
      case -239: {
        const pixels = new Uint32Array(width * height);
        for (let i = 0; i < pixels.length; i++) pixels[i] = yield* this.#pixel();
        const stride = Math.ceil(width / 8);
        const mask = yield* this.#need(stride * height);
        pixels.forEach((pixel, i) => {
          const bit = (mask[Math.floor(i / width) * stride + ((i % width) >> 3)]! << ((i % width) & 7)) & 0x80;
          pixels[i] = bit ? (pixel | 0xff000000) >>> 0 : 0;
        });
        this.cursor = { width, height, hotX: x, hotY: y, pixels };
        return;
      }
      case -314: {
        if ((yield* this.#number(4)) !== 0) throw new Error('alpha cursor not raw');
        const bytes = yield* this.#need(width * height * 4);
        const pixels = Uint32Array.from({ length: width * height }, (_, i) => {
          const [r, g, b, a] = bytes.subarray(i * 4, i * 4 + 4) as unknown as [number, number, number, number];
          return ((a << 24) | (r << 16) | (g << 8) | b) >>> 0;
        });
        this.cursor = { width, height, hotX: x, hotY: y, pixels };
        return;
      }
      case -257:
        this.absolute = x === 1;
        return;
      case -258:
        this.hasExtendedKeys = true;
        return;
      case -261:
        this.leds = yield* this.#number(1);
        return;
      case -308: {
        const screens = yield* this.#number(1);
        yield* this.#need(3 + screens * 16);
        this.resizes.push({ reason: x, status: y, width, height });
        if (width !== this.width || height !== this.height) this.#resize(width, height);
        return;
      }
      default:
        throw new Error(`encoding ${encoding}`);
    }
  }

  #set(x: number, y: number, rgb: number): void {
    if (x >= this.width || y >= this.height) throw new Error('pixel outside the screen');
    this.pixels[y * this.width + x] = rgb;
  }
  #rgb(value: number): number {
    const { redMax, greenMax, blueMax, redShift, greenShift, blueShift } = this.format;
    const level = (max: number, shift: number) => Math.round((((value >>> shift) & max) * 255) / max);
    return (level(redMax, redShift) << 16) | (level(greenMax, greenShift) << 8) | level(blueMax, blueShift);
  }
  #fromBytes(bytes: Uint8Array): number {
    const ordered = this.format.bigEndian ? bytes : bytes.slice().reverse();
    return this.#rgb(ordered.reduce((value, byte) => value * 256 + byte, 0) >>> 0);
  }
  *#pixel(): Generator<undefined, number, undefined> {
    return this.#fromBytes(yield* this.#need(this.format.bitsPerPixel / 8));
  }
  *#hextile(x0: number, y0: number, width: number, height: number): Generator<undefined, void, undefined> {
    let background = 0;
    let foreground = 0;
    for (let y = 0; y < height; y += 16) {
      for (let x = 0; x < width; x += 16) {
        const w = Math.min(16, width - x);
        const h = Math.min(16, height - y);
        const fill = (fx: number, fy: number, fw: number, fh: number, rgb: number) => {
          for (let row = 0; row < fh; row++)
            for (let c = 0; c < fw; c++) this.#set(x0 + x + fx + c, y0 + y + fy + row, rgb);
        };
        const flags = yield* this.#number(1);
        if (flags & 1) {
          for (let row = 0; row < h; row++) {
            for (let c = 0; c < w; c++) this.#set(x0 + x + c, y0 + y + row, yield* this.#pixel());
          }
          continue;
        }
        if (flags & 2) background = yield* this.#pixel();
        if (flags & 4) foreground = yield* this.#pixel();
        fill(0, 0, w, h, background);
        if (!(flags & 8)) continue;
        for (let n = yield* this.#number(1); n > 0; n--) {
          const rgb = flags & 16 ? yield* this.#pixel() : foreground;
          const at = yield* this.#number(1);
          const size = yield* this.#number(1);
          fill(at >> 4, at & 15, (size >> 4) + 1, (size & 15) + 1, rgb);
        }
      }
    }
  }
  #inflate(stream: string, bytes: Uint8Array): Uint8Array {
    const state = this.#zlib.get(stream) ?? { input: new Uint8Array(0), read: 0 };
    this.#zlib.set(stream, state);
    const joined = new Uint8Array(state.input.length + bytes.length);
    joined.set(state.input, 0);
    joined.set(bytes, state.input.length);
    state.input = joined;
    const all = this.#inflateSoFar(joined);
    const fresh = all.slice(state.read);
    state.read = all.length;
    return fresh;
  }
  /** CPIXEL: three bytes when the fourth is never used. */
  #cpixel(data: Uint8Array, at: number): { rgb: number; next: number } {
    const { bitsPerPixel, depth, bigEndian, redMax, greenMax, blueMax, redShift, greenShift, blueShift } = this.format;
    const bits = (redMax * 2 ** redShift + greenMax * 2 ** greenShift + blueMax * 2 ** blueShift) >>> 0;
    if (bitsPerPixel !== 32 || depth > 24 || (bits >>> 24 && bits & 0xff)) {
      const size = bitsPerPixel / 8;
      return { rgb: this.#fromBytes(data.slice(at, at + size)), next: at + size };
    }
    const three = [...data.slice(at, at + 3)];
    const low = bits >>> 24 === 0;
    const four = low === bigEndian ? [0, ...three] : [...three, 0];
    return { rgb: this.#fromBytes(Uint8Array.from(four)), next: at + 3 };
  }
  #zrle(x0: number, y0: number, width: number, height: number, data: Uint8Array): void {
    let at = 0;
    const cpixel = () => {
      const { rgb, next } = this.#cpixel(data, at);
      at = next;
      return rgb;
    };
    const runLength = () => {
      let length = 1;
      for (;;) {
        const byte = data[at++]!;
        length += byte;
        if (byte !== 255) return length;
      }
    };
    for (let y = 0; y < height; y += 64) {
      for (let x = 0; x < width; x += 64) {
        const w = Math.min(64, width - x);
        const h = Math.min(64, height - y);
        const put = (i: number, rgb: number) => this.#set(x0 + x + (i % w), y0 + y + Math.floor(i / w), rgb);
        const mode = data[at++]!;
        if (mode === 0) for (let i = 0; i < w * h; i++) put(i, cpixel());
        else if (mode === 1) {
          const rgb = cpixel();
          for (let i = 0; i < w * h; i++) put(i, rgb);
        } else if (mode <= 16) {
          const palette = Array.from({ length: mode }, cpixel);
          const bits = mode <= 2 ? 1 : mode <= 4 ? 2 : 4;
          for (let row = 0; row < h; row++) {
            for (let c = 0; c < w; c++) {
              const byte = data[at + ((c * bits) >> 3)]!;
              put(row * w + c, palette[(byte >> (8 - bits - ((c * bits) & 7))) & ((1 << bits) - 1)]!);
            }
            at += Math.ceil((w * bits) / 8);
          }
        } else if (mode === 128) {
          for (let i = 0; i < w * h; ) {
            const rgb = cpixel();
            for (let n = runLength(); n > 0; n--) put(i++, rgb);
          }
        } else if (mode >= 130) {
          const palette = Array.from({ length: mode - 128 }, cpixel);
          for (let i = 0; i < w * h; ) {
            const index = data[at++]!;
            const rgb = palette[index & 0x7f]!;
            for (let n = index & 0x80 ? runLength() : 1; n > 0; n--) put(i++, rgb);
          }
        } else throw new Error(`ZRLE mode ${mode}`);
      }
    }
    if (at !== data.length) throw new Error('ZRLE data left over');
  }
  *#tpixel(): Generator<undefined, number, undefined> {
    return this.#tpixelOf(yield* this.#need(this.#tpixelSize));
  }
  get #tpixelSize(): number {
    const { bitsPerPixel, depth, redMax, greenMax, blueMax } = this.format;
    return bitsPerPixel === 32 && depth === 24 && redMax === 255 && greenMax === 255 && blueMax === 255
      ? 3
      : bitsPerPixel / 8;
  }
  #tpixelOf(bytes: Uint8Array): number {
    return bytes.length === 3 ? (bytes[0]! << 16) | (bytes[1]! << 8) | bytes[2]! : this.#fromBytes(bytes);
  }
  *#tight(x: number, y: number, width: number, height: number): Generator<undefined, void, undefined> {
    if (width > 2048) throw new Error('Tight rectangle too wide');
    const control = yield* this.#number(1);
    if (control & 0x0f) throw new Error('stream reset not expected');
    const put = (i: number, rgb: number) => this.#set(x + (i % width), y + Math.floor(i / width), rgb);
    if (control >> 4 === 8) {
      const rgb = yield* this.#tpixel();
      for (let i = 0; i < width * height; i++) put(i, rgb);
      return;
    }
    if (control & 0x80) throw new Error(`Tight control ${control}`);
    const filter = control & 0x40 ? yield* this.#number(1) : 0;
    const palette: number[] = [];
    if (filter === 1) for (let n = (yield* this.#number(1)) + 1; n > 0; n--) palette.push(yield* this.#tpixel());
    else if (filter !== 0) throw new Error(`Tight filter ${filter}`);
    const size = this.#tpixelSize;
    const rowBytes = filter === 0 ? width * size : palette.length <= 2 ? Math.ceil(width / 8) : width;
    const length = rowBytes * height;
    let data: Uint8Array;
    if (length < 12) data = yield* this.#need(length);
    else {
      let compressed = 0;
      for (let shift = 0; shift <= 14; shift += 7) {
        const byte = yield* this.#number(1);
        compressed |= (shift === 14 ? byte : byte & 0x7f) << shift;
        if (!(byte & 0x80)) break;
      }
      data = this.#inflate(`tight${(control >> 4) & 3}`, yield* this.#need(compressed));
    }
    if (data.length !== length) throw new Error(`Tight data ${data.length}, not ${length}`);
    for (let i = 0; i < width * height; i++) {
      if (filter === 0) put(i, this.#tpixelOf(data.slice(i * size, i * size + size)));
      else if (palette.length > 2) put(i, palette[data[i]!]!);
      else
        put(i, palette[(data[Math.floor(i / width) * rowBytes + ((i % width) >> 3)]! >> (7 - ((i % width) & 7))) & 1]!);
    }
  }
}
