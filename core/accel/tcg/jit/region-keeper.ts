/** Keeps regions for later runs, on the thread that compiles: puts what got hot one after the other into modules of many, has V8 optimise
 *  them while nothing else is to be done, and writes them. Modules of which much is no longer of use are made anew. */
import type { FunctionBody } from '../../../wasm/writer.ts';
import { MODE } from '../blocks.ts';
import type { MadeModule } from './batch.ts';
import type { LinkedModule } from './compile.ts';
import {
  bytesOf,
  GONE,
  type KeptRegion,
  type MachineCode,
  type ModulePlace,
  type PlacedRegion,
  padded,
  RegionCatalogue,
  type RegionStore,
  StoredModule,
  writeModule,
} from './kept-regions.ts';

/** Regions of a module: so many are read together when one of them is of use. */
export const TOGETHER = 64;
/** A module of so few becomes part of another. */
const FEW = 16;
/** A region that was of no use in so many runs in a row, though others of its module were, is not taken along; a module is made anew when
 *  they are more than a third of it. */
const MISSED = 4;
const MISSED_PART = 3;
/** A module that no later run has used goes after so many: code that a guest puts elsewhere in each run is new in each. */
const PROBATION = 2;
/** Bytes of regions that are in no module yet: a guest may make new code for ever. */
export const MOST_WAITING = 4 << 20;
/** The store is written when at least this part of it is new. */
const WORTH_PART = 64;

const NEVER = Number.MAX_SAFE_INTEGER;

/** Makes one module of functions. */
export type Linker = (bodies: readonly FunctionBody[], hotCount: number, isLong: boolean) => LinkedModule;

interface Kind {
  readonly hotCount: number;
  readonly isLong: boolean;
}
const isSameKind = (a: Kind, b: Kind) => a.hotCount === b.hotCount && a.isLong === b.isLong;

/** `number`: among all of the store that the machine found when it started; -1: it is not there. */
interface NumberedRegion extends PlacedRegion {
  readonly number: number;
}
interface WaitingRegion extends Kind {
  readonly region: KeptRegion;
  readonly body: FunctionBody;
  readonly placed: NumberedRegion;
}
/** A region that is to be part of another module. */
interface Moving extends Kind {
  readonly module: KeptModule;
  readonly position: number;
}
const isLongRegion = (region: KeptRegion) => (region.get('mode') & MODE.code64) !== 0;
/** The bytes of a module that the store does not have like that. */
interface Parts {
  readonly about: Int32Array<ArrayBuffer>;
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly code: Uint8Array<ArrayBuffer> | null;
}
interface KeptModule {
  stored: StoredModule | null;
  parts: Parts | null;
  /** As it was when the machine started. */
  readonly run: number;
  uses: number;
  readonly isNew: boolean;
  regions: readonly NumberedRegion[];
  readonly members: readonly number[];
}
/** A module that V8 is optimising. `replaces`: regions of others that go when it is done. */
interface Task {
  readonly module: KeptModule;
  readonly code: WebAssembly.Module;
  readonly optimise: () => boolean;
  readonly replaces: ReadonlyMap<KeptModule, ReadonlySet<NumberedRegion>> | null;
  readonly finish: (code: Uint8Array<ArrayBuffer>) => Parts;
}
const bytesIn = (parts: Parts | null) =>
  parts ? parts.about.byteLength + parts.wire.length + (parts.code?.length ?? 0) : 0;

export class RegionKeeper {
  private readonly link: Linker;
  private readonly machine: MachineCode | null;
  /** As RegionShelf has it. */
  private readonly used: Int32Array;
  /** Number of this run of a machine. */
  private readonly run: number;
  private modules: KeptModule[] = [];
  private waiting: WaitingRegion[] = [];
  private waitingBytes = 0;
  private task: Task | null = null;
  /** Modules that were or are being optimised. */
  private readonly tried = new Set<KeptModule>();
  private moves: Moving[][] | null = null;
  private storedBytes = 0;

