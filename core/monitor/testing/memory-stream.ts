/** Two ends of a byte stream in memory: what one writes the other hears at once. */

import type { ByteStream, Unsubscribe } from '../../util/byte-stream.ts';

class Listeners<T> {
  private readonly all = new Set<(value: T) => void>();
  add(listener: (value: T) => void): Unsubscribe {
    this.all.add(listener);
    return () => void this.all.delete(listener);
  }
  call(value: T): void {
    for (const listener of [...this.all]) listener(value);
  }
}

export class MemoryStream implements ByteStream {
  peer!: MemoryStream;
  isClosed = false;
  /** Bytes that pretend to wait for a peer that does not read. */
  queuedBytes = 0;
  private readonly data = new Listeners<Uint8Array>();
  private readonly drains = new Listeners<void>();
  private readonly closes = new Listeners<void>();

  static pair(): [MemoryStream, MemoryStream] {
    const one = new MemoryStream();
    const other = new MemoryStream();
    one.peer = other;
    other.peer = one;
    return [one, other];
  }
  write(bytes: Uint8Array): void {
    if (!this.isClosed) this.peer.data.call(bytes);
  }
  onData(listener: (bytes: Uint8Array) => void): Unsubscribe {
    return this.data.add(listener);
  }
  onDrain(listener: () => void): Unsubscribe {
    return this.drains.add(listener);
  }
  onClose(listener: () => void): Unsubscribe {
    return this.closes.add(listener);
  }
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.closes.call();
    this.peer.close();
  }
}
