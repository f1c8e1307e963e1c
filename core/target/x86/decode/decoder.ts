/** Bytes to a decoded instruction. Pure: usable without a CPU.
 *
 *  Everything that can be known of an encoding is worked out when the maps are built (maps.ts); register operands are shared
 *  objects. */

import { INSTRUCTIONS } from '../semantics/index.ts';
import type { Instruction, Width } from '../semantics/ops.ts';
import { CS, DS, EBP, ESP, FIELDS, SS } from '../state.ts';
import { type Decodable, type Encoding, SELECTOR, SUFFIX_MAP, vexMap } from './encoding.ts';
import { allMaps, KIND, longModeMaps, type OpcodeMaps, SIZE, SIZE_BITS, SIZE_MASK, WIDTHS } from './maps.ts';

export { longMapsFor, mapsFor, type OpcodeMaps } from './maps.ts';

/** `base` of an address relative to the next instruction (64-bit code). */
export const RIP_BASE = 16;

export interface MemoryOperand<Size extends 16 | 32 | 64 = 16 | 32> {
  /** Register numbers, -1: none. */
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: number;
  readonly segment: number;
  readonly addrSize: Size;
}
export interface DecodedOperand {
  readonly kind: 'r' | 'm' | 'i';
  readonly width: Width;
  /** Register: offset in the state block. Immediate: the value, its lower half if it has 64 bits. */
  readonly value: number;
}
/** `Size`: operand and address sizes that the code may have; `I`: instructions that are defined, or only known. */
export interface Decoded<Size extends 16 | 32 | 64 = 16 | 32, I extends Decodable = Instruction> {
  readonly instruction: I;
  readonly operands: readonly DecodedOperand[];
  readonly memory: MemoryOperand<Size> | null;
  readonly length: number;
  readonly opSize: Size;
  readonly addrSize: Size;
  readonly rep: 0 | 0xf2 | 0xf3;
  readonly modrm: number;
  /** Relative jumps: distance from the end of the instruction. */
  readonly distance: number;
  /** Upper half of a 64-bit immediate or absolute offset. */
  readonly high: number;
  /** Bytes behind the displacement, or behind ModRM if there is none: immediates. */
  readonly trailing: number;
  /** How the instruction was written; null for bytes that are no instruction. */
  readonly encoding: Encoding<I> | null;
}
/** An instruction that is defined, in code of any size. */
export type Executable = Decoded<16 | 32 | 64>;
/** An instruction of 64-bit code. */
export type LongDecoded = Decoded<16 | 32 | 64, Decodable>;

const INVALID = INSTRUCTIONS.find((i) => i.name === 'invalid')!;
const TOO_LONG = INSTRUCTIONS.find((i) => i.name === 'tooLong')!;
/** ModRM r/m of 16-bit addresses: base and index registers. */
const BASE16 = [3, 3, 5, 5, -1, -1, 5, 3];
const INDEX16 = [6, 7, 6, 7, 6, 7, -1, -1];
export const MAX_LENGTH = 15;

const registers = (count: number, width: Width, offset: (index: number) => number): readonly DecodedOperand[] =>
  Array.from({ length: count }, (_, i) => ({ kind: 'r', width, value: offset(i) }));
const gpr = FIELDS.gpr.offset;
/** General registers by width and number. */
const GENERAL = WIDTHS.map((width) =>
  width === 8 ? registers(8, 8, (i) => gpr + (i & 3) * 8 + (i >>> 2)) : registers(16, width, (i) => gpr + i * 8),
);
/** Byte registers of an instruction with a REX prefix: SPL, BPL, SIL, DIL in place of AH, CH, DH, BH. */
const BYTES_WITH_REX = registers(16, 8, (i) => gpr + i * 8);
const VECTORS = WIDTHS.map((width) => registers(16, width, (i) => FIELDS.xmm.offset + i * 64));
const MMX = WIDTHS.map((width) => registers(8, width, (i) => FIELDS.fpr.offset + i * 16));
const MEMORY = WIDTHS.map((width): DecodedOperand => ({ kind: 'm', width, value: 0 }));
const ONE = WIDTHS.map((width): DecodedOperand => ({ kind: 'i', width, value: 1 }));
const NO_OPERANDS: readonly DecodedOperand[] = [];

