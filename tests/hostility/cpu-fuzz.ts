/** Random bytes as code, with random registers, descriptor tables, gates, task states and page tables, in every mode that the
 *  CPU has. Whatever the guest does, it may only fault, halt, shut down or run out of budget. */
import { type BareMachine, bareMachine } from '../../core/accel/tcg/testing.ts';
import { CR0, CS, DESC, EFLAGS, FIELDS, LDTR, SS, TR } from '../../core/target/x86/state.ts';
import { Finding, Random } from './random.ts';

const RAM_BYTES = 1 << 20;
/** Where the code is. */
export const CODE = 0x40000;
export const CODE_BYTES = 0x4000;
const GDT = 0x10000;
const GDT_ENTRIES = 32;
const IDT = 0x11000;
const TSS = 0x12000;
const PAGES = 0x20000;
const PAGE_TABLES = 16;
const BUDGET = 3000;
/** Longest stay in the CPU for that budget. */
const RUN_MS = 3000;

export const MODES = ['real', 'unreal', 'flat', 'protected', 'paged', 'vm86', 'user'] as const;
type Mode = (typeof MODES)[number];

/** First bytes that lead somewhere: far transfers, system instructions, strings, prefixes. */
const NOTABLE = [
  ...[
    0x26, 0x2e, 0x36, 0x64, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x06, 0x07, 0x0f, 0x0f, 0x0f, 0x17, 0x1f, 0x60, 0x61, 0x62,
    0x63,
  ],
  ...[
    0x6c, 0x6e, 0x8c, 0x8e, 0x8f, 0x9a, 0x9c, 0x9d, 0xa4, 0xa6, 0xaa, 0xac, 0xae, 0xc4, 0xc8, 0xc9, 0xca, 0xcb, 0xcc,
    0xcd,
  ],
  ...[
    0xce, 0xcf, 0xd4, 0xe3, 0xe4, 0xe8, 0xe9, 0xea, 0xeb, 0xec, 0xee, 0xf1, 0xf4, 0xf6, 0xf7, 0xfa, 0xfb, 0xfe, 0xff,
    0xff,
  ],
] as const;
const NOTABLE_0F = [
  0, 0, 1, 1, 2, 3, 6, 8, 9, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x34, 0x35, 0x80, 0x8f, 0xa0, 0xa1, 0xa2, 0xa3,
  0xaa, 0xab, 0xae, 0xb0, 0xb2, 0xba, 0xc7,
] as const;

export function fillCode(random: Random, code: Uint8Array): void {
  let at = 0;
  while (at < code.length) {
    if (random.chance(0.08)) code[at++] = random.pick([0x66, 0x67, 0xf3, 0x2e, 0x64]);
    const first = random.chance(0.3) ? random.pick(NOTABLE) : random.below(256);
    code[at++] = first;
    if (first === 0x0f) code[at++] = random.chance(0.6) ? random.pick(NOTABLE_0F) : random.below(256);
    for (let rest = random.below(7); rest > 0; rest--) code[at++] = random.chance(0.3) ? 0 : random.below(256);
  }
}

export function fillTables(random: Random, view: DataView): void {
  for (let i = 0; i < GDT_ENTRIES; i++) {
    const base = random.pick([0, 0, CODE, 0x1000, RAM_BYTES - 16, TSS, random.u32()]);
    const limit = random.pick([0xfffff, 0xfffff, 0xffff, 0, 0x67, random.below(1 << 20)]);
    const type = random.pick([
      0x9a,
      0x9b,
      0x92,
      0x93,
      0x9e,
      0xfa,
      0xf2,
      0x96,
      0x89,
      0x8b,
      0x81,
      0x82,
      0x85,
      0x8c,
      0x84,
      0xe4,
      0xec,
      random.below(256),
    ]);
    const isGate = (type & 0x1f) === 0x0c || (type & 0x1f) === 0x04 || (type & 0x1f) === 0x05;
    const at = GDT + i * 8;
    if (isGate) {
      const offset = CODE + random.below(CODE_BYTES);
      view.setUint32(at, (random.below(GDT_ENTRIES) << 19) | (offset & 0xffff), true);
      view.setUint32(at + 4, (offset & 0xffff_0000) | (type << 8) | random.below(32), true);
    } else {
      view.setUint32(at, ((base & 0xffff) << 16) | (limit & 0xffff), true);
      const flags = random.pick([0xc, 0xc, 4, 0, 8, random.below(16)]);
      view.setUint32(
        at + 4,
        (base & 0xff00_0000) | (flags << 20) | (limit & 0xf_0000) | (type << 8) | ((base >>> 16) & 0xff),
        true,
      );
    }
  }
  for (let i = 0; i < 256; i++) {
    const offset = CODE + random.below(CODE_BYTES);
    const type = random.pick([0x8e, 0x8f, 0x86, 0x87, 0xee, 0x85, random.below(256)]);
    view.setUint32(
      IDT + i * 8,
      (random.pick([8, 8, 24, random.below(GDT_ENTRIES) * 8]) << 16) | (offset & 0xffff),
      true,
    );
    view.setUint32(IDT + i * 8 + 4, (offset & 0xffff_0000) | (type << 8), true);
  }
  // Entries 1 to 3 let most things work: code, data, user code, user data.
  const known = [0x00cf_9a00, 0x00cf_9200, 0x00cf_fa00, 0x00cf_f200];
  known.forEach((high, i) => {
    view.setUint32(GDT + 8 + i * 8, 0xffff, true);
    view.setUint32(GDT + 12 + i * 8, high, true);
  });
  for (let at = TSS; at < TSS + 0x200; at += 4)
    view.setUint32(at, random.chance(0.5) ? random.below(RAM_BYTES) : random.value(), true);
  for (const [offset, value] of [
    [4, 0x80000],
    [8, 16],
    [0x66, 0x68],
  ] as const)
    if (random.chance(0.8)) view.setUint16(TSS + offset, value, true);
}

