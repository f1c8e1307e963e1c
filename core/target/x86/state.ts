/** The state of one x86 CPU, declared once: names, kinds and, from them, offsets in linear memory. Emitters address these
 *  fields directly; helpers, the inspector and vmstate use `CpuState`. Everything has 64-bit room; the accessors return
 *  unsigned numbers (64-bit fields as doubles, exact below 2^53). */

type Kind = 'u8' | 'u16' | 'u32' | 'u64' | 'bytes';
/** One declared field: `offset` counts from the start of the state block, `stride` separates array elements. */
export interface StateField {
  readonly kind: Kind;
  readonly offset: number;
  readonly count: number;
  readonly stride: number;
}

const SIZE: Record<Kind, number> = { u8: 1, u16: 2, u32: 4, u64: 8, bytes: 1 };
let end = 0;
function field(kind: Kind, count = 1, align = SIZE[kind]): StateField {
  end = Math.ceil(end / align) * align;
  const declared = { kind, offset: end, count, stride: SIZE[kind] };
  end += SIZE[kind] * count;
  return declared;
}

/** Order of general registers, x86 encoding. */
export const EAX = 0;
export const ECX = 1;
export const EDX = 2;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;

/** Segment registers in encoding order, then the two system ones that share their format. */
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;

/** Words of one segment register. `readEnd`/`writeEnd`: offsets below it may be accessed without further checks. */
const SEGMENT_BYTES = 32;
export const SEGMENT = { base: 0, limit: 8, flags: 12, selector: 16, readEnd: 20, writeEnd: 24 } as const;

/** What compiled code keeps of the last page that a group of its accesses was in: tag (u64) and addend. */
export const PAGE_CACHE = { bytes: 16, tag: 0, addend: 8, count: 32 } as const;

