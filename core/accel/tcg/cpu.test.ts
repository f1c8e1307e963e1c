import { describe, expect, it } from 'vitest';
import { CR0, ECX, EDI, EDX, EFLAGS, ESI, ESP } from '../../target/x86/state.ts';
import { type BareMachine, bareMachine, enterFlat32 } from './testing.ts';

const START = 0x1000;
/** Code at START in flat 32-bit mode; faults are noted instead of delivered. */
function machine(
  hex: string,
  ram = 4 << 20,
): BareMachine & { faults: { vector: number; eip: number; error: number | undefined }[] } {
  const m = bareMachine(ram);
  enterFlat32(m, START);
  m.ram.set(
    Uint8Array.from(
      hex
        .replaceAll(' ', '')
        .match(/../g)!
        .map((b) => Number.parseInt(b, 16)),
    ),
    START,
  );
  const faults: { vector: number; eip: number; error: number | undefined }[] = [];
  (m.cpu.ops as { deliverException: (v: number, e: number | undefined) => void }).deliverException = (
    vector,
    error,
  ) => {
    faults.push({ vector, eip: m.cpu.state.eip, error });
    m.cpu.state.halted = true;
  };
  return Object.assign(m, { faults });
}

describe('blocks and control flow', () => {
  it('calls, loops and returns', () => {
    // xor eax,eax; mov ecx,10; 1: call f; loop 1b; jecxz 2f; ud2; 2: hlt; f: push ecx; add eax,[esp]; pop ecx; ret
    const m = machine('31c0b90a000000e807000000e2f9e3020f0bf45103042459c3');
    expect(m.cpu.run(1000)).toBe('halted');
    expect(m.faults).toEqual([]);
    expect(m.cpu.state.reg32(0)).toBe(55);
    expect(m.cpu.executed).toBe(2 + 10 * 6 + 2);
  });

  it('stops at its budget and goes on where it was', () => {
    const m = machine('40 ebfd'); // 1: inc eax; jmp 1b
    expect(m.cpu.run(100)).toBe('budget');
    expect(m.cpu.executed).toBeGreaterThanOrEqual(100);
    expect(m.cpu.executed).toBeLessThan(110);
    m.cpu.run(1000);
    expect(m.cpu.state.reg32(0)).toBe(Math.ceil(m.cpu.executed / 2));
  });

  it('stops at a breakpoint before the instruction, and passes it when run again', () => {
    const m = machine('40 40 40 f4');
    m.cpu.breakpoints.add(START + 2);
    expect(m.cpu.run(100)).toBe('breakpoint');
    expect(m.cpu.state.eip).toBe(START + 2);
    expect(m.cpu.state.reg32(0)).toBe(2);
    expect(m.cpu.run(100)).toBe('halted');
    expect(m.cpu.state.reg32(0)).toBe(3);
  });

  it('runs an instruction that lies in two pages', () => {
    const m = machine('90');
    m.ram.set([0xb8, 0x78, 0x56, 0x34, 0x12, 0xf4], 0x1ffd); // mov eax,0x12345678; hlt
    m.cpu.state.eip = 0x1ffd;
    expect(m.cpu.run(10)).toBe('halted');
    expect(m.cpu.state.reg32(0)).toBe(0x1234_5678);
    // The half in the second page changes.
    m.dma(0x2000, Uint8Array.of(0x99));
    m.cpu.state.halted = false;
    m.cpu.state.eip = 0x1ffd;
    m.cpu.run(10);
    expect(m.cpu.state.reg32(0)).toBe(0x1299_5678);
  });
});

describe('self-modifying code', () => {
  it('sees a change of the next instructions of its own block', () => {
    const m = machine('c6050910000007 90 b001 f4'); // movb $7,patched+1; nop; patched: mov al,1; hlt
    m.cpu.run(100);
    expect(m.cpu.state.reg8(0)).toBe(7);
  });
  it('sees a change of a linked loop', () => {
    // mov ecx,3; xor edx,edx; 1: mov eax,1; add edx,eax; incl the immediate; loop 1b; hlt
    const m = machine('b90300000031d2b80100000001c2ff0508100000e2f1f4');
    m.cpu.run(100);
    expect(m.cpu.state.reg32(EDX)).toBe(1 + 2 + 3);
  });
  it('sees what a device wrote', () => {
    const m = machine('b001 f4');
    m.cpu.run(10);
    m.dma(START + 1, Uint8Array.of(9));
    m.cpu.state.halted = false;
    m.cpu.state.eip = START;
    m.cpu.run(10);
    expect(m.cpu.state.reg8(0)).toBe(9);
  });
});

