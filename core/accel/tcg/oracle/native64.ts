/** Snippets of 64-bit code on the host CPU and in the interpreter, in the same format. */
import { FIELDS } from '../../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterLong } from '../testing.ts';
import { runOnHost } from './host-program.ts';
import { CODE, DATA, FaultTrap, HIGH, mapHigh } from './subject.ts';

/** The data once more, above 4 GiB. */
export const HIGH_DATA = BigInt(HIGH + DATA);
const INPUT = 296;
const OUTPUT = 280;

export interface LongSnippet {
  readonly what: string;
  /** In encoding order. */
  readonly regs: readonly bigint[];
  readonly eflags: number;
  readonly code: Uint8Array;
  readonly data: Uint8Array;
}
export interface LongOutcome {
  /** 5: ran to its end; 8 divide error, 4 invalid opcode, 11 another fault. */
  readonly signal: number;
  readonly rip: bigint;
  readonly regs: readonly bigint[];
  readonly eflags: number;
  readonly data: Uint8Array;
}

/** The host's answers, or null where it cannot build or run such programs. */
export function runNative64(snippets: readonly LongSnippet[]): LongOutcome[] | null {
  const input = new Uint8Array(snippets.length * INPUT);
  const view = new DataView(input.buffer);
  snippets.forEach((s, i) => {
    const at = i * INPUT;
    s.regs.forEach((r, k) => {
      view.setBigUint64(at + k * 8, r, true);
    });
    view.setUint32(at + 128, s.eflags, true);
    view.setUint32(at + 132, s.code.length, true);
    input.set(s.code, at + 136);
    input.set(s.data, at + 168);
  });
  const output = runOnHost('native.c', 64, input);
  if (!output) return null;
  const out = new DataView(output.buffer, output.byteOffset, output.length);
  return snippets.map((_, i) => {
    const at = i * OUTPUT;
    return {
      signal: out.getUint32(at, true),
      rip: out.getBigUint64(at + 8, true),
      regs: Array.from({ length: 16 }, (_x, k) => out.getBigUint64(at + 16 + k * 8, true)),
      eflags: out.getUint32(at + 144, true),
      data: new Uint8Array(output.subarray(at + 152, at + OUTPUT)),
    };
  });
}

/** Runs snippets on one emulated CPU: interpreted, or compiled on their second run. */
export class LongSubject {
  readonly machine: BareMachine;
  private readonly isCompiled: boolean;
  private readonly fault: FaultTrap;
  constructor(isCompiled = false) {
    this.isCompiled = isCompiled;
    this.machine = bareMachine(4 << 20, { jit: isCompiled ? 'always' : 'off' });
    this.fault = new FaultTrap(this.machine);
    enterLong(this.machine, CODE);
    mapHigh(this.machine);
  }
  run(s: LongSnippet): LongOutcome {
    const code = new Uint8Array(0x40).fill(0xf4);
    code.set(s.code);
    this.machine.dma(CODE, code);
    const first = this.once(s);
    return this.isCompiled ? this.once(s) : first;
  }
  private once(s: LongSnippet): LongOutcome {
    const { cpu, ram } = this.machine;
    const { state } = cpu;
    this.machine.dma(DATA, s.data);
    s.regs.forEach((r, i) => {
      state.setParts(FIELDS.gpr, Number(r & 0xffff_ffffn), Number(r >> 32n), i);
    });
    state.rip = CODE;
    state.setEflags((s.eflags & 0xcd5) | 0x202);
    state.halted = false;
    this.fault.vector = -1;
    const result = cpu.run(1000);
    if (result !== 'halted') throw new Error(`${s.what}: ended with ${result} at ${state.rip.toString(16)}`);
    const word = (field: { readonly offset: number }, index = 0) =>
      (BigInt(state.u32[(field.offset >>> 2) + 2 * index + 1]!) << 32n) |
      BigInt(state.u32[(field.offset >>> 2) + 2 * index]!);
    return {
      signal: this.fault.signal,
      rip: word(FIELDS.rip),
      regs: Array.from({ length: 16 }, (_, i) => word(FIELDS.gpr, i)),
      eflags: state.getEflags(),
      data: ram.slice(DATA, DATA + 128),
    };
  }
}
