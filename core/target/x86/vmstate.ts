/** Sections `cpu` (version 12) and `cpu_common` of a saved machine, under QEMU 7.2's names: captured from and restored to the
 *  state in linear memory. The TSC offset travels in `env.tsc`, which QEMU's TCG does not use. Fields of nested
 *  virtualisation and KVM's paravirtual clock are always as after reset. */
import {
  array,
  big64,
  type FieldKind,
  i32,
  type StateOf,
  type Subsection,
  struct,
  u8,
  u16,
  u32,
  u64,
  vmstate,
} from '../../vmstate/fields.ts';
import { type CpuState, CR0, CS, DESC, DS, EFLAGS, ES, FIELDS, LDTR, SS, type StateField, TR } from './state.ts';

/** One x87 register: mantissa and sign with exponent, which QEMU saves through a temporary. */
interface FpuRegister {
  mantissa: bigint;
  exponent: number;
}
const fpuRegister: FieldKind<FpuRegister> = {
  kind: 'tmp',
  size: 10,
  initial: () => ({ mantissa: 0n, exponent: 0 }),
  save(writer, value) {
    writer.big64(value.mantissa);
    writer.u16(value.exponent);
  },
  load: (reader) => ({ mantissa: reader.big64(), exponent: reader.u16() }),
};

const SEGMENT_STATE = vmstate('segment', 1, { selector: u32(), base: big64(), limit: u32(), flags: u32() });
const FPREG_STATE = vmstate('fpreg', 0, { tmp: fpuRegister });
const XMM_STATE = vmstate('xmm_reg', 1, { '_q_ZMMReg[0]': big64(), '_q_ZMMReg[1]': big64() });
const YMMH_STATE = vmstate('ymmh_reg', 1, { '_q_ZMMReg[2]': big64(), '_q_ZMMReg[3]': big64() });
const MTRR_STATE = vmstate('mtrr_var', 1, { base: big64(), mask: big64() });

const SMI_COUNT = vmstate('cpu/msr_smi_count', 1, { 'env.msr_smi_count': big64() });
const POLL_CONTROL = vmstate('cpu/poll_control_msr', 1, { 'env.poll_control_msr': big64() });

type SavedCpu = StateOf<typeof FIELDS_OF_CPU> & { 'env.msr_smi_count': bigint; 'env.poll_control_msr': bigint };

const SUBSECTIONS: readonly Subsection[] = [
  { description: POLL_CONTROL, needed: () => true, state: (owner) => owner as Record<string, unknown> },
  {
    description: SMI_COUNT,
    needed: (owner) => (owner as SavedCpu)['env.msr_smi_count'] !== 0n,
    state: (owner) => owner as Record<string, unknown>,
  },
];

const FIELDS_OF_CPU = {
  'env.regs': array(16, big64()),
  'env.eip': big64(),
  'env.eflags': big64(),
  'env.hflags': u32(),
  'env.fpuc': u16(),
  'env.fpus_vmstate': u16(),
  'env.fptag_vmstate': u16(),
  'env.fpregs_format_vmstate': u16(),
  'env.fpregs': array(8, struct(FPREG_STATE)),
  'env.segs': array(6, struct(SEGMENT_STATE)),
  'env.ldt': struct(SEGMENT_STATE),
  'env.tr': struct(SEGMENT_STATE),
  'env.gdt': struct(SEGMENT_STATE),
  'env.idt': struct(SEGMENT_STATE),
  'env.sysenter_cs': u32(),
  'env.sysenter_esp': big64(),
  'env.sysenter_eip': big64(),
  'env.cr[0]': big64(),
  'env.cr[2]': big64(),
  'env.cr[3]': big64(),
  'env.cr[4]': big64(),
  'env.dr': array(8, big64()),
  'env.a20_mask': i32(-1),
  'env.mxcsr': u32(),
  'env.xmm_regs[0]': array(16, struct(XMM_STATE)),
  'env.efer': big64(),
  'env.star': big64(),
  'env.lstar': big64(),
  'env.cstar': big64(),
  'env.fmask': big64(),
  'env.kernelgsbase': big64(),
  'env.smbase': u32(),
  'env.pat': big64(),
  'env.hflags2': u32(),
  'env.vm_hsave': u64(),
  'env.vm_vmcb': u64(),
  'env.tsc_offset': u64(),
  'env.intercept': u64(),
  'env.intercept_cr_read': u16(),
  'env.intercept_cr_write': u16(),
  'env.intercept_dr_read': u16(),
  'env.intercept_dr_write': u16(),
  'env.intercept_exceptions': u32(),
  'env.v_tpr': u8(),
  'env.mtrr_fixed': array(11, big64()),
  'env.mtrr_deftype': big64(),
  'env.mtrr_var': array(8, struct(MTRR_STATE)),
  'env.interrupt_injected': i32(-1),
  'env.mp_state': u32(),
  'env.tsc': big64(),
  'env.exception_nr': i32(-1),
  'env.soft_interrupt': u8(),
  'env.nmi_injected': u8(),
  'env.nmi_pending': u8(),
  'env.has_error_code': u8(),
  'env.sipi_vector': u32(),
  'env.mcg_cap': big64(),
  'env.mcg_status': big64(),
  'env.mcg_ctl': big64(),
  'env.mce_banks': array(40, big64()),
  'env.tsc_aux': big64(),
  'env.system_time_msr': u64(),
  'env.wall_clock_msr': u64(),
  'env.xcr0': big64(),
  'env.xstate_bv': u64(),
  'env.xmm_regs[1]': array(16, struct(YMMH_STATE)),
};

