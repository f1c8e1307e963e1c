/** Program of the thread that compiles regions (compiler-thread.ts). */
import { workerData } from 'node:worker_threads';
import { BatchCompiler, type CompilerAnswer, type CompilerJob, EMPTY_BATCH } from '../accel/tcg/jit/batch.ts';
import { type CompilerData, ENDING } from './compiler-thread.ts';
import { keepRegions, readRegions, writeRegions } from './region-files.ts';
import { setV8Flags } from './v8-flags.ts';

const { setup, files, port, answered } = workerData as CompilerData;
setV8Flags();
const kept = files ? readRegions(files) : undefined;
if (files && kept) keepRegions(files, kept);
const compiler = new BatchCompiler(setup, kept);

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
    if (files && kept?.isChanged) writeRegions(files, kept);
    Atomics.store(answered, 1, 1);
    Atomics.notify(answered, 1);
    return;
  }
  port.postMessage(answer(job));
  Atomics.add(answered, 0, 1);
});
