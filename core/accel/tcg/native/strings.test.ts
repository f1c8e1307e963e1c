import { describe, expect, it } from 'vitest';
import { CR0, CS, DS, EAX, ECX, EDI, EFLAGS, ES, ESI, ESP } from '../../../target/x86/state.ts';
import { bareMachine, enterFlat32 } from '../testing.ts';

const RAM = 1 << 20;
const DIRECTORY = 0x8_0000;
const TABLE = 0x8_1000;
const FIRST = 0xa_0000;
const BYTES = 0x1_0000;

function random(seed: number): (below: number) => number {
  let s = seed;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * below);
  };
}

/** What REP MOVS and REP STOS do, element by element; false: a page fault stopped it. */
function model(
  bytes: Uint8Array,
  rights: readonly number[],
  r: { esi: number; edi: number; ecx: number; eax: number },
  isMovs: boolean,
  size: number,
  step: number,
): boolean {
  const allows = (at: number, wanted: number) => {
    for (const edge of [at, at + size - 1]) {
      const page = (edge - FIRST) >> 12;
      const right = page >= 0 && page < rights.length ? rights[page]! : 2;
      if (right < wanted) return false;
    }
    return true;
  };
  while (r.ecx > 0) {
    if (isMovs && !allows(r.esi, 1)) return false;
    if (!allows(r.edi, 2)) return false;
    const element = isMovs
      ? bytes.slice(r.esi, r.esi + size)
      : [r.eax & 0xff, (r.eax >> 8) & 0xff, (r.eax >> 16) & 0xff, r.eax >>> 24].slice(0, size);
    bytes.set(element, r.edi);
    if (isMovs) r.esi += step * size;
    r.edi += step * size;
    r.ecx--;
  }
  return true;
}

