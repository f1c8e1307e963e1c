/** Facts about this computer and where things are on it. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, freemem, homedir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { HostLimits } from '../api/contract.ts';
import { LIMITS } from '../api/definition.ts';
import { diskSpace, LARGEST_DISK_BYTES } from '../library/disk-image.ts';

const MIB = 1024 * 1024;
/** What the host itself and the manager keep. */
const RESERVED_MIB = 512;
/** The engine has one processor so far. */
const ENGINE_CPUS = 1;

/** `--data-dir`, else TERRARIUM_DATA_DIR, else where the system keeps a user's data. */
export function chooseDataDir(fromCommandLine?: string, environment: NodeJS.ProcessEnv = process.env): string {
  const wanted = fromCommandLine || environment.TERRARIUM_DATA_DIR;
  if (wanted) return resolve(wanted);
  if (process.platform === 'win32')
    return join(environment.APPDATA ?? join(homedir(), 'AppData', 'Roaming'), 'Terrarium');
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Terrarium');
  return join(environment.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'terrarium');
}

/** The package's folder: the nearest one above `from` whose package.json is ours. */
export function findPackageRoot(from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && readManifest(manifest).name === 'terrarium') return folder;
    if (folder === dirname(folder)) throw new Error(`no package.json of Terrarium above ${from}`);
  }
}

export function packageVersion(root: string): string {
  return readManifest(join(root, 'package.json')).version ?? '0.0.0';
}

export async function hostLimits(dataDir: string): Promise<HostLimits> {
  const memoryMiB = Math.floor(totalmem() / MIB);
  const { free } = await diskSpace(dataDir);
  return {
    memoryMiB,
    freeMemoryMiB: availableMemoryMiB(),
    maximumMachineMemoryMiB: Math.max(Math.min(LIMITS.memoryMiB.max, memoryMiB - RESERVED_MIB), 64),
    cpuCount: availableParallelism(),
    maximumMachineCpus: ENGINE_CPUS,
    freeDiskBytes: free,
    largestDiskBytes: LARGEST_DISK_BYTES,
  };
}

/** Linux counts its caches as used in `freemem`: MemAvailable is what programs can still get. */
function availableMemoryMiB(): number {
  try {
    const line = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'latin1'));
    if (line) return Math.floor(Number(line[1]) / 1024);
  } catch {
    // not Linux
  }
  return Math.floor(freemem() / MIB);
}

function readManifest(path: string): { name?: string; version?: string } {
  return JSON.parse(readFileSync(path, 'utf8'));
}
