/**
 * The emulator's memory while Debian compiles program after program: it must not grow after the first rounds.
 *
 *    node tests/guests/compile-loop.soak.ts [MINUTES] [-- OPTION ...]
 */
import { CompileLoop, compileLoopGuest, sampleText } from './compile-loop.ts';
import { guestOrReason } from './images.ts';

const cut = process.argv.indexOf('--');
const minutes = cut === 2 ? 10 : Number(process.argv[2] ?? 10);
/** Until the code cache is full and all of V8's tiers have been there. */
const WARM_ROUNDS = 12;
const LEAST_ROUNDS = 3 * WARM_ROUNDS;

const { guest, reason } = guestOrReason(compileLoopGuest);
if (!guest) {
  console.log(`skipped: ${reason}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
const loop = await CompileLoop.start(guest, cut < 0 ? [] : process.argv.slice(cut + 1));
const started = performance.now();
try {
  while (performance.now() - started < minutes * 60_000 || loop.samples.length < LEAST_ROUNDS) {
    if (loop.samples.length === WARM_ROUNDS) await loop.rest();
    const sample = await loop.next();
    console.log(
      `round ${loop.samples.length}, ${((performance.now() - started) / 1000).toFixed(0)} s: ${sampleText(sample)}`,
    );
  }
  const grown = loop.growth(WARM_ROUNDS);
  if (grown.length > 0) throw new Error(grown.join('\n'));
  console.log(`${loop.samples.length} programs compiled and run; memory steady\n1 passed, 0 failed, 0 skipped`);
} finally {
  await loop.stop();
}
