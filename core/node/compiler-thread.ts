/** A thread beside the machine's own that compiles regions. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompilerAnswer, CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';
import { JOB_WORDS } from '../accel/tcg/jit/job.ts';
import { type RegionFiles, readCatalogue, regionFiles } from './region-files.ts';

/** What the thread is started with. */
export interface CompilerData {
  readonly setup: CompilerSetup;
  readonly files: RegionFiles | null;
  /** Answers go this way, and what wakes the thread when it does not wait for `calls`. */
  readonly port: import('node:worker_threads').MessagePort;
  readonly desk: Int32Array<SharedArrayBuffer>;
  readonly calls: Int32Array<SharedArrayBuffer>;
}
/** `posted`, `answered`: jobs so far. `sleeps`: the thread has gone back to its event loop. `ends`: the machine ends, and what is
 *  new is to be written; 2: it is. */
export const CALL = { posted: 0, answered: 1, sleeps: 2, ends: 3 } as const;
/** For so long the end of the program waits for that, at most. */
const ENDING_MS = 1500;

/** MiB that the thread's objects may take; a batch leaves little behind. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 } as const;

/** @param file the thread's program, `compile-worker`
 *  @param files what earlier runs compiled */
export function startCompilerThread(file: URL, setup: CompilerSetup, files = regionFiles(setup)): CompilerThread {
  const { port1, port2 } = new MessageChannel();
  const calls = new Int32Array(new SharedArrayBuffer(16));
  const desk = new Int32Array(new SharedArrayBuffer(4 * JOB_WORDS));
  const worker = new Worker(file, {
    workerData: { setup, files, port: port2, desk, calls } satisfies CompilerData,
    transferList: [port2],
    resourceLimits: HEAP,
  });
  worker.unref();
  let failure: Error | null = null;
  worker.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  /** A message takes ten times as long. */
  const call = () => {
    Atomics.notify(calls, CALL.posted);
    if (Atomics.exchange(calls, CALL.sleeps, 0)) port1.postMessage(null);
  };
  if (files)
    process.once('exit', () => {
      if (failure || Atomics.load(calls, CALL.posted) === 0) return;
      Atomics.store(calls, CALL.ends, 1);
      call();
      Atomics.wait(calls, CALL.ends, 1, ENDING_MS);
    });
  let taken = 0;
  return {
    known: (files && readCatalogue(files)?.known) ?? null,
    desk,
    post() {
      Atomics.add(calls, CALL.posted, 1);
      call();
    },
    take() {
      if (failure) throw failure;
      // Looking at the port is a call into Node; this is not.
      if (Atomics.load(calls, CALL.answered) === taken) return null;
      const received = receiveMessageOnPort(port1);
      if (!received) return null;
      taken++;
      return received.message as CompilerAnswer;
    },
  };
}
