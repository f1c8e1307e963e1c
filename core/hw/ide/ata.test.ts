import { beforeEach, describe, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize } from '../core/device.ts';
import { IdeCd, IdeDisk } from './ide-devices.ts';
import { pattern, RAM_BYTES, testbed } from './testbed.ts';

const SECTORS = 16384;
const BYTES = SECTORS * 512;
/** Registers of a 28-bit LBA command. */
const lba = (sector: number, count: number) => ({
  2: count & 255,
  3: sector & 255,
  4: (sector >> 8) & 255,
  5: (sector >> 16) & 255,
  6: 0xe0 | (sector >> 24),
});

describe('ATA disk', () => {
  let t: ReturnType<typeof testbed>;
  let p: ReturnType<ReturnType<typeof testbed>['ports']>;
  let data: Uint8Array;
  let source: ReturnType<ReturnType<typeof testbed>['drive']>['source'];
  beforeEach(() => {
    t = testbed();
    data = pattern(BYTES);
    ({ source } = t.drive('d0', data));
    t.plug<IdeDisk>('ide-hd', 0, { drive: 'd0' });
    p = t.ports(0);
  });
  /** Loads the registers of a 48-bit command: each twice, high byte first. */
  const load48 = (sector: number, count: number) => {
    const high = [count >> 8, sector >> 24, Math.floor(sector / 2 ** 32), Math.floor(sector / 2 ** 40)];
    [high, [count, sector, sector >> 8, sector >> 16]].forEach((bytes) => {
      bytes.forEach((byte, i) => {
        p.out(2 + i, byte & 255);
      });
    });
    p.out(6, 0xe0);
  };

  it('identifies itself', async () => {
    expect(await p.command(0xec, { 6: 0xa0 })).toBe(0x58);
    const words = p.readWords(256);
    expect([words[0], words[1], words[3], words[6]]).toEqual([0x40, 16, 16, 63]);
    const text = (from: number, to: number) =>
      words
        .slice(from, to)
        .map((w) => String.fromCharCode(w >> 8, w & 255))
        .join('')
        .trim();
    expect([text(10, 20), text(23, 27), text(27, 47)]).toEqual(['QM00001', '2.5+', 'QEMU HARDDISK']);
    expect(words[60]! + words[61]! * 65536).toBe(SECTORS);
    expect(words[100]! + words[101]! * 65536).toBe(SECTORS);
    expect([words[47], words[49], words[83], words[88]]).toEqual([0x8010, 0x0b00, 0x7400, 0x203f]);
    expect(p.alternate()).toBe(0x50);
    expect(await p.command(0xa1)).toBe(0x41);
  });

  it('reads sectors one interrupt each, and several with READ MULTIPLE', async () => {
    t.interrupts.length = 0;
    await p.command(0x20, lba(100, 3));
    const got: number[] = [];
    while (p.in(7) & 8) {
      got.push(...p.readBytes(512));
      await t.settle();
    }
    expect(Uint8Array.from(got)).toEqual(data.slice(51200, 51200 + 1536));
    expect(t.interrupts.length).toBe(3);
    expect([p.in(3), p.in(2)]).toEqual([103, 0]);
    t.interrupts.length = 0;
    await p.command(0xc4, lba(0, 20));
    expect(p.readBytes(16 * 512)).toEqual(data.slice(0, 8192));
    await t.settle();
    expect(p.readBytes(4 * 512)).toEqual(data.slice(8192, 10240));
    expect(t.interrupts.length).toBe(2);
    await p.command(0xc6, { 2: 0, 6: 0xe0 });
    expect(await p.command(0xc4, lba(0, 1))).toBe(0x41);
    expect(await p.command(0xc6, { 2: 3, 6: 0xe0 })).toBe(0x41);
  });

  it('writes sectors, asking for the first without an interrupt, and flushes', async () => {
    t.interrupts.length = 0;
    expect(await p.command(0x30, lba(7, 2))).toBe(0x58);
    expect(t.interrupts).toEqual([]);
    p.writeBytes(new Uint8Array(512).fill(0x11));
    await t.settle();
    expect(t.interrupts.length).toBe(1);
    p.writeBytes(new Uint8Array(512).fill(0x22));
    await t.settle();
    expect([p.in(7), data[7 * 512], data[8 * 512], data[9 * 512]]).toEqual([0x50, 0x11, 0x22, pattern(BYTES)[9 * 512]]);
    expect(source.flushes).toBe(0);
    await p.command(0xe7);
    expect(source.flushes).toBe(1);
  });

  it('addresses by cylinder, head and sector', async () => {
    await p.command(0x20, { 2: 1, 3: 5, 4: 2, 5: 0, 6: 0xa3 });
    const at = ((2 * 16 + 3) * 63 + 4) * 512;
    expect(p.readBytes(512)).toEqual(data.slice(at, at + 512));
    await p.command(0x91, { 2: 17, 6: 0xa7 });
    await p.command(0x20, { 2: 1, 3: 17, 4: 1, 5: 0, 6: 0xa7 });
    const other = ((1 * 8 + 7) * 17 + 16) * 512;
    expect(p.readBytes(512)).toEqual(data.slice(other, other + 512));
  });

  it('takes 48-bit addresses and shows the high bytes on request', async () => {
    load48(0x1234, 2);
    await p.command(0x24);
    expect(p.readBytes(512)).toEqual(data.slice(0x1234 * 512, 0x1235 * 512));
    await t.settle();
    expect(p.readBytes(512)).toEqual(data.slice(0x1235 * 512, 0x1236 * 512));
    load48(0x0001_0000_0000, 1);
    expect(await p.command(0x24)).toBe(0x41);
    expect(p.in(1)).toBe(0x14);
    await p.command(0x27, { 6: 0xe0 });
    expect(p.in(3) + p.in(4) * 256).toBe(SECTORS - 1);
    p.control(0x80);
    expect(p.in(3)).toBe(0);
  });

  it('refuses what lies beyond the end', async () => {
    expect(await p.command(0x20, lba(SECTORS, 1))).toBe(0x41);
    expect(p.in(1)).toBe(0x14);
    expect(await p.command(0xc8, lba(SECTORS - 1, 2))).toBe(0x41);
    expect(await p.command(0x40, lba(SECTORS - 1, 1))).toBe(0x50);
    expect(await p.command(0x40, lba(SECTORS - 1, 2))).toBe(0x41);
    expect(await p.command(0x55)).toBe(0x41);
    expect(p.in(1)).toBe(4);
  });

  it('moves sectors through scattered regions both ways', async () => {
    const m = t.master(0);
    t.regions(0, 0x1000, [
      [0x10000, 512],
      [0x20000, 1024],
      [0x30000, 512],
    ]);
    await p.command(0xc8, lba(10, 4));
    expect(p.alternate() & 0x80).toBe(0);
    m.start(true);
    await t.settle();
    expect(m.status() & 7).toBe(4);
    const memory = (at: number, length: number) => {
      const bytes = new Uint8Array(length);
      t.board.memory.readBytes(at, bytes);
      return bytes;
    };
    expect(memory(0x10000, 512)).toEqual(data.slice(5120, 5632));
    expect(memory(0x20000, 1024)).toEqual(data.slice(5632, 6656));
    expect(memory(0x30000, 512)).toEqual(data.slice(6656, 7168));
    m.stop();
    m.clear();
    await p.command(0xca, lba(200, 4));
    m.start(false);
    await t.settle();
    expect(data.slice(200 * 512, 204 * 512)).toEqual(pattern(BYTES).slice(5120, 7168));
    expect(p.in(7)).toBe(0x50);
  });

  it('stays active when regions are left, and gives no interrupt when they are too few', async () => {
    const m = t.master(0);
    t.regions(0, 0x1000, [[0x10000, 8192]]);
    await p.command(0xc8, lba(0, 1));
    m.start(true);
    await t.settle();
    expect(m.status() & 7).toBe(5);
    m.stop();
    expect(m.status() & 1).toBe(0);
    m.clear();
    t.interrupts.length = 0;
    t.regions(0, 0x1000, [[0x10000, 512]]);
    await p.command(0xc8, lba(0, 2));
    m.start(true);
    await t.settle();
    expect([m.status() & 7, t.interrupts.length, p.in(7)]).toEqual([0, 0, 0x50]);
  });

  it('survives tables and regions outside of memory', async () => {
    const m = t.master(0);
    for (const [at, address] of [
      [RAM_BYTES - 4, 0x1000],
      [0x1000, 0xffff_fff0],
      [0xffff_fff0, 0],
    ] as const) {
      t.board.memory.write(at, 4, address);
      t.board.io.write(0xc004, 4, at);
      await p.command(0xc8, lba(0, 256));
      m.start(true);
      await t.settle();
      m.stop();
      p.control(4);
      p.control(0);
    }
    expect(await p.command(0xec)).toBe(0x58);
  });

  it('reaches no memory while the function is no bus master', async () => {
    t.controller.writeConfig(4, 1, 2);
    t.regions(0, 0x1000, [[0x10000, 512]]);
    t.board.memory.write(0x10000, 4, 0x5555);
    await p.command(0xc8, lba(0, 1));
    t.master(0).start(true);
    await t.settle();
    expect(t.board.memory.read(0x10000, 4)).toBe(0x5555);
  });

  it('reports, ignores or stops at host errors as the drive says', async () => {
    source.failWith = 'EIO';
    expect(await p.command(0x20, lba(0, 1))).toBe(0x41);
    expect(p.in(1)).toBe(0x44);
    expect(t.events.at(-1)).toMatchObject({ event: 'BLOCK_IO_ERROR', data: { operation: 'read', action: 'report' } });
    source.failWith = 'ENOSPC';
    await p.command(0x30, lba(0, 1));
    p.writeBytes(new Uint8Array(512).fill(0x77));
    await t.settle();
    expect([t.stops(), p.alternate() & 0x80]).toEqual([1, 0x80]);
    const { backend } = t.controller.channels[0]!.units[0];
    expect(backend!.ioStatus).toBe('nospace');
    source.failWith = null;
    backend!.resume();
    await t.settle();
    expect([p.in(7), data[0], backend!.ioStatus]).toEqual([0x50, 0x77, 'ok']);
  });

  it('answers power management, features, SMART and diagnostics', async () => {
    for (const code of [0xe0, 0xe1, 0xe2, 0xe3, 0xe6, 0x10]) expect(await p.command(code)).toBe(0x50);
    await p.command(0xe5);
    expect(p.in(2)).toBe(0xff);
    expect(await p.command(0xef, { 1: 3, 2: 0x44 })).toBe(0x50);
    await p.command(0xec);
    expect(p.readWords(256)[88]).toBe(0x103f);
    expect(await p.command(0xef, { 1: 0x99 })).toBe(0x41);
    await p.command(0xef, { 1: 0x82 });
    await p.command(0xec);
    expect(p.readWords(256)[85]! & 0x20).toBe(0);
    expect(await p.command(0xb0, { 1: 0xda, 4: 0x4f, 5: 0xc2 })).toBe(0x50);
    expect([p.in(4), p.in(5)]).toEqual([0x4f, 0xc2]);
    expect(await p.command(0xb0, { 1: 0xd0, 4: 0x4f, 5: 0xc2 })).toBe(0x58);
    expect(p.readBytes(512).reduce((a, b) => a + b, 0) & 0xff).toBe(0);
    expect(await p.command(0xb0, { 1: 0xd0, 4: 0, 5: 0 })).toBe(0x41);
    await p.command(0x90);
    expect([p.in(1), p.in(2), p.in(4), p.in(5), p.in(7)]).toEqual([1, 1, 0, 0, 0x50]);
  });

  it('keeps quiet when interrupts are off, and when only its partner is selected', async () => {
    p.control(2);
    t.interrupts.length = 0;
    await p.command(0xec);
    expect(t.interrupts).toEqual([]);
    p.readWords(256);
    p.out(6, 0xb0);
    expect([p.in(7), p.alternate(), p.in(1)]).toEqual([0, 0, 0]);
    await p.command(0xec);
    expect(p.alternate()).toBe(0);
  });

  it('is a drive that no sequence of port writes can break', async () => {
    let seed = 99;
    const random = () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed >>> 16;
    };
    t.regions(0, 0x1000, [[0x10000, 4096]]);
    for (let i = 0; i < 4000; i++) {
      const register = random() & 7;
      if (register === 0) p.writeBytes(new Uint8Array(512));
      else p.out(register, random() & 0xff);
      if (i % 5 === 0) p.readWords(256);
      if (i % 7 === 0) t.board.io.write(0xc000, 1, random() & 0xff);
      if (i % 50 === 0) await t.settle();
      if (i % 97 === 0) {
        p.control(4);
        p.control(0);
      }
    }
    p.control(4);
    p.control(0);
    await t.settle();
    expect(await p.command(0xec, { 6: 0xa0 })).toBe(0x58);
  });
});

