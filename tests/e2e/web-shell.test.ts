/** A user's way through the app, in a real browser, with a real guest: GRUB's rescue CD. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { scratchFolder } from '../manager/sample-machine.ts';
import { projectRoot, rescueCd } from '../support/machine.ts';
import { closeBrowser, openBrowser, openPage, RunningApp } from './running-app.ts';
import {
  createWithWizard,
  expectPage,
  expectState,
  focusScreen,
  highlighted,
  isGrubMenu,
  menuEntries,
  releaseScreen,
  typeInGuest,
  waitForPrompt,
} from './steps.ts';

afterAll(closeBrowser);

/** The rescue CD under a name of its own in the test's folder. */
function ownDisc(folder: string, name = 'rescue.iso'): string {
  const path = join(folder, name);
  copyFileSync(rescueCd, path);
  return path;
}

/** A disc that differs from the first in what its menu says: `Inside disc two!` instead of `Change the colors`. */
function secondDisc(folder: string): string {
  const path = join(folder, 'other.iso');
  const image = readFileSync(rescueCd);
  const wording = Buffer.from('Change the colors');
  expect(image.includes(wording)).toBe(true);
  for (let at = image.indexOf(wording); at >= 0; at = image.indexOf(wording)) image.write('Inside disc two! ', at);
  writeFileSync(path, image);
  return path;
}

