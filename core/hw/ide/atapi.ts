/** The packet commands of a CD/DVD drive (MMC-3, SFF-8020i, INF-8090). Not modelled: audio, writing, changers. Data of every reply goes through the data port in blocks of the size that the guest asked for, or through the bus master. */
import type { BlockError } from '../../backends/block/block-backend.ts';
import { trace, traceEvent } from '../../util/trace.ts';
import { diagnose, setFeatures } from './ata-commands.ts';
import * as replies from './atapi-replies.ts';
import { type CommandSet, DEVICE_RESET, hexByte, type IdeUnit } from './ide-unit.ts';
import { identifyCd } from './identify.ts';
import { ASC, CD_SECTOR, FEATURE, REASON, SENSE, STATUS } from './registers.ts';

const PACKET_BYTES = 12;
const RAW_SECTOR = 2352;

/** What a command needs before it may run. */
interface PacketCommand {
  /** Runs even while a unit attention is due. */
  readonly allowsAttention?: boolean;
  /** Needs a medium. */
  readonly needsMedium?: boolean;
  /** Moves no data: a byte count of zero is fine. */
  readonly hasNoData?: boolean;
  run(drive: CdDrive, packet: Uint8Array): void;
}

const PACKET = traceEvent('ide_atapi_cmd_packet');

/** The state of a drive that its registers do not hold. */
export class CdDrive implements CommandSet {
  readonly unit: IdeUnit;
  isTrayOpen = false;
  isTrayLocked = false;
  events = { newMedia: false, ejectRequest: false };
  private isDma = false;
  private byteLimit = 0;

  constructor(unit: IdeUnit) {
    this.unit = unit;
  }

  get sectors(): number {
    return Math.floor((this.unit.backend?.size ?? 0) / CD_SECTOR);
  }
  get hasMedium(): boolean {
    return !this.isTrayOpen && (this.unit.backend?.isInserted ?? false) && this.sectors > 0;
  }

  /** The monitor put a medium in, or took it out. The guest first hears that there is none, then that there is a new one. */
  mediumChanged(isInserted: boolean): void {
    this.isTrayOpen = !isInserted;
    this.unit.state.cdrom_changed = 1;
    this.events = { newMedia: true, ejectRequest: false };
    this.unit.bus.setIrq();
  }
  requestEject(isForced: boolean): void {
    this.events.ejectRequest = true;
    if (isForced) this.isTrayLocked = false;
    this.unit.bus.setIrq();
  }
  reset(): void {
    this.isTrayLocked = false;
  }

  /** The command register. */
  execute(unit: IdeUnit, command: number): void {
    const { state } = unit;
    switch (command) {
      case DEVICE_RESET:
        unit.bus.dma?.cancel();
        unit.stopTransfers();
        unit.setSignature();
        state.status = 0;
        state.error = 0x01;
        return;
      case 0xa0:
        this.takePacket();
        return;
      case 0xa1:
        unit.startTransfer(identifyCd(unit), true, () => {
          state.status = STATUS.ready | STATUS.seek;
        });
        return;
      case 0xec: // IDENTIFY DEVICE: the signature says what we are
        unit.setSignature();
        unit.abort();
        return;
      case 0x90:
        diagnose(unit, command);
        return;
      case 0xef:
        setFeatures(unit, command);
        return;
      case 0x94:
      case 0x95:
      case 0x96:
      case 0x97:
      case 0x99:
      case 0xe0:
      case 0xe1:
      case 0xe2:
      case 0xe3:
      case 0xe6:
        unit.done();
        return;
      case 0x98:
      case 0xe5:
        state.nsector = 0xff;
        unit.done();
        return;
      default:
        unit.abort();
    }
  }

  private takePacket(): void {
    const { unit } = this;
    const { state } = unit;
    if (state.feature & FEATURE.overlap) {
      unit.abort();
      return;
    }
    this.isDma = (state.feature & FEATURE.dma) !== 0;
    this.byteLimit = state.lcyl + state.hcyl * 256;
    const packet = new Uint8Array(PACKET_BYTES);
    unit.startTransfer(packet, false, () => this.runPacket(packet), false);
    state.nsector = REASON.command;
  }

