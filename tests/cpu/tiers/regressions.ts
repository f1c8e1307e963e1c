/** Programs that once told two tiers apart, as they were reduced: `regressions/NAME.json`. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from './guest.ts';
import type { Item, Program } from './program.ts';

const FOLDER = join(import.meta.dirname, 'regressions');

export interface Regression {
  readonly name: string;
  readonly program: Program;
  readonly world: World;
}

export function regressions(): Regression[] {
  let names: string[];
  try {
    names = readdirSync(FOLDER);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const { program, world } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as {
        program: Omit<Program, 'items'> & { items: (Omit<Item, 'bytes'> & { bytes: string })[] };
        world: World;
      };
      const items = program.items.map((item): Item => ({ ...item, bytes: [...Buffer.from(item.bytes, 'hex')] }));
      return { name: name.slice(0, -5), program: { ...program, items }, world };
    });
}

/** Keeps a program; gives the file's path. */
export function keep({ name, program, world }: Regression): string {
  mkdirSync(FOLDER, { recursive: true });
  const items = program.items.map((item) => ({ ...item, bytes: Buffer.from(item.bytes).toString('hex') }));
  const path = join(FOLDER, `${name}.json`);
  writeFileSync(path, `${JSON.stringify({ world, program: { ...program, items } }, null, 2)}\n`);
  return path;
}
