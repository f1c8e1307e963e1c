import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codeFolder, loadProgram, readKept, writeKept } from './kept-code.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-code-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string) => join(folder, name);
const data = Buffer.from('what V8 has compiled');

describe('files of kept code', () => {
  it('are read as they were written', () => {
    for (const isWhole of [false, true]) {
      writeKept(file('a/b.bin'), { data, isWhole });
      expect(readKept(file('a/b.bin'))).toEqual({ data, isWhole });
    }
    expect(readdirSync(file('a'))).toEqual(['b.bin']);
  });

  it('are not used when they are damaged, cut, foreign or absent', () => {
    writeKept(file('code.bin'), { data, isWhole: true });
    const good = readFileSync(file('code.bin'));
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x10;
      writeFileSync(file('bad.bin'), bad);
      expect([at, readKept(file('bad.bin'))]).toEqual([at, null]);
      writeFileSync(file('bad.bin'), good.subarray(0, at));
      expect([at, readKept(file('bad.bin'))]).toEqual([at, null]);
    }
    expect(readKept(file('none.bin'))).toBe(null);
    expect(readKept(folder)).toBe(null);
  });

  it('cost nothing where they cannot be written', () => {
    writeFileSync(file('plain'), '');
    expect(() => writeKept(file('plain/code.bin'), { data, isWhole: true })).not.toThrow();
    mkdirSync(file('taken.bin'));
    expect(() => writeKept(file('taken.bin'), { data, isWhole: true })).not.toThrow();
    expect(readdirSync(folder).sort()).toEqual(['plain', 'taken.bin']);
  });

  it.skipIf(process.getuid === undefined)('are not used when others may have written them', () => {
    writeKept(file('code.bin'), { data, isWhole: true });
    for (const mode of [0o620, 0o602]) {
      chmodSync(file('code.bin'), mode);
      expect(readKept(file('code.bin'))).toBe(null);
    }
    chmodSync(file('code.bin'), 0o644);
    expect(readKept(file('code.bin'))).not.toBe(null);
    const { getuid } = process;
    process.getuid = () => getuid!() + 1;
    try {
      expect(readKept(file('code.bin'))).toBe(null);
    } finally {
      process.getuid = getuid!;
    }
  });

  it('go when nobody has written them for a month', () => {
    writeKept(file('old.bin'), { data, isWhole: true });
    writeKept(file('young.bin'), { data, isWhole: true });
    const days = (count: number) => Date.now() / 1000 - count * 86_400;
    utimesSync(file('old.bin'), days(31), days(31));
    utimesSync(file('young.bin'), days(29), days(29));
    writeKept(file('new.bin'), { data, isWhole: true });
    expect(readdirSync(folder).sort()).toEqual(['new.bin', 'young.bin']);
  });

  it('make room: the oldest go first', () => {
    for (const [age, name] of ['new.bin', 'older.bin', 'oldest.bin'].entries()) {
      writeFileSync(file(name), '');
      truncateSync(file(name), 100 << 20);
      const then = Date.now() / 1000 - 100 * (age + 1);
      utimesSync(file(name), then, then);
    }
    writeKept(file('now.bin'), { data, isWhole: true });
    expect(readdirSync(folder).sort()).toEqual(['new.bin', 'now.bin', 'older.bin']);
  });

  it('lie where caches lie', () => {
    expect(codeFolder({ XDG_CACHE_HOME: '/c', HOME: '/h' })).toBe(join('/c', 'terrarium', 'code'));
    expect(codeFolder({ HOME: '/h' })).toBe(join('/h', '.cache', 'terrarium', 'code'));
    expect(codeFolder({ LOCALAPPDATA: '/l' })).toBe(join('/l', 'terrarium', 'code'));
    expect(codeFolder({})).toBe(undefined);
  });
});

describe('a program', () => {
  /** A program of two bundles whose functions are compiled when they are called. */
  function load(build = '1', role = 'main', more = '') {
    writeFileSync(
      file('main.cjs'),
      `const { twice } = require('./shared.cjs'); exports.path = require('node:path').sep; exports.sum = (n) => twice(n) + 1;${more}`,
    );
    writeFileSync(file('shared.cjs'), 'exports.twice = (n) => 2 * n; exports.name = __filename;');
    const program = loadProgram(file('main.cjs'), role, { folder: file('code'), build });
    const { sum } = program.exports as { sum(n: number): number };
    return { ...program, sum, kept: () => program.bundles.map(({ kept }) => kept) };
  }

  it('runs with what was kept of it, which grows once', () => {
    const first = load();
    expect([first.sum(20), first.kept()]).toEqual([41, ['none', 'none']]);
    first.save(false);
    const second = load();
    expect([second.sum(20), second.kept()]).toEqual([41, ['part', 'part']]);
    second.save(false);
    expect(second.kept()).toEqual(['part', 'part']);
    second.save(true);
    const third = load();
    expect([third.sum(20), third.kept()]).toEqual([41, ['whole', 'whole']]);
    expect(readdirSync(file('code')).length).toBe(2);
  });

  it('does not use code of another build, of another role, or of a text of other length', () => {
    load().save(true);
    expect(load('2').kept()).toEqual(['none', 'none']);
    expect(load('1', 'worker').kept()).toEqual(['none', 'none']);
    const longer = load('1', 'main', ' ');
    expect([longer.sum(1), longer.kept()]).toEqual([3, ['none', 'whole']]);
  });

  it('runs each bundle once, also where they require each other', () => {
    const write = (name: string, text: string) => writeFileSync(file(name), text);
    write('a.cjs', "exports.first = 1; exports.b = require('./b.cjs'); exports.c = require('./c.cjs');");
    write('b.cjs', "exports.seen = { ...require('./a.cjs') }; exports.c = require('./c.cjs');");
    write('c.cjs', 'exports.runs = globalThis.keptRuns = (globalThis.keptRuns ?? 0) + 1;');
    const { exports, bundles } = loadProgram(file('a.cjs'), 'main', { folder: file('code'), build: '1' });
    const a = exports as { b: { seen: object; c: object }; c: { runs: number } };
    expect([a.c.runs, a.b.c === a.c, a.b.seen, bundles.length]).toEqual([1, true, { first: 1 }, 3]);
  });

  it('runs without a place to keep code', () => {
    load();
    const { exports, bundles } = loadProgram(file('main.cjs'), 'main', null);
    expect([(exports as { sum(n: number): number }).sum(3), bundles]).toEqual([7, []]);
  });

  it('ends with the error of a bundle that is not there', () => {
    expect(() => loadProgram(file('none.cjs'), 'main', null)).toThrow(/ENOENT.*none\.cjs/);
  });
});
