/** What a bus master sees: reads and writes at addresses, dispatched through the flat view of a root region. */
import { guestError } from '../util/log.ts';
import { regionRead, regionWrite } from './access.ts';
import { PAGE_SIZE, type RamArena } from './arena.ts';
import { type FlatRange, firstEndingAfter, renderFlatView, sameFlatView } from './flat-view.ts';
import { type AccessSize, type MemoryRegion, onDirtyCleared, onRegionsChanged } from './region.ts';

export interface AddressSpaceListener {
  flatViewChanged?(): void;
  /** Writes to this part of the arena are news again. */
  dirtyCleared?(arenaOffset: number, length: number): void;
  /** Someone wrote to a page that holds decoded code, through this or any other space of the arena. */
  ramWritten?(arenaOffset: number, length: number, by: object): void;
}

export interface PageBacking {
  /** Byte offset of the page's start in the arena. */
  readonly offset: number;
  readonly writable: boolean;
  readonly dirtyLogged: boolean;
}

/** All spaces that are alive, for `info mtree`. */
const spaces = new Set<AddressSpace>();
export function addressSpaces(): AddressSpace[] {
  return [...spaces];
}

/** Registers take an access by its first address alone, even where another region lies over the rest: a PC's 0xcf8 is a 32-bit register with 0xcf9 on top. */
function takesWhole(region: MemoryRegion, offset: number, size: number): boolean {
  return region.ops !== null && region.kind === 'io' && offset + size <= region.size;
}

export class AddressSpace {
  readonly name: string;
  readonly root: MemoryRegion;
  readonly arena: RamArena;
  /** What a read gives where nothing answers: 0 for memory, all ones for ports. */
  private readonly unassigned: number;
  private ranges: FlatRange[];
  private last: FlatRange | null = null;
  /** Ports only: range index + 1 by address. */
  private readonly portIndex: Uint16Array | null;
  private readonly listeners = new Set<AddressSpaceListener>();
  private readonly unsubscribe: (() => void)[];

  constructor(name: string, root: MemoryRegion, arena: RamArena, kind: 'memory' | 'io' = 'memory') {
    this.name = name;
    this.root = root;
    this.arena = arena;
    this.unassigned = kind === 'io' ? 0xffff_ffff : 0;
    this.portIndex = kind === 'io' ? new Uint16Array(65536 + 8) : null;
    this.ranges = renderFlatView(root);
    this.indexPorts();
    this.unsubscribe = [
      onRegionsChanged(() => this.rebuild()),
      onDirtyCleared((offset, length) => {
        for (const listener of this.listeners) listener.dirtyCleared?.(offset, length);
      }),
    ];
    spaces.add(this);
  }

  dispose(): void {
    for (const end of this.unsubscribe) end();
    spaces.delete(this);
  }

  get flatView(): readonly FlatRange[] {
    return this.ranges;
  }

  subscribe(listener: AddressSpaceListener): () => void {
    this.listeners.add(listener);
    const endCode = this.arena.onCodeWritten((offset, length, by) => listener.ramWritten?.(offset, length, by));
    return () => {
      endCode();
      this.listeners.delete(listener);
    };
  }

  private rebuild(): void {
    const ranges = renderFlatView(this.root);
    if (sameFlatView(ranges, this.ranges)) return;
    this.ranges = ranges;
    this.last = null;
    this.indexPorts();
    for (const listener of this.listeners) listener.flatViewChanged?.();
  }

  private indexPorts(): void {
    const index = this.portIndex;
    if (!index) return;
    index.fill(0);
    for (const [i, range] of this.ranges.entries())
      index.fill(i + 1, range.start, Math.min(range.start + range.size, 65536));
  }

  /** The range that serves an address. */
  find(address: number): FlatRange | null {
    if (this.portIndex) {
      const index = this.portIndex[address]!;
      return index === 0 ? null : this.ranges[index - 1]!;
    }
    const { last } = this;
    if (last && address >= last.start && address < last.start + last.size) return last;
    const range = this.ranges[firstEndingAfter(this.ranges, address)];
    if (!range || range.start > address) return null;
    this.last = range;
    return range;
  }

  /** Unsigned value. An access across the end of a region is made byte by byte. */
  read(address: number, size: AccessSize): number {
    const range = this.find(address);
    if (!range) return this.unassignedRead(size);
    const { region } = range;
    const offset = address - range.start + range.offset;
    if (address + size > range.start + range.size && !takesWhole(region, offset, size))
      return this.readBytewise(address, size);
    if (region.ram && (region.kind !== 'romd' || region.isRomdMode)) {
      const at = region.ram.offset + offset;
      const { data } = this.arena;
      switch (size) {
        case 1:
          return data.getUint8(at);
        case 2:
          return data.getUint16(at, true);
        case 4:
          return data.getUint32(at, true);
        default:
          return data.getUint32(at, true) + data.getUint32(at + 4, true) * 2 ** 32;
      }
    }
    const value = regionRead(region, offset, size);
    if (value === null) {
      guestError(
        'memory',
        () => `invalid read at 0x${address.toString(16)}, size ${size}, region '${region.regionName}'`,
      );
      return this.unassignedRead(size);
    }
    return value;
  }

