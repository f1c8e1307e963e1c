/** Model-specific registers (Intel SDM volume 4, AMD APM volume 2 appendix A) as QEMU 7.2's TCG has them: what is not listed
 *  reads as zero and ignores writes, where a real CPU raises #GP. */
import type { CpuDefinition } from './cpu-definition.ts';
import { raise, VECTOR } from './fault.ts';
import { EAX, ECX, EDX, EFER, FIELDS, FS, isCanonical, type StateField } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** Numbers of the registers that are treated specially. */
export const MSR = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  SMI_COUNT: 0x34,
  CORE_THREAD_COUNT: 0x35,
  UCODE_REV: 0x8b,
  SYSENTER_CS: 0x174,
  MTRR_CAP: 0xfe,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MCG_CTL: 0x17b,
  PERF_STATUS: 0x198,
  TSC_DEADLINE: 0x6e0,
  X2APIC: 0x800,
  X2APIC_LAST: 0x8ff,
  MTRR_PHYS: 0x200,
  MC0_CTL: 0x400,
  PKRS: 0x6e1,
  VM_HSAVE_PA: 0xc001_0117,
  EFER: 0xc000_0080,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
} as const;

/** Machine-check banks; what MCG_CAP says of them: control register present, software error recovery. */
export const MC_BANKS = 10;
const MCG_CAP = (1 << 8) | (1 << 24) | MC_BANKS;
/** 8 variable ranges, fixed ranges, write combining. */
const MTRR_CAP = 8 | (1 << 8) | (1 << 10);

/** Registers that are nothing but storage. */
const PLAIN: ReadonlyMap<number, readonly [StateField, index: number]> = new Map(
  (
    [
      [0x174, FIELDS.sysenterCs],
      [0x175, FIELDS.sysenterEsp],
      [0x176, FIELDS.sysenterEip],
      [0x1a0, FIELDS.miscEnable],
      [0x277, FIELDS.pat],
      [0x2ff, FIELDS.mtrrDefType],
      [0xc000_0081, FIELDS.star],
      [0xc000_0082, FIELDS.lstar],
      [0xc000_0083, FIELDS.cstar],
      [0xc000_0084, FIELDS.fmask],
      [0xc000_0102, FIELDS.kernelGsBase],
      [0xc000_0103, FIELDS.tscAux],
    ] as const
  )
    .map(([number, field]): [number, readonly [StateField, number]] => [number, [field, 0]])
    .concat([0x250, 0x258, 0x259].map((number, i) => [number, [FIELDS.mtrrFixed, i]]))
    .concat(Array.from({ length: 8 }, (_, i) => [0x268 + i, [FIELDS.mtrrFixed, 3 + i]])),
);

/** Whether the CPU has machine-check registers: P6 and later with MCE and MCA. */
export function hasMachineCheck(cpu: CpuDefinition): boolean {
  return cpu.family >= 6 && cpu.features.has('mce') && cpu.features.has('mca');
}

const TWO32 = 0x1_0000_0000;

/** The time-stamp counter as RDTSC shows it: the machine's clock plus what the guest wrote. */
export function readTsc(ctx: Pick<CpuContext, 'state' | 'bus'>): number {
  const offset = ctx.state.low(FIELDS.tscOffset) + (ctx.state.high(FIELDS.tscOffset) | 0) * TWO32;
  const sum = ctx.bus.tscNow() + offset;
  return sum < 0 ? sum + TWO32 * TWO32 : sum;
}

/** Values that TCG refuses although nothing here uses the register: protection keys beyond 32 bits, a host save area of SVM that
 *  is no page. */
function checkValue(ctx: CpuContext, number: number, low: number, high: number): void {
  const isBad = (number === MSR.PKRS && high !== 0) || (number === MSR.VM_HSAVE_PA && (low & 0xfff) !== 0);
  if (isBad) raise(ctx.state, VECTOR.GP, 0);
}

function requirePrivilege(ctx: CpuContext): void {
  if (ctx.state.cpl !== 0) raise(ctx.state, VECTOR.GP, 0);
}

