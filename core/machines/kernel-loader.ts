/** `-kernel`, `-initrd`, `-append`: recognises a bzImage or a Multiboot image and lays out what the boot ROM fetches. Sources: Linux boot protocol 2.15, Multiboot Specification 0.6.96. */

import { FW_CFG } from '../hw/nvram/fw-cfg.ts';
import { UserError } from '../util/errors.ts';
import { type AnyBytes, bytesFrom, firstBytes } from '../util/stored-bytes.ts';
import { linuxBootRom, MULTIBOOT_INFO, multibootRom } from './boot-rom.ts';

/** What goes into fw_cfg: numbers as 32-bit little-endian items, blobs as they are. */
export interface KernelBoot {
  readonly romName: string;
  readonly rom: Uint8Array;
  readonly numbers: readonly (readonly [key: number, value: number])[];
  readonly blobs: readonly (readonly [key: number, bytes: AnyBytes])[];
}

export interface KernelFiles {
  readonly kernel: AnyBytes;
  readonly initrd: AnyBytes | null;
  /** For a Multiboot kernel: modules, each with its own command line. */
  readonly modules: readonly { readonly bytes: Uint8Array; readonly commandLine: string }[];
  readonly kernelName: string;
  readonly append: string;
}

/** What tells kinds of kernels apart, and Linux's setup code: at most 256 sectors. */
const HEAD_BYTES = 256 * 512;
const MULTIBOOT_MAGIC = 0x1bad_b002;
/** Above lie the extended BIOS data area and video memory. */
const LOW_MEMORY_END = 0x9_0000;
const TOO_LARGE = 'multiboot kernel does not fit into the machine’s memory';

function text(value: string): Uint8Array {
  const bytes: number[] = [];
  for (const c of value) {
    const code = c.codePointAt(0)!;
    if (code < 0x80) bytes.push(code);
    else bytes.push(...encodeCodePoint(code));
  }
  bytes.push(0);
  return Uint8Array.from(bytes);
}
function encodeCodePoint(code: number): number[] {
  if (code < 0x800) return [0xc0 | (code >> 6), 0x80 | (code & 63)];
  if (code < 0x1_0000) return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
  return [0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63)];
}

/** What a file is that `-kernel` names; only then it is clear what `-initrd` means. */
export function kernelKind(kernel: AnyBytes): 'linux' | 'multiboot' | 'unknown' {
  const head = firstBytes(kernel, HEAD_BYTES);
  if (isLinux(head)) return 'linux';
  return findMultibootHeader(head) >= 0 ? 'multiboot' : 'unknown';
}

/** @throws UserError when the image is neither, or does not fit */
export function loadKernel(files: KernelFiles, lowRamBytes: number): KernelBoot {
  const head = firstBytes(files.kernel, HEAD_BYTES);
  if (!isLinux(head)) {
    const multiboot = findMultibootHeader(head);
    if (multiboot >= 0) return loadMultiboot(files, multiboot, lowRamBytes);
    // Kernels from before the boot protocol (Linux 1.3.72 and older) are not supported.
    throw new UserError(files.initrd ? TOO_OLD_FOR_INITRD : 'invalid kernel header');
  }
  return loadLinux(files, lowRamBytes);
}

const SETUP = {
  setupSects: 0x1f1,
  videoMode: 0x1fa,
  magic: 0x202,
  version: 0x206,
  typeOfLoader: 0x210,
  loadFlags: 0x211,
  code32Start: 0x214,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  heapEnd: 0x224,
  commandLine: 0x228,
  initrdMax: 0x22c,
  loadFlagsX: 0x236,
} as const;
const LOADED_HIGH = 1;
const CAN_USE_HEAP = 0x80;
/** XLF_CAN_BE_LOADED_ABOVE_4G: such a kernel takes an initial disk anywhere below 4 GiB, although it says 2 GiB. */
const ABOVE_4G = 2;
/** Loader number B (QEMU's, assigned in Linux's boot protocol), version 0: what follows is what QEMU's loader does. */
const LOADER_QEMU = 0xb0;
/** The firmware keeps the top of low memory for its tables: an initial disk must not reach into it. */
const FIRMWARE_TABLES_BYTES = 0x2_0000;

