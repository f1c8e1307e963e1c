/** The machine code that V8 made of WebAssembly modules, taken out and given back, so that the next run has it from the start. Node has
 *  no interface for that; V8's own tests do it with functions that `--allow-natives-syntax` makes callable. V8 itself refuses code of
 *  another version, other flags or another processor. */
import type { MachineCode } from '../accel/tcg/jit/kept-regions.ts';

/** A function of V8 by its name, called with such arguments; null: this V8 does not have it or does not let us. */
function native<F>(name: string, parameters: string): F | null {
  try {
    return new Function(parameters, `return %${name}(${parameters})`) as F;
  } catch {
    return null;
  }
}

interface ModuleCode extends Omit<MachineCode, 'optimiser'> {
  /** Has a function optimised here and now. */
  optimise(f: unknown): void;
  isOptimised(f: unknown): boolean;
  /** How many functions of an instance V8 has optimised. */
  optimisedIn(exports: Readonly<Record<string, unknown>>): number;
}
function find(): ModuleCode | null {
  const serialize = native<(module: WebAssembly.Module) => ArrayBuffer>('SerializeWasmModule', 'module');
  const deserialize = native<(code: ArrayBuffer, wire: Uint8Array) => WebAssembly.Module | undefined>(
    'DeserializeWasmModule',
    'code, wire',
  );
  const optimise = native<(f: unknown) => void>('WasmTierUpFunction', 'f');
  const isOptimised = native<(f: unknown) => boolean>('IsTurboFanFunction', 'f');
  if (!serialize || !deserialize || !optimise || !isOptimised) return null;
  return {
    optimise,
    isOptimised,
    optimisedIn: (exports) => Object.values(exports).filter((f) => typeof f === 'function' && isOptimised(f)).length,
    take: (module) => new Uint8Array(serialize(module)),
    give: (code, wire) => deserialize(code.buffer, wire) ?? null,
  };
}
/** Null: nothing can be kept. */
export const machineCodeOf = find();

/** More than the C library ever takes from what it has. Two of them make V8 look for what can go. */
const PRESSURE_BYTES = 48 << 20;

/** Of modules of regions. */
export function regionCode(memory: WebAssembly.Memory): MachineCode | null {
  if (!machineCodeOf) return null;
  const { optimise, isOptimised, take, give } = machineCodeOf;
  const nothing = () => 0;
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 });
  const imports = (known: Readonly<Record<string, unknown>>) =>
    new Proxy(known, { get: (target, name) => target[String(name)] ?? nothing });
  const e = imports({ memory, table });
  const n = imports({});
  return {
    optimiser: (module) => {
      // Only a function can be optimised: the instance is made for that.
      const functions = Object.values(new WebAssembly.Instance(module, { e, n } as never).exports);
      return () => {
        const next = functions.pop();
        if (next && !isOptimised(next)) optimise(next);
        return functions.length > 0;
      };
    },
    take: (module) => {
      const code = take(module);
      // V8 does not know how much a module takes that is no longer needed: the memory of such a buffer, which nobody touches, counts.
      void new ArrayBuffer(PRESSURE_BYTES);
      return code;
    },
    give,
  };
}
