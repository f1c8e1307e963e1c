import { describe, expect, it } from 'vitest';
import { objectNewAs } from '../qom/object.ts';
import { RamArena } from './arena.ts';
import { firstEndingAfter, renderFlatView } from './flat-view.ts';
import { MemoryRegion } from './region.ts';

const region = () => objectNewAs(MemoryRegion, 'memory-region');
const OPS = { read: () => 0, write() {} };

/** Small, repeatable pseudo-random numbers (Mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b_79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const SPAN = 64;

/** A tree over SPAN addresses: containers, I/O, ROM, aliases (of aliases too, never of an ancestor), some disabled, some sticking out of their container. */
function randomTree(random: (below: number) => number, arena: RamArena): MemoryRegion {
  const targets: MemoryRegion[] = [];
  let names = 0;
  const make = (depth: number): MemoryRegion => {
    const size = 1 + random(depth === 0 ? SPAN : SPAN / 2);
    const name = `r${names++}`;
    let made: MemoryRegion;
    switch (random(depth > 3 ? 3 : 5)) {
      case 0:
        made = region().initIo(null, OPS, null, name, size);
        break;
      case 1:
        made = region().initRom(null, arena, name, size);
        break;
      case 2: {
        const target = targets[random(Math.max(1, targets.length))];
        made = target
          ? region().initAlias(null, name, target, random(SPAN), size)
          : region().initIo(null, OPS, null, name, size);
        break;
      }
      case 3:
        // A region that is drawn itself and has subregions on top.
        made = region().initIo(null, OPS, null, name, size);
        fill(made, depth + 1);
        break;
      default:
        made = region().initContainer(null, name, size);
        fill(made, depth + 1);
    }
    if (random(6) === 0) made.setEnabled(false);
    if (random(8) === 0) made.setReadonly(true);
    targets.push(made);
    return made;
  };
  const fill = (container: MemoryRegion, depth: number) => {
    for (let n = random(4); n > 0; n--) container.addSubregion(random(SPAN), make(depth), random(5) - 2);
  };
  const root = region().initContainer(null, 'root', SPAN);
  for (let n = 3 + random(5); n > 0; n--) root.addSubregion(random(SPAN), make(0), random(5) - 2);
  return root;
}

/** Who answers at one address, by the definition: the subregion of highest priority that answers there, else the region itself. */
function answerAt(
  mr: MemoryRegion,
  offset: number,
  isReadonly: boolean,
): { region: MemoryRegion; offset: number; isReadonly: boolean } | null {
  if (!mr.isEnabled || offset < 0 || offset >= mr.size) return null;
  const ro = isReadonly || mr.isReadonly;
  if (mr.aliasTarget) return answerAt(mr.aliasTarget, offset + mr.aliasOffset, ro);
  const inOrder = [...mr.subregions].sort((a, b) => b.priority - a.priority);
  for (const sub of inOrder) {
    const answer = answerAt(sub, offset - sub.address, ro);
    if (answer) return answer;
  }
  return mr.kind === 'container' ? null : { region: mr, offset, isReadonly: ro };
}

const line = (mr: MemoryRegion, offset: number, isReadonly: boolean) =>
  `${mr.regionName}+${offset}${isReadonly ? ' ro' : ''}`;

describe('flat view', () => {
  it('agrees with the definition at every address of 4000 random trees', () => {
    const buffer = new SharedArrayBuffer(65536, { maxByteLength: 1 << 30 });
    const memory = {
      buffer,
      grow(pages: number) {
        buffer.grow(buffer.byteLength + pages * 65536);
        return 0;
      },
    };
    const arena = new RamArena(memory);
    let busy = 0;
    for (let seed = 0; seed < 4000; seed++) {
      const root = randomTree(generator(seed), arena);
      const view = renderFlatView(root);
      if (view.length > 3) busy++;
      const [shown, expected]: [string[], string[]] = [[], []];
      for (let at = 0; at < SPAN; at++) {
        const range = view[firstEndingAfter(view, at)];
        shown.push(
          range && range.start <= at ? line(range.region, range.offset + at - range.start, range.isReadonly) : 'none',
        );
        const answer = answerAt(root, at, false);
        expected.push(answer ? line(answer.region, answer.offset, answer.isReadonly) : 'none');
      }
      expect(shown, `seed ${seed}`).toEqual(expected);
      for (const [i, range] of view.entries()) {
        const before = view[i - 1];
        if (range.size <= 0 || (before && before.start + before.size > range.start))
          expect.fail(`seed ${seed}: range ${i} is empty or overlaps the one before`);
      }
    }
    expect(busy).toBeGreaterThan(900); // the trees were worth the trouble
  });

  it('joins what lies together in one region, and keeps apart what does not', () => {
    const root = region().initContainer(null, 'root', 100);
    const io = region().initIo(null, OPS, null, 'io', 40);
    root.addSubregion(0, region().initAlias(null, 'low', io, 0, 10));
    root.addSubregion(10, region().initAlias(null, 'next', io, 10, 10));
    root.addSubregion(20, region().initAlias(null, 'jump', io, 30, 5));
    expect(renderFlatView(root).map((r) => [r.start, r.size, r.offset])).toEqual([
      [0, 20, 0],
      [20, 5, 30],
    ]);
  });

  it('gives a later region of the same priority the upper hand', () => {
    const root = region().initContainer(null, 'root', 10);
    for (const name of ['first', 'second']) root.addSubregion(0, region().initIo(null, OPS, null, name, 10));
    expect(renderFlatView(root).map((r) => r.region.regionName)).toEqual(['second']);
    const [top] = root.subregions;
    const last = root.subregions.at(-1)!;
    last.setAddress(5); // moved: it counts as added anew
    expect(root.subregions).toEqual([last, top]);
    expect(renderFlatView(root).map((r) => [r.region.regionName, r.start, r.size])).toEqual([
      ['second', 0, 5],
      ['first', 5, 5],
    ]);
  });
});
