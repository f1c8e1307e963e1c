/** REP CMPS and SCAS against a model that does one element after the other (SDM volume 2): where they stop, all flags, and that a fault
 *  leaves the flags as they were. */
import { describe, expect, it } from 'vitest';
import { CR0, CR4, EAX, ECX, EDI, EFLAGS, ESI, FIELDS } from '../../../target/x86/state.ts';
import type { JitMode } from '../jit/jit.ts';
import { type BareMachine, bareMachine, enterFlat32, enterLong, LONG_TABLES } from '../testing.ts';

const RAM = 4 << 20;
const CODE = 0x1000;
const FIRST = 0xa_0000;
const PAGES = 24;
const TABLE = LONG_TABLES + 0x4000;

function random(seed: number): (below: number) => number {
  let s = seed;
  return (below) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * below);
  };
}

/** Flags of a - b. */
function flagsOf(a: bigint, b: bigint, bits: number): number {
  const top = 1n << BigInt(bits - 1);
  const difference = BigInt.asUintN(bits, a - b);
  let ones = 0;
  for (let i = 0n; i < 8n; i++) ones += Number((difference >> i) & 1n);
  return (
    (a < b ? EFLAGS.CF : 0) |
    (ones % 2 === 0 ? EFLAGS.PF : 0) |
    ((a & 15n) < (b & 15n) ? EFLAGS.AF : 0) |
    (difference === 0n ? EFLAGS.ZF : 0) |
    (difference & top ? EFLAGS.SF : 0) |
    ((a ^ b) & (a ^ difference) & top ? EFLAGS.OF : 0)
  );
}
const ARITHMETIC = EFLAGS.CF | EFLAGS.PF | EFLAGS.AF | EFLAGS.ZF | EFLAGS.SF | EFLAGS.OF;

interface Form {
  readonly at: number;
  readonly size: number;
  readonly isCmps: boolean;
  readonly isRepne: boolean;
}
/** Every form at a place of its own, so that it stays compiled. */
function forms(m: BareMachine, isLong: boolean): Form[] {
  const list: Form[] = [];
  for (const size of isLong ? [1, 2, 4, 8] : [1, 2, 4])
    for (const isCmps of [true, false])
      for (const isRepne of [true, false]) {
        const at = CODE + 16 * list.length;
        const prefix = size === 2 ? [0x66] : [];
        const rex = size === 8 ? [0x48] : [];
        const opcode = (isCmps ? 0xa6 : 0xae) + (size === 1 ? 0 : 1);
        m.dma(at, Uint8Array.from([...prefix, isRepne ? 0xf2 : 0xf3, ...rex, opcode, 0xf4]));
        list.push({ at, size, isCmps, isRepne });
      }
  return list;
}
/** Pages of 4 KiB with the identity mapping; those of `absent` are not there. */
function mapPages(m: BareMachine, isLong: boolean, absent: ReadonlySet<number>): void {
  for (let i = 0; i < 512; i++) {
    const isHere = !absent.has(i - (FIRST >> 12));
    m.view.setUint32(TABLE + i * (isLong ? 8 : 4), isHere ? (i << 12) | 0x67 : 0, true);
  }
  const { state } = m.cpu;
  if (isLong) m.view.setUint32(LONG_TABLES + 0x2000, TABLE | 0x67, true);
  else {
    m.view.setUint32(LONG_TABLES, TABLE | 0x67, true);
    state.cr3 = LONG_TABLES;
    state.cr4 = CR4.OSFXSR;
    state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
  }
  m.cpu.flushTlb();
}

const WAYS = (['off', 'always'] satisfies JitMode[]).flatMap((mode) => [32, 64].map((bits) => ({ mode, bits })));

