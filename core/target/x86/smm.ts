/** System management mode: entry, RSM and the save area in AMD64's layout (AMD APM volume 2, table 10-1), revision 0x20064:
 *  SMBASE can be moved. Not modelled: I/O instruction restart. */
import { logCr0, logCr3 } from './control-registers.ts';
import { raise, VECTOR } from './fault.ts';
import { logRegisters } from './registers-text.ts';
import { CR0, CS, DESC, EFLAGS, FIELDS, LDTR, linearAddress, type StateField, TR } from './state.ts';
import type { CpuContext } from './system-ops.ts';

/** Revision word of the save area: 64-bit layout, SMBASE relocation. */
export const SMM_REVISION = 0x0002_0064;
/** Offsets from SMBASE + 0x8000. */
const SAVE = {
  segments: 0x7e00, // ES CS SS DS FS GS
  gdtLimit: 0x7e64,
  gdtBase: 0x7e68,
  ldt: 0x7e70,
  idtLimit: 0x7e84,
  idtBase: 0x7e88,
  tr: 0x7e90,
  autoHalt: 0x7ec9,
  efer: 0x7ed0,
  revision: 0x7efc,
  smbase: 0x7f00,
  cr4: 0x7f48,
  cr3: 0x7f50,
  cr0: 0x7f58,
  dr7: 0x7f60,
  dr6: 0x7f68,
  rflags: 0x7f70,
  rip: 0x7f78,
  rax: 0x7ff8, // the others below it, in encoding order
} as const;

/** `inSmm`: bit 0, and whether NMIs were already blocked when SMM began. */
const INSIDE_NMI = 2;

/** Limit 4 GiB, writable, present: what all segments are in SMM. */
const SMM_SEGMENT = DESC.granularity | DESC.present | DESC.s | DESC.writable | DESC.accessed;

class SaveArea {
  private readonly ctx: CpuContext;
  private readonly base: number;
  constructor(ctx: CpuContext) {
    this.ctx = ctx;
    this.base = (ctx.state.smbase + 0x8000) >>> 0;
  }
  read(offset: number, size: 1 | 2 | 4): number {
    return this.ctx.memory.readPhysical((this.base + offset) >>> 0, size);
  }
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    this.ctx.memory.writePhysical((this.base + offset) >>> 0, size, value >>> 0);
  }
  saveField(offset: number, field: StateField, index = 0): void {
    this.write(offset, 4, this.ctx.state.low(field, index));
    this.write(offset + 4, 4, this.ctx.state.high(field, index));
  }
  loadField(offset: number, field: StateField, index = 0): void {
    this.ctx.state.setParts(field, this.read(offset, 4), this.read(offset + 4, 4), index);
  }
  saveSegment(offset: number, index: number): void {
    const segment = this.ctx.state.segments[index]!;
    this.write(offset, 2, segment.selector);
    this.write(offset + 2, 2, (segment.flags >>> 8) & 0xf0ff);
    this.write(offset + 4, 4, segment.limit);
    this.write(offset + 8, 4, segment.base);
    this.write(offset + 12, 4, Math.floor(segment.base / 2 ** 32));
  }
  loadSegment(offset: number, index: number): void {
    const flags = (this.read(offset + 2, 2) & 0xf0ff) << 8;
    this.ctx.state.segments[index]!.set(
      this.read(offset, 2),
      linearAddress(this.read(offset + 8, 4), this.read(offset + 12, 4)),
      this.read(offset + 4, 4),
      flags,
    );
  }
}

