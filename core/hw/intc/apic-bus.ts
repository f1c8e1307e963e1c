/** What local APICs and I/O APICs tell each other: interrupt messages and the ends of level-triggered interrupts. */
import { MODE } from './apic-registers.ts';

/** A receiver of messages. */
export interface ApicReceiver {
  /** Whether the destination field of a message means this one. */
  isDestination(destination: number, isLogical: boolean): boolean;
  /** What lowest-priority delivery compares. */
  readonly arbitrationPriority: number;
  /** Takes a message. `level`: trigger mode of the source. */
  receive(mode: number, vector: number, isLevel: boolean): void;
}

export class ApicBus {
  readonly receivers: ApicReceiver[] = [];
  /** A level-triggered interrupt of this vector has ended: I/O APICs look at their inputs again. */
  onEndOfInterrupt: (vector: number) => void = () => {};

  /** A message by destination (SDM volume 3A section 10.6.2). */
  send(destination: number, isLogical: boolean, mode: number, vector: number, isLevel: boolean): void {
    if (mode !== MODE.lowestPriority) {
      for (const each of this.receivers)
        if (each.isDestination(destination, isLogical)) each.receive(mode, vector, isLevel);
      return;
    }
    let best: ApicReceiver | null = null;
    for (const each of this.receivers)
      if (each.isDestination(destination, isLogical))
        if (!best || each.arbitrationPriority < best.arbitrationPriority) best = each;
    best?.receive(MODE.fixed, vector, isLevel);
  }
  /** A message by shorthand; `except` does not get it. */
  sendToAll(except: ApicReceiver | null, mode: number, vector: number, isLevel: boolean): void {
    for (const each of this.receivers)
      if (each !== except) each.receive(mode === MODE.lowestPriority ? MODE.fixed : mode, vector, isLevel);
  }
  /** A write to FEExxxxxh (SDM volume 3A section 10.11): a message-signalled interrupt. */
  sendMsi(address: number, data: number): void {
    this.send((address >>> 12) & 0xff, (address & 4) !== 0, (data >>> 8) & 7, data & 0xff, (data & 0x8000) !== 0);
  }
}
