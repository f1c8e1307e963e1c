/** A thread beside the machine's own that compiles regions. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompilerAnswer, CompilerJob, CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';

/** What the thread is started with. */
export interface CompilerData {
  readonly setup: CompilerSetup;
  readonly port: import('node:worker_threads').MessagePort;
  /** Counts answers. */
  readonly answered: Int32Array<SharedArrayBuffer>;
}

/** MiB that the thread's objects may take; a batch leaves little behind. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 } as const;

/** @param file the thread's program, `compile-worker` */
export function startCompilerThread(file: URL, setup: CompilerSetup): CompilerThread {
  const { port1, port2 } = new MessageChannel();
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(file, {
    workerData: { setup, port: port2, answered } satisfies CompilerData,
    transferList: [port2],
    resourceLimits: HEAP,
  });
  worker.unref();
  let failure: Error | null = null;
  worker.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });
  let taken = 0;
  return {
    post: (job: CompilerJob) => port1.postMessage(job),
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
