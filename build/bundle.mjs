/** Makes the bundles in dist/ that are named on the command line (all that are stale when none is; --all: every one).
 *
 *    node build/bundle.mjs [--all] [emulator] [electron] [renderer]
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dist, node24, root, runNode } from './paths.mjs';
import { sourceHash, staleTargets, stampTarget, targetNames, targets } from './setup/sources.mjs';

const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 22 && existsSync(node24)) process.exit(runNode(['build/bundle.mjs', ...process.argv.slice(2)]));

const { build } = await import('vite');
const packages = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const all = process.argv.includes('--all');
const named = targetNames().filter((name) => process.argv.slice(2).includes(name));
const chosen = all ? targetNames() : named.length > 0 ? named : staleTargets();

/** Names stay for traces; without comments and white space V8 starts sooner. */
const minify = { compress: false, mangle: false, codegen: { removeWhitespace: true } };

let failed = false;
for (const name of chosen) {
  const target = targets[name];
  const absent = Object.values(target.entries).filter((file) => !existsSync(join(root, file)));
  if (absent.length > 0) {
    console.error(`Cannot build ${name}: ${absent.join(', ')} not found`);
    failed = true;
    continue;
  }
  const hash = sourceHash(name);
  const started = performance.now();
  try {
    if (name === 'renderer') await bundleRenderer();
    else await bundleForNode(target.entries, name === 'electron' ? join(dist, 'electron') : dist, hash);
    if ('programs' in target) await bundlePrograms(target.programs, hash);
    if ('preload' in target) await bundlePreload(target.preload);
    stampTarget(name, hash);
    console.error(`Built ${name} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.error(`Building ${name} failed: ${error instanceof Error ? error.message : error}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);

/** One ES module per entry. @param {Record<string, string>} entries @param {string} outDir @param {string} hash */
async function bundleForNode(entries, outDir, hash) {
  const names = { entryFileNames: '[name].mjs', chunkFileNames: 'chunks/[name].mjs' };
  await bundle(entries, hash, { outDir, emptyOutDir: false }, { format: 'es', ...names });
}

/** One CommonJS bundle per program, in `programs`, of ASCII alone. @param {Record<string, string>} programs @param {string} hash */
async function bundlePrograms(programs, hash) {
  const ascii = {
    name: 'ascii',
    generateBundle: (/** @type {unknown} */ _, /** @type {Chunks} */ made) => toAscii(made),
  };
  const names = { entryFileNames: '[name].cjs', chunkFileNames: '[name].cjs' };
  await bundle(programs, hash, { outDir: join(dist, 'programs'), emptyOutDir: true }, { format: 'cjs', ...names }, [
    ascii,
  ]);
}

/** For Node. Packages with native parts, and Electron's own, stay outside.
 *  @param {Record<string, string>} entries @param {string} hash of the sources
 *  @param {{ outDir: string, emptyOutDir: boolean }} place
 *  @param {{ format: 'es' | 'cjs', entryFileNames: string, chunkFileNames: string }} output
 *  @param {import('vite').Plugin[]} plugins */
async function bundle(entries, hash, place, output, plugins = []) {
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { noExternal: true, external: ['electron', 'better-sqlite3'] },
    plugins,
    build: {
      ssr: true,
      ...place,
      target: 'node24',
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(entries).map(([key, file]) => [key, join(root, file)])),
        output: { ...output, minify },
      },
    },
    define: {
      __TERRARIUM_VERSION__: JSON.stringify(packages.version),
      __TERRARIUM_BUILD__: JSON.stringify(hash.slice(0, 16)),
    },
  });
}

/** @typedef {Record<string, { type: string, code?: string }>} Chunks */
/** Other characters stand in literals only, where an escape is the same. @param {Chunks} made */
function toAscii(made) {
  for (const chunk of Object.values(made))
    if (chunk.type === 'chunk' && chunk.code)
      chunk.code = chunk.code.replace(/[^\0-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A sandboxed preload script must be one CommonJS file. @param {string} file */
async function bundlePreload(file) {
  if (!existsSync(join(root, file))) throw new Error(`${file} not found`);
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { noExternal: true, external: ['electron'] },
    build: {
      ssr: join(root, file),
      outDir: join(dist, 'electron'),
      emptyOutDir: false,
      target: 'node24',
      minify: false,
      rolldownOptions: { output: { format: 'cjs', entryFileNames: 'preload.cjs' } },
    },
  });
}

async function bundleRenderer() {
  await build({ configFile: join(root, 'renderer', 'vite.config.ts'), logLevel: 'warn' });
}
