import { describe, expect, it } from 'vitest';
import type { MachineState } from '../../electron/api/contract.ts';
import { ApiError } from '../api/wire.ts';
import { describeError, isAllowed, type Verb } from './orders.ts';

const STATES: MachineState[] = ['off', 'starting', 'running', 'paused', 'stopping', 'crashed'];
const states = (verb: Verb) => STATES.filter((state) => isAllowed(verb, { state, pauseReason: null }));

describe('orders', () => {
  it('are given only where they make sense', () => {
    expect(states('start')).toEqual(['off', 'crashed']);
    expect(states('pause')).toEqual(['running']);
    expect(states('resume')).toEqual(['paused']);
    expect(states('reset')).toEqual(['running', 'paused']);
    expect(states('shutdown')).toEqual(['running']);
    expect(states('powerOff')).toEqual(['starting', 'running', 'paused', 'stopping']);
  });

  it('do not resume a guest that has shut itself down', () => {
    expect(isAllowed('resume', { state: 'paused', pauseReason: 'shutdown' })).toBe(false);
    expect(isAllowed('resume', { state: 'paused', pauseReason: 'user' })).toBe(true);
  });
});

describe('an error', () => {
  it('quotes the engine and names what was done, for a report', () => {
    const error = new ApiError({ code: 'engine', message: 'It said no.', engineOutput: 'qemu: no\n', machineId: 'x' });
    const { body, details } = describeError(error, 'Starting');
    expect(body).toBe('It said no.\nqemu: no');
    expect(details).toBe('Starting\nengine: It said no.\n\nqemu: no\n\n\nmachine x');
  });

  it('lists the refused values', () => {
    const error = new ApiError({
      code: 'invalid',
      message: 'Refused.',
      issues: [{ path: 'memoryMiB', severity: 'error', message: 'Too much' }],
    });
    expect(describeError(error, 'Saving').body).toBe('Refused.\nmemoryMiB: Too much');
    const same = new ApiError({
      code: 'invalid',
      message: 'Gone.',
      issues: [{ path: 'a', severity: 'error', message: 'Gone.' }],
    });
    expect(describeError(same, 'Saving').body).toBe('Gone.');
  });
});
