/** Local APIC (Intel SDM volume 3A, chapter 10; version 14h): vectors by priority, local vector table, timer, interprocessor
 *  interrupts, xAPIC registers in memory and x2APIC ones as MSRs. Not modelled: another base address than FEE00000h, focus
 *  processors, thermal and performance counter interrupts (their entries hold what is written). */
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { guestError } from '../../util/log.ts';
import { array, i32, i64, timer, u8 as u8Field, u32 as u32Field, vmstate } from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { OutPin, type Pin } from '../core/pin.ts';
import { bool, hidden, properties, u8, u32 } from '../core/properties.ts';
import type { ApicBus, ApicReceiver } from './apic-bus.ts';
import {
  BASE,
  COMMAND,
  clearVector,
  ERROR,
  FIRST_VECTOR,
  hasVector,
  highestVector,
  LVT,
  LVT_BITS,
  LVT_WRITABLE,
  MODE,
  REGISTER,
  SHORTHAND,
  SPURIOUS,
  setVector,
} from './apic-registers.ts';
import { ApicTimer } from './apic-timer.ts';

/** Window of registers and of message-signalled interrupts. */
const WINDOW_BYTES = 0x10_0000;
const PAGE_BYTES = 0x1000;
/** Above PCI's window and below nothing. */
const WINDOW_PRIORITY = 4096;
const ONES = 0xffff_ffff;
const FLAT = 0xf;

const PROPS = properties({ id: hidden(u32(0)), version: u8(0x14), vapic: bool(true, 'on/off') });
const SIPI_STATE = vmstate('apic_sipi', 1, { sipi_vector: i32(), wait_for_sipi: i32() });
const STATE = vmstate(
  'apic',
  3,
  {
    apicbase: u32Field(BASE.address | BASE.enable),
    id: u8Field(),
    arb_id: u8Field(),
    tpr: u8Field(),
    spurious_vec: u32Field(0xff),
    log_dest: u8Field(),
    dest_mode: u8Field(FLAT),
    isr: array(8, u32Field()),
    tmr: array(8, u32Field(0, 'Level-triggered ones of the vectors in irr and isr')),
    irr: array(8, u32Field()),
    lvt: array(LVT.count, u32Field(LVT_BITS.masked)),
    esr: u32Field(),
    icr: array(2, u32Field()),
    divide_conf: u32Field(),
    count_shift: i32(),
    initial_count: u32Field(),
    initial_count_load_time: i64(),
    next_time: i64(),
    timer_expiry: timer(),
  },
  {
    subsections: [
      {
        description: SIPI_STATE,
        needed: (owner) => (owner as { sipiState: { wait_for_sipi: number } }).sipiState.wait_for_sipi !== 0,
        state: (owner) => (owner as { sipiState: Record<string, unknown> }).sipiState,
      },
    ],
  },
);

export class Apic extends Device<typeof PROPS, typeof STATE.fields> implements ApicReceiver {
  /** To the processor: INTR as a level, the others as pulses. */
  readonly intr = new OutPin();
  readonly nmi = new OutPin();
  readonly smi = new OutPin();
  readonly init = new OutPin();
  readonly sipiState = SIPI_STATE.create();
  /** The board's settings: the wire between APICs, what answers an external interrupt's acknowledge cycle, what CPUID offers. */
  bus!: ApicBus;
  acknowledgeExternal: () => number = () => 0xff;
  hasX2apic = false;
  hasDeadline = false;
  isBootstrap = true;
  timer!: ApicTimer;
  private readonly lines = [0, 0];
  /** Errors since the last write to the error status register. */
  private errors = 0;

  override realize(): void {
    this.bus.receivers.push(this);
    this.timer = new ApicTimer(
      this.env.clocks.virtual,
      () => this.state,
      () => this.deliverLocal(LVT.timer),
    );
    const window = objectNewAs(MemoryRegion, 'memory-region').initIo(this, WINDOW_OPS, this, 'apic-msi', WINDOW_BYTES);
    this.env.systemMemory.addSubregion(BASE.address, window, WINDOW_PRIORITY);
  }

