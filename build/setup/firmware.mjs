/** The firmware that a machine starts with: where it may be, and the ways to get it. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dist, findProgram } from '../paths.mjs';
import { installSystemPackages, remedy, requirements } from './system-packages.mjs';

export const firmwareFiles = ['bios-256k.bin', 'vgabios-stdvga.bin'];

/** The package's own resources: found by the emulator beside its bundle. */
export const resourceFolder = join(dist, 'firmware');

/** The folders that the emulator searches too (after `-L`), in its order. */
export const firmwareFolders = [
  resourceFolder,
  '/usr/share/seabios',
  '/usr/share/qemu',
  '/opt/homebrew/share/qemu',
  '/usr/local/share/qemu',
  '/home/linuxbrew/.linuxbrew/share/qemu',
];

/** The firmware files that are in none of the folders. */
export function missingFirmware() {
  return firmwareFiles.filter((file) => !firmwareFolders.some((folder) => existsSync(join(folder, file))));
}

/** Makes sure that a machine can start, or throws what to do. @param {(line: string) => void} say */
export function installFirmware(say) {
  if (missingFirmware().length === 0) return;
  const wanted = requirements();
  installSystemPackages(wanted, say);
  if (missingFirmware().length > 0) unpackDebianPackage(say);
  const missing = missingFirmware();
  if (missing.length === 0) return;
  const ways = process.platform === 'darwin' ? '  brew install qemu' : remedy(wanted);
  throw new Error(
    `Firmware is missing: ${missing.join(', ')}\nSearched:\n${firmwareFolders.map((f) => `  ${f}`).join('\n')}\nInstall it:\n${ways}`,
  );
}

/** Without root, apt may still download: the files are taken out of the package. @param {(line: string) => void} say */
function unpackDebianPackage(say) {
  if (!findProgram('apt-get') || !findProgram('dpkg-deb')) return;
  say('Fetching the Debian package seabios (without installing it) ...');
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-firmware-'));
  try {
    spawnSync('apt-get', ['download', '-q', 'seabios'], { cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] });
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (!archive || spawnSync('dpkg-deb', ['-x', archive, 'out'], { cwd: folder }).status !== 0) return;
    mkdirSync(resourceFolder, { recursive: true });
    for (const file of firmwareFiles) {
      const source = join(folder, 'out', 'usr', 'share', 'seabios', file);
      if (!existsSync(source)) continue;
      copyFileSync(source, join(resourceFolder, `.${file}`));
      renameSync(join(resourceFolder, `.${file}`), join(resourceFolder, file));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
