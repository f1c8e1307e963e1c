/** What the transports share: errors with their data, and lists of listeners. */
import type {
  ApiErrorData,
  ApiEventMessage,
  ApiEventName,
  ApiEvents,
  ServerMessage,
} from '../../electron/api/contract.ts';

/** An error that the manager reported; `data` is what it sent. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly data: ApiErrorData;
  constructor(data: ApiErrorData) {
    super(data.message);
    this.data = data;
  }
}

export function apiError(data: ApiErrorData): ApiError {
  return new ApiError(data);
}

export function isReply(message: ServerMessage): message is Exclude<ServerMessage, ApiEventMessage> {
  return 'id' in message;
}

type AnyListener = (data: never) => void;

/** Subscriptions of one client. */
export class Listeners {
  private readonly byEvent = new Map<ApiEventName, Set<AnyListener>>();
  private readonly onConnections = new Set<(connected: boolean) => void>();

  on<E extends ApiEventName>(event: E, listener: (data: ApiEvents[E]) => void): () => void {
    const set = this.byEvent.get(event) ?? new Set();
    this.byEvent.set(event, set);
    set.add(listener as AnyListener);
    return () => set.delete(listener as AnyListener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.onConnections.add(listener);
    return () => this.onConnections.delete(listener);
  }

  event(message: ApiEventMessage): void {
    for (const listener of [...(this.byEvent.get(message.event) ?? [])])
      (listener as (data: unknown) => void)(message.data);
  }

  connection(connected: boolean): void {
    for (const listener of [...this.onConnections]) listener(connected);
  }
}
