/** The vocabulary in which every instruction is written. `V` is whatever a guest value is to the reader of the definition:
 *  a node of WebAssembly code for the interpreter and the JIT, a number for an evaluator.
 *
 *  Rules: everything that can fault precedes the first commit; a definition may branch on the decoded form, never on a guest
 *  value (that is `select` and `when`). Values of 8 and 16 bits are zero-extended unless said otherwise; bits above the
 *  operand's width in a value that is stored are ignored. */
import type { ScalarName, SimdName } from '../../../wasm/simd.ts';

/** Operands of 256 bits are loaded and stored by parts of 128 (`Operand.part`). */
export type Width = 8 | 16 | 32 | 64 | 128 | 256;
export type FlagName = 'C' | 'P' | 'A' | 'Z' | 'S' | 'O';

/** r: register, m: memory behind an effective-address record, s: the same, but the segment is looked at when the definition says so,
 *  f: memory at base + displacement in a flat segment, g: the same with a scaled index, i: immediate (of 64 bits: 32 with their
 *  sign). In the keys of 64-bit code also q: 64 bits of immediate, v: a register that is no general one. */
export type OperandKind = 'r' | 'm' | 's' | 'f' | 'g' | 'i' | 'q' | 'v';

/** An addition or subtraction of zero-extended values, without carry in. */
export interface FlagSource<V> {
  readonly op: 'add' | 'sub';
  readonly a: V;
  readonly b: V;
}

export interface Operand<V> {
  readonly kind: OperandKind;
  readonly width: Width;
  load(): V;
  /** Loads a value that `store` will replace: faults now if it cannot be written. */
  modify(): V;
  store(value: V): void;
  /** 128 bits from byte 16 * `index` on of a vector register or of memory. */
  part(index: number): Operand<V>;
  /** Address of a memory operand: linear, or the bare offset for instructions with `addressOnly`. */
  address(): V;
}

/** What the definition may look at: the decoded form. */
export interface Form {
  readonly opSize: 16 | 32 | 64;
  readonly addrSize: 16 | 32 | 64;
  readonly rep: 0 | 0xf2 | 0xf3;
  /** Stack accesses need no limit check and use the whole of ESP. */
  readonly flatStack: boolean;
  /** A near jump of this operand size may lead beyond the limit of CS. */
  readonly limited: boolean;
  /** 64-bit code: addresses and instruction pointers are values of 64 bits, and a write to a general register of 32 bits clears its
   *  upper half. */
  readonly long: boolean;
  /** The definition of an SSE instruction is read for part of one with a VEX prefix (vex.ts), which has looked at rights and alignment
   *  itself; `gather`: exceptions of its arithmetic are gathered and settled afterwards. */
  readonly vexPart?: 'plain' | 'gather';
}

export interface Ops<V> {
  readonly form: Form;
  const(n: number): V;
  add(a: V, b: V): V;
  sub(a: V, b: V): V;
  mul(a: V, b: V): V;
  and(a: V, b: V): V;
  or(a: V, b: V): V;
  xor(a: V, b: V): V;
  not(a: V): V;
  shl(a: V, bits: V | number): V;
  shrU(a: V, bits: V | number): V;
  shrS(a: V, bits: V | number): V;
  rotl(a: V, bits: V | number): V;
  rotr(a: V, bits: V | number): V;
  /** Undefined for a zero divisor or an overflowing signed division: guard with `when`. */
  divU(a: V, b: V): V;
  divS(a: V, b: V): V;
  remU(a: V, b: V): V;
  remS(a: V, b: V): V;
  clz(a: V): V;
  ctz(a: V): V;
  /** Comparisons give 0 or 1 (32 bits wide). */
  eqz(a: V): V;
  eq(a: V, b: V): V;
  ne(a: V, b: V): V;
  ltU(a: V, b: V): V;
  ltS(a: V, b: V): V;
  gtU(a: V, b: V): V;
  select(condition: V, a: V, b: V): V;
  signExtend(a: V, width: Width): V;
  zeroExtend(a: V, width: Width): V;
  /** 32 -> 64 bits and back. */
  wideU(a: V): V;
  wideS(a: V): V;
  narrow(a: V): V;
  /** Vectors (128 bits), by the names of WebAssembly's operations. Narrow operands of a lane are 32 bits wide. */
  simd(name: SimdName, ...args: V[]): V;
  lane(name: SimdName, lane: number, ...args: V[]): V;
  shuffle(a: V, b: V, bytes: readonly number[]): V;
  vector(bytes: readonly number[]): V;
  /** Single numbers in floating point, by the names of WebAssembly's operations. */
  scalar(name: ScalarName, ...args: V[]): V;
  float32(n: number): V;
  float64(n: number): V;
  /** The number when it is known as code is made: an immediate of the JIT's. Else null. */
  known(a: V): number | null;
  /** A vector register by index. */
  xmm(index: number): Operand<V>;
  /** A helper for vectors: takes two, gives one. */
  callVector(helper: string, code: V, a: V, b: V): V;
  /** Runs `then` (or `otherwise`) depending on a guest value. Values made inside must not be used outside. */
  when(condition: V, then: () => void, otherwise?: () => void, isLikely?: boolean): void;
  /** The same for a case so rare that compiled code leaves it to the interpreter; nothing was changed yet. */
  rarely(condition: V, rare: () => void, usual: () => void): void;
  /** Reads a definition as part of another. */
  inPart(vexPart: 'plain' | 'gather', body: () => void): void;
  /** Room for 128 bits within an instruction, 0 to 3. */
  scratchVector(index: number): Operand<V>;

