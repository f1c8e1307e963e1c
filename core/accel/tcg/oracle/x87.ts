/** x87 instructions on the host's unit and on ours, from the same images to images that must be the same. */
import { type BareMachine, bareMachine, enterFlat32, enterLong } from '../testing.ts';
import { type Bits, runOnHost } from './host-program.ts';
import { CODE, FaultTrap, HIGH, mapHigh } from './subject.ts';

const AREA = 0x10_0000;
/** Of the instruction's operand, from AREA; x87.c has it too. */
const DATA = 0x800;
const DATA_BYTES = 512;
/** Of a record's code. */
const HOLE = 112;
const INPUT = 120 + DATA_BYTES;
const EXTENDED = 116 + DATA_BYTES;
const OUTPUT = EXTENDED + 512;
const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];

/** The code around an instruction. 32 bits: PUSHA; MOV ECX, data; FRSTOR image; flags; the instruction; flags and EAX out; FNSAVE;
 *  POPA; RET. */
interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}
const FRAME: Frame = {
  before: [
    ...[0x60, 0xb9, ...word(AREA + DATA)],
    ...[0xdd, 0x25, ...word(AREA)],
    ...[0xff, 0x35, ...word(AREA + 108), 0x9d],
  ],
  after: [
    ...[0x9c, 0x8f, 0x05, ...word(AREA + 0x16c)],
    ...[0xa3, ...word(AREA + 0x170)],
    ...[0xdd, 0x35, ...word(AREA + 0x100), 0x61],
  ],
};
/** 64 bits: RCX and R9 point to the data above 4 GiB; before FNSAVE comes FXSAVE64. */
const LONG_FRAME: Frame = {
  before: [
    ...[0x48, 0xb9, ...word(AREA + DATA), ...word(Math.floor(HIGH / 2 ** 32)), 0x49, 0x89, 0xc9],
    ...[0xdd, 0x24, 0x25, ...word(AREA)],
    ...[0x8b, 0x04, 0x25, ...word(AREA + 108), 0x50, 0x9d],
  ],
  after: [
    ...[0x9c, 0x8f, 0x04, 0x25, ...word(AREA + 0x16c)],
    ...[0x89, 0x04, 0x25, ...word(AREA + 0x170)],
    ...[0x48, 0x0f, 0xae, 0x04, 0x25, ...word(AREA + 0x400)],
    ...[0xdd, 0x34, 0x25, ...word(AREA + 0x100)],
  ],
};

/** A register as an 80-bit number: sign and exponent, mantissa halves. */
export type Register = readonly [top: number, high: number, low: number];
export interface FloatCase {
  readonly what: string;
  readonly code: readonly number[];
  readonly control: number;
  readonly status: number;
  /** ST0, ST1 ...; the rest is empty. */
  readonly stack: readonly Register[];
  readonly data: Uint8Array;
  readonly eflags: number;
}
export interface FloatOutcome {
  readonly control: number;
  readonly status: number;
  readonly tags: number;
  readonly registers: readonly Register[];
  readonly eflags: number;
  readonly eax: number;
  readonly data: Uint8Array;
  /** What FXSAVE64 says. */
  readonly extended: Uint8Array;
}

