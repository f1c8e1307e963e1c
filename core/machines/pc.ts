/**
 * Board `pc` (pc-i440fx-7.2): i440FX host bridge, PIIX3 and PIIX4, the AT's chips on an ISA bus, IDE, serial ports, VGA,
 * local APIC, I/O APIC, HPET, ACPI and SMBIOS tables.
 * Left out against QEMU until they exist: floppy controller, parallel port, vmport and vmmouse, network card, hot plug.
 */

import type { ClockType } from '../clock/clock.ts';
import type { Piix4Pm } from '../hw/acpi/piix4-pm.ts';
import { addEeproms } from '../hw/acpi/smbus.ts';
import type { Bus, Device } from '../hw/core/device.ts';
import { busNew } from '../hw/core/device.ts';
import { environment } from '../hw/core/environment.ts';
import type { Pin } from '../hw/core/pin.ts';
import { bool, choice, onOffAuto, type PropertyKind, properties } from '../hw/core/properties.ts';
import { SystemBus } from '../hw/core/system-bus.ts';
import { PIIX3_IDE_IRQS, type Piix3Ide } from '../hw/ide/piix3-ide.ts';
import type { I8042 } from '../hw/input/i8042.ts';
import type { IsaBus } from '../hw/isa/isa-bus.ts';
import { FW_CFG, type FwCfg } from '../hw/nvram/fw-cfg.ts';
import { type I440FxPciHost, i440FxNew } from '../hw/pci/i440fx.ts';
import type { PciBus } from '../hw/pci/pci-bus.ts';
import { queryPci } from '../hw/pci/pci-info.ts';
import type { Piix3 } from '../hw/pci/piix3.ts';
import type { Mc146818Rtc } from '../hw/rtc/mc146818rtc.ts';
import { type Hpet, hpetConfig } from '../hw/timer/hpet.ts';
import { FULL_SIZE, MemoryRegion, type MemoryRegionOps } from '../memory/region.ts';
import {
  containerGet,
  objectAddChild,
  objectAddLink,
  objectAddProperty,
  objectNewAs,
  objectUnref,
  type QomObject,
} from '../qom/object.ts';
import { UserError } from '../util/errors.ts';
import { encodeUtf8 } from '../util/json.ts';
import { GiB, KiB, MiB } from '../util/units.ts';
import { OEM_ID, OEM_TABLE_ID } from './acpi/tables.ts';
import type { KernelBoot } from './kernel-loader.ts';
import { Machine, type MachineSettings, machineSize, machineString, machineType } from './machine.ts';
import { bootCmos, type CmosContents, cmosContents, e820Table } from './pc-cmos.ts';
import { type ApicFeatures, type CpuWire, PcInterrupts, TIMER_PIN } from './pc-interrupts.ts';
import { addAcpiTables } from './pc-tables.ts';
import { type SmbiosContents, smbiosFiles } from './smbios.ts';
import { connect, inputOf, part } from './wiring.ts';

/** RAM below 4 GiB ends here at the latest; more of it makes room for PCI from 3 GiB on. */
const LOW_RAM_LIMIT = 0xe000_0000;
const LOW_RAM_WHEN_MORE = 0xc000_0000;
const ISA_BIOS_BYTES = 128 * KiB;
const LARGEST_FIRMWARE = 16 * MiB;
const OPTION_ROM = { base: 0xc0000, bytes: 0x20000 } as const;
/** What the firmware is told of the HPET. */
const FW_CFG_HPET = 4;
const IRQ = { keyboard: 1, sci: 9, coprocessor: 13 } as const;
const SERIAL_PORTS = [
  { iobase: 0x3f8, irq: 4 },
  { iobase: 0x2f8, irq: 3 },
  { iobase: 0x3e8, irq: 4 },
  { iobase: 0x2e8, irq: 3 },
] as const;

