/** One of the two drives of a channel as its registers show it: task file, data port, the progress of a command. What the commands do is in ata-commands.ts and atapi.ts. */
import type { BlockBackend } from '../../backends/block/block-backend.ts';
import { BlockError } from '../../backends/block/block-backend.ts';
import { trace, traceEvent } from '../../util/trace.ts';
import { i32, u8, u32, vmstate } from '../../vmstate/fields.ts';
import type { IdeBus } from './ide-bus.ts';
import { CONTROL, ERROR, MAX_MULTIPLE, REASON, SECTOR, SELECT, STATUS } from './registers.ts';

export const IDE_DRIVE_STATE = vmstate(
  'ide_drive',
  3,
  {
    mult_sectors: i32(MAX_MULTIPLE),
    identify_set: i32(),
    feature: u8(),
    error: u8(),
    nsector: u32(),
    sector: u8(),
    lcyl: u8(),
    hcyl: u8(),
    hob_feature: u8(),
    hob_sector: u8(),
    hob_nsector: u8(),
    hob_lcyl: u8(),
    hob_hcyl: u8(),
    select: u8(),
    status: u8(),
    lba48: u8(),
    sense_key: u8(),
    asc: u8(),
    cdrom_changed: u8(),
  },
  { minimumVersion: 0 },
);

export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectors: number;
}

/** Identification that the device's properties give. */
export interface DriveIdentity {
  readonly serial: string;
  readonly model: string;
  readonly version: string;
  readonly wwn: bigint;
  readonly rotationRate: number;
  /** log2 of logical sectors per physical one. */
  readonly physicalExponent: number;
  readonly canDiscard: boolean;
}

/** A block of bytes that the guest moves through the data port. */
interface PioTransfer {
  readonly bytes: Uint8Array;
  position: number;
  readonly isToHost: boolean;
  readonly onEnd: () => void;
}

/** A bus-master transfer that a command waits for. */
export interface DmaJob {
  /** Bytes that the command moves. */
  readonly bytes: number;
  readonly isToMemory: boolean;
  run(): void;
}

/** The part of a channel's bus master that commands use. */
export interface DmaEngine {
  /** Puts a job up; it runs when the guest starts the engine. */
  offer(job: DmaJob): void;
  /** Where the physical region table leads: null when it is shorter than the job. */
  open(bytes: number): DmaStream | null;
  /** The job is over. @param hasMore regions are left over: the engine stays active */
  finish(hasMore: boolean): void;
  cancel(): void;
}
export interface DmaStream {
  readonly hasMore: boolean;
  write(bytes: Uint8Array): void;
  read(bytes: Uint8Array): void;
}

const EXEC_COMMAND = traceEvent('ide_exec_cmd');
export const hexByte = (value: number) => value.toString(16).padStart(2, '0');

/** A command set: how a kind of drive answers. */
export interface CommandSet {
  execute(unit: IdeUnit, command: number): void;
}

export class IdeUnit {
  readonly bus: IdeBus;
  readonly index: number;
  readonly state = IDE_DRIVE_STATE.create();
  backend: BlockBackend | null = null;
  kind: 'none' | 'disk' | 'cd' = 'none';
  commands: CommandSet | null = null;
  identity!: DriveIdentity;
  geometry: Geometry = { cylinders: 0, heads: 0, sectors: 0 };
  /** What INITIALIZE DEVICE PARAMETERS set. */
  translation: Geometry = this.geometry;
  /** Identification data as changed by SET FEATURES: the transfer mode words. */
  transferModes = { multiword: 0x07, ultra: 0x203f };
  isWriteCacheOn = true;
  transfer: PioTransfer | null = null;
  /** Counts commands and resets: an answer of the host to an older one is dropped. */
  private epoch = 0;

  constructor(bus: IdeBus, index: number) {
    this.bus = bus;
    this.index = index;
  }

  get isPresent(): boolean {
    return this.kind !== 'none';
  }
  get sectors(): number {
    return Math.floor((this.backend?.size ?? 0) / SECTOR);
  }

