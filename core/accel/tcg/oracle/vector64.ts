/** The cases of vector.ts as 64-bit code: with REX prefixes, so that they use the upper registers and operands of 64 bits. */
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import { CR4, FIELDS, XCR0 } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterLong } from '../testing.ts';
import { random } from './cases.ts';
import { CODE, DATA, FaultTrap } from './subject.ts';
import type { VectorCase, VectorOutcome } from './vector.ts';

const YMM_BYTES = 512;

const PREFIXES = new Set([0x66, 0xf2, 0xf3]);
/** Those whose cases have a VEX prefix. */
const VEX = Object.fromEntries(
  INSTRUCTIONS.filter((i) => i.encodings.some((text) => text.startsWith('vex.'))).map((i) => [i.name, true]),
);
/** Clears bits of a VEX prefix that make registers those from 8 on: of ModRM, and of its own one where it names any. */
function raiseRegisters(code: number[], choice: number): void {
  const last = code[0] === 0xc5 ? 1 : 2;
  code[1]! ^= code[0] === 0xc5 ? choice & 0x80 : choice & 0xe0;
  const names = (~code[last]! >> 3) & 15;
  if (names !== 0) code[last]! ^= choice & 0x100 ? 0x40 : 0;
}
/** Each case with a random REX prefix, or none. Registers 8 to 15 have the values of the lower ones, so addresses stay good. */
export function longVectorCases(cases: readonly VectorCase[], seed = 5): VectorCase[] {
  const next = random(seed);
  return cases.map((s) => {
    const code = [...s.code];
    // W where it says nothing would still be taken away again by what 66 or F2 mean; the low three bits choose registers.
    if (s.name in VEX) raiseRegisters(code, next());
    else {
      const rex = next() & 3 ? 0x40 | (next() & 0xd) : 0;
      const at = PREFIXES.has(code[0]!) ? 1 : 0;
      if (rex) code.splice(at, 0, rex);
    }
    const halves = Array.from({ length: 16 }, (_, i) => {
      const low = s.regs[i & 7]!;
      const isAddress = [4, 6, 7].includes(i & 7);
      return [low, isAddress ? 0 : next()];
    });
    const ymm = new Uint8Array(YMM_BYTES);
    ymm.set(s.ymm);
    // A gather's indices must stay small.
    const isGather = /gather/.test(s.name);
    for (let i = 0; i < 8; i++) {
      const from = isGather ? i : 7 - i;
      ymm.set(s.ymm.subarray(from * 32, from * 32 + 32), 256 + i * 32);
    }
    return { ...s, code, regs: halves.flat(), ymm };
  });
}

/** Runs the cases on one emulated CPU: interpreted, or compiled on their second run. */
export class LongVectorSubject {
  readonly machine: BareMachine;
  private readonly isCompiled: boolean;
  private readonly fault: FaultTrap;
  constructor(isCompiled = false) {
    this.isCompiled = isCompiled;
    this.machine = bareMachine(4 << 20, { jit: isCompiled ? 'always' : 'off' });
    const { cpu } = this.machine;
    this.fault = new FaultTrap(this.machine);
    enterLong(this.machine, CODE);
    cpu.state.cr4 |= CR4.OSXMMEXCPT | CR4.OSXSAVE;
    cpu.state.xcr0 = XCR0.x87 | XCR0.avx;
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
    this.machine.dma(DATA, s.data);
    const gpr = FIELDS.gpr.offset >>> 2;
    state.u32.set(s.regs, gpr);
    const { u8 } = state;
    for (let i = 0; i < 16; i++) u8.set(s.ymm.subarray(i * 32, i * 32 + 32), FIELDS.xmm.offset + i * 64);
    for (let i = 0; i < 8; i++) u8.set(s.mm.subarray(i * 8, i * 8 + 8), FIELDS.fpr.offset + i * 16);
    state.mxcsr = s.mxcsr;
    state.set(FIELDS.fpuStatus, 0);
    state.set(FIELDS.fpuTop, 0);
    state.set(FIELDS.fpuEmpty, 0);
    state.rip = CODE;
    state.setEflags((s.eflags & 0xcd5) | 0x202);
    state.halted = false;
    this.fault.vector = -1;
    const result = cpu.run(1000);
    if (result !== 'halted') throw new Error(`${s.what}: ended with ${result} at ${state.rip.toString(16)}`);
    const ymm = new Uint8Array(YMM_BYTES);
    const mm = new Uint8Array(64);
    for (let i = 0; i < 16; i++)
      ymm.set(u8.subarray(FIELDS.xmm.offset + i * 64, FIELDS.xmm.offset + i * 64 + 32), i * 32);
    for (let i = 0; i < 8; i++) mm.set(u8.subarray(FIELDS.fpr.offset + i * 16, FIELDS.fpr.offset + i * 16 + 8), i * 8);
    return {
      signal: this.fault.signal,
      regs: [...state.u32.subarray(gpr, gpr + 32)],
      eflags: state.getEflags(),
      mxcsr: state.low(FIELDS.mxcsr),
      fpu: (state.low(FIELDS.fpuTop) << 8) | state.low(FIELDS.fpuEmpty),
      ymm,
      mm,
      data: ram.slice(DATA, DATA + 128),
    };
  }
}
