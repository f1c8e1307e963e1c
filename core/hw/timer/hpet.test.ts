import { beforeEach, describe, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { Hpet, hpetConfig, hpetType } from './hpet.ts';

if (!typeIsRegistered('hpet')) registerDeviceTypes([hpetType]);
const BASE = 0xfed0_0000;
const ENABLE = 1;
const LEGACY = 2;
const T = { level: 2, on: 4, periodic: 8, setValue: 0x40, narrow: 0x100 };

function machine() {
  const board = bareBoard();
  const hpet = deviceNew(Hpet, 'hpet');
  objectSet(hpet, 'hpet-intcap', 4);
  deviceRealize(hpet);
  hpet.reset();
  const edges: number[] = [];
  hpet.irqs.forEach((pin, line) => {
    pin.connect({ set: (level) => void (level && edges.push(line)) });
  });
  return {
    board,
    hpet,
    edges,
    read: (offset: number) => board.memory.read(BASE + offset, 4),
    write: (offset: number, value: number) => board.memory.write(BASE + offset, 4, value),
  };
}

describe('HPET', () => {
  let m: ReturnType<typeof machine>;
  beforeEach(() => {
    m = machine();
  });

  it('tells three wide timers of 100 MHz, as QEMU’s does', () => {
    expect([m.read(0), m.read(4), m.read(0x100), m.read(0x104), m.read(0x108), m.read(0x160)]).toEqual([
      0x8086_a201, 10_000_000, 0x30, 4, 0xffff_ffff, 0,
    ]);
    expect(Buffer.from(hpetConfig(m.hpet.blockId)).toString('hex')).toMatch(/^0101a286800000d0fe0{224}$/);
    expect(Buffer.from(hpetConfig(null)).toString('hex')).toMatch(/^ff0{240}$/);
  });

  it('counts while it is on', () => {
    m.write(0xf0, 5);
    m.board.advance(1000);
    expect(m.read(0xf0)).toBe(5);
    m.write(0x10, ENABLE);
    m.board.advance(1000);
    expect(m.read(0xf0)).toBe(105);
    m.write(0xf0, 1); // not while it runs
    m.board.advance(43e9);
    expect([m.read(0xf0), m.read(0xf4)]).toEqual([4_300_000_105 - 2 ** 32, 1]);
    m.write(0x10, 0);
    m.board.advance(1000);
    expect(m.read(0xf0)).toBe(4_300_000_105 - 2 ** 32);
  });

  it('matches once, on the line that was chosen', () => {
    m.write(0x10, ENABLE);
    m.write(0x140, T.on | T.narrow | (2 << 9));
    m.write(0x148, 100);
    m.board.advance(999);
    expect(m.edges).toEqual([]);
    m.board.advance(1);
    expect(m.edges).toEqual([2]);
    m.board.advance(1e9);
    expect(m.edges).toEqual([2]);
    m.write(0x148, m.read(0xf0) - 5); // just missed
    m.board.advance(1);
    expect(m.edges).toEqual([2, 2]);
  });

  it('is periodic from a value that is set, by a period that is written after it', () => {
    m.write(0x100, T.on | T.periodic | T.setValue | T.narrow);
    m.write(0x108, 500);
    m.write(0x108, 100);
    expect(m.read(0x100) & T.setValue).toBe(0);
    m.write(0x10, ENABLE | LEGACY);
    m.board.advance(5000);
    expect(m.edges).toEqual([0]);
    m.board.advance(3000);
    expect([m.edges.length, m.read(0x108)]).toEqual([4, 900]);
    m.write(0x100, 0);
    m.board.advance(5000);
    expect(m.edges.length).toBe(4);
  });

  it('stands in for the 8254 and the clock chip', () => {
    const [pit, rtc] = m.hpet.legacyIn;
    pit!.set(1);
    rtc!.set(1);
    expect(m.edges).toEqual([0, 8]);
    m.write(0x10, ENABLE | LEGACY);
    expect([m.hpet.legacyOut.level, m.hpet.irqs[0]!.level, m.hpet.irqs[8]!.level]).toEqual([1, 0, 0]);
    pit!.set(0);
    pit!.set(1);
    expect(m.edges).toEqual([0, 8]);
    m.write(0x120, T.on | T.narrow);
    m.write(0x128, 1000);
    m.board.advance(10_000);
    expect(m.edges).toEqual([0, 8, 8]);
    m.write(0x10, 0);
    expect([m.hpet.legacyOut.level, m.hpet.irqs[0]!.level, m.hpet.irqs[8]!.level]).toEqual([0, 1, 1]);
  });

  it('holds a level until its status bit is cleared', () => {
    m.write(0x10, ENABLE);
    m.write(0x140, T.on | T.level | (2 << 9));
    m.write(0x148, 10);
    m.write(0x14c, 0);
    m.board.advance(100);
    expect([m.read(0x20), m.hpet.irqs[2]!.level]).toEqual([4, 1]);
    m.write(0x20, 1);
    expect(m.hpet.irqs[2]!.level).toBe(1);
    m.write(0x20, 4);
    expect([m.read(0x20), m.hpet.irqs[2]!.level]).toEqual([0, 0]);
  });

  it('goes on after a saved state was put back', () => {
    m.write(0x10, ENABLE);
    m.write(0x140, T.on | T.narrow);
    m.write(0x148, 100);
    const { state } = m.hpet;
    expect(state.timer[2]!.qemu_timer).toBe(1000);
    state.timer[2]!.qemu_timer = 500;
    m.hpet.postLoad();
    m.board.advance(500);
    expect(m.edges).toEqual([0]);
  });

  it('refuses other numbers of timers', () => {
    const other = deviceNew(Hpet, 'hpet');
    objectSet(other, 'timers', 8);
    expect(() => deviceRealize(other)).toThrow('timers=8');
  });
});
