/** A function on a PCI bus: configuration space with its masks, BARs that follow the guest's writes, INTx, bus mastering, option ROM. Not modelled: power management, MSI and PCI Express capabilities (each device adds those that it has). */
import { AddressSpace } from '../../memory/address-space.ts';
import { FULL_SIZE, MemoryRegion, memoryTransaction } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import type { ObjectClass, TypeInfo } from '../../qom/type.ts';
import { assert, UserError } from '../../util/errors.ts';
import { hex } from '../../util/units.ts';
import {
  array,
  buffer,
  type FieldKind,
  type Fields,
  i32,
  type StateOf,
  struct,
  vmstate,
} from '../../vmstate/fields.ts';
import { Device, type DeviceClass, type DeviceTypeInfo, deviceType } from '../core/device.ts';
import { bool, doesNotTake, type PropertyKind, type PropertyTable, properties, str, u32 } from '../core/properties.ts';
import { PciBus } from './pci-bus.ts';
import {
  BAR_TYPE,
  COMMAND,
  CONFIG_SIZE,
  className,
  functionOf,
  HEADER_MULTIFUNCTION,
  INTX_PINS,
  REG,
  ROM_BAR,
  ROM_ENABLE,
  STATUS,
  slotOf,
  UNMAPPED,
} from './registers.ts';

export { COMMAND, REG, STATUS } from './registers.ts';

/** Slot and optional function as `-device X,addr=` takes them, in hexadecimal; -1: the first free slot. */
const pciAddress: PropertyKind<number> = {
  typeName: 'int32',
  defaultValue: -1,
  helpDefault: '-1',
  description: 'Slot and optional function number, example: 06.0 or 06',
  parse(text, context) {
    const match = /^\s*([0-9a-f]{1,8})(?:\.([0-9a-f]{1,8}))?$/i.exec(text);
    const slot = match ? Number.parseInt(match[1]!, 16) : Number.NaN;
    const fn = match?.[2] === undefined ? 0 : Number.parseInt(match[2], 16);
    if (!(slot <= 31 && fn <= 7)) throw doesNotTake(context, text);
    return slot * 8 + fn;
  },
  accept(value, context) {
    if (typeof value === 'string') return this.parse(value, context);
    if (typeof value !== 'number' || !Number.isInteger(value))
      throw new UserError(`Invalid parameter type for '${context.name}', expected int or str`);
    if (value < -1 || value > 255) throw doesNotTake(context, String(value));
    return value;
  },
  print: (value) => (value === -1 ? '<unset>' : `${hex(slotOf(value), 2)}.${functionOf(value)}`),
  toJson: (value) => value,
};

const ROM_SIZE_UNSET = 0xffff_ffff;
const PROPS = properties({
  addr: pciAddress,
  romfile: str(),
  romsize: u32(ROM_SIZE_UNSET),
  rombar: u32(1),
  multifunction: bool(false, 'on/off'),
  'x-pcie-lnksta-dllla': bool(true, 'on/off'),
  'x-pcie-extcap-init': bool(true, 'on/off'),
  failover_pair_id: str(),
  'acpi-index': u32(0),
});
type PciProperties = { [K in keyof typeof PROPS]: (typeof PROPS)[K]['defaultValue'] };

const SAVED_VERSION = 2;
const PCI_DEVICE_STATE = vmstate(
  'PCIDevice',
  SAVED_VERSION,
  { version_id: i32(SAVED_VERSION), config: buffer(CONFIG_SIZE), irq_state: array(INTX_PINS, i32()) },
  { minimumVersion: 1 },
);
/** The part of a device's state that every PCI function has; QEMU calls the field `dev` or `parent_obj`. */
export function pciDeviceState(): FieldKind<StateOf<typeof PCI_DEVICE_STATE.fields>> {
  return struct(PCI_DEVICE_STATE);
}

/** What a function says of itself in its configuration header. */
export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision?: number;
  /** Class and subclass. */
  readonly classId: number;
  readonly progIf?: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** Option ROM used unless the user names one. */
  readonly romfile?: string;
}
const SUBSYSTEM_VENDOR_ID = 0x1af4;
const SUBSYSTEM_ID = 0x1100;

export interface PciDeviceClass extends DeviceClass {
  pci: PciIdentity;
}

