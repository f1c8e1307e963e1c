/** Native x87 functions against the exact unit, from the same state with random operands and control words. `X87_CASES` sets how many
 *  each function gets (a soak: millions). */
import { describe, expect, it } from 'vitest';
import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import { X87_OPS } from '../../../target/x86/semantics/x87.ts';
import { CpuState, CR0, CS, DS, FIELDS, FS, STATE_BYTES } from '../../../target/x86/state.ts';
import { FloatUnit } from '../../../target/x86/x87/unit.ts';
import { NO_FILLS } from '../testing.ts';
import { createNatives } from './module.ts';

const CASES = Number(process.env.X87_CASES ?? 400);
const ONLY = process.env.X87_ONLY ? new RegExp(process.env.X87_ONLY) : /./;
let seed = Number(process.env.X87_SEED ?? 0x1234_5678);
function random(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}
const pick = <T>(list: readonly T[]): T => list[random() % list.length]!;

const memory = new WebAssembly.Memory({ initial: 4, maximum: 65536, shared: true });
const OURS = 4096;
const THEIRS = OURS + STATE_BYTES;
const ours = new CpuState(memory.buffer, OURS);
const theirs = new CpuState(memory.buffer, THEIRS);
type Native = (...args: (number | bigint)[]) => number | bigint;
const natives = createNatives(
  { memory, allocate: () => ({ offset: 0x2_0000, bytes: 0x1_0000 }) },
  OURS,
  0,
  NO_FILLS,
  () => 1,
) as Record<string, Native>;

const operand = new DataView(new ArrayBuffer(16));
const written = new DataView(new ArrayBuffer(16));
const BASE = 0x1000;
/** Where instruction and operand are: in 32-bit code through DS, in 64-bit code through DS, whose base is nothing there, and through FS. */
const PLACES = [
  { long: 0, segment: DS, eip: 0x1234, linear: 0x5_4321, offset: 0x5_4321 - BASE },
  { long: 0, segment: DS, eip: 0xffff_f234, linear: 0x321, offset: 0xffff_f321 },
  { long: 1, segment: DS, eip: 0x1234_5678_9abc, linear: 0x4321_8765_0010, offset: 0x4321_8765_0010 },
  { long: 1, segment: DS, eip: -0x7eed_cba8, linear: -0x1234_5678, offset: -0x1234_5678 },
  { long: 1, segment: FS, eip: 0x4000_1234, linear: BASE - 0x10, offset: -0x10 },
] as const;
let place: (typeof PLACES)[number] = PLACES[0];
const wide = (address: number) => BigInt.asUintN(64, BigInt(address));
const unit = new FloatUnit({
  state: theirs,
  bus: {},
  memory: {
    read: (at: number, size: number) =>
      size === 4 ? operand.getUint32(at - place.linear, true) : operand.getUint16(at - place.linear, true),
    write: (at: number, size: number, value: number) =>
      size === 4
        ? written.setUint32(at - place.linear, value, true)
        : written.setUint16(at - place.linear, value, true),
    probeWrite: () => {},
  } as never,
  instructionEip: () => place.eip,
  segmentAddress: () => place.linear,
  pauseForInterrupt: () => true,
});

