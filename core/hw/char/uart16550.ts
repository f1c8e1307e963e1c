/**
 * 16550A UART (National Semiconductor data sheet PC16550D); QEMU calls the object `serial`.
 * Characters leave at once rather than at the line's pace, as long as the host takes them; the baud rate only times the FIFO's
 * receive timeout. Not modelled: parity and framing errors, OUT2 as a gate of the interrupt, DMA modes.
 */
import type { Chardev } from '../../backends/char/chardev.ts';
import {
  buffer,
  i32,
  named,
  type StateDescription,
  type Subsection,
  since,
  struct,
  timer as timerField,
  u8 as u8Field,
  u16,
  u32 as u32Field,
  vmstate,
} from '../../vmstate/fields.ts';
import { chardev } from '../core/chardev-property.ts';
import { Device, deviceType } from '../core/device.ts';
import { bool, properties, u32 } from '../core/properties.ts';

const REG = { data: 0, ier: 1, iirFcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6, scr: 7 } as const;
const IER = { receive: 0x01, transmit: 0x02, line: 0x04, modem: 0x08, all: 0x0f } as const;
const IIR = {
  none: 0x01,
  line: 0x06,
  timeout: 0x0c,
  receive: 0x04,
  transmit: 0x02,
  modem: 0x00,
  fifos: 0xc0,
  id: 0x0f,
} as const;
const FCR = { enable: 0x01, clearReceive: 0x02, clearTransmit: 0x04, kept: 0xc9 } as const;
const LCR = { dlab: 0x80, break: 0x40, parity: 0x08, stop2: 0x04, dataBits: 0x03 } as const;
const MCR = { dtr: 0x01, rts: 0x02, out1: 0x04, out2: 0x08, loop: 0x10, all: 0x1f } as const;
const LSR = { data: 0x01, overrun: 0x02, break: 0x10, thrEmpty: 0x20, empty: 0x40, errors: 0x1e } as const;
const MSR = { cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80, lines: 0xf0, deltas: 0x0f, riTrailing: 0x04 } as const;
const FIFO_BYTES = 16;
/** FIFO fill that interrupts, by FCR's two high bits. */
const TRIGGERS = [1, 4, 8, 14] as const;
const DEFAULT_DIVIDER = 12;
/** Output waits while the host has more than this to take. */
const OUTPUT_LIMIT = 4096;
const SECOND = 1e9;

const FIFO = vmstate('Fifo8', 1, { data: since(1, buffer(FIFO_BYTES)), head: u32Field(), num: u32Field() });
const thrIpending = vmstate('serial/thr_ipending', 1, { thr_ipending: i32() });
const transmitter = vmstate('serial/tsr', 1, { tsr_retry: u32Field(), thr: u8Field(), tsr: u8Field() });
const receiveFifo = vmstate('serial/recv_fifo', 1, { recv_fifo: since(1, struct(FIFO)) });
const transmitFifo = vmstate('serial/xmit_fifo', 1, { xmit_fifo: since(1, struct(FIFO)) });
const timeoutTimer = vmstate('serial/fifo_timeout_timer', 1, { fifo_timeout_timer: timerField() });
const timeoutPending = vmstate('serial/timeout_ipending', 1, { timeout_ipending: i32() });
/** For modem lines of a host's serial port, which there is none of: never saved. */
const poll = vmstate('serial/poll', 1, { poll_msl: i32(-1), modem_status_poll: timerField() });

type Fifo = ReturnType<typeof FIFO.create>;
type Parts = ReturnType<typeof thrIpending.create> &
  ReturnType<typeof transmitter.create> &
  ReturnType<typeof receiveFifo.create> &
  ReturnType<typeof transmitFifo.create> &
  ReturnType<typeof timeoutTimer.create> &
  ReturnType<typeof timeoutPending.create> &
  ReturnType<typeof poll.create>;
/** What the optional parts of the state ask the device that owns it. */
interface Owner {
  readonly uart: { readonly parts: Parts; readonly s: { readonly iir: number } };
}
const part = (description: StateDescription, needed: (uart: Owner['uart']) => boolean): Subsection => ({
  description,
  needed: (owner) => needed((owner as Owner).uart),
  state: (owner) => (owner as Owner).uart.parts,
});

