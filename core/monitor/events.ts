/** QMP events: their data types, time stamps, and the rate limit that keeps a busy guest from flooding monitors. */

import { formatJson, type JsonObject } from '../util/json.ts';
import type { MonitorHost, QmpEvent } from './context.ts';
import { bool, choice, int, type Members, NO_MEMBERS, object, optional, required, str } from './schema.ts';

const CAUSE = choice(
  'none',
  'host-error',
  'host-qmp-quit',
  'host-qmp-system-reset',
  'host-signal',
  'host-ui',
  'guest-shutdown',
  'guest-reset',
  'guest-panic',
  'subsystem-reset',
  'snapshot-load',
);
const FAMILY = choice('ipv4', 'ipv6', 'unix', 'vsock', 'unknown');
const VNC_PEER = { host: required(str), service: required(str), family: required(FAMILY), websocket: required(bool) };
const VNC_SERVER = required(object({ ...VNC_PEER, auth: optional(str) }));
const VNC_CLIENT = required(object({ ...VNC_PEER, x509_dname: optional(str), sasl_username: optional(str) }));

/** The events that this machine raises, for query-qmp-schema. */
export const EVENTS: Readonly<Record<string, Members>> = {
  SHUTDOWN: { guest: required(bool), reason: required(CAUSE) },
  POWERDOWN: NO_MEMBERS,
  RESET: { guest: required(bool), reason: required(CAUSE) },
  STOP: NO_MEMBERS,
  RESUME: NO_MEMBERS,
  SUSPEND: NO_MEMBERS,
  SUSPEND_DISK: NO_MEMBERS,
  WAKEUP: NO_MEMBERS,
  DEVICE_TRAY_MOVED: { device: required(str), id: required(str), 'tray-open': required(bool) },
  DEVICE_DELETED: { device: optional(str), path: required(str) },
  BLOCK_IO_ERROR: {
    device: required(str),
    'node-name': optional(str),
    operation: required(choice('read', 'write')),
    action: required(choice('ignore', 'report', 'stop')),
    nospace: optional(bool),
    reason: required(str),
  },
  RTC_CHANGE: { offset: required(int), 'qom-path': required(str) },
  VNC_CONNECTED: { server: VNC_SERVER, client: required(object(VNC_PEER)) },
  VNC_INITIALIZED: { server: VNC_SERVER, client: VNC_CLIENT },
  VNC_DISCONNECTED: { server: VNC_SERVER, client: VNC_CLIENT },
};

/** Events of which at most one per interval goes out; of those between, the last follows when the interval ends. */
const LIMITED_MS: Readonly<Record<string, number>> = {
  RTC_CHANGE: 1000,
  WATCHDOG: 1000,
  BALLOON_CHANGE: 1000,
  MEMORY_DEVICE_SIZE_CHANGE: 1000,
};

/** The line of an event, stamped with the host's time. */
export function eventLine({ event, data }: QmpEvent, now: number): JsonObject {
  const seconds = Math.floor(now / 1000);
  const microseconds = Math.min(999_999, Math.floor((now - seconds * 1000) * 1000));
  return {
    timestamp: { seconds, microseconds },
    event,
    ...(Object.keys(data).length > 0 && { data }),
  };
}

/** Lets events through, holding back those that come too often. */
export class EventLimiter {
  private readonly host: Pick<MonitorHost, 'after' | 'now'>;
  private readonly emit: (line: JsonObject) => void;
  /** Kinds whose interval runs, with what waits for its end. */
  private readonly waiting = new Map<string, JsonObject | null>();

  constructor(host: Pick<MonitorHost, 'after' | 'now'>, emit: (line: JsonObject) => void) {
    this.host = host;
    this.emit = emit;
  }

  push(event: QmpEvent): void {
    const line = eventLine(event, this.host.now());
    const interval = Object.hasOwn(LIMITED_MS, event.event) ? LIMITED_MS[event.event] : undefined;
    if (interval === undefined) {
      this.emit(line);
      return;
    }
    const kind = limitKey(event);
    if (this.waiting.has(kind)) {
      this.waiting.set(kind, line);
      return;
    }
    this.emit(line);
    this.startInterval(kind, interval);
  }

  private startInterval(kind: string, interval: number): void {
    this.waiting.set(kind, null);
    this.host.after(interval, () => {
      const held = this.waiting.get(kind);
      this.waiting.delete(kind);
      if (!held) return;
      this.emit(held);
      this.startInterval(kind, interval);
    });
  }
}

/** Events about different objects do not hold each other back. */
function limitKey({ event, data }: QmpEvent): string {
  return `${event} ${formatJson(data['qom-path'] ?? data.id ?? null)}`;
}
