/** Character backends as options describe them: `-chardev TYPE,...` and the older `-serial tcp:...` spellings. */

import { UserError } from '../util/errors.ts';
import { isHelpWord } from './parse-values.ts';
import type { QemuOpts } from './qemu-opts.ts';

export type ChardevBackend =
  | { readonly type: 'null' }
  | { readonly type: 'stdio'; readonly signal: boolean }
  | { readonly type: 'file'; readonly path: string; readonly append: boolean }
  | { readonly type: 'pipe'; readonly path: string }
  | { readonly type: 'ringbuf'; readonly size: number }
  /** A text console on the screen; without one it swallows what is written. */
  | {
      readonly type: 'vc';
      readonly width: number;
      readonly height: number;
      readonly columns: number;
      readonly rows: number;
    }
  | SocketBackend;

export interface SocketBackend {
  readonly type: 'socket';
  readonly address: SocketAddress;
  readonly server: boolean;
  /** A server that waits for its first client before the machine is made. */
  readonly wait: boolean;
  readonly telnet: boolean;
  readonly nodelay: boolean;
  /** Seconds between attempts to connect again; 0: never. */
  readonly reconnect: number;
}

export type SocketAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'inet';
      readonly host: string;
      readonly port: string;
      readonly to?: number;
      readonly ipv4?: boolean;
      readonly ipv6?: boolean;
    }
  /** A listening (server) or connected descriptor that the process was started with. */
  | { readonly kind: 'fd'; readonly fd: string };

export interface ChardevOptions {
  readonly id: string;
  readonly mux: boolean;
  readonly logfile: string | undefined;
  readonly logappend: boolean;
  readonly backend: ChardevBackend;
}

/** Backend types that this program has; `-chardev help` lists them. */
export const CHARDEV_TYPES: readonly string[] = ['stdio', 'ringbuf', 'pipe', 'null', 'socket', 'vc', 'file'];

const TYPES_NOT_YET = new Set(
  'mux qemu-vdagent msmouse parallel parport udp memory serial tty wctablet pty testdev console braille spicevmc spiceport'.split(
    ' ',
  ),
);
/** `memory` is the old name of `ringbuf`. */
const TYPE_ALIASES: Readonly<Record<string, string>> = { memory: 'ringbuf' };

export function chardevHelpText(): string {
  return `Available chardev backend types: \n${CHARDEV_TYPES.map((type) => `  ${type}\n`).join('')}`;
}

export function isChardevHelp(opts: QemuOpts): boolean {
  const backend = opts.get('backend');
  return backend !== undefined && isHelpWord(backend);
}

/** Makes sense of one -chardev group (qemu_chr_new_from_opts). */
export function parseChardev(opts: QemuOpts): ChardevOptions {
  const written = opts.get('backend');
  if (opts.id === undefined) throw new UserError('chardev: no id specified');
  if (written === undefined) throw new UserError(`chardev: "${opts.id}" missing backend`);
  const type = TYPE_ALIASES[written] ?? written;
  if (TYPES_NOT_YET.has(type)) throw new UserError(`chardev backend '${written}': not supported yet`);
  if (!CHARDEV_TYPES.includes(type)) throw new UserError(`'${written}' is not a valid char driver name`);
  return {
    id: opts.id,
    mux: opts.getBool('mux', false),
    logfile: opts.get('logfile'),
    logappend: opts.getBool('logappend', false),
    backend: parseBackend(type, opts),
  };
}

function parseBackend(type: string, opts: QemuOpts): ChardevBackend {
  switch (type) {
    case 'stdio':
      return { type, signal: opts.getBool('signal', true) };
    case 'file':
      return { type, path: required(opts, type, 'path', 'filename'), append: opts.getBool('append', false) };
    case 'pipe':
      return { type, path: required(opts, type, 'path', 'device path') };
    case 'ringbuf':
      return { type, size: ringSize(opts) };
    case 'vc':
      return {
        type,
        width: opts.getNumber('width', 0),
        height: opts.getNumber('height', 0),
        columns: opts.getNumber('cols', 0),
        rows: opts.getNumber('rows', 0),
      };
    case 'socket':
      return parseSocket(opts);
    default:
      return { type: 'null' };
  }
}

function required(opts: QemuOpts, type: string, key: string, what: string): string {
  const value = opts.get(key);
  if (value === undefined) throw new UserError(`chardev: ${type}: no ${what} given`);
  return value;
}

function ringSize(opts: QemuOpts): number {
  const size = opts.getSize('size', 65536n);
  if (size === 0n || (size & (size - 1n)) !== 0n) throw new UserError('size of ringbuf chardev must be power of two');
  if (size > 1n << 26n) throw new UserError(`ringbuf chardev of ${size} bytes: at most 64 MiB are supported`);
  return Number(size);
}

