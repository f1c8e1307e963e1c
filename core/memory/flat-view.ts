/** Turns a tree of regions into a sorted list of what is really visible at each address. */
import { FULL_SIZE, type MemoryRegion } from './region.ts';

/** A stretch of addresses served by one region. */
export interface FlatRange {
  readonly start: number;
  readonly size: number;
  readonly region: MemoryRegion;
  /** Offset of `start` within the region. */
  readonly offset: number;
  readonly isReadonly: boolean;
}

/** A region that is drawn itself, rather than only through its subregions. */
function isTerminating(region: MemoryRegion): boolean {
  return region.kind !== 'container' && region.kind !== 'alias';
}

export function renderFlatView(root: MemoryRegion): FlatRange[] {
  const ranges: FlatRange[] = [];

  /** Puts a stretch where nothing is yet: what was drawn first stays on top. */
  const fill = (start: number, end: number, region: MemoryRegion, offset: number, isReadonly: boolean): void => {
    let at = start;
    let index = firstEndingAfter(ranges, start);
    while (at < end) {
      const next = ranges[index];
      const gapEnd = next && next.start < end ? next.start : end;
      if (gapEnd > at) {
        ranges.splice(index, 0, { start: at, size: gapEnd - at, region, offset: offset + (at - start), isReadonly });
        index++;
      }
      if (!next || next.start >= end) break;
      at = next.start + next.size;
      index++;
    }
  };

  const draw = (region: MemoryRegion, base: number, clipStart: number, clipEnd: number, isReadonly: boolean): void => {
    if (!region.isEnabled) return;
    const start = Math.max(base, clipStart);
    const end = Math.min(base + region.size, clipEnd);
    if (start >= end) return;
    const ro = isReadonly || region.isReadonly;
    if (region.aliasTarget) {
      const target = region.aliasTarget;
      draw(target, base - region.aliasOffset, start, end, ro);
      return;
    }
    for (const sub of region.subregions) draw(sub, base + sub.address, start, end, ro);
    if (isTerminating(region)) fill(start, end, region, start - base, ro);
  };

  draw(root, 0, 0, FULL_SIZE, false);
  return merge(ranges);
}

/** Index of the first range that ends after `address`. */
export function firstEndingAfter(ranges: readonly FlatRange[], address: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle]!;
    if (range.start + range.size <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(ranges: readonly FlatRange[]): FlatRange[] {
  const merged: FlatRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (
      last &&
      last.region === range.region &&
      last.isReadonly === range.isReadonly &&
      last.start + last.size === range.start &&
      last.offset + last.size === range.offset
    )
      merged[merged.length - 1] = { ...last, size: last.size + range.size };
    else merged.push(range);
  }
  return merged;
}

export function sameFlatView(a: readonly FlatRange[], b: readonly FlatRange[]): boolean {
  return (
    a.length === b.length &&
    a.every((range, i) => {
      const other = b[i]!;
      return (
        range.start === other.start &&
        range.size === other.size &&
        range.region === other.region &&
        range.offset === other.offset &&
        range.isReadonly === other.isReadonly
      );
    })
  );
}
