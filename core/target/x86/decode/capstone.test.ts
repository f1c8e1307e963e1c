/// <reference path="./capstone-wasm.d.ts" />
import { readFileSync } from 'node:fs';
import { Capstone, Const, loadCapstone } from 'capstone-wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { disassemble } from '../disassemble/disassembler.ts';
import { EXECUTABLE, INSTRUCTIONS } from '../semantics/index.ts';
import { type VexChoice, vexBytes } from '../testing/vex-bytes.ts';
import { type Bits, explain, type Line, NOT_IN_CAPSTONE, REASONS } from './capstone-differences.ts';
import { decodeCode } from './decoder.ts';
import { parseEncoding } from './encoding.ts';

const MODES = { 16: Const.CS_MODE_16, 32: Const.CS_MODE_32, 64: Const.CS_MODE_64 } as const;
const ADDRESS = 0x1000;
const engines = new Map<Bits, Capstone>();
const used = new Set<string>();
/** Definitions that capstone has seen, in code of some size. */
const compared = new Set<string>();

beforeAll(async () => {
  await loadCapstone();
  for (const bits of [16, 32, 64] as const) {
    const engine = new Capstone(Const.CS_ARCH_X86, MODES[bits]);
    engine.setOption(Const.CS_OPT_SYNTAX, Const.CS_OPT_SYNTAX_ATT);
    engines.set(bits, engine);
  }
});

function capstone(bytes: Uint8Array, bits: Bits): Line | null {
  try {
    const [found] = engines.get(bits)!.disasm(bytes, { address: ADDRESS, count: 1 });
    return found ? { length: found.size, mnemonic: found.mnemonic, operands: found.opStr } : null;
  } catch {
    return null; // it throws for bytes that are no instruction
  }
}
/** What differs without a reason, or null. */
function compare(bytes: Uint8Array, bits: Bits): string | null {
  const theirs = capstone(bytes, bits);
  const line = disassemble(bytes, 0, BigInt(ADDRESS), bits);
  const ours = line.mnemonic === '.byte' ? null : line;
  if (!ours && !theirs) return null;
  const show = (l: Line | null) => (l ? `${l.length} ${l.mnemonic} ${l.operands}`.trim() : 'nothing');
  if (show(ours) === show(theirs)) return null;
  const reason = explain({ bytes, bits, ours, theirs });
  if (reason) {
    used.add(reason);
    return null;
  }
  return `${bits} bits ${Buffer.from(bytes).toString('hex')}: ours ${show(ours)}, capstone ${show(theirs)}`;
}

