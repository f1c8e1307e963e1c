/** The wizard's state as data, and the machine it amounts to. What the user has touched survives a change of guest. */
import type { MachineDefinition, StorageDevice } from '../../../electron/api/contract.ts';
import { NEW_DISK_PATH } from '../../api/fixed.ts';
import { bestSlot, freeId } from '../storage/slots.ts';

export type DiskChoice = 'new' | 'existing' | 'none';

export interface Draft {
  /** The manager's proposal for the guest, with a fresh id. */
  base: MachineDefinition;
  /** What the user has set himself. */
  touched: Partial<MachineDefinition>;
  iso: string;
  disk: DiskChoice;
  diskTouched: boolean;
  diskBytes: number;
  diskPath: string;
}

export interface NewDisk {
  deviceId: string;
  sizeBytes: number;
}

const MIB = 1024 * 1024;

export function draftOf(base: MachineDefinition, diskBytes: number, iso: string): Draft {
  return {
    base,
    touched: {},
    iso,
    disk: diskBytes > 0 ? 'new' : 'none',
    diskTouched: false,
    diskBytes: diskBytes || 2048 * MIB,
    diskPath: '',
  };
}

/** A new proposal under what the user has done already; the machine keeps its id. */
export function withProposal(draft: Draft, base: MachineDefinition, diskBytes: number): Draft {
  const next = { ...draft, base: { ...base, id: draft.base.id } };
  if (draft.diskTouched) return next;
  return { ...next, disk: diskBytes > 0 ? 'new' : 'none', diskBytes: diskBytes || draft.diskBytes };
}

/** The medium of step one turned out to be a hard disk's image: it goes in as one, and the optical drive stays empty. */
export function withDiskMedium(draft: Draft, path: string): Draft {
  return { ...draft, iso: '', disk: 'existing', diskPath: path, diskTouched: true };
}

/** The definition and the disks to be made with it. */
export function result(draft: Draft): { definition: MachineDefinition; newDisks: NewDisk[] } {
  const merged = { ...draft.base, ...draft.touched };
  const storage: StorageDevice[] = [];
  const newDisks: NewDisk[] = [];
  if (draft.disk !== 'none') {
    const slot = bestSlot(storage, 'disk')!;
    const id = freeId(storage, slot);
    storage.push({
      kind: 'disk',
      id,
      ...slot,
      format: 'raw',
      path: draft.disk === 'new' ? NEW_DISK_PATH : draft.diskPath,
    });
    if (draft.disk === 'new') newDisks.push({ deviceId: id, sizeBytes: draft.diskBytes });
  }
  const slot = bestSlot(storage, 'cdrom')!;
  storage.push({ kind: 'cdrom', id: freeId(storage, slot), ...slot, path: draft.iso || null });
  return { definition: { ...merged, name: merged.name.trim(), storage }, newDisks };
}
