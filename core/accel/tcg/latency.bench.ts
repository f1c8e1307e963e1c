/** Microseconds that the shortest slice takes: how late an interrupt may be that became due at its beginning.
 *  `npx vitest bench core/accel/tcg/latency` */
import { bench, describe } from 'vitest';
import { LatencyGuest, PROGRAMS } from './latency-programs.ts';

describe('the shortest slice', () => {
  for (const program of PROGRAMS) {
    const guest = new LatencyGuest(program, 'on');
    bench(program.name, () => void guest.slice(1), { time: 200 });
  }
});
