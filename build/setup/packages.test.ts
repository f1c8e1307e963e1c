/** When `npm ci` runs: node_modules against package-lock.json. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stalePackages } from './packages.mjs';

type Lock = Record<string, { version: string; optional?: boolean }>;
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-packages-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function lock(wanted: Lock, installed?: Lock) {
  const root = { '': { version: '0.1.0' } };
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: { ...root, ...wanted } }));
  if (!installed) return;
  mkdirSync(join(folder, 'node_modules'));
  writeFileSync(join(folder, 'node_modules/.package-lock.json'), JSON.stringify({ packages: installed }));
}

const zod = { 'node_modules/zod': { version: '4.6.7' } };

describe('stalePackages', () => {
  it('is content with what the lock file names', () => {
    lock({ ...zod, 'node_modules/other-cpu': { version: '1.0.0', optional: true } }, zod);
    expect(stalePackages(folder)).toBeUndefined();
  });

  it('sees that nothing, something or another version is installed', () => {
    lock(zod);
    expect(stalePackages(folder)).toBe('no packages installed yet');
    lock({ ...zod, 'node_modules/ws': { version: '8.23.0' } }, zod);
    expect(stalePackages(folder)).toBe('ws is missing');
    rmSync(join(folder, 'node_modules'), { recursive: true });
    lock(zod, { 'node_modules/zod': { version: '4.6.6' } });
    expect(stalePackages(folder)).toBe('node_modules/zod is 4.6.6, package-lock.json wants 4.6.7');
  });

  it('takes an interrupted installation for none', () => {
    lock(zod, zod);
    writeFileSync(join(folder, 'node_modules/.package-lock.json'), '{"packages": {');
    expect(stalePackages(folder)).toBe('the last installation did not finish');
  });
});
