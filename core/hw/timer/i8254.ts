/**
 * Intel 8254 interval timer (data sheet 231164): three counters, of which the PC leads 0 to IRQ 0 and 2 to the speaker.
 * A running counter is not stepped: its count and OUT follow from the virtual clock. Simplified: a new count takes effect
 * at once, not at the end of the running period; OUT of counter 1 (memory refresh) goes nowhere.
 */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { guestError } from '../../util/log.ts';
import {
  array,
  i64,
  named,
  since,
  struct,
  u8 as u8Field,
  u16,
  u32 as u32Field,
  vmstate,
} from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

export const PIT_HZ = 1_193_182;
const NS_PER_SECOND = 1e9;
const CONTROL_PORT = 3;
const READ_BACK = 3;
const READ_BACK_NO_COUNT = 0x20;
const READ_BACK_NO_STATUS = 0x10;
/** Access modes of the control word, and what `read_state`, `write_state` and `count_latched` hold. */
const ACCESS = { latch: 0, low: 1, high: 2, lowThenHigh: 3, highNext: 4 } as const;
const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;
/** `count_load_time` of a counter that has no count yet, or waits for its trigger. Below it: stopped by the gate, -2 minus the elapsed ticks. */
const NOT_RUNNING = -1;
/** Edges closer together than a guest could serve are thinned out, so that no guest can keep the host busy with them. */
const MIN_EDGE_NS = 10_000;
/** After a longer stall lost ticks stay lost. */
const MAX_CATCH_UP_NS = 500e6;

const PROPS = properties({ iobase: u32(0xffff_ffff) });
const COUNTER = vmstate('pit channel', 2, {
  count: u32Field(0x10000),
  latched_count: u16(),
  count_latched: u8Field(),
  status_latched: u8Field(),
  status: u8Field(),
  read_state: u8Field(ACCESS.lowThenHigh),
  write_state: u8Field(ACCESS.lowThenHigh),
  write_latch: u8Field(),
  rw_mode: u8Field(ACCESS.lowThenHigh),
  mode: u8Field(3),
  bcd: u8Field(),
  gate: u8Field(1),
  count_load_time: i64(NOT_RUNNING),
  next_transition_time: i64(-1),
});
const STATE = vmstate(
  'i8254',
  3,
  {
    irq_disabled: named('channels[0].irq_disabled', since(3, u32Field())),
    channels: since(2, array(3, struct(COUNTER))),
    next_transition_time: named('channels[0].next_transition_time', i64(-1)),
  },
  { minimumVersion: 2 },
);
type Counter = (typeof STATE.fields)['channels'] extends { initial(): (infer C)[] } ? C : never;

function ticksOf(ns: number): number {
  const seconds = Math.floor(ns / NS_PER_SECOND);
  return seconds * PIT_HZ + Math.floor(((ns - seconds * NS_PER_SECOND) * PIT_HZ) / NS_PER_SECOND);
}
/** The first nanosecond at which so many ticks have passed. */
function nsOf(ticks: number): number {
  const seconds = Math.floor(ticks / PIT_HZ);
  return seconds * NS_PER_SECOND + Math.ceil(((ticks - seconds * PIT_HZ) * NS_PER_SECOND) / PIT_HZ);
}

const isPeriodic = (c: Counter) => c.mode === 2 || c.mode === 3;
const needsTrigger = (c: Counter) => c.mode === 1 || c.mode === 5;
const isStopped = (c: Counter) => c.count_load_time < NOT_RUNNING;

/** OUT after so many ticks, with the gate open. */
function outAt(c: Counter, ticks: number): number {
  switch (c.mode) {
    case 0:
    case 1:
      return ticks >= c.count ? 1 : 0;
    case 2:
      return ticks % c.count === c.count - 1 && c.count > 1 ? 0 : 1;
    case 3:
      return ticks % c.count < (c.count + 1) >> 1 ? 1 : 0;
    default:
      return ticks === c.count ? 0 : 1;
  }
}
/** Ticks at the next edge of OUT that has to be shown; null for none. A low pulse of one tick is shown at its end. */
function nextEdge(c: Counter, ticks: number): number | null {
  const { count } = c;
  const base = ticks - (ticks % count);
  switch (c.mode) {
    case 0:
    case 1:
      return ticks < count ? count : null;
    case 2:
      return base + count;
    case 3: {
      const half = base + ((count + 1) >> 1);
      return ticks < half ? half : base + count;
    }
    default:
      return ticks <= count ? count + 1 : null;
  }
}

