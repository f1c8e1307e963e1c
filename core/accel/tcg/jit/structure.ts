/** Control flow for WebAssembly: from a graph of basic blocks to nested `block`s and `loop`s.
 *
 *  Three steps. Dominators (Cooper, Harvey and Kennedy's iteration) tell loops from mere backward jumps; a retreating
 *  edge whose target does not dominate its source would make the graph irreducible and is *cut*: its branch must
 *  leave the region, which is always allowed. The blocks are then laid out in a topological order in which every loop
 *  is contiguous, so that a loop's text is the loop and nothing else. Last, each forward edge that does not simply
 *  fall into the following block gets a label: a `block` that ends where its target begins, opened early enough to
 *  nest. The result is as small as Ramsey's ("Beyond Relooper", ICFP 2022), where loops hold what they dominate too.
 *
 *  Everything is linear in blocks and edges, times the depth of loops. */

/** What `BranchTo` answers when the target directly follows: no branch is needed. */
export const FALLS = -1;
/** What `BranchTo` answers for a cut edge: leave the region instead. */
export const CUT = -2;

/** The `br` index to reach `target` from the end of the block being emitted (before any `if` the emitter opened
 *  itself), or `FALLS`, or `CUT`. With three successors or more it is never `FALLS`, so that a `br_table` can be used. */
export type BranchTo = (target: number) => number;

/** Receives the program in textual order. */
export interface StructureVisitor {
  openBlock(): void;
  openLoop(header: number): void;
  /** The end of the innermost open block or loop. */
  close(): void;
  /** The place of basic block `block`, inside `depth` labels. */
  code(block: number, branchTo: BranchTo, depth: number): void;
}

/** A graph's shape. Arrays are indexed by block; unreachable blocks have position -1 and are never visited. */
export interface Structure {
  /** Reachable blocks in textual order: a reverse postorder in which loops are contiguous. */
  readonly order: Int32Array;
  /** Inverse of `order`. */
  readonly position: Int32Array;
  /** Immediate dominator; the entry's is itself, an unreachable block's is -1. */
  readonly idom: Int32Array;
  /** Header of the innermost loop that holds the block (a header's is itself), or -1. */
  readonly loopHeader: Int32Array;
  /** For a header: the header of the next loop outwards; otherwise as `loopHeader`. -1 when there is none. */
  readonly loopParent: Int32Array;
  /** Loops around the block. */
  readonly loopDepth: Int32Array;
  /** For a header: the position after its loop's last block; otherwise -1. */
  readonly loopEnd: Int32Array;
  /** Edges that have to leave the region: pairs of source and target. */
  readonly cut: readonly (readonly [from: number, to: number])[];
  isCut(from: number, to: number): boolean;
  /** Whether the edge `from` → `to` repeats the loop `to`. */
  isBackEdge(from: number, to: number): boolean;
  walk(visitor: StructureVisitor): void;
}

/** Structures the graph whose block `b` continues at `successors[b]` (block 0 is the entry). Of two successors the
 *  one named first is preferred as the block that follows directly. */
export function structure(successors: readonly (readonly number[])[]): Structure {
  const graph = new Graph(successors);
  const idom = graph.dominators();
  if (graph.cutIrreducible(idom)) idom.set(graph.dominators());
  const loops = findLoops(graph);
  const order = contiguousOrder(graph, loops);
  const position = new Int32Array(graph.size).fill(-1);
  for (let p = 0; p < order.length; p++) position[order[p]!] = p;
  const loopEnd = endsOfLoops(order, loops);
  const opensAt = placeBlocks(graph, loops, order, position);
  const cut = graph.cut;
  const isCut = (from: number, to: number) => cut.length > 0 && cut.some((edge) => edge[0] === from && edge[1] === to);
  return {
    order,
    position,
    idom,
    loopHeader: loops.innermost,
    loopParent: loops.parent,
    loopDepth: loops.depth,
    loopEnd,
    cut,
    isCut,
    isBackEdge: (from, to) => position[to]! >= 0 && position[to]! <= position[from]! && !isCut(from, to),
    walk: (visitor) => walk({ successors, order, position, loopEnd, opensAt, isCut }, visitor),
  };
}

/** The reachable part of the graph, with predecessors and a depth-first numbering. */
class Graph {
  readonly successors: readonly (readonly number[])[];
  readonly size: number;
  /** Reachable blocks in reverse postorder of a first search, and each block's place in it (-1: unreachable). */
  readonly rpo: Int32Array;
  readonly number: Int32Array;
  /** Predecessors of block b: `predecessors[starts[b]] … predecessors[starts[b + 1] - 1]`. A cut edge reads -1. */
  readonly starts: Int32Array;
  readonly predecessors: Int32Array;
  readonly cut: [number, number][] = [];

