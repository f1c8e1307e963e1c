import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MODE } from '../accel/tcg/blocks.ts';
import type { CompilerSetup } from '../accel/tcg/jit/batch.ts';
import type { JitHost } from '../accel/tcg/jit/jit.ts';
import { JOB_WORDS } from '../accel/tcg/jit/job.ts';
import { type KeptRegions, MOST_WAITING } from '../accel/tcg/jit/kept-regions.ts';
import { blockKey, KNOWN } from '../accel/tcg/known-blocks.ts';
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { RegionFile, type RegionFiles, readCatalogue, regionFiles } from './region-files.ts';

const WORKER = new URL('./compile-worker.ts', import.meta.url);
const START = 0x1000;
/** 1: inc eax; inc ecx; jmp 1b */
const LOOP = Uint8Array.of(0x40, 0x41, 0xeb, 0xfc);
const FLAT = MODE.code32 | MODE.flatStack | MODE.flatData;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'terrarium-regions-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

function machine(startCompiler?: JitHost['startCompiler'], kept?: KeptRegions) {
  const m = bareMachine(4 << 20, {
    jit: kept ? 'always' : 'on',
    ...(kept ? { kept } : {}),
    ...(startCompiler ? { startCompiler } : {}),
  });
  enterFlat32(m, START);
  m.ram.set(LOOP, START);
  return m;
}
/** How the loop's machine is set up. */
function setupOf(): CompilerSetup {
  let setup: CompilerSetup | undefined;
  machine((given) => {
    setup = given;
    return { desk: new Int32Array(JOB_WORDS), post: () => {}, take: () => null };
  });
  return setup!;
}
/** A file that has something new: regions of the loop. */
function filled(files: RegionFiles): RegionFile {
  const file = new RegionFile(files);
  const m = machine(undefined, file.kept);
  for (let i = 0; i < 5; i++) m.cpu.run(30);
  expect(file.kept.isChanged).toBe(true);
  return file;
}
const filesOf = (setup: CompilerSetup) => regionFiles(setup, { folder, build: 'test' })!;

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

  it('give another machine’s thread what one has compiled', async () => {
    const files = filesOf(setupOf());
    const file = filled(files);
    file.write();
    file.close();
    const { known } = readCatalogue(files)!;
    expect(known.find(blockKey(LOOP, 0, 4, 0, FLAT))).toBe(KNOWN.head);
    expect(known.find(blockKey(LOOP, 0, 4, 0, FLAT | MODE.user))).toBe(KNOWN.no);
    const m = machine((given) => startCompilerThread(WORKER, given, filesOf(given)));
    const { statistics } = m.cpu.jit;
    for (let i = 0; i < 3000 && statistics.regions === 0; i++) {
      m.cpu.run(30);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(statistics).toMatchObject({ regions: 1, reused: 1 });
    const before = m.cpu.state.reg32(EAX);
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(1000);
  });

  it('that are not there, or not readable, are nothing', () => {
    const files = filesOf(setupOf());
    expect(readCatalogue(files)).toBe(null);
    const reusedFrom = (file: RegionFile) => {
      const m = machine(undefined, file.kept);
      for (let i = 0; i < 5; i++) m.cpu.run(30);
      file.close();
      return m.cpu.jit.statistics.reused;
    };
    expect(reusedFrom(new RegionFile(files))).toBe(0);
    filled(files).write();
    expect(reusedFrom(new RegionFile(files))).toBeGreaterThan(0);
    const regions = readFileSync(files.regions);
    writeFileSync(files.regions, regions.subarray(0, 40));
    expect(reusedFrom(new RegionFile(files))).toBe(0);
    writeFileSync(files.regions, regions);
    writeFileSync(files.catalogue, 'what?');
    expect(reusedFrom(new RegionFile(files))).toBe(0);
    rmSync(files.regions);
    mkdirSync(files.regions);
    expect(reusedFrom(new RegionFile(files))).toBe(0);
  });

  it('that cannot be written leave things as they are', () => {
    const files = filesOf(setupOf());
    writeFileSync(join(folder, 'file'), '');
    const file = filled({ regions: join(folder, 'file', 'regions'), catalogue: join(folder, 'file', 'catalogue') });
    file.write();
    expect(file.kept.isChanged).toBe(true);
    mkdirSync(files.regions);
    const other = filled(files);
    other.write();
    expect(other.kept.isChanged).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(['file', basename(files.regions)].sort());
  });

  it('are written when there is something new, and read from then on', () => {
    const files = filesOf(setupOf());
    vi.useFakeTimers();
    const file = filled(files);
    file.writeNowAndThen();
    vi.advanceTimersByTime(59_000);
    expect(readdirSync(folder)).toEqual([]);
    vi.advanceTimersByTime(2_000);
    expect(readdirSync(folder).sort()).toEqual([basename(files.catalogue), basename(files.regions)].sort());
    expect(file.kept.isChanged).toBe(false);
    const m = machine(undefined, file.kept);
    for (let i = 0; i < 5; i++) m.cpu.run(30);
    expect(m.cpu.jit.statistics.reused).toBeGreaterThan(0);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder)).toEqual([]);
    // A little that is new waits.
    file.kept.waiting = 1;
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder)).toEqual([]);
    file.kept.waiting = 4096;
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder).length).toBe(2);
    // Much that is new is written within a minute.
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    file.kept.waiting = MOST_WAITING;
    vi.advanceTimersByTime(60_000);
    expect(readdirSync(folder).length).toBe(2);
    file.close();
  });
});
