/** Repeated string instructions: whole pages at a time where both sides are plain RAM, else element by element. They stop at
 *  page ends for faults (registers always show what is done) and pause for interrupts. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { DESC, EAX, ECX, EDI, EDX, ES, ESI, FIELDS, FS, GS, type SegmentRegister, SS } from '../../target/x86/state.ts';
import { ACCESS } from '../../target/x86/system-ops.ts';
import type { Helper, HelperContext } from './helpers.ts';
import { longSegmentAddress } from './long-helpers.ts';

type Size = 1 | 2 | 4 | 8;
/** Elements (of plain RAM; others weigh more) between looks at the interrupt line: some 30 us of comparing. */
const SLICE = 16384;
/** So many elements take the time of an ordinary instruction. */
const WORTH = 16;

/** Raises #GP (or #SS) unless `size` bytes at `offset` may be accessed; gives the linear address. */
export function segmentAddress(
  ctx: HelperContext,
  index: number,
  offset: number,
  size: number,
  isWrite: boolean,
): number {
  const { state } = ctx;
  if (state.u32[FIELDS.long.offset >>> 2]) return longSegmentAddress(state, index, offset);
  const segment = state.segments[index]!;
  const vector = index === SS ? VECTOR.SS : VECTOR.GP;
  const { flags, limit } = segment;
  const isReal = !state.protectedMode || state.vm86;
  if (!isReal) {
    if (!(flags & DESC.present) || !(flags & DESC.s)) raise(state, index === SS ? VECTOR.SS : VECTOR.GP, 0);
    if (isWrite && (flags & DESC.code || !(flags & DESC.writable))) raise(state, VECTOR.GP, 0);
    if (!isWrite && flags & DESC.code && !(flags & DESC.writable)) raise(state, VECTOR.GP, 0);
  }
  const at = offset >>> 0;
  const last = at + size - 1;
  const isDown = (flags & DESC.expandDown) !== 0 && (flags & DESC.code) === 0;
  const top = flags & DESC.big ? 0xffff_ffff : 0xffff;
  // A flat segment wraps around the top of the address space.
  const fits = isDown ? at > limit && last <= top : last <= limit || limit === 0xffff_ffff;
  if (!fits) raise(state, vector, 0);
  return (segment.base + at) >>> 0;
}

export class StringOps {
  private readonly ctx: HelperContext;
  private size: Size = 1;
  private isAddress16 = false;
  /** Addresses and counts of 64 bits; 64-bit code, whatever its addresses. */
  private isAddress64 = false;
  private isLong = false;
  private isRepne = false;
  private step = 1;
  /** Elements after which the interrupt line is looked at; one while every iteration is a step. */
  private limit = SLICE;

  constructor(ctx: HelperContext) {
    this.ctx = ctx;
  }

  private begin(shape: number): void {
    this.size = (shape & 0xff) as Size;
    this.isAddress16 = (shape & 0x100) !== 0;
    this.isAddress64 = (shape & 0x400) !== 0;
    this.isLong = this.ctx.state.code64;
    this.isRepne = (shape & 0x200) !== 0;
    this.step = (this.ctx.state.u32[FIELDS.direction.offset >>> 2]! | 0) * this.size;
    this.limit = this.ctx.isStepped() ? 1 : SLICE;
    this.compared = null;
    this.ctx.activity.stringOps++;
  }
  private get(index: number): number {
    const { state } = this.ctx;
    if (this.isAddress64) return state.reg64(index);
    return this.isAddress16 ? state.reg16(index) : state.reg32(index);
  }
  /** RCX: unsigned; what is beyond 2^53 is not exact, and not reached. */
  private get count(): number {
    if (!this.isAddress64) return this.get(ECX);
    const { state } = this.ctx;
    return state.high(FIELDS.gpr, ECX) * 2 ** 32 + state.low(FIELDS.gpr, ECX);
  }
  /** Takes elements from the count, exactly. */
  private counted(done: number): void {
    const { state } = this.ctx;
    if (!this.isAddress64) {
      this.set(ECX, this.get(ECX) - done);
      return;
    }
    const low = state.low(FIELDS.gpr, ECX) - done;
    state.setParts(FIELDS.gpr, low, state.high(FIELDS.gpr, ECX) - (low < 0 ? 1 : 0), ECX);
  }
  /** Base of a segment as this code has it. */
  private base(segment: SegmentRegister): number {
    if (!this.isLong) return segment.base;
    const { segments } = this.ctx.state;
    return segment === segments[FS] || segment === segments[GS] ? segment.base : 0;
  }
  private set(index: number, value: number): void {
    const { state } = this.ctx;
    if (this.isAddress64) state.setReg64(index, value);
    else if (this.isAddress16) state.setReg16(index, value);
    else state.setReg32(index, value);
  }
  private move(index: number, elements: number): void {
    const sum = this.get(index) + this.step * elements;
    this.set(index, this.isAddress64 ? sum : sum >>> 0);
  }