/** As `deviceType`, with the parent `pci-device` and the header's identity. */
export function pciDeviceType(info: DeviceTypeInfo & { readonly pci?: PciIdentity }): TypeInfo {
  return deviceType({
    parent: 'pci-device',
    ...info,
    classInit(klass: ObjectClass) {
      if (info.pci) (klass as PciDeviceClass).pci = info.pci;
      info.classInit?.(klass);
    },
  });
}

export type BarKind = 'io' | 'memory' | 'memory64' | 'prefetchable' | 'prefetchable64';
const BAR_BITS: Readonly<Record<BarKind, number>> = {
  io: BAR_TYPE.io,
  memory: BAR_TYPE.memory,
  memory64: BAR_TYPE.memory64,
  prefetchable: BAR_TYPE.prefetch,
  prefetchable64: BAR_TYPE.memory64 | BAR_TYPE.prefetch,
};

/** One base address register. */
export interface Bar {
  readonly index: number;
  readonly kind: BarKind;
  readonly size: number;
  readonly region: MemoryRegion;
  /** Where it is mapped now, or UNMAPPED. */
  address: number;
}

// biome-ignore lint/suspicious/noExplicitAny: the plain `PciDevice` stands for devices of any fields
export class PciDevice<P extends PropertyTable = any, F extends Fields = any> extends Device<P, F> {
  devfn = -1;
  readonly bars: (Bar | undefined)[] = [];
  /** Bits that the guest may change, bits that it clears by writing ones. */
  readonly wmask = new Uint8Array(CONFIG_SIZE);
  readonly w1cmask = new Uint8Array(CONFIG_SIZE);
  private readonly common: StateOf<typeof PCI_DEVICE_STATE.fields>;
  private readonly commonKey: string | undefined;
  private busMaster!: MemoryRegion;
  private dmaSpace: AddressSpace | null = null;
  private lastCapability = 0;

  constructor() {
    super();
    const fields = Object.entries(this.deviceClass.vmstate?.fields ?? {});
    this.commonKey = fields.find(([, field]) => field.nested?.name === PCI_DEVICE_STATE.name)?.[0];
    this.common =
      this.commonKey === undefined
        ? PCI_DEVICE_STATE.create()
        : (this.state as Record<string, StateOf<typeof PCI_DEVICE_STATE.fields>>)[this.commonKey]!;
  }

  get config(): Uint8Array {
    return this.common.config;
  }
  get identity(): PciIdentity {
    return (this.klass as unknown as PciDeviceClass).pci;
  }
  get pciProps(): PciProperties {
    return this.props as unknown as PciProperties;
  }
  get pciBus(): PciBus {
    assert(this.parentBus instanceof PciBus, `${this.typeName} is not on a PCI bus`);
    return this.parentBus;
  }
  get isMultifunction(): boolean {
    return this.pciProps.multifunction;
  }
  get command(): number {
    return this.configWord(REG.command);
  }
  configWord(offset: number): number {
    return this.config[offset]! | (this.config[offset + 1]! << 8);
  }
  configLong(offset: number): number {
    return (this.configWord(offset) | (this.configWord(offset + 2) << 16)) >>> 0;
  }
  setConfigWord(offset: number, value: number): void {
    this.config[offset] = value & 0xff;
    this.config[offset + 1] = (value >> 8) & 0xff;
  }
  setConfigLong(offset: number, value: number): void {
    this.setConfigWord(offset, value & 0xffff);
    this.setConfigWord(offset + 2, value >>> 16);
  }

