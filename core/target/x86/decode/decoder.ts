/** Bytes to a decoded instruction. Pure: usable without a CPU. */

import { featureOf } from '../instruction-features.ts';
import { INSTRUCTIONS } from '../semantics/index.ts';
import type { Instruction, Width } from '../semantics/ops.ts';
import { CS, DS, EBP, ESP, FIELDS, SS } from '../state.ts';
import { buildMaps, type Encoding, NO_PREFIX } from './encoding.ts';

export interface MemoryOperand {
  /** Register numbers, -1: none. */
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacement: number;
  readonly segment: number;
  readonly addrSize: 16 | 32;
}
export interface DecodedOperand {
  readonly kind: 'r' | 'm' | 'i';
  readonly width: Width;
  /** Register: offset in the state block. Immediate: the value. */
  readonly value: number;
}
export interface Decoded {
  readonly instruction: Instruction;
  readonly operands: readonly DecodedOperand[];
  readonly memory: MemoryOperand | null;
  readonly length: number;
  readonly opSize: 16 | 32;
  readonly addrSize: 16 | 32;
  readonly rep: 0 | 0xf2 | 0xf3;
  readonly modrm: number;
  /** Relative jumps: distance from the end of the instruction. */
  readonly distance: number;
}

/** Candidates by map and opcode. */
export type OpcodeMaps = readonly (readonly (readonly Encoding[])[])[];
const MAPS: OpcodeMaps = buildMaps(INSTRUCTIONS);

/** The instructions that a CPU with these features has. */
export function mapsFor(hasFeature: (name: string) => boolean): OpcodeMaps {
  const isKnown = (e: Encoding) => {
    const feature = featureOf(e);
    return feature === null || hasFeature(feature);
  };
  return MAPS.map((cells) => cells.map((cell) => (cell.every(isKnown) ? cell : cell.filter(isKnown))));
}
const INVALID = INSTRUCTIONS.find((i) => i.name === 'invalid')!;
const TOO_LONG = INSTRUCTIONS.find((i) => i.name === 'tooLong')!;
/** ModRM r/m of 16-bit addresses: base and index registers. */
const BASE16 = [3, 3, 5, 5, -1, -1, 5, 3];
const INDEX16 = [6, 7, 6, 7, 6, 7, -1, -1];
export const MAX_LENGTH = 15;

const registerOffset = (index: number, width: Width) =>
  FIELDS.gpr.offset + (width === 8 ? (index & 3) * 8 + (index >>> 2) : index * 8);

