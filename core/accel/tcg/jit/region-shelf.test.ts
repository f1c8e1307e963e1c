import { describe, expect, it } from 'vitest';
import { EAX, EBX, ECX, EDX } from '../../../target/x86/state.ts';
import type { BlockCache } from '../blocks.ts';
import { type BareMachine, bareMachine, dropAllCode, enterFlat32, enterLong } from '../testing.ts';
import { KeptRegion, StoredModule } from './kept-regions.ts';
import {
  type BytesStore,
  enterPaged,
  FakeV8,
  guestOf,
  KeepingRun,
  MIXED,
  MIXED_LONG,
  map,
  OTHER,
  outcome,
  ROUNDS,
  runGuest,
  START,
  storeIn,
  word,
} from './kept-testing.ts';
import { MAX_VARIANTS, RegionShelf } from './region-shelf.ts';
import type { ReadyModule } from './regions-ahead.ts';
import { SlowThread } from './thread-testing.ts';

const expected = () => runGuest(MIXED, { jit: 'off' }).outcome;
const blocksOf = (m: BareMachine) => (m.cpu as unknown as { blocks: BlockCache }).blocks;
/** A run that has what a run before it made of such code, each piece in a module of its own. */
function runAfter(codes: readonly (readonly number[])[], machine: FakeV8 | null = null): KeepingRun {
  return new KeepingRun(storeOf(codes, machine), machine);
}
function storeOf(codes: readonly (readonly number[])[], machine: FakeV8 | null = null): BytesStore {
  const run = new KeepingRun(null, machine);
  for (const code of codes) {
    runGuest(code, { run });
    run.save();
  }
  run.finish();
  return run.save();
}
/** Modules that machines put on the shelf of a run from now on. */
function addedIn({ shelf }: KeepingRun): Parameters<RegionShelf['add']>[0][] {
  const added: Parameters<RegionShelf['add']>[0][] = [];
  const { add } = shelf;
  shelf.add = (module) => {
    added.push(module);
    return add.call(shelf, module);
  };
  return added;
}