/** Tags by physical register, so that those of ST0 and up are in use. */
function record(c: FloatCase): Uint8Array {
  const bytes = new Uint8Array(INPUT);
  const view = new DataView(bytes.buffer);
  const top = (c.status >>> 11) & 7;
  let tags = 0xffff;
  c.stack.forEach((_, i) => {
    tags &= ~(3 << (((top + i) & 7) * 2));
  });
  view.setUint32(0, 0xffff_0000 | c.control, true);
  view.setUint32(4, 0xffff_0000 | c.status, true);
  view.setUint32(8, 0xffff_0000 | tags, true);
  c.stack.forEach(([t, high, low], i) => {
    view.setUint32(28 + i * 10, low, true);
    view.setUint32(32 + i * 10, high, true);
    view.setUint16(36 + i * 10, t, true);
  });
  view.setUint32(108, (c.eflags & 0x8d5) | 0x202, true);
  bytes.fill(0x90, HOLE, 120);
  bytes.set(c.code, HOLE);
  bytes.set(c.data, 120);
  return bytes;
}
function outcome(bytes: Uint8Array): FloatOutcome {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    control: view.getUint16(0, true),
    status: view.getUint16(4, true),
    tags: view.getUint16(8, true),
    registers: Array.from({ length: 8 }, (_, i) => [
      view.getUint16(36 + i * 10, true),
      view.getUint32(32 + i * 10, true),
      view.getUint32(28 + i * 10, true),
    ]),
    eflags: view.getUint32(108, true) & 0x8d5,
    eax: view.getUint32(112, true),
    data: bytes.slice(116, EXTENDED),
    extended: bytes.slice(EXTENDED, OUTPUT),
  };
}

/** The host's answers, or null where it cannot build or run such programs. */
export function runFloatNative(cases: readonly FloatCase[], bits: Bits): FloatOutcome[] | null {
  const { before, after } = bits === 64 ? LONG_FRAME : FRAME;
  const stub = [...before, ...Array(8).fill(0x90), ...after, 0xc3];
  const head = [...word(stub.length), ...stub, ...word(before.length)];
  const input = new Uint8Array(head.length + cases.length * INPUT);
  input.set(head);
  cases.forEach((c, i) => {
    input.set(record(c), head.length + i * INPUT);
  });
  const output = runOnHost('x87.c', bits, input);
  return output && cases.map((_, i) => outcome(new Uint8Array(output.subarray(i * OUTPUT, (i + 1) * OUTPUT))));
}

/** Our unit: the same code on an emulated CPU, interpreted, or compiled on its second run. */
export class FloatSubject {
  readonly machine: BareMachine;
  private readonly bits: Bits;
  private readonly isCompiled: boolean;
  private readonly fault: FaultTrap;
  constructor(bits: Bits, isCompiled = false) {
    this.bits = bits;
    this.isCompiled = isCompiled;
    this.machine = bareMachine(4 << 20, { jit: isCompiled ? 'always' : 'off' });
    this.fault = new FaultTrap(this.machine);
    if (bits === 64) {
      enterLong(this.machine, CODE);
      mapHigh(this.machine);
    }
  }
  run(c: FloatCase): FloatOutcome {
    const { before, after } = this.bits === 64 ? LONG_FRAME : FRAME;
    const input = record(c);
    this.machine.dma(CODE, Uint8Array.from([...before, ...input.subarray(HOLE, 120), ...after, 0xf4]));
    const first = this.once(c, input);
    return this.isCompiled ? this.once(c, input) : first;
  }
  private once(c: FloatCase, input: Uint8Array): FloatOutcome {
    const { cpu, ram } = this.machine;
    const { state } = cpu;
    if (this.bits === 64) {
      state.rip = HIGH + CODE;
      state.setReg64(4, 0x8000);
      state.setEflags(2);
    } else enterFlat32(this.machine, CODE);
    ram.set(input.subarray(0, HOLE), AREA);
    ram.set(input.subarray(120), AREA + DATA);
    state.halted = false;
    this.fault.vector = -1;
    const result = cpu.run(1000);
    if (result !== 'halted' || this.fault.vector >= 0)
      throw new Error(`${c.what}: ended with ${result}, vector ${this.fault.vector}, at ${state.rip.toString(16)}`);
    const bytes = new Uint8Array(OUTPUT);
    bytes.set(ram.subarray(AREA + 0x100, AREA + 0x174));
    bytes.set(ram.subarray(AREA + DATA, AREA + DATA + DATA_BYTES), 116);
    bytes.set(ram.subarray(AREA + 0x400, AREA + 0x600), EXTENDED);
    return outcome(bytes);
  }
}
