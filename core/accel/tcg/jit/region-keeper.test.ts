import { beforeAll, describe, expect, it } from 'vitest';
import { enterLong } from '../testing.ts';
import type { MadeModule } from './batch.ts';
import { GONE, StoredModule } from './kept-regions.ts';
import {
  type BytesStore,
  FakeV8,
  functionsOf,
  KeepingRun,
  loops,
  MIXED,
  MIXED_LONG,
  OTHER,
  ROOM,
  runGuest,
  storeIn,
  sumOf,
} from './kept-testing.ts';
import { MOST_WAITING, RegionKeeper, TOGETHER } from './region-keeper.ts';

/** So few regions of a module are not moved alone. */
const FEW = 16;
const MISSED = 4;
const PROBATION = 2;

/** What is compiled of code, as one module. */
function madeOf(code: readonly number[], enter?: typeof enterLong): MadeModule {
  const run = new KeepingRun();
  const made: MadeModule[] = [];
  run.keeper.add = (module) => void made.push(module);
  runGuest(code, { run, ...(enter ? { enter } : {}) });
  return {
    codes: made.flatMap(({ codes }) => codes),
    regions: made.flatMap(({ regions }) => regions),
    hotCount: made[0]!.hotCount,
  };
}
/** Regions of many loops, no two of which begin alike. */
let many: MadeModule;
let long: MadeModule;
beforeAll(() => {
  many = madeOf(loops(110));
  long = madeOf(loops(20), enterLong);
  expect(new Set(many.regions.map((region) => region!.get('key'))).size).toBe(many.regions.length);
  expect(many.regions.length).toBeGreaterThan(2 * TOGETHER + 2 * FEW);
  expect(long.regions.length).toBeGreaterThan(FEW);
});
const keysOf = (from: number, to: number, { regions } = many) =>
  regions.slice(from, to).map((region) => region!.get('key'));
function add({ keeper }: KeepingRun, from: number, to: number, made = many, isSound = (_: number) => true): void {
  const { codes, regions, hotCount } = made;
  keeper.add({ codes: codes.slice(from, to), regions: regions.slice(from, to), hotCount }, isSound);
}
/** A store with modules of such regions each. */
function storeOf(ranges: readonly (readonly [number, number])[], v8: FakeV8 | null = null): BytesStore {
  const run = new KeepingRun(null, v8);
  for (const [from, to] of ranges) {
    add(run, from, to);
    run.save();
  }
  run.finish();
  const store = run.save();
  expect(store.catalogue.modules.map(({ regions }) => regions.length)).toEqual(ranges.map(([from, to]) => to - from));
  return store;
}
/** Lets the machine have used regions, in this order. */
let uses = 0;
function use({ used }: KeepingRun, store: BytesStore, keys: readonly number[], isCold = false): void {
  const all = store.catalogue.keys;
  for (const key of keys) {
    const number = all.indexOf(key);
    expect(number).toBeGreaterThanOrEqual(0);
    if (used[number] === 0) used[number] = isCold ? -++uses : ++uses;
  }
}
/** One run of a machine that uses such regions: the store before and after. */
function runWith(store: BytesStore, keys: readonly number[], v8: FakeV8 | null = null, isCold = false): BytesStore {
  const run = new KeepingRun(store, v8);
  use(run, store, keys, isCold);
  run.finish();
  return run.save();
}
/** Keys of each module, those that are there. */
const thereIn = ({ catalogue }: BytesStore) =>
  catalogue.modules.map(({ regions }) => regions.map(({ key }) => key).filter((key) => key !== GONE));
const modulesOf = (store: BytesStore) => store.catalogue.modules.map((place) => new StoredModule(store, place));
const bytesAt = ({ bytes, catalogue }: BytesStore, position: number) => {
  const { at, length } = catalogue.modules[position]!;
  return bytes.slice(at, at + length);
};

