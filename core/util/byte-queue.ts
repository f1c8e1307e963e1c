/** Bytes that arrive in pieces of the peer's choice and leave in pieces of ours. The pieces' number costs nothing: a peer that
 *  sends byte by byte takes no more memory or time than one that does not. */

const SMALLEST = 1024;

export class ByteQueue {
  private bytes = new Uint8Array(SMALLEST);
  private start = 0;
  private end = 0;

  get length(): number {
    return this.end - this.start;
  }
  push(piece: Uint8Array): void {
    const needed = this.length + piece.length;
    if (this.end + piece.length > this.bytes.length) {
      // Moving to the front pays only when at least half of the buffer is free.
      const isRoomy = needed * 2 <= this.bytes.length;
      const target = isRoomy ? this.bytes : new Uint8Array(Math.max(SMALLEST, needed * 2));
      target.set(this.peek());
      this.bytes = target;
      this.end = this.length;
      this.start = 0;
    }
    this.bytes.set(piece, this.end);
    this.end += piece.length;
  }
  /** What is there, without taking it: a view that the next `push` may overwrite. */
  peek(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
  /** Takes `count` bytes, as a copy. */
  take(count: number): Uint8Array {
    const taken = this.bytes.slice(this.start, this.start + count);
    this.skip(count);
    return taken;
  }
  skip(count: number): void {
    this.start = Math.min(this.end, this.start + count);
    if (this.start < this.end) return;
    this.start = this.end = 0;
    if (this.bytes.length > 65536) this.bytes = new Uint8Array(SMALLEST);
  }
  clear(): void {
    this.skip(this.length);
  }
}
