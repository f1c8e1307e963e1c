/** A 16550A on the ISA bus: the PC's COM1 to COM4. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { objectInitialize } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import { struct, vmstate } from '../../vmstate/fields.ts';
import { deviceRealize, deviceType } from '../core/device.ts';
import type { MachineEnvironment } from '../core/environment.ts';
import { type PropertyContext, type PropertyKind, properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';
import { UART_PROPS, UART_STATE, Uart16550, uart16550Type } from './uart16550.ts';

const UNSET = 0xffff_ffff;
const PORTS = [0x3f8, 0x2f8, 0x3e8, 0x2e8] as const;
const IRQS = [4, 3, 4, 3] as const;

/** A property of the UART inside; errors name the UART. */
function ofUart<T>(kind: PropertyKind<T>): PropertyKind<T> {
  const inside = ({ device, name }: PropertyContext) => ({ device: (device as SerialIsa).uart, name });
  return {
    ...kind,
    isAlias: true,
    parse: (text, context) => kind.parse(text, inside(context)),
    accept: (value, context) => kind.accept(value, inside(context)),
  };
}

const PROPS = properties({
  index: u32(UNSET),
  iobase: u32(UNSET),
  irq: u32(UNSET),
  chardev: ofUart(UART_PROPS.chardev),
  baudbase: ofUart(UART_PROPS.baudbase),
  wakeup: ofUart(UART_PROPS.wakeup),
});
const STATE = vmstate('serial', 3, { state: struct(UART_STATE) }, { minimumVersion: 2 });

/** How many ports of a machine took the next free number. */
const numbered = new WeakMap<MachineEnvironment, number>();

export class SerialIsa extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  readonly uart = objectInitialize(this, 'serial', Uart16550, 'serial');

  override realize(): void {
    const { props, uart } = this;
    if (props.index === UNSET) {
      props.index = numbered.get(this.env) ?? 0;
      numbered.set(this.env, props.index + 1);
    }
    if (props.index >= PORTS.length)
      throw new UserError(`Max. supported number of ISA serial ports is ${PORTS.length}.`);
    if (props.iobase === UNSET) props.iobase = PORTS[props.index]!;
    if (props.irq === UNSET) props.irq = IRQS[props.index]!;
    uart.irq.connect(this.isaIrq(props.irq));
    uart.s = this.state.state;
    Object.assign(uart.props, { chardev: props.chardev, baudbase: props.baudbase, wakeup: props.wakeup });
    deviceRealize(uart);
    this.mapPorts(props.iobase, 8, OPS, 'serial');
  }
  override unrealize(): void {
    this.uart.unrealize();
  }
  override reset(): void {
    this.uart.reset();
  }
  postLoad(): void {
    this.uart.s = this.state.state;
    this.uart.postLoad();
  }
}

const OPS: MemoryRegionOps<SerialIsa> = {
  impl: { min: 1, max: 1 },
  read: (device, register) => device.uart.read(register),
  write: (device, register, value) => device.uart.write(register, value),
};

export const serialIsaType = deviceType({
  name: 'isa-serial',
  parent: 'isa-device',
  category: 'input',
  class: SerialIsa,
  properties: PROPS,
  vmstate: STATE,
});
export const serialTypes = [uart16550Type, serialIsaType];
