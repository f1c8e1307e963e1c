import { describe, expect, it } from 'vitest';
import { decode, decodeLong, type Executable } from '../../../target/x86/decode/decoder.ts';
import { EAX, ECX, EDI, ESI, PAGE_CACHE } from '../../../target/x86/state.ts';
import { MODE } from '../blocks.ts';
import { type BareMachine, enterLong, hexBytes, LONG_TABLES } from '../testing.ts';
import { JIT_MODES } from './jit.ts';
import { enterPaged, guestOf, map, START } from './kept-testing.ts';
import { pageCaches } from './page-caches.ts';
import type { Plan, PlannedBlock } from './plan.ts';
import { traitsOf } from './traits.ts';

const MODE_32 = MODE.code32 | MODE.flatData | MODE.flatStack;

function accesses(hex: string, isLong = false): readonly number[] {
  const code = hexBytes(hex);
  const d: Executable | null = isLong ? decodeLong(code, 0, code.length) : decode(code, 0, code.length, true);
  expect(d?.length).toBe(code.length);
  return traitsOf(d!, isLong ? MODE.code64 : MODE_32).accesses;
}
/** A region whose blocks, so deep in loops, have these instructions. */
function region(...blocks: { depth: number; code: readonly string[] }[]): Pick<Plan, 'blocks' | 'shape'> {
  const planned = blocks.map(({ code }) => ({
    insns: code.map((hex) => ({ traits: { accesses: accesses(hex) } })),
  }));
  return {
    blocks: planned as unknown as PlannedBlock[],
    shape: { loopDepth: (i: number) => blocks[i]!.depth } as Plan['shape'],
  };
}
const MOV_EAX_EBX = '8b 03'; // mov eax,[ebx]
const MOV_ECX = '89 01'; // mov [ecx],eax
/** mov eax,[ebx+n] */
const read = (n: number) =>
  `8b 83 ${[...new Uint8Array(Int32Array.of(n).buffer)].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`;

describe('accesses that look at one page together', () => {
  it.each([
    ['the same base, near each other', MOV_EAX_EBX, '8b 43 7f', true],
    ['on either side of the base', read(-2048), read(2047), true],
    ['the same base, a page apart', MOV_EAX_EBX, read(4096), false],
    ['far apart in either direction', read(0x40_5000), read(-0x40_5000), false],
    ['other bases', MOV_EAX_EBX, '8b 01', false],
    ['with an index and without', MOV_EAX_EBX, '8b 04 33', false],
    ['other indexes', '8b 04 33', '8b 04 3b', false],
    ['a push and a local variable', '50', '89 44 24 10', true],
    ['at addresses of one page', 'a1 00 12 34 00', 'a1 00 11 34 00', true],
    ['at addresses of two pages', 'a1 00 12 34 00', 'a1 00 22 34 00', false],
  ])('%s', (_what, one, other, together) => {
    const [a, b] = [one, other].map((hex) => accesses(hex)[0]);
    expect(a).toBeGreaterThanOrEqual(0);
    expect(a === b).toBe(together);
  });
  it('are those of 64-bit code too', () => {
    const codes = ['8b 05 10 00 00 00', '8b 05 10 50 00 00', '41 8b 07']; // [rip+0x10], [rip+0x5010], [r15]
    expect(new Set(codes.map((hex) => accesses(hex, true)[0])).size).toBe(3);
  });
  it('either read or write', () => {
    expect(accesses('89 03')[0]).toBe(accesses(MOV_EAX_EBX)[0]! + 1);
    expect(new Set(accesses('01 03'))).toEqual(new Set(accesses('89 03'))); // add [ebx],eax
  });
});

describe('page caches of a region', () => {
  it('are for accesses in loops', () => {
    const plan = region({ depth: 0, code: [MOV_ECX] }, { depth: 1, code: [MOV_EAX_EBX, '01 03'] });
    expect([...pageCaches(plan).keys()].sort()).toEqual([accesses(MOV_EAX_EBX)[0], accesses('01 03')[0]]);
    expect(new Set(pageCaches(plan).values())).toEqual(new Set([0, 1]));
    expect(pageCaches(region({ depth: 0, code: [MOV_ECX] })).size).toBe(0);
  });
  it('are no more than there are, innermost first', () => {
    const outer = Array.from({ length: PAGE_CACHE.count }, (_, i) => read(4096 * i));
    const inner = read(-4096);
    const caches = pageCaches(region({ depth: 1, code: outer }, { depth: 2, code: [inner, outer.at(-1)!] }));
    expect([...caches.values()].sort((a, b) => a - b)).toEqual(outer.map((_, i) => i));
    for (const hex of [inner, outer.at(-1)!, outer[0]!]) expect(caches.has(accesses(hex)[0]!)).toBe(true);
    expect(caches.has(accesses(outer.at(-2)!)[0]!)).toBe(false);
    const twice = [1, 2, 1].map((depth) => ({ depth, code: depth === 2 ? [inner] : [...outer, inner] }));
    twice[0]!.code = outer;
    expect(pageCaches(region(...twice)).has(accesses(inner)[0]!)).toBe(true);
  });
});

