/** Random programs on our CPU: a small kernel under them, and what is left when they end. */
import { type BareMachine, bareMachine } from '../../../core/accel/tcg/testing.ts';
import {
  CR0,
  CR4,
  CS,
  DESC,
  EFER,
  EFLAGS,
  FIELDS,
  FS,
  GS,
  LDTR,
  SS,
  TR,
  XCR0,
} from '../../../core/target/x86/state.ts';
import { Random } from '../../hostility/random.ts';
import { assemble, type Program } from './program.ts';
import {
  CODE,
  CODE_BYTES,
  COUNTERS,
  DATA,
  DATA_PAGES,
  DEVICE,
  GDT,
  HANDLERS,
  HIGH,
  IDT,
  KERNEL_END,
  KERNEL_STACK,
  LEGACY_TABLES,
  LOG,
  LOG_MAX,
  LOG_RECORDS,
  LOG_WORDS,
  LONG_LOG_BYTES,
  LONG_TABLES,
  NEXT,
  PAE_TABLES,
  PAGE,
  PORTABLE,
  RAM_BYTES,
  SELECTOR,
  SYSCALL_ENTRY,
  TOP,
  TSS,
} from './world.ts';

/** Who runs the program. In 16-bit segments it makes little sense, which must not matter. */
export const MODES = ['user', 'kernel', 'user16'] as const;
export type Mode = (typeof MODES)[number];

export interface World {
  readonly mode: Mode;
  /** PAE tables with no-execute data; otherwise the two-level ones. */
  readonly pae: boolean;
  /** Only pages that the host has too. */
  readonly portable: boolean;
  /** 64-bit code, which runs at this distance from CODE: 0, HIGH or TOP. */
  readonly long?: number;
}

/** RIP and addresses of 64-bit code as signed numbers. */
export interface LogRecord {
  readonly vector: number;
  readonly error: number;
  readonly eip: number;
  readonly eflags: number;
  readonly cr2: number;
}
export interface Ending {
  readonly how: 'halted' | 'budget' | 'shutdown';
  readonly executed: number;
}

const MAX_INSTRUCTIONS = 40_000;
const RIGHTS = { own: 7, readOnly: 5, supervisor: 3, device: 7, swapped: 7, alias: 7, none: 0 } as const;
const ERROR_CODES = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Traps: EIP stands behind the instruction already. */
const TRAPS = (1 << 1) | (1 << 3) | (1 << 4);
/** The same as data, from HANDLERS. */
const TRAPS_AT = 0xf00;
const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];

