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
    const timeout = setTimeout(task, ms);
    return () => clearTimeout(timeout);
  },
  monotonicNs: nodeTime.monotonicNs,
};
