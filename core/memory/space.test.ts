import { describe, expect, it } from 'vitest';
import { objectNewAs } from '../qom/object.ts';
import { AddressSpace } from './address-space.ts';
import { RamArena } from './arena.ts';
import { FULL_SIZE, MemoryRegion, memoryTransaction } from './region.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');
function board() {
  const buffer = new SharedArrayBuffer(65536, { maxByteLength: 16 << 20 });
  const memory = {
    get buffer() {
      return buffer;
    },
    grow(pages: number) {
      const old = buffer.byteLength;
      buffer.grow(old + pages * 65536);
      return old / 65536;
    },
  };
  const arena = new RamArena(memory);
  const root = region().initContainer(null, 'system', FULL_SIZE);
  const ram = region().initRam(null, arena, 'pc.ram', 1 << 20);
  root.addSubregion(0, ram);
  return { arena, root, ram, space: new AddressSpace('memory', root, arena) };
}

describe('address space', () => {
  it('reads and writes RAM little-endian, and across a range end byte by byte', () => {
    const { space, root } = board();
    space.write(0x100, 4, 0x11223344);
    expect(space.read(0x101, 2)).toBe(0x2233);
    const seen: number[] = [];
    const io = region().initIo(
      null,
      { read: (_, o) => o + 0x80, write: (_, o, v) => void seen.push(o, v) },
      null,
      'io',
      4,
    );
    root.addSubregion(0x1000, io, 1);
    space.write(0xffe, 4, 0xaabbccdd);
    expect(seen).toEqual([0, 0xbb, 1, 0xaa]);
    expect(space.read(0xffe, 4)).toBe(0x8180ccdd);
    expect(space.read(2 ** 40, 4)).toBe(0);
  });

  it('lets priority decide, follows aliases, and keeps ROM from changing', () => {
    const { space, root, ram, arena } = board();
    const rom = region().initRom(null, arena, 'rom', 0x1000);
    rom.bytes[0] = 0x5a;
    memoryTransaction(() => {
      root.addSubregion(0xf000, rom, 1);
      root.addSubregion(2 ** 32 - 0x1000, region().initAlias(null, 'high', rom, 0, 0x1000));
    });
    space.write(0xf000, 1, 1);
    expect([space.read(0xf000, 1), space.read(2 ** 32 - 0x1000, 1), ram.bytes[0xf000]]).toEqual([0x5a, 0x5a, 0]);
    rom.setEnabled(false);
    space.write(0xf000, 1, 1);
    expect(ram.bytes[0xf000]).toBe(1);
    expect(space.lookupPage(0xf000)).toEqual({ offset: ram.ram!.offset + 0xf000, writable: true, dirtyLogged: false });
  });

  it('splits and widens accesses to what a region implements', () => {
    const { space, root } = board();
    const log: string[] = [];
    const ops = {
      read(_: unknown, o: number, s: number) {
        log.push(`r${o}.${s}`);
        return s === 1 ? o : 0x04030201;
      },
      write: (_: unknown, o: number, v: number, s: number) => void log.push(`w${o}.${s}=${v.toString(16)}`),
    };
    root.addSubregion(0x2000, region().initIo(null, { ...ops, impl: { max: 1 } }, null, 'bytes', 16), 1);
    root.addSubregion(0x3000, region().initIo(null, { ...ops, impl: { min: 4 } }, null, 'words', 16), 1);
    expect(space.read(0x2004, 4)).toBe(0x07060504);
    space.write(0x2000, 2, 0xbeef);
    expect(space.read(0x3000, 2)).toBe(0x0201);
    expect(log).toEqual(['r4.1', 'r5.1', 'r6.1', 'r7.1', 'w0.1=ef', 'w1.1=be', 'r0.4']);
  });

  it('tells of dirty pages once until they are cleared, and of DMA into code', () => {
    const { space, ram, arena } = board();
    ram.setLog('vga', true);
    const written: number[] = [];
    space.subscribe({ ramWritten: (offset) => void written.push(offset) });
    expect(space.lookupPage(0x5000)!.dirtyLogged).toBe(true);
    space.writeBytes(0x5004, new Uint8Array([1, 2, 3]));
    expect(ram.isDirty(0x5000, 1, 'vga')).toBe(true);
    expect(space.lookupPage(0x5000)!.dirtyLogged).toBe(false);
    ram.clearDirty(0x5000, 0x1000, 'vga');
    expect(space.lookupPage(0x5000)!.dirtyLogged).toBe(true);
    arena.codePages[(ram.ram!.offset + 0x5000) >>> 12] = 1;
    space.writeBytes(0x5004, new Uint8Array([9]));
    expect(written).toEqual([ram.ram!.offset + 0x5004]);
  });
});
