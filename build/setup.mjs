/** Sets up what is missing, and only that: npm packages, firmware, the build; with --tests also what tests need.
 *  Runs on Node 20 without any package. Speaks on stderr, and only when it does something.
 *
 *    node build/setup.mjs [--tests] [--no-build | --emulator]
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runNode } from './paths.mjs';
import { installFirmware } from './setup/firmware.mjs';
import { installPackages } from './setup/packages.mjs';
import { staleTargets } from './setup/sources.mjs';
import { installSystemPackages, remedy, requirements } from './setup/system-packages.mjs';

/** `build`: everything, nothing, or the emulator alone. Throws an Error whose message says what to do.
 *  @param {{ tests?: boolean, build?: 'all' | 'none' | 'emulator' }} options */
export function setUp({ tests = false, build = 'all' } = {}) {
  const [major = 0] = process.versions.node.split('.').map(Number);
  if (major < 20) throw new Error(`Node 20 or newer is needed to set up; this is ${process.version}`);
  installPackages(say);
  if (build !== 'emulator') installFirmware(say);
  if (tests) {
    const missing = installSystemPackages(requirements({ tests: true }), say);
    if (missing.length > 0) throw new Error(`The tests need packages that could not be installed:\n${remedy(missing)}`);
  }
  const stale = build === 'none' ? [] : staleTargets().filter((name) => build === 'all' || name === 'emulator');
  if (stale.length > 0 && runNode(['build/bundle.mjs', ...stale], { stdio: ['ignore', 2, 2] }) !== 0) {
    throw new Error('The build failed; its message is above');
  }
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs `body`; an Error becomes its message on stderr and exit code 1. @param {() => void} body */
export function orExplain(body) {
  try {
    body();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const has = (/** @type {string} */ option) => process.argv.includes(option);
  const build = has('--no-build') ? 'none' : has('--emulator') ? 'emulator' : 'all';
  orExplain(() => setUp({ tests: has('--tests'), build }));
}
