/** RFB's PIXEL_FORMAT (RFC 6143 7.4) and the translation of xRGB8888 pixels into it. Colour maps are refused. */
import type { Rect } from '../backends/display/surface.ts';
import type { ByteWriter } from './byte-writer.ts';

export interface PixelFormat {
  readonly bitsPerPixel: 8 | 16 | 32;
  readonly depth: number;
  readonly bigEndian: boolean;
  readonly redMax: number;
  readonly greenMax: number;
  readonly blueMax: number;
  readonly redShift: number;
  readonly greenShift: number;
  readonly blueShift: number;
}

/** What the server offers in ServerInit. */
export const NATIVE_FORMAT: PixelFormat = {
  bitsPerPixel: 32,
  depth: 24,
  bigEndian: false,
  redMax: 255,
  greenMax: 255,
  blueMax: 255,
  redShift: 16,
  greenShift: 8,
  blueShift: 0,
};

export function writePixelFormat(out: ByteWriter, format: PixelFormat): void {
  out
    .u8(format.bitsPerPixel)
    .u8(format.depth)
    .u8(format.bigEndian ? 1 : 0)
    .u8(1);
  out.u16(format.redMax).u16(format.greenMax).u16(format.blueMax);
  out.u8(format.redShift).u8(format.greenShift).u8(format.blueShift).zeros(3);
}

/** Reads the 16 bytes that a client sent; null when no server could use them. */
export function readPixelFormat(bytes: Uint8Array): PixelFormat | null {
  const u16 = (at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
  const bitsPerPixel = bytes[0]!;
  if (bitsPerPixel !== 8 && bitsPerPixel !== 16 && bitsPerPixel !== 32) return null;
  if (bytes[3] === 0) return null; // colour map
  const format: PixelFormat = {
    bitsPerPixel,
    depth: bytes[1]!,
    bigEndian: bytes[2] !== 0,
    redMax: u16(4),
    greenMax: u16(6),
    blueMax: u16(8),
    redShift: bytes[10]!,
    greenShift: bytes[11]!,
    blueShift: bytes[12]!,
  };
  const fits = (max: number, shift: number) => shift < bitsPerPixel && max * 2 ** shift < 2 ** bitsPerPixel;
  return fits(format.redMax, format.redShift) &&
    fits(format.greenMax, format.greenShift) &&
    fits(format.blueMax, format.blueShift)
    ? format
    : null;
}

/** How a compressed encoding writes a pixel. */
type PixelLayout = 'full' | 'cpixel' | 'tpixel';

/** Translates pixels into one client's format. Encoders work on translated values and write them with `put`. */
export class PixelTranslator {
  readonly format: PixelFormat;
  readonly #red: Uint32Array | null;
  readonly #green: Uint32Array;
  readonly #blue: Uint32Array;
  #values = new Uint32Array(0);
  /** Byte shifts of one pixel in each layout, in the order of sending. */
  readonly #shifts: { readonly [L in PixelLayout]: readonly number[] };

  constructor(format: PixelFormat) {
    this.format = format;
    const table = (max: number, shift: number) =>
      Uint32Array.from({ length: 256 }, (_, level) => (Math.round((level * max) / 255) * 2 ** shift) >>> 0);
    this.#green = table(format.greenMax, format.greenShift);
    this.#blue = table(format.blueMax, format.blueShift);
    const { redMax, greenMax, blueMax, redShift, greenShift, blueShift, bigEndian } = format;
    const trueBytes = redMax === 255 && greenMax === 255 && blueMax === 255;
    const same = trueBytes && redShift === 16 && greenShift === 8 && blueShift === 0;
    this.#red = same ? null : table(redMax, redShift);
    const order = (shifts: number[]) => (bigEndian ? shifts : [...shifts].reverse());
    const full = order(format.bitsPerPixel === 8 ? [0] : format.bitsPerPixel === 16 ? [8, 0] : [24, 16, 8, 0]);
    // CPIXEL (7.7.5): three bytes when the colours leave the top or the bottom byte unused.
    const used = (redMax * 2 ** redShift + greenMax * 2 ** greenShift + blueMax * 2 ** blueShift) >>> 0;
    const compact = format.bitsPerPixel === 32 && format.depth <= 24;
    const cpixel =
      compact && used >>> 24 === 0 ? order([16, 8, 0]) : compact && (used & 0xff) === 0 ? order([24, 16, 8]) : full;
    // TPIXEL (Tight): red, green, blue bytes for true colour in 32 bits.
    const tpixel =
      format.bitsPerPixel === 32 && format.depth === 24 && trueBytes ? [redShift, greenShift, blueShift] : full;
    this.#shifts = { full, cpixel, tpixel };
  }

  /** The client's value of each pixel of a rectangle, row by row. Valid until the next call. */
  translate(pixels: Uint32Array, stride: number, rect: Rect): Uint32Array {
    const { x, y, width, height } = rect;
    const count = width * height;
    if (this.#values.length < count) this.#values = new Uint32Array(count);
    const values = this.#values;
    const red = this.#red;
    const green = this.#green;
    const blue = this.#blue;
    let to = 0;
    for (let row = 0; row < height; row++) {
      let from = (y + row) * stride + x;
      const end = from + width;
      if (red) {
        while (from < end) {
          const pixel = pixels[from++]!;
          values[to++] = red[(pixel >>> 16) & 0xff]! | green[(pixel >>> 8) & 0xff]! | blue[pixel & 0xff]!;
        }
      } else {
        while (from < end) values[to++] = pixels[from++]! & 0xff_ffff;
      }
    }
    return values.subarray(0, count);
  }
  bytesPerPixel(layout: PixelLayout): number {
    return this.#shifts[layout].length;
  }
  /** Writes one translated value. */
  put(out: ByteWriter, value: number, layout: PixelLayout = 'full'): void {
    for (const shift of this.#shifts[layout]) out.u8(value >>> shift);
  }
  /** Writes translated values one after another. */
  putAll(out: ByteWriter, values: Uint32Array, layout: PixelLayout = 'full', start = 0, end = values.length): void {
    const shifts = this.#shifts[layout];
    const size = shifts.length;
    const { bytes, at } = out.reserve((end - start) * size);
    let to = at;
    if (size === 4) {
      const [a, b, c, d] = shifts as [number, number, number, number];
      for (let i = start; i < end; i++) {
        const value = values[i]!;
        bytes[to] = value >>> a;
        bytes[to + 1] = value >>> b;
        bytes[to + 2] = value >>> c;
        bytes[to + 3] = value >>> d;
        to += 4;
      }
    } else {
      for (let i = start; i < end; i++) for (let k = 0; k < size; k++) bytes[to++] = values[i]! >>> shifts[k]!;
    }
  }
}
