import { describe, expect, it } from 'vitest';
import { fuzzBoard } from './board-fuzz.ts';

describe('the board under a hostile guest', () => {
  it.each([1, 2, 3, 4])('stands seed %i', async (seed) => {
    expect(await fuzzBoard(seed, 1200)).toBeGreaterThan(1200);
  });
});
