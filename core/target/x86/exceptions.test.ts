import { describe, expect, it } from 'vitest';
import { makesDoubleFault } from './exceptions.ts';
import { VECTOR } from './fault.ts';
import { CS, DS, EFLAGS, ES, FIELDS, GS, SS, TR } from './state.ts';
import { FakeMachine, GDT, IDT, TSS } from './testing/fake-machine.ts';

const USER_FLAGS = EFLAGS.IF | EFLAGS.TF | 2;

describe('delivery in real mode', () => {
  it('pushes FLAGS, CS and IP and clears IF and TF', () => {
    const m = new FakeMachine();
    m.state.setReg32(4, 0xabcd_1000);
    m.state.setEflags(USER_FLAGS | EFLAGS.CF);
    m.state.eip = 0x1122;
    m.ram.setUint32(0x21 * 4, 0x5678_1234, true);
    m.ops.softwareInterrupt(0x21, 'int');
    expect(m.stack(3, 2)).toEqual([0x1122, 0xf000, USER_FLAGS | EFLAGS.CF]);
    expect(m.state.reg32(4)).toBe(0xabcd_0ffa);
    expect(m.state.segments[CS]).toMatchObject({ selector: 0x5678, base: 0x56780 });
    expect(m.state.eip).toBe(0x1234);
    expect(m.state.getEflags()).toBe(EFLAGS.CF | 2);
    expect(m.ctx.activity.softInts[0x21]).toBe(1);
  });

  it('respects the IDT limit and shuts down when nothing can be delivered', () => {
    const m = new FakeMachine();
    m.state.setIdt(0, 0x1f);
    expect(m.fault(() => m.ops.softwareInterrupt(8, 'int'))).toEqual({ vector: VECTOR.GP, errorCode: 8 * 8 + 2 });
    m.ops.deliverException(VECTOR.UD, undefined);
    expect(m.shutdowns).toBe(0);
    m.ops.deliverException(VECTOR.GP, 0); // 13 > limit, then 8 > limit
    expect(m.shutdowns).toBe(1);
  });
});

describe('delivery at the same level', () => {
  it('through an interrupt gate with an error code', () => {
    const m = new FakeMachine().enterProtected();
    m.state.setEflags(USER_FLAGS | EFLAGS.NT);
    m.ops.deliverException(VECTOR.GP, 0x50);
    expect(m.stack(4)).toEqual([0x50, 0x1234, 0x08, USER_FLAGS | EFLAGS.NT | EFLAGS.RF]);
    expect(m.state.eip).toBe(13 * 16);
    expect(m.state.getEflags()).toBe(2);
  });

  it('a trap gate keeps IF; interrupts do not set RF', () => {
    const m = new FakeMachine().enterProtected();
    m.setGate(IDT + 0x80 * 8, 8, 0x8_0000, 15);
    m.state.setEflags(USER_FLAGS);
    m.ops.deliverInterrupt(0x80);
    expect(m.stack(3)).toEqual([0x1234, 0x08, USER_FLAGS]);
    expect(m.state.eip).toBe(0x8_0000);
    expect(m.state.getEflags()).toBe(EFLAGS.IF | 2);
  });

  it('16-bit gates push words', () => {
    const m = new FakeMachine().enterProtected();
    m.setGate(IDT + 0x30 * 8, 8, 0xffff_4321, 6);
    m.state.setEflags(USER_FLAGS);
    m.ops.deliverInterrupt(0x30);
    expect(m.stack(3, 2)).toEqual([0x1234, 0x08, USER_FLAGS]);
    expect(m.state.eip).toBe(0x4321);
    expect(m.state.reg32(4)).toBe(0x6000 - 6);
  });
});

