import { beforeAll, describe, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { I8254, i8254Types, PIT_HZ } from './i8254.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, ...i8254Types]));

const TICK = 1e9 / PIT_HZ;

function timer() {
  const board = bareBoard();
  const pit = deviceNew(I8254, 'isa-pit');
  objectSet(pit, 'iobase', 0x40);
  const edges: { at: number; level: number }[] = [];
  let last = 0;
  pit.irq.connect({
    set(level) {
      if (level !== last) edges.push({ at: board.clocks.virtual.now(), level });
      last = level;
    },
  });
  deviceRealize(pit, isaBusNew(null));
  resetTree(pit);
  const out = (port: number, ...bytes: number[]) => {
    for (const b of bytes) board.io.write(port, 1, b);
  };
  const inb = (port: number) => board.io.read(port, 1);
  const word = (port: number) => inb(port) | (inb(port) << 8);
  const ticks = (n: number) => board.advance(Math.ceil(n * TICK));
  const rising = () => edges.filter((e) => e.level === 1);
  return { board, pit, out, inb, word, ticks, edges, rising };
}

describe('i8254', () => {
  it('mode 2 on counter 0 gives an edge per period, exactly', () => {
    const t = timer();
    t.out(0x43, 0x34);
    t.out(0x40, 0xa9, 0x04); // 1193: about 1 kHz
    t.edges.length = 0;
    const start = t.board.clocks.virtual.now();
    t.board.advance(10e6);
    const expected = Array.from({ length: 10 }, (_, i) => start + Math.ceil((i + 1) * 1193 * TICK));
    expect(t.rising().map((e) => e.at)).toEqual(expected);
  });
  it('mode 3 is symmetrical and counts by two', () => {
    const t = timer();
    t.out(0x43, 0x36);
    t.out(0x40, 0x00, 0x10);
    t.edges.length = 0;
    t.ticks(4096 * 2 + 1);
    expect(t.edges.map((e) => e.level)).toEqual([0, 1, 0, 1]);
    expect(t.edges[0]!.at).toBe(Math.ceil(2048 * TICK));
    t.out(0x43, 0x36);
    t.out(0x40, 0x00, 0x10);
    t.ticks(10);
    expect(t.word(0x40)).toBe(4096 - 20);
  });
  it('mode 0: OUT is low until the count ends, and the first byte stops it', () => {
    const t = timer();
    t.out(0x43, 0x30);
    expect(t.pit.outLevel(0)).toBe(0);
    t.out(0x40, 100, 0);
    t.ticks(99);
    expect(t.pit.outLevel(0)).toBe(0);
    t.ticks(1);
    expect(t.pit.outLevel(0)).toBe(1);
    expect(t.rising()).toHaveLength(2); // reset's square wave, and this
    t.ticks(10);
    expect(t.word(0x40)).toBe(0x10000 - 10);
    t.out(0x40, 50);
    expect(t.pit.outLevel(0)).toBe(0);
    t.ticks(100);
    expect(t.pit.outLevel(0)).toBe(0);
    t.out(0x40, 0);
    t.ticks(51);
    expect(t.pit.outLevel(0)).toBe(1);
  });
  it('mode 4 strobes once', () => {
    const t = timer();
    t.out(0x43, 0x38);
    t.out(0x40, 20, 0);
    t.edges.length = 0;
    t.board.advance(1e6);
    expect(t.edges.map((e) => e.level)).toEqual([0, 1]);
    expect(t.edges[1]!.at).toBe(Math.ceil(21 * TICK));
  });
  it('mode 4 strobes though the host pauses while the count is written', () => {
    const t = timer();
    t.out(0x43, 0x38);
    const { time } = t.board;
    const read = time.monotonicNs.bind(time);
    time.monotonicNs = () => {
      time.ns += 100_000; // each look at the clock comes 100 us after the one before
      return read();
    };
    t.out(0x40, 20, 0);
    time.monotonicNs = read;
    t.edges.length = 0;
    t.board.advance(1e6);
    expect(t.edges.map((e) => e.level)).toEqual([0, 1]);
  });
  it('counter 2 obeys its gate in every mode', () => {
    const t = timer();
    t.out(0x43, 0xb0); // mode 0, gate closed
    t.out(0x42, 100, 0);
    t.ticks(500);
    expect([t.pit.outLevel(2), t.word(0x42)]).toEqual([0, 100]);
    t.pit.setGate(2, 1);
    t.ticks(40);
    t.pit.setGate(2, 0);
    t.ticks(500);
    expect(t.word(0x42)).toBe(60);
    t.pit.setGate(2, 1);
    t.ticks(61);
    expect(t.pit.outLevel(2)).toBe(1);
    t.out(0x43, 0xb2); // mode 1: one-shot
    t.pit.setGate(2, 0);
    t.out(0x42, 10, 0);
    expect(t.pit.outLevel(2)).toBe(1);
    t.pit.setGate(2, 1);
    expect(t.pit.outLevel(2)).toBe(0);
    t.ticks(5);
    t.pit.setGate(2, 0);
    t.pit.setGate(2, 1);
    t.ticks(9);
    expect(t.pit.outLevel(2)).toBe(0);
    t.ticks(2);
    expect(t.pit.outLevel(2)).toBe(1);
    t.out(0x43, 0xba); // mode 5: strobe after a trigger
    t.out(0x42, 10, 0);
    t.ticks(100);
    t.pit.setGate(2, 0);
    t.pit.setGate(2, 1);
    t.ticks(10);
    expect(t.pit.outLevel(2)).toBe(0);
    t.ticks(1);
    expect(t.pit.outLevel(2)).toBe(1);
    t.out(0x43, 0xb4); // mode 2: a closed gate holds OUT high, an opened one starts anew
    t.out(0x42, 10, 0);
    t.ticks(9);
    expect(t.pit.outLevel(2)).toBe(0);
    t.pit.setGate(2, 0);
    expect(t.pit.outLevel(2)).toBe(1);
    t.pit.setGate(2, 1);
    expect(t.word(0x42)).toBe(10);
  });
  it('latches counts and statuses, singly and by read-back', () => {
    const t = timer();
    t.out(0x43, 0xb4);
    t.out(0x43, 0xe8);
    expect(t.inb(0x42)).toBe(0x80 | 0x40 | 0x34);
    t.pit.setGate(2, 1);
    t.out(0x42, 0x00, 0x20);
    t.ticks(0x100);
    t.out(0x43, 0x80);
    t.ticks(0x100);
    t.out(0x43, 0x80); // the first latch holds
    expect(t.word(0x42)).toBe(0x1f00);
    expect(t.word(0x42)).toBe(0x1e00);
    t.out(0x43, 0xc8); // status and count
    expect(t.inb(0x42)).toBe(0x80 | 0x34);
    t.ticks(0x100);
    expect(t.word(0x42)).toBe(0x1e00);
    expect(t.word(0x42)).toBe(0x1d00);
    t.out(0x43, 0x94); // low byte only
    t.out(0x42, 0x80);
    t.ticks(1);
    expect([t.inb(0x42), t.inb(0x42)]).toEqual([0x7f, 0x7f]);
    t.out(0x43, 0xa4); // high byte only
    t.out(0x42, 0x12);
    t.ticks(1);
    expect(t.inb(0x42)).toBe(0x11);
    expect(t.inb(0x43)).toBe(0);
  });
  it('counts in BCD', () => {
    const t = timer();
    t.pit.setGate(2, 1);
    t.out(0x43, 0xb1);
    t.out(0x42, 0x00, 0x10); // 1000
    t.ticks(1);
    expect(t.word(0x42)).toBe(0x0999);
    t.ticks(1000);
    expect(t.word(0x42)).toBe(0x9999);
  });
  it('makes up for ticks missed in a short stall, and forgets those of a long one', () => {
    const t = timer();
    t.out(0x43, 0x34);
    t.out(0x40, 0xa9, 0x04);
    t.edges.length = 0;
    t.board.time.ns += 50e6;
    for (let i = 0; i < 200; i++) t.board.clocks.virtual.runTimers();
    expect(t.rising()).toHaveLength(50);
    t.edges.length = 0;
    t.board.time.ns += 10e9;
    for (let i = 0; i < 200; i++) t.board.clocks.virtual.runTimers();
    expect(t.rising().length).toBeLessThan(3);
  });
  it('a hostile divisor does not flood the host', () => {
    const t = timer();
    for (const count of [1, 2, 3])
      for (const mode of [0x14, 0x16]) {
        t.out(0x43, mode);
        t.out(0x40, count);
        t.edges.length = 0;
        t.board.advance(10e6);
        expect(t.rising().length).toBeGreaterThan(100);
        expect(t.rising().length).toBeLessThan(1010);
      }
  });
  it('is silent while another timer stands in, and goes on after a load', () => {
    const t = timer();
    t.out(0x43, 0x34);
    t.out(0x40, 0xa9, 0x04);
    t.pit.disableInput[0]!.set(1);
    t.edges.length = 0;
    t.board.advance(10e6);
    expect(t.edges).toEqual([]);
    t.pit.disableInput[0]!.set(0);
    const saved = structuredClone(t.pit.state);
    t.out(0x43, 0x30);
    t.board.advance(10e6);
    Object.assign(t.pit.state, saved);
    t.pit.postLoad();
    t.edges.length = 0;
    t.board.advance(5e6);
    expect(t.rising().length).toBeGreaterThan(0);
  });
});
