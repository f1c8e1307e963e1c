/** Test snippets of 64-bit code made from the encodings: operand forms, widths, REX prefixes, registers 8 to 15, addresses above 4 GiB
 *  and relative to RIP, from random states. */
import { type Encoding, parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { isInLongMode } from '../../../target/x86/decode/long-mode.ts';
import { EXECUTABLE } from '../../../target/x86/semantics/index.ts';
import { LONG, LONG_WIDE } from '../../../target/x86/semantics/long.ts';
import { vexBytes } from '../../../target/x86/testing/vex-bytes.ts';
import { NOT_COMPARABLE, random } from './cases.ts';
import { HIGH_DATA, type LongSnippet } from './native64.ts';
import { CODE, DATA } from './subject.ts';

const INTERESTING = [
  ...[0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
  ...[0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0x1234_5678_9abc_def0n],
];
const OWN = new Set([...LONG, ...LONG_WIDE.map((w) => w.instruction)]);
const isWide16 = (name: string) => name === 'cmpxchg16b';
const FOURTH_DATA = BigInt(DATA);

/** A random state and what makes numbers for it. */
export class Maker {
  readonly next: () => number;
  constructor(seed: number) {
    this.next = random(seed);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.next() % list.length]!;
  }
  value(): bigint {
    const { next } = this;
    return next() & 1 ? this.pick(INTERESTING) : (BigInt(next()) << 32n) | BigInt(next());
  }
  data(): Uint8Array {
    return Uint8Array.from({ length: 128 }, () => this.next() & 0xff);
  }
}

/** `perForm` random states for each form. */
export function longCases(perForm: number, seed = 1): LongSnippet[] {
  const make = new Maker(seed);
  const cases: LongSnippet[] = [];
  for (const instruction of EXECUTABLE) {
    if (NOT_COMPARABLE.test(instruction.name) || instruction.name === 'swapgs') continue;
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (!OWN.has(instruction) && !isInLongMode(e)) continue;
      if (e.operands.some((o) => 'PQTVWUY'.includes(o.letter)) || /mxcsr$|^f?emms$/.test(instruction.name)) continue;
      const hasE = e.operands.some((o) => 'EFM'.includes(o.letter));
      const modes = hasE ? (e.mod === 0 ? ['m', 'x', 'rip'] : ['r', 'm', 'x', 'rip', 'a32']) : ['r'];
      const isSized =
        e.operands.some((o) => o.width === 'v' || /y$/.test(o.text)) || instruction.variants?.includes('opSize');
      const sizes = isWide16(instruction.name) ? [64] : isSized ? [32, 16, 64] : [32];
      for (const size of sizes)
        for (const mode of modes)
          for (let n = 0; n < perForm; n++) {
            const made = snippet(make, e, size, mode, n);
            if (made) cases.push(made);
          }
    }
  }
  return cases;
}

