import { describe, expect, it } from 'vitest';
import { screenshotName } from './screenshot.ts';

describe('the name of a screenshot', () => {
  it('sorts by time and has nothing that a file system refuses', () => {
    expect(screenshotName('A/B: "x"?', new Date(2026, 0, 2, 3, 4, 5))).toBe('A_B_ _x__ 2026-01-02 03.04.05.png');
  });
});
