/** What the machine as a whole is doing, in QEMU's words (QAPI RunState), and which changes make sense. */
import { assert } from '../util/errors.ts';

export type RunState =
  | 'prelaunch'
  | 'running'
  | 'paused'
  | 'shutdown'
  | 'suspended'
  | 'guest-panicked'
  | 'internal-error'
  | 'io-error'
  | 'debug';

/** From each state, where to. */
const TRANSITIONS: Record<RunState, readonly RunState[]> = {
  prelaunch: ['running', 'paused', 'shutdown', 'internal-error'],
  running: ['paused', 'shutdown', 'suspended', 'guest-panicked', 'internal-error', 'io-error', 'debug'],
  paused: ['running', 'prelaunch', 'shutdown', 'internal-error'],
  shutdown: ['paused', 'running', 'prelaunch'],
  suspended: ['running', 'paused', 'prelaunch', 'shutdown', 'internal-error'],
  'guest-panicked': ['running', 'paused', 'shutdown', 'prelaunch'],
  'internal-error': ['paused', 'prelaunch', 'shutdown'],
  'io-error': ['running', 'paused', 'prelaunch', 'shutdown'],
  debug: ['running', 'paused', 'prelaunch', 'shutdown'],
};

export type RunStateListener = (state: RunState, isRunning: boolean) => void;

export class RunStateMachine {
  private current: RunState = 'prelaunch';
  private readonly listeners = new Set<RunStateListener>();

  get state(): RunState {
    return this.current;
  }
  get isRunning(): boolean {
    return this.current === 'running';
  }
  set(next: RunState): void {
    if (next === this.current) return;
    assert(TRANSITIONS[this.current].includes(next), `invalid runstate transition: '${this.current}' -> '${next}'`);
    this.current = next;
    for (const listener of [...this.listeners]) listener(next, this.isRunning);
  }
  canBecome(next: RunState): boolean {
    return TRANSITIONS[this.current].includes(next);
  }
  onChange(listener: RunStateListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  /** Must be reset before `cont` makes sense. */
  get needsReset(): boolean {
    return this.current === 'internal-error' || this.current === 'shutdown';
  }
}