function snippet(make: Maker, e: Encoding, size: number, mode: string, n: number): LongSnippet | null {
  const { next } = make;
  const { name } = e.instruction;
  const origin = next() & 1 ? HIGH_DATA : FOURTH_DATA;
  const isString = /^(movs|cmps|stos|lods|scas)$/.test(name);
  const regs = Array.from({ length: 16 }, () => make.value());
  regs[4] = origin + 96n;
  if (name === 'leave' || name === 'enter') regs[5] = origin + 64n;
  const code: number[] = [];
  let isShort = mode === 'a32';
  const local = () => (isShort ? FOURTH_DATA : origin);
  if (isString) {
    isShort = (next() & 3) === 0;
    for (const i of [6, 7]) regs[i] = local() + 32n + BigInt(next() % 16) + (isShort ? BigInt(next()) << 32n : 0n);
    if (n & 1) {
      code.push(n & 2 ? 0xf3 : 0xf2);
      regs[1] = BigInt(next() % 5) | (isShort ? BigInt(next()) << 32n : 0n);
    }
  }
  if (isShort) code.push(0x67);
  if (e.vex && size === 16) return null;
  if (size === 16) code.push(0x66);
  if (e.prefix > 0 && !e.vex) code.push(e.prefix);
  const isByte = e.operands.some((o) => o.width === 'b' && 'EGZ'.includes(o.letter));
  let rex = size === 64 ? 0x48 : (next() & 1) === 0 && isByte ? 0 : next() & 1 ? 0x40 : 0;
  // REX.R, X and B as the registers ask for them.
  const high = () => (rex !== 0 || !isByte ? next() & 1 : 0);
  let modrm = -1;
  const rest: number[] = [];
  let relativeAt = -1;
  let low = 0;
  if (e.span > 1) {
    low = e.span === 8 ? next() & 7 : next() % e.span;
    const b = high();
    if (b) rex |= 0x41;
    if (b === 0 && low === 0 && e.opcode === 0x90) return null;
  }
  if (e.hasModrm && e.modrm < 0) {
    const r = e.digit >= 0 ? 0 : high();
    const reg = e.digit >= 0 ? e.digit : next() & 7;
    const number = reg + 8 * r;
    if (r) rex |= 0x44;
    const isBitIndex = /^bt/.test(name) && e.operands[1]?.letter === 'G';
    if (mode === 'r') {
      const b = high();
      if (b) rex |= 0x41;
      modrm = 0xc0 | (reg << 3) | (next() & 7);
    } else if (mode === 'rip') {
      modrm = 0x05 | (reg << 3);
      relativeAt = 0;
      rest.push(0, 0, 0, 0);
      if (isBitIndex) regs[number] = BigInt.asUintN(64, BigInt((next() % 256) - 128));
      if (isBitIndex && number === 4) return null;
    } else {
      const b = high();
      const base = make.pick([3, 6, 7]) + 8 * b;
      if (b) rex |= 0x41;
      regs[base] = local() + 32n + BigInt(next() % 24) + (isShort ? BigInt(next()) << 32n : 0n);
      if (name === 'cmpxchg16b' && next() & 3) regs[base] = (regs[base]! & ~15n) + 0n;
      if (isBitIndex) {
        if (number === base || number === 4) return null;
        regs[number] = BigInt.asUintN(64, BigInt((next() % 256) - 128));
        if (isShort) return null;
      }
      if (mode === 'm' || isShort) {
        modrm = 0x40 | (reg << 3) | (base & 7);
        rest.push(name === 'cmpxchg16b' ? 0 : ((next() % 32) - 16) & 0xff);
      } else {
        const x = high();
        const index = make.pick([0, 1, 2, 5].map((i) => i + 8 * x).filter((i) => i !== number || e.digit >= 0));
        if (x) rex |= 0x42;
        regs[index] = BigInt(next() % 4);
        modrm = 0x44 | (reg << 3);
        rest.push(((next() & 3) << 6) | ((index & 7) << 3) | (base & 7), name === 'cmpxchg16b' ? 0 : next() % 16);
      }
    }
  } else if (e.modrm >= 0) modrm = e.modrm;
  if (e.vex) code.push(...vexBytes(e, { register: next() & 15, choice: 0, rex }));
  else {
    if (rex) code.push(rex);
    if (e.map) code.push(0x0f);
    if (e.map > 1) code.push(e.map === 2 ? 0x38 : 0x3a);
    code.push(e.opcode + low);
  }
  if (modrm >= 0) code.push(modrm);
  if (relativeAt >= 0) relativeAt = code.length;
  code.push(...rest);
  if (e.operands.some((o) => o.letter === 'O'))
    for (let i = 0; i < 8; i++) code.push(Number((local() >> BigInt(8 * i)) & 0xffn));
  for (const o of e.operands) {
    if (o.letter !== 'I' && o.letter !== 'sI') continue;
    const whole = o.text === 'Iv' ? size / 8 : Math.min(size / 8, 4);
    const bytes = o.letter === 'sI' || o.width === 'b' ? 1 : o.width === 'w' ? 2 : whole;
    const v = name === 'enter' ? BigInt(bytes === 2 ? next() % 16 : next() % 3) : make.value();
    for (let i = 0; i < bytes; i++) code.push(Number((v >> BigInt(8 * i)) & 0xffn));
  }
  if (relativeAt >= 0) {
    const distance = DATA + 48 - (CODE + code.length);
    for (let i = 0; i < 4; i++) code[relativeAt + i] = (distance >> (8 * i)) & 0xff;
  }
  if (/^(i?div)$/.test(name) && n % 3) regs[2] = n & 4 ? 0n : BigInt(next() % 3);
  return {
    what: `${name} (${e.text}) ${size} ${mode}`,
    regs: regs.map((r) => BigInt.asUintN(64, r)),
    eflags: next() & (isString ? 0xcd5 : 0x8d5),
    code: Uint8Array.from(code),
    data: make.data(),
  };
}

/** Control flow and the stack, by hand: where a branch goes shows in how often EAX was incremented. Branches with 66 are left out: AMD and
 *  Intel differ. */
