/** The server's side of WebSocket (RFC 6455) as a byte stream over a byte stream. Text frames are refused, extensions not offered. */
import { ByteQueue } from '../util/byte-queue.ts';
import type { ByteStream, Unsubscribe } from '../util/byte-stream.ts';
import { encodeUtf8 } from './byte-writer.ts';

/** SHA-1 of some bytes. */
export type Sha1 = (bytes: Uint8Array) => Uint8Array;

const MAX_REQUEST_BYTES = 4096;
/** The largest message of RFB is a clipboard of 1 MiB. */
const MAX_FRAME_BYTES = 2 * 1024 * 1024;
const MAX_CONTROL_BYTES = 125;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const CLOSE_CODE = { normal: 1000, protocolError: 1002, unsupported: 1003, tooBig: 1009 } as const;
const FIN = 0x80;

/** Answers the HTTP upgrade on `carrier` and gives the stream of payload bytes. What is written before the upgrade waits for it. */
export function acceptWebSocket(carrier: ByteStream, sha1: Sha1): ByteStream {
  return new WebSocketStream(carrier, sha1);
}

class WebSocketStream implements ByteStream {
  readonly #carrier: ByteStream;
  readonly #sha1: Sha1;
  readonly #data = new Set<(bytes: Uint8Array) => void>();
  readonly #drain = new Set<() => void>();
  readonly #close = new Set<() => void>();
  readonly #input = new ByteQueue();
  #waiting: Uint8Array[] | null = [];
  #inMessage = false;
  #isClosed = false;

