/** Gives a machine its orders; failures become messages. */
import type { MachineSummary } from '../../electron/api/contract.ts';
import { api } from '../api/index.ts';
import { t } from '../i18n/index.ts';
import { showToast } from '../ui/toasts.tsx';
import { describeError, type Verb } from './orders.ts';
import { details, machines, putDetails, session } from './session.ts';
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