describe('regions on the shelf', () => {
  it('serve wherever the same code lies', () => {
    const run = new KeepingRun();
    const first = runGuest(MIXED, { run });
    expect(first.outcome).toEqual(expected());
    expect(first.reused).toBe(0);
    expect(first.compiled).toBeGreaterThan(0);
    for (const later of [run, new KeepingRun(run.save())])
      for (const at of [START, START + 0x3000]) {
        const again = guestOf(MIXED, { at, run: later });
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
    const run = new KeepingRun();
    const plain = runGuest(MIXED_LONG, { run, enter: enterLong });
    expect(plain.outcome.at(-1)).toBe(ROUNDS);
    expect(plain.reused).toBe(0);
    for (const later of [run, new KeepingRun(run.save())]) {
      const again = runGuest(MIXED_LONG, { at: START + 0x2000, run: later, enter: enterLong });
      expect(again.outcome).toEqual(plain.outcome);
      expect(again.reused).toBe(again.compiled);
      expect(again.reused).toBeGreaterThan(0);
    }
  });

  it('are not taken for other code, of the first block or another, or at another place in a page', () => {
    for (const change of [2, MIXED.length - 2]) {
      const code = [...MIXED];
      code[change]! ^= 8; // dec for inc
      const other = runGuest(code, { run: runAfter([MIXED]) });
      expect(other.outcome).toEqual(runGuest(code, { jit: 'off' }).outcome);
      expect(other.outcome).not.toEqual(expected());
    }
    const run = runAfter([MIXED]);
    const moved = runGuest(MIXED, { at: START + 16, run });
    expect(moved.outcome).toEqual(expected());
    expect(moved.reused).toBe(0);
  });

  it('are not taken for others with the same key by chance', () => {
    const place = (at: number) => {
      const run = new KeepingRun();
      const added = addedIn(run);
      runGuest(OTHER, { run, at });
      return added[0]!;
    };
    const [here, there] = [place(START), place(START + 16)];
    const keys = there.regions!.map((region) => region!.get('key'));
    const asIfThere = here.regions!.map((region, i) => {
      const { data } = region!;
      return new KeptRegion(data.with(data.indexOf(region!.get('key')), keys[i]!));
    });
    const run = new KeepingRun();
    run.shelf.add({ ...there, regions: asIfThere });
    const { reused, outcome: ending } = runGuest(OTHER, { run, at: START + 16 });
    expect([reused, ending[2]]).toEqual([0, ROUNDS]);
    run.shelf.add(there);
    expect(runGuest(OTHER, { run, at: START + 16 }).reused).toBeGreaterThan(0);
  });

  it('are not taken for the same code in another mode, or an engine with other handlers', () => {
    // 1: dec edi; jnz 1b; hlt in 32-bit and in 64-bit code
    const code = [0xff, 0xcf, 0x75, 0xfc, 0xf4];
    const run = runAfter([code]);
    const long = runGuest(code, { run, enter: enterLong });
    expect(long.compiled).toBeGreaterThan(0);
    expect(long.reused).toBe(0);
    const { find } = run.shelf;
    run.shelf.find = (source, head, hotCount) => find.call(run.shelf, source, head, hotCount + 1);
    expect(runGuest(code, { run }).reused).toBe(0);
    run.shelf.find = find;
    expect(runGuest(code, { run }).reused).toBeGreaterThan(0);
  });

  it('look where the pages of their code are mapped now', () => {
    const CALLEE = 0x5000;
    // 1: call CALLEE; inc ecx; jmp 1b; callee: inc eax; ret
    const calls = [0xe8, ...word(CALLEE - (START + 5)), 0x41, 0xeb, 0xf8];
    const paged = (run: KeepingRun, at: number) => {
      const m = guestOf(calls, { run, enter: enterPaged });
      m.ram.set([0x40, 0xc3], at);
      m.ram.set([0x43, 0xc3], 0x2_0000); // inc ebx; ret
      map(m, CALLEE, at);
      return m;
    };
    const run = new KeepingRun();
    const first = paged(run, CALLEE);
    for (let i = 0; i < 40; i++) first.cpu.run(500);
    const m = paged(new KeepingRun(run.save()), 0x1_8000);
    const { state, jit } = m.cpu;
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(EAX)).toBe(4000);
    expect(jit.statistics.reused).toBeGreaterThan(0);
    const { interpreted } = jit.exits;
    m.cpu.run(5000);
    expect(jit.exits.interpreted).toBe(interpreted); // nothing is looked for: the callee is part of the region
    const eax = state.reg32(EAX);
    map(m, CALLEE, 0x2_0000);
    for (let i = 0; i < 40; i++) m.cpu.run(500);
    expect(state.reg32(EAX)).toBe(eax);
    expect(state.reg32(EBX)).toBe(4000);
  });

  it('that begin alike are at most four, the newest', () => {
    const run = new KeepingRun();
    // 1: inc eax; jmp 2f; ... 2: add ecx,number; dec edi; jnz 1b; hlt
    const variant = (i: number) => [0x40, 0xeb, 0x02, 0x90, 0x90, 0x83, 0xc1, i, 0x4f, 0x75, 0xf5, 0xf4];
    for (let i = 0; i < 2 * MAX_VARIANTS; i++) runGuest(variant(i), { run });
    const store = run.save();
    const again = (i: number, from: KeepingRun) => {
      const { outcome: ending, reused, compiled } = runGuest(variant(i), { run: from });
      expect(ending[2]).toBe(i * ROUNDS);
      return reused === compiled;
    };
    const newest = Array.from({ length: MAX_VARIANTS }, (_, i) => i + MAX_VARIANTS);
    expect(newest.map((i) => again(i, run))).toEqual([true, true, true, true]);
    expect(again(0, run)).toBe(false);
    // Of the store, four as well.
    const { keys } = store.catalogue;
    const most = keys.find((key) => keys.filter((other) => other === key).length === 2 * MAX_VARIANTS);
    expect(most).toBeDefined();
    const all = Array.from({ length: 2 * MAX_VARIANTS }, (_, i) => again(i, new KeepingRun(store)));
    expect(all.filter((isThere) => isThere).length).toBe(MAX_VARIANTS);
  });

  it('are not what lock-step runs', () => {
    const run = runAfter([MIXED]);
    const locked = runGuest(MIXED, { run, jit: 'lockstep' });
    expect(locked.outcome).toEqual(expected());
    expect(locked.reused).toBe(0);
    expect(locked.compiled).toBeGreaterThan(0);
  });

  it('of which a block’s accesses must be looked up one by one by now are compiled anew', () => {
    const run = runAfter([OTHER]);
    const m = guestOf(OTHER, { run });
    const { find } = run.shelf;
    let isApart = true;
    run.shelf.find = (source, head, hotCount) =>
      find.call(run.shelf, { ...source, isApart: () => isApart }, head, hotCount);
    expect(outcome(m)[2]).toBe(ROUNDS);
    expect(m.cpu.jit.statistics).toMatchObject({ reused: 0 });
    expect(m.cpu.jit.statistics.compiled).toBeGreaterThan(0);
    isApart = false;
    expect(runGuest(OTHER, { run: runAfter([OTHER]) }).reused).toBeGreaterThan(0);
  });
});

