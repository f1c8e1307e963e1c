/** The seam between the instruction engine and the system half of the CPU: what each side offers the other.
 *
 *  Conventions for every `SystemOps` member
 *  - While it runs `state.eip` is the EIP of the NEXT instruction; a fault (`raise`) restores the faulting one's EIP by itself.
 *    A member that transfers control sets `state.eip` (and CS, CPL, EFLAGS ...) itself.
 *  - Everything that may fault precedes the first change of state.
 *  - Selectors, offsets and values are unsigned numbers; `size` of an operand is in bytes (2, 4 or 8).
 *  - Linear addresses are numbers as state.ts has them (`linearAddress`).
 *  - After a change of CR0/CR4/EFER/segments/CPL/VM/TF nothing has to be announced: the engine recomputes the mode after every
 *    member returns (or faults). TLB contents are the exception: call `flushTlb`/`flushPage`. */
import type { CpuState } from './state.ts';

/** Kinds of access as the page walk sees them. */
export const ACCESS = { read: 0, write: 1, execute: 2 } as const;
export type Access = (typeof ACCESS)[keyof typeof ACCESS];

/** Guest RAM and what else the CPU keeps in linear memory. */
export interface RamBlock {
  readonly offset: number;
}
export interface RamArena {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly codePages: Uint8Array;
  allocate(name: string, bytes: number): RamBlock;
  /** Whether a write to the page must still be reported to someone. Absent: `PageBacking.dirtyLogged` says so. */
  isLoggedAndClean?(offset: number): boolean;
}
export interface PageBacking {
  readonly offset: number;
  readonly writable: boolean;
  readonly dirtyLogged: boolean;
}
export interface AddressSpace {
  read(addr: number, size: 1 | 2 | 4 | 8): number;
  write(addr: number, size: 1 | 2 | 4 | 8, value: number): void;
  /** A run of reads from one register; how many were made, 0: read singly. */
  readString?(addr: number, size: 1 | 2 | 4 | 8, target: Uint8Array): number;
  /** A run of writes of one value, each behind the last; false: they are to be made singly. */
  fill?(addr: number, size: 1 | 2 | 4, value: number, count: number): boolean;
  lookupPage(addr: number): PageBacking | null;
  markDirty(arenaOffset: number, length: number): void;
  subscribe(listener: {
    flatViewChanged(): void;
    dirtyCleared(arenaOffset: number, length: number): void;
    ramWritten(arenaOffset: number, length: number): void;
  }): () => void;
}
export type LogMask =
  | 'int'
  | 'guest_errors'
  | 'unimp'
  | 'cpu_reset'
  | 'in_asm'
  | 'exec'
  | 'cpu'
  | 'fpu'
  | 'mmu'
  | 'nochain';

/** The registers of the local APIC that the CPU reaches by instructions. 64-bit ones go in two unsigned halves. */
export interface LocalApic {
  /** IA32_APIC_BASE. Writing gives false for what is not allowed: #GP. */
  readBase(): number;
  writeBase(value: number): boolean;
  /** Task priority, 8 bits; CR8 is its upper half. */
  readTpr(): number;
  writeTpr(value: number): void;
  /** MSR 800h + `register`. Reading gives -1, writing false for #GP. */
  readX2apic(register: number, isHigh: boolean): number;
  writeX2apic(register: number, low: number, high: number): boolean;
  /** IA32_TSC_DEADLINE; `atNs`: when the TSC gets there, on the clock of `tscNow`. */
  readDeadline(isHigh: boolean): number;
  writeDeadline(low: number, high: number, atNs: number): void;
}

/** What the board gives the CPU. */
export interface CpuBus {
  readonly arena: RamArena;
  readonly memory: AddressSpace;
  readonly io: AddressSpace;
  acknowledgeInterrupt(): number;
  tscNow(): number;
  /** The CPU's local APIC; absent: it has none, and interrupts come straight to it. */
  readonly apic?: LocalApic | null;
  smiAcknowledged?(inSmm: boolean): void;
  tripleFault(): void;
  /** FERR#: an unmasked x87 exception while CR0.NE is clear (IRQ 13 on a PC). `isNew`: none was pending before. */
  ferr?(isNew: boolean): void;
  haltedChanged?(halted: boolean): void;
  /** 32 random bits for RDRAND and RDSEED. */
  random?(): number;
  log(mask: LogMask, text: () => string): void;
  /** Whether texts of a kind go anywhere; absent: they may. */
  logs?(mask: LogMask): boolean;
}

/** Memory as instructions see it: linear addresses (A20 and paging applied inside), any alignment, may cross pages. Faults with #PF. */
export interface LinearMemory {
  /** `size` 1, 2 or 4; `supervisor` true: implicit accesses to GDT, IDT, TSS and inner stacks (CPL is ignored). Unsigned. */
  read(linear: number, size: 1 | 2 | 4, supervisor?: boolean): number;
  write(linear: number, size: 1 | 2 | 4, value: number, supervisor?: boolean): void;
  /** Faults if the range cannot be written; so a multi-word push can check first and commit later. */
  probeWrite(linear: number, bytes: number, supervisor?: boolean): void;
  probeRead(linear: number, bytes: number, supervisor?: boolean): void;
  /** Several words of one structure at once, where memory is plain RAM: arena offset of `linear`, good to the end of its page, or
   *  -1. Before writing through it say so with `noteWrite`. Absent: word by word. */
  window?(linear: number, access: Access, supervisor?: boolean): number;
  readonly arenaView?: DataView;
  /** Arena offset of `linear` if the TLB allows the access already, else -1; never faults and changes nothing. Writes need no
   *  `noteWrite`: the TLB does not allow them where there is code. */
  hit?(linear: number, access: Access, supervisor: boolean): number;
  noteWrite?(arenaOffset: number, bytes: number): void;
  /** Physical accesses (page walks, SMM save area): RAM fast, else the bus. A20 is NOT applied. */
  readPhysical(addr: number, size: 1 | 2 | 4): number;
  writePhysical(addr: number, size: 1 | 2 | 4, value: number): void;
}

