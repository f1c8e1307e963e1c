/** The x87 unit: register stack, status, control and tag words, exceptions, and what each instruction does with them (Intel SDM
 *  volume 1, chapter 8, and volume 2). One function per instruction, for every execution tier. Pointers and opcode of the last
 *  instruction are kept as on a CPU that always updates them. */

import { raise, VECTOR } from '../fault.ts';
import { X87_OPS } from '../semantics/x87.ts';
import { type CpuState, CR0, CS, EAX, FIELDS } from '../state.ts';
import type { CpuBus, LinearMemory } from '../system-ops.ts';
import {
  add,
  compare,
  div,
  examine,
  extract,
  mul,
  quotient,
  relation,
  remainder,
  roundToInteger,
  scale,
  sqrt,
} from './arithmetic.ts';
import {
  fromDecimal,
  fromDouble,
  fromInteger,
  fromInteger64,
  fromSingle,
  toDecimal,
  toDouble,
  toInteger,
  toSingle,
  words,
} from './convert.ts';
import { FloatEnvironment } from './environment.ts';
import { BIAS, DE, Float80, IE, INFINITY, OE, PE, SNAN, UE, UP, ZE } from './float80.ts';
import {
  arcTangent,
  cosine,
  exponentialMinusOne,
  isReducible,
  logarithm,
  logarithmOfOnePlus,
  sine,
  tangent,
} from './transcendental.ts';

const SF = 0x40;
const ES = 0x80;
const C1 = 0x200;
const C2 = 0x400;
const CONDITION = 0x4700;
const BUSY = 0x8000;
const ALL = 0x3f;

/** What the unit needs of the engine. */
export interface UnitContext {
  readonly state: CpuState;
  readonly memory: LinearMemory;
  readonly bus: Pick<CpuBus, 'ferr'>;
  /** EIP of the instruction that is being executed. */
  instructionEip(): number;
  /** Linear address of an operand, limit and rights checked. */
  segmentAddress(segment: number, offset: number, bytes: number, isWrite: boolean): number;
  /** FERR# led to an interrupt that is due before the next floating-point instruction. */
  pauseForInterrupt(): boolean;
}

/** Constants as mantissa halves, exponent, and the 32 bits that follow the mantissa. */
const CONSTANTS: Readonly<Record<string, readonly [exponent: number, high: number, low: number, next: number]>> = {
  fldl2t: [BIAS + 1, 0xd49a_784b, 0xcd1b_8afe, 0x492b_f6ff],
  fldl2e: [BIAS, 0xb8aa_3b29, 0x5c17_f0bb, 0xbe87_fed0],
  fldpi: [BIAS + 1, 0xc90f_daa2, 0x2168_c234, 0xc4c6_628b],
  fldlg2: [BIAS - 2, 0x9a20_9a84, 0xfbcf_f798, 0x8f89_59ac],
  fldln2: [BIAS - 1, 0xb172_17f7, 0xd1cf_79ab, 0xc9e3_b398],
};

type Operation = (segment: number, modrm: number, offset: number) => void;
type Binary = (a: Float80, b: Float80, r: Float80, control: number) => number;

const FCW = FIELDS.fpuControl.offset >>> 2;
const FSW = FIELDS.fpuStatus.offset >>> 2;
const TOP = FIELDS.fpuTop.offset >>> 2;
const EMPTY = FIELDS.fpuEmpty.offset >>> 2;
const FPR = FIELDS.fpr.offset >>> 2;

/** Instructions that neither wait for a pending exception nor leave pointers. */
const NO_WAIT = new Set([
  'fninit',
  'fnclex',
  'fnstcw',
  'fnstsw',
  'fnstswAx',
  'fnstenv',
  'fnsave',
  'fneni',
  'fndisi',
  'fnsetpm',
]);
const NO_POINTERS = new Set([...NO_WAIT, 'fldcw', 'fldenv', 'frstor', 'fincstp', 'fdecstp', 'ffree', 'fnop']);

export class FloatUnit {
  private readonly ctx: UnitContext;
  private readonly state: CpuState;
  private readonly u32: Uint32Array;
  private readonly operations: Operation[];
  private readonly waits: boolean[];
  private readonly pointers: boolean[];
  private readonly groups: number[];
  private readonly a = new Float80();
  private readonly b = new Float80();
  private readonly r = new Float80();
  private readonly s = new Float80();
  private readonly memoryOperations: boolean[];
  /** The operand size is 32 bits: layout of an environment. */
  private isWide = false;
  readonly environment: FloatEnvironment;

