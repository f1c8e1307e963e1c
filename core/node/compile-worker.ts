/** Program of the thread that compiles regions (compiler-thread.ts). */
import { setFlagsFromString } from 'node:v8';
import { workerData } from 'node:worker_threads';
import { BatchCompiler, type CompilerAnswer, type CompilerJob } from '../accel/tcg/jit/batch.ts';
import type { CompilerData } from './compiler-thread.ts';

const { setup, port, answered } = workerData as CompilerData;
// Machine code of V8's first tier is made here too, not at the first call, where the guest would wait for it.
setFlagsFromString('--no-wasm-lazy-compilation');
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
