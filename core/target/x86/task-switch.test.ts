import { describe, expect, it } from 'vitest';
import { VECTOR } from './fault.ts';
import { CR0, CS, DS, EFLAGS, FIELDS, LDTR, SS, TR } from './state.ts';
import { FakeMachine, GDT, IDT, TSS } from './testing/fake-machine.ts';

const NEW = 0x3800;
const BUSY = 0x8b;

/** A second 32-bit task at selector 0x60: ring 0, EIP 0x4321, recognisable registers. */
function withTask(m: FakeMachine, changes: Record<number, number> = {}): FakeMachine {
  m.setDescriptor(0x60, { type: 9, base: NEW, limit: 0x67, granularity: 0, dpl: 3 });
  const image: Record<number, number> = {
    28: 0,
    32: 0x4321,
    36: EFLAGS.IF | 2,
    56: 0x9000,
    72: 0x23,
    76: 0x08,
    80: 0x10,
    84: 0x10,
    88: 0,
    92: 0,
    96: 0,
    100: 0,
  };
  for (let i = 0; i < 8; i++) if (i !== 4) image[0x28 + i * 4] = 0x1111_1111 * (i + 1);
  for (const [offset, value] of Object.entries({ ...image, ...changes }))
    m.ram.setUint32(NEW + Number(offset), value, true);
  return m;
}

function busy(m: FakeMachine, selector: number): boolean {
  return m.ram.getUint8(GDT + selector + 5) === BUSY || (m.ram.getUint8(GDT + selector + 5) & 2) === 2;
}