  constructor(ctx: UnitContext) {
    this.ctx = ctx;
    this.state = ctx.state;
    this.u32 = ctx.state.u32;
    this.environment = new FloatEnvironment(ctx, this);
    const table = this.table();
    this.operations = X87_OPS.map(({ name }) => {
      const operation = table[name];
      if (!operation) throw new Error(`no x87 operation ${name}`);
      return operation;
    });
    this.waits = X87_OPS.map(({ name }) => !NO_WAIT.has(name));
    this.pointers = X87_OPS.map(({ name }) => !NO_POINTERS.has(name));
    this.groups = X87_OPS.map(({ group }) => group);
    this.memoryOperations = X87_OPS.map(({ isMemory }) => isMemory);
  }

  /** `code`: number in X87_OPS, segment << 8, bit 15 for 32-bit operand size, ModRM byte << 16. 1: not executed, an interrupt comes first. */
  execute(code: number, offset: number): number {
    const op = code & 0xff;
    const { u32 } = this;
    if (this.state.cr0 & (CR0.EM | CR0.TS)) raise(this.state, VECTOR.NM);
    if (this.waits[op]! && u32[FSW]! & ES && this.pending()) return 1;
    const segment = (code >>> 8) & 7;
    this.isWide = (code & 0x8000) !== 0;
    const modrm = code >>> 16;
    this.operations[op]!(segment, modrm, offset);
    if (this.pointers[op]!) this.notePointers(op, segment, modrm, offset);
    return 0;
  }
  /** WAIT. */
  wait(): number {
    const { cr0 } = this.state;
    if ((cr0 & (CR0.MP | CR0.TS)) === (CR0.MP | CR0.TS)) raise(this.state, VECTOR.NM);
    return this.u32[FSW]! & ES && this.pending() ? 1 : 0;
  }
  /** Before the operand of a native instruction is read: the faults, or 1 for an interrupt that comes first. */
  checkReady(waits: boolean): number {
    if (this.state.cr0 & (CR0.EM | CR0.TS)) raise(this.state, VECTOR.NM);
    return waits ? this.checkPending() : 0;
  }
  /** For EMMS, FXSAVE and other users of the unit. */
  checkPending(): number {
    return this.u32[FSW]! & ES && this.pending() ? 1 : 0;
  }
  private pending(): boolean {
    if (this.state.cr0 & CR0.NE) raise(this.state, VECTOR.MF);
    this.ctx.bus.ferr?.(false);
    return this.ctx.pauseForInterrupt();
  }
  private notePointers(op: number, segment: number, modrm: number, offset: number): void {
    const { state } = this;
    state.set(FIELDS.fpuIp, this.ctx.instructionEip());
    state.u32[FIELDS.fpuIpSelector.offset >>> 2] = state.segments[CS]!.selector;
    state.u32[FIELDS.fpuOpcode.offset >>> 2] = (this.groups[op]! << 8) | modrm;
    if (!this.memoryOperations[op]!) return;
    state.set(FIELDS.fpuDp, offset);
    state.u32[FIELDS.fpuDpSelector.offset >>> 2] = state.segments[segment]!.selector;
  }

  // -- registers and status ------------------------------------------------------------------------------------------

