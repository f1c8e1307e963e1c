/** What devices, monitors and signals ask for; the main loop grants it between slices. A later request of the same kind changes nothing. */
import type { ShutdownCause } from '../hw/core/environment.ts';
import type { WakeupReason } from '../hw/core/sleep.ts';

export class Requests {
  reset: ShutdownCause | null = null;
  shutdown: ShutdownCause | null = null;
  powerdown = false;
  suspend = false;
  wakeup: WakeupReason | null = null;
  /** A disk request failed and its drive says to stop. */
  ioError = false;
  /** The program ends with this code at once (isa-debug-exit). */
  exitCode: number | null = null;
  /** The loop is to be told that something is there. */
  onRequest: () => void = () => {};
  /** Whether the machine sleeps, and would wake for this; it counts as running from then on. */
  wakes: (reason: WakeupReason) => boolean = () => false;

  requestReset(cause: ShutdownCause): void {
    this.reset ??= cause;
    this.onRequest();
  }
  requestShutdown(cause: ShutdownCause): void {
    this.shutdown ??= cause;
    this.onRequest();
  }
  requestPowerdown(): void {
    this.powerdown = true;
    this.onRequest();
  }
  requestSuspend(): void {
    this.suspend = true;
    this.onRequest();
  }
  requestWakeup(reason: WakeupReason): void {
    if (!this.wakes(reason)) return;
    this.wakeup = reason;
    this.onRequest();
  }
  requestStop(): void {
    this.ioError = true;
    this.onRequest();
  }
  requestExit(code: number): void {
    this.exitCode ??= code;
    this.onRequest();
  }
}

/** A cause as QMP's `reason`, and whether the guest brought it about. */
export function isGuestCause(cause: ShutdownCause): boolean {
  return cause === 'guest-shutdown' || cause === 'guest-reset' || cause === 'guest-panic';
}
