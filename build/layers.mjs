/** Who may import whom: reads every import of the rooms and holds it against layers.json.
 *
 *    node build/layers.mjs
 */
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'vite';
import { root } from './paths.mjs';

/** @typedef {{ specifier: string, line: number, isType: boolean }} Import */
/** @typedef {{ from: string, to: string, except: string[], why: string }} Refusal */
/** @typedef {{ room: string, imports: string[], importsTypes?: string[], packages: string[], why: string }} Room */
/** @typedef {{ order: { why: string, rows: string[] }, refused: Refusal[], rooms: Room[] }} Rules */

/** @returns {Rules} */
export const readRules = () => JSON.parse(readFileSync(join(root, 'build', 'layers.json'), 'utf8'));

/** Tests, benches and what tests are held against (`oracle/`) see what they like; the settings of a room's own tools are no part of it. */
const exempt = /\.(test|bench)\.tsx?$|(^|\/)oracle\/|(^|\/)vite\.config\.ts$|\.d\.ts$/;

/** Every breach in the checkout: one message each. */
export function breaches(rules = readRules()) {
  const files = ['core', 'electron', 'renderer'].flatMap((folder) => [...walk(folder)]);
  return files.flatMap((file) => breachesOf(file, readFileSync(join(root, file), 'utf8'), rules));
}

/** The breaches of one file. @param {string} file path from the root @param {string} source @param {Rules} rules */
export function breachesOf(file, source, rules) {
  if (exempt.test(file)) return [];
  return importsOf(file, source).flatMap((found) => {
    const why = refusal(file, found, rules);
    return why ? [`${file}:${found.line}: imports '${found.specifier}': ${why}`] : [];
  });
}

/** @param {string} file @param {Import} found @param {Rules} rules @returns {string | undefined} */
function refusal(file, found, rules) {
  const room = rules.rooms.filter((it) => isIn(file, it.room)).sort((a, b) => b.room.length - a.room.length)[0];
  if (!room) return undefined;
  if (!found.specifier.startsWith('.')) {
    const name = found.specifier;
    return room.packages.some((it) => (it.endsWith(':') ? name.startsWith(it) : isIn(name, it))) ? undefined : room.why;
  }
  const target = posix.join(posix.dirname(file), found.specifier);
  const allowed = [...room.imports, ...(found.isType ? (room.importsTypes ?? []) : [])];
  if (!allowed.some((folder) => isIn(target, folder))) return room.why;
  for (const rule of rules.refused) {
    const from = matched(file, rule.from);
    const to = matched(target, rule.to);
    if (from && to && from !== to && !rule.except.some((it) => isIn(file, it) || isIn(target, it))) return rule.why;
  }
  const here = rowOf(file, rules.order.rows);
  const there = rowOf(target, rules.order.rows);
  if (here === undefined || there === undefined) {
    if (isIn(file, 'core') && here === undefined) return 'the file is in no row of build/layers.json';
    return isIn(target, 'core') && there === undefined ? 'its target is in no row of build/layers.json' : undefined;
  }
  if (isIn(file, 'core') && there > here)
    return `${rules.order.why} (${rules.order.rows[there]} is below ${rules.order.rows[here]})`;
  return undefined;
}

/** The index of the longest row that holds a file. @param {string} file @param {string[]} rows */
function rowOf(file, rows) {
  const holding = rows.filter((row) => isIn(file, row)).sort((a, b) => b.length - a.length)[0];
  return holding === undefined ? undefined : rows.indexOf(holding);
}

/** Is `path` the file or folder `folder`, or inside it? @param {string} path @param {string} folder */
function isIn(path, folder) {
  return path === folder || path.startsWith(`${folder}/`);
}

/** The part of a path that a pattern stands for: itself, or for `folder/*` the folder one deeper.
 *  @param {string} path @param {string} pattern @returns {string | undefined} */
function matched(path, pattern) {
  if (!pattern.endsWith('/*')) return isIn(path, pattern) ? pattern : undefined;
  const folder = pattern.slice(0, -1);
  return path.startsWith(folder) ? folder + path.slice(folder.length).split('/')[0] : undefined;
}

/** @param {string} file @param {string} source @returns {Import[]} */
function importsOf(file, source) {
  const { module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const lineAt = (/** @type {number} */ offset) => source.slice(0, offset).split('\n').length;
  /** @type {Import[]} */
  const found = [];
  for (const it of module.staticImports) {
    const isType = it.entries.length > 0 && it.entries.every((entry) => entry.isType);
    found.push({ specifier: it.moduleRequest.value, line: lineAt(it.start), isType });
  }
  for (const it of module.staticExports) {
    for (const entry of it.entries) {
      if (entry.moduleRequest)
        found.push({ specifier: entry.moduleRequest.value, line: lineAt(it.start), isType: entry.isType });
    }
  }
  const dynamic = new Set(module.dynamicImports.map((it) => it.start));
  for (const it of source.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)) {
    found.push({ specifier: it[1] ?? '', line: lineAt(it.index), isType: !dynamic.has(it.index) });
  }
  return found;
}

/** @param {string} folder @returns {Generator<string>} */
function* walk(folder) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(path);
    else if (/\.tsx?$/.test(entry.name)) yield path;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const found = breaches();
  for (const line of found) console.error(line);
  process.exit(found.length > 0 ? 1 : 0);
}
