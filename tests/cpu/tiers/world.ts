/** Where everything is in a random test program's world. The same linear addresses hold for our guest and for the process on the
 *  host (native.c repeats them).
 *
 *  A program is user code at CODE with data at DATA; a fault is logged by the kernel (handlers below, or a signal handler on
 *  the host), which then goes on at the item that follows the faulting one, so that one program meets many faults. */

export const PAGE = 4096;
export const CODE = 0x20_0000;
/** Code pages; what lies before and after is not mapped. */
export const CODE_BYTES = 3 * PAGE;
export const DATA = 0x10_0000;
/** What each data page is. Only `own` pages have contents of their own. */
export const DATA_PAGES = [
  'own',
  'own',
  'none',
  'own',
  'readOnly',
  'own',
  'supervisor',
  'device',
  'swapped', // the two lie in each other's place in physical memory
  'swapped',
  'alias', // another name of page 0
  'none',
  'own', // stack
  'own',
  'none',
] as const;
/** Pages that the host has as well; the others are not mapped there, nor in a guest that is compared with it. */
export const PORTABLE = new Set(['own', 'readOnly', 'swapped']);
export const STACK_TOP = DATA + 14 * PAGE;
export const FIRST_ESP = STACK_TOP - 0x800;
/** Loop counters, above what the stack needs. */
export const COUNTERS = STACK_TOP - 0x200;

/** The kernel's things: physical addresses, mapped one to one, not for users. */
export const GDT = 0x800;
export const IDT = 0x1000;
export const TSS = 0x2000;
export const HANDLERS = 0x3000;
export const KERNEL_STACK = 0x5000;
/** Word 0: where the next log record goes. */
export const LOG = 0x6000;
export const LOG_RECORDS = LOG + 16;
/** Vector, error code, EIP, EFLAGS, CR2, and 0. */
export const LOG_WORDS = 6;
export const LOG_MAX = 400;
/** For each byte of code where to go on after a fault there (16 bits, from CODE); 0xffff: the program ends. */
export const NEXT = 0xa000;
export const LEGACY_TABLES = 0x1_0000;
export const PAE_TABLES = 0x1_3000;
export const KERNEL_END = 0x1_8000;
export const DEVICE = 0x80_0000;
export const RAM_BYTES = 4 << 20;

/** 16-bit worlds: linear addresses of the code segment, of data, and of the handlers in real mode, all below 1 MiB. Data are what DATA
 *  holds: the same pages where there is paging, a copy in real mode. Code segments begin within 4 KiB from \`code\`. */
export const REAL = { code: 0x4_0000, data: 0x6_0000, handlers: 0x2_0000, end: 0x11_0000 } as const;
/** Word of the log where handlers find the IP of the program's first byte. */
export const LOG_IP = LOG + 4;

/** Distances at which everything is mapped once more in 64-bit worlds: above 4 GiB, and at the upper end, where kernels are. The host has the first. */
export const HIGH = 0x1234_0000_0000;
export const TOP = -0x8000_0000;
/** Tables of 64-bit worlds; the page directory and below are those of PAE. */
export const LONG_TABLES = 0x1_0000;
/** Words of 64 bits in a log record of a 64-bit kernel: vector, error code, RIP, RFLAGS, CR2. */
export const LONG_LOG_BYTES = 40;
/** Where SYSCALL leads in 64-bit worlds, from HANDLERS. */
export const SYSCALL_ENTRY = 0xe00;

export const SELECTOR = {
  kernelCode: 0x08,
  kernelData: 0x10,
  userCode: 0x1b,
  userData: 0x23,
  tss: 0x50,
  /** User data with base DATA and a limit of 8 KiB + 7: its end is where accesses begin to fault. */
  small: 0x33,
  /** User data that expands down: offsets above 0xfff only. */
  down: 0x3b,
  userCode16: 0x43,
  userData16: 0x4b,
  /** In 16-bit worlds of protected mode: data like \`userData16\`, elsewhere, with an odd base, that ends early, that expands down,
   *  and the code as data. */
  data16: 0x2b,
  odd16: 0x5b,
  small16: 0x63,
  down16: 0x6b,
  code16: 0x73,
  /** In 64-bit worlds: where SYSRET goes to, and 32-bit code. There `kernelCode` and `userCode` are of 64 bits. */
  userCodeOfSysret: 0x2b,
  userCode32: 0x63,
} as const;
