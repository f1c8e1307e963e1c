/** Virtual interrupts (CR4.VME, CR4.PVI) by Intel SDM volume 3 sections 21.3 and 21.4; QEMU 7.2 does not have them. */
import { describe, expect, it } from 'vitest';
import { setVm86Segment } from '../../target/x86/context.ts';
import { CR4, CS, DESC, EFLAGS, TR } from '../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

const { VM, IF, TF, VIF, VIP } = EFLAGS;
const IOPL3 = EFLAGS.IOPL;
const CODE = 0x1000;
const STACK = 0x2000;
const TSS = 0x3000;
const IO_MAP = 0x88;

interface Setup {
  readonly flags?: number;
  readonly cr4?: number;
  readonly code: readonly number[];
  /** Words on the stack, top first. */
  readonly stack?: readonly number[];
  /** Vectors that the redirection map leads to the monitor. */
  readonly monitored?: readonly number[];
  readonly steps?: number;
}

/** Runs code in VM86 (or ring 3 with flags without VM); gives what changed. */
function run({ flags = VM, cr4 = CR4.VME, code, stack = [], monitored = [], steps = 1 }: Setup) {
  const machine = bareMachine();
  const { cpu, ram, view } = machine;
  enterFlat32(machine, 0);
  const { state } = cpu;
  let fault = -1;
  (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
    fault = vector;
    state.halted = true;
  };
  ram.set(code, CODE * 16);
  stack.forEach((word, i) => {
    view.setUint16(STACK * 16 + 0x100 + i * 2, word, true);
  });
  view.setUint16(TSS + 0x66, IO_MAP, true);
  for (const vector of monitored) ram[TSS + IO_MAP - 32 + (vector >> 3)]! |= 1 << (vector & 7);
  // INT 21h leads to 1234:5678.
  view.setUint32(0x21 * 4, 0x1234_5678, true);
  state.segments[TR]!.set(0x28, TSS, 0x2067, DESC.present | (11 << 8));
  state.cr4 = cr4;
  state.setEflags(flags | 2);
  state.cpl = 3;
  if (flags & VM) {
    for (let i = 0; i < 6; i++) setVm86Segment(state.segments[i]!, i === CS ? CODE : STACK);
    state.eip = 0;
    state.setReg32(4, 0x100);
  } else {
    state.eip = CODE * 16;
    state.setReg32(4, STACK * 16 + 0x100);
  }
  cpu.run(steps);
  const sp = state.reg32(4) & 0xffff;
  return {
    fault,
    flags: state.getEflags() & (VM | IF | TF | VIF | VIP | IOPL3),
    eip: state.eip,
    cs: state.segments[CS]!.selector,
    pushed: Array.from({ length: Math.max(0, (0x100 - sp) / 2) }, (_, i) =>
      view.getUint16(STACK * 16 + sp + i * 2, true),
    ),
    sp,
  };
}
const NONE = -1;
const GP = 13;

describe('CR4.VME', () => {
  const [cli, sti, pushf, popf, iret, int21] = [[0xfa], [0xfb], [0x9c], [0x9d], [0xcf], [0xcd, 0x21]];

  it('CLI and STI act on VIF below IOPL 3 and on IF at IOPL 3', () => {
    expect(run({ code: sti, flags: VM })).toMatchObject({ fault: NONE, flags: VM | VIF });
    expect(run({ code: cli, flags: VM | VIF | IF })).toMatchObject({ fault: NONE, flags: VM | IF });
    expect(run({ code: cli, flags: VM | IOPL3 | VIF | IF })).toMatchObject({ fault: NONE, flags: VM | IOPL3 | VIF });
    expect(run({ code: sti, flags: VM | IOPL3 })).toMatchObject({ fault: NONE, flags: VM | IOPL3 | IF });
  });
  it('a pending interrupt makes STI, POPF and IRET fault when they would let it in', () => {
    expect(run({ code: sti, flags: VM | VIP }).fault).toBe(GP);
    expect(run({ code: popf, flags: VM | VIP, stack: [IF] }).fault).toBe(GP);
    expect(run({ code: iret, flags: VM | VIP, stack: [1, 2, IF] }).fault).toBe(GP);
    expect(run({ code: popf, flags: VM | VIP, stack: [0] })).toMatchObject({ fault: NONE, flags: VM | VIP });
    expect(run({ code: iret, flags: VM | VIP | VIF, stack: [1, 2, 0] })).toMatchObject({
      fault: NONE,
      flags: VM | VIP,
      eip: 1,
      cs: 2,
    });
  });
  it('PUSHF shows VIF as IF and IOPL 3; POPF takes it so and leaves IF and IOPL alone', () => {
    expect(run({ code: pushf, flags: VM | VIF }).pushed).toEqual([IF | IOPL3 | 2]);
    expect(run({ code: pushf, flags: VM | IF }).pushed).toEqual([IOPL3 | 2]);
    expect(run({ code: popf, flags: VM | IF, stack: [IF | IOPL3] })).toMatchObject({
      fault: NONE,
      flags: VM | IF | VIF,
    });
    expect(run({ code: popf, flags: VM | IF | VIF, stack: [0] })).toMatchObject({ fault: NONE, flags: VM | IF });
    for (const eip of [1, 3])
      expect(run({ code: [...Array(eip - 1).fill(0x90), ...popf], stack: [0] })).toMatchObject({ fault: NONE, eip });
  });
  it('POPF and IRET of TF, and all of them with 32 bits, are the monitor’s', () => {
    expect(run({ code: popf, stack: [TF] }).fault).toBe(GP);
    expect(run({ code: iret, stack: [0, 0, TF] }).fault).toBe(GP);
    for (const code of [pushf, popf, iret])
      expect(run({ code: [0x66, ...code] })).toMatchObject({ fault: GP, sp: 0x100 });
  });
  it('INT n goes through the program’s own table where the map allows it', () => {
    expect(run({ code: int21, flags: VM | VIF | IF })).toMatchObject({
      fault: NONE,
      flags: VM | IF,
      cs: 0x1234,
      eip: 0x5678,
      pushed: [2, CODE, IF | IOPL3 | 2],
    });
    expect(run({ code: int21, flags: VM | IOPL3 | IF | VIF })).toMatchObject({
      fault: NONE,
      flags: VM | IOPL3 | VIF,
      pushed: [2, CODE, IF | IOPL3 | 2],
    });
    expect(run({ code: int21, monitored: [0x21] })).toMatchObject({ fault: GP, eip: 0, sp: 0x100 });
    expect(run({ code: int21, monitored: [0x20, 0x22] }).fault).toBe(NONE);
  });
  it('without the bit everything below IOPL 3 faults', () => {
    for (const code of [cli, sti, pushf, popf, iret, int21]) expect(run({ code, cr4: 0 }).fault).toBe(GP);
  });
});

describe('CR4.PVI', () => {
  it('gives ring 3 VIF in place of IF', () => {
    const { PVI } = CR4;
    expect(run({ code: [0xfb], flags: 0, cr4: PVI })).toMatchObject({ fault: NONE, flags: VIF });
    expect(run({ code: [0xfa], flags: VIF | IF, cr4: PVI })).toMatchObject({ fault: NONE, flags: IF });
    expect(run({ code: [0xfb], flags: VIP, cr4: PVI }).fault).toBe(GP);
    expect(run({ code: [0xfa], flags: 0, cr4: CR4.VME }).fault).toBe(GP);
    expect(run({ code: [0xfa], flags: IOPL3 | IF, cr4: PVI })).toMatchObject({ fault: NONE, flags: IOPL3 });
  });
});
