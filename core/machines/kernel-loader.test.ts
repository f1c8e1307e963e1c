import { describe, expect, it } from 'vitest';
import { FW_CFG } from '../hw/nvram/fw-cfg.ts';
import { type AnyBytes, firstBytes, type StoredBytes } from '../util/stored-bytes.ts';
import { MiB } from '../util/units.ts';
import { type KernelBoot, type KernelFiles, kernelKind, loadKernel } from './kernel-loader.ts';

const files = (kernel: AnyBytes, more: Partial<KernelFiles> = {}): KernelFiles => ({
  kernel,
  initrd: null,
  modules: [],
  kernelName: 'vmlinuz',
  append: '',
  ...more,
});
const number = (boot: KernelBoot, key: number) => boot.numbers.find(([k]) => k === key)?.[1];
const blob = (boot: KernelBoot, key: number) => firstBytes(boot.blobs.find(([k]) => k === key)![1]);
const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const textAt = (bytes: Uint8Array, at: number) => {
  let end = at;
  while (bytes[end]) end++;
  return Buffer.from(bytes.subarray(at, end)).toString();
};

/** A kernel file with a header of the Linux boot protocol: two sectors of set-up, then `bodyBytes` of 0xb0. */
function linux(protocol: number, { isHigh = true, bodyBytes = 5000, initrdMax = 0x7fff_ffff, setupSects = 2 } = {}) {
  const image = new Uint8Array(((setupSects || 4) + 1) * 512 + bodyBytes).fill(0xb0);
  image.fill(0, 0, ((setupSects || 4) + 1) * 512);
  const header = view(image);
  header.setUint8(0x1f1, setupSects);
  header.setUint32(0x202, 0x5372_6448, true);
  header.setUint16(0x206, protocol, true);
  header.setUint8(0x211, isHigh ? 1 : 0);
  header.setUint32(0x22c, initrdMax, true);
  return image;
}

/** The same bytes, as a file's. */
const stored = (bytes: Uint8Array): StoredBytes => ({
  length: bytes.length,
  read: (at, into) => into.set(bytes.subarray(at, at + into.length)),
});

describe('kernels in files that are read as they are needed', () => {
  it('are laid out as those in memory', () => {
    const initrd = Uint8Array.from({ length: 9000 }, (_, i) => i);
    const images = [linux(0x20f, { bodyBytes: 300_000 }), linux(0x20f, { setupSects: 255 }), elf([TEXT])];
    for (const image of images) {
      const more = kernelKind(image) === 'linux' ? { initrd } : {};
      const [whole, read] = [
        files(image, more),
        files(stored(image), more.initrd ? { initrd: stored(initrd) } : {}),
      ].map((given) => loadKernel(given, 128 * MiB)) as [KernelBoot, KernelBoot];
      expect(kernelKind(stored(image))).toBe(kernelKind(image));
      expect(read.numbers).toEqual(whole.numbers);
      expect(read.blobs.map(([key]) => key)).toEqual(whole.blobs.map(([key]) => key));
      for (const [key] of whole.blobs) expect(Buffer.compare(blob(read, key), blob(whole, key))).toBe(0);
    }
  });
});

