/** Registers of the local APIC by name (Intel SDM volume 3A, chapter 10): indices count 16-byte steps from its base, and are what
 *  x2APIC mode adds to MSR 800h. */

export const REGISTER = {
  id: 0x02,
  version: 0x03,
  taskPriority: 0x08,
  arbitrationPriority: 0x09,
  processorPriority: 0x0a,
  endOfInterrupt: 0x0b,
  logicalDestination: 0x0d,
  destinationFormat: 0x0e,
  spuriousVector: 0x0f,
  inService: 0x10,
  triggerMode: 0x18,
  request: 0x20,
  errorStatus: 0x28,
  command: 0x30,
  commandHigh: 0x31,
  localVectors: 0x32,
  initialCount: 0x38,
  currentCount: 0x39,
  divide: 0x3e,
  /** x2APIC mode only. */
  selfInterrupt: 0x3f,
} as const;

/** Entries of the local vector table, in the order of their registers. */
export const LVT = { timer: 0, thermal: 1, performance: 2, lint0: 3, lint1: 4, error: 5, count: 6 } as const;
export const LVT_BITS = {
  vector: 0xff,
  modeShift: 8,
  pending: 1 << 12,
  activeLow: 1 << 13,
  remoteIrr: 1 << 14,
  level: 1 << 15,
  masked: 1 << 16,
  timerModeShift: 17,
} as const;
/** Bits that software may change, by entry: only LINT0 and LINT1 have polarity and trigger mode, only the timer its modes. */
export const LVT_WRITABLE = [0x7_00ff, 0x1_07ff, 0x1_07ff, 0x1_a7ff, 0x1_a7ff, 0x1_00ff] as const;
export const TIMER_MODE = { oneShot: 0, periodic: 1, tscDeadline: 2 } as const;

/** Delivery modes, of messages and table entries alike. */
export const MODE = { fixed: 0, lowestPriority: 1, smi: 2, nmi: 4, init: 5, startUp: 6, extInt: 7 } as const;
export const SPURIOUS = { enable: 0x100, writable: 0x3ff } as const;
export const COMMAND = {
  logical: 1 << 11,
  assert: 1 << 14,
  level: 1 << 15,
  shorthandShift: 18,
  writable: 0x000c_cfff,
} as const;
export const SHORTHAND = { none: 0, self: 1, all: 2, others: 3 } as const;
export const ERROR = { sendVector: 0x20, receiveVector: 0x40, register: 0x80 } as const;
/** IA32_APIC_BASE. */
export const BASE = { bootstrap: 0x100, x2apic: 0x400, enable: 0x800, reserved: 0x2ff, address: 0xfee0_0000 } as const;
/** Vectors below are exceptions. */
export const FIRST_VECTOR = 16;

/** The highest vector of a 256-bit register; -1 for none. */
export function highestVector(words: readonly number[]): number {
  for (let i = 7; i >= 0; i--) {
    const word = words[i]!;
    if (word !== 0) return i * 32 + 31 - Math.clz32(word);
  }
  return -1;
}
export function hasVector(words: readonly number[], vector: number): boolean {
  return ((words[vector >>> 5]! >>> (vector & 31)) & 1) !== 0;
}
export function setVector(words: number[], vector: number): void {
  words[vector >>> 5] = (words[vector >>> 5]! | (1 << (vector & 31))) >>> 0;
}
export function clearVector(words: number[], vector: number): void {
  words[vector >>> 5] = (words[vector >>> 5]! & ~(1 << (vector & 31))) >>> 0;
}
