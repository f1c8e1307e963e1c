/** Runs what a walk over a control flow graph writes as WebAssembly would: for the tests of structure.ts and region-shape.ts. */
import { CUT, FALLS } from './structure.ts';

/** `way`: the `br` index that an item leaves by, FALLS, CUT, or null: the program ends there. */
export interface Item {
  readonly way: () => number | null;
}
type Op = { kind: 'open'; isLoop: boolean; end: number } | { kind: 'close' } | { kind: 'item'; item: Item };

export class Program {
  private readonly ops: Op[] = [];
  private readonly open: number[] = [];
  get depth(): number {
    return this.open.length;
  }
  private begin(isLoop: boolean): void {
    this.open.push(this.ops.length);
    this.ops.push({ kind: 'open', isLoop, end: -1 });
  }
  openBlock(): void {
    this.begin(false);
  }
  openLoop(): void {
    this.begin(true);
  }
  close(): void {
    const start = this.ops[this.open.pop()!];
    if (start?.kind !== 'open') throw new Error('close without open');
    start.end = this.ops.length;
    this.ops.push({ kind: 'close' });
  }
  add(item: Item): void {
    this.ops.push({ kind: 'item', item });
  }
  /** Gives whether the program ended by an edge that leaves. */
  run(): boolean {
    const labels: number[] = []; // of the enclosing blocks and loops: index of their op
    for (let at = 0; at < this.ops.length; at++) {
      const op = this.ops[at]!;
      if (op.kind === 'open') labels.push(at);
      else if (op.kind === 'close') labels.pop();
      else {
        const depth = op.item.way();
        if (depth === null || depth === CUT) return depth === CUT;
        if (depth === FALLS) continue;
        const target = labels[labels.length - 1 - depth]!;
        const label = this.ops[target];
        if (label?.kind !== 'open') throw new Error(`no label ${depth} levels up`);
        labels.length -= depth;
        at = label.isLoop ? target : label.end - 1; // a loop's label stays open
      }
    }
    throw new Error('ran off the end of the program');
  }
}

export function lcg(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