describe('blocks of a region on the shelf', () => {
  /** 1: inc eax; dec edx; jz 2f; jmp 1b; 2: inc ebx; jmp 1b */
  const FORKED = [0x40, 0x4a, 0x74, 0x02, 0xeb, 0xfa, 0x43, 0xeb, 0xf7];
  const SECOND = START + 6;
  /** `left`: rounds until the way to the second block is taken. */
  function forked(run: KeepingRun | null, left: number, jit: 'always' | 'off' = 'always'): BareMachine {
    const m = guestOf(FORKED, { run, jit });
    m.cpu.state.setReg32(EDX, left);
    return m;
  }
  function runBefore(): KeepingRun {
    const run = new KeepingRun();
    const m = forked(run, 2);
    for (let i = 0; i < 3; i++) m.cpu.run(100);
    expect(m.cpu.state.reg32(EBX)).toBe(1);
    return new KeepingRun(run.save());
  }
  const isDecoded = (m: BareMachine) =>
    blocksOf(m).find(m.ram.byteOffset + SECOND, blocksOf(m).blockAt(firstRecord(m))!.mode) !== undefined;
  function firstRecord(m: BareMachine): number {
    const { pages } = blocksOf(m) as unknown as { pages: Map<number, { record: number; start: number }[]> };
    return [...pages.values()].flat().find(({ start }) => start === m.ram.byteOffset + START)!.record;
  }

  it('that never ran are decoded for it', () => {
    const m = forked(runBefore(), 1_000_000);
    m.cpu.run(100);
    expect(isDecoded(m)).toBe(false);
    for (let i = 0; i < 10; i++) m.cpu.run(100);
    expect(m.cpu.jit.statistics).toMatchObject({ reused: 2, compiled: 2, compiledInstructions: 12 });
    expect(isDecoded(m)).toBe(true);
    const plain = forked(null, 1_000_000, 'off');
    plain.cpu.run(m.cpu.executed);
    for (const other of [m, plain]) other.cpu.state.setReg32(EDX, 70);
    const { interpreted } = m.cpu.jit.exits;
    for (let i = 0; i < 4; i++) {
      m.cpu.run(101);
      plain.cpu.run(m.cpu.executed - plain.cpu.executed);
    }
    const registersOf = ({ cpu: { state } }: BareMachine) => [EAX, EBX, EDX].map((register) => state.reg32(register));
    expect(registersOf(m)).toEqual(registersOf(plain));
    expect(m.cpu.state.reg32(EBX)).toBe(1);
    expect(m.cpu.jit.exits.interpreted).toBe(interpreted);
  });

  it('are not decoded where that could drop all others', () => {
    const m = forked(runBefore(), 1_000_000);
    const blocks = blocksOf(m);
    const asked: number[] = [];
    blocks.hasRoom = (count) => {
      asked.push(count);
      return false;
    };
    for (let i = 0; i < 3; i++) m.cpu.run(100);
    expect(m.cpu.jit.statistics.reused).toBe(0);
    expect(isDecoded(m)).toBe(false);
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(32); // as many as a region may have
    // Those that are decoded need no room.
    const late = forked(runBefore(), 1);
    blocksOf(late).hasRoom = () => false;
    for (let i = 0; i < 3; i++) late.cpu.run(100);
    expect(late.cpu.jit.statistics.reused).toBeGreaterThan(0);
    expect(late.cpu.jit.statistics.compiledInstructions).toBeGreaterThanOrEqual(6);
  });

  it('are looked for in pages that are known only', () => {
    const FAR = 0x5000;
    // 1: inc eax; dec edx; jz FAR; jmp 1b; FAR: inc ebx; jmp 1b
    const code = [0x40, 0x4a, 0x0f, 0x84, ...word(FAR - (START + 8)), 0xeb, 0xf6];
    const paged = (run: KeepingRun, left: number, physical = FAR) => {
      const m = guestOf(code, { run, enter: enterPaged });
      m.ram.set([0x43, 0xe9, ...word(START - (FAR + 6))], physical);
      m.ram.set([0xe9, ...word(START - (FAR + 0x105))], physical + 0x100);
      map(m, FAR, physical);
      m.cpu.state.setReg32(EDX, left);
      return m;
    };
    const before = new KeepingRun();
    const first = paged(before, 2);
    for (let i = 0; i < 3; i++) first.cpu.run(100);
    const store = before.save();
    const unknown = paged(new KeepingRun(store), 1_000_000, 0x9000);
    for (let i = 0; i < 5; i++) unknown.cpu.run(100);
    expect(unknown.cpu.jit.statistics).toMatchObject({ reused: 0, compiled: 2, compiledInstructions: 8 });
    // Something else ran in that page, wherever it is now.
    const known = paged(new KeepingRun(store), 1_000_000, 0x9000);
    known.cpu.state.eip = FAR + 0x100;
    for (let i = 0; i < 5; i++) known.cpu.run(100);
    const { reused, compiled, compiledInstructions } = known.cpu.jit.statistics;
    expect([reused, compiled]).toEqual([2, 3]);
    expect(compiledInstructions).toBeGreaterThanOrEqual(12);
    known.cpu.state.setReg32(EDX, 10);
    for (let i = 0; i < 5; i++) known.cpu.run(100);
    expect(known.cpu.state.reg32(EBX)).toBe(1);
  });
});

