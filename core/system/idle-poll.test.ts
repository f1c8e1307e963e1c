import { describe, expect, it } from 'vitest';
import { type CpuActivity, IdlePollDetector } from './idle-poll.ts';

type Mutable = { -readonly [K in keyof CpuActivity]: number };
function detector() {
  const activity: Mutable = {
    pauses: 0,
    keyboardCalls: 0,
    pollingReads: 0,
    otherPortAccesses: 0,
    mmioWrites: 0,
    blocksDecoded: 0,
  };
  return { activity, poll: new IdlePollDetector(activity) };
}

describe('IdlePollDetector', () => {
  it('rests once a guest has only asked for keys for a while, and again and again', () => {
    const { activity, poll } = detector();
    let rests = 0;
    for (let ms = 1; ms <= 400; ms++) {
      activity.keyboardCalls += 20;
      poll.observe(100_000, ms * 1e6);
      if (poll.restMs() > 0) rests++;
    }
    expect(rests).toBeGreaterThan(200);
  });
  it('leaves a computing guest alone', () => {
    const { poll } = detector();
    for (let ms = 1; ms <= 1000; ms++) {
      poll.observe(200_000, ms * 1e6);
      expect(poll.restMs()).toBe(0);
    }
  });
  it.each(['mmioWrites', 'otherPortAccesses', 'blocksDecoded'] as const)('takes %s for work', (kind) => {
    const { activity, poll } = detector();
    for (let ms = 1; ms <= 400; ms++) {
      activity.pauses += 50;
      activity[kind] += 400;
      poll.observe(100_000, ms * 1e6);
      expect(poll.restMs()).toBe(0);
    }
  });
  it('wakes for an event and stays awake while it is being handled', () => {
    const { activity, poll } = detector();
    let now = 0;
    const step = (drawn: number) => {
      now += 1e6;
      activity.pauses += 50;
      activity.mmioWrites += drawn;
      poll.observe(100_000, now);
      return poll.restMs();
    };
    while (step(0) === 0) expect(now).toBeLessThan(1e9);
    poll.wake();
    expect(step(500)).toBe(0);
    expect(step(0)).toBe(0);
  });
});
