import { beforeEach, describe, expect, it } from 'vitest';
import { Bus, busNew, Device, deviceType, forgetAutomaticIds } from '../hw/core/device.ts';
import { bareBoard, environment, setEnvironment } from '../hw/core/environment.ts';
import { backend, bool, i32, properties, str, u32 } from '../hw/core/properties.ts';
import {
  containerGet,
  objectAddChild,
  objectCanonicalPath,
  objectNew,
  objectRoot,
  objectUnref,
  resetObjectRoot,
} from '../qom/object.ts';
import { objectClassGetList, typeRegister } from '../qom/type.ts';
import { UserError } from '../util/errors.ts';
import { type DeviceRequest, deviceAdd, deviceHelp, devicePropertiesHelp, setFromText } from './device-add.ts';
import { GlobalProperties } from './global-properties.ts';

const taken = new Map<string, Device>();
const PROPS = properties({
  unit: u32(0xffff_ffff, 'Place on the bus'),
  bootindex: i32(-1),
  fast: bool(false),
  serial: str(null),
  drive: backend<{ id: string }>('A drive', {
    find: (id) => (id === 'd0' ? { id } : null),
    attach(found, { device }) {
      if (taken.has(found.id)) throw new UserError(`Drive '${found.id}' is already in use by another device`);
      taken.set(found.id, device);
    },
    detach: (found) => void taken.delete(found.id),
  }),
});
class Disk extends Device<typeof PROPS> {
  override realize() {
    if (this.props.unit === 7) throw new UserError("Can't create IDE unit 7, bus supports only 2 units");
  }
}
class IdeBus extends Bus {
  override get capacity() {
    return 2;
  }
}
typeRegister({ name: 'IDE', parent: 'bus', instance: IdeBus });
typeRegister({ name: 'PCI', parent: 'bus', instance: Bus });
for (const type of [
  deviceType({ name: 'test-disk', abstract: true, class: Disk as never, busType: 'IDE', properties: PROPS }),
  deviceType({ name: 'test-hd', parent: 'test-disk', category: 'storage', description: 'virtual hard disk' }),
  deviceType({ name: 'Test-cd', parent: 'test-disk', category: 'storage' }),
  deviceType({ name: 'test-e1000', busType: 'PCI', category: 'network', userCreatable: true }),
  deviceType({ name: 'test-scsi', busType: 'SCSI' }),
  deviceType({ name: 'test-piix', busType: 'PCI', userCreatable: false }),
  deviceType({ name: 'test-loose', category: 'misc', description: 'on no bus' }),
  deviceType({ name: 'test-bridge', busType: 'PCI' }),
])
  typeRegister(type);

const request = (driver: string, more: Partial<DeviceRequest> = {}): DeviceRequest => ({
  driver,
  id: null,
  bus: null,
  properties: [],
  fromJson: false,
  ...more,
});
const add = (driver: string, more: Partial<DeviceRequest> = {}) => deviceAdd(request(driver, more));

beforeEach(() => {
  resetObjectRoot();
  forgetAutomaticIds();
  taken.clear();
  bareBoard();
  const machine = objectNew('container');
  objectAddChild(objectRoot(), 'machine', machine);
  objectUnref(machine);
  const unattached = containerGet('/machine/unattached');
  const pci = busNew(Bus, 'PCI', null, 'pci.0');
  objectAddChild(unattached, 'pci.0', pci);
  const host = add('test-bridge');
  for (const name of ['ide.0', 'ide.1']) busNew(IdeBus, 'IDE', host, name);
});