/** Logs vector, error code, EIP, EFLAGS and CR2, and returns to what NEXT says, or halts. */
function handlers(): Uint8Array {
  const code: number[] = [];
  const stubs: number[] = [];
  const common = 32 * 9;
  for (let vector = 0; vector < 32; vector++) {
    stubs.push(code.length);
    if (!ERROR_CODES.has(vector)) code.push(0x6a, 0);
    code.push(0x6a, vector);
    code.push(0xe9, ...word(common - (code.length + 5)));
    while (code.length % 9 !== 0) code.push(0x90);
  }
  const end = LOG_RECORDS + LOG_MAX * LOG_WORDS * 4;
  // On the stack: DS, PUSHA's eight, vector, error code, EIP, CS, EFLAGS. A string is a distance to one of the two labels.
  const body: (number | string)[] = [
    [0x60, 0x1e, 0x6a, SELECTOR.kernelData, 0x1f], // pusha; push ds; ds = kernel data
    [0x8b, 0x1d, ...word(LOG)], // mov ebx, [LOG]
    [0x8b, 0x44, 0x24, 36, 0x89, 0x03], // eax: vector
    [0x8b, 0x54, 0x24, 40, 0x89, 0x53, 4], // error code
    [0x8b, 0x4c, 0x24, 44, 0x89, 0x4b, 8], // ecx: EIP
    [0x8b, 0x54, 0x24, 52, 0x89, 0x53, 12], // EFLAGS
    [0x0f, 0x20, 0xd2, 0x89, 0x53, 16], // CR2
    [0x83, 0xc3, LOG_WORDS * 4, 0x89, 0x1d, ...word(LOG)],
    [0x83, 0xf8, 16, 0x75, 2, 0xdb, 0xe2], // #MF: fnclex
    [0x81, 0xfb, ...word(end), 0x0f, 0x83, 'halt'], // cmp ebx, end; jae
    [0x31, 0xd2, 0x66, 0x83, 0x7c, 0x24, 48, SELECTOR.userCode16, 0x74, 5, 0xba, ...word(CODE)], // edx: where code begins
    [0x29, 0xd1, 0x81, 0xf9, ...word(CODE_BYTES), 0x0f, 0x83, 'halt'], // sub ecx, edx; cmp; jae
    [0x0f, 0xa3, 0x05, ...word(HANDLERS + TRAPS_AT), 0x0f, 0x82, 'back'], // bt [TRAPS], eax; jc
    [0x0f, 0xb7, 0x0c, 0x4d, ...word(NEXT)], // movzx ecx, word [ecx * 2 + NEXT]
    [0x81, 0xf9, ...word(0xffff), 0x0f, 0x84, 'halt'], // cmp ecx, 0xffff; je
    [0x01, 0xd1, 0x89, 0x4c, 0x24, 44], // add ecx, edx; mov [esp + 44], ecx
  ].flat();
  const back = [0x1f, 0x61, 0x83, 0xc4, 8, 0xcf]; // pop ds; popa; add esp, 8; iret
  const halt = [0x1f, 0x61, 0xf4];
  const size = body.reduce<number>((sum, x) => sum + (typeof x === 'string' ? 4 : 1), 0);
  const bytes: number[] = [];
  for (const x of body)
    if (typeof x === 'number') bytes.push(x);
    else bytes.push(...word(size - (bytes.length + 4) + (x === 'halt' ? back.length : 0)));
  code.push(...bytes, ...back, ...halt);
  const page = new Uint8Array(PAGE);
  page.set(code);
  new DataView(page.buffer).setUint32(TRAPS_AT, TRAPS, true);
  return page;
}

