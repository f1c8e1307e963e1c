/** Instructions of a region as WebAssembly: guest registers live in locals, flags stay symbolic until something needs them, an
 *  access that the TLB does not allow leaves the region in front of its instruction. */
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { CS, FIELDS, PAGE_CACHE, SEGMENT } from '../../../target/x86/state.ts';
import { I32, I64, OP, V128, VOID } from '../../../wasm/opcodes.ts';
import { SIMD } from '../../../wasm/simd.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, CONST, LOAD_U, type Node, STORE } from '../emit/graph.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { emitTlbCheck } from '../emit/tlb-check.ts';
import { RECORD, TLB } from '../interpreter/layout.ts';
import { FLAG_KIND } from './flags.ts';
import type { PageCaches } from './page-caches.ts';
import { crossesPage, type PlannedBlock, type PlannedEdge, type PlannedInsn } from './plan.ts';
import { nativeNumber, WORD } from './references.ts';
import { EXIT, LAST_APART } from './region-end.ts';
import type { RegionFields } from './region-fields.ts';
import { ALIAS_FLAGS, type Flags, type RegionFunctions } from './region-flags.ts';
import { RegionMemory, type Sum } from './region-memory.ts';
import { FAULTS, registerPlace } from './region-ops.ts';
import type { RegionWords } from './region-words.ts';
import type { BranchTo } from './structure.ts';

export interface RegionLayout extends EngineLayout {
  /** A page of linear memory that nobody uses. */
  readonly nowhere: number;
  /** As in RegionEndLayout. */
  readonly counters: number;
}
export interface RegionRegisters {
  readonly gprs: number;
  readonly gprsWritten: number;
  readonly xmms: number;
  readonly xmmsWritten: number;
}

/** A page tag that no linear address of 32 bits has. */
const NO_PAGE = -(2 ** 40);
/** One that no canonical address has; a page of its own in linear memory stands in the lower half. */
const NO_LONG_PAGE = 0x5a3c_0000 * 2 ** 32;
const ALIAS_GPR = (index: number) => ALIAS.firstLocal << index;
/** Two vector registers may share a bit: more than needed is settled then. */
const ALIAS_XMM = (index: number) => ALIAS.firstLocal << (16 + (index & 7));
/** General and vector registers of 64-bit code; the other has half of them. */
const REGISTERS = 16;

export class RegionEmitter extends RegionMemory {
  readonly registers: RegionRegisters;
  readonly gpr: number[] = [];
  readonly xmmLocal: number[] = [];
  readonly eip0: number;
  readonly budget: number;
  readonly exitRecord: number;
  readonly exitEip: number;
  readonly exitKind: number;
  private readonly words: RegionWords;
  private readonly fields: RegionFields;
  /** Address of the words. */
  private readonly wordsAt: number;
  private readonly noPage: number;
  private readonly counters: number;
  private nextRecord = 0;
  private called = false;
  private exitDepth = 0;
  private current: (Node | null)[] = [];
  /** What is known of values that registers got since the block began. */
  private registerSums: (Sum | null)[] = [];
  /** What a block leaves in the locals: kind, or -1. */
  readonly outKind = new Map<number, number>();
  private branchTo!: BranchTo;
  private blocks: readonly PlannedBlock[] = [];
  private blockIndex = 0;
  private isBackEdge!: (from: number, to: number) => boolean;

  constructor(
    writer: FunctionWriter,
    imports: EngineImports,
    layout: RegionLayout,
    functions: RegionFunctions,
    registers: RegionRegisters,
    words: RegionWords,
    fields: RegionFields,
    caches: PageCaches,
    isLong: boolean,
  ) {
    super(writer, imports, layout, functions, caches, isLong);
    this.counters = layout.counters;
    this.noPage = isLong ? NO_LONG_PAGE + layout.nowhere : NO_PAGE;
    this.registers = registers;
    this.words = words;
    this.fields = fields;
    this.wordsAt = writer.local(I32);
    for (let i = 0; i < REGISTERS; i++) this.gpr.push(registers.gprs & (1 << i) ? writer.local(this.word) : -1);
    this.eip0 = writer.local(this.word);
    this.budget = writer.local(I32);
    this.exitRecord = writer.local(I32);
    this.exitEip = writer.local(this.word);
    this.exitKind = writer.local(I32);
    for (let i = 0; i < REGISTERS; i++) this.xmmLocal.push(registers.xmms & (1 << i) ? writer.local(V128) : -1);
  }

