/** npm packages: are those in node_modules the ones that package-lock.json names? If not, `npm ci`.
 *  npm keeps a copy of the lock file with what it really installed (node_modules/.package-lock.json); comparing the two
 *  needs no stamp of ours and is right after `npm install` too. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { childEnv, moduleFile, node24, root } from '../paths.mjs';

/** Why the packages have to be installed (a sentence), or undefined when they are in place. */
export function stalePackages(base = root) {
  const installed = join(base, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'no packages installed yet';
  const wanted = readLock(join(base, 'package-lock.json'));
  let present;
  try {
    present = readLock(installed);
  } catch {
    return 'the last installation did not finish';
  }
  for (const [path, want] of Object.entries(wanted)) {
    if (path === '') continue;
    const have = present[path];
    if (!have) {
      if (want.optional || want.devOptional) continue;
      return `${path.replace(/^.*node_modules\//, '')} is missing`;
    }
    if (have.version !== want.version) return `${path} is ${have.version}, package-lock.json wants ${want.version}`;
  }
  return undefined;
}

/** @param {string} path @returns {Record<string, { version?: string, optional?: boolean, devOptional?: boolean }>} */
function readLock(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
}

/** Brings node_modules up to date. @param {(line: string) => void} say */
export function installPackages(say) {
  const stale = stalePackages();
  if (stale) {
    say(`Installing npm packages (${stale}) ...`);
    const env = { ...process.env, ELECTRON_SKIP_BINARY_DOWNLOAD: '1' };
    const npm = npmCommand();
    const args = [...npm.args, 'ci', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'];
    const result = spawnSync(npm.program, args, { cwd: root, env, stdio: ['ignore', 2, 2], shell: npm.shell });
    if (result.status !== 0) {
      throw new Error(`npm ci failed (exit code ${result.status ?? result.signal}); its message is above`);
    }
  }
  repairNode(say);
  checkNativeModules(Boolean(stale));
}

/** Under `npm run`, the npm that runs us; otherwise the one on PATH. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script?.endsWith('npm-cli.js') && existsSync(script))
    return { program: process.execPath, args: [script], shell: false };
  return { program: 'npm', args: [], shell: process.platform === 'win32' };
}

/** The package `node` fetches its executable in an install script. Where npm does not run such scripts (ignore-scripts,
 *  or an npm that asks for approval first), its script is run here. @param {(line: string) => void} say */
function repairNode(say) {
  if (existsSync(node24)) return;
  const folder = dirname(dirname(node24));
  say('Fetching Node 24 (npm did not run the install script of package "node") ...');
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (/^npm_config_(ignore_scripts|global)$/i.test(name)) delete env[name];
  spawnSync(process.execPath, ['installArchSpecificPackage.js'], { cwd: folder, env, stdio: ['ignore', 2, 2] });
  if (!existsSync(node24)) {
    throw new Error(
      `Node 24 could not be installed: ${node24} is missing.\nTry: npm rebuild node --ignore-scripts=false`,
    );
  }
}

/** Says in one sentence what a cryptic load error would mean. @param {boolean} always */
function checkNativeModules(always) {
  if (!always) return;
  const script = "new (require('better-sqlite3'))(':memory:').prepare('select 1').get()";
  const { status, stderr } = spawnSync(node24, ['-e', script], { cwd: root, env: childEnv(), encoding: 'utf8' });
  if (status === 0) return;
  const why =
    stderr
      ?.trim()
      .split('\n')
      .find((line) => /error/i.test(line)) ?? 'it does not start';
  throw new Error(
    `better-sqlite3 does not work with ${node24}: ${why}\nIts prebuilt binaries: ${moduleFile('better-sqlite3', 'prebuilds')}`,
  );
}