/** The same in 64-bit code. What a fault interrupted goes on in the page, of three with the same contents, where it was. */
function longHandlers(): Uint8Array {
  const code: number[] = [];
  const common = 32 * 9;
  for (let vector = 0; vector < 32; vector++) {
    if (!ERROR_CODES.has(vector)) code.push(0x6a, 0);
    code.push(0x6a, vector);
    code.push(0xe9, ...word(common - (code.length + 5)));
    while (code.length % 9 !== 0) code.push(0x90);
  }
  const end = LOG_RECORDS + LOG_MAX * LONG_LOG_BYTES;
  // On the stack: RBX, RDX, RCX, RAX, vector, error code, RIP, CS, RFLAGS, RSP, SS.
  const body: (number | string)[] = [
    [0x50, 0x51, 0x52, 0x53], // push rax, rcx, rdx, rbx
    [0x48, 0x8b, 0x1c, 0x25, ...word(LOG)], // mov rbx, [LOG]
    [0x48, 0x8b, 0x44, 0x24, 32, 0x48, 0x89, 0x03], // rax: vector
    [0x48, 0x8b, 0x54, 0x24, 40, 0x48, 0x89, 0x53, 8], // error code
    [0x48, 0x8b, 0x4c, 0x24, 48, 0x48, 0x89, 0x4b, 16], // rcx: RIP
    [0x48, 0x8b, 0x54, 0x24, 64, 0x48, 0x89, 0x53, 24], // RFLAGS
    [0x0f, 0x20, 0xd2, 0x48, 0x89, 0x53, 32], // CR2
    [0x83, 0xc3, LONG_LOG_BYTES, 0x48, 0x89, 0x1c, 0x25, ...word(LOG)],
    [0x83, 0xf8, 16, 0x75, 2, 0xdb, 0xe2], // #MF: fnclex
    [0x81, 0xfb, ...word(end), 0x0f, 0x83, 'halt'], // cmp ebx, end; jae
    [0x31, 0xd2, 0x66, 0x83, 0x7c, 0x24, 56, SELECTOR.userCode16, 0x74, 5, 0xba, ...word(CODE)], // edx: where code begins
    // sub ecx, edx: of a name of CODE at HIGH or TOP the lower half is CODE, or CODE and bit 31.
    [0x29, 0xd1, 0x0f, 0xba, 0xf1, 31, 0x81, 0xf9, ...word(CODE_BYTES), 0x0f, 0x83, 'halt'], // btr ecx, 31; cmp; jae
    [0x0f, 0xa3, 0x04, 0x25, ...word(HANDLERS + TRAPS_AT), 0x0f, 0x82, 'back'], // bt [TRAPS], eax; jc
    [0x0f, 0xb7, 0x0c, 0x4d, ...word(NEXT)], // movzx ecx, word [rcx * 2 + NEXT]
    [0x81, 0xf9, ...word(0xffff), 0x0f, 0x84, 'halt'], // cmp ecx, 0xffff; je
    [0x01, 0xd1, 0x66, 0x89, 0x4c, 0x24, 48], // add ecx, edx; mov [rsp + 48], cx
    [0xc1, 0xe9, 16, 0x88, 0x4c, 0x24, 50], // shr ecx, 16; mov [rsp + 50], cl
  ].flat();
  const back = [0x5b, 0x5a, 0x59, 0x58, 0x48, 0x83, 0xc4, 16, 0x48, 0xcf]; // pop ...; add rsp, 16; iretq
  const halt = [0x5b, 0x5a, 0x59, 0x58, 0xf4];
  const size = body.reduce<number>((sum, x) => sum + (typeof x === 'string' ? 4 : 1), 0);
  const bytes: number[] = [];
  for (const x of body)
    if (typeof x === 'number') bytes.push(x);
    else bytes.push(...word(size - (bytes.length + 4) + (x === 'halt' ? back.length : 0)));
  code.push(...bytes, ...back, ...halt);
  const page = new Uint8Array(PAGE);
  page.set(code);
  page.set([0x0f, 0x01, 0xf8, 0x0f, 0x01, 0xf8, 0x48, 0x0f, 0x07], SYSCALL_ENTRY); // swapgs; swapgs; sysretq
  new DataView(page.buffer).setUint32(TRAPS_AT, TRAPS, true);
  return page;
}

/** One CPU with its RAM, used for one program after the other. */
export class Guest {
  readonly machine: BareMachine;
  private readonly kernel: Uint8Array;
  private readonly longKernel: Uint8Array;

  constructor(machine: BareMachine = bareMachine(RAM_BYTES)) {
    this.machine = machine;
    this.kernel = new Uint8Array(DATA);
    this.fillKernel(new DataView(this.kernel.buffer));
    this.longKernel = this.kernel.slice();
    this.fillLongKernel(new DataView(this.longKernel.buffer));
    this.machine.dma(HANDLERS, this.kernel.slice(HANDLERS, HANDLERS + PAGE));
  }

