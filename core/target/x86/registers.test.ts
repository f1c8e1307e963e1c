/** Control and debug registers, MSRs, SMM, reset values, I/O bitmap and `info registers`. */
import { describe, expect, it } from 'vitest';
import { hasBreakpoints, matchBreakpoints, recordDebugException } from './debug-registers.ts';
import { VECTOR } from './fault.ts';
import { readTsc } from './msr.ts';
import { infoRegisters } from './registers-text.ts';
import { CR0, CR4, CS, DS, EFER, EFLAGS, FIELDS, GS, SS } from './state.ts';
import { FakeMachine, TSS } from './testing/fake-machine.ts';

const GP0 = { vector: VECTOR.GP, errorCode: 0 };

/** HMP `info registers` of QEMU 7.2 before the first instruction. */
const RESET_TEXT = `EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000000
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 00000000 0000ffff 00009300
CS =f000 ffff0000 0000ffff 00009b00
SS =0000 00000000 0000ffff 00009300
DS =0000 00000000 0000ffff 00009300
FS =0000 00000000 0000ffff 00009300
GS =0000 00000000 0000ffff 00009300
LDT=0000 00000000 0000ffff 00008200
TR =0000 00000000 0000ffff 00008b00
GDT=     00000000 0000ffff
IDT=     00000000 0000ffff
CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000
DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 
DR6=00000000ffff0ff0 DR7=0000000000000400
EFER=0000000000000000
FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
FPR2=0000000000000000 0000 FPR3=0000000000000000 0000
FPR4=0000000000000000 0000 FPR5=0000000000000000 0000
FPR6=0000000000000000 0000 FPR7=0000000000000000 0000
XMM00=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000
XMM02=0000000000000000 0000000000000000 XMM03=0000000000000000 0000000000000000
XMM04=0000000000000000 0000000000000000 XMM05=0000000000000000 0000000000000000
XMM06=0000000000000000 0000000000000000 XMM07=0000000000000000 0000000000000000
`;

describe('process-context identifiers (SDM volume 3A section 4.10.1)', () => {
  /** IA-32e mode with paging, all in compatibility mode: MOV CR0 may turn paging off there. */
  function long(cr4: number = CR4.PAE, cr3 = 0) {
    const m = new FakeMachine('max').enterProtected();
    m.state.efer = EFER.LME | EFER.LMA;
    m.state.cr4 = cr4;
    m.state.cr3 = cr3;
    m.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
    m.invalidations.length = 0;
    return m;
  }
  const ON = CR4.PAE | CR4.PCIDE;
  it('go on in long mode alone, with the current one 0', () => {
    const legacy = new FakeMachine('max').enterProtected();
    expect(legacy.fault(() => legacy.ops.writeCr(4, ON))).toEqual(GP0);
    const other = long(CR4.PAE, 0x1001);
    expect(other.fault(() => other.ops.writeCr(4, ON))).toEqual(GP0);
    const m = long();
    expect(m.fault(() => m.ops.writeCr(4, ON))).toBeNull();
    expect(m.state.cr4).toBe(ON);
  });
  it('need a CPU that has them', () => {
    const m = new FakeMachine('qemu64').enterProtected();
    m.state.efer = EFER.LME | EFER.LMA;
    expect(m.fault(() => m.ops.writeCr(4, ON))).toEqual(GP0);
  });
  it('forbid to turn paging off, and going off drops everything', () => {
    const m = long(ON);
    expect(m.fault(() => m.ops.writeCr(0, CR0.PE | CR0.ET))).toEqual(GP0);
    expect(m.fault(() => m.ops.writeCr(4, CR4.PAE))).toBeNull();
    expect(m.invalidations).toEqual(['all']);
  });
  it('MOV to CR3 selects one; bit 63 is not stored, and reserved without them', () => {
    const m = long(ON);
    m.ops.writeCr(3, 0x7002, 0x8000_0000);
    m.ops.writeCr(3, 0x8003, 0);
    expect(m.invalidations).toEqual(['select 2 kept', 'select 3']);
    m.ops.writeCr(3, 0x7002, 0x8000_0001);
    expect([m.state.low(FIELDS.cr3), m.state.high(FIELDS.cr3)]).toEqual([0x7002, 1]);
    expect(m.fault(() => m.ops.writeCr(3, 0, 0xc000_0000))).toEqual(GP0);
    const without = long();
    expect(without.fault(() => without.ops.writeCr(3, 0x7000, 0x8000_0000))).toEqual(GP0);
  });
  it('INVPCID by type', () => {
    const m = long(ON);
    m.state.cr0 = CR0.PE | CR0.ET; // the fake's memory without page tables
    const AT = 0x8000;
    m.ram.setUint32(AT, 5, true);
    m.ram.setUint32(AT + 8, 0x4000, true);
    for (let type = 0; type < 4; type++) m.ops.invpcid(type, 0, AT);
    expect(m.invalidations).toEqual(['pcid 5 page 4000', 'pcid 5', 'all', 'all but global']);
  });
  it('INVPCID refuses types, PCIDs and addresses that cannot be', () => {
    const fault = (type: number, words: readonly number[], cr4: number = ON, typeHigh = 0) => {
      const m = long(cr4);
      m.state.cr0 = CR0.PE | CR0.ET;
      for (const [i, value] of words.entries()) m.ram.setUint32(0x8000 + i * 4, value, true);
      return m.fault(() => m.ops.invpcid(type, typeHigh, 0x8000));
    };
    expect(fault(4, [0, 0, 0, 0])).toEqual(GP0);
    expect(fault(2, [0, 0, 0, 0], ON, 1)).toEqual(GP0);
    for (const type of [0, 1, 2, 3]) {
      expect(fault(type, [0x1000, 0, 0, 0])).toEqual(GP0);
      expect(fault(type, [0, 1, 0, 0])).toEqual(GP0);
      expect(fault(type, [0, 0, 0, 0], CR4.PAE)).toBeNull();
      expect(fault(type, [1, 0, 0, 0], CR4.PAE)).toEqual(type < 2 ? GP0 : null);
      expect(fault(type, [0, 0, 0, 0x8000])).toEqual(type === 0 ? GP0 : null);
    }
  });
});

