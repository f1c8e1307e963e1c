/** Which orders a machine takes in which state, and how a refusal is put into words. */
import type { MachineState, MachineSummary } from '../../electron/api/contract.ts';
import { ApiError } from '../api/wire.ts';

export type Verb = 'start' | 'pause' | 'resume' | 'reset' | 'shutdown' | 'powerOff';

const ALLOWED: Record<Verb, readonly MachineState[]> = {
  start: ['off', 'crashed'],
  pause: ['running'],
  resume: ['paused'],
  reset: ['running', 'paused'],
  shutdown: ['running'],
  powerOff: ['starting', 'running', 'paused', 'stopping'],
};

/** A guest that stopped itself can be looked at and reset, but not resumed. */
export function isAllowed(verb: Verb, machine: Pick<MachineSummary, 'state' | 'pauseReason'>): boolean {
  if (verb === 'resume' && machine.pauseReason === 'shutdown') return false;
  return ALLOWED[verb].includes(machine.state);
}

export function isAlive(state: MachineState): boolean {
  return state !== 'off' && state !== 'crashed';
}

/** What "Copy details" gives: enough for a bug report. */
export function describeError(error: unknown, doing: string): { body: string; details: string } {
  if (!(error instanceof Error)) return { body: String(error), details: `${doing}\n${String(error)}` };
  const data = error instanceof ApiError ? error.data : undefined;
  const issues = (data?.issues ?? [])
    .filter((issue) => !error.message.includes(issue.message))
    .map((issue) => `${issue.path || '·'}: ${issue.message}`);
  const lines = [doing, `${data?.code ?? error.name}: ${error.message}`, ...issues];
  if (data?.engineOutput) lines.push('', data.engineOutput);
  if (data?.machineId) lines.push('', `machine ${data.machineId}`);
  const quoted = data?.engineOutput?.trim();
  return { body: [error.message, ...issues, ...(quoted ? [quoted] : [])].join('\n'), details: lines.join('\n') };
}
