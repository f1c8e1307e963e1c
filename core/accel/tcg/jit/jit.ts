/** The second tier: hot blocks become regions, regions that got hot together become a module. Old modules are dropped when
 *  code takes more room than allowed. */
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { BLOCK_END, type Block, type BlockCache, type CompiledRegion, leadsBack, MODE, WARM_PART } from '../blocks.ts';
import type { EngineModule } from '../interpreter/machine.ts';
import {
  type BatchHead,
  type BatchResult,
  type CompilerAnswer,
  type CompilerSetup,
  type CompilerThread,
  compileBatch,
} from './batch.ts';
import type { CompileLayout } from './compile.ts';
import { BATCH, JobWriter, REACH } from './job.ts';
import { KeptRegion } from './kept-regions.ts';
import { type CodeBlock, type CodeSource, LIMIT } from './plan.ts';
import { LAST_APART, regionEndModule } from './region-end.ts';
import type { RegionKeeper } from './region-keeper.ts';
import type { RegionShelf, ShelfModule, ShelfSource } from './region-shelf.ts';
import { wordsOf } from './region-words.ts';
import { WordRoom } from './word-room.ts';

/** off: interpreter only. on: as usual. always: whatever runs is compiled at once. lockstep: every region runs beside the interpreter
 *  (lockstep.ts). */
export const JIT_MODES = ['off', 'on', 'always', 'lockstep'] as const;
export type JitMode = (typeof JIT_MODES)[number];

export interface JitOptions {
  readonly mode: JitMode;
  /** Estimated bytes that compiled code may take. */
  readonly codeBytes: number;
  /** Code of earlier runs is used again, and this one's kept, where there is a place for it. */
  readonly keeps: boolean;
}
export const JIT_DEFAULTS: JitOptions = { mode: 'on', codeBytes: 128 << 20, keeps: true };

/** What the engine lends: the table that handlers stand in, and imports for modules. */
export interface JitHost {
  readonly arena: RamArena;
  readonly blocks: BlockCache;
  readonly layout: Omit<CompileLayout, 'hotCount'>;
  /** Handlers of the interpreter of 64-bit code, or of the other one. */
  hotCount(isLong: boolean): number;
  takeSlot(): number;
  giveSlot(slot: number): void;
  setSlot(slot: number, f: unknown): void;
  instantiate(module: EngineModule | WebAssembly.Module): Readonly<Record<string, unknown>>;
  /** What modules may import from now on. */
  provide(functions: Readonly<Record<string, unknown>>): void;
  /** Where in the arena code lies that the TLB knows; -1: it does not. */
  locate(linear: number, isUser: boolean): number;
  /** Names of helpers in the order of their numbers. */
  readonly helpers: readonly string[];
  /** Features of the CPU's model; null: all there are. */
  readonly features: readonly string[] | null;
  /** Code that was compiled before, and who keeps it, for when there is no such thread. */
  readonly kept?: { readonly shelf: RegionShelf; readonly keeper: RegionKeeper } | undefined;
  /** Starts a thread that compiles. Without it regions are compiled where the guest runs. */
  readonly startCompiler?: ((setup: CompilerSetup) => CompilerThread) | undefined;
}

export interface JitStatistics {
  regions: number;
  modules: number;
  wasmBytes: number;
  codeBytes: number;
  compiled: number;
  compiledInstructions: number;
  refused: number;
  /** Of those: whose code was there already. */
  reused: number;
  /** Modules of those that had their machine code from an earlier run. */
  ready: number;
  /** Regions that are gone for whatever reason. */
  released: number;
  /** Of those: because the guest changed their code. */
  invalidated: number;
  evictedModules: number;
  flushes: number;
  compileMilliseconds: number;
}

export interface JitExits {
  /** An instruction that compiled code leaves to the interpreter: a slow access, or one that it has not. */
  readonly resumed: number;
  /** What follows is not compiled. */
  readonly interpreted: number;
  /** Time is up, or something wants attention. */
  readonly budget: number;
}

