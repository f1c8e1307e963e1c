import { describe, expect, it } from 'vitest';
import { EDI } from '../../../target/x86/state.ts';
import type { BlockCache } from '../blocks.ts';
import { KNOWN } from '../known-blocks.ts';
import { type BareMachine, enterLong } from '../testing.ts';
import { StoredModule } from './kept-regions.ts';
import { DATA, enterPaged, type Guest, guestOf, KeepingRun, outcome, ROUNDS, START, word } from './kept-testing.ts';

/** Where the first 4 MiB lie once more. */
const UPPER = { 32: 0xc000_0000, 64: 0x8000_0000 } as const;
type Bits = keyof typeof UPPER;

function enter(m: BareMachine, at: number, bits: Bits): void {
  const { view } = m;
  if (bits === 32) {
    enterPaged(m, at);
    const { cr3 } = m.cpu.state;
    for (const upper of [UPPER[32], 0x4000_0000])
      view.setUint32(cr3 + 4 * (upper >>> 22), view.getUint32(cr3, true), true);
  } else {
    enterLong(m, at);
    const { cr3 } = m.cpu.state;
    view.setUint32(cr3 + 8 * 511, view.getUint32(cr3, true), true);
    const next = view.getUint32(cr3, true) & ~0xfff;
    view.setUint32(next + 8 * 510, view.getUint32(next, true), true);
  }
  m.cpu.flushTlb();
}
/** 1: mov eax,[a]; add eax,1; mov [a],eax; mov ecx,a+4; add ebx,[ecx]; add ebx,[esi+a+8-DATA]; cmp ecx,a+4; jne 2f;
 *  add dword [a+8],a; sub edi,1; jnz 1b; 2: hlt */
function addressing(a: number, bits: Bits): number[] {
  const wide = bits === 64 ? [0x48] : [];
  const at = bits === 64 ? [0x04, 0x25] : [0x05];
  const start = [
    ...[0x8b, ...at, ...word(a), 0x83, 0xc0, 0x01, 0x89, ...at, ...word(a)],
    ...(bits === 64 ? [0x48, 0xc7, 0xc1, ...word(a + 4)] : [0xb9, ...word(a + 4)]),
    ...[0x03, 0x19, 0x03, 0x9e, ...word(a + 8 - DATA), ...wide, 0x81, 0xf9, ...word(a + 4)],
  ];
  const rest = [0x81, ...at, ...word(a + 8), ...word(a), 0x83, 0xef, 0x01];
  const back = -(start.length + 2 + rest.length + 2);
  return [...start, 0x75, rest.length + 2, ...rest, 0x75, back & 0xff, 0xf4];
}
function run(code: readonly number[], bits: Bits, guest: Guest = {}) {
  const m = guestOf(code, { ...guest, enter: (machine, at) => enter(machine, at, bits) });
  for (let i = 0; i < 4096; i++) m.view.setUint32(DATA + 4 * i, i + 1, true);
  const { statistics } = m.cpu.jit;
  const registers = outcome(m);
  const { resumed } = m.cpu.jit.exits;
  return { outcome: [...registers, ...m.ram.subarray(DATA, DATA + 16384)], resumed, machine: m, ...statistics };
}
/** What a run has that comes after one of such code. */
function runAfter(code: readonly number[], bits: Bits): KeepingRun {
  const first = new KeepingRun();
  expect(run(code, bits, { run: first }).reused).toBe(0);
  return new KeepingRun(first.save());
}
/** Runs other code after it, which must come to its own end, and tells whether all that was compiled served. */
function serves(before: readonly number[], code: readonly number[], bits: Bits = 32, at = START): boolean {
  const plain = run(code, bits, { jit: 'off', at });
  const later = run(code, bits, { run: runAfter(before, bits), at });
  expect(later.outcome).toEqual(plain.outcome);
  expect(later.compiled).toBeGreaterThan(0);
  // With another address the interpreter would have to do it.
  expect(later.resumed).toBeLessThan(ROUNDS / 10);
  return later.reused === later.compiled;
}

