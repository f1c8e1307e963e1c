/** Commands about screens, VNC, keyboards and pointers. */

import type { DisplayConsole } from '../../backends/display/console.ts';
import { INPUT_BUTTONS } from '../../backends/input/input-core.ts';
import { keyOfQnum, Q_KEY_CODES, type QKeyCode } from '../../backends/input/qkeycodes.ts';
import { Device } from '../../hw/core/device.ts';
import { objectResolvePath, type QomObject } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import type { JsonObject } from '../../util/json.ts';
import { command, type QmpCommand } from '../command.ts';
import type { MonitorContext, VncClient, VncServerInfo } from '../context.ts';
import { deviceNotFound } from '../errors.ts';
import { any, bool, choice, int, list, NO_MEMBERS, object, optional, required, str, union } from '../schema.ts';
import { encodePng, encodePpm } from '../screenshot.ts';

const KEY = union({ number: int, qcode: choice(...Q_KEY_CODES) });
const AXIS = choice('x', 'y');
const MOVE = object({ axis: required(AXIS), value: required(int) });
const INPUT_EVENT = union({
  key: object({ key: required(KEY), down: required(bool) }),
  btn: object({ button: required(choice(...INPUT_BUTTONS)), down: required(bool) }),
  rel: MOVE,
  abs: MOVE,
});
const PROTOCOL = choice('vnc', 'spice');

type KeyValue =
  | { readonly type: 'number'; readonly data: number }
  | { readonly type: 'qcode'; readonly data: QKeyCode };

export const DISPLAY_COMMANDS: readonly QmpCommand[] = [
  command({
    name: 'screendump',
    arguments: {
      filename: required(str),
      device: optional(str),
      head: optional(int),
      format: optional(choice('ppm', 'png')),
    },
    run: async ({ context }, { filename, device, head, format = 'ppm' }) => {
      await screendump(context, filename, device, head, format);
      return undefined;
    },
  }),
  command({
    name: 'query-mice',
    arguments: NO_MEMBERS,
    returns: list(
      object({ name: required(str), index: required(int), current: required(bool), absolute: required(bool) }),
    ),
    run: ({ context }) =>
      context.input.mice.map(({ name, index, current, absolute }) => ({ index, name, current, absolute })),
  }),
  command({
    name: 'send-key',
    arguments: { keys: required(list(KEY)), 'hold-time': optional(int) },
    run: ({ context }, { keys, 'hold-time': holdTime = 0 }) => {
      context.input.sendKeys(keys.map(toKey), Math.max(0, Math.min(holdTime, 60_000)));
      return undefined;
    },
  }),
  command({
    name: 'input-send-event',
    arguments: { device: optional(str), head: optional(int), events: required(list(INPUT_EVENT)) },
    run: ({ context }, { device, head, events }) => {
      if (device !== undefined) findConsole(context, device, head);
      for (const event of events) {
        if (!context.input.accepts(event.type)) {
          throw new UserError(`Input handler not found for event type ${event.type}`);
        }
      }
      for (const event of events) {
        if (event.type === 'key') context.input.sendKey(toKey(event.data.key), event.data.down);
        else if (event.type === 'btn') context.input.send({ type: 'btn', ...event.data });
        else context.input.send({ type: event.type, ...event.data });
      }
      context.input.sync();
      return undefined;
    },
  }),
  command({
    name: 'query-display-options',
    arguments: NO_MEMBERS,
    returns: object({ type: required(choice('none')) }),
    run: () => ({ type: 'none' }),
  }),
  command({
    name: 'query-vnc',
    arguments: NO_MEMBERS,
    returns: object({
      enabled: required(bool),
      host: optional(str),
      family: optional(str),
      service: optional(str),
      auth: optional(str),
      clients: optional(list(any)),
    }),
    run: ({ context }) => queryVnc(context.vnc.servers()),
  }),
  command({
    name: 'query-vnc-servers',
    arguments: NO_MEMBERS,
    returns: list(
      object({
        id: required(str),
        server: required(list(any)),
        clients: required(list(any)),
        auth: required(str),
        display: optional(str),
      }),
    ),
    run: ({ context }) => context.vnc.servers().map(describeServer),
  }),
  command({
    name: 'set_password',
    arguments: {
      protocol: required(PROTOCOL),
      password: required(str),
      connected: optional(choice('keep', 'fail', 'disconnect')),
      display: optional(str),
    },
    run: ({ context }, { protocol, password, connected = 'keep', display }) => {
      requireVnc(protocol);
      if (connected !== 'keep') throw new UserError("parameter 'connected' must be 'keep' when 'protocol' is 'vnc'");
      if (!context.vnc.setPassword(display, password)) throw new UserError('Could not set password');
      return undefined;
    },
  }),
  command({
    name: 'change-vnc-password',
    arguments: { password: required(str) },
    run: ({ context }, { password }) => {
      if (!context.vnc.setPassword(undefined, password)) throw new UserError('Could not set password');
      return undefined;
    },
  }),
  command({
    name: 'expire_password',
    arguments: { protocol: required(PROTOCOL), time: required(str), display: optional(str) },
    run: ({ context }, { protocol, time, display }) => {
      requireVnc(protocol);
      const at = parseExpiry(time, context.host.now());
      if (!context.vnc.expirePassword(display, at)) throw new UserError('Could not set password expire time');
      return undefined;
    },
  }),
];

