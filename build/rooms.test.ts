/** The TypeScript project of core is a fence: the DOM and Node do not compile inside it. The probes join core's own
 *  files, so that a `/// <reference lib="dom"/>` or a stray type import in any of them is noticed too. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { cache, moduleFile, node24, root } from './paths.mjs';

const PROBES = {
  document: ['export const x = document.title;', 'TS2584'],
  'a Node module': ["import { readFileSync } from 'node:fs';\nexport const x = readFileSync;", 'TS2591'],
  process: ['export const x = process.pid;', 'TS2591'],
  Buffer: ["export const x = Buffer.from('a');", 'TS2591'],
  setTimeout: ['export const x = setTimeout(() => {}, 1);', 'TS2304'],
  'an enum': ['export enum E { A }', 'TS1294'],
} as const;
const WEB_ASSEMBLY = 'export const x = new WebAssembly.Module(new Uint8Array(8));';

/** What the compiler says of each probe. All stand in one project: compiling core is what takes long. */
let said: Map<string, string>;
beforeAll(() => {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'rooms-'));
  try {
    said = compile(folder, {
      ...Object.fromEntries(Object.entries(PROBES).map(([what, [text]]) => [what, text])),
      WebAssembly: WEB_ASSEMBLY,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

function compile(folder: string, probes: Readonly<Record<string, string>>): Map<string, string> {
  const files = Object.entries(probes).map(([what, text], i) => ({ what, text, name: `probe-${i}.ts` }));
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
  const include = ['./probe-*.ts', join(root, 'core')];
  const exclude = [join(root, 'core/node'), join(root, 'core/**/*.test.ts'), join(root, 'core/**/*.bench.ts')];
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../core/tsconfig.json', include, exclude }),
  );
  const tsc = [moduleFile('typescript', 'bin', 'tsc'), '-p', folder, '--pretty', 'false'];
  const lines = spawnSync(node24, tsc, { encoding: 'utf8' }).stdout.split('\n');
  return new Map(files.map(({ what, name }) => [what, lines.filter((line) => line.includes(name)).join('\n')]));
}

describe("core's types", () => {
  it.each(Object.entries(PROBES))('refuse %s', (what, [, code]) => {
    expect(said.get(what)).toContain(code);
  });

  it('know WebAssembly', () => {
    expect(said.get('WebAssembly')).toBe('');
  });
});
