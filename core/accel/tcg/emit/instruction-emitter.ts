/** The part of the instruction vocabulary that means the same wherever operands live: segments, the stack, reading flags. */
import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import type { FlagName, FlagSource, Form, Operand, Ops, Width } from '../../../target/x86/semantics/ops.ts';
import { CS, FIELDS, FS, SEGMENT, SS, type StateField } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, Graph, LOAD_U, type Node, type ScratchLocals, STORE } from './graph.ts';

/** Function indices of what the engine imports into every module. */
export interface EngineImports {
  readonly slowRead: number;
  readonly slowUpdate: number;
  readonly slowWrite: number;
  /** Writes what is in the scratch area. */
  readonly storeScratch: number;
  readonly commitUpdate: number;
  readonly segmentCheck: number;
  readonly helper: number;
  readonly system: number;
  readonly lookup: number;
  /** `lookup` behind a jump that the jump cache did not answer. */
  readonly seek: number;
  readonly hot: number;
  /** Those native functions that the module's instructions call. */
  readonly natives: Readonly<Record<string, number>>;
}
/** Absolute addresses in linear memory. */
export interface EngineLayout {
  readonly state: number;
  readonly jumpCache: number;
  /** Where writes to guest memory are noted (journal.ts); absent: they are not. */
  readonly journal?: number;
}

export abstract class InstructionEmitter extends Graph implements Ops<Node> {
  form: Form = { opSize: 32, addrSize: 32, rep: 0, flatStack: true, limited: false, long: false };
  /** True while the definition is of an instruction that ends its block as `system`. */
  isSystem = false;
  protected readonly imports: EngineImports;
  protected readonly layout: EngineLayout;

  /** Of 64-bit code. */
  protected readonly isLong: boolean;

  constructor(
    writer: FunctionWriter,
    scratch: ScratchLocals,
    imports: EngineImports,
    layout: EngineLayout,
    isLong = false,
  ) {
    super(writer, scratch);
    this.imports = imports;
    this.layout = layout;
    this.isLong = isLong;
  }

  abstract call(helper: string, ...args: Node[]): Node;
  abstract repeat(helper: string, a: Node, b: Node): void;
  protected abstract takeBudget(instructions: Node): void;
  charge(instructions: Node): void {
    this.takeBudget(instructions);
    this.setField('charged', this.add(this.field('charged'), instructions));
  }
  abstract registerOperand(width: Width, pointer: number): Operand<Node>;
  abstract linearOperand(kind: 'm' | 's' | 'f' | 'g', width: Width, address: () => Node): Operand<Node>;
  protected abstract guestLoad(ea: Node, width: Width): Node;
  protected abstract guestStore(ea: Node, value: Node, width: Width): void;
  /** Emits what happens when an offset is not below the segment's end. */
  protected abstract refuseOffset(segment: Node, offset: Node, shape: number): void;
  abstract eip(): Node;
  abstract nextEip(): Node;
  admit(target: Node): void {
    if (this.form.limited) this.refuseIf(this.isBeyondLimit(target));
  }
  abstract admitRelative(condition?: Node): void;
  protected isBeyondLimit(eip: Node): Node {
    return this.gtU(eip, this.segmentField(CS, SEGMENT.limit));
  }
  /** #GP(0). */
  protected refuseIf(condition: Node): void {
    this.when(condition, () => void this.call('denied'), undefined, false);
  }
  abstract jump(target: Node): void;
  abstract jumpRelative(): void;
  abstract branchRelative(condition: Node): void;

  /** Import indices by the names of core/accel/tcg/helpers.ts; set by the engine. */
  static helperIndex: (name: string) => number = () => 0;
  raise(vector: number): void {
    this.call('raise', this.const(vector));
  }

  abstract giveUp(condition: Node): void;
  abstract nativeState(name: string, ...args: Node[]): Node;
  abstract jumpState(): void;

