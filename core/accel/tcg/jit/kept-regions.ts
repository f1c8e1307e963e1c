/** The code of regions, kept between runs of machines: who starts a guest again need not translate it again. A region is found by what
 *  its blocks consist of, compared byte by byte, so it does not matter which guest it was compiled for. */

import { blockKey, KnownBlocks } from '../known-blocks.ts';
import type { RegionCode } from './compile.ts';
import type { CodeBlock, CodeSource, Plan } from './plan.ts';

/** A region is so many words, then its blocks' guest code and its own code, each filled up to whole words.
 *  `check`: of all other words. `inPage`: where its first block begins. */
const HEADER = {
  check: 0,
  key: 1,
  mode: 2,
  hotCount: 3,
  inPage: 4,
  instructions: 5,
  blocks: 6,
  entries: 7,
  references: 8,
  hints: 9,
  guestBytes: 10,
  codeBytes: 11,
} as const;
const HEADER_WORDS = 12;
/** Distance from the head, length, bytes of its records, whether its accesses are looked up one by one. */
const BLOCK_WORDS = 4;
/** Position among the blocks, distance from the head. */
const ENTRY_WORDS = 2;
/** Place in the code, kind and block + 1 in one word (18, 4 and 8 bits); value. */
const REFERENCE_WORDS = 2;
const MAX_CODE = 1 << 18;
/** Regions that begin with the same code. */
const MAX_VARIANTS = 4;
/** Bytes of regions that are in no store yet: a guest may make new code for ever. */
export const MOST_WAITING = 4 << 20;
/** Words of regions that are read for one batch: to read into new memory takes several times as long. */
const READ_WORDS = 1 << 18;
/** A store is written when at least this part of it is new. */
const WORTH_PART = 32;

/** What a catalogue says of a region: key, place and length in bytes, in which run it was last of use. */
const PLACE_WORDS = 4;

const words = (bytes: number) => (bytes + 3) >> 2;
function checkOf(data: Int32Array): number {
  let check = data.length;
  for (let i = 1; i < data.length; i++) check = Math.imul(check ^ data[i]!, 0x0100_0193) ^ (check >>> 13);
  return check;
}

/** Where regions of earlier runs are. */
export interface RegionStore {
  readonly catalogue: RegionCatalogue;
  /** Fills the words with what is there, from byte `at` on. False: it cannot be read. */
  read(at: number, into: Int32Array<ArrayBuffer>): boolean;
}
/** `members`: keys of the blocks that regions consist of. */
export class RegionCatalogue {
  readonly run: number;
  readonly members: Int32Array<ArrayBuffer>;
  private readonly places: Int32Array<ArrayBuffer>;
  constructor(run: number, members: Int32Array<ArrayBuffer>, places: Int32Array<ArrayBuffer>) {
    this.run = run;
    this.members = members;
    this.places = places;
  }
  /** @returns null where the words make no catalogue */
  static from(words: Int32Array<ArrayBuffer>): RegionCatalogue | null {
    const [run, members] = words;
    if (run === undefined || members === undefined || members < 0) return null;
    const rest = words.length - 2 - members;
    if (rest < 0 || rest % PLACE_WORDS !== 0) return null;
    return new RegionCatalogue(run, words.subarray(2, 2 + members), words.subarray(2 + members));
  }
  get words(): Int32Array<ArrayBuffer> {
    return Int32Array.from([this.run, this.members.length, ...this.members, ...this.places]);
  }
  *regions(): Generator<{ key: number; at: number; length: number; run: number }> {
    const { places } = this;
    for (let i = 0; i < places.length; i += PLACE_WORDS)
      yield { key: places[i]!, at: places[i + 1]!, length: places[i + 2]!, run: places[i + 3]! };
  }
  /** Blocks that are known to get hot. */
  get known(): KnownBlocks {
    return new KnownBlocks(
      this.members,
      Int32Array.from(this.regions(), ({ key }) => key),
    );
  }
}

export interface KeptMatch {
  readonly code: RegionCode;
  readonly blocks: readonly CodeBlock[];
  readonly entries: readonly { readonly block: number; readonly delta: number }[];
  readonly instructions: number;
}