describe('modules on the shelf', () => {
  it('of this run are as many as there is room for', () => {
    const source = new KeepingRun();
    const added = addedIn(source);
    for (const code of [MIXED, OTHER]) runGuest(code, { run: source });
    const [mixed, other] = added;
    const reuses = (run: KeepingRun, code: readonly number[]) => runGuest(code, { run }).reused > 0;
    const run = new KeepingRun();
    const first = run.shelf.add({ ...mixed!, bytes: 3 << 18 });
    // What is in use takes no room.
    run.shelf.add({ ...other!, bytes: 8 << 20 });
    expect(reuses(run, MIXED)).toBe(true);
    run.shelf.unload(first);
    run.shelf.unload(run.shelf.add({ ...other!, bytes: 1 << 18 }));
    expect(reuses(run, MIXED)).toBe(true);
    run.shelf.unload(first);
    run.shelf.unload(run.shelf.add({ ...other!, bytes: (1 << 18) + 1 }));
    expect(reuses(run, OTHER)).toBe(true);
    expect(reuses(run, MIXED)).toBe(false); // and is there again now
    expect(reuses(run, MIXED)).toBe(true);
  });

  it('are not read where there is hardly room for code', () => {
    const source = new KeepingRun();
    runGuest(MIXED, { run: source });
    const store = source.save();
    const find = (reads: boolean, shelf = new KeepingRun(store).shelf) => {
      const { known } = shelf;
      expect(known).not.toBe(null);
      const run = { shelf, keeper: source.keeper };
      const original = shelf.find.bind(shelf);
      shelf.find = (from, head, hotCount) => original(from, head, hotCount, reads);
      return runGuest(MIXED, { run }).reused;
    };
    expect(find(false)).toBe(0);
    const shelf = new KeepingRun(store).shelf;
    const all = find(true, shelf);
    expect(all).toBeGreaterThan(0);
    // What was read may be used.
    expect(find(false, shelf)).toBe(all);
  });

  it('go though several of their regions begin alike', () => {
    // The same loop in two pages, which get hot together: inc ecx; dec edi; jnz back; jmp to the other
    const run = new KeepingRun();
    const code = (distance: number) => [0x41, 0x4f, 0x75, 0xfc, 0xe9, ...word(distance - 9)];
    const m = guestOf(code(4096), { run });
    m.ram.set(code(-4096), START + 4096);
    const added = addedIn(run);
    for (let i = 0; i < 10; i++) m.cpu.run(5000);
    const twice = added.find(({ regions }) => {
      const keys = regions!.map((region) => region!.get('key'));
      return new Set(keys).size < keys.length;
    });
    expect(twice).toBeDefined();
    const shelf = new RegionShelf(null, null, new Int32Array(0));
    const gone = shelf.add({ ...twice!, bytes: 3 << 20 });
    const reused = () => {
      const other = guestOf(code(4096), { run: { shelf, keeper: run.keeper } });
      other.ram.set(code(-4096), START + 4096);
      for (let i = 0; i < 10; i++) other.cpu.run(5000);
      return other.cpu.jit.statistics.reused;
    };
    expect(() => shelf.unload(gone)).not.toThrow();
    shelf.add = (module) => new RegionShelf(null, null, new Int32Array(0)).add(module);
    expect(reused()).toBe(0);
    // Those of another module stay.
    const { add } = RegionShelf.prototype;
    add.call(shelf, { ...twice!, bytes: 1 << 20 });
    shelf.unload(add.call(shelf, { ...twice!, bytes: 3 << 20 }));
    expect(reused()).toBeGreaterThan(0);
  });

  it('have no regions that may not be found', () => {
    const run = new KeepingRun();
    const { add } = run.shelf;
    run.shelf.add = (module) => add.call(run.shelf, { ...module, regions: module.regions!.map(() => null) });
    runGuest(OTHER, { run });
    expect(runGuest(OTHER, { run }).reused).toBe(0);
  });

  it('are lost when they are damaged, and no others', () => {
    const store = storeOf([MIXED, OTHER]);
    const [mixed, other] = store.catalogue.modules;
    expect(mixed!.regions.length).toBe(3);
    const damage = (at: number) => {
      const bytes = store.bytes.slice();
      bytes[at]! ^= 1;
      const run = new KeepingRun(storeIn(bytes, store.catalogue));
      expect(runGuest(MIXED, { run }).outcome).toEqual(expected());
      const reused = [...run.used].filter((mark) => mark !== 0).length;
      return [reused > 0, runGuest(OTHER, { run }).reused > 0];
    };
    expect(damage(mixed!.at + 60)).toEqual([false, true]);
    expect(damage(mixed!.at + mixed!.aboutBytes + 100)).toEqual([false, true]);
    expect(damage(other!.at + other!.aboutBytes + 100)).toEqual([true, false]);
  });

  it('say in which order they were first of use', () => {
    const run = runAfter([MIXED, OTHER]);
    const mixed = 3;
    const other = run.used.length - mixed;
    expect(other).toBeGreaterThan(0);
    expect([...run.used]).toEqual(new Array(mixed + other).fill(0));
    runGuest(OTHER, { run });
    const first = [...run.used];
    expect(first.slice(0, mixed)).toEqual([0, 0, 0]);
    expect(first.slice(mixed)).toEqual(Array.from({ length: other }, (_, i) => -1 - i));
    runGuest(MIXED, { run });
    expect([...run.used.slice(0, mixed)].sort((a, b) => b - a)).toEqual([1, 2, 3].map((i) => -other - i));
    const all = [...run.used];
    runGuest(OTHER, { run });
    expect([...run.used]).toEqual(all);
  });

  it('have their machine code, if it is whole and V8 takes it', () => {
    const v8 = new FakeV8();
    const store = storeOf([MIXED, OTHER], v8);
    const taken = v8.taken.length;
    expect(taken).toBe(2);
    const runFrom = (from: BytesStore) => {
      const run = new KeepingRun(from, v8);
      const statistics = runGuest(MIXED, { run });
      expect(statistics.outcome).toEqual(expected());
      expect(statistics.reused).toBe(3);
      return { ready: statistics.ready, signs: new Set(run.used.map(Math.sign)) };
    };
    expect(runFrom(store)).toEqual({ ready: 1, signs: new Set([1, 0]) });
    expect(v8.given.length).toBe(1);
    expect(v8.given[0]).toEqual(new StoredModule(store, store.catalogue.modules[0]!).machineCode());
    const bytes = store.bytes.slice();
    const { at, length } = store.catalogue.modules[0]!;
    bytes[at + length - 8]! ^= 1;
    expect(runFrom(storeIn(bytes, store.catalogue))).toEqual({ ready: 0, signs: new Set([-1, 0]) });
    expect(v8.given.length).toBe(1);
    v8.isRefusing = true;
    expect(runFrom(store)).toEqual({ ready: 0, signs: new Set([-1, 0]) });
    expect(v8.given.length).toBe(2);
  });

  it('are taken from who made them ready before, and read otherwise', () => {
    const store = storeOf([MIXED, OTHER], new FakeV8());
    const wire = new StoredModule(store, store.catalogue.modules[0]!).wire()!;
    const done: (string | number)[] = [];
    let isCold = false;
    const shelf = new RegionShelf(store, null, new Int32Array(store.catalogue.keys.length), {
      use: (position) => void done.push('use', position),
      take: (position): ReadyModule | null => {
        done.push('take', position);
        return position === 0 ? { position, code: new WebAssembly.Module(wire), isCold } : null;
      },
    });
    const { keeper } = new KeepingRun(store);
    const readyAfter = (code: readonly number[], other = shelf) => runGuest(code, { run: { shelf: other, keeper } });
    expect(readyAfter(MIXED)).toMatchObject({ ready: 1, reused: 3 });
    expect(done).toEqual(['take', 0, 'use', 0]);
    expect(readyAfter(OTHER).reused).toBeGreaterThan(0);
    expect(shelf.ready).toBe(1);
    expect(done).toEqual(['take', 0, 'use', 0, 'take', 1, 'use', 1]);
    isCold = true;
    const used = new Int32Array(store.catalogue.keys.length);
    const others = { use: () => {}, take: () => ({ position: 0, code: new WebAssembly.Module(wire), isCold }) };
    expect(readyAfter(MIXED, new RegionShelf(store, null, used, others))).toMatchObject({ ready: 0, reused: 3 });
    expect([...used.slice(0, 3)].every((mark) => mark < 0)).toBe(true);
  });

  it('are let go when nothing of them is of use, and read again', () => {
    const stored = storeOf([OTHER]);
    let reads = 0;
    const store: BytesStore = {
      ...stored,
      read: (at, into) => {
        reads++;
        return stored.read(at, into);
      },
    };
    const run = new KeepingRun(store);
    const m = guestOf([...OTHER.slice(0, 4), 0xeb, 0xfa], { run });
    for (let i = 0; i < 5; i++) m.cpu.run(300);
    expect(m.cpu.jit.statistics.reused).toBe(1);
    const first = reads;
    dropAllCode(m);
    expect(m.cpu.jit.statistics.modules).toBe(0);
    for (let i = 0; i < 5; i++) m.cpu.run(300);
    expect(m.cpu.jit.statistics.reused).toBe(2);
    expect(reads).toBe(first + 1); // its WebAssembly alone
    // The same code elsewhere, while the first is in use.
    m.ram.set(OTHER, START + 0x1000);
    m.cpu.state.eip = START + 0x1000;
    m.cpu.state.setReg32(7, ROUNDS);
    expect(outcome(m)[5]).toBe(0);
    expect(m.cpu.jit.statistics.reused).toBe(3);
    expect(reads).toBe(first + 1);
  });
});