describe('delivery to an inner level', () => {
  it('switches to the stack of the TSS', () => {
    const m = new FakeMachine().enterProtected(3);
    m.state.setEflags(USER_FLAGS);
    m.ops.deliverException(VECTOR.PF, 7);
    expect(m.state.segments[SS]!.selector).toBe(0x10);
    expect(m.state.segments[CS]!.selector).toBe(0x08);
    expect(m.state.cpl).toBe(0);
    expect(m.state.reg32(4)).toBe(0x8000 - 24);
    expect(m.stack(6)).toEqual([7, 0x1234, 0x1b, USER_FLAGS | EFLAGS.RF, 0x6000, 0x23]);
    expect(m.state.segments[DS]!.selector).toBe(0x23);
  });

  it('with a 16-bit TSS', () => {
    const m = new FakeMachine().enterProtected();
    m.setDescriptor(0x50, { type: 1, base: 0x3800, limit: 0x2b, granularity: 0 });
    m.ram.setUint16(0x3802, 0x7000, true);
    m.ram.setUint16(0x3804, 0x10, true);
    m.ops.ltr(0x50);
    m.setLevel(3);
    m.ops.deliverInterrupt(0x40);
    expect(m.state.reg32(4)).toBe(0x7000 - 20);
  });

  it.each([
    ['a null stack', (m: FakeMachine) => m.ram.setUint16(TSS + 8, 0, true), VECTOR.TS, 1],
    ['a stack outside of the GDT', (m: FakeMachine) => m.ram.setUint16(TSS + 8, 0x210, true), VECTOR.TS, 0x211],
    ['a stack with the wrong RPL', (m: FakeMachine) => m.ram.setUint16(TSS + 8, 0x13, true), VECTOR.TS, 0x11],
    ['a read-only stack', (m: FakeMachine) => m.setDescriptor(0x10, { type: 0x10 }), VECTOR.TS, 0x11],
    ['an absent stack', (m: FakeMachine) => m.setDescriptor(0x10, { type: 0x12, present: false }), VECTOR.SS, 0x11],
    ['a short TSS', (m: FakeMachine) => m.state.segments[TR]!.set(0x28, TSS, 10, 0x8900), VECTOR.TS, 0x29],
    [
      'a stack without room',
      (m: FakeMachine) => {
        m.setDescriptor(0x10, { type: 0x12, limit: 0x7ff3, granularity: 4 });
      },
      VECTOR.SS,
      0x11,
    ],
    [
      'an absent code segment',
      (m: FakeMachine) => m.setDescriptor(0x08, { type: 0x1a, present: false }),
      VECTOR.NP,
      0x09,
    ],
    ['a data segment as code', (m: FakeMachine) => m.setDescriptor(0x08, { type: 0x12 }), VECTOR.GP, 0x09],
    ['an absent gate', (m: FakeMachine) => m.setGate(IDT + 0x40 * 8, 8, 0, 14, 0, false), VECTOR.NP, 0x203],
    ['something that is no gate', (m: FakeMachine) => m.setGate(IDT + 0x40 * 8, 8, 0, 12), VECTOR.GP, 0x203],
    ['a null code selector', (m: FakeMachine) => m.setGate(IDT + 0x40 * 8, 0, 0, 14), VECTOR.GP, 1],
    [
      'an outer code segment',
      (m: FakeMachine) => {
        m.setLevel(1);
        m.setGate(IDT + 0x40 * 8, 0x18, 0, 14);
      },
      VECTOR.GP,
      0x19,
    ],
    [
      'an entry point beyond the limit',
      (m: FakeMachine) => m.setDescriptor(0x08, { type: 0x1a, limit: 0x3ff, granularity: 4 }),
      VECTOR.GP,
      1,
    ],
  ] as const)('%s makes the next fault, which names it', (_name, spoil, vector, errorCode) => {
    const m = new FakeMachine().enterProtected(3);
    // The second fault goes through a task gate, which needs nothing of what is spoilt: a conforming handler at the own level.
    m.setDescriptor(0x58, { type: 0x1e });
    for (const second of [VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP])
      m.setGate(IDT + second * 8, 0x58, 0x5000 + second, 14);
    spoil(m);
    m.ops.deliverInterrupt(0x40);
    expect(m.state.eip).toBe(0x5000 + vector);
    expect(m.stack(2)).toEqual([errorCode, 0x1234]);
    expect(m.shutdowns).toBe(0);
  });
});

describe('software interrupts', () => {
  it('need a gate with DPL >= CPL; the fault has no EXT', () => {
    const m = new FakeMachine().enterProtected(3);
    for (const kind of ['int', 'int3', 'into'] as const)
      expect(m.fault(() => m.ops.softwareInterrupt(0x41, kind))).toEqual({
        vector: VECTOR.GP,
        errorCode: 0x41 * 8 + 2,
      });
    expect(m.state.eip).toBe(0x1234);
    expect(m.state.reg32(4)).toBe(0x6000);
    m.setGate(IDT + 0x41 * 8, 8, 0x410, 14, 3);
    m.ops.softwareInterrupt(0x41, 'int');
    expect(m.state.eip).toBe(0x410);
  });

  it('INT1 ignores DPL; hardware interrupts too', () => {
    const m = new FakeMachine().enterProtected(3);
    m.ops.softwareInterrupt(1, 'int1');
    expect(m.state.eip).toBe(0x10);
  });

  it('beyond the IDT', () => {
    const m = new FakeMachine().enterProtected();
    m.state.setIdt(IDT, 0x106);
    expect(m.fault(() => m.ops.softwareInterrupt(0x20, 'int'))).toEqual({ vector: VECTOR.GP, errorCode: 0x102 });
  });
});