  constructor(successors: readonly (readonly number[])[]) {
    this.successors = successors;
    this.size = successors.length;
    this.rpo = postorder(this.size, (block) => successors[block]!).reverse();
    this.number = new Int32Array(this.size).fill(-1);
    for (let i = 0; i < this.rpo.length; i++) this.number[this.rpo[i]!] = i;
    this.starts = new Int32Array(this.size + 1);
    for (const from of this.rpo) for (const to of successors[from]!) this.starts[to + 1]! += 1;
    for (let b = 0; b < this.size; b++) this.starts[b + 1]! += this.starts[b]!;
    this.predecessors = new Int32Array(this.starts[this.size]!);
    const next = this.starts.slice();
    for (const from of this.rpo) for (const to of successors[from]!) this.predecessors[next[to]!++] = from;
  }

  isRetreating(from: number, to: number): boolean {
    return this.number[to]! <= this.number[from]!;
  }

  dominators(): Int32Array {
    const { rpo, number, starts, predecessors } = this;
    const idom = new Int32Array(this.size).fill(-1);
    if (rpo.length > 0) idom[rpo[0]!] = rpo[0]!;
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 1; i < rpo.length; i++) {
        const block = rpo[i]!;
        let dominator = -1;
        for (let e = starts[block]!; e < starts[block + 1]!; e++) {
          let other = predecessors[e]!;
          if (other < 0 || idom[other]! < 0) continue;
          if (dominator < 0) dominator = other;
          while (other !== dominator) {
            if (number[other]! > number[dominator]!) other = idom[other]!;
            else dominator = idom[dominator]!;
          }
        }
        if (idom[block] !== dominator) {
          idom[block] = dominator;
          changed = true;
        }
      }
    }
    return idom;
  }

  /** Cuts every retreating edge that is not the back edge of a loop with one entry; true if there was one. No block
   *  becomes unreachable, since the search that numbered the blocks did not need these edges. */
  cutIrreducible(idom: Int32Array): boolean {
    const { number, starts, predecessors } = this;
    for (const block of this.rpo) {
      for (let e = starts[block]!; e < starts[block + 1]!; e++) {
        const from = predecessors[e]!;
        if (!this.isRetreating(from, block)) continue;
        let dominator = from;
        while (number[dominator]! > number[block]!) dominator = idom[dominator]!;
        if (dominator === block) continue;
        predecessors[e] = -1;
        // The copies of a duplicate edge are neighbours: predecessors are listed source by source.
        const last = this.cut.at(-1);
        if (last?.[0] !== from || last[1] !== block) this.cut.push([from, block]);
      }
    }
    return this.cut.length > 0;
  }
}

interface Loops {
  readonly innermost: Int32Array;
  readonly parent: Int32Array;
  readonly depth: Int32Array;
}

/** Natural loops, inner ones first: a found loop acts as one node (its header) for those around it. */
function findLoops(graph: Graph): Loops {
  const { rpo, starts, predecessors } = graph;
  const parent = new Int32Array(graph.size).fill(-1);
  const innermost = new Int32Array(graph.size).fill(-1);
  const depth = new Int32Array(graph.size);
  const outermost = new Int32Array(graph.size);
  for (let b = 0; b < outermost.length; b++) outermost[b] = b;
  const find = (block: number) => {
    while (outermost[block] !== block) {
      outermost[block] = outermost[outermost[block]!]!;
      block = outermost[block]!;
    }
    return block;
  };
  const pending: number[] = [];
  const collect = (header: number, block: number, retreatingOnly: boolean) => {
    for (let e = starts[block]!; e < starts[block + 1]!; e++) {
      const from = predecessors[e]!;
      if (from < 0 || (retreatingOnly && !graph.isRetreating(from, header))) continue;
      if (retreatingOnly) innermost[header] = header;
      const node = find(from);
      if (node === header) continue;
      parent[node] = header;
      outermost[node] = header;
      pending.push(node);
    }
  };
  for (let i = rpo.length - 1; i >= 0; i--) {
    const header = rpo[i]!;
    collect(header, header, true);
    while (pending.length > 0) collect(header, pending.pop()!, false);
  }
  for (const block of rpo) {
    const isHeader = innermost[block] === block;
    if (!isHeader) innermost[block] = parent[block]!;
    depth[block] = (parent[block]! < 0 ? 0 : depth[parent[block]!]!) + (isHeader ? 1 : 0);
  }
  return { innermost, parent, depth };
}

/** The loop that a forward edge to `to` stays in: the innermost one around `to`, not counting the one it heads. */
function around(loops: Loops, to: number): number {
  return loops.innermost[to] === to ? loops.parent[to]! : loops.innermost[to]!;
}

/** A topological order of the forward edges with contiguous loops: a header's search first finishes everything that
 *  the loop can leave to, so that only the loop's own blocks remain between the header and them. */
