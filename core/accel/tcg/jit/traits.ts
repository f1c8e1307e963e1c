/** What one instruction does to registers and flags and whether it can leave the region: found by reading its definition with
 *  an emitter that only takes notes. */
import type { Executable } from '../../../target/x86/decode/decoder.ts';
import type { FlagName, Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { I32, I64 } from '../../../wasm/opcodes.ts';
import { FunctionWriter } from '../../../wasm/writer.ts';
import { MODE } from '../blocks.ts';
import { CONST, LOAD_U, type Node, ScratchLocals } from '../emit/graph.ts';
import type { EngineImports } from '../emit/instruction-emitter.ts';
import { FAULTS, RegionOps, registerPlace } from './region-ops.ts';

export interface Traits {
  /** General and vector registers as bit masks. */
  readonly gprs: number;
  readonly gprsWritten: number;
  readonly xmms: number;
  readonly xmmsWritten: number;
  /** Flags are read before the instruction has written all of them. */
  readonly readsFlags: boolean;
  /** All six arithmetic flags are written in every case. */
  readonly writesAllFlags: boolean;
  /** It may leave the region before it has done anything: memory, faults, helpers. */
  readonly exits: boolean;
  readonly calls: boolean;
  /** Accesses by group and direction: 2 * group + isWrite. */
  readonly accesses: readonly number[];
}

const NO_IMPORTS = {} as EngineImports;

class Probe extends RegionOps {
  gprs = 0;
  gprsWritten = 0;
  xmms = 0;
  xmmsWritten = 0;
  readsFlags = false;
  writesAllFlags = false;
  exits = false;
  calls = false;
  accesses: number[] = [];

  constructor(isLong: boolean) {
    const writer = new FunctionWriter(0, 0);
    super(writer, new ScratchLocals(writer), NO_IMPORTS, { state: 0, jumpCache: 0 }, isLong);
  }
  read(d: Executable, mode: number): Traits {
    this.mode = mode;
    this.gprs = this.gprsWritten = this.xmms = this.xmmsWritten = 0;
    this.accesses = [];
    this.readsFlags = this.writesAllFlags = this.exits = this.calls = false;
    this.describe(d);
    this.statements = [];
    this.open = [];
    const { gprs, gprsWritten, xmms, xmmsWritten, readsFlags, writesAllFlags, exits, calls, accesses } = this;
    return { gprs, gprsWritten, xmms, xmmsWritten, readsFlags, writesAllFlags, exits, calls, accesses };
  }
  private any(type = I32): Node {
    return this.localNode(0, type);
  }

  registerOperand(width: Width, pointer: number): Operand<Node> {
    const place = registerPlace(pointer);
    const bit = 1 << place.index;
    const load = () => {
      if (place.file === 'gpr') this.gprs |= bit;
      if (place.file === 'xmm') this.xmms |= bit;
      return this.load(LOAD_U[width], this.base, 0, 0);
    };
    const store = () => {
      if (place.file === 'gpr') {
        this.gprsWritten |= bit;
        this.gprs |= bit;
      }
      if (place.file === 'xmm') {
        this.xmmsWritten |= bit;
        this.xmms |= bit;
      }
    };
    const part = (index: number) => this.registerOperand(128, pointer + 16 * index);
    return { kind: 'r', width, load, modify: load, store, part, address: () => this.any() };
  }
  protected groupedOperand(width: Width, address: () => Node, group: number): Operand<Node> {
    const access = (isWrite: boolean) => () => {
      address();
      this.exits = true;
      this.accesses.push(2 * group + (isWrite ? 1 : 0));
      return this.load(LOAD_U[width], this.base, 0, 0);
    };
    return {
      kind: 'm',
      width,
      load: access(false),
      modify: access(true),
      store: () => void access(true)(),
      part: () => this.groupedOperand(128, address, group),
      address: () => {
        this.exits = true;
        return address();
      },
    };
  }
  protected refuseOffset(): void {
    this.exits = true;
  }
  protected override linear(segment: number | Node, offset: Node, bytes: number, isWrite: boolean): Node {
    this.exits = true;
    return super.linear(segment, offset, bytes, isWrite);
  }
  override when(condition: Node, then: () => void, otherwise?: () => void): void {
    if (condition.op === CONST) {
      if (condition.imm !== 0) then();
      else otherwise?.();
      return;
    }
    this.conditional++;
    then();
    otherwise?.();
    this.conditional--;
  }
  override rarely(_condition: Node, _rare: () => void, usual: () => void): void {
    this.exits = true;
    usual();
  }
  call(helper: string): Node {
    this.exits = true;
    if (!FAULTS.has(helper)) this.calls = true;
    return this.any();
  }
  repeat(helper: string): void {
    this.call(helper);
  }
  giveUp(): void {
    this.exits = true;
  }
  nativeState(): Node {
    this.exits = true;
    return this.any();
  }
  protected takeBudget(): void {}
  override charge(): void {}
  jumpState(): void {}
  override raise(): void {
    this.exits = true;
  }
  eip(): Node {
    return this.any(this.isLong ? I64 : I32);
  }
  nextEip(): Node {
    return this.eip();
  }
  override admit(): void {
    if (this.form.limited) this.exits = true;
  }
  admitRelative(): void {
    if (this.form.limited) this.exits = true;
  }
  jump(): void {}
  jumpRelative(): void {}
  branchRelative(): void {}

  private noteRead(): void {
    if (!this.writesAllFlags) this.readsFlags = true;
  }
  override flag(_name: FlagName): Node {
    this.noteRead();
    return this.any();
  }
  override condition(): Node {
    this.noteRead();
    return this.any();
  }
  private noteWrite(): void {
    if (this.conditional === 0) this.writesAllFlags = true;
    else this.noteRead();
  }
  override commitFlags(): void {
    this.noteWrite();
  }
  override commitLogicFlags(): void {
    this.noteWrite();
  }
  override commitResultFlags(): void {
    this.noteWrite();
  }
  override commitShiftFlags(): void {
    this.noteWrite();
  }
  override commitFlagsExceptCarry(): void {
    this.noteRead();
  }
  override commitCarryOverflow(): void {
    this.noteRead();
  }
  override setFlag(): void {
    this.noteRead();
  }
  override setFlags(): void {
    this.noteWrite();
  }
}

let probe: Probe | null = null;
let longProbe: Probe | null = null;
export function traitsOf(d: Executable, mode: number): Traits {
  if (mode & MODE.code64) {
    longProbe ??= new Probe(true);
    return longProbe.read(d, mode);
  }
  probe ??= new Probe(false);
  return probe.read(d, mode);
}
