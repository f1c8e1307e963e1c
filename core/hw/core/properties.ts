/** Device properties, declared once: they type `this.props`, parse `-device X,key=value`, print in `info qtree` and `-device X,help`, and are QOM properties. */
import { UserError } from '../../util/errors.ts';
import { formatSize, hex } from '../../util/units.ts';
import type { Device } from './device.ts';

/** Who asks, for messages. `owner` is `TYPE` of `TYPE.name`. */
export interface PropertyContext {
  readonly device: Device;
  readonly name: string;
}

export interface PropertyKind<T> {
  /** QOM type: `bool`, `uint32`, `str`, `OnOffAuto` ... */
  readonly typeName: string;
  readonly defaultValue: T;
  /** Shown as a default in help; absent for kinds where QEMU shows none (`str`, `drive` ...). */
  readonly helpDefault?: string;
  readonly description: string;
  /** From `-device` text. @throws UserError in QEMU's words */
  parse(text: string, context: PropertyContext): T;
  /** From a JSON value (`qom-set`, `-device {...}`). @throws UserError */
  accept(value: unknown, context: PropertyContext): T;
  /** As `info qtree` shows it. */
  print(value: T): string;
  /** As `qom-get` gives it. */
  toJson(value: T): unknown;
  /** The device lets go of the value: it has got another, or is no more. */
  release?(value: T, context: PropertyContext): void;
  /** Not in `info qtree`: QOM-only properties such as `bootindex`. */
  readonly isHidden?: boolean;
  /** A property of an object inside: help tells all of it, `info qtree` nothing. */
  readonly isAlias?: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: value types differ property by property; PropertiesOf recovers them
export type PropertyTable = { readonly [name: string]: PropertyKind<any> };
export type PropertiesOf<P extends PropertyTable> = { [K in keyof P]: P[K] extends PropertyKind<infer T> ? T : never };

/** Says that a table is a property table; the type does the work. */
export function properties<P extends PropertyTable>(table: P): P {
  return table;
}

export function doesNotTake({ device, name }: PropertyContext, value: string): UserError {
  return new UserError(`Property '${device.typeName}.${name}' doesn't take value '${value}'`);
}

function wrongType(name: string, expected: string): UserError {
  return new UserError(`Invalid parameter type for '${name}', expected: ${expected}`);
}

/** Decimal, hexadecimal (0x) or octal (0) as C's strtoull base 0 reads it; NaN when it is not a whole number. */
export function parseInteger(text: string): number {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  if (!match) return Number.NaN;
  const digits = match[2]!;
  const value = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  return match[1] === '-' ? -value : value;
}

function integerKind(typeName: string, minimum: number, maximum: number) {
  const check = (value: number, { name }: PropertyContext): number => {
    if (value < minimum || value > maximum) throw new UserError(`Parameter '${name}' expects ${typeName}_t`);
    return value;
  };
  return (defaultValue: number, description = ''): PropertyKind<number> => ({
    typeName,
    defaultValue,
    helpDefault: String(defaultValue),
    description,
    parse(text, context) {
      const value = parseInteger(text);
      if (Number.isNaN(value)) throw new UserError(`Parameter '${context.name}' expects integer`);
      // Unsigned numbers are read as 64-bit ones, where a sign wraps; the range of the property comes after.
      return check(value < 0 && minimum === 0 ? value + 2 ** 64 : value, context);
    },
    accept(value, context) {
      if (typeof value !== 'number' || !Number.isInteger(value)) throw wrongType(context.name, 'integer');
      return check(value, context);
    },
    print: (value) => `${value} (0x${hex(value < 0 ? BigInt.asUintN(64, BigInt(value)) : value)})`,
    toJson: (value) => value,
  });
}

export const u8 = integerKind('uint8', 0, 0xff);
export const u16 = integerKind('uint16', 0, 0xffff);
export const u32 = integerKind('uint32', 0, 0xffff_ffff);
export const i32 = integerKind('int32', -0x8000_0000, 0x7fff_ffff);
export const u64 = integerKind('uint64', 0, 2 ** 64 - 1);
export const i64 = integerKind('int64', -(2 ** 63), 2 ** 63);

/** `on`/`off`; help of bit properties says so, that of plain bools says nothing: pass '' or 'on/off'. */
export function bool(defaultValue: boolean, description = ''): PropertyKind<boolean> {
  return {
    typeName: 'bool',
    defaultValue,
    helpDefault: String(defaultValue),
    description,
    parse(text, { name }) {
      if (text === 'on' || text === 'yes' || text === 'true' || text === 'y') return true;
      if (text === 'off' || text === 'no' || text === 'false' || text === 'n') return false;
      throw new UserError(`Parameter '${name}' expects 'on' or 'off'`);
    },
    accept(value, { name }) {
      if (typeof value !== 'boolean') throw wrongType(name, 'boolean');
      return value;
    },
    print: String,
    toJson: (value) => value,
  };
}

export function str(defaultValue: string | null = null, description = ''): PropertyKind<string | null> {
  return {
    typeName: 'str',
    defaultValue,
    ...(defaultValue === null ? {} : { helpDefault: `"${defaultValue}"` }),
    description,
    parse: (text) => text,
    accept(value, { name }) {
      if (typeof value !== 'string') throw wrongType(name, 'string');
      return value;
    },
    print: (value) => `"${value ?? ''}"`,
    toJson: (value) => value ?? '',
  };
}

/** One of some words; `typeName` is the QAPI enumeration's name. */
export function choice<const T extends string>(
  typeName: string,
  words: readonly T[],
  defaultValue: NoInfer<T>,
  description = words.join('/'),
): PropertyKind<T> {
  const check = (text: string, name: string): T => {
    const word = words.find((w) => w === text);
    if (word === undefined) throw new UserError(`Parameter '${name}' does not accept value '${text}'`);
    return word;
  };
  return {
    typeName,
    defaultValue,
    helpDefault: `"${defaultValue}"`,
    description,
    parse: (text, { name }) => check(text, name),
    accept(value, { name }) {
      if (typeof value !== 'string') throw wrongType(name, 'string');
      return check(value, name);
    },
    print: (value) => `"${value}"`,
    toJson: (value) => value,
  };
}
export const onOffAuto = (defaultValue: 'on' | 'off' | 'auto' = 'auto', description = 'on/off/auto') =>
  choice('OnOffAuto', ['on', 'off', 'auto'], defaultValue, description);

const SIZE_SUFFIXES: Record<string, number> = {
  '': 0,
  b: 0,
  k: 1,
  m: 2,
  g: 3,
  t: 4,
  p: 5,
  e: 6,
};
/** A byte count with an optional suffix. `check` may refuse further. */
export function size(
  defaultValue: number,
  description = '',
  check: (value: number, context: PropertyContext) => void = () => {},
): PropertyKind<number> {
  return {
    typeName: 'size',
    defaultValue,
    helpDefault: String(defaultValue),
    description,
    parse(text, context) {
      const match = /^(0x[0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?)([bkmgtpe]?)$/i.exec(text);
      const value = match ? Number(match[1]) * 1024 ** SIZE_SUFFIXES[match[2]!.toLowerCase()]! : Number.NaN;
      if (!(value < 2 ** 64))
        throw new UserError(`Parameter '${context.name}' expects a non-negative number below 2^64`, SIZE_HINT);
      check(value, context);
      return Math.floor(value);
    },
    accept(value, context) {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= 2 ** 64)
        throw wrongType(context.name, 'integer');
      check(value, context);
      return value;
    },
    print: (value) => `${value} (${formatSize(value)})`,
    toJson: (value) => value,
  };
}
export const SIZE_HINT =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';

/** Not shown in `info qtree`. */
export function hidden<T>(kind: PropertyKind<T>): PropertyKind<T> {
  return { ...kind, isHidden: true };
}

/** A backend named by id and resolved when the property is set: a drive, a character device, a network device. */
export function backend<T extends { readonly id: string }>(
  description: string,
  access: {
    find(id: string, context: PropertyContext): T | null;
    attach?(backend: T, context: PropertyContext): void;
    detach?(backend: T, context: PropertyContext): void;
  },
): PropertyKind<T | null> {
  const take = (id: string, context: PropertyContext): T => {
    const found = access.find(id, context);
    if (!found) throw new UserError(`Property '${context.device.typeName}.${context.name}' can't find value '${id}'`);
    access.attach?.(found, context);
    return found;
  };
  return {
    typeName: 'str',
    defaultValue: null,
    description,
    parse: take,
    accept(value, context) {
      if (typeof value !== 'string') throw wrongType(context.name, 'string');
      return take(value, context);
    },
    release(value, context) {
      if (value) access.detach?.(value, context);
    },
    print: (value) => `"${value?.id ?? ''}"`,
    toJson: (value) => value?.id ?? '',
  };
}
