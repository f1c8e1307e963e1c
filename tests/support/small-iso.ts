/** A disc image with one text file, ISO 9660 level 1 (ECMA-119), made here byte for byte: small, and known to the byte. */
import { writeFileSync } from 'node:fs';

const SECTOR = 2048;
const ROOT = 20;
const FILE = 21;

/** Writes a disc that is called `label` and holds `fileName` (8.3, capitals) with `text`. */
export function writeSmallIso(path: string, label: string, fileName: string, text: string): void {
  const image = Buffer.alloc(64 * SECTOR); // drives and firmware expect a few sectors more than the last file needs
  const content = Buffer.from(text, 'latin1');
  content.copy(image, FILE * SECTOR);

  const descriptor = image.subarray(16 * SECTOR, 17 * SECTOR);
  descriptor.fill(0x20, 8, 813);
  descriptor.writeUInt8(1, 0);
  descriptor.write('CD001\x01', 1, 'latin1');
  descriptor.write(label.padEnd(32), 40, 'latin1');
  descriptor.fill(0, 72, 80);
  both32(descriptor, 80, image.length / SECTOR);
  descriptor.fill(0, 88, 120);
  both16(descriptor, 120, 1);
  both16(descriptor, 124, 1);
  both16(descriptor, 128, SECTOR);
  both32(descriptor, 132, 10);
  descriptor.writeUInt32LE(18, 140);
  descriptor.writeUInt32LE(0, 144);
  descriptor.writeUInt32BE(19, 148);
  descriptor.writeUInt32BE(0, 152);
  record('\0', ROOT, SECTOR, true).copy(descriptor, 156);
  for (const at of [813, 830, 847, 864]) descriptor.fill(0x30, at, at + 16);
  descriptor.writeUInt8(1, 881);

  image.write('\xffCD001\x01', 17 * SECTOR, 'latin1');
  const pathTable = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  pathTable.writeUInt32LE(ROOT, 2);
  pathTable.writeUInt16LE(1, 6);
  pathTable.copy(image, 18 * SECTOR);
  pathTable.writeUInt32BE(ROOT, 2);
  pathTable.writeUInt16BE(1, 6);
  pathTable.copy(image, 19 * SECTOR);

  const records = [
    record('\0', ROOT, SECTOR, true),
    record('\x01', ROOT, SECTOR, true),
    record(`${fileName};1`, FILE, content.length, false),
  ];
  Buffer.concat(records).copy(image, ROOT * SECTOR);
  writeFileSync(path, image);
}

/** A directory record. */
function record(name: string, sector: number, size: number, isFolder: boolean): Buffer {
  const bytes = Buffer.alloc(33 + name.length + (name.length % 2 === 0 ? 1 : 0));
  bytes.writeUInt8(bytes.length, 0);
  both32(bytes, 2, sector);
  both32(bytes, 10, size);
  Buffer.from([124, 1, 2, 3, 4, 5, 0]).copy(bytes, 18); // 2024-01-02 03:04:05
  bytes.writeUInt8(isFolder ? 2 : 0, 25);
  both16(bytes, 28, 1);
  bytes.writeUInt8(name.length, 32);
  bytes.write(name, 33, 'latin1');
  return bytes;
}

/** Numbers stand twice in ISO 9660, in either byte order. */
function both16(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt16LE(value, at);
  bytes.writeUInt16BE(value, at + 2);
}
function both32(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value, at);
  bytes.writeUInt32BE(value, at + 4);
}
