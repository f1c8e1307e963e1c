/** What the two readers of a region's instructions share: operands of a decoded instruction as expressions over registers. */
import type { Decoded, DecodedOperand } from '../../../target/x86/decode/decoder.ts';
import { VECTOR } from '../../../target/x86/fault.ts';
import { INSTRUCTIONS } from '../../../target/x86/semantics/index.ts';
import type { Operand, Width } from '../../../target/x86/semantics/ops.ts';
import { DS, ES, ESP, FIELDS, SS } from '../../../target/x86/state.ts';
import { MODE } from '../blocks.ts';
import type { Node } from '../emit/graph.ts';
import { InstructionEmitter } from '../emit/instruction-emitter.ts';

const BIT_TESTS = new Set(INSTRUCTIONS.filter((i) => /^bt[src]?$/.test(i.name)));
/** Accesses that tend to stay in one page: those through the same base register. The last is for everything else. */
export const GROUP_OTHER = 8;
export const GROUPS = 9;

/** Helpers for what is rare, faults above all: the interpreter does such an instruction. */
export const FAULTS = new Set([
  'cli',
  'sseUnavailable',
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

/** Where a register operand lives. */
export interface RegisterPlace {
  readonly file: 'gpr' | 'xmm' | 'memory';
  readonly index: number;
  /** Offset inside the register. */
  readonly byte: number;
}
export function registerPlace(offset: number): RegisterPlace {
  const gpr = offset - FIELDS.gpr.offset;
  if (gpr >= 0 && gpr < 64) return { file: 'gpr', index: gpr >> 3, byte: gpr & 7 };
  const xmm = offset - FIELDS.xmm.offset;
  if (xmm >= 0 && xmm < 8 * 64) return { file: 'xmm', index: xmm >> 6, byte: xmm & 63 };
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

  override callVector(helper: string, code: Node, a: Node, b: Node): Node {
    if (this.conditional === 0 || !EXACT.has(helper)) return super.callVector(helper, code, a, b);
    this.raise(VECTOR.UD); // whatever it is: the interpreter does the instruction
    return a;
  }

  protected describe(d: Decoded): void {
    this.form = {
      opSize: d.opSize,
      addrSize: d.addrSize,
      rep: d.instruction.variants?.includes('rep') ? d.rep : 0,
      flatStack: (this.mode & MODE.flatStack) !== 0,
      long: false,
    };
    const [a, b, c] = d.operands.map((operand) => this.operandOf(d, operand));
    if (d.instruction.quick) d.instruction.quick(this, a!, b!, c!);
    else d.instruction.semantics(this, a!, b!, c!);
  }

  private operandOf(d: Decoded, operand: DecodedOperand): Operand<Node> {
    const { width } = operand;
    if (operand.kind === 'r') return this.registerOperand(width, operand.value);
    if (operand.kind === 'i') return this.constantOperand(width, operand.value);
    const base = d.memory!.base;
    return this.groupedOperand(width, () => this.addressOf(d, width), base < 0 ? GROUP_OTHER : base);
  }
  private constantOperand(width: Width, value: number): Operand<Node> {
    const refuse = (): never => {
      throw new Error('an immediate cannot be written');
    };
    return { kind: 'i', width, load: () => this.const(value), modify: refuse, store: refuse, address: refuse };
  }
  /** Linear address of the memory operand; the bare offset for instructions that only compute it. */
  private addressOf(d: Decoded, width: Width): Node {
    const { instruction } = d;
    const memory = d.memory!;
    let at = memory.base < 0 ? this.const(memory.displacement) : this.reg(memory.base, 32).load();
    if (memory.index >= 0) at = this.add(at, this.shl(this.reg(memory.index, 32).load(), memory.scale));
    if (memory.base >= 0) at = this.add(at, this.const(memory.displacement));
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
