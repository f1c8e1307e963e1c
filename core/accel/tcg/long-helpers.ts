/** Helpers of 64-bit code alone, and how helpers get values of 64 bits: generated code passes the lower half and leaves the upper one
 *  in the state, so that no BigInt is made. */
import { raise, VECTOR } from '../../target/x86/fault.ts';
import { type CpuState, CR4, EBP, ESP, FIELDS, FS, isCanonical, linearAddress, SS } from '../../target/x86/state.ts';
import type { Helper, HelperContext } from './helpers.ts';

const LONG = FIELDS.long.offset >>> 2;
const HIGH = FIELDS.argumentHigh.offset >>> 2;
const RESULT = FIELDS.resultHigh.offset >>> 2;
const TWO32 = 0x1_0000_0000;

/** Upper half of a helper's argument (0-2); 0 outside of 64-bit code. */
export function highArgument(state: CpuState, index: number): number {
  return state.u32[LONG] ? state.u32[HIGH + index]! : 0;
}
/** A linear address or an offset among a helper's arguments. */
export function addressArgument(state: CpuState, index: number, low: number): number {
  return state.u32[LONG] ? linearAddress(low, state.u32[HIGH + index]!) : low >>> 0;
}
/** Gives a result of 64 bits. */
export function wideResult(state: CpuState, low: number, high: number): number {
  state.u32[RESULT] = high;
  return low;
}

/** Linear address of an offset in 64-bit code: FS and GS alone have a base, nothing has a limit. */
export function longSegmentAddress(state: CpuState, index: number, offset: number): number {
  const linear = index < FS ? offset : state.segments[index]!.base + offset;
  if (!isCanonical(Math.floor(linear / TWO32))) raise(state, index === SS ? VECTOR.SS : VECTOR.GP, 0);
  return linear;
}

export function createLongHelpers(ctx: HelperContext): Record<string, Helper> {
  const { state, memory, ops } = ctx;
  const onStack = (at: number) => longSegmentAddress(state, SS, at);
  return {
    swapgs: () => {
      ops.swapgs();
      return 0;
    },
    checkFsGsBase: () => {
      if (!(state.cr4 & CR4.FSGSBASE)) raise(state, VECTOR.UD);
      return 0;
    },
    writeSegmentBase: (low, index) => {
      const high = highArgument(state, 0);
      if (!isCanonical(high)) raise(state, VECTOR.GP, 0);
      state.segments[index]!.setBase(low, high);
      return 0;
    },
    divide128: (low) => {
      ops.divide128(low, highArgument(state, 0), false);
      return 0;
    },
    divideSigned128: (low) => {
      ops.divide128(low, highArgument(state, 0), true);
      return 0;
    },
    /** ENTER with operands of 8 bytes, or of 2. */
    enterLong: (bytes, nesting, size) => {
      const level = nesting & 31;
      const sp = state.reg64(ESP);
      const bp = state.reg64(EBP);
      const words: (readonly [number, number])[] = [[state.low(FIELDS.gpr, EBP), state.high(FIELDS.gpr, EBP)]];
      const read = (at: number): readonly [number, number] =>
        size === 2 ? [memory.read(at, 2), 0] : [memory.read(at, 4), memory.read(at + 4, 4)];
      for (let i = 1; i < level; i++) words.push(read(onStack(bp - size * i)));
      const frame = sp - size;
      if (level > 0) words.push([frame >>> 0, Math.floor(frame / TWO32) >>> 0]);
      words.forEach((_, i) => {
        memory.probeWrite(onStack(sp - size * (i + 1)), size);
      });
      const last = sp - size * words.length - (bytes & 0xffff);
      memory.probeWrite(onStack(last), size);
      words.forEach(([low, high], i) => {
        const at = onStack(sp - size * (i + 1));
        memory.write(at, size === 2 ? 2 : 4, size === 2 ? low & 0xffff : low);
        if (size === 8) memory.write(at + 4, 4, high);
      });
      if (size === 2) state.setReg16(EBP, frame);
      else state.setReg64(EBP, frame);
      state.setReg64(ESP, last);
      return 0;
    },
    /** POP of FS or GS. */
    popSegmentLong: (index, size) => {
      const sp = state.reg64(ESP);
      const selector = memory.read(onStack(sp), 2);
      ops.loadSegment(index, selector);
      state.setReg64(ESP, sp + size);
      return 0;
    },
  };
}
