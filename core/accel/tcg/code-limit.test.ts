/** The limit of CS (Intel SDM volume 3A, 5.3): a near jump beyond it faults where it stands and changes nothing, an instruction that
 *  does not lie below it as a whole faults when it is fetched. In both tiers, also where code ran before under a larger limit. */
import { describe, expect, it } from 'vitest';
import { CR0, CS, DESC, EBX, ECX, EDX, ESP } from '../../target/x86/state.ts';
import type { JitMode } from './jit/jit.ts';
import { type BareMachine, bareMachine, enterFlat32 } from './testing.ts';

const CODE = DESC.present | DESC.s | DESC.code | DESC.writable | DESC.accessed;
const MODES: readonly JitMode[] = ['off', 'on', 'always', 'lockstep'];

interface Fault {
  readonly vector: number;
  readonly eip: number;
  readonly error: number | undefined;
}
/** Faults are noted instead of delivered. */
function machine(jit: JitMode): BareMachine & { faults: Fault[] } {
  const m = bareMachine(1 << 20, { jit });
  const faults: Fault[] = [];
  (m.cpu.ops as { deliverException: (v: number, e: number | undefined) => void }).deliverException = (
    vector,
    error,
  ) => {
    faults.push({ vector, eip: m.cpu.state.eip, error });
    m.cpu.state.halted = true;
  };
  return Object.assign(m, { faults });
}
const bytes = (hex: string) => Uint8Array.from(hex.match(/[0-9a-f]{2}/g)!.map((b) => Number.parseInt(b, 16)));
const GP = (eip: number): Fault => ({ vector: 13, eip, error: 0 });

function random(seed: number): (below: number) => number {
  let s = seed;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * below);
  };
}

