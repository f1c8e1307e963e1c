/** The guests of tests and benchmarks, made once from Debian packages and kept in the cache folder:
 *  Debian's 686 and amd64 kernels, and initramfs archives around its static busybox.
 *
 *    node tests/guests/images.ts      makes all of them and prints where they are
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type ArchiveEntry, cpioArchive, directory, executable, file } from './cpio.ts';
import {
  type Architecture,
  debianPackage,
  dependency,
  GuestUnavailable,
  guestCache,
  isRecent,
  runTool,
} from './debian-packages.ts';

export interface KernelGuest {
  readonly kernel: string;
  readonly initrd: string;
}
export interface BenchmarkGuest extends KernelGuest {
  /** The same programs, to be run on the host. */
  readonly bench: string;
  readonly busybox: string;
}

/** Debian's kernels: the newest of a metapackage. */
interface Kernel {
  readonly architecture: Architecture;
  readonly metapackage: string;
  /** Where its version is noted. */
  readonly note: string;
}
const KERNEL_686: Kernel = { architecture: 'i386', metapackage: 'linux-image-686', note: 'kernel-version' };
const kernelAmd64 = (flavour: string): Kernel => ({
  architecture: 'amd64',
  metapackage: `linux-image-${flavour}`,
  note: `kernel-version-${flavour}`,
});

/** The version is looked up once a week: kernels get security updates, and the mirror drops the old ones. */
export function kernelPackage({ architecture, metapackage, note: file }: Kernel = KERNEL_686): string {
  const note = join(guestCache, file);
  if (existsSync(note) && isRecent(statSync(note).mtimeMs))
    return debianPackage(readFileSync(note, 'utf8'), architecture);
  mkdirSync(guestCache, { recursive: true });
  try {
    const name = dependency(metapackage, 'linux-image-', architecture);
    const folder = debianPackage(name, architecture);
    write(note, name);
    return folder;
  } catch (error) {
    // Without a network, last month's kernel is as good.
    if (existsSync(note)) return debianPackage(readFileSync(note, 'utf8'), architecture);
    throw error;
  }
}

/** Debian's 686 kernel, or another. */
export function kernelImage(kernel: Kernel = KERNEL_686): string {
  const boot = join(kernelPackage(kernel), 'boot');
  const name = readdirSync(boot).find((entry) => entry.startsWith('vmlinuz-'));
  if (!name) throw new GuestUnavailable('the kernel package holds no vmlinuz');
  return join(boot, name);
}

/** Debian's static busybox. */
export const busybox = (architecture: Architecture = 'i386') =>
  join(debianPackage('busybox-static', architecture), 'bin', 'busybox');

/** An initramfs of busybox, an init script, and what else is given. */
export function writeInitramfs(
  name: string,
  init: string,
  more: readonly ArchiveEntry[] = [],
  architecture: Architecture = 'i386',
): string {
  const folders = ['bin', 'proc', 'sys', 'dev', 'tmp', 'root', 'mnt'].map(directory);
  const entries = [
    ...folders,
    executable('init', init),
    executable('bin/busybox', readFileSync(busybox(architecture))),
    ...more,
  ];
  const path = join(guestCache, name);
  write(path, gzipSync(cpioArchive(entries), { level: 9 }));
  return path;
}

/** Never half a file, even when two runs make it at once. */
function write(path: string, data: Uint8Array | string): void {
  writeFileSync(`${path}.${process.pid}`, data);
  renameSync(`${path}.${process.pid}`, path);
}

const MOUNTS = `/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs tmp /tmp
export PATH=/bin
`;

const SHELL = `#!/bin/busybox sh
${MOUNTS}/bin/busybox --install -s /bin
exec setsid cttyhack sh
`;
/** A kernel and a shell on the serial console. */
export function shellGuest(): KernelGuest {
  return { kernel: kernelImage(), initrd: writeInitramfs('shell-initrd.gz', SHELL) };
}
/** The same in 64 bits: `cloud-amd64` is a small kernel for virtual machines, `amd64` the one of every PC. */
export function longShellGuest(flavour: 'cloud-amd64' | 'amd64' = 'cloud-amd64'): KernelGuest {
  const initrd = writeInitramfs('shell-amd64-initrd.gz', SHELL, [], 'amd64');
  return { kernel: kernelImage(kernelAmd64(flavour)), initrd };
}

/** Everything of a package below a folder, followed through links, under the same names. */
function packageFiles(name: string, architecture: Architecture, ...folders: string[]): ArchiveEntry[] {
  const root = debianPackage(name, architecture);
  const entries: ArchiveEntry[] = [];
  const visit = (path: string) => {
    const real = join(root, path);
    const { mode } = statSync(real);
    if (statSync(real).isDirectory()) {
      entries.push(directory(path));
      for (const entry of readdirSync(real)) visit(`${path}/${entry}`);
    } else entries.push(file(path, readFileSync(real), mode & 0o777));
  };
  folders.forEach(visit);
  return entries;
}

