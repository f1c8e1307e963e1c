/** `node core/accel/tcg/latency.bench.ts`: microseconds that the shortest slice takes: how late an interrupt may be that became due at
 *  its beginning. */
import { LatencyGuest, PROGRAMS } from './latency-programs.ts';

const ROUNDS = 300;
/** Microseconds that are promised. */
const BAR = 100;
let worst = 0;

for (const program of PROGRAMS) {
  const guest = new LatencyGuest(program, 'on');
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const started = performance.now();
    guest.slice(1);
    times.push(1000 * (performance.now() - started));
  }
  times.sort((a, b) => a - b);
  const [median, late] = [times[ROUNDS >> 1]!, times[Math.floor(ROUNDS * 0.95)]!];
  worst = Math.max(worst, median);
  console.log(
    `${program.name.padEnd(32)} median ${median.toFixed(1).padStart(6)}  19 of 20 ${late.toFixed(1).padStart(6)} us`,
  );
}
if (worst > BAR) throw new Error(`a slice takes ${worst.toFixed(1)} us`);
