/** Devices and buses (QEMU's qdev): properties before realize, realize once, reset many times, a place on a bus. */
import type { AddressSpace } from '../../memory/address-space.ts';
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import {
  objectAddChild,
  objectAddLink,
  objectAddProperty,
  objectCanonicalPath,
  objectClassAddProperty,
  objectDeleteProperty,
  objectNewAs,
  objectUnparent,
  objectUnref,
  QomObject,
} from '../../qom/object.ts';
import { type ObjectClass, type TypeInfo, typeRegister } from '../../qom/type.ts';
import { assert, UserError } from '../../util/errors.ts';
import type { Fields, StateDescription, StateOf } from '../../vmstate/fields.ts';
import { environment, type MachineEnvironment } from './environment.ts';
import { InPin, OutPin } from './pin.ts';
import type { PropertiesOf, PropertyTable } from './properties.ts';

/** Class fields of a device type; inherited unless a child sets its own. */
export interface DeviceClass extends ObjectClass {
  description?: string;
  /** QEMU's `-device help` heading. */
  category?: DeviceCategory;
  /** Type of bus that it plugs into (`PCI`, `ISA`, `IDE` ...); absent: none. */
  busType?: string;
  /** `-device` may make one. */
  userCreatable?: boolean;
  hotpluggable?: boolean;
  /** Property tables of the type and its ancestors, own first. */
  propertyTables?: readonly PropertyTable[];
  vmstate?: StateDescription | null;
}
export type DeviceCategory =
  | 'bridge'
  | 'usb'
  | 'storage'
  | 'network'
  | 'input'
  | 'display'
  | 'sound'
  | 'misc'
  | 'cpu'
  | 'watchdog';

export interface DeviceTypeInfo {
  readonly name: string;
  readonly parent?: string;
  readonly abstract?: boolean;
  readonly description?: string;
  readonly category?: DeviceCategory;
  readonly busType?: string;
  readonly userCreatable?: boolean;
  readonly hotpluggable?: boolean;
  readonly class?: new () => Device;
  readonly properties?: PropertyTable;
  // biome-ignore lint/suspicious/noExplicitAny: a description of whatever fields
  readonly vmstate?: StateDescription<any>;
  readonly interfaces?: readonly string[];
  readonly classInit?: (klass: ObjectClass) => void;
}

/** A device type as data; `catalog.ts` registers it. */
export function deviceType(info: DeviceTypeInfo): TypeInfo {
  return {
    name: info.name,
    parent: info.parent ?? 'device',
    ...(info.abstract === undefined ? {} : { abstract: info.abstract }),
    ...(info.class ? { instance: info.class } : {}),
    ...(info.interfaces ? { interfaces: info.interfaces } : {}),
    classInit(klass) {
      const device = klass as DeviceClass;
      if (info.description !== undefined) device.description = info.description;
      if (info.category !== undefined) device.category = info.category;
      if (info.busType !== undefined) device.busType = info.busType;
      if (info.userCreatable !== undefined) device.userCreatable = info.userCreatable;
      if (info.hotpluggable !== undefined) device.hotpluggable = info.hotpluggable;
      if (info.vmstate !== undefined) device.vmstate = info.vmstate;
      if (info.properties) {
        device.propertyTables = [info.properties, ...(device.propertyTables ?? [])];
        for (const [name, kind] of Object.entries(info.properties)) {
          assert(!klass.ownProperties.has(name), `property '${info.name}.${name}' declared twice`);
          objectClassAddProperty(klass, {
            name,
            type: kind.typeName,
            description: kind.description,
            ...(kind.helpDefault === undefined || kind.isHidden ? {} : { defaultValue: kind.defaultValue }),
            get: (object) => kind.toJson((object as Device).propertyValue(name)),
            set: (object, value) => (object as Device).setProperty(name, (context) => kind.accept(value, context)),
          });
        }
      }
      info.classInit?.(klass);
    },
  };
}

/** Registers several device types; what a chip's file exports. */
export function registerDeviceTypes(types: readonly TypeInfo[]): void {
  for (const type of types) typeRegister(type);
}