function exponent(): number {
  switch (random() % 10) {
    case 0:
      return random() % 80;
    case 1:
      return 0x7fff - (random() % 80);
    case 2:
      return 0x3c01 - 70 + (random() % 80);
    case 3:
      return 0x3f81 - 40 + (random() % 50);
    case 4:
      return 0x43fe + (random() % 3);
    case 5:
      return random() & 0x7fff;
    case 6:
      return 0x3fff + (random() % 70);
    default:
      return 0x3fff - 10 + (random() % 20);
  }
}
const HIGH = [0x8000_0000, 0xffff_ffff, 0x8000_0001, 0xc000_0000, 0xaaaa_aaaa, 0xffff_ff00, 0xffff_ff80, 0x8000_0080];
const LOW = [0, 1, 0xffff_ffff, 0x8000_0000, 0x400, 0xffff_f800, 0x7ff, 0xc00, 0xffff_fc00, 0xffff_fbff, 3];
type Register = readonly [top: number, high: number, low: number];
function number(): Register {
  const sign = random() & 0x8000;
  switch (random() % 16) {
    case 0:
      return [sign, 0, 0];
    case 1: // integers, exact halves
      return [sign | (0x3fff + (random() % 34)), (0x8000_0000 | (random() & random() & random())) >>> 0, 0];
    case 2:
      return [sign | 0x3fff, 0x8000_0000, 0];
    case 3: // anything
      return [random() & 0xffff, random() % 3 ? random() : 0, random() % 3 ? random() : 0];
    default: {
      const high = random() % 3 ? random() : pick(HIGH);
      const low = random() % 3 ? random() : pick(LOW);
      return [sign | exponent(), (high | 0x8000_0000) >>> 0, low];
    }
  }
}
function near([top, high, low]: Register): Register {
  const e = Math.min(0x7ffe, Math.max(1, (top & 0x7fff) + (random() % 5) - 2));
  const other = random() % 2 ? low : (low ^ (1 << (random() & 31))) >>> 0;
  return [(random() & 0x8000) | e, (high | 0x8000_0000) >>> 0, other];
}
function put(p: number, [top, high, low]: Register): void {
  const at = (FIELDS.fpr.offset >>> 2) + p * 4;
  ours.u32[at] = low;
  ours.u32[at + 1] = high;
  ours.u32[at + 2] = top;
}
/** A random state of both units: mostly with enough registers in use. */
function prepare(): void {
  const first = number();
  const top = random() & 7;
  ours.set(FIELDS.fpuTop, top);
  for (let i = 0; i < 8; i++) put((top + i) & 7, i === 0 ? first : random() % 4 ? number() : near(first));
  const used = random() % 16 ? 2 + (random() % 6) : random() % 9;
  let empty = 0;
  for (let i = used; i < 8; i++) empty |= 1 << ((top + i) & 7);
  ours.set(FIELDS.fpuEmpty, empty);
  const isUsual = random() % 2;
  const masks = random() % 4 ? 0x3f : random() & 0x3f;
  ours.set(FIELDS.fpuControl, isUsual ? 0x37f : 0x40 | masks | (random() & 0xf00));
  ours.set(FIELDS.fpuStatus, random() & 0x473f & (random() % 8 ? 0x473f : 0x4700));
  if (random() % 64 === 0) ours.set(FIELDS.fpuStatus, ours.low(FIELDS.fpuStatus) | 0x8080);
  for (const f of [FIELDS.fpuIp, FIELDS.fpuDp, FIELDS.fpuOpcode, FIELDS.fpuIpSelector, FIELDS.fpuDpSelector])
    ours.set(f, 0x77);
  ours.cr0 = CR0.PE | CR0.NE | (random() % 64 === 0 ? CR0.TS : 0);
  ours.segments[CS]!.set(0x28, 0, 0xffff_ffff, 0);
  ours.segments[DS]!.set(0x30, BASE, 0xffff_ffff, 0);
  ours.segments[FS]!.set(0x38, BASE, 0xffff_ffff, 0);
  place = pick(PLACES);
  ours.set(FIELDS.long, place.long);
  for (let i = 0; i < 16; i += 4) operand.setUint32(i, random() % 4 ? random() : pick([0, 1, 0x8000_0000]), true);
}
function prepareFloat(bytes: 4 | 8): void {
  const sign = random() & 0x8000_0000;
  const e = random() % 4 ? 100 + (random() % 60) : random() % 256;
  const f = random() % 3 ? random() & 0x7f_ffff : pick([0, 1, 0x40_0000, 0x7f_ffff]);
  if (bytes === 4) operand.setUint32(0, (sign | (e << 23) | f) >>> 0, true);
  else {
    operand.setUint32(0, random() % 3 ? random() : 0, true);
    operand.setUint32(
      4,
      (sign | ((random() % 4 ? 1000 + (random() % 50) : random() % 2048) << 20) | (f >>> 3)) >>> 0,
      true,
    );
  }
}
const FIELDS_CHECKED = ['fpuControl', 'fpuStatus', 'fpuTop', 'fpuEmpty', 'fpuOpcode'] as const;
const POINTERS = ['fpuIpSelector', 'fpuDpSelector', 'fpuIp', 'fpuDp'] as const;
function image(state: CpuState): string {
  const fields = [...FIELDS_CHECKED, ...POINTERS].map((name) => {
    const high = name === 'fpuIp' || name === 'fpuDp' ? state.high(FIELDS[name]).toString(16) : '';
    return `${name} ${high}:${state.low(FIELDS[name]).toString(16)}`;
  });
  const at = FIELDS.fpr.offset >>> 2;
  const registers = Array.from({ length: 8 }, (_, p) => {
    const [low, high, top] = state.u32.subarray(at + p * 4, at + p * 4 + 3) as unknown as [number, number, number];
    return `${top.toString(16)}:${high.toString(16).padStart(8, '0')}${low.toString(16).padStart(8, '0')}`;
  });
  return [...fields, ...registers, `flags ${state.getEflags().toString(16)}`].join('\n');
}

