import { describe, expect, it } from 'vitest';
import { CR0, EAX, EBX, ECX, EDX, ESI } from '../../../target/x86/state.ts';
import { blockKey, KNOWN } from '../known-blocks.ts';
import { type BareMachine, bareMachine, enterFlat32, enterLong } from '../testing.ts';
import type { BatchResult } from './batch.ts';
import { newModuleId } from './compile.ts';
import {
  type KeptModule,
  KeptRegions,
  type MachineCode,
  MOST_WAITING,
  RegionCatalogue,
  type RegionStore,
} from './kept-regions.ts';
import { ROOM, readerOf, SlowThread, saved } from './thread-testing.ts';

const START = 0x1000;
const DATA = 0x8000;
const word = (n: number) => [...new Uint8Array(Int32Array.of(n).buffer)];

/** A loop over memory with natives of the x87, a helper and a call: what regions refer to.
 *  1: mov eax,[esi]; inc eax; mov [esi],eax; fld1; fstp st0; xor eax,eax; push ebx; cpuid; pop ebx; call f; inc edx; dec edi; jnz 1b; hlt
 *  f: inc ebx; ret */
const MIXED = [
  ...[0x8b, 0x06, 0x40, 0x89, 0x06, 0xd9, 0xe8, 0xdd, 0xd8, 0x31, 0xc0, 0x53, 0x51, 0x52, 0x0f, 0xa2, 0x5a, 0x59, 0x5b],
  ...[0xe8, ...word(5), 0x42, 0x4f, 0x75, 0xe4, 0xf4],
  ...[0x43, 0xc3],
];
/** 1: inc ecx; dec edi; jnz 1b; hlt */
const OTHER = [0x41, 0x4f, 0x75, 0xfc, 0xf4];
const ROUNDS = 300;

function machineAt(
  at: number,
  code: readonly number[],
  kept?: KeptRegions,
  jit: 'off' | 'always' = 'always',
): BareMachine {
  const m = bareMachine(4 << 20, { jit, ...(kept ? { kept } : {}) });
  enterFlat32(m, at);
  m.ram.set(code, at);
  m.cpu.state.setReg32(ESI, DATA);
  m.cpu.state.setReg32(7, ROUNDS);
  return m;
}
/** Runs to the end and gives what came out. */
function outcome(m: BareMachine): number[] {
  for (let i = 0; i < 1000 && !m.cpu.state.halted; i++) m.cpu.run(200);
  const { state } = m.cpu;
  expect(state.halted).toBe(true);
  return [EAX, EBX, ECX, EDX, ESI, 7].map((register) => state.reg32(register)).concat(m.view.getUint32(DATA, true));
}
const expected = () => outcome(machineAt(START, MIXED, undefined, 'off'));

