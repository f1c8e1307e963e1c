/** Vector instructions on the host CPU and in the interpreter: cases from the encodings, and both ways to run them. */
import { NO_PREFIX, parseEncoding } from '../../../target/x86/decode/encoding.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import type { Instruction } from '../../../target/x86/semantics/ops.ts';
import { CR4, FIELDS, XCR0 } from '../../../target/x86/state.ts';
import { vexBytes } from '../../../target/x86/testing/vex-bytes.ts';
import { type BareMachine, bareMachine, enterFlat32, enterLong } from '../testing.ts';
import { random } from './cases.ts';
import { type Bits, runOnHost } from './host-program.ts';
import { CODE, DATA, FaultTrap } from './subject.ts';

export interface VectorCase {
  readonly name: string;
  readonly what: string;
  /** Of 64-bit code 32 words, the halves of 16 registers. */
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly mxcsr: number;
  readonly code: readonly number[];
  /** 32 bytes of each register, of which 64-bit code has 16. */
  readonly ymm: Uint8Array;
  readonly mm: Uint8Array;
  readonly data: Uint8Array;
}
export interface VectorOutcome {
  readonly signal: number;
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly mxcsr: number;
  /** Top of the x87 stack in bits 8-10, empty registers below. */
  readonly fpu: number;
  readonly ymm: Uint8Array;
  readonly mm: Uint8Array;
  readonly data: Uint8Array;
}

/** Lanes that arithmetic finds interesting. */
const SINGLES = [
  0, 0x8000_0000, 0x3f80_0000, 0xbf80_0000, 0x7f80_0000, 0xff80_0000, 0x7fc0_0001, 0x7f80_0001, 0xffc1_2345, 1,
  0x8000_0001, 0x007f_ffff, 0x0080_0000, 0x7f7f_ffff, 0x4f00_0000, 0xcf00_0000, 0x3f00_0000, 0x3fc0_0000, 0x4020_0000,
];
const DOUBLE_HIGHS = [
  0, 0x8000_0000, 0x3ff0_0000, 0xbff0_0000, 0x7ff0_0000, 0xfff0_0000, 0x7ff8_0000, 0x7ff0_1000, 0x000f_ffff,
  0x0010_0000, 0x7fef_ffff, 0x41e0_0000, 0xc1e0_0000, 0x3fe0_0000, 0x36a0_0000, 0x380f_ffff, 0x47ef_ffff, 0x4004_0000,
];