// biome-ignore lint/suspicious/noExplicitAny: the plain `Device` stands for devices of any fields
export class Device<P extends PropertyTable = any, F extends Fields = any> extends QomObject {
  readonly env: MachineEnvironment = environment();
  /** Property values by name, typed by the table. Ancestors' properties are in here too: `this.props` of a subclass sees its own table's type. */
  readonly props: PropertiesOf<P>;
  /** The saved state, at its defaults until the first reset. */
  readonly state: StateOf<F>;
  id: string | null = null;
  parentBus: Bus | null = null;
  /** In the order they were made. */
  readonly childBuses: Bus[] = [];
  isRealized = false;
  /** Numbers of pins by name, for `info qtree`: inputs, then outputs. */
  readonly inPins = new Map<string, InPin[]>();
  readonly outPins = new Map<string, OutPin[]>();
  private readonly explicit = new Set<string>();

  constructor() {
    super();
    const values: Record<string, unknown> = {};
    for (const table of [...(this.deviceClass.propertyTables ?? [])].reverse())
      for (const [name, kind] of Object.entries(table)) values[name] = kind.defaultValue;
    this.props = values as PropertiesOf<P>;
    this.state = (this.deviceClass.vmstate?.create() ?? {}) as StateOf<F>;
  }

  get deviceClass(): DeviceClass {
    return this.klass as DeviceClass;
  }

  propertyValue(name: string): unknown {
    return (this.props as Record<string, unknown>)[name];
  }
  /** Whether someone set the property, rather than the default holding. */
  isPropertySet(name: string): boolean {
    return this.explicit.has(name);
  }
  setProperty(name: string, value: (context: { device: Device; name: string }) => unknown): void {
    if (this.isRealized)
      throw new UserError(
        `Attempt to set property '${name}' on ${this.id ? `device '${this.id}'` : 'anonymous device'} (type '${this.typeName}') after it was realized`,
      );
    const next = value({ device: this, name });
    const values = this.props as Record<string, unknown>;
    if (values[name] !== next) this.kindOf(name)?.release?.(values[name], { device: this, name });
    values[name] = next;
    this.explicit.add(name);
  }
  /** How a property was declared, by the nearest type that did. */
  kindOf(name: string): PropertyTable[string] | undefined {
    return this.deviceClass.propertyTables?.find((table) => table[name])?.[name];
  }
  override finalize(): void {
    for (const name of this.explicit) this.kindOf(name)?.release?.(this.propertyValue(name), { device: this, name });
  }

  /** Joins the machine: map regions, connect to the bus, arm nothing that reset arms. @throws UserError: the device is then as if never made */
  realize(): void {}
  /** Undoes realize. */
  unrealize(): void {}
  /** Power-on state. The default puts every saved field back to its default; subclasses go on from there. */
  reset(): void {
    this.deviceClass.vmstate?.reset(this.state);
  }

  /** One named output, or the next of several of the same name. */
  outPin(name = ''): OutPin {
    const pins = this.outPins.get(name) ?? [];
    this.outPins.set(name, pins);
    const pin = new OutPin();
    const index = pins.push(pin) - 1;
    objectAddLink(this, `${name === '' ? 'unnamed-gpio-out' : name}[${index}]`, 'irq', {
      get: () => (pin.connected instanceof QomObject ? pin.connected : null),
    });
    return pin;
  }
  /** `count` inputs of one name; the handler hears which. */
  inPin(name: string, count: number, handler: (level: number, index: number) => void): InPin[] {
    const pins = this.inPins.get(name) ?? [];
    this.inPins.set(name, pins);
    for (let i = 0; i < count; i++) {
      const pin = objectNewAs(InPin, 'irq');
      pin.index = pins.length;
      pin.handler = handler;
      objectAddChild(this, `${name === '' ? 'unnamed-gpio-in' : name}[${pins.length}]`, pin);
      objectUnref(pin);
      pins.push(pin);
    }
    return pins;
  }

  /** An I/O region of this device, not mapped yet. */
  ioRegion<T extends Device>(this: T, ops: MemoryRegionOps<T>, name: string, size: number): MemoryRegion {
    return objectNewAs(MemoryRegion, 'memory-region').initIo(this, ops, this, name, size);
  }
  /** An I/O region of this device in the machine's port space. */
  mapPorts<T extends Device>(
    this: T,
    base: number,
    count: number,
    ops: MemoryRegionOps<T>,
    name: string,
    priority = 0,
  ): MemoryRegion {
    const region = this.ioRegion(ops, name, count);
    this.env.systemIo.addSubregion(base, region, priority);
    return region;
  }
  /** The machine's memory as a bus master sees it. */
  get dma(): AddressSpace {
    return this.env.memory;
  }

