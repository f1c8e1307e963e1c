/** SMBIOS structures (DMTF DSP0134, version 2.8, or 3.0 with the 64-bit entry point) for the firmware, with the values and in the order
 *  that QEMU 7.2 gives; `-smbios` changes fields and adds structures. The BIOS structure is left to the firmware unless asked for. */
import { parseNumber } from '../options/parse-values.ts';
import { DEVICE_KINDS, parseRelease, type SmbiosFields, type SmbiosOptions } from '../options/smbios-options.ts';
import { UserError } from '../util/errors.ts';
import { encodeUtf8 } from '../util/json.ts';
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
  readonly entryPoint: '32' | '64';
  readonly options: SmbiosOptions;
  /** Bus and devfn of a PCI device named by id. */
  pciAddress(id: string): { readonly bus: number; readonly devfn: number } | null;
}

const MANUFACTURER = 'QEMU';
const HANDLE = {
  bios: 0,
  system: 0x100,
  board: 0x200,
  chassis: 0x300,
  processor: 0x400,
  connector: 0,
  oemStrings: 0xe00,
  array: 0x1000,
  device: 0x1100,
  range: 0x1300,
  boot: 0x2000,
  onboard: 0x2900,
  end: 0x7f00,
} as const;
const NONE = 0xfffe;
const UNKNOWN = 0xffff;
const OTHER = 1;
const UNKNOWN_STATE = 2;
const SAFE = 3;
const SPEED_MHZ = 2000;
const DIMM_BYTES = 16 * 1024 * MiB;
/** The 32-bit entry point has 16 bits for the tables' length. */
const LONGEST_TABLES = 0xffff;
const BIOS = {
  startSegment: 0xe800,
  noCharacteristics: 0x08,
  targetedContent: 0x04,
  uefi: 0x08,
  virtualMachine: 0x10,
} as const;
const BOARD = { hosting: 0x01, motherboard: 0x0a } as const;
const DEVICE_ENABLED = 0x80;

const le = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
const u8 = (value: number) => le(value < 0 ? value + 256 : value, 1);
const u16 = (value: number) => le(value, 2);
const u32 = (value: number) => le(value, 4);
const u64 = (value: number) => le(value, 8);
const ascii = (text: string) => [...text].map((c) => c.charCodeAt(0));

/** A structure with its texts. A field that is a text stands as that text's number, from 1 on; 0 where there is none. */
class Structure {
  private readonly fields: number[] = [];
  private readonly texts: Uint8Array[] = [];
  private readonly type: number;
  private readonly handle: number;

  constructor(type: number, handle: number) {
    this.type = type;
    this.handle = handle;
  }
  put(...bytes: readonly number[]): this {
    this.fields.push(...bytes);
    return this;
  }
  text(text: string | undefined): this {
    return this.put(this.addText(encodeUtf8(text ?? '')));
  }
  /** A text that no field points to. */
  addText(text: Uint8Array): number {
    if (text.length > 0) this.texts.push(text);
    return text.length > 0 ? this.texts.length : 0;
  }
  bytes(): number[] {
    const header = [this.type, this.fields.length + 4, ...u16(this.handle)];
    const tail = this.texts.length === 0 ? [0, 0] : [...this.texts.flatMap((text) => [...text, 0]), 0];
    return [...header, ...this.fields, ...tail];
  }
}

/** The first three parts of a UUID stand with their low bytes first. */
function uuidFields(uuid: Uint8Array): number[] {
  const at = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return at.map((i) => uuid[i]!);
}