/** Registers whose linear addresses must be canonical; SYSENTER's are as TCG has them. */
const ADDRESSES = new Set([0xc000_0082, 0xc000_0083, 0xc000_0102, MSR.FS_BASE, MSR.GS_BASE]);
/** The segment whose base a register is, or null. */
function segmentOf(ctx: CpuContext, number: number) {
  return number === MSR.FS_BASE || number === MSR.GS_BASE ? ctx.state.segments[FS + number - MSR.FS_BASE]! : null;
}

/** RDMSR: ECX names, EDX:EAX receives. */
export function rdmsr(ctx: CpuContext, cpu: CpuDefinition): void {
  requirePrivilege(ctx);
  const { state } = ctx;
  const put = (low: number, high = 0) => {
    state.setReg32(EAX, low);
    state.setReg32(EDX, high);
  };
  const putField = (field: StateField, index = 0) => put(state.low(field, index), state.high(field, index));
  const number = state.reg32(ECX);
  const plain = PLAIN.get(number);
  if (plain) {
    putField(plain[0], plain[1]);
    return;
  }
  const segment = segmentOf(ctx, number);
  if (segment) {
    put(segment.base >>> 0, Math.floor(segment.base / TWO32) >>> 0);
    return;
  }
  if (number >= MSR.MTRR_PHYS && number < MSR.MTRR_PHYS + 16) {
    putField(number & 1 ? FIELDS.mtrrPhysMask : FIELDS.mtrrPhysBase, (number & 15) >>> 1);
    return;
  }
  if (number >= MSR.MC0_CTL && number < MSR.MC0_CTL + MC_BANKS * 4 && hasMachineCheck(cpu)) {
    putField(FIELDS.mcBanks, number - MSR.MC0_CTL);
    return;
  }
  const { apic } = ctx.bus;
  if (apic && number >= MSR.X2APIC && number <= MSR.X2APIC_LAST) {
    const value = apic.readX2apic(number - MSR.X2APIC, false);
    if (value < 0) raise(state, VECTOR.GP, 0);
    put(value, apic.readX2apic(number - MSR.X2APIC, true));
    return;
  }
  switch (number) {
    case MSR.TSC_DEADLINE:
      put(apic?.readDeadline(false) ?? 0, apic?.readDeadline(true) ?? 0);
      return;
    case MSR.TSC: {
      const tsc = readTsc(ctx);
      put(tsc % TWO32, Math.floor(tsc / TWO32));
      return;
    }
    case MSR.APIC_BASE: {
      const base = ctx.bus.apic?.readBase() ?? state.get(FIELDS.apicBase);
      put(base % TWO32, Math.floor(base / TWO32));
      return;
    }
    case MSR.SMI_COUNT:
      put(state.low(FIELDS.smiCount));
      return;
    case MSR.CORE_THREAD_COUNT:
      put(((cpu.coresPerPackage * cpu.threadsPerCore) | (cpu.coresPerPackage << 16)) >>> 0);
      return;
    case MSR.UCODE_REV:
      cpu.vendor === 'AuthenticAMD' ? put(0x0100_0065) : put(0, 1);
      return;
    case MSR.MTRR_CAP:
      put(cpu.features.has('mtrr') ? MTRR_CAP : 0);
      return;
    case MSR.MCG_CAP:
      put(hasMachineCheck(cpu) ? MCG_CAP : 0);
      return;
    case MSR.MCG_STATUS:
      putField(FIELDS.mcgStatus);
      return;
    case MSR.MCG_CTL:
      hasMachineCheck(cpu) ? putField(FIELDS.mcgCtl) : put(0);
      return;
    case MSR.PERF_STATUS:
      put(1000, 4 << 8); // TSC increment by tick; CPU multiplier 4 in bits 47:40
      return;
    case MSR.EFER:
      putField(FIELDS.efer);
      return;
    default:
      ctx.bus.log('unimp', () => `RDMSR 0x${number.toString(16)}: reads as 0`);
      put(0);
      return;
  }
}

