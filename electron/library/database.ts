/** Opens the library's SQLite file: checked before it is written to, backed up before it is migrated.
 *  A file that is damaged, of a newer version or not ours is refused and left as it is. */
import { closeSync, existsSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { AppError } from '../api/app-error.ts';
import { MIGRATIONS, type Migration } from './migrations.ts';

/** "TERR": marks the file as a Terrarium library (SQLite's `application_id`). */
const APPLICATION_ID = 0x54455252;
const SQLITE_HEADER = 'SQLite format 3\0';
const BACKUPS_KEPT = 5;

export type SqliteDatabase = Database.Database;

/** Opens, creates or migrates the library. Throws an `AppError` whose message is meant for the user. */
export function openDatabase(path: string, migrations: readonly Migration[] = MIGRATIONS): SqliteDatabase {
  const newest = migrations.at(-1)?.number ?? 0;
  if (existsSync(path) && statSync(path).size > 0) checkBeforeWriting(path, newest);
  const database = new Database(path, { timeout: 5000 });
  try {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('foreign_keys = ON');
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    database.close();
    throw refusal(path, error);
  }
}

function checkBeforeWriting(path: string, newest: number): void {
  const header = readHeader(path);
  if (header !== SQLITE_HEADER) throw damaged(path, 'it is not an SQLite database');
  const companions = [`${path}-wal`, `${path}-shm`].filter((companion) => !existsSync(companion));
  let database: SqliteDatabase | undefined;
  try {
    database = new Database(path, { readonly: true, fileMustExist: true, timeout: 5000 });
    const version = Number(database.pragma('user_version', { simple: true }));
    const owner = Number(database.pragma('application_id', { simple: true }));
    if (owner !== APPLICATION_ID && (owner !== 0 || version !== 0 || countTables(database) > 0)) {
      throw damaged(path, 'it belongs to another program');
    }
    if (version > newest) {
      throw new AppError(
        'unsupported',
        `The library ${path} was written by a newer Terrarium (its version is ${version}, this one knows ${newest}). ` +
          'It was left as it is. Install that newer Terrarium, or choose another data folder with --data-dir.',
      );
    }
    const verdict = String(database.pragma('quick_check(1)', { simple: true }));
    if (verdict !== 'ok') throw damaged(path, verdict);
    const orphans = database.pragma('foreign_key_check') as unknown[];
    if (orphans.length > 0) throw damaged(path, `${orphans.length} rows refer to rows that are gone`);
  } catch (error) {
    database?.close();
    // Looking at a file in WAL mode makes these, empty; nothing of the kind is left beside a file that is refused.
    for (const companion of companions) rmSync(companion, { force: true });
    throw refusal(path, error);
  }
  database.close();
}

function readHeader(path: string): string {
  const file = openSync(path, 'r');
  try {
    const bytes = new Uint8Array(16);
    readSync(file, bytes, 0, 16, 0);
    return String.fromCharCode(...bytes);
  } finally {
    closeSync(file);
  }
}

function countTables(database: SqliteDatabase): number {
  return Number(database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
}

function migrate(database: SqliteDatabase, path: string, migrations: readonly Migration[]): void {
  const version = Number(database.pragma('user_version', { simple: true }));
  const pending = migrations.filter((migration) => migration.number > version);
  if (pending.length === 0) return;
  if (version > 0) backUp(database, path, version);
  for (const migration of pending) {
    database
      .transaction(() => {
        database.exec(migration.sql);
        database.pragma(`user_version = ${migration.number}`);
        database.pragma(`application_id = ${APPLICATION_ID}`);
        const orphans = database.pragma('foreign_key_check') as unknown[];
        if (orphans.length > 0) throw new Error(`migration ${migration.number} breaks ${orphans.length} references`);
      })
      .immediate();
  }
}

/** A consistent copy beside the library: `library.db.version-1-20260131T120000Z.bak`. */
function backUp(database: SqliteDatabase, path: string, version: number): void {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const target = `${path}.version-${version}-${stamp}.bak`;
  const unfinished = `${target}.part`;
  rmSync(unfinished, { force: true });
  database.prepare('VACUUM INTO ?').run(unfinished);
  renameSync(unfinished, target);
  const prefix = `${basename(path)}.version-`;
  const backups = readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && name.endsWith('.bak'))
    .map((name) => ({ name, at: name.slice(name.lastIndexOf('-')) }))
    .sort((a, b) => (a.at < b.at ? -1 : 1));
  for (const old of backups.slice(0, -BACKUPS_KEPT)) rmSync(join(dirname(path), old.name), { force: true });
}

function damaged(path: string, reason: string): AppError {
  return new AppError(
    'io',
    `The library ${path} cannot be read: ${reason}. It was left as it is. Put a backup in its place ` +
      `(${basename(path)}.version-….bak in the same folder, if there is one), or choose another data folder with --data-dir.`,
  );
}

function refusal(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof Database.SqliteError) {
    if (error.code.startsWith('SQLITE_BUSY')) {
      return new AppError('io', `The library ${path} is in use by another program.`, { cause: error });
    }
    if (error.code === 'SQLITE_FULL') return new AppError('no-space', `No space is left for the library ${path}.`);
    return damaged(path, error.message);
  }
  return new AppError('io', `The library ${path} cannot be opened: ${error instanceof Error ? error.message : error}.`);
}