/** Runs until a block is compiled. */
const THRESHOLD = 2500;
/** The same in lock-step, which is slow anyway. */
const LOCKSTEP_THRESHOLD = 50;
/** One that became part of other regions gets its own after this part of the threshold. */
const EXCUSED_PART = 20;
/** Machine code takes about so many times the room of WebAssembly, both tiers of V8 together. */
const EXPANSION = 6;
/** Regions that wait are compiled together (calls between modules are several times dearer), BATCH of them, at the latest after so
 *  many slices, or when one of them has run so many times the threshold. */
const PATIENCE = 16;
const URGENT = 8;
/** A block that was found so often to leave compiled code because of accesses that are looked up together gets them looked up one by
 *  one: what they reach over may lie across two pages. */
const FOUND_APART = 32;
/** A guest that waits for most of its time (runs for less than this part of it, looked at so often) has little from compiled code. What
 *  gets hot then is compiled once the guest is busy and has nothing else to compile, and a batch whenever it has waited for so long. */
const IDLE_LOAD = 0.15;
const LOAD_MILLISECONDS = 50;
const IDLE_MILLISECONDS = 30_000;
/** So much of that is remembered; the rest counts its runs again. */
export const MOST_ASIDE = 512;
/** Where code takes more than this part of its room, modules of earlier runs are not read: of what comes with a region little may be of
 *  use, and others would go for it, which are read again next. */
const ROOM_PART = 0.75;
/** Handler numbers have 16 bits; those of the interpreter's own forms come out of the rest. */
const MAX_REGIONS = 50_000;

/** Words that regions read: some forty each. */
const WORD_BYTES = 8 << 20;

const NOTHING: ReadonlySet<Block> = new Set();
const isLongBlock = (block: Block) => (block.mode & MODE.code64) !== 0;

/** First record of a block that has run often enough, and the linear address at which it ran last. */
interface Waiting {
  readonly record: number;
  readonly linear: number;
}
/** Blocks to begin regions with, and the places that their functions get. */
interface Batch {
  readonly heads: readonly Block[];
  readonly slots: readonly number[];
  readonly isLong: boolean;
}
/** A compiled function; the unused parameter has 64 bits in 64-bit code. */
type RegionFunction = (record: number, unused: number | bigint) => number;
class Module {
  readonly regions = new Set<Region>();
  readonly code: WebAssembly.Module;
  readonly bytes: number;
  /** Where it lies for whoever needs its regions again. */
  shelved: ShelfModule | null = null;
  /** Made when the first of its regions is used. */
  exports: Readonly<Record<string, unknown>> | null = null;
  constructor(code: WebAssembly.Module, bytes: number) {
    this.code = code;
    this.bytes = bytes;
  }
}
class Region implements CompiledRegion {
  /** Its blocks; the plan itself is large and not kept. */
  readonly blocks: readonly Block[];
  /** Those that lead to it. */
  readonly entries = new Set<Block>();
  readonly slot: number;
  readonly module: Module;
  /** Address of what its code reads. */
  readonly words: number;
  readonly run: RegionFunction;
  private readonly jit: Jit;
  constructor(jit: Jit, blocks: readonly Block[], slot: number, module: Module, words: number, run: RegionFunction) {
    this.jit = jit;
    this.blocks = blocks;
    this.slot = slot;
    this.module = module;
    this.words = words;
    this.run = run;
  }
  release(): void {
    this.jit.statistics.invalidated++;
    this.jit.release(this);
  }
}

