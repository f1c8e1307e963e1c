/**
 * The PC's keyboard controller (Intel 8042 with the PS/2 firmware): two PS/2 ports, A20 gate, system reset.
 * Not modelled: the controller's own RAM beyond the command byte, passwords, test inputs, key lock.
 */
import type { MemoryRegionOps } from '../../memory/region.ts';
import { objectInitialize } from '../../qom/object.ts';
import { guestError } from '../../util/log.ts';
import { struct, u8 as u8Field, u32 as u32Field, vmstate } from '../../vmstate/fields.ts';
import { deviceRealize, deviceType } from '../core/device.ts';
import { bool, properties, u8 } from '../core/properties.ts';
import { IsaDevice } from '../isa/isa-bus.ts';
import { Ps2Keyboard } from './ps2-kbd.ts';
import { Ps2Mouse } from './ps2-mouse.ts';

const PORT = { data: 0x60, command: 0x64 } as const;
const STATUS = { outputFull: 0x01, selfTest: 0x04, command: 0x08, unlocked: 0x10, auxFull: 0x20 } as const;
/** The command byte. */
const MODE = {
  kbdInterrupt: 0x01,
  auxInterrupt: 0x02,
  system: 0x04,
  disableKbd: 0x10,
  disableAux: 0x20,
  translate: 0x40,
} as const;
const OUTPORT = { reset: 0x01, a20: 0x02, kbdFull: 0x10, auxFull: 0x20, ones: 0xcc } as const;
/** `pending_tmp`: who has a byte for the output buffer. The devices' bits are those that disable them in the command byte. */
const PENDING = { controllerKbd: 0x04, controllerAux: 0x08, kbd: 0x10, aux: 0x20 } as const;
/** `obsrc`: whose byte the output buffer holds. */
const SOURCE = { kbd: 0x01, aux: 0x02, controller: 0x04 } as const;
const COMMAND = {
  readMode: 0x20,
  writeMode: 0x60,
  disableAux: 0xa7,
  enableAux: 0xa8,
  testAux: 0xa9,
  selfTest: 0xaa,
  testKbd: 0xab,
  disableKbd: 0xad,
  enableKbd: 0xae,
  readInputPort: 0xc0,
  readOutport: 0xd0,
  writeOutport: 0xd1,
  writeKbdBuffer: 0xd2,
  writeAuxBuffer: 0xd3,
  writeAux: 0xd4,
  disableA20: 0xdd,
  enableA20: 0xdf,
  pulse: 0xf0,
} as const;
const SELF_TEST_OK = 0x55;
const INTERFACE_OK = 0x00;
const NOT_LOCKED = 0x80;

const PROPS = properties({
  'extended-state': bool(true),
  'kbd-throttle': bool(false),
  'kbd-irq': u8(1),
  'mouse-irq': u8(12),
});
interface Parts {
  readonly outport: { outport: number };
  readonly extended: Record<string, unknown>;
}
const OUTPORT_STATE = vmstate('pckbd_outport', 1, { outport: u8Field(OUTPORT.reset | OUTPORT.a20 | OUTPORT.ones) });
const EXTENDED = vmstate('pckbd/extended_state', 0, {
  migration_flags: u32Field(),
  obsrc: u32Field(),
  obdata: u8Field(),
  cbdata: u8Field(),
});
const CONTROLLER = vmstate(
  'pckbd',
  3,
  {
    write_cmd: u8Field(0, 'Command that waits for its data byte'),
    status: u8Field(STATUS.command | STATUS.unlocked),
    mode: u8Field(MODE.kbdInterrupt | MODE.auxInterrupt),
    pending_tmp: u8Field(),
  },
  {
    subsections: [
      {
        description: OUTPORT_STATE,
        needed: (owner) => (owner as Parts).outport.outport !== (OUTPORT.reset | OUTPORT.a20 | OUTPORT.ones),
        state: (owner) => (owner as Parts).outport,
      },
      { description: EXTENDED, needed: () => true, state: (owner) => (owner as Parts).extended },
    ],
  },
);
const STATE = vmstate('pckbd', 3, { kbd: struct(CONTROLLER) });

