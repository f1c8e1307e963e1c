import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MODE } from '../accel/tcg/blocks.ts';
import type { CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';
import { RegionCatalogue, StoredModule } from '../accel/tcg/jit/kept-regions.ts';
import { FakeV8, loops, runGuest, START, setupOf } from '../accel/tcg/jit/kept-testing.ts';
import { RegionShelf } from '../accel/tcg/jit/region-shelf.ts';
import type { ReadyModules } from '../accel/tcg/jit/regions-ahead.ts';
import { blockKey, KNOWN } from '../accel/tcg/known-blocks.ts';
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { openRegions, RegionFile, type RegionFiles, regionFiles, storeOf } from './region-files.ts';

const WORKER = new URL('./compile-worker.ts', import.meta.url);
/** 1: inc eax; inc ecx; jmp 1b */
const LOOP = Uint8Array.of(0x40, 0x41, 0xeb, 0xfc);
const FLAT = MODE.code32 | MODE.flatStack | MODE.flatData;
/** As region-files.ts has it. */
const MUCH = 2 << 20;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-regions-'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});
const filesOf = (setup: CompilerSetup) => regionFiles(setup, { folder, build: 'test' })!;
const namesOf = (files: RegionFiles) => [files.catalogue, files.regions].map((name) => basename(name)).sort();

/** A run of machines on one thread, as files have it. */
class FileRun {
  readonly file: RegionFile;
  readonly shelf: RegionShelf;
  constructor(files = filesOf(setupOf()), machine: FakeV8 | null = null) {
    const opened = openRegions(files);
    this.file = new RegionFile(files, setupOf(), opened, machine);
    this.shelf = new RegionShelf(storeOf(opened), machine, opened.used);
  }
  get keeper() {
    return this.file.keeper;
  }
  /** Runs code for a while and gives how many of its regions were there. */
  reused(code: Uint8Array | readonly number[] = LOOP): number {
    const m = bareMachine(4 << 20, { jit: 'always', kept: this });
    enterFlat32(m, START);
    m.ram.set(code, START);
    for (let i = 0; i < 40; i++) m.cpu.run(30);
    expect(m.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    return m.cpu.jit.statistics.reused;
  }
  end(): void {
    this.file.write();
    this.file.close();
  }
}
/** A file that has something new: regions of the loop. */
function filled(files?: RegionFiles): FileRun {
  const run = new FileRun(files);
  expect(run.reused()).toBe(0);
  expect(run.keeper.isWorthWriting).toBe(true);
  return run;
}
/** As if so much were not in the file. */
const unwritten = (run: FileRun, bytes: number) => vi.spyOn(run.keeper, 'unwritten', 'get').mockReturnValue(bytes);

describe('files of regions', () => {
  it('are those of machines with the same code generator', () => {
    const setup = setupOf();
    expect(regionFiles(setup)).toBe(null); // sources that nobody built
    expect(regionFiles({ ...setup, keeps: false }, { folder, build: 'test' })).toBe(null);
    const names = [
      filesOf(setup),
      filesOf({ ...setup, features: ['sse'] }),
      filesOf({ ...setup, helpers: setup.helpers.slice(1) }),
      filesOf({ ...setup, layout: { ...setup.layout, state: setup.layout.state + 64 } }),
      regionFiles(setup, { folder, build: 'other' })!,
    ].flatMap((files) => Object.values(files as RegionFiles & Record<string, string>));
    expect(new Set(names).size).toBe(10);
    expect(filesOf({ ...setup })).toEqual(filesOf(setup));
  });

  it('have what one run compiled for the next', () => {
    const first = filled();
    first.end();
    const files = filesOf(setupOf());
    expect(readdirSync(folder).sort()).toEqual(namesOf(files));
    const opened = openRegions(files);
    const { catalogue } = storeOf(opened)!;
    expect(catalogue.known.find(blockKey(LOOP, 0, 4, 0, FLAT))).toBe(KNOWN.head);
    expect(catalogue.known.find(blockKey(LOOP, 0, 4, 0, FLAT | MODE.user))).toBe(KNOWN.no);
    expect([opened.used.length, opened.inUse.length]).toEqual([catalogue.keys.length, catalogue.modules.length]);
    expect(RegionCatalogue.from(opened.catalogue)).toEqual(catalogue);
    const next = new FileRun();
    expect(next.reused()).toBeGreaterThan(0);
    expect(next.file.ahead).not.toBe(null);
    expect(first.file.ahead).toBe(null);
  });

  it('are whole however large they are, and when they are copied', () => {
    const first = new FileRun();
    runGuest(loops(90), { run: first });
    runGuest(loops(40, 1000), { run: first });
    first.end();
    const files = filesOf(setupOf());
    expect(statSync(files.regions).size).toBeGreaterThan(2 << 18); // more than is read or written at once
    const check = (modules: number) => {
      const store = storeOf(openRegions(files))!;
      expect(store.catalogue.modules.length).toBe(modules);
      for (const place of store.catalogue.modules) expect(new StoredModule(store, place).wire()).not.toBe(null);
      return store.catalogue;
    };
    const { modules } = check(first.keeper.save(1 << 30, () => {}, () => {}).catalogue.modules.length); // biome-ignore format: one line
    const next = new FileRun();
    expect(runGuest(loops(40, 1000), { run: next }).reused).toBeGreaterThan(0);
    next.reused();
    unwritten(next, MUCH);
    next.end();
    const again = check(modules.length + 1);
    expect(again.modules.map(({ at }) => at)).not.toEqual(modules.map(({ at }) => at));
    expect(again.run).toBe(2);
    const last = new FileRun();
    for (const code of [loops(90), loops(40, 1000)]) {
      const { reused, compiled, outcome } = runGuest(code, { run: last });
      expect(reused).toBe(compiled);
      expect(outcome).toEqual(runGuest(code, { jit: 'off' }).outcome);
    }
  });

  it('are whole with machine code that is larger than what is read or written at once', () => {
    const code = Uint8Array.from({ length: (5 << 17) + 1 }, (_, i) => (i * i) >> 8);
    const v8 = Object.assign(new FakeV8(), {
      take: () => code,
      give: (_: Uint8Array, wire: Uint8Array<ArrayBuffer>) => new WebAssembly.Module(wire),
    });
    const first = new FileRun(undefined, v8);
    first.reused();
    first.file.write();
    while (first.file.work());
    first.end();
    const next = new FileRun(undefined, v8);
    expect(next.reused(loops(10))).toBe(0);
    expect(next.reused()).toBeGreaterThan(0);
    unwritten(next, MUCH);
    next.end();
    const store = storeOf(openRegions(filesOf(setupOf())))!;
    expect(store.catalogue.modules.map(({ isReady }) => isReady)).toEqual([true, false]);
    expect(new StoredModule(store, store.catalogue.modules[0]!).machineCode()).toEqual(code);
    expect(new StoredModule(store, store.catalogue.modules[1]!).wire()).not.toBe(null);
  });

  it('that are not there, or not readable, are nothing', () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const files = filesOf(setupOf());
    expect(storeOf(openRegions(files))).toBe(null);
    expect(new FileRun().reused()).toBe(0);
    filled().end();
    expect(new FileRun().reused()).toBeGreaterThan(0);
    const [regions, catalogue] = [readFileSync(files.regions), readFileSync(files.catalogue)];
    const reusedAfter = (change: () => void) => {
      change();
      const run = new FileRun();
      const reused = run.reused();
      run.file.close();
      rmSync(files.regions, { force: true, recursive: true });
      writeFileSync(files.regions, regions, { mode: 0o600 });
      writeFileSync(files.catalogue, catalogue);
      return reused;
    };
    expect(reusedAfter(() => {})).toBeGreaterThan(0);
    expect(reusedAfter(() => truncateSync(files.regions, 40))).toBe(0);
    expect(reusedAfter(() => truncateSync(files.regions, 0))).toBe(0);
    expect(reusedAfter(() => writeFileSync(files.regions, regions.map((byte) => byte ^ 4)))).toBe(0); // biome-ignore format: one line
    expect(reusedAfter(() => writeFileSync(files.catalogue, 'what?'))).toBe(0);
    expect(reusedAfter(() => writeFileSync(files.catalogue, catalogue.map((byte, i) => (i === 30 ? byte ^ 1 : byte))))).toBe(0); // biome-ignore format: one line
    expect(reusedAfter(() => rmSync(files.catalogue))).toBe(0);
    expect(reusedAfter(() => rmSync(files.regions))).toBe(0);
    expect(reusedAfter(() => chmodSync(files.regions, 0o620))).toBe(0); // others may have written it
    expect(
      reusedAfter(() => {
        rmSync(files.regions);
        mkdirSync(files.regions);
      }),
    ).toBe(0);
    expect(reusedAfter(() => {})).toBeGreaterThan(0);
    expect(errors).not.toHaveBeenCalled();
  });

  it('that cannot be written leave things as they are', () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const files = filesOf(setupOf());
    writeFileSync(join(folder, 'file'), '');
    const run = filled({ regions: join(folder, 'file', 'regions'), catalogue: join(folder, 'file', 'catalogue') });
    run.file.write();
    expect(run.keeper.unwritten).toBeGreaterThan(0);
    mkdirSync(files.regions);
    const other = filled();
    const save = vi.spyOn(other.keeper, 'save');
    other.file.write();
    expect(save).toHaveReturnedTimes(1);
    expect(other.keeper.unwritten).toBeGreaterThan(0);
    expect(errors).not.toHaveBeenCalled();
    expect(readdirSync(folder).sort()).toEqual(['file', basename(files.regions)].sort());
  });

  it('stay when what is to be copied is no longer there', () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    filled().end();
    const files = filesOf(setupOf());
    const catalogue = readFileSync(files.catalogue);
    const next = new FileRun();
    next.reused(loops(10));
    truncateSync(files.regions, 100);
    const save = vi.spyOn(next.keeper, 'save');
    next.end();
    expect(save.mock.results.map(({ type }) => type)).toEqual(['throw']);
    expect(errors).not.toHaveBeenCalled();
    expect(statSync(files.regions).size).toBe(100);
    expect(readFileSync(files.catalogue)).toEqual(catalogue);
    expect(readdirSync(folder).sort()).toEqual(namesOf(files));
  });

  it('are written when there is something new, from time to time, and read from then on', () => {
    const files = filesOf(setupOf());
    vi.useFakeTimers();
    const run = filled();
    run.file.writeNowAndThen();
    vi.advanceTimersByTime(59_000);
    expect(readdirSync(folder)).toEqual([]);
    vi.advanceTimersByTime(2_000);
    expect(readdirSync(folder).sort()).toEqual(namesOf(files));
    expect(run.keeper.unwritten).toBe(0);
    const remove = () => readdirSync(folder).map((name) => rmSync(join(folder, name)));
    // What is open is read though it is no more in the folder.
    remove();
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder)).toEqual([]);
    // A little that is new waits.
    unwritten(run, 1);
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder)).toEqual([]);
    unwritten(run, 4096);
    vi.advanceTimersByTime(300_000);
    expect(readdirSync(folder).length).toBe(2);
    remove();
    vi.advanceTimersByTime(240_000);
    expect(readdirSync(folder).length).toBe(0);
    // Much that is new is written within a minute.
    unwritten(run, MUCH + 1);
    vi.advanceTimersByTime(60_000);
    expect(readdirSync(folder).length).toBe(2);
    vi.restoreAllMocks();
    run.end();
    expect(new FileRun().reused()).toBeGreaterThan(0);
  });

  it('are written during work when much is new', () => {
    const run = filled();
    const work = vi.spyOn(run.keeper, 'work').mockReturnValue(true);
    unwritten(run, MUCH);
    expect(run.file.work()).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
    unwritten(run, MUCH + 1);
    work.mockReturnValue(false);
    expect(run.file.work()).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
    work.mockReturnValue(true);
    expect(run.file.work()).toBe(true);
    expect(readdirSync(folder).length).toBe(2);
  });

  it('that cannot be written are not tried again with each piece of work', () => {
    const { regions } = filesOf(setupOf());
    mkdirSync(regions);
    vi.useFakeTimers();
    const run = filled();
    run.file.writeNowAndThen();
    vi.spyOn(run.keeper, 'work').mockReturnValue(true);
    const save = vi.spyOn(run.keeper, 'save');
    unwritten(run, MUCH + 1);
    const work = () => {
      for (let i = 0; i < 10; i++) run.file.work();
    };
    work();
    expect(save).toHaveBeenCalledTimes(1);
    // But from time to time, and at the end.
    vi.advanceTimersByTime(60_000);
    expect(save).toHaveBeenCalledTimes(2);
    run.file.write();
    expect(save).toHaveBeenCalledTimes(3);
    rmSync(regions, { recursive: true });
    work();
    expect(save).toHaveBeenCalledTimes(3);
    run.file.write();
    expect(statSync(regions).isFile()).toBe(true);
    // Once that was possible, it is again.
    run.file.work();
    expect(save).toHaveBeenCalledTimes(5);
    run.file.close();
  });

  it('have machine code when there was time for it', () => {
    const v8 = new FakeV8();
    const run = new FileRun(undefined, v8);
    run.reused();
    run.file.write();
    expect(storeOf(openRegions(filesOf(setupOf())))!.catalogue.modules[0]!.isReady).toBe(false);
    while (run.file.work());
    run.end();
    expect(v8.taken.length).toBe(1);
    expect(storeOf(openRegions(filesOf(setupOf())))!.catalogue.modules[0]!.isReady).toBe(true);
    const next = new FileRun(undefined, v8);
    expect(next.reused()).toBeGreaterThan(0);
    expect(next.shelf.ready).toBe(1);
  });
});

