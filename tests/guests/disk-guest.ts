/** A disk with a small Debian user space for i386: busybox, bzip2, and tcc with the C library's headers. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { overlay, writeBootDisk } from './boot-disk.ts';
import { debianPackage, guestCache, isRecent, runTool } from './debian-packages.ts';
import { QUIET } from './guest-console.ts';
import { type Bits, diskInitramfs } from './images.ts';

const PACKAGES = ['libc6', 'libbz2-1.0', 'bzip2', 'tcc', 'libc6-dev', 'linux-libc-dev'];
const SOURCE = fileURLToPath(new URL('stress.c', import.meta.url));

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox mount -o remount,rw /
/bin/busybox --install -s /usr/local/bin
export PATH=/bin:/usr/bin:/usr/local/bin
cd /
exec setsid cttyhack sh
`;
const CONFIGURATION = `set timeout=0
menuentry Debian {
  linux /boot/vmlinuz ${QUIET}
  initrd /boot/initrd.gz
}
`;

/** The disk image, made when there is none or it is old. Boot it from a copy: the guest writes on it. */
export function diskGuest(): string {
  const path = join(guestCache, 'disk.img');
  if (existsSync(path) && isRecent(statSync(path).mtimeMs) && statSync(path).mtimeMs > newestSource()) return path;
  const { kernel, initrd } = diskInitramfs();
  const root = mkdtempSync(join(guestCache, 'root-'));
  try {
    for (const folder of ['bin', 'boot', 'dev', 'proc', 'sys', 'tmp', 'root', 'sbin', 'usr/local/bin', 'mnt'])
      mkdirSync(join(root, folder), { recursive: true });
    for (const name of PACKAGES) overlay(root, debianPackage(name));
    copyFileSync(join(debianPackage('busybox-static'), 'bin', 'busybox'), join(root, 'bin', 'busybox'));
    writeFileSync(join(root, 'sbin', 'init'), INIT);
    chmodSync(join(root, 'sbin', 'init'), 0o755);
    copyFileSync(kernel, join(root, 'boot', 'vmlinuz'));
    copyFileSync(initrd, join(root, 'boot', 'initrd.gz'));
    copyFileSync(SOURCE, join(root, 'root', 'stress.c'));
    writeBootDisk({ path: `${path}.${process.pid}`, mebibytes: 96, root, configuration: CONFIGURATION });
    renameSync(`${path}.${process.pid}`, path);
  } finally {
    rmSync(root, { recursive: true, force: true });
    rmSync(`${path}.${process.pid}`, { force: true });
  }
  return path;
}

function newestSource(): number {
  const files = ['stress.c', 'disk-guest.ts', 'boot-disk.ts', 'images.ts'];
  return Math.max(...files.map((name) => statSync(fileURLToPath(new URL(name, import.meta.url))).mtimeMs));
}

/** What the program that the guest compiles prints when the host's gcc compiles it, with x87 arithmetic in 32 bits as tcc does. */
export function stressOutput(count: number, bits: Bits = 32): string {
  const program = join(guestCache, `stress.${process.pid}`);
  try {
    runTool('gcc', [`-m${bits}`, '-ffp-contract=off', '-O1', '-w', '-static', '-o', program, SOURCE]);
    return runTool(program, [`${count}`]);
  } finally {
    rmSync(program, { force: true });
  }
}
