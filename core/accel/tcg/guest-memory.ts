/** Guest memory as the CPU reaches it: the TLB in linear memory that generated code reads, its slow path, and the accesses of
 *  helpers. A write right is withheld while the page holds decoded code, is logged and clean, or is not RAM. */
import { type CpuState, CR4, FIELDS, isCanonical, linearAddress } from '../../target/x86/state.ts';
import {
  ACCESS,
  type Access,
  type CpuActivity,
  type CpuBus,
  type LinearMemory,
  type SystemOps,
} from '../../target/x86/system-ops.ts';
import { DevicePages } from './device-pages.ts';
import { SLOT, TLB } from './interpreter/layout.ts';
import { SavedContexts } from './saved-contexts.ts';

const BANK_BYTES = TLB.entries * TLB.entryBytes;
/** Of 32-bit code: supervisor, user; of 64-bit code the same. Addresses of 32 bits alone would confuse what differs above them. */
const BANKS = 4;
export const LONG_BANK = 2;
const TWO32 = 0x1_0000_0000;
const CPL = FIELDS.cpl.offset >>> 2;
const WORDS = TLB.entryBytes / 4;
const KIND = TLB.kind / 4;

/** Physical page map, one word for each page below 8 GiB: arena offset of the page and what is known of it; 0: nothing yet. */
export const PAGE = { known: 1, ram: 2, writable: 4 } as const;
const MANY = 0xffff;
/** Pages of the arena. */
const MAP_PAGES = 1 << 20;
/** Bits of the addresses that the map has: RAM goes on above the hole below 4 GiB. */
export const MAPPED_BITS = 33;
const PHYSICAL_PAGES = 2 ** MAPPED_BITS / 4096;
const MAP_CHUNK = 1024;
const GROUP = 32;

/** What else is known of translations, in linear memory for generated code: words, then the slots in use (each once, 16 bits), then
 *  a byte for each region of 4 MiB that large pages were found in since everything was flushed: what is known of them may outlive
 *  their slots, in the jump cache. */
export const TABLES = {
  filledCount: 0,
  /** Pages larger than such a region were found. */
  hasHugePages: 4,
  /** Not 0: every translation is TypeScript's. */
  isOff: 8,
  largeRegions: 64,
  filled: 64 + 1024,
  bytes: 64 + 1024 + 2 * BANKS * TLB.entries,
  largestRegion: 1 << 22,
} as const;
/** Addresses in linear memory. */
export interface PagingLayout {
  readonly tlb: number;
  /** A word for each page below 8 GiB: arena offset of the page and what is known of it (`PAGE`); 0: nothing yet. */
  readonly pageMap: number;
  /** For each page of the arena: 0, the slot (plus one) that alone may have its write right, or 0xffff. May be out of date, but never
   *  says too little. */
  readonly writers: number;
  /** A byte for each page of the arena: 1 when writes to it interest nobody. */
  readonly open: number;
  readonly tables: number;
}
/** What native/paging.ts gives. */
export interface NativePaging {
  fill(low: number, high: number, access: Access, isUser: number): number;
  flush(keepGlobal: number): void;
}

/** Upper half of an address, as tags have it. */
const upper = (linear: number) => Math.floor(linear / TWO32) >>> 0;

/** Drops decoded code that a write hits. */
export interface CodeGuard {
  /** The CPU itself is about to write `length` bytes at an arena offset of a page with code. */
  codeWritten(arenaOffset: number, length: number, isBeforeWrite: boolean): void;
}

/** Data and I/O breakpoints, while any is set. */
export interface Watch {
  /** Accesses to this page must not use the TLB. */
  touches(page: number): boolean;
  access(linear: number, bytes: number, isWrite: boolean): void;
  port(port: number, bytes: number): void;
}

