/** Program of machine-code.test.ts, run with V8's flags of the test's choice. `take FILE`: optimises a function and writes its machine code;
 *  `give FILE`: says what comes of it in another process; `regions`: optimises a module of regions and runs a guest with it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { StoredModule } from '../accel/tcg/jit/kept-regions.ts';
import { KeepingRun, MIXED, runGuest, setupOf } from '../accel/tcg/jit/kept-testing.ts';
import { I32, OP } from '../wasm/opcodes.ts';
import { ModuleWriter } from '../wasm/writer.ts';
import { machineCodeOf, regionCode } from './machine-code.ts';

const writer = new ModuleWriter();
for (const name of ['double', 'other']) {
  const f = writer.function([I32], [I32]);
  f.get(0);
  f.get(0);
  f.op(OP.i32Add);
  writer.export(name, f);
}
const wire = writer.finish();

/** How many functions are optimised after each step. */
function optimiseRegions(): unknown {
  const machine = regionCode(setupOf().memory)!;
  const first = new KeepingRun();
  const { outcome } = runGuest(MIXED, { run: first });
  const store = first.save();
  const module = new WebAssembly.Module(new StoredModule(store, store.catalogue.modules[0]!).wire()!);
  const nothing = { get: (known: object, name: string) => Reflect.get(known, name) ?? (() => 0) };
  const e = new Proxy(
    { memory: setupOf().memory, table: new WebAssembly.Table({ element: 'anyfunc', initial: 0 }) },
    nothing,
  );
  const { exports } = new WebAssembly.Instance(module, { e, n: new Proxy({}, nothing) } as never);
  const step = machine.optimiser(module);
  const steps = [machineCodeOf!.optimisedIn(exports)];
  for (let goesOn = true; goesOn; ) {
    goesOn = step();
    steps.push(machineCodeOf!.optimisedIn(exports));
  }
  const second = new KeepingRun(store, machine);
  runGuest(MIXED, { run: second });
  second.finish();
  const third = runGuest(MIXED, { run: new KeepingRun(second.save(), machine) });
  const isSame = String(third.outcome) === String(outcome);
  return { functions: Object.keys(exports).length, steps, ready: third.ready, reused: third.reused, isSame };
}
function report(): unknown {
  if (!machineCodeOf) return 'nothing can be kept';
  const { optimisedIn, take, give } = machineCodeOf;
  const [what, file] = process.argv.slice(2);
  if (what === 'regions') return optimiseRegions();
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
