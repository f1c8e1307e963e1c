/** Functions in WebAssembly that generated code calls through `Ops.native`: parameters and result by name. They never fault and
 *  change nothing but x87 and vector state (what they do is in x87/native/ and sse-native.ts), or, the string ones, guest memory
 *  (accel/tcg/native/strings.ts). `readTsc` asks the engine for the time. Those of system instructions (accel/tcg/native/system.ts) load segments and transfer control.
 *
 *  Those with a result of 32 bits answer 0 when they did the instruction and 1 when nothing was changed because the case is a rare
 *  one; the definition then calls the helper that knows all of them. Conversions to memory return the value and leave
 *  the flags, or -1 for "not done", in the field `fpuOutcome`; `x87Stored` follows when it has been stored.
 *
 *  code: segment << 8, ModRM byte << 16, low three bits of the opcode << 24; eip: of the instruction; linear: of its operand. */
import { I32, I64, V128 } from '../../../wasm/opcodes.ts';

export interface Signature {
  readonly params: readonly number[];
  readonly result: number;
}
const signature = (params: readonly number[], result: number = I32): Signature => ({ params, result });
/** code, eip; addresses have 64 bits in every kind of code */
const REGISTER = signature([I32, I64]);
/** value, code, eip, linear */
const MEMORY32 = signature([I32, I32, I64, I64]);
const MEMORY64 = signature([I64, I32, I64, I64]);
const CONVERSION = signature([], I64);

/** Two vectors give one; `sseOutcome` says whether it counts (sse-native.ts). */
export const SSE_NATIVES = signature([V128, V128], V128);

/** The six operations of arithmetic. */
export const X87_ARITHMETIC = ['add', 'mul', 'sub', 'subr', 'div', 'divr'] as const;

/** Segment loads and, for `Ops.nativeState`, transfers of control. */
export const SYSTEM_NATIVES: Readonly<Record<string, Signature>> = {
  // segment, selector
  loadSegment: signature([I32, I32]),
  // vector, EIP of the next instruction
  softwareInterrupt: signature([I32, I32]),
  interruptReturn: signature([]),
  sysenter: signature([]),
  sysexit: signature([]),
};

/** The same of 64-bit code; of SYSCALL the RIP of the next instruction. */
export const LONG_SYSTEM_NATIVES: Readonly<Record<string, Signature>> = {
  syscallLong: signature([I64]),
  sysretLong: signature([]),
  swapGs: signature([]),
  interruptReturnLong: signature([]),
};

export const NATIVES: Readonly<Record<string, Signature>> = Object.fromEntries<Signature>([
  // Register forms: target ST0, target ST(i), the same and pop; operands in memory by kind.
  ...X87_ARITHMETIC.flatMap((op): [string, Signature][] => [
    [`f${op}`, REGISTER],
    [`f${op}To`, REGISTER],
    [`f${op}p`, REGISTER],
    [`f${op}32`, MEMORY32],
    [`f${op}64`, MEMORY64],
    [`fi${op}`, MEMORY32],
  ]),
  ...['fcom', 'fcomp', 'fcompp', 'ftst', 'fxam'].map((name): [string, Signature] => [name, REGISTER]),
  ...['fcom', 'fcomp'].flatMap((name): [string, Signature][] => [
    [`${name}32`, MEMORY32],
    [`${name}64`, MEMORY64],
    [`${name.replace('f', 'fi')}`, MEMORY32],
  ]),
  // Relation as C0, C2 and C3 have it (1 less, 0x40 equal, 0 greater), or -1: not done.
  ['fcomi', REGISTER],
  ['fcomip', REGISTER],
  ...['fld', 'fst', 'fstp', 'fxch', 'fchs', 'fabs', 'fsqrt', 'frndint', 'fscale', 'fprem', 'fprem1'].map(
    (name): [string, Signature] => [name, REGISTER],
  ),
  ...['fld1', 'fldz', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2'].map((name): [string, Signature] => [
    name,
    REGISTER,
  ]),
  ...['fsin', 'fcos', 'fsincos', 'fpatan', 'fyl2x', 'f2xm1'].map((name): [string, Signature] => [name, REGISTER]),
  // condition, code, eip
  ['fcmov', signature([I32, I32, I64])],
  ['fld32', MEMORY32],
  ['fld64', MEMORY64],
  // mantissa, sign and exponent, code, eip, offset
  ['fld80', signature([I64, I32, I32, I64, I64])],
  ['fild', MEMORY32],
  ['fild64', MEMORY64],
  ['x87ToSingle', CONVERSION],
  ['x87ToDouble', CONVERSION],
  ['x87ToMantissa', CONVERSION],
  ['x87ToInt16', CONVERSION],
  ['x87ToInt32', CONVERSION],
  ['x87ToInt64', CONVERSION],
  ['x87CutInt16', CONVERSION],
  ['x87CutInt32', CONVERSION],
  ['x87CutInt64', CONVERSION],
  // pops, code, eip, linear
  ['x87Stored', MEMORY32],
  // code, eip, offset
  ['x87Stored80', signature([I32, I64, I64])],
  // control word
  ['fldcw', signature([I32])],
  // The time-stamp counter, into the fields `tscLow` and `tscHigh`.
  ['readTsc', signature([])],
  ...['add', 'sub', 'mul', 'div', 'sqrt'].flatMap((name): [string, Signature][] => [
    [`${name}ps`, SSE_NATIVES],
    [`${name}pd`, SSE_NATIVES],
  ]),
  // segment, source offset, target offset, elements, log2 of an element's bytes -> elements done
  ['repMovs', signature([I32, I32, I32, I32, I32])],
  // target offset, elements, value, log2 of an element's bytes -> elements done
  ['repStos', signature([I32, I32, I32, I32])],
  // The same of 64-bit code: linear addresses, and the value has 64 bits.
  ['repMovsLong', signature([I64, I64, I32, I32])],
  ['repStosLong', signature([I64, I32, I64, I32])],
  // segment, source offset, target offset, elements, log2 of an element's bytes, whether REPNE -> elements done, and the top bit:
  // the last of them ends it; that pair stands in the first scratch vector
  ['repCmps', signature([I32, I32, I32, I32, I32, I32])],
  // target offset, elements, value, log2 of an element's bytes, whether REPNE -> the same
  ['repScas', signature([I32, I32, I32, I32, I32])],
  ['repCmpsLong', signature([I64, I64, I32, I32, I32])],
  ['repScasLong', signature([I64, I32, I64, I32, I32])],
  ...Object.entries(SYSTEM_NATIVES),
  ...Object.entries(LONG_SYSTEM_NATIVES),
]);
