/** Image files on Node: asynchronous reads and writes, and the locks that keep two machines from writing one image.
 *  Node has no file locks of the operating system's, so that they are files in a folder of the user's, named by device, inode and process; those of dead processes do not count. */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  lstatSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  unlinkSync,
  write,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { type ByteSource, HostIoError, type OpenOptions } from '../backends/block/byte-source.ts';
import { UserError } from '../util/errors.ts';
import { errorText } from './streams.ts';

const BLOCK_BYTES = 512;

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? 'EIO';

type LockMode = 'r' | 'w';
/** Claims of this process, by file. */
const ownLocks = new Map<string, LockMode[]>();

function lockFolder(): string {
  const base = process.env.XDG_RUNTIME_DIR ?? join(tmpdir(), `terrarium-${userInfo().username}`);
  const folder = join(base, 'terrarium-locks');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // The temporary folder is everybody's: what somebody else has put there must not decide about our images (the superuser decides anyway).
  const uid = process.getuid?.();
  for (const path of [base, folder]) {
    const info = lstatSync(path);
    if (!info.isDirectory() || (uid !== undefined && uid !== 0 && info.uid !== uid))
      throw new UserError(`image locks need a folder of the user's own, and '${path}' is not: set XDG_RUNTIME_DIR`);
  }
  return folder;
}
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
/** How other living processes hold a file; what dead ones left is removed. */
function othersHold(folder: string, key: string): LockMode[] {
  const modes: LockMode[] = [];
  for (const name of readdirSync(folder)) {
    const match = /^(\d+-\d+)\.(\d+)\.([rw])$/.exec(name);
    if (match?.[1] !== key) continue;
    const pid = Number(match[2]);
    if (pid === process.pid) continue;
    if (isAlive(pid)) modes.push(match[3] as LockMode);
    else
      try {
        unlinkSync(join(folder, name));
      } catch {
        // someone else was faster
      }
  }
  return modes;
}

class FileSource implements ByteSource {
  readonly filename: string;
  readonly isReadonly: boolean;
  readonly size: number;
  private readonly fd: number;
  private readonly key: string;
  private held: LockMode | null = null;
  private isClosed = false;

  constructor(filename: string, fd: number, isReadonly: boolean) {
    this.filename = filename;
    this.fd = fd;
    this.isReadonly = isReadonly;
    const info = fstatSync(fd);
    this.size = info.size;
    this.key = `${info.dev}-${info.ino}`;
  }
  get allocatedBytes(): number {
    return this.isClosed ? 0 : (fstatSync(this.fd).blocks ?? 0) * BLOCK_BYTES;
  }
  head(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(this.fd, bytes, 0, length, 0));
  }

  readAt(offset: number, target: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        if (done >= target.length || offset + done >= this.size) {
          target.fill(0, done);
          resolve();
          return;
        }
        read(this.fd, target, done, target.length - done, offset + done, (error, count) => {
          if (error) reject(new HostIoError(codeOf(error), errorText(error)));
          else if (count === 0) {
            target.fill(0, done);
            resolve();
          } else step(done + count);
        });
      };
      step(0);
    });
  }
  writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        if (done >= bytes.length) {
          resolve();
          return;
        }
        write(this.fd, bytes, done, bytes.length - done, offset + done, (error, count) => {
          if (error) reject(new HostIoError(codeOf(error), errorText(error)));
          else step(done + count);
        });
      };
      step(0);
    });
  }
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      fsync(this.fd, (error) => {
        if (error) reject(new HostIoError(codeOf(error), errorText(error)));
        else resolve();
      });
    });
  }

  lock(): void {
    if (this.held) return;
    const mode: LockMode = this.isReadonly ? 'r' : 'w';
    const own = ownLocks.get(this.key) ?? [];
    const folder = lockFolder();
    const path = this.lockPath(folder, mode);
    writeFileSync(path, '', { mode: 0o600 });
    const all = [...own, ...othersHold(folder, this.key)];
    const excluded = all.includes('w') || (mode === 'w' && all.includes('r'));
    if (excluded) {
      if (!own.includes(mode)) unlinkSync(path);
      throw new UserError(
        `Failed to get ${mode === 'w' ? '' : 'shared '}"write" lock`,
        `Is another process using the image [${this.filename}]?`,
      );
    }
    this.held = mode;
    ownLocks.set(this.key, [...own, mode]);
    if (!isCleanupRegistered) {
      isCleanupRegistered = true;
      process.once('exit', () => {
        for (const source of openSources) source.unlock();
      });
    }
    openSources.add(this);
  }
  private lockPath(folder: string, mode: LockMode): string {
    return join(folder, `${this.key}.${process.pid}.${mode}`);
  }
  unlock(): void {
    const { held } = this;
    if (!held) return;
    this.held = null;
    openSources.delete(this);
    const left = ownLocks.get(this.key) ?? [];
    left.splice(left.indexOf(held), 1);
    if (!left.includes(held))
      try {
        unlinkSync(this.lockPath(lockFolder(), held));
      } catch {
        // the folder went away with the session
      }
  }
  close(): void {
    if (this.isClosed) return;
    this.unlock();
    this.isClosed = true;
    closeSync(this.fd);
  }
}
/** Sources that hold a lock; an exit lets go of all. */
const openSources = new Set<FileSource>();
let isCleanupRegistered = false;

/** A named pipe must not make us wait for its other end. */
function tryOpen(filename: string, isReadonly: boolean): number {
  return openSync(filename, (isReadonly ? constants.O_RDONLY : constants.O_RDWR) | constants.O_NONBLOCK);
}

/** Opens an image file. @throws UserError in QEMU's words */
export function openImage(filename: string, options: OpenOptions): ByteSource {
  let { isReadonly } = options;
  let fd: number;
  const couldNot = (error: unknown) => new UserError(`Could not open '${filename}': ${errorText(error)}`);
  const notRegular = () => new UserError(`'file' driver requires '${filename}' to be a regular file`);
  try {
    fd = tryOpen(filename, isReadonly);
  } catch (error) {
    if (codeOf(error) === 'EISDIR') throw notRegular();
    const isRefused = codeOf(error) === 'EACCES' || codeOf(error) === 'EROFS';
    if (isReadonly || !options.autoReadonly || !isRefused) throw couldNot(error);
    isReadonly = true;
    try {
      fd = tryOpen(filename, true);
    } catch (again) {
      throw couldNot(again);
    }
  }
  if (!fstatSync(fd).isFile()) {
    closeSync(fd);
    throw notRegular();
  }
  return new FileSource(filename, fd, isReadonly);
}
