/** High precision event timers (IA-PC HPET specification 1.0a): a counter of 100 MHz and comparators, of which two can take the places
 *  of the 8254 and of the clock chip. Values of the counter are exact below 2^53. Not modelled: a one-shot comparator of 32 bits
 *  matches once, not again when the counter wraps. */
import type { Timer } from '../../clock/clock.ts';
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import {
  array,
  type Halves,
  halves64,
  since,
  struct,
  timer,
  u8 as u8Field,
  u64,
  vmstate,
} from '../../vmstate/fields.ts';
import { Device, deviceType } from '../core/device.ts';
import { bool, properties, u8, u32 } from '../core/properties.ts';

export const HPET_BASE = 0xfed0_0000;
const WINDOW_BYTES = 0x400;
const TICK_NS = 10;
const TICK_FS = TICK_NS * 1_000_000;
const MIN_TIMERS = 3;
const MAX_TIMERS = 32;
const TWO32 = 2 ** 32;
const REGISTER = { capabilities: 0x00, config: 0x10, status: 0x20, counter: 0xf0, timers: 0x100 } as const;
const CONFIG = { enable: 1, legacy: 2 } as const;
const TIMER_REGISTER = { config: 0x00, comparator: 0x08, message: 0x10, bytes: 0x20 } as const;
const TIMER = {
  level: 1 << 1,
  enable: 1 << 2,
  periodic: 1 << 3,
  periodicCapable: 1 << 4,
  wide: 1 << 5,
  setValue: 1 << 6,
  narrow: 1 << 8,
  routeShift: 9,
  message: 1 << 14,
  messageCapable: 1 << 15,
  writable: 0x7f4e,
} as const;
/** Interrupt lines of the two legacy places. */
const LEGACY_LINES = [0, 8] as const;

interface Parts {
  readonly rtcState: { rtc_irq_level: number };
  readonly offsetState: { hpet_offset: number };
  readonly state: { config: number };
  readonly props: { readonly 'hpet-offset-saved': boolean };
}
const PROPS = properties({
  timers: u8(MIN_TIMERS),
  msi: bool(false, 'on/off'),
  'hpet-intcap': u32(0),
  'hpet-offset-saved': bool(true),
});
const COMPARATOR = vmstate('hpet_timer', 1, {
  tn: u8Field(),
  config: halves64(),
  cmp: halves64(0xffff_ffff, 0xffff_ffff),
  fsb: halves64(),
  period: halves64(),
  wrap_flag: u8Field(),
  qemu_timer: timer(),
});
const RTC_STATE = vmstate('hpet/rtc_irq_level', 1, { rtc_irq_level: u8Field() });
const OFFSET_STATE = vmstate('hpet/offset', 1, { hpet_offset: u64() });
const STATE = vmstate(
  'hpet',
  2,
  {
    config: u64(),
    isr: u64(),
    hpet_counter: u64(0, 'While it stands'),
    num_timers: since(2, u8Field(MIN_TIMERS)),
    timer: array(MIN_TIMERS, struct(COMPARATOR)),
  },
  {
    minimumVersion: 1,
    subsections: [
      {
        description: RTC_STATE,
        needed: (owner) => (owner as Parts).rtcState.rtc_irq_level !== 0,
        state: (owner) => (owner as Parts).rtcState,
      },
      {
        description: OFFSET_STATE,
        needed: (owner) => {
          const { state, props } = owner as Parts;
          return (state.config & CONFIG.enable) !== 0 && props['hpet-offset-saved'];
        },
        state: (owner) => (owner as Parts).offsetState,
      },
    ],
  },
);
type Comparator = ReturnType<typeof COMPARATOR.create>;

const numberOf = ({ low, high }: Halves) => high * TWO32 + low;
function setHalves(halves: Halves, value: number): void {
  halves.low = value % TWO32;
  halves.high = Math.floor(value / TWO32) % TWO32;
}

