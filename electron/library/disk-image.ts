/** Makes and measures raw disk images: sparse files, so that a new disk takes no space before the guest writes. */

import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { AppError, fileError, hostErrorCode } from '../api/app-error.ts';

const SECTOR = 512;
const MIB = 1024 * 1024;

/** The largest disk that an LBA48 drive (and SQLite's and JavaScript's integers) can name here: 2 TiB. */
export const LARGEST_DISK_BYTES = 2 * 1024 ** 4;

/** Makes a new raw disk. Nothing is ever overwritten, and no file is seen before it is complete. */
export async function createRawDisk(path: string, sizeBytes: number): Promise<void> {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < MIB || sizeBytes % SECTOR !== 0) {
    throw new AppError('invalid', 'The size of a disk is at least 1 MiB and a multiple of 512 bytes.');
  }
  if (sizeBytes > LARGEST_DISK_BYTES) throw new AppError('invalid', 'A disk has at most 2 TiB.');
  const folder = dirname(path);
  const unfinished = join(folder, `.${basename(path)}.${randomBytes(4).toString('hex')}.part`);
  try {
    await makeFolder(folder);
    const { free } = await diskSpace(folder);
    if (free < MIB) throw new AppError('no-space', `No space is left in ${folder} for a new disk.`);
    const file = await open(unfinished, 'wx', 0o600);
    try {
      await file.truncate(sizeBytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(unfinished, path); // unlike a rename, refuses to replace a file
  } catch (error) {
    throw tooBigForFileSystem(error, folder, sizeBytes) ?? fileError('Making the disk', path, error);
  } finally {
    await rm(unfinished, { force: true }).catch(() => {});
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    if (hostErrorCode(error) !== 'EEXIST') throw error;
    throw new AppError('io', `${folder} is a file: a disk needs a folder to lie in.`, { cause: error });
  }
}

function tooBigForFileSystem(error: unknown, folder: string, sizeBytes: number): AppError | undefined {
  if (hostErrorCode(error) !== 'EFBIG') return undefined;
  const size = Math.round(sizeBytes / MIB);
  return new AppError('no-space', `The file system of ${folder} cannot hold a file of ${size} MiB.`, { cause: error });
}

/** `disk.img`, or `disk-2.img` … if that is taken. */
export async function freeFileName(folder: string, fileName: string): Promise<string> {
  const extension = extname(fileName);
  const stem = basename(fileName, extension);
  for (let number = 1; number < 10_000; number++) {
    const path = join(folder, number === 1 ? fileName : `${stem}-${number}${extension}`);
    const taken = await stat(path).then(
      () => true,
      (error) => error.code !== 'ENOENT',
    );
    if (!taken) return path;
  }
  throw new AppError('conflict', `Too many files in ${folder} are called ${fileName}.`);
}

/** Free bytes for this user in a folder (or in the nearest one above that exists). */
export async function diskSpace(folder: string): Promise<{ free: number }> {
  for (let path = folder; ; path = dirname(path)) {
    try {
      const info = await statfs(path);
      return { free: info.bavail * info.bsize };
    } catch (error) {
      if (path === dirname(path)) throw fileError('Looking at', folder, error);
    }
  }
}
