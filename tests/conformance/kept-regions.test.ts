/** What one run of a machine translates, the next one uses. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { engine, RunningMachine, rescueCd } from '../support/machine.ts';

const cache = mkdtempSync(join(tmpdir(), 'terrarium-cache-'));
afterAll(() => rmSync(cache, { recursive: true, force: true }));
const folder = join(cache, 'terrarium', 'code');
/** The interpreters and what they call. */
const engineFile = () => readdirSync(folder).find((name) => name.endsWith('-engine.bin'));
const files = () => readdirSync(folder).filter((name) => /-(regions|catalogue)\.bin$/.test(name));

/** Boots GRUB to its menu and ends the machine; gives how many regions it had, and how many of them it found. */
async function boot(...options: string[]): Promise<{ compiled: number; reused: number; ready: number }> {
  const machine = await RunningMachine.start({
    args: [...options, '-nodefaults', '-vga', 'std', '-cdrom', rescueCd],
    env: { XDG_CACHE_HOME: cache },
  });
  try {
    await machine.waitForScreen((rows) => rows.some((row) => /executed automatically in \d+s\.$/.test(row)));
    const { compiler } = (await machine.qmp.execute('x-query-jit')) as {
      compiler: { 'compiled-regions': number; reused: number; ready: number };
    };
    await machine.qmp.execute('quit');
    expect(await machine.exited).toBe(0);
    return { compiled: compiler['compiled-regions'], reused: compiler.reused, ready: compiler.ready };
  } finally {
    await machine.stop();
  }
}

describe.skipIf(!engine.includes('terrarium'))('translated code', () => {
  it('is kept when a machine ends, and used by the next, unless it is damaged or not wanted', async () => {
    const first = await boot();
    expect(first.reused).toBe(0);
    expect(first.compiled).toBeGreaterThan(20);
    expect(files().length).toBe(2);
    expect(engineFile()).toBeDefined();
    const second = await boot();
    expect(second.reused).toBeGreaterThan(second.compiled / 3);
    // V8 makes their machine code when the thread that compiles has nothing else to do.
    let later = second;
    for (let i = 0; i < 5 && later.ready === 0; i++) later = await boot();
    expect(later.ready).toBeGreaterThan(0);
    const before = files().map((name) => readFileSync(join(folder, name)));
    expect((await boot('-accel', 'tcg,x-keep=off')).reused).toBe(0);
    expect(files().map((name) => readFileSync(join(folder, name)))).toEqual(before);
    // Other features of the processor: other code.
    expect((await boot('-cpu', 'pentium3')).reused).toBe(0);
    expect(files().length).toBe(4);
    for (const name of [...files(), engineFile()!]) {
      const bytes = readFileSync(join(folder, name));
      bytes[bytes.length >> 1]! ^= 1;
      writeFileSync(join(folder, name), bytes);
    }
    expect((await boot()).reused).toBe(0);
    expect((await boot()).reused).toBeGreaterThan(0);
  }, 120_000);

  it('is told to be kept or not, by on or off', async () => {
    await expect(boot('-accel', 'tcg,x-keep=maybe')).rejects.toThrow("Parameter 'x-keep' expects 'on' or 'off'");
  });
});