export class Jit {
  readonly statistics: JitStatistics = {
    regions: 0,
    modules: 0,
    wasmBytes: 0,
    codeBytes: 0,
    compiled: 0,
    compiledInstructions: 0,
    refused: 0,
    reused: 0,
    ready: 0,
    released: 0,
    invalidated: 0,
    evictedModules: 0,
    flushes: 0,
    compileMilliseconds: 0,
  };
  private readonly host: JitHost;
  readonly options: JitOptions;
  private readonly threshold: number;
  private readonly isLockStep: boolean;
  /** Number of the handler that stands in for every region in lock-step, in one kind of code or the other. */
  stopHandler = (_isLong: boolean): number => 0;
  private queue: Waiting[] = [];
  /** Those of which nobody knows yet whether they are compiled already. */
  private arrived: Waiting[] = [];
  /** Where the heads of the batch lie in linear memory. */
  private readonly linears = new Map<CodeBlock, number>();
  /** Blocks of a region that once waited for one of their own. */
  private readonly excused = new WeakSet<Block>();
  private readonly heads = new Set<Block>();
  private waited = 0;
  private patience = PATIENCE;
  private thread: CompilerThread | null = null;
  private desk: JobWriter | null = null;
  /** The thread has not answered yet, though nobody may wait for it any more. */
  private isDeskTaken = false;
  private pending: (Batch & { readonly id: number }) | null = null;
  private jobs = 0;
  /** Regions of the last answer that are in use. */
  private sound: number[] = [];
  /** Blocks whose code changed while the other thread was at work. */
  private readonly changed = new Set<Block>();
  /** Of how much of the last while the guest made use. */
  private load = 1;
  private busyMilliseconds = 0;
  private loadSince: number | null = null;
  /** What got hot while the guest waited, and since when it does, or something of that was compiled. */
  private aside: Waiting[] = [];
  private idleSince = 0;
  /** Those that are in use, oldest first. */
  private readonly modules = new Set<Module>();
  private readonly shelf: RegionShelf | null = null;
  private readonly ofShelf = new Map<ShelfModule, Module>();
  private readonly shelfSource: ShelfSource;
  private readonly words: WordRoom;
  /** Kinds of code whose regions have what they share. */
  private readonly hasEnd = new Set<boolean>();
  private readonly now: () => number;
  /** What the counters of ways out came to; those in memory have 32 bits. */
  private readonly leftTotals = [0, 0, 0, 0];
  private readonly leftCounters: Uint32Array;
  private readonly foundApart = new WeakMap<Block, number>();
  private readonly apart = new WeakSet<Block>();

  constructor(host: JitHost, options: JitOptions, now: () => number) {
    this.host = host;
    this.options = options;
    this.now = now;
    this.words = new WordRoom(host.arena.allocate('cpu-words', WORD_BYTES).offset, WORD_BYTES);
    this.leftCounters = new Uint32Array(host.arena.memory.buffer, host.layout.counters, LAST_APART + 1);
    this.isLockStep = options.mode === 'lockstep';
    this.shelfSource = {
      bytes: host.arena.bytes,
      isApart: (block) => this.apart.has(block as Block),
      pageAt: (head, distance) => this.pageAt(head, distance),
      blockAt: (head, start, delta) => this.blockAt(head, start, delta),
    };
    this.threshold = { off: 0, on: THRESHOLD, always: 1, lockstep: LOCKSTEP_THRESHOLD }[options.mode];
    host.blocks.threshold = this.threshold;
    host.blocks.onClear = () => this.clear();
    const { startCompiler, arena, features, helpers, layout, kept } = host;
    // What is run twice is compiled in another way.
    if (kept && !this.isLockStep) this.shelf = kept.shelf;
    if (!startCompiler || options.mode !== 'on') return;
    this.patience = 0;
    this.thread = startCompiler({ memory: arena.memory, features, helpers, layout, keeps: options.keeps });
    this.desk = new JobWriter(this.thread.desk);
    this.shelf = this.thread.shelf ?? null;
    host.blocks.earlier = this.shelf?.known ?? null;
    host.blocks.onDrop = (block) => {
      if (this.pending) this.changed.add(block);
    };
  }

