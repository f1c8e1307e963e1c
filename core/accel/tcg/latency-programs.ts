/** Guest programs that keep the CPU busy, each in its own way: how soon is an interrupt taken that became due meanwhile? An interrupt
 *  becomes due at the end of a slice's budget (the main loop sizes it by the next timer), so what counts is how far a slice goes
 *  beyond. For tests and benchmarks. */
import { EAX, ECX, EDI, EFLAGS, ESI } from '../../target/x86/state.ts';
import type { JitMode } from './jit/jit.ts';
import { type BareMachine, bareMachine, enterFlat32 } from './testing.ts';

const CODE = 0x10_0000;
const HANDLER = 0x5000;
const IDT = 0x6000;
const GDT = 0x7000;
const VECTOR = 0x20;
const SOURCE = 0x20_0000;
const TARGET = 0x120_0000;
const RAM_BYTES = 48 << 20;
/** Bytes that a repeated instruction has before it: more than any slice does. */
const LONG = 16 << 20;

export interface LatencyProgram {
  readonly name: string;
  readonly code: readonly number[];
  /** Registers before each slice: an endless repeated instruction starts afresh. */
  readonly isString?: boolean;
  prepare?(machine: BareMachine): void;
}
const jump32 = (from: number, to: number) => {
  const distance = to - (from + 5);
  return [0xe9, ...[0, 8, 16, 24].map((shift) => (distance >>> shift) & 0xff)];
};
/** REP instruction; JMP back. */
const repeated = (name: string, ...bytes: number[]): LatencyProgram => ({
  name,
  code: [...bytes, 0xeb, 0x100 - bytes.length - 2],
  isString: true,
});
const INCREMENTS = Array.from({ length: 4000 }, (_, i) => 0x40 + (i % 4));
const CHAIN = Array.from({ length: 64 }, (_, i) => {
  // Pages that jump to each other: inc eax; jmp next
  const at = CODE + i * 4096;
  return { at, code: [0x40, ...jump32(at + 1, CODE + ((i + 1) % 64) * 4096)] };
});

/** mov ecx, n; mov esi, SOURCE; mov edi, TARGET; cld; rep ...; jmp back: each is short enough for one native call. */
function manyRepeated(name: string, elements: number, opcode: number): LatencyProgram {
  const word = (n: number) => [0, 8, 16, 24].map((shift) => (n >>> shift) & 0xff);
  const code = [0xb9, ...word(elements), 0xbe, ...word(SOURCE), 0xbf, ...word(TARGET), 0xfc, 0xf3, opcode];
  return { name, code: [...code, 0xeb, 0x100 - code.length - 2] };
}

export const PROGRAMS: readonly LatencyProgram[] = [
  { name: 'tight loop', code: [0x40, 0xeb, 0xfd] },
  // 1: mov eax, [SOURCE]; add [SOURCE], eax; jmp 1b
  { name: 'loop over memory', code: [0xa1, 0, 0, 0x20, 0, 0x01, 0x05, 0, 0, 0x20, 0, 0xeb, 0xf3] },
  { name: 'long straight code', code: [...INCREMENTS, ...jump32(CODE + INCREMENTS.length, CODE)] },
  {
    name: 'regions that lead to each other',
    code: [],
    prepare: ({ ram }) => {
      for (const { at, code } of CHAIN) ram.set(code, at);
    },
  },
  // 1: inc byte [2f]; 2: mov al, 0; jmp 1b
  { name: 'code that changes itself', code: [0xfe, 0x05, 7, 0, 0x10, 0, 0xb0, 0, 0xeb, 0xf6] },
  // 1: call 2f; jmp 1b; 2: ret
  { name: 'calls and returns', code: [0xe8, 2, 0, 0, 0, 0xeb, 0xf9, 0xc3] },
  manyRepeated('many times REP MOVSD', 8192, 0xa5),
  manyRepeated('many times REP STOSB', 30_000, 0xaa),
  repeated('REP MOVSB', 0xf3, 0xa4),
  repeated('REP MOVSD', 0xf3, 0xa5),
  repeated('REP STOSB', 0xf3, 0xaa),
  repeated('REP STOSD', 0xf3, 0xab),
  repeated('REP LODSB', 0xf3, 0xac),
  repeated('REPE CMPSB', 0xf3, 0xa6),
  repeated('REPE CMPSD', 0xf3, 0xa7),
  repeated('REPNE SCASB', 0xf2, 0xae),
  repeated('REPNE SCASD', 0xf2, 0xaf),
];

export class LatencyGuest {
  readonly machine: BareMachine;
  private readonly program: LatencyProgram;

  constructor(program: LatencyProgram, jit: JitMode) {
    this.program = program;
    this.machine = bareMachine(RAM_BYTES, { jit });
    const { machine } = this;
    machine.ram.set(program.code, CODE);
    program.prepare?.(machine);
    // Code at selector 8, an interrupt gate that leads to HLT.
    machine.view.setUint32(GDT + 8, 0x0000_ffff, true);
    machine.view.setUint32(GDT + 12, 0x00cf_9b00, true);
    machine.view.setUint32(IDT + 8 * VECTOR, (8 << 16) | HANDLER, true);
    machine.view.setUint32(IDT + 8 * VECTOR + 4, 0x0000_8e00, true);
    machine.ram.set([0xf4], HANDLER);
    machine.vector = VECTOR;
    const { state } = machine.cpu;
    enterFlat32(machine, CODE);
    state.setGdt(GDT, 0xff);
    state.setIdt(IDT, 0x7ff);
    state.setEflags(EFLAGS.IF | 2);
    // Until everything is compiled that will be.
    for (let i = 0; i < 40; i++) this.slice(5000);
  }
  private rewind(): void {
    if (!this.program.isString) return;
    const { state } = this.machine.cpu;
    state.setReg32(EAX, 0x5555_5555); // found nowhere
    state.setReg32(ECX, LONG);
    state.setReg32(ESI, SOURCE);
    state.setReg32(EDI, TARGET);
  }
  /** A slice; gives instructions beyond its budget and elements that a repeated instruction did. */
  slice(budget: number): { beyond: number; elements: number } {
    this.rewind();
    const { cpu } = this.machine;
    const before = cpu.executed;
    const result = cpu.run(budget);
    if (result !== 'budget') throw new Error(`${this.program.name} ends with ${result}`);
    return { beyond: cpu.executed - before - budget, elements: LONG - cpu.state.reg32(ECX) };
  }
  /** The interrupt that is due now: instructions until its handler has halted. */
  deliver(): number {
    const { cpu } = this.machine;
    const before = cpu.executed;
    cpu.setIrqLine(true);
    const result = cpu.run(1_000_000);
    if (result !== 'halted' || cpu.state.eip !== HANDLER + 1) throw new Error(`${this.program.name}: not delivered`);
    return cpu.executed - before - 1;
  }
}
