/** What boards do all the time: make a part, set its properties, connect pins by name. */
import { type Bus, Device, deviceNew, deviceRealize } from '../hw/core/device.ts';
import type { OutPin, Pin } from '../hw/core/pin.ts';
import { objectSet } from '../qom/object.ts';
import { assert } from '../util/errors.ts';

/** Makes a part with properties, plugs it in and realizes it. `before` runs between the properties and realize. */
export function part<T extends Device = Device>(
  typeName: string,
  bus: Bus | null,
  properties: Readonly<Record<string, unknown>> = {},
  before: (device: T) => void = () => {},
): T {
  const device = deviceNew(Device as unknown as abstract new () => T, typeName);
  for (const [name, value] of Object.entries(properties)) objectSet(device, name, value);
  before(device);
  deviceRealize(device, bus);
  return device;
}

export function outputOf(device: Device, name = '', index = 0): OutPin {
  const pin = device.outPins.get(name)?.[index];
  assert(pin, `${device.typeName} has no output '${name}'[${index}]`);
  return pin;
}

export function inputOf(device: Device, name = '', index = 0): Pin {
  const pin = device.inPins.get(name)?.[index];
  assert(pin, `${device.typeName} has no input '${name}'[${index}]`);
  return pin;
}

export function connect(from: Device, name: string, index: number, to: Pin): void {
  outputOf(from, name, index).connect(to);
}
