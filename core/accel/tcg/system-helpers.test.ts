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
