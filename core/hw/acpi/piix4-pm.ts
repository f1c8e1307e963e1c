/** Power management function of the PIIX4 (82371AB data sheet 290562), as QEMU puts it beside a PIIX3: ACPI registers, SMI command ports, SMBus. Not modelled: hot-plug of PCI devices, CPUs and memory; device monitors and clock control of configuration space. */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { array, i64, struct, timer, u8 as u8Field, u16, u32 as u32Field, vmstate } from '../../vmstate/fields.ts';
import { busNew } from '../core/device.ts';
import { bool, properties, u8, u32 } from '../core/properties.ts';
import { PciDevice, pciDeviceState, pciDeviceType, REG, STATUS } from '../pci/pci-device.ts';
import {
  type AcpiChip,
  AcpiRegisters,
  type AcpiState,
  CONTROL_OPS,
  EVENT_OPS,
  GPE_OPS,
  TIMER_OPS,
} from './acpi-registers.ts';
import { SMB_STATE, SMBUS_OPS, SmbusController } from './pm-smbus.ts';
import { I2cBus, smbusTypes } from './smbus.ts';

const CONFIG = { pmBase: 0x40, deviceActivityB: 0x5b, pmEnable: 0x80, smbBase: 0x90, smbEnable: 0xd2 } as const;
const IO_SPACE = 0x01;
const BASE_MASK = 0xffc0;
/** Bit of DEVACTB that lets a write to the command port raise SMI. */
const APMC_SMI = 0x02;
const SMBUS_ON = 0x09;
const APM_PORT = 0xb2;
const ACPI_COMMAND = { on: 0xf1, off: 0xf0 } as const;
const GPE_PORT = 0xafe0;
const BLOCK_BYTES = 64;
const SLEEP = { soft: 0, suspend: 1 } as const;
const PCI_BUSES = 256;

const PROPS = properties({
  smb_io_base: u32(0),
  disable_s3: u8(0),
  disable_s4: u8(0),
  s4_val: u8(2),
  'acpi-pci-hotplug-with-bridge-support': bool(true),
  'acpi-root-pci-hotplug': bool(true),
  'memory-hotplug-support': bool(true),
  'smm-compat': bool(false),
  'smm-enabled': bool(false),
  'x-not-migrate-acpi-index': bool(false),
});
const APM_STATE = vmstate('APM State', 1, { apmc: u8Field(), apms: u8Field() });
const GPE_STATE = vmstate('gpe', 1, { sts: u16(), en: u16() });
const HOTPLUG_STATE = vmstate('acpi_pcihp_pci_status', 1, { up: u32Field(), down: u32Field() });
const STATE = vmstate('piix4_pm', 3, {
  parent_obj: pciDeviceState(),
  'ar.pm1.evt.sts': u16(),
  'ar.pm1.evt.en': u16(),
  'ar.pm1.cnt.cnt': u16(),
  apm: struct(APM_STATE),
  smb: struct(SMB_STATE),
  'ar.tmr.timer': timer(),
  'ar.tmr.overflow_time': i64(),
  'ar.gpe': struct(GPE_STATE),
  'acpi_pci_hotplug.hotplug_select': u32Field(),
  'acpi_pci_hotplug.acpi_pcihp_pci_status': array(PCI_BUSES, struct(HOTPLUG_STATE)),
  'acpi_pci_hotplug.acpi_index': u32Field(),
});

export class Piix4Pm extends PciDevice<typeof PROPS, typeof STATE.fields> implements AcpiChip {
  readonly smi = this.outPin('smi-irq');
  readonly sci = this.outPin('');
  acpi!: AcpiRegisters;
  i2cBus!: I2cBus;
  private pmSpace!: MemoryRegion;
  private smbusSpace!: MemoryRegion;

  get acpiState(): AcpiState {
    return this.state as AcpiState;
  }
  setSci(level: number): void {
    this.sci.set(level);
  }

  override realize(): void {
    super.realize();
    const { config, env, props } = this;
    this.setConfigWord(REG.status, STATUS.fastBack | STATUS.devselMedium);
    config[REG.interruptPin] = 1;
    this.acpi = new AcpiRegisters(this, env);
    const region = () => objectNewAs(MemoryRegion, 'memory-region');
    this.pmSpace = region().initContainer(this, 'piix4-pm', BLOCK_BYTES);
    this.pmSpace.setEnabled(false);
    this.pmSpace.addSubregion(0, region().initIo(this, EVENT_OPS, this.acpi, 'acpi-evt', 4));
    this.pmSpace.addSubregion(4, region().initIo(this, CONTROL_OPS, this.acpi, 'acpi-cnt', 2));
    this.pmSpace.addSubregion(8, region().initIo(this, TIMER_OPS, this.acpi, 'acpi-tmr', 4));
    env.systemIo.addSubregion(0, this.pmSpace);
    this.mapPorts(APM_PORT, 2, APM_OPS, 'apm-io');
    env.systemIo.addSubregion(GPE_PORT, region().initIo(this, GPE_OPS, this.acpi, 'acpi-gpe0', 4));
    this.i2cBus = busNew(I2cBus, 'i2c-bus', this, 'i2c');
    const controller = new SmbusController(this.i2cBus, () => this.state.smb);
    this.smbusSpace = region().initIo(this, SMBUS_OPS, controller, 'pm-smbus', BLOCK_BYTES);
    this.setConfigLong(CONFIG.smbBase, (props.smb_io_base & BASE_MASK) | IO_SPACE);
    config[CONFIG.smbEnable] = SMBUS_ON;
    env.systemIo.addSubregion(props.smb_io_base & BASE_MASK, this.smbusSpace);
  }

