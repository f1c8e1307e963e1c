import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, objectSet } from '../../qom/object.ts';
import { typeIsRegistered } from '../../qom/type.ts';
import { vmstate } from '../../vmstate/fields.ts';
import { type Device, deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaTypes } from '../isa/isa-bus.ts';
import { type I440FxPciHost, i440FxNew } from './i440fx.ts';
import { PciDevice, pciDeviceState, pciDeviceType } from './pci-device.ts';
import { infoPci, queryPci } from './pci-info.ts';
import { pciTypes } from './pci-types.ts';
import { Piix3 } from './piix3.ts';

const CARD_STATE = vmstate('card', 1, { dev: pciDeviceState() });
class Card extends PciDevice {
  ram!: MemoryRegion;
  override realize() {
    super.realize();
    this.config[0x3d] = 1;
    this.ram = objectNewAs(MemoryRegion, 'memory-region').initRam(this, this.env.arena, 'card.ram', 0x2000);
    this.registerBar(0, 'memory', this.ram);
    const ports = this.ioRegion({ read: (_, offset) => offset, write: () => {} }, 'card-io', 0x40);
    this.registerBar(1, 'io', ports);
    this.loadOptionRom();
  }
}
const cardType = pciDeviceType({
  name: 'card',
  class: Card,
  category: 'misc',
  userCreatable: true,
  vmstate: CARD_STATE,
  pci: { vendorId: 0x1234, deviceId: 0x5678, classId: 0x0200, revision: 3 },
});
if (!typeIsRegistered('card')) registerDeviceTypes([...isaTypes, ...pciTypes, cardType]);

const MiB = 1024 ** 2;
function machine(overrides = {}) {
  const board = bareBoard(overrides);
  const region = () => objectNewAs(MemoryRegion, 'memory-region');
  const ram = region().initRam(null, board.arena, 'pc.ram', 4 * MiB);
  const below = region().initAlias(null, 'ram-below-4g', ram, 0, 4 * MiB);
  board.systemMemory.addSubregion(0, below);
  const pciMemory = region().initContainer(null, 'pci', 2 ** 64);
  const rom = region().initRom(null, board.arena, 'pc.bios', 0x10000);
  rom.bytes.fill(0xbb);
  pciMemory.addSubregion(0xf0000, rom, 1);
  const host = i440FxNew({ ram, ramBytes: 128 * MiB, pciMemory });
  deviceRealize(host);
  const piix3 = deviceNew(Piix3, 'PIIX3');
  objectSet(piix3, 'multifunction', true);
  deviceRealize(piix3, host.bus);
  resetTree(host);
  const select = (devfn: number, register: number) =>
    board.io.write(0xcf8, 4, (0x8000_0000 + devfn * 256 + (register & 0xfc)) >>> 0);
  return {
    board,
    host,
    piix3,
    ram,
    pciMemory,
    read(devfn: number, register: number, size: 1 | 2 | 4 = 4) {
      select(devfn, register);
      return board.io.read(0xcfc + (register & 3), size);
    },
    write(devfn: number, register: number, value: number, size: 1 | 2 | 4 = 4) {
      select(devfn, register);
      board.io.write(0xcfc + (register & 3), size, value);
    },
    /** All of a function's configuration space as hexadecimal, without trailing zeroes. */
    dump(devfn: number) {
      let text = '';
      for (let at = 0; at < 256; at++) text += this.read(devfn, at, 1).toString(16).padStart(2, '0');
      return text.replace(/0+$/, '');
    },
  };
}
function plug(host: I440FxPciHost, addr = ''): Card {
  const card = deviceNew(Card, 'card');
  if (addr) objectSet(card, 'addr', addr);
  deviceRealize(card, host.bus);
  return card;
}
const PIIX3 = 8;
const CARD = 16;

