/** Modules of regions are made ready before they are needed: a guest does today what it did last time, in the same order. The thread that
 *  compiles does that while it has nothing else to do. */
import { type MachineCode, type RegionStore, StoredModule } from './kept-regions.ts';

/** So many modules behind one that is of use. */
const AHEAD = 4;

/** A module of the catalogue. `isCold`: V8 had to compile it. */
export interface ReadyModule {
  readonly position: number;
  readonly code: WebAssembly.Module;
  readonly isCold: boolean;
}
/** The machine's own thread tells which modules it uses, by position in the catalogue, and takes what is ready. */
export interface ReadyModules {
  use(position: number): void;
  take(position: number): ReadyModule | null;
}
/** A stored module for V8. Null: it is not as it was written. */
export function readyModule(module: StoredModule, position: number, machine: MachineCode | null): ReadyModule | null {
  const wire = module.wire();
  if (!wire) return null;
  const machineCode = machine && module.machineCode();
  try {
    const ready = machineCode && machine.give(machineCode, wire);
    return { position, code: ready ?? new WebAssembly.Module(wire), isCold: !ready };
  } catch {
    return null;
  }
}

export class RegionsAhead {
  private readonly store: RegionStore;
  private readonly machine: MachineCode | null;
  private readonly inUse: Int32Array;
  private readonly done = new Set<number>();

  /** @param inUse for each module of the catalogue, not 0: it is of use */
  constructor(store: RegionStore, machine: MachineCode | null, inUse: Int32Array) {
    this.store = store;
    this.machine = machine;
    this.inUse = inUse;
  }
  private next(): number {
    const { inUse, done } = this;
    const { modules } = this.store.catalogue;
    let left = 0;
    for (let i = 0; i < modules.length; i++) {
      if (inUse[i] !== 0) {
        done.add(i);
        left = AHEAD;
      } else if (left-- > 0 && !done.has(i)) return i;
    }
    return -1;
  }
  /** Makes one ready. Null: none is wanted. */
  step(): ReadyModule | null {
    for (;;) {
      const position = this.next();
      if (position < 0) return null;
      this.done.add(position);
      const module = new StoredModule(this.store, this.store.catalogue.modules[position]!);
      // What is damaged the machine sees for itself.
      const ready = readyModule(module, position, this.machine);
      if (ready) return ready;
    }
  }
}