  private runPacket(packet: Uint8Array): void {
    const { state } = this.unit;
    const command = PACKET_COMMANDS[packet[0]!];
    if (PACKET.isEnabled) {
      const place = `${this.unit.bus.name}.${this.unit.index}`;
      const bytes = [...packet].map(hexByte).join(' ');
      trace(PACKET, `IDEState: ${place}; limit=0x${this.byteLimit.toString(16)} packet: ${bytes}`);
    }
    if (state.sense_key === SENSE.unitAttention && !command?.allowsAttention) {
      state.error = SENSE.unitAttention << 4;
      this.end(STATUS.ready | STATUS.error);
      state.sense_key = SENSE.none;
      return;
    }
    if (!command?.allowsAttention && this.announcesChange()) return;
    if (!command) {
      this.fail(SENSE.illegalRequest, ASC.illegalOpcode);
      return;
    }
    if (command.needsMedium && !this.hasMedium) {
      this.fail(SENSE.notReady, ASC.noMedium);
      return;
    }
    if (!command.hasNoData && !this.isDma && this.byteLimit === 0) {
      this.unit.abort();
      return;
    }
    command.run(this, packet);
  }
  /** A changed medium is told in two steps, one command each. */
  private announcesChange(): boolean {
    const { state } = this.unit;
    if (!state.cdrom_changed || this.isTrayOpen || !this.unit.backend?.isInserted) return false;
    if (state.cdrom_changed === 1) {
      state.cdrom_changed = 2;
      this.fail(SENSE.notReady, ASC.noMedium);
    } else {
      state.cdrom_changed = 0;
      this.fail(SENSE.unitAttention, ASC.mediumChanged);
    }
    return true;
  }

  private end(status: number): void {
    this.unit.setReason(REASON.toHost | REASON.command);
    this.unit.done(status);
  }
  succeed(): void {
    this.unit.state.error = 0;
    this.end(STATUS.ready | STATUS.seek);
  }
  fail(senseKey: number, code: number): void {
    const { state } = this.unit;
    state.error = senseKey << 4;
    state.sense_key = senseKey;
    state.asc = code;
    this.unit.transfer = null;
    this.end(STATUS.ready | STATUS.error);
  }
  private failed(error: BlockError): void {
    if (error.code === 'ENOMEDIUM') this.fail(SENSE.notReady, ASC.noMedium);
    else this.fail(SENSE.mediumError, ASC.unrecoveredRead);
  }

  /** Sends a reply that is there already, cut to what the guest has room for. */
  reply(bytes: Uint8Array, room: number): void {
    const part = bytes.subarray(0, Math.min(bytes.length, room));
    this.send(part.length, async (offset, buffer) => {
      buffer.set(part.subarray(offset, offset + buffer.length));
    });
  }
  /** Sends `total` bytes that `fill` fetches, a stretch at a time. */
  private send(total: number, fill: (offset: number, buffer: Uint8Array) => Promise<void>): void {
    const { unit } = this;
    const { state } = unit;
    if (total === 0) {
      this.succeed();
      return;
    }
    if (this.isDma) {
      unit.startDma(
        total,
        true,
        fill,
        () => this.succeed(),
        (error) => this.failed(error),
      );
      return;
    }
    let limit = this.byteLimit === 0xffff ? 0xfffe : this.byteLimit;
    if (limit < total && limit > 1) limit -= limit % 2;
    const next = (done: number): void => {
      if (done >= total) {
        this.succeed();
        return;
      }
      const buffer = new Uint8Array(Math.min(limit, total - done));
      unit.whenDone(
        fill(done, buffer),
        () => {
          state.lcyl = buffer.length & 0xff;
          state.hcyl = buffer.length >> 8;
          unit.setReason(REASON.toHost);
          unit.startTransfer(buffer, true, () => next(done + buffer.length));
        },
        (error) => this.failed(error),
      );
    };
    next(0);
  }

  /** READ and READ CD: sectors of 2048 bytes, or raw ones around them. */
  sendSectors(first: number, count: number, isRaw: boolean): void {
    if (count === 0) {
      this.succeed();
      return;
    }
    if (first + count > this.sectors) {
      this.fail(SENSE.illegalRequest, ASC.blockOutOfRange);
      return;
    }
    const backend = this.unit.backend!;
    if (!isRaw) {
      this.send(count * CD_SECTOR, (offset, buffer) => backend.read(first * CD_SECTOR + offset, buffer));
      return;
    }
    this.send(count * RAW_SECTOR, async (offset, buffer) => {
      const from = Math.floor(offset / RAW_SECTOR);
      const to = Math.ceil((offset + buffer.length) / RAW_SECTOR);
      const data = new Uint8Array((to - from) * CD_SECTOR);
      await backend.read((first + from) * CD_SECTOR, data);
      const raw = replies.rawSectors(first + from, data);
      const start = offset - from * RAW_SECTOR;
      buffer.set(raw.subarray(start, start + buffer.length));
    });
  }

  /** START STOP UNIT. */
  startStop(isLoadEject: boolean, isStart: boolean): void {
    if (isLoadEject) {
      if (!isStart && !this.isTrayOpen && this.isTrayLocked) {
        const isIn = this.unit.backend?.isInserted ?? false;
        this.fail(isIn ? SENSE.notReady : SENSE.illegalRequest, ASC.removalPrevented);
        return;
      }
      if (this.isTrayOpen !== !isStart) {
        this.isTrayOpen = !isStart;
        this.unit.backend?.trayMoved(this.isTrayOpen);
      }
    }
    this.succeed();
  }

  sense(): Uint8Array {
    const { state } = this.unit;
    const bytes = replies.sense(state.sense_key, state.asc);
    state.sense_key = SENSE.none;
    state.asc = ASC.none;
    return bytes;
  }
  invalidField(): void {
    this.fail(SENSE.illegalRequest, ASC.invalidField);
  }
}

