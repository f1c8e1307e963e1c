/** The contract over the web shell: one WebSocket for calls and events, one per byte channel, and a plain POST for uploads. */
import type {
  ApiCallArguments,
  ApiClient,
  ApiErrorData,
  ApiEventName,
  ApiEvents,
  ApiMethod,
  ApiResult,
  ByteChannel,
  ChannelKind,
  ServerMessage,
  UploadReply,
} from '../../electron/api/contract.ts';
import { apiError, isReply, Listeners } from './wire.ts';

interface Waiting {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

const RETRY_MS = [250, 500, 1000, 2000, 4000];

export class WebClient implements ApiClient {
  private socket: WebSocket | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private readonly unsent: string[] = [];
  private readonly listeners = new Listeners();
  private nextId = 1;
  private attempts = 0;

  constructor() {
    this.connect();
  }

  call<M extends ApiMethod>(method: M, ...[params]: ApiCallArguments<M>): Promise<ApiResult<M>> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      this.waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      const text = JSON.stringify({ id, method, params });
      if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(text);
      else this.unsent.push(text);
    });
  }

  on<E extends ApiEventName>(event: E, listener: (data: ApiEvents[E]) => void): () => void {
    return this.listeners.on(event, listener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.listeners.onConnection(listener);
  }

  openChannel(kind: ChannelKind, id: string, port = 0): ByteChannel {
    const path = kind === 'serial' ? `channel/serial/${id}/${port}` : `channel/${kind}/${id}`;
    const socket = new WebSocket(socketUrl(path));
    socket.binaryType = 'arraybuffer';
    return socket as unknown as ByteChannel;
  }

  private connect(): void {
    const socket = new WebSocket(socketUrl('api'));
    this.socket = socket;
    socket.onopen = () => {
      this.attempts = 0;
      for (const text of this.unsent.splice(0)) socket.send(text);
      this.listeners.connection(true);
    };
    socket.onmessage = (event: MessageEvent<string>) => this.receive(JSON.parse(event.data) as ServerMessage);
    socket.onclose = () => {
      const lost = apiError({ code: 'io', message: 'The connection to Terrarium was lost' });
      for (const { reject } of this.waiting.values()) reject(lost);
      this.waiting.clear();
      this.unsent.length = 0;
      this.listeners.connection(false);
      setTimeout(() => this.connect(), RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)]);
    };
  }

  private receive(message: ServerMessage): void {
    if (!isReply(message)) {
      this.listeners.event(message);
      return;
    }
    const waiting = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if ('error' in message) waiting?.reject(apiError(message.error));
    else waiting?.resolve(message.result);
  }
}

function socketUrl(path: string): string {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  url.search = '';
  url.hash = '';
  return url.href;
}

/** Sends a dropped file into the library's media folder. `progress` gets 0…1. */
export function upload(file: File, progress: (fraction: number) => void, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `upload?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onerror = () => reject(apiError({ code: 'io', message: `${file.name} could not be sent` }));
    request.onabort = () => reject(signal.reason);
    request.onload = () => {
      const reply = parseReply(request.responseText);
      if (reply && 'medium' in reply) resolve(reply.medium.path);
      else reject(apiError(reply?.error ?? refused(request)));
    };
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(file);
  });
}

function parseReply(text: string): UploadReply | undefined {
  try {
    return JSON.parse(text) as UploadReply;
  } catch {
    return undefined;
  }
}

function refused(request: XMLHttpRequest): ApiErrorData {
  return { code: 'io', message: `The upload was refused: ${request.status} ${request.statusText}` };
}