const TOO_OLD_FOR_INITRD = 'linux kernel too old to load a ram disk';

/** Whether a file has the header of the Linux boot protocol ("HdrS"). */
function isLinux(kernel: Uint8Array): boolean {
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.length);
  return kernel.length >= 0x400 && view.getUint32(SETUP.magic, true) === 0x5372_6448;
}

/** The video mode of `vga=` on the command line, which the boot loader has to put into the header, or null. Linux boot protocol,
 *  "Special Command Line Options". */
function videoMode(append: string): number | null {
  const at = append.indexOf('vga=');
  if (at < 0) return null;
  const value = append.slice(at + 4);
  const named = /^(normal|ext|ask)/.exec(value)?.[1];
  if (named) return { normal: 0xffff, ext: 0xfffe, ask: 0xfffd }[named]!;
  const number = /^(0x[0-9a-f]+|\d+)(?: |$)/i.exec(value)?.[1];
  const mode = number === undefined ? Number.NaN : Number(/^0\d/.test(number) ? `0o${number}` : number);
  if (!(mode <= 0xffff_ffff)) throw new UserError("invalid 'vga=' kernel parameter.");
  return mode & 0xffff;
}

function loadLinux(files: KernelFiles, lowRamBytes: number): KernelBoot {
  const { kernel } = files;
  const head = firstBytes(kernel, HEAD_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const protocol = view.getUint16(SETUP.version, true);
  const isHigh = protocol >= 0x200 && (view.getUint8(SETUP.loadFlags) & LOADED_HIGH) !== 0;
  const setupSectors = view.getUint8(SETUP.setupSects) || 4;
  const setupBytes = (setupSectors + 1) * 512;
  if (setupBytes >= kernel.length) throw new UserError('invalid kernel header');
  const commandLine = text(files.append);
  const [realAddress, commandLineAddress, kernelAddress] = !isHigh
    ? [0x9_0000, 0x9_a000 - Math.ceil(commandLine.length / 16) * 16, 0x1_0000]
    : protocol < 0x202
      ? [0x9_0000, 0x9_a000 - Math.ceil(commandLine.length / 16) * 16, 0x10_0000]
      : [0x1_0000, 0x2_0000, 0x10_0000];
  const setup = Uint8Array.from(head.subarray(0, Math.max(setupBytes, 0x400)));
  const header = new DataView(setup.buffer);
  const video = videoMode(files.append);
  if (video !== null) header.setUint16(SETUP.videoMode, video, true);
  if (protocol >= 0x202) header.setUint32(SETUP.commandLine, commandLineAddress, true);
  else {
    header.setUint16(0x20, 0xa33f, true);
    header.setUint16(0x22, commandLineAddress - realAddress, true);
  }
  if (protocol >= 0x200) header.setUint8(SETUP.typeOfLoader, LOADER_QEMU);
  if (protocol >= 0x201) {
    header.setUint8(SETUP.loadFlags, header.getUint8(SETUP.loadFlags) | CAN_USE_HEAP);
    header.setUint16(SETUP.heapEnd, commandLineAddress - realAddress - 0x200, true);
  }
  const body = bytesFrom(kernel, setupBytes);
  if (kernelAddress + body.length > lowRamBytes) throw new UserError('kernel is too large for the machine’s memory');
  let initrdAddress = 0;
  const { initrd } = files;
  if (initrd) {
    if (protocol < 0x200) throw new UserError(TOO_OLD_FOR_INITRD);
    const isAnywhere = protocol >= 0x20c && (header.getUint16(SETUP.loadFlagsX, true) & ABOVE_4G) !== 0;
    const highest = Math.min(
      isAnywhere ? 0xffff_ffff : protocol >= 0x203 ? header.getUint32(SETUP.initrdMax, true) : 0x37ff_ffff,
      lowRamBytes - FIRMWARE_TABLES_BYTES - 1,
    );
    initrdAddress = Math.floor((highest + 1 - initrd.length) / 4096) * 4096;
    if (initrdAddress < kernelAddress + body.length)
      throw new UserError(
        `initrd is too large, cannot support (max: ${Math.max(0, highest + 1 - kernelAddress - body.length)}, need ${initrd.length})`,
      );
    header.setUint32(SETUP.ramdiskImage, initrdAddress, true);
    header.setUint32(SETUP.ramdiskSize, initrd.length, true);
  }
  const K = FW_CFG;
  return {
    romName: 'linuxboot_dma.bin',
    rom: linuxBootRom(),
    numbers: [
      [K.kernelAddress, kernelAddress],
      [K.kernelSize, body.length],
      [K.initrdAddress, initrdAddress],
      [K.initrdSize, initrd?.length ?? 0],
      [K.commandLineAddress, commandLineAddress],
      [K.commandLineSize, commandLine.length],
      [K.setupAddress, realAddress],
      [K.setupSize, setup.length],
    ],
    blobs: [
      [K.kernelData, body],
      [K.initrdData, initrd ?? new Uint8Array(0)],
      [K.commandLineData, commandLine],
      [K.setupData, setup],
    ],
  };
}

/** The header lies 4-byte aligned in the first 8 KiB; -1 when there is none. */
function findMultibootHeader(image: Uint8Array): number {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  for (let at = 0; at + 12 <= Math.min(image.length, 8192); at += 4)
    if (
      view.getUint32(at, true) === MULTIBOOT_MAGIC &&
      ((MULTIBOOT_MAGIC + view.getUint32(at + 4, true) + view.getUint32(at + 8, true)) & 0xffff_ffff) === 0
    )
      return at;
  return -1;
}

interface Image {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly entry: number;
}

function loadMultiboot(files: KernelFiles, headerAt: number, lowRamBytes: number): KernelBoot {
  const kernel = firstBytes(files.kernel);
  const view = new DataView(kernel.buffer, kernel.byteOffset, kernel.length);
  const flags = view.getUint32(headerAt + 4, true);
  if (flags & 0xffff & ~3)
    throw new UserError(`multiboot: unsupported required features in header flags 0x${flags.toString(16)}`);
  const image =
    flags & 0x1_0000 ? addressedImage(view, kernel, headerAt, lowRamBytes) : elfImage(view, kernel, lowRamBytes);
  const end = image.address + image.bytes.length;
  if (image.address < 0x1_0000 || end > lowRamBytes) throw new UserError(TOO_LARGE);

  // Modules go page aligned behind the kernel, as one piece with it; information and strings below 640 KiB.
  const infoAddress = 0x9000;
  const strings: number[] = [];
  const stringBase = MULTIBOOT_INFO.mmapOffset + MULTIBOOT_INFO.mmapEntries * 24 + files.modules.length * 16;
  const addString = (value: string): number => {
    const at = infoAddress + stringBase + strings.length;
    for (const byte of text(value)) strings.push(byte);
    return at;
  };
  const commandLineAt = addString(files.append === '' ? files.kernelName : `${files.kernelName} ${files.append}`);
  const loaderAt = addString('Terrarium');
  let size = image.bytes.length;
  const places = files.modules.map((module) => {
    const at = Math.ceil((image.address + size) / 4096) * 4096;
    size = at - image.address + module.bytes.length;
    return { at, module, string: addString(module.commandLine) };
  });
  if (image.address + size > lowRamBytes) throw new UserError('multiboot modules do not fit into the machine’s memory');
  const whole = new Uint8Array(size);
  whole.set(image.bytes);
  for (const { at, module } of places) whole.set(module.bytes, at - image.address);

  if (infoAddress + stringBase + strings.length > LOW_MEMORY_END)
    throw new UserError('multiboot command lines do not fit into low memory');
  const info = new Uint8Array(stringBase + strings.length);
  info.set(strings, stringBase);
  const out = new DataView(info.buffer);
  const HAS_MEMORY = 1,
    HAS_BOOT_DEVICE = 2,
    HAS_COMMAND_LINE = 4,
    HAS_MODULES = 8,
    HAS_MMAP = 0x40,
    HAS_LOADER = 0x200;
  out.setUint32(0, HAS_MEMORY | HAS_BOOT_DEVICE | HAS_COMMAND_LINE | HAS_MODULES | HAS_MMAP | HAS_LOADER, true);
  out.setUint32(12, 0x8000_ffff, true);
  out.setUint32(16, commandLineAt, true);
  const moduleTable = MULTIBOOT_INFO.mmapOffset + MULTIBOOT_INFO.mmapEntries * 24;
  out.setUint32(20, places.length, true);
  out.setUint32(24, infoAddress + moduleTable, true);
  places.forEach(({ at, module, string }, i) => {
    out.setUint32(moduleTable + i * 16, at, true);
    out.setUint32(moduleTable + i * 16 + 4, at + module.bytes.length, true);
    out.setUint32(moduleTable + i * 16 + 8, string, true);
  });
  out.setUint32(48, infoAddress + MULTIBOOT_INFO.mmapOffset, true);
  out.setUint32(64, loaderAt, true);
  const K = FW_CFG;
  return {
    romName: 'multiboot_dma.bin',
    rom: multibootRom(),
    numbers: [
      [K.kernelAddress, image.address],
      [K.kernelSize, whole.length],
      [K.kernelEntry, image.entry],
      [K.initrdAddress, infoAddress],
      [K.initrdSize, info.length],
    ],
    blobs: [
      [K.kernelData, whole],
      [K.initrdData, info],
    ],
  };
}

/** Load addresses given in the Multiboot header itself (the "a.out kludge"). */
function addressedImage(view: DataView, kernel: Uint8Array, headerAt: number, lowRamBytes: number): Image {
  if (headerAt + 32 > kernel.length) throw new UserError('invalid multiboot header');
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((o) =>
    view.getUint32(headerAt + o, true),
  ) as [number, number, number, number, number];
  const fileOffset = headerAt - (headerAddress - loadAddress);
  if (loadAddress > headerAddress || fileOffset < 0) throw new UserError('invalid load_addr address');
  const loadBytes = loadEnd === 0 ? kernel.length - fileOffset : loadEnd - loadAddress;
  if (loadBytes <= 0 || fileOffset + loadBytes > kernel.length) throw new UserError('invalid load_end_addr address');
  const size = bssEnd === 0 ? loadBytes : bssEnd - loadAddress;
  if (size < loadBytes) throw new UserError('invalid bss_end_addr address');
  if (loadAddress + size > lowRamBytes) throw new UserError(TOO_LARGE);
  const bytes = new Uint8Array(size);
  bytes.set(kernel.subarray(fileOffset, fileOffset + loadBytes));
  return { address: loadAddress, bytes, entry };
}

/** A 32-bit x86 ELF executable, by its program headers. */
function elfImage(view: DataView, kernel: Uint8Array, lowRamBytes: number): Image {
  if (kernel.length < 52 || view.getUint32(0, false) !== 0x7f45_4c46)
    throw new UserError('multiboot kernel is neither ELF nor has load addresses');
  if (view.getUint8(4) !== 1 || view.getUint16(18, true) !== 3)
    throw new UserError('Cannot load x86-64 image, give a 32bit one.');
  const table = view.getUint32(28, true);
  const count = view.getUint16(44, true);
  const stride = view.getUint16(42, true);
  const segments: { physical: number; offset: number; fileBytes: number; memoryBytes: number }[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * stride;
    if (at + 32 > kernel.length) throw new UserError('ELF program headers lie outside of the file');
    if (view.getUint32(at, true) !== 1) continue;
    const segment = {
      offset: view.getUint32(at + 4, true),
      physical: view.getUint32(at + 12, true),
      fileBytes: view.getUint32(at + 16, true),
      memoryBytes: view.getUint32(at + 20, true),
    };
    if (segment.offset + segment.fileBytes > kernel.length || segment.fileBytes > segment.memoryBytes)
      throw new UserError('ELF segment lies outside of the file');
    segments.push(segment);
  }
  if (segments.length === 0) throw new UserError('ELF file has nothing to load');
  const start = Math.min(...segments.map((s) => s.physical));
  const end = Math.max(...segments.map((s) => s.physical + s.memoryBytes));
  if (end > lowRamBytes) throw new UserError(TOO_LARGE);
  const bytes = new Uint8Array(end - start);
  for (const s of segments) bytes.set(kernel.subarray(s.offset, s.offset + s.fileBytes), s.physical - start);
  return { address: start, bytes, entry: view.getUint32(24, true) };
}