describe('kept regions', () => {
  it('serve wherever the same code lies', () => {
    const kept = new KeptRegions(null);
    const first = machineAt(START, MIXED, kept);
    expect(outcome(first)).toEqual(expected());
    expect(first.cpu.jit.statistics).toMatchObject({ reused: 0 });
    expect(first.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    for (const at of [START, START + 0x3000]) {
      const again = machineAt(at, MIXED, kept);
      // Something else first: the same records lie elsewhere.
      again.ram.set([0x90, 0x90, 0xe9, ...word(at - 0x507)], 0x500);
      again.cpu.state.eip = 0x500;
      expect(outcome(again)).toEqual(expected());
      const { compiled, reused } = again.cpu.jit.statistics;
      expect(reused).toBeGreaterThan(0);
      expect(compiled - reused).toBeLessThanOrEqual(1); // the jump
    }
  });

  it('serve 64-bit code too', () => {
    // 1: inc rax; add [rsi],rax; dec rdi; jnz 1b; hlt
    const code = [0x48, 0xff, 0xc0, 0x48, 0x01, 0x06, 0x48, 0xff, 0xcf, 0x75, 0xf5, 0xf4];
    const run = (at: number, kept?: KeptRegions) => {
      const m = machineAt(at, code, kept);
      enterLong(m, at);
      return { m, outcome: outcome(m) };
    };
    const kept = new KeptRegions(null);
    const plain = run(START, kept);
    const again = run(START + 0x2000, kept);
    expect(again.outcome).toEqual(plain.outcome);
    expect(again.outcome.at(-1)).toBe((ROUNDS * (ROUNDS + 1)) / 2);
    expect(again.m.cpu.jit.statistics.reused).toBe(again.m.cpu.jit.statistics.compiled);
  });

  it('are not taken for other code, of the first block or another, and not for another mode', () => {
    for (const change of [2, MIXED.length - 2]) {
      const kept = new KeptRegions(null);
      outcome(machineAt(START, MIXED, kept));
      const code = [...MIXED];
      code[change] = change === 2 ? 0x48 : 0x4b; // dec for inc
      const other = outcome(machineAt(START, code, kept));
      expect(other).toEqual(outcome(machineAt(START, code, undefined, 'off')));
      expect(other).not.toEqual(expected());
    }
    const kept = new KeptRegions(null);
    // 1: dec edi; jnz 1b; hlt in 32-bit and in 64-bit code
    const code = [0xff, 0xcf, 0x75, 0xfc, 0xf4];
    outcome(machineAt(START, code, kept));
    const long = machineAt(START, code, kept);
    enterLong(long, START);
    outcome(long);
    expect(long.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    expect(long.cpu.jit.statistics.reused).toBe(0);
  });

  it('look where the pages of their code are mapped now', () => {
    const DIRECTORY = 0x10_0000;
    const CALLEE = 0x5000;
    // 1: call CALLEE; inc ecx; jmp 1b; callee: inc eax; ret
    const calls = [0xe8, ...word(CALLEE - (START + 5)), 0x41, 0xeb, 0xf8];
    const paged = (kept: KeptRegions, at: number) => {
      const m = machineAt(START, calls, kept);
      m.view.setUint32(DIRECTORY, (DIRECTORY + 4096) | 7, true);
      for (let i = 0; i < 1024; i++) m.view.setUint32(DIRECTORY + 4096 + 4 * i, (i << 12) | 7, true);
      m.ram.set([0x40, 0xc3], at);
      m.ram.set([0x43, 0xc3], 0x2_0000); // inc ebx; ret
      m.cpu.state.cr3 = DIRECTORY;
      m.cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
      const map = (physical: number) => {
        m.view.setUint32(DIRECTORY + 4096 + (CALLEE >>> 12) * 4, physical | 7, true);
        m.cpu.flushTlb();
      };
      map(at);
      return { m, map };
    };
    const kept = new KeptRegions(null);
    const first = paged(kept, CALLEE);
    for (let i = 0; i < 40; i++) first.m.cpu.run(500);
    const { m, map } = paged(kept, 0x1_8000);
    const { state, jit } = m.cpu;
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(EAX)).toBe(4000);
    expect(jit.statistics.reused).toBeGreaterThan(0);
    const { interpreted } = jit.exits;
    m.cpu.run(5000);
    expect(jit.exits.interpreted).toBe(interpreted); // nothing is looked for: the callee is part of the region
    const eax = state.reg32(EAX);
    map(0x2_0000);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(EAX)).toBe(eax);
    expect(state.reg32(EBX)).toBe(4000);
  });

  it('are there again after they were saved, as far as they are whole', () => {
    const kept = new KeptRegions(null);
    expect(kept.isChanged).toBe(false);
    outcome(machineAt(START, MIXED, kept));
    expect(kept.isChanged).toBe(true);
    const store = saved(kept);
    const reusedFrom = (from: RegionStore) => {
      const m = machineAt(START, MIXED, new KeptRegions(from));
      expect(outcome(m)).toEqual(expected());
      return m.cpu.jit.statistics.reused;
    };
    const all = reusedFrom(store);
    expect(all).toBeGreaterThan(0);
    const { bytes, catalogue } = store;
    expect(all).toBe(catalogue.keys.length);
    const holding = (other: Uint8Array) => ({ read: readerOf(other), catalogue });
    expect(reusedFrom(holding(bytes.slice(0, bytes.length - 4)))).toBeLessThan(all);
    for (let bit = 1; bit < 0x100; bit <<= 1) expect(reusedFrom(holding(bytes.map((byte) => byte ^ bit)))).toBe(0);
    expect(reusedFrom(holding(new Uint8Array(0)))).toBe(0);
    // Elsewhere than the catalogue says.
    expect(reusedFrom(holding(new Uint8Array([0, 0, 0, 0, ...bytes])))).toBe(0);
    // As another catalogue would have it.
    const places = catalogue.modules.map((module) => ({ ...module, keys: module.keys.toReversed() }));
    const wrong = new RegionCatalogue(1, catalogue.members, places);
    expect(reusedFrom({ ...store, catalogue: wrong })).toBe(0);
  });

  it('have a catalogue that is words, or none', () => {
    const kept = new KeptRegions(null);
    for (const code of [MIXED, OTHER]) outcome(machineAt(START, code, kept));
    const { catalogue } = saved(kept);
    const { words } = catalogue;
    const again = RegionCatalogue.from(words)!;
    expect(again.modules).toEqual(catalogue.modules);
    expect(again.modules.length).toBeGreaterThan(1);
    expect(again.members).toEqual(catalogue.members);
    const bad = [[], [1], [1, -1], [1, 5, 0, 0], [1, 0, 1, 2, 3], [1, 0, 0, 40, 80, 1, 0, 2, 3]];
    bad.push([1, 0, 0, 40, 80, 1, 0, -1], [1, 0, -4, 40, 80, 1, 0, 0], [1, 0, 0, 40, 36, 1, 0, 0]);
    bad.push([1, 0, 0, 4, 80, 1, 0, 0]);
    for (const wrong of bad) expect(RegionCatalogue.from(Int32Array.from(wrong))).toBe(null);
    for (const right of [
      [1, 0],
      [1, 0, 0, 40, 80, 1, 0, 0],
    ])
      expect(RegionCatalogue.from(Int32Array.from(right))).not.toBe(null);
  });

  it('that no later run uses are soon gone', () => {
    let kept = new KeptRegions(null);
    for (const code of [MIXED, OTHER]) outcome(machineAt(START, code, kept));
    const sizes: number[] = [];
    for (let run = 2; run < 6; run++) {
      kept = new KeptRegions(saved(kept));
      if (run === 2) outcome(machineAt(START, OTHER, kept));
      sizes.push(saved(kept).catalogue.modules.length);
    }
    // MIXED goes when two more runs have not used it; OTHER was of use once.
    expect(sizes[1]).toBe(sizes[0]);
    expect(sizes[2]).toBeLessThan(sizes[1]!);
    expect(sizes[3]).toBe(sizes[2]);
    const m = machineAt(START, OTHER, kept);
    outcome(m);
    expect(m.cpu.jit.statistics.reused).toBeGreaterThan(0);
  });

  it('move to a store when that has been written', () => {
    const kept = new KeptRegions(null);
    outcome(machineAt(START, MIXED, kept));
    const pieces: Uint8Array[] = [];
    const { catalogue, moved } = kept.save(ROOM, (piece) => pieces.push(piece.slice()));
    expect(kept.isChanged).toBe(true);
    let reads = 0;
    const read = readerOf(Buffer.concat(pieces));
    moved({
      catalogue,
      read: (at, into) => {
        reads++;
        return read(at, into);
      },
    });
    expect(kept.isChanged).toBe(false);
    const reused = () => {
      const m = machineAt(START, MIXED, kept);
      expect(outcome(m)).toEqual(expected());
      return m.cpu.jit.statistics.reused;
    };
    expect(reused()).toBeGreaterThan(0);
    expect(reads).toBe(0);
    for (let id = newModuleId(); id > 0; id--) kept.unload(id);
    expect(reused()).toBeGreaterThan(0);
    expect(reads).toBeGreaterThan(0);
  });

  it('take no more room than there is: those stay that were of use last', () => {
    const kept = new KeptRegions(null);
    outcome(machineAt(START, MIXED, kept));
    const next = new KeptRegions(saved(kept));
    outcome(machineAt(START, OTHER, next)); // used in the second run
    const room = saved(next).bytes.length - saved(kept).bytes.length;
    const last = new KeptRegions(saved(next, room));
    const [a, b] = [MIXED, OTHER].map((code) => {
      const m = machineAt(START, code, last);
      outcome(m);
      return m.cpu.jit.statistics.reused;
    });
    expect(a).toBe(0);
    expect(b).toBeGreaterThan(0);
    expect(saved(next, 0).bytes.length).toBe(0);
  });

  it('that wait for a store are not more than there is room for', () => {
    const kept = new KeptRegions(null);
    kept.waiting = MOST_WAITING - 1;
    outcome(machineAt(START, MIXED, kept));
    // One more, and then none.
    expect(saved(kept).catalogue.modules.length).toBe(1);
    expect(kept.waiting).toBeGreaterThan(MOST_WAITING);
  });

  it('that begin alike are at most four', () => {
    const kept = new KeptRegions(null);
    // 1: inc eax; jmp 2f; ... 2: (one of many instructions) dec edi; jnz 1b; hlt
    for (let i = 0; i < 8; i++)
      outcome(machineAt(START, [0x40, 0xeb, 0x02, 0x90, 0x90, 0x83, 0xc1, i, 0x4f, 0x75, 0xf5, 0xf4], kept));
    const again = (i: number) => {
      const m = machineAt(START, [0x40, 0xeb, 0x02, 0x90, 0x90, 0x83, 0xc1, i, 0x4f, 0x75, 0xf5, 0xf4], kept);
      return [outcome(m)[2], m.cpu.jit.statistics.reused > 0];
    };
    expect(again(7)).toEqual([7 * ROUNDS, true]);
    expect(again(4)).toEqual([4 * ROUNDS, true]);
    const fresh = machineAt(START, [0x40, 0xeb, 0x02, 0x90, 0x90, 0x83, 0xc1, 0, 0x4f, 0x75, 0xf5, 0xf4], kept);
    outcome(fresh);
    expect(fresh.cpu.jit.statistics.compiled).toBeGreaterThan(fresh.cpu.jit.statistics.reused);
    const { keys } = saved(kept).catalogue;
    expect(Math.max(...keys.map((key) => keys.filter((other) => other === key).length))).toBe(4);
  });

  it('are not what lock-step runs', () => {
    const kept = new KeptRegions(null);
    outcome(machineAt(START, MIXED, kept));
    const m = bareMachine(4 << 20, { jit: 'lockstep', kept });
    enterFlat32(m, START);
    m.ram.set(MIXED, START);
    m.cpu.state.setReg32(ESI, DATA);
    m.cpu.state.setReg32(7, ROUNDS);
    expect(outcome(m)).toEqual(expected());
    expect(m.cpu.jit.statistics.reused).toBe(0);
  });
});