  /** As power-on leaves the drive. */
  reset(): void {
    this.stopTransfers();
    const { cdrom_changed: changed } = this.state;
    IDE_DRIVE_STATE.reset(this.state);
    this.state.cdrom_changed = changed;
    this.state.select = SELECT.fixed | (this.index ? SELECT.unit : 0);
    this.state.status = STATUS.ready | STATUS.seek;
    this.state.lba48 = 0;
    this.translation = this.geometry;
    this.transferModes = { multiword: 0x07, ultra: 0x203f };
    this.setSignature();
  }
  stopTransfers(): void {
    this.epoch++;
    this.transfer = null;
  }
  /** The registers say what kind of drive this is. */
  setSignature(): void {
    const { state } = this;
    state.select &= ~SELECT.head;
    state.nsector = 1;
    state.sector = 1;
    const [low, high] = this.kind === 'cd' ? [0x14, 0xeb] : this.kind === 'disk' ? [0, 0] : [0xff, 0xff];
    state.lcyl = low;
    state.hcyl = high;
  }

  /** End of a command: registers and interrupt. */
  done(status: number = STATUS.ready | STATUS.seek): void {
    this.state.status = status;
    this.bus.setIrq();
  }
  abort(error: number = ERROR.abort): void {
    this.transfer = null;
    this.state.error = error;
    this.done(STATUS.ready | STATUS.error);
  }

