import { describe, expect, it } from 'vitest';
import type { LogEntry } from '../../../electron/api/contract.ts';
import { mergeEntries, passes } from './entries.ts';

const entry = (sequence: number, part: Partial<LogEntry> = {}): LogEntry => ({
  sequence,
  at: 0,
  source: 'engine',
  level: 'info',
  text: String(sequence),
  ...part,
});
const sequences = (list: readonly LogEntry[]) => list.map((item) => item.sequence);

describe('log entries', () => {
  it('come in order and once, whichever arrives first', () => {
    const live = [entry(3), entry(4)];
    const page = [entry(1), entry(2), entry(3)];
    expect(sequences(mergeEntries(page, live))).toEqual([1, 2, 3, 4]);
    expect(sequences(mergeEntries(live, page))).toEqual([1, 2, 3, 4]);
    expect(sequences(mergeEntries([], live))).toEqual([3, 4]);
    expect(sequences(mergeEntries(page, [entry(7)]))).toEqual([1, 2, 3, 7]);
  });

  it('pass the filter that asks for them', () => {
    expect(passes('problems', entry(1))).toBe(false);
    expect(passes('problems', entry(1, { level: 'warning' }))).toBe(true);
    expect(passes('engine', entry(1, { source: 'event' }))).toBe(false);
    expect(passes('all', entry(1, { source: 'event' }))).toBe(true);
  });
});
