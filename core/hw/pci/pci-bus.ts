/** A PCI bus: its functions by address, what memory and ports it decodes, and the counting of its shared interrupt lines. Not modelled: bridges below it, configuration by anything but the host bridge. */
import type { MemoryRegion } from '../../memory/region.ts';
import type { TypeInfo } from '../../qom/type.ts';
import { UserError } from '../../util/errors.ts';
import { array, i32, vmstate } from '../../vmstate/fields.ts';
import { Bus, busNew, type Device } from '../core/device.ts';
import type { PciDevice } from './pci-device.ts';
import { FUNCTIONS, functionOf, SLOTS, slotOf } from './registers.ts';

export const PCI_BUS_LINES = 4;
/** Saved per bus, as QEMU's `PCIBUS` section. */
export const PCI_BUS_STATE = vmstate('PCIBUS', 1, { nirq: i32(PCI_BUS_LINES), irq_count: array(PCI_BUS_LINES, i32()) });

/** How the board leads slots' pins to the interrupt router. */
export interface PciInterruptRouting {
  /** Which of the bus's lines pin 0-3 of a device drives. */
  map(devfn: number, pin: number): number;
  /** A bus line has changed. */
  set(line: number, level: number): void;
}

export class PciBus extends Bus {
  readonly functions: (PciDevice | null)[] = Array.from({ length: SLOTS * FUNCTIONS }, () => null);
  /** What BARs are mapped into; null until the host bridge sets them. */
  memory!: MemoryRegion;
  io!: MemoryRegion;
  routing: PciInterruptRouting | null = null;
  readonly vmstate = PCI_BUS_STATE;
  readonly state = PCI_BUS_STATE.create();

  override reset(): void {
    this.state.irq_count.fill(0);
    for (const device of this.functions)
      if (device)
        for (let pin = 0; pin < PCI_BUS_LINES; pin++) if (device.irqLevel(pin)) this.changeIrq(device, pin, 1);
  }

  find(devfn: number): PciDevice | null {
    return this.functions[devfn] ?? null;
  }
  /** Functions in the order of their addresses. */
  *devices(): Generator<PciDevice> {
    for (const device of this.functions) if (device) yield device;
  }

  /** Gives a function its place. @param wanted the devfn asked for, -1 for the first free slot @throws UserError in QEMU's words */
  place(device: PciDevice, wanted: number, isMultifunction: boolean): number {
    const name = device.typeName;
    let devfn = wanted;
    if (devfn < 0) {
      devfn = 0;
      while (devfn < this.functions.length && this.functions[devfn]) devfn += FUNCTIONS;
      if (devfn >= this.functions.length)
        throw new UserError(`PCI: no slot/function available for ${name}, all in use or reserved`);
    }
    const slot = slotOf(devfn);
    const fn = functionOf(devfn);
    const holder = this.functions[devfn];
    if (holder)
      throw new UserError(
        `PCI: slot ${slot} function ${fn} not available for ${name}, in use by ${holder.typeName},id=${holder.id ?? '(null)'}`,
      );
    this.checkMultifunction(devfn, isMultifunction);
    this.functions[devfn] = device;
    return devfn;
  }
  private checkMultifunction(devfn: number, isMultifunction: boolean): void {
    const slot = slotOf(devfn);
    const fn = functionOf(devfn);
    const first = this.functions[slot * FUNCTIONS];
    if (fn !== 0) {
      if (first && !first.isMultifunction)
        throw new UserError(
          `PCI: single function device can't be populated in function ${slot.toString(16)}.${fn.toString(16)}`,
        );
      return;
    }
    if (isMultifunction) return;
    for (let other = 1; other < FUNCTIONS; other++)
      if (this.functions[slot * FUNCTIONS + other])
        throw new UserError(
          `PCI: ${slot.toString(16)}.0 indicates single function, but ${slot.toString(16)}.${other.toString(16)} is already populated.`,
        );
  }
  release(device: Device): void {
    const at = (this.functions as (Device | null)[]).indexOf(device);
    if (at >= 0) this.functions[at] = null;
  }
  /** Also after a realize that failed half way. */
  override detach(device: Device): void {
    super.detach(device);
    this.release(device);
  }

  /** A device's pin has gone up (1) or down (-1): several pins share a line, which is high while any is. */
  changeIrq(device: PciDevice, pin: number, change: number): void {
    const { routing } = this;
    if (!routing) return;
    const line = routing.map(device.devfn, pin) % PCI_BUS_LINES;
    const count = this.state.irq_count[line]! + change;
    this.state.irq_count[line] = count;
    routing.set(line, count !== 0 ? 1 : 0);
  }
}

/** Makes a bus below a host bridge. */
export function pciBusNew(bridge: Device | null, memory: MemoryRegion, io: MemoryRegion, name: string | null = null) {
  const bus = busNew(PciBus, 'PCI', bridge, name);
  bus.memory = memory;
  bus.io = io;
  return bus;
}

export const pciBusType: TypeInfo = { name: 'PCI', parent: 'bus', instance: PciBus };