/** Enters SMM between instructions. */
export function enterSmm(ctx: CpuContext): void {
  const { state, bus } = ctx;
  const wasHalted = state.halted;
  bus.log('int', () => `SMM: enter\n${logRegisters(state)}`);
  state.set(FIELDS.inSmm, state.nmiBlocked ? 1 | INSIDE_NMI : 1);
  state.nmiBlocked = true;
  state.halted = false;
  state.set(FIELDS.smiCount, state.low(FIELDS.smiCount) + 1);
  bus.smiAcknowledged?.(true); // the save area lies in SMRAM
  ctx.flushTlb();

  const area = new SaveArea(ctx);
  for (let i = 0; i < 6; i++) area.saveSegment(SAVE.segments + i * 16, i);
  area.saveSegment(SAVE.ldt, LDTR);
  area.saveSegment(SAVE.tr, TR);
  area.saveField(SAVE.gdtBase, FIELDS.gdtBase);
  area.write(SAVE.gdtLimit, 4, state.gdtLimit);
  area.saveField(SAVE.idtBase, FIELDS.idtBase);
  area.write(SAVE.idtLimit, 4, state.idtLimit);
  area.write(SAVE.autoHalt, 1, wasHalted ? 1 : 0);
  area.saveField(SAVE.efer, FIELDS.efer);
  for (let i = 0; i < 16; i++) area.saveField(SAVE.rax - i * 8, FIELDS.gpr, i);
  area.saveField(SAVE.rip, FIELDS.rip);
  area.write(SAVE.rflags, 4, state.getEflags());
  area.saveField(SAVE.dr6, FIELDS.dr, 6);
  area.saveField(SAVE.dr7, FIELDS.dr, 7);
  area.write(SAVE.cr4, 4, state.cr4);
  area.saveField(SAVE.cr3, FIELDS.cr3);
  area.write(SAVE.cr0, 4, state.cr0);
  area.write(SAVE.revision, 4, SMM_REVISION);
  area.write(SAVE.smbase, 4, state.smbase);

  state.set(FIELDS.efer, 0);
  state.setEflags(2);
  state.eip = 0x8000;
  state.cr0 = (state.cr0 & ~(CR0.PE | CR0.EM | CR0.TS | CR0.PG)) >>> 0;
  logCr0(ctx, state.cr0);
  state.cr4 = 0;
  state.cpl = 0;
  state.interruptShadow = false;
  state.set(FIELDS.dr, 0x400, 7);
  for (let i = 0; i < 6; i++)
    if (i === CS) state.segments[i]!.set(state.smbase >>> 4, state.smbase, 0xffff_ffff, SMM_SEGMENT);
    else state.segments[i]!.set(0, 0, 0xffff_ffff, SMM_SEGMENT);
  ctx.activity.modeSwitches++;
}

/** RSM: back to where the SMI came; #UD outside of SMM. */
export function rsm(ctx: CpuContext): void {
  const { state, bus } = ctx;
  if (!state.inSmm) raise(state, VECTOR.UD);
  const area = new SaveArea(ctx);
  area.loadField(SAVE.efer, FIELDS.efer);
  area.loadField(SAVE.gdtBase, FIELDS.gdtBase);
  state.set(FIELDS.gdtLimit, area.read(SAVE.gdtLimit, 4));
  area.loadField(SAVE.idtBase, FIELDS.idtBase);
  state.set(FIELDS.idtLimit, area.read(SAVE.idtLimit, 4));
  for (let i = 0; i < 16; i++) area.loadField(SAVE.rax - i * 8, FIELDS.gpr, i);
  area.loadField(SAVE.rip, FIELDS.rip);
  state.setEflags(area.read(SAVE.rflags, 4));
  area.loadField(SAVE.dr6, FIELDS.dr, 6);
  area.loadField(SAVE.dr7, FIELDS.dr, 7);
  state.cr4 = area.read(SAVE.cr4, 4);
  area.loadField(SAVE.cr3, FIELDS.cr3);
  logCr3(ctx);
  state.cr0 = area.read(SAVE.cr0, 4);
  logCr0(ctx, state.cr0);
  for (let i = 0; i < 6; i++) area.loadSegment(SAVE.segments + i * 16, i);
  area.loadSegment(SAVE.ldt, LDTR);
  area.loadSegment(SAVE.tr, TR);
  state.cpl = !state.protectedMode ? 0 : state.getEflags() & EFLAGS.VM ? 3 : state.segments[CS]!.selector & 3;
  state.halted = (area.read(SAVE.autoHalt, 1) & 1) !== 0;
  const smbase = area.read(SAVE.smbase, 4);
  state.nmiBlocked = (state.low(FIELDS.inSmm) & INSIDE_NMI) !== 0;
  state.inSmm = false;
  state.smbase = smbase;
  bus.log('int', () => `SMM: after RSM\n${logRegisters(state)}`);
  bus.smiAcknowledged?.(false);
  ctx.flushTlb();
  ctx.activity.modeSwitches++;
}