  constructor(store: RegionStore | null, machine: MachineCode | null, used: Int32Array, link: Linker) {
    this.machine = machine;
    this.used = used;
    this.link = link;
    this.run = (store?.catalogue.run ?? 0) + 1;
    let number = 0;
    for (const place of store?.catalogue.modules ?? []) {
      const regions = place.regions.map((region) => ({ ...region, number: number++ }));
      const { run, uses, members, length } = place;
      const stored = new StoredModule(store!, place);
      this.modules.push({ stored, parts: null, run, uses, isNew: false, regions, members });
      this.storedBytes += length;
    }
  }
  /** Bytes that are in no store. */
  get unwritten(): number {
    return this.modules.reduce((sum, { parts }) => sum + bytesIn(parts), this.waitingBytes);
  }
  /** Whether so much is new that the store should be written. */
  get isWorthWriting(): boolean {
    const { unwritten } = this;
    return unwritten > 0 && unwritten >= this.storedBytes / WORTH_PART;
  }

  /** Keeps regions of a module that was compiled, those whose code the guest did not change meanwhile. */
  add({ codes, regions, hotCount }: MadeModule, isSound: (position: number) => boolean): void {
    codes.forEach((body, position) => {
      const region = regions[position];
      if (!region || !isSound(position) || this.waitingBytes >= MOST_WAITING) return;
      const isLong = isLongRegion(region);
      const placed = { key: region.get('key'), missed: 0, number: -1 };
      this.waiting.push({ region, body, hotCount, isLong, placed });
      this.waitingBytes += body.bytes.length + region.data.byteLength;
    });
  }
  /** Takes the first regions that wait and are of one kind: none if they are fewer than `least`. */
  private takeWaiting(least: number): WaitingRegion[] {
    for (const kind of new Set(this.waiting.map(({ isLong }) => isLong))) {
      const first = this.waiting.find(({ isLong }) => isLong === kind)!;
      const all = this.waiting.filter((one) => isSameKind(one, first));
      if (all.length < least) continue;
      const taken = all.slice(0, TOGETHER);
      const gone = new Set(taken);
      this.waiting = this.waiting.filter((one) => !gone.has(one));
      this.waitingBytes = this.waiting.reduce((sum, w) => sum + w.body.bytes.length + w.region.data.byteLength, 0);
      return taken;
    }
    return [];
  }
  /** One module of regions of one kind. */
  private make(list: readonly WaitingRegion[], from: Pick<KeptModule, 'run' | 'uses' | 'isNew'>) {
    const { hotCount, isLong } = list[0]!;
    const regions = list.map(({ region }) => region);
    const { wire, bodiesAt } = this.link(
      list.map(({ body }) => body),
      hotCount,
      isLong,
    );
    const partsWith = (code: Uint8Array<ArrayBuffer> | null): Parts => ({
      about: writeModule(hotCount, regions, bodiesAt, wire, code),
      wire,
      code,
    });
    const module: KeptModule = {
      ...from,
      stored: null,
      parts: null,
      regions: list.map(({ placed }) => placed),
      members: [...new Set(regions.flatMap((region) => [...region.members()]))],
    };
    return { module, wire, partsWith };
  }
  private makeOfWaiting(list: readonly WaitingRegion[]) {
    const made = this.make(list, { run: this.run, uses: 0, isNew: true });
    made.module.parts = made.partsWith(null);
    this.modules.push(made.module);
    return made;
  }

  // -- while nothing else is to be done ------------------------------------------------------------------------------

