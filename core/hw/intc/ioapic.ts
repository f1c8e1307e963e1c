/** I/O APIC (82093AA data sheet 290566; version 20h, with the EOI register of later ones): 24 inputs, each with its entry in the
 *  redirection table. Its inputs carry "asserted" as 1, so an entry's polarity is held and has no effect. Not modelled: delivery
 *  status (messages never wait), arbitration. */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { array, halves64, since, u8 as u8Field, u32, unused, vmstate } from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { properties, u8 } from '../core/properties.ts';
import type { ApicBus } from './apic-bus.ts';

export const IOAPIC_PINS = 24;
export const IOAPIC_BASE = 0xfec0_0000;
const WINDOW_BYTES = 0x1000;
const WINDOW = { select: 0x00, data: 0x10, eoi: 0x40 } as const;
const INDEX = { id: 0, version: 1, arbitration: 2, firstEntry: 0x10 } as const;
const EOI_SINCE = 0x20;
export const ENTRY = {
  vector: 0xff,
  modeShift: 8,
  logical: 1 << 11,
  activeLow: 1 << 13,
  remoteIrr: 1 << 14,
  level: 1 << 15,
  masked: 1 << 16,
  writable: 0x1_afff,
} as const;

const PROPS = properties({ version: u8(0x20) });
const STATE = vmstate(
  'ioapic',
  3,
  {
    id: u8Field(),
    ioregsel: u8Field(),
    unused: since(2, unused(8)),
    irr: since(2, u32(0, 'Inputs with something to send')),
    ioredtbl: array(IOAPIC_PINS, halves64(ENTRY.masked)),
  },
  { minimumVersion: 1 },
);

export class IoApic extends Device<typeof PROPS, typeof STATE.fields> {
  readonly pins = this.inPin('', IOAPIC_PINS, (level, pin) => this.setPin(pin, level));
  /** Set by the board. */
  bus!: ApicBus;
  /** Levels of the inputs, for finding edges. */
  private levels = 0;

  override realize(): void {
    const region = objectNewAs(MemoryRegion, 'memory-region');
    region.initIo(this, REGISTERS, this, 'ioapic', WINDOW_BYTES);
    this.env.systemMemory.addSubregion(IOAPIC_BASE, region);
  }
  override reset(): void {
    super.reset();
    this.levels = 0;
  }
  override treeDetails(): string[] {
    return [`mmio ${IOAPIC_BASE.toString(16).padStart(16, '0')}/${WINDOW_BYTES.toString(16).padStart(16, '0')}`];
  }

  private setPin(pin: number, level: number): void {
    const { state } = this;
    const bit = 1 << pin;
    const wasHigh = (this.levels & bit) !== 0;
    if ((level !== 0) === wasHigh) return;
    const { low } = state.ioredtbl[pin]!;
    if (level) {
      this.levels |= bit;
      // An edge into a masked input is lost.
      if (!(low & ENTRY.level) && low & ENTRY.masked) return;
      state.irr = (state.irr | bit) >>> 0;
      this.service(pin);
    } else {
      this.levels &= ~bit;
      if (low & ENTRY.level) state.irr = (state.irr & ~bit) >>> 0;
    }
  }

  /** Sends what an input has to send and may. */
  private service(pin: number): void {
    const { state } = this;
    const bit = 1 << pin;
    const entry = state.ioredtbl[pin]!;
    const { low } = entry;
    if (!(state.irr & bit) || low & ENTRY.masked) return;
    const isLevel = (low & ENTRY.level) !== 0;
    if (isLevel) {
      if (low & ENTRY.remoteIrr) return;
      entry.low = low | ENTRY.remoteIrr;
    } else state.irr = (state.irr & ~bit) >>> 0;
    const mode = (low >>> ENTRY.modeShift) & 7;
    this.bus.send(entry.high >>> 24, (low & ENTRY.logical) !== 0, mode, low & ENTRY.vector, isLevel);
  }

  /** A processor has ended a level-triggered interrupt: inputs that are still asserted send again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      const entry = this.state.ioredtbl[pin]!;
      if ((entry.low & (ENTRY.vector | ENTRY.remoteIrr)) !== (vector | ENTRY.remoteIrr)) continue;
      entry.low &= ~ENTRY.remoteIrr;
      this.service(pin);
    }
  }

  readWindow(offset: number): number {
    if (offset === WINDOW.select) return this.state.ioregsel;
    return offset === WINDOW.data ? this.readIndexed(this.state.ioregsel) : 0;
  }
  private readIndexed(index: number): number {
    const { id, ioredtbl } = this.state;
    if (index === INDEX.id || index === INDEX.arbitration) return id << 24;
    if (index === INDEX.version) return this.props.version | ((IOAPIC_PINS - 1) << 16);
    const entry = ioredtbl[(index - INDEX.firstEntry) >> 1];
    if (!entry) return 0;
    return index & 1 ? entry.high : entry.low;
  }
  writeWindow(offset: number, value: number): void {
    if (offset === WINDOW.select) this.state.ioregsel = value & 0xff;
    else if (offset === WINDOW.data) this.writeIndexed(this.state.ioregsel, value);
    else if (offset === WINDOW.eoi && this.props.version >= EOI_SINCE) this.endOfInterrupt(value & 0xff);
  }
  private writeIndexed(index: number, value: number): void {
    const { state } = this;
    if (index === INDEX.id) {
      state.id = (value >>> 24) & 0x0f;
      return;
    }
    const pin = (index - INDEX.firstEntry) >> 1;
    const entry = state.ioredtbl[pin];
    if (!entry) return;
    if (index & 1) entry.high = value >>> 0;
    else {
      entry.low = (value & ENTRY.writable) | (entry.low & ENTRY.remoteIrr);
      const bit = 1 << pin;
      if (!(value & ENTRY.level)) entry.low &= ~ENTRY.remoteIrr;
      else if (this.levels & bit) state.irr = (state.irr | bit) >>> 0;
      else state.irr = (state.irr & ~bit) >>> 0;
    }
    this.service(pin);
  }
}

const REGISTERS: MemoryRegionOps<IoApic> = {
  read: (ioapic, offset) => ioapic.readWindow(offset),
  write: (ioapic, offset, value) => ioapic.writeWindow(offset, value),
  valid: { min: 1, max: 4 },
};

export const ioapicCommonType = deviceType({ name: 'ioapic-common', parent: 'sys-bus-device', abstract: true });
export const ioapicType = deviceType({
  name: 'ioapic',
  parent: 'ioapic-common',
  class: IoApic,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
export const ioapicTypes = [ioapicCommonType, ioapicType];