export function longControlCases(perForm: number, seed = 7): LongSnippet[] {
  const make = new Maker(seed);
  const { next } = make;
  const inc = [0xff, 0xc0];
  const other = [0xff, 0xc3];
  const far = [2, 0, 0, 0];
  const codes: [string, number[]][] = [];
  for (let cc = 0; cc < 16; cc++)
    codes.push(
      [`jcc8 ${cc}`, [0x70 + cc, 2, ...inc, ...other]],
      [`jcc ${cc}`, [0x0f, 0x80 + cc, ...far, ...inc, ...other]],
    );
  for (const op of [0xe0, 0xe1, 0xe2, 0xe3])
    codes.push([`loop ${op}`, [op, 2, ...inc, ...other]], [`loop67 ${op}`, [0x67, op, 2, ...inc, ...other]]);
  codes.push(['loop back', [...inc, 0xe2, 0xfc, ...other]]);
  codes.push(['jmp8', [0xeb, 2, ...inc, ...other]], ['jmp', [0xe9, ...far, ...inc, ...other]]);
  codes.push(['call pop', [0xe8, ...far, ...inc, 0x59, ...other]]);
  codes.push(['call ret', [0xe8, 4, 0, 0, 0, ...inc, 0xeb, 1, 0xc3, ...other]]);
  codes.push(['call ret imm', [0xe8, 4, 0, 0, 0, ...inc, 0xeb, 3, 0xc2, 8, 0, ...other]]);
  codes.push(['call pop jmp', [0xe8, 0, 0, 0, 0, 0x59, 0x48, 0x83, 0xc1, 0x09, 0xff, 0xe1, ...inc, ...other]]);
  codes.push([
    'pop r9 jmp r9',
    [0xe8, 0, 0, 0, 0, 0x41, 0x59, 0x49, 0x83, 0xc1, 0x0b, 0x41, 0xff, 0xe1, ...inc, ...other],
  ]);
  codes.push(['xlat', [0xd7]], ['lahf', [0x9f]], ['sahf', [0x9e]], ['pushf', [0x9c, 0x58]], ['popf', [0x50, 0x9d]]);
  codes.push(['push pop', [0x50, 0x41, 0x5f]], ['push rsp', [0x54, 0x58]], ['pop rsp', [0x54, 0x5c]]);
  codes.push(['push imm', [0x6a, 0x85, 0x68, 1, 2, 3, 0x84, 0x59, 0x5a]], ['push16', [0x66, 0x50, 0x66, 0x5a]]);
  codes.push(['push m', [0xff, 0x76, 4, 0x8f, 0x46, 8]]);
  codes.push(['cs ds es ss', [0x36, 0x8b, 0x06, 0x2e, 0x03, 0x06, 0x26, 0x03, 0x06]]);
  codes.push(['not canonical', [0x48, 0x8b, 0x01]], ['not canonical stack', [0x48, 0x8b, 0x45, 0]]);
  codes.push(['bswap', [0x48, 0x0f, 0xc8, 0x49, 0x0f, 0xc9]], ['moffs', [0x67, 0xa1, 0, 0, 0x10, 0]]);
  codes.push(['nop rex', [0x48, 0x90, 0x49, 0x90]], ['rex ignored', [0x48, 0x66, 0x89, 0xc3]]);
  for (const gone of [0x06, 0x0e, 0x1e, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea])
    codes.push([`gone ${gone.toString(16)}`, [gone, 0xc0, 1]]);
  const cases: LongSnippet[] = [];
  for (const [what, code] of codes)
    for (let n = 0; n < perForm; n++) {
      const origin = next() & 1 ? HIGH_DATA : FOURTH_DATA;
      const regs = Array.from({ length: 16 }, () => make.value());
      regs[1] = BigInt(n % 4) | (n & 1 ? 0x1_0000_0000n : 0n);
      if (what === 'loop back') regs[1] = BigInt(1 + (n % 4));
      if (what.startsWith('not can')) regs[1] = regs[5] = 0x1234_5678_9abc_def0n;
      regs[3] = origin + 16n;
      regs[4] = origin + 80n;
      regs[6] = origin + 24n;
      if (what === 'xlat') regs[0] = make.value() & 0xffff_ffff_ffff_ff3fn;
      if (what === 'popf') regs[0] = BigInt(next() & 0xcd5);
      cases.push({
        what,
        regs: regs.map((r) => BigInt.asUintN(64, r)),
        eflags: next() & 0x8d5,
        code: Uint8Array.from(code),
        data: make.data(),
      });
    }
  return cases;
}
