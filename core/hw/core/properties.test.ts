import { describe, expect, it } from 'vitest';
import { objectGet, objectSet, objectUnref } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';
import { Device, deviceNew, deviceType } from './device.ts';
import { bareBoard } from './environment.ts';
import {
  backend,
  bool,
  choice,
  hidden,
  i32,
  i64,
  onOffAuto,
  type PropertyKind,
  parseInteger,
  properties,
  size,
  str,
  u8,
  u16,
  u32,
  u64,
} from './properties.ts';

const owners: string[] = [];
const PROPS = properties({
  byte: u8(1),
  word: u16(2),
  unit: u32(0xffff_ffff),
  large: u64(0),
  number: i32(-1),
  offset: i64(0),
  flag: bool(true),
  text: str(),
  named: str('default'),
  speed: choice('Speed', ['slow', 'fast'], 'slow'),
  cache: onOffAuto(),
  bytes: size(512),
  bootindex: hidden(i32(-1)),
  drive: backend<{ id: string }>('A drive', {
    find: (id) => (id === 'd0' || id === 'd1' ? { id } : null),
    attach: (found) => void owners.push(`attach ${found.id}`),
    detach: (found) => void owners.push(`detach ${found.id}`),
  }),
});
class Gadget extends Device<typeof PROPS> {}
typeRegister(deviceType({ name: 'gadget', class: Gadget as never, properties: PROPS }));
class Child extends Gadget {}
const CHILD_PROPS = properties({ extra: u8(9), byte: u8(42) });
typeRegister({
  ...deviceType({ name: 'child-gadget', parent: 'gadget', class: Child as never, properties: CHILD_PROPS }),
});

function gadget(): Gadget {
  bareBoard();
  return deviceNew(Gadget, 'gadget');
}
const kinds = PROPS as Record<string, PropertyKind<unknown>>;
/** As `-device gadget,name=text` sets it: the value, or the message. */
function fromText(name: string, text: string): unknown {
  const device = gadget();
  try {
    device.setProperty(name, (context) => kinds[name]!.parse(text, context));
  } catch (error) {
    return (error as Error).message;
  }
  return objectGet(device, name);
}
/** As `-device {"driver": "gadget", name: value}` sets it. */
function fromJson(name: string, value: unknown): unknown {
  const device = gadget();
  try {
    objectSet(device, name, value);
  } catch (error) {
    return (error as Error).message;
  }
  return objectGet(device, name);
}

