/** Values and effects of generated code. A value is a node of an expression graph; effects are statements. A node that is used
 *  once is emitted in place, one that is used more often lives in a local. */
import type { Width } from '../../../target/x86/semantics/ops.ts';
import { F32, F64, I32, I64, OP, V128, VOID } from '../../../wasm/opcodes.ts';
import { SCALAR, type ScalarName, SIMD, type SimdName } from '../../../wasm/simd.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';

/** What a load may alias with. From `firstLocal` on: one bit for each guest register that lives in a local. */
export const ALIAS = { none: 0, register: 1, field: 2, guest: 4, firstLocal: 8, all: -1 } as const;

export const CONST = -1;
export const LOCAL = -2;
/** A local that later statements may set: what was read from it is kept when that happens. */
export const VARIABLE = -3;

/** A value. */
export class Node {
  readonly op: number;
  readonly type: number;
  readonly a: Node | null;
  readonly b: Node | null;
  readonly c: Node | null;
  /** Constant, memory offset or local index. */
  readonly imm: number;
  readonly alias: number;
  /** Immediate bytes behind the operation. */
  bytes: readonly number[] | null = null;
  /** Of a load: more bytes to its offset, which are known when everything has been said. */
  late: (() => number) | null = null;
  uses = 0;
  emitted = 0;
  local = -1;
  constructor(op: number, type: number, a: Node | null, b: Node | null, c: Node | null, imm: number, alias: number) {
    this.op = op;
    this.type = type;
    this.a = a;
    this.b = b;
    this.c = c;
    this.imm = imm;
    this.alias = alias;
    if (a) a.uses++;
    if (b) b.uses++;
    if (c) c.uses++;
  }
}
/** Locals that are reused from handler to handler. */
export class ScratchLocals {
  private readonly writer: FunctionWriter;
  private readonly free = new Map<number, number[]>();
  constructor(writer: FunctionWriter) {
    this.writer = writer;
  }
  take(type: number): number {
    return this.free.get(type)?.pop() ?? this.writer.local(type);
  }
  give(type: number, index: number): void {
    const list = this.free.get(type);
    if (list) list.push(index);
    else this.free.set(type, [index]);
  }
}

export const LOAD_U: Record<Width, number> = {
  8: OP.i32Load8U,
  16: OP.i32Load16U,
  32: OP.i32Load,
  64: OP.i64Load,
  128: SIMD['v128.load'],
  256: SIMD['v128.load'], // by parts
};
export const STORE: Record<Width, number> = {
  8: OP.i32Store8,
  16: OP.i32Store16,
  32: OP.i32Store,
  64: OP.i64Store,
  128: SIMD['v128.store'],
  256: SIMD['v128.store'],
};
const VECTOR_LOADS = new Set<number>([SIMD['v128.load'], SIMD['v128.load32_zero'], SIMD['v128.load64_zero']]);
const COMPARISONS = new Set<number>([
  OP.i32Eqz,
  OP.i32Eq,
  OP.i32Ne,
  OP.i32LtS,
  OP.i32LtU,
  OP.i32GtS,
  OP.i32GtU,
  OP.i32LeS,
  OP.i32LeU,
  OP.i32GeS,
  OP.i32GeU,
]);
/** i32 opcode -> i64 opcode where the format has them at a constant distance. */
function wide(op: number): number {
  return op >= OP.i32Eqz && op <= OP.i32GeU ? op + 11 : op + (OP.i64Clz - OP.i32Clz);
}

/** A constant result, or null. */
function fold(op: number, a: number, b: number): number | null {
  switch (op) {
    case OP.i32Add:
      return (a + b) | 0;
    case OP.i32Sub:
      return (a - b) | 0;
    case OP.i32And:
      return a & b;
    case OP.i32Or:
      return a | b;
    case OP.i32Xor:
      return a ^ b;
    case OP.i32Shl:
      return a << b;
    case OP.i32ShrU:
      return (a >>> b) | 0;
    default:
      return null;
  }
}

export type Statement = () => void;