function parseSocket(opts: QemuOpts): SocketBackend {
  const address = parseSocketAddress(opts);
  for (const key of ['tls-creds', 'tls-authz']) if (opts.get(key) !== undefined) throw notYet(key);
  for (const key of ['websocket', 'tn3270']) if (opts.getBool(key, false)) throw notYet(key);
  const server = opts.getBool('server', false);
  if (opts.has('wait') && !server)
    throw new UserError("'wait' option is incompatible with socket in client connect mode");
  const reconnect = opts.getNumber('reconnect', 0);
  if (server && reconnect > 0)
    throw new UserError("'reconnect' option is incompatible with socket in server listen mode");
  return {
    type: 'socket',
    address,
    server,
    wait: opts.getBool('wait', server),
    telnet: opts.getBool('telnet', false),
    nodelay: opts.has('nodelay') ? opts.getBool('nodelay', false) : !opts.getBool('delay', true),
    reconnect,
  };
}

function notYet(key: string): UserError {
  return new UserError(`chardev: socket: '${key}' is not supported yet`);
}

function parseSocketAddress(opts: QemuOpts): SocketAddress {
  const path = opts.get('path');
  const host = opts.get('host');
  const port = opts.get('port');
  const fd = opts.get('fd');
  if (path !== undefined && fd !== undefined)
    throw new UserError("None or one of 'path', 'fd' or 'host' option required.");
  if ((path !== undefined || fd !== undefined) && host !== undefined) {
    throw new UserError("None or one of 'path', 'fd' or 'host' option required.");
  }
  if (path !== undefined) {
    if (opts.getBool('abstract', false)) throw notYet('abstract');
    return { kind: 'unix', path };
  }
  if (host !== undefined || port !== undefined) {
    if (port === undefined) throw new UserError('chardev: socket: no port given');
    return {
      kind: 'inet',
      host: host ?? '',
      port,
      ...(opts.has('to') && { to: opts.getNumber('to', 0) }),
      ...(opts.has('ipv4') && { ipv4: opts.getBool('ipv4', true) }),
      ...(opts.has('ipv6') && { ipv6: opts.getBool('ipv6', true) }),
    };
  }
  if (fd === undefined || !/^[0-9]+$/.test(fd)) throw new UserError(`Unable to parse FD number ${fd ?? ''}`);
  return { kind: 'fd', fd };
}

/** The older spellings, turned into settings of a -chardev group (qemu_chr_parse_compat).
 *  `null` when the text is none of them. `permitMuxMon` allows the `mon:` prefix. */
export function legacyChardev(
  text: string,
  permitMuxMon: boolean,
): { settings: [string, string][]; rest?: string; restKey?: string } | null {
  const after = (prefix: string): string | undefined =>
    text.startsWith(prefix) ? text.slice(prefix.length) : undefined;
  const mon = permitMuxMon ? after('mon:') : undefined;
  if (mon !== undefined) {
    const inner = legacyChardev(mon, false);
    if (!inner) return null;
    const extra: [string, string][] =
      mon === 'stdio'
        ? [
            ['mux', 'on'],
            ['signal', 'off'],
          ]
        : [['mux', 'on']];
    return { ...inner, settings: [...inner.settings, ...extra] };
  }
  if (/^(null|pty|msmouse|wctablet|braille|testdev|stdio|vc)$/.test(text)) return { settings: [['backend', text]] };
  const console = /^vc:(\d{1,8})x(\d{1,8})$/.exec(text);
  if (console)
    return {
      settings: [
        ['backend', 'vc'],
        ['width', console[1]!],
        ['height', console[2]!],
      ],
    };
  const cells = /^vc:(\d{1,8})Cx(\d{1,8})C$/.exec(text);
  if (cells)
    return {
      settings: [
        ['backend', 'vc'],
        ['cols', cells[1]!],
        ['rows', cells[2]!],
      ],
    };
  const file = after('file:');
  if (file !== undefined)
    return {
      settings: [
        ['backend', 'file'],
        ['path', file],
      ],
    };
  const pipe = after('pipe:');
  if (pipe !== undefined)
    return {
      settings: [
        ['backend', 'pipe'],
        ['path', pipe],
      ],
    };
  const pty = after('pty:');
  if (pty !== undefined)
    return {
      settings: [
        ['backend', 'pty'],
        ['path', pty],
      ],
    };
  const unix = after('unix:');
  if (unix !== undefined) return { settings: [['backend', 'socket']], rest: unix, restKey: 'path' };
  const tcp = /^(tcp|telnet|tn3270|websocket):(.*)$/s.exec(text);
  if (tcp) return legacyTcp(tcp[1]!, tcp[2]!);
  if (text.startsWith('/dev/parport') || text.startsWith('/dev/ppi'))
    return {
      settings: [
        ['backend', 'parallel'],
        ['path', text],
      ],
    };
  if (text.startsWith('/dev/'))
    return {
      settings: [
        ['backend', 'serial'],
        ['path', text],
      ],
    };
  if (text.startsWith('udp:')) return { settings: [['backend', 'udp']] };
  return null;
}

function legacyTcp(kind: string, address: string): { settings: [string, string][]; rest?: string } | null {
  const match = /^([^:]{0,64}):([^,]{1,32})(?:,(.*))?$/s.exec(address);
  if (!match) return null;
  const settings: [string, string][] = [
    ['backend', 'socket'],
    ['host', match[1]!],
    ['port', match[2]!],
  ];
  if (kind !== 'tcp') settings.push([kind, 'on']);
  return { settings, ...(match[3] !== undefined && { rest: match[3] }) };
}
