/** Accesses of a region to guest memory. Each looks at the TLB, or at the page that its group used last; those of a block that lie
 *  near each other, at distances that are known, do so together. */
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { FIELDS, PAGE_CACHE } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, CONST, LOAD_U, LOCAL, type Node, STORE } from '../emit/graph.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { emitJournal } from '../emit/journal.ts';
import { emitTlbCheck } from '../emit/tlb-check.ts';
import { TLB } from '../interpreter/layout.ts';
import type { PageCaches } from './page-caches.ts';
import type { PlannedBlock, PlannedInsn } from './plan.ts';
import { RegionFlags, type RegionFunctions } from './region-flags.ts';

/** Bytes that accesses may reach over and still be looked up together: what crosses a page leaves the region. */
const MAX_SPAN = 256;

/** A value as something unknown plus a number. */
export interface Sum {
  readonly root: string;
  readonly offset: number;
}
/** Accesses that are looked up together, by the first of them. */
interface Cluster {
  readonly isWrite: boolean;
  /** Distances from the root. */
  low: number;
  high: number;
  /** Where `low` lies in linear memory. */
  readonly pointer: Node;
}
/** A place in linear memory: `pointer` and so many bytes, which are known when all accesses are. */
interface Place {
  readonly pointer: Node;
  readonly offset: () => number;
}

export abstract class RegionMemory extends RegionFlags {
  protected readonly caches: PageCaches;
  protected block!: PlannedBlock;
  /** Of the accesses so far that later ones may join, by root. */
  private clusters = new Map<string, Cluster[]>();
  /** Grows where accesses from before may no longer count. */
  private barriers = 0;
  private sums = new Map<Node, Sum>();

  constructor(
    writer: FunctionWriter,
    imports: EngineImports,
    layout: EngineLayout,
    functions: RegionFunctions,
    caches: PageCaches,
    isLong: boolean,
  ) {
    super(writer, imports, layout, functions, isLong);
    this.caches = caches;
  }
  /** Leaves the region: the interpreter does the instruction. */
  protected abstract emitResume(insn: PlannedInsn, block: PlannedBlock): void;
  /** The same, in front of accesses that are looked up together. */
  protected abstract emitApart(insn: PlannedInsn, block: PlannedBlock): void;

  protected groupedOperand(width: Width, address: () => Node, group: number): Operand<Node> {
    let ea: Node | null = null;
    const at = () => {
      ea ??= address();
      return ea;
    };
    let place: Place | null = null;
    const loadFrom = (from: Place) => {
      const value = this.load(LOAD_U[width], from.pointer, 0, ALIAS.guest);
      value.late = from.offset;
      return value;
    };
    return {
      kind: 'm',
      width,
      load: () => loadFrom(this.translate(at(), width / 8, 2 * group)),
      modify: () => {
        place = this.translate(at(), width / 8, 2 * group + 1);
        return loadFrom(place);
      },
      store: (value) => {
        const to = place ?? this.translate(at(), width / 8, 2 * group + 1);
        this.storeTo(STORE[width], to.pointer, to.offset, this.fit(value, width), ALIAS.guest);
      },
      address: at,
      part: (index) => this.groupedOperand(128, () => this.add(at(), this.const(16 * index)), group),
    };
  }

  // -- what lies near each other -------------------------------------------------------------------------------------

