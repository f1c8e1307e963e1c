/** Memory regions: RAM, ROM, MMIO and port handlers, aliases and containers, put together into a tree. The shapes are those of QEMU's memory API. */
import { objectAddChild, QomObject } from '../qom/object.ts';
import { typeRegister } from '../qom/type.ts';
import { assert } from '../util/errors.ts';
import type { DirtyClient, RamArena, RamBlock } from './arena.ts';

export type AccessSize = 1 | 2 | 4 | 8;

/** Sizes in bytes. Outside `valid` the access is the guest's error; between `valid` and `impl` the core splits or widens. */
export interface AccessRules {
  readonly min?: number;
  readonly max?: number;
  readonly unaligned?: boolean;
}

/** What an I/O region does. Values are unsigned numbers; an 8-byte value is exact only below 2^53, so regions that hold full 64-bit registers keep `impl.max` at 4. */
export interface MemoryRegionOps<T = unknown> {
  read(device: T, offset: number, size: number): number;
  write(device: T, offset: number, value: number, size: number): void;
  /** The same as reading `size` bytes at `offset` again and again, until `target` is full or the device would do more than hand out bytes. Returns how many reads that were; 0: read singly. */
  readString?(device: T, offset: number, size: number, target: Uint8Array): number;
  /** The same as writing `value` to `count` places, one behind the other. */
  fill?(device: T, offset: number, value: number, size: 1 | 2 | 4, count: number): void;
  readonly valid?: AccessRules & { accepts?(device: T, offset: number, size: number, isWrite: boolean): boolean };
  readonly impl?: AccessRules;
  /** Default little. */
  readonly endianness?: 'little' | 'big';
}

/** Addresses and sizes are numbers; a size of 2^64 is exact as a double. */
export const FULL_SIZE = 2 ** 64;

export type RegionKind = 'container' | 'io' | 'ram' | 'rom' | 'romd' | 'alias';

/** Told of changes to any region tree; address spaces register here. */
const changeListeners = new Set<() => void>();
let transactionDepth = 0;
let isChangePending = false;

function regionsChanged(): void {
  isChangePending = true;
  if (transactionDepth === 0) commit();
}
function commit(): void {
  if (!isChangePending) return;
  isChangePending = false;
  for (const listener of [...changeListeners]) listener();
}
/** Groups changes, so that flat views are rebuilt once. */
export function memoryTransaction<T>(body: () => T): T {
  transactionDepth++;
  try {
    return body();
  } finally {
    if (--transactionDepth === 0) commit();
  }
}
export function onRegionsChanged(listener: () => void): () => void {
  changeListeners.add(listener);
  return () => changeListeners.delete(listener);
}

export class MemoryRegion extends QomObject {
  regionName = '';
  kind: RegionKind = 'container';
  size = 0;
  /** Position within the container. */
  address = 0;
  priority = 0;
  isEnabled = true;
  isReadonly = false;
  container: MemoryRegion | null = null;
  /** In order of visibility: higher priority first, later additions before earlier ones of the same priority. */
  readonly subregions: MemoryRegion[] = [];
  ops: MemoryRegionOps | null = null;
  device: unknown = null;
  arena: RamArena | null = null;
  ram: RamBlock | null = null;
  aliasTarget: MemoryRegion | null = null;
  aliasOffset = 0;
  /** A ROM device: reads go to RAM while on, to `ops` while off; writes always to `ops`. */
  isRomdMode = true;

  private setUp(owner: QomObject | null, name: string, size: number, kind: RegionKind): this {
    this.regionName = name;
    this.size = size;
    this.kind = kind;
    if (owner) objectAddChild(owner, `${escapeName(name)}[*]`, this);
    return this;
  }
  initContainer(owner: QomObject | null, name: string, size: number): this {
    return this.setUp(owner, name, size, 'container');
  }
  initIo<T>(owner: QomObject | null, ops: MemoryRegionOps<T>, device: T, name: string, size: number): this {
    this.ops = ops as MemoryRegionOps;
    this.device = device;
    return this.setUp(owner, name, size, 'io');
  }
  initRam(owner: QomObject | null, arena: RamArena, name: string, size: number): this {
    this.arena = arena;
    this.ram = arena.allocate(name, size);
    return this.setUp(owner, name, size, 'ram');
  }
  initRom(owner: QomObject | null, arena: RamArena, name: string, size: number): this {
    this.initRam(owner, arena, name, size);
    this.kind = 'rom';
    this.isReadonly = true;
    return this;
  }
  initRomDevice<T>(
    owner: QomObject | null,
    arena: RamArena,
    ops: MemoryRegionOps<T>,
    device: T,
    name: string,
    size: number,
  ): this {
    this.ops = ops as MemoryRegionOps;
    this.device = device;
    this.initRam(owner, arena, name, size);
    this.kind = 'romd';
    return this;
  }
  initAlias(owner: QomObject | null, name: string, target: MemoryRegion, offset: number, size: number): this {
    this.aliasTarget = target;
    this.aliasOffset = offset;
    return this.setUp(owner, name, size, 'alias');
  }