  /** Does a piece of what there is to do, which takes as long as V8 needs for a function. False: there is nothing. */
  work(): boolean {
    if (this.task) {
      this.goOn(this.task);
      return true;
    }
    const list = this.takeWaiting(TOGETHER);
    if (list.length > 0) {
      const { module, wire, partsWith } = this.makeOfWaiting(list);
      this.begin(module, wire, null, partsWith);
      return true;
    }
    return this.machine !== null && (this.warmNext() || this.moveNext());
  }
  private begin(
    module: KeptModule,
    wire: Uint8Array<ArrayBuffer>,
    replaces: Task['replaces'],
    finish: Task['finish'],
  ): void {
    this.tried.add(module);
    if (!this.machine) return;
    try {
      const code = new WebAssembly.Module(wire);
      this.task = { module, code, optimise: this.machine.optimiser(code), replaces, finish };
    } catch {
      // What was in the store is no module: it is not found either.
    }
  }
  private goOn({ module, code, optimise, replaces, finish }: Task): void {
    if (optimise()) return;
    this.task = null;
    module.parts = finish(this.machine!.take(code));
    if (!replaces) return;
    for (const [one, moved] of replaces) {
      one.uses = 0; // what stays has been of none
      one.regions = one.regions.map((region) => (moved.has(region) ? { ...region, key: GONE } : region));
    }
    this.modules = [module, ...this.modules.filter(({ regions }) => regions.some(({ key }) => key !== GONE))];
  }
  private isOfUse({ regions, isNew }: KeptModule): boolean {
    return isNew || regions.some(({ key, number }) => key !== GONE && number >= 0 && this.used[number] !== 0);
  }
  /** It has no machine code, or not such as V8 takes now. */
  private isCold({ stored, parts, regions }: KeptModule): boolean {
    if (!stored || parts) return false;
    return !stored.place.isReady || regions.some(({ number }) => this.used[number]! < 0);
  }
  private warmNext(): boolean {
    const module = this.modules.find((one) => !this.tried.has(one) && this.isOfUse(one) && this.isCold(one));
    if (!module) return false;
    const { stored } = module;
    const wire = stored!.wire();
    const text = stored!.text;
    stored!.forget();
    this.tried.add(module);
    if (!wire || !text) return true;
    const bodiesAt = text.regions.map((region) => region.get('bodyAt'));
    this.begin(module, wire, null, (code) => ({
      about: writeModule(text.hotCount, text.regions, bodiesAt, wire, code),
      wire,
      code,
    }));
    return true;
  }
  /** Which of its regions should move to another module: those that were of use, where others were not in the one run after that which
   *  made it, and what is left where much is no longer of use. */
  private movable({ stored, parts, regions, uses }: KeptModule): readonly NumberedRegion[] {
    if (!stored || parts || uses === 0) return [];
    const there = regions.filter(({ key }) => key !== GONE);
    if (uses === 1) {
      const used = there.filter(({ missed }) => missed === 0);
      return used.length < there.length || used.length <= FEW ? used : [];
    }
    const live = there.filter((region) => region.missed < MISSED || this.used[region.number] !== 0);
    return there.length - live.length > there.length / MISSED_PART || live.length <= FEW ? live : [];
  }
  /** What should move, in groups that make a module each. */
  private planMoves(): Moving[][] {
    const moving: Moving[] = [];
    for (const module of this.modules) {
      const regions = new Set(this.movable(module));
      const text = regions.size > 0 ? module.stored!.text : null;
      module.stored?.forget();
      text?.regions.forEach((region, position) => {
        const placed = module.regions[position]!;
        if (!regions.has(placed)) return;
        moving.push({ module, position, hotCount: text.hotCount, isLong: isLongRegion(region) });
      });
    }
    const groups: Moving[][] = [];
    for (const one of moving) {
      const group = groups.find((other) => other.length < TOGETHER && isSameKind(other[0]!, one));
      if (group) group.push(one);
      else groups.push([one]);
    }
    // What is left alone in a module stays there.
    return groups.filter((group) => group.length > FEW || new Set(group.map(({ module }) => module)).size > 1);
  }
  /** Makes the next module of regions that move. */
  private moveNext(): boolean {
    this.moves ??= this.planMoves();
    const group = this.moves.shift();
    if (!group) return false;
    const list: WaitingRegion[] = [];
    const replaces = new Map<KeptModule, Set<NumberedRegion>>();
    for (const module of new Set(group.map((one) => one.module))) {
      const wire = module.stored!.wire();
      const text = module.stored!.text;
      module.stored!.forget();
      if (!wire || !text) continue;
      const moved = new Set<NumberedRegion>();
      replaces.set(module, moved);
      for (const { position, hotCount, isLong } of group.filter((one) => one.module === module)) {
        const region = text.regions[position]!;
        const placed = module.regions[position]!;
        moved.add(placed);
        list.push({ region, body: region.body(wire), hotCount, isLong, placed });
      }
    }
    if (list.length === 0) return true;
    const run = Math.max(...[...replaces.keys()].map((module) => module.run));
    const made = this.make(list, { run, uses: 2, isNew: false });
    this.begin(made.module, made.wire, replaces, made.partsWith);
    return true;
  }

