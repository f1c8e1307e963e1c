/** How regions are kept between runs of machines: who starts a guest again need not translate it again. Modules of many regions, with
 *  the machine code that V8 made of them. A region is known by what its blocks consist of, byte by byte but for a kernel's addresses
 *  (region-fields.ts), so it does not matter which guest it was compiled for. */
import type { FunctionBody } from '../../../wasm/writer.ts';
import { blockKey, KnownBlocks } from '../known-blocks.ts';
import type { RegionCode } from './compile.ts';
import type { CodeSource, Plan } from './plan.ts';
import type { RegionField } from './region-fields.ts';
import type { RegionWord } from './region-words.ts';

/** What is said of a module: so many words, then its regions. Behind that, each filled up to whole words, its WebAssembly and the
 *  machine code, of all its functions or of none. `check`: of all other words. */
const MODULE = { check: 0, hotCount: 1, regions: 2, wireBytes: 3, wireCheck: 4, codeBytes: 5, codeCheck: 6 } as const;
const MODULE_WORDS = 7;
/** A region is so many words, then its blocks, ways in, words of its code, branch hints, references, addresses in its code, and guest
 *  code, filled up to whole words. `length`: all of that in words. `inPage`: where its first block begins. `bodyAt`: in the module's
 *  WebAssembly. */
const REGION = {
  length: 0,
  key: 1,
  mode: 2,
  inPage: 3,
  instructions: 4,
  blocks: 5,
  entries: 6,
  words: 7,
  hints: 8,
  references: 9,
  bodyAt: 10,
  bodyBytes: 11,
  guestBytes: 12,
  fields: 13,
} as const;
const REGION_WORDS = 14;
/** Distance from the head, length, bytes of its records, whether its accesses are looked up one by one. */
const BLOCK_WORDS = 4;
/** Kind and block + 1 in one word, from bit 4 on; value. */
const WORD_WORDS = 2;
/** Place and kind in one word, from bit 4 on; value. */
const REFERENCE_WORDS = 2;
/** Place in the guest code, position of the field from which it is counted, distance. */
const FIELD_WORDS = 3;

/** What a catalogue says of a module: place in bytes, bytes of what is said of it and of all, in which run it was last of use, in how
 *  many beside the one that made it, 1: it has machine code; numbers of its regions and of blocks that they consist of. Behind that
 *  key and PlacedRegion.missed of each region, and the blocks' keys. */
const PLACE_WORDS = 8;

const words = (bytes: number) => (bytes + 3) >> 2;
export const padded = (bytes: number) => 4 * words(bytes);
export const bytesOf = (data: Int32Array<ArrayBuffer>) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
/** @param bytes at a whole word of their buffer */
export function checkOf(bytes: Uint8Array<ArrayBuffer>, from = 0): number {
  const data = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  let check = bytes.length;
  for (let i = from; i < data.length; i++) check = Math.imul(check ^ data[i]!, 0x0100_0193) ^ (check >>> 13);
  for (let i = data.length * 4; i < bytes.length; i++) check = Math.imul(check ^ bytes[i]!, 0x0100_0193);
  return check;
}

/** Machine code of modules, where V8 lets it be had. */
export interface MachineCode {
  /** Makes V8 optimise a module's functions, one with each call. False: all are. */
  optimiser(module: WebAssembly.Module): () => boolean;
  /** The code of a module of which at least one function is optimised. */
  take(module: WebAssembly.Module): Uint8Array<ArrayBuffer>;
  /** A module that has its code already. Null: this V8 makes other code, or of other flags, or for another processor. */
  give(code: Uint8Array<ArrayBuffer>, wire: Uint8Array<ArrayBuffer>): WebAssembly.Module | null;
}

// -- where they lie ----------------------------------------------------------------------------------------------------

