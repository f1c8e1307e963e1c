/** Reads just enough of a disc image to name it: ISO 9660 (ECMA-119) volume descriptors and directories, Rock Ridge
 *  names (RRIP NM), Joliet's volume name, the El Torito boot catalog. Not read: UDF, multi-extent files, continuation
 *  areas. The image is not trusted: every size and block number in it is checked, nothing is followed twice. */
import type { FileHandle } from 'node:fs/promises';

const SECTOR = 2048;
const FIRST_DESCRIPTOR = 16;
const MOST_DESCRIPTORS = 32;
const DESCRIPTOR = { boot: 0, primary: 1, supplementary: 2, terminator: 255 } as const;
const LARGEST_DIRECTORY = 512 * 1024;
const DIRECTORY_FLAG = 0x02;
const MOST_CATALOG_ENTRIES = 64;
const EFI_PLATFORM = 0xef;

export interface IsoEntry {
  name: string;
  isDirectory: boolean;
  block: number;
  sizeBytes: number;
}

export interface IsoVolume {
  /** Joliet's name when it says more than ISO 9660's, which knows capitals only. */
  label: string;
  publisher: string;
  /** Size that the volume claims. */
  volumeBytes: number;
  boot: { bios: boolean; efi: boolean };
}

/** What was wrong with the image, in the user's words. */
export class IsoFormatError extends Error {
  override readonly name = 'IsoFormatError';
}

/** An opened disc image; `file` stays the caller's. */
export class Iso9660 {
  readonly volume: IsoVolume;
  private readonly file: FileHandle;
  private readonly root: IsoEntry;

  private constructor(file: FileHandle, volume: IsoVolume, root: IsoEntry) {
    this.file = file;
    this.volume = volume;
    this.root = root;
  }

  /** Throws `IsoFormatError` when it is not a disc image. */
  static async open(file: FileHandle): Promise<Iso9660> {
    let primary: Buffer | undefined;
    let jolietLabel = '';
    let catalogBlock: number | undefined;
    for (let index = 0; index < MOST_DESCRIPTORS; index++) {
      const descriptor = await readAt(file, (FIRST_DESCRIPTOR + index) * SECTOR, SECTOR);
      if (descriptor.length < SECTOR || descriptor.toString('latin1', 1, 6) !== 'CD001') break;
      const type = descriptor[0];
      if (type === DESCRIPTOR.terminator) break;
      if (type === DESCRIPTOR.primary) primary ??= descriptor;
      if (type === DESCRIPTOR.supplementary && isJoliet(descriptor)) jolietLabel = utf16be(descriptor.subarray(40, 72));
      if (type === DESCRIPTOR.boot && descriptor.toString('latin1', 7, 30) === 'EL TORITO SPECIFICATION') {
        catalogBlock = descriptor.readUInt32LE(0x47);
      }
    }
    if (!primary) throw new IsoFormatError('it has no ISO 9660 volume descriptor');
    const root = parseRecord(primary.subarray(156, 190));
    if (!root?.isDirectory) throw new IsoFormatError('its root directory record is damaged');
    const label = text(primary.subarray(40, 72));
    const volume = {
      label: jolietLabel.length >= label.length ? jolietLabel : label,
      publisher: text(primary.subarray(318, 446)),
      volumeBytes: primary.readUInt32LE(80) * SECTOR,
      boot: await readBootCatalog(file, catalogBlock),
    };
    return new Iso9660(file, volume, root);
  }

  /** The entry at a path like `boot/grub`, whatever the letter case; undefined if there is none. */
  async find(path: string): Promise<IsoEntry | undefined> {
    let entry: IsoEntry | undefined = this.root;
    for (const part of path.split('/').filter(Boolean)) {
      if (!entry?.isDirectory) return undefined;
      const wanted = part.toLowerCase();
      entry = (await this.list(entry)).find((candidate) => candidate.name.toLowerCase() === wanted);
    }
    return entry;
  }