export class Hpet extends Device<typeof PROPS, typeof STATE.fields> {
  /** High while comparators stand in for 8254 and clock chip. */
  readonly legacyOut = this.outPin('');
  /** To the interrupt controllers, by line. */
  readonly irqs = Array.from({ length: MAX_TIMERS }, () => this.outPin('sysbus-irq'));
  /** From the 8254 and from the clock chip. */
  readonly legacyIn = this.inPin('', 2, (level, index) => this.setLegacyInput(index, level));
  readonly rtcState = RTC_STATE.create();
  /** What has to be added to the time, in ns, to have the counter. */
  readonly offsetState = OFFSET_STATE.create();
  private timers: Timer[] = [];
  private pitLevel = 0;

  override realize(): void {
    const { env, props } = this;
    if (props.timers !== MIN_TIMERS)
      throw new UserError(`hpet: timers=${props.timers} is not supported yet, only ${MIN_TIMERS}`);
    this.timers = this.state.timer.map((_, index) => env.clocks.virtual.newTimer(() => this.expire(index)));
    const region = objectNewAs(MemoryRegion, 'memory-region').initIo(this, REGISTERS, this, 'hpet', WINDOW_BYTES);
    env.systemMemory.addSubregion(HPET_BASE, region);
  }
  override reset(): void {
    super.reset();
    const { state, props } = this;
    state.timer.forEach((each, index) => {
      each.tn = index;
      each.config.low = TIMER.periodicCapable | TIMER.wide | (props.msi ? TIMER.messageCapable : 0);
      each.config.high = props['hpet-intcap'];
      this.timers[index]!.delete();
    });
    this.offsetState.hpet_offset = 0;
    RTC_STATE.reset(this.rtcState);
    this.pitLevel = 0;
    this.legacyOut.set(0);
  }
  postLoad(): void {
    this.state.timer.forEach(({ qemu_timer: at }, index) => {
      if (at >= 0) this.timers[index]!.modify(at);
      else this.timers[index]!.delete();
    });
    this.legacyOut.set(this.isLegacy ? 1 : 0);
  }
  override treeDetails(): string[] {
    return [`mmio ${HPET_BASE.toString(16).padStart(16, '0')}/${WINDOW_BYTES.toString(16).padStart(16, '0')}`];
  }

  /** Low half of the capabilities, which the firmware's tables repeat. */
  get blockId(): number {
    return 0x8086_a001 + ((this.state.timer.length - 1) << 8);
  }
  private get isRunning(): boolean {
    return (this.state.config & CONFIG.enable) !== 0;
  }
  private get isLegacy(): boolean {
    return (this.state.config & CONFIG.legacy) !== 0;
  }
  private counter(): number {
    if (!this.isRunning) return this.state.hpet_counter;
    return Math.floor((this.env.clocks.virtual.now() + this.offsetState.hpet_offset) / TICK_NS);
  }

  // -- comparators -----------------------------------------------------------------------------------------------------

  private isNarrow({ config }: Comparator): boolean {
    return (config.low & TIMER.narrow) !== 0;
  }
  private lineOf({ tn, config }: Comparator): number {
    return this.isLegacy && tn < LEGACY_LINES.length ? LEGACY_LINES[tn]! : (config.low >>> TIMER.routeShift) & 31;
  }
  /** A value that has passed, by less than half the counter's range, is due at once. */
  private arm(each: Comparator): void {
    const counter = this.counter();
    let ticks = numberOf(each.cmp) - counter;
    if (this.isNarrow(each)) ticks = (each.cmp.low - (counter % TWO32)) | 0;
    if (ticks < -(2 ** 63)) ticks += 2 ** 64;
    if (ticks > 2 ** 53) {
      this.disarm(each);
      return;
    }
    const at = this.env.clocks.virtual.now() + Math.max(0, ticks) * TICK_NS;
    each.qemu_timer = at;
    this.timers[each.tn]!.modify(at);
  }
  private disarm(each: Comparator): void {
    each.qemu_timer = -1;
    this.timers[each.tn]!.delete();
  }
  private expire(index: number): void {
    const each = this.state.timer[index]!;
    each.qemu_timer = -1;
    const period = this.isNarrow(each) ? each.period.low : numberOf(each.period);
    if (each.config.low & TIMER.periodic && period > 0) {
      const counter = this.counter();
      if (this.isNarrow(each)) {
        const late = ((counter % TWO32) - each.cmp.low) | 0;
        const steps = Math.floor(Math.max(0, late) / period) + 1;
        each.cmp.low = (each.cmp.low + steps * period) % TWO32;
      } else {
        const cmp = numberOf(each.cmp);
        setHalves(each.cmp, cmp + (Math.floor(Math.max(0, counter - cmp) / period) + 1) * period);
      }
      this.arm(each);
    }
    this.raise(each);
  }
  private raise(each: Comparator): void {
    const { low } = each.config;
    if (low & TIMER.level) this.setStatus(each.tn, true);
    if (!(low & TIMER.enable) || !this.isRunning) return;
    if (low & TIMER.message && low & TIMER.messageCapable) this.dma.write(each.fsb.high, 4, each.fsb.low);
    else if (low & TIMER.level) this.irqs[this.lineOf(each)]!.raise();
    else this.irqs[this.lineOf(each)]!.pulse();
  }
  private setStatus(index: number, isOn: boolean): void {
    const bit = 1 << index;
    this.state.isr = (isOn ? this.state.isr | bit : this.state.isr & ~bit) >>> 0;
  }

