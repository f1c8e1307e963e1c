/** A hard disk image that boots by itself: an MBR with GRUB behind it, and one ext2 partition with kernel and user space.
 *  GRUB is put there as grub-bios-setup would: boot.img knows core.img's first sector, core.img's first sector knows the rest. */
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { guestCache, runTool } from './debian-packages.ts';

const SECTOR = 512;
const PARTITION_TABLE = 0x1be;
const MBR_SIGNATURE = 0x1fe;
const PARTITION_START = 2048;
const MODULES = '/usr/lib/grub/i386-pc';
/** boot.img: where it keeps the sector of core.img (64 bits), and the jump that a BIOS drive number check patches out. */
const KERNEL_SECTOR = 0x5c;
/** core.img: the list of where its other sectors are ends at the first sector's end; 12 bytes: sector, count, segment. */
const BLOCK_LIST = 0x1f4;
const CORE_SEGMENT = 0x820;
const LINUX_PARTITION = 0x83;

export interface BootDiskOptions {
  readonly path: string;
  readonly mebibytes: number;
  /** What is in the partition. */
  readonly root: string;
  /** grub.cfg. */
  readonly configuration: string;
}

export function writeBootDisk({ path, mebibytes, root, configuration }: BootDiskOptions): void {
  const folder = mkdtempSync(join(guestCache, 'disk-'));
  try {
    mkdirSync(join(root, 'boot', 'grub'), { recursive: true });
    writeFileSync(join(root, 'boot', 'grub', 'grub.cfg'), configuration);
    const core = join(folder, 'core.img');
    const modules = ['biosdisk', 'part_msdos', 'ext2', 'linux', 'normal', 'configfile', 'serial', 'terminal'];
    runTool('grub-mkimage', ['-O', 'i386-pc', '-o', core, '-p', '(hd0,msdos1)/boot/grub', ...modules]);
    const sectors = mebibytes * 2048;
    const offset = PARTITION_START * SECTOR;
    rmSync(path, { force: true });
    const format = ['-q', '-t', 'ext2', '-I', '128', '-d', root, '-E', `offset=${offset},root_owner=0:0`, '-F', path];
    runTool('mke2fs', [...format, `${(sectors - PARTITION_START) / 2}k`]);

    const mbr = Buffer.from(readFileSync(join(MODULES, 'boot.img'))).subarray(0, SECTOR);
    mbr.writeBigUInt64LE(1n, KERNEL_SECTOR);
    mbr.fill(0, PARTITION_TABLE, MBR_SIGNATURE); // boot.img has code for floppies there
    mbr.set(partitionEntry(sectors - PARTITION_START), PARTITION_TABLE);
    mbr.writeUInt16LE(0xaa55, MBR_SIGNATURE);
    const image = readFileSync(core);
    image.writeBigUInt64LE(2n, BLOCK_LIST);
    image.writeUInt16LE(Math.ceil(image.length / SECTOR) - 1, BLOCK_LIST + 8);
    image.writeUInt16LE(CORE_SEGMENT, BLOCK_LIST + 10);
    if (image.length > (PARTITION_START - 1) * SECTOR) throw new Error('GRUB does not fit before the partition');
    const disk = openSync(path, 'r+');
    writeSync(disk, mbr, 0, SECTOR, 0);
    writeSync(disk, image, 0, image.length, SECTOR);
    closeSync(disk);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function partitionEntry(sectors: number): Buffer {
  const entry = Buffer.from([0x80, 0xfe, 0xff, 0xff, LINUX_PARTITION, 0xfe, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
  entry.writeUInt32LE(PARTITION_START, 8);
  entry.writeUInt32LE(sectors, 12);
  return entry;
}

/** Lays a package's files over a folder, links as links; documentation is left out. */
export function overlay(root: string, packageFolder: string): void {
  const skipped = /\/usr\/share\/(doc|man|info|locale|lintian|i18n)(\/|$)/;
  cpSync(packageFolder, root, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (source) => !skipped.test(source.slice(packageFolder.length)),
  });
}