  /** Whatever is looked up from here on is looked up anew. */
  protected forgetPlaces(): void {
    this.clusters.clear();
    this.sums.clear();
    this.barriers++;
  }
  /** Runs a body that is not always passed through: what it looks up does not count behind it. */
  protected inArm(body: () => void): void {
    const { barriers } = this;
    const clusters = new Map([...this.clusters].map(([root, list]) => [root, [...list]]));
    body();
    if (this.barriers === barriers) this.clusters = clusters;
    else this.clusters.clear();
  }
  /** What is known of a register's new value, for its next reader. */
  protected sumOf(node: Node): Sum {
    const known = this.sums.get(node);
    if (known) return known;
    const sum = this.findSum(node);
    this.sums.set(node, sum);
    return sum;
  }
  protected setSum(node: Node, sum: Sum): void {
    this.sums.set(node, sum);
  }
  private findSum(node: Node): Sum {
    const { a, b } = node;
    if (node.op === LOCAL) return { root: `l${node.imm}`, offset: 0 };
    if (node.op === OP.i32Add || node.op === OP.i64Add) {
      const left = this.sumOf(a!);
      if (b!.op === CONST) return { root: left.root, offset: left.offset + b!.imm };
      const right = this.sumOf(b!);
      return { root: `${left.root}+${right.root}`, offset: left.offset + right.offset };
    }
    if ((node.op === OP.i32Sub || node.op === OP.i64Sub) && b!.op === CONST) {
      const left = this.sumOf(a!);
      return { root: left.root, offset: left.offset - b!.imm };
    }
    if ((node.op === OP.i32Shl || node.op === OP.i64Shl) && b!.op === CONST) {
      const left = this.sumOf(a!);
      return { root: `(${left.root})<<${b!.imm}`, offset: left.offset * 2 ** b!.imm };
    }
    return { root: `n${this.sums.size}.${this.barriers}`, offset: 0 };
  }
  private join(ea: Node, bytes: number, isWrite: boolean): Place | Cluster {
    const { root, offset } = this.sumOf(ea);
    let list = this.clusters.get(root);
    if (!list) {
      list = [];
      this.clusters.set(root, list);
    }
    for (const cluster of list) {
      if (isWrite && !cluster.isWrite) continue;
      const low = Math.min(cluster.low, offset);
      const high = Math.max(cluster.high, offset + bytes);
      if (high - low > (this.block.isApart ? cluster.high - cluster.low : MAX_SPAN)) continue;
      cluster.low = low;
      cluster.high = high;
      return { pointer: cluster.pointer, offset: () => offset - cluster.low };
    }
    const cluster = { isWrite, low: offset, high: offset + bytes, pointer: this.resultNode(I32) };
    list.push(cluster);
    return cluster;
  }

  // -- looking up ----------------------------------------------------------------------------------------------------