  // -- blocks --------------------------------------------------------------------------------------------------------

  /** Emits a block and its ways out. `depth`: labels around it inside the region's outermost one. */
  emitBlock(
    blocks: readonly PlannedBlock[],
    index: number,
    mode: number,
    branchTo: BranchTo,
    depth: number,
    isBackEdge: (from: number, to: number) => boolean,
    inKind: number,
  ): void {
    const block = blocks[index]!;
    this.blocks = blocks;
    this.blockIndex = index;
    this.block = block;
    this.branchTo = branchTo;
    this.isBackEdge = isBackEdge;
    this.exitDepth = depth;
    this.mode = mode;
    this.forget();
    this.hasJumped = false;
    this.ready.clear();
    this.flags = this.flagsInLocals(inKind);
    block.insns.forEach((insn, i) => {
      this.insn = insn;
      this.nextRecord = block.insns[i + 1]?.record ?? block.stopRecord;
      this.called = false;
      this.describe(insn.d);
      if (this.called) this.leaveIfStale();
    });
    if (block.ends === 'stop') {
      this.flagsToLocals(this.flags!);
      this.statements.push(() => this.emitExit(EXIT.resume, block.stopRecord, block.delta));
    }
    if (block.ends === 'on' && !this.hasJumped) {
      this.pay();
      this.holdFlags([block.edges[0]!]);
      this.statements.push(() => this.emitEdge(block.edges[0]!, 0, this.flags!));
    }
    this.outKind.set(index, this.flags!.kind);
    this.emitAll();
  }

  private emitPay(): void {
    const { w } = this;
    w.get(this.budget);
    w.i32(this.block.count);
    w.op(OP.i32Sub);
    w.set(this.budget);
  }
  protected takeBudget(instructions: Node): void {
    this.use(instructions);
    this.statements.push(() => {
      const { w } = this;
      w.get(this.budget);
      this.value(instructions);
      w.op(OP.i32Sub);
      w.set(this.budget);
    });
  }
  private pay(): void {
    this.statements.push(() => this.emitPay());
  }

  // -- leaving -------------------------------------------------------------------------------------------------------

  /** Goes to the region's end. `delta`: EIP there, relative to the region's start. */
  private emitExit(kind: number, record: number, delta: number, isCut = false): void {
    const { w } = this;
    if (record !== 0) {
      this.emitWord(WORD.record, record);
      w.set(this.exitRecord);
    }
    this.emitEip(delta);
    if (isCut) {
      w.i32(0xffff);
      w.op(OP.i32And);
    }
    w.set(this.exitEip);
    this.emitLeave(kind);
  }
  /** Leaves EIP or RIP, relative to the region's start. */
  private emitEip(delta: number): void {
    const { w } = this;
    w.get(this.eip0);
    if (delta === 0) return;
    if (this.isLong) w.i64(delta);
    else w.i32(delta);
    w.op(this.isLong ? OP.i64Add : OP.i32Add);
  }
  private emitLeave(kind: number): void {
    const { w } = this;
    if (kind !== EXIT.resume) {
      w.i32(kind);
      w.set(this.exitKind);
    }
    w.br(OP.br, this.exitDepth + this.depth);
  }
  protected emitResume(insn: PlannedInsn, block: PlannedBlock): void {
    this.emitExit(EXIT.resume, insn.record, block.delta);
  }
  protected emitApart(insn: PlannedInsn, block: PlannedBlock): void {
    const { w } = this;
    w.i32(0);
    this.emitWord(WORD.record, insn.record);
    w.memory(OP.i32Store, this.counters + 4 * LAST_APART);
    this.emitResume(insn, block);
  }
  // -- edges ---------------------------------------------------------------------------------------------------------

