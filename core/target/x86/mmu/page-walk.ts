/** Page walks: none, legacy 32-bit (with 4 MiB pages and PSE-36), PAE and 4-level, with A/D updates and the exact #PF error codes.
 *  Intel SDM volume 3A chapter 4, AMD APM volume 2 chapter 5.
 *  Not modelled: 5-level paging, protection keys. As on AMD processors
 *  the PDPTEs are read during the walk and not kept from the last CR3 load. */
import { raise, VECTOR } from '../fault.ts';
import { type CpuState, CR0, CR4, EFER, EFLAGS, FIELDS } from '../state.ts';
import { ACCESS, type Access, type Translation } from '../system-ops.ts';

/** Bits of a paging-structure entry. */
export const PTE = { P: 1, RW: 2, US: 4, A: 0x20, D: 0x40, PS: 0x80, G: 0x100 } as const;
/** Bits of a page-fault error code. */
export const PF_ERROR = { present: 1, write: 2, user: 4, reserved: 8, instruction: 16 } as const;
const NX_HIGH = 0x8000_0000;
const TWO32 = 0x1_0000_0000;

/** Physical memory as the walker needs it; A20 is applied by the walker. */
export interface PhysicalWords {
  readPhysical(addr: number, size: 1 | 2 | 4): number;
  writePhysical(addr: number, size: 1 | 2 | 4, value: number): void;
}

/** What the CPU model says about paging. */
export interface PagingFeatures {
  readonly pse36: boolean;
  readonly nx: boolean;
  readonly pdpe1gb: boolean;
  /** Width of a physical address. */
  readonly physBits: number;
}

/** Whether a linear address of long mode has 48 bits. */
function isCanonicalAddress(linear: number): boolean {
  return linear >= -CANONICAL_HALF && linear < CANONICAL_HALF;
}
const CANONICAL_HALF = 2 ** 47;

/** Why a walk found no page, as error code bits without W, U and I. */
const NOT_PRESENT = 0;
const RESERVED = PF_ERROR.present | PF_ERROR.reserved;

/** Walks the page tables of one CPU. Results stand in `result`, which is reused. */
export class PageWalker {
  private readonly state: CpuState;
  private readonly memory: PhysicalWords;
  private readonly features: PagingFeatures;
  private readonly result: Translation = {
    phys: 0,
    writable: true,
    executable: true,
    global: false,
    cacheable: true,
    pageBytes: 4096,
  };

  // Outcome of the last `walk`: rights gathered over all levels and the leaf entry.
  private page = 0;
  private pageBytes = 4096;
  private isWritable = false;
  private isUser = false;
  private isNoExecute = false;
  private leafAddress = 0;
  private leafLow = 0;
  /** Whether the walk sets A above the leaf; it does so even if it fails further down, as hardware may. */
  private setsAccessed = false;

  constructor(state: CpuState, memory: PhysicalWords, features: PagingFeatures) {
    this.state = state;
    this.memory = memory;
    this.features = features;
  }

