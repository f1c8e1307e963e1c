import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { findFirmware, firmwareFolders } from './firmware.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'firmware-'));
  for (const name of ['a', 'b', 'a/folder.bin']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'a', 'both.bin'), 'a');
  writeFileSync(join(folder, 'b', 'both.bin'), 'b');
  writeFileSync(join(folder, 'b', 'only.bin'), 'only');
  writeFileSync(join(folder, 'b', 'folder.bin'), 'file');
  symlinkSync(join(folder, 'nowhere'), join(folder, 'a', 'only.bin'));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

const text = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes);

describe('firmware', () => {
  it('comes from the first folder that has it', () => {
    const folders = ['missing', 'a', 'b'].map((name) => join(folder, name));
    const find = (name: string) => text(findFirmware(name, folders));
    expect(find('both.bin')).toBe('a');
    expect(find('only.bin')).toBe('only'); // past a link that leads nowhere
    expect(find('folder.bin')).toBe('file'); // past a folder of that name
    expect(find('nosuch.bin')).toBeNull();
    expect(text(findFirmware('both.bin', folders.toReversed()))).toBe('b');
  });

  it('may be a path of its own', () => {
    expect(text(findFirmware(join(folder, 'b', 'both.bin'), [join(folder, 'a')]))).toBe('b');
    expect(findFirmware(join(folder, 'none'), [join(folder, 'a')])).toBeNull();
    expect(findFirmware(folder, [])).toBeNull();
  });

  it('is looked for where -L says, then where the environment says, then with the program, then in the system', () => {
    vi.stubEnv('TERRARIUM_FIRMWARE_DIR', '/from/environment');
    const folders = firmwareFolders(['/first', '/second']);
    expect(folders.slice(0, 3)).toEqual(['/first', '/second', '/from/environment']);
    const own = folders.findIndex((each) => each.endsWith('/firmware'));
    expect(own).toBeGreaterThan(2);
    expect(folders.indexOf('/usr/share/seabios')).toBeGreaterThan(own);
    vi.stubEnv('TERRARIUM_FIRMWARE_DIR', '');
    expect(firmwareFolders([])).not.toContain('');
  });
});
