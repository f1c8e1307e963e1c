/** Images of the x87 unit in memory: the environment in its four layouts, FSAVE's, and FXSAVE's (Intel SDM volume 1, 8.1.10 and
 *  10.5). Not modelled: FFXSR, which leaves the XMM registers out at CPL 0 in long mode. */
import { raise, VECTOR } from '../fault.ts';
import { type CpuState, CR0, CR4, FIELDS, type StateField } from '../state.ts';
import type { FloatUnit, UnitContext } from './unit.ts';

const FPR = FIELDS.fpr.offset >>> 2;
/** Bits of MXCSR that exist. */
export const MXCSR_MASK = 0xffff;

/** Vector registers that FXSAVE knows. */
export const vectorCount = (state: CpuState) => (state.code64 ? 16 : 8);

export class FloatEnvironment {
  private readonly ctx: UnitContext;
  private readonly unit: FloatUnit;
  constructor(ctx: UnitContext, unit: FloatUnit) {
    this.ctx = ctx;
    this.unit = unit;
  }

  private word(field: StateField): number {
    return this.ctx.state.low(field);
  }
  /** Two bits for each physical register: valid, zero, special, empty. */
  private tags(): number {
    const { u32 } = this.ctx.state;
    const empty = this.word(FIELDS.fpuEmpty);
    let tags = 0;
    for (let p = 0; p < 8; p++) {
      const at = FPR + p * 4;
      const exponent = u32[at + 2]! & 0x7fff;
      let tag = 0;
      if ((empty >>> p) & 1) tag = 3;
      else if (exponent === 0) tag = (u32[at]! | u32[at + 1]!) === 0 ? 1 : 2;
      else if (exponent === 0x7fff || u32[at + 1]! < 0x8000_0000) tag = 2;
      tags |= tag << (p * 2);
    }
    return tags;
  }
  private isReal(): boolean {
    const { state } = this.ctx;
    return !state.protectedMode || state.vm86;
  }
  /** The seven words of an environment. */
  private image(isWide: boolean): number[] {
    const { unit } = this;
    const head = [this.word(FIELDS.fpuControl), unit.status, this.tags()];
    const opcode = this.word(FIELDS.fpuOpcode) & 0x7ff;
    const ip = this.word(FIELDS.fpuIp);
    const dp = this.word(FIELDS.fpuDp);
    const cs = this.word(FIELDS.fpuIpSelector);
    const ds = this.word(FIELDS.fpuDpSelector);
    if (!this.isReal()) {
      if (!isWide) return [...head, ip & 0xffff, cs, dp & 0xffff, ds];
      return [
        ...head.map((w) => (w | 0xffff_0000) >>> 0),
        ip,
        (cs | (opcode << 16)) >>> 0,
        dp,
        (ds | 0xffff_0000) >>> 0,
      ];
    }
    const ipLinear = ((cs << 4) + ip) >>> 0;
    const dpLinear = ((ds << 4) + dp) >>> 0;
    if (!isWide)
      return [
        ...head,
        ipLinear & 0xffff,
        ((ipLinear >>> 4) & 0xf000) | opcode,
        dpLinear & 0xffff,
        (dpLinear >>> 4) & 0xf000,
      ];
    return [
      ...head.map((w) => (w | 0xffff_0000) >>> 0),
      ((ipLinear & 0xffff) | 0xffff_0000) >>> 0,
      (((ipLinear >>> 16) << 12) | opcode) >>> 0,
      ((dpLinear & 0xffff) | 0xffff_0000) >>> 0,
      ((dpLinear >>> 16) << 12) >>> 0,
    ];
  }
  private store(at: number, isWide: boolean): void {
    const size = isWide ? 4 : 2;
    this.image(isWide).forEach((w, i) => {
      this.ctx.memory.write(at + i * size, size, isWide ? w : w & 0xffff);
    });
  }
  private fetch(at: number, isWide: boolean): number[] {
    const size = isWide ? 4 : 2;
    return Array.from({ length: 7 }, (_, i) => this.ctx.memory.read(at + i * size, size));
  }
  private load(image: readonly number[], isWide: boolean): void {
    const { state } = this.ctx;
    const [control, status, tags, ip, ipRest, dp, dpRest] = image as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    let empty = 0;
    for (let p = 0; p < 8; p++) if (((tags >>> (p * 2)) & 3) === 3) empty |= 1 << p;
    state.set(FIELDS.fpuEmpty, empty);
    this.setStatus(status);
    this.unit.setControl(control & 0xffff);
    if (!this.isReal()) {
      state.set(FIELDS.fpuIp, ip);
      state.set(FIELDS.fpuIpSelector, ipRest & 0xffff);
      state.set(FIELDS.fpuDp, dp);
      state.set(FIELDS.fpuDpSelector, dpRest & 0xffff);
      if (isWide) state.set(FIELDS.fpuOpcode, (ipRest >>> 16) & 0x7ff);
      return;
    }
    const upper = (w: number) => (isWide ? ((w >>> 12) & 0xffff) << 16 : (w & 0xf000) << 4);
    state.set(FIELDS.fpuIp, ((ip & 0xffff) | upper(ipRest)) >>> 0);
    state.set(FIELDS.fpuIpSelector, 0);
    state.set(FIELDS.fpuDp, ((dp & 0xffff) | upper(dpRest)) >>> 0);
    state.set(FIELDS.fpuDpSelector, 0);
    state.set(FIELDS.fpuOpcode, ipRest & 0x7ff);
  }
  private setStatus(status: number): void {
    const { state } = this.ctx;
    state.set(FIELDS.fpuTop, (status >>> 11) & 7);
    state.set(FIELDS.fpuStatus, status & 0xffff & ~0x3800);
  }