  /** The region looks whether the page is still mapped there; it came in by the first block's. */
  private crosses(edge: PlannedEdge): boolean {
    return edge.target >= 0 && crossesPage(this.block, this.blocks[edge.target]!);
  }
  private edgeNeedsFlags(edge: PlannedEdge): boolean {
    return (
      edge.target < 0 ||
      this.crosses(edge) ||
      this.blocks[edge.target]!.needsFlags ||
      this.isBackEdge(this.blockIndex, edge.target)
    );
  }
  /** Keeps what the edges' arms need in locals; said before the branch. */
  private holdFlags(edges: readonly PlannedEdge[]): void {
    const flags = this.flags!;
    if (flags.inLocals || !edges.some((e) => this.edgeNeedsFlags(e))) return;
    const result = flags.result!;
    const operand = flags.operand!();
    this.use(result, operand);
    this.statements.push(() => {
      this.prepare(result);
      this.prepare(operand);
    });
    this.heldOperand = operand;
  }
  private heldOperand: Node | null = null;
  private emitHeldFlags(flags: Flags): void {
    if (flags.inLocals) return;
    const { w } = this;
    w.i32(flags.kind);
    w.set(this.flagKind);
    this.valueAgain(flags.result!);
    if (this.isLong && flags.result!.type === I32) w.op(OP.i64ExtendI32S);
    w.set(this.flagResult);
    this.valueAgain(this.heldOperand!);
    if (this.isLong && this.heldOperand!.type === I32) w.op(OP.i64ExtendI32U);
    w.set(this.flagOperand);
  }
  /** Goes along an edge. `opened`: ifs around that the emitter itself opened. */
  private emitEdge(edge: PlannedEdge, opened: number, flags: Flags): void {
    const { w } = this;
    const { target } = edge;
    if (target < 0) {
      this.emitHeldFlags(flags);
      this.depth += opened;
      if (edge.slot !== 0) {
        this.emitWord(WORD.record, edge.slot);
        w.memory(OP.i32Load, 0);
        w.set(this.exitRecord);
        this.emitExit(EXIT.chain, 0, edge.delta);
      } else this.emitExit(EXIT.find, 0, edge.delta, edge.isCut);
      this.depth -= opened;
      return;
    }
    const next = this.blocks[target]!;
    if (this.isBackEdge(this.blockIndex, target)) {
      w.get(this.budget);
      w.i32(0);
      w.op(OP.i32LeS);
      w.block(OP.if, VOID, false);
      this.emitHeldFlags(flags);
      this.depth += opened + 1;
      this.emitExit(EXIT.leave, 0, edge.delta);
      this.depth -= opened + 1;
      w.end();
    }
    if (this.crosses(edge)) {
      this.emitIsElsewhere(next);
      w.block(OP.if, VOID, false);
      this.emitHeldFlags(flags);
      this.depth += opened + 1;
      this.emitExit(EXIT.find, 0, edge.delta);
      this.depth -= opened + 1;
      w.end();
    }
    if (next.needsFlags) this.emitHeldFlags(flags);
    const label = this.branchTo(target);
    if (label >= 0) w.br(OP.br, label + opened + this.depth);
  }
  /** Makes of EIP or RIP on the stack a linear address. */
  emitLinear(): void {
    if (this.isLong) return;
    const { w, layout } = this;
    w.i32(0);
    w.memory(OP.i32Load, layout.state + FIELDS.segments.offset + CS * FIELDS.segments.stride + SEGMENT.base);
    w.op(OP.i32Add);
  }
  /** Leaves whether the TLB has not the page of a block where its code was. */
  private emitIsElsewhere({ delta, block }: PlannedBlock): void {
    const { w, layout, isLong } = this;
    const linear = this.scratch.take(this.word);
    const entry = this.scratch.take(I32);
    this.emitEip(delta);
    this.emitLinear();
    w.set(linear);
    const low = () => {
      w.get(linear);
      if (isLong) w.op(OP.i32WrapI64);
    };
    const last = () => w.get(linear);
    emitTlbCheck(w, { state: layout.state, low, last, right: TLB.execute, entry, isLong }, true);
    w.get(entry);
    w.memory(OP.i32Load, TLB.addend);
    low();
    w.op(OP.i32Add);
    this.emitWord(WORD.code, block.start);
    w.op(OP.i32Ne);
    w.op(OP.i32Or);
    this.scratch.give(this.word, linear);
    this.scratch.give(I32, entry);
  }
  /** A mere branch: nothing to do on the way. */
  private isPlain(edge: PlannedEdge, flags: Flags): boolean {
    if (edge.target < 0 || this.crosses(edge) || this.isBackEdge(this.blockIndex, edge.target)) return false;
    return flags.inLocals || !this.blocks[edge.target]!.needsFlags;
  }