  override reset(): void {
    super.reset();
    this.state.apicbase = (BASE.address | BASE.enable | (this.isBootstrap ? BASE.bootstrap : 0)) >>> 0;
    this.settle();
  }
  /** What power-on and INIT have in common: identity and base stay. */
  private settle(): void {
    const { state } = this;
    state.id = this.props.id;
    state.arb_id = this.props.id;
    this.sipiState.wait_for_sipi = this.isBootstrap ? 0 : 1;
    this.errors = 0;
    this.timer.reset();
    this.update();
  }
  private initialize(): void {
    const { apicbase } = this.state;
    STATE.reset(this.state);
    this.state.apicbase = apicbase;
    this.settle();
  }
  postLoad(): void {
    this.timer.restore();
    this.update();
  }

  // -- the processor's side ------------------------------------------------------------------------------------------

  get isEnabled(): boolean {
    return (this.state.apicbase & BASE.enable) !== 0;
  }
  get isX2apic(): boolean {
    return (this.state.apicbase & BASE.x2apic) !== 0;
  }
  private get isSoftwareEnabled(): boolean {
    return (this.state.spurious_vec & SPURIOUS.enable) !== 0;
  }

  /** WRMSR to IA32_APIC_BASE (SDM volume 3A sections 10.4.3 and 10.12.5). False: not allowed, #GP. */
  writeBase(value: number): boolean {
    const { state } = this;
    const low = (value % 2 ** 32) >>> 0;
    const enable = low & BASE.enable;
    const extended = low & BASE.x2apic;
    if (low & BASE.reserved || value >= 2 ** 52 || (extended && !(this.hasX2apic && enable))) return false;
    // x2APIC mode is entered from xAPIC mode, and left only by disabling.
    if (extended && !this.isEnabled) return false;
    if (this.isX2apic && enable && !extended) return false;
    if (value - (low & 0xfff) !== BASE.address)
      guestError('apic', () => `base 0x${value.toString(16)}: registers stay at FEE00000h`);
    if (this.isEnabled && !enable) {
      state.apicbase = (state.apicbase & ~(BASE.enable | BASE.x2apic)) >>> 0;
      this.initialize();
    } else state.apicbase = (BASE.address | (low & BASE.bootstrap) | enable | extended) >>> 0;
    this.update();
    return true;
  }

  /** INTA cycle. */
  acknowledge(): number {
    if (!this.isEnabled) return this.acknowledgeExternal();
    const vector = this.pendingVector();
    if (vector >= 0) {
      clearVector(this.state.irr, vector);
      setVector(this.state.isr, vector);
      this.update();
      return vector;
    }
    if (this.externalWaits) return this.acknowledgeExternal();
    return this.state.spurious_vec & 0xff;
  }

  get taskPriority(): number {
    return this.state.tpr;
  }
  /** Also MOV to CR8, whose four bits are the upper half. */
  setTaskPriority(value: number): void {
    this.state.tpr = value & 0xff;
    this.update();
  }
  get processorPriority(): number {
    const { tpr, isr } = this.state;
    const inService = highestVector(isr);
    return inService < 0 || tpr >>> 4 >= inService >>> 4 ? tpr : inService & 0xf0;
  }
  get arbitrationPriority(): number {
    const { tpr, isr, irr } = this.state;
    const highest = Math.max(highestVector(isr), highestVector(irr), 0) & 0xf0;
    return (tpr & 0xf0) >= highest ? tpr : highest;
  }

  /** The vector that the processor should take; -1 for none. */
  private pendingVector(): number {
    const vector = highestVector(this.state.irr);
    return vector >>> 4 > this.processorPriority >>> 4 && vector >= 0 ? vector : -1;
  }
  private get externalWaits(): boolean {
    const entry = this.state.lvt[LVT.lint0]!;
    return (
      this.lines[0] !== 0 && (entry & LVT_BITS.masked) === 0 && ((entry >>> LVT_BITS.modeShift) & 7) === MODE.extInt
    );
  }
  private update(): void {
    const isHigh = this.isEnabled
      ? (this.isSoftwareEnabled && this.pendingVector() >= 0) || this.externalWaits
      : this.lines[0] !== 0;
    const level = isHigh ? 1 : 0;
    if (level !== this.intr.level) this.intr.set(level);
  }