/** The architectural state of one CPU. */
export const CPU_VMSTATE = vmstate('cpu', 12, FIELDS_OF_CPU, { minimumVersion: 11, subsections: SUBSECTIONS });

/** What every CPU has whatever its architecture. */
export const CPU_COMMON_VMSTATE = vmstate('cpu_common', 1, { halted: u32(), interrupt_request: u32() });

/** Requests that are pending at the CPU. */
export interface PendingRequests {
  readonly irq: boolean;
  readonly smi: boolean;
  readonly nmi: boolean;
  readonly init: boolean;
}
/** Bits of `interrupt_request`. */
const REQUEST = { irq: 0x2, smi: 0x40, nmi: 0x200, init: 0x400 } as const;

export function captureCommon(
  state: CpuState,
  pending: PendingRequests,
): StateOf<(typeof CPU_COMMON_VMSTATE)['fields']> {
  let request = 0;
  for (const name of ['irq', 'smi', 'nmi', 'init'] as const) if (pending[name]) request |= REQUEST[name];
  return { halted: state.halted ? 1 : 0, interrupt_request: request };
}

export function restoreCommon(state: CpuState, saved: StateOf<(typeof CPU_COMMON_VMSTATE)['fields']>): PendingRequests {
  state.halted = saved.halted !== 0;
  const has = (bit: number) => (saved.interrupt_request & bit) !== 0;
  return { irq: has(REQUEST.irq), smi: has(REQUEST.smi), nmi: has(REQUEST.nmi), init: has(REQUEST.init) };
}

/** QEMU's hidden flags: derived, but part of the section. */
const HFLAGS = {
  inhibitIrq: 1 << 3,
  cs32: 1 << 4,
  ss32: 1 << 5,
  addSegments: 1 << 6,
  pe: 1 << 7,
  lma: 1 << 14,
  cs64: 1 << 15,
  smm: 1 << 19,
} as const;
const HFLAGS_FROM_EFLAGS = EFLAGS.TF | EFLAGS.IOPL | EFLAGS.VM;
const HFLAGS2 = { globalInterrupts: (1 << 0) | (1 << 8), nmiBlocked: 1 << 2, smmInsideNmi: 1 << 4 } as const;

function hflagsOf(state: CpuState): number {
  const { segments } = state;
  let flags = state.cpl | (state.eflagsSystem & HFLAGS_FROM_EFLAGS);
  flags |= (state.cr0 & (CR0.MP | CR0.EM | CR0.TS)) << 8;
  const is32 = (segments[CS]!.flags & DESC.big) !== 0;
  if (is32) flags |= HFLAGS.cs32;
  if (segments[SS]!.flags & DESC.big) flags |= HFLAGS.ss32;
  if (state.protectedMode) flags |= HFLAGS.pe;
  const hasBases = [DS, ES, SS].some((index) => segments[index]!.base !== 0);
  if (state.longMode) flags |= HFLAGS.lma;
  if (state.code64) flags |= HFLAGS.cs32 | HFLAGS.ss32 | HFLAGS.cs64;
  else if (!state.protectedMode || state.vm86 || !is32 || hasBases) flags |= HFLAGS.addSegments;
  if (state.interruptShadow) flags |= HFLAGS.inhibitIrq;
  if (state.inSmm) flags |= HFLAGS.smm;
  return flags >>> 0;
}

function get64(state: CpuState, field: StateField, index = 0): bigint {
  return (BigInt(state.high(field, index)) << 32n) | BigInt(state.low(field, index));
}
function set64(state: CpuState, field: StateField, value: bigint, index = 0): void {
  state.setParts(field, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn), index);
}

