import { beforeAll, describe, expect, it } from 'vitest';
import type { QKeyCode } from '../../backends/input/qkeycodes.ts';
import { saveState } from '../../vmstate/fields.ts';
import { StateWriter } from '../../vmstate/stream.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { I8042, i8042Type } from './i8042.ts';
import { ps2Types } from './ps2.ts';

beforeAll(() => registerDeviceTypes([...isaTypes, ...ps2Types, i8042Type]));

function keyboard() {
  const board = bareBoard();
  const device = deviceNew(I8042, 'i8042');
  const counts = [0, 0];
  const levels = [0, 0];
  device.outPins.get('')!.forEach((pin, i) => {
    pin.connect({
      set(level) {
        if (level && !levels[i]) counts[i]!++;
        levels[i] = level;
      },
    });
  });
  deviceRealize(device, isaBusNew(null));
  resetTree(device);
  const status = () => board.io.read(0x64, 1);
  const data = () => board.io.read(0x60, 1);
  const command = (value: number, ...bytes: number[]) => {
    board.io.write(0x64, 1, value);
    for (const byte of bytes) board.io.write(0x60, 1, byte);
  };
  const send = (...bytes: number[]) => {
    for (const byte of bytes) board.io.write(0x60, 1, byte);
  };
  const mouse = (...bytes: number[]) => {
    for (const byte of bytes) command(0xd4, byte);
  };
  const drain = () => {
    const bytes: number[] = [];
    while (status() & 1 && bytes.length < 1000) bytes.push(data());
    return bytes;
  };
  const press = (...keys: QKeyCode[]) => {
    for (const key of keys) {
      board.input.send({ type: 'key', key, down: true });
      board.input.sync();
    }
    for (const key of [...keys].reverse()) {
      board.input.send({ type: 'key', key, down: false });
      board.input.sync();
    }
  };
  return { board, device, counts, levels, status, data, command, send, mouse, drain, press };
}

describe('i8042', () => {
  it('tests itself, keeps its command byte, and tests its ports', () => {
    const k = keyboard();
    expect(k.status()).toBe(0x18);
    k.command(0xaa);
    expect([k.status(), k.data(), k.status()]).toEqual([0x1d, 0x55, 0x1c]);
    k.command(0x60, 0x47);
    k.command(0x20);
    expect(k.drain()).toEqual([0x47]);
    k.command(0xab);
    k.command(0xa9);
    expect(k.drain()).toEqual([0]);
    k.command(0xc0);
    expect(k.drain()).toEqual([0x80]);
  });
  it('is saved at reset as QEMU saves it, the part of its nested state included', () => {
    const { device } = keyboard();
    const writer = new StateWriter();
    saveState(writer, device.deviceClass.vmstate!, device.state, device);
    const name = Buffer.from('pckbd/extended_state').toString('hex');
    // Read off a stream of QEMU 7.2.
    expect(Buffer.from(writer.finish()).toString('hex')).toBe(`001803000514${name}0000000000000000000000000000`);
  });
  it('gates A20 and resets in both ways', () => {
    const k = keyboard();
    k.command(0xd1, 0xcd);
    expect(k.device.a20.level).toBe(0);
    k.command(0xdf);
    expect(k.device.a20.level).toBe(1);
    k.command(0xd0);
    expect(k.drain()[0]! & 3).toBe(3);
    expect(k.board.requests).toEqual([]);
    k.command(0xff);
    k.command(0xf1);
    expect(k.board.requests).toEqual([]);
    k.command(0xfe);
    k.command(0xd1, 0xce);
    expect(k.board.requests).toEqual(['reset guest-reset', 'reset guest-reset']);
  });
  it('holds a byte until it is read, and the ports’ order', () => {
    const k = keyboard();
    k.command(0x60, 0x03);
    k.mouse(0xf4);
    expect(k.status() & 0x21).toBe(0x21);
    k.press('a');
    expect(k.status() & 0x21).toBe(0x21);
    expect(k.data()).toBe(0xfa);
    expect(k.status() & 0x21).toBe(0x01);
    expect(k.drain()).toEqual([0x1c, 0xf0, 0x1c]);
    expect(k.counts).toEqual([3, 1]);
    expect(k.levels).toEqual([0, 0]);
    expect(k.data()).toBe(0x1c); // an empty buffer still shows its last byte
    k.command(0xd3, 0x99);
    expect([k.status() & 0x21, k.data()]).toEqual([0x21, 0x99]);
  });
  it('a disabled port keeps its bytes', () => {
    const k = keyboard();
    k.command(0xad);
    k.press('a');
    expect(k.status() & 1).toBe(0);
    k.command(0xae);
    expect(k.drain()).toEqual([0x1c, 0xf0, 0x1c]);
    k.command(0x60, 0x00);
    k.press('b');
    expect(k.counts[0]).toBe(3);
    k.command(0x60, 0x01);
    expect(k.counts[0]).toBe(4);
  });
});