  // -- interrupts in ---------------------------------------------------------------------------------------------------

  /** LINT0, where a PC has its 8259s, and LINT1, its NMI. */
  readonly lint: readonly Pin[] = [0, 1].map((index) => ({ set: (level) => this.setLine(index, level) }));

  private setLine(index: number, level: number): void {
    const before = this.lines[index];
    this.lines[index] = level ? 1 : 0;
    if (before === this.lines[index]) return;
    if (!this.isEnabled) {
      if (index === 1 && level) this.nmi.pulse();
      this.update();
      return;
    }
    const entry = this.state.lvt[LVT.lint0 + index]!;
    const isActive = (entry & LVT_BITS.activeLow) !== 0 ? !level : level !== 0;
    if (isActive) this.deliverLocal(LVT.lint0 + index);
    this.update();
  }

  /** An entry of the local vector table has its event. */
  private deliverLocal(index: number): void {
    const { lvt } = this.state;
    const entry = lvt[index]!;
    if (entry & LVT_BITS.masked) return;
    const mode = (entry >>> LVT_BITS.modeShift) & 7;
    const isLint = index === LVT.lint0 || index === LVT.lint1;
    if (mode === MODE.extInt) {
      this.update();
      return;
    }
    const isLevel = isLint && mode === MODE.fixed && (entry & LVT_BITS.level) !== 0;
    if (isLevel) {
      if (entry & LVT_BITS.remoteIrr) return;
      lvt[index] = (entry | LVT_BITS.remoteIrr) >>> 0;
    }
    this.receive(mode, entry & 0xff, isLevel);
  }

  isDestination(destination: number, isLogical: boolean): boolean {
    const { state } = this;
    if (!this.isEnabled) return false;
    if (this.isX2apic) {
      if (destination === ONES || destination === 0xff) return true;
      if (!isLogical) return destination === this.props.id;
      return destination >>> 16 === this.props.id >>> 4 && ((destination >>> (this.props.id & 15)) & 1) !== 0;
    }
    if (!isLogical) return destination === 0xff || destination === state.id;
    if (state.dest_mode === FLAT) return (destination & state.log_dest) !== 0;
    return (
      ((destination ^ state.log_dest) & 0xf0) === 0 && (destination & state.log_dest & 0x0f) !== 0 // cluster model
    );
  }

  receive(mode: number, vector: number, isLevel: boolean): void {
    switch (mode) {
      case MODE.fixed:
      case MODE.lowestPriority:
        this.request(vector, isLevel);
        break;
      case MODE.smi:
        this.smi.pulse();
        break;
      case MODE.nmi:
        this.nmi.pulse();
        break;
      case MODE.init:
        this.initialize();
        this.init.pulse();
        break;
      case MODE.startUp: // only a processor that waits for it takes it, and the first one never does
        break;
      case MODE.extInt:
        this.update();
        break;
    }
  }
  private request(vector: number, isLevel: boolean): void {
    const { state } = this;
    if (!this.isSoftwareEnabled) return;
    if (vector < FIRST_VECTOR) {
      this.noteError(ERROR.receiveVector);
      return;
    }
    setVector(state.irr, vector);
    if (isLevel) setVector(state.tmr, vector);
    else clearVector(state.tmr, vector);
    this.update();
  }
  private noteError(error: number): void {
    const isNew = (this.errors & error) === 0;
    this.errors |= error;
    // An illegal vector in the error entry itself must not run in circles.
    if (isNew && (this.state.lvt[LVT.error]! & 0xff) >= FIRST_VECTOR) this.deliverLocal(LVT.error);
  }