/** What a byte is as a prefix. */
const PREFIX = new Uint8Array(256);
/** The same from the two low bits of a VEX prefix. */
const VEX_SELECTOR = [SELECTOR.none, SELECTOR.operandSize, SELECTOR.f3, SELECTOR.f2];
const IS = { operandSize: 1, addressSize: 2, segment: 3, lock: 4, rep: 5 } as const;
for (const [kind, bytes] of [
  [IS.operandSize, [0x66]],
  [IS.addressSize, [0x67]],
  [IS.segment, [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]],
  [IS.lock, [0xf0]],
  [IS.rep, [0xf2, 0xf3]],
] as const)
  for (const byte of bytes) PREFIX[byte] = kind;

/** Decodes 16- or 32-bit code at `at`; bytes up to `end` may be read. Null when the instruction reaches beyond `end`.
 *  `maps`: what the CPU knows; without it, everything. */
export function decode(
  bytes: Uint8Array,
  at: number,
  end: number,
  isCode32: boolean,
  maps = allMaps(),
): Decoded | null {
  return decodeWith(maps, bytes, at, end, isCode32 ? 32 : 16) as Decoded | null;
}
/** 64-bit code, by the maps of a CPU (`longMapsFor`), or everything that is defined. */
export function decodeLong(
  bytes: Uint8Array,
  at: number,
  end: number,
  maps: OpcodeMaps = longModeMaps(),
): Executable | null {
  return decodeWith(maps, bytes, at, end, 64) as Executable | null;
}
/** The same for code of any size. What 64-bit code may hold is not all defined: some instructions are only known by name. */
export function decodeCode(bytes: Uint8Array, at: number, end: number, bits: 16 | 32 | 64): LongDecoded | null {
  return decodeWith(bits === 64 ? longModeMaps() : allMaps(), bytes, at, end, bits);
}

/** The same with maps of one's own. */
export function decodeWithMaps(
  maps: OpcodeMaps,
  bytes: Uint8Array,
  at: number,
  bits: 16 | 32 | 64,
): LongDecoded | null {
  return decodeWith(maps, bytes, at, bytes.length, bits);
}

