/** A plain QMP client for tests: works with our emulator and with QEMU alike. */
import { connect, type Socket } from 'node:net';

export interface QmpReply {
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}
export interface QmpEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export class QmpConnection {
  readonly events: QmpEvent[] = [];
  /** Everything since the greeting in its order, in short: events with their data, the beginnings of replies. */
  readonly received: string[] = [];
  greeting: unknown = null;
  private readonly socket: Socket;
  private buffered = '';
  private readonly waiting: ((reply: QmpReply) => void)[] = [];
  private readonly eventWaiters = new Set<(event: QmpEvent) => void>();
  private onGreeting: (() => void) | null = null;
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.take(text));
    socket.on('close', () => {
      this.isClosed = true;
      for (const resolve of this.waiting.splice(0)) resolve({ error: { class: 'Closed', desc: 'connection closed' } });
    });
    socket.on('error', () => socket.destroy());
  }

  /** Connects, retrying while the other side is still starting, and negotiates. */
  static async open(path: string, timeoutMs = 10_000): Promise<QmpConnection> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const socket = await new Promise<Socket | null>((resolve) => {
        const attempt = connect(path);
        attempt.once('connect', () => resolve(attempt));
        attempt.once('error', () => resolve(null));
      });
      if (socket) {
        const connection = new QmpConnection(socket);
        await new Promise<void>((resolve) => {
          if (connection.greeting) resolve();
          else connection.onGreeting = resolve;
        });
        await connection.execute('qmp_capabilities');
        return connection;
      }
      if (Date.now() > end) throw new Error(`no QMP server at ${path} after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  private take(text: string): void {
    this.buffered += text;
    for (;;) {
      const newline = this.buffered.indexOf('\n');
      if (newline < 0) return;
      const line = this.buffered.slice(0, newline).trim();
      this.buffered = this.buffered.slice(newline + 1);
      if (line === '') continue;
      const message = JSON.parse(line) as QmpReply & { QMP?: unknown; event?: string };
      if (message.QMP) {
        this.greeting = message.QMP;
        this.onGreeting?.();
      } else if (message.event) {
        const event = message as unknown as QmpEvent;
        this.received.push(event.data ? `${event.event} ${JSON.stringify(event.data)}` : event.event);
        this.events.push(event);
        for (const waiter of [...this.eventWaiters]) waiter(event);
      } else {
        this.received.push(JSON.stringify(message).slice(0, 200));
        this.waiting.shift()?.(message);
      }
    }
  }

  raw(command: object): Promise<QmpReply> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.socket.write(`${JSON.stringify(command)}\n`);
    });
  }
  /** @throws Error with QEMU's description */
  async execute(command: string, args?: object): Promise<unknown> {
    const reply = await this.raw({ execute: command, ...(args ? { arguments: args } : {}) });
    if (reply.error) throw new Error(`${command}: ${reply.error.desc}`);
    return reply.return;
  }
  hmp(line: string): Promise<string> {
    return this.execute('human-monitor-command', { 'command-line': line }) as Promise<string>;
  }
  /** The next (or an earlier, not yet consumed) event of a name. */
  event(name: string, timeoutMs = 10_000): Promise<QmpEvent> {
    const at = this.events.findIndex((e) => e.event === name);
    if (at >= 0) return Promise.resolve(this.events.splice(at, 1)[0]!);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.eventWaiters.delete(waiter);
        reject(new Error(`no ${name} event within ${timeoutMs} ms`));
      }, timeoutMs);
      const waiter = (event: QmpEvent) => {
        if (event.event !== name) return;
        clearTimeout(timer);
        this.eventWaiters.delete(waiter);
        this.events.splice(this.events.indexOf(event), 1);
        resolve(event);
      };
      this.eventWaiters.add(waiter);
    });
  }
  close(): void {
    this.socket.destroy();
  }
}
