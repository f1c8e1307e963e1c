/** A thread beside the machine's own that compiles regions. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { CompilerAnswer, CompilerSetup, CompilerThread } from '../accel/tcg/jit/batch.ts';
import { JOB_WORDS } from '../accel/tcg/jit/job.ts';
import { RegionShelf } from '../accel/tcg/jit/region-shelf.ts';
import type { ReadyModule, ReadyModules } from '../accel/tcg/jit/regions-ahead.ts';
import { regionCode } from './machine-code.ts';
import { type OpenedRegions, openRegions, type RegionFiles, regionFiles, storeOf } from './region-files.ts';

/** What the thread is started with. */
export interface CompilerData {
  readonly setup: CompilerSetup;
  readonly files: (RegionFiles & { readonly opened: OpenedRegions }) | null;
  /** Answers go this way, and what wakes the thread when it does not wait for `calls`. */
  readonly port: import('node:worker_threads').MessagePort;
  /** And modules that were made ready. */
  readonly modules: import('node:worker_threads').MessagePort;
  readonly desk: Int32Array<SharedArrayBuffer>;
  readonly calls: Int32Array<SharedArrayBuffer>;
}
/** `posted`, `answered`: jobs so far. `sleeps`: the thread has gone back to its event loop. `ends`: the machine ends, and what is
 *  new is to be written; 2: it is. `runs`: the thread has started. */
export const CALL = { posted: 0, answered: 1, sleeps: 2, ends: 3, runs: 4 } as const;
const CALL_WORDS = 5;
/** For so long the end of the program waits for that, at most. */
const ENDING_MS = 1500;

/** MiB that the thread's objects may take; a batch leaves little behind. */
const HEAP = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 } as const;

/** @param file the thread's program, `compile-worker`
 *  @param files what earlier runs compiled */
export function startCompilerThread(file: URL, setup: CompilerSetup, files = regionFiles(setup)): CompilerThread {
  const { port1, port2 } = new MessageChannel();
  const calls = new Int32Array(new SharedArrayBuffer(4 * CALL_WORDS));
  const desk = new Int32Array(new SharedArrayBuffer(4 * JOB_WORDS));
  const opened = files && openRegions(files);
  const ready = new MessageChannel();
  const worker = new Worker(file, {
    workerData: {
      setup,
      files: opened && { ...files!, opened },
      port: port2,
      modules: ready.port2,
      desk,
      calls,
    } satisfies CompilerData,
    transferList: [port2, ready.port2],
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
  const modules = new Map<number, ReadyModule>();
  const others: ReadyModules | null = opened && {
    use(position) {
      opened.inUse[position] = 1;
      call();
    },
    take(position) {
      for (let received = receiveMessageOnPort(ready.port1); received; received = receiveMessageOnPort(ready.port1)) {
        const module = received.message as ReadyModule;
        if (!opened.inUse[module.position]) modules.set(module.position, module);
      }
      const module = modules.get(position) ?? null;
      modules.delete(position);
      return module;
    },
  };
  if (opened)
    process.once('exit', () => {
      // Without a job it may have optimised what there was, once it ran.
      const hasWorked = opened.inUse.includes(1) && Atomics.load(calls, CALL.runs) !== 0;
      if (failure || (Atomics.load(calls, CALL.posted) === 0 && !hasWorked)) return;
      Atomics.store(calls, CALL.ends, 1);
      call();
      Atomics.wait(calls, CALL.ends, 1, ENDING_MS);
    });
  let taken = 0;
  return {
    shelf: opened && new RegionShelf(storeOf(opened), regionCode(setup.memory), opened.used, others),
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
