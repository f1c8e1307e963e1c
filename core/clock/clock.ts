/** Virtual, host and realtime clocks with their timers. All times are nanoseconds as numbers: exact for 104 days of running. */
import { assert } from '../util/errors.ts';

export type ClockType = 'virtual' | 'host' | 'realtime';

/** What the host knows of time. */
export interface HostTime {
  /** Never goes back; any origin. */
  monotonicNs(): number;
  /** Since 1970-01-01 UTC. */
  wallNs(): number;
}

/** Calls back once when its clock reaches `expireNs`. */
export class Timer {
  /** -1 while not armed. */
  expireNs = -1;
  /** Which arming of its clock this was. */
  armedAs = 0;
  readonly callback: () => void;
  private readonly clock: Clock;
  constructor(clock: Clock, callback: () => void) {
    this.clock = clock;
    this.callback = callback;
  }
  get isPending(): boolean {
    return this.expireNs >= 0;
  }
  /** Arms for an absolute time on the clock; a time that has passed fires at the next opportunity. */
  modify(expireNs: number): void {
    this.clock.arm(this, expireNs);
  }
  delete(): void {
    this.clock.disarm(this);
  }
}

/** One clock: a way to tell the time and a list of timers in order of expiry. */
export class Clock {
  readonly type: ClockType;
  private readonly read: () => number;
  private readonly isStopped: () => boolean;
  private readonly timers: Timer[] = [];
  private armings = 0;
  /** The earliest deadline has moved closer: whoever sleeps must look again. */
  onDeadlineChanged: () => void = () => {};

  /** @param isStopped while so, no timer fires */
  constructor(type: ClockType, read: () => number, isStopped: () => boolean = () => false) {
    this.type = type;
    this.read = read;
    this.isStopped = isStopped;
  }
  now(): number {
    return this.read();
  }
  newTimer(callback: () => void): Timer {
    return new Timer(this, callback);
  }
  /** When the next timer expires; null when none is armed. */
  get deadlineNs(): number | null {
    return this.timers[0]?.expireNs ?? null;
  }
  arm(timer: Timer, expireNs: number): void {
    assert(!Number.isNaN(expireNs), 'timer set to NaN');
    this.disarm(timer);
    timer.expireNs = Math.max(0, Math.floor(expireNs));
    timer.armedAs = ++this.armings;
    let at = this.timers.length;
    while (at > 0 && this.timers[at - 1]!.expireNs > timer.expireNs) at--;
    this.timers.splice(at, 0, timer);
    if (at === 0) this.onDeadlineChanged();
  }
  disarm(timer: Timer): void {
    if (timer.expireNs < 0) return;
    this.timers.splice(this.timers.indexOf(timer), 1);
    timer.expireNs = -1;
  }
  /** Fires what is due, in order of expiry; a timer armed meanwhile for the past waits for the next call, so that none starves the others. Returns whether any fired. */
  runTimers(): boolean {
    if (this.isStopped()) return false;
    const now = this.now();
    const first = this.timers[0];
    if (!first || first.expireNs > now) return false;
    const isLater = (timer: Timer) => timer.expireNs > now;
    const end = this.timers.findIndex(isLater);
    const due = this.timers.slice(0, end < 0 ? this.timers.length : end);
    const before = this.armings;
    for (const timer of due) {
      // An earlier callback may have taken it back, or armed it anew.
      if (!timer.isPending || timer.armedAs > before) continue;
      this.disarm(timer);
      timer.callback();
    }
    return true;
  }
}

/** A machine's three clocks. The virtual one stands while the machine is stopped. */
export class Clocks {
  readonly virtual: Clock;
  readonly realtime: Clock;
  readonly host: Clock;
  private readonly time: HostTime;
  private isRunning = false;
  private isAsleep = false;
  /** Virtual time at the last stop, and monotonic time at the last start. */
  private virtualBaseNs = 0;
  private startedAtNs = 0;

  constructor(time: HostTime) {
    this.time = time;
    this.virtual = new Clock(
      'virtual',
      () => this.virtualNow(),
      () => !this.isRunning || this.isAsleep,
    );
    this.realtime = new Clock('realtime', () => Math.floor(time.monotonicNs()));
    this.host = new Clock('host', () => Math.floor(time.wallNs()));
  }
  private virtualNow(): number {
    return this.isRunning
      ? this.virtualBaseNs + Math.floor(this.time.monotonicNs() - this.startedAtNs)
      : this.virtualBaseNs;
  }
  start(): void {
    this.isAsleep = false;
    if (this.isRunning) return;
    this.startedAtNs = this.time.monotonicNs();
    this.isRunning = true;
  }
  stop(): void {
    this.virtualBaseNs = this.virtualNow();
    this.isRunning = false;
  }
  /** Virtual time goes on, but its timers wait for the next start. */
  sleep(): void {
    this.isAsleep = true;
  }
  /** Sets the virtual clock, as loading a saved machine does. */
  setVirtualNs(ns: number): void {
    this.virtualBaseNs = ns;
    this.startedAtNs = this.time.monotonicNs();
  }
  byType(type: ClockType): Clock {
    return this[type];
  }
}

/** A clock that a test winds by hand. */
export class ManualTime implements HostTime {
  ns = 0;
  /** Wall time at ns = 0: 2024-01-02T03:04:05Z. */
  wallBaseNs = 1_704_164_645e9;
  monotonicNs(): number {
    return this.ns;
  }
  wallNs(): number {
    return this.wallBaseNs + this.ns;
  }
}
