/** Opcode maps as the decoder reads them: each encoding with everything about it that does not depend on the bytes; one set of
 *  maps for 16- and 32-bit code, less what a CPU model lacks, one for 64-bit code (long-mode.ts). */

import { featureOf } from '../instruction-features.ts';
import { INSTRUCTIONS } from '../semantics/index.ts';
import type { Width } from '../semantics/ops.ts';
import { buildMaps, type Decodable, type Encoding, encodingsOf, type OpcodeMap } from './encoding.ts';
import { IN_LONG_MODE_ONLY, isInLongMode, type LongSize, longSizeOf, WIDE_FORMS } from './long-mode.ts';

/** An encoding with all that does not depend on the bytes. */
export interface Compiled {
  readonly encoding: Encoding<Decodable>;
  readonly instruction: Decodable;
  readonly operands: readonly number[];
  readonly opcode: number;
  readonly isLockable: boolean;
  /** A ModRM byte with mod below 3 gives a memory operand. */
  readonly hasMemory: boolean;
  readonly isPop: boolean;
  readonly isMovToSeg: boolean;
  /** 64-bit code: what the operand size is without being asked, or at most. */
  readonly longSize: LongSize;
  /** An operand is the register that VEX adds; without one the prefix must not name any. */
  readonly usesVexRegister: boolean;
  /** The index of its address is a vector. */
  readonly isVsib: boolean;
  /** What REX.W makes of it. */
  readonly wide: Compiled | null;
}
export const KIND = {
  general: 0,
  generalAtOpSize: 1,
  vector: 2,
  mmx: 3,
  vectorByReg: 4,
  mmxByReg: 5,
  generalByReg: 6,
  generalInOpcode: 7,
  accumulator: 8,
  counter: 9,
  port: 10,
  one: 11,
  segment: 12,
  numbered: 13,
  source: 14,
  x87: 15,
  absolute: 16,
  immediate: 17,
  signed: 18,
  far: 19,
  relative: 20,
  wholeImmediate: 21,
  vectorByVex: 22,
  generalByVex: 23,
  vectorInImmediate: 24,
  gather: 25,
} as const;
const KIND_OF: Readonly<Record<string, number>> = {
  E: KIND.general,
  M: KIND.general,
  R: KIND.general,
  N: KIND.general,
  F: KIND.generalAtOpSize,
  W: KIND.vector,
  U: KIND.vector,
  Q: KIND.mmx,
  T: KIND.mmx,
  V: KIND.vectorByReg,
  P: KIND.mmxByReg,
  G: KIND.generalByReg,
  Z: KIND.generalInOpcode,
  AL: KIND.accumulator,
  eAX: KIND.accumulator,
  CL: KIND.counter,
  DX: KIND.port,
  '1': KIND.one,
  S: KIND.segment,
  C: KIND.numbered,
  D: KIND.numbered,
  X: KIND.source,
  H: KIND.x87,
  L: KIND.x87,
  O: KIND.absolute,
  I: KIND.immediate,
  sI: KIND.signed,
  A: KIND.far,
  J: KIND.relative,
  B: KIND.generalByVex,
  K: KIND.vectorInImmediate,
  Y: KIND.gather,
};
/** Sizes: 0-5 are widths; then operand size, 32 or 64 by REX.W, 32 or 64 by mode. */
export const SIZE = { b: 0, w: 1, d: 2, q: 3, x: 4, t: 5, v: 6, y: 7, native: 8 } as const;
export const WIDTHS: readonly Width[] = [8, 16, 32, 64, 128, 256];
/** An operand is `letter << sizeBits | size`. */
export const SIZE_BITS = 4;
export const SIZE_MASK = 15;