  fnstenv(segment: number, offset: number, isWide: boolean): void {
    const bytes = isWide ? 28 : 14;
    const at = this.ctx.segmentAddress(segment, offset, bytes, true);
    this.ctx.memory.probeWrite(at, bytes);
    this.store(at, isWide);
    this.unit.setControl(this.word(FIELDS.fpuControl) | 0x3f);
  }
  fldenv(segment: number, offset: number, isWide: boolean): void {
    const at = this.ctx.segmentAddress(segment, offset, isWide ? 28 : 14, false);
    this.load(this.fetch(at, isWide), isWide);
  }
  fnsave(segment: number, offset: number, isWide: boolean): void {
    const { memory, state } = this.ctx;
    const head = isWide ? 28 : 14;
    const at = this.ctx.segmentAddress(segment, offset, head + 80, true);
    memory.probeWrite(at, head + 80);
    this.store(at, isWide);
    const top = this.word(FIELDS.fpuTop);
    for (let i = 0; i < 8; i++) {
      const from = FPR + ((top + i) & 7) * 4;
      const to = at + head + i * 10;
      memory.write(to, 4, state.u32[from]!);
      memory.write(to + 4, 4, state.u32[from + 1]!);
      memory.write(to + 8, 2, state.u32[from + 2]! & 0xffff);
    }
    this.unit.initialize();
  }
  frstor(segment: number, offset: number, isWide: boolean): void {
    const { memory, state } = this.ctx;
    const head = isWide ? 28 : 14;
    const at = this.ctx.segmentAddress(segment, offset, head + 80, false);
    const image = this.fetch(at, isWide);
    const registers = Array.from({ length: 8 }, (_, i) => {
      const from = at + head + i * 10;
      return [memory.read(from, 4), memory.read(from + 4, 4), memory.read(from + 8, 2)] as const;
    });
    this.load(image, isWide);
    const top = this.word(FIELDS.fpuTop);
    registers.forEach((words, i) => {
      words.forEach((w, k) => {
        state.u32[FPR + ((top + i) & 7) * 4 + k] = w;
      });
    });
  }

