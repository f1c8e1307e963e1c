/** Instructions of a region as WebAssembly: guest registers live in locals, flags stay symbolic until something needs them, an
 *  access that the TLB does not allow leaves the region in front of its instruction. */
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { FIELDS } from '../../../target/x86/state.ts';
import { I32, I64, OP, V128, VOID } from '../../../wasm/opcodes.ts';
import { SIMD } from '../../../wasm/simd.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, CONST, LOAD_U, type Node, STORE } from '../emit/graph.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { emitJournal } from '../emit/journal.ts';
import { emitTlbCheck } from '../emit/tlb-check.ts';
import { TLB } from '../interpreter/layout.ts';
import { FLAG_KIND } from './flags.ts';
import type { PlannedBlock, PlannedEdge, PlannedInsn } from './plan.ts';
import { EXIT } from './region-end.ts';
import { ALIAS_FLAGS, type Flags, RegionFlags, type RegionFunctions } from './region-flags.ts';
import { FAULTS, GROUPS, registerPlace } from './region-ops.ts';
import type { BranchTo } from './structure.ts';

export interface RegionLayout extends EngineLayout {
  /** A page of linear memory that nobody uses. */
  readonly nowhere: number;
}
export interface RegionRegisters {
  readonly gprs: number;
  readonly gprsWritten: number;
  readonly xmms: number;
  readonly xmmsWritten: number;
}

/** By 2 * group + isWrite: which groups of accesses keep their last page, and groups whose reads share that of their writes. */
export interface PageCaches {
  readonly cached: ReadonlySet<number>;
  readonly shared: ReadonlySet<number>;
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

export class RegionEmitter extends RegionFlags {
  readonly registers: RegionRegisters;
  readonly gpr: number[] = [];
  readonly xmmLocal: number[] = [];
  readonly eip0: number;
  readonly budget: number;
  readonly exitRecord: number;
  readonly exitEip: number;
  readonly exitKind: number;
  /** Page tag and addend of the last page of each group of accesses, by 2 * group + isWrite. */
  readonly pageTag: number[] = Array(2 * GROUPS).fill(-1);
  readonly pageAddend: number[] = Array(2 * GROUPS).fill(-1);
  /** Word of linear memory that holds the region's number while it is valid, and that number. */
  private readonly headRecord: number;
  private readonly handler: number;
  private readonly noPage: number;
  private readonly cached: ReadonlySet<number>;
  private readonly shared: ReadonlySet<number>;