describe('repeated string instructions', () => {
  it('do what one element after the other does, up to the fault', { timeout: 60_000 }, () => {
    const next = random(7);
    let faults = 0;
    for (let round = 0; round < 30; round++) {
      const m = bareMachine(RAM);
      for (let i = 0; i < BYTES; i++) m.ram[FIRST + i] = next(256);
      // 0: absent, 1: read-only, 2: writable.
      const rights = Array.from({ length: 16 }, () => [2, 2, 2, 2, 1, 0][next(6)]!);
      m.view.setUint32(DIRECTORY, TABLE | 7, true);
      for (let i = 0; i < RAM >> 12; i++) {
        const right = rights[i - (FIRST >> 12)] ?? 2;
        m.view.setUint32(TABLE + i * 4, (i << 12) | [0, 0x65, 0x67][right]!, true);
      }
      for (let trial = 0; trial < 20; trial++) {
        const isMovs = next(3) > 0;
        const size = [1, 2, 4][next(3)]!;
        const step = next(5) ? 1 : -1;
        const near = next(4) === 0;
        const esi = FIRST + 0x3000 + next(0xa000);
        const edi = near ? esi + next(40) - 20 : FIRST + 0x3000 + next(0xa000);
        const ecx = next(2) ? next(40) : next(0x2fff / size);
        const r = { esi, edi, ecx, eax: next(2) ? next(2 ** 32) : next(256) * 0x0101_0101 };
        enterFlat32(m, 0x1000);
        m.cpu.state.cr3 = DIRECTORY;
        m.cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG | CR0.WP) >>> 0;
        m.cpu.state.setIdt(0, 0);
        if (trial === 0) m.cpu.flushTlb();
        const opcode = (isMovs ? 0xa4 : 0xaa) + (size === 1 ? 0 : 1);

        const code = [...(size === 2 ? [0x66] : []), 0xf3, opcode, 0xf4];
        m.dma(0x1000, Uint8Array.from(code));
        const { state } = m.cpu;
        state.setReg32(ESI, r.esi);
        state.setReg32(EDI, r.edi);
        state.setReg32(ECX, r.ecx);
        state.setReg32(EAX, r.eax);
        state.setEflags(2 | (step < 0 ? EFLAGS.DF : 0));
        const before = m.shutdowns;
        const expected = m.ram.slice();
        const isDone = model(expected, rights, r, isMovs, size, step);
        for (let i = 0; i < 50 && !state.halted && m.shutdowns === before; i++) m.cpu.run(100);
        const what = `round ${round} trial ${trial}: ${isMovs ? 'movs' : 'stos'} ${size} x ${ecx} step ${step}`;
        expect(m.shutdowns === before, what).toBe(isDone);
        expect([state.reg32(ESI), state.reg32(EDI), state.reg32(ECX)], what).toEqual([r.esi, r.edi, r.ecx]);
        expect(Buffer.compare(m.ram.subarray(FIRST), expected.subarray(FIRST)), what).toBe(0);
        if (!isDone) faults++;
        state.halted = false;
      }
    }
    expect(faults).toBeGreaterThan(50);
  });

  it('compare and scan as one element after the other does', { timeout: 60_000 }, () => {
    const next = random(11);
    const m = bareMachine(RAM);
    const stops = { early: 0, never: 0 };
    for (let trial = 0; trial < 600; trial++) {
      const isCmps = next(2) === 0;
      const size = [1, 2, 4][next(3)]!;
      const isRepne = next(2) === 0;
      const step = (next(4) ? 1 : -1) * size;
      const count = next(2) ? next(30) : next(3000);
      const esi = FIRST + 0x4000 + next(0x2000);
      const edi = FIRST + 0x8000 + next(0x2000);
      const eax = next(4) * 0x0101_0101;
      // Long runs without the end, then noise.
      const filler = isRepne ? (isCmps ? 9 : 8) : eax & 0xff;
      m.ram.fill(isCmps ? 7 : filler, FIRST, FIRST + 0x7000);
      m.ram.fill(isCmps && !isRepne ? 7 : filler, FIRST + 0x7000, FIRST + BYTES);
      for (let i = 0; i < 12; i++) m.ram[FIRST + next(BYTES)] = next(4);
      enterFlat32(m, 0x1000);
      m.dma(
        0x1000,
        Uint8Array.from([
          ...(size === 2 ? [0x66] : []),
          isRepne ? 0xf2 : 0xf3,
          (isCmps ? 0xa6 : 0xae) + (size === 1 ? 0 : 1),
          0xf4,
        ]),
      );
      const { state } = m.cpu;
      state.setReg32(ESI, esi);
      state.setReg32(EDI, edi);
      state.setReg32(ECX, count);
      state.setReg32(EAX, eax);
      state.setEflags(2 | (step < 0 ? EFLAGS.DF : 0));
      const element = (at: number) => [...m.ram.subarray(at, at + size)].reduceRight((v, byte) => v * 256 + byte, 0);
      let [si, di, cx] = [esi, edi, count];
      let flags = 0;
      while (cx > 0) {
        const a = isCmps ? element(si) : eax % 2 ** (8 * size);
        const b = element(di);
        if (isCmps) si += step;
        di += step;
        cx--;
        flags = (a === b ? EFLAGS.ZF : 0) | (a < b ? EFLAGS.CF : 0);
        if ((a === b) === isRepne) break;
      }
      for (let i = 0; i < 50 && !state.halted; i++) m.cpu.run(100);
      const what = `trial ${trial}: ${isCmps ? 'cmps' : 'scas'} ${size} x ${count} step ${step} repne ${isRepne}`;
      expect([state.reg32(ESI), state.reg32(EDI), state.reg32(ECX)], what).toEqual([si, di, cx]);
      expect(state.getEflags() & (EFLAGS.ZF | EFLAGS.CF), what).toBe(flags);
      stops[cx > 0 ? 'early' : 'never']++;
      state.halted = false;
    }
    expect(Math.min(stops.early, stops.never)).toBeGreaterThan(50);
  });

  it('of 16-bit code go round at 64 KiB, up to the limit of a segment', { timeout: 60_000 }, () => {
    const next = random(16);
    const m = bareMachine(RAM);
    const ends = { fault: 0, round: 0, plain: 0 };
    for (let trial = 0; trial < 1200; trial++) {
      const kind = next(4);
      const [isCmps, isScas, isStos] = [kind === 1, kind === 2, kind === 3];
      const size = [1, 2, 4][next(3)]!;
      const isRepne = next(2) === 0;
      const step = (next(6) ? 1 : -1) * size;
      const cx = next(3) ? next(60) : next(0x8000);
      const near = () => (next(2) ? 0x1_0000 - next(0x200) : next(0x1_0000)) & 0xffff;
      const [si, di] = [near(), near()];
      const limit = () => [0xffff, 0xffff, 0xffff_ffff, near() | 0x8000][next(4)]!;
      const [ds, es] = [limit(), limit()];
      const [from, to] = [0x2_0000 + 16 * next(4), next(4) ? 0x4_0000 + 16 * next(4) : 0x2_0000];
      for (const base of [from, to]) m.ram.fill(7, base, base + 0x1_0020);
      for (let i = 0; i < 10; i++) m.ram[[from, to][next(2)]! + near()] = next(3) ? 7 + next(2) : 9;
      const eax = next(3) ? 0x0707_0707 : next(2 ** 32);
      const { state } = m.cpu;
      m.cpu.reset();
      for (const [index, base, limit] of [
        [CS, 0x1000, 0xffff],
        [DS, from, ds],
        [ES, to, es],
      ] as const)
        state.segments[index]!.set(base >>> 4, base, limit, index === CS ? 0x9b00 : 0x9300);
      state.eip = 0;
      m.view.setUint32(13 * 4, 0x0100_0f00, true); // #GP: HLT
      m.ram[0x1f00] = 0xf4;
      const opcode = (isCmps ? 0xa6 : isScas ? 0xae : isStos ? 0xaa : 0xa4) + (size === 1 ? 0 : 1);
      m.dma(0x1000, Uint8Array.from([...(size === 4 ? [0x66] : []), isRepne ? 0xf2 : 0xf3, opcode, 0xf4]));
      const high = next(2 ** 16) * 0x1_0000;
      for (const [register, value] of [
        [ESI, si],
        [EDI, di],
        [ECX, cx],
      ] as const)
        state.setReg32(register, high + value);
      state.setReg32(EAX, eax);
      state.setReg32(ESP, 0x7000);
      state.setEflags(2 | (step < 0 ? EFLAGS.DF : 0));
      const expected = m.ram.slice();
      const r = { si, di, cx };
      let isFault = false;
      while (r.cx > 0) {
        const usesSource = isCmps || !(isScas || isStos);
        const isBeyond = (offset: number, limit: number) => offset + size - 1 > limit;
        isFault = (usesSource && isBeyond(r.si, ds)) || isBeyond(r.di, es);
        if (isFault) break;
        const [a, b] = [from + r.si, to + r.di];
        const value = usesSource ? expected.slice(a, a + size) : new Uint8Array(new Uint32Array([eax]).buffer, 0, size);
        const isEqual = Buffer.compare(value, expected.subarray(b, b + size)) === 0;
        if (!isCmps && !isScas) expected.set(value, b);
        if (usesSource) r.si = (r.si + step) & 0xffff;
        r.di = (r.di + step) & 0xffff;
        r.cx--;
        if ((isCmps || isScas) && isEqual === isRepne) break;
      }
      for (let i = 0; i < 80 && !state.halted; i++) m.cpu.run(200);
      const name = isCmps ? 'cmps' : isScas ? 'scas' : isStos ? 'stos' : 'movs';
      const what = `trial ${trial}: ${name} ${size} x ${cx} step ${step} from ${si} to ${di}, limits ${ds} and ${es}`;
      expect(state.halted, what).toBe(true);
      expect(state.eip === 0xf01, what).toBe(isFault);
      expect([state.reg32(ESI), state.reg32(EDI), state.reg32(ECX)], what).toEqual([
        high + r.si,
        high + r.di,
        high + r.cx,
      ]);
      expect(Buffer.compare(m.ram.subarray(0x1_0000), expected.subarray(0x1_0000)), what).toBe(0);
      const isRound = step > 0 ? r.di < di : r.di > di;
      ends[isFault ? 'fault' : isRound ? 'round' : 'plain']++;
      state.halted = false;
    }
    expect(Math.min(ends.fault, ends.round, ends.plain)).toBeGreaterThan(50);
  });

  it('wrap around the address space where segments allow it', () => {
    const m = bareMachine(RAM);
    enterFlat32(m, 0x1000);
    m.ram.set([0xf3, 0xaa, 0xf4], 0x1000);
    const { state } = m.cpu;
    state.setReg32(EDI, 0xffff_fffe);
    state.setReg32(ECX, 6);
    state.setReg32(EAX, 0x77);
    m.cpu.run(100);
    expect(m.mmio.map((w) => w.addr)).toEqual([0xffff_fffe, 0xffff_ffff]);
    expect([...m.ram.subarray(0, 6)]).toEqual([0x77, 0x77, 0x77, 0x77, 0, 0]);
    expect([state.reg32(EDI), state.reg32(ECX)]).toEqual([4, 0]);
  });

  it('take one step at a time while TF is set', () => {
    const m = bareMachine(RAM);
    enterFlat32(m, 0x1000);
    m.ram.set([0xf3, 0xa4, 0xf4], 0x1000);
    m.ram.set([1, 2, 3, 4], 0x2000);
    m.ram.set([0, 0, 0, 0], 0x2000 + 0x100);
    const { state } = m.cpu;
    // The first step delivers #DB, for which there is no table: the machine shuts down there.
    state.setIdt(0, 0);
    state.setEflags(2 | EFLAGS.TF);
    state.setReg32(ESI, 0x2000);
    state.setReg32(EDI, 0x2100);
    state.setReg32(ECX, 4);
    m.cpu.run(100);
    expect(m.shutdowns).toBe(1);
    expect(state.reg32(ECX)).toBe(3);
    expect([...m.ram.subarray(0x2100, 0x2104)]).toEqual([1, 0, 0, 0]);
  });
});
