/** Helpers of MMX and SSE instructions: faults, the control register, stores under a mask. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { FLAG, SseFloat } from '../../target/x86/sse-float.ts';
import { CR0, CR4, EAX, ECX, EDX, FIELDS } from '../../target/x86/state.ts';
import { compareStrings, crc32c, vectorTable } from '../../target/x86/vector-tables.ts';
import type { Helper, HelperContext } from './helpers.ts';
import { addressArgument } from './long-helpers.ts';

/** Bits of MXCSR that can be set (with denormals-are-zero). */
export const MXCSR_MASK = 0xffff;

export function createVectorHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, memory } = ctx;
  const a8 = state.u8.subarray(FIELDS.vectorA.offset, FIELDS.vectorA.offset + 16);
  const b8 = state.u8.subarray(FIELDS.vectorB.offset, FIELDS.vectorB.offset + 16);
  const view = (field: { offset: number }) => new DataView(state.u8.buffer, state.u8.byteOffset + field.offset, 16);
  const a = view(FIELDS.vectorA);
  const b = view(FIELDS.vectorB);
  const float = new SseFloat();
  /** Sets the flags; raises #XM (#UD when the system does not expect it) for one that is not masked. */
  const settleFlags = () => {
    const mxcsr = state.low(FIELDS.mxcsr);
    const open = float.flags & ~(mxcsr >>> 7);
    const before = FLAG.IE | FLAG.DE | FLAG.ZE;
    // What is found before computing keeps the rest from being found.
    state.mxcsr = mxcsr | (open & before ? float.flags & before : float.flags);
    if (open) raise(state, state.cr4 & CR4.OSXMMEXCPT ? VECTOR.XM : VECTOR.UD);
  };
  return {
    vectorFloat: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      float.execute(code, a, b);
      settleFlags();
      return 0;
    },
    vectorDot: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      float.dot(code, a, b, settleFlags);
      return 0;
    },
    vectorTable: (code) => {
      vectorTable(code & 0xff, (code >>> 16) & 0xff, a8, b8);
      return 0;
    },
    /** Bit 8: strings end with a zero, else their lengths stand in EAX and EDX; bit 9: the mask is the result; bit 10: their
     *  lengths have 64 bits. */
    vectorString: (code) => {
      const lengthOf = (index: number) => {
        if (code & 0x100) return -1;
        const value = code & 0x400 ? state.reg64(index) : state.reg32(index) | 0;
        return Math.min(16, Math.abs(value));
      };
      const isMask = (code & 0x200) !== 0;
      const { flags, index } = compareStrings((code >>> 16) & 0xff, a8, b8, lengthOf(EAX), lengthOf(EDX), isMask);
      if (!isMask) state.setReg32(ECX, index);
      state.setArithmeticFlags(flags);
      return 0;
    },
    crc32: (crc, value, bits) => crc32c(crc, value, bits),
    vectorCompare: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      const flags = float.execute(code, a, b);
      settleFlags();
      state.setArithmeticFlags(flags);
      return 0;
    },
    sseUnavailable: () => raise(state, state.cr0 & CR0.EM || !(state.cr4 & CR4.OSFXSR) ? VECTOR.UD : VECTOR.NM),
    /** All six arithmetic flags as in EFLAGS. */
    setFlags: (flags) => {
      state.setArithmeticFlags(flags);
      return 0;
    },
    ldmxcsr: (value) => {
      if (value & ~MXCSR_MASK) raise(state, VECTOR.GP, 0);
      state.mxcsr = value;
      return 0;
    },
    storeScratch: (at, size) => {
      memory.storeScratch(at, size);
      return 0;
    },
    /** Bytes of vectorA whose byte in vectorB has its top bit set; nothing is written before all of them may be. */
    maskedStore: (low) => {
      const at = addressArgument(state, 0, low);
      for (let i = 0; i < 16; i++) if (b8[i]! & 0x80) memory.probeWrite(at + i, 1);
      for (let i = 0; i < 16; i++) if (b8[i]! & 0x80) memory.write(at + i, 1, a8[i]!);
      return 0;
    },
  };
}