describe.each(WAYS)('repeated comparisons in $bits bits, x-jit=$mode', ({ mode, bits }) => {
  it('are what one element after the other gives', { timeout: 120_000 }, () => {
    const isLong = bits === 64;
    const next = random(bits);
    const stops = { early: 0, end: 0, fault: 0, long: 0 };
    const m = bareMachine(RAM, { jit: mode });
    let fault = -1;
    (m.cpu.ops as { deliverException: (v: number, e: number | undefined) => void }).deliverException = (vector) => {
      fault = vector;
      m.cpu.state.halted = true;
    };
    const { ram } = m;
    const { state } = m.cpu;
    const all = forms(m, isLong);
    for (let trial = 0; trial < 4000; trial++) {
      const { at, size, isCmps, isRepne } = all[next(all.length)]!;
      if (isLong) enterLong(m, at);
      else enterFlat32(m, at);
      const absent = new Set(next(3) ? [] : [next(PAGES), next(PAGES)]);
      mapPages(m, isLong, absent);
      const isDown = next(6) === 0;
      const step = isDown ? -size : size;
      const count = next(3) ? next(40) : next(next(4) ? 2000 : 9000);
      const [esi, edi] = [FIRST + 0x5000 + next(0x3000), FIRST + 0xe000 + next(0x3000)];
      // What does not end it for long stretches, with noise here and there.
      const wanted = BigInt.asUintN(64, BigInt(next(256)) * 0x0101_0101_0101_0101n);
      const filler = isCmps ? 7 : isRepne ? Number(wanted & 0xffn) ^ (1 + next(255)) : Number(wanted & 0xffn);
      ram.fill(isCmps ? 7 : filler, FIRST, FIRST + 0xb000);
      ram.fill(isCmps && isRepne ? 9 : filler, FIRST + 0xb000, FIRST + PAGES * 4096);
      for (let i = next(12); i > 0; i--) {
        const value = next(3) ? Number(wanted & 0xffn) : next(256);
        const length = isRepne ? size : 1;
        const where = next(2) ? FIRST + next(PAGES * 4096 - 8) : edi + step * next(60);
        ram.fill(value, where, where + length);
        if (isCmps && isRepne && next(2)) ram.fill(value, where - edi + esi, where - edi + esi + length);
      }
      const before = next(2 ** 12) & ARITHMETIC;
      state.setReg64(ESI, esi);
      state.setReg64(EDI, edi);
      state.setReg64(ECX, count);
      state.setParts(FIELDS.gpr, Number(wanted & 0xffff_ffffn), Number(wanted >> 32n), EAX);
      state.setEflags(2 | before | (isDown ? EFLAGS.DF : 0));
      fault = -1;
      const isHere = (where: number) => ![where, where + size - 1].some((edge) => absent.has((edge - FIRST) >> 12));
      const element = (where: number) => {
        let value = 0n;
        for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(ram[where + i]!);
        return value;
      };
      let [si, di, cx, flags, isFault] = [esi, edi, count, before, false];
      while (cx > 0) {
        isFault = (isCmps && !isHere(si)) || !isHere(di);
        if (isFault) break;
        const a = isCmps ? element(si) : BigInt.asUintN(8 * size, wanted);
        const b = element(di);
        if (isCmps) si += step;
        di += step;
        cx--;
        flags = flagsOf(a, b, 8 * size);
        if ((a === b) === isRepne) break;
      }
      if (isFault) flags = before;
      for (let i = 0; i < 200 && !state.halted; i++) m.cpu.run(4000);
      const what = `trial ${trial}: ${isCmps ? 'cmps' : 'scas'} ${size} x ${count} step ${step} repne ${isRepne}`;
      expect(fault, what).toBe(isFault ? 14 : -1);
      expect([state.reg64(ESI), state.reg64(EDI), state.reg64(ECX)], what).toEqual([si, di, cx]);
      expect(state.getEflags() & ARITHMETIC, what).toBe(flags);
      stops[isFault ? 'fault' : cx > 0 ? 'early' : 'end']++;
      if (count - cx > 5000) stops.long++;
      state.halted = false;
    }
    expect(Math.min(stops.early, stops.end, stops.fault)).toBeGreaterThan(100);
    expect(stops.long).toBeGreaterThan(10);
    if (mode === 'always') expect(m.cpu.jit.statistics.compiled).toBeGreaterThan(all.length - 1);
  });
});
