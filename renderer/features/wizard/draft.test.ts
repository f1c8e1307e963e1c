import { describe, expect, it } from 'vitest';
import type { MachineDefinition } from '../../../electron/api/contract.ts';
import { NEW_DISK_PATH } from '../../api/fixed.ts';
import { draftOf, result, withDiskMedium, withProposal } from './draft.ts';

const MIB = 1024 * 1024;

function proposal(part: Partial<MachineDefinition> = {}): MachineDefinition {
  return {
    version: 1,
    id: '00000000-0000-4000-8000-000000000001',
    name: 'Machine',
    notes: '',
    guest: 'other',
    machineType: 'pc',
    accelerator: 'tcg',
    cpu: { model: 'qemu32', count: 1 },
    memoryMiB: 256,
    clock: 'utc',
    boot: { order: ['cdrom', 'disk'], menu: false },
    display: { vga: 'std' },
    storage: [],
    serialPorts: [],
    power: { onGuestReboot: 'reset', onGuestShutdown: 'powerOff' },
    extraArguments: [],
    ...part,
  };
}

describe('the wizard draft', () => {
  it('asks for a new disk on the first channel and puts the disc on the second', () => {
    const { definition, newDisks } = result(draftOf(proposal(), 500 * MIB, '/discs/a.iso'));
    expect(definition.storage).toEqual([
      { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, format: 'raw', path: NEW_DISK_PATH },
      { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: '/discs/a.iso' },
    ]);
    expect(newDisks).toEqual([{ deviceId: 'ide0-0', sizeBytes: 500 * MIB }]);
  });

  it('makes no disk where the guest wants none, and leaves the drive empty without a disc', () => {
    const { definition, newDisks } = result(draftOf(proposal(), 0, ''));
    expect(newDisks).toEqual([]);
    expect(definition.storage).toEqual([{ kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: null }]);
  });

  it('keeps what the user has touched when another guest is proposed', () => {
    const first = { ...draftOf(proposal(), 0, ''), touched: { memoryMiB: 77, name: ' Mine ' } };
    const next = withProposal(
      first,
      proposal({ id: '00000000-0000-4000-8000-000000000002', memoryMiB: 1024, guest: 'debian' }),
      20 * MIB,
    );
    const { definition, newDisks } = result(next);
    expect(definition.memoryMiB).toBe(77);
    expect(definition.name).toBe('Mine');
    expect(definition.guest).toBe('debian');
    expect(definition.id).toBe(first.base.id);
    expect(newDisks[0]?.sizeBytes).toBe(20 * MIB);
  });

  it('puts a disk image into a disk drive, not into the optical one', () => {
    const { definition, newDisks } = result(withDiskMedium(draftOf(proposal(), 20 * MIB, ''), '/dos.img'));
    expect(newDisks).toEqual([]);
    expect(definition.storage).toEqual([
      { kind: 'disk', id: 'ide0-0', bus: 0, unit: 0, format: 'raw', path: '/dos.img' },
      { kind: 'cdrom', id: 'ide1-0', bus: 1, unit: 0, path: null },
    ]);
  });

  it('keeps a disk that the user has chosen', () => {
    const first = { ...draftOf(proposal(), 0, ''), disk: 'existing' as const, diskPath: '/d.img', diskTouched: true };
    const { definition, newDisks } = result(withProposal(first, proposal({ guest: 'debian' }), 20 * MIB));
    expect(newDisks).toEqual([]);
    expect(definition.storage[0]).toMatchObject({ kind: 'disk', path: '/d.img' });
  });
});
