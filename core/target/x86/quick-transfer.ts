/** The everyday forms of interrupt delivery, IRET and segment loads, without objects: 32-bit gates and stacks, descriptors of the
 *  GDT with the largest limit, frames inside one page, everything in the TLB already. Each function does the whole operation and
 *  gives true, or touches nothing and gives false: then the exact definition (exceptions.ts, far-transfer.ts, segmentation.ts)
 *  runs. Nothing here faults. What is checked is what those check; an order does not show where nothing fails. */
import { changeableFlags } from './context.ts';
import { CR0, CS, DESC, DS, EFER, EFLAGS, ES, ESP, FIELDS, FS, GS, SS, TR } from './state.ts';
import { ACCESS, type CpuContext, type LinearMemory } from './system-ops.ts';

const word = (field: { readonly offset: number }) => field.offset >>> 2;
const SEGMENTS = word(FIELDS.segments);
const SEGMENT_WORDS = FIELDS.segments.stride >>> 2;
/** Words of a segment register. */
const BASE = 0;
const LIMIT = 2;
const FLAGS = 3;
const SELECTOR = 4;
const READ_END = 5;
const WRITE_END = 6;
const CR0_WORD = word(FIELDS.cr0);
const CPL = word(FIELDS.cpl);
const RIP = word(FIELDS.rip);
const ESP_WORD = word(FIELDS.gpr) + ESP * 2;
const SYSTEM_FLAGS = word(FIELDS.eflagsSystem);
const DR7 = word(FIELDS.dr) + 14;

const CODE_MASK = DESC.present | DESC.s | DESC.code | DESC.expandDown;
const CODE = DESC.present | DESC.s | DESC.code;
const DATA_MASK = CODE_MASK | DESC.writable | DESC.accessed;
const DATA = DESC.present | DESC.s | DESC.writable | DESC.accessed;
/** P, S and type of a gate without the bit that tells trap from interrupt gates. */
const GATE_MASK = 0x9e00;
const GATE_32 = 0x8e00;
const TSS_32 = 9;

function isLongMode(ctx: CpuContext): boolean {
  return (ctx.state.u32[word(FIELDS.efer)]! & EFER.LMA) !== 0;
}
/** Where eight bytes lie in the arena, or -1. */
function quad(memory: LinearMemory, linear: number): number {
  return (linear & 0xfff) > 0xff8 ? -1 : memory.hit!(linear, ACCESS.read, true);
}
/** Where the GDT's descriptor of a selector lies in the arena; -1: null, of the LDT, outside of the table, or not at hand. */
function descriptorAt(ctx: CpuContext, selector: number): number {
  const { u32 } = ctx.state;
  const index = selector & 0xfff8;
  if (index === 0 || selector & 4 || index + 7 > u32[word(FIELDS.gdtLimit)]!) return -1;
  return quad(ctx.memory, ctx.state.gdtBase + index);
}
/** Limit 0xffffffff. */
function isUnlimited(low: number, high: number): boolean {
  return (low & 0xffff) === 0xffff && (high & (0x000f_0000 | DESC.granularity)) === (0x000f_0000 | DESC.granularity);
}
function dplOf(high: number): number {
  return (high >>> DESC.dplShift) & 3;
}
function baseOf(low: number, high: number): number {
  return (low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000);
}
/** Loads a register from a present, unlimited code or data descriptor that does not expand down. */
function setUnlimited(i32: Int32Array, index: number, selector: number, low: number, high: number): void {
  const at = SEGMENTS + index * SEGMENT_WORDS;
  const isCode = (high & DESC.code) !== 0;
  const mayWrite = (high & DESC.writable) !== 0;
  i32[at + BASE] = baseOf(low, high);
  i32[at + BASE + 1] = 0;
  i32[at + LIMIT] = -1;
  i32[at + FLAGS] = high;
  i32[at + SELECTOR] = selector;
  i32[at + READ_END] = !isCode || mayWrite ? -1 : 0;
  i32[at + WRITE_END] = !isCode && mayWrite ? -1 : 0;
}
function setNull(i32: Int32Array, index: number, selector: number): void {
  const at = SEGMENTS + index * SEGMENT_WORDS;
  i32.fill(0, at, at + SEGMENT_WORDS - 1);
  i32[at + SELECTOR] = selector;
}

/** An exception or interrupt through a 32-bit gate to the same or an inner level. `checksDpl`: an instruction asked for it;
 *  `errorCode` -1: none (error codes have 16 bits). */
