import { describe, expect, it } from 'vitest';
import { GiB, MiB } from '../util/units.ts';
import { bootCmos, type CmosContents, cmosContents, e820Table } from './pc-cmos.ts';

const PLAIN: CmosContents = {
  below4gBytes: 128 * MiB,
  above4gBytes: 0,
  cpus: 1,
  bootOrder: 'cad',
  bootStrict: false,
  floppies: [0, 0],
  hasFpu: true,
  disks: [null, null, null, null],
};
const DISK_8M = { cylinders: 16, heads: 16, sectors: 63, translation: 0 };

/** Registers 10h to 5Fh of the same machines in QEMU 7.2 at reset; 32h and 37h, the century, are the clock's. */
const RECORDED: readonly [string, Partial<CmosContents>, string][] = [
  [
    'with a floppy controller',
    { floppies: [5, 0] },
    '50000000078002ffff0000000000000000000000000000000000000000000000ffff20000007002030000000001200000000000000000000000000000000000000000000000000000000000000000000',
  ],
  [
    'without',
    {},
    '00000000068002ffff0000000000000000000000000000000000000000000000ffff20000007002030000000001200000000000000000000000000000000000000000000000000000000000000000000',
  ],
  [
    'with a disk of 8 MiB and 256 MiB of RAM',
    { below4gBytes: 256 * MiB, disks: [DISK_8M, null, null, null] },
    '0000f000068002ffff2f00100010ffffc810003f000000000000000000000000ffff2000000f002030000000001200000000000000000000000000000000000000000000000000000000000000000000',
  ],
  [
    'with 4 GiB of RAM and 4 CPUs',
    { below4gBytes: 3 * GiB, above4gBytes: GiB, cpus: 4, floppies: [5, 0] },
    '50000000078002ffff0000000000000000000000000000000000000000000000ffff200000bf002030000000001200000000000000000000000000000000000000000000000000000000000040000003',
  ],
];

describe('CMOS of a PC', () => {
  it.each(RECORDED)('%s is as recorded', (_, changes, hex) => {
    const cmos = cmosContents({ ...PLAIN, ...changes });
    const CENTURY = [0x32, 0x37];
    const differences: string[] = [];
    for (let register = 0x10; register < 0x60; register++) {
      const expected = Number.parseInt(hex.slice((register - 0x10) * 2, (register - 0x10) * 2 + 2), 16);
      const found = cmos.get(register) ?? 0;
      if (!CENTURY.includes(register) && found !== expected)
        differences.push(`${register.toString(16)}: ${found}, not ${expected}`);
    }
    expect(differences).toEqual([]);
    expect([...cmos.values()].every((value) => Number.isInteger(value) && value >= 0 && value <= 255)).toBe(true);
  });

  it('never goes below none with little memory', () => {
    const cmos = cmosContents({ ...PLAIN, below4gBytes: MiB / 2 });
    expect([0x17, 0x18, 0x34, 0x35].map((register) => cmos.get(register))).toEqual([0, 0, 0, 0]);
  });

  it('counts memory above 4 GiB in units of 64 KiB, past what 24 bits hold', () => {
    const cmos = cmosContents({ ...PLAIN, above4gBytes: 5 * GiB });
    expect([0x5b, 0x5c, 0x5d].map((register) => cmos.get(register))).toEqual([0, 0x40, 1]);
  });

  it('gives both disks of the first channel a geometry, and all four a translation', () => {
    const disk = (translation: number, heads: number) => ({ cylinders: 0x234, heads, sectors: 17, translation });
    const cmos = cmosContents({ ...PLAIN, disks: [disk(1, 8), disk(2, 9), null, disk(3, 4)] });
    expect([cmos.get(0x12), cmos.get(0x19), cmos.get(0x1a), cmos.get(0x39)]).toEqual([0xff, 47, 47, 0b11_00_10_01]);
    const at = (base: number) => Array.from({ length: 9 }, (_, i) => cmos.get(base + i));
    expect(at(0x1b)).toEqual([0x34, 2, 8, 0xff, 0xff, 0xc0, 0x34, 2, 17]);
    expect(at(0x24)).toEqual([0x34, 2, 9, 0xff, 0xff, 0xc8, 0x34, 2, 17]);
  });

  it('holds three boot devices and whether to try others', () => {
    expect(bootCmos('dnc', true)).toEqual([
      [0x3d, 0x43],
      [0x38, 0x21],
    ]);
    expect(bootCmos('', false)).toEqual([
      [0x3d, 0],
      [0x38, 0],
    ]);
    expect(bootCmos('abcd', false)).toEqual([
      [0x3d, 0x11],
      [0x38, 0x20],
    ]);
  });
});

describe('e820 table', () => {
  const entries = (...args: Parameters<typeof e820Table>) => {
    const bytes = e820Table(...args);
    const view = new DataView(bytes.buffer);
    return Array.from({ length: bytes.length / 20 }, (_, i) => [
      Number(view.getBigUint64(i * 20, true)),
      Number(view.getBigUint64(i * 20 + 8, true)),
      view.getUint32(i * 20 + 16, true),
    ]);
  };
  it('has RAM below and above 4 GiB, and what AMD keeps for itself', () => {
    expect(entries(128 * MiB, 0, false)).toEqual([[0, 128 * MiB, 1]]);
    expect(entries(3 * GiB, 5 * GiB, true)).toEqual([
      [0xfd_0000_0000, 0x3_0000_0000, 2],
      [0, 3 * GiB, 1],
      [4 * GiB, 5 * GiB, 1],
    ]);
  });
});
