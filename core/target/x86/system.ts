/** The system half of the CPU put together: `createSystemOps` gives the engine every rare, heavy operation. */

import { readCr, writeCr } from './control-registers.ts';
import type { CpuDefinition } from './cpu-definition.ts';
import { defineCpu, parseCpuOption } from './cpu-definition.ts';
import { cpuid } from './cpuid.ts';
import { readDr, writeDr } from './debug-registers.ts';
import { deliverException, deliverInterrupt, deliverNmi, softwareInterrupt } from './exceptions.ts';
import { xgetbv, xsetbv } from './extended-control.ts';
import { farCall, farJump, farReturn, iret, syscall, sysenter, sysexit, sysret } from './far-transfer.ts';
import { checkIo } from './io-permission.ts';
import { divide128, swapgs } from './long-mode.ts';
import { invpcid } from './mmu/invpcid.ts';
import { PageWalker, type PagingFeatures } from './mmu/page-walk.ts';
import { rdmsr, wrmsr } from './msr.ts';
import { initCpu, resetCpu } from './reset.ts';
import { lar, lldt, loadSegment, lsl, ltr, verr, verw } from './segmentation.ts';
import { enterSmm, rsm } from './smm.ts';
import { CR4, EAX, EBX, ECX, EDX } from './state.ts';
import type { CpuContext, SystemOps } from './system-ops.ts';

/** The CPU that a machine has when nothing is said: `qemu64`, one core. */
export function defaultCpu(): CpuDefinition {
  return defineCpu(parseCpuOption('qemu64')).definition;
}

export function pagingFeatures({ features, physBits }: CpuDefinition = defaultCpu()): PagingFeatures {
  return {
    pse36: features.has('pse36'),
    nx: features.has('nx'),
    pdpe1gb: features.has('pdpe1gb'),
    physBits: Math.max(36, physBits),
  };
}

export function createSystemOps(ctx: CpuContext, cpu: CpuDefinition = defaultCpu()): SystemOps {
  const { state } = ctx;
  const isIntel = cpu.vendor === 'GenuineIntel';
  const walker = new PageWalker(state, ctx.memory, pagingFeatures(cpu));
  return {
    translate: (linear, access, user) => walker.translate(linear, access, user),
    translateDebug: (linear) => walker.translateDebug(linear),
    deliverException: (vector, errorCode) => deliverException(ctx, vector, errorCode),
    deliverInterrupt: (vector) => deliverInterrupt(ctx, vector),
    deliverNmi: () => deliverNmi(ctx),
    softwareInterrupt: (vector, kind) => softwareInterrupt(ctx, vector, kind),
    iret: (size) => iret(ctx, size),
    loadSegment: (index, selector) => loadSegment(ctx, index, selector),
    farJump: (selector, offset, size, high) => farJump(ctx, selector, offset, size, high),
    farCall: (selector, offset, size, high) => farCall(ctx, selector, offset, size, high),
    farReturn: (size, popBytes) => farReturn(ctx, size, popBytes),
    lldt: (selector) => lldt(ctx, selector),
    ltr: (selector) => ltr(ctx, selector),
    lar: (selector) => lar(ctx, selector),
    lsl: (selector) => lsl(ctx, selector),
    verr: (selector) => verr(ctx, selector),
    verw: (selector) => verw(ctx, selector),
    writeCr: (index, value, high) => writeCr(ctx, cpu, index, value, high),
    invpcid: (type, typeHigh, at) => invpcid(ctx, type, typeHigh, at),
    readCr: (index) => readCr(ctx, index),
    writeDr: (index, value, high) => writeDr(ctx, index, value, high),
    readDr: (index) => readDr(ctx, index),
    cpuid: () => {
      // A board without a local APIC must not promise one.
      const apicBase = ctx.bus.apic?.readBase() ?? 0;
      const [eax, ebx, ecx, edx] = cpuid(cpu, state.reg32(EAX), state.reg32(ECX), {
        osxsave: (state.cr4 & CR4.OSXSAVE) !== 0,
        xcr0: state.xcr0,
        ospke: false,
        apicEnabled: (apicBase & 0x800) !== 0,
      });
      state.setReg32(EAX, eax);
      state.setReg32(EBX, ebx);
      state.setReg32(ECX, ecx);
      state.setReg32(EDX, edx);
    },
    xgetbv: () => xgetbv(state, cpu),
    xsetbv: () => xsetbv(state, cpu),
    rdmsr: () => rdmsr(ctx, cpu),
    wrmsr: () => wrmsr(ctx, cpu),
    sysenter: () => sysenter(ctx, isIntel),
    sysexit: (size) => sysexit(ctx, size, isIntel),
    syscall: () => syscall(ctx),
    sysret: (size) => sysret(ctx, size),
    swapgs: () => swapgs(ctx),
    divide128: (low, high, isSigned) => divide128(ctx, low, high, isSigned),
    enterSmm: () => enterSmm(ctx),
    rsm: () => rsm(ctx),
    checkIo: (port, bytes) => checkIo(ctx, port, bytes),
    reset: () => resetCpu(ctx, cpu),
    init: () => initCpu(ctx, cpu),
  };
}
