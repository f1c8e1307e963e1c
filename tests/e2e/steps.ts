/** What a user does with the app, and what they then see. */
import { type Page, expect as playwrightExpect } from 'playwright/test';
import type { Monitor, ScreenRow } from './running-app.ts';

/** Playwright's assertions, which wait until they hold. */
export const expectPage = playwrightExpect.configure({ timeout: 20_000 });

/** Through the wizard's three steps, with the mouse. */
export async function createWithWizard(
  page: Page,
  machine: { name: string; iso: string },
  finish: 'wizard-create' | 'wizard-create-start',
): Promise<void> {
  await page.getByTestId('new-machine').click();
  await page.getByTestId('wizard-iso').fill(machine.iso);
  await expectPage(page.getByTestId('guess').locator('.guess-title')).toBeVisible();
  await page.getByTestId('wizard-name').fill(machine.name);
  await page.getByTestId('wizard-next').click();
  await expectPage(page.getByTestId('memory')).toBeVisible();
  await page.getByTestId('wizard-next').click();
  await page.getByTestId('choice-none').check({ force: true });
  await expectPage(page.getByTestId('wizard').getByTestId('command-line')).toContainText('media=cdrom');
  await page.getByTestId(finish).click();
  await expectPage(page.getByTestId('wizard')).toBeHidden();
  await expectPage(page.getByTestId('machine-title')).toHaveText(machine.name);
}

export async function expectState(page: Page, state: string): Promise<void> {
  await expectPage(page.getByTestId('machine-page')).toHaveAttribute('data-state', state);
}

/** Gives the keyboard to the guest. */
export async function focusScreen(page: Page): Promise<void> {
  await page.getByTestId('console-canvas').click();
  await expectPage(page.getByTestId('capture-state')).toHaveAttribute('data-active', 'true');
}

/** Takes keyboard and pointer back with the host key. */
export async function releaseScreen(page: Page): Promise<void> {
  await page.keyboard.press('ControlRight');
  await expectPage(page.getByTestId('capture-state')).not.toHaveAttribute('data-active', 'true');
}

/** Types on the guest's keyboard, Shift included, at a pace that its 16-byte buffer bears. */
export async function typeInGuest(page: Page, text: string): Promise<void> {
  for (const character of text) {
    const key = character === '\n' ? 'Enter' : character === ' ' ? 'Space' : character;
    await page.keyboard.press(/^[A-Z~!@#$%^&*()_{}|:"<>?]$/.test(key) ? `Shift+${key}` : key, { delay: 20 });
  }
}

export const isGrubMenu = (rows: ScreenRow[]) =>
  rows.some(({ text }) => text.includes('will be executed automatically in')) && highlighted(rows) !== undefined;

/** GRUB's menu entries as they stand in their frame, `*` or a blank before each. */
export function menuEntries(rows: ScreenRow[]): string[] {
  return rows.flatMap(({ text }) => /^ \u00b7([ *]\S.*?) *\u00b7$/.exec(text)?.[1] ?? []);
}

/** The entry that GRUB marks with an asterisk, and shows in other colours than the rest. */
export function highlighted(rows: ScreenRow[]): string | undefined {
  const marked = menuEntries(rows).filter((entry) => entry.startsWith('*'));
  if (marked.length !== 1) return undefined;
  const at = rows.findIndex(({ text }) => text.startsWith(' \u00b7*'));
  const other = rows.findIndex(({ text }) => /^ \u00b7 \S/.test(text));
  if (other < 0 || rows[at]?.attributes[3] === rows[other]?.attributes[3]) return undefined;
  return marked[0]?.slice(1);
}

export async function waitForPrompt(monitor: Monitor): Promise<ScreenRow[]> {
  return monitor.waitForScreen((rows) => rows.some(({ text }) => /^grub>\s*$/.test(text)));
}
