/** In lock-step the first record of a region's block leads here instead of to the region: generated code is left. */
import { FIELDS } from '../../../target/x86/state.ts';
import { I32, I64, OP, VOID } from '../../../wasm/opcodes.ts';
import { ModuleWriter } from '../../../wasm/writer.ts';
import type { EngineLayout } from '../emit/instruction-emitter.ts';
import { JOURNAL } from '../emit/journal.ts';
import { PAGES } from '../interpreter/generate.ts';
import { RECORD } from '../interpreter/layout.ts';
import { emitFlagAux } from './flags.ts';

/** A module with `stop`, a handler. Who comes from a region has flags of that region's kind. */
export function stopModule(layout: EngineLayout, journal: number, isLong: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  const stopped = module.importFunction('e', 'stopped', [I32], []);
  module.importMemory('e', 'memory', 1, PAGES, true);
  const word = isLong ? I64 : I32;
  const flagAux = module.function([I32, word, word], [I32]);
  emitFlagAux(flagAux, isLong);
  const w = module.function([I32, word], [I32]);
  module.export('stop', w);
  const field = (name: 'flagKind' | 'flagResult' | 'flagAux', op: number = OP.i32Load) => {
    w.i32(0);
    w.memory(op, layout.state + FIELDS[name].offset);
  };
  field('flagKind');
  w.block(OP.if, VOID);
  w.i32(0);
  field('flagKind');
  field('flagResult', isLong ? OP.i64Load : OP.i32Load);
  field('flagAux', isLong ? OP.i64Load : OP.i32Load);
  w.call(module.indexOf(flagAux));
  w.memory(OP.i32Store, layout.state + FIELDS.flagAux.offset);
  w.i32(0);
  w.i32(0);
  w.memory(OP.i32Store, layout.state + FIELDS.flagKind.offset);
  w.end();
  // While the interpreter repeats what a region did, it passes all of them.
  w.i32(0);
  w.memory(OP.i32Load, journal + JOURNAL.passes);
  w.block(OP.if, VOID);
  w.get(0);
  w.i32(RECORD.bytes);
  w.op(OP.i32Add);
  w.op(OP.return);
  w.end();
  w.get(0);
  w.call(stopped);
  w.i32(0);
  return module.finish();
}