  /** Elements from `offset` on that can be done in one go: inside the page, inside the segment without wrap, ascending. 0: none. */
  private run(segment: SegmentRegister, offset: number, isWrite: boolean, want: number): number {
    if (this.ctx.isStepped()) return 0;
    if (this.isLong) return this.runLong(segment, offset, want);
    if (this.step < 0) return this.runDown(segment, offset, isWrite, want);
    const end = isWrite ? segment.writeEnd : segment.readEnd;
    if (offset >= end) return 0;
    const linear = (segment.base + offset) >>> 0;
    const inPage = 4096 - (linear & 0xfff);
    const inSegment = end === 0xffff_ffff ? end - offset : end + 14 - offset;
    const bytes = Math.min(inPage, inSegment, this.isAddress16 ? 0x10000 - offset : 0xffff_ffff);
    return Math.min(want, Math.floor(bytes / this.size));
  }
  /** 64-bit code: as far as the page goes. An address of 32 bits must not wrap meanwhile. */
  private runLong(segment: SegmentRegister, offset: number, want: number): number {
    const inPage = (this.base(segment) + offset) & 0xfff;
    if (!this.isAddress64 && (offset < 4096 || offset > 0xffff_f000)) return 0;
    if (this.step > 0) return Math.min(want, Math.floor((4096 - inPage) / this.size));
    return inPage + this.size > 4096 ? 0 : Math.min(want, Math.floor(inPage / this.size) + 1);
  }
  /** Descending: only what surely lies inside page and segment. */
  private runDown(segment: SegmentRegister, offset: number, isWrite: boolean, want: number): number {
    const end = isWrite ? segment.writeEnd : segment.readEnd;
    if (offset >= end) return 0;
    const linear = (segment.base + offset) >>> 0;
    if ((linear & 0xfff) + this.size > 4096) return 0;
    const below = Math.min(linear & 0xfff, offset);
    return Math.min(want, Math.floor(below / this.size) + 1);
  }
  private address(index: number, offset: number, isWrite: boolean): number {
    return segmentAddress(this.ctx, index, offset, this.size, isWrite);
  }
  /** 1 when more is to be done later. */
  private pause(): number {
    this.ctx.pauseAtInstruction();
    return 1;
  }
  /** Time has passed: part of the budget is used up by it. */
  private get shouldPause(): boolean {
    return this.ctx.isStepped() || this.ctx.charge(SLICE / WORTH);
  }
  /** The instruction is done; what it did since the last look is paid for as well. */
  private finish(slice: number): number {
    if (slice >= WORTH) this.ctx.charge(Math.floor(slice / WORTH));
    return 0;
  }

