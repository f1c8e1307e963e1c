/** The contract over Electron's preload bridge; byte channels arrive as MessagePorts and look like WebSockets from here. */
import type {
  ApiCallArguments,
  ApiClient,
  ApiEventName,
  ApiEvents,
  ApiMethod,
  ApiResult,
  ByteChannel,
  ChannelKind,
  DesktopBridge,
} from '../../electron/api/contract.ts';
import { apiError, Listeners } from './wire.ts';

declare global {
  interface Window {
    terrarium?: DesktopBridge;
  }
}

export class DesktopClient implements ApiClient {
  private readonly listeners = new Listeners();
  private readonly bridge: DesktopBridge;

  constructor(bridge: DesktopBridge) {
    this.bridge = bridge;
    bridge.onEvent((message) => this.listeners.event(message));
  }

  async call<M extends ApiMethod>(method: M, ...[params]: ApiCallArguments<M>): Promise<ApiResult<M>> {
    const reply = await this.bridge.call(method, params);
    if ('error' in reply) throw apiError(reply.error);
    return reply.result as ApiResult<M>;
  }

  on<E extends ApiEventName>(event: E, listener: (data: ApiEvents[E]) => void): () => void {
    return this.listeners.on(event, listener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.listeners.onConnection(listener);
  }

  openChannel(kind: ChannelKind, id: string, port = 0): ByteChannel {
    const ticket = crypto.randomUUID();
    const channel = new PortChannel(ticket);
    this.bridge.openChannel(kind, id, port, ticket);
    return channel;
  }
}

/** A MessagePort with a WebSocket's face. */
class PortChannel implements ByteChannel {
  binaryType = 'arraybuffer';
  readonly protocol = '';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  private state: 0 | 1 | 3 = WebSocket.CONNECTING as 0;
  private port: MessagePort | undefined;

  constructor(ticket: string) {
    const arrive = (event: MessageEvent<unknown>) => {
      const data = event.data as { terrariumChannel?: string } | null;
      const port = event.ports[0];
      if (event.source !== window || data?.terrariumChannel !== ticket || !port) return;
      window.removeEventListener('message', arrive);
      this.begin(port);
    };
    window.addEventListener('message', arrive);
  }

  get readyState(): number {
    return this.state;
  }

  send(data: ArrayBuffer | ArrayBufferView<ArrayBuffer>): void {
    if (this.state !== WebSocket.OPEN) return;
    const bytes = ArrayBuffer.isView(data)
      ? data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength)
      : data;
    this.port?.postMessage(bytes);
  }

  close(): void {
    this.port?.postMessage(null);
    this.end();
  }

  private begin(port: MessagePort): void {
    if (this.state === WebSocket.CLOSED) {
      port.postMessage(null);
      port.close();
      return;
    }
    this.port = port;
    this.state = WebSocket.OPEN as 1;
    port.onmessage = (event: MessageEvent<ArrayBuffer | null>) => {
      if (event.data === null) this.end();
      else this.onmessage?.({ data: event.data });
    };
    this.onopen?.(undefined as never);
  }

  private end(): void {
    if (this.state === WebSocket.CLOSED) return;
    this.state = WebSocket.CLOSED as 3;
    this.port?.close();
    this.onclose?.({ code: 1000, reason: '' });
  }
}
