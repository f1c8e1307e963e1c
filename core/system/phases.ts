/** The phases of start-up, in QEMU's order. Code that needs one to be over says so. */
import { assert } from '../util/errors.ts';
import { trace, traceEvent } from '../util/trace.ts';

const PHASES = ['no-machine', 'machine-created', 'accel-created', 'machine-initialized', 'machine-ready'] as const;
export type Phase = (typeof PHASES)[number];

const phaseAdvance = traceEvent('phase_advance');

export class Phases {
  private at = 0;
  get current(): Phase {
    return PHASES[this.at]!;
  }
  /** Enters the next phase; phases are not skipped. */
  advance(to: Phase): void {
    assert(PHASES[this.at + 1] === to, `phase '${to}' does not follow '${this.current}'`);
    this.at++;
    trace(phaseAdvance, to);
  }
  has(phase: Phase): boolean {
    return this.at >= PHASES.indexOf(phase);
  }
  require(phase: Phase): void {
    assert(this.has(phase), `needs phase '${phase}', now '${this.current}'`);
  }
}