/** All fields. A change of order changes nothing but speed: offsets are never saved. */
export const FIELDS = {
  gpr: field('u64', 16, 64),
  /** Constant zero: the base register of an address that has none. */
  zero: field('u64'),
  /** EIP/RIP of the block being executed while WebAssembly runs; of the next instruction otherwise. */
  rip: field('u64'),
  /** Lazy flags: sign-extended result (Z, S, P) ... */
  flagResult: field('u64'),
  /** ... and CF in bit 31, CF^OF in bit 30, AF in bit 3, parity correction in bits 8-15, sign correction in bit 0. */
  flagAux: field('u32'),
  /** Upper half of what stands in `flagAux` between two compiled regions of 64-bit code. */
  flagAuxHigh: field('u32'),
  /** Not 0 only in compiled code, from one region into the next: `flagAux` holds the word that goes with this kind
   *  (accel/tcg/jit/flags.ts). */
  flagKind: field('u32'),
  /** EFLAGS without O S Z A C P: TF IF DF IOPL NT RF VM AC VIF VIP ID. */
  eflagsSystem: field('u32'),
  /** 1 or -1 (as u32): the direction of string instructions. */
  direction: field('u32'),
  /** Instructions that may still be executed before WebAssembly returns. */
  budget: field('u32'),
  /** Part of the budget that was used up without retiring instructions: long string instructions. */
  charged: field('u32'),
  /** Record that called a helper: tells which instruction faulted. */
  record: field('u32'),
  /** Linear address and size of the access that is in the scratch area. */
  accessAddress: field('u32'),
  accessSize: field('u32'),
  tlbBase: field('u32'),
  /** 0xffff or 0xffffffff: the part of ESP that the stack uses. */
  stackMask: field('u32'),
  /** 1 when a system instruction left something for the engine to look at before the next block. */
  attend: field('u32'),
  /** What a decoded block depends on besides its address (see accel/tcg/blocks.ts). */
  mode: field('u32'),
  /** 1: 64-bit code runs. Then `flagResult` counts with both halves. */
  long: field('u32'),
  /** Upper halves of a helper's arguments and of its result, in 64-bit code. */
  argumentHigh: field('u32', 3),
  resultHigh: field('u32'),
  scratch: field('bytes', 64, 64),
  segments: { kind: 'bytes', offset: 0, count: 8, stride: SEGMENT_BYTES } as StateField,
  segmentBytes: field('bytes', 8 * SEGMENT_BYTES, 64),
  gdtBase: field('u64'),
  gdtLimit: field('u32'),
  idtLimit: field('u32'),
  idtBase: field('u64'),
  cr0: field('u32'),
  cr4: field('u32'),
  cr2: field('u64'),
  cr3: field('u64'),
  cr8: field('u32'),
  a20Mask: field('u32'),
  dr: field('u64', 8),
  pdpte: field('u64', 4),
  cpl: field('u32'),
  halted: field('u32'),
  /** vmstate and exception delivery: vector of the fault in flight or -1, and its error code. */
  exceptionVector: field('u32'),
  exceptionErrorCode: field('u32'),
  exceptionHasErrorCode: field('u32'),
  /** Interrupts are inhibited until one more instruction retires (after STI, MOV SS, POP SS). */
  interruptShadow: field('u32'),
  /** -1 while the interrupt line is up, else 0. */
  interruptWaits: field('u32'),
  /** 1: deliveries of interrupts are logged (`-d int`), so none is made in generated code. */
  deliveriesLogged: field('u32'),
  /** The instruction that just ran does not end in a single-step trap: it loaded SS or entered an interrupt handler. */
  trapInhibit: field('u32'),
  nmiPending: field('u32'),
  nmiBlocked: field('u32'),
  smiPending: field('u32'),
  initPending: field('u32'),
  inSmm: field('u32'),
  smbase: field('u32'),
  /** SMIs taken since reset (MSR 0x34). */
  smiCount: field('u32'),
  efer: field('u64'),
  star: field('u64'),
  lstar: field('u64'),
  cstar: field('u64'),
  fmask: field('u64'),
  kernelGsBase: field('u64'),
  tscAux: field('u64'),
  sysenterCs: field('u64'),
  sysenterEsp: field('u64'),
  sysenterEip: field('u64'),
  pat: field('u64'),
  apicBase: field('u64'),
  miscEnable: field('u64'),
  featureControl: field('u64'),
  tscOffset: field('u64'),
  tscAdjust: field('u64'),
  tscDeadline: field('u64'),
  mtrrDefType: field('u64'),
  mtrrFixed: field('u64', 11),
  mtrrPhysBase: field('u64', 8),
  mtrrPhysMask: field('u64', 8),
  mcgStatus: field('u64'),
  mcgCtl: field('u64'),
  /** Machine-check banks: control, status, address, misc of each. */
  mcBanks: field('u64', 40),
  xcr0: field('u64'),
  xss: field('u64'),
  /** x87: registers as 16-byte slots (mantissa 8 bytes, exponent and sign 2 bytes); MMX shares the mantissas. */
  fpr: field('bytes', 8 * 16, 16),
  fpuControl: field('u32'),
  fpuStatus: field('u32'),
  fpuTop: field('u32'),
  /** One bit per physical register: 1 = empty. */
  fpuEmpty: field('u32'),
  fpuOpcode: field('u32'),
  fpuIpSelector: field('u32'),
  fpuDpSelector: field('u32'),
  mxcsr: field('u32'),
  fpuIp: field('u64'),
  fpuDp: field('u64'),
  /** Flags of a conversion whose result is on its way to memory, or -1: see semantics/natives.ts. */
  fpuOutcome: field('u32'),
  /** Sign and exponent of an 80-bit number on the same way. */
  fpuStored: field('u32'),
  /** 1: rounding to nearest, and an inexact result changes nothing in MXCSR and is not trapped. */
  ssePlain: field('u32'),
  /** What a native SSE function leaves: 1 when it changed nothing, see sse-native.ts. */
  sseOutcome: field('u32'),
  /** What the native `readTsc` read, two halves. */
  tscLow: field('u32'),
  tscHigh: field('u32'),
  /** 1: SSE instructions are allowed (CR0.EM, CR0.TS, CR4.OSFXSR). */
  sseReady: field('u32'),
  /** 1: instructions with a VEX prefix exist in this mode (protected mode; VM86 is looked at apart, vex.ts). */
  vexReady: field('u32'),
  /** 1: and those on vectors are allowed (CR0.TS, CR4.OSXSAVE, XCR0). */
  avxReady: field('u32'),
  /** Flags of the parts of a vector operation whose exceptions are not all masked: a byte for each step that may fault. */
  sseGathered: field('u32'),
  /** 32 vector registers with room for 64 bytes each. */
  xmm: field('bytes', 32 * 64, 64),
  /** Operands that a helper for vectors takes; the first is its result. */
  vectorA: field('bytes', 16, 16),
  vectorB: field('bytes', 16, 16),
  /** Parts of a result before all of it is known. */
  vectorScratch: field('bytes', 4 * 16, 16),
  pageCaches: field('bytes', PAGE_CACHE.count * PAGE_CACHE.bytes, 64),
} as const;
(FIELDS.segments as { offset: number }).offset = FIELDS.segmentBytes.offset;