/** Builds one straight piece of code; `finish` emits it. */
export class Graph {
  protected readonly w: FunctionWriter;
  protected readonly scratch: ScratchLocals;
  protected statements: Statement[] = [];
  protected open: Node[] = [];
  protected depth = 0;
  protected held: Node[] = [];
  /** The address 0: everything of the engine stands at constant offsets. */
  protected readonly base: Node;

  constructor(writer: FunctionWriter, scratch: ScratchLocals) {
    this.w = writer;
    this.scratch = scratch;
    this.base = new Node(CONST, I32, null, null, null, 0, 0);
  }

  protected localNode(index: number, type: number): Node {
    return new Node(LOCAL, type, null, null, null, index, 0);
  }
  protected node(op: number, type: number, a: Node | null, b: Node | null, c: Node | null, imm = 0, alias = 0): Node {
    const made = new Node(op, type, a, b, c, imm, alias);
    this.open.push(made);
    return made;
  }
  const(n: number): Node {
    return new Node(CONST, I32, null, null, null, n | 0, 0);
  }
  protected const64(n: number): Node {
    return new Node(CONST, I64, null, null, null, n, 0);
  }
  protected bin(op: number, left: Node, right: Node): Node {
    let a = left;
    let b = right;
    const type = a.type === I64 || b.type === I64 ? I64 : I32;
    if (type === I64) {
      if (a.type === I32) a = a.op === CONST ? this.const64(a.imm) : this.wideU(a);
      if (b.type === I32) b = b.op === CONST ? this.const64(b.imm) : this.wideU(b);
    }
    if (a.op === CONST && b.op === CONST && type === I32) {
      const folded = fold(op, a.imm, b.imm);
      if (folded !== null) return this.const(folded);
    }
    const isComparison = COMPARISONS.has(op);
    return this.node(type === I64 ? wide(op) : op, isComparison ? I32 : type, a, b, null);
  }
  protected un(op: number, a: Node): Node {
    const isComparison = COMPARISONS.has(op);
    return this.node(a.type === I64 ? wide(op) : op, isComparison ? I32 : a.type, a, null, null);
  }
  protected operand(bits: Node | number): Node {
    return typeof bits === 'number' ? this.const(bits) : bits;
  }
  add(a: Node, b: Node): Node {
    if (a.op === CONST && b.op === CONST && a.type === I32 && b.type === I32) return this.const(a.imm + b.imm);
    return b.op === CONST && b.imm === 0 ? a : this.bin(OP.i32Add, a, b);
  }
  sub(a: Node, b: Node): Node {
    return this.bin(OP.i32Sub, a, b);
  }
  mul(a: Node, b: Node): Node {
    return this.bin(OP.i32Mul, a, b);
  }
  and(a: Node, b: Node): Node {
    return this.bin(OP.i32And, a, b);
  }
  or(a: Node, b: Node): Node {
    return this.bin(OP.i32Or, a, b);
  }
  xor(a: Node, b: Node): Node {
    return this.bin(OP.i32Xor, a, b);
  }
  not(a: Node): Node {
    return this.bin(OP.i32Xor, a, this.const(-1));
  }
  shl(a: Node, bits: Node | number): Node {
    return bits === 0 ? a : this.bin(OP.i32Shl, a, this.operand(bits));
  }
  shrU(a: Node, bits: Node | number): Node {
    return bits === 0 ? a : this.bin(OP.i32ShrU, a, this.operand(bits));
  }
  shrS(a: Node, bits: Node | number): Node {
    return bits === 0 ? a : this.bin(OP.i32ShrS, a, this.operand(bits));
  }
  rotl(a: Node, bits: Node | number): Node {
    return this.bin(OP.i32Rotl, a, this.operand(bits));
  }
  rotr(a: Node, bits: Node | number): Node {
    return this.bin(OP.i32Rotr, a, this.operand(bits));
  }
  divU(a: Node, b: Node): Node {
    return this.bin(OP.i32DivU, a, b);
  }
  divS(a: Node, b: Node): Node {
    return this.bin(OP.i32DivS, a, b);
  }
  remU(a: Node, b: Node): Node {
    return this.bin(OP.i32RemU, a, b);
  }
  remS(a: Node, b: Node): Node {
    return this.bin(OP.i32RemS, a, b);
  }
  clz(a: Node): Node {
    return this.un(OP.i32Clz, a);
  }
  ctz(a: Node): Node {
    return this.un(OP.i32Ctz, a);
  }
  popcnt(a: Node): Node {
    return this.un(OP.i32Popcnt, a);
  }
  eqz(a: Node): Node {
    if (a.op === CONST) return this.const(a.imm === 0 ? 1 : 0);
    return this.un(OP.i32Eqz, a);
  }
  eq(a: Node, b: Node): Node {
    return this.bin(OP.i32Eq, a, b);
  }
  ne(a: Node, b: Node): Node {
    return this.bin(OP.i32Ne, a, b);
  }
  ltU(a: Node, b: Node): Node {
    return this.bin(OP.i32LtU, a, b);
  }
  ltS(a: Node, b: Node): Node {
    return this.bin(OP.i32LtS, a, b);
  }
  gtU(a: Node, b: Node): Node {
    return this.bin(OP.i32GtU, a, b);
  }
  select(condition: Node, a: Node, b: Node): Node {
    return this.node(OP.select, a.type, a, b, this.truth(condition));
  }
  /** A condition of 64 bits as 32. */
  private truth(condition: Node): Node {
    return condition.type === I64 ? this.ne(condition, this.const64(0)) : condition;
  }
  signExtend(a: Node, width: Width): Node {
    if (a.type === I64) {
      if (width === 64) return a;
      return this.node(
        width === 8 ? OP.i64Extend8S : width === 16 ? OP.i64Extend16S : OP.i64Extend32S,
        I64,
        a,
        null,
        null,
      );
    }
    if (width >= 32) return a;
    if (a.op === CONST) return this.const(width === 8 ? (a.imm << 24) >> 24 : (a.imm << 16) >> 16);
    return this.node(width === 8 ? OP.i32Extend8S : OP.i32Extend16S, I32, a, null, null);
  }
  zeroExtend(a: Node, width: Width): Node {
    if (width === 32 && a.type === I64) return this.wideU(this.narrow(a));
    if (width >= 32) return a;
    return this.and(a, this.const(width === 8 ? 0xff : 0xffff));
  }
  wideU(a: Node): Node {
    if (a.type === I64) return a;
    return this.node(OP.i64ExtendI32U, I64, a, null, null);
  }
  wideS(a: Node): Node {
    if (a.type === I64) return a;
    return this.node(OP.i64ExtendI32S, I64, a, null, null);
  }
  narrow(a: Node): Node {
    if (a.type === I32) return a;
    if (a.op === CONST) return this.const(a.imm);
    return this.node(OP.i32WrapI64, I32, a, null, null);
  }

