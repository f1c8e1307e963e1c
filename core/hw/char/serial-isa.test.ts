import { beforeAll, describe, expect, it } from 'vitest';
import { Chardev, type CharEvent, registerChardevTypes } from '../../backends/char/chardev.ts';
import { objectNewAs, objectSet } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';
import { loadState, saveState } from '../../vmstate/fields.ts';
import { StateReader, StateWriter } from '../../vmstate/stream.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { SerialIsa, serialTypes } from './serial-isa.ts';

/** A line whose other end the test holds. */
class TestLine extends Chardev {
  readonly sent: number[] = [];
  backlogBytes = 0;
  readonly drains = new Set<() => void>();
  breaks = 0;
  protected override send(bytes: Uint8Array) {
    this.sent.push(...bytes);
  }
  override get queuedBytes() {
    return this.backlogBytes;
  }
  override onDrain(listener: () => void) {
    this.drains.add(listener);
    return () => this.drains.delete(listener);
  }
  override sendBreak() {
    this.breaks++;
  }
  input(...bytes: number[]) {
    this.deliver(Uint8Array.from(bytes));
  }
  event(event: CharEvent) {
    this.raise(event);
  }
}

beforeAll(() => {
  registerChardevTypes();
  typeRegister({ name: 'chardev-test', parent: 'chardev', instance: TestLine });
  registerDeviceTypes([...isaTypes, ...serialTypes]);
});

function port() {
  const line = objectNewAs(TestLine, 'chardev-test');
  line.id = 'com';
  const board = bareBoard({ findBackend: (kind, id) => (kind === 'chardev' && id === 'com' ? line : null) });
  const bus = isaBusNew(null);
  const device = deviceNew(SerialIsa, 'isa-serial');
  objectSet(device, 'chardev', 'com');
  deviceRealize(device, bus);
  resetTree(device);
  const inb = (r: number) => board.io.read(0x3f8 + r, 1);
  const out = (r: number, ...bytes: number[]) => {
    for (const b of bytes) board.io.write(0x3f8 + r, 1, b);
  };
  return { board, bus, device, line, inb, out, irq: () => bus.irq(4).level };
}

