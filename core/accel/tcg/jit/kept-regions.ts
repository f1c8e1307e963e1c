/** The code of regions, kept between runs of machines: who starts a guest again need not translate it again. Modules are kept as they
 *  were made, with the machine code of what V8 has optimised. A region is found by what its blocks consist of, compared byte by byte, so
 *  it does not matter which guest it was compiled for. */

import { blockKey, KnownBlocks } from '../known-blocks.ts';
import type { MadeModule } from './batch.ts';
import { newModuleId, type RegionCode } from './compile.ts';
import type { CodeBlock, CodeSource, Plan } from './plan.ts';
import type { RegionWord } from './region-words.ts';

/** What is said of a module: so many words, then its regions. Behind that, each filled up to whole words, its WebAssembly and the
 *  machine code. `check`: of all other words; `functions`: those with machine code. */
const MODULE = {
  check: 0,
  hotCount: 1,
  regions: 2,
  wireBytes: 3,
  wireCheck: 4,
  codeBytes: 5,
  codeCheck: 6,
  functions: 7,
} as const;
const MODULE_WORDS = 8;
/** A region is so many words, then its blocks, ways in, words of its code, and guest code, filled up to whole words.
 *  `length`: all of that in words. `inPage`: where its first block begins. */
const REGION = {
  length: 0,
  key: 1,
  mode: 2,
  inPage: 3,
  instructions: 4,
  blocks: 5,
  entries: 6,
  words: 7,
  guestBytes: 8,
} as const;
const REGION_WORDS = 9;
/** Distance from the head, length, bytes of its records, whether its accesses are looked up one by one. */
const BLOCK_WORDS = 4;
/** Kind and block + 1 in one word, from bit 4 on; value. */
const WORD_WORDS = 2;
/** Regions that begin with the same code. */
const MAX_VARIANTS = 4;
/** Bytes of modules that are in no store yet: a guest may make new code for ever. */
export const MOST_WAITING = 4 << 20;
/** A store is written when at least this part of it is new; machine code of a function takes about so many bytes. */
const WORTH_PART = 16;
const FUNCTION_BYTES = 4096;
/** No region is found by it any more. */
const GONE = -1;

/** A module that no later run has used goes after so many: code that a guest puts elsewhere in each run is new in each. */
const PROBATION = 2;

/** What a catalogue says of a module: place in bytes, bytes of what is said of it and of all, in which run it was last of use, in how
 *  many beside the one that made it, number of regions. Their keys follow. */
const PLACE_WORDS = 6;

const words = (bytes: number) => (bytes + 3) >> 2;
/** @param bytes at a whole word of their buffer */
function checkOf(bytes: Uint8Array<ArrayBuffer>, from = 0): number {
  const data = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  let check = bytes.length;
  for (let i = from; i < data.length; i++) check = Math.imul(check ^ data[i]!, 0x0100_0193) ^ (check >>> 13);
  for (let i = data.length * 4; i < bytes.length; i++) check = Math.imul(check ^ bytes[i]!, 0x0100_0193);
  return check;
}
const bytesOf = (data: Int32Array<ArrayBuffer>) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Machine code of modules, where V8 lets it be had. */
export interface MachineCode {
  /** Functions that V8 has optimised. */
  optimised(module: WebAssembly.Module): number;
  /** Their code. There must be one. */
  take(module: WebAssembly.Module): Uint8Array<ArrayBuffer>;
  /** A module that has its code already. Null: this V8 makes other code, or of other flags, or for another processor. */
  give(code: Uint8Array<ArrayBuffer>, wire: Uint8Array<ArrayBuffer>): WebAssembly.Module | null;
}
/** Where modules of earlier runs are. */
export interface RegionStore {
  readonly catalogue: RegionCatalogue;
  /** Fills the bytes with what is there, from `at` on. False: it cannot be read. */
  read(at: number, into: Uint8Array<ArrayBuffer>): boolean;
}
interface Place {
  readonly at: number;
  readonly aboutBytes: number;
  readonly length: number;
}
interface ModulePlace extends Place {
  readonly run: number;
  readonly uses: number;
  readonly keys: readonly number[];
}
/** `members`: keys of the blocks that regions consist of. */
export class RegionCatalogue {
  readonly run: number;
  readonly members: Int32Array<ArrayBuffer>;
  readonly modules: readonly ModulePlace[];
  constructor(run: number, members: Int32Array<ArrayBuffer>, modules: readonly ModulePlace[]) {
    this.run = run;
    this.members = members;
    this.modules = modules;
  }
  /** @returns null where the words make no catalogue */
  static from(words: Int32Array<ArrayBuffer>): RegionCatalogue | null {
    const [run, members] = words;
    if (run === undefined || members === undefined || members < 0 || members > words.length - 2) return null;
    const modules: ModulePlace[] = [];
    let i = 2 + members;
    while (i < words.length) {
      const [at, aboutBytes, length, lastRun, uses, regions] = words.subarray(i, i + PLACE_WORDS);
      i += PLACE_WORDS;
      if (regions === undefined || regions < 0 || i + regions > words.length) return null;
      if (at! < 0 || aboutBytes! < 4 * MODULE_WORDS || aboutBytes! > length!) return null;
      const keys = Array.from(words.subarray(i, i + regions));
      i += regions;
      modules.push({ at: at!, aboutBytes: aboutBytes!, length: length!, run: lastRun!, uses: uses!, keys });
    }
    return new RegionCatalogue(run, words.subarray(2, 2 + members), modules);
  }
  get words(): Int32Array<ArrayBuffer> {
    const { run, members, modules } = this;
    return Int32Array.from([
      run,
      members.length,
      ...members,
      ...modules.flatMap((m) => [m.at, m.aboutBytes, m.length, m.run, m.uses, m.keys.length, ...m.keys]),
    ]);
  }
  /** Keys of all regions. */
  get keys(): number[] {
    return this.modules.flatMap(({ keys }) => keys.filter((key) => key !== GONE));
  }
  /** Blocks that are known to get hot. */
  get known(): KnownBlocks {
    return new KnownBlocks(this.members, Int32Array.from(this.keys));
  }
}

