/**
 * PS/2 keyboard (IBM Enhanced, "MF II"): scancode sets 1 to 3, commands, lamps. Translation to set 1, a job of the controller's,
 * is done here as its bytes are queued. Not modelled: typematic repeat (the host's keyboard repeats), set 3's per-key modes.
 */
import type { QKeyCode } from '../../backends/input/qkeycodes.ts';
import { guestError } from '../../util/log.ts';
import { bool, i32, since, struct, vmstate } from '../../vmstate/fields.ts';
import { deviceType } from '../core/device.ts';
import { ACK, NO_COMMAND, Ps2Device, REPLY_QUEUE, RESEND, SELF_TEST_PASSED } from './ps2-device.ts';
import { PS2_COMMON, queuePush, queueRoom } from './ps2-queue.ts';
import { keySequence, translateSet2 } from './scancodes.ts';

const COMMAND = {
  setLeds: 0xed,
  echo: 0xee,
  scancodeSet: 0xf0,
  identify: 0xf2,
  setRate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  setDefaults: 0xf6,
  allTypematic: 0xf7,
  allMakeBreak: 0xf8,
  allMake: 0xf9,
  allTypematicMakeBreak: 0xfa,
  keyTypematic: 0xfb,
  keyMakeBreak: 0xfc,
  keyMake: 0xfd,
  resend: 0xfe,
  reset: 0xff,
} as const;
const ID = [0xab, 0x83] as const;
const BREAK = 0xf0;
const LED_MASK = 7;
/** Keys that wait for room in the queue, so that no release is ever lost. */
const MAX_WAITING_KEYS = 256;

const LEDS = vmstate('ps2kbd/ledstate', 3, { ledstate: i32() }, { minimumVersion: 2 });
const HIGH_BIT = vmstate('ps2kbd/need_high_bit', 1, { need_high_bit: bool(false) });
const STATE = vmstate(
  'ps2kbd',
  3,
  {
    parent_obj: struct(PS2_COMMON),
    scan_enabled: i32(1),
    translate: i32(),
    scancode_set: since(3, i32(2)),
  },
  {
    minimumVersion: 2,
    subsections: [
      {
        description: LEDS,
        needed: (owner) => (owner as { leds: { ledstate: number } }).leds.ledstate !== 0,
        state: (owner) => (owner as { leds: Record<string, unknown> }).leds,
      },
      {
        description: HIGH_BIT,
        needed: (owner) => (owner as { highBit: { need_high_bit: boolean } }).highBit.need_high_bit,
        state: (owner) => (owner as { highBit: Record<string, unknown> }).highBit,
      },
      {
        description: REPLY_QUEUE,
        needed: (owner) => (owner as { replyQueue: { cwptr: number } }).replyQueue.cwptr >= 0,
        state: (owner) => (owner as { replyQueue: Record<string, unknown> }).replyQueue,
      },
    ],
  },
);

export class Ps2Keyboard extends Ps2Device<typeof STATE.fields> {
  readonly leds = LEDS.create();
  readonly highBit = HIGH_BIT.create();
  private readonly held = new Set<QKeyCode>();
  private waiting: { readonly key: QKeyCode; readonly down: boolean }[] = [];
  private unregister: () => void = () => {};

  override realize(): void {
    const handler = this.env.input.register({
      name: 'QEMU PS/2 Keyboard',
      mask: ['key'],
      event: (event) => {
        if (event.type === 'key') this.key(event.key, event.down);
      },
    });
    this.unregister = () => handler.unregister();
  }
  override unrealize(): void {
    this.unregister();
  }
  override reset(): void {
    super.reset();
    HIGH_BIT.reset(this.highBit);
    this.waiting = [];
    this.held.clear();
    this.setLeds(0);
    this.updateIrq();
  }

  /** The controller's translation bit. */
  setTranslation(isOn: boolean): void {
    this.state.translate = isOn ? 1 : 0;
  }