  private physical(i: number): number {
    return (this.u32[TOP]! + i) & 7;
  }
  private isEmpty(i: number): boolean {
    return ((this.u32[EMPTY]! >>> this.physical(i)) & 1) !== 0;
  }
  private get(i: number, into: Float80): Float80 {
    const at = FPR + this.physical(i) * 4;
    const top = this.u32[at + 2]!;
    into.sign = (top >>> 15) & 1;
    into.exponent = top & 0x7fff;
    into.high = this.u32[at + 1]!;
    into.low = this.u32[at]!;
    return into;
  }
  private put(i: number, from: Float80): void {
    const p = this.physical(i);
    const at = FPR + p * 4;
    let { exponent } = from;
    // Denormals come with exponent 1 from moves of pseudo-denormals only; `round` gives them 0.
    if (exponent < 0) exponent = 0;
    this.u32[at] = from.low;
    this.u32[at + 1] = from.high;
    this.u32[at + 2] = (from.sign << 15) | exponent;
    this.u32[EMPTY] = this.u32[EMPTY]! & ~(1 << p);
  }
  private pop(): void {
    this.u32[EMPTY] = this.u32[EMPTY]! | (1 << this.physical(0));
    this.u32[TOP] = (this.u32[TOP]! + 1) & 7;
  }
  private get control(): number {
    return this.u32[FCW]!;
  }
  /** Condition bits from FXAM's and FCOM's form: bit 0, 2, 6. */
  private conditions(bits: number): void {
    this.u32[FSW] = (this.u32[FSW]! & ~(CONDITION & ~C1)) | ((bits & 0x45) << 8);
  }
  private setC1(isSet: boolean): void {
    this.u32[FSW] = isSet ? this.u32[FSW]! | C1 : this.u32[FSW]! & ~C1;
  }
  /** Records exceptions; true when the result may be stored. `blocking`: unmasked exceptions that forbid it. */
  private commit(raised: number, blocking: number): boolean {
    const enabled = ~this.control & ALL;
    let flags = raised;
    // What is found before the operation keeps it from being done at all.
    if (flags & enabled & (IE | DE | ZE)) flags &= flags & SF ? IE | SF | UP : IE | DE | ZE;
    const status = (this.u32[FSW]! & ~C1) | (flags & (ALL | SF | UP));
    this.u32[FSW] = status;
    if (flags & enabled) this.signal();
    return (flags & enabled & blocking) === 0;
  }
  private toRegister(flags: number): boolean {
    return this.commit(flags, IE | DE | ZE);
  }
  private toMemory(flags: number): boolean {
    const enabled = ~this.control & ALL;
    // Nothing was rounded where the result does not fit and is not stored.
    return this.commit(flags & enabled & (OE | UE) ? flags & ~(PE | UP) : flags, IE | DE | ZE | OE | UE);
  }
  /** An unmasked exception is pending. */
  private signal(): void {
    const isNew = !(this.u32[FSW]! & ES);
    this.u32[FSW] = this.u32[FSW]! | ES | BUSY;
    if (!(this.state.cr0 & CR0.NE)) this.ctx.bus.ferr?.(isNew);
  }
  /** The summary bit follows flags and masks after either was loaded. */
  refreshSummary(): void {
    const status = this.u32[FSW]!;
    if (status & ~this.control & ALL) this.u32[FSW] = status | ES | BUSY;
    else this.u32[FSW] = status & ~(ES | BUSY);
  }
  get status(): number {
    return (this.u32[FSW]! & ~0x3800) | ((this.u32[TOP]! & 7) << 11);
  }

  /** Pushes `from` with the flags of its making. */
  private push(from: Float80, flags: number): void {
    if (!this.isEmpty(7)) {
      if (!this.toRegister(IE | SF | UP)) return;
      from.indefinite();
    } else if (!this.commit(flags, IE)) return; // a denormal is loaded even if that is not masked
    this.u32[TOP] = (this.u32[TOP]! - 1) & 7;
    this.put(0, from);
  }
  /** An operand register was empty: the masked answer goes to ST(i), then `pops`. */
  private underflow(i: number, pops = 0): void {
    if (!this.toRegister(IE | SF)) return;
    this.put(i, this.r.indefinite());
    for (let n = 0; n < pops; n++) this.pop();
  }

  // -- memory --------------------------------------------------------------------------------------------------------

  private reading(segment: number, offset: number, bytes: number): number {
    return this.ctx.segmentAddress(segment, offset, bytes, false);
  }
  private read16(segment: number, offset: number): number {
    return this.ctx.memory.read(this.reading(segment, offset, 2), 2);
  }
  private read32(segment: number, offset: number): number {
    return this.ctx.memory.read(this.reading(segment, offset, 4), 4);
  }
  /** Faults now if the range cannot be written. */
  private writing(segment: number, offset: number, bytes: number): number {
    const at = this.ctx.segmentAddress(segment, offset, bytes, true);
    this.ctx.memory.probeWrite(at, bytes);
    return at;
  }
  private writeWords(at: number, bytes: number): void {
    const { memory } = this.ctx;
    if (bytes === 2) memory.write(at, 2, words[0]! & 0xffff);
    else memory.write(at, 4, words[0]!);
    if (bytes >= 8) memory.write(at + 4, 4, words[1]!);
    if (bytes === 10) memory.write(at + 8, 2, words[2]! & 0xffff);
  }

