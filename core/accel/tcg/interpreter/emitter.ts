/** Turns what an instruction's definition says into WebAssembly. A value is a node of an expression graph; effects are
 *  statements. A node that is used once is emitted in place, one that is used more often lives in a local. Where operands
 *  come from is decided by the `OperandSource`: predecoded records for the interpreter (a JIT gives locals). */

import type { FlagName, Form, Operand, Ops, Width } from '../../../target/x86/semantics/ops.ts';
import { CS, FIELDS, SEGMENT, SS, type StateField } from '../../../target/x86/state.ts';
import { I32, I64, OP, V128, VOID } from '../../../wasm/opcodes.ts';
import { SIMD, type SimdName } from '../../../wasm/simd.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { RECORD, TLB } from './layout.ts';

/** What a load may alias with. */
const ALIAS = { none: 0, register: 1, field: 2, guest: 4, all: 7 } as const;

const CONST = -1;
const LOCAL = -2;

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

/** Function indices of what the engine imports into every module. */
export interface EngineImports {
  readonly slowRead: number;
  readonly slowUpdate: number;
  readonly slowWrite: number;
  readonly commitUpdate: number;
  readonly segmentCheck: number;
  readonly helper: number;
  readonly system: number;
  readonly lookup: number;
}
/** Absolute addresses in linear memory. */
export interface EngineLayout {
  readonly state: number;
  readonly jumpCache: number;
}

/** How a handler continues: in the big loop or as a function of its own. */
export interface Frame {
  readonly writer: FunctionWriter;
  readonly ip: number;
  readonly ea: number;
  /** Local that holds the TLB bank, or -1: read the field. */
  readonly tlb: number;
  /** Enclosing blocks between a handler's top level and the loop, or -1 for a function of its own. */
  loopDepth: number;
  readonly scratch: ScratchLocals;
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

const LOAD_U: Record<Width, number> = {
  8: OP.i32Load8U,
  16: OP.i32Load16U,
  32: OP.i32Load,
  64: OP.i64Load,
  128: SIMD['v128.load'],
};
const STORE: Record<Width, number> = {
  8: OP.i32Store8,
  16: OP.i32Store16,
  32: OP.i32Store,
  64: OP.i64Store,
  128: SIMD['v128.store'],
};
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

type Statement = () => void;

export class Emitter implements Ops<Node> {
  form: Form = { opSize: 32, addrSize: 32, rep: 0, flatStack: true };
  private readonly frame: Frame;
  private readonly imports: EngineImports;
  private readonly layout: EngineLayout;
  private readonly w: FunctionWriter;
  private statements: Statement[] = [];
  private open: Node[] = [];
  private depth = 0;
  private isEnded = false;
  /** True while the definition is of an instruction that ends its block as `system`. */
  isSystem = false;
  readonly ip: Node;
  readonly ea: Node;
  private readonly base: Node;

  constructor(frame: Frame, imports: EngineImports, layout: EngineLayout) {
    this.frame = frame;
    this.imports = imports;
    this.layout = layout;
    this.w = frame.writer;
    this.ip = this.localNode(frame.ip, I32);
    this.ea = this.localNode(frame.ea, I32);
    this.base = new Node(CONST, I32, null, null, null, 0, 0);
  }

  // -- nodes ---------------------------------------------------------------------------------------------------------