  protected callNative(name: string): void {
    const index = this.imports.natives[name];
    if (index === undefined) throw new Error(`the native function ${name} is not in the definition's list`);
    this.w.call(index);
  }
  native(name: string, ...given: Node[]): Node {
    const { params } = NATIVES[name]!;
    const args = given.map((arg, i) => {
      if (arg.type === I64 && params[i] === I32) return this.narrow(arg);
      return arg.type === I32 && params[i] === I64 ? this.wideU(arg) : arg;
    });
    this.use(...args);
    this.settle(ALIAS.field | ALIAS.guest);
    const result = this.resultNode(NATIVES[name]!.result);
    this.statements.push(() => {
      for (const arg of args) this.value(arg);
      this.callNative(name);
      if (result.uses === 0) this.w.op(OP.drop);
      else this.bindResult(result);
    });
    return result;
  }

  rarely(condition: Node, rare: () => void, usual: () => void): void {
    this.when(condition, rare, usual, false);
  }
  inPart(vexPart: 'plain' | 'gather', body: () => void): void {
    const { form } = this;
    this.form = { ...form, vexPart };
    body();
    this.form = form;
  }
  scratchVector(index: number): Operand<Node> {
    return this.registerOperand(128, FIELDS.vectorScratch.offset + index * 16);
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

  reg(index: number, width: Width): Operand<Node> {
    const at = FIELDS.gpr.offset + (width === 8 ? (index & 3) * 8 + (index >>> 2) : index * 8);
    return this.registerOperand(width, at);
  }
  protected segmentField(segment: number | Node, word: number): Node {
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
  callWide(helper: string, ...args: Node[]): Node {
    const low = this.call(helper, ...args);
    return this.isLong ? this.or(this.wideU(low), this.shl(this.wideU(this.field('resultHigh')), 32)) : low;
  }
  segmentBase(index: number): Node {
    const at = this.layout.state + FIELDS.segments.offset + index * FIELDS.segments.stride + SEGMENT.base;
    return this.load(OP.i64Load, this.base, at, ALIAS.field);
  }
  /** In 64-bit code only FS and GS have a base, and none has a limit. */
  private linearLong(segment: number | Node, given: Node): Node {
    const offset = this.wideU(given);
    const index = typeof segment === 'number' ? segment : this.known(segment);
    if (index !== null) return index < FS ? offset : this.add(offset, this.segmentBase(index));
    const chosen = this.narrow(segment as Node);
    const at = this.mul(chosen, this.const(FIELDS.segments.stride));
    const base = this.load(OP.i64Load, at, this.layout.state + FIELDS.segments.offset + SEGMENT.base, ALIAS.field);
    return this.add(offset, this.select(this.ltU(chosen, this.const(FS)), this.const64(0), base));
  }
  /** Linear address of an offset in a segment, limit and rights checked. */
  protected linear(segment: number | Node, offset: Node, bytes: number, isWrite: boolean): Node {
    if (this.isLong) return this.linearLong(segment, offset);
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
      this.refuseOffset(index, offset, bytes | (isWrite ? 0x100 : 0));
      w.end();
      this.value(offset);
      this.value(base);
      w.op(OP.i32Add);
      this.bindResult(result);
    });
    return result;
  }
  /** Effective-address record in a segment that needs a check: pointers come from the record. */
  memory(segment: number | Node, offset: Node, width: Width): Operand<Node> {
    let written: Node | null = null;
    const inner = this.segmentOperand(segment, width, () => this.linear(segment, offset, width / 8, true));
    return {
      kind: 'm',
      width,
      load: () => this.segmentOperand(segment, width, () => this.linear(segment, offset, width / 8, false)).load(),
      modify: inner.modify,
      store: inner.store,
      part: inner.part,
      address: () => {
        written ??= this.linear(segment, offset, width / 8, true);
        return written;
      },
    };
  }
  /** Memory at a linear address of a segment: ES of string instructions, SS of the stack. */
  protected segmentOperand(_segment: number | Node, width: Width, address: () => Node): Operand<Node> {
    return this.linearOperand('m', width, address);
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

  protected get result(): Node {
    return this.field('flagResult');
  }
  protected get aux(): Node {
    return this.field('flagAux');
  }
  flag(name: FlagName): Node {
    switch (name) {
      case 'C':
        return this.shrU(this.aux, 31);
      case 'Z':
        return this.isZero();
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
  protected signWord(): Node {
    return this.xor(this.topResult(), this.shl(this.aux, 31));
  }
  /** The word with the sign: of 64-bit code the upper half. */
  protected topResult(): Node {
    if (!this.isLong) return this.result;
    return this.load(OP.i32Load, this.base, this.layout.state + FIELDS.flagResult.offset + 4, ALIAS.field);
  }
  protected wholeResult(): Node {
    if (!this.isLong) return this.result;
    return this.load(OP.i64Load, this.base, this.layout.state + FIELDS.flagResult.offset, ALIAS.field);
  }
  private isZero(): Node {
    return this.eqz(this.wholeResult());
  }
  protected overflowWord(aux: Node): Node {
    return this.xor(aux, this.shl(aux, 1));
  }
  protected lessWord(): Node {
    const { aux } = this;
    return this.xor(this.xor(this.topResult(), this.shl(aux, 31)), this.overflowWord(aux));
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
        return code & 1 ? this.ne(this.wholeResult(), this.const(0)) : this.isZero();
      case 3:
        holds = this.or(negative(this.aux), this.isZero());
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
        holds = this.or(negative(this.lessWord()), this.isZero());
    }
    return code & 1 ? this.eqz(holds) : holds;
  }
  protected auxFrom(carries: Node, width: Width): Node {
    if (width === 64)
      return this.or(
        this.and(this.narrow(this.shrU(carries, 32)), this.const(0xc000_0000)),
        this.and(this.narrow(carries), this.const(8)),
      );
    if (width === 32) return this.and(carries, this.const(0xc000_0008));
    return this.or(this.and(this.shl(carries, 32 - width), this.const(0xc000_0000)), this.and(carries, this.const(8)));
  }
  /** Sign-extended to 32 bits, or to 64 in 64-bit code. */
  protected commitResult(result: Node, width: Width): void {
    const signed = this.signExtend(result, width);
    const extended = this.isLong ? this.wideS(signed) : signed;
    this.storeTo(
      extended.type === I64 ? OP.i64Store : OP.i32Store,
      this.base,
      this.layout.state + FIELDS.flagResult.offset,
      extended,
      ALIAS.field,
    );
  }
  commitFlags(result: Node, carries: () => Node, width: Width, _source?: FlagSource<Node>): void {
    const aux = this.auxFrom(carries(), width);
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  commitLogicFlags(result: Node, width: Width): void {
    this.commitResult(result, width);
    this.setField('flagAux', this.const(0));
  }
  commitFlagsExceptCarry(result: Node, carries: () => Node, width: Width, _source: 'inc' | 'dec'): void {
    const fresh = this.auxFrom(carries(), width);
    const changed = this.and(this.xor(fresh, this.aux), this.const(0x8000_0000));
    const aux = this.xor(fresh, this.or(changed, this.shrU(changed, 1)));
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  protected carryOverflow(wideCarry: Node, wideOverflow: Node): Node {
    const carry = this.narrow(wideCarry);
    const overflow = this.narrow(wideOverflow);
    return this.or(this.shl(carry, 31), this.shl(this.xor(carry, overflow), 30));
  }
  commitResultFlags(result: Node, width: Width, carry: Node, overflow: Node): void {
    const aux = this.carryOverflow(carry, overflow);
    this.commitResult(result, width);
    this.setField('flagAux', aux);
  }
  commitShiftFlags(result: Node, width: Width, op: 'shl' | 'shr' | 'sar', last: Node): void {
    const bit = (n: number) => this.and(this.shrU(result, n), this.const(1));
    const carry = this.and(last, this.const(1));
    let overflow = this.const(0);
    if (op === 'shl') overflow = this.xor(carry, bit(width - 1));
    if (op === 'shr') overflow = this.xor(bit(width - 1), bit(width - 2));
    this.commitResultFlags(result, width, carry, overflow);
  }
  commitZeroCarry(zero: Node, carry: Node): void {
    // A result of 0 would say P.
    const aux = this.or(this.shl(this.sub(this.const(0), carry), 30), this.shl(zero, 8));
    this.storeResult(this.eqz(zero), aux);
  }
  commitCarryOverflow(carry: Node, overflow: Node): void {
    this.setField('flagAux', this.or(this.and(this.aux, this.const(0x3fff_ffff)), this.carryOverflow(carry, overflow)));
  }
  setFlag(name: 'C' | 'Z', wide: Node): void {
    const value = this.narrow(wide);
    if (name === 'Z') {
      this.setZero(value);
      return;
    }
    const { aux } = this;
    const changed = this.xor(this.shrU(aux, 31), value);
    this.setField('flagAux', this.xor(aux, this.mul(changed, this.const(0xc000_0000))));
  }

  /** Z as given, everything else as it is: a result that says so, corrected for sign and parity. */
  private setZero(value: Node): void {
    const { result, aux } = this;
    const isSigned = this.shrU(this.signWord(), 31);
    const parity = this.and(this.xor(this.shl(result, 8), aux), this.const(0xff00));
    const corrected = this.or(this.or(this.and(aux, this.const(~0xff01)), parity), isSigned);
    const whole = this.wholeResult();
    const constant = (n: number) => (whole.type === I64 ? this.const64(n) : this.const(n));
    const nonzero = this.select(whole, whole, constant(0x100));
    this.storeResult(this.select(value, constant(0), nonzero), this.select(value, corrected, aux));
  }
  setFlags(image: Node): void {
    const bit = (n: number) => this.and(this.shrU(image, n), this.const(1));
    const nonzero = this.xor(bit(6), this.const(1));
    const carry = bit(0);
    // The result's parity and sign are corrected to what the image says.
    const parity = this.shl(this.xor(nonzero, this.xor(bit(2), this.const(1))), 8);
    const rest = this.or(this.or(parity, bit(7)), this.shl(bit(4), 3));
    this.storeResult(nonzero, this.or(rest, this.carryOverflow(carry, bit(11))));
  }
  protected storeResult(result: Node, aux: Node): void {
    this.commitResult(result, result.type === I64 ? 64 : 32);
    this.setField('flagAux', aux);
  }

  // -- stack and control flow ----------------------------------------------------------------------------------------

  protected stackOffset(offset: Node): Node {
    return this.form.flatStack ? offset : this.and(offset, this.field('stackMask'));
  }
  private get stackPointer(): Operand<Node> {
    return this.reg(4, this.isLong ? 64 : 32);
  }
  protected setStackPointer(value: Node): void {
    const esp = this.stackPointer;
    if (this.form.flatStack) {
      esp.store(value);
      return;
    }
    const mask = this.field('stackMask');
    esp.store(this.or(this.and(esp.load(), this.not(mask)), this.and(value, mask)));
  }
  push(value: Node, width: Width): void {
    const top = this.stackOffset(this.sub(this.stackPointer.load(), this.const(width / 8)));
    if (this.form.flatStack) this.guestStore(top, value, width);
    else this.memory(SS, top, width).store(value);
    this.setStackPointer(top);
  }
  stackTop(width: Width, skip = 0): Node {
    const top = this.stackOffset(this.add(this.stackPointer.load(), this.const(skip)));
    return this.form.flatStack ? this.guestLoad(top, width) : this.memory(SS, top, width).load();
  }
  dropStack(bytes: number | Node): void {
    this.setStackPointer(this.add(this.stackPointer.load(), this.operand(bytes)));
  }

  protected truncated(eip: Node): Node {
    return this.form.opSize === 16 && !this.isLong ? this.and(eip, this.const(0xffff)) : eip;
  }
}