it('a machine clicked together boots GRUB: the menu follows the arrow keys, the prompt takes commands', async () => {
  const dataDir = scratchFolder();
  const app = await RunningApp.start(dataDir);
  const page = await openPage(app);
  await expectPage(page.getByTestId('welcome')).toBeVisible();
  await createWithWizard(page, { name: 'Rescue', iso: ownDisc(dataDir) }, 'wizard-create-start');
  await expectState(page, 'running');
  const monitor = await app.monitor('Rescue');

  const menu = await monitor.waitForScreen(isGrubMenu);
  expect(menu.find(({ text }) => text !== '')?.text).toMatch(/^ +GNU GRUB {2}version 2\.\d\d/);
  expect(menuEntries(menu)).toEqual([
    '*GNU/Linux',
    ' GNU (aka GNU/Hurd)',
    ' FreeBSD (or GNU/kFreeBSD), direct boot',
    ' FreeBSD (or GNU/kFreeBSD), via /boot/loader',
    ' NetBSD',
    ' OpenBSD',
    ' Microsoft Windows',
    ' Memtest86+',
    ' Change the colors',
  ]);
  expect(highlighted(menu)).toBe('GNU/Linux');
  await expectPage(page.getByTestId('console').locator('.console-size')).toHaveText('720 × 400');
  await expectPage(page.getByTestId('status-speed')).toHaveText(/^[\d.,]+ MIPS$/);
  await expectPage(page.getByTestId('status-compiled')).toHaveText(/^(–|[\d,]+)$/);
  await expectPage(page.getByTestId('status-compiled')).toHaveAttribute('title', /^Compiled regions\n/);

  await focusScreen(page);
  await page.keyboard.press('ArrowDown');
  await monitor.waitForScreen((rows) => highlighted(rows) === 'GNU (aka GNU/Hurd)');
  await page.keyboard.press('ArrowDown');
  await monitor.waitForScreen((rows) => highlighted(rows) === 'FreeBSD (or GNU/kFreeBSD), direct boot');
  await page.keyboard.press('ArrowUp');
  await monitor.waitForScreen((rows) => highlighted(rows) === 'GNU (aka GNU/Hurd)');

  await page.keyboard.press('c');
  await waitForPrompt(monitor);
  await typeInGuest(page, 'ls\n');
  const listed = await monitor.waitForScreen((rows) => rows.some(({ text }) => /^\(.*\(cd\)|^\(cd\)/.test(text)));
  expect(listed.map(({ text }) => text)).toContain('grub> ls');
  await typeInGuest(page, 'echo "A Shifted Line: 6*7=42"\n');
  await monitor.waitForScreen((rows) => rows.some(({ text }) => text === 'A Shifted Line: 6*7=42'));
});

it('the CD is ejected and changed while the machine runs, and the guest boots the other disc', async () => {
  const dataDir = scratchFolder();
  const other = secondDisc(dataDir);
  const app = await RunningApp.start(dataDir);
  const page = await openPage(app);
  const first = ownDisc(dataDir);
  await createWithWizard(page, { name: 'Discs', iso: first }, 'wizard-create-start');
  const monitor = await app.monitor('Discs');
  expect(menuEntries(await monitor.waitForScreen(isGrubMenu))).toContain(' Change the colors');
  const { definition } = await app.machineNamed('Discs');
  const menu = page.getByTestId(`status-disc-${definition.storage[0]!.id}`);
  await expectPage(menu).toContainText('rescue.iso');

  await menu.click();
  await page.getByTestId('menu-eject').click();
  await expectPage(menu).toContainText('Empty');
  expect(await monitor.ask('info block')).toMatch(/\[not inserted\]/);

  await menu.click();
  await page.getByTestId('menu-choose-disc').click();
  await page.getByTestId('file-path').fill(other);
  await page.getByTestId('file-choose').click();
  await expectPage(menu).toContainText('other.iso');
  expect(await monitor.ask('info block')).toContain(other);

  await page.getByTestId('action-reset').click();
  await monitor.waitForScreen((rows) => menuEntries(rows).includes(' Inside disc two!'));
  expect((await app.machineNamed('Discs')).definition.storage).toMatchObject([{ kind: 'cdrom', path: other }]);
});

it('what was made is there again after the app has been restarted, with the screen of a new start', async () => {
  const dataDir = scratchFolder();
  const iso = ownDisc(dataDir);
  const first = await RunningApp.start(dataDir);
  const page = await openPage(first);
  await createWithWizard(page, { name: 'Kept', iso }, 'wizard-create-start');
  await (await first.monitor('Kept')).waitForScreen(isGrubMenu);
  await page.getByTestId('action-power-off').click();
  await page.getByTestId('power-off-dialog').getByTestId('confirm').click();
  await expectState(page, 'off');
  const before = await first.machineNamed('Kept');
  expect(before.runtime).toBeNull();
  await page.context().close();
  expect(await first.stop()).toBe(0);

  const second = await RunningApp.start(dataDir);
  const again = await openPage(second);
  await expectPage(again.getByTestId('machine-row')).toHaveCount(1);
  await again.getByTestId('machine-row').click();
  await expectPage(again.getByTestId('machine-title')).toHaveText('Kept');
  await expectState(again, 'off');
  expect((await second.machineNamed('Kept')).definition).toEqual(before.definition);
  await again.getByTestId('tab-log').click();
  await expectPage(again.getByTestId('log')).toContainText('The machine is off.');
  await again.getByTestId('action-start').click();
  await expectState(again, 'running');
  await (await second.monitor('Kept')).waitForScreen(isGrubMenu);
});

it('a wrong ISO path is refused in the wizard, and a disc that has gone is named at the start', async () => {
  const dataDir = scratchFolder();
  const app = await RunningApp.start(dataDir);
  const page = await openPage(app);
  await page.getByTestId('new-machine').click();
  await page.getByTestId('wizard-iso').fill(join(dataDir, 'nowhere.iso'));
  await expectPage(page.getByTestId('field-iso')).toContainText(join(dataDir, 'nowhere.iso'));
  await expectPage(page.getByTestId('wizard-next')).toBeDisabled();
  await page.keyboard.press('Escape');

  const iso = ownDisc(dataDir);
  await createWithWizard(page, { name: 'Discless', iso }, 'wizard-create');
  const created = (await app.machineNamed('Discless')).definition;
  renameSync(iso, `${iso}.moved`);
  await page.getByTestId('action-start').click();
  const said = page.getByTestId('toast-danger').or(page.getByTestId('failure-banner'));
  await expectPage(said.first()).toContainText(iso);
  await expectPage(said.first()).toContainText('“Discless” did not start');
  const after = await app.machineNamed('Discless');
  expect(after.definition).toEqual(created);
  expect(after.summary.state).toBe('off');
  renameSync(`${iso}.moved`, iso);
  await page.getByTestId('action-start').click();
  await expectState(page, 'running');
});

it('a VM process that is killed is shown as crashed; nothing is lost and it starts again', async () => {
  const dataDir = scratchFolder();
  const app = await RunningApp.start(dataDir);
  const page = await openPage(app);
  await createWithWizard(page, { name: 'Victim', iso: ownDisc(dataDir) }, 'wizard-create-start');
  await (await app.monitor('Victim')).waitForScreen(isGrubMenu);
  const { definition, runtime } = await app.machineNamed('Victim');
  const note = JSON.parse(readFileSync(join(runFolder(runtime!.commandLine.text), 'process.json'), 'utf8'));
  expect(note.pid).toBe(runtime!.pid);
  process.kill(note.pid, 'SIGKILL');
  await expectState(page, 'crashed');
  const banner = page.getByTestId('failure-banner');
  await expectPage(banner).toContainText('“Victim” ended unexpectedly');
  await expectPage(banner).toContainText('SIGKILL');
  const after = await app.machineNamed('Victim');
  expect(after.definition).toEqual(definition);
  expect(existsSync(runFolder(runtime!.commandLine.text))).toBe(false);
  await page.getByTestId('action-start').click();
  await expectState(page, 'running');
  await expectPage(banner).toBeHidden();
  await (await app.monitor('Victim')).waitForScreen(isGrubMenu);
});

/** The machine's private folder, out of the command line that puts its sockets there. */
function runFolder(commandLine: string): string {
  const match = /path=(\S+)\/qmp,/.exec(commandLine);
  if (!match) throw new Error(`no QMP socket in: ${commandLine}`);
  return match[1]!;
}

it('without the token, or with another one, nobody gets in', async () => {
  const app = await RunningApp.start(scratchFolder());
  const context = await (await openBrowser()).newContext();
  try {
    for (const query of ['', '?token=', `?token=${'0'.repeat(app.token.length)}`]) {
      const page = await context.newPage();
      const response = await page.goto(`${app.url.origin}/${query}`);
      expect(response?.status()).toBe(403);
      expect(await page.locator('#root').count()).toBe(0);
      const opened = await page.evaluate(
        () =>
          new Promise<boolean>((resolve) => {
            const socket = new WebSocket(`ws://${location.host}/api`);
            socket.onopen = () => resolve(true);
            socket.onerror = () => resolve(false);
          }),
      );
      expect(opened).toBe(false);
    }
    const page = await context.newPage();
    await page.goto(app.url.href);
    await expectPage(page.getByTestId('welcome')).toBeVisible();
    expect(page.url()).not.toContain(app.token);
  } finally {
    await context.close();
  }
});

it('the keyboard alone is enough: create, start, use the guest, give the keyboard back, power off', async () => {
  const dataDir = scratchFolder();
  const app = await RunningApp.start(dataDir);
  const page = await openPage(app);
  await expectPage(page.getByTestId('welcome')).toBeVisible();
  await page.keyboard.press('Control+n');
  await expectPage(page.getByTestId('wizard-name')).toBeFocused();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('Keys');
  await tabTo('wizard-iso');
  await page.keyboard.insertText(ownDisc(dataDir));
  await expectPage(page.getByTestId('guess').locator('.guess-title')).toBeVisible();
  await page.keyboard.press('Enter');
  await expectPage(page.getByTestId('memory')).toBeVisible();
  await tabTo('memory');
  await tabTo('wizard-next');
  await page.keyboard.press('Enter');
  await expectPage(page.getByTestId('choice-none')).toBeVisible();
  await tabTo('wizard-create-start');
  await page.keyboard.press('Enter');
  await expectState(page, 'running');
  const monitor = await app.monitor('Keys');
  await monitor.waitForScreen(isGrubMenu);
  await tabTo('console-canvas');
  await page.keyboard.press('End');
  await monitor.waitForScreen((rows) => highlighted(rows) === 'Change the colors');
  await releaseScreen(page);
  await tabTo('action-power-off');
  await page.keyboard.press('Enter');
  await expectPage(page.getByTestId('power-off-dialog')).toBeVisible();
  await tabTo('confirm');
  await page.keyboard.press('Enter');
  await expectState(page, 'off');

  async function tabTo(testId: string): Promise<void> {
    for (let presses = 0; presses < 60; presses++) {
      const now = await page.evaluate(() => document.activeElement?.getAttribute('data-testid'));
      if (now === testId) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`the Tab key does not lead to ${testId}`);
  }
});

it.each(['dark', 'light'] as const)(
  'the %s window shows library and console, and is kept as a picture',
  async (colorScheme) => {
    const dataDir = scratchFolder();
    const app = await RunningApp.start(dataDir);
    const page = await openPage(app, { colorScheme });
    const iso = ownDisc(dataDir, 'grub-rescue-cdrom.iso');
    await createWithWizard(page, { name: 'Spare', iso }, 'wizard-create');
    await createWithWizard(page, { name: 'GRUB rescue', iso }, 'wizard-create-start');
    await (await app.monitor('GRUB rescue')).waitForScreen(isGrubMenu);
    await expectPage(page.getByTestId('machine-row')).toHaveCount(2);
    await expect.poll(() => consoleColours(), { timeout: 20_000 }).toBeGreaterThan(1);
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const [red = 0, green = 0, blue = 0] = (background.match(/\d+(\.\d+)?/g) ?? []).map(Number);
    const brightness = (red + green + blue) / 3;
    expect(colorScheme === 'dark' ? brightness < 80 : brightness > 180, `${colorScheme}: ${background}`).toBe(true);
    const picture = await page.screenshot();
    const folder = join(projectRoot, 'dist/test-pictures');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `window-${colorScheme}.png`), picture);
    if (process.env.TERRARIUM_UPDATE_SCREENSHOT && colorScheme === 'dark') {
      mkdirSync(join(projectRoot, 'docs'), { recursive: true });
      writeFileSync(join(projectRoot, 'docs/screenshot.png'), picture);
    }

    /** How many colours the guest's picture has in the browser. */
    function consoleColours(): Promise<number> {
      return page.evaluate(() => {
        const canvas = document.querySelector<HTMLCanvasElement>('[data-testid="console-canvas"]');
        const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(pixels ? new Uint32Array(pixels.buffer) : []).size;
      });
    }
  },
);