const PAGE = 0x3_0000;
const OTHER_FRAME = 0x5_0000;
const BITS = [32, 64] as const;
const PAGED = {
  32: { enter: enterPaged, map },
  64: { enter: enterLongPaged, map: mapLong },
};
/** Lets a machine in 64-bit code run with 2 MiB mapped to themselves in pages of 4 KiB. */
function enterLongPaged(m: BareMachine, at: number): void {
  enterLong(m, at);
  for (let i = 0; i < 512; i++) m.view.setUint32(LONG_TABLES + 0x3000 + i * 8, (i << 12) | 7, true);
  m.view.setUint32(LONG_TABLES + 0x2000, (LONG_TABLES + 0x3000) | 7, true);
  m.cpu.flushTlb();
}
function mapLong(m: BareMachine, linear: number, physical: number): void {
  m.view.setUint32(LONG_TABLES + 0x3000 + (linear >>> 12) * 8, physical | 7, true);
  m.cpu.flushTlb();
}

describe.each(JIT_MODES)('a page that a loop remembers, x-jit=%s', (jit) => {
  /** 1: add eax,[esi]; inc ebx; add esi,edi; dec ecx; jnz 1b; hlt */
  const SUM = { 32: '03 06 43 01 fe 49 75 f8 f4', 64: '03 06 ff c3 01 fe ff c9 75 f6 f4' };
  /** 1: mov [esi],eax; add esi,edi; inc eax; dec ecx; jnz 1b; hlt */
  const FILL = { 32: '89 06 01 fe 40 49 75 f8 f4', 64: '89 06 01 fe ff c0 ff c9 75 f6 f4' };
  const machineOf = (bits: 32 | 64, code: string) =>
    guestOf([...hexBytes(code)], { jit, enter: PAGED[bits].enter, at: START });
  /** Gives EAX. */
  function run(m: BareMachine, from: number, count: number, step: number): number {
    const { state } = m.cpu;
    const given = { [EAX]: 0, [ECX]: count, [ESI]: from, [EDI]: step };
    for (const [register, value] of Object.entries(given)) state.setReg32(Number(register), value);
    state.rip = START;
    state.halted = false;
    for (let i = 0; i < 100 && !state.halted; i++) m.cpu.run(1000);
    expect(state.reg32(ECX)).toBe(0);
    return state.reg32(EAX);
  }

  it.each(BITS)('is looked up anew each time that it is entered, %d bits', (bits) => {
    const m = machineOf(bits, SUM[bits]);
    m.view.setUint32(PAGE, 3, true);
    m.view.setUint32(OTHER_FRAME, 5, true);
    for (let i = 0; i < 4; i++) expect(run(m, PAGE, 5000, 0)).toBe(15_000);
    PAGED[bits].map(m, PAGE, OTHER_FRAME);
    expect(run(m, PAGE, 5000, 0)).toBe(25_000);
  });

  it.each(BITS)('ends where the page does, %d bits', (bits) => {
    const [reads, writes] = [machineOf(bits, SUM[bits]), machineOf(bits, FILL[bits])];
    const bytes = Uint8Array.from({ length: 0x2000 }, (_, i) => (i * 37) ^ (i >> 5));
    for (const m of [reads, writes]) {
      m.ram.set(bytes.subarray(0, 4096), PAGE);
      m.ram.set(bytes.subarray(4096), OTHER_FRAME);
      PAGED[bits].map(m, PAGE + 4096, OTHER_FRAME);
    }
    const view = new DataView(bytes.buffer);
    const [from, count] = [0xe00, 0x400];
    let sum = 0;
    for (let i = 0; i < count; i++) sum = (sum + view.getUint32(from + i, true)) >>> 0;
    for (let i = 0; i < 6; i++) expect(run(reads, PAGE + from, count, 1)).toBe(sum);
    for (let i = 0; i < 6; i++) run(writes, PAGE + from, count, 1);
    for (let i = 0; i < count; i++) view.setUint32(from + i, i, true);
    expect(writes.ram.slice(PAGE, PAGE + 4096)).toEqual(bytes.subarray(0, 4096));
    expect(writes.ram.slice(OTHER_FRAME, OTHER_FRAME + 4096)).toEqual(bytes.subarray(4096));
  });
});
