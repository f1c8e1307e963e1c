import { afterEach, describe, expect, it } from 'vitest';
import { objectNewAs } from '../qom/object.ts';
import { AddressSpace, addressSpaces } from './address-space.ts';
import { RamArena } from './arena.ts';
import { flatViewText, mtreeText } from './mtree.ts';
import { FULL_SIZE, MemoryRegion } from './region.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');
const OPS = { read: () => 0, write() {} };
const buffer = new SharedArrayBuffer(65536, { maxByteLength: 256 << 20 });
const arena = new RamArena({
  buffer,
  grow(pages: number) {
    buffer.grow(buffer.byteLength + pages * 65536);
    return 0;
  },
});

/** The corner of a PC that the expected texts below were taken from: low memory, the BIOS, ports, and bus masters that are off. */
function pc() {
  const io = (name: string, size: number) => region().initIo(null, OPS, null, name, size);
  const alias = (name: string, target: MemoryRegion, offset: number, size: number) =>
    region().initAlias(null, name, target, offset, size);
  const ram = region().initRam(null, arena, 'pc.ram', 0x200_0000);
  const bios = region().initRom(null, arena, 'pc.bios', 0x4_0000);
  const system = region().initContainer(null, 'system', FULL_SIZE);
  const pci = region().initContainer(null, 'pci', FULL_SIZE);
  system.addSubregion(0, alias('ram-below-4g', ram, 0, 0x200_0000));
  system.addSubregion(0, pci, -1);
  pci.addSubregion(0xe_0000, alias('isa-bios', bios, 0x2_0000, 0x2_0000), 1);
  pci.addSubregion(0xfffc_0000, bios);
  system.addSubregion(0xf_0000, alias('pam-pci', pci, 0xf_0000, 0x1_0000), 1);
  const off = alias('pam-ram', ram, 0xf_0000, 0x1_0000);
  off.setEnabled(false);
  system.addSubregion(0xf_0000, off, 1);
  const ports = io('io', 65536);
  const power = region().initContainer(null, 'piix4-pm', 64);
  power.addSubregion(0, io('acpi-evt', 4));
  power.addSubregion(4, io('acpi-cnt', 2));
  power.setEnabled(false);
  ports.addSubregion(0, power);
  ports.addSubregion(0xcf8, io('pci-conf-idx', 4));
  ports.addSubregion(0xcf9, io('piix3-reset-control', 1), 1);
  const smm = region().initContainer(null, 'memory', FULL_SIZE);
  smm.addSubregion(0, alias('memory', system, 0, FULL_SIZE));
  const master = (name: string, isOn: boolean) => {
    const container = region().initContainer(null, 'bus master container', FULL_SIZE);
    const window = alias('bus master', system, 0, FULL_SIZE);
    window.setEnabled(isOn);
    container.addSubregion(0, window);
    return new AddressSpace(name, container, arena);
  };
  new AddressSpace('memory', system, arena);
  new AddressSpace('cpu-memory-0', system, arena);
  new AddressSpace('I/O', ports, arena, 'io');
  new AddressSpace('cpu-smm-0', smm, arena);
  master('piix3-ide', false);
  master('PIIX4_PM', false);
  master('VGA', true);
}

afterEach(() => {
  for (const space of addressSpaces()) space.dispose();
});

