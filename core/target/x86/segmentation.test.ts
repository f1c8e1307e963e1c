import { describe, expect, it } from 'vitest';
import { VECTOR } from './fault.ts';
import { CS, DS, ES, FS, LDTR, SS, TR } from './state.ts';
import { FakeMachine, GDT, LDT } from './testing/fake-machine.ts';

const GP = (errorCode: number) => ({ vector: VECTOR.GP, errorCode });
const NP = (errorCode: number) => ({ vector: VECTOR.NP, errorCode });
const STACK = (errorCode: number) => ({ vector: VECTOR.SS, errorCode });

describe('segment loads in real mode', () => {
  it('change selector and base and keep limit and attributes', () => {
    const m = new FakeMachine();
    m.state.segments[DS]!.set(0, 0, 0xffff_ffff, 0x8f_9300);
    m.ops.loadSegment(DS, 0xb800);
    expect(m.state.segments[DS]).toMatchObject({
      selector: 0xb800,
      base: 0xb8000,
      limit: 0xffff_ffff,
      flags: 0x8f_9300,
    });
  });
});

describe('segment loads in protected mode', () => {
  it('decode base, limit and granularity and set the accessed bit', () => {
    const m = new FakeMachine().enterProtected();
    m.setDescriptor(0x50, { base: 0x1234_5678, limit: 0xabcde, type: 0x12, granularity: 0xc });
    m.ops.loadSegment(ES, 0x50);
    expect(m.state.segments[ES]).toMatchObject({ selector: 0x50, base: 0x1234_5678, limit: 0xabcd_efff });
    expect(m.ram.getUint8(GDT + 0x55)).toBe(0x93);
    expect(m.state.segments[ES]!.flags & 0x100).toBe(0x100);
    m.setDescriptor(0x50, { limit: 0x1234, type: 0x12, granularity: 0 });
    m.ops.loadSegment(ES, 0x50);
    expect(m.state.segments[ES]!.limit).toBe(0x1234);
  });

  it('take null for data segments but not for SS', () => {
    const m = new FakeMachine().enterProtected();
    m.ops.loadSegment(FS, 3);
    expect(m.state.segments[FS]).toMatchObject({ selector: 3, base: 0, limit: 0, flags: 0 });
    expect(m.fault(() => m.ops.loadSegment(SS, 0))).toEqual(GP(0));
  });

  it('refuse selectors outside of the table', () => {
    const m = new FakeMachine().enterProtected();
    expect(m.fault(() => m.ops.loadSegment(DS, 0x200))).toEqual(GP(0x200));
    expect(m.fault(() => m.ops.loadSegment(DS, 0x203))).toEqual(GP(0x200));
    expect(m.fault(() => m.ops.loadSegment(DS, 0x0c))).toEqual(GP(0x0c)); // no LDT
    m.ops.lldt(0x30);
    m.setDescriptor(0x0c, { type: 0x12 });
    expect(m.fault(() => m.ops.loadSegment(DS, 0x0c))).toBeNull();
    expect(m.ram.getUint8(LDT + 8 + 5)).toBe(0x93);
    expect(m.fault(() => m.ops.loadSegment(DS, 0x104))).toEqual(GP(0x104));
  });

  it.each([
    ['execute-only code', { type: 0x18 }, DS, 0x50, 0, GP(0x50)],
    ['a system descriptor', { type: 9 }, DS, 0x50, 0, GP(0x50)],
    ['an absent segment', { type: 0x12, present: false }, DS, 0x50, 0, NP(0x50)],
    ['an absent stack', { type: 0x12, present: false }, SS, 0x50, 0, STACK(0x50)],
    ['a read-only stack', { type: 0x10 }, SS, 0x50, 0, GP(0x50)],
    ['a code stack', { type: 0x1a }, SS, 0x50, 0, GP(0x50)],
    ['a stack of another level', { type: 0x12, dpl: 3 }, SS, 0x50, 0, GP(0x50)],
    ['a stack with another RPL', { type: 0x12 }, SS, 0x53, 0, GP(0x50)],
    ['inner data', { type: 0x12, dpl: 0 }, DS, 0x50, 3, GP(0x50)],
    ['data below the RPL', { type: 0x12, dpl: 1 }, DS, 0x53, 0, GP(0x50)],
    ['inner code', { type: 0x1a, dpl: 0 }, DS, 0x50, 3, GP(0x50)],
  ] as const)('refuse %s and leave the register alone', (_name, spec, index, selector, cpl, expected) => {
    const m = new FakeMachine().enterProtected(cpl);
    m.setDescriptor(0x50, spec);
    const before = { ...m.state.segments[index]! };
    const { selector: oldSelector } = m.state.segments[index]!;
    expect(m.fault(() => m.ops.loadSegment(index, selector))).toEqual(expected);
    expect(m.state.segments[index]!.selector).toBe(oldSelector);
    expect({ ...m.state.segments[index]! }).toEqual(before);
  });

  it('let every level read conforming code', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setDescriptor(0x50, { type: 0x1e });
    expect(m.fault(() => m.ops.loadSegment(DS, 0x53))).toBeNull();
  });
});

