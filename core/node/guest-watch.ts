/** Whether a guest is left alone by work for later runs: while it waits, whoever looks at the process's load sees what is done. */

/** A guest that waits is left alone for so long: the process makes use of less than this part of the time, looked at so often. */
const WAITING_MS = 30_000;
const WAITING_PART = 0.3;
export const LOOK_MS = 250;

/** Milliseconds: of some clock, and of the process's CPU time. */
export interface WatchedProcess {
  now(): number;
  cpu(): number;
}

export class GuestWatch {
  /** The guest makes little use of the time. */
  isWaiting = false;
  private readonly process: WatchedProcess;
  /** What was seen when it was last looked at, and what work for later runs took since. */
  private at: number;
  private cpu: number;
  private worked = 0;
  private busyAt: number;

  constructor(process: WatchedProcess) {
    this.process = process;
    this.at = this.busyAt = process.now();
    this.cpu = process.cpu();
  }
  /** Does work for later runs, which does not count. */
  during<T>(work: () => T): T {
    const started = this.process.now();
    const result = work();
    this.worked += this.process.now() - started;
    return result;
  }
  /** The guest waits, and has not done so for long. */
  isLeftAlone(): boolean {
    const now = this.process.now();
    const span = now - this.at;
    if (span >= LOOK_MS) {
      const cpu = this.process.cpu();
      this.isWaiting = cpu - this.cpu - this.worked < span * WAITING_PART;
      if (!this.isWaiting) this.busyAt = now;
      this.at = now;
      this.cpu = cpu;
      this.worked = 0;
    }
    return this.isWaiting && now - this.busyAt < WAITING_MS;
  }
}
