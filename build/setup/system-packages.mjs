/** What the project needs that is no npm package: installed with apt where that needs no question, else listed. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { findProgram } from '../paths.mjs';

/** @typedef {{ package: string, needs: string[], why: string, brew?: string }} Requirement */

/** The requirements of `npm start`, and with `tests` also those of `npm test`. @returns {Requirement[]} */
export function requirements({ tests = false } = {}) {
  const lists = JSON.parse(readFileSync(new URL('./system-packages.json', import.meta.url), 'utf8'));
  return tests ? [...lists.start, ...lists.tests] : lists.start;
}

/** Installs what is missing if apt may be used without asking. Returns what is missing after that.
 *  @param {Requirement[]} wanted @param {(line: string) => void} say */
export function installSystemPackages(wanted, say) {
  const missing = wanted.filter(isMissing);
  if (missing.length === 0) return missing;
  const apt = aptPrefix();
  if (!apt) return missing;
  say(`Installing Debian packages: ${missing.map((item) => item.package).join(' ')} ...`);
  const names = missing.map((item) => item.package);
  if (!names.every(hasCandidate)) runApt(apt, ['update', '-q']);
  if (runApt(apt, ['install', '-y', '-q', '--no-install-recommends', ...names]) !== 0) {
    // The lists may be older than what the mirror still has.
    runApt(apt, ['update', '-q']);
    runApt(apt, ['install', '-y', '-q', '--no-install-recommends', ...names]);
  }
  return missing.filter(isMissing);
}

/** @param {Requirement} item */
export const isMissing = (item) => !item.needs.every((file) => existsSync(file));

/** One line per thing to install, and the command that does it. @param {Requirement[]} missing */
export function remedy(missing) {
  const width = Math.max(...missing.map((item) => item.package.length));
  const lines = missing.map((item) => `  ${item.package.padEnd(width)}  ${item.why}`);
  const names = missing.map((item) => item.package).join(' ');
  if (findProgram('apt-get')) return [...lines, '', `  sudo apt-get install ${names}`].join('\n');
  const files = missing.flatMap((item) => item.needs.filter((file) => !existsSync(file)));
  return [...lines, '', 'Looked for:', ...files.map((file) => `  ${file}`)].join('\n');
}

/** How apt-get is run without a question: as root directly, else through a sudo that wants no password. */
function aptPrefix() {
  if (process.platform !== 'linux' || !findProgram('apt-get')) return undefined;
  if (process.getuid?.() === 0) return [];
  if (findProgram('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return ['sudo', '-n'];
  return undefined;
}

/** @param {string[]} prefix @param {string[]} args */
function runApt(prefix, args) {
  const line = [
    ...prefix,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-o',
    'DPkg::Lock::Timeout=120',
    ...args,
  ];
  return spawnSync(line[0] ?? '', line.slice(1), { stdio: ['ignore', 2, 2] }).status;
}

/** @param {string} name */
function hasCandidate(name) {
  const { status, stdout } = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' });
  return status === 0 && /Candidate: (?!\(none\))/.test(stdout);
}
