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

/** @param {string} hash of the sources */
function constants(hash) {
  return {
    __TERRARIUM_VERSION__: JSON.stringify(packages.version),
    __TERRARIUM_BUILD__: JSON.stringify(hash.slice(0, 16)),
  };
}

/** One ES module per entry. Packages with native parts, and Electron's own, stay outside.
 *  @param {Record<string, string>} entries @param {string} outDir @param {string} hash */
async function bundleForNode(entries, outDir, hash) {
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { noExternal: true, external: ['electron', 'better-sqlite3'] },
    build: {
      ssr: true,
      outDir,
      emptyOutDir: false,
      target: 'node24',
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(entries).map(([key, file]) => [key, join(root, file)])),
        output: { format: 'es', entryFileNames: '[name].mjs', chunkFileNames: 'chunks/[name].mjs', minify },
      },
    },
    define: constants(hash),
  });
}

/** One CommonJS bundle per program, in `programs`, of ASCII alone. @param {Record<string, string>} programs @param {string} hash */
async function bundlePrograms(programs, hash) {
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { noExternal: true },
    plugins: [{ name: 'ascii', enforce: 'post', generateBundle: (_, bundle) => toAscii(bundle) }],
    build: {
      ssr: true,
      outDir: join(dist, 'programs'),
      emptyOutDir: true,
      target: 'node24',
      minify: false,
      sourcemap: true,
      rolldownOptions: {
        input: Object.fromEntries(Object.entries(programs).map(([key, file]) => [key, join(root, file)])),
        output: { format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: '[name].cjs', minify },
      },
    },
    define: constants(hash),
  });
}

/** Other characters stand in literals only, where an escape is the same. @param {Record<string, { type: string, code?: string }>} bundle */
function toAscii(bundle) {
  for (const chunk of Object.values(bundle))
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
