/**
 * Keys and pointers on their way from viewers and monitors to devices, as QEMU's input core has it: devices register handlers,
 * the first active handler whose mask fits an event gets it. Keys sent by a monitor are queued and held for a while.
 */
import type { Unsubscribe } from '../../util/byte-stream.ts';
import type { QKeyCode } from './qkeycodes.ts';

/** QAPI's InputButton. */
export const INPUT_BUTTONS = [
  'left',
  'middle',
  'right',
  'wheel-up',
  'wheel-down',
  'side',
  'extra',
  'wheel-left',
  'wheel-right',
] as const;
export type InputButton = (typeof INPUT_BUTTONS)[number];
export type InputAxis = 'x' | 'y';

/** QAPI's InputEvent, flattened. */
export type InputEvent =
  | { readonly type: 'key'; readonly key: QKeyCode; readonly down: boolean }
  | { readonly type: 'btn'; readonly button: InputButton; readonly down: boolean }
  | { readonly type: 'rel'; readonly axis: InputAxis; readonly value: number }
  | { readonly type: 'abs'; readonly axis: InputAxis; readonly value: number };
export type InputEventKind = InputEvent['type'];

/** Absolute axes run from 0 to this, whatever the screen's size. */
export const ABS_MAX = 0x7fff;

/** LED bits as PS/2 and HID keyboards have them. */
export const LED = { scrollLock: 1, numLock: 2, capsLock: 4 } as const;

/** What a device offers. */
export interface InputHandler {
  /** Shown by `info mice`. */
  readonly name: string;
  /** Kinds of event it takes. */
  readonly mask: readonly InputEventKind[];
  event(event: InputEvent): void;
  /** All events that happened at one moment have been given. */
  sync?(): void;
}

/** A registered handler. */
export interface InputHandlerState {
  readonly index: number;
  readonly handler: InputHandler;
  /** Makes it the first choice for its kinds. */
  activate(): void;
  /** Makes it the last choice. */
  deactivate(): void;
  unregister(): void;
}

/** A row of `info mice` / query-mice. */
export interface MouseInfo {
  readonly name: string;
  readonly index: number;
  readonly absolute: boolean;
  readonly current: boolean;
}

/** Runs a callback once, some milliseconds of guest time later. */
export interface InputTimer {
  after(milliseconds: number, callback: () => void): void;
}

const QUEUE_LIMIT = 1024;
/** Between two queued key events when nobody says otherwise. */
export const DEFAULT_KEY_DELAY_MS = 10;

type QueueItem = { readonly delayMs: number } | { readonly event: InputEvent } | 'sync';

interface Entry {
  readonly index: number;
  readonly handler: InputHandler;
  pending: boolean;
}

export class InputCore {
  readonly #timer: InputTimer;
  /** First choice first. */
  #handlers: Entry[] = [];
  #nextIndex = 1;
  #ledState = 0;
  #wasAbsolute = false;
  readonly #ledListeners = new Set<(leds: number) => void>();
  readonly #modeListeners = new Set<() => void>();
  readonly #queue: QueueItem[] = [];
  #queueBusy = false;
  readonly #activity = new Set<() => void>();

  constructor(timer: InputTimer) {
    this.#timer = timer;
  }

  // ---- devices