describe('task switches', () => {
  it('by JMP save the old task and load the new one', () => {
    const m = withTask(new FakeMachine().enterProtected());
    for (let i = 0; i < 8; i++) if (i !== 4) m.state.setReg32(i, 0xa0 + i);
    m.state.setEflags(EFLAGS.CF | 2);
    m.ops.farJump(0x60, 0, 4);
    expect(m.state.eip).toBe(0x4321);
    expect(m.state.reg32(4)).toBe(0x9000);
    expect(m.state.reg32(7)).toBe(0x8888_8888);
    expect(m.state.getEflags()).toBe(EFLAGS.IF | 2);
    expect(m.state.segments[TR]).toMatchObject({ selector: 0x60, base: NEW });
    expect(m.state.cr0 & CR0.TS).toBe(CR0.TS);
    expect([busy(m, 0x28), busy(m, 0x60)]).toEqual([false, true]);
    expect(m.ram.getUint32(TSS + 0x20, true)).toBe(0x1234);
    expect(m.ram.getUint32(TSS + 0x24, true)).toBe(EFLAGS.CF | 2);
    expect(m.ram.getUint32(TSS + 0x38, true)).toBe(0x6000);
    expect(m.ram.getUint32(TSS + 0x44, true)).toBe(0xa7);
    expect(m.ram.getUint16(TSS + 0x4c, true)).toBe(0x08);
    expect(m.ram.getUint16(TSS + 0x54, true)).toBe(0x10);
  });

  it('by CALL nest and IRET returns', () => {
    const m = withTask(new FakeMachine().enterProtected());
    m.ops.farCall(0x60, 0, 4);
    expect(m.state.eflagsSystem & EFLAGS.NT).toBe(EFLAGS.NT);
    expect(m.ram.getUint16(NEW, true)).toBe(0x28);
    expect([busy(m, 0x28), busy(m, 0x60)]).toEqual([true, true]);
    m.state.eip = 0x5000;
    m.ops.iret(4);
    expect([m.state.eip, m.state.reg32(4), m.state.segments[TR]!.selector]).toEqual([0x1234, 0x6000, 0x28]);
    expect([busy(m, 0x28), busy(m, 0x60)]).toEqual([true, false]);
    expect(m.ram.getUint32(NEW + 0x20, true)).toBe(0x5000);
    expect(m.ram.getUint32(NEW + 0x24, true) & EFLAGS.NT).toBe(0);
  });

  it('through a task gate with an error code', () => {
    const m = withTask(new FakeMachine().enterProtected(3));
    m.setGate(IDT + 13 * 8, 0x60, 0, 5);
    m.ops.deliverException(VECTOR.GP, 0x18);
    expect(m.state.eip).toBe(0x4321);
    expect(m.stack(1)).toEqual([0x18]);
    expect(m.ram.getUint32(TSS + 0x24, true) & EFLAGS.RF).toBe(EFLAGS.RF);
    expect(m.state.cpl).toBe(0);
  });

  it('by JMP through a task gate in the GDT', () => {
    const m = withTask(new FakeMachine().enterProtected(3));
    m.setGate(GDT + 0x50, 0x60, 0, 5, 3);
    m.ops.farJump(0x53, 0x999, 4);
    expect(m.state.eip).toBe(0x4321);
  });

  it('to VM86', () => {
    const m = withTask(new FakeMachine().enterProtected(), { 36: EFLAGS.VM | 2, 76: 0x1000, 80: 0x2000 });
    m.ops.farJump(0x60, 0, 4);
    expect(m.state.vm86).toBe(true);
    expect(m.state.cpl).toBe(3);
    expect([m.state.segments[CS]!.base, m.state.segments[SS]!.base]).toEqual([0x10000, 0x20000]);
  });

  it('between 16-bit tasks', () => {
    const m = new FakeMachine().enterProtected();
    m.setDescriptor(0x60, { type: 1, base: NEW, limit: 0x2b, granularity: 0 });
    const words: Record<number, number> = {
      14: 0x777,
      16: 0x0202,
      18: 0xaaaa,
      26: 0x9000,
      34: 0x10,
      36: 0x08,
      38: 0x10,
      40: 0x10,
    };
    for (const [offset, value] of Object.entries(words)) m.ram.setUint16(NEW + Number(offset), value, true);
    m.ops.farCall(0x60, 0, 4);
    expect([m.state.eip, m.state.reg16(0), m.state.reg16(4)]).toEqual([0x777, 0xaaaa, 0x9000]);
    expect(m.state.getEflags()).toBe(EFLAGS.NT | 0x202);
    m.ops.iret(4);
    expect([m.state.eip, m.state.segments[TR]!.selector]).toEqual([0x1234, 0x28]);
  });

  it('load CR3 and LDT of the new task', () => {
    const m = withTask(new FakeMachine().enterProtected(), { 28: 0x10_0000, 96: 0x30 });
    m.enablePaging();
    m.state.cr3 = 0x10_0000;
    m.ram.setUint32(0x20_0000, 0x10_1007, true);
    m.ram.setUint32(NEW + 0x1c, 0x20_0000, true);
    const flushes = m.flushes;
    m.ops.farJump(0x60, 0, 4);
    expect(m.state.low(FIELDS.cr3)).toBe(0x20_0000);
    expect(m.flushes).toBe(flushes + 1);
    expect(m.state.segments[LDTR]).toMatchObject({ selector: 0x30, limit: 0xff });
  });
});

