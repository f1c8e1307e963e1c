import { describe, expect, it } from 'vitest';
import { CR0, CR4, EFLAGS, FIELDS } from '../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

const CODE = 0x1000;
/** Runs code with `cr0` bits set; vectors of faults are collected, each ends the run. */
function run(code: readonly number[], cr0 = 0, prepare?: (m: ReturnType<typeof bareMachine>) => void) {
  const machine = bareMachine(1 << 20);
  const { cpu } = machine;
  const faults: number[] = [];
  let ferr = 0;
  machine.bus.ferr = () => {
    ferr++;
  };
  (cpu.ops as unknown as { deliverException: (vector: number) => void }).deliverException = (vector) => {
    faults.push(vector);
    cpu.state.halted = true;
  };
  enterFlat32(machine, CODE);
  cpu.state.cr0 = (cpu.state.cr0 | cr0) >>> 0;
  prepare?.(machine);
  machine.dma(CODE, Uint8Array.from([...code, 0xf4]));
  cpu.run(100);
  return { machine, faults, ferr, eip: cpu.state.eip };
}
/** Unmasks division by zero and divides: FNINIT; FLDCW [2000h]; FLD1; FLDZ; FDIVP. */
const DIVIDE = [0xdb, 0xe3, 0xd9, 0x2d, 0, 0x20, 0, 0, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9];
const unmask = (m: ReturnType<typeof bareMachine>) => m.view.setUint16(0x2000, 0x37b, true);

