import { describe, expect, it } from 'vitest';
import { VECTOR } from './fault.ts';
import { CS, DS, EFLAGS, ES, FIELDS, FS, GS, SS } from './state.ts';
import { FakeMachine, GDT } from './testing/fake-machine.ts';

const GP = (errorCode: number) => ({ vector: VECTOR.GP, errorCode });
const NP = (errorCode: number) => ({ vector: VECTOR.NP, errorCode });

function push(m: FakeMachine, size: 2 | 4, ...words: number[]): void {
  // First word ends up on top.
  for (const word of [...words].reverse()) {
    const sp = m.state.reg32(4) - size;
    m.state.setReg32(4, sp);
    m.write(m.state.segments[SS]!.base + sp, size, size === 2 ? word & 0xffff : word >>> 0, true);
  }
}

describe('far jumps', () => {
  it('keep CPL in the selector and check the limit', () => {
    const m = new FakeMachine().enterProtected(3);
    m.ops.farJump(0x18, 0x8888, 4);
    expect(m.state.segments[CS]!.selector).toBe(0x1b);
    expect(m.state.eip).toBe(0x8888);
    m.setDescriptor(0x18, { type: 0x1a, dpl: 3, limit: 0xfff, granularity: 4 });
    expect(m.fault(() => m.ops.farJump(0x1b, 0x1000, 4))).toEqual(GP(0));
    m.ops.farJump(0x1b, 0x1_0fff, 2);
    expect(m.state.eip).toBe(0xfff);
  });

  it.each([
    ['null', 3, { type: 0x1a }, 0, GP(0)],
    ['outside', 0, { type: 0x1a }, 0x200, GP(0x200)],
    ['data', 0, { type: 0x12 }, 0x50, GP(0x50)],
    ['inner code', 3, { type: 0x1a, dpl: 0 }, 0x53, GP(0x50)],
    ['outer code', 0, { type: 0x1a, dpl: 3 }, 0x50, GP(0x50)],
    ['RPL above CPL', 0, { type: 0x1a }, 0x51, GP(0x50)],
    ['outer conforming code', 0, { type: 0x1e, dpl: 3 }, 0x50, GP(0x50)],
    ['absent code', 0, { type: 0x1a, present: false }, 0x50, NP(0x50)],
    ['an interrupt gate', 0, { type: 14 }, 0x50, GP(0x50)],
    ['an LDT', 0, { type: 2 }, 0x50, GP(0x50)],
  ] as const)('to %s fault', (_name, cpl, spec, selector, expected) => {
    const m = new FakeMachine().enterProtected(cpl);
    m.setDescriptor(0x50, spec);
    const cs = m.state.segments[CS]!.selector;
    expect(m.fault(() => m.ops.farJump(selector, 0x10, 4))).toEqual(expected);
    expect(m.fault(() => m.ops.farCall(selector, 0x10, 4))).toEqual(expected);
    expect([m.state.segments[CS]!.selector, m.state.eip, m.state.reg32(4)]).toEqual([cs, 0x1234, 0x6000]);
  });

  it('to conforming code keep the level', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setDescriptor(0x50, { type: 0x1e });
    m.ops.farJump(0x50, 0x10, 4);
    expect(m.state.segments[CS]!.selector).toBe(0x53);
    expect(m.state.cpl).toBe(3);
    expect(m.state.segments[CS]!.flags).toBe(0x00cf_9e00);
  });

  it('through call gates only at the same level', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setGate(GDT + 0x50, 0x1b, 0x12_3456, 12, 3);
    m.ops.farJump(0x53, 0, 4);
    expect(m.state.eip).toBe(0x12_3456);
    m.setGate(GDT + 0x50, 0x08, 0x12_3456, 12, 3);
    expect(m.fault(() => m.ops.farJump(0x53, 0, 4))).toEqual(GP(0x08));
    m.setGate(GDT + 0x50, 0x1b, 0, 12, 0);
    expect(m.fault(() => m.ops.farJump(0x53, 0, 4))).toEqual(GP(0x50));
    m.setGate(GDT + 0x50, 0x1b, 0, 12, 3, false);
    expect(m.fault(() => m.ops.farJump(0x53, 0, 4))).toEqual(NP(0x50));
  });
});

