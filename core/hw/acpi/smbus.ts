/** The SMBus (System Management Bus specification 2.0) and what sits on it: EEPROMs such as memory modules have. */
import type { TypeInfo } from '../../qom/type.ts';
import { bool, buffer, i32, struct, u8, vmstate } from '../../vmstate/fields.ts';
import { Bus, Device, deviceNew, deviceRealize, deviceType } from '../core/device.ts';
import { properties, u8 as u8Property } from '../core/properties.ts';

/** A device that answers at an address. */
export interface SmbusTarget {
  readonly busAddress: number;
  /** Takes what a write transaction brings; the first byte is the command code. */
  smbusWrite(bytes: readonly number[]): void;
  /** The next byte of a read transaction. */
  smbusRead(): number;
}

export const I2C_BUS_STATE = vmstate('i2c_bus', 1, { saved_address: u8() });

export class I2cBus extends Bus {
  readonly vmstate = I2C_BUS_STATE;
  readonly state = I2C_BUS_STATE.create();

  target(address: number): SmbusTarget | null {
    for (const child of this.children) {
      const candidate = child as Device & Partial<SmbusTarget>;
      if (candidate.busAddress === address && candidate.smbusRead) return candidate as Device & SmbusTarget;
    }
    return null;
  }
}

const EEPROM_BYTES = 256;
const PROPS = properties({ address: u8Property(0) });
const SLAVE_STATE = vmstate('I2CSlave', 1, { address: u8() });
const SMBUS_STATE = vmstate('smbus-device', 1, {
  i2c: struct(SLAVE_STATE),
  mode: i32(),
  data_len: i32(),
  data_buf: buffer(34),
});
const STATE = vmstate('smbus-eeprom', 1, {
  smbusdev: struct(SMBUS_STATE),
  data: buffer(EEPROM_BYTES),
  offset: u8(),
  accessed: bool(),
});

/** 256 bytes behind an address register that counts up. */
export class SmbusEeprom extends Device<typeof PROPS, typeof STATE.fields> implements SmbusTarget {
  /** What it holds at power-on. */
  readonly contents = new Uint8Array(EEPROM_BYTES);

  get busAddress(): number {
    return this.props.address;
  }
  override reset(): void {
    super.reset();
    this.state.smbusdev.i2c.address = this.props.address;
    this.state.data.set(this.contents);
  }
  smbusWrite(bytes: readonly number[]): void {
    const { state } = this;
    state.accessed = true;
    bytes.forEach((byte, i) => {
      if (i > 0) {
        state.data[state.offset] = byte;
        state.offset = (state.offset + 1) & 0xff;
      } else state.offset = byte;
    });
  }
  smbusRead(): number {
    const { state } = this;
    state.accessed = true;
    const byte = state.data[state.offset]!;
    state.offset = (state.offset + 1) & 0xff;
    return byte;
  }
}

/** Puts the memory modules' EEPROMs on a bus: addresses 0x50 to 0x57. */
export function addEeproms(bus: I2cBus, count = 8): void {
  for (let i = 0; i < count; i++) {
    const eeprom = deviceNew(SmbusEeprom, 'smbus-eeprom');
    eeprom.props.address = 0x50 + i;
    deviceRealize(eeprom, bus);
  }
}

const i2cBusType: TypeInfo = { name: 'i2c-bus', parent: 'bus', instance: I2cBus };
const smbusDeviceType = deviceType({ name: 'smbus-device', parent: 'i2c-slave', abstract: true });
const i2cSlaveType = deviceType({ name: 'i2c-slave', abstract: true, busType: 'i2c-bus' });
const eepromType = deviceType({
  name: 'smbus-eeprom',
  parent: 'smbus-device',
  userCreatable: false,
  class: SmbusEeprom,
  properties: PROPS,
  vmstate: STATE,
});
export const smbusTypes = [i2cBusType, i2cSlaveType, smbusDeviceType, eepromType];
