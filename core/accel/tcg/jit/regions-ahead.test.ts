import { describe, expect, it } from 'vitest';
import { type ModulePlace, RegionCatalogue } from './kept-regions.ts';
import { type BytesStore, exportsOf, FakeV8, KeepingRun, runGuest, storeIn } from './kept-testing.ts';
import { RegionsAhead } from './regions-ahead.ts';

const MODULES = 12;
/** Modules of a loop with a number of its own each, of which some have machine code. */
function storeOf(ready: (position: number) => boolean = () => true): BytesStore {
  const places: ModulePlace[] = [];
  const pieces: number[] = [];
  for (let i = 0; i < MODULES; i++) {
    const run = new KeepingRun(null, ready(i) ? new FakeV8() : null);
    // 1: add ecx,i; dec edi; jnz 1b; hlt
    runGuest([0x83, 0xc1, i, 0x4f, 0x75, 0xfa, 0xf4], { run });
    run.save();
    run.finish();
    const store = run.save();
    places.push({ ...store.catalogue.modules[0]!, at: pieces.length });
    pieces.push(...store.bytes);
  }
  return storeIn(Uint8Array.from(pieces), new RegionCatalogue(1, places));
}
const inUse = (...positions: number[]) =>
  Int32Array.from({ length: MODULES }, (_, i) => (positions.includes(i) ? 1 : 0));
/** What is made ready until nothing is wanted. */
function stepsOf(ahead: RegionsAhead): number[] {
  const steps: number[] = [];
  for (let ready = ahead.step(); ready; ready = ahead.step()) steps.push(ready.position);
  return steps;
}

describe('modules that are made ready ahead', () => {
  const store = storeOf((position) => position !== 5);

  it('are the four behind one of use, in the order of the catalogue, once', () => {
    const used = inUse();
    const ahead = new RegionsAhead(store, new FakeV8(), used);
    expect(ahead.step()).toBe(null);
    used[2] = 1;
    expect(stepsOf(ahead)).toEqual([3, 4, 5, 6]);
    expect(ahead.step()).toBe(null);
    // The first of them is of use now.
    used[3] = 1;
    expect(stepsOf(ahead)).toEqual([7]);
    used[10] = 1;
    expect(stepsOf(ahead)).toEqual([11]);
    used[0] = 1;
    expect(stepsOf(ahead)).toEqual([1]);
  });

  it('are none that are of use already, and behind each that is', () => {
    expect(stepsOf(new RegionsAhead(store, new FakeV8(), inUse(0, 1, 2, 9)))).toEqual([3, 4, 5, 6, 10, 11]);
    expect(stepsOf(new RegionsAhead(store, new FakeV8(), inUse(0, 3)))).toEqual([1, 2, 4, 5, 6, 7]);
  });

  it('have their machine code where there is some, and V8 takes it', () => {
    const v8 = new FakeV8();
    const ahead = new RegionsAhead(store, v8, inUse(3));
    const [warm, cold] = [ahead.step()!, ahead.step()!];
    expect([warm.position, warm.isCold, cold.position, cold.isCold]).toEqual([4, false, 5, true]);
    expect(v8.given.length).toBe(1);
    for (const { code } of [warm, cold]) expect(exportsOf(code)).toContain('0');
    v8.isRefusing = true;
    expect(ahead.step()).toMatchObject({ position: 6, isCold: true });
    expect(new RegionsAhead(store, null, inUse(3)).step()).toMatchObject({ position: 4, isCold: true });
  });

  it('are those behind a damaged one too', () => {
    const bytes = store.bytes.slice();
    const { at, aboutBytes } = store.catalogue.modules[4]!;
    bytes[at + aboutBytes + 9]! ^= 1;
    bytes[store.catalogue.modules[6]!.at]! ^= 1;
    const damaged = storeIn(bytes, store.catalogue);
    expect(stepsOf(new RegionsAhead(damaged, new FakeV8(), inUse(3)))).toEqual([5, 7]);
    const noWasm = { give: () => new WebAssembly.Module(Uint8Array.of(1)) };
    expect(stepsOf(new RegionsAhead(store, Object.assign(new FakeV8(), noWasm), inUse(7)))).toEqual([]);
  });
});