describe('properties from text', () => {
  it.each([
    ['byte', '255', 255],
    ['byte', '0x10', 16],
    ['byte', '010', 8],
    ['byte', '256', "Parameter 'byte' expects uint8_t"],
    ['byte', '-1', "Parameter 'byte' expects uint8_t"],
    ['word', '65536', "Parameter 'word' expects uint16_t"],
    ['unit', 'junk', "Parameter 'unit' expects integer"],
    ['unit', '', "Parameter 'unit' expects integer"],
    ['unit', '1k', "Parameter 'unit' expects integer"],
    ['unit', '08', "Parameter 'unit' expects integer"],
    ['unit', '0x100000000', "Parameter 'unit' expects uint32_t"],
    ['large', '0x10000000000', 2 ** 40],
    ['number', '-5', -5],
    ['number', '2147483648', "Parameter 'number' expects int32_t"],
    ['offset', '-9007199254740991', -(2 ** 53 - 1)],
    ['bootindex', 'junk', "Parameter 'bootindex' expects integer"],
    ['flag', 'on', true],
    ['flag', 'no', false],
    ['flag', 'maybe', "Parameter 'flag' expects 'on' or 'off'"],
    ['text', '', ''],
    ['speed', 'fast', 'fast'],
    ['speed', 'Fast', "Parameter 'speed' does not accept value 'Fast'"],
    ['cache', 'maybe', "Parameter 'cache' does not accept value 'maybe'"],
    ['bytes', '1.5k', 1536],
    ['bytes', '2M', 2 * 1024 ** 2],
    ['bytes', '0x200', 512],
    ['bytes', 'junk', "Parameter 'bytes' expects a non-negative number below 2^64"],
    ['bytes', '-1', "Parameter 'bytes' expects a non-negative number below 2^64"],
    ['bytes', '16E', "Parameter 'bytes' expects a non-negative number below 2^64"],
    ['drive', 'd1', 'd1'],
    ['drive', 'nosuch', "Property 'gadget.drive' can't find value 'nosuch'"],
  ])('%s=%s gives %j', (name, text, expected) => {
    expect(fromText(name, text)).toBe(expected);
  });

  it('reads integers as C does', () => {
    expect(['0', '0x1F', '-0x10', '+7', ' 5', '017', '5 ', '0x', '1.0', '९'].map(parseInteger)).toEqual([
      0,
      31,
      -16,
      7,
      5,
      15,
      Number.NaN,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
  });
});

describe('properties from JSON', () => {
  it.each([
    ['byte', 255, 255],
    ['byte', '255', "Invalid parameter type for 'byte', expected: integer"],
    ['byte', 1.5, "Invalid parameter type for 'byte', expected: integer"],
    ['byte', 256, "Parameter 'byte' expects uint8_t"],
    ['number', -(2 ** 31) - 1, "Parameter 'number' expects int32_t"],
    ['flag', 'on', "Invalid parameter type for 'flag', expected: boolean"],
    ['flag', false, false],
    ['text', 5, "Invalid parameter type for 'text', expected: string"],
    ['speed', true, "Invalid parameter type for 'speed', expected: string"],
    ['speed', 'warp', "Parameter 'speed' does not accept value 'warp'"],
    ['bytes', 4096, 4096],
    ['bytes', -1, "Invalid parameter type for 'bytes', expected: integer"],
    ['bytes', 1e300, "Invalid parameter type for 'bytes', expected: integer"],
    ['drive', null, "Invalid parameter type for 'drive', expected: string"],
  ])('%s: %j gives %j', (name, value, expected) => {
    expect(fromJson(name, value)).toBe(expected);
  });
});

describe('property tables', () => {
  it('print as `info qtree` does', () => {
    const device = gadget();
    const printed = Object.entries(kinds).map(([name, kind]) => `${name} = ${kind.print(device.propertyValue(name))}`);
    expect(printed).toEqual([
      'byte = 1 (0x1)',
      'word = 2 (0x2)',
      'unit = 4294967295 (0xffffffff)',
      'large = 0 (0x0)',
      'number = -1 (0xffffffffffffffff)',
      'offset = 0 (0x0)',
      'flag = true',
      'text = ""',
      'named = "default"',
      'speed = "slow"',
      'cache = "auto"',
      'bytes = 512 (512 B)',
      'bootindex = -1 (0xffffffffffffffff)',
      'drive = ""',
    ]);
  });

  it('tell what was set from what is a default', () => {
    const device = gadget();
    expect(device.isPropertySet('byte')).toBe(false);
    objectSet(device, 'byte', 1);
    expect(device.isPropertySet('byte')).toBe(true);
    expect(() => objectSet(device, 'word', 'x')).toThrow();
    expect([device.isPropertySet('word'), device.props.word]).toEqual([false, 2]);
  });

  it('are inherited; a child may declare another default of the same name', () => {
    bareBoard();
    const child = deviceNew(Child, 'child-gadget');
    expect([child.props.byte, child.props.word, child.propertyValue('extra')]).toEqual([42, 2, 9]);
    expect(child.kindOf('byte')).toBe(CHILD_PROPS.byte);
    expect(child.kindOf('nosuch')).toBeUndefined();
  });

  it('let a backend go when another takes its place, and when the device is no more', () => {
    owners.length = 0;
    const device = gadget();
    objectSet(device, 'drive', 'd0');
    objectSet(device, 'drive', 'd1');
    expect(() => objectSet(device, 'drive', 'nosuch')).toThrow();
    objectUnref(device);
    expect(owners).toEqual(['attach d0', 'attach d1', 'detach d0', 'detach d1']);
  });
});