/** An option's number, as many low bytes of it as the field has. */
function numberField(fields: SmbiosFields, name: string, bytes: number, otherwise: number): number[] {
  const text = fields.get(name);
  const value = text === undefined ? BigInt(otherwise) : parseNumber(name, text);
  return Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

const NO_FIELDS: SmbiosFields = new Map();

/** Everything but what files bring, by type and in the order of the tables. */
class Builder {
  private readonly contents: SmbiosContents;
  constructor(contents: SmbiosContents) {
    this.contents = contents;
  }

  structures(): { readonly type: number; readonly all: readonly Structure[] }[] {
    const { contents } = this;
    const { sockets, options } = contents;
    const listed = (type: number, make: (fields: SmbiosFields, index: number) => Structure) => ({
      type,
      all: (options.fields.get(type) ?? []).map(make),
    });
    return [
      listed(0, (fields) => this.bios(fields)),
      { type: 1, all: [this.system(this.fields(1))] },
      listed(2, (fields) => this.board(fields)),
      { type: 3, all: [this.chassis(this.fields(3))] },
      { type: 4, all: Array.from({ length: sockets }, (_, i) => this.processor(this.fields(4), i)) },
      listed(8, (fields, i) => this.connector(fields, i)),
      { type: 11, all: this.oemStrings() },
      ...this.memory(),
      { type: 32, all: [new Structure(32, HANDLE.boot).put(0, 0, 0, 0, 0, 0, 0)] },
      listed(41, (fields, i) => this.onboardDevice(fields, i)),
      { type: 127, all: [new Structure(127, HANDLE.end)] },
    ];
  }
  private fields(type: number): SmbiosFields {
    return this.contents.options.fields.get(type)?.[0] ?? NO_FIELDS;
  }

  private bios(fields: SmbiosFields): Structure {
    const release = fields.get('release');
    const [major, minor] = release === undefined ? [0, 0] : parseRelease(release);
    const isUefi = ['on', 'yes', 'true', 'y'].includes(fields.get('uefi') ?? '');
    return new Structure(0, HANDLE.bios)
      .text(fields.get('vendor'))
      .text(fields.get('version'))
      .put(...u16(BIOS.startSegment))
      .text(fields.get('date'))
      .put(0, BIOS.noCharacteristics, 0, 0, 0, 0, 0, 0, 0)
      .put(0, BIOS.targetedContent | BIOS.virtualMachine | (isUefi ? BIOS.uefi : 0))
      .put(...u8(major % 256), ...u8(minor % 256), 0xff, 0xff);
  }
  private system(fields: SmbiosFields): Structure {
    const { product, version, uuid } = this.contents;
    return new Structure(1, HANDLE.system)
      .text(fields.get('manufacturer') ?? MANUFACTURER)
      .text(fields.get('product') ?? product)
      .text(fields.get('version') ?? version)
      .text(fields.get('serial'))
      .put(...uuidFields(uuid), 6)
      .text(fields.get('sku'))
      .text(fields.get('family'));
  }
  private board(fields: SmbiosFields): Structure {
    const { product, version } = this.contents;
    return new Structure(2, HANDLE.board)
      .text(fields.get('manufacturer') ?? MANUFACTURER)
      .text(fields.get('product') ?? product)
      .text(fields.get('version') ?? version)
      .text(fields.get('serial'))
      .text(fields.get('asset'))
      .put(BOARD.hosting)
      .text(fields.get('location'))
      .put(...u16(HANDLE.chassis), BOARD.motherboard, 0);
  }
  private chassis(fields: SmbiosFields): Structure {
    return new Structure(3, HANDLE.chassis)
      .text(fields.get('manufacturer') ?? MANUFACTURER)
      .put(OTHER)
      .text(fields.get('version') ?? this.contents.version)
      .text(fields.get('serial'))
      .text(fields.get('asset'))
      .put(SAFE, SAFE, SAFE, UNKNOWN_STATE, ...u32(0), 0, 0, 0, 0)
      .text(fields.get('sku'));
  }
  private processor(fields: SmbiosFields, index: number): Structure {
    const { contents } = this;
    const cores = contents.coresPerSocket;
    const threads = cores * contents.threadsPerCore;
    const id = numberField(fields, 'processor-id', 8, 0);
    const ownId = [...u32(contents.cpuSignature), ...u32(contents.cpuFeatures)];
    const structure = new Structure(4, HANDLE.processor + index)
      .text(`${fields.get('sock_pfx') ?? 'CPU'} ${index}`)
      .put(3, OTHER) // a central processor
      .text(fields.get('manufacturer') ?? MANUFACTURER)
      .put(...(id.every((byte) => byte === 0) ? ownId : id))
      .text(fields.get('version') ?? contents.version)
      .put(0, ...u16(0))
      .put(...numberField(fields, 'max-speed', 2, SPEED_MHZ), ...numberField(fields, 'current-speed', 2, SPEED_MHZ))
      .put(0x41, OTHER) // populated, enabled
      .put(...u16(UNKNOWN), ...u16(UNKNOWN), ...u16(UNKNOWN)) // caches
      .text(fields.get('serial'))
      .text(fields.get('asset'))
      .text(fields.get('part'))
      .put(Math.min(cores, 255), Math.min(cores, 255), Math.min(threads, 255), ...u16(2), ...u16(OTHER));
    if (contents.entryPoint === '64') structure.put(...u16(cores), ...u16(cores), ...u16(threads));
    return structure;
  }
  private connector(fields: SmbiosFields, index: number): Structure {
    return new Structure(8, HANDLE.connector + index)
      .text(fields.get('internal_reference'))
      .put(0)
      .text(fields.get('external_reference'))
      .put(...numberField(fields, 'connector_type', 1, 0), ...numberField(fields, 'port_type', 1, 0));
  }
  private oemStrings(): Structure[] {
    const { oemStrings } = this.contents.options;
    if (oemStrings.length === 0) return [];
    const structure = new Structure(11, HANDLE.oemStrings).put(...u8(oemStrings.length % 256));
    for (const text of oemStrings) structure.addText(text);
    return [structure];
  }
  private memory() {
    const { lowRamBytes, highRamBytes } = this.contents;
    const ramBytes = lowRamBytes + highRamBytes;
    const dimms = Math.ceil(ramBytes / DIMM_BYTES);
    const array = new Structure(16, HANDLE.array)
      .put(OTHER, 3, 6) // system memory, multi-bit ECC
      .put(...u32(ramBytes / KiB), ...u16(NONE), ...u16(dimms), ...u64(0));
    const devices = Array.from({ length: dimms }, (_, i) =>
      this.memoryDevice(this.fields(17), i, Math.min(DIMM_BYTES, ramBytes - i * DIMM_BYTES)),
    );
    const ranges = [
      { start: 0, bytes: lowRamBytes },
      { start: 2 ** 32, bytes: highRamBytes },
    ]
      .filter(({ bytes }) => bytes > 0)
      .map(({ start, bytes }, i) =>
        new Structure(19, HANDLE.range + i)
          .put(...u32(start / KiB), ...u32((start + bytes) / KiB - 1))
          .put(...u16(HANDLE.array), 1, ...u64(0), ...u64(0)),
      );
    return [
      { type: 16, all: [array] },
      { type: 17, all: devices },
      { type: 19, all: ranges },
    ];
  }
  private memoryDevice(fields: SmbiosFields, index: number, bytes: number): Structure {
    const speed = numberField(fields, 'speed', 2, 0);
    return new Structure(17, HANDLE.device + index)
      .put(...u16(HANDLE.array), ...u16(NONE), ...u16(UNKNOWN), ...u16(UNKNOWN), ...u16(bytes / MiB))
      .put(9, 0) // a DIMM of no set
      .text(`${fields.get('loc_pfx') ?? 'DIMM'} ${index}`)
      .text(fields.get('bank'))
      .put(7, ...u16(2), ...speed) // RAM
      .text(fields.get('manufacturer') ?? MANUFACTURER)
      .text(fields.get('serial'))
      .text(fields.get('asset'))
      .text(fields.get('part'))
      .put(0, ...u32(0), ...speed, ...u16(0), ...u16(0), ...u16(0));
  }
  private onboardDevice(fields: SmbiosFields, index: number): Structure {
    const id = fields.get('pcidev');
    const address = id === undefined ? { bus: 0, devfn: 0 } : this.contents.pciAddress(id);
    if (!address)
      throw new UserError(`No PCI device ${id} for SMBIOS type 41 entry ${fields.get('designation') ?? '(null)'}`);
    return new Structure(41, HANDLE.onboard + index)
      .text(fields.get('designation'))
      .put(DEVICE_ENABLED | (DEVICE_KINDS.indexOf(fields.get('kind') ?? DEVICE_KINDS[0]!) + 1))
      .put(...numberField(fields, 'instance', 1, 1), ...u16(0), address.bus, address.devfn);
  }
}

/** Files `etc/smbios/smbios-tables` and `etc/smbios/smbios-anchor`; the firmware puts in address and checksums.
 *  @throws UserError when they do not fit, or a device is not there */
export function smbiosFiles(c: SmbiosContents): { readonly tables: Uint8Array; readonly anchor: Uint8Array } {
  const { files } = c.options;
  const fromFiles = new Set(files.map((file) => file[0]));
  const made = new Builder(c)
    .structures()
    .filter(({ type }) => !fromFiles.has(type))
    .flatMap(({ all }) => all.map((each) => Uint8Array.from(each.bytes())));
  // A file counts as one structure, whatever is in it.
  const structures = [...files, ...made];
  const tables = new Uint8Array(structures.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of structures) {
    tables.set(each, at);
    at += each.length;
  }
  if (c.entryPoint === '64') {
    const anchor = [...ascii('_SM3_'), 0, 24, 3, 0, 0, 1, 0, ...u32(tables.length), ...u64(0)];
    return { tables, anchor: Uint8Array.from(anchor) };
  }
  if (tables.length > LONGEST_TABLES)
    throw new UserError(`SMBIOS 2.1 table length ${tables.length} exceeds ${LONGEST_TABLES}`);
  const longest = Math.max(...structures.map((each) => each.length));
  const anchor = [
    ...[...ascii('_SM_'), 0, 31, 2, 8, ...u16(longest), 0, 0, 0, 0, 0, 0],
    ...[...ascii('_DMI_'), 0, ...u16(tables.length), ...u32(0), ...u16(structures.length), 0x28],
  ];
  return { tables, anchor: Uint8Array.from(anchor) };
}