export class I8254 extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  /** OUT of counter 0. */
  readonly irq = this.outPin();
  /** While high, counter 0's OUT is cut off: another timer stands in for it. */
  readonly disableInput = this.inPin('', 1, (level) => this.setIrqDisabled(level !== 0));
  private readonly edge = this.env.clocks.virtual.newTimer(() => this.edgeDue());

  override realize(): void {
    this.mapPorts(this.props.iobase, 4, PORTS, 'pit');
  }

  override reset(): void {
    super.reset();
    this.counter(2).gate = 0;
    // As after a BIOS: counting the longest square wave.
    for (const c of this.state.channels) c.count_load_time = c.gate ? this.now : -2;
    this.updateIrq();
  }

  private get now(): number {
    return this.env.clocks.virtual.now();
  }
  private counter(index: number): Counter {
    return this.state.channels[index]!;
  }
  private elapsed(c: Counter, now = this.now): number {
    return isStopped(c) ? -2 - c.count_load_time : ticksOf(Math.max(0, now - c.count_load_time));
  }

  /** Level of a counter's OUT. */
  outLevel(index: number): number {
    return this.outOf(this.counter(index));
  }
  private outOf(c: Counter, now = this.now): number {
    if (c.count_load_time === NOT_RUNNING) return c.mode === 0 ? 0 : 1;
    if (isPeriodic(c) && !c.gate) return 1;
    return outAt(c, this.elapsed(c, now));
  }
  /** What the counting element holds, 1 to 0x10000 (or 10000). */
  private countOf(c: Counter): number {
    if (c.count_load_time === NOT_RUNNING) return c.count;
    const ticks = this.elapsed(c);
    const range = c.bcd ? 10_000 : 0x10000;
    if (c.mode === 2) return c.count - (ticks % c.count);
    if (c.mode === 3) {
      const half = (c.count + 1) >> 1;
      const within = ticks % c.count;
      return (c.count & ~1) - 2 * (within < half ? within : within - half);
    }
    return (((c.count - ticks) % range) + range) % range;
  }

  /** The gate input of a counter. */
  setGate(index: number, level: number): void {
    const c = this.counter(index);
    const gate = level ? 1 : 0;
    if (c.gate === gate) return;
    const elapsed = c.count_load_time === NOT_RUNNING ? null : this.elapsed(c);
    c.gate = gate;
    if (needsTrigger(c)) {
      if (gate) c.count_load_time = this.now;
    } else if (elapsed !== null) {
      if (!gate) c.count_load_time = -2 - elapsed;
      else c.count_load_time = isPeriodic(c) ? this.now : this.now - nsOf(elapsed);
    }
    if (index === 0) this.updateIrq();
  }
  getGate(index: number): number {
    return this.counter(index).gate;
  }
  /** Mode and count of a counter, as a speaker wants to know them. */
  channelInfo(index: number): { readonly mode: number; readonly initialCount: number } {
    const c = this.counter(index);
    return { mode: c.mode, initialCount: c.count };
  }

  private load(index: number, value: number): void {
    const c = this.counter(index);
    if (c.bcd) c.count = fromBcd(value) || 10_000;
    else c.count = value || 0x10000;
    const { now } = this;
    if (needsTrigger(c)) c.count_load_time = NOT_RUNNING;
    else c.count_load_time = c.gate ? now : -2;
    if (index === 0) this.updateIrq(now);
  }

  writeControl(value: number): void {
    const index = value >> 6;
    if (index === READ_BACK) {
      for (let i = 0; i < 3; i++) {
        if (!(value & (2 << i))) continue;
        if (!(value & READ_BACK_NO_COUNT)) this.latchCount(this.counter(i));
        if (!(value & READ_BACK_NO_STATUS)) this.latchStatus(this.counter(i));
      }
      return;
    }
    const c = this.counter(index);
    const access = (value >> 4) & 3;
    if (access === ACCESS.latch) {
      this.latchCount(c);
      return;
    }
    c.rw_mode = access;
    c.read_state = access;
    c.write_state = access;
    c.count_latched = 0;
    c.status_latched = 0;
    const mode = (value >> 1) & 7;
    c.mode = mode > 5 ? mode - 4 : mode;
    c.bcd = value & 1;
    c.count_load_time = NOT_RUNNING;
    if (index === 0) this.updateIrq();
  }
  private latchCount(c: Counter): void {
    if (c.count_latched) return;
    c.latched_count = this.readable(c);
    c.count_latched = c.rw_mode;
  }
  private latchStatus(c: Counter): void {
    if (c.status_latched) return;
    const isNull = c.count_load_time === NOT_RUNNING;
    c.status =
      (this.outOf(c) ? STATUS_OUT : 0) | (isNull ? STATUS_NULL_COUNT : 0) | (c.rw_mode << 4) | (c.mode << 1) | c.bcd;
    c.status_latched = 1;
  }
  private readable(c: Counter): number {
    const count = this.countOf(c);
    return (c.bcd ? toBcd(count % 10_000) : count) & 0xffff;
  }

  writeCounter(index: number, value: number): void {
    const c = this.counter(index);
    switch (c.write_state) {
      case ACCESS.low:
        this.load(index, value);
        break;
      case ACCESS.high:
        this.load(index, value << 8);
        break;
      case ACCESS.lowThenHigh:
        c.write_latch = value;
        c.write_state = ACCESS.highNext;
        // The first byte stops a mode 0 count.
        if (c.mode === 0) {
          c.count_load_time = NOT_RUNNING;
          if (index === 0) this.updateIrq();
        }
        break;
      default:
        c.write_state = ACCESS.lowThenHigh;
        this.load(index, c.write_latch | (value << 8));
    }
  }

  readCounter(index: number): number {
    const c = this.counter(index);
    if (c.status_latched) {
      c.status_latched = 0;
      return c.status;
    }
    if (c.count_latched) {
      const latched = c.latched_count;
      switch (c.count_latched) {
        case ACCESS.lowThenHigh:
          c.count_latched = ACCESS.highNext;
          return latched & 0xff;
        case ACCESS.low:
          c.count_latched = 0;
          return latched & 0xff;
        default:
          c.count_latched = 0;
          return latched >> 8;
      }
    }
    const count = this.readable(c);
    switch (c.read_state) {
      case ACCESS.high:
        return count >> 8;
      case ACCESS.lowThenHigh:
        c.read_state = ACCESS.highNext;
        return count & 0xff;
      case ACCESS.highNext:
        c.read_state = ACCESS.lowThenHigh;
        return count >> 8;
      default:
        return count & 0xff;
    }
  }

  private setIrqDisabled(isDisabled: boolean): void {
    this.state.irq_disabled = isDisabled ? 1 : 0;
    this.updateIrq();
  }
  private setIrq(level: number): void {
    this.irq.set(this.state.irq_disabled ? 0 : level);
  }
  /** Puts OUT on the pin and arms the timer for its next change. All of it at one time: a host that pauses in between
   *  must not make the change one that has passed. */
  private updateIrq(now = this.now): void {
    this.setIrq(this.outOf(this.counter(0), now));
    this.arm(now);
  }
  private arm(from: number): void {
    const c = this.counter(0);
    const isCounting = c.count_load_time >= 0 && !this.state.irq_disabled;
    const edge = isCounting ? nextEdge(c, this.elapsed(c, from)) : null;
    if (edge === null) this.edge.delete();
    else {
      const at = c.count_load_time + nsOf(edge);
      this.edge.modify(isPeriodic(c) ? Math.max(at, from + MIN_EDGE_NS) : at);
    }
    c.next_transition_time = this.edge.expireNs;
    this.state.next_transition_time = this.edge.expireNs;
  }
  /** An edge of OUT is due. A late timer works through what it missed one by one, so that the guest's clock does not lose ticks. */
  private edgeDue(): void {
    const { now } = this;
    const due = this.state.next_transition_time;
    const at = now - due > MAX_CATCH_UP_NS ? now : due;
    const level = this.outOf(this.counter(0), at);
    if (this.irq.level === level) this.setIrq(level ^ 1);
    this.setIrq(level);
    this.arm(at);
  }

  /** After loading a saved state: the timer stands where it stood. */
  postLoad(): void {
    const at = this.state.next_transition_time;
    this.counter(0).next_transition_time = at;
    if (at >= 0) this.edge.modify(at);
    else this.edge.delete();
  }
}

function toBcd(value: number): number {
  let bcd = 0;
  for (let shift = 0, rest = value; rest > 0; shift += 4, rest = Math.floor(rest / 10)) bcd |= (rest % 10) << shift;
  return bcd;
}
function fromBcd(bcd: number): number {
  return ((bcd >> 12) & 15) * 1000 + ((bcd >> 8) & 15) * 100 + ((bcd >> 4) & 15) * 10 + (bcd & 15);
}

const PORTS: MemoryRegionOps<I8254> = {
  impl: { min: 1, max: 1 },
  read(pit, port) {
    if (port !== CONTROL_PORT) return pit.readCounter(port);
    guestError('pit', 'the control word register cannot be read');
    return 0;
  },
  write: (pit, port, value) => (port === CONTROL_PORT ? pit.writeControl(value) : pit.writeCounter(port, value)),
};

export const pitCommonType = deviceType({
  name: 'pit-common',
  parent: 'isa-device',
  abstract: true,
  userCreatable: false,
});
export const i8254Type = deviceType({
  name: 'isa-pit',
  parent: 'pit-common',
  class: I8254,
  properties: PROPS,
  vmstate: STATE,
  userCreatable: false,
});
export const i8254Types = [pitCommonType, i8254Type];
