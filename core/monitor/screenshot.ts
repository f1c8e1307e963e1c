/** Pictures of a surface: binary PPM, and PNG (8-bit truecolour, unfiltered rows). */

import type { DisplaySurface } from '../backends/display/surface.ts';
import type { CompressionService } from '../util/compression.ts';

export function encodePpm(surface: DisplaySurface): Uint8Array {
  const header = ascii(`P6\n${surface.width} ${surface.height}\n255\n`);
  const bytes = new Uint8Array(header.length + surface.width * surface.height * 3);
  bytes.set(header);
  let at = header.length;
  for (let y = 0; y < surface.height; y++) at = copyRow(surface, y, bytes, at);
  return bytes;
}

export function encodePng(surface: DisplaySurface, compression: CompressionService): Uint8Array {
  const rowBytes = 1 + surface.width * 3;
  const rows = new Uint8Array(rowBytes * surface.height);
  // The first byte of each row names its filter: 0, none.
  for (let y = 0; y < surface.height; y++) copyRow(surface, y, rows, y * rowBytes + 1);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, surface.width);
  view.setUint32(4, surface.height);
  header.set([8, 2, 0, 0, 0], 8);
  return concatenate([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('IDAT', compression.deflateAll(rows)),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

function copyRow(surface: DisplaySurface, y: number, bytes: Uint8Array, from: number): number {
  let at = from;
  const row = y * surface.stride;
  for (let x = 0; x < surface.width; x++) {
    const pixel = surface.pixels[row + x]!;
    bytes[at++] = pixel >>> 16;
    bytes[at++] = pixel >>> 8;
    bytes[at++] = pixel;
  }
  return at;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = concatenate([ascii(type), data]);
  const bytes = new Uint8Array(8 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(body, 4);
  view.setUint32(4 + body.length, crc32(body));
  return bytes;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** CRC-32 as PNG has it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
