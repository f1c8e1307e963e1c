import { describe, expect, it } from 'vitest';
import { objectCanonicalPath, objectGet, objectSet } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';
import { timer, u8 as u8Field, vmstate } from '../../vmstate/fields.ts';
import { Bus, busNew, Device, deviceNew, deviceRealize, deviceType, resetTree } from './device.ts';
import { bareBoard } from './environment.ts';
import { properties, u32 } from './properties.ts';

const PROPS = properties({ iobase: u32(0x40, 'First port') });
const STATE = vmstate('echo', 1, { last: u8Field(7), deadline: timer() });
class Echo extends Device<typeof PROPS, typeof STATE.fields> {
  readonly out = this.outPin('');
  override realize() {
    this.mapPorts(this.props.iobase, 1, PORTS, 'echo');
  }
}
const PORTS = {
  read: (d: Echo) => d.state.last,
  write: (d: Echo, _: number, value: number) => {
    d.state.last = value;
    d.out.set(value & 1);
  },
};
class OneSeat extends Bus {
  override get capacity() {
    return 1;
  }
}
typeRegister(deviceType({ name: 'echo', class: Echo, properties: PROPS, vmstate: STATE, busType: 'one-seat' }));
typeRegister({ name: 'one-seat', parent: 'bus', instance: OneSeat });

describe('Device', () => {
  it('is driven by its ports, reset to its declared defaults, and found in the tree', () => {
    const board = bareBoard();
    const echo = deviceNew(Echo, 'echo');
    objectSet(echo, 'iobase', 0x80);
    const levels: number[] = [];
    echo.out.connect({ set: (level) => void levels.push(level) });
    deviceRealize(echo);
    board.io.write(0x80, 1, 5);
    expect(board.io.read(0x80, 1)).toBe(5);
    expect(levels).toEqual([1]);
    resetTree(echo);
    expect(board.io.read(0x80, 1)).toBe(7);
    expect(objectGet(echo, 'type')).toBe('echo');
    expect(objectCanonicalPath(echo)).toMatch(/device\[0\]$|^$/);
    expect(() => objectSet(echo, 'iobase', 1)).toThrow(/on anonymous device .* after it was realized/);
  });

  it('refuses a value of the wrong kind in QEMU’s words', () => {
    bareBoard();
    const echo = deviceNew(Echo, 'echo');
    expect(() => echo.setProperty('iobase', (c) => PROPS.iobase.parse('junk', c))).toThrow(
      "Parameter 'iobase' expects integer",
    );
    expect(() => echo.setProperty('iobase', (c) => PROPS.iobase.parse('0x100000000', c))).toThrow(
      "Parameter 'iobase' expects uint32_t",
    );
    expect(() => objectSet(echo, 'iobase', 'text')).toThrow("Invalid parameter type for 'iobase', expected: integer");
    expect(echo.props.iobase).toBe(0x40);
  });

  it('leaves nothing behind when the bus has no room', () => {
    const board = bareBoard();
    const bus = busNew(OneSeat, 'one-seat', null);
    const first = deviceNew(Echo, 'echo');
    deviceRealize(first, bus);
    const second = deviceNew(Echo, 'echo');
    objectSet(second, 'iobase', 0x90);
    expect(() => deviceRealize(second, bus)).toThrow("Bus 'one-seat.0' is full");
    expect(bus.children).toEqual([first]);
    expect(second.parent).toBeNull();
    expect(board.io.find(0x90)).toBeNull();
  });
});
