import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { I32, OP } from '../wasm/opcodes.ts';
import { ModuleWriter } from '../wasm/writer.ts';

setFlagsFromString('--allow-natives-syntax');
const { EngineModules, engineModules } = await import('./engine-modules.ts');
const { machineCodeOf } = await import('./machine-code.ts');
const optimise = new Function('f', '%WasmTierUpFunction(f)');

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-engine-'));
  file = join(folder, 'engine.bin');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What had to be made. */
let written: number[] = [];
/** (n) -> n + `added`; and another that nobody calls. */
function adder(added: number): Uint8Array<ArrayBuffer> {
  written.push(added);
  const writer = new ModuleWriter();
  for (const name of ['add', 'idle']) {
    const f = writer.function([I32], [I32]);
    f.get(0);
    f.i32(added);
    f.op(OP.i32Add);
    writer.export(name, f);
  }
  return writer.finish();
}
const add = (exports: Readonly<Record<string, unknown>>) => (exports.add as (n: number) => number)(1);
/** A run in which such modules are made, and some optimised. */
function run(all: readonly number[], hot: readonly number[] = []): Map<number, Readonly<Record<string, unknown>>> {
  written = [];
  const modules = new EngineModules(file);
  const made = new Map(
    all.map((added) => [added, modules.instantiate({ name: `adder ${added}`, make: () => adder(added) }, {})]),
  );
  for (const added of hot) optimise(made.get(added)!.add);
  modules.save();
  return made;
}
const isThere = () => statSync(file, { throwIfNoEntry: false }) !== undefined;

describe('modules of the engine', () => {
  it('are made once, and kept with the code of those that were optimised', () => {
    expect(machineCodeOf).not.toBe(null);
    run([10, 20], [20]);
    expect(written).toEqual([10, 20]);
    const made = run([10, 20]);
    expect(written).toEqual([]);
    expect([...made.values()].map((exports) => machineCodeOf!.optimisedIn(exports))).toEqual([0, 1]);
    expect([...made.values()].map(add)).toEqual([11, 21]);
    run([10, 20], [10]);
    expect([...run([10, 20]).values()].map((exports) => machineCodeOf!.optimisedIn(exports))).toEqual([1, 1]);
  });

  it('are told apart by their names alone', () => {
    run([10]);
    const modules = new EngineModules(file);
    const make = () => adder(77);
    expect(add(modules.instantiate({ name: 'adder 10', make }, {}))).toBe(11);
    expect(add(modules.instantiate({ name: 'adder 1', make }, {}))).toBe(78);
  });

  it('stay when another machine has others, and are not written again for nothing', () => {
    run([30], [30]);
    run([40], [40]);
    const before = readFileSync(file);
    rmSync(file);
    run([]);
    expect(isThere()).toBe(false);
    writeFileSync(file, before, { mode: 0o600 });
    const { mtimeNs } = statSync(file, { bigint: true });
    const made = run([30, 40]);
    expect([...made.values()].map((exports) => machineCodeOf!.optimisedIn(exports))).toEqual([1, 1]);
    expect(statSync(file, { bigint: true }).mtimeNs).toBe(mtimeNs);
  });

  it('are made anew where the file is damaged or of other modules', () => {
    run([50], [50]);
    const bytes = readFileSync(file);
    for (const at of [12, bytes.length >> 1, bytes.length - 1]) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      writeFileSync(file, damaged);
      expect(add(run([50]).get(50)!)).toBe(51);
    }
    writeFileSync(file, bytes);
    const other = run([60]);
    expect(add(other.get(60)!)).toBe(61);
    expect(machineCodeOf!.optimisedIn(other.get(60)!)).toBe(0);
  });

  it('are not kept for sources that were not built', () => {
    expect(engineModules(null)).toBe(undefined);
    expect(engineModules()).toBe(undefined);
  });
});
