/** Register values after power-on and INIT (Intel SDM volume 3A table 9-1), as QEMU 7.2 shows them. */
import { logCr0 } from './control-registers.ts';
import { type CpuDefinition, cpuSignature } from './cpu-definition.ts';
import { MC_BANKS } from './msr.ts';
import { CR0, CS, DESC, EDX, FIELDS, LDTR, type StateField, TR, XCR0 } from './state.ts';
import type { CpuContext } from './system-ops.ts';

const DATA = DESC.present | DESC.s | DESC.writable | DESC.accessed;

/** What INIT leaves alone. */
const KEPT_BY_INIT: readonly StateField[] = [
  FIELDS.fpr,
  FIELDS.fpuControl,
  FIELDS.fpuStatus,
  FIELDS.fpuTop,
  FIELDS.fpuEmpty,
  FIELDS.fpuOpcode,
  FIELDS.fpuIpSelector,
  FIELDS.fpuDpSelector,
  FIELDS.fpuIp,
  FIELDS.fpuDp,
  FIELDS.mxcsr,
  FIELDS.xmm,
  FIELDS.smbase,
  FIELDS.pat,
  FIELDS.miscEnable,
  FIELDS.featureControl,
  FIELDS.tscOffset,
  FIELDS.tscAdjust,
  FIELDS.tscAux,
  FIELDS.mtrrDefType,
  FIELDS.mtrrFixed,
  FIELDS.mtrrPhysBase,
  FIELDS.mtrrPhysMask,
  FIELDS.mcgStatus,
  FIELDS.mcgCtl,
  FIELDS.mcBanks,
  FIELDS.sysenterCs,
  FIELDS.sysenterEsp,
  FIELDS.sysenterEip,
  FIELDS.star,
  FIELDS.lstar,
  FIELDS.cstar,
  FIELDS.fmask,
  FIELDS.kernelGsBase,
  FIELDS.apicBase,
  FIELDS.a20Mask,
  FIELDS.xcr0,
  FIELDS.xss,
];

/** Fields that belong to the engine and not to the architecture. */
const ENGINE_FIELDS: readonly StateField[] = [
  FIELDS.zero,
  FIELDS.budget,
  FIELDS.record,
  FIELDS.accessAddress,
  FIELDS.accessSize,
  FIELDS.tlbBase,
  FIELDS.mode,
  FIELDS.scratch,
];

/** Power-on values of everything. */
export function resetCpu(ctx: CpuContext, cpu: CpuDefinition): void {
  const { state } = ctx;
  for (const field of Object.values(FIELDS)) {
    if (ENGINE_FIELDS.includes(field)) continue;
    state.u8.fill(0, field.offset, field.offset + field.count * field.stride);
  }
  resetRegisters(ctx, cpu);
  state.set(FIELDS.fpuControl, 0x37f);
  state.set(FIELDS.fpuEmpty, 0xff);
  state.mxcsr = 0x1f80;
  state.set(FIELDS.smbase, 0x30000);
  state.setParts(FIELDS.pat, 0x0007_0406, 0x0007_0406);
  state.set(FIELDS.miscEnable, 1); // fast strings
  state.set(FIELDS.apicBase, 0xfee0_0900); // bootstrap processor, enabled
  state.xcr0 = XCR0.x87;
  state.setParts(FIELDS.mcgCtl, 0xffff_ffff, 0xffff_ffff);
  for (let bank = 0; bank < MC_BANKS; bank++) state.setParts(FIELDS.mcBanks, 0xffff_ffff, 0xffff_ffff, bank * 4);
  state.a20Mask = 0xffff_ffff;
  ctx.flushTlb();
}

/** INIT: registers as after power-on, but FPU, caches, MSRs and SMBASE stay. */
export function initCpu(ctx: CpuContext, cpu: CpuDefinition): void {
  const { state } = ctx;
  const cacheBits = state.cr0 & (CR0.CD | CR0.NW);
  for (const field of Object.values(FIELDS)) {
    if (ENGINE_FIELDS.includes(field) || KEPT_BY_INIT.includes(field)) continue;
    state.u8.fill(0, field.offset, field.offset + field.count * field.stride);
  }
  resetRegisters(ctx, cpu);
  state.cr0 = (CR0.ET | cacheBits) >>> 0;
  ctx.flushTlb();
}

function resetRegisters(ctx: CpuContext, cpu: CpuDefinition): void {
  const { state } = ctx;
  state.setReg32(EDX, cpuSignature(cpu));
  state.setEflags(2);
  state.eip = 0xfff0;
  for (let i = 0; i < 6; i++) state.segments[i]!.set(0, 0, 0xffff, DATA);
  state.segments[CS]!.set(0xf000, 0xffff_0000, 0xffff, DATA | DESC.code);
  state.segments[LDTR]!.set(0, 0, 0xffff, DESC.present | (2 << DESC.typeShift));
  state.segments[TR]!.set(0, 0, 0xffff, DESC.present | (11 << DESC.typeShift));
  state.setGdt(0, 0xffff);
  state.setIdt(0, 0xffff);
  state.cr0 = (CR0.ET | CR0.CD | CR0.NW) >>> 0;
  logCr0(ctx, state.cr0);
  state.set(FIELDS.dr, 0xffff_0ff0, 6);
  state.set(FIELDS.dr, 0x400, 7);
  state.set(FIELDS.exceptionVector, 0xffff_ffff);
}
