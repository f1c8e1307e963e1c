/** Snippets on the host CPU and in the interpreter, in the same format. */
import { type BareMachine, bareMachine, enterFlat32 } from '../testing.ts';
import { runOnHost } from './host-program.ts';
import { CODE, DATA, FaultTrap } from './subject.ts';

const INPUT = 200;
const OUTPUT = 172;

export interface Snippet {
  readonly what: string;
  /** In 16-bit segments: code based at CODE, data and stack at DATA with a limit of 32 KiB. */
  readonly is16?: boolean;
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly code: Uint8Array;
  readonly data: Uint8Array;
}
export interface Outcome {
  /** 5: ran to its end; 8 divide error, 4 invalid opcode, 11 another fault. */
  readonly signal: number;
  readonly eip: number;
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly data: Uint8Array;
}

/** The host's answers, or null where it cannot build or run 32-bit programs. */
export function runNative(snippets: readonly Snippet[]): Outcome[] | null {
  const input = new Uint8Array(snippets.length * INPUT);
  const view = new DataView(input.buffer);
  snippets.forEach((s, i) => {
    const at = i * INPUT;
    s.regs.forEach((r, k) => {
      view.setUint32(at + k * 4, r, true);
    });
    view.setUint32(at + 32, s.eflags | (s.is16 ? 0x8000_0000 : 0), true);
    view.setUint32(at + 36, s.code.length, true);
    input.set(s.code, at + 40);
    input.set(s.data, at + 72);
  });
  const output = runOnHost('native.c', 32, input);
  if (!output) return null;
  const out = new DataView(output.buffer, output.byteOffset, output.length);
  return snippets.map((_, i) => {
    const at = i * OUTPUT;
    return {
      signal: out.getUint32(at, true),
      eip: out.getUint32(at + 4, true),
      regs: Array.from({ length: 8 }, (_x, k) => out.getUint32(at + 8 + k * 4, true)),
      eflags: out.getUint32(at + 40, true),
      data: new Uint8Array(output.subarray(at + 44, at + OUTPUT)),
    };
  });
}

/** Runs snippets on one emulated CPU. */
export class Subject {
  readonly machine: BareMachine = bareMachine(4 << 20);
  private readonly fault: FaultTrap;
  constructor() {
    this.fault = new FaultTrap(this.machine);
  }
  run(s: Snippet): Outcome {
    const { cpu, ram } = this.machine;
    enterFlat32(this.machine, CODE);
    if (s.is16) {
      const { segments } = cpu.state;
      segments[1]!.set(0x0f, CODE, 0xffff, 0x9b00);
      for (const i of [0, 2, 3]) segments[i]!.set(0x17, DATA, 0x7fff, 0x9300);
      cpu.state.eip = 0;
    }
    const code = new Uint8Array(0x40).fill(0xf4);
    code.set(s.code);
    this.machine.dma(CODE, code);
    this.machine.dma(DATA, s.data);
    s.regs.forEach((r, i) => {
      cpu.state.setReg32(i, r);
    });
    cpu.state.setEflags((s.eflags & 0xcd5) | 0x202);
    cpu.state.halted = false;
    this.fault.vector = -1;
    const result = cpu.run(1000);
    if (result !== 'halted') throw new Error(`${s.what}: ended with ${result} at ${cpu.state.eip.toString(16)}`);
    return {
      signal: this.fault.signal,
      eip: cpu.state.eip,
      regs: Array.from({ length: 8 }, (_, i) => cpu.state.reg32(i)),
      eflags: cpu.state.getEflags(),
      data: ram.slice(DATA, DATA + 128),
    };
  }
}
