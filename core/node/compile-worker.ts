/** Program of the thread that compiles regions (compiler-thread.ts). */
import { workerData } from 'node:worker_threads';
import { BatchCompiler, type CompilerAnswer, type CompilerJob } from '../accel/tcg/jit/batch.ts';
import type { CompilerData } from './compiler-thread.ts';
import { setV8Flags } from './v8-flags.ts';

const { setup, port, answered } = workerData as CompilerData;
setV8Flags();
const compiler = new BatchCompiler(setup);

function answer(job: CompilerJob): CompilerAnswer {
  const started = performance.now();
  const known = { id: job.id, error: '' };
  try {
    const result = compiler.compile(job);
    return { ...result, ...known, milliseconds: performance.now() - started };
  } catch (error) {
    const nothing = { code: null, bytes: 0, regions: [], covered: [], refused: [] };
    return {
      ...nothing,
      ...known,
      milliseconds: 0,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}
port.on('message', (job: CompilerJob) => {
  port.postMessage(answer(job));
  Atomics.add(answered, 0, 1);
});
