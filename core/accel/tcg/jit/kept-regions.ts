/** The code of regions, kept between runs of machines: who starts a guest again need not translate it again. A region is found by what
 *  its blocks consist of, compared byte by byte, so it does not matter which guest it was compiled for. */
import type { RegionCode } from './compile.ts';
import { blockKey } from './known-blocks.ts';
import type { CodeBlock, CodeSource, Plan } from './plan.ts';

/** A region is so many words, then its blocks' guest code and its own code, each filled up to whole words.
 *  `size`: in bytes. `run`: in which run it was last of use. `inPage`: where its first block begins. */
const HEADER = {
  size: 0,
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
  run: 12,
} as const;
const HEADER_WORDS = 13;
/** Distance from the head, length, bytes of its records, whether its accesses are looked up one by one. */
const BLOCK_WORDS = 4;
/** Position among the blocks, distance from the head. */
const ENTRY_WORDS = 2;
/** Place in the code, kind and block + 1 in one word (18, 4 and 8 bits); value. */
const REFERENCE_WORDS = 2;
const MAX_CODE = 1 << 18;
/** Regions that begin with the same code. */
const MAX_VARIANTS = 4;

const words = (bytes: number) => (bytes + 3) >> 2;

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
  /** Whether its parts are as long as it says. */
  get isSound(): boolean {
    return this.data.length >= HEADER_WORDS && this.codeAt + words(this.get('codeBytes')) === this.data.length;
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
  get entries(): { block: number; delta: number }[] {
    const entries: { block: number; delta: number }[] = [];
    for (let at = this.entriesAt; at < this.referencesAt; at += ENTRY_WORDS)
      entries.push({ block: this.data[at]!, delta: this.data[at + 1]! });
    return entries;
  }
}

export class KeptRegions {
  private readonly byKey = new Map<number, KeptRegion[]>();
  /** Number of this run of a machine. */
  private readonly run: number;
  /** Whether there is something that was not there when it was read. */
  isChanged = false;

  /** @param kept what `save` gave, or null. Anything that is not whole is dropped. */
  constructor(kept: Uint8Array | null) {
    // What is read from a file is at the start of memory of its own: taken over as it is.
    const bytes = kept === null || kept.byteOffset % 4 === 0 ? (kept ?? new Uint8Array(0)) : new Uint8Array(kept);
    const all = new Int32Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length >> 2);
    this.run = (all[0] ?? 0) + 1;
    for (let at = 1; at < all.length; ) {
      const length = all[at]! >> 2;
      if (length < HEADER_WORDS || at + length > all.length) break;
      const region = new KeptRegion(all.subarray(at, at + length));
      if (!region.isSound) break;
      this.put(region);
      at += length;
    }
  }
  private put(region: KeptRegion): void {
    const variants = this.byKey.get(region.get('key'));
    if (!variants) {
      this.byKey.set(region.get('key'), [region]);
      return;
    }
    if (variants.length === MAX_VARIANTS) {
      const oldest = variants.reduce((a, b) => (a.get('run') <= b.get('run') ? a : b));
      variants.splice(variants.indexOf(oldest), 1);
    }
    variants.push(region);
  }

  /** The region that begins with this block, if all of its code is there as it was, and known to the planner. */
  find(source: CodeSource, head: CodeBlock, hotCount: number): KeptMatch | null {
    const key = keyOf(source, head);
    for (const region of this.byKey.get(key) ?? []) {
      if (region.get('mode') !== head.mode || region.get('hotCount') !== hotCount) continue;
      const blocks = match(region, source, head);
      if (!blocks) continue;
      region.data[HEADER.run] = this.run;
      return { code: region.code, blocks, entries: region.entries, instructions: region.get('instructions') };
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
    list[HEADER.run] = this.run;
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
    list[HEADER.size] = 4 * length;
    const data = new Int32Array(length);
    data.set(list);
    const all = new Uint8Array(data.buffer);
    let at = 4 * guestAt;
    for (const { block } of blocks) {
      all.set(source.bytes.subarray(block.start, block.start + block.length), at);
      at += block.length;
    }
    all.set(bytes, 4 * codeAt);
    return () => {
      this.put(new KeptRegion(data));
      this.isChanged = true;
    };
  }

  /** All of them, those of use last first, as far as there is room (bytes). */
  private chosen(room: number): KeptRegion[] {
    const regions = [...this.byKey.values()].flat().sort((a, b) => b.get('run') - a.get('run'));
    let left = room - 4;
    return regions.filter((region) => {
      left -= region.get('size');
      return left >= 0;
    });
  }
  /** What to give the constructor in the next run. */
  save(room: number): Uint8Array<ArrayBuffer> {
    const regions = this.chosen(room);
    const all = new Int32Array(1 + regions.reduce((sum, { data }) => sum + data.length, 0));
    all[0] = this.run;
    let at = 1;
    for (const { data } of regions) {
      all.set(data, at);
      at += data.length;
    }
    this.isChanged = false;
    return new Uint8Array(all.buffer);
  }
  /** Keys of the blocks that regions consist of, and of those with which they begin. */
  known(room: number): { readonly members: Int32Array<ArrayBuffer>; readonly heads: Int32Array<ArrayBuffer> } {
    const members = new Set<number>();
    const heads = new Set<number>();
    for (const region of this.chosen(room)) {
      heads.add(region.get('key'));
      const { guest } = region;
      let at = 0;
      for (const { delta, length } of region.blocks()) {
        const inPage = (region.get('inPage') + delta) & 0xfff;
        members.add(blockKey(guest, at, length, inPage, region.get('mode')));
        at += length;
      }
    }
    return { members: Int32Array.from(members), heads: Int32Array.from(heads) };
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