  private requireAvailable(): void {
    const { state } = this.ctx;
    if (state.cr0 & CR0.EM || state.cr0 & CR0.TS) raise(state, VECTOR.NM);
  }
  private extended(segment: number, offset: number, isWrite: boolean): number {
    this.requireAvailable();
    const at = this.ctx.segmentAddress(segment, offset, 512, isWrite);
    if (at & 15) raise(this.ctx.state, VECTOR.GP, 0);
    return at;
  }
  /** FXSAVE. */
  save(segment: number, offset: number, isWide = false): void {
    const { state, memory } = this.ctx;
    const at = this.extended(segment, offset, true);
    memory.probeWrite(at, 512);
    this.storeUnit(at, isWide);
    const write = (place: number, value: number) => memory.write(at + place, 4, value >>> 0);
    write(24, this.word(FIELDS.mxcsr));
    write(28, MXCSR_MASK);
    if (!(state.cr4 & CR4.OSFXSR)) return;
    for (let i = 0; i < vectorCount(state); i++)
      for (let k = 0; k < 4; k++) write(160 + i * 16 + k * 4, state.u32[(FIELDS.xmm.offset >>> 2) + i * 16 + k]!);
  }
  /** The x87 unit's part of an image of FXSAVE or XSAVE at a linear address. `isWide`: with REX.W. */
  storeUnit(at: number, isWide: boolean): void {
    const { state, memory } = this.ctx;
    const write = (place: number, value: number) => memory.write(at + place, 4, value >>> 0);
    write(0, this.word(FIELDS.fpuControl) | (this.unit.status << 16));
    write(4, (~this.word(FIELDS.fpuEmpty) & 0xff) | (this.word(FIELDS.fpuOpcode) << 16));
    write(8, this.word(FIELDS.fpuIp));
    write(12, isWide ? this.ctx.state.high(FIELDS.fpuIp) : this.word(FIELDS.fpuIpSelector));
    write(16, this.word(FIELDS.fpuDp));
    write(20, isWide ? this.ctx.state.high(FIELDS.fpuDp) : this.word(FIELDS.fpuDpSelector));
    const top = this.word(FIELDS.fpuTop);
    for (let i = 0; i < 8; i++) {
      const from = FPR + ((top + i) & 7) * 4;
      for (let k = 0; k < 3; k++)
        write(32 + i * 16 + k * 4, k === 2 ? state.u32[from + 2]! & 0xffff : state.u32[from + k]!);
      write(44 + i * 16, 0);
    }
  }
  /** FXRSTOR. */
  restore(segment: number, offset: number, isWide = false): void {
    const { state, memory } = this.ctx;
    const at = this.extended(segment, offset, false);
    const image = Array.from({ length: 104 }, (_, i) => memory.read(at + i * 4, 4));
    const hasSse = (state.cr4 & CR4.OSFXSR) !== 0;
    if (hasSse && image[6]! & ~MXCSR_MASK) raise(state, VECTOR.GP, 0);
    this.loadUnit(image, isWide);
    if (!hasSse) return;
    state.mxcsr = image[6]!;
    for (let i = 0; i < vectorCount(state); i++)
      for (let k = 0; k < 4; k++) state.u32[(FIELDS.xmm.offset >>> 2) + i * 16 + k] = image[40 + i * 4 + k]!;
  }
  /** Its opposite, from the dwords of the image. */
  loadUnit(image: readonly number[], isWide: boolean): void {
    const { state } = this.ctx;
    state.set(FIELDS.fpuEmpty, ~image[1]! & 0xff);
    this.setStatus(image[0]! >>> 16);
    this.unit.setControl(image[0]! & 0xffff);
    state.set(FIELDS.fpuOpcode, (image[1]! >>> 16) & 0x7ff);
    state.setParts(FIELDS.fpuIp, image[2]!, isWide ? image[3]! : 0);
    state.set(FIELDS.fpuIpSelector, isWide ? 0 : image[3]! & 0xffff);
    state.setParts(FIELDS.fpuDp, image[4]!, isWide ? image[5]! : 0);
    state.set(FIELDS.fpuDpSelector, isWide ? 0 : image[5]! & 0xffff);
    const top = this.word(FIELDS.fpuTop);
    for (let i = 0; i < 8; i++) {
      const to = FPR + ((top + i) & 7) * 4;
      state.u32[to] = image[8 + i * 4]!;
      state.u32[to + 1] = image[9 + i * 4]!;
      state.u32[to + 2] = image[10 + i * 4]! & 0xffff;
    }
  }
}
