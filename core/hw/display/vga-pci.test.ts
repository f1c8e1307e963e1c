import { describe, expect, it } from 'vitest';
import { objectSet } from '../../qom/object.ts';
import { typeIsRegistered, typeRegister } from '../../qom/type.ts';
import { deviceNew, deviceRealize, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { type PciBus, pciBusNew, pciBusType } from '../pci/pci-bus.ts';
import { pciDeviceTypeInfo } from '../pci/pci-device.ts';
import { makeEdid } from './edid.ts';
import { SecondaryVga, VgaPci, vgaPciTypes } from './vga-pci.ts';

for (const type of [pciBusType, pciDeviceTypeInfo, ...vgaPciTypes])
  if (!typeIsRegistered(type.name)) typeRegister(type);

const VRAM = 0xfd00_0000;
const MMIO = 0xfebf_0000;

function bench(options: Readonly<Record<string, unknown>> = {}, type: 'VGA' | 'secondary-vga' = 'VGA') {
  const rom = new Uint8Array(40000).fill(0x5a);
  const board = bareBoard({ findFirmware: (name) => (name === 'vgabios-stdvga.bin' ? rom : null) });
  const bus: PciBus = pciBusNew(null, board.systemMemory, board.systemIo);
  const card = deviceNew(type === 'VGA' ? VgaPci : SecondaryVga, type);
  for (const [name, value] of Object.entries(options)) objectSet(card, name, value);
  const realize = () => {
    deviceRealize(card, bus);
    resetTree(card);
    card.writeConfig(0x10, VRAM, 4);
    card.writeConfig(0x18, MMIO, 4);
    card.writeConfig(0x04, 7, 2);
  };
  return { board, bus, card, realize };
}

describe('VGA on PCI', () => {
  it('has the identity and BARs of QEMU’s', () => {
    const { card, realize } = bench();
    realize();
    expect(Buffer.from(card.config.subarray(0, 0x34)).toString('hex')).toBe(
      '34121111070000000200000300000000080000fd000000000000bffe00000000000000000000000000000000f41a001100000000',
    );
    expect(card.treeDetails()).toEqual([
      'class VGA controller, addr 00:00.0, pci id 1234:1111 (sub 1af4:1100)',
      'bar 0: mem at 0xfd000000 [0xfdffffff]',
      'bar 2: mem at 0xfebf0000 [0xfebf0fff]',
      'bar 6: mem at 0xffffffffffffffff [0xfffe]',
    ]);
    const shown = [
      'vgamem_mb',
      'mmio',
      'qemu-extended-regs',
      'edid',
      'xres',
      'yres',
      'xmax',
      'ymax',
      'refresh_rate',
      'global-vmstate',
      'romfile',
      'romsize',
    ];
    expect(shown.map((name) => card.propertyValue(name))).toEqual([
      16,
      true,
      true,
      true,
      1280,
      800,
      0,
      0,
      0,
      false,
      'vgabios-stdvga.bin',
      65536,
    ]);
  });
  it('the register window: EDID, ports, VBE, byte order', () => {
    const { board, card, realize } = bench();
    realize();
    const { memory, io } = board;
    expect(memory.read(MMIO + 4, 4)).toBe(0x00ffffff);
    memory.write(MMIO + 0x402, 1, 0x67);
    expect([io.read(0x3cc, 1), memory.read(MMIO + 0x40c, 1)]).toEqual([0x67, 0x67]);
    for (const [index, value] of [
      [1, 1024],
      [2, 768],
      [3, 32],
      [4, 0x41],
    ] as const)
      memory.write(MMIO + 0x500 + 2 * index, 2, value);
    expect([memory.read(MMIO + 0x500, 2), memory.read(MMIO + 0x502, 2), memory.read(MMIO + 0x514, 2)]).toEqual([
      0xb0c5, 1024, 256,
    ]);
    io.write(0x3c0, 1, 0x20);
    memory.write(VRAM, 4, 0x00112233);
    card.console!.refresh();
    expect([card.console!.width, card.console!.surface.pixel(0, 0)]).toEqual([1024, 0x112233]);
    expect([memory.read(MMIO + 0x600, 4), memory.read(MMIO + 0x604, 4)]).toEqual([8, 0x1e1e1e1e]);
    memory.write(MMIO + 0x604, 4, 0xbebebebe);
    card.console!.refresh();
    expect([memory.read(MMIO + 0x604, 4), card.console!.surface.pixel(0, 0)]).toEqual([0xbebebebe, 0x221100]);
  });
  it('takes away what was not asked for', () => {
    const without = bench({ edid: false, 'qemu-extended-regs': false });
    without.realize();
    expect([without.board.memory.read(MMIO, 4), without.board.memory.read(MMIO + 0x600, 4)]).toEqual([
      0xffffffff, 0xffffffff,
    ]);
    expect(without.card.console!.setUiInfo({ width: 800, height: 600 })).toBe(false);
    const bare = bench({ mmio: false, romfile: '' });
    bare.realize();
    expect(bare.card.bars.map((bar) => bar?.index)).toEqual([0]);
  });
  it('a viewer’s size becomes the monitor’s', () => {
    const { board, card, realize } = bench();
    realize();
    const width = () => board.memory.read(MMIO + 56, 1) | ((board.memory.read(MMIO + 58, 1) >> 4) << 8);
    expect(width()).toBe(1280);
    expect(card.console!.setUiInfo({ width: 1600, height: 900 })).toBe(true);
    expect(width()).toBe(1600);
  });
  it('leaves nothing behind when its ROM is missing', () => {
    for (const options of [{ romfile: 'nosuch.bin' }]) {
      const { board, bus, realize } = bench(options);
      expect(realize).toThrow();
      expect([
        bus.children.length,
        bus.find(0),
        board.displays.consoles.length,
        board.io.find(0x3c0),
        board.memory.find(0xa0000),
      ]).toEqual([0, null, 0, null, null]);
    }
  });
  it('secondary-vga has no legacy ports and shows VBE modes at once', () => {
    const { board, card, realize } = bench({}, 'secondary-vga');
    realize();
    expect([board.io.find(0x3c0), board.memory.find(0xa0000), card.configWord(0x0a)]).toEqual([null, null, 0x0380]);
    for (const [index, value] of [
      [1, 640],
      [2, 480],
      [3, 16],
      [4, 0x41],
    ] as const)
      board.memory.write(MMIO + 0x500 + 2 * index, 2, value);
    board.memory.write(VRAM + 2, 2, 0xf800);
    card.console!.refresh();
    expect(card.console!.surface.pixel(1, 0)).toBe(0xff0000);
  });
  it('saved fields are QEMU’s: dev, then vga', () => {
    const { card } = bench();
    expect(Object.keys(card.deviceClass.vmstate!.fields)).toEqual(['dev', 'vga']);
  });
});

describe('EDID', () => {
  it('is well formed for any wish', () => {
    for (const wish of [
      { xres: 0, yres: 0, xmax: 0, ymax: 0, refreshRate: 0 },
      { xres: 1920, yres: 1080, xmax: 1024, ymax: 768, refreshRate: 60_000 },
      { xres: 65535, yres: 65535, xmax: 1, ymax: 1, refreshRate: 4_000_000_000 },
    ]) {
      const edid = makeEdid(wish);
      expect(edid).toHaveLength(256);
      for (const block of [edid.subarray(0, 128), edid.subarray(128)])
        expect(block.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
      expect([...edid.subarray(0, 8)]).toEqual([0, 255, 255, 255, 255, 255, 255, 0]);
    }
  });
  it('prefers the size that was asked for', () => {
    const edid = makeEdid({ xres: 1366, yres: 768, xmax: 0, ymax: 0, refreshRate: 60_000 });
    const timing = edid.subarray(54, 72);
    const clockHz = (timing[0]! | (timing[1]! << 8)) * 10_000;
    const wide = (low: number, high: number, shift: number) => timing[low]! | (((timing[high]! >> shift) & 15) << 8);
    const [width, hBlank, height, vBlank] = [wide(2, 4, 4), wide(3, 4, 0), wide(5, 7, 4), wide(6, 7, 0)];
    expect([width, height]).toEqual([1366, 768]);
    expect(clockHz / ((width + hBlank) * (height + vBlank))).toBeCloseTo(60, 0);
  });
});
