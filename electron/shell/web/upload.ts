/** Takes a file that was dropped on the window into the library's media folder: whole or not at all. */
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, mkdir, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { basename, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError, fileError } from '../../api/app-error.ts';
import type { Medium } from '../../api/contract.ts';
import type { Terrarium } from '../../app/terrarium.ts';
import { diskSpace, freeFileName } from '../../library/disk-image.ts';
import { inspectMedium } from '../../library/inspect-medium.ts';

/** Stays free on the disk. */
const RESERVE = 64 * 1024 * 1024;

export async function receiveUpload(app: Terrarium, request: IncomingMessage, name: string): Promise<Medium> {
  const fileName = basename(name.replaceAll('\\', '/'))
    .replace(/\p{Cc}/gu, '')
    .replace(/^\.+/, '')
    .slice(0, 200);
  if (!fileName) throw new AppError('invalid', 'The file has no name.');
  const announced = Number(request.headers['content-length'] ?? Number.NaN);
  const { free } = await diskSpace(app.mediaDir);
  const limit = Math.max(free - RESERVE, 0);
  if (announced > limit) throw noSpace(fileName);
  const unfinished = join(app.mediaDir, `.${randomBytes(6).toString('hex')}.part`);
  try {
    await mkdir(app.mediaDir, { recursive: true, mode: 0o700 });
    await pipeline(request, atMost(limit, fileName), createWriteStream(unfinished, { flags: 'wx', mode: 0o600 }));
    const { kind } = await inspectMedium(unfinished);
    const path = await freeFileName(app.mediaDir, fileName);
    await link(unfinished, path); // unlike a rename, refuses to replace a file
    return await app.addMedium(path, kind === 'disk' ? 'disk' : 'iso');
  } catch (error) {
    throw fileError('Storing', fileName, error);
  } finally {
    await rm(unfinished, { force: true });
  }
}

function atMost(limit: number, fileName: string): Transform {
  let total = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      total += chunk.length;
      if (total > limit) done(noSpace(fileName));
      else done(null, chunk);
    },
  });
}

function noSpace(fileName: string): AppError {
  return new AppError('no-space', `There is not enough space in the media folder for ${fileName}.`);
}