  /** Takes a place on the bus and fills in the header. Devices call it first, then register their BARs, then `loadOptionRom`. */
  override realize(): void {
    const bus = this.pciBus;
    const { identity, pciProps } = this;
    if (pciProps.romsize !== ROM_SIZE_UNSET && !isPowerOfTwo(pciProps.romsize))
      throw new UserError(`ROM size ${pciProps.romsize} is not a power of two`);
    this.devfn = bus.place(this, pciProps.addr, pciProps.multifunction);
    pciProps.addr = this.devfn;
    this.setConfigWord(REG.vendorId, identity.vendorId);
    this.setConfigWord(REG.deviceId, identity.deviceId);
    this.config[REG.revision] = identity.revision ?? 0;
    this.config[REG.progIf] = identity.progIf ?? 0;
    this.setConfigWord(REG.classDevice, identity.classId);
    this.setConfigWord(REG.subsystemVendorId, identity.subsystemVendorId ?? SUBSYSTEM_VENDOR_ID);
    this.setConfigWord(REG.subsystemId, identity.subsystemId ?? SUBSYSTEM_ID);
    if (pciProps.multifunction) this.config[REG.headerType] = HEADER_MULTIFUNCTION;
    this.initMasks();
    const region = (): MemoryRegion => objectNewAs(MemoryRegion, 'memory-region');
    const container = region().initContainer(this, 'bus master container', FULL_SIZE);
    this.busMaster = region().initAlias(this, 'bus master', this.env.systemMemory, 0, FULL_SIZE);
    this.busMaster.setEnabled(false);
    container.addSubregion(0, this.busMaster);
    this.dmaSpace = new AddressSpace(this.typeName, container, this.env.arena);
  }
  override unrealize(): void {
    const bus = this.pciBus;
    for (let pin = 0; pin < INTX_PINS; pin++) this.setIrqPin(pin, 0);
    for (const bar of this.bars) if (bar && bar.address !== UNMAPPED) this.unmap(bar);
    this.dmaSpace?.dispose();
    bus.release(this);
  }
  override unparentHook(): void {
    this.dmaSpace?.dispose();
  }

  private initMasks(): void {
    const { wmask } = this;
    wmask[REG.cacheLineSize] = 0xff;
    wmask[REG.interruptLine] = 0xff;
    const command = COMMAND.io | COMMAND.memory | COMMAND.master | COMMAND.serr | COMMAND.intxDisable;
    wmask[REG.command] = command & 0xff;
    wmask[REG.command + 1] = command >> 8;
    wmask.fill(0xff, REG.deviceSpecific);
    this.w1cmask[REG.status + 1] = STATUS.errors >> 8;
  }

  /** DMA goes through here and reaches memory only while the guest lets the device be a bus master. */
  override get dma(): AddressSpace {
    assert(this.dmaSpace, `${this.typeName} is not realized`);
    return this.dmaSpace;
  }
  get isBusMaster(): boolean {
    return (this.command & COMMAND.master) !== 0;
  }

  override reset(): void {
    const { common } = this;
    super.reset();
    if (this.commonKey !== undefined) (this.state as Record<string, unknown>)[this.commonKey] = common;
    for (let pin = 0; pin < INTX_PINS; pin++) this.setIrqPin(pin, 0);
    for (const at of [REG.command, REG.command + 1, REG.status, REG.status + 1, REG.interruptLine])
      this.config[at] = this.config[at]! & ~(this.wmask[at]! | this.w1cmask[at]!);
    this.config[REG.cacheLineSize] = 0;
    for (const bar of this.bars) if (bar) this.resetBar(bar);
    this.updateMappings();
  }
  private resetBar(bar: Bar): void {
    const at = barOffset(bar.index);
    this.setConfigLong(at, bar.index === ROM_BAR ? 0 : BAR_BITS[bar.kind]);
    if (is64(bar)) this.setConfigLong(at + 4, 0);
  }
  /** After loading a saved state: the registers say where the BARs are and whether the device may be a master. */
  postLoad(): void {
    this.updateMappings();
  }

  /** Declares a BAR. The region's size must be a power of two; it is mapped as the guest says. */
  registerBar(index: number, kind: BarKind, region: MemoryRegion): Bar {
    const { size } = region;
    assert(isPowerOfTwo(size), `${this.typeName}: BAR ${index} has size ${size}`);
    assert(!this.bars[index], `${this.typeName}: BAR ${index} declared twice`);
    const bar: Bar = { index, kind, size, region, address: UNMAPPED };
    this.bars[index] = bar;
    const at = barOffset(index);
    let mask = BigInt.asUintN(64, ~(BigInt(size) - 1n));
    if (index === ROM_BAR) mask |= BigInt(ROM_ENABLE);
    for (let i = 0; i < (is64(bar) ? 8 : 4); i++) this.wmask[at + i] = Number((mask >> BigInt(8 * i)) & 0xffn);
    this.resetBar(bar);
    return bar;
  }