export interface KeptMatch {
  readonly module: KeptModule;
  readonly code: WebAssembly.Module;
  /** Of the region in the module. */
  readonly position: number;
  readonly region: KeptRegion;
  readonly blocks: readonly CodeBlock[];
}

/** One region, as words. */
export class KeptRegion {
  private readonly data: Int32Array<ArrayBuffer>;
  constructor(data: Int32Array<ArrayBuffer>) {
    this.data = data;
  }
  get(field: keyof typeof REGION): number {
    return this.data[REGION[field]]!;
  }
  private get entriesAt(): number {
    return REGION_WORDS + this.get('blocks') * BLOCK_WORDS;
  }
  private get wordsAt(): number {
    return this.entriesAt + this.get('entries');
  }
  private get guestAt(): number {
    return this.wordsAt + this.get('words') * WORD_WORDS;
  }
  get guest(): Uint8Array<ArrayBuffer> {
    const { data } = this;
    return new Uint8Array(data.buffer, data.byteOffset + 4 * this.guestAt, this.get('guestBytes'));
  }
  /** Delta and length of each block, and whether it is looked up one by one. */
  *blocks(): Generator<{ delta: number; length: number; recordBytes: number; isApart: boolean }> {
    const { data } = this;
    for (let at = REGION_WORDS; at < this.entriesAt; at += BLOCK_WORDS)
      yield {
        delta: data[at]!,
        length: data[at + 1]!,
        recordBytes: data[at + 2]!,
        isApart: data[at + 3]! !== 0,
      };
  }
  /** Where it is entered, as positions among its blocks. */
  get entries(): number[] {
    return Array.from(this.data.subarray(this.entriesAt, this.wordsAt));
  }
  *words(): Generator<RegionWord> {
    const { data } = this;
    for (let at = this.wordsAt; at < this.guestAt; at += WORD_WORDS)
      yield { kind: data[at]! & 0xf, block: (data[at]! >> 4) - 1, value: data[at + 1]! };
  }
  /** Keys of its blocks. */
  *members(): Generator<number> {
    const { guest } = this;
    let at = 0;
    for (const { delta, length } of this.blocks()) {
      yield blockKey(guest, at, length, (this.get('inPage') + delta) & 0xfff, this.get('mode'));
      at += length;
    }
  }
}
/** @returns what is kept of a region, or null: of this one nothing can be */
function describe(source: CodeSource, plan: Plan, code: RegionCode): Int32Array<ArrayBuffer> | null {
  // The same code at two linear addresses lies at two places another time.
  if (new Set(plan.blocks.map(({ block }) => block)).size < plan.blocks.length) return null;
  const head = plan.blocks[0]!.block;
  const { blocks, entries } = plan;
  const guestBytes = blocks.reduce((sum, { block }) => sum + block.length, 0);
  const list: number[] = [];
  list[REGION.length] = 0;
  list[REGION.key] = keyOf(source, head);
  list[REGION.mode] = plan.mode;
  list[REGION.inPage] = head.start & 0xfff;
  list[REGION.instructions] = plan.instructions;
  list[REGION.blocks] = blocks.length;
  list[REGION.entries] = entries.length;
  list[REGION.words] = code.words.length;
  list[REGION.guestBytes] = guestBytes;
  for (const { delta, block, isApart } of blocks)
    list.push(delta, block.length, block.end - block.record, isApart ? 1 : 0);
  list.push(...entries);
  for (const { kind, block, value } of code.words) list.push(kind | ((block + 1) << 4), value);
  list[REGION.length] = list.length + words(guestBytes);
  const data = new Int32Array(list[REGION.length]!);
  data.set(list);
  const all = bytesOf(data);
  let at = 4 * list.length;
  for (const { block } of blocks) {
    all.set(source.bytes.subarray(block.start, block.start + block.length), at);
    at += block.length;
  }
  return data;
}

