/** The IDE function of Intel's PIIX3 (data sheet 290550): two channels at the legacy ports and IRQs, a bus master behind BAR 4. Not modelled: transfer timing, turning a channel's decoding off. */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectAddChild, objectNewAs } from '../../qom/object.ts';
import { array, struct, vmstate } from '../../vmstate/fields.ts';
import { busNew } from '../core/device.ts';
import type { Pin } from '../core/pin.ts';
import type { PropertyTable } from '../core/properties.ts';
import { PciDevice, pciDeviceState, pciDeviceType, REG, STATUS } from '../pci/pci-device.ts';
import { ADDRESS_OPS, BMDMA_STATE, BusMaster, COMMAND_OPS } from './bmdma.ts';
import { IDE_BUS_STATE, IdeBus } from './ide-bus.ts';
import { IDE_DRIVE_STATE } from './ide-unit.ts';

const CHANNELS = [
  { base: 0x1f0, control: 0x3f6, irq: 14 },
  { base: 0x170, control: 0x376, irq: 15 },
] as const;
const PROG_IF_BUS_MASTER = 0x80;
const DECODE_TIMING = [0x40, 0x42] as const;

const STATE = vmstate(
  'ide',
  3,
  {
    parent_obj: pciDeviceState(),
    bmdma: array(2, struct(BMDMA_STATE)),
    bus: array(2, struct(IDE_BUS_STATE)),
    'bus[0].ifs': array(2, struct(IDE_DRIVE_STATE)),
    'bus[1].ifs': array(2, struct(IDE_DRIVE_STATE)),
  },
  { minimumVersion: 0 },
);

export class Piix3Ide extends PciDevice<PropertyTable, typeof STATE.fields> {
  readonly channels: IdeBus[] = [];
  private readonly masters: BusMaster[] = [];

  override realize(): void {
    super.realize();
    this.setConfigWord(REG.status, STATUS.fastBack | STATUS.devselMedium);
    const region = () => objectNewAs(MemoryRegion, 'memory-region');
    const container = region().initContainer(this, 'piix-bmdma-container', 16);
    CHANNELS.forEach((channel, i) => {
      const bus = busNew(IdeBus, 'IDE', this);
      const master = new BusMaster(() => this.dma);
      bus.number = i;
      bus.dma = master;
      this.channels.push(bus);
      this.masters.push(master);
      this.mapChannel(bus, channel);
      const command = region().initIo(this, COMMAND_OPS, master, 'piix-bmdma', 4);
      const address = region().initIo(this, ADDRESS_OPS, master, 'bmdma', 4);
      container.addSubregion(i * 8, command);
      container.addSubregion(i * 8 + 4, address);
    });
    this.registerBar(4, 'io', container);
    this.shareState();
  }
  /** The legacy ports belong to no device in the tree, as QEMU has it. */
  private mapChannel(bus: IdeBus, { base, control }: { base: number; control: number }): void {
    const map = (ops: MemoryRegionOps<IdeBus>, at: number, size: number) => {
      const ports = objectNewAs(MemoryRegion, 'memory-region').initIo(null, ops, bus, 'ide', size);
      objectAddChild(this.env.unattached, 'ide[*]', ports);
      this.env.systemIo.addSubregion(at, ports);
    };
    map(TASK_FILE, base, 8);
    map(CONTROL_PORT, control, 1);
  }
  /** Channel `number`'s interrupt, 14 and 15 on a PC. */
  connectIrq(number: number, pin: Pin): void {
    const master = this.masters[number]!;
    this.channels[number]!.irq = {
      set(level) {
        if (level) master.interrupt();
        pin.set(level);
      },
    };
  }
  /** The saved state is the channels' own. */
  private shareState(): void {
    const { state, channels, masters } = this;
    state.bmdma = masters.map((master) => master.state);
    state.bus = channels.map((bus) => bus.state);
    state['bus[0].ifs'] = channels[0]!.units.map((unit) => unit.state);
    state['bus[1].ifs'] = channels[1]!.units.map((unit) => unit.state);
  }

  override reset(): void {
    super.reset();
    for (const master of this.masters) master.reset();
    for (const bus of this.channels) bus.reset();
    this.config.fill(0, DECODE_TIMING[0], DECODE_TIMING[1] + 2);
    this.shareState();
  }
}

const TASK_FILE: MemoryRegionOps<IdeBus> = {
  readString: (bus, offset, size, target) => (offset === 0 ? bus.readDataString(size, target) : 0),
  read(bus, offset, size) {
    if (offset === 0) return bus.readData(size);
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + bus.read(offset + i);
    return value;
  },
  write(bus, offset, value, size) {
    if (offset === 0) {
      bus.writeData(value, size);
      return;
    }
    for (let i = 0; i < size && offset + i < 8; i++) bus.write(offset + i, Math.floor(value / 2 ** (8 * i)) & 0xff);
  },
  valid: { unaligned: true },
};
const CONTROL_PORT: MemoryRegionOps<IdeBus> = {
  read: (bus) => bus.alternateStatus(),
  write: (bus, _offset, value) => bus.writeControl(value),
};

/** The lines that the channels drive on a PC. */
export const PIIX3_IDE_IRQS = CHANNELS.map(({ irq }) => irq);

export const pciIdeType = pciDeviceType({ name: 'pci-ide', abstract: true });
export const piix3IdeType = pciDeviceType({
  name: 'piix3-ide',
  parent: 'pci-ide',
  category: 'storage',
  hotpluggable: false,
  class: Piix3Ide,
  vmstate: STATE,
  pci: { vendorId: 0x8086, deviceId: 0x7010, classId: 0x0101, progIf: PROG_IF_BUS_MASTER },
});