/** Instruction of the unit, what to call, and the share of random cases that must not be refused. */
interface Subject {
  readonly op: string;
  readonly native: string;
  readonly least: number;
  readonly float?: 4 | 8;
  args(code: number): (number | bigint)[];
  /** Bytes that are stored. */
  readonly stored?: number;
  readonly pops?: number;
}
const subjects: Subject[] = [];
const register = (name: string, least = 0.35, op = name) =>
  subjects.push({ op, native: name, least, args: (code) => [code, wide(place.eip)] });
const i32Value = () => operand.getInt32(0, true);
const i64Value = () => operand.getBigInt64(0, true);
for (const op of ['add', 'mul', 'sub', 'subr', 'div', 'divr', 'com', 'comp']) {
  register(`f${op}`, 0.3);
  if (!op.startsWith('com')) {
    register(`f${op}To`, 0.3);
    register(`f${op}p`, 0.3);
  }
  const memoryForm = (native: string, form: string, value: () => number | bigint, float?: 4 | 8) =>
    subjects.push({
      op: form,
      native,
      least: 0.3,
      args: (code) => [value(), code, wide(place.eip), wide(place.linear)],
      ...(float ? { float } : {}),
    });
  memoryForm(`f${op}32`, `f${op}32`, i32Value, 4);
  memoryForm(`f${op}64`, `f${op}64`, i64Value, 8);
  memoryForm(`fi${op}`, `fi${op}32`, i32Value);
  memoryForm(`fi${op}`, `fi${op}16`, () => operand.getInt16(0, true));
}
for (const name of ['fcompp', 'ftst', 'fxch', 'fld', 'fst', 'fstp', 'fchs', 'fabs', 'fsqrt', 'frndint', 'fxam'])
  register(name, name === 'fsqrt' ? 0.2 : 0.4);
for (const name of ['fsin', 'fcos', 'fsincos', 'fpatan', 'fyl2x', 'f2xm1']) register(name, 0.05);
register('fscale', 0.1);
register('fprem', 0.15);
register('fprem1', 0.15);
for (const name of ['fld1', 'fldz', 'fldl2t', 'fldl2e', 'fldpi', 'fldlg2', 'fldln2']) register(name, 0.5);
for (const name of ['fcomi', 'fcomip', 'fucomi', 'fucomip']) register(name.replace('fu', 'f'), 0.35, name);
/** Arguments that are a whole number of the steps of a table. */
function stepOf(op: string): void {
  const top = ours.low(FIELDS.fpuTop);
  const set = (i: number, n: number) => {
    const value = Math.abs(n);
    const e = Math.floor(Math.log2(value));
    put((top + i) & 7, [(n < 0 ? 0x8000 : 0) | (0x3fff + e), Math.round((value / 2 ** e) * 2 ** 31), 0]);
  };
  const sign = random() & 1 ? -1 : 1;
  if (op === 'fpatan') {
    const scale = 2 ** (random() % 3);
    const [a, b] = [sign * (1 + (random() % 64)), (random() & 1 ? -64 : 64) * scale];
    set(0, random() & 1 ? a : b);
    set(1, random() & 1 ? a : b);
  } else if (op === 'f2xm1') set(0, (sign * (1 + (random() % 63))) / 64);
  else if (op === 'fyl2x') set(0, 1 + (1 + (random() % 255)) / 256);
}
for (const [op, native, value, float] of [
  ['fld32', 'fld32', i32Value, 4],
  ['fld64', 'fld64', i64Value, 8],
  ['fild16', 'fild', () => operand.getInt16(0, true), 0],
  ['fild32', 'fild', i32Value, 0],
  ['fild64', 'fild64', i64Value, 0],
] as const)
  subjects.push({
    op,
    native,
    least: 0.5,
    args: (code) => [value(), code, wide(place.eip), wide(place.linear)],
    ...(float ? { float } : {}),
  });
subjects.push({
  op: 'fld80',
  native: 'fld80',
  least: 0.5,
  args: (code) => [i64Value(), operand.getUint16(8, true), code, wide(place.eip), wide(place.offset)],
});
for (const [op, native, stored, least] of [
  ['fst32', 'x87ToSingle', 4, 0.2],
  ['fst64', 'x87ToDouble', 8, 0.2],
  ['fist16', 'x87ToInt16', 2, 0.2],
  ['fist32', 'x87ToInt32', 4, 0.2],
  ['fistp64', 'x87ToInt64', 8, 0.2],
  ['fisttp16', 'x87CutInt16', 2, 0.2],
  ['fisttp32', 'x87CutInt32', 4, 0.2],
  ['fisttp64', 'x87CutInt64', 8, 0.2],
  ['fstp80', 'x87ToMantissa', 10, 0.5],
] as const)
  subjects.push({ op, native, stored, least, pops: /p/.test(op) ? 1 : 0, args: () => [] });

