/** QOM types: TypeInfo -> type table -> classes that are initialised when first used, parents before children. */
import { assert, UserError } from '../util/errors.ts';
import { trace, traceEvent } from '../util/trace.ts';
import type { ObjectProperty, QomObject } from './object.ts';

/** JavaScript class that objects of a type are made of. Its constructor takes no arguments: see `objectNew`. */
export type InstanceConstructor = new () => QomObject;

/** What a type says of itself; the fields are those of QEMU's TypeInfo. */
export interface TypeInfo {
  readonly name: string;
  readonly parent?: string;
  readonly abstract?: boolean;
  /** Defaults to the parent's. */
  readonly instance?: InstanceConstructor;
  readonly classData?: unknown;
  classInit?(klass: ObjectClass, data: unknown): void;
  /** Run for each ancestor first, on a fresh object. */
  instanceInit?(object: QomObject): void;
  /** Run for the type itself first, then its ancestors, when the last reference goes. */
  instanceFinalize?(object: QomObject): void;
  readonly interfaces?: readonly string[];
}

/** A type's class. Each class object inherits from its parent's (prototype chain), so a class field set by a parent holds until a child sets its own. */
export interface ObjectClass {
  readonly typeName: string;
  readonly parentClass: ObjectClass | null;
  readonly info: TypeInfo;
  readonly isAbstract: boolean;
  readonly interfaces: ReadonlySet<string>;
  /** Properties that this very class adds. */
  readonly ownProperties: Map<string, ObjectProperty>;
  readonly instance: InstanceConstructor;
}

interface TypeEntry {
  readonly info: TypeInfo;
  klass: ObjectClass | null;
  isInitialising: boolean;
}

const typeRegister_ = traceEvent('type_register');
const table = new Map<string, TypeEntry>();

/** Adds a type. The parent may be registered later, but before the type is first used. */
export function typeRegister(info: TypeInfo): TypeInfo {
  const known = table.get(info.name);
  assert(!known, `Registering '${info.name}' which already exists`);
  assert(/^[A-Za-z0-9_][A-Za-z0-9_.:,+-]*$/.test(info.name), `'${info.name}' is not a type name`);
  table.set(info.name, { info, klass: null, isInitialising: false });
  trace(typeRegister_, `${info.parent ?? ''} <- ${info.name}`);
  return info;
}

export function typeIsRegistered(name: string): boolean {
  return table.has(name);
}

function classOfEntry(entry: TypeEntry): ObjectClass {
  if (entry.klass) return entry.klass;
  const { info } = entry;
  assert(!entry.isInitialising, `type '${info.name}' inherits from itself`);
  entry.isInitialising = true;
  try {
    let parentClass: ObjectClass | null = null;
    if (info.parent !== undefined) {
      const parent = table.get(info.parent);
      assert(parent, `missing parent type '${info.parent}' of type '${info.name}'`);
      parentClass = classOfEntry(parent);
    }
    const interfaces = new Set(parentClass?.interfaces);
    for (const name of info.interfaces ?? []) {
      const entry = table.get(name);
      assert(entry, `missing interface '${name}' of type '${info.name}'`);
      interfaces.add(name);
      for (let c: ObjectClass | null = classOfEntry(entry); c; c = c.parentClass) interfaces.add(c.typeName);
    }
    const instance = info.instance ?? parentClass?.instance;
    assert(instance, `type '${info.name}' has no instance class`);
    const klass: ObjectClass = Object.assign(Object.create(parentClass) as ObjectClass, {
      typeName: info.name,
      parentClass,
      info,
      isAbstract: info.abstract ?? false,
      interfaces,
      ownProperties: new Map<string, ObjectProperty>(),
      instance,
    });
    info.classInit?.(klass, info.classData);
    entry.klass = klass;
    return klass;
  } finally {
    entry.isInitialising = false;
  }
}

/** The class of a registered type, initialised if need be; null when there is no such type. */
export function objectClassByName(name: string): ObjectClass | null {
  const entry = table.get(name);
  return entry ? classOfEntry(entry) : null;
}

export function classIsA(klass: ObjectClass, typeName: string): boolean {
  for (let c: ObjectClass | null = klass; c; c = c.parentClass) if (c.typeName === typeName) return true;
  return klass.interfaces.has(typeName);
}

/** Calls `visit` for every class that is (or implements) `implementsType`, in the order of registration. */
export function objectClassForEach(
  visit: (klass: ObjectClass) => void,
  implementsType = 'object',
  includeAbstract = false,
): void {
  for (const entry of [...table.values()]) {
    if (!includeAbstract && entry.info.abstract) continue;
    const klass = classOfEntry(entry);
    if (classIsA(klass, implementsType)) visit(klass);
  }
}

export function objectClassGetList(implementsType: string, includeAbstract = false): ObjectClass[] {
  const list: ObjectClass[] = [];
  objectClassForEach((klass) => list.push(klass), implementsType, includeAbstract);
  return list;
}

/** The class of a type that objects can be made of. @throws UserError in QEMU's words */
export function concreteClass(name: string): ObjectClass {
  const klass = objectClassByName(name);
  if (!klass) throw new UserError(`invalid object type: ${name}`);
  if (klass.isAbstract) throw new UserError(`object type '${name}' is abstract`);
  return klass;
}

export type ModuleInitKind = 'migration' | 'trace' | 'block' | 'opts' | 'qom';
const initFunctions = new Map<ModuleInitKind, (() => void)[]>();
const calledKinds = new Set<ModuleInitKind>();

/** Queues a start-up function of one kind; `moduleCallInit` runs them in the order they were queued. */
export function moduleInit(kind: ModuleInitKind, init: () => void): void {
  assert(!calledKinds.has(kind), `module_init(${kind}) after its functions were called`);
  const list = initFunctions.get(kind) ?? [];
  list.push(init);
  initFunctions.set(kind, list);
}

/** Runs a kind's functions, once per process. */
export function moduleCallInit(kind: ModuleInitKind): void {
  if (calledKinds.has(kind)) return;
  calledKinds.add(kind);
  for (const init of initFunctions.get(kind) ?? []) init();
}
