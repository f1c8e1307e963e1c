/** ACPI machine language (ACPI specification 6.4, chapter 20): terms as byte lists, each function one production of the grammar. */

export type Aml = readonly number[];

const OP = { name: 0x08, scope: 0x10, buffer: 0x11, package: 0x12, method: 0x14, ext: 0x5b } as const;
const EXT = { mutex: 0x01, region: 0x80, field: 0x81, device: 0x82, processor: 0x83 } as const;
const END_TAG = [0x79, 0x00];

/** Little-endian bytes of a number. */
export function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);
}

/** A length in 1 to 4 bytes: the first tells how many follow (20.2.4). */
function lengthBytes(value: number): number[] {
  if (value < 0x40) return [value];
  const following = value < 2 ** 12 ? 1 : value < 2 ** 20 ? 2 : 3;
  return [(following << 6) | (value & 15), ...le(Math.floor(value / 16), following)];
}
/** A package: its length counts the length itself. */
function sized(content: Aml): number[] {
  let bytes = lengthBytes(content.length + 1);
  for (let own = 2; bytes.length !== own - 1; own++) bytes = lengthBytes(content.length + own);
  return [...bytes, ...content];
}

function segment(text: string): number[] {
  return [...text.padEnd(4, '_')].map((c) => c.charCodeAt(0));
}
/** `\`, `NAME`, `\A.B`, `A.B.C` (20.2.2). */
export function name(path: string): Aml {
  const root = path.startsWith('\\') ? [0x5c] : [];
  const parts = path.replace('\\', '').split('.').filter(Boolean);
  const prefix = parts.length === 2 ? [0x2e] : parts.length > 2 ? [0x2f, parts.length] : [];
  return [...root, ...prefix, ...(parts.length === 0 ? [0] : parts.flatMap(segment))];
}
/** The shortest form of an integer. */
export function int(value: number): Aml {
  if (value < 2) return [value];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x1_0000) return [0x0b, ...le(value, 2)];
  return value < 2 ** 32 ? [0x0c, ...le(value, 4)] : [0x0e, ...le(value, 8)];
}
export function text(value: string): Aml {
  return [0x0d, ...[...value].map((c) => c.charCodeAt(0)), 0];
}
/** Compressed identification of a plug and play device: `PNP0A03` (19.3.4). */
export function eisaId(id: string): Aml {
  const letters = [0, 1, 2].reduce((bits, i) => (bits << 5) | (id.charCodeAt(i) - 0x40), 0);
  const digits = Number.parseInt(id.slice(3), 16);
  return [0x0c, letters >> 8, letters & 0xff, digits >> 8, digits & 0xff];
}

export const named = (path: string, value: Aml): Aml => [OP.name, ...name(path), ...value];
export const scope = (path: string, ...terms: Aml[]): Aml => [OP.scope, ...sized([...name(path), ...terms.flat()])];
export const device = (path: string, ...terms: Aml[]): Aml => [
  OP.ext,
  EXT.device,
  ...sized([...name(path), ...terms.flat()]),
];
export const processor = (path: string, id: number, ...terms: Aml[]): Aml => [
  OP.ext,
  EXT.processor,
  ...sized([...name(path), id, 0, 0, 0, 0, 0, ...terms.flat()]),
];
export function method(path: string, argumentCount: number, isSerialized: boolean, ...terms: Aml[]): Aml {
  return [OP.method, ...sized([...name(path), argumentCount | (isSerialized ? 8 : 0), ...terms.flat()])];
}
export const aPackage = (...items: Aml[]): Aml => [OP.package, ...sized([items.length, ...items.flat()])];
/** A package of so many elements that are filled in later. */
export const emptyPackage = (count: number): Aml => [OP.package, ...sized([count])];
export const buffer = (bytes: Aml): Aml => [OP.buffer, ...sized([...int(bytes.length), ...bytes])];

export const SPACE = { memory: 0, io: 1, pciConfig: 2 } as const;
export function region(path: string, space: number, offset: number, length: number): Aml {
  return [OP.ext, EXT.region, ...name(path), space, ...int(offset), ...int(length)];
}
export const ACCESS = { byte: 1, dword: 3 } as const;
/** Fields of an operation region, in order: name and bits. Other bits of a unit are preserved. */
export function field(path: string, access: number, isLocked: boolean, ...fields: readonly [string, number][]): Aml {
  const list = fields.flatMap(([each, bits]) => [...segment(each), ...lengthBytes(bits)]);
  return [OP.ext, EXT.field, ...sized([...name(path), access | (isLocked ? 0x10 : 0), ...list])];
}