const be16 = (packet: Uint8Array, at: number): number => packet[at]! * 256 + packet[at + 1]!;
const be32 = (packet: Uint8Array, at: number): number => be16(packet, at) * 65536 + be16(packet, at + 2);

/** A reply, or a refusal for null. */
function answer(drive: CdDrive, bytes: Uint8Array | null, room: number): void {
  if (bytes) drive.reply(bytes, room);
  else drive.invalidField();
}

const PACKET_COMMANDS: Readonly<Record<number, PacketCommand>> = {
  // TEST UNIT READY
  0: { needsMedium: true, hasNoData: true, run: (drive) => drive.succeed() },
  // REQUEST SENSE
  3: { allowsAttention: true, run: (drive, packet) => drive.reply(drive.sense(), packet[4]!) },
  // INQUIRY
  18: {
    allowsAttention: true,
    run: (drive, packet) =>
      answer(drive, replies.inquiry(drive.unit.identity, (packet[1]! & 1) !== 0, packet[2]!), be16(packet, 3)),
  },
  // START STOP UNIT: power conditions are nothing to us
  27: {
    hasNoData: true,
    run(drive, packet) {
      if (packet[4]! & 0xf0) drive.succeed();
      else drive.startStop((packet[4]! & 2) !== 0, (packet[4]! & 1) !== 0);
    },
  },
  // PREVENT ALLOW MEDIUM REMOVAL
  30: {
    hasNoData: true,
    run(drive, packet) {
      drive.isTrayLocked = (packet[4]! & 1) !== 0;
      drive.succeed();
    },
  },
  // READ CAPACITY
  37: { needsMedium: true, run: (drive) => drive.reply(replies.capacity(drive.sectors), 8) },
  // READ (10) and (12)
  40: { needsMedium: true, run: (drive, packet) => drive.sendSectors(be32(packet, 2), be16(packet, 7), false) },
  168: { needsMedium: true, run: (drive, packet) => drive.sendSectors(be32(packet, 2), be32(packet, 6), false) },
  // SEEK
  43: {
    needsMedium: true,
    hasNoData: true,
    run(drive, packet) {
      if (be32(packet, 2) >= drive.sectors) drive.fail(SENSE.illegalRequest, ASC.blockOutOfRange);
      else drive.succeed();
    },
  },
  // READ TOC/PMA/ATIP
  67: {
    needsMedium: true,
    run(drive, packet) {
      const format = packet[2]! & 0x0f || packet[9]! >> 6;
      const isMsf = (packet[1]! & 2) !== 0;
      answer(drive, replies.tableOfContents(format, isMsf, packet[6]!, drive.sectors), be16(packet, 7));
    },
  },
  // GET CONFIGURATION
  70: {
    allowsAttention: true,
    run(drive, packet) {
      const kind = packet[1]! & 3;
      if (kind === 3) drive.invalidField();
      else
        drive.reply(replies.configuration(kind, be16(packet, 2), drive.hasMedium ? drive.sectors : 0), be16(packet, 7));
    },
  },
  // GET EVENT STATUS NOTIFICATION: only by polling
  74: {
    allowsAttention: true,
    run(drive, packet) {
      if (packet[1]! & 1) drive.reply(replies.eventStatus(drive, packet[4]!), be16(packet, 7));
      else drive.invalidField();
    },
  },
  // READ DISC INFORMATION
  81: {
    needsMedium: true,
    run: (drive, packet) => answer(drive, packet[1]! & 7 ? null : replies.discInformation(), be16(packet, 7)),
  },
  // MODE SENSE (10)
  90: {
    run(drive, packet) {
      const control = packet[2]! >> 6;
      if (control === 3) drive.fail(SENSE.illegalRequest, ASC.savingNotSupported);
      else answer(drive, control ? null : replies.modeSense(packet[2]! & 0x3f, drive.isTrayLocked), be16(packet, 7));
    },
  },
  // READ DVD STRUCTURE
  173: {
    needsMedium: true,
    run(drive, packet) {
      if (!replies.isDvd(drive.sectors)) drive.fail(SENSE.illegalRequest, ASC.incompatibleFormat);
      else answer(drive, replies.dvdStructure(packet[1]!, packet[6]!, packet[7]!, drive.sectors), be16(packet, 8));
    },
  },
  // SET CD SPEED
  187: { hasNoData: true, run: (drive) => drive.succeed() },
  // MECHANISM STATUS
  189: { run: (drive, packet) => drive.reply(replies.mechanismStatus(), be16(packet, 8)) },
  // READ CD
  190: {
    needsMedium: true,
    run(drive, packet) {
      const count = packet[6]! * 65536 + be16(packet, 7);
      const parts = packet[9]! & 0xf8;
      if (count === 0 || parts === 0) drive.succeed();
      else if (parts === 0x10 || parts === 0xf8) drive.sendSectors(be32(packet, 2), count, parts === 0xf8);
      else drive.invalidField();
    },
  },
};
