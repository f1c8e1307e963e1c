/** Helpers of MMX and SSE instructions: faults, the control register, stores under a mask. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { CR0, CR4, FIELDS } from '../../target/x86/state.ts';
import type { Helper, HelperContext } from './helpers.ts';

/** Bits of MXCSR that can be set (with denormals-are-zero). */
export const MXCSR_MASK = 0xffff;

export function createVectorHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, memory } = ctx;
  const a8 = state.u8.subarray(FIELDS.vectorA.offset, FIELDS.vectorA.offset + 16);
  const b8 = state.u8.subarray(FIELDS.vectorB.offset, FIELDS.vectorB.offset + 16);
  return {
    sseUnavailable: () => raise(state, state.cr0 & CR0.EM || !(state.cr4 & CR4.OSFXSR) ? VECTOR.UD : VECTOR.NM),
    mmxUnavailable: () => raise(state, state.cr0 & CR0.EM ? VECTOR.UD : state.cr0 & CR0.TS ? VECTOR.NM : VECTOR.MF),
    /** All six arithmetic flags as in EFLAGS. */
    setFlags: (flags) => {
      state.setArithmeticFlags(flags);
      return 0;
    },
    ldmxcsr: (value) => {
      if (value & ~MXCSR_MASK) raise(state, VECTOR.GP, 0);
      state.set(FIELDS.mxcsr, value);
      return 0;
    },
    storeScratch: (at, size) => {
      memory.storeScratch(at, size);
      return 0;
    },
    /** Bytes of vectorA whose byte in vectorB has its top bit set; nothing is written before all of them may be. */
    maskedStore: (at) => {
      for (let i = 0; i < 16; i++) if (b8[i]! & 0x80) memory.probeWrite((at + i) >>> 0, 1);
      for (let i = 0; i < 16; i++) if (b8[i]! & 0x80) memory.write((at + i) >>> 0, 1, a8[i]!);
      return 0;
    },
  };
}