describe.each(MODES)('the limit of CS, x-jit=%s', (mode) => {
  /** Runs code at 0x1000 in a segment with this limit. */
  const run = (hex: string, limit: number, isBig = true) => {
    const m = machine(mode);
    enterFlat32(m, 0x1000);
    m.cpu.state.segments[CS]!.set(8, 0, limit, CODE | (isBig ? DESC.big : 0));
    m.cpu.state.setReg32(ECX, 1);
    m.cpu.state.setReg32(EDX, 0x2000);
    m.dma(0x1000, bytes(hex));
    m.ram.fill(0x90, 0x1ff0, 0x2010);
    m.ram[0x2010] = 0xf4;
    m.dma(0x7000, bytes('0020 0000 0000'));
    m.cpu.run(100);
    return m;
  };
  const jumps: [string, string][] = [
    ['jmp rel32', 'e9 fb0f0000'],
    ['jz rel32', '0f84 fa0f0000'],
    ['call rel32', 'e8 fb0f0000'],
    ['jmp edx', 'ffe2'],
    ['call edx', 'ffd2'],
    ['jmp [0x7000]', 'ff25 00700000'],
    ['call [0x7000]', 'ff15 00700000'],
    ['ret', 'c3'],
    ['ret 4', 'c20400'],
    ['jmp rel16', '66e9 fc0f'],
    ['call rel16', '66e8 fc0f'],
    ['ret of 16 bits', '66c3'],
  ];
  it.each(jumps)('holds for %s', (name, hex) => {
    for (const [limit, isRefused] of [
      [0x1fff, true],
      [0x2010, false],
      [0xf_ffff, false],
    ] as const) {
      const m = machine(mode);
      enterFlat32(m, 0x1000);
      const { state } = m.cpu;
      state.segments[CS]!.set(8, 0, limit, CODE | DESC.big);
      state.setReg32(EDX, 0x2000);
      state.setReg32(ESP, 0x7000);
      if (name.startsWith('jz')) state.setEflags(0x42);
      m.dma(0x1000, bytes(hex));
      m.ram[0x2000] = 0xf4;
      m.dma(0x7000, bytes('0020 0000 0000'));
      const before = m.ram.slice();
      m.cpu.run(100);
      expect(m.faults).toEqual(isRefused ? [GP(0x1000)] : []);
      if (!isRefused) {
        expect(state.eip).toBe(0x2001);
        continue;
      }
      expect(state.reg32(ESP)).toBe(0x7000);
      expect(Buffer.compare(m.ram, before)).toBe(0);
      expect(m.cpu.executed).toBe(0);
    }
  });
  it('is not asked by jumps that are not taken', () => {
    const m = run('0f84 fa0f0000 e300 67e300 f4', 0x100c);
    expect(m.faults).toEqual([]);
    expect(m.cpu.state.eip).toBe(0x100c);
  });
  it('leaves the count of a LOOP that faults', () => {
    const m = machine(mode);
    enterFlat32(m, 0x1000);
    m.cpu.state.segments[CS]!.set(8, 0, 0x1001, CODE | DESC.big);
    m.cpu.state.setReg32(ECX, 3);
    m.dma(0x1000, bytes('e27f'));
    m.cpu.run(10);
    expect(m.faults).toEqual([GP(0x1000)]);
    expect(m.cpu.state.reg32(ECX)).toBe(3);
  });
  it('ends execution that runs on', () => {
    // inc ebx, four times; the last is the last byte of the segment.
    let m = run('43 43 43 43 43', 0x1003);
    expect(m.faults).toEqual([GP(0x1004)]);
    expect([m.cpu.state.reg32(EBX), m.cpu.executed]).toEqual([4, 4]);
    // mov eax, imm32 does not fit.
    m = run('43 b8 01020304 43', 0x1004);
    expect(m.faults).toEqual([GP(0x1001)]);
    expect([m.cpu.state.reg32(EBX), m.cpu.executed]).toEqual([1, 1]);
    m = run('43 b8 01020304 43', 0x1005);
    expect(m.faults).toEqual([GP(0x1006)]);
  });
  it('comes before a page that is not there', () => {
    const m = machine(mode);
    enterFlat32(m, 0x1ffe);
    m.view.setUint32(0x8000, 0x9007, true);
    for (let i = 0; i < 256; i++) m.view.setUint32(0x9000 + 4 * i, i === 2 ? 0 : (i << 12) | 7, true);
    m.cpu.state.cr3 = 0x8000;
    m.cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
    m.cpu.flushTlb();
    m.dma(0x1ffe, bytes('b801'));
    m.cpu.state.segments[CS]!.set(8, 0, 0x1fff, CODE | DESC.big);
    m.cpu.run(10);
    expect(m.faults).toEqual([GP(0x1ffe)]);
    m.faults.length = 0;
    m.cpu.state.halted = false;
    m.cpu.state.segments[CS]!.set(8, 0, 0x2fff, CODE | DESC.big);
    m.cpu.run(10);
    expect(m.faults).toEqual([{ vector: 14, eip: 0x1ffe, error: 0 }]);
  });
  it('comes before a look at the page tables, also where the code ran before', () => {
    const m = machine(mode);
    enterFlat32(m, 0x1fff);
    const { state } = m.cpu;
    m.view.setUint32(0x8000, 0x9007, true);
    for (let i = 0; i < 256; i++) m.view.setUint32(0x9000 + 4 * i, (i << 12) | 7, true);
    state.cr3 = 0x8000;
    state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
    m.dma(0x1fff, bytes('43 43 f4'));
    const ACCESSED = 0x20;
    const accessed = (limit: number) => {
      m.view.setUint32(0x9008, 0x2007, true);
      m.cpu.flushTlb();
      state.segments[CS]!.set(8, 0, limit, CODE | DESC.big);
      state.eip = 0x1fff;
      state.halted = false;
      m.cpu.run(10);
      return m.view.getUint32(0x9008, true) & ACCESSED;
    };
    for (let i = 0; i < 3; i++) expect(accessed(0x2fff)).toBe(ACCESSED);
    expect(m.faults).toEqual([]);
    expect(accessed(0x1fff)).toBe(0);
    expect(m.faults).toEqual([GP(0x2000)]);
  });
  it('is 64 KiB in real mode, where only jumps of 32 bits can miss it', () => {
    const m = machine(mode);
    const { state } = m.cpu;
    m.cpu.reset();
    const start = (ip: number, hex: string) => {
      m.faults.length = 0;
      state.halted = false;
      state.segments[CS]!.set(0x100, 0x1000, 0xffff, 0x9b00);
      state.eip = ip;
      m.dma(0x1000 + ip, bytes(hex));
      m.cpu.run(10);
    };
    start(0xff00, '66e9 fa000000');
    expect(m.faults).toEqual([GP(0xff00)]);
    m.dma(0x1010, bytes('f4'));
    start(0xff00, 'e9 0d01'); // to 0x10010, which is 0x10
    expect(m.faults).toEqual([]);
    expect(state.eip).toBe(0x11);
    start(0xfffd, '40 43 43 43');
    expect(m.faults).toEqual([GP(0x1_0000)]);
    start(0xfffe, '43 b80000');
    expect(m.faults).toEqual([GP(0xffff)]);
  });

  it('is what a model says of code that jumps about', { timeout: 120_000 }, () => {
    const next = random(5);
    const CELL = 32;
    const CELLS = 3 * (4096 / CELL);
    const START = 0x1_0000;
    const ends = { fault: 0, time: 0 };
    let compiled = 0;
    for (let round = 0; round < 50; round++) {
      const m = machine(mode);
      enterFlat32(m, 0);
      const { state } = m.cpu;
      const base = [START, START - 0x1000, START + 0x10, START - 0x7f0][next(4)]!;
      const first = (START - base + 4096) & ~(CELL - 1);
      const code = new Map<number, { length: number; kind: string; target: number }>();
      const nearby = () => {
        const cell = next(12) === 0 ? next(CELLS) : 8 + next(8) + (next(6) === 0 ? CELLS / 2 : 0);
        return first + CELL * cell;
      };
      const put = (at: number, kind: string, data: readonly number[], target = 0) => {
        m.dma(base + at, Uint8Array.from(data));
        code.set(at, { length: data.length, kind, target });
        return at + data.length;
      };
      const word = (n: number) => [n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24];
      for (let cell = 0; cell < CELLS; cell++) {
        let at = first + CELL * cell;
        for (let i = next(3); i > 0; i--) at = put(at, 'nop', [0x90]);
        at = put(at, 'inc', [0x43]);
        const target = nearby();
        const kind = ['jmp', 'jnz', 'jnz', 'jnz', 'call', 'ret', 'edx', 'loop', 'on'][next(9)]!;
        if (kind === 'jnz') {
          const mask = 1 << next(6);
          at = put(at, 'test', [0xf7, 0xc3, ...word(mask)], mask);
          at = put(at, 'jnz', [0x0f, 0x85, ...word(target - at - 6)], target);
          at = put(at, 'jmp', [0xe9, ...word(nearby() - at - 5)], 0);
          code.get(at - 5)!.target = first + ((m.view.getInt32(base + at - 4, true) + at - first) | 0);
        } else if (kind === 'jmp') at = put(at, 'jmp', [0xe9, ...word(target - at - 5)], target);
        else if (kind === 'call') at = put(at, 'call', [0xe8, ...word(target - at - 5)], target);
        else if (kind === 'ret') at = put(at, 'ret', [0xc3]);
        else if (kind === 'edx') {
          at = put(at, 'mov', [0xba, ...word(target)], target);
          at = put(at, 'edx', [0xff, 0xe2]);
        } else if (kind === 'loop') {
          const to = Math.max(first, at + 2 - 2 * CELL - ((at + 2) % CELL));
          at = put(at, 'loop', [0xe2, (to - at - 2) & 0xff], to);
        }
        const end = first + CELL * (cell + 1);
        while (at < end) at = put(at, 'nop', [0x90]);
      }
      const end = first + CELL * CELLS;
      put(end, 'jmp', [0xe9, ...word(first - end - 5)], first);
      const model = { eip: first, ebx: 0, ecx: 0x40, edx: 0, sp: 0xa000, isZero: true };
      const stack = new Map<number, number>();
      const top = () => stack.get(model.sp) ?? first;
      for (let at = 0x4000; at < 0xfc00; at += 4) m.view.setUint32(at, first, true);
      let limit = end + 4;
      /** One instruction, or false: it faults. */
      const step = (): boolean => {
        const { eip } = model;
        const i = code.get(eip);
        if (!i || eip + i.length - 1 > limit) return false;
        let to = eip + i.length;
        let { sp, ecx } = model;
        const jump = (target: number) => {
          to = target;
          return target >= 0 && target <= limit;
        };
        if (i.kind === 'jmp' && !jump(i.target)) return false;
        if (i.kind === 'jnz' && !model.isZero && !jump(i.target)) return false;
        if (i.kind === 'edx' && !jump(model.edx)) return false;
        if (i.kind === 'call') {
          if (!jump(i.target)) return false;
          sp -= 4;
          stack.set(sp, eip + i.length);
        }
        if (i.kind === 'ret') {
          if (!jump(top())) return false;
          sp += 4;
        }
        if (i.kind === 'loop') {
          ecx = (ecx - 1) >>> 0;
          if (ecx !== 0 && !jump(i.target)) return false;
        }
        if (i.kind === 'inc') model.ebx = (model.ebx + 1) >>> 0;
        if (i.kind === 'inc') model.isZero = model.ebx === 0;
        if (i.kind === 'test') model.isZero = (model.ebx & i.target) === 0;
        if (i.kind === 'mov') model.edx = i.target;
        Object.assign(model, { eip: to, sp, ecx });
        return true;
      };
      Object.assign(state, { eip: first });
      state.setReg32(EBX, 0);
      state.setReg32(ECX, model.ecx);
      state.setReg32(EDX, 0);
      state.setEflags(0x42);
      let executed = 0;
      for (let part = 0; part < 12; part++) {
        if (part > 0) limit = end + 4 - next(part > 8 ? 0x2800 : 0x1800);
        state.segments[CS]!.set(8, base, limit, CODE | DESC.big);
        // The stack stays in its place.
        if (model.sp < 0x9000 || model.sp > 0xb000) model.sp = 0xa000;
        state.setReg32(ESP, model.sp);
        m.cpu.run(part === 0 ? 3000 : 200);
        const done = m.cpu.executed - executed;
        executed += done;
        const what = `round ${round} part ${part} limit ${limit.toString(16)}`;
        for (let i = 0; i < done; i++) if (!step()) expect.fail(`${what}: instruction ${i} of ${done}`);
        const isFault = m.faults.length > 0;
        expect([state.eip, state.reg32(EBX), state.reg32(ECX), state.reg32(ESP)], what).toEqual([
          model.eip,
          model.ebx,
          model.ecx,
          model.sp,
        ]);
        if (isFault) {
          expect(m.faults, what).toEqual([GP(model.eip)]);
          expect(step(), what).toBe(false);
          m.faults.length = 0;
          state.halted = false;
          // Somewhere else that is allowed.
          model.eip = first;
          state.eip = first;
          ends.fault++;
        } else ends.time++;
      }
      compiled += m.cpu.jit.statistics.compiled;
    }
    expect(Math.min(ends.fault, ends.time)).toBeGreaterThan(50);
    if (mode === 'always') expect(compiled).toBeGreaterThan(200);
  });
});