export function vectorCases(
  instructions: readonly Instruction[],
  perForm: number,
  mxcsrs: readonly number[],
  seed = 11,
): VectorCase[] {
  const next = random(seed);
  const pick = <T>(list: readonly T[]): T => list[next() % list.length]!;
  /** Exponents where something begins: windows of the fast path, ends of the formats; few or all bits of the fraction. */
  const edge = (centers: readonly number[]) => pick(centers) + (next() % 5) - 2;
  const fraction = () =>
    next() % 3 === 0 ? next() : pick([0, 0, 1, 0x40_0000, 0x60_0000, 0x7f_ffff, next() & 0x7f_f000]);
  const single = (exponent: number) =>
    ((next() & 1) << 31) | (Math.min(255, Math.max(0, exponent + 127)) << 23) | (fraction() & 0x7f_ffff);
  const double = (view: DataView, at: number, exponent: number) => {
    const low = next() % 3 === 0 ? next() : pick([0, 0, 0, 1, 0x8000_0000, 0xffff_ffff]);
    view.setUint32(at, low, true);
    const biased = Math.min(2047, Math.max(0, exponent + 1023));
    view.setUint32(at + 4, ((next() & 1) << 31) | (biased << 20) | (fraction() & 0xf_ffff), true);
  };
  const fill = (bytes: number): Uint8Array => {
    const view = new DataView(new ArrayBuffer(bytes));
    for (let i = 0; i < bytes; i += 8) {
      const kind = next() % 10;
      const word = () =>
        kind < 2 ? next() : kind === 2 ? pick(SINGLES) : kind === 3 ? ((next() % 200) - 100) >>> 0 : next();
      view.setUint32(i, word(), true);
      view.setUint32(i + 4, word(), true);
      if (kind === 4) {
        view.setUint32(i, next() & 1 ? 0 : next() % 3, true);
        view.setUint32(i + 4, pick(DOUBLE_HIGHS), true);
      }
      if (kind === 6 || kind === 7) {
        // Numbers of everyday size: all lanes pass the fast path's tests.
        if (next() & 1) double(view, i, (next() % 60) - 30);
        else {
          view.setUint32(i, single((next() % 40) - 20), true);
          view.setUint32(i + 4, single((next() % 40) - 20), true);
        }
      }
      if (kind === 8) double(view, i, edge([-1022, -514, -510, -508, -149, -127, 0, 24, 31, 52, 63, 512, 516, 1023]));
      if (kind === 9) {
        view.setUint32(i, single(edge([-127, -66, -62, -23, 0, 24, 31, 62, 66, 126])), true);
        view.setUint32(i + 4, single(edge([-127, -66, -62, -23, 0, 24, 31, 62, 66, 126])), true);
      }
      if (kind === 5) {
        if (next() & 1) view.setFloat64(i, ((next() % 20001) - 10000) / pick([1, 2, 4, 3]), true);
        else {
          view.setFloat32(i, ((next() % 2001) - 1000) / pick([1, 2, 4, 3]), true);
          view.setFloat32(i + 4, ((next() % 2001) - 1000) * 2 ** ((next() % 60) - 30), true);
        }
      }
    }
    return new Uint8Array(view.buffer);
  };
  /** Small numbers of 32 or 64 bits in the register of a gather's indices. */
  const indices = (name: string, register: number, ymm: Uint8Array): Uint8Array => {
    const isWide = /gatherq/.test(name);
    for (let i = 0; i < 32; i++) ymm[register * 32 + i] = i % (isWide ? 8 : 4) === 0 ? next() % 8 : 0;
    return ymm;
  };
  const cases: VectorCase[] = [];
  for (const instruction of instructions)
    for (const text of instruction.encodings) {
      const e = parseEncoding(instruction, text);
      if (e.suffix >= 0) continue; // no CPU of the last years has 3DNow!
      const hasE = e.operands.some((o) => 'EFMQW'.includes(o.letter));
      const modes = hasE ? (e.mod === 0 ? ['m'] : ['r', 'm']) : ['r'];
      for (const mode of modes)
        for (let n = 0; n < perForm; n++) {
          const code: number[] = [];
          const regs = Array.from({ length: 8 }, () => next());
          regs[4] = DATA + 96;
          if (e.operands.some((o) => o.letter === 'X')) regs[7] = DATA + 16 + (next() % 64);
          const isGather = e.operands.some((o) => o.letter === 'Y');
          const registers = [0, 1, 2, 3, 4, 5, 6, 7].sort(() => (next() & 1) - 0.5);
          if (e.vex)
            code.push(
              ...vexBytes(e, {
                register: isGather ? registers[0]! : next() & 7,
                choice: next() & (e.operands.some((o) => o.text.endsWith('y')) ? ~2 : ~0),
              }),
            );
          else {
            if (e.prefix && e.prefix !== NO_PREFIX) code.push(e.prefix);
            if (e.map) code.push(0x0f);
            if (e.map > 1) code.push(e.map === 2 ? 0x38 : 0x3a);
            code.push(e.opcode);
          }
          if (e.hasModrm) {
            const reg = e.digit >= 0 ? e.digit : next() & 7;
            if (isGather) {
              regs[6] = DATA + 16 + (next() % 24);
              code.push(0x44 | (registers[1]! << 3), ((next() & 3) << 6) | (registers[2]! << 3) | 6, next() % 16);
            } else if (mode === 'r') code.push(0xc0 | (reg << 3) | (next() & 7));
            else {
              regs[6] = DATA + 32 + (n % (e.vex ? 3 : 6) === 2 ? next() % 32 : 16 * (next() % 3));
              code.push(0x46 | (reg << 3), 16 * (next() % 2));
            }
          }
          for (const o of e.operands)
            if (o.letter === 'K') code.push(next() & 0x7f);
            else if (o.letter === 'I') code.push(next() & 1 ? next() % 33 : next() & 0xff);
          // Strings: few different characters, lengths about the vector's.
          const isString = /^pcmp[ei]str/.test(instruction.name);
          if (isString) for (const r of [0, 2]) regs[r] = (next() % 40) - 20;
          const text16 = (bytes: number) =>
            Uint8Array.from({ length: bytes }, (_, i) => (n & 1 && i & 1 ? 0 : (next() % 5) * (next() & 8 ? 1 : 0x33)));
          cases.push({
            name: instruction.name,
            what: `${instruction.name} (${text}) ${mode}`,
            regs: regs.map((r) => r >>> 0),
            eflags: next() & 0x8d5,
            mxcsr: pick(mxcsrs),
            code,
            ymm: isString ? text16(256) : isGather ? indices(instruction.name, registers[2]!, fill(256)) : fill(256),
            mm: fill(64),
            data:
              instruction.name === 'ldmxcsr'
                ? new Uint8Array(128).map((_, i) => (i % 4 > 1 ? 0 : next() & 0xff))
                : isString
                  ? text16(128)
                  : fill(128),
          });
        }
    }
  return cases;
}

