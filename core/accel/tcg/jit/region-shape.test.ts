import { describe, expect, it } from 'vitest';
import { regionShape } from './region-shape.ts';
import { lcg, Program } from './structure-testing.ts';

type Graph = readonly (readonly number[])[];

/** Runs the program of a graph from an entry; `choose` picks a successor's index. Gives the blocks and whether an edge led out. */
function run(graph: Graph, entries: readonly number[], entry: number, choose: (count: number) => number) {
  const program = new Program();
  const visited: number[] = [];
  let chosen = entry;
  regionShape(graph, entries).walk({
    openBlock: () => program.openBlock(),
    openLoop: () => program.openLoop(),
    close: () => program.close(),
    dispatch(ways) {
      expect(ways.length).toBe(entries.length);
      program.add({ way: () => ways[chosen]! });
    },
    code(block, branchTo, depth) {
      expect(depth).toBe(program.depth);
      const ways = graph[block]!.map(branchTo);
      const way = () => {
        visited.push(block);
        if (entries.includes(block, 1)) chosen = 0;
        return ways.length === 0 || visited.length === 60 ? null : ways[choose(ways.length)]!;
      };
      program.add({ way });
    },
  });
  expect(program.depth).toBe(0);
  return { isCut: program.run(), visited };
}
/** What a walk writes, in order. */
function kinds(graph: Graph, entries: readonly number[]): string[] {
  const found: string[] = [];
  const note = (kind: string) => () => void found.push(kind);
  const [openBlock, openLoop, close, dispatch] = ['block', 'loop', 'end', 'dispatch'].map(note) as [
    () => void,
    () => void,
    () => void,
    () => void,
  ];
  regionShape(graph, entries).walk({ openBlock, openLoop, close, dispatch, code: (block) => note(`${block}`)() });
  return found;
}

describe('the shape of a region', () => {
  it('leads each entry of random graphs to its block, and on as the graph does', () => {
    let inLoops = 0;
    let cuts = 0;
    let apart = 0;
    for (let seed = 1; seed <= 1200; seed++) {
      const random = lcg(seed);
      const size = 2 + random(14);
      // Block 0 leads to all others, or does not: entries that nothing leads to, into loops as well.
      const isWhole = seed % 2 === 0;
      const graph = Array.from({ length: size }, (_, block) => {
        const list = block + 1 < size && (isWhole || random(4) > 0) ? [block + 1] : [];
        for (let more = random(3); more > 0; more--) list.push(random(size));
        return list;
      });
      const entries = [0];
      for (let more = random(6); more > 0; more--) {
        const block = random(size);
        if (!entries.includes(block)) entries.push(block);
      }
      const shape = regionShape(graph, entries);
      const reached = new Set([0]);
      for (const block of reached) for (const to of graph[block]!) reached.add(to);
      apart += entries.filter((entry) => !reached.has(entry)).length;
      inLoops += entries.filter((entry, i) => i > 0 && shape.loopDepth(entry) > 0).length;
      cuts += shape.cut.length;
      const isCut = (from: number, to: number) => shape.cut.some(([a, b]) => a === from && b === to);
      entries.forEach((block, entry) => {
        for (let round = 0; round < 4; round++) {
          const chosen: number[] = [];
          const found = run(graph, entries, entry, (count) => {
            chosen.push(random(count));
            return chosen.at(-1)!;
          });
          let at = block;
          const expected = [at];
          let leaves = false;
          for (const choice of chosen) {
            const to = graph[at]![choice]!;
            leaves = isCut(at, to);
            if (leaves) break;
            expected.push(to);
            at = to;
          }
          expect(found).toEqual({ visited: expected, isCut: leaves });
        }
      });
    }
    expect(inLoops).toBeGreaterThan(200);
    expect(cuts).toBeGreaterThan(50);
    expect(apart).toBeGreaterThan(200);
  });

  it('parts entries in front of each loop around them only', () => {
    // 0 -> loop 1 { 2 -> 1 } -> 3; entered at 2 and 3 too
    const found = kinds([[1], [2], [1, 3], []], [0, 2, 3]);
    expect(found.filter((kind) => kind === 'dispatch').length).toBe(2);
    expect(found.indexOf('dispatch')).toBeLessThan(found.indexOf('0'));
    expect(found.lastIndexOf('dispatch')).toBe(found.indexOf('1') - 1);
    expect(found.lastIndexOf('dispatch')).toBeGreaterThan(found.indexOf('loop'));
  });

  it('needs no place of its own for a single entry', () => {
    expect(kinds([[1], [0, 1]], [0])).not.toContain('dispatch');
  });
});
