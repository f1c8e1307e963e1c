/** `npm start`: sets up what is missing, then opens the app: in Electron where there is a display and Electron's binary,
 *  else as a web page whose address is printed.
 *
 *    npm start -- [--web | --desktop] [options of the app]
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cache, childEnv, dist, moduleFile, node24, root } from './paths.mjs';
import { orExplain, setUp } from './setup.mjs';

const DAY_MS = 24 * 3600 * 1000;
const own = ['--web', '--desktop'];
const passed = process.argv.slice(2).filter((arg) => !own.includes(arg));
orExplain(() => setUp());

const electron = process.argv.includes('--web') ? undefined : await findElectron(process.argv.includes('--desktop'));
if (electron) {
  const unsandboxed = process.platform === 'linux' && process.getuid?.() === 0;
  if (unsandboxed) console.error("Running as root: Electron's sandbox is off.");
  run(electron, [...(unsandboxed ? ['--no-sandbox'] : []), root, ...passed]);
} else {
  run(node24, [join(dist, 'electron', 'web.mjs'), ...passed]);
}

/** Hands terminal and signals to the app; its exit code is ours. @param {string} program @param {string[]} args */
function run(program, args) {
  const child = spawn(program, args, { stdio: 'inherit', env: childEnv() });
  // Ctrl+C reaches the whole foreground group: the app decides when to end, and we end with it.
  process.on('SIGINT', () => {});
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`Could not start ${program}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}

/** Electron's executable, fetched once where that is possible; undefined, with the reason printed, where it is not.
 *  @param {boolean} demanded */
async function findElectron(demanded) {
  if (!hasDisplay() && !demanded) {
    console.error('No display: starting the app for a browser.');
    return undefined;
  }
  const found = electronBinary();
  if (found) return found;
  const failure = demanded ? undefined : recentFailure();
  const reason = failure ?? (await downloadElectron());
  if (!reason) return electronBinary();
  console.error(
    `Electron is not available (${reason}): starting the app for a browser. To try again: npm start -- --desktop`,
  );
  return undefined;
}

function hasDisplay() {
  if (process.platform !== 'linux') return true;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** The executable that Electron's own installer left, if it is complete. */
function electronBinary() {
  const pathFile = moduleFile('electron', 'path.txt');
  if (!existsSync(pathFile)) return undefined;
  const folder = process.env.ELECTRON_OVERRIDE_DIST_PATH ?? moduleFile('electron', 'dist');
  const binary = join(folder, readFileSync(pathFile, 'utf8').trim());
  return existsSync(binary) ? binary : undefined;
}

/** Runs Electron's installer when its server answers. @returns why not, or undefined when it is installed */
async function downloadElectron() {
  const { version } = JSON.parse(readFileSync(moduleFile('electron', 'package.json'), 'utf8'));
  const mirror = process.env.ELECTRON_MIRROR ?? process.env.npm_config_electron_mirror;
  const base = mirror ?? 'https://github.com/electron/electron/releases/download/';
  try {
    await fetch(base, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(5000) });
  } catch {
    return noteFailure(`${new URL(base).host} does not answer`);
  }
  console.error(`Downloading Electron ${version} ...`);
  /** @type {import('node:child_process').SpawnSyncOptions} */
  const options = { cwd: root, env: childEnv(), stdio: ['ignore', 2, 'ignore'], timeout: 900_000 };
  const { status } = spawnSync(node24, [moduleFile('electron', 'install.js')], options);
  return status === 0 && electronBinary() ? undefined : noteFailure('the download failed');
}

/** A failed download is not repeated within a day: a start must not wait for it each time. @param {string} reason */
function noteFailure(reason) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(join(cache, 'electron-download-failed'), reason);
  return reason;
}

function recentFailure() {
  const note = join(cache, 'electron-download-failed');
  if (!existsSync(note) || Date.now() - statSync(note).mtimeMs > DAY_MS) return undefined;
  return readFileSync(note, 'utf8');
}
