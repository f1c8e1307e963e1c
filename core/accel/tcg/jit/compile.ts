/** Planned regions to one WebAssembly module: a function for each, (record, unused) -> record where the interpreter goes on
 *  (0: leave), as handlers of the interpreter are. What a region's code knows of the machine it runs in, where its blocks and their
 *  records lie, stands in words of linear memory: the same module can be used again. */
import { NATIVES } from '../../../target/x86/semantics/natives.ts';
import { CS, FIELDS, SEGMENT } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import { type FunctionBody, FunctionWriter, ModuleWriter, setCallee } from '../../../wasm/writer.ts';
import { MODE } from '../blocks.ts';
import type { EngineImports, EngineLayout } from '../emit/instruction-emitter.ts';
import { emitJumpLookup } from '../emit/jump-cache.ts';
import { emitTlbCheck } from '../emit/tlb-check.ts';
import { PAGES } from '../interpreter/generate.ts';
import { RECORD, TLB } from '../interpreter/layout.ts';
import { type PageCaches, pageCaches } from './page-caches.ts';
import type { Plan } from './plan.ts';
import { NATIVE_NAMES, WORD } from './references.ts';
import { RegionEmitter, type RegionLayout } from './region-emitter.ts';
import { EXIT, type RegionEndLayout } from './region-end.ts';
import { type RegionField, RegionFields } from './region-fields.ts';
import type { RegionFunctions } from './region-flags.ts';
import { type RegionWord, RegionWords } from './region-words.ts';
import { CUT, FALLS } from './structure.ts';

export type CompileLayout = RegionLayout & RegionEndLayout;

/** What only the interpreter calls. */
const NOT_IMPORTED = {
  slowRead: -1,
  slowUpdate: -1,
  slowWrite: -1,
  storeScratch: -1,
  commitUpdate: -1,
  segmentCheck: -1,
  system: -1,
  lookup: -1,
  seek: -1,
  hot: -1,
};

/** What region-end.ts has for all regions. */
interface RegionEnd {
  readonly end: number;
  readonly find: number;
  readonly interpreted: number;
  readonly chainType: number;
}

function emitRegion(
  w: FunctionWriter,
  plan: Plan,
  words: RegionWords,
  fields: RegionFields,
  imports: EngineImports,
  layout: CompileLayout,
  functions: RegionFunctions,
  caches: PageCaches,
  end: RegionEnd,
  isLong: boolean,
): void {
  const registers = { gprs: 0, gprsWritten: 0, xmms: 0, xmmsWritten: 0 };
  for (const { insns } of plan.blocks)
    for (const { traits } of insns) {
      registers.gprs |= traits.gprs;
      registers.gprsWritten |= traits.gprsWritten;
      registers.xmms |= traits.xmms;
      registers.xmmsWritten |= traits.xmmsWritten;
    }
  const emitter = new RegionEmitter(w, imports, layout, functions, registers, words, fields, caches, isLong);
  emitter.emitEntry();
  const hasEntries = plan.entries.length > 1;
  const chosen = hasEntries ? w.local(I32) : -1;
  w.i32(0);
  w.memory(isLong ? OP.i64Load : OP.i32Load, layout.state + FIELDS.rip.offset);
  if (hasEntries) {
    w.get(0);
    w.memory(OP.i32Load16U, RECORD.a);
    w.set(chosen);
    emitter.emitEntryDelta(chosen);
    w.op(isLong ? OP.i64Sub : OP.i32Sub);
  }
  w.set(emitter.eip0);
  w.block(OP.block, VOID);
  const isCut = plan.blocks.some((b) => b.edges.some((e) => e.isInside && e.isCut));
  if (isCut || plan.mode & MODE.limited) emitLimitCheck(w, emitter, layout, plan, isCut);
  const { shape } = plan;
  const sole = solePredecessors(plan);
  shape.walk({
    openBlock: () => w.block(OP.block, VOID),
    openLoop: () => w.block(OP.loop, VOID),
    close: () => w.end(),
    dispatch: (ways, isInLoop) => emitDispatch(w, chosen, ways, isInLoop),
    code: (block, ways, depth) => {
      const branchTo = (to: number) => {
        const way = ways(to);
        if (way === CUT) throw new Error(`the way from block ${block} of a region to ${to} leads out`);
        return way;
      };
      if (plan.entries.includes(block, 1) && shape.loopDepth(block) > 0) {
        w.i32(0);
        w.set(chosen);
      }
      const from = sole[block]!;
      const inKind = from >= 0 ? (emitter.outKind.get(from) ?? -1) : -1;
      emitter.emitBlock(plan.blocks, block, plan.mode, branchTo, depth, shape.isBackEdge, inKind);
    },
  });
  w.end();
  emitEnd(w, emitter, layout, end, isLong);
}

