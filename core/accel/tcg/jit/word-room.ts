/** Room in linear memory for the words that modules of regions read, given and taken back in pieces of 2^n words. */
export class WordRoom {
  private readonly start: number;
  private readonly end: number;
  private next: number;
  private readonly free: number[][] = Array.from({ length: 32 }, () => []);
  private readonly sizes = new Map<number, number>();

  /** @param start in bytes, as all addresses here */
  constructor(start: number, bytes: number) {
    this.start = start;
    this.end = start + bytes;
    this.next = start;
  }
  /** Address of so many words, or -1: there is no room. */
  take(words: number): number {
    const size = 32 - Math.clz32(Math.max(words, 1) - 1);
    const bytes = 4 << size;
    let at = this.free[size]!.pop() ?? -1;
    if (at < 0 && this.next + bytes <= this.end) {
      at = this.next;
      this.next += bytes;
    }
    for (let larger = size + 1; at < 0 && larger < this.free.length; larger++) at = this.split(larger, size);
    if (at >= 0) this.sizes.set(at, size);
    return at;
  }
  /** The first part of a larger piece that is free; its other parts are free then. */
  private split(larger: number, size: number): number {
    const at = this.free[larger]!.pop();
    if (at === undefined) return -1;
    for (let half = larger - 1; half >= size; half--) this.free[half]!.push(at + (4 << half));
    return at;
  }
  give(at: number): void {
    const size = this.sizes.get(at);
    if (size === undefined) throw new Error(`nothing was given at ${at}`);
    this.sizes.delete(at);
    this.free[size]!.push(at);
    if (this.sizes.size > 0) return;
    for (const list of this.free) list.length = 0;
    this.next = this.start;
  }
}