/** WRMSR: ECX names, EDX:EAX is written. */
export function wrmsr(ctx: CpuContext, cpu: CpuDefinition): void {
  requirePrivilege(ctx);
  const { state } = ctx;
  const low = state.reg32(EAX);
  const high = state.reg32(EDX);
  const number = state.reg32(ECX);
  checkValue(ctx, number, low, high);
  if (cpu.features.has('lm') && ADDRESSES.has(number) && !isCanonical(high)) raise(state, VECTOR.GP, 0);
  segmentOf(ctx, number)?.setBase(low, high);
  if (number === MSR.FS_BASE || number === MSR.GS_BASE) return;
  if (number === MSR.SYSENTER_CS) {
    state.set(FIELDS.sysenterCs, low & 0xffff);
    return;
  }
  const plain = PLAIN.get(number);
  if (plain) {
    state.setParts(plain[0], low, high, plain[1]);
    return;
  }
  if (number >= MSR.MTRR_PHYS && number < MSR.MTRR_PHYS + 16) {
    state.setParts(number & 1 ? FIELDS.mtrrPhysMask : FIELDS.mtrrPhysBase, low, high, (number & 15) >>> 1);
    return;
  }
  if (number >= MSR.MC0_CTL && number < MSR.MC0_CTL + MC_BANKS * 4 && hasMachineCheck(cpu)) {
    writeBank(ctx, number - MSR.MC0_CTL, low, high);
    return;
  }
  const { apic } = ctx.bus;
  if (apic && number >= MSR.X2APIC && number <= MSR.X2APIC_LAST) {
    if (!apic.writeX2apic(number - MSR.X2APIC, low, high)) raise(state, VECTOR.GP, 0);
    return;
  }
  switch (number) {
    case MSR.TSC_DEADLINE: {
      const untilNs = (high >>> 0) * TWO32 + (low >>> 0) - readTsc(ctx);
      apic?.writeDeadline(low >>> 0, high >>> 0, ctx.bus.tscNow() + untilNs);
      return;
    }
    case MSR.TSC: {
      const offset = low + high * TWO32 - ctx.bus.tscNow();
      state.set(FIELDS.tscOffset, offset);
      return;
    }
    case MSR.APIC_BASE: {
      if (apic) {
        if (!apic.writeBase((low >>> 0) + (high >>> 0) * TWO32)) raise(state, VECTOR.GP, 0);
        state.set(FIELDS.apicBase, apic.readBase());
      } else state.set(FIELDS.apicBase, low + (high & 0xf_ffff) * TWO32);
      return;
    }
    case MSR.MCG_STATUS:
      state.setParts(FIELDS.mcgStatus, low, high);
      return;
    case MSR.MCG_CTL:
      // All or nothing.
      if (hasMachineCheck(cpu) && ((low | high) === 0 || (low & high) === -1)) state.setParts(FIELDS.mcgCtl, low, high);
      return;
    case MSR.EFER:
      writeEfer(ctx, cpu, low);
      return;
    default:
      ctx.bus.log('unimp', () => `WRMSR 0x${number.toString(16)}: ignored`);
  }
}

/** A bank's control register takes all ones or zero; the others are storage. */
function writeBank(ctx: CpuContext, index: number, low: number, high: number): void {
  const isZero = (low | high) === 0;
  const isOnes = (low & high) === -1;
  if ((index & 3) !== 0 || isZero || isOnes) ctx.state.setParts(FIELDS.mcBanks, low, high, index);
}

function writeEfer(ctx: CpuContext, cpu: CpuDefinition, value: number): void {
  const { state } = ctx;
  let writable = 0;
  if (cpu.features.has('syscall')) writable |= EFER.SCE;
  if (cpu.features.has('lm')) writable |= EFER.LME;
  if (cpu.features.has('nx')) writable |= EFER.NXE;
  if (cpu.features.has('svm')) writable |= EFER.SVME;
  if (cpu.features.has('fxsr-opt')) writable |= EFER.FFXSR;
  const next = ((state.efer & ~writable) | (value & writable)) >>> 0;
  const changed = state.efer ^ next;
  if (changed & EFER.LME && state.paging) raise(state, VECTOR.GP, 0);
  state.efer = next;
  if (changed & EFER.NXE) ctx.flushTlb();
}
