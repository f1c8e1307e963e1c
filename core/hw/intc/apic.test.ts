import { beforeEach, describe, expect, it } from 'vitest';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { Apic, apicCommonType, apicType } from './apic.ts';
import { ApicBus } from './apic-bus.ts';
import { lapicText } from './apic-text.ts';
import { readX2apic, writeX2apic } from './x2apic.ts';

if (!typeIsRegistered('apic')) registerDeviceTypes([apicCommonType, apicType]);
const BASE = 0xfee0_0000;
const EXTERNAL_VECTOR = 0x71;

function machine() {
  const board = bareBoard();
  const bus = new ApicBus();
  const apic = deviceNew(Apic, 'apic');
  const events: string[] = [];
  apic.bus = bus;
  apic.hasX2apic = true;
  apic.hasDeadline = true;
  apic.acknowledgeExternal = () => EXTERNAL_VECTOR;
  deviceRealize(apic);
  for (const name of ['nmi', 'smi', 'init'] as const)
    apic[name].connect({ set: (level) => void (level && events.push(name)) });
  bus.onEndOfInterrupt = (vector) => void events.push(`eoi ${vector}`);
  apic.reset();
  return {
    board,
    apic,
    bus,
    events,
    read: (register: number) => board.memory.read(BASE + register, 4),
    write: (register: number, value: number) => board.memory.write(BASE + register, 4, value),
  };
}

