/** Places on the PIIX3 IDE controller, and the rules of what fits where. */
import type { MachineDefinition, StorageDevice } from '../../../electron/api/contract.ts';
import { t } from '../../i18n/index.ts';

export interface Slot {
  bus: 0 | 1;
  unit: 0 | 1;
}

export const SLOTS: readonly Slot[] = [
  { bus: 0, unit: 0 },
  { bus: 0, unit: 1 },
  { bus: 1, unit: 0 },
  { bus: 1, unit: 1 },
];

export function slotKey({ bus, unit }: Slot): string {
  return `${bus}:${unit}`;
}

export function slotName({ bus, unit }: Slot): string {
  return t(`slot.${bus}${unit}` as const);
}

export function freeSlots(storage: readonly StorageDevice[]): Slot[] {
  const taken = new Set(storage.map(slotKey));
  return SLOTS.filter((slot) => !taken.has(slotKey(slot)));
}

/** Discs go to the second channel by habit, disks to the first. */
export function bestSlot(storage: readonly StorageDevice[], kind: StorageDevice['kind']): Slot | undefined {
  const free = freeSlots(storage);
  const bus = kind === 'cdrom' ? 1 : 0;
  return free.find((slot) => slot.bus === bus) ?? free[0];
}

export function slotId({ bus, unit }: Slot): string {
  return `ide${bus}-${unit}`;
}

/** An id after the slot's place, unless another drive has it already. */
export function freeId(storage: readonly StorageDevice[], slot: Slot): string {
  const taken = new Set(storage.map((device) => device.id));
  const base = slotId(slot);
  if (!taken.has(base)) return base;
  for (let suffix = 2; ; suffix++) if (!taken.has(`${base}-${suffix}`)) return `${base}-${suffix}`;
}

export function inSlotOrder(storage: MachineDefinition['storage']): MachineDefinition['storage'] {
  return [...storage].sort((a, b) => a.bus - b.bus || a.unit - b.unit);
}

export function fileName(path: string): string {
  return path.split(/[\\/]/).pop() || path;
}

export function folderOf(path: string): string | undefined {
  const cut = Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\'));
  if (cut < 0) return undefined;
  return cut === 0 ? '/' : path.slice(0, cut);
}

/** `Debian.img`, or with the first number that no known file has. */
export function freeFileName(stem: string, taken: ReadonlySet<string>): string {
  let name = `${stem}.img`;
  for (let number = 2; taken.has(name); number++) name = `${stem} ${number}.img`;
  return name;
}
