/** -vnc: where the screen is served and how. */

import { UserError } from '../util/errors.ts';
import { scanInteger } from './parse-values.ts';
import type { QemuOpts } from './qemu-opts.ts';

/** TCP port of display 0; websockets have their own. */
const VNC_BASE_PORT = 5900;
const WEBSOCKET_BASE_PORT = 5700;

export type VncAddress =
  | {
      readonly kind: 'inet';
      readonly host: string;
      readonly port: number;
      readonly to: number | undefined;
      readonly ipv4?: boolean;
      readonly ipv6?: boolean;
    }
  | { readonly kind: 'unix'; readonly path: string };

export interface VncOptions {
  readonly id: string;
  /** Undefined: `none`, a server that clients are added to later. */
  readonly address: VncAddress | undefined;
  readonly websocket: VncAddress | undefined;
  readonly password: boolean;
  readonly share: 'allow-exclusive' | 'force-shared' | 'ignore';
  readonly connectionsLimit: number;
  readonly lockKeySync: boolean;
  readonly keyDelayMs: number;
  readonly lossy: boolean;
  readonly nonAdaptive: boolean;
  readonly powerControl: boolean;
}

const NOT_YET = ['tls-creds', 'tls-authz', 'sasl-authz', 'password-secret', 'audiodev', 'display'] as const;

/** Makes sense of one -vnc group. The port numbers are final but for `to`, which the listener tries. */
export function parseVnc(opts: QemuOpts): VncOptions {
  const shown = opts.get('vnc') ?? 'none';
  for (const key of NOT_YET) if (opts.get(key) !== undefined) throw new UserError(`vnc: '${key}' is not supported yet`);
  if (!opts.getBool('lock-key-sync', true)) throw new UserError("vnc: 'lock-key-sync=off' is not supported yet");
  for (const key of ['sasl', 'reverse', 'power-control']) {
    if (opts.getBool(key, false)) throw new UserError(`vnc: '${key}' is not supported yet`);
  }
  const share = opts.get('share') ?? 'allow-exclusive';
  if (share !== 'allow-exclusive' && share !== 'force-shared' && share !== 'ignore') {
    throw new UserError('unknown vnc share= option');
  }
  const address = shown === 'none' ? undefined : parseAddress(shown, VNC_BASE_PORT, opts);
  return {
    id: opts.id ?? 'default',
    address,
    websocket: parseWebsocket(opts, address),
    password: opts.getBool('password', false),
    share,
    connectionsLimit: opts.getNumber('connections', 32),
    lockKeySync: opts.getBool('lock-key-sync', true),
    keyDelayMs: opts.getNumber('key-delay-ms', 10),
    lossy: opts.getBool('lossy', false),
    nonAdaptive: opts.getBool('non-adaptive', false),
    powerControl: opts.getBool('power-control', false),
  };
}

function parseAddress(text: string, basePort: number, opts: QemuOpts): VncAddress {
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const colon = text.lastIndexOf(':');
  if (colon < 0) throw new UserError('no vnc port specified');
  const host = text.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const display = text.slice(colon + 1);
  if (display === '') throw new UserError('vnc port cannot be empty');
  const number = scanInteger(display);
  if (number === undefined || number < 0n) throw new UserError(`can't convert to a number: ${display}`);
  const port = Number(number) + basePort;
  if (port > 65535) throw new UserError(`port ${display} out of range`);
  const to = opts.getNumber('to', 0);
  return {
    kind: 'inet',
    host,
    port,
    to: to > 0 ? to + basePort : undefined,
    ...(opts.has('ipv4') && { ipv4: opts.getBool('ipv4', true) }),
    ...(opts.has('ipv6') && { ipv6: opts.getBool('ipv6', true) }),
  };
}

/** `websocket` or `websocket=on`: display number on the websocket base port; otherwise [host:]port or unix:path. */
function parseWebsocket(opts: QemuOpts, main: VncAddress | undefined): VncAddress | undefined {
  const text = opts.get('websocket');
  if (text === undefined || text === 'off') return undefined;
  if (text.startsWith('unix:')) return { kind: 'unix', path: text.slice('unix:'.length) };
  const host = main?.kind === 'inet' ? main.host : '';
  if (text === 'on' || text === '') {
    if (main?.kind !== 'inet') throw new UserError('No websockets port available: give one with websocket=PORT');
    return { kind: 'inet', host, port: main.port - VNC_BASE_PORT + WEBSOCKET_BASE_PORT, to: undefined };
  }
  const colon = text.lastIndexOf(':');
  const number = scanInteger(text.slice(colon + 1));
  if (number === undefined) throw new UserError(`can't convert to a number: ${text.slice(colon + 1)}`);
  if (number < 0n || number > 65535n) throw new UserError(`port ${text.slice(colon + 1)} out of range`);
  return { kind: 'inet', host: colon > 0 ? text.slice(0, colon) : host, port: Number(number), to: undefined };
}