describe('a machine with a thread and files of regions', () => {
  const threadFor = (started: (thread: CompilerThread) => void) => (setup: CompilerSetup) => {
    const thread = startCompilerThread(WORKER, setup, filesOf(setup));
    started(thread);
    return thread;
  };
  it('has what another has compiled, and asks for nothing', () => {
    filled().end();
    let posted = 0;
    const m = bareMachine(4 << 20, {
      jit: 'on',
      startCompiler: threadFor((thread) => {
        const { post } = thread;
        thread.post = (job) => {
          posted++;
          post.call(thread, job);
        };
      }),
    });
    enterFlat32(m, START);
    m.ram.set(LOOP, START);
    for (let i = 0; i < 10; i++) m.cpu.run(30);
    expect(m.cpu.jit.statistics).toMatchObject({ regions: 1, reused: 1 });
    const before = m.cpu.state.reg32(EAX);
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(1000);
    expect(posted).toBe(0);
  });

  it('gets modules from it that are likely to be of use next', async () => {
    // 1: add ecx,number; inc eax; jmp 1b, a module each
    const codes = [1, 2, 3, 4, 5, 6, 7].map((number) => [0x83, 0xc1, number, 0x40, 0xeb, 0xfa]);
    const before = new FileRun();
    for (const code of codes) {
      before.reused(code);
      before.file.write();
    }
    before.end();
    let thread: CompilerThread | null = null;
    const m = bareMachine(4 << 20, {
      jit: 'on',
      startCompiler: threadFor((started) => {
        thread = started;
      }),
    });
    const { others } = thread!.shelf as unknown as { others: ReadyModules };
    expect(others.take(1)).toBe(null);
    enterFlat32(m, START);
    m.ram.set(codes[0]!, START);
    for (let i = 0; i < 10; i++) m.cpu.run(30);
    expect(m.cpu.jit.statistics).toMatchObject({ regions: 1, reused: 1 });
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const wait = async (position: number) => {
      for (let i = 0; i < 2000; i++, await pause(5)) {
        const ready = others.take(position);
        if (ready) return ready;
      }
      return null;
    };
    expect(await wait(4)).toMatchObject({ position: 4, code: expect.any(WebAssembly.Module) });
    expect([1, 2, 3, 4, 5].map((position) => others.take(position)?.position)).toEqual([1, 2, 3, undefined, undefined]);
    others.use(4);
    await pause(200);
    // What came too late is of no use any more.
    others.use(5);
    expect(others.take(5)).toBe(null);
    expect(await wait(6)).toMatchObject({ position: 6 });
    m.ram.set(codes[5]!, START + 0x1000);
    m.cpu.state.eip = START + 0x1000;
    for (let i = 0; i < 10; i++) m.cpu.run(30);
    expect(m.cpu.jit.statistics).toMatchObject({ regions: 2, reused: 2 });
  });
});