describe('memory', () => {
  it('accesses across a page end', () => {
    const m = machine('c705fe3f0000443322118305fe3f000001a1fe3f0000f4');
    m.cpu.run(100);
    expect(m.cpu.state.reg32(0)).toBe(0x1122_3345);
    expect(m.view.getUint32(0x3ffe, true)).toBe(0x1122_3345);
  });
  it('reaches devices with the access size of the instruction', () => {
    // addl $1,0x400000; movw $0x1234,0x400010; mov al,0x400020
    const m = machine('83050000400001 66c705100040003412 a020004000 f4');
    m.cpu.run(100);
    expect(m.mmio).toEqual([
      { addr: 0x40_0000, size: 4, value: 0x5a5a_5a5b },
      { addr: 0x40_0010, size: 2, value: 0x1234 },
    ]);
    expect(m.cpu.state.reg8(0)).toBe(0x5a);
    expect(m.cpu.activity.mmioAccesses).toBe(4);
  });
  it('checks segment limits and changes nothing in a faulting push', () => {
    const m = machine('50 f4');
    m.cpu.state.segments[2]!.set(16, 0, 0x7fff, 0x40_9300);
    m.cpu.state.setReg32(ESP, 0x9000);
    m.cpu.run(10);
    expect(m.faults).toEqual([{ vector: 12, eip: START, error: 0 }]);
    expect(m.cpu.state.reg32(ESP)).toBe(0x9000);
    expect(m.cpu.executed).toBe(0);
  });
  it('raises #GP for a write to a read-only segment and reads it', () => {
    const m = machine('a100300000 a300300000 f4'); // mov eax,[0x3000]; mov [0x3000],eax
    m.view.setUint32(0x3000, 77, true);
    m.cpu.state.segments[3]!.set(16, 0, 0xffff_ffff, 0xc0_9100);
    m.cpu.run(10);
    expect(m.cpu.state.reg32(0)).toBe(77);
    expect(m.faults).toEqual([{ vector: 13, eip: START + 5, error: 0 }]);
  });
});