  private endOfInterrupt(): void {
    const { state } = this;
    const vector = highestVector(state.isr);
    if (vector < 0) return;
    clearVector(state.isr, vector);
    if (hasVector(state.tmr, vector)) {
      this.endLevelInputs(vector);
      this.bus.onEndOfInterrupt(vector);
    }
    this.update();
  }
  private endLevelInputs(vector: number): void {
    const { lvt } = this.state;
    for (const index of [LVT.lint0, LVT.lint1]) {
      const entry = lvt[index]!;
      if (!(entry & LVT_BITS.remoteIrr) || (entry & 0xff) !== vector) continue;
      lvt[index] = (entry & ~LVT_BITS.remoteIrr) >>> 0;
      const isActive = ((entry & LVT_BITS.activeLow) !== 0) !== (this.lines[index - LVT.lint0] !== 0);
      if (isActive) this.deliverLocal(index);
    }
  }

  // -- interrupts out --------------------------------------------------------------------------------------------------

  private sendCommand(): void {
    const { state } = this;
    const command = state.icr[0]!;
    const mode = (command >>> 8) & 7;
    const vector = command & 0xff;
    const isLevel = (command & COMMAND.level) !== 0;
    // INIT with level de-assert only synchronized arbitration numbers, long ago.
    if (mode === MODE.init && isLevel && !(command & COMMAND.assert)) return;
    if ((mode === MODE.fixed || mode === MODE.lowestPriority) && vector < FIRST_VECTOR) {
      this.noteError(ERROR.sendVector);
      return;
    }
    switch ((command >>> COMMAND.shorthandShift) & 3) {
      case SHORTHAND.none: {
        const destination = this.isX2apic ? state.icr[1]! : state.icr[1]! >>> 24;
        // Interprocessor interrupts are edges, whatever the bit says (SDM volume 3A section 10.6.1).
        this.bus.send(destination, (command & COMMAND.logical) !== 0, mode, vector, false);
        break;
      }
      case SHORTHAND.self:
        if (mode === MODE.fixed) this.request(vector, false);
        break;
      case SHORTHAND.all:
        this.bus.sendToAll(null, mode, vector, false);
        break;
      case SHORTHAND.others:
        this.bus.sendToAll(this, mode, vector, false);
        break;
    }
  }

  /** The self interrupt of x2APIC mode. */
  interruptSelf(vector: number): void {
    if (vector < FIRST_VECTOR) this.noteError(ERROR.sendVector);
    else this.request(vector, false);
  }

  // -- registers -------------------------------------------------------------------------------------------------------

  /** A register by its index, in either mode. */
  readRegister(index: number): number {
    const { state } = this;
    if (index >= REGISTER.inService && index < REGISTER.errorStatus) {
      const words = index < REGISTER.triggerMode ? state.isr : index < REGISTER.request ? state.tmr : state.irr;
      return words[index & 7]!;
    }
    if (index >= REGISTER.localVectors && index < REGISTER.initialCount)
      return state.lvt[index - REGISTER.localVectors]!;
    switch (index) {
      case REGISTER.id:
        return this.isX2apic ? this.props.id : (state.id << 24) >>> 0;
      case REGISTER.version:
        return this.props.version | ((LVT.count - 1) << 16);
      case REGISTER.taskPriority:
        return state.tpr;
      case REGISTER.arbitrationPriority:
        return this.arbitrationPriority;
      case REGISTER.processorPriority:
        return this.processorPriority;
      case REGISTER.endOfInterrupt:
        return 0;
      case REGISTER.logicalDestination:
        if (this.isX2apic) return (((this.props.id >>> 4) << 16) | (1 << (this.props.id & 15))) >>> 0;
        return (state.log_dest << 24) >>> 0;
      case REGISTER.destinationFormat:
        return ((state.dest_mode << 28) | 0x0fff_ffff) >>> 0;
      case REGISTER.spuriousVector:
        return state.spurious_vec;
      case REGISTER.errorStatus:
        return state.esr;
      case REGISTER.command:
        return state.icr[0]!;
      case REGISTER.commandHigh:
        return state.icr[1]!;
      case REGISTER.initialCount:
        return state.initial_count;
      case REGISTER.currentCount:
        return this.timer.currentCount;
      case REGISTER.divide:
        return state.divide_conf;
      default:
        this.noteError(ERROR.register);
        return 0;
    }
  }

