/** Which accesses of a region remember the page that they were in last, and where in the CPU's state. */
import { PAGE_CACHE } from '../../../target/x86/state.ts';
import type { Plan } from './plan.ts';

/** Number of its cache, by access as in `Traits.accesses`. */
export type PageCaches = ReadonlyMap<number, number>;

/** Those in loops do, innermost first. */
export function pageCaches({ blocks, shape }: Pick<Plan, 'blocks' | 'shape'>): PageCaches {
  const depths = new Map<number, number>();
  blocks.forEach(({ insns }, i) => {
    const depth = shape.loopDepth(i);
    if (depth === 0) return;
    for (const { traits } of insns)
      for (const access of traits.accesses) depths.set(access, Math.max(depths.get(access) ?? 0, depth));
  });
  const innermostFirst = [...depths].sort(([, a], [, b]) => b - a);
  return new Map(innermostFirst.slice(0, PAGE_CACHE.count).map(([access], cache) => [access, cache]));
}
