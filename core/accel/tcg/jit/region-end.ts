/** What all regions of one kind of code share, a module of its own: most of how a region ends. One copy stays in the processor's
 *  caches; a copy in each region was a third of its machine code. Only the jump to the next region is each one's own: the processor
 *  predicts it by where it stands. */
import { FIELDS } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import { type FunctionWriter, ModuleWriter } from '../../../wasm/writer.ts';
import type { EngineLayout } from '../emit/instruction-emitter.ts';
import { PAGES } from '../interpreter/generate.ts';
import { emitFlagAux, FLAG_KIND } from './flags.ts';

/** What the end of a region does: goes on with a record in the interpreter; goes on with a record, wherever its code is; looks for
 *  what RIP says; leaves. */
export const EXIT = { resume: 0, chain: 1, find: 2, leave: 3 } as const;

/** Number of the word behind the counters that holds the record in front of which a region was left last because accesses that are looked
 *  up together could not be. */
export const LAST_APART = 4;

export interface RegionEndLayout extends EngineLayout {
  /** Handlers below live in the interpreter; the others are in the table, from its start. */
  readonly hotCount: number;
  /** Four 32-bit counters of exits by cause, and LAST_APART. */
  readonly counters: number;
}

/** A module with `end`, for a region that resumes or leaves: (kind, record, kind of the flags) -> record where the interpreter goes
 *  on, 0: leave; `find`, for a target that the jump cache has not: (linear, kind of the flags) -> its record or 0, flags canonical;
 *  `interpreted`: (record) -> record, which is not compiled; and `flagAux`. All else is in memory, flags as the region had them. */
export function regionEndModule(layout: RegionEndLayout, isLong: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const address = isLong ? I64 : I32;
  const imported = (name: string, ...params: number[]) =>
    module.importFunction('e', isLong ? `${name}Long` : name, params, [I32]);
  const seek = imported('seek', address);
  module.importMemory('e', 'memory', 1, PAGES, true);
  const define = (name: string, params: readonly number[], write: (w: FunctionWriter) => void): number => {
    const w = module.function(params, [I32]);
    module.export(name, w);
    write(w);
    return module.indexOf(w);
  };
  const flagAux = define('flagAux', [I32, address, address], (w) => emitFlagAux(w, isLong));
  const load = (w: FunctionWriter, field: { readonly offset: number }, op: number = OP.i32Load) => {
    w.i32(0);
    w.memory(op, layout.state + field.offset);
  };
  const count = (w: FunctionWriter, cause: number) => {
    w.i32(0);
    w.i32(0);
    w.memory(OP.i32Load, layout.counters + 4 * cause);
    w.i32(1);
    w.op(OP.i32Add);
    w.memory(OP.i32Store, layout.counters + 4 * cause);
  };
  /** Makes of flags of the kind in a local what everybody knows. */
  const canonicalFlags = (w: FunctionWriter, flagKind: number) => {
    w.get(flagKind);
    w.block(OP.if, VOID);
    w.i32(0);
    w.get(flagKind);
    load(w, FIELDS.flagResult, isLong ? OP.i64Load : OP.i32Load);
    load(w, FIELDS.flagAux, isLong ? OP.i64Load : OP.i32Load);
    w.call(flagAux);
    w.memory(OP.i32Store, layout.state + FIELDS.flagAux.offset);
    w.end();
    w.i32(0);
    w.i32(FLAG_KIND.canonical);
    w.memory(OP.i32Store, layout.state + FIELDS.flagKind.offset);
  };

  define('end', [I32, I32, I32], (w) => {
    const [kind, record, flagKind] = [0, 1, 2];
    canonicalFlags(w, flagKind);
    w.get(kind);
    w.op(OP.i32Eqz);
    w.block(OP.if, VOID);
    count(w, 0);
    w.get(record);
    w.op(OP.return);
    w.end();
    count(w, 3);
    w.i32(0);
  });
  define('interpreted', [I32], (w) => {
    const flagKind = w.local(I32);
    count(w, 1);
    load(w, FIELDS.flagKind);
    w.set(flagKind);
    canonicalFlags(w, flagKind);
    w.get(0);
  });
  define('find', [address, I32], (w) => {
    const [linear, flagKind] = [0, 1];
    canonicalFlags(w, flagKind);
    w.get(linear);
    w.call(seek);
  });
  return module.finish();
}
