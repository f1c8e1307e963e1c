import { describe, expect, it } from 'vitest';
import { GuestWatch } from './guest-watch.ts';

/** A process whose time a test lets pass. */
class Process {
  private time = 5000;
  private used = 700;
  now = () => this.time;
  cpu = () => this.used;
  /** @param load part of the time that it runs */
  pass(milliseconds: number, load: number): void {
    this.time += milliseconds;
    this.used += milliseconds * load;
  }
}

describe('a guest that is watched', () => {
  it('is left alone while it waits, from when that is seen, for half a minute', () => {
    const process = new Process();
    const watch = new GuestWatch(process);
    expect(watch.isLeftAlone()).toBe(false);
    process.pass(200, 0.01);
    expect(watch.isLeftAlone()).toBe(false); // too short to tell
    process.pass(100, 0.01);
    expect([watch.isLeftAlone(), watch.isWaiting]).toEqual([true, true]);
    for (let i = 0; i < 29; i++) {
      process.pass(1000, 0.2);
      expect(watch.isLeftAlone()).toBe(true);
    }
    process.pass(1000, 0.2);
    expect([watch.isLeftAlone(), watch.isWaiting]).toEqual([false, true]);
  });

  it('is not while it is busy, and again when it waits again', () => {
    const process = new Process();
    const watch = new GuestWatch(process);
    const pass = (milliseconds: number, load: number) => {
      process.pass(milliseconds, load);
      return watch.isLeftAlone();
    };
    expect(pass(1000, 0.9)).toBe(false);
    expect(pass(40_000, 0.1)).toBe(false); // nobody looked in between: it has waited for long
    expect(pass(1000, 0.31)).toBe(false);
    expect(pass(1000, 0.29)).toBe(true);
    expect(pass(28_000, 0)).toBe(true);
    expect(pass(1000, 1)).toBe(false);
    expect(pass(29_000, 0)).toBe(true);
  });

  it('is not busy because of work for later runs', () => {
    const process = new Process();
    const watch = new GuestWatch(process);
    const work = () => {
      process.pass(900, 1);
      return 'done';
    };
    expect(watch.during(work)).toBe('done');
    process.pass(100, 0.1);
    expect(watch.isLeftAlone()).toBe(true);
    // It does not count twice.
    process.pass(1000, 0.9);
    expect(watch.isLeftAlone()).toBe(false);
  });
});