/** One region, as words. */
class KeptRegion {
  readonly data: Int32Array<ArrayBuffer>;
  constructor(data: Int32Array<ArrayBuffer>) {
    this.data = data;
  }
  get(field: keyof typeof HEADER): number {
    return this.data[HEADER[field]]!;
  }
  /** Whether it is as it was written. */
  get isSound(): boolean {
    const { data } = this;
    if (data.length < HEADER_WORDS || this.get('check') !== checkOf(data)) return false;
    return this.codeAt + words(this.get('codeBytes')) === data.length;
  }
  private get entriesAt(): number {
    return HEADER_WORDS + this.get('blocks') * BLOCK_WORDS;
  }
  private get referencesAt(): number {
    return this.entriesAt + this.get('entries') * ENTRY_WORDS;
  }
  private get hintsAt(): number {
    return this.referencesAt + this.get('references') * REFERENCE_WORDS;
  }
  private get guestAt(): number {
    return this.hintsAt + this.get('hints');
  }
  private get codeAt(): number {
    return this.guestAt + words(this.get('guestBytes'));
  }
  private bytes(word: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.data.buffer, this.data.byteOffset + 4 * word, length);
  }
  get guest(): Uint8Array<ArrayBuffer> {
    return this.bytes(this.guestAt, this.get('guestBytes'));
  }
  /** Delta and length of each block, and whether it is looked up one by one. */
  *blocks(): Generator<{ delta: number; length: number; recordBytes: number; isApart: boolean }> {
    const { data } = this;
    for (let at = HEADER_WORDS; at < this.entriesAt; at += BLOCK_WORDS)
      yield {
        delta: data[at]!,
        length: data[at + 1]!,
        recordBytes: data[at + 2]!,
        isApart: data[at + 3]! !== 0,
      };
  }
  get code(): RegionCode {
    const { data } = this;
    const references: { at: number; kind: number; value: number }[] = [];
    const blocks: number[] = [];
    for (let at = this.referencesAt; at < this.hintsAt; at += REFERENCE_WORDS) {
      const what = data[at]!;
      references.push({ at: what & (MAX_CODE - 1), kind: (what >>> 18) & 0xf, value: data[at + 1]! });
      blocks.push(((what >>> 22) & 0xff) - 1);
    }
    const hints = Array.from(data.subarray(this.hintsAt, this.guestAt), (word) => ({
      at: word >>> 1,
      likely: (word & 1) !== 0,
    }));
    return { bytes: this.bytes(this.codeAt, this.get('codeBytes')), hints, references, blocks };
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
  get bytesOfAll(): Uint8Array<ArrayBuffer> {
    return this.bytes(0, 4 * this.data.length);
  }
  get entries(): { block: number; delta: number }[] {
    const entries: { block: number; delta: number }[] = [];
    for (let at = this.entriesAt; at < this.referencesAt; at += ENTRY_WORDS)
      entries.push({ block: this.data[at]!, delta: this.data[at + 1]! });
    return entries;
  }
}

/** A region that is kept: in the store, or, as long as that has not been written, here. */
interface Keeping {
  readonly key: number;
  readonly length: number;
  at: number;
  run: number;
  region: KeptRegion | null;
}

export class KeptRegions {
  private readonly byKey = new Map<number, Keeping[]>();
  /** Number of this run of a machine. */
  private readonly run: number;
  private store: RegionStore | null;
  private readonly readWords = new Int32Array(READ_WORDS);
  private readSoFar = 0;
  /** Bytes of what is not in the store. */
  waiting = 0;
  private stored = 0;
  get isChanged(): boolean {
    return this.waiting > 0;
  }
  /** Whether so much is new that the store should be written, which takes as long as it is large. */
  get isWorthWriting(): boolean {
    return this.isChanged && this.waiting >= this.stored / WORTH_PART;
  }

  constructor(store: RegionStore | null) {
    this.store = store;
    this.run = (store?.catalogue.run ?? 0) + 1;
    for (const place of store?.catalogue.regions() ?? []) {
      this.put({ ...place, region: null });
      this.stored += place.length;
    }
  }
  private put(keeping: Keeping): void {
    const variants = this.byKey.get(keeping.key);
    if (!variants) {
      this.byKey.set(keeping.key, [keeping]);
      return;
    }
    if (variants.length === MAX_VARIANTS) {
      const oldest = variants.reduce((a, b) => (a.run <= b.run ? a : b));
      variants.splice(variants.indexOf(oldest), 1);
    }
    variants.push(keeping);
  }
  /** Null: it is not where it should be, or not as it was. Good until the next `release`. */
  private load({ region, at, length, key }: Keeping): KeptRegion | null {
    if (region) return region;
    const { readWords, readSoFar } = this;
    const end = readSoFar + (length >> 2);
    const data = end <= readWords.length ? readWords.subarray(readSoFar, end) : new Int32Array(length >> 2);
    if (!this.store?.read(at, data)) return null;
    const loaded = new KeptRegion(data);
    if (!loaded.isSound || loaded.get('key') !== key) return null;
    if (end <= readWords.length) this.readSoFar = end;
    return loaded;
  }
  /** Nobody needs what was found so far. */
  release(): void {
    this.readSoFar = 0;
  }

