/** Repeated string instructions: whole pages at a time where both sides are plain RAM, else element by element. They stop at
 *  page ends for faults (registers always show what is done) and pause for interrupts. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { DESC, EAX, ECX, EDI, EDX, ES, ESI, FIELDS, type SegmentRegister, SS } from '../../target/x86/state.ts';
import { ACCESS } from '../../target/x86/system-ops.ts';
import type { Helper, HelperContext } from './helpers.ts';

type Size = 1 | 2 | 4;
/** Elements (of plain RAM; others weigh more) between looks at the interrupt line. */
const SLICE = 65536;

/** Raises #GP (or #SS) unless `size` bytes at `offset` may be accessed; gives the linear address. */
export function segmentAddress(
  ctx: HelperContext,
  index: number,
  offset: number,
  size: number,
  isWrite: boolean,
): number {
  const { state } = ctx;
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
    this.isRepne = (shape & 0x200) !== 0;
    this.step = (this.ctx.state.u32[FIELDS.direction.offset >>> 2]! | 0) * this.size;
    this.limit = this.ctx.isStepped() ? 1 : SLICE;
    this.ctx.activity.stringOps++;
  }
  private get(index: number): number {
    const { state } = this.ctx;
    return this.isAddress16 ? state.reg16(index) : state.reg32(index);
  }
  private set(index: number, value: number): void {
    const { state } = this.ctx;
    if (this.isAddress16) state.setReg16(index, value);
    else state.setReg32(index, value);
  }
  private move(index: number, elements: number): void {
    this.set(index, (this.get(index) + this.step * elements) >>> 0);
  }

  /** Elements from `offset` on that can be done in one go: inside the page, inside the segment without wrap, ascending. 0: none. */
  private run(segment: SegmentRegister, offset: number, isWrite: boolean, want: number): number {
    if (this.ctx.isStepped()) return 0;
    if (this.step < 0) return this.runDown(segment, offset, isWrite, want);
    const end = isWrite ? segment.writeEnd : segment.readEnd;
    if (offset >= end) return 0;
    const linear = (segment.base + offset) >>> 0;
    const inPage = 4096 - (linear & 0xfff);
    const inSegment = end === 0xffff_ffff ? end - offset : end + 14 - offset;
    const bytes = Math.min(inPage, inSegment, this.isAddress16 ? 0x10000 - offset : 0xffff_ffff);
    return Math.min(want, Math.floor(bytes / this.size));
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
    return this.ctx.isStepped() || this.ctx.charge(SLICE / 16);
  }

  private movs(segment: number): number {
    const { memory, state } = this.ctx;
    const from = state.segments[segment]!;
    const to = state.segments[ES]!;
    const { size, step } = this;
    for (let slice = 0; ; ) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const si = this.get(ESI);
      const di = this.get(EDI);
      const n = Math.min(this.run(from, si, false, count), this.run(to, di, true, count));
      if (n > 1) {
        const source = memory.ramAt((from.base + si) >>> 0, ACCESS.read);
        const sourcePhys = memory.devicePhys;
        const target = memory.ramAt((to.base + di) >>> 0, ACCESS.write);
        if (source < 0 || target < 0) {
          this.moveByBus(source, sourcePhys, target, memory.devicePhys, n);
          this.move(ESI, n);
          this.move(EDI, n);
          this.set(ECX, count - n);
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
          this.set(ECX, count - n);
          slice += n;
          continue;
        }
      }
      const value = memory.read(this.address(segment, si, false), size);
      memory.write(this.address(ES, di, true), size, value);
      this.move(ESI, 1);
      this.move(EDI, 1);
      this.set(ECX, count - 1);
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
        if (size === 4) view.setUint32(t + at, view.getUint32(s + at, true), true);
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
    for (let slice = 0; ; ) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const di = this.get(EDI);
      const n = this.run(to, di, true, count);
      const target = n > 1 ? memory.ramAt((to.base + di) >>> 0, ACCESS.write) : -1;
      if (n > 1 && target < 0) {
        const phys = memory.devicePhys;
        this.ctx.activity.mmioAccesses += n;
        for (let i = 0, at = phys; i < n; i++, at += step) this.ctx.bus.memory.write(at, size, clip(value, size));
        this.move(EDI, n);
        this.set(ECX, count - n);
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
          size === 1 || (((value >>> 8) & 0xff) === byte && (size === 2 || value >>> 16 === (value & 0xffff)));
        if (isUniform) all.fill(byte, t, t + bytes);
        else {
          const view = memory.arenaView;
          if (size === 4) for (let i = 0; i < bytes; i += 4) view.setUint32(t + i, value, true);
          else for (let i = 0; i < bytes; i += 2) view.setUint16(t + i, value, true);
        }
        this.move(EDI, n);
        this.set(ECX, count - n);
        slice += n;
        continue;
      }
      memory.write(this.address(ES, di, true), size, clip(value, size));
      this.move(EDI, 1);
      this.set(ECX, count - 1);
      slice += 64;
    }
  }

  private lods(segment: number): number {
    const { memory, state } = this.ctx;
    for (let slice = 0; ; slice += 64) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const value = memory.read(this.address(segment, this.get(ESI), false), this.size);
      if (this.size === 1) state.setReg8(EAX, value);
      else if (this.size === 2) state.setReg16(EAX, value);
      else state.setReg32(EAX, value);
      this.move(ESI, 1);
      this.set(ECX, count - 1);
    }
  }

  /** Flags of a - b. */
  private compare(a: number, b: number): void {
    const { state } = this.ctx;
    const bits = this.size * 8;
    const difference = a - b;
    const carries = (~a & b) | ((~a | b) & difference);
    const shifted = bits === 32 ? carries & 0xc000_0000 : (carries << (32 - bits)) & 0xc000_0000;
    const result = bits === 32 ? difference | 0 : (difference << (32 - bits)) >> (32 - bits);
    state.i32[FIELDS.flagResult.offset >>> 2] = result;
    state.i32[FIELDS.flagAux.offset >>> 2] = shifted | (carries & 8);
  }
  private cmps(segment: number): number {
    const { memory, state } = this.ctx;
    const from = state.segments[segment]!;
    const to = state.segments[ES]!;
    for (let slice = 0; ; ) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const si = this.get(ESI);
      const di = this.get(EDI);
      const n = Math.min(this.run(from, si, false, count), this.run(to, di, false, count));
      const first = n > 1 ? memory.ramAt((from.base + si) >>> 0, ACCESS.read) : -1;
      const second = first >= 0 ? memory.ramAt((to.base + di) >>> 0, ACCESS.read) : -1;
      let a: number;
      let b: number;
      let done = 1;
      if (second >= 0) {
        const same = this.equalElements(memory.arenaView, first, second, n);
        done = Math.min(same + 1, n);
        const at = (done - 1) * this.step;
        a = load(memory.arenaView, first + at, this.size);
        b = load(memory.arenaView, second + at, this.size);
        slice += done;
      } else {
        a = memory.read(this.address(segment, si, false), this.size);
        b = memory.read(this.address(ES, di, false), this.size);
        slice += 32;
      }
      this.move(ESI, done);
      this.move(EDI, done);
      this.set(ECX, count - done);
      this.compare(a, b);
      if ((a === b) === this.isRepne) return 0;
    }
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
    for (let at = 0; i < n && (load(view, first + at, size) === load(view, second + at, size)) !== isRepne; at += step)
      i++;
    return i;
  }
  private scas(): number {
    const { memory, state } = this.ctx;
    const to = state.segments[ES]!;
    const a = clip(state.reg32(EAX), this.size);
    for (let slice = 0; ; ) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const di = this.get(EDI);
      const n = this.run(to, di, false, count);
      const start = n > 1 ? memory.ramAt((to.base + di) >>> 0, ACCESS.read) : -1;
      let b: number;
      let done = 1;
      if (start >= 0) {
        done = Math.min(this.passedElements(memory.arenaView, start, a, n) + 1, n);
        b = load(memory.arenaView, start + (done - 1) * this.step, this.size);
        slice += done;
      } else {
        b = memory.read(this.address(ES, di, false), this.size);
        slice += 32;
      }
      this.move(EDI, done);
      this.set(ECX, count - done);
      this.compare(a, b);
      if ((a === b) === this.isRepne) return 0;
    }
  }
  /** How many of `n` elements, from the first on, do not end the scan for `a`. */
  private passedElements(view: DataView, start: number, a: number, n: number): number {
    const { size, step, isRepne } = this;
    let i = 0;
    if (size === 1) {
      const all = this.ctx.memory.arenaBytes;
      for (let at = start; i < n && (all[at] === a) !== isRepne; at += step) i++;
      return i;
    }
    for (let at = start; i < n && (load(view, at, size) === a) !== isRepne; at += step) i++;
    return i;
  }

  private ins(): number {
    const { memory, bus, state, activity } = this.ctx;
    const { size, step } = this;
    const to = state.segments[ES]!;
    const port = state.reg16(EDX);
    this.checkPort(port);
    for (let slice = 0; ; slice += 64) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const di = this.get(EDI);
      const n = step > 0 && bus.io.readString ? this.run(to, di, true, count) : 1;
      if (n > 1) {
        const target = memory.ramAt((to.base + di) >>> 0, ACCESS.write);
        if (target >= 0) {
          memory.noteWrite(target, n * size);
          const done = bus.io.readString!(port, size, memory.arenaBytes.subarray(target, target + n * size));
          if (done > 0) {
            this.move(EDI, done);
            this.set(ECX, count - done);
            slice += done;
            continue;
          }
        }
      }
      const at = this.address(ES, di, true);
      memory.probeWrite(at, this.size);
      activity.portReads++;
      memory.write(at, this.size, bus.io.read(port, this.size));
      this.move(EDI, 1);
      this.set(ECX, count - 1);
    }
  }
  private outs(segment: number): number {
    const { memory, bus, state, activity } = this.ctx;
    const port = state.reg16(EDX);
    this.checkPort(port);
    for (let slice = 0; ; slice += 64) {
      const count = this.get(ECX);
      if (count === 0) return 0;
      if (slice >= this.limit) {
        if (this.shouldPause) return this.pause();
        slice = 0;
      }
      const value = memory.read(this.address(segment, this.get(ESI), false), this.size);
      this.move(ESI, 1);
      this.set(ECX, count - 1);
      activity.portWrites++;
      bus.io.write(port, this.size, value);
    }
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
  return size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
}
function load(view: DataView, at: number, size: Size): number {
  return size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
}
function store(view: DataView, at: number, size: Size, value: number): void {
  if (size === 4) view.setUint32(at, value, true);
  else if (size === 2) view.setUint16(at, value, true);
  else view.setUint8(at, value);
}