  private movs(segment: number): number {
    const { memory, state } = this.ctx;
    const from = state.segments[segment]!;
    const to = state.segments[ES]!;
    const { size, step } = this;
    for (let slice = 0; ; ) {
      const { count } = this;
      if (count === 0) return this.finish(slice);
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const si = this.get(ESI);
      const di = this.get(EDI);
      const n = Math.min(this.run(from, si, false, count), this.run(to, di, true, count));
      if (n > 1) {
        const source = memory.ramAt(this.base(from) + si, ACCESS.read);
        const sourcePhys = memory.devicePhys;
        const target = memory.ramAt(this.base(to) + di, ACCESS.write);
        if (source < 0 || target < 0) {
          this.moveByBus(source, sourcePhys, target, memory.devicePhys, n);
          this.move(ESI, n);
          this.move(EDI, n);
          this.counted(n);
          slice += 64 * n;
          continue;
        }
        {
          const bytes = n * size;
          const low = step > 0 ? 0 : size - bytes;
          const s = source + low;
          const t = target + low;
          memory.noteWrite(t, bytes);
          const all = memory.arenaBytes;
          // An overlap in the direction of the copy repeats what was just written; copyWithin would not.
          const distance = step > 0 ? t - s : s - t;
          if (distance > 0 && distance < bytes) this.propagate(all, s, t, bytes, distance, step > 0);
          else all.copyWithin(t, s, s + bytes);
          this.move(ESI, n);
          this.move(EDI, n);
          this.counted(n);
          slice += n;
          continue;
        }
      }
      const read = this.address(segment, si, false);
      const write = this.address(ES, di, true);
      if (size === 8) {
        const low = memory.read(read, 4);
        const high = memory.read(read + 4, 4);
        memory.probeWrite(write, 8);
        memory.write(write, 4, low);
        memory.write(write + 4, 4, high);
      } else memory.write(write, size, memory.read(read, size));
      this.move(ESI, 1);
      this.move(EDI, 1);
      this.counted(1);
      slice += 64;
    }
  }
  /** `n` elements inside a page each, at least one side behind the bus. */
  private moveByBus(source: number, sourcePhys: number, target: number, targetPhys: number, n: number): void {
    const { memory, bus, activity } = this.ctx;
    const { size, step } = this;
    activity.mmioAccesses += n;
    if (target >= 0) memory.noteWrite(step > 0 ? target : target + size - n * size, n * size);
    const view = memory.arenaView;
    if (size === 8) {
      for (let i = 0, at = 0; i < n; i++, at += step)
        for (const part of [at, at + 4]) {
          const value = source >= 0 ? view.getUint32(source + part, true) : bus.memory.read(sourcePhys + part, 4);
          if (target >= 0) memory.arenaView.setUint32(target + part, value, true);
          else bus.memory.write(targetPhys + part, 4, value);
        }
      return;
    }
    for (let i = 0, at = 0; i < n; i++, at += step) {
      const value = source >= 0 ? load(view, source + at, size) : bus.memory.read(sourcePhys + at, size);
      if (target >= 0) store(memory.arenaView, target + at, size, value);
      else bus.memory.write(targetPhys + at, size, value);
    }
  }
  private propagate(all: Uint8Array, s: number, t: number, bytes: number, distance: number, isUp: boolean): void {
    const { size } = this;
    if (distance < size) {
      // Elements overlap themselves: one after the other, each read whole.
      const view = this.ctx.memory.arenaView;
      for (let i = 0; i < bytes; i += size) {
        const at = isUp ? i : bytes - size - i;
        if (size === 8) {
          const [low, high] = [view.getUint32(s + at, true), view.getUint32(s + at + 4, true)];
          view.setUint32(t + at, low, true);
          view.setUint32(t + at + 4, high, true);
        } else if (size === 4) view.setUint32(t + at, view.getUint32(s + at, true), true);
        else view.setUint16(t + at, view.getUint16(s + at, true), true);
      }
    } else if (isUp) for (let i = 0; i < bytes; i++) all[t + i] = all[s + i]!;
    else this.backward(all, s, t, bytes);
  }
  private backward(all: Uint8Array, s: number, t: number, bytes: number): void {
    for (let i = bytes - 1; i >= 0; i--) all[t + i] = all[s + i]!;
  }