  private localNode(index: number, type: number): Node {
    return new Node(LOCAL, type, null, null, null, index, 0);
  }
  private node(op: number, type: number, a: Node | null, b: Node | null, c: Node | null, imm = 0, alias = 0): Node {
    const made = new Node(op, type, a, b, c, imm, alias);
    this.open.push(made);
    return made;
  }
  const(n: number): Node {
    return new Node(CONST, I32, null, null, null, n | 0, 0);
  }
  private const64(n: number): Node {
    return new Node(CONST, I64, null, null, null, n, 0);
  }
  private bin(op: number, left: Node, right: Node): Node {
    let a = left;
    let b = right;
    const type = a.type === I64 || b.type === I64 ? I64 : I32;
    if (type === I64) {
      if (a.type === I32) a = a.op === CONST ? this.const64(a.imm) : this.wideU(a);
      if (b.type === I32) b = b.op === CONST ? this.const64(b.imm) : this.wideU(b);
    }
    const isComparison = COMPARISONS.has(op);
    return this.node(type === I64 ? wide(op) : op, isComparison ? I32 : type, a, b, null);
  }
  private un(op: number, a: Node): Node {
    const isComparison = COMPARISONS.has(op);
    return this.node(a.type === I64 ? wide(op) : op, isComparison ? I32 : a.type, a, null, null);
  }
  private operand(bits: Node | number): Node {
    return typeof bits === 'number' ? this.const(bits) : bits;
  }
  add(a: Node, b: Node): Node {
    if (a.op === CONST && b.op === CONST) return this.const(a.imm + b.imm);
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
    return this.node(OP.select, a.type, a, b, condition);
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
    return this.node(width === 8 ? OP.i32Extend8S : OP.i32Extend16S, I32, a, null, null);
  }
  zeroExtend(a: Node, width: Width): Node {
    if (width >= 32) return a;
    return this.and(a, this.const(width === 8 ? 0xff : 0xffff));
  }
  wideU(a: Node): Node {
    return this.node(OP.i64ExtendI32U, I64, a, null, null);
  }
  wideS(a: Node): Node {
    return this.node(OP.i64ExtendI32S, I64, a, null, null);
  }
  narrow(a: Node): Node {
    return this.node(OP.i32WrapI64, I32, a, null, null);
  }

