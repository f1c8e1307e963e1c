import { afterEach, describe, expect, it } from 'vitest';
import { objectNewAs } from '../qom/object.ts';
import { setLogItems, setLogSink } from '../util/log.ts';
import { AddressSpace } from './address-space.ts';
import { RamArena } from './arena.ts';
import { type AccessSize, MemoryRegion, type MemoryRegionOps } from './region.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');
const arena = new RamArena({ buffer: new SharedArrayBuffer(65536), grow: () => 0 });
const SIZE = 32;

/** Registers that are plain memory, byte by byte: whatever the rules, a sum of accesses must come to the same bytes. */
function byteBank(ops: Omit<MemoryRegionOps, 'read' | 'write'>) {
  const bytes = new Uint8Array(SIZE);
  const calls: string[] = [];
  const isBig = ops.endianness === 'big';
  const place = (i: number, size: number) => (isBig ? size - 1 - i : i);
  const bank = region().initIo(
    null,
    {
      ...ops,
      read(_: unknown, offset: number, size: number) {
        calls.push(`r${offset}.${size}`);
        let value = 0;
        for (let i = size - 1; i >= 0; i--) value = value * 256 + bytes[offset + place(i, size)]!;
        return value;
      },
      write(_: unknown, offset: number, value: number, size: number) {
        calls.push(`w${offset}.${size}`);
        for (let i = 0; i < size; i++) bytes[offset + place(i, size)] = Math.floor(value / 256 ** i) % 256;
      },
    },
    null,
    'bank',
    SIZE,
  );
  const root = region().initContainer(null, 'root', 4096);
  root.addSubregion(0, bank);
  const space = new AddressSpace('bank', root, arena);
  return { bytes, calls, space };
}

afterEach(() => {
  setLogItems([]);
  setLogSink(() => {});
});

describe('accesses to registers', () => {
  const rules: Omit<MemoryRegionOps, 'read' | 'write'>[] = [];
  for (const endianness of ['little', 'big'] as const)
    for (const max of [1, 2, 4])
      for (const unaligned of [false, true])
        for (const valid of [{}, { max: 1 }, { max: 2 }, { max: 4, unaligned: true }])
          rules.push({ endianness, impl: { max, unaligned }, valid });

  it.each(rules)('of every size and place come to the same bytes: $endianness impl $impl valid $valid', (rule) => {
    for (const size of [1, 2, 4] as const)
      for (let at = 0; at + size <= 9; at++) {
        const { bytes, space, calls } = byteBank(rule);
        bytes.forEach((_, i) => {
          bytes[i] = 0x10 + i;
        });
        const expected = [...bytes];
        const value = 0xa1b2_c3d4 % 2 ** (8 * size);
        for (let i = 0; i < size; i++) expected[at + i] = Math.floor(value / 256 ** i) % 256;
        // A big-endian register is in the bytes of one aligned piece the other way round: compare through reads.
        const before = space.read(at, size);
        space.write(at, size, value);
        expect(space.read(at, size)).toBe(value);
        if (rule.endianness === 'little') {
          expect([...bytes]).toEqual(expected);
          expect(before).toBe([...Array(size).keys()].reduceRight((sum, i) => sum * 256 + 0x10 + at + i, 0));
        }
        const isBad = (call: string) => {
          const [, offset, width] = /^.(\d+)\.(\d+)$/.exec(call)!.map(Number) as [number, number, number];
          const mayBeAskew = rule.impl!.unaligned || rule.valid!.unaligned;
          return width > rule.impl!.max! || (!mayBeAskew && offset % width !== 0);
        };
        expect(calls.filter(isBad)).toEqual([]);
      }
  });

  it('reach a region that wants whole words once, and are cut to size', () => {
    const { space, calls, bytes } = byteBank({ impl: { min: 4, max: 4 } });
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([space.read(0, 1), space.read(4, 2), space.read(0, 4)]).toEqual([1, 0x0605, 0x0403_0201]);
    expect(calls).toEqual(['r0.4', 'r4.4', 'r0.4']);
  });

  it('are unsigned whatever the device or the CPU hands over', () => {
    const seen: number[] = [];
    const sloppy = region().initIo(
      null,
      { read: () => -2, write: (_, __, value) => void seen.push(value) },
      null,
      'sloppy',
      8,
    );
    const root = region().initContainer(null, 'root', 16);
    root.addSubregion(0, sloppy);
    const space = new AddressSpace('sloppy', root, arena);
    expect(([1, 2, 4] as const).map((size) => space.read(0, size))).toEqual([0xfe, 0xfffe, 0xffff_fffe]);
    space.write(0, 4, -1);
    space.write(0, 2, -1);
    space.write(0, 1, 0x1ff);
    expect(seen).toEqual([0xffff_ffff, 0xffff, 0xff]);
    space.write(7, 2, -2); // half of it beyond the end
    expect(seen.at(-1)).toBe(0xfe);
  });

  it('that the region does not take give nothing and are logged as the guest’s error', () => {
    const lines: string[] = [];
    setLogSink((text) => lines.push(text));
    setLogItems(['guest_errors']);
    const { space, calls } = byteBank({ valid: { min: 2, accepts: (_, offset) => offset !== 8 } });
    expect(space.read(0, 1)).toBe(0);
    space.write(1, 1, 5);
    expect(space.read(8, 2)).toBe(0);
    expect(calls).toEqual([]);
    expect(lines).toEqual([
      "memory: invalid read at 0x0, size 1, region 'bank'\n",
      "memory: invalid write at 0x1, size 1, region 'bank'\n",
      "memory: invalid read at 0x8, size 2, region 'bank'\n",
    ]);
  });
});

describe('ports', () => {
  const ports = () => {
    const root = region().initContainer(null, 'io', 65536);
    const calls: string[] = [];
    const add = (name: string, at: number, size: number, priority = 0) =>
      root.addSubregion(
        at,
        region().initIo(
          null,
          {
            read: (_, o, s) => {
              calls.push(`${name}+${o}.${s}`);
              return 0x11;
            },
            write: (_, o, v, s) => void calls.push(`${name}+${o}.${s}=${v.toString(16)}`),
          },
          null,
          name,
          size,
        ),
        priority,
      );
    return { add, calls, space: new AddressSpace('I/O', root, arena, 'io') };
  };

  it('where nothing answers read as ones and swallow writes', () => {
    const { space, calls } = ports();
    expect(([1, 2, 4] as AccessSize[]).map((size) => space.read(0x1234, size))).toEqual([0xff, 0xffff, 0xffff_ffff]);
    space.write(0x1234, 4, 1);
    expect(space.read(0xffff, 4)).toBe(0xffff_ffff); // past the end of the port space
    expect(calls).toEqual([]);
  });

  it('take an access by its first address where the register is wide enough, byte by byte otherwise', () => {
    const { add, space, calls } = ports();
    add('index', 0xcf8, 4);
    add('reset', 0xcf9, 1, 1);
    space.write(0xcf8, 4, 0x8000_0000);
    space.write(0xcf9, 1, 6);
    expect(space.read(0xcfb, 2)).toBe(0xff11);
    expect(calls).toEqual(['index+0.4=80000000', 'reset+0.1=6', 'index+3.1']);
  });
});