/** V8 as far as machine code goes: what was optimised, as the test says. */
class Optimiser implements MachineCode {
  functions = 0;
  isRefusing = false;
  readonly taken: WebAssembly.Module[] = [];
  readonly given: Uint8Array[] = [];
  optimised(): number {
    return this.functions;
  }
  take(module: WebAssembly.Module): Uint8Array<ArrayBuffer> {
    this.taken.push(module);
    return Uint8Array.from([0xc0, 0xde, this.functions, this.taken.length, 1, 2, 3]);
  }
  give(code: Uint8Array<ArrayBuffer>, wire: Uint8Array<ArrayBuffer>): WebAssembly.Module | null {
    this.given.push(code);
    return this.isRefusing ? null : new WebAssembly.Module(wire);
  }
}
describe('machine code of kept regions', () => {
  /** A run with what the one before left. */
  function run(from: RegionStore | null, optimiser: Optimiser) {
    const kept = new KeptRegions(from, optimiser);
    const m = machineAt(START, MIXED, kept);
    expect(outcome(m)).toEqual(expected());
    return { kept, statistics: m.cpu.jit.statistics };
  }
  it('is kept with them, and used', () => {
    const optimiser = new Optimiser();
    const plain = saved(run(null, optimiser).kept);
    expect(optimiser.taken.length).toBe(0);
    expect(run(plain, optimiser).statistics.ready).toBe(0);
    expect(optimiser.given.length).toBe(0);
    const first = run(null, optimiser);
    optimiser.functions = 2;
    const store = saved(first.kept);
    expect(optimiser.taken.length).toBe(store.catalogue.modules.length);
    const { statistics } = run(store, optimiser);
    expect(statistics.ready).toBe(optimiser.given.length);
    expect(statistics.ready).toBeGreaterThan(0);
    expect(optimiser.given[0]).toEqual(Uint8Array.of(0xc0, 0xde, 2, 1, 1, 2, 3));
  });
  it('is kept anew when there is more of it, and that alone is worth writing', () => {
    const optimiser = new Optimiser();
    optimiser.functions = 1;
    const next = run(saved(run(null, optimiser).kept), optimiser);
    const taken = optimiser.taken.length;
    expect(next.kept.isChanged || next.kept.isWorthWriting).toBe(false);
    saved(next.kept);
    expect(optimiser.taken.length).toBe(taken);
    optimiser.functions = 3;
    expect(next.kept.isChanged).toBe(false);
    expect(next.kept.isWorthWriting).toBe(true);
    const again = saved(next.kept);
    expect(optimiser.taken.length).toBeGreaterThan(taken);
    expect(run(again, optimiser).statistics.ready).toBeGreaterThan(0);
  });
  it('that another V8 made is not used, and makes room for ours', () => {
    const optimiser = new Optimiser();
    optimiser.functions = 4;
    const store = saved(run(null, optimiser).kept);
    optimiser.isRefusing = true;
    const { kept, statistics } = run(store, optimiser);
    expect(statistics).toMatchObject({ ready: 0, reused: store.catalogue.keys.length });
    optimiser.functions = 1;
    const taken = optimiser.taken.length;
    const again = saved(kept);
    expect(optimiser.taken.length).toBeGreaterThan(taken);
    optimiser.isRefusing = false;
    run(again, optimiser);
    expect(optimiser.given.at(-1)!.slice(0, 3)).toEqual(Uint8Array.of(0xc0, 0xde, 1));
  });
  it('is not used when it is damaged', () => {
    const optimiser = new Optimiser();
    optimiser.functions = 1;
    const store = saved(run(null, optimiser).kept);
    const bytes = store.bytes.slice();
    for (const { at, length } of store.catalogue.modules) bytes[at + length - 8]! ^= 1;
    const { statistics } = run({ ...store, read: readerOf(bytes) }, optimiser);
    expect(statistics).toMatchObject({ ready: 0, reused: store.catalogue.keys.length });
    expect(optimiser.given.length).toBe(0);
  });
});

