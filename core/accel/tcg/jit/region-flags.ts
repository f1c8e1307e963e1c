/** Flags of a region: symbolic until something needs them, then in three locals. */
import type { FlagName, FlagSource, Width } from '../../../target/x86/semantics/ops.ts';
import { I32, I64, OP } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, type Node, ScratchLocals } from '../emit/graph.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { FLAG_KIND, type FlagKind } from './flags.ts';
import type { PlannedInsn } from './plan.ts';
import { RegionOps } from './region-ops.ts';

/** Local functions of the module. */
export interface RegionFunctions {
  /** (linear, bytes) -> addend, or 1, of a page that the TLB does not know. */
  readonly fillRead: number;
  readonly fillWrite: number;
  /** (kind, result, operand) -> flagAux. */
  readonly flagAux: number;
}

export const ALIAS_FLAGS = ALIAS.firstLocal << 24;

export interface Flags {
  /** Static kind, or -1: it is in the local. */
  readonly kind: number;
  readonly result: Node | null;
  /** Second word: what it means depends on the kind. */
  readonly operand: (() => Node) | null;
  /** First operand of a subtraction. */
  readonly a: Node | null;
  readonly b: Node | null;
  readonly width: Width;
  readonly carries: (() => Node) | null;
  inLocals: boolean;
}

/** Computes at the first request. */
function once(make: () => Node): () => Node {
  let made: Node | null = null;
  return () => {
    made ??= make();
    return made;
  };
}

export abstract class RegionFlags extends RegionOps {
  protected readonly functions: RegionFunctions;
  readonly flagKind: number;
  readonly flagResult: number;
  readonly flagOperand: number;
  /** Type of what is as wide as an address. */
  protected readonly word: number;
  protected flags: Flags | null = null;
  protected insn!: PlannedInsn;

  constructor(
    writer: FunctionWriter,
    imports: EngineImports,
    layout: EngineLayout,
    functions: RegionFunctions,
    isLong: boolean,
  ) {
    super(writer, new ScratchLocals(writer), imports, layout, isLong);
    this.functions = functions;
    this.word = isLong ? I64 : I32;
    this.flagKind = writer.local(I32);
    this.flagResult = writer.local(this.word);
    this.flagOperand = writer.local(this.word);
  }
  /** The one use that was said of a prepared node is over. */
  protected abstract consume(node: Node): void;