describe('far calls', () => {
  it('push CS and EIP', () => {
    const m = new FakeMachine().enterProtected();
    m.ops.farCall(0x08, 0x4444, 4);
    expect(m.stack(2)).toEqual([0x1234, 0x08]);
    m.ops.farCall(0x08, 0x5555, 2);
    expect(m.stack(2, 2)).toEqual([0x4444, 0x08]);
    expect(m.state.eip).toBe(0x5555);
  });

  it('in real mode', () => {
    const m = new FakeMachine();
    m.state.setReg32(4, 0x100);
    m.state.eip = 0x10;
    m.ops.farCall(0x1234, 0x5678, 2);
    expect(m.stack(2, 2)).toEqual([0x10, 0xf000]);
    expect(m.state.segments[CS]!.base).toBe(0x12340);
    m.ops.farReturn(2, 4);
    expect([m.state.segments[CS]!.selector, m.state.eip, m.state.reg32(4)]).toEqual([0xf000, 0x10, 0x104]);
  });

  it('stop before anything changes when the stack ends', () => {
    const m = new FakeMachine().enterProtected();
    m.state.segments[SS]!.set(0x10, 0, 0x5ffb, 0x40_9300);
    expect(m.fault(() => m.ops.farCall(0x08, 0x4444, 4))).toEqual({ vector: VECTOR.SS, errorCode: 0 });
    expect([m.state.eip, m.state.reg32(4)]).toEqual([0x1234, 0x6000]);
  });

  it('through a 32-bit gate to ring 0 copy parameters', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setGate(GDT + 0x50, 0x08, 0x9999, 12, 3, true, 3);
    push(m, 4, 0x11, 0x22, 0x33);
    const esp = m.state.reg32(4);
    m.ops.farCall(0x53, 0, 4);
    expect(m.state.cpl).toBe(0);
    expect(m.state.segments[SS]!.selector).toBe(0x10);
    expect(m.stack(7)).toEqual([0x1234, 0x1b, 0x11, 0x22, 0x33, esp, 0x23]);
    expect(m.state.eip).toBe(0x9999);
    m.ops.farReturn(4, 12);
    expect(m.state.cpl).toBe(3);
    expect([m.state.eip, m.state.reg32(4), m.state.segments[SS]!.selector]).toEqual([0x1234, 0x6000, 0x23]);
  });

  it('through a 16-bit gate push words', () => {
    const m = new FakeMachine().enterProtected(3);
    m.setGate(GDT + 0x50, 0x08, 0xffff_9999, 4, 3, true, 1);
    push(m, 2, 0x77);
    m.ops.farCall(0x53, 0, 4);
    expect(m.stack(5, 2)).toEqual([0x1234, 0x1b, 0x77, 0x5ffe, 0x23]);
    expect(m.state.eip).toBe(0x9999);
  });

  it('through a gate check the target', () => {
    const m = new FakeMachine().enterProtected(1);
    m.setGate(GDT + 0x50, 0x18, 0, 12, 3);
    expect(m.fault(() => m.ops.farCall(0x51, 0, 4))).toEqual(GP(0x18));
    m.setGate(GDT + 0x50, 0, 0, 12, 3);
    expect(m.fault(() => m.ops.farCall(0x51, 0, 4))).toEqual(GP(0));
    m.setGate(GDT + 0x50, 0x10, 0, 12, 3);
    expect(m.fault(() => m.ops.farCall(0x51, 0, 4))).toEqual(GP(0x10));
    m.setDescriptor(0x58, { type: 0x1a, present: false });
    m.setGate(GDT + 0x50, 0x58, 0, 12, 3);
    expect(m.fault(() => m.ops.farCall(0x51, 0, 4))).toEqual(NP(0x58));
  });
});

