import { beforeAll, describe, expect, it } from 'vitest';
import { objectGet, objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { Mc146818Rtc, mc146818RtcType } from './mc146818rtc.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, mc146818RtcType]));

/** 2024-02-28T23:59:57Z, a Wednesday. */
const START = Date.UTC(2024, 1, 28, 23, 59, 57) / 1000;

function clock(properties: Record<string, unknown> = {}, source: 'virtual' | 'host' | null = 'virtual') {
  const board = bareBoard();
  const rtc = deviceNew(Mc146818Rtc, 'mc146818rtc');
  objectSet(rtc, 'base_year', 0);
  for (const [name, value] of Object.entries(properties)) objectSet(rtc, name, value);
  if (source) rtc.setTimeSource(source, START);
  let irqs = 0;
  rtc.irq.connect({
    set(level) {
      irqs += level;
    },
  });
  deviceRealize(rtc, isaBusNew(null));
  resetTree(rtc);
  const get = (register: number) => {
    board.io.write(0x70, 1, register);
    return board.io.read(0x71, 1);
  };
  const set = (register: number, value: number) => {
    board.io.write(0x70, 1, register);
    board.io.write(0x71, 1, value);
  };
  const time = () => [9, 8, 7, 4, 2, 0].map((r) => get(r).toString(16).padStart(2, '0')).join(' ');
  return { board, rtc, get, set, time, irqs: () => irqs };
}

describe('mc146818rtc', () => {
  it('keeps the time, over a leap day, in BCD and 24 hours', () => {
    const c = clock();
    expect(c.time()).toBe('24 02 28 23 59 57');
    expect([c.get(0x32), c.get(0x37), c.get(6)]).toEqual([0x20, 0x20, 4]);
    c.board.advance(3e9);
    expect(c.time()).toBe('24 02 29 00 00 00');
    expect([0x0a, 0x0b, 0x0d].map(c.get)).toEqual([0x26, 0x02, 0x80]);
    expect(c.board.io.read(0x70, 1)).toBe(0xff);
    expect(objectGet(c.rtc, 'date')).toEqual({
      tm_year: 124,
      tm_mon: 1,
      tm_mday: 29,
      tm_hour: 0,
      tm_min: 0,
      tm_sec: 0,
    });
  });
  it('starts from the host’s time by default', () => {
    expect(clock({}, null).time()).toBe('24 01 02 03 04 05');
  });
  it('shows binary and 12 hours', () => {
    const c = clock();
    c.set(0x0b, 0x06);
    expect([c.get(4), c.get(2), c.get(0), c.get(9)]).toEqual([23, 59, 57, 24]);
    c.set(0x0b, 0x00);
    expect(c.get(4)).toBe(0x91);
    c.board.advance(4e9);
    expect(c.get(4)).toBe(0x12);
    c.set(4, 0x92); // 12 PM
    c.set(0x0b, 0x02);
    expect(c.get(4)).toBe(0x12);
  });
  it('is set while stopped by SET, says so, and goes on', () => {
    const c = clock();
    c.set(0x0b, 0x82);
    for (const [register, value] of [
      [9, 0x99],
      [0x32, 0x19],
      [8, 0x12],
      [7, 0x31],
      [4, 0x23],
      [2, 0x59],
      [0, 0x58],
    ] as const)
      c.set(register, value);
    c.board.advance(5e9);
    expect(c.time()).toBe('99 12 31 23 59 58');
    c.set(0x0b, 0x02);
    expect(c.board.requests).toEqual(['event RTC_CHANGE']);
    c.board.advance(2e9);
    expect([c.time(), c.get(0x32)]).toEqual(['00 01 01 00 00 00', 0x20]);
  });
  it('starts half a second before an update when the divider leaves its reset', () => {
    const c = clock();
    c.board.advance(0.2e9);
    c.set(0x0a, 0x66);
    c.board.advance(10e9);
    expect(c.get(0)).toBe(0x57);
    c.set(0x0a, 0x26);
    c.board.advance(0.49e9);
    expect(c.get(0)).toBe(0x57);
    c.board.advance(0.02e9);
    expect(c.get(0)).toBe(0x58);
  });
  it('warns of an update', () => {
    const c = clock();
    expect(c.get(0x0a) & 0x80).toBe(0);
    c.board.advance(1e9 - 200_000);
    expect(c.get(0x0a) & 0x80).toBe(0x80);
    c.board.advance(300_000);
    expect(c.get(0x0a) & 0x80).toBe(0);
  });
  it('interrupts at updates and alarms; register C is cleared by reading', () => {
    const c = clock();
    c.set(0x0a, 0x20);
    c.board.advance(1.5e9);
    expect(c.get(0x0c)).toBe(0x10);
    expect(c.get(0x0c)).toBe(0);
    c.set(0x0b, 0x12);
    c.board.advance(1e9);
    expect(c.irqs()).toBe(1);
    expect(c.get(0x0c)).toBe(0x90);
    c.set(0x0b, 0x22);
    c.set(5, 0xc0);
    c.set(3, 0x00);
    c.set(1, 0x05);
    c.board.advance(4.4e9); // to 00:00:03.9
    expect(c.get(0x0c)).toBe(0x10);
    c.board.advance(2e9);
    expect(c.irqs()).toBe(2);
    expect(c.get(0x0c)).toBe(0xb0);
    c.set(1, 0x75); // a second that never comes
    c.board.advance(86_400e9);
    expect(c.get(0x0c)).toBe(0x10);
  });
  it('raises at once an interrupt whose flag stands when it is enabled', () => {
    const c = clock();
    c.set(0x0a, 0x20);
    c.board.advance(2e9);
    c.get(0); // does not look at C
    expect(c.irqs()).toBe(0);
    c.set(0x0b, 0x12);
    expect(c.irqs()).toBe(1);
    c.set(0x0b, 0x02);
    expect(c.get(0x0c)).toBe(0x10);
  });
  it('ticks periodically at the chosen rate, with and without the interrupt', () => {
    const c = clock();
    c.set(0x0b, 0x42);
    let ticks = 0;
    for (let i = 0; i < 2000; i++) {
      c.board.advance(0.5e6);
      if (c.get(0x0c) & 0x40) ticks++;
    }
    expect(ticks).toBe(1024);
    c.set(0x0b, 0x02);
    c.set(0x0a, 0x2f); // 2 Hz
    ticks = 0;
    for (let i = 0; i < 100; i++) {
      c.board.advance(30e6);
      if (c.get(0x0c) & 0x40) ticks++;
    }
    expect(ticks).toBe(6);
    c.set(0x0a, 0x20);
    c.get(0x0c);
    c.board.advance(0.9e9);
    expect(c.get(0x0c) & 0x40).toBe(0);
  });
  it('brings lost ticks back when told to slew', () => {
    const c = clock({ lost_tick_policy: 'slew' });
    c.set(0x0b, 0x42);
    c.board.advance(10.5 * (1e9 / 1024));
    let reads = 0;
    while (c.get(0x0c) & 0x40) reads++;
    expect(reads).toBe(10);
  });
  it('keeps memory and time over a reset, but no interrupts', () => {
    const c = clock();
    c.set(0x0f, 0x5a);
    c.set(0x0b, 0x72);
    resetTree(c.rtc);
    expect([c.get(0x0f), c.get(0x0b)]).toEqual([0x5a, 0x02]);
    c.rtc.setCmos(0x34, 0x12);
    expect(c.get(0x34)).toBe(0x12);
    expect(c.time()).toBe('24 02 28 23 59 57');
  });
  it('survives nonsense in every register', () => {
    const c = clock();
    for (let register = 0; register < 128; register++)
      for (const value of [0xff, 0x7f, 0x80, 0x1a]) {
        c.set(register, value);
        c.board.advance(1e9);
        expect(c.get(register)).toBeLessThan(256);
      }
  });
});
