/** ZRLE (RFC 6143 7.7.6): tiles of 64 x 64 as palette, runs or pixels, then one zlib stream for the whole connection. */
import type { ByteWriter } from '../byte-writer.ts';
import type { PixelTranslator } from '../pixel-format.ts';
import type { PixelBlock, RectEncoder } from './encoding.ts';
import { Palette } from './palette.ts';

const SIDE = 64;
const RLE = 128;

export const encodeZrle: RectEncoder = (block, { translator, streams, out, scratch }) => {
  scratch.clear();
  for (let y = 0; y < block.height; y += SIDE) {
    for (let x = 0; x < block.width; x += SIDE) {
      encodeTile(block, translator, scratch, x, y, Math.min(SIDE, block.width - x), Math.min(SIDE, block.height - y));
    }
  }
  const data = streams.deflate('zrle', scratch.view());
  out.u32(data.length).raw(data);
};

const packedBits = (colours: number) => (colours <= 2 ? 1 : colours <= 4 ? 2 : 4);

function encodeTile(
  { values, width: stride }: PixelBlock,
  translator: PixelTranslator,
  out: ByteWriter,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  const palette = Palette.of(values, stride, x, y, width, height, 127);
  const { colours } = palette;
  if (colours.length === 1) {
    out.u8(1);
    translator.put(out, colours[0]!, 'cpixel');
    return;
  }
  const pixelBytes = translator.bytesPerPixel('cpixel');
  const runs = collectRuns(values, stride, x, y, width, height);
  const count = runs.lengths.length;
  const extra = runs.lengths.reduce((sum, length) => sum + Math.floor((length - 1) / 255), 0);
  const singles = runs.lengths.reduce((sum, length) => sum + (length === 1 ? 1 : 0), 0);

  // Bytes before zlib for each way to say it; zlib does the rest, so the smallest start is close to the smallest end.
  const rawSize = width * height * pixelBytes;
  const plainRleSize = count * (pixelBytes + 1) + extra;
  const paletteRleSize = palette.overflow ? Infinity : colours.length * pixelBytes + count * 2 - singles + extra;
  const packed = !palette.overflow && colours.length <= 16;
  const packedSize = packed
    ? colours.length * pixelBytes + Math.ceil((width * packedBits(colours.length)) / 8) * height
    : Infinity;
  const best = Math.min(rawSize, plainRleSize, paletteRleSize, packedSize);

  if (best === packedSize) {
    out.u8(colours.length);
    for (const colour of colours) translator.put(out, colour, 'cpixel');
    const bits = packedBits(colours.length);
    for (let row = y; row < y + height; row++) {
      let byte = 0;
      let filled = 0;
      for (let column = x; column < x + width; column++) {
        byte = (byte << bits) | palette.indexOf(values[row * stride + column]!);
        filled += bits;
        if (filled === 8) {
          out.u8(byte);
          byte = filled = 0;
        }
      }
      if (filled) out.u8(byte << (8 - filled));
    }
  } else if (best === paletteRleSize) {
    out.u8(RLE + colours.length);
    for (const colour of colours) translator.put(out, colour, 'cpixel');
    runs.lengths.forEach((length, i) => {
      const index = palette.indexOf(runs.values[i]!);
      if (length === 1) out.u8(index);
      else putRunLength(out.u8(index | 0x80), length);
    });
  } else if (best === plainRleSize) {
    out.u8(RLE);
    runs.lengths.forEach((length, i) => {
      translator.put(out, runs.values[i]!, 'cpixel');
      putRunLength(out, length);
    });
  } else {
    out.u8(0);
    for (let row = y; row < y + height; row++) {
      translator.putAll(out, values, 'cpixel', row * stride + x, row * stride + x + width);
    }
  }
}

function putRunLength(out: ByteWriter, length: number): void {
  let rest = length - 1;
  for (; rest >= 255; rest -= 255) out.u8(255);
  out.u8(rest);
}

function collectRuns(values: Uint32Array, stride: number, x: number, y: number, width: number, height: number) {
  const runs = { values: [] as number[], lengths: [] as number[] };
  let current = values[y * stride + x]!;
  let length = 0;
  for (let row = y; row < y + height; row++) {
    const end = row * stride + x + width;
    for (let at = end - width; at < end; at++) {
      const value = values[at]!;
      if (value === current) {
        length++;
        continue;
      }
      runs.values.push(current);
      runs.lengths.push(length);
      current = value;
      length = 1;
    }
  }
  runs.values.push(current);
  runs.lengths.push(length);
  return runs;
}
