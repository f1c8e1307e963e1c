import { beforeEach, describe, expect, it } from 'vitest';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { ApicBus } from './apic-bus.ts';
import { ioapicText } from './apic-text.ts';
import { IoApic, ioapicTypes } from './ioapic.ts';

if (!typeIsRegistered('ioapic')) registerDeviceTypes(ioapicTypes);
const BASE = 0xfec0_0000;

function machine() {
  const board = bareBoard();
  const ioapic = deviceNew(IoApic, 'ioapic');
  const sent: string[] = [];
  ioapic.bus = new ApicBus();
  ioapic.bus.receivers.push({
    arbitrationPriority: 0,
    isDestination: (destination, isLogical) => (isLogical ? (destination & 2) !== 0 : destination === 1),
    receive: (mode, vector, isLevel) => void sent.push(`${mode} ${vector}${isLevel ? ' level' : ''}`),
  });
  deviceRealize(ioapic);
  ioapic.reset();
  const select = (register: number) => board.memory.write(BASE, 4, register);
  return {
    ioapic,
    sent,
    board,
    read(register: number) {
      select(register);
      return board.memory.read(BASE + 0x10, 4);
    },
    write(register: number, value: number) {
      select(register);
      board.memory.write(BASE + 0x10, 4, value);
    },
    entry(pin: number, low: number, high = 0x0100_0000) {
      this.write(0x11 + pin * 2, high);
      this.write(0x10 + pin * 2, low);
    },
  };
}

describe('I/O APIC', () => {
  let m: ReturnType<typeof machine>;
  beforeEach(() => {
    m = machine();
  });
  const set = (pin: number, level: number) => m.ioapic.pins[pin]!.set(level);

  it('tells version 20h and 24 inputs, all masked', () => {
    expect([m.read(1), m.read(0x10), m.read(0x3f), m.read(0x40)]).toEqual([0x17_0020, 0x1_0000, 0, 0]);
    m.write(0, 0x0f00_0000);
    expect([m.read(0), m.read(2)]).toEqual([0x0f00_0000, 0x0f00_0000]);
  });

  it('sends one message per edge, and loses edges into a masked input', () => {
    set(4, 1);
    set(4, 0);
    m.entry(4, 0x34);
    expect(m.sent).toEqual([]);
    set(4, 1);
    set(4, 1);
    set(4, 0);
    set(4, 1);
    expect(m.sent).toEqual(['0 52', '0 52']);
  });

  it('sends a level once until the end of its interrupt, and again while it stands', () => {
    m.entry(10, 0x8035);
    set(10, 1);
    expect([m.sent, m.read(0x24)]).toEqual([['0 53 level'], 0xc035]);
    m.ioapic.endOfInterrupt(0x34);
    expect(m.sent.length).toBe(1);
    m.ioapic.endOfInterrupt(0x35);
    expect(m.sent.length).toBe(2);
    set(10, 0);
    m.board.memory.write(BASE + 0x40, 4, 0x35); // the EOI register of version 20h
    expect([m.sent.length, m.read(0x24)]).toEqual([2, 0x8035]);
  });

  it('sends a level that came while masked when the mask goes', () => {
    m.entry(11, 0x1_8036);
    set(11, 1);
    expect([m.sent, m.ioapic.state.irr]).toEqual([[], 1 << 11]);
    m.entry(11, 0x8036);
    expect(m.sent).toEqual(['0 54 level']);
  });

  it('holds delivery mode, destination and polarity; read-only bits stay', () => {
    m.entry(3, 0x1_ffff, 0x0200_0000);
    expect([m.read(0x16), m.read(0x17)]).toEqual([0x1_afff, 0x0200_0000]);
    m.entry(3, 0x0c31, 0x0200_0000); // NMI to a logical destination
    set(3, 1);
    m.entry(5, 0x0131); // lowest priority is fixed when it arrives
    set(5, 1);
    m.entry(6, 0x0032, 0x0700_0000); // nobody there
    set(6, 1);
    expect(m.sent).toEqual(['4 49', '0 49']);
  });

  it('shows itself as QEMU’s monitor does', () => {
    m.entry(9, 0xa039, 0x0100_0000);
    set(9, 1);
    const text = ioapicText(m.ioapic).split('\n');
    expect(text[0]).toBe('ioapic0: ver=0x20 id=0x00 sel=0x22 (redir[9])');
    expect(text[1]).toBe('  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical');
    expect(text[10]).toBe('  pin 9  0x010000000000e039 dest=1 vec=57  active-lo level        fixed  physical');
    expect(text.slice(25)).toEqual(['  IRR      9', '  Remote IRR 9', '']);
  });
});
