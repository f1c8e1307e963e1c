/** Gives a machine its orders; failures become messages. */
import type { MachineSummary } from '../../electron/api/contract.ts';
import { api } from '../api/index.ts';
import { t } from '../i18n/index.ts';
import { dismissToast, showToast } from '../ui/toasts.tsx';
import { describeError, isAlive, type Verb } from './orders.ts';
import { details, machines, putDetails, refreshDetails, session } from './session.ts';
import { open, showTab } from './view.ts';

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

async function start(id: string, name: string): Promise<boolean> {
  const doing = t('failed.start', { name });
  const failedAt = () => machines.get().find((machine) => machine.id === id)?.failure?.at;
  const before = failedAt();
  try {
    putDetails(await api().call('machines.start', { id }));
    return true;
  } catch (error) {
    // A failure that the machine itself remembers stands on its page, with more to do about it than a message has.
    const after = failedAt();
    if (after === undefined || after === before)
      showToast({ tone: 'danger', title: doing, ...describeError(error, doing) });
    return false;
  }
}

export async function order(verb: Verb, machine: Pick<MachineSummary, 'id' | 'name'>): Promise<boolean> {
  const { id, name } = machine;
  if (verb === 'start') {
    showTab(id, 'screen');
    return start(id, name);
  }
  const titles = {
    pause: t('failed.pause', { name }),
    resume: t('failed.resume', { name }),
    reset: t('failed.reset', { name }),
    shutdown: t('failed.shutdown', { name }),
    powerOff: t('failed.powerOff', { name }),
  };
  const done = await attempt(titles[verb], () => api().call(`machines.${verb}`, { id }));
  if (done && verb === 'shutdown') awaitShutdown(machine);
  return done;
}

/** So long a guest may take to react to its power button before the user hears of it. */
const SHUTDOWN_PATIENCE_MS = 10_000;
/** For each machine whose guest is given that time, or was: what stops the waiting. */
const awaited = new Map<string, () => void>();

/** The guest decides what its power button does, and many do nothing: then something else is offered. */
function awaitShutdown({ id, name }: Pick<MachineSummary, 'id' | 'name'>): void {
  showToast({ tone: 'info', title: t('shutdown.pressed', { name }), body: t('shutdown.pressedHint') });
  awaited.get(id)?.();
  const state = () => machines.get().find((known) => known.id === id)?.state;
  let message: number | undefined;
  const end = () => {
    clearTimeout(timer);
    unsubscribe();
    awaited.delete(id);
    if (message !== undefined) dismissToast(message);
  };
  const unsubscribe = machines.subscribe(() => {
    if (state() !== 'running') end();
  });
  awaited.set(id, end);
  const timer = setTimeout(() => {
    message = showToast({
      tone: 'info',
      title: t('shutdown.ignored', { name }),
      body: t('shutdown.ignoredHint'),
      action: {
        label: `${t('verb.powerOff')}…`,
        run: () => {
          const now = machines.get().find((known) => known.id === id);
          if (now && isAlive(now.state)) open({ kind: 'powerOff', machine: now });
        },
      },
    });
  }, SHUTDOWN_PATIENCE_MS);
}

/** `null` ejects. Where the guest holds the tray the user is asked first: taking a disc away may break what it does. */
export async function changeMedium(
  machine: MachineSummary,
  deviceId: string,
  path: string | null,
  force = false,
): Promise<boolean> {
  const isLocked = () =>
    details
      .get()
      .get(machine.id)
      ?.runtime?.drives.some((drive) => drive.deviceId === deviceId && drive.locked) ?? false;
  const ask = () => open({ kind: 'forceTray', machine, deviceId, path });
  if (isLocked() && !force) {
    ask();
    return false;
  }
  try {
    const params = { id: machine.id, deviceId, path, ...(force ? { force } : {}) };
    putDetails(await api().call('machines.changeMedium', params));
    return true;
  } catch (error) {
    if (!force) await refreshDetails(machine.id); // a guest locks its tray without a word
    const doing = t('failed.medium', { name: machine.name });
    if (isLocked() && !force) ask();
    else showToast({ tone: 'danger', title: doing, ...describeError(error, doing) });
    return false;
  }
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