/** Bytes that the state block takes. */
export const STATE_BYTES = Math.ceil(end / 64) * 64;

/** Bits of EFLAGS. */
export const EFLAGS = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;
export const EFLAGS_ARITHMETIC = 0x8d5;

/** Hidden part of a segment register as it stands in the descriptor's second word (QEMU's DESC_*). */
export const DESC = {
  typeShift: 8,
  accessed: 1 << 8,
  writable: 1 << 9, // data: writable; code: readable
  expandDown: 1 << 10, // data: expand down; code: conforming
  code: 1 << 11,
  s: 1 << 12,
  dplShift: 13,
  dpl: 3 << 13,
  present: 1 << 15,
  avl: 1 << 20,
  long: 1 << 21,
  big: 1 << 22,
  granularity: 1 << 23,
} as const;

export const CR0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 0x8000_0000,
} as const;
export const CR4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  OSXSAVE: 1 << 18,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
} as const;
/** Bits of XCR0; AVX needs both of `avx`. */
export const XCR0 = { x87: 1, sse: 2, ymm: 4, avx: 6 } as const;
export const EFER = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11, SVME: 1 << 12, FFXSR: 1 << 14 } as const;

const TWO32 = 0x1_0000_0000;
/** A linear address from its halves. Linear addresses are numbers: unsigned below 4 GiB, and in long mode the canonical addresses of
 *  48 bits as signed integers, so that sums and comparisons are exact. */
export function linearAddress(low: number, high: number): number {
  return (high | 0) * TWO32 + (low >>> 0);
}
/** Bits 63:47 are all the same (Intel SDM volume 1 section 3.3.7.1). */
export function isCanonical(high: number): boolean {
  const top = high >> 15;
  return top === 0 || top === -1;
}
const PARITY_EVEN = (byte: number) => (0x9669 >>> ((byte ^ (byte >>> 4)) & 15)) & 1;

/** One segment register (or LDTR, TR) in place. After changing base, limit or flags call `refresh`. */
export class SegmentRegister {
  private readonly u32: Uint32Array;
  private readonly at: number;
  constructor(u32: Uint32Array, byteOffset: number) {
    this.u32 = u32;
    this.at = byteOffset >>> 2;
  }
  /** A linear address: above 4 GiB only in long mode, negative in the upper half of its address space. */
  get base(): number {
    const high = this.u32[this.at + 1]!;
    return high === 0 ? this.u32[this.at]! : linearAddress(this.u32[this.at]!, high);
  }
  get limit(): number {
    return this.u32[this.at + 2]!;
  }
  get flags(): number {
    return this.u32[this.at + 3]!;
  }
  get selector(): number {
    return this.u32[this.at + 4]!;
  }
  set selector(value: number) {
    this.u32[this.at + 4] = value & 0xffff;
  }
  get dpl(): number {
    return (this.flags >>> DESC.dplShift) & 3;
  }
  /** Sets everything at once; the only way to change the hidden part. `limit` is in bytes (granularity applied). */
  set(selector: number, base: number, limit: number, flags: number): void {
    this.u32[this.at] = base;
    this.u32[this.at + 1] = Math.floor(base / TWO32);
    this.u32[this.at + 2] = limit;
    this.u32[this.at + 3] = flags;
    this.u32[this.at + 4] = selector & 0xffff;
    this.refresh();
  }
  /** Changes the base alone, as the MSRs of FS and GS do. */
  setBase(low: number, high: number): void {
    this.u32[this.at] = low;
    this.u32[this.at + 1] = high;
  }
  /** Recomputes what the fast limit check reads: room for a 32-byte access below the limit, none if in doubt. */
  private refresh(): void {
    const { flags, limit } = this;
    const plain = (flags & DESC.present) !== 0 && (flags & DESC.s) !== 0;
    const isCode = (flags & DESC.code) !== 0;
    const top = limit === 0xffff_ffff ? limit : Math.max(0, limit - 30);
    const up = isCode || !(flags & DESC.expandDown);
    this.u32[this.at + 5] = plain && up && (!isCode || flags & DESC.writable) ? top : 0;
    this.u32[this.at + 6] = plain && up && !isCode && flags & DESC.writable ? top : 0;
  }
  /** Offsets below may be accessed with up to 32 bytes without further checks; 0: always check. */
  get readEnd(): number {
    return this.u32[this.at + 5]!;
  }
  get writeEnd(): number {
    return this.u32[this.at + 6]!;
  }
  /** Any offset may be read and written and is its own linear address. */
  get flat(): boolean {
    return this.base === 0 && this.u32[this.at + 6] === 0xffff_ffff;
  }
}

