/** `npm run check`: format and lint, the rooms' types, who imports whom. Runs all three and says what failed.
 *
 *    node build/check.mjs
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, moduleFile, node24, root } from './paths.mjs';
import { orExplain, setUp } from './setup.mjs';

/** One TypeScript project per room, each with the `lib` and `types` that it may know. */
export const rooms = ['core', 'core/node', 'electron', 'renderer', 'tests', 'build'];

const checks = [
  { name: 'format and lint', args: [moduleFile('@biomejs', 'biome', 'bin', 'biome'), 'ci', '--colors=off', '.'] },
  ...rooms.map((room) => ({
    name: `types of ${room}`,
    args: [moduleFile('typescript', 'bin', 'tsc'), '-p', join(room, 'tsconfig.json'), '--pretty', 'false'],
  })),
  { name: 'import rules', args: [join('build', 'layers.mjs')] },
];

/** @returns whether everything is in order */
export async function check() {
  const absent = rooms.filter((room) => !existsSync(join(root, room, 'tsconfig.json')));
  if (absent.length > 0) throw new Error(`No tsconfig.json in: ${absent.join(', ')}`);
  const queue = [...checks];
  let sound = true;
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) sound = (await runCheck(next)) && sound;
  };
  await Promise.all([worker(), worker()]);
  return sound;
}

/** Prints the output of a check only when it fails. @param {{ name: string, args: string[] }} it */
async function runCheck({ name, args }) {
  const started = performance.now();
  const child = spawn(node24, args, { cwd: root, env: childEnv({ NO_COLOR: '1' }), stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const code = await new Promise((resolve) => child.on('close', resolve).on('error', () => resolve(1)));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code !== 0) process.stdout.write(`${output.trimEnd()}\n`);
  console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`);
  return code === 0;
}

if (import.meta.filename === process.argv[1] || process.argv[1]?.endsWith(join('build', 'check.mjs'))) {
  orExplain(() => setUp({ build: 'none' }));
  process.exit((await check()) ? 0 : 1);
}