/** What a PC is made from. */
export interface PcSettings extends MachineSettings {
  /** Makes and realizes CPU `index`; the first object of the board. */
  createCpu(index: number): Device;
  readonly bios: Uint8Array;
  readonly biosName: string;
  readonly vga: 'std' | 'none';
  /** `-boot`: letters, menu, strictness. */
  readonly bootOrder: string;
  readonly bootMenu: boolean;
  readonly bootMenuTimeoutMs: number;
  readonly rebootTimeoutMs: number;
  readonly bootStrict: boolean;
  readonly uuid: Uint8Array;
  readonly graphics: boolean;
  /** Character devices of the first serial ports, by id; null leaves a port out. */
  readonly serials: readonly (string | null)[];
  /** `-rtc`: what drives the clock, and its time at the start in seconds since 1970. */
  readonly rtcClock: ClockType;
  readonly rtcStartSeconds: number;
  /** Sets the clock's properties. */
  readonly rtcProperties: Readonly<Record<string, unknown>>;
  readonly kernel: KernelBoot | null;
  readonly isAmdCpu: boolean;
  readonly apicFeatures: ApicFeatures;
  readonly smbios: Pick<
    SmbiosContents,
    'sockets' | 'coresPerSocket' | 'threadsPerCore' | 'cpuSignature' | 'cpuFeatures' | 'options'
  >;
  /** Legacy drives: attaches `-drive if=ide` ones to the two channels. */
  attachIdeDrives(buses: readonly Bus[]): void;
  /** Geometry of IDE disks for CMOS, asked when everything is there. */
  diskGeometries(): CmosContents['disks'];
  /** The file `bootorder`, asked when everything is there. */
  bootOrderFile(): Uint8Array;
}

/** A text of ACPI's table headers, padded with zeroes where it is shorter. */
function oemText(property: string, defaultValue: string, field: string, bytes: number): PropertyKind<string | null> {
  const kind = machineString(
    `Override the default value of field ${field} in ACPI table header.The string may be up to ${bytes} bytes in size`,
  );
  const check = (text: string | null): string | null => {
    if (encodeUtf8(text ?? '').length > bytes)
      throw new UserError(`User specified ${property} value is bigger than ${bytes} bytes in size`);
    return text;
  };
  return {
    ...kind,
    defaultValue,
    parse: (text, context) => check(kind.parse(text, context)),
    accept: (value, context) => check(kind.accept(value, context)),
  };
}

const PROPS = properties({
  acpi: onOffAuto('auto', 'Enable ACPI'),
  hpet: bool(true, 'Enable/disable high precision event timer emulation'),
  usb: bool(false, 'Set on/off to enable/disable usb'),
  pit: onOffAuto('auto', 'Enable i8254 PIT'),
  pic: onOffAuto('auto', 'Enable i8259 PIC'),
  smm: onOffAuto('auto', 'Enable SMM'),
  vmport: onOffAuto('auto', 'Enable vmport (pc & q35)'),
  i8042: bool(true, ''),
  'smbios-entry-point-type': choice('str', ['32', '64'], '32', 'SMBIOS Entry Point type [32, 64]'),
  // SATA and the SMBus's own switch are for other boards, the firmware's limit for flash: QEMU's pc takes them and does nothing.
  sata: bool(true, 'Enable/disable Serial ATA bus'),
  smbus: bool(true, 'Enable/disable system management bus'),
  'max-fw-size': machineSize(8 * MiB, 'Maximum combined firmware size', (value) => {
    if (value > LARGEST_FIRMWARE)
      throw new UserError(
        `User specified max allowed firmware size ${value} is greater than 16MiB. If combined firwmare size exceeds 16MiB the system may not boot, or experience intermittentstability issues.`,
      );
  }),
  'x-oem-id': oemText('x-oem-id', OEM_ID, 'OEMID', 6),
  'x-oem-table-id': oemText('x-oem-table-id', OEM_TABLE_ID, 'OEM Table ID', 8),
  'max-ram-below-4g': machineSize(0, 'Maximum ram below the 4G boundary (32bit boundary)', (value) => {
    if (value > 4 * GiB)
      throw new UserError(`Machine option 'max-ram-below-4g=${value}' expects size less than or equal to 4G`);
  }),
});

