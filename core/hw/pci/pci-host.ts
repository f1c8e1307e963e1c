/** Configuration mechanism 1 (PCI 2.3, 3.2.2.3.2): an address register at 0xcf8 and a window of four bytes at 0xcfc. */
import type { MemoryRegion, MemoryRegionOps } from '../../memory/region.ts';
import type { Fields } from '../../vmstate/fields.ts';
import { u32, vmstate } from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { bool, type PropertyTable, properties } from '../core/properties.ts';
import type { PciBus } from './pci-bus.ts';

const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;
const ENABLE = 0x8000_0000;
/** What a read of an absent function gives. */
const absent = (size: number): number => 2 ** (8 * size) - 1;

const PROPS = properties({
  'x-config-reg-migration-enabled': bool(true),
  'bypass-iommu': bool(false),
});
export const PCI_HOST_STATE = vmstate('PCIHost', 1, { config_reg: u32() });

export abstract class PciHost<P extends PropertyTable = PropertyTable, F extends Fields = Fields> extends Device<P, F> {
  /** The bus below; made by the subclass. */
  bus!: PciBus;
  private get hostState() {
    return this.state as unknown as { config_reg: number };
  }

  protected mapConfigurationPorts(): MemoryRegion[] {
    return [
      this.mapPorts(ADDRESS_PORT, 4, ADDRESS_OPS, 'pci-conf-idx'),
      this.mapPorts(DATA_PORT, 4, DATA_OPS, 'pci-conf-data'),
    ];
  }
  get configAddress(): number {
    return this.hostState.config_reg;
  }
  set configAddress(value: number) {
    this.hostState.config_reg = value;
  }
  readData(offset: number, size: number): number {
    const target = this.selected();
    if (!target) return absent(size);
    return target.readConfig((this.configAddress & 0xfc) + offset, size);
  }
  writeData(offset: number, value: number, size: number): void {
    this.selected()?.writeConfig((this.configAddress & 0xfc) + offset, value, size);
  }
  private selected() {
    const address = this.configAddress;
    if (!(address & ENABLE) || (address >>> 16) & 0xff) return null;
    return this.bus.find((address >>> 8) & 0xff);
  }
}

const ADDRESS_OPS: MemoryRegionOps<PciHost> = {
  read: (host) => host.configAddress,
  write(host, offset, value, size) {
    if (offset === 0 && size === 4) host.configAddress = value >>> 0;
  },
};
const DATA_OPS: MemoryRegionOps<PciHost> = {
  read: (host, offset, size) => host.readData(offset, size),
  write: (host, offset, value, size) => host.writeData(offset, value, size),
};

export const pciHostType = deviceType({
  name: 'pci-host-bridge',
  parent: 'sys-bus-device',
  abstract: true,
  class: PciHost as unknown as new () => Device,
  properties: PROPS,
  vmstate: PCI_HOST_STATE,
});