export function deliverQuickly(
  ctx: CpuContext,
  vector: number,
  checksDpl: boolean,
  errorCode: number,
  setsRf: boolean,
): boolean {
  const { state, memory } = ctx;
  const { i32, u32 } = state;
  const system = i32[SYSTEM_FLAGS]!;
  if (!memory.hit || !(i32[CR0_WORD]! & CR0.PE) || system & EFLAGS.VM || isLongMode(ctx)) return false;
  if (vector * 8 + 7 > u32[word(FIELDS.idtLimit)]!) return false;
  const gateAt = quad(memory, (u32[word(FIELDS.idtBase)]! + vector * 8) >>> 0);
  if (gateAt < 0) return false;
  const view = memory.arenaView!;
  const gateLow = view.getInt32(gateAt, true);
  const gateHigh = view.getInt32(gateAt + 4, true);
  const cpl = i32[CPL]!;
  if ((gateHigh & GATE_MASK) !== GATE_32 || (checksDpl && dplOf(gateHigh) < cpl)) return false;

  const selector = gateLow >>> 16;
  const codeAt = descriptorAt(ctx, selector);
  if (codeAt < 0) return false;
  const codeLow = view.getInt32(codeAt, true);
  const codeHigh = view.getInt32(codeAt + 4, true);
  const dpl = dplOf(codeHigh);
  if ((codeHigh & CODE_MASK) !== CODE || dpl > cpl || !isUnlimited(codeLow, codeHigh)) return false;

  const isInner = dpl < cpl;
  const oldSs = SEGMENTS + SS * SEGMENT_WORDS;
  let sp = u32[ESP_WORD]!;
  let base = i32[oldSs + BASE]!;
  let ss = 0;
  let ssLow = 0;
  let ssHigh = i32[oldSs + FLAGS]!;
  if (isInner) {
    const tr = SEGMENTS + TR * SEGMENT_WORDS;
    const trFlags = i32[tr + FLAGS]!;
    if (!(trFlags & DESC.present) || ((trFlags >>> 8) & 13) !== TSS_32 || dpl * 8 + 11 > u32[tr + LIMIT]!) return false;
    const tssAt = quad(memory, (u32[tr + BASE]! + dpl * 8 + 4) >>> 0);
    if (tssAt < 0) return false;
    sp = view.getUint32(tssAt, true);
    ss = view.getUint16(tssAt + 4, true);
    const ssAt = descriptorAt(ctx, ss);
    if (ssAt < 0 || (ss & 3) !== dpl) return false;
    ssLow = view.getInt32(ssAt, true);
    ssHigh = view.getInt32(ssAt + 4, true);
    if ((ssHigh & DATA_MASK) !== DATA || dplOf(ssHigh) !== dpl || !isUnlimited(ssLow, ssHigh)) return false;
    base = baseOf(ssLow, ssHigh);
  } else if (i32[oldSs + WRITE_END] !== -1) return false;
  if (!(ssHigh & DESC.big)) return false;

  const bytes = (isInner ? 20 : 12) + (errorCode < 0 ? 0 : 4);
  const top = sp - bytes;
  const linear = (base + top) >>> 0;
  if (top < 0 || (linear & 0xfff) + bytes > 4096) return false;
  let at = memory.hit(linear, ACCESS.write, isInner);
  if (at < 0) return false;

  if (errorCode >= 0) {
    view.setInt32(at, errorCode, true);
    at += 4;
  }
  const flags = state.getEflags() & ~EFLAGS.RF;
  view.setInt32(at, i32[RIP]!, true);
  view.setInt32(at + 4, i32[SEGMENTS + CS * SEGMENT_WORDS + SELECTOR]!, true);
  view.setInt32(at + 8, setsRf ? flags | EFLAGS.RF : flags, true);
  if (isInner) {
    view.setInt32(at + 12, i32[ESP_WORD]!, true);
    view.setInt32(at + 16, i32[oldSs + SELECTOR]!, true);
    setUnlimited(i32, SS, ss, ssLow, ssHigh);
    i32[CPL] = dpl;
  }
  setUnlimited(i32, CS, (selector & 0xfffc) | dpl, codeLow, codeHigh);
  i32[ESP_WORD] = top;
  i32[ESP_WORD + 1] = 0;
  i32[RIP] = (gateLow & 0xffff) | (gateHigh & 0xffff_0000);
  i32[RIP + 1] = 0;
  const isTrapGate = (gateHigh & 0x100) !== 0;
  i32[SYSTEM_FLAGS] = system & ~(EFLAGS.TF | EFLAGS.VM | EFLAGS.RF | EFLAGS.NT | (isTrapGate ? 0 : EFLAGS.IF));
  i32[word(FIELDS.interruptShadow)] = 0;
  return true;
}

