/** What a PC's firmware finds in CMOS memory (IBM AT layout; the high registers are QEMU's agreement with SeaBIOS). */
import { KiB, MiB } from '../util/units.ts';

export interface CmosContents {
  readonly below4gBytes: number;
  readonly above4gBytes: number;
  readonly cpus: number;
  /** `-boot order`, at most three letters count. */
  readonly bootOrder: string;
  readonly bootStrict: boolean;
  /** Types of the two floppy drives, 0 for none. */
  readonly floppies: readonly [number, number];
  readonly hasFpu: boolean;
  /** IDE disks that the BIOS gives a geometry, by position (0-3). */
  readonly disks: readonly (DiskGeometry | null)[];
}
export interface DiskGeometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
  /** BIOS translation: 0 none, 1 LBA, 2 large, 3 rechs. */
  readonly translation: number;
}

/** Codes of boot devices, `a` to `n`. */
const BOOT_CODES: Readonly<Record<string, number>> = { a: 1, b: 1, c: 2, d: 3, n: 4 };
const BASE_KIB = 640;

/** The registers that hold the boot order: three devices, and whether to try only them. */
export function bootCmos(order: string, isStrict: boolean): [register: number, value: number][] {
  const boot = [...order].slice(0, 3).map((letter) => BOOT_CODES[letter] ?? 0);
  return [
    [0x3d, ((boot[1] ?? 0) << 4) | (boot[0] ?? 0)],
    [0x38, ((boot[2] ?? 0) << 4) | (isStrict ? 1 : 0)],
  ];
}

/** Register -> value. */
export function cmosContents(c: CmosContents): Map<number, number> {
  const cmos = new Map<number, number>();
  const word = (low: number, high: number, value: number) => {
    cmos.set(low, value & 0xff);
    cmos.set(high, (value >> 8) & 0xff);
  };
  word(0x15, 0x16, BASE_KIB);
  const extendedKib = Math.min(Math.max(0, (c.below4gBytes - MiB) / KiB), 0xffff);
  word(0x17, 0x18, extendedKib);
  word(0x30, 0x31, extendedKib);
  word(0x34, 0x35, Math.min(Math.max(0, (c.below4gBytes - 16 * MiB) / (64 * KiB)), 0xffff));
  const above = Math.floor(c.above4gBytes / (64 * KiB));
  cmos.set(0x5b, above & 0xff);
  cmos.set(0x5c, (above >> 8) & 0xff);
  cmos.set(0x5d, (above >> 16) & 0xff);
  cmos.set(0x5f, c.cpus - 1);
  for (const [register, value] of bootCmos(c.bootOrder, c.bootStrict)) cmos.set(register, value);
  cmos.set(0x10, (c.floppies[0] << 4) | c.floppies[1]);
  const floppyCount = c.floppies.filter((type) => type !== 0).length;
  const floppyBits = floppyCount === 0 ? 0 : floppyCount === 1 ? 0x01 : 0x41;
  cmos.set(0x14, floppyBits | 0x02 /* FPU: QEMU always says so */ | 0x04 /* PS/2 mouse */);
  let translation = 0;
  c.disks.forEach((disk, i) => {
    if (!disk) return;
    if (i < 2) {
      cmos.set(0x12, (cmos.get(0x12) ?? 0) | (i === 0 ? 0xf0 : 0x0f));
      cmos.set(i === 0 ? 0x19 : 0x1a, 47);
      const base = i === 0 ? 0x1b : 0x24;
      const { cylinders, heads, sectors } = disk;
      word(base, base + 1, cylinders);
      cmos.set(base + 2, heads);
      word(base + 3, base + 4, 0xffff);
      cmos.set(base + 5, 0xc0 | (heads > 8 ? 8 : 0));
      word(base + 6, base + 7, cylinders);
      cmos.set(base + 8, sectors);
    }
    translation |= disk.translation << (i * 2);
  });
  cmos.set(0x39, translation);
  return cmos;
}

/** Entries of the firmware's memory map, in the e820 form: base, length (both 64-bit), type. */
export function e820Table(below4gBytes: number, above4gBytes: number, hasHyperTransportHole: boolean): Uint8Array {
  const entries = [
    // AMD processors keep the top 12 GiB of the first TiB for HyperTransport.
    ...(hasHyperTransportHole ? [{ base: 0xfd_0000_0000, length: 0x3_0000_0000, type: 2 }] : []),
    { base: 0, length: below4gBytes, type: 1 },
    ...(above4gBytes > 0 ? [{ base: 2 ** 32, length: above4gBytes, type: 1 }] : []),
  ];
  const bytes = new Uint8Array(entries.length * 20);
  const view = new DataView(bytes.buffer);
  entries.forEach(({ base, length, type }, i) => {
    view.setBigUint64(i * 20, BigInt(base), true);
    view.setBigUint64(i * 20 + 8, BigInt(length), true);
    view.setUint32(i * 20 + 16, type, true);
  });
  return bytes;
}