describe('regions that are kept together', () => {
  const MIXES = Array.from({ length: 4 }, (_, i) => {
    const code = [...MIXED];
    if (i & 1) code[2]! ^= 8; // dec for inc
    if (i & 2) code[24]! ^= 8;
    return code;
  });
  const GUESTS = [
    ...MIXES.map((code) => ({ code })),
    { code: MIXED_LONG, enter: enterLong },
    { code: loops(50) },
    { code: loops(25, 1000), enter: enterLong },
  ];
  let outcomes: number[][];
  beforeAll(() => {
    outcomes = GUESTS.map(({ code, ...guest }) => runGuest(code, { ...guest, jit: 'off' }).outcome);
    expect(new Set(outcomes.map(String)).size).toBeGreaterThan(4);
    expect(outcomes.at(-1)![2]).toBe(sumOf(25, 1000));
  });
  /** Runs all again with what was kept. */
  function expectSame(run: KeepingRun, at: number): void {
    GUESTS.forEach(({ code, ...guest }, i) => {
      const { outcome, compiled, reused } = runGuest(code, { ...guest, at, run });
      expect(outcome).toEqual(outcomes[i]);
      expect(reused).toBe(compiled);
      expect(reused).toBeGreaterThan(0);
    });
  }
  it.each(['when the store is written', 'in between'])('do the same, linked anew %s', (when) => {
    const v8 = new FakeV8();
    const run = new KeepingRun(null, v8);
    GUESTS.forEach(({ code, ...guest }, i) => {
      expect(runGuest(code, { ...guest, run }).outcome).toEqual(outcomes[i]);
    });
    if (when === 'in between') run.finish();
    expect(v8.optimised > 0).toBe(when === 'in between');
    const store = run.save();
    const { modules, keys } = store.catalogue;
    expect(modules.map(({ regions }) => regions.length)).toContain(TOGETHER);
    expect(modules.length).toBe(3);
    for (const module of modulesOf(store))
      expect(new Set(module.text!.regions.map((region) => region.get('mode'))).size).toBe(1);
    const again = new KeepingRun(store, v8);
    expectSame(again, 0x3000);
    expect([...again.used].filter((mark) => mark === 0).length).toBe(0);
    expect(keys.length).toBe(again.used.length);
    if (when !== 'in between') return;
    // And once more, when they have moved, all but the last of each module.
    let end = 0;
    for (const { regions } of modules) {
      end += regions.length;
      again.used[end - 1] = 0;
    }
    again.finish();
    const second = again.save();
    const moving = new KeepingRun(second, v8);
    moving.finish();
    const third = moving.save();
    expect(thereIn(third).flat().sort()).toEqual([...keys].sort());
    const alone = thereIn(third).filter((there) => there.length === 1);
    expect(alone.flat().sort()).toEqual(modules.map(({ regions }) => regions.at(-1)!.key).sort());
    expect(third.bytes).not.toEqual(second.bytes);
    expectSame(new KeepingRun(third, v8), 0x1000);
  });

  it('are of one kind of code, sixty-four at most, those that wait longest first', () => {
    const run = new KeepingRun();
    add(run, 0, 40);
    add(run, 0, 10, long);
    expect(run.keeper.work()).toBe(false);
    add(run, 40, TOGETHER + 5);
    expect(run.keeper.work()).toBe(true);
    expect(run.keeper.work()).toBe(false);
    const store = run.save();
    const sorted = thereIn(store).sort((a, b) => b.length - a.length);
    expect(sorted).toEqual([keysOf(0, TOGETHER), keysOf(0, 10, long), keysOf(TOGETHER, TOGETHER + 5)]);
    // The others had as many first.
    const other = new KeepingRun();
    const twice = [0, 1, 2, 3].flatMap(() => long.regions);
    const codes = [0, 1, 2, 3].flatMap(() => long.codes);
    add(other, 0, 10);
    other.keeper.add({ codes, regions: twice, hotCount: long.hotCount }, () => true);
    expect(codes.length).toBeGreaterThan(TOGETHER);
    expect(other.keeper.work()).toBe(true);
    expect(other.keeper.work()).toBe(codes.length >= 2 * TOGETHER);
  });

  it('are of one engine’s handlers', () => {
    const run = new KeepingRun();
    add(run, 0, 40);
    add(run, 40, 80, { ...many, hotCount: many.hotCount + 1 });
    expect(run.keeper.work()).toBe(false);
    const modules = modulesOf(run.save()).map(({ text }) => [text!.hotCount - many.hotCount, text!.regions.length]);
    expect(modules.sort()).toEqual([
      [0, 40],
      [1, 40],
    ]);
  });

  it('are sound, and such as can be kept', () => {
    const run = new KeepingRun();
    add(run, 0, 10, many, (position) => position % 2 === 1);
    const regions = many.regions.slice(10, 14).map((region, i) => (i === 2 ? null : region));
    run.keeper.add({ ...many, codes: many.codes.slice(10, 14), regions }, () => true);
    const odd = keysOf(0, 10).filter((_, i) => i % 2 === 1);
    expect(thereIn(run.save())).toEqual([[...odd, ...keysOf(10, 12), ...keysOf(13, 14)]]);
  });

  it('are not more than there is room for while they wait', () => {
    const run = new KeepingRun();
    const [code, region] = [many.codes[0]!, many.regions[0]!];
    const large = { ...code, bytes: new Uint8Array(MOST_WAITING - region.data.byteLength - 1) };
    run.keeper.add({ codes: [large], regions: [region], hotCount: 1 }, () => true);
    expect(run.keeper.unwritten).toBe(MOST_WAITING - 1);
    add(run, 1, 5);
    // One more, and then none.
    const { unwritten } = run.keeper;
    expect(unwritten).toBe(MOST_WAITING - 1 + many.codes[1]!.bytes.length + many.regions[1]!.data.byteLength);
    add(run, 5, 10);
    expect(run.keeper.unwritten).toBe(unwritten);
    // There is room again when they are part of a module.
    const next = new KeepingRun();
    add(next, 0, TOGETHER);
    const waiting = next.keeper.unwritten;
    next.keeper.work();
    const parts = next.keeper.unwritten;
    add(next, TOGETHER, TOGETHER + 1);
    expect(next.keeper.unwritten - parts).toBe(
      many.codes[TOGETHER]!.bytes.length + many.regions[TOGETHER]!.data.byteLength,
    );
    expect(parts).not.toBe(waiting);
  });

  it('make it worth writing when they are enough', () => {
    const run = new KeepingRun();
    expect(run.keeper.isWorthWriting).toBe(false);
    add(run, 0, 1);
    expect(run.keeper.isWorthWriting).toBe(true);
    const { store, moved } = run.write();
    expect(run.keeper.isWorthWriting).toBe(true);
    moved();
    expect([run.keeper.unwritten, run.keeper.isWorthWriting]).toEqual([0, false]);
    expect(new KeepingRun(store).keeper.isWorthWriting).toBe(false);
    // Beside much that is there a little is not.
    const place = { ...store.catalogue.modules[0]!, length: 64 * store.bytes.length };
    const catalogue = Object.assign(Object.create(store.catalogue), { modules: [place] });
    const next = new KeepingRun(storeIn(new Uint8Array(place.length), catalogue));
    for (let i = 1; next.keeper.unwritten < store.bytes.length; i++) {
      expect(next.keeper.isWorthWriting).toBe(false);
      add(next, i, i + 1);
    }
    expect(next.keeper.isWorthWriting).toBe(true);
  });
});

