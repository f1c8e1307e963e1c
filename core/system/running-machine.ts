/** A machine that has been made: its parts, its run state, and the one place where requests become deeds. */
import type { Clocks } from '../clock/clock.ts';
import { type Bus, type Device, resetBus } from '../hw/core/device.ts';
import type { MachineEnvironment, ShutdownCause } from '../hw/core/environment.ts';
import type { Machine } from '../machines/machine.ts';
import { UserError } from '../util/errors.ts';
import { guestError } from '../util/log.ts';
import { type LoopCpu, type LoopHost, MainLoop } from './main-loop.ts';
import { isGuestCause, type Requests } from './requests.ts';
import { RunStateMachine } from './run-state.ts';

/** `-action`, `-no-reboot`, `-no-shutdown`. */
export interface Actions {
  readonly reboot: 'reset' | 'shutdown';
  readonly shutdown: 'poweroff' | 'pause';
}

export interface MachineParts {
  readonly env: MachineEnvironment;
  readonly clocks: Clocks;
  readonly machine: Machine;
  /** Null for a machine without devices. */
  readonly mainBus: Bus | null;
  /** Devices outside of any bus below the main one, in order of creation: the CPU first. */
  readonly looseDevices: readonly Device[];
  readonly cpu: LoopCpu & { reset(): void };
  readonly requests: Requests;
  readonly loop: LoopHost;
  emit(event: string, data: Readonly<Record<string, unknown>>): void;
}

export type ExitListener = (code: number) => void;

export class RunningMachine {
  readonly parts: MachineParts;
  readonly runState = new RunStateMachine();
  readonly mainLoop: MainLoop;
  actions: Actions;
  private readonly exitListeners: ExitListener[] = [];
  private readonly powerdownListeners = new Set<() => void>();
  private readonly resetListeners = new Set<() => void>();
  private hasExited = false;
  /** The guest has run at least once. */
  hasStarted = false;

  constructor(parts: MachineParts, actions: Actions) {
    this.parts = parts;
    this.actions = actions;
    this.mainLoop = new MainLoop(parts.clocks, parts.cpu, parts.loop, () => this.handleRequests());
    parts.requests.onRequest = () => this.mainLoop.kick();
    parts.requests.wakes = (reason) => {
      if (this.runState.state !== 'suspended' || !parts.env.sleep.isEnabled(reason)) return false;
      this.runState.set('running');
      return true;
    };
  }

  /** Monitors and viewers must be told before the program ends. */
  onExit(listener: ExitListener): void {
    this.exitListeners.push(listener);
  }
  /** The power button: the board's ACPI listens. */
  onPowerdown(listener: () => void): () => void {
    this.powerdownListeners.add(listener);
    return () => this.powerdownListeners.delete(listener);
  }
  onReset(listener: () => void): () => void {
    this.resetListeners.add(listener);
    return () => this.resetListeners.delete(listener);
  }

  /** Power-on state of everything. */
  resetAll(): void {
    const { parts } = this;
    for (const device of parts.looseDevices) device.reset();
    if (parts.mainBus) resetBus(parts.mainBus);
    for (const listener of this.resetListeners) listener();
    parts.cpu.reset();
  }

  /** `cont`. @throws UserError when only a reset helps */
  resume(): void {
    if (this.runState.isRunning || this.runState.state === 'suspended') return;
    if (this.runState.needsReset) throw new UserError('Resetting the Virtual Machine is required');
    this.hasStarted = true;
    this.runState.set('running');
    this.mainLoop.resume();
    this.parts.emit('RESUME', {});
  }
  /** `stop`. */
  stop(state: 'paused' | 'shutdown' | 'suspended' | 'internal-error' | 'io-error' | 'debug' = 'paused'): void {
    // As in QEMU, a machine that stands still stays in the state that it stopped in.
    if (!this.runState.isRunning) return;
    this.mainLoop.pause();
    this.runState.set(state);
    this.parts.emit('STOP', {});
  }

  systemReset(cause: ShutdownCause): void {
    this.resetAll();
    if (cause !== 'subsystem-reset') this.parts.emit('RESET', { guest: isGuestCause(cause), reason: cause });
    if (this.runState.canBecome('prelaunch')) this.runState.set('prelaunch');
  }

  /** Grants what was asked for, in QEMU's order. Returns false when the program is to end. */
  private handleRequests(): boolean {
    const { requests } = this.parts;
    if (requests.exitCode !== null) return this.exit(requests.exitCode);
    if (requests.ioError) {
      requests.ioError = false;
      this.stop('io-error');
    }
    if (requests.suspend) {
      requests.suspend = false;
      if (this.runState.isRunning) {
        this.mainLoop.sleep();
        this.parts.env.sleep.suspended();
        this.runState.set('suspended');
        this.parts.emit('SUSPEND', {});
      }
    }
    if (requests.shutdown) {
      const cause = requests.shutdown;
      requests.shutdown = null;
      this.parts.emit('SHUTDOWN', { guest: isGuestCause(cause), reason: cause });
      if (this.actions.shutdown === 'pause' && cause !== 'host-qmp-quit' && cause !== 'host-signal')
        this.stop('shutdown');
      else return this.exit(0);
    }
    if (requests.reset) {
      const cause = requests.reset;
      requests.reset = null;
      if (this.actions.reboot === 'shutdown' && cause !== 'subsystem-reset') {
        requests.requestShutdown(cause);
        return this.handleRequests();
      }
      this.systemReset(cause);
    }
    if (requests.wakeup) {
      const reason = requests.wakeup;
      requests.wakeup = null;
      this.resetAll();
      this.parts.env.sleep.woken(reason);
      if (this.runState.isRunning) this.mainLoop.resume(); // unless it has been stopped in between
      this.parts.emit('WAKEUP', {});
    }
    if (requests.powerdown) {
      requests.powerdown = false;
      this.parts.emit('POWERDOWN', {});
      for (const listener of this.powerdownListeners) listener();
    }
    return true;
  }

  /** Ends the machine; nothing runs after this. */
  exit(code: number): boolean {
    if (this.hasExited) return false;
    this.hasExited = true;
    this.mainLoop.end();
    for (const listener of this.exitListeners) listener(code);
    return false;
  }

  /** The CPU has shut down (triple fault): a PC's board resets. */
  cpuShutdown(): void {
    guestError('cpu', 'triple fault');
    this.parts.requests.requestReset('guest-reset');
  }
}
