/** The I/O permission bitmap of a 32-bit TSS (Intel SDM volume 1 section 19.5.2). */
import { SYSTEM_TYPE } from './context.ts';
import { raise, VECTOR } from './fault.ts';
import { DESC, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';

const IO_MAP_BASE = 0x66;

/** Raises #GP(0) unless the bitmap allows every byte of the access. Asked only when IOPL does not allow it already. */
export function checkIo(ctx: CpuContext, port: number, bytes: number): void {
  const { state, memory } = ctx;
  const tr = state.segments[TR]!;
  const is32 = ((tr.flags >>> 8) & 15 & ~2) === SYSTEM_TYPE.tss32;
  if (!is32 || !(tr.flags & DESC.present) || tr.limit < IO_MAP_BASE + 1) raise(state, VECTOR.GP, 0);
  const at = memory.read(tr.base + IO_MAP_BASE, 2, true) + (port >>> 3);
  // Two bytes are always read, so the map needs a byte of ones behind it.
  if (at + 1 > tr.limit) raise(state, VECTOR.GP, 0);
  const bits = memory.read(tr.base + at, 2, true) >>> (port & 7);
  if (bits & ((1 << bytes) - 1)) raise(state, VECTOR.GP, 0);
}
