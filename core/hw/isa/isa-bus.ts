/** The ISA bus: sixteen interrupt lines that the board leads to its interrupt controllers, and the base class of what plugs in. Not modelled: DMA request lines here (see the DMA controller's own interface). */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectAddChild, objectNewAs } from '../../qom/object.ts';
import type { TypeInfo } from '../../qom/type.ts';
import { assert, UserError } from '../../util/errors.ts';
import type { Fields } from '../../vmstate/fields.ts';
import { Bus, busNew, Device, deviceType } from '../core/device.ts';
import { OutPin, type Pin } from '../core/pin.ts';
import type { PropertyTable } from '../core/properties.ts';

const IRQ_LINES = 16;

export class IsaBus extends Bus {
  /** Devices set these, the board connects them. */
  readonly irqs: readonly OutPin[] = Array.from({ length: IRQ_LINES }, () => new OutPin());

  /** Leads the lines to the interrupt controllers; missing entries stay unconnected. */
  connectIrqs(pins: readonly (Pin | null | undefined)[]): void {
    pins.forEach((pin, i) => {
      this.irqs[i]?.connect(pin ?? null);
    });
  }
  /** @throws UserError for a line that the bus does not have */
  irq(line: number): OutPin {
    const pin = this.irqs[line];
    if (!pin) throw new UserError(`Maximum value for "irq" is: ${IRQ_LINES - 1}`);
    return pin;
  }
}

/** Makes `isa.0` below a bridge (or without an owner, on a bare board). */
export function isaBusNew(bridge: Device | null, name: string | null = null): IsaBus {
  return busNew(IsaBus, 'ISA', bridge, name);
}

// biome-ignore lint/suspicious/noExplicitAny: the plain `IsaDevice` stands for devices of any fields
export class IsaDevice<P extends PropertyTable = any, F extends Fields = any> extends Device<P, F> {
  get isaBus(): IsaBus {
    assert(this.parentBus instanceof IsaBus, `${this.typeName} is not on an ISA bus`);
    return this.parentBus;
  }
  /** A bus line by number; every device on it sets its level. */
  isaIrq(line: number): Pin {
    return this.isaBus.irq(line);
  }
}

/** A stretch of ports: offset from the list's base, and how many. */
export type PortRange = readonly [offset: number, count: number];

/** Maps several stretches of ports that one set of handlers serves; `offset` in the handlers counts from `base`, not from the stretch. The regions belong to `owner`, or to no device for null. */
export function mapPortList<T extends Device>(
  device: T,
  base: number,
  ranges: readonly PortRange[],
  ops: MemoryRegionOps<T>,
  name: string,
  owner: Device | null = device,
): MemoryRegion[] {
  return ranges.map(([start, count]) => {
    const shifted: MemoryRegionOps<T> = {
      ...ops,
      read: (d, offset, size) => ops.read(d, offset + start, size),
      write: (d, offset, value, size) => ops.write(d, offset + start, value, size),
    };
    const region = objectNewAs(MemoryRegion, 'memory-region').initIo(owner, shifted, device, name, count);
    if (!owner) objectAddChild(device.env.unattached, `${name}[*]`, region);
    device.env.systemIo.addSubregion(base + start, region);
    return region;
  });
}

export const isaBusType: TypeInfo = { name: 'ISA', parent: 'bus', instance: IsaBus };
export const isaDeviceType = deviceType({
  name: 'isa-device',
  abstract: true,
  busType: 'ISA',
  class: IsaDevice as new () => Device,
});
export const isaTypes = [isaBusType, isaDeviceType];