  simd(name: SimdName, ...args: Node[]): Node {
    const type = /any_true|all_true|bitmask/.test(name) ? I32 : V128;
    return this.node(SIMD[name], type, args[0] ?? null, args[1] ?? null, args[2] ?? null);
  }
  lane(name: SimdName, lane: number, ...args: Node[]): Node {
    const type = name.includes('replace') ? V128 : name.startsWith('i64') ? I64 : I32;
    const made = this.node(SIMD[name], type, args[0] ?? null, args[1] ?? null, null);
    made.bytes = [lane];
    return made;
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
  xmm(index: number): Operand<Node> {
    return this.registerOperand(128, FIELDS.xmm.offset + index * 64);
  }
  callVector(helper: string, code: Node, a: Node, b: Node): Node {
    const at = (name: 'vectorA' | 'vectorB') => this.layout.state + FIELDS[name].offset;
    this.storeTo(STORE[128], this.base, at('vectorA'), a, ALIAS.field);
    this.storeTo(STORE[128], this.base, at('vectorB'), b, ALIAS.field);
    this.call(helper, code);
    return this.load(LOAD_U[128], this.base, at('vectorA'), ALIAS.field);
  }

  /** A load from the record, the state or guest memory. */
  load(op: number, address: Node, offset: number, alias: number): Node {
    return this.node(op, op === OP.i64Load ? I64 : op === LOAD_U[128] ? V128 : I32, address, null, null, offset, alias);
  }
  recordField(op: number, offset: number): Node {
    return this.load(op, this.ip, offset, ALIAS.none);
  }

  // -- statements ----------------------------------------------------------------------------------------------------

  /** Pending loads that a coming effect could change, and (all = true) everything that is pending. */
  private settle(alias: number, all = false, stored: Node | null = null): void {
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
  private materialize(node: Node): void {
    if (node.local >= 0 || node.emitted >= node.uses) return;
    this.value(node, true);
    node.local = this.frame.scratch.take(node.type);
    this.w.set(node.local);
  }
  /** Emits one use of a node. */
  private value(node: Node, isRehearsal = false): void {
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
    if (node.a) this.value(node.a);
    if (node.b) this.value(node.b);
    if (node.c) this.value(node.c);
    if ((node.op >= OP.i32Load && node.op <= OP.i64Load32U) || node.op === LOAD_U[128]) w.memory(node.op, node.imm);
    else w.op(node.op);
    if (node.bytes) for (const byte of node.bytes) w.code.byte(byte);
    if (!isRehearsal && node.uses > node.emitted) {
      node.local = this.frame.scratch.take(node.type);
      w.tee(node.local);
    }
  }
  private held: Node[] = [];
  private release(node: Node): void {
    // Only at the end of the handler: a local freed inside a conditional must not be reused before it.
    this.held.push(node);
  }
  private use(...nodes: (Node | null)[]): void {
    for (const node of nodes) if (node) node.uses++;
  }
  private storeTo(op: number, address: Node, offset: number, value: Node, alias: number): void {
    this.use(address, value);
    this.settle(alias, false, value);
    this.statements.push(() => {
      this.value(address);
      this.value(value);
      this.w.memory(op, offset);
    });
  }
  /** A node whose local a statement sets. */
  private resultNode(type: number): Node {
    const node = new Node(OP.drop, type, null, null, null, 0, 0);
    return node;
  }
  private bindResult(node: Node): void {
    node.local = this.frame.scratch.take(node.type);
    this.w.set(node.local);
    if (node.uses === 0) this.release(node);
  }

  when(condition: Node, then: () => void, otherwise?: () => void): void {
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
      this.w.block(OP.if, VOID);
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

  /** Emits everything said so far and continues with the next record unless control flow was said. */
  finish(): void {
    if (!this.isEnded) this.continueAt(this.add(this.ip, this.const(RECORD.bytes)));
    for (const statement of this.statements) statement();
    for (const node of this.held) this.frame.scratch.give(node.type, node.local);
  }
  /** Goes on with the record at `ip`. */
  continueAt(ip: Node): void {
    this.isEnded = true;
    this.use(ip);
    this.statements.push(() => {
      this.value(ip);
      if (this.frame.loopDepth < 0) this.w.op(OP.return);
      else {
        this.w.set(this.frame.ip);
        this.w.br(OP.br, this.frame.loopDepth + this.depth);
      }
    });
  }
  /** Leaves WebAssembly; RIP says where to go on. */
  private leave(): void {
    this.statements.push(() => {
      if (this.frame.loopDepth < 0) this.w.i32(0);
      this.w.op(OP.return);
    });
  }
  setEa(value: Node): void {
    this.use(value);
    this.statements.push(() => {
      this.value(value);
      this.w.set(this.frame.ea);
    });
  }
  private callImport(index: number, args: Node[], hasResult: boolean): Node {
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
  static helperIndex: (name: string) => number = () => 0;
  call(helper: string, ...args: Node[]): Node {
    const id = this.const(Emitter.helperIndex(helper));
    const zero = this.const(0);
    const index = this.isSystem ? this.imports.system : this.imports.helper;
    return this.callImport(index, [id, this.ip, args[0] ?? zero, args[1] ?? zero, args[2] ?? zero], true);
  }
  /** The helper has moved RIP to the instruction itself when it returns 1: it is not finished. */
  repeat(helper: string, a: Node, b: Node): void {
    const isPartial = this.call(helper, a, b);
    this.use(isPartial);
    this.statements.push(() => {
      this.value(isPartial);
      this.w.block(OP.if, VOID, false);
      if (this.frame.loopDepth < 0) this.w.i32(0);
      this.w.op(OP.return);
      this.w.end();
    });
  }
  raise(vector: number): void {
    this.call('raise', this.const(vector));
  }

  // -- guest memory --------------------------------------------------------------------------------------------------

  /** Address in linear memory of `bytes` guest bytes, through the TLB; slow path on a miss. */
  private translate(ea: Node, bytes: number, right: number, slow: number): Node {
    this.use(ea, ea, ea, ea);
    this.settle(ALIAS.guest);
    const pointer = this.resultNode(I32);
    this.statements.push(() => {
      const { w } = this;
      const entry = this.frame.scratch.take(I32);
      this.tlbCheck(ea, bytes, right, entry);
      w.block(OP.if, I32, false);
      this.value(ea);
      w.get(this.frame.ip);
      w.i32(bytes);
      w.call(slow);
      w.op(OP.else);
      this.value(ea);
      w.get(entry);
      w.memory(OP.i32Load, TLB.addend);
      w.op(OP.i32Add);
      w.end();
      this.frame.scratch.give(I32, entry);
      this.bindResult(pointer);
    });
    return pointer;
  }
  /** Leaves 1 on the stack when the TLB does not allow the access; two uses of `ea`. */
  private tlbCheck(ea: Node, bytes: number, right: number, entry: number): void {
    const { w } = this;
    this.value(ea);
    w.i32(TLB.indexShift);
    w.op(OP.i32ShrU);
    w.i32(TLB.indexMask);
    w.op(OP.i32And);
    if (this.frame.tlb >= 0) w.get(this.frame.tlb);
    else {
      w.i32(0);
      w.memory(OP.i32Load, this.layout.state + FIELDS.tlbBase.offset);
    }
    w.op(OP.i32Add);
    w.tee(entry);
    w.memory(OP.i32Load, right);
    this.value(ea);
    if (bytes > 1) {
      w.i32(bytes - 1);
      w.op(OP.i32Add);
    }
    w.i32(-4096);
    w.op(OP.i32And);
    w.op(OP.i32Ne);
  }
  private guestLoad(ea: Node, width: Width): Node {
    const pointer = this.translate(ea, width / 8, TLB.read, this.imports.slowRead);
    return this.load(LOAD_U[width], pointer, 0, ALIAS.guest);
  }
  private guestStore(ea: Node, value: Node, width: Width): void {
    this.use(ea, ea, ea, ea, value, value);
    this.settle(ALIAS.guest);
    this.statements.push(() => {
      const { w } = this;
      const entry = this.frame.scratch.take(I32);
      this.prepare(value);
      this.tlbCheck(ea, width / 8, TLB.write, entry);
      w.block(OP.if, VOID, false);
      if (width > 32) {
        w.i32(0);
        this.value(value);
        w.memory(STORE[width], this.layout.state + FIELDS.scratch.offset);
        w.i32(Emitter.helperIndex('storeScratch'));
        w.get(this.frame.ip);
        this.value(ea);
        w.i32(width / 8);
        w.i32(0);
        w.call(this.imports.helper);
        w.op(OP.drop);
      } else {
        this.value(ea);
        this.value(value);
        w.i32(width / 8);
        w.get(this.frame.ip);
        w.call(this.imports.slowWrite);
      }
      w.op(OP.else);
      this.value(ea);
      w.get(entry);
      w.memory(OP.i32Load, TLB.addend);
      w.op(OP.i32Add);
      this.value(value);
      w.memory(STORE[width], 0);
      w.end();
      this.frame.scratch.give(I32, entry);
    });
  }
  /** Puts a value that both arms of a conditional use into a local before it. */
  private prepare(node: Node): void {
    if (node.op !== CONST && node.op !== LOCAL && node.local < 0) this.materialize(node);
  }

  /** Memory at a linear address. */
  linearOperand(kind: 'm' | 'f' | 'g', width: Width, address: () => Node): Operand<Node> {
    let ea: Node | null = null;
    const at = () => {
      ea ??= address();
      return ea;
    };
    let pointer: Node | null = null;
    return {
      kind,
      width,
      load: () => this.guestLoad(at(), width),
      modify: () => {
        pointer = this.translate(at(), width / 8, TLB.write, this.imports.slowUpdate);
        return this.load(LOAD_U[width], pointer, 0, ALIAS.guest);
      },
      store: (value) => {
        if (!pointer) return this.guestStore(at(), value, width);
        this.storeTo(STORE[width], pointer, 0, value, ALIAS.guest);
        this.commitScratch(pointer);
      },
      address: at,
    };
  }
  /** After the last store to a modified operand: writes it back if it was not plain RAM. */
  private commitScratch(pointer: Node): void {
    this.use(pointer);
    this.statements.push(() => {
      const { w } = this;
      this.value(pointer);
      w.i32(this.layout.state + FIELDS.scratch.offset);
      w.op(OP.i32Eq);
      w.block(OP.if, VOID, false);
      w.get(this.frame.ip);
      w.call(this.imports.commitUpdate);
      w.end();
    });
  }
  /** A register through a pointer (relative to the state block) or at a constant offset. */
  registerOperand(width: Width, pointer: Node | number): Operand<Node> {
    const address = typeof pointer === 'number' ? this.base : pointer;
    const offset = this.layout.state + (typeof pointer === 'number' ? pointer : 0);
    const load = () => this.load(LOAD_U[width], address, offset, ALIAS.register);
    return {
      kind: 'r',
      width,
      load,
      modify: load,
      store: (value) => this.storeTo(STORE[width], address, offset, value, ALIAS.register),
      address: () => {
        throw new Error('a register has no address');
      },
    };
  }
  immediateOperand(width: Width, offset: number): Operand<Node> {
    const refuse = () => {
      throw new Error('an immediate cannot be written');
    };
    const load = () => this.recordField(OP.i32Load, offset);
    return { kind: 'i', width, load, modify: refuse, store: refuse, address: refuse };
  }

  reg(index: number, width: Width): Operand<Node> {
    const at = FIELDS.gpr.offset + (width === 8 ? (index & 3) * 8 + (index >>> 2) : index * 8);
    return this.registerOperand(width, at);
  }
  private segmentField(segment: number | Node, word: number): Node {
    if (typeof segment === 'number')
      return this.load(
        OP.i32Load,
        this.base,
        this.layout.state + FIELDS.segments.offset + segment * FIELDS.segments.stride + word,
        ALIAS.field,
      );
    const at = this.mul(segment, this.const(FIELDS.segments.stride));
    return this.load(OP.i32Load, at, this.layout.state + FIELDS.segments.offset + word, ALIAS.field);
  }
  /** Linear address of an offset in a segment, limit and rights checked. */
  private linear(segment: number | Node, offset: Node, bytes: number, isWrite: boolean): Node {
    const end = this.segmentField(segment, isWrite ? SEGMENT.writeEnd : SEGMENT.readEnd);
    const base = this.segmentField(segment, SEGMENT.base);
    const index = typeof segment === 'number' ? this.const(segment) : segment;
    this.use(offset, offset, offset, end, base, index);
    const result = this.resultNode(I32);
    this.statements.push(() => {
      const { w } = this;
      this.prepare(offset);
      this.prepare(index);
      this.value(offset);
      this.value(end);
      w.op(OP.i32GeU);
      w.block(OP.if, VOID, false);
      this.value(index);
      this.value(offset);
      w.i32(bytes | (isWrite ? 0x100 : 0));
      w.get(this.frame.ip);
      w.call(this.imports.segmentCheck);
      w.end();
      this.value(offset);
      this.value(base);
      w.op(OP.i32Add);
      this.bindResult(result);
    });
    return result;
  }
  /** Effective-address record in a segment that needs a check: pointers come from the record. */
  checkedEa(offset: Node): Node {
    const segment = this.recordField(OP.i32Load16U, RECORD.imm2);
    const endField = this.recordField(OP.i32Load16U, RECORD.imm2 + 2);
    const end = this.load(OP.i32Load, endField, this.layout.state, ALIAS.field);
    const base = this.load(OP.i32Load, segment, this.layout.state + SEGMENT.base, ALIAS.field);
    this.use(offset, offset, end, base);
    const result = this.resultNode(I32);
    this.statements.push(() => {
      const { w } = this;
      this.prepare(offset);
      this.value(offset);
      this.value(end);
      w.op(OP.i32GeU);
      w.block(OP.if, VOID, false);
      w.i32(-1);
      w.get(this.offsetLocal(offset));
      w.i32(0);
      w.get(this.frame.ip);
      w.call(this.imports.segmentCheck);
      w.end();
      this.value(offset);
      this.value(base);
      w.op(OP.i32Add);
      this.bindResult(result);
    });
    return result;
  }
  private offsetLocal(node: Node): number {
    return node.op === LOCAL ? node.imm : node.local;
  }
  memory(segment: number | Node, offset: Node, width: Width): Operand<Node> {
    let written: Node | null = null;
    const inner = this.linearOperand('m', width, () => this.linear(segment, offset, width / 8, true));
    return {
      kind: 'm',
      width,
      load: () => this.guestLoad(this.linear(segment, offset, width / 8, false), width),
      modify: inner.modify,
      store: inner.store,
      address: () => {
        written ??= this.linear(segment, offset, width / 8, true);
        return written;
      },
    };
  }
  memoryFlat(linear: Node, width: Width): Operand<Node> {
    return this.linearOperand('m', width, () => linear);
  }
  selector(index: Node): Node {
    return this.segmentField(index, SEGMENT.selector);
  }
  private declared(name: string): StateField {
    const found = (FIELDS as Record<string, StateField>)[name];
    if (!found) throw new Error(`no state field ${name}`);
    return found;
  }
  field(name: string): Node {
    return this.load(OP.i32Load, this.base, this.layout.state + this.declared(name).offset, ALIAS.field);
  }
  setField(name: string, value: Node): void {
    this.storeTo(OP.i32Store, this.base, this.layout.state + this.declared(name).offset, value, ALIAS.field);
  }

  // -- flags ---------------------------------------------------------------------------------------------------------

  private get result(): Node {
    return this.field('flagResult');
  }
  private get aux(): Node {
    return this.field('flagAux');
  }
  flag(name: FlagName): Node {
    switch (name) {
      case 'C':
        return this.shrU(this.aux, 31);
      case 'Z':
        return this.eqz(this.result);
      case 'S':
        return this.shrU(this.signWord(), 31);
      case 'O':
        return this.shrU(this.overflowWord(this.aux), 31);
      case 'A':
        return this.and(this.shrU(this.aux, 3), this.const(1));
      case 'P': {
        const byte = this.and(this.xor(this.result, this.shrU(this.aux, 8)), this.const(0xff));
        return this.xor(this.and(this.popcnt(byte), this.const(1)), this.const(1));
      }
    }
  }
  private signWord(): Node {
    return this.xor(this.result, this.shl(this.aux, 31));
  }
  private overflowWord(aux: Node): Node {
    return this.xor(aux, this.shl(aux, 1));
  }
  private lessWord(): Node {
    const { aux } = this;
    return this.xor(this.xor(this.result, this.shl(aux, 31)), this.overflowWord(aux));
  }
  condition(code: number): Node {
    const negative = (word: Node) => this.ltS(word, this.const(0));
    let holds: Node;
    switch (code >> 1) {
      case 0:
        holds = negative(this.overflowWord(this.aux));
        break;
      case 1:
        holds = negative(this.aux);
        break;
      case 2:
        return code & 1 ? this.ne(this.result, this.const(0)) : this.eqz(this.result);
      case 3:
        holds = this.or(negative(this.aux), this.eqz(this.result));
        break;
      case 4:
        holds = negative(this.signWord());
        break;
      case 5:
        holds = this.flag('P');
        break;
      case 6:
        holds = negative(this.lessWord());
        break;
      default:
        holds = this.or(negative(this.lessWord()), this.eqz(this.result));
    }
    return code & 1 ? this.eqz(holds) : holds;
  }
  private auxFrom(carries: Node, width: Width): Node {
    if (width === 64)
      return this.or(
        this.and(this.narrow(this.shrU(carries, 32)), this.const(0xc000_0000)),
        this.and(this.narrow(carries), this.const(8)),
      );
    if (width === 32) return this.and(carries, this.const(0xc000_0008));
    return this.or(this.and(this.shl(carries, 32 - width), this.const(0xc000_0000)), this.and(carries, this.const(8)));
  }
  private commitResult(result: Node, width: Width): void {
    const extended = this.signExtend(result, width);
    this.storeTo(
      extended.type === I64 ? OP.i64Store : OP.i32Store,
      this.base,
      this.layout.state + FIELDS.flagResult.offset,
      extended,
      ALIAS.field,
    );
  }
  commitFlags(result: Node, carries: Node, width: Width): void {
    const aux = this.auxFrom(carries, width);
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  commitLogicFlags(result: Node, width: Width): void {
    this.commitResult(result, width);
    this.setField('flagAux', this.const(0));
  }
  commitFlagsExceptCarry(result: Node, carries: Node, width: Width): void {
    const fresh = this.auxFrom(carries, width);
    const changed = this.and(this.xor(fresh, this.aux), this.const(0x8000_0000));
    const aux = this.xor(fresh, this.or(changed, this.shrU(changed, 1)));
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  private carryOverflow(carry: Node, overflow: Node): Node {
    return this.or(this.shl(carry, 31), this.shl(this.xor(carry, overflow), 30));
  }
  commitResultFlags(result: Node, width: Width, carry: Node, overflow: Node): void {
    const aux = this.carryOverflow(carry, overflow);
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  commitCarryOverflow(carry: Node, overflow: Node): void {
    this.setField('flagAux', this.or(this.and(this.aux, this.const(0x3fff_ffff)), this.carryOverflow(carry, overflow)));
  }
  setFlag(name: 'C' | 'Z', value: Node): void {
    if (name === 'Z') {
      this.call('setZero', value);
      return;
    }
    const { aux } = this;
    const changed = this.xor(this.shrU(aux, 31), value);
    this.setField('flagAux', this.xor(aux, this.mul(changed, this.const(0xc000_0000))));
  }

  // -- stack and control flow ----------------------------------------------------------------------------------------

  private stackOffset(offset: Node): Node {
    return this.form.flatStack ? offset : this.and(offset, this.field('stackMask'));
  }
  private setStackPointer(value: Node): void {
    const esp = this.reg(4, 32);
    if (this.form.flatStack) {
      esp.store(value);
      return;
    }
    const mask = this.field('stackMask');
    esp.store(this.or(this.and(esp.load(), this.not(mask)), this.and(value, mask)));
  }
  push(value: Node, width: Width): void {
    const top = this.stackOffset(this.sub(this.reg(4, 32).load(), this.const(width / 8)));
    if (this.form.flatStack) this.guestStore(top, value, width);
    else this.memory(SS, top, width).store(value);
    this.setStackPointer(top);
  }
  stackTop(width: Width, skip = 0): Node {
    const top = this.stackOffset(this.add(this.reg(4, 32).load(), this.const(skip)));
    return this.form.flatStack ? this.guestLoad(top, width) : this.memory(SS, top, width).load();
  }
  dropStack(bytes: number | Node): void {
    this.setStackPointer(this.add(this.reg(4, 32).load(), this.operand(bytes)));
  }

  private get rip(): Node {
    return this.field('rip');
  }
  private truncated(eip: Node): Node {
    return this.form.opSize === 16 ? this.and(eip, this.const(0xffff)) : eip;
  }
  nextEip(): Node {
    return this.truncated(this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.bytes + RECORD.pc)));
  }
  /** Pays for the instructions of the block; leaves when the budget is spent. RIP must be set. */
  private pay(): void {
    const count = this.add(this.recordField(OP.i32Load8U, RECORD.index), this.const(1));
    const left = this.sub(this.field('budget'), count);
    this.setField('budget', left);
    this.use(left);
    this.statements.push(() => {
      const { w } = this;
      this.value(left);
      w.i32(0);
      w.op(OP.i32LeS);
      w.block(OP.if, VOID, false);
      if (this.frame.loopDepth < 0) w.i32(0);
      w.op(OP.return);
      w.end();
    });
  }
  private goRelative(offset: number): void {
    this.setField('rip', this.truncated(this.add(this.rip, this.recordField(OP.i32Load, offset + RECORD.imm))));
    this.pay();
    this.continueAt(this.recordField(OP.i32Load, offset + RECORD.imm2));
  }
  jumpRelative(): void {
    this.goRelative(0);
  }
  /** The record that follows has the distance and the chain of the way straight on. */
  branchRelative(condition: Node): void {
    this.use(condition);
    const record = this.resultNode(I32);
    const { w } = this;
    this.statements.push(() => {
      w.get(this.frame.ip);
      w.get(this.frame.ip);
      w.i32(RECORD.bytes);
      w.op(OP.i32Add);
      this.value(condition);
      w.op(OP.select);
      this.bindResult(record);
    });
    const distance = this.load(OP.i32Load, record, RECORD.imm, ALIAS.none);
    this.setField('rip', this.truncated(this.add(this.rip, distance)));
    this.pay();
    this.continueAt(this.load(OP.i32Load, record, RECORD.imm2, ALIAS.none));
  }
  jump(target: Node): void {
    this.setField('rip', this.truncated(target));
    this.pay();
    this.findBlock();
  }
  /** Continues at the block of RIP: through the jump cache, else through the engine. */
  findBlock(): void {
    this.isEnded = true;
    const { w, layout } = this;
    const linear = this.add(this.rip, this.segmentField(CS, SEGMENT.base));
    this.use(linear, linear);
    this.statements.push(() => {
      const entry = this.frame.scratch.take(I32);
      this.prepare(linear);
      // entry = hash(linear)
      this.value(linear);
      w.get(this.offsetLocal(linear));
      w.i32(TLB.jumpHashShift);
      w.op(OP.i32ShrU);
      w.op(OP.i32Xor);
      w.i32(TLB.jumpMask);
      w.op(OP.i32And);
      w.i32(4);
      w.op(OP.i32Shl);
      w.tee(entry);
      w.memory(OP.i32Load, layout.jumpCache);
      this.value(linear);
      w.op(OP.i32Eq);
      w.get(entry);
      w.memory(OP.i32Load, layout.jumpCache + 4);
      w.i32(0);
      w.memory(OP.i32Load, layout.state + FIELDS.mode.offset);
      w.op(OP.i32Eq);
      w.op(OP.i32And);
      w.block(OP.if, I32, true);
      w.get(entry);
      w.memory(OP.i32Load, layout.jumpCache + 8);
      w.op(OP.else);
      w.call(this.imports.lookup);
      w.end();
      if (this.frame.loopDepth < 0) w.op(OP.return);
      else {
        w.tee(this.frame.ip);
        w.br(OP.brIf, this.frame.loopDepth + this.depth);
        w.op(OP.return);
      }
      this.frame.scratch.give(I32, entry);
    });
  }
  /** End of a block after a system instruction: the engine decides anew (mode, interrupts) if it said so. */
  endSystem(): void {
    this.pay();
    const attend = this.field('attend');
    this.when(attend, () => {
      const next = this.callImport(this.imports.lookup, [], true);
      this.use(next);
      this.statements.push(() => {
        const { w } = this;
        w.i32(0);
        w.memory(OP.i32Load, this.layout.state + FIELDS.tlbBase.offset);
        w.set(this.frame.tlb);
        this.value(next);
        w.tee(this.frame.ip);
        w.br(OP.brIf, this.frame.loopDepth + this.depth);
        w.op(OP.return);
      });
    });
    this.findBlock();
  }
  /** Stub behind a direct branch: the engine finds the target and patches the branch. */
  link(): void {
    this.isEnded = true;
    this.goOnWith(this.call('link'));
  }
  private askEngine(): void {
    this.isEnded = true;
    this.goOnWith(this.callImport(this.imports.lookup, [], true));
  }
  /** Continues at a record, or leaves when it is 0. */
  private goOnWith(next: Node): void {
    this.use(next);
    this.statements.push(() => {
      this.value(next);
      const { w } = this;
      if (this.frame.loopDepth < 0) w.op(OP.return);
      else {
        w.tee(this.frame.ip);
        w.br(OP.brIf, this.frame.loopDepth + this.depth);
        w.op(OP.return);
      }
    });
  }
  /** The instruction's block was dropped: RIP moves to this instruction and the engine finds its block afresh (the jump
   *  cache may still lead here). */
  resync(): void {
    this.setField('rip', this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.pc)));
    const count = this.recordField(OP.i32Load8U, RECORD.index);
    this.setField('budget', this.sub(this.field('budget'), count));
    this.askEngine();
  }
  /** For handlers that the generator writes by hand. */
  leaveNow(): void {
    this.isEnded = true;
    this.leave();
  }
}