describe('reset', () => {
  it('gives the registers that QEMU shows', () => {
    expect(infoRegisters(new FakeMachine().state)).toBe(RESET_TEXT);
  });

  it('INIT keeps MSRs, SMBASE and the cache bits', () => {
    const m = new FakeMachine().enterProtected();
    m.state.smbase = 0xa0000;
    m.state.set(FIELDS.sysenterCs, 8);
    m.state.set(FIELDS.mxcsr, 0x1fa0);
    m.state.cr0 = (CR0.PE | CR0.ET | CR0.TS) >>> 0;
    m.ops.init();
    expect([m.state.smbase, m.state.get(FIELDS.sysenterCs), m.state.low(FIELDS.mxcsr)]).toEqual([0xa0000, 8, 0x1fa0]);
    expect([m.state.cr0, m.state.eip, m.state.segments[CS]!.base]).toEqual([CR0.ET, 0xfff0, 0xffff_0000]);
  });
});

describe('info registers', () => {
  it('explains segments in protected mode', () => {
    const m = new FakeMachine().enterProtected(3);
    m.state.setEflags(0xcd7);
    m.state.segments[SS]!.set(0x23, 0x1000, 0xffff, 0x0000_f600);
    const lines = infoRegisters(m.state).split('\n');
    expect(lines[2]).toBe('EIP=00001234 EFL=00000cd7 [DOSZAPC] CPL=3 II=0 A20=1 SMM=0 HLT=0');
    expect(lines[4]).toBe('CS =001b 00000000 ffffffff 00c0fb00 DPL=3 CS32 [-RA]');
    expect(lines[5]).toBe('SS =0023 00001000 0000ffff 0000f600 DPL=3 DS16 [EW-]');
    expect(lines[6]).toBe('DS =0023 00000000 ffffffff 00c0f300 DPL=3 DS   [-WA]'.replace('DS   [', 'DS   ['));
    expect(lines[9]).toBe('LDT=0000 00000000 0000ffff 00008200 DPL=0 LDT');
    expect(lines[10]).toBe('TR =0028 00003000 00002067 00008900 DPL=0 TSS32-avl');
  });
  it('shows bases of the upper half in long mode', () => {
    const m = new FakeMachine().enterProtected();
    m.state.efer = EFER.LME | EFER.LMA;
    m.state.segments[CS]!.set(0x10, 0, 0xffff_ffff, 0x00a0_9b00);
    m.state.segments[GS]!.setBase(0x0012_3000, 0xffff_8b84);
    m.state.setParts(FIELDS.gdtBase, 0x0000_1000, 0xffff_fe00);
    const lines = infoRegisters(m.state).split('\n');
    expect(lines.find((line) => line.startsWith('GS'))).toMatch(/^GS =[0-9a-f]{4} ffff8b8400123000 /);
    expect(lines.find((line) => line.startsWith('GDT'))).toMatch(/^GDT= {5}fffffe0000001000 /);
  });
});

