/** Finds firmware and option ROM files: `-L` folders first, then the package's resources, then where distributions put them. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A ROM image is never larger; anything else is not what was meant. */
const LARGEST_ROM = 64 << 20;

/** Folders in the order they are searched. */
export function firmwareFolders(fromOptions: readonly string[]): string[] {
  const here = dirname(fileURLToPath(import.meta.url));
  const resources = (process as { resourcesPath?: string }).resourcesPath;
  return [
    ...fromOptions,
    ...(process.env.TERRARIUM_FIRMWARE_DIR ? [process.env.TERRARIUM_FIRMWARE_DIR] : []),
    ...(resources ? [join(resources, 'firmware')] : []),
    join(here, 'firmware'),
    join(here, '..', 'firmware'),
    '/usr/share/seabios',
    '/usr/share/qemu',
    '/usr/local/share/qemu',
    '/opt/homebrew/share/qemu',
    '/home/linuxbrew/.linuxbrew/share/qemu',
  ];
}

/** The file's bytes; null when no folder has it. */
export function findFirmware(name: string, folders: readonly string[]): Uint8Array | null {
  const candidates = isAbsolute(name) ? [name] : [name, ...folders.map((folder) => join(folder, name))];
  for (const path of candidates) {
    try {
      const info = statSync(path, { throwIfNoEntry: false });
      if (info?.isFile() && info.size <= LARGEST_ROM) return new Uint8Array(readFileSync(path));
    } catch {
      // Not readable for us: another folder may have it.
    }
  }
  return null;
}
