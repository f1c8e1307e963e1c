/** The ways in which our CPU can run a program. */
import type { JitMode } from '../../../core/accel/tcg/jit/jit.ts';
import type { KeepingRun } from '../../../core/accel/tcg/jit/kept-testing.ts';
import { bareMachine } from '../../../core/accel/tcg/testing.ts';
import type { Way } from './compare.ts';
import { Guest } from './guest.ts';
import { RAM_BYTES } from './world.ts';

/** A breakpoint where nothing is makes every block one instruction long. */
const NOWHERE = 0xffff_fff1;

function guest(jit: JitMode, kept?: KeepingRun): Guest {
  return new Guest(bareMachine(RAM_BYTES, { jit, ...(kept ? { kept } : {}) }));
}

export function singleSteps(): Way {
  const stepped = guest('off');
  stepped.machine.cpu.breakpoints.add(NOWHERE);
  return { name: 'single steps', guest: stepped, passes: 1, slice: () => 1000 };
}
export function blocks(): Way {
  return { name: 'blocks', guest: guest('off'), passes: 1, slice: () => 1000 };
}
/** Looked at from outside at odd moments. */
export function slices(): Way {
  return { name: 'slices', guest: guest('off'), passes: 1, slice: (random) => random.between(1, 40) };
}
/** All that has run once is compiled: the second pass runs compiled code, the third what was compiled on the way. */
export function compiled(): Way {
  return { name: 'compiled', guest: guest('always'), isCompiled: true, passes: 3, slice: () => 1000 };
}
/** With code that was compiled before, and keeps what it compiles. */
export function compiledWith(kept: KeepingRun): Way {
  return { ...compiled(), name: 'kept code', guest: guest('always', kept) };
}
export function compiledSlices(): Way {
  return {
    name: 'compiled, in slices',
    guest: guest('always'),
    isCompiled: true,
    passes: 3,
    slice: (random) => random.between(1, 60),
  };
}
