/** Helpers of MMX and SSE instructions: faults, the control register, stores under a mask. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { FLAG, SseFloat } from '../../target/x86/sse-float.ts';
import { CR0, CR4, EAX, ECX, EDX, FIELDS, XCR0 } from '../../target/x86/state.ts';
import { compareStrings, crc32c, vectorTable } from '../../target/x86/vector-tables.ts';
import type { Helper, HelperContext } from './helpers.ts';
import { addressArgument } from './long-helpers.ts';
import { segmentAddress } from './strings.ts';

/** Bytes from one vector register to the next. */
const XMM_STRIDE = 64;

/** Bits of MXCSR that can be set (with denormals-are-zero). */
export const MXCSR_MASK = 0xffff;

/** VGATHER and VPGATHER. `registers`: destination, mask << 4, index << 8, scale << 16, segment << 20; `base`: offset without index;
 *  `kind`: 1 indices of 64 bits, 2 elements of 64 bits, 4 registers of 256 bits, 8 addresses of 64 bits. */
function gather(ctx: HelperContext, registers: number, base: number, kind: number): void {
  const { state, memory } = ctx;
  const view = (register: number) => {
    const at = FIELDS.xmm.offset + (register & 15) * XMM_STRIDE;
    return new DataView(state.u8.buffer, state.u8.byteOffset + at, 32);
  };
  const [to, mask, index] = [view(registers), view(registers >>> 4), view(registers >>> 8)] as const;
  const scale = (registers >>> 16) & 3;
  const segment = registers >>> 20;
  const size = kind & 2 ? 8 : 4;
  const indexSize = kind & 1 ? 8 : 4;
  const bytes = kind & 4 ? 32 : 16;
  const count = bytes / Math.max(size, indexSize);
  for (let i = 0; i < count; i++) {
    const at = i * size;
    if (mask.getInt32(at + size - 4, true) < 0) {
      const number = indexSize === 8 ? Number(index.getBigInt64(i * 8, true)) : index.getInt32(i * 4, true);
      const offset =
        kind & 8 ? base + number * (1 << scale) : (base + (index.getInt32(i * indexSize, true) << scale)) >>> 0;
      const linear = segmentAddress(ctx, segment, offset, size, false);
      const low = memory.read(linear, 4);
      if (size === 8) to.setUint32(at + 4, memory.read(linear + 4, 4), true);
      to.setUint32(at, low, true);
    }
    for (let k = 0; k < size; k += 4) mask.setUint32(at + k, 0, true);
  }
  for (let at = 0; at < 32; at += 4) {
    mask.setUint32(at, 0, true);
    if (at >= count * size) to.setUint32(at, 0, true);
  }
}

export function createVectorHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, memory } = ctx;
  const a8 = state.u8.subarray(FIELDS.vectorA.offset, FIELDS.vectorA.offset + 16);
  const b8 = state.u8.subarray(FIELDS.vectorB.offset, FIELDS.vectorB.offset + 16);
  const view = (field: { offset: number }) => new DataView(state.u8.buffer, state.u8.byteOffset + field.offset, 16);
  const a = view(FIELDS.vectorA);
  const b = view(FIELDS.vectorB);
  /** The third operand. */
  const addend = view({ offset: FIELDS.vectorScratch.offset + 48 });
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
    /** The same without the consequences: they follow in `settleGathered`. */
    vectorFloatGather: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      float.execute(code, a, b);
      state.set(FIELDS.sseGathered, state.low(FIELDS.sseGathered) | float.flags);
      return 0;
    },
    vectorFused: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      float.fused(code, a, b, addend);
      settleFlags();
      return 0;
    },
    vectorFusedGather: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      float.fused(code, a, b, addend);
      state.set(FIELDS.sseGathered, state.low(FIELDS.sseGathered) | float.flags);
      return 0;
    },
    settleGathered: () => {
      for (let steps = state.low(FIELDS.sseGathered); steps !== 0; steps >>>= 8) {
        float.flags = steps & 0xff;
        settleFlags();
      }
      return 0;
    },
    /** Products and sums are steps that fault one after the other: a byte of flags each. */
    vectorDotGather: (code) => {
      float.begin(state.low(FIELDS.mxcsr));
      let steps = state.low(FIELDS.sseGathered);
      let shift = 0;
      float.dot(code, a, b, () => {
        steps |= float.flags << shift;
        shift += 8;
      });
      state.set(FIELDS.sseGathered, steps);
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
    vexUnavailable: () => raise(state, VECTOR.UD),
    avxUnavailable: () => {
      const isOn =
        state.protectedMode && !state.vm86 && state.cr4 & CR4.OSXSAVE && (state.xcr0 & XCR0.avx) === XCR0.avx;
      return raise(state, isOn ? VECTOR.NM : VECTOR.UD);
    },
    /** The first one only in rare cases (jit/region-ops.ts). */
    probeWrite: (low, bytes) => {
      memory.probeWrite(addressArgument(state, 0, low), bytes);
      return 0;
    },
    probeWritable: (low, bytes) => {
      memory.probeWrite(addressArgument(state, 0, low), bytes);
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
    /** Dwords whose sign is set in vectorB; zeros for the others. */
    maskedLoad: (low) => {
      const at = addressArgument(state, 0, low);
      const dwords = [0, 4, 8, 12].map((i) => (b8[i + 3]! & 0x80 ? memory.read(at + i, 4) : 0));
      dwords.forEach((value, i) => {
        a.setUint32(i * 4, value, true);
      });
      return 0;
    },
    maskedProbe: (low) => {
      const at = addressArgument(state, 0, low);
      for (let i = 0; i < 16; i += 4) if (b8[i + 3]! & 0x80) memory.probeWrite(at + i, 4);
      return 0;
    },
    /** After a probe. */
    maskedStoreDwords: (low) => {
      const at = addressArgument(state, 0, low);
      for (let i = 0; i < 16; i += 4) if (b8[i + 3]! & 0x80) memory.write(at + i, 4, a.getUint32(i, true));
      return 0;
    },
    gather: (registers, base, kind) => {
      gather(ctx, registers, addressArgument(state, 1, base), kind);
      return 0;
    },
    pdep: (value, mask) => {
      let result = 0;
      let from = value;
      for (let left = mask; left !== 0; left &= left - 1) {
        if (from & 1) result |= left & -left;
        from >>>= 1;
      }
      return result;
    },
    pext: (value, mask) => {
      let result = 0;
      let to = 1;
      for (let left = mask; left !== 0; left &= left - 1) {
        if (value & left & -left) result |= to;
        to <<= 1;
      }
      return result;
    },
    bitCount: (value) => {
      let count = 0;
      for (let left = value; left !== 0; left &= left - 1) count++;
      return count;
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
