/** SMBIOS structures (DMTF DSP0134, version 2.8) for the firmware: system, chassis, processors, memory, boot status; with the values
 *  that QEMU 7.2 gives. Not there: `-smbios`, and the BIOS structure, which the firmware writes itself. */
import { KiB, MiB } from '../util/units.ts';

export interface SmbiosContents {
  readonly product: string;
  readonly version: string;
  readonly uuid: Uint8Array;
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
  /** CPUID leaf 1, EAX and EDX. */
  readonly cpuSignature: number;
  readonly cpuFeatures: number;
  readonly lowRamBytes: number;
  readonly highRamBytes: number;
}

const MANUFACTURER = 'QEMU';
const HANDLE = {
  system: 0x100,
  chassis: 0x300,
  processor: 0x400,
  array: 0x1000,
  device: 0x1100,
  range: 0x1300,
} as const;
const LATER = { boot: 0x2000, end: 0x7f00 } as const;
const NONE = 0xfffe;
const UNKNOWN = 0xffff;
const OTHER = 1;
const UNKNOWN_STATE = 2;
const SAFE = 3;
const SPEED_MHZ = 2000;
const DIMM_BYTES = 16 * 1024 * MiB;

const le = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
const u16 = (value: number) => le(value, 2);
const u32 = (value: number) => le(value, 4);
const u64 = (value: number) => le(value, 8);
const ascii = (text: string) => [...text].map((c) => c.charCodeAt(0));

/** A structure with its texts, to which its fields point by numbers from 1 on. */
function structure(type: number, handle: number, fields: readonly number[], texts: readonly string[] = []): number[] {
  const tail = texts.length === 0 ? [0, 0] : [...texts.flatMap((text) => [...ascii(text), 0]), 0];
  return [type, fields.length + 4, ...u16(handle), ...fields, ...tail];
}

/** The first three parts of a UUID stand with their low bytes first. */
function uuidFields(uuid: Uint8Array): number[] {
  const at = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return at.map((i) => uuid[i]!);
}

function processor(index: number, c: SmbiosContents): number[] {
  const cores = c.coresPerSocket;
  const fields = [
    ...[1, 3, OTHER, 2], // a central processor
    ...u32(c.cpuSignature),
    ...u32(c.cpuFeatures),
    ...[3, 0, ...u16(0), ...u16(SPEED_MHZ), ...u16(SPEED_MHZ)],
    ...[0x41, OTHER], // populated, enabled
    ...[...u16(UNKNOWN), ...u16(UNKNOWN), ...u16(UNKNOWN)], // caches
    ...[0, 0, 0, cores, cores, cores * c.threadsPerCore],
    ...[...u16(2), ...u16(OTHER)],
  ];
  return structure(4, HANDLE.processor + index, fields, [`CPU ${index}`, MANUFACTURER, c.version]);
}

function memory({ lowRamBytes, highRamBytes }: SmbiosContents): number[][] {
  const ramBytes = lowRamBytes + highRamBytes;
  const dimms = Math.ceil(ramBytes / DIMM_BYTES);
  const devices = Array.from({ length: dimms }, (_, i) => {
    const bytes = Math.min(DIMM_BYTES, ramBytes - i * DIMM_BYTES);
    const fields = [
      ...[...u16(HANDLE.array), ...u16(NONE), ...u16(UNKNOWN), ...u16(UNKNOWN), ...u16(bytes / MiB)],
      ...[9, 0, 1, 0, 7, ...u16(2), ...u16(0), 2, 0, 0, 0, 0], // a DIMM of RAM, of no known make
      ...[...u32(0), ...u16(0), ...u16(0), ...u16(0), ...u16(0)],
    ];
    return structure(17, HANDLE.device + i, fields, [`DIMM ${i}`, MANUFACTURER]);
  });
  const ranges = [
    { start: 0, bytes: lowRamBytes },
    { start: 2 ** 32, bytes: highRamBytes },
  ]
    .filter(({ bytes }) => bytes > 0)
    .map(({ start, bytes }, i) =>
      structure(19, HANDLE.range + i, [
        ...[...u32(start / KiB), ...u32((start + bytes) / KiB - 1)],
        ...[...u16(HANDLE.array), 1, ...u64(0), ...u64(0)],
      ]),
    );
  const array = [OTHER, 3, 6]; // system memory, multi-bit ECC
  return [
    structure(16, HANDLE.array, [...array, ...u32(ramBytes / KiB), ...u16(NONE), ...u16(dimms), ...u64(0)]),
    ...devices,
    ...ranges,
  ];
}

/** Files `etc/smbios/smbios-tables` and `etc/smbios/smbios-anchor`; the firmware puts in address and checksums. */
export function smbiosFiles(c: SmbiosContents): { readonly tables: Uint8Array; readonly anchor: Uint8Array } {
  const chassis = [1, OTHER, 2, 0, 0, SAFE, SAFE, SAFE, UNKNOWN_STATE, ...u32(0), 0, 0, 0, 0, 0];
  const structures = [
    structure(1, HANDLE.system, [1, 2, 3, 0, ...uuidFields(c.uuid), 6, 0, 0], [MANUFACTURER, c.product, c.version]),
    structure(3, HANDLE.chassis, chassis, [MANUFACTURER, c.version]),
    ...Array.from({ length: c.sockets }, (_, i) => processor(i, c)),
    ...memory(c),
    structure(32, LATER.boot, [0, 0, 0, 0, 0, 0, 0]),
    structure(127, LATER.end, []),
  ];
  const tables = structures.flat();
  const longest = Math.max(...structures.map((each) => each.length));
  const anchor = [
    ...[...ascii('_SM_'), 0, 31, 2, 8, ...u16(longest), 0, 0, 0, 0, 0, 0],
    ...[...ascii('_DMI_'), 0, ...u16(tables.length), ...u32(0), ...u16(structures.length), 0x28],
  ];
  return { tables: Uint8Array.from(tables), anchor: Uint8Array.from(anchor) };
}
