/** QemuOpts: named groups of `key=value` lists, with descriptions, ids, implied first keys and QEMU's messages.
 *  Syntax: `key=value,key=value`; a comma inside a value is doubled; a bare `flag` or `noflag` is the old boolean form. */

import { UserError } from '../util/errors.ts';
import { type Location, NO_LOCATION, withLocation } from './location.ts';
import { checkId, isHelpWord, parseBool, parseNumber, parseSize } from './parse-values.ts';

export type OptType = 'string' | 'bool' | 'number' | 'size';

/** One key that a group knows. */
export interface OptDesc {
  readonly name: string;
  readonly type: OptType;
  readonly help?: string;
  /** Value used when the key is absent. */
  readonly default?: string;
}

/** What a group is, as data. A group without descriptions takes any key (its consumer checks them). */
export interface OptsGroup {
  readonly name: string;
  /** Key of a first value written without one. */
  readonly impliedKey?: string;
  /** All lists without id are one list; an id is not allowed. */
  readonly mergeLists?: boolean;
  readonly desc: readonly OptDesc[];
}

/** Told when the deprecated `flag` form is used: the report's text and its second line. */
export type FlagWarning = (text: string, hint: string) => void;

export interface ParseSettings {
  /** Whether the group's implied key applies (QEMU's permit_abbrev). */
  readonly allowImplied: boolean;
  readonly location: Location;
  readonly warn?: FlagWarning;
}

/** The text asked for help (`help` or `?` in a group with descriptions): print `helpText` instead. */
export class OptsHelpWanted extends Error {
  readonly group: OptsGroup;
  constructor(group: OptsGroup) {
    super(`help on ${group.name}`);
    this.name = 'OptsHelpWanted';
    this.group = group;
  }
}

/** One `key=value,...` list, in the order it was written. The last of several equal keys counts. */
export class QemuOpts {
  readonly group: OptsGroup;
  readonly id: string | undefined;
  readonly location: Location;
  private readonly items: { readonly name: string; readonly value: string }[] = [];

  constructor(group: OptsGroup, id: string | undefined, location: Location) {
    this.group = group;
    this.id = id;
    this.location = location;
  }

  /** Adds a setting; the key must be one of the group's, if the group has any, and the value must suit its type. */
  set(name: string, value: string): void {
    const desc = this.describe(name);
    if (desc) checkValue(desc, value);
    this.items.push({ name, value });
  }

  get(name: string): string | undefined {
    for (let i = this.items.length - 1; i >= 0; i--) if (this.items[i]!.name === name) return this.items[i]!.value;
    return this.group.desc.find((desc) => desc.name === name)?.default;
  }
  has(name: string): boolean {
    return this.items.some((item) => item.name === name);
  }
  getBool(name: string, fallback: boolean): boolean {
    const text = this.get(name);
    return text === undefined ? fallback : parseBool(name, text);
  }
  getNumber(name: string, fallback: number): number {
    const text = this.get(name);
    return text === undefined ? fallback : Number(parseNumber(name, text));
  }
  getSize(name: string, fallback: bigint): bigint {
    const text = this.get(name);
    return text === undefined ? fallback : parseSize(name, text);
  }

  /** Every setting in order, repeated keys included (qemu_opt_foreach). */
  entries(): readonly (readonly [string, string])[] {
    return this.items.map((item) => [item.name, item.value] as const);
  }

  /** Parses `text` into this list, as parameters after those already there. */
  parse(text: string, settings: Omit<ParseSettings, 'location'>): void {
    const anyKey = this.group.desc.length === 0;
    for (const { name, value, flag } of scanParameters(
      text,
      settings.allowImplied ? this.group.impliedKey : undefined,
    )) {
      if (flag && !anyKey && isHelpWord(name)) throw new OptsHelpWanted(this.group);
      if (flag && !isHelpWord(name)) warnFlag(name, value, settings.warn);
      if (name === 'id') continue; // taken when the list was made
      this.set(name, value);
    }
  }

  private describe(name: string): OptDesc | undefined {
    if (this.group.desc.length === 0) return undefined;
    const desc = this.group.desc.find((each) => each.name === name);
    if (!desc) throw new UserError(`Invalid parameter '${name}'`);
    return desc;
  }
}

function checkValue(desc: OptDesc, value: string): void {
  if (desc.type === 'bool') parseBool(desc.name, value);
  else if (desc.type === 'number') parseNumber(desc.name, value);
  else if (desc.type === 'size') parseSize(desc.name, value);
}

