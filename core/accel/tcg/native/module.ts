/** The native functions that one CPU's generated code shares (target/x86/semantics/natives.ts). Their exports are imports of
 *  interpreter and JIT modules. Each family is a module of its own, made when something first asks for one of its functions. */

import type { PagingFeatures } from '../../../target/x86/mmu/page-walk.ts';
import { LONG_SYSTEM_NATIVES, NATIVES, SYSTEM_NATIVES } from '../../../target/x86/semantics/natives.ts';
import { defineSse } from '../../../target/x86/sse-native.ts';
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { defineX87, defineX87Transcendental } from '../../../target/x86/x87/native/index.ts';
import { TABLE_BYTES, transcendentalTables } from '../../../target/x86/x87/native/transcendental.ts';
import { I32, V128, VOID } from '../../../wasm/opcodes.ts';
import { ModuleWriter } from '../../../wasm/writer.ts';
import type { NativePaging, PagingLayout } from '../guest-memory.ts';
import { type Instantiate, instantiateAnew } from '../interpreter/machine.ts';
import { definePaging, type Fills, importFills, type SlowPaths } from './paging.ts';
import { defineStrings } from './strings.ts';
import { defineSystem } from './system.ts';
import { defineSystemLong } from './system-long.ts';

const PAGES = 65536;
type Family = 'strings' | 'system' | 'systemLong' | 'sse' | 'transcendental' | 'x87';
const TRANSCENDENTAL = new Set(['fsin', 'fcos', 'fsincos', 'fpatan', 'fyl2x', 'f2xm1']);

function familyOf(name: string): Family {
  if (name.startsWith('rep')) return 'strings';
  if (name in SYSTEM_NATIVES) return 'system';
  if (name in LONG_SYSTEM_NATIVES) return 'systemLong';
  if (NATIVES[name]!.result === V128) return 'sse';
  return TRANSCENDENTAL.has(name) ? 'transcendental' : 'x87';
}

/** Parameters and results of what the paging module falls back on, all 32-bit words. */
const SLOW: Record<keyof SlowPaths, readonly [params: number, results: number]> = {
  slowRead: [3, 1],
  slowUpdate: [3, 1],
  slowWrite: [4, 0],
  slowReadLong: [4, 1],
  slowUpdateLong: [4, 1],
  slowWriteLong: [5, 0],
  storeScratch: [3, 0],
  storeScratchLong: [4, 0],
  lookup: [0, 1],
};
type PagingFunction = Exclude<keyof SlowPaths, 'lookup'> | 'seek' | 'seekLong' | keyof Fills;

/** The functions that look at TLB misses first; `slow` is asked where they do not know. */
export function createPaging(
  memory: WebAssembly.Memory,
  slow: Readonly<Record<keyof SlowPaths, (...args: number[]) => unknown>>,
  state: number,
  jumpCache: number,
  layout: PagingLayout,
  features: PagingFeatures,
  instantiate: Instantiate,
): Readonly<Record<PagingFunction, (...args: never[]) => unknown>> & NativePaging {
  const make = () => {
    const writer = new ModuleWriter();
    const callees = Object.fromEntries(
      Object.entries(SLOW).map(([name, [params, results]]) => {
        const types = Array<number>(params).fill(I32);
        const index = writer.importFunction('e', name, types, results ? [I32] : []);
        return [name, { index, params: types, result: results ? I32 : VOID }];
      }),
    ) as unknown as SlowPaths;
    writer.importMemory('e', 'memory', 1, PAGES, true);
    definePaging(writer, callees, state, jumpCache, layout, features);
    return writer.finish();
  };
  const name = `paging ${JSON.stringify([state, jumpCache, layout, features])}`;
  const exports = instantiate({ name, make }, { e: { memory, ...slow } });
  return exports as unknown as Record<PagingFunction, (...args: never[]) => unknown> & NativePaging;
}

type NativeFunction = (...args: never[]) => unknown;
type Exports = Readonly<Record<string, NativeFunction>>;

/** Exports by name. `state`, `tlb`: addresses of the CPU's state block and TLB in the arena; `fills`: what looks at pages that the TLB
 *  does not know; `readTsc`: the one that is not in WebAssembly. */
export function createNatives(
  arena: Pick<RamArena, 'memory' | 'allocate'>,
  state: number,
  tlb: number,
  fills: Readonly<Record<keyof Fills, NativeFunction>>,
  readTsc: () => number,
  instantiate: Instantiate = instantiateAnew,
): Record<string, NativeFunction> {
  const { memory } = arena;
  const tables = arena.allocate('cpu-x87', TABLE_BYTES).offset;
  const define: Record<Family, (module: ModuleWriter) => void> = {
    strings: (module) => defineStrings(module, state, importFills(module)),
    system: (module) => defineSystem(module, state, tlb, importFills(module)),
    systemLong: (module) => defineSystemLong(module, state, tlb, importFills(module)),
    sse: (module) => defineSse(module, state),
    x87: (module) => defineX87(module, state),
    transcendental: (module) => defineX87Transcendental(module, state, tables),
  };
  const made = new Map<Family, Exports>();
  const make = (family: Family): Exports => {
    if (family === 'transcendental') new Uint8Array(memory.buffer, tables, TABLE_BYTES).set(transcendentalTables());
    const write = () => {
      const writer = new ModuleWriter();
      writer.importMemory('e', 'memory', 1, PAGES, true);
      define[family](writer);
      return writer.finish();
    };
    const name = `${family} ${[state, tlb, tables].join(' ')}`;
    const exports = instantiate({ name, make: write }, { e: { memory, ...fills } });
    made.set(family, exports as Exports);
    return exports as Exports;
  };
  const natives: Record<string, NativeFunction> = {};
  for (const name of Object.keys(NATIVES)) {
    if (name === 'readTsc') {
      natives[name] = readTsc;
      continue;
    }
    const family = familyOf(name);
    Object.defineProperty(natives, name, {
      enumerable: true,
      get: () => (made.get(family) ?? make(family))[name],
    });
  }
  return natives;
}
