/** One channel's bus master (Programming Interface for Bus Master IDE Controller 1.0): command, status and a table of physical regions. */
import type { AddressSpace } from '../../memory/address-space.ts';
import type { MemoryRegionOps } from '../../memory/region.ts';
import { i64, u8, u32, vmstate } from '../../vmstate/fields.ts';
import type { DmaEngine, DmaJob, DmaStream } from './ide-unit.ts';

const COMMAND = { start: 0x01, toMemory: 0x08 } as const;
const STATUS = { active: 0x01, error: 0x02, interrupt: 0x04, capable: 0x60 } as const;
/** A table lies within 64 KiB by the book; QEMU looks at no more than 4 KiB of it, and so do we. */
const TABLE_BYTES = 4096;
const END_OF_TABLE = 0x8000_0000;

export const BMDMA_STATE = vmstate(
  'ide bmdma',
  3,
  {
    cmd: u8(),
    migration_compat_status: u8(),
    addr: u32(),
    migration_retry_sector_num: i64(),
    migration_retry_nsector: u32(),
    migration_retry_unit: u8(),
  },
  { minimumVersion: 0 },
);

interface Region {
  readonly address: number;
  readonly length: number;
}

export class BusMaster implements DmaEngine {
  readonly state = BMDMA_STATE.create();
  private readonly memory: () => AddressSpace;
  private job: DmaJob | null = null;
  private isRunning = false;

  constructor(memory: () => AddressSpace) {
    this.memory = memory;
  }
  get status(): number {
    return this.state.migration_compat_status;
  }
  private set status(value: number) {
    this.state.migration_compat_status = value;
  }

  reset(): void {
    BMDMA_STATE.reset(this.state);
    this.cancel();
  }
  /** The channel's interrupt went up. */
  interrupt(): void {
    this.status |= STATUS.interrupt;
  }

  offer(job: DmaJob): void {
    this.job = job;
    this.isRunning = false;
    if (this.status & STATUS.active) this.runJob();
  }
  private runJob(): void {
    const { job } = this;
    if (!job || this.isRunning) return;
    this.isRunning = true;
    job.run();
  }
  open(bytes: number): DmaStream | null {
    const { regions, hasMore, isComplete } = this.readTable(bytes);
    return isComplete ? new RegionStream(this.memory(), regions, hasMore) : null;
  }
  finish(hasMore: boolean): void {
    this.job = null;
    this.isRunning = false;
    if (!hasMore) this.status &= ~STATUS.active;
  }
  cancel(): void {
    this.job = null;
    this.isRunning = false;
    this.status &= ~STATUS.active;
  }

  private readTable(bytes: number): { regions: Region[]; hasMore: boolean; isComplete: boolean } {
    const memory = this.memory();
    const regions: Region[] = [];
    let left = bytes;
    for (let at = 0; at < TABLE_BYTES && left > 0; at += 8) {
      const address = memory.read(this.state.addr + at, 4);
      const size = memory.read(this.state.addr + at + 4, 4);
      const length = size & 0xfffe || 0x10000;
      const used = Math.min(length, left);
      regions.push({ address: address - (address % 2), length: used });
      left -= used;
      if (used < length) return { regions, hasMore: true, isComplete: true };
      if (size >= END_OF_TABLE) return { regions, hasMore: false, isComplete: left === 0 };
    }
    return { regions, hasMore: false, isComplete: left === 0 };
  }

  writeCommand(value: number): void {
    const isStart = (value & COMMAND.start) !== 0;
    if (isStart !== ((this.state.cmd & COMMAND.start) !== 0)) {
      if (isStart) {
        this.status |= STATUS.active;
        this.runJob();
      } else if (this.isRunning) {
        // the request under way comes to its end; only the engine says that it has stopped
        this.status &= ~STATUS.active;
      } else this.status &= ~STATUS.active;
    }
    this.state.cmd = value & (COMMAND.start | COMMAND.toMemory);
  }
  writeStatus(value: number): void {
    this.status =
      (value & STATUS.capable) |
      (this.status & STATUS.active) |
      (this.status & ~value & (STATUS.error | STATUS.interrupt));
  }
}

/** Bytes to and from the regions, in order. */
class RegionStream implements DmaStream {
  readonly hasMore: boolean;
  private readonly memory: AddressSpace;
  private readonly regions: readonly Region[];
  private index = 0;
  private offset = 0;

  constructor(memory: AddressSpace, regions: readonly Region[], hasMore: boolean) {
    this.memory = memory;
    this.regions = regions;
    this.hasMore = hasMore;
  }
  private each(bytes: Uint8Array, move: (address: number, part: Uint8Array) => void): void {
    let done = 0;
    while (done < bytes.length) {
      const region = this.regions[this.index];
      if (!region) return;
      const count = Math.min(bytes.length - done, region.length - this.offset);
      move(region.address + this.offset, bytes.subarray(done, done + count));
      done += count;
      this.offset += count;
      if (this.offset === region.length) {
        this.index++;
        this.offset = 0;
      }
    }
  }
  write(bytes: Uint8Array): void {
    this.each(bytes, (address, part) => this.memory.writeBytes(address, part));
  }
  read(bytes: Uint8Array): void {
    this.each(bytes, (address, part) => this.memory.readBytes(address, part));
  }
}

/** Command and status, of byte accesses only. */
export const COMMAND_OPS: MemoryRegionOps<BusMaster> = {
  read(master, offset, size) {
    if (size !== 1) return 2 ** (8 * size) - 1;
    return offset === 0 ? master.state.cmd : offset === 2 ? master.status : 0xff;
  },
  write(master, offset, value, size) {
    if (size !== 1) return;
    if (offset === 0) master.writeCommand(value);
    if (offset === 2) master.writeStatus(value);
  },
};
/** Where the table is: a long that may be written in parts. */
export const ADDRESS_OPS: MemoryRegionOps<BusMaster> = {
  read: (master, offset, size) => Math.floor(master.state.addr / 2 ** (8 * offset)) % 2 ** (8 * size),
  write(master, offset, value, size) {
    const shift = 8 * offset;
    const mask = size === 4 ? 0xffff_ffff : (2 ** (8 * size) - 1) << shift;
    master.state.addr = ((master.state.addr & ~mask) | ((value << shift) & mask & ~3)) >>> 0;
  },
};
