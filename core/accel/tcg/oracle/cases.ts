/** Test snippets made from the encodings: every instruction that an ordinary program may execute, in every operand form and
 *  width, from random states. */
import { parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import type { Snippet } from './native.ts';
import { DATA } from './subject.ts';

/** Deterministic numbers. */
export function random(seed: number): () => number {
  let x = seed;
  return () => {
    x = Math.imul(x ^ (x >>> 15), 0x2c1b_3c6d) + 0x9e37_79b9;
    let y = Math.imul(x ^ (x >>> 12), 0x297a_2d39);
    y ^= y >>> 15;
    return y >>> 0;
  };
}
const INTERESTING = [
  0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1234_5678,
];

/** Left out here: what needs privilege, a device, another segment, or names the CPU model. */
export const NOT_COMPARABLE =
  /^(x(save|rstor|[gs]etbv)|vzero|hlt|cli|sti|clac|stac|in|out|ins|outs|cpuid|rd|wr|clts|inv|rsm|s[gi]dt|l[gi]dt|smsw|lmsw|sldt|str|lldt|ltr|ver|lar|lsl|mov(To|From)|push(Seg|f)|popSeg|popf|l[edsfg]s$|jmp|call|ret|iret|int|sys|f|wait|ud0|j|loop|clflush|bound|arpl|salc|pause|monitor|mwait|wbinvd|[ml]fence|sfence|xlat)/;

/** Base and index of 16-bit addresses by r/m, with an 8-bit displacement. */
const FORMS_16: readonly (readonly [number, number])[] = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, -1],
  [7, -1],
  [5, -1],
  [3, -1],
];

/** Control flow and odd ones, by hand: where a branch goes shows in how often EAX was incremented. */
export function controlCases(perForm: number, is16: boolean, seed = 7): Snippet[] {
  const next = random(seed);
  const word = is16 ? [1, 0] : [1, 0, 0, 0];
  const codes: [string, number[]][] = [];
  for (let cc = 0; cc < 16; cc++) {
    codes.push([`jcc8 ${cc}`, [0x70 + cc, 1, 0x40, 0x43]], [`jcc ${cc}`, [0x0f, 0x80 + cc, ...word, 0x40, 0x43]]);
  }
  for (const op of [0xe0, 0xe1, 0xe2, 0xe3]) {
    codes.push([`loop ${op}`, [op, 1, 0x40, 0x43]], [`loop67 ${op}`, [0x67, op, 1, 0x40, 0x43]]);
    codes.push([`loop back ${op}`, [0x40, op === 0xe3 ? 0x90 : op, op === 0xe3 ? 0x90 : 0xfd, 0x43]]);
  }
  codes.push(['jmp8', [0xeb, 1, 0x40, 0x43]], ['jmp', [0xe9, ...word, 0x40, 0x43]]);
  codes.push(['call pop', [0xe8, ...word, 0x40, 0x59, 0x43]]);
  codes.push(['call ret', [0xe8, ...word.map((_, i) => (i === 0 ? 3 : 0)), 0x40, 0xeb, 1, 0xc3, 0x43]]);
  codes.push(['call ret imm', [0xe8, ...word.map((_, i) => (i === 0 ? 3 : 0)), 0x40, 0xeb, 3, 0xc2, 4, 0, 0x43]]);
  codes.push(['call pop jmp', [0xe8, ...word.map(() => 0), 0x59, 0x83, 0xc1, 0x07, 0xff, 0xe1, 0x40, 0x43]]);
  codes.push(['xlat', [0xd7]], ['bound', [0x62, 0x46, 0]], ['into', [0xce]], ['salc', [0xd6]], ['lahf', [0x9f]]);
  codes.push(['pushf', [0x9c, 0x58]], ['popf', [0x50, 0x9d]], ['std', [0xfd, 0xfc]], ['ud2', [0x0f, 0x0b]]);
  codes.push(['lock', [0xf0, 0x40]], ['push push pop', [0x50, 0x53, 0x59, 0x5a]], ['push esp', [0x54, 0x58]]);
  codes.push(['pop esp', [0x54, 0x5c]], ['popa', [0x60, 0x40, 0x61]], ['pusha66', [0x66, 0x60, 0x40, 0x66, 0x61]]);
  codes.push(['push m', [0xff, 0x76, 4, 0x8f, 0x46, 8]], ['pop [esp]', is16 ? [0x54] : [0x50, 0x8f, 0x44, 0x24, 4]]);
  codes.push(['segment override', [0x36, 0x8b, 0x06]], ['ss store', [0x36, 0x89, 0x1e]], ['es', [0x26, 0x01, 0x1e]]);
  const cases: Snippet[] = [];
  const origin = is16 ? 0 : DATA;
  for (const [what, code] of codes)
    for (let n = 0; n < perForm; n++) {
      const regs = Array.from({ length: 8 }, () => next());
      regs[1] = (n % 4) | (n & 1 ? 0x10000 : 0);
      if (what.includes('back')) regs[1] = (1 + (n % 4)) | (is16 ? 0x30000 : 0);
      regs[3] = origin + 16;
      regs[4] = origin + 80;
      regs[6] = origin + 24;
      if (what.startsWith('popf')) regs[0] = next() & 0xcd5;
      if (what.includes('override') || what.includes('store') || what === 'es')
        regs[6] = origin + (n % 3 ? 40 : 0x7ffe);
      cases.push({
        what: `${what}${is16 ? ' a16' : ''}`,
        is16,
        regs: regs.map((r) => r >>> 0),
        eflags: next() & 0x8d5,
        code: Uint8Array.from(
          what.includes('override') || what.includes('store') || what === 'es'
            ? is16
              ? [...code.slice(0, 2), 0x04]
              : code
            : code,
        ),
        data: Uint8Array.from({ length: 128 }, () => next() & 0x3f),
      });
    }
  return cases;
}