describe('PCI configuration', () => {
  let m: ReturnType<typeof machine>;
  beforeEach(() => {
    m = machine();
  });

  it('shows the registers that QEMU’s machine shows at reset', () => {
    const spaced = (pairs: Record<number, number>) => {
      const bytes = new Uint8Array(256);
      for (const [at, value] of Object.entries(pairs)) bytes[Number(at)] = value;
      return Array.from(bytes, (b) => b.toString(16).padStart(2, '0'))
        .join('')
        .replace(/0+$/, '');
    };
    const common = { 44: 0xf4, 45: 0x1a, 47: 0x11 };
    expect(m.dump(0)).toBe(spaced({ ...common, 0: 0x86, 1: 0x80, 2: 0x37, 3: 0x12, 8: 2, 11: 6, 87: 0x10, 114: 2 }));
    // biome-ignore format: a register map
    expect(m.dump(PIIX3)).toBe(spaced({ ...common, 0: 0x86, 1: 0x80, 3: 0x70, 7: 2, 10: 1, 11: 6, 14: 0x80,
      76: 0x4d, 78: 3, 96: 0x80, 97: 0x80, 98: 0x80, 99: 0x80, 105: 2, 112: 0x80, 118: 0xc, 119: 0xc, 120: 2, 160: 8, 168: 0xf }));
  });

  it('lets stick what QEMU lets stick', () => {
    for (let at = 0; at < 0x40; at += 4) m.write(PIIX3, at, 0xffff_ffff);
    expect(m.dump(PIIX3).slice(0, 32)).toBe('868000700705000200000106ff008000');
    for (let at = 0; at < 0x40; at += 4) m.write(PIIX3, at, 0);
    expect(m.dump(PIIX3).slice(0, 32)).toBe('86800070000000020000010600008000');
  });

  it('reads ones where nothing is, and while the address is not enabled', () => {
    expect(m.read(0xf8, 0)).toBe(0xffff_ffff);
    m.board.io.write(0xcf8, 4, 0);
    expect(m.board.io.read(0xcfc, 4)).toBe(0xffff_ffff);
    m.board.io.write(0xcf8, 4, 0x8001_0000);
    expect(m.board.io.read(0xcfc, 2)).toBe(0xffff);
    m.board.io.write(0xcf8, 1, 0x12);
    expect(m.board.io.read(0xcf8, 4)).toBe(0x8001_0000);
  });

  it('sizes, maps and unmaps BARs', () => {
    plug(m.host);
    m.write(CARD, 0x10, 0xffff_ffff);
    m.write(CARD, 0x14, 0xffff_ffff);
    expect(m.read(CARD, 0x10)).toBe(0xffff_e000);
    expect(m.read(CARD, 0x14)).toBe(0xffff_ffc1);
    m.write(CARD, 0x10, 0xfe00_0000);
    m.write(CARD, 0x14, 0xc001);
    expect(m.board.memory.find(0xfe00_0000)).toBeNull();
    m.write(CARD, 4, 3, 2);
    m.board.memory.write(0xfe00_0004, 4, 0x1234);
    expect(m.board.memory.read(0xfe00_0004, 2)).toBe(0x1234);
    expect(m.board.io.read(0xc03f, 1)).toBe(0x3f);
    expect(infoPci(m.host.bus)).toContain('BAR0: 32 bit memory at 0xfe000000 [0xfe001fff].');
    m.write(CARD, 0x10, 0);
    expect(m.board.memory.find(0xfe00_0000)).toBeNull();
    resetTree(m.host);
    expect(m.board.io.find(0xc000)).toBeNull();
    expect(m.read(CARD, 4, 2)).toBe(0);
  });

  it('lets a device reach memory only as a bus master', () => {
    const card = plug(m.host);
    m.board.memory.write(0x5000, 4, 0xcafe);
    expect(card.dma.read(0x5000, 4)).toBe(0);
    m.write(CARD, 4, 4, 2);
    expect(card.dma.read(0x5000, 4)).toBe(0xcafe);
  });

  it('describes itself as info pci and query-pci do', () => {
    const card = plug(m.host);
    card.id = 'x';
    expect(infoPci(m.host.bus)).toBe(`  Bus  0, device   0, function 0:
    Host bridge: PCI device 8086:1237
      PCI subsystem 1af4:1100
      id ""
  Bus  0, device   1, function 0:
    ISA bridge: PCI device 8086:7000
      PCI subsystem 1af4:1100
      id ""
  Bus  0, device   2, function 0:
    Ethernet controller: PCI device 1234:5678
      PCI subsystem 1af4:1100
      IRQ 0, pin A
      BAR0: 32 bit memory at 0xffffffffffffffff [0x00001ffe].
      BAR1: I/O at 0xffffffffffffffff [0x003e].
      id "x"
`);
    expect(queryPci(m.host.bus)[0]?.devices[2]?.regions).toEqual([
      { bar: 0, type: 'memory', address: -1, size: 0x2000, prefetch: false, mem_type_64: false },
      { bar: 1, type: 'io', address: -1, size: 64 },
    ]);
    expect(card.treeDetails()).toEqual([
      'class Ethernet controller, addr 00:02.0, pci id 1234:5678 (sub 1af4:1100)',
      'bar 0: mem at 0xffffffffffffffff [0x1ffe]',
      'bar 1: i/o at 0xffffffffffffffff [0x3e]',
    ]);
  });
});