  /** A run of reads from one register, as string input makes them. Returns how many elements were read; 0: read singly. */
  readString(address: number, size: AccessSize, target: Uint8Array): number {
    const range = this.find(address);
    const ops = range?.region.ops;
    if (!range || !ops?.readString) return 0;
    return ops.readString(range.region.device, address - range.start + range.offset, size, target);
  }

  write(address: number, size: AccessSize, value: number): void {
    const range = this.find(address);
    if (!range) return;
    const { region } = range;
    const offset = address - range.start + range.offset;
    if (address + size > range.start + range.size && !takesWhole(region, offset, size)) {
      this.writeBytewise(address, size, value);
      return;
    }
    if (region.ram && region.kind !== 'romd') {
      if (range.isReadonly) return;
      const at = region.ram.offset + offset;
      const { data } = this.arena;
      switch (size) {
        case 1:
          data.setUint8(at, value);
          break;
        case 2:
          data.setUint16(at, value, true);
          break;
        case 4:
          data.setUint32(at, value, true);
          break;
        default:
          data.setUint32(at, value % 2 ** 32, true);
          data.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
      }
      this.ramWritten(at, size);
      return;
    }
    if (!regionWrite(region, offset, value, size))
      guestError(
        'memory',
        () => `invalid write at 0x${address.toString(16)}, size ${size}, region '${region.regionName}'`,
      );
  }

  /** Writes a value again and again, each time behind the last. Returns whether that was done; false: write singly. */
  fill(address: number, size: 1 | 2 | 4, value: number, count: number): boolean {
    const range = this.find(address);
    const fill = range?.region.ops?.fill;
    if (!range || !fill || address + size * count > range.start + range.size) return false;
    fill(range.region.device, address - range.start + range.offset, value, size, count);
    return true;
  }

  private unassignedRead(size: number): number {
    return size === 4 ? this.unassigned : this.unassigned & (size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff);
  }
  private readBytewise(address: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.read(address + i, 1);
    return value;
  }
  private writeBytewise(address: number, size: number, value: number): void {
    const unsigned = value < 0 ? value + 2 ** (8 * size) : value;
    for (let i = 0; i < size; i++) this.write(address + i, 1, Math.floor(unsigned / 2 ** (8 * i)) % 256);
  }

  private ramWritten(arenaOffset: number, length: number): void {
    const { arena } = this;
    arena.markDirty(arenaOffset, length);
    const last = (arenaOffset + length - 1) >>> 12;
    for (let page = arenaOffset >>> 12; page <= last; page++)
      if (arena.codePages[page]) {
        arena.tellCodeWritten(arenaOffset, length, this);
        return;
      }
  }

  /** DMA: copies guest memory out. Device registers in the way are read byte by byte. */
  readBytes(address: number, target: Uint8Array): void {
    let at = address;
    let done = 0;
    while (done < target.length) {
      const range = this.find(at);
      const { region } = range ?? {};
      if (range && region?.ram && (region.kind !== 'romd' || region.isRomdMode)) {
        const length = Math.min(target.length - done, range.start + range.size - at);
        const from = region.ram.offset + range.offset + (at - range.start);
        target.set(this.arena.bytes.subarray(from, from + length), done);
        at += length;
        done += length;
      } else {
        target[done++] = this.read(at++, 1);
      }
    }
  }

  /** DMA: copies bytes into guest memory. */
  writeBytes(address: number, source: Uint8Array): void {
    let at = address;
    let done = 0;
    while (done < source.length) {
      const range = this.find(at);
      const { region } = range ?? {};
      if (range && region?.ram && region.kind !== 'romd') {
        const length = Math.min(source.length - done, range.start + range.size - at);
        if (!range.isReadonly) {
          const to = region.ram.offset + range.offset + (at - range.start);
          this.arena.bytes.set(source.subarray(done, done + length), to);
          this.ramWritten(to, length);
        }
        at += length;
        done += length;
      } else {
        this.write(at++, 1, source[done++]!);
      }
    }
  }

  /** How the 4 KiB page that holds an address is backed; null when not by one stretch of RAM or ROM. */
  lookupPage(address: number): PageBacking | null {
    const page = address - (address % PAGE_SIZE);
    const range = this.find(page);
    if (!range || page + PAGE_SIZE > range.start + range.size) return null;
    const { region } = range;
    if (!region.ram || (region.kind === 'romd' && !region.isRomdMode)) return null;
    const offset = region.ram.offset + range.offset + (page - range.start);
    if (offset % PAGE_SIZE !== 0) return null;
    return {
      offset,
      writable: !range.isReadonly && region.kind !== 'romd',
      dirtyLogged: this.arena.isLoggedAndClean(offset),
    };
  }

  /** The CPU is about to write to a clean, logged page by itself. */
  markDirty(arenaOffset: number, length: number): void {
    this.arena.markDirty(arenaOffset, length);
  }
}
