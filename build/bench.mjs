/** `npm run bench` and `npm run soak`: runs each *.bench.ts (*.soak.ts) of the checkout on its own, one after the other,
 *  and prints before each the command that repeats it.
 *
 *    node build/bench.mjs bench|soak [FILTER ...]
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root, runNode } from './paths.mjs';
import { orExplain, setUp } from './setup.mjs';

const [kind = 'bench', ...filters] = process.argv.slice(2);
orExplain(() => setUp({ tests: true }));

const files = ['core', 'electron', 'tests'].flatMap((folder) => find(folder, `.${kind}.ts`));
const chosen = files.filter((file) => filters.every((filter) => file.includes(filter)));
if (chosen.length === 0) {
  console.error(
    `No ${kind} matches ${filters.join(' ') || '*'}; there are:\n${files.map((file) => `  ${file}`).join('\n')}`,
  );
  process.exit(1);
}
let failed = 0;
for (const file of chosen) {
  console.log(`\n$ node ${file}`);
  if (runNode(['--experimental-wasm-branch-hinting', file], { stdio: ['ignore', 1, 2] }) !== 0) {
    console.error(`FAILED ${file}`);
    failed++;
  }
}
process.exit(failed > 0 ? 1 : 0);

/** @param {string} folder @param {string} ending */
function find(folder, ending) {
  const entries = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return entries
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`)
    .sort();
}
