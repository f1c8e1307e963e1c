/** Test snippets made from the encodings: every instruction that an ordinary program may execute, in every operand form and
 *  width, from random states. */
import { parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import { DATA, type Snippet } from './native.ts';

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
const NOT_COMPARABLE =
  /^(hlt|cli|sti|in|out|ins|outs|cpuid|rd|wr|clts|inv|rsm|s[gi]dt|l[gi]dt|smsw|lmsw|sldt|str|lldt|ltr|ver|lar|lsl|mov(To|From)|push(Seg|f)|popSeg|popf|l[edsfg]s$|jmp|call|ret|iret|int|sys|esc|wait|ud0|j|loop|clflush|bound|arpl|salc|pause|wbinvd|[ml]fence|sfence|xlat)/;

/** `perForm` random states for each form. */
export function generatedCases(perForm: number, seed = 1): Snippet[] {
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[next() % list.length]!;
  const value = () => (next() & 1 ? pick(INTERESTING) : next());
  const cases: Snippet[] = [];
  for (const instruction of INSTRUCTIONS) {
    if (NOT_COMPARABLE.test(instruction.name)) continue;
    const isString = /^(movs|cmps|stos|lods|scas)$/.test(instruction.name);
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      const hasE = e.operands.some((o) => 'EFM'.includes(o.letter));
      const hasOffset = e.operands.some((o) => o.letter === 'O');
      const modes = hasE ? (e.mod === 0 ? ['m'] : ['r', 'm', 'x']) : ['r'];
      const sizes =
        e.operands.some((o) => o.width === 'v') || instruction.variants?.includes('opSize') ? [32, 16] : [32];
      for (const size of sizes)
        for (const mode of modes)
          for (let n = 0; n < perForm; n++) {
            const code: number[] = [];
            const regs = Array.from({ length: 8 }, value);
            regs[4] = DATA + 96;
            if (instruction.name === 'leave' || instruction.name === 'enter') regs[5] = DATA + 64;
            if (isString) {
              regs[6] = DATA + 32 + (next() % 16);
              regs[7] = DATA + 32 + (next() % 16);
              if (n & 1) {
                code.push(n & 2 ? 0xf3 : 0xf2);
                regs[1] = next() % 5;
              }
            }
            if (size === 16) code.push(0x66);
            if (e.prefix) code.push(e.prefix);
            if (e.map) code.push(0x0f);
            const low = e.span === 1 ? 0 : e.span === 8 ? next() & 7 : next() % e.span;
            code.push(e.opcode + low);
            if (e.hasModrm && e.modrm < 0) {
              const reg = e.digit >= 0 ? e.digit : next() & 7;
              if (mode === 'r') {
                const rm = next() & 7;
                code.push(0xc0 | (reg << 3) | rm);
              } else {
                const base = pick([3, 6, 7]);
                regs[base] = DATA + 32 + (next() % 24);
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
            if (hasOffset) code.push(DATA & 0xff, (DATA >> 8) & 0xff, DATA >> 16, 0);
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
              what: `${instruction.name} (${text}) ${size} ${mode}`,
              regs: regs.map((r) => r >>> 0),
              eflags: next() & 0x8d5 & ~(isString ? 0 : 0) & 0xfff_ffff,
              code: Uint8Array.from(code),
              data,
            });
          }
    }
  }
  return cases;
}
