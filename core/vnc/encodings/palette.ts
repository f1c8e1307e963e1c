/** The different values in a block of pixels, up to a limit. */

export class Palette {
  readonly colours: number[] = [];
  readonly #index = new Map<number, number>();
  /** More values than the limit. */
  overflow = false;

  indexOf(value: number): number {
    return this.#index.get(value)!;
  }
  /** Collects the values of a rectangle inside a block of `stride` columns. */
  static of(
    values: Uint32Array,
    stride: number,
    x: number,
    y: number,
    width: number,
    height: number,
    limit: number,
  ): Palette {
    const palette = new Palette();
    let last = -1;
    for (let row = y; row < y + height; row++) {
      const end = row * stride + x + width;
      for (let at = end - width; at < end; at++) {
        const value = values[at]!;
        if (value === last) continue;
        last = value;
        if (palette.#index.has(value)) continue;
        if (palette.colours.length === limit) {
          palette.overflow = true;
          return palette;
        }
        palette.#index.set(value, palette.colours.length);
        palette.colours.push(value);
      }
    }
    return palette;
  }
}
