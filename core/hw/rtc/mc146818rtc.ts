/**
 * Motorola MC146818A real-time clock with 128 bytes of CMOS memory, as the AT has it (ports 70h/71h).
 * The time is not stepped: it follows from a clock and the moment it was last set. Update and alarm flags are worked out when
 * they are looked at; a timer runs only while their interrupts are enabled.
 * Not modelled: daylight saving, the square wave output, the NMI mask in the index port's bit 7.
 */
import type { Clock, ClockType, Timer } from '../../clock/clock.ts';
import { MemoryRegion, type MemoryRegionOps } from '../../memory/region.ts';
import { objectAddProperty, objectCanonicalPath, objectNewAs } from '../../qom/object.ts';
import {
  buffer,
  i64,
  named,
  since,
  timer as timerField,
  u8 as u8Field,
  u16 as u16Field,
  u32,
  unused,
  vmstate,
} from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { choice, i32, properties, u8, u16 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const REG = {
  second: 0x00,
  secondAlarm: 0x01,
  minute: 0x02,
  minuteAlarm: 0x03,
  hour: 0x04,
  hourAlarm: 0x05,
  weekday: 0x06,
  day: 0x07,
  month: 0x08,
  year: 0x09,
  a: 0x0a,
  b: 0x0b,
  c: 0x0c,
  d: 0x0d,
  shutdownStatus: 0x0f,
  century: 0x32,
  ps2Century: 0x37,
} as const;
const A = { updating: 0x80, divider: 0x70, rate: 0x0f, dividerReset: 0x60, running32k: 0x20 } as const;
const B = { set: 0x80, pie: 0x40, aie: 0x20, uie: 0x10, squareWave: 0x08, binary: 0x04, hours24: 0x02 } as const;
const C = { irq: 0x80, periodic: 0x40, alarm: 0x20, update: 0x10 } as const;
const FLAGS = C.periodic | C.alarm | C.update;
const VALID_RAM_AND_TIME = 0x80;
/** Shutdown status: the firmware is to go on with what sleeps in RAM. */
const RESUME = 0xfe;
const ALARM_ANY = 0xc0;
const PM = 0x80;

const SECOND = 1e9;
const OSCILLATOR_HZ = 32_768;
/** Between the update-in-progress bit and the update. */
const UPDATE_NOTICE_NS = 244_000;
const HALF_SECOND = 0.5e9;
/** The host clock's numbers are no finer than this. */
const CLOCK_STEP_NS = 512;
/** How many lost ticks one acknowledgement may bring back at once (`lost_tick_policy=slew`). */
const MAX_REINJECT = 20;
const MAX_COALESCED = 100_000;

const PROPS = properties({
  base_year: i32(1980),
  iobase: u16(0x70),
  irq: u8(8),
  lost_tick_policy: choice('LostTickPolicy', ['discard', 'delay', 'slew'], 'discard', ''),
});
const REINJECT = vmstate('mc146818rtc/irq_reinject_on_ack_count', 1, { irq_reinject_on_ack_count: u16Field() });
const STATE = vmstate(
  'mc146818rtc',
  3,
  {
    cmos_data: buffer(128),
    cmos_index: u8Field(),
    unused0: unused(7 * 4),
    periodic_timer: timerField(),
    next_periodic_time: i64(0),
    unused1: unused(3 * 8),
    irq_coalesced: since(2, u32()),
    period: since(2, u32()),
    base_rtc: since(3, i64(0, 'Guest seconds since 1970 at last_update, whole')),
    last_update: since(3, i64(0)),
    offset: since(3, i64(0, 'Nanoseconds of the guest second at last_update')),
    update_timer: since(3, timerField()),
    next_alarm_time: since(3, named('next_alarm_time', i64(0))),
  },
  {
    minimumVersion: 1,
    subsections: [
      {
        description: REINJECT,
        needed: (owner) =>
          (owner as { reinjected: { irq_reinject_on_ack_count: number } }).reinjected.irq_reinject_on_ack_count > 0,
        state: (owner) => (owner as { reinjected: Record<string, unknown> }).reinjected,
      },
    ],
  },
);

export class Mc146818Rtc extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  readonly irq = this.outPin();
  readonly reinjected = REINJECT.create();
  private clock: Clock = this.env.clocks.host;
  private startSeconds: number | null = null;
  private periodicTimer!: Timer;
  private updateTimer!: Timer;
  private lastEventOffset: number | null = null;

  /** `-rtc`: the clock that drives the time, and the guest's time at the start in seconds since 1970. Before realize. */
  setTimeSource(clock: ClockType, startSeconds: number): void {
    this.clock = this.env.clocks.byType(clock);
    this.startSeconds = startSeconds;
  }

  override realize(): void {
    const { cmos_data: cmos } = this.state;
    cmos[REG.a] = A.running32k | 6;
    cmos[REG.b] = B.hours24;
    cmos[REG.d] = VALID_RAM_AND_TIME;
    this.periodicTimer = this.clock.newTimer(() => this.periodicDue());
    this.updateTimer = this.clock.newTimer(() => this.updateDue());
    this.env.sleep.onSuspend(() => this.setCmos(REG.shutdownStatus, RESUME));
    this.startAt(this.startSeconds ?? Math.floor(this.env.clocks.host.now() / SECOND), 0);
    const region = this.mapPorts(this.props.iobase, 2, PORTS, 'rtc');
    region.addSubregion(0, objectNewAs(MemoryRegion, 'memory-region').initIo(this, PORTS, this, 'rtc-index', 1));
    objectAddProperty(this, { name: 'date', type: 'struct tm', get: () => this.date() });
  }

  /** The RESET pin: interrupts off, time and memory as they are. */
  override reset(): void {
    const { cmos_data: cmos } = this.state;
    cmos[REG.b]! &= ~(B.pie | B.aie | B.uie | B.squareWave);
    cmos[REG.c] = 0;
    this.state.irq_coalesced = 0;
    this.reinjected.irq_reinject_on_ack_count = 0;
    this.irq.lower();
    this.armPeriodic();
    this.armUpdate();
  }

  /** A register of the memory part, as the board fills it in; time registers are not set by this. */
  setCmos(register: number, value: number): void {
    this.state.cmos_data[register & 0x7f] = value;
  }
  getCmos(register: number): number {
    return this.state.cmos_data[register & 0x7f]!;
  }

  // ---- time

  /** Guest time since 1970. Nanoseconds since then would not be exact in a number. */
  private get guestTime(): { readonly seconds: number; readonly ns: number } {
    const { base_rtc, last_update, offset } = this.state;
    const elapsed = this.clock.now() - last_update + offset;
    const seconds = Math.floor(elapsed / SECOND);
    return { seconds: base_rtc + seconds, ns: elapsed - seconds * SECOND };
  }
  private startAt(seconds: number, ns: number): void {
    const { state } = this;
    state.base_rtc = seconds;
    state.offset = ns;
    state.last_update = this.clock.now();
  }
  private get isRunning(): boolean {
    const { cmos_data: cmos } = this.state;
    return !(cmos[REG.b]! & B.set) && (cmos[REG.a]! & A.divider) <= A.running32k;
  }

  private encode(value: number): number {
    return this.state.cmos_data[REG.b]! & B.binary ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }
  private decode(value: number): number {
    return this.state.cmos_data[REG.b]! & B.binary ? value : (value >> 4) * 10 + (value & 15);
  }
  private encodeHour(hour: number): number {
    if (this.state.cmos_data[REG.b]! & B.hours24) return this.encode(hour);
    return this.encode(hour % 12 || 12) | (hour >= 12 ? PM : 0);
  }
  private decodeHour(value: number): number {
    if (this.state.cmos_data[REG.b]! & B.hours24) return this.decode(value);
    return (this.decode(value & ~PM) % 12) + (value & PM ? 12 : 0);
  }

  /** Puts the time into the registers. */
  private latchTime(): void {
    const { cmos_data: cmos } = this.state;
    const t = new Date(this.guestTime.seconds * 1000);
    if (Number.isNaN(t.getTime())) return;
    cmos[REG.second] = this.encode(t.getUTCSeconds());
    cmos[REG.minute] = this.encode(t.getUTCMinutes());
    cmos[REG.hour] = this.encodeHour(t.getUTCHours());
    cmos[REG.weekday] = this.encode(t.getUTCDay() + 1);
    cmos[REG.day] = this.encode(t.getUTCDate());
    cmos[REG.month] = this.encode(t.getUTCMonth() + 1);
    const year = t.getUTCFullYear() - this.props.base_year;
    cmos[REG.year] = this.encode(((year % 100) + 100) % 100);
    cmos[REG.century] = this.encode(Math.max(0, Math.floor(year / 100)) % 100);
  }
  /** Takes the time from the registers. */
  private setTime(subSecondNs: number): void {
    const { cmos_data: cmos } = this.state;
    const at = (register: number) => this.decode(cmos[register]!);
    const year = at(REG.year) + this.props.base_year + at(REG.century) * 100;
    const date = new Date(0);
    date.setUTCFullYear(year, at(REG.month) - 1, at(REG.day));
    date.setUTCHours(this.decodeHour(cmos[REG.hour]!), at(REG.minute), at(REG.second), 0);
    const seconds = Math.floor(date.getTime() / 1000);
    this.startAt(seconds, subSecondNs);
    const offset = seconds - Math.floor(this.env.clocks.host.now() / SECOND);
    if (offset !== this.lastEventOffset) {
      this.lastEventOffset = offset;
      this.env.emit('RTC_CHANGE', { offset, 'qom-path': objectCanonicalPath(this) });
    }
  }
  /** `struct tm` of the guest's time, for the `date` property. */
  date(): Readonly<Record<string, number>> {
    const t = new Date(this.guestTime.seconds * 1000);
    return {
      tm_year: t.getUTCFullYear() - 1900,
      tm_mon: t.getUTCMonth(),
      tm_mday: t.getUTCDate(),
      tm_hour: t.getUTCHours(),
      tm_min: t.getUTCMinutes(),
      tm_sec: t.getUTCSeconds(),
    };
  }

  // ---- flags

  private raise(flags: number): void {
    const { cmos_data: cmos } = this.state;
    cmos[REG.c]! |= flags;
    if (!(cmos[REG.b]! & cmos[REG.c]! & FLAGS)) return;
    cmos[REG.c]! |= C.irq;
    this.irq.raise();
  }

  /** Sets the flags of the updates that have happened since the last look. */
  private noticeUpdates(): void {
    if (!this.isRunning) return;
    const before = this.state.base_rtc;
    const { seconds, ns } = this.guestTime;
    if (seconds <= before) return;
    const alarm = this.nextAlarm(before);
    this.startAt(seconds, ns);
    const isAlarm = alarm !== null && alarm <= seconds;
    if (isAlarm && this.state.cmos_data[REG.b]! & B.aie) this.env.requestWakeup('rtc');
    this.raise(C.update | (isAlarm ? C.alarm : 0));
  }

  /** Guest second of the next alarm after `seconds`; null when the registers never match. */
  private nextAlarm(seconds: number): number | null {
    const { cmos_data: cmos } = this.state;
    const wanted = (register: number, decode: (value: number) => number, limit: number) => {
      const value = cmos[register]!;
      if ((value & ALARM_ANY) === ALARM_ANY) return Array.from({ length: limit }, (_, i) => i);
      const one = decode(value);
      return one < limit ? [one] : [];
    };
    const hours = wanted(REG.hourAlarm, (v) => this.decodeHour(v), 24);
    const minutes = wanted(REG.minuteAlarm, (v) => this.decode(v), 60);
    const secs = wanted(REG.secondAlarm, (v) => this.decode(v), 60);
    const midnight = Math.floor(seconds / 86_400) * 86_400;
    for (const day of [midnight, midnight + 86_400])
      for (const hour of hours) {
        if (day + hour * 3600 + 3599 <= seconds) continue;
        for (const minute of minutes) {
          const start = day + hour * 3600 + minute * 60;
          if (start + 59 <= seconds) continue;
          for (const second of secs) if (start + second > seconds) return start + second;
        }
      }
    return null;
  }

  private armUpdate(): void {
    const { state } = this;
    this.noticeUpdates();
    const alarm = this.nextAlarm(state.base_rtc);
    const clockAt = (guestSeconds: number) =>
      state.last_update + (guestSeconds - state.base_rtc) * SECOND - state.offset;
    state.next_alarm_time = alarm === null ? 0 : Math.max(0, Math.floor(clockAt(alarm)));
    const isWanted = this.isRunning && (state.cmos_data[REG.b]! & (B.aie | B.uie)) !== 0;
    if (isWanted) this.updateTimer.modify(Math.max(clockAt(state.base_rtc + 1), this.clock.now() + CLOCK_STEP_NS));
    else this.updateTimer.delete();
    state.update_timer = this.updateTimer.expireNs;
  }
  private updateDue(): void {
    this.armUpdate();
  }

  // ---- periodic interrupt

  private get periodNs(): number {
    const { cmos_data: cmos } = this.state;
    const rate = cmos[REG.a]! & A.rate;
    if (rate === 0 || (cmos[REG.a]! & A.divider) > A.running32k) return 0;
    // The two fastest settings repeat slower ones at this oscillator frequency.
    const shift = rate <= 2 ? rate + 6 : rate - 1;
    return ((1 << shift) * SECOND) / OSCILLATOR_HZ;
  }
  private nextPeriodicAfter(now: number): number {
    const period = this.periodNs;
    return Math.max(Math.ceil((Math.floor(now / period) + 1) * period), now + CLOCK_STEP_NS);
  }
  private armPeriodic(): void {
    const { state } = this;
    const period = this.periodNs;
    state.period = Math.round((period * OSCILLATOR_HZ) / SECOND);
    if (period === 0) {
      state.next_periodic_time = 0;
      this.periodicTimer.delete();
    } else {
      state.next_periodic_time = this.nextPeriodicAfter(this.clock.now());
      if (state.cmos_data[REG.b]! & B.pie) this.periodicTimer.modify(state.next_periodic_time);
      else this.periodicTimer.delete();
    }
    state.periodic_timer = this.periodicTimer.expireNs;
  }
  private periodicDue(): void {
    const { state } = this;
    const now = this.clock.now();
    if (this.props.lost_tick_policy === 'slew') {
      const late = Math.floor((now - state.next_periodic_time) / this.periodNs);
      const unread = state.cmos_data[REG.c]! & C.periodic ? 1 : 0;
      state.irq_coalesced = Math.min(MAX_COALESCED, state.irq_coalesced + Math.max(0, late) + unread);
    }
    this.raise(C.periodic);
    this.armPeriodic();
  }
  /** The flag runs without its interrupt, too. */
  private noticePeriod(): void {
    const { state } = this;
    if (state.next_periodic_time === 0 || this.periodicTimer.isPending) return;
    const now = this.clock.now();
    if (now < state.next_periodic_time) return;
    state.cmos_data[REG.c]! |= C.periodic;
    state.next_periodic_time = this.nextPeriodicAfter(now);
  }

  // ---- ports

  read(): number {
    const { state } = this;
    const { cmos_data: cmos } = state;
    const index = state.cmos_index === REG.ps2Century ? REG.century : state.cmos_index;
    switch (index) {
      case REG.second:
      case REG.minute:
      case REG.hour:
      case REG.weekday:
      case REG.day:
      case REG.month:
      case REG.year:
      case REG.century:
        if (this.isRunning) this.latchTime();
        return cmos[index]!;
      case REG.a: {
        const left = SECOND - this.guestTime.ns;
        return (cmos[REG.a]! & ~A.updating) | (this.isRunning && left <= UPDATE_NOTICE_NS ? A.updating : 0);
      }
      case REG.c:
        return this.readFlags();
      default:
        return cmos[index]!;
    }
  }
  private readFlags(): number {
    const { state } = this;
    const { cmos_data: cmos } = state;
    this.noticeUpdates();
    this.noticePeriod();
    const flags = cmos[REG.c]!;
    cmos[REG.c] = 0;
    this.irq.lower();
    if (state.irq_coalesced > 0 && cmos[REG.b]! & B.pie && this.reinjected.irq_reinject_on_ack_count < MAX_REINJECT) {
      this.reinjected.irq_reinject_on_ack_count++;
      state.irq_coalesced--;
      this.raise(C.periodic);
    } else this.reinjected.irq_reinject_on_ack_count = 0;
    return flags;
  }

  writeIndex(value: number): void {
    this.state.cmos_index = value & 0x7f;
  }
  write(value: number): void {
    const { state } = this;
    const { cmos_data: cmos } = state;
    const index = state.cmos_index === REG.ps2Century ? REG.century : state.cmos_index;
    switch (index) {
      case REG.secondAlarm:
      case REG.minuteAlarm:
      case REG.hourAlarm:
        this.noticeUpdates();
        cmos[index] = value;
        this.armUpdate();
        break;
      case REG.second:
      case REG.minute:
      case REG.hour:
      case REG.weekday:
      case REG.day:
      case REG.month:
      case REG.year:
      case REG.century:
        if (this.isRunning) {
          this.noticeUpdates();
          this.latchTime();
          cmos[index] = value;
          this.setTime(state.offset);
          this.armUpdate();
        } else cmos[index] = value;
        break;
      case REG.a:
        this.writeA(value);
        break;
      case REG.b:
        this.writeB(value);
        break;
      case REG.c:
      case REG.d:
        break; // read-only
      default:
        cmos[index] = value;
    }
  }
  private writeA(value: number): void {
    const { cmos_data: cmos } = this.state;
    const wasRunning = this.isRunning;
    if (wasRunning) {
      this.noticeUpdates();
      this.latchTime();
    }
    cmos[REG.a] = value & ~A.updating;
    // Out of the divider's reset, the first update comes half a second later.
    if (!wasRunning && this.isRunning) this.setTime(HALF_SECOND);
    this.armPeriodic();
    this.armUpdate();
  }
  private writeB(value: number): void {
    const { cmos_data: cmos } = this.state;
    const wasRunning = this.isRunning;
    const old = cmos[REG.b]!;
    let next = value;
    if (wasRunning) {
      this.noticeUpdates();
      if (value & B.set) this.latchTime();
    }
    if (value & B.set) next &= ~B.uie;
    else if (old & B.set && (cmos[REG.a]! & A.divider) <= A.running32k) this.setTime(this.guestTime.ns);
    cmos[REG.b] = next;
    cmos[REG.c]! &= ~C.irq;
    if (next & cmos[REG.c]! & FLAGS) this.raise(0);
    else this.irq.lower();
    if ((old ^ next) & B.pie) this.armPeriodic();
    this.armUpdate();
  }

  /** After loading a saved state. */
  postLoad(): void {
    const { periodic_timer, update_timer } = this.state;
    for (const [timer, at] of [
      [this.periodicTimer, periodic_timer],
      [this.updateTimer, update_timer],
    ] as const)
      if (at >= 0) timer.modify(at);
      else timer.delete();
  }
}

const PORTS: MemoryRegionOps<Mc146818Rtc> = {
  impl: { min: 1, max: 1 },
  read: (rtc, port) => (port === 0 ? 0xff /* write-only */ : rtc.read()),
  write: (rtc, port, value) => (port === 0 ? rtc.writeIndex(value) : rtc.write(value)),
};

export const mc146818RtcType = deviceType({
  name: 'mc146818rtc',
  parent: 'isa-device',
  category: 'misc',
  class: Mc146818Rtc,
  properties: PROPS,
  vmstate: STATE,
});
