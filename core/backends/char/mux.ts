/** A multiplexer: several front ends share one character device; Ctrl-a c moves the focus from one to the next (QEMU's `mux=on`). */
import { typeRegister } from '../../qom/type.ts';
import { Chardev, type CharEvent, type CharFrontend } from './chardev.ts';

const MAX_FRONTENDS = 4;
const ESCAPE = 0x01;
/** Input for a front end that does not take it; while there is less, Ctrl-a still works. */
const HELD_LIMIT = 4096;
const NEWLINE = 0x0a;

/** What the keys after Ctrl-a ask of the machine. */
export interface MuxActions {
  quit(): void;
  /** `c` when there is nobody to switch to, `s`: commit disks. */
  commit?(): void;
}

export class MuxChardev extends Chardev {
  private below: Chardev | null = null;
  private readonly users: CharFrontend[] = [];
  /** What was typed for a user that had no room before the focus went elsewhere. */
  private readonly held = new Map<CharFrontend, Uint8Array[]>();
  private focus = -1;
  private isEscaped = false;
  private showsTime = false;
  private isLineStart = true;
  private startedMs = 0;
  actions: MuxActions = { quit() {} };
  nowMs: () => number = () => 0;

  /** Lays the multiplexer over a device. */
  setUp(below: Chardev): void {
    this.below = below;
    this.filename = below.filename;
    this.isOpen = below.isOpen;
    this.startedMs = this.nowMs();
    below.attach({
      canReceive: () => (this.heldBytes < HELD_LIMIT ? 64 : 0),
      receive: (bytes) => this.take(bytes),
      event: (event) => this.fromBelow(event),
    });
  }

  override get isBusy(): boolean {
    return this.users.length >= MAX_FRONTENDS;
  }
  override attach(frontend: CharFrontend): void {
    if (this.isBusy) {
      super.attach(frontend);
      return;
    }
    this.users.push(frontend);
    if (this.isOpen) frontend.event?.('opened');
    // The guest's serial port comes before the monitors, and has the terminal first.
    if (this.users.length === 1) this.setFocus(0);
  }
  override acceptInput(): void {
    super.acceptInput();
    this.below?.acceptInput();
  }
  private setFocus(index: number): void {
    const before = this.users[this.focus];
    before?.event?.('mux-out');
    if (before) this.held.set(before, this.backlog);
    this.focus = index;
    this.frontend = this.users[index] ?? null;
    this.backlog = (this.frontend && this.held.get(this.frontend)) ?? [];
    this.frontend?.event?.('mux-in');
    this.acceptInput();
  }
  private fromBelow(event: CharEvent): void {
    if (event === 'opened' || event === 'closed') this.isOpen = event === 'opened';
    if (event === 'break') this.frontend?.event?.(event);
    else for (const user of this.users) user.event?.(event);
  }
  override write(bytes: Uint8Array): void {
    if (!this.showsTime) {
      this.below?.write(bytes);
      return;
    }
    const out: number[] = [];
    for (const byte of bytes) {
      if (this.isLineStart) out.push(...ascii(this.stamp()));
      this.isLineStart = byte === NEWLINE;
      out.push(byte);
    }
    this.below?.write(Uint8Array.from(out));
  }
  override get queuedBytes(): number {
    return this.below?.queuedBytes ?? 0;
  }
  override onDrain(listener: () => void): () => void {
    return this.below?.onDrain(listener) ?? (() => {});
  }
  private stamp(): string {
    const ms = Math.floor(this.nowMs() - this.startedMs);
    const two = (n: number) => String(n).padStart(2, '0');
    const s = Math.floor(ms / 1000);
    return `[${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}.${String(ms % 1000).padStart(3, '0')}] `;
  }

  private take(bytes: Uint8Array): void {
    const data: number[] = [];
    for (const byte of bytes) {
      if (this.isEscaped) {
        this.isEscaped = false;
        if (byte === ESCAPE) data.push(byte);
        else {
          // What was typed before a command is for whoever had the focus then.
          if (data.length > 0) this.deliver(Uint8Array.from(data.splice(0)));
          this.command(byte);
        }
      } else if (byte === ESCAPE) this.isEscaped = true;
      else data.push(byte);
    }
    if (data.length > 0) this.deliver(Uint8Array.from(data));
  }
  private command(byte: number): void {
    switch (String.fromCharCode(byte)) {
      case 'h':
      case '?':
        this.below?.write(Uint8Array.from(ascii(HELP)));
        break;
      case 'x':
        this.below?.write(Uint8Array.from(ascii('Terrarium: Terminated\r\n')));
        this.actions.quit();
        break;
      case 's':
        this.actions.commit?.();
        break;
      case 'b':
        this.frontend?.event?.('break');
        break;
      case 'c':
        if (this.users.length > 0) this.setFocus((this.focus + 1) % this.users.length);
        break;
      case 't':
        this.showsTime = !this.showsTime;
        this.isLineStart = true;
        this.startedMs = this.nowMs();
        break;
    }
  }
}

const HELP = [
  '',
  'C-a h    print this help',
  'C-a x    exit emulator',
  'C-a s    save disk data back to file (if -snapshot)',
  'C-a t    toggle console timestamps',
  'C-a b    send break (magic sysrq)',
  'C-a c    switch between console and monitor',
  'C-a C-a  sends C-a',
  '',
].join('\r\n');

function ascii(text: string): number[] {
  return [...text].map((c) => c.charCodeAt(0) & 0xff);
}

export function registerMuxType(): void {
  typeRegister({ name: 'chardev-mux', parent: 'chardev', instance: MuxChardev });
}
