/** Generates the interpreter: one function with a loop over predecoded records and one big br_table for the hot forms, and
 *  single functions for the others, reached through a table. */

import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import type { Instruction, Operand } from '../../../target/x86/semantics/ops.ts';
import { FIELDS } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import { type FunctionWriter, ModuleWriter } from '../../../wasm/writer.ts';
import { type Node, ScratchLocals } from '../emit/graph.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { Emitter, type Frame } from './emitter.ts';
import type { HandlerForm } from './forms.ts';
import { RECORD } from './layout.ts';

/** Handlers without an instruction, in handler order. */
export const SPECIAL = [
  'link',
  'find',
  'endSystem',
  'resync',
  'enter',
  'split',
  'limit',
  'ea32',
  'ea32x0',
  'ea32x1',
  'ea32x2',
  'ea32x3',
  'ea32s',
  'ea32sx0',
  'ea32sx1',
  'ea32sx2',
  'ea32sx3',
  'ea16',
  'ea16x0',
  'ea16s',
  'ea16sx0',
  'eaBits16',
  'eaBits32',
] as const;
/** More of 64-bit code. Addresses of 32 or 64 bits, with the base of FS or GS (`b`), scaled index. */
const LONG_SPECIAL = [
  ...['ea64', 'ea64x0', 'ea64x1', 'ea64x2', 'ea64x3', 'ea64b', 'ea64bx0', 'ea64bx1', 'ea64bx2', 'ea64bx3'],
  ...['ea32b', 'ea32bx0', 'ea32bx1', 'ea32bx2', 'ea32bx3', 'eaAbsolute', 'eaFar', 'eaBase', 'eaBits64'],
] as const;
export type SpecialName = (typeof SPECIAL)[number];
/** In handler order, those of all code first. */
export const specialNames = (isLong: boolean): readonly string[] => (isLong ? [...SPECIAL, ...LONG_SPECIAL] : SPECIAL);

/** Most pages that the linear memory can have. */
export const PAGES = 65536;
/** Imports the native functions that these instructions call. */
export function declareNatives(module: ModuleWriter, instructions: Iterable<Instruction>): Record<string, number> {
  const declared: Record<string, number> = {};
  for (const { natives } of instructions)
    for (const name of natives ?? []) {
      const { params, result } = NATIVES[name]!;
      declared[name] ??= module.importFunction('n', name, params, [result]);
    }
  return declared;
}
/** What the engine gives every module; native functions only as far as these instructions call them. */
export function declareImports(
  module: ModuleWriter,
  withTable: boolean,
  instructions: Iterable<Instruction>,
  isLong = false,
): EngineImports {
  const f = (name: string, params: number, results: number) =>
    module.importFunction('e', name, Array(params).fill(I32) as number[], Array(results).fill(I32) as number[]);
  const imports: EngineImports = {
    // Linear addresses of 64 bits come in halves: no BigInt is made.
    slowRead: isLong ? f('slowReadLong', 4, 1) : f('slowRead', 3, 1),
    slowUpdate: isLong ? f('slowUpdateLong', 4, 1) : f('slowUpdate', 3, 1),
    slowWrite: isLong ? f('slowWriteLong', 5, 0) : f('slowWrite', 4, 0),
    storeScratch: isLong ? f('storeScratchLong', 4, 0) : f('storeScratch', 3, 0),
    commitUpdate: f('commitUpdate', 1, 0),
    segmentCheck: f('segmentCheck', 4, 0),
    helper: f('helper', 5, 1),
    system: f('system', 5, 1),
    lookup: f('lookup', 0, 1),
    seek: isLong ? module.importFunction('e', 'seekLong', [I64], [I32]) : f('seek', 1, 1),
    hot: f('hot', 1, 0),
    natives: declareNatives(module, instructions),
  };
  if (withTable) module.importTable('e', 'table', 0);
  return imports;
}

