/** Where translated code lies between runs of machines: the regions themselves, read one by one as they are of use, and beside them the
 *  catalogue, which tells the machine's own thread too what is known. */
import { closeSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { CompilerSetup } from '../accel/tcg/jit/batch.ts';
import {
  KeptRegions,
  type MachineCode,
  MOST_WAITING,
  RegionCatalogue,
  type RegionStore,
} from '../accel/tcg/jit/kept-regions.ts';
import {
  type KeepingPlace,
  keepingPlace,
  makeFolder,
  openKept,
  readKept,
  removeIfThere,
  writeKept,
} from './kept-code.ts';

/** Bytes that regions may take in a file. */
const ROOM = 48 << 20;
/** When they are written, besides the machine's end: so often if much is new, so often if anything is. */
const SOON_MS = 60_000;
const LATER_MS = 300_000;
/** Regions are written in pieces of so many bytes. */
const PIECE = 1 << 18;

export interface RegionFiles {
  readonly regions: string;
  readonly catalogue: string;
}

/** Files for machines whose generated code could be each other's: of the same build, features and layout. Null: nothing is kept. */
export function regionFiles(
  { features, helpers, layout, keeps }: CompilerSetup,
  place: KeepingPlace | null = keepingPlace(),
): RegionFiles | null {
  if (!keeps || !place) return null;
  const setup = crc32(JSON.stringify([features, helpers, layout])).toString(16);
  const name = join(place.folder, `${place.build}-${setup}`);
  return { regions: `${name}-regions.bin`, catalogue: `${name}-catalogue.bin` };
}

export function readCatalogue({ catalogue }: RegionFiles): RegionCatalogue | null {
  const kept = readKept(catalogue);
  return kept && RegionCatalogue.from(new Int32Array(Uint8Array.from(kept.data).buffer, 0, kept.data.length >> 2));
}

/** The regions in the files of a kind of machine. */
export class RegionFile {
  readonly kept: KeptRegions;
  private readonly files: RegionFiles;
  private descriptor = -1;

  constructor(files: RegionFiles, machine: MachineCode | null = null) {
    this.files = files;
    this.open();
    const catalogue = this.descriptor < 0 ? null : readCatalogue(files);
    this.kept = new KeptRegions(catalogue && this.storeOf(catalogue), machine);
  }
  private open(): void {
    this.close();
    this.descriptor = openKept(this.files.regions) ?? -1;
  }
  close(): void {
    if (this.descriptor >= 0) closeSync(this.descriptor);
    this.descriptor = -1;
  }
  private storeOf(catalogue: RegionCatalogue): RegionStore {
    return {
      catalogue,
      read: (at, into) => {
        try {
          return readSync(this.descriptor, into, 0, into.byteLength, at) === into.byteLength;
        } catch {
          return false;
        }
      },
    };
  }
  /** Writes what is new, if it is worth that. A folder that cannot be written costs nothing but time in the next run. */
  write(): void {
    const { kept, files } = this;
    if (!kept.isWorthWriting) return;
    const temporary = `${files.regions}.${process.pid}`;
    try {
      makeFolder(files.regions);
      const descriptor = openSync(temporary, 'w', 0o600);
      let saved: ReturnType<KeptRegions['save']>;
      try {
        const piece = Buffer.allocUnsafe(PIECE);
        let filled = 0;
        const flush = () => {
          writeSync(descriptor, piece, 0, filled);
          filled = 0;
        };
        saved = kept.save(ROOM, (bytes) => {
          if (filled + bytes.length > PIECE) flush();
          if (bytes.length > PIECE) writeSync(descriptor, bytes);
          else {
            piece.set(bytes, filled);
            filled += bytes.length;
          }
        });
        flush();
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, files.regions);
      const { words } = saved.catalogue;
      writeKept(files.catalogue, { data: Buffer.from(words.buffer), isWhole: true });
      this.open();
      saved.moved(this.storeOf(saved.catalogue));
    } catch {
      removeIfThere(temporary);
    }
  }
  /** Writes from time to time. */
  writeNowAndThen(): void {
    let since = LATER_MS; // what is new in the first minute is a guest's start
    const look = () => {
      since += SOON_MS;
      if (since >= LATER_MS || this.kept.waiting >= MOST_WAITING / 2) {
        this.write();
        since = 0;
      }
      setTimeout(look, SOON_MS).unref();
    };
    setTimeout(look, SOON_MS).unref();
  }
}