describe('drives that cannot be', () => {
  it('are refused in QEMU’s words', () => {
    const t = testbed();
    t.drive('d0', pattern(4096));
    t.drive('ro', pattern(4096), { isReadonly: true });
    t.drive('none', null);
    const bus = t.controller.channels[0]!;
    const attempt = (type: 'ide-hd' | 'ide-cd', settings: Record<string, unknown>) => () => {
      const device = type === 'ide-hd' ? deviceNew(IdeDisk, type) : deviceNew(IdeCd, type);
      for (const [name, value] of Object.entries(settings)) objectSet(device, name, value);
      deviceRealize(device, bus);
    };
    expect(attempt('ide-hd', {})).toThrow('No drive specified');
    expect(attempt('ide-hd', { drive: 'nosuch' })).toThrow("Property 'ide-hd.drive' can't find value 'nosuch'");
    expect(attempt('ide-hd', { drive: 'none' })).toThrow('Device needs media, but drive is empty');
    expect(attempt('ide-hd', { drive: 'ro' })).toThrow('Block node is read-only');
    expect(attempt('ide-hd', { drive: 'd0', logical_block_size: 4096 })).toThrow(
      'logical_block_size > physical_block_size not supported',
    );
    expect(attempt('ide-cd', { logical_block_size: 1000 })).toThrow(
      "Property .logical_block_size doesn't take value '1000', it's not a power of 2",
    );
    expect(attempt('ide-cd', { unit: 2 })).toThrow("Can't create IDE unit 2, bus supports only 2 units");
    attempt('ide-cd', { drive: 'none', unit: 0 })();
    expect(attempt('ide-cd', { unit: 0 })).toThrow('IDE unit 0 is in use');
    expect(attempt('ide-cd', { drive: 'none' })).toThrow("Drive 'none' is already in use by another device");
    attempt('ide-cd', {})();
    expect(attempt('ide-cd', {})).toThrow('IDE unit 1 is in use');
  });
});