  eip(): Node {
    return this.add(this.localNode(this.eip0, this.word), this.const(this.block.delta + this.insn.pc));
  }
  nextEip(): Node {
    const eip0 = this.localNode(this.eip0, this.word);
    return this.add(eip0, this.const(this.block.delta + this.insn.pc + this.insn.d.length));
  }
  protected override refuseIf(condition: Node): void {
    this.giveUp(condition);
  }
  /** What lies inside the region's range was looked at as it was entered. */
  admitRelative(condition?: Node): void {
    const edge = this.block.edges[0]!;
    if (!this.form.limited || edge.isInside) return;
    const target = this.add(this.localNode(this.eip0, this.word), this.const(edge.delta));
    const isBeyond = this.isBeyondLimit(this.truncated(target));
    this.refuseIf(condition ? this.and(this.ne(condition, this.const(0)), isBeyond) : isBeyond);
  }
  jumpRelative(): void {
    this.pay();
    const edge = this.block.edges[0]!;
    const flags = this.flags!;
    this.holdFlags([edge]);
    this.statements.push(() => this.emitEdge(edge, 0, flags));
  }
  branchRelative(condition: Node): void {
    this.pay();
    this.use(condition);
    const [taken, on] = this.block.edges as [PlannedEdge, PlannedEdge];
    const flags = this.flags!;
    this.holdFlags([taken, on]);
    this.statements.push(() => {
      const { w } = this;
      const takenLabel = this.isPlain(taken, flags) ? this.branchTo(taken.target) : -1;
      this.value(condition);
      if (takenLabel >= 0) {
        w.br(OP.brIf, takenLabel + this.depth);
        this.emitEdge(on, 0, flags);
        return;
      }
      const onLabel = this.isPlain(on, flags) ? this.branchTo(on.target) : -1;
      if (onLabel >= 0) {
        w.op(OP.i32Eqz);
        w.br(OP.brIf, onLabel + this.depth);
        this.emitEdge(taken, 0, flags);
        return;
      }
      w.block(OP.if, VOID);
      this.emitEdge(taken, 1, flags);
      if (taken.target >= 0 && this.branchTo(taken.target) < 0) {
        w.op(OP.else);
        this.emitEdge(on, 1, flags);
        w.end();
        return;
      }
      w.end();
      this.emitEdge(on, 0, flags);
    });
  }
  jump(given: Node): void {
    const target = this.isLong ? this.wideU(given) : given;
    this.pay();
    this.use(target);
    const flags = this.flags!;
    const { returns } = this.block;
    this.holdFlags([{ target: -1, delta: 0, slot: 0, isInside: false, isCut: false }]);
    this.statements.push(() => {
      const { w } = this;
      this.value(target);
      w.set(this.exitEip);
      const isSite = (site: number) => {
        w.get(this.exitEip);
        this.emitEip(this.blocks[site]!.delta);
        w.op(this.isLong ? OP.i64Eq : OP.i32Eq);
      };
      const edgeTo = (site: number) => ({
        target: site,
        delta: this.blocks[site]!.delta,
        slot: 0,
        isInside: true,
        isCut: false,
      });
      const following = returns.find((site) => this.branchTo(site) < 0);
      for (const site of returns) {
        if (site === following) continue;
        isSite(site);
        w.block(OP.if, VOID);
        this.emitEdge(edgeTo(site), 1, flags);
        w.end();
      }
      if (following !== undefined) {
        isSite(following);
        w.op(OP.i32Eqz);
        w.block(OP.if, VOID);
        this.depth++;
        this.emitHeldFlags(flags);
        this.emitLeave(EXIT.find);
        this.depth--;
        w.end();
        this.emitEdge(edgeTo(following), 0, flags);
        return;
      }
      this.emitHeldFlags(flags);
      this.emitLeave(EXIT.find);
    });
  }