  private fillKernel(view: DataView): void {
    const descriptor = describer(view);
    descriptor(SELECTOR.kernelCode, 0, 0xfffff, 0x9b, 0xc);
    descriptor(SELECTOR.kernelData, 0, 0xfffff, 0x93, 0xc);
    descriptor(SELECTOR.userCode, 0, 0xfffff, 0xfb, 0xc);
    descriptor(SELECTOR.userData, 0, 0xfffff, 0xf3, 0xc);
    descriptor(SELECTOR.tss, TSS, 0x67, 0x8b, 0);
    descriptor(SELECTOR.small, DATA, 2 * PAGE + 7, 0xf3, 4);
    descriptor(SELECTOR.down, 0, 0xfff, 0xf7, 4);
    descriptor(SELECTOR.userCode16, CODE, 0xffff, 0xfb, 0);
    descriptor(SELECTOR.userData16, DATA, 0xffff, 0xf3, 0);
    for (let vector = 0; vector < 256; vector++) {
      // Vectors beyond the exceptions are not present: #NP.
      const offset = HANDLERS + (vector & 31) * 9;
      const dpl = vector === 3 || vector === 4 ? 3 : 0;
      view.setUint32(IDT + vector * 8, (SELECTOR.kernelCode << 16) | (offset & 0xffff), true);
      view.setUint32(IDT + vector * 8 + 4, ((vector < 32 ? 0x8e : 0x0e) | (dpl << 5)) << 8, true);
    }
    view.setUint32(TSS + 4, KERNEL_STACK, true);
    view.setUint32(TSS + 8, SELECTOR.kernelData, true);
    view.setUint16(TSS + 0x66, 0x68, true);
    new Uint8Array(view.buffer).set(handlers(), HANDLERS);
  }

  /** What is different in a 64-bit one. */
  private fillLongKernel(view: DataView): void {
    const descriptor = describer(view);
    descriptor(SELECTOR.kernelCode, 0, 0xfffff, 0x9b, 0xa);
    descriptor(SELECTOR.userCode, 0, 0xfffff, 0xfb, 0xa);
    descriptor(SELECTOR.userCodeOfSysret, 0, 0xfffff, 0xfb, 0xa);
    descriptor(SELECTOR.userCode32, 0, 0xfffff, 0xfb, 0xc);
    for (let vector = 0; vector < 256; vector++) {
      const offset = HANDLERS + (vector & 31) * 9;
      const dpl = vector === 3 || vector === 4 ? 3 : 0;
      // Where the stack may be bad a stack of the table's own.
      const ist = vector === 8 || vector === 12 || vector === 14 ? 1 : 0;
      const at = IDT + vector * 16;
      view.setUint32(at, (SELECTOR.kernelCode << 16) | (offset & 0xffff), true);
      view.setUint32(at + 4, (((vector < 32 ? 0x8e : 0x0e) | (dpl << 5)) << 8) | ist, true);
      view.setUint32(at + 8, 0, true);
      view.setUint32(at + 12, 0, true);
    }
    new Uint8Array(view.buffer).fill(0, TSS, TSS + 0x68);
    view.setUint32(TSS + 4, KERNEL_STACK, true); // RSP0
    view.setUint32(TSS + 0x24, KERNEL_STACK, true); // IST1
    view.setUint16(TSS + 0x66, 0x68, true);
    new Uint8Array(view.buffer).set(longHandlers(), HANDLERS);
  }

