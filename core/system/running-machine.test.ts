import { describe, expect, it } from 'vitest';
import { Device, deviceNew, deviceType } from '../hw/core/device.ts';
import { bareBoard } from '../hw/core/environment.ts';
import type { Machine } from '../machines/machine.ts';
import { typeRegister } from '../qom/type.ts';
import type { LoopHost } from './main-loop.ts';
import { Requests } from './requests.ts';
import { type Actions, RunningMachine } from './running-machine.ts';

const resets: string[] = [];
class Chip extends Device {
  override reset() {
    resets.push(this.id ?? '');
  }
}
typeRegister(deviceType({ name: 'chip', class: Chip }));

function machine(actions: Partial<Actions> = {}) {
  const board = bareBoard();
  board.clocks.stop();
  const events: string[] = [];
  const tasks: (() => void)[] = [];
  const loop: LoopHost = {
    soon: (task) => void tasks.push(task),
    after: () => () => {},
    monotonicNs: () => board.time.ns,
  };
  const requests = new Requests();
  const activity = {
    pauses: 0,
    keyboardCalls: 0,
    pollingReads: 0,
    otherPortAccesses: 0,
    mmioWrites: 0,
    blocksDecoded: 0,
  };
  const chips = ['cpu', 'other'].map((id) => Object.assign(deviceNew(Chip, 'chip'), { id }));
  const running = new RunningMachine(
    {
      env: board,
      clocks: board.clocks,
      machine: null as unknown as Machine,
      mainBus: null,
      looseDevices: chips,
      cpu: {
        run: () => 'halted' as const,
        requestExit() {},
        executed: 0,
        halted: true,
        activity,
        reset: () => void resets.push('engine'),
      },
      requests,
      loop,
      emit: (event, data) => void events.push(Object.keys(data).length ? `${event} ${JSON.stringify(data)}` : event),
    },
    { reboot: 'reset', shutdown: 'poweroff', ...actions },
  );
  const exits: number[] = [];
  running.onExit((code) => exits.push(code));
  const settle = () => {
    for (let n = 0; tasks.length > 0; n++) {
      if (n > 50) throw new Error('the loop spins');
      tasks.shift()!();
    }
  };
  return {
    board,
    running,
    requests,
    events,
    exits,
    settle,
    get outcome() {
      settle();
      return { events: events.splice(0), state: running.runState.state, exits: [...exits] };
    },
  };
}

