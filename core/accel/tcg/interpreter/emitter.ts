/** Instructions as handlers of the interpreter: operands come from the predecoded record, registers live in memory. */
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { CS, FIELDS, SEGMENT } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import type { FunctionWriter } from '../../../wasm/writer.ts';
import { ALIAS, LOAD_U, type Node, type ScratchLocals, STORE } from '../emit/graph.ts';
import { type EngineImports, type EngineLayout, InstructionEmitter } from '../emit/instruction-emitter.ts';
import { emitJournal } from '../emit/journal.ts';
import { emitJumpLookup } from '../emit/jump-cache.ts';
import { emitTlbCheck } from '../emit/tlb-check.ts';
import { RECORD, TLB } from './layout.ts';

/** How a handler continues: in the big loop or as a function of its own. */
export interface Frame {
  readonly writer: FunctionWriter;
  readonly ip: number;
  /** Of 64 bits in 64-bit code. */
  readonly ea: number;
  /** Local that holds the TLB bank, or -1: read the field. */
  readonly tlb: number;
  /** Enclosing blocks between a handler's top level and the loop, or -1 for a function of its own. */
  loopDepth: number;
  readonly scratch: ScratchLocals;
}

export class Emitter extends InstructionEmitter {
  private readonly frame: Frame;
  private isEnded = false;
  readonly ip: Node;
  readonly ea: Node;

  constructor(frame: Frame, imports: EngineImports, layout: EngineLayout, isLong = false) {
    super(frame.writer, frame.scratch, imports, layout, isLong);
    this.frame = frame;
    this.ip = this.localNode(frame.ip, I32);
    this.ea = this.localNode(frame.ea, isLong ? I64 : I32);
  }

  recordField(op: number, offset: number): Node {
    return this.load(op, this.ip, offset, ALIAS.none);
  }

