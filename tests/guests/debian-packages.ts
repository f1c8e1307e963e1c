/** Debian packages for i386 and amd64 guests, without touching the host's package database: apt with its own lists and its own
 *  status, under the checkout's cache folder. Needs neither root nor a foreign architecture in dpkg. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { projectRoot } from '../support/machine.ts';

export const guestCache = join(projectRoot, '.cache', 'guests');
/** An architecture of Debian's. Each has lists of its own. */
export type Architecture = 'i386' | 'amd64';
const aptFolder = (architecture: Architecture) =>
  join(guestCache, architecture === 'i386' ? 'apt' : `apt-${architecture}`);
const DAY_MS = 86_400_000;

/** Why a guest cannot be made here; tests and benchmarks print it and skip. */
export class GuestUnavailable extends Error {}

/** Runs a program; its failure is a reason to go without the guest. */
export function runTool(program: string, args: readonly string[], cwd = guestCache): string {
  const result = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (result.status === 0) return result.stdout;
  const why = result.error ? result.error.message : `${result.stderr}`.trim().split('\n').slice(-3).join(' | ');
  throw new GuestUnavailable(`${program} ${args.slice(-2).join(' ')}: ${why}`);
}

function optionsFor(architecture: Architecture): string[] {
  const apt = aptFolder(architecture);
  return [
    ...['-o', `Dir::State::Lists=${join(apt, 'lists')}`, '-o', `Dir::Cache=${join(apt, 'cache')}`],
    ...['-o', `Dir::State::status=${join(apt, 'status')}`, '-o', `APT::Architecture=${architecture}`],
    ...['-o', `APT::Architectures::=${architecture}`, '-o', 'Acquire::Languages=none'],
    ...['-o', 'APT::Sandbox::User=root', '-q'],
  ];
}

const LOCK = join(guestCache, 'lock');
function holder(): number | undefined {
  try {
    return Number(readlinkSync(LOCK));
  } catch {
    return undefined;
  }
}
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
/** One process at a time: two that update apt's lists at once leave neither with all of them. */
function alone<T>(work: () => T): T {
  mkdirSync(guestCache, { recursive: true });
  for (;;) {
    try {
      symlinkSync(`${process.pid}`, LOCK);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const pid = holder();
      if (pid !== undefined && !isAlive(pid)) rmSync(LOCK, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  try {
    return work();
  } finally {
    unlinkSync(LOCK);
  }
}

const fresh = new Set<Architecture>();
function updateLists(architecture: Architecture): void {
  if (fresh.has(architecture)) return;
  const apt = aptFolder(architecture);
  for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  // One list that fails (a mirror in the middle of its update) does not matter when the package is in another.
  spawnSync('apt-get', [...optionsFor(architecture), 'update'], { stdio: 'ignore', timeout: 5 * 60_000 });
  fresh.add(architecture);
}

/** Unpacks a package, fetched when it is not there yet, and gives the folder. */
export function debianPackage(name: string, architecture: Architecture = 'i386'): string {
  const target = join(guestCache, architecture === 'i386' ? 'packages' : `packages-${architecture}`, name);
  if (!existsSync(target)) alone(() => fetchPackage(name, architecture, target));
  return target;
}
function fetchPackage(name: string, architecture: Architecture, target: string): void {
  if (existsSync(target)) return; // another process had it fetched
  mkdirSync(dirname(target), { recursive: true });
  updateLists(architecture);
  const folder = `${target}.${process.pid}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  try {
    runTool('apt-get', [...optionsFor(architecture), 'download', name], folder);
    const archive = readdirSync(folder).find((file) => file.endsWith('.deb'));
    if (!archive) throw new GuestUnavailable(`apt-get download ${name} left no package`);
    runTool('dpkg-deb', ['-x', join(folder, archive), join(folder, 'out')]);
    renameSync(join(folder, 'out'), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The package that a metapackage depends on, by the beginning of its name. */
export function dependency(name: string, prefix: string, architecture: Architecture = 'i386'): string {
  const listing = alone(() => {
    updateLists(architecture);
    return runTool('apt-cache', [...optionsFor(architecture), 'depends', name]);
  });
  const found = [...listing.matchAll(/Depends: (\S+)/g)].map((match) => match[1]!).find((it) => it.startsWith(prefix));
  if (!found) throw new GuestUnavailable(`${name} depends on no ${prefix}*`);
  return found;
}

/** True when a made file is younger than a week: kernels get security updates, and the old one leaves the mirror. */
export const isRecent = (timeMs: number) => Date.now() - timeMs < 7 * DAY_MS;