  /** Where `bytes` guest bytes lie in linear memory; leaves the region when the TLB does not know. */
  private translate(given: Node, bytes: number, access: number): Place {
    const ea = this.isLong ? this.wideU(given) : given;
    const isWrite = (access & 1) === 1;
    const joined = this.join(ea, bytes, isWrite);
    if ('offset' in joined) {
      this.note(joined, bytes, isWrite);
      return joined;
    }
    const { offset: first } = this.sumOf(ea);
    const cache = this.caches.get(access);
    const right = isWrite ? TLB.write : TLB.read;
    this.use(ea);
    const { insn, block } = this;
    this.statements.push(() => {
      this.prepare(ea);
      const distance = joined.low - first;
      const lowest = distance === 0 ? -1 : this.scratch.take(ea.type);
      if (lowest >= 0) this.emitLowest(ea, distance, lowest);
      const at = () => (lowest < 0 ? this.valueAgain(ea) : this.w.get(lowest));
      const span = joined.high - joined.low;
      const leave = () => (span > bytes ? this.emitApart(insn, block) : this.emitResume(insn, block));
      if (cache !== undefined) this.lookAtPage(at, span, right, cache, leave);
      else this.lookUp(at, span, right, leave);
      if (lowest >= 0) this.scratch.give(ea.type, lowest);
      this.bindResult(joined.pointer);
      this.consume(ea);
    });
    const place = { pointer: joined.pointer, offset: () => first - joined.low };
    this.note(place, bytes, isWrite);
    return place;
  }
  private emitLowest(ea: Node, distance: number, local: number): void {
    const { w, isLong } = this;
    this.valueAgain(ea);
    if (isLong) w.i64(distance);
    else w.i32(distance);
    w.op(isLong ? OP.i64Add : OP.i32Add);
    w.set(local);
  }
  /** Leaves the place of an access that remembers its last page, in memory: V8 has no registers left for it in loops, and to move it
   *  about the stack takes longer. */
  private lookAtPage(ea: () => void, bytes: number, right: number, cache: number, leave: () => void): void {
    const { w, layout, isLong } = this;
    const cell = layout.state + FIELDS.pageCaches.offset + PAGE_CACHE.bytes * cache;
    ea();
    if (!isLong) w.op(OP.i64ExtendI32U);
    w.i32(0);
    w.memory(OP.i64Load, cell + PAGE_CACHE.tag);
    w.op(OP.i64Sub);
    w.i64(4096 - bytes);
    w.op(OP.i64GtU);
    w.block(OP.if, VOID, false);
    this.depth++;
    const found = this.scratch.take(I32);
    this.emitTlbLook(ea, bytes, right, found, leave);
    w.set(found);
    w.i32(0);
    ea();
    this.pageOf();
    w.memory(OP.i64Store, cell + PAGE_CACHE.tag);
    w.i32(0);
    w.get(found);
    w.memory(OP.i32Store, cell + PAGE_CACHE.addend);
    this.scratch.give(I32, found);
    this.depth--;
    w.end();
    ea();
    if (isLong) w.op(OP.i32WrapI64);
    w.i32(0);
    w.memory(OP.i32Load, cell + PAGE_CACHE.addend);
    w.op(OP.i32Add);
  }
  /** Leaves the place of an access that is alone with its page. */
  private lookUp(ea: () => void, bytes: number, right: number, leave: () => void): void {
    const { w } = this;
    const found = this.scratch.take(I32);
    this.emitTlbLook(ea, bytes, right, found, leave);
    ea();
    if (this.isLong) w.op(OP.i32WrapI64);
    w.op(OP.i32Add);
    this.scratch.give(I32, found);
  }
  /** Leaves the addend of an access's page: what the TLB knows takes no call, around which every register would have to be saved. */
  private emitTlbLook(ea: () => void, bytes: number, right: number, found: number, leave: () => void): void {
    const { w, layout, functions, isLong } = this;
    const low = () => {
      ea();
      if (isLong) w.op(OP.i32WrapI64);
    };
    const last = () => {
      ea();
      if (bytes === 1) return;
      if (isLong) w.i64(bytes - 1);
      else w.i32(bytes - 1);
      w.op(isLong ? OP.i64Add : OP.i32Add);
    };
    emitTlbCheck(w, { state: layout.state, low, last, right, entry: found, isLong }, true);
    w.block(OP.if, I32, false);
    ea();
    w.i32(bytes);
    w.call(right === TLB.write ? functions.fillWrite : functions.fillRead);
    w.tee(found);
    w.i32(1);
    w.op(OP.i32Eq);
    w.block(OP.if, VOID, false);
    this.depth += 2;
    leave();
    this.depth -= 2;
    w.end();
    w.get(found);
    w.op(OP.else);
    w.get(found);
    w.memory(OP.i32Load, TLB.addend);
    w.end();
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
  /** Lets lock-step take back what is written to a place. */
  private note({ pointer, offset }: Place, bytes: number, isWrite: boolean): void {
    const { journal } = this.layout;
    if (journal === undefined || !isWrite) return;
    this.use(pointer);
    this.statements.push(() => {
      const next = this.scratch.take(I32);
      emitJournal(this.w, journal, { pointer: pointer.local, offset: offset() }, bytes, next);
      this.scratch.give(I32, next);
      this.consume(pointer);
    });
  }

  // -- prepared nodes ------------------------------------------------------------------------------------------------

  /** A prepared node, any number of times. */
  protected valueAgain(node: Node): void {
    if (node.op !== CONST) this.w.get(this.offsetLocal(node));
    else if (node.type === I64) this.w.i64(node.imm);
    else this.w.i32(node.imm);
  }
  /** The one use that was said of a prepared node is over. */
  protected consume(node: Node): void {
    if (node.op === CONST) return;
    node.emitted++;
    if (node.local >= 0 && node.emitted >= node.uses) this.release(node);
  }
}