  simd(name: SimdName, ...args: Node[]): Node {
    const type = /any_true|all_true|bitmask/.test(name) ? I32 : V128;
    return this.node(SIMD[name], type, args[0] ?? null, args[1] ?? null, args[2] ?? null);
  }
  lane(name: SimdName, lane: number, ...args: Node[]): Node {
    const zeroLoad = /^i(32x4|64x2).replace/.test(name) && lane === 0 ? this.loadZero(args) : null;
    if (zeroLoad) return zeroLoad;
    const type = name.includes('replace')
      ? V128
      : name.startsWith('i')
        ? name.startsWith('i64')
          ? I64
          : I32
        : name.startsWith('f64')
          ? F64
          : F32;
    const made = this.node(SIMD[name], type, args[0] ?? null, args[1] ?? null, null);
    made.bytes = [lane];
    return made;
  }
  /** What was loaded from memory goes over zeros in one instruction. */
  private loadZero([vector, value]: Node[]): Node | null {
    if (vector?.op !== SIMD['v128.const'] || vector.bytes?.some((byte) => byte !== 0)) return null;
    if (!value?.a || value.uses > 0 || (value.op !== OP.i64Load && value.op !== OP.i32Load)) return null;
    value.a.uses--;
    const op = SIMD[value.op === OP.i64Load ? 'v128.load64_zero' : 'v128.load32_zero'];
    return this.loadAs(op, V128, value);
  }
  /** Another kind of load in the place of one that nobody uses. */
  private loadAs(op: number, type: number, { a, imm, alias, late }: Node): Node {
    const made = this.node(op, type, a, null, null, imm, alias);
    made.late = late;
    return made;
  }
  scalar(name: ScalarName, ...args: Node[]): Node {
    const a = args[0]!;
    // Bits that come from a vector or from memory need not pass through an integer.
    if (/reinterpret_i/.test(name) && a.uses === 0 && a.a) {
      const isWide = a.type === I64;
      const type = isWide ? F64 : F32;
      if (a.op === (isWide ? OP.i64Load : OP.i32Load)) {
        a.a.uses--;
        return this.loadAs(isWide ? OP.f64Load : OP.f32Load, type, a);
      }
      if (a.op === SIMD[isWide ? 'i64x2.extract_lane' : 'i32x4.extract_lane']) {
        a.a.uses--;
        return this.lane(isWide ? 'f64x2.extract_lane' : 'f32x4.extract_lane', a.bytes![0]!, a.a);
      }
    }
    const isComparison = /\.(eq|ne|lt|gt|le|ge)$/.test(name);
    const type =
      isComparison || name.startsWith('i32') ? I32 : name.startsWith('i64') ? I64 : name.startsWith('f64') ? F64 : F32;
    return this.node(SCALAR[name], type, a, args[1] ?? null, null);
  }
  float32(n: number): Node {
    return this.floatConstant(OP.f32Const, F32, new Uint8Array(Float32Array.of(n).buffer));
  }
  float64(n: number): Node {
    return this.floatConstant(OP.f64Const, F64, new Uint8Array(Float64Array.of(n).buffer));
  }
  private floatConstant(op: number, type: number, bytes: Uint8Array): Node {
    const made = this.node(op, type, null, null, null);
    made.bytes = [...bytes];
    return made;
  }
  known(a: Node): number | null {
    return a.op === CONST ? a.imm : null;
  }
  shuffle(a: Node, b: Node, bytes: readonly number[]): Node {
    const made = this.node(SIMD['i8x16.shuffle'], V128, a, b, null);
    made.bytes = bytes;
    return made;
  }
  vector(bytes: readonly number[]): Node {
    const made = this.node(SIMD['v128.const'], V128, null, null, null);
    made.bytes = bytes;
    return made;
  }
  /** A load from the record, the state or guest memory. */
  load(op: number, address: Node, offset: number, alias: number): Node {
    const isWide = op === OP.i64Load || (op >= OP.i64Load8S && op <= OP.i64Load32U);
    return this.node(op, isWide ? I64 : op === LOAD_U[128] ? V128 : I32, address, null, null, offset, alias);
  }
  // -- statements ----------------------------------------------------------------------------------------------------

