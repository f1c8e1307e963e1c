/** A surface as a picture file: PPM (binary, as QEMU's screendump writes it) and PNG (ISO/IEC 15948; RGB, 8 bits). */
import type { CompressionService } from '../../util/compression.ts';
import type { DisplaySurface } from './surface.ts';

/** Rows of red, green, blue bytes, each after `prefix` zero bytes. */
function rgbRows({ width, height, stride, pixels }: DisplaySurface, prefix: number): Uint8Array {
  const out = new Uint8Array(height * (prefix + width * 3));
  let to = 0;
  for (let y = 0; y < height; y++) {
    to += prefix;
    for (let from = y * stride, end = from + width; from < end; from++) {
      const pixel = pixels[from]!;
      out[to] = pixel >>> 16;
      out[to + 1] = pixel >>> 8;
      out[to + 2] = pixel;
      to += 3;
    }
  }
  return out;
}

const ascii = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** The surface as a binary PPM file. */
export function toPpm(surface: DisplaySurface): Uint8Array<ArrayBuffer> {
  return join([ascii(`P6\n${surface.width} ${surface.height}\n255\n`), rgbRows(surface, 0)]);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc >>> 0;
});
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

const u32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = join([ascii(type), data]);
  return join([u32(data.length), body, u32(crc32(body))]);
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const TRUE_COLOUR = 2;

/** The surface as a PNG file. */
export function toPng(surface: DisplaySurface, compression: CompressionService): Uint8Array<ArrayBuffer> {
  const header = join([u32(surface.width), u32(surface.height), Uint8Array.of(8, TRUE_COLOUR, 0, 0, 0)]);
  const data = compression.deflateAll(rgbRows(surface, 1)); // the prefix is each row's filter: none
  return join([SIGNATURE, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', new Uint8Array(0))]);
}
