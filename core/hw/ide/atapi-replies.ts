/** The bytes of a CD/DVD drive's replies (MMC-3 chapter 6, INF-8090 for DVD structures). */
import type { DriveIdentity } from './ide-unit.ts';
import { CD_SECTOR } from './registers.ts';

const MODEL = 'QEMU DVD-ROM';
/** Minutes, seconds and frames start two seconds before block 0. */
const LEAD_IN_FRAMES = 150;
/** The longest CD, 80 minutes: what is longer is a DVD. */
const CD_MAX_SECTORS = 80 * 60 * 75;
const PROFILE = { none: 0x0000, cdRom: 0x0008, dvdRom: 0x0010 } as const;
const DATA_TRACK = 0x14;
const LEAD_OUT = 0xaa;

export function isDvd(sectors: number): boolean {
  return sectors > CD_MAX_SECTORS;
}

const bytes16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const bytes32 = (value: number): number[] => [(value >>> 24) & 0xff, (value >>> 16) & 0xff, ...bytes16(value)];

function msf(block: number): [number, number, number] {
  const frames = block + LEAD_IN_FRAMES;
  return [Math.floor(frames / 75 / 60) & 0xff, Math.floor(frames / 75) % 60, frames % 75];
}
function address(block: number, isMsf: boolean): number[] {
  return isMsf ? [0, ...msf(block)] : bytes32(block);
}
function padded(text: string, length: number): number[] {
  return Array.from({ length }, (_, i) => (i < text.length ? text.charCodeAt(i) & 0x7f : 0x20));
}

export function sense(senseKey: number, code: number): Uint8Array {
  const bytes = new Uint8Array(18);
  bytes[0] = 0xf0;
  bytes[2] = senseKey;
  bytes[7] = 10;
  bytes[12] = code;
  return bytes;
}

/** Null: there is no such page. */
export function inquiry(identity: DriveIdentity, isVitalProduct: boolean, page: number): Uint8Array | null {
  if (!isVitalProduct) {
    if (page !== 0) return null;
    return Uint8Array.of(
      ...[5, 0x80, 0x00, 0x21, 31, 0, 0, 0],
      ...padded('QEMU', 8),
      ...padded(MODEL, 16),
      ...padded(identity.version, 4),
    );
  }
  if (page === 0x00) return Uint8Array.of(5, 0x00, 0, 2, 0x00, 0x83);
  if (page !== 0x83) return null;
  const text = (kind: number, content: number[]) => [0x02, kind, 0, content.length, ...content];
  const vendor = [...padded('ATA', 8), ...padded(identity.model, 40), ...padded(identity.serial, 20)];
  const descriptors = [...text(0x00, padded(identity.serial, 20)), ...text(0x01, vendor)];
  if (identity.wwn !== 0n)
    descriptors.push(
      0x01,
      0x03,
      0,
      8,
      ...Array.from({ length: 8 }, (_, i) => Number((identity.wwn >> BigInt(56 - 8 * i)) & 0xffn)),
    );
  return Uint8Array.of(5, 0x83, ...bytes16(descriptors.length), ...descriptors);
}

export function capacity(sectors: number): Uint8Array {
  return Uint8Array.of(...bytes32(Math.max(0, sectors - 1)), ...bytes32(CD_SECTOR));
}

/** One data track in one session. Null: no such format or track. */
export function tableOfContents(format: number, isMsf: boolean, start: number, sectors: number): Uint8Array | null {
  let body: number[];
  switch (format) {
    case 0:
      if (start > 1 && start !== LEAD_OUT) return null;
      body = [1, 1];
      if (start <= 1) body.push(0, DATA_TRACK, 1, 0, ...address(0, isMsf));
      body.push(0, DATA_TRACK, LEAD_OUT, 0, ...address(sectors, isMsf));
      break;
    case 1:
      body = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
      break;
    case 2:
      body = [1, 1];
      for (const [point, p] of [
        [0xa0, [0, 1, 0, 0]],
        [0xa1, [0, 1, 0, 0]],
        [0xa2, [0, ...(isMsf ? msf(sectors) : bytes32(sectors).slice(1))]],
        [1, [0, ...(isMsf ? msf(0) : [0, 0, 0])]],
      ] as const)
        body.push(1, DATA_TRACK, 0, point, 0, 0, 0, ...p);
      break;
    default:
      return null;
  }
  return Uint8Array.of(...bytes16(body.length), ...body);
}

