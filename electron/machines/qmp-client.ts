/** A QMP client (QEMU Machine Protocol): commands with answers, events, over one unix socket.
 *  The other side is a process that may hang, die or talk nonsense: every wait ends, every line has a limit. */
import { EventEmitter } from 'node:events';
import { createConnection, type Socket } from 'node:net';

const LONGEST_LINE = 16 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 10_000;

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

/** The engine refused a command: QEMU's class and text. */
export class QmpError extends Error {
  override readonly name = 'QmpError';
  readonly errorClass: string;

  constructor(errorClass: string, description: string) {
    super(description);
    this.errorClass = errorClass;
  }
}

/** The connection is gone, or no answer came. */
export class QmpConnectionError extends Error {
  override readonly name = 'QmpConnectionError';
}

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

interface QmpClientEvents {
  event: [QmpEvent];
  close: [Error | undefined];
}

/** After `connect`: ready for commands. Emits `event` for each event and `close` once. */
export class QmpClient extends EventEmitter<QmpClientEvents> {
  private readonly socket: Socket;
  private readonly pending = new Map<number, Pending>();
  private received: Buffer[] = [];
  private receivedBytes = 0;
  private nextId = 1;
  private failure: Error | undefined;
  private closed = false;
  private greeted: { resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on('data', (bytes) => this.receive(bytes));
    socket.on('error', (error) => {
      this.failure ??= error;
    });
    socket.on('close', () => this.onClose());
  }

  /** Connects, waits for the greeting and leaves negotiation mode. `prepare` may add listeners that miss no event. */
  static async connect(
    path: string,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    prepare: (client: QmpClient) => void = () => {},
  ): Promise<QmpClient> {
    const client = new QmpClient(createConnection(path));
    prepare(client);
    const greeting = new Promise<void>((resolve, reject) => {
      client.greeted = { resolve, reject };
    });
    const timer = setTimeout(() => client.fail(new QmpConnectionError('no greeting came from the engine')), timeoutMs);
    try {
      await greeting;
      await client.execute('qmp_capabilities', undefined, timeoutMs);
      return client;
    } catch (error) {
      client.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends a command; resolves with its `return`, rejects with `QmpError` or `QmpConnectionError`. */
  execute<T = unknown>(command: string, args?: Record<string, unknown>, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<T> {
    if (this.closed) return Promise.reject(new QmpConnectionError('the connection to the engine is closed'));
    const id = this.nextId++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new QmpConnectionError(`the engine did not answer ${command} within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.pending.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.socket.write(`${JSON.stringify({ execute: command, ...(args && { arguments: args }), id })}\n`);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(bytes: Buffer): void {
    let rest = bytes;
    for (let newline = rest.indexOf(10); newline >= 0; newline = rest.indexOf(10)) {
      const line = Buffer.concat([...this.received, rest.subarray(0, newline)]).toString('utf8');
      this.received = [];
      this.receivedBytes = 0;
      rest = rest.subarray(newline + 1);
      if (line.trim() !== '') this.receiveLine(line);
    }
    if (rest.length === 0) return;
    this.received.push(rest);
    this.receivedBytes += rest.length;
    if (this.receivedBytes > LONGEST_LINE) this.fail(new QmpConnectionError('the engine sent an endless line'));
  }

  private receiveLine(line: string): void {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.fail(new QmpConnectionError(`the engine sent something that is not JSON: ${line.slice(0, 80)}`));
      return;
    }
    if (!isRecord(message)) {
      this.fail(new QmpConnectionError('the engine sent something that is not an object'));
    } else if ('QMP' in message) {
      this.greeted?.resolve();
    } else if (typeof message.event === 'string') {
      const data = isRecord(message.data) ? message.data : {};
      this.emit('event', { event: message.event, data });
    } else {
      this.receiveAnswer(message);
    }
  }

  private receiveAnswer(message: Record<string, unknown>): void {
    const id = message.id;
    const pending = typeof id === 'number' ? this.pending.get(id) : undefined;
    if (!pending) return; // the answer to a command that was given up
    this.pending.delete(id as number);
    clearTimeout(pending.timer);
    const error = message.error;
    if (isRecord(error)) pending.reject(new QmpError(String(error.class), String(error.desc)));
    else pending.resolve(message.return);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.socket.destroy();
  }

  private onClose(): void {
    if (this.closed) return;
    this.closed = true;
    const error = this.failure ?? new QmpConnectionError('the engine closed the connection');
    this.greeted?.reject(error);
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.pending.clear();
    this.emit('close', this.failure);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
