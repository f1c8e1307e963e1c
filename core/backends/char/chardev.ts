/** Character devices: the host's side of a serial port, a monitor, a debug console. One front end uses a device at a time. */
import { QomObject } from '../../qom/object.ts';
import { typeRegister } from '../../qom/type.ts';
import type { ByteStream } from '../../util/byte-stream.ts';
import { UserError } from '../../util/errors.ts';

/** `opened`, `closed`: somebody is (no longer) at the other end. `mux-in`, `mux-out`: a multiplexer's focus comes and goes. */
export type CharEvent = 'opened' | 'closed' | 'break' | 'mux-in' | 'mux-out';

/** What uses a character device: a UART, a monitor. */
export interface CharFrontend {
  /** How many bytes it can take now. When that grows again it calls `acceptInput`. */
  canReceive(): number;
  receive(bytes: Uint8Array): void;
  event?(event: CharEvent): void;
}

/** A host stream whose reading can be held back, so that a guest that does not read costs no memory. */
export interface HostStream extends ByteStream {
  setReading?(isOn: boolean): void;
}

export class Chardev extends QomObject {
  id = '';
  /** What `info chardev` shows. */
  filename = '';
  frontend: CharFrontend | null = null;
  isOpen = false;
  /** Copy of everything written, for `logfile=`. */
  log: ((bytes: Uint8Array) => void) | null = null;
  /** Input that the front end had no room for. */
  protected backlog: Uint8Array[] = [];

  /** No further front end may have it. */
  get isBusy(): boolean {
    return this.frontend !== null;
  }
  /** @throws UserError when another front end has it */
  attach(frontend: CharFrontend): void {
    if (this.isBusy) throw new UserError(`Device '${this.id}' is in use`);
    this.frontend = frontend;
    if (this.isOpen) frontend.event?.('opened');
    this.acceptInput();
  }
  detach(): void {
    this.frontend = null;
  }

  /** From the guest or a monitor to the outside. Never blocks; what nobody listens to is dropped. */
  write(bytes: Uint8Array): void {
    this.log?.(bytes);
    this.send(bytes);
  }
  protected send(_bytes: Uint8Array): void {}
  /** Bytes on their way out that the host has not taken yet: a UART waits while there are many. */
  get queuedBytes(): number {
    return 0;
  }
  /** Calls back once the way out is free again. */
  onDrain(_listener: () => void): () => void {
    return () => {};
  }
  close(): void {}
  /** A break condition towards the outside; most media have none. */
  sendBreak(): void {}

  /** How much input waits for the front end. */
  protected get heldBytes(): number {
    return this.backlog.reduce((sum, bytes) => sum + bytes.length, 0);
  }
  /** The front end has room again. */
  acceptInput(): void {
    while (this.frontend && this.backlog.length > 0) {
      const room = this.frontend.canReceive();
      if (room <= 0) return;
      const first = this.backlog[0]!;
      if (first.length <= room) this.backlog.shift();
      else this.backlog[0] = first.subarray(room);
      this.frontend.receive(first.subarray(0, room));
    }
    if (this.backlog.length === 0) this.holdInput(false);
  }
  /** Input from the outside. */
  protected deliver(bytes: Uint8Array): void {
    if (!this.frontend) return;
    this.backlog.push(bytes);
    this.acceptInput();
    if (this.backlog.length > 0) this.holdInput(true);
  }
  /** The source should pause, or may go on. */
  protected holdInput(_isHeld: boolean): void {}
  protected setOpen(isOpen: boolean): void {
    if (this.isOpen === isOpen) return;
    this.isOpen = isOpen;
    if (!isOpen) this.backlog = [];
    this.frontend?.event?.(isOpen ? 'opened' : 'closed');
  }
  /** A break or another event from the outside. */
  protected raise(event: CharEvent): void {
    this.frontend?.event?.(event);
  }
}

/** Swallows everything. */
export class NullChardev extends Chardev {
  constructor() {
    super();
    this.filename = 'null';
    this.isOpen = true;
  }
}

/** A text console on the screen in QEMU; there is no such screen here, so it keeps nothing. */
export class VcChardev extends Chardev {
  constructor() {
    super();
    this.filename = 'vc';
    this.isOpen = true;
  }
}

/** Keeps the last bytes written in memory. */
export class RingbufChardev extends Chardev {
  private bytes = new Uint8Array(65536);
  private written = 0;
  constructor() {
    super();
    this.filename = 'ringbuf';
    this.isOpen = true;
  }
  /** @param size a power of two @throws UserError */
  setSize(size: number): void {
    if (size <= 0 || (size & (size - 1)) !== 0) throw new UserError('size of ringbuf chardev must be power of two');
    this.bytes = new Uint8Array(size);
  }
  protected override send(bytes: Uint8Array): void {
    for (const byte of bytes) this.bytes[this.written++ % this.bytes.length] = byte;
  }
  /** What is there, oldest first. */
  contents(): Uint8Array {
    const { length } = this.bytes;
    const count = Math.min(this.written, length);
    return Uint8Array.from({ length: count }, (_, i) => this.bytes[(this.written - count + i) % length]!);
  }
}

/** Output to a host file. */
export class FileChardev extends Chardev {
  sink: ((bytes: Uint8Array) => void) | null = null;
  constructor() {
    super();
    this.filename = 'file';
    this.isOpen = true;
  }
  protected override send(bytes: Uint8Array): void {
    this.sink?.(bytes);
  }
}