const instructionsOf = (forms: readonly HandlerForm[]) => forms.map((form) => form.instruction);

/** Where an interpreter handler's operands are: in the record at `ip`. */
function operandsOf(o: Emitter, form: HandlerForm): Operand<Node>[] {
  const pointer = form.form.long ? 64 : 32;
  const registers: number[] = [RECORD.a, RECORD.b, RECORD.imm, RECORD.imm2];
  const memory = form.operands.find((x) => x.kind === 'f' || x.kind === 'g');
  const isThirdRegister = form.operands.filter((x) => x.kind === 'r' || x.kind === 'v').length > 2;
  const immediates: number[] = memory || isThirdRegister ? [RECORD.imm2] : [RECORD.imm, RECORD.imm2];
  return form.operands.map(({ kind, width }, position) => {
    if (kind === 'r' || kind === 'v')
      return o.registerOperand(width, o.recordField(OP.i32Load16U, registers.shift()!), kind === 'r');
    if (kind === 'i' || kind === 'q') return o.immediateOperand(width, immediates.shift()!, kind === 'q');
    if (kind === 'm') return o.linearOperand('m', width, () => o.ea);
    if (kind === 's') {
      const isWrite = position === 0 && form.instruction.dst !== 'r';
      return o.linearOperand('s', width, () => o.guardedAddress(width, isWrite));
    }
    return o.linearOperand(kind, width, () => {
      const displacement = o.recordField(pointer === 64 ? OP.i64Load32S : OP.i32Load, RECORD.imm);
      const at = o.add(register(o, RECORD.b, pointer), displacement);
      if (kind === 'f') return at;
      const scale = o.recordField(OP.i32Load16U, RECORD.imm2 + 2);
      return o.add(at, o.shl(register(o, RECORD.imm2, pointer), scale));
    });
  });
}
function register(o: Emitter, field: number, width: 16 | 32 | 64 = 32): Node {
  return o.registerOperand(width, o.recordField(OP.i32Load16U, field)).load();
}

type FourOperands = [Operand<Node>, Operand<Node>, Operand<Node>, Operand<Node>];

function emitForm(o: Emitter, form: HandlerForm): void {
  o.form = form.form;
  o.isSystem = form.instruction.ends === 'system';
  const [a, b, c, d] = operandsOf(o, form) as FourOperands;
  const { instruction } = form;
  const quick = form.form.long ? instruction.quickLong : instruction.quick;
  if (quick) {
    o.longWay = () => {
      const [a, b, c, d] = operandsOf(o, form) as FourOperands;
      instruction.semantics(o, a, b, c, d);
    };
    o.isSystem = false;
    quick(o, a, b, c);
    o.settleQuick();
  } else instruction.semantics(o, a, b, c, d);
  o.finish();
}

function emitSpecial(o: Emitter, name: string, isLong: boolean): void {
  switch (name) {
    case 'link':
      o.link();
      break;
    case 'find':
      o.findBlock();
      break;
    case 'endSystem':
      o.endSystem();
      break;
    case 'resync':
      o.resync(SPECIAL.indexOf('resync'));
      break;
    case 'enter':
      o.enter();
      break;
    case 'split':
      o.split();
      break;
    case 'limit':
      o.limit();
      break;
    case 'eaBits16':
    case 'eaBits32':
    case 'eaBits64': {
      // BT with a register as index: the operand that holds the bit, relative to the address.
      const width = name === 'eaBits16' ? 16 : name === 'eaBits32' ? 32 : 64;
      const signed = o.signExtend(register(o, RECORD.a, width === 64 ? 64 : 32), width);
      const index = isLong ? o.wideS(signed) : signed;
      const shift = Math.log2(width);
      o.setEa(o.add(o.ea, o.shl(o.shrS(index, shift), shift - 3)));
      break;
    }
    case 'eaAbsolute':
      o.setEa(o.wholeEa(false));
      break;
    case 'eaFar':
      o.setEa(o.wholeEa(true));
      break;
    case 'eaBase':
      o.setEa(o.addBase(o.ea));
      break;
    default: {
      if (isLong) {
        const [, size, base, scale] = /^ea(16|32|64)([bs]?)(?:x(\d))?$/.exec(name)!;
        // 16-bit addresses are not of 64-bit code.
        if (size !== '16')
          o.setEa(o.longEa(scale === undefined ? null : Number(scale), Number(size) as 32 | 64, base === 'b'));
        break;
      }
      const [, size, checked, scale] = /^ea(16|32)(s?)(?:x(\d))?$/.exec(name) ?? [];
      let offset = o.add(register(o, RECORD.a), o.recordField(OP.i32Load, RECORD.imm));
      if (scale !== undefined) offset = o.add(offset, o.shl(register(o, RECORD.b), Number(scale)));
      if (size === '16') offset = o.and(offset, o.const(0xffff));
      o.setEa(checked ? o.checkedEa(offset) : offset);
    }
  }
  o.finish();
}

