/** Functions written as typed expressions, for numeric code that is more than a few instructions: `a.add(b).shrU(3)` instead of
 *  a list of opcodes. An expression is emitted where it is used, each time anew: what is used twice, or must keep its value,
 *  goes into a local (`let`). Loads and calls happen where they are said. */
import { F64, I32, I64, OP, VOID } from './opcodes.ts';
import type { FunctionWriter, ModuleWriter } from './writer.ts';

export type Literal = number | bigint;
export type Operand = Value | Literal;

/** i32 opcode -> i64 opcode where the format has them at a constant distance. */
function wide(op: number): number {
  return op <= OP.i32GeU ? op + (OP.i64Eqz - OP.i32Eqz) : op + (OP.i64Clz - OP.i32Clz);
}

/** An expression of type i32, i64 or f64. */
export class Value {
  readonly type: number;
  readonly emit: (w: FunctionWriter) => void;
  constructor(type: number, emit: (w: FunctionWriter) => void) {
    this.type = type;
    this.emit = emit;
  }
  private coerce(operand: Operand): Value {
    if (operand instanceof Value) {
      if (operand.type !== this.type) throw new Error('operands of different types');
      return operand;
    }
    return constant(this.type, operand);
  }
  private binary(op: number, operand: Operand, isComparison = false): Value {
    const b = this.coerce(operand);
    const code = this.type === I64 ? wide(op) : this.type === F64 ? OP.f64Mul : op;
    if (this.type === F64 && op !== OP.i32Mul) throw new Error('not an operation of doubles');
    return new Value(isComparison ? I32 : this.type, (w) => {
      this.emit(w);
      b.emit(w);
      w.op(code);
    });
  }
  private unary(code: number, type: number): Value {
    return new Value(type, (w) => {
      this.emit(w);
      w.op(code);
    });
  }
  add(b: Operand): Value {
    return this.binary(OP.i32Add, b);
  }
  sub(b: Operand): Value {
    return this.binary(OP.i32Sub, b);
  }
  mul(b: Operand): Value {
    return this.binary(OP.i32Mul, b);
  }
  divU(b: Operand): Value {
    return this.binary(OP.i32DivU, b);
  }
  remU(b: Operand): Value {
    return this.binary(OP.i32RemU, b);
  }
  and(b: Operand): Value {
    return this.binary(OP.i32And, b);
  }
  or(b: Operand): Value {
    return this.binary(OP.i32Or, b);
  }
  xor(b: Operand): Value {
    return this.binary(OP.i32Xor, b);
  }
  /** Counts of shifts are taken modulo the width; a 32-bit count of a 64-bit value is widened. */
  shl(count: Operand): Value {
    return this.binary(OP.i32Shl, this.count(count));
  }
  shrU(count: Operand): Value {
    return this.binary(OP.i32ShrU, this.count(count));
  }
  shrS(count: Operand): Value {
    return this.binary(OP.i32ShrS, this.count(count));
  }
  private count(operand: Operand): Operand {
    return operand instanceof Value && operand.type === I32 && this.type === I64 ? operand.wideU() : operand;
  }
  eq(b: Operand): Value {
    return this.binary(OP.i32Eq, b, true);
  }
  ne(b: Operand): Value {
    return this.binary(OP.i32Ne, b, true);
  }
  ltU(b: Operand): Value {
    return this.binary(OP.i32LtU, b, true);
  }
  ltS(b: Operand): Value {
    return this.binary(OP.i32LtS, b, true);
  }
  gtU(b: Operand): Value {
    return this.binary(OP.i32GtU, b, true);
  }
  gtS(b: Operand): Value {
    return this.binary(OP.i32GtS, b, true);
  }
  leU(b: Operand): Value {
    return this.binary(OP.i32LeU, b, true);
  }
  geU(b: Operand): Value {
    return this.binary(OP.i32GeU, b, true);
  }
  geS(b: Operand): Value {
    return this.binary(OP.i32GeS, b, true);
  }
  eqz(): Value {
    return this.unary(this.type === I64 ? OP.i64Eqz : OP.i32Eqz, I32);
  }
  clz(): Value {
    return this.unary(this.type === I64 ? OP.i64Clz : OP.i32Clz, this.type);
  }
  ctz(): Value {
    return this.unary(this.type === I64 ? OP.i64Ctz : OP.i32Ctz, this.type);
  }
  neg(): Value {
    return constant(this.type, 0).sub(this);
  }
  not(): Value {
    return this.xor(-1);
  }
  /** This i32 value (a condition) chooses. */
  select(a: Value, b: Operand): Value {
    const other = a.coerce(b);
    return new Value(a.type, (w) => {
      a.emit(w);
      other.emit(w);
      this.emit(w);
      w.op(OP.select);
    });
  }
  /** i64 -> i32. */
  narrow(): Value {
    return this.unary(OP.i32WrapI64, I32);
  }
  /** i32 -> i64. */
  wideU(): Value {
    return this.unary(OP.i64ExtendI32U, I64);
  }
  wideS(): Value {
    return this.unary(OP.i64ExtendI32S, I64);
  }
  /** i64 -> f64, nearest; and back, saturating. */
  toDoubleU(): Value {
    return this.unary(OP.f64ConvertI64U, F64);
  }
  truncateU(): Value {
    return this.unary(OP.i64TruncSatF64U, I64);
  }
  squareRoot(): Value {
    return this.unary(OP.f64Sqrt, F64);
  }
}