  private fillTables(view: DataView, world: World): void {
    const entries = RAM_BYTES / PAGE;
    const entry = (page: number): readonly [frame: number, rights: number, isData: boolean] => {
      const code = page - CODE / PAGE;
      if (code >= 0 && code < CODE_BYTES / PAGE) return [page, 7, false];
      const kind = DATA_PAGES[page - DATA / PAGE];
      if (page < KERNEL_END / PAGE) return [page, 3, false];
      if (kind === undefined || (world.portable && !PORTABLE.has(kind))) return [0, 0, true];
      const index = page - DATA / PAGE;
      const frame =
        kind === 'swapped'
          ? page ^ 1
          : kind === 'alias'
            ? DATA / PAGE
            : kind === 'device'
              ? DEVICE / PAGE + index
              : page;
      return [frame, RIGHTS[kind], true];
    };
    if (world.pae) {
      if (world.long !== undefined)
        for (const distance of [0, HIGH, TOP]) {
          const index = (level: number) => Number((BigInt(distance) >> BigInt(12 + 9 * level)) & 0x1ffn);
          const pointers = LONG_TABLES + (distance === 0 ? 1 : 2) * PAGE;
          view.setUint32(LONG_TABLES + index(3) * 8, pointers | 7, true);
          view.setUint32(pointers + index(2) * 8, (PAE_TABLES + PAGE) | 7, true);
        }
      for (let i = 0; i < 4; i++) view.setUint32(PAE_TABLES + i * 8, i === 0 ? (PAE_TABLES + PAGE) | 1 : 0, true);
      for (let i = 0; i < 2; i++) view.setUint32(PAE_TABLES + PAGE + i * 8, (PAE_TABLES + (2 + i) * PAGE) | 7, true);
      for (let page = 0; page < entries; page++) {
        const [frame, rights, isData] = entry(page);
        view.setUint32(PAE_TABLES + 2 * PAGE + page * 8, rights ? frame * PAGE + rights : 0, true);
        view.setUint32(PAE_TABLES + 2 * PAGE + page * 8 + 4, isData ? 0x8000_0000 : 0, true);
      }
    } else {
      view.setUint32(LEGACY_TABLES, (LEGACY_TABLES + PAGE) | 7, true);
      for (let page = 0; page < entries; page++) {
        const [frame, rights] = entry(page);
        view.setUint32(LEGACY_TABLES + PAGE + page * 4, rights ? frame * PAGE + rights : 0, true);
      }
    }
  }