describe('Linux kernels', () => {
  it.each([
    [0x20f, true, { setup: 0x1_0000, commandLine: 0x2_0000, kernel: 0x10_0000 }],
    [0x203, true, { setup: 0x1_0000, commandLine: 0x2_0000, kernel: 0x10_0000 }],
    [0x201, true, { setup: 0x9_0000, commandLine: 0x9_9ff0, kernel: 0x10_0000 }],
    [0x206, false, { setup: 0x9_0000, commandLine: 0x9_9ff0, kernel: 0x1_0000 }],
    [0x200, false, { setup: 0x9_0000, commandLine: 0x9_9ff0, kernel: 0x1_0000 }],
  ])('of protocol %s (loaded high: %s) lie where it says', (protocol, isHigh, places) => {
    const boot = loadKernel(files(linux(protocol, { isHigh }), { append: 'quiet' }), 128 * MiB);
    expect({
      setup: number(boot, FW_CFG.setupAddress),
      commandLine: number(boot, FW_CFG.commandLineAddress),
      kernel: number(boot, FW_CFG.kernelAddress),
    }).toEqual(places);
    for (const [address, size, data] of [
      [FW_CFG.kernelAddress, FW_CFG.kernelSize, FW_CFG.kernelData],
      [FW_CFG.setupAddress, FW_CFG.setupSize, FW_CFG.setupData],
      [FW_CFG.commandLineAddress, FW_CFG.commandLineSize, FW_CFG.commandLineData],
      [FW_CFG.initrdAddress, FW_CFG.initrdSize, FW_CFG.initrdData],
    ] as const) {
      expect(number(boot, address)).toBeTypeOf('number');
      expect(number(boot, size)).toBe(blob(boot, data).length);
    }
    expect(blob(boot, FW_CFG.kernelData).every((byte) => byte === 0xb0)).toBe(true);
    expect(blob(boot, FW_CFG.kernelData).length).toBe(5000);
    expect(textAt(blob(boot, FW_CFG.commandLineData), 0)).toBe('quiet');
    const header = view(blob(boot, FW_CFG.setupData));
    if (protocol >= 0x202) expect(header.getUint32(0x228, true)).toBe(places.commandLine);
    else
      expect([header.getUint16(0x20, true), header.getUint16(0x22, true)]).toEqual([
        0xa33f,
        places.commandLine - places.setup,
      ]);
    expect(header.getUint8(0x210)).toBe(0xb0);
    if (protocol >= 0x201) {
      expect(header.getUint8(0x211) & 0x80).toBe(0x80);
      expect(header.getUint16(0x224, true)).toBe(places.commandLine - places.setup - 0x200);
    }
    expect(boot.rom[0]).toBe(0x55);
  });

  it.each([
    ['vga=normal', 0xffff],
    ['quiet vga=ext', 0xfffe],
    ['vga=ask', 0xfffd],
    ['vga=788 quiet', 788],
    ['vga=0x317', 0x317],
    ['vga=01424', 0o1424],
    ['quiet', 0],
  ])('get the video mode of %s', (append, mode) => {
    const setup = view(blob(loadKernel(files(linux(0x20f), { append }), 128 * MiB), FW_CFG.setupData));
    expect(setup.getUint16(0x1fa, true)).toBe(mode);
  });
  it.each(['vga=', 'vga=78x', 'vga=0xfffffffff', 'vga=08'])('refuse %s', (append) => {
    expect(() => loadKernel(files(linux(0x20f), { append }), 128 * MiB)).toThrow("invalid 'vga=' kernel parameter.");
  });
  it('take an initial disk above 2 GiB where they may lie above 4 GiB themselves', () => {
    const image = linux(0x20f);
    const initrd = new Uint8Array(4096);
    const address = () => number(loadKernel(files(image, { initrd }), 3072 * MiB), FW_CFG.initrdAddress);
    expect(address()).toBe(0x7fff_f000);
    view(image).setUint16(0x236, 2, true);
    expect(address()).toBeGreaterThan(0xbff0_0000);
  });

  it('leave the file’s own bytes alone', () => {
    const image = linux(0x20f);
    const before = image.slice();
    loadKernel(files(image, { append: 'x', initrd: new Uint8Array(10) }), 128 * MiB);
    expect(image).toEqual(before);
  });

  it('take no set-up sectors to mean four', () => {
    const boot = loadKernel(files(linux(0x20f, { setupSects: 0 })), 128 * MiB);
    expect([number(boot, FW_CFG.setupSize), number(boot, FW_CFG.kernelSize)]).toEqual([5 * 512, 5000]);
  });

  it.each([
    ['at the end of RAM, below the firmware’s tables', 0x7fff_ffff, 0x20f, 128 * MiB, 128 * MiB - 0x2_0000 - 8192],
    ['below what the kernel allows', 0x37ff_ffff, 0x203, 2048 * MiB, 0x3800_0000 - 8192],
    ['below the old limit', 0xffff_ffff, 0x202, 2048 * MiB, 0x3800_0000 - 8192],
  ])('have their initial RAM disk %s', (_, initrdMax, protocol, ram, expected) => {
    const initrd = new Uint8Array(5000).fill(7);
    const boot = loadKernel(files(linux(protocol, { initrdMax }), { initrd }), ram);
    expect([number(boot, FW_CFG.initrdAddress), number(boot, FW_CFG.initrdSize)]).toEqual([expected, 5000]);
    const header = view(blob(boot, FW_CFG.setupData));
    expect([header.getUint32(0x218, true), header.getUint32(0x21c, true)]).toEqual([expected, 5000]);
    expect(blob(boot, FW_CFG.initrdData)).toEqual(initrd);
  });

  it('end their command line with a zero, in UTF-8, however long it is', () => {
    const append = `ключ=✓😀 ${'x'.repeat(200_000)}`;
    const bytes = blob(loadKernel(files(linux(0x20f), { append }), 128 * MiB), FW_CFG.commandLineData);
    expect(Buffer.from(bytes).toString()).toBe(`${append}\0`);
  });

  it.each([
    ['no kernel at all', new Uint8Array(1000), {}, 'invalid kernel header'],
    ['an empty file', new Uint8Array(0), {}, 'invalid kernel header'],
    ['nothing behind the set-up', linux(0x20f, { bodyBytes: 0 }), {}, 'invalid kernel header'],
    [
      'no kernel, with a RAM disk',
      new Uint8Array(1000),
      { initrd: new Uint8Array(1) },
      'linux kernel too old to load a ram disk',
    ],
    [
      'a protocol without RAM disks',
      linux(0x1ff),
      { initrd: new Uint8Array(1) },
      'linux kernel too old to load a ram disk',
    ],
    ['a kernel larger than the machine', linux(0x20f, { bodyBytes: 5 * MiB }), {}, 'kernel is too large'],
    [
      'a RAM disk larger than the machine',
      linux(0x20f),
      { initrd: new Uint8Array(4 * MiB) },
      'initrd is too large, cannot support (max: 3009656, need 4194304)',
    ],
  ])('are refused: %s', (_, image, more, message) => {
    expect(() => loadKernel(files(image, more), 4 * MiB)).toThrow(message);
  });
});