describe('PCI addresses', () => {
  it('refuses taken, wrong and unreachable places in QEMU’s words', () => {
    const { host } = machine();
    expect(() => plug(host, '1')).toThrow('PCI: slot 1 function 0 not available for card, in use by PIIX3,id=(null)');
    for (const junk of ['junk', '32', '5.8', '', '1.2.3'])
      expect(() => objectSet(deviceNew(Card, 'card'), 'addr', junk)).toThrow(
        `Property 'card.addr' doesn't take value '${junk}'`,
      );
    expect(() => objectSet(deviceNew(Card, 'card'), 'addr', true)).toThrow(
      "Invalid parameter type for 'addr', expected int or str",
    );
    plug(host, '5.0');
    expect(() => plug(host, '5.1')).toThrow("PCI: single function device can't be populated in function 5.1");
    for (let slot = 0; slot < 29; slot++) plug(host);
    expect(() => plug(host)).toThrow('PCI: no slot/function available for card, all in use or reserved');
    expect(host.bus.find(0xf8)?.typeName).toBe('card');
  });

  it('leaves the place free when realize fails', () => {
    const { host } = machine();
    const card = deviceNew(Card, 'card');
    objectSet(card, 'romfile', 'nosuch.rom');
    expect(() => deviceRealize(card, host.bus)).toThrow('failed to find romfile "nosuch.rom"');
    expect(host.bus.find(CARD)).toBeNull();
    expect(plug(host).devfn).toBe(CARD);
  });

  it('shows an option ROM where the guest maps it', () => {
    const m = machine({ findFirmware: () => new Uint8Array(600).fill(0x55) });
    const card = deviceNew(Card, 'card');
    objectSet(card, 'romfile', 'some.rom');
    deviceRealize(card, m.host.bus);
    expect(card.pciProps.romsize).toBe(1024);
    m.write(CARD, 0x30, 0xfeb0_0001);
    m.write(CARD, 4, 2, 2);
    expect(m.board.memory.read(0xfeb0_0257, 1)).toBe(0x55);
    expect(m.board.memory.read(0xfeb0_0258, 1)).toBe(0);
  });
});