  /** CR0, CR4 and XCR0 stay as they are inside a block: what the first vector instruction found holds for the others. */
  private readonly ready = new Set<string>();
  override field(name: string): Node {
    if (name !== 'sseReady' && name !== 'avxReady' && name !== 'vexReady') return super.field(name);
    if (this.ready.has(name)) return this.const(1);
    this.ready.add(name);
    return super.field(name);
  }

  /** A node of its own each time: one that was made where code is not always passed through is of no use behind that. */
  protected override fieldNode(which: 'displacement' | 'immediate', width: 32 | 64): Node | null {
    const field = this.insn[which];
    if (!field) return null;
    const { anchor, distance } = this.fields.find(field);
    const number = this.words.numberOfField(anchor.block, anchor.offset);
    const words = this.localNode(this.wordsAt, I32);
    const value = this.load(width === 64 ? OP.i64Load32S : OP.i32Load, words, 4 * number, ALIAS.none);
    this.setSum(value, { root: `w${number}`, offset: 0 });
    return this.add(value, width === 64 ? this.const64(distance) : this.const(distance));
  }

  // -- registers -----------------------------------------------------------------------------------------------------

  registerOperand(width: Width, pointer: number): Operand<Node> {
    const place = registerPlace(pointer);
    const address = () => {
      throw new Error('a register has no address');
    };
    const part = (index: number) => this.registerOperand(128, pointer + 16 * index);
    if (place.file === 'gpr') {
      const load = () => this.loadGpr(place.index, place.byte, width);
      return {
        kind: 'r',
        width,
        load,
        modify: load,
        address,
        part,
        store: (v) => this.storeGpr(place.index, place.byte, width, v),
      };
    }
    if (place.file === 'xmm') {
      const load = () => this.loadXmm(place.index, place.byte, width);
      return {
        kind: 'r',
        width,
        load,
        modify: load,
        address,
        part,
        store: (v) => this.storeXmm(place.index, place.byte, width, v),
      };
    }
    const at = this.layout.state + pointer;
    const load = () => this.load(LOAD_U[width], this.base, at, ALIAS.register);
    return {
      kind: 'r',
      width,
      load,
      modify: load,
      address,
      part,
      store: (value) => this.storeTo(STORE[width], this.base, at, this.fit(value, width), ALIAS.register),
    };
  }
  private loadGpr(index: number, byte: number, width: Width): Node {
    let whole = this.current[index];
    if (!whole) {
      whole = this.variable(this.gpr[index]!, this.word, ALIAS_GPR(index));
      const sum = this.registerSums[index];
      if (sum) this.setSum(whole, sum);
      this.current[index] = whole;
    }
    if (width === 64) return whole;
    const low = this.narrow(whole);
    if (width === 32) return low;
    return this.zeroExtend(byte === 0 ? low : this.shrU(low, 8 * byte), width);
  }
  private storeGpr(index: number, byte: number, width: Width, value: Node): void {
    let whole: Node;
    if (width === 64) whole = this.wideU(value);
    else if (width === 32) whole = this.isLong ? this.wideU(this.narrow(value)) : value;
    else {
      const mask = (width === 8 ? 0xff : 0xffff) << (8 * byte);
      const kept = this.and(this.loadGpr(index, 0, this.isLong ? 64 : 32), this.const(~mask));
      whole = this.or(kept, this.shl(this.zeroExtend(this.narrow(value), width), 8 * byte));
    }
    this.current[index] = null;
    this.registerSums[index] = this.conditional === 0 ? this.sumOf(whole) : null;
    this.setVariable(this.gpr[index]!, whole, ALIAS_GPR(index));
  }
  private loadXmm(index: number, byte: number, width: Width): Node {
    const whole = this.variable(this.xmmLocal[index]!, V128, ALIAS_XMM(index));
    if (width === 128) return whole;
    const lane = (byte * 8) / width;
    if (width === 64) return this.lane('i64x2.extract_lane', lane, whole);
    if (width === 32) return this.lane('i32x4.extract_lane', lane, whole);
    if (width === 16) return this.lane('i16x8.extract_lane_u', lane, whole);
    return this.lane('i8x16.extract_lane_u', lane, whole);
  }
  private storeXmm(index: number, byte: number, width: Width, value: Node): void {
    let whole = value;
    if (width !== 128) {
      const old = this.variable(this.xmmLocal[index]!, V128, ALIAS_XMM(index));
      const shape = width === 64 ? 'i64x2' : width === 32 ? 'i32x4' : width === 16 ? 'i16x8' : 'i8x16';
      whole = this.lane(`${shape}.replace_lane` as const, (byte * 8) / width, old, value);
    }
    this.setVariable(this.xmmLocal[index]!, whole, ALIAS_XMM(index));
  }