/** The 64-bit guest with Debian's C library, tcc with headers, and modules for disks and the power button, all loaded. */
export function longToolsGuest(): KernelGuest {
  const kernel = kernelAmd64('cloud-amd64');
  const modules = kernelModules(['ata_piix', 'sd_mod', 'button', 'evdev'], kernel);
  const insert = modules.map(({ path }) => `/bin/busybox insmod /${path}\n`).join('');
  const libraries = 'lib/x86_64-linux-gnu';
  const entries = [
    ...['mods', 'lib', 'lib64', libraries, 'usr', 'usr/bin', 'usr/lib'].map(directory),
    ...modules,
    ...packageFiles('libc6', 'amd64', libraries).filter(({ path }) => !path.includes('gconv')),
    executable(
      'lib64/ld-linux-x86-64.so.2',
      readFileSync(join(debianPackage('libc6', 'amd64'), libraries, 'ld-linux-x86-64.so.2')),
    ),
    ...packageFiles('libc6-dev', 'amd64', 'usr/include', 'usr/lib/x86_64-linux-gnu').filter(
      ({ path }) => !/\/lib\w+\.(a|so)$/.test(path) || path.endsWith('libc.so') || path.endsWith('libc_nonshared.a'),
    ),
    ...packageFiles('linux-libc-dev', 'amd64', 'usr/include'),
    ...packageFiles('tcc', 'amd64', 'usr/bin', 'usr/lib'),
    file('root/stress.c', readFileSync(fileURLToPath(new URL('stress.c', import.meta.url)))),
  ];
  const init = `#!/bin/busybox sh
${MOUNTS}/bin/busybox --install -s /bin
${insert}export PATH=/bin:/usr/bin
exec setsid cttyhack sh
`;
  const unique = [...new Map(entries.map((entry) => [entry.path, entry])).values()];
  return { kernel: kernelImage(kernel), initrd: writeInitramfs('tools-amd64-initrd.gz', init, unique, 'amd64') };
}

export interface ModelsGuest extends KernelGuest {
  /** The program `features` of the guest, to be run on the host. */
  readonly program: string;
}

/** The 64-bit guest with glibc's loader, and a program that uses what CPU models offer. */
export function cpuModelsGuest(): ModelsGuest {
  const program = join(guestCache, 'cpu-features');
  const source = fileURLToPath(new URL('cpu-features.c', import.meta.url));
  mkdirSync(guestCache, { recursive: true });
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    const flags = ['-m64', '-march=x86-64', '-O2', '-ffp-contract=off', '-static', '-no-pie', '-s'];
    runTool('gcc', [...flags, '-o', `${program}.${process.pid}`, source]);
    renameSync(`${program}.${process.pid}`, program);
  }
  const loader = join(debianPackage('libc6', 'amd64'), 'lib/x86_64-linux-gnu/ld-linux-x86-64.so.2');
  const entries = [
    directory('lib64'),
    executable('lib64/ld-linux-x86-64.so.2', readFileSync(loader)),
    executable('bin/features', readFileSync(program)),
  ];
  const kernel = kernelImage(kernelAmd64('cloud-amd64'));
  return { kernel, initrd: writeInitramfs('models-amd64-initrd.gz', SHELL, entries, 'amd64'), program };
}

/** Debian's installer for amd64 in its text form, as its netboot images hold it: some 130 MB to fetch, once. */
export function installerGuest(): KernelGuest {
  const images = join(debianPackage('debian-installer-12-netboot-amd64', 'amd64'), 'usr/lib/debian-installer/images');
  const folder = join(images, '12/amd64/text/debian-installer/amd64');
  return { kernel: join(folder, 'linux'), initrd: join(folder, 'initrd.gz') };
}

/** A kernel and an initramfs that loads the disk drivers and goes on with /sbin/init of /dev/sda1. */
export function diskInitramfs(): KernelGuest {
  const modules = kernelModules(['ata_piix', 'sd_mod', 'ext4', 'crc32c_generic', 'crct10dif_generic']);
  const insert = modules.map(({ path }) => `/bin/busybox insmod /${path}\n`).join('');
  const init = `#!/bin/busybox sh
${MOUNTS}${insert}
n=0
while [ ! -b /dev/sda1 ] && [ $n -lt 300 ]; do /bin/busybox usleep 100000; n=$((n+1)); done
/bin/busybox mount -t ext2 /dev/sda1 /mnt || exec /bin/busybox sh
exec /bin/busybox switch_root /mnt /sbin/init
`;
  return { kernel: kernelImage(), initrd: writeInitramfs('disk-initrd.gz', init, [directory('mods'), ...modules]) };
}