/** The key of a region that nobody is to find. */
export const GONE = -1;
/** `missed`: runs in a row in which others of its module were of use and it was not. */
export interface PlacedRegion {
  readonly key: number;
  readonly missed: number;
}
export interface ModulePlace {
  readonly at: number;
  readonly aboutBytes: number;
  readonly length: number;
  readonly run: number;
  readonly uses: number;
  readonly isReady: boolean;
  readonly regions: readonly PlacedRegion[];
  readonly members: readonly number[];
}
/** Where modules of earlier runs are. */
export interface RegionStore {
  readonly catalogue: RegionCatalogue;
  /** Fills the bytes with what is there, from `at` on. False: it cannot be read. */
  read(at: number, into: Uint8Array<ArrayBuffer>): boolean;
}
/** `run`: how many runs of machines there were. */
export class RegionCatalogue {
  readonly run: number;
  readonly modules: readonly ModulePlace[];
  constructor(run: number, modules: readonly ModulePlace[]) {
    this.run = run;
    this.modules = modules;
  }
  /** @returns null where the words make no catalogue */
  static from(data: Int32Array<ArrayBuffer>): RegionCatalogue | null {
    const run = data[0];
    if (run === undefined) return null;
    const modules: ModulePlace[] = [];
    let i = 1;
    while (i < data.length) {
      const [at, aboutBytes, length, lastRun, uses, ready, count, members] = data.subarray(i, i + PLACE_WORDS);
      i += PLACE_WORDS;
      if (count === undefined || members === undefined || count < 0 || members < 0) return null;
      if (i + 2 * count + members > data.length) return null;
      if (at! < 0 || aboutBytes! < 4 * MODULE_WORDS || aboutBytes! > length!) return null;
      const regions: PlacedRegion[] = [];
      for (const end = i + 2 * count; i < end; i += 2) regions.push({ key: data[i]!, missed: data[i + 1]! });
      modules.push({
        at: at!,
        aboutBytes: aboutBytes!,
        length: length!,
        run: lastRun!,
        uses: uses!,
        isReady: ready === 1,
        regions,
        members: Array.from(data.subarray(i, i + members)),
      });
      i += members;
    }
    return new RegionCatalogue(run, modules);
  }
  get words(): Int32Array<ArrayBuffer> {
    const list = [this.run];
    for (const m of this.modules) {
      list.push(m.at, m.aboutBytes, m.length, m.run, m.uses, m.isReady ? 1 : 0, m.regions.length, m.members.length);
      for (const { key, missed } of m.regions) list.push(key, missed);
      for (const member of m.members) list.push(member);
    }
    return Int32Array.from(list);
  }
  /** Keys of all regions, GONE too. */
  get keys(): number[] {
    return this.modules.flatMap(({ regions }) => regions.map(({ key }) => key));
  }
  /** Blocks that are known to get hot. */
  get known(): KnownBlocks {
    return new KnownBlocks(
      Int32Array.from(this.modules.flatMap(({ members }) => members)),
      Int32Array.from(this.keys.filter((key) => key !== GONE)),
    );
  }
}

// -- what is said of them ----------------------------------------------------------------------------------------------

