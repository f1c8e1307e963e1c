/** VNC servers of a command line, and what monitors may do with them. */
import type { VncControl } from '../monitor/context.ts';
import type { Placed } from '../options/command-line.ts';
import { located } from '../options/location.ts';
import type { VncAddress, VncOptions } from '../options/vnc-options.ts';
import { VncServer } from '../vnc/vnc-server.ts';
import type { BoundListener } from './host.ts';
import type { System } from './qemu-init.ts';

interface Running {
  readonly server: VncServer;
  readonly listeners: readonly { readonly bound: BoundListener; readonly isWebSocket: boolean }[];
}

export class VncServers implements VncControl {
  private readonly list: Running[] = [];
  private readonly system: System;

  constructor(system: System) {
    this.system = system;
  }

  /** Starts them in order; the promise fails with the first one's located error. */
  async start(options: readonly Placed<VncOptions>[]): Promise<void> {
    for (const { value, location } of options)
      try {
        await this.startOne(value);
      } catch (error) {
        throw located(location, error);
      }
  }

  private async startOne(options: VncOptions): Promise<void> {
    const { env, host, command, running } = this.system;
    // A machine without graphics still has a picture: a placeholder that says so.
    const console =
      env.displays.primary ?? env.displays.createGraphicConsole(null, 0, { graphicUpdate() {}, invalidate() {} });
    const server = new VncServer(
      {
        console,
        input: env.input,
        clock: env.clocks.realtime,
        compression: host.compression,
        randomBytes: (count) => host.randomBytes(count),
      },
      {
        id: options.id,
        name: command.name === undefined ? 'QEMU' : `QEMU (${command.name})`,
        requiresPassword: options.password,
        share: options.share,
        connectionLimit: options.connectionsLimit,
        keyDelayMs: options.keyDelayMs,
      },
    );
    const listeners: { bound: BoundListener; isWebSocket: boolean }[] = [];
    const listen = async (address: VncAddress | undefined, isWebSocket: boolean) => {
      if (!address) return;
      const bound = await host.listen(
        address.kind === 'unix' ? address : { kind: 'inet', host: address.host, port: address.port, to: address.to },
      );
      server.listen(bound, isWebSocket ? { sha1: (bytes) => host.sha1(bytes) } : null);
      listeners.push({ bound, isWebSocket });
    };
    await listen(options.address, false);
    await listen(options.websocket, true);
    this.list.push({ server, listeners });
    const event = (name: string, client: { readonly peer: string; readonly isWebSocket: boolean }) => {
      const first = listeners[0]?.bound;
      running.parts.emit(name, {
        server: {
          auth: server.auth,
          family: first?.family ?? 'unknown',
          host: first?.host ?? '',
          service: first?.service ?? '',
          websocket: false,
        },
        client: clientInfo(client),
      });
    };
    server.subscribe({
      connected: (client) => event('VNC_CONNECTED', client),
      initialized: (client) => event('VNC_INITIALIZED', client),
      disconnected: (client) => event('VNC_DISCONNECTED', client),
    });
  }

  close(): void {
    for (const { server } of this.list) server.close();
  }

  servers(): ReturnType<VncControl['servers']> {
    return this.list.map(({ server, listeners }) => ({
      id: server.id,
      auth: server.auth,
      servers: listeners.map(({ bound, isWebSocket }) => ({
        host: bound.host,
        service: bound.service,
        family: bound.family,
        isWebSocket,
      })),
      clients: server.clients.map((client) => {
        const info = clientInfo(client);
        return { host: info.host, service: info.service, family: info.family, isWebSocket: info.websocket };
      }),
      display: undefined,
    }));
  }
  private find(display: string | undefined): VncServer | undefined {
    return this.list.find(({ server }) => display === undefined || server.id === display)?.server;
  }
  setPassword(display: string | undefined, password: string | null): boolean {
    return this.find(display)?.setPassword(password) ?? false;
  }
  expirePassword(display: string | undefined, at: number | null): boolean {
    const server = this.find(display);
    if (!server) return false;
    server.expirePassword(at === null ? null : Math.max(0, at * 1e6 - this.system.host.time.wallNs()));
    return true;
  }
}

function clientInfo({ peer, isWebSocket }: { readonly peer: string; readonly isWebSocket: boolean }) {
  const colon = peer.lastIndexOf(':');
  if (peer === '' || colon < 0) return { host: '', service: '', family: 'unix' as const, websocket: isWebSocket };
  const host = peer.slice(0, colon);
  return {
    host,
    service: peer.slice(colon + 1),
    family: host.includes(':') ? ('ipv6' as const) : ('ipv4' as const),
    websocket: isWebSocket,
  };
}