  /** 0 or 1. */
  flag(name: FlagName): V;
  /** Condition code 0-15 as in Jcc. 0 or not 0. */
  condition(code: number): V;
  /** All six arithmetic flags: bit i of `carries` is the carry (or borrow) out of bit i; asked for only where it matters.
   *  `source`: the flags are those of this operation. */
  commitFlags(result: V, carries: () => V, width: Width, source?: FlagSource<V>): void;
  /** The same for AND, OR, XOR, TEST: C, O and A are 0. */
  commitLogicFlags(result: V, width: Width): void;
  /** The same with C kept (INC, DEC). */
  commitFlagsExceptCarry(result: V, carries: () => V, width: Width, source: 'inc' | 'dec'): void;
  /** S Z P from the result, C and O given as 0 or 1, A = 0. */
  commitResultFlags(result: V, width: Width, carry: V, overflow: V): void;
  /** S Z P from the result, A = 0, C is bit 0 of `last`; O as SHL, SHR and SAR by one leave it. */
  commitShiftFlags(result: V, width: Width, op: 'shl' | 'shr' | 'sar', last: V): void;
  /** Z and C given as 0 or 1; O S A P = 0. */
  commitZeroCarry(zero: V, carry: V): void;
  /** C and O only. */
  commitCarryOverflow(carry: V, overflow: V): void;
  /** One flag, 0 or 1, the others stay. */
  setFlag(name: 'C' | 'Z', value: V): void;

  /** A general register by encoding (8 bits: AL CL DL BL AH CH DH BH). */
  reg(index: number, width: Width): Operand<V>;
  /** Memory at an offset in a segment (0-5, or a value for a decoded override), with limit check. */
  memory(segment: number | V, offset: V, width: Width): Operand<V>;
  /** Memory at an offset of the flat stack segment. */
  memoryFlat(linear: V, width: Width): Operand<V>;
  /** Selector of a segment register by index. */
  selector(index: V): V;
  /** A state field of up to 32 bits. */
  field(name: string): V;
  setField(name: string, value: V): void;

  push(value: V, width: Width): void;
  /** Value at the top of the stack plus `skip` bytes; `dropStack` commits ESP. */
  stackTop(width: Width, skip?: number): V;
  dropStack(bytes: number | V): void;

  /** Base of FS or GS (64 bits). */
  segmentBase(index: number): V;
  /** EIP of the instruction itself. */
  eip(): V;
  /** EIP of the next instruction, truncated to the operand size. */
  nextEip(): V;
  /** Before a near jump commits anything: raises #GP(0) when its target lies beyond the limit of CS (SDM volume 2, the pages of
   *  JMP, CALL, Jcc and RET). */
  admit(target: V): void;
  /** The same for the target that the code says, if the jump is taken. */
  admitRelative(condition?: V): void;
  /** Control flow: last statement of an instruction that ends a block. */
  jump(target: V): void;
  jumpRelative(): void;
  branchRelative(condition: V): void;