describe('a keeper, while nothing else is to be done,', () => {
  it('has V8 optimise what is new, a function at a time', () => {
    const v8 = new FakeV8();
    const run = new KeepingRun(null, v8);
    add(run, 0, 2 * TOGETHER + 3);
    let before = 0;
    let pieces = 0;
    for (; run.keeper.work(); pieces++) {
      expect(v8.optimised - before).toBeLessThanOrEqual(1);
      before = v8.optimised;
    }
    expect(v8.taken.map(functionsOf)).toEqual([TOGETHER, TOGETHER]);
    expect(v8.optimised).toBe(2 * TOGETHER);
    expect(pieces).toBe(2 * TOGETHER + 2);
    const store = run.save();
    const { modules } = store.catalogue;
    expect(modules.filter(({ isReady }) => isReady).map(({ regions }) => regions.length)).toEqual([TOGETHER, TOGETHER]);
    for (const module of modulesOf(store)) expect(module.machineCode() !== null).toBe(module.place.isReady);
    // What was left over is its own module now.
    expect(run.finish()).toBeGreaterThan(0);
    expect(run.save().catalogue.modules.map(({ isReady }) => isReady)).toEqual([true, true, true]);
    expect(run.finish()).toBe(0);
  });

  it('goes on though the store is written meanwhile', () => {
    const v8 = new FakeV8();
    const run = new KeepingRun(null, v8);
    add(run, 0, TOGETHER);
    for (let i = 0; i < 10; i++) run.keeper.work();
    const early = run.save();
    expect(early.catalogue.modules.map(({ isReady }) => isReady)).toEqual([false]);
    expect(run.keeper.unwritten).toBe(0);
    // Written, but not in place yet when the last function is done.
    for (let i = 0; i < TOGETHER - 15; i++) run.keeper.work();
    const { moved } = run.write();
    run.finish();
    expect(v8.optimised).toBe(TOGETHER);
    const { unwritten } = run.keeper;
    expect(unwritten).toBeGreaterThan(0);
    moved();
    expect(run.keeper.unwritten).toBe(unwritten);
    const store = run.save();
    expect(store.catalogue.modules.map(({ isReady }) => isReady)).toEqual([true]);
    expect(modulesOf(store)[0]!.wire()).toEqual(modulesOf(early)[0]!.wire());
    expect(run.finish()).toBe(0);
  });

  it('has modules of the store optimised that are of use and have no machine code', () => {
    const store = storeOf([[0, 5], [5, 9], [9, 12]]); // biome-ignore format: one line
    const v8 = new FakeV8();
    const idle = new KeepingRun(store, v8);
    expect(idle.keeper.work()).toBe(false);
    const run = new KeepingRun(store, v8);
    use(run, store, keysOf(6, 7), true);
    expect(run.finish()).toBe(5); // it begins, and then the functions
    expect(v8.taken.map(functionsOf)).toEqual([4]);
    const next = run.save();
    const ready = next.catalogue.modules.filter(({ isReady }) => isReady);
    expect(ready.map(({ regions }) => regions.map(({ key }) => key))).toEqual([keysOf(5, 9)]);
    expect(thereIn(next).map((keys) => keys.length)).toEqual([4, 5, 3]);
    expect(modulesOf(next)[0]!.wire()).toEqual(modulesOf(store)[1]!.wire());
    expect(modulesOf(next)[0]!.machineCode()).not.toBe(null);
    // Others, when they are of use.
    use(run, store, keysOf(0, 1), true);
    expect(run.finish()).toBe(6);
  });

  it('has those optimised anew whose machine code V8 refused, and no others', () => {
    const store = storeOf([[0, 5], [5, 9]], new FakeV8()); // biome-ignore format: one line
    const v8 = new FakeV8();
    expect(store.catalogue.modules.map(({ isReady }) => isReady)).toEqual([true, true]);
    const warm = new KeepingRun(store, v8);
    use(warm, store, keysOf(0, 9));
    expect(warm.keeper.work()).toBe(false);
    const run = new KeepingRun(store, v8);
    use(run, store, keysOf(0, 5));
    use(run, store, keysOf(5, 6), true);
    expect(run.finish()).toBe(5);
    const next = run.save();
    expect(modulesOf(next).map((module) => module.machineCode()!.length)).toEqual([7, 7]);
    expect(bytesAt(next, 0)).toEqual(bytesAt(store, 0));
    expect(bytesAt(next, 1)).not.toEqual(bytesAt(store, 1));
    expect(run.finish()).toBe(0);
  });

  it('passes over what is damaged', () => {
    const store = storeOf([[0, 5], [5, 9]]); // biome-ignore format: one line
    const [first, second] = store.catalogue.modules;
    for (const at of [first!.at, first!.at + first!.aboutBytes]) {
      const bytes = store.bytes.slice();
      bytes[at]! ^= 1;
      const damaged = storeIn(bytes, store.catalogue);
      const v8 = new FakeV8();
      const run = new KeepingRun(damaged, v8);
      use(run, damaged, keysOf(0, 9), true);
      run.finish();
      expect(v8.taken.map(functionsOf)).toEqual([4]);
      const next = run.save();
      expect(next.catalogue.modules.map(({ isReady }) => isReady)).toEqual([false, true]);
    }
    // What is in the store need not be a module.
    const bytes = store.bytes.map((byte, i) => (i >= second!.at + second!.aboutBytes ? 0 : byte));
    const v8 = new FakeV8();
    const run = new KeepingRun(storeIn(bytes, store.catalogue), v8);
    use(run, store, keysOf(0, 9), true);
    run.finish();
    expect(v8.taken.map(functionsOf)).toEqual([5]);
  });

  it('goes on where V8 does not take what was linked', () => {
    const v8 = new FakeV8();
    const store = storeOf([[0, 5]]);
    const keeper = new RegionKeeper(store, v8, Int32Array.of(-1, 0, 0, 0, 0), () => ({
      wire: Uint8Array.of(0, 1, 2, 3),
      bodiesAt: new Array(TOGETHER).fill(0),
    }));
    keeper.add({ ...many, codes: many.codes.slice(0, TOGETHER), regions: many.regions.slice(0, TOGETHER) }, () => true);
    let pieces = 0;
    while (keeper.work()) pieces++;
    expect(pieces).toBe(1 + 6);
    expect(v8.taken.map(functionsOf)).toEqual([5]);
  });

  it('only links where machine code cannot be had', () => {
    const store = storeOf([[0, 40], [40, 80]]); // biome-ignore format: one line
    let next = store;
    for (let run = 0; run < 4; run++) {
      const keeping = new KeepingRun(next);
      use(keeping, next, keysOf(0, 30), true);
      expect(keeping.keeper.work()).toBe(false);
      next = keeping.save();
    }
    expect(bytesAt(next, 0)).toEqual(bytesAt(store, 0));
  });
});