describe('local APIC', () => {
  let m: ReturnType<typeof machine>;
  beforeEach(() => {
    m = machine();
    m.write(0xf0, 0x1ff);
  });
  const request = (vector: number, isLevel = false) => m.bus.send(0, false, 0, vector, isLevel);

  it('has the registers of QEMU’s at reset', () => {
    const fresh = machine();
    expect([0x20, 0x30, 0x80, 0xe0, 0xf0, 0x320, 0x350].map((at) => fresh.read(at))).toEqual([
      0, 0x5_0014, 0, 0xffff_ffff, 0xff, 0x1_0000, 0x1_0000,
    ]);
    expect(fresh.apic.state.apicbase).toBe(0xfee0_0900);
    expect(lapicText(fresh.apic, 0)).toContain(
      'LVT0\t 0x00010000 active-hi edge  masked                      Fixed  (vec 0)\n',
    );
  });

  it('hands out vectors by priority, nested and in turn', () => {
    request(0x31);
    request(0x52);
    expect([m.apic.intr.level, m.apic.acknowledge(), m.apic.intr.level]).toEqual([1, 0x52, 0]);
    expect([m.read(0xa0), m.read(0x120), m.read(0x210)]).toEqual([0x50, 1 << 18, 1 << 17]);
    request(0x5f); // same class: waits
    expect(m.apic.intr.level).toBe(0);
    request(0x60);
    expect(m.apic.acknowledge()).toBe(0x60);
    m.write(0xb0, 0);
    expect(m.apic.intr.level).toBe(0);
    m.write(0xb0, 0);
    expect([m.apic.acknowledge(), m.apic.intr.level]).toEqual([0x5f, 0]);
    m.write(0xb0, 0);
    expect(m.apic.acknowledge()).toBe(0x31);
    expect(m.apic.acknowledge()).toBe(0xff); // spurious
  });

  it('holds back what is not above the task priority', () => {
    m.write(0x80, 0x50);
    request(0x5f);
    expect(m.apic.intr.level).toBe(0);
    m.apic.setTaskPriority(0x40);
    expect(m.apic.intr.level).toBe(1);
    expect(m.read(0x80)).toBe(0x40);
  });

  it('tells I/O APICs of the end of a level-triggered interrupt only', () => {
    request(0x40);
    m.apic.acknowledge();
    m.write(0xb0, 0);
    request(0x41, true);
    expect(m.read(0x1a0)).toBe(2);
    m.apic.acknowledge();
    m.write(0xb0, 0);
    expect(m.events).toEqual(['eoi 65']);
  });

  it('is a virtual wire: the 8259s through LINT0, NMI through LINT1', () => {
    m.apic.lint[0]!.set(1);
    expect(m.apic.intr.level).toBe(0);
    m.write(0x350, 0x8700);
    m.write(0x360, 0x8400);
    m.write(0x80, 0xff); // priority does not matter
    expect([m.apic.intr.level, m.apic.acknowledge()]).toEqual([1, EXTERNAL_VECTOR]);
    m.apic.lint[1]!.set(1);
    m.apic.lint[0]!.set(0);
    expect([m.apic.intr.level, m.events]).toEqual([0, ['nmi']]);
  });

  it('takes a level at LINT0 once, until its end', () => {
    m.write(0x350, 0x8033);
    m.apic.lint[0]!.set(1);
    expect([m.apic.acknowledge(), m.read(0x350)]).toEqual([0x33, 0xc033]);
    m.write(0xb0, 0);
    expect(m.apic.intr.level).toBe(1); // still asserted
    m.apic.lint[0]!.set(0);
    m.apic.acknowledge();
    m.write(0xb0, 0);
    expect([m.apic.intr.level, m.read(0x350)]).toEqual([0, 0x8033]);
  });

  it('counts down once, in steps of the divider', () => {
    m.write(0x320, 0x40);
    m.write(0x3e0, 0x3); // by 16
    m.write(0x380, 1000);
    m.board.advance(160);
    expect(m.read(0x390)).toBe(990);
    m.board.advance(16_000 - 160);
    expect([m.read(0x390), m.apic.intr.level]).toEqual([0, 0]);
    m.board.advance(16);
    expect([m.apic.acknowledge(), m.read(0x390)]).toEqual([0x40, 0]);
    m.board.advance(1e6);
    expect(m.apic.intr.level).toBe(0);
  });

  it('counts periodically, and stops with a count of zero', () => {
    m.write(0x320, 0x2_0040);
    m.write(0x3e0, 0xb); // by 1
    m.write(0x380, 999);
    let count = 0;
    for (let i = 0; i < 5; i++) {
      m.board.advance(1000);
      if (m.apic.intr.level) count++;
      m.apic.acknowledge();
      m.write(0xb0, 0);
    }
    expect([count, m.read(0x390)]).toEqual([5, 999]);
    m.write(0x380, 0);
    m.board.advance(1e6);
    expect([m.apic.intr.level, m.read(0x390), m.board.clocks.virtual.deadlineNs]).toEqual([0, 0, null]);
  });

  it('fires at a TSC deadline, which then reads as zero', () => {
    m.apic.timer.writeDeadline(5000, 0, 5000);
    expect(m.board.clocks.virtual.deadlineNs).toBeNull(); // another mode
    m.write(0x320, 0x4_0055);
    m.apic.timer.writeDeadline(5000, 0, 5000);
    m.write(0x380, 7); // ignored
    expect([m.read(0x380), m.apic.timer.deadlineLow]).toEqual([0, 5000]);
    m.board.advance(5000);
    expect([m.apic.acknowledge(), m.apic.timer.deadlineLow]).toEqual([0x55, 0]);
  });

  it('sends to itself, to all, and by logical destination', () => {
    m.write(0x300, 0x4_0041);
    expect(m.apic.acknowledge()).toBe(0x41);
    m.write(0xb0, 0);
    m.write(0x300, 0x8_0042);
    expect(m.apic.acknowledge()).toBe(0x42);
    m.write(0xb0, 0);
    m.write(0x300, 0xc_0043);
    expect(m.apic.intr.level).toBe(0);
    m.write(0xd0, 0x0400_0000);
    m.write(0x310, 0x0600_0000);
    m.write(0x300, 0x0844);
    expect(m.apic.acknowledge()).toBe(0x44);
    m.write(0xb0, 0);
    m.write(0xe0, 0x0fff_ffff); // cluster model
    m.write(0xd0, 0x2400_0000);
    m.write(0x310, 0x1400_0000);
    m.write(0x300, 0x0845);
    expect(m.apic.intr.level).toBe(0);
    m.write(0x310, 0x2c00_0000);
    m.write(0x300, 0x0845);
    expect(m.apic.acknowledge()).toBe(0x45);
    m.write(0x300, 0x8_0400);
    m.write(0x300, 0x8_0200);
    expect(m.events).toEqual(['nmi', 'smi']);
  });

  it('goes back to its start at INIT, but for its identity and base', () => {
    m.write(0x80, 0x20);
    m.write(0x20, 0x0300_0000);
    m.write(0x310, 0x0300_0000);
    m.write(0x300, 0x4500);
    expect(m.events).toEqual(['init']);
    expect([m.read(0x80), m.read(0xf0), m.read(0x20)]).toEqual([0, 0xff, 0]);
  });

  it('takes message-signalled interrupts, also where its own registers are', () => {
    m.board.memory.write(BASE, 4, 0x4050);
    expect(m.apic.acknowledge()).toBe(0x50);
    m.board.memory.write(BASE + 0xff000, 4, 0x60);
    expect(m.apic.acknowledge()).toBe(0x60);
    m.board.memory.write(BASE + 0x5000, 4, 0x70); // someone else
    expect(m.apic.intr.level).toBe(0);
  });

  it('notes errors, and interrupts for them', () => {
    m.write(0x370, 0x39);
    request(5);
    expect([m.apic.acknowledge(), m.read(0x280)]).toEqual([0x39, 0]);
    m.write(0x280, 0);
    expect(m.read(0x280)).toBe(0x40);
    m.read(0x3f0);
    m.write(0x300, 0x4_0003);
    m.write(0x280, 0);
    expect(m.read(0x280)).toBe(0xa0);
    m.write(0x280, 0);
    expect(m.read(0x280)).toBe(0);
  });

  it('disabled by software masks its entries and takes no vectors', () => {
    m.write(0x350, 0x700);
    m.write(0xf0, 0xff);
    request(0x40);
    m.write(0x350, 0x700);
    expect([m.read(0x350), m.read(0x220), m.apic.intr.level]).toEqual([0x1_0700, 0, 0]);
  });

  it('disabled in its base register leaves the wires to the processor', () => {
    expect(m.apic.writeBase(0xfee0_0100)).toBe(true);
    m.apic.lint[0]!.set(1);
    expect([m.apic.intr.level, m.apic.acknowledge(), m.read(0x30)]).toEqual([1, EXTERNAL_VECTOR, 0xffff_ffff]);
    m.apic.lint[1]!.set(1);
    expect(m.events).toEqual(['nmi']);
    expect(m.apic.writeBase(0xfee0_0900)).toBe(true);
    expect([m.apic.intr.level, m.read(0xf0)]).toEqual([0, 0xff]);
  });

  it('has x2APIC mode, entered and left as the manual allows', () => {
    expect(readX2apic(m.apic, 0x02, false)).toBe(-1);
    expect(m.apic.writeBase(0xfee0_0500)).toBe(false);
    expect(m.apic.writeBase(0xfee0_0d00)).toBe(true);
    expect([m.apic.writeBase(0xfee0_0900), m.read(0x30)]).toEqual([false, 0xffff_ffff]);
    expect([readX2apic(m.apic, 0x03, false), readX2apic(m.apic, 0x0d, false)]).toEqual([0x5_0014, 1]);
    expect([0x09, 0x0e, 0x31, 0x3f, 0x0b].map((register) => readX2apic(m.apic, register, false))).toEqual(
      Array(5).fill(-1),
    );
    expect(writeX2apic(m.apic, 0x3f, 0x77, 0)).toBe(true);
    expect(m.apic.acknowledge()).toBe(0x77);
    expect([writeX2apic(m.apic, 0x0b, 1, 0), writeX2apic(m.apic, 0x0b, 0, 0)]).toEqual([false, true]);
    expect(writeX2apic(m.apic, 0x30, 0x78, 5)).toBe(true);
    expect(m.apic.intr.level).toBe(0);
    expect(writeX2apic(m.apic, 0x30, 0x78, 0)).toBe(true);
    expect([m.apic.acknowledge(), readX2apic(m.apic, 0x30, true)]).toEqual([0x78, 0]);
    expect(writeX2apic(m.apic, 0x08, 0x100, 0)).toBe(false);
    expect([m.apic.writeBase(0xfee0_0100), m.apic.writeBase(0xfee0_0901)]).toEqual([true, false]);
  });

  it('goes on counting after a saved state was put back', () => {
    m.write(0x320, 0x2_0040);
    m.write(0x3e0, 0xb);
    m.write(0x380, 999);
    m.board.advance(500);
    const { state } = m.apic;
    m.apic.timer.reset();
    m.apic.postLoad();
    expect(m.board.clocks.virtual.deadlineNs).toBe(state.timer_expiry);
    m.board.advance(500);
    expect(m.apic.intr.level).toBe(1);
  });
});