export function constant(type: number, value: Literal): Value {
  if (type === I32) {
    const n = Number(value) | 0;
    return new Value(I32, (w) => w.i32(n));
  }
  if (typeof value === 'number') return new Value(I64, (w) => w.i64(value));
  const bits = BigInt.asIntN(64, value);
  return new Value(I64, (w) => {
    w.code.byte(OP.i64Const);
    let v = bits;
    while (v < -64n || v > 63n) {
      w.code.byte(Number(v & 0x7fn) | 0x80);
      v >>= 7n;
    }
    w.code.byte(Number(v & 0x7fn));
  });
}
export const i32 = (value: number) => constant(I32, value);
export const i64 = (value: Literal) => constant(I64, value);

/** A variable. */
export class Local extends Value {
  readonly index: number;
  private readonly w: FunctionWriter;
  constructor(w: FunctionWriter, type: number, index: number) {
    super(type, (writer) => writer.get(index));
    this.w = w;
    this.index = index;
  }
  set(value: Operand): void {
    const v = value instanceof Value ? value : constant(this.type, value);
    if (v.type !== this.type) throw new Error('a variable of another type');
    v.emit(this.w);
    this.w.set(this.index);
  }
}

/** A function of the module: what `Body.call` takes. */
export interface Callee {
  readonly index: number;
  readonly params: readonly number[];
  readonly result: number;
}

/** The body of one function while it is being written. */
export class Body {
  readonly w: FunctionWriter;
  private depth = 0;
  constructor(w: FunctionWriter) {
    this.w = w;
  }
  /** A new variable with this value. */
  let(value: Value): Local {
    const local = this.variable(value.type);
    local.set(value);
    return local;
  }
  variable(type: number): Local {
    return new Local(this.w, type, this.w.local(type));
  }
  if(condition: Value, then: () => void, otherwise?: () => void, likely?: boolean): void {
    condition.emit(this.w);
    this.w.block(OP.if, VOID, likely);
    this.depth++;
    then();
    if (otherwise) {
      this.w.op(OP.else);
      otherwise();
    }
    this.depth--;
    this.w.end();
  }
  /** Rarely true. */
  unlikely(condition: Value, then: () => void): void {
    this.if(condition, then, undefined, false);
  }
  /** `leave` goes to the end of the block. */
  block(body: (leave: () => void) => void): void {
    this.w.block(OP.block, VOID);
    const at = ++this.depth;
    body(() => this.w.br(OP.br, this.depth - at));
    this.depth--;
    this.w.end();
  }
  /** Runs `body` until it does not say `again`. */
  loop(body: (again: () => void) => void): void {
    this.w.block(OP.loop, VOID);
    const at = ++this.depth;
    body(() => this.w.br(OP.br, this.depth - at));
    this.depth--;
    this.w.end();
  }
  return(value?: Operand, type = I32): void {
    if (value !== undefined) (value instanceof Value ? value : constant(type, value)).emit(this.w);
    this.w.op(OP.return);
  }
  /** Behind a statement whose every way returns. */
  unreachable(): void {
    this.w.op(OP.unreachable);
  }
  /** The function's last value. */
  result(value: Value): void {
    value.emit(this.w);
  }
  load(op: number, address: Value, offset: number): Local {
    address.emit(this.w);
    this.w.memory(op, offset);
    const local = this.variable(op === OP.i64Load || (op >= OP.i64Load8U && op <= OP.i64Load32U) ? I64 : I32);
    this.w.set(local.index);
    return local;
  }
  store(op: number, address: Value, offset: number, value: Value): void {
    address.emit(this.w);
    value.emit(this.w);
    this.w.memory(op, offset);
  }
  /** The result in a variable; void functions give none. */
  call(f: Callee, ...args: Operand[]): Local {
    if (args.length !== f.params.length) throw new Error('wrong number of arguments');
    args.forEach((arg, i) => {
      const v = arg instanceof Value ? arg : constant(f.params[i]!, arg);
      if (v.type !== f.params[i]) throw new Error('an argument of another type');
      v.emit(this.w);
    });
    this.w.call(f.index);
    const local = this.variable(f.result === VOID ? I32 : f.result);
    if (f.result !== VOID) this.w.set(local.index);
    return local;
  }
}

/** Adds a function to a module; `name` exports it. */
export function defineFunction(
  module: ModuleWriter,
  params: readonly number[],
  result: number,
  write: (b: Body, ...params: Local[]) => void,
  name?: string,
): Callee {
  const w = module.function(params, result === VOID ? [] : [result]);
  write(new Body(w), ...params.map((type, i) => new Local(w, type, i)));
  if (name !== undefined) module.export(name, w);
  return { index: module.indexOf(w), params, result };
}