/** Typed view of the state block. Cheap to use; safe to keep (the arena is shared memory, old views stay valid). */
export class CpuState {
  readonly offset: number;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly segments: readonly SegmentRegister[];

  /** `offset`: byte offset of a zeroed, 64-byte aligned block of STATE_BYTES in `memory`. */
  constructor(buffer: ArrayBufferLike, offset: number) {
    this.offset = offset;
    this.u8 = new Uint8Array(buffer, offset, STATE_BYTES);
    this.u32 = new Uint32Array(buffer, offset, STATE_BYTES / 4);
    this.i32 = new Int32Array(buffer, offset, STATE_BYTES / 4);
    const { u32 } = this;
    this.segments = Array.from({ length: 8 }, (_, i) => new SegmentRegister(u32, FIELDS.segments.offset + i * 32));
  }

  /** Any scalar or array element by declaration, as an unsigned number. */
  get(f: StateField, index = 0): number {
    const at = f.offset + index * f.stride;
    if (f.kind === 'u64') return this.u32[at >>> 2]! + this.u32[(at >>> 2) + 1]! * TWO32;
    return f.kind === 'u32' ? this.u32[at >>> 2]! : this.u8[at]!;
  }
  set(f: StateField, value: number, index = 0): void {
    const at = f.offset + index * f.stride;
    if (f.kind === 'u64') this.setParts(f, value, Math.floor(value / TWO32), index);
    else if (f.kind === 'u32') this.u32[at >>> 2] = value;
    else this.u8[at] = value;
  }
  low(f: StateField, index = 0): number {
    return this.u32[(f.offset + index * f.stride) >>> 2]!;
  }
  high(f: StateField, index = 0): number {
    return this.u32[((f.offset + index * f.stride) >>> 2) + 1]!;
  }
  setParts(f: StateField, low: number, high: number, index = 0): void {
    const at = (f.offset + index * f.stride) >>> 2;
    this.u32[at] = low;
    this.u32[at + 1] = high;
  }

  /** General registers by encoding; 32-bit writes clear the upper half as the hardware does. */
  reg32(index: number): number {
    return this.u32[(FIELDS.gpr.offset >>> 2) + index * 2]!;
  }
  setReg32(index: number, value: number): void {
    const at = (FIELDS.gpr.offset >>> 2) + index * 2;
    this.u32[at] = value;
    this.u32[at + 1] = 0;
  }
  reg16(index: number): number {
    return this.reg32(index) & 0xffff;
  }
  setReg16(index: number, value: number): void {
    const at = (FIELDS.gpr.offset >>> 2) + index * 2;
    this.u32[at] = (this.u32[at]! & 0xffff_0000) | (value & 0xffff);
  }
  /** AL CL DL BL AH CH DH BH. */
  reg8(index: number): number {
    return this.u8[FIELDS.gpr.offset + (index & 3) * 8 + (index >>> 2)]!;
  }
  setReg8(index: number, value: number): void {
    this.u8[FIELDS.gpr.offset + (index & 3) * 8 + (index >>> 2)] = value;
  }

