/** Intel 440FX host bridge (82441FX, data sheet 290549): PCI configuration mechanism 1, attribute map, SMRAM. Not modelled: DRAM timing and ECC registers (they hold what is written), D_LCK. */
import { MemoryRegion, memoryTransaction } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { unused, vmstate } from '../../vmstate/fields.ts';
import { deviceNew, deviceRealize, deviceType } from '../core/device.ts';
import { bool, type PropertyTable, properties, size, u32 } from '../core/properties.ts';
import { ProgrammableAttributeMap } from './pam.ts';
import { pciBusNew } from './pci-bus.ts';
import { PciDevice, pciDeviceState, pciDeviceType } from './pci-device.ts';
import { PciHost } from './pci-host.ts';

const PAM = { first: 0x59, count: 7 } as const;
const SMRAM = 0x72;
const SMRAM_BITS = { initial: 0x02, enable: 0x08, open: 0x40 } as const;
/** QEMU tells the firmware the RAM's size here, in units of 8 MiB. */
const RAM_SIZE = 0x57;
const LEGACY_VIDEO = { start: 0xa0000, size: 0x20000 } as const;

const HOST_PROPS = properties({
  'pci-hole64-size': size(2 * 1024 ** 3),
  short_root_bus: u32(0),
  'x-pci-hole64-fix': bool(true),
});

/** Everything of the machine that the bridge stands between. */
export interface I440FxWiring {
  readonly ram: MemoryRegion;
  /** Bytes of RAM in all, and below 4 GiB. */
  readonly ramBytes: number;
  /** The region of the PCI bus's memory; the bridge maps it under everything else. */
  readonly pciMemory: MemoryRegion;
}

export class I440FxPciHost extends PciHost<typeof HOST_PROPS> {
  wiring!: I440FxWiring;
  bridge!: I440Fx;

  override realize(): void {
    const { env, wiring } = this;
    this.mapConfigurationPorts();
    env.systemMemory.addSubregion(0, wiring.pciMemory, -1);
    this.bus = pciBusNew(this, wiring.pciMemory, env.systemIo, 'pci.0');
    this.bridge = deviceNew(I440Fx, 'i440FX');
    this.bridge.host = this;
    deviceRealize(this.bridge, this.bus);
  }
}

const STATE = vmstate('I440FX', 3, { parent_obj: pciDeviceState(), unused: unused(1) });

/** A reset leaves the attribute map and SMRAM's register as they are, as QEMU's does: firmware finds its copy in RAM again, and in it that
 *  this is not the first start. */
export class I440Fx extends PciDevice<PropertyTable, typeof STATE.fields> {
  host!: I440FxPciHost;
  private pam!: ProgrammableAttributeMap;
  /** What the legacy video range shows outside of system management mode. */
  private smramRegion!: MemoryRegion;
  /** What a CPU in system management mode sees over its memory. */
  smram!: MemoryRegion;

  override realize(): void {
    super.realize();
    const { ram, ramBytes, pciMemory } = this.host.wiring;
    const { systemMemory } = this.env;
    const region = () => objectNewAs(MemoryRegion, 'memory-region');
    const { start, size } = LEGACY_VIDEO;
    this.smramRegion = region().initAlias(this, 'smram-region', pciMemory, start, size);
    systemMemory.addSubregion(start, this.smramRegion, 1);
    this.smram = region().initContainer(this, 'smram', 2 ** 32);
    const low = region().initAlias(this, 'smram-low', ram, start, size);
    this.smram.addSubregion(start, low);
    this.pam = new ProgrammableAttributeMap(this.host, systemMemory, ram, pciMemory);
    this.config[RAM_SIZE] = Math.min(255, Math.floor(ramBytes / (8 * 1024 ** 2)));
    this.config[SMRAM] = SMRAM_BITS.initial;
    this.updateMemory();
  }

  override postLoad(): void {
    super.postLoad();
    this.updateMemory();
  }
  override writeConfig(offset: number, value: number, length: number): void {
    super.writeConfig(offset, value, length);
    const end = offset + length;
    if ((offset < PAM.first + PAM.count && end > PAM.first) || (offset <= SMRAM && end > SMRAM)) this.updateMemory();
  }

  private updateMemory(): void {
    memoryTransaction(() => {
      this.pam.update(this.config.subarray(PAM.first, PAM.first + PAM.count));
      const control = this.config[SMRAM]!;
      this.smramRegion.setEnabled((control & SMRAM_BITS.open) === 0);
      this.smram.setEnabled((control & SMRAM_BITS.enable) !== 0);
    });
  }
}

/** Makes the host bridge. The board puts it into the tree and realizes it; then `host.bus` is `pci.0` and `host.bridge.smram` is what SMM overlays. */
export function i440FxNew(wiring: I440FxWiring): I440FxPciHost {
  const host = deviceNew(I440FxPciHost, 'i440FX-pcihost');
  host.wiring = wiring;
  return host;
}

export const i440FxPciHostType = deviceType({
  name: 'i440FX-pcihost',
  parent: 'pci-host-bridge',
  category: 'bridge',
  userCreatable: false,
  class: I440FxPciHost,
  properties: HOST_PROPS,
});
export const i440FxType = pciDeviceType({
  name: 'i440FX',
  description: 'Host bridge',
  category: 'bridge',
  userCreatable: false,
  hotpluggable: false,
  class: I440Fx,
  vmstate: STATE,
  pci: { vendorId: 0x8086, deviceId: 0x1237, revision: 2, classId: 0x0600 },
});