describe('control registers', () => {
  it('CR4 takes what the model has', () => {
    const cr4After = (model: string, value: number) => {
      const machine = new FakeMachine(model);
      return machine.fault(() => machine.ops.writeCr(4, value)) ?? machine.state.cr4;
    };
    expect(cr4After('pentium,check=off', CR4.OSFXSR | CR4.DE)).toBe(CR4.DE);
    expect(cr4After('pentium2', CR4.OSFXSR)).toBe(CR4.OSFXSR);
    expect(cr4After('pentium2', CR4.VME)).toEqual(GP0);
    expect(cr4After('pentium2,+vme', CR4.VME | CR4.PVI)).toBe(CR4.VME | CR4.PVI);
  });

  it('refuse impossible CR0 and CR4 values', () => {
    const m = new FakeMachine();
    expect(m.fault(() => m.ops.writeCr(0, CR0.PG))).toEqual(GP0);
    expect(m.fault(() => m.ops.writeCr(0, CR0.NW))).toEqual(GP0);
    expect(m.fault(() => m.ops.writeCr(4, 1 << 31))).toEqual(GP0);
    expect(m.fault(() => m.ops.writeCr(4, CR4.SMEP))).toEqual(GP0); // not a feature of qemu64
    expect(m.fault(() => m.ops.writeCr(8, 16))).toEqual(GP0);
    expect(m.fault(() => m.ops.writeCr(5, 0))).toEqual({ vector: VECTOR.UD, errorCode: undefined });
    expect(m.ops.readCr(0)).toBe(0x6000_0010);
    const max = new FakeMachine('max');
    expect(max.fault(() => max.ops.writeCr(4, CR4.SMEP | CR4.PAE))).toBeNull();
  });

  it('flush what a change makes stale', () => {
    const m = new FakeMachine().enterProtected();
    const flushesOf = (action: () => void) => {
      const before = m.flushes;
      action();
      return m.flushes - before;
    };
    expect(flushesOf(() => m.ops.writeCr(0, 0x8000_0011))).toBe(1);
    expect(flushesOf(() => m.ops.writeCr(0, 0x8001_0011))).toBe(1);
    expect(flushesOf(() => m.ops.writeCr(0, 0x8001_0019))).toBe(0);
    expect(flushesOf(() => m.ops.writeCr(3, 0x1000))).toBe(1);
    expect(flushesOf(() => m.ops.writeCr(4, CR4.PGE))).toBe(1);
    expect(flushesOf(() => m.ops.writeCr(4, CR4.PGE | CR4.TSD))).toBe(0);
    expect(m.ops.readCr(0)).toBe(0x8001_0019);
  });
});

describe('debug registers', () => {
  it('keep their fixed bits', () => {
    const m = new FakeMachine();
    m.ops.writeDr(6, 0);
    m.ops.writeDr(7, 0xffff_dfff);
    expect([m.ops.readDr(6), m.ops.readDr(7)]).toEqual([0xffff_0ff0, 0xffff_07ff]);
    expect(m.ops.readDr(4)).toBe(m.ops.readDr(6));
    m.ops.writeCr(4, CR4.DE);
    expect(m.fault(() => m.ops.readDr(5))).toEqual({ vector: VECTOR.UD, errorCode: undefined });
  });

  it('general detect guards every access once', () => {
    const m = new FakeMachine();
    m.ops.writeDr(7, 1 << 13);
    expect(m.fault(() => m.ops.writeDr(0, 1))).toEqual({ vector: VECTOR.DB, errorCode: undefined });
    expect(m.ops.readDr(6)).toBe(0xffff_2ff0);
    expect(m.ops.readDr(0)).toBe(0);
  });

  it('match breakpoints by kind and aligned length', () => {
    const m = new FakeMachine();
    const { state } = m;
    expect(hasBreakpoints(state)).toBe(false);
    m.ops.writeDr(0, 0x1002);
    m.ops.writeDr(1, 0x2000);
    m.ops.writeDr(2, 0x3000);
    // 0: execute; 1: write 4 bytes; 2: access 2 bytes
    m.ops.writeDr(7, 0x15 | (1 << 20) | (3 << 22) | (3 << 24) | (1 << 26));
    expect(hasBreakpoints(state)).toBe(true);
    expect(matchBreakpoints(state, 0x1002, 1, 'execute')).toBe(1);
    expect(matchBreakpoints(state, 0x1001, 1, 'execute')).toBe(0);
    expect(matchBreakpoints(state, 0x2003, 1, 'write')).toBe(2);
    expect(matchBreakpoints(state, 0x1ffe, 4, 'write')).toBe(2);
    expect(matchBreakpoints(state, 0x2004, 4, 'write')).toBe(0);
    expect(matchBreakpoints(state, 0x2000, 4, 'read')).toBe(0);
    expect(matchBreakpoints(state, 0x3001, 1, 'read')).toBe(4);
    recordDebugException(state, 4);
    expect(m.ops.readDr(6)).toBe(0xffff_0ff4);
  });
});