  /** A block has counted down. Returns whether to look at what waits soon: a loop that is worth compiling spends the time until then
   *  in itself, several times as slow. What else gets hot is better gathered, as calls between modules are dear. */
  hot(record: number, linear: number): boolean {
    (this.shelf ? this.arrived : this.queue).push({ record, linear });
    const block = this.host.blocks.blockAt(record);
    if (block === undefined || this.thread === null) return false;
    if (block.early > 0) return true;
    return this.pending === null && !this.isIdle && leadsBack(block);
  }
  /** The other thread is at work. */
  get isWaiting(): boolean {
    return this.pending !== null;
  }
  /** The guest ran between these times; since the call before it waited. */
  ran(from: number, to: number): void {
    this.loadSince ??= from;
    this.busyMilliseconds += to - from;
    const span = to - this.loadSince;
    if (span < LOAD_MILLISECONDS) return;
    this.load = this.busyMilliseconds / span;
    this.busyMilliseconds = 0;
    this.loadSince = to;
    if (!this.isIdle) this.idleSince = to;
  }
  private get isIdle(): boolean {
    return this.load < IDLE_LOAD && this.options.mode !== 'always';
  }
  /** Between two stays in generated code. */
  poll(): void {
    this.collectCounters();
    this.watchApart();
    if (this.isDeskTaken) this.take();
    if (this.arrived.length > 0) this.lookOnShelf();
    if (this.isDeskTaken) return;
    if (this.isIdle) this.setAside();
    else if (this.queue.length === 0 && this.aside.length > 0) this.queue = this.aside.splice(0, BATCH);
    if (this.queue.length === 0) return;
    if (
      this.options.mode !== 'always' &&
      !this.isIdle &&
      this.queue.length < BATCH &&
      this.waited++ < this.patience &&
      !this.isUrgent()
    )
      return;
    this.waited = 0;
    if (this.thread) {
      this.queue = this.queue.filter(({ record }) => this.host.blocks.blockAt(record)?.isValid);
      if (this.queue.length > 0) this.request(this.thread);
      return;
    }
    for (const isLong of [false, true]) this.compile(isLong);
  }

  /** Whose region is compiled already need not wait for more. */
  private lookOnShelf(): void {
    const { blocks } = this.host;
    const { arrived } = this;
    this.arrived = [];
    for (const waiting of arrived) {
      const head = blocks.blockAt(waiting.record);
      if (!head?.isValid || this.heads.has(head) || this.restore(head, waiting.linear)) continue;
      if (head.early > 0) blocks.waitLonger(head);
      else this.queue.push(waiting);
    }
  }
  /** Lets a block lead to the region that the shelf has for it. False: it has none. */
  private restore(head: Block, linear: number): boolean {
    const { host, shelf, statistics, ofShelf } = this;
    if (head.second >= 0) return false;
    const isLong = isLongBlock(head);
    this.linears.set(head, linear);
    const reads = statistics.codeBytes < this.options.codeBytes * ROOM_PART;
    const found = shelf!.find(this.shelfSource, head, host.hotCount(isLong), reads);
    this.linears.delete(head);
    if (!found) return false;
    this.provideEnd(isLong);
    let module = ofShelf.get(found.module);
    if (!module) {
      module = new Module(found.code, found.module.bytes);
      this.shelve(module, found.module);
    }
    const slot = host.takeSlot();
    const { region, blocks, position } = found;
    const words = wordsOf(region.words(), { bytes: host.arena.bytes, blocks, handler: this.handlerOf(slot, isLong) });
    this.place(module, position, blocks as readonly Block[], region.entries, words, slot, isLong);
    statistics.compiledInstructions += region.get('instructions');
    statistics.reused++;
    statistics.ready = shelf!.ready;
    this.makeRoom();
    return true;
  }
  private shelve(module: Module, shelved: ShelfModule): void {
    module.shelved = shelved;
    this.ofShelf.set(shelved, module);
  }
  /** A block of a region from the shelf. */
  private blockAt(head: CodeBlock, start: number, delta: number): CodeBlock | undefined {
    const { blocks } = this.host;
    const known = blocks.find(start, head.mode);
    if (known || !blocks.hasRoom(LIMIT.blocks)) return known;
    return blocks.build(start, this.linears.get(head)! + delta, head.mode, () => {
      throw new Error('a block of a region crosses into another page');
    });
  }

