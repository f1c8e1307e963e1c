import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import { inspectMedium } from './inspect-medium.ts';

const SECTOR = 2048;

interface Disc {
  label?: string;
  joliet?: string;
  /** Paths with their contents; folders are made. ISO 9660 names (`FILE.TXT;1`) unless `rockRidge`. */
  files?: Record<string, string>;
  rockRidge?: boolean;
  bootPlatforms?: number[];
}

/** Writes a small ISO 9660 image: an independent reading of ECMA-119, for the reader to be tested against. */
function makeDisc(disc: Disc): Buffer {
  const sectors: Buffer[] = Array.from({ length: 24 }, () => Buffer.alloc(SECTOR));
  const allocate = (content: Buffer) => {
    const block = sectors.length;
    for (let at = 0; at < Math.max(content.length, 1); at += SECTOR) {
      const sector = Buffer.alloc(SECTOR);
      content.copy(sector, 0, at, at + SECTOR);
      sectors.push(sector);
    }
    return { block, size: content.length };
  };
  const record = (name: string, block: number, size: number, directory: boolean) => {
    const isoName = disc.rockRidge && name.length > 1 ? 'X;1' : name;
    const systemUse = disc.rockRidge && name.length > 1 ? Buffer.from(`NM\0\x01\0${name}`, 'latin1') : Buffer.alloc(0);
    if (systemUse.length > 0) systemUse[2] = systemUse.length;
    const pad = (isoName.length + 1) & 1;
    const bytes = Buffer.alloc(33 + isoName.length + pad + systemUse.length);
    bytes[0] = bytes.length;
    bytes.writeUInt32LE(block, 2);
    bytes.writeUInt32LE(size, 10);
    bytes[25] = directory ? 2 : 0;
    bytes[32] = isoName.length;
    bytes.write(isoName, 33, 'latin1');
    systemUse.copy(bytes, 33 + isoName.length + pad);
    return bytes;
  };
  const folder = (files: Record<string, string>): { block: number; size: number } => {
    const children = new Map<string, Record<string, string> | string>();
    for (const [path, content] of Object.entries(files)) {
      const [head = '', ...rest] = path.split('/');
      if (rest.length === 0) children.set(head, content);
      else children.set(head, { ...((children.get(head) as object) ?? {}), [rest.join('/')]: content });
    }
    const records = [record('\0', 0, SECTOR, true), record('\x01', 0, SECTOR, true)];
    for (const [name, child] of children) {
      const isFile = typeof child === 'string';
      const place = isFile ? allocate(Buffer.from(child)) : folder(child);
      records.push(record(isFile && !disc.rockRidge ? `${name};1` : name, place.block, place.size, !isFile));
    }
    return allocate(Buffer.concat(records).subarray(0));
  };
  const root = folder(disc.files ?? {});
  const descriptor = (type: number, index: number) => {
    const bytes = sectors[index]!;
    bytes[0] = type;
    bytes.write('CD001\x01', 1, 'latin1');
    return bytes;
  };
  const primary = descriptor(1, 16);
  primary.write((disc.label ?? '').padEnd(32), 40, 'latin1');
  record('\0', root.block, root.size, true).copy(primary, 156);
  let next = 17;
  if (disc.bootPlatforms) {
    const boot = descriptor(0, next++);
    boot.write('EL TORITO SPECIFICATION', 7, 'latin1');
    const catalog = Buffer.alloc(SECTOR);
    const [first = 0, ...others] = disc.bootPlatforms;
    catalog.set([1, first], 0);
    catalog.set([0x55, 0xaa], 30);
    catalog[32] = 0x88;
    others.forEach((platform, index) => {
      catalog.set([index === others.length - 1 ? 0x91 : 0x90, platform, 1, 0], 64 + index * 64);
      catalog[96 + index * 64] = 0x88;
    });
    boot.writeUInt32LE(allocate(catalog).block, 0x47);
  }
  if (disc.joliet) {
    const supplementary = descriptor(2, next++);
    supplementary.write('%/E', 88, 'latin1');
    Buffer.from(disc.joliet, 'utf16le').swap16().copy(supplementary, 40);
  }
  descriptor(255, next);
  primary.writeUInt32LE(sectors.length, 80);
  return Buffer.concat(sectors);
}

async function inspect(disc: Disc, name = 'disc.iso') {
  const path = join(scratchFolder(), name);
  writeFileSync(path, makeDisc(disc));
  return inspectMedium(path);
}

