import { describe, expect, it } from 'vitest';
import { Clocks, ManualTime } from '../clock/clock.ts';
import { type LoopCpu, type LoopHost, MainLoop } from './main-loop.ts';

/** A host whose time stands until someone moves it; tasks run one by one, in order of their time. */
class WoundHost implements LoopHost {
  readonly time = new ManualTime();
  private readonly tasks: { at: number; task: () => void }[] = [];
  /** Milliseconds of every sleep that was asked for. */
  readonly sleeps: number[] = [];
  soon(task: () => void): void {
    this.tasks.push({ at: this.time.ns, task });
  }
  after(ms: number, task: () => void): () => void {
    this.sleeps.push(ms);
    const entry = { at: this.time.ns + ms * 1e6, task };
    this.tasks.push(entry);
    return () => {
      const index = this.tasks.indexOf(entry);
      if (index >= 0) this.tasks.splice(index, 1);
    };
  }
  monotonicNs(): number {
    return this.time.ns;
  }
  get pending(): number {
    return this.tasks.length;
  }
  /** Runs the next task at its time. Returns whether there was one before `end`. */
  step(end = Number.POSITIVE_INFINITY): boolean {
    const next = [...this.tasks].sort((a, b) => a.at - b.at)[0];
    if (!next || next.at > end) return false;
    this.tasks.splice(this.tasks.indexOf(next), 1);
    this.time.ns = Math.max(this.time.ns, next.at);
    next.task();
    return true;
  }
  /** Runs for so long, at most so many tasks: an idle machine must not spin. */
  run(ns: number, most = 1000): number {
    const end = this.time.ns + ns;
    let count = 0;
    while (this.step(end)) if (++count > most) throw new Error('the loop spins');
    this.time.ns = end;
    return count;
  }
}

/** Executes one instruction per nanosecond, and whatever `program` says happens on the way. */
class FakeCpu implements LoopCpu {
  executed = 0;
  halted = false;
  exits = 0;
  readonly budgets: number[] = [];
  readonly activity = {
    pauses: 0,
    keyboardCalls: 0,
    pollingReads: 0,
    otherPortAccesses: 0,
    mmioWrites: 0,
    blocksDecoded: 0,
  };
  program: (budget: number) => 'budget' | 'halted' | 'exit' | 'breakpoint' | undefined = () => undefined;
  private readonly time: ManualTime;
  constructor(time: ManualTime) {
    this.time = time;
  }
  run(budget: number): 'budget' | 'halted' | 'exit' | 'breakpoint' {
    this.budgets.push(budget);
    const outcome = this.program(budget);
    if (outcome === undefined || outcome === 'budget') {
      this.executed += budget;
      this.activity.otherPortAccesses += 1000; // a guest that works
      this.time.ns += budget;
    }
    this.time.ns += 1000; // coming and going takes time, too
    return outcome ?? 'budget';
  }
  requestExit(): void {
    this.exits++;
  }
}

function machine(handle: () => boolean = () => true) {
  const host = new WoundHost();
  const clocks = new Clocks(host.time);
  const cpu = new FakeCpu(host.time);
  const loop = new MainLoop(clocks, cpu, host, handle);
  return { host, clocks, cpu, loop };
}