describe('PIIX3', () => {
  it('leads shared PCI pins to the routed ISA line', () => {
    const m = machine();
    const first = plug(m.host, '4');
    const second = plug(m.host, '8');
    const levels: number[] = [];
    m.piix3.isaBus.connectIrqs(
      Array.from({ length: 16 }, (_, i) => (i === 11 ? { set: (l: number) => void levels.push(l) } : null)),
    );
    m.write(PIIX3, 0x63, 11, 1);
    levels.length = 0;
    first.setIrq(1);
    second.setIrq(1);
    first.setIrq(0);
    expect(levels.at(-1)).toBe(1);
    expect(m.read(8 * 8, 6, 2) & 8).toBe(8);
    m.write(8 * 8, 4, 0x400, 2);
    expect(levels.at(-1)).toBe(0);
    m.write(8 * 8, 4, 0, 2);
    expect(levels.at(-1)).toBe(1);
    m.write(PIIX3, 0x63, 0x80, 1);
    expect(levels.at(-1)).toBe(0);
    m.write(PIIX3, 0x63, 11, 1);
    expect(levels.at(-1)).toBe(1);
    resetTree(m.host);
    expect(levels.at(-1)).toBe(0);
    expect(m.host.bus.state.irq_count).toEqual([0, 0, 0, 0]);
  });

  it('asks for a reset through port 0xcf9', () => {
    const m = machine();
    m.board.io.write(0xcf9, 1, 2);
    expect(m.board.io.read(0xcf9, 1)).toBe(2);
    expect(m.board.requests).toEqual([]);
    m.board.io.write(0xcf9, 1, 6);
    expect(m.board.requests).toEqual(['reset guest-reset']);
  });
});

describe('440FX', () => {
  it('switches the BIOS area between PCI, read-only and full RAM', () => {
    const m = machine();
    m.ram.bytes[0xf0000] = 0x11;
    expect(m.board.memory.read(0xf0000, 1)).toBe(0xbb);
    m.write(0, 0x59, 0x30, 1);
    m.board.memory.write(0xf0000, 1, 0x22);
    expect(m.board.memory.read(0xf0000, 1)).toBe(0x22);
    m.write(0, 0x59, 0x10, 1);
    m.board.memory.write(0xf0000, 1, 0x33);
    expect(m.board.memory.read(0xf0000, 1)).toBe(0x22);
    m.write(0, 0x5a, 0x31, 1);
    m.board.memory.write(0xc0000, 1, 0x44);
    m.board.memory.write(0xc4000, 1, 0x55);
    expect([m.ram.bytes[0xc0000], m.ram.bytes[0xc4000]]).toEqual([0, 0x55]);
    resetTree(m.host); // firmware finds itself in RAM again
    expect(m.board.memory.read(0xf0000, 1)).toBe(0x22);
  });

  it('opens SMRAM', () => {
    const m = machine();
    const video = objectNewAs(MemoryRegion, 'memory-region');
    video.initIo(null, { read: () => 0, write: () => {} }, null, 'video', 0x20000);
    m.pciMemory.addSubregion(0xa0000, video, 1);
    m.board.memory.write(0xa0000, 1, 0x99);
    expect(m.ram.bytes[0xa0000]).toBe(0);
    expect(m.host.bridge.smram.isEnabled).toBe(false);
    m.write(0, 0x72, 0x4a, 1);
    m.board.memory.write(0xa0000, 1, 0x99);
    expect(m.ram.bytes[0xa0000]).toBe(0x99);
    expect(m.host.bridge.smram.isEnabled).toBe(true);
    m.write(0, 0x72, 0x0a, 1);
    expect(m.board.memory.read(0xa0000, 1)).toBe(0);
  });

  it('is a machine that no configuration write can break', () => {
    const m = machine();
    const card: Device = plug(m.host);
    let seed = 1;
    for (let i = 0; i < 3000; i++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      m.write(((seed >>> 8) % 4) * 8, (seed >>> 16) & 0xfc, Math.imul(seed, 2654435761) >>> 0);
    }
    expect(card.isRealized).toBe(true);
    resetTree(m.host);
    expect(m.read(0, 0)).toBe(0x1237_8086);
  });
});
