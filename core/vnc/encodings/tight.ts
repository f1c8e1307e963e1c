/** Tight encoding (rfbproto, "Tight Encoding"): fill, palette and copy filters, four zlib streams. No JPEG: nothing is lost; no gradient filter. */
import type { ByteWriter } from '../byte-writer.ts';
import type { PixelTranslator } from '../pixel-format.ts';
import type { EncoderContext, PixelBlock, RectEncoder } from './encoding.ts';
import { Palette } from './palette.ts';

/** A rectangle may not be wider; the server cuts those that are, and keeps areas small so that palettes stay small. */
export const TIGHT_MAX_WIDTH = 2048;
export const TIGHT_MAX_AREA = 65536;

const FILL = 0x80;
const EXPLICIT_FILTER = 0x40;
const FILTER_PALETTE = 1;
/** Below this many bytes data go uncompressed and without a length. */
const MIN_TO_COMPRESS = 12;
const STREAM = { copy: 0, mono: 1, indexed: 2 } as const;

export const encodeTight: RectEncoder = (block, context) => {
  const { translator, out } = context;
  const { values, width, height } = block;
  const palette = Palette.of(values, width, 0, 0, width, height, 256);
  const { colours } = palette;
  if (colours.length === 1) {
    out.u8(FILL);
    translator.put(out, colours[0]!, 'tpixel');
  } else if (palette.overflow || (colours.length > 2 && colours.length * 2 > width * height)) {
    out.u8(STREAM.copy << 4);
    context.scratch.clear();
    translator.putAll(context.scratch, values, 'tpixel');
    putData(context, STREAM.copy);
  } else {
    const stream = colours.length === 2 ? STREAM.mono : STREAM.indexed;
    out
      .u8((stream << 4) | EXPLICIT_FILTER)
      .u8(FILTER_PALETTE)
      .u8(colours.length - 1);
    putPalette(out, translator, colours);
    context.scratch.clear();
    if (colours.length === 2) putMono(context.scratch, block, colours[1]!);
    else for (const value of values) context.scratch.u8(palette.indexOf(value));
    putData(context, stream);
  }
};

function putPalette(out: ByteWriter, translator: PixelTranslator, colours: readonly number[]): void {
  for (const colour of colours) translator.put(out, colour, 'tpixel');
}

/** One bit per pixel, rows padded to bytes, most significant bit first. */
function putMono(out: ByteWriter, { values, width, height }: PixelBlock, one: number): void {
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column += 8) {
      let byte = 0;
      for (let bit = 0; bit < 8 && column + bit < width; bit++)
        if (values[row * width + column + bit] === one) byte |= 0x80 >> bit;
      out.u8(byte);
    }
  }
}

function putData({ out, scratch, streams }: EncoderContext, stream: number): void {
  if (scratch.length < MIN_TO_COMPRESS) {
    out.raw(scratch.view());
    return;
  }
  const data = streams.deflate(`tight${stream}`, scratch.view());
  // Compact length: seven bits per byte, low bits first, eight in the third.
  if (data.length < 128) out.u8(data.length);
  else if (data.length < 16384) out.u8((data.length & 0x7f) | 0x80).u8(data.length >> 7);
  else
    out
      .u8((data.length & 0x7f) | 0x80)
      .u8(((data.length >> 7) & 0x7f) | 0x80)
      .u8(data.length >> 14);
  out.raw(data);
}
