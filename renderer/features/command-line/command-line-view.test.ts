import { describe, expect, it } from 'vitest';
import type { CommandLine } from '../../../electron/api/contract.ts';
import { changedOptions, optionLines, quoteWord } from './command-line-view.tsx';

const line = (...parts: string[][]): CommandLine => ({
  program: 'p',
  parts: parts.map((words, index) => ({ origin: String(index), words })),
  text: '',
});

describe('the command line', () => {
  it('is shown an option per line', () => {
    expect(optionLines({ origin: 'x', words: ['-drive', 'a=b', '-device', 'ide-cd', '-S'] })).toEqual([
      '-drive a=b',
      '-device ide-cd',
      '-S',
    ]);
  });

  it('quotes what a shell would take apart', () => {
    expect(quoteWord('file=/a,,b.iso')).toBe('file=/a,,b.iso');
    expect(quoteWord("it's")).toBe("'it'\\''s'");
    expect(quoteWord('')).toBe("''");
  });

  it('marks only what an edit has changed', () => {
    const before = line(['-m', '128'], ['-cpu', 'qemu32']);
    expect([...changedOptions(before, line(['-m', '256'], ['-cpu', 'qemu32'], ['-S']))]).toEqual(['-m 256', '-S']);
    expect(changedOptions(undefined, before).size).toBe(0);
  });
});
