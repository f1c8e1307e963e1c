/** x87 instructions on the host's unit and on ours, from the same images to images that must be the same. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bareMachine, enterFlat32 } from '../testing.ts';
import { buildNative } from './build-native.ts';

const AREA = 0x10_0000;
const CODE = 0x20_0000;
const INPUT = 232;
const OUTPUT = 228;
const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];
/** PUSHA; MOV ECX, data; FRSTOR image; flags; the instruction; flags and EAX out; FNSAVE; POPA; RET. */
const BEFORE = [0x60, 0xb9, ...word(AREA + 0x200), 0xdd, 0x25, ...word(AREA), 0xff, 0x35, ...word(AREA + 108), 0x9d];
const AFTER = [
  0x9c,
  0x8f,
  0x05,
  ...word(AREA + 0x16c),
  0xa3,
  ...word(AREA + 0x170),
  0xdd,
  0x35,
  ...word(AREA + 0x100),
  0x61,
];

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
  bytes.fill(0x90, 112, 120);
  bytes.set(c.code, 112);
  bytes.set(c.data.subarray(0, 112), 120);
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
    data: bytes.slice(116, OUTPUT),
  };
}

/** The host's answers, or null where it cannot build or run 32-bit programs. */
export function runFloatNative(cases: readonly FloatCase[]): FloatOutcome[] | null {
  const folder = mkdtempSync(join(tmpdir(), 'x87-'));
  try {
    const program = buildNative('x87.c', folder);
    if (!program) return null;
    const stub = [...BEFORE, ...Array(8).fill(0x90), ...AFTER, 0xc3];
    const head = [...word(stub.length), ...stub, ...word(BEFORE.length)];
    const input = new Uint8Array(head.length + cases.length * INPUT);
    input.set(head);
    cases.forEach((c, i) => {
      input.set(record(c), head.length + i * INPUT);
    });
    const ran = spawnSync(program, { input, maxBuffer: 1 << 28 });
    if (ran.status !== 0) throw new Error(`oracle ended with ${ran.status} ${ran.signal}`);
    return cases.map((_, i) => outcome(new Uint8Array(ran.stdout.subarray(i * OUTPUT, (i + 1) * OUTPUT))));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Our unit: the same code on an emulated CPU. */
export class FloatSubject {
  readonly machine = bareMachine(4 << 20);
  private fault = -1;
  constructor() {
    const { cpu } = this.machine;
    (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
      this.fault = vector;
      cpu.state.halted = true;
    };
  }
  run(c: FloatCase): FloatOutcome {
    const { cpu, ram } = this.machine;
    const input = record(c);
    enterFlat32(this.machine, CODE);
    this.machine.dma(CODE, Uint8Array.from([...BEFORE, ...input.subarray(112, 120), ...AFTER, 0xf4]));
    ram.set(input.subarray(0, 112), AREA);
    ram.set(input.subarray(120), AREA + 0x200);
    cpu.state.halted = false;
    this.fault = -1;
    const result = cpu.run(1000);
    if (result !== 'halted' || this.fault >= 0)
      throw new Error(`${c.what}: ended with ${result}, vector ${this.fault}, at ${cpu.state.eip.toString(16)}`);
    const bytes = new Uint8Array(OUTPUT);
    bytes.set(ram.subarray(AREA + 0x100, AREA + 0x174));
    bytes.set(ram.subarray(AREA + 0x200, AREA + 0x270), 116);
    return outcome(bytes);
  }
}
