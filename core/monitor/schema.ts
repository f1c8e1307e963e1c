/** Types of QMP arguments and results as data: they check input with QEMU's messages, give TypeScript its types and
 *  generate query-qmp-schema. */

import { UserError } from '../util/errors.ts';
import type { JsonObject, JsonValue } from '../util/json.ts';

/** A QAPI type. `T` is what a checked value is in TypeScript. */
export type Schema<T = unknown> = SchemaBody & { readonly phantom?: T };

type SchemaBody =
  | { readonly kind: 'string' | 'boolean' | 'number' | 'any' }
  | { readonly kind: 'int'; readonly min: bigint; readonly max: bigint; readonly typeName: string }
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  | { readonly kind: 'array'; readonly of: Schema }
  | { readonly kind: 'object'; readonly members: Members }
  | { readonly kind: 'union'; readonly tag: string; readonly base: Members; readonly variants: Variants };

export interface Member<T = unknown, O extends boolean = boolean> {
  readonly schema: Schema<T>;
  readonly isOptional: O;
}
export interface Members {
  readonly [name: string]: Member;
}
interface Variants {
  readonly [tag: string]: Schema;
}

/** The TypeScript type of a checked object with these members. */
export type Arguments<M extends Members> = {
  readonly [K in keyof M as M[K]['isOptional'] extends true ? never : K]: MemberType<M[K]>;
} & {
  readonly [K in keyof M as M[K]['isOptional'] extends true ? K : never]?: MemberType<M[K]>;
};
type MemberType<M> = M extends Member<infer T> ? T : never;

export function required<T>(schema: Schema<T>): Member<T, false> {
  return { schema, isOptional: false };
}
export function optional<T>(schema: Schema<T>): Member<T, true> {
  return { schema, isOptional: true };
}

function integer(typeName: string, min: bigint, max: bigint): Schema<number> {
  return { kind: 'int', min, max, typeName };
}

export const str: Schema<string> = { kind: 'string' };
export const bool: Schema<boolean> = { kind: 'boolean' };
export const number: Schema<number> = { kind: 'number' };
export const any: Schema<JsonValue> = { kind: 'any' };
export const int: Schema<number> = integer('int64', -(1n << 63n), (1n << 63n) - 1n);
export const uint32: Schema<number> = integer('uint32', 0n, (1n << 32n) - 1n);
export const uint64: Schema<number> = integer('uint64', -(1n << 63n), (1n << 64n) - 1n);

export function choice<const T extends string>(...values: readonly T[]): Schema<T> {
  return { kind: 'enum', values };
}
export function list<T>(of: Schema<T>): Schema<readonly T[]> {
  return { kind: 'array', of };
}
export function object<M extends Members>(members: M): Schema<Arguments<M>> {
  return { kind: 'object', members };
}
/** `{"type": "qcode", "data": ...}`: the value of `tag` chooses the type of the member `data`. */
export function union<const V extends Record<string, Schema>>(
  variants: V,
): Schema<
  { [K in keyof V & string]: { readonly type: K; readonly data: V[K] extends Schema<infer T> ? T : never } }[keyof V &
    string]
> {
  return { kind: 'union', tag: 'type', base: {}, variants };
}

export const NO_MEMBERS = {} satisfies Members;

/** Checks `value` against members; unknown members are an error. */
export function checkMembers<M extends Members>(members: M, value: JsonObject, path = ''): Arguments<M> {
  const result: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(members)) {
    const given = value[name];
    if (given !== undefined) result[name] = check(member.schema, given, path + name, name);
    else if (!member.isOptional) throw new UserError(`Parameter '${path}${name}' is missing`);
  }
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(members, name)) throw new UserError(`Parameter '${path}${name}' is unexpected`);
  }
  return result as Arguments<M>;
}

