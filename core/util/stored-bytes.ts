/** Bytes that are read when they are needed, such as a large file's. */
export interface StoredBytes {
  readonly length: number;
  /** Fills `into` from there on; it lies inside. */
  read(at: number, into: Uint8Array): void;
}
export type AnyBytes = Uint8Array | StoredBytes;

/** The first of them, at most so many. */
export function firstBytes(bytes: AnyBytes, most = bytes.length): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes.subarray(0, most);
  const first = new Uint8Array(Math.min(most, bytes.length));
  bytes.read(0, first);
  return first;
}
/** All from there on. */
export function bytesFrom(bytes: AnyBytes, start: number): AnyBytes {
  if (bytes instanceof Uint8Array) return bytes.subarray(start);
  return { length: bytes.length - start, read: (at, into) => bytes.read(start + at, into) };
}