describe('info mtree', () => {
  it('shows the trees by address, then what aliases lead to', () => {
    pc();
    const system = [
      '  0000000000000000-ffffffffffffffff (prio 0, i/o): system',
      '    0000000000000000-0000000001ffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-0000000001ffffff',
      '    0000000000000000-ffffffffffffffff (prio -1, i/o): pci',
      '      00000000000e0000-00000000000fffff (prio 1, rom): alias isa-bios @pc.bios 0000000000020000-000000000003ffff',
      '      00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios',
      '    00000000000f0000-00000000000fffff (prio 1, i/o): alias pam-pci @pci 00000000000f0000-00000000000fffff',
    ];
    const master = '  0000000000000000-ffffffffffffffff (prio 0, i/o): bus master container';
    expect(mtreeText().split('\n')).toEqual([
      'address-space: cpu-memory-0',
      'address-space: memory',
      ...system,
      '',
      'address-space: I/O',
      '  0000000000000000-000000000000ffff (prio 0, i/o): io',
      '      0000000000000000-0000000000000003 (prio 0, i/o): acpi-evt', // in a disabled container
      '      0000000000000004-0000000000000005 (prio 0, i/o): acpi-cnt',
      '    0000000000000cf8-0000000000000cfb (prio 0, i/o): pci-conf-idx',
      '    0000000000000cf9-0000000000000cf9 (prio 1, i/o): piix3-reset-control',
      '',
      'address-space: cpu-smm-0',
      '  0000000000000000-ffffffffffffffff (prio 0, i/o): memory',
      '    0000000000000000-ffffffffffffffff (prio 0, i/o): alias memory @system 0000000000000000-ffffffffffffffff',
      '',
      'address-space: piix3-ide',
      master,
      '',
      'address-space: PIIX4_PM',
      master,
      '',
      'address-space: VGA',
      master,
      '    0000000000000000-ffffffffffffffff (prio 0, i/o): alias bus master @system 0000000000000000-ffffffffffffffff',
      '',
      'memory-region: pc.ram',
      '  0000000000000000-0000000001ffffff (prio 0, ram): pc.ram',
      '',
      'memory-region: pc.bios',
      '  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios',
      '',
      'memory-region: pci',
      '  0000000000000000-ffffffffffffffff (prio -1, i/o): pci',
      '    00000000000e0000-00000000000fffff (prio 1, rom): alias isa-bios @pc.bios 0000000000020000-000000000003ffff',
      '    00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios',
      '',
      'memory-region: system',
      ...system,
      '',
      '',
    ]);
  });

  it('marks disabled regions when asked for them', () => {
    pc();
    const lines = mtreeText(true).split('\n');
    expect(lines).toContain('    0000000000000000-000000000000003f (prio 0, i/o): piix4-pm [disabled]');
    expect(lines).toContain(
      '    00000000000f0000-00000000000fffff (prio 1, ram): alias pam-ram @pc.ram 00000000000f0000-00000000000fffff [disabled]',
    );
  });
});

describe('info mtree -f', () => {
  it('shows what is visible, once for all spaces that see the same', () => {
    pc();
    expect(flatViewText().split('\n')).toEqual([
      'FlatView #0',
      ' AS "memory", root: system',
      ' AS "cpu-memory-0", root: system',
      ' AS "cpu-smm-0", root: memory',
      ' AS "VGA", root: bus master container',
      ' Root memory region: system',
      '  0000000000000000-00000000000effff (prio 0, ram): pc.ram',
      '  00000000000f0000-00000000000fffff (prio 0, rom): pc.bios @0000000000030000',
      '  0000000000100000-0000000001ffffff (prio 0, ram): pc.ram @0000000000100000',
      '  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios',
      '',
      'FlatView #1',
      ' AS "I/O", root: io',
      ' Root memory region: io',
      '  0000000000000000-0000000000000cf7 (prio 0, i/o): io',
      '  0000000000000cf8-0000000000000cf8 (prio 0, i/o): pci-conf-idx',
      '  0000000000000cf9-0000000000000cf9 (prio 1, i/o): piix3-reset-control',
      '  0000000000000cfa-0000000000000cfb (prio 0, i/o): pci-conf-idx @0000000000000002',
      '  0000000000000cfc-000000000000ffff (prio 0, i/o): io @0000000000000cfc',
      '',
      'FlatView #2',
      ' AS "piix3-ide", root: bus master container',
      ' AS "PIIX4_PM", root: bus master container',
      ' Root memory region: (none)',
      '  No rendered FlatView',
      '',
      '',
    ]);
  });
});
