import { describe, expect, it } from 'vitest';
import { EAX, EBX } from '../../../target/x86/state.ts';
import { blockKey, KNOWN } from '../known-blocks.ts';
import { enterLong } from '../testing.ts';
import type { MadeModule } from './batch.ts';
import { GONE, type KeptRegion, type ModulePlace, RegionCatalogue, StoredModule, writeModule } from './kept-regions.ts';
import {
  type BytesStore,
  enterPaged,
  FakeV8,
  type Guest,
  guestOf,
  KeepingRun,
  linkerOf,
  loops,
  MIXED,
  MIXED_LONG,
  map,
  OTHER,
  runGuest,
  START,
  storeIn,
  word,
} from './kept-testing.ts';

/** What comes of code in a run of its own. */
function storeOf(code: readonly number[], guest: Guest = {}, machine: FakeV8 | null = null): BytesStore {
  const run = new KeepingRun(null, machine);
  runGuest(code, { ...guest, run });
  const store = run.save();
  if (machine === null) return store;
  run.finish();
  return run.save();
}
const modulesOf = (store: BytesStore) => store.catalogue.modules.map((place) => new StoredModule(store, place));
const damaged = ({ bytes, catalogue }: BytesStore, at: number) => {
  const other = bytes.slice();
  other[at]! ^= 0x10;
  return storeIn(other, catalogue);
};
/** What is said of regions, their place in a module aside. */
const saidOf = (regions: readonly KeptRegion[]) =>
  regions.map(({ data }, i) => data.with(data.indexOf(regions[i]!.get('bodyAt')), 0));

describe('a catalogue of kept regions', () => {
  const place = (fields: Partial<ModulePlace>): ModulePlace => ({
    at: 0,
    aboutBytes: 40,
    length: 80,
    run: 3,
    uses: 0,
    isReady: false,
    regions: [],
    members: [],
    ...fields,
  });
  it('is words, and the same again', () => {
    const regions = [5, GONE, 0x7fff_ffff].map((key, i) => ({ key, missed: 2 * i }));
    const all = new RegionCatalogue(9, [
      place({ regions, members: [7, 8] }),
      place({ at: 80, aboutBytes: 28, length: 28, run: 2, uses: 4, isReady: true, members: [5] }),
      place({ at: 108, regions: [{ key: 5, missed: 0 }] }),
    ]);
    const again = RegionCatalogue.from(all.words)!;
    expect(again).toEqual(all);
    expect(again.keys).toEqual([5, GONE, 0x7fff_ffff, 5]);
    expect(RegionCatalogue.from(new RegionCatalogue(1, []).words)).toEqual(new RegionCatalogue(1, []));
    // Cut off anywhere, it is one of fewer modules, or none.
    const whole = [1, ...[1, 2, 3].map((n) => new RegionCatalogue(9, all.modules.slice(0, n)).words.length)];
    for (let length = 0; length < all.words.length; length++) {
      const part = RegionCatalogue.from(all.words.slice(0, length));
      const modules = whole.indexOf(length);
      expect(part?.modules).toEqual(modules < 0 ? undefined : all.modules.slice(0, modules));
    }
  });

  it('is none where numbers make no sense', () => {
    const wordsOf = (fields: Partial<ModulePlace>) => [...new RegionCatalogue(1, [place(fields)]).words];
    const bad = [wordsOf({ at: -4 }), wordsOf({ aboutBytes: 24 }), wordsOf({ aboutBytes: 84 })];
    for (const [count, members] of [
      [-1, 0],
      [0, -1],
      [1, 0],
      [0, 1],
      [0x4000_0000, 0],
    ] as const) {
      const words = wordsOf({});
      words.splice(7, 2, count, members);
      bad.push(words);
    }
    for (const words of bad) expect(RegionCatalogue.from(Int32Array.from(words))).toBe(null);
    for (const fields of [{}, { aboutBytes: 28 }, { aboutBytes: 80 }])
      expect(RegionCatalogue.from(Int32Array.from(wordsOf(fields)))).not.toBe(null);
  });

  it('knows which blocks get hot', () => {
    const modules = [
      place({ regions: [{ key: 5, missed: 0 }, { key: GONE, missed: 0 }], members: [5, 6, 7] }), // biome-ignore format: one line
      place({ regions: [{ key: 7, missed: 0 }] }),
    ];
    const { known } = new RegionCatalogue(1, modules);
    expect([4, 5, 6, 7, GONE & 0x7fff_ffff].map((key) => known.find(key))).toEqual([
      KNOWN.no,
      KNOWN.head,
      KNOWN.member,
      KNOWN.head,
      KNOWN.no,
    ]);
    known.forget(5);
    expect(known.find(5)).toBe(KNOWN.no);
  });

  it('tells what the regions of a store consist of', () => {
    const { known } = storeOf(OTHER).catalogue;
    const [first] = modulesOf(storeOf(OTHER))[0]!.text!.regions;
    const mode = first!.get('mode');
    const bytes = Uint8Array.from(OTHER);
    expect(known.find(blockKey(bytes, 0, 4, 0, mode))).toBe(KNOWN.head);
    expect(known.find(blockKey(bytes, 0, 4, 1, mode))).toBe(KNOWN.no);
    expect(known.find(blockKey(bytes, 0, 3, 0, mode))).toBe(KNOWN.no);
    expect(known.find(blockKey(bytes, 0, 4, 0, mode ^ 8))).toBe(KNOWN.no);
  });
});