/** One host stream at a time: a socket's client, the terminal, a pipe. */
export class StreamChardev extends Chardev {
  private stream: HostStream | null = null;
  private drainListeners = new Set<() => void>();

  get isConnected(): boolean {
    return this.stream !== null;
  }
  /** Takes a connection; refuses (returns false) while there is one. */
  connect(stream: HostStream): boolean {
    if (this.stream) return false;
    this.stream = stream;
    stream.onData((bytes) => {
      if (this.stream === stream) this.received(bytes);
    });
    stream.onDrain(() => {
      for (const listener of [...this.drainListeners]) listener();
    });
    stream.onClose(() => {
      if (this.stream !== stream) return;
      this.stream = null;
      this.closed();
      this.setOpen(false);
      this.disconnected();
    });
    this.opening(stream);
    this.setOpen(true);
    return true;
  }
  /** A connection is there, and the front end does not know yet. */
  protected opening(_stream: HostStream): void {}
  protected received(bytes: Uint8Array): void {
    this.deliver(bytes);
  }
  protected closed(): void {}
  /** The other end has gone: clients may try again. */
  disconnected: () => void = () => {};
  protected override send(bytes: Uint8Array): void {
    this.stream?.write(bytes);
  }
  override get queuedBytes(): number {
    return this.stream?.queuedBytes ?? 0;
  }
  override onDrain(listener: () => void): () => void {
    this.drainListeners.add(listener);
    return () => this.drainListeners.delete(listener);
  }
  protected override holdInput(isHeld: boolean): void {
    this.stream?.setReading?.(!isHeld);
  }
  override close(): void {
    this.stream?.close();
  }
}

const TELNET = { iac: 255, dont: 254, doIt: 253, wont: 252, will: 251, sb: 250, brk: 243, se: 240 } as const;
const TELNET_OPTION = { binary: 0, echo: 1, suppressGoAhead: 3 } as const;

/** A socket; with telnet it negotiates character mode and filters the protocol's own bytes. */
export class SocketChardev extends StreamChardev {
  isTelnet = false;
  private address = '';
  private telnetState: 'data' | 'iac' | 'option' | 'sub' | 'subIac' = 'data';

  /** Where it listens or connects to, in QEMU's notation (`unix:PATH,server=on`). */
  setAddress(address: string): void {
    this.address = address;
    this.filename = `disconnected:${address}`;
  }
  /** `peer`: `HOST:PORT` of the other end, where it has one. */
  override connect(stream: HostStream, peer = ''): boolean {
    if (this.isConnected) return false;
    this.filename = peer === '' ? this.address : `${this.address} <-> ${peer}`;
    return super.connect(stream);
  }
  protected override opening(stream: HostStream): void {
    this.telnetState = 'data';
    if (!this.isTelnet) return;
    const { iac, will, doIt } = TELNET;
    const { echo, suppressGoAhead, binary } = TELNET_OPTION;
    stream.write(Uint8Array.from([iac, will, echo, iac, will, suppressGoAhead, iac, will, binary, iac, doIt, binary]));
  }
  protected override closed(): void {
    this.filename = `disconnected:${this.address}`;
  }
  protected override send(bytes: Uint8Array): void {
    if (this.isTelnet && bytes.includes(TELNET.iac))
      super.send(Uint8Array.from([...bytes].flatMap((b) => (b === TELNET.iac ? [b, b] : [b]))));
    else super.send(bytes);
  }
  protected override received(bytes: Uint8Array): void {
    if (!this.isTelnet) {
      this.deliver(bytes);
      return;
    }
    const data: number[] = [];
    for (const byte of bytes) this.takeTelnet(byte, data);
    if (data.length > 0) this.deliver(Uint8Array.from(data));
  }
  private takeTelnet(byte: number, data: number[]): void {
    const { iac, sb, se, brk, will, dont } = TELNET;
    switch (this.telnetState) {
      case 'data':
        if (byte === iac) this.telnetState = 'iac';
        else data.push(byte);
        break;
      case 'iac':
        this.telnetState = byte === sb ? 'sub' : byte >= will && byte <= dont ? 'option' : 'data';
        if (byte === iac) data.push(byte);
        if (byte === brk) {
          // What was typed before the break comes before it.
          if (data.length > 0) this.deliver(Uint8Array.from(data.splice(0)));
          this.raise('break');
        }
        break;
      case 'option':
        this.telnetState = 'data';
        break;
      case 'sub':
        if (byte === iac) this.telnetState = 'subIac';
        break;
      case 'subIac':
        this.telnetState = byte === se ? 'data' : 'sub';
        break;
    }
  }
}

/** Registers the chardev types. */
export function registerChardevTypes(): void {
  typeRegister({ name: 'chardev', parent: 'object', abstract: true, instance: Chardev });
  typeRegister({ name: 'chardev-null', parent: 'chardev', instance: NullChardev });
  typeRegister({ name: 'chardev-vc', parent: 'chardev', instance: VcChardev });
  typeRegister({ name: 'chardev-ringbuf', parent: 'chardev', instance: RingbufChardev });
  typeRegister({ name: 'chardev-fd', parent: 'chardev', abstract: true, instance: StreamChardev });
  typeRegister({ name: 'chardev-file', parent: 'chardev-fd', instance: FileChardev });
  typeRegister({ name: 'chardev-pipe', parent: 'chardev-fd', instance: StreamChardev });
  typeRegister({ name: 'chardev-stdio', parent: 'chardev-fd', instance: StreamChardev });
  typeRegister({ name: 'chardev-socket', parent: 'chardev', instance: SocketChardev });
}