/** Numbers that are the same in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 8) * below) >>> 24;
  };
}
function randomBytes(next: (below: number) => number): Uint8Array {
  const bytes = Uint8Array.from({ length: 16 }, () => next(256));
  let p = 0;
  if (next(8) === 0) {
    // VEX: map 1 to 3, of two or three bytes.
    bytes[0] = next(3) ? 0xc4 : 0xc5;
    if (bytes[0] === 0xc4) bytes[1] = (bytes[1]! & 0xe0) | (1 + next(3));
    return bytes;
  }
  if (next(8) === 0) bytes[p++] = [0x66, 0x67, 0xf2, 0xf3, 0x48, 0x41, 0x26, 0x64, 0xf0][next(9)]!;
  if (next(2)) {
    bytes[p++] = 0x0f;
    if (next(6) === 0) bytes[p] = next(2) ? 0x38 : 0x3a;
  }
  return bytes;
}

/** Every encoding with register and memory operands and the prefixes that change it. */
function* everyEncoding(bits: Bits): Generator<Uint8Array> {
  const prefixes =
    bits === 64
      ? [[], [0x66], [0x67], [0x48], [0x4d], [0x42], [0x66, 0x45], [0x67, 0x4b]]
      : [[], [0x66], [0x67], [0x64]];
  for (const instruction of bits === 64 ? EXECUTABLE : INSTRUCTIONS)
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (e.vex) {
        // In 64-bit code also registers 8 to 15 in each place, and W where it means nothing.
        const choices: VexChoice[] = Array.from({ length: 8 }, (_, choice) => ({
          register: 5,
          choice: bits === 64 ? choice : choice & ~2,
        }));
        if (bits === 64)
          for (const rex of [1, 2, 4, 7, 8, 15])
            for (const choice of [0, 1, 4, 5]) choices.push({ register: rex & 1 ? 13 : 2, choice, rex });
        for (const modrm of [0x43, 0x06, 0x84, 0xc1])
          for (const choice of choices) {
            const form = e.modrm >= 0 ? e.modrm : modrm | ((e.digit < 0 ? 3 : e.digit) << 3);
            yield Uint8Array.from([...vexBytes(e, choice), form, 0x51, 0x12, 0x13, 0x11, 0x15, 0x16, 0x17, 0x18]);
          }
        continue;
      }
      const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][e.map]!;
      const modrms = !e.hasModrm
        ? [-1]
        : e.modrm >= 0
          ? [e.modrm]
          : e.mod === 1
            ? [0xc0, 0xc1]
            : e.mod === 0
              ? [0x43, 0x06, 0x84]
              : [0x43, 0x06, 0x84, 0xc1];
      for (const before of prefixes)
        for (const modrm of modrms)
          for (const last of [0x11, 0xf7]) {
            const rex = before.filter((b) => (b & 0xf0) === 0x40 && bits === 64);
            const other = before.filter((b) => !rex.includes(b));
            const code = [...other, ...(e.prefix > 0 ? [e.prefix] : []), ...rex, ...escapes, e.opcode];
            if (modrm >= 0) code.push(e.modrm >= 0 ? modrm : modrm | ((e.digit < 0 ? 3 : e.digit) << 3));
            const behind = e.suffix >= 0 ? Array(5).fill(e.suffix) : [0x51, 0x12, 0x13, last];
            const bytes = Uint8Array.from([...code, ...behind, 0x15, 0x16, 0x17, 0x18, 0x19]);
            yield bytes;
          }
    }
}
/** Why capstone and the decoder may disagree on whether there is an instruction behind VEX. */
function isDisputed(bytes: Uint8Array, ours: number, theirs: Line | null): boolean {
  const isLong = bytes[0] === 0xc4;
  if (ours !== 0 && theirs === null)
    // Capstone wants W clear where CPUs take no notice, and takes notice of the register's bit 3 outside of 64-bit code.
    return isLong && (bytes[2]! >= 0x80 || (bytes[2]! & 0x40) === 0);
  // Gathers with a register twice; AVX-512's instructions on masks, GFNI, 256 bits of AES and PCLMULQDQ, AMD's XOP and FMA4.
  const isFma4 = isLong && (bytes[1]! & 31) === 3 && /^[567]/.test(bytes[3]!.toString(16)) && (bytes[3]! & 15) >= 8;
  return isFma4 || /^(k|vp?gather|vgf2p8|vaes|vpclmul|vpermil2)/.test(theirs?.mnemonic ?? '');
}
function expectNone(differences: readonly string[]): void {
  expect(differences.slice(0, 20)).toEqual([]);
}