describe('far returns', () => {
  it('to an outer level drop segments that it may not use', () => {
    const m = new FakeMachine().enterProtected(0);
    m.ops.loadSegment(ES, 0x23);
    m.setDescriptor(0x58, { type: 0x1e });
    m.ops.loadSegment(FS, 0x58);
    push(m, 4, 0x777, 0x1b, 0xaaaa, 0xbbbb, 0x4000, 0x23);
    m.ops.farReturn(4, 8);
    expect(m.state.cpl).toBe(3);
    expect(m.state.eip).toBe(0x777);
    expect(m.state.reg32(4)).toBe(0x4008);
    expect(m.state.segments[DS]).toMatchObject({ selector: 0, flags: 0 });
    expect(m.state.segments[GS]!.selector).toBe(0);
    expect(m.state.segments[ES]!.selector).toBe(0x23);
    expect(m.state.segments[FS]!.selector).toBe(0x58);
  });

  it.each([
    ['null CS', 3, [0x10, 3, 0x4000, 0x23], GP(0)],
    ['an inner level', 3, [0x10, 0x08, 0x4000, 0x23], GP(0x08)],
    ['data', 0, [0x10, 0x10, 0x4000, 0x23], GP(0x10)],
    ['another DPL', 0, [0x10, 0x0b, 0x4000, 0x23], GP(0x08)],
    ['a null stack', 0, [0x10, 0x1b, 0x4000, 0], GP(0)],
    ['an inner stack', 0, [0x10, 0x1b, 0x4000, 0x10], GP(0x10)],
    ['a stack RPL that differs', 0, [0x10, 0x1b, 0x4000, 0x20], GP(0x20)],
    ['code as stack', 0, [0x10, 0x1b, 0x4000, 0x1b], GP(0x18)],
    ['absent code', 0, [0x10, 0x60, 0x4000, 0x23], NP(0x60)],
    ['an absent stack', 0, [0x10, 0x1b, 0x4000, 0x6b], { vector: VECTOR.SS, errorCode: 0x68 }],
  ] as const)('to %s fault before any change', (_name, cpl, words, expected) => {
    for (const kind of ['ret', 'iret'] as const) {
      const m = new FakeMachine().enterProtected(cpl);
      m.setDescriptor(0x60, { type: 0x1a, present: false });
      m.setDescriptor(0x68, { type: 0x12, dpl: 3, present: false });
      const [eip, cs, esp, ss] = words;
      if (kind === 'ret') push(m, 4, eip, cs, esp, ss);
      else push(m, 4, eip, cs, 2, esp, ss);
      const before = m.state.reg32(4);
      expect(m.fault(() => (kind === 'ret' ? m.ops.farReturn(4, 0) : m.ops.iret(4)))).toEqual(expected);
      expect([m.state.reg32(4), m.state.eip, m.state.cpl]).toEqual([before, 0x1234, cpl]);
    }
  });
});