export class I8042 extends IsaDevice<typeof PROPS, typeof STATE.fields> {
  private readonly kbdIrq = this.outPin();
  private readonly auxIrq = this.outPin();
  /** High opens address line 20. */
  readonly a20 = this.outPin('a20');
  readonly kbdInput = this.inPin('ps2-kbd-input-irq', 1, (level) => this.devicePending(PENDING.kbd, level));
  readonly auxInput = this.inPin('ps2-mouse-input-irq', 1, (level) => this.devicePending(PENDING.aux, level));
  readonly kbd = objectInitialize(this, 'ps2kbd', Ps2Keyboard, 'ps2-kbd');
  readonly mouse = objectInitialize(this, 'ps2mouse', Ps2Mouse, 'ps2-mouse');
  readonly outport = OUTPORT_STATE.create();
  readonly extended = EXTENDED.create();

  override realize(): void {
    this.mapPorts(PORT.data, 1, DATA_PORT, 'i8042-data');
    this.mapPorts(PORT.command, 1, COMMAND_PORT, 'i8042-cmd');
    deviceRealize(this.kbd);
    deviceRealize(this.mouse);
    this.kbd.irq.connect(this.kbdInput[0]!);
    this.mouse.irq.connect(this.auxInput[0]!);
  }
  override reset(): void {
    super.reset();
    OUTPORT_STATE.reset(this.outport);
    EXTENDED.reset(this.extended);
    this.kbd.reset();
    this.mouse.reset();
    this.updateIrqs();
  }
  private get c() {
    return this.state.kbd;
  }

  private updateIrqs(): void {
    const { status, mode } = this.c;
    const isFull = (status & STATUS.outputFull) !== 0;
    const isAux = (status & STATUS.auxFull) !== 0;
    this.kbdIrq.set(isFull && !isAux && mode & MODE.kbdInterrupt && !(mode & MODE.disableKbd) ? 1 : 0);
    this.auxIrq.set(isFull && isAux && mode & MODE.auxInterrupt ? 1 : 0);
  }
  private devicePending(bit: number, level: number): void {
    if (level) this.c.pending_tmp |= bit;
    else this.c.pending_tmp &= ~bit;
    this.fillBuffer();
  }
  /** Puts the next byte into the output buffer, if it is free and someone has one. */
  private fillBuffer(): void {
    const { c, outport, extended } = this;
    if (c.status & STATUS.outputFull) return;
    const pending = c.pending_tmp & ~(c.mode & (MODE.disableKbd | MODE.disableAux));
    if (pending === 0) return;
    const isController = (pending & (PENDING.controllerKbd | PENDING.controllerAux)) !== 0;
    const isKbd = (pending & (isController ? PENDING.controllerKbd : PENDING.kbd)) !== 0;
    extended.obsrc = isController ? SOURCE.controller : isKbd ? SOURCE.kbd : SOURCE.aux;
    c.status |= STATUS.outputFull | (isKbd ? 0 : STATUS.auxFull);
    outport.outport |= OUTPORT.kbdFull | (isKbd ? 0 : OUTPORT.auxFull);
    this.updateIrqs();
  }
  private queueOwn(byte: number, pending: number = PENDING.controllerKbd): void {
    this.extended.cbdata = byte;
    this.c.pending_tmp |= pending;
    this.fillBuffer();
  }

  readData(): number {
    const { c, extended } = this;
    if (!(c.status & STATUS.outputFull)) return extended.obdata;
    c.status &= ~(STATUS.outputFull | STATUS.auxFull);
    this.outport.outport &= ~(OUTPORT.kbdFull | OUTPORT.auxFull);
    this.updateIrqs();
    if (extended.obsrc === SOURCE.controller) {
      c.pending_tmp &= ~(PENDING.controllerKbd | PENDING.controllerAux);
      extended.obdata = extended.cbdata;
    } else {
      // The next byte must not overtake this one while its device announces it.
      c.status |= STATUS.outputFull;
      extended.obdata = extended.obsrc === SOURCE.aux ? this.mouse.read() : this.kbd.read();
      c.status &= ~STATUS.outputFull;
    }
    this.fillBuffer();
    return extended.obdata;
  }