/** A module that is kept: in the store, or, as long as that has not been written, here. */
export class KeptModule {
  readonly id: number;
  run: number;
  uses: number;
  /** Keys of its regions, GONE for those that nobody may find. */
  readonly keys: number[];
  place: Place | null;
  /** What is said of it; null: not read yet. */
  about: Int32Array<ArrayBuffer> | null = null;
  wire: Uint8Array<ArrayBuffer> | null = null;
  code: WebAssembly.Module | null = null;
  private regionsAt: number[] = [];
  constructor(id: number, run: number, uses: number, keys: readonly number[], place: Place | null) {
    this.id = id;
    this.run = run;
    this.uses = uses;
    this.keys = [...keys];
    this.place = place;
  }
  get(field: keyof typeof MODULE): number {
    return this.about![MODULE[field]]!;
  }
  get wireBytes(): number {
    return this.get('wireBytes');
  }
  /** Takes what is said of it, if that is as it was written. */
  describe(about: Int32Array<ArrayBuffer>): boolean {
    if (about[MODULE.check] !== checkOf(bytesOf(about), 1)) return false;
    const regionsAt: number[] = [];
    let at = MODULE_WORDS;
    while (at < about.length && regionsAt.length < about[MODULE.regions]!) {
      regionsAt.push(at);
      at += about[at]!;
    }
    if (regionsAt.length !== this.keys.length) return false;
    this.about = about;
    this.regionsAt = regionsAt;
    return this.keys.every((key, i) => key === GONE || this.region(i).get('key') === key);
  }
  region(position: number): KeptRegion {
    const at = this.regionsAt[position]!;
    return new KeptRegion(this.about!.subarray(at, at + this.about![at]!));
  }
  get isOfUse(): boolean {
    return this.keys.some((key) => key !== GONE);
  }
  /** There will be another. */
  forgetMachineCode(): void {
    const about = this.about!;
    about[MODULE.codeBytes] = about[MODULE.functions] = 0;
  }
  /** Nothing of it is found any more. */
  giveUp(): void {
    this.keys.fill(GONE);
  }
}
interface Found {
  readonly module: KeptModule;
  readonly position: number;
}

export class KeptRegions {
  private readonly byKey = new Map<number, Found[]>();
  private readonly modules = new Map<number, KeptModule>();
  /** Number of this run of a machine. */
  private readonly run: number;
  private store: RegionStore | null;
  private readonly machine: MachineCode | null;
  private readonly counted = new Map<KeptModule, number>();
  /** Modules that had their machine code. */
  ready = 0;
  /** Bytes of what is not in the store. */
  waiting = 0;
  private stored = 0;
  get isChanged(): boolean {
    return this.waiting > 0;
  }
  /** Whether so much is new that the store should be written, which takes as long as it is large. */
  get isWorthWriting(): boolean {
    const fresh = this.waiting + this.gained * FUNCTION_BYTES;
    return fresh > 0 && fresh >= this.stored / WORTH_PART;
  }
  /** Functions that V8 has optimised since. Asking makes an instance of each module. */
  private get gained(): number {
    let gained = 0;
    this.counted.clear();
    for (const module of this.modules.values()) {
      const { code, place } = module;
      if (!code || !place || !this.machine) continue;
      const functions = this.machine.optimised(code);
      this.counted.set(module, functions);
      gained += Math.max(0, functions - module.get('functions'));
    }
    return gained;
  }