describe('LLDT and LTR', () => {
  it('check table, type and presence', () => {
    const m = new FakeMachine().enterProtected();
    expect(m.fault(() => m.ops.lldt(0x34))).toEqual(GP(0x34));
    expect(m.fault(() => m.ops.lldt(0x10))).toEqual(GP(0x10));
    expect(m.fault(() => m.ops.lldt(0x28))).toEqual(GP(0x28));
    m.setDescriptor(0x30, { type: 2, present: false });
    expect(m.fault(() => m.ops.lldt(0x30))).toEqual(NP(0x30));
    m.ops.lldt(0);
    expect(m.state.segments[LDTR]!.selector).toBe(0);
    expect(m.fault(() => m.ops.ltr(0))).toEqual(GP(0));
    expect(m.fault(() => m.ops.ltr(0x2c))).toEqual(GP(0x2c));
    expect(m.fault(() => m.ops.ltr(0x28))).toEqual(GP(0x28)); // busy since enterProtected
    m.setDescriptor(0x50, { type: 9, present: false });
    expect(m.fault(() => m.ops.ltr(0x50))).toEqual(NP(0x50));
  });

  it('LTR makes the descriptor busy and TR remembers the TSS', () => {
    const m = new FakeMachine().enterProtected();
    expect(m.ram.getUint8(GDT + 0x2d)).toBe(0x8b);
    expect(m.state.segments[TR]).toMatchObject({ selector: 0x28, base: 0x3000, limit: 0x2067 });
  });
});

describe('LAR, LSL, VERR, VERW', () => {
  it('answer for visible descriptors only', () => {
    const m = new FakeMachine().enterProtected(3);
    expect(m.ops.lar(0x23)).toBe(0x00c0_f300);
    expect(m.ops.lar(0x10)).toBe(-1);
    expect(m.ops.lar(0)).toBe(-1);
    expect(m.ops.lar(0x1f8)).toBe(-1); // type 0 is no descriptor
    expect(m.ops.lsl(0x23)).toBe(0xffff_ffff);
    m.setDescriptor(0x50, { type: 0x12, dpl: 3, limit: 0x123, granularity: 0 });
    expect(m.ops.lsl(0x53)).toBe(0x123);
    expect([m.ops.verr(0x23), m.ops.verw(0x23)]).toEqual([true, true]);
    expect([m.ops.verr(0x1b), m.ops.verw(0x1b)]).toEqual([true, false]);
    expect([m.ops.verr(0x10), m.ops.verw(0x10)]).toEqual([false, false]);
  });

  it('know which system types have rights and limits', () => {
    const m = new FakeMachine().enterProtected();
    const rights: number[] = [];
    const limits: number[] = [];
    for (let type = 0; type < 16; type++) {
      m.setDescriptor(0x50, { type, limit: 0x77, granularity: 0 });
      if (m.ops.lar(0x50) !== -1) rights.push(type);
      if (m.ops.lsl(0x50) !== -1) limits.push(type);
      expect(m.ops.verr(0x50)).toBe(false);
    }
    expect(rights).toEqual([1, 2, 3, 4, 5, 9, 11, 12]);
    expect(limits).toEqual([1, 2, 3, 9, 11]);
  });

  it('see conforming code from everywhere and no execute-only code with VERR', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setDescriptor(0x50, { type: 0x1e });
    expect(m.ops.verr(0x53)).toBe(true);
    m.setDescriptor(0x50, { type: 0x18, dpl: 3 });
    expect(m.ops.verr(0x53)).toBe(false);
  });
});

describe('real mode after protected mode', () => {
  it('keeps CS attributes', () => {
    const m = new FakeMachine();
    m.state.segments[CS]!.set(0x8, 0, 0xffff, 0x9e00);
    m.ops.farJump(0xf000, 0x1234, 2);
    expect(m.state.segments[CS]).toMatchObject({ selector: 0xf000, base: 0xf0000, flags: 0x9e00 });
    expect(m.state.eip).toBe(0x1234);
  });
});