describe('regions that are of use', () => {
  const TWO = [[0, 64], [64, 128]] as const; // biome-ignore format: one line
  const v8 = () => new FakeV8();
  /** In as many runs, on machines without machine code, where nothing moves. */
  function inRuns(runs: number, store: BytesStore, keys: readonly number[]): BytesStore {
    let next = store;
    for (let i = 0; i < runs; i++) next = runWith(next, keys);
    return next;
  }
  /** In the order of their lengths: that of modules which no longer are of use does not matter. */
  const byLength = (store: BytesStore) => thereIn(store).sort((a, b) => b.length - a.length);
  const goneIn = ({ catalogue }: BytesStore) =>
    catalogue.modules.map(({ regions }) => regions.filter(({ key }) => key === GONE).length);

  it('in the run after the first are moved together, and the rest goes', () => {
    const store = storeOf(TWO, v8());
    const second = runWith(store, [...keysOf(64, 80), ...keysOf(0, 20)], v8());
    expect(bytesAt(second, 0)).toEqual(bytesAt(store, 1));
    expect(thereIn(second)).toEqual([keysOf(64, 128), keysOf(0, 64)]);
    const optimiser = v8();
    const run = new KeepingRun(second, optimiser);
    use(run, second, keysOf(0, 10));
    // As long as the new module is not ready, all is as it was.
    for (let i = 0; i < 36; i++) expect(run.keeper.work()).toBe(true);
    const middle = run.save();
    expect(new Set(thereIn(middle).flat())).toEqual(new Set(keysOf(0, 128)));
    expect(goneIn(middle)).toEqual([0, 0]);
    run.finish();
    expect(optimiser.taken.map(functionsOf)).toEqual([36]);
    const third = run.save();
    const moved = [...keysOf(64, 80), ...keysOf(0, 20)];
    expect(byLength(third)).toEqual([keysOf(80, 128), keysOf(20, 64), moved]);
    expect(thereIn(third)[0]).toEqual(moved);
    expect(goneIn(third).sort((a, b) => a - b)).toEqual([0, 16, 20]);
    expect(third.catalogue.modules.map(({ isReady }) => isReady)).toEqual([true, true, true]);
    expect([...third.catalogue.modules[0]!.members].sort()).toEqual(
      [
        ...new Set([...many.regions.slice(64, 80), ...many.regions.slice(0, 20)].flatMap((r) => [...r!.members()])),
      ].sort(),
    );
    // What stays where it was has PROBATION from its last use on.
    const fourth = runWith(third, keysOf(0, 10), v8());
    expect(fourth.catalogue.modules.length).toBe(3);
    expect(fourth.catalogue.run - fourth.catalogue.modules[1]!.run).toBe(PROBATION);
    const fifth = runWith(fourth, keysOf(0, 10), v8());
    expect(thereIn(fifth)).toEqual([moved]);
    expect(fifth.bytes).toEqual(bytesAt(third, 0));
  });

  it('later, of what stayed behind, follow', () => {
    const second = runWith(storeOf(TWO, v8()), [...keysOf(64, 80), ...keysOf(0, 20)], v8());
    const third = runWith(second, [...keysOf(0, 20), ...keysOf(30, 31), ...keysOf(100, 101)], v8());
    expect(third.catalogue.modules.map(({ uses }) => uses)).toEqual([3, 1, 1]);
    const fourth = runWith(third, keysOf(0, 20), v8());
    expect(thereIn(fourth)).toContainEqual(keysOf(30, 31).concat(keysOf(100, 101)));
    expect(thereIn(fourth).flat().sort()).toEqual(keysOf(0, 128).sort());
  });

  it.each([
    [FEW, false],
    [FEW + 1, true],
  ])('alone in a module are %d: moved is %s', (count, isMoved) => {
    const second = runWith(storeOf([[0, 64]], v8()), keysOf(0, count), v8());
    const third = runWith(second, keysOf(0, count), v8());
    expect(thereIn(third)).toEqual(isMoved ? [keysOf(0, count), keysOf(count, 64)] : [keysOf(0, 64)]);
  });

  it('leave no module behind of which nothing stays', () => {
    const store = storeOf([[0, FEW], [64, 128]], v8()); // biome-ignore format: one line
    const second = runWith(store, [...keysOf(0, FEW), ...keysOf(64, 70)], v8());
    const third = runWith(second, [], v8());
    expect(byLength(third)).toEqual([keysOf(70, 128), [...keysOf(0, FEW), ...keysOf(64, 70)]]);
  });

  it('all of them in a large module, stay as they are, and are not optimised again', () => {
    const store = storeOf([[0, FEW + 1], [20, 25], [64, 128]], v8()); // biome-ignore format: one line
    const second = runWith(store, [...keysOf(0, FEW + 1), ...keysOf(20, 25), ...keysOf(64, 128)], v8());
    const optimiser = v8();
    const run = new KeepingRun(second, optimiser);
    use(run, second, keysOf(0, 1));
    expect(run.finish()).toBe(0);
    expect([optimiser.optimised, optimiser.taken.length]).toEqual([0, 0]);
    const { store: third, copied } = run.write();
    expect(thereIn(third)).toEqual([keysOf(0, FEW + 1), keysOf(20, 25), keysOf(64, 128)]);
    expect(third.bytes).toEqual(store.bytes);
    expect(copied).toBe(store.bytes.length);
    // All but one are moved, with the few.
    const missed = runWith(store, [...keysOf(0, FEW), ...keysOf(20, 25), ...keysOf(64, 128)], v8());
    const moved = runWith(missed, [], v8());
    expect(byLength(moved)).toEqual([keysOf(64, 128), [...keysOf(0, FEW), ...keysOf(20, 25)], keysOf(FEW, FEW + 1)]);
    expect(
      bytesAt(
        moved,
        thereIn(moved).findIndex((keys) => keys.length === 64),
      ),
    ).toEqual(bytesAt(store, 2));
  });

  it('and moved do not tell in which order what stayed behind was', () => {
    const second = runWith(storeOf(TWO, v8()), [...keysOf(64, 80), ...keysOf(0, 20)], v8());
    expect(thereIn(second)).toEqual([keysOf(64, 128), keysOf(0, 64)]);
    const third = runWith(second, [...keysOf(64, 65), ...keysOf(0, 1), ...keysOf(30, 31), ...keysOf(100, 101)], v8());
    expect(thereIn(third)).toEqual([[...keysOf(64, 80), ...keysOf(0, 20)], keysOf(20, 64), keysOf(80, 128)]);
  });

  it('are sixty-four in a module that they move to', () => {
    const second = runWith(storeOf(TWO, v8()), [...keysOf(0, 40), ...keysOf(64, 114)], v8());
    const third = runWith(second, [], v8());
    expect(thereIn(third)).toContainEqual([...keysOf(0, 40), ...keysOf(64, 88)]);
    expect(thereIn(third)).toContainEqual(keysOf(88, 114));
    expect(thereIn(third).flat().sort()).toEqual(keysOf(0, 128).sort());
  });

  it.each([
    [MISSED, 19, true],
    [MISSED, 20, false],
    [MISSED - 1, 19, false],
  ])('in a module that has worn in %d runs to %d of 30: moved is %s', (runs, count, isMoved) => {
    const worn = inRuns(runs, inRuns(2, storeOf([[0, 30]], v8()), keysOf(0, 30)), keysOf(0, count));
    expect(worn.catalogue.modules[0]!.uses).toBe(2 + runs);
    const next = runWith(worn, [], v8());
    expect(thereIn(next)).toEqual(isMoved ? [keysOf(0, count), keysOf(count, 30)] : [keysOf(0, 30)]);
    // One that is of use again comes along.
    const run = new KeepingRun(worn, v8());
    use(run, worn, keysOf(29, 30));
    run.finish();
    const [first] = thereIn(run.save());
    if (isMoved) expect(first).toEqual(keysOf(0, 30)); // ten are a third of thirty and no more
  });

  it('are moved with one that comes back, out of a worn module', () => {
    const worn = inRuns(MISSED, inRuns(2, storeOf([[0, 30]], v8()), keysOf(0, 30)), keysOf(0, 17));
    const next = runWith(worn, keysOf(29, 30), v8());
    expect(thereIn(next)).toEqual([[...keysOf(0, 17), ...keysOf(29, 30)], keysOf(17, 29)]);
  });

  it('in small modules become part of one', () => {
    const small = inRuns(2, storeOf([[0, 10], [10, 16], [16, 33]], v8()), keysOf(0, 33)); // biome-ignore format: one line
    const next = runWith(small, [], v8());
    expect(thereIn(next).sort((a, b) => a.length - b.length)).toEqual([keysOf(0, 16), keysOf(16, 33)]);
    expect(next.catalogue.modules.every(({ isReady }) => isReady)).toBe(true);
    // One alone stays.
    const optimiser = v8();
    expect(runWith(next, [], optimiser).bytes).toEqual(next.bytes);
    expect(optimiser.taken.length).toBe(0);
  });

  it('of other modes are moved to modules of their own', () => {
    const run = new KeepingRun(null, v8());
    add(run, 0, 5);
    add(run, 0, 5, long);
    run.save();
    add(run, 5, 10);
    add(run, 5, 10, long);
    run.save();
    run.finish();
    const all = [...keysOf(0, 10), ...keysOf(0, 10, long)];
    const next = runWith(inRuns(2, run.save(), all), [], v8());
    expect(
      thereIn(next)
        .map((keys) => [...keys].sort())
        .sort(),
    ).toEqual([keysOf(0, 10), keysOf(0, 10, long)].map((keys) => keys.sort()).sort());
    for (const module of modulesOf(next))
      expect(new Set(module.text!.regions.map((region) => region.get('mode'))).size).toBe(1);
  });

  it('stay where they are if their module is damaged, or what is made of them', () => {
    const second = runWith(storeOf(TWO, v8()), [...keysOf(0, 20), ...keysOf(64, 84)], v8());
    const { at, aboutBytes } = second.catalogue.modules[1]!;
    for (const place of [at, at + aboutBytes + 20]) {
      const bytes = second.bytes.slice();
      bytes[place]! ^= 1;
      const next = runWith(storeIn(bytes, second.catalogue), keysOf(0, 1), v8());
      expect(byLength(next)).toEqual([keysOf(64, 128), keysOf(20, 64), keysOf(0, 20)]);
    }
    const keeper = new RegionKeeper(second, v8(), new Int32Array(128), () => {
      return { wire: Uint8Array.of(1), bodiesAt: new Array(TOGETHER).fill(0) };
    });
    while (keeper.work());
    const { catalogue } = keeper.save(ROOM, () => {}, () => {}); // biome-ignore format: one line
    expect(catalogue.keys).toEqual(second.catalogue.keys);
  });
});

