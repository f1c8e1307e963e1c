/** The Bochs debug console: a port whose bytes go to a character device, and which reads as a known value so that firmware can find it. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { UserError } from '../../util/errors.ts';
import { chardev } from '../core/chardev-property.ts';
import { deviceType } from '../core/device.ts';
import { properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const OUTPUT_LIMIT = 1 << 20;

const PROPS = properties({ iobase: u32(0xe9), chardev: chardev(), readback: u32(0xe9) });

export class DebugConsole extends IsaDevice<typeof PROPS> {
  override realize(): void {
    const { chardev: output, iobase } = this.props;
    if (!output) throw new UserError("Can't create debugcon device, empty char device");
    output.attach({ canReceive: () => 0, receive() {} });
    this.mapPorts(iobase, 1, OPS, this.typeName);
  }
  /** The port cannot say "later": what the host does not take in time is lost. */
  write(value: number): void {
    const { chardev: output } = this.props;
    if (output && output.queuedBytes < OUTPUT_LIMIT) output.write(Uint8Array.of(value));
  }
  override unrealize(): void {
    this.props.chardev?.detach();
  }
}

const OPS: MemoryRegionOps<DebugConsole> = {
  valid: { min: 1, max: 1 },
  read: (device) => device.props.readback & 0xff,
  write: (device, _, value) => device.write(value),
};

export const debugconType = deviceType({
  name: 'isa-debugcon',
  parent: 'isa-device',
  category: 'misc',
  class: DebugConsole,
  properties: PROPS,
});