  /** Linear to physical with rights; raises #PF. */
  translate(linear: number, access: Access, user: boolean): Translation {
    const { state, result } = this;
    if (!state.paging) {
      result.phys = this.a20(linear);
      result.writable = result.executable = true;
      result.global = false;
      result.cacheable = true;
      result.pageBytes = 4096;
      return result;
    }
    if (state.longMode && !isCanonicalAddress(linear)) raise(state, VECTOR.GP, 0);
    const failure = this.walk(linear, true);
    if (failure >= 0) this.fault(linear, access, user, failure);
    const { cr0, cr4 } = state;
    let executable = !this.isNoExecute;
    let writable = this.isWritable;
    let allowed = true;
    if (user) allowed = this.isUser;
    else {
      if (!(cr0 & CR0.WP)) writable = true;
      if (this.isUser && cr4 & CR4.SMEP) executable = false;
      // Implicit supervisor accesses (CPL 3) never profit from EFLAGS.AC.
      if (this.isUser && cr4 & CR4.SMAP && (state.cpl === 3 || !(state.eflagsSystem & EFLAGS.AC))) {
        allowed = access === ACCESS.execute;
        writable = false;
      }
    }
    if (access === ACCESS.write) allowed &&= writable;
    else if (access === ACCESS.execute) allowed &&= executable;
    if (!allowed) this.fault(linear, access, user, PF_ERROR.present);
    this.updateAccessed(access === ACCESS.write);

    result.phys = this.a20(this.page + this.inPage(linear));
    result.writable = writable && (this.leafLow & PTE.D) !== 0;
    result.executable = executable;
    result.cacheable = user || !this.isUser || (cr4 & CR4.SMAP) === 0;
    result.global = (this.leafLow & PTE.G) !== 0 && (cr4 & CR4.PGE) !== 0;
    result.pageBytes = this.pageBytes;
    return result;
  }

  /** Physical address or null; sets no bits and raises nothing. */
  translateDebug(linear: number): number | null {
    if (!this.state.paging) return this.a20(linear);
    if (this.state.longMode && !isCanonicalAddress(linear)) return null;
    return this.walk(linear, false) >= 0 ? null : this.a20(this.page + this.inPage(linear));
  }

  private inPage(linear: number): number {
    return linear - Math.floor(linear / this.pageBytes) * this.pageBytes;
  }
  /** A20 acts on bit 20 of every address that leaves the CPU. */
  private a20(addr: number): number {
    const mask = this.state.a20Mask;
    if (mask === 0xffff_ffff) return addr;
    const low = addr % TWO32;
    return addr - low + ((low & mask) >>> 0);
  }

  private read32(addr: number): number {
    return this.memory.readPhysical(this.a20(addr), 4);
  }

  private fault(linear: number, access: Access, user: boolean, code: number): never {
    const { state } = this;
    let error = code;
    if (access === ACCESS.write) error |= PF_ERROR.write;
    if (user) error |= PF_ERROR.user;
    const knowsFetch = (state.efer & EFER.NXE && state.cr4 & CR4.PAE) || state.cr4 & CR4.SMEP;
    if (access === ACCESS.execute && knowsFetch) error |= PF_ERROR.instruction;
    state.cr2 = linear;
    raise(state, VECTOR.PF, error);
  }

  /** Sets A and D at the leaf. */
  private updateAccessed(isWrite: boolean): void {
    const wanted = isWrite ? PTE.A | PTE.D : PTE.A;
    if ((this.leafLow & wanted) !== wanted) {
      this.setBits(this.leafAddress, wanted);
      this.leafLow |= wanted;
    }
  }

  /** The entry is read again so that nothing written meanwhile is lost. */
  private setBits(addr: number, bits: number): void {
    const at = this.a20(addr);
    const old = this.memory.readPhysical(at, 4);
    if ((old & bits) !== bits) this.memory.writePhysical(at, 4, (old | bits) >>> 0);
  }

  /** Fills the outcome fields. Returns -1, or the error code bits of a failed walk. */
  private walk(linear: number, setsAccessed: boolean): number {
    this.setsAccessed = setsAccessed;
    this.isNoExecute = false;
    return this.state.cr4 & CR4.PAE ? this.walk64(linear) : this.walk32(linear);
  }