describe('the store of a keeper', () => {
  const THREE = [[0, 5], [5, 9], [9, 12]] as const; // biome-ignore format: one line
  const said = ({ catalogue }: BytesStore) =>
    catalogue.modules.map(({ run, uses, regions }) => [run, uses, regions.map(({ missed }) => missed)]);

  it('is copied as it was, each module', () => {
    const store = storeOf(THREE, new FakeV8());
    const run = new KeepingRun(store, new FakeV8());
    const { store: next, copied } = run.write();
    expect(copied).toBe(store.bytes.length);
    expect(next.bytes).toEqual(store.bytes);
    add(run, 20, 23);
    use(run, store, keysOf(9, 10));
    const { store: more, copied: again } = run.write();
    expect(again).toBe(store.bytes.length);
    expect(thereIn(more)).toEqual([keysOf(9, 12), keysOf(20, 23), keysOf(0, 5), keysOf(5, 9)]);
    expect([bytesAt(more, 0), bytesAt(more, 2), bytesAt(more, 3)]).toEqual([2, 0, 1].map((i) => bytesAt(store, i)));
  });

  it('has what was of use last first, in the order of its first use', () => {
    const store = storeOf(THREE);
    const second = runWith(store, [...keysOf(11, 12), ...keysOf(0, 1), ...keysOf(9, 10), ...keysOf(5, 6)]);
    expect(thereIn(second)).toEqual([keysOf(9, 12), keysOf(0, 5), keysOf(5, 9)]);
    const third = runWith(second, [...keysOf(6, 7), ...keysOf(4, 5)]);
    expect(thereIn(third)).toEqual([keysOf(5, 9), keysOf(0, 5), keysOf(9, 12)]);
    expect(thereIn(runWith(third, keysOf(8, 9), null, true))).toEqual([keysOf(5, 9), keysOf(0, 5), keysOf(9, 12)]);
    const run = new KeepingRun(third);
    use(run, third, keysOf(9, 10), true);
    use(run, third, keysOf(5, 6));
    expect(thereIn(run.save())).toEqual([keysOf(9, 12), keysOf(5, 9), keysOf(0, 5)]);
  });

  it('has what a first run made in the order in which it was compiled', () => {
    const run = new KeepingRun(null, new FakeV8());
    add(run, 0, TOGETHER + 3);
    run.finish();
    add(run, TOGETHER + 3, TOGETHER + 10);
    expect(thereIn(run.save())).toEqual([keysOf(0, TOGETHER), keysOf(TOGETHER, TOGETHER + 10)]);
    add(run, 80, 85);
    run.save();
    add(run, 0, 5, long);
    add(run, 85, 90);
    const made = [
      keysOf(0, TOGETHER),
      keysOf(TOGETHER, TOGETHER + 10),
      keysOf(80, 85),
      keysOf(0, 5, long),
      keysOf(85, 90),
    ];
    const store = run.save();
    expect(thereIn(store)).toEqual(made);
    run.finish();
    expect(thereIn(run.save())).toEqual(made);
    // What a later run makes is behind what was of use in it, in the same order.
    const next = new KeepingRun(store);
    add(next, 90, 92);
    next.save();
    add(next, 92, 95);
    use(next, store, [...keysOf(85, 86), ...keysOf(0, 1)]);
    const [first, second, third, fourth, last] = made;
    const [now, then] = [keysOf(90, 92), keysOf(92, 95)];
    expect(thereIn(next.save())).toEqual([last, first, now, then, second, third, fourth]);
  });

  it('tells in how many runs a module was of use, and for how many in a row a region was not', () => {
    const store = storeOf(THREE);
    expect(said(store)).toEqual([[1, 0, [0, 0, 0, 0, 0]], [1, 0, [0, 0, 0, 0]], [1, 0, [0, 0, 0]]]); // biome-ignore format: one line
    const second = runWith(store, keysOf(1, 3));
    expect(said(second)).toEqual([[2, 1, [1, 0, 0, 1, 1]], [1, 0, [0, 0, 0, 0]], [1, 0, [0, 0, 0]]]); // biome-ignore format: one line
    const third = runWith(second, [...keysOf(3, 4), ...keysOf(2, 3)]);
    expect(said(third)[0]).toEqual([3, 2, [2, 1, 0, 0, 2]]);
    const unused = runWith(third, []);
    expect(said(unused)[0]).toEqual([3, 2, [2, 1, 0, 0, 2]]);
    expect(unused.catalogue.run).toBe(4);
  });

  it('says the same however often it is written in a run', () => {
    const store = storeOf(THREE);
    const once = runWith(store, keysOf(1, 3));
    const run = new KeepingRun(store);
    run.save();
    use(run, store, keysOf(1, 3));
    for (let i = 0; i < 3; i++) {
      const again = run.save();
      expect(again.catalogue).toEqual(once.catalogue);
      expect(again.bytes).toEqual(once.bytes);
    }
  });

  it('has new modules, which no later run has used, for a while', () => {
    const store = storeOf(THREE);
    let next = runWith(store, keysOf(0, 1));
    expect(thereIn(next).length).toBe(3);
    next = runWith(next, []);
    expect(next.catalogue.run - 1).toBe(PROBATION);
    expect(thereIn(next).length).toBe(3);
    next = runWith(next, []);
    expect(thereIn(next)).toEqual([keysOf(0, 5)]);
    // What was of use stays.
    for (let i = 0; i < 5; i++) next = runWith(next, []);
    expect(thereIn(next)).toEqual([keysOf(0, 5)]);
  });

  it('takes no more room than there is: those stay that were of use last', () => {
    const store = storeOf(THREE);
    const sizes = store.catalogue.modules.map(({ length }) => length);
    const run = new KeepingRun(store);
    use(run, store, keysOf(5, 6));
    expect(thereIn(run.write(sizes[1]!).store)).toEqual([keysOf(5, 9)]);
    expect(thereIn(run.write(sizes[0]! + sizes[1]!).store)).toEqual([keysOf(5, 9), keysOf(0, 5)]);
    // A smaller one may fit where a larger does not.
    expect(sizes[2]).toBeLessThan(sizes[0]!);
    expect(thereIn(run.write(sizes[1]! + sizes[2]!).store)).toEqual([keysOf(5, 9), keysOf(9, 12)]);
    expect(run.write(sizes[1]! - 1).store.bytes.length).toBeLessThan(sizes[1]!);
    expect(run.write(0).store.bytes.length).toBe(0);
    // What had no room is gone from then on.
    expect(thereIn(run.save(sizes[1]))).toEqual([keysOf(5, 9)]);
    expect(thereIn(run.save())).toEqual([keysOf(5, 9)]);
  });

  it('serves the machine of the next run when it has become the store in the middle of one', () => {
    const run = new KeepingRun();
    const first = runGuest(MIXED, { run });
    run.save();
    expect(runGuest(MIXED, { run })).toMatchObject({ outcome: first.outcome, reused: first.compiled });
    runGuest(OTHER, { run });
    const next = new KeepingRun(run.save());
    for (const code of [MIXED, OTHER]) {
      const { reused, compiled } = runGuest(code, { run: next });
      expect(reused).toBe(compiled);
    }
  });
});
