import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import { createRawDisk, freeFileName, LARGEST_DISK_BYTES } from './disk-image.ts';

const MIB = 1024 * 1024;

describe('createRawDisk', () => {
  it('makes a sparse file of exactly that size, folder and all', async () => {
    const path = join(scratchFolder(), 'new', 'disk.img');
    await createRawDisk(path, 64 * MIB);
    const info = statSync(path);
    expect(info.size).toBe(64 * MIB);
    expect(info.blocks * 512).toBeLessThan(MIB);
    expect(info.mode & 0o777).toBe(0o600);
    expect(readdirSync(join(path, '..'))).toEqual(['disk.img']);
  });

  it('replaces nothing', async () => {
    const folder = scratchFolder();
    const path = join(folder, 'disk.img');
    writeFileSync(path, 'precious');
    await expect(createRawDisk(path, MIB)).rejects.toMatchObject({ code: 'conflict' });
    expect(readFileSync(path, 'utf8')).toBe('precious');
    expect(readdirSync(folder)).toEqual(['disk.img']);
  });

  it.each([0, -512, 511, MIB - 512, MIB + 1, 1.5 * MIB + 0.5, Number.NaN, LARGEST_DISK_BYTES + 512])(
    'refuses the size %s',
    async (size) => {
      const path = join(scratchFolder(), 'disk.img');
      await expect(createRawDisk(path, size)).rejects.toMatchObject({ code: 'invalid' });
      expect(existsSync(path)).toBe(false);
    },
  );

  it('says so when the folder cannot be made', async () => {
    const folder = scratchFolder();
    writeFileSync(join(folder, 'file'), '');
    await expect(createRawDisk(join(folder, 'file', 'disk.img'), MIB)).rejects.toMatchObject({ code: 'io' });
  });
});

it('freeFileName counts up', async () => {
  const folder = scratchFolder();
  expect(await freeFileName(folder, 'a.img')).toBe(join(folder, 'a.img'));
  writeFileSync(join(folder, 'a.img'), '');
  mkdirSync(join(folder, 'a-2.img'));
  chmodSync(join(folder, 'a-2.img'), 0);
  expect(await freeFileName(folder, 'a.img')).toBe(join(folder, 'a-3.img'));
});
