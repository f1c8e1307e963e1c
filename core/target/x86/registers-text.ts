/** The text of HMP `info registers` (and of `-d cpu`), as QEMU 7.2 prints it. Control and debug registers, FPU and SSE included. */
import { type CpuState, CS, DESC, EFER, EFLAGS, EFLAGS_ARITHMETIC, FIELDS } from './state.ts';

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function hex64(state: CpuState, field: (typeof FIELDS)[keyof typeof FIELDS], index = 0): string {
  return hex(state.high(field, index), 8) + hex(state.low(field, index), 8);
}

const REGISTERS = ['AX', 'BX', 'CX', 'DX', 'SI', 'DI', 'BP', 'SP'];
const REGISTER_NUMBERS = [0, 3, 1, 2, 6, 7, 5, 4];
const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDT', 'TR'];
const SYSTEM_TYPES_LEGACY = [
  'Reserved',
  'TSS16-avl',
  'LDT',
  'TSS16-busy',
  'CallGate16',
  'TaskGate',
  'IntGate16',
  'TrapGate16',
  'Reserved',
  'TSS32-avl',
  'Reserved',
  'TSS32-busy',
  'CallGate32',
  'Reserved',
  'IntGate32',
  'TrapGate32',
];
const SYSTEM_TYPES_LONG = [
  '<hiword>',
  'Reserved',
  'LDT',
  'Reserved',
  'Reserved',
  'Reserved',
  'Reserved',
  'Reserved',
  'Reserved',
  'TSS64-avl',
  'Reserved',
  'TSS64-busy',
  'CallGate64',
  'Reserved',
  'IntGate64',
  'TrapGate64',
];

function segmentLine(state: CpuState, index: number): string {
  const segment = state.segments[index]!;
  const { flags } = segment;
  const isLong = (state.efer & EFER.LMA) !== 0;
  const at = FIELDS.segments.offset + index * FIELDS.segments.stride;
  const is64 = index === CS ? isLong && (flags & DESC.long) !== 0 : isLong;
  const word = (n: number) => hex(state.u32[(at >>> 2) + n]!, 8);
  const base = (is64 ? word(1) : '') + word(0);
  let line = `${SEGMENTS[index]!.padEnd(3)}=${hex(segment.selector, 4)} ${base} ${hex(segment.limit, 8)} ${hex(flags & 0x00ff_ff00, 8)}`;
  if (!state.protectedMode || !(flags & DESC.present)) return line;
  line += ` DPL=${segment.dpl} `;
  if (!(flags & DESC.s)) return line + (isLong ? SYSTEM_TYPES_LONG : SYSTEM_TYPES_LEGACY)[(flags >>> 8) & 15]!;
  if (flags & DESC.code) {
    line += flags & DESC.long ? 'CS64' : flags & DESC.big ? 'CS32' : 'CS16';
    line += ` [${flags & DESC.expandDown ? 'C' : '-'}${flags & DESC.writable ? 'R' : '-'}`;
  } else {
    line += flags & DESC.big || isLong ? 'DS  ' : 'DS16';
    line += ` [${flags & DESC.expandDown ? 'E' : '-'}${flags & DESC.writable ? 'W' : '-'}`;
  }
  return `${line}${flags & DESC.accessed ? 'A' : '-'}]`;
}

function generalLines(state: CpuState, isLong: boolean): string[] {
  if (!isLong) {
    const all = REGISTERS.map((name, i) => `E${name}=${hex(state.reg32(REGISTER_NUMBERS[i]!), 8)}`);
    return [all.slice(0, 4).join(' '), all.slice(4).join(' ')];
  }
  const all = REGISTERS.map((name, i) => `R${name}=${hex64(state, FIELDS.gpr, REGISTER_NUMBERS[i]!)}`);
  for (let i = 8; i < 16; i++) all.push(`${`R${i}`.padEnd(3)}=${hex64(state, FIELDS.gpr, i)}`);
  return [0, 4, 8, 12].map((i) => all.slice(i, i + 4).join(' '));
}

function flagLetters(flags: number): string {
  const letters: [number, string][] = [
    [EFLAGS.DF, 'D'],
    [EFLAGS.OF, 'O'],
    [EFLAGS.SF, 'S'],
    [EFLAGS.ZF, 'Z'],
    [EFLAGS.AF, 'A'],
    [EFLAGS.PF, 'P'],
    [EFLAGS.CF, 'C'],
  ];
  return letters.map(([bit, letter]) => (flags & bit ? letter : '-')).join('');
}

function pairs(items: string[], separator: string): string[] {
  return items.flatMap((item, i) => (i % 2 ? [] : [[item, items[i + 1]].filter(Boolean).join(separator)]));
}

