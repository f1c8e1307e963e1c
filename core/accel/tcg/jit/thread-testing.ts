import { BatchCompiler, type CompilerAnswer, type CompilerSetup, type CompilerThread, EMPTY_BATCH } from './batch.ts';
import { type CompilerJob, JOB_WORDS, readJob } from './job.ts';
import type { KeepingRun } from './kept-testing.ts';
import type { RegionShelf } from './region-shelf.ts';

/** A thread that answers when the test lets it. */
export class SlowThread implements CompilerThread {
  readonly jobs: CompilerJob[] = [];
  readonly desk = new Int32Array(JOB_WORDS);
  private readonly answers: CompilerAnswer[] = [];
  private compiler!: BatchCompiler;
  isDead = false;
  readonly shelf: RegionShelf | null;
  private readonly run: KeepingRun | null;
  constructor(run: KeepingRun | null = null) {
    this.run = run;
    this.shelf = run?.shelf ?? null;
  }
  start(setup: CompilerSetup): this {
    this.compiler = new BatchCompiler({ ...setup, keeps: this.run !== null }, this.run?.keeper);
    return this;
  }
  post(_job: CompilerJob): void {
    this.jobs.push(readJob(this.desk.slice()));
  }
  take(): CompilerAnswer | null {
    if (this.isDead) throw new Error('the thread is gone');
    return this.answers.shift() ?? null;
  }
  /** Compiles what is asked for now; `tell` makes the answers arrive. */
  work(): { tell(): void; regions: number } {
    const made = this.jobs.splice(0).map((job): CompilerAnswer => {
      const known = { id: job.id, milliseconds: 1, error: '' };
      try {
        return { ...this.compiler.compile(job), ...known };
      } catch (error) {
        return { ...EMPTY_BATCH, ...known, error: String(error) };
      }
    });
    return {
      tell: () => void this.answers.push(...made),
      regions: made.reduce((sum, { regions }) => sum + regions.length, 0),
    };
  }
}
