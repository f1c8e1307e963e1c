import { describe, expect, it } from 'vitest';
import { FAKE_RAM_BYTES } from './testing/fake-machine.ts';
import { randomTransfer, stateWords } from './testing/random-transfer.ts';

describe('the everyday forms', () => {
  it('do what the exact definitions do', { timeout: 120_000 }, () => {
    const taken = new Map<string, number>();
    const [first, second] = [new ArrayBuffer(FAKE_RAM_BYTES), new ArrayBuffer(FAKE_RAM_BYTES)];
    for (let seed = 1; seed <= 800; seed++) {
      const exact = randomTransfer(seed * 7919, false, first);
      const quick = randomTransfer(seed * 7919, true, second);
      const { op } = exact.setup;
      const faults = [exact, quick].map(({ m, setup }) => m.fault(() => setup.run(m)));
      const what = `seed ${seed}: ${op}`;
      expect(faults[1], what).toEqual(faults[0]);
      expect(quick.m.shutdowns, what).toBe(exact.m.shutdowns);
      expect(stateWords(quick.m.state), what).toEqual(stateWords(exact.m.state));
      const [a, b] = [exact.m, quick.m].map((m) => Buffer.from(m.ram.buffer));
      expect(Buffer.compare(a!, b!), what).toBe(0);

      const other = randomTransfer(seed * 7919, true, second);
      const before = stateWords(other.m.state);
      if (other.setup.quick?.(other.m)) {
        const kind = op.split(' ')[0]!;
        taken.set(kind, (taken.get(kind) ?? 0) + 1);
      } else expect(stateWords(other.m.state), `${what}: refused`).toEqual(before);
    }
    for (const kind of ['exception', 'interrupt', 'int', 'iret', 'load'])
      expect(taken.get(kind) ?? 0, kind).toBeGreaterThan(15);
  });
});