function decodeWith(
  maps: OpcodeMaps,
  bytes: Uint8Array,
  at: number,
  end: number,
  bits: 16 | 32 | 64,
): LongDecoded | null {
  let p = at;
  const isComplete = end - at >= MAX_LENGTH;
  const limit = isComplete ? at + MAX_LENGTH : end;
  let operandPrefix = false;
  let addressPrefix = false;
  let rep: 0 | 0xf2 | 0xf3 = 0;
  let lock = false;
  let segment = -1;
  let rex = 0;
  let opcode = 0;
  for (;;) {
    if (p >= limit) return outOfBytes(isComplete);
    opcode = bytes[p++]!;
    const prefix = PREFIX[opcode]!;
    if (prefix === 0) {
      if (bits !== 64 || (opcode & 0xf0) !== 0x40) break;
      rex = opcode;
      continue;
    }
    rex = 0; // counts only right before the opcode
    if (prefix === IS.operandSize) operandPrefix = true;
    else if (prefix === IS.addressSize) addressPrefix = true;
    else if (prefix === IS.segment) {
      if (opcode >= 0x64) segment = opcode - 0x60;
      else if (bits !== 64) segment = (opcode >> 3) & 3;
    } else if (prefix === IS.lock) lock = true;
    else rep = opcode as 0xf2 | 0xf3;
  }
  let isWide = (rex & 8) !== 0;
  let opSize: 16 | 32 | 64;
  let addrSize: 16 | 32 | 64;
  if (bits === 64) {
    opSize = isWide ? 64 : operandPrefix ? 16 : 32;
    addrSize = addressPrefix ? 32 : 64;
  } else {
    const isCode32 = bits === 32;
    opSize = isCode32 !== operandPrefix ? 32 : 16;
    addrSize = isCode32 !== addressPrefix ? 32 : 16;
  }
  let map = 0;
  let selector: number = rep
    ? rep === 0xf3
      ? SELECTOR.f3
      : SELECTOR.f2
    : operandPrefix
      ? SELECTOR.operandSize
      : SELECTOR.none;
  let vexRegister = -1;
  if (opcode === 0xc4 || opcode === 0xc5) {
    if (p >= limit) return outOfBytes(isComplete);
    // Outside of 64-bit code these are LES and LDS unless what would be their ModRM byte names a register.
    if (bits === 64 || bytes[p]! >= 0xc0) {
      if (lock || operandPrefix || rep !== 0 || rex !== 0) return failed(INVALID, (opcode << 8) | bytes[p]!, p - at);
      const isShort = opcode === 0xc5;
      if (p + (isShort ? 2 : 3) > limit) return outOfBytes(isComplete);
      const first = bytes[p++]!;
      const last = isShort ? first : bytes[p++]!;
      map = isShort ? 1 : first & 31;
      if (map < 1 || map > 3) return failed(INVALID, (opcode << 8) | first, p - at);
      const vexWide = isShort ? 0 : last >> 7;
      vexRegister = (~last >> 3) & 15;
      if (bits === 64) {
        isWide = vexWide !== 0;
        rex = 0x40 | (first & 0x80 ? 0 : 4) | (isShort ? 0 : (~first >> 5) & 3) | (isWide ? 8 : 0);
        if (isWide) opSize = 64;
      } else vexRegister &= 7;
      selector = VEX_SELECTOR[last & 3]!;
      map = vexMap((last >> 2) & 1, vexWide, map);
      opcode = bytes[p++]!;
    }
  } else if (opcode === 0x0f) {
    if (p >= limit) return outOfBytes(isComplete);
    opcode = bytes[p++]!;
    map = 1;
    if (opcode === 0x0f && maps[SUFFIX_MAP]![PFADD]!.hasModrm) {
      const suffix = suffixAt(bytes, p, addrSize);
      if (suffix >= limit) return outOfBytes(isComplete);
      if (!maps[SUFFIX_MAP]![bytes[suffix]!]!.hasModrm) return failed(INVALID, 0x1_0f00 | bytes[p]!, suffix + 1 - at);
      opcode = bytes[suffix]!;
      map = SUFFIX_MAP;
    } else if (opcode === 0x38 || opcode === 0x3a) {
      if (p >= limit) return outOfBytes(isComplete);
      map = opcode === 0x38 ? 2 : 3;
      opcode = bytes[p++]!;
    }
  }
  const cell = maps[map]![opcode]!;
  let modrm = 0;
  if (cell.hasModrm) {
    if (p >= limit) return outOfBytes(isComplete);
    modrm = bytes[p++]!;
    selector =
      cell.formBits === 8 ? (selector << 8) | modrm : (selector << 4) | ((modrm >> 3) & 7) | (modrm >= 0xc0 ? 8 : 0);
  }
  const isRegister = modrm >= 0xc0;
  let found = cell.table[selector]!;
  // With REX.B the opcode of NOP is an exchange again.
  if (rex & 1 && opcode === 0x90 && map === 0) found = maps[0]![0x91]!.table[selector]!;
  if (found === null || (lock && (!found.isLockable || isRegister)))
    return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);
  if (vexRegister > 0 && !found.usesVexRegister) return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);
  if (bits === 64) {
    if (isWide && found.wide) found = found.wide;
    if (found.longSize === 'port') {
      if (opSize === 64) opSize = 32;
    } else if (found.longSize !== 'plain' && (opSize === 32 || found.longSize === 'near')) opSize = 64;
  }
  const opIndex = opSize === 32 ? 2 : opSize === 16 ? 1 : 3;

  // Memory operand: ModRM, SIB and displacement come before immediates.
  let memory: MemoryOperand<16 | 32 | 64> | null = null;
  let vectorIndex = 0;
  if (!isRegister && found.hasMemory) {
    let base = -1;
    let index = -1;
    let scale = 0;
    let displacement = 0;
    let bytesLeft = 0;
    const mod = modrm >> 6;
    const rm = modrm & 7;
    if (found.isVsib && (addrSize === 16 || rm !== 4))
      return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);
    if (addrSize === 16) {
      base = BASE16[rm]!;
      index = INDEX16[rm]!;
      if (base < 0) {
        base = index;
        index = -1;
      }
      if (mod === 0 && rm === 6) {
        base = -1;
        bytesLeft = 2;
      } else bytesLeft = mod;
    } else {
      base = rm;
      if (rm === 4) {
        if (p >= limit) return outOfBytes(isComplete);
        const sib = bytes[p++]!;
        base = sib & 7;
        index = ((sib >> 3) & 7) | ((rex & 2) << 2);
        scale = sib >> 6;
        if (found.isVsib) {
          vectorIndex = index | (scale << 8);
          index = -1;
          scale = 0;
        } else if (index === 4) index = -1;
      }
      if (mod === 0 && base === 5) {
        base = bits === 64 && rm === 5 ? RIP_BASE : -1;
        bytesLeft = 4;
      } else {
        base |= (rex & 1) << 3;
        bytesLeft = mod === 2 ? 4 : mod;
      }
    }
    if (bytesLeft !== 0) {
      if (p + bytesLeft > limit) return outOfBytes(isComplete);
      if (bytesLeft === 1) displacement = (bytes[p]! << 24) >> 24;
      else if (bytesLeft === 2) displacement = bytes[p]! | (bytes[p + 1]! << 8);
      else displacement = read32(bytes, p);
      p += bytesLeft;
    }
    if (segment < 0) segment = base === EBP || (base === ESP && addrSize !== 16) ? SS : DS;
    // POP with ESP as base uses the value after the increment.
    if (found.isPop && base === ESP && addrSize !== 16) displacement += opSize / 8;
    memory = { base, index, scale, displacement, segment, addrSize };
  }
  let behind = p;

  const codes = found.operands;
  const count = codes.length;
  let operands = NO_OPERANDS;
  let distance = 0;
  let high = 0;
  if (count !== 0) {
    // An array that grows has room for seventeen from the start.
    let first: DecodedOperand = ONE[0]!;
    let second = first;
    let third = first;
    let fourth = first;
    let filled = 0;
    const reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
    const rm = (modrm & 7) | ((rex & 1) << 3);
    let isFar = false;
    for (let i = 0; i < count; i++) {
      const code = codes[i]!;
      let made: DecodedOperand | null = null;
      let size = code & SIZE_MASK;
      if (size > SIZE.t) size = size === SIZE.v ? opIndex : (size === SIZE.y ? isWide : bits === 64) ? 3 : 2;
      switch (code >> SIZE_BITS) {
        case KIND.general:
          made = memory ? MEMORY[size]! : size === 0 && rex ? BYTES_WITH_REX[rm]! : GENERAL[size]![rm]!;
          break;
        case KIND.generalByReg:
          made = size === 0 && rex ? BYTES_WITH_REX[reg]! : GENERAL[size]![reg]!;
          break;
        case KIND.generalInOpcode: {
          const number = ((opcode - found.opcode + (found.opcode & 7)) & 7) | ((rex & 1) << 3);
          made = size === 0 && rex ? BYTES_WITH_REX[number]! : GENERAL[size]![number]!;
          break;
        }
        case KIND.signed:
          if (p >= limit) return outOfBytes(isComplete);
          made = { kind: 'i', width: WIDTHS[size]!, value: (bytes[p]! << 24) >> 24 };
          if (size === 3) high = ((bytes[p]! << 24) >> 31) | 0;
          p++;
          break;
        case KIND.wholeImmediate:
        case KIND.immediate: {
          if (size === 3) {
            if (code >> SIZE_BITS === KIND.wholeImmediate) {
              if (p + 8 > limit) return outOfBytes(isComplete);
              made = { kind: 'i', width: 64, value: read32(bytes, p) };
              high = read32(bytes, p + 4);
              p += 8;
              break;
            }
            if (p + 4 > limit) return outOfBytes(isComplete);
            const value = read32(bytes, p);
            made = { kind: 'i', width: 64, value };
            high = value >> 31;
            p += 4;
            break;
          }
          const length = 1 << size;
          if (p + length > limit) return outOfBytes(isComplete);
          const value = size === 0 ? bytes[p]! : size === 1 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
          p += length;
          made = { kind: 'i', width: WIDTHS[size]!, value };
          break;
        }
        case KIND.relative: {
          if (size === 3) size = 2;
          const length = 1 << size;
          if (p + length > limit) return outOfBytes(isComplete);
          if (size === 0) distance = (bytes[p]! << 24) >> 24;
          else if (size === 1) distance = ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16;
          else distance = read32(bytes, p);
          p += length;
          break;
        }
        case KIND.generalAtOpSize:
          made = memory ? MEMORY[size]! : GENERAL[opIndex]![rm]!;
          break;
        case KIND.vector:
          made = memory ? MEMORY[size]! : VECTORS[size]![rm]!;
          break;
        case KIND.vectorByReg:
          made = VECTORS[size]![reg]!;
          break;
        case KIND.vectorByVex:
          made = VECTORS[size]![vexRegister]!;
          break;
        case KIND.generalByVex:
          made = GENERAL[size]![vexRegister]!;
          break;
        case KIND.vectorInImmediate:
          if (p >= limit) return outOfBytes(isComplete);
          made = VECTORS[size]![(bytes[p++]! >> 4) & (bits === 64 ? 15 : 7)]!;
          break;
        case KIND.gather: {
          // Destination, mask and index are three registers.
          const indexRegister = vectorIndex & 15;
          if (reg === vexRegister || reg === indexRegister || vexRegister === indexRegister)
            return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);
          const value = reg | (vexRegister << 4) | (vectorIndex << 8) | ((segment < 0 ? DS : segment) << 20);
          made = { kind: 'i', width: 32, value };
          break;
        }
        case KIND.mmx:
          made = memory ? MEMORY[size]! : MMX[size]![modrm & 7]!;
          break;
        case KIND.mmxByReg:
          made = MMX[size]![reg & 7]!;
          break;
        case KIND.accumulator:
          made = GENERAL[size]![0]!;
          break;
        case KIND.counter:
          made = GENERAL[0]![1]!;
          break;
        case KIND.port:
          made = GENERAL[1]![2]!;
          break;
        case KIND.one:
          made = ONE[size]!;
          break;
        case KIND.segment: {
          const number = reg & 7; // REX.R does not count
          if (number > 5 || (found.isMovToSeg && number === CS)) return failed(INVALID, 0, p - at);
          made = { kind: 'i', width: WIDTHS[size]!, value: number };
          break;
        }
        case KIND.numbered:
          made = { kind: 'i', width: WIDTHS[size]!, value: reg };
          break;
        case KIND.source:
          made = { kind: 'i', width: WIDTHS[size]!, value: segment < 0 ? DS : segment };
          break;
        case KIND.x87:
          made = { kind: 'i', width: WIDTHS[size]!, value: (memory ? memory.segment << 8 : 0) | (modrm << 16) };
          break;
        case KIND.absolute: {
          const length = addrSize / 8;
          if (p + length > limit) return outOfBytes(isComplete);
          const displacement = length === 2 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
          if (length === 8) high = read32(bytes, p + 4);
          p += length;
          behind = p;
          memory = { base: -1, index: -1, scale: 0, displacement, segment: segment < 0 ? DS : segment, addrSize };
          made = MEMORY[size]!;
          break;
        }
        case KIND.far: {
          const length = opSize / 8;
          if (p + length + 2 > limit) return outOfBytes(isComplete);
          const offset = length === 2 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
          p += length;
          made = { kind: 'i', width: WIDTHS[size]!, value: offset };
          second = { kind: 'i', width: 16, value: bytes[p]! | (bytes[p + 1]! << 8) };
          isFar = true;
          p += 2;
          break;
        }
        default:
          throw new Error(`operand kind ${code >> SIZE_BITS} is not decoded`);
      }
      if (made === null) continue;
      if (filled === 0) first = made;
      else if (filled === 1) second = made;
      else if (filled === 2) third = made;
      else fourth = made;
      filled++;
    }
    if (isFar) filled = 2;
    if (filled === 2) operands = [first, second];
    else if (filled === 1) operands = [first];
    else if (filled === 3) operands = [first, second, third];
    else if (filled === 4) operands = [first, second, third, fourth];
  }
  if (map === SUFFIX_MAP) p++;
  return {
    instruction: found.instruction,
    operands,
    memory,
    length: p - at,
    opSize,
    addrSize,
    rep,
    modrm,
    distance,
    high,
    trailing: p - behind,
    encoding: found.encoding,
  };
}

