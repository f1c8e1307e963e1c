import { describe, expect, it } from 'vitest';
import { WordRoom } from './word-room.ts';

describe('room for words', () => {
  it('is given in pieces that do not overlap, as long as there is some, and again when it comes back', () => {
    const START = 0x10_0000;
    const BYTES = 1 << 16;
    const room = new WordRoom(START, BYTES);
    const given = new Map<number, number>();
    let seed = 1;
    const random = (n: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    let refused = 0;
    for (let i = 0; i < 5000; i++) {
      if (given.size > 0 && random(5) < 2) {
        const at = [...given.keys()][random(given.size)]!;
        room.give(at);
        given.delete(at);
        continue;
      }
      const words = 1 + random(300);
      const at = room.take(words);
      if (at < 0) {
        refused++;
        continue;
      }
      expect(at).toBeGreaterThanOrEqual(START);
      expect(at % 4).toBe(0);
      expect(at + 4 * words).toBeLessThanOrEqual(START + BYTES);
      for (const [other, length] of given) expect(at + 4 * words <= other || other + 4 * length <= at).toBe(true);
      given.set(at, words);
    }
    expect(refused).toBeGreaterThan(10);
    for (const at of given.keys()) room.give(at);
    // All of it is one piece again.
    expect(room.take(BYTES / 4)).toBe(START);
  });

  it('gives small pieces of larger ones that are free', () => {
    const room = new WordRoom(0, 1024);
    const [a, b] = [room.take(128), room.take(128)];
    expect(room.take(1)).toBe(-1);
    room.give(b);
    const small = [room.take(32), room.take(32), room.take(64)];
    expect(new Set(small).size).toBe(3);
    for (const at of small) expect(at).toBeGreaterThanOrEqual(512);
    expect(room.take(1)).toBe(-1);
    expect(a).toBe(0);
  });

  it('takes back only what it gave', () => {
    const room = new WordRoom(0, 1024);
    const at = room.take(4);
    room.give(at);
    expect(() => room.give(at)).toThrow(/nothing was given/);
  });
});