  private key(key: QKeyCode, down: boolean): void {
    this.env.requestWakeup('other');
    if (down) this.held.add(key);
    else this.held.delete(key);
    if (!this.state.scan_enabled) return;
    if (this.waiting.length < MAX_WAITING_KEYS) this.waiting.push({ key, down });
    this.sendWaiting();
  }
  private sendWaiting(): void {
    for (;;) {
      const next = this.waiting[0];
      if (!next || !this.send(next.key, next.down)) return;
      this.waiting.shift();
    }
  }
  private send(key: QKeyCode, down: boolean): boolean {
    const { state, held } = this;
    const has = (...keys: QKeyCode[]) => keys.some((k) => held.has(k));
    const modifiers = { alt: has('alt', 'alt_r'), ctrl: has('ctrl', 'ctrl_r'), shift: has('shift', 'shift_r') };
    // Translated set 1 codes would be translated twice; real keyboards have the same trouble.
    const bytes = keySequence(state.scancode_set, key, down, modifiers);
    if (bytes.length > queueRoom(this.queue)) return false;
    if (queuePush(this.queue, state.translate ? this.translated(bytes) : bytes)) this.updateIrq();
    return true;
  }
  private translated(bytes: readonly number[]): number[] {
    return bytes.flatMap((byte) => {
      if (byte === BREAK) {
        this.highBit.need_high_bit = true;
        return [];
      }
      const bit = this.highBit.need_high_bit && byte !== 0xe0 && byte !== 0xe1 ? 0x80 : 0;
      if (bit) this.highBit.need_high_bit = false;
      return [translateSet2(byte) | bit];
    });
  }
  protected override taken(): void {
    this.sendWaiting();
  }

  private setLeds(leds: number): void {
    this.leds.ledstate = leds & LED_MASK;
    this.env.input.putLedState(this.leds.ledstate);
  }
  private setDefaults(isEnabled: boolean): void {
    const { state } = this;
    state.scan_enabled = isEnabled ? 1 : 0;
    state.scancode_set = 2;
    this.clearQueue();
    this.waiting = [];
    this.setLeds(0);
  }

  write(byte: number): void {
    const { queue, state } = this;
    const pending = queue.write_cmd;
    if (pending !== NO_COMMAND && byte < COMMAND.setLeds) {
      queue.write_cmd = NO_COMMAND;
      this.parameter(pending, byte);
      return;
    }
    queue.write_cmd = NO_COMMAND;
    switch (byte) {
      case COMMAND.echo:
        this.reply(COMMAND.echo);
        break;
      case COMMAND.identify:
        this.reply(ACK, ID[0], state.translate ? translateSet2(ID[1]) : ID[1]);
        break;
      case COMMAND.enable:
        state.scan_enabled = 1;
        this.reply(ACK);
        break;
      case COMMAND.disable:
        this.setDefaults(false);
        this.reply(ACK);
        break;
      case COMMAND.setDefaults:
        this.setDefaults(true);
        this.reply(ACK);
        break;
      case COMMAND.reset:
        this.setDefaults(true);
        this.reply(ACK, SELF_TEST_PASSED);
        break;
      case COMMAND.resend:
        this.resend();
        break;
      case COMMAND.allTypematic:
      case COMMAND.allMakeBreak:
      case COMMAND.allMake:
      case COMMAND.allTypematicMakeBreak:
        this.reply(ACK);
        break;
      case COMMAND.setLeds:
      case COMMAND.scancodeSet:
      case COMMAND.setRate:
      case COMMAND.keyTypematic:
      case COMMAND.keyMakeBreak:
      case COMMAND.keyMake:
        queue.write_cmd = byte;
        this.reply(ACK);
        break;
      default:
        guestError('ps2-kbd', `unknown command 0x${byte.toString(16)}`);
        this.reply(RESEND);
    }
  }
  private parameter(command: number, value: number): void {
    const { state } = this;
    switch (command) {
      case COMMAND.setLeds:
        this.setLeds(value);
        this.reply(ACK);
        break;
      case COMMAND.scancodeSet:
        if (value === 0) {
          const set = state.scancode_set;
          this.reply(ACK, state.translate ? translateSet2(set) : set);
        } else if (value <= 3) {
          state.scancode_set = value;
          this.reply(ACK);
        } else this.reply(RESEND);
        break;
      default:
        this.reply(ACK);
    }
  }

  override postLoad(): void {
    super.postLoad();
    const { state } = this;
    if (state.scancode_set < 1 || state.scancode_set > 3) state.scancode_set = 2;
    this.env.input.putLedState(this.leds.ledstate);
  }
}

export const ps2KbdType = deviceType({
  name: 'ps2-kbd',
  parent: 'ps2-device',
  category: 'input',
  class: Ps2Keyboard,
  vmstate: STATE,
  userCreatable: false,
});
