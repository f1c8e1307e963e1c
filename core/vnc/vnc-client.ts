/** One RFB connection (RFC 6143 and the community's rfbproto for extensions): handshake, messages in, updates out. */
import type { CursorImage } from '../backends/display/console.ts';
import { clipRect, type Rect } from '../backends/display/surface.ts';
import { type InputButton, KeyState, LED } from '../backends/input/input-core.ts';
import { keyOfKeysym, keyOfQnum, type QKeyCode } from '../backends/input/qkeycodes.ts';
import { ByteQueue } from '../util/byte-queue.ts';
import type { ByteStream } from '../util/byte-stream.ts';
import { ByteWriter } from './byte-writer.ts';
import { vncAuthResponse } from './des.ts';
import { DirtyTiles } from './dirty-tiles.ts';
import { ClientStreams, ENCODING, type RectEncoder } from './encodings/encoding.ts';
import { encodeHextile } from './encodings/hextile.ts';
import { encodeRaw } from './encodings/raw.ts';
import { encodeTight, TIGHT_MAX_AREA, TIGHT_MAX_WIDTH } from './encodings/tight.ts';
import { encodeZrle } from './encodings/zrle.ts';
import { NATIVE_FORMAT, PixelTranslator, readPixelFormat, writePixelFormat } from './pixel-format.ts';
import type { ScreenChanges, ScreenTracker, Scroll } from './screen-tracker.ts';
import type { VncServer } from './vnc-server.ts';

/** Longer clipboards end the connection. */
const MAX_CUT_TEXT = 1024 * 1024;
/** With more than this waiting in the stream, nothing is encoded: a slow client sees fewer pictures, not later ones. */
const QUEUE_LIMIT = 256 * 1024;
/** An update that has become this long is sent; the rest waits for the next request. */
const UPDATE_LIMIT = 32 * 1024 * 1024;
/** What may arrive while an answer is held back. */
const MAX_WAITING_INPUT = 64 * 1024;
/** Copies of scrolled text that may wait for one client. */
const MAX_SCROLLS = 8;
/** Handshakes that take longer are ended. */
export const HANDSHAKE_LIMIT_NS = 60_000_000_000;

const ENCODERS = new Map<number, RectEncoder>([
  [ENCODING.raw, encodeRaw],
  [ENCODING.hextile, encodeHextile],
  [ENCODING.tight, encodeTight],
  [ENCODING.zrle, encodeZrle],
]);

const BUTTONS: readonly InputButton[] = [
  'left',
  'middle',
  'right',
  'wheel-up',
  'wheel-down',
  'wheel-left',
  'wheel-right',
];

const SECURITY = { none: 1, vncAuth: 2 } as const;

/** ExtendedDesktopSize: why it is sent, and how a request went. */
const RESIZE_REASON = { server: 0, thisClient: 1 } as const;
const RESIZE_STATUS = { none: 0, invalidLayout: 3, forwarded: 4 } as const;

/** What happens when the next `count` bytes are there. */
interface Expectation {
  readonly count: number;
  readonly take: (bytes: Uint8Array) => void;
}

/** The peer broke the protocol: its connection ends, nothing else. */
class ProtocolError extends Error {}

export type ClientPhase = 'handshake' | 'running' | 'closed';

export class VncClient {
  readonly peer: string;
  readonly isWebSocket: boolean;
  readonly #server: VncServer;
  readonly #stream: ByteStream;
  readonly #keys: KeyState;
  readonly #out = new ByteWriter();
  readonly #scratch = new ByteWriter();
  readonly #streams: ClientStreams;

  phase: ClientPhase = 'handshake';
  /** Logged in; may still be before ClientInit. */
  isAuthenticated = false;
  isShared = false;
  #minor = 8;
  #challenge: Uint8Array | null = null;

  readonly #input = new ByteQueue();
  #expect: Expectation;
  #parsing = false;

  #translator = new PixelTranslator(NATIVE_FORMAT);
  #encodings: ReadonlySet<number> = new Set();
  #encoding: number = ENCODING.raw;

  #width = 0;
  #height = 0;
  #dirty = new DirtyTiles(1, 1);
  #scrolls: Scroll[] = [];
  #request: { region: Rect; incremental: boolean } | null = null;