/** Goes the way of the chosen entry. */
function emitDispatch(w: FunctionWriter, chosen: number, ways: readonly number[], isInLoop: boolean): void {
  const label = (way: number) => (way === FALLS ? 0 : way + 1);
  w.block(OP.block, VOID);
  if (isInLoop) {
    // Nearly everyone is in the loop already.
    w.get(chosen);
    w.op(OP.i32Eqz);
    w.br(OP.brIf, label(ways[0]!), true);
  }
  w.get(chosen);
  w.op(OP.brTable);
  w.code.u32(ways.length - 1);
  for (const way of ways) w.code.u32(label(way));
  w.end();
}

/** A region whose code, or where its branches lead in its page, is not below the limit of CS as a whole leaves at once. `isCut`: nor
 *  may it reach beyond 64 KiB, where branches with 16-bit operands lead elsewhere. */
function emitLimitCheck(
  w: FunctionWriter,
  emitter: RegionEmitter,
  layout: CompileLayout,
  plan: Plan,
  isCut: boolean,
): void {
  const deltas = plan.blocks.flatMap((b) => [
    b.delta,
    b.delta + b.block.length - 1,
    ...b.edges.filter((e) => e.isInside).map((e) => e.delta),
  ]);
  const [first, last] = [w.local(I32), w.local(I32)];
  for (const [local, delta] of [
    [first, Math.min(...deltas)],
    [last, Math.max(...deltas)],
  ] as const) {
    w.get(emitter.eip0);
    w.i32(delta);
    w.op(OP.i32Add);
    w.set(local);
  }
  w.get(first);
  w.get(last);
  w.op(OP.i32GtU);
  w.get(last);
  // A limit that is not narrow lies above 64 KiB.
  if (isCut && !(plan.mode & MODE.narrow)) w.i32(0xffff);
  else {
    w.i32(0);
    w.memory(OP.i32Load, layout.state + FIELDS.segments.offset + CS * FIELDS.segments.stride + SEGMENT.limit);
  }
  w.op(OP.i32GtU);
  w.op(OP.i32Or);
  w.block(OP.if, VOID, false);
  emitter.emitWord(WORD.record, plan.blocks[0]!.insns[0]!.record);
  w.set(emitter.exitRecord);
  w.get(emitter.eip0);
  w.set(emitter.exitEip);
  w.br(OP.br, 1);
  w.end();
}

/** For each block its only predecessor, or -1. */
function solePredecessors(plan: Plan): number[] {
  const sole: number[] = plan.blocks.map(() => -1);
  const seen = plan.blocks.map(() => 0);
  plan.blocks.forEach((b, from) => {
    for (const to of [...b.edges.map((e) => e.target), ...b.returns]) {
      if (to < 0) continue;
      seen[to]!++;
      sole[to] = from;
    }
  });
  return sole.map((from, to) => (seen[to] === 1 && !plan.entries.includes(to) ? from : -1));
}