/** One region, as words. */
export class KeptRegion {
  readonly data: Int32Array<ArrayBuffer>;
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
  private get hintsAt(): number {
    return this.wordsAt + this.get('words') * WORD_WORDS;
  }
  private get referencesAt(): number {
    return this.hintsAt + this.get('hints');
  }
  private get fieldsAt(): number {
    return this.referencesAt + this.get('references') * REFERENCE_WORDS;
  }
  private get guestAt(): number {
    return this.fieldsAt + this.get('fields') * FIELD_WORDS;
  }
  get guest(): Uint8Array<ArrayBuffer> {
    const { data } = this;
    return new Uint8Array(data.buffer, data.byteOffset + 4 * this.guestAt, this.get('guestBytes'));
  }
  /** Delta and length of each block, and whether it is looked up one by one. */
  *blocks(): Generator<{ delta: number; length: number; recordBytes: number; isApart: boolean }> {
    const { data } = this;
    for (let at = REGION_WORDS; at < this.entriesAt; at += BLOCK_WORDS)
      yield { delta: data[at]!, length: data[at + 1]!, recordBytes: data[at + 2]!, isApart: data[at + 3]! !== 0 };
  }
  /** Where it is entered, as positions among its blocks. */
  get entries(): number[] {
    return Array.from(this.data.subarray(this.entriesAt, this.wordsAt));
  }
  *words(): Generator<RegionWord> {
    const { data } = this;
    for (let at = this.wordsAt; at < this.hintsAt; at += WORD_WORDS)
      yield { kind: data[at]! & 0xf, block: (data[at]! >> 4) - 1, value: data[at + 1]! };
  }
  /** What of the guest code may be different, in rising order. */
  *fields(): Generator<RegionField, undefined> {
    const { data } = this;
    for (let at = this.fieldsAt; at < this.guestAt; at += FIELD_WORDS)
      yield { at: data[at]!, anchor: data[at + 1]!, distance: data[at + 2]! };
  }
  /** Keys of its blocks. */
  *members(): Generator<number> {
    const { guest } = this;
    const fields = [...this.fields()];
    let at = 0;
    for (const { delta, length } of this.blocks()) {
      const own = fields.filter((field) => field.at >= at && field.at < at + length).map((field) => field.at - at);
      yield blockKey(guest, at, length, (this.get('inPage') + delta) & 0xfff, this.get('mode'), own);
      at += length;
    }
  }
  /** Its function, to become part of another module. */
  body(wire: Uint8Array): FunctionBody {
    const { data, hintsAt, referencesAt, fieldsAt } = this;
    const bodyAt = this.get('bodyAt');
    const references = [];
    for (let at = referencesAt; at < fieldsAt; at += REFERENCE_WORDS)
      references.push({ at: data[at]!, value: data[at + 1]! });
    return {
      bytes: Uint8Array.from(wire.subarray(bodyAt, bodyAt + this.get('bodyBytes'))),
      hints: Array.from(data.subarray(hintsAt, referencesAt), (hint) => ({ at: hint >>> 1, likely: (hint & 1) !== 0 })),
      references,
    };
  }
}

/** What is kept of a region, without the place of its body; null: of this one nothing can be. */
export function describe({ bytes }: Pick<CodeSource, 'bytes'>, plan: Plan, code: RegionCode): KeptRegion | null {
  // The same code at two linear addresses lies at two places another time.
  if (new Set(plan.blocks.map(({ block }) => block)).size < plan.blocks.length) return null;
  const head = plan.blocks[0]!.block;
  const { blocks, entries } = plan;
  const guestBytes = blocks.reduce((sum, { block }) => sum + block.length, 0);
  const list = new Array<number>(REGION_WORDS).fill(0);
  list[REGION.key] = head.key;
  list[REGION.mode] = plan.mode;
  list[REGION.inPage] = head.start & 0xfff;
  list[REGION.instructions] = plan.instructions;
  list[REGION.blocks] = blocks.length;
  list[REGION.entries] = entries.length;
  list[REGION.words] = code.words.length;
  list[REGION.hints] = code.hints.length;
  list[REGION.references] = code.references.length;
  list[REGION.bodyBytes] = code.bytes.length;
  list[REGION.guestBytes] = guestBytes;
  list[REGION.fields] = code.fields.length;
  for (const { delta, block, isApart } of blocks)
    list.push(delta, block.length, block.end - block.record, isApart ? 1 : 0);
  list.push(...entries);
  for (const { kind, block, value } of code.words) list.push(kind | ((block + 1) << 4), value);
  for (const { at, likely } of code.hints) list.push((at << 1) | (likely ? 1 : 0));
  for (const { at, value } of code.references) list.push(at, value);
  for (const { at, anchor, distance } of code.fields) list.push(at, anchor, distance);
  list[REGION.length] = list.length + words(guestBytes);
  const data = new Int32Array(list[REGION.length]!);
  data.set(list);
  const all = bytesOf(data);
  let at = 4 * list.length;
  for (const { block } of blocks) {
    all.set(bytes.subarray(block.start, block.start + block.length), at);
    at += block.length;
  }
  return new KeptRegion(data);
}