describe('MSRs', () => {
  function rdmsr(m: FakeMachine, number: number): [high: number, low: number] {
    m.state.setReg32(1, number);
    m.ops.rdmsr();
    return [m.state.reg32(2), m.state.reg32(0)];
  }
  function wrmsr(m: FakeMachine, number: number, high: number, low: number): void {
    m.state.setReg32(1, number);
    m.state.setReg32(2, high);
    m.state.setReg32(0, low);
    m.ops.wrmsr();
  }

  it('need ring 0', () => {
    const m = new FakeMachine().enterProtected(3);
    expect(m.fault(() => m.ops.rdmsr())).toEqual(GP0);
    expect(m.fault(() => m.ops.wrmsr())).toEqual(GP0);
  });

  it.each([0x175, 0x176, 0x200, 0x20f, 0x250, 0x26f, 0x277, 0x2ff, 0xc000_0081])('%i is storage', (number) => {
    const m = new FakeMachine();
    wrmsr(m, number, 0x1234_5678, 0x9abc_def0);
    expect(rdmsr(m, number)).toEqual([0x1234_5678, 0x9abc_def0]);
  });

  it('do not share storage', () => {
    const m = new FakeMachine();
    const numbers = [
      0x250,
      0x258,
      0x259,
      ...Array.from({ length: 8 }, (_, i) => 0x268 + i),
      ...Array.from({ length: 16 }, (_, i) => 0x200 + i),
    ];
    for (const number of numbers) wrmsr(m, number, number, ~number >>> 0);
    for (const number of numbers) expect(rdmsr(m, number)).toEqual([number, ~number >>> 0]);
  });

  it('have the constants of QEMU', () => {
    const m = new FakeMachine();
    expect(rdmsr(m, 0xfe)).toEqual([0, 0x508]);
    expect(rdmsr(m, 0x179)).toEqual([0, 0x0100_010a]);
    expect(rdmsr(m, 0x17b)).toEqual([0xffff_ffff, 0xffff_ffff]);
    expect(rdmsr(m, 0x400)).toEqual([0xffff_ffff, 0xffff_ffff]);
    expect(rdmsr(m, 0x277)).toEqual([0x0007_0406, 0x0007_0406]);
    expect(rdmsr(m, 0x1b)).toEqual([0, 0xfee0_0900]);
    expect(rdmsr(m, 0x8b)).toEqual([0, 0x0100_0065]);
    expect(rdmsr(m, 0x198)).toEqual([0x400, 1000]);
    expect(rdmsr(m, 0x35)).toEqual([0, 0x1_0001]);
    wrmsr(m, 0xdead, 1, 1);
    expect(rdmsr(m, 0xdead)).toEqual([0, 0]);
  });

  it('machine-check banks take only what they may', () => {
    const m = new FakeMachine();
    wrmsr(m, 0x400, 0, 5);
    expect(rdmsr(m, 0x400)).toEqual([0xffff_ffff, 0xffff_ffff]);
    wrmsr(m, 0x400, 0, 0);
    expect(rdmsr(m, 0x400)).toEqual([0, 0]);
    wrmsr(m, 0x402, 3, 4);
    expect(rdmsr(m, 0x402)).toEqual([3, 4]);
  });

  it('TSC keeps running from what was written', () => {
    const m = new FakeMachine();
    m.tsc = 1000;
    wrmsr(m, 0x10, 1, 5);
    m.tsc = 1010;
    expect(rdmsr(m, 0x10)).toEqual([1, 15]);
    wrmsr(m, 0x10, 0, 0);
    m.tsc = 1011;
    expect(readTsc(m.ctx)).toBe(1);
  });

  it('EFER takes the bits of the features', () => {
    const m = new FakeMachine();
    wrmsr(m, 0xc000_0080, 0, 0xffff_ffff);
    expect(m.state.efer & EFER.NXE).toBe(EFER.NXE);
    expect(m.state.efer & (EFER.LMA | EFER.SVME)).toBe(0);
    const old = new FakeMachine('486');
    wrmsr(old, 0xc000_0080, 0, 0xffff_ffff);
    expect(old.state.efer).toBe(0);
  });
});