export class PcMachine extends Machine {
  host!: I440FxPciHost;
  piix3!: Piix3;
  pciBus!: PciBus;
  isaBus!: IsaBus;
  mainBus!: SystemBus;
  fwCfg!: FwCfg;
  rtc!: Mc146818Rtc;
  /** Null without ACPI. */
  private power: Piix4Pm | null = null;
  private hpet: Hpet | null = null;
  /** Devices of no bus, in order of creation. */
  readonly looseDevices: Device[] = [];
  /** The CPU's pins, connected by `system/`. */
  readonly cpuWires = new Map<CpuWire, Pin>();
  readonly interrupts = new PcInterrupts(this.cpuWires);
  smram: MemoryRegion | null = null;
  private settings!: PcSettings;
  private below4gBytes = 0;
  private above4gBytes = 0;
  /** Two sources, the keyboard controller and port 92h, drive one gate. */
  private a20 = true;
  /** IGNNE#. */
  private ignoresCoprocessor = false;

  init(settings: MachineSettings): void {
    this.settings = settings as PcSettings;
    const env = environment();
    this.values.firmware ??= this.settings.biosName;
    this.values['max-ram-below-4g'] = this.lowRamLimit;
    this.below4gBytes = this.ramBelow4g(settings.ramBytes);
    this.above4gBytes = settings.ramBytes - this.below4gBytes;
    this.mainBus = busNew(SystemBus, 'System', null, 'main-system-bus');
    objectAddChild(env.unattached, 'sysbus', this.mainBus);
    for (let i = 0; i < settings.cpus; i++) {
      const cpu = this.settings.createCpu(i);
      this.looseDevices.push(cpu);
      const { apicFeatures } = this.settings;
      if (apicFeatures.apic) this.looseDevices.push(this.interrupts.addApic(cpu, apicFeatures));
    }
    const { pciMemory } = this.createMemory(env.systemMemory);
    this.createFwCfg(); // before the bridges, where QEMU's `info qtree` and saved state have it
    this.createBridges(pciMemory.pci, pciMemory.ram);
    this.createInterruptControllers();
    if (this.settings.vga === 'std') part('VGA', this.pciBus);
    this.createIsaDevices();
    this.createIdeAndPower();
  }

  private get smmEnabled(): boolean {
    return this.values.smm !== 'off';
  }

  /** Where RAM below 4 GiB ends at the latest. */
  private get lowRamLimit(): number {
    return (this.values['max-ram-below-4g'] as number) || LOW_RAM_LIMIT;
  }
  /** How much of the RAM lies below 4 GiB. */
  ramBelow4g(ramBytes: number): number {
    const limit = this.lowRamLimit;
    return ramBytes >= limit ? Math.min(limit, LOW_RAM_WHEN_MORE) : ramBytes;
  }
  /** What the user may not have meant with `max-ram-below-4g`. */
  memoryWarnings(ramBytes: number): readonly string[] {
    const limit = this.lowRamLimit;
    const low = this.ramBelow4g(ramBytes);
    return [
      ...(limit < MiB
        ? [`Only ${limit} bytes of RAM below the 4GiB boundary,BIOS may not work with less than 1MiB`]
        : []),
      ...(ramBytes >= limit && low % GiB !== 0
        ? [`Large machine and max_ram_below_4g (${limit}) not a multiple of 1G; possible bad performance.`]
        : []),
    ];
  }