/** The module with the big loop: `run(ip)`. */
export function generateInterpreter(
  forms: readonly HandlerForm[],
  layout: EngineLayout,
  isLong = false,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const imports = declareImports(module, true, instructionsOf(forms), isLong);
  module.importMemory('e', 'memory', 1, PAGES, true);
  const addressType = isLong ? I64 : I32;
  const coldType = module.type([I32, addressType], [I32]);
  const special = specialNames(isLong);
  const w: FunctionWriter = module.function([I32], []);
  module.export('run', w);
  const ea = w.local(addressType);
  const tlb = w.local(I32);
  const scratch = new ScratchLocals(w);
  const count = special.length + forms.length;
  w.i32(0);
  w.memory(OP.i32Load, layout.state + FIELDS.tlbBase.offset);
  w.set(tlb);
  w.block(OP.loop, VOID);
  for (let i = 0; i <= count; i++) w.block(OP.block, VOID);
  w.get(0);
  w.memory(OP.i32Load16U, RECORD.handler);
  w.op(OP.brTable);
  w.code.u32(count);
  for (let i = 0; i <= count; i++) w.code.u32(i);
  for (let i = 0; i < count; i++) {
    w.end();
    const frame: Frame = { writer: w, ip: 0, ea, tlb, loopDepth: count - i, scratch };
    const o = new Emitter(frame, imports, layout, isLong);
    if (i < special.length) emitSpecial(o, special[i]!, isLong);
    else emitForm(o, forms[i - special.length]!);
  }
  w.end();
  // Everything else: handler numbers above the last hot one index the table.
  w.get(0);
  w.get(ea);
  w.get(0);
  w.memory(OP.i32Load16U, RECORD.handler);
  w.i32(count);
  w.op(OP.i32Sub);
  w.callIndirect(coldType);
  // It may have changed the privilege level.
  w.i32(0);
  w.memory(OP.i32Load, layout.state + FIELDS.tlbBase.offset);
  w.set(tlb);
  w.tee(0);
  w.br(OP.brIf, 0);
  w.end();
  return module.finish();
}

/** A module with one exported function per form, named by its position. */
export function generateCold(
  forms: readonly HandlerForm[],
  layout: EngineLayout,
  isLong = false,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const imports = declareImports(module, false, instructionsOf(forms), isLong);
  module.importMemory('e', 'memory', 1, PAGES, true);
  forms.forEach((form, i) => {
    const w = module.function([I32, isLong ? I64 : I32], [I32]);
    module.export(String(i), w);
    const frame: Frame = { writer: w, ip: 0, ea: 1, tlb: -1, loopDepth: -1, scratch: new ScratchLocals(w) };
    emitForm(new Emitter(frame, imports, layout, isLong), form);
    // Every path returns; the end of the body must still type-check.
    w.op(OP.unreachable);
  });
  return module.finish();
}