describe('repeated string instructions', () => {
  it('copies and fills over pages', () => {
    const m = machine('be00000100bf01000200b900300000fcf3a4b8ddccbbaabf03000300b901100000f3abf4');
    for (let i = 0; i < 0x3000; i++) m.ram[0x10000 + i] = (i * 7) & 0xff;
    expect(m.cpu.run(10_000)).toBe('halted');
    expect(m.ram.slice(0x20001, 0x23001)).toEqual(m.ram.slice(0x10000, 0x13000));
    expect(m.view.getUint32(0x30003 + 0x4000, true)).toBe(0xaabb_ccdd);
    expect(m.ram[0x30003 + 0x4004]).toBe(0);
    expect(m.cpu.state.reg32(ECX)).toBe(0);
    expect(m.cpu.state.reg32(EDI)).toBe(0x30003 + 0x4004);
  });
  it('propagates when source and destination overlap', () => {
    const m = machine('fcf3a4f4');
    m.ram[0x5000] = 0x41;
    m.cpu.state.setReg32(ESI, 0x5000);
    m.cpu.state.setReg32(EDI, 0x5001);
    m.cpu.state.setReg32(ECX, 100);
    m.cpu.run(10);
    expect(m.ram.slice(0x5000, 0x5065).every((b) => b === 0x41)).toBe(true);
    expect(m.ram[0x5065]).toBe(0);
  });
  it('goes down with the direction flag', () => {
    const m = machine('fdf3a5f4');
    for (let i = 0; i < 0x4000; i++) m.ram[0x10000 + i] = (i * 13) & 0xff;
    m.cpu.state.setReg32(ESI, 0x13ffc);
    m.cpu.state.setReg32(EDI, 0x23ffc - 2);
    m.cpu.state.setReg32(ECX, 0x1000);
    m.cpu.run(10);
    expect(m.ram.slice(0x20000 - 2, 0x24000 - 2)).toEqual(m.ram.slice(0x10000, 0x14000));
    expect(m.cpu.state.reg32(ESI)).toBe(0x0fffc);
  });
  it('faults in the middle with registers that say how far it came', () => {
    const m = machine('fcf3aaf4');
    m.cpu.state.segments[0]!.set(16, 0, 0x6fff, 0x40_9300);
    m.cpu.state.setReg32(EDI, 0x6f00);
    m.cpu.state.setReg32(ECX, 0x1000);
    m.cpu.run(100);
    expect(m.faults).toEqual([{ vector: 13, eip: START + 1, error: 0 }]);
    expect(m.cpu.state.reg32(EDI)).toBe(0x7000);
    expect(m.cpu.state.reg32(ECX)).toBe(0x1000 - 0x100);
  });
  it('lets a request to exit through and finishes afterwards', () => {
    const m = machine('fcf3aaf4', 32 << 20);
    m.cpu.state.setReg32(EDI, 0x10000);
    m.cpu.state.setReg32(ECX, 24 << 20);
    m.cpu.state.setReg8(0, 0x33);
    const space = m.bus.memory;
    const lookup = space.lookupPage;
    let pages = 0;
    space.lookupPage = (addr) => {
      if (++pages === 100) m.cpu.requestExit();
      return lookup(addr);
    };
    expect(m.cpu.run(10_000_000)).toBe('exit');
    const left = m.cpu.state.reg32(ECX);
    expect(left).toBeGreaterThan(0);
    expect(m.cpu.state.eip).toBe(START + 1);
    expect(m.cpu.run(10_000_000)).toBe('halted');
    expect(m.ram[0x10000 + (24 << 20) - 1]).toBe(0x33);
  });
});

describe('paging', () => {
  const DIRECTORY = 0x10_0000;
  const TABLE = 0x10_1000;
  /** Identity for the first 4 MiB, all user and writable; EFLAGS.IF off. */
  function paged(hex: string) {
    const m = machine(hex);
    m.view.setUint32(DIRECTORY, TABLE | 7, true);
    for (let i = 0; i < 1024; i++) m.view.setUint32(TABLE + i * 4, (i << 12) | 7, true);
    m.cpu.state.cr3 = DIRECTORY;
    m.cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG | CR0.WP) >>> 0;
    m.cpu.flushTlb();
    return Object.assign(m, { pte: (page: number, value: number) => m.view.setUint32(TABLE + page * 4, value, true) });
  }
  it('raises #PF with the address and leaves the state of the instruction before', () => {
    const m = paged('42 8305fc3f000001 f4'); // inc edx; addl $1,0x3ffc
    m.pte(3, 0);
    m.cpu.state.setReg32(EDX, 0);
    m.cpu.run(10);
    expect(m.faults).toEqual([{ vector: 14, eip: START + 1, error: 2 }]);
    expect(m.cpu.state.cr2).toBe(0x3ffc);
    expect(m.cpu.state.reg32(EDX)).toBe(1);
    expect(m.cpu.executed).toBe(1);
  });
  it('faults on the second page of a split write before writing the first', () => {
    const m = paged('c705fe3f000044332211 f4');
    m.pte(4, 0);
    m.cpu.run(10);
    expect(m.faults[0]).toMatchObject({ vector: 14, eip: START });
    expect(m.cpu.state.cr2).toBe(0x4000);
    expect(m.view.getUint16(0x3ffe, true)).toBe(0);
  });
  it('keeps a translation until INVLPG', () => {
    // mov eax,[0x3000]; mov [page table entry 3],ebx; mov ecx,[0x3000]; invlpg [0x3000]; mov edx,[0x3000]; hlt
    const m = paged('a100300000 891d0c101000 8b0d00300000 0f013d00300000 8b1500300000 f4');
    m.view.setUint32(0x3000, 3, true);
    m.view.setUint32(0x5000, 5, true);
    m.cpu.state.setReg32(3, 0x5007);
    expect(m.cpu.run(20)).toBe('halted');
    expect([m.cpu.state.reg32(0), m.cpu.state.reg32(EDX)]).toEqual([3, 5]);
    expect([3, 5]).toContain(m.cpu.state.reg32(ECX));
  });
  it('refuses a write to a read-only page after reads filled the TLB, and allows it after the right changed', () => {
    const m = paged('a100300000 a304300000 f4');
    m.pte(3, 0x3005);
    m.cpu.run(10);
    expect(m.faults).toEqual([{ vector: 14, eip: START + 5, error: 3 }]);
    m.pte(3, 0x3007);
    m.cpu.state.halted = false;
    m.cpu.flushTlb();
    expect(m.cpu.run(10)).toBe('halted');
    expect(m.faults.length).toBe(1);
  });
  it('runs the same code at two addresses', () => {
    const m = paged('e800000000 58 f4'); // call next; pop eax; hlt
    m.pte(0x20, 0x1007);
    m.cpu.run(10);
    expect(m.cpu.state.reg32(0)).toBe(START + 5);
    m.cpu.state.halted = false;
    m.cpu.state.eip = 0x20000;
    m.cpu.run(10);
    expect(m.cpu.state.reg32(0)).toBe(0x20005);
  });
  it('raises #PF on a fetch at its address', () => {
    const m = paged('b800300000 ffe0'); // mov eax,0x3000; jmp eax
    m.pte(3, 0);
    m.cpu.run(10);
    expect(m.faults[0]).toMatchObject({ vector: 14, eip: 0x3000 });
  });
});

