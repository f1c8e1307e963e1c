import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bareMachine, enterFlat32 } from '../accel/tcg/testing.ts';
import { EAX, ECX } from '../target/x86/state.ts';
import { startCompilerThread } from './compiler-thread.ts';
import { V8_FLAGS } from './v8-flags.ts';

const WORKER = new URL('./compile-worker.ts', import.meta.url);
const START = 0x1000;

describe('the thread that compiles', () => {
  it('makes regions while the guest runs', async () => {
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(WORKER, setup) });
    enterFlat32(m, START);
    m.ram.set([0x40, 0x41, 0xeb, 0xfc], START); // 1: inc eax; inc ecx; jmp 1b
    const { state, jit } = m.cpu;
    for (let i = 0; i < 3000 && jit.statistics.regions === 0; i++) {
      m.cpu.run(3000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(jit.statistics.regions).toBe(1);
    expect(jit.statistics.compileMilliseconds).toBeGreaterThan(0);
    const before = state.reg32(EAX);
    m.cpu.run(30_000);
    expect(state.reg32(EAX) - before).toBe(10_000);
    expect(state.reg32(ECX)).toBe(state.reg32(EAX));
  });

  it('sleeps when it is not asked for long, and wakes when it is', async () => {
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(WORKER, setup) });
    for (let round = 1; round <= 3; round++) {
      const at = START * round;
      enterFlat32(m, at);
      m.ram.set([0x40, 0xeb, 0xfd], at); // 1: inc eax; jmp 1b
      for (let i = 0; i < 3000 && m.cpu.jit.statistics.regions < round; i++) {
        m.cpu.run(3000);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect(m.cpu.jit.statistics.regions).toBe(round);
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  });

  it('that cannot start leaves compiling to the machine', async () => {
    const missing = new URL('./no-such-worker.ts', import.meta.url);
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => startCompilerThread(missing, setup) });
    enterFlat32(m, START);
    m.ram.set([0x40, 0xeb, 0xfd], START);
    for (let i = 0; i < 3000 && m.cpu.jit.statistics.regions === 0; i++) {
      m.cpu.run(3000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(m.cpu.jit.statistics.regions).toBe(1);
  });
});

describe('regions of a machine with such a thread', () => {
  const PROGRAM = fileURLToPath(new URL('./kept-machine-testing.ts', import.meta.url));
  interface Report {
    readonly regions: number;
    readonly reused: number;
    readonly ready: number;
    readonly isRight: boolean;
  }
  /** What a first run left, and the code that Node has compiled: each test would make it anew. */
  let common: string;
  let first: object;
  let folder: string;
  beforeAll(() => {
    common = mkdtempSync(join(tmpdir(), 'terrarium-thread-common-'));
    first = run(FIVE, { at: join(common, 'first') });
  }, 60_000);
  afterAll(() => rmSync(common, { recursive: true, force: true }));
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'terrarium-thread-'));
    cpSync(join(common, 'first'), folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  /** A machine in a process of its own, from its start to its end. */
  function run(
    numbers: readonly number[],
    { milliseconds = 0, flags = V8_FLAGS as readonly string[], at = folder } = {},
  ) {
    const given = ['--disable-warning=ExperimentalWarning', ...flags, PROGRAM, at, milliseconds, ...numbers].map(
      String,
    );
    const text = execFileSync(process.execPath, given, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(common, 'code') },
    });
    const { isRight, ...report } = JSON.parse(text) as Report;
    expect(isRight).toBe(true);
    return report;
  }
  const files = () => readdirSync(folder).sort();
  /** The last one compiled is not kept: the thread has not heard that its code did not change. */
  const FIVE = [1, 2, 3, 4, 5];
  const FOUR = FIVE.slice(0, 4);

  /** Runs that leave the thread time for V8, longer and longer, until the next finds machine code. */
  function untilReady(numbers: () => readonly number[]) {
    for (let milliseconds = 400; ; milliseconds *= 2) {
      expect(run(numbers(), { milliseconds }).reused).toBe(4);
      const last = run(FOUR);
      if (last.ready > 0 || milliseconds > 5000) return last;
    }
  }

  it('are written when it ends, and at work at once in the next', () => {
    expect(first).toEqual({ regions: 5, reused: 0, ready: 0 });
    expect(files().map((name) => name.replace(/^test-[0-9a-f]+-/, ''))).toEqual(['catalogue.bin', 'regions.bin']);
    // Other code is kept beside it.
    expect(run([7, 8])).toEqual({ regions: 2, reused: 0, ready: 0 });
    expect(run([...FIVE, 7])).toEqual({ regions: 6, reused: 5, ready: 0 });
  }, 60_000);

  it('have their machine code when the thread had time to let V8 make it, with the same flags', () => {
    let number = 10;
    // Each run has something new: it is written.
    const last = untilReady(() => [...FOUR, number++, number++]);
    expect(last).toEqual({ regions: 4, reused: 4, ready: expect.any(Number) });
    expect(last.ready).toBeGreaterThan(0);
    expect(run(FOUR, { flags: [...V8_FLAGS, '--no-wasm-loop-unrolling'] })).toEqual({
      regions: 4,
      reused: 4,
      ready: 0,
    });
  }, 60_000);

  it('have it though nothing new was compiled when V8 made it', () => {
    const last = untilReady(() => FOUR);
    expect(last).toMatchObject({ regions: 4, reused: 4 });
    expect(last.ready).toBeGreaterThan(0);
  }, 60_000);

  it('are compiled anew when a file is missing or not what it was', () => {
    const [catalogue, regions] = files().map((name) => join(folder, name));
    const whole = readFileSync(catalogue!);
    rmSync(catalogue!);
    expect(run([1])).toEqual({ regions: 1, reused: 0, ready: 0 });
    writeFileSync(catalogue!, whole);
    expect(run([1, 2])).toEqual({ regions: 2, reused: 2, ready: 0 });
    writeFileSync(regions!, readFileSync(regions!).map((byte) => byte ^ 1)); // biome-ignore format: one line
    expect(run([1])).toEqual({ regions: 1, reused: 0, ready: 0 });
  }, 60_000);

  it('are not kept where nothing can be written', () => {
    const before = files();
    const taken = join(folder, 'file');
    writeFileSync(taken, '');
    expect(run([1, 2], { at: taken })).toEqual({ regions: 2, reused: 0, ready: 0 });
    expect(files()).toEqual(['file', ...before]);
    expect(readFileSync(taken).length).toBe(0);
  });
});
