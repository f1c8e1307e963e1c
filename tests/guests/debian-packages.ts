/** Debian packages for i386 guests, without touching the host's package database: apt with its own lists and its own
 *  status, under the checkout's cache folder. Needs neither root nor a foreign architecture in dpkg. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/machine.ts';

export const guestCache = join(projectRoot, '.cache', 'guests');
const apt = join(guestCache, 'apt');
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

const options = [
  ...['-o', `Dir::State::Lists=${join(apt, 'lists')}`, '-o', `Dir::Cache=${join(apt, 'cache')}`],
  ...['-o', `Dir::State::status=${join(apt, 'status')}`, '-o', 'APT::Architecture=i386'],
  ...['-o', 'APT::Architectures::=i386', '-o', 'Acquire::Languages=none', '-o', 'APT::Sandbox::User=root', '-q'],
];

let listsAreFresh = false;
function updateLists(): void {
  if (listsAreFresh) return;
  for (const folder of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, folder), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  // One list that fails (a mirror in the middle of its update) does not matter when the package is in another.
  spawnSync('apt-get', [...options, 'update'], { stdio: 'ignore', timeout: 5 * 60_000 });
  listsAreFresh = true;
}

/** Unpacks a package, fetched when it is not there yet, and gives the folder. */
export function debianPackage(name: string): string {
  const target = join(guestCache, 'packages', name);
  if (existsSync(target)) return target;
  mkdirSync(join(guestCache, 'packages'), { recursive: true });
  updateLists();
  const folder = `${target}.${process.pid}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  try {
    runTool('apt-get', [...options, 'download', name], folder);
    const archive = readdirSync(folder).find((file) => file.endsWith('.deb'));
    if (!archive) throw new GuestUnavailable(`apt-get download ${name} left no package`);
    runTool('dpkg-deb', ['-x', join(folder, archive), join(folder, 'out')]);
    if (!existsSync(target)) renameSync(join(folder, 'out'), target);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return target;
}

/** The package that a metapackage depends on, by the beginning of its name. */
export function dependency(name: string, prefix: string): string {
  updateLists();
  const listing = runTool('apt-cache', [...options, 'depends', name]);
  const found = [...listing.matchAll(/Depends: (\S+)/g)].map((match) => match[1]!).find((it) => it.startsWith(prefix));
  if (!found) throw new GuestUnavailable(`${name} depends on no ${prefix}*`);
  return found;
}

/** True when a made file is younger than a week: kernels get security updates, and the old one leaves the mirror. */
export const isRecent = (timeMs: number) => Date.now() - timeMs < 7 * DAY_MS;