/** The UART's section, to be nested in that of the device that carries it. */
export const UART_STATE = vmstate(
  'serial',
  3,
  {
    divider: since(2, u16(DEFAULT_DIVIDER)),
    rbr: u8Field(),
    ier: u8Field(),
    iir: u8Field(IIR.none),
    lcr: u8Field(),
    mcr: u8Field(MCR.out2),
    lsr: u8Field(LSR.empty | LSR.thrEmpty),
    msr: u8Field(MSR.dcd | MSR.dsr | MSR.cts),
    scr: u8Field(),
    fcr: named('fcr_vmstate', since(3, u8Field())),
  },
  {
    minimumVersion: 2,
    subsections: [
      part(thrIpending, (u) => u.parts.thr_ipending !== ((u.s.iir & IIR.id) === IIR.transmit ? 1 : 0)),
      part(transmitter, (u) => u.parts.tsr_retry !== 0),
      part(receiveFifo, (u) => u.parts.recv_fifo.num > 0),
      part(transmitFifo, (u) => u.parts.xmit_fifo.num > 0),
      part(timeoutTimer, (u) => u.parts.fifo_timeout_timer >= 0),
      part(timeoutPending, (u) => u.parts.timeout_ipending !== 0),
      part(poll, (u) => u.parts.poll_msl >= 0),
    ],
  },
);

export const UART_PROPS = properties({ chardev: chardev(), baudbase: u32(115_200), wakeup: bool(false) });

export class Uart16550 extends Device<typeof UART_PROPS> {
  readonly irq = this.outPin();
  /** Registers; the carrying device replaces them by a part of its own saved state. */
  s = UART_STATE.create();
  readonly parts: Parts = {
    ...thrIpending.create(),
    ...transmitter.create(),
    ...receiveFifo.create(),
    ...transmitFifo.create(),
    ...timeoutTimer.create(),
    ...timeoutPending.create(),
    ...poll.create(),
  };
  private readonly timeout = this.env.clocks.virtual.newTimer(() => this.receiveTimeout());
  private stopWaiting: () => void = () => {};

  private get line(): Chardev | null {
    return this.props.chardev;
  }

  override realize(): void {
    const { line } = this;
    line?.attach({
      canReceive: () => this.receiveRoom,
      receive: (bytes) => this.receive(bytes),
      event: (event) => {
        if (event === 'break') this.receiveBreak();
      },
    });
    if (line) this.stopWaiting = line.onDrain(() => this.drained());
  }
  override unrealize(): void {
    this.timeout.delete();
    this.stopWaiting();
    this.line?.detach();
  }
  override reset(): void {
    UART_STATE.reset(this.s);
    for (const description of [thrIpending, transmitter, timeoutTimer, timeoutPending])
      Object.assign(this.parts, description.create());
    fifoClear(this.parts.recv_fifo);
    fifoClear(this.parts.xmit_fifo);
    this.stopTimeout();
    this.irq.lower();
  }

  private get hasFifos(): boolean {
    return (this.s.fcr & FCR.enable) !== 0;
  }
  private get trigger(): number {
    return TRIGGERS[this.s.fcr >> 6]!;
  }
  private get isLoop(): boolean {
    return (this.s.mcr & MCR.loop) !== 0;
  }

  // ---- interrupts

  private updateIrq(): void {
    const { s, parts } = this;
    const has = (bit: number) => (s.ier & bit) !== 0;
    let id: number = IIR.none;
    if (has(IER.line) && s.lsr & LSR.errors) id = IIR.line;
    else if (has(IER.receive) && parts.timeout_ipending) id = IIR.timeout;
    else if (has(IER.receive) && s.lsr & LSR.data && (!this.hasFifos || parts.recv_fifo.num >= this.trigger))
      id = IIR.receive;
    else if (has(IER.transmit) && parts.thr_ipending) id = IIR.transmit;
    else if (has(IER.modem) && s.msr & MSR.deltas) id = IIR.modem;
    s.iir = id | (s.iir & 0xf0);
    this.irq.set(id === IIR.none ? 0 : 1);
  }

  // ---- transmitter

  private writeThr(value: number): void {
    const { s, parts } = this;
    parts.thr = value;
    if (this.hasFifos) {
      if (parts.xmit_fifo.num === FIFO_BYTES) fifoPop(parts.xmit_fifo); // the newest byte wins
      fifoPush(parts.xmit_fifo, value);
    }
    s.lsr &= ~(LSR.thrEmpty | LSR.empty);
    parts.thr_ipending = 0;
    this.updateIrq();
    if (!parts.tsr_retry) this.transmit();
  }
  /** Moves what waits into the shift register and out of it, until nothing is left or the host does not take it. */
  private transmit(): void {
    const { s, parts } = this;
    while (!(s.lsr & LSR.empty)) {
      if (!parts.tsr_retry) {
        if (s.lsr & LSR.thrEmpty) {
          s.lsr |= LSR.empty;
          break;
        }
        parts.tsr = this.hasFifos ? fifoPop(parts.xmit_fifo) : parts.thr;
        if (!this.hasFifos || parts.xmit_fifo.num === 0) {
          s.lsr |= LSR.thrEmpty;
          parts.thr_ipending = 1;
        }
      }
      parts.tsr_retry = 0;
      if (this.isLoop) this.receive(Uint8Array.of(parts.tsr));
      else if ((this.line?.queuedBytes ?? 0) > OUTPUT_LIMIT) {
        parts.tsr_retry = 1;
        break;
      } else this.line?.write(Uint8Array.of(parts.tsr));
    }
    this.updateIrq();
  }
  private drained(): void {
    if (this.parts.tsr_retry) this.transmit();
  }

