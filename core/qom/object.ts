/** QOM objects: properties, the composition tree (child<>), links (link<>), reference counts, canonical paths. */
import { assert, UserError } from '../util/errors.ts';
import { trace, traceEvent } from '../util/trace.ts';
import { classIsA, concreteClass, type ObjectClass, objectClassByName, typeRegister } from './type.ts';

/** A named, typed value of an object or of a class. Values are JSON values (numbers, strings, booleans, null, plain objects, arrays). */
export interface ObjectProperty {
  readonly name: string;
  /** QEMU's type name: `bool`, `uint32`, `str`, `child<ide-cd>`, `link<memory-region>` ... */
  readonly type: string;
  readonly description?: string;
  readonly defaultValue?: unknown;
  get?(object: QomObject): unknown;
  /** @throws UserError when the value does not fit; nothing has changed then */
  set?(object: QomObject, value: unknown): void;
  /** The object behind a child<> or link<> property. */
  resolve?(object: QomObject): QomObject | null;
  /** The property goes away. */
  release?(object: QomObject): void;
}

const objectNew_ = traceEvent('object_new');
let classUnderConstruction: ObjectClass | null = null;

export class QomObject {
  readonly klass: ObjectClass;
  /** Properties of this very object; those of its classes are in `klass.ownProperties`. */
  readonly ownProperties = new Map<string, ObjectProperty>();
  parent: QomObject | null = null;
  /** The name of the child<> property that holds this object. */
  nameInParent = '';
  references = 1;

  /** Only `objectNew` makes objects: it tells which class is meant. */
  constructor() {
    assert(classUnderConstruction, `${new.target.name} is a QOM type: make it with objectNew`);
    this.klass = classUnderConstruction;
  }

  get typeName(): string {
    return this.klass.typeName;
  }

  isA(typeName: string): boolean {
    return classIsA(this.klass, typeName);
  }

  /** The object leaves the tree; subclasses undo what being in the tree meant. Called before the parent forgets it. */
  unparentHook(): void {}
  /** Last reference gone. */
  finalize(): void {}
}

function runInstanceInit(object: QomObject, klass: ObjectClass): void {
  if (klass.parentClass) runInstanceInit(object, klass.parentClass);
  klass.info.instanceInit?.(object);
}

function construct(klass: ObjectClass): QomObject {
  const outer = classUnderConstruction;
  classUnderConstruction = klass;
  let object: QomObject;
  try {
    object = new klass.instance();
  } finally {
    classUnderConstruction = outer;
  }
  runInstanceInit(object, klass);
  return object;
}

/** Makes an object of a type by name. @throws UserError for an unknown or abstract type */
export function objectNew(typeName: string): QomObject {
  trace(objectNew_, typeName);
  return construct(concreteClass(typeName));
}

/** As objectNew, with the JavaScript class that the caller knows the type to have. */
export function objectNewAs<T extends QomObject>(instance: abstract new () => T, typeName: string): T {
  const object = objectNew(typeName);
  assert(object instanceof instance, `'${typeName}' is not a ${instance.name}`);
  return object;
}

/** Makes an object that is a part of `parent` from the start (QEMU's object_initialize_child). */
export function objectInitialize<T extends QomObject>(
  parent: QomObject,
  name: string,
  instance: abstract new () => T,
  typeName: string,
): T {
  const child = objectNewAs(instance, typeName);
  objectAddChild(parent, name, child);
  objectUnref(child);
  return child;
}

export function objectRef(object: QomObject): void {
  object.references++;
}

export function objectUnref(object: QomObject): void {
  assert(object.references > 0, `${object.typeName} released too often`);
  if (--object.references > 0) return;
  for (const property of [...object.ownProperties.values()]) objectDeleteProperty(object, property.name);
  for (let c: ObjectClass | null = object.klass; c; c = c.parentClass) c.info.instanceFinalize?.(object);
  object.finalize();
}

/** Adds a property to one object. A name that ends in `[*]` gets the first free index. Returns the final name. */
export function objectAddProperty(object: QomObject, property: ObjectProperty): string {
  let { name } = property;
  if (name.endsWith('[*]')) {
    const stem = name.slice(0, -3);
    let index = 0;
    while (objectFindProperty(object, `${stem}[${index}]`)) index++;
    name = `${stem}[${index}]`;
  }
  if (objectFindProperty(object, name))
    throw new UserError(`attempt to add duplicate property '${name}' to object (type '${object.typeName}')`);
  object.ownProperties.set(name, { ...property, name });
  return name;
}

export function objectClassAddProperty(klass: ObjectClass, property: ObjectProperty): void {
  assert(!klass.ownProperties.has(property.name), `class '${klass.typeName}' has property '${property.name}' twice`);
  klass.ownProperties.set(property.name, property);
}

export function objectFindProperty(object: QomObject, name: string): ObjectProperty | undefined {
  return object.ownProperties.get(name) ?? classFindProperty(object.klass, name);
}

export function classFindProperty(klass: ObjectClass, name: string): ObjectProperty | undefined {
  for (let c: ObjectClass | null = klass; c; c = c.parentClass) {
    const property = c.ownProperties.get(name);
    if (property) return property;
  }
  return undefined;
}

/** Every property of a class, nearest class first. */
export function* classProperties(klass: ObjectClass): Generator<ObjectProperty> {
  for (let c: ObjectClass | null = klass; c; c = c.parentClass) yield* c.ownProperties.values();
}

/** Every property of an object: its own, then those of its classes. */
export function* objectProperties(object: QomObject): Generator<ObjectProperty> {
  yield* object.ownProperties.values();
  yield* classProperties(object.klass);
}

export function objectDeleteProperty(object: QomObject, name: string): void {
  const property = object.ownProperties.get(name);
  assert(property, `${object.typeName} has no property '${name}'`);
  property.release?.(object);
  object.ownProperties.delete(name);
}