  /** Pending loads that a coming effect could change, and (all = true) everything that is pending. */
  protected settle(alias: number, all = false, stored: Node | null = null): void {
    for (let i = this.open.length - 1; i >= 0; i--) {
      const node = this.open[i]!;
      if (node === stored && node.uses === 1 && !all) continue; // read by the very statement
      if (all || node.alias & alias) {
        this.statements.push(() => this.materialize(node));
        if (!all) this.open.splice(i, 1);
      }
    }
    if (all) this.open = [];
  }
  protected materialize(node: Node): void {
    if (node.local >= 0 || node.emitted >= node.uses) return;
    this.value(node, true);
    node.local = this.scratch.take(node.type);
    this.w.set(node.local);
  }
  /** Emits one use of a node. */
  protected value(node: Node, isRehearsal = false): void {
    const { w } = this;
    if (node.op === CONST) {
      if (node.type === I64) w.i64(node.imm);
      else w.i32(node.imm);
      return;
    }
    if (node.op === LOCAL) {
      w.get(node.imm);
      return;
    }
    if (!isRehearsal) node.emitted++;
    if (node.local >= 0) {
      w.get(node.local);
      if (node.emitted >= node.uses) this.release(node);
      return;
    }
    if (node.op === VARIABLE) {
      w.get(node.imm);
      return;
    }
    if (node.a) this.value(node.a);
    if (node.b) this.value(node.b);
    if (node.c) this.value(node.c);
    if ((node.op >= OP.i32Load && node.op <= OP.i64Load32U) || VECTOR_LOADS.has(node.op))
      w.memory(node.op, node.imm + (node.late?.() ?? 0));
    else w.op(node.op);
    if (node.bytes) for (const byte of node.bytes) w.code.byte(byte);
    if (!isRehearsal && node.uses > node.emitted) {
      node.local = this.scratch.take(node.type);
      w.tee(node.local);
    }
  }
  protected release(node: Node): void {
    // Only at the end of the handler: a local freed inside a conditional must not be reused before it.
    this.held.push(node);
  }
  protected use(...nodes: (Node | null)[]): void {
    for (const node of nodes) if (node) node.uses++;
  }
  /** What a variable holds now. */
  protected variable(index: number, type: number, alias: number): Node {
    return this.node(VARIABLE, type, null, null, null, index, alias);
  }
  protected setVariable(index: number, value: Node, alias: number): void {
    this.use(value);
    this.settle(alias, false, value);
    this.statements.push(() => {
      this.value(value);
      this.w.set(index);
    });
  }
  /** `offset`: or what tells it when everything has been said. */
  protected storeTo(op: number, address: Node, offset: number | (() => number), value: Node, alias: number): void {
    this.use(address, value);
    this.settle(alias, false, value);
    this.statements.push(() => {
      this.value(address);
      this.value(value);
      this.w.memory(op, typeof offset === 'number' ? offset : offset());
    });
  }
  /** A node whose local a statement sets. */
  protected resultNode(type: number): Node {
    const node = new Node(OP.drop, type, null, null, null, 0, 0);
    return node;
  }
  protected bindResult(node: Node): void {
    node.local = this.scratch.take(node.type);
    this.w.set(node.local);
    if (node.uses === 0) this.release(node);
  }

