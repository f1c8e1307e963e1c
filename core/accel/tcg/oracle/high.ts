/** 64-bit snippets find code and data once more above 4 GiB, on the host and here. */
import { type BareMachine, LONG_TABLES } from '../testing.ts';

/** How far above; the C files have it too. */
export const HIGH = 0x1234_0000_0000;

/** Page tables of its own, to the first pages of RAM. */
export function mapHigh({ view, cpu }: BareMachine): void {
  const tables = LONG_TABLES + 0x3000;
  const entry = (level: number) => Math.floor(HIGH / 2 ** (12 + 9 * level)) & 0x1ff;
  view.setUint32(LONG_TABLES + entry(3) * 8, tables | 7, true);
  view.setUint32(tables + entry(2) * 8, (tables + 0x1000) | 7, true);
  for (let i = 0; i < 2; i++) view.setUint32(tables + 0x1000 + (entry(1) + i) * 8, (i << 21) | 0x87, true);
  cpu.flushTlb();
}