describe('with a thread that compiles, kept regions', () => {
  /** 1: inc eax; inc ecx; jmp 1b */
  const LOOP = [0x40, 0x41, 0xeb, 0xfc];
  function threaded(kept: KeptRegions, code: readonly number[] = LOOP) {
    const thread = new SlowThread(kept);
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => thread.start(setup) });
    enterFlat32(m, START);
    m.ram.set(code, START);
    return { m, thread, jit: m.cpu.jit.statistics };
  }
  /** Instructions until something is asked for; what is asked for is answered. */
  function untilAsked({ m, thread }: ReturnType<typeof threaded>): number {
    let ran = 0;
    while (thread.jobs.length === 0 && ran < 100_000) {
      m.cpu.run(30);
      ran += 30;
    }
    thread.work().tell();
    m.cpu.run(30);
    return ran;
  }
  /** A store that has the loop: the thread hears that it was sound with the next job. */
  function filled(): KeptRegions {
    const kept = new KeptRegions(null);
    const made = threaded(kept);
    expect(untilAsked(made)).toBeGreaterThan(2000);
    expect(kept.isChanged).toBe(false);
    made.m.ram.set(LOOP, START + 0x100);
    made.m.cpu.state.eip = START + 0x100;
    untilAsked(made);
    expect(kept.isChanged).toBe(true);
    return kept;
  }

  it('are asked for soon, and used', () => {
    const again = threaded(filled());
    expect(untilAsked(again)).toBeLessThan(300);
    expect(again.jit).toMatchObject({ regions: 1, reused: 1 });
    const { state } = again.m.cpu;
    const before = state.reg32(EAX);
    again.m.cpu.run(3000);
    expect(state.reg32(EAX) - before).toBe(1000);
    // Within one long stay, as loops are.
    const stay = threaded(filled());
    stay.m.cpu.run(200_000);
    expect(stay.thread.jobs.length).toBe(1);
  });

  it('consist of what would be compiled anew, and read what it would read', () => {
    // Over two pages, with natives, a helper, memory in a loop, a way out: where the second page lies in the arena matters too.
    const DIRECTORY = 0x10_0000;
    const CALLEE = 0x5000;
    const call = [0xe8, ...word(CALLEE - (START + 24))];
    // test esi,esi; jz: not taken; inc edx; jmp to the start
    const code = [...MIXED.slice(0, 19), ...call, 0x85, 0xf6, 0x74, 0x7e, 0x42, 0xeb, 0xe1];
    const paged = (kept: KeptRegions, at: number) => {
      const made = threaded(kept, code);
      const { view, ram, cpu } = made.m;
      view.setUint32(DIRECTORY, (DIRECTORY + 4096) | 7, true);
      for (let i = 0; i < 1024; i++) view.setUint32(DIRECTORY + 4096 + 4 * i, (i << 12) | 7, true);
      view.setUint32(DIRECTORY + 4096 + (CALLEE >>> 12) * 4, at | 7, true);
      ram.set([0x43, 0xc3], at); // inc ebx; ret
      ram.set(LOOP, START + 0x100);
      // Another time something else is decoded first: records lie elsewhere.
      if (at !== CALLEE) {
        ram.set([0x90, 0x90, 0xe9, ...word(START - 0x507)], 0x500);
        cpu.state.eip = 0x500;
      }
      cpu.state.setReg32(ESI, DATA);
      cpu.state.cr3 = DIRECTORY;
      cpu.state.cr0 = (CR0.PE | CR0.ET | CR0.PG) >>> 0;
      cpu.flushTlb();
      for (let i = 0; i < 8; i++) untilAsked(made);
      cpu.state.eip = START + 0x100;
      untilAsked(made);
      expect(made.jit.regions).toBeGreaterThan(0);
      return made;
    };
    const kept = new KeptRegions(null);
    paged(kept, CALLEE);
    const again = paged(kept, 0x2_3000);
    expect(again.jit.reused).toBeGreaterThan(0);
    expect(again.thread.pairs.length).toBeGreaterThan(0);
    for (const [used, anew] of again.thread.pairs) {
      const of = ({ regions }: BatchResult) =>
        regions.map(({ head, records, entries, instructions, words }) => [head, records, entries, instructions, words]);
      expect(of(used)).toEqual(of(anew));
      expect(used.modules.map(({ bytes }) => bytes)).toEqual(anew.modules.map(({ bytes }) => bytes));
    }
  });

  it('that do not fit let their first block wait longer and longer, then as long as any other', () => {
    // The region of the store goes on behind the branch: 1: inc eax; dec edx; jz 1b; jmp 1b
    const forked = [0x40, 0x4a, 0x74, 0xfc, 0xeb, 0xfa];
    const kept = new KeptRegions(null);
    const made = threaded(kept, forked);
    untilAsked(made);
    made.m.ram.set(LOOP, START + 0x100);
    made.m.cpu.state.eip = START + 0x100;
    untilAsked(made);
    const changed = [...forked];
    changed.splice(4, 2, 0x90, 0xeb, 0xf9);
    const other = threaded(kept, changed);
    const waits = [untilAsked(other), untilAsked(other), untilAsked(other)];
    expect(other.jit).toMatchObject({ regions: 0, reused: 0 });
    waits.push(untilAsked(other));
    expect(other.jit).toMatchObject({ regions: 1, reused: 0 });
    for (let i = 1; i < waits.length; i++) expect(waits[i]).toBeGreaterThan(3 * waits[i - 1]!);
    expect(waits[0]).toBeLessThan(100);
    expect(waits[3]).toBeGreaterThan(8000);
  });

  it('of code that the guest changes are not asked for soon again', () => {
    const { m, thread, jit } = threaded(filled());
    untilAsked({ m, thread, jit });
    expect(jit.regions).toBe(1);
    m.dma(START, Uint8Array.of(0x43)); // inc ebx
    m.dma(START, Uint8Array.of(0x40));
    expect(untilAsked({ m, thread, jit })).toBeGreaterThan(2000);
  });

  it('come with their module once, and again when the machine has dropped it', () => {
    const { m, thread, jit } = threaded(filled());
    const codes: boolean[] = [];
    const dropped: number[] = [];
    const ask = () => {
      while (thread.jobs.length === 0) m.cpu.run(300);
      dropped.push(thread.jobs[0]!.dropped.length);
      const work = thread.work();
      codes.push(...work.answers.flatMap(({ modules }) => modules.map(({ code }) => code !== null)));
      work.tell();
      m.cpu.run(30);
    };
    ask();
    m.dma(START, Uint8Array.of(0x43)); // inc ebx
    m.dma(START, Uint8Array.of(0x40));
    ask();
    expect(jit).toMatchObject({ regions: 1, reused: 2 });
    expect(codes).toEqual([true, true]);
    expect(dropped).toEqual([0, 1]);
    // The same code elsewhere, while the first is in use.
    m.ram.set(LOOP, START + 0x1000);
    m.cpu.state.eip = START + 0x1000;
    ask();
    expect(jit).toMatchObject({ regions: 2, modules: 1, reused: 3 });
    expect(codes).toEqual([true, true, false]);
    const before = m.cpu.state.reg32(EAX);
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(1000);
    m.cpu.state.eip = START;
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(2000);
  });

  it('are there though nobody waited any more for the answer that brought their module', () => {
    const { m, thread, jit } = threaded(filled());
    while (thread.jobs.length === 0) m.cpu.run(30);
    const work = thread.work();
    const engine = m.cpu as unknown as { blocks: { clear(): void }; jumpCache: Uint32Array };
    engine.blocks.clear();
    engine.jumpCache.fill(0xffff_ffff);
    work.tell();
    m.cpu.run(30);
    expect(jit.regions).toBe(0);
    untilAsked({ m, thread, jit });
    expect(jit).toMatchObject({ regions: 1, reused: 1 });
    const before = m.cpu.state.reg32(EAX);
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(1000);
  });

  it('are not made of code that changed while it was compiled', () => {
    const kept = new KeptRegions(null);
    const made = threaded(kept);
    while (made.thread.jobs.length === 0) made.m.cpu.run(300);
    const work = made.thread.work();
    // The processor's own writes: the block comes back, with its record.
    made.m.cpu.memory.write(START, 1, 0x43);
    made.m.cpu.memory.write(START, 1, 0x40);
    work.tell();
    // Asked for again all the same.
    expect(untilAsked(made)).toBeLessThan(10_000);
    expect(kept.isChanged).toBe(false);
  });

  it('that V8 does not take are compiled anew', () => {
    const kept = filled();
    const broken = threaded(kept);
    const { modules } = kept as unknown as { modules: Map<number, KeptModule> };
    for (const module of modules.values()) {
      module.code = null;
      module.wire = module.wire!.map(() => 0xff);
    }
    for (let i = 0; i < 4; i++) untilAsked(broken);
    expect(broken.jit).toMatchObject({ regions: 1, reused: 0 });
    broken.m.cpu.run(3000);
    expect(broken.m.cpu.state.reg32(EAX)).toBeGreaterThan(1000);
  });

  it('tell what they consist of', () => {
    const { known } = saved(filled()).catalogue;
    const bytes = Uint8Array.from(LOOP);
    const { mode } = blockModeOf(LOOP);
    expect(known.find(blockKey(bytes, 0, 4, 0, mode))).toBe(KNOWN.head);
    expect(known.find(blockKey(bytes, 0, 4, 1, mode))).toBe(KNOWN.no);
    expect(known.find(blockKey(bytes, 0, 3, 0, mode))).toBe(KNOWN.no);
    known.forget(blockKey(bytes, 0, 4, 0, mode));
    expect(known.find(blockKey(bytes, 0, 4, 0, mode))).toBe(KNOWN.no);
  });
  function blockModeOf(code: readonly number[]) {
    const { m } = threaded(new KeptRegions(null), code);
    m.cpu.run(30);
    const { blocks } = m.cpu as unknown as { blocks: { pages: Map<number, { mode: number }[]> } };
    return [...blocks.pages.values()][0]![0]!;
  }
});
