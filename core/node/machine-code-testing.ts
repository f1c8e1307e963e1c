/** Program of machine-code.test.ts, run with V8's flags of the test's choice. `take FILE`: optimises a function and writes its machine code;
 *  `give FILE`: says what comes of it in another process. */
import { readFileSync, writeFileSync } from 'node:fs';
import { I32, OP } from '../wasm/opcodes.ts';
import { ModuleWriter } from '../wasm/writer.ts';
import { machineCodeOf } from './machine-code.ts';

const writer = new ModuleWriter();
for (const name of ['double', 'other']) {
  const f = writer.function([I32], [I32]);
  f.get(0);
  f.get(0);
  f.op(OP.i32Add);
  writer.export(name, f);
}
const wire = writer.finish();

function report(): unknown {
  if (!machineCodeOf) return 'nothing can be kept';
  const { optimisedIn, take, give } = machineCodeOf;
  const [what, file] = process.argv.slice(2);
  const made = what === 'take' ? new WebAssembly.Module(wire) : give(Uint8Array.from(readFileSync(file!)), wire);
  if (!made) return 'refused';
  const { exports } = new WebAssembly.Instance(made);
  const before = optimisedIn(exports);
  if (what === 'take') {
    new Function('f', '%WasmTierUpFunction(f)')(exports.double);
    writeFileSync(file!, take(made));
  }
  return { before, after: optimisedIn(exports), result: (exports.double as (n: number) => number)(21) };
}
console.log(JSON.stringify(report()));
