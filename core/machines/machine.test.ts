import { beforeAll, describe, expect, it } from 'vitest';
import { bool, properties } from '../hw/core/properties.ts';
import { objectGet, objectSet } from '../qom/object.ts';
import { typeRegister } from '../qom/type.ts';
import { GiB, MiB } from '../util/units.ts';
import {
  findMachineClass,
  Machine,
  machineHelp,
  machineNew,
  machineSize,
  machineType,
  registerMachineBase,
} from './machine.ts';

const limit = (value: number) => {
  if (value > 4 * GiB) throw new Error('more than 4 GiB');
};
class Board extends Machine {
  init(): void {}
}
beforeAll(() => {
  registerMachineBase();
  typeRegister(
    machineType({
      name: 'board-7.2',
      alias: 'board',
      description: 'A board',
      isDefault: true,
      maxCpus: 4,
      defaultRamBytes: 128 * MiB,
      properties: properties({ graphics: bool(true), 'max-ram': machineSize(0, 'Limit', limit) }),
      class: Board,
    }),
  );
});

describe('machine types', () => {
  it('are found by name, by alias, or as the default', () => {
    for (const name of ['board-7.2', 'board', null]) expect(findMachineClass(name).machineName).toBe('board-7.2');
    expect(findMachineClass('none').maxCpus).toBe(1);
    for (const name of ['board-7', 'machine', '']) {
      expect(() => findMachineClass(name)).toThrow('unsupported machine type');
    }
  });

  it('are listed with aliases first', () => {
    expect(machineHelp()).toBe(`Supported machines are:
board                A board (alias of board-7.2)
board-7.2            A board (default)
none                 empty machine
`);
  });

  it('have properties that take text and JSON, each machine its own', () => {
    const [one, two] = [machineNew(findMachineClass('board')), machineNew(findMachineClass('board'))];
    objectSet(one, 'graphics', 'off');
    expect([objectGet(one, 'graphics'), objectGet(two, 'graphics')]).toEqual([false, true]);
    expect(() => objectSet(one, 'graphics', 'maybe')).toThrow("Parameter 'graphics' expects 'on' or 'off'");
    expect(() => objectSet(one, 'graphics', 1)).toThrow("Invalid parameter type for 'graphics', expected: boolean");
    expect(() => objectSet(one, 'nosuch', 1)).toThrow("Property 'board-7.2-machine.nosuch' not found");
  });

  it.each([
    ['3G', 3 * GiB],
    ['1.5g', 1.5 * GiB],
    ['0x1000', 4096],
    ['512', 512],
    ['512b', 512],
    ['4k', 4096],
    [4096, 4096],
  ])('take the size %j', (given, bytes) => {
    const machine = machineNew(findMachineClass('board'));
    objectSet(machine, 'max-ram', given);
    expect(objectGet(machine, 'max-ram')).toBe(bytes);
  });

  it.each([
    ['junk', "Parameter 'max-ram' expects size"],
    ['', "Parameter 'max-ram' expects size"],
    ['-1', "Parameter 'max-ram' expects size"],
    ['5G', 'more than 4 GiB'],
    [true, "Invalid parameter type for 'max-ram', expected: integer"],
    [1.5, "Invalid parameter type for 'max-ram', expected: integer"],
    [-4096, "Parameter 'max-ram' expects size"],
  ])('refuse the size %j', (given, message) => {
    const machine = machineNew(findMachineClass('board'));
    expect(() => objectSet(machine, 'max-ram', given)).toThrow(message);
    expect(objectGet(machine, 'max-ram')).toBe(0);
  });
});
