/** DR0-7: access rules, breakpoint matching, single step. Intel SDM volume 3B chapter 18.
 *  Not modelled: branch trapping (BTF) and RTM debugging. */
import { raise, VECTOR } from './fault.ts';
import { type CpuState, CR4, FIELDS, linearAddress } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** Bits of DR6 that a debug exception sets. */
export const DR6 = { BD: 1 << 13, BS: 1 << 14, BT: 1 << 15 } as const;
const DR6_ONES = 0xffff_0ff0;
const DR6_WRITABLE = 0xe00f;
const DR7_ONE = 0x400;
const DR7_ZEROS = 0xd800;
const DR7_GD = 1 << 13;

/** DR4 and DR5 stand for DR6 and DR7 unless CR4.DE says that they do not exist. */
function resolve(state: CpuState, index: number): number {
  if (index !== 4 && index !== 5) return index;
  if (state.cr4 & CR4.DE) raise(state, VECTOR.UD);
  return index + 2;
}

/** General detect: any access is itself a debug exception. */
function checkGeneralDetect(state: CpuState): void {
  const dr7 = state.low(FIELDS.dr, 7);
  if (!(dr7 & DR7_GD)) return;
  state.set(FIELDS.dr, (dr7 & ~DR7_GD) >>> 0, 7);
  addDr6(state, DR6.BD);
  raise(state, VECTOR.DB);
}

function addDr6(state: CpuState, bits: number): void {
  state.set(FIELDS.dr, (state.low(FIELDS.dr, 6) | bits) >>> 0, 6);
}

export function readDr(ctx: CpuContext, index: number): number {
  const real = resolve(ctx.state, index);
  checkGeneralDetect(ctx.state);
  return ctx.state.low(FIELDS.dr, real);
}

/** `high`: upper half of the value, in 64-bit code. */
export function writeDr(ctx: CpuContext, index: number, value: number, high = 0): void {
  const { state } = ctx;
  const real = resolve(state, index);
  checkGeneralDetect(state);
  if (high !== 0 && real >= 6) raise(state, VECTOR.GP, 0);
  let stored = value;
  if (real === 6) stored = (value & DR6_WRITABLE) | DR6_ONES;
  else if (real === 7) stored = (value & ~DR7_ZEROS) | DR7_ONE;
  state.setParts(FIELDS.dr, stored, high, real);
  if (real !== 6) ctx.flushTlb(); // watched pages bypass the TLB
}

/** What a breakpoint waits for: R/W field of DR7. */
const WATCH = { execute: 0, write: 1, io: 2, access: 3 } as const;
const LENGTHS = [1, 2, 8, 4];

function breakAddress(state: CpuState, index: number): number {
  return linearAddress(state.low(FIELDS.dr, index), state.high(FIELDS.dr, index));
}

/** Whether any breakpoint is switched on: only then the engine needs to ask. */
export function hasBreakpoints(state: CpuState): boolean {
  return (state.low(FIELDS.dr, 7) & 0xff) !== 0;
}

/** DR6 bits of the breakpoints that an access meets; 0 for none. */
export function matchBreakpoints(
  state: CpuState,
  linear: number,
  bytes: number,
  kind: 'execute' | 'read' | 'write' | 'io',
): number {
  const dr7 = state.low(FIELDS.dr, 7);
  let met = 0;
  for (let i = 0; i < 4; i++) {
    if (!((dr7 >>> (i * 2)) & 3)) continue;
    const watch = (dr7 >>> (16 + i * 4)) & 3;
    const length = LENGTHS[(dr7 >>> (18 + i * 4)) & 3]!;
    const fits =
      (kind === 'execute' && watch === WATCH.execute) ||
      (kind === 'io' && watch === WATCH.io && (state.cr4 & CR4.DE) !== 0) ||
      (kind === 'write' && (watch === WATCH.write || watch === WATCH.access)) ||
      (kind === 'read' && watch === WATCH.access);
    if (!fits) continue;
    const low = state.low(FIELDS.dr, i);
    const at = linearAddress(low - (low % length), state.high(FIELDS.dr, i));
    if (linear < at + length && at < linear + bytes) met |= 1 << i;
  }
  return met;
}

/** Whether a data breakpoint lies in the 4 KiB page at `page`: its accesses have to be looked at one by one. */
export function watchesPage(state: CpuState, page: number): boolean {
  const dr7 = state.low(FIELDS.dr, 7);
  for (let i = 0; i < 4; i++) {
    const watch = (dr7 >>> (16 + i * 4)) & 3;
    const isData = watch === WATCH.write || watch === WATCH.access;
    if (isData && (dr7 >>> (i * 2)) & 3 && Math.floor(breakAddress(state, i) / 4096) === Math.floor(page / 4096))
      return true;
  }
  return false;
}

/** Records a debug exception in DR6; the engine then delivers vector 1. `bits`: breakpoints met, DR6.BS for a single step. */
export function recordDebugException(state: CpuState, bits: number): void {
  addDr6(state, bits);
  state.set(FIELDS.dr, (state.low(FIELDS.dr, 7) & ~DR7_GD) >>> 0, 7);
}
