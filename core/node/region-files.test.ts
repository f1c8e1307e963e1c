import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MODE } from '../accel/tcg/blocks.ts';
import type { CompilerSetup } from '../accel/tcg/jit/batch.ts';
import type { JitHost } from '../accel/tcg/jit/jit.ts';
import { KeptRegions } from '../accel/tcg/jit/kept-regions.ts';
import { blockKey, KNOWN } from '../accel/tcg/jit/known-blocks.ts';
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { keepRegions, type RegionFiles, readKnown, readRegions, regionFiles, writeRegions } from './region-files.ts';

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
/** Regions of the loop, and how its machine is set up. */
function compiled(): { kept: KeptRegions; setup: CompilerSetup } {
  const kept = new KeptRegions(null);
  const m = machine(undefined, kept);
  for (let i = 0; i < 5; i++) m.cpu.run(30);
  expect(kept.isChanged).toBe(true);
  let setup: CompilerSetup | undefined;
  machine((given) => {
    setup = given;
    return { post: () => {}, take: () => null };
  });
  return { kept, setup: setup! };
}
const filesOf = (setup: CompilerSetup) => regionFiles(setup, { folder, build: 'test' })!;

describe('files of regions', () => {
  it('are those of machines with the same code generator', () => {
    const { setup } = compiled();
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
    const { kept, setup } = compiled();
    const files = filesOf(setup);
    writeRegions(files, kept);
    expect(readKnown(files)!.find(blockKey(LOOP, 0, 4, 0, FLAT))).toBe(KNOWN.head);
    expect(readKnown(files)!.find(blockKey(LOOP, 0, 4, 0, FLAT | MODE.user))).toBe(KNOWN.no);
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

  it('that are not there are nothing', () => {
    const files = filesOf(compiled().setup);
    expect(readKnown(files)).toBe(null);
    expect(readRegions(files).save(1 << 20).length).toBe(4);
  });

  it('are written when there is something new', () => {
    const { kept, setup } = compiled();
    vi.useFakeTimers();
    keepRegions(filesOf(setup), kept);
    vi.advanceTimersByTime(59_000);
    expect(readdirSync(folder)).toEqual([]);
    vi.advanceTimersByTime(2_000);
    expect(readdirSync(folder).length).toBe(2);
    expect(readRegions(filesOf(setup)).save(1 << 20).length).toBe(kept.save(1 << 20).length);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder)).toEqual([]);
    kept.isChanged = true;
    vi.advanceTimersByTime(600_000);
    expect(readdirSync(folder).length).toBe(2);
  });
});
