/** A folder's contents for the file dialog of a window that has none of its own. Names, sizes and dates only. */
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileError } from '../api/app-error.ts';
import type { DirectoryListing } from '../api/contract.ts';
import { DISC_EXTENSIONS, DISK_EXTENSIONS } from './page-files.ts';

const MOST_ENTRIES = 5000;
/** The kernel's own folders hold nothing to put in a drive, and reading about in them is not free of effects. */
const NEVER_LISTED = ['/proc', '/sys', '/dev/fd'];

const WANTED: Record<'iso' | 'disk' | 'folders' | 'all', RegExp | null> = {
  iso: new RegExp(`\\.(${DISC_EXTENSIONS.join('|')})$`, 'i'),
  disk: new RegExp(`\\.(${DISK_EXTENSIONS.join('|')})$`, 'i'),
  folders: null,
  all: /./,
};

export async function browseFiles(
  path: string | undefined,
  filter: keyof typeof WANTED,
  places: DirectoryListing['places'],
): Promise<DirectoryListing> {
  const folder = await nearestFolder(path === undefined ? homedir() : resolve(path));
  const wanted = WANTED[filter];
  try {
    const children = isHidden(folder) ? [] : await readdir(folder, { withFileTypes: true });
    const visible = children.filter((child) => !child.name.startsWith('.') && !isHidden(join(folder, child.name)));
    const entries = await Promise.all(
      visible.slice(0, MOST_ENTRIES).map(async ({ name }) => {
        const entryPath = join(folder, name);
        const info = await stat(entryPath).catch(() => undefined); // a dangling link, or not ours to look at
        if (!info) return [];
        const kind = info.isDirectory() ? ('folder' as const) : ('file' as const);
        if (kind === 'file' && !(info.isFile() && wanted?.test(name))) return [];
        return [{ name, path: entryPath, kind, sizeBytes: info.size, modifiedAt: Math.round(info.mtimeMs) }];
      }),
    );
    const collator = new Intl.Collator(undefined, { numeric: true });
    return {
      path: folder,
      parent: folder === dirname(folder) ? null : dirname(folder),
      places,
      entries: entries
        .flat()
        .sort((a, b) => Number(b.kind === 'folder') - Number(a.kind === 'folder') || collator.compare(a.name, b.name)),
      truncated: visible.length > MOST_ENTRIES,
    };
  } catch (error) {
    throw fileError('Listing', folder, error);
  }
}

/** The folder itself, the folder of a file, or the nearest one above what is gone. */
async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    const isFolder = await stat(folder).then(
      (info) => info.isDirectory(),
      () => false,
    );
    if (isFolder || folder === dirname(folder)) return folder;
  }
}

function isHidden(path: string): boolean {
  return NEVER_LISTED.some((hidden) => path === hidden || path.startsWith(`${hidden}/`));
}
