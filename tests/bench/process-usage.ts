/** What a process and its children use, as Linux counts it in /proc; zero where it cannot be read (a process that just ended). */
import { readdirSync, readFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
  } catch {
    return [];
  }
}

function family(pid: number): number[] {
  const pids = [pid];
  for (const parent of pids)
    for (const thread of threads(parent))
      pids.push(...read(`${thread}/children`).trim().split(' ').filter(Boolean).map(Number));
  return pids;
}

/** CPU time of all threads so far, seconds. */
export function cpuSeconds(pid: number): number {
  const nanoseconds = family(pid)
    .flatMap(threads)
    .map((thread) => Number(read(`${thread}/schedstat`).split(' ')[0] ?? 0));
  return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e9;
}

/** The largest resident size that each process had so far, summed, MiB. */
export function peakMiB(pid: number): number {
  const sizes = family(pid).map((it) => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${it}/status`))?.[1] ?? 0));
  return sizes.reduce((sum, value) => sum + value, 0) / 1024;
}

/** Resident size now, MiB. */
export function currentMiB(pid: number): number {
  const sizes = family(pid).map((it) => Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${it}/status`))?.[1] ?? 0));
  return sizes.reduce((sum, value) => sum + value, 0) / 1024;
}
