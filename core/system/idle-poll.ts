/**
 * Recognises a guest that does nothing but ask "has a key been pressed, what time is it": a boot loader's menu, a DOS prompt.
 * Such a guest never executes HLT and would burn a whole core. It is known by what it does *not* do for a while (no new code, no
 * screen output, no disk, no string moves) and by how often it asks (keyboard status reads, BIOS keyboard calls, PAUSE, clock reads).
 * It then rests between short bursts; an interrupt, a key or any other activity wakes it at once.
 */

/** Counters that only ever grow. */
export interface CpuActivity {
  readonly pauses: number;
  /** Real and virtual-8086 mode INT 16h (keyboard) calls. */
  readonly keyboardCalls: number;
  /** Reads of ports that tell time or keyboard state; every other port access is work. */
  readonly pollingReads: number;
  readonly otherPortAccesses: number;
  readonly mmioWrites: number;
  readonly blocksDecoded: number;
}

/** So many instructions may pass between two polls. */
const INSTRUCTIONS_PER_POLL = 20_000;
/** A guest rests only after it has done nothing else for so long. */
const QUIET_NS = 60_000_000;
/** Rest between bursts: below the 10 ms that a key press may be delayed by; a kick ends it early anyway. */
const REST_MS = 8;
/** How long a burst may last: a poll loop needs a fraction of it to look at everything once. */
const BURST_NS = 400_000;
/** GRUB patches the INT instruction of its BIOS calls, so that each poll decodes a block or two anew; more than that is new code. */
const TOLERATED_BLOCKS = 4;
/** Other accesses that a quiet period may hold: timer interrupts acknowledge the PIC, cursors blink. */
const TOLERATED_PER_MS = 8;

export class IdlePollDetector {
  private readonly activity: CpuActivity;
  private quietSinceNs = -1;
  private lastNs = 0;
  private polls = 0;
  private work = 0;
  private decoded = 0;
  private instructions = 0;
  /** A rest is due now. */
  isDue = false;
  /** Rests taken so far; statistics and tests. */
  rests = 0;
  isEnabled = true;

  constructor(activity: CpuActivity) {
    this.activity = activity;
  }

  /** A slice has run. */
  observe(executed: number, nowNs: number): void {
    const { activity } = this;
    this.instructions += executed;
    const polls = activity.pauses + activity.keyboardCalls + activity.pollingReads;
    const elapsedNs = nowNs - this.lastNs;
    if (elapsedNs < BURST_NS) return;
    const work = activity.otherPortAccesses + activity.mmioWrites;
    const isPolling = (polls - this.polls) * INSTRUCTIONS_PER_POLL >= this.instructions;
    const isWorking =
      work - this.work > (elapsedNs / 1e6) * TOLERATED_PER_MS + 4 ||
      activity.blocksDecoded - this.decoded > TOLERATED_BLOCKS + 2 * (polls - this.polls);
    this.polls = polls;
    this.work = work;
    this.decoded = activity.blocksDecoded;
    this.instructions = 0;
    this.lastNs = nowNs;
    if (!isPolling || isWorking) {
      this.quietSinceNs = -1;
      this.isDue = false;
      return;
    }
    if (this.quietSinceNs < 0) this.quietSinceNs = nowNs;
    this.isDue = nowNs - this.quietSinceNs >= QUIET_NS;
  }

  /** It has done nothing but poll for a while. */
  get isQuiet(): boolean {
    return this.quietSinceNs >= 0 && this.lastNs - this.quietSinceNs >= QUIET_NS;
  }

  /** How long to rest now, in ms; 0 for not at all. */
  restMs(): number {
    if (!this.isDue || !this.isEnabled) return 0;
    this.isDue = false;
    this.rests++;
    return REST_MS;
  }

  /** Input or another event from outside: stay awake for a while. */
  wake(): void {
    this.isDue = false;
  }
}
