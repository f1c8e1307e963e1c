/**
 * Intel 8259A interrupt controller (data sheet 231468) with the PC's edge/level control register.
 * Not modelled: 8080 mode, ICW1's LTIM (the ELCR chooses per line), slaves on another line than 2 (ICW3 is accepted and ignored).
 */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { unimplemented } from '../../util/log.ts';
import { u8 as u8Field, vmstate } from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { bool, properties, u8, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const ICW1 = { init: 0x10, level: 0x08, single: 0x02, needsIcw4: 0x01 } as const;
const ICW4 = { specialFullyNested: 0x10, autoEoi: 0x02 } as const;
const OCW3 = { isOcw3: 0x08, poll: 0x04, readRegister: 0x02, selectIsr: 0x01, setMask: 0x40, mask: 0x20 } as const;
/** OCW2's command, its three high bits. */
const OCW2 = {
  clearRotateOnAutoEoi: 0,
  eoi: 1,
  specificEoi: 3,
  setRotateOnAutoEoi: 4,
  rotateOnEoi: 5,
  setPriority: 6,
  rotateOnSpecificEoi: 7,
} as const;
/** What a write to the second port means: values of `init_state`. */
const EXPECTS = { ocw1: 0, icw2: 1, icw3: 2, icw4: 3 } as const;
const CASCADE_LINE = 2;
const SPURIOUS_LINE = 7;
const POLL_PENDING = 0x80;
const NO_PRIORITY = 8;

const PROPS = properties({
  iobase: u32(0xffff_ffff),
  elcr_addr: u32(0xffff_ffff),
  elcr_mask: u8(0xff),
  master: bool(false, 'on/off'),
});
const STATE = vmstate('i8259', 1, {
  last_irr: u8Field(0, 'Levels of the inputs, for finding edges'),
  irr: u8Field(),
  imr: u8Field(),
  isr: u8Field(),
  priority_add: u8Field(0, 'Line of the highest priority'),
  irq_base: u8Field(),
  read_reg_select: u8Field(0, 'First port reads ISR rather than IRR'),
  poll: u8Field(),
  special_mask: u8Field(),
  init_state: u8Field(),
  auto_eoi: u8Field(),
  rotate_on_auto_eoi: u8Field(),
  special_fully_nested_mode: u8Field(),
  init4: u8Field(),
  single_mode: u8Field(),
  elcr: u8Field(),
});

export class I8259 extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  /** INT. */
  readonly int = this.outPin();
  readonly ir = this.inPin('', 8, (level, line) => this.setLine(line, level));
  /** The controller on line 2 of a master; the board sets it. */
  cascade: I8259 | null = null;

  override realize(): void {
    this.mapPorts(this.props.iobase, 2, PORTS, 'pic');
    if (this.props.elcr_addr !== 0xffff_ffff) this.mapPorts(this.props.elcr_addr, 1, ELCR_PORT, 'elcr');
  }

  override reset(): void {
    super.reset();
    this.update();
  }

  private setLine(line: number, level: number): void {
    const { state } = this;
    const bit = 1 << line;
    const isLevel = (state.elcr & bit) !== 0;
    if (level) {
      if (isLevel || !(state.last_irr & bit)) state.irr |= bit;
      state.last_irr |= bit;
    } else {
      if (isLevel) state.irr &= ~bit;
      state.last_irr &= ~bit;
    }
    this.update();
  }

  /** How far a set's best line is from the top; 8 for an empty set. */
  private priorityOf(lines: number): number {
    for (let priority = 0; priority < NO_PRIORITY; priority++)
      if (lines & (1 << ((priority + this.state.priority_add) & 7))) return priority;
    return NO_PRIORITY;
  }

  /** The line that INT stands for, null when there is none. */
  get pendingLine(): number | null {
    const { state } = this;
    const requested = this.priorityOf(state.irr & ~state.imr);
    if (requested === NO_PRIORITY) return null;
    let inService = state.isr;
    if (state.special_mask) inService &= ~state.imr;
    if (state.special_fully_nested_mode && this.props.master) inService &= ~(1 << CASCADE_LINE);
    return requested < this.priorityOf(inService) ? (requested + state.priority_add) & 7 : null;
  }

  private update(): void {
    this.int.set(this.pendingLine === null ? 0 : 1);
  }

  /** The interrupt acknowledge cycle, asked of the master: returns the vector. Nothing pending any more gives line 7, as the part does. */
  acknowledge(): number {
    const line = this.takeLine();
    if (line === CASCADE_LINE && this.cascade) return this.cascade.acknowledge();
    return this.state.irq_base + (line ?? SPURIOUS_LINE);
  }

  private takeLine(): number | null {
    const line = this.pendingLine;
    if (line !== null) {
      const { state } = this;
      const bit = 1 << line;
      if (!state.auto_eoi) state.isr |= bit;
      else if (state.rotate_on_auto_eoi) state.priority_add = (line + 1) & 7;
      if (!(state.elcr & bit)) state.irr &= ~bit;
      // INT falls during the cycle, so that a master sees an edge for what is still pending.
      this.int.lower();
    }
    this.update();
    return line;
  }

  readPort(port: number): number {
    const { state } = this;
    if (state.poll) {
      state.poll = 0;
      const line = this.takeLine();
      return line === null ? 0 : line | POLL_PENDING;
    }
    if (port === 1) return state.imr;
    return state.read_reg_select ? state.isr : state.irr;
  }

  writePort(port: number, value: number): void {
    if (port === 1) this.writeData(value);
    else if (value & ICW1.init) this.beginInit(value);
    else if (value & OCW3.isOcw3) this.writeOcw3(value);
    else this.writeOcw2(value);
    this.update();
  }

  private beginInit(icw1: number): void {
    const { state } = this;
    const keep = { irr: state.irr & state.elcr, elcr: state.elcr };
    STATE.reset(state);
    Object.assign(state, keep);
    if (icw1 & ICW1.level) unimplemented(this.typeName, 'ICW1 LTIM');
    state.init_state = EXPECTS.icw2;
    state.init4 = icw1 & ICW1.needsIcw4;
    state.single_mode = (icw1 & ICW1.single) >> 1;
  }

  private writeData(value: number): void {
    const { state } = this;
    const afterIcw3 = state.init4 ? EXPECTS.icw4 : EXPECTS.ocw1;
    switch (state.init_state) {
      case EXPECTS.icw2:
        state.irq_base = value & 0xf8;
        state.init_state = state.single_mode ? afterIcw3 : EXPECTS.icw3;
        break;
      case EXPECTS.icw3:
        state.init_state = afterIcw3;
        break;
      case EXPECTS.icw4:
        state.special_fully_nested_mode = value & ICW4.specialFullyNested ? 1 : 0;
        state.auto_eoi = value & ICW4.autoEoi ? 1 : 0;
        state.init_state = EXPECTS.ocw1;
        break;
      default:
        state.imr = value;
    }
  }

  private writeOcw3(value: number): void {
    const { state } = this;
    if (value & OCW3.poll) state.poll = 1;
    if (value & OCW3.readRegister) state.read_reg_select = value & OCW3.selectIsr;
    if (value & OCW3.setMask) state.special_mask = value & OCW3.mask ? 1 : 0;
  }

  private writeOcw2(value: number): void {
    const { state } = this;
    const named = value & 7;
    switch (value >> 5) {
      case OCW2.clearRotateOnAutoEoi:
        state.rotate_on_auto_eoi = 0;
        break;
      case OCW2.setRotateOnAutoEoi:
        state.rotate_on_auto_eoi = 1;
        break;
      case OCW2.eoi:
      case OCW2.rotateOnEoi: {
        // In special mask mode a masked line stays in service.
        const priority = this.priorityOf(state.special_mask ? state.isr & ~state.imr : state.isr);
        if (priority === NO_PRIORITY) break;
        const line = (priority + state.priority_add) & 7;
        state.isr &= ~(1 << line);
        if (value >> 5 === OCW2.rotateOnEoi) state.priority_add = (line + 1) & 7;
        break;
      }
      case OCW2.specificEoi:
        state.isr &= ~(1 << named);
        break;
      case OCW2.setPriority:
        state.priority_add = (named + 1) & 7;
        break;
      case OCW2.rotateOnSpecificEoi:
        state.isr &= ~(1 << named);
        state.priority_add = (named + 1) & 7;
        break;
    }
  }

  writeElcr(value: number): void {
    this.state.elcr = value & this.props.elcr_mask;
  }

  /** One line of `info pic`. */
  infoLine(): string {
    const s = this.state;
    const two = (value: number) => value.toString(16).padStart(2, '0');
    return (
      `pic${this.props.master ? 0 : 1}: irr=${two(s.irr)} imr=${two(s.imr)} isr=${two(s.isr)} hprio=${s.priority_add} ` +
      `irq_base=${two(s.irq_base)} rr_sel=${s.read_reg_select} elcr=${two(s.elcr)} fnm=${s.special_fully_nested_mode}`
    );
  }
}

const BYTES = { min: 1, max: 1 } as const;
const PORTS: MemoryRegionOps<I8259> = {
  impl: BYTES,
  read: (pic, port) => pic.readPort(port),
  write: (pic, port, value) => pic.writePort(port, value),
};
const ELCR_PORT: MemoryRegionOps<I8259> = {
  impl: BYTES,
  read: (pic) => pic.state.elcr,
  write: (pic, _, value) => pic.writeElcr(value),
};

export const picCommonType = deviceType({
  name: 'pic-common',
  parent: 'isa-device',
  abstract: true,
  userCreatable: false,
});
export const i8259Type = deviceType({
  name: 'isa-i8259',
  parent: 'pic-common',
  class: I8259,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
export const i8259Types = [picCommonType, i8259Type];
