/** The main system bus: devices that are wired to the board itself, with memory and pins instead of a bus address (QEMU's sysbus). */
import { typeRegister } from '../../qom/type.ts';
import { Bus, type Device, deviceRealize } from './device.ts';

export class SystemBus extends Bus {
  /** Plugs and realizes. */
  plug(device: Device): void {
    deviceRealize(device, this);
  }
  /** Takes in a device that was realized on its own. */
  adopt(device: Device): void {
    this.attach(device);
    device.parentBus = this;
  }
}

typeRegister({ name: 'System', parent: 'bus', instance: SystemBus });