  /** Puts program and world into the machine. */
  load(program: Program, world: World): void {
    const { machine } = this;
    const { cpu, ram, view } = machine;
    const { code, next } = assemble(program);
    const isLong = world.long !== undefined;
    const kernel = isLong ? this.longKernel : this.kernel;
    ram.set(kernel.subarray(0, HANDLERS));
    // A program in kernel mode may have hit the handlers; otherwise what is translated of them stays.
    if (!isEqual(ram.subarray(HANDLERS, HANDLERS + PAGE), kernel.subarray(HANDLERS, HANDLERS + PAGE)))
      machine.dma(HANDLERS, kernel.slice(HANDLERS, HANDLERS + PAGE));
    ram.fill(0, HANDLERS + PAGE, KERNEL_END);
    view.setUint32(LOG, LOG_RECORDS, true);
    ram.set(new Uint8Array(next.buffer), NEXT);
    this.fillTables(view, world);
    for (const [at, page] of dataPages(program.seed % DATA_SEEDS)) machine.dma(at, page);
    // Code that is there already stays translated.
    for (let at = 0; at < CODE_BYTES; at += PAGE) {
      const page = code.subarray(at, at + PAGE);
      if (!isEqual(page, ram.subarray(CODE + at, CODE + at + PAGE))) machine.dma(CODE + at, page);
    }
    machine.mmio.length = machine.writes.length = 0;
    const { state } = cpu;
    cpu.reset();
    const flat = DESC.present | DESC.s | DESC.writable | DESC.accessed | DESC.big | DESC.granularity;
    const isUser = world.mode !== 'kernel';
    const is16 = world.mode === 'user16';
    for (let i = 0; i < 6; i++) {
      const isCode = i === CS;
      const rights = (isUser ? DESC.dpl : 0) | (isCode ? DESC.code : 0);
      if (is16) {
        const selector = isCode ? SELECTOR.userCode16 : i === SS || i === 3 ? SELECTOR.userData16 : SELECTOR.userData;
        if (isCode) state.segments[i]!.set(selector, CODE, 0xffff, (flat & ~(DESC.big | DESC.granularity)) | rights);
        else if (selector === SELECTOR.userData16)
          state.segments[i]!.set(selector, DATA, 0xffff, (flat & ~(DESC.big | DESC.granularity)) | rights);
        else state.segments[i]!.set(selector, 0, 0xffff_ffff, flat | rights);
      } else {
        const selector = isUser
          ? isCode
            ? SELECTOR.userCode
            : SELECTOR.userData
          : isCode
            ? SELECTOR.kernelCode
            : SELECTOR.kernelData;
        const size = isLong && isCode ? DESC.long : DESC.big;
        // Small bases: what goes through FS and GS still meets the data.
        const base = !isLong ? 0 : i === FS ? 0x10 : i === GS ? HIGH + 0x20 : 0;
        state.segments[i]!.set(selector, base, 0xffff_ffff, (flat & ~DESC.big) | size | rights);
      }
    }
    state.segments[TR]!.set(SELECTOR.tss, TSS, 0x67, DESC.present | (11 << DESC.typeShift));
    state.segments[LDTR]!.set(0, 0, 0, 0);
    state.setGdt(GDT, isLong ? 0x67 : 0x5f);
    state.setIdt(IDT, isLong ? 0xfff : 0x7ff);
    state.set(FIELDS.efer, (world.pae ? EFER.NXE : 0) | (isLong ? EFER.LME | EFER.LMA | EFER.SCE : 0));
    if (isLong) {
      state.setParts(FIELDS.star, 0, ((SELECTOR.userCode & ~3) << 16) | SELECTOR.kernelCode);
      state.setParts(FIELDS.lstar, HANDLERS + SYSCALL_ENTRY, 0);
      state.setParts(FIELDS.fmask, EFLAGS.TF | EFLAGS.IF | EFLAGS.DF, 0);
      state.setParts(FIELDS.kernelGsBase, DATA, 0);
    }
    state.cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | CR4.PGE | (world.pae ? CR4.PAE : 0);
    if (isLong) state.cr4 |= CR4.FSGSBASE;
    state.xcr0 = XCR0.x87 | XCR0.avx;
    state.cr3 = isLong ? LONG_TABLES : world.pae ? PAE_TABLES : LEGACY_TABLES;
    if (world.pae && !isLong)
      for (let i = 0; i < 4; i++) state.setParts(FIELDS.pdpte, i === 0 ? (PAE_TABLES + PAGE) | 1 : 0, 0, i);
    state.cr0 = (CR0.PE | CR0.ET | CR0.NE | CR0.MP | CR0.WP | CR0.PG) >>> 0;
    state.cpl = isUser ? 3 : 0;
    state.rip = is16 ? program.start : CODE + program.start + (world.long ?? 0);
    if (program.isLong) state.u32.set(program.regs, FIELDS.gpr.offset >>> 2);
    else
      program.regs.forEach((value, i) => {
        state.setReg32(i, value);
      });
    state.setEflags(program.eflags);
    state.a20Mask = 0xffff_ffff;
    state.halted = false;
    state.set(FIELDS.fpuControl, 0x37f);
    state.set(FIELDS.fpuStatus, 0);
    state.set(FIELDS.fpuTop, 0);
    state.set(FIELDS.fpuEmpty, 0xff);
    state.set(FIELDS.mxcsr, 0x1f80);
    state.u8.fill(0, FIELDS.fpr.offset, FIELDS.fpr.offset + 128);
    state.u8.fill(0, FIELDS.xmm.offset, FIELDS.xmm.offset + 16 * 64);
    cpu.flushTlb();
  }

  /** Runs what was loaded to its end, `slice()` instructions at a time. */
  run(slice: () => number): Ending {
    const { machine } = this;
    const { cpu } = machine;
    const start = cpu.executed;
    const shutdowns = machine.shutdowns;
    for (let spent = 0; spent < MAX_INSTRUCTIONS; ) {
      const budget = slice();
      const result = cpu.run(budget);
      spent += budget;
      if (machine.shutdowns !== shutdowns) return { how: 'shutdown', executed: cpu.executed - start };
      if (result === 'halted') return { how: 'halted', executed: cpu.executed - start };
    }
    return { how: 'budget', executed: cpu.executed - start };
  }

