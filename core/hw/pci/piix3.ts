/** Intel 82371SB PCI-to-ISA bridge, function 0 (PIIX3 data sheet 290550): PCI interrupt routing, reset control, the ISA bus. Not modelled: chip selects, DMA and timer registers of configuration space (they hold what is written). */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { array, i32, since, u8, vmstate } from '../../vmstate/fields.ts';
import type { PropertyTable } from '../core/properties.ts';
import { type IsaBus, isaBusNew } from '../isa/isa-bus.ts';
import { PCI_BUS_LINES } from './pci-bus.ts';
import { PciDevice, pciDeviceState, pciDeviceType } from './pci-device.ts';
import { REG, STATUS, slotOf } from './registers.ts';

/** Interrupt routing of PIRQA to PIRQD: bit 7 off, bits 3-0 the ISA line. */
const PIRQ_ROUTE = 0x60;
const ROUTE_OFF = 0x80;
const ISA_LINES = 16;
const RESET_PORT = 0xcf9;
const RESET_CPU = 0x04;
/** System reset rather than only the CPU's; the one bit that reads back. */
const RESET_SYSTEM = 0x02;

const CONFIG_AT_RESET: Readonly<Record<number, number>> = {
  76: 0x4d,
  78: 0x03,
  105: 0x02,
  112: 0x80,
  118: 0x0c,
  119: 0x0c,
  120: 0x02,
  160: 0x08,
  168: 0x0f,
};
/** Reset puts these to zero or to their value above. */
const RESET_REGISTERS = [
  0x4c, 0x4e, 0x4f, 0x69, 0x70, 0x76, 0x77, 0x78, 0x79, 0x80, 0x82, 0xa0, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8,
  0xaa, 0xab, 0xac, 0xae,
] as const;

const RESET_CONTROL = vmstate('PIIX3/rcr', 1, { rcr: u8() });
interface WithResetControl {
  readonly resetControl: { rcr: number };
}
const STATE = vmstate(
  'PIIX3',
  3,
  { dev: pciDeviceState(), pci_irq_levels_vmstate: since(3, array(PCI_BUS_LINES, i32())) },
  {
    minimumVersion: 2,
    subsections: [
      {
        description: RESET_CONTROL,
        needed: (owner) => (owner as WithResetControl).resetControl.rcr !== 0,
        state: (owner) => (owner as WithResetControl).resetControl,
      },
    ],
  },
);

export class Piix3 extends PciDevice<PropertyTable, typeof STATE.fields> {
  isaBus!: IsaBus;
  readonly resetControl = RESET_CONTROL.create();
  private readonly levels = [0, 0, 0, 0];

  override realize(): void {
    super.realize();
    this.setConfigWord(REG.status, STATUS.devselMedium);
    this.isaBus = isaBusNew(this, 'isa.0');
    this.mapPorts(RESET_PORT, 1, RESET_OPS, 'piix3-reset-control', 1);
    this.pciBus.routing = {
      map: (devfn, pin) => (pin + slotOf(devfn) - 1) & (PCI_BUS_LINES - 1),
      set: (line, level) => {
        this.levels[line] = level;
        this.state.pci_irq_levels_vmstate[line] = level;
        this.updateIsaLine(this.routeOf(line));
      },
    };
  }

  override reset(): void {
    const routes = this.levels.map((_, line) => this.routeOf(line));
    super.reset();
    RESET_CONTROL.reset(this.resetControl);
    for (const at of RESET_REGISTERS) this.config[at] = CONFIG_AT_RESET[at] ?? 0;
    this.config.fill(ROUTE_OFF, PIRQ_ROUTE, PIRQ_ROUTE + PCI_BUS_LINES);
    this.levels.fill(0);
    for (const line of routes) this.updateIsaLine(line);
  }
  override postLoad(): void {
    super.postLoad();
    for (let line = 0; line < PCI_BUS_LINES; line++) this.levels[line] = this.state.pci_irq_levels_vmstate[line]!;
  }
  override writeConfig(offset: number, value: number, length: number): void {
    const before = this.levels.map((_, line) => this.routeOf(line));
    super.writeConfig(offset, value, length);
    if (offset >= PIRQ_ROUTE + PCI_BUS_LINES || offset + length <= PIRQ_ROUTE) return;
    for (const line of new Set([...before, ...this.levels.map((_, l) => this.routeOf(l))])) this.updateIsaLine(line);
  }

  private routeOf(line: number): number {
    return this.config[PIRQ_ROUTE + line]!;
  }
  /** An ISA line is high while any PCI line that is led to it is. */
  private updateIsaLine(isaLine: number): void {
    if (isaLine >= ISA_LINES) return;
    const isHigh = this.levels.some((level, line) => level && this.routeOf(line) === isaLine);
    this.isaBus.irq(isaLine).set(isHigh ? 1 : 0);
  }
}

const RESET_OPS: MemoryRegionOps<Piix3> = {
  valid: { min: 1, max: 1 },
  read: (bridge) => bridge.resetControl.rcr,
  write(bridge, _offset, value) {
    if (value & RESET_CPU) bridge.env.requestReset('guest-reset');
    else bridge.resetControl.rcr = value & RESET_SYSTEM;
  },
};

export const pciPiix3Type = pciDeviceType({ name: 'pci-piix3', abstract: true });
export const piix3Type = pciDeviceType({
  name: 'PIIX3',
  parent: 'pci-piix3',
  description: 'ISA bridge',
  category: 'bridge',
  userCreatable: false,
  hotpluggable: false,
  class: Piix3,
  vmstate: STATE,
  pci: { vendorId: 0x8086, deviceId: 0x7000, classId: 0x0601 },
});