  constructor(store: RegionStore | null, machine: MachineCode | null = null) {
    this.store = store;
    this.machine = machine;
    this.run = (store?.catalogue.run ?? 0) + 1;
    for (const { run, uses, keys, ...place } of store?.catalogue.modules ?? []) {
      this.put(new KeptModule(newModuleId(), run, uses, keys, place));
      this.stored += place.length;
    }
  }
  private put(module: KeptModule): void {
    this.modules.set(module.id, module);
    module.keys.forEach((key, position) => {
      if (key !== GONE) this.putRegion(key, { module, position });
    });
  }
  private putRegion(key: number, found: Found): void {
    const variants = this.byKey.get(key);
    if (!variants) {
      this.byKey.set(key, [found]);
      return;
    }
    if (variants.length === MAX_VARIANTS) {
      const oldest = variants.reduce((a, b) => (a.module.run <= b.module.run ? a : b));
      variants.splice(variants.indexOf(oldest), 1);
      oldest.module.keys[oldest.position] = GONE;
    }
    variants.push(found);
  }
  /** Whether it is known what there is to say of a module. */
  private isDescribed(module: KeptModule): boolean {
    if (module.about) return true;
    const { place } = module;
    if (!place || !this.store) return false;
    const about = new Int32Array(place.aboutBytes >> 2);
    if (this.store.read(place.at, bytesOf(about)) && module.describe(about)) return true;
    module.giveUp();
    return false;
  }
  private wireOf(module: KeptModule): Uint8Array<ArrayBuffer> | null {
    if (module.wire) return module.wire;
    return this.readPart(module, module.place!.aboutBytes, module.wireBytes, module.get('wireCheck'));
  }
  private machineCodeOf(module: KeptModule): Uint8Array<ArrayBuffer> | null {
    const length = module.get('codeBytes');
    if (length === 0) return null;
    const { place } = module;
    return this.readPart(module, place!.aboutBytes + 4 * words(module.wireBytes), length, module.get('codeCheck'));
  }
  private readPart({ place }: KeptModule, from: number, length: number, check: number): Uint8Array<ArrayBuffer> | null {
    if (from + length > place!.length) return null;
    const bytes = new Uint8Array(length);
    return this.store!.read(place!.at + from, bytes) && checkOf(bytes) === check ? bytes : null;
  }
  /** Null: it is not as it was, or V8 does not take it. */
  private codeOf(module: KeptModule): WebAssembly.Module | null {
    if (module.code) return module.code;
    const wire = this.wireOf(module);
    if (!wire) return null;
    const code = this.machine && this.machineCodeOf(module);
    try {
      module.code = (code && this.machine!.give(code, wire)) ?? null;
      if (module.code) this.ready++;
      else {
        module.forgetMachineCode();
        module.code = new WebAssembly.Module(wire);
      }
    } catch {
      return null;
    }
    return module.code;
  }