describe('ps2-kbd', () => {
  it('sends sets 1, 2, 3 and translated codes', () => {
    const k = keyboard();
    k.press('up');
    expect(k.drain()).toEqual([0xe0, 0x75, 0xe0, 0xf0, 0x75]);
    k.press('pause');
    expect(k.drain()).toEqual([0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77]);
    k.press('print');
    expect(k.drain()).toEqual([0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12]);
    k.press('f7');
    expect(k.drain()).toEqual([0x83, 0xf0, 0x83]);
    k.command(0x60, 0x41);
    k.press('up');
    expect(k.drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
    k.press('pause');
    expect(k.drain()).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
    k.press('f7', 'ret');
    expect(k.drain()).toEqual([0x41, 0x1c, 0x9c, 0xc1]);
    k.press('alt', 'print');
    expect(k.drain()).toEqual([0x38, 0x54, 0xd4, 0xb8]);
    k.command(0x60, 0x01);
    k.send(0xf0, 0x03);
    expect(k.drain()).toEqual([0xfa, 0xfa]);
    k.press('esc', 'up');
    expect(k.drain()).toEqual([0x08, 0x63, 0xf0, 0x63, 0xf0, 0x08]);
    k.send(0xf0, 0x01);
    k.drain();
    k.press('up');
    expect(k.drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
  });
  it('answers its commands', () => {
    const k = keyboard();
    k.send(0xff);
    expect(k.drain()).toEqual([0xfa, 0xaa]);
    k.send(0xf2);
    expect(k.drain()).toEqual([0xfa, 0xab, 0x83]);
    k.send(0xee);
    expect(k.drain()).toEqual([0xee]);
    k.send(0xf0, 0);
    expect(k.drain()).toEqual([0xfa, 0xfa, 2]);
    k.send(0xfe);
    expect(k.drain()).toEqual([2]);
    k.send(0xf0, 9);
    expect(k.drain()).toEqual([0xfa, 0xfe]);
    k.command(0xad);
    k.press('a');
    k.send(0xed, 0x02); // replies overtake keys
    expect(k.drain()).toEqual([0xfa, 0xfa, 0x1c, 0xf0, 0x1c]);
    k.send(0xf3, 0x20);
    expect(k.drain()).toEqual([0xfa, 0xfa]);
    k.send(0x42);
    expect(k.drain()).toEqual([0xfe]);
    k.send(0xed, 0x06);
    k.drain();
    expect(k.board.input.ledState).toBe(6);
    k.send(0xed, 0xf5); // a command in place of the parameter
    k.drain();
    k.press('a');
    expect(k.drain()).toEqual([]);
    k.send(0xf4);
    k.drain();
    k.press('a');
    expect(k.drain()).toEqual([0x1c, 0xf0, 0x1c]);
  });
  it('loses no key while the guest does not look', () => {
    const k = keyboard();
    k.command(0x60, 0x41);
    for (let i = 0; i < 50; i++) k.press('a');
    expect(k.device.kbd.state.parent_obj.count).toBeLessThanOrEqual(16);
    expect(k.drain()).toEqual(Array.from({ length: 100 }, (_, i) => (i % 2 ? 0x9e : 0x1e)));
  });
});

describe('ps2-mouse', () => {
  it('streams movement and buttons, and splits what is too far', () => {
    const k = keyboard();
    k.mouse(0xf4);
    expect(k.drain()).toEqual([0xfa]);
    k.board.input.sendRel('x', 10);
    k.board.input.sendRel('y', 5);
    k.board.input.sync();
    expect(k.drain()).toEqual([0x28, 10, 0xfb]);
    k.board.input.sendButton('left', true);
    k.board.input.sync();
    expect(k.drain()).toEqual([0x09, 0, 0]);
    k.board.input.sendRel('x', -1000);
    k.board.input.sync();
    const bytes = k.drain();
    expect(bytes.length % 3).toBe(0);
    let sum = 0;
    for (let i = 0; i < bytes.length; i += 3) sum += bytes[i + 1]! - (bytes[i]! & 0x10 ? 256 : 0);
    expect(sum).toBe(-1000);
  });
  it('becomes a wheel mouse and a five-button one by their knocks', () => {
    const k = keyboard();
    const knock = (...rates: number[]) => {
      for (const rate of rates) k.mouse(0xf3, rate);
      k.drain();
      k.mouse(0xf2);
      return k.drain();
    };
    expect(knock(100, 80)).toEqual([0xfa, 0]);
    expect(knock(200, 100, 80)).toEqual([0xfa, 3]);
    k.mouse(0xf4);
    k.drain();
    k.board.input.sendButton('wheel-up', true);
    k.board.input.sync();
    expect(k.drain()).toEqual([0x08, 0, 0, 0xff]);
    expect(knock(200, 200, 80)).toEqual([0xfa, 4]);
    k.board.input.sendButton('side', true);
    k.board.input.sendButton('wheel-down', true);
    k.board.input.sync();
    expect(k.drain()).toEqual([0x08, 0, 0, 0x11]);
    k.mouse(0xff);
    expect(k.drain()).toEqual([0xfa, 0xaa, 0]);
  });
  it('is asked in remote mode, echoes in wrap mode, scales, tells its status', () => {
    const k = keyboard();
    k.mouse(0xf4);
    k.drain();
    k.mouse(0xf0);
    k.drain();
    k.board.input.sendRel('x', 7);
    k.board.input.sync();
    expect(k.drain()).toEqual([]);
    k.mouse(0xeb);
    expect(k.drain()).toEqual([0xfa, 0x08, 7, 0]);
    k.mouse(0xe7);
    k.mouse(0xe8, 1);
    k.mouse(0xf3, 40);
    k.drain();
    k.mouse(0xe9);
    expect(k.drain()).toEqual([0xfa, 0x70, 1, 40]);
    k.mouse(0xea);
    k.drain();
    k.board.input.sendRel('x', 4);
    k.board.input.sync();
    expect(k.drain()).toEqual([0x08, 6, 0]);
    k.mouse(0xee);
    k.drain();
    k.mouse(0x12, 0xf4);
    expect(k.drain()).toHaveLength(2);
    k.mouse(0xec);
    expect(k.drain()).toEqual([0xfa]);
    k.mouse(0x11);
    expect(k.drain()).toEqual([0xfe]);
  });
  it('survives every byte on every port', () => {
    const k = keyboard();
    for (let round = 0; round < 3; round++)
      for (let byte = 0; byte < 256; byte++) {
        k.mouse(byte);
        k.send(byte);
        k.command(byte);
        k.press('a');
        k.board.input.sendRel('x', 1e9);
        k.board.input.sync();
      }
    expect(k.drain().length).toBeLessThan(1000);
  });
});
