/** The port lists of a VGA, the same on every bus, and the register window that PCI cards have in memory. */
import type { MemoryRegion, MemoryRegionOps } from '../../memory/region.ts';
import type { Device } from '../core/device.ts';
import { mapPortList, type PortRange } from '../isa/isa-bus.ts';
import type { VgaCommon } from './vga-common.ts';

const VGA_BASE = 0x3b0;
const VGA_RANGES: readonly PortRange[] = [
  [0x04, 2],
  [0x0a, 1],
  [0x10, 16],
  [0x24, 2],
  [0x2a, 1],
];
const VBE_BASE = 0x1ce;
/** Index at +0; data at +1 (Bochs) and at +2 (where an aligned word can be). */
const VBE_RANGES: readonly PortRange[] = [[0, 4]];

export interface VgaDevice extends Device {
  readonly vga: VgaCommon;
}

const VGA_PORTS: MemoryRegionOps<VgaDevice> = {
  impl: { min: 1, max: 1 },
  read: ({ vga }, offset) => vga.readPort(VGA_BASE + offset),
  write: ({ vga }, offset, value) => vga.writePort(VGA_BASE + offset, value),
};
const VBE_PORTS: MemoryRegionOps<VgaDevice> = {
  valid: { min: 2, max: 2, unaligned: true },
  impl: { min: 2, max: 2, unaligned: true },
  read: ({ vga }, offset) => (offset === 0 ? vga.s.vbe_index : vga.readVbe(vga.s.vbe_index)),
  write({ vga }, offset, value) {
    if (offset === 0) vga.s.vbe_index = value;
    else vga.writeVbe(vga.s.vbe_index, value);
  },
};

/** Puts the legacy and the VBE ports into the machine's port space. */
export function mapVgaPorts(device: VgaDevice): MemoryRegion[] {
  return [
    ...mapPortList(device, VGA_BASE, VGA_RANGES, VGA_PORTS, 'vga'),
    ...mapPortList(device, VBE_BASE, VBE_RANGES, VBE_PORTS, 'vbe'),
  ];
}

const MMIO_BYTES = 0x1000;
const EDID_AT = 0;
const EDID_BYTES = 0x180;
const IOPORTS_AT = 0x400;
const IOPORTS_BYTES = 0x20;
const DISPI_AT = 0x500;
const DISPI_BYTES = 0x16;
const EXTENDED_AT = 0x600;
const EXTENDED_BYTES = 8;
const LITTLE_ENDIAN = 0x1e1e1e1e;
const BIG_ENDIAN = 0xbebebebe;

const IOPORTS: MemoryRegionOps<VgaDevice> = {
  valid: { min: 1, max: 4 },
  impl: { min: 1, max: 1 },
  read: ({ vga }, offset) => vga.readPort(0x3c0 + offset),
  write: ({ vga }, offset, value) => vga.writePort(0x3c0 + offset, value),
};
const DISPI: MemoryRegionOps<VgaDevice> = {
  valid: { min: 1, max: 4 },
  impl: { min: 2, max: 2 },
  read: ({ vga }, offset) => vga.readVbe(offset >> 1),
  write: ({ vga }, offset, value) => vga.writeVbe(offset >> 1, value),
};
const EXTENDED: MemoryRegionOps<VgaDevice> = {
  valid: { min: 4, max: 4 },
  impl: { min: 4, max: 4 },
  read: ({ vga }, offset) => (offset === 0 ? EXTENDED_BYTES : vga.isBigEndian ? BIG_ENDIAN : LITTLE_ENDIAN),
  write({ vga }, offset, value) {
    if (offset !== 4) return;
    if (value === LITTLE_ENDIAN) vga.isBigEndian = false;
    else if (value === BIG_ENDIAN) vga.isBigEndian = true;
    vga.renderer.invalidate();
  },
};
const NOTHING: MemoryRegionOps = { read: () => 0xffff_ffff, write: () => {} };

export interface MmioParts {
  readonly edid: () => Uint8Array | null;
  readonly hasExtendedRegs: boolean;
}

/** The 4 KiB window: EDID, the ports 0x3c0 to 0x3df, the VBE registers, QEMU's own. */
export function vgaMmio(
  device: VgaDevice,
  container: MemoryRegion,
  { edid, hasExtendedRegs }: MmioParts,
): MemoryRegion {
  container.initIo(device, NOTHING, device, 'vga.mmio', MMIO_BYTES);
  const add = (at: number, ops: MemoryRegionOps<VgaDevice>, name: string, bytes: number) =>
    container.addSubregion(at, device.ioRegion(ops, name, bytes));
  add(IOPORTS_AT, IOPORTS, 'vga ioports remapped', IOPORTS_BYTES);
  add(DISPI_AT, DISPI, 'bochs dispi interface', DISPI_BYTES);
  if (hasExtendedRegs) add(EXTENDED_AT, EXTENDED, 'qemu extended regs', EXTENDED_BYTES);
  if (edid() !== null) {
    const ops: MemoryRegionOps<VgaDevice> = {
      valid: { min: 1, max: 4 },
      impl: { min: 1, max: 1 },
      read: (_, offset) => edid()?.[offset] ?? 0,
      write: () => {},
    };
    add(EDID_AT, ops, 'edid', EDID_BYTES);
  }
  return container;
}
