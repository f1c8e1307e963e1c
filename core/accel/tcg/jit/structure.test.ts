import { describe, expect, it } from 'vitest';
import { CUT, FALLS, type Structure, structure } from './structure.ts';
import { lcg, Program } from './structure-testing.ts';

type Graph = readonly (readonly number[])[];

/** The program as text: `{` a block, `(` a loop, each block with its branches. */
function text(graph: Graph): string {
  const parts: string[] = [];
  const kinds: string[] = [];
  structure(graph).walk({
    openBlock() {
      parts.push('{');
      kinds.push('}');
    },
    openLoop() {
      parts.push('(');
      kinds.push(')');
    },
    close() {
      parts.push(kinds.pop() ?? '?');
    },
    code(block, branchTo) {
      const name = (target: number) => {
        const depth = branchTo(target);
        return depth === FALLS ? '↓' : depth === CUT ? '×' : String(depth);
      };
      parts.push(`${block}:${graph[block]!.map(name).join(',')}`);
    },
  });
  return parts.join(' ');
}

/** Runs the program of a graph for at most `limit` blocks; `choose` picks a successor's index. */
function run(graph: Graph, shape: Structure, limit: number, choose: (count: number) => number): number[] {
  const program = new Program();
  const visited: number[] = [];
  shape.walk({
    openBlock: () => program.openBlock(),
    openLoop: () => program.openLoop(),
    close: () => program.close(),
    code(block, branchTo, depth) {
      expect(depth).toBe(program.depth);
      const ways = graph[block]!.map(branchTo);
      const way = () => {
        visited.push(block);
        return ways.length === 0 || visited.length === limit ? null : ways[choose(ways.length)]!;
      };
      program.add({ way });
    },
  });
  expect(program.depth).toBe(0);
  program.run();
  return visited;
}

function randomGraph(random: (below: number) => number, size: number): number[][] {
  const backward = random(4);
  return Array.from({ length: size }, (_, block) => {
    const count = [0, 1, 1, 2, 2, 2, 2, 3, 5][random(9)]!;
    return Array.from({ length: count }, () => {
      if (random(3) === 0 && block + 1 < size) return block + 1;
      return random(4) < backward ? random(block + 1) : block + random(size - block);
    });
  });
}