function warnFlag(name: string, value: string, warn: FlagWarning | undefined): void {
  const written = value === 'off' ? `no${name}` : name;
  // `nodelay` is a key of its own kind: the flag form meant the opposite of `delay`.
  const remedy = name === 'delay' ? `nodelay=${value === 'off' ? 'on' : 'off'}` : `${name}=${value}`;
  warn?.(`short-form boolean option '${written}' deprecated`, `Please use ${remedy} instead`);
}

interface Parameter {
  readonly name: string;
  readonly value: string;
  /** Written without `=`. */
  readonly flag: boolean;
}

/** Splits `a=b,,c,flag` into parameters. */
export function scanParameters(text: string, impliedKey?: string): Parameter[] {
  const found: Parameter[] = [];
  let at = 0;
  while (at < text.length) {
    let end = at;
    while (end < text.length && text[end] !== '=' && text[end] !== ',') end++;
    if (text[end] === '=') {
      const { value, next } = scanValue(text, end + 1);
      found.push({ name: text.slice(at, end), value, flag: false });
      at = next;
    } else if (at === 0 && impliedKey !== undefined) {
      const { value, next } = scanValue(text, 0);
      found.push({ name: impliedKey, value, flag: false });
      at = next;
    } else {
      const word = text.slice(at, end);
      const negated = word.startsWith('no');
      found.push({ name: negated ? word.slice(2) : word, value: negated ? 'off' : 'on', flag: true });
      at = end + 1;
    }
  }
  return found;
}

/** A value up to a single comma; doubled commas stand for one. */
function scanValue(text: string, from: number): { value: string; next: number } {
  let value = '';
  let at = from;
  for (;;) {
    const comma = text.indexOf(',', at);
    if (comma < 0) return { value: value + text.slice(at), next: text.length };
    value += text.slice(at, comma);
    if (text[comma + 1] !== ',') return { value, next: comma + 1 };
    value += ',';
    at = comma + 2;
  }
}

/** Doubles commas: what a value needs to survive `parse`. */
export function escapeValue(value: string): string {
  return value.replaceAll(',', ',,');
}

/** All lists of one group. */
export class QemuOptsList {
  readonly group: OptsGroup;
  private lists: QemuOpts[] = [];

  constructor(group: OptsGroup) {
    this.group = group;
  }

  find(id: string | undefined): QemuOpts | undefined {
    return this.lists.find((opts) => opts.id === id);
  }

  /** Makes an empty list (qemu_opts_create). With `mustBeNew` an id in use is an error, otherwise that list is returned. */
  create(id: string | undefined, mustBeNew: boolean, location: Location = NO_LOCATION): QemuOpts {
    if (this.group.mergeLists) {
      if (id !== undefined) throw new UserError("Invalid parameter 'id'");
      const merged = this.find(undefined);
      if (merged) return merged;
    } else if (id !== undefined) {
      checkId(id);
      const existing = this.find(id);
      if (existing && mustBeNew) throw new UserError(`Duplicate ID '${id}' for ${this.group.name}`);
      if (existing) return existing;
    }
    const opts = new QemuOpts(this.group, id, location);
    this.lists.push(opts);
    return opts;
  }

  /** Parses an option's argument into a new list (or the merged one). Nothing is kept when it fails. */
  parse(text: string, settings: ParseSettings): QemuOpts {
    const before = [...this.lists];
    return withLocation(settings.location, () => {
      const impliedKey = settings.allowImplied ? this.group.impliedKey : undefined;
      const id = scanParameters(text, impliedKey).find((each) => each.name === 'id' && !each.flag)?.value;
      const opts = this.create(id, true, settings.location);
      try {
        opts.parse(text, settings);
      } catch (error) {
        this.lists = before;
        throw error;
      }
      return opts;
    });
  }

  remove(opts: QemuOpts): void {
    this.lists = this.lists.filter((each) => each !== opts);
  }

  all(): readonly QemuOpts[] {
    return this.lists;
  }
}

/** Calls `body` for each list in order, with that list's location for errors. */
export function qemuOptsForeach(list: QemuOptsList, body: (opts: QemuOpts) => void): void {
  for (const opts of [...list.all()]) withLocation(opts.location, () => body(opts));
}

const TYPE_NOTES: Readonly<Record<OptType, string>> = {
  string: 'str',
  bool: 'bool (on/off)',
  number: 'num',
  size: 'size',
};

/** What `-GROUP help` prints. */
export function groupHelpText(group: OptsGroup): string {
  if (group.desc.length === 0) return `There are no options for ${group.name} yet.\n`;
  const lines = [...group.desc]
    .map((desc) => {
      const note = desc.help ? ` - ${desc.help}` : '';
      return `  ${desc.name}=<${TYPE_NOTES[desc.type]}>${note}`;
    })
    .sort();
  return `${group.name} options:\n${lines.join('\n')}\n`;
}