/** @param kind 0: all features from `first` on, 1: of those the current ones, 2: only `first` @param sectors 0: no medium */
export function configuration(kind: number, first: number, sectors: number): Uint8Array {
  const profile = sectors === 0 ? PROFILE.none : isDvd(sectors) ? PROFILE.dvdRom : PROFILE.cdRom;
  const listed = (id: number) => [...bytes16(id), id === profile ? 1 : 0, 0];
  const features: { id: number; bytes: number[] }[] = [
    { id: 0x0000, bytes: [0x03, 8, ...listed(PROFILE.dvdRom), ...listed(PROFILE.cdRom)] },
    { id: 0x0001, bytes: [0x0b, 8, ...bytes32(2), 0x01, 0, 0, 0] },
    { id: 0x0003, bytes: [0x07, 4, 0x29, 0, 0, 0] },
  ];
  const wanted = features.filter(({ id }) => (kind === 2 ? id === first : id >= first));
  const body = wanted.flatMap(({ id, bytes }) => [...bytes16(id), ...bytes]);
  return Uint8Array.of(...bytes32(body.length + 4), 0, 0, ...bytes16(profile), ...body);
}

/** What has happened to the medium since the last question. */
export function eventStatus(
  drive: {
    readonly isTrayOpen: boolean;
    readonly hasMedium: boolean;
    events: { newMedia: boolean; ejectRequest: boolean };
  },
  wantedClasses: number,
): Uint8Array {
  const MEDIA = 4;
  const supported = 1 << MEDIA;
  if (!(wantedClasses & supported)) return Uint8Array.of(0, 2, 0x80, supported);
  let event = 0;
  if (drive.events.ejectRequest) {
    event = 1;
    drive.events.ejectRequest = false;
  } else if (drive.events.newMedia && drive.hasMedium) {
    event = 2;
    drive.events.newMedia = false;
  }
  const status = (drive.isTrayOpen ? 1 : 0) | (drive.hasMedium ? 2 : 0);
  return Uint8Array.of(0, 6, MEDIA, supported, event, status, 0, 0);
}

export function discInformation(): Uint8Array {
  const bytes = new Uint8Array(34);
  bytes.set([0, 32, 0x0e, 1, 1, 1, 1, 0x20, 0x00]);
  return bytes;
}

export function mechanismStatus(): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0);
}

/** Null: there is no such page. */
export function modeSense(page: number, isLocked: boolean): Uint8Array | null {
  const NO_DISC_KNOWN = 0x70;
  const header = (length: number) => [...bytes16(length - 2), NO_DISC_KNOWN, 0, 0, 0, 0, 0];
  const pages: Readonly<Record<number, number[]>> = {
    1: [0x01, 0x06, 0x00, 0x05, 0, 0, 0, 0],
    14: [0x0e, 14, ...new Array<number>(14).fill(0)],
    42: [
      ...[0x2a, 18, 0x3b, 0x00, 0x70, 3 << 5, 0x29 | (isLocked ? 2 : 0), 0x00],
      ...[...bytes16(706), ...bytes16(2), ...bytes16(512), ...bytes16(706), 0, 0, 0, 0],
    ],
  };
  const content = page === 0x3f ? Object.values(pages).flat() : pages[page];
  return content ? Uint8Array.of(...header(content.length + 8), ...content) : null;
}

/** Null: there is no such structure. */
export function dvdStructure(medium: number, layer: number, format: number, sectors: number): Uint8Array | null {
  if (medium !== 0) return null;
  const reply = (content: number[]) => Uint8Array.of(...bytes16(content.length + 2), 0, 0, ...content);
  switch (format) {
    case 0x00: {
      if (layer !== 0) return null;
      const content = new Array<number>(2048).fill(0);
      const first = 0x30000;
      const facts = [
        0x01,
        0x0f,
        0x01,
        0x00,
        ...bytes32(first),
        ...bytes32(first + sectors - 1),
        ...bytes32(first + sectors - 1),
      ];
      content.splice(0, facts.length, ...facts);
      return reply(content);
    }
    case 0x01:
      return reply([0, 0, 0, 0]);
    case 0x03:
      return null;
    case 0x04:
      return reply(new Array<number>(2048).fill(0));
    case 0xff:
      return reply([
        ...[0x00, 0x40, ...bytes16(2052)],
        ...[0x01, 0x40, ...bytes16(8)],
        ...[0x04, 0x40, ...bytes16(2052)],
        ...[0xff, 0x40, ...bytes16(20)],
      ]);
    default:
      return null;
  }
}

/** Mode 1 sectors with sync pattern and header; their error correction is left zero. */
export function rawSectors(first: number, data: Uint8Array): Uint8Array {
  const count = data.length / CD_SECTOR;
  const raw = new Uint8Array(count * 2352);
  const bcd = (n: number) => Math.floor(n / 10) * 16 + (n % 10);
  for (let i = 0; i < count; i++) {
    const at = i * 2352;
    raw.fill(0xff, at + 1, at + 11);
    raw.set(msf(first + i).map(bcd), at + 12);
    raw[at + 15] = 0x01;
    raw.set(data.subarray(i * CD_SECTOR, (i + 1) * CD_SECTOR), at + 16);
  }
  return raw;
}