/** What the system half works on: given once, when it is made. */
export interface CpuContext {
  readonly state: CpuState;
  readonly bus: CpuBus;
  readonly memory: LinearMemory;
  /** Drops cached translations: all, or all but global pages, or of one page. */
  flushTlb(keepGlobal?: boolean): void;
  flushPage(linear: number): void;
  /** Another process context, or the same anew, is about to become the current one, by a new CR3: what is cached under it, but global, is kept or dropped. */
  selectPcid(pcid: number, keeps: boolean): void;
  /** Drops what is cached under a process context, of one page or all but global. */
  flushPcid(pcid: number, linear?: number): void;
  /** Board-visible counters. */
  readonly activity: CpuActivity;
  /** The CPU shuts down (triple fault already reported) or must leave the run loop soon. */
  requestExit(): void;
}
export interface CpuActivity {
  pauses: number;
  softInts: Uint32Array;
  portReads: number;
  portWrites: number;
  mmioAccesses: number;
  blocksDecoded: number;
  modeSwitches: number;
  stringOps: number;
}

/** Result of a page walk; reused object, copy what is kept. */
export interface Translation {
  phys: number;
  /** Rights that may be cached for the privilege that was asked about. A write right is only given when the page is dirty. */
  writable: boolean;
  executable: boolean;
  global: boolean;
  /** Whether the rights may be cached at all: EFLAGS.AC decides anew about every access under SMAP. */
  cacheable: boolean;
  /** Page size in bytes. */
  pageBytes: number;
}

/** What the system half offers: filled by target/x86/system.ts `createSystemOps(context): SystemOps`. */
export interface SystemOps {
  /** Page walk with access rights, A/D updates, A20 applied to the result. Raises #PF (sets CR2). Paging off: identity. */
  translate(linear: number, access: Access, user: boolean): Translation;
  /** The same without side effects or faults; null when not mapped. Physical address. */
  translateDebug(linear: number): number | null;

  /** Delivers a fault, trap or interrupt through the IDT; turns nested faults into #DF and shutdown (never throws GUEST_FAULT).
   *  `hardware`: external interrupt or NMI. state.eip is the EIP to push. */
  deliverException(vector: number, errorCode: number | undefined): void;
  deliverInterrupt(vector: number): void;
  /** Non-maskable interrupt (vector 2; blocks further NMIs until IRET). */
  deliverNmi(): void;
  /** INT n (with VME and IOPL checks), INT3 (0xCC), INTO when OF is set, INT1 (0xF1). May fault. */
  softwareInterrupt(vector: number, kind: 'int' | 'int3' | 'into' | 'int1'): void;
  iret(size: 2 | 4 | 8): void;

  /** MOV/POP Sreg, LDS and friends. `index`: ES CS SS DS FS GS (never CS). */
  loadSegment(index: number, selector: number): void;
  /** `high`: upper half of the offset when `size` is 8. */
  farJump(selector: number, offset: number, size: 2 | 4 | 8, high?: number): void;
  farCall(selector: number, offset: number, size: 2 | 4 | 8, high?: number): void;
  /** RETF and RETF imm16. */
  farReturn(size: 2 | 4 | 8, popBytes: number): void;

  lldt(selector: number): void;
  ltr(selector: number): void;
  /** Result in the low 32 bits, or -1: ZF = 0 and the destination stays. */
  lar(selector: number): number;
  lsl(selector: number): number;
  /** New ZF. */
  verr(selector: number): boolean;
  verw(selector: number): boolean;

  /** MOV to CR0/2/3/4/8 and LMSW; privilege already checked. */
  /** INVPCID: type and linear address of the descriptor. */
  invpcid(type: number, typeHigh: number, at: number): void;
  writeCr(index: number, value: number, high?: number): void;
  readCr(index: number): number;
  writeDr(index: number, value: number, high?: number): void;
  readDr(index: number): number;
  /** Act on EAX/ECX/EDX/EBX; privilege is checked by them (#GP). */
  cpuid(): void;
  xgetbv(): void;
  xsetbv(): void;
  rdmsr(): void;
  wrmsr(): void;
  sysenter(): void;
  sysexit(size: 2 | 4 | 8): void;
  syscall(): void;
  sysret(size: 2 | 4 | 8): void;
  /** Of 64-bit code. */
  swapgs(): void;
  divide128(divisorLow: number, divisorHigh: number, isSigned: boolean): void;
  /** Enters system management mode between instructions; RSM (raises #UD outside of SMM). */
  enterSmm(): void;
  rsm(): void;
  /** I/O permission bitmap: raises #GP when IOPL and the TSS deny. Called only when CPL > IOPL or in VM86. */
  checkIo(port: number, bytes: number): void;

  /** Power-on values of every register (memory-side state of the engine is the engine's). INIT keeps FPU and caches. */
  reset(): void;
  init(): void;
}
