/** What 64-bit code decodes differently: instructions that are gone, that are new, and whose operand size is 64 bits without
 *  being asked. */
import { LONG, LONG_WIDE } from '../semantics/long.ts';
import type { Instruction } from '../semantics/ops.ts';
import { type Decodable, type Encoding, parseEncoding } from './encoding.ts';

/** One-byte opcodes that are undefined, prefixes, or something else in 64-bit code. */
const GONE = new Set([
  ...[0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f], // PUSH and POP of ES, CS, SS, DS
  ...[0x27, 0x2f, 0x37, 0x3f, 0xd4, 0xd5], // BCD
  ...[0x60, 0x61, 0x62, 0x63, 0x82], // PUSHA, POPA, BOUND (EVEX), ARPL (MOVSXD), second copy of 80
  ...[0x9a, 0xea, 0xce, 0xc4, 0xc5, 0xd6], // far CALL and JMP, INTO, LES and LDS (VEX), SALC
]);
/** 40-4F are REX prefixes. */
const isRexOpcode = (opcode: number) => opcode >= 0x40 && opcode <= 0x4f;

/** Whether an encoding of the 16- and 32-bit maps is the same in 64-bit code. */
export function isInLongMode(e: Encoding<Decodable>): boolean {
  return e.map !== 0 || !(GONE.has(e.opcode) || isRexOpcode(e.opcode));
}

/** New instructions. */
export const IN_LONG_MODE_ONLY: readonly Instruction[] = LONG;
/** Other instructions with REX.W, by the encoding without it. */
export const WIDE_FORMS = LONG_WIDE.map(({ text, instruction }) => ({
  text,
  encoding: parseEncoding(instruction, instruction.encodings[0]!),
}));

const NEAR = /^(jmp|jmpE|call|callE|ret|retI|loop|loope|loopne|jcxz|jn?[obzsplbe]+)$/;
const STACK = new Set(['push', 'pop', 'pushf', 'popf', 'enter', 'leave', 'pushSeg4', 'pushSeg5', 'popSeg4', 'popSeg5']);
const PORT = new Set(['inI', 'inDx', 'outI', 'outDx', 'ins', 'outs']);
/** `near`: 64 bits whatever the prefixes say (near branches of Intel's CPUs); `stack`: 64 bits, or 16 with a prefix;
 *  `port`: 32 bits at most. */
export type LongSize = 'plain' | 'near' | 'stack' | 'port';
/** The operand size in 64-bit code of an instruction without REX.W. */
export function longSizeOf(name: string): LongSize {
  if (PORT.has(name)) return 'port';
  return NEAR.test(name) ? 'near' : STACK.has(name) ? 'stack' : 'plain';
}
