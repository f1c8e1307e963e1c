import { afterAll, describe, expect, it } from 'vitest';
import { shrink } from './compare.ts';
import { generate } from './generate.ts';
import { generateLong } from './generate-long.ts';
import { Guest } from './guest.ts';
import { differsFromHost, Host, tryOnHost } from './native.ts';
import { regressions } from './regressions.ts';
import { compiled, singleSteps } from './ways.ts';

for (const bits of [32, 64] as const) {
  const host = Host.open(bits);
  afterAll(() => host?.close());
  const isLong = bits === 64;

  describe.skipIf(!host)(`random programs of ${bits}-bit code on the host CPU`, () => {
    const guest = new Guest();

    it('come to the same end on ours', () => {
      const { faults, over } = tryOnHost(host!, guest, 1, 400);
      expect(over).toBeGreaterThan(380);
      expect(faults).toBeGreaterThan(2000);
    });

    it('come to the same end in single steps', () => {
      tryOnHost(host!, singleSteps().guest, 1000, 100);
    });

    it('come to the same end compiled', () => {
      tryOnHost(host!, compiled().guest, 2000, 150, 2);
    });

    const kept = regressions().filter(({ program, world }) => world.portable && (program.isLong ?? false) === isLong);
    if (kept.length > 0)
      it.each(kept)('$name', ({ program }) => {
        expect(differsFromHost(program, host!.run([program])[0]!, guest)).toBeNull();
      });

    it('are reduced to what tells the two apart', () => {
      const program = (isLong ? generateLong : generate)(3, { portable: true });
      const [outcome] = host!.run([program]);
      expect(differsFromHost(program, outcome!, guest)).toBeNull();
      // As if BSWAP EAX did nothing here.
      const withSwap = { ...program, items: [...program.items, { what: 'bswap eax', bytes: [0x0f, 0xc8] }] };
      const without = (p: typeof program) => ({ ...p, items: p.items.filter((item) => item.what !== 'bswap eax') });
      const fails = (p: typeof program) => differsFromHost(without(p), host!.run([p])[0]!, guest) !== null;
      expect(fails(withSwap)).toBe(true);
      expect(shrink(withSwap, fails).items.map((item) => item.what)).toEqual(['bswap eax']);
    });
  });
}