/** A directory and tables that mostly map memory onto itself. */
export function fillPages(random: Random, view: DataView): void {
  for (let i = 0; i < 1024; i++) {
    const flags = random.chance(0.9) ? 7 : random.below(4096);
    const table = random.chance(0.9) ? PAGES + 0x1000 : PAGES + random.below(PAGE_TABLES) * 0x1000;
    view.setUint32(
      PAGES + i * 4,
      i === 0 || random.chance(0.5) ? table | flags | (i === 0 ? 7 : 0) : random.u32(),
      true,
    );
    const frame = random.chance(0.97) ? i : random.below(0x10_0000);
    view.setUint32(PAGES + 0x1000 + i * 4, (frame * 4096) | (random.chance(0.93) ? 7 : random.below(4096)), true);
  }
}

export function enter(machine: Pick<BareMachine, 'cpu'>, mode: Mode, random: Random): void {
  const { state } = machine.cpu;
  for (let i = 0; i < 8; i++) state.setReg32(i, random.chance(0.6) ? random.below(RAM_BYTES) : random.value());
  state.setReg32(4, random.chance(0.8) ? 0x8000 + random.below(0x1000) * 4 : random.value());
  state.setGdt(GDT, GDT_ENTRIES * 8 - 1);
  const isReal = mode === 'real' || mode === 'unreal';
  state.setIdt(isReal ? 0 : IDT, random.chance(0.9) ? 0x7ff : random.below(65536));
  const flags = random.chance(0.7) ? 2 | (random.below(2) << 9) : random.u32() & 0x003f_7fd5 & ~EFLAGS.VM;
  state.setEflags(flags);
  state.a20Mask = random.chance(0.9) ? 0xffff_ffff : 0xffef_ffff;
  const type = DESC.present | DESC.s | DESC.writable | DESC.accessed;
  const isUser = mode === 'vm86' || mode === 'user';
  state.segments[TR]!.set(0x28, TSS, 0x1ff, DESC.present | (11 << DESC.typeShift));
  state.segments[LDTR]!.set(0, GDT, random.pick([0, 0x7f]), DESC.present | (2 << DESC.typeShift));
  if (isReal || mode === 'vm86') {
    for (let i = 0; i < 6; i++) {
      const selector = i === CS ? CODE >> 4 : random.below(0x10000);
      const wide = mode === 'unreal' && i !== CS ? 0xffff_ffff : 0xffff;
      state.segments[i]!.set(selector, selector << 4, wide, type | (isUser ? DESC.dpl : 0));
    }
    state.eip = random.below(256);
  } else {
    const base = isUser ? 3 : 0;
    for (let i = 0; i < 6; i++) {
      const flat = DESC.big | DESC.granularity | type | (isUser ? DESC.dpl : 0);
      const limit = mode === 'protected' && random.chance(0.5) ? random.below(RAM_BYTES) | 0xfff : 0xffff_ffff;
      const isCode = i === CS;
      state.segments[i]!.set(
        (isCode ? 8 : 16) + (isUser ? 16 : 0) + base,
        0,
        isCode ? 0xffff_ffff : limit,
        flat | (isCode ? DESC.code : 0),
      );
    }
    state.eip = CODE + random.below(256);
  }
  state.cr0 = CR0.ET | (isReal ? 0 : CR0.PE);
  if (mode === 'paged' || (isUser && random.chance(0.5))) {
    state.cr3 = PAGES;
    state.cr4 = random.pick([0, 0x10, 0x90, 0x80]);
    state.cr0 = (CR0.ET | CR0.PE | 0x8000_0000 | random.pick([0, 0x1_0000])) >>> 0;
  }
  if (mode === 'vm86') state.setEflags(flags | EFLAGS.VM | random.pick([0, EFLAGS.IOPL]));
  state.cpl = isUser ? 3 : 0;
  machine.cpu.flushTlb();
}