describe('x87 unit', () => {
  it('raises #NM when it is switched off or owned by another task', () => {
    expect(run([0xd9, 0xe8], CR0.EM).faults).toEqual([7]);
    expect(run([0xd9, 0xe8], CR0.TS).faults).toEqual([7]);
    expect(run([0x9b], CR0.TS | CR0.MP).faults).toEqual([7]);
    expect(run([0x9b], CR0.TS).faults).toEqual([]);
    expect(run([0x0f, 0xae, 0x05, 0, 0x30, 0, 0], CR0.TS).faults).toEqual([7]);
  });
  it('reports an unmasked exception with the next instruction that waits', () => {
    const next = run([...DIVIDE, 0xd9, 0xe8], CR0.NE, unmask);
    expect(next).toMatchObject({ faults: [16], eip: CODE + DIVIDE.length, ferr: 0 });
    // The instruction that failed is remembered, not the one that reports.
    expect(next.machine.cpu.state.low(FIELDS.fpuIp)).toBe(CODE + 12);
    expect(next.machine.cpu.state.low(FIELDS.fpuOpcode)).toBe(0x6f9);
    expect(run([...DIVIDE, 0x9b], CR0.NE, unmask).faults).toEqual([16]);
    expect(run([...DIVIDE, 0xdf, 0xe0, 0xdb, 0xe2, 0x9b], CR0.NE, unmask).faults).toEqual([]);
  });
  it('asserts FERR# instead when CR0.NE is clear', () => {
    const { faults, ferr } = run(DIVIDE, 0, unmask);
    expect(faults).toEqual([]);
    expect(ferr).toBe(1);
    // MMX instructions wait too: #MF, or FERR# once more.
    const paddb = [0x0f, 0xfc, 0xc1];
    expect(run([...DIVIDE, ...paddb], CR0.NE, unmask)).toMatchObject({ faults: [16], eip: CODE + DIVIDE.length });
    expect(run([...DIVIDE, ...paddb], 0, unmask)).toMatchObject({ faults: [], ferr: 2 });
  });
  it.each([
    ['16-bit, protected mode', false, false, 0],
    ['32-bit, protected mode', true, false, 0],
    ['16-bit, real mode', false, true, 0],
    ['32-bit, real mode', true, true, 0],
    ['16-bit, virtual 8086 mode', false, true, EFLAGS.VM],
    ['32-bit, virtual 8086 mode', true, true, EFLAGS.VM],
  ] as const)('stores and loads the environment: %s', (_name, isWide, isReal, vm) => {
    const machine = bareMachine(1 << 20);
    const { cpu, view } = machine;
    const { state } = cpu;
    enterFlat32(machine, 0);
    if (!vm && isReal) state.cr0 = 0;
    const rights = 0x93 << 8;
    const segment = (i: number, selector: number) => {
      const base = isReal ? selector << 4 : selector * 0x100;
      state.segments[i]!.set(selector, base, 0xffff, rights | (i === 1 ? 0x800 : 0) | (vm ? 3 << 13 : 0));
    };
    segment(1, 0x210);
    segment(3, 0x1310);
    segment(0, 0x1310);
    const code = isReal ? 0x2100 : 0x2_1000;
    const data = isReal ? 0x1_3100 : 0x13_1000 & 0xf_ffff;
    if (!isReal) state.segments[3]!.set(0x1310, data, 0xffff, rights);
    // FLDZ; FLD dword [20h]; FNSTENV [100h]; FNINIT; FLDENV [100h]; FNSTENV [200h]
    const wide = isWide ? [0x66] : [];
    const instructions = [
      [0x9b, 0xdb, 0xe3, 0xd9, 0xee],
      [0xd9, 0x06, 0x20, 0],
      [...wide, 0xd9, 0x36, 0, 1],
      [0xdb, 0xe3],
      [...wide, 0xd9, 0x26, 0, 1],
      [...wide, 0xd9, 0x36, 0, 2],
      [0xf4],
    ];
    state.setEflags(2 | vm | (vm ? EFLAGS.IOPL : 0));
    if (vm) state.cpl = 3;
    state.eip = 0x40;
    machine.dma(code + 0x40, Uint8Array.from(instructions.flat()));
    cpu.run(vm ? 8 : 20);
    const at = data + 0x100;
    const ip = 0x45;
    const word = (base: number, i: number) =>
      isWide ? view.getUint32(base + i * 4, true) : view.getUint16(base + i * 2, true);
    const high = isWide ? 0xffff_0000 : 0;
    const head = [0x37f, 6 << 11, 0x5fff].map((w) => (w | high) >>> 0);
    const linearIp = code + ip;
    const linearDp = data + 0x20;
    const rest = isReal
      ? isWide
        ? [
            (high | (linearIp & 0xffff)) >>> 0,
            ((linearIp >>> 16) << 12) | 0x106,
            (high | (linearDp & 0xffff)) >>> 0,
            (linearDp >>> 16) << 12,
          ]
        : [linearIp & 0xffff, ((linearIp >>> 4) & 0xf000) | 0x106, linearDp & 0xffff, (linearDp >>> 4) & 0xf000]
      : isWide
        ? [ip, 0x210 | (0x106 << 16), 0x20, (high | 0x1310) >>> 0]
        : [ip, 0x210, 0x20, 0x1310];
    const image = (base: number) => Array.from({ length: 7 }, (_, i) => word(base, i));
    expect(image(at)).toEqual([...head, ...rest]);
    // FNSTENV masks exceptions after it has stored the control word; what was loaded is stored again, but for the opcode where it is lost.
    expect(image(data + 0x200).slice(0, isReal ? 7 : 4)).toEqual(image(at).slice(0, isReal ? 7 : 4));
  });
  it('faults before it changes anything when an operand is out of reach', () => {
    // FSTP tword at the end of a segment of 8 KiB.
    const code = [0xd9, 0xe8, 0xdb, 0x3d, 0xfa, 0x1f, 0, 0];
    const { faults, machine } = run(code, 0, (m) => m.cpu.state.segments[3]!.set(16, 0, 0x1fff, 0x0040_9300));
    expect(faults).toEqual([13]);
    expect(machine.cpu.state.low(FIELDS.fpuTop)).toBe(7);
    expect(machine.view.getUint32(0x1ffa, true)).toBe(0);
  });
  it('saves and restores everything with FXSAVE and FXRSTOR', () => {
    // FLDPI; FLD1; FXSAVE [3000h]; FNINIT; FXRSTOR [3000h]; FXSAVE [3200h]
    const save = (at: number) => [0x0f, 0xae, 0x05, 0, at >> 8, 0, 0];
    const code = [
      0xd9,
      0xeb,
      0xd9,
      0xe8,
      ...save(0x3000),
      0xdb,
      0xe3,
      0x0f,
      0xae,
      0x0d,
      0,
      0x30,
      0,
      0,
      ...save(0x3200),
    ];
    const { machine, faults } = run(code, 0, ({ cpu: { state } }) => {
      state.cr4 = CR4.OSFXSR;
      state.set(FIELDS.mxcsr, 0x1f80);
      for (let i = 0; i < 8; i++) state.u32[(FIELDS.xmm.offset >>> 2) + i * 16] = 0x1111 * (i + 1);
    });
    const { ram, view } = machine;
    expect(faults).toEqual([]);
    expect(view.getUint16(0x3000, true)).toBe(0x37f);
    expect(view.getUint16(0x3002, true)).toBe(6 << 11);
    expect(view.getUint8(0x3004)).toBe(0xc0);
    expect(view.getUint32(0x3018, true)).toBe(0x1f80);
    expect(view.getUint16(0x3028, true)).toBe(0x3fff);
    expect([view.getUint32(0x3034, true), view.getUint32(0x3030, true)]).toEqual([0xc90f_daa2, 0x2168_c235]);
    expect(view.getUint32(0x30a0 + 7 * 16, true)).toBe(0x8888);
    expect(ram.slice(0x3200, 0x3400)).toEqual(ram.slice(0x3000, 0x3200));
    expect(run([0x0f, 0xae, 0x05, 8, 0x30, 0, 0]).faults).toEqual([13]);
  });
});

