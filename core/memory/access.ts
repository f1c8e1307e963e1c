/** One access to an I/O region under its rules: refused, split, widened or byte-swapped as QEMU's core does. */
import type { MemoryRegion, MemoryRegionOps } from './region.ts';

const MASK = [0, 0xff, 0xffff, 0, 0xffff_ffff] as const;

function isValid(region: MemoryRegion, ops: MemoryRegionOps, offset: number, size: number, isWrite: boolean): boolean {
  const { valid } = ops;
  if (valid?.accepts && !valid.accepts(region.device, offset, size, isWrite)) return false;
  return size >= (valid?.min ?? 1);
}

/** The largest piece of an access that the bus hands to the region at once: bounded by `valid.max` and by the address's own alignment. */
function pieceSize(ops: MemoryRegionOps, offset: number, size: number): number {
  let piece = Math.min(size, ops.valid?.max ?? (ops.impl?.max === 8 ? 8 : 4));
  if (!ops.valid?.unaligned && !ops.impl?.unaligned) while (offset % piece !== 0) piece >>= 1;
  return piece;
}

/** The low bytes of a value, unsigned: what a device or a CPU has beyond its access is noise. */
function clip(value: number, size: number): number {
  if (size === 4) return value >>> 0;
  return size === 8 ? (value < 0 ? value + 2 ** 64 : value) : value & MASK[size as 1 | 2];
}

function swap(value: number, size: number): number {
  if (size === 2) return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
  if (size === 4)
    return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
  return value;
}

/** Returns null when the region does not take such an access. */
export function regionRead(region: MemoryRegion, offset: number, size: number): number | null {
  const ops = region.ops!;
  const piece = pieceSize(ops, offset, size);
  if (piece === size) return readPiece(region, ops, offset, size);
  let value = 0;
  for (let i = size - piece; i >= 0; i -= piece) {
    const part = readPiece(region, ops, offset + i, piece);
    if (part === null) return null;
    value = value * 2 ** (8 * piece) + part;
  }
  return value;
}

function readPiece(region: MemoryRegion, ops: MemoryRegionOps, offset: number, size: number): number | null {
  if (!isValid(region, ops, offset, size, false)) return null;
  const min = ops.impl?.min ?? 1;
  const max = ops.impl?.max ?? 4;
  const isBig = ops.endianness === 'big';
  if (size >= min && size <= max) {
    const value = clip(ops.read(region.device, offset, size), size);
    return isBig ? swap(value, size) : value;
  }
  if (size < min) return clip(ops.read(region.device, offset, min), size);
  let value = 0;
  let scale = 1;
  for (let i = 0; i < size; i += max) {
    const part = clip(ops.read(region.device, offset + i, max), max);
    if (isBig) value = value * 2 ** (8 * max) + part;
    else {
      value += part * scale;
      scale *= 2 ** (8 * max);
    }
  }
  return value;
}

/** Returns false when the region does not take such an access. */
export function regionWrite(region: MemoryRegion, offset: number, given: number, size: number): boolean {
  const ops = region.ops!;
  const value = clip(given, size);
  const piece = pieceSize(ops, offset, size);
  if (piece === size) return writePiece(region, ops, offset, value, size);
  const radix = 2 ** (8 * piece);
  for (let rest = value, i = 0; i < size; i += piece) {
    if (!writePiece(region, ops, offset + i, rest % radix, piece)) return false;
    rest = Math.floor(rest / radix);
  }
  return true;
}

function writePiece(region: MemoryRegion, ops: MemoryRegionOps, offset: number, value: number, size: number): boolean {
  if (!isValid(region, ops, offset, size, true)) return false;
  const min = ops.impl?.min ?? 1;
  const max = ops.impl?.max ?? 4;
  const isBig = ops.endianness === 'big';
  if (size <= max) {
    ops.write(region.device, offset, isBig ? swap(value, size) : value, Math.max(size, min));
    return true;
  }
  const radix = 2 ** (8 * max);
  const parts: number[] = [];
  for (let rest = value, i = 0; i < size; i += max) {
    parts.push(rest % radix);
    rest = Math.floor(rest / radix);
  }
  if (isBig) parts.reverse();
  parts.forEach((part, i) => {
    ops.write(region.device, offset + i * max, part, max);
  });
  return true;
}