  private block!: PlannedBlock;
  private nextRecord = 0;
  private called = false;
  private exitDepth = 0;
  private current: (Node | null)[] = [];
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
    head: { record: number; handler: number },
    { cached, shared }: PageCaches,
    isLong: boolean,
  ) {
    super(writer, imports, layout, functions, isLong);
    this.noPage = isLong ? NO_LONG_PAGE + layout.nowhere : NO_PAGE;
    this.registers = registers;
    this.headRecord = head.record;
    this.handler = head.handler;
    this.cached = cached;
    this.shared = shared;
    for (let i = 0; i < REGISTERS; i++) this.gpr.push(registers.gprs & (1 << i) ? writer.local(this.word) : -1);
    this.eip0 = writer.local(this.word);
    this.budget = writer.local(I32);
    this.exitRecord = writer.local(I32);
    this.exitEip = writer.local(this.word);
    this.exitKind = writer.local(I32);
    for (let i = 0; i < REGISTERS; i++) this.xmmLocal.push(registers.xmms & (1 << i) ? writer.local(V128) : -1);
    for (const group of cached) {
      this.pageTag[group] = writer.local(I64);
      this.pageAddend[group] = writer.local(I32);
    }
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
    this.current = [];
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
      w.i32(record);
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
  // -- edges ---------------------------------------------------------------------------------------------------------

  private edgeNeedsFlags(edge: PlannedEdge): boolean {
    return edge.target < 0 || this.blocks[edge.target]!.needsFlags || this.isBackEdge(this.blockIndex, edge.target);
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
  /** A prepared node, any number of times. */
  private valueAgain(node: Node): void {
    if (node.op !== CONST) this.w.get(this.offsetLocal(node));
    else if (node.type === I64) this.w.i64(node.imm);
    else this.w.i32(node.imm);
  }
  /** Goes along an edge. `opened`: ifs around that the emitter itself opened. */
  private emitEdge(edge: PlannedEdge, opened: number, flags: Flags): void {
    const { w } = this;
    const { target } = edge;
    if (target < 0) {
      this.emitHeldFlags(flags);
      this.depth += opened;
      if (edge.slot !== 0) {
        w.i32(edge.slot);
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
    if (next.needsFlags) this.emitHeldFlags(flags);
    const label = this.branchTo(target);
    if (label >= 0) w.br(OP.br, label + opened + this.depth);
  }
  /** A mere branch: nothing to do on the way. */
  private isPlain(edge: PlannedEdge, flags: Flags): boolean {
    if (edge.target < 0 || this.isBackEdge(this.blockIndex, edge.target)) return false;
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
    const known = this.current[index];
    const whole = known ?? this.variable(this.gpr[index]!, this.word, ALIAS_GPR(index));
    this.current[index] = whole;
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

  // -- memory --------------------------------------------------------------------------------------------------------

  protected groupedOperand(width: Width, address: () => Node, group: number): Operand<Node> {
    let ea: Node | null = null;
    const at = () => {
      ea ??= address();
      return ea;
    };
    let pointer: Node | null = null;
    return {
      kind: 'm',
      width,
      load: () => this.load(LOAD_U[width], this.translate(at(), width / 8, 2 * group), 0, ALIAS.guest),
      modify: () => {
        pointer = this.translate(at(), width / 8, 2 * group + 1);
        return this.load(LOAD_U[width], pointer, 0, ALIAS.guest);
      },
      store: (value) => {
        const to = pointer ?? this.translate(at(), width / 8, 2 * group + 1);
        this.storeTo(STORE[width], to, 0, this.fit(value, width), ALIAS.guest);
      },
      address: at,
      part: (index) => this.groupedOperand(128, () => this.add(at(), this.const(16 * index)), group),
    };
  }
  /** Address in linear memory of `bytes` guest bytes; leaves the region when the TLB does not know. */
  private translate(given: Node, bytes: number, access: number): Node {
    const ea = this.isLong ? this.wideU(given) : given;
    const isShared = this.shared.has(access >> 1);
    const site = isShared ? access | 1 : access;
    this.use(ea);
    const pointer = this.resultNode(I32);
    const { insn, block } = this;
    this.statements.push(() => {
      const { w } = this;
      this.prepare(ea);
      if (!this.cached.has(site)) {
        this.lookUp(ea, bytes, site, insn, block);
        this.bindResult(pointer);
        if (access & 1) this.journal(pointer, bytes);
        this.consume(ea);
        return;
      }
      const { findRead, findWrite, knowsWrite } = this.functions;
      const find = !(site & 1) ? findRead : access & 1 ? findWrite : knowsWrite;
      const resume = () => {
        this.depth += 2;
        this.emitExit(EXIT.resume, insn.record, block.delta);
        this.depth -= 2;
      };
      const tag = this.pageTag[site]!;
      const addend = this.pageAddend[site]!;
      // A page that is read through a shared cache but may not be written is not kept.
      const fallsBack = isShared && access !== site;
      const found = fallsBack ? this.scratch.take(I32) : addend;
      if (fallsBack) {
        w.get(addend);
        w.set(found);
      }
      this.valueAgain(ea);
      if (!this.isLong) w.op(OP.i64ExtendI32U);
      w.get(tag);
      w.op(OP.i64Sub);
      w.i64(4096 - bytes);
      w.op(OP.i64GtU);
      w.block(OP.if, VOID, false);
      const look = (find: number) => {
        this.valueAgain(ea);
        w.i32(bytes);
        w.call(find);
        w.tee(found);
        w.i32(1);
        w.op(OP.i32Eq);
        w.block(OP.if, VOID, false);
      };
      const keep = () => {
        this.valueAgain(ea);
        this.pageOf();
        w.set(tag);
      };
      look(find);
      if (fallsBack) {
        this.depth++;
        look(findRead);
        resume();
        w.end();
        this.depth--;
        w.op(OP.else);
        keep();
        w.get(found);
        w.set(addend);
        w.end();
      } else {
        resume();
        w.end();
        keep();
      }
      w.end();
      this.valueAgain(ea);
      if (this.isLong) w.op(OP.i32WrapI64);
      w.get(found);
      w.op(OP.i32Add);
      if (fallsBack) this.scratch.give(I32, found);
      this.bindResult(pointer);
      if (access & 1) this.journal(pointer, bytes);
      this.consume(ea);
    });
    return pointer;
  }
  /** Leaves the place of an access that is alone with its page: what the TLB knows takes no call, around which every register would
   *  have to be saved. */
  private lookUp(ea: Node, bytes: number, site: number, insn: PlannedInsn, block: PlannedBlock): void {
    const { w, layout, functions, isLong } = this;
    const found = this.scratch.take(I32);
    const low = () => {
      this.valueAgain(ea);
      if (isLong) w.op(OP.i32WrapI64);
    };
    const last = () => {
      this.valueAgain(ea);
      if (bytes === 1) return;
      if (isLong) w.i64(bytes - 1);
      else w.i32(bytes - 1);
      w.op(isLong ? OP.i64Add : OP.i32Add);
    };
    const right = site & 1 ? TLB.write : TLB.read;
    emitTlbCheck(w, { state: layout.state, low, last, right, entry: found, isLong }, true);
    w.block(OP.if, I32, false);
    this.valueAgain(ea);
    w.i32(bytes);
    w.call(site & 1 ? functions.fillWrite : functions.fillRead);
    w.tee(found);
    w.i32(1);
    w.op(OP.i32Eq);
    w.block(OP.if, VOID, false);
    this.depth += 2;
    this.emitExit(EXIT.resume, insn.record, block.delta);
    this.depth -= 2;
    w.end();
    w.get(found);
    w.op(OP.else);
    w.get(found);
    w.memory(OP.i32Load, TLB.addend);
    w.end();
    low();
    w.op(OP.i32Add);
    this.scratch.give(I32, found);
  }
  /** Makes of a linear address on the stack the tag of its page. */
  private pageOf(): void {
    const { w } = this;
    if (this.isLong) {
      w.i64(-4096);
      w.op(OP.i64And);
      return;
    }
    w.i32(-4096);
    w.op(OP.i32And);
    w.op(OP.i64ExtendI32U);
  }
  private journal(pointer: Node, bytes: number): void {
    const { journal } = this.layout;
    if (journal === undefined) return;
    const next = this.scratch.take(I32);
    emitJournal(this.w, journal, pointer.local, bytes, next);
    this.scratch.give(I32, next);
  }
  /** The one use that was said of a prepared node is over. */
  protected consume(node: Node): void {
    if (node.op === CONST) return;
    node.emitted++;
    if (node.local >= 0 && node.emitted >= node.uses) this.release(node);
  }
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
    this.statements.push(() => this.emitExit(EXIT.resume, insn.record, block.delta));
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
      this.emitExit(EXIT.resume, insn.record, block.delta);
      this.depth--;
      w.end();
    });
  }
  override rarely(condition: Node, _rare: () => void, usual: () => void): void {
    this.giveUp(condition);
    usual();
  }
  nativeState(name: string, ...args: Node[]): Node {
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
    if (this.isLong) w.op(OP.i32WrapI64);
    w.memory(OP.i32Store, layout.state + FIELDS.flagAux.offset);
    if (!this.isLong) return;
    w.i32(0);
    w.get(this.flagOperand);
    w.memory(OP.i64Store, layout.state + FIELDS.flagOperand.offset);
  }
  /** At the region's start: flags may come from another region as it had them. */
  emitEntry(): void {
    const { w, layout } = this;
    this.emitReload();
    w.i32(0);
    w.memory(OP.i32Load, layout.state + FIELDS.flagKind.offset);
    w.set(this.flagKind);
    if (this.isLong) {
      w.get(this.flagKind);
      w.block(OP.if, VOID);
      w.i32(0);
      w.memory(OP.i64Load, layout.state + FIELDS.flagOperand.offset);
      w.set(this.flagOperand);
      w.end();
    }
    w.i32(0);
    w.i32(FLAG_KIND.canonical);
    w.memory(OP.i32Store, layout.state + FIELDS.flagKind.offset);
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
    w.memory(this.isLong ? OP.i64Load32U : OP.i32Load, layout.state + FIELDS.flagAux.offset);
    w.set(this.flagOperand);
    w.i32(FLAG_KIND.canonical);
    w.set(this.flagKind);
    for (const group of this.cached) {
      w.i64(this.noPage);
      w.set(this.pageTag[group]!);
      if (!this.isLong) continue;
      w.i32(0);
      w.set(this.pageAddend[group]!);
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
      w.i32(insn.record);
      for (const arg of given) this.value(arg);
      w.call(this.imports.helper);
      this.bindResult(result);
      if (after) {
        this.value(result);
        after();
      } else this.consume(result);
      this.emitReload();
    });
    this.current = [];
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
      w.i32(this.headRecord);
      w.memory(OP.i32Load16U, 0);
      w.i32(this.handler);
      w.op(OP.i32Ne);
      w.block(OP.if, VOID, false);
      this.depth++;
      if (nextRecord !== 0) this.emitExit(EXIT.resume, nextRecord, block.delta);
      else {
        this.emitPay();
        this.emitExit(EXIT.leave, 0, block.edges[0]!.delta);
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
      body();
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