  // -- families ------------------------------------------------------------------------------------------------------

  /** ST(target) = ST0 op ST(i). */
  private binary(f: Binary, isSwapped: boolean, i: number, target: number, pops: number): void {
    if (this.isEmpty(0) || this.isEmpty(i)) {
      this.underflow(target, pops);
      return;
    }
    const a = this.get(0, this.a);
    const b = this.get(i, this.b);
    const flags = isSwapped ? f(b, a, this.r, this.control) : f(a, b, this.r, this.control);
    if (!this.toRegister(flags)) return;
    this.put(target, this.r);
    if (pops) this.pop();
  }
  /** ST0 = ST0 op the number in `b`; `loaded`: DE if that was a denormal in memory. */
  private binaryMemory(f: Binary, isSwapped: boolean, loaded: number): void {
    if (this.isEmpty(0)) {
      this.underflow(0);
      return;
    }
    const { b } = this;
    const a = this.get(0, this.a);
    const isNan = a.classify() > INFINITY;
    let flags = isSwapped ? f(b, a, this.r, this.control) : f(a, b, this.r, this.control);
    if (!isNan && !(flags & (IE | ZE))) flags |= loaded;
    if (this.toRegister(flags)) this.put(0, this.r);
  }
  private compareWith(isQuiet: boolean, pops: number, loaded: number): void {
    const isNan = this.a.classify() > INFINITY;
    let flags = compare(this.a, this.b, isQuiet);
    if (!isNan && !(flags & IE)) flags |= loaded;
    const result = relation;
    const isDone = this.toRegister(flags);
    // The relation shows even when an unmasked exception keeps the operands on the stack.
    this.conditions(result);
    if (!isDone) return;
    for (let n = 0; n < pops; n++) this.pop();
  }
  /** Comparison with an empty register: unordered when masked. */
  private compareEmpty(pops: number): void {
    const isDone = this.toRegister(IE | SF);
    this.conditions(0x45);
    if (!isDone) return;
    for (let n = 0; n < pops; n++) this.pop();
  }
  private compareRegister(i: number, isQuiet: boolean, pops: number): void {
    if (this.isEmpty(0) || this.isEmpty(i)) {
      this.compareEmpty(pops);
      return;
    }
    this.get(0, this.a);
    this.get(i, this.b);
    this.compareWith(isQuiet, pops, 0);
  }
  private compareMemory(pops: number, loaded: number): void {
    if (this.isEmpty(0)) {
      this.compareEmpty(pops);
      return;
    }
    this.get(0, this.a);
    this.compareWith(false, pops, loaded);
  }
  private compareFlags(i: number, isQuiet: boolean, pops: number): void {
    let flags = IE | SF;
    let result = 0x45;
    if (!this.isEmpty(0) && !this.isEmpty(i)) {
      flags = compare(this.get(0, this.a), this.get(i, this.b), isQuiet);
      result = relation;
    }
    const hadC1 = (this.u32[FSW]! & C1) !== 0;
    const isDone = this.toRegister(flags);
    if (hadC1 && !(flags & SF)) this.setC1(true);
    this.state.setArithmeticFlags(result);
    if (isDone && pops) this.pop();
  }
  private unary(f: (a: Float80, r: Float80, control: number) => number): void {
    if (this.isEmpty(0)) {
      this.underflow(0);
      return;
    }
    const flags = f(this.get(0, this.a), this.r, this.control);
    if (this.toRegister(flags)) this.put(0, this.r);
  }
  /** A load of single or double precision quietens a signalling NaN. */
  private pushLoaded(r: Float80, loaded: number): void {
    let flags = loaded;
    if (r.classify() === SNAN) {
      r.high = (r.high | 0x4000_0000) >>> 0;
      flags = IE;
    }
    this.push(r, flags);
  }
  /** Stores ST0 as `convert` leaves it in `words`. */
  private store(
    segment: number,
    offset: number,
    bytes: number,
    pops: boolean,
    convert: (a: Float80, control: number) => number,
  ): void {
    const isEmpty = this.isEmpty(0);
    const a = isEmpty ? this.a.indefinite() : this.get(0, this.a);
    let flags = convert(a, this.control);
    if (isEmpty) flags = IE | SF;
    const at = this.writing(segment, offset, bytes);
    if (!this.toMemory(flags)) return;
    this.writeWords(at, bytes);
    if (pops) this.pop();
  }
  private storeRegister(i: number, pops: boolean): void {
    if (this.isEmpty(0)) {
      this.underflow(i, pops ? 1 : 0);
      return;
    }
    this.setC1(false);
    this.put(i, this.get(0, this.a));
    if (pops) this.pop();
  }
  private exchange(i: number): void {
    const isEmpty = this.isEmpty(0) || this.isEmpty(i);
    if (!this.toRegister(isEmpty ? IE | SF : 0)) return;
    const first = this.isEmpty(0) ? this.a.indefinite() : this.get(0, this.a);
    const second = this.isEmpty(i) ? this.b.indefinite() : this.get(i, this.b);
    this.put(0, second);
    this.put(i, first);
  }
  private move(isWanted: boolean, i: number): void {
    if (this.isEmpty(0) || this.isEmpty(i)) {
      this.underflow(0);
      return;
    }
    if (isWanted) this.put(0, this.get(i, this.a));
  }
  private constant(name: string): void {
    const [exponent, high, low, next] = CONSTANTS[name]!;
    const mode = (this.control >>> 10) & 3;
    const isUp = mode === 2 || (mode === 0 && next >= 0x8000_0000);
    this.push(this.r.set(0, exponent, high, low + (isUp ? 1 : 0)), 0);
  }
  private remainder(isNearest: boolean): void {
    if (this.isEmpty(0) || this.isEmpty(1)) {
      this.underflow(0);
      this.u32[FSW] = this.u32[FSW]! & ~C2;
      return;
    }
    const flags = remainder(this.get(0, this.a), this.get(1, this.b), isNearest, this.r, this.control);
    const q = quotient;
    const isNumber = !(flags & IE) && this.r.classify() <= INFINITY;
    const isDone = this.toRegister(flags);
    if (isDone) this.put(0, this.r);
    if (!isDone || !isNumber) {
      this.u32[FSW] = this.u32[FSW]! & ~C2;
      return;
    }
    if (q < 0) {
      this.conditions(4);
      this.setC1(false);
      return;
    }
    this.conditions(((q & 4) >> 2) | ((q & 2) << 5));
    this.setC1((q & 1) !== 0);
  }
  /** FSIN and FCOS, FPTAN and FSINCOS with a second result that is pushed. */
  private trigonometric(
    f: (a: Float80, r: Float80, control: number) => number,
    second?: (a: Float80, r: Float80, control: number) => number,
  ): void {
    if (second && !this.isEmpty(7)) {
      // No room for the second result.
      if (!this.toRegister(IE | SF | UP)) return;
      this.put(0, this.r.indefinite());
      this.u32[TOP] = (this.u32[TOP]! - 1) & 7;
      this.put(0, this.r);
      this.u32[FSW] = this.u32[FSW]! & ~C2;
      return;
    }
    if (this.isEmpty(0)) {
      this.u32[FSW] = this.u32[FSW]! & ~C2;
      if (!this.toRegister(IE | SF)) return;
      this.put(0, this.r.indefinite());
      if (second) {
        this.u32[TOP] = (this.u32[TOP]! - 1) & 7;
        this.put(0, this.r);
      }
      return;
    }
    const a = this.get(0, this.a);
    if (!isReducible(a)) {
      this.u32[FSW] = (this.u32[FSW]! | C2) & ~C1;
      return;
    }
    this.s.copy(a);
    let flags = f(a, this.r, this.control);
    if (second) {
      const isNan = this.r.exponent === 0x7fff;
      a.copy(this.s);
      flags |= second(a, this.s, this.control);
      if (isNan) this.s.copy(this.r);
    }
    this.u32[FSW] = this.u32[FSW]! & ~C2;
    if (!this.toRegister(flags)) return;
    this.put(0, this.r);
    if (!second) return;
    this.u32[TOP] = (this.u32[TOP]! - 1) & 7;
    this.put(0, this.s);
  }
  /** ST1 = f(ST0, ST1), pop. */
  private binaryPop(f: Binary): void {
    if (this.isEmpty(0) || this.isEmpty(1)) {
      this.underflow(1, 1);
      return;
    }
    const flags = f(this.get(0, this.a), this.get(1, this.b), this.r, this.control);
    if (!this.toRegister(flags)) return;
    this.put(1, this.r);
    this.pop();
  }

