/** The desktop shell in a real Electron, where its binary and a display exist. Elsewhere the test says so and is counted
 *  as skipped: what both shells share is tested in any case. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { _electron } from 'playwright';
import { expect, it } from 'vitest';
import { findPackageRoot } from '../../electron/app/host.ts';
import { scratchFolder } from '../manager/sample-machine.ts';

const ROOT = findPackageRoot(import.meta.dirname);

/** Why Electron cannot be started here, or its path. */
function findElectron(): { path: string } | { reason: string } {
  const folder = process.env.ELECTRON_OVERRIDE_DIST_PATH ?? join(ROOT, 'node_modules', 'electron', 'dist');
  const note = join(ROOT, 'node_modules', 'electron', 'path.txt');
  const path = join(folder, existsSync(note) ? readFileSync(note, 'utf8').trim() : 'electron');
  if (!existsSync(path)) return { reason: `Electron's binary is not installed (${path})` };
  const hasDisplay = process.platform !== 'linux' || process.env.DISPLAY || process.env.WAYLAND_DISPLAY;
  return hasDisplay ? { path } : { reason: 'there is no display' };
}

it('Electron opens the window, sandboxed, and its page can call the manager', async (context) => {
  const found = findElectron();
  if ('reason' in found) {
    console.log(`The desktop shell was not tested: ${found.reason}.`);
    return context.skip(found.reason);
  }
  const dataDir = scratchFolder();
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const app = await _electron.launch({ executablePath: found.path, args: [...sandbox, ROOT, '--data-dir', dataDir] });
  try {
    const page = await app.firstWindow();
    await page.waitForSelector('#root > *');
    const seen = await page.evaluate(async () => {
      const world = globalThis as unknown as {
        process?: unknown;
        require?: unknown;
        terrarium: { call(method: string, params?: unknown): Promise<unknown> };
      };
      return {
        node: [typeof world.process, typeof world.require],
        machines: await world.terrarium.call('machines.list'),
        refused: await world.terrarium.call('machines.get', { id: 'x' }),
      };
    });
    expect(seen.node).toEqual(['undefined', 'undefined']);
    expect(seen.machines).toEqual({ result: [] });
    expect(seen.refused).toMatchObject({ error: { code: 'invalid' } });
    expect(page.url()).toBe('app://terrarium/index.html');
  } finally {
    await app.close();
  }
});
