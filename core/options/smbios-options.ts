/** `-smbios`: whole structures from files, and fields of the structures that the board makes (types of DMTF DSP0134). */

import { UserError } from '../util/errors.ts';
import { encodeUtf8 } from '../util/json.ts';
import { parseUuid } from './parse-values.ts';
import { type OptDesc, type OptType, QemuOpts } from './qemu-opts.ts';

/** What a structure's fields are set to, by key. Numbers and switches are texts that have been checked. */
export type SmbiosFields = ReadonlyMap<string, string>;

/** What all `-smbios` options add up to. */
export interface SmbiosOptions {
  /** Structures as they are in files, type byte first. */
  readonly files: readonly Uint8Array[];
  /** By type: one entry for a type whose structures are described together, one for each option otherwise. */
  readonly fields: ReadonlyMap<number, readonly SmbiosFields[]>;
  /** Type 11: texts without a zero byte. */
  readonly oemStrings: readonly Uint8Array[];
}
export const NO_SMBIOS: SmbiosOptions = { files: [], fields: new Map(), oemStrings: [] };

/** Kinds of onboard devices (type 41), numbered from 1. */
export const DEVICE_KINDS: readonly string[] = 'other unknown video scsi ethernet tokenring sound pata sata sas'.split(
  ' ',
);

/** How a file is read: its bytes, or why not. */
export type ReadBytes = (path: string) => { readonly bytes: Uint8Array } | { readonly error: string };

const LARGEST_TYPE = 127;
const LARGEST_CPU_SPEED = 0xffff;
const HEADER_BYTES = 4;
const OEM_STRINGS = 11;
/** Types that each option adds a structure of. */
const LISTED = new Set([8, 41]);

const keys = (type: OptType, names: string): OptDesc[] => names.split(' ').map((name) => ({ name, type }));
const FILE_KEYS = keys('string', 'file');
const TYPE_KEYS: ReadonlyMap<number, readonly OptDesc[]> = new Map([
  [0, [...keys('string', 'vendor version date release'), ...keys('bool', 'uefi')]],
  [1, keys('string', 'manufacturer product version serial uuid sku family')],
  [2, keys('string', 'manufacturer product version serial asset location')],
  [3, keys('string', 'manufacturer version serial asset sku')],
  [
    4,
    [
      ...keys('string', 'sock_pfx manufacturer version serial asset part'),
      ...keys('number', 'max-speed current-speed processor-id'),
    ],
  ],
  [8, [...keys('string', 'internal_reference external_reference'), ...keys('number', 'connector_type port_type')]],
  [OEM_STRINGS, keys('string', 'value path')],
  [17, [...keys('string', 'loc_pfx bank manufacturer serial asset part'), ...keys('number', 'speed')]],
  [41, [...keys('string', 'designation kind'), ...keys('number', 'instance'), ...keys('string', 'pcidev')]],
]);

/** Takes the options one by one, as QEMU does: what is wrong with one is said before the next is looked at. */
export class SmbiosCollector implements SmbiosOptions {
  readonly files: Uint8Array[] = [];
  readonly fields = new Map<number, SmbiosFields[]>();
  readonly oemStrings: Uint8Array[] = [];
  private readonly typesOfFiles = new Set<number>();
  private readonly typesWithFields = new Set<number>();
  private readonly read: ReadBytes;

  constructor(read: ReadBytes) {
    this.read = read;
  }

  /** @returns the machine's UUID, if it is set here @throws UserError in QEMU's words */
  add(opts: QemuOpts): string | undefined {
    const path = opts.get('file');
    if (path !== undefined) {
      validate(opts, FILE_KEYS);
      this.addFile(path);
      return undefined;
    }
    if (!opts.has('type')) throw new UserError('Must specify type= or file=');
    const type = opts.getNumber('type', 0);
    if (type > LARGEST_TYPE) throw new UserError('out of range!');
    if (this.typesOfFiles.has(type)) throw new UserError("can't add fields, binary file already loaded!");
    const known = TYPE_KEYS.get(type);
    if (!known) throw new UserError(`Don't know how to build fields for SMBIOS type ${type}`);
    this.typesWithFields.add(type);
    const given = validate(opts, [...keys('number', 'type'), ...known]);
    checkFields(type, given);
    if (type === OEM_STRINGS) this.addOemStrings(given);
    else this.addFields(type, known, given);
    const uuid = type === 1 ? given.get('uuid') : undefined;
    return uuid === undefined ? undefined : parseUuid(uuid);
  }

  private addFile(path: string): void {
    const found = this.read(path);
    if ('error' in found || found.bytes.length < HEADER_BYTES) throw new UserError(`Cannot read SMBIOS file ${path}`);
    const type = found.bytes[0]!;
    if (this.typesWithFields.has(type))
      throw new UserError(`can't load type ${type} struct, fields already specified!`);
    this.typesOfFiles.add(type);
    this.files.push(found.bytes);
  }

  private addOemStrings(given: QemuOpts): void {
    for (const [key, value] of given.entries())
      if (key === 'value') this.oemStrings.push(encodeUtf8(value));
      else if (key === 'path') this.oemStrings.push(this.oemStringOf(value));
  }
  private oemStringOf(path: string): Uint8Array {
    const found = this.read(path);
    // A folder can be opened, but not read.
    if ('error' in found)
      throw new UserError(
        found.error === 'Is a directory'
          ? `Unable to read from ${path}: ${found.error}`
          : `Could not open '${path}': ${found.error}`,
      );
    if (found.bytes.includes(0)) throw new UserError(`NUL in OEM strings value in ${path}`);
    return found.bytes;
  }

  /** Texts stay until another option gives new ones; a number or a switch holds for the last option of its type alone. */
  private addFields(type: number, known: readonly OptDesc[], given: QemuOpts): void {
    const isListed = LISTED.has(type);
    const merged = new Map(isListed ? [] : this.fields.get(type)?.[0]);
    for (const { name, type: kind } of known) {
      const value = given.get(name);
      if (value !== undefined) merged.set(name, value);
      else if (kind !== 'string') merged.delete(name);
    }
    this.fields.set(type, isListed ? [...(this.fields.get(type) ?? []), merged] : [merged]);
  }
}

/** The same settings under the keys of their type. @throws UserError for the first that does not fit */
function validate(opts: QemuOpts, desc: readonly OptDesc[]): QemuOpts {
  const checked = new QemuOpts({ name: 'smbios', desc }, opts.id, opts.location);
  for (const [name, value] of opts.entries()) checked.set(name, value);
  return checked;
}

/** What the values' kinds do not say. */
function checkFields(type: number, given: QemuOpts): void {
  const release = given.get('release');
  if (type === 0 && release !== undefined) parseRelease(release);
  const uuid = given.get('uuid');
  if (type === 1 && uuid !== undefined && parseUuid(uuid) === undefined) throw new UserError('Invalid UUID');
  if (type === 4)
    for (const name of ['max-speed', 'current-speed'])
      if (given.getNumber(name, 0) > LARGEST_CPU_SPEED)
        throw new UserError(`SMBIOS CPU speed is too large (> ${LARGEST_CPU_SPEED})`);
  const kind = given.get('kind');
  if (type === 41 && kind !== undefined && !DEVICE_KINDS.includes(kind))
    throw new UserError(`invalid parameter value: ${kind}`);
}

/** `MAJOR.MINOR`; what follows does not count. */
export function parseRelease(text: string): readonly [number, number] {
  const match = /^\s*([+-]?\d+)\.\s*([+-]?\d+)/.exec(text);
  if (!match) throw new UserError('Invalid release');
  return [Number(match[1]), Number(match[2])];
}
