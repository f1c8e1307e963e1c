/** What the two readers of a region's instructions share: operands of a decoded instruction as expressions over registers. */
import { type DecodedOperand, type Executable, RIP_BASE } from '../../../target/x86/decode/decoder.ts';
import { VECTOR } from '../../../target/x86/fault.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { DS, EDI, ES, ESI, ESP, FIELDS, FS, SS } from '../../../target/x86/state.ts';
import { isAddress } from '../address-fields.ts';
import { isAbsolute, isLimited, MODE } from '../blocks.ts';
import type { Node } from '../emit/graph.ts';
import { InstructionEmitter } from '../emit/instruction-emitter.ts';

const BIT_TESTS = new Set(INSTRUCTIONS.filter((i) => /^bt[src]?$/.test(i.name)));
/** Groups of accesses that tend to stay in one page: those through the same registers, at displacements that are not far apart. This
 *  one is for what has no operand in memory, and for R15. */
const GROUP_OTHER = 15;
/** Bits of a group's number: base, index and one, no base register, and which 4 KiB the displacement is near. */
const GROUP = { index: 4, baseless: 1 << 9, displacement: 10, displacementMask: 0x7_ffff } as const;
function groupOf({ memory }: Executable): number {
  const { base, index, displacement } = memory!;
  const near = (displacement + 2048) >> 12;
  return (
    (base < 0 || base === RIP_BASE ? GROUP.baseless : base) |
    ((index + 1) << GROUP.index) |
    ((near & GROUP.displacementMask) << GROUP.displacement)
  );
}

/** Helpers for what is rare, faults above all: the interpreter does such an instruction. */
export const FAULTS = new Set([
  'cli',
  'sseUnavailable',
  'vexUnavailable',
  'avxUnavailable',
  'probeWrite',
  'mmxUnavailable',
  'denied',
  'wait',
  'x87Ready',
  'x87Rare',
  'x87At',
]);

/** Helpers for what the fast path of an instruction does not admit. A call here would put every register into memory and back,
 *  which costs the fast path as well: what the two ways leave has to be joined. So they leave the region too. */
const EXACT = new Set(['vectorFloat', 'vectorCompare']);

/** The everyday form of an instruction, if it has one in such code. */
export const quickOf = (d: Executable, isLong: boolean) => (isLong ? d.instruction.quickLong : d.instruction.quick);

/** Where a register operand lives. */
export interface RegisterPlace {
  readonly file: 'gpr' | 'xmm' | 'memory';
  readonly index: number;
  /** Offset inside the register. */
  readonly byte: number;
}
export function registerPlace(offset: number): RegisterPlace {
  const gpr = offset - FIELDS.gpr.offset;
  if (gpr >= 0 && gpr < 128) return { file: 'gpr', index: gpr >> 3, byte: gpr & 7 };
  const xmm = offset - FIELDS.xmm.offset;
  if (xmm >= 0 && xmm < 16 * 64 && (xmm & 63) < 16) return { file: 'xmm', index: xmm >> 6, byte: xmm & 63 };
  return { file: 'memory', index: 0, byte: 0 };
}

export abstract class RegionOps extends InstructionEmitter {
  mode = 0;
  /** Conditional parts of the definition around what is being read. */
  protected conditional = 0;

  protected abstract groupedOperand(width: Width, address: () => Node, group: number): Operand<Node>;

  linearOperand(_kind: 'm' | 's' | 'f' | 'g', width: Width, address: () => Node): Operand<Node> {
    return this.groupedOperand(width, address, GROUP_OTHER);
  }

  protected override segmentOperand(segment: number | Node, width: Width, address: () => Node): Operand<Node> {
    return this.groupedOperand(width, address, segment === SS ? ESP : segment === ES ? EDI : ESI);
  }

  override callVector(helper: string, code: Node, a: Node, b: Node): Node {
    if (this.conditional === 0 || !EXACT.has(helper)) return super.callVector(helper, code, a, b);
    this.raise(VECTOR.UD); // whatever it is: the interpreter does the instruction
    return a;
  }

  protected describe(d: Executable): void {
    this.form = {
      opSize: d.opSize,
      addrSize: d.addrSize,
      rep: d.instruction.variants?.includes('rep') ? d.rep : 0,
      flatStack: (this.mode & MODE.flatStack) !== 0,
      limited: isLimited(this.mode, d.opSize),
      long: this.isLong,
    };
    const [a, b, c, e] = d.operands.map((operand) => this.operandOf(d, operand));
    const quick = quickOf(d, this.isLong);
    if (quick) quick(this, a!, b!, c!);
    else d.instruction.semantics(this, a!, b!, c!, e!);
  }

