import { describe, expect, it } from 'vitest';
import { defineCpu, parseCpuOption } from '../../../target/x86/cpu-definition.ts';
import { GUEST_FAULT } from '../../../target/x86/fault.ts';
import { CR0, CR4, EFER, EFLAGS, FIELDS } from '../../../target/x86/state.ts';
import { ACCESS, type Access } from '../../../target/x86/system-ops.ts';
import { type NativePaging, TABLES } from '../guest-memory.ts';
import { type BareMachine, bareMachine } from '../testing.ts';

const RAM = 4 << 20;
/** Page tables lie in the first pages, so that random entries lead to them; the root is in none of those: a walk that sets bits in
 *  what it came from would not come to the same end twice. */
const TABLE_PAGES = 16;
const ROOT = TABLE_PAGES * 4096;
const ACCESSES = [ACCESS.read, ACCESS.write, ACCESS.execute];

/** A small generator of numbers: mulberry32. */
function random(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface Mode {
  readonly name: string;
  readonly cr4: number;
  readonly efer: number;
}
const MODES: readonly Mode[] = [
  { name: '32-bit entries', cr4: 0, efer: 0 },
  { name: '32-bit entries with large pages', cr4: CR4.PSE | CR4.PGE, efer: 0 },
  { name: 'PAE', cr4: CR4.PAE | CR4.PGE, efer: EFER.NXE },
  { name: 'PAE without NX', cr4: CR4.PAE, efer: 0 },
  { name: '4 levels', cr4: CR4.PAE | CR4.PGE, efer: EFER.LME | EFER.LMA | EFER.NXE },
  { name: '4 levels without NX', cr4: CR4.PAE, efer: EFER.LME | EFER.LMA },
];

/** An entry of a table: mostly sound, its page mostly in RAM. */
function entry(pick: (below: number) => number): number {
  const flags = [1, 2, 4, 0x20, 0x40, 0x100].reduce((sum, bit) => sum | (pick(10) > 0 ? bit : 0), 0);
  const page = pick(4) > 0 ? pick(TABLE_PAGES) : pick(8) === 0 ? pick(0x10_0000) : pick(RAM >> 12);
  return ((page << 12) | flags | (pick(20) === 0 ? 0x80 : 0)) >>> 0;
}
function prepare(machine: BareMachine, mode: Mode, seed: number): void {
  const pick = random(seed);
  const { view, cpu } = machine;
  const isWide = (mode.cr4 & CR4.PAE) !== 0;
  for (let at = 0; at < ROOT + 4096; at += isWide ? 8 : 4) {
    view.setUint32(at, entry(pick), true);
    if (!isWide) continue;
    const high = pick(20) === 0 ? 0x8000_0000 : pick(100) === 0 ? 1 << pick(31) : 0;
    view.setUint32(at + 4, high, true);
    // The entries of a PAE root have neither rights nor A.
    if ((mode.efer & EFER.LMA) === 0 && at >= ROOT)
      view.setUint32(at, (view.getUint32(at, true) & 0xffff_f000) | 1, true);
  }
  const { state } = cpu;
  state.cr3 = ROOT;
  state.cr4 = mode.cr4 | (pick(3) === 0 ? CR4.SMEP : 0) | (pick(4) === 0 ? CR4.SMAP : 0);
  state.efer = mode.efer;
  state.cr0 = (CR0.PE | CR0.PG | (pick(3) === 0 ? 0 : CR0.WP)) >>> 0;
  state.cpl = pick(2) * 3;
  state.set(FIELDS.eflagsSystem, pick(4) === 0 ? EFLAGS.AC : 0);
  state.a20Mask = pick(10) === 0 ? 0xffef_ffff : 0xffff_ffff;
  cpu.memory.setMode((mode.efer & EFER.LMA) !== 0, (mode.efer & EFER.LMA) !== 0, state.cpl === 3);
  state.set(FIELDS.long, mode.efer & EFER.LMA ? 1 : 0);
}
function address(pick: (below: number) => number, isLong: boolean): number {
  const inPage = pick(4096);
  if (!isLong) return (pick(1024) * 2 ** 22 + pick(1024) * 4096 + inPage) >>> 0;
  const levels = [39, 30, 21, 12].reduce((sum, shift) => sum + pick(512) * 2 ** shift, inPage);
  return levels >= 2 ** 47 ? levels - 2 ** 48 : levels;
}
/** Where an access leads, or what it ends in. */
function outcome(machine: BareMachine, linear: number, access: Access, isSupervisor: boolean): string {
  const { memory, state } = machine.cpu;
  try {
    const at = memory.window(linear, access, isSupervisor);
    return at < 0 ? `device ${memory.physOfLast}` : `ram ${at}`;
  } catch (error) {
    if (error !== GUEST_FAULT) throw error;
    return `fault ${state.low(FIELDS.exceptionVector)} ${state.low(FIELDS.exceptionErrorCode)}`;
  }
}

describe('page walks in WebAssembly', () => {
  const definition = defineCpu(parseCpuOption('max')).definition;
  for (const mode of MODES)
    it(`${mode.name}: lead where the exact ones lead, and set the same bits`, () => {
      const exact = bareMachine(RAM, { definition });
      const quick = bareMachine(RAM, { definition });
      const native = (quick.cpu.memory as unknown as { native: NativePaging }).native;
      let answered = 0;
      quick.cpu.memory.setNative({
        ...native,
        fill: (...args) => {
          const at = native.fill(...args);
          if (at !== 0) answered++;
          return at;
        },
      });
      exact.cpu.memory.setNative(null);
      // What is in RAM and may be written is known once it was asked for.
      for (let page = 0; page < RAM; page += 4096) quick.cpu.memory.writePhysical(page, 4, 0);
      const isLong = (mode.efer & EFER.LMA) !== 0;
      for (let round = 0; round < 60; round++) {
        for (const machine of [exact, quick]) {
          prepare(machine, mode, round + 1);
          machine.cpu.flushTlb();
        }
        const pick = random(1000 + round);
        const seen: number[] = [];
        for (let i = 0; i < 150; i++) {
          const linear = seen.length > 0 && pick(3) > 0 ? seen[pick(seen.length)]! : address(pick, isLong);
          seen.push(linear);
          const access = ACCESSES[pick(3)]!;
          const isSupervisor = pick(4) === 0;
          if (pick(30) === 0) for (const machine of [exact, quick]) machine.cpu.flushTlb(true);
          const said = outcome(quick, linear, access, isSupervisor);
          const is = outcome(exact, linear, access, isSupervisor);
          const where = `round ${round}, access ${access} to ${linear.toString(16)}`;
          // Both arenas have the same layout.
          if (said !== is) expect(`${where}: ${said}`).toBe(`${where}: ${is}`);
        }
        expect(Buffer.compare(Buffer.from(quick.ram), Buffer.from(exact.ram))).toBe(0);
      }
      expect(answered).toBeGreaterThan(500);
    });
  it('are off while single accesses are watched', () => {
    const { cpu } = bareMachine(RAM, { definition });
    const { arena } = (cpu.memory as unknown as { bus: { arena: { bytes: Uint8Array } } }).bus;
    const word = () => arena.bytes[cpu.memory.layout.tables + TABLES.isOff];
    expect(word()).toBe(0);
    cpu.memory.watch = { touches: () => true, access: () => {}, port: () => {} };
    expect(word()).toBe(1);
    cpu.memory.watch = null;
    expect(word()).toBe(0);
  });
});
