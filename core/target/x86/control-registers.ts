/** MOV to and from CR0/2/3/4/8 and LMSW: validity checks, what a change flushes. Intel SDM volume 3A sections 2.5
 *  and 4.10 (process-context identifiers). */
import type { CpuDefinition } from './cpu-definition.ts';
import { raise, VECTOR } from './fault.ts';
import { CR0, CR4, CS, DESC, EFER, FIELDS } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** Bits of CR0 that exist; the others are ignored. */
const CR0_DEFINED = 0xe005_003f;

function bit(name: string, position: number): readonly [feature: string, mask: number] {
  return [name, 1 << position];
}

/** CR4 bits that come with a feature; without it they are reserved. */
const CR4_BY_FEATURE = [
  ['vme', CR4.VME | CR4.PVI] as const,
  bit('umip', 11),
  bit('la57', 12),
  bit('fsgsbase', 16),
  bit('pcid', 17),
  bit('xsave', 18),
  bit('smep', 20),
  bit('smap', 21),
  bit('pku', 22),
  bit('pks', 24),
];
/** TSD to OSXMMEXCPT may be set by everyone, as under TCG. */
const CR4_ALWAYS = 0x7fc;

/** Bits that CR4 may not have on this CPU. */
export function reservedCr4Bits(cpu: CpuDefinition): number {
  let allowed = CR4_ALWAYS;
  for (const [feature, mask] of CR4_BY_FEATURE) if (cpu.features.has(feature)) allowed |= mask;
  return ~allowed >>> 0;
}

/** `high`: upper half of the value, in 64-bit code. */
export function writeCr(ctx: CpuContext, cpu: CpuDefinition, index: number, value: number, high = 0): void {
  const { state } = ctx;
  if (high !== 0 && index !== 2 && index !== 3) raise(state, VECTOR.GP, 0);
  switch (index) {
    case 0:
      writeCr0(ctx, value);
      return;
    case 2:
      state.setParts(FIELDS.cr2, value, high);
      return;
    case 3:
      writeCr3(ctx, cpu, value, high);
      return;
    case 4:
      writeCr4(ctx, cpu, value);
      return;
    case 8:
      if (value & ~15) raise(state, VECTOR.GP, 0);
      // Without a local APIC it is a register and nothing more.
      state.set(FIELDS.cr8, value);
      ctx.bus.apic?.writeTpr(value << 4);
      return;
    default:
      raise(state, VECTOR.UD);
  }
}

const PCID = 0xfff;
/** Bit 63 of what is written to CR3. */
const KEEPS_TRANSLATIONS = 0x8000_0000;

function writeCr3(ctx: CpuContext, cpu: CpuDefinition, value: number, high: number): void {
  const { state } = ctx;
  const hasPcids = (state.cr4 & CR4.PCIDE) !== 0;
  const upper = (hasPcids ? high & ~KEEPS_TRANSLATIONS : high) >>> 0;
  if (upper >= 2 ** Math.max(0, Math.min(52, cpu.physBits) - 32)) raise(state, VECTOR.GP, 0);
  if (hasPcids) ctx.selectPcid(value & PCID, (high & KEEPS_TRANSLATIONS) !== 0);
  else ctx.flushTlb(true);
  state.setParts(FIELDS.cr3, value, upper);
}

function writeCr0(ctx: CpuContext, value: number): void {
  const { state } = ctx;
  const next = ((value & CR0_DEFINED) | CR0.ET) >>> 0;
  const turnsPagingOn = next >= CR0.PG && !state.paging;
  if (next >= CR0.PG && !(next & CR0.PE)) raise(state, VECTOR.GP, 0);
  if (next & CR0.NW && !(next & CR0.CD)) raise(state, VECTOR.GP, 0);
  if (turnsPagingOn && state.efer & EFER.LME) {
    const isLongCode = (state.segments[CS]!.flags & DESC.long) !== 0;
    if (!(state.cr4 & CR4.PAE) || isLongCode) raise(state, VECTOR.GP, 0);
    state.efer |= EFER.LMA;
  } else if (next < CR0.PG) {
    if (state.code64 || (state.paging && state.cr4 & CR4.PCIDE)) raise(state, VECTOR.GP, 0);
    state.efer &= ~EFER.LMA;
  }
  const changed = (state.cr0 ^ next) >>> 0;
  state.cr0 = next;
  // Without paging a linear address means the same in every mode: firmware changes PE thousands of times.
  if (changed >= CR0.PG || (changed & CR0.WP && next >= CR0.PG)) ctx.flushTlb();
  if (changed & CR0.PE || changed >= CR0.PG) ctx.activity.modeSwitches++;
}

function writeCr4(ctx: CpuContext, cpu: CpuDefinition, value: number): void {
  const { state } = ctx;
  if (value & reservedCr4Bits(cpu)) raise(state, VECTOR.GP, 0);
  if (state.efer & EFER.LMA && !(value & CR4.PAE)) raise(state, VECTOR.GP, 0);
  const turnsPcidsOn = (value & ~state.cr4 & CR4.PCIDE) !== 0;
  if (turnsPcidsOn && (!state.longMode || state.low(FIELDS.cr3) & PCID)) raise(state, VECTOR.GP, 0);
  // Pentium II has FXSAVE and the bit, before SSE; what has neither ignores it.
  const next = cpu.features.has('fxsr') ? value : value & ~CR4.OSFXSR;
  const changed = state.cr4 ^ next;
  state.cr4 = next >>> 0;
  if (changed & (CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP | CR4.PCIDE)) ctx.flushTlb();
}

export function readCr({ state, bus }: CpuContext, index: number): number {
  if (index === 0) return state.cr0;
  if (index === 2) return state.low(FIELDS.cr2);
  if (index === 3) return state.low(FIELDS.cr3);
  if (index === 4) return state.cr4;
  if (index === 8) return bus.apic ? bus.apic.readTpr() >>> 4 : state.low(FIELDS.cr8);
  return raise(state, VECTOR.UD);
}