  private table(): Record<string, Operation> {
    const { u32, state, a, b, r, s } = this;
    const memory = this.ctx.memory;
    const load32 = (segment: number, offset: number) => fromSingle(b, this.read32(segment, offset));
    const load64 = (segment: number, offset: number) => {
      const at = this.reading(segment, offset, 8);
      const low = memory.read(at, 4);
      return fromDouble(b, memory.read(at + 4, 4), low);
    };
    const loadInt16 = (segment: number, offset: number) => {
      fromInteger(b, (this.read16(segment, offset) << 16) >> 16);
      return 0;
    };
    const loadInt32 = (segment: number, offset: number) => {
      fromInteger(b, this.read32(segment, offset) | 0);
      return 0;
    };
    const table: Record<string, Operation> = {};
    const sum: Binary = (x, y, z, control) => add(x, y, false, z, control);
    const difference: Binary = (x, y, z, control) => add(x, y, true, z, control);
    const arithmetic: readonly [string, Binary, boolean][] = [
      ['add', sum, false],
      ['mul', mul, false],
      ['sub', difference, false],
      ['subr', difference, true],
      ['div', div, false],
      ['divr', div, true],
    ];
    for (const [name, f, isSwapped] of arithmetic) {
      table[`f${name}32`] = (seg, _m, at) => this.binaryMemory(f, isSwapped, load32(seg, at));
      table[`f${name}64`] = (seg, _m, at) => this.binaryMemory(f, isSwapped, load64(seg, at));
      table[`fi${name}16`] = (seg, _m, at) => this.binaryMemory(f, isSwapped, loadInt16(seg, at));
      table[`fi${name}32`] = (seg, _m, at) => this.binaryMemory(f, isSwapped, loadInt32(seg, at));
      table[`f${name}`] = (_s, i) => this.binary(f, isSwapped, i & 7, 0, 0);
      // The reversed forms change places where ST(i) is the target; ST0 stays the first operand of the formula.
      table[`f${name}To`] = (_s, i) => this.binary(f, isSwapped, i & 7, i & 7, 0);
      table[`f${name}p`] = (_s, i) => this.binary(f, isSwapped, i & 7, i & 7, 1);
    }
    for (const [suffix, pops] of [
      ['', 0],
      ['p', 1],
    ] as const) {
      table[`fcom${suffix}32`] = (seg, _m, at) => this.compareMemory(pops, load32(seg, at));
      table[`fcom${suffix}64`] = (seg, _m, at) => this.compareMemory(pops, load64(seg, at));
      table[`ficom${suffix}16`] = (seg, _m, at) => this.compareMemory(pops, loadInt16(seg, at));
      table[`ficom${suffix}32`] = (seg, _m, at) => this.compareMemory(pops, loadInt32(seg, at));
      table[`fcom${suffix}`] = (_s, i) => this.compareRegister(i & 7, false, pops);
      table[`fucom${suffix}`] = (_s, i) => this.compareRegister(i & 7, true, pops);
      table[`fcomi${suffix}`] = (_s, i) => this.compareFlags(i & 7, false, pops);
      table[`fucomi${suffix}`] = (_s, i) => this.compareFlags(i & 7, true, pops);
      const isPop = pops === 1;
      table[`fst${suffix}32`] = (seg, _m, at) => this.store(seg, at, 4, isPop, toSingle);
      table[`fst${suffix}64`] = (seg, _m, at) => this.store(seg, at, 8, isPop, toDouble);
      table[`fist${suffix}16`] = (seg, _m, at) =>
        this.store(seg, at, 2, isPop, (x, control) => toInteger(x, 16, (control >>> 10) & 3));
      table[`fist${suffix}32`] = (seg, _m, at) =>
        this.store(seg, at, 4, isPop, (x, control) => toInteger(x, 32, (control >>> 10) & 3));
      table[`fst${suffix}`] = (_s, i) => this.storeRegister(i & 7, isPop);
    }
    const conditions: readonly [string, number, boolean][] = [
      ['b', 1, true],
      ['e', 0x40, true],
      ['be', 0x41, true],
      ['u', 4, true],
      ['nb', 1, false],
      ['ne', 0x40, false],
      ['nbe', 0x41, false],
      ['nu', 4, false],
    ];
    for (const [name, mask, isSet] of conditions)
      table[`fcmov${name}`] = (_s, i) => this.move(((state.getEflags() & mask) !== 0) === isSet, i & 7);
    for (const name of Object.keys(CONSTANTS)) table[name] = () => this.constant(name);
    return Object.assign(table, {
      fld32: (seg, _m, at) => {
        const loaded = load32(seg, at);
        this.pushLoaded(b, loaded);
      },
      fld64: (seg, _m, at) => {
        const loaded = load64(seg, at);
        this.pushLoaded(b, loaded);
      },
      fld80: (seg, _m, offset) => {
        const at = this.reading(seg, offset, 10);
        const low = memory.read(at, 4);
        const high = memory.read(at + 4, 4);
        const top = memory.read(at + 8, 2);
        this.push(r.set(top >>> 15, top & 0x7fff, high, low), 0);
      },
      fld: (_s, i) => {
        if (this.isEmpty(i & 7)) {
          // Masked: the indefinite number is pushed, unless there is no room either.
          if (!this.toRegister(this.isEmpty(7) ? IE | SF : IE | SF | UP)) return;
          u32[TOP] = (u32[TOP]! - 1) & 7;
          this.put(0, r.indefinite());
        } else this.push(this.get(i & 7, r), 0);
      },
      fild16: (seg, _m, at) => {
        loadInt16(seg, at);
        this.push(b, 0);
      },
      fild32: (seg, _m, at) => {
        loadInt32(seg, at);
        this.push(b, 0);
      },
      fild64: (seg, _m, offset) => {
        const at = this.reading(seg, offset, 8);
        const low = memory.read(at, 4);
        fromInteger64(b, memory.read(at + 4, 4), low);
        this.push(b, 0);
      },
      fbld: (seg, _m, offset) => {
        const at = this.reading(seg, offset, 10);
        const low = memory.read(at, 4);
        fromDecimal(b, low, memory.read(at + 4, 4), memory.read(at + 8, 2));
        this.push(b, 0);
      },
      fistp64: (seg, _m, at) => this.store(seg, at, 8, true, (x, control) => toInteger(x, 64, (control >>> 10) & 3)),
      fisttp16: (seg, _m, at) => this.store(seg, at, 2, true, (x) => toInteger(x, 16, 3)),
      fisttp32: (seg, _m, at) => this.store(seg, at, 4, true, (x) => toInteger(x, 32, 3)),
      fisttp64: (seg, _m, at) => this.store(seg, at, 8, true, (x) => toInteger(x, 64, 3)),
      fbstp: (seg, _m, at) => this.store(seg, at, 10, true, (x, control) => toDecimal(x, (control >>> 10) & 3)),
      fstp80: (seg, _m, at) =>
        this.store(seg, at, 10, true, (x) => {
          words[0] = x.low;
          words[1] = x.high;
          words[2] = (x.sign << 15) | x.exponent;
          return 0;
        }),
      // The second encoding of FSTP takes an empty register for what it is.
      fstp1: (_s, i) => {
        if (!this.isEmpty(0)) {
          this.storeRegister(i & 7, true);
          return;
        }
        this.setC1(false);
        u32[EMPTY] = u32[EMPTY]! | (1 << this.physical(i & 7));
        this.pop();
      },
      fxch: (_s, i) => this.exchange(i & 7),
      ffree: (_s, i) => {
        this.setC1(false);
        u32[EMPTY] = u32[EMPTY]! | (1 << this.physical(i & 7));
      },
      ffreep: (_s, i) => {
        u32[EMPTY] = u32[EMPTY]! | (1 << this.physical(i & 7));
        this.setC1(false);
        this.pop();
      },
      fcompp: () => this.compareRegister(1, false, 2),
      fucompp: () => this.compareRegister(1, true, 2),
      fnop: () => {},
      fneni: () => {},
      fndisi: () => {},
      fnsetpm: () => {},
      fchs: () => {
        if (this.isEmpty(0)) {
          this.underflow(0);
          return;
        }
        this.setC1(false);
        this.get(0, a).sign ^= 1;
        this.put(0, a);
      },
      fabs: () => {
        if (this.isEmpty(0)) {
          this.underflow(0);
          return;
        }
        this.setC1(false);
        this.get(0, a).sign = 0;
        this.put(0, a);
      },
      ftst: () => {
        if (this.isEmpty(0)) {
          this.compareEmpty(0);
          return;
        }
        this.get(0, a);
        b.zero(0);
        this.compareWith(false, 0, 0);
      },
      fxam: () => {
        this.get(0, a);
        this.conditions(this.isEmpty(0) ? 0x41 : examine(a));
        this.setC1(a.sign !== 0);
      },
      fld1: () => this.push(r.set(0, BIAS, 0x8000_0000, 0), 0),
      fldz: () => this.push(r.zero(0), 0),
      fsqrt: () => this.unary(sqrt),
      frndint: () => this.unary(roundToInteger),
      f2xm1: () => this.unary(exponentialMinusOne),
      fscale: () => {
        if (this.isEmpty(0) || this.isEmpty(1)) {
          this.underflow(0);
          return;
        }
        const flags = scale(this.get(0, a), this.get(1, b), r, this.control);
        if (this.toRegister(flags)) this.put(0, r);
      },
      fxtract: () => {
        if (this.isEmpty(0) || !this.isEmpty(7)) {
          if (!this.toRegister(this.isEmpty(0) ? IE | SF : IE | SF | UP)) return;
          this.put(0, r.indefinite());
          u32[TOP] = (u32[TOP]! - 1) & 7;
          this.put(0, r);
          return;
        }
        const flags = extract(this.get(0, a), s, r);
        if (!this.toRegister(flags)) return;
        this.put(0, s);
        u32[TOP] = (u32[TOP]! - 1) & 7;
        this.put(0, r);
      },
      fprem: () => this.remainder(false),
      fprem1: () => this.remainder(true),
      fyl2x: () => this.binaryPop(logarithm),
      fyl2xp1: () => this.binaryPop(logarithmOfOnePlus),
      fpatan: () => this.binaryPop(arcTangent),
      fsin: () => this.trigonometric(sine),
      fcos: () => this.trigonometric(cosine),
      fsincos: () => this.trigonometric(sine, cosine),
      fptan: () =>
        this.trigonometric(tangent, (x, z) => {
          void x;
          z.set(0, BIAS, 0x8000_0000, 0);
          return 0;
        }),
      fdecstp: () => {
        u32[TOP] = (u32[TOP]! - 1) & 7;
        this.setC1(false);
      },
      fincstp: () => {
        u32[TOP] = (u32[TOP]! + 1) & 7;
        this.setC1(false);
      },
      fninit: () => this.initialize(),
      fnclex: () => {
        u32[FSW] = u32[FSW]! & 0x7f00;
      },
      fldcw: (seg, _m, at) => this.setControl(this.read16(seg, at)),
      fnstcw: (seg, _m, at) => memory.write(this.ctx.segmentAddress(seg, at, 2, true), 2, this.control),
      fnstsw: (seg, _m, at) => memory.write(this.ctx.segmentAddress(seg, at, 2, true), 2, this.status),
      fnstswAx: () => state.setReg16(EAX, this.status),
      fldenv: (seg, _m, at) => this.environment.fldenv(seg, at, this.isWide),
      fnstenv: (seg, _m, at) => this.environment.fnstenv(seg, at, this.isWide),
      fnsave: (seg, _m, at) => this.environment.fnsave(seg, at, this.isWide),
      frstor: (seg, _m, at) => this.environment.frstor(seg, at, this.isWide),
    } satisfies Record<string, Operation>);
  }

  /** Control word as loaded: what does not exist reads as it does on hardware. */
  setControl(value: number): void {
    this.u32[FCW] = (value & 0x1f3f) | 0x40;
    this.refreshSummary();
  }
  initialize(): void {
    const { state, u32 } = this;
    u32[FCW] = 0x37f;
    u32[FSW] = 0;
    u32[TOP] = 0;
    u32[EMPTY] = 0xff;
    for (const f of [FIELDS.fpuOpcode, FIELDS.fpuIpSelector, FIELDS.fpuDpSelector, FIELDS.fpuIp, FIELDS.fpuDp])
      state.set(f, 0);
  }
}
