import { beforeAll, describe, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { I8259, i8259Types } from './i8259.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, ...i8259Types]));

function pair() {
  const board = bareBoard();
  const bus = isaBusNew(null);
  const make = (iobase: number, elcr: number, mask: number, master: boolean) => {
    const pic = deviceNew(I8259, 'isa-i8259');
    for (const [k, v] of Object.entries({ iobase, elcr_addr: elcr, elcr_mask: mask, master })) objectSet(pic, k, v);
    deviceRealize(pic, bus);
    return pic;
  };
  const master = make(0x20, 0x4d0, 0xf8, true);
  const slave = make(0xa0, 0x4d1, 0xde, false);
  slave.int.connect(master.ir[2]!);
  master.cascade = slave;
  for (const pic of [slave, master]) resetTree(pic);
  const out = (port: number, ...bytes: number[]) => {
    for (const b of bytes) board.io.write(port, 1, b);
  };
  const init = (icw4 = 1) => {
    out(0x20, 0x11);
    out(0x21, 0x08, 0x04, icw4, 0);
    out(0xa0, 0x11);
    out(0xa1, 0x70, 0x02, icw4, 0);
  };
  const line = (n: number) => (n < 8 ? master.ir[n]! : slave.ir[n - 8]!);
  const pulse = (n: number) => {
    line(n).set(1);
    line(n).set(0);
  };
  const inb = (port: number) => board.io.read(port, 1);
  return { master, slave, out, init, line, pulse, inb, pending: () => master.int.level };
}

describe('i8259', () => {
  it('delivers by priority, nests, and ends with EOI', () => {
    const p = pair();
    p.init();
    p.pulse(4);
    p.pulse(1);
    expect(p.master.acknowledge()).toBe(0x09);
    expect(p.pending()).toBe(0);
    p.pulse(0);
    expect(p.master.acknowledge()).toBe(0x08);
    p.out(0x20, 0x0b);
    expect(p.inb(0x20)).toBe(0x03);
    p.out(0x20, 0x20);
    expect(p.inb(0x20)).toBe(0x02);
    p.out(0x20, 0x20);
    expect(p.master.acknowledge()).toBe(0x0c);
    p.out(0x20, 0x0a);
    expect(p.inb(0x20)).toBe(0);
  });
  it('cascades, and gives the spurious vectors 7 and 15', () => {
    const p = pair();
    p.init();
    p.pulse(14);
    p.pulse(12);
    expect(p.master.acknowledge()).toBe(0x74);
    p.out(0xa0, 0x20);
    p.out(0x20, 0x20);
    expect(p.master.acknowledge()).toBe(0x76);
    p.out(0xa0, 0x66);
    p.out(0x20, 0x62);
    expect(p.master.acknowledge()).toBe(0x0f);
    expect(p.master.state.isr).toBe(0);
    p.pulse(9);
    p.out(0xa1, 0xff);
    expect(p.master.acknowledge()).toBe(0x77);
    expect(p.slave.state.isr).toBe(0);
    expect(p.master.state.isr).toBe(4);
  });
  it('special fully nested mode lets a higher slave line through', () => {
    const p = pair();
    p.init(0x11);
    p.pulse(12);
    expect(p.master.acknowledge()).toBe(0x74);
    p.pulse(8);
    expect(p.pending()).toBe(1);
    expect(p.master.acknowledge()).toBe(0x70);
  });
  it('automatic EOI keeps delivering, with and without rotation', () => {
    const p = pair();
    p.init(0x03);
    p.pulse(12);
    p.pulse(13);
    expect([p.master.acknowledge(), p.master.acknowledge()]).toEqual([0x74, 0x75]);
    p.out(0x20, 0x80);
    p.pulse(3);
    expect(p.master.acknowledge()).toBe(0x0b);
    p.pulse(3);
    p.pulse(4);
    expect([p.master.acknowledge(), p.master.acknowledge()]).toEqual([0x0c, 0x0b]);
  });
  it('rotates and sets priorities', () => {
    const p = pair();
    p.init();
    p.out(0x20, 0xc3);
    p.pulse(0);
    p.pulse(4);
    expect(p.master.acknowledge()).toBe(0x0c);
    p.out(0x20, 0xa0);
    p.pulse(4);
    p.pulse(5);
    expect(p.master.acknowledge()).toBe(0x0d);
    p.out(0x20, 0xe5);
    expect(p.master.state).toMatchObject({ isr: 0, priority_add: 6 });
  });
  it('follows levels where the ELCR says so, and keeps the PC’s fixed edge lines', () => {
    const p = pair();
    p.init();
    p.out(0x4d0, 0xff);
    p.out(0x4d1, 0xff);
    expect([p.inb(0x4d0), p.inb(0x4d1)]).toEqual([0xf8, 0xde]);
    p.line(10).set(1);
    expect(p.master.acknowledge()).toBe(0x72);
    p.out(0xa0, 0x20);
    p.out(0x20, 0x20);
    expect(p.pending()).toBe(1);
    p.line(10).set(0);
    expect(p.slave.int.level).toBe(0);
    expect(p.master.acknowledge()).toBe(0x77);
    expect(p.pending()).toBe(0);
  });
  it('polls, masks, and lets masked lines by in special mask mode', () => {
    const p = pair();
    p.init();
    p.out(0x21, 0x08);
    p.pulse(3);
    expect(p.pending()).toBe(0);
    p.out(0x21, 0);
    p.out(0x20, 0x0c);
    expect(p.inb(0x20)).toBe(0x83);
    p.pulse(5);
    expect(p.pending()).toBe(0);
    p.out(0x21, 0x08);
    p.out(0x20, 0x68);
    expect(p.pending()).toBe(1);
    expect(p.master.acknowledge()).toBe(0x0d);
    p.out(0x20, 0x20, 0x20);
    expect(p.master.state.isr).toBe(0x08);
    p.out(0x20, 0x0c);
    expect(p.inb(0x20)).toBe(0);
  });
  it('forgets edges at ICW1, and tells its state', () => {
    const p = pair();
    p.pulse(1);
    p.out(0x20, 0x13);
    p.out(0x21, 0x40, 0x01, 0xb8);
    expect(p.master.infoLine()).toBe('pic0: irr=00 imr=b8 isr=00 hprio=0 irq_base=40 rr_sel=0 elcr=00 fnm=0');
  });
});
