/** The small parts of the app: window place, lock of the data folder, file dialog, keys. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchFolder } from '../../tests/manager/sample-machine.ts';
import { keysForCharacter } from '../machines/key-names.ts';
import { identifyProcess, isAlive, signalProcess } from '../machines/process-identity.ts';
import { RunDirectory } from '../machines/run-directory.ts';
import { browseFiles } from './browse-files.ts';
import { lockDataDir, takeDataDir } from './data-lock.ts';
import { chooseDataDir } from './host.ts';
import { placeWindow, readWindowState, writeWindowState } from './window-state.ts';

describe('the window', () => {
  const screen = { x: 0, y: 0, width: 1920, height: 1080 };
  const at = (x: number, y: number) => ({ bounds: { x, y, width: 1000, height: 700 }, maximized: false });

  it('comes back where it was', () => {
    const path = join(scratchFolder(), 'deep', 'window.json');
    writeWindowState(path, at(100, 50));
    expect(placeWindow(readWindowState(path), [screen])).toEqual({ x: 100, y: 50, width: 1000, height: 700 });
  });

  it.each([
    ['of which nothing is known', undefined],
    ['on a screen that is gone', at(2500, 100)],
    ['whose title bar would be above the screen', at(100, -500)],
    ['that is off to the left', at(-950, 100)],
  ])('%s gets the default place', (_what, state) => {
    expect(placeWindow(state, [screen])).toEqual({ width: 1280, height: 800 });
  });

  it('fits a small screen, and a damaged note is ignored', () => {
    expect(placeWindow(undefined, [{ x: 0, y: 0, width: 1024, height: 600 }])).toEqual({ width: 1024, height: 600 });
    const path = join(scratchFolder(), 'window.json');
    writeFileSync(path, '{"bounds": 3');
    expect(readWindowState(path)).toBeUndefined();
  });
});

describe('the lock of a data folder', () => {
  it('is held by one, and names the holder', () => {
    const folder = scratchFolder();
    const unlock = lockDataDir(folder);
    expect(() => lockDataDir(folder)).toThrow(new RegExp(`running already .*process ${process.pid}`));
    unlock();
    lockDataDir(folder)();
  });

  it('is refused in one sentence where no folder can be', () => {
    const file = join(scratchFolder(), 'file');
    writeFileSync(file, 'kept');
    expect(() => takeDataDir(file, join(file, 'media'))).toThrow(
      /^The data folder .*file cannot be used \(ENOTDIR.*--data-dir/,
    );
    expect(readFileSync(file, 'utf8')).toBe('kept');
  });

  it.each([
    ['of a process that is gone', JSON.stringify({ pid: 2 ** 30, startTime: 'x' })],
    ['whose number belongs to another process now', JSON.stringify({ pid: process.pid, startTime: 'earlier' })],
    ['that was never finished', '{"pid"'],
  ])('left over %s does not count', (_what, content) => {
    const folder = scratchFolder();
    writeFileSync(join(folder, 'lock'), content);
    const unlock = lockDataDir(folder);
    expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid });
    unlock();
  });
});

describe('a process', () => {
  it('is known by number and start time', () => {
    const me = identifyProcess(process.pid)!;
    expect(isAlive(me)).toBe(true);
    expect(isAlive({ ...me, startTime: `${me.startTime}0` })).toBe(false);
    expect(signalProcess({ ...me, startTime: 'other' }, 'SIGKILL')).toBe(false);
    for (const pid of [0, 1, -1, 2 ** 30, 1.5, Number.NaN]) expect(identifyProcess(pid)).toBeUndefined();
  });
});

describe('the run directory', () => {
  it('has room for its sockets however long the data folder and XDG_RUNTIME_DIR are', () => {
    const runtime = join(scratchFolder(), 'x'.repeat(100));
    mkdirSync(runtime);
    const { endpoints } = new RunDirectory('/d'.repeat(200), 'id', { XDG_RUNTIME_DIR: runtime });
    expect(Buffer.byteLength(endpoints.serial[3]!)).toBeLessThan(104);
    const short = scratchFolder();
    const { path } = new RunDirectory('/d', 'id', { XDG_RUNTIME_DIR: short });
    expect(path.startsWith(join(short, 'terrarium'))).toBe(true);
    expect(new RunDirectory('/d', 'id', { XDG_RUNTIME_DIR: short }).path).toBe(path);
    expect(new RunDirectory('/e', 'id', { XDG_RUNTIME_DIR: short }).path).not.toBe(path);
  });

  it('refuses a link that somebody has put in its place', () => {
    const runtime = scratchFolder();
    const elsewhere = scratchFolder();
    symlinkSync(elsewhere, join(runtime, 'terrarium'));
    expect(new RunDirectory('/d', 'id', { XDG_RUNTIME_DIR: runtime }).path.startsWith(runtime)).toBe(false);
  });
});

describe('browseFiles', () => {
  it('lists folders first and files that suit, in natural order', async () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'zoo'));
    for (const name of ['disc10.iso', 'disc9.ISO', 'notes.txt', '.hidden.iso', 'disk.img'])
      writeFileSync(join(folder, name), 'x');
    symlinkSync('/nowhere', join(folder, 'dangling.iso'));
    const names = async (filter: 'iso' | 'disk' | 'folders' | 'all') =>
      (await browseFiles(folder, filter, [])).entries.map(({ name }) => name);
    expect(await names('iso')).toEqual(['zoo', 'disc9.ISO', 'disc10.iso', 'disk.img']);
    expect(await names('folders')).toEqual(['zoo']);
    expect(await names('all')).toEqual(['zoo', 'disc9.ISO', 'disc10.iso', 'disk.img', 'notes.txt']);
    expect((await browseFiles(join(folder, 'disk.img'), 'all', [])).path).toBe(folder);
    expect((await browseFiles(join(folder, 'gone', 'deeper'), 'all', [])).path).toBe(folder);
  });

  it('does not wander about in the kernel', async () => {
    expect((await browseFiles('/proc/self', 'all', [])).entries).toEqual([]);
    const root = await browseFiles('/', 'all', []);
    expect(root.parent).toBeNull();
    expect(root.entries.map(({ name }) => name)).not.toContain('proc');
  });
});

it('keysForCharacter knows every printable character of ASCII', () => {
  for (let code = 0x20; code < 0x7f; code++) expect(keysForCharacter(String.fromCharCode(code))).toBeDefined();
  expect(keysForCharacter('A')).toEqual(['shift', 'a']);
  expect(keysForCharacter('?')).toEqual(['shift', 'slash']);
  expect(keysForCharacter('|')).toEqual(['shift', 'backslash']);
  expect(keysForCharacter('(')).toEqual(['shift', '9']);
  expect(keysForCharacter('é')).toBeUndefined();
});

it('chooseDataDir follows option, variable and system', () => {
  expect(chooseDataDir('/a', { TERRARIUM_DATA_DIR: '/b' })).toBe('/a');
  expect(chooseDataDir(undefined, { TERRARIUM_DATA_DIR: '/b' })).toBe('/b');
  if (process.platform === 'linux') {
    expect(chooseDataDir(undefined, { XDG_DATA_HOME: '/x' })).toBe('/x/terrarium');
    expect(chooseDataDir(undefined, {})).toMatch(/\/\.local\/share\/terrarium$/);
  }
});
