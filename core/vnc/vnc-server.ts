/** A VNC server: one console shown to any number of RFB clients. Refreshes while somebody waits, slows down when nothing changes. */
import type { CursorImage, DisplayConsole } from '../backends/display/console.ts';
import type { InputCore } from '../backends/input/input-core.ts';
import type { Clock, Timer } from '../clock/clock.ts';
import type { ByteStream, StreamListener, Unsubscribe } from '../util/byte-stream.ts';
import type { CompressionService } from '../util/compression.ts';
import { ScreenTracker } from './screen-tracker.ts';
import { HANDSHAKE_LIMIT_NS, VncClient } from './vnc-client.ts';
import { acceptWebSocket, type Sha1 } from './websocket.ts';

export type SharePolicy = 'allow-exclusive' | 'force-shared' | 'ignore';

/** What the server needs from outside. */
export interface VncServices {
  readonly console: DisplayConsole;
  readonly input: InputCore;
  /** Realtime: a stopped guest can still be looked at. */
  readonly clock: Clock;
  readonly compression: CompressionService;
  randomBytes(count: number): Uint8Array;
  log?(text: string): void;
}

export interface VncSettings {
  readonly id?: string;
  /** Desktop name that clients show. */
  readonly name?: string;
  readonly requiresPassword?: boolean;
  readonly share?: SharePolicy;
  /** Clients that may be in their handshake at a time. */
  readonly connectionLimit?: number;
  readonly keyDelayMs?: number;
}

/** A client as query-vnc and the VNC_* events show it. */
export interface VncClientInfo {
  readonly peer: string;
  readonly isWebSocket: boolean;
}
export interface VncEvents {
  connected?(client: VncClientInfo): void;
  initialized?(client: VncClientInfo): void;
  disconnected?(client: VncClientInfo): void;
  cutText?(text: string): void;
}

const REFRESH_NS = 30_000_000;
/** How much longer each idle refresh waits, and at most. */
const REFRESH_STEP_NS = 10_000_000;
const REFRESH_MAX_NS = 100_000_000;
/** Everybody who is connected, whatever they are doing. */
const MAX_CLIENTS = 256;
const PENALTY_STEP_NS = 1_000_000_000;
const PENALTY_MAX_NS = 5_000_000_000;

export class VncServer {
  readonly id: string;
  readonly name: string;
  readonly input: InputCore;
  readonly compression: CompressionService;
  readonly keyDelayMs: number;
  readonly #services: VncServices;
  readonly #console: DisplayConsole;
  readonly #share: SharePolicy;
  readonly #connectionLimit: number;
  readonly #clients = new Set<VncClient>();
  readonly #listeners: StreamListener[] = [];
  readonly #subscriptions: Unsubscribe[];
  readonly #events = new Set<VncEvents>();
  readonly #timer: Timer;
  #tracker: ScreenTracker;
  #intervalNs = REFRESH_NS;
  #refreshing = false;
  #refreshedNs = -Infinity;
  #requiresPassword: boolean;
  #password: string | null = null;
  #passwordExpiresNs: number | null = null;
  #failures = 0;
  #isClosed = false;

  constructor(services: VncServices, settings: VncSettings = {}) {
    this.#services = services;
    this.#console = services.console;
    this.input = services.input;
    this.compression = services.compression;
    this.id = settings.id ?? 'default';
    this.name = settings.name ?? 'QEMU';
    this.keyDelayMs = settings.keyDelayMs ?? 10;
    this.#requiresPassword = settings.requiresPassword ?? false;
    this.#share = settings.share ?? 'allow-exclusive';
    this.#connectionLimit = settings.connectionLimit ?? 32;
    this.#timer = services.clock.newTimer(() => this.#tick());
    this.#tracker = new ScreenTracker(this.#console.surface);
    this.#subscriptions = [
      this.#console.addListener({
        surfaceSwitch: () => this.#surfaceSwitched(),
        update: (rect) => {
          this.#tracker.suspect(rect);
          if (!this.#refreshing) this.wake();
        },
        cursorDefine: () => this.#each((client) => client.cursorChanged()),
      }),
      this.input.onLedState(() => this.#each((client) => client.ledsChanged())),
      this.input.onMouseMode(() => this.#each((client) => client.mouseModeChanged())),
    ];
  }

  // ---- for the outside