describe('inspectMedium', () => {
  it('knows the GRUB rescue disc', async () => {
    expect(await inspectMedium('/usr/lib/grub-rescue/grub-rescue-cdrom.iso')).toMatchObject({
      kind: 'iso',
      label: 'ISOIMAGE',
      bootable: { bios: true, efi: false },
      guest: 'boot-tool',
      suggestedName: 'GRUB',
      warnings: [],
    });
  });

  const debian = 'Debian GNU/Linux 12.5.0 "Bookworm" - Official amd64 NETINST with firmware 20240210-11:27\n';
  const discs: [string, Disc, object][] = [
    [
      'Debian by .disk/info',
      { label: 'Debian 12.5.0 amd64 n', rockRidge: true, files: { '.disk/info': debian }, bootPlatforms: [0, 0xef] },
      { guest: 'debian', bits: 64, suggestedName: 'Debian GNU/Linux 12.5.0', bootable: { bios: true, efi: true } },
    ],
    [
      'Ubuntu by its name',
      { label: 'Ubuntu 24.04 LTS amd64' },
      { guest: 'ubuntu', bits: 64, suggestedName: 'Ubuntu 24.04 LTS amd64' },
    ],
    [
      'Windows XP by its files',
      { label: 'ANYTHING', files: { 'I386/TXTSETUP.SIF': '' } },
      { guest: 'windows-nt', bits: 32 },
    ],
    ['Windows 98', { files: { 'WIN98/SETUP.EXE': 'x' } }, { guest: 'windows-9x', suggestedName: 'Windows 98' }],
    ['FreeDOS', { label: 'FD13-LIVE', bootPlatforms: [0] }, { guest: 'freedos', bits: 16, suggestedName: 'FreeDOS' }],
    ['Tiny Core by its files', { rockRidge: true, files: { 'boot/core.gz': 'z' } }, { guest: 'tinycore' }],
    [
      'a 64-bit isolinux disc',
      { label: 'X_x86_64', files: { 'ISOLINUX/ISOLINUX.BIN': 'x' } },
      { guest: 'linux-64', bits: 64 },
    ],
    ['a 32-bit isolinux disc', { files: { 'ISOLINUX/ISOLINUX.BIN': 'x' } }, { guest: 'linux-32', bits: 32 }],
    [
      'nothing that is known',
      { label: 'HOLIDAYS' },
      { guest: 'other', bits: null, evidence: [], suggestedName: 'Disc' },
    ],
    ['the longer name of Joliet', { label: 'HOLIDAYS', joliet: 'Holidays 2026' }, { label: 'Holidays 2026' }],
    [
      'a disc for EFI only',
      { bootPlatforms: [0xef] },
      { bootable: { bios: false, efi: true }, warnings: [expect.stringMatching(/EFI firmware only/)] },
    ],
    ['a disc that does not start', {}, { warnings: [expect.stringMatching(/no boot catalog/)] }],
  ];
  it.each(discs)('recognises %s', async (_what, disc, expected) => {
    expect(await inspect(disc)).toMatchObject({ kind: 'iso', ...expected });
  });

  it('warns of a disc that is cut short', async () => {
    const path = join(scratchFolder(), 'cut.iso');
    writeFileSync(path, makeDisc({ label: 'CUT', bootPlatforms: [0] }));
    truncateSync(path, 20 * SECTOR);
    expect((await inspectMedium(path)).warnings).toContainEqual(expect.stringMatching(/shorter than the disc/));
  });

  it('survives a damaged byte anywhere in its structures', async () => {
    const path = join(scratchFolder(), 'odd.iso');
    const good = makeDisc({
      label: 'ODD',
      rockRidge: true,
      files: { 'boot/grub/i386-pc/a': 'a' },
      bootPlatforms: [0, 0xef],
    });
    for (let at = 16 * SECTOR; at < good.length; at += at < 18 * SECTOR ? 11 : 127) {
      for (const value of [0x00, 0xff]) {
        const bad = Buffer.from(good);
        bad[at] = value;
        writeFileSync(path, bad);
        const { kind } = await inspectMedium(path);
        expect(['iso', 'disk', 'unknown']).toContain(kind);
      }
    }
  });

  it('says what is wrong with what is no disc', async () => {
    const folder = scratchFolder();
    await expect(inspectMedium(join(folder, 'none.iso'))).rejects.toThrow(/none.iso failed: it does not exist/);
    await expect(inspectMedium(folder)).rejects.toThrow(/is a folder/);
    writeFileSync(join(folder, 'empty.iso'), '');
    await expect(inspectMedium(join(folder, 'empty.iso'))).rejects.toThrow(/is empty/);
    writeFileSync(join(folder, 'text.iso'), 'x'.repeat(100_000));
    const text = await inspectMedium(join(folder, 'text.iso'));
    expect(text).toMatchObject({ kind: 'unknown', warnings: [expect.stringMatching(/not a disc image/)] });
    writeFileSync(join(folder, 'disk.img'), Buffer.alloc(65_536));
    expect(await inspectMedium(join(folder, 'disk.img'))).toMatchObject({ kind: 'disk', suggestedName: 'Disk' });
    mkdirSync(join(folder, 'sub'));
    await expect(inspectMedium(join(folder, 'disk.img', 'x'))).rejects.toThrow(/not a folder/);
  });
});
