/** Text to values as option values are written: switches, numbers, sizes, ids, UUIDs. Messages are QEMU's. */

import { UserError } from '../util/errors.ts';

const TRUE_WORDS = new Set(['on', 'yes', 'true', 'y']);
const FALSE_WORDS = new Set(['off', 'no', 'false', 'n']);
const SIZE_SHIFTS: Readonly<Record<string, number>> = { B: 0, K: 10, M: 20, G: 30, T: 40, P: 50, E: 60 };
const UINT64_LIMIT = 1n << 64n;

const SIZE_HINT =
  'Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.';
const ID_HINT = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/** The text of `Parameter 'x' expects ...`, said in one place. */
export function parameterExpects(name: string, what: string, hint = ''): UserError {
  return new UserError(`Parameter '${name}' expects ${what}`, hint);
}

export function parseBool(name: string, text: string): boolean {
  if (TRUE_WORDS.has(text)) return true;
  if (FALSE_WORDS.has(text)) return false;
  throw parameterExpects(name, "'on' or 'off'");
}

/** A C integer literal (decimal, 0x, leading 0 for octal), optional sign; undefined when the text is not exactly one. */
export function scanInteger(text: string): bigint | undefined {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.exec(text);
  if (!match) return undefined;
  const digits = match[2]!;
  const magnitude = /^0[0-7]+$/.test(digits) ? BigInt(`0o${digits.slice(1)}`) : BigInt(digits);
  return match[1] === '-' ? -magnitude : magnitude;
}

/** An unsigned 64-bit number; a negative one wraps, as strtoull has it. */
export function parseNumber(name: string, text: string): bigint {
  const value = scanInteger(text);
  if (value === undefined) throw parameterExpects(name, 'a number');
  if (value >= UINT64_LIMIT || value <= -UINT64_LIMIT) {
    throw new UserError(`Value '${text}' is too large for parameter '${name}'`);
  }
  return BigInt.asUintN(64, value);
}

/** What `scanSize` found wrong. */
export type SizeProblem = 'syntax' | 'range';

/** Bytes from `12`, `1.5G`, `0x1000`; `unit` applies when there is no suffix. A fraction needs a unit above bytes. */
export function scanSize(text: string, unit = 'B'): bigint | SizeProblem {
  const match = /^\s*\+?(?:(0[xX][0-9a-fA-F]+)|([0-9]+)(?:\.([0-9]*))?)([a-zA-Z]?)$/.exec(text);
  if (!match) return 'syntax';
  const [, hex, whole, fraction = '', suffix] = match;
  const shift = SIZE_SHIFTS[(suffix || unit).toUpperCase()];
  if (shift === undefined) return 'syntax';
  let bytes = BigInt(hex ?? whole ?? '0') << BigInt(shift);
  const significant = fraction.replace(/0+$/, '');
  if (significant !== '') {
    if (shift === 0) return 'syntax';
    // Round to nearest: only the whole bytes of the fraction count.
    const scale = 10n ** BigInt(Math.min(significant.length, 30));
    bytes += ((BigInt(significant.slice(0, 30)) << BigInt(shift)) + scale / 2n) / scale;
  }
  return bytes < UINT64_LIMIT ? bytes : 'range';
}

export function parseSize(name: string, text: string): bigint {
  const size = scanSize(text);
  if (size === 'syntax') throw parameterExpects(name, 'a non-negative number below 2^64', SIZE_HINT);
  if (size === 'range') throw new UserError(`Value '${text}' is out of range for parameter '${name}'`);
  return size;
}

export function isWellFormedId(id: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]*$/.test(id);
}

/** Ids of the user's choice: a letter, then letters, digits, `-`, `.`, `_`. */
export function checkId(id: string): void {
  if (!isWellFormedId(id)) throw parameterExpects('id', 'an identifier', ID_HINT);
}

/** The canonical lower-case form of a UUID, or undefined. */
export function parseUuid(text: string): string | undefined {
  return /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/.test(text) ? text.toLowerCase() : undefined;
}

export function isHelpWord(text: string): boolean {
  return text === 'help' || text === '?';
}
