/** Sockets, the terminal and pipes of Node as the machine's byte streams. */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { createServer, connect as netConnect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { getSystemErrorMessage } from 'node:util';
import type { HostStream } from '../backends/char/chardev.ts';
import type { BoundListener, ListenAddress } from '../system/host.ts';
import type { ByteStream, Unsubscribe } from '../util/byte-stream.ts';
import { UserError } from '../util/errors.ts';

/** The C library's sentence for a system error, as QEMU's messages end in. */
export function errorText(error: unknown): string {
  const { code, errno } = error as NodeJS.ErrnoException;
  const text = errno === undefined ? (code ?? String(error)) : getSystemErrorMessage(errno);
  return SENTENCES[code ?? ''] ?? text.charAt(0).toUpperCase() + text.slice(1);
}
/** Where Node's own wording is not the C library's. */
const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'No such file or directory',
  EACCES: 'Permission denied',
  EPERM: 'Operation not permitted',
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  EADDRINUSE: 'Address already in use',
  ECONNREFUSED: 'Connection refused',
  EEXIST: 'File exists',
  ENOSPC: 'No space left on device',
  EROFS: 'Read-only file system',
  EMFILE: 'Too many open files',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  ETIMEDOUT: 'Connection timed out',
};

class NodeStream implements HostStream {
  private readonly input: Readable | null;
  private readonly output: Writable | null;
  private readonly end: () => void;
  private readonly dataListeners = new Set<(bytes: Uint8Array) => void>();
  private readonly drainListeners = new Set<() => void>();
  private readonly closeListeners = new Set<() => void>();
  isClosed = false;

  /** `endsWithEither`: the end or failure of one side is the end of the stream. */
  constructor(input: Readable | null, output: Writable | null, end: () => void, endsWithEither = true) {
    this.input = input;
    this.output = output;
    this.end = end;
    for (const side of new Set([input, output])) {
      side?.on('error', () => endsWithEither && this.closed());
      side?.on('close', () => endsWithEither && this.closed());
    }
    input?.on('end', () => endsWithEither && this.closed());
  }
  private closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.end();
    for (const listener of [...this.closeListeners]) listener();
  }
  write(bytes: Uint8Array): void {
    if (!this.isClosed && this.output?.writable) this.output.write(bytes, this.written);
  }
  /** Node's own 'drain' comes only after more than its high-water mark was queued; who waits may have set a lower one. */
  private readonly written = (): void => {
    if (this.output?.writableLength === 0) for (const listener of [...this.drainListeners]) listener();
  };
  get queuedBytes(): number {
    return this.output?.writableLength ?? 0;
  }
  onData(listener: (bytes: Uint8Array) => void): Unsubscribe {
    // Nothing is read before someone listens: what waits, waits in the system.
    if (this.dataListeners.size === 0 && this.input?.listenerCount('data') === 0)
      this.input.on('data', (chunk: Buffer) => {
        const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
        for (const each of [...this.dataListeners]) each(bytes);
      });
    this.dataListeners.add(listener);
    return () => this.dataListeners.delete(listener);
  }
  onDrain(listener: () => void): Unsubscribe {
    this.drainListeners.add(listener);
    return () => this.drainListeners.delete(listener);
  }
  onClose(listener: () => void): Unsubscribe {
    this.closeListeners.add(listener);
    return () => this.closeListeners.delete(listener);
  }
  close(): void {
    this.closed();
  }
  setReading(isOn: boolean): void {
    if (isOn) this.input?.resume();
    else this.input?.pause();
  }
}

function socketStream(socket: Socket): HostStream {
  socket.setNoDelay(true);
  return new NodeStream(socket, socket, () => {
    // What was written before goes out first; a peer that does not read is not waited for.
    socket.end();
    setTimeout(() => socket.destroy(), 1000).unref();
  });
}

/** Node would abort on a socket path that is too long for the system. */
const UNIX_PATH_LIMIT = 107;

function pathTooLong(address: ListenAddress): UserError | null {
  if (address.kind !== 'unix' || Buffer.byteLength(address.path) <= UNIX_PATH_LIMIT) return null;
  return new UserError(`UNIX socket path '${address.path}' is too long`, 'Path must be less than 108 bytes\n');
}

export function listen(address: ListenAddress): Promise<BoundListener> {
  const tooLong = pathTooLong(address);
  if (tooLong) return Promise.reject(tooLong);
  return address.kind === 'unix' ? listenUnix(address.path) : listenInet(address, address.port);
}

