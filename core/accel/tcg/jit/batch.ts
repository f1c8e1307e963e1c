/** Compiles regions that got hot together, on whichever thread: of the machine it needs linear memory and where blocks lie. */
import { longMapsFor, mapsFor, type OpcodeMaps } from '../../../target/x86/decode/decoder.ts';
import { InstructionEmitter } from '../emit/instruction-emitter.ts';
import { type CompileLayout, compileRegion, linkModule, type RegionCode } from './compile.ts';
import { type CompilerJob, headsOf, JobSource } from './job.ts';
import { describe, KeptRegion } from './kept-regions.ts';
import { type CodeBlock, type CodeSource, planRegion } from './plan.ts';
import type { RegionKeeper } from './region-keeper.ts';
import type { RegionShelf } from './region-shelf.ts';
import { wordsOf } from './region-words.ts';

/** A block to begin a region with, and the handler number that the region will have. */
export interface BatchHead {
  readonly block: CodeBlock;
  readonly handler: number;
}
/** A region of a batch: which head it belongs to, and the first records of its blocks. `entries`: where it is entered, as positions in
 *  `records`. Its place in the list is that in the module: the name of its export. `words`: what its code reads. `kept`: what is said of
 *  it for others (KeptRegion), null: nothing. */
export interface BatchRegion {
  readonly head: number;
  readonly records: readonly number[];
  readonly entries: readonly number[];
  readonly instructions: number;
  readonly words: readonly number[];
  readonly kept: Int32Array<ArrayBuffer> | null;
}
/** The module, if there are regions. The heads that are missing there: `covered` are part of another region of the batch, `refused`
 *  cannot be compiled. */
export interface BatchResult {
  readonly code: WebAssembly.Module | null;
  readonly bytes: number;
  readonly regions: readonly BatchRegion[];
  readonly covered: readonly number[];
  readonly refused: readonly number[];
}
export const EMPTY_BATCH: BatchResult = { code: null, bytes: 0, regions: [], covered: [], refused: [] };

/** A module that was compiled, its regions by position. */
export interface MadeModule {
  readonly codes: readonly RegionCode[];
  readonly regions: readonly (KeptRegion | null)[];
  readonly hotCount: number;
}
export interface BatchOptions {
  readonly layout: CompileLayout;
  readonly isLong: boolean;
  /** One region is enough for blocks that lead to each other. */
  readonly skipsCovered: boolean;
  /** The regions will be run in lock-step. */
  readonly isTwice: boolean;
  /** Says what is kept of regions. */
  readonly keeps: boolean;
  readonly onMade?: ((made: MadeModule) => void) | undefined;
}

export function compileBatch(
  source: CodeSource,
  heads: readonly BatchHead[],
  { layout, isLong, skipsCovered, isTwice, keeps, onMade }: BatchOptions,
): BatchResult {
  const codes: RegionCode[] = [];
  const regions: BatchRegion[] = [];
  const covered: number[] = [];
  const refused: number[] = [];
  const members = new Set<number>();
  const begun = new Set<number>();
  const seen: CodeSource = Object.create(source, {
    isHead: { value: (block: CodeBlock) => begun.has(block.record) || source.isHead(block) },
  });
  heads.forEach(({ block, handler }, head) => {
    if (begun.has(block.record) || (skipsCovered && members.has(block.record))) {
      covered.push(head);
      return;
    }
    const plan = planRegion(seen, block, isTwice);
    if (!plan) {
      refused.push(head);
      return;
    }
    const code = compileRegion(plan, layout, isLong);
    const blocks = plan.blocks.map((planned) => planned.block);
    const records = blocks.map(({ record }) => record);
    for (const entry of plan.entries) begun.add(records[entry]!);
    for (const record of records) members.add(record);
    codes.push(code);
    regions.push({
      head,
      records,
      entries: plan.entries,
      instructions: plan.instructions,
      words: wordsOf(code.words, { bytes: source.bytes, blocks, handler }),
      kept: (keeps && describe(source, plan, code)?.data) || null,
    });
  });
  if (codes.length === 0) return { ...EMPTY_BATCH, covered, refused };
  const { wire } = linkModule(codes, layout, isLong);
  const kept = regions.map((region) => region.kept && new KeptRegion(region.kept));
  onMade?.({ codes, regions: kept, hotCount: layout.hotCount });
  return { code: new WebAssembly.Module(wire), bytes: wire.length, regions, covered, refused };
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
  /** What earlier runs compiled, and this one. */
  readonly shelf?: RegionShelf | null;
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
  private readonly keeper: RegionKeeper | null;
  /** What the last job compiled: it is kept when the next job tells which of its regions are sound. */
  private made: MadeModule | null = null;

  constructor(setup: CompilerSetup, keeper: RegionKeeper | null = null) {
    this.setup = setup;
    this.keeper = keeper;
    const numbers = new Map(setup.helpers.map((name, i) => [name, i]));
    InstructionEmitter.helperIndex = (name) => numbers.get(name)!;
    this.model = new ModelMaps(setup.features);
  }
  /** Guest code may change while it is read: what comes out then, the machine's own thread throws away. */
  compile(job: CompilerJob): BatchResult {
    const { keeper, made } = this;
    const sound = new Set(job.sound);
    this.made = null;
    if (made) keeper!.add(made, (position) => sound.has(position));
    const { isLong, hotCount } = job;
    const source = new JobSource(new Uint8Array(this.setup.memory.buffer), this.model, job);
    const wanted = headsOf(job).map((handler, i): BatchHead => ({ handler, block: source.blocks[i]! }));
    return compileBatch(source, wanted, {
      layout: { ...this.setup.layout, hotCount },
      isLong,
      skipsCovered: true,
      isTwice: false,
      keeps: this.setup.keeps,
      onMade: (fresh) => {
        if (keeper) this.made = fresh;
      },
    });
  }
}