  override reset(): void {
    super.reset();
    const { config } = this;
    config.fill(0, 0x58, 0x5c);
    this.setConfigLong(CONFIG.pmBase, IO_SPACE);
    config[CONFIG.pmEnable] = 0;
    if (!this.props['smm-enabled']) config[CONFIG.deviceActivityB] = APMC_SMI;
    const hasPort = (port: number) => (this.env.io.find(port)?.region ?? this.env.systemIo) !== this.env.systemIo;
    config[0x5f] = 0x10 | (hasPort(0x378) ? 0x80 : 0);
    config[0x63] = 0x60;
    config[0x67] = (hasPort(0x3f8) ? 0x08 : 0) | (hasPort(0x2f8) ? 0x90 : 0);
    this.acpi.reset();
    this.updateSpaces();
  }
  override postLoad(): void {
    super.postLoad();
    this.updateSpaces();
    this.acpi.update();
  }
  override writeConfig(offset: number, value: number, length: number): void {
    super.writeConfig(offset, value, length);
    this.updateSpaces();
  }
  private updateSpaces(): void {
    const { config } = this;
    config[CONFIG.pmBase] = config[CONFIG.pmBase]! | IO_SPACE;
    this.pmSpace.setAddress(this.configWord(CONFIG.pmBase) & BASE_MASK);
    this.pmSpace.setEnabled((config[CONFIG.pmEnable]! & 1) !== 0);
    this.smbusSpace.setAddress(this.configWord(CONFIG.smbBase) & BASE_MASK);
    this.smbusSpace.setEnabled((config[CONFIG.smbEnable]! & 1) !== 0);
  }

  get hasS3(): boolean {
    return this.props.disable_s3 === 0;
  }
  /** Sleep type of S4; null if the guest is not to know of it. */
  get s4Type(): number | null {
    return this.props.disable_s4 === 0 ? this.props.s4_val : null;
  }
  /** The sleep type of each state from S0 to S5 as the firmware is told it, with bit 7 where the state is there. */
  sleepTypes(): Uint8Array {
    const { s4_val } = this.props;
    const there = (isThere: boolean) => (isThere ? 0x80 : 0);
    const s3 = SLEEP.suspend | there(this.hasS3);
    return Uint8Array.of(there(true), 0, 0, s3, s4_val | there(this.s4Type !== null), SLEEP.soft | there(true));
  }

  pressPowerButton(): void {
    this.acpi.pressPowerButton();
  }
  sleep(type: number): void {
    const { env, props } = this;
    // `disable_s3` and `disable_s4` keep the guest from knowing, not from doing.
    if (type === SLEEP.soft) env.requestShutdown('guest-shutdown');
    else if (type === SLEEP.suspend) env.requestSuspend();
    else if (type === props.s4_val) {
      env.emit('SUSPEND_DISK', {});
      env.requestShutdown('guest-shutdown');
    }
  }
  /** A write to the SMI command port. */
  writeCommand(value: number): void {
    this.state.apm.apmc = value;
    if (value === ACPI_COMMAND.on || value === ACPI_COMMAND.off) this.acpi.setAcpiEnabled(value === ACPI_COMMAND.on);
    if (this.config[CONFIG.deviceActivityB]! & APMC_SMI) this.smi.raise();
  }
}

const APM_OPS: MemoryRegionOps<Piix4Pm> = {
  impl: { min: 1, max: 1 },
  read: (chip, offset) => (offset === 0 ? chip.state.apm.apmc : chip.state.apm.apms),
  write(chip, offset, value) {
    if (offset === 0) chip.writeCommand(value);
    else chip.state.apm.apms = value;
  },
};

const piix4PmType = pciDeviceType({
  name: 'PIIX4_PM',
  description: 'PM',
  category: 'bridge',
  userCreatable: false,
  hotpluggable: false,
  class: Piix4Pm,
  properties: PROPS,
  vmstate: STATE,
  pci: { vendorId: 0x8086, deviceId: 0x7113, revision: 3, classId: 0x0680 },
});
export const piix4PmTypes = [...smbusTypes, piix4PmType];