function runNative(s: Subject, code: number): 'done' | 'refused' {
  const answer = natives[s.native]!(...s.args(code));
  if (s.stored === undefined) {
    if (!/^fcomi/.test(s.native)) return answer === 0 ? 'done' : 'refused';
    if (answer === -1) return 'refused';
    ours.setArithmeticFlags(Number(answer));
    return 'done';
  }
  if (ours.low(FIELDS.fpuOutcome) === 0xffff_ffff) return 'refused';
  const bytes = new DataView(new ArrayBuffer(16));
  bytes.setBigInt64(0, answer as bigint, true);
  if (s.stored === 10) bytes.setUint16(8, ours.low(FIELDS.fpuStored), true);
  result = Buffer.from(bytes.buffer, 0, s.stored).toString('hex');
  if (s.stored === 10) natives.x87Stored80!(code, wide(place.eip), wide(place.offset));
  else natives.x87Stored!(s.pops!, code, wide(place.eip), wide(place.linear));
  return 'done';
}
let result = '';

describe('native x87 functions', () => {
  it('have a test each', () => {
    const tested = new Set([...subjects.map((s) => s.native), 'fcmov', 'fldcw', 'x87Stored', 'x87Stored80']);
    const x87 = Object.keys(NATIVES).filter((name) => /^(f|x87)/.test(name));
    expect(x87.filter((name) => !tested.has(name))).toEqual([]);
  });

  it('FPATAN corrects both digits of its quotient', () => {
    prepare();
    for (const [f, value] of [
      [FIELDS.fpuTop, 2],
      [FIELDS.fpuEmpty, 0],
      [FIELDS.fpuControl, 0x37f],
      [FIELDS.fpuStatus, 0],
    ] as const)
      ours.set(f, value);
    ours.cr0 = CR0.PE;
    put(2, [0x3fff, 0x8000_0000, 0]);
    put(3, [0x3ff8, 0xc000_0000, 0x41fd_d7a7]);
    expect(natives.fpatan!(0xf3_0000, 0n)).toBe(0);
    expect([...ours.u32.subarray((FIELDS.fpr.offset >>> 2) + 12, (FIELDS.fpr.offset >>> 2) + 15)]).toEqual([
      0x6813_d2eb, 0xbffd_c00c, 0x3ff8,
    ]);
  });

  for (const s of subjects.filter((x) => ONLY.test(x.op))) {
    const number = X87_OPS.findIndex((op) => op.name === s.op);
    const { group, encoding } = X87_OPS[number]!;
    it(`${s.op} is what the unit does`, () => {
      const second = encoding.split(' ')[1]!;
      let done = 0;
      let normal = 0;
      for (let n = 0; n < CASES; n++) {
        const i = random() & 7;
        const modrm = !second.startsWith('/')
          ? Number.parseInt(second, 16)
          : (Number(second[1]) << 3) | (encoding.endsWith('M') ? 5 : 0xc0 | i);
        prepare();
        if (s.float) prepareFloat(s.float);
        if (random() % 4 === 0) stepOf(s.op);
        theirs.u8.set(ours.u8);
        const code = (modrm << 16) | (place.segment << 8);
        const before = image(ours);
        // What memory forms check before they load is not the native function's business.
        const isMemory = encoding.endsWith('M');
        if (isMemory) {
          for (const x of [ours, theirs]) {
            x.set(FIELDS.fpuStatus, x.low(FIELDS.fpuStatus) & ~0x8080);
            x.cr0 = CR0.PE | CR0.NE;
          }
        }
        const atStart = isMemory ? image(ours) : before;
        const answer = runNative(s, code | (group << 24));
        normal++;
        if (answer === 'refused') {
          expect(image(ours), `${s.op} refused`).toBe(atStart);
          continue;
        }
        done++;
        const paused = unit.execute(number | code, place.offset);
        expect(paused).toBe(0);
        if (image(ours) !== image(theirs))
          expect(`${atStart}\n-- ${s.op} ${i}\n${image(ours)}`).toBe(`${atStart}\n-- ${s.op} ${i}\n${image(theirs)}`);
        if (s.stored !== undefined)
          expect(result, atStart).toBe(Buffer.from(written.buffer, 0, s.stored).toString('hex'));
      }
      expect(done / normal, 'share that is not refused').toBeGreaterThan(s.least);
    }, 600_000);
  }
});
