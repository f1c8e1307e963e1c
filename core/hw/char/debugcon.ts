/** The Bochs debug console: a port whose bytes go to a character device, and which reads as a known value so that firmware can find it. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { UserError } from '../../util/errors.ts';
import { chardev } from '../core/chardev-property.ts';
import { deviceType } from '../core/device.ts';
import { properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const PROPS = properties({ iobase: u32(0xe9), chardev: chardev(), readback: u32(0xe9) });

export class DebugConsole extends IsaDevice<typeof PROPS> {
  override realize(): void {
    const { chardev: output, iobase } = this.props;
    if (!output) throw new UserError("Can't create debugcon device, empty char device");
    output.attach({ canReceive: () => 0, receive() {} });
    this.mapPorts(iobase, 1, OPS, this.typeName);
  }
  override unrealize(): void {
    this.props.chardev?.detach();
  }
}

const OPS: MemoryRegionOps<DebugConsole> = {
  valid: { min: 1, max: 1 },
  read: (device) => device.props.readback & 0xff,
  write: (device, _, value) => void device.props.chardev?.write(Uint8Array.of(value)),
};

export const debugconType = deviceType({
  name: 'isa-debugcon',
  parent: 'isa-device',
  category: 'misc',
  class: DebugConsole,
  properties: PROPS,
});
