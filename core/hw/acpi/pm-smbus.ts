/** SMBus host controller of the PIIX4 (82371AB data sheet 290562, 7.3): transactions finish as soon as they are started. Not modelled: block process calls, slave functions. */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { bool, buffer, u8, u32, vmstate } from '../../vmstate/fields.ts';
import type { I2cBus, SmbusTarget } from './smbus.ts';

const BLOCK_MAX = 32;
const STATUS = {
  busy: 0x01,
  interrupt: 0x02,
  deviceError: 0x04,
  busError: 0x08,
  failed: 0x10,
  byteDone: 0x80,
} as const;
const CONTROL = { interruptEnable: 0x01, kill: 0x02, start: 0x40 } as const;
const PROTOCOL = { quick: 0, byte: 1, byteData: 2, wordData: 3, processCall: 4, block: 5 } as const;

export const SMB_STATE = vmstate('pmsmb', 1, {
  smb_stat: u8(),
  smb_ctl: u8(),
  smb_cmd: u8(),
  smb_addr: u8(),
  smb_data0: u8(),
  smb_data1: u8(),
  smb_index: u32(),
  smb_data: buffer(BLOCK_MAX),
  smb_auxctl: u8(2), // block transfers through the buffer: the only way that is modelled
  smb_blkdata: u8(),
  i2c_enable: bool(),
  op_done: bool(true),
  in_i2c_block_read: bool(),
  start_transaction_on_status_read: bool(),
});
type SmbState = ReturnType<typeof SMB_STATE.create>;

export class SmbusController {
  private readonly bus: I2cBus;
  private readonly stateOf: () => SmbState;

  constructor(bus: I2cBus, stateOf: () => SmbState) {
    this.bus = bus;
    this.stateOf = stateOf;
  }

  read(offset: number): number {
    const state = this.stateOf();
    switch (offset) {
      case 0x00:
        return state.smb_stat;
      case 0x02:
        state.smb_index = 0;
        return state.smb_ctl & 0x1f;
      case 0x03:
        return state.smb_cmd;
      case 0x04:
        return state.smb_addr;
      case 0x05:
        return state.smb_data0;
      case 0x06:
        return state.smb_data1;
      case 0x07: {
        const byte = state.smb_data[state.smb_index % BLOCK_MAX]!;
        state.smb_index = (state.smb_index + 1) % BLOCK_MAX;
        return byte;
      }
      case 0x0d:
        return state.smb_auxctl;
      default:
        return 0;
    }
  }
  write(offset: number, value: number): void {
    const state = this.stateOf();
    switch (offset) {
      case 0x00:
        state.smb_stat &= ~(value & ~STATUS.busy);
        break;
      case 0x02:
        state.smb_ctl = value & ~CONTROL.start;
        if (value & CONTROL.kill) state.smb_stat |= STATUS.failed;
        else if (value & CONTROL.start) this.run(state);
        break;
      case 0x03:
        state.smb_cmd = value;
        break;
      case 0x04:
        state.smb_addr = value;
        break;
      case 0x05:
        state.smb_data0 = value;
        break;
      case 0x06:
        state.smb_data1 = value;
        break;
      case 0x07:
        state.smb_data[state.smb_index % BLOCK_MAX] = value;
        state.smb_index = (state.smb_index + 1) % BLOCK_MAX;
        break;
      case 0x0d:
        state.smb_auxctl = value & 3;
        break;
    }
  }

  private run(state: SmbState): void {
    const target = this.bus.target(state.smb_addr >> 1);
    const isRead = (state.smb_addr & 1) !== 0;
    state.smb_index = 0;
    const isDone = target !== null && transact(target, state, (state.smb_ctl >> 2) & 7, isRead);
    state.smb_stat |= isDone ? STATUS.interrupt : STATUS.deviceError;
  }
}

/** Returns false for a protocol that there is not. */
function transact(target: SmbusTarget, state: SmbState, protocol: number, isRead: boolean): boolean {
  switch (protocol) {
    case PROTOCOL.quick:
      return true;
    case PROTOCOL.byte:
      if (isRead) state.smb_data0 = target.smbusRead();
      else target.smbusWrite([state.smb_cmd]);
      return true;
    case PROTOCOL.byteData:
      if (isRead) {
        target.smbusWrite([state.smb_cmd]);
        state.smb_data0 = target.smbusRead();
      } else target.smbusWrite([state.smb_cmd, state.smb_data0]);
      return true;
    case PROTOCOL.wordData:
      if (isRead) {
        target.smbusWrite([state.smb_cmd]);
        state.smb_data0 = target.smbusRead();
        state.smb_data1 = target.smbusRead();
      } else target.smbusWrite([state.smb_cmd, state.smb_data0, state.smb_data1]);
      return true;
    case PROTOCOL.processCall:
      target.smbusWrite([state.smb_cmd, state.smb_data0, state.smb_data1]);
      state.smb_data0 = target.smbusRead();
      state.smb_data1 = target.smbusRead();
      return true;
    case PROTOCOL.block: {
      if (isRead) {
        target.smbusWrite([state.smb_cmd]);
        const count = Math.min(BLOCK_MAX, target.smbusRead());
        for (let i = 0; i < count; i++) state.smb_data[i] = target.smbusRead();
        state.smb_data0 = count;
      } else {
        const count = Math.min(BLOCK_MAX, state.smb_data0);
        target.smbusWrite([state.smb_cmd, count, ...state.smb_data.subarray(0, count)]);
      }
      return true;
    }
    default:
      return false;
  }
}

export const SMBUS_OPS: MemoryRegionOps<SmbusController> = {
  read: (controller, offset) => controller.read(offset),
  write: (controller, offset, value) => controller.write(offset, value),
  valid: { min: 1, max: 1 },
};