  constructor(carrier: ByteStream, sha1: Sha1) {
    this.#carrier = carrier;
    this.#sha1 = sha1;
    carrier.onData((bytes) => this.#receive(bytes));
    carrier.onDrain(() => {
      for (const listener of [...this.#drain]) listener();
    });
    carrier.onClose(() => this.#ended());
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }
  get queuedBytes(): number {
    return this.#carrier.queuedBytes + (this.#waiting?.reduce((sum, bytes) => sum + bytes.length, 0) ?? 0);
  }
  write(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    if (this.#waiting) this.#waiting.push(bytes);
    else this.#send(OPCODE.binary, bytes);
  }
  onData(listener: (bytes: Uint8Array) => void): Unsubscribe {
    this.#data.add(listener);
    return () => void this.#data.delete(listener);
  }
  onDrain(listener: () => void): Unsubscribe {
    this.#drain.add(listener);
    return () => void this.#drain.delete(listener);
  }
  onClose(listener: () => void): Unsubscribe {
    this.#close.add(listener);
    return () => void this.#close.delete(listener);
  }
  close(): void {
    this.#shut(CLOSE_CODE.normal);
  }

  #shut(code: number): void {
    if (this.#isClosed) return;
    if (!this.#waiting) this.#send(OPCODE.close, Uint8Array.of(code >> 8, code));
    this.#carrier.close();
    this.#ended();
  }
  #ended(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#input.clear();
    for (const listener of [...this.#close]) listener();
  }
  #send(opcode: number, payload: Uint8Array): void {
    const length = payload.length;
    const head =
      length < 126
        ? [FIN | opcode, length]
        : length < 0x1_0000
          ? [FIN | opcode, 126, length >> 8, length & 0xff]
          : [
              FIN | opcode,
              127,
              0,
              0,
              0,
              0,
              length >>> 24,
              (length >>> 16) & 0xff,
              (length >>> 8) & 0xff,
              length & 0xff,
            ];
    this.#carrier.write(Uint8Array.from(head));
    this.#carrier.write(payload);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#input.push(bytes);
    if (this.#waiting && !this.#upgrade()) return;
    while (!this.#isClosed && this.#frame());
  }

  // ---- the HTTP request

  #upgrade(): boolean {
    const end = indexOfBlankLine(this.#input.peek().subarray(0, MAX_REQUEST_BYTES + 4));
    if (end < 0) {
      if (this.#input.length > MAX_REQUEST_BYTES) this.#refuse('431 Request Header Fields Too Large');
      return false;
    }
    if (end > MAX_REQUEST_BYTES) {
      this.#refuse('431 Request Header Fields Too Large');
      return false;
    }
    const [first = '', ...lines] = String.fromCharCode(...this.#input.take(end)).split('\r\n');
    this.#input.skip(4);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    const has = (name: string, token: string) =>
      (headers.get(name) ?? '').split(',').some((part) => part.trim().toLowerCase() === token);
    const key = headers.get('sec-websocket-key');
    if (!/^GET \S+ HTTP\/1\.1$/.test(first) || !has('upgrade', 'websocket') || !has('connection', 'upgrade') || !key) {
      this.#refuse('400 Bad Request');
      return false;
    }
    if (headers.get('sec-websocket-version') !== '13') {
      this.#refuse('426 Upgrade Required', 'Sec-WebSocket-Version: 13\r\n');
      return false;
    }
    const accept = base64(this.#sha1(encodeUtf8(key + GUID)));
    const protocol = has('sec-websocket-protocol', 'binary') ? 'Sec-WebSocket-Protocol: binary\r\n' : '';
    this.#carrier.write(
      encodeUtf8(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${protocol}\r\n`,
      ),
    );
    const waiting = this.#waiting!;
    this.#waiting = null;
    for (const bytes of waiting) this.#send(OPCODE.binary, bytes);
    return true;
  }
  #refuse(status: string, extra = ''): void {
    this.#carrier.write(encodeUtf8(`HTTP/1.1 ${status}\r\n${extra}Connection: close\r\nContent-Length: 0\r\n\r\n`));
    this.#carrier.close();
    this.#ended();
  }

  // ---- frames

  /** Handles one complete frame; false when there is none yet. */
  #frame(): boolean {
    const input = this.#input.peek();
    if (input.length < 2) return false;
    const opcode = input[0]! & 0x0f;
    const final = (input[0]! & FIN) !== 0;
    let length = input[1]! & 0x7f;
    let at = 2;
    if (length === 126) {
      if (input.length < 4) return false;
      length = (input[2]! << 8) | input[3]!;
      at = 4;
    } else if (length === 127) {
      if (input.length < 10) return false;
      length = 0;
      for (let i = 2; i < 10; i++) length = length * 256 + input[i]!;
      at = 10;
    }
    const isControl = opcode >= 8;
    const isMasked = (input[1]! & 0x80) !== 0;
    if (!isMasked || (input[0]! & 0x70) !== 0 || (isControl && (!final || length > MAX_CONTROL_BYTES))) {
      this.#shut(CLOSE_CODE.protocolError);
      return false;
    }
    if (length > MAX_FRAME_BYTES) {
      this.#shut(CLOSE_CODE.tooBig);
      return false;
    }
    if (input.length < at + 4 + length) return false;
    const mask = input.subarray(at, at + 4);
    const payload = input.slice(at + 4, at + 4 + length);
    for (let i = 0; i < length; i++) payload[i]! ^= mask[i & 3]!;
    this.#input.skip(at + 4 + length);
    this.#handle(opcode, final, payload);
    return true;
  }
  #handle(opcode: number, final: boolean, payload: Uint8Array): void {
    switch (opcode) {
      case OPCODE.binary:
      case OPCODE.continuation:
        if ((opcode === OPCODE.continuation) !== this.#inMessage) {
          this.#shut(CLOSE_CODE.protocolError);
          return;
        }
        this.#inMessage = !final;
        // Frame boundaries mean nothing to a stream.
        if (payload.length > 0) for (const listener of [...this.#data]) listener(payload);
        return;
      case OPCODE.ping:
        // A peer that pings but does not read gets no more answers.
        if (this.#carrier.queuedBytes < MAX_REQUEST_BYTES) this.#send(OPCODE.pong, payload);
        return;
      case OPCODE.pong:
        return;
      case OPCODE.close:
        this.#shut(CLOSE_CODE.normal);
        return;
      case OPCODE.text:
        this.#shut(CLOSE_CODE.unsupported);
        return;
      default:
        this.#shut(CLOSE_CODE.protocolError);
    }
  }
}

function indexOfBlankLine(bytes: Uint8Array): number {
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}

function base64(bytes: Uint8Array): string {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const word = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += digits[word >> 18]! + digits[(word >> 12) & 63]!;
    text += i + 1 < bytes.length ? digits[(word >> 6) & 63]! : '=';
    text += i + 2 < bytes.length ? digits[word & 63]! : '=';
  }
  return text;
}
