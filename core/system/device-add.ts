/** `-device`: from option words to a realized device on the right bus, with QEMU's messages. */
import {
  Bus,
  type Device,
  Device as DeviceBase,
  type DeviceClass,
  deviceNew,
  deviceRealize,
} from '../hw/core/device.ts';
import type { PropertyKind, PropertyTable } from '../hw/core/properties.ts';
import {
  containerGet,
  objectAddChild,
  objectChildren,
  objectFindProperty,
  objectRoot,
  objectSet,
  objectUnparent,
  objectUnref,
  type QomObject,
} from '../qom/object.ts';
import { classIsA, type ObjectClass, objectClassByName, typeIsRegistered } from '../qom/type.ts';
import { UserError } from '../util/errors.ts';

/** One `-device`, with its settings in order. `fromJson` values keep their JSON types. */
export interface DeviceRequest {
  readonly driver: string;
  readonly id: string | null;
  readonly bus: string | null;
  readonly properties: readonly (readonly [name: string, value: unknown])[];
  readonly fromJson: boolean;
}

function deviceClassByName(driver: string): DeviceClass {
  const klass = objectClassByName(driver);
  if (!klass || !classIsA(klass, 'device')) throw new UserError(`'${driver}' is not a valid device model name`);
  if (klass.isAbstract) throw new UserError("Parameter 'driver' expects a non-abstract device type");
  return klass as DeviceClass;
}
/** The class of a device that a user may make. @throws UserError */
export function userDeviceClass(driver: string): DeviceClass {
  const device = deviceClassByName(driver);
  if (device.userCreatable === false) throw new UserError("Parameter 'driver' expects a pluggable device type");
  return device;
}

/** Every bus of the machine, roots first, children in order. */
export function* allBuses(root: QomObject = objectRoot()): Generator<Bus> {
  for (const child of objectChildren(root)) {
    if (child instanceof Bus) yield child;
    yield* allBuses(child);
  }
}

function findBus(request: DeviceRequest, klass: DeviceClass): Bus | null {
  const wanted = klass.busType;
  if (request.bus !== null) {
    const name = request.bus.split('/').at(-1)!;
    const bus = [...allBuses()].find((b) => b.name === name);
    if (!bus) throw new UserError(`Bus '${request.bus}' not found`);
    if (wanted === undefined || !bus.isA(wanted))
      throw new UserError(`Device '${request.driver}' can't go on ${bus.busType} bus`);
    if (bus.children.length >= bus.capacity) throw new UserError(`Bus '${request.bus}' is full`);
    return bus;
  }
  if (wanted === undefined) return null;
  const candidates = [...allBuses()].filter((b) => b.isA(wanted));
  const free = candidates.find((b) => b.children.length < b.capacity);
  if (free) return free;
  throw new UserError(`No '${wanted}' bus found for device '${request.driver}'`);
}

/** The declared kind of a property, nearest class first. */
function kindOf(klass: DeviceClass, name: string): PropertyKind<unknown> | undefined {
  for (const table of (klass.propertyTables ?? []) as readonly PropertyTable[]) if (table[name]) return table[name];
  return undefined;
}

/** Sets a property from `-device` or `-global` text. */
export function setFromText(device: Device, name: string, text: string): void {
  const kind = kindOf(device.deviceClass, name);
  if (kind) {
    device.setProperty(name, (context) => kind.parse(text, context));
    return;
  }
  if (!objectFindProperty(device, name)) throw new UserError(`Property '${device.typeName}.${name}' not found`);
  objectSet(device, name, text);
}

/** Makes one device. On an error nothing of it stays. */
export function deviceAdd(request: DeviceRequest): Device {
  const klass = userDeviceClass(request.driver);
  const bus = findBus(request, klass);
  const peripheral = containerGet('/machine/peripheral');
  if (request.id !== null && objectFindProperty(peripheral, request.id))
    throw new UserError(`Duplicate device ID '${request.id}'`);
  const device = deviceNew(DeviceBase as new () => Device, request.driver);
  device.id = request.id;
  if (request.id !== null) objectAddChild(peripheral, request.id, device);
  else objectAddChild(containerGet('/machine/peripheral-anon'), 'device[*]', device);
  objectUnref(device);
  try {
    for (const [name, value] of request.properties)
      if (request.fromJson) objectSet(device, name, value);
      else setFromText(device, name, String(value));
    deviceRealize(device, bus);
  } catch (error) {
    if (device.parent) objectUnparent(device);
    throw error;
  }
  return device;
}

/** `-device help`: types by category, in QEMU's form. */
export function deviceHelp(classes: readonly ObjectClass[]): string {
  const headings: readonly (readonly [string, string])[] = [
    ['bridge', 'Controller/Bridge/Hub'],
    ['usb', 'USB'],
    ['storage', 'Storage'],
    ['network', 'Network'],
    ['input', 'Input'],
    ['display', 'Display'],
    ['sound', 'Sound'],
    ['misc', 'Misc'],
    ['cpu', 'CPU'],
    ['watchdog', 'Watchdog'],
  ];
  const creatable = (classes as DeviceClass[])
    .filter((c) => c.userCreatable !== false)
    .sort((a, b) => (a.typeName.toLowerCase() < b.typeName.toLowerCase() ? -1 : 1));
  let text = '';
  for (const [category, heading] of headings) {
    const group = creatable.filter((c) => c.category === category);
    if (group.length === 0) continue;
    text += `${text === '' ? '' : '\n'}${heading} devices:\n`;
    for (const c of group) text += `${deviceLine(c)}\n`;
  }
  const rest = creatable.filter((c) => !c.category);
  if (rest.length > 0) text += `\nUncategorized devices:\n${rest.map((c) => `${deviceLine(c)}\n`).join('')}`;
  return text;
}

function deviceLine(c: DeviceClass): string {
  const bus = c.busType === undefined ? '' : `, bus ${c.busType}`;
  const description = c.description === undefined ? '' : `, desc "${c.description}"`;
  return `name "${c.typeName}"${bus}${description}`;
}

/** `-device X,help`. */
export function devicePropertiesHelp(driver: string): string {
  if (!typeIsRegistered(driver)) throw new UserError(`Device '${driver}' not found`);
  const klass = deviceClassByName(driver);
  const lines = new Map<string, string>();
  for (const table of klass.propertyTables ?? [])
    for (const [name, kind] of Object.entries(table)) {
      if (lines.has(name)) continue;
      const left = `  ${name}=<${kind.typeName}>`;
      // QEMU adds QOM-only properties by hand and tells neither default nor description of them.
      const helpDefault = kind.isHidden ? undefined : kind.helpDefault;
      const isPlain = helpDefault === undefined && kind.description === '';
      const suffix = helpDefault === undefined ? '' : ` (default: ${helpDefault})`;
      lines.set(name, isPlain ? left : `${left.padEnd(24)} - ${kind.description}${suffix}`);
    }
  if (lines.size === 0) return `There are no options for ${driver}.\n`;
  const sorted = [...lines.keys()].sort().map((name) => lines.get(name)!);
  return `${driver} options:\n${sorted.join('\n')}\n`;
}
