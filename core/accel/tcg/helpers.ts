/** Helpers that generated code calls by number: what is rare or heavy. Each takes up to three numbers and gives one.
 *  In an instruction that ends its block (`system`) EIP already stands behind it; a fault puts it back. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { readTsc } from '../../target/x86/msr.ts';
import {
  type CpuState,
  CR0,
  CR4,
  DESC,
  EAX,
  EBP,
  ECX,
  EDX,
  EFLAGS,
  ESP,
  FIELDS,
  FS,
  isCanonical,
  LDTR,
  linearAddress,
  SS,
  TR,
} from '../../target/x86/state.ts';
import type { CpuActivity, CpuBus, SystemOps } from '../../target/x86/system-ops.ts';
import { ExtendedState } from '../../target/x86/x87/extended-state.ts';
import { FloatUnit, type UnitContext } from '../../target/x86/x87/unit.ts';
import type { GuestMemory } from './guest-memory.ts';
import { addressArgument, createLongHelpers, highArgument, wideResult } from './long-helpers.ts';
import { StringOps, segmentAddress } from './strings.ts';
import { createSystemHelpers } from './system-helpers.ts';
import { createVectorHelpers } from './vector-helpers.ts';

/** What helpers need of the engine. */
export interface HelperContext {
  readonly state: CpuState;
  readonly bus: CpuBus;
  readonly memory: GuestMemory;
  readonly ops: SystemOps;
  readonly activity: CpuActivity;
  link(record: number): number;
  findSplit(): number;
  overLimit(): number;
  flushPage(linear: number): void;
  /** Register pointers and words of the record that called. */
  readonly record: number;
  /** EIP of the instruction that called. */
  instructionEip(): number;
  /** An external interrupt would be taken before the next instruction. */
  interruptWaits(): boolean;
  /** Puts RIP at the instruction that called: it pauses. */
  pauseAtInstruction(): void;
  /** Single step or breakpoints: repeated instructions stop after every element. */
  isStepped(): boolean;
  /** A long instruction has taken the time of so many ordinary ones. True when it should pause: the budget is spent, or an
   *  interrupt or exit request waits. */
  charge(instructions: number): boolean;
}
export type Helper = (a: number, b: number, c: number) => number;

