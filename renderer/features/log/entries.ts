/** Keeping log entries in order while pages and live events arrive in any order. */
import type { LogEntry } from '../../../electron/api/contract.ts';

/** Older lines than these are fetched again when asked for. */
export const MOST_KEPT = 5000;

export type LogFilter = 'all' | 'engine' | 'problems';

export function passes(filter: LogFilter, entry: LogEntry): boolean {
  if (filter === 'engine') return entry.source === 'engine';
  return filter === 'all' || entry.level !== 'info';
}

/** Both lists by sequence, each entry once. */
export function mergeEntries(a: readonly LogEntry[], b: readonly LogEntry[]): readonly LogEntry[] {
  const last = a[a.length - 1];
  const first = b[0];
  if (!last) return b;
  if (!first) return a;
  if (first.sequence > last.sequence) return [...a, ...b];
  const bySequence = new Map([...a, ...b].map((entry) => [entry.sequence, entry]));
  return [...bySequence.values()].sort((x, y) => x.sequence - y.sequence);
}