  // -- registers -------------------------------------------------------------------------------------------------------

  /** @param offset a multiple of 4 */
  readWindow(offset: number): number {
    const isHigh = (offset & 4) !== 0;
    const half = (value: number) => (isHigh ? Math.floor(value / TWO32) % TWO32 : value % TWO32);
    if (offset >= REGISTER.timers) {
      const each = this.state.timer[(offset - REGISTER.timers) >> 5];
      const halves = each && this.halvesAt(each, offset & 0x18);
      return halves ? (isHigh ? halves.high : halves.low) : 0;
    }
    switch (offset & ~7) {
      case REGISTER.capabilities:
        return isHigh ? TICK_FS : this.blockId;
      case REGISTER.config:
        return half(this.state.config);
      case REGISTER.status:
        return half(this.state.isr);
      case REGISTER.counter:
        return half(this.counter());
      default:
        return 0;
    }
  }
  private halvesAt(each: Comparator, register: number): Halves | null {
    if (register === TIMER_REGISTER.config) return each.config;
    if (register === TIMER_REGISTER.comparator) return each.cmp;
    return register === TIMER_REGISTER.message ? each.fsb : null;
  }

  writeWindow(offset: number, value: number): void {
    const isHigh = (offset & 4) !== 0;
    if (offset >= REGISTER.timers) {
      const each = this.state.timer[(offset - REGISTER.timers) >> 5];
      if (each) this.writeTimer(each, offset & 0x18, value, isHigh);
      return;
    }
    switch (offset & ~7) {
      case REGISTER.config:
        if (!isHigh) this.writeConfig(value & (CONFIG.enable | CONFIG.legacy));
        break;
      case REGISTER.status:
        if (!isHigh) this.clearStatus(value);
        break;
      case REGISTER.counter:
        this.writeCounter(value, isHigh);
        break;
    }
  }
  private writeConfig(value: number): void {
    const { state } = this;
    const changed = state.config ^ value;
    if (changed & CONFIG.enable && this.isRunning) state.hpet_counter = this.counter();
    state.config = value;
    if (changed & CONFIG.enable) {
      if (this.isRunning) {
        this.offsetState.hpet_offset = state.hpet_counter * TICK_NS - this.env.clocks.virtual.now();
        for (const each of state.timer) {
          if (each.config.low & TIMER.enable && (state.isr >>> each.tn) & 1) this.raise(each);
          this.rearm(each);
        }
      } else
        for (const each of state.timer) {
          this.disarm(each);
          this.irqs[this.lineOf(each)]!.lower();
        }
    }
    if (changed & CONFIG.legacy) {
      this.legacyOut.set(this.isLegacy ? 1 : 0);
      this.irqs[LEGACY_LINES[0]]!.set(this.isLegacy ? 0 : this.pitLevel);
      this.irqs[LEGACY_LINES[1]]!.set(this.isLegacy ? 0 : this.rtcState.rtc_irq_level);
    }
  }
  /** Ones clear; a level goes with its bit. */
  private clearStatus(value: number): void {
    const { state } = this;
    for (const each of state.timer) {
      if (!(((value & state.isr) >>> each.tn) & 1)) continue;
      this.setStatus(each.tn, false);
      this.irqs[this.lineOf(each)]!.lower();
    }
  }
  /** Only while it stands, says the specification. */
  private writeCounter(value: number, isHigh: boolean): void {
    const { state } = this;
    if (this.isRunning) return;
    const counter = state.hpet_counter;
    state.hpet_counter = isHigh ? value * TWO32 + (counter % TWO32) : counter - (counter % TWO32) + value;
  }

