/** An ATA channel: two drives that share a task file, a control register and an interrupt. */
import type { TypeInfo } from '../../qom/type.ts';
import { UserError } from '../../util/errors.ts';
import { u8, vmstate } from '../../vmstate/fields.ts';
import { Bus, type Device } from '../core/device.ts';
import type { Pin } from '../core/pin.ts';
import { type DmaEngine, IdeUnit } from './ide-unit.ts';
import { CONTROL, SELECT, STATUS } from './registers.ts';

export const IDE_BUS_STATE = vmstate('ide_bus', 1, { cmd: u8(), unit: u8() });
const UNITS = 2;

export class IdeBus extends Bus {
  readonly units: readonly [IdeUnit, IdeUnit] = [new IdeUnit(this, 0), new IdeUnit(this, 1)];
  readonly state = IDE_BUS_STATE.create();
  /** Position among the controller's channels: serial numbers count through them. */
  number = 0;
  irq: Pin | null = null;
  dma: DmaEngine | null = null;

  get control(): number {
    return this.state.cmd;
  }
  get selected(): IdeUnit {
    return this.units[this.state.unit as 0 | 1];
  }
  /** The unit that a device asks for, or the first free one. @throws UserError in QEMU's words */
  place(wanted: number): IdeUnit {
    const index = wanted === 0xffff_ffff ? (this.units[0].isPresent ? 1 : 0) : wanted;
    const unit = this.units[index];
    if (!unit) throw new UserError(`Can't create IDE unit ${index}, bus supports only ${UNITS} units`);
    if (unit.isPresent) throw new UserError(`IDE unit ${index} is in use`);
    return unit;
  }

  setIrq(): void {
    if (!(this.state.cmd & CONTROL.noInterrupt)) this.irq?.set(1);
  }

  override reset(): void {
    IDE_BUS_STATE.reset(this.state);
    this.dma?.cancel();
    for (const unit of this.units) unit.reset();
    this.irq?.set(0);
  }

  /** Reads of an absent drive give nothing, but for those that drive 1 answers for drive 0. */
  private get isAnswering(): boolean {
    const [master, slave] = this.units;
    return (master.isPresent || slave.isPresent) && (this.selected === master || this.selected.isPresent);
  }
  private get isAnyPresent(): boolean {
    return this.units.some((unit) => unit.isPresent);
  }

  /** Registers 1 to 7 of the command block. */
  read(register: number): number {
    const { state } = this.selected;
    const isHigh = (this.state.cmd & CONTROL.highOrder) !== 0;
    switch (register) {
      case 1:
        return this.isAnswering ? (isHigh ? state.hob_feature : state.error) : 0;
      case 2:
        return this.isAnyPresent ? (isHigh ? state.hob_nsector : state.nsector & 0xff) : 0;
      case 3:
        return this.isAnyPresent ? (isHigh ? state.hob_sector : state.sector) : 0;
      case 4:
        return this.isAnyPresent ? (isHigh ? state.hob_lcyl : state.lcyl) : 0;
      case 5:
        return this.isAnyPresent ? (isHigh ? state.hob_hcyl : state.hcyl) : 0;
      case 6:
        return this.isAnyPresent ? state.select : 0;
      case 7: {
        const status = this.alternateStatus();
        this.irq?.set(0);
        return status;
      }
      default:
        return 0xff;
    }
  }
  alternateStatus(): number {
    return this.isAnswering ? this.selected.state.status : 0;
  }

  write(register: number, value: number): void {
    if (register !== 7 && this.selected.state.status & (STATUS.busy | STATUS.drq)) return;
    this.state.cmd &= ~CONTROL.highOrder;
    for (const { state, index } of this.units) {
      switch (register) {
        case 1:
          state.hob_feature = state.feature;
          state.feature = value;
          break;
        case 2:
          state.hob_nsector = state.nsector & 0xff;
          state.nsector = value;
          break;
        case 3:
          state.hob_sector = state.sector;
          state.sector = value;
          break;
        case 4:
          state.hob_lcyl = state.lcyl;
          state.lcyl = value;
          break;
        case 5:
          state.hob_hcyl = state.hcyl;
          state.hcyl = value;
          break;
        case 6:
          state.select = (value & ~SELECT.unit) | SELECT.fixed | (index ? SELECT.unit : 0);
          break;
      }
    }
    if (register === 6) this.state.unit = value & SELECT.unit ? 1 : 0;
    if (register === 7) {
      this.irq?.set(0);
      this.selected.execute(value);
    }
  }

  /** The device control register. */
  writeControl(value: number): void {
    const was = this.state.cmd;
    this.state.cmd = value;
    if (!(was & CONTROL.softReset) && value & CONTROL.softReset) this.beginSoftReset();
    else if (was & CONTROL.softReset && !(value & CONTROL.softReset)) this.endSoftReset();
  }
  private beginSoftReset(): void {
    this.dma?.cancel();
    for (const unit of this.units) {
      unit.stopTransfers();
      unit.state.status = STATUS.busy | STATUS.seek;
      unit.state.error = 1;
    }
  }
  private endSoftReset(): void {
    this.state.unit = 0;
    for (const unit of this.units) {
      unit.state.status = unit.kind === 'cd' ? 0 : STATUS.ready | STATUS.seek;
      unit.setSignature();
    }
  }

  readData(size: number): number {
    return this.selected.readData(size);
  }
  readDataString(size: number, target: Uint8Array): number {
    return this.selected.readDataString(size, target);
  }
  writeData(value: number, size: number): void {
    this.selected.writeData(value, size);
  }
}

export const ideBusType: TypeInfo = { name: 'IDE', parent: 'bus', instance: IdeBus };

/** The channel that a drive's device is plugged into. */
export function ideBusOf(device: Device): IdeBus {
  return device.parentBus as IdeBus;
}