const MAGIC = 0x1bad_b002;
function multibootHeader(image: Uint8Array, at: number, flags: number, addresses: readonly number[] = []) {
  const out = view(image);
  out.setUint32(at, MAGIC, true);
  out.setUint32(at + 4, flags, true);
  out.setUint32(at + 8, -(MAGIC + flags) >>> 0, true);
  addresses.forEach((address, i) => {
    out.setUint32(at + 12 + i * 4, address, true);
  });
  return image;
}
/** An image that says itself where it goes (header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr). */
const addressed = (addresses: readonly number[], at = 0x100, length = 0x1000) =>
  multibootHeader(new Uint8Array(length).fill(0xc3), at, 0x1_0000, addresses);

interface Segment {
  readonly offset: number;
  readonly physical: number;
  readonly fileBytes: number;
  readonly memoryBytes: number;
  readonly type?: number;
}
function elf(segments: readonly Segment[], { machine = 3, bits = 1, count = segments.length } = {}) {
  const image = multibootHeader(new Uint8Array(0x2000).fill(0xee, 0x1000), 0x200, 3);
  const out = view(image);
  out.setUint32(0, 0x7f45_4c46, false);
  out.setUint8(4, bits);
  out.setUint16(18, machine, true);
  out.setUint32(24, 0x10_0020, true);
  out.setUint32(28, 52, true);
  out.setUint16(42, 32, true);
  out.setUint16(44, count, true);
  segments.forEach((s, i) => {
    const at = 52 + i * 32;
    out.setUint32(at, s.type ?? 1, true);
    out.setUint32(at + 4, s.offset, true);
    out.setUint32(at + 12, s.physical, true);
    out.setUint32(at + 16, s.fileBytes, true);
    out.setUint32(at + 20, s.memoryBytes, true);
  });
  return image;
}
const TEXT: Segment = { offset: 0x1000, physical: 0x10_0000, fileBytes: 0x100, memoryBytes: 0x180 };