/** Sequences of instructions whose flags are all defined: flags of one are read by the next in whatever form they were left. */
export function sequenceCases(count: number, seed = 3): Snippet[] {
  const next = random(seed);
  const material = generatedCases(6, false, seed).filter(
    (s) =>
      / (r)$/.test(s.what) &&
      /^(add|adc|sub|sbb|cmp(?!s)|inc|dec|neg|and|or|xor|test|xadd|not|movzx|movsx|cmov|set|xchg|cmpxchg|cmc|clc|stc|cbw|cwd|sahf|lahf)/.test(
        s.what,
      ) &&
      !s.what.startsWith('cmpxchg8b'),
  );
  return Array.from({ length: count }, () => {
    const code: number[] = [];
    const names: string[] = [];
    for (;;) {
      const { code: bytes, what } = material[next() % material.length]!;
      if (code.length + bytes.length > 26) break;
      code.push(...bytes);
      names.push(what.split(' ')[0]!);
      // Now and then a short jump over the next byte, which is an INC.
      if (next() % 3 === 0) {
        code.push(0x70 + (next() & 15), 1, 0x40 + (next() & 3));
        names.push('jcc');
      }
    }
    return {
      what: `sequence ${names.join(' ')}`,
      regs: Array.from({ length: 8 }, () => next() >>> 0),
      eflags: next() & 0x8d5,
      code: Uint8Array.from(code.slice(0, 32)),
      data: new Uint8Array(128),
    };
  });
}

