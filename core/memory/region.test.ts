import { describe, expect, it } from 'vitest';
import { objectCanonicalPath, objectNewAs, objectRoot, objectUnparent, objectUnref } from '../qom/object.ts';
import { AddressSpace } from './address-space.ts';
import { ARENA_LIMIT, RamArena } from './arena.ts';
import { MemoryRegion, memoryTransaction } from './region.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');
const OPS = { read: () => 0x42, write() {} };
/** Memory that grows up to `limit` bytes, as WebAssembly's does. */
function growing(limit = 16 << 20) {
  const buffer = new SharedArrayBuffer(65536, { maxByteLength: limit });
  return {
    buffer,
    grow(pages: number) {
      const old = buffer.byteLength;
      buffer.grow(old + pages * 65536);
      return old / 65536;
    },
  };
}

describe('regions', () => {
  it('rebuild flat views once per transaction, and not at all when nothing is seen of the change', () => {
    const root = region().initContainer(null, 'root', 4096);
    const hidden = region().initContainer(null, 'hidden', 4096);
    const space = new AddressSpace('space', root, new RamArena(growing()));
    let rebuilt = 0;
    space.subscribe({ flatViewChanged: () => void rebuilt++ });
    memoryTransaction(() => {
      for (let i = 0; i < 4; i++)
        memoryTransaction(() => root.addSubregion(i * 16, region().initIo(null, OPS, null, `io${i}`, 16)));
      expect([rebuilt, space.flatView.length]).toEqual([0, 0]);
    });
    expect([rebuilt, space.flatView.length]).toEqual([1, 4]);
    hidden.addSubregion(0, region().initIo(null, OPS, null, 'unseen', 16));
    root.addSubregion(0x100, region().initContainer(null, 'empty', 16));
    expect(rebuilt).toBe(1);
    expect(() =>
      memoryTransaction(() => {
        root.subregions.find((r) => r.regionName === 'io0')!.setEnabled(false);
        throw new Error('midway');
      }),
    ).toThrow('midway');
    expect([rebuilt, space.flatView.length]).toEqual([2, 3]); // the change that was made holds
  });

  it('can be moved, resized, switched off, made read-only and taken out', () => {
    const arena = new RamArena(growing());
    const root = region().initContainer(null, 'root', 0x10000);
    const ram = region().initRam(null, arena, 'ram', 0x2000);
    root.addSubregion(0, ram);
    const space = new AddressSpace('space', root, arena);
    const at = () => space.flatView.map((r) => [r.start, r.size, r.offset, r.isReadonly]);
    ram.setAddress(0x4000);
    expect(at()).toEqual([[0x4000, 0x2000, 0, false]]);
    ram.setSize(0x1000);
    ram.setReadonly(true);
    expect(at()).toEqual([[0x4000, 0x1000, 0, true]]);
    expect(space.lookupPage(0x4000)!.writable).toBe(false);
    space.writeBytes(0x4000, Uint8Array.of(1, 2));
    expect(space.read(0x4000, 2)).toBe(0);
    const alias = region().initAlias(null, 'window', ram, 0, 0x100);
    root.addSubregion(0x8000, alias);
    alias.setAliasOffset(0x80);
    expect(at()[1]).toEqual([0x8000, 0x100, 0x80, true]);
    root.delSubregion(ram);
    expect(at()).toEqual([[0x8000, 0x100, 0x80, true]]);
    expect(() => root.delSubregion(ram)).toThrow("region 'ram' is not in 'root'");
    root.addSubregion(0, ram);
    expect(() => root.addSubregion(0x100, ram)).toThrow("region 'ram' is mapped twice");
  });

  it('are children of their owner under a name that paths can hold, and leave the map with it', () => {
    const root = region().initContainer(null, 'root', 4096);
    const owner = region();
    root.addSubregion(0, region().initIo(owner, OPS, null, 'a/b[0]', 16));
    expect([...owner.ownProperties.keys()]).toEqual(['a\\x2fb\\x5b0\\x5d[0]']);
    expect(root.subregions).toHaveLength(1);
    objectUnref(owner);
    expect(root.subregions).toHaveLength(0);
    expect(objectCanonicalPath(objectRoot())).toBe('/');
    objectUnparent(root); // has no parent: no harm
  });

  it('of a ROM device read from memory or from the device, and always write to the device', () => {
    const arena = new RamArena(growing());
    const written: number[] = [];
    const flash = region().initRomDevice(
      null,
      arena,
      { read: () => 0x80, write: (_, offset, value) => void written.push(offset, value) },
      null,
      'flash',
      0x1000,
    );
    const root = region().initContainer(null, 'root', 0x10000);
    root.addSubregion(0x1000, flash);
    const space = new AddressSpace('space', root, arena);
    flash.bytes[2] = 0x5a;
    expect([space.read(0x1002, 1), space.lookupPage(0x1000)?.writable]).toEqual([0x5a, false]);
    space.write(0x1002, 1, 7);
    space.writeBytes(0x1003, Uint8Array.of(8));
    expect([written, flash.bytes[2]]).toEqual([[2, 7, 3, 8], 0x5a]);
    flash.setRomdMode(false);
    const copy = new Uint8Array(2);
    space.readBytes(0x1001, copy);
    expect([space.read(0x1002, 1), space.lookupPage(0x1000), [...copy]]).toEqual([0x80, null, [0x80, 0x80]]);
  });

  it('give a page to the CPU only where one stretch of RAM backs all of it', () => {
    const arena = new RamArena(growing());
    const root = region().initContainer(null, 'root', 0x10000);
    const ram = region().initRam(null, arena, 'ram', 0x8000);
    root.addSubregion(0, ram);
    root.addSubregion(0x2800, region().initIo(null, OPS, null, 'io', 4), 1);
    root.addSubregion(0x9000, region().initAlias(null, 'askew', ram, 0x123, 0x2000));
    const space = new AddressSpace('space', root, arena);
    expect(space.lookupPage(0x1fff)).toEqual({ offset: ram.ram!.offset + 0x1000, writable: true, dirtyLogged: false });
    for (const address of [0x2000, 0x2804, 0x9000, 0xf000]) expect(space.lookupPage(address)).toBeNull();
    const copy = new Uint8Array(8);
    space.writeBytes(0x27fe, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    space.readBytes(0x27fe, copy);
    expect([...copy]).toEqual([1, 2, 0x42, 0x42, 0x42, 0x42, 7, 8]);
  });
});

describe('arena', () => {
  it('hands out whole zeroed pages behind what is reserved, and grows', () => {
    const memory = growing();
    const arena = new RamArena(memory, 5000);
    const first = arena.allocate('first', 1);
    const second = arena.allocate('second', 3 << 16);
    expect([first.offset, second.offset, first.bytes]).toEqual([8192, 12288, 1]);
    expect(arena.bytes.length).toBe(memory.buffer.byteLength);
    expect(arena.blockBytes(second).every((byte) => byte === 0)).toBe(true);
    arena.blockBytes(second)[5] = 9;
    expect(arena.data.getUint8(12293)).toBe(9);
    expect(arena.blocks.map((block) => block.name)).toEqual(['first', 'second']);
  });

  it('says that there is no room, and stays as it was', () => {
    const arena = new RamArena(growing(1 << 20));
    expect(() => arena.allocate('pc.ram', 2 << 20)).toThrow(
      "cannot set up guest memory 'pc.ram': Cannot allocate memory",
    );
    expect(() => arena.allocate('pc.ram', ARENA_LIMIT + 1)).toThrow(
      "cannot set up guest memory 'pc.ram': 4 GiB asked for, 4095 MiB left of the 4096 MiB that a WebAssembly memory can have",
    );
    expect(arena.blocks).toEqual([]);
    expect(arena.allocate('small', 4096).offset).toBe(0);
  });

  it('keeps tables at the start of the memory, whatever is allocated first', () => {
    const arena = new RamArena(growing(), 4096, 8192);
    expect(arena.allocate('pc.ram', 65536).offset).toBe(12288);
    const tables = arena.forTables();
    expect([tables.allocate('a', 10).offset, tables.allocate('b', 4096).offset]).toEqual([4096, 8192]);
    expect(() => tables.allocate('c', 1)).toThrow("no room is kept for table 'c' of 1 bytes");
    expect(tables.bytes).toBe(arena.bytes);
    expect(arena.blocks.map((block) => block.name)).toEqual(['pc.ram', 'a', 'b']);
  });

  it('logs writes per client, to the last page of a block that ends within one', () => {
    const arena = new RamArena(growing());
    const ram = region().initRam(null, arena, 'ram', 0x1800);
    ram.setLog('vga', true);
    ram.setLog('migration', true);
    const isNews = (offset: number) => arena.isLoggedAndClean(ram.ram!.offset + offset);
    expect([isNews(0), isNews(0x1000)]).toEqual([true, true]);
    ram.markDirty(0xfff, 2);
    expect([ram.isDirty(0, 1, 'vga'), ram.isDirty(0x1000, 0x800, 'migration'), isNews(0)]).toEqual([true, true, false]);
    ram.clearDirty(0, 0x1000, 'vga');
    expect([ram.isDirty(0, 0x1000, 'vga'), ram.isDirty(0, 0x1000, 'migration')]).toEqual([false, true]);
    expect([isNews(0), isNews(0x1000)]).toEqual([true, false]);
    ram.setLog('vga', false);
    expect(isNews(0)).toBe(false);
  });
});