  private stos(): number {
    const { memory, state } = this.ctx;
    const to = state.segments[ES]!;
    const { size, step } = this;
    const value = state.reg32(EAX);
    const high = state.high(FIELDS.gpr, EAX);
    for (let slice = 0; ; ) {
      const { count } = this;
      if (count === 0) return this.finish(slice);
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const di = this.get(EDI);
      const n = this.run(to, di, true, count);
      const target = n > 1 ? memory.ramAt(this.base(to) + di, ACCESS.write) : -1;
      if (n > 1 && target < 0) {
        this.ctx.activity.mmioAccesses += n;
        this.fillDevice(memory.devicePhys, n, value, high);
        this.move(EDI, n);
        this.counted(n);
        slice += 64 * n;
        continue;
      }
      if (target >= 0) {
        const bytes = n * size;
        const t = step > 0 ? target : target + size - bytes;
        memory.noteWrite(t, bytes);
        const all = memory.arenaBytes;
        const byte = value & 0xff;
        const isUniform =
          size === 1 ||
          (((value >>> 8) & 0xff) === byte &&
            (size === 2 || (value >>> 16 === (value & 0xffff) && (size === 4 || high === value))));
        if (isUniform) all.fill(byte, t, t + bytes);
        else {
          const view = memory.arenaView;
          if (size >= 4)
            for (let i = 0; i < bytes; i += 4) view.setUint32(t + i, size === 8 && i & 4 ? high : value, true);
          else for (let i = 0; i < bytes; i += 2) view.setUint16(t + i, value, true);
        }
        this.move(EDI, n);
        this.counted(n);
        slice += n;
        continue;
      }
      const at = this.address(ES, di, true);
      if (size === 8) {
        memory.probeWrite(at, 8);
        memory.write(at, 4, value);
        memory.write(at + 4, 4, high);
      } else memory.write(at, size, clip(value, size));
      this.move(EDI, 1);
      this.counted(1);
      slice += 64;
    }
  }

  /** The same value to so many places of a device. */
  private fillDevice(address: number, count: number, value: number, high: number): void {
    const { size, step } = this;
    const { memory } = this.ctx.bus;
    if (size === 8) {
      for (let i = 0; i < count; i++) {
        memory.write(address + i * step, 4, value);
        memory.write(address + i * step + 4, 4, high);
      }
      return;
    }
    const element = clip(value, size);
    if (step > 0 && memory.fill?.(address, size, element, count)) return;
    for (let i = 0; i < count; i++) memory.write(address + i * step, size, element);
  }

  private lods(segment: number): number {
    const { memory, state } = this.ctx;
    for (let slice = 0; ; slice += 64) {
      const { count } = this;
      if (count === 0) return this.finish(slice);
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const at = this.address(segment, this.get(ESI), false);
      if (this.size === 8) {
        const low = memory.read(at, 4);
        state.setParts(FIELDS.gpr, low, memory.read(at + 4, 4), EAX);
        this.move(ESI, 1);
        this.counted(1);
        continue;
      }
      const value = memory.read(at, this.size);
      if (this.size === 1) state.setReg8(EAX, value);
      else if (this.size === 2) state.setReg16(EAX, value);
      else state.setReg32(EAX, value);
      this.move(ESI, 1);
      this.counted(1);
    }
  }