  /** Adds a capability at an offset of the device's choice. Returns the offset. */
  addCapability(id: number, offset: number, size: number): number {
    assert(offset >= REG.deviceSpecific && offset + size <= CONFIG_SIZE, 'capability outside of configuration space');
    const { config, wmask } = this;
    config[offset] = id;
    config[offset + 1] = config[REG.capabilities]!;
    config[REG.capabilities] = offset;
    config[REG.status] = config[REG.status]! | STATUS.capabilities;
    wmask.fill(0, offset, offset + size);
    this.lastCapability = offset;
    return this.lastCapability;
  }

  /** Option ROM of the property `romfile` (or the type's own) behind BAR 6. @throws UserError when the file is missing */
  loadOptionRom(): void {
    const { pciProps, identity } = this;
    const isDefault = pciProps.romfile === null;
    if (isDefault && identity.romfile !== undefined) pciProps.romfile = identity.romfile;
    const name = pciProps.romfile;
    if (!name || pciProps.rombar === 0) return;
    const image = this.env.findFirmware(name);
    if (!image) throw new UserError(`failed to find romfile "${name}"`);
    if (image.length === 0) throw new UserError(`romfile "${name}" is empty`);
    if (image.length > 2 * 1024 ** 3) throw new UserError(`romfile "${name}" too large (size cannot exceed 2 GiB)`);
    if (pciProps.romsize === ROM_SIZE_UNSET) pciProps.romsize = 2 ** Math.ceil(Math.log2(image.length));
    else if (image.length > pciProps.romsize)
      throw new UserError(`romfile "${name}" (${image.length} bytes) is too large for ROM size ${pciProps.romsize}`);
    const label = `${this.deviceClass.vmstate?.name ?? this.typeName}.rom`;
    const rom = objectNewAs(MemoryRegion, 'memory-region').initRom(this, this.env.arena, label, pciProps.romsize);
    rom.bytes.set(image);
    if (isDefault) patchRomIds(rom.bytes, identity);
    this.registerBar(ROM_BAR, 'memory', rom);
  }

  /** Configuration space as the guest reads it. */
  readConfig(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.config[offset + i] ?? 0xff);
    return value;
  }
  /** A guest's write. Devices with registers of their own override this, call it first, then look what changed. */
  writeConfig(offset: number, value: number, size: number): void {
    const { config, wmask, w1cmask } = this;
    const wasIntxDisabled = (this.command & COMMAND.intxDisable) !== 0;
    for (let i = 0; i < size && offset + i < CONFIG_SIZE; i++) {
      const at = offset + i;
      const byte = Math.floor(value / 2 ** (8 * i)) & 0xff;
      const merged = (config[at]! & ~wmask[at]!) | (byte & wmask[at]!);
      config[at] = merged & ~(byte & w1cmask[at]!);
    }
    const touches = (start: number, length: number) => offset < start + length && offset + size > start;
    if (touches(REG.bar0, 24) || touches(REG.rom, 4) || touches(REG.command, 2)) this.updateMappings();
    if (touches(REG.command, 2)) this.intxDisableChanged(wasIntxDisabled);
  }

  private updateMappings(): void {
    memoryTransaction(() => {
      this.busMaster.setEnabled(this.isBusMaster);
      for (const bar of this.bars) {
        if (!bar) continue;
        const address = this.barAddress(bar);
        if (address === bar.address) continue;
        if (bar.address !== UNMAPPED) this.unmap(bar);
        bar.address = address;
        if (address !== UNMAPPED) this.barSpace(bar).addSubregion(address, bar.region, 1);
      }
    });
  }
  private barSpace(bar: Bar): MemoryRegion {
    return bar.kind === 'io' ? this.pciBus.io : this.pciBus.memory;
  }
  private unmap(bar: Bar): void {
    this.barSpace(bar).delSubregion(bar.region);
    bar.address = UNMAPPED;
  }
  private barAddress(bar: Bar): number {
    const at = barOffset(bar.index);
    const low = this.configLong(at);
    if (bar.kind === 'io') {
      const address = low - (low % Math.max(bar.size, 4));
      const last = address + bar.size - 1;
      return this.command & COMMAND.io && address !== 0 && last < 0x1_0000 ? address : UNMAPPED;
    }
    if (!(this.command & COMMAND.memory)) return UNMAPPED;
    if (bar.index === ROM_BAR && !(low & ROM_ENABLE)) return UNMAPPED;
    const wide = is64(bar) ? low + this.configLong(at + 4) * 2 ** 32 : low;
    const address = wide - (wide % Math.max(bar.size, 16));
    const last = address + bar.size - 1;
    return address !== 0 && last < (is64(bar) ? FULL_SIZE - 4096 : 0xffff_ffff) ? address : UNMAPPED;
  }

  irqLevel(pin: number): number {
    return this.common.irq_state[pin]!;
  }
  /** Drives the interrupt pin that the header names. */
  setIrq(level: number): void {
    const pin = this.config[REG.interruptPin]!;
    if (pin > 0) this.setIrqPin(pin - 1, level ? 1 : 0);
  }
  private setIrqPin(pin: number, level: number): void {
    const { irq_state: levels } = this.common;
    const change = level - levels[pin]!;
    if (change === 0) return;
    levels[pin] = level;
    const status = this.config[REG.status]!;
    this.config[REG.status] = levels.includes(1) ? status | STATUS.interrupt : status & ~STATUS.interrupt;
    if (!(this.command & COMMAND.intxDisable)) this.pciBus.changeIrq(this, pin, change);
  }
  private intxDisableChanged(wasDisabled: boolean): void {
    const isDisabled = (this.command & COMMAND.intxDisable) !== 0;
    if (isDisabled === wasDisabled) return;
    this.common.irq_state.forEach((level, pin) => {
      if (level) this.pciBus.changeIrq(this, pin, isDisabled ? -1 : 1);
    });
  }

  /** The lines under a function in `info qtree`. */
  override treeDetails(): string[] {
    const classCode = this.configWord(REG.classDevice);
    const name = className(classCode) ?? `Class ${hex(classCode, 4)}`;
    const where = `00:${hex(slotOf(this.devfn), 2)}.${functionOf(this.devfn)}`;
    const id = (at: number) => `${hex(this.configWord(at), 4)}:${hex(this.configWord(at + 2), 4)}`;
    return [
      `class ${name}, addr ${where}, pci id ${id(REG.vendorId)} (sub ${id(REG.subsystemVendorId)})`,
      ...this.bars.flatMap((bar) =>
        bar
          ? [`bar ${bar.index}: ${bar.kind === 'io' ? 'i/o' : 'mem'} at 0x${barText(bar.address)} [0x${barEnd(bar)}]`]
          : [],
      ),
    ];
  }
}