describe('with a thread that compiles, regions on the shelf', () => {
  /** 1: inc eax; inc ecx; jmp 1b */
  const LOOP = [0x40, 0x41, 0xeb, 0xfc];
  function threaded(run: KeepingRun, code: readonly number[] = LOOP) {
    const thread = new SlowThread(run);
    const m = bareMachine(4 << 20, { jit: 'on', startCompiler: (setup) => thread.start(setup) });
    enterFlat32(m, START);
    m.ram.set(code, START);
    const { find } = run.shelf;
    const looks = { count: 0 };
    run.shelf.find = (...args) => {
      looks.count++;
      return find.apply(run.shelf, args);
    };
    return { m, thread, looks, jit: m.cpu.jit.statistics };
  }
  type Threaded = ReturnType<typeof threaded>;
  /** Instructions until something was looked for on the shelf; what is asked for then is answered. */
  function untilHot({ m, thread, looks }: Threaded): number {
    const before = looks.count;
    let ran = 0;
    while (looks.count === before && ran < 100_000) {
      m.cpu.run(30);
      ran += 30;
    }
    thread.work().tell();
    m.cpu.run(30);
    return ran;
  }
  /** Runs the code elsewhere until that is compiled: the thread hears with the next job that the last answer was sound. */
  function goOn(made: Threaded): void {
    made.m.ram.set([0x43, 0xeb, 0xfd], START + 0x100); // 1: inc ebx; jmp 1b
    made.m.cpu.state.eip = START + 0x100;
    untilHot(made);
  }
  /** What a run of the code leaves. */
  function left(code?: readonly number[]): BytesStore {
    const run = new KeepingRun();
    const made = threaded(run, code);
    expect(untilHot(made)).toBeGreaterThan(2000);
    expect(made.jit).toMatchObject({ regions: 1, reused: 0 });
    expect(run.keeper.unwritten).toBe(0);
    goOn(made);
    expect(run.keeper.unwritten).toBeGreaterThan(0);
    return run.save();
  }
  const isRight = ({ m }: Threaded) => {
    const before = m.cpu.state.reg32(EAX);
    m.cpu.run(3000);
    expect(m.cpu.state.reg32(EAX) - before).toBe(1000);
  };

  it('of earlier runs are at work soon, and the thread is not asked', () => {
    const again = threaded(new KeepingRun(left()));
    expect(untilHot(again)).toBeLessThan(300);
    expect(again.jit).toMatchObject({ regions: 1, reused: 1 });
    expect(again.m.cpu.jit.isWaiting).toBe(false);
    isRight(again);
    // Within one long stay, as loops are.
    const stay = threaded(new KeepingRun(left()));
    stay.m.cpu.run(200_000);
    expect(stay.jit).toMatchObject({ regions: 1, reused: 1 });
    expect(stay.thread.jobs.length).toBe(0);
  });

  it('are at work though the guest waits most of the time', () => {
    const { m, jit } = threaded(new KeepingRun(left()));
    m.cpu.jit.ran(0, 1);
    m.cpu.jit.ran(99, 100);
    for (let i = 0; i < 20; i++) m.cpu.run(30);
    expect(jit).toMatchObject({ regions: 1, reused: 1 });
  });

  it('of this run need no thread when their code comes back, or lies elsewhere too', () => {
    const made = threaded(new KeepingRun());
    untilHot(made);
    expect(made.jit).toMatchObject({ regions: 1, reused: 0 });
    made.m.dma(START, Uint8Array.of(0x43)); // inc ebx
    made.m.dma(START, Uint8Array.of(0x40));
    expect(made.jit.regions).toBe(0);
    untilHot(made);
    expect(made.jit).toMatchObject({ regions: 1, reused: 1, modules: 1 });
    made.m.ram.set(LOOP, START + 0x1000);
    made.m.cpu.state.eip = START + 0x1000;
    untilHot(made);
    expect(made.jit).toMatchObject({ regions: 2, reused: 2, modules: 1 });
    isRight(made);
    made.m.cpu.state.eip = START;
    isRight(made);
    expect(made.thread.jobs.length).toBe(0);
    dropAllCode(made.m);
    expect(made.jit.regions).toBe(0);
    untilHot(made);
    expect(made.jit).toMatchObject({ regions: 1, reused: 3 });
    isRight(made);
  });

  it('that do not fit let their first block wait longer and longer, then as long as any other', () => {
    // The region goes on behind the branch: 1: inc eax; dec edx; jz 1b; jmp 1b
    const forked = [0x40, 0x4a, 0x74, 0xfc, 0xeb, 0xfa];
    const changed = [...forked];
    changed.splice(4, 2, 0x90, 0xeb, 0xf9);
    const other = threaded(new KeepingRun(left(forked)), changed);
    const waits = [untilHot(other), untilHot(other), untilHot(other)];
    expect(other.jit).toMatchObject({ regions: 0, reused: 0 });
    expect(other.m.cpu.jit.isWaiting).toBe(false);
    waits.push(untilHot(other));
    expect(other.jit).toMatchObject({ regions: 1, reused: 0 });
    for (let i = 1; i < waits.length; i++) expect(waits[i]).toBeGreaterThan(3 * waits[i - 1]!);
    expect(waits[0]).toBeLessThan(100);
    expect(waits[3]).toBeGreaterThan(8000);
  });

  it('of code that the guest changes are not looked for soon again', () => {
    const made = threaded(new KeepingRun(left()));
    untilHot(made);
    expect(made.jit.reused).toBe(1);
    made.m.dma(START, Uint8Array.of(0x43)); // inc ebx
    made.m.dma(START, Uint8Array.of(0x40));
    expect(untilHot(made)).toBeGreaterThan(2000);
    expect(made.jit).toMatchObject({ regions: 1, reused: 2 });
  });

  it('are not made of code that changed while it was compiled', () => {
    const run = new KeepingRun();
    const made = threaded(run);
    while (made.thread.jobs.length === 0) made.m.cpu.run(300);
    const work = made.thread.work();
    // The processor's own writes: the block comes back, with its record.
    made.m.cpu.memory.write(START, 1, 0x43);
    made.m.cpu.memory.write(START, 1, 0x40);
    work.tell();
    made.m.cpu.run(30);
    expect(made.jit.regions).toBe(0);
    // Asked for again all the same.
    expect(untilHot(made)).toBeLessThan(10_000);
    expect(run.keeper.unwritten).toBe(0);
    expect(made.jit).toMatchObject({ regions: 1, reused: 0 });
    goOn(made);
    expect(run.save().catalogue.keys.length).toBe(1);
  });

  it('are compiled anew when V8 does not take their module', () => {
    const store = left();
    const { at, aboutBytes } = store.catalogue.modules[0]!;
    const broken = store.bytes.map((byte, i) => (i >= at + aboutBytes ? 0xff : byte));
    const made = threaded(new KeepingRun(storeIn(broken, store.catalogue)));
    for (let i = 0; i < 4; i++) untilHot(made);
    expect(made.jit).toMatchObject({ regions: 1, reused: 0 });
    isRight(made);
  });

  it('serve on when everything was dropped while they were compiled', () => {
    const made = threaded(new KeepingRun());
    while (made.thread.jobs.length === 0) made.m.cpu.run(30);
    const work = made.thread.work();
    dropAllCode(made.m);
    work.tell();
    made.m.cpu.run(30);
    expect(made.jit.regions).toBe(0);
    untilHot(made);
    expect(made.jit).toMatchObject({ regions: 1, reused: 0 });
    isRight(made);
    expect(made.m.cpu.state.reg32(ECX)).toBe(made.m.cpu.state.reg32(EAX));
  });
});