  /** The elements that were compared last, in lower and upper halves: what is left of them are flags, unless a fault comes first. */
  private compared: readonly [number, number, number, number] | null = null;
  private commitCompared(): void {
    if (this.compared) this.compare(...this.compared);
  }
  /** Flags of a - b; of 64 bits with their upper halves. */
  private compare(a: number, b: number, aHigh = 0, bHigh = 0): void {
    const { state } = this.ctx;
    if (this.size === 8) {
      const low = (a >>> 0) - (b >>> 0);
      const high = (aHigh - bHigh - (low < 0 ? 1 : 0)) | 0;
      const top = (~aHigh & bHigh) | ((~aHigh | bHigh) & high);
      state.setParts(FIELDS.flagResult, low, high);
      state.i32[FIELDS.flagAux.offset >>> 2] = (top & 0xc000_0000) | (((~a & b) | ((~a | b) & low)) & 8);
      return;
    }
    const bits = this.size * 8;
    const difference = a - b;
    const carries = (~a & b) | ((~a | b) & difference);
    const shifted = bits === 32 ? carries & 0xc000_0000 : (carries << (32 - bits)) & 0xc000_0000;
    const result = bits === 32 ? difference | 0 : (difference << (32 - bits)) >> (32 - bits);
    state.setParts(FIELDS.flagResult, result, this.isLong ? result >> 31 : 0);
    state.i32[FIELDS.flagAux.offset >>> 2] = shifted | (carries & 8);
  }
  private cmps(segment: number): number {
    const { memory, state } = this.ctx;
    const from = state.segments[segment]!;
    const to = state.segments[ES]!;
    for (let slice = 0; ; ) {
      const { count } = this;
      if (count === 0) {
        this.commitCompared();
        return this.finish(slice);
      }
      if (slice >= this.limit) {
        if (this.shouldPause) {
          this.commitCompared();
          return this.pause();
        }
        slice = 0;
      }
      const si = this.get(ESI);
      const di = this.get(EDI);
      const n = Math.min(this.run(from, si, false, count), this.run(to, di, false, count));
      const first = n > 1 ? memory.ramAt(this.base(from) + si, ACCESS.read) : -1;
      const second = first >= 0 ? memory.ramAt(this.base(to) + di, ACCESS.read) : -1;
      let a: number;
      let b: number;
      let aHigh = 0;
      let bHigh = 0;
      let done = 1;
      if (second >= 0) {
        const same = this.equalElements(memory.arenaView, first, second, n);
        done = Math.min(same + 1, n);
        const at = (done - 1) * this.step;
        a = load(memory.arenaView, first + at, this.size);
        b = load(memory.arenaView, second + at, this.size);
        if (this.size === 8) {
          aHigh = memory.arenaView.getUint32(first + at + 4, true);
          bHigh = memory.arenaView.getUint32(second + at + 4, true);
        }
        slice += done;
      } else {
        const left = this.address(segment, si, false);
        const right = this.address(ES, di, false);
        a = this.readWord(left);
        if (this.size === 8) aHigh = memory.read(left + 4, 4);
        b = this.readWord(right);
        if (this.size === 8) bHigh = memory.read(right + 4, 4);
        slice += 32;
      }
      this.move(ESI, done);
      this.move(EDI, done);
      this.counted(done);
      this.compared = [a, b, aHigh, bHigh];
      if ((a === b && aHigh === bHigh) === this.isRepne) {
        this.commitCompared();
        return this.finish(slice);
      }
    }
  }
  /** The element, or the lower half of 64 bits. */
  private readWord(at: number): number {
    const { size } = this;
    return this.ctx.memory.read(at, size === 8 ? 4 : size);
  }
  /** How many of `n` pairs of elements, from the first on, do not end the comparison. */
  private equalElements(view: DataView, first: number, second: number, n: number): number {
    const { size, step, isRepne } = this;
    let i = 0;
    if (size === 1) {
      const all = this.ctx.memory.arenaBytes;
      for (let at = 0; i < n && (all[first + at] === all[second + at]) !== isRepne; at += step) i++;
      return i;
    }
    const isSame = (at: number) =>
      load(view, first + at, size) === load(view, second + at, size) &&
      (size !== 8 || view.getUint32(first + at + 4, true) === view.getUint32(second + at + 4, true));
    for (let at = 0; i < n && isSame(at) !== isRepne; at += step) i++;
    return i;
  }
  private scas(): number {
    const { memory, state } = this.ctx;
    const to = state.segments[ES]!;
    const a = clip(state.reg32(EAX), this.size);
    const aHigh = this.size === 8 ? state.high(FIELDS.gpr, EAX) : 0;
    for (let slice = 0; ; ) {
      const { count } = this;
      if (count === 0) {
        this.commitCompared();
        return this.finish(slice);
      }
      if (slice >= this.limit) {
        if (this.shouldPause) {
          this.commitCompared();
          return this.pause();
        }
        slice = 0;
      }
      const di = this.get(EDI);
      const n = this.run(to, di, false, count);
      const start = n > 1 ? memory.ramAt(this.base(to) + di, ACCESS.read) : -1;
      let b: number;
      let bHigh = 0;
      let done = 1;
      if (start >= 0) {
        done = Math.min(this.passedElements(memory.arenaView, start, a, aHigh, n) + 1, n);
        const last = start + (done - 1) * this.step;
        b = load(memory.arenaView, last, this.size);
        if (this.size === 8) bHigh = memory.arenaView.getUint32(last + 4, true);
        slice += done;
      } else {
        const at = this.address(ES, di, false);
        b = this.readWord(at);
        if (this.size === 8) bHigh = memory.read(at + 4, 4);
        slice += 32;
      }
      this.move(EDI, done);
      this.counted(done);
      this.compared = [a, b, aHigh, bHigh];
      if ((a === b && aHigh === bHigh) === this.isRepne) {
        this.commitCompared();
        return this.finish(slice);
      }
    }
  }
  /** How many of `n` elements, from the first on, do not end the scan for `a`. */
  private passedElements(view: DataView, start: number, a: number, aHigh: number, n: number): number {
    const { size, step, isRepne } = this;
    let i = 0;
    if (size === 1) {
      const all = this.ctx.memory.arenaBytes;
      for (let at = start; i < n && (all[at] === a) !== isRepne; at += step) i++;
      return i;
    }
    const isSame = (at: number) => load(view, at, size) === a && (size !== 8 || view.getUint32(at + 4, true) === aHigh);
    for (let at = start; i < n && isSame(at) !== isRepne; at += step) i++;
    return i;
  }

