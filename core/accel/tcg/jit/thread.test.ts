import { describe, expect, it } from 'vitest';
import { EAX, ECX, EDX } from '../../../target/x86/state.ts';
import type { BlockCache } from '../blocks.ts';
import { type BareMachine, bareMachine, dropAllCode, enterFlat32 } from '../testing.ts';
import { MOST_ASIDE } from './jit.ts';
import { headsOf, JobSource, readJob } from './job.ts';
import { SlowThread } from './thread-testing.ts';

const START = 0x1000;
const OTHER = 0x1100;

function machine(
  code: Readonly<Record<number, readonly number[]>>,
  now: () => number = () => 0,
): { m: BareMachine; thread: SlowThread } {
  const thread = new SlowThread();
  const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => thread.start(setup), now });
  enterFlat32(m, START);
  for (const [at, bytes] of Object.entries(code)) m.ram.set(bytes, Number(at));
  limitLookups(m);
  return { m, thread };
}
/** A record that leads back to itself is looked up for ever, in generated code that no test's time limit can end. */
function limitLookups(m: BareMachine): void {
  const cpu = m.cpu as unknown as { lookup(): number };
  const lookup = cpu.lookup.bind(cpu);
  let left = 100_000;
  cpu.lookup = () => {
    if (left-- === 0)
      throw new Error(`the guest does not get on: EIP ${m.cpu.state.eip.toString(16)} is looked up for ever`);
    return lookup();
  };
}
/** 1: inc eax; jmp edx; at EDX: inc ecx; jmp 1b. */
const TWO_BLOCKS = { [START]: [0x40, 0xff, 0xe2], [OTHER]: [0x41, 0xe9, ...word(START - (OTHER + 6))] };
function word(n: number): number[] {
  return [...new Uint8Array(Int32Array.of(n).buffer)];
}
function runUntil(m: BareMachine, isDone: () => boolean): void {
  for (let i = 0; i < 200 && !isDone(); i++) m.cpu.run(500);
  expect(isDone()).toBe(true);
}

