/** One thread runs vCPU slices, timers and requests, and breathes between them so that the host's I/O gets its turn. */
import type { Clocks } from '../clock/clock.ts';
import { type CpuActivity, IdlePollDetector } from './idle-poll.ts';

/** How the loop gets time from its host. */
export interface LoopHost {
  /** Runs `task` after pending I/O, as soon as possible. */
  soon(task: () => void): void;
  /** Runs `task` after at least `ms` milliseconds. Returns a way to take it back. */
  after(ms: number, task: () => void): () => void;
  monotonicNs(): number;
}

/** The processor as the loop sees it. */
export interface LoopCpu {
  run(budget: number): 'budget' | 'halted' | 'exit' | 'breakpoint';
  requestExit(): void;
  readonly executed: number;
  readonly halted: boolean;
  readonly activity: CpuActivity;
}

/** Guest time between two looks at the host's I/O. */
const BREATH_NS = 2_000_000;
/** While the host works on disk requests: their results should not wait long. */
const IO_BREATH_NS = 100_000;
/** A slice is never shorter than this many instructions, so that a timer in the past cannot starve the guest. */
const SHORTEST_SLICE = 500;
/** A guest that seems to be polling is looked at more often. */
const POLLING_BREATH_NS = 400_000;
const LONGEST_SLICE = 2_000_000;

export interface LoopStatistics {
  /** Million guest instructions per second of the vCPU's time, since the last look. */
  readonly mips: number;
  /** The same since power-on. */
  readonly averageMips: number;
  /** Part of the time since the last look that the vCPU ran, 0 to 1. */
  readonly busy: number;
}

export class MainLoop {
  private readonly clocks: Clocks;
  private readonly cpu: LoopCpu;
  private readonly host: LoopHost;
  /** Handles what devices and monitors asked for; returns false when the loop must end. */
  private readonly handleRequests: () => boolean;
  private isRunning = false;
  private hasEnded = false;
  private breathNs = BREATH_NS;
  private isScheduled = false;
  private isInside = false;
  /** Someone kicked after the requests of this turn were looked at. */
  private wasKicked = false;
  private cancelSleep: (() => void) | null = null;
  /** Guest instructions per nanosecond, smoothed. */
  private speed = 0.1;
  /** When the slice that runs is expected to end. */
  private sliceEndsNs = Number.POSITIVE_INFINITY;
  private busyNs = 0;
  private done = 0;
  private totalBusyNs = 0;
  private totalDone = 0;
  private lookedAtNs: number;
  readonly idlePoll: IdlePollDetector;

  constructor(clocks: Clocks, cpu: LoopCpu, host: LoopHost, handleRequests: () => boolean) {
    this.clocks = clocks;
    this.cpu = cpu;
    this.host = host;
    this.handleRequests = handleRequests;
    this.lookedAtNs = host.monotonicNs();
    this.idlePoll = new IdlePollDetector(cpu.activity);
    for (const clock of [clocks.virtual, clocks.realtime, clocks.host])
      clock.onDeadlineChanged = () => this.deadlineChanged();
  }
  /** A slice that ends before the new deadline anyway goes on: an idle guest sets a timer at every tick. */
  private deadlineChanged(): void {
    if (!this.isInside) this.kick();
    else if (this.host.monotonicNs() + this.nextDeadlineNs() < this.sliceEndsNs) this.cpu.requestExit();
  }

  /** The vCPU runs from now on. */
  resume(): void {
    this.isRunning = true;
    this.clocks.start();
    this.kick();
  }
  /** The vCPU stops at the end of its slice; virtual time stands still at once. */
  pause(): void {
    this.isRunning = false;
    this.clocks.stop();
    this.cpu.requestExit();
  }
  /** The vCPU stops, virtual time goes on without timers. */
  sleep(): void {
    this.isRunning = false;
    this.clocks.sleep();
    this.cpu.requestExit();
  }
  end(): void {
    this.hasEnded = true;
    this.cancelSleep?.();
    this.cancelSleep = null;
    this.cpu.requestExit();
  }

  /** The host has so many disk requests under way. */
  setPendingIo(count: number): void {
    this.breathNs = count > 0 ? IO_BREATH_NS : BREATH_NS;
    if (count > 0 && this.isInside) this.cpu.requestExit();
  }