  /** A displacement or an immediate as the code has it where it runs, where that may differ; null: it is the same everywhere. */
  protected fieldNode(_which: 'displacement' | 'immediate', _width: 32 | 64): Node | null {
    return null;
  }
  private displacement({ memory }: Executable, width: 32 | 64): Node {
    const { displacement } = memory!;
    return (
      this.fieldNode('displacement', width) ?? (width === 64 ? this.const64(displacement) : this.const(displacement))
    );
  }

  private operandOf(d: Executable, operand: DecodedOperand): Operand<Node> {
    const { width } = operand;
    if (operand.kind === 'r') return this.registerOperand(width, operand.value);
    if (operand.kind === 'i') return this.constantOperand(width, operand.value, d.high);
    const address = () => (this.isLong ? this.longAddressOf(d) : this.addressOf(d, width));
    return this.groupedOperand(width, address, groupOf(d));
  }
  private constantOperand(width: Width, value: number, high: number): Operand<Node> {
    const refuse = (): never => {
      throw new Error('an immediate cannot be written');
    };
    const constant = () => (width === 64 ? this.constant64(value, high) : this.const(value));
    const load = () => (isAddress(value) && this.fieldNode('immediate', width === 64 ? 64 : 32)) || constant();
    return { kind: 'i', width, load, modify: refuse, store: refuse, address: refuse, part: refuse };
  }
  private constant64(low: number, high: number): Node {
    if (high === low >> 31) return this.const64(low);
    return this.or(this.shl(this.const64(high), 32), this.const64(low >>> 0));
  }
  /** The same of 64-bit code. */
  private longAddressOf(d: Executable): Node {
    const { instruction } = d;
    const { addrSize, base, index, scale, displacement, segment } = d.memory!;
    const size = addrSize === 32 ? 32 : 64;
    let at: Node;
    if (isAbsolute(d)) at = this.constant64(displacement, d.high);
    else if (base === RIP_BASE) at = this.add(this.nextEip(), this.const64(displacement));
    else if (base < 0) at = this.displacement(d, size);
    else at = this.add(this.reg(base, size).load(), this.displacement(d, size));
    if (index >= 0) at = this.add(at, this.shl(this.reg(index, size).load(), scale));
    if (size === 32) at = this.wideU(this.narrow(at));
    if (instruction.addressOnly) return at;
    if (segment >= FS) at = this.add(at, this.segmentBase(segment));
    const bit = d.operands[1];
    if (bit?.kind === 'r' && BIT_TESTS.has(instruction)) {
      // The operand that holds the bit, relative to the address.
      const { opSize } = d;
      const unit = opSize === 16 ? 4 : opSize === 32 ? 5 : 6;
      const number = this.wideS(this.signExtend(this.registerOperand(opSize, bit.value).load(), opSize));
      at = this.add(at, this.shl(this.shrS(number, unit), unit - 3));
    }
    return at;
  }
  /** A value as a store of this width takes it. */
  protected fit(value: Node, width: Width): Node {
    if (!this.isLong || width >= 128) return value;
    return width === 64 ? this.wideU(value) : this.narrow(value);
  }
  /** Linear address of the memory operand; the bare offset for instructions that only compute it. */
  private addressOf(d: Executable, width: Width): Node {
    const { instruction } = d;
    const memory = d.memory!;
    let at = memory.base < 0 ? this.displacement(d, 32) : this.reg(memory.base, 32).load();
    if (memory.index >= 0) at = this.add(at, this.shl(this.reg(memory.index, 32).load(), memory.scale));
    if (memory.base >= 0) at = this.add(at, this.displacement(d, 32));
    if (memory.addrSize === 16) at = this.and(at, this.const(0xffff));
    if (instruction.addressOnly) return at;
    const isFlat =
      (this.mode & MODE.flatData) !== 0 && (memory.segment === DS || memory.segment === SS || memory.segment === ES);
    if (!isFlat) {
      const isWrite = d.operands[0]!.kind === 'm' && instruction.dst !== 'r';
      at = this.linear(memory.segment, at, width / 8, isWrite);
    }
    const index = d.operands[1];
    if (index?.kind === 'r' && BIT_TESTS.has(instruction)) {
      // The operand that holds the bit, relative to the address.
      const bits = d.opSize === 16 ? 16 : 32;
      const units = this.shrS(
        this.signExtend(this.registerOperand(bits, index.value).load(), bits),
        bits === 16 ? 4 : 5,
      );
      at = this.add(at, this.shl(units, bits === 16 ? 1 : 2));
    }
    return at;
  }
  protected guestLoad(ea: Node, width: Width): Node {
    return this.groupedOperand(width, () => ea, ESP).load();
  }
  protected guestStore(ea: Node, value: Node, width: Width): void {
    this.groupedOperand(width, () => ea, ESP).store(value);
  }
}
