/** Hextile encoding (RFC 6143 7.7.4): tiles of 16 x 16, each raw or as a background with rectangles on it. */
import type { EncoderContext, PixelBlock, RectEncoder } from './encoding.ts';
import { Palette } from './palette.ts';

const SIDE = 16;
const RAW = 1;
const BACKGROUND = 2;
const FOREGROUND = 4;
const SUBRECTS = 8;
const COLOURED = 16;

interface Colours {
  background: number | null;
  foreground: number | null;
}

export const encodeHextile: RectEncoder = (block, context) => {
  const carried: Colours = { background: null, foreground: null };
  for (let y = 0; y < block.height; y += SIDE) {
    for (let x = 0; x < block.width; x += SIDE) {
      encodeTile(block, context, x, y, Math.min(SIDE, block.width - x), Math.min(SIDE, block.height - y), carried);
    }
  }
};

function encodeTile(
  block: PixelBlock,
  { translator, out }: EncoderContext,
  x: number,
  y: number,
  width: number,
  height: number,
  carried: Colours,
): void {
  const { values, width: stride } = block;
  const pixelBytes = translator.bytesPerPixel('full');
  const rawBytes = width * height * pixelBytes;
  const start = out.length;
  const sendRaw = () => {
    out.truncate(start);
    out.u8(RAW);
    for (let row = 0; row < height; row++) {
      const at = (y + row) * stride + x;
      translator.putAll(out, values, 'full', at, at + width);
    }
    carried.background = carried.foreground = null;
  };

  const palette = Palette.of(values, stride, x, y, width, height, 64);
  if (palette.overflow) {
    sendRaw();
    return;
  }
  const background = mostFrequent(values, stride, x, y, width, height, palette);
  const coloured = palette.colours.length > 2;
  const foreground = palette.colours.length === 2 ? palette.colours.find((colour) => colour !== background)! : null;
  let flags = 0;
  if (background !== carried.background) flags |= BACKGROUND;
  if (palette.colours.length > 1) flags |= SUBRECTS;
  if (coloured) flags |= COLOURED;
  else if (foreground !== null && foreground !== carried.foreground) flags |= FOREGROUND;

  out.u8(flags);
  if (flags & BACKGROUND) translator.put(out, background);
  if (flags & FOREGROUND) translator.put(out, foreground!);
  if (flags & SUBRECTS) {
    const countAt = out.length;
    out.u8(0);
    const done = new Uint8Array(width * height);
    let count = 0;
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const value = values[(y + row) * stride + x + column]!;
        if (done[row * width + column] || value === background) continue;
        const [w, h] = grow(block, x, y, width, height, column, row, value, done);
        if (coloured) translator.put(out, value);
        out.u8((column << 4) | row).u8(((w - 1) << 4) | (h - 1));
        count++;
        if (count > 255 || out.length - start > rawBytes) {
          sendRaw();
          return;
        }
      }
    }
    out.view()[countAt] = count;
  }
  carried.background = background;
  carried.foreground = coloured ? null : (foreground ?? carried.foreground);
}

/** Widest, then tallest rectangle of one value from a corner; marks it done. */
function grow(
  { values, width: stride }: PixelBlock,
  x: number,
  y: number,
  width: number,
  height: number,
  column: number,
  row: number,
  value: number,
  done: Uint8Array,
): [number, number] {
  const is = (c: number, r: number) => values[(y + r) * stride + x + c] === value && !done[r * width + c];
  let w = 1;
  while (column + w < width && is(column + w, row)) w++;
  let h = 1;
  const wholeRow = (r: number) => {
    for (let c = column; c < column + w; c++) if (!is(c, r)) return false;
    return true;
  };
  while (row + h < height && wholeRow(row + h)) h++;
  for (let r = row; r < row + h; r++) done.fill(1, r * width + column, r * width + column + w);
  return [w, h];
}

function mostFrequent(
  values: Uint32Array,
  stride: number,
  x: number,
  y: number,
  width: number,
  height: number,
  palette: Palette,
): number {
  if (palette.colours.length === 1) return palette.colours[0]!;
  const counts = new Uint16Array(palette.colours.length);
  for (let row = y; row < y + height; row++) {
    for (let column = x; column < x + width; column++) counts[palette.indexOf(values[row * stride + column]!)]!++;
  }
  return palette.colours[counts.indexOf(Math.max(...counts))]!;
}
