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
import type { Mode16 } from './generate-16.ts';
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
  LOG_IP,
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
  REAL,
  SELECTOR,
  SYSCALL_ENTRY,
  TOP,
  TSS,
} from './world.ts';

/** Who runs the program. In 16-bit segments it makes little sense, which must not matter. */
export const MODES = ['user', 'kernel', 'user16'] as const;
export type Mode = (typeof MODES)[number] | Mode16;

export interface World {
  readonly mode: Mode;
  /** PAE tables with no-execute data; otherwise the two-level ones. */
  readonly pae: boolean;
  /** Only pages that the host has too. */
  readonly portable: boolean;
  /** Base of CS in the modes for 16-bit programs. */
  readonly base?: number;
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
/** Where INT leads in real mode beyond the exceptions, from REAL.handlers. */
const IRET_AT = 0xf00;
const word = (n: number) => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24];

/** Logs vector, error code, EIP, EFLAGS and CR2, and returns to what NEXT says, or halts. */
function handlers(is16 = false): Uint8Array {
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
    is16
      ? [0x8b, 0x15, ...word(LOG_IP)] // edx: where code begins
      : [0x31, 0xd2, 0x66, 0x83, 0x7c, 0x24, 48, SELECTOR.userCode16, 0x74, 5, 0xba, ...word(CODE)],
    [0x29, 0xd1], // sub ecx, edx
    is16 ? [0x0f, 0xb7, 0xc9] : [], // movzx ecx, cx
    [0x81, 0xf9, ...word(CODE_BYTES), 0x0f, 0x83, 'halt'], // cmp; jae
    [0x0f, 0xa3, 0x05, ...word(HANDLERS + TRAPS_AT), 0x0f, 0x82, 'back'], // bt [TRAPS], eax; jc
    [0x0f, 0xb7, 0x0c, 0x4d, ...word(NEXT)], // movzx ecx, word [ecx * 2 + NEXT]
    [0x81, 0xf9, ...word(0xffff), 0x0f, 0x84, 'halt'], // cmp ecx, 0xffff; je
    [0x01, 0xd1, ...(is16 ? [0x0f, 0xb7, 0xc9] : []), 0x89, 0x4c, 0x24, 44], // add ecx, edx; mov [esp + 44], ecx
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

/** The same in real mode: IP, CS and FLAGS are on the stack of the program. Error code: CS; CR2: SP. */
function realHandlers(): Uint8Array {
  const code: number[] = [];
  const common = 32 * 5;
  for (let vector = 0; vector < 32; vector++) {
    code.push(0x6a, vector);
    code.push(0xe9, ...word(common - (code.length + 3)).slice(0, 2));
  }
  const end = LOG_RECORDS + LOG_MAX * LOG_WORDS * 4;
  const half = (n: number) => word(n).slice(0, 2);
  // On the stack: DS, PUSHAD's eight, vector, IP, CS, FLAGS.
  const body: (number | string)[] = [
    [0x66, 0x60, 0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0x89, 0xe5], // pushad; push ds; xor ax, ax; mov ds, ax; mov bp, sp
    [0x8b, 0x1e, ...half(LOG)], // mov bx, [LOG]
    [0x66, 0x0f, 0xb7, 0x46, 34, 0x66, 0x89, 0x07], // movzx eax, word [bp + 34]; mov [bx], eax
    [0x66, 0x0f, 0xb7, 0x4e, 38, 0x66, 0x89, 0x4f, 4], // CS
    [0x66, 0x0f, 0xb7, 0x4e, 40, 0x66, 0x89, 0x4f, 12], // FLAGS
    [0x66, 0x0f, 0xb7, 0xcd, 0x66, 0x89, 0x4f, 16], // SP
    [0x66, 0x0f, 0xb7, 0x4e, 36, 0x66, 0x89, 0x4f, 8], // ecx: IP
    [0x83, 0xc3, LOG_WORDS * 4, 0x89, 0x1e, ...half(LOG)],
    [0x83, 0xf8, 16, 0x75, 2, 0xdb, 0xe2], // #MF: fnclex
    [0x81, 0xfb, ...half(end), 0x0f, 0x83, 'halt'], // cmp bx, end; jae
    [0x2b, 0x0e, ...half(LOG_IP)], // sub cx, [LOG_IP]
    [0x81, 0xf9, ...half(CODE_BYTES), 0x0f, 0x83, 'halt'], // cmp; jae
    [0x66, 0xba, ...word(TRAPS), 0x66, 0x0f, 0xa3, 0xc2, 0x0f, 0x82, 'back'], // mov edx, TRAPS; bt edx, eax; jc
    [0x89, 0xcb, 0x01, 0xdb, 0x8b, 0x8f, ...half(NEXT)], // mov bx, cx; add bx, bx; mov cx, [bx + NEXT]
    [0x83, 0xf9, 0xff, 0x0f, 0x84, 'halt'], // cmp cx, 0xffff; je
    [0x03, 0x0e, ...half(LOG_IP), 0x89, 0x4e, 36], // add cx, [LOG_IP]; mov [bp + 36], cx
  ].flat();
  const back = [0x1f, 0x66, 0x61, 0x83, 0xc4, 2, 0xcf]; // pop ds; popad; add sp, 2; iret
  const halt = [0x1f, 0x66, 0x61, 0xf4];
  const size = body.reduce<number>((sum, x) => sum + (typeof x === 'string' ? 2 : 1), 0);
  const bytes: number[] = [];
  for (const x of body)
    if (typeof x === 'number') bytes.push(x);
    else bytes.push(...half(size - (bytes.length + 2) + (x === 'halt' ? back.length : 0)));
  code.push(...bytes, ...back, ...halt);
  const page = new Uint8Array(PAGE);
  page.set(code);
  page[IRET_AT] = 0xcf;
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
  /** Of 16-bit programs in protected and VM86 mode, and in real mode. */
  private readonly kernel16: Uint8Array;
  private readonly realKernel: Uint8Array;
  /** All of RAM as the next 16-bit program finds it. */
  private readonly image16 = new Uint8Array(RAM_BYTES);

  constructor(machine: BareMachine = bareMachine(RAM_BYTES)) {
    this.machine = machine;
    this.kernel = new Uint8Array(DATA);
    this.fillKernel(new DataView(this.kernel.buffer));
    this.longKernel = this.kernel.slice();
    this.fillLongKernel(new DataView(this.longKernel.buffer));
    this.kernel16 = this.kernel.slice();
    this.kernel16.set(handlers(true), HANDLERS);
    this.realKernel = new Uint8Array(DATA);
    this.fillRealKernel(new DataView(this.realKernel.buffer));
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

  private fillRealKernel(view: DataView): void {
    for (let vector = 0; vector < 256; vector++) {
      view.setUint16(vector * 4, vector < 32 ? vector * 5 : IRET_AT, true);
      view.setUint16(vector * 4 + 2, REAL.handlers >>> 4, true);
    }
    new Uint8Array(view.buffer).set(realHandlers(), REAL.handlers);
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
      const index = page - (page < DATA / PAGE ? REAL.data : DATA) / PAGE;
      const kind = DATA_PAGES[index];
      if (world.base !== undefined && page >= REAL.code / PAGE && page < REAL.data / PAGE) return [page, 7, false];
      if (world.base === undefined && page < DATA / PAGE && page >= KERNEL_END / PAGE) return [0, 0, true];
      if (page < KERNEL_END / PAGE) return [page, 3, false];
      if (kind === undefined || (world.portable && !PORTABLE.has(kind))) return [0, 0, true];
      const frame =
        kind === 'swapped'
          ? (DATA / PAGE + index) ^ 1
          : kind === 'alias'
            ? DATA / PAGE
            : kind === 'device'
              ? DEVICE / PAGE + index
              : DATA / PAGE + index;
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
    if (world.base !== undefined) {
      this.load16(program, world as World & { base: number }, code, next);
      return;
    }
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
    this.startRegisters(program, program.eflags);
    cpu.flushTlb();
  }

  /** 16-bit code lies where its IP says, and, what would lie beyond 64 KiB, at the start of the segment too; all else is HLT. Whatever
   *  the program before wrote is as it was. */
  private load16(program: Program, world: World & { base: number }, code: Uint8Array, next: Uint16Array): void {
    const { machine } = this;
    const { cpu, ram } = machine;
    const { state } = cpu;
    const ip = program.ip!;
    const isReal = world.mode === 'real' || world.mode === 'unreal';
    const image = this.image16;
    const view = new DataView(image.buffer);
    image.fill(0);
    image.set(isReal ? this.realKernel : this.kernel16);
    image.fill(0xf4, REAL.code, REAL.data);
    image.set(code, world.base + ip);
    const round = 0x1_0000 - ip;
    if (round < code.length) image.set(code.subarray(round), world.base);
    view.setUint32(LOG, LOG_RECORDS, true);
    view.setUint32(LOG_IP, ip, true);
    image.set(new Uint8Array(next.buffer), NEXT);
    for (const [at, page] of dataPages(program.seed % DATA_SEEDS)) image.set(page, isReal ? at - DATA + REAL.data : at);
    const random = new Random(program.seed ^ 0x16);
    if (!isReal) {
      this.fillTables(view, world);
      const describe = describer(view);
      // Now and then a limit inside the code, or one beyond 64 KiB.
      const limit = random.pick([0xffff, 0xffff, 0xffff, 0x1_ffff, (ip + program.start + 150) & 0xffff]);
      describe(SELECTOR.userCode16, world.base, limit, 0xfb, 0);
      describe(SELECTOR.data16, REAL.data, 0xffff, 0xf3, 0);
      describe(SELECTOR.odd16, REAL.data + 0x10, 0xffff, 0xf3, 0);
      describe(SELECTOR.small16, REAL.data, 5 * PAGE + 7, 0xf3, 0);
      describe(SELECTOR.down16, REAL.data, 0x1fff, 0xf7, 0);
      describe(SELECTOR.code16, world.base, 0xffff, 0xf3, 0);
    }
    for (let at = 0; at < RAM_BYTES; at += PAGE) {
      const page = image.subarray(at, at + PAGE);
      if (!isEqual(page, ram.subarray(at, at + PAGE))) machine.dma(at, page);
    }
    machine.mmio.length = machine.writes.length = 0;
    cpu.reset();
    const isProtected = world.mode === 'protected16';
    const level = isReal ? 0 : DESC.dpl;
    const rights = DESC.present | DESC.s | DESC.writable | DESC.accessed | level;
    const big = DESC.big | DESC.granularity;
    const isStackBig = random.chance(0.3);
    for (let i = 0; i < 6; i++) {
      const isCode = i === CS;
      const base = isCode || i === FS ? world.base : REAL.data + (i === GS ? 0x20 : 0);
      if (isProtected) {
        const selector = isCode ? SELECTOR.userCode16 : i === FS ? SELECTOR.code16 : SELECTOR.data16;
        const at = GDT + (selector & ~7);
        const limit = view.getUint16(at, true) | (view.getUint8(at + 6) << 16);
        state.segments[i]!.set(selector, i === GS ? REAL.data : base, limit, rights | (isCode ? DESC.code : 0));
        continue;
      }
      const isLarge = world.mode === 'unreal' && !isCode && i !== FS && (i !== SS || isStackBig);
      const flags = rights | (isCode && isReal ? DESC.code : 0) | (isLarge ? big : 0);
      state.segments[i]!.set(base >>> 4, base, isLarge ? 0xffff_ffff : 0xffff, flags);
    }
    state.segments[TR]!.set(SELECTOR.tss, TSS, 0x67, DESC.present | (11 << DESC.typeShift));
    state.segments[LDTR]!.set(0, 0, 0, 0);
    state.setGdt(GDT, 0x77);
    state.setIdt(isReal ? 0 : IDT, isReal ? 0x3ff : 0x7ff);
    state.set(FIELDS.efer, 0);
    const hasVme = !isReal && random.chance(0.3);
    state.cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | (hasVme ? CR4.VME : 0);
    state.xcr0 = XCR0.x87 | XCR0.avx;
    state.cr3 = isReal ? 0 : LEGACY_TABLES;
    state.cr0 = (CR0.ET | CR0.NE | CR0.MP | (isReal ? 0 : CR0.PE | CR0.WP | CR0.PG)) >>> 0;
    state.cpl = isReal ? 0 : 3;
    state.rip = (ip + program.start) & 0xffff;
    this.startRegisters(program, program.eflags | (world.mode === 'vm86' ? EFLAGS.VM : 0));
    cpu.flushTlb();
  }
  private startRegisters(program: Program, eflags: number): void {
    const { state } = this.machine.cpu;
    if (program.isLong) state.u32.set(program.regs, FIELDS.gpr.offset >>> 2);
    else
      program.regs.forEach((value, i) => {
        state.setReg32(i, value);
      });
    state.setEflags(eflags);
    state.a20Mask = 0xffff_ffff;
    state.halted = false;
    state.set(FIELDS.fpuControl, 0x37f);
    state.set(FIELDS.fpuStatus, 0);
    state.set(FIELDS.fpuTop, 0);
    state.set(FIELDS.fpuEmpty, 0xff);
    state.set(FIELDS.mxcsr, 0x1f80);
    state.u8.fill(0, FIELDS.fpr.offset, FIELDS.fpr.offset + 128);
    state.u8.fill(0, FIELDS.xmm.offset, FIELDS.xmm.offset + 16 * 64);
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
