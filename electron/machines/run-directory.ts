/** The private folder of a running machine: its sockets, the engine's output, and the note that says whose process it
 *  is. Mode 0700, owned by us, with a path short enough for unix sockets (108 bytes with the final NUL). */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError } from '../api/app-error.ts';
import type { Endpoints } from './command-line.ts';
import type { ProcessIdentity } from './process-identity.ts';

const LONGEST_SOCKET_PATH = 103; // macOS has room for 104 bytes, Linux for 108

const processNoteSchema = z.object({
  machineId: z.string(),
  pid: z.int(),
  startTime: z.string(),
  startedAt: z.number(),
  definition: z.unknown(),
});
/** Written when a VM process starts, removed when its end has been seen: what a later manager finds of it. */
export type ProcessNote = z.infer<typeof processNoteSchema>;

export class RunDirectory {
  readonly path: string;

  /** Chooses the folder; makes nothing yet. The same data folder and machine always get the same one. */
  constructor(dataDir: string, machineId: string, environment: NodeJS.ProcessEnv = process.env) {
    const key = createHash('sha256').update(`${dataDir}\0${machineId}`).digest('hex').slice(0, 12);
    const uid = process.getuid?.() ?? 'user';
    const runtime = environment.XDG_RUNTIME_DIR;
    const candidates = [
      ...(runtime ? [join(runtime, 'terrarium')] : []),
      join(tmpdir(), `terrarium-${uid}`),
      `/tmp/terrarium-${uid}`,
    ];
    const parent = candidates.find((candidate) => fits(join(candidate, key)) && usable(candidate));
    this.path = join(parent ?? candidates.at(-1)!, key);
  }

  get endpoints(): Endpoints {
    const serial = [0, 1, 2, 3].map((port) => join(this.path, `serial${port}`));
    return { qmp: join(this.path, 'qmp'), monitor: join(this.path, 'monitor'), vnc: join(this.path, 'vnc'), serial };
  }

  get outputPath(): string {
    return join(this.path, 'output');
  }

  get screenshotPath(): string {
    return join(this.path, 'screen.png');
  }

  /** Makes it new and empty. Refuses a folder that somebody else may have put there. */
  prepare(): void {
    const parent = join(this.path, '..');
    for (const folder of [parent, this.path]) {
      if (folder === this.path) rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const info = lstatSync(folder);
      const foreign = process.getuid !== undefined && info.uid !== process.getuid();
      if (!info.isDirectory() || foreign) {
        throw new AppError('io', `The folder ${folder} is not ours: somebody else made it. Remove it and start again.`);
      }
      if ((info.mode & 0o077) !== 0) chmodSync(folder, 0o700);
    }
  }

  writeNote(identity: ProcessIdentity, note: Omit<ProcessNote, 'pid' | 'startTime'>): void {
    const unfinished = join(this.path, 'process.json.part');
    writeFileSync(unfinished, JSON.stringify({ ...note, ...identity }), { mode: 0o600 });
    renameSync(unfinished, join(this.path, 'process.json'));
  }

  readNote(): ProcessNote | undefined {
    try {
      const info = lstatSync(this.path);
      if (process.getuid !== undefined && info.uid !== process.getuid()) return undefined;
      return processNoteSchema.parse(JSON.parse(readFileSync(join(this.path, 'process.json'), 'utf8')));
    } catch {
      return undefined; // nothing ran, or its note cannot be trusted
    }
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function fits(folder: string): boolean {
  return Buffer.byteLength(join(folder, 'serial0')) <= LONGEST_SOCKET_PATH;
}

function usable(parent: string): boolean {
  try {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    const info = lstatSync(parent);
    return info.isDirectory() && (process.getuid === undefined || info.uid === process.getuid());
  } catch {
    return false;
  }
}