/** `path` is where the value stands (`keys[0].data`), `name` its last part; QEMU calls a list's element 'null'. */
function check(schema: Schema, value: JsonValue, path: string, name: string): unknown {
  switch (schema.kind) {
    case 'any':
      return value;
    case 'string':
    case 'boolean':
      if (typeof value !== schema.kind) throw wrongType(path, schema.kind);
      return value;
    case 'number':
      if (typeof value !== 'number' && typeof value !== 'bigint') throw wrongType(path, 'number');
      return Number(value);
    case 'int': {
      const isInteger = typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
      if (!isInteger) throw wrongType(path, 'integer');
      const exact = BigInt(value as number | bigint);
      if (exact < schema.min || exact > schema.max) {
        throw schema.typeName.endsWith('64')
          ? wrongType(path, 'integer')
          : new UserError(`Parameter '${path}' expects ${schema.typeName}_t`);
      }
      return Number(exact);
    }
    case 'enum':
      if (typeof value !== 'string') throw wrongType(path, 'string');
      if (!schema.values.includes(value)) throw new UserError(`Parameter '${name}' does not accept value '${value}'`);
      return value;
    case 'array':
      if (!Array.isArray(value)) throw wrongType(path, 'array');
      return value.map((item, index) => check(schema.of, item, `${path}[${index}]`, 'null'));
    case 'object':
      if (!isObject(value)) throw wrongType(path, 'object');
      return checkMembers(schema.members, value, `${path}.`);
    case 'union':
      return checkUnion(schema, value, path);
  }
}

function checkUnion(schema: Extract<SchemaBody, { kind: 'union' }>, value: JsonValue, path: string): unknown {
  if (!isObject(value)) throw wrongType(path, 'object');
  const tag = value[schema.tag];
  if (tag === undefined) throw new UserError(`Parameter '${path}.${schema.tag}' is missing`);
  const kinds = choice(...Object.keys(schema.variants));
  const kind = check(kinds, tag, `${path}.${schema.tag}`, schema.tag) as string;
  const members = { type: required(kinds), data: required(schema.variants[kind]!) };
  return checkMembers(members, value, `${path}.`);
}

function wrongType(path: string, expected: string): UserError {
  return new UserError(`Invalid parameter type for '${path}', expected: ${expected}`);
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Collects types for query-qmp-schema: each gets a number for a name, equal types share it. */
export class SchemaCatalog {
  private readonly names = new Map<string, string>();
  readonly entries: JsonObject[] = [];

  objectName(members: Members): string {
    return this.nameOf({ kind: 'object', members });
  }

  nameOf(schema: Schema): string {
    switch (schema.kind) {
      case 'string':
        return this.add('str', 'str', { 'meta-type': 'builtin', 'json-type': 'string' });
      case 'boolean':
        return this.add('bool', 'bool', { 'meta-type': 'builtin', 'json-type': 'boolean' });
      case 'number':
        return this.add('number', 'number', { 'meta-type': 'builtin', 'json-type': 'number' });
      case 'int':
        return this.add('int', 'int', { 'meta-type': 'builtin', 'json-type': 'int' });
      case 'any':
        return this.add('any', 'any', { 'meta-type': 'builtin', 'json-type': 'value' });
      case 'enum': {
        const members = schema.values.map((name) => ({ name }));
        return this.add(`enum ${schema.values.join()}`, undefined, {
          'meta-type': 'enum',
          members,
          values: [...schema.values],
        });
      }
      case 'array': {
        const element = this.nameOf(schema.of);
        return this.add(`[${element}]`, `[${element}]`, { 'meta-type': 'array', 'element-type': element });
      }
      case 'object': {
        const members = this.members(schema.members);
        return this.add(`object ${JSON.stringify(members)}`, undefined, { 'meta-type': 'object', members });
      }
      case 'union':
        return this.union(schema);
    }
  }

  private members(members: Members): JsonObject[] {
    return Object.entries(members).map(([name, member]) => ({
      name,
      type: this.nameOf(member.schema),
      ...(member.isOptional && { default: null }),
    }));
  }

  private union(schema: Extract<SchemaBody, { kind: 'union' }>): string {
    const tagType = this.nameOf(choice(...Object.keys(schema.variants)));
    const variants = Object.entries(schema.variants).map(([tag, data]) => ({
      case: tag,
      type: this.objectName({ data: required(data) }),
    }));
    const members = [{ name: schema.tag, type: tagType }];
    return this.add(`union ${JSON.stringify(variants)}`, undefined, {
      'meta-type': 'object',
      members,
      tag: schema.tag,
      variants,
    });
  }

  private add(key: string, wantedName: string | undefined, body: JsonObject): string {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    const name = wantedName ?? String(this.names.size);
    this.names.set(key, name);
    this.entries.push({ name, ...body });
    return name;
  }
}
