/** A PC's interrupt wiring: sixteen ISA lines go to the 8259 pair and to the I/O APIC, the pair to the local APIC's LINT0 (or straight
 *  to a processor without one). The lines are QEMU's GSIs: line 0, the timer, is the I/O APIC's pin 2. */
import type { Device } from '../hw/core/device.ts';
import type { Pin } from '../hw/core/pin.ts';
import type { Apic } from '../hw/intc/apic.ts';
import { ApicBus } from '../hw/intc/apic-bus.ts';
import { ioapicText, lapicText } from '../hw/intc/apic-text.ts';
import type { I8259 } from '../hw/intc/i8259.ts';
import { IOAPIC_PINS, type IoApic } from '../hw/intc/ioapic.ts';
import { readX2apic, writeX2apic } from '../hw/intc/x2apic.ts';
import type { IsaBus } from '../hw/isa/isa-bus.ts';
import { objectAddChild } from '../qom/object.ts';
import type { LocalApic } from '../target/x86/system-ops.ts';
import { connect, inputOf, part } from './wiring.ts';

const CASCADE = 2;
const ISA_LINES = 16;
/** Where the timer's line goes on the I/O APIC. */
export const TIMER_PIN = 2;

/** What CPUID offers of the local APIC. */
export interface ApicFeatures {
  readonly apic: boolean;
  readonly x2apic: boolean;
  readonly deadline: boolean;
}
export type CpuWire = 'intr' | 'smi' | 'nmi' | 'a20' | 'init';

export class PcInterrupts {
  readonly bus = new ApicBus();
  apic: Apic | null = null;
  ioapic: IoApic | null = null;
  private master!: I8259;
  private slave!: I8259;
  /** Lines that any part of the board may drive. */
  readonly gsi: readonly Pin[] = Array.from({ length: IOAPIC_PINS }, (_, line) => ({
    set: (level: number) => this.setLine(line, level),
  }));
  private readonly levels = new Uint8Array(IOAPIC_PINS);
  /** Times that each line has gone up. */
  readonly counts = new Float64Array(IOAPIC_PINS);
  private readonly wires: ReadonlyMap<CpuWire, Pin>;

  /** @param wires the processor's pins, looked up when they are driven */
  constructor(wires: ReadonlyMap<CpuWire, Pin>) {
    this.wires = wires;
  }
  private wire(name: CpuWire): Pin {
    return { set: (level) => this.wires.get(name)?.set(level) };
  }

  /** Gives a processor its local APIC. */
  addApic(cpu: Device, features: ApicFeatures): Apic {
    const apic = part<Apic>('apic', null, { id: 0 }, (device) => {
      objectAddChild(cpu, 'lapic', device);
      device.bus = this.bus;
      device.hasX2apic = features.x2apic;
      device.hasDeadline = features.deadline;
      device.acknowledgeExternal = () => this.master.acknowledge();
    });
    for (const name of ['intr', 'nmi', 'smi', 'init'] as const) apic[name].connect(this.wire(name));
    this.apic = apic;
    return apic;
  }

  addPics(isaBus: IsaBus): void {
    this.master = part('isa-i8259', isaBus, { iobase: 0x20, elcr_addr: 0x4d0, elcr_mask: 0xf8, master: true });
    this.slave = part('isa-i8259', isaBus, { iobase: 0xa0, elcr_addr: 0x4d1, elcr_mask: 0xde, master: false });
    connect(this.slave, '', 0, inputOf(this.master, '', CASCADE));
    connect(this.master, '', 0, this.apic ? this.apic.lint[0]! : this.wire('intr'));
    this.master.cascade = this.slave;
    isaBus.connectIrqs(this.gsi.slice(0, ISA_LINES).map((pin, line) => (line === CASCADE ? null : pin)));
  }
  addIoapic(parent: Device): IoApic {
    const ioapic = part<IoApic>('ioapic', null, {}, (device) => {
      objectAddChild(parent, 'ioapic', device);
      device.bus = this.bus;
    });
    this.bus.onEndOfInterrupt = (vector) => ioapic.endOfInterrupt(vector);
    this.ioapic = ioapic;
    return ioapic;
  }

  private setLine(line: number, level: number): void {
    if (level && !this.levels[line]) this.counts[line]!++;
    this.levels[line] = level ? 1 : 0;
    if (line < 8) {
      if (line !== CASCADE) this.master.ir[line]!.set(level);
    } else if (line < ISA_LINES) this.slave.ir[line - 8]!.set(level);
    if (this.ioapic) this.ioapic.pins[line === 0 ? TIMER_PIN : line]!.set(level);
  }

  /** The monitor's `nmi`: an edge at LINT1, which its entry may lead elsewhere. False: there is no local APIC. */
  injectNmi(): boolean {
    const pin = this.apic?.lint[1];
    pin?.set(1);
    pin?.set(0);
    return pin !== undefined;
  }
  /** What the processor's instructions reach of its local APIC. */
  apicPort(): LocalApic | null {
    const { apic } = this;
    if (!apic) return null;
    return {
      readBase: () => apic.state.apicbase,
      writeBase: (value) => apic.writeBase(value),
      readTpr: () => apic.taskPriority,
      writeTpr: (value) => apic.setTaskPriority(value),
      readX2apic: (register, isHigh) => readX2apic(apic, register, isHigh),
      writeX2apic: (register, low, high) => writeX2apic(apic, register, low, high),
      readDeadline: (isHigh) => (isHigh ? apic.timer.deadlineHigh : apic.timer.deadlineLow),
      writeDeadline: (low, high, atNs) => apic.timer.writeDeadline(low, high, atNs),
    };
  }

  /** INTA cycle. */
  acknowledge(): number {
    return this.apic ? this.apic.acknowledge() : this.master.acknowledge();
  }

  /** `info pic`. */
  picText(): string {
    const ioapic = this.ioapic ? ioapicText(this.ioapic) : '';
    return `${ioapic}${this.slave.infoLine()}\n${this.master.infoLine()}\n`;
  }
  /** `info lapic`. */
  lapicText(): string {
    return this.apic ? lapicText(this.apic, 0) : '';
  }
  /** `info irq`. */
  irqText(): string {
    const lines = [...this.counts].flatMap((count, line) => (count > 0 ? [` ${line}: ${count}\n`] : []));
    const pic = [...this.counts].flatMap((count, line) =>
      count > 0 && line < ISA_LINES ? [` ${line}: ${count}\n`] : [],
    );
    const part = (name: string, texts: readonly string[]) => `IRQ statistics for ${name}:\n${texts.join('')}`;
    return `${this.ioapic ? part('ioapic', lines) : ''}${part('isa-i8259', pic)}`;
  }
}
