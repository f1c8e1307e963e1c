/** Where translated code lies between runs of machines: the regions themselves for the thread that compiles, and beside them what the
 *  machine's own thread has to know of them. */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { CompilerSetup } from '../accel/tcg/jit/batch.ts';
import { KeptRegions } from '../accel/tcg/jit/kept-regions.ts';
import { KnownBlocks } from '../accel/tcg/jit/known-blocks.ts';
import { type KeepingPlace, keepingPlace, readKept, writeKept } from './kept-code.ts';

/** Bytes that regions may take in a file. */
const ROOM = 6 << 20;
/** When they are written, besides the machine's end. */
const FIRST_MS = 60_000;
const LATER_MS = 300_000;

export interface RegionFiles {
  readonly regions: string;
  readonly known: string;
}

/** Files for machines whose generated code could be each other's: of the same build, features and layout. Null: nothing is kept. */
export function regionFiles(
  { features, helpers, layout, keeps }: CompilerSetup,
  place: KeepingPlace | null = keepingPlace(),
): RegionFiles | null {
  if (!keeps || !place) return null;
  const setup = crc32(JSON.stringify([features, helpers, layout])).toString(16);
  const name = join(place.folder, `${place.build}-${setup}`);
  return { regions: `${name}-regions.bin`, known: `${name}-known.bin` };
}

/** Words: how many members, them, and the heads. */
export function readKnown({ known }: RegionFiles): KnownBlocks | null {
  const kept = readKept(known);
  if (!kept || kept.data.length < 4) return null;
  const words = new Int32Array(Uint8Array.from(kept.data).buffer, 0, kept.data.length >> 2);
  const members = words[0]!;
  return new KnownBlocks(words.subarray(1, 1 + members), words.subarray(1 + members));
}
export function readRegions({ regions }: RegionFiles): KeptRegions {
  return new KeptRegions(readKept(regions)?.data ?? null);
}
export function writeRegions(files: RegionFiles, kept: KeptRegions): void {
  const { members, heads } = kept.known(ROOM);
  const words = Int32Array.from([members.length, ...members, ...heads]);
  writeKept(files.regions, { data: Buffer.from(kept.save(ROOM).buffer), isWhole: true });
  writeKept(files.known, { data: Buffer.from(words.buffer), isWhole: true });
}
/** Writes them from time to time. */
export function keepRegions(files: RegionFiles, kept: KeptRegions): void {
  const later = () => {
    if (kept.isChanged) writeRegions(files, kept);
    setTimeout(later, LATER_MS).unref();
  };
  setTimeout(later, FIRST_MS).unref();
}
