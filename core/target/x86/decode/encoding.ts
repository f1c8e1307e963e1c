/** Encodings as written in the definitions, parsed into opcode maps.
 *
 *  `[f3|f2|66|np] [0f [38|3a]] opcode[+n] [/digit | fixed ModRM byte] operands`
 *  Operands are the letters of Intel's opcode map: E register or memory by ModRM, F the same but a register takes the operand
 *  size, M memory only, R register only, N register whatever `mod` says, G register by reg, Z register in the opcode, S C D
 *  segment/control/debug register by reg, I immediate, sI sign-extended immediate, J relative distance, O absolute
 *  offset, A far pointer, X string source segment, H x87 register by ModRM,
 *  L segment of the memory operand and ModRM byte (both for x87); V vector register by reg, W vector register or memory, U vector register
 *  by r/m, P Q T the same for MMX registers; then the width: b w d q x (128), v operand size, z immediate of operand size.
 *  y doubleword, or quadword with REX.W; m the same by mode; t 256 bits. `np`: with none of the prefixes 66, F2, F3; F2 and F3 count before 66.
 *
 *  `0f 0f suffix operands`: 3DNow!, whose opcode follows the operands.
 *
 *  `vex.length.prefix.map.w opcode [/digit] operands`
 *  as the SDM writes them: length 128, 256 or lig (ignored), prefix np, 66, f3 or f2, map 0f, 0f38 or 0f3a, w0, w1 or wig (ignored).
 *  Letters: H vector and B general register that the prefix names, K vector register in the upper half of an immediate byte, Y what
 *  a gather's helper has to know (its memory operand has a vector as index). */
import type { Instruction } from '../semantics/ops.ts';

export interface OperandCode {
  readonly letter: string;
  readonly width: 'b' | 'w' | 'd' | 'q' | 'v' | 'x' | 't';
  /** As written: tells an immediate `Iv` of up to 64 bits from `Iz`, and `Ey` from `Ed`. */
  readonly text: string;
}
/** What the decoder reads of an instruction. */
export type Decodable = Pick<Instruction, 'name' | 'encodings' | 'lockable' | 'addressOnly'>;
export interface Encoding<I extends Decodable = Instruction> {
  readonly instruction: I;
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
  /** What a VEX prefix has to say, or null without one. */
  readonly vex: VexFields | null;
  /** The maps that hold it: `map` itself, or those of `vexMap`. */
  readonly places: readonly number[];
  /** 3DNow!: the byte behind the operands, else -1. */
  readonly suffix: number;
}
/** 0: 128 bits or W = 0, 1: 256 bits or W = 1. */
export interface VexFields {
  readonly lengths: readonly (0 | 1)[];
  readonly wides: readonly (0 | 1)[];
}
/** The opcode map for a length, a W and a map (1 to 3) of a VEX prefix; below are those without VEX. */
export const vexMap = (length: number, wide: number, map: number): number => 4 + (length * 2 + wide) * 3 + map - 1;
/** What 0F 0F leads to, by suffix. */
export const SUFFIX_MAP = 16;
export const MAP_COUNT = 17;

/** Prefix of an encoding that none of 66, F2, F3 may precede. */
export const NO_PREFIX = -1;
const FIXED = new Set(['AL', 'CL', 'DX', 'eAX', '1']);

const isHex = (t: string | undefined): t is string => t !== undefined && /^[0-9a-f]{2}(\+\d?)?$/.test(t);

