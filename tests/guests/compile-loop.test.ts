/** The short form of compile-loop.soak.ts. */
import { afterAll, describe, expect, it } from 'vitest';
import { CompileLoop, compileLoopGuest, sampleText } from './compile-loop.ts';
import { guestOrReason } from './images.ts';

const { guest, reason } = guestOrReason(compileLoopGuest);
if (!guest) console.log(`skipped: no Linux disk can be made here: ${reason}`);
const WARM_ROUNDS = 4;
const ROUNDS = 16;

describe.skipIf(!guest)('a guest that compiles and compiles', () => {
  let loop: CompileLoop | undefined;
  afterAll(() => loop?.stop());

  it('takes no more memory', { timeout: 300_000 }, async () => {
    loop = await CompileLoop.start(guest!);
    while (loop.samples.length < WARM_ROUNDS) await loop.next();
    await loop.rest();
    while (loop.samples.length < ROUNDS) await loop.next();
    expect(loop.growth(WARM_ROUNDS), loop.samples.map(sampleText).join('\n')).toEqual([]);
  });
});