function barText(address: number): string {
  return address === UNMAPPED ? 'f'.repeat(16) : hex(address);
}
/** Last address of a BAR; one that is nowhere wraps round as 64-bit arithmetic does. */
function barEnd(bar: Bar): string {
  return hex(bar.address === UNMAPPED ? bar.size - 2 : bar.address + bar.size - 1);
}
export function is64(bar: Bar): boolean {
  return (BAR_BITS[bar.kind] & BAR_TYPE.memory64) !== 0;
}
export function isPrefetchable(bar: Bar): boolean {
  return bar.kind === 'prefetchable' || bar.kind === 'prefetchable64';
}
function barOffset(index: number): number {
  return index === ROM_BAR ? REG.rom : REG.bar0 + 4 * index;
}
function isPowerOfTwo(n: number): boolean {
  return n > 0 && Number.isInteger(Math.log2(n));
}

/** A stock ROM serves several cards: its PCI data structure gets this card's ids, its checksum is made right again. */
function patchRomIds(rom: Uint8Array, identity: PciIdentity): void {
  const at = rom.length > 0x1a ? rom[0x18]! | (rom[0x19]! << 8) : 0;
  const isRom = rom[0] === 0x55 && rom[1] === 0xaa;
  if (!isRom || at + 8 >= rom.length || String.fromCharCode(...rom.subarray(at, at + 4)) !== 'PCIR') return;
  let checksum = rom[6]!;
  const put = (offset: number, value: number) => {
    checksum += rom[offset]! - value;
    rom[offset] = value;
  };
  put(at + 4, identity.vendorId & 0xff);
  put(at + 5, identity.vendorId >> 8);
  put(at + 6, identity.deviceId & 0xff);
  put(at + 7, identity.deviceId >> 8);
  rom[6] = checksum & 0xff;
}

export const pciDeviceTypeInfo = pciDeviceType({
  name: 'pci-device',
  parent: 'device',
  abstract: true,
  busType: 'PCI',
  class: PciDevice as new () => Device,
  properties: PROPS,
});