describe('an operand outside its segment', () => {
  const beyond = (prepare?: (m: ReturnType<typeof bareMachine>) => void) => (m: ReturnType<typeof bareMachine>) => {
    unmask(m);
    // ES ends at 0xfff.
    m.cpu.state.segments[0]!.set(0x10, 0, 0xfff, 0x40_9300);
    prepare?.(m);
  };
  const es = (...code: number[]) => [0x26, ...code, 0, 0x20, 0, 0];
  const WAITING = [
    ['FLD', es(0xd9, 0x05)],
    ['FSTP', es(0xdd, 0x1d)],
    ['FIADD', es(0xde, 0x05)],
    ['FLDCW', es(0xd9, 0x2d)],
    ['FLD, 80 bits', es(0xdb, 0x2d)],
    ['PADDB', es(0x0f, 0xfc, 0x05)],
    ['MOVQ', es(0x0f, 0x7f, 0x05)],
  ] as const;
  it.each(WAITING)('%s: the unit comes first', (_name, code) => {
    expect(run(code, CR0.NE, beyond()).faults).toEqual([13]);
    expect(run([...DIVIDE, ...code], CR0.NE, beyond()).faults).toEqual([16]);
    expect(run(code, CR0.NE | CR0.TS, beyond()).faults).toEqual([7]);
  });
  it('FNSTCW does not wait', () => {
    expect(run([...DIVIDE, ...es(0xd9, 0x3d)], CR0.NE, beyond()).faults).toEqual([13]);
  });
  it('MOVAPS: #UD and #NM come first, then the segment, then the alignment', () => {
    const movaps = [0x36, 0x0f, 0x28, 0x05, 1, 0x20, 0, 0];
    const narrow = (m: ReturnType<typeof bareMachine>) => m.cpu.state.segments[2]!.set(0x10, 0, 0xfff, 0x40_9300);
    const on = (m: ReturnType<typeof bareMachine>) => void m.cpu.ops.writeCr(4, CR4.OSFXSR);
    expect(run(movaps, 0, narrow).faults).toEqual([6]);
    expect(run(movaps, CR0.TS, beyond(on)).faults).toEqual([7]);
    expect(run(movaps, 0, beyond(on)).faults).toEqual([13]);
    const both = (m: ReturnType<typeof bareMachine>) => {
      narrow(m);
      on(m);
    };
    expect(run(movaps, 0, both).faults).toEqual([12]);
  });
});
