/** Programmable attribute map of Intel's host bridges (440FX data sheet 290549, 3.2.18): thirteen stretches below 1 MiB that go to RAM or to PCI, for reads and writes apart.
 *  Simplified: a stretch that is written to RAM but read from PCI (or the reverse for writes) is all PCI, or RAM that ignores writes. */
import { MemoryRegion } from '../../memory/region.ts';
import { objectNewAs, type QomObject } from '../../qom/object.ts';

const NAMES = ['pam-ram', 'pam-rom', 'pam-pci', 'pam-pci'] as const;
const BLOCKS = 12;
const BLOCK_SIZE = 0x4000;
const EXPANSION_START = 0xc0000;
const BIOS_START = 0xf0000;
const BIOS_SIZE = 0x10000;

/** Which alias serves attribute bits RE (1) and WE (2): none, read-only, write-only, both. */
const ALIAS_FOR = [2, 1, 3, 0] as const;

export class ProgrammableAttributeMap {
  /** Per stretch, the four aliases of which one is on. */
  private readonly stretches: { aliases: MemoryRegion[]; attributes: number }[] = [];

  /** @param first configuration bytes start with the BIOS area's (0x59 on a 440FX) */
  constructor(owner: QomObject, system: MemoryRegion, ram: MemoryRegion, pci: MemoryRegion) {
    for (let i = 0; i <= BLOCKS; i++) {
      const start = i === 0 ? BIOS_START : EXPANSION_START + (i - 1) * BLOCK_SIZE;
      const size = i === 0 ? BIOS_SIZE : BLOCK_SIZE;
      const aliases = NAMES.map((name, kind) => {
        const target = kind < 2 ? ram : pci;
        const alias = objectNewAs(MemoryRegion, 'memory-region').initAlias(owner, name, target, start, size);
        alias.setReadonly(kind === 1);
        alias.setEnabled(kind === ALIAS_FOR[0]);
        system.addSubregion(start, alias, 1);
        return alias;
      });
      this.stretches.push({ aliases, attributes: 0 });
    }
  }

  /** Takes over the seven configuration bytes. Byte 0's high nibble is the BIOS area, the rest are the 16 KiB blocks, low nibble first. */
  update(registers: Uint8Array): void {
    this.stretches.forEach((stretch, i) => {
      const byte = registers[Math.ceil(i / 2)]!;
      const attributes = (i === 0 || i % 2 === 0 ? byte >> 4 : byte) & 3;
      if (attributes === stretch.attributes) return;
      stretch.aliases[ALIAS_FOR[stretch.attributes as 0]]!.setEnabled(false);
      stretch.aliases[ALIAS_FOR[attributes as 0]]!.setEnabled(true);
      stretch.attributes = attributes;
    });
  }
}