  // ---- receiver

  /** Up to the trigger level in one go, then byte by byte, so that the guest is interrupted early enough. */
  private get receiveRoom(): number {
    const { s, parts } = this;
    if (this.isLoop) return 0;
    if (!this.hasFifos) return s.lsr & LSR.data ? 0 : 1;
    const { num } = parts.recv_fifo;
    if (num >= FIFO_BYTES) return 0;
    return num < this.trigger ? this.trigger - num : 1;
  }
  private receive(bytes: Uint8Array): void {
    if (this.props.wakeup) this.env.requestWakeup('other');
    for (const byte of bytes) this.receiveByte(byte);
    this.s.lsr |= LSR.data;
    if (this.hasFifos) this.startTimeout();
    this.updateIrq();
  }
  private receiveByte(byte: number): void {
    const { s, parts } = this;
    if (!this.hasFifos) {
      if (s.lsr & LSR.data) s.lsr |= LSR.overrun;
      s.rbr = byte;
    } else if (parts.recv_fifo.num < FIFO_BYTES) fifoPush(parts.recv_fifo, byte);
    else s.lsr |= LSR.overrun;
  }
  private receiveBreak(): void {
    const { s, parts } = this;
    s.rbr = 0;
    if (parts.recv_fifo.num < FIFO_BYTES) fifoPush(parts.recv_fifo, 0);
    s.lsr |= LSR.break | LSR.data;
    this.updateIrq();
  }
  private readRbr(): number {
    const { s, parts } = this;
    let byte = s.rbr;
    if (this.hasFifos) {
      byte = parts.recv_fifo.num > 0 ? fifoPop(parts.recv_fifo) : 0;
      if (parts.recv_fifo.num > 0) this.startTimeout();
      else {
        this.stopTimeout();
        s.lsr &= ~(LSR.data | LSR.break);
      }
      parts.timeout_ipending = 0;
    } else s.lsr &= ~(LSR.data | LSR.break);
    this.updateIrq();
    if (!this.isLoop) this.line?.acceptInput();
    return byte;
  }
  /** The time of four characters without a new one. */
  private startTimeout(): void {
    const { s } = this;
    const divider = s.divider || 1;
    const baud = Math.max(1, this.props.baudbase / divider);
    const bits = 1 + 5 + (s.lcr & LCR.dataBits) + (s.lcr & LCR.parity ? 1 : 0) + (s.lcr & LCR.stop2 ? 2 : 1);
    this.timeout.modify(this.env.clocks.virtual.now() + (4 * bits * SECOND) / baud);
    this.parts.fifo_timeout_timer = this.timeout.expireNs;
  }
  private stopTimeout(): void {
    this.timeout.delete();
    this.parts.fifo_timeout_timer = -1;
  }
  private receiveTimeout(): void {
    this.parts.fifo_timeout_timer = -1;
    if (this.parts.recv_fifo.num === 0) return;
    this.parts.timeout_ipending = 1;
    this.updateIrq();
  }

  // ---- modem lines

  private setModemLines(lines: number): void {
    const { s } = this;
    const changed = (s.msr ^ lines) & MSR.lines;
    let deltas = (changed & (MSR.cts | MSR.dsr | MSR.dcd)) >> 4;
    if (changed & MSR.ri && !(lines & MSR.ri)) deltas |= MSR.riTrailing;
    s.msr = lines | (s.msr & MSR.deltas) | deltas;
    this.updateIrq();
  }
  private writeMcr(value: number): void {
    const { s } = this;
    s.mcr = value & MCR.all;
    if (this.isLoop) {
      const line = (bit: number, to: number) => (s.mcr & bit ? to : 0);
      this.setModemLines(
        line(MCR.rts, MSR.cts) | line(MCR.dtr, MSR.dsr) | line(MCR.out1, MSR.ri) | line(MCR.out2, MSR.dcd),
      );
    } else {
      // The other end is always ready.
      this.setModemLines(MSR.dcd | MSR.dsr | MSR.cts);
      this.line?.acceptInput();
    }
  }

