/** Compression is the host's: interfaces for what core needs of zlib. */

/** One zlib stream (RFC 1950) that is written piece by piece and never ends. */
export interface Deflater {
  /** Compresses `bytes` and flushes, so that the other side can decode all of them. */
  deflate(bytes: Uint8Array): Uint8Array<ArrayBuffer>;
}

export interface CompressionService {
  /** A complete zlib stream. */
  deflateAll(bytes: Uint8Array, level?: number): Uint8Array<ArrayBuffer>;
  /** `level` 0 (store) to 9 (smallest). */
  createDeflater(level: number): Deflater;
}