describe('structure', () => {
  it('writes straight lines without labels', () => {
    expect(text([[1], [2], []])).toBe('0:↓ 1:↓ 2:');
    expect(text([[]])).toBe('0:');
    expect(text([])).toBe('');
  });

  it('gives a diamond two labels, the first-named arm first', () => {
    expect(text([[1, 2], [3], [3], []])).toBe('{ { 0:↓,0 1:1 } 2:↓ } 3:');
    expect(text([[2, 1], [3], [3], []])).toBe('{ { 0:↓,0 2:1 } 1:↓ } 3:');
  });

  it('skips over an if without else', () => {
    expect(text([[1, 2], [2], []])).toBe('{ 0:↓,0 1:↓ } 2:');
  });

  it('makes a one-block loop a loop', () => {
    expect(text([[1], [1, 2], []])).toBe('0:↓ ( 1:0,↓ ) 2:');
    expect(text([[0, 1], []])).toBe('( 0:0,↓ ) 1:');
  });

  it('keeps loops free of what follows them', () => {
    // while (1) { 2 or 3 }, with an exit from the arm 2 to 4
    const graph = [[1], [2, 3], [4, 1], [1], []];
    expect(text(graph)).toBe('0:↓ { ( { 1:↓,0 2:2,1 } 3:0 ) } 4:');
    const shape = structure(graph);
    expect([...shape.loopDepth]).toEqual([0, 1, 1, 1, 0]);
    expect([...shape.loopHeader]).toEqual([-1, 1, 1, 1, -1]);
    expect(shape.loopEnd[1]).toBe(4);
  });

  it('nests loops', () => {
    const graph = [[1], [2], [2, 3], [1, 4], []];
    expect(text(graph)).toBe('0:↓ ( 1:↓ ( 2:0,↓ ) 3:0,↓ ) 4:');
    const shape = structure(graph);
    expect([...shape.loopDepth]).toEqual([0, 1, 2, 1, 0]);
    expect([...shape.loopParent]).toEqual([-1, -1, 1, 1, -1]);
    expect([...shape.idom]).toEqual([0, 0, 1, 2, 3]);
    expect(shape.isBackEdge(2, 2)).toBe(true);
    expect(shape.isBackEdge(3, 1)).toBe(true);
    expect(shape.isBackEdge(2, 3)).toBe(false);
  });

  it('treats two back edges to one header as one loop', () => {
    expect(text([[0, 1], [0, 2], []])).toBe('( 0:0,↓ 1:0,↓ ) 2:');
  });

  it('gives every target of a table a label, even the following one', () => {
    expect(text([[1, 2, 3], [3], [3], []])).toBe('{ { { 0:0,1,2 } 1:1 } 2:↓ } 3:');
  });

  it('cuts the edge that makes a loop with two entries', () => {
    const shape = structure([[1, 2], [2], [1, 3], []]);
    expect(shape.cut.length).toBe(1);
    const [from, to] = shape.cut[0]!;
    expect([from, to].sort()).toEqual([1, 2]);
    expect(shape.isCut(from, to)).toBe(true);
    expect(shape.isBackEdge(from, to)).toBe(false);
    expect(shape.order.length).toBe(4);
  });

  it('leaves unreachable blocks out', () => {
    const shape = structure([[2], [2], []]);
    expect([...shape.order]).toEqual([0, 2]);
    expect(shape.position[1]).toBe(-1);
    expect(text([[2], [2], []])).toBe('0:↓ 2:');
  });

  it('visits the same blocks as the graph does, for random graphs and choices', () => {
    let cuts = 0;
    let loops = 0;
    for (let seed = 0; seed < 3000; seed++) {
      const random = lcg(seed);
      const graph = randomGraph(random, 1 + random(seed % 10 === 0 ? 100 : 14));
      const shape = structure(graph);
      cuts += shape.cut.length;
      for (const end of shape.loopEnd) if (end >= 0) loops++;
      for (let round = 0; round < 5; round++) {
        const choices: number[] = [];
        const visited = run(graph, shape, 60, (count) => {
          choices.push(random(count));
          return choices.at(-1)!;
        });
        let block = 0;
        for (let step = 0; step < visited.length; step++) {
          if (visited[step] !== block) throw new Error(`seed ${seed}: ${visited} leaves ${JSON.stringify(graph)}`);
          const choice = choices[step];
          if (choice === undefined) continue;
          const next = graph[block]![choice]!;
          if (shape.isCut(block, next)) expect(step).toBe(visited.length - 1);
          block = next;
        }
      }
    }
    expect(cuts).toBeGreaterThan(500);
    expect(loops).toBeGreaterThan(2000);
  });

  it('agrees with the definitions of dominance and loops, and cuts nothing that it need not', () => {
    for (let seed = 0; seed < 400; seed++) {
      const random = lcg(seed + 7777);
      const graph = randomGraph(random, 1 + random(12));
      const shape = structure(graph);
      const reach = (start: number, without: number) => {
        const seen = new Set<number>();
        const pending = start === without ? [] : [start];
        for (let block = pending.pop(); block !== undefined; block = pending.pop()) {
          if (seen.has(block)) continue;
          seen.add(block);
          for (const to of graph[block]!) if (to !== without && !shape.isCut(block, to)) pending.push(to);
        }
        return seen;
      };
      const reachable = reach(0, -1);
      expect([...shape.order].sort((a, b) => a - b)).toEqual([...reachable].sort((a, b) => a - b));
      const dominates = (a: number, b: number) => a === b || !reach(0, a).has(b);
      for (const block of reachable) {
        const strict = [...reachable].filter((other) => other !== block && dominates(other, block));
        const immediate = strict.find((other) => strict.every((third) => dominates(third, other))) ?? 0;
        expect(shape.idom[block]).toBe(immediate);
        // Around `block`: headers that it can get back to without leaving what the header dominates.
        const headers = [...reachable].filter((header) => {
          const latches = [...reachable].filter((b) => graph[b]!.includes(header) && !shape.isCut(b, header));
          const back = latches.filter((latch) => dominates(header, latch));
          if (back.length === 0 || !dominates(header, block)) return false;
          return block === header || back.some((latch) => reach(block, header).has(latch));
        });
        expect(shape.loopDepth[block]).toBe(headers.length);
        const inner = headers.find((header) => headers.every((other) => dominates(other, header))) ?? -1;
        expect(shape.loopHeader[block]).toBe(inner);
        for (const to of graph[block]!) {
          const isBack = dominates(to, block) && !shape.isCut(block, to);
          expect(shape.isBackEdge(block, to)).toBe(isBack);
        }
      }
      for (const header of reachable) {
        if (shape.loopEnd[header]! < 0) continue;
        const members = [...shape.order.subarray(shape.position[header]!, shape.loopEnd[header]!)];
        for (const block of reachable) {
          let loop = shape.loopHeader[block]!;
          while (loop >= 0 && loop !== header) loop = shape.loopParent[loop]!;
          expect(members.includes(block)).toBe(loop === header);
        }
      }
    }
  });

  it('takes long chains and deep nests of loops in its stride', () => {
    const chain = Array.from({ length: 20_000 }, (_, i) => (i < 19_999 ? [i + 1] : []));
    expect(structure(chain).order.length).toBe(20_000);
    const nest = Array.from({ length: 400 }, (_, i) => (i < 200 ? [i + 1] : i < 399 ? [i + 1, 399 - i] : []));
    const shape = structure(nest);
    expect(shape.cut).toEqual([]);
    expect(shape.loopDepth[200]).toBe(200 - 1);
  });
});