  /** RAM, ROM and ROM device: the bytes themselves. */
  get bytes(): Uint8Array {
    assert(this.arena && this.ram, `region '${this.regionName}' has no RAM`);
    return this.arena.blockBytes(this.ram);
  }

  addSubregion(offset: number, region: MemoryRegion, priority = 0): void {
    assert(!region.container, `region '${region.regionName}' is mapped twice`);
    region.container = this;
    region.address = offset;
    region.priority = priority;
    this.insert(region);
    regionsChanged();
  }
  private insert(region: MemoryRegion): void {
    let at = 0;
    while (at < this.subregions.length && this.subregions[at]!.priority > region.priority) at++;
    this.subregions.splice(at, 0, region);
  }
  delSubregion(region: MemoryRegion): void {
    assert(region.container === this, `region '${region.regionName}' is not in '${this.regionName}'`);
    region.container = null;
    this.subregions.splice(this.subregions.indexOf(region), 1);
    regionsChanged();
  }
  setEnabled(isEnabled: boolean): void {
    if (this.isEnabled === isEnabled) return;
    this.isEnabled = isEnabled;
    regionsChanged();
  }
  setAddress(address: number): void {
    if (this.address === address) return;
    this.address = address;
    const { container } = this;
    if (!container) return;
    container.subregions.splice(container.subregions.indexOf(this), 1);
    container.insert(this);
    regionsChanged();
  }
  setSize(size: number): void {
    if (this.size === size) return;
    this.size = size;
    regionsChanged();
  }
  setAliasOffset(offset: number): void {
    if (this.aliasOffset === offset) return;
    this.aliasOffset = offset;
    regionsChanged();
  }
  setReadonly(isReadonly: boolean): void {
    if (this.isReadonly === isReadonly) return;
    this.isReadonly = isReadonly;
    regionsChanged();
  }
  setRomdMode(isOn: boolean): void {
    if (this.isRomdMode === isOn) return;
    this.isRomdMode = isOn;
    regionsChanged();
  }

  /** Starts or ends the logging of writes for one client; while on, `isDirty` and `clearDirty` mean something. */
  setLog(client: DirtyClient, isOn: boolean): void {
    assert(this.arena && this.ram, `region '${this.regionName}' has no RAM`);
    this.arena.setLogged(this.ram.offset, this.ram.bytes, client, isOn);
    regionsChanged();
  }
  isDirty(offset: number, length: number, client: DirtyClient): boolean {
    return this.arena!.isDirty(this.ram!.offset + offset, length, client);
  }
  markDirty(offset: number, length: number): void {
    this.arena!.markDirty(this.ram!.offset + offset, length);
  }
  /** From now on writes to the range are news again. */
  clearDirty(offset: number, length: number, client: DirtyClient): void {
    this.arena!.clearDirty(this.ram!.offset + offset, length, client);
    for (const listener of dirtyListeners) listener(this.ram!.offset + offset, length);
  }

  override unparentHook(): void {
    this.container?.delSubregion(this);
  }
}

const dirtyListeners = new Set<(arenaOffset: number, length: number) => void>();
export function onDirtyCleared(listener: (arenaOffset: number, length: number) => void): () => void {
  dirtyListeners.add(listener);
  return () => dirtyListeners.delete(listener);
}

/** Region names may hold characters that paths and arrays need; QEMU writes those as `\xNN`. */
function escapeName(name: string): string {
  return name.replace(/[/[\]\\]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

typeRegister({ name: 'memory-region', parent: 'object', instance: MemoryRegion });
