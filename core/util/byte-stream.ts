/** A two-way stream of bytes, as VNC, monitors and character devices see one: a socket, a tty, a pipe, or a pair in a test. */

/** Takes back a registration. */
export type Unsubscribe = () => void;

export interface ByteStream {
  /** Queues bytes; never blocks and never throws. Bytes written after close are dropped. The caller must not change the array afterwards. */
  write(bytes: Uint8Array): void;
  /** Bytes queued but not yet taken by the other side. A producer of bulk data waits for `onDrain` when this is large. */
  readonly queuedBytes: number;
  onData(listener: (bytes: Uint8Array) => void): Unsubscribe;
  /** The queue has become empty. */
  onDrain(listener: () => void): Unsubscribe;
  /** The stream has ended, for whatever reason; called once. */
  onClose(listener: () => void): Unsubscribe;
  close(): void;
  readonly isClosed: boolean;
}

/** Where streams come from: a listening socket, or a fake in a test. */
export interface StreamListener {
  onConnection(listener: (stream: ByteStream, peer: string) => void): Unsubscribe;
  close(): void;
}