  /** Opens the data port for a block of bytes. @param hasInterrupt the guest hears that the block is there */
  startTransfer(bytes: Uint8Array, isToHost: boolean, onEnd: () => void, hasInterrupt = true): void {
    this.transfer = { bytes, position: 0, isToHost, onEnd };
    this.state.status = STATUS.ready | STATUS.seek | STATUS.drq;
    if (hasInterrupt) this.bus.setIrq();
  }
  private endTransfer(): void {
    const { onEnd } = this.transfer!;
    this.transfer = null;
    this.state.status &= ~STATUS.drq;
    onEnd();
  }
  readData(size: number): number {
    const { transfer } = this;
    if (!transfer?.isToHost) return 0;
    let value = 0;
    for (let i = 0; i < size; i++) value += (transfer.bytes[transfer.position + i] ?? 0) * 2 ** (8 * i);
    transfer.position += size;
    if (transfer.position >= transfer.bytes.length) this.endTransfer();
    return value;
  }
  /** Several reads of the data register at once. Returns how many. */
  readDataString(size: number, target: Uint8Array): number {
    const { transfer } = this;
    if (!transfer?.isToHost) return 0;
    const count = Math.floor(Math.min(target.length, transfer.bytes.length - transfer.position) / size);
    if (count <= 0) return 0;
    const end = transfer.position + count * size;
    target.set(transfer.bytes.subarray(transfer.position, end));
    transfer.position = end;
    if (end >= transfer.bytes.length) this.endTransfer();
    return count;
  }
  writeData(value: number, size: number): void {
    const { transfer } = this;
    if (!transfer || transfer.isToHost) return;
    for (let i = 0; i < size && transfer.position + i < transfer.bytes.length; i++)
      transfer.bytes[transfer.position + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
    transfer.position += size;
    if (transfer.position >= transfer.bytes.length) this.endTransfer();
  }

  /** Waits for the host; nothing happens when the drive was reset meanwhile. */
  whenDone(request: Promise<void>, onDone: () => void, onError: (error: BlockError) => void): void {
    this.state.status |= STATUS.busy;
    this.state.status &= ~STATUS.drq;
    const { epoch } = this;
    void request.then(
      () => {
        if (epoch === this.epoch) onDone();
      },
      (error: unknown) => {
        if (!(error instanceof BlockError)) throw error;
        if (epoch === this.epoch) onError(error);
      },
    );
  }

  /** Puts up a bus-master job of `total` bytes that moves `chunk` at a time. */
  startDma(
    total: number,
    isToMemory: boolean,
    step: (offset: number, buffer: Uint8Array) => Promise<void>,
    onDone: () => void,
    onError: (error: BlockError, bytesDone: number) => void,
  ): void {
    const engine = this.bus.dma;
    if (!engine) {
      this.abort();
      return;
    }
    this.state.status = STATUS.ready | STATUS.seek | STATUS.drq;
    const run = () => {
      const stream = engine.open(total);
      if (!stream) {
        this.state.status = STATUS.ready | STATUS.seek;
        engine.finish(false);
        return;
      }
      const next = (done: number): void => {
        if (done >= total) {
          engine.finish(stream.hasMore);
          onDone();
          return;
        }
        const buffer = new Uint8Array(Math.min(DMA_CHUNK, total - done));
        if (!isToMemory) stream.read(buffer);
        this.whenDone(
          step(done, buffer),
          () => {
            if (isToMemory) stream.write(buffer);
            next(done + buffer.length);
          },
          (error) => {
            engine.finish(false);
            onError(error, done);
          },
        );
      };
      next(0);
    };
    engine.offer({ bytes: total, isToMemory, run });
  }

  /** The guest's command register. */
  execute(command: number): void {
    if (EXEC_COMMAND.isEnabled)
      trace(EXEC_COMMAND, `IDE exec cmd: bus ${this.bus.name}; state ${this.index}; cmd 0x${hexByte(command)}`);
    const { state } = this;
    if (!this.isPresent) {
      if (this.index === 0 && this.bus.units.some((unit) => unit.isPresent)) this.abort();
      return;
    }
    if (state.status & (STATUS.busy | STATUS.drq) && !(command === DEVICE_RESET && this.kind === 'cd')) return;
    this.epoch++;
    this.transfer = null;
    state.status = STATUS.ready | STATUS.busy;
    state.error = 0;
    this.commands?.execute(this, command);
  }

  /** The sector number in the registers. */
  get address(): number {
    const { state } = this;
    if (state.select & SELECT.lba) {
      const low = state.sector + state.lcyl * 2 ** 8 + state.hcyl * 2 ** 16;
      if (!state.lba48) return low + (state.select & SELECT.head) * 2 ** 24;
      return low + state.hob_sector * 2 ** 24 + state.hob_lcyl * 2 ** 32 + state.hob_hcyl * 2 ** 40;
    }
    const { heads, sectors } = this.translation;
    const cylinder = state.lcyl + state.hcyl * 256;
    return (cylinder * heads + (state.select & SELECT.head)) * sectors + state.sector - 1;
  }
  set address(sector: number) {
    const { state } = this;
    const byte = (shift: number) => Math.floor(sector / 2 ** shift) & 0xff;
    if (state.select & SELECT.lba) {
      state.sector = byte(0);
      state.lcyl = byte(8);
      state.hcyl = byte(16);
      if (state.lba48) {
        state.hob_sector = byte(24);
        state.hob_lcyl = byte(32);
        state.hob_hcyl = byte(40);
      } else state.select = (state.select & ~SELECT.head) | (byte(24) & SELECT.head);
      return;
    }
    const { heads, sectors } = this.translation;
    const perCylinder = heads * sectors;
    if (perCylinder === 0) return;
    const cylinder = Math.floor(sector / perCylinder);
    const rest = sector % perCylinder;
    state.hcyl = (cylinder >> 8) & 0xff;
    state.lcyl = cylinder & 0xff;
    state.select = (state.select & ~SELECT.head) | (Math.floor(rest / sectors) & SELECT.head);
    state.sector = (rest % sectors) + 1;
  }
  /** Takes the sector count from the registers; 0 means the most there can be. */
  takeSectorCount(isLba48: boolean): void {
    const { state } = this;
    state.lba48 = isLba48 ? 1 : 0;
    const count = isLba48 ? (state.nsector & 0xff) + state.hob_nsector * 256 : state.nsector & 0xff;
    state.nsector = count || (isLba48 ? 65536 : 256);
  }
  setReason(bits: number): void {
    this.state.nsector = (this.state.nsector & ~REASON.mask) | bits;
  }
  get isHighOrder(): boolean {
    return (this.bus.control & CONTROL.highOrder) !== 0;
  }
}

export const DEVICE_RESET = 0x08;
const DMA_CHUNK = 128 * 1024;