export function parseEncoding<I extends Decodable>(instruction: I, text: string): Encoding<I> {
  const tokens = text.split(' ');
  if (text.startsWith('vex.')) return parseVex(instruction, text, tokens);
  let at = 0;
  let prefix = 0;
  if ((tokens[0] === 'f3' || tokens[0] === 'f2' || tokens[0] === '66') && isHex(tokens[1]))
    prefix = Number.parseInt(tokens[at++]!, 16);
  if (tokens[0] === 'np') {
    prefix = NO_PREFIX;
    at++;
  }
  if (tokens[at] === '0f' && tokens[at + 1] === '0f') {
    const suffix = Number.parseInt(tokens[at + 2]!, 16);
    const rest = ['0f', ...tokens.slice(at + 3)];
    return parseRest(instruction, text, rest, { map: 1, prefix, vex: null, places: [SUFFIX_MAP], suffix });
  }
  let map = 0;
  if (tokens[at] === '0f') {
    map = 1;
    at++;
    if ((tokens[at] === '38' || tokens[at] === '3a') && isHex(tokens[at + 1])) map = tokens[at++] === '38' ? 2 : 3;
  }
  return parseRest(instruction, text, tokens.slice(at), { map, prefix, vex: null, places: [map], suffix: -1 });
}
const VEX_MAPS: Readonly<Record<string, number>> = { '0f': 1, '0f38': 2, '0f3a': 3 };
function parseVex<I extends Decodable>(instruction: I, text: string, tokens: readonly string[]): Encoding<I> {
  const [, length, mandatory, mapName, w] = tokens[0]!.split('.');
  const map = VEX_MAPS[mapName!];
  if (!map || !/^(128|256|lig)$/.test(length!) || !/^(np|66|f3|f2)$/.test(mandatory!) || !/^(w0|w1|wig)$/.test(w!))
    throw new Error(`${tokens[0]} is no VEX prefix`);
  const both = [0, 1] as const;
  const lengths = both.filter((n) => length === 'lig' || (length === '256') === (n === 1));
  const wides = both.filter((n) => w === 'wig' || (w === 'w1') === (n === 1));
  const prefix = mandatory === 'np' ? NO_PREFIX : Number.parseInt(mandatory!, 16);
  const places = lengths.flatMap((l) => wides.map((wide) => vexMap(l, wide, map)));
  return parseRest(instruction, text, tokens.slice(1), { map, prefix, vex: { lengths, wides }, places, suffix: -1 });
}
function parseRest<I extends Decodable>(
  instruction: I,
  text: string,
  tokens: readonly string[],
  head: Pick<Encoding<I>, 'map' | 'prefix' | 'vex' | 'places' | 'suffix'>,
): Encoding<I> {
  let at = 0;
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
    .map((o) => operandCode(o, instruction));
  const letters = operands.map((o) => o.letter);
  const hasModrm =
    digit >= 0 ||
    modrm >= 0 ||
    letters.some((l) => 'EFMRNGSCDPQTVWU'.includes(l) && l !== 'DX') ||
    (head.vex ? letters.length > 0 : letters.includes('H'));
  const mod = letters.includes('M')
    ? 0
    : letters.some((l) => 'RTU'.includes(l) || (l === 'H' && !head.vex)) || modrm >= 0
      ? 1
      : -1;
  return { instruction, text, ...head, opcode, span, digit, modrm, mod, hasModrm, operands };
}

const operandCodes = new Map<string, OperandCode>();
/** Each kind of operand is parsed once: this is part of every start. */
function operandCode(text: string, instruction: Decodable): OperandCode {
  let code = operandCodes.get(text);
  if (!code) {
    code = parseOperand(text, instruction);
    operandCodes.set(text, code);
  }
  return code;
}
function parseOperand(text: string, instruction: Decodable): OperandCode {
  if (FIXED.has(text)) return { letter: text, width: text === 'eAX' ? 'v' : text === 'DX' ? 'w' : 'b', text };
  const [, letter, width] = /^(sI|[A-Z])([bwdqvzpxymt])/.exec(text) ?? [];
  if (!letter || !width) throw new Error(`operand ${text} of ${instruction.name} is not understood`);
  if (letter === 'sI') return { letter, width: 'v', text };
  const plain = width === 'z' || width === 'p' ? 'v' : width === 'y' || width === 'm' ? 'd' : width;
  return { letter, width: plain as OperandCode['width'], text };
}

const cellOf = (e: Encoding<Decodable>) => (e.suffix < 0 ? e.opcode : e.suffix);