  private walk32(linear: number): number {
    const { state } = this;
    const pdeAddress = (state.low(FIELDS.cr3) & 0xffff_f000) + (linear >>> 22) * 4;
    // The sum of two 32-bit parts cannot leave 32 bits: the base is aligned to the table.
    const pde = this.read32(pdeAddress >>> 0);
    if (!(pde & PTE.P)) return NOT_PRESENT;
    if (pde & PTE.PS && state.cr4 & CR4.PSE) {
      const reserved = this.features.pse36 ? 0x0020_0000 : 0x003f_e000;
      if (pde & reserved) return RESERVED;
      this.leaf(pdeAddress >>> 0, pde, (pde & 0xffc0_0000) >>> 0, 0x40_0000);
      if (this.features.pse36) this.page += ((pde >>> 13) & 0xff) * TWO32;
      this.isWritable = (pde & PTE.RW) !== 0;
      this.isUser = (pde & PTE.US) !== 0;
      return -1;
    }
    if (this.setsAccessed && !(pde & PTE.A)) this.setBits(pdeAddress >>> 0, PTE.A);
    const pteAddress = ((pde & 0xffff_f000) + ((linear >>> 12) & 0x3ff) * 4) >>> 0;
    const pte = this.read32(pteAddress);
    if (!(pte & PTE.P)) return NOT_PRESENT;
    this.leaf(pteAddress, pte, (pte & 0xffff_f000) >>> 0, 4096);
    this.isWritable = (pde & pte & PTE.RW) !== 0;
    this.isUser = (pde & pte & PTE.US) !== 0;
    return -1;
  }

  /** PAE (PDPT, PD, PT) and 4-level (PML4 first): 8-byte entries, 9 bits per level. */
  private walk64(linear: number): number {
    const { state, features } = this;
    const isLong = (state.efer & EFER.LMA) !== 0;
    const highAddress = 2 ** (features.physBits - 32) - 1;
    // Bits 62:52 are ignored in long mode and reserved in PAE.
    const highReserved =
      ((isLong ? 0x000f_ffff : 0x7fff_ffff) & ~highAddress) | (features.nx && state.efer & EFER.NXE ? 0 : NX_HIGH);
    let table = isLong
      ? state.low(FIELDS.cr3) - (state.low(FIELDS.cr3) & 0xfff) + (state.high(FIELDS.cr3) & highAddress) * TWO32
      : (state.low(FIELDS.cr3) & 0xffff_ffe0) >>> 0;
    let rights = PTE.RW | PTE.US;
    for (let level = isLong ? 4 : 3; ; level--) {
      const shift = 12 + 9 * (level - 1);
      const index = Math.floor(linear / 2 ** shift) & 0x1ff;
      const address = table + index * 8;
      const low = this.read32(address);
      const high = this.read32(address + 4);
      if (!(low & PTE.P)) return NOT_PRESENT;
      const isRootOfPae = level === 3 && !isLong;
      if (isRootOfPae) {
        // A PAE root entry has neither rights nor A bit; bits 63 and 8:5, 2:1 are reserved.
        if (low & 0x1e6 || high & (highReserved | NX_HIGH)) return RESERVED;
      } else {
        if (high & highReserved) return RESERVED;
        rights &= low;
        if (high & NX_HIGH) this.isNoExecute = true;
      }
      const page = ((low & 0xffff_f000) >>> 0) + (high & highAddress & 0x000f_ffff) * TWO32;
      const isLarge = level > 1 && !isRootOfPae && (low & PTE.PS) !== 0;
      if (level === 1 || isLarge) {
        const bytes = 2 ** shift;
        if (isLarge) {
          if (level === 4 || (level === 3 && !features.pdpe1gb)) return RESERVED;
          if ((page % bytes) & 0x3fff_e000) return RESERVED; // bit 12 is PAT
        }
        this.leaf(address, low, page - (page % bytes), bytes);
        this.isWritable = (rights & PTE.RW) !== 0;
        this.isUser = (rights & PTE.US) !== 0;
        return -1;
      }
      if (!isRootOfPae && this.setsAccessed && !(low & PTE.A)) this.setBits(address, PTE.A);
      table = page;
    }
  }

  private leaf(address: number, low: number, page: number, bytes: number): void {
    this.leafAddress = address;
    this.leafLow = low;
    this.page = page;
    this.pageBytes = bytes;
  }
}
