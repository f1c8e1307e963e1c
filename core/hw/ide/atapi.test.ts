import { beforeEach, describe, expect, it } from 'vitest';
import type { IdeCd } from './ide-devices.ts';
import { pattern, testbed } from './testbed.ts';

const SECTORS = 100;
const image = () => pattern(SECTORS * 2048);
const read10 = (first: number, count: number) => [0x28, 0, 0, 0, first >> 8, first & 255, 0, count >> 8, count & 255];

describe('ATAPI drive', () => {
  let t: ReturnType<typeof testbed>;
  let p: ReturnType<ReturnType<typeof testbed>['ports']>;
  let cd: IdeCd;
  let data: Uint8Array;
  beforeEach(() => {
    t = testbed();
    data = image();
    t.drive('c0', data, { isReadonly: true });
    cd = t.plug<IdeCd>('ide-cd', 1, { drive: 'c0' });
    p = t.ports(1);
  });

  it('shows its signature and identifies itself as SeaBIOS looks for it', async () => {
    expect([2, 3, 4, 5, 6].map((r) => p.in(r))).toEqual([1, 1, 0x14, 0xeb, 0xa0]);
    expect(p.in(7)).toBe(0x50);
    expect(await p.command(0xec)).toBe(0x41);
    expect(p.in(1)).toBe(4);
    expect(await p.command(0xa1)).toBe(0x58);
    const words = p.readWords(256);
    expect(words[0]).toBe(0x85c0);
    const text = (from: number, to: number) =>
      words
        .slice(from, to)
        .map((w) => String.fromCharCode(w >> 8, w & 255))
        .join('')
        .trim();
    expect([text(10, 20), text(23, 27), text(27, 47)]).toEqual(['QM00003', '2.5+', 'QEMU DVD-ROM']);
    expect(p.alternate()).toBe(0x50);
  });

  it('reads through the data port in blocks that the guest chose', async () => {
    const { reply, blocks, status } = await p.packet(read10(17, 3), 2048);
    expect(blocks).toEqual([2048, 2048, 2048]);
    expect(reply).toEqual(data.slice(17 * 2048, 20 * 2048));
    expect(status).toBe(0x50);
    const odd = await p.packet(read10(0, 2), 3001);
    expect(odd.blocks).toEqual([3000, 1096]);
    expect(odd.reply).toEqual(data.slice(0, 4096));
    expect(t.interrupts.length).toBeGreaterThan(3);
  });

  it('reads through the bus master', async () => {
    t.regions(1, 0x1000, [
      [0x20000, 4096],
      [0x30000, 2048],
    ]);
    await p.command(0xa0, { 1: 1, 6: 0xa0 });
    p.writeBytes([...read10(4, 3), 0, 0, 0]);
    const m = t.master(1);
    m.start(true);
    expect(m.status() & 1).toBe(1);
    await t.settle();
    expect(m.status() & 7).toBe(4);
    expect(p.in(7)).toBe(0x50);
    const memory = new Uint8Array(2048);
    t.board.memory.readBytes(0x30000, memory);
    expect(memory).toEqual(data.slice(6 * 2048, 7 * 2048));
    m.stop();
    m.clear();
    expect(m.status() & 7).toBe(0);
  });

  it('refuses blocks beyond the end, unknown commands and a byte count of zero', async () => {
    expect((await p.packet(read10(99, 2))).status & 1).toBe(1);
    expect(await p.sense()).toEqual({ key: 5, code: 0x21 });
    expect((await p.packet([0xff])).error).toBe(0x50);
    expect(await p.sense()).toEqual({ key: 5, code: 0x20 });
    expect((await p.packet(read10(0, 1), 0)).error).toBe(4);
    expect((await p.packet([0], 0)).status).toBe(0x50);
  });

  it('tells capacity, contents, configuration and modes', async () => {
    expect([...(await p.packet([0x25])).reply]).toEqual([0, 0, 0, 99, 0, 0, 8, 0]);
    const toc = await p.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 100]);
    expect([...toc.reply]).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 100]);
    const msf = await p.packet([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100]);
    expect([...msf.reply].slice(-4)).toEqual([0, 0, 3, 25]);
    expect([...(await p.packet([0x43, 0, 1, 0, 0, 0, 0, 0, 100])).reply].slice(0, 4)).toEqual([0, 10, 1, 1]);
    expect((await p.packet([0x43, 0, 2, 0, 0, 0, 0, 0, 255])).reply.length).toBe(48);
    expect((await p.packet([0x43, 0, 7, 0, 0, 0, 0, 0, 255])).error >> 4).toBe(5);
    const configuration = (await p.packet([0x46, 0, 0, 0, 0, 0, 0, 0, 200])).reply;
    expect([configuration[3], configuration[6], configuration[7]]).toEqual([configuration.length - 4, 0, 8]);
    expect([...(await p.packet([0x46, 2, 0, 3, 0, 0, 0, 0, 200])).reply].slice(8)).toEqual([0, 3, 7, 4, 0x29, 0, 0, 0]);
    const mode = (await p.packet([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 200])).reply;
    expect([mode[8], mode.length]).toEqual([0x2a, 28]);
    expect((await p.packet([0x5a, 0, 0xea, 0, 0, 0, 0, 0, 200])).error >> 4).toBe(5);
    const inquiry = (await p.packet([0x12, 0, 0, 0, 36])).reply;
    expect(String.fromCharCode(...inquiry.subarray(8, 32))).toBe('QEMU    QEMU DVD-ROM    ');
    expect((await p.packet([0x51, 0, 0, 0, 0, 0, 0, 0, 34])).reply[2]).toBe(0x0e);
    expect((await p.packet([0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8])).reply.length).toBe(8);
    expect((await p.packet([0xad, 0, 0, 0, 0, 0, 0, 0, 0, 8])).error >> 4).toBe(5);
  });

  it('reads raw sectors', async () => {
    const raw = (await p.packet([0xbe, 0, 0, 0, 0, 16, 0, 0, 1, 0xf8])).reply;
    expect([...raw.subarray(0, 16)]).toEqual([0, ...new Array(10).fill(255), 0, 0, 0x02, 0x16, 1]);
    expect(raw.slice(16, 16 + 2048)).toEqual(data.slice(16 * 2048, 17 * 2048));
  });

  it('announces a changed medium in two steps', async () => {
    const { backend } = t.drive('other', null);
    expect(backend.isInserted).toBe(false);
    const own = cd.props.drive!;
    own.changeMedium(false);
    expect((await p.packet([0])).error >> 4).toBe(2);
    expect((await p.sense()).code).toBe(0x3a);
    own.changeMedium(true);
    expect((await p.packet([0])).error >> 4).toBe(2);
    expect((await p.packet([0])).error >> 4).toBe(6);
    expect(await p.sense()).toEqual({ key: 6, code: 0x28 });
    expect((await p.packet([0])).status).toBe(0x50);
    const event = await p.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8]);
    expect([...event.reply]).toEqual([0, 6, 4, 0x10, 2, 2, 0, 0]);
    expect(t.events.map(({ data: d }) => d['tray-open'])).toEqual([true, false]);
  });

  it('locks, opens and closes its tray', async () => {
    await p.packet([0x1e, 0, 0, 0, 1]);
    expect(cd.props.drive!.isLocked).toBe(true);
    expect((await p.packet([0x1b, 0, 0, 0, 2])).status & 1).toBe(1);
    expect(await p.sense()).toEqual({ key: 2, code: 0x53 });
    cd.props.drive!.device!.requestEject!(false);
    expect([...(await p.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8])).reply]).toEqual([0, 6, 4, 0x10, 1, 2, 0, 0]);
    await p.packet([0x1e, 0, 0, 0, 0]);
    expect((await p.packet([0x1b, 0, 0, 0, 2])).status).toBe(0x50);
    expect(cd.drive.isTrayOpen).toBe(true);
    expect((await p.packet(read10(0, 1))).error >> 4).toBe(2);
    await p.packet([0x1b, 0, 0, 0, 3]);
    expect((await p.packet(read10(0, 1))).reply.length).toBe(2048);
    expect(t.events.map(({ event, data: d }) => `${event} ${d['tray-open']}`)).toEqual([
      'DEVICE_TRAY_MOVED true',
      'DEVICE_TRAY_MOVED false',
    ]);
  });

  it('is reset by DEVICE RESET and by software reset in the middle of a transfer', async () => {
    await p.command(0xa0, { 1: 0, 4: 0, 5: 8, 6: 0xa0 });
    p.writeBytes([...read10(0, 8), 0, 0, 0]);
    await t.settle();
    expect(p.alternate() & 8).toBe(8);
    p.out(7, 8);
    expect([p.in(7), p.in(1), p.in(4), p.in(5)]).toEqual([0, 1, 0x14, 0xeb]);
    await p.command(0xa0, { 1: 0, 4: 0, 5: 8, 6: 0xa0 });
    p.writeBytes([...read10(0, 8), 0, 0, 0]);
    p.control(4);
    expect(p.alternate()).toBe(0x90);
    p.control(0);
    await t.settle();
    expect([p.in(7), p.in(1), p.in(5)]).toEqual([0, 1, 0xeb]);
  });
});

it('a drive without a medium says so, and no packet breaks it', async () => {
  const t = testbed();
  t.plug<IdeCd>('ide-cd', 0, {});
  const p = t.ports(0);
  expect((await p.packet([0])).error >> 4).toBe(2);
  expect((await p.sense()).code).toBe(0x3a);
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 16;
  };
  for (let i = 0; i < 600; i++) {
    await p.packet(
      Array.from({ length: 12 }, (_, n) => (n === 0 ? i & 0xff : random() & 0xff)),
      random(),
    );
    p.out(random() & 7, random() & 0xff);
    p.out(6, 0xa0);
    p.control(4);
    p.control(0);
  }
  expect((await p.packet([0x12, 0, 0, 0, 5])).reply[0]).toBe(5);
});
