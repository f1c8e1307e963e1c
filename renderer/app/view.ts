/** Where the user is: the chosen machine, its tab, and the dialog on top. Remembered by the browser, except the dialog. */
import type { MachineSummary } from '../../electron/api/contract.ts';
import { createStore } from '../ui/store.ts';

export type Tab = 'details' | 'screen' | 'serial' | 'monitor' | 'log';
export type SettingsPage = 'general' | 'system' | 'display' | 'storage' | 'serial' | 'advanced';

/** A file to begin the wizard with: a path on the host, or a dropped file that has to be sent there first. */
export type WizardMedium = { path: string } | { file: File };

export type Overlay =
  | { kind: 'wizard'; medium?: WizardMedium }
  | { kind: 'settings'; id: string; page: SettingsPage }
  | { kind: 'preferences' }
  | { kind: 'rename'; machine: MachineSummary }
  | { kind: 'delete'; machine: MachineSummary }
  | { kind: 'powerOff'; machine: MachineSummary }
  | { kind: 'forceTray'; machine: MachineSummary; deviceId: string; path: string | null }
  | { kind: 'insertDisc'; machine: MachineSummary; deviceId: string; currentPath: string | null };

export const overlay = createStore<Overlay | undefined>(undefined);
export const selected = createStore<string | undefined>(localStorage.getItem('terrarium.selected') ?? undefined);
export const tabs = createStore<ReadonlyMap<string, Tab>>(new Map());

export function select(id: string | undefined): void {
  selected.set(id);
  if (id) localStorage.setItem('terrarium.selected', id);
}

export function showTab(id: string, tab: Tab): void {
  tabs.update((map) => new Map(map).set(id, tab));
}

export function open(next: Overlay): void {
  overlay.set(next);
}

export function closeOverlay(): void {
  overlay.set(undefined);
}
