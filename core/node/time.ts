/** Clocks and scheduling of the main loop on Node. */
import type { HostTime } from '../clock/clock.ts';
import type { LoopHost } from '../system/main-loop.ts';

export const nodeTime: HostTime = {
  monotonicNs: () => performance.now() * 1e6,
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
