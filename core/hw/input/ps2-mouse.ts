/** PS/2 mouse with Microsoft's wheel (IntelliMouse) and five-button (Explorer) extensions. Not modelled: the sample rate's pace (packets go when there is news and room). */
import type { InputEvent } from '../../backends/input/input-core.ts';
import { guestError } from '../../util/log.ts';
import { i32, struct, u8 as u8Field, vmstate } from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { ACK, NO_COMMAND, Ps2Device, RESEND, SELF_TEST_PASSED } from './ps2-device.ts';
import { PS2_COMMON, queuePush, queueRoom } from './ps2-queue.ts';

const COMMAND = {
  scale11: 0xe6,
  scale21: 0xe7,
  setResolution: 0xe8,
  getStatus: 0xe9,
  setStream: 0xea,
  poll: 0xeb,
  resetWrap: 0xec,
  setWrap: 0xee,
  setRemote: 0xf0,
  identify: 0xf2,
  setRate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  setDefaults: 0xf6,
  resend: 0xfe,
  reset: 0xff,
} as const;
const STATUS = { remote: 0x40, enabled: 0x20, scale21: 0x10 } as const;
const TYPE = { standard: 0, wheel: 3, explorer: 4 } as const;
/** Sample rates that a driver sets in a row to ask for an extension. */
const KNOCK = { wheel: [200, 100, 80], explorer: [200, 200, 80] } as const;
/** `mouse_detect_state`. */
const HEARD = { nothing: 0, first: 1, wheelSecond: 2, explorerSecond: 3 } as const;
const BUTTON = { left: 0x01, right: 0x02, middle: 0x04, side: 0x08, extra: 0x10 } as const;
const ALWAYS = 0x08;
/** Movement that nobody fetches is kept up to here. */
const MAX_MOVE = 1 << 16;
/** Counts at scaling 2:1; from six on they double. */
const SCALED = [0, 1, 1, 3, 6, 9] as const;

const STATE = vmstate('ps2mouse', 2, {
  parent_obj: struct(PS2_COMMON),
  mouse_status: u8Field(),
  mouse_resolution: u8Field(2),
  mouse_sample_rate: u8Field(100),
  mouse_wrap: u8Field(),
  mouse_type: u8Field(TYPE.standard),
  mouse_detect_state: u8Field(HEARD.nothing),
  mouse_dx: i32(),
  mouse_dy: i32(),
  mouse_dz: i32(),
  mouse_buttons: u8Field(),
});

export class Ps2Mouse extends Ps2Device<typeof STATE.fields> {
  private unregister: () => void = () => {};

  override realize(): void {
    const handler = this.env.input.register({
      name: 'QEMU PS/2 Mouse',
      mask: ['btn', 'rel'],
      event: (event) => this.event(event),
      sync: () => this.sync(),
    });
    this.unregister = () => handler.unregister();
  }
  override unrealize(): void {
    this.unregister();
  }
  override reset(): void {
    super.reset();
    this.updateIrq();
  }

  private event(event: InputEvent): void {
    const { state } = this;
    if (!(state.mouse_status & STATUS.enabled)) return;
    if (event.type === 'rel') {
      const add = (old: number, by: number) => Math.max(-MAX_MOVE, Math.min(MAX_MOVE, old + by));
      if (event.axis === 'x') state.mouse_dx = add(state.mouse_dx, event.value);
      else state.mouse_dy = add(state.mouse_dy, -event.value);
    } else if (event.type === 'btn') {
      if (event.button === 'wheel-up' || event.button === 'wheel-down') {
        if (event.down) state.mouse_dz += event.button === 'wheel-up' ? -1 : 1;
        return;
      }
      const bit = (BUTTON as Readonly<Record<string, number>>)[event.button] ?? 0;
      if (event.down) state.mouse_buttons |= bit;
      else state.mouse_buttons &= ~bit;
    }
  }
  private get hasMoved(): boolean {
    const { mouse_dx, mouse_dy, mouse_dz } = this.state;
    return mouse_dx !== 0 || mouse_dy !== 0 || mouse_dz !== 0;
  }
  private get isStreaming(): boolean {
    return (this.state.mouse_status & (STATUS.enabled | STATUS.remote)) === STATUS.enabled;
  }
  private sync(): void {
    if (this.state.mouse_status & STATUS.enabled && this.state.mouse_buttons) this.env.requestWakeup('other');
    if (!this.isStreaming) return;
    do {
      if (!this.sendPacket()) break;
    } while (this.hasMoved);
    this.updateIrq();
  }
  protected override taken(): void {
    if (this.isStreaming && this.hasMoved) this.sync();
  }