export function createHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, bus, memory, ops, activity } = ctx;
  const strings = new StringOps(ctx);
  const unit: UnitContext = {
    state,
    memory,
    bus,
    instructionEip: () => ctx.instructionEip(),
    segmentAddress: (segment, offset, bytes, isWrite) => segmentAddress(ctx, segment, offset, bytes, isWrite),
    pauseForInterrupt: () => {
      if (!ctx.interruptWaits()) return false;
      ctx.pauseAtInstruction();
      return true;
    },
  };
  const float = new FloatUnit(unit);
  const extended = new ExtendedState(unit, float.environment);
  const ss = state.segments[SS]!;

  const requirePrivilege = () => {
    if (state.cpl !== 0) raise(state, VECTOR.GP, 0);
  };
  /** CR4.UMIP hides descriptor tables, task register and CR0 from programs. */
  const requireVisible = () => {
    if (state.cr4 & CR4.UMIP && state.cpl !== 0) raise(state, VECTOR.GP, 0);
  };
  const checkPort = (port: number, size: number) => {
    if (state.protectedMode && (state.vm86 || state.cpl > state.iopl)) ops.checkIo(port & 0xffff, size);
  };
  const stackMask = () => (ss.flags & DESC.big ? 0xffff_ffff : 0xffff);
  /** Linear address on the stack with the limit check of SS. */
  const stackLinear = (offset: number, size: number): number => {
    const at = (offset & stackMask()) >>> 0;
    const last = at + size - 1;
    const isDown = (ss.flags & DESC.expandDown) !== 0 && (ss.flags & DESC.code) === 0;
    const fits = isDown ? at > ss.limit && last <= stackMask() >>> 0 : last <= ss.limit;
    if (!fits) raise(state, VECTOR.SS, 0);
    return (ss.base + at) >>> 0;
  };
  const setSp = (value: number) => {
    const mask = stackMask();
    state.setReg32(ESP, ((state.reg32(ESP) & ~mask) | (value & mask)) >>> 0);
  };
  const size24 = (size: number): 2 | 4 => (size === 2 ? 2 : 4);
  const size248 = (size: number): 2 | 4 | 8 => (size === 8 ? 8 : size24(size));
  const truncate = (value: number, size: number) => (size === 2 ? value & 0xffff : value >>> 0);
  const setAl = (value: number) => state.setReg8(EAX, value);
  const al = () => state.reg8(EAX);
  const ah = () => state.reg8(4);
  const flagsOf = (byte: number) => {
    let parity = byte ^ (byte >> 4);
    parity = (0x9669 >> (parity & 15)) & 1;
    return (byte & 0x80 ? EFLAGS.SF : 0) | (byte === 0 ? EFLAGS.ZF : 0) | (parity ? EFLAGS.PF : 0);
  };
  const tsc = () => {
    if (state.cr4 & CR4.TSD && state.cpl !== 0 && state.protectedMode) raise(state, VECTOR.GP, 0);
    const now = readTsc(ctx);
    const high = Math.floor(now / 2 ** 32);
    state.setReg32(EAX, now - high * 2 ** 32); // exact, and much quicker than a remainder
    state.setReg32(EDX, high);
  };
  const arithmetic = (flags: number) => state.setArithmeticFlags(flags);
  const setZ = (isSet: boolean) => {
    const flags = state.getEflags();
    arithmetic(isSet ? flags | EFLAGS.ZF : flags & ~EFLAGS.ZF);
  };
  const selectorResult = (value: number, old: number): number => {
    setZ(value >= 0);
    return value >= 0 ? value : old;
  };
  const storeTable = (low: number, limit: number, base: number) => {
    const at = addressArgument(state, 0, low);
    memory.probeWrite(at, state.code64 ? 10 : 6);
    memory.write(at, 2, limit & 0xffff);
    memory.write(at + 2, 4, base >>> 0);
    if (state.code64) memory.write(at + 6, 4, Math.floor(base / 2 ** 32) >>> 0);
  };
  const loadTable = (low: number, size: number): { base: number; limit: number } => {
    const at = addressArgument(state, 0, low);
    const limit = memory.read(at, 2);
    const base = memory.read(at + 2, 4);
    if (!state.code64) return { limit, base: size === 2 ? base & 0xff_ffff : base };
    const high = memory.read(at + 6, 4);
    if (!isCanonical(high)) raise(state, VECTOR.GP, 0);
    return { limit, base: linearAddress(base, high) };
  };
  /** The pointer of a far transfer in memory: `transfer` gets selector, offset and its upper half. */
  const farPointer = (
    low: number,
    size: 2 | 4 | 8,
    transfer: (selector: number, offset: number, size: 2 | 4 | 8, high: number) => void,
  ) => {
    const at = addressArgument(state, 0, low);
    const offset = memory.read(at, size === 2 ? 2 : 4);
    const high = size === 8 ? memory.read(at + 4, 4) : 0;
    transfer(memory.read(at + size, 2), offset, size, high);
    return 0;
  };

  return {
    link: () => ctx.link(ctx.record),
    findSplit: () => ctx.findSplit(),
    overLimit: () => ctx.overLimit(),
    raise: (vector) => raise(state, vector),
    tooLong: () => raise(state, VECTOR.GP, 0),
    ud2: () => raise(state, VECTOR.UD),
    setZero: (value) => {
      setZ(value !== 0);
      return 0;
    },

    // Flags.
    denied: () => raise(state, VECTOR.GP, 0),
    sahf: (value) => {
      const kept = state.getEflags() & EFLAGS.OF;
      arithmetic(kept | (value & 0xd5));
      return 0;
    },

    // BCD.
    daa: () => {
      const flags = state.getEflags();
      const old = al();
      let value = old;
      let out = 0;
      if ((old & 15) > 9 || flags & EFLAGS.AF) {
        value += 6;
        out |= EFLAGS.AF;
      }
      if (old > 0x99 || flags & EFLAGS.CF) {
        value += 0x60;
        out |= EFLAGS.CF;
      }
      setAl(value);
      arithmetic(out | flagsOf(value & 0xff));
      return 0;
    },
    das: () => {
      const flags = state.getEflags();
      const old = al();
      let value = old;
      let out = 0;
      if ((old & 15) > 9 || flags & EFLAGS.AF) {
        if (old < 6 || flags & EFLAGS.CF) out |= EFLAGS.CF;
        value -= 6;
        out |= EFLAGS.AF;
      }
      if (old > 0x99 || flags & EFLAGS.CF) {
        value -= 0x60;
        out |= EFLAGS.CF;
      }
      setAl(value);
      arithmetic(out | flagsOf(value & 0xff));
      return 0;
    },
    aaa: () => {
      const flags = state.getEflags();
      const adjust = (al() & 15) > 9 || (flags & EFLAGS.AF) !== 0;
      if (adjust) state.setReg16(EAX, state.reg16(EAX) + 0x106);
      setAl(al() & 15);
      arithmetic((adjust ? EFLAGS.AF | EFLAGS.CF : 0) | flagsOf(al()));
      return 0;
    },
    aas: () => {
      const flags = state.getEflags();
      const adjust = (al() & 15) > 9 || (flags & EFLAGS.AF) !== 0;
      if (adjust) state.setReg16(EAX, state.reg16(EAX) - 0x106);
      setAl(al() & 15);
      arithmetic((adjust ? EFLAGS.AF | EFLAGS.CF : 0) | flagsOf(al()));
      return 0;
    },
    aam: (base) => {
      const divisor = base & 0xff;
      if (divisor === 0) raise(state, VECTOR.DE);
      const value = al();
      state.setReg16(EAX, (Math.floor(value / divisor) << 8) | (value % divisor));
      arithmetic(flagsOf(al()));
      return 0;
    },
    aad: (base) => {
      const value = (al() + ah() * (base & 0xff)) & 0xff;
      state.setReg16(EAX, value);
      arithmetic(flagsOf(value));
      return 0;
    },
    salc: () => {
      setAl(state.getEflags() & EFLAGS.CF ? 0xff : 0);
      return 0;
    },

    // Stack frames.
    pusha: (size) => {
      const sp = state.reg32(ESP);
      for (let i = 0; i < 8; i++) memory.probeWrite(stackLinear(sp - size * (i + 1), size), size);
      for (let i = 0; i < 8; i++)
        memory.write(
          stackLinear(sp - size * (i + 1), size),
          size24(size),
          truncate(i === ESP ? sp : state.reg32(i), size),
        );
      setSp(sp - 8 * size);
      return 0;
    },
    popa: (size) => {
      const sp = state.reg32(ESP);
      const values = Array.from({ length: 8 }, (_, i) => memory.read(stackLinear(sp + size * i, size), size24(size)));
      for (let i = 0; i < 8; i++) {
        if (i === 3) continue; // the stack pointer's image is skipped
        if (size === 2) state.setReg16(7 - i, values[i]!);
        else state.setReg32(7 - i, values[i]!);
      }
      setSp(sp + 8 * size);
      return 0;
    },
    enter: (bytes, nesting, size) => {
      const level = nesting & 31;
      const sp = state.reg32(ESP);
      const mask = stackMask();
      const bp = state.reg32(EBP);
      const words: number[] = [truncate(bp, size)];
      const frame = (sp - size) & mask;
      for (let i = 1; i < level; i++) words.push(memory.read(stackLinear(bp - size * i, size), size24(size)));
      if (level > 0) words.push(truncate((sp & ~mask) | frame, size));
      words.forEach((_, i) => {
        memory.probeWrite(stackLinear(sp - size * (i + 1), size), size);
      });
      const last = sp - size * words.length - (bytes & 0xffff);
      memory.probeWrite(stackLinear(last, size), size);
      words.forEach((word, i) => {
        memory.write(stackLinear(sp - size * (i + 1), size), size24(size), word);
      });
      if (size === 2) state.setReg16(EBP, sp - size);
      else state.setReg32(EBP, (sp & ~mask) | frame);
      setSp(last);
      return 0;
    },
    leave: (size) => {
      const bp = state.reg32(EBP);
      const value = memory.read(stackLinear(bp, size), size24(size));
      setSp(bp + size);
      if (size === 2) state.setReg16(EBP, value);
      else state.setReg32(EBP, value);
      return 0;
    },
    bound: (index, at, size) => {
      const signed = (value: number) => (size === 2 ? (value << 16) >> 16 : value | 0);
      const lower = signed(memory.read(at, size24(size)));
      const upper = signed(memory.read(at + size, size24(size)));
      const value = signed(index);
      if (value < lower || value > upper) raise(state, VECTOR.BR);
      return 0;
    },

    // Segments and far transfers.
    loadSegment: (index, selector) => {
      ops.loadSegment(index, selector & 0xffff);
      if (index === SS) state.interruptShadow = true;
      return 0;
    },
    pushSegment: (index, size) => {
      const sp = state.reg32(ESP) - size;
      memory.write(stackLinear(sp, size), size24(size), state.segments[index]!.selector);
      setSp(sp);
      return 0;
    },
    popSegment: (index, size) => {
      const sp = state.reg32(ESP);
      const mask = stackMask();
      const selector = memory.read(stackLinear(sp, size), size24(size)) & 0xffff;
      ops.loadSegment(index, selector);
      state.setReg32(ESP, ((sp & ~mask) | ((sp + size) & mask)) >>> 0);
      if (index === SS) state.interruptShadow = true;
      return 0;
    },
    loadFarSegment: (index, at, size) => {
      ops.loadSegment(index, memory.read(addressArgument(state, 1, at) + size, 2));
      return 0;
    },
    farJump: (selector, offset, size) => {
      ops.farJump(selector & 0xffff, truncate(offset, size), size24(size));
      return 0;
    },
    farCall: (selector, offset, size) => {
      ops.farCall(selector & 0xffff, truncate(offset, size), size24(size));
      return 0;
    },
    farJumpMemory: (at, size) => farPointer(at, size248(size), (...far) => ops.farJump(...far)),
    farCallMemory: (at, size) => farPointer(at, size248(size), (...far) => ops.farCall(...far)),
    farReturn: (size, bytes) => {
      ops.farReturn(size248(size), bytes & 0xffff);
      return 0;
    },
    iret: (size) => {
      ops.iret(size248(size));
      return 0;
    },
    int: (vector, kind) => {
      activity.softInts[vector & 0xff]!++;
      ops.softwareInterrupt(vector & 0xff, kind === 1 ? 'int3' : kind === 3 ? 'int1' : 'int');
      return 0;
    },
    into: () => {
      if (state.getEflags() & EFLAGS.OF) ops.softwareInterrupt(VECTOR.OF, 'into');
      return 0;
    },
    sysenter: () => {
      ops.sysenter();
      return 0;
    },
    sysexit: (size) => {
      ops.sysexit(size248(size));
      return 0;
    },
    syscall: () => {
      ops.syscall();
      return 0;
    },
    sysret: (size) => {
      ops.sysret(size248(size));
      return 0;
    },

    // System registers.
    sgdt: (at) => {
      requireVisible();
      storeTable(at, state.gdtLimit, state.gdtBase);
      return 0;
    },
    sidt: (at) => {
      requireVisible();
      storeTable(at, state.idtLimit, state.idtBase);
      return 0;
    },
    lgdt: (at, size) => {
      const { base, limit } = loadTable(at, size);
      state.setGdt(base, limit);
      return 0;
    },
    lidt: (at, size) => {
      const { base, limit } = loadTable(at, size);
      state.setIdt(base, limit);
      return 0;
    },
    smsw: () => {
      requireVisible();
      return state.cr0;
    },
    lmsw: (value) => {
      ops.writeCr(0, ((state.cr0 & ~0xe) | (value & 0xf)) >>> 0);
      return 0;
    },
    clts: () => {
      requirePrivilege();
      ops.writeCr(0, (state.cr0 & ~CR0.TS) >>> 0);
      return 0;
    },
    invlpg: (at) => {
      ctx.flushPage(addressArgument(state, 0, at));
      return 0;
    },
    invpcid: (at, type) => {
      ops.invpcid(type >>> 0, highArgument(state, 1), addressArgument(state, 0, at));
      return 0;
    },
    invd: () => {
      requirePrivilege();
      return 0;
    },
    wbinvd: () => {
      requirePrivilege();
      return 0;
    },
    sldt: () => {
      requireVisible();
      return state.segments[LDTR]!.selector;
    },
    str: () => {
      requireVisible();
      return state.segments[TR]!.selector;
    },
    lldt: (selector) => {
      ops.lldt(selector & 0xffff);
      return 0;
    },
    ltr: (selector) => {
      ops.ltr(selector & 0xffff);
      return 0;
    },
    verr: (selector) => {
      setZ(ops.verr(selector & 0xffff));
      return 0;
    },
    verw: (selector) => {
      setZ(ops.verw(selector & 0xffff));
      return 0;
    },
    lar: (selector, old) => {
      return selectorResult(ops.lar(selector & 0xffff), old);
    },
    lsl: (selector, old) => {
      return selectorResult(ops.lsl(selector & 0xffff), old);
    },
    readCr: (index) => {
      if (index === 1 || (index > 4 && index !== 8)) raise(state, VECTOR.UD);
      requirePrivilege();
      const high = index === 2 ? state.high(FIELDS.cr2) : index === 3 ? state.high(FIELDS.cr3) : 0;
      return wideResult(state, ops.readCr(index), high);
    },
    writeCr: (index, value) => {
      if (index === 1 || (index > 4 && index !== 8)) raise(state, VECTOR.UD);
      requirePrivilege();
      ops.writeCr(index, value >>> 0, highArgument(state, 1));
      activity.modeSwitches++;
      return 0;
    },
    readDr: (index) => {
      requirePrivilege();
      return wideResult(state, ops.readDr(index), index < 4 ? state.high(FIELDS.dr, index) : 0);
    },
    writeDr: (index, value) => {
      requirePrivilege();
      ops.writeDr(index, value >>> 0, highArgument(state, 1));
      return 0;
    },
    cpuid: () => {
      ops.cpuid();
      return 0;
    },
    rdmsr: () => {
      requirePrivilege();
      ops.rdmsr();
      return 0;
    },
    wrmsr: () => {
      requirePrivilege();
      ops.wrmsr();
      return 0;
    },
    rdtsc: () => {
      tsc();
      return 0;
    },
    rdtscp: () => {
      tsc();
      state.setReg32(ECX, state.low(FIELDS.tscAux));
      return 0;
    },
    rdpmc: () => raise(state, VECTOR.GP, 0),
    rsm: () => {
      ops.rsm();
      return 0;
    },
    hlt: () => {
      requirePrivilege();
      state.interruptShadow = false; // HLT itself was the instruction that STI lets pass
      state.halted = true;
      bus.haltedChanged?.(true);
      return 0;
    },
    pause: () => {
      activity.pauses++;
      return 0;
    },

    // Ports.
    checkPort: (port, size) => {
      checkPort(port, size);
      return 0;
    },
    in: (port, size) => {
      checkPort(port, size);
      activity.portReads++;
      memory.watch?.port(port & 0xffff, size);
      return bus.io.read(port & 0xffff, size as 1 | 2 | 4);
    },
    out: (port, size, value) => {
      checkPort(port, size);
      activity.portWrites++;
      memory.watch?.port(port & 0xffff, size);
      const clipped = size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
      bus.io.write(port & 0xffff, size as 1 | 2 | 4, clipped);
      return 0;
    },

    // Floating point.
    x87: (code, offset) => float.execute(code, addressArgument(state, 1, offset)),
    x87At: (code, low) => {
      const linear = addressArgument(state, 1, low);
      const segment = (code >>> 8) & 7;
      const base = state.code64 && segment < FS ? 0 : state.segments[segment]!.base;
      return float.execute(code, state.code64 ? linear - base : (linear - base) >>> 0);
    },
    x87Ready: (waits) => float.checkReady(waits !== 0),
    x87Rare: (code, offset) => float.execute(code, addressArgument(state, 1, offset)),
    mmxUnavailable: () => {
      if (state.cr0 & CR0.EM) raise(state, VECTOR.UD);
      return float.checkReady(true);
    },
    wait: () => float.wait(),
    fxsave: (place, offset, size) => {
      float.environment.save((place >>> 8) & 7, addressArgument(state, 1, offset), size === 8);
      return 0;
    },
    fxrstor: (place, offset, size) => {
      float.environment.restore((place >>> 8) & 7, addressArgument(state, 1, offset), size === 8);
      return 0;
    },

    xsave: (place, offset, size) => {
      extended.save((place >>> 8) & 7, addressArgument(state, 1, offset), size === 8);
      return 0;
    },
    xsaveopt: (place, offset, size) => {
      extended.save((place >>> 8) & 7, addressArgument(state, 1, offset), size === 8);
      return 0;
    },
    xrstor: (place, offset, size) => {
      extended.restore((place >>> 8) & 7, addressArgument(state, 1, offset), size === 8);
      return 0;
    },
    xgetbv: () => {
      ops.xgetbv();
      return 0;
    },
    xsetbv: () => {
      ops.xsetbv();
      return 0;
    },

    ...strings.helpers,
    ...createSystemHelpers(ctx),
    ...createLongHelpers(ctx),
    ...createVectorHelpers(ctx),
  };
}
