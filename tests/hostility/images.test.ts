/** Files that lie about themselves: discs that the library looks into, kernels that the machine loads, command lines. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadKernel } from '../../core/machines/kernel-loader.ts';
import { openImage } from '../../core/node/file-source.ts';
import { parseCommandLine } from '../../core/options/command-line.ts';
import { UserError } from '../../core/util/errors.ts';
import { AppError } from '../../electron/api/app-error.ts';
import { inspectMedium } from '../../electron/library/inspect-medium.ts';
import { Random } from './random.ts';

const RESCUE_CD = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso';
const folder = mkdtempSync(join(tmpdir(), 'terrarium-images-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Changes some bytes, more likely ones that matter. */
function mutate(random: Random, bytes: Uint8Array, places: readonly number[]): void {
  for (let i = random.between(1, 12); i > 0; i--) {
    const at = random.chance(0.7) ? random.pick(places) + random.below(64) : random.below(bytes.length);
    if (at < bytes.length) bytes[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  }
}

describe('images that lie', () => {
  it('are looked into in bounded time, or refused', async () => {
    const whole = new Uint8Array(readFileSync(RESCUE_CD)).subarray(0, 400 * 2048);
    const path = join(folder, 'a.iso');
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 80; seed++) {
      const random = new Random(seed);
      const bytes = whole.slice(0, random.chance(0.2) ? random.below(whole.length) + 1 : whole.length);
      // Descriptors, the root's record, directories, the boot catalog.
      const root = new DataView(whole.buffer).getUint32(16 * 2048 + 158, true);
      mutate(random, bytes, [
        16 * 2048,
        16 * 2048 + 156,
        17 * 2048,
        18 * 2048,
        root * 2048,
        root * 2048 + 100,
        33 * 2048,
        34 * 2048,
      ]);
      writeFileSync(path, bytes);
      const start = performance.now();
      try {
        kinds.add((await inspectMedium(path)).kind);
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(AppError);
      }
      expect(performance.now() - start, `seed ${seed}`).toBeLessThan(3000);
    }
    expect([...kinds]).toContain('iso');
  });

  it('are loaded as kernels, or refused by a sentence', () => {
    const results = { loaded: 0, refused: 0 };
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new Random(seed);
      const kernel = new Uint8Array(random.pick([0, 16, 600, 8192, 20_000]));
      const view = new DataView(kernel.buffer);
      if (kernel.length >= 8192 && random.chance(0.5)) {
        view.setUint32(0x202, 0x5372_6448, true);
        view.setUint16(0x206, random.pick([0, 0x1ff, 0x200, 0x201, 0x202, 0x20c, 0xffff]), true);
        kernel[0x1f1] = random.pick([0, 1, 4, 10, 255]);
        kernel[0x211] = random.below(2);
        view.setUint32(0x22c, random.value(), true);
      } else if (kernel.length >= 600) {
        const flags = random.pick([0, 3, 0x1_0000, 0x1_0003, random.u32()]);
        const at = random.pick([0x100, 0x100, 0x80, random.below(64) * 4]);
        [0x1bad_b002, flags, -(0x1bad_b002 + flags)].forEach((word, i) => {
          view.setUint32(at + i * 4, word >>> 0, true);
        });
        for (let i = 3; i < 8; i++)
          view.setUint32(at + i * 4, random.pick([0, 0x10_0000, 0x10_0100, 0x10_4000, random.u32()]), true);
        kernel.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1], 0);
        view.setUint16(18, 3, true);
        view.setUint32(28, random.pick([52, random.value()]), true);
        view.setUint16(42, random.pick([32, 0, random.below(65536)]), true);
        view.setUint16(44, random.pick([1, 2, random.below(65536)]), true);
        view.setUint32(52, 1, true);
        for (let i = 56; i < 84; i += 4) view.setUint32(i, random.pick([0, 0x10_0000, 512, random.value()]), true);
      }
      const initrd = random.chance(0.3) ? new Uint8Array(random.pick([0, 5000])) : null;
      const modules = random.chance(0.3)
        ? [{ bytes: new Uint8Array(5000), commandLine: 'm'.repeat(random.below(9000)) }]
        : [];
      const append = random.pick(['', 'quiet', 'x'.repeat(random.below(100_000))]);
      try {
        loadKernel({ kernel, kernelName: 'k', append, initrd, modules }, 16 << 20);
        results.loaded++;
      } catch (error) {
        expect(error, `seed ${seed}: ${error}`).toBeInstanceOf(UserError);
        results.refused++;
      }
    }
    expect(results.loaded).toBeGreaterThan(10);
    expect(results.refused).toBeGreaterThan(10);
  });

  it('that shrink while they are in use read as zeroes', async () => {
    const path = join(folder, 'shrinks.img');
    writeFileSync(path, new Uint8Array(8192).fill(7));
    const source = openImage(path, { isReadonly: true });
    truncateSync(path, 1000);
    const target = new Uint8Array(4096).fill(1);
    await source.readAt(0, target);
    expect([target[0], target[999], target[1000], target[4095]]).toEqual([7, 7, 0, 0]);
    await source.readAt(8000, target);
    expect(target.every((byte) => byte === 0)).toBe(true);
    source.close();
  });
});

describe('command lines of any kind', () => {
  it('are understood, or refused by a sentence', () => {
    const options = [
      '-m',
      '-drive',
      '-device',
      '-chardev',
      '-serial',
      '-vnc',
      '-qmp',
      '-mon',
      '-smp',
      '-boot',
      '-rtc',
      '-global',
      '-machine',
      '-cpu',
      '-cdrom',
      '-d',
      '-object',
      '-set',
      '-name',
      '-uuid',
      '-accel',
    ];
    const pieces = [
      'file=',
      'if=ide',
      ',',
      ',,',
      '=',
      'id=',
      'a',
      'on',
      'off',
      '1',
      '-1',
      '99999999999999999999',
      '4G',
      '0x10',
      'unix:',
      'tcp::',
      ':0',
      'server',
      'raw',
      'format=',
      'index=',
      '{',
      '{"driver":"VGA"',
      '}',
      '"',
      '[',
      'stdio',
      'null',
      'help',
      '?',
      '\u0000',
      'é',
      'x'.repeat(3000),
    ];
    for (let seed = 1; seed <= 3000; seed++) {
      const random = new Random(seed);
      const argv = Array.from({ length: random.between(1, 6) }, () =>
        random.chance(0.5)
          ? random.pick(options)
          : Array.from({ length: random.below(8) }, () => random.pick(pieces)).join(''),
      );
      try {
        parseCommandLine(argv, {
          program: 'p',
          version: '0',
          readFile: () => ({ error: 'none' }),
          warn() {},
          userConfigFiles: [],
        });
      } catch (error) {
        expect(error, `seed ${seed}: ${argv.join(' ').slice(0, 300)}: ${error}`).toBeInstanceOf(UserError);
      }
    }
  });
});