describe('isa-serial', () => {
  it('stands at its reset values', () => {
    const p = port();
    expect([0, 1, 2, 3, 4, 5, 6, 7].map(p.inb)).toEqual([0, 0, 1, 0, 8, 0x60, 0xb0, 0]);
    expect(p.device.props).toMatchObject({ index: 0, iobase: 0x3f8, irq: 4 });
  });
  it('sends at once and interrupts when it can take more', () => {
    const p = port();
    p.out(0, 0x41, 0x42);
    expect(p.line.sent).toEqual([0x41, 0x42]);
    expect(p.irq()).toBe(0);
    p.out(1, 0x02);
    expect(p.irq()).toBe(1);
    expect([p.inb(2), p.inb(2), p.irq()]).toEqual([0x02, 0x01, 0]);
    p.out(0, 0x43);
    expect([p.irq(), p.inb(2)]).toEqual([1, 0x02]);
  });
  it('waits for a host that does not take output, and goes on', () => {
    const p = port();
    p.out(2, 0x01);
    p.line.backlogBytes = 10_000;
    p.out(0, ...Array.from({ length: 17 }, (_, i) => i));
    expect(p.line.sent).toEqual([]);
    expect(p.inb(5) & 0x60).toBe(0);
    p.line.backlogBytes = 0;
    for (const drain of p.line.drains) drain();
    expect(p.line.sent).toEqual(Array.from({ length: 17 }, (_, i) => i));
    expect(p.inb(5)).toBe(0x60);
  });
  it('receives without FIFOs byte by byte, holding the sender', () => {
    const p = port();
    p.out(1, 0x01);
    p.line.input(1, 2, 3);
    expect([p.irq(), p.inb(2), p.inb(5)]).toEqual([1, 0x04, 0x61]);
    expect([p.inb(0), p.inb(0), p.inb(0)]).toEqual([1, 2, 3]);
    expect([p.irq(), p.inb(5)]).toEqual([0, 0x60]);
  });
  it('receives with FIFOs: trigger level, then a timeout for the rest', () => {
    const p = port();
    p.out(3, 0x83);
    p.out(0, 0x0c, 0x00);
    p.out(1, 0x00);
    p.out(3, 0x03);
    p.out(2, 0x81); // trigger at 8
    p.out(1, 0x01);
    p.line.input(1, 2, 3);
    expect([p.inb(2), p.irq()]).toEqual([0xc1, 0]);
    p.board.advance(4.2e6); // four characters at 9600 8N1 take 4.17 ms
    expect([p.inb(2), p.irq()]).toEqual([0xcc, 1]);
    expect([p.inb(0), p.irq()]).toEqual([1, 0]);
    p.line.input(...Array.from({ length: 20 }, (_, i) => i + 4));
    expect(p.inb(2)).toBe(0xc4);
    const got: number[] = [];
    while (p.inb(5) & 1) got.push(p.inb(0));
    expect(got).toEqual(Array.from({ length: 22 }, (_, i) => i + 2));
    p.line.input(9);
    p.out(2, 0x83);
    expect(p.inb(5)).toBe(0x60);
  });
  it('takes breaks with the line status first, and sends one', () => {
    const p = port();
    p.out(1, 0x07);
    p.line.event('break');
    expect(p.inb(2)).toBe(0x06);
    expect(p.inb(5)).toBe(0x71);
    expect(p.inb(2)).toBe(0x04);
    expect(p.inb(0)).toBe(0);
    p.out(3, 0x43);
    p.out(3, 0x43);
    expect(p.line.breaks).toBe(1);
  });
  it('loops back data and modem lines, cut off from the outside', () => {
    const p = port();
    p.out(1, 0x08);
    p.out(4, 0x1a);
    expect(p.inb(2)).toBe(0x00);
    expect(p.inb(6)).toBe(0x92); // DCD and CTS; DSR has changed
    expect(p.inb(6)).toBe(0x90);
    p.out(0, 0x55, 0x66);
    expect(p.inb(5) & 0x03).toBe(0x03); // the first byte was not fetched in time
    expect(p.inb(0)).toBe(0x66);
    expect(p.line.sent).toEqual([]);
    p.line.input(7);
    expect(p.inb(5) & 1).toBe(0);
    p.out(4, 0x0b);
    expect(p.inb(0)).toBe(7);
  });
  it('keeps scratch and divisor, and forgets them at reset', () => {
    const p = port();
    p.out(7, 0xa5);
    p.out(3, 0x80);
    p.out(0, 0x34);
    p.out(1, 0x12);
    expect([p.inb(7), p.inb(0), p.inb(1)]).toEqual([0xa5, 0x34, 0x12]);
    resetTree(p.device);
    expect([p.inb(7), p.inb(3)]).toEqual([0, 0]);
  });
  it('takes what waits in its FIFO along when it is saved', () => {
    const [from, to] = [port(), port()];
    from.out(2, 1);
    from.line.input(0x41, 0x42, 0x43);
    from.out(7, 0x77);
    const writer = new StateWriter();
    saveState(writer, from.device.deviceClass.vmstate!, from.device.state, from.device);
    to.line.input(0x99); // not there any more afterwards
    const reader = new StateReader(writer.finish());
    loadState(reader, to.device.deviceClass.vmstate!, to.device.state, 3, to.device);
    expect(reader.remaining).toBe(0);
    to.device.postLoad();
    expect([to.inb(7), ...[0, 0, 0].map((r) => to.inb(r)), to.inb(5) & 1]).toEqual([0x77, 0x41, 0x42, 0x43, 0]);
  });
  it('numbers ports, and refuses the fifth, an unknown and a busy line in QEMU’s words', () => {
    const p = port();
    for (const irq of [3, 4, 3]) {
      const next = deviceNew(SerialIsa, 'isa-serial');
      deviceRealize(next, p.bus);
      expect(next.props.irq).toBe(irq);
    }
    expect(p.board.io.read(0x2e8 + 5, 1)).toBe(0x60);
    p.board.io.write(0x2e8, 1, 1); // nobody there
    const fifth = deviceNew(SerialIsa, 'isa-serial');
    expect(() => deviceRealize(fifth, p.bus)).toThrow('Max. supported number of ISA serial ports is 4.');
    expect(() => objectSet(fifth, 'chardev', 'nosuch')).toThrow("Property 'serial.chardev' can't find value 'nosuch'");
    expect(() => objectSet(fifth, 'chardev', 'com')).toThrow(
      "Property 'serial.chardev' can't take value 'com': Device 'com' is in use",
    );
  });
});
