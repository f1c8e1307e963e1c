/** The 512 bytes of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE, word for word as QEMU's drives give them. */
import type { IdeUnit } from './ide-unit.ts';
import { MAX_MULTIPLE, SECTOR } from './registers.ts';

/** Space-padded text, two characters to a word, the first in the high byte. */
function putText(data: Uint8Array, word: number, length: number, text: string): void {
  for (let i = 0; i < length; i++) data[word * 2 + (i ^ 1)] = i < text.length ? text.charCodeAt(i) & 0xff : 0x20;
}

interface Words {
  readonly bytes: Uint8Array;
  put(word: number, value: number): void;
}
function words(): Words {
  const bytes = new Uint8Array(512);
  return {
    bytes,
    put(word, value) {
      bytes[word * 2] = value & 0xff;
      bytes[word * 2 + 1] = (value >> 8) & 0xff;
    },
  };
}
function putIdentity({ bytes, put }: Words, unit: IdeUnit): void {
  const { serial, version, model, wwn } = unit.identity;
  putText(bytes, 10, 20, serial);
  put(20, 3);
  put(21, 512);
  put(22, 4);
  putText(bytes, 23, 8, version);
  putText(bytes, 27, 40, model);
  if (wwn !== 0n) for (let i = 0; i < 4; i++) put(108 + i, Number((wwn >> BigInt(48 - 16 * i)) & 0xffffn));
}

export function identifyDisk(unit: IdeUnit): Uint8Array {
  const data = words();
  const { put } = data;
  const { geometry, translation, state, identity, sectors } = unit;
  put(0, 0x0040);
  put(1, geometry.cylinders);
  put(3, geometry.heads);
  put(4, SECTOR * geometry.sectors);
  put(5, SECTOR);
  put(6, geometry.sectors);
  putIdentity(data, unit);
  put(47, 0x8000 | MAX_MULTIPLE);
  put(48, 1);
  put(49, (1 << 11) | (1 << 9) | (1 << 8));
  put(51, 0x200);
  put(52, 0x200);
  put(53, 1 | (1 << 1) | (1 << 2));
  const { heads, sectors: perTrack } = translation;
  const cylinders = heads * perTrack ? Math.min(65535, Math.floor(sectors / (heads * perTrack))) : 0;
  const current = heads === geometry.heads && perTrack === geometry.sectors ? geometry.cylinders : cylinders;
  put(54, current);
  put(55, heads);
  put(56, perTrack);
  const capacity = current * heads * perTrack;
  put(57, capacity & 0xffff);
  put(58, Math.floor(capacity / 65536));
  if (state.mult_sectors) put(59, 0x100 | state.mult_sectors);
  const lba28 = Math.min(sectors, 0xfff_ffff);
  put(60, lba28 & 0xffff);
  put(61, lba28 >>> 16);
  put(62, 0x07);
  put(63, unit.transferModes.multiword);
  put(64, 0x03);
  for (let word = 65; word <= 68; word++) put(word, 120);
  if (identity.canDiscard) put(69, 1 << 14);
  put(80, 0xf0);
  put(81, 0x16);
  put(82, (1 << 14) | (1 << 5) | 1);
  put(83, (1 << 14) | (1 << 13) | (1 << 12) | (1 << 10));
  const hasName = identity.wwn === 0n ? 0 : 1 << 8;
  put(84, (1 << 14) | hasName);
  put(85, (1 << 14) | (unit.isWriteCacheOn ? 1 << 5 : 0) | 1);
  put(86, (1 << 13) | (1 << 12) | (1 << 10));
  put(87, (1 << 14) | hasName);
  put(88, unit.transferModes.ultra);
  put(93, 1 | (1 << 14) | 0x2000);
  for (let i = 0; i < 4; i++) put(100 + i, Math.floor(sectors / 2 ** (16 * i)) & 0xffff);
  if (identity.physicalExponent > 0) put(106, 0x6000 | identity.physicalExponent);
  if (identity.canDiscard) put(169, 1);
  put(217, identity.rotationRate);
  return data.bytes;
}

export function identifyCd(unit: IdeUnit): Uint8Array {
  const data = words();
  const { put } = data;
  put(0, (2 << 14) | (5 << 8) | (1 << 7) | (2 << 5));
  putIdentity(data, unit);
  put(48, 1);
  put(49, (1 << 9) | (1 << 8));
  put(53, 7);
  put(62, 7);
  put(63, unit.transferModes.multiword);
  put(64, 3);
  put(65, 0xb4);
  put(66, 0xb4);
  put(67, 0x12c);
  put(68, 0xb4);
  put(71, 30);
  put(72, 30);
  put(80, 0x1e);
  if (unit.identity.wwn !== 0n) {
    put(84, 1 << 8);
    put(87, 1 << 8);
  }
  put(88, unit.transferModes.ultra);
  return data.bytes;
}
