import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesFrom, firstBytes } from '../util/stored-bytes.ts';
import { openStored } from './stored-file.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-stored-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const never = (why: string) => {
  throw new Error(why);
};

describe('a file that is read as it is needed', () => {
  it('gives its parts', () => {
    const path = join(folder, 'file');
    writeFileSync(path, Buffer.from('0123456789'));
    const stored = openStored(path, never);
    expect(stored).not.toBeInstanceOf(Uint8Array);
    expect(stored.length).toBe(10);
    const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    expect(text(firstBytes(stored, 4))).toBe('0123');
    expect(text(firstBytes(stored))).toBe('0123456789');
    expect(text(firstBytes(bytesFrom(stored, 7), 20))).toBe('789');
    expect(bytesFrom(stored, 7).length).toBe(3);
  });

  it('that becomes shorter reads as zeroes behind its end, which is told once', () => {
    const path = join(folder, 'file');
    writeFileSync(path, Buffer.from('0123456789'));
    const told: string[] = [];
    const stored = openStored(path, (why) => told.push(why));
    truncateSync(path, 3);
    expect([...firstBytes(stored)]).toEqual([0x30, 0x31, 0x32, 0, 0, 0, 0, 0, 0, 0]);
    expect([...firstBytes(bytesFrom(stored, 5))]).toEqual([0, 0, 0, 0, 0]);
    expect(told).toEqual([`could not read '${path}': it has become shorter`]);
  });

  it('is read at once where it can be read only once', () => {
    const program = `import(process.argv[1]).then(({ openStored }) => process.stdout.write(openStored('/dev/stdin', console.error)))`;
    const { href } = new URL('./stored-file.ts', import.meta.url);
    const child = spawnSync('sh', ['-c', 'printf "from a pipe" | "$0" -e "$1" "$2"', process.execPath, program, href]);
    expect(child.stderr.toString()).toBe('');
    expect(child.stdout.toString()).toBe('from a pipe');
  });

  it('that is not there, or a folder, cannot be opened', () => {
    expect(() => openStored(join(folder, 'none'), never)).toThrow('ENOENT');
    expect(() => openStored(folder, never)).toThrow('EISDIR');
  });
});