  // -- what the interpreter has to do --------------------------------------------------------------------------------

  protected override linear(segment: number | Node, offset: Node, bytes: number, isWrite: boolean): Node {
    const { insn } = this;
    if (this.isLong) return super.linear(segment, offset, bytes, isWrite);
    const result = super.linear(segment, offset, bytes, isWrite);
    const check = this.statements.pop()!;
    this.statements.push(() => {
      this.refused = insn;
      check();
    });
    return result;
  }
  /** The instruction whose offset is being checked. */
  private refused: PlannedInsn | null = null;
  protected refuseOffset(): void {
    this.depth++;
    this.emitExit(EXIT.resume, this.refused!.record, this.block.delta);
    this.depth--;
  }
  override raise(): void {
    const { insn, block } = this;
    this.statements.push(() => this.emitResume(insn, block));
  }

  giveUp(condition: Node): void {
    if (condition.op === CONST && condition.imm === 0) return;
    this.use(condition);
    const { insn, block } = this;
    this.statements.push(() => {
      const { w } = this;
      this.value(condition);
      w.block(OP.if, VOID, false);
      this.depth++;
      this.emitResume(insn, block);
      this.depth--;
      w.end();
    });
  }
  override rarely(condition: Node, _rare: () => void, usual: () => void): void {
    this.giveUp(condition);
    usual();
  }
  /** Nothing is known of registers and places any more. */
  private forget(): void {
    this.current = [];
    this.registerSums = [];
    this.forgetPlaces();
  }
  protected override callNative(name: string): void {
    this.w.callReference(nativeNumber(name));
  }
  nativeState(name: string, ...args: Node[]): Node {
    this.forgetPlaces();
    this.flagsToLocals(this.flags!);
    this.settle(ALIAS.all);
    this.statements.push(() => this.emitSpill());
    return this.native(name, ...args);
  }
  private hasJumped = false;
  jumpState(): void {
    this.hasJumped = true;
    this.statements.push(() => {
      const { w } = this;
      w.i32(0);
      w.memory(this.isLong ? OP.i64Load : OP.i32Load, this.layout.state + FIELDS.rip.offset);
      w.set(this.exitEip);
      this.emitReload();
      this.emitPay();
      this.emitLeave(EXIT.find);
    });
  }

  // -- helpers -------------------------------------------------------------------------------------------------------