  /** Something happened that the loop should look at: an interrupt, a request, an earlier deadline. */
  kick(): void {
    if (this.isInside) {
      this.wasKicked = true;
      this.cpu.requestExit();
    }
    this.idlePoll.wake();
    this.schedule();
  }
  /** Grants what was asked for at once; within a turn the loop is about to do that itself. */
  grant(): void {
    if (!this.isInside && !this.hasEnded && !this.handleRequests()) this.hasEnded = true;
  }
  private schedule(): void {
    if (this.isScheduled || this.isInside || this.hasEnded) return;
    this.cancelSleep?.();
    this.cancelSleep = null;
    this.isScheduled = true;
    this.host.soon(() => {
      this.isScheduled = false;
      this.turn();
    });
  }

  private turn(): void {
    if (this.hasEnded) return;
    this.isInside = true;
    let wantsMore = false;
    try {
      const start = this.host.monotonicNs();
      do {
        this.clocks.virtual.runTimers();
        this.clocks.realtime.runTimers();
        this.clocks.host.runTimers();
        this.wasKicked = false;
        if (!this.handleRequests()) {
          this.hasEnded = true;
          return;
        }
        wantsMore = this.isRunning && this.runSlice();
      } while (wantsMore && !this.idlePoll.isDue && this.host.monotonicNs() - start < this.breath);
    } finally {
      this.isInside = false;
    }
    if (this.wasKicked) this.schedule();
    else if (wantsMore) {
      const restMs = this.idlePoll.restMs();
      if (restMs > 0) this.sleepUntilDeadline(restMs);
      else this.schedule();
    } else this.sleepUntilDeadline(Number.POSITIVE_INFINITY);
  }

  /** Returns whether the vCPU has more to do. */
  private runSlice(): boolean {
    const before = this.cpu.executed;
    const startNs = this.host.monotonicNs();
    const budget = this.budget();
    this.sliceEndsNs = startNs + budget / this.speed;
    const outcome = this.cpu.run(budget);
    this.sliceEndsNs = Number.POSITIVE_INFINITY;
    const elapsedNs = this.host.monotonicNs() - startNs;
    const executed = this.cpu.executed - before;
    this.busyNs += elapsedNs;
    this.done += executed;
    if (executed > 10_000 && elapsedNs > 0) this.speed += (executed / elapsedNs - this.speed) * 0.2;
    if (outcome === 'halted') return false;
    this.idlePoll.observe(executed, this.host.monotonicNs());
    return outcome !== 'breakpoint';
  }

  private get breath(): number {
    return this.idlePoll.isQuiet ? Math.min(this.breathNs, POLLING_BREATH_NS) : this.breathNs;
  }
  private budget(): number {
    const deadline = this.nextDeadlineNs();
    if (deadline === Number.POSITIVE_INFINITY) return Math.min(LONGEST_SLICE, this.breath * this.speed) | 0;
    return Math.min(LONGEST_SLICE, Math.max(SHORTEST_SLICE, Math.min(deadline, this.breath) * this.speed)) | 0;
  }

  /** Nanoseconds to the next timer of any clock that runs. */
  private nextDeadlineNs(): number {
    const { virtual, realtime, host } = this.clocks;
    let nearest = Number.POSITIVE_INFINITY;
    for (const clock of this.isRunning ? [virtual, realtime, host] : [realtime, host])
      if (clock.deadlineNs !== null) nearest = Math.min(nearest, Math.max(0, clock.deadlineNs - clock.now()));
    return nearest;
  }

  private sleepUntilDeadline(longestMs: number): void {
    if (this.isScheduled || this.hasEnded) return;
    const ms = Math.min(longestMs, this.nextDeadlineNs() / 1e6);
    if (ms === Number.POSITIVE_INFINITY) return; // until someone kicks
    if (ms <= 0) {
      this.schedule();
      return;
    }
    this.cancelSleep?.();
    this.cancelSleep = this.host.after(ms, () => {
      this.cancelSleep = null;
      this.turn();
    });
  }

  /** What the status bar shows; each call starts a new period. */
  statistics(): LoopStatistics {
    const now = this.host.monotonicNs();
    const busy = Math.min(1, this.busyNs / Math.max(1, now - this.lookedAtNs));
    const mips = this.busyNs > 0 ? (this.done / this.busyNs) * 1000 : 0;
    this.totalBusyNs += this.busyNs;
    this.totalDone += this.done;
    this.busyNs = 0;
    this.done = 0;
    this.lookedAtNs = now;
    const averageMips = this.totalBusyNs > 0 ? (this.totalDone / this.totalBusyNs) * 1000 : 0;
    return { mips, averageMips, busy };
  }
}
