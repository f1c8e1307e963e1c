/** A writer of `newc` cpio archives (the format of Linux's initramfs: Documentation/driver-api/early-userspace). */

export interface ArchiveEntry {
  readonly path: string;
  /** Type and permission bits, as st_mode. */
  readonly mode: number;
  readonly data?: Uint8Array;
}

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
export const directory = (path: string): ArchiveEntry => ({ path, mode: S_IFDIR | 0o755 });
export const executable = (path: string, data: Uint8Array | string): ArchiveEntry => file(path, data, 0o755);
export const file = (path: string, data: Uint8Array | string, mode = 0o644): ArchiveEntry => ({
  path,
  mode: S_IFREG | mode,
  data: typeof data === 'string' ? Buffer.from(data) : data,
});

/** Owner root and time 0 everywhere: equal contents make equal archives. */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const parts: Buffer[] = [];
  const add = (bytes: Uint8Array) => parts.push(Buffer.from(bytes), Buffer.alloc(-bytes.length & 3));
  const all = [...entries, { path: 'TRAILER!!!', mode: 0 } satisfies ArchiveEntry];
  all.forEach(({ path, mode, data }: ArchiveEntry, index) => {
    const links = (mode & S_IFDIR) !== 0 ? 2 : 1;
    const name = Buffer.from(`${path}\0`);
    const size = data?.length ?? 0;
    const fields = [index + 1, mode, 0, 0, links, 0, size, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
    add(Buffer.concat([Buffer.from(header, 'latin1'), name]));
    if (data) add(data);
  });
  return Buffer.concat(parts);
}
