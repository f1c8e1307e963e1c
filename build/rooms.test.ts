/** The TypeScript project of core is a fence: the DOM and Node do not compile inside it. The probes join core's own
 *  files, so that a `/// <reference lib="dom"/>` or a stray type import in any of them is noticed too. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cache, moduleFile, node24, root } from './paths.mjs';

let folder = '';
beforeAll(() => {
  mkdirSync(cache, { recursive: true });
  folder = mkdtempSync(join(cache, 'rooms-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compile(probe: string): string {
  writeFileSync(join(folder, 'probe.ts'), probe);
  const include = ['./probe.ts', join(root, 'core')];
  const exclude = [join(root, 'core/node'), join(root, 'core/**/*.test.ts'), join(root, 'core/**/*.bench.ts')];
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../core/tsconfig.json', include, exclude }),
  );
  const tsc = [moduleFile('typescript', 'bin', 'tsc'), '-p', folder, '--pretty', 'false'];
  const { stdout } = spawnSync(node24, tsc, { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes('probe.ts'))
    .join('\n');
}

describe("core's types", () => {
  it.each([
    ['document', 'export const x = document.title;', 'TS2584'],
    ['a Node module', "import { readFileSync } from 'node:fs';\nexport const x = readFileSync;", 'TS2591'],
    ['process', 'export const x = process.pid;', 'TS2591'],
    ['Buffer', "export const x = Buffer.from('a');", 'TS2591'],
    ['setTimeout', 'export const x = setTimeout(() => {}, 1);', 'TS2304'],
    ['an enum', 'export enum E { A }', 'TS1294'],
  ])('refuse %s', (_what, probe, code) => {
    expect(compile(probe)).toContain(code);
  });

  it('know WebAssembly', () => {
    expect(compile('export const x = new WebAssembly.Module(new Uint8Array(8));')).toBe('');
  });
});
