/** QEMU's port that ends the program with a code, for tests of guests: writing `n` exits with `n << 1 | 1`. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { deviceType } from '../core/device.ts';
import { properties, u32 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';

const PROPS = properties({ iobase: u32(0x501), iosize: u32(0x02) });

export class DebugExit extends IsaDevice<typeof PROPS> {
  override realize(): void {
    this.mapPorts(this.props.iobase, this.props.iosize, OPS, 'isa-debug-exit');
  }
}

const OPS: MemoryRegionOps<DebugExit> = {
  valid: { min: 1, max: 4 },
  read: () => 0,
  write: (device, _, value) => device.env.requestExit(((value << 1) | 1) & 0xff),
};

export const debugExitType = deviceType({
  name: 'isa-debug-exit',
  parent: 'isa-device',
  category: 'misc',
  class: DebugExit,
  properties: PROPS,
});