  private writeTimer(each: Comparator, register: number, value: number, isHigh: boolean): void {
    if (register === TIMER_REGISTER.config) {
      if (!isHigh) this.writeTimerConfig(each, value);
    } else if (register === TIMER_REGISTER.comparator) this.writeComparator(each, value, isHigh);
    else if (register === TIMER_REGISTER.message) {
      if (isHigh) each.fsb.high = value;
      else each.fsb.low = value;
    }
  }
  private writeTimerConfig(each: Comparator, value: number): void {
    const { config } = each;
    let writable: number = TIMER.writable;
    if (!(config.low & TIMER.messageCapable)) writable &= ~TIMER.message;
    const before = config.low;
    const wasRaised = (before & TIMER.level) !== 0 && ((this.state.isr >>> each.tn) & 1) !== 0;
    if (wasRaised) this.irqs[this.lineOf(each)]!.lower();
    config.low = (before & ~writable) | (value & writable);
    if (this.isNarrow(each)) {
      each.cmp.high = 0;
      each.period.high = 0;
    }
    if (!(config.low & TIMER.level)) this.setStatus(each.tn, false);
    else if (wasRaised && config.low & TIMER.enable) this.raise(each);
    this.rearm(each);
  }
  private writeComparator(each: Comparator, value: number, isHigh: boolean): void {
    if (isHigh && this.isNarrow(each)) return;
    const half = isHigh ? 'high' : 'low';
    const isPeriodic = (each.config.low & TIMER.periodic) !== 0;
    if (isPeriodic) each.period[half] = value;
    if (!isPeriodic || each.config.low & TIMER.setValue) each.cmp[half] = value;
    // The permission to set the accumulator is for one write; a wide one comes in two halves, the low one first.
    if (isHigh || this.isNarrow(each)) each.config.low &= ~TIMER.setValue;
    this.rearm(each);
  }
  private rearm(each: Comparator): void {
    if (this.isRunning && each.config.low & TIMER.enable) this.arm(each);
    else this.disarm(each);
  }

  private setLegacyInput(index: number, level: number): void {
    if (index === 0) this.pitLevel = level;
    else this.rtcState.rtc_irq_level = level;
    if (!this.isLegacy) this.irqs[LEGACY_LINES[index as 0 | 1]]!.set(level);
  }
}

/** What fw_cfg tells of the board's blocks: a count, and for each identification, address, least ticks and page protection
 *  (QEMU 7.2 leaves these two at zero).
 *  @param blockId null where there is none: the count is FFh then */
export function hpetConfig(blockId: number | null): Uint8Array {
  const bytes = new Uint8Array(1 + 8 * 15);
  if (blockId === null) {
    bytes[0] = 0xff;
    return bytes;
  }
  const view = new DataView(bytes.buffer);
  bytes[0] = 1;
  view.setUint32(1, blockId, true);
  view.setUint32(5, HPET_BASE, true);
  return bytes;
}

const REGISTERS: MemoryRegionOps<Hpet> = {
  read: (hpet, offset) => hpet.readWindow(offset),
  write: (hpet, offset, value) => hpet.writeWindow(offset, value),
  valid: { min: 4, max: 8 },
  impl: { min: 4, max: 4 },
};

export const hpetType = deviceType({
  name: 'hpet',
  parent: 'sys-bus-device',
  class: Hpet,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
