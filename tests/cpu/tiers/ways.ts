/** The ways in which our CPU can run a program. */
import type { Way } from './compare.ts';
import { Guest } from './guest.ts';

/** A breakpoint where nothing is makes every block one instruction long. */
const NOWHERE = 0xffff_fff1;

export function blocks(): Way {
  return { name: 'blocks', guest: new Guest(), slice: () => 1000 };
}
/** Looked at from outside at odd moments. */
export function slices(): Way {
  return { name: 'slices', guest: new Guest(), slice: (random) => random.between(1, 40) };
}
export function singleSteps(): Way {
  const guest = new Guest();
  guest.machine.cpu.breakpoints.add(NOWHERE);
  return { name: 'single steps', guest, slice: () => 1000 };
}