  private ins(): number {
    const { memory, bus, state, activity } = this.ctx;
    const { size, step } = this;
    const to = state.segments[ES]!;
    const port = state.reg16(EDX);
    this.checkPort(port);
    for (let slice = 0; ; slice += 64) {
      const { count } = this;
      if (count === 0) return this.finish(slice);
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const di = this.get(EDI);
      const n = step > 0 && bus.io.readString ? this.run(to, di, true, count) : 1;
      if (n > 1) {
        const target = memory.ramAt(this.base(to) + di, ACCESS.write);
        if (target >= 0) {
          memory.noteWrite(target, n * size);
          const done = bus.io.readString!(port, size, memory.arenaBytes.subarray(target, target + n * size));
          if (done > 0) {
            this.move(EDI, done);
            this.counted(done);
            slice += done;
            continue;
          }
        }
      }
      const at = this.address(ES, di, true);
      memory.probeWrite(at, this.size);
      activity.portReads++;
      memory.write(at, this.portSize, bus.io.read(port, this.portSize));
      this.move(EDI, 1);
      this.counted(1);
    }
  }
  private outs(segment: number): number {
    const { memory, bus, state, activity } = this.ctx;
    const port = state.reg16(EDX);
    this.checkPort(port);
    for (let slice = 0; ; slice += 64) {
      const { count } = this;
      if (count === 0) return this.finish(slice);
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const value = memory.read(this.address(segment, this.get(ESI), false), this.portSize);
      this.move(ESI, 1);
      this.counted(1);
      activity.portWrites++;
      bus.io.write(port, this.portSize, value);
    }
  }
  /** Ports have at most 32 bits. */
  private get portSize(): 1 | 2 | 4 {
    const { size } = this;
    return size === 8 ? 4 : size;
  }
  private checkPort(port: number): void {
    const { state, ops } = this.ctx;
    if (state.protectedMode && (state.vm86 || state.cpl > state.iopl)) ops.checkIo(port, this.size);
  }

  /** By the names in semantics/string.ts; (segment, shape) -> 1 when the instruction has to be resumed. */
  readonly helpers: Record<string, Helper> = {
    repMovs: (segment, shape) => {
      this.begin(shape);
      return this.movs(segment);
    },
    repStos: (_segment, shape) => {
      this.begin(shape);
      return this.stos();
    },
    repLods: (segment, shape) => {
      this.begin(shape);
      return this.lods(segment);
    },
    repCmps: (segment, shape) => {
      this.begin(shape);
      return this.cmps(segment);
    },
    repScas: (_segment, shape) => {
      this.begin(shape);
      return this.scas();
    },
    repIns: (_segment, shape) => {
      this.begin(shape);
      return this.ins();
    },
    repOuts: (segment, shape) => {
      this.begin(shape);
      return this.outs(segment);
    },
  };
}

function clip(value: number, size: Size): number {
  return size >= 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
}
/** Of 64 bits the lower half. */
function load(view: DataView, at: number, size: Size): number {
  return size >= 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
}
function store(view: DataView, at: number, size: Size, value: number): void {
  if (size === 4) view.setUint32(at, value, true);
  else if (size === 2) view.setUint16(at, value, true);
  else view.setUint8(at, value);
}
