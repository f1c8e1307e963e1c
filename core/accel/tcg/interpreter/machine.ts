/** The generated interpreters of one CPU and the table of functions that they and compiled regions call: a big loop for each kind of
 *  code, handlers for what it lacks made when they are first asked for. */
import type { HandlerSource } from '../blocks.ts';
import type { EngineLayout } from '../emit/instruction-emitter.ts';
import { COLD_GROUPS, type HandlerForm, hotForms, LONG_COLD_GROUPS, longHotForms, parseForm } from './forms.ts';
import { generateCold, generateInterpreter, specialNames } from './generate.ts';

export interface Interpreter {
  readonly run: (record: number) => void;
  readonly handlers: HandlerSource;
  /** Handlers below live in its loop. */
  readonly hotCount: number;
  /** The form that a handler does, if it is one's. */
  readonly formOf: (handler: number) => HandlerForm | undefined;
}
/** Places in the table, handler numbers less `hotCount`, and how functions get there. */
export interface FunctionTable {
  takeSlot(): number;
  giveSlot(slot: number): void;
  setSlot(slot: number, f: unknown): void;
  instantiate(module: EngineModule | WebAssembly.Module): Readonly<Record<string, unknown>>;
  /** What modules may import from now on. */
  provide(functions: Readonly<Record<string, unknown>>): void;
}
/** One of the engine's own modules, which are the same in every machine. */
export interface EngineModule {
  /** Says all that it depends on besides the program: who has a module of this name need not make it. */
  readonly name: string;
  make(): Uint8Array<ArrayBuffer>;
}
/** Makes an instance of one. */
export type Instantiate = (
  module: EngineModule,
  imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
) => Readonly<Record<string, unknown>>;
/** Libraries differ in how they type imports; functions, memory and table they all are. */
export const instantiateAnew: Instantiate = (module, imports) =>
  new WebAssembly.Instance(new WebAssembly.Module(module.make()), imports as never).exports;

/** What generated modules import; the table stands in `e` too. */
export interface EngineFunctions {
  readonly e: Record<string, unknown>;
  readonly n: Record<string, unknown>;
}

function createTable(table: WebAssembly.Table, imports: EngineFunctions, instantiate: Instantiate): FunctionTable {
  let next = 0;
  const free: number[] = [];
  return {
    takeSlot() {
      const given = free.pop();
      if (given !== undefined) return given;
      if (next === table.length) table.grow(table.length);
      return next++;
    },
    giveSlot: (slot) => free.push(slot),
    setSlot: (slot, f) => table.set(slot, f),
    instantiate(module) {
      if (!(module instanceof WebAssembly.Module)) return instantiate(module, imports as never);
      return new WebAssembly.Instance(module, imports as never).exports;
    },
    provide: (functions) => Object.assign(imports.e, functions),
  };
}

function createInterpreter(
  hotKeys: readonly string[],
  groups: readonly (readonly string[])[],
  layout: EngineLayout,
  table: FunctionTable,
  isLong: boolean,
): Interpreter {
  const hot = hotKeys.map((key) => parseForm(key, isLong));
  const special = specialNames(isLong).length;
  const inputs = `${isLong ? 64 : 32} ${JSON.stringify(layout)}`;
  const { run } = table.instantiate({
    name: `interpreter ${inputs}`,
    make: () => generateInterpreter(hot, layout, isLong),
  });
  const numbers = new Map<string, number>(hot.map((form, i) => [form.key, special + i]));
  const hotCount = special + hot.length;
  const forms: (HandlerForm | undefined)[] = hot.slice();
  const makeCold = (keys: readonly string[]) => {
    const made = keys.map((key) => parseForm(key, isLong));
    const exports = table.instantiate({
      name: `handlers ${inputs} ${keys.join(' ')}`,
      make: () => generateCold(made, layout, isLong),
    });
    made.forEach((form, i) => {
      const slot = table.takeSlot();
      table.setSlot(slot, exports[String(i)]);
      numbers.set(form.key, hotCount + slot);
      forms[hot.length + slot] = form;
    });
  };
  const groupOf = new Map(groups.flatMap((group) => group.map((key) => [key, group] as const)));
  const handlers: HandlerSource = {
    hot(key) {
      const known = numbers.get(key);
      return known !== undefined && known < hotCount ? known : -1;
    },
    handler(key) {
      if (!numbers.has(key)) makeCold([...new Set([key, ...(groupOf.get(key) ?? [])])].filter((k) => !numbers.has(k)));
      return numbers.get(key)!;
    },
  };
  return { run: run as Interpreter['run'], handlers, hotCount, formOf: (handler) => forms[handler - special] };
}

/** `legacy`: of 16- and 32-bit code; `makeLong`: of 64-bit code, for when the guest first runs some. */
export function createInterpreters(
  table: WebAssembly.Table,
  functions: EngineFunctions,
  layout: EngineLayout,
  instantiate: Instantiate,
): { readonly legacy: Interpreter; readonly makeLong: () => Interpreter; readonly table: FunctionTable } {
  const places = createTable(table, functions, instantiate);
  return {
    legacy: createInterpreter(hotForms(), COLD_GROUPS, layout, places, false),
    makeLong: () => createInterpreter(longHotForms(), LONG_COLD_GROUPS, layout, places, true),
    table: places,
  };
}
