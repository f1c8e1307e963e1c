/** Field kinds of a saved state. One declaration of fields gives a device its state object, its reset values, saving, loading and `-dump-vmstate`. */
import { assert, UserError } from '../util/errors.ts';
import type { StateReader, StateWriter } from './stream.ts';

/** One kind of saved value. Integers are big-endian in the stream, as QEMU writes them. */
export interface FieldKind<T> {
  /** QEMU's name of the kind: `uint8`, `timer`, `bool`, `buffer`, `struct` ... */
  readonly kind: string;
  /** Bytes of one element, as `-dump-vmstate` gives it. */
  readonly size: number;
  initial(): T;
  /** `owner`: the device, of which the optional parts of nested structures ask what they hold. */
  save(writer: StateWriter, value: T, owner?: unknown): void;
  load(reader: StateReader, current: T, owner?: unknown): T;
  /** Field names and versions, for nested structures. */
  readonly nested?: StateDescription;
  readonly count?: number;
  readonly sinceVersion?: number;
  readonly note?: string;
  /** QEMU's name where it cannot be the key (array paths such as `pci.irq_state`). */
  readonly fieldName?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: the value types differ field by field; StateOf recovers them
export type Fields = { readonly [name: string]: FieldKind<any> };
export type StateOf<F extends Fields> = { [K in keyof F]: F[K] extends FieldKind<infer T> ? T : never };

/** A VMStateDescription: section name, versions, fields in stream order, optional parts. */
export interface StateDescription<F extends Fields = Fields> {
  readonly name: string;
  readonly version: number;
  readonly minimumVersion: number;
  readonly fields: F;
  readonly subsections: readonly Subsection[];
  /** Fresh state with every field at its default. */
  create(): StateOf<F>;
  /** Puts every field of an existing state back to its default. */
  reset(state: StateOf<F>): void;
}

/** An optional part: saved only while `needed` says that it differs from what a loader would assume. */
export interface Subsection {
  readonly description: StateDescription;
  needed(owner: unknown): boolean;
  /** The state object that the part's fields live in. */
  state(owner: unknown): Record<string, unknown>;
}

export interface DescriptionOptions {
  readonly minimumVersion?: number;
  readonly subsections?: readonly Subsection[];
}

export function vmstate<F extends Fields>(
  name: string,
  version: number,
  fields: F,
  options: DescriptionOptions = {},
): StateDescription<F> {
  const entries = Object.entries(fields);
  const reset = (state: Record<string, unknown>) => {
    for (const [key, field] of entries) state[key] = field.initial();
  };
  return {
    name,
    version,
    minimumVersion: options.minimumVersion ?? version,
    fields,
    subsections: options.subsections ?? [],
    create() {
      const state: Record<string, unknown> = {};
      reset(state);
      return state as StateOf<F>;
    },
    reset(state) {
      reset(state as Record<string, unknown>);
    },
  };
}

export function saveFields(
  writer: StateWriter,
  description: StateDescription,
  state: Record<string, unknown>,
  owner: unknown = state,
): void {
  for (const [key, field] of Object.entries(description.fields)) field.save(writer, state[key], owner);
}

/** What an optional part begins with in the stream; its name and version follow. */
const SUBSECTION = 5;

/** A whole description: its fields, then the optional parts that are needed, each with those of its own. */
export function saveState(
  writer: StateWriter,
  description: StateDescription,
  state: Record<string, unknown>,
  owner: unknown = state,
): void {
  saveFields(writer, description, state, owner);
  for (const part of description.subsections) {
    if (!part.needed(owner)) continue;
    const { name } = part.description;
    writer.u8(SUBSECTION);
    writer.u8(name.length);
    writer.bytes(Uint8Array.from(name, (letter) => letter.charCodeAt(0)));
    writer.u32(part.description.version);
    saveState(writer, part.description, part.state(owner), owner);
  }
}

/** Loads fields and optional parts; a part that the stream does not have is as a loader assumes. Parts of another description, which
 *  the name tells, are left to whoever nests this one. */
export function loadState(
  reader: StateReader,
  description: StateDescription,
  state: Record<string, unknown>,
  version = description.version,
  owner: unknown = state,
): void {
  loadFields(reader, description, state, version, owner);
  for (const part of description.subsections) part.description.reset(part.state(owner));
  for (;;) {
    const name = reader.peekName(SUBSECTION);
    if (name === null || !name.startsWith(description.name)) return;
    const part = description.subsections.find((it) => it.description.name === name);
    if (!part) throw new UserError(`Unknown subsection ${name} of ${description.name}`);
    reader.bytes(2 + name.length);
    const found = reader.u32();
    const { minimumVersion } = part.description;
    if (found > part.description.version || found < minimumVersion)
      throw new UserError(
        `${name} has version ${found}, ${minimumVersion} to ${part.description.version} can be loaded`,
      );
    loadState(reader, part.description, part.state(owner), found, owner);
  }
}

/** Loads the fields that a stream of the given version holds; the others keep what they have. */
export function loadFields(
  reader: StateReader,
  description: StateDescription,
  state: Record<string, unknown>,
  version = description.version,
  owner: unknown = state,
): void {
  for (const [key, field] of Object.entries(description.fields))
    if ((field.sinceVersion ?? 0) <= version) state[key] = field.load(reader, state[key], owner);
}

function integer(
  kind: string,
  size: number,
  put: (w: StateWriter, v: number) => void,
  get: (r: StateReader) => number,
) {
  return (initial = 0, note?: string): FieldKind<number> => ({
    kind,
    size,
    initial: () => initial,
    save: put,
    load: get,
    ...(note === undefined ? {} : { note }),
  });
}

export const u8 = integer(
  'uint8',
  1,
  (w, v) => w.u8(v),
  (r) => r.u8(),
);
export const u16 = integer(
  'uint16',
  2,
  (w, v) => w.u16(v),
  (r) => r.u16(),
);
export const u32 = integer(
  'uint32',
  4,
  (w, v) => w.u32(v),
  (r) => r.u32(),
);
export const i32 = integer(
  'int32',
  4,
  (w, v) => w.u32(v),
  (r) => r.u32() | 0,
);
/** 64-bit values as numbers: exact below 2^53, which times and sizes are. */
export const u64 = integer(
  'uint64',
  8,
  (w, v) => w.u64(v),
  (r) => r.u64(),
);
export const i64 = integer(
  'int64',
  8,
  (w, v) => w.i64(v),
  (r) => r.i64(),
);

export interface Halves {
  low: number;
  high: number;
}
/** 64-bit registers as two unsigned halves, for those that are worked with often: no big integers on the way. */
export function halves64(low = 0, high = 0, note?: string): FieldKind<Halves> {
  return {
    kind: 'uint64',
    size: 8,
    initial: () => ({ low, high }),
    save(w, v) {
      w.u32(v.high);
      w.u32(v.low);
    },
    load(r, current) {
      current.high = r.u32();
      current.low = r.u32();
      return current;
    },
    ...(note === undefined ? {} : { note }),
  };
}
/** 64-bit registers that use all their bits. */
export function big64(initial = 0n, note?: string): FieldKind<bigint> {
  return {
    kind: 'uint64',
    size: 8,
    initial: () => initial,
    save: (w, v) => w.big64(v),
    load: (r) => r.big64(),
    ...(note === undefined ? {} : { note }),
  };
}
export function bool(initial = false, note?: string): FieldKind<boolean> {
  return {
    kind: 'bool',
    size: 1,
    initial: () => initial,
    save: (w, v) => w.u8(v ? 1 : 0),
    load: (r) => r.u8() !== 0,
    ...(note === undefined ? {} : { note }),
  };
}
/** When a timer expires on its clock, in ns; -1 while not armed. The device arms its Timer from this after loading. */
export function timer(note?: string): FieldKind<number> {
  return {
    kind: 'timer',
    size: 8,
    initial: () => -1,
    save: (w, v) => w.i64(v),
    load: (r) => r.i64(),
    ...(note === undefined ? {} : { note }),
  };
}
/** Plain bytes. */
export function buffer(bytes: number, note?: string): FieldKind<Uint8Array> {
  return {
    kind: 'buffer',
    size: bytes,
    initial: () => new Uint8Array(bytes),
    save(w, v) {
      assert(v.length === bytes, `a buffer of ${bytes} bytes holds ${v.length}`);
      w.bytes(v);
    },
    load: (r) => r.bytes(bytes),
    ...(note === undefined ? {} : { note }),
  };
}
/** Bytes that the format has and nobody uses. */
export function unused(bytes: number): FieldKind<null> {
  return {
    kind: 'unused_buffer',
    size: bytes,
    initial: () => null,
    save: (w) => w.bytes(new Uint8Array(bytes)),
    load(r) {
      r.bytes(bytes);
      return null;
    },
    fieldName: 'unused',
  };
}
export function array<T>(count: number, element: FieldKind<T>): FieldKind<T[]> {
  return {
    ...element,
    count,
    initial: () => Array.from({ length: count }, () => element.initial()),
    save: (w, v, owner) => {
      assert(v.length === count, `an array of ${count} elements holds ${v.length}`);
      for (const item of v) element.save(w, item, owner);
    },
    load: (r, current, owner) => current.map((item) => element.load(r, item, owner)),
  };
}
export function struct<F extends Fields>(description: StateDescription<F>): FieldKind<StateOf<F>> {
  return {
    kind: 'struct',
    size: 0,
    nested: description,
    initial: () => description.create(),
    save: (w, v, owner) => saveState(w, description, v as Record<string, unknown>, owner),
    load: (r, current, owner) => {
      loadState(r, description, current as Record<string, unknown>, description.version, owner);
      return current;
    },
  };
}
/** A field that older versions of the section do not have. */
export function since<T>(version: number, field: FieldKind<T>): FieldKind<T> {
  return { ...field, sinceVersion: version };
}
/** A field whose name in QEMU is not the key. */
export function named<T>(fieldName: string, field: FieldKind<T>): FieldKind<T> {
  return { ...field, fieldName };
}