// -- expressions and statements; operators have no target of their own ------------------------------------------------

export const local = (index: number): Aml => [0x60 + index];
export const arg = (index: number): Aml => [0x68 + index];
const binary =
  (op: number) =>
  (a: Aml, b: Aml, target: Aml = [0]) => [op, ...a, ...b, ...target];
const relation = (op: number) => (a: Aml, b: Aml) => [op, ...a, ...b];
export const add = binary(0x72);
export const subtract = binary(0x74);
export const shiftLeft = binary(0x79);
export const shiftRight = binary(0x7a);
export const and = binary(0x7b);
export const or = binary(0x7d);
export const index = binary(0x88);
export const equal = relation(0x93);
export const greater = relation(0x94);
export const less = relation(0x95);
export const logicalOr = relation(0x91);
export const increment = (target: Aml): Aml => [0x75, ...target];
export const sizeOf = (value: Aml): Aml => [0x87, ...value];
export const derefOf = (value: Aml): Aml => [0x83, ...value];
export const toBuffer = (value: Aml, target: Aml): Aml => [0x96, ...value, ...target];
export const toHexString = (value: Aml, target: Aml): Aml => [0x98, ...value, ...target];
export const dwordField = (of: Aml, offset: number, path: string): Aml => [0x8a, ...of, ...int(offset), ...name(path)];
export const call = (path: string, ...args: Aml[]): Aml => [...name(path), ...args.flat()];
export const store = (value: Aml, target: Aml): Aml => [0x70, ...value, ...target];
export const giveBack = (value: Aml): Aml => [0xa4, ...value];
export const when = (condition: Aml, ...terms: Aml[]): Aml => [0xa0, ...sized([...condition, ...terms.flat()])];
export const otherwise = (...terms: Aml[]): Aml => [0xa1, ...sized(terms.flat())];
export const loop = (condition: Aml, ...terms: Aml[]): Aml => [0xa2, ...sized([...condition, ...terms.flat()])];

// -- resource descriptors (6.4) ---------------------------------------------------------------------------------------

/** A buffer of descriptors with their end tag, which leaves the checksum out. */
export const resources = (...descriptors: Aml[]): Aml => {
  const bytes = [...descriptors.flat(), ...END_TAG];
  // The size always takes a byte with its prefix, or two.
  return [OP.buffer, ...sized([...int(bytes.length), ...bytes])];
};
export const io = (base: number, alignment: number, length: number): Aml => [
  0x47,
  1,
  ...le(base, 2),
  ...le(base, 2),
  alignment,
  length,
];
export const irq = (line: number): Aml => [0x22, ...le(1 << line, 2)];
export const memory32 = (base: number, length: number): Aml => [0x86, 9, 0, 0, ...le(base, 4), ...le(length, 4)];
/** Level, active high, shared, for a consumer. */
export const interrupts = (...lines: readonly number[]): Aml => [
  0x89,
  ...le(2 + 4 * lines.length, 2),
  9,
  lines.length,
  ...lines.flatMap((line) => le(line, 4)),
];
const RANGE = { memory: 0, io: 1, bus: 2 } as const;
/** A window that a bridge passes on: both ends fixed. */
function window(type: number, special: number, bytes: number, first: number, last: number): Aml {
  const tag = { 2: 0x88, 4: 0x87, 8: 0x8a }[bytes]!;
  const numbers = [0, first, last, 0, last - first + 1].flatMap((value) => le(value, bytes));
  return [tag, ...le(3 + numbers.length, 2), type, 0x0c, special, ...numbers];
}
export const busWindow = (first: number, last: number): Aml => window(RANGE.bus, 0, 2, first, last);
export const ioWindow = (first: number, last: number): Aml => window(RANGE.io, 3, 2, first, last);
export const memoryWindow = (first: number, last: number, isCacheable: boolean): Aml =>
  window(RANGE.memory, isCacheable ? 3 : 1, last >= 2 ** 32 ? 8 : 4, first, last);