  /** A helper of the engine (core/accel/tcg/helpers.ts). May fault; may read and write any state. */
  call(helper: string, ...args: V[]): V;
  /** The same with a result as wide as general registers are. */
  callWide(helper: string, ...args: V[]): V;
  /** A function in WebAssembly (natives.ts), listed in the definition's `natives`. Never faults and changes x87 and vector state and
   *  guest memory only. */
  native(name: string, ...args: V[]): V;
  /** A repeated string helper, or an x87 one that an interrupt may precede: called again for the same instruction until it returns 0. */
  repeat(helper: string, a: V, b: V): void;
  /** Takes the time of so many ordinary instructions beside its own, which an interrupt should not have to wait for unseen. */
  charge(instructions: V): void;
  /** Raises a fault without error code. */
  raise(vector: number): void;

  /** Only in `quick`: if the condition holds the instruction is done the long way, by `semantics`; nothing was changed yet. */
  giveUp(condition: V): void;
  /** A native function that may read and write any state; it answers 0 when it has done the instruction. */
  nativeState(name: string, ...args: V[]): V;
  /** Only in `quick`: a native function has set EIP. */
  jumpState(): void;
  /** Arithmetic flags from an EFLAGS image. */
  setFlags(image: V): void;
}

export interface Instruction {
  readonly name: string;
  /** Its place in `EXECUTABLE`, which gives it. */
  number?: number;
  /** Opcode bytes, optional `/digit`, then operands in the letters of Intel's opcode map, see decode/encoding.ts. */
  readonly encodings: readonly string[];
  semantics<V>(o: Ops<V>, a: Operand<V>, b: Operand<V>, c: Operand<V>, d: Operand<V>): void;
  /** For those that end their block as `system`: the everyday case in generated code, or `giveUp`. Neither mode nor anything else
   *  that the engine has to look at changes in it, unless `jumpState` says that all is settled. */
  quick?<V>(o: Ops<V>, a: Operand<V>, b: Operand<V>, c: Operand<V>): void;
  /** The same in 64-bit code. */
  quickLong?<V>(o: Ops<V>, a: Operand<V>, b: Operand<V>, c: Operand<V>): void;
  /** Its quick form says `jumpState`: nothing follows it. */
  readonly transfers?: boolean;
  /** Access to the first operand; the others are read. Default: rw. */
  readonly dst?: 'r' | 'w' | 'rw';
  readonly writesFlags?: string;
  readonly readsFlags?: string;
  /** Flags that are undefined after it (for tests against hardware). */
  readonly undefinedFlags?: string;
  /** The instruction ends its block; `system`: everything may have changed (mode, EIP, interrupt flag). */
  readonly ends?: 'jump' | 'system';
  /** Native functions that the semantics call. */
  readonly natives?: readonly string[];
  /** What besides operands the semantics look at. */
  readonly variants?: readonly ('opSize' | 'addrSize' | 'rep' | 'stack' | 'limit')[];
  readonly lockable?: boolean;
  /** Something (rights, a unit that is off, a pending #MF) is looked at before the memory operand, its segment included. */
  readonly guarded?: boolean;
  /** The memory operand is not accessed (LEA, INVLPG): no segment. */
  readonly addressOnly?: boolean;
}

export function instruction(definition: Instruction): Instruction {
  return definition;
}

/** The six forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share. */
export function aluForms(base: number, digit: number): string[] {
  const hex = (n: number) => n.toString(16).padStart(2, '0');
  return [
    `${hex(base)} Eb,Gb`,
    `${hex(base + 1)} Ev,Gv`,
    `${hex(base + 2)} Gb,Eb`,
    `${hex(base + 3)} Gv,Ev`,
    `${hex(base + 4)} AL,Ib`,
    `${hex(base + 5)} eAX,Iz`,
    `80 /${digit} Eb,Ib`,
    `81 /${digit} Ev,Iz`,
    `82 /${digit} Eb,Ib`,
    `83 /${digit} Ev,sIb`,
  ];
}