describe('a running machine', () => {
  it('starts, stops and goes on as QMP tells it', () => {
    const m = machine();
    expect(m.outcome).toEqual({ events: [], state: 'prelaunch', exits: [] });
    m.running.stop(); // already stopped
    expect(m.outcome).toEqual({ events: [], state: 'prelaunch', exits: [] });
    m.running.resume();
    m.running.resume();
    expect(m.outcome).toEqual({ events: ['RESUME'], state: 'running', exits: [] });
    m.running.stop();
    m.running.stop();
    expect(m.outcome).toEqual({ events: ['STOP'], state: 'paused', exits: [] });
    m.running.resume();
    expect(m.outcome).toEqual({ events: ['RESUME'], state: 'running', exits: [] });
  });

  it('keeps virtual time while it is stopped', () => {
    const m = machine();
    const { clocks } = m.running.parts;
    m.running.resume();
    m.settle();
    (clocks as unknown as { time: { ns: number } }).time.ns += 1000;
    expect(clocks.virtual.now()).toBe(1000);
    m.running.stop();
    (clocks as unknown as { time: { ns: number } }).time.ns += 5000;
    expect(clocks.virtual.now()).toBe(1000);
  });

  it('resets everything, the engine last, and says who wanted it', () => {
    const m = machine();
    m.running.resume();
    m.settle();
    resets.length = 0;
    m.events.length = 0;
    m.requests.requestReset('guest-reset');
    m.requests.requestReset('host-qmp-system-reset'); // the first cause counts
    expect(m.outcome).toEqual({
      events: ['RESET {"guest":true,"reason":"guest-reset"}'],
      state: 'running',
      exits: [],
    });
    expect(resets).toEqual(['cpu', 'other', 'engine']);
    m.requests.requestReset('host-qmp-system-reset');
    expect(m.outcome.events).toEqual(['RESET {"guest":false,"reason":"host-qmp-system-reset"}']);
    m.requests.requestReset('subsystem-reset');
    expect(m.outcome.events).toEqual([]);
  });

  it('is as if never launched after a reset while it is stopped', () => {
    const m = machine();
    m.running.resume();
    m.settle();
    m.running.stop();
    m.events.length = 0;
    m.requests.requestReset('host-qmp-system-reset');
    expect(m.outcome).toMatchObject({ state: 'prelaunch' });
    m.running.resume();
    expect(m.outcome).toEqual({ events: ['RESUME'], state: 'running', exits: [] });
  });

  it.each([
    ['host-qmp-quit', false],
    ['host-signal', false],
    ['guest-shutdown', true],
  ] as const)('ends for %s with exit code 0', (cause, guest) => {
    const m = machine();
    m.running.resume();
    m.settle();
    m.events.length = 0;
    m.requests.requestShutdown(cause);
    expect(m.outcome).toEqual({
      events: [`SHUTDOWN {"guest":${guest},"reason":"${cause}"}`],
      state: 'running',
      exits: [0],
    });
    m.requests.requestReset('guest-reset');
    m.running.exit(5); // nothing runs after the end
    expect(m.outcome).toMatchObject({ events: [], exits: [0] });
  });

  it('ends before it was ever launched', () => {
    const m = machine();
    m.requests.requestShutdown('host-qmp-quit');
    expect(m.outcome).toMatchObject({
      events: ['SHUTDOWN {"guest":false,"reason":"host-qmp-quit"}'],
      exits: [0],
    });
  });

  it.each(['guest-reset', 'host-qmp-system-reset'] as const)('ends for %s under -no-reboot', (cause) => {
    const m = machine({ reboot: 'shutdown' });
    m.running.resume();
    m.requests.requestReset(cause);
    expect(m.outcome).toEqual({
      events: ['RESUME', `SHUTDOWN {"guest":${cause === 'guest-reset'},"reason":"${cause}"}`],
      state: 'running',
      exits: [0],
    });
  });

  it('stays in state `shutdown` under -no-shutdown until it is reset', () => {
    const m = machine({ shutdown: 'pause' });
    m.running.resume();
    m.requests.requestShutdown('guest-shutdown');
    expect(m.outcome).toEqual({
      events: ['RESUME', 'SHUTDOWN {"guest":true,"reason":"guest-shutdown"}', 'STOP'],
      state: 'shutdown',
      exits: [],
    });
    m.running.stop();
    expect(m.outcome).toEqual({ events: [], state: 'shutdown', exits: [] });
    expect(() => m.running.resume()).toThrow('Resetting the Virtual Machine is required');
    m.requests.requestReset('host-qmp-system-reset');
    m.running.mainLoop.grant();
    m.running.resume(); // at once
    expect(m.outcome).toMatchObject({
      events: ['RESET {"guest":false,"reason":"host-qmp-system-reset"}', 'RESUME'],
      state: 'running',
    });
    m.requests.requestShutdown('host-qmp-quit'); // quit means quit
    expect(m.outcome.exits).toEqual([0]);
  });

  it('ends with the code that isa-debug-exit gives, without a word', () => {
    const m = machine({ shutdown: 'pause' });
    m.running.resume();
    m.settle();
    m.events.length = 0;
    m.requests.requestExit(33);
    m.requests.requestExit(1);
    expect(m.outcome).toEqual({ events: [], state: 'running', exits: [33] });
  });

  it('tells the board of the power button', () => {
    const m = machine();
    let presses = 0;
    const forget = m.running.onPowerdown(() => void presses++);
    m.requests.requestPowerdown();
    m.requests.requestPowerdown();
    expect(m.outcome.events).toEqual(['POWERDOWN']);
    forget();
    m.requests.requestPowerdown();
    expect([m.outcome.events, presses]).toEqual([['POWERDOWN'], 1]);
  });

  it('shuts down when the power button’s listener asks for it, though it is not running', () => {
    const m = machine();
    m.running.onPowerdown(() => m.requests.requestShutdown('guest-shutdown'));
    m.requests.requestPowerdown();
    expect(m.outcome.exits).toEqual([0]);
  });

  it('sleeps and wakes without STOP and RESUME', () => {
    const m = machine();
    m.running.resume();
    m.settle();
    m.events.length = 0;
    const { sleep, clocks } = m.board;
    const heard: string[] = [];
    sleep.onSuspend(() => void heard.push('suspend'));
    sleep.onWakeup((reason) => void heard.push(`${reason} after ${resets.length} resets`));
    m.requests.requestWakeup('other'); // not asleep
    m.settle();
    m.requests.requestSuspend();
    expect(m.outcome).toEqual({ events: ['SUSPEND'], state: 'suspended', exits: [] });
    resets.length = 0;
    sleep.enable('rtc', false);
    m.requests.requestWakeup('rtc');
    expect(m.outcome.state).toBe('suspended');
    // Time goes on, but no timer of the sleeping machine fires.
    const began = clocks.virtual.now();
    let fired = 0;
    clocks.virtual.newTimer(() => void fired++).modify(began + 1e6);
    m.board.time.ns += 5e6;
    m.settle();
    expect([clocks.virtual.now() - began, clocks.virtual.runTimers(), fired]).toEqual([5e6, false, 0]);
    m.requests.requestWakeup('other');
    expect(m.running.runState.state).toBe('running'); // at once, as QEMU has it
    expect(m.outcome).toEqual({ events: ['WAKEUP'], state: 'running', exits: [] });
    expect(resets).toEqual(['cpu', 'other', 'engine']);
    expect(heard).toEqual(['suspend', 'other after 3 resets']);
    expect(fired).toBe(1);
  });

  it('reset in its sleep it waits for `cont`; stopped while it wakes it stays stopped', () => {
    const m = machine();
    m.running.resume();
    m.requests.requestSuspend();
    m.settle();
    m.running.stop();
    m.running.resume();
    expect(m.outcome).toEqual({ events: ['RESUME', 'SUSPEND'], state: 'suspended', exits: [] });
    m.requests.requestReset('host-qmp-system-reset');
    expect(m.outcome.state).toBe('prelaunch');
    m.running.resume();
    m.requests.requestSuspend();
    m.settle();
    m.events.length = 0;
    m.requests.requestWakeup('other');
    m.running.stop();
    expect(m.outcome).toEqual({ events: ['STOP', 'WAKEUP'], state: 'paused', exits: [] });
  });

  it('stops for a failing disk, and can go on', () => {
    const m = machine();
    m.running.resume();
    m.requests.requestStop();
    expect(m.outcome).toEqual({ events: ['RESUME', 'STOP'], state: 'io-error', exits: [] });
    m.running.resume();
    expect(m.outcome).toEqual({ events: ['RESUME'], state: 'running', exits: [] });
  });

  it('resets on a triple fault', () => {
    const m = machine();
    m.running.resume();
    m.running.cpuShutdown();
    expect(m.outcome.events).toEqual(['RESUME', 'RESET {"guest":true,"reason":"guest-reset"}']);
  });
});