describe('system management mode', () => {
  it('saves everything and RSM brings it back', () => {
    const m = new FakeMachine().enterProtected(3);
    for (let i = 0; i < 8; i++) m.state.setReg32(i, 0x1000_0000 + i);
    m.state.setEflags(EFLAGS.IF | EFLAGS.CF | EFLAGS.DF | 2);
    m.state.cr4 = CR4.DE;
    m.state.cr3 = 0x12_3000;
    const before = infoRegisters(m.state);
    m.ops.enterSmm();
    expect(m.state.inSmm).toBe(true);
    expect(m.smram).toEqual([true]);
    expect([m.state.eip, m.state.segments[CS]!.base, m.state.segments[CS]!.selector]).toEqual([
      0x8000, 0x30000, 0x3000,
    ]);
    expect([m.state.cr0 & 0x8000_0001, m.state.cr4, m.state.getEflags(), m.state.cpl]).toEqual([0, 0, 2, 0]);
    expect(m.state.segments[DS]).toMatchObject({ selector: 0, base: 0, limit: 0xffff_ffff });
    expect(m.state.nmiBlocked).toBe(true);
    expect(m.ram.getUint32(0x3fefc, true)).toBe(0x2_0064);
    expect(m.ram.getUint32(0x3ff00, true)).toBe(0x30000);
    expect(m.ram.getUint32(0x3fff8, true)).toBe(0x1000_0000);
    m.ram.setUint32(0x3ff00, 0xa0000, true);
    m.ops.rsm();
    expect(infoRegisters(m.state)).toBe(before);
    expect(m.state.smbase).toBe(0xa0000);
    expect(m.state.cpl).toBe(3);
    expect([m.state.nmiBlocked, m.state.inSmm]).toEqual([false, false]);
    expect(m.smram).toEqual([true, false]);
  });

  it('returns to HLT and to a blocked NMI', () => {
    const m = new FakeMachine();
    m.state.halted = true;
    m.state.nmiBlocked = true;
    m.ops.enterSmm();
    expect(m.state.halted).toBe(false);
    m.ops.iret(2);
    m.ops.rsm();
    expect([m.state.halted, m.state.nmiBlocked]).toEqual([true, true]);
  });

  it('RSM outside of it is #UD', () => {
    const m = new FakeMachine();
    expect(m.fault(() => m.ops.rsm())).toEqual({ vector: VECTOR.UD, errorCode: undefined });
  });
});

describe('I/O permission bitmap', () => {
  function user(): FakeMachine {
    const m = new FakeMachine().enterProtected(3);
    m.ram.setUint16(TSS + 0x66, 0x68, true);
    for (let i = 0; i < 0x2000; i++) m.ram.setUint8(TSS + 0x68 + i, 0xff);
    return m;
  }

  it('allows what has all bits clear', () => {
    const m = user();
    m.ram.setUint8(TSS + 0x68 + (0x3f8 >> 3), 0b1110_0000);
    expect(m.fault(() => m.ops.checkIo(0x3f8, 4))).toBeNull();
    expect(m.fault(() => m.ops.checkIo(0x3fc, 1))).toBeNull();
    expect(m.fault(() => m.ops.checkIo(0x3fd, 1))).toEqual(GP0);
    expect(m.fault(() => m.ops.checkIo(0x3fa, 4))).toEqual(GP0);
    expect(m.fault(() => m.ops.checkIo(0x3f7, 1))).toEqual(GP0);
  });

  it('denies beyond the TSS limit and with a 16-bit TSS', () => {
    const m = user();
    m.ram.setUint16(TSS + 0x66, 0x2060, true);
    expect(m.fault(() => m.ops.checkIo(0, 1))).toEqual(GP0);
    expect(m.fault(() => m.ops.checkIo(0x40, 1))).toEqual(GP0);
    m.state.segments[7]!.set(0x28, TSS, 0x2067, 0x8100);
    m.ram.setUint16(TSS + 0x66, 0x68, true);
    expect(m.fault(() => m.ops.checkIo(0, 1))).toEqual(GP0);
  });
});