/** 64-bit fields that are saved as they stand. */
const WIDE = [
  ['env.eip', FIELDS.rip],
  ['env.sysenter_esp', FIELDS.sysenterEsp],
  ['env.sysenter_eip', FIELDS.sysenterEip],
  ['env.cr[2]', FIELDS.cr2],
  ['env.cr[3]', FIELDS.cr3],
  ['env.efer', FIELDS.efer],
  ['env.star', FIELDS.star],
  ['env.lstar', FIELDS.lstar],
  ['env.cstar', FIELDS.cstar],
  ['env.fmask', FIELDS.fmask],
  ['env.kernelgsbase', FIELDS.kernelGsBase],
  ['env.pat', FIELDS.pat],
  ['env.mtrr_deftype', FIELDS.mtrrDefType],
  ['env.tsc', FIELDS.tscOffset],
  ['env.mcg_status', FIELDS.mcgStatus],
  ['env.mcg_ctl', FIELDS.mcgCtl],
  ['env.tsc_aux', FIELDS.tscAux],
  ['env.xcr0', FIELDS.xcr0],
] as const;

/** Arrays of 64-bit fields. */
const WIDE_ARRAYS = [
  ['env.regs', FIELDS.gpr],
  ['env.dr', FIELDS.dr],
  ['env.mtrr_fixed', FIELDS.mtrrFixed],
  ['env.mce_banks', FIELDS.mcBanks],
] as const;

/** Eight bytes of a vector register. */
function xmmQuad(index: number, quad: number): StateField {
  return { kind: 'u64', offset: FIELDS.xmm.offset + index * 64 + quad * 8, count: 1, stride: 8 };
}
function fprMantissa(index: number): StateField {
  return { kind: 'u64', offset: FIELDS.fpr.offset + index * 16, count: 1, stride: 8 };
}

/** Copies the CPU into a saved state. `mcgCap`: what MSR MCG_CAP reads as. */
export function captureCpu(state: CpuState, mcgCap: number): SavedCpu {
  const saved = { ...CPU_VMSTATE.create(), 'env.msr_smi_count': 0n, 'env.poll_control_msr': 0n } as SavedCpu;
  for (const [name, field] of WIDE) saved[name] = get64(state, field);
  for (const [name, field] of WIDE_ARRAYS) saved[name] = saved[name].map((_, i) => get64(state, field, i));
  saved['env.eflags'] = BigInt(state.getEflags() >>> 0);
  saved['env.hflags'] = hflagsOf(state);
  saved['env.hflags2'] =
    HFLAGS2.globalInterrupts |
    (state.nmiBlocked ? HFLAGS2.nmiBlocked : 0) |
    (state.low(FIELDS.inSmm) & 2 ? HFLAGS2.smmInsideNmi : 0);
  const status = state.low(FIELDS.fpuStatus) & ~0x3800;
  saved['env.fpuc'] = state.low(FIELDS.fpuControl);
  saved['env.fpus_vmstate'] = (status | ((state.low(FIELDS.fpuTop) & 7) << 11)) & 0xffff;
  saved['env.fptag_vmstate'] = ~state.low(FIELDS.fpuEmpty) & 0xff;
  for (let i = 0; i < 8; i++)
    saved['env.fpregs'][i]!.tmp = {
      mantissa: get64(state, fprMantissa(i)),
      exponent: state.u32[(FIELDS.fpr.offset + i * 16 + 8) >>> 2]! & 0xffff,
    };
  for (let i = 0; i < 16; i++) {
    saved['env.xmm_regs[0]'][i] = {
      '_q_ZMMReg[0]': get64(state, xmmQuad(i, 0)),
      '_q_ZMMReg[1]': get64(state, xmmQuad(i, 1)),
    };
    saved['env.xmm_regs[1]'][i] = {
      '_q_ZMMReg[2]': get64(state, xmmQuad(i, 2)),
      '_q_ZMMReg[3]': get64(state, xmmQuad(i, 3)),
    };
  }
  const segment = (index: number) => {
    const { selector, limit, flags } = state.segments[index]!;
    const base = get64(state, { ...FIELDS.segments, offset: FIELDS.segments.offset + index * FIELDS.segments.stride });
    return { selector, base, limit, flags: flags & 0x00ff_ff00 };
  };
  for (let i = 0; i < 6; i++) saved['env.segs'][i] = segment(i);
  saved['env.ldt'] = segment(LDTR);
  saved['env.tr'] = segment(TR);
  saved['env.gdt'] = { selector: 0, base: get64(state, FIELDS.gdtBase), limit: state.gdtLimit, flags: 0 };
  saved['env.idt'] = { selector: 0, base: get64(state, FIELDS.idtBase), limit: state.idtLimit, flags: 0 };
  saved['env.sysenter_cs'] = state.low(FIELDS.sysenterCs);
  saved['env.cr[0]'] = BigInt(state.cr0);
  saved['env.cr[4]'] = BigInt(state.cr4);
  saved['env.a20_mask'] = state.a20Mask | 0;
  saved['env.mxcsr'] = state.low(FIELDS.mxcsr);
  saved['env.smbase'] = state.smbase;
  for (let i = 0; i < 8; i++)
    saved['env.mtrr_var'][i] = {
      base: get64(state, FIELDS.mtrrPhysBase, i),
      mask: get64(state, FIELDS.mtrrPhysMask, i),
    };
  saved['env.nmi_pending'] = state.low(FIELDS.nmiPending) ? 1 : 0;
  saved['env.mcg_cap'] = BigInt(mcgCap);
  saved['env.msr_smi_count'] = BigInt(state.low(FIELDS.smiCount));
  return saved;
}