function listenUnix(path: string): Promise<BoundListener> {
  try {
    // A socket that somebody left behind is replaced; any other file stays, and binding fails.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
  } catch (error) {
    return Promise.reject(new UserError(`Failed to unlink socket ${path}: ${errorText(error)}`));
  }
  // libuv calls a missing folder a lack of permission.
  if (!existsSync(dirname(path)))
    return Promise.reject(new UserError(`Failed to bind socket to ${path}: ${SENTENCES.ENOENT}`));
  return open(
    { path },
    (error) => `Failed to bind socket to ${path}: ${errorText(error)}`,
    () => ({
      host: path,
      service: path,
      family: 'unix' as const,
    }),
  );
}

/** Another port of a range may be free. */
class AddressInUse extends UserError {}

async function listenInet(address: ListenAddress & { kind: 'inet' }, port: number): Promise<BoundListener> {
  try {
    return await open(
      { host: address.host, port },
      (error) => `Failed to find an available port: ${errorText(error)}`,
      (server) => {
        const bound = server.address() as { address: string; port: number; family: string };
        return {
          host: bound.address,
          service: String(bound.port),
          family: bound.family === 'IPv6' ? ('ipv6' as const) : ('ipv4' as const),
        };
      },
    );
  } catch (error) {
    if (!(error instanceof AddressInUse) || address.to === undefined || port >= address.to) throw error;
    return listenInet(address, port + 1);
  }
}

function open(
  where: { path: string } | { host: string; port: number },
  describe: (error: unknown) => string,
  bound: (server: ReturnType<typeof createServer>) => Pick<BoundListener, 'host' | 'service' | 'family'>,
): Promise<BoundListener> {
  return new Promise((resolve, reject) => {
    const listeners = new Set<(stream: ByteStream, peer: string) => void>();
    const server = createServer((socket) => {
      const peer = socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : '';
      const stream = socketStream(socket);
      if (listeners.size === 0) stream.close();
      for (const listener of listeners) listener(stream, peer);
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      reject(isTaken ? new AddressInUse(describe(error)) : new UserError(describe(error)));
    });
    server.listen(where, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve({
        ...bound(server),
        onConnection(listener) {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        close() {
          server.close(); // takes a socket's file along
        },
      });
    });
  });
}

export function connect(address: ListenAddress): Promise<HostStream> {
  const tooLong = pathTooLong(address);
  if (tooLong) return Promise.reject(tooLong);
  return new Promise((resolve, reject) => {
    const socket =
      address.kind === 'unix' ? netConnect(address.path) : netConnect({ host: address.host, port: address.port });
    const shown = address.kind === 'unix' ? address.path : `${address.host}:${address.port}`;
    socket.once('error', (error) => reject(new UserError(`Failed to connect to '${shown}': ${errorText(error)}`)));
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socketStream(socket));
    });
  });
}

let stdioUsed = false;

/** Standard input and output; a terminal goes into raw mode until the program ends. */
export function stdio(signal: boolean): HostStream {
  if (stdioUsed) throw new UserError('cannot use stdio by multiple character devices');
  stdioUsed = true;
  const { stdin, stdout } = process;
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    process.once('exit', () => stdin.setRawMode(false));
  }
  // Output goes on when there is no more input (`< /dev/null`).
  const stream = new NodeStream(stdin, stdout, () => {}, false);
  const CTRL_C = 3;
  return Object.assign(stream, {
    ...(signal && stdin.isTTY
      ? {
          onData: (listener: (bytes: Uint8Array) => void) =>
            NodeStream.prototype.onData.call(stream, (bytes: Uint8Array) => {
              if (bytes.includes(CTRL_C)) process.kill(process.pid, 'SIGINT');
              else listener(bytes);
            }),
        }
      : {}),
  });
}

/** `PATH.in` and `PATH.out`, or PATH for both directions. */
export function openPipe(path: string): HostStream {
  try {
    const isPair = existsSync(`${path}.in`) && existsSync(`${path}.out`);
    const inFd = openSync(isPair ? `${path}.in` : path, 'r+');
    const outFd = openSync(isPair ? `${path}.out` : path, 'r+');
    const input = createReadStream('', { fd: inFd });
    const output = createWriteStream('', { fd: outFd });
    return new NodeStream(input, output, () => {
      input.destroy();
      output.destroy();
    });
  } catch (error) {
    throw new UserError(`Could not open '${path}': ${errorText(error)}`);
  }
}

export function openWriter(path: string, append: boolean): (bytes: Uint8Array) => void {
  let fd: number;
  try {
    fd = openSync(path, append ? 'a' : 'w');
  } catch (error) {
    throw new UserError(`Could not open '${path}': ${errorText(error)}`);
  }
  process.once('exit', () => closeSync(fd));
  return (bytes) => {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
    } catch {
      // A full disk must not end the machine; the guest's output is lost, as with QEMU.
    }
  };
}