/** Kernel modules in the order in which they can be inserted: each names what it depends on in its .modinfo. */
function kernelModules(names: readonly string[], kernel: Kernel = KERNEL_686): ArchiveEntry[] {
  const root = join(kernelPackage(kernel), 'lib', 'modules');
  const files = new Map<string, string>();
  for (const path of readdirSync(root, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.ko'))
      files.set(path.slice(path.lastIndexOf('/') + 1, -3).replaceAll('-', '_'), join(root, path));
  const ordered = new Map<string, ArchiveEntry>();
  const visit = (name: string) => {
    const path = files.get(name.replaceAll('-', '_'));
    if (!path || ordered.has(name)) return; // built into the kernel, or there already
    const data = readFileSync(path);
    const needs = /\0depends=([^\0]*)\0/.exec(data.toString('latin1'))?.[1] ?? '';
    for (const need of needs.split(',').filter(Boolean)) visit(need.replaceAll('-', '_'));
    ordered.set(name, file(`mods/${name}.ko`, data));
  };
  names.forEach(visit);
  return [...ordered.values()];
}

const SOURCES = fileURLToPath(new URL('../bench/guest/', import.meta.url));
export type Bits = 32 | 64;
const COMMON = [
  ...['-O2', '-fno-pie', '-fno-tree-vectorize', '-fno-tree-loop-distribute-patterns'],
  ...['-fno-math-errno', '-fno-stack-protector', '-ffp-contract=off', '-D_FILE_OFFSET_BITS=64'],
];
const PLAIN: Record<Bits, readonly string[]> = {
  32: ['-m32', '-march=i686', ...COMMON],
  64: ['-m64', '-march=x86-64', ...COMMON],
};
const INTEGER: Record<Bits, readonly string[]> = { 32: [...PLAIN[32], '-mno-sse', '-mfpmath=387'], 64: PLAIN[64] };
const SSE: Record<Bits, readonly string[]> = { 32: [...PLAIN[32], '-msse2', '-mfpmath=sse'], 64: PLAIN[64] };
/** Object name, source, flags: the same floating-point tests are compiled for SSE and for x87. */
const units = (bits: Bits): readonly (readonly [string, string, readonly string[]])[] => [
  ['main', 'main.c', INTEGER[bits]],
  ['int', 't_int.c', INTEGER[bits]],
  ['sse', 't_fp.c', [...SSE[bits], '-mfpmath=sse', '-DFPTAB=sse_tests']],
  ['x87', 't_fp.c', [...PLAIN[bits], '-mfpmath=387', '-DX87', '-DFPTAB=x87_tests']],
  ['simd', 't_simd.c', SSE[bits]],
  ['sys', 't_sys.c', INTEGER[bits]],
  ['app', 't_app.c', INTEGER[bits]],
];

/** The benchmark: its program, static, alone and inside an initramfs. In 64 bits with the kernel for virtual machines. */
export function benchmarkGuest(bits: Bits = 32): BenchmarkGuest {
  const architecture = bits === 64 ? 'amd64' : 'i386';
  const kernel = bits === 64 ? kernelImage(kernelAmd64('cloud-amd64')) : kernelImage();
  const suffix = bits === 64 ? '-amd64' : '';
  const folder = join(guestCache, `bench${suffix}`);
  mkdirSync(folder, { recursive: true });
  const bench = join(folder, 'bench');
  const newest = Math.max(...readdirSync(SOURCES).map((name) => statSync(join(SOURCES, name)).mtimeMs));
  if (!existsSync(bench) || statSync(bench).mtimeMs < newest) {
    const objects = units(bits).map(([name, source, flags]) => {
      const object = join(folder, `${name}.o`);
      runTool('gcc', [...flags, '-c', '-o', object, join(SOURCES, source)]);
      return object;
    });
    runTool('gcc', [`-m${bits}`, '-static', '-no-pie', '-s', '-o', bench, ...objects]);
  }
  const init = readFileSync(join(SOURCES, 'init'), 'utf8');
  const program = executable('bin/bench', readFileSync(bench));
  const initrd = writeInitramfs(`bench${suffix}-initrd.gz`, init, [program], architecture);
  return { kernel, initrd, bench, busybox: busybox(architecture) };
}

/** A guest, or the reason why there is none. */
export function guestOrReason<T>(make: () => T): { readonly guest?: T; readonly reason?: string } {
  try {
    return { guest: make() };
  } catch (error) {
    if (error instanceof GuestUnavailable) return { reason: error.message };
    throw error;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log(shellGuest(), diskInitramfs(), benchmarkGuest(), longShellGuest());