  // ---- ports

  read(register: number): number {
    const { s, parts } = this;
    const isDivider = (s.lcr & LCR.dlab) !== 0;
    switch (register) {
      case REG.data:
        return isDivider ? s.divider & 0xff : this.readRbr();
      case REG.ier:
        return isDivider ? s.divider >> 8 : s.ier;
      case REG.iirFcr: {
        const { iir } = s;
        if ((iir & IIR.id) === IIR.transmit) {
          parts.thr_ipending = 0;
          this.updateIrq();
        }
        return iir;
      }
      case REG.lcr:
        return s.lcr;
      case REG.mcr:
        return s.mcr;
      case REG.lsr: {
        const { lsr } = s;
        if (lsr & (LSR.break | LSR.overrun)) {
          s.lsr &= ~(LSR.break | LSR.overrun);
          this.updateIrq();
        }
        return lsr;
      }
      case REG.msr: {
        const { msr } = s;
        if (msr & MSR.deltas) {
          s.msr &= ~MSR.deltas;
          this.updateIrq();
        }
        return msr;
      }
      default:
        return s.scr;
    }
  }

  write(register: number, value: number): void {
    const { s } = this;
    const isDivider = (s.lcr & LCR.dlab) !== 0;
    switch (register) {
      case REG.data:
        if (isDivider) s.divider = (s.divider & 0xff00) | value;
        else this.writeThr(value);
        break;
      case REG.ier:
        if (isDivider) s.divider = (s.divider & 0x00ff) | (value << 8);
        else this.writeIer(value);
        break;
      case REG.iirFcr:
        this.writeFcr(value);
        break;
      case REG.lcr:
        if (value & ~s.lcr & LCR.break) this.line?.sendBreak();
        s.lcr = value;
        break;
      case REG.mcr:
        this.writeMcr(value);
        break;
      case REG.lsr:
      case REG.msr:
        break; // read-only
      default:
        s.scr = value;
    }
  }
  private writeIer(value: number): void {
    const { s, parts } = this;
    const changed = (s.ier ^ value) & IER.all;
    s.ier = value & IER.all;
    // Enabling the transmit interrupt while the holding register is empty interrupts at once.
    if (changed & IER.transmit) parts.thr_ipending = s.ier & IER.transmit && s.lsr & LSR.thrEmpty ? 1 : 0;
    this.updateIrq();
  }
  private writeFcr(value: number): void {
    const { s, parts } = this;
    const isSwitch = ((value ^ s.fcr) & FCR.enable) !== 0;
    if (isSwitch || value & FCR.clearReceive) {
      s.lsr &= ~(LSR.data | LSR.break);
      this.stopTimeout();
      parts.timeout_ipending = 0;
      fifoClear(parts.recv_fifo);
    }
    if (isSwitch || value & FCR.clearTransmit) {
      s.lsr |= LSR.thrEmpty;
      parts.thr_ipending = 1;
      fifoClear(parts.xmit_fifo);
      if (!parts.tsr_retry) s.lsr |= LSR.empty;
    }
    s.fcr = value & FCR.kept;
    if (this.hasFifos) s.iir |= IIR.fifos;
    else s.iir &= ~IIR.fifos;
    this.updateIrq();
    this.line?.acceptInput();
  }

  postLoad(): void {
    const { parts } = this;
    for (const fifo of [parts.recv_fifo, parts.xmit_fifo])
      if (fifo.num > FIFO_BYTES || fifo.head >= FIFO_BYTES) fifoClear(fifo);
    if (parts.fifo_timeout_timer >= 0) this.timeout.modify(parts.fifo_timeout_timer);
    else this.timeout.delete();
    if (parts.tsr_retry) this.transmit();
  }
}

function fifoClear(fifo: Fifo): void {
  fifo.head = fifo.num = 0;
}
function fifoPush(fifo: Fifo, byte: number): void {
  fifo.data[(fifo.head + fifo.num++) % FIFO_BYTES] = byte;
}
function fifoPop(fifo: Fifo): number {
  const byte = fifo.data[fifo.head]!;
  fifo.head = (fifo.head + 1) % FIFO_BYTES;
  fifo.num--;
  return byte;
}

export const uart16550Type = deviceType({
  name: 'serial',
  class: Uart16550,
  properties: UART_PROPS,
  userCreatable: false,
});
