/** Big-endian bytes of a saved state. */
import { UserError } from '../util/errors.ts';

export class StateWriter {
  private chunk = new Uint8Array(256);
  private view = new DataView(this.chunk.buffer);
  private length = 0;

  private room(bytes: number): number {
    const at = this.length;
    if (at + bytes > this.chunk.length) {
      const larger = new Uint8Array(Math.max(this.chunk.length * 2, at + bytes));
      larger.set(this.chunk);
      this.chunk = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length += bytes;
    return at;
  }
  u8(value: number): void {
    const at = this.room(1); // may replace the view
    this.view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.room(2); // may replace the view
    this.view.setUint16(at, value);
  }
  u32(value: number): void {
    const at = this.room(4); // may replace the view
    this.view.setUint32(at, value);
  }
  u64(value: number): void {
    this.big64(BigInt(value));
  }
  i64(value: number): void {
    this.big64(BigInt(value));
  }
  big64(value: bigint): void {
    const at = this.room(8); // may replace the view
    this.view.setBigUint64(at, BigInt.asUintN(64, value));
  }
  bytes(value: Uint8Array): void {
    const at = this.room(value.length); // may replace the chunk
    this.chunk.set(value, at);
  }
  finish(): Uint8Array {
    return this.chunk.slice(0, this.length);
  }
}

export class StateReader {
  private readonly source: Uint8Array;
  private readonly view: DataView;
  private at = 0;
  constructor(source: Uint8Array) {
    this.source = source;
    this.view = new DataView(source.buffer, source.byteOffset, source.length);
  }
  get remaining(): number {
    return this.source.length - this.at;
  }
  private take(bytes: number): number {
    if (this.remaining < bytes) throw new UserError('the saved state ends in the middle of a field');
    const { at } = this;
    this.at += bytes;
    return at;
  }
  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2));
  }
  u32(): number {
    return this.view.getUint32(this.take(4));
  }
  u64(): number {
    return Number(this.view.getBigUint64(this.take(8)));
  }
  i64(): number {
    return Number(this.view.getBigInt64(this.take(8)));
  }
  big64(): bigint {
    return this.view.getBigUint64(this.take(8));
  }
  /** The name that follows a mark and its length, if the mark comes next. */
  peekName(mark: number): string | null {
    const { source, at } = this;
    if (at + 2 > source.length || source[at] !== mark || at + 2 + source[at + 1]! > source.length) return null;
    return String.fromCharCode(...source.subarray(at + 2, at + 2 + source[at + 1]!));
  }
  bytes(count: number): Uint8Array {
    const at = this.take(count);
    return this.source.slice(at, at + count);
  }
}