/** A suffix that every CPU with 3DNow! knows. */
const PFADD = 0x9e;
/** Where the byte behind a ModRM operand is; bytes beyond the end count as zeros. */
function suffixAt(bytes: Uint8Array, p: number, addrSize: 16 | 32 | 64): number {
  const modrm = bytes[p] ?? 0;
  const mod = modrm >> 6;
  const rm = modrm & 7;
  if (mod === 3) return p + 1;
  if (addrSize === 16) return p + 1 + (mod === 0 ? (rm === 6 ? 2 : 0) : mod);
  const hasSib = rm === 4;
  const base = hasSib ? (bytes[p + 1] ?? 0) & 7 : rm;
  const displacement = mod === 1 ? 1 : mod === 2 || base === 5 ? 4 : 0;
  return p + 1 + (hasSib ? 1 : 0) + displacement;
}

/** The instruction reaches beyond its 15 bytes, or beyond what may be read. */
function outOfBytes(isComplete: boolean): LongDecoded | null {
  return isComplete ? failed(TOO_LONG, 0, MAX_LENGTH) : null;
}
function failed(instruction: Instruction, detail: number, length: number): LongDecoded {
  return {
    instruction,
    operands: [{ kind: 'i', width: 32, value: detail }],
    memory: null,
    length,
    opSize: 32,
    addrSize: 32,
    rep: 0,
    modrm: 0,
    distance: 0,
    high: 0,
    trailing: 0,
    encoding: null,
  };
}
/** Four bytes as a signed number. */
export function read32(bytes: Uint8Array, p: number): number {
  return bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
}