export class GuestMemory implements LinearMemory {
  private readonly state: CpuState;
  private readonly bus: CpuBus;
  private readonly activity: CpuActivity;
  /** Set once the system half exists. */
  ops!: SystemOps;
  guard!: CodeGuard;
  private watching: Watch | null = null;
  /** Record whose instruction accesses memory through the slow path. */
  record = 0;
  readonly layout: PagingLayout;
  /** Everyday misses; null: every miss is looked at here. */
  private native: NativePaging | null = null;
  private readonly tlb: Uint32Array;
  private readonly tables: Uint32Array;
  private readonly filled: Uint16Array;
  private readonly largeRegions: Uint8Array;
  /** Entries of process contexts that are not the current one. */
  private readonly contexts: SavedContexts;
  private readonly devicePages = new DevicePages();
  /** Long mode: addresses have 48 bits. */
  private isLong = false;
  /** 64-bit code runs: it has its own banks. */
  private isLongCode = false;
  /** The fault of a stack access with an address that is not canonical differs. Set by the engine. */
  refuseAddress: () => never = () => {
    throw new Error('nobody refuses addresses');
  };
  private readonly codePages: Uint8Array;
  private readonly writers: Uint16Array;
  private readonly open: Uint8Array;
  private readonly scratch: DataView;
  private bytes!: Uint8Array;
  private view!: DataView;
  /** Where a modified operand in the scratch area has to go back. */
  private readonly pending = { linear: 0, size: 0, first: 0, second: 0, isRam: false, isSplit: false };
  private readonly place = { arena: -1, phys: 0 };
  /** How physical pages are backed, filled on demand. */
  private readonly pageMap: Uint32Array;
  /** Chunks of the map and of `open` that have something in them. */
  private readonly mapUsed = new Uint8Array(PHYSICAL_PAGES / MAP_CHUNK);
  private readonly openUsed = new Uint8Array(MAP_PAGES / MAP_CHUNK);

  constructor(state: CpuState, bus: CpuBus, activity: CpuActivity) {
    this.state = state;
    this.bus = bus;
    this.activity = activity;
    this.codePages = bus.arena.codePages;
    const place = (name: string, bytes: number) => bus.arena.allocate(name, bytes).offset;
    this.layout = {
      tlb: place('cpu-tlb', BANKS * BANK_BYTES),
      pageMap: place('cpu-page-map', PHYSICAL_PAGES * 4),
      writers: place('cpu-writers', MAP_PAGES * 2),
      open: place('cpu-open-pages', MAP_PAGES),
      tables: place('cpu-translations', TABLES.bytes),
    };
    const { layout } = this;
    const { buffer } = bus.arena.memory;
    this.tlb = new Uint32Array(buffer, layout.tlb, (BANKS * BANK_BYTES) / 4);
    this.pageMap = new Uint32Array(buffer, layout.pageMap, PHYSICAL_PAGES);
    this.writers = new Uint16Array(buffer, layout.writers, MAP_PAGES);
    this.open = new Uint8Array(buffer, layout.open, MAP_PAGES);
    this.tables = new Uint32Array(buffer, layout.tables, TABLES.largeRegions / 4);
    this.largeRegions = new Uint8Array(buffer, layout.tables + TABLES.largeRegions, 1024);
    this.filled = new Uint16Array(buffer, layout.tables + TABLES.filled, BANKS * TLB.entries);
    this.scratch = new DataView(buffer, state.offset + FIELDS.scratch.offset, 64);
    for (let i = 0; i < this.tlb.length; i += WORDS) this.invalidate(i);
    this.contexts = new SavedContexts(this.tlb);
    this.updateNative();
    bus.memory.subscribe({
      flatViewChanged: () => {
        this.forgetPages();
        this.onFlush();
      },
      dirtyCleared: (offset, length) => this.dropWriteRights(offset, length),
      ramWritten: (offset, length) => this.guard.codeWritten(offset, length, false),
    });
  }
  /** Flushes what depends on translations; the engine adds its jump cache. */
  onFlush: () => void = () => this.flush();

  setNative(native: NativePaging | null): void {
    this.native = native;
    this.updateNative();
  }
  get watch(): Watch | null {
    return this.watching;
  }
  set watch(watch: Watch | null) {
    if (watch === this.watching) return;
    this.watching = watch;
    this.updateNative();
  }
  private updateNative(): void {
    this.tables[TABLES.isOff / 4] = this.native && !this.watching ? 0 : 1;
  }

  private refresh(): DataView {
    const { bytes } = this.bus.arena;
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.view;
  }