  /** Stores what lives in locals, flags in their canonical form. */
  emitSpill(): void {
    this.emitCanonicalFlags();
    this.emitRawSpill();
  }
  /** The flags as everybody but regions knows them, in locals and, if they were not so, in memory. */
  emitCanonicalFlags(): void {
    const { w, layout } = this;
    w.get(this.flagKind);
    w.block(OP.if, VOID);
    w.i32(0);
    w.get(this.flagKind);
    w.get(this.flagResult);
    w.get(this.flagOperand);
    w.call(this.functions.flagAux);
    if (this.isLong) {
      w.op(OP.i64ExtendI32U);
      w.tee(this.flagOperand);
      w.op(OP.i32WrapI64);
    } else w.tee(this.flagOperand);
    w.memory(OP.i32Store, layout.state + FIELDS.flagAux.offset);
    w.i32(FLAG_KIND.canonical);
    w.set(this.flagKind);
    w.end();
    w.i32(0);
    w.i32(FLAG_KIND.canonical);
    w.memory(OP.i32Store, layout.state + FIELDS.flagKind.offset);
  }
  /** Stores what lives in locals but the kind of the flags. */
  emitRawSpill(): void {
    const { w, layout } = this;
    const { gprsWritten, xmmsWritten } = this.registers;
    const store = this.isLong ? OP.i64Store : OP.i32Store;
    for (let i = 0; i < REGISTERS; i++) {
      if (!(gprsWritten & (1 << i))) continue;
      w.i32(0);
      w.get(this.gpr[i]!);
      w.memory(store, layout.state + FIELDS.gpr.offset + 8 * i);
    }
    for (let i = 0; i < REGISTERS; i++) {
      if (!(xmmsWritten & (1 << i))) continue;
      w.i32(0);
      w.get(this.xmmLocal[i]!);
      w.memory(SIMD['v128.store'], layout.state + FIELDS.xmm.offset + 64 * i);
    }
    w.i32(0);
    w.get(this.budget);
    w.memory(OP.i32Store, layout.state + FIELDS.budget.offset);
    w.i32(0);
    w.get(this.flagResult);
    w.memory(store, layout.state + FIELDS.flagResult.offset);
    w.i32(0);
    w.get(this.flagOperand);
    w.memory(store, layout.state + FIELDS.flagAux.offset);
  }
  /** Leaves what a word of the region holds. */
  emitWord(kind: number, value: number): void {
    const { w } = this;
    w.get(this.wordsAt);
    w.memory(OP.i32Load, 4 * this.words.numberOf(kind, value));
  }
  /** Leaves how far the entry whose number is in a local is from the head. */
  emitEntryDelta(entry: number): void {
    const { w } = this;
    w.get(this.wordsAt);
    w.get(entry);
    w.i32(2);
    w.op(OP.i32Shl);
    w.op(OP.i32Add);
    w.memory(this.isLong ? OP.i64Load32S : OP.i32Load, 4 * this.words.entriesAt);
  }
  /** At the region's start: flags may come from another region as it had them. */
  emitEntry(): void {
    const { w, layout } = this;
    w.get(0);
    w.memory(OP.i32Load, RECORD.imm2);
    w.set(this.wordsAt);
    this.emitReload();
    w.i32(0);
    w.memory(OP.i32Load, layout.state + FIELDS.flagKind.offset);
    w.set(this.flagKind);
  }
  /** Loads them. */
  emitReload(): void {
    const { w, layout } = this;
    const { gprs, xmms } = this.registers;
    const load = this.isLong ? OP.i64Load : OP.i32Load;
    for (let i = 0; i < REGISTERS; i++) {
      if (!(gprs & (1 << i))) continue;
      w.i32(0);
      w.memory(load, layout.state + FIELDS.gpr.offset + 8 * i);
      w.set(this.gpr[i]!);
    }
    for (let i = 0; i < REGISTERS; i++) {
      if (!(xmms & (1 << i))) continue;
      w.i32(0);
      w.memory(SIMD['v128.load'], layout.state + FIELDS.xmm.offset + 64 * i);
      w.set(this.xmmLocal[i]!);
    }
    w.i32(0);
    w.memory(OP.i32Load, layout.state + FIELDS.budget.offset);
    w.set(this.budget);
    w.i32(0);
    w.memory(load, layout.state + FIELDS.flagResult.offset);
    w.set(this.flagResult);
    w.i32(0);
    w.memory(load, layout.state + FIELDS.flagAux.offset);
    w.set(this.flagOperand);
    w.i32(FLAG_KIND.canonical);
    w.set(this.flagKind);
    for (let i = 0; i < this.caches.size; i++) {
      const cell = layout.state + FIELDS.pageCaches.offset + PAGE_CACHE.bytes * i;
      w.i32(0);
      w.i64(this.noPage);
      w.memory(OP.i64Store, cell + PAGE_CACHE.tag);
      if (!this.isLong) continue;
      w.i32(0);
      w.i32(0);
      w.memory(OP.i32Store, cell + PAGE_CACHE.addend);
    }
  }
  /** Helpers take 32 bits; the upper half of an argument stands in the state. */
  private argument(given: Node, index: number): Node {
    if (given.type !== I64) return given;
    const at = this.layout.state + FIELDS.argumentHigh.offset + 4 * index;
    this.storeTo(OP.i32Store, this.base, at, this.narrow(this.shrU(given, 32)), ALIAS.field);
    return this.narrow(given);
  }
  private helper(name: string, args: Node[], after: (() => void) | null): Node {
    this.flagsToLocals(this.flags!);
    const id = RegionEmitter.helperIndex(name);
    const zero = this.const(0);
    const given = [0, 1, 2].map((i) => (args[i] ? this.argument(args[i], i) : zero));
    this.use(...given);
    this.settle(ALIAS.all);
    const result = this.resultNode(I32);
    result.uses++; // kept in a local whatever comes
    const { insn, block } = this;
    this.statements.push(() => {
      const { w, layout } = this;
      this.emitSpill();
      w.i32(0);
      this.emitEip(block.delta);
      w.memory(this.isLong ? OP.i64Store : OP.i32Store, layout.state + FIELDS.rip.offset);
      w.i32(id);
      this.emitWord(WORD.record, insn.record);
      for (const arg of given) this.value(arg);
      w.call(this.imports.helper);
      this.bindResult(result);
      if (after) {
        this.value(result);
        after();
      } else this.consume(result);
      this.emitReload();
    });
    this.forget();
    this.flags = this.flagsInLocals(FLAG_KIND.canonical);
    this.called = true;
    return result;
  }
  call(helper: string, ...args: Node[]): Node {
    if (!FAULTS.has(helper)) return this.helper(helper, args, null);
    this.raise();
    return this.const(0);
  }
  repeat(helper: string, a: Node, b: Node): void {
    if (FAULTS.has(helper)) {
      this.raise();
      return;
    }
    this.helper(helper, [a, b], () => {
      const { w } = this;
      // Not finished: all that counts is in memory.
      w.block(OP.if, VOID, false);
      w.i32(0);
      w.op(OP.return);
      w.end();
    });
  }
  /** A helper may have written code: the region's own number stands in its first record while it is valid. */
  private leaveIfStale(): void {
    const { nextRecord, block } = this;
    this.flagsToLocals(this.flags!);
    this.statements.push(() => {
      const { w } = this;
      this.emitWord(WORD.record, this.blocks[0]!.block.record + RECORD.handler);
      w.memory(OP.i32Load16U, 0);
      this.emitWord(WORD.handler, 0);
      w.op(OP.i32Ne);
      w.block(OP.if, VOID, false);
      this.depth++;
      if (nextRecord !== 0) this.emitExit(EXIT.resume, nextRecord, block.delta);
      else {
        this.emitPay();
        this.emitExit(EXIT.find, 0, block.edges[0]!.delta);
      }
      this.depth--;
      w.end();
    });
  }

