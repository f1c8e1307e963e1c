/** Random tables, registers and operations: whatever a guest builds, the outcome is a guest's outcome. */
import { describe, expect, it } from 'vitest';
import { CR4, FIELDS } from './state.ts';
import { FakeMachine, GDT, IDT, LDT, TSS } from './testing/fake-machine.ts';

function random(seed: number): () => number {
  let x = seed;
  return () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return (x ^ (x >>> 15)) >>> 0;
  };
}

describe('hostile guests', () => {
  it.each([1, 2, 3, 4])('seed %i: every operation ends in a result, a guest fault or shutdown', (seed) => {
    const next = random(seed);
    let faults = 0;
    let results = 0;
    for (let round = 0; round < 60; round++) {
      const m = new FakeMachine('max').enterProtected(next() % 4 === 3 ? 3 : next() % 2);
      const { state, ops } = m;
      // Structures full of plausible nonsense: valid type bytes, bases that point at the tables themselves.
      const bases = [GDT, IDT, LDT, TSS, 0, 0xffff_fff8, next()];
      for (let selector = 0x48; selector < 0x200; selector += 8)
        m.setDescriptor(selector, {
          type: next() & 31,
          dpl: next() & 3,
          present: (next() & 7) !== 0,
          base: bases[next() % bases.length]!,
          limit: next() & 0xfffff,
          granularity: next() & 15,
        });
      for (let vector = 0; vector < 256; vector++)
        if (next() & 3)
          m.setGate(IDT + vector * 8, next() & 0x1ff, next(), next() & 15, next() & 3, (next() & 7) !== 0);
      for (let i = 0; i < 0x200; i += 4) if (next() & 1) m.ram.setUint32(TSS + i, next() & 0x1ff, true);
      state.set(FIELDS.star, next());
      if (next() % 3 === 0) m.enablePaging(next() & 7);
      if (next() % 5 === 0) state.cr4 = CR4.PAE;
      const operations: (() => unknown)[] = [
        () => ops.loadSegment([0, 2, 3, 4, 5][next() % 5]!, next() & 0x1ff),
        () => ops.farJump(next() & 0x1ff, next() & 0xffff, next() & 1 ? 4 : 2),
        () => ops.farCall(next() & 0x1ff, next() & 0xffff, next() & 1 ? 4 : 2),
        () => ops.farReturn(next() & 1 ? 4 : 2, next() & 0xff),
        () => ops.iret(next() & 1 ? 4 : 2),
        () => ops.softwareInterrupt(next() & 0xff, (['int', 'int3', 'into', 'int1'] as const)[next() & 3]!),
        () => ops.deliverException(next() & 31, next() & 0xffff),
        () => ops.deliverInterrupt(next() & 0xff),
        () => ops.deliverNmi(),
        () => ops.lldt(next() & 0x1ff),
        () => ops.ltr(next() & 0x1ff),
        () => ops.lar(next() & 0xffff),
        () => ops.lsl(next() & 0xffff),
        () => ops.checkIo(next() & 0xffff, 1 << (next() % 3)),
        () => ops.translate(next(), (next() % 3) as 0 | 1 | 2, (next() & 1) === 1),
        () => ops.translateDebug(next()),
        () => ops.writeCr([0, 2, 3, 4, 8][next() % 5]!, next()),
        () => ops.writeDr(next() & 7, next()),
        () => ops.wrmsr(),
        () => ops.rdmsr(),
        () => ops.cpuid(),
        () => ops.sysenter(),
        () => ops.sysexit(4),
        () => ops.syscall(),
        () => ops.sysret(4),
        () => ops.enterSmm(),
        () => ops.rsm(),
        () => ops.init(),
      ];
      for (let step = 0; step < 60; step++) {
        state.setReg32(4, next() & 0xffff);
        if (next() & 1) state.setEflags(next() & 0x3f_7fd5);
        if (state.vm86) state.cpl = 3;
        const operation = operations[next() % operations.length]!;
        if (m.fault(operation)) faults++;
        else results++;
      }
    }
    expect(faults).toBeGreaterThan(100);
    expect(results).toBeGreaterThan(100);
  });
});