describe('VM86', () => {
  function vm86(iopl: number): FakeMachine {
    const m = new FakeMachine().enterProtected();
    m.state.setEflags(EFLAGS.VM | EFLAGS.IF | (iopl << 12) | 2);
    for (let i = 0; i < 6; i++) m.state.segments[i]!.set(0x100 + i, (0x100 + i) * 16, 0xffff, 0xf300);
    m.state.cpl = 3;
    m.state.setReg32(4, 0x800);
    return m;
  }

  it('goes to ring 0 with all segments on the stack', () => {
    const m = vm86(3);
    m.setGate(IDT + 0x21 * 8, 8, 0x210, 14, 3);
    m.ops.softwareInterrupt(0x21, 'int');
    expect(m.state.vm86).toBe(false);
    expect(m.state.cpl).toBe(0);
    expect(m.stack(9)).toEqual([
      0x1234,
      0x101,
      EFLAGS.VM | EFLAGS.IF | 0x3002,
      0x800,
      0x102,
      0x100,
      0x103,
      0x104,
      0x105,
    ]);
    for (const index of [ES, DS, GS]) expect(m.state.segments[index]).toMatchObject({ selector: 0, flags: 0 });
  });

  it('INT n needs IOPL 3, INT3 does not', () => {
    const m = vm86(0);
    m.setGate(IDT + 0x21 * 8, 8, 0x210, 14, 3);
    m.setGate(IDT + 3 * 8, 8, 0x30, 14, 3);
    expect(m.fault(() => m.ops.softwareInterrupt(0x21, 'int'))).toEqual({ vector: VECTOR.GP, errorCode: 0 });
    expect(m.fault(() => m.ops.softwareInterrupt(3, 'int3'))).toBeNull();
  });

  it('refuses handlers that are not ring 0', () => {
    const m = vm86(3);
    m.setGate(IDT + 0x21 * 8, 0x38, 0x210, 14, 3);
    expect(m.fault(() => m.ops.softwareInterrupt(0x21, 'int'))).toEqual({ vector: VECTOR.GP, errorCode: 0x38 });
    m.setDescriptor(0x58, { type: 0x1e });
    m.setGate(IDT + 0x21 * 8, 0x58, 0x210, 14, 3);
    expect(m.fault(() => m.ops.softwareInterrupt(0x21, 'int'))).toEqual({ vector: VECTOR.GP, errorCode: 0x58 });
  });
});

describe('double and triple faults', () => {
  it('pair as the manual says', () => {
    const { DE, PF, GP, UD, TS } = VECTOR;
    expect(makesDoubleFault(DE, GP)).toBe(true);
    expect(makesDoubleFault(GP, PF)).toBe(false);
    expect(makesDoubleFault(PF, GP)).toBe(true);
    expect(makesDoubleFault(PF, PF)).toBe(true);
    expect(makesDoubleFault(UD, GP)).toBe(false);
    expect(makesDoubleFault(TS, TS)).toBe(true);
  });

  it('a contributory fault twice gives #DF with error code 0', () => {
    const m = new FakeMachine().enterProtected();
    m.setGate(IDT + VECTOR.GP * 8, 8, 0, 14, 0, false);
    m.ops.deliverException(VECTOR.GP, 0x50);
    expect(m.state.eip).toBe(8 * 16);
    expect(m.stack(3)).toEqual([0, 0x1234, 8]);
    expect(m.state.low(FIELDS.exceptionVector)).toBe(0xffff_ffff);
  });

  it('an external interrupt on a contributory vector is none', () => {
    const m = new FakeMachine().enterProtected();
    m.setGate(IDT + 11 * 8, 8, 0x1111, 14);
    m.setGate(IDT + 13 * 8, 8, 0, 14, 0, false);
    m.ops.deliverInterrupt(13);
    expect(m.state.eip).toBe(0x1111);
  });

  it('a third fault shuts down and leaves the state intact', () => {
    const m = new FakeMachine().enterProtected();
    m.state.setIdt(IDT, 0);
    const before = m.state.getEflags();
    m.ops.deliverException(VECTOR.GP, 0);
    expect(m.shutdowns).toBe(1);
    expect([m.state.eip, m.state.reg32(4), m.state.getEflags()]).toEqual([0x1234, 0x6000, before]);
  });

  it('a page fault on the handler stack becomes #DF', () => {
    const m = new FakeMachine().enterProtected(3);
    const table = m.enablePaging();
    m.ram.setUint32(table + 7 * 4, 0, true); // the ring 0 stack
    m.setDescriptor(0x60, { type: 9, base: 0x3800, limit: 0x67, granularity: 0 });
    m.setGate(IDT + 8 * 8, 0x60, 0, 5);
    m.ram.setUint32(0x3800 + 0x1c, 0x10_0000, true);
    m.ram.setUint32(0x3800 + 0x20, 0xdf, true);
    m.ram.setUint32(0x3800 + 0x38, 0x9000, true);
    m.ram.setUint32(0x3800 + 0x4c, 8, true);
    m.ram.setUint32(0x3800 + 0x50, 0x10, true);
    m.ops.deliverException(VECTOR.PF, 4);
    expect(m.state.eip).toBe(0xdf);
    expect(m.state.segments[TR]!.selector).toBe(0x60);
    expect(m.stack(1)).toEqual([0]);
    expect(m.ram.getUint8(GDT + 0x65)).toBe(0x8b);
    expect(m.ram.getUint16(0x3800, true)).toBe(0x28);
  });
});

describe('NMI', () => {
  it('blocks itself until IRET', () => {
    const m = new FakeMachine().enterProtected();
    m.ops.deliverNmi();
    expect(m.state.nmiBlocked).toBe(true);
    m.ops.iret(4);
    expect(m.state.nmiBlocked).toBe(false);
    expect(m.state.eip).toBe(0x1234);
  });
});
