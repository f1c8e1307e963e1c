import { describe, expect, it } from 'vitest';
import { ByteQueue } from './byte-queue.ts';

describe('byte queue', () => {
  it('gives back what went in, however it was cut', () => {
    const queue = new ByteQueue();
    const out: number[] = [];
    let next = 0;
    for (let round = 0; round < 3000; round++) {
      const piece = Uint8Array.from({ length: (round * 7) % 41 }, () => next++ & 0xff);
      queue.push(piece);
      out.push(...queue.take(Math.min(queue.length, (round * 5) % 37)));
    }
    out.push(...queue.take(queue.length));
    expect(out).toEqual(Array.from({ length: next }, (_, i) => i & 0xff));
    expect(queue.length).toBe(0);
  });
  it('copies what it gives, and shows without taking', () => {
    const queue = new ByteQueue();
    queue.push(Uint8Array.of(1, 2, 3));
    expect([...queue.peek()]).toEqual([1, 2, 3]);
    const taken = queue.take(2);
    queue.clear();
    queue.push(Uint8Array.of(9, 9, 9));
    expect([...taken]).toEqual([1, 2]);
  });
});