/** The host's answers, or null where it cannot build or run such programs, or has no AVX2. Cases of 32-bit code, having neither REX nor
 *  absolute addresses, mean the same in 64-bit code: they may run so. */
export function runVectorNative(cases: readonly VectorCase[], bits: Bits): VectorOutcome[] | null {
  const found = runVectors(cases, bits);
  if (found || bits === 64) return found;
  const widened = cases.map((s) => {
    const ymm = new Uint8Array(512);
    ymm.set(s.ymm);
    return { ...s, regs: Array.from({ length: 32 }, (_, i) => (i & 1 ? 0 : (s.regs[i >> 1] ?? 0))), ymm };
  });
  const narrowed = (o: VectorOutcome): VectorOutcome => ({
    ...o,
    regs: o.regs.filter((_, i) => i < 16 && !(i & 1)),
    ymm: o.ymm.subarray(0, 256),
  });
  return runVectors(widened, 64)?.map(narrowed) ?? null;
}
function runVectors(cases: readonly VectorCase[], bits: Bits): VectorOutcome[] | null {
  const registers = bits === 64 ? 16 : 8;
  const general = registers * (bits / 8);
  const vectors = registers * 32;
  const inputBytes = general + 32 + vectors + 64 + 128;
  const outputBytes = general + 16 + vectors + 64 + 128;
  const input = new Uint8Array(cases.length * inputBytes);
  const view = new DataView(input.buffer);
  cases.forEach((s, i) => {
    const at = i * inputBytes;
    s.regs.forEach((r, k) => {
      view.setUint32(at + k * 4, r, true);
    });
    const words = at + general;
    view.setUint32(words, s.eflags, true);
    view.setUint32(words + 4, s.mxcsr, true);
    view.setUint32(words + 8, s.code.length, true);
    input.set(s.code, words + 12);
    input.set(s.ymm, words + 32);
    input.set(s.mm, words + 32 + vectors);
    input.set(s.data, words + 96 + vectors);
  });
  const output = runOnHost('vector.c', bits, input, ['-mgeneral-regs-only']);
  if (!output) return null;
  const out = new DataView(output.buffer, output.byteOffset, output.length);
  const bytes = (at: number, n: number) => new Uint8Array(output.subarray(at, at + n));
  return cases.map((_, i) => {
    const at = i * outputBytes;
    const words = at + 8 + general;
    return {
      signal: out.getUint32(at, true),
      fpu: out.getUint32(at + 4, true),
      regs: Array.from({ length: general / 4 }, (_x, k) => out.getUint32(at + 8 + k * 4, true)),
      eflags: out.getUint32(words, true),
      mxcsr: out.getUint32(words + 4, true),
      ymm: bytes(words + 8, vectors),
      mm: bytes(words + 8 + vectors, 64),
      data: bytes(words + 72 + vectors, 128),
    };
  });
}

/** Runs the cases on one emulated CPU: interpreted, or compiled on their second run. */
export class VectorSubject {
  readonly machine: BareMachine;
  private readonly isCompiled: boolean;
  private readonly fault: FaultTrap;
  private readonly isLong: boolean;
  /** `isLong`: the snippets run as 64-bit code. */
  constructor(isCompiled = false, isLong = false) {
    this.isCompiled = isCompiled;
    this.isLong = isLong;
    this.machine = bareMachine(4 << 20, { jit: isCompiled ? 'always' : 'off' });
    this.fault = new FaultTrap(this.machine);
  }
  /** Snippets compiled so far. */
  get compiled(): number {
    return this.machine.cpu.jit.statistics.compiled;
  }
  run(s: VectorCase): VectorOutcome {
    const code = new Uint8Array(0x40).fill(0xf4);
    code.set(s.code);
    this.machine.dma(CODE, code);
    if (this.isCompiled) this.runOnce(s);
    return this.runOnce(s);
  }
  private runOnce(s: VectorCase): VectorOutcome {
    const { cpu, ram } = this.machine;
    const { state } = cpu;
    if (this.isLong) enterLong(this.machine, CODE);
    else enterFlat32(this.machine, CODE);
    state.cr4 = (this.isLong ? CR4.PAE : 0) | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE;
    state.xcr0 = XCR0.x87 | XCR0.avx;
    this.machine.dma(DATA, s.data);
    s.regs.forEach((r, i) => {
      state.setReg32(i, r);
    });
    const { u8 } = state;
    for (let i = 0; i < 8; i++) {
      u8.set(s.ymm.subarray(i * 32, i * 32 + 32), FIELDS.xmm.offset + i * 64);
      u8.set(s.mm.subarray(i * 8, i * 8 + 8), FIELDS.fpr.offset + i * 16);
    }
    state.mxcsr = s.mxcsr;
    state.set(FIELDS.fpuStatus, 0);
    state.set(FIELDS.fpuTop, 0);
    state.set(FIELDS.fpuEmpty, 0);
    state.setEflags((s.eflags & 0xcd5) | 0x202);
    state.halted = false;
    this.fault.vector = -1;
    const result = cpu.run(1000);
    if (result !== 'halted') throw new Error(`${s.what}: ended with ${result} at ${state.eip.toString(16)}`);
    const ymm = new Uint8Array(256);
    const mm = new Uint8Array(64);
    for (let i = 0; i < 8; i++) {
      ymm.set(u8.subarray(FIELDS.xmm.offset + i * 64, FIELDS.xmm.offset + i * 64 + 32), i * 32);
      mm.set(u8.subarray(FIELDS.fpr.offset + i * 16, FIELDS.fpr.offset + i * 16 + 8), i * 8);
    }
    return {
      signal: this.fault.signal,
      regs: Array.from({ length: 8 }, (_, i) => state.reg32(i)),
      eflags: state.getEflags(),
      mxcsr: state.low(FIELDS.mxcsr),
      fpu: (state.low(FIELDS.fpuTop) << 8) | state.low(FIELDS.fpuEmpty),
      ymm,
      mm,
      data: ram.slice(DATA, DATA + 128),
    };
  }
}