describe('interrupts', () => {
  function withHandler(hex: string) {
    const m = machine(hex);
    const vectors: number[] = [];
    (m.cpu.ops as { deliverInterrupt: (v: number) => void }).deliverInterrupt = (vector) => {
      vectors.push(m.cpu.state.eip);
      void vector;
      m.cpu.state.setEflags(m.cpu.state.getEflags() & ~EFLAGS.IF);
    };
    return Object.assign(m, { vectors });
  }
  it('are taken at once when allowed, after one more instruction behind STI', () => {
    const m = withHandler('90 fb 40 40 f4'); // nop; sti; inc; inc; hlt
    m.cpu.setIrqLine(true);
    m.cpu.run(100);
    expect(m.vectors[0]).toBe(START + 3);
  });
  it('wake from HLT', () => {
    const m = withHandler('fb f4 40 f4');
    expect(m.cpu.run(100)).toBe('halted');
    m.cpu.setIrqLine(true);
    m.cpu.run(2);
    expect(m.vectors).toEqual([START + 2]);
    expect(m.cpu.state.reg32(0)).toBe(1);
  });
  it('raised by a port write are taken before the next instruction', () => {
    const m = withHandler('fb 90 e640 40 f4'); // sti; nop; out 0x40,al; inc eax
    m.bus.io.write = () => m.cpu.setIrqLine(true);
    m.cpu.run(100);
    expect(m.vectors[0]).toBe(START + 4);
  });
  it('wake from STI; HLT, time after time', () => {
    const m = machine('fb f4 40 ebfb'); // 1: sti; hlt; inc eax; jmp 1b
    let delivered = 0;
    (m.cpu.ops as unknown as { deliverInterrupt: () => void }).deliverInterrupt = () => {
      delivered++;
      m.cpu.setIrqLine(false);
      // As an interrupt gate does; the handler's IRET would set it again.
      m.cpu.state.setEflags(m.cpu.state.getEflags() & ~EFLAGS.IF);
    };
    for (let i = 0; i < 20; i++) {
      expect(m.cpu.run(1000)).toBe('halted');
      expect(m.cpu.state.interruptShadow).toBe(false);
      m.cpu.setIrqLine(true);
    }
    expect([delivered, m.cpu.state.reg32(0)]).toEqual([19, 19]);
  });
  it('wait while IF is clear', () => {
    const m = withHandler('40 40 f4');
    m.cpu.setIrqLine(true);
    expect(m.cpu.run(100)).toBe('halted');
    expect(m.vectors).toEqual([]);
  });
  it('single steps with TF', () => {
    const m = machine('40 40 f4');
    m.cpu.state.setEflags(2 | EFLAGS.TF);
    m.cpu.run(100);
    expect(m.faults).toEqual([{ vector: 1, eip: START + 1, error: undefined }]);
  });
});