  #sizePending = false;
  #resizeReply: { reason: number; status: number } | null = null;
  #cursorPending = false;
  #ledPending = false;
  #modePending = false;
  #keyExtensionPending = false;

  #buttons = 0;
  #lastX = -1;
  #lastY = -1;

  constructor(server: VncServer, stream: ByteStream, peer: string, isWebSocket: boolean) {
    this.#server = server;
    this.#stream = stream;
    this.peer = peer;
    this.isWebSocket = isWebSocket;
    this.#keys = new KeyState(server.input);
    this.#streams = new ClientStreams(server.compression);
    this.#expect = { count: 12, take: (bytes) => this.#takeVersion(bytes) };
    stream.onData((bytes) => this.#receive(bytes));
    stream.onDrain(() => this.trySendUpdate());
    stream.onClose(() => this.#closed());
    this.#out.raw(Uint8Array.from('RFB 003.008\n', (c) => c.charCodeAt(0)));
    this.#flush();
  }

  close(): void {
    if (this.phase === 'closed') return;
    this.#stream.close();
    this.#closed();
  }
  /** The client has asked for a picture and waits. */
  get wantsUpdate(): boolean {
    return this.#request !== null;
  }

  #closed(): void {
    if (this.phase === 'closed') return;
    const wasRunning = this.phase === 'running';
    this.phase = 'closed';
    this.#input.clear();
    this.#keys.releaseAll();
    if (wasRunning && this.#buttons) this.#releaseButtons();
    this.#server.clientClosed(this);
  }
  #flush(): void {
    if (this.#out.length) this.#stream.write(this.#out.take());
  }

  // ---- bytes in

  #receive(bytes: Uint8Array): void {
    if (this.phase === 'closed' || bytes.length === 0) return;
    this.#input.push(bytes);
    this.#parse();
    if (this.#expect.count === Infinity && this.#input.length > MAX_WAITING_INPUT) this.close();
  }
  #parse(): void {
    if (this.#parsing) return; // a message that is being handled will come back here
    this.#parsing = true;
    try {
      while (this.phase !== 'closed' && this.#input.length >= this.#expect.count) {
        const { count, take } = this.#expect;
        take(this.#input.take(count));
      }
      this.#flush();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#server.log(`${this.peer}: ${error.message}`);
      this.#flush();
      this.close();
    } finally {
      this.#parsing = false;
    }
  }
  #await(count: number, take: (bytes: Uint8Array) => void): void {
    this.#expect = { count, take };
  }

  // ---- handshake

  #takeVersion(bytes: Uint8Array): void {
    const match = /^RFB (\d{3})\.(\d{3})\n$/.exec(String.fromCharCode(...bytes));
    const minor = Number(match?.[2]);
    if (!match || Number(match[1]) !== 3 || ![3, 4, 5, 7, 8].includes(minor)) {
      throw new ProtocolError('unknown protocol version');
    }
    this.#minor = minor < 7 ? 3 : minor; // 4 and 5 were announced by clients that speak 3.3
    const type = this.#server.needsPassword ? SECURITY.vncAuth : SECURITY.none;
    if (this.#minor === 3) {
      this.#out.u32(type);
      this.#startSecurity(type);
    } else {
      this.#out.u8(1).u8(type);
      this.#await(1, ([chosen]) => {
        if (chosen !== type) {
          this.#fail('Authentication failed');
          throw new ProtocolError('security type that was not offered');
        }
        this.#startSecurity(type);
      });
    }
  }
  #startSecurity(type: number): void {
    if (type === SECURITY.none) {
      if (this.#minor >= 8) this.#out.u32(0);
      this.#loggedIn();
      return;
    }
    this.#challenge = this.#server.randomBytes(16);
    this.#out.raw(this.#challenge);
    this.#await(16, (response) => this.#takeResponse(response.slice()));
  }
  #takeResponse(response: Uint8Array): void {
    const password = this.#server.currentPassword();
    const expected = password === null ? null : vncAuthResponse(password, this.#challenge!);
    this.#challenge = null;
    let difference = expected ? 0 : 1;
    expected?.forEach((byte, i) => {
      difference |= byte ^ response[i]!;
    });
    const finish = () => {
      if (difference === 0) {
        this.#server.passwordAccepted();
        this.#out.u32(0);
        this.#loggedIn();
        return;
      }
      this.#fail('Authentication failed');
      throw new ProtocolError('wrong password');
    };
    const delayNs = difference === 0 ? 0 : this.#server.passwordRefused();
    if (delayNs === 0) {
      finish();
      return;
    }
    // Nothing is read from a guesser until the penalty is over.
    this.#await(Infinity, () => {});
    this.#server.after(delayNs, () => {
      if (this.phase === 'closed') return;
      this.#await(0, finish);
      this.#parse();
    });
  }
  #fail(reason: string): void {
    this.#out.u32(1);
    if (this.#minor >= 8) this.#out.text(reason);
  }
  #loggedIn(): void {
    this.isAuthenticated = true;
    this.#await(1, ([shared]) => {
      this.isShared = shared !== 0;
      if (!this.#server.admit(this)) throw new ProtocolError('not admitted beside other clients');
      this.#server.readSurface(); // nobody may have looked since the guest changed its mode
      const { tracker } = this.#server;
      this.#setSize(tracker);
      this.#out.u16(this.#width).u16(this.#height);
      writePixelFormat(this.#out, NATIVE_FORMAT);
      this.#out.text(this.#server.name);
      this.phase = 'running';
      this.#awaitMessage();
      this.#server.clientRunning(this);
    });
  }

  // ---- messages

  #awaitMessage(): void {
    this.#await(1, ([type]) => this.#message(type!));
  }
  /** Waits for the rest of a message, then for the next. */
  #rest(count: number, take: (bytes: Uint8Array) => void): void {
    this.#await(count, (bytes) => {
      this.#awaitMessage();
      take(bytes);
    });
  }
  #message(type: number): void {
    switch (type) {
      case 0:
        this.#rest(19, (bytes) => this.#setPixelFormat(bytes.subarray(3)));
        break;
      case 2:
        this.#await(3, (head) => this.#rest(u16(head, 1) * 4, (bytes) => this.#setEncodings(bytes)));
        break;
      case 3:
        this.#rest(9, (bytes) => this.#updateRequest(bytes));
        break;
      case 4:
        this.#rest(7, (bytes) => this.#keysymEvent(u32(bytes, 3), bytes[0] !== 0));
        break;
      case 5:
        this.#rest(5, (bytes) => this.#pointerEvent(bytes[0]!, u16(bytes, 1), u16(bytes, 3)));
        break;
      case 6:
        this.#await(7, (head) => {
          const length = u32(head, 3);
          if (length > MAX_CUT_TEXT) throw new ProtocolError('clipboard text too long');
          this.#rest(length, (bytes) => this.#server.cutText(latin1(bytes)));
        });
        break;
      case 251:
        this.#await(7, (head) => this.#rest(head[5]! * 16, (screens) => this.#setDesktopSize(head, screens)));
        break;
      case 255:
        this.#await(1, ([sub]) => {
          if (sub !== 0) throw new ProtocolError(`unknown QEMU message ${sub}`);
          this.#rest(10, (bytes) => this.#extendedKey(u16(bytes, 0) !== 0, u32(bytes, 2), u32(bytes, 6)));
        });
        break;
      default:
        throw new ProtocolError(`unknown message ${type}`);
    }
  }
  #setPixelFormat(bytes: Uint8Array): void {
    const format = readPixelFormat(bytes);
    if (!format) throw new ProtocolError('pixel format that cannot be given');
    this.#translator = new PixelTranslator(format);
    this.#dirty.markAll();
    this.#cursorPending = this.#server.cursor !== null;
  }
  #setEncodings(bytes: Uint8Array): void {
    const list = Array.from({ length: bytes.length / 4 }, (_, i) => u32(bytes, i * 4) | 0);
    this.#encodings = new Set(list);
    this.#encoding = list.find((encoding) => ENCODERS.has(encoding)) ?? ENCODING.raw;
    const level = list.find((encoding) => encoding >= ENCODING.compressLevel0 && encoding <= ENCODING.compressLevel9);
    if (level !== undefined) this.#streams.level = level - ENCODING.compressLevel0;
    this.#sizePending ||= this.#can('extendedDesktopSize');
    this.#cursorPending = this.#server.cursor !== null;
    this.#ledPending = true;
    this.#modePending = true;
    this.#keyExtensionPending = this.#can('extendedKeyEvent');
  }
  #can(name: keyof typeof ENCODING): boolean {
    return this.#encodings.has(ENCODING[name]);
  }
  #updateRequest(bytes: Uint8Array): void {
    const incremental = bytes[0] !== 0;
    const asked = { x: u16(bytes, 1), y: u16(bytes, 3), width: u16(bytes, 5), height: u16(bytes, 7) };
    const region = clipRect(asked, this.#width, this.#height) ?? { x: 0, y: 0, width: 0, height: 0 };
    if (!incremental) this.#dirty.mark(region);
    // Requests that were not answered yet join: the answer may cover both.
    this.#request = {
      region: this.#request ? unite(this.#request.region, region) : region,
      incremental: incremental && (this.#request?.incremental ?? true),
    };
    this.#server.wake();
    this.#server.refreshIfStale();
    this.trySendUpdate();
  }
  #keysymEvent(keysym: number, down: boolean): void {
    const found = keyOfKeysym(keysym);
    if (found) this.#type(found.key, keysym, down);
  }
  #extendedKey(down: boolean, keysym: number, qnum: number): void {
    const key = keyOfQnum(qnum & 0xff);
    if (key === 'unmapped') this.#keysymEvent(keysym, down);
    else this.#type(key, keysym, down);
  }
  /** A client that sends "A" without shift (a touch keyboard, a script) means shift and the key. */
  #type(key: QKeyCode, keysym: number, down: boolean): void {
    const found = keyOfKeysym(keysym);
    const isLetter = key.length === 1 && key >= 'a' && key <= 'z';
    const capsDoes = isLetter && (this.#server.input.ledState & LED.capsLock) !== 0;
    const needsShift = down && found?.key === key && found.shift && keysym < 0x100 && !this.#keys.shift && !capsDoes;
    if (needsShift) this.#keys.key('shift', true);
    this.#key(() => this.#keys.key(key, down));
    if (needsShift) this.#keys.key('shift', false);
  }
  #key(give: () => void): void {
    give();
    const delay = this.#server.keyDelayMs;
    if (delay > 0) this.#server.input.delayKeys(delay);
    this.#server.wake();
  }
  #pointerEvent(buttons: number, x: number, y: number): void {
    const { input } = this.#server;
    const changed = buttons ^ this.#buttons;
    this.#buttons = buttons;
    if (input.isAbsolute) {
      input.sendAbs('x', x, this.#width);
      input.sendAbs('y', y, this.#height);
    } else if (this.#can('pointerTypeChange')) {
      input.sendRel('x', x - 0x7fff);
      input.sendRel('y', y - 0x7fff);
    } else if (this.#lastX >= 0) {
      input.sendRel('x', x - this.#lastX);
      input.sendRel('y', y - this.#lastY);
    }
    this.#lastX = x;
    this.#lastY = y;
    BUTTONS.forEach((button, bit) => {
      if (changed & (1 << bit)) input.sendButton(button, (buttons & (1 << bit)) !== 0);
    });
    input.sync();
    this.#server.wake();
  }
  #releaseButtons(): void {
    const { input } = this.#server;
    BUTTONS.forEach((button, bit) => {
      if (this.#buttons & (1 << bit)) input.sendButton(button, false);
    });
    this.#buttons = 0;
    input.sync();
  }
  #setDesktopSize(head: Uint8Array, screens: Uint8Array): void {
    const width = u16(head, 1);
    const height = u16(head, 3);
    const accepted = width > 0 && height > 0 && screens.length > 0 && this.#server.requestSize(width, height);
    this.#resizeReply = {
      reason: RESIZE_REASON.thisClient,
      status: accepted ? RESIZE_STATUS.forwarded : RESIZE_STATUS.invalidLayout,
    };
    this.trySendUpdate();
  }

  // ---- what the server tells

  sizeChanged(tracker: ScreenTracker): void {
    if (this.phase !== 'running') return;
    if (this.#can('extendedDesktopSize') || this.#can('desktopSize')) {
      this.#setSize(tracker);
      this.#sizePending = true;
    } else {
      // Such a client keeps the size that it was told at first and sees the part that fits.
      this.#dirty.markAll();
      this.#scrolls = [];
    }
  }
  changed(changes: ScreenChanges): void {
    if (this.phase !== 'running') return;
    const { scroll } = changes;
    const { tracker } = this.#server;
    const fits = tracker.width === this.#width && tracker.height === this.#height;
    const copies = scroll && fits && this.#can('copyRect') && this.#dirty.count === 0 && !this.#sizePending;
    if (copies && this.#scrolls.length < MAX_SCROLLS) {
      this.#scrolls.push(scroll);
      this.#markTiles(changes.remaining, tracker);
    } else {
      this.#markTiles(changes.changed, tracker);
    }
  }
  cursorChanged(): void {
    this.#cursorPending = true;
    this.trySendUpdate();
  }
  ledsChanged(): void {
    this.#ledPending = true;
    this.trySendUpdate();
  }
  mouseModeChanged(): void {
    this.#modePending = true;
    this.#lastX = -1;
    this.trySendUpdate();
  }
  /** The guest (or a person) has something for the client's clipboard. */
  sendCutText(text: string): void {
    if (this.phase !== 'running' || this.#stream.queuedBytes > QUEUE_LIMIT) return;
    const bytes = Uint8Array.from(text.slice(0, MAX_CUT_TEXT), (character) => Math.min(character.charCodeAt(0), 0xff));
    this.#out.u8(3).zeros(3).u32(bytes.length).raw(bytes);
    this.#flush();
  }

  #setSize(tracker: ScreenTracker): void {
    this.#width = Math.min(tracker.width, 0xffff);
    this.#height = Math.min(tracker.height, 0xffff);
    this.#dirty = new DirtyTiles(this.#width, this.#height);
    this.#dirty.markAll();
    this.#scrolls = [];
    this.#request = this.#request && { region: this.#whole(), incremental: this.#request.incremental };
  }
  #whole(): Rect {
    return { x: 0, y: 0, width: this.#width, height: this.#height };
  }
  #markTiles(tiles: readonly number[], tracker: ScreenTracker): void {
    const columns = Math.ceil(tracker.width / 16);
    if (columns === this.#dirty.columns) {
      for (const tile of tiles) if (tile < this.#dirty.marks.length) this.#dirty.markTile(tile);
    } else {
      for (const tile of tiles) {
        this.#dirty.mark({ x: (tile % columns) * 16, y: Math.floor(tile / columns) * 16, width: 16, height: 16 });
      }
    }
  }

  // ---- updates out

  /** Answers the client's request if there is something to say and room to say it. */
  trySendUpdate(): void {
    const request = this.#request;
    if (this.phase !== 'running' || !request || !this.#server.tracker.isReady || this.#stream.queuedBytes > QUEUE_LIMIT)
      return;
    const hasPixels = this.#scrolls.length > 0 || this.#dirty.touches(request.region);
    if (!hasPixels && !this.#hasNews() && request.incremental) return;
    this.#request = null;

    const out = this.#out;
    out.u8(0).u8(0);
    const countAt = out.length;
    out.u16(0);
    const start = out.length;
    let count = 0;
    const header = (rect: Rect, encoding: number) => {
      count++;
      out.u16(rect.x).u16(rect.y).u16(rect.width).u16(rect.height).u32(encoding);
    };

    const resized = this.#sizePending;
    this.#putNews(header);
    if (!(resized && !this.#can('extendedDesktopSize'))) {
      // After DesktopSize nothing may follow in the same update.
      for (const { rect, fromY } of this.#scrolls) {
        header(rect, ENCODING.copyRect);
        out.u16(rect.x).u16(fromY);
      }
      this.#scrolls = [];
      const { width, height } = this.#server.tracker;
      this.#dirty.take(request.region, (taken) => {
        const rect = clipRect(taken, width, height);
        if (rect) for (const part of this.#cut(rect)) this.#putPixels(part, header);
        return count < 0xf000 && out.length - start < UPDATE_LIMIT;
      });
    }
    out.patchU16(countAt, count);
    this.#flush();
  }
  #hasNews(): boolean {
    return (
      this.#sizePending ||
      (this.#resizeReply !== null && this.#can('extendedDesktopSize')) ||
      (this.#cursorPending && (this.#can('cursor') || this.#can('alphaCursor'))) ||
      (this.#ledPending && this.#can('ledState')) ||
      (this.#modePending && this.#can('pointerTypeChange')) ||
      this.#keyExtensionPending
    );
  }
  #putNews(header: (rect: Rect, encoding: number) => void): void {
    const out = this.#out;
    const nowhere = { x: 0, y: 0, width: 0, height: 0 };
    if (this.#keyExtensionPending) header(nowhere, ENCODING.extendedKeyEvent);
    if (this.#modePending && this.#can('pointerTypeChange')) {
      header({ ...nowhere, x: this.#server.input.isAbsolute ? 1 : 0 }, ENCODING.pointerTypeChange);
    }
    if (this.#ledPending && this.#can('ledState')) {
      header(nowhere, ENCODING.ledState);
      out.u8(this.#server.input.ledState);
    }
    if (this.#cursorPending) this.#putCursor(this.#server.cursor, header);
    const size = { width: this.#width, height: this.#height };
    if (this.#can('extendedDesktopSize')) {
      const replies = this.#resizeReply ? [this.#resizeReply] : [];
      if (this.#sizePending) replies.push({ reason: RESIZE_REASON.server, status: RESIZE_STATUS.none });
      for (const { reason, status } of replies) {
        header({ x: reason, y: status, ...size }, ENCODING.extendedDesktopSize);
        out.u8(1).zeros(3).u32(0).u16(0).u16(0).u16(size.width).u16(size.height).u32(0);
      }
    } else if (this.#sizePending && this.#can('desktopSize')) {
      header({ x: 0, y: 0, ...size }, ENCODING.desktopSize);
    }
    this.#keyExtensionPending = this.#modePending = this.#ledPending = this.#cursorPending = this.#sizePending = false;
    this.#resizeReply = null;
  }
  #putCursor(cursor: CursorImage | null, header: (rect: Rect, encoding: number) => void): void {
    const { width, height, hotX, hotY, pixels } = cursor ?? {
      width: 0,
      height: 0,
      hotX: 0,
      hotY: 0,
      pixels: new Uint32Array(0),
    };
    const rect = { x: hotX, y: hotY, width, height };
    const out = this.#out;
    if (this.#can('alphaCursor')) {
      header(rect, ENCODING.alphaCursor);
      out.u32(ENCODING.raw);
      for (const pixel of pixels) {
        const alpha = pixel >>> 24;
        const premultiplied = (shift: number) => Math.round((((pixel >>> shift) & 0xff) * alpha) / 255);
        out.u8(premultiplied(16)).u8(premultiplied(8)).u8(premultiplied(0)).u8(alpha);
      }
    } else if (this.#can('cursor')) {
      header(rect, ENCODING.cursor);
      this.#translator.putAll(out, this.#translator.translate(pixels, width, { x: 0, y: 0, width, height }));
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x += 8) {
          let byte = 0;
          for (let bit = 0; bit < 8 && x + bit < width; bit++)
            if (pixels[y * width + x + bit]! >>> 31) byte |= 0x80 >> bit;
          out.u8(byte);
        }
      }
    }
  }
  *#cut(rect: Rect): Iterable<Rect> {
    if (this.#encoding !== ENCODING.tight) return void (yield rect);
    const width = Math.min(rect.width, TIGHT_MAX_WIDTH);
    const height = Math.max(1, Math.min(rect.height, Math.floor(TIGHT_MAX_AREA / width)));
    for (let y = 0; y < rect.height; y += height) {
      for (let x = 0; x < rect.width; x += width) {
        yield {
          x: rect.x + x,
          y: rect.y + y,
          width: Math.min(width, rect.width - x),
          height: Math.min(height, rect.height - y),
        };
      }
    }
  }
  #putPixels(rect: Rect, header: (rect: Rect, encoding: number) => void): void {
    const { tracker } = this.#server;
    const values = this.#translator.translate(tracker.pixels, tracker.width, rect);
    header(rect, this.#encoding);
    const context = { translator: this.#translator, streams: this.#streams, out: this.#out, scratch: this.#scratch };
    ENCODERS.get(this.#encoding)!({ values, width: rect.width, height: rect.height }, context);
  }
}

const u16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
const u32 = (bytes: Uint8Array, at: number) => u16(bytes, at) * 0x1_0000 + u16(bytes, at + 2);

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function unite(a: Rect, b: Rect): Rect {
  if (a.width === 0 || a.height === 0) return b;
  if (b.width === 0 || b.height === 0) return a;
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  return {
    x,
    y,
    width: Math.max(a.x + a.width, b.x + b.width) - x,
    height: Math.max(a.y + a.height, b.y + b.height) - y,
  };
}