  /** What waits goes to what the guest had no time for; now and then some of that has its turn. */
  private setAside(): void {
    for (const waiting of this.queue) {
      if (this.aside.length < MOST_ASIDE) this.aside.push(waiting);
      else this.postpone(waiting);
    }
    this.queue = [];
    const now = this.loadSince ?? 0;
    if (this.aside.length === 0 || now - this.idleSince < IDLE_MILLISECONDS) return;
    this.idleSince = now;
    this.queue = this.aside.splice(0, BATCH);
  }

  private postpone({ record }: Waiting): void {
    const block = this.host.blocks.blockAt(record);
    // It may have become an entry of a region meanwhile.
    if (block?.isValid && !this.heads.has(block)) this.host.blocks.resetEntry(block);
  }

  /** Looks at the accesses that compiled code left to the interpreter last. */
  private watchApart(): void {
    const { leftCounters, host, apart } = this;
    const record = leftCounters[LAST_APART]!;
    if (record === 0) return;
    leftCounters[LAST_APART] = 0;
    const block = host.blocks.blockOf(record);
    if (!block?.isValid || apart.has(block)) return;
    const times = (this.foundApart.get(block) ?? 0) + 1;
    this.foundApart.set(block, times);
    if (times < FOUND_APART) return;
    apart.add(block);
    for (const region of [...(block.regions ?? [])]) {
      const entries = [...region.entries];
      this.release(region as Region);
      for (const entry of entries) host.blocks.resetEntry(entry, Math.ceil(this.threshold / EXCUSED_PART));
    }
  }
  private collectCounters(): void {
    const { leftCounters, leftTotals } = this;
    for (let i = 0; i < leftTotals.length; i++) {
      const count = leftCounters[i]!;
      if (count === 0) continue;
      leftTotals[i] = leftTotals[i]! + count;
      leftCounters[i] = 0;
    }
  }
  /** How often compiled code was left, and why. */
  get exits(): JitExits {
    this.collectCounters();
    const [resumed, interpreted, , budget] = this.leftTotals;
    return { resumed: resumed!, interpreted: interpreted!, budget: budget! };
  }

  /** Something that waits goes on to run a lot. */
  private isUrgent(): boolean {
    const { blocks } = this.host;
    return this.queue.some(({ record }) => {
      const block = blocks.blockAt(record);
      return block?.isValid === true && blocks.runs(block) > URGENT * this.threshold;
    });
  }
  /** Takes what waits and is worth a region of its own. */
  private takeQueue(isLong: boolean, most: number): Block[] {
    const { blocks } = this.host;
    const taken: Block[] = [];
    const kept: Waiting[] = [];
    this.linears.clear();
    for (const waiting of this.queue) {
      const head = blocks.blockAt(waiting.record);
      if (!head?.isValid) continue;
      if (isLongBlock(head) !== isLong || taken.length === most) kept.push(waiting);
      // The blocks of a loop get hot together; one region for them is enough. Who is still entered from elsewhere counts on.
      else if (this.heads.has(head)) continue;
      // It was dropped, came back and got hot again.
      else if (this.linears.has(head)) continue;
      else if (this.options.mode !== 'always' && head.regions?.size && !this.excused.has(head)) this.excuse(head);
      else if (head.second >= 0) this.statistics.refused++;
      else {
        taken.push(head);
        this.linears.set(head, waiting.linear);
      }
    }
    this.queue = kept;
    return taken;
  }
  private excuse(head: Block): void {
    if (!head.isValid) return; // its first record leads on to what is there now
    this.excused.add(head);
    this.host.blocks.resetEntry(head, Math.ceil(this.threshold / EXCUSED_PART));
  }
  /** Place of the code so many linear pages behind that of a head of the batch, or -1. */
  private pageAt(head: CodeBlock, distance: number): number {
    const linear = this.linears.get(head)!;
    const isUser = (head.mode & MODE.user) !== 0;
    return this.host.locate(linear - (linear & 0xfff) + distance * 4096, isUser);
  }
  private get warm(): number {
    return Math.max(1, Math.floor(this.threshold / WARM_PART));
  }
  private handlerOf(slot: number, isLong: boolean): number {
    return this.host.hotCount(isLong) + slot;
  }