  get eip(): number {
    return this.low(FIELDS.rip);
  }
  set eip(value: number) {
    this.setParts(FIELDS.rip, value, 0);
  }
  /** RIP as a linear address; only of use while it is canonical. */
  get rip(): number {
    return linearAddress(this.low(FIELDS.rip), this.high(FIELDS.rip));
  }
  set rip(value: number) {
    this.setParts(FIELDS.rip, value, Math.floor(value / TWO32));
  }
  /** A general register of 64 bits as a linear address: exact while it is canonical. */
  reg64(index: number): number {
    return linearAddress(this.low(FIELDS.gpr, index), this.high(FIELDS.gpr, index));
  }
  setReg64(index: number, value: number): void {
    this.setParts(FIELDS.gpr, value, Math.floor(value / TWO32), index);
  }
  /** IA-32e mode is active: 64-bit or compatibility code. */
  get longMode(): boolean {
    return (this.low(FIELDS.efer) & EFER.LMA) !== 0;
  }
  /** 64-bit code runs. */
  get code64(): boolean {
    return this.longMode && (this.segments[CS]!.flags & DESC.long) !== 0;
  }

  /** The whole EFLAGS register, bit 1 set. */
  getEflags(): number {
    let result = this.i32[FIELDS.flagResult.offset >>> 2]!;
    const aux = this.i32[FIELDS.flagAux.offset >>> 2]!;
    // Of 64 bits the upper half has the sign, the lowest byte the parity.
    const byte = (result ^ (aux >>> 8)) & 0xff;
    if (this.u32[FIELDS.long.offset >>> 2]!) {
      const high = this.i32[(FIELDS.flagResult.offset >>> 2) + 1]!;
      result = high | (result !== 0 ? 1 : 0);
    }
    let flags = this.low(FIELDS.eflagsSystem) | 2;
    if (aux < 0) flags |= EFLAGS.CF;
    if ((aux ^ (aux << 1)) < 0) flags |= EFLAGS.OF;
    if (aux & 8) flags |= EFLAGS.AF;
    if (result === 0) flags |= EFLAGS.ZF;
    if ((result ^ (aux << 31)) < 0) flags |= EFLAGS.SF;
    if (PARITY_EVEN(byte)) flags |= EFLAGS.PF;
    return flags;
  }
  /** Sets every bit of EFLAGS; the caller decides what may change. */
  setEflags(flags: number): void {
    this.u32[FIELDS.eflagsSystem.offset >>> 2] = flags & ~(EFLAGS_ARITHMETIC | 2) & 0x003f_7fd5;
    this.u32[FIELDS.direction.offset >>> 2] = flags & EFLAGS.DF ? -1 : 1;
    this.setArithmeticFlags(flags);
  }
  /** Sets the bits that `eflagsSystem` shows; the others stay. */
  setSystemFlags(flags: number): void {
    this.u32[FIELDS.eflagsSystem.offset >>> 2] = flags;
    this.u32[FIELDS.direction.offset >>> 2] = flags & EFLAGS.DF ? -1 : 1;
  }
  /** Sets O S Z A C P only. */
  setArithmeticFlags(flags: number): void {
    // The result is 0 or 1; sign and parity corrections make up for what that says wrongly.
    const zero = (flags & EFLAGS.ZF) !== 0;
    const carry = (flags & EFLAGS.CF) !== 0;
    const overflow = (flags & EFLAGS.OF) !== 0;
    const evenNow = zero;
    let aux = 0;
    if (carry) aux |= 1 << 31;
    if (carry !== overflow) aux |= 1 << 30;
    if (flags & EFLAGS.AF) aux |= 8;
    if (flags & EFLAGS.SF) aux |= 1;
    if (((flags & EFLAGS.PF) !== 0) !== evenNow) aux |= 1 << 8;
    this.setParts(FIELDS.flagResult, zero ? 0 : 1, 0);
    this.i32[FIELDS.flagAux.offset >>> 2] = aux;
  }
  get eflagsSystem(): number {
    return this.low(FIELDS.eflagsSystem);
  }
  get iopl(): number {
    return (this.eflagsSystem >>> 12) & 3;
  }
  get protectedMode(): boolean {
    return (this.cr0 & CR0.PE) !== 0;
  }
  get vm86(): boolean {
    return (this.eflagsSystem & EFLAGS.VM) !== 0;
  }
  get paging(): boolean {
    return this.cr0 >= CR0.PG;
  }