  // -- TLB -----------------------------------------------------------------------------------------------------------

  /** Drops translations, all or all but global ones: proportional to what was filled. */
  flush(keepGlobal = false): void {
    this.contexts.clear();
    this.flushCurrent(keepGlobal);
  }
  private flushCurrent(keepGlobal: boolean): void {
    this.devicePages.clear();
    if (!keepGlobal) {
      this.largeRegions.fill(0);
      this.tables[TABLES.hasHugePages / 4] = 0;
    }
    if (this.native) {
      this.native.flush(keepGlobal ? 1 : 0);
      return;
    }
    const { filled, tlb } = this;
    const count = this.filledCount;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const slot = filled[i]!;
      if (keepGlobal && tlb[slot * WORDS + KIND]! & SLOT.global) filled[kept++] = slot;
      else {
        this.invalidate(slot * WORDS);
        tlb[slot * WORDS + KIND] = 0;
      }
    }
    this.tables[TABLES.filledCount / 4] = kept;
  }
  private get filledCount(): number {
    return this.tables[TABLES.filledCount / 4]!;
  }
  /** Process context that the entries belong to which are not global. */
  private get pcid(): number {
    return this.state.cr4 & CR4.PCIDE ? this.state.cr3 & 0xfff : 0;
  }
  /** MOV to CR3 with CR4.PCIDE, before CR3 changes: see `CpuContext`. */
  selectPcid(pcid: number, keeps: boolean): void {
    const { contexts } = this;
    if (pcid !== this.pcid) {
      contexts.save(this.pcid, this.filled, this.filledCount);
      this.flushCurrent(true);
      this.tables[TABLES.filledCount / 4] = contexts.restore(pcid, keeps, this.filled, this.filledCount);
    } else if (!keeps) this.flushCurrent(true);
  }
  flushPcid(pcid: number, linear?: number): void {
    if (pcid !== this.pcid) this.contexts.forget(pcid);
    else if (linear === undefined) this.flushCurrent(true);
    else this.flushPage(linear);
  }
  private invalidate(entry: number): void {
    const { tlb } = this;
    tlb[entry + TLB.read / 4] = tlb[entry + TLB.write / 4] = tlb[entry + TLB.execute / 4] = TLB.invalid;
  }
  /** True: a large page may have been dropped, so every translation of that region is void. */
  flushPage(linear: number): boolean {
    const { tlb } = this;
    if (this.tables[TABLES.hasHugePages / 4]) {
      this.flush();
      return true;
    }
    this.devicePages.clear();
    // A slot stays in the list of filled ones; dropping it twice does no harm.
    for (let bank = 0; bank < BANKS; bank++) this.invalidate(this.entryOf(linear, bank));
    const region = linear >>> 22;
    if (!this.largeRegions[region]) return false;
    const count = this.filledCount;
    for (let i = 0; i < count; i++) {
      const entry = this.filled[i]! * WORDS;
      if (tlb[entry + KIND]! & SLOT.large && tlb[entry + TLB.read / 4]! >>> 22 === region) this.invalidate(entry);
    }
    return true;
  }
  /** Whether the page of a linear address is translated by a global entry now. */
  isGlobal(linear: number): boolean {
    const entry = this.entryOf(linear, this.bankOf(linear, this.isUser));
    return this.allows(entry, TLB.execute, linear) && (this.tlb[entry + KIND]! & SLOT.global) !== 0;
  }
  /** The engine changes its mode: gives the bank that its code uses. */
  setMode(isLong: boolean, isLongCode: boolean, isUser: boolean): number {
    this.isLong = isLong;
    this.isLongCode = isLongCode;
    return this.layout.tlb + ((isUser ? 1 : 0) + (isLongCode ? LONG_BANK : 0)) * BANK_BYTES;
  }
  private bankOf(linear: number, isUser: boolean): number {
    const isWide = this.isLong && (this.isLongCode || linear < 0 || linear >= TWO32);
    return (isUser ? 1 : 0) + (isWide ? LONG_BANK : 0);
  }
  /** An address as sums give it. */
  private normal(linear: number): number {
    return this.isLong ? linear : linear >>> 0;
  }
  /** Whether an entry has a right to the page of an address. */
  private allows(entry: number, right: number, linear: number): boolean {
    const at = entry + right / 4;
    return this.tlb[at] === (linear & ~0xfff) >>> 0 && (!this.isLong || this.tlb[at + 1] === upper(linear));
  }
  private entryOf(linear: number, bank: number): number {
    return ((linear >>> 12) & (TLB.entries - 1)) * WORDS + (bank * BANK_BYTES) / 4;
  }
  /** Takes the write right from a page that holds code now. */
  protectCode(page: number): void {
    const number = page >>> 12;
    this.open[number] = 0;
    const writer = this.writers[number]!;
    if (writer === 0) return;
    this.writers[number] = 0;
    if (writer === MANY) {
      this.dropWriteRights(page, 4096);
      return;
    }
    const entry = (writer - 1) * WORDS;
    const tag = this.tlb[entry + TLB.write / 4]!;
    if (tag & 0xfff || (tag + this.tlb[entry + TLB.addend / 4]!) >>> 0 !== page) return;
    this.tlb[entry + TLB.write / 4] = TLB.invalid;
  }
  /** Takes the write right from every entry that maps part of an arena range. */
  dropWriteRights(offset: number, length: number): void {
    const { tlb } = this;
    const first = (offset & ~0xfff) >>> 0;
    const end = offset + length;
    this.open.fill(0, first >>> 12, Math.ceil(end / 4096));
    const count = this.filledCount;
    for (let k = 0; k < count; k++) {
      const slot = this.filled[k]!;
      const i = slot * WORDS;
      const tag = tlb[i + TLB.read / 4]!;
      if (tag & 0xfff) continue;
      const at = (tag + tlb[i + TLB.addend / 4]!) >>> 0;
      if (at < first || at >= end) continue;
      tlb[i + TLB.write / 4] = TLB.invalid;
      tlb[i + KIND] = tlb[i + KIND]! & ~SLOT.guarded;
    }
  }

  /** What backs the page of a physical address. */
  private pageAt(phys: number): number {
    const page = Math.floor(phys / 4096);
    if (page >= PHYSICAL_PAGES) return this.describe(phys);
    return this.pageMap[page]! || this.learn(page);
  }
  /** Pages are asked for in groups: the neighbours are likely to be next. */
  private learn(page: number): number {
    this.mapUsed[page >>> 10] = 1;
    const first = page & -GROUP;
    for (let each = first; each < first + GROUP; each++) this.pageMap[each] ||= this.describe(each * 4096);
    return this.pageMap[page]!;
  }
  private describe(phys: number): number {
    const backing = this.bus.memory.lookupPage(phys);
    if (!backing) return PAGE.known;
    return (backing.offset | PAGE.known | PAGE.ram | (backing.writable ? PAGE.writable : 0)) >>> 0;
  }
  private forgetPages(): void {
    const { mapUsed, openUsed } = this;
    const clear = (used: Uint8Array, table: Uint8Array | Uint32Array) => {
      for (let i = 0; i < used.length; i++) if (used[i]) table.fill(0, i * MAP_CHUNK, (i + 1) * MAP_CHUNK);
      used.fill(0);
    };
    clear(mapUsed, this.pageMap);
    clear(openUsed, this.open);
  }
  /** Before the CPU may write to a page by itself. */
  private markDirty(phys: number, backing: number): void {
    if (this.isClean(phys, backing)) this.bus.memory.markDirty(backing, 4096);
  }
  private isClean(phys: number, backing: number): boolean {
    const { arena } = this.bus;
    return arena.isLoggedAndClean ? arena.isLoggedAndClean(backing) : this.bus.memory.lookupPage(phys)!.dirtyLogged;
  }

  /** Translates and fills the TLB. Arena offset in `place.arena`, or -1 (MMIO; then `place.phys` counts). */
  private fill(linear: number, access: Access, isUser: boolean): typeof this.place {
    const { place, tlb } = this;
    if (this.native) {
      const at = this.native.fill(linear, upper(linear), access, isUser ? 1 : 0);
      if (at !== 0) {
        place.arena = (linear + tlb[((at - this.layout.tlb) >>> 2) + TLB.addend / 4]!) >>> 0;
        return place;
      }
    }
    const translation = this.ops.translate(linear, access, isUser);
    const { phys } = translation;
    place.phys = phys;
    const known = this.pageAt(phys);
    if (!(known & PAGE.ram) || (access === ACCESS.write && !(known & PAGE.writable))) {
      place.arena = -1;
      if (translation.cacheable) this.devicePages.add(linear, access, isUser, phys);
      return place;
    }
    const backing = (known & ~0xfff) >>> 0;
    const page = linear & ~0xfff;
    place.arena = backing + (linear & 0xfff);
    const entry = this.entryOf(linear, this.bankOf(linear, isUser));
    const tag = page >>> 0;
    const high = upper(linear);
    if (access === ACCESS.write) {
      this.markDirty(phys, backing);
      this.openIfPlain(backing);
    }
    if (!translation.cacheable || this.watch?.touches(linear - (linear & 0xfff))) return place;
    const slot = entry / WORDS;
    const addend = (backing - tag) >>> 0;
    // A page that was mapped elsewhere meanwhile (without a flush: the guest's fault) must not get rights for the old place.
    const isOther = tlb[entry + TLB.read / 4] !== tag || tlb[entry + TLB.read / 4 + 1] !== high;
    if (isOther || tlb[entry + TLB.addend / 4] !== addend) {
      if (tlb[entry + KIND] === 0) this.filled[this.tables[TABLES.filledCount / 4]!++] = slot;
      const isLarge = translation.pageBytes > 4096;
      if (isLarge) this.largeRegions[page >>> 22] = 1;
      if (translation.pageBytes > TABLES.largestRegion) this.tables[TABLES.hasHugePages / 4] = 1;
      tlb[entry + KIND] = SLOT.used | (translation.global ? SLOT.global : 0) | (isLarge ? SLOT.large : 0);
      tlb[entry + TLB.addend / 4] = addend;
      this.invalidate(entry);
      tlb[entry + TLB.read / 4] = tag;
      tlb[entry + TLB.read / 4 + 1] = tlb[entry + TLB.write / 4 + 1] = tlb[entry + TLB.execute / 4 + 1] = high;
    }
    if (translation.executable) tlb[entry + TLB.execute / 4] = tag;
    if (access !== ACCESS.write) return place;
    if (this.codePages[backing >>> 12]) tlb[entry + KIND] = tlb[entry + KIND]! | SLOT.guarded;
    else {
      tlb[entry + TLB.write / 4] = tag;
      const writer = this.writers[backing >>> 12]!;
      this.writers[backing >>> 12] = writer === 0 || writer === slot + 1 ? slot + 1 : MANY;
    }
    return place;
  }
  /** Notes that writes to a page of RAM need not be told to anybody any more, nor those to its neighbours that nobody logs. */
  private openIfPlain(backing: number): void {
    const { arena } = this.bus;
    const page = backing >>> 12;
    if (this.codePages[page]) return;
    this.openUsed[page >>> 10] = 1;
    this.open[page] = 1;
    if (!arena.isLoggedAndClean) return;
    const first = page & -GROUP;
    for (let each = first; each < first + GROUP; each++)
      if (!this.codePages[each] && !arena.isLoggedAndClean(each * 4096)) this.open[each] = 1;
  }

  /** Arena offset of RAM or ROM for an access inside a page, or -1 with `place.phys` set. */
  private locate(linear: number, access: Access, isUser: boolean): number {
    const entry = this.entryOf(linear, this.bankOf(linear, isUser));
    const right = access === ACCESS.read ? TLB.read : access === ACCESS.write ? TLB.write : TLB.execute;
    if (this.allows(entry, right, linear)) return (linear + this.tlb[entry + TLB.addend / 4]!) >>> 0;
    if (
      access === ACCESS.write &&
      (this.tlb[entry + KIND]! & SLOT.guarded) !== 0 &&
      this.allows(entry, TLB.read, linear)
    ) {
      const arena = (linear + this.tlb[entry + TLB.addend / 4]!) >>> 0;
      // When the last block of the page is gone, a fill gives the write right back.
      if (this.codePages[arena >>> 12]) return arena;
    }
    const phys = this.devicePages.find(linear, access, isUser);
    if (phys < 0) return this.fill(linear, access, isUser).arena;
    this.place.phys = phys;
    return -1;
  }
  /** Arena offset of code, or -1 (then `physOfLast`). */
  locateCode(linear: number): number {
    return this.locate(linear, ACCESS.execute, this.isUser);
  }
  /** Arena offset of code as far as the TLB knows it, or -1. */
  locateCached(linear: number, isUser = this.isUser): number {
    const entry = this.entryOf(linear, this.bankOf(linear, isUser));
    if (!this.allows(entry, TLB.execute, linear)) return -1;
    return (linear + this.tlb[entry + TLB.addend / 4]!) >>> 0;
  }
  get physOfLast(): number {
    return this.place.phys;
  }
  private get isUser(): boolean {
    return this.state.u32[CPL]! === 3;
  }

  /** Announces a write to RAM that may hold code. */
  private guardCode(arena: number, length: number): void {
    if (this.codePages[arena >>> 12]) this.guard.codeWritten(arena, length, true);
  }

  // -- slow path of generated code -----------------------------------------------------------------------------------

  /** A linear address from the halves that generated code gives. */
  private joined(low: number, high: number, record: number): number {
    this.record = record;
    return isCanonical(high) ? linearAddress(low, high) : this.refuseAddress();
  }
  slowReadLong(low: number, high: number, record: number, size: number): number {
    return this.slowReadAt(this.joined(low, high, record), record, size);
  }
  slowUpdateLong(low: number, high: number, record: number, size: number): number {
    return this.slowUpdateAt(this.joined(low, high, record), record, size);
  }
  slowWriteLong(low: number, high: number, value: number, size: number, record: number): void {
    this.slowWriteAt(this.joined(low, high, record), value, size, record);
  }
  slowRead(linear: number, record: number, size: number): number {
    return this.slowReadAt(linear >>> 0, record, size);
  }
  private slowReadAt(at: number, record: number, size: number): number {
    this.record = record;
    this.watch?.access(at, size, false);
    const scratch = this.state.offset + FIELDS.scratch.offset;
    if ((at & 0xfff) + size > 4096) {
      this.gather(at, size, ACCESS.read);
      return scratch;
    }
    const arena = this.locate(at, ACCESS.read, this.isUser);
    if (arena >= 0) return arena;
    this.readDevice(this.place.phys, size);
    return scratch;
  }
  private readDevice(phys: number, size: number): void {
    const { scratch, bus } = this;
    this.activity.mmioAccesses++;
    if (size === 4) scratch.setUint32(0, bus.memory.read(phys, 4), true);
    else if (size === 2) scratch.setUint16(0, bus.memory.read(phys, 2), true);
    else if (size === 1) scratch.setUint8(0, bus.memory.read(phys, 1));
    else for (let i = 0; i < size; i += 4) scratch.setUint32(i, bus.memory.read(phys + i, 4), true);
  }
  private writeDevice(phys: number, size: number): void {
    const { scratch, bus } = this;
    this.activity.mmioAccesses++;
    if (size === 4) bus.memory.write(phys, 4, scratch.getUint32(0, true));
    else if (size === 2) bus.memory.write(phys, 2, scratch.getUint16(0, true));
    else if (size === 1) bus.memory.write(phys, 1, scratch.getUint8(0));
    else for (let i = 0; i < size; i += 4) bus.memory.write(phys + i, 4, scratch.getUint32(i, true));
  }
  /** Reads bytes across a page end into the scratch area; both pages are checked first. */
  private gather(linear: number, size: number, access: Access): void {
    const head = 4096 - (linear & 0xfff);
    const next = this.normal(linear + head);
    const first = this.physical(linear, access);
    const second = this.physical(next, access);
    for (let i = 0; i < size; i++)
      this.scratch.setUint8(i, this.readPhysicalByte(i < head ? first + i : second + i - head));
    Object.assign(this.pending, { linear, size, first, second, isSplit: true });
  }
  private physical(linear: number, access: Access): number {
    return this.ops.translate(linear, access, this.isUser).phys;
  }
  private readPhysicalByte(phys: number): number {
    return this.bus.memory.read(phys, 1);
  }

  slowUpdate(linear: number, record: number, size: number): number {
    return this.slowUpdateAt(linear >>> 0, record, size);
  }
  private slowUpdateAt(at: number, record: number, size: number): number {
    this.record = record;
    this.watch?.access(at, size, true);
    const scratch = this.state.offset + FIELDS.scratch.offset;
    if ((at & 0xfff) + size > 4096) {
      this.gather(at, size, ACCESS.write);
      return scratch;
    }
    const arena = this.locate(at, ACCESS.write, this.isUser);
    if (arena >= 0) {
      this.guardCode(arena, size);
      return arena;
    }
    const { phys } = this.place;
    this.readDevice(phys, size);
    Object.assign(this.pending, { linear: at, size, first: phys, second: 0, isSplit: false });
    return scratch;
  }
  commitUpdate(record: number): void {
    this.record = record;
    this.flushPending();
  }
  private flushPending(): void {
    const { pending } = this;
    if (!pending.isSplit) {
      this.writeDevice(pending.first, pending.size);
      return;
    }
    const head = 4096 - (pending.linear & 0xfff);
    for (let i = 0; i < pending.size; i++)
      this.writePhysical(i < head ? pending.first + i : pending.second + i - head, 1, this.scratch.getUint8(i));
  }
  slowWrite(linear: number, value: number, size: number, record: number): void {
    this.slowWriteAt(linear >>> 0, value, size, record);
  }
  private slowWriteAt(at: number, value: number, size: number, record: number): void {
    this.record = record;
    this.watch?.access(at, size, true);
    this.store(at, size, value, this.isUser);
  }
  storeScratch(linear: number, record: number, size: number): void {
    this.record = record;
    this.storeScratchAt(linear >>> 0, size);
  }
  storeScratchLong(low: number, high: number, record: number, size: number): void {
    this.storeScratchAt(this.joined(low, high, record), size);
  }
  /** Writes what lies in the scratch area. */
  private storeScratchAt(linear: number, size: number): void {
    const at = this.normal(linear);
    this.watch?.access(at, size, true);
    if ((at & 0xfff) + size > 4096) this.probe(at, size, ACCESS.write, false);
    else {
      const arena = this.locate(at, ACCESS.write, this.isUser);
      if (arena >= 0) {
        this.guardCode(arena, size);
        const scratch = this.state.offset + FIELDS.scratch.offset;
        this.refresh();
        this.bytes.copyWithin(arena, scratch, scratch + size);
        return;
      }
    }
    for (let i = 0; i < size; i += 4) this.store(this.normal(at + i), 4, this.scratch.getUint32(i, true), this.isUser);
  }
  private store(at: number, size: number, value: number, isUser: boolean): void {
    if ((at & 0xfff) + size > 4096) {
      const head = 4096 - (at & 0xfff);
      const first = this.ops.translate(at, ACCESS.write, isUser).phys;
      const second = this.ops.translate(this.normal(at + head), ACCESS.write, isUser).phys;
      for (let i = 0; i < size; i++)
        this.writePhysical(i < head ? first + i : second + i - head, 1, (value >>> (8 * i)) & 0xff);
      return;
    }
    const arena = this.locate(at, ACCESS.write, isUser);
    if (arena < 0) {
      this.activity.mmioAccesses++;
      const clipped = size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
      this.bus.memory.write(this.place.phys, size as 1 | 2 | 4, clipped);
      return;
    }
    const view = this.refresh();
    if (this.codePages[arena >>> 12]) {
      // Programs that patch themselves often write what is there already.
      const mask = size === 4 ? 0xffff_ffff : size === 2 ? 0xffff : 0xff;
      const old =
        size === 4 ? view.getUint32(arena, true) : size === 2 ? view.getUint16(arena, true) : view.getUint8(arena);
      if (old === (value & mask) >>> 0) return;
      this.guard.codeWritten(arena, size, true);
    }
    if (size === 4) view.setUint32(arena, value, true);
    else if (size === 2) view.setUint16(arena, value, true);
    else view.setUint8(arena, value);
  }

  // -- helpers' accesses ---------------------------------------------------------------------------------------------

  read(linear: number, size: 1 | 2 | 4, supervisor = false): number {
    const at = this.normal(linear);
    if (!supervisor) this.watch?.access(at, size, false);
    const isUser = this.isUser && !supervisor;
    if ((at & 0xfff) + size > 4096) {
      let value = 0;
      for (let i = 0; i < size; i++) value += this.read(this.normal(at + i), 1, supervisor) * 2 ** (8 * i);
      return value;
    }
    const arena = this.locate(at, ACCESS.read, isUser);
    if (arena < 0) {
      this.activity.mmioAccesses++;
      return this.bus.memory.read(this.place.phys, size);
    }
    const view = this.refresh();
    return size === 4 ? view.getUint32(arena, true) : size === 2 ? view.getUint16(arena, true) : view.getUint8(arena);
  }
  write(linear: number, size: 1 | 2 | 4, value: number, supervisor = false): void {
    const at = this.normal(linear);
    if (!supervisor) this.watch?.access(at, size, true);
    this.store(at, size, value, this.isUser && !supervisor);
  }
  probeWrite(linear: number, bytes: number, supervisor = false): void {
    this.probe(linear, bytes, ACCESS.write, supervisor);
  }
  probeRead(linear: number, bytes: number, supervisor = false): void {
    this.probe(linear, bytes, ACCESS.read, supervisor);
  }
  private probe(linear: number, bytes: number, access: Access, supervisor: boolean): void {
    const isUser = this.isUser && !supervisor;
    this.locate(this.normal(linear), access, isUser);
    // A fault in the second page is at its first byte.
    const last = linear + bytes - 1;
    if ((linear & 0xfff) + bytes > 4096) this.locate(this.normal(last - (last & 0xfff)), access, isUser);
  }
  readPhysical(addr: number, size: 1 | 2 | 4): number {
    const known = this.pageAt(addr);
    const inPage = addr % 4096;
    if (!(known & PAGE.ram) || inPage + size > 4096) return this.bus.memory.read(addr, size);
    const at = ((known & ~0xfff) | inPage) >>> 0;
    const view = this.refresh();
    return size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at);
  }
  writePhysical(addr: number, size: 1 | 2 | 4, value: number): void {
    const known = this.pageAt(addr);
    const inPage = addr % 4096;
    if (!(known & PAGE.writable) || inPage + size > 4096) {
      this.bus.memory.write(addr, size, value);
      return;
    }
    const page = (known & ~0xfff) >>> 0;
    this.markDirty(addr, page);
    this.openIfPlain(page);
    const at = page + inPage;
    this.guardCode(at, size);
    const view = this.refresh();
    if (size === 4) view.setUint32(at, value, true);
    else if (size === 2) view.setUint16(at, value, true);
    else view.setUint8(at, value);
  }

  /** For string helpers: arena offset of RAM at `linear` (whole page accessible from there), or -1: element by element. */
  ramAt(linear: number, access: Access): number {
    return this.locate(this.normal(linear), access, this.isUser);
  }
  /** For the system half: as `ramAt`, with the privilege of the structure that is accessed. */
  window(linear: number, access: Access, supervisor = false): number {
    if (this.watch) return -1;
    return this.locate(this.normal(linear), access, this.isUser && !supervisor);
  }
  /** As `window`, but only what the TLB allows already. */
  hit(linear: number, access: Access, supervisor: boolean): number {
    if (this.watch) return -1;
    const entry = this.entryOf(linear, this.bankOf(linear, !supervisor && this.isUser));
    const right = access === ACCESS.read ? TLB.read : access === ACCESS.write ? TLB.write : TLB.execute;
    if (!this.allows(entry, right, linear)) return -1;
    return (linear + this.tlb[entry + TLB.addend / 4]!) >>> 0;
  }
  /** Bytes of the arena and a view of them, fresh. */
  get arenaBytes(): Uint8Array {
    this.refresh();
    return this.bytes;
  }
  get arenaView(): DataView {
    return this.refresh();
  }
  /** Physical address of the last place that was not RAM. */
  get devicePhys(): number {
    return this.place.phys;
  }
  noteWrite(arena: number, length: number): void {
    this.guardCode(arena, length);
  }
}