  log(): LogRecord[] {
    const { view, cpu } = this.machine;
    if (cpu.state.get(FIELDS.efer) & EFER.LMA) return this.longLog();
    const count = (view.getUint32(LOG, true) - LOG_RECORDS) / (LOG_WORDS * 4);
    return Array.from({ length: Math.min(Math.max(0, Math.floor(count)), LOG_MAX) }, (_, i) => {
      const at = LOG_RECORDS + i * LOG_WORDS * 4;
      const [vector, error, eip, eflags, cr2] = [0, 4, 8, 12, 16].map((o) => view.getUint32(at + o, true)) as [
        number,
        number,
        number,
        number,
        number,
      ];
      return { vector, error, eip, eflags, cr2 };
    });
  }
  private longLog(): LogRecord[] {
    const { view } = this.machine;
    const count = Math.floor((view.getUint32(LOG, true) - LOG_RECORDS) / LONG_LOG_BYTES);
    return Array.from({ length: Math.min(Math.max(0, count), LOG_MAX) }, (_, i) => {
      const word = (k: number) => Number(view.getBigInt64(LOG_RECORDS + i * LONG_LOG_BYTES + k * 8, true));
      return { vector: word(0), error: word(1), eip: word(2), eflags: word(3), cr2: word(4) };
    });
  }
}

/** Writes descriptors into the table. */
function describer(view: DataView) {
  return (selector: number, base: number, limit: number, type: number, flags: number) => {
    const at = GDT + (selector & ~7);
    view.setUint32(at, ((base & 0xffff) << 16) | (limit & 0xffff), true);
    const middle = (flags << 20) | (limit & 0xf_0000) | (type << 8) | ((base >>> 16) & 0xff);
    view.setUint32(at + 4, (base & 0xff00_0000) | middle, true);
  };
}
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export const DATA_SEEDS = 16;
const dataBySeed: (readonly (readonly [number, Uint8Array])[] | undefined)[] = [];
/** All data pages with contents, by physical address. */
function dataPages(seed: number): readonly (readonly [number, Uint8Array])[] {
  dataBySeed[seed] ??= DATA_PAGES.flatMap((kind, i) =>
    kind === 'none' || kind === 'device' || kind === 'alias' ? [] : [[DATA + i * PAGE, dataPage(seed, i)] as const],
  );
  return dataBySeed[seed];
}

/** Contents of a data page, the same on the host (native.c). */
export function dataPage(seed: number, page: number): Uint8Array {
  const random = new Random(seed * 64 + page);
  const words = new Uint32Array(PAGE / 4);
  for (let i = 0; i < words.length; i += 4) {
    const kind = random.below(8);
    for (let k = 0; k < 4; k++) {
      const noise = random.u32();
      words[i + k] =
        kind === 0
          ? noise
          : kind === 1
            ? noise & 15
            : kind === 2
              ? 0x3f80_0000 + (noise % 64) * 0x40_0000 - 0x800_0000
              : kind === 3
                ? k & 1
                  ? 0x3fe0_0000 + (noise & 0x800f_ffff)
                  : 0
                : noise;
    }
    if (kind === 4)
      new DataView(words.buffer).setFloat64(i * 4, (random.below(2001) - 1000) / random.pick([1, 2, 8, 3]), true);
    if (kind === 5)
      for (let k = 0; k < 4; k++)
        new DataView(words.buffer).setFloat32(
          i * 4 + k * 4,
          (random.below(2001) - 1000) / random.pick([1, 2, 8, 3]),
          true,
        );
    if (kind === 6)
      new Uint16Array(words.buffer, i * 4 + 8, 1)[0] = 0x3fff - random.below(3) + 0x8000 * random.below(2);
  }
  // Loop counters begin at zero, for those who jump into a loop.
  if (DATA + page * PAGE === COUNTERS - (COUNTERS % PAGE)) words.fill(0, (COUNTERS % PAGE) / 4);
  return new Uint8Array(words.buffer);
}