describe('encodings', () => {
  it('refuses LOCK where it is not allowed, and lengths above 15', () => {
    const lock = machine('f0 90');
    lock.cpu.run(10);
    expect(lock.faults).toEqual([{ vector: 6, eip: START, error: undefined }]);
    const long = machine('66666666666666666666666666666690');
    long.cpu.run(10);
    expect(long.faults).toEqual([{ vector: 13, eip: START, error: 0 }]);
  });
  it('raises #NM for the FPU when CR0.TS or EM says so', () => {
    const m = machine('d9c0');
    m.cpu.state.cr0 = CR0.PE | CR0.EM;
    m.cpu.run(10);
    expect(m.faults).toEqual([{ vector: 7, eip: START, error: undefined }]);
  });
  it('tests bits beyond the operand with a register index', () => {
    const m = machine('0fa30d00300000 0f92c0 f4'); // bt [0x3000],ecx; setc al
    m.ram[0x3010] = 4;
    m.cpu.state.setReg32(ECX, 130);
    m.cpu.run(10);
    expect(m.cpu.state.reg8(0)).toBe(1);
    m.cpu.state.setReg32(ECX, -2);
    m.ram[0x2fff] = 0x40;
    m.cpu.state.halted = false;
    m.cpu.state.setReg32(0, 0);
    m.cpu.state.eip = START;
    m.cpu.run(10);
    expect(m.cpu.state.reg8(0)).toBe(1);
  });
});

describe('long instructions', () => {
  it('use up the budget, so that nobody waits for them', () => {
    const m = machine('fcf3aaf4'); // rep stosb into device memory
    m.cpu.state.setReg32(EDI, 0x40_0000);
    m.cpu.state.setReg32(ECX, 0x4000_0000);
    expect(m.cpu.run(100_000)).toBe('budget');
    expect(m.cpu.state.reg32(ECX)).toBeGreaterThan(0x3f00_0000);
    expect(m.cpu.state.eip).toBe(START + 1);
    expect(m.cpu.executed).toBeLessThan(10);
  });
});

describe('REP STOS into a device', () => {
  it('is one fill where the device takes it, forwards only', () => {
    const fills: number[][] = [];
    for (const [code, isTaken] of [
      ['fcf366abf4', true],
      ['fcf366abf4', false],
      ['fdf366abf4', true],
    ] as const) {
      const m = machine(code); // cld or std; rep stosw
      m.bus.memory.fill = (...call) => {
        fills.push(call);
        return isTaken;
      };
      m.cpu.state.setReg32(0, 0x1234_5678);
      m.cpu.state.setReg32(EDI, 0x40_0100);
      m.cpu.state.setReg32(ECX, 3);
      m.cpu.run(100);
      expect(m.cpu.state.halted).toBe(true);
      const step = code.startsWith('fc') ? 2 : -2;
      expect([m.cpu.state.reg32(ECX), m.cpu.state.reg32(EDI)]).toEqual([0, 0x40_0100 + 3 * step]);
      const singly = [0, 1, 2].map((i) => ({ addr: 0x40_0100 + i * step, size: 2, value: 0x5678 }));
      expect(m.mmio).toEqual(step > 0 && isTaken ? [] : singly);
    }
    expect(fills).toEqual([
      [0x40_0100, 2, 0x5678, 3],
      [0x40_0100, 2, 0x5678, 3],
    ]);
  });
});