describe('regions that another thread compiles', () => {
  it('are used from when it answers, and nothing waits for it', () => {
    const { m, thread } = machine(TWO_BLOCKS);
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.length > 0);
    const before = m.cpu.state.reg32(ECX);
    m.cpu.run(4000);
    expect(m.cpu.state.reg32(ECX) - before).toBe(1000);
    const work = thread.work();
    expect(work.regions).toBeGreaterThan(0);
    expect(m.cpu.jit.statistics.regions).toBe(0);
    work.tell();
    m.cpu.run(4000);
    expect(m.cpu.jit.statistics.regions).toBe(work.regions);
    expect(m.cpu.state.reg32(ECX) - before).toBe(2000);
  });

  it('of loops are asked for and used within one long stay, of other code between two', () => {
    const half = { [START]: [0x40, 0x49, 0x75, 0xfc, 0xf4] }; // 1: inc eax; dec ecx; jnz 1b; hlt
    const loop = machine(half);
    loop.m.cpu.state.setReg32(ECX, 1_000_000);
    let left = 0;
    const { post } = loop.thread;
    loop.thread.post = (job) => {
      left = loop.m.cpu.state.reg32(ECX);
      post.call(loop.thread, job);
      loop.thread.work().tell();
    };
    loop.m.cpu.run(2_000_000);
    expect(left).toBeGreaterThan(1_000_000 - 15_000);
    expect(loop.m.cpu.jit.statistics.regions).toBe(1);

    const other = machine(TWO_BLOCKS);
    other.m.cpu.state.setReg32(EDX, OTHER);
    other.m.cpu.run(2_000_000);
    expect(other.thread.jobs.length).toBe(0);
    other.m.cpu.run(4);
    expect(other.thread.jobs.length).toBe(1);
  });

  it('are asked for with all that leads on from their first block, and where that lies', () => {
    // A ring of blocks at odd and even distances, over two pages: inc ecx; jmp to the next
    const places = Array.from({ length: 20 }, (_, i) => START + i * 0x137);
    const ring = places.map((at, i) => [at, [0x41, 0xe9, ...word(places[(i + 1) % 20]! - (at + 6))]]);
    const { m, thread } = machine(Object.fromEntries(ring));
    while (thread.jobs.length === 0) m.cpu.run(2);
    const job = thread.jobs[0]!;
    const { blocks } = new JobSource(m.ram, { maps: undefined, longMaps: undefined }, job);
    const first = blocks[0]!;
    expect(headsOf(job).length).toBe(1);
    const distances = blocks.map(({ start }) => start - first.start).sort((a, b) => a - b);
    expect(distances).toEqual(places.map((at) => at - START));
    expect([...job.pages]).toEqual([0, 1, first.start + 4096]);
  });

  it('are not used where the code changed in the meantime, before or after it was read', () => {
    for (const isEarly of [false, true]) {
      const { m, thread } = machine(TWO_BLOCKS);
      m.cpu.state.setReg32(EDX, OTHER);
      runUntil(m, () => thread.jobs.length > 0);
      const early = isEarly ? thread.work() : null;
      m.dma(START, Uint8Array.of(0x43)); // inc ebx
      m.dma(OTHER, Uint8Array.of(0x43));
      (early ?? thread.work()).tell();
      const { state } = m.cpu;
      const [eax, ecx, ebx] = [state.reg32(EAX), state.reg32(ECX), state.reg32(3)];
      m.cpu.run(4000);
      expect(m.cpu.jit.statistics.regions).toBe(0);
      expect([state.reg32(EAX) - eax, state.reg32(ECX) - ecx, state.reg32(3) - ebx]).toEqual([0, 0, 2000]);
    }
  });

  it('are not used where the code changed and is again what it was', () => {
    const { m, thread } = machine(TWO_BLOCKS);
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.length > 0);
    // The processor's own writes: blocks that they drop come back with their records.
    m.cpu.memory.write(START, 1, 0x43); // inc ebx
    const work = thread.work();
    expect(work.regions).toBeGreaterThan(0);
    m.cpu.memory.write(START, 1, 0x40);
    m.cpu.run(4000);
    const { state } = m.cpu;
    const [eax, ebx] = [state.reg32(EAX), state.reg32(3)];
    work.tell();
    m.cpu.run(4000);
    expect([state.reg32(EAX) - eax, state.reg32(3) - ebx]).toEqual([1000, 0]);
  });

  it('are asked for once, though their first block got hot twice', () => {
    const { m, thread } = machine({ ...TWO_BLOCKS, 4608: [0x43, 0xeb, 0xfd] }); // 1: inc ebx; jmp 1b
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.length > 0);
    m.cpu.state.eip = 0x1200;
    m.cpu.run(8000);
    for (const code of [0x46, 0x43]) {
      m.cpu.memory.write(0x1200, 1, code);
      m.cpu.run(8000);
    }
    thread.work().tell();
    m.cpu.run(8000);
    expect(thread.jobs.map((job) => headsOf(job).length)).toEqual([1]);
  });

  it('do not bring back a block of the batch that is gone', () => {
    // Both blocks wait; one is part of the other's region; its code changes while the thread is at work.
    const { m, thread } = machine({
      [START]: [0x40, 0x85, 0xc0, 0x75, 0x00, 0xff, 0xe2], // inc eax; test eax,eax; jnz +0; jmp edx
      [OTHER]: [0x41, 0xe9, ...word(START - (OTHER + 6))],
    });
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.some((job) => headsOf(job).length >= 2));
    const work = thread.work();
    m.dma(START + 5, Uint8Array.of(0xff, 0xe2));
    m.dma(OTHER, Uint8Array.of(0x43));
    work.tell();
    const { state } = m.cpu;
    const [eax, ebx] = [state.reg32(EAX), state.reg32(3)];
    m.cpu.run(6000);
    expect([state.reg32(EAX) - eax, state.reg32(3) - ebx]).toEqual([1000, 1000]);
  });

  it('do not come back when everything was dropped', () => {
    const { m, thread } = machine(TWO_BLOCKS);
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.length > 0);
    dropAllCode(m);
    // The thread still reads the first job: nothing else is laid on its desk.
    const first = readJob(thread.desk).id;
    for (let i = 0; i < 60; i++) m.cpu.run(500);
    expect(readJob(thread.desk).id).toBe(first);
    expect(thread.jobs.length).toBe(1);
    thread.work().tell();
    m.cpu.run(2000);
    expect(m.cpu.jit.statistics.regions).toBe(0);
    // The answer that nobody waits for does not stand in the way of the next one.
    runUntil(m, () => thread.jobs.length > 0);
    const work = thread.work();
    work.tell();
    runUntil(m, () => m.cpu.jit.statistics.regions === work.regions);
  });

  it('are compiled where the guest runs when the thread is gone', () => {
    const { m, thread } = machine(TWO_BLOCKS);
    m.cpu.state.setReg32(EDX, OTHER);
    runUntil(m, () => thread.jobs.length > 0);
    thread.isDead = true;
    runUntil(m, () => m.cpu.jit.statistics.regions > 0);
  });
});

