/** The local APIC's timer (Intel SDM volume 3A section 10.5.4). Its clock has 1 GHz, so ticks are nanoseconds; the TSC counts them too.
 *  The count stands at zero for one tick before it is loaded again. */
import type { Clock, Timer } from '../../clock/clock.ts';
import { LVT, LVT_BITS, TIMER_MODE } from './apic-registers.ts';

/** The saved part, in the names that QEMU gives the fields. */
export interface ApicTimerState {
  lvt: number[];
  divide_conf: number;
  /** Log2 of the divider. */
  count_shift: number;
  initial_count: number;
  /** Nanoseconds of virtual time. */
  initial_count_load_time: number;
  next_time: number;
  timer_expiry: number;
}

const DIVIDE_WRITABLE = 0x0b;

export class ApicTimer {
  private readonly clock: Clock;
  private readonly timer: Timer;
  private readonly state: () => ApicTimerState;
  /** What IA32_TSC_DEADLINE reads as: the halves of what was written, zero once it has passed. */
  deadlineLow = 0;
  deadlineHigh = 0;

  /** @param fire raises the timer's interrupt, unless it is masked */
  constructor(clock: Clock, state: () => ApicTimerState, fire: () => void) {
    this.clock = clock;
    this.state = state;
    this.timer = clock.newTimer(() => {
      const { next_time: expired } = state();
      state().timer_expiry = -1;
      if (this.mode === TIMER_MODE.periodic) this.arm(expired);
      else this.clearDeadline();
      fire();
    });
  }

  get mode(): number {
    return (this.state().lvt[LVT.timer]! >>> LVT_BITS.timerModeShift) & 3;
  }
  reset(): void {
    this.timer.delete();
    this.clearDeadline();
  }
  private clearDeadline(): void {
    this.deadlineLow = 0;
    this.deadlineHigh = 0;
  }

  writeInitialCount(value: number): void {
    if (this.mode === TIMER_MODE.tscDeadline) return;
    const state = this.state();
    state.initial_count = value;
    state.initial_count_load_time = this.clock.now();
    this.arm(state.initial_count_load_time);
  }
  writeDivide(value: number): void {
    const state = this.state();
    state.divide_conf = value & DIVIDE_WRITABLE;
    // Bits 3, 1 and 0 together: divide by 2, 4, ... 128, and 1.
    state.count_shift = (((value & 3) | ((value >>> 1) & 4)) + 1) & 7;
    if (state.initial_count > 0) this.arm(this.clock.now());
  }
  /** The mode bits of the table entry have changed. Going to or from deadline mode disarms (SDM volume 3A section 10.5.4.1). */
  modeChanged(before: number): void {
    const { mode } = this;
    if (mode === before) return;
    if (mode === TIMER_MODE.tscDeadline || before === TIMER_MODE.tscDeadline) {
      const state = this.state();
      state.initial_count = 0;
      state.timer_expiry = -1;
      this.reset();
    } else this.arm(this.clock.now());
  }
  /** @param atNs when the TSC reaches the value, in virtual time; both halves zero disarm */
  writeDeadline(low: number, high: number, atNs: number): void {
    if (this.mode !== TIMER_MODE.tscDeadline) return;
    this.deadlineLow = low;
    this.deadlineHigh = high;
    if ((low | high) === 0) this.disarm();
    else this.armFor(atNs);
  }

  /** Ticks of the divided clock since the count was loaded. */
  private elapsed(now: number): number {
    const state = this.state();
    return Math.floor(Math.max(0, now - state.initial_count_load_time) / 2 ** state.count_shift);
  }
  get currentCount(): number {
    const { initial_count: initial } = this.state();
    if (initial === 0 || this.mode === TIMER_MODE.tscDeadline) return 0;
    const elapsed = this.elapsed(this.clock.now());
    if (this.mode === TIMER_MODE.periodic) return initial - (elapsed % (initial + 1));
    return Math.max(0, initial - elapsed);
  }
  /** Arms for the first expiry after `now`. */
  private arm(now: number): void {
    const state = this.state();
    const { initial_count: initial } = state;
    if (initial === 0) {
      this.disarm();
      return;
    }
    const elapsed = this.elapsed(now);
    const ticks = initial + 1;
    if (this.mode === TIMER_MODE.oneShot && elapsed >= ticks) {
      this.disarm();
      return;
    }
    const periods = this.mode === TIMER_MODE.periodic ? Math.floor(elapsed / ticks) + 1 : 1;
    this.armFor(state.initial_count_load_time + periods * ticks * 2 ** state.count_shift);
  }
  private armFor(ns: number): void {
    const state = this.state();
    state.next_time = ns;
    state.timer_expiry = ns;
    this.timer.modify(ns);
  }
  private disarm(): void {
    this.state().timer_expiry = -1;
    this.timer.delete();
  }
  /** After loading. */
  restore(): void {
    const { timer_expiry: at } = this.state();
    if (at >= 0) this.timer.modify(at);
    else this.timer.delete();
  }
}
