/** The module of native functions that one CPU's generated code shares (target/x86/semantics/natives.ts): made once, its exports are
 *  imports of interpreter and JIT modules. */
import { defineSse } from '../../../target/x86/sse-native.ts';
import { defineX87 } from '../../../target/x86/x87/native/index.ts';
import { ModuleWriter } from '../../../wasm/writer.ts';
import { defineStrings } from './strings.ts';

const PAGES = 65536;

export function generateNatives(state: number): Uint8Array<ArrayBuffer> {
  const module = new ModuleWriter();
  module.importMemory('e', 'memory', 1, PAGES, true);
  defineX87(module, state);
  defineSse(module, state);
  defineStrings(module, state);
  return module.finish();
}
/** Exports by name. `state`: address of the CPU's state block in `memory`. */
export function createNatives(memory: WebAssembly.Memory, state: number): Record<string, unknown> {
  const module = new WebAssembly.Module(generateNatives(state));
  return new WebAssembly.Instance(module, { e: { memory } }).exports;
}
