/** What a user can order a machine to do, when each order makes sense, and how failures are shown. */
import type { MachineState, MachineSummary } from '../../electron/api/contract.ts';
import { ApiError, api } from '../api/index.ts';
import { t } from '../i18n/index.ts';
import { showToast } from '../ui/toasts.tsx';
import { details, putDetails, session } from './session.ts';
import { open, showTab } from './view.ts';

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
  const issues = data?.issues?.map((issue) => `${issue.path || '·'}: ${issue.message}`) ?? [];
  const lines = [doing, `${data?.code ?? error.name}: ${error.message}`, ...issues];
  if (data?.engineOutput) lines.push('', data.engineOutput);
  if (data?.machineId) lines.push('', `machine ${data.machineId}`);
  const quoted = data?.engineOutput?.trim();
  return { body: [error.message, ...issues, ...(quoted ? [quoted] : [])].join('\n'), details: lines.join('\n') };
}

/** Runs it; a failure becomes a message that stays until it is closed. Answers whether it went well. */
export async function attempt(doing: string, work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    showToast({ tone: 'danger', title: doing, ...describeError(error, doing) });
    return false;
  }
}

export async function order(verb: Verb, machine: Pick<MachineSummary, 'id' | 'name'>): Promise<boolean> {
  const { id, name } = machine;
  if (verb === 'start') {
    showTab(id, 'screen');
    return attempt(t('failed.start', { name }), async () => putDetails(await api().call('machines.start', { id })));
  }
  const titles = {
    pause: t('failed.pause', { name }),
    resume: t('failed.resume', { name }),
    reset: t('failed.reset', { name }),
    shutdown: t('failed.shutdown', { name }),
    powerOff: t('failed.powerOff', { name }),
  };
  return attempt(titles[verb], () => api().call(`machines.${verb}`, { id }));
}

/** `null` ejects. Where the guest holds the tray the user is asked first: taking a disc away may break what it does. */
export async function changeMedium(
  machine: MachineSummary,
  deviceId: string,
  path: string | null,
  force = false,
): Promise<boolean> {
  const drive = details
    .get()
    .get(machine.id)
    ?.runtime?.drives.find((known) => known.deviceId === deviceId);
  if (drive?.locked && !force) {
    open({ kind: 'forceTray', machine, deviceId, path });
    return false;
  }
  return attempt(t('failed.medium', { name: machine.name }), async () =>
    putDetails(
      await api().call('machines.changeMedium', { id: machine.id, deviceId, path, ...(force ? { force } : {}) }),
    ),
  );
}

/** Asks for a disc, with the host's own dialog where there is one, and puts it in. */
export function chooseDisc(machine: MachineSummary, deviceId: string, currentPath: string | null): void {
  if (!session.get()?.info.capabilities.nativeFileDialog) {
    open({ kind: 'insertDisc', machine, deviceId, currentPath });
    return;
  }
  void attempt(t('failed.medium', { name: machine.name }), async () => {
    const { path } = await api().call('files.pick', { filter: 'iso', title: t('files.chooseIso') });
    if (path) await changeMedium(machine, deviceId, path);
  });
}
