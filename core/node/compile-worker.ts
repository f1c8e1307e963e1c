/** Program of the thread that compiles regions (compiler-thread.ts). */
import { workerData } from 'node:worker_threads';
import { BatchCompiler, type CompilerAnswer, type CompilerJob, EMPTY_BATCH } from '../accel/tcg/jit/batch.ts';
import { type CompilerData, ENDING } from './compiler-thread.ts';
import { RegionFile } from './region-files.ts';
import { setV8Flags } from './v8-flags.ts';

const { setup, files, port, answered } = workerData as CompilerData;
setV8Flags();
const regions = files && new RegionFile(files);
regions?.writeNowAndThen();
const compiler = new BatchCompiler(setup, regions?.kept);

function answer(job: CompilerJob): CompilerAnswer {
  const started = performance.now();
  const known = { id: job.id, error: '' };
  try {
    const result = compiler.compile(job);
    return { ...result, ...known, milliseconds: performance.now() - started };
  } catch (error) {
    return {
      ...EMPTY_BATCH,
      ...known,
      milliseconds: 0,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}
port.on('message', (job: CompilerJob | typeof ENDING) => {
  if (job === ENDING) {
    regions?.write();
    Atomics.store(answered, 1, 1);
    Atomics.notify(answered, 1);
    return;
  }
  port.postMessage(answer(job));
  Atomics.add(answered, 0, 1);
});