describe('Multiboot kernels', () => {
  it('that give addresses are loaded by them, with zeroes behind', () => {
    const boot = loadKernel(files(addressed([0x10_0100, 0x10_0000, 0x10_0800, 0x10_2000, 0x10_0400])), 128 * MiB);
    expect([number(boot, FW_CFG.kernelAddress), number(boot, FW_CFG.kernelEntry)]).toEqual([0x10_0000, 0x10_0400]);
    const kernel = blob(boot, FW_CFG.kernelData);
    expect([kernel.length, kernel[0x7ff], kernel[0x800], kernel[0x1fff]]).toEqual([0x2000, 0xc3, 0, 0]);
    // The rest of the file, where no end is given; the header need not be at the start of what is loaded.
    const whole = loadKernel(files(addressed([0x20_0080, 0x20_0000, 0, 0, 0x20_0080])), 128 * MiB);
    expect([blob(whole, FW_CFG.kernelData).length, number(whole, FW_CFG.kernelAddress)]).toEqual([
      0x1000 - 0x80,
      0x20_0000,
    ]);
  });

  it('in ELF are loaded by their program headers', () => {
    const data: Segment = { offset: 0x1800, physical: 0x10_4000, fileBytes: 0x10, memoryBytes: 0x40 };
    const note: Segment = { offset: 0, physical: 0, fileBytes: 0x10, memoryBytes: 0x10, type: 4 };
    const boot = loadKernel(files(elf([note, data, TEXT])), 128 * MiB);
    const kernel = blob(boot, FW_CFG.kernelData);
    expect([number(boot, FW_CFG.kernelAddress), number(boot, FW_CFG.kernelEntry), kernel.length]).toEqual([
      0x10_0000, 0x10_0020, 0x4040,
    ]);
    expect([kernel[0xff], kernel[0x100], kernel[0x400f], kernel[0x4010]]).toEqual([0xee, 0, 0xee, 0]);
  });

  it('get their command line, the loader’s name and modules with theirs', () => {
    const modules = [
      { bytes: new Uint8Array(5000).fill(1), commandLine: 'first a=1' },
      { bytes: new Uint8Array(10).fill(2), commandLine: 'second' },
    ];
    const boot = loadKernel(files(elf([TEXT]), { modules, kernelName: 'kernel.elf', append: 'debug' }), 128 * MiB);
    const [base, bytes] = [number(boot, FW_CFG.initrdAddress)!, blob(boot, FW_CFG.initrdData)];
    const info = view(bytes);
    const field = (at: number) => info.getUint32(at, true);
    const string = (at: number) => textAt(bytes, at - base);
    expect(base + bytes.length).toBeLessThan(0xa_0000);
    expect(field(0)).toBe(0b10_0100_1111);
    expect([string(field(16)), string(field(64))]).toEqual(['kernel.elf debug', 'Terrarium']);
    expect(field(12)).toBe(0x8000_ffff);
    expect([field(20), field(48) - base]).toEqual([2, 0x58]);
    const table = field(24) - base;
    const kernelBase = number(boot, FW_CFG.kernelAddress)!;
    const image = blob(boot, FW_CFG.kernelData);
    modules.forEach((module, i) => {
      const [start, end, commandLine] = [0, 4, 8].map((o) => field(table + i * 16 + o)) as [number, number, number];
      expect([start % 4096, end - start, string(commandLine)]).toEqual([0, module.bytes.length, module.commandLine]);
      expect(image.slice(start - kernelBase, end - kernelBase)).toEqual(module.bytes);
    });
    expect(number(boot, FW_CFG.kernelSize)).toBe(image.length);
  });

  it('are found 4-byte aligned in the first 8 KiB, if they are not Linux', () => {
    const at = (offset: number) => kernelKind(multibootHeader(new Uint8Array(16384), offset, 0));
    expect([at(0), at(8180), at(8184), at(2)]).toEqual(['multiboot', 'multiboot', 'unknown', 'unknown']);
    const broken = multibootHeader(new Uint8Array(64), 0, 0);
    broken[8]! ^= 1;
    expect([kernelKind(broken), kernelKind(new Uint8Array(7))]).toEqual(['unknown', 'unknown']);
    expect(kernelKind(multibootHeader(linux(0x20f), 0, 0))).toBe('linux');
  });

  it.each([
    ['unknown requirements', multibootHeader(new Uint8Array(64), 0, 4), 'unsupported required features in header'],
    ['a header that is cut off', addressed([0], 0xff0, 0x1000), 'invalid multiboot header'],
    ['a header before what is loaded', addressed([0x10_0000, 0x10_0100, 0, 0, 0]), 'invalid load_addr address'],
    ['a start before the file', addressed([0x10_0200, 0x10_0000, 0, 0, 0]), 'invalid load_addr address'],
    ['an end behind the file', addressed([0x10_0100, 0x10_0000, 0x10_2000, 0, 0]), 'invalid load_end_addr address'],
    ['an end before the start', addressed([0x10_0100, 0x10_0000, 0xf_0000, 0, 0]), 'invalid load_end_addr address'],
    ['a bss before the end', addressed([0x10_0100, 0x10_0000, 0, 0x10_0800, 0]), 'invalid bss_end_addr address'],
    [
      'a bss without end',
      addressed([0x10_0100, 0x10_0000, 0, 0xffff_f000, 0]),
      'does not fit into the machine’s memory',
    ],
    ['a place among the BIOS’s data', addressed([0x1100, 0x1000, 0, 0, 0]), 'does not fit into the machine’s memory'],
    ['neither ELF nor addresses', multibootHeader(new Uint8Array(64), 0, 0), 'neither ELF nor has load addresses'],
    ['64-bit ELF', elf([TEXT], { machine: 62, bits: 2 }), 'Cannot load x86-64 image, give a 32bit one.'],
    ['headers outside of the file', elf([TEXT], { count: 1000 }), 'ELF program headers lie outside of the file'],
    ['a segment outside of the file', elf([{ ...TEXT, offset: 0x1fff }]), 'ELF segment lies outside of the file'],
    ['a segment larger than its room', elf([{ ...TEXT, memoryBytes: 1 }]), 'ELF segment lies outside of the file'],
    ['nothing to load', elf([]), 'ELF file has nothing to load'],
    ['segments far apart', elf([TEXT, { ...TEXT, physical: 0xf000_0000 }]), 'does not fit into the machine’s memory'],
  ])('are refused: %s', (_, image, message) => {
    expect(() => loadKernel(files(image), 64 * MiB)).toThrow(message);
  });

  it('are refused with modules that do not fit', () => {
    const modules = [{ bytes: new Uint8Array(8 * MiB), commandLine: 'big' }];
    expect(() => loadKernel(files(elf([TEXT]), { modules }), 4 * MiB)).toThrow('modules do not fit');
  });

  it('are refused with command lines that do not fit', () => {
    const modules = [{ bytes: new Uint8Array(1), commandLine: 'x'.repeat(600_000) }];
    expect(() => loadKernel(files(elf([TEXT]), { modules }), 64 * MiB)).toThrow('command lines');
  });
});