  private createMemory(system: MemoryRegion): { pciMemory: { pci: MemoryRegion; ram: MemoryRegion } } {
    const env = environment();
    const region = () => objectNewAs(MemoryRegion, 'memory-region');
    const ram = region().initRam(containerGet('/objects'), env.arena, 'pc.ram', this.settings.ramBytes);
    const alias = (name: string, offset: number, size: number) =>
      region().initAlias(env.unattached, name, ram, offset, size);
    system.addSubregion(0, alias('ram-below-4g', 0, this.below4gBytes));
    if (this.above4gBytes > 0)
      system.addSubregion(4 * GiB, alias('ram-above-4g', this.below4gBytes, this.above4gBytes));
    const pci = region().initContainer(env.unattached, 'pci', FULL_SIZE);
    const { bios } = this.settings;
    const rom = region().initRom(env.unattached, env.arena, 'pc.bios', bios.length);
    rom.bytes.set(bios);
    const low = Math.min(bios.length, ISA_BIOS_BYTES);
    const isaBios = region().initAlias(env.unattached, 'isa-bios', rom, bios.length - low, low);
    isaBios.setReadonly(true);
    pci.addSubregion(2 ** 20 - low, isaBios, 1);
    pci.addSubregion(4 * GiB - bios.length, rom);
    const optionRom = region().initRam(env.unattached, env.arena, 'pc.rom', OPTION_ROM.bytes);
    optionRom.setReadonly(true);
    pci.addSubregion(OPTION_ROM.base, optionRom, 1);
    return { pciMemory: { pci, ram } };
  }

  private createBridges(pciMemory: MemoryRegion, ram: MemoryRegion): void {
    const { ramBytes } = this.settings;
    this.host = i440FxNew({ ram, ramBytes, pciMemory });
    objectAddChild(this, 'i440fx', this.host);
    objectUnref(this.host);
    this.realizeOnMainBus(this.host);
    this.pciBus = this.host.bus;
    this.smram = this.smmEnabled ? this.host.bridge.smram : null;
    if (this.smram) objectAddLink(this, 'smram', 'memory-region', { get: () => this.smram as QomObject });
    this.piix3 = part<Piix3>('PIIX3', this.pciBus, { addr: '01.0', multifunction: true });
    this.isaBus = this.piix3.isaBus;
  }

  private realizeOnMainBus(device: Device): void {
    this.mainBus.plug(device);
  }

  private createInterruptControllers(): void {
    const { isaBus } = this;
    part('i8257', isaBus, { base: 0x00, 'page-base': 0x80, 'pageh-base': -1, dshift: 0 });
    part('i8257', isaBus, { base: 0xc0, 'page-base': 0x88, 'pageh-base': -1, dshift: 1 });
    this.interrupts.addPics(isaBus);
    if (this.interrupts.apic) this.mainBus.adopt(this.interrupts.addIoapic(this.host));
  }

  private createIsaDevices(): void {
    const { isaBus, settings } = this;
    const hpet = this.values.hpet ? this.createHpet() : null;
    this.hpet = hpet;
    this.fwCfg.setBytes(FW_CFG.arch | FW_CFG_HPET, hpetConfig(hpet?.blockId ?? null));
    this.rtc = part<Mc146818Rtc>('mc146818rtc', isaBus, { base_year: 0, ...settings.rtcProperties }, (rtc) => {
      rtc.setTimeSource(settings.rtcClock, settings.rtcStartSeconds);
    });
    connect(this.rtc, '', 0, hpet ? inputOf(hpet, '', 1) : isaBus.irq(8));
    objectAddLink(this, 'rtc_state', 'isa-device', { get: () => this.rtc });
    objectAddProperty(this, { name: 'rtc-time', type: 'struct tm', get: () => this.rtc.date() });
    const pit = part('isa-pit', isaBus, { iobase: 0x40 });
    connect(pit, '', 0, hpet ? inputOf(hpet, '', 0) : isaBus.irq(0));
    if (hpet) connect(hpet, '', 0, inputOf(pit, '', 0));
    part('isa-pcspk', isaBus, {}, (speaker) => {
      (speaker as Device & { pit: Device }).pit = pit;
    });
    settings.serials.forEach((chardev, index) => {
      if (chardev !== null && index < SERIAL_PORTS.length) part('isa-serial', isaBus, { index, chardev });
    });
    if (this.values.i8042 !== false) {
      const keyboard = part<I8042>('i8042', isaBus);
      this.mainBus.adopt(keyboard.kbd);
      this.mainBus.adopt(keyboard.mouse);
      connect(keyboard, '', 0, isaBus.irq(IRQ.keyboard));
      connect(keyboard, '', 1, isaBus.irq(12));
      connect(keyboard, 'a20', 0, this.a20Gate());
    }
    const port92 = part('port92', isaBus);
    connect(port92, 'a20', 0, this.a20Gate());
    this.addStubPorts();
  }