describe('regions of a kernel that is loaded elsewhere', () => {
  it.each([32, 64] as const)('of %d bits serve with its other addresses', (bits) => {
    const at = (shift: number) => addressing(UPPER[bits] + DATA + shift, bits);
    for (const shift of [0, 4, 0x1234, 0x3000]) expect(serves(at(0), at(shift), bits)).toBe(true);
    expect(serves(at(0x2000), at(0), bits, START + 0x3000)).toBe(true);
    const code = at(16);
    code[code.length - 9] = 1; // add dword [a+8],another number
    expect(serves(at(0), code, bits)).toBe(false);
  });

  it('do not where addresses are not in the upper half', () => {
    expect(serves(addressing(UPPER[32] + DATA, 32), addressing(0x4000_0000 + DATA, 32))).toBe(false);
    expect(serves(addressing(0x4000_0000 + DATA, 32), addressing(0x4000_0000 + DATA, 32))).toBe(true);
    expect(serves(addressing(0x4000_0000 + DATA, 32), addressing(0x4000_0000 + DATA + 16, 32))).toBe(false);
  });

  it('count on distances of what lies near each other, and on no others', () => {
    // 1: mov eax,[a]; add [b],eax; sub edi,1; jnz 1b; hlt
    const code = (a: number, b: number) => {
      const [first, second] = [a, b].map((address) => word(UPPER[32] + DATA + address));
      return [0xa1, ...first!, 0x01, 0x05, ...second!, 0x83, 0xef, 0x01, 0x75, 0xf0, 0xf4];
    };
    expect(serves(code(0, 8), code(0x100, 0x108))).toBe(true);
    expect(serves(code(0, 8), code(0, 16))).toBe(false);
    expect(serves(code(0, 8), code(0x100, 8))).toBe(false);
    expect(serves(code(0x2000, 0x1000), code(0x2000, 0x1004))).toBe(false);
    expect(serves(code(0, 0x1004), code(0, 0x2000))).toBe(true);
    expect(serves(code(0, 0x1004), code(0x2000, 0x10))).toBe(true);
  });

  it('read what is written there while they are in use', () => {
    // 1: add dword [a],1; jmp 1b
    const code = (at: number) => [0x83, 0x05, ...word(UPPER[32] + at), 0x01, 0xeb, 0xf7];
    const first = new KeepingRun();
    const m = guestOf(code(DATA), { run: first, enter: (machine, at) => enter(machine, at, 32) });
    const count = (at: number) => m.view.getUint32(at, true);
    const field = [DATA + 8, DATA + 0x1000, DATA].map((at) => word(UPPER[32] + at));
    const writes = [
      () => m.cpu.memory.write(START + 2, 4, UPPER[32] + DATA + 8),
      () => m.dma(START + 2, Uint8Array.from(field[1]!)),
      () => m.dma(START + 2, Uint8Array.from(field[2]!)),
    ];
    for (let i = 0; i < 5; i++) m.cpu.run(200);
    expect(m.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    for (const [i, at] of [DATA + 8, DATA + 0x1000, DATA].entries()) {
      const before = count(at);
      writes[i]!();
      const others = [DATA, DATA + 8, DATA + 0x1000].filter((other) => other !== at).map(count);
      for (let k = 0; k < 5; k++) m.cpu.run(200);
      expect(count(at) - before).toBe(500);
      expect([DATA, DATA + 8, DATA + 0x1000].filter((other) => other !== at).map(count)).toEqual(others);
    }
    // The same module with other addresses.
    expect(m.cpu.jit.statistics.reused).toBeGreaterThan(0);
    expect(m.cpu.jit.exits.resumed).toBeLessThan(50);
  });

  it('of 64 bits are not taken where a distance reaches over the sign', () => {
    // 1: inc edx; sub edi,1; jz 2f; add dword [a],1; add dword [a+16],1; jmp 1b; 2: hlt
    const code = (a: number) => [
      ...[0xff, 0xc2, 0x83, 0xef, 0x01, 0x74, 18, 0x83, 0x04, 0x25, ...word(a), 1],
      ...[0x83, 0x04, 0x25, ...word(a + 16), 1, 0xeb, 0xe7, 0xf4],
    ];
    const rounds = 10_000;
    const start = (a: number, keeping: KeepingRun) => {
      const m = guestOf(code(a), { jit: 'on', run: keeping, enter: (machine, at) => enter(machine, at, 64) });
      m.cpu.state.setReg32(EDI, rounds + 1);
      // The page below the upper half of 32 bits.
      const { cr3 } = m.cpu.state;
      const second = m.view.getUint32(cr3, true) & ~0xfff;
      m.view.setUint32(second + 8, (second + 0x3000) | 7, true);
      m.view.setUint32(second + 0x3000 + 8 * 511, 0x87, true);
      m.cpu.flushTlb();
      outcome(m);
      return m;
    };
    const first = new KeepingRun();
    expect(start(UPPER[64] + DATA, first).view.getUint32(DATA + 16, true)).toBe(rounds);
    const later = () => new KeepingRun(first.save());
    expect(start(UPPER[64] + DATA + 64, later()).cpu.jit.statistics).toMatchObject({ reused: 1, compiled: 1 });
    const { cpu, view } = start(0x7fff_fff8, later());
    expect([view.getUint32(8, true), view.getUint32(0x1f_fff8, true)]).toEqual([rounds, rounds]);
    expect(cpu.jit.statistics).toMatchObject({ reused: 0, compiled: 1 });
    expect(cpu.jit.exits.resumed).toBeLessThan(ROUNDS / 10);
  });

  it('are known by blocks that have other addresses', () => {
    const [before, after] = [0, 0x100].map((shift) => addressing(UPPER[32] + DATA + shift, 32));
    const first = new KeepingRun();
    run(before!, 32, { run: first });
    const store = first.save();
    const { known, modules } = store.catalogue;
    const { machine } = run(after!, 32, { jit: 'on' });
    const { blocks } = machine.cpu as unknown as { blocks: BlockCache };
    const second = after!.indexOf(0x75) + 2;
    const keys = [0, second].map((at) => {
      const start = machine.ram.byteOffset + START + at;
      const block = [...Array(256).keys()].map((mode) => blocks.find(start, mode)).find((found) => found);
      return block!.key;
    });
    expect(known.find(keys[0]!)).toBe(KNOWN.head);
    const regions = modules.flatMap((place) => new StoredModule(store, place).text!.regions);
    const whole = regions.find((region) => region.get('key') === keys[0])!;
    expect([...whole.members()].slice(0, 2).toSorted()).toEqual(keys.toSorted());
  });
});