  /** Flags as the locals hold them. */
  protected flagsInLocals(kind: number): Flags {
    const whole = this.variable(this.flagResult, this.word, ALIAS_FLAGS);
    const wholeWord = this.variable(this.flagOperand, this.word, ALIAS_FLAGS);
    const op = kind > 0 ? kind & 15 : FLAG_KIND.canonical;
    const width = kind > 0 ? this.widthOf(kind) : 32;
    const isNarrow = width <= 32;
    const result = kind > 0 && isNarrow ? this.narrow(whole) : whole;
    const word = kind >= 0 && isNarrow ? this.narrow(wholeWord) : wholeWord;
    return {
      kind,
      result,
      operand: () => word,
      a: op === FLAG_KIND.sub ? this.add(result, word) : null,
      b: op === FLAG_KIND.add || op === FLAG_KIND.sub ? word : null,
      width,
      carries: null,
      inLocals: true,
    };
  }
  protected emitFlagLocals(kind: number, result: Node, operand: Node): void {
    const { w } = this;
    this.value(result);
    if (this.isLong && result.type === I32) w.op(OP.i64ExtendI32S);
    this.value(operand);
    if (this.isLong && operand.type === I32) w.op(OP.i64ExtendI32U);
    w.set(this.flagOperand);
    w.set(this.flagResult);
    w.i32(kind);
    w.set(this.flagKind);
  }
  /** From here on the locals hold these flags. */
  protected flagsToLocals(flags: Flags): void {
    if (flags.inLocals) return;
    const operand = flags.operand!();
    const result = flags.result!;
    this.use(result, operand);
    this.settle(ALIAS_FLAGS);
    this.statements.push(() => this.emitFlagLocals(flags.kind, result, operand));
    flags.inLocals = true;
  }
  private commit(flags: Omit<Flags, 'inLocals'>): void {
    const fresh: Flags = { ...flags, inLocals: false };
    this.flags = fresh;
    if (this.insn.flagsNeeded) this.flagsToLocals(fresh);
  }
  protected override get result(): Node {
    return this.narrow(this.flags!.result!);
  }
  protected override topResult(): Node {
    const result = this.flags!.result!;
    return result.type === I64 ? this.narrow(this.shrU(result, 32)) : result;
  }
  protected override wholeResult(): Node {
    return this.flags!.result!;
  }
  protected override get aux(): Node {
    return this.auxOf(this.flags!);
  }
  /** flagAux of flags that nothing has replaced in the locals yet. */
  private auxOf(flags: Flags): Node {
    if (flags.kind === FLAG_KIND.canonical) return this.narrow(flags.operand!());
    if (flags.carries) return this.auxFrom(flags.carries(), flags.width);
    this.flagsToLocals(flags);
    const aux = this.resultNode(I32);
    aux.uses++;
    this.statements.push(() => {
      const { w } = this;
      w.get(this.flagKind);
      w.get(this.flagResult);
      w.get(this.flagOperand);
      w.call(this.functions.flagAux);
      this.bindResult(aux);
      this.consume(aux);
    });
    return aux;
  }
  override commitFlags(result: Node, carries: () => Node, width: Width, source?: FlagSource<Node>): void {
    const extended = this.signExtend(result, width);
    if (!source) {
      this.commitCanonical(extended, () => this.auxFrom(carries(), width));
      return;
    }
    const { op, a, b } = source;
    const kind = this.kindOf(op, width);
    this.commit({ kind, result: extended, operand: () => b, a: op === 'sub' ? a : null, b, width, carries });
  }
  private kindOf(op: FlagKind, width: Width): number {
    return FLAG_KIND[op] | (((this.isLong ? 64 : 32) - width) << 4);
  }
  private widthOf(kind: number): Width {
    return ((this.isLong ? 64 : 32) - (kind >> 4)) as Width;
  }
  private commitCanonical(result: Node, aux: () => Node): void {
    const operand = once(aux);
    this.commit({ kind: FLAG_KIND.canonical, result, operand, a: null, b: null, width: 32, carries: null });
  }
  override commitLogicFlags(result: Node, width: Width): void {
    const extended = this.signExtend(result, width);
    const zero = this.const(0);
    this.commit({
      kind: FLAG_KIND.canonical,
      result: extended,
      operand: () => zero,
      a: null,
      b: zero,
      width,
      carries: null,
    });
  }
  override commitFlagsExceptCarry(result: Node, _carries: () => Node, width: Width, source: 'inc' | 'dec'): void {
    const before = this.flags!;
    // Seldom asked for: what follows mostly writes C too.
    const carry = once(() => this.carryFrom(before));
    this.commit({
      kind: this.kindOf(source, width),
      result: this.signExtend(result, width),
      operand: carry,
      a: null,
      b: null,
      width,
      carries: null,
    });
  }
  override commitResultFlags(result: Node, width: Width, carry: Node, overflow: Node): void {
    this.commitCanonical(this.signExtend(result, width), () => this.carryOverflow(carry, overflow));
  }
  override commitShiftFlags(result: Node, width: Width, op: 'shl' | 'shr' | 'sar', last: Node): void {
    this.commit({
      kind: this.kindOf(op, width),
      result: this.signExtend(result, width),
      operand: () => last,
      a: null,
      b: null,
      width,
      carries: null,
    });
  }
  override commitCarryOverflow(carry: Node, overflow: Node): void {
    const before = this.flags!;
    this.commitCanonical(before.result!, () =>
      this.or(this.and(this.auxOf(before), this.const(0x3fff_ffff)), this.carryOverflow(carry, overflow)),
    );
  }
  override setFlag(name: 'C' | 'Z', wide: Node): void {
    if (name === 'Z') {
      super.setFlag(name, wide);
      return;
    }
    const value = this.narrow(wide);
    const before = this.flags!;
    this.commitCanonical(before.result!, () => {
      const aux = this.auxOf(before);
      const changed = this.xor(this.shrU(aux, 31), value);
      return this.xor(aux, this.mul(changed, this.const(0xc000_0000)));
    });
  }
  protected override storeResult(result: Node, aux: Node): void {
    this.commitCanonical(result, () => aux);
  }
  override flag(name: FlagName): Node {
    return name === 'C' ? this.carryFrom(this.flags!) : super.flag(name);
  }
  private carryFrom(flags: Flags): Node {
    return this.carryOf(flags) ?? this.shrU(this.auxOf(flags), 31);
  }
  /** C as 0 or 1 where the operation tells it more cheaply than the carries. */
  private carryOf(flags: Flags): Node | null {
    const { b, width } = flags;
    if (flags.kind < 0) return this.unknownCarry();
    const kind = flags.kind & 15;
    if (kind === FLAG_KIND.inc || kind === FLAG_KIND.dec) return this.narrow(flags.operand!());
    if (kind >= FLAG_KIND.shl) return this.narrow(this.and(flags.operand!(), this.const(1)));
    if (!b || !flags.result) return null;
    switch (flags.kind & 15) {
      case FLAG_KIND.canonical:
        return b; // logic: 0
      case FLAG_KIND.add:
        return this.ltU(this.zeroExtend(flags.result, width), this.zeroExtend(b, width));
      default:
        return flags.a ? this.ltU(this.zeroExtend(flags.a, width), this.zeroExtend(b, width)) : null;
    }
  }
  /** C of flags whose kind is in the local. In a loop of INC, DEC and shifts it stands there. */
  private unknownCarry(): Node {
    const carry = this.resultNode(I32);
    carry.uses++;
    this.statements.push(() => {
      const { w } = this;
      w.get(this.flagKind);
      w.i32(15);
      w.op(OP.i32And);
      w.i32(FLAG_KIND.inc);
      w.op(OP.i32GeU);
      w.block(OP.if, I32);
      w.get(this.flagOperand);
      if (this.isLong) w.op(OP.i32WrapI64);
      w.i32(1);
      w.op(OP.i32And);
      w.op(OP.else);
      w.get(this.flagKind);
      w.get(this.flagResult);
      w.get(this.flagOperand);
      w.call(this.functions.flagAux);
      w.i32(31);
      w.op(OP.i32ShrU);
      w.end();
      this.bindResult(carry);
      this.consume(carry);
    });
    return carry;
  }
  override condition(code: number): Node {
    const holds = this.shortCondition(code >> 1);
    if (!holds) return super.condition(code);
    return code & 1 ? this.negate(holds) : holds;
  }
  private negate(holds: Node): Node {
    return holds.op === OP.i32Eqz ? holds.a! : this.eqz(holds);
  }
  /** The even condition of a pair, or null: only from the carries. */
  private shortCondition(pair: number): Node | null {
    const flags = this.flags!;
    const { a, b, width, result } = flags;
    const kind = flags.kind < 0 ? -1 : flags.kind & 15;
    if (pair === 2) return this.eqz(result!);
    if (pair === 1) return this.carryOf(flags);
    if (kind === -1 || !result) return null;
    if (kind !== FLAG_KIND.canonical && pair === 4) return this.ltS(result, this.const(0));
    if (kind >= FLAG_KIND.shl && pair === 3) return this.or(this.carryOf(flags)!, this.eqz(result));
    if (kind === FLAG_KIND.sub && a && b) {
      const signed = (v: Node) => this.signExtend(v, width);
      if (pair === 3) return this.eqz(this.ltU(this.zeroExtend(b, width), this.zeroExtend(a, width)));
      if (pair === 6) return this.ltS(signed(a), signed(b));
      if (pair === 7) return this.eqz(this.ltS(signed(b), signed(a)));
      return null;
    }
    if (kind === FLAG_KIND.canonical && b) {
      if (pair === 0) return this.const(0);
      if (pair === 3) return this.eqz(result);
      if (pair === 4 || pair === 6) return this.ltS(result, this.const(0));
      if (pair === 7) return this.ltS(result, this.const(1));
    }
    return null;
  }
}