  private packet(isStream: boolean): number[] {
    const { state } = this;
    const take = (value: number, low: number, high: number) => Math.max(low, Math.min(high, value));
    const dx = take(state.mouse_dx, -127, 127);
    const dy = take(state.mouse_dy, -127, 127);
    state.mouse_dx -= dx;
    state.mouse_dy -= dy;
    const scale = (value: number) => {
      if (!isStream || !(state.mouse_status & STATUS.scale21)) return value;
      const size = Math.abs(value);
      return Math.sign(value) * Math.min(255, SCALED[size] ?? 2 * size);
    };
    const [x, y] = [scale(dx), scale(dy)];
    const bytes = [ALWAYS | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0) | (state.mouse_buttons & 0x07), x & 0xff, y & 0xff];
    if (state.mouse_type === TYPE.wheel) {
      const dz = take(state.mouse_dz, -127, 127);
      state.mouse_dz -= dz;
      bytes.push(dz & 0xff);
    } else if (state.mouse_type === TYPE.explorer) {
      const dz = take(state.mouse_dz, -8, 7);
      state.mouse_dz -= dz;
      bytes.push((dz & 0x0f) | ((state.mouse_buttons & 0x18) << 1));
    } else state.mouse_dz = 0;
    return bytes;
  }
  private sendPacket(): boolean {
    if (queueRoom(this.queue) < (this.state.mouse_type === TYPE.standard ? 3 : 4)) return false;
    return queuePush(this.queue, this.packet(true));
  }

  private setDefaults(): void {
    const { state } = this;
    state.mouse_sample_rate = 100;
    state.mouse_resolution = 2;
    state.mouse_status = 0;
    state.mouse_dx = state.mouse_dy = state.mouse_dz = 0;
    this.clearQueue();
  }
  private ack(): void {
    this.reply(ACK);
  }

  write(byte: number): void {
    const { state, queue } = this;
    const pending = queue.write_cmd;
    if (pending !== NO_COMMAND) {
      queue.write_cmd = NO_COMMAND;
      this.parameter(pending, byte);
      return;
    }
    if (state.mouse_wrap && byte !== COMMAND.resetWrap && byte !== COMMAND.reset) {
      this.reply(byte);
      return;
    }
    switch (byte) {
      case COMMAND.scale11:
        state.mouse_status &= ~STATUS.scale21;
        this.ack();
        break;
      case COMMAND.scale21:
        state.mouse_status |= STATUS.scale21;
        this.ack();
        break;
      case COMMAND.setResolution:
      case COMMAND.setRate:
        queue.write_cmd = byte;
        this.ack();
        break;
      case COMMAND.getStatus:
        this.reply(ACK, this.statusByte(), state.mouse_resolution, state.mouse_sample_rate);
        break;
      case COMMAND.poll:
        this.reply(ACK, ...this.packet(false));
        break;
      case COMMAND.setStream:
        state.mouse_status &= ~STATUS.remote;
        this.ack();
        break;
      case COMMAND.setRemote:
        state.mouse_status |= STATUS.remote;
        this.ack();
        break;
      case COMMAND.setWrap:
      case COMMAND.resetWrap:
        state.mouse_wrap = byte === COMMAND.setWrap ? 1 : 0;
        this.ack();
        break;
      case COMMAND.identify:
        this.reply(ACK, state.mouse_type);
        break;
      case COMMAND.enable:
        state.mouse_status |= STATUS.enabled;
        this.ack();
        break;
      case COMMAND.disable:
        state.mouse_status &= ~STATUS.enabled;
        this.ack();
        break;
      case COMMAND.setDefaults:
        this.setDefaults();
        this.ack();
        break;
      case COMMAND.reset:
        this.setDefaults();
        state.mouse_type = TYPE.standard;
        state.mouse_wrap = 0;
        state.mouse_detect_state = HEARD.nothing;
        this.reply(ACK, SELF_TEST_PASSED, state.mouse_type);
        break;
      case COMMAND.resend:
        this.resend();
        break;
      default:
        guestError('ps2-mouse', `unknown command 0x${byte.toString(16)}`);
        this.reply(RESEND);
    }
  }
  private statusByte(): number {
    const { mouse_status: status, mouse_buttons: buttons } = this.state;
    return (
      status | (buttons & BUTTON.left ? 4 : 0) | (buttons & BUTTON.middle ? 2 : 0) | (buttons & BUTTON.right ? 1 : 0)
    );
  }
  private parameter(command: number, value: number): void {
    const { state } = this;
    if (command === COMMAND.setResolution) state.mouse_resolution = value & 3;
    else {
      state.mouse_sample_rate = value;
      this.hearRate(value);
    }
    this.ack();
  }
  private hearRate(rate: number): void {
    const { state } = this;
    const heard = state.mouse_detect_state;
    let next: number = rate === KNOCK.wheel[0] ? HEARD.first : HEARD.nothing;
    if (heard === HEARD.first) {
      if (rate === KNOCK.wheel[1]) next = HEARD.wheelSecond;
      else if (rate === KNOCK.explorer[1]) next = HEARD.explorerSecond;
    } else if (heard === HEARD.wheelSecond && rate === KNOCK.wheel[2]) state.mouse_type = TYPE.wheel;
    else if (heard === HEARD.explorerSecond && rate === KNOCK.explorer[2]) state.mouse_type = TYPE.explorer;
    state.mouse_detect_state = next;
  }
}

export const ps2MouseType = deviceType({
  name: 'ps2-mouse',
  parent: 'ps2-device',
  category: 'input',
  class: Ps2Mouse,
  vmstate: STATE,
  userCreatable: false,
});