/** What is said of a module. */
export interface ModuleText {
  readonly hotCount: number;
  readonly regions: readonly KeptRegion[];
  readonly wireBytes: number;
  readonly wireCheck: number;
  readonly codeBytes: number;
  readonly codeCheck: number;
}
export function writeModule(
  hotCount: number,
  regions: readonly KeptRegion[],
  bodiesAt: readonly number[],
  wire: Uint8Array<ArrayBuffer>,
  code: Uint8Array<ArrayBuffer> | null,
): Int32Array<ArrayBuffer> {
  const about = new Int32Array(MODULE_WORDS + regions.reduce((sum, { data }) => sum + data.length, 0));
  about[MODULE.hotCount] = hotCount;
  about[MODULE.regions] = regions.length;
  about[MODULE.wireBytes] = wire.length;
  about[MODULE.wireCheck] = checkOf(wire);
  about[MODULE.codeBytes] = code?.length ?? 0;
  about[MODULE.codeCheck] = code ? checkOf(code) : 0;
  let at = MODULE_WORDS;
  regions.forEach(({ data }, i) => {
    about.set(data, at);
    about[at + REGION.bodyAt] = bodiesAt[i]!;
    at += data.length;
  });
  about[MODULE.check] = checkOf(bytesOf(about), 1);
  return about;
}
/** Null: it is not as it was written, or another module than the catalogue says. */
function readModule(about: Int32Array<ArrayBuffer>, placed: readonly PlacedRegion[]): ModuleText | null {
  if (about[MODULE.check] !== checkOf(bytesOf(about), 1)) return null;
  const regions: KeptRegion[] = [];
  let at = MODULE_WORDS;
  while (at < about.length && regions.length < about[MODULE.regions]!) {
    regions.push(new KeptRegion(about.subarray(at, at + about[at]!)));
    at += about[at]!;
  }
  if (regions.length !== placed.length) return null;
  if (placed.some(({ key }, i) => key !== GONE && regions[i]!.get('key') !== key)) return null;
  const get = (field: keyof typeof MODULE) => about[MODULE[field]]!;
  return {
    hotCount: get('hotCount'),
    regions,
    wireBytes: get('wireBytes'),
    wireCheck: get('wireCheck'),
    codeBytes: get('codeBytes'),
    codeCheck: get('codeCheck'),
  };
}

/** A module in a store. */
export class StoredModule {
  readonly place: ModulePlace;
  private readonly store: RegionStore;
  private about: ModuleText | null | undefined;
  constructor(store: RegionStore, place: ModulePlace) {
    this.store = store;
    this.place = place;
  }
  /** What is said of it. Null: it is not as it was written. */
  get text(): ModuleText | null {
    if (this.about === undefined) {
      const { at, aboutBytes, regions } = this.place;
      const about = new Int32Array(aboutBytes >> 2);
      this.about = this.store.read(at, bytesOf(about)) ? readModule(about, regions) : null;
    }
    return this.about;
  }
  /** Lets go of what it read. */
  forget(): void {
    this.about = undefined;
  }
  wire(): Uint8Array<ArrayBuffer> | null {
    const { text } = this;
    return text && this.readPart(0, text.wireBytes, text.wireCheck);
  }
  machineCode(): Uint8Array<ArrayBuffer> | null {
    const { text } = this;
    if (!text || text.codeBytes === 0) return null;
    return this.readPart(padded(text.wireBytes), text.codeBytes, text.codeCheck);
  }
  private readPart(from: number, length: number, check: number): Uint8Array<ArrayBuffer> | null {
    const { at, aboutBytes, length: all } = this.place;
    if (aboutBytes + from + length > all) return null;
    const bytes = new Uint8Array(length);
    return this.store.read(at + aboutBytes + from, bytes) && checkOf(bytes) === check ? bytes : null;
  }
}