  writeRegister(index: number, value: number): void {
    const { state } = this;
    if (index >= REGISTER.localVectors && index < REGISTER.initialCount) {
      this.writeLocalVector(index - REGISTER.localVectors, value);
      return;
    }
    switch (index) {
      case REGISTER.id:
        state.id = value >>> 24;
        break;
      case REGISTER.taskPriority:
        this.setTaskPriority(value);
        break;
      case REGISTER.endOfInterrupt:
        this.endOfInterrupt();
        break;
      case REGISTER.logicalDestination:
        state.log_dest = value >>> 24;
        break;
      case REGISTER.destinationFormat:
        state.dest_mode = value >>> 28;
        break;
      case REGISTER.spuriousVector:
        this.writeSpurious(value & SPURIOUS.writable);
        break;
      case REGISTER.errorStatus:
        state.esr = this.errors;
        this.errors = 0;
        break;
      case REGISTER.command:
        state.icr[0] = value & COMMAND.writable;
        this.sendCommand();
        break;
      case REGISTER.commandHigh:
        state.icr[1] = this.isX2apic ? value : (value & 0xff00_0000) >>> 0;
        break;
      case REGISTER.initialCount:
        this.timer.writeInitialCount(value);
        break;
      case REGISTER.divide:
        this.timer.writeDivide(value);
        break;
      case REGISTER.version:
      case REGISTER.arbitrationPriority:
      case REGISTER.processorPriority:
      case REGISTER.currentCount:
        break; // read-only
      default:
        this.noteError(ERROR.register);
    }
  }
  private writeSpurious(value: number): void {
    const { state } = this;
    state.spurious_vec = value;
    // Disabled by software: every entry is masked and stays so (SDM volume 3A section 10.4.7.2).
    if (!this.isSoftwareEnabled) state.lvt = state.lvt.map((entry) => (entry | LVT_BITS.masked) >>> 0);
    this.update();
  }
  private writeLocalVector(index: number, value: number): void {
    const { state } = this;
    const { mode } = this.timer;
    let writable: number = LVT_WRITABLE[index]!;
    if (index === LVT.timer && !this.hasDeadline) writable &= ~(2 << LVT_BITS.timerModeShift);
    let next = (value & writable) | (state.lvt[index]! & LVT_BITS.remoteIrr);
    if (!(next & LVT_BITS.level)) next &= ~LVT_BITS.remoteIrr;
    if (!this.isSoftwareEnabled) next |= LVT_BITS.masked;
    state.lvt[index] = next >>> 0;
    if (index === LVT.timer) this.timer.modeChanged(mode);
    // A level that stands already is seen by an entry that starts to look.
    const line = index - LVT.lint0;
    if ((line === 0 || line === 1) && this.lines[line] && next & LVT_BITS.level) this.deliverLocal(index);
    this.update();
  }

  readWindow(offset: number, size: number): number {
    if (offset >= PAGE_BYTES || !this.isEnabled || this.isX2apic || size !== 4 || (offset & 15) !== 0)
      return size === 4 ? ONES : 0;
    return this.readRegister(offset >>> 4);
  }
  writeWindow(offset: number, value: number, size: number): void {
    if (size !== 4) return;
    // Registers start at 20h: what lies below is the message window of the processor with ID 0.
    if (offset >= PAGE_BYTES || offset < 0x10 || !this.isEnabled || this.isX2apic) this.bus.sendMsi(offset, value);
    else if ((offset & 15) === 0) this.writeRegister(offset >>> 4, value >>> 0);
  }
}

const WINDOW_OPS: MemoryRegionOps<Apic> = {
  read: (apic, offset, size) => apic.readWindow(offset, size),
  write: (apic, offset, value, size) => apic.writeWindow(offset, value, size),
  valid: { min: 1, max: 4 },
  impl: { min: 1, max: 4 },
};

export const apicCommonType = deviceType({ name: 'apic-common', abstract: true, userCreatable: false });
export const apicType = deviceType({
  name: 'apic',
  parent: 'apic-common',
  class: Apic,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
