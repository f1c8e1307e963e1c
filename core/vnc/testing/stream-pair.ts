/** Two ends of a pipe for tests. Bytes move only when `pump` is called, so that a slow reader can be played. */
import type { ByteStream } from '../../util/byte-stream.ts';

class End implements ByteStream {
  other!: End;
  queue: Uint8Array[] = [];
  isClosed = false;
  readonly #data = new Set<(bytes: Uint8Array) => void>();
  readonly #drain = new Set<() => void>();
  readonly #close = new Set<() => void>();

  get queuedBytes(): number {
    return this.queue.reduce((sum, bytes) => sum + bytes.length, 0);
  }
  write(bytes: Uint8Array): void {
    if (!this.isClosed) this.queue.push(bytes);
  }
  onData(listener: (bytes: Uint8Array) => void) {
    this.#data.add(listener);
    return () => void this.#data.delete(listener);
  }
  onDrain(listener: () => void) {
    this.#drain.add(listener);
    return () => void this.#drain.delete(listener);
  }
  onClose(listener: () => void) {
    this.#close.add(listener);
    return () => void this.#close.delete(listener);
  }
  /** Gives what the other end has written; cut into pieces of `pieceBytes`. */
  deliver(pieceBytes = Infinity): boolean {
    const { queue } = this.other;
    if (queue.length === 0) return false;
    this.other.queue = [];
    for (const bytes of queue) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        for (const listener of [...this.#data]) listener(bytes.subarray(at, Math.min(bytes.length, at + pieceBytes)));
      }
    }
    this.other.drained();
    return true;
  }
  drained(): void {
    for (const listener of [...this.#drain]) listener();
  }
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const listener of [...this.#close]) listener();
    this.other.close();
  }
}

export interface StreamPair {
  readonly server: ByteStream;
  readonly client: ByteStream;
  /** Moves bytes both ways until nothing is queued. */
  pump(pieceBytes?: number): void;
  /** Moves what the client wrote only: the client does not read. */
  pumpToServer(): void;
}

export function streamPair(): StreamPair {
  const server = new End();
  const client = new End();
  server.other = client;
  client.other = server;
  return {
    server,
    client,
    pump(pieceBytes) {
      for (let moved = true; moved; ) {
        const toServer = server.deliver(pieceBytes);
        moved = client.deliver() || toServer;
      }
    },
    pumpToServer: () => void server.deliver(),
  };
}
