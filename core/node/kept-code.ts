/** Runs the bundles' programs and keeps between starts what V8 has compiled of them. Node's own cache keeps what is compiled when a
 *  file is loaded; most functions are compiled when they are first called, and a starting machine calls thousands. */
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { constants, Script } from 'node:vm';
import { crc32 } from 'node:zlib';

// An import from a module like this one would load all that it exports, streams too: 20 ms.
const {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} = process.getBuiltinModule('node:fs');

declare const __TERRARIUM_BUILD__: string | undefined;

const MAGIC = 0x3143_4354;
/** Magic, CRC-32 of the rest, 1 when a machine had run for a while. */
const HEADER_BYTES = 12;
/** By then a machine has started: nearly all code that ever runs has. */
const STARTED_MS = 10_000;
const OLD_MS = 30 * 86_400_000;
/** All files of kept code together. */
const FOLDER_BYTES = 256 << 20;

export interface KeptCode {
  readonly data: Buffer;
  readonly isWhole: boolean;
}

/** Opens a file of kept code, which will be run: only what is the user's own, and nobody else can have written. Null: there is none. */
export function openKept(file: string): number | null {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return null;
  }
  const { uid, mode } = fstatSync(descriptor);
  if (process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0)) return descriptor;
  closeSync(descriptor);
  return null;
}
/** What a file of kept code holds, or null: there is none, or it is damaged. */
export function readKept(file: string): KeptCode | null {
  const descriptor = openKept(file);
  if (descriptor === null) return null;
  let bytes: Buffer;
  try {
    bytes = readFileSync(descriptor);
  } catch {
    return null;
  } finally {
    closeSync(descriptor);
  }
  if (bytes.length <= HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return null;
  const checked = bytes.subarray(8);
  if (crc32(checked) !== bytes.readUInt32LE(4)) return null;
  return { data: bytes.subarray(HEADER_BYTES), isWhole: bytes.readUInt32LE(8) === 1 };
}
/** The folder of a file of kept code, for the user alone. */
export function makeFolder(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
}
export function removeIfThere(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // There is not even a folder.
  }
}
/** Removes what nobody has written for long, and the oldest of what is more than there is room for: each build has files of its own. */
function clearAway(folder: string): void {
  const files = readdirSync(folder).map((name) => {
    const path = join(folder, name);
    const { mtimeMs, size } = statSync(path);
    return { path, mtimeMs, size };
  });
  let bytes = 0;
  for (const { path, mtimeMs, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    bytes += size;
    if (bytes > FOLDER_BYTES || Date.now() - mtimeMs > OLD_MS) rmSync(path, { force: true });
  }
}
/** Writes such a file in one step and clears away what nobody has written for long. A folder that cannot be written costs nothing but
 *  time at the next start. */
export function writeKept(file: string, { data, isWhole }: KeptCode): void {
  const bytes = Buffer.alloc(HEADER_BYTES + data.length);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(isWhole ? 1 : 0, 8);
  data.copy(bytes, HEADER_BYTES);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  const folder = dirname(file);
  const temporary = `${file}.${process.pid}`;
  try {
    makeFolder(file);
    writeFileSync(temporary, bytes, { mode: 0o600 });
    renameSync(temporary, file);
    clearAway(folder);
  } catch {
    removeIfThere(temporary);
  }
}

/** Where kept code lies; undefined: nowhere. */
export function codeFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const { XDG_CACHE_HOME, HOME, LOCALAPPDATA } = environment;
  const base = XDG_CACHE_HOME ?? LOCALAPPDATA ?? (HOME === undefined ? undefined : join(HOME, '.cache'));
  return base === undefined ? undefined : join(base, 'terrarium', 'code');
}

interface Bundle {
  readonly script: Script;
  readonly file: string;
  kept: 'none' | 'part' | 'whole';
}
export interface Program {
  readonly exports: unknown;
  /** Of each bundle, what was kept of it. */
  readonly bundles: readonly { readonly kept: 'none' | 'part' | 'whole' }[];
  /** Keeps what is compiled by now, where that is more than what is kept. */
  save(isWhole: boolean): void;
}
export interface KeepingPlace {
  readonly folder: string;
  /** Names the sources that the bundles were made of: V8 itself looks at the length of a text only. */
  readonly build: string;
}

/** Null for sources that were not built, which may be any, and where there is no folder. */
export function keepingPlace(): KeepingPlace | null {
  const folder = codeFolder();
  return typeof __TERRARIUM_BUILD__ === 'string' && folder !== undefined
    ? { folder, build: __TERRARIUM_BUILD__ }
    : null;
}

/** Runs a CommonJS bundle of ASCII, and those beside it that it requires. `role` tells programs apart that share bundles and use
 *  different functions of them. */
export function loadProgram(file: string, role: string, place: KeepingPlace | null): Program {
  const flags = crc32(`${process.version} ${process.arch} ${process.execArgv.join(' ')}`).toString(16);
  const bundles: Bundle[] = [];
  const modules = new Map<string, { exports: unknown }>();
  const requireBuiltin = createRequire(file);
  /** Once, however often it is required; who requires it while it runs gets what it exports so far, as in Node. */
  const run = (path: string): unknown => {
    const known = modules.get(path);
    if (known) return known.exports;
    const module: { exports: unknown } = { exports: {} };
    modules.set(path, module);
    // V8 keeps text of one byte per character, and scans it, in half the room.
    const text = `(function (exports, require, module, __filename, __dirname) {${readFileSync(path, 'latin1')}\n})`;
    const keptFile = place && join(place.folder, `${place.build}-${flags}-${role}-${basename(path)}.bin`);
    const kept = keptFile === null ? null : readKept(keptFile);
    const script = new Script(text, {
      filename: path,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      ...(kept ? { cachedData: kept.data } : {}),
    });
    const isUsed = kept !== null && script.cachedDataRejected === false;
    if (keptFile !== null)
      bundles.push({ script, file: keptFile, kept: !isUsed ? 'none' : kept.isWhole ? 'whole' : 'part' });
    const require = (id: string): unknown => (id.startsWith('./') ? run(join(dirname(path), id)) : requireBuiltin(id));
    script.runInThisContext()(module.exports, require, module, path, dirname(path));
    return module.exports;
  };
  return {
    exports: run(file),
    bundles,
    save(isWhole) {
      for (const bundle of bundles) {
        if (bundle.kept === 'whole' || (bundle.kept === 'part' && !isWhole)) continue;
        writeKept(bundle.file, { data: bundle.script.createCachedData(), isWhole });
        bundle.kept = isWhole ? 'whole' : 'part';
      }
    },
  };
}

/** The same for the whole process or thread, which keeps its code once it has run for a while, or when it ends. Returns what the program
 *  exports. */
export function runProgram(file: string, role: string): unknown {
  const program = loadProgram(file, role, keepingPlace());
  setTimeout(() => program.save(true), STARTED_MS).unref();
  process.on('exit', () => program.save(false));
  return program.exports;
}
