/** One manager per data folder. The lock is a file with the identity of the process that holds it, so that a lock left
 *  by a crash is recognised; two managers that start at once are told apart by the exclusive creation of the file. */

import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError, hostErrorCode } from '../api/app-error.ts';
import { identifyProcess, isAlive } from '../machines/process-identity.ts';

const lockSchema = z.object({ pid: z.int(), startTime: z.string() });

/** Takes the lock or throws an `AppError`; the answer releases it. */
export function lockDataDir(dataDir: string): () => void {
  const path = join(dataDir, 'lock');
  const mine = identifyProcess(process.pid) ?? { pid: process.pid, startTime: 'unknown' };
  const draft = join(dataDir, `.lock.${randomBytes(4).toString('hex')}`);
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600, flag: 'wx' });
  try {
    for (let tries = 0; tries < 3; tries++) {
      try {
        linkSync(draft, path);
        return () => rmSync(path, { force: true });
      } catch (error) {
        if (hostErrorCode(error) !== 'EEXIST') throw error;
      }
      const holder = readLock(path);
      if (holder && isAlive(holder)) {
        throw new AppError(
          'conflict',
          `Terrarium is running already with the data folder ${dataDir} (process ${holder.pid}). ` +
            'Use that one, end it, or choose another folder with --data-dir.',
        );
      }
      rmSync(path, { force: true }); // its holder is gone
    }
    throw new AppError('conflict', `The data folder ${dataDir} cannot be locked: another Terrarium is starting.`);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** As `mkdir -p`. Node's own recursion never ends where a file system refuses with ENOENT, as /proc does. */
function makeFolders(path: string): void {
  if (existsSync(path)) return;
  if (!existsSync(dirname(path))) makeFolders(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** Makes the data folder where it is missing and locks it; a folder that cannot be had is the user's to change. */
export function takeDataDir(dataDir: string, mediaDir: string): () => void {
  try {
    makeFolders(mediaDir);
    return lockDataDir(dataDir);
  } catch (error) {
    if (error instanceof AppError || !hostErrorCode(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new AppError(
      'io',
      `The data folder ${dataDir} cannot be used (${reason}). Choose another one with --data-dir.`,
    );
  }
}

function readLock(path: string): z.infer<typeof lockSchema> | undefined {
  try {
    return lockSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined;
  }
}
