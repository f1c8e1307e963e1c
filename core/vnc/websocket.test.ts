import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ByteStream } from '../util/byte-stream.ts';
import { streamPair } from './testing/stream-pair.ts';
import { acceptWebSocket } from './websocket.ts';

const sha1 = (bytes: Uint8Array) => createHash('sha1').update(bytes).digest();
/** The handshake of RFC 6455, section 1.2. */
const REQUEST =
  'GET /chat HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary, base64\r\nSec-WebSocket-Version: 13\r\n\r\n';

function bench() {
  const pair = streamPair();
  const received: number[] = [];
  let toClient = Buffer.alloc(0);
  pair.client.onData((bytes) => {
    toClient = Buffer.concat([toClient, bytes]);
  });
  const stream: ByteStream = acceptWebSocket(pair.server, sha1);
  stream.onData((bytes) => received.push(...bytes));
  return {
    stream,
    pair,
    received,
    send: (text: string | readonly number[], pieceBytes?: number) => {
      pair.client.write(Uint8Array.from(typeof text === 'string' ? Buffer.from(text, 'latin1') : text));
      pair.pump(pieceBytes);
    },
    take: () => {
      const taken = toClient;
      toClient = Buffer.alloc(0);
      return taken;
    },
  };
}
/** A masked frame as clients send them. */
function frame(first: number, payload: readonly number[]): number[] {
  const mask = [1, 2, 3, 4];
  const size = payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 255];
  return [first, ...size, ...mask, ...payload.map((byte, i) => byte ^ mask[i & 3]!)];
}

describe('WebSocket server', () => {
  it('answers the handshake of the standard and sends what waited', () => {
    const { stream, send, take } = bench();
    stream.write(Uint8Array.of(1, 2, 3));
    send(REQUEST, 7);
    const text = take().toString('latin1');
    expect(text).toContain('HTTP/1.1 101 Switching Protocols\r\n');
    expect(text).toContain('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n');
    expect(text).toContain('Sec-WebSocket-Protocol: binary\r\n');
    expect(text.endsWith('\r\n\r\n\x82\x03\x01\x02\x03')).toBe(true);
  });
  it('carries bytes in frames of any size, whole and in fragments', () => {
    const { stream, send, take, received } = bench();
    send(REQUEST);
    take();
    const long = Array.from({ length: 300 }, (_, i) => i & 255);
    send([...frame(0x82, [9, 8]), ...frame(0x02, [7]), ...frame(0x89, [5]), ...frame(0x80, long)], 3);
    expect(received).toEqual([9, 8, 7, ...long]);
    expect([...take()]).toEqual([0x8a, 1, 5]); // the ping between fragments
    stream.write(new Uint8Array(70000));
    send([]);
    stream.write(new Uint8Array(200));
    send(frame(0x8a, []));
    expect([...take().subarray(0, 10)]).toEqual([0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]);
  });
  it('answers a close', () => {
    const { stream, send, take } = bench();
    send(REQUEST);
    take();
    send(frame(0x88, [3, 232]));
    expect(stream.isClosed).toBe(true);
  });
  it.each<[string, readonly number[]]>([
    ['an unmasked frame', [0x82, 1, 0]],
    ['reserved bits', frame(0xc2, [1])],
    ['a text frame', frame(0x81, [65])],
    ['an unknown opcode', frame(0x83, [])],
    ['a continuation of nothing', frame(0x80, [1])],
    ['a fragmented ping', frame(0x09, [1])],
    ['an enormous frame', [0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0]],
  ])('%s ends the connection', (_, bytes) => {
    const { stream, send, received } = bench();
    send(REQUEST);
    send(bytes);
    expect([stream.isClosed, received]).toEqual([true, []]);
  });
  it.each([
    ['not HTTP', 'RFB 003.008\n\r\n\r\n', '400'],
    ['no upgrade', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
    ['another version', REQUEST.replace('Version: 13', 'Version: 8'), '426'],
    ['an endless request', `GET /${'x'.repeat(5000)}`, '431'],
  ])('%s is refused', (_, request, status) => {
    const { stream, send, pair } = bench();
    const seen: string[] = [];
    pair.client.onData((bytes) => seen.push(Buffer.from(bytes).toString()));
    send(request);
    expect(stream.isClosed).toBe(true);
    expect(seen.join('')).toContain(`HTTP/1.1 ${status} `);
  });
});
