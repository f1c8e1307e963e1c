/** Compiles regions that got hot together, on whichever thread: of the machine it needs linear memory and where blocks lie. */
import { longMapsFor, mapsFor, type OpcodeMaps } from '../../../target/x86/decode/decoder.ts';
import { InstructionEmitter } from '../emit/instruction-emitter.ts';
import type { KnownBlocks } from '../known-blocks.ts';
import { type CompileLayout, compileRegion, linkModule, type RegionCode, type RegionPlace } from './compile.ts';
import { type CompilerJob, headsOf, JobSource } from './job.ts';
import type { KeptMatch, KeptRegions } from './kept-regions.ts';
import { type CodeBlock, type CodeSource, type Plan, planRegion } from './plan.ts';

/** A block to begin a region with, and the handler number that the region will have. `isEarly`: it is here because of what earlier runs
 *  knew of it, and waits longer if no kept region fits. */
export interface BatchHead {
  readonly block: CodeBlock;
  readonly handler: number;
  readonly isEarly: boolean;
}
/** A region of a batch: which head it belongs to, and the first records of its blocks. `entries`: where it is entered, as positions in
 *  `records` and distances from the head. */
export interface BatchRegion {
  readonly head: number;
  readonly records: readonly number[];
  readonly entries: readonly { readonly block: number; readonly delta: number }[];
  readonly instructions: number;
}
/** `regions`: in the order of the module's exports. The heads that are missing there: `covered` are part of another region of the
 *  batch, `refused` cannot be compiled, `early` came too soon. `reused`: regions whose code was there already. */
export interface BatchResult<Code> {
  readonly code: Code | null;
  readonly bytes: number;
  readonly regions: readonly BatchRegion[];
  readonly covered: readonly number[];
  readonly refused: readonly number[];
  readonly early: readonly number[];
  readonly reused: number;
}
export const EMPTY_BATCH: BatchResult<never> = {
  code: null,
  bytes: 0,
  regions: [],
  covered: [],
  refused: [],
  early: [],
  reused: 0,
};

export interface BatchOptions {
  readonly layout: CompileLayout;
  readonly isLong: boolean;
  /** One region is enough for blocks that lead to each other. */
  readonly skipsCovered: boolean;
  /** The regions will be run in lock-step. */
  readonly isTwice: boolean;
  readonly kept?: KeptRegions | undefined;
  /** What was compiled anew. */
  readonly onCompiled?: ((region: number, plan: Plan, code: RegionCode) => void) | undefined;
}

export function compileBatch(
  source: CodeSource,
  heads: readonly BatchHead[],
  { layout, isLong, skipsCovered, isTwice, kept, onCompiled }: BatchOptions,
): BatchResult<Uint8Array<ArrayBuffer>> {
  const parts: { code: RegionCode; place: RegionPlace }[] = [];
  const regions: BatchRegion[] = [];
  const covered: number[] = [];
  const refused: number[] = [];
  const early: number[] = [];
  let reused = 0;
  kept?.release();
  const members = new Set<number>();
  const begun = new Set<number>();
  const known: CodeSource = Object.create(source, {
    isHead: { value: (block: CodeBlock) => begun.has(block.record) || source.isHead(block) },
  });
  heads.forEach(({ block, handler, isEarly }, head) => {
    if (begun.has(block.record) || (skipsCovered && members.has(block.record))) {
      covered.push(head);
      return;
    }
    const add = ({ blocks, code, entries, instructions }: KeptMatch) => {
      const records = blocks.map(({ record }) => record);
      for (const entry of entries) begun.add(records[entry.block]!);
      for (const record of records) members.add(record);
      parts.push({ code, place: { blocks, handler } });
      regions.push({ head, records, entries, instructions });
    };
    const match = kept?.find(source, block, layout.hotCount);
    if (match) {
      reused++;
      add(match);
      return;
    }
    if (isEarly) {
      early.push(head);
      return;
    }
    const plan = planRegion(known, block, isTwice);
    if (!plan) {
      refused.push(head);
      return;
    }
    const code = compileRegion(plan, layout, isLong);
    const entries = plan.entries.map((entry) => ({ block: entry, delta: plan.blocks[entry]!.delta }));
    onCompiled?.(regions.length, plan, code);
    const blocks = plan.blocks.map((planned) => planned.block);
    add({ blocks, code, entries, instructions: plan.instructions });
  });
  const code = parts.length > 0 ? linkModule(parts, layout, isLong) : null;
  return { code, bytes: code?.length ?? 0, regions, covered, refused, early, reused };
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
export interface CompilerAnswer extends BatchResult<WebAssembly.Module> {
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
  /** What the last job compiled, by region: kept once it is known that its code was not changing. */
  private readonly fresh = new Map<number, () => void>();

  constructor(setup: CompilerSetup, kept?: KeptRegions) {
    this.setup = setup;
    this.kept = kept;
    const numbers = new Map(setup.helpers.map((name, i) => [name, i]));
    InstructionEmitter.helperIndex = (name) => numbers.get(name)!;
    this.model = new ModelMaps(setup.features);
  }
  /** Guest code may change while it is read: what comes out then, the machine's own thread throws away. */
  compile(job: CompilerJob): BatchResult<WebAssembly.Module> {
    for (const region of job.sound) this.fresh.get(region)?.();
    this.fresh.clear();
    const { kept } = this;
    try {
      return this.build(job, kept);
    } catch (error) {
      if (!kept || !(error instanceof WebAssembly.CompileError)) throw error;
      // What was kept is not what it should be.
      this.kept = undefined;
      this.fresh.clear();
      return this.build(job, undefined);
    }
  }
  private build(job: CompilerJob, kept: KeptRegions | undefined): BatchResult<WebAssembly.Module> {
    const { code, ...result } = this.assemble(job, kept);
    return { ...result, code: code && new WebAssembly.Module(code) };
  }
  assemble(job: CompilerJob, kept: KeptRegions | undefined): BatchResult<Uint8Array<ArrayBuffer>> {
    const { isLong, hotCount } = job;
    const source = new JobSource(new Uint8Array(this.setup.memory.buffer), this.model, job);
    const wanted = headsOf(job).map((head, i): BatchHead => ({ ...head, block: source.blocks[i]! }));
    return compileBatch(source, wanted, {
      layout: { ...this.setup.layout, hotCount },
      isLong,
      skipsCovered: true,
      isTwice: false,
      kept,
      onCompiled:
        kept &&
        ((region, plan, code) => {
          this.fresh.set(region, kept.prepare(source, plan, code, hotCount));
        }),
    });
  }
}