describe('-device', () => {
  it('puts a device where its id says, on the first bus with room', () => {
    const disks = [add('test-hd', { id: 'x' }), add('test-hd'), add('test-hd')];
    expect(disks.map((d) => d.parentBus!.name)).toEqual(['ide.0', 'ide.0', 'ide.1']);
    expect(disks.map(objectCanonicalPath)).toEqual([
      '/machine/peripheral/x',
      '/machine/peripheral-anon/device[1]',
      '/machine/peripheral-anon/device[2]',
    ]);
    expect(add('test-hd', { bus: 'ide.1' }).parentBus!.name).toBe('ide.1');
    expect(add('test-loose').parentBus).toBeNull();
  });

  it.each([
    ['nosuchdevice', {}, "'nosuchdevice' is not a valid device model name"],
    ['memory-region', {}, "'memory-region' is not a valid device model name"],
    ['test-disk', {}, "Parameter 'driver' expects a non-abstract device type"],
    ['test-piix', {}, "Parameter 'driver' expects a pluggable device type"],
    ['test-hd', { properties: [['nosuch', '1']] }, "Property 'test-hd.nosuch' not found"],
    ['test-hd', { properties: [['nosuch', 1]], fromJson: true }, "Property 'test-hd.nosuch' not found"],
    ['test-hd', { properties: [['unit', 'junk']] }, "Parameter 'unit' expects integer"],
    ['test-hd', { properties: [['fast', 'maybe']] }, "Parameter 'fast' expects 'on' or 'off'"],
    [
      'test-hd',
      { properties: [['fast', 'on']], fromJson: true },
      "Invalid parameter type for 'fast', expected: boolean",
    ],
    ['test-hd', { properties: [['drive', 'nosuch']] }, "Property 'test-hd.drive' can't find value 'nosuch'"],
    ['test-hd', { properties: [['unit', '7']] }, "Can't create IDE unit 7, bus supports only 2 units"],
    ['test-hd', { bus: 'nosuch' }, "Bus 'nosuch' not found"],
    ['test-e1000', { bus: 'ide.0' }, "Device 'test-e1000' can't go on IDE bus"],
    ['test-loose', { bus: 'ide.0' }, "Device 'test-loose' can't go on IDE bus"],
    ['test-scsi', {}, "No 'SCSI' bus found for device 'test-scsi'"],
  ] as const)('%s %j is refused in QEMU’s words, and nothing stays', (driver, more, message) => {
    expect(() => add(driver, { id: 'same', ...(more as Partial<DeviceRequest>) })).toThrow(message);
    expect(add('test-hd', { id: 'same' }).id).toBe('same');
  });

  it('says that buses are full', () => {
    for (let i = 0; i < 2; i++) add('test-hd', { bus: 'ide.0' });
    expect(() => add('test-hd', { bus: 'ide.0' })).toThrow("Bus 'ide.0' is full");
    for (let i = 0; i < 2; i++) add('test-hd');
    expect(() => add('test-hd')).toThrow("No 'IDE' bus found for device 'test-hd'");
  });

  it('refuses an id twice', () => {
    add('test-hd', { id: 'x' });
    expect(() => add('test-hd', { id: 'x' })).toThrow("Duplicate device ID 'x'");
  });

  it('gives a drive back when the device could not be made, and keeps it from a second one', () => {
    const [drive, unit] = [['drive', 'd0'] as const, ['unit', '7'] as const];
    expect(() => add('test-hd', { properties: [drive, unit] })).toThrow("Can't create");
    expect(taken.size).toBe(0);
    add('test-hd', { properties: [drive] });
    expect(() => add('test-hd', { properties: [drive] })).toThrow("Drive 'd0' is already in use by another device");
    expect(taken.size).toBe(1);
  });

  it('leaves the bus as it was when realize fails', () => {
    const first = add('test-hd');
    expect(() => add('test-hd', { properties: [['unit', '7']] })).toThrow();
    expect(first.parentBus!.children).toEqual([first]);
    expect([...containerGet('/machine/peripheral-anon').ownProperties.keys()]).toEqual(['device[0]', 'device[1]']);
  });
});

describe('-global', () => {
  const apply = (list: readonly [string, string, string][]) => {
    const globals = new GlobalProperties(
      list.map(([driver, property, value]) => ({ driver, property, value })),
      setFromText,
    );
    setEnvironment({ ...environment(), deviceCreated: (made) => globals.apply(made as Device) });
    const device = deviceAdd(request('test-hd')) as Disk;
    return { device, warnings: [...globals.warnings()] };
  };

  it('applies in order, to a type and its children, below what -device says', () => {
    const { device } = apply([
      ['test-disk', 'serial', 'one'],
      ['test-hd', 'serial', 'two'],
      ['Test-cd', 'serial', 'other'],
    ]);
    expect(device.props.serial).toBe('two');
    const globals = new GlobalProperties([{ driver: 'test-hd', property: 'unit', value: '5' }], setFromText);
    setEnvironment({ ...environment(), deviceCreated: (made) => globals.apply(made as Device) });
    const own = deviceAdd(request('test-hd', { properties: [['unit', '1']] })) as Disk;
    expect(own.props.unit).toBe(1);
  });

  it('warns of what meant nothing', () => {
    expect(
      apply([
        ['nosuch', 'prop', '1'],
        ['memory-region', 'prop', '1'],
        ['Test-cd', 'unit', '1'],
        ['test-hd', 'unit', '1'],
      ]).warnings,
    ).toEqual([
      'global nosuch.prop has invalid class name',
      'global memory-region.prop has invalid class name',
      'global Test-cd.unit=1 not used',
    ]);
  });

  it.each([
    ['nosuch', '1', "can't apply global test-hd.nosuch=1: Property 'test-hd.nosuch' not found"],
    ['unit', 'junk', "can't apply global test-hd.unit=junk: Parameter 'unit' expects uint64"],
    ['fast', 'maybe', "can't apply global test-hd.fast=maybe: Parameter 'fast' expects 'on' or 'off'"],
  ])('%s=%s is refused', (property, value, message) => {
    expect(() => apply([['test-hd', property, value]])).toThrow(message);
  });
});

describe('help', () => {
  it('lists devices by category and name, as QEMU lays it out', () => {
    const classes = objectClassGetList('device').filter((c) => /^test-/i.test(c.typeName));
    expect(deviceHelp(classes)).toBe(`Storage devices:
name "Test-cd", bus IDE
name "test-hd", bus IDE, desc "virtual hard disk"

Network devices:
name "test-e1000", bus PCI

Misc devices:
name "test-loose", desc "on no bus"

Uncategorized devices:
name "test-bridge", bus PCI
name "test-scsi", bus SCSI
`);
  });

  it('lists a device’s properties by name', () => {
    expect(devicePropertiesHelp('test-hd')).toBe(`test-hd options:
  bootindex=<int32>      -  (default: -1)
  drive=<str>            - A drive
  fast=<bool>            -  (default: false)
  serial=<str>
  unit=<uint32>          - Place on the bus (default: 4294967295)
`);
    expect(devicePropertiesHelp('test-loose')).toBe('There are no options for test-loose.\n');
  });
});
