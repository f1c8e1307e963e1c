/** The native functions that one CPU's generated code shares (target/x86/semantics/natives.ts). Their exports are imports of
 *  interpreter and JIT modules. Each family is a module of its own, made when something first asks for one of its functions. */
import { LONG_SYSTEM_NATIVES, NATIVES, SYSTEM_NATIVES } from '../../../target/x86/semantics/natives.ts';
import { defineSse } from '../../../target/x86/sse-native.ts';
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { defineX87, defineX87Transcendental } from '../../../target/x86/x87/native/index.ts';
import { TABLE_BYTES, transcendentalTables } from '../../../target/x86/x87/native/transcendental.ts';
import { V128 } from '../../../wasm/opcodes.ts';
import { ModuleWriter } from '../../../wasm/writer.ts';
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

type NativeFunction = (...args: never[]) => unknown;
type Exports = Readonly<Record<string, NativeFunction>>;

/** Exports by name. `state`, `tlb`: addresses of the CPU's state block and TLB in the arena. */
export function createNatives(
  arena: Pick<RamArena, 'memory' | 'allocate'>,
  state: number,
  tlb: number,
): Record<string, NativeFunction> {
  const { memory } = arena;
  const tables = arena.allocate('cpu-x87', TABLE_BYTES).offset;
  const define: Record<Family, (module: ModuleWriter) => void> = {
    strings: (module) => defineStrings(module, state),
    system: (module) => defineSystem(module, state, tlb),
    systemLong: (module) => defineSystemLong(module, state, tlb),
    sse: (module) => defineSse(module, state),
    x87: (module) => defineX87(module, state),
    transcendental: (module) => {
      new Uint8Array(memory.buffer, tables, TABLE_BYTES).set(transcendentalTables());
      defineX87Transcendental(module, state, tables);
    },
  };
  const made = new Map<Family, Exports>();
  const make = (family: Family): Exports => {
    const writer = new ModuleWriter();
    writer.importMemory('e', 'memory', 1, PAGES, true);
    define[family](writer);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(writer.finish()), { e: { memory } });
    made.set(family, exports as Exports);
    return exports as Exports;
  };
  const natives: Record<string, NativeFunction> = {};
  for (const name of Object.keys(NATIVES)) {
    const family = familyOf(name);
    Object.defineProperty(natives, name, {
      enumerable: true,
      get: () => (made.get(family) ?? make(family))[name],
    });
  }
  return natives;
}
