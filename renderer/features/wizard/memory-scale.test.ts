import { describe, expect, it } from 'vitest';
import { fromPosition, memoryMarks, toPosition } from './memory-scale.ts';

describe('the memory scale', () => {
  it('has every power of two as a position of its own', () => {
    for (const size of [4, 8, 16, 128, 512, 1024, 2048]) expect(fromPosition(toPosition(size))).toBe(size);
  });

  it('rises with every step and stays whole', () => {
    let before = 0;
    for (let position = 0; position <= toPosition(3583); position++) {
      const size = fromPosition(position);
      expect(size).toBeGreaterThanOrEqual(before);
      expect(Number.isInteger(size)).toBe(true);
      before = size;
    }
  });

  it('ends its marks with the most there is', () => {
    const marks = memoryMarks(3583);
    expect(marks[marks.length - 1]).toEqual({ at: toPosition(3583), label: '3.5 GiB' });
    expect(marks.map((mark) => mark.label)).toContain('64 MiB');
  });
});
