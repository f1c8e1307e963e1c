/** What `-d exec`, `cpu` and `fpu` print in front of a block of code, in QEMU 7.2's format. */
import { fpuText, logRegisters } from './registers-text.ts';
import { type CpuState, CR0, CR4, CS, DESC, DS, EFLAGS, ES, SS } from './state.ts';

/** Where QEMU's hflags have what is not a bit of EFLAGS (target/i386/cpu.h). CPL is in the lowest two bits. */
const HF = {
  inhibitIrq: 3,
  code32: 4,
  stack32: 5,
  addSegment: 6,
  protectedMode: 7,
  mathPresent: 9,
  emulation: 10,
  taskSwitched: 11,
  smm: 19,
  sse: 22,
} as const;
const EFLAGS_SHOWN = EFLAGS.TF | EFLAGS.IOPL | EFLAGS.RF | EFLAGS.VM | EFLAGS.AC;

/** The word that QEMU files translated code under. */
export function blockFlags(state: CpuState): number {
  const { segments, cr0 } = state;
  const isCode32 = (segments[CS]!.flags & DESC.big) !== 0;
  const bit = (isSet: boolean, shift: number) => (isSet ? 1 << shift : 0);
  const hasBase = [DS, ES, SS].some((index) => segments[index]!.base !== 0);
  return (
    (state.cpl |
      bit(state.interruptShadow, HF.inhibitIrq) |
      bit(isCode32, HF.code32) |
      bit((segments[SS]!.flags & DESC.big) !== 0, HF.stack32) |
      bit(!state.protectedMode || state.vm86 || !isCode32 || hasBase, HF.addSegment) |
      bit(state.protectedMode, HF.protectedMode) |
      bit((cr0 & CR0.MP) !== 0, HF.mathPresent) |
      bit((cr0 & CR0.EM) !== 0, HF.emulation) |
      bit((cr0 & CR0.TS) !== 0, HF.taskSwitched) |
      bit(state.inSmm, HF.smm) |
      bit((state.cr4 & CR4.OSFXSR) !== 0, HF.sse) |
      (state.getEflags() & EFLAGS_SHOWN)) >>>
    0
  );
}

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, '0');

/** The line of `-d exec`. `record`: where the block's records are. */
export function execText(state: CpuState, record: number, isUnchained: boolean): string {
  const base = state.segments[CS]!.base >>> 0;
  const pc = (base + state.eip) >>> 0;
  // CF_CLUSTER_MASK of the only cluster, CF_NO_GOTO_TB.
  const compileFlags = isUnchained ? 'ff000200' : 'ff000000';
  return `Trace 0: 0x${hex(record, 12)} [${hex(base, 16)}/${hex(pc, 16)}/${hex(blockFlags(state), 8)}/${compileFlags}] `;
}
/** The lines of `-d cpu`, with those of `-d fpu`. */
export function cpuText(state: CpuState, withFpu: boolean): string {
  return withFpu ? `${logRegisters(state)}\n${fpuText(state)}` : logRegisters(state);
}