/** Where every way out ends: state goes to memory, then the interpreter or another region goes on. */
function emitEnd(
  w: FunctionWriter,
  emitter: RegionEmitter,
  layout: CompileLayout,
  end: RegionEnd,
  isLong: boolean,
): void {
  emitter.emitRawSpill();
  w.i32(0);
  w.get(emitter.exitEip);
  w.memory(isLong ? OP.i64Store : OP.i32Store, layout.state + FIELDS.rip.offset);
  const tailCall = (callee: number) => {
    w.op(OP.returnCall);
    w.code.u32(callee);
  };
  w.block(OP.block, VOID);
  w.get(emitter.exitKind);
  w.op(OP.i32Eqz);
  w.br(OP.brIf, 0, false);
  w.get(emitter.budget);
  w.i32(0);
  w.op(OP.i32LeS);
  w.br(OP.brIf, 0, false);
  w.get(emitter.exitKind);
  w.i32(EXIT.find);
  w.op(OP.i32Eq);
  w.block(OP.if, VOID);
  const entry = emitter.exitKind;
  let linear = emitter.exitEip;
  if (!isLong) {
    linear = w.local(I32);
    w.get(emitter.exitEip);
    emitter.emitLinear();
    w.set(linear);
  }
  const miss = () => {
    w.get(linear);
    w.get(emitter.flagKind);
    w.call(end.find);
    w.tee(emitter.exitRecord);
    w.op(OP.i32Eqz);
    w.block(OP.if, VOID, false);
    w.i32(0);
    w.op(OP.return);
    w.end();
    w.i32(0);
    w.set(emitter.flagKind);
    w.get(emitter.exitRecord);
  };
  emitJumpLookup(w, layout, linear, entry, w.local(I32), miss, isLong);
  w.set(emitter.exitRecord);
  w.end();
  w.i32(0);
  w.get(emitter.flagKind);
  w.memory(OP.i32Store, layout.state + FIELDS.flagKind.offset);
  // A region, or a handler that is a function: goes on there at once.
  w.get(emitter.exitRecord);
  w.memory(OP.i32Load16U, RECORD.handler);
  w.i32(layout.hotCount);
  w.op(OP.i32Sub);
  w.tee(emitter.exitKind);
  w.i32(0);
  w.op(OP.i32GeS);
  w.block(OP.if, VOID, true);
  w.get(emitter.exitRecord);
  if (isLong) w.i64(0);
  else w.i32(0);
  w.get(emitter.exitKind);
  w.callIndirect(end.chainType, 0, OP.returnCallIndirect);
  w.end();
  w.get(emitter.exitRecord);
  tailCall(end.interpreted);
  w.end();
  // Leave, and the budget is looked at for everything but a resumed instruction.
  w.get(emitter.exitKind);
  w.get(emitter.exitRecord);
  w.get(emitter.flagKind);
  tailCall(end.end);
}

/** What modules of regions import, in the same order everywhere: the code of regions counts on it. Natives come behind. */
function declareShared(module: ModuleWriter, isLong: boolean) {
  const address = isLong ? I64 : I32;
  const shared = (name: string, ...params: number[]) =>
    module.importFunction('e', isLong ? `${name}Long` : name, params, [I32]);
  return {
    helper: module.importFunction('e', 'helper', [I32, I32, I32, I32, I32], [I32]),
    fillRead: shared('fillRead', address, I32),
    fillWrite: shared('fillWrite', address, I32),
    flagAux: shared('flagAux', I32, address, address),
    end: shared('end', I32, I32, I32),
    find: shared('find', address, I32),
    interpreted: shared('interpreted', I32),
    chainType: module.type([I32, address], [I32]),
  };
}
const SHARED = [false, true].map((isLong) => declareShared(new ModuleWriter(), isLong));

/** The code of a region. */
export interface RegionCode extends FunctionBody {
  readonly words: readonly RegionWord[];
  readonly fields: readonly RegionField[];
}

export function compileRegion(plan: Plan, layout: CompileLayout, isLong: boolean): RegionCode {
  const { helper, fillRead, fillWrite, flagAux, end, find, interpreted, chainType } = SHARED[isLong ? 1 : 0]!;
  const imports: EngineImports = { ...NOT_IMPORTED, helper, natives: {} };
  const functions: RegionFunctions = { fillRead, fillWrite, flagAux };
  const words = new RegionWords(plan.blocks, plan.entries);
  const fields = new RegionFields(plan.blocks);
  const w = new FunctionWriter(0, 2);
  emitRegion(
    w,
    plan,
    words,
    fields,
    imports,
    layout,
    functions,
    pageCaches(plan),
    { end, find, interpreted, chainType },
    isLong,
  );
  return { ...w.body(), words: words.list, fields: fields.list };
}

/** A module's bytes, and where in them the bodies of its regions begin. */
export interface LinkedModule {
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly bodiesAt: readonly number[];
}
/** One module with a function for each region, exported by position. All are of 64-bit code, or none. */
export function linkModule(regions: readonly FunctionBody[], layout: CompileLayout, isLong: boolean): LinkedModule {
  const module = new ModuleWriter();
  declareShared(module, isLong);
  const natives = new Map<number, number>();
  for (const { references } of regions)
    for (const { value } of references) {
      if (natives.has(value)) continue;
      const name = NATIVE_NAMES[value]!;
      const { params, result } = NATIVES[name]!;
      natives.set(value, module.importFunction('n', name, params, [result]));
    }
  module.importTable('e', 'table', 0);
  module.importMemory('e', 'memory', 1, PAGES, true);
  const address = isLong ? I64 : I32;
  regions.forEach(({ bytes, hints, references }, i) => {
    for (const { at, value } of references) setCallee(bytes, at, natives.get(value)!);
    module.export(String(i), module.linkedFunction([I32, address], [I32], { bytes, hints, references: [] }));
  });
  const wire = module.finish();
  return { wire, bodiesAt: module.bodiesAt.slice(-regions.length) };
}
