/** What the emulated CPUs that run snippets have in common. */
import { type BareMachine, LONG_TABLES } from '../testing.ts';

/** Where snippets find data and code; harness.h has the same. */
export const DATA = 0x10_0000;
export const CODE = 0x20_0000;
/** How far above 4 GiB 64-bit snippets find them once more. */
export const HIGH = 0x1234_0000_0000;

/** Signals that Linux makes of exceptions: 8 SIGFPE, 5 SIGTRAP, 7 SIGBUS, 4 SIGILL, 11 SIGSEGV. */
const SIGNAL_OF: Readonly<Record<number, number>> = {
  ...{ 0: 8, 3: 5, 4: 11, 5: 11, 6: 4, 7: 11 },
  ...{ 12: 7, 13: 11, 14: 11, 16: 8, 19: 8 },
};

/** Notes an exception and stops there instead of delivering it. */
export class FaultTrap {
  /** -1: there was none. */
  vector = -1;
  constructor({ cpu }: BareMachine) {
    (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
      this.vector = vector;
      cpu.state.halted = true;
    };
  }
  /** The signal that ends a snippet on the host; 5 if it came to its end. */
  get signal(): number {
    return this.vector < 0 ? 5 : (SIGNAL_OF[this.vector] ?? 100 + this.vector);
  }
}

/** Maps the first pages of RAM once more at HIGH, by page tables of their own. */
export function mapHigh({ view, cpu }: BareMachine): void {
  const tables = LONG_TABLES + 0x3000;
  const entry = (level: number) => Math.floor(HIGH / 2 ** (12 + 9 * level)) & 0x1ff;
  view.setUint32(LONG_TABLES + entry(3) * 8, tables | 7, true);
  view.setUint32(tables + entry(2) * 8, (tables + 0x1000) | 7, true);
  for (let i = 0; i < 2; i++) view.setUint32(tables + 0x1000 + (entry(1) + i) * 8, (i << 21) | 0x87, true);
  cpu.flushTlb();
}
