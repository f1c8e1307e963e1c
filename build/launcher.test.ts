/** The `bin` of the package: started from anywhere, through links, under any PATH, it runs our bundle on our Node. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { V8_FLAGS } from '../core/node/v8-flags.ts';
import { findEngine } from '../electron/machines/engine.ts';
import { root } from './paths.mjs';

let folder = '';
let checkout = '';
const launcher = () => join(checkout, 'build/bin/terrarium-x86_64');

/** A checkout in small: the real launcher, a `node` that prints its arguments, one line per argument. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-launcher-'));
  checkout = join(folder, 'a checkout');
  for (const part of ['build/bin', 'node_modules/node/bin', 'dist'])
    mkdirSync(join(checkout, part), { recursive: true });
  copyFileSync(join(root, 'build/bin/terrarium-x86_64'), launcher());
  program(join(checkout, 'node_modules/node/bin/node'), 'for a in "$@"; do echo "$a"; done; exit 7');
  writeFileSync(join(checkout, 'dist/terrarium-x86_64.mjs'), '');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(path: string, script: string) {
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** The arguments that the bundle got. */
function start(command: string, args: string[], options: { cwd?: string; path?: string } = {}) {
  const env = { PATH: options.path ?? '/usr/bin:/bin' };
  const { stdout, stderr, status } = spawnSync(command, args, { cwd: options.cwd ?? '/', env, encoding: 'utf8' });
  const lines = stdout.split('\n').slice(0, -1);
  const bundle = lines.findIndex((line) => line.endsWith('/dist/terrarium-x86_64.mjs'));
  return { flags: lines.slice(0, bundle), bundle: lines[bundle], args: lines.slice(bundle + 1), status, stderr };
}

describe('terrarium-x86_64', () => {
  it('passes its arguments as they are, and the exit code back', () => {
    const args = ['-name', 'a  b', '', '-append', 'x="$HOME" *', '-drive', 'file=a,,b'];
    const run = start(launcher(), args);
    expect(run).toMatchObject({ args, status: 7, stderr: '' });
  });

  it('is found through absolute and relative symbolic links, from any directory', () => {
    symlinkSync(launcher(), join(folder, 'absolute'));
    symlinkSync('absolute', join(folder, 'relative'));
    mkdirSync(join(checkout, 'node_modules/.bin'));
    symlinkSync('../../build/bin/terrarium-x86_64', join(checkout, 'node_modules/.bin/terrarium-x86_64'));
    expect(start(join(folder, 'relative'), ['-S']).args).toEqual(['-S']);
    expect(start('./relative', ['-S'], { cwd: folder }).args).toEqual(['-S']);
    expect(start('./node_modules/.bin/terrarium-x86_64', ['-S'], { cwd: checkout }).args).toEqual(['-S']);
    const onPath = { path: `${join(checkout, 'node_modules/.bin')}:/usr/bin:/bin` };
    expect(start('terrarium-x86_64', ['-S'], onPath).args).toEqual(['-S']);
    expect(start('./terrarium-x86_64', ['-S'], { cwd: join(checkout, 'build/bin') }).args).toEqual(['-S']);
    expect(start('sh', ['terrarium-x86_64', '-S'], { cwd: join(checkout, 'build/bin') }).args).toEqual(['-S']);
  });

  it('gives Node the flags that the app gives it, and those that the program would otherwise set itself', () => {
    const { flags } = start(launcher(), ['-S']);
    const ofApp = findEngine(root, {}).prefix.filter((word) => word.startsWith('--'));
    expect(flags.filter((flag) => !flag.startsWith('--disable-warning')).sort()).toEqual(ofApp.sort());
    expect(flags).toEqual(expect.arrayContaining([...V8_FLAGS]));
  });

  it('does not care for the node on PATH', () => {
    const wrong = join(folder, 'wrong');
    mkdirSync(wrong);
    program(join(wrong, 'node'), 'echo wrong node; exit 1');
    expect(start(launcher(), ['-S'], { path: `${wrong}:/usr/bin:/bin` })).toMatchObject({ args: ['-S'], status: 7 });
  });

  it('sets up first when there is no bundle, keeping standard output clean', () => {
    rmSync(join(checkout, 'dist'), { recursive: true });
    const node = join(checkout, 'node_modules/node/bin/node');
    const setUp = `mkdir -p "${checkout}/dist"; : > "${checkout}/dist/terrarium-x86_64.mjs"; echo building; cat`;
    program(node, `case $1 in */build/setup.mjs) ${setUp};; *) for a in "$@"; do echo "$a"; done;; esac`);
    const run = start(launcher(), ['-version']);
    expect(run).toMatchObject({ args: ['-version'], status: 0, stderr: 'building\n' });
  });

  it('says what to install when there is no Node at all', () => {
    rmSync(join(checkout, 'node_modules'), { recursive: true });
    const bare = join(folder, 'bare');
    mkdirSync(bare);
    symlinkSync('/bin/sh', join(bare, 'sh'));
    const run = start(launcher(), ['-version'], { path: bare });
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('install Node 20 or newer');
  });
});