describe('task switches that fail before the commit', () => {
  it.each([
    [
      'a short TSS',
      (m: FakeMachine) => m.setDescriptor(0x60, { type: 9, base: NEW, limit: 0x66, granularity: 0, dpl: 3 }),
      VECTOR.TS,
      0x60,
    ],
    [
      'a busy TSS',
      (m: FakeMachine) => m.setDescriptor(0x60, { type: 11, base: NEW, limit: 0x67, granularity: 0, dpl: 3 }),
      VECTOR.GP,
      0x60,
    ],
    [
      'an absent TSS',
      (m: FakeMachine) =>
        m.setDescriptor(0x60, { type: 9, base: NEW, limit: 0x67, granularity: 0, dpl: 3, present: false }),
      VECTOR.NP,
      0x60,
    ],
    [
      'a TSS of an inner level',
      (m: FakeMachine) => {
        m.setDescriptor(0x60, { type: 9, base: NEW, limit: 0x67, granularity: 0, dpl: 0 });
        m.setLevel(3);
      },
      VECTOR.GP,
      0x60,
    ],
  ] as const)('%s leaves the old task running', (_name, spoil, vector, errorCode) => {
    const m = withTask(new FakeMachine().enterProtected());
    spoil(m);
    expect(m.fault(() => m.ops.farJump(0x60, 0, 4))).toEqual({ vector, errorCode });
    expect([m.state.eip, m.state.segments[TR]!.selector, busy(m, 0x28)]).toEqual([0x1234, 0x28, true]);
  });

  it('IRET to a task that is not busy', () => {
    const m = withTask(new FakeMachine().enterProtected());
    m.ram.setUint16(TSS, 0x60, true);
    m.state.setEflags(EFLAGS.NT | 2);
    expect(m.fault(() => m.ops.iret(4))).toEqual({ vector: VECTOR.TS, errorCode: 0x60 });
    m.ram.setUint16(TSS, 0x64, true);
    expect(m.fault(() => m.ops.iret(4))).toEqual({ vector: VECTOR.TS, errorCode: 0x64 });
  });

  it('an unwritable old TSS is a page fault', () => {
    const m = withTask(new FakeMachine().enterProtected());
    const table = m.enablePaging();
    m.state.cr0 = (m.state.cr0 | CR0.WP) >>> 0;
    m.ram.setUint32(table + 3 * 4, 0x3000 | 1, true);
    expect(m.fault(() => m.ops.farJump(0x60, 0, 4))).toEqual({ vector: VECTOR.PF, errorCode: 3 });
    expect(m.state.segments[TR]!.selector).toBe(0x28);
  });
});

describe('faults in the new task', () => {
  it.each([
    ['null CS', { 76: 0 }, VECTOR.TS, 0],
    ['data as CS', { 76: 0x10 }, VECTOR.TS, 0x10],
    ['CS RPL above DPL', { 76: 0x0b, 80: 0x10 }, VECTOR.TS, 0x08],
    ['null SS', { 80: 0 }, VECTOR.TS, 0],
    ['SS of another level', { 80: 0x23 }, VECTOR.TS, 0x20],
    ['an absent DS', { 84: 0x70 }, VECTOR.NP, 0x70],
    ['a system descriptor in DS', { 84: 0x28 }, VECTOR.TS, 0x28],
    ['a bad LDT', { 96: 0x08 }, VECTOR.TS, 0x08],
  ] as const)('%s is delivered there', (_name, changes, vector, errorCode) => {
    const m = withTask(new FakeMachine().enterProtected(), changes);
    m.setDescriptor(0x70, { type: 0x12, present: false });
    // The handlers are tasks too: the new one's stack may be unusable.
    m.setDescriptor(0x68, { type: 9, base: 0x3a00, limit: 0x67, granularity: 0 });
    for (const [offset, value] of [
      [0x20, 0x8765],
      [0x24, 2],
      [0x38, 0xa000],
      [0x4c, 8],
      [0x50, 0x10],
    ])
      m.ram.setUint32(0x3a00 + offset!, value!, true);
    for (const fault of [VECTOR.TS, VECTOR.NP]) m.setGate(IDT + fault * 8, 0x68, 0, 5);
    expect(m.fault(() => m.ops.farJump(0x60, 0, 4))).toBeNull();
    expect(m.state.eip).toBe(0x8765);
    expect(m.stack(1)).toEqual([errorCode]);
    expect(m.ram.getUint16(0x3a00, true)).toBe(0x60);
    expect(m.ram.getUint32(NEW + 0x20, true)).toBe(0x4321);
    expect(vector).toBeGreaterThan(0);
    expect(m.state.segments[DS]!.selector).toBe(0);
  });

  it('EIP beyond the limit and the debug trap bit', () => {
    const m = withTask(new FakeMachine().enterProtected(), { 100: 1 });
    m.ops.farJump(0x60, 0, 4);
    expect(m.state.eip).toBe(1 * 16);
    expect(m.state.low(FIELDS.dr, 6)).toBe(0xffff_8ff0);
    const n = withTask(new FakeMachine().enterProtected(), { 76: 0x78 });
    n.setDescriptor(0x78, { type: 0x1a, limit: 0xfff, granularity: 4 });
    n.ops.farJump(0x60, 0, 4);
    expect(n.state.eip).toBe(13 * 16);
    expect(n.stack(3)).toEqual([0, 0x4321, 0x78]);
  });
});