describe('what is said of a region', () => {
  it('is its code, wherever that lay', () => {
    const [text] = modulesOf(storeOf(MIXED)).map((module) => module.text!);
    const whole = text!.regions.find((region) => region.get('inPage') === 0)!;
    expect([...whole.blocks()].map(({ delta, length }) => [delta, length])).toEqual([
      [0, 24],
      [24, 4],
      [29, 2],
    ]);
    expect([...whole.guest]).toEqual([...MIXED.slice(0, 28), ...MIXED.slice(29)]);
    expect(whole.entries).toEqual([0]);
    const bytes = Uint8Array.from(MIXED);
    const mode = whole.get('mode');
    const keys = [[0, 24], [24, 4], [29, 2]].map(([at, length]) => blockKey(bytes, at!, length!, at!, mode)); // biome-ignore format: one line
    expect([...whole.members()]).toEqual(keys);
    expect(whole.get('key')).toBe(keys[0]);
  });

  it('is what would be compiled anew elsewhere, where blocks lie and were decoded otherwise', () => {
    const CALLEE = 0x5000;
    // Over two pages, with natives, a helper and memory in a loop.
    const code = [...MIXED.slice(0, 19), 0xe8, ...word(CALLEE - (START + 24)), ...MIXED.slice(24, 27), 0xe4, 0xf4];
    const storedAt = (at: number) => {
      const run = new KeepingRun();
      const m = guestOf(code, { run, enter: enterPaged });
      m.ram.set([0x43, 0xc3], at); // inc ebx; ret
      map(m, CALLEE, at);
      if (at !== CALLEE) {
        m.ram.set([0x90, 0x90, 0xe9, ...word(START - 0x507)], 0x500);
        m.cpu.state.eip = 0x500;
      }
      for (let i = 0; i < 60; i++) m.cpu.run(200);
      const store = run.save();
      const isJump = (region: KeptRegion) => region.get('inPage') === 0x500;
      const module = modulesOf(store)[0]!;
      return { regions: module.text!.regions.filter((region) => !isJump(region)), wire: module.wire()! };
    };
    const [here, there] = [storedAt(CALLEE), storedAt(0x2_3000)];
    const pages = here.regions.flatMap((region) => [...region.blocks()].map(({ delta }) => delta >> 12));
    expect(new Set(pages).size).toBeGreaterThan(1);
    expect(here.regions.length).toBeGreaterThan(1);
    expect(saidOf(there.regions)).toEqual(saidOf(here.regions));
    const link = ({ regions, wire }: typeof here) =>
      linkerOf()(
        regions.map((region) => region.body(wire)),
        4096,
        false,
      ).wire;
    expect(link(there)).toEqual(link(here));
  });

  it.each([
    [32, MIXED, {}],
    [64, MIXED_LONG, { enter: enterLong }],
  ] as const)('has all of its function of %d-bit code that another module needs', (bits, code, guest) => {
    const [module] = modulesOf(storeOf(code, guest));
    const { regions, hotCount } = module!.text!;
    const wire = module!.wire()!;
    const bodies = regions.map((region) => region.body(wire));
    expect(bodies.flatMap(({ references }) => references).length).toBeGreaterThan(0);
    const likely = bodies.flatMap(({ hints }) => hints.map((hint) => hint.likely));
    expect(new Set(likely).size).toBe(2);
    expect(linkerOf()(bodies, hotCount, bits === 64).wire).toEqual(wire);
    // In another order, with others before it.
    const turned = linkerOf()(bodies.toReversed(), hotCount, bits === 64);
    const about = writeModule(hotCount, regions.toReversed(), turned.bodiesAt, turned.wire, null);
    const keys = regions.map((region) => ({ key: region.get('key'), missed: 0 })).toReversed();
    const length = about.byteLength + turned.wire.length;
    const bytes = new Uint8Array(length + 3);
    bytes.set(new Uint8Array(about.buffer));
    bytes.set(turned.wire, about.byteLength);
    const place = { ...module!.place, at: 0, aboutBytes: about.byteLength, length, regions: keys };
    const again = new StoredModule(storeIn(bytes, new RegionCatalogue(1, [place])), place);
    const back = again.text!.regions.toReversed().map((region) => region.body(again.wire()!));
    expect(linkerOf()(back, hotCount, bits === 64).wire).toEqual(wire);
  });

  it('is nothing where a block is in it twice', () => {
    // 1: inc eax; jmp to the same code a page on; there it leads to: inc ebx; jmp 1b
    const code = [0x40, 0xe9, ...word(4096 - 6)];
    const madeWith = (isTwice: boolean) => {
      const run = new KeepingRun();
      const made: MadeModule[] = [];
      const add = run.keeper.add.bind(run.keeper);
      run.keeper.add = (module, isSound) => {
        made.push(module);
        add(module, isSound);
      };
      const m = guestOf(code, { run, enter: enterPaged });
      if (isTwice) map(m, START + 4096, START);
      else m.ram.set(code, START + 4096);
      m.ram.set([0x43, 0xe9, ...word(-8192 - 6)], START + 8192);
      for (let i = 0; i < 30; i++) m.cpu.run(300);
      const { state } = m.cpu;
      expect(Math.abs(state.reg32(EAX) - 2 * state.reg32(EBX))).toBeLessThanOrEqual(2);
      expect(m.cpu.jit.statistics.compiled).toBeGreaterThan(0);
      return made.flatMap(({ regions }) => regions);
    };
    expect(madeWith(false)).not.toContain(null);
    expect(madeWith(true)).toContain(null);
  });
});

