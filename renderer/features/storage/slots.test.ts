import { describe, expect, it } from 'vitest';
import type { StorageDevice } from '../../../electron/api/contract.ts';
import { bestSlot, fileName, folderOf, freeFileName, freeId, freeSlots, inSlotOrder } from './slots.ts';

const cdrom = (bus: 0 | 1, unit: 0 | 1, id = `ide${bus}-${unit}`): StorageDevice => ({
  kind: 'cdrom',
  id,
  bus,
  unit,
  path: null,
});

describe('places on the IDE controller', () => {
  it('are proposed by habit, then wherever there is room', () => {
    expect(bestSlot([], 'disk')).toEqual({ bus: 0, unit: 0 });
    expect(bestSlot([], 'cdrom')).toEqual({ bus: 1, unit: 0 });
    expect(bestSlot([cdrom(1, 0), cdrom(1, 1)], 'cdrom')).toEqual({ bus: 0, unit: 0 });
    const all = [cdrom(0, 0), cdrom(0, 1), cdrom(1, 0), cdrom(1, 1)];
    expect(freeSlots(all)).toEqual([]);
    expect(bestSlot(all, 'disk')).toBeUndefined();
  });

  it('never lend an id twice', () => {
    const moved = cdrom(1, 1, 'ide0-0');
    expect(freeId([moved], { bus: 0, unit: 0 })).toBe('ide0-0-2');
    expect(freeId([], { bus: 0, unit: 0 })).toBe('ide0-0');
  });

  it('are listed as they are wired', () => {
    expect(inSlotOrder([cdrom(1, 0), cdrom(0, 1), cdrom(0, 0)]).map((device) => device.id)).toEqual([
      'ide0-0',
      'ide0-1',
      'ide1-0',
    ]);
  });
});

describe('the name of a new disk', () => {
  it('is the first that is free', () => {
    expect(freeFileName('a', new Set())).toBe('a.img');
    expect(freeFileName('a', new Set(['a.img', 'a 2.img']))).toBe('a 3.img');
  });
});

describe('paths', () => {
  it('are taken apart on both kinds of host', () => {
    expect([fileName('/a/b.iso'), folderOf('/a/b.iso')]).toEqual(['b.iso', '/a']);
    expect([fileName('C:\\a\\b.iso'), folderOf('C:\\a\\b.iso')]).toEqual(['b.iso', 'C:\\a']);
    expect([folderOf('/b.iso'), folderOf('b.iso')]).toEqual(['/', undefined]);
  });
});
