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
    else await bundleForNode(target.entries, name === 'electron' ? join(dist, 'electron') : dist);
    if ('preload' in target) await bundlePreload(target.preload);
    stampTarget(name, hash);
    console.error(`Built ${name} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  } catch (error) {
    console.error(`Building ${name} failed: ${error instanceof Error ? error.message : error}`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);

/** One ES module per entry. Packages with native parts, and Electron's own, stay outside.
 *  @param {Record<string, string>} entries @param {string} outDir */
async function bundleForNode(entries, outDir) {
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
        // Names stay for traces; without comments and white space V8 starts sooner.
        output: {
          format: 'es',
          entryFileNames: '[name].mjs',
          chunkFileNames: 'chunks/[name].mjs',
          minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
        },
      },
    },
    define: { __TERRARIUM_VERSION__: JSON.stringify(packages.version) },
  });
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
