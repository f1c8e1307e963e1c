/** Where translated code lies between runs of machines: the regions themselves, read one by one as they are of use, and beside them the
 *  catalogue, which tells the machine's own thread too what is known. */
import { closeSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { CompilerSetup } from '../accel/tcg/jit/batch.ts';
import { linkModule } from '../accel/tcg/jit/compile.ts';
import { type MachineCode, RegionCatalogue, type RegionStore } from '../accel/tcg/jit/kept-regions.ts';
import { RegionKeeper } from '../accel/tcg/jit/region-keeper.ts';
import { RegionsAhead } from '../accel/tcg/jit/regions-ahead.ts';
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
/** That is much, in bytes. */
const MUCH = 2 << 20;
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

/** What is in the files when a machine starts, as both of its threads read it. */
export interface OpenedRegions {
  /** -1: there is nothing. */
  readonly descriptor: number;
  readonly catalogue: Int32Array<ArrayBuffer>;
  /** As RegionShelf has it. */
  readonly used: Int32Array<SharedArrayBuffer>;
  /** As RegionsAhead has it. */
  readonly inUse: Int32Array<SharedArrayBuffer>;
}
export function openRegions(files: RegionFiles): OpenedRegions {
  const kept = readKept(files.catalogue);
  const data = kept && new Int32Array(Uint8Array.from(kept.data).buffer, 0, kept.data.length >> 2);
  const catalogue = data && RegionCatalogue.from(data);
  const descriptor = (catalogue && openKept(files.regions)) ?? -1;
  const [regions, modules] = descriptor < 0 ? [0, 0] : [catalogue!.keys.length, catalogue!.modules.length];
  return {
    descriptor,
    catalogue: descriptor < 0 ? new Int32Array(0) : data!,
    used: new Int32Array(new SharedArrayBuffer(4 * regions)),
    inUse: new Int32Array(new SharedArrayBuffer(4 * modules)),
  };
}
const storeAt = (descriptor: number, catalogue: RegionCatalogue): RegionStore => ({
  catalogue,
  read: (at, into) => {
    try {
      return readSync(descriptor, into, 0, into.byteLength, at) === into.byteLength;
    } catch {
      return false;
    }
  },
});
/** Null: there is nothing. */
export function storeOf({ descriptor, catalogue }: OpenedRegions): RegionStore | null {
  return descriptor < 0 ? null : storeAt(descriptor, RegionCatalogue.from(catalogue)!);
}

/** Keeps the regions of a kind of machine in its files. */
export class RegionFile {
  readonly keeper: RegionKeeper;
  readonly ahead: RegionsAhead | null;
  private readonly files: RegionFiles;
  private descriptor: number;
  /** The machine's thread reads it too, until the end. */
  private readonly first: number;
  /** It could not be written: it is tried again from time to time. */
  private hasFailed = false;

  constructor(
    files: RegionFiles,
    { layout }: Pick<CompilerSetup, 'layout'>,
    opened: OpenedRegions,
    machine: MachineCode | null,
  ) {
    this.files = files;
    this.descriptor = this.first = opened.descriptor;
    const store = storeOf(opened);
    this.ahead = store && new RegionsAhead(store, machine, opened.inUse);
    this.keeper = new RegionKeeper(store, machine, opened.used, (bodies, hotCount, isLong) =>
      linkModule(bodies, { ...layout, hotCount }, isLong),
    );
  }
  /** Does a piece of what there is to do between jobs. False: there is nothing. */
  work(): boolean {
    const isBusy = this.keeper.work();
    if (isBusy && !this.hasFailed && this.keeper.unwritten > MUCH) this.write();
    return isBusy;
  }
  /** Writes what is new, if it is worth that. A folder that cannot be written costs nothing but time in the next run. */
  write(): void {
    const { keeper, files } = this;
    if (!keeper.isWorthWriting) return;
    const temporary = `${files.regions}.${process.pid}`;
    try {
      makeFolder(files.regions);
      const descriptor = openSync(temporary, 'w', 0o600);
      let saved: ReturnType<RegionKeeper['save']>;
      try {
        const piece = Buffer.allocUnsafe(PIECE);
        let filled = 0;
        const flush = () => {
          writeSync(descriptor, piece, 0, filled);
          filled = 0;
        };
        const write = (bytes: Uint8Array) => {
          if (filled + bytes.length > PIECE) flush();
          if (bytes.length > PIECE) writeSync(descriptor, bytes);
          else {
            piece.set(bytes, filled);
            filled += bytes.length;
          }
        };
        const copy = (at: number, length: number) => {
          flush();
          for (let done = 0; done < length; ) {
            const read = readSync(this.descriptor, piece, 0, Math.min(PIECE, length - done), at + done);
            if (read === 0) throw new Error(`${files.regions} has become shorter`);
            writeSync(descriptor, piece, 0, read);
            done += read;
          }
        };
        saved = keeper.save(ROOM, write, copy);
        flush();
      } finally {
        closeSync(descriptor);
      }
      renameSync(temporary, files.regions);
      writeKept(files.catalogue, { data: Buffer.from(saved.catalogue.words.buffer), isWhole: true });
      this.close();
      this.descriptor = openKept(files.regions) ?? -1;
      saved.moved(storeAt(this.descriptor, saved.catalogue));
      this.hasFailed = false;
    } catch {
      this.hasFailed = true;
      removeIfThere(temporary);
    }
  }
  close(): void {
    if (this.descriptor >= 0 && this.descriptor !== this.first) closeSync(this.descriptor);
    this.descriptor = -1;
  }
  /** Writes from time to time. */
  writeNowAndThen(): void {
    let since = LATER_MS; // what is new in the first minute is a guest's start
    const look = () => {
      since += SOON_MS;
      if (since >= LATER_MS || this.keeper.unwritten > MUCH) {
        this.write();
        since = 0;
      }
      setTimeout(look, SOON_MS).unref();
    };
    setTimeout(look, SOON_MS).unref();
  }
}
