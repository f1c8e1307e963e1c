/** Makes the character devices of a command line: `/chardevs/ID`, connected to files, sockets and the terminal of the host. */
import {
  type Chardev,
  Chardev as ChardevObject,
  FileChardev,
  RingbufChardev,
  SocketChardev,
  StreamChardev,
} from '../backends/char/chardev.ts';
import { type MuxActions, MuxChardev } from '../backends/char/mux.ts';
import type { ChardevOptions, SocketAddress, SocketBackend } from '../options/chardev-options.ts';
import type { Placed } from '../options/command-line.ts';
import { located } from '../options/location.ts';
import { containerGet, objectAddChild, objectNewAs, objectUnparent, objectUnref } from '../qom/object.ts';
import type { ByteStream } from '../util/byte-stream.ts';
import { UserError } from '../util/errors.ts';
import type { BoundListener, ListenAddress, SystemHost } from './host.ts';

/** Clients that may wait in line for a socket that serves one. */
const MAX_WAITING = 8;

export class Chardevs {
  private readonly byId = new Map<string, Chardev>();
  private readonly listeners: BoundListener[] = [];
  private readonly host: SystemHost;

  constructor(host: SystemHost) {
    this.host = host;
  }

  find(id: string): Chardev | null {
    return this.byId.get(id) ?? null;
  }
  get all(): Chardev[] {
    return [...this.byId.values()];
  }
  /** What Ctrl-a x and the like do. */
  setMuxActions(actions: MuxActions): void {
    for (const chardev of this.byId.values()) if (chardev instanceof MuxChardev) chardev.actions = actions;
  }
  close(): void {
    for (const listener of this.listeners) listener.close();
    for (const chardev of this.byId.values()) chardev.close();
  }

  /** Makes them in order. The promise fails with the first one's located error. */
  async create(list: readonly Placed<ChardevOptions>[]): Promise<void> {
    for (const { value, location } of list)
      try {
        await this.createOne(value);
      } catch (error) {
        throw located(location, error);
      }
  }

  private make<T extends Chardev>(instance: abstract new () => T, type: string, id: string): T {
    const chardev = objectNewAs(instance, `chardev-${type}`);
    chardev.id = id;
    objectAddChild(containerGet('/chardevs'), id, chardev);
    objectUnref(chardev);
    this.byId.set(id, chardev);
    return chardev;
  }

  /** On an error nothing of it stays. */
  private async createOne(options: ChardevOptions): Promise<void> {
    const before = new Set(this.byId.keys());
    try {
      await this.createParts(options);
    } catch (error) {
      for (const [id, chardev] of [...this.byId])
        if (!before.has(id)) {
          this.byId.delete(id);
          chardev.close();
          objectUnparent(chardev);
        }
      throw error;
    }
  }

  private async createParts(options: ChardevOptions): Promise<void> {
    const { id, backend, mux } = options;
    const innerId = mux ? `${id}-base` : id;
    const chardev = await this.createBackend(innerId, options, backend);
    if (options.logfile !== undefined) chardev.log = this.host.openWriter(options.logfile, options.logappend);
    if (mux) {
      const multiplexer = this.make(MuxChardev, 'mux', id);
      multiplexer.nowMs = () => this.host.time.monotonicNs() / 1e6;
      multiplexer.setUp(chardev);
    }
  }

  private async createBackend(
    id: string,
    _options: ChardevOptions,
    backend: ChardevOptions['backend'],
  ): Promise<Chardev> {
    const { host } = this;
    switch (backend.type) {
      case 'null':
      case 'vc':
        return this.make(ChardevObject, backend.type, id);
      case 'ringbuf': {
        const ring = this.make(RingbufChardev, 'ringbuf', id);
        ring.setSize(backend.size);
        return ring;
      }
      case 'file': {
        const sink = host.openWriter(backend.path, backend.append);
        const file = this.make(FileChardev, 'file', id);
        file.sink = sink;
        return file;
      }
      case 'pipe': {
        const stream = host.openPipe(backend.path);
        const pipe = this.make(StreamChardev, 'pipe', id);
        pipe.filename = 'pipe';
        pipe.connect(stream);
        return pipe;
      }
      case 'stdio': {
        const stdio = this.make(StreamChardev, 'stdio', id);
        stdio.filename = 'stdio';
        stdio.connect(host.stdio(backend.signal));
        return stdio;
      }
      case 'socket':
        return this.createSocket(id, backend);
    }
  }

  private async createSocket(id: string, backend: SocketBackend): Promise<Chardev> {
    const address = toListenAddress(backend.address);
    const socket = this.make(SocketChardev, 'socket', id);
    socket.isTelnet = backend.telnet;
    if (!backend.server) {
      await this.connectClient(socket, address, backend);
      return socket;
    }
    const listener = await this.host.listen(address);
    this.listeners.push(listener);
    const shown =
      listener.family === 'unix'
        ? `unix:${listener.service},server=on`
        : `${backend.telnet ? 'telnet' : 'tcp'}:${listener.host}:${listener.service},server=on`;
    socket.setAddress(shown);
    await new Promise<void>((resolve) => {
      // One client at a time, as QEMU has it; others wait in line until it goes.
      const waiting: { readonly stream: ByteStream; readonly peer: string }[] = [];
      socket.disconnected = () => {
        const next = waiting.shift();
        if (next) socket.connect(next.stream, next.peer);
      };
      listener.onConnection((stream, peer) => {
        if (!socket.connect(stream, peer)) {
          if (waiting.length >= MAX_WAITING) {
            stream.close();
            return;
          }
          const client = { stream, peer };
          waiting.push(client);
          stream.onClose(() => {
            const at = waiting.indexOf(client);
            if (at >= 0) waiting.splice(at, 1);
          });
        }
        resolve();
      });
      if (!backend.wait) resolve();
      else this.host.stderr(`${this.host.program}: info: QEMU waiting for connection on: ${socket.filename}\n`);
    });
    return socket;
  }

  private async connectClient(socket: SocketChardev, address: ListenAddress, backend: SocketBackend): Promise<void> {
    const shown = address.kind === 'unix' ? `unix:${address.path}` : `tcp:${address.host}:${address.port}`;
    socket.setAddress(shown);
    const tryAgain = () => {
      if (backend.reconnect > 0) this.host.after(backend.reconnect * 1000, () => void attempt());
    };
    const attempt = async () => {
      try {
        socket.connect(await this.host.connect(address));
      } catch {
        tryAgain();
      }
    };
    socket.disconnected = tryAgain;
    if (backend.reconnect > 0) void attempt();
    else socket.connect(await this.host.connect(address));
  }
}

function toListenAddress(address: SocketAddress): ListenAddress {
  switch (address.kind) {
    case 'unix':
      return address;
    case 'inet': {
      const port = Number(address.port);
      if (!/^\d+$/.test(address.port) || port > 65535) throw new UserError(`Failed to resolve port '${address.port}'`);
      return { kind: 'inet', host: address.host === '' ? '0.0.0.0' : address.host, port, to: address.to };
    }
    case 'fd':
      throw new UserError('chardev sockets by descriptor are not supported yet');
  }
}