  when(given: Node, then: () => void, otherwise?: () => void, isLikely?: boolean): void {
    const condition = this.truth(given);
    this.use(condition);
    this.settle(ALIAS.all, true);
    const outer = this.statements;
    const collect = (body: () => void) => {
      this.statements = [];
      this.open = [];
      body();
      return this.statements;
    };
    const yes = collect(then);
    const no = otherwise ? collect(otherwise) : null;
    this.statements = outer;
    this.open = [];
    outer.push(() => {
      this.value(condition);
      this.w.block(OP.if, VOID, isLikely);
      this.depth++;
      for (const statement of yes) statement();
      if (no) {
        this.w.op(OP.else);
        for (const statement of no) statement();
      }
      this.depth--;
      this.w.end();
    });
  }
  /** Puts a value that both arms of a conditional use into a local before it. */
  protected prepare(node: Node): void {
    if (node.op >= 0 && node.local < 0) this.materialize(node);
  }
  /** The local of a prepared node. */
  protected offsetLocal(node: Node): number {
    return node.local < 0 ? node.imm : node.local;
  }
  /** Emits everything said so far. */
  protected emitAll(): void {
    for (const statement of this.statements) statement();
    for (const node of this.held) this.scratch.give(node.type, node.local);
    this.statements = [];
    this.held = [];
    this.open = [];
  }
  protected callImport(index: number, args: Node[], hasResult: boolean): Node {
    this.use(...args);
    this.settle(ALIAS.all);
    const result = this.resultNode(I32);
    this.statements.push(() => {
      for (const arg of args) this.value(arg);
      this.w.call(index);
      if (!hasResult) return;
      if (result.uses === 0) this.w.op(OP.drop);
      else this.bindResult(result);
    });
    return result;
  }
  /** Import indices by the names of core/accel/tcg/helpers.ts; set by the generator. */
}
