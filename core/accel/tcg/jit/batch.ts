/** Compiles regions that got hot together, on whichever thread: of the machine it needs linear memory and where blocks lie. */
import { longMapsFor, mapsFor, type OpcodeMaps } from '../../../target/x86/decode/decoder.ts';
import { InstructionEmitter } from '../emit/instruction-emitter.ts';
import type { KnownBlocks } from '../known-blocks.ts';
import { type CompileLayout, compileRegion, linkModule, newModuleId, type RegionCode } from './compile.ts';
import { type CompilerJob, headsOf, JobSource } from './job.ts';
import type { KeptModule, KeptRegions } from './kept-regions.ts';
import { type CodeBlock, type CodeSource, type Plan, planRegion } from './plan.ts';
import { wordsOf } from './region-words.ts';

/** A block to begin a region with, and the handler number that the region will have. `isEarly`: it is here because of what earlier runs
 *  knew of it, and waits longer if no kept region fits. */
export interface BatchHead {
  readonly block: CodeBlock;
  readonly handler: number;
  readonly isEarly: boolean;
}
/** A region of a batch: which head it belongs to, and the first records of its blocks. `entries`: where it is entered, as positions in
 *  `records`. `module`: of the batch's, `position` of the region in it: the name of its export; `words`: what its code reads. */
export interface BatchRegion {
  readonly head: number;
  readonly records: readonly number[];
  readonly entries: readonly number[];
  readonly instructions: number;
  readonly module: number;
  readonly position: number;
  readonly words: readonly number[];
}
/** `code`: null for one that was there in an earlier batch. */
export interface BatchModule {
  readonly id: number;
  readonly code: WebAssembly.Module | null;
  readonly bytes: number;
}
/** The heads that are missing in `regions`: `covered` are part of another region of the batch, `refused` cannot be compiled, `early`
 *  came too soon. `reused`: regions whose code was there already; `ready`: modules whose machine code was. */
export interface BatchResult {
  readonly modules: readonly BatchModule[];
  readonly regions: readonly BatchRegion[];
  readonly covered: readonly number[];
  readonly refused: readonly number[];
  readonly early: readonly number[];
  readonly reused: number;
  readonly ready: number;
}
export const EMPTY_BATCH: BatchResult = {
  modules: [],
  regions: [],
  covered: [],
  refused: [],
  early: [],
  reused: 0,
  ready: 0,
};

/** What was compiled anew: a module, its regions by position. */
export interface MadeModule {
  readonly id: number;
  readonly code: WebAssembly.Module;
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly parts: readonly { readonly plan: Plan; readonly code: RegionCode }[];
}
export interface BatchOptions {
  readonly layout: CompileLayout;
  readonly isLong: boolean;
  /** One region is enough for blocks that lead to each other. */
  readonly skipsCovered: boolean;
  /** The regions will be run in lock-step. */
  readonly isTwice: boolean;
  readonly kept?: KeptRegions | undefined;
  readonly onMade?: ((made: MadeModule, regions: readonly number[]) => void) | undefined;
}

/** `regions` of what is made anew: their positions among those of the batch. */
export function compileBatch(
  source: CodeSource,
  heads: readonly BatchHead[],
  { layout, isLong, skipsCovered, isTwice, kept, onMade }: BatchOptions,
): BatchResult {
  const parts: { plan: Plan; code: RegionCode }[] = [];
  const regions: BatchRegion[] = [];
  const modules: BatchModule[] = [];
  /** Positions in `modules`. */
  const known = new Map<KeptModule, number>();
  const made: number[] = [];
  const covered: number[] = [];
  const refused: number[] = [];
  const early: number[] = [];
  const readyBefore = kept?.ready ?? 0;
  const members = new Set<number>();
  const begun = new Set<number>();
  const seen: CodeSource = Object.create(source, {
    isHead: { value: (block: CodeBlock) => begun.has(block.record) || source.isHead(block) },
  });
  const add = (region: BatchRegion) => {
    for (const entry of region.entries) begun.add(region.records[entry]!);
    for (const record of region.records) members.add(record);
    return regions.push(region) - 1;
  };
  const moduleOf = (module: KeptModule, code: WebAssembly.Module): number => {
    const position = known.get(module);
    if (position !== undefined) return position;
    known.set(module, modules.length);
    return modules.push({ id: module.id, code, bytes: module.wireBytes }) - 1;
  };
  heads.forEach(({ block, handler, isEarly }, head) => {
    if (begun.has(block.record) || (skipsCovered && members.has(block.record))) {
      covered.push(head);
      return;
    }
    const match = kept?.find(source, block, layout.hotCount);
    if (match) {
      const { region, blocks } = match;
      add({
        head,
        records: blocks.map(({ record }) => record),
        entries: region.entries,
        instructions: region.get('instructions'),
        module: moduleOf(match.module, match.code),
        position: match.position,
        words: wordsOf(region.words(), { blocks, handler }),
      });
      return;
    }
    if (isEarly) {
      early.push(head);
      return;
    }
    const plan = planRegion(seen, block, isTwice);
    if (!plan) {
      refused.push(head);
      return;
    }
    const code = compileRegion(plan, layout, isLong);
    const blocks = plan.blocks.map((planned) => planned.block);
    made.push(
      add({
        head,
        records: blocks.map(({ record }) => record),
        entries: plan.entries,
        instructions: plan.instructions,
        module: -1,
        position: parts.length,
        words: wordsOf(code.words, { blocks, handler }),
      }),
    );
    parts.push({ plan, code });
  });
  const reused = regions.length - made.length;
  if (parts.length > 0) {
    const wire = linkModule(
      parts.map(({ code }) => code),
      layout,
      isLong,
    );
    const id = newModuleId();
    const code = new WebAssembly.Module(wire);
    const module = modules.push({ id, code, bytes: wire.length }) - 1;
    for (const region of made) regions[region] = { ...regions[region]!, module };
    onMade?.({ id, code, wire, parts }, made);
  }
  const ready = (kept?.ready ?? 0) - readyBefore;
  return { modules, regions, covered, refused, early, reused, ready };
}

