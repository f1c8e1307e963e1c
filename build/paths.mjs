/** Where things are in the checkout, and how a program of ours is started: nothing else knows these paths. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const dist = join(root, 'dist');
export const cache = join(root, '.cache');

/** Node 24 as the npm package `node` installs it. Everything but the set-up runs on it. */
export const node24 = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** A file inside node_modules. @param {string[]} parts */
export const moduleFile = (...parts) => join(root, 'node_modules', ...parts);

/** The environment of a child: Node 24 and the packages' programs come first on PATH. */
export function childEnv(extra = {}) {
  const sep = process.platform === 'win32' ? ';' : ':';
  const path = [dirname(node24), moduleFile('.bin'), process.env.PATH ?? ''].join(sep);
  return { ...process.env, PATH: path, ...extra };
}

/** Runs a script on Node 24 in the foreground. @param {string[]} args @returns exit code */
export function runNode(args, options = {}) {
  const { status, signal, error } = spawnSync(node24, args, {
    cwd: root,
    stdio: 'inherit',
    env: childEnv(),
    ...options,
  });
  if (error) throw error;
  return signal ? 128 : (status ?? 1);
}

/** The directory of a program on PATH that can be run, or undefined. @param {string} name */
export function findProgram(name) {
  const dirs = (process.env.PATH ?? '').split(process.platform === 'win32' ? ';' : ':');
  return [...dirs, '/usr/sbin', '/sbin'].find((dir) => dir && existsSync(join(dir, name)));
}
