/** Encodings as written in the definitions, parsed into opcode maps.
 *
 *  `[f3|f2|66|np] [0f [38|3a]] opcode[+n] [/digit | fixed ModRM byte] operands`
 *  Operands are the letters of Intel's opcode map: E register or memory by ModRM, F the same but a register takes the operand
 *  size, M memory only, R register only, N register whatever `mod` says, G register by reg, Z register in the opcode, S C D
 *  segment/control/debug register by reg, I immediate, sI sign-extended immediate, J relative distance, O absolute
 *  offset, A far pointer, X string source segment, H x87 register by ModRM,
 *  L segment of the memory operand and ModRM byte (both for x87); V vector register by reg, W vector register or memory, U vector register
 *  by r/m, P Q T the same for MMX registers; then the width: b w d q x (128), v operand size, z immediate of operand size.
 *  `np`: with none of the prefixes 66, F2, F3; F2 and F3 count before 66. */
import type { Instruction } from '../semantics/ops.ts';

export interface OperandCode {
  readonly letter: string;
  readonly width: 'b' | 'w' | 'd' | 'q' | 'v' | 'x';
}
export interface Encoding {
  readonly instruction: Instruction;
  readonly text: string;
  readonly map: number;
  readonly opcode: number;
  /** Opcodes that this encoding takes: opcode .. opcode + span - 1. */
  readonly span: number;
  readonly prefix: number;
  readonly digit: number;
  readonly modrm: number;
  /** -1 any, 0 memory only, 1 register only. */
  readonly mod: -1 | 0 | 1;
  readonly hasModrm: boolean;
  readonly operands: readonly OperandCode[];
}

/** Prefix of an encoding that none of 66, F2, F3 may precede. */
export const NO_PREFIX = -1;
const FIXED = new Set(['AL', 'CL', 'DX', 'eAX', '1']);

export function parseEncoding(instruction: Instruction, text: string): Encoding {
  const tokens = text.split(' ');
  const isHex = (t: string | undefined): t is string => t !== undefined && /^[0-9a-f]{2}(\+\d?)?$/.test(t);
  let at = 0;
  let prefix = 0;
  if ((tokens[0] === 'f3' || tokens[0] === 'f2' || tokens[0] === '66') && isHex(tokens[1]))
    prefix = Number.parseInt(tokens[at++]!, 16);
  if (tokens[0] === 'np') {
    prefix = NO_PREFIX;
    at++;
  }
  let map = 0;
  if (tokens[at] === '0f') {
    map = 1;
    at++;
    if ((tokens[at] === '38' || tokens[at] === '3a') && isHex(tokens[at + 1])) map = tokens[at++] === '38' ? 2 : 3;
  }
  const code = tokens[at++]!;
  const opcode = Number.parseInt(code.slice(0, 2), 16);
  const span = code.includes('+') ? Number(code.slice(3) || 8) : 1;
  let digit = -1;
  let modrm = -1;
  if (tokens[at]?.startsWith('/')) digit = Number(tokens[at++]!.slice(1));
  else if (isHex(tokens[at])) modrm = Number.parseInt(tokens[at++]!, 16);
  const operands = (tokens[at] ?? '')
    .split(',')
    .filter((o) => o !== '')
    .map((o): OperandCode => {
      if (FIXED.has(o)) return { letter: o, width: o === 'eAX' ? 'v' : o === 'DX' ? 'w' : 'b' };
      const [, letter, width] = /^(sI|[A-Z])([bwdqvzpx])/.exec(o) ?? [];
      if (!letter || !width) throw new Error(`operand ${o} of ${instruction.name} is not understood`);
      if (letter === 'sI') return { letter, width: 'v' };
      return { letter, width: width === 'z' || width === 'p' ? 'v' : (width as OperandCode['width']) };
    });
  const letters = operands.map((o) => o.letter);
  const hasModrm = digit >= 0 || modrm >= 0 || letters.some((l) => 'EFMRNGSCDPQTVWUH'.includes(l) && l !== 'DX');
  const mod = letters.includes('M') ? 0 : letters.some((l) => 'RTUH'.includes(l)) || modrm >= 0 ? 1 : -1;
  return { instruction, text, map, opcode, span, prefix, digit, modrm, mod, hasModrm, operands };
}

function overlap(a: Encoding, b: Encoding): boolean {
  if (a.prefix !== b.prefix) return false; // the prefixed one is tried first
  if (a.modrm >= 0 || b.modrm >= 0) {
    if (a.modrm >= 0 && b.modrm >= 0) return a.modrm === b.modrm;
    const [fixed, other] = a.modrm >= 0 ? [a, b] : [b, a];
    return (
      other.mod !== 0 &&
      (other.digit < 0 || other.digit === ((fixed.modrm >> 3) & 7)) &&
      other.prefix === fixed.prefix &&
      other.mod === 1
    );
  }
  if (a.digit >= 0 && b.digit >= 0 && a.digit !== b.digit) return false;
  return a.mod < 0 || b.mod < 0 || a.mod === b.mod;
}

/** One-, two- and three-byte opcode maps (0F 38, 0F 3A): candidates by opcode, most specific first. Two claims to one encoding are an error. */
export function buildMaps(instructions: readonly Instruction[]): readonly (readonly (readonly Encoding[])[])[] {
  const maps: Encoding[][][] = [0, 1, 2, 3].map(() => Array.from({ length: 256 }, () => []));
  for (const instruction of instructions)
    for (const text of instruction.encodings) {
      const encoding = parseEncoding(instruction, text);
      for (let i = 0; i < encoding.span; i++) {
        const cell = maps[encoding.map]![encoding.opcode + i]!;
        const rival = cell.find((other) => overlap(other, encoding));
        if (rival) throw new Error(`${text} is claimed by ${rival.instruction.name} and ${instruction.name}`);
        cell.push(encoding);
        cell.sort((a, b) => rank(b) - rank(a));
      }
    }
  return maps;
}
function rank(e: Encoding): number {
  return (
    (e.prefix === 0xf2 || e.prefix === 0xf3 ? 8 : e.prefix ? 4 : 0) + (e.modrm >= 0 ? 2 : 0) + (e.digit >= 0 ? 1 : 0)
  );
}