/** An empty saved state to load a section into. */
export function emptySavedCpu(): SavedCpu {
  return { ...CPU_VMSTATE.create(), 'env.msr_smi_count': 0n, 'env.poll_control_msr': 0n } as SavedCpu;
}

/** Puts a saved state into the CPU. The engine flushes its TLB and recomputes its mode afterwards. */
export function restoreCpu(state: CpuState, saved: SavedCpu): void {
  for (const [name, field] of WIDE) set64(state, field, saved[name]);
  for (const [name, field] of WIDE_ARRAYS)
    for (const [i, value] of saved[name].entries()) set64(state, field, value, i);
  state.setEflags(Number(saved['env.eflags'] & 0xffff_ffffn));
  const hflags = saved['env.hflags'];
  const hflags2 = saved['env.hflags2'];
  state.interruptShadow = (hflags & HFLAGS.inhibitIrq) !== 0;
  state.set(FIELDS.inSmm, hflags & HFLAGS.smm ? 1 | (hflags2 & HFLAGS2.smmInsideNmi ? 2 : 0) : 0);
  state.nmiBlocked = (hflags2 & HFLAGS2.nmiBlocked) !== 0;
  state.set(FIELDS.fpuControl, saved['env.fpuc']);
  state.set(FIELDS.fpuStatus, saved['env.fpus_vmstate'] & ~0x3800);
  state.set(FIELDS.fpuTop, (saved['env.fpus_vmstate'] >>> 11) & 7);
  state.set(FIELDS.fpuEmpty, ~saved['env.fptag_vmstate'] & 0xff);
  for (const [i, { tmp }] of saved['env.fpregs'].entries()) {
    set64(state, fprMantissa(i), tmp.mantissa);
    state.u32[(FIELDS.fpr.offset + i * 16 + 8) >>> 2] = tmp.exponent;
  }
  for (const [i, quads] of saved['env.xmm_regs[0]'].entries()) {
    set64(state, xmmQuad(i, 0), quads['_q_ZMMReg[0]']);
    set64(state, xmmQuad(i, 1), quads['_q_ZMMReg[1]']);
  }
  for (const [i, quads] of saved['env.xmm_regs[1]'].entries()) {
    set64(state, xmmQuad(i, 2), quads['_q_ZMMReg[2]']);
    set64(state, xmmQuad(i, 3), quads['_q_ZMMReg[3]']);
  }
  const all = [...saved['env.segs'], saved['env.ldt'], saved['env.tr']];
  for (const [index, { selector, base, limit, flags }] of all.entries())
    state.segments[index]!.set(selector, Number(BigInt.asIntN(64, base)), limit, flags);
  set64(state, FIELDS.gdtBase, saved['env.gdt'].base);
  state.set(FIELDS.gdtLimit, saved['env.gdt'].limit);
  set64(state, FIELDS.idtBase, saved['env.idt'].base);
  state.set(FIELDS.idtLimit, saved['env.idt'].limit);
  state.set(FIELDS.sysenterCs, saved['env.sysenter_cs']);
  state.cr0 = (Number(saved['env.cr[0]'] & 0xffff_ffffn) | CR0.ET) >>> 0;
  state.cr4 = Number(saved['env.cr[4]'] & 0xffff_ffffn);
  state.a20Mask = saved['env.a20_mask'] >>> 0;
  state.mxcsr = saved['env.mxcsr'];
  state.smbase = saved['env.smbase'];
  for (const [i, { base, mask }] of saved['env.mtrr_var'].entries()) {
    set64(state, FIELDS.mtrrPhysBase, base, i);
    set64(state, FIELDS.mtrrPhysMask, mask, i);
  }
  state.set(FIELDS.nmiPending, saved['env.nmi_pending']);
  state.set(FIELDS.smiCount, Number(saved['env.msr_smi_count'] & 0xffff_ffffn));
  // As QEMU does: the privilege level is that of the stack segment.
  state.cpl = !state.protectedMode ? 0 : state.vm86 ? 3 : state.segments[SS]!.dpl;
  state.set(FIELDS.exceptionVector, 0xffff_ffff);
}