  /** Emits everything said so far and continues with the next record unless control flow was said. */
  finish(): void {
    if (!this.isEnded) this.continueAt(this.add(this.ip, this.const(RECORD.bytes)));
    this.emitAll();
  }
  /** The exact definition of the instruction that is written in its quick form. */
  longWay: (() => void) | null = null;
  private hasJumped = false;
  giveUp(condition: Node): void {
    const { longWay } = this;
    this.when(condition, () => {
      this.isSystem = true;
      longWay!();
      this.isSystem = false;
      this.statements.push(() => {
        const { w } = this;
        w.get(this.frame.ip);
        w.i32(RECORD.bytes);
        w.op(OP.i32Add);
        if (this.frame.loopDepth < 0) w.op(OP.return);
        else {
          w.set(this.frame.ip);
          w.br(OP.br, this.frame.loopDepth + this.depth);
        }
      });
    });
  }
  nativeState(name: string, ...args: Node[]): Node {
    this.settle(ALIAS.all);
    return this.native(name, ...args);
  }
  jumpState(): void {
    this.hasJumped = true;
  }
  /** After a quick form: as after a system instruction that left nothing to look at. */
  settleQuick(): void {
    if (!this.hasJumped) this.setRip(this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.bytes + RECORD.pc)));
    this.setField('attend', this.const(0));
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
  call(helper: string, ...given: Node[]): Node {
    const args = given.map((arg, i) => {
      if (arg.type !== I64) return arg;
      const at = this.layout.state + FIELDS.argumentHigh.offset + 4 * i;
      this.storeTo(OP.i32Store, this.base, at, this.narrow(this.shrU(arg, 32)), ALIAS.field);
      return this.narrow(arg);
    });
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
  // -- guest memory --------------------------------------------------------------------------------------------------

  /** Address in linear memory of `bytes` guest bytes, through the TLB; slow path on a miss. */
  private translate(ea: Node, bytes: number, right: number, slow: number): Node {
    this.use(ea, ea, ea, ea);
    if (this.isLong) this.use(ea);
    this.settle(ALIAS.guest);
    const pointer = this.resultNode(I32);
    this.statements.push(() => {
      const { w } = this;
      const entry = this.frame.scratch.take(I32);
      this.tlbCheck(ea, bytes, right, entry);
      w.block(OP.if, I32, false);
      this.address(ea);
      w.get(this.frame.ip);
      w.i32(bytes);
      w.call(slow);
      w.op(OP.else);
      this.lowAddress(ea);
      w.get(entry);
      w.memory(OP.i32Load, TLB.addend);
      w.op(OP.i32Add);
      if (right === TLB.write) this.journal(entry, bytes);
      w.end();
      this.frame.scratch.give(I32, entry);
      this.bindResult(pointer);
    });
    return pointer;
  }
  /** Leaves an address as imports take it: in 64-bit code as its halves, two uses of `ea`. */
  private address(ea: Node): void {
    const { w } = this;
    this.lowAddress(ea);
    if (!this.isLong) return;
    this.value(ea);
    w.i64(32);
    w.op(OP.i64ShrU);
    w.op(OP.i32WrapI64);
  }
  private lowAddress(ea: Node): void {
    this.value(ea);
    if (this.isLong) this.w.op(OP.i32WrapI64);
  }
  /** Notes what is at the address on the stack, which stays there; `local` is free. */
  private journal(local: number, bytes: number): void {
    const { journal } = this.layout;
    if (journal === undefined) return;
    const next = this.frame.scratch.take(I32);
    this.w.tee(local);
    emitJournal(this.w, journal, { pointer: local, offset: 0 }, bytes, next);
    this.frame.scratch.give(I32, next);
  }
  /** Leaves 1 on the stack when the TLB does not allow the access; two uses of `ea`. */
  private tlbCheck(ea: Node, bytes: number, right: number, entry: number): void {
    const { w } = this;
    const low = () => this.lowAddress(ea);
    const last = () => {
      this.value(ea);
      if (bytes === 1) return;
      if (this.isLong) w.i64(bytes - 1);
      else w.i32(bytes - 1);
      w.op(this.isLong ? OP.i64Add : OP.i32Add);
    };
    const { tlb } = this.frame;
    const bank = tlb >= 0 ? { bank: tlb } : {};
    emitTlbCheck(w, { state: this.layout.state, low, last, right, entry, isLong: this.isLong, ...bank }, true);
  }
  protected guestLoad(ea: Node, width: Width): Node {
    const pointer = this.translate(ea, width / 8, TLB.read, this.imports.slowRead);
    return this.load(LOAD_U[width], pointer, 0, ALIAS.guest);
  }
  /** A value as a store of this width takes it. */
  private fit(value: Node, width: Width): Node {
    if (!this.isLong || width === 128) return value;
    return width === 64 ? this.wideU(value) : this.narrow(value);
  }
  protected guestStore(ea: Node, given: Node, width: Width): void {
    const value = this.fit(given, width);
    this.use(ea, ea, ea, ea, value, value);
    if (this.isLong) this.use(ea);
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
        this.address(ea);
        w.get(this.frame.ip);
        w.i32(width / 8);
        w.call(this.imports.storeScratch);
      } else {
        this.address(ea);
        this.value(value);
        w.i32(width / 8);
        w.get(this.frame.ip);
        w.call(this.imports.slowWrite);
      }
      w.op(OP.else);
      this.lowAddress(ea);
      w.get(entry);
      w.memory(OP.i32Load, TLB.addend);
      w.op(OP.i32Add);
      this.journal(entry, width / 8);
      this.value(value);
      w.memory(STORE[width], 0);
      w.end();
      this.frame.scratch.give(I32, entry);
    });
  }
  /** Memory at a linear address. */
  linearOperand(kind: 'm' | 's' | 'f' | 'g', width: Width, address: () => Node): Operand<Node> {
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
        this.storeTo(STORE[width], pointer, 0, this.fit(value, width), ALIAS.guest);
        this.commitScratch(pointer);
      },
      address: at,
      part: (index) => this.linearOperand('m', 128, () => this.add(at(), this.const(16 * index))),
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
  /** A register through a pointer (relative to the state block) or at a constant offset. `isGeneral`: in 64-bit code a write of 32 bits
   *  clears the upper half. */
  registerOperand(width: Width, pointer: Node | number, isGeneral = true, byte = 0): Operand<Node> {
    const address = typeof pointer === 'number' ? this.base : pointer;
    const offset = this.layout.state + byte + (typeof pointer === 'number' ? pointer : 0);
    const load = () => this.load(LOAD_U[width], address, offset, ALIAS.register);
    const clears = this.isLong && isGeneral && width === 32;
    return {
      kind: 'r',
      width,
      load,
      modify: load,
      store: (value) => {
        if (clears) this.storeTo(OP.i64Store, address, offset, this.wideU(this.narrow(value)), ALIAS.register);
        else this.storeTo(STORE[width], address, offset, this.fit(value, width), ALIAS.register);
      },
      address: () => {
        throw new Error('a register has no address');
      },
      part: (index) => this.registerOperand(128, pointer, isGeneral, 16 * index),
    };
  }
  immediateOperand(width: Width, offset: number, isWhole = false): Operand<Node> {
    const refuse = (): never => {
      throw new Error('an immediate cannot be written');
    };
    const op = width !== 64 ? OP.i32Load : isWhole ? OP.i64Load : OP.i64Load32S;
    const load = () => this.recordField(op, offset);
    return { kind: 'i', width, load, modify: refuse, store: refuse, address: refuse, part: refuse };
  }

  protected refuseOffset(segment: Node, offset: Node, shape: number): void {
    this.value(segment);
    this.value(offset);
    this.w.i32(shape);
    this.w.get(this.frame.ip);
    this.w.call(this.imports.segmentCheck);
  }
  /** Linear address of a guarded instruction's operand: the record in front has computed its offset and holds the segment's index. */
  guardedAddress(width: Width, isWrite: boolean): Node {
    const segment = this.load(OP.i32Load, this.sub(this.ip, this.const(RECORD.bytes)), RECORD.imm2, ALIAS.none);
    return this.linear(segment, this.ea, width / 8, isWrite);
  }
  /** 64-bit code: a register or RIP, a displacement, perhaps the base of FS or GS. */
  longEa(scale: number | null, addrSize: 32 | 64, hasBase: boolean): Node {
    const register = (field: number) => this.registerOperand(addrSize, this.recordField(OP.i32Load16U, field)).load();
    const displacement = this.recordField(addrSize === 64 ? OP.i64Load32S : OP.i32Load, RECORD.imm);
    let offset = this.add(register(RECORD.a), displacement);
    if (scale !== null) offset = this.add(offset, this.shl(register(RECORD.b), scale));
    const wide = this.wideU(offset);
    if (!hasBase) return wide;
    const at = this.recordField(OP.i32Load16U, RECORD.imm2);
    return this.add(wide, this.load(OP.i64Load, at, this.layout.state + SEGMENT.base, ALIAS.field));
  }
  /** The base of a segment that the record names. */
  addBase(address: Node): Node {
    const at = this.recordField(OP.i32Load16U, RECORD.a);
    return this.add(address, this.load(OP.i64Load, at, this.layout.state + SEGMENT.base, ALIAS.field));
  }
  /** 64-bit code: an absolute address of 64 bits, or one relative to RIP whose distance takes more than 32 bits. */
  wholeEa(isRelative: boolean): Node {
    const address = this.recordField(OP.i64Load, RECORD.imm);
    return isRelative ? this.add(this.rip, address) : address;
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
  private get rip(): Node {
    if (!this.isLong) return this.field('rip');
    return this.load(OP.i64Load, this.base, this.layout.state + FIELDS.rip.offset, ALIAS.field);
  }
  private setRip(value: Node): void {
    if (!this.isLong) this.setField('rip', value);
    else this.storeTo(OP.i64Store, this.base, this.layout.state + FIELDS.rip.offset, this.wideU(value), ALIAS.field);
  }
  /** A distance, as long as RIP. */
  private distance(node: Node): Node {
    return this.isLong ? this.wideS(node) : node;
  }
  /** Linear address of the block. */
  private linearRip(): Node {
    return this.isLong ? this.rip : this.add(this.rip, this.segmentField(CS, SEGMENT.base));
  }
  eip(): Node {
    return this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.pc));
  }
  nextEip(): Node {
    return this.truncated(this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.bytes + RECORD.pc)));
  }
  protected takeBudget(instructions: Node): void {
    this.setField('budget', this.sub(this.field('budget'), instructions));
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
    const distance = this.distance(this.recordField(OP.i32Load, offset + RECORD.imm));
    const target = this.add(this.rip, distance);
    this.setRip(this.truncated(target));
    this.pay();
    if (this.form.opSize === 16) this.findWrapped(this.shrU(target, 16));
    this.continueAt(this.recordField(OP.i32Load, offset + RECORD.imm2));
  }
  /** The link of a branch holds for targets as the code says them, not for one that lost its upper half: that may be anywhere. */
  private findWrapped(lost: Node): void {
    this.when(lost, () => this.findBlock(), undefined, false);
  }
  admitRelative(condition?: Node): void {
    if (!this.form.limited) return;
    const target = this.truncated(this.add(this.rip, this.distance(this.recordField(OP.i32Load, RECORD.imm))));
    const isBeyond = this.isBeyondLimit(target);
    this.refuseIf(condition ? this.and(this.ne(condition, this.const(0)), isBeyond) : isBeyond);
  }
  jumpRelative(): void {
    this.goRelative(0);
  }
  /** The record that follows has the distance and the chain of the way straight on. With 16-bit operands a branch that is taken
   *  truncates EIP (SDM volume 2, Jcc), one that is not does not. */
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
    const distance = this.distance(this.load(OP.i32Load, record, RECORD.imm, ALIAS.none));
    const target = this.add(this.rip, distance);
    let lost: Node | null = null;
    if (this.form.opSize === 16) {
      const kept = this.select(this.eq(record, this.ip), this.const(0xffff), this.const(-1));
      lost = this.and(target, this.not(kept));
      this.setRip(this.and(target, kept));
    } else this.setRip(target);
    this.pay();
    if (lost) this.findWrapped(lost);
    this.continueAt(this.load(OP.i32Load, record, RECORD.imm2, ALIAS.none));
  }
  jump(target: Node): void {
    this.setRip(this.truncated(target));
    this.pay();
    this.findBlock();
  }
  /** Continues at the block of RIP: through the jump cache, else through the engine. `resync`: number of the handler of dropped blocks,
   *  where the jump cache may still lead. */
  findBlock(resync = -1): void {
    this.isEnded = true;
    const { w, layout } = this;
    const linear = this.linearRip();
    this.use(linear, linear);
    this.statements.push(() => {
      const entry = this.frame.scratch.take(I32);
      const translation = this.frame.scratch.take(I32);
      this.prepare(linear);
      const miss = () => {
        w.get(this.offsetLocal(linear));
        w.call(this.imports.seek);
      };
      emitJumpLookup(w, layout, this.offsetLocal(linear), entry, translation, miss, this.isLong);
      if (resync >= 0) {
        w.tee(entry);
        w.memory(OP.i32Load16U, RECORD.handler);
        w.i32(resync);
        w.op(OP.i32Eq);
        w.block(OP.if, VOID);
        w.call(this.imports.lookup);
        w.set(entry);
        w.end();
        w.get(entry);
      }
      if (this.frame.loopDepth < 0) w.op(OP.return);
      else {
        w.tee(this.frame.ip);
        w.br(OP.brIf, this.frame.loopDepth + this.depth);
        w.op(OP.return);
      }
      this.frame.scratch.give(I32, entry);
      this.frame.scratch.give(I32, translation);
    });
  }
  /** End of a block after a system instruction: the engine decides anew (mode, interrupts) if it said so. */
  endSystem(): void {
    this.statements.push(() => {
      const { w } = this;
      w.i32(0);
      w.memory(OP.i32Load, this.layout.state + FIELDS.tlbBase.offset);
      w.set(this.frame.tlb);
    });
    this.pay();
    const attend = this.field('attend');
    this.when(attend, () => {
      const next = this.callImport(this.imports.lookup, [], true);
      this.use(next);
      this.statements.push(() => {
        const { w } = this;
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
  /** The instruction's block was dropped: RIP moves to this instruction, and its block is looked for afresh. Branches keep leading to
   *  where a block was. */
  resync(handler: number): void {
    this.setRip(this.add(this.rip, this.recordField(OP.i32Load8U, RECORD.pc)));
    const count = this.recordField(OP.i32Load8U, RECORD.index);
    this.setField('budget', this.sub(this.field('budget'), count));
    this.findBlock(handler);
  }
  /** First record of a block: counts down until the block is worth compiling. */
  enter(): void {
    const left = this.sub(this.recordField(OP.i32Load, RECORD.imm), this.const(1));
    this.storeTo(OP.i32Store, this.ip, RECORD.imm, left, ALIAS.none);
    this.when(this.eqz(left), () => void this.callImport(this.imports.hot, [this.ip], false));
  }
  /** In front of a block whose code segment has a limit: what does not lie below it as a whole is done by single instructions. */
  limit(): void {
    const limit = this.segmentField(CS, SEGMENT.limit);
    const rip = this.field('rip');
    const isAfter = this.gtU(this.recordField(OP.i32Load, RECORD.imm), this.sub(limit, rip));
    this.when(this.or(this.gtU(rip, limit), isAfter), () => {
      this.isEnded = true;
      this.goOnWith(this.call('overLimit'));
    });
    this.isEnded = false;
  }
  /** In front of an instruction that lies in two pages: goes on if the second is where it was when it was decoded. */
  split(): void {
    const next = this.add(this.and(this.linearRip(), this.const(-4096)), this.const(4096));
    const low = this.narrow(next);
    const entry = this.add(this.and(this.shrU(low, TLB.indexShift), this.const(TLB.indexMask)), this.field('tlbBase'));
    const at = this.add(this.load(OP.i32Load, entry, TLB.addend, ALIAS.field), low);
    const isThere = this.and(
      this.eq(this.load(this.isLong ? OP.i64Load : OP.i32Load, entry, TLB.execute, ALIAS.field), next),
      this.eq(at, this.recordField(OP.i32Load, RECORD.imm)),
    );
    this.when(this.eqz(isThere), () => {
      this.isEnded = true;
      this.goOnWith(this.call('findSplit'));
    });
    this.isEnded = false;
  }
  /** For handlers that the generator writes by hand. */
  leaveNow(): void {
    this.isEnded = true;
    this.leave();
  }
}
