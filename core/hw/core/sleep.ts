/** Sleeping with RAM kept (ACPI's S3) as the board's parts take part in it: who hears of it, and what may end it. */

/** What wakes a machine: its clock's alarm, the power management timer, or anything else (a key, a monitor). */
export type WakeupReason = 'rtc' | 'pm-timer' | 'other';

export class Sleep {
  private readonly enabled = new Set<WakeupReason>(['rtc', 'pm-timer', 'other']);
  private readonly suspendListeners: (() => void)[] = [];
  private readonly wakeupListeners: ((reason: WakeupReason) => void)[] = [];
  /** There is a part that tells the guest why it woke. */
  isSupported = false;

  enable(reason: WakeupReason, isOn: boolean): void {
    if (isOn) this.enabled.add(reason);
    else this.enabled.delete(reason);
  }
  isEnabled(reason: WakeupReason): boolean {
    return this.enabled.has(reason);
  }

  /** The machine falls asleep. */
  onSuspend(listener: () => void): void {
    this.suspendListeners.push(listener);
  }
  /** The machine has woken and been reset. */
  onWakeup(listener: (reason: WakeupReason) => void): void {
    this.isSupported = true;
    this.wakeupListeners.push(listener);
  }
  suspended(): void {
    for (const listener of this.suspendListeners) listener();
  }
  woken(reason: WakeupReason): void {
    for (const listener of this.wakeupListeners) listener(reason);
  }
}