  /** The region that begins with this block, if all of its code is there as it was, and known to the planner. */
  find(source: CodeSource, head: CodeBlock, hotCount: number): KeptMatch | null {
    for (const keeping of this.byKey.get(keyOf(source, head)) ?? []) {
      const { readSoFar } = this;
      const region = this.load(keeping);
      const isOfKind = region?.get('mode') === head.mode && region.get('hotCount') === hotCount;
      const blocks = isOfKind ? match(region, source, head) : null;
      if (!blocks) {
        this.readSoFar = readSoFar;
        continue;
      }
      keeping.run = this.run;
      return { code: region!.code, blocks, entries: region!.entries, instructions: region!.get('instructions') };
    }
    return null;
  }
  /** Copies a region and the guest code that it was made of. It is kept when the result is called: the guest may be changing that
   *  code, which is known only later. */
  prepare(source: CodeSource, plan: Plan, code: RegionCode, hotCount: number): () => void {
    if (code.bytes.length >= MAX_CODE || plan.blocks.length >= 0xff) return () => {};
    // The same code at two linear addresses lies at two places another time.
    if (new Set(plan.blocks.map(({ block }) => block)).size < plan.blocks.length) return () => {};
    const head = plan.blocks[0]!.block;
    const guestBytes = plan.blocks.reduce((sum, { block }) => sum + block.length, 0);
    const { blocks, entries } = plan;
    const { references, hints, bytes } = code;
    const list: number[] = [];
    list[HEADER.check] = 0;
    list[HEADER.key] = keyOf(source, head);
    list[HEADER.mode] = plan.mode;
    list[HEADER.hotCount] = hotCount;
    list[HEADER.inPage] = head.start & 0xfff;
    list[HEADER.instructions] = plan.instructions;
    list[HEADER.blocks] = blocks.length;
    list[HEADER.entries] = entries.length;
    list[HEADER.references] = references.length;
    list[HEADER.hints] = hints.length;
    list[HEADER.guestBytes] = guestBytes;
    list[HEADER.codeBytes] = bytes.length;
    for (const { delta, block, isApart } of blocks)
      list.push(delta, block.length, block.end - block.record, isApart ? 1 : 0);
    for (const entry of entries) list.push(entry, blocks[entry]!.delta);
    references.forEach(({ at, kind, value }, i) => {
      list.push(at | (kind << 18) | ((code.blocks[i]! + 1) << 22), value);
    });
    for (const { at, likely } of hints) list.push(2 * at + (likely ? 1 : 0));
    const guestAt = list.length;
    const codeAt = guestAt + words(guestBytes);
    const length = codeAt + words(bytes.length);
    const data = new Int32Array(length);
    data.set(list);
    const all = new Uint8Array(data.buffer);
    let at = 4 * guestAt;
    for (const { block } of blocks) {
      all.set(source.bytes.subarray(block.start, block.start + block.length), at);
      at += block.length;
    }
    all.set(bytes, 4 * codeAt);
    data[HEADER.check] = checkOf(data);
    const region = new KeptRegion(data);
    return () => {
      if (this.waiting >= MOST_WAITING) return;
      this.waiting += 4 * length;
      this.put({ key: region.get('key'), at: 0, length: 4 * length, run: this.run, region });
    };
  }

  /** Writes all regions, those of use last first, as far as there is room (bytes), and gives the catalogue of what was written. When it
   *  has become the store, `moved` says so. */
  save(
    room: number,
    write: (bytes: Uint8Array) => void,
  ): { catalogue: RegionCatalogue; moved(store: RegionStore): void } {
    const members = new Set<number>();
    const places: number[] = [];
    const kept: Keeping[] = [];
    let at = 0;
    for (const keeping of [...this.byKey.values()].flat().sort((a, b) => b.run - a.run)) {
      const { key, length, run } = keeping;
      if (at + length > room) continue;
      this.release();
      const region = this.load(keeping);
      if (!region) continue;
      for (const member of region.members()) members.add(member);
      write(region.bytesOfAll);
      places.push(key, at, length, run);
      kept.push({ ...keeping, at, region: null });
      at += length;
    }
    const catalogue = new RegionCatalogue(this.run, Int32Array.from(members), Int32Array.from(places));
    return {
      catalogue,
      moved: (store) => {
        this.store = store;
        this.byKey.clear();
        for (const keeping of kept) this.put(keeping);
        this.waiting = 0;
        this.stored = at;
      },
    };
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
