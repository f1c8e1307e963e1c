/** zlib for core, from Node's public interface alone. */
import { constants, deflateRawSync, deflateSync } from 'node:zlib';
import type { CompressionService, Deflater } from '../util/compression.ts';

/** What deflate may refer back to. */
const WINDOW_BYTES = 32 * 1024;

/**
 * A stream that is compressed synchronously and flushed at each step. Node has no such thing, so each step is raw deflate
 * with the end of what went before as its dictionary: the same bits as one long stream.
 */
class SyncDeflater implements Deflater {
  readonly #level: number;
  #window: Uint8Array<ArrayBuffer> | null = null;

  constructor(level: number) {
    this.#level = level;
  }
  deflate(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const options = { level: this.#level, finishFlush: constants.Z_SYNC_FLUSH };
    const before = this.#window;
    const out = before
      ? deflateRawSync(bytes, before.length > 0 ? { ...options, dictionary: before } : options)
      : deflateSync(bytes, options);
    this.#window = lastBytes(before ?? new Uint8Array(0), bytes);
    return Uint8Array.from(out);
  }
}

function lastBytes(before: Uint8Array, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length >= WINDOW_BYTES) return bytes.slice(-WINDOW_BYTES);
  const kept = before.subarray(Math.max(0, before.length + bytes.length - WINDOW_BYTES));
  const joined = new Uint8Array(kept.length + bytes.length);
  joined.set(kept, 0);
  joined.set(bytes, kept.length);
  return joined;
}

export const nodeCompression: CompressionService = {
  deflateAll: (bytes, level = 6) => Uint8Array.from(deflateSync(bytes, { level })),
  createDeflater: (level) => new SyncDeflater(level),
};
