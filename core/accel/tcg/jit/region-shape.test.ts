import { describe, expect, it } from 'vitest';
import { partWays, regionShape } from './region-shape.ts';
import { CUT, FALLS } from './structure.ts';

type Graph = readonly (readonly number[])[];
type Op =
  | { kind: 'block'; end: number }
  | { kind: 'loop'; end: number }
  | { kind: 'end' }
  | { kind: 'dispatch'; ways: readonly number[] }
  | { kind: 'code'; block: number; br: Map<number, number> };

function assemble(graph: Graph, entries: readonly number[]): Op[] {
  const ops: Op[] = [];
  const open: number[] = [];
  const begin = (kind: 'block' | 'loop') => {
    open.push(ops.length);
    ops.push({ kind, end: -1 });
  };
  regionShape(graph, entries).walk({
    openBlock: () => begin('block'),
    openLoop: () => begin('loop'),
    close() {
      const start = ops[open.pop()!]!;
      if (start.kind !== 'block' && start.kind !== 'loop') throw new Error('close without open');
      start.end = ops.length;
      ops.push({ kind: 'end' });
    },
    dispatch: (ways) => ops.push({ kind: 'dispatch', ways }),
    code: (block, branchTo) => {
      ops.push({ kind: 'code', block, br: new Map(graph[block]!.map((target) => [target, branchTo(target)])) });
    },
  });
  expect(open).toEqual([]);
  return ops;
}

/** Runs the program from an entry as WebAssembly would; `choose` picks a successor's index. Gives the blocks and whether it came to an
 *  edge that leaves. */
function run(ops: Op[], graph: Graph, entries: readonly number[], entry: number, choose: (count: number) => number) {
  const visited: number[] = [];
  const labels: number[] = [];
  let chosen = entry;
  for (let at = 0; at < ops.length; at++) {
    const op = ops[at]!;
    let depth = FALLS;
    if (op.kind === 'block' || op.kind === 'loop') labels.push(at);
    else if (op.kind === 'end') labels.pop();
    else if (op.kind === 'dispatch') {
      expect(op.ways.length).toBe(entries.length);
      depth = op.ways[chosen]!;
    } else {
      visited.push(op.block);
      if (entries.includes(op.block, 1)) chosen = 0;
      const next = graph[op.block]!;
      if (next.length === 0 || visited.length === 60) return { visited, isCut: false };
      depth = op.br.get(next[choose(next.length)]!)!;
      if (depth === CUT) return { visited, isCut: true };
    }
    if (depth === FALLS) continue;
    const target = labels[labels.length - 1 - depth]!;
    const label = ops[target]!;
    if (label.kind !== 'block' && label.kind !== 'loop') throw new Error(`no label ${depth} levels up`);
    labels.length -= depth;
    at = label.kind === 'block' ? label.end - 1 : target;
  }
  throw new Error('ran off the end of the program');
}

function lcg(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('the shape of a region', () => {
  it('leads each entry of random graphs to its block, and on as the graph does', () => {
    let inLoops = 0;
    let cuts = 0;
    for (let seed = 1; seed <= 600; seed++) {
      const random = lcg(seed);
      const size = 2 + random(14);
      // Block 0 leads to all others.
      const graph = Array.from({ length: size }, (_, block) => {
        const list = block + 1 < size ? [block + 1] : [];
        for (let more = random(3); more > 0; more--) list.push(random(size));
        return list;
      });
      const entries = [0];
      for (let more = random(6); more > 0; more--) {
        const block = random(size);
        if (!entries.includes(block)) entries.push(block);
      }
      const shape = regionShape(graph, entries);
      inLoops += entries.filter((entry, i) => i > 0 && shape.loopDepth(entry) > 0).length;
      cuts += shape.cut.length;
      const isCut = (from: number, to: number) => shape.cut.some(([a, b]) => a === from && b === to);
      const ops = assemble(graph, entries);
      entries.forEach((block, entry) => {
        for (let round = 0; round < 4; round++) {
          const chosen: number[] = [];
          const found = run(ops, graph, entries, entry, (count) => {
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
  });

  it('parts entries in front of each loop around them only', () => {
    // 0 -> loop 1 { 2 -> 1 } -> 3; entered at 2 and 3 too
    const ops = assemble([[1], [2], [1, 3], []], [0, 2, 3]);
    const kinds = ops.map((op) => (op.kind === 'code' ? `${op.block}` : op.kind));
    expect(kinds.filter((kind) => kind === 'dispatch').length).toBe(2);
    expect(kinds.indexOf('dispatch')).toBeLessThan(kinds.indexOf('0'));
    expect(kinds.lastIndexOf('dispatch')).toBe(kinds.indexOf('1') - 1);
    expect(kinds.lastIndexOf('dispatch')).toBeGreaterThan(kinds.indexOf('loop'));
  });

  it('needs no place of its own for a single entry', () => {
    expect(assemble([[1], [0, 1]], [0]).some((op) => op.kind === 'dispatch')).toBe(false);
  });

  it('tells the usual way from the others', () => {
    expect(partWays([1, FALLS, 2])).toEqual({ usual: FALLS, others: [0, 2] });
    expect(partWays([3, 3, 4])).toEqual({ usual: 3, others: [2] });
  });
});