/** IRET with 32-bit operands to the same or an outer level of protected mode. */
export function iretQuickly(ctx: CpuContext): boolean {
  const { state, memory } = ctx;
  const { i32, u32 } = state;
  const system = i32[SYSTEM_FLAGS]!;
  if (!memory.hit || !(i32[CR0_WORD]! & CR0.PE) || system & (EFLAGS.VM | EFLAGS.NT) || isLongMode(ctx)) return false;
  const stack = SEGMENTS + SS * SEGMENT_WORDS;
  if (i32[stack + READ_END] !== -1 || !(i32[stack + FLAGS]! & DESC.big)) return false;
  const sp = u32[ESP_WORD]!;
  const linear = (u32[stack + BASE]! + sp) >>> 0;
  if (sp > 0xffff_ff00 || (linear & 0xfff) + 20 > 4096) return false;
  const at = memory.hit(linear, ACCESS.read, false);
  if (at < 0) return false;
  const view = memory.arenaView!;
  const eip = view.getInt32(at, true);
  const selector = view.getUint16(at + 4, true);
  const image = view.getInt32(at + 8, true);
  const cpl = i32[CPL]!;
  const rpl = selector & 3;
  if (rpl < cpl || (image & EFLAGS.VM && cpl === 0)) return false;
  const codeAt = descriptorAt(ctx, selector);
  if (codeAt < 0) return false;
  const codeLow = view.getInt32(codeAt, true);
  const codeHigh = view.getInt32(codeAt + 4, true);
  if ((codeHigh & CODE_MASK) !== CODE || dplOf(codeHigh) !== rpl || !isUnlimited(codeLow, codeHigh)) return false;

  const mask = changeableFlags(cpl, state.iopl, 4);
  if (rpl === cpl) i32[ESP_WORD] = sp + 12;
  else {
    const ss = view.getUint16(at + 16, true);
    const ssAt = descriptorAt(ctx, ss);
    if (ssAt < 0 || (ss & 3) !== rpl) return false;
    const ssLow = view.getInt32(ssAt, true);
    const ssHigh = view.getInt32(ssAt + 4, true);
    if ((ssHigh & (DATA_MASK | DESC.big)) !== (DATA | DESC.big) || dplOf(ssHigh) !== rpl) return false;
    if (!isUnlimited(ssLow, ssHigh)) return false;
    i32[ESP_WORD] = view.getInt32(at + 12, true);
    setUnlimited(i32, SS, ss, ssLow, ssHigh);
    i32[CPL] = rpl;
    dropInner(i32, ES, rpl);
    dropInner(i32, DS, rpl);
    dropInner(i32, FS, rpl);
    dropInner(i32, GS, rpl);
  }
  i32[ESP_WORD + 1] = 0;
  setUnlimited(i32, CS, selector, codeLow, codeHigh);
  i32[RIP] = eip;
  i32[RIP + 1] = 0;
  let flags = (state.getEflags() & ~mask) | (image & mask);
  // As in far-transfer.ts: RF stays only where instruction breakpoints look at it.
  if ((i32[DR7]! & 0xff) === 0) flags &= ~EFLAGS.RF;
  state.setEflags(flags);
  i32[word(FIELDS.nmiBlocked)] = 0;
  return true;
}

function dropInner(i32: Int32Array, index: number, cpl: number): void {
  const flags = i32[SEGMENTS + index * SEGMENT_WORDS + FLAGS]!;
  const conforming = DESC.s | DESC.code | DESC.expandDown;
  if ((flags & conforming) !== conforming && dplOf(flags) < cpl) setNull(i32, index, 0);
}

/** MOV/POP of a null selector or a plain data segment into ES, DS, FS or GS, or of a stack of this level into SS. */
export function loadSegmentQuickly(ctx: CpuContext, index: number, selector: number): boolean {
  const { state, memory } = ctx;
  const { i32 } = state;
  if (!memory.hit || !(i32[CR0_WORD]! & CR0.PE) || i32[SYSTEM_FLAGS]! & EFLAGS.VM) return false;
  if ((selector & 0xfffc) === 0) {
    if (index === SS) return false;
    setNull(i32, index, selector);
    return true;
  }
  const at = descriptorAt(ctx, selector);
  if (at < 0) return false;
  const view = memory.arenaView!;
  const low = view.getInt32(at, true);
  const high = view.getInt32(at + 4, true);
  if ((high & DATA_MASK) !== DATA || !isUnlimited(low, high)) return false;
  const cpl = i32[CPL]!;
  const dpl = dplOf(high);
  const rpl = selector & 3;
  if (index === SS ? rpl !== cpl || dpl !== cpl : cpl > dpl || rpl > dpl) return false;
  setUnlimited(i32, index, selector, low, high);
  return true;
}
