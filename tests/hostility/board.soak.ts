/** The whole board under a hostile guest: `node tests/hostility/board.soak.ts [SECONDS] [FIRST_SEED]`. */
import { fuzzBoard } from './board-fuzz.ts';
import { soak } from './random.ts';

await soak('board', 120, async (seed) => {
  await fuzzBoard(seed, 1500);
});