  override when(condition: Node, then: () => void, otherwise?: () => void, isLikely?: boolean): void {
    if (condition.op === CONST) {
      if (condition.imm !== 0) then();
      else otherwise?.();
      return;
    }
    const before = this.flags!;
    const wasInLocals = before.inLocals;
    // What it takes to know them must stand before both ways.
    const operandBefore = wasInLocals ? null : before.operand!();
    this.settle(ALIAS_FLAGS);
    let prepare: (() => void) | null = null;
    this.statements.push(() => prepare?.());
    let merged: Flags | null = null;
    const arm = (body: () => void) => () => {
      this.flags = before;
      this.current = [];
      this.registerSums = [];
      this.inArm(body);
      const after = this.flags!;
      // What an arm put into the locals is there on that way only.
      before.inLocals = wasInLocals;
      if (after === before) return;
      this.flagsToLocals(after);
      merged = merged === null || merged.kind === after.kind ? after : { ...after, kind: -1 };
    };
    this.conditional++;
    super.when(condition, arm(then), otherwise && arm(otherwise), isLikely);
    this.conditional--;
    this.current = [];
    this.registerSums = [];
    this.flags = before;
    if (merged === null) return;
    // One way leaves what was before, the other something else: both in the locals.
    const changed: Flags = merged;
    if (operandBefore) {
      this.use(before.result, operandBefore);
      prepare = () => this.emitFlagLocals(before.kind, before.result!, operandBefore);
    }
    this.flags = this.flagsInLocals(changed.kind === before.kind ? before.kind : -1);
  }
}
