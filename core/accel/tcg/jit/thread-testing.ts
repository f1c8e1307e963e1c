import type { KnownBlocks } from '../known-blocks.ts';
import {
  BatchCompiler,
  type BatchResult,
  type CompilerAnswer,
  type CompilerSetup,
  type CompilerThread,
  EMPTY_BATCH,
} from './batch.ts';
import { type CompilerJob, HEAD_WORDS, JOB_WORDS, readJob } from './job.ts';
import { KeptRegions, type RegionStore } from './kept-regions.ts';

export const ROOM = 1 << 20;
/** What the next run finds. */
export function saved(kept: KeptRegions, room = ROOM): RegionStore & { readonly bytes: Uint8Array<ArrayBuffer> } {
  const written: number[] = [];
  const { catalogue } = kept.save(room, (piece) => written.push(...piece));
  const bytes = Uint8Array.from(written);
  return { catalogue, bytes, read: readerOf(bytes) };
}
/** As if they were a file. */
export function readerOf(bytes: Uint8Array): RegionStore['read'] {
  return (at, into) => {
    const there = bytes.subarray(at, at + into.byteLength);
    new Uint8Array(into.buffer, into.byteOffset).set(there);
    return there.length === into.byteLength;
  };
}

/** A thread that answers when the test lets it. */
export class SlowThread implements CompilerThread {
  readonly jobs: CompilerJob[] = [];
  readonly desk = new Int32Array(JOB_WORDS);
  private readonly answers: CompilerAnswer[] = [];
  private compiler!: BatchCompiler;
  private setup!: CompilerSetup;
  isDead = false;
  /** Of each job for which kept code alone was enough: it, and what comes out without. */
  readonly pairs: (readonly [kept: BatchResult, fresh: BatchResult])[] = [];
  /** What `kept` knew when the machine was made. */
  readonly known: KnownBlocks | null;
  private readonly kept: KeptRegions | undefined;
  constructor(kept?: KeptRegions) {
    this.kept = kept;
    this.known = kept ? saved(kept).catalogue.known : null;
  }
  start(setup: CompilerSetup): this {
    this.compiler = new BatchCompiler(setup, this.kept);
    this.setup = setup;
    return this;
  }
  post(_job: CompilerJob): void {
    this.jobs.push(readJob(this.desk.slice()));
  }
  take(): CompilerAnswer | null {
    if (this.isDead) throw new Error('the thread is gone');
    return this.answers.shift() ?? null;
  }
  private pair(job: CompilerJob): void {
    if (!this.kept) return;
    const kept = new BatchCompiler(this.setup, new KeptRegions(saved(this.kept))).compile(job);
    if (kept.reused === 0 || kept.reused < kept.regions.length || kept.early.length > 0) return;
    const heads = job.heads.map((word, i) => (i % HEAD_WORDS === 1 ? 0 : word));
    const fresh = new BatchCompiler(this.setup).compile({ ...job, heads });
    this.pairs.push([kept, fresh]);
  }
  /** Compiles what is asked for now; `tell` makes the answers arrive. */
  work(): { tell(): void; regions: number; answers: readonly CompilerAnswer[] } {
    const made = this.jobs.splice(0).map((job): CompilerAnswer => {
      const known = { id: job.id, milliseconds: 1, error: '' };
      try {
        this.pair(job);
        return { ...this.compiler.compile(job), ...known };
      } catch (error) {
        return { ...EMPTY_BATCH, ...known, error: String(error) };
      }
    });
    return {
      answers: made,
      tell: () => void this.answers.push(...made),
      regions: made.reduce((sum, { regions }) => sum + regions.length, 0),
    };
  }
}