describe('IRET', () => {
  const ALL = 0x003f_7fd7;

  it('changes only the flags that the level may change', () => {
    const m = new FakeMachine().enterProtected(0);
    push(m, 4, 0x10, 0x08, ALL & ~(EFLAGS.VM | EFLAGS.NT));
    m.ops.iret(4);
    expect(m.state.getEflags()).toBe(ALL & ~(EFLAGS.VM | EFLAGS.NT | EFLAGS.RF));
    const user = new FakeMachine().enterProtected(3);
    push(user, 4, 0x10, 0x1b, ALL);
    user.ops.iret(4);
    expect(user.state.getEflags()).toBe(0x0024_4dd7);
    const trusted = new FakeMachine().enterProtected(3);
    trusted.state.setEflags(0x3002);
    push(trusted, 4, 0x10, 0x1b, EFLAGS.IF);
    trusted.ops.iret(4);
    expect(trusted.state.getEflags()).toBe(EFLAGS.IF | 0x3002);
  });

  it('keeps RF when breakpoints are set', () => {
    const m = new FakeMachine().enterProtected(0);
    m.ops.writeDr(7, 1);
    push(m, 4, 0x10, 0x08, EFLAGS.RF);
    m.ops.iret(4);
    expect(m.state.getEflags() & EFLAGS.RF).toBe(EFLAGS.RF);
  });

  it('leaves the upper half alone with 16 bits', () => {
    const m = new FakeMachine().enterProtected(0);
    m.state.setEflags(EFLAGS.ID | EFLAGS.AC | 2);
    push(m, 2, 0x10, 0x08, 0x3fd7);
    m.ops.iret(2);
    expect(m.state.getEflags()).toBe(EFLAGS.ID | EFLAGS.AC | 0x3fd7);
  });

  it('enters VM86 from ring 0', () => {
    const m = new FakeMachine().enterProtected(0);
    push(m, 4, 0x55, 0x1000, EFLAGS.VM | EFLAGS.IF | 2, 0xfff0, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000);
    m.ops.iret(4);
    expect(m.state.vm86).toBe(true);
    expect(m.state.cpl).toBe(3);
    expect([CS, SS, ES, DS, FS, GS].map((i) => m.state.segments[i]!.base)).toEqual([
      0x10000, 0x20000, 0x30000, 0x40000, 0x50000, 0x60000,
    ]);
    expect(m.state.segments[CS]).toMatchObject({ limit: 0xffff, flags: 0xf300 });
    expect([m.state.eip, m.state.reg32(4)]).toEqual([0x55, 0xfff0]);
  });

  it('in VM86 needs IOPL 3 and cannot change it', () => {
    const m = new FakeMachine().enterProtected(0);
    push(m, 4, 0x55, 0x100, EFLAGS.VM | 2, 0x800, 0x200, 0, 0, 0, 0);
    m.ops.iret(4);
    expect(m.fault(() => m.ops.iret(2))).toEqual(GP(0));
    m.state.setEflags(EFLAGS.VM | 0x3002);
    m.write(0x2800, 2, 0x66);
    m.write(0x2802, 2, 0x300);
    m.write(0x2804, 2, 0x0203);
    m.ops.iret(2);
    expect(m.state.getEflags()).toBe(EFLAGS.VM | 0x3203);
    expect([m.state.segments[CS]!.base, m.state.eip, m.state.reg32(4)]).toEqual([0x3000, 0x66, 0x806]);
  });
});

describe('fast system calls', () => {
  it('SYSENTER and SYSEXIT load flat segments', () => {
    const m = new FakeMachine().enterProtected(3);
    expect(m.fault(() => m.ops.sysenter())).toEqual(GP(0));
    m.state.set(FIELDS.sysenterCs, 0x08);
    m.state.set(FIELDS.sysenterEsp, 0x7000);
    m.state.set(FIELDS.sysenterEip, 0x9000);
    expect(m.fault(() => m.ops.sysexit(4))).toEqual(GP(0));
    m.state.setEflags(EFLAGS.IF | 3);
    m.ops.sysenter();
    expect(m.state.segments[CS]).toMatchObject({ selector: 8, limit: 0xffff_ffff, flags: 0x00c0_9b00 });
    expect(m.state.segments[SS]).toMatchObject({ selector: 0x10, flags: 0x00c0_9300 });
    expect([m.state.cpl, m.state.eip, m.state.reg32(4), m.state.getEflags()]).toEqual([0, 0x9000, 0x7000, 3]);
    m.state.setReg32(1, 0x4000);
    m.state.setReg32(2, 0x5000);
    m.ops.sysexit(4);
    expect([m.state.cpl, m.state.eip, m.state.reg32(4)]).toEqual([3, 0x5000, 0x4000]);
    expect(m.state.segments[CS]).toMatchObject({ selector: 0x1b, flags: 0x00c0_fb00 });
    expect(m.state.segments[SS]!.selector).toBe(0x23);
  });

  it('SYSCALL needs EFER.SCE', () => {
    const m = new FakeMachine().enterProtected(3);
    expect(m.fault(() => m.ops.syscall())).toEqual({ vector: VECTOR.UD, errorCode: undefined });
    m.state.set(FIELDS.efer, 1);
    m.state.setParts(FIELDS.star, 0x9000, 0x0013_0008);
    m.ops.syscall();
    expect([m.state.cpl, m.state.eip, m.state.reg32(1), m.state.segments[SS]!.selector]).toEqual([
      0, 0x9000, 0x1234, 0x10,
    ]);
    m.ops.sysret(4);
    expect([m.state.cpl, m.state.eip, m.state.segments[CS]!.selector, m.state.segments[SS]!.selector]).toEqual([
      3, 0x1234, 0x13, 0x1b,
    ]);
  });
});
