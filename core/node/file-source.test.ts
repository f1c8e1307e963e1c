import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openImage } from './file-source.ts';

let folder: string;
let runtime: string | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-image-'));
  runtime = process.env.XDG_RUNTIME_DIR;
  process.env.XDG_RUNTIME_DIR = folder;
});
afterEach(() => {
  if (runtime === undefined) delete process.env.XDG_RUNTIME_DIR;
  else process.env.XDG_RUNTIME_DIR = runtime;
  rmSync(folder, { recursive: true });
});
function image(bytes: Uint8Array | string): string {
  const path = join(folder, 'disk.img');
  writeFileSync(path, bytes);
  return path;
}

describe('image files', () => {
  it('are read and written where they are', async () => {
    const path = image('0123456789');
    const file = openImage(path, { isReadonly: false });
    expect([file.size, file.isReadonly, String.fromCharCode(...file.head(4))]).toEqual([10, false, '0123']);
    const target = new Uint8Array(6).fill(0xff);
    await file.readAt(7, target);
    expect([...target]).toEqual([0x37, 0x38, 0x39, 0, 0, 0]);
    await file.writeAt(2, Uint8Array.of(0x41, 0x42));
    await file.flush();
    expect(readFileSync(path, 'latin1')).toBe('01AB456789');
    file.close();
  });

  it('that cannot be opened are named in QEMU’s words', () => {
    const missing = join(folder, 'nosuch');
    expect(() => openImage(missing, { isReadonly: true })).toThrow(
      `Could not open '${missing}': No such file or directory`,
    );
    const directory = join(folder, 'd');
    mkdirSync(directory);
    for (const isReadonly of [true, false])
      expect(() => openImage(directory, { isReadonly })).toThrow(
        `'file' driver requires '${directory}' to be a regular file`,
      );
  });

  it.skipIf(process.getuid?.() === 0)('that may only be read say so, or are opened for reading', () => {
    const path = image('x');
    chmodSync(path, 0o400);
    expect(() => openImage(path, { isReadonly: false })).toThrow(`Could not open '${path}': Permission denied`);
    expect(openImage(path, { isReadonly: false, autoReadonly: true }).isReadonly).toBe(true);
  });

  it('belong to one writer or to many readers', () => {
    const path = image('x');
    const writer = openImage(path, { isReadonly: false });
    const second = openImage(path, { isReadonly: false });
    const reader = openImage(path, { isReadonly: true });
    writer.lock?.();
    writer.lock?.();
    expect(() => second.lock?.()).toThrow('Failed to get "write" lock');
    expect(() => reader.lock?.()).toThrow('Failed to get shared "write" lock');
    writer.close();
    reader.lock?.();
    openImage(path, { isReadonly: true }).lock?.();
    expect(() => second.lock?.()).toThrow('Failed to get "write" lock');
    reader.close();
  });

  it('are free again when the process that had them is gone', () => {
    const path = image('x');
    const module = fileURLToPath(new URL('file-source.ts', import.meta.url));
    const script = (after: string) =>
      `import { openImage } from ${JSON.stringify(module)};
       openImage(${JSON.stringify(path)}, { isReadonly: false }).lock(); ${after}`;
    const run = (after: string) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', script(after)], { encoding: 'utf8' });
    expect(run("process.kill(process.pid, 'SIGKILL')").signal).toBe('SIGKILL');
    const mine = openImage(path, { isReadonly: false });
    mine.lock?.();
    const other = run('');
    expect(other.status).toBe(1);
    expect(other.stderr).toContain('Failed to get "write" lock');
    mine.close();
    expect(run('').status).toBe(0);
  });
});
