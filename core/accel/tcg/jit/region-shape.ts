/** The control flow of a region that may be entered at several of its blocks.
 *
 *  WebAssembly has no way into the middle of a loop. So the ways in part at places of their own: where the region begins, and in
 *  front of the header of every loop around a block that is an entry. From there they lead inwards, loop by loop. */
import { type BranchTo, CUT, type StructureVisitor, structure } from './structure.ts';

export interface RegionVisitor extends Omit<StructureVisitor, 'code'> {
  /** Entries part: `ways` has for each its `br` index, or FALLS. Entry 0 is where they go that are in the region already. */
  dispatch(ways: readonly number[], isInLoop: boolean): void;
  /** The place of a block, inside `depth` labels. */
  code(block: number, branchTo: BranchTo, depth: number): void;
}

export interface RegionShape {
  /** Edges that have to leave the region. */
  readonly cut: readonly (readonly [from: number, to: number])[];
  /** Whether the edge repeats the loop around `to`. */
  isBackEdge(from: number, to: number): boolean;
  /** Loops around a block. */
  loopDepth(block: number): number;
  walk(visitor: RegionVisitor): void;
}

/** `successors`: of each block, with the edges from one that leaves the region to the entry where it comes back. `entries`: blocks
 *  where the region is entered, block 0 first. */
export function regionShape(successors: readonly (readonly number[])[], entries: readonly number[]): RegionShape {
  const plain = structure(rooted(successors, entries));
  if (entries.length === 1) {
    return {
      cut: plain.cut,
      isBackEdge: plain.isBackEdge,
      loopDepth: (block) => plain.loopDepth[block]!,
      walk: (visitor) => plain.walk({ ...callbacks(visitor), code: visitor.code }),
    };
  }
  // Loops around each entry, the outermost first, and the entry.
  const paths = entries.map((entry) => {
    const path = [entry];
    const { loopHeader, loopParent } = plain;
    let header = loopHeader[entry] === entry ? loopParent[entry]! : loopHeader[entry]!;
    for (; header >= 0; header = loopParent[header]!) path.unshift(header);
    return path;
  });
  // Nodes: the region's start, the blocks, and a place in front of each of these headers.
  const places = new Map<number, number>();
  for (const path of paths)
    for (const header of path.slice(0, -1))
      if (!places.has(header)) places.set(header, 1 + successors.length + places.size);
  const landing = (block: number) => places.get(block) ?? block + 1;
  /** From a header, or from the start (-1), towards an entry; its own way where the entry is not inside. */
  const next = (header: number, path: readonly number[]) => {
    const at = path.indexOf(header);
    if (header < 0) return landing(path[0]!);
    return at >= 0 && at + 1 < path.length ? landing(path[at + 1]!) : header + 1;
  };
  const waysFrom = (header: number) => paths.map((path) => next(header, path));
  const nodes = [
    [...new Set(waysFrom(-1))],
    ...successors.map((list, from) => list.filter((to) => !plain.isCut(from, to)).map(landing)),
    ...[...places.keys()].map((header) => [...new Set(waysFrom(header))]),
  ];
  const headerAt = new Map([...places].map(([header, node]) => [node, header]));
  const shape = structure(nodes);
  // Every loop is still entered at one place.
  if (shape.cut.length > 0)
    throw new Error(`a region that cannot be shaped: ${JSON.stringify({ successors, entries })}`);
  return {
    cut: plain.cut,
    isBackEdge: (from, to) => shape.isBackEdge(from + 1, landing(to)),
    loopDepth: (block) => shape.loopDepth[block + 1]!,
    walk: (visitor) =>
      shape.walk({
        ...callbacks(visitor),
        code: (node, branchTo, depth) => {
          const header = node === 0 ? -1 : headerAt.get(node);
          if (header !== undefined) visitor.dispatch(waysFrom(header).map(branchTo), node !== 0);
          else visitor.code(node - 1, (to) => (plain.isCut(node - 1, to) ? CUT : branchTo(landing(to))), depth);
        },
      }),
  };
}

/** The graph in which block 0 leads to entries that nothing else leads to: what they reach counts for loops as well. */
function rooted(
  successors: readonly (readonly number[])[],
  entries: readonly number[],
): readonly (readonly number[])[] {
  const reached = new Set<number>();
  const reach = (from: number) => {
    const waiting = [from];
    for (let block = waiting.pop(); block !== undefined; block = waiting.pop()) {
      if (reached.has(block)) continue;
      reached.add(block);
      waiting.push(...successors[block]!);
    }
  };
  reach(0);
  const apart = entries.filter((entry) => {
    if (reached.has(entry)) return false;
    reach(entry);
    return true;
  });
  return apart.length === 0 ? successors : [[...successors[0]!, ...apart], ...successors.slice(1)];
}

function callbacks(visitor: RegionVisitor): Pick<StructureVisitor, 'openBlock' | 'openLoop' | 'close'> {
  return {
    openBlock: () => visitor.openBlock(),
    openLoop: (header) => visitor.openLoop(header),
    close: () => visitor.close(),
  };
}