  private lot = 1;
  /** In lock-step blocks stay outside now and then, as if they were cold: regions of more shapes than what gets hot in the order of
   *  one boot has. */
  private isLeftOut(): boolean {
    if (!this.isLockStep) return false;
    this.lot = (Math.imul(this.lot, 1664525) + 1013904223) >>> 0;
    return this.lot >>> 29 === 0;
  }
  /** Compiles here and now. */
  private compile(isLong: boolean): void {
    const { host, options, statistics, warm } = this;
    const { arena, blocks, layout } = host;
    const heads = this.takeQueue(isLong, Number.POSITIVE_INFINITY);
    if (heads.length === 0) return;
    const started = this.now();
    const keeper = this.shelf && host.kept?.keeper;
    const slots = heads.map(() => host.takeSlot());
    const source: CodeSource = {
      bytes: arena.bytes,
      maps: blocks.maps,
      longMaps: blocks.longMaps,
      findWarm: (start, mode) => {
        const block = blocks.find(start, mode);
        return block && blocks.runs(block) >= warm && !this.isLeftOut() ? block : undefined;
      },
      isHead: (block) => this.heads.has(block as Block),
      isApart: (block) => this.apart.has(block as Block),
      pageAt: (head, distance) => this.pageAt(head, distance),
      index: (record) => blocks.index(record),
      pc: (record) => blocks.pc(record),
    };
    const wanted = heads.map((block, i): BatchHead => {
      return { block, handler: this.handlerOf(slots[i]!, isLong) };
    });
    const result = compileBatch(source, wanted, {
      layout: { ...layout, hotCount: host.hotCount(isLong) },
      isLong,
      skipsCovered: options.mode !== 'always',
      isTwice: this.isLockStep,
      keeps: this.shelf !== null,
      onMade: (made) => keeper?.add(made, () => true),
    });
    this.install({ heads, slots, isLong }, result, NOTHING);
    statistics.compileMilliseconds += this.now() - started;
  }

  // -- on another thread ---------------------------------------------------------------------------------------------

