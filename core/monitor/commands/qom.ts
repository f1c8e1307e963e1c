/** Commands on the object tree and the type table. */

import type { DeviceClass } from '../../hw/core/device.ts';
import {
  classProperties,
  type ObjectProperty,
  objectGet,
  objectNew,
  objectProperties,
  objectResolvePath,
  objectSet,
  objectUnref,
  type QomObject,
} from '../../qom/object.ts';
import { classIsA, objectClassByName, objectClassGetList } from '../../qom/type.ts';
import { UserError } from '../../util/errors.ts';
import type { JsonObject, JsonValue } from '../../util/json.ts';
import { command, type QmpCommand } from '../command.ts';
import { deviceNotFound, MonitorError } from '../errors.ts';
import { any, bool, list, object, optional, required, str } from '../schema.ts';

const PROPERTY_INFO = list(
  object({ name: required(str), type: required(str), description: optional(str), 'default-value': optional(any) }),
);

export const QOM_COMMANDS: readonly QmpCommand[] = [
  command({
    name: 'qom-list',
    arguments: { path: required(str) },
    returns: PROPERTY_INFO,
    run: (_, { path }) => listProperties(path),
  }),
  command({
    name: 'qom-get',
    arguments: { path: required(str), property: required(str) },
    returns: any,
    run: (_, { path, property }) => getProperty(path, property),
  }),
  command({
    name: 'qom-set',
    arguments: { path: required(str), property: required(str), value: required(any) },
    run: (_, { path, property, value }) => {
      objectSet(resolve(path), property, value);
      return undefined;
    },
  }),
  command({
    name: 'qom-list-types',
    arguments: { implements: optional(str), abstract: optional(bool) },
    returns: list(object({ name: required(str), abstract: optional(bool), parent: optional(str) })),
    run: (_, { implements: base = 'object', abstract = false }) =>
      objectClassGetList(base, abstract).map((klass) => ({
        name: klass.typeName,
        ...(klass.parentClass && { parent: klass.parentClass.typeName }),
        ...(klass.isAbstract && { abstract: true }),
      })),
  }),
  command({
    name: 'qom-list-properties',
    arguments: { typename: required(str) },
    returns: PROPERTY_INFO,
    run: (_, { typename }) => {
      const klass = objectClassByName(typename);
      if (!klass) throw new MonitorError('DeviceNotFound', `Class '${typename}' not found`);
      if (klass.isAbstract) return [...classProperties(klass)].map(describe);
      return withFreshObject(typename, (fresh) => [...objectProperties(fresh)].map(describe));
    },
  }),
  command({
    name: 'device-list-properties',
    arguments: { typename: required(str) },
    returns: PROPERTY_INFO,
    run: (_, { typename }) => deviceProperties(typename),
  }),
];

/** Finds an object by path. @throws MonitorError */
export function resolve(path: string): QomObject {
  const { object: found, isAmbiguous } = objectResolvePath(path);
  if (isAmbiguous) throw new UserError(`Path '${path}' is ambiguous`);
  if (!found || path === '') throw deviceNotFound(path);
  return found;
}

export function listProperties(path: string): JsonObject[] {
  return [...objectProperties(resolve(path))].map((property) => ({ name: property.name, type: property.type }));
}

export function getProperty(path: string, property: string): JsonValue {
  return asJson(objectGet(resolve(path), property));
}

function withFreshObject<T>(typeName: string, body: (object: QomObject) => T): T {
  const fresh = objectNew(typeName);
  try {
    return body(fresh);
  } finally {
    objectUnref(fresh);
  }
}

/** The properties that `-device TYPE` takes: not those of the composition tree or of every device. */
function deviceProperties(typename: string): JsonObject[] {
  const klass = objectClassByName(typename) as DeviceClass | null;
  if (!klass) throw deviceNotFound(typename);
  if (!classIsA(klass, 'device') || klass.isAbstract) {
    throw new UserError("Parameter 'typename' expects a non-abstract device type");
  }
  const internal = new Set(['type', 'realized', 'hotpluggable', 'hotplugged', 'parent_bus']);
  return withFreshObject(typename, (fresh) =>
    [...objectProperties(fresh)]
      .filter(({ name, type }) => !internal.has(name) && !type.startsWith('child<') && !name.startsWith('legacy-'))
      .map(describe),
  );
}

function describe(property: ObjectProperty): JsonObject {
  return {
    name: property.name,
    type: property.type,
    ...(property.description && { description: property.description }),
    ...(property.defaultValue !== undefined && { 'default-value': asJson(property.defaultValue) }),
  };
}

/** Property values are JSON values by QOM's promise; what is not (undefined, an exotic number) becomes null. */
function asJson(value: unknown): JsonValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? exactInteger(value) : null;
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, asJson(member)]));
  }
  return null;
}

/** Numbers beyond 2^53 would be written in exponential form. */
function exactInteger(value: number): JsonValue {
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(value) : value;
}
