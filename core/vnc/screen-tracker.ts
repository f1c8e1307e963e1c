/**
 * The server's own copy of the screen. Devices report changes generously (whole pages of video memory); comparing with the
 * copy finds the tiles that really differ, and text that has scrolled is recognised so that clients can copy it themselves.
 */
import type { DisplaySurface, Rect } from '../backends/display/surface.ts';
import { DirtyTiles, TILE } from './dirty-tiles.ts';

/** Rows that moved vertically without other change: `rect` is the destination, `fromY` where it was. */
export interface Scroll {
  readonly rect: Rect;
  readonly fromY: number;
}

export interface ScreenChanges {
  /** Set when copying `scroll` first leaves only `remaining` to be sent. */
  readonly scroll: Scroll | null;
  readonly remaining: readonly number[];
  /** All tiles that differ from before. */
  readonly changed: readonly number[];
}

/** Looking for a scroll is worth its time only when this share of the screen has changed. */
const SCROLL_SHARE = 0.2;

export class ScreenTracker {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
  readonly #suspect: DirtyTiles;
  /** The copy has been compared with the screen at least once. */
  isReady = false;

  constructor(surface: DisplaySurface) {
    this.width = surface.width;
    this.height = surface.height;
    this.pixels = new Uint32Array(this.width * this.height);
    this.#suspect = new DirtyTiles(this.width, this.height);
    this.#suspect.markAll();
  }
  get hasSuspects(): boolean {
    return this.#suspect.count > 0;
  }
  /** The device says that this may have changed. */
  suspect(rect: Rect): void {
    this.#suspect.mark(rect);
  }
  /** Brings the copy up to date. */
  compare(surface: DisplaySurface): ScreenChanges {
    this.isReady = true;
    const changed: number[] = [];
    const { columns, marks } = this.#suspect;
    for (let index = 0; index < marks.length; index++) {
      if (marks[index] && this.#differs(surface, index % columns, Math.floor(index / columns))) changed.push(index);
    }
    this.#suspect.clear();
    const many = changed.length >= marks.length * SCROLL_SHARE && marks.length > 4;
    const scroll = many ? this.#findScroll(surface) : null;
    if (!scroll) {
      for (const index of changed) this.#copy(surface, index);
      return { scroll: null, remaining: changed, changed };
    }
    const { y, height } = scroll.rect;
    this.pixels.copyWithin(y * this.width, scroll.fromY * this.width, (scroll.fromY + height) * this.width);
    const remaining: number[] = [];
    for (let index = 0; index < marks.length; index++) {
      if (!this.#differs(surface, index % columns, Math.floor(index / columns))) continue;
      this.#copy(surface, index);
      remaining.push(index);
    }
    const all = new Set(changed);
    for (const index of remaining) all.add(index);
    return { scroll, remaining, changed: [...all] };
  }

  #differs(surface: DisplaySurface, column: number, row: number): boolean {
    const x0 = column * TILE;
    const x1 = Math.min(x0 + TILE, this.width);
    const y1 = Math.min((row + 1) * TILE, this.height);
    const { pixels, stride } = surface;
    for (let y = row * TILE; y < y1; y++) {
      const mine = y * this.width;
      const theirs = y * stride;
      for (let x = x0; x < x1; x++) if (this.pixels[mine + x] !== pixels[theirs + x]) return true;
    }
    return false;
  }
  #copy(surface: DisplaySurface, index: number): void {
    const { columns } = this.#suspect;
    const x0 = (index % columns) * TILE;
    const x1 = Math.min(x0 + TILE, this.width);
    const y0 = Math.floor(index / columns) * TILE;
    const y1 = Math.min(y0 + TILE, this.height);
    for (let y = y0; y < y1; y++) {
      this.pixels.set(surface.pixels.subarray(y * surface.stride + x0, y * surface.stride + x1), y * this.width + x0);
    }
  }

  /** The longest block of rows that shows what a block elsewhere showed before, when it is most of what moved. */
  #findScroll(surface: DisplaySurface): Scroll | null {
    const { width, height } = this;
    const before = rowHashes(this.pixels, width, width, height);
    const after = rowHashes(surface.pixels, surface.stride, width, height);
    // Rows that occur once before and are not blank vote for a distance.
    const places = new Map<number, number>();
    before.forEach((hash, y) => {
      places.set(hash, places.has(hash) ? -1 : y);
    });
    const votes = new Map<number, number>();
    after.forEach((hash, y) => {
      const from = places.get(hash);
      if (from === undefined || from < 0 || from === y) return;
      votes.set(from - y, (votes.get(from - y) ?? 0) + 1);
    });
    let distance = 0;
    let best = 0;
    for (const [candidate, count] of votes) if (count > best) [distance, best] = [candidate, count];
    if (best < height / 16) return null;
    let top = 0;
    let length = 0;
    for (let y = Math.max(0, -distance), start = y; y < Math.min(height, height - distance); y++) {
      if (after[y] !== before[y + distance]) start = y + 1;
      else if (y + 1 - start > length) [top, length] = [start, y + 1 - start];
    }
    return length >= TILE ? { rect: { x: 0, y: top, width, height: length }, fromY: top + distance } : null;
  }
}

/** FNV-1a over each row's pixels. A collision costs nothing but bytes: what differs after the copy is sent. */
function rowHashes(pixels: Uint32Array, stride: number, width: number, height: number): number[] {
  return Array.from({ length: height }, (_, y) => {
    let hash = 0x811c9dc5;
    for (let at = y * stride, end = at + width; at < end; at++) hash = Math.imul(hash ^ pixels[at]!, 0x01000193);
    return hash;
  });
}