  /** Lets the other thread compile what waits. */
  private request(thread: CompilerThread): void {
    const { host } = this;
    const { blocks } = host;
    const isLong = isLongBlock(blocks.blockAt(this.queue[0]!.record)!);
    const heads = this.takeQueue(isLong, BATCH);
    if (heads.length === 0) return;
    const slots = heads.map(() => host.takeSlot());
    const id = ++this.jobs;
    const job = this.desk!;
    job.begin();
    heads.forEach((head, i) => {
      head.job = id;
      job.head(head, this.handlerOf(slots[i]!, isLong), this.apart.has(head));
    });
    heads.forEach((head, i) => {
      this.reach(head, i, id, job);
    });
    this.pending = { id, heads, slots, isLong };
    this.changed.clear();
    this.isDeskTaken = true;
    thread.post(job.end(id, isLong, host.hotCount(isLong), this.sound));
    this.sound = [];
  }
  private isWarm(block: Block): boolean {
    return block.isValid && block.second < 0 && this.host.blocks.runs(block) >= this.warm;
  }
  /** Follows the code from a head: puts the blocks there into the job, and the other pages, by their distance from the block's. */
  private reach(head: Block, position: number, id: number, job: JobWriter): void {
    const { blocks } = this.host;
    const { mode, start } = head;
    const inPage = start & 0xfff;
    const ownPage = (start & ~0xfff) >>> 0;
    const pages = new Map<number, number>();
    // As the planner does: what is near first.
    const reached = new Set([0]);
    for (const delta of reached) {
      const distance = (inPage + delta) >> 12;
      let base = ownPage;
      if (distance !== 0) {
        const known = pages.get(distance);
        base = known ?? this.pageAt(head, distance);
        if (base < 0) continue;
        if (known === undefined) {
          pages.set(distance, base);
          job.page(position, distance, base);
        }
      }
      const block = blocks.find(base + (inPage + delta - distance * 4096), mode);
      if (!block || !this.isWarm(block)) continue;
      if (block.job !== id) {
        block.job = id;
        job.block(block, this.heads.has(block), this.apart.has(block));
      }
      if (reached.size + 2 > REACH) continue;
      const { ends, target, length } = block;
      if (ends !== BLOCK_END.jump) reached.add(delta + length);
      if (ends === BLOCK_END.jump || ends === BLOCK_END.branch || ends === BLOCK_END.call) reached.add(delta + target);
    }
  }
  private take(): void {
    let answer: CompilerAnswer | null;
    try {
      answer = this.thread!.take();
    } catch {
      // The thread has died: what it was to do is done here from now on.
      const job = this.pending;
      this.thread = null;
      this.isDeskTaken = false;
      this.patience = PATIENCE;
      this.pending = null;
      if (job) this.giveUp(job);
      return;
    }
    if (answer) this.receive(answer);
  }
  /** Its blocks count their runs again. */
  private giveUp({ slots, heads }: Batch): void {
    for (const slot of slots) this.host.giveSlot(slot);
    for (const head of heads) if (head.isValid) this.host.blocks.resetEntry(head);
  }
  private receive(answer: CompilerAnswer): void {
    const job = this.pending;
    this.isDeskTaken = false;
    if (job?.id !== answer.id) return; // everything was dropped since
    this.pending = null;
    this.statistics.compileMilliseconds += answer.milliseconds;
    if (answer.error !== '') {
      if (this.changed.size === 0) throw new Error(`compiling failed: ${answer.error}`);
      this.giveUp(job);
      return;
    }
    this.install(job, answer, this.changed);
  }