function needProperty(object: QomObject, name: string): ObjectProperty {
  const property = objectFindProperty(object, name);
  if (!property) throw new UserError(`Property '${object.typeName}.${name}' not found`);
  return property;
}

export function objectGet(object: QomObject, name: string): unknown {
  const property = needProperty(object, name);
  if (!property.get) throw new UserError(`Property '${object.typeName}.${name}' is not readable`);
  return property.get(object);
}

export function objectSet(object: QomObject, name: string, value: unknown): void {
  const property = needProperty(object, name);
  if (!property.set) throw new UserError(`Property '${object.typeName}.${name}' is not writable`);
  property.set(object, value);
}

/** Puts `child` into the composition tree below `parent`. Returns its final name. */
export function objectAddChild(parent: QomObject, name: string, child: QomObject): string {
  assert(!child.parent, `${child.typeName} already has a parent`);
  const finalName = objectAddProperty(parent, {
    name,
    type: `child<${child.typeName}>`,
    get: () => objectCanonicalPath(child),
    resolve: () => child,
    release: () => {
      child.unparentHook();
      child.parent = null;
      child.nameInParent = '';
      objectUnref(child);
    },
  });
  objectRef(child);
  child.parent = parent;
  child.nameInParent = finalName;
  return finalName;
}

export function objectUnparent(object: QomObject): void {
  if (object.parent) objectDeleteProperty(object.parent, object.nameInParent);
}

/** A reference to another object, by canonical path. `check` may refuse a new target. */
export function objectAddLink(
  object: QomObject,
  name: string,
  targetType: string,
  access: { get(): QomObject | null; set?(target: QomObject | null): void },
): void {
  objectAddProperty(object, {
    name,
    type: `link<${targetType}>`,
    get: () => {
      const target = access.get();
      return target ? objectCanonicalPath(target) : '';
    },
    ...(access.set
      ? {
          set: (_: QomObject, value: unknown) => {
            if (typeof value !== 'string')
              throw new UserError(`Invalid parameter type for '${name}', expected: string`);
            access.set?.(value === '' ? null : resolveLinkTarget(name, value, targetType));
          },
        }
      : {}),
    resolve: () => access.get(),
  });
}

function resolveLinkTarget(name: string, path: string, targetType: string): QomObject {
  const { object, isAmbiguous } = resolvePathWithin(objectRoot(), path, targetType);
  if (isAmbiguous) throw new UserError(`Path '${path}' does not uniquely identify an object`);
  if (object) return object;
  if (resolvePathWithin(objectRoot(), path, 'object').object)
    throw new UserError(`Invalid parameter type for '${name}', expected: ${targetType}`);
  throw new UserError(`Device '${path}' not found`);
}

/** Children in the order they were added. */
export function* objectChildren(object: QomObject): Generator<QomObject> {
  for (const property of object.ownProperties.values())
    if (property.type.startsWith('child<')) {
      const child = property.resolve?.(object);
      if (child) yield child;
    }
}

export function objectCanonicalPath(object: QomObject): string {
  const parts: string[] = [];
  let at: QomObject | null = object;
  for (; at && at !== root; at = at.parent) parts.unshift(at.nameInParent);
  return at ? `/${parts.join('/')}` : '';
}

let root: QomObject | null = null;

/** The container at the top of the composition tree. */
export function objectRoot(): QomObject {
  root ??= construct(rootClass());
  return root;
}

/** Forgets the tree: a new machine in the same process (tests) starts from an empty one. */
export function resetObjectRoot(): void {
  root = null;
}

function rootClass(): ObjectClass {
  const klass = objectClassByName('container');
  assert(klass, "type 'container' is missing");
  return klass;
}

/** The container at `path`, made with its parents where missing. */
export function containerGet(path: string): QomObject {
  let at = objectRoot();
  for (const part of path.split('/').filter((p) => p !== '')) {
    const next = objectFindProperty(at, part)?.resolve?.(at);
    at = next ?? objectInitialize(at, part, QomObject, 'container');
  }
  return at;
}

function resolveFrom(from: QomObject, parts: readonly string[], typeName: string): QomObject | null {
  let at: QomObject = from;
  for (const part of parts) {
    const next = objectFindProperty(at, part)?.resolve?.(at);
    if (!next) return null;
    at = next;
  }
  return at.isA(typeName) ? at : null;
}

function resolvePathWithin(
  top: QomObject,
  path: string,
  typeName: string,
): { object: QomObject | null; isAmbiguous: boolean } {
  const parts = path.split('/').filter((p) => p !== '');
  if (path.startsWith('/')) return { object: resolveFrom(top, parts, typeName), isAmbiguous: false };
  const found = new Set<QomObject>();
  const visit = (at: QomObject) => {
    const hit = resolveFrom(at, parts, typeName);
    if (hit) found.add(hit);
    for (const child of objectChildren(at)) visit(child);
  };
  visit(top);
  const [first] = found;
  return found.size > 1 ? { object: null, isAmbiguous: true } : { object: first ?? null, isAmbiguous: false };
}

/** Finds an object by absolute path, or by partial path when that names just one object. */
export function objectResolvePath(
  path: string,
  typeName = 'object',
): { object: QomObject | null; isAmbiguous: boolean } {
  return resolvePathWithin(objectRoot(), path, typeName);
}

typeRegister({
  name: 'object',
  abstract: true,
  instance: QomObject,
  classInit(klass) {
    objectClassAddProperty(klass, { name: 'type', type: 'string', get: (object) => object.typeName });
  },
});
typeRegister({ name: 'interface', abstract: true, instance: QomObject });
typeRegister({ name: 'container', parent: 'object' });