  private createHpet(): Hpet {
    const hpet = part<Hpet>('hpet', null, { 'hpet-intcap': 1 << TIMER_PIN });
    this.mainBus.adopt(hpet);
    this.interrupts.gsi.forEach((pin, line) => {
      connect(hpet, 'sysbus-irq', line, pin);
    });
    return hpet;
  }

  private a20Gate(): Pin {
    return {
      set: (level) => {
        if (this.a20 === level > 0) return;
        this.a20 = level > 0;
        this.cpuWires.get('a20')?.set(level);
      },
    };
  }

  /** Port 80h takes diagnostic codes; F0h clears the coprocessor's error latch. Both read as ones. */
  private addStubPorts(): void {
    const { unattached, systemIo } = environment();
    for (const [name, port, ops] of [
      ['ioport80', 0x80, FLOATING_PORT],
      ['ioportF0', 0xf0, COPROCESSOR_PORT],
    ] as const)
      systemIo.addSubregion(port, objectNewAs(MemoryRegion, 'memory-region').initIo(unattached, ops, this, name, 1));
  }

  /** FERR#: an x87 exception while CR0.NE is clear. `isNew`: the unit had none before. */
  coprocessorError(isNew: boolean): void {
    if (isNew) this.ignoresCoprocessor = false;
    if (!this.ignoresCoprocessor) this.isaBus.irq(IRQ.coprocessor).set(1);
  }
  /** A write to port F0h: the interrupt goes, and IGNNE# lets the unit run on until its exceptions are cleared. */
  clearCoprocessorError(): void {
    this.ignoresCoprocessor = true;
    this.isaBus.irq(IRQ.coprocessor).set(0);
  }

  private createIdeAndPower(): void {
    const { pciBus, isaBus } = this;
    const ide = part<Piix3Ide>('piix3-ide', pciBus, { addr: '01.1' });
    PIIX3_IDE_IRQS.forEach((line, channel) => {
      ide.connectIrq(channel, isaBus.irq(line));
    });
    this.settings.attachIdeDrives(ide.childBuses);
    if (this.values.acpi !== 'off') this.power = this.createPower();
  }

  private createPower(): Piix4Pm {
    const { pciBus, isaBus } = this;
    const power = part<Piix4Pm>('PIIX4_PM', pciBus, {
      addr: '01.3',
      smb_io_base: 0xb100,
      'smm-enabled': this.smmEnabled,
    });
    addEeproms(power.i2cBus);
    connect(power, '', 0, isaBus.irq(IRQ.sci));
    connect(power, 'smi-irq', 0, { set: (level) => this.cpuWires.get('smi')?.set(level) });
    this.fwCfg.addFile('etc/system-states', power.sleepTypes());
    return power;
  }

  private createFwCfg(): void {
    const { settings } = this;
    const fw = part<FwCfg>('fw_cfg_io', null, {}, (device) => {
      objectAddChild(this, 'fw_cfg', device);
    });
    this.fwCfg = fw;
    this.mainBus.adopt(fw);
    fw.setBytes(FW_CFG.uuid, settings.uuid);
    fw.addU64(FW_CFG.ramSize, settings.ramBytes);
    fw.addU16(FW_CFG.noGraphic, settings.graphics ? 0 : 1);
    fw.addU16(FW_CFG.cpuCount, settings.cpus);
    fw.addU16(FW_CFG.maxCpus, settings.maxCpus);
    fw.addU16(FW_CFG.bootMenu, settings.bootMenu ? 1 : 0);
    fw.addU32(FW_CFG.arch | 2, 1); // IRQ0 override
    fw.addFile('etc/e820', e820Table(this.below4gBytes, this.above4gBytes, settings.isAmdCpu));
    fw.addFile('etc/boot-fail-wait', int32(settings.rebootTimeoutMs));
    if (settings.bootMenuTimeoutMs >= 0) fw.addFile('etc/boot-menu-wait', int16(settings.bootMenuTimeoutMs));
    const { kernel } = settings;
    if (kernel) {
      for (const [key, value] of kernel.numbers) fw.addU32(key, value);
      for (const [key, bytes] of kernel.blobs) fw.setBytes(key, bytes);
      fw.addFile(`genroms/${kernel.romName}`, kernel.rom);
    }
  }

