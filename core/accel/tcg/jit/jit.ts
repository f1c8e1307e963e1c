/** The second tier: hot blocks become regions, regions that got hot together become a module. Old modules are dropped when
 *  code takes more room than allowed. */
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { type Block, type BlockCache, type CompiledRegion, MODE, MODE_SHIFT } from '../blocks.ts';
import { type CompileLayout, type CompileRequest, compileModule } from './compile.ts';
import { planRegion } from './plan.ts';
import { regionEndModule } from './region-end.ts';

/** off: interpreter only. on: as usual. always: whatever runs is compiled at once. lockstep: every region runs beside the interpreter
 *  (lockstep.ts). */
export const JIT_MODES = ['off', 'on', 'always', 'lockstep'] as const;
export type JitMode = (typeof JIT_MODES)[number];

export interface JitOptions {
  readonly mode: JitMode;
  /** Estimated bytes that compiled code may take. */
  readonly codeBytes: number;
}
export const JIT_DEFAULTS: JitOptions = { mode: 'on', codeBytes: 128 << 20 };

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
  instantiate(bytes: Uint8Array<ArrayBuffer>): Record<string, unknown>;
  /** What modules may import from now on. */
  provide(functions: Readonly<Record<string, unknown>>): void;
}

export interface JitStatistics {
  regions: number;
  modules: number;
  wasmBytes: number;
  codeBytes: number;
  compiled: number;
  compiledInstructions: number;
  refused: number;
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
const THRESHOLD = 1000;
/** The same in lock-step, which is slow anyway. */
const LOCKSTEP_THRESHOLD = 50;
/** A block that has run this part of the threshold comes along into a region. */
const WARM_PART = 16;
/** Machine code takes about so many times the room of WebAssembly, both tiers of V8 together. */
const EXPANSION = 6;
/** Regions that wait are compiled together (calls between modules are several times dearer), at the latest after so many
 *  slices, or when one of them has run so many times the threshold. */
const BATCH = 24;
const PATIENCE = 16;
const URGENT = 20;
/** A guest that waits for most of its time gains nothing from compiled code: below this part of the time, looked at so often. */
const IDLE_LOAD = 0.15;
const LOAD_MILLISECONDS = 50;
/** Handler numbers have 16 bits; those of the interpreter's own forms come out of the rest. */
const MAX_REGIONS = 50_000;

const isLongBlock = (block: Block) => ((block.key % MODE_SHIFT) & MODE.code64) !== 0;

class Module {
  readonly regions = new Set<Region>();
  readonly bytes: number;
  constructor(bytes: number) {
    this.bytes = bytes;
  }
}
class Region implements CompiledRegion {
  readonly head: Block;
  /** Its blocks; the plan itself is large and not kept. */
  readonly blocks: readonly Block[];
  readonly slot: number;
  module: Module | null = null;
  /** The compiled function; the unused parameter has 64 bits in 64-bit code. */
  run: ((record: number, unused: number | bigint) => number) | undefined;
  private readonly jit: Jit;
  constructor(jit: Jit, head: Block, blocks: readonly Block[], slot: number) {
    this.jit = jit;
    this.head = head;
    this.blocks = blocks;
    this.slot = slot;
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
  /** First records of blocks that wait. */
  private queue: number[] = [];
  /** Blocks of a region that once waited for one of their own. */
  private readonly excused = new WeakSet<Block>();
  private readonly heads = new Set<Block>();
  private waited = 0;
  /** Of how much of the last while the guest made use. */
  private load = 1;
  private busyMilliseconds = 0;
  private loadSince: number | null = null;
  private modules: Module[] = [];
  /** Kinds of code whose regions have what they share. */
  private readonly hasEnd = new Set<boolean>();
  private readonly now: () => number;
  /** What the counters of ways out came to; those in memory have 32 bits. */
  private readonly leftTotals = [0, 0, 0, 0];
  private readonly leftCounters: Uint32Array;

  constructor(host: JitHost, options: JitOptions, now: () => number) {
    this.host = host;
    this.options = options;
    this.now = now;
    this.leftCounters = new Uint32Array(host.arena.memory.buffer, host.layout.counters, this.leftTotals.length);
    this.isLockStep = options.mode === 'lockstep';
    this.threshold = { off: 0, on: THRESHOLD, always: 1, lockstep: LOCKSTEP_THRESHOLD }[options.mode];
    host.blocks.threshold = this.threshold;
    host.blocks.onClear = () => this.clear();
  }

  /** A block has counted down. */
  hot(record: number): void {
    this.queue.push(record);
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
  }
  /** Between two stays in generated code. */
  poll(): void {
    this.collectCounters();
    if (this.queue.length === 0) return;
    if (this.load < IDLE_LOAD && this.options.mode !== 'always') {
      this.postpone();
      return;
    }
    if (this.options.mode !== 'always' && this.queue.length < BATCH && this.waited++ < PATIENCE && !this.isUrgent())
      return;
    this.waited = 0;
    this.compile();
  }

  /** What waits counts its runs again. */
  private postpone(): void {
    const { blocks } = this.host;
    for (const record of this.queue) {
      const block = blocks.blockAt(record);
      if (block?.isValid) blocks.resetEntry(block);
    }
    this.queue = [];
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
    return this.queue.some((record) => {
      const block = blocks.blockAt(record);
      return block?.isValid === true && blocks.runs(block) > URGENT * this.threshold;
    });
  }
  private compile(): void {
    const { host, statistics } = this;
    const { blocks } = host;
    const started = this.now();
    const regions: Region[] = [];
    const requests: CompileRequest[] = [];
    const warm = Math.max(1, Math.floor(this.threshold / WARM_PART));
    const queue = this.queue;
    const covered = new Set<Block>();
    const isHead = (block: Block) => this.heads.has(block) || regions.some((region) => region.head === block);
    this.queue = [];
    for (const record of queue) {
      const head = blocks.blockAt(record);
      if (!head?.isValid) continue;
      // The blocks of a loop get hot together; one region for them is enough. Who is still entered from elsewhere counts on.
      if (this.options.mode !== 'always' && (covered.has(head) || (head.regions?.size && !this.excused.has(head)))) {
        this.excused.add(head);
        blocks.resetEntry(head);
        continue;
      }
      const plan = planRegion(host.arena, blocks, head, (block) => blocks.runs(block) >= warm, isHead, this.isLockStep);
      if (!plan) {
        statistics.refused++;
        continue;
      }
      const members = plan.blocks.map(({ block }) => block);
      for (const block of members) covered.add(block);
      const region = new Region(this, head, members, host.takeSlot());
      regions.push(region);
      requests.push({ plan, handler: host.hotCount(isLongBlock(head)) + region.slot });
      statistics.compiledInstructions += plan.instructions;
    }
    for (const isLong of [false, true]) {
      const ofKind = regions.filter(({ head }) => isLongBlock(head) === isLong);
      const wanted = requests.filter(({ plan }) => isLongBlock(plan.blocks[0]!.block) === isLong);
      if (ofKind.length > 0) this.install(ofKind, wanted, isLong);
    }
    while (this.isFull() && this.modules.length > 1) this.evict(this.modules[0]!);
    statistics.compileMilliseconds += this.now() - started;
  }
  /** Makes one module and lets the first blocks of its regions lead to it. */
  private install(regions: readonly Region[], requests: readonly CompileRequest[], isLong: boolean): void {
    const { host, statistics } = this;
    const layout = { ...host.layout, hotCount: host.hotCount(isLong) };
    if (!this.hasEnd.has(isLong)) {
      const shared = Object.entries(host.instantiate(regionEndModule(layout, isLong)));
      host.provide(Object.fromEntries(shared.map(([name, f]) => [isLong ? `${name}Long` : name, f])));
      this.hasEnd.add(isLong);
    }
    const bytes = compileModule(requests, layout, isLong);
    const exports = host.instantiate(bytes);
    const module = new Module(bytes.length);
    regions.forEach((region, i) => {
      region.module = module;
      module.regions.add(region);
      host.setSlot(region.slot, exports[String(i)]);
      region.run = exports[String(i)] as Region['run'];
      host.blocks.setEntry(region.head, this.isLockStep ? this.stopHandler(isLong) : requests[i]!.handler);
      this.heads.add(region.head);
      for (const block of region.blocks) {
        block.regions ??= new Set();
        block.regions.add(region);
      }
    });
    this.modules.push(module);
    statistics.modules++;
    statistics.regions += regions.length;
    statistics.compiled += regions.length;
    statistics.wasmBytes += bytes.length;
    statistics.codeBytes += bytes.length * EXPANSION;
  }

  /** The region that begins with a block. */
  regionOf(block: Block): Region['run'] {
    for (const region of block.regions ?? []) if (region.blocks[0] === block) return (region as Region).run;
    return undefined;
  }
  private isFull(): boolean {
    const { codeBytes, regions } = this.statistics;
    return codeBytes > this.options.codeBytes || regions > MAX_REGIONS;
  }
  private evict(module: Module): void {
    this.statistics.evictedModules++;
    for (const region of [...module.regions]) this.release(region);
  }
  /** The region's code is no longer that of its blocks, or is in the way. */
  release(region: Region): void {
    const { host, statistics } = this;
    const { module } = region;
    if (!module?.regions.delete(region)) return;
    for (const block of region.blocks) block.regions?.delete(region);
    host.blocks.resetEntry(region.head);
    this.heads.delete(region.head);
    host.setSlot(region.slot, null);
    host.giveSlot(region.slot);
    statistics.regions--;
    statistics.released++;
    if (module.regions.size > 0) return;
    this.modules = this.modules.filter((other) => other !== module);
    statistics.modules--;
    statistics.wasmBytes -= module.bytes;
    statistics.codeBytes -= module.bytes * EXPANSION;
  }
  /** Everything goes. */
  private clear(): void {
    this.queue = [];
    if (this.modules.length > 0) this.statistics.flushes++;
    for (const module of [...this.modules]) for (const region of [...module.regions]) this.release(region);
  }
}