/** Both take the same bytes and neither is tried first. */
function overlap(a: Encoding<Decodable>, b: Encoding<Decodable>): boolean {
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

/** Which of the prefixes that choose among encodings is in force: an index of `OpcodeCell.table`. */
export const SELECTOR = { none: 0, operandSize: 1, f3: 2, f2: 3 } as const;

/** What an opcode may mean. */
export interface OpcodeCell<E> {
  readonly hasModrm: boolean;
  /** 0: by selector only; 4: by selector and isRegister * 8 + reg; 8: by selector and the whole ModRM byte. */
  readonly formBits: 0 | 4 | 8;
  /** The encoding for each selector and form. */
  readonly table: readonly (E | null)[];
}
export type OpcodeMap<E> = readonly OpcodeCell<E>[];

/** All encodings of some instructions. */
export function encodingsOf<I extends Decodable>(instructions: readonly I[]): readonly Encoding<I>[] {
  return instructions.flatMap((instruction) => instruction.encodings.map((text) => parseEncoding(instruction, text)));
}
/** Encodings that two of the instructions claim: a mistake in their definitions. */
export function rivalsAmong(instructions: readonly Decodable[]): string[] {
  const cells = new Map<number, Encoding<Decodable>[]>();
  const rivals: string[] = [];
  for (const encoding of encodingsOf(instructions))
    for (const map of encoding.places)
      for (let i = 0; i < encoding.span; i++) {
        const place = map * 256 + cellOf(encoding) + i;
        const cell = cells.get(place) ?? [];
        const rival = cell.find((other) => overlap(other, encoding));
        if (rival)
          rivals.push(`${encoding.text} is claimed by ${rival.instruction.name} and ${encoding.instruction.name}`);
        cells.set(place, [...cell, encoding]);
      }
  return rivals;
}

/** One-, two- and three-byte opcode maps (0F 38, 0F 3A), then those behind VEX prefixes. `compile` gives what the maps hold for an encoding, null to leave it out. */
export function buildMaps<I extends Decodable, E>(
  encodings: readonly Encoding<I>[],
  compile: (encoding: Encoding<I>) => E | null,
): readonly OpcodeMap<E>[] {
  const candidates: { encoding: Encoding<I>; compiled: E }[][] = Array.from({ length: MAP_COUNT * 256 }, () => []);
  for (const encoding of encodings) {
    const compiled = compile(encoding);
    if (compiled === null) continue;
    for (const map of encoding.places)
      for (let i = 0; i < encoding.span; i++)
        candidates[map * 256 + cellOf(encoding) + i]!.push({ encoding, compiled });
  }
  const cells = candidates.map((list) => buildCell(list.sort((a, b) => rank(b.encoding) - rank(a.encoding))));
  return Array.from({ length: MAP_COUNT }, (_, map) => cells.slice(map * 256, map * 256 + 256));
}
/** Order in which encodings are tried: those that ask for most come first. */
function rank(e: Encoding<Decodable>): number {
  return (
    (e.prefix === 0xf2 || e.prefix === 0xf3 ? 8 : e.prefix ? 4 : 0) + (e.modrm >= 0 ? 2 : 0) + (e.digit >= 0 ? 1 : 0)
  );
}
const isUnconditional = (e: Encoding<Decodable>) => e.prefix === 0 && e.modrm < 0 && e.digit < 0 && e.mod < 0;
function buildCell<E>(
  candidates: readonly { readonly encoding: Encoding<Decodable>; readonly compiled: E }[],
): OpcodeCell<E> {
  const hasModrm = candidates[0]?.encoding.hasModrm ?? false;
  if (candidates.some((c) => c.encoding.hasModrm !== hasModrm))
    throw new Error(`${candidates[0]!.encoding.text} has rivals without ModRM`);
  const formBits = !hasModrm ? 0 : candidates.some((c) => c.encoding.modrm >= 0) ? 8 : 4;
  // Most are the same whatever comes with them.
  const always = candidates.length === 1 ? candidates[0]! : null;
  if (candidates.length === 0 || (always && isUnconditional(always.encoding)))
    return { hasModrm, formBits, table: new Array<E | null>(4 << formBits).fill(always?.compiled ?? null) };
  const table: (E | null)[] = [];
  for (const prefix of [0, 0x66, 0xf3, 0xf2])
    for (let form = 0; form < 1 << formBits; form++) {
      const modrm = formBits === 8 ? form : ((form & 7) << 3) | (form & 8 ? 0xc0 : 0);
      const found = candidates.find(
        ({ encoding: c }) =>
          (c.prefix === NO_PREFIX ? prefix === 0 : c.prefix === 0 || c.prefix === prefix) &&
          (c.modrm < 0 || c.modrm === modrm) &&
          (c.digit < 0 || c.digit === ((modrm >> 3) & 7)) &&
          (c.mod < 0 || (c.mod === 1) === modrm >= 0xc0),
      );
      table.push(found ? found.compiled : null);
    }
  return { hasModrm, formBits, table };
}