  get cpl(): number {
    return this.low(FIELDS.cpl);
  }
  set cpl(value: number) {
    this.set(FIELDS.cpl, value);
  }
  get cr0(): number {
    return this.low(FIELDS.cr0);
  }
  set cr0(value: number) {
    this.set(FIELDS.cr0, value);
    this.noteSse();
  }
  get cr2(): number {
    return this.get(FIELDS.cr2);
  }
  set cr2(value: number) {
    this.set(FIELDS.cr2, value);
  }
  get cr3(): number {
    return this.get(FIELDS.cr3);
  }
  set cr3(value: number) {
    this.set(FIELDS.cr3, value);
  }
  get cr4(): number {
    return this.low(FIELDS.cr4);
  }
  set cr4(value: number) {
    this.set(FIELDS.cr4, value);
    this.noteSse();
  }
  private noteSse(): void {
    this.set(FIELDS.sseReady, !(this.cr0 & (CR0.EM | CR0.TS)) && this.cr4 & CR4.OSFXSR ? 1 : 0);
    const isVex = (this.cr0 & CR0.PE) !== 0;
    const isAvx =
      isVex && !(this.cr0 & CR0.TS) && (this.cr4 & CR4.OSXSAVE) !== 0 && (this.xcr0 & XCR0.avx) === XCR0.avx;
    this.set(FIELDS.vexReady, isVex ? 1 : 0);
    this.set(FIELDS.avxReady, isAvx ? 1 : 0);
  }
  /** Extended control register 0: the states that XSAVE keeps; no defined bit is above 31. */
  get xcr0(): number {
    return this.low(FIELDS.xcr0);
  }
  set xcr0(value: number) {
    this.set(FIELDS.xcr0, value);
    this.noteSse();
  }
  get mxcsr(): number {
    return this.low(FIELDS.mxcsr);
  }
  set mxcsr(value: number) {
    this.set(FIELDS.mxcsr, value);
    this.set(FIELDS.ssePlain, (value & 0x7020) === 0x1020 ? 1 : 0);
  }
  get efer(): number {
    return this.low(FIELDS.efer);
  }
  set efer(value: number) {
    this.set(FIELDS.efer, value);
  }
  get gdtBase(): number {
    return linearAddress(this.low(FIELDS.gdtBase), this.high(FIELDS.gdtBase));
  }
  get gdtLimit(): number {
    return this.low(FIELDS.gdtLimit);
  }
  setGdt(base: number, limit: number): void {
    this.set(FIELDS.gdtBase, base);
    this.set(FIELDS.gdtLimit, limit);
  }
  get idtBase(): number {
    return linearAddress(this.low(FIELDS.idtBase), this.high(FIELDS.idtBase));
  }
  get idtLimit(): number {
    return this.low(FIELDS.idtLimit);
  }
  setIdt(base: number, limit: number): void {
    this.set(FIELDS.idtBase, base);
    this.set(FIELDS.idtLimit, limit);
  }
  get a20Mask(): number {
    return this.low(FIELDS.a20Mask);
  }
  set a20Mask(value: number) {
    this.set(FIELDS.a20Mask, value);
  }
  get halted(): boolean {
    return this.low(FIELDS.halted) !== 0;
  }
  set halted(value: boolean) {
    this.set(FIELDS.halted, value ? 1 : 0);
  }
  get inSmm(): boolean {
    return this.low(FIELDS.inSmm) !== 0;
  }
  set inSmm(value: boolean) {
    this.set(FIELDS.inSmm, value ? 1 : 0);
  }
  get smbase(): number {
    return this.low(FIELDS.smbase);
  }
  set smbase(value: number) {
    this.set(FIELDS.smbase, value);
  }
  get nmiBlocked(): boolean {
    return this.low(FIELDS.nmiBlocked) !== 0;
  }
  set nmiBlocked(value: boolean) {
    this.set(FIELDS.nmiBlocked, value ? 1 : 0);
  }
  get interruptShadow(): boolean {
    return this.low(FIELDS.interruptShadow) !== 0;
  }
  set interruptShadow(value: boolean) {
    this.set(FIELDS.interruptShadow, value ? 1 : 0);
  }
}