describe('a module of a store', () => {
  const v8 = new FakeV8();
  const store = storeOf(MIXED, {}, v8);
  const place = store.catalogue.modules[0]!;
  const { aboutBytes, length } = place;
  const wholeWire = new StoredModule(store, place).wire()!;
  const stateOf = (from: BytesStore, at = place) => {
    const module = new StoredModule(from, at);
    return [module.text !== null, module.wire() !== null, module.machineCode() !== null];
  };

  it('is what was written', () => {
    expect(store.catalogue.modules.length).toBe(1);
    expect(place.isReady).toBe(true);
    const module = new StoredModule(store, place);
    expect(new WebAssembly.Module(module.wire()!)).toBeInstanceOf(WebAssembly.Module);
    expect([...module.machineCode()!.subarray(0, 2)]).toEqual([0xc0, 0xde]);
    expect(module.text!.regions.map((region) => region.get('key'))).toEqual(place.regions.map(({ key }) => key));
    const plain = storeOf(MIXED);
    expect(stateOf(plain, plain.catalogue.modules[0]!)).toEqual([true, true, false]);
  });

  it('loses only what is damaged', () => {
    expect(stateOf(store)).toEqual([true, true, true]);
    for (const at of [0, 4, 40, aboutBytes - 1]) expect(stateOf(damaged(store, at))).toEqual([false, false, false]);
    const last = aboutBytes + wholeWire.length - 1;
    for (const at of [aboutBytes, last]) expect(stateOf(damaged(store, at))).toEqual([true, false, true]);
    // Of odd length, filled up.
    for (const at of [length - 8, length - 2]) expect(stateOf(damaged(store, at))).toEqual([true, true, false]);
    expect(stateOf(damaged(store, length - 1))).toEqual([true, true, true]);
    for (let bit = 1; bit < 0x100; bit <<= 1) {
      const other = storeIn(store.bytes.map((byte) => byte ^ bit), store.catalogue); // biome-ignore format: one line
      expect(stateOf(other)).toEqual([false, false, false]);
    }
  });

  it('is not looked for beyond its end, or elsewhere', () => {
    const short = storeIn(store.bytes.slice(0, length - 4), store.catalogue);
    expect(stateOf(short)).toEqual([true, true, false]);
    expect(stateOf(storeIn(store.bytes.slice(0, aboutBytes), store.catalogue))).toEqual([true, false, false]);
    expect(stateOf(storeIn(new Uint8Array(0), store.catalogue))).toEqual([false, false, false]);
    expect(stateOf(store, { ...place, length: length - 4 })).toEqual([true, true, false]);
    const moved = storeIn(new Uint8Array([0, 0, 0, 0, ...store.bytes]), store.catalogue);
    expect(stateOf(moved)).toEqual([false, false, false]);
    expect(stateOf(moved, { ...place, at: 4 })).toEqual([true, true, true]);
  });

  it('is the one that the catalogue means', () => {
    const { regions } = place;
    const asIf = (other: typeof regions) => stateOf(store, { ...place, regions: other })[0];
    expect(regions.length).toBeGreaterThan(1);
    expect(asIf(regions.toReversed())).toBe(false);
    expect(asIf(regions.slice(1))).toBe(false);
    expect(asIf([...regions, regions[0]!])).toBe(false);
    expect(asIf(regions.map((region, i) => (i === 0 ? { ...region, key: GONE } : region)))).toBe(true);
  });

  it('is read once, until it is let go', () => {
    let reads = 0;
    const counting = {
      ...store,
      read: (at: number, into: Uint8Array<ArrayBuffer>) => {
        reads++;
        return store.read(at, into);
      },
    };
    const module = new StoredModule(counting, place);
    expect([module.text, module.text].every((text) => text !== null)).toBe(true);
    expect(reads).toBe(1);
    module.forget();
    expect(module.text).not.toBe(null);
    expect(reads).toBe(2);
  });
});

describe('kept regions', () => {
  it('serve in a run after one that had others', () => {
    let store: BytesStore | null = null;
    for (const code of [MIXED, OTHER, loops(40)]) {
      const run = new KeepingRun(store);
      expect(runGuest(code, { run }).reused).toBe(0);
      store = run.save();
    }
    for (const code of [MIXED, OTHER, loops(40)]) {
      const plain = runGuest(code, { jit: 'off' });
      const { outcome, compiled, reused } = runGuest(code, { run: new KeepingRun(store) });
      expect(outcome).toEqual(plain.outcome);
      expect(reused).toBe(compiled);
      expect(reused).toBeGreaterThan(0);
    }
    expect(store!.catalogue.run).toBe(3);
  });
});
