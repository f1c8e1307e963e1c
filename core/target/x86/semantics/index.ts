/** Every instruction there is. */
import { ARITH } from './arith.ts';
import { AVX_MEMORY } from './avx-memory.ts';
import { AVX_MOVE } from './avx-move.ts';
import { AVX_PERMUTE } from './avx-permute.ts';
import { AVX_SSE } from './avx-sse.ts';
import { BMI } from './bmi.ts';
import { CONTROL } from './control.ts';
import { FMA } from './fma.ts';
import { LOGIC } from './logic.ts';
import { LONG, LONG_WIDE } from './long.ts';
import { MOVE } from './move.ts';
import type { Instruction } from './ops.ts';
import { SHA } from './sha.ts';
import { STRING } from './string.ts';
import { SYSTEM } from './system.ts';
import { THREE_D_NOW } from './three-d-now.ts';
import { VECTOR_CONVERT } from './vector-convert.ts';
import { VECTOR_FLOAT } from './vector-float.ts';
import { VECTOR_IMMEDIATE } from './vector-immediate.ts';
import { VECTOR_INTEGER } from './vector-integer.ts';
import { VECTOR_MOVE } from './vector-move.ts';
import { X87 } from './x87.ts';
import { XSAVE } from './xsave.ts';

/** Families in which the unit's state comes before everything else. On hardware a pending #MF precedes #GP and #PF of the operand
 *  (tried on an AMD EPYC with a non-canonical and with an unmapped address). */
const guarded = (family: readonly Instruction[]): readonly Instruction[] =>
  family.map((i) => ({ ...i, guarded: true }));

/** Those of 16- and 32-bit code; most of them are of 64-bit code too. */
export const INSTRUCTIONS: readonly Instruction[] = [
  ...MOVE,
  ...ARITH,
  ...LOGIC,
  ...CONTROL,
  ...STRING,
  ...SYSTEM,
  ...guarded(VECTOR_MOVE),
  ...guarded(VECTOR_INTEGER),
  ...guarded(VECTOR_FLOAT),
  ...guarded(VECTOR_CONVERT),
  ...guarded(VECTOR_IMMEDIATE),
  ...guarded(SHA),
  ...guarded(THREE_D_NOW),
  ...guarded(X87),
  ...BMI,
  ...XSAVE,
  ...AVX_MOVE,
  ...AVX_SSE,
  ...AVX_PERMUTE,
  ...AVX_MEMORY,
  ...FMA,
];
/** All of them. */
export const EXECUTABLE: readonly Instruction[] = [...INSTRUCTIONS, ...LONG, ...LONG_WIDE.map((i) => i.instruction)];
EXECUTABLE.forEach((instruction, number) => {
  instruction.number = number;
});