  /** The region that begins with this block, if all of its code is there as it was, and known to the planner. */
  find(source: CodeSource, head: CodeBlock, hotCount: number): KeptMatch | null {
    for (const { module, position } of this.byKey.get(keyOf(source, head)) ?? []) {
      if (module.keys[position] === GONE || !this.isDescribed(module) || module.get('hotCount') !== hotCount) continue;
      const region = module.region(position);
      const blocks = region.get('mode') === head.mode ? match(region, source, head) : null;
      if (!blocks) continue;
      const code = this.codeOf(module);
      if (!code) {
        module.giveUp();
        continue;
      }
      if (module.run !== this.run) module.uses++;
      module.run = this.run;
      return { module, code, position, region, blocks };
    }
    return null;
  }
  /** The machine has a module no more. */
  unload(id: number): void {
    const module = this.modules.get(id);
    if (module?.place) module.code = null;
  }
  /** Copies what there is to say of a module, and the guest code that it was made of. It is kept when the result is called, with the
   *  regions whose code the guest was not changing meanwhile: that is known only later. */
  prepare(source: CodeSource, made: MadeModule, hotCount: number): (isSound: (position: number) => boolean) => void {
    const regions = made.parts.map(({ plan, code }) => describe(source, plan, code));
    const { wire, code } = made;
    return (isSound) => {
      if (this.waiting >= MOST_WAITING) return;
      const sound = regions.map((region, position) => (region && isSound(position) ? region : null));
      if (sound.every((region) => region === null)) return;
      const list = new Array<number>(MODULE_WORDS).fill(0);
      list[MODULE.hotCount] = hotCount;
      list[MODULE.regions] = regions.length;
      list[MODULE.wireBytes] = wire.length;
      list[MODULE.wireCheck] = checkOf(wire);
      const empty = Int32Array.of(1);
      const parts = [Int32Array.from(list), ...sound.map((region) => region ?? empty)];
      const about = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        about.set(part, at);
        at += part.length;
      }
      about[MODULE.check] = checkOf(bytesOf(about), 1);
      const keys = sound.map((region) => (region ? region[REGION.key]! : GONE));
      const module = new KeptModule(made.id, this.run, 0, keys, null);
      module.describe(about);
      module.wire = wire;
      module.code = code;
      this.waiting += about.byteLength + wire.length;
      this.put(module);
    };
  }

  /** Writes all modules, those of use last first, as far as there is room (bytes), and gives the catalogue of what was written. When it
   *  has become the store, `moved` says so. */
  save(
    room: number,
    write: (bytes: Uint8Array) => void,
  ): { catalogue: RegionCatalogue; moved(store: RegionStore): void } {
    const members = new Set<number>();
    const places: ModulePlace[] = [];
    const written: { module: KeptModule; about: Int32Array<ArrayBuffer> }[] = [];
    let at = 0;
    for (const module of [...this.modules.values()].sort((a, b) => b.run - a.run)) {
      if (!module.isOfUse || (module.uses === 0 && this.run - module.run > PROBATION)) continue;
      if (!this.isDescribed(module)) continue;
      const wire = this.wireOf(module);
      if (!wire) continue;
      const about = module.about!.slice();
      const machineCode = this.newestCode(module, about);
      const parts = [bytesOf(about), wire, ...(machineCode ? [machineCode] : [])];
      const length = parts.reduce((sum, part) => sum + 4 * words(part.length), 0);
      if (at + length > room) continue;
      for (const part of parts) {
        write(part);
        if (part.length % 4 !== 0) write(new Uint8Array(4 - (part.length % 4)));
      }
      module.keys.forEach((key, position) => {
        if (key !== GONE) for (const member of module.region(position).members()) members.add(member);
      });
      places.push({
        at,
        aboutBytes: about.byteLength,
        length,
        run: module.run,
        uses: module.uses,
        keys: [...module.keys],
      });
      written.push({ module, about });
      at += length;
    }
    return {
      catalogue: new RegionCatalogue(this.run, Int32Array.from(members), places),
      moved: (store) => {
        this.store = store;
        this.byKey.clear();
        this.modules.clear();
        written.forEach(({ module, about }, i) => {
          module.place = places[i]!;
          module.wire = null;
          module.describe(about);
          this.put(module);
        });
        this.waiting = 0;
        this.stored = at;
      },
    };
  }
  /** The machine code of a module, which `about` describes then. */
  private newestCode(module: KeptModule, about: Int32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | null {
    const { machine } = this;
    const optimised = machine && module.code ? (this.counted.get(module) ?? machine.optimised(module.code)) : 0;
    const isNew = optimised > about[MODULE.functions]!;
    const code = isNew ? machine!.take(module.code!) : module.place && this.machineCodeOf(module);
    if (isNew) about[MODULE.functions] = optimised;
    about[MODULE.codeBytes] = code?.length ?? 0;
    about[MODULE.codeCheck] = code ? checkOf(code) : 0;
    about[MODULE.check] = checkOf(bytesOf(about), 1);
    return code;
  }
}

const keyOf = ({ bytes }: CodeSource, { start, length, mode }: CodeBlock) =>
  blockKey(bytes, start, length, start & 0xfff, mode);

/** The blocks of a region as they are here, or null: not all are known, or something is different. */
function match(region: KeptRegion, source: CodeSource, head: CodeBlock): CodeBlock[] | null {
  const inPage = head.start & 0xfff;
  if (region.get('inPage') !== inPage) return null;
  const base = (head.start & ~0xfff) >>> 0;
  const { guest } = region;
  const blocks: CodeBlock[] = [];
  let at = 0;
  for (const { delta, length, recordBytes, isApart } of region.blocks()) {
    const distance = Math.floor((inPage + delta) / 4096);
    const page = distance === 0 ? base : source.pageAt(head, distance);
    const block =
      delta === 0 ? head : page < 0 ? undefined : source.findWarm(page + (inPage + delta - distance * 4096), head.mode);
    if (!block || block.length !== length || block.second >= 0) return null;
    if (block.end - block.record !== recordBytes || source.isApart(block) !== isApart) return null;
    for (let i = 0; i < length; i++) if (source.bytes[block.start + i] !== guest[at + i]) return null;
    blocks.push(block);
    at += length;
  }
  return blocks;
}
