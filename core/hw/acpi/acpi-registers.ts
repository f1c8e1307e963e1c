/** The fixed register blocks of ACPI (ACPI 1.0b, chapter 4): power management events, control and timer, general purpose events. Shared by the south bridges that have them. */

import type { Timer } from '../../clock/clock.ts';
import type { MemoryRegionOps } from '../../memory/region.ts';
import type { MachineEnvironment } from '../core/environment.ts';
import type { WakeupReason } from '../core/sleep.ts';

const TIMER_HZ = 3_579_545;
const TIMER_BITS = 24;
/** The timer's top bit changes every half period. */
const HALF_PERIOD = 2 ** (TIMER_BITS - 1);

export const PM1 = {
  timer: 0x0001,
  global: 0x0020,
  powerButton: 0x0100,
  sleepButton: 0x0200,
  rtc: 0x0400,
  wake: 0x8000,
} as const;
const RAISES_SCI = PM1.rtc | PM1.powerButton | PM1.global | PM1.timer;
export const CONTROL = { sciEnable: 0x0001, sleepTypeShift: 10, sleepTypeMask: 7, sleepEnable: 0x2000 } as const;

/** The saved part, in the names that QEMU gives the fields. */
export interface AcpiState {
  'ar.pm1.evt.sts': number;
  'ar.pm1.evt.en': number;
  'ar.pm1.cnt.cnt': number;
  'ar.tmr.timer': number;
  'ar.tmr.overflow_time': number;
  'ar.gpe': { sts: number; en: number };
}

/** What the chip makes of the registers. */
export interface AcpiChip {
  readonly acpiState: AcpiState;
  setSci(level: number): void;
  /** The guest wants to sleep. */
  sleep(type: number): void;
}

export class AcpiRegisters {
  private readonly chip: AcpiChip;
  private readonly env: MachineEnvironment;
  private readonly timer: Timer;

  constructor(chip: AcpiChip, env: MachineEnvironment) {
    this.chip = chip;
    this.env = env;
    this.timer = env.clocks.virtual.newTimer(() => {
      this.state['ar.tmr.timer'] = -1;
      env.requestWakeup('pm-timer');
      this.update();
    });
    env.sleep.onWakeup((reason) => this.woken(reason));
  }
  private get state(): AcpiState {
    return this.chip.acpiState;
  }

  /** Ticks of the power management timer since the machine started. */
  private ticks(): number {
    return Math.floor((this.env.clocks.virtual.now() * TIMER_HZ) / 1e9);
  }
  readTimer(): number {
    return this.ticks() % 2 ** TIMER_BITS;
  }
  private rearm(): void {
    this.state['ar.tmr.overflow_time'] = (Math.floor(this.ticks() / HALF_PERIOD) + 1) * HALF_PERIOD;
  }
  readStatus(): number {
    if (this.ticks() >= this.state['ar.tmr.overflow_time']) this.state['ar.pm1.evt.sts'] |= PM1.timer;
    return this.state['ar.pm1.evt.sts'];
  }
  /** Ones clear. */
  writeStatus(value: number): void {
    if (this.readStatus() & value & PM1.timer) this.rearm();
    this.state['ar.pm1.evt.sts'] &= ~value;
    this.update();
  }
  get enabled(): number {
    return this.state['ar.pm1.evt.en'];
  }
  set enabled(value: number) {
    this.state['ar.pm1.evt.en'] = value;
    this.enableWakeup(value);
    this.update();
  }
  get control(): number {
    return this.state['ar.pm1.cnt.cnt'];
  }
  writeControl(value: number): void {
    this.state['ar.pm1.cnt.cnt'] = value & ~CONTROL.sleepEnable;
    if (value & CONTROL.sleepEnable) this.chip.sleep((value >> CONTROL.sleepTypeShift) & CONTROL.sleepTypeMask);
  }
  /** What the SMI commands for ACPI on and off do. */
  setAcpiEnabled(isOn: boolean): void {
    const { control } = this;
    this.state['ar.pm1.cnt.cnt'] = isOn ? control | CONTROL.sciEnable : control & ~CONTROL.sciEnable;
  }