/** Decodes at `at`; bytes up to `end` may be read. Null when the instruction reaches beyond `end`. */
export function decode(bytes: Uint8Array, at: number, end: number, isCode32: boolean, maps = MAPS): Decoded | null {
  let p = at;
  const isComplete = end - at >= MAX_LENGTH;
  const limit = isComplete ? at + MAX_LENGTH : end;
  const outOfBytes = () => (isComplete ? failed(TOO_LONG, 0, MAX_LENGTH) : null);
  let operandPrefix = false;
  let addressPrefix = false;
  let rep: 0 | 0xf2 | 0xf3 = 0;
  let lock = false;
  let segment = -1;
  let opcode = 0;
  prefixes: for (;;) {
    if (p >= limit) return outOfBytes();
    opcode = bytes[p++]!;
    switch (opcode) {
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
        segment = (opcode >> 3) & 3;
        break;
      case 0x64:
      case 0x65:
        segment = opcode - 0x60;
        break;
      case 0x66:
        operandPrefix = true;
        break;
      case 0x67:
        addressPrefix = true;
        break;
      case 0xf0:
        lock = true;
        break;
      case 0xf2:
      case 0xf3:
        rep = opcode;
        break;
      default:
        break prefixes;
    }
  }
  const opSize = isCode32 !== operandPrefix ? 32 : 16;
  const addrSize = isCode32 !== addressPrefix ? 32 : 16;
  let map = 0;
  if (opcode === 0x0f) {
    if (p >= limit) return outOfBytes();
    opcode = bytes[p++]!;
    map = 1;
    if (opcode === 0x38 || opcode === 0x3a) {
      if (p >= limit) return outOfBytes();
      map = opcode === 0x38 ? 2 : 3;
      opcode = bytes[p++]!;
    }
  }
  const candidates = maps[map]![opcode]!;
  let modrm = 0;
  const first = candidates[0];
  if (first?.hasModrm) {
    if (p >= limit) return outOfBytes();
    modrm = bytes[p++]!;
  }
  const isRegister = modrm >= 0xc0;
  const reg = (modrm >> 3) & 7;
  let found: Encoding | null = null;
  for (const c of candidates) {
    if (c.prefix === NO_PREFIX) {
      if (rep || operandPrefix) continue;
    } else if (c.prefix && c.prefix !== (c.prefix === 0x66 && (!rep || c.map === 0) ? (operandPrefix ? 0x66 : 0) : rep))
      continue;
    if (c.modrm >= 0 && c.modrm !== modrm) continue;
    if (c.digit >= 0 && c.digit !== reg) continue;
    if (c.mod >= 0 && (c.mod === 1) !== isRegister) continue;
    found = c;
    break;
  }
  if (!found) return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);
  const { instruction } = found;
  if (lock && (!instruction.lockable || isRegister || !found.hasModrm))
    return failed(INVALID, (map << 16) | (opcode << 8) | modrm, p - at);

  // Memory operand: ModRM, SIB and displacement come before immediates.
  let memory: MemoryOperand | null = null;
  const hasE = found.operands.some((o) => 'EFMQW'.includes(o.letter));
  if (hasE && !isRegister) {
    let base = -1;
    let index = -1;
    let scale = 0;
    let displacement = 0;
    let bytesLeft: 0 | 1 | 2 | 4 = 0;
    const mod = modrm >> 6;
    const rm = modrm & 7;
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
      } else bytesLeft = mod === 1 ? 1 : mod === 2 ? 2 : 0;
    } else {
      base = rm;
      if (rm === 4) {
        if (p >= limit) return outOfBytes();
        const sib = bytes[p++]!;
        base = sib & 7;
        index = (sib >> 3) & 7;
        scale = sib >> 6;
        if (index === 4) index = -1;
      }
      if (mod === 0 && base === 5) {
        base = -1;
        bytesLeft = 4;
      } else bytesLeft = mod === 1 ? 1 : mod === 2 ? 4 : 0;
    }
    if (p + bytesLeft > limit) return outOfBytes();
    if (bytesLeft === 1) displacement = (bytes[p]! << 24) >> 24;
    else if (bytesLeft === 2) displacement = bytes[p]! | (bytes[p + 1]! << 8);
    else if (bytesLeft === 4) displacement = read32(bytes, p);
    p += bytesLeft;
    const standard = base === EBP || (base === ESP && addrSize === 32) ? SS : DS;
    // POP with ESP as base uses the value after the increment.
    if (instruction.name === 'pop' && base === ESP && addrSize === 32) displacement += opSize / 8;
    memory = { base, index, scale, displacement, segment: segment < 0 ? standard : segment, addrSize };
  }

  const operands: DecodedOperand[] = [];
  let distance = 0;
  for (const { letter, width: code } of found.operands) {
    const width: Width =
      code === 'b' ? 8 : code === 'w' ? 16 : code === 'd' ? 32 : code === 'q' ? 64 : code === 'x' ? 128 : opSize;
    switch (letter) {
      case 'E':
      case 'F':
      case 'M':
      case 'R':
      case 'N':
        if (memory) operands.push({ kind: 'm', width, value: 0 });
        else {
          const actual = letter === 'F' ? opSize : width;
          operands.push({ kind: 'r', width: actual, value: registerOffset(modrm & 7, actual) });
        }
        break;
      case 'W':
      case 'U':
        if (memory) operands.push({ kind: 'm', width, value: 0 });
        else operands.push({ kind: 'r', width, value: FIELDS.xmm.offset + (modrm & 7) * 64 });
        break;
      case 'Q':
      case 'T':
        if (memory) operands.push({ kind: 'm', width, value: 0 });
        else operands.push({ kind: 'r', width, value: FIELDS.fpr.offset + (modrm & 7) * 16 });
        break;
      case 'V':
        operands.push({ kind: 'r', width, value: FIELDS.xmm.offset + reg * 64 });
        break;
      case 'P':
        operands.push({ kind: 'r', width, value: FIELDS.fpr.offset + reg * 16 });
        break;
      case 'G':
        operands.push({ kind: 'r', width, value: registerOffset(reg, width) });
        break;
      case 'Z':
        operands.push({
          kind: 'r',
          width,
          value: registerOffset((opcode - found.opcode + (found.opcode & 7)) & 7, width),
        });
        break;
      case 'AL':
      case 'eAX':
        operands.push({ kind: 'r', width, value: registerOffset(0, width) });
        break;
      case 'CL':
        operands.push({ kind: 'r', width, value: registerOffset(1, 8) });
        break;
      case 'DX':
        operands.push({ kind: 'r', width, value: registerOffset(2, 16) });
        break;
      case '1':
        operands.push({ kind: 'i', width, value: 1 });
        break;
      case 'S':
        if (reg > 5 || (instruction.name === 'movToSeg' && reg === CS)) return failed(INVALID, 0, p - at);
        operands.push({ kind: 'i', width, value: reg });
        break;
      case 'C':
      case 'D':
        operands.push({ kind: 'i', width, value: reg });
        break;
      case 'X':
        operands.push({ kind: 'i', width, value: segment < 0 ? DS : segment });
        break;
      case 'H':
      case 'L':
        operands.push({ kind: 'i', width, value: ((memory?.segment ?? 0) << 8) | (modrm << 16) });
        break;
      case 'O': {
        const size = addrSize / 8;
        if (p + size > limit) return outOfBytes();
        const displacement = size === 2 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
        p += size;
        memory = { base: -1, index: -1, scale: 0, displacement, segment: segment < 0 ? DS : segment, addrSize };
        operands.push({ kind: 'm', width, value: 0 });
        break;
      }
      case 'I': {
        const size = width / 8;
        if (p + size > limit) return outOfBytes();
        const value = size === 1 ? bytes[p]! : size === 2 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
        p += size;
        operands.push({ kind: 'i', width, value });
        break;
      }
      case 'sI':
        if (p >= limit) return outOfBytes();
        operands.push({ kind: 'i', width, value: (bytes[p++]! << 24) >> 24 });
        break;
      case 'A': {
        const size = opSize / 8;
        if (p + size + 2 > limit) return outOfBytes();
        const offset = size === 2 ? bytes[p]! | (bytes[p + 1]! << 8) : read32(bytes, p);
        p += size;
        operands.push(
          { kind: 'i', width, value: offset },
          { kind: 'i', width: 16, value: bytes[p]! | (bytes[p + 1]! << 8) },
        );
        p += 2;
        break;
      }
      case 'J': {
        const size = width / 8;
        if (p + size > limit) return outOfBytes();
        if (size === 1) distance = (bytes[p]! << 24) >> 24;
        else if (size === 2) distance = ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16;
        else distance = read32(bytes, p);
        p += size;
        break;
      }
      default:
        throw new Error(`operand letter ${letter} is not decoded`);
    }
  }
  return { instruction, operands, memory, length: p - at, opSize, addrSize, rep, modrm, distance };
}

function failed(instruction: Instruction, detail: number, length: number): Decoded {
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
  };
}
function read32(bytes: Uint8Array, p: number): number {
  return bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
}