describe('decoder and disassembler against capstone', () => {
  for (const bits of [16, 32, 64] as const) {
    it(`agree on random bytes of ${bits}-bit code`, () => {
      const next = generator(bits);
      const differences: string[] = [];
      for (let i = 0; i < 30_000; i++) {
        const difference = compare(randomBytes(next), bits);
        if (difference) differences.push(difference);
      }
      expectNone(differences);
    });
    it(`agree on every encoding in ${bits}-bit code`, () => {
      const differences: string[] = [];
      for (const bytes of everyEncoding(bits)) {
        const difference = compare(bytes, bits);
        if (difference) differences.push(difference);
        const decoded = decodeCode(bytes, 0, bytes.length, bits);
        if (decoded?.encoding && capstone(bytes, bits)) compared.add(decoded.instruction.name);
      }
      expectNone(differences);
    });
  }
  for (const bits of [16, 32, 64] as const)
    it(`agree on what is behind a VEX prefix, in ${bits}-bit code`, () => {
      const next = generator(bits + 1);
      const differences: string[] = [];
      let valid = 0;
      for (let i = 0; i < 60_000; i++) {
        const bytes = Uint8Array.from({ length: 16 }, () => next(256));
        bytes[0] = next(3) ? 0xc4 : 0xc5;
        if (bytes[0] === 0xc4) bytes[1] = (bytes[1]! & 0xe0) | (1 + next(3));
        // Otherwise LES and LDS.
        if (bits !== 64) bytes[1] = bytes[1]! | 0xc0;
        const decoded = decodeCode(bytes, 0, bytes.length, bits);
        const ours = decoded?.encoding ? decoded.length : 0;
        const theirs = capstone(bytes, bits);
        if (ours !== 0) valid++;
        const hex = Buffer.from(bytes).toString('hex');
        if (ours !== (theirs?.length ?? 0) && !isDisputed(bytes, ours, theirs))
          differences.push(
            `${hex}: ours ${ours} ${decoded?.instruction.name}, capstone ${theirs?.length} ${theirs?.mnemonic} ${theirs?.operands}`,
          );
      }
      expect(valid).toBeGreaterThan(4000);
      expectNone(differences);
    });
  it('agree on bytes that random ones seldom are', () => {
    const rare: readonly (readonly [Bits, string])[] = [
      [64, '4f8c236f1639a022a277feb8'], // MOV from FS with REX.R
      [64, '48b8112233445566778899'], // MOV with an immediate of 64 bits
      [64, 'c8ffff11'],
      [64, '480fc70f'], // CMPXCHG16B
      [64, '4890'],
      [64, '664cef'], // OUT
      [64, 'f30f09'],
      [32, '0f01f8'], // SWAPGS
      [64, '62923d8c3c16'], // EVEX
      [32, 'f30fc7ff'],
      [32, 'f30f1efb'], // ENDBR
      [64, 'f30f1efa'],
      [64, 'c5fde6fa'],
      [64, '4190'], // NOP's opcode, but R8
      [64, '67488b0511223344'], // relative to EIP
      [64, '666666662e0f1f840000000000'],
      [32, '2e2e2e2e2e2e2e2e2e2e2e2e2e2e2e90'], // one byte too long
      [32, '65a111223344'],
      [16, '66ea1122334455'],
    ];
    const bytesOf = (hex: string) =>
      Uint8Array.from({ length: 20 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2) || '0', 16));
    expectNone(rare.flatMap(([bits, hex]) => compare(bytesOf(hex), bits) ?? []));
  });
  it('have met every definition', () => {
    const missing = EXECUTABLE.filter((i) => i.encodings.length > 0 && !compared.has(i.name)).map((i) => i.name);
    expect(missing.sort()).toEqual([...NOT_IN_CAPSTONE].sort());
  });
  it('agree on the text of compiled programs', () => {
    const kernel = new Uint8Array(readFileSync(new URL('../../../accel/tcg/kernel/kernel.bin', import.meta.url)));
    const text = [
      { bits: 32 as const, code: kernel.subarray(0, 100_000) },
      { bits: 64 as const, code: textSection(process.execPath, 120_000) },
    ];
    for (const { bits, code } of text) {
      const differences: string[] = [];
      let count = 0;
      for (let p = 0; p + 16 <= code.length; count++) {
        const bytes = code.subarray(p, p + 16);
        const difference = compare(bytes, bits);
        if (difference) differences.push(difference);
        p += decodeCode(bytes, 0, 16, bits)?.encoding
          ? disassemble(bytes, 0, 0n, bits).length
          : (capstone(bytes, bits)?.length ?? 1);
      }
      expect(count).toBeGreaterThan(1000);
      expectNone(differences);
    }
  });
  it('differ for no reason that is never met', () => {
    expect(REASONS.filter((name) => !used.has(name))).toEqual([]);
  });
});

/** Up to `most` bytes of an ELF program's .text (64 bits), from its middle. */
function textSection(path: string, most: number): Uint8Array {
  const file = readFileSync(path);
  const headers = Number(file.readBigUInt64LE(0x28));
  const [size, count, names] = [0x3a, 0x3c, 0x3e].map((at) => file.readUInt16LE(at)) as [number, number, number];
  const section = (i: number) => {
    const at = headers + i * size;
    return {
      name: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 0x18)),
      length: Number(file.readBigUInt64LE(at + 0x20)),
    };
  };
  const strings = section(names).offset;
  for (let i = 0; i < count; i++) {
    const { name, offset, length } = section(i);
    if (file.toString('latin1', strings + name, strings + name + 6) !== '.text\0') continue;
    const from = offset + (length >>> 1);
    return new Uint8Array(file.subarray(from, Math.min(from + most, offset + length)));
  }
  throw new Error(`${path} has no .text`);
}
