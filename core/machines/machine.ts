/** Machine types (boards) as QOM types: what every board says of itself, and the settings it is started with. */

import { bool, type PropertyKind, type PropertyTable, parseInteger, properties, str } from '../hw/core/properties.ts';
import { objectClassAddProperty, objectNewAs, QomObject } from '../qom/object.ts';
import { type ObjectClass, objectClassGetList, type TypeInfo, typeRegister } from '../qom/type.ts';
import { UserError } from '../util/errors.ts';

export interface MachineClass extends ObjectClass {
  /** `pc-i440fx-7.2`: the type's name without `-machine`. */
  machineName?: string;
  alias?: string;
  description?: string;
  isDefault?: boolean;
  maxCpus?: number;
  defaultRamBytes?: number;
  defaultCpuType?: string;
  /** Displays that it makes when none is asked for. */
  defaultDisplay?: string;
}

/** What a board is made from, besides its properties. */
export interface MachineSettings {
  readonly ramBytes: number;
  readonly cpus: number;
  readonly maxCpus: number;
}

/** The machine object, `/machine`. Boards extend it and create their parts in `init`. */
export abstract class Machine extends QomObject {
  readonly values: Record<string, unknown> = {};

  get machineClass(): MachineClass {
    return this.klass as MachineClass;
  }
  /** Creates, wires and maps the board's parts. @throws UserError */
  abstract init(settings: MachineSettings): void;
}

export interface MachineTypeInfo {
  readonly name: string;
  readonly parent?: string;
  readonly alias?: string;
  readonly description: string;
  readonly isDefault?: boolean;
  readonly maxCpus: number;
  readonly defaultRamBytes: number;
  readonly defaultCpuType?: string;
  readonly defaultDisplay?: string;
  readonly properties?: PropertyTable;
  readonly class: new () => Machine;
}

/** A board type as data. Its properties are those of `-machine NAME,key=value`. */
export function machineType(info: MachineTypeInfo): TypeInfo {
  return {
    name: `${info.name}-machine`,
    parent: info.parent ?? 'machine',
    instance: info.class,
    classInit(klass) {
      const { name, class: _, properties, parent: __, ...fields } = info;
      Object.assign(klass as MachineClass, fields, { machineName: name });
      addProperties(klass, properties ?? {});
    },
    instanceInit(object) {
      setDefaults(object as Machine, info.properties ?? {});
    },
  };
}

function setDefaults(machine: Machine, table: PropertyTable): void {
  for (const [name, kind] of Object.entries(table)) machine.values[name] = kind.defaultValue;
}

function addProperties(klass: ObjectClass, table: PropertyTable): void {
  for (const [name, kind] of Object.entries(table))
    objectClassAddProperty(klass, {
      name,
      type: kind.typeName,
      description: kind.description,
      defaultValue: kind.defaultValue,
      get: (object) => kind.toJson((object as Machine).values[name]),
      set: (object, value) => {
        // Machine options arrive as text from the command line and as JSON from a monitor.
        const context = { device: object as never, name };
        (object as Machine).values[name] =
          typeof value === 'string' ? kind.parse(value, context) : kind.accept(value, context);
      },
    });
}

/** A byte count of a machine option; QEMU words its complaint differently from a device's. */
export function machineSize(
  defaultValue: number,
  description: string,
  limit: (n: number) => void,
): PropertyKind<number> {
  return {
    typeName: 'size',
    defaultValue,
    description,
    parse(text, { name }) {
      const match = /^(0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?)([bkmgtpe]?)$/i.exec(text);
      if (!match) throw new UserError(`Parameter '${name}' expects size`);
      const value = Math.floor(Number(match[1]) * 1024 ** Math.max(0, 'bkmgtpe'.indexOf(match[2]!.toLowerCase())));
      limit(value);
      return value;
    },
    accept(value, { name }) {
      if (typeof value !== 'number' || parseInteger(String(value)) !== value)
        throw new UserError(`Invalid parameter type for '${name}', expected: integer`);
      if (value < 0) throw new UserError(`Parameter '${name}' expects size`);
      limit(value);
      return value;
    },
    print: String,
    toJson: (value) => value,
  };
}

/** A text, under the name that QOM has for what qdev calls `str`. */
export function machineString(description: string): PropertyKind<string | null> {
  return { ...str(null, description), typeName: 'string' };
}

export function machineClasses(): MachineClass[] {
  return objectClassGetList('machine') as MachineClass[];
}

/** The class for a `-machine` name or alias; the default board for null. @throws UserError in QEMU's words */
export function findMachineClass(name: string | null): MachineClass {
  const classes = machineClasses();
  const found = classes.find((c) => (name === null ? c.isDefault : c.machineName === name || c.alias === name));
  if (found) return found;
  if (name === null)
    throw new UserError(
      'No machine specified, and there is no default',
      'Use -machine help to list supported machines',
    );
  throw new UserError('unsupported machine type', 'Use -machine help to list supported machines');
}

/** What `-machine help` prints. */
export function machineHelp(): string {
  const lines = ['Supported machines are:'];
  const classes = machineClasses().sort((a, b) => ((a.machineName ?? '') < (b.machineName ?? '') ? -1 : 1));
  for (const c of classes) {
    if (c.alias) lines.push(`${c.alias.padEnd(20)} ${c.description} (alias of ${c.machineName})`);
    lines.push(`${(c.machineName ?? '').padEnd(20)} ${c.description}${c.isDefault ? ' (default)' : ''}`);
  }
  return `${lines.join('\n')}\n`;
}

export function machineNew(klass: MachineClass): Machine {
  return objectNewAs(Machine, klass.typeName);
}

/** What every board has; the files are read when the board is made. */
const PROPS = properties({
  append: machineString('Linux kernel command line'),
  'dump-guest-core': bool(true, 'Include guest memory in a core dump'),
  firmware: machineString('Firmware image'),
  graphics: bool(true, 'Set on/off to enable/disable graphics emulation'),
  initrd: machineString('Linux initial ramdisk file'),
  kernel: machineString('Linux kernel image file'),
  'mem-merge': bool(true, 'Enable/disable memory merge support'),
});

/** `none`: no parts at all, for monitors and probing. */
class NoMachine extends Machine {
  init(): void {
    if (this.values.kernel !== null)
      throw new UserError("The -kernel parameter is not supported (use the generic 'loader' device instead).");
  }
}

export function registerMachineBase(): void {
  typeRegister({
    name: 'machine',
    parent: 'object',
    abstract: true,
    instance: NoMachine,
    classInit: (klass) => addProperties(klass, PROPS),
    instanceInit: (object) => setDefaults(object as Machine, PROPS),
  });
  typeRegister(
    machineType({
      name: 'none',
      description: 'empty machine',
      maxCpus: 1,
      defaultRamBytes: 0,
      class: NoMachine,
    }),
  );
}