  /** Takes connections from `listener`. With `webSocket` they begin with an HTTP upgrade; `sha1` is needed for that. */
  listen(listener: StreamListener, webSocket: { sha1: Sha1 } | null = null): void {
    this.#listeners.push(listener);
    this.#subscriptions.push(
      listener.onConnection((stream, peer) => {
        this.addClient(webSocket ? acceptWebSocket(stream, webSocket.sha1) : stream, peer, webSocket !== null);
      }),
    );
  }
  /** Serves one connection. */
  addClient(stream: ByteStream, peer: string, isWebSocket = false): void {
    const waiting = [...this.#clients].filter((client) => client.phase === 'handshake').length;
    if (this.#isClosed || waiting >= this.#connectionLimit || this.#clients.size >= MAX_CLIENTS) {
      this.log(`${peer}: too many connections`);
      stream.close();
      return;
    }
    const client = new VncClient(this, stream, peer, isWebSocket);
    if (client.phase === 'closed') return;
    this.#clients.add(client);
    this.#emit((events) => events.connected?.(client));
    this.after(HANDSHAKE_LIMIT_NS, () => {
      if (client.phase === 'handshake') client.close();
    });
  }
  get clients(): readonly VncClientInfo[] {
    return [...this.#clients].filter((client) => client.phase === 'running');
  }
  /** For query-vnc. */
  get auth(): 'none' | 'vnc' {
    return this.#requiresPassword ? 'vnc' : 'none';
  }
  subscribe(events: VncEvents): Unsubscribe {
    this.#events.add(events);
    return () => void this.#events.delete(events);
  }
  /** `set_password vnc`: null forbids every login until there is one. False when the server asks for none. */
  setPassword(password: string | null): boolean {
    if (!this.#requiresPassword) return false;
    this.#password = password;
    return true;
  }
  /** `expire_password vnc`: the password is good for this long from now (0: no longer), or forever. */
  expirePassword(inNs: number | null): void {
    this.#passwordExpiresNs = inNs === null ? null : this.#services.clock.now() + inNs;
  }
  sendCutText(text: string): void {
    this.#each((client) => client.sendCutText(text));
  }
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) listener.close();
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    for (const client of [...this.#clients]) client.close();
    this.#timer.delete();
  }

  // ---- for clients

  get tracker(): ScreenTracker {
    return this.#tracker;
  }
  get cursor(): CursorImage | null {
    return this.#console.cursor;
  }
  get needsPassword(): boolean {
    return this.#requiresPassword;
  }
  /** Null while nobody may log in. */
  currentPassword(): string | null {
    const expired = this.#passwordExpiresNs !== null && this.#services.clock.now() >= this.#passwordExpiresNs;
    return expired ? null : this.#password;
  }
  randomBytes(count: number): Uint8Array {
    return this.#services.randomBytes(count);
  }
  passwordAccepted(): void {
    this.#failures = 0;
  }
  /** Returns how long the answer has to wait. */
  passwordRefused(): number {
    this.#failures++;
    return Math.min(this.#failures * PENALTY_STEP_NS, PENALTY_MAX_NS);
  }
  after(delayNs: number, callback: () => void): void {
    this.#services.clock.newTimer(callback).modify(this.#services.clock.now() + delayNs);
  }
  /** ClientInit has come: applies the share policy. False: the client must go. */
  admit(client: VncClient): boolean {
    const others = [...this.#clients].filter((other) => other !== client && other.phase === 'running');
    if (this.#share === 'allow-exclusive' && !client.isShared) for (const other of others) other.close();
    if (this.#share === 'allow-exclusive' && client.isShared && others.some((other) => !other.isShared)) return false;
    return !(this.#share === 'force-shared' && !client.isShared);
  }
  clientRunning(client: VncClient): void {
    this.#emit((events) => events.initialized?.(client));
    this.wake();
  }
  clientClosed(client: VncClient): void {
    if (!this.#clients.delete(client)) return;
    this.#emit((events) => events.disconnected?.(client));
    if (this.#clients.size === 0) this.#timer.delete();
  }
  cutText(text: string): void {
    this.#emit((events) => events.cutText?.(text));
  }
  /** Hands a wish for another size to the device. */
  requestSize(width: number, height: number): boolean {
    return this.#console.setUiInfo({ width, height });
  }
  log(text: string): void {
    this.#services.log?.(`vnc: ${text}`);
  }
  /** Something is going on: refresh soon and often. */
  wake(): void {
    this.#intervalNs = REFRESH_NS;
    if (this.#clients.size === 0) return;
    const soon = this.#services.clock.now() + REFRESH_NS;
    if (!this.#timer.isPending || this.#timer.expireNs > soon) this.#timer.modify(soon);
  }

  // ---- refreshing

  #tick(): void {
    const running = [...this.#clients].filter((client) => client.phase === 'running');
    if (running.length === 0) return;
    if (running.some((client) => client.wantsUpdate)) this.refresh();
    this.#timer.modify(this.#services.clock.now() + this.#intervalNs);
  }
  /** A client has asked: it gets a picture that is not older than a refresh. */
  refreshIfStale(): void {
    if (!this.#tracker.isReady || this.#services.clock.now() - this.#refreshedNs >= REFRESH_NS) this.refresh();
  }
  /** Brings size and content of the surface up to date; what has changed is offered with the next refresh. */
  readSurface(): void {
    if (this.#refreshing) return;
    this.#refreshing = true;
    this.#console.refresh();
    this.#refreshing = false;
  }
  /** Draws what is new and offers it to all clients. */
  refresh(): void {
    if (this.#refreshing) return;
    this.readSurface();
    this.#refreshedNs = this.#services.clock.now();
    this.#intervalNs = Math.min(this.#intervalNs + REFRESH_STEP_NS, REFRESH_MAX_NS);
    if (this.#tracker.hasSuspects) {
      const changes = this.#tracker.compare(this.#console.surface);
      if (changes.changed.length > 0) {
        this.#intervalNs = REFRESH_NS;
        this.#each((client) => client.changed(changes));
      }
    }
    this.#each((client) => client.trySendUpdate());
  }
  #surfaceSwitched(): void {
    const { surface } = this.#console;
    if (surface.width === this.#tracker.width && surface.height === this.#tracker.height) {
      this.#tracker.suspect({ x: 0, y: 0, width: surface.width, height: surface.height });
      return;
    }
    this.#tracker = new ScreenTracker(surface);
    this.#each((client) => client.sizeChanged(this.#tracker));
    if (!this.#refreshing) this.wake();
  }
  #each(action: (client: VncClient) => void): void {
    for (const client of [...this.#clients]) action(client);
  }
  #emit(action: (events: VncEvents) => void): void {
    for (const events of [...this.#events]) action(events);
  }
}