  register(handler: InputHandler): InputHandlerState {
    const entry: Entry = { index: this.#nextIndex++, handler, pending: false };
    this.#handlers.push(entry);
    this.#checkMode();
    const move = (place: (rest: Entry[]) => Entry[]) => {
      if (!this.#handlers.includes(entry)) return;
      this.#handlers = place(this.#handlers.filter((other) => other !== entry));
      this.#checkMode();
    };
    return {
      index: entry.index,
      handler,
      activate: () => move((rest) => [entry, ...rest]),
      deactivate: () => move((rest) => [...rest, entry]),
      unregister: () => move((rest) => rest),
    };
  }
  /** A keyboard's lamps have changed (bits of LED). */
  putLedState(leds: number): void {
    this.#ledState = leds & 7;
    for (const listener of [...this.#ledListeners]) listener(this.#ledState);
  }

  // ---- viewers and monitors

  get ledState(): number {
    return this.#ledState;
  }
  onLedState(listener: (leds: number) => void): Unsubscribe {
    this.#ledListeners.add(listener);
    return () => void this.#ledListeners.delete(listener);
  }
  /** True when the active pointer wants absolute positions. */
  get isAbsolute(): boolean {
    return this.#find('rel', 'abs')?.handler.mask.includes('abs') ?? false;
  }
  /** The active pointer has changed between absolute and relative. */
  onMouseMode(listener: () => void): Unsubscribe {
    this.#modeListeners.add(listener);
    return () => void this.#modeListeners.delete(listener);
  }
  /** Some input has been given to a device (an idle host wakes up for it). */
  onActivity(listener: () => void): Unsubscribe {
    this.#activity.add(listener);
    return () => void this.#activity.delete(listener);
  }
  get mice(): MouseInfo[] {
    const current = this.#find('rel', 'abs');
    return this.#handlers
      .filter(({ handler }) => handler.mask.includes('rel') || handler.mask.includes('abs'))
      .map((entry) => ({
        name: entry.handler.name,
        index: entry.index,
        absolute: entry.handler.mask.includes('abs'),
        current: entry === current,
      }));
  }
  /** `mouse_set`: false when there is no such pointer. */
  activateMouse(index: number): boolean {
    const entry = this.#handlers.find((other) => other.index === index);
    if (!entry?.handler.mask.some((kind) => kind === 'rel' || kind === 'abs')) return false;
    this.#handlers = [entry, ...this.#handlers.filter((other) => other !== entry)];
    this.#checkMode();
    return true;
  }

  /** Gives one event to the handler that takes it. `sync` must follow the last event of a moment. */
  send(event: InputEvent): void {
    const entry = this.#find(event.type);
    if (!entry) return;
    entry.pending = true;
    entry.handler.event(event);
  }
  sync(): void {
    for (const entry of [...this.#handlers]) {
      if (!entry.pending) continue;
      entry.pending = false;
      entry.handler.sync?.();
    }
    for (const listener of [...this.#activity]) listener();
  }
  /** A key goes up or down, after the keys that are still queued. */
  sendKey(key: QKeyCode, down: boolean): void {
    const event = { type: 'key', key, down } as const;
    if (this.#queue.length === 0) {
      this.send(event);
      this.sync();
    } else if (this.#queue.length < QUEUE_LIMIT) {
      this.#queue.push({ event }, 'sync');
    }
  }
  /** A pause before later keys. */
  delayKeys(milliseconds: number): void {
    if (this.#queue.length >= QUEUE_LIMIT) return;
    this.#queue.push({ delayMs: milliseconds > 0 ? milliseconds : DEFAULT_KEY_DELAY_MS });
    if (!this.#queueBusy) this.#runQueue();
  }
  /** QMP's send-key: presses the keys in order, holds them, releases them in reverse. */
  sendKeys(keys: readonly QKeyCode[], holdMs = 0): void {
    for (const key of keys) {
      this.sendKey(key, true);
      this.delayKeys(holdMs);
    }
    for (const key of [...keys].reverse()) {
      this.sendKey(key, false);
      this.delayKeys(holdMs);
    }
  }
  sendButton(button: InputButton, down: boolean): void {
    this.send({ type: 'btn', button, down });
  }
  sendRel(axis: InputAxis, value: number): void {
    this.send({ type: 'rel', axis, value });
  }
  /** `value` in [0, size) becomes [0, ABS_MAX]. */
  sendAbs(axis: InputAxis, value: number, size: number): void {
    const last = Math.max(1, size - 1);
    const inside = Math.max(0, Math.min(value, last));
    this.send({ type: 'abs', axis, value: Math.round((inside * ABS_MAX) / last) });
  }
  /** True when some handler takes this kind. */
  accepts(kind: InputEventKind): boolean {
    return this.#find(kind) !== undefined;
  }

  #find(...kinds: InputEventKind[]): Entry | undefined {
    return this.#handlers.find(({ handler }) => kinds.some((kind) => handler.mask.includes(kind)));
  }
  #checkMode(): void {
    const absolute = this.isAbsolute;
    if (absolute === this.#wasAbsolute) return;
    this.#wasAbsolute = absolute;
    for (const listener of [...this.#modeListeners]) listener();
  }
  /** The head of the queue is always a delay that has been started. */
  #runQueue(): void {
    const head = this.#queue[0];
    if (!head) return;
    this.#queueBusy = true;
    this.#timer.after(typeof head === 'object' && 'delayMs' in head ? head.delayMs : 0, () => {
      this.#queueBusy = false;
      this.#queue.shift();
      for (let next = this.#queue[0]; next !== undefined; next = this.#queue[0]) {
        if (next !== 'sync' && 'delayMs' in next) return this.#runQueue();
        this.#queue.shift();
        if (next === 'sync') this.sync();
        else this.send(next.event);
      }
    });
  }
}

/** Keys that a viewer holds down, so that all of them can be let go when it leaves, and modifiers be known. */
export class KeyState {
  readonly #input: InputCore;
  readonly #down = new Set<QKeyCode>();

  constructor(input: InputCore) {
    this.#input = input;
  }
  isDown(key: QKeyCode): boolean {
    return this.#down.has(key);
  }
  get shift(): boolean {
    return this.isDown('shift') || this.isDown('shift_r');
  }
  key(key: QKeyCode, down: boolean): void {
    if (key === 'unmapped') return;
    if (!down && !this.#down.delete(key)) return; // a release without a press means nothing to a keyboard
    if (down) this.#down.add(key);
    this.#input.sendKey(key, down);
  }
  /** Lets go of everything. */
  releaseAll(): void {
    for (const key of [...this.#down]) this.key(key, false);
  }
}