describe('main loop', () => {
  it('breathes: hands time back to the host while the guest computes', () => {
    const { host, cpu, loop } = machine();
    loop.resume();
    let others = 0;
    for (let i = 0; i < 50; i++) {
      host.soon(() => void others++);
      host.step();
      host.step();
    }
    expect(others).toBe(50);
    expect(cpu.executed).toBeGreaterThan(1_000_000);
    const longest = Math.max(...cpu.budgets.slice(-20));
    expect(longest).toBeLessThanOrEqual(2_000_000);
  });

  it('sleeps through a halt until the next deadline, and does not spin', () => {
    const { host, clocks, cpu, loop } = machine();
    cpu.program = () => 'halted';
    const fired: number[] = [];
    const timer = clocks.virtual.newTimer(() => {
      fired.push(clocks.virtual.now());
      timer.modify(clocks.virtual.now() + 10e6);
    });
    loop.resume();
    timer.modify(10e6);
    expect(host.run(100e6, 40)).toBeGreaterThan(9);
    expect(fired).toHaveLength(10);
    expect(fired[3]).toBe(40e6);
    timer.delete();
    host.run(20e6);
    expect(host.pending).toBe(0); // nothing to wake up for
  });

  it('wakes from a halt when it is kicked', () => {
    const { host, cpu, loop } = machine();
    cpu.program = () => 'halted';
    loop.resume();
    host.run(1e6);
    const before = cpu.budgets.length;
    expect(host.run(50e6)).toBe(0);
    loop.kick();
    loop.kick();
    host.run(1e6);
    expect(cpu.budgets.length).toBe(before + 1);
  });

  it('wakes for an earlier deadline that is set from outside', () => {
    const { host, clocks, cpu, loop } = machine();
    cpu.program = () => 'halted';
    let woken = 0;
    clocks.realtime.newTimer(() => {}).modify(1e9);
    loop.resume();
    host.run(1e6);
    clocks.realtime.newTimer(() => void woken++).modify(host.time.ns + 5e6);
    host.run(10e6);
    expect(woken).toBe(1);
  });

  it('does not lose a request that is made while requests are handled, though nothing runs', () => {
    let asked = 0;
    let handled = 0;
    const parts = machine(() => {
      if (asked > handled) {
        handled = asked;
        if (asked < 3) {
          asked++;
          parts.loop.kick(); // one deed asks for the next
        }
      }
      return true;
    });
    asked = 1;
    parts.loop.kick();
    parts.host.run(1e6, 20);
    expect([asked, handled]).toEqual([3, 3]);
  });

  it('does not lose a request that the guest makes before it halts', () => {
    let pending = false;
    let granted = 0;
    const parts = machine(() => {
      if (pending) granted++;
      pending = false;
      return true;
    });
    parts.cpu.program = () => {
      if (granted === 0 && !pending) {
        pending = true;
        parts.loop.kick();
      }
      return 'halted';
    };
    parts.loop.resume();
    parts.host.run(1e6, 20);
    expect(granted).toBe(1);
  });

  it('makes slices short while a timer or the host’s disk is about to be due', () => {
    const { host, clocks, cpu, loop } = machine();
    loop.resume();
    for (let i = 0; i < 30; i++) host.step(); // learns the speed: one instruction per ns
    const usual = cpu.budgets.at(-1)!;
    expect(usual).toBeGreaterThan(1_000_000);
    loop.setPendingIo(2);
    host.step();
    expect(cpu.budgets.at(-1)!).toBeLessThanOrEqual(101_000);
    loop.setPendingIo(0);
    host.step();
    expect(cpu.budgets.at(-1)!).toBeGreaterThan(1_000_000);
    const timer = clocks.virtual.newTimer(() => {});
    timer.modify(clocks.virtual.now() + 50_000);
    const slices = cpu.budgets.length;
    host.step();
    expect(cpu.budgets[slices]!).toBeLessThanOrEqual(51_000);
    timer.modify(0); // past: the guest still gets on
    clocks.virtual.newTimer(() => timer.modify(0)).modify(0);
    const executed = cpu.executed;
    host.step();
    expect(cpu.executed).toBeGreaterThan(executed);
  });

  it('holds virtual time and its timers while paused; real time goes on', () => {
    const { host, clocks, cpu, loop } = machine();
    const fired: string[] = [];
    loop.resume();
    host.step();
    loop.pause();
    host.run(1e6);
    const [at, slices] = [clocks.virtual.now(), cpu.budgets.length];
    clocks.virtual.newTimer(() => fired.push('virtual')).modify(at - 1);
    clocks.realtime.newTimer(() => fired.push('realtime')).modify(clocks.realtime.now() + 5e6);
    host.run(50e6, 20);
    expect([clocks.virtual.now(), cpu.budgets.length, fired]).toEqual([at, slices, ['realtime']]);
    loop.resume();
    host.step();
    expect(fired).toEqual(['realtime', 'virtual']);
  });

  it('tells the CPU to stop when it is paused or ended from inside', () => {
    const parts = machine();
    parts.cpu.program = () => {
      parts.loop.pause();
      return 'exit';
    };
    parts.loop.resume();
    parts.host.run(10e6, 20);
    expect([parts.cpu.budgets.length, parts.cpu.exits > 0]).toEqual([1, true]);
  });

  it('does nothing any more once it has ended, whatever kicks it', () => {
    let ends = false;
    const { host, clocks, cpu, loop } = machine(() => !ends);
    loop.resume();
    host.step();
    ends = true;
    host.step();
    const slices = cpu.budgets.length;
    loop.kick();
    clocks.realtime.newTimer(() => {}).modify(1);
    host.run(50e6);
    expect([cpu.budgets.length, host.pending]).toEqual([slices, 0]);
    const other = machine();
    other.cpu.program = () => 'halted';
    other.clocks.realtime.newTimer(() => {}).modify(1e9);
    other.loop.resume();
    other.host.step();
    other.loop.end();
    expect(other.host.pending).toBe(0); // its sleep was taken back
  });

  it('counts how much of the time the guest had', () => {
    const { host, loop } = machine();
    loop.statistics();
    loop.resume();
    for (let i = 0; i < 30; i++) host.step();
    const { mips, busy } = loop.statistics();
    expect(busy).toBeCloseTo(1, 1);
    expect(mips).toBeGreaterThan(500);
    loop.pause();
    host.run(1e9);
    const paused = loop.statistics();
    expect(paused).toMatchObject({ mips: 0, averageMips: mips });
    expect(paused.busy).toBeLessThan(0.1);
  });
});
