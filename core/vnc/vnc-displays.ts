/** All VNC servers of one machine: made from `-vnc` options, asked and told things by monitors, with QMP's events. */
import type { DisplayConsole, DisplayRegistry } from '../backends/display/console.ts';
import type { VncAddress, VncOptions } from '../options/vnc-options.ts';
import type { StreamListener } from '../util/byte-stream.ts';
import { UserError } from '../util/errors.ts';
import { VncServer, type VncServices } from './vnc-server.ts';
import type { Sha1 } from './websocket.ts';

/** A socket address as QMP shows it. */
export interface VncPeer {
  readonly host: string;
  readonly service: string;
  readonly family: 'ipv4' | 'ipv6' | 'unix' | 'unknown';
  readonly isWebSocket: boolean;
}
/** One server, for query-vnc. */
export interface VncDisplayInfo {
  readonly id: string;
  readonly auth: 'none' | 'vnc';
  readonly servers: readonly VncPeer[];
  readonly clients: readonly VncPeer[];
  /** Always undefined: the device that `display=` named, which is refused for now. */
  readonly display: undefined;
}

/** A listening socket that knows where it ended up (`to=` tries several ports). */
export interface BoundListener extends StreamListener {
  readonly host: string;
  readonly service: string;
  readonly family: 'ipv4' | 'ipv6' | 'unix';
}

/** What the program supplies. */
export interface VncHost extends Omit<VncServices, 'console'> {
  readonly displays: DisplayRegistry;
  readonly sha1: Sha1;
  /** The promise fails with a UserError whose message is the reason. */
  listen(address: VncAddress): Promise<BoundListener>;
  /** A QMP event. */
  emit(event: string, data: Readonly<Record<string, unknown>>): void;
  wallMs(): number;
}

interface Entry {
  readonly server: VncServer;
  readonly bound: VncPeer[];
}

/** Clients without extended key events send keysyms; they are read as an English (US) keyboard gives them. */
const OUR_LAYOUT = 'en-us';
const OTHER_LAYOUTS =
  'ar bepo cz da de de-ch en-gb es et fi fo fr fr-be fr-ca fr-ch hr hu is it ja lt lv mk nl no pl pt pt-br ru sl sv th tr'.split(
    ' ',
  );
function checkLayout(name: string): void {
  if (name === OUR_LAYOUT) return;
  if (OTHER_LAYOUTS.includes(name)) throw new UserError(`keyboard layout '${name}' is not supported yet`);
  throw new UserError(`could not read keymap file: '${name}'`);
}

/** `host:port` of a peer (anything without a port is a unix socket). */
export function parsePeer(text: string, isWebSocket: boolean): VncPeer {
  const match = /^(?:\[(.*)\]|([^:/]*)):(\d+)$/.exec(text);
  if (!match) return { host: '', service: text, family: 'unix', isWebSocket };
  const [, six, four, service = ''] = match;
  return { host: six ?? four ?? '', service, family: six === undefined ? 'ipv4' : 'ipv6', isWebSocket };
}

const placeOf = ({ host, service, family }: BoundListener) => ({ host, service, family });
const wire = ({ host, service, family, isWebSocket }: VncPeer) => ({ host, service, family, websocket: isWebSocket });

export class VncDisplays {
  readonly #host: VncHost;
  readonly #name: string;
  readonly #entries = new Map<string, Entry>();

  constructor(host: VncHost, machineName: string | null) {
    this.#host = host;
    this.#name = machineName === null ? 'QEMU' : `QEMU (${machineName})`;
  }

  /** Starts the server of one `-vnc` option. `keyboardLayout` is `-k`'s. @throws UserError */
  async start(options: VncOptions, keyboardLayout = OUR_LAYOUT): Promise<VncServer> {
    checkLayout(keyboardLayout);
    const { displays, clock, input, compression, sha1 } = this.#host;
    if (this.#entries.has(options.id)) throw new UserError(`Duplicate ID '${options.id}' for vnc`);
    if (options.powerControl) throw new UserError("vnc: 'power-control' is not supported yet");
    const console: DisplayConsole = displays.primary ?? displays.createGraphicConsole(null, 0, NO_DISPLAY);
    const server = new VncServer(
      {
        console,
        input,
        clock,
        compression,
        randomBytes: (count) => this.#host.randomBytes(count),
        log: (text) => this.#host.log?.(text),
      },
      {
        id: options.id,
        name: this.#name,
        requiresPassword: options.password,
        share: options.share,
        connectionLimit: options.connectionsLimit,
        keyDelayMs: options.keyDelayMs,
      },
    );
    const entry: Entry = { server, bound: [] };
    try {
      if (options.address) {
        const listener = await this.#listen(options.address);
        server.listen(listener);
        entry.bound.push({ ...placeOf(listener), isWebSocket: false });
      }
      if (options.websocket) {
        const listener = await this.#listen(options.websocket);
        server.listen(listener, { sha1 });
        entry.bound.push({ ...placeOf(listener), isWebSocket: true });
      }
    } catch (error) {
      server.close();
      throw error;
    }
    this.#announce(entry);
    this.#entries.set(options.id, entry);
    return server;
  }

  async #listen(address: VncAddress): Promise<BoundListener> {
    try {
      return await this.#host.listen(address);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (address.kind === 'unix') throw new UserError(`Failed to bind socket to ${address.path}: ${error.message}`);
      const isTaken = error.message === 'Address already in use';
      throw new UserError(`Failed to ${isTaken ? 'find an available port' : 'bind socket'}: ${error.message}`);
    }
  }
  #announce({ server, bound }: Entry): void {
    const tell = (event: string) => (client: { peer: string; isWebSocket: boolean }) => {
      const here = bound.find((peer) => peer.isWebSocket === client.isWebSocket);
      const local = here ?? { host: '', service: '', family: 'unknown', isWebSocket: client.isWebSocket };
      this.#host.emit(event, {
        server: { auth: server.auth, ...wire(local) },
        client: wire(parsePeer(client.peer, client.isWebSocket)),
      });
    };
    server.subscribe({
      connected: tell('VNC_CONNECTED'),
      initialized: tell('VNC_INITIALIZED'),
      disconnected: tell('VNC_DISCONNECTED'),
    });
  }

  servers(): VncDisplayInfo[] {
    return [...this.#entries.values()].map(({ server, bound }) => ({
      id: server.id,
      auth: server.auth,
      servers: bound,
      clients: server.clients.map((client) => parsePeer(client.peer, client.isWebSocket)),
      display: undefined,
    }));
  }
  #find(id: string | undefined): VncServer | undefined {
    return (id === undefined ? [...this.#entries.values()][0] : this.#entries.get(id))?.server;
  }
  /** False when the display does not exist or wants no password. `null` takes the password away. */
  setPassword(id: string | undefined, password: string | null): boolean {
    return this.#find(id)?.setPassword(password) ?? false;
  }
  /** `at`: milliseconds since 1970, or null for never. False when there is no such display. */
  expirePassword(id: string | undefined, at: number | null): boolean {
    const server = this.#find(id);
    server?.expirePassword(at === null ? null : Math.max(0, (at - this.#host.wallMs()) * 1e6));
    return server !== undefined;
  }
  close(): void {
    for (const { server } of this.#entries.values()) server.close();
    this.#entries.clear();
  }
}

/** A machine without any display device still has a screen to connect to. */
const NO_DISPLAY = { graphicUpdate() {}, invalidate() {} };