  async list(directory: IsoEntry = this.root): Promise<IsoEntry[]> {
    const length = Math.min(directory.sizeBytes, LARGEST_DIRECTORY);
    const bytes = await readAt(this.file, directory.block * SECTOR, length);
    const entries: IsoEntry[] = [];
    let offset = 0;
    while (offset < bytes.length) {
      const recordLength = bytes[offset]!;
      if (recordLength === 0) {
        offset = (Math.floor(offset / SECTOR) + 1) * SECTOR; // records do not cross sectors
        continue;
      }
      const entry = parseRecord(bytes.subarray(offset, offset + recordLength));
      if (entry && entry.name !== '\0' && entry.name !== '\u0001') entries.push(entry);
      offset += recordLength;
    }
    return entries;
  }

  /** The beginning of a small text file, or undefined. */
  async readText(path: string, limit = 4096): Promise<string | undefined> {
    const entry = await this.find(path);
    if (!entry || entry.isDirectory) return undefined;
    return (await readAt(this.file, entry.block * SECTOR, Math.min(entry.sizeBytes, limit))).toString('utf8');
  }
}

function parseRecord(record: Buffer): IsoEntry | undefined {
  if (record.length < 34 || record[0]! < 34 || record[0]! > Math.max(record.length, 34)) return undefined;
  const nameLength = record[32]!;
  if (33 + nameLength > record.length) return undefined;
  const isoName = record.toString('latin1', 33, 33 + nameLength).replace(/\.?;\d+$/, '');
  const systemUse = record.subarray(33 + nameLength + ((nameLength + 1) & 1));
  return {
    name: rockRidgeName(systemUse) ?? isoName,
    isDirectory: (record[25]! & DIRECTORY_FLAG) !== 0,
    block: record.readUInt32LE(2),
    sizeBytes: record.readUInt32LE(10),
  };
}

function rockRidgeName(systemUse: Buffer): string | undefined {
  let name: string | undefined;
  for (let offset = 0; offset + 5 <= systemUse.length; ) {
    const length = systemUse[offset + 2]!;
    if (length < 4 || offset + length > systemUse.length) break;
    const isName = systemUse.toString('latin1', offset, offset + 2) === 'NM';
    if (isName && length > 5) name = (name ?? '') + systemUse.toString('utf8', offset + 5, offset + length);
    offset += length;
  }
  return name;
}

/** El Torito 1.0: a validation entry, the default entry, then sections by platform. */
async function readBootCatalog(file: FileHandle, block: number | undefined): Promise<IsoVolume['boot']> {
  const boot = { bios: false, efi: false };
  if (block === undefined) return boot;
  const catalog = await readAt(file, block * SECTOR, MOST_CATALOG_ENTRIES * 32);
  if (catalog.length < 64 || catalog[0] !== 1 || catalog[30] !== 0x55 || catalog[31] !== 0xaa) return boot;
  const note = (platform: number, indicator: number | undefined) => {
    if (indicator !== 0x88) return;
    if (platform === EFI_PLATFORM) boot.efi = true;
    else if (platform === 0) boot.bios = true;
  };
  note(catalog[1]!, catalog[32]);
  for (let offset = 64; offset + 32 <= catalog.length; ) {
    const header = catalog[offset];
    if (header !== 0x90 && header !== 0x91) break;
    const platform = catalog[offset + 1]!;
    const count = catalog.readUInt16LE(offset + 2);
    offset += 32;
    for (let index = 0; index < count && offset + 32 <= catalog.length; index++, offset += 32)
      note(platform, catalog[offset]);
    if (header === 0x91) break;
  }
  return boot;
}

function isJoliet(descriptor: Buffer): boolean {
  return ['%/@', '%/C', '%/E'].includes(descriptor.toString('latin1', 88, 91));
}

function utf16be(bytes: Buffer): string {
  return clean(new TextDecoder('utf-16be').decode(bytes));
}

function text(bytes: Buffer): string {
  return clean(bytes.toString('latin1'));
}

function clean(raw: string): string {
  return raw.replace(/\p{Cc}/gu, ' ').trim();
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
