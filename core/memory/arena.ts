/** The one linear memory that holds guest RAM, ROM, VRAM and the CPU's tables, so that translated code reaches all of it with a plain load. */
import { UserError } from '../util/errors.ts';
import { formatSize, MiB } from '../util/units.ts';

/** The part of a shared `WebAssembly.Memory` that the arena needs. */
export interface LinearMemory {
  readonly buffer: SharedArrayBuffer | ArrayBuffer;
  /** Adds 64 KiB pages. */
  grow(pages: number): number;
}

export const PAGE_BITS = 12;
export const PAGE_SIZE = 1 << PAGE_BITS;
const WASM_PAGE = 65536;
/** mem32 ends at 4 GiB; the last page is left free so that an offset plus an access size never wraps. */
export const ARENA_LIMIT = 65535 * WASM_PAGE;

/** Who logs writes, one bit each in `RamArena.dirty`. */
export const DIRTY_CLIENT = { vga: 1, migration: 2 } as const;
export type DirtyClient = keyof typeof DIRTY_CLIENT;
const ALL_CLIENTS = 3;

/** A named run of pages in the arena; the name is what migration calls it (`pc.ram`, `vga.vram`). */
export interface RamBlock {
  readonly name: string;
  /** Byte offset in the arena, page aligned. */
  readonly offset: number;
  readonly bytes: number;
}

/** @param by the address space that the write came through */
export type CodeWriteListener = (offset: number, length: number, by: object) => void;

export class RamArena {
  readonly memory: LinearMemory;
  readonly blocks: RamBlock[] = [];
  private next: number;
  private nextTable: number;
  private readonly tablesEnd: number;
  private view: Uint8Array;
  private dataView: DataView;
  /** One byte per page: a bit per client for which the page is dirty. Grows with the arena. */
  dirty: Uint8Array;
  /** One byte per page: which clients log the page at all. */
  logged: Uint8Array;
  /** One byte per page: the CPU has decoded code from here and wants to hear of writes by others. */
  codePages: Uint8Array;

  private readonly codeListeners = new Set<CodeWriteListener>();

  /** @param reservedBytes bytes at the start of the memory that are not the arena's
   *  @param tableBytes bytes after them that are kept for `forTables` */
  constructor(memory: LinearMemory, reservedBytes = 0, tableBytes = 0) {
    this.memory = memory;
    this.nextTable = roundUp(reservedBytes, PAGE_SIZE);
    this.tablesEnd = this.nextTable + roundUp(tableBytes, PAGE_SIZE);
    this.next = this.tablesEnd;
    const missing = this.next - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / WASM_PAGE));
    this.view = new Uint8Array(memory.buffer);
    this.dataView = new DataView(memory.buffer);
    const pages = ARENA_LIMIT / PAGE_SIZE + 16;
    this.dirty = new Uint8Array(pages);
    this.logged = new Uint8Array(pages);
    this.codePages = new Uint8Array(pages);
  }

  /** The whole memory. Fetch it anew after `allocate`: growing replaces it. */
  get bytes(): Uint8Array {
    return this.view;
  }
  get data(): DataView {
    return this.dataView;
  }

  /** The arena for the accelerator: what it allocates comes from the room that was kept at the start of the memory, because generated
   *  code and its records hold addresses of tables as signed numbers; guest RAM may lie anywhere. */
  forTables(): Pick<RamArena, 'memory' | 'bytes' | 'codePages' | 'allocate' | 'isLoggedAndClean'> {
    const arena = this;
    return {
      memory: this.memory,
      codePages: this.codePages,
      get bytes() {
        return arena.view;
      },
      allocate: (name, bytes) => this.allocateTable(name, bytes),
      isLoggedAndClean: (offset) => this.isLoggedAndClean(offset),
    };
  }
  private allocateTable(name: string, bytes: number): RamBlock {
    const size = roundUp(Math.max(bytes, 1), PAGE_SIZE);
    if (this.nextTable + size > this.tablesEnd)
      throw new Error(`no room is kept for table '${name}' of ${bytes} bytes`);
    const block: RamBlock = { name, offset: this.nextTable, bytes };
    this.nextTable += size;
    this.blocks.push(block);
    return block;
  }

  /** Zero-filled pages. @throws UserError when the arena is full */
  allocate(name: string, bytes: number): RamBlock {
    const size = roundUp(Math.max(bytes, 1), PAGE_SIZE);
    if (this.next + size > ARENA_LIMIT)
      throw new UserError(
        `cannot set up guest memory '${name}': ${formatSize(bytes)} asked for, ${Math.floor((ARENA_LIMIT - this.next) / MiB)} MiB left of the 4096 MiB that a WebAssembly memory can have`,
      );
    const block: RamBlock = { name, offset: this.next, bytes };
    const missing = this.next + size - this.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        this.memory.grow(Math.ceil(missing / WASM_PAGE));
      } catch {
        throw new UserError(`cannot set up guest memory '${name}': Cannot allocate memory`);
      }
      this.view = new Uint8Array(this.memory.buffer);
      this.dataView = new DataView(this.memory.buffer);
    }
    this.next += size;
    this.blocks.push(block);
    return block;
  }

  /** Calls back for writes to pages of `codePages`, through whichever address space they come: every bus master has its own. */
  onCodeWritten(listener: CodeWriteListener): () => void {
    this.codeListeners.add(listener);
    return () => this.codeListeners.delete(listener);
  }
  tellCodeWritten(offset: number, length: number, by: object): void {
    for (const listener of this.codeListeners) listener(offset, length, by);
  }

  blockBytes(block: RamBlock): Uint8Array {
    return this.view.subarray(block.offset, block.offset + block.bytes);
  }

  /** Marks a byte range as written, for all clients. */
  markDirty(offset: number, length: number): void {
    for (let page = offset >>> PAGE_BITS, last = (offset + Math.max(length, 1) - 1) >>> PAGE_BITS; page <= last; page++)
      this.dirty[page] = ALL_CLIENTS;
  }

  /** Whether a write to the page must still be reported to someone. */
  isLoggedAndClean(offset: number): boolean {
    const page = offset >>> PAGE_BITS;
    const logged = this.logged[page]!;
    return (logged & ~this.dirty[page]!) !== 0;
  }

  setLogged(offset: number, length: number, client: DirtyClient, isOn: boolean): void {
    const mask = DIRTY_CLIENT[client];
    for (let page = offset >>> PAGE_BITS, last = (offset + Math.max(length, 1) - 1) >>> PAGE_BITS; page <= last; page++)
      this.logged[page] = isOn ? this.logged[page]! | mask : this.logged[page]! & ~mask;
  }

  /** Whether any page of a range is dirty for the client. */
  isDirty(offset: number, length: number, client: DirtyClient): boolean {
    const mask = DIRTY_CLIENT[client];
    for (let page = offset >>> PAGE_BITS, last = (offset + Math.max(length, 1) - 1) >>> PAGE_BITS; page <= last; page++)
      if (this.dirty[page]! & mask) return true;
    return false;
  }

  clearDirty(offset: number, length: number, client: DirtyClient): void {
    const mask = ~DIRTY_CLIENT[client];
    for (let page = offset >>> PAGE_BITS, last = (offset + Math.max(length, 1) - 1) >>> PAGE_BITS; page <= last; page++)
      this.dirty[page] = this.dirty[page]! & mask;
  }
}

function roundUp(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}