  private setOutport(value: number): void {
    this.outport.outport = value;
    this.a20.set(value & OUTPORT.a20 ? 1 : 0);
    if (!(value & OUTPORT.reset)) this.env.requestReset('guest-reset');
  }
  private setA20(isOpen: boolean): void {
    this.a20.set(isOpen ? 1 : 0);
    if (isOpen) this.outport.outport |= OUTPORT.a20;
    else this.outport.outport &= ~OUTPORT.a20;
  }

  writeCommand(value: number): void {
    const { c } = this;
    switch (value) {
      case COMMAND.readMode:
        this.queueOwn(c.mode);
        break;
      case COMMAND.writeMode:
      case COMMAND.writeOutport:
      case COMMAND.writeKbdBuffer:
      case COMMAND.writeAuxBuffer:
      case COMMAND.writeAux:
        c.write_cmd = value;
        break;
      case COMMAND.disableAux:
        c.mode |= MODE.disableAux;
        break;
      case COMMAND.enableAux:
        c.mode &= ~MODE.disableAux;
        this.fillBuffer();
        break;
      case COMMAND.testAux:
      case COMMAND.testKbd:
        this.queueOwn(INTERFACE_OK);
        break;
      case COMMAND.selfTest:
        c.status |= STATUS.selfTest;
        this.queueOwn(SELF_TEST_OK);
        break;
      case COMMAND.disableKbd:
        c.mode |= MODE.disableKbd;
        break;
      case COMMAND.enableKbd:
        c.mode &= ~MODE.disableKbd;
        this.fillBuffer();
        break;
      case COMMAND.readInputPort:
        this.queueOwn(NOT_LOCKED);
        break;
      case COMMAND.readOutport:
        this.queueOwn(this.outport.outport);
        break;
      case COMMAND.disableA20:
        this.setA20(false);
        break;
      case COMMAND.enableA20:
        this.setA20(true);
        break;
      default:
        // F0h to FFh pull the output port's low bits down for a moment; bit 0 is the reset line.
        if (value >= COMMAND.pulse) {
          if (!(value & OUTPORT.reset)) this.env.requestReset('guest-reset');
        } else guestError('i8042', `unsupported command 0x${value.toString(16)}`);
    }
  }
  writeData(value: number): void {
    const { c } = this;
    const command = c.write_cmd;
    c.write_cmd = 0;
    switch (command) {
      case COMMAND.writeMode:
        c.mode = value;
        this.kbd.setTranslation((value & MODE.translate) !== 0);
        this.updateIrqs();
        this.fillBuffer();
        break;
      case COMMAND.writeOutport:
        this.setOutport(value);
        break;
      case COMMAND.writeKbdBuffer:
        this.queueOwn(value);
        break;
      case COMMAND.writeAuxBuffer:
        this.queueOwn(value, PENDING.controllerAux);
        break;
      case COMMAND.writeAux:
        c.mode &= ~MODE.disableAux;
        this.mouse.write(value);
        this.fillBuffer();
        break;
      default:
        // A byte for the keyboard opens its port again.
        c.mode &= ~MODE.disableKbd;
        this.kbd.write(value);
        this.fillBuffer();
    }
  }

  postLoad(): void {
    this.kbd.postLoad();
    this.mouse.postLoad();
    this.updateIrqs();
  }
}

const BYTES = { min: 1, max: 1 } as const;
const DATA_PORT: MemoryRegionOps<I8042> = {
  impl: BYTES,
  read: (device) => device.readData(),
  write: (device, _, value) => device.writeData(value),
};
const COMMAND_PORT: MemoryRegionOps<I8042> = {
  impl: BYTES,
  read: (device) => device.state.kbd.status,
  write: (device, _, value) => device.writeCommand(value),
};

export const i8042Type = deviceType({
  name: 'i8042',
  parent: 'isa-device',
  category: 'input',
  class: I8042,
  properties: PROPS,
  vmstate: STATE,
});
