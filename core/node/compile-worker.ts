/** Program of the thread that compiles regions (compiler-thread.ts). */
import { workerData } from 'node:worker_threads';
import { BatchCompiler, type CompilerAnswer, EMPTY_BATCH } from '../accel/tcg/jit/batch.ts';
import { readJob } from '../accel/tcg/jit/job.ts';
import { CALL, type CompilerData } from './compiler-thread.ts';
import { GuestWatch, LOOK_MS } from './guest-watch.ts';
import { regionCode } from './machine-code.ts';
import { RegionFile } from './region-files.ts';
import { setV8Flags } from './v8-flags.ts';

/** For so long the thread waits for a job before it goes to sleep, which makes the next one dearer to ask for; and for so long it does
 *  jobs without a look at its event loop. */
const PATIENCE_MS = 40;
const TURN_MS = 200;
/** When nothing was asked for so long, what is kept for later runs is worked at. */
const QUIET_MS = 60;

const { setup, files, port, modules, desk, calls } = workerData as CompilerData;
setV8Flags();
const regions = files && new RegionFile(files, setup, files.opened, regionCode(setup.memory));
regions?.writeNowAndThen();
const compiler = new BatchCompiler(setup, regions?.keeper);
let done = 0;
let busyUntil = performance.now() + QUIET_MS;
/** There may be something to do for later runs. */
let hasWork = regions !== null;
const watch = new GuestWatch({
  now: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
});
/** Looks whether there is. */
let timer: NodeJS.Timeout | null = null;

function answer(): CompilerAnswer {
  const started = performance.now();
  const job = readJob(desk);
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
/** Whoever wants to do something at the thread's end has asked for it by the first turn: ours is the last. */
function begin(): void {
  process.on('exit', () => {
    Atomics.store(calls, CALL.ends, 2);
    Atomics.notify(calls, CALL.ends);
  });
  Atomics.store(calls, CALL.runs, 1);
  turn();
}
/** Whether there is something to do. */
const isCalled = () => Atomics.load(calls, CALL.posted) !== done || Atomics.load(calls, CALL.ends) === 1;

function turn(): void {
  const until = performance.now() + TURN_MS;
  Atomics.store(calls, CALL.sleeps, 0);
  do {
    const mayWork = hasWork && performance.now() >= busyUntil && !watch.isLeftAlone();
    if (!mayWork && !isCalled()) Atomics.wait(calls, CALL.posted, done, PATIENCE_MS);
    if (Atomics.load(calls, CALL.ends) === 1) {
      regions?.write();
      process.exit();
    }
    if (Atomics.load(calls, CALL.posted) === done) {
      const ready = regions?.ahead?.step();
      if (ready) {
        modules.postMessage(ready);
        continue;
      }
      if (mayWork) {
        hasWork = watch.during(() => regions!.work());
        continue;
      }
      Atomics.store(calls, CALL.sleeps, 1);
      // A call that came in between may have seen neither a waiting nor a sleeping thread.
      if (!isCalled() || Atomics.compareExchange(calls, CALL.sleeps, 1, 0) !== 1) {
        if (hasWork && timer === null) timer = setTimeout(wake, watch.isWaiting ? 4 * LOOK_MS : QUIET_MS).unref();
        return;
      }
      continue;
    }
    done++;
    port.postMessage(answer());
    Atomics.add(calls, CALL.answered, 1);
    hasWork = regions !== null;
    busyUntil = performance.now() + QUIET_MS;
  } while (performance.now() < until);
  setImmediate(turn);
}
function wake(): void {
  timer = null;
  turn();
}
port.on('message', turn);
setImmediate(begin);