function fpuLines(state: CpuState): string[] {
  const status = state.low(FIELDS.fpuStatus);
  const top = state.low(FIELDS.fpuTop) & 7;
  const fsw = (status & ~0x3800) | (top << 11);
  // Printed as FTW: one bit per register, 1 = in use.
  const tags = ~state.low(FIELDS.fpuEmpty) & 0xff;
  const registers = Array.from({ length: 8 }, (_, i) => {
    const at = (FIELDS.fpr.offset + i * 16) >>> 2;
    return `FPR${i}=${hex(state.u32[at + 1]!, 8)}${hex(state.u32[at]!, 8)} ${hex(state.u32[at + 2]! & 0xffff, 4)}`;
  });
  return [
    `FCW=${hex(state.low(FIELDS.fpuControl), 4)} FSW=${hex(fsw & 0xffff, 4)} [ST=${top}] FTW=${hex(tags, 2)} MXCSR=${hex(state.low(FIELDS.mxcsr), 8)}`,
    ...pairs(registers, ' '),
  ];
}

function vectorLines(state: CpuState, count: number): string[] {
  const registers = Array.from({ length: count }, (_, i) => {
    const at = (FIELDS.xmm.offset + i * 64) >>> 2;
    const word = (n: number) => hex(state.u32[at + n]!, 8);
    return `XMM${String(i).padStart(2, '0')}=${word(3)}${word(2)} ${word(1)}${word(0)}`;
  });
  return pairs(registers, ' ');
}

/** FPU and vector registers, as `-d fpu` shows them. No newline at the end. */
export function fpuText(state: CpuState): string {
  const isLong = (state.efer & EFER.LMA) !== 0 && (state.segments[CS]!.flags & DESC.long) !== 0;
  return [...fpuLines(state), ...vectorLines(state, isLong ? 16 : 8)].join('\n');
}

/** Every line of `info registers`, ending in a newline. */
export function infoRegisters(state: CpuState): string {
  const isLong = (state.efer & EFER.LMA) !== 0 && (state.segments[CS]!.flags & DESC.long) !== 0;
  const lines = [...systemLines(state), efer(state), ...fpuLines(state), ...vectorLines(state, isLong ? 16 : 8)];
  return `${lines.join('\n')}\n`;
}

/** What `-d int` and `-d cpu_reset` show of a CPU: no FPU, but the condition codes' state. No newline at the end.
 *  `eip`: the instruction that is the cause, where EIP has moved on already. */
export function logRegisters(state: CpuState, eip = state.eip): string {
  const flags = hex(state.getEflags() & EFLAGS_ARITHMETIC, 8);
  return [...systemLines(state, eip), `CCS=00000000 CCD=${flags} CCO=EFLAGS`, efer(state)].join('\n');
}

function efer(state: CpuState): string {
  return `EFER=${hex64(state, FIELDS.efer)}`;
}

/** Everything up to the debug registers. */
function systemLines(state: CpuState, eip = state.eip): string[] {
  const isLong = (state.efer & EFER.LMA) !== 0 && (state.segments[CS]!.flags & DESC.long) !== 0;
  const wide = (state.efer & EFER.LMA) !== 0;
  const flags = state.getEflags();
  const address = (low: number, high: number) => (wide ? hex(high, 8) : '') + hex(low, 8);
  const ip = isLong ? `RIP=${hex64(state, FIELDS.rip)}` : `EIP=${hex(eip, 8)}`;
  const cr = (name: string, field: typeof FIELDS.cr2) => `${name}=${address(state.low(field), state.high(field))}`;
  const dr = [0, 1, 2, 3].map((i) => `DR${i}=${hex64(state, FIELDS.dr, i)} `).join('');
  const inhibit = state.interruptShadow ? 1 : 0;
  return [
    ...generalLines(state, isLong),
    `${ip} ${isLong ? 'RFL' : 'EFL'}=${hex(flags, 8)} [${flagLetters(flags)}] CPL=${state.cpl} II=${inhibit} ` +
      `A20=${(state.a20Mask >>> 20) & 1} SMM=${state.inSmm ? 1 : 0} HLT=${state.halted ? 1 : 0}`,
    ...SEGMENTS.map((_, index) => segmentLine(state, index)),
    `GDT=     ${address(state.low(FIELDS.gdtBase), state.high(FIELDS.gdtBase))} ${hex(state.gdtLimit, 8)}`,
    `IDT=     ${address(state.low(FIELDS.idtBase), state.high(FIELDS.idtBase))} ${hex(state.idtLimit, 8)}`,
    `CR0=${hex(state.cr0, 8)} ${cr('CR2', FIELDS.cr2)} ${cr('CR3', FIELDS.cr3)} CR4=${hex(state.cr4, 8)}`,
    dr,
    `DR6=${hex64(state, FIELDS.dr, 6)} DR7=${hex64(state, FIELDS.dr, 7)}`,
  ];
}
