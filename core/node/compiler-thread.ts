/** A thread beside the machine's own that compiles regions. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompilerAnswer, CompilerJob, CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';
import { type RegionFiles, readCatalogue, regionFiles } from './region-files.ts';

/** What the thread is started with. */
export interface CompilerData {
  readonly setup: CompilerSetup;
  readonly files: RegionFiles | null;
  readonly port: import('node:worker_threads').MessagePort;
  /** Counts answers, and requests to write what is kept that are done. */
  readonly answered: Int32Array<SharedArrayBuffer>;
}
/** What the machine's thread says besides jobs: it ends, and what is new is to be written. */
export const ENDING = 'ending';
/** For so long the end of the program waits for that, at most. */
const ENDING_MS = 500;

/** MiB that the thread's objects may take; a batch leaves little behind. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 } as const;

/** @param file the thread's program, `compile-worker`
 *  @param files what earlier runs compiled */
export function startCompilerThread(file: URL, setup: CompilerSetup, files = regionFiles(setup)): CompilerThread {
  const { port1, port2 } = new MessageChannel();
  const answered = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(file, {
    workerData: { setup, files, port: port2, answered } satisfies CompilerData,
    transferList: [port2],
    resourceLimits: HEAP,
  });
  worker.unref();
  let failure: Error | null = null;
  worker.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  let isAsked = false;
  if (files)
    process.once('exit', () => {
      if (failure || !isAsked) return;
      port1.postMessage(ENDING);
      Atomics.wait(answered, 1, 0, ENDING_MS);
    });
  let taken = 0;
  return {
    known: (files && readCatalogue(files)?.known) ?? null,
    post(job: CompilerJob) {
      isAsked = true;
      port1.postMessage(job);
    },
    take() {
      if (failure) throw failure;
      // Looking at the port is a call into Node; this is not.
      if (Atomics.load(answered, 0) === taken) return null;
      const received = receiveMessageOnPort(port1);
      if (!received) return null;
      taken++;
      return received.message as CompilerAnswer;
    },
  };
}
