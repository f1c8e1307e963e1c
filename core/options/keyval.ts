/** The newer `key=value` syntax (-machine, -smp, -boot, -display): dotted keys make trees, flags do not exist, a key
 *  repeated with a value takes the last one. */

import { UserError } from '../util/errors.ts';
import { isHelpWord } from './parse-values.ts';

/** A tree of texts. */
export interface KeyvalDict {
  [key: string]: string | KeyvalDict;
}

export interface KeyvalResult {
  readonly dict: KeyvalDict;
  /** A bare `help` or `?` stood among the settings. */
  readonly helpWanted: boolean;
}

/** A tree without a prototype: `__proto__` and friends are keys like any other. */
export function emptyDict(): KeyvalDict {
  return Object.create(null) as KeyvalDict;
}

/** Parses `text`, merging into `into` where given. */
export function parseKeyval(text: string, impliedKey?: string, into: KeyvalDict = emptyDict()): KeyvalResult {
  let helpWanted = false;
  let at = 0;
  let implied = impliedKey;
  while (at < text.length) {
    const end = findKeyEnd(text, at);
    if (implied !== undefined && text[end] !== '=' && end > at) {
      // A value without its key ends at the first comma; commas are doubled only after `key=`.
      const value = text.slice(at, end);
      implied = undefined;
      at = end + 1;
      if (isHelpWord(value)) helpWanted = true;
      else put(into, impliedKey!, value);
      continue;
    }
    implied = undefined;
    const key = text.slice(at, end);
    if (text[end] !== '=') {
      if (isHelpWord(key)) {
        helpWanted = true;
        at = end + 1;
        continue;
      }
      if (key === '') throw new UserError("Invalid parameter ''");
      throw new UserError(`Expected '=' after parameter '${key}'`);
    }
    const { value, next } = scanValue(text, end + 1);
    put(into, key, value);
    at = next;
  }
  return { dict: into, helpWanted };
}

function findKeyEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && text[end] !== '=' && text[end] !== ',') end++;
  return end;
}

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

/** Puts a dotted key into the tree. */
export function put(dict: KeyvalDict, key: string, value: string): void {
  const parts = key.split('.');
  if (parts.length > 64) throw new UserError(`Parameter '${key}' is nested too deeply`);
  let node = dict;
  parts.forEach((part, index) => {
    const valid = index === 0 ? /^[A-Za-z_][A-Za-z0-9_-]*$/ : /^(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]+)$/;
    if (!valid.test(part)) throw new UserError(`Invalid parameter '${key}'`);
    const path = parts.slice(0, index + 1).join('.');
    const existing = node[part];
    if (index === parts.length - 1) {
      if (typeof existing === 'object') throw new UserError(`Parameters '${path}.*' used inconsistently`);
      node[part] = value;
      return;
    }
    if (typeof existing === 'string') throw new UserError(`Parameters '${path}.*' used inconsistently`);
    node = existing ?? addDict(node, part);
  });
}

function addDict(node: KeyvalDict, key: string): KeyvalDict {
  const added = emptyDict();
  node[key] = added;
  return added;
}

/** The tree as dotted keys in order of insertion. */
export function flattenKeyval(dict: KeyvalDict, prefix = ''): [string, string][] {
  return Object.entries(dict).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string' ? [[prefix + key, value]] : flattenKeyval(value, `${prefix}${key}.`),
  );
}