export function check(machine: Pick<BareMachine, 'cpu'>): void {
  const { state } = machine.cpu;
  const flags = state.getEflags();
  if (!(flags & 2) || flags & 0x28 || flags & 0x8000 || flags >>> 22)
    throw new Error(`EFLAGS is ${flags.toString(16)}`);
  const { cpl } = state;
  if (cpl > 3) throw new Error(`CPL is ${cpl}`);
  if (state.vm86 && state.protectedMode && cpl !== 3) throw new Error(`virtual 8086 mode at CPL ${cpl}`);
  if (!state.protectedMode && cpl !== 0 && !state.inSmm) throw new Error(`real mode at CPL ${cpl}`);
  if (state.paging && !state.protectedMode) throw new Error('paging without protection');
  if (state.low(FIELDS.zero) !== 0 || state.high(FIELDS.zero) !== 0) throw new Error('the zero register is not');
  if (state.high(FIELDS.rip) !== 0) throw new Error('EIP has an upper half');
  for (let i = 0; i < 8; i++) if (state.high(FIELDS.gpr, i) !== 0) throw new Error(`register ${i} has an upper half`);
  const direction = state.low(FIELDS.direction);
  if (direction !== (flags & EFLAGS.DF ? 0xffff_ffff : 1)) throw new Error(`DF and direction differ: ${direction}`);
  const { flags: cs } = state.segments[CS]!;
  if (state.protectedMode && !state.vm86 && !(cs & DESC.present)) throw new Error('CS is not present');
  if (state.protectedMode && !state.vm86 && state.segments[SS]!.selector === 0 && cpl === 3)
    throw new Error('user mode without a stack');
}

/** One guest of one seed. @throws Finding */
export function fuzzCpu(
  seed: number,
  machine: BareMachine,
  rounds = 12,
): { readonly executed: number; readonly shutdowns: number } {
  const random = new Random(seed);
  const steps: string[] = [];
  const { cpu } = machine;
  const shutdownsBefore = machine.shutdowns;
  const executedBefore = cpu.executed;
  try {
    cpu.reset();
    cpu.setIrqLine(false);
    machine.ram.fill(0);
    machine.mmio.length = machine.writes.length = 0;
    machine.portValue = random.below(256);
    for (let i = 0; i < 1024; i += 4) machine.view.setUint32(i, ((CODE >> 4) << 16) | random.below(CODE_BYTES), true);
    fillTables(random, machine.view);
    fillPages(random, machine.view);
    const code = machine.ram.subarray(CODE, CODE + CODE_BYTES);
    fillCode(random, code);
    // Page by page: each tells the CPU that its code is new.
    for (let at = 0; at < RAM_BYTES; at += 4096) machine.dma(at, machine.ram.slice(at, at + 4096));
    const mode = random.pick(MODES);
    // Code that runs off the end of RAM, now and then.
    const atEnd = random.chance(0.03);
    enter(machine, mode, random);
    if (atEnd && mode === 'flat') {
      machine.dma(RAM_BYTES - 64, random.chance(0.5) ? new Uint8Array(64).fill(0x90) : code.slice(0, 64));
      machine.dma(RAM_BYTES - 3, Uint8Array.of(0x66, 0x66, 0xb8));
      cpu.state.eip = RAM_BYTES - 64;
    }
    steps.push(mode);
    for (let round = 0; round < rounds; round++) {
      const event = random.below(12);
      steps.push(
        `event ${event} at ${cpu.state.segments[CS]!.selector.toString(16)}:${cpu.state.eip.toString(16)}, executed ${cpu.executed - executedBefore}`,
      );
      if (event === 0) cpu.setIrqLine(random.chance(0.5));
      else if (event === 1) cpu.raiseNmi();
      else if (event === 2) cpu.raiseSmi();
      else if (event === 3) cpu.setA20(random.chance(0.5));
      else if (event === 4) machine.dma(CODE + random.below(CODE_BYTES - 16), random.bytes(random.between(1, 16)));
      else if (event === 5 && random.chance(0.2)) cpu.setInit();
      else if (event === 6) machine.vector = random.below(256);
      else if (event === 7) enter(machine, random.pick(MODES), random);
      const before = cpu.executed;
      const shutdowns = machine.shutdowns;
      const start = performance.now();
      const result = cpu.run(BUDGET);
      const took = performance.now() - start;
      if (took > RUN_MS) throw new Error(`${BUDGET} instructions took ${took} ms`);
      const done = cpu.executed - before;
      if (done < 0 || done > BUDGET + 512) throw new Error(`${done} instructions with a budget of ${BUDGET}`);
      if (!['budget', 'halted', 'exit'].includes(result)) throw new Error(`run gives ${result}`);
      if (machine.shutdowns !== shutdowns) {
        cpu.reset();
        enter(machine, random.pick(MODES), random);
      }
      check(machine);
      if (result === 'halted') enter(machine, random.pick(MODES), random);
      if (cpu.state.halted) cpu.state.halted = false;
    }
  } catch (error) {
    throw new Finding(seed, steps, error);
  }
  return { executed: cpu.executed - executedBefore, shutdowns: machine.shutdowns - shutdownsBefore };
}

/** A triple fault ends the stay in the CPU, as on a board that resets then. */
export function newFuzzMachine(): BareMachine {
  const machine = bareMachine(RAM_BYTES);
  Object.assign(machine.bus, {
    tripleFault() {
      machine.shutdowns++;
      machine.cpu.requestExit();
    },
  });
  return machine;
}
