import { beforeAll, describe, expect, it } from 'vitest';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { DMA_TRANSFER, I8257, i8257Type } from './i8257.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, i8257Type]));

function controllers() {
  const board = bareBoard();
  board.systemMemory.addSubregion(
    0,
    objectNewAs(MemoryRegion, 'memory-region').initRam(null, board.arena, 'ram', 1 << 20),
  );
  const bus = isaBusNew(null);
  const make = (base: number, page: number, dshift: number) => {
    const dma = deviceNew(I8257, 'i8257');
    for (const [k, v] of Object.entries({ base, 'page-base': page, 'pageh-base': -1, dshift })) objectSet(dma, k, v);
    deviceRealize(dma, bus);
    resetTree(dma);
    return dma;
  };
  const out = (port: number, ...bytes: number[]) => {
    for (const b of bytes) board.io.write(port, 1, b);
  };
  const inb = (port: number) => board.io.read(port, 1);
  return { board, low: make(0, 0x80, 0), high: make(0xc0, 0x88, 1), out, inb };
}

/** A device that gives or takes a block in steps. */
function device(dma: I8257, channel: number, step: number, data: Uint8Array) {
  dma.registerChannel(channel, (_, position, length) => {
    const count = Math.min(step, length - position);
    const part = data.subarray(position, position + count);
    if (dma.transferKind(channel) === DMA_TRANSFER.write) dma.writeMemory(channel, part, position);
    else if (dma.transferKind(channel) === DMA_TRANSFER.read) dma.readMemory(channel, part, position);
    if (position + count >= length) dma.releaseDreq(channel);
    return position + count;
  });
}

describe('i8257', () => {
  it('writes a device’s block to memory, masks the channel and says so', () => {
    const c = controllers();
    const data = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    device(c.low, 2, 5, data);
    c.out(0x0c, 0);
    c.out(0x04, 0x00, 0x10);
    c.out(0x05, 0x0f, 0x00);
    c.out(0x81, 0x02);
    c.out(0x0b, 0x46);
    c.low.holdDreq(2);
    c.board.advance(1000);
    const memory = new Uint8Array(16);
    c.board.memory.readBytes(0x21000, memory);
    expect(memory).toEqual(new Uint8Array(16));
    expect(c.inb(0x08)).toBe(0x40);
    c.out(0x0a, 0x02);
    c.board.advance(1000);
    c.board.memory.readBytes(0x21000, memory);
    expect(memory).toEqual(data);
    expect([c.inb(0x08), c.inb(0x08)]).toEqual([0x04, 0x00]);
    expect(c.inb(0x09)).toBe(0xff);
    expect([c.inb(0x05), c.inb(0x05)]).toEqual([0xff, 0xff]); // one past the end
    expect([c.inb(0x04), c.inb(0x04)]).toEqual([0x10, 0x10]);
  });
  it('reads memory, also downwards and by words', () => {
    const c = controllers();
    c.board.memory.writeBytes(0x30000, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]));
    const data = new Uint8Array(4);
    device(c.low, 1, 2, data);
    c.out(0x02, 0x03, 0x00);
    c.out(0x03, 0x03, 0x00);
    c.out(0x83, 0x03);
    c.out(0x0b, 0x69); // read, decrement
    c.out(0x0a, 0x01);
    c.low.holdDreq(1);
    c.board.advance(1000);
    expect([...data]).toEqual([4, 3, 2, 1]);
    const words = new Uint8Array(8);
    device(c.high, 1, 8, words);
    c.out(0xc4, 0x00, 0x80); // word address 8000h
    c.out(0xc6, 0x03, 0x00);
    c.out(0x8b, 0x02);
    c.out(0xd6, 0x49);
    c.out(0xd4, 0x01);
    c.high.holdDreq(1);
    c.board.advance(1000);
    expect([...words]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(c.inb(0xd0)).toBe(0x02);
  });
  it('verifies without touching memory, starts over with automatic initialisation, stops when disabled', () => {
    const c = controllers();
    const data = Uint8Array.from([9, 9]);
    let runs = 0;
    c.low.registerChannel(3, (_, position, length) => {
      if (c.low.transferKind(3) === DMA_TRANSFER.write) c.low.writeMemory(3, data, position);
      if (++runs >= 3) c.low.releaseDreq(3);
      return length;
    });
    c.out(0x06, 0x00, 0x40);
    c.out(0x07, 0x01, 0x00);
    c.out(0x0b, 0x53); // verify, automatic
    expect(c.low.hasAutoInit(3)).toBe(true);
    c.out(0x08, 0x04);
    c.out(0x0e, 0);
    c.low.holdDreq(3);
    c.board.advance(1000);
    expect(runs).toBe(0);
    c.out(0x08, 0x00);
    c.board.advance(1000);
    expect(c.board.memory.read(0x4000, 1)).toBe(0);
    expect(c.inb(0x09)).toBe(0);
    expect(c.inb(0x08) & 8).toBe(8);
  });
  it('keeps page registers, and loses masks and flip-flop at a master clear', () => {
    const c = controllers();
    c.out(0x87, 0x12);
    c.out(0x8f, 0x34);
    expect([c.inb(0x87), c.inb(0x8f)]).toEqual([0x12, 0x34]);
    c.out(0x00, 0xaa);
    c.out(0x0e, 0);
    c.out(0x0d, 0);
    expect(c.low.state).toMatchObject({ mask: 0xff, flip_flop: 0, command: 0 });
    c.out(0x00, 0x34, 0x12);
    expect([c.inb(0x00), c.inb(0x00)]).toEqual([0x34, 0x12]);
  });
  it('takes requests for channels without a device', () => {
    const c = controllers();
    c.out(0x0e, 0);
    c.out(0x09, 0x04);
    c.board.advance(1e6);
    expect(c.inb(0x08)).toBe(0x10);
  });
});