  /** Everything is there: what depends on all devices. */
  ready(): void {
    const { settings } = this;
    this.fwCfg.setFile('bootorder', settings.bootOrderFile());
    if (this.power)
      addAcpiTables({
        fwCfg: this.fwCfg,
        pciBus: this.pciBus,
        isaBus: this.isaBus,
        power: this.power,
        contents: {
          lowRamEnd: this.below4gBytes,
          highRamBytes: this.above4gBytes,
          cpus: settings.cpus,
          hasApic: this.interrupts.apic !== null,
          hasHpet: this.hpet !== null,
          hasS3: this.power.hasS3,
          s4Type: this.power.s4Type,
          oemId: (this.values['x-oem-id'] as string) ?? '',
          oemTableId: (this.values['x-oem-table-id'] as string) ?? '',
          hpetBlockId: this.hpet?.blockId ?? 0,
        },
      });
    const smbios = smbiosFiles({
      ...settings.smbios,
      product: this.machineClass.description ?? '',
      version: this.machineClass.machineName ?? '',
      uuid: settings.uuid,
      lowRamBytes: this.below4gBytes,
      highRamBytes: this.above4gBytes,
      entryPoint: this.values['smbios-entry-point-type'] as '32' | '64',
      pciAddress: (id) => {
        const device = [...this.pciBus.devices()].find((each) => each.id === id);
        return device ? { bus: 0, devfn: device.devfn } : null;
      },
    });
    this.fwCfg.addFile('etc/smbios/smbios-tables', smbios.tables);
    this.fwCfg.addFile('etc/smbios/smbios-anchor', smbios.anchor);
    const contents: CmosContents = {
      below4gBytes: this.below4gBytes,
      above4gBytes: this.above4gBytes,
      cpus: settings.cpus,
      bootOrder: settings.bootOrder,
      bootStrict: settings.bootStrict,
      floppies: [0, 0],
      hasFpu: true,
      disks: settings.diskGeometries(),
    };
    for (const [register, value] of cmosContents(contents)) this.rtc.setCmos(register, value);
  }

  /** Without ACPI nothing comes of it. */
  pressPowerButton(): void {
    this.power?.pressPowerButton();
  }

  /** `boot_set`, and the return from `-boot once=`. */
  setBootOrder(order: string, isStrict: boolean): void {
    for (const [register, value] of bootCmos(order, isStrict)) this.rtc.setCmos(register, value);
  }

  /** What `info roms` tells of the BIOS. */
  get bios(): { readonly bytes: number; readonly name: string } {
    return { bytes: this.settings.bios.length, name: this.settings.biosName };
  }
  /** What `query-pci` tells. */
  pciInfo(): ReturnType<typeof queryPci> {
    return queryPci(this.pciBus);
  }
}

function int32(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}
function int16(value: number): Uint8Array {
  return new Uint8Array(Int16Array.of(value).buffer);
}

const FLOATING_PORT: MemoryRegionOps<PcMachine> = {
  impl: { max: 1 },
  read: () => 0xff,
  write() {},
};

const COPROCESSOR_PORT: MemoryRegionOps<PcMachine> = {
  ...FLOATING_PORT,
  write: (pc) => pc.clearCoprocessorError(),
};

export const pcMachineType = machineType({
  name: 'pc-i440fx-7.2',
  alias: 'pc',
  description: 'Standard PC (i440FX + PIIX, 1996)',
  isDefault: true,
  maxCpus: 255,
  defaultRamBytes: 128 * KiB * KiB,
  defaultCpuType: 'qemu64',
  defaultDisplay: 'std',
  properties: PROPS,
  class: PcMachine,
});
