import { beforeAll, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { DebugExit, debugExitType } from './debug-exit.ts';
import { Port92, port92Type } from './port92.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, debugExitType, port92Type]));

it('port92 gates A20 and resets on a rising bit 0 only', () => {
  const board = bareBoard();
  const port = deviceNew(Port92, 'port92');
  deviceRealize(port, isaBusNew(null));
  resetTree(port);
  const out = (value: number) => board.io.write(0x92, 1, value);
  expect(board.io.read(0x92, 1)).toBe(0);
  out(2);
  expect([port.a20.level, board.io.read(0x92, 1)]).toEqual([1, 2]);
  out(3);
  out(3);
  expect(board.requests).toEqual(['reset guest-reset']);
  out(0);
  expect(port.a20.level).toBe(0);
});

it('isa-debug-exit ends the program with an odd code', () => {
  const board = bareBoard();
  const port = deviceNew(DebugExit, 'isa-debug-exit');
  objectSet(port, 'iobase', 0xf4);
  objectSet(port, 'iosize', 4);
  deviceRealize(port, isaBusNew(null));
  board.io.write(0xf4, 4, 0x10);
  board.io.write(0xf5, 1, 0);
  expect(board.io.read(0xf4, 1)).toBe(0);
  expect(board.requests).toEqual(['exit 33', 'exit 1']);
});
