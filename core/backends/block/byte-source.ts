/** Where a medium's bytes are kept, as the host offers it: a file, or an array in a test. */

/** A host error, by its errno name. */
export class HostIoError extends Error {
  readonly code: string;
  constructor(code: string, message = code) {
    super(message);
    this.name = 'HostIoError';
    this.code = code;
  }
}

export interface ByteSource {
  readonly filename: string;
  readonly isReadonly: boolean;
  /** Bytes; does not change while open. */
  readonly size: number;
  /** What the bytes take on the host's disk. */
  readonly allocatedBytes: number;
  /** The first bytes, at once: media are opened before anything runs. Shorter when the source is. */
  head(length: number): Uint8Array;
  /** Fills `target`; bytes beyond the end are zero. @throws HostIoError */
  readAt(offset: number, target: Uint8Array): Promise<void>;
  /** @throws HostIoError */
  writeAt(offset: number, bytes: Uint8Array): Promise<void>;
  /** What was written is on stable storage. @throws HostIoError */
  flush(): Promise<void>;
  /** Claims the file for a device. @throws UserError when another has it in a way that excludes ours */
  lock?(): void;
  close(): void;
}

export interface OpenOptions {
  readonly isReadonly: boolean;
  /** Falls back to read-only when writing is not permitted. */
  readonly autoReadonly?: boolean;
}

/** What block devices want of the machine's host. */
export interface BlockHost {
  /** @throws UserError in QEMU's words */
  open(filename: string, options: OpenOptions): ByteSource;
  /** What the user should hear, a whole line or several. */
  warn(text: string): void;
  /** A QMP event. */
  emit(event: string, data: Readonly<Record<string, unknown>>): void;
  /** A request failed and its drive says `stop`: the machine stops with run state `io-error`. */
  requestStop(): void;
  /** Nanoseconds, for statistics. */
  monotonicNs(): number;
  /** The number of requests under way has changed: a loop that runs the guest should let the host's I/O have its turn. */
  requestsChanged?(pending: number): void;
}

/** Bytes in memory: tests, and small fixed media. */
export class MemorySource implements ByteSource {
  readonly filename: string;
  readonly isReadonly: boolean;
  readonly bytes: Uint8Array;
  /** Set by a test: what the next operations fail with. */
  failWith: string | null = null;
  flushes = 0;

  constructor(bytes: Uint8Array, filename = 'memory', isReadonly = false) {
    this.bytes = bytes;
    this.filename = filename;
    this.isReadonly = isReadonly;
  }
  get size(): number {
    return this.bytes.length;
  }
  get allocatedBytes(): number {
    return this.bytes.length;
  }
  head(length: number): Uint8Array {
    return this.bytes.slice(0, length);
  }
  private check(): void {
    if (this.failWith !== null) throw new HostIoError(this.failWith);
  }
  async readAt(offset: number, target: Uint8Array): Promise<void> {
    this.check();
    const part = this.bytes.subarray(offset, offset + target.length);
    target.set(part);
    target.fill(0, part.length);
  }
  async writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    this.check();
    this.bytes.set(bytes.subarray(0, Math.max(0, this.bytes.length - offset)), offset);
  }
  async flush(): Promise<void> {
    this.check();
    this.flushes++;
  }
  close(): void {}
}
