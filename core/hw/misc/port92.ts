/** System control port A (port 92h of the PS/2): fast A20 gate and fast reset. Not modelled: the other bits, which are just kept. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { u8 as u8Field, vmstate } from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const PORT = 0x92;
const RESET = 0x01;
const A20 = 0x02;

const STATE = vmstate('port92', 1, { outport: u8Field() });

export class Port92 extends IsaDevice<Record<never, never>, typeof STATE.fields> {
  /** High opens address line 20. */
  readonly a20 = this.outPin('a20');

  override realize(): void {
    this.mapPorts(PORT, 1, OPS, 'port92');
  }
  override reset(): void {
    this.state.outport = 0; // the gate itself is the machine's to reset
  }
  write(value: number): void {
    const old = this.state.outport;
    this.state.outport = value;
    this.a20.set(value & A20 ? 1 : 0);
    if (value & RESET && !(old & RESET)) this.env.requestReset('guest-reset');
  }
}

const OPS: MemoryRegionOps<Port92> = {
  impl: { min: 1, max: 1 },
  read: (port) => port.state.outport,
  write: (port, _, value) => port.write(value),
};

export const port92Type = deviceType({
  name: 'port92',
  parent: 'isa-device',
  class: Port92,
  vmstate: STATE,
  userCreatable: false,
});