/** `perForm` random states for each form. */
export function generatedCases(perForm: number, is16 = false, seed = 1): Snippet[] {
  const origin = is16 ? 0 : DATA;
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[next() % list.length]!;
  const value = () => (next() & 1 ? pick(INTERESTING) : next());
  const cases: Snippet[] = [];
  for (const instruction of INSTRUCTIONS) {
    if (NOT_COMPARABLE.test(instruction.name)) continue;
    const isString = /^(movs|cmps|stos|lods|scas)$/.test(instruction.name);
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (e.vex) continue;
      // Vector registers are compared by a program of their own.
      if (e.operands.some((o) => 'PQTVWU'.includes(o.letter)) || /mxcsr$|^f?emms$/.test(instruction.name)) continue;
      const hasE = e.operands.some((o) => 'EFM'.includes(o.letter));
      const hasOffset = e.operands.some((o) => o.letter === 'O');
      const modes = hasE ? (e.mod === 0 ? ['m'] : ['r', 'm', 'x']) : ['r'];
      const prefix32 = is16 ? 32 : 16;
      const sizes =
        e.operands.some((o) => o.width === 'v') || instruction.variants?.includes('opSize') ? [32, 16] : [32];
      for (const size of sizes)
        for (const mode of modes)
          for (let n = 0; n < perForm; n++) {
            const code: number[] = [];
            const regs = Array.from({ length: 8 }, value);
            regs[4] = origin + 96;
            if (instruction.name === 'leave' || instruction.name === 'enter') regs[5] = origin + 64;
            if (isString) {
              regs[6] = origin + 32 + (next() % 16);
              regs[7] = origin + 32 + (next() % 16);
              if (n & 1) {
                code.push(n & 2 ? 0xf3 : 0xf2);
                regs[1] = (next() % 5) | (is16 ? next() & 0xffff_0000 : 0);
              }
            }
            if (size === prefix32) code.push(0x66);
            if (e.prefix > 0) code.push(e.prefix);
            if (e.map) code.push(0x0f);
            if (e.map > 1) code.push(e.map === 2 ? 0x38 : 0x3a);
            const low = e.span === 1 ? 0 : e.span === 8 ? next() & 7 : next() % e.span;
            code.push(e.opcode + low);
            if (e.hasModrm && e.modrm < 0) {
              const reg = e.digit >= 0 ? e.digit : next() & 7;
              if (mode === 'r') {
                const rm = next() & 7;
                code.push(0xc0 | (reg << 3) | rm);
              } else if (is16 && mode === 'm') {
                const rm = next() & 7;
                const [base, index] = FORMS_16[rm]!;
                if (/^bt/.test(instruction.name) && e.operands[1]?.letter === 'G') {
                  if (reg === base || reg === index || reg === 4) continue;
                  regs[reg] = (next() % 256) - 128;
                }
                regs[base] = (32 + (next() % 16)) | (next() & 0xffff_0000);
                if (index >= 0) regs[index] = next() & 1 ? next() % 8 : 0xfff8 + (next() % 8);
                code.push(0x40 | (reg << 3) | rm, (next() % 16) & 0xff);
              } else {
                if (is16) code.splice(code.length - 1 - e.map - (e.prefix > 0 ? 1 : 0), 0, 0x67);
                const base = pick([3, 6, 7]);
                regs[base] = origin + 32 + (next() % 24);
                if (/^bt/.test(instruction.name) && e.operands[1]?.letter === 'G') {
                  if (reg === base) continue;
                  regs[reg] = (next() % 256) - 128;
                  if (reg === 4) continue;
                }
                if (mode === 'm') code.push(0x40 | (reg << 3) | base, (next() % 32) - 16);
                else {
                  const index = pick([0, 1, 2, 5].filter((r) => r !== reg || e.digit >= 0));
                  const scale = next() & 3;
                  regs[index] = next() % 4;
                  code.push(0x44 | (reg << 3), (scale << 6) | (index << 3) | base, next() % 16);
                }
              }
            } else if (e.modrm >= 0) code.push(e.modrm);
            if (hasOffset && is16) code.push(next() % 64, next() % 16 === 0 ? 0x80 : 0);
            else if (hasOffset) code.push(DATA & 0xff, (DATA >> 8) & 0xff, DATA >> 16, 0);
            for (const o of e.operands) {
              if (o.letter !== 'I' && o.letter !== 'sI') continue;
              const bytes = o.letter === 'sI' || o.width === 'b' ? 1 : o.width === 'w' ? 2 : size / 8;
              const v = instruction.name === 'enter' ? (bytes === 2 ? next() % 16 : next() % 3) : value();
              for (let i = 0; i < bytes; i++) code.push((v >>> (8 * i)) & 0xff);
            }
            if (/^(i?div)$/.test(instruction.name) && n % 3) {
              // Most random divisions fault; let some succeed.
              regs[2] = n & 4 ? 0 : next() % 3;
            }
            const data = Uint8Array.from({ length: 128 }, () => next() & 0xff);
            cases.push({
              what: `${instruction.name} (${text}) ${size} ${mode}${is16 ? ' a16' : ''}`,
              is16,
              regs: regs.map((r) => r >>> 0),
              eflags: next() & (isString ? 0xcd5 : 0x8d5),
              code: Uint8Array.from(code),
              data,
            });
          }
    }
  }
  return cases;
}
