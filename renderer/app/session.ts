/** What this window knows of the manager: one store per kind of data, kept fresh by the manager's events. */
import { useEffect, useSyncExternalStore } from 'react';
import type { AppInfo, MachineDetails, MachineSummary, Settings } from '../../electron/api/contract.ts';
import { ApiError, api } from '../api/index.ts';
import { setLanguage } from '../i18n/index.ts';
import { applyTheme } from '../theme/theme.ts';
import { createStore, type Store } from '../ui/store.ts';

export interface Session {
  info: AppInfo;
  settings: Settings;
}

export const session = createStore<Session | undefined>(undefined);
export const machines = createStore<readonly MachineSummary[]>([]);
export const details = createStore<ReadonlyMap<string, MachineDetails>>(new Map());
export const thumbnails = createStore<ReadonlyMap<string, { version: number; url: string }>>(new Map());
export const connected = createStore(true);
export const startProblem = createStore<Error | undefined>(undefined);

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

function place(list: readonly MachineSummary[], summary: MachineSummary): MachineSummary[] {
  return [...list.filter((machine) => machine.id !== summary.id), summary].sort(
    (a, b) => byName.compare(a.name, b.name) || a.createdAt - b.createdAt,
  );
}

function applySettings(settings: Settings): void {
  setLanguage(settings.language);
  applyTheme(settings.theme);
}

/** Loads everything; also after a lost connection, because events may have been missed. */
async function load(): Promise<void> {
  try {
    const [info, settings, list] = await Promise.all([
      api().call('app.info'),
      api().call('settings.get'),
      api().call('machines.list'),
    ]);
    applySettings(settings);
    machines.set(list.reduce<readonly MachineSummary[]>(place, []));
    session.set({ info, settings });
    startProblem.set(undefined);
    for (const summary of list) refreshThumbnail(summary);
    await Promise.all([...details.get().keys()].map(refreshDetails));
  } catch (error) {
    startProblem.set(error as Error);
  }
}

/** Subscribes to the manager and loads; called once. */
export function openSession(): void {
  const client = api();
  client.onConnection((isConnected) => {
    connected.set(isConnected);
    if (isConnected && session.get()) void load();
  });
  client.on('machines.changed', ({ summary, detailsChanged }) => {
    machines.update((list) => place(list, summary));
    details.update((map) => {
      const known = map.get(summary.id);
      return known ? new Map(map).set(summary.id, { ...known, summary }) : map;
    });
    refreshThumbnail(summary);
    if (detailsChanged && details.get().has(summary.id)) void refreshDetails(summary.id);
  });
  client.on('machines.removed', ({ id }) => {
    machines.update((list) => list.filter((machine) => machine.id !== id));
    details.update((map) => without(map, id));
    thumbnails.update((map) => without(map, id));
  });
  client.on('settings.changed', (settings) => {
    applySettings(settings);
    session.update((now) => now && { ...now, settings });
  });
  void load();
}

function without<V>(map: ReadonlyMap<string, V>, id: string): ReadonlyMap<string, V> {
  const copy = new Map(map);
  copy.delete(id);
  return copy;
}

export function putDetails(machine: MachineDetails): void {
  details.update((map) => new Map(map).set(machine.summary.id, machine));
  machines.update((list) => place(list, machine.summary));
}

export async function refreshDetails(id: string): Promise<void> {
  try {
    putDetails(await api().call('machines.get', { id }));
  } catch (error) {
    // Anything else (a lost connection) leaves what is known.
    if (error instanceof ApiError && error.data.code === 'not-found') details.update((map) => without(map, id));
  }
}

const loadingThumbnails = new Set<string>();

async function refreshThumbnail({ id, thumbnailVersion }: MachineSummary): Promise<void> {
  if (thumbnailVersion === 0) {
    if (thumbnails.get().has(id)) thumbnails.update((map) => without(map, id));
    return;
  }
  if (thumbnails.get().get(id)?.version === thumbnailVersion || loadingThumbnails.has(id)) return;
  loadingThumbnails.add(id);
  try {
    const picture = await api().call('machines.thumbnail', { id });
    if (picture) {
      const url = `data:image/png;base64,${picture.pngBase64}`;
      thumbnails.update((map) => new Map(map).set(id, { version: picture.version, url }));
    }
  } catch {
    // The machine ended in between; its next summary says so.
  } finally {
    loadingThumbnails.delete(id);
  }
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** The session once it is open; everything below the app's root may rely on it. */
export function useSession(): Session {
  const now = useStore(session);
  if (!now) throw new Error('the session is not open yet');
  return now;
}

export function useMachine(id: string | undefined): MachineSummary | undefined {
  return useStore(machines).find((machine) => machine.id === id);
}

/** The machine's details, fetched when first asked for. */
export function useDetails(id: string): MachineDetails | undefined {
  const known = useStore(details).get(id);
  useEffect(() => {
    if (!details.get().has(id)) void refreshDetails(id);
  }, [id]);
  return known;
}

export async function updateSettings(change: Partial<Settings>): Promise<void> {
  const settings = await api().call('settings.update', { settings: change });
  applySettings(settings);
  session.update((now) => now && { ...now, settings });
}
