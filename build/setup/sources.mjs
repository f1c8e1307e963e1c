/** Which bundles are older than their sources. A hash of the sources' contents, kept in dist, decides: modification
 *  times lie after a checkout. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dist, root } from '../paths.mjs';

/** Each bundle: `entries` by output name, `programs` that those run (core/node/kept-code.ts), the folders whose files it may contain, and
 *  what proves that it is built. */
export const targets = {
  emulator: {
    entries: { 'terrarium-x86_64': 'core/node/start.ts', 'compile-worker': 'core/node/compile-start.ts' },
    programs: { main: 'core/node/main.ts', 'compile-worker': 'core/node/compile-worker.ts' },
    output: 'terrarium-x86_64.mjs',
    sources: ['core'],
  },
  electron: {
    entries: { web: 'electron/shell/web/main.ts', desktop: 'electron/shell/desktop/main.ts' },
    preload: 'electron/shell/desktop/preload.ts',
    output: 'electron/web.mjs',
    sources: ['electron', 'core'],
  },
  renderer: {
    entries: { index: 'renderer/index.html' },
    output: 'renderer/index.html',
    sources: ['renderer', 'electron/api'],
  },
};

/** @typedef {keyof typeof targets} TargetName */

const notInBundles = /\.(test|bench)\.[a-z]+$|\.md$|^tsconfig.*\.json$/;
const common = ['build/bundle.mjs', 'build/setup/sources.mjs', 'package-lock.json'];

/** The names of bundles to build. */
export function staleTargets() {
  const stamps = readStamps();
  return targetNames().filter((name) => {
    const built = existsSync(join(dist, targets[name].output));
    return !built || stamps[name] !== sourceHash(name);
  });
}

/** @returns {TargetName[]} */
export function targetNames() {
  return /** @type {TargetName[]} */ (Object.keys(targets));
}

/** Notes that a bundle is up to date with the sources that `sourceHash` saw. @param {TargetName} name @param {string} hash */
export function stampTarget(name, hash) {
  mkdirSync(dist, { recursive: true });
  const temporary = join(dist, `.stamps.${process.pid}`);
  writeFileSync(temporary, JSON.stringify({ ...readStamps(), [name]: hash }, null, 2));
  renameSync(temporary, join(dist, '.stamps.json'));
}

/** @param {TargetName} name */
export function sourceHash(name) {
  const hash = createHash('sha256');
  const files = [...common, ...targets[name].sources.flatMap((folder) => [...walk(folder)])];
  for (const file of files.sort())
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex').slice(0, 32);
}

/** @returns {Record<string, string>} */
function readStamps() {
  try {
    return JSON.parse(readFileSync(join(dist, '.stamps.json'), 'utf8'));
  } catch {
    return {}; // no build yet, or half a file from a power cut: build again
  }
}

/** @param {string} folder @returns {Generator<string>} */
function* walk(folder) {
  if (!existsSync(join(root, folder))) return;
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== 'fixtures' && entry.name !== 'node_modules') yield* walk(path);
    } else if (entry.isFile() && !notInBundles.test(entry.name)) yield path;
  }
}