/** Approximations: the manuals allow a relative error of 1.5 * 2^-12, and the makers' tables differ. */
function isNear(a: Uint8Array, b: Uint8Array, at: number): boolean {
  const x = new DataView(a.buffer, a.byteOffset + at, 32);
  const y = new DataView(b.buffer, b.byteOffset + at, 32);
  return [0, 4, 8, 12, 16, 20, 24, 28].every((i) => {
    if (x.getUint32(i, true) === y.getUint32(i, true)) return true;
    const expected = x.getFloat32(i, true);
    return Math.abs(y.getFloat32(i, true) - expected) <= Math.abs(expected) * 2 ** -10.5;
  });
}
const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
const FLAG_BIT: Readonly<Record<string, number>> = { C: 1, P: 4, A: 0x10, Z: 0x40, S: 0x80, O: 0x800 };
const UNDEFINED = new Map(INSTRUCTIONS.map((i) => [i.name, i.undefinedFlags]));
function undefinedFlags(name: string): number {
  return [...(UNDEFINED.get(name) ?? '')].reduce((mask, flag) => mask | FLAG_BIT[flag]!, 0);
}
/** What differs, or null. Signals after a fault leave the rest as it was. */
export function vectorDifference(s: VectorCase, host: VectorOutcome, ours: VectorOutcome): string | null {
  const bad: string[] = [];
  if (host.signal !== ours.signal) bad.push(`signal ${host.signal} here ${ours.signal}`);
  host.regs.forEach((r, i) => {
    if (r !== ours.regs[i]) bad.push(`r${i} ${r.toString(16)} here ${ours.regs[i]!.toString(16)}`);
  });
  if (host.signal === 5 && (host.eflags ^ ours.eflags) & 0x8d5 & ~undefinedFlags(s.name))
    bad.push(`flags ${(host.eflags & 0x8d5).toString(16)} here ${(ours.eflags & 0x8d5).toString(16)}`);
  if (host.mxcsr !== ours.mxcsr) bad.push(`mxcsr ${host.mxcsr.toString(16)} here ${ours.mxcsr.toString(16)}`);
  if (host.fpu !== ours.fpu) bad.push(`fpu ${host.fpu.toString(16)} here ${ours.fpu.toString(16)}`);
  for (const [what, size] of [
    ['ymm', 32],
    ['mm', 8],
    ['data', 16],
  ] as const)
    for (let i = 0; i < host[what].length; i += size) {
      const a = hex(host[what].subarray(i, i + size));
      const b = hex(ours[what].subarray(i, i + size));
      if (/^v?r(cp|sqrt)[ps]s$/.test(s.name) && what === 'ymm' && isNear(host.ymm, ours.ymm, i)) continue;
      if (a !== b) bad.push(`${what}${i / size} ${a} here ${b}`);
    }
  if (bad.length === 0) return null;
  return `${s.what} [${s.code.map((b) => b.toString(16))}] mxcsr ${s.mxcsr.toString(16)} ymm ${[0, 1, 2, 3, 4, 5, 6, 7].map((i) => hex(s.ymm.subarray(i * 32, i * 32 + 32)))}: ${bad.join(', ')}`;
}
