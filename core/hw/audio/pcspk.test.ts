import { expect, it } from 'vitest';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { PcSpeaker, pcspkType, type SpeakerTimer } from './pcspk.ts';

it('pcspk: gate, data, OUT and a refresh bit that moves', () => {
  registerDeviceTypes([...isaTypes, pcspkType]);
  const board = bareBoard();
  const gates: number[] = [];
  const timer = {
    outLevel: (counter: number) => (counter === 2 ? 1 : 0),
    getGate: () => gates.at(-1) ?? 0,
    setGate: (_: number, level: number) => void gates.push(level),
  };
  const speaker = deviceNew(PcSpeaker, 'isa-pcspk');
  speaker.pit = timer as unknown as SpeakerTimer;
  deviceRealize(speaker, isaBusNew(null));
  resetTree(speaker);
  expect([board.io.read(0x61, 1), board.io.read(0x61, 1)]).toEqual([0x30, 0x20]);
  board.io.write(0x61, 1, 0xff);
  expect(gates).toEqual([1]);
  expect(board.io.read(0x61, 1)).toBe(0x33);
  board.io.write(0x61, 1, 0);
  expect(gates).toEqual([1, 0]);
});