describe('code that gets hot while the guest waits for most of its time', () => {
  /** Each 1: inc eax; jmp edx, with a loop of its own that it is in. */
  const LOOPS = [0, 1, 2].map((i) => START + 0x200 * i);
  function waiting() {
    let time = 0;
    let step = 0;
    const code = Object.fromEntries(LOOPS.map((at) => [at, [0x40, 0xff, 0xe2]]));
    const { m, thread } = machine(code, () => {
      time += step;
      return time;
    });
    /** Lets one of the loops run, all of the time or hardly at all. */
    const run = (loop: number, isBusy: boolean, times = 60) => {
      m.cpu.state.eip = LOOPS[loop]!;
      m.cpu.state.setReg32(EDX, LOOPS[loop]!);
      step = isBusy ? 60 : 0;
      for (let i = 0; i < times; i++) {
        time += isBusy ? 0 : 60;
        m.cpu.run(500);
      }
    };
    const headsAt = () => thread.jobs.map((job) => {
      const { blocks } = new JobSource(m.ram, { maps: undefined, longMaps: undefined }, job);
      return headsOf(job).map((_, i) => LOOPS.indexOf(blocks[i]!.start - m.ram.byteOffset));
    }); // biome-ignore format: one line
    const pass = (milliseconds: number) => {
      time += milliseconds;
    };
    return { m, thread, run, headsAt, pass };
  }

  it('is compiled when the guest is busy again, behind what gets hot then', () => {
    const { m, thread, run, headsAt } = waiting();
    run(0, false);
    run(1, false);
    expect(thread.jobs.length).toBe(0);
    run(2, true, 9);
    expect(headsAt()).toEqual([[0, 1]]);
    run(2, true);
    expect(headsAt()).toEqual([[0, 1]]); // one thing at a time
    thread.work().tell();
    run(2, true, 1);
    expect(m.cpu.jit.statistics.regions).toBe(2);
    expect(headsAt()).toEqual([[2]]);
  });

  it('is compiled when it has waited for half a minute, what comes later after as long again', () => {
    const { thread, run, headsAt, pass } = waiting();
    pass(40_000);
    run(2, true, 3);
    for (const loop of [0, 1]) {
      run(loop, false);
      pass(20_000);
      run(loop, false, 2);
      expect(thread.jobs.length).toBe(0);
      pass(10_000);
      run(loop, false, 2);
      expect(headsAt()).toEqual([[loop]]);
      thread.work().tell();
    }
  });

  it('is compiled like that without a thread', () => {
    const { m, thread, run, pass } = waiting();
    thread.isDead = true;
    run(0, false);
    pass(30_000);
    run(0, false, 3); // it finds out then
    run(0, false);
    expect(m.cpu.jit.statistics.regions).toBe(0);
    pass(30_000);
    run(0, false, 3);
    expect(m.cpu.jit.statistics.regions).toBe(1);
  });

  it('is forgotten where there is too much of it, until it gets hot again', () => {
    // A row of blocks, each of which leads to the next: inc eax; jmp on
    const count = MOST_ASIDE + 8;
    const row = Array.from({ length: count }, (_, i) => [0x40, 0xe9, ...word(i < count - 1 ? 0 : -6 * count)]);
    let time = 0;
    const { m, thread } = machine({ [START]: row.flat() }, () => time);
    const run = (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        time += 5;
        m.cpu.run(2 * count);
      }
    };
    run(2600);
    const { aside } = m.cpu.jit as unknown as { aside: unknown[] };
    expect(aside.length).toBe(MOST_ASIDE);
    expect(thread.jobs.length).toBe(0);
    const { blocks } = m.cpu as unknown as { blocks: BlockCache };
    const runs = row.map((_, i) => {
      const start = m.ram.byteOffset + START + 6 * i;
      const found = [...Array(256).keys()].map((mode) => blocks.find(start, mode)).find((block) => block)!;
      return blocks.runs(found);
    });
    expect(runs.filter((times) => times < 1000).length).toBe(8);
  });
});