// -- for another thread ------------------------------------------------------------------------------------------------

/** What the other thread gets once. */
export interface CompilerSetup {
  readonly memory: WebAssembly.Memory;
  /** Features of the CPU's model; null: all there are. */
  readonly features: readonly string[] | null;
  /** Names of helpers in the order of their numbers. */
  readonly helpers: readonly string[];
  readonly layout: Omit<CompileLayout, 'hotCount'>;
  /** As in JitOptions. */
  readonly keeps: boolean;
}
export interface CompilerAnswer extends BatchResult {
  readonly id: number;
  readonly milliseconds: number;
  /** What went wrong, '': nothing. Code that changes while it is read may be anything. */
  readonly error: string;
}
/** A thread that compiles. */
export interface CompilerThread {
  /** What earlier runs compiled. */
  readonly known?: KnownBlocks | null;
  /** Where jobs are written, JOB_WORDS. */
  readonly desk: Int32Array;
  /** What lies on the desk is to be done, and left alone until there is an answer. */
  post(job: CompilerJob): void;
  /** The answer to a job, when there is one. @throws Error when the thread is no more */
  take(): CompilerAnswer | null;
}

/** The instructions of a CPU model, made when something is decoded: kept code is not. */
class ModelMaps implements Pick<CodeSource, 'maps' | 'longMaps'> {
  private readonly features: ReadonlySet<string> | null;
  private short: OpcodeMaps | undefined;
  private long: OpcodeMaps | undefined;
  constructor(features: readonly string[] | null) {
    this.features = features && new Set(features);
  }
  get maps(): OpcodeMaps | undefined {
    const { features } = this;
    if (features) this.short ??= mapsFor((name) => features.has(name));
    return this.short;
  }
  get longMaps(): OpcodeMaps | undefined {
    const { features } = this;
    if (features?.has('lm')) this.long ??= longMapsFor((name) => features.has(name));
    return this.long;
  }
}

/** The other thread's part. */
export class BatchCompiler {
  private readonly setup: CompilerSetup;
  private readonly model: ModelMaps;
  private kept: KeptRegions | undefined;
  /** Modules that the machine has. */
  private readonly sent = new Set<number>();
  /** Keeps what the last job compiled, given which of its regions are sound: that is known when the next comes. */
  private keepFresh: ((sound: ReadonlySet<number>) => void) | undefined;

  constructor(setup: CompilerSetup, kept?: KeptRegions) {
    this.setup = setup;
    this.kept = kept;
    const numbers = new Map(setup.helpers.map((name, i) => [name, i]));
    InstructionEmitter.helperIndex = (name) => numbers.get(name)!;
    this.model = new ModelMaps(setup.features);
  }
  /** Guest code may change while it is read: what comes out then, the machine's own thread throws away. */
  compile(job: CompilerJob): BatchResult {
    this.keepFresh?.(new Set(job.sound));
    this.keepFresh = undefined;
    for (const id of job.dropped) {
      this.sent.delete(id);
      this.kept?.unload(id);
    }
    const result = this.build(job);
    return {
      ...result,
      modules: result.modules.map((module) => {
        const wasSent = this.sent.has(module.id);
        this.sent.add(module.id);
        return wasSent ? { ...module, code: null } : module;
      }),
    };
  }
  private build(job: CompilerJob): BatchResult {
    const { isLong, hotCount } = job;
    const { kept } = this;
    const source = new JobSource(new Uint8Array(this.setup.memory.buffer), this.model, job);
    const wanted = headsOf(job).map((head, i): BatchHead => ({ ...head, block: source.blocks[i]! }));
    return compileBatch(source, wanted, {
      layout: { ...this.setup.layout, hotCount },
      isLong,
      skipsCovered: true,
      isTwice: false,
      kept,
      onMade:
        kept &&
        ((made, regions) => {
          const keep = kept.prepare(source, made, hotCount);
          this.keepFresh = (sound) => keep((position) => sound.has(regions[position]!));
        }),
    });
  }
}
