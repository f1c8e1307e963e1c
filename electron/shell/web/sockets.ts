/** The web shell's WebSockets: one for calls and events, one per byte channel. */
import type { RawData, WebSocket } from 'ws';
import { AppError } from '../../api/app-error.ts';
import type { ChannelKind, ServerMessage } from '../../api/contract.ts';
import type { Terrarium } from '../../app/terrarium.ts';
import type { ChannelInput } from '../../machines/byte-channel.ts';

const MOST_UNSENT = 32 * 1024 * 1024;
const PING_EVERY_MS = 30_000;
/** RFC 6455 allows 123 bytes. */
const LONGEST_REASON = 120;

const CLOSE = { normal: 1000, goingAway: 1001, badData: 1003, policy: 1008, failed: 1011, tryLater: 1013 } as const;

/** Serves calls of the contract on an authenticated socket, and sends it every event. */
export function serveApi(app: Terrarium, socket: WebSocket): void {
  const send = (message: ServerMessage) => {
    if (socket.bufferedAmount > MOST_UNSENT) socket.close(CLOSE.tryLater, 'this window does not keep up');
    else if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
  };
  const unsubscribe = app.onEvent(send);
  socket.on('close', unsubscribe);
  socket.on('error', () => {}); // close follows
  keepAlive(socket);
  socket.on('message', (data, isBinary) => {
    const request = isBinary ? undefined : parseRequest(data);
    if (!request) {
      socket.close(CLOSE.badData, 'not a call of the contract');
      return;
    }
    void app.call(request.method, request.params).then((outcome) => send({ id: request.id, ...outcome }));
  });
}

/** Joins a socket with a byte channel of a machine. A channel that cannot be opened is closed with the reason. */
export function serveChannel(app: Terrarium, socket: WebSocket, kind: ChannelKind, id: string, port: number): void {
  let input: ChannelInput | undefined;
  socket.on('error', () => {}); // close follows
  socket.on('close', () => input?.closed());
  socket.on('message', (data, isBinary) => {
    if (isBinary) input?.receive(bytesOf(data));
    else socket.close(CLOSE.badData, 'bytes are wanted here');
  });
  keepAlive(socket);
  try {
    input = app.openChannel(kind, id, port, {
      send: (bytes, done) => socket.send(bytes, { binary: true }, () => done()),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close: (reason) => socket.close(CLOSE.normal, reason.slice(0, LONGEST_REASON)),
    });
  } catch (error) {
    const reason = error instanceof AppError ? error.message : 'the channel cannot be opened';
    socket.close(CLOSE.failed, Buffer.from(reason).subarray(0, LONGEST_REASON).toString());
  }
}

/** A window that has vanished without a word is noticed after a minute. */
function keepAlive(socket: WebSocket): void {
  let hasAnswered = true;
  const timer = setInterval(() => {
    if (!hasAnswered) socket.terminate();
    hasAnswered = false;
    if (socket.readyState === socket.OPEN && !socket.isPaused) socket.ping();
    else hasAnswered = true;
  }, PING_EVERY_MS);
  timer.unref();
  socket.on('pong', () => {
    hasAnswered = true;
  });
  socket.on('close', () => clearInterval(timer));
}

function parseRequest(data: RawData): { id: number; method: string; params: unknown } | undefined {
  try {
    const message: unknown = JSON.parse(Buffer.from(bytesOf(data)).toString('utf8'));
    if (typeof message !== 'object' || message === null) return undefined;
    const { id, method, params } = message as Record<string, unknown>;
    return typeof id === 'number' && typeof method === 'string' ? { id, method, params } : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