function requireVnc(protocol: 'vnc' | 'spice'): void {
  if (protocol === 'spice') throw new UserError('SPICE is not in use');
}

/** `now`, `never`, `+seconds`, or seconds since 1970. Null: never. */
function parseExpiry(text: string, now: number): number | null {
  if (text === 'now') return 0;
  if (text === 'never') return null;
  const match = /^(\+?)([0-9]{1,12})$/.exec(text);
  if (!match) throw new UserError(`Parameter 'time' doesn't take value '${text}'`);
  return Number(match[2]) * 1000 + (match[1] ? now : 0);
}

function toKey(key: KeyValue): QKeyCode {
  return key.type === 'qcode' ? key.data : keyOfQnum(key.data);
}

/** The console of a device (by id or QOM path), or the first one. */
export function findConsole(context: MonitorContext, device?: string, head?: number): DisplayConsole {
  if (device !== undefined) {
    const owner = findDevice(device);
    if (!owner) throw deviceNotFound(device);
    const console = context.displays.find(owner, head ?? 0);
    if (!console) throw new UserError(`Device ${device} (head ${head ?? 0}) is not bound to a QemuConsole`);
    return console;
  }
  if (head !== undefined) throw new UserError("'head' must be specified together with 'device'");
  const primary = context.displays.primary;
  if (!primary) throw new UserError('There is no console to take a screendump from');
  return primary;
}

function findDevice(name: string): QomObject | null {
  const byId = objectResolvePath(`/machine/peripheral/${name}`).object;
  const found = byId ?? objectResolvePath(name).object;
  return found instanceof Device ? found : null;
}

/** Draws what the guest shows now and writes it to a file. */
export async function screendump(
  context: MonitorContext,
  filename: string,
  device: string | undefined,
  head: number | undefined,
  format: 'ppm' | 'png',
): Promise<void> {
  const console = findConsole(context, device, head);
  console.refresh();
  const { surface } = console;
  const bytes = format === 'png' ? encodePng(surface, context.compression) : encodePpm(surface);
  try {
    await context.host.writeFile(filename, bytes);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`failed to open file '${filename}': ${error.message}`);
  }
}

function describePeer(peer: VncClient): JsonObject {
  return { host: peer.host, service: peer.service, family: peer.family, websocket: peer.isWebSocket };
}

function queryVnc(servers: readonly VncServerInfo[]): JsonObject {
  const [first] = servers;
  const [address] = first?.servers ?? [];
  if (!first) return { enabled: false };
  return {
    enabled: true,
    auth: first.auth,
    ...(address && { family: address.family, service: address.service, host: address.host }),
    clients: first.clients.map(describePeer),
  };
}

function describeServer(server: VncServerInfo): JsonObject {
  return {
    id: server.id,
    server: server.servers.map((address) => ({ ...describePeer(address), auth: server.auth })),
    clients: server.clients.map(describePeer),
    auth: server.auth,
    ...(server.display !== undefined && { display: server.display }),
  };
}
