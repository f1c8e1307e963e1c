import { describe, expect, it } from 'vitest';
import { EFLAGS } from '../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

function run(code: readonly number[], prepare: (machine: ReturnType<typeof bareMachine>) => void = () => {}) {
  const machine = bareMachine();
  const { cpu, ram } = machine;
  let fault = -1;
  (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
    fault = vector;
    cpu.state.halted = true;
  };
  enterFlat32(machine, 0x1000);
  ram.set([...code, 0xf4], 0x1000);
  prepare(machine);
  const result = cpu.run(10);
  return { fault, result, machine, state: cpu.state };
}
const MONITOR = [0x0f, 0x01, 0xc8];
const MWAIT = [0x0f, 0x01, 0xc9];

describe('RDRAND and RDSEED', () => {
  it('fill the register from the board’s source and set C alone', () => {
    const { state } = run([0x0f, 0xc7, 0xf3], ({ bus, cpu }) => {
      bus.random = () => 0xdead_beef;
      cpu.state.setEflags(0x8d7);
    });
    expect(state.reg32(3)).toBe(0xdead_beef);
    expect(state.getEflags() & 0x8d5).toBe(EFLAGS.CF);
  });
  it('leave the upper half alone with 16 bits, and differ without a source', () => {
    const { state } = run([0x66, 0x0f, 0xc7, 0xf8, 0x0f, 0xc7, 0xf9, 0x0f, 0xc7, 0xfa], ({ cpu }) =>
      cpu.state.setReg32(0, 0x1234_5678),
    );
    expect(state.reg32(0) >>> 16).toBe(0x1234);
    expect(state.reg32(1)).not.toBe(state.reg32(2));
  });
});

describe('MONITOR and MWAIT', () => {
  it('MWAIT halts until an interrupt', () => {
    const { result, state, machine } = run([0xfb, ...MONITOR, ...MWAIT, 0x40], ({ cpu }) =>
      cpu.state.setReg32(0, 0x2000),
    );
    expect(result).toBe('halted');
    expect(state.eip).toBe(0x1007);
    expect(machine.cpu.halted).toBe(true);
  });
  it('refuse extensions, other rings and addresses that fault', () => {
    for (const code of [MONITOR, MWAIT]) {
      expect(run(code, ({ cpu }) => cpu.state.setReg32(1, 1)).fault).toBe(13);
      const user = run(code, ({ cpu }) => {
        cpu.state.cpl = 3;
      });
      expect(user.fault).toBe(6);
    }
    const outside = run(MONITOR, ({ cpu }) => {
      cpu.state.segments[3]!.set(0x10, 0, 0xfff, 0x9300);
      cpu.state.setReg32(0, 0x1000);
    });
    expect(outside.fault).toBe(13);
  });
});

describe('what comes before the operand in memory', () => {
  /** DS and SS end at 0xfff; the operand is beyond, or in a page of SS. */
  const narrow = ({ cpu }: ReturnType<typeof bareMachine>) => {
    for (const index of [2, 3]) cpu.state.segments[index]!.set(0x10, 0, 0xfff, 0x40_9300);
  };
  const operand = (opcode: readonly number[], digit: number, isStack: boolean) => [
    ...(isStack ? [0x36] : []),
    ...opcode,
    (digit << 3) | 5,
    0,
    0x20,
    0,
    0,
  ];
  const PRIVILEGED = [
    ['lldt', [0x0f, 0], 2],
    ['ltr', [0x0f, 0], 3],
    ['lgdt', [0x0f, 1], 2],
    ['lidt', [0x0f, 1], 3],
    ['lmsw', [0x0f, 1], 6],
    ['invlpg', [0x0f, 1], 7],
  ] as const;
  it.each(PRIVILEGED)('%s: #GP for want of rights, not #SS', (_name, opcode, digit) => {
    const user = run(operand(opcode, digit, true), (m) => {
      narrow(m);
      m.cpu.state.cpl = 3;
    });
    expect(user.fault).toBe(13);
    expect(run(operand(opcode, digit, true), narrow).fault).toBe(12);
  });
  it.each(PRIVILEGED)('%s: #GP for want of rights, not #PF', (_name, opcode, digit) => {
    const user = run(operand(opcode, digit, false), (m) => {
      // Page 1 for everybody, page 2 (the operand) for nobody.
      m.view.setUint32(0x10000, 0x11007, true);
      m.view.setUint32(0x11004, 0x1007, true);
      m.cpu.state.cr0 = (m.cpu.state.cr0 | 0x8000_0000) >>> 0;
      m.cpu.ops.writeCr(3, 0x10000);
      m.cpu.state.cpl = 3;
    });
    expect(user.fault).toBe(13);
  });
  it.each([
    ['sldt', [0x0f, 0], 0],
    ['str', [0x0f, 0], 1],
    ['lldt', [0x0f, 0], 2],
    ['verr', [0x0f, 0], 4],
    ['lar', [0x0f, 2], 0],
    ['lsl', [0x0f, 3], 0],
  ] as const)('%s: #UD in virtual-8086 mode, not #GP', (_name, opcode, digit) => {
    const v86 = run(operand(opcode, digit, false), (m) => {
      narrow(m);
      m.cpu.state.setEflags(0x2_0002);
      m.cpu.state.cpl = 3;
    });
    expect(v86.fault).toBe(6);
    expect(run(operand(opcode, digit, false), narrow).fault).toBe(13);
  });
});