function contiguousOrder(graph: Graph, loops: Loops): Int32Array {
  const { rpo, starts, predecessors } = graph;
  const next: number[][] = Array.from({ length: graph.size }, () => []);
  for (const to of rpo) {
    for (let e = starts[to]!; e < starts[to + 1]!; e++) {
      const from = predecessors[e]!;
      if (from < 0 || graph.isRetreating(from, to)) continue;
      const stay = around(loops, to);
      for (let loop = loops.innermost[from]!; loop !== stay; loop = loops.parent[loop]!) next[loop]!.push(to);
    }
  }
  for (const from of rpo) {
    const list = graph.successors[from]!;
    for (let i = list.length - 1; i >= 0; i--) if (!graph.isRetreating(from, list[i]!)) next[from]!.push(list[i]!);
  }
  return postorder(graph.size, (block) => next[block]!).reverse();
}

/** For each loop header the position after the loop. */
function endsOfLoops(order: Int32Array, loops: Loops): Int32Array {
  const end = new Int32Array(loops.parent.length).fill(-1);
  for (let p = order.length - 1; p >= 0; p--) {
    for (let loop = loops.innermost[order[p]!]!; loop >= 0 && end[loop]! < 0; loop = loops.parent[loop]!) {
      end[loop] = p + 1;
    }
  }
  return end;
}

/** Where the labels of forward branches open: per position the blocks whose label opens there, last target first. */
function placeBlocks(graph: Graph, loops: Loops, order: Int32Array, position: Int32Array): (number[] | undefined)[] {
  const { starts, predecessors, successors } = graph;
  const opensAt: (number[] | undefined)[] = new Array(order.length);
  const outer: { start: number; end: number }[] = []; // disjoint, in order: the widest labels so far
  for (let p = 1; p < order.length; p++) {
    const target = order[p]!;
    const stay = around(loops, target);
    let start = p;
    for (let e = starts[target]!; e < starts[target + 1]!; e++) {
      const from = predecessors[e]!;
      if (from < 0 || position[from]! >= p) continue;
      if (position[from] === p - 1 && successors[from]!.length <= 2) continue;
      let first = from;
      for (let loop = loops.innermost[from]!; loop !== stay; loop = loops.parent[loop]!) first = loop;
      start = Math.min(start, position[first]!);
    }
    if (start === p) continue;
    for (let last = outer.at(-1); last && last.end > start; last = outer.at(-1)) {
      start = Math.min(start, last.start);
      outer.pop();
    }
    outer.push({ start, end: p });
    const opens = opensAt[start];
    if (opens) opens.push(target);
    else opensAt[start] = [target];
  }
  return opensAt;
}

interface Layout {
  readonly successors: readonly (readonly number[])[];
  readonly order: Int32Array;
  readonly position: Int32Array;
  readonly loopEnd: Int32Array;
  readonly opensAt: readonly (readonly number[] | undefined)[];
  isCut(from: number, to: number): boolean;
}

function walk(layout: Layout, visitor: StructureVisitor): void {
  const { successors, order, position, loopEnd, opensAt } = layout;
  const forwardLabel = new Int32Array(successors.length).fill(-1);
  const loopLabel = new Int32Array(successors.length).fill(-1);
  const ends: number[] = []; // of open labels: the position before which each closes
  let at = 0;
  const branchTo = (target: number) => {
    const from = order[at]!;
    if (layout.isCut(from, target)) return CUT;
    const isForward = position[target]! > at;
    if (isForward && position[target] === at + 1 && successors[from]!.length <= 2) return FALLS;
    const label = (isForward ? forwardLabel : loopLabel)[target];
    if (label === undefined || label < 0) throw new RangeError(`no edge from block ${from} to ${target}`);
    return ends.length - 1 - label;
  };
  for (; at < order.length; at++) {
    const block = order[at]!;
    while (ends.at(-1) === at) {
      ends.pop();
      visitor.close();
    }
    const opens = opensAt[at];
    let next = (opens?.length ?? 0) - 1;
    const openUntil = (end: number) => {
      for (; next >= 0 && position[opens![next]!]! >= end; next--) {
        forwardLabel[opens![next]!] = ends.length;
        ends.push(position[opens![next]!]!);
        visitor.openBlock();
      }
    };
    const end = loopEnd[block]!;
    if (end >= 0) {
      openUntil(end);
      loopLabel[block] = ends.length;
      ends.push(end);
      visitor.openLoop(block);
    }
    openUntil(0);
    visitor.code(block, branchTo, ends.length);
  }
  for (; ends.length > 0; ends.pop()) visitor.close();
}

/** Blocks that can be reached from 0, each after those it leads to; `next` lists them, to be searched in that order. */
function postorder(size: number, next: (block: number) => readonly number[]): Int32Array {
  const done = new Int32Array(size);
  let count = 0;
  if (size === 0) return done;
  const seen = new Uint8Array(size);
  const path = [0];
  const progress = [0];
  seen[0] = 1;
  while (path.length > 0) {
    const top = path.length - 1;
    const list = next(path[top]!);
    const i = progress[top]!;
    if (i < list.length) {
      progress[top] = i + 1;
      const target = list[i]!;
      if (seen[target]) continue;
      seen[target] = 1;
      path.push(target);
      progress.push(0);
    } else {
      done[count++] = path.pop()!;
      progress.pop();
    }
  }
  return done.subarray(0, count);
}
