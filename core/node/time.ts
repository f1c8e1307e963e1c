/** Clocks and scheduling of the main loop on Node. */
import type { HostTime } from '../clock/clock.ts';
import type { LoopHost } from '../system/main-loop.ts';

export const nodeTime: HostTime = {
  monotonicNs() {
    // Not performance.now(): its first use loads a whole subsystem of Node's.
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1e9 + nanoseconds;
  },
  wallNs: () => Date.now() * 1e6,
};

export const nodeLoop: LoopHost = {
  soon: (task) => void setImmediate(task),
  after(ms, task) {
    // Node drops fractions: the loop would wake too early, find nothing to do, and sleep once more.
    const timeout = setTimeout(task, Math.ceil(ms));
    return () => clearTimeout(timeout);
  },
  monotonicNs: nodeTime.monotonicNs,
};
