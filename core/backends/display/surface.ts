/** What a display shows: a rectangle of xRGB8888 pixels (0x00RRGGBB in each 32-bit word). A change of size is a new surface. */

/** Largest width or height of any surface. A guest that asks for more gets a placeholder. */
export const MAX_SURFACE_SIDE = 16384;
/** Largest number of pixels of any surface (128 MiB of host memory). */
export const MAX_SURFACE_PIXELS = 32 * 1024 * 1024;

export class DisplaySurface {
  readonly width: number;
  readonly height: number;
  /** Words from one row to the next. */
  readonly stride: number;
  readonly pixels: Uint32Array;
  /** Shown while no device draws: a picture with a message. */
  readonly isPlaceholder: boolean;

  constructor(width: number, height: number, isPlaceholder = false) {
    this.width = Math.max(1, Math.min(width | 0, MAX_SURFACE_SIDE));
    this.height = Math.max(1, Math.min(height | 0, MAX_SURFACE_SIDE, Math.floor(MAX_SURFACE_PIXELS / this.width)));
    this.stride = this.width;
    this.pixels = new Uint32Array(this.stride * this.height);
    this.isPlaceholder = isPlaceholder;
  }

  /** The pixel at (x, y) as 0xRRGGBB. */
  pixel(x: number, y: number): number {
    return this.pixels[y * this.stride + x]! & 0xff_ffff;
  }
}

/** A rectangle of pixels, right and bottom edges excluded. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** `rect` without what lies outside width x height, or null when nothing is left. */
export function clipRect(rect: Rect, width: number, height: number): Rect | null {
  const x0 = Math.max(0, rect.x);
  const y0 = Math.max(0, rect.y);
  const x1 = Math.min(width, rect.x + rect.width);
  const y1 = Math.min(height, rect.y + rect.height);
  return x1 > x0 && y1 > y0 ? { x: x0, y: y0, width: x1 - x0, height: y1 - y0 } : null;
}
