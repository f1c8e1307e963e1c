/**
 * Debian's installer for amd64 on the screen, in VGA text and on a framebuffer (vesafb, bochs-drm): to its first dialog, whose
 * picture is the same as in QEMU, pixel by pixel, where QEMU is installed; then one answer by the keyboard.
 *
 *    node tests/guests/installer.soak.ts [text|vesafb|drm ...]
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { engine, hasQemu, qemu, RunningMachine } from '../support/machine.ts';
import { guestCache } from './debian-packages.ts';
import { guestOrReason, installerGuest } from './images.ts';

const SCREENS: Record<string, string> = {
  text: 'vga=normal nomodeset fb=false',
  vesafb: 'vga=788 nomodeset',
  drm: 'vga=788',
};
const LIMIT_MS = 600_000;
const { guest, reason } = guestOrReason(installerGuest);
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
const { kernel, initrd } = guest;

interface Picture {
  readonly size: string;
  readonly pixels: Buffer;
}
async function picture(machine: RunningMachine): Promise<Picture> {
  const filename = join(machine.folder, 'screen.ppm');
  await machine.qmp.execute('screendump', { filename });
  const bytes = readFileSync(filename);
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, 64));
  if (!header) throw new Error('screendump wrote no PPM');
  return { size: `${header[1]}x${header[2]}`, pixels: bytes.subarray(header[0].length) };
}

/** A dialog of newt's: mostly its grey window, and its red for what is chosen. */
function isDialog({ pixels }: Picture): boolean {
  let grey = 0;
  let red = 0;
  for (let at = 0; at + 2 < pixels.length; at += 3) {
    const [r, g, b] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!];
    // Pixels of 16 bits round.
    if (r > 0xa0 && r < 0xb0 && Math.abs(r - g) < 8 && Math.abs(g - b) < 8) grey++;
    if (r > 0xa0 && g === 0 && b === 0) red++;
  }
  const all = pixels.length / 3;
  return grey > all / 2 && red > all / 1000;
}

/** The screen once it shows a dialog (other than `before`) and stands still. */
async function dialog(machine: RunningMachine, before?: Picture): Promise<Picture> {
  const end = performance.now() + LIMIT_MS;
  let last: Picture | undefined;
  while (performance.now() < end) {
    const now = await picture(machine);
    if (last?.pixels.equals(now.pixels) && isDialog(now) && !before?.pixels.equals(now.pixels)) return now;
    last = now;
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error(`no dialog within ${LIMIT_MS} ms on a screen of ${last?.size}`);
}

async function firstDialogs(program: string, options: string): Promise<Picture[]> {
  const append = `${options} --- quiet`;
  const machine = await RunningMachine.start({
    program,
    args: ['-m', '1024', '-kernel', kernel, '-initrd', initrd, '-append', append],
  });
  try {
    const first = await dialog(machine);
    await machine.sendKeys('ret');
    return [first, await dialog(machine, first)];
  } finally {
    await machine.stop();
  }
}

/** In text, QEMU repeats the eighth column of a character's cell as its ninth for codes B0 to DF; VGA does so for C0 to DF (IBM VGA
 *  Technical Reference, attribute mode control register). */
function isSame(ours: Picture, theirs: Picture): boolean {
  if (ours.size !== theirs.size) return false;
  const [width, height] = ours.size.split('x').map(Number) as [number, number];
  const isText = width === 720 && height === 400;
  for (let i = 0; i < width * height; i++)
    if (!(isText && i % 9 === 8) && ours.pixels.compare(theirs.pixels, i * 3, i * 3 + 3, i * 3, i * 3 + 3) !== 0)
      return false;
  return true;
}

/** Pictures that differ are kept, to be looked at. */
function keep(name: string, whose: string, pictures: readonly Picture[]): void {
  pictures.forEach(({ size, pixels }, i) => {
    const path = join(guestCache, `installer-${name}-${whose}-${i + 1}.ppm`);
    writeFileSync(path, Buffer.concat([Buffer.from(`P6\n${size.replace('x', ' ')}\n255\n`), pixels]));
    console.log(`  ${path}`);
  });
}

const chosen = process.argv.slice(2);
let failed = 0;
let passed = 0;
for (const name of chosen.length > 0 ? chosen : Object.keys(SCREENS)) {
  const started = performance.now();
  const ours = await firstDialogs(engine, SCREENS[name]!);
  console.log(`${name}: two dialogs, ${ours[0]!.size}, ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const theirs = hasQemu ? await firstDialogs(qemu, SCREENS[name]!) : ours;
  const same = ours.every((it, i) => isSame(it, theirs[i]!));
  if (!same) {
    console.log(`${name}: QEMU's screen is different (${theirs[0]!.size})`);
    keep(name, 'ours', ours);
    keep(name, 'qemu', theirs);
  }
  if (same) passed++;
  else failed++;
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed > 0 ? 1 : 0);
