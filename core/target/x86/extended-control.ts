/** XCR0 (Intel SDM volume 2 XSETBV, XGETBV): which states XSAVE keeps and, for AVX, whether its instructions are allowed. */
import type { CpuDefinition } from './cpu-definition.ts';
import { raise, VECTOR } from './fault.ts';
import { type CpuState, CR4, EAX, ECX, EDX, XCR0 } from './state.ts';

/** What XCR0 may hold on this CPU; 0: there is no XSAVE. */
export function xsaveStates(cpu: CpuDefinition): number {
  if (!cpu.features.has('xsave')) return 0;
  return XCR0.x87 | XCR0.sse | (cpu.features.has('avx') ? XCR0.ymm : 0);
}
function requireOsxsave(state: CpuState): void {
  if (!(state.cr4 & CR4.OSXSAVE)) raise(state, VECTOR.UD);
}
/** ECX 0: XCR0; 1: those of its states that are in use, which all are. */
export function xgetbv(state: CpuState, cpu: CpuDefinition): void {
  requireOsxsave(state);
  const index = state.reg32(ECX);
  if (index > 1 || (index === 1 && !cpu.features.has('xgetbv1'))) raise(state, VECTOR.GP, 0);
  state.setReg32(EAX, state.xcr0);
  state.setReg32(EDX, 0);
}
export function xsetbv(state: CpuState, cpu: CpuDefinition): void {
  requireOsxsave(state);
  const value = state.reg32(EAX);
  const isRefused =
    state.cpl !== 0 ||
    state.reg32(ECX) !== 0 ||
    state.reg32(EDX) !== 0 ||
    (value & ~xsaveStates(cpu)) !== 0 ||
    !(value & XCR0.x87) ||
    (value & XCR0.avx) === XCR0.ymm;
  if (isRefused) raise(state, VECTOR.GP, 0);
  state.xcr0 = value;
}