  pressPowerButton(): void {
    if (!(this.enabled & PM1.powerButton)) return;
    this.state['ar.pm1.evt.sts'] |= PM1.powerButton;
    this.update();
  }
  private enableWakeup(enabled: number): void {
    this.env.sleep.enable('rtc', (enabled & PM1.rtc) !== 0);
    this.env.sleep.enable('pm-timer', (enabled & PM1.timer) !== 0);
  }
  /** The machine has slept. What is neither alarm nor timer passes for the power button. */
  private woken(reason: WakeupReason): void {
    const bits = { rtc: PM1.rtc, 'pm-timer': PM1.timer, other: PM1.powerButton } as const;
    this.state['ar.pm1.evt.sts'] |= PM1.wake | bits[reason];
  }

  readGpe(offset: number): number {
    const { sts, en } = this.state['ar.gpe'];
    return ([sts & 0xff, sts >> 8, en & 0xff, en >> 8] as const)[offset as 0] ?? 0;
  }
  writeGpe(offset: number, value: number): void {
    const gpe = this.state['ar.gpe'];
    const shift = (offset & 1) * 8;
    if (offset < 2) gpe.sts &= ~(value << shift);
    else gpe.en = (gpe.en & ~(0xff << shift)) | (value << shift);
    this.update();
  }

  /** Recomputes the interrupt, and when the timer next has one to give. */
  update(): void {
    const { state } = this;
    const status = this.readStatus();
    const { sts, en } = state['ar.gpe'];
    const isHigh = (status & this.enabled & RAISES_SCI) !== 0 || (sts & en) !== 0;
    this.chip.setSci(isHigh ? 1 : 0);
    if (this.enabled & PM1.timer && !(status & PM1.timer)) {
      const at = Math.ceil((state['ar.tmr.overflow_time'] * 1e9) / TIMER_HZ);
      state['ar.tmr.timer'] = at;
      this.timer.modify(at);
    } else {
      state['ar.tmr.timer'] = -1;
      this.timer.delete();
    }
  }
  /** The timer counts as having changed its top bit already, as QEMU's does. */
  reset(): void {
    this.timer.delete();
    this.state['ar.tmr.overflow_time'] = 0;
    this.enableWakeup(0);
    this.chip.setSci(0);
  }
}

/** Registers of 16 bits each, reached in pieces of any size. */
function words<T>(
  count: number,
  read: (device: T, index: number) => number,
  write: (device: T, index: number, value: number) => void,
): MemoryRegionOps<T> {
  return {
    read(device, offset, size) {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) {
        const at = offset + i;
        const word = at >> 1 < count ? read(device, at >> 1) : 0;
        value = value * 256 + ((word >> ((at & 1) * 8)) & 0xff);
      }
      return value;
    },
    write(device, offset, value, size) {
      if (size === 1) {
        const index = offset >> 1;
        const shift = (offset & 1) * 8;
        // a status register takes ones away: the other half must be written with zeroes
        const rest = index === 0 && count > 1 ? 0 : read(device, index) & ~(0xff << shift);
        write(device, index, rest | (value << shift));
        return;
      }
      for (let i = 0; i < size; i += 2) {
        const index = (offset + i) >> 1;
        if (index < count) write(device, index, Math.floor(value / 2 ** (8 * i)) & 0xffff);
      }
    },
    valid: { min: 1, max: 4 },
  };
}

export const EVENT_OPS = words<AcpiRegisters>(
  2,
  (acpi, index) => (index === 0 ? acpi.readStatus() : acpi.enabled),
  (acpi, index, value) => {
    if (index === 0) acpi.writeStatus(value);
    else acpi.enabled = value;
  },
);
export const CONTROL_OPS = words<AcpiRegisters>(
  1,
  (acpi) => acpi.control,
  (acpi, _index, value) => acpi.writeControl(value),
);
export const TIMER_OPS: MemoryRegionOps<AcpiRegisters> = {
  read: (acpi, offset, size) => Math.floor(acpi.readTimer() / 2 ** (8 * offset)) % 2 ** (8 * size),
  write() {},
  valid: { min: 1, max: 4 },
};
export const GPE_OPS: MemoryRegionOps<AcpiRegisters> = {
  read: (acpi, offset) => acpi.readGpe(offset),
  write: (acpi, offset, value) => acpi.writeGpe(offset, value),
  valid: { min: 1, max: 4 },
  impl: { min: 1, max: 1 },
};