  // -- to the store --------------------------------------------------------------------------------------------------

  /** Writes all modules, those of use last first, as far as there is room (bytes), and gives the catalogue of what was written. When it
   *  has become the store, `moved` says so. `copy`: writes so many bytes of the store, from a place on. */
  save(
    room: number,
    write: (bytes: Uint8Array) => void,
    copy: (at: number, length: number) => void,
  ): { catalogue: RegionCatalogue; moved(store: RegionStore): void } {
    for (let list = this.takeWaiting(1); list.length > 0; list = this.takeWaiting(1)) this.makeOfWaiting(list);
    const places: ModulePlace[] = [];
    const written: { module: KeptModule; parts: Parts | null }[] = [];
    let at = 0;
    const current = this.modules.map((module) => ({ module, ...this.standing(module) }));
    for (const { module, run, uses, regions } of current.sort((a, b) => b.run - a.run || a.order - b.order)) {
      if (uses === 0 && this.run - run > PROBATION) continue;
      const { parts, stored, members } = module;
      const length = parts
        ? parts.about.byteLength + padded(parts.wire.length) + padded(parts.code?.length ?? 0)
        : stored!.place.length;
      if (at + length > room) continue;
      if (parts)
        for (const part of [bytesOf(parts.about), parts.wire, ...(parts.code ? [parts.code] : [])]) {
          write(part);
          if (part.length % 4 !== 0) write(new Uint8Array(4 - (part.length % 4)));
        }
      else copy(stored!.place.at, length);
      const aboutBytes = parts ? parts.about.byteLength : stored!.place.aboutBytes;
      const isReady = parts ? parts.code !== null : stored!.place.isReady;
      places.push({ at, aboutBytes, length, run, uses, isReady, regions, members });
      written.push({ module, parts });
      at += length;
    }
    return {
      catalogue: new RegionCatalogue(this.run, places),
      moved: (store) => {
        this.modules = written.map(({ module, parts }, i) => {
          module.stored = new StoredModule(store, places[i]!);
          if (module.parts === parts) module.parts = null;
          return module;
        });
        this.storedBytes = at;
      },
    };
  }
  /** What the catalogue says of a module after this run. `order`: in which modules were first of use. */
  private standing(module: KeptModule): Pick<ModulePlace, 'run' | 'uses' | 'regions'> & { order: number } {
    const order = Math.min(
      ...module.regions.map(({ key, number }) => (key !== GONE && Math.abs(this.used[number] ?? 0)) || NEVER),
    );
    const isUsed = !module.isNew && this.isOfUse(module);
    return {
      order,
      run: isUsed ? this.run : module.run,
      uses: module.uses + (isUsed ? 1 : 0),
      regions: module.regions.map(({ key, missed, number }) => {
        if (number >= 0 && this.used[number] !== 0) return { key, missed: 0 };
        return { key, missed: isUsed && number >= 0 ? missed + 1 : missed };
      }),
    };
  }
}