function compile(encoding: Encoding<Decodable>, wide: Compiled | null = null): Compiled {
  const { instruction, operands } = encoding;
  const { name } = instruction;
  return {
    encoding,
    instruction,
    operands: operands.map(({ letter, width, text }) => {
      const kind =
        text === 'Iv' ? KIND.wholeImmediate : encoding.vex && letter === 'H' ? KIND.vectorByVex : KIND_OF[letter];
      if (kind === undefined) throw new Error(`operand letter ${letter} is not decoded`);
      const size = letter === 'N' || text.endsWith('m') ? SIZE.native : text.endsWith('y') ? SIZE.y : SIZE[width];
      return (kind << SIZE_BITS) | size;
    }),
    opcode: encoding.opcode,
    isLockable: instruction.lockable === true && /[EM]/.test(encoding.operands[0]?.letter ?? ''),
    hasMemory: operands.some((o) => 'EFMQW'.includes(o.letter)),
    isPop: name === 'pop',
    isMovToSeg: name === 'movToSeg',
    longSize: longSizeOf(name),
    usesVexRegister: encoding.vex !== null && operands.some((o) => 'HBY'.includes(o.letter)),
    isVsib: operands.some((o) => o.letter === 'Y'),
    wide,
  };
}

const ENCODINGS = encodingsOf(INSTRUCTIONS);
const compiled = new Map(ENCODINGS.map((e) => [e, compile(e)]));
export type OpcodeMaps = readonly OpcodeMap<Compiled>[];
let maps: OpcodeMaps | null = null;
/** Opcode maps of 16- and 32-bit code, made when they are first needed: a CPU has its own. */
export function allMaps(): OpcodeMaps {
  maps ??= buildMaps(ENCODINGS, (e) => compiled.get(e)!);
  return maps;
}

/** The instructions that a CPU with these features has. */
export function mapsFor(hasFeature: (name: string) => boolean): OpcodeMaps {
  return buildMaps(ENCODINGS, (e) => {
    const feature = featureOf(e);
    return feature === null || hasFeature(feature) ? compiled.get(e)! : null;
  });
}

/** The same for 64-bit code. */
export function longMapsFor(hasFeature: (name: string) => boolean): OpcodeMaps {
  const isThere = (e: Encoding<Decodable>) => {
    const feature = featureOf(e as Encoding);
    return feature === null || hasFeature(feature);
  };
  const wide = wideForms();
  return buildMaps<Decodable, Compiled>([...ENCODINGS.filter(isInLongMode), ...encodingsOf(IN_LONG_MODE_ONLY)], (e) => {
    const known = wide.get(e.text) ?? null;
    return isThere(e) ? compile(e, known && isThere(known.encoding) ? known : null) : null;
  });
}
const wideForms = () => new Map(WIDE_FORMS.map(({ text, encoding }) => [text, compile(encoding)]));

let longMaps: OpcodeMaps | null = null;
/** Opcode maps of 64-bit code, made when they are first needed. */
export function longModeMaps(): OpcodeMaps {
  if (longMaps) return longMaps;
  longMaps = buildMapsOf([], 64);
  return longMaps;
}

/** Maps with everything that is defined for code of a size, and `more` where nothing of that name is. `hasVex`: with what stands
 *  behind VEX prefixes. */
export function buildMapsOf(more: readonly Decodable[], bits: 16 | 32 | 64, hasVex = true): OpcodeMaps {
  const names = new Set(INSTRUCTIONS.map((i) => i.name));
  const added = more.filter((i) => !names.has(i.name));
  const known = hasVex ? ENCODINGS : ENCODINGS.filter((e) => e.vex === null);
  const kept = bits === 64 ? known.filter(isInLongMode) : known;
  const encodings = [...kept, ...encodingsOf(bits === 64 ? [...IN_LONG_MODE_ONLY, ...added] : added)];
  const wide = wideForms();
  return buildMaps<Decodable, Compiled>(encodings, (e) => compile(e, wide.get(e.text) ?? null));
}
/** Maps for what stands behind a VEX prefix: some encodings of the list, and more. */
export function buildVexMaps(more: readonly Decodable[], isKept: (e: Encoding<Decodable>) => boolean): OpcodeMaps {
  return buildMaps<Decodable, Compiled>([...ENCODINGS.filter(isKept), ...encodingsOf(more)], (e) => compile(e));
}
