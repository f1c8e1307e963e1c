import { beforeAll, expect, it } from 'vitest';
import { RingbufChardev, registerChardevTypes } from '../../backends/char/chardev.ts';
import { objectGet, objectNewAs, objectSet } from '../../qom/object.ts';
import { deviceNew, deviceRealize, registerDeviceTypes } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { DebugConsole, debugconType } from './debugcon.ts';

beforeAll(() => {
  registerChardevTypes();
  registerDeviceTypes([...isaTypes, debugconType]);
});

it('isa-debugcon sends bytes, reads back its mark, and wants a chardev of its own', () => {
  const ring = objectNewAs(RingbufChardev, 'chardev-ringbuf');
  ring.id = 'dbg';
  const board = bareBoard({ findBackend: (kind, id) => (kind === 'chardev' && id === 'dbg' ? ring : null) });
  const bus = isaBusNew(null);
  expect(() => deviceRealize(deviceNew(DebugConsole, 'isa-debugcon'), bus)).toThrow(
    "Can't create debugcon device, empty char device",
  );
  const port = deviceNew(DebugConsole, 'isa-debugcon');
  expect(() => objectSet(port, 'chardev', 'nosuch')).toThrow(
    "Property 'isa-debugcon.chardev' can't find value 'nosuch'",
  );
  objectSet(port, 'chardev', 'dbg');
  objectSet(port, 'iobase', 0x402);
  deviceRealize(port, bus);
  expect(objectGet(port, 'chardev')).toBe('dbg');
  expect(() => objectSet(deviceNew(DebugConsole, 'isa-debugcon'), 'chardev', 'dbg')).toThrow(
    "Property 'isa-debugcon.chardev' can't take value 'dbg': Device 'dbg' is in use",
  );
  for (const byte of [0x48, 0x69]) board.io.write(0x402, 1, byte);
  expect(board.io.read(0x402, 1)).toBe(0xe9);
  expect(new TextDecoder().decode(ring.contents())).toBe('Hi');
});