  /** Further lines of `info qtree`, without indentation. */
  treeDetails(): string[] {
    return [];
  }
}

/** What devices plug into. */
export class Bus extends QomObject {
  name = '';
  owner: Device | null = null;
  readonly children: Device[] = [];

  /** `PCI`, `ISA`, `IDE`, `System` ...: the bus's own type name. */
  get busType(): string {
    return this.typeName;
  }
  /** How many devices fit; a bus of addressed slots checks in its devices' realize instead. */
  get capacity(): number {
    return Number.POSITIVE_INFINITY;
  }
  attach(device: Device): void {
    if (this.children.length >= this.capacity) throw new UserError(`Bus '${this.name}' is full`);
    this.children.push(device);
  }
  detach(device: Device): void {
    const index = this.children.indexOf(device);
    if (index >= 0) this.children.splice(index, 1);
  }
  /** After the children's reset. */
  reset(): void {}
}

/** Numbers for buses that have no name of their own: `ide.0`, `ide.1` ... per bus type. */
const automaticIds = new Map<string, number>();
export function forgetAutomaticIds(): void {
  automaticIds.clear();
}

/** Makes a bus of a device (or a root bus, for null). A null name is derived as QEMU does: `<device id>.<n>`, else `<type in lower case>.<n>`. */
export function busNew<T extends Bus>(
  instance: abstract new () => T,
  typeName: string,
  owner: Device | null,
  name: string | null = null,
): T {
  const bus = objectNewAs(instance, typeName);
  if (name !== null) bus.name = name;
  else if (owner?.id) bus.name = `${owner.id}.${owner.childBuses.length}`;
  else {
    const next = automaticIds.get(typeName) ?? 0;
    automaticIds.set(typeName, next + 1);
    bus.name = `${typeName.toLowerCase()}.${next}`;
  }
  bus.owner = owner;
  if (owner) {
    owner.childBuses.push(bus);
    objectAddChild(owner, bus.name, bus);
    objectUnref(bus);
  }
  return bus;
}

/** Makes a device that is not realized yet; properties may be set. */
export function deviceNew<T extends Device>(instance: abstract new () => T, typeName: string): T {
  const device = objectNewAs(instance, typeName);
  try {
    device.env.deviceCreated?.(device);
  } catch (error) {
    objectUnref(device);
    throw error;
  }
  return device;
}

/** Plugs a device into its bus and realizes it. On an error it has left the bus and the tree again. */
export function deviceRealize(device: Device, bus: Bus | null = null): void {
  assert(!device.isRealized, `${device.typeName} realized twice`);
  const hadParent = device.parent !== null;
  let link: string | null = null;
  if (!device.parent) {
    objectAddChild(device.env.unattached, 'device[*]', device);
    objectUnref(device);
  }
  try {
    if (bus) {
      bus.attach(device);
      device.parentBus = bus;
      link = objectAddProperty(bus, {
        name: 'child[*]',
        type: `link<${device.typeName}>`,
        get: () => objectCanonicalPath(device),
        resolve: () => device,
      });
    }
    device.realize();
  } catch (error) {
    bus?.detach(device);
    if (bus && link) objectDeleteProperty(bus, link);
    device.parentBus = null;
    if (!hadParent) objectUnparent(device);
    throw error;
  }
  device.isRealized = true;
}

/** Resets a device and everything below it: children first, the newest of a bus before the others, as QEMU’s cold reset walks. */
export function resetTree(device: Device): void {
  for (const bus of device.childBuses) resetBus(bus);
  device.reset();
}
export function resetBus(bus: Bus): void {
  for (const child of bus.children.toReversed()) resetTree(child);
  bus.reset();
}

typeRegister({ name: 'device', parent: 'object', abstract: true, instance: Device as new () => Device });
typeRegister({ name: 'bus', parent: 'object', abstract: true, instance: Bus });
// What stands on the main bus is part of a board: `-device` cannot make it.
typeRegister(deviceType({ name: 'sys-bus-device', abstract: true, busType: 'System', userCreatable: false }));
