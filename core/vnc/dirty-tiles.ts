/** Which tiles of a screen still have to be done, as one byte per tile of 16 x 16 pixels. */
import type { Rect } from '../backends/display/surface.ts';

export const TILE = 16;

export class DirtyTiles {
  readonly width: number;
  readonly height: number;
  readonly columns: number;
  readonly rows: number;
  readonly marks: Uint8Array;
  #count = 0;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.columns = Math.ceil(width / TILE);
    this.rows = Math.ceil(height / TILE);
    this.marks = new Uint8Array(this.columns * this.rows);
  }
  get count(): number {
    return this.#count;
  }
  markTile(index: number): void {
    if (!this.marks[index]) {
      this.marks[index] = 1;
      this.#count++;
    }
  }
  clearTile(index: number): void {
    if (this.marks[index]) {
      this.marks[index] = 0;
      this.#count--;
    }
  }
  mark(rect: Rect): void {
    const { x0, y0, x1, y1 } = this.#tilesOf(rect);
    for (let row = y0; row < y1; row++)
      for (let column = x0; column < x1; column++) this.markTile(row * this.columns + column);
  }
  markAll(): void {
    this.marks.fill(1);
    this.#count = this.marks.length;
  }
  clear(): void {
    this.marks.fill(0);
    this.#count = 0;
  }
  /** True when a marked tile touches the rectangle. */
  touches(rect: Rect): boolean {
    if (this.#count === 0) return false;
    const { x0, y0, x1, y1 } = this.#tilesOf(rect);
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) if (this.marks[row * this.columns + column]) return true;
    }
    return false;
  }
  /** Takes marked tiles that touch `region` out, joined into rectangles, until `accept` says no more. */
  take(region: Rect, accept: (rect: Rect) => boolean): void {
    if (this.#count === 0) return;
    const { x0, y0, x1, y1 } = this.#tilesOf(region);
    const marked = (column: number, row: number) => this.marks[row * this.columns + column] === 1;
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) {
        if (!marked(column, row)) continue;
        let right = column + 1;
        while (right < x1 && marked(right, row)) right++;
        let bottom = row + 1;
        const whole = (line: number) => {
          for (let at = column; at < right; at++) if (!marked(at, line)) return false;
          return true;
        };
        while (bottom < y1 && whole(bottom)) bottom++;
        for (let line = row; line < bottom; line++) {
          for (let at = column; at < right; at++) this.clearTile(line * this.columns + at);
        }
        const x = column * TILE;
        const y = row * TILE;
        const width = Math.min(right * TILE, this.width) - x;
        const height = Math.min(bottom * TILE, this.height) - y;
        if (!accept({ x, y, width, height })) return;
        column = right - 1;
      }
    }
  }

  #tilesOf({ x, y, width, height }: Rect): { x0: number; y0: number; x1: number; y1: number } {
    return {
      x0: Math.max(0, Math.floor(x / TILE)),
      y0: Math.max(0, Math.floor(y / TILE)),
      x1: Math.min(this.columns, Math.ceil((x + width) / TILE)),
      y1: Math.min(this.rows, Math.ceil((y + height) / TILE)),
    };
  }
}