describe('branches with 16-bit operands in 32-bit code', () => {
  const AT = 0x5_0000;
  /** The branch at AT, then INC EAX; HLT. At its target, with and without the upper half of EIP, INC EBX; HLT or INC EDX; HLT. */
  function branch(code: readonly number[], distance: number, prepare: (m: BareMachine) => void, jit: 'off' | 'always') {
    const m = bareMachine(1 << 20, { jit });
    const end = AT + code.length;
    m.ram.set([...code, 0x40, 0xf4], AT);
    m.ram.set([0x43, 0xf4], end + distance);
    m.ram.set([0x42, 0xf4], (end + distance) & 0xffff);
    for (let pass = 0; pass < 3; pass++) {
      enterFlat32(m, AT);
      m.cpu.state.halted = false;
      for (const index of [0, 1, 2, 3]) m.cpu.state.setReg32(index, 0);
      prepare(m);
      expect(m.cpu.run(100)).toBe('halted');
    }
    const { state } = m.cpu;
    const where = state.reg32(0) ? 'on' : state.reg32(3) ? 'whole' : state.reg32(2) ? 'truncated' : 'nowhere';
    return { where, eip: state.eip };
  }
  const CASES: readonly [string, readonly number[], (m: BareMachine) => void, 'on' | 'truncated'][] = [
    ['JZ, not taken', [0x66, 0x74, 0x20], () => {}, 'on'],
    ['JZ, taken', [0x66, 0x74, 0x20], ({ cpu }) => cpu.state.setEflags(0x42), 'truncated'],
    ['JNZ rel16, not taken', [0x66, 0x0f, 0x85, 0x20, 0], ({ cpu }) => cpu.state.setEflags(0x42), 'on'],
    ['JNZ rel16, taken', [0x66, 0x0f, 0x85, 0x20, 0], () => {}, 'truncated'],
    ['LOOP, at its end', [0x66, 0xe2, 0x20], ({ cpu }) => cpu.state.setReg32(ECX, 1), 'on'],
    ['LOOP', [0x66, 0xe2, 0x20], ({ cpu }) => cpu.state.setReg32(ECX, 5), 'truncated'],
    ['LOOPE, not equal', [0x66, 0xe1, 0x20], ({ cpu }) => cpu.state.setReg32(ECX, 5), 'on'],
    ['JECXZ, not taken', [0x66, 0xe3, 0x20], ({ cpu }) => cpu.state.setReg32(ECX, 5), 'on'],
    ['JECXZ, taken', [0x66, 0xe3, 0x20], () => {}, 'truncated'],
    ['JMP', [0x66, 0xeb, 0x20], () => {}, 'truncated'],
  ];
  it.each(CASES)('%s', (_name, code, prepare, where) => {
    const end = AT + code.length;
    const eip = where === 'on' ? end + 2 : ((end + 0x20) & 0xffff) + 2;
    for (const jit of ['off', 'always'] as const) expect(branch(code, 0x20, prepare, jit)).toEqual({ where, eip });
  });
  it('follow the page tables, not a link, to where the lower half leads', () => {
    // Page directory at 0xc_0000, one table at 0xc_1000: identity, but page 0 is at 0xd_0000 or 0xe_0000.
    const m = bareMachine(1 << 20, { jit: 'always' });
    m.ram.set([0x66, 0xeb, 0x20], AT);
    for (const directory of [0xc_0000, 0xc_2000]) {
      m.view.setUint32(directory, (directory + 0x1000) | 3, true);
      for (let page = 0; page < 256; page++) m.view.setUint32(directory + 0x1000 + 4 * page, (page << 12) | 3, true);
    }
    m.view.setUint32(0xc_1000, 0xd_0003, true);
    m.view.setUint32(0xc_3000, 0xe_0003, true);
    m.ram.set([0x43, 0xf4], 0xd_0023);
    m.ram.set([0x42, 0xf4], 0xe_0023);
    for (const [directory, index] of [
      [0xc_0000, 3],
      [0xc_2000, 2],
    ] as const) {
      enterFlat32(m, AT);
      m.cpu.state.halted = false;
      m.cpu.state.cr0 = (m.cpu.state.cr0 | CR0.PG) >>> 0;
      m.cpu.ops.writeCr(3, directory);
      m.cpu.state.setReg32(2, 0);
      m.cpu.state.setReg32(3, 0);
      expect(m.cpu.run(100)).toBe('halted');
      expect(m.cpu.state.reg32(index)).toBe(1);
    }
  });
});