  /** Lets the first blocks of a batch's regions lead to them. */
  private install({ heads, slots, isLong }: Batch, result: BatchResult, changed: ReadonlySet<Block>): void {
    const { host, statistics } = this;
    const { blocks } = host;
    this.provideEnd(isLong);
    this.sound = [];
    for (const head of result.covered) this.excuse(heads[head]!);
    statistics.refused += result.refused.length;
    for (const head of [...result.covered, ...result.refused]) host.giveSlot(slots[head]!);
    if (!result.code) return;
    const module = new Module(result.code, result.bytes);
    const kept: (KeptRegion | null)[] = result.regions.map(() => null);
    result.regions.forEach((made, i) => {
      const { head: position, records, entries, instructions, words } = made;
      const head = heads[position]!;
      const slot = slots[position]!;
      const members = records.map((record) => blocks.blockAt(record));
      if (members.some((block) => !block?.isValid || changed.has(block))) {
        host.giveSlot(slot);
        if (head.isValid) blocks.resetEntry(head);
        return;
      }
      this.sound.push(i);
      if (made.kept) kept[i] = new KeptRegion(made.kept);
      this.place(module, i, members as Block[], entries, words, slot, isLong);
      statistics.compiledInstructions += instructions;
    });
    if (this.shelf && module.regions.size > 0) {
      const { code, bytes } = module;
      this.shelve(module, this.shelf.add({ code, bytes, hotCount: host.hotCount(isLong), regions: kept }));
    }
    this.makeRoom();
  }
  /** What all regions of one kind of code share. */
  private provideEnd(isLong: boolean): void {
    const { host } = this;
    if (this.hasEnd.has(isLong)) return;
    const layout = { ...host.layout, hotCount: host.hotCount(isLong) };
    const name = `region end ${isLong ? 64 : 32} ${JSON.stringify(layout)}`;
    const shared = Object.entries(host.instantiate({ name, make: () => regionEndModule(layout, isLong) }));
    host.provide(Object.fromEntries(shared.map(([name, f]) => [isLong ? `${name}Long` : name, f])));
    this.hasEnd.add(isLong);
  }
  /** Puts a region of a module to work: fills in what its code reads, and lets the blocks by which it is entered (positions among all)
   *  lead to it. */
  private place(
    module: Module,
    position: number,
    members: readonly Block[],
    entries: readonly number[],
    words: readonly number[],
    slot: number,
    isLong: boolean,
  ): void {
    const { host, statistics } = this;
    const at = this.takeWords(words.length);
    new Int32Array(host.arena.memory.buffer, at, words.length).set(words);
    module.exports ??= host.instantiate(module.code);
    const run = module.exports[String(position)] as RegionFunction;
    const region = new Region(this, members, slot, module, at, run);
    if (module.regions.size === 0) {
      this.modules.add(module);
      statistics.modules++;
      statistics.wasmBytes += module.bytes;
      statistics.codeBytes += module.bytes * EXPANSION;
    }
    module.regions.add(region);
    host.setSlot(slot, run);
    const handler = this.isLockStep ? this.stopHandler(isLong) : this.handlerOf(slot, isLong);
    entries.forEach((entry, i) => {
      const block = members[entry]!;
      if (this.heads.has(block)) return;
      host.blocks.setEntry(block, handler, i, at);
      region.entries.add(block);
      this.heads.add(block);
    });
    for (const block of members) {
      block.regions ??= new Set();
      block.regions.add(region);
    }
    statistics.regions++;
    statistics.compiled++;
  }
  private makeRoom(): void {
    while (this.isFull() && this.statistics.modules > 1) this.evictOldest();
  }
  private takeWords(words: number): number {
    for (;;) {
      const at = this.words.take(words);
      if (at >= 0) return at;
      if (this.statistics.modules === 0) throw new Error(`no room for the ${words} words of a region`);
      this.evictOldest();
    }
  }

  /** The region that begins with a block. */
  regionOf(block: Block): RegionFunction | undefined {
    for (const region of (block.regions ?? []) as Iterable<Region>) if (region.entries.has(block)) return region.run;
    return undefined;
  }
  private isFull(): boolean {
    const { codeBytes, regions } = this.statistics;
    return codeBytes > this.options.codeBytes || regions > MAX_REGIONS;
  }
  private evictOldest(): void {
    for (const module of this.modules) {
      this.statistics.evictedModules++;
      for (const region of [...module.regions]) this.release(region);
      return;
    }
  }
  /** The region's code is no longer that of its blocks, or is in the way. It may be running: its words stay as they are until, between
   *  two stays in generated code, another is made. */
  release(region: Region): void {
    const { host, statistics } = this;
    const { module } = region;
    if (!module.regions.delete(region)) return;
    this.words.give(region.words);
    for (const block of region.blocks) block.regions?.delete(region);
    for (const entry of region.entries) {
      host.blocks.resetEntry(entry);
      this.heads.delete(entry);
    }
    host.setSlot(region.slot, null);
    host.giveSlot(region.slot);
    statistics.regions--;
    statistics.released++;
    if (module.regions.size > 0) return;
    this.modules.delete(module);
    if (module.shelved) {
      this.ofShelf.delete(module.shelved);
      this.shelf!.unload(module.shelved);
      module.shelved = null;
    }
    statistics.modules--;
    statistics.wasmBytes -= module.bytes;
    statistics.codeBytes -= module.bytes * EXPANSION;
  }
  /** Everything goes. */
  private clear(): void {
    this.queue = [];
    this.aside = [];
    this.arrived = [];
    for (const slot of this.pending?.slots ?? []) this.host.giveSlot(slot);
    this.pending = null;
    if (this.statistics.modules > 0) this.statistics.flushes++;
    for (const module of [...this.modules]) for (const region of [...module.regions]) this.release(region);
  }
}
