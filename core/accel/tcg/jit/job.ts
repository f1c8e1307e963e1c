/** What the compiling thread is asked for, as words in memory that both threads see: one job at a time, nothing is copied. */
import type { OpcodeMaps } from '../../../target/x86/decode/decoder.ts';
import { RECORD } from '../interpreter/layout.ts';
import type { CodeBlock, CodeSource } from './plan.ts';

/** Regions are asked for in batches of so many. */
export const BATCH = 24;
/** Blocks that a region may reach are looked for up to so many, in as many pages. */
export const REACH = 100;

const HEADER = { id: 0, isLong: 1, hotCount: 2, blocks: 3, heads: 4, pages: 5, sound: 6 } as const;
const HEADER_WORDS = 7;
/** Record, end, start, length, mode, key; whether a region begins with it, and whether its accesses are looked up one by one. */
const BLOCK_WORDS = 7;
const IS_HEAD = 1;
const IS_APART = 2;
/** Head, distance in pages, place in the arena. */
const PAGE_WORDS = 3;
const HEADS_AT = HEADER_WORDS;
const SOUND_AT = HEADS_AT + BATCH;
const PAGES_AT = SOUND_AT + BATCH;
const BLOCKS_AT = PAGES_AT + BATCH * REACH * PAGE_WORDS;
export const JOB_WORDS = BLOCKS_AT + BATCH * (REACH + 1) * BLOCK_WORDS;

/** `blocks`: what may be taken along, the heads first; `heads`: handler numbers of their regions; `pages`: other pages that the heads'
 *  code leads to; `sound`: the regions of the answer before whose code has not changed since it was asked for. */
export interface CompilerJob {
  readonly id: number;
  readonly isLong: boolean;
  readonly hotCount: number;
  readonly blocks: Int32Array;
  readonly heads: Int32Array;
  readonly pages: Int32Array;
  readonly sound: Int32Array;
}

/** @param words JOB_WORDS of them; the job lies in them still */
export function readJob(words: Int32Array): CompilerJob {
  const part = (at: number, count: number, size: number) => words.subarray(at, at + count * size);
  return {
    id: words[HEADER.id]!,
    isLong: words[HEADER.isLong] !== 0,
    hotCount: words[HEADER.hotCount]!,
    blocks: part(BLOCKS_AT, words[HEADER.blocks]!, BLOCK_WORDS),
    heads: part(HEADS_AT, words[HEADER.heads]!, 1),
    pages: part(PAGES_AT, words[HEADER.pages]!, PAGE_WORDS),
    sound: part(SOUND_AT, words[HEADER.sound]!, 1),
  };
}
/** Handler numbers of the regions that a job asks for. */
export const headsOf = ({ heads }: CompilerJob): number[] => Array.from(heads);

/** Writes jobs, heads first. */
export class JobWriter {
  private readonly words: Int32Array;
  private blocks = 0;
  private heads = 0;
  private pages = 0;

  /** @param words JOB_WORDS of them */
  constructor(words: Int32Array) {
    this.words = words;
  }
  begin(): void {
    this.blocks = this.heads = this.pages = 0;
  }
  head(block: CodeBlock, handler: number, isApart: boolean): void {
    this.words[HEADS_AT + this.heads++] = handler;
    this.block(block, false, isApart);
  }
  block({ record, end, start, length, mode, key }: CodeBlock, isHead: boolean, isApart: boolean): void {
    const { words } = this;
    const at = BLOCKS_AT + this.blocks++ * BLOCK_WORDS;
    words[at] = record;
    words[at + 1] = end;
    words[at + 2] = start;
    words[at + 3] = length;
    words[at + 4] = mode;
    words[at + 5] = key;
    words[at + 6] = (isHead ? IS_HEAD : 0) | (isApart ? IS_APART : 0);
  }
  page(head: number, distance: number, place: number): void {
    const at = PAGES_AT + this.pages++ * PAGE_WORDS;
    this.words[at] = head;
    this.words[at + 1] = distance;
    this.words[at + 2] = place;
  }
  end(id: number, isLong: boolean, hotCount: number, sound: readonly number[]): CompilerJob {
    const { words } = this;
    words.set([id, isLong ? 1 : 0, hotCount, this.blocks, this.heads, this.pages, sound.length]);
    words.set(sound, SOUND_AT);
    return readJob(words);
  }
}

/** Modes have eight bits. */
const keyOf = (start: number, mode: number) => start * 256 + mode;

/** A job's blocks as the planner asks for them. */
export class JobSource implements CodeSource {
  readonly bytes: Uint8Array;
  readonly blocks: CodeBlock[] = [];
  private readonly model: Pick<CodeSource, 'maps' | 'longMaps'>;
  private readonly byKey = new Map<number, CodeBlock>();
  private readonly heads = new Set<CodeBlock>();
  private readonly apart = new Set<CodeBlock>();
  private readonly pages = new Map<CodeBlock, Map<number, number>>();

  constructor(bytes: Uint8Array, model: Pick<CodeSource, 'maps' | 'longMaps'>, { blocks: words, pages }: CompilerJob) {
    this.bytes = bytes;
    this.model = model;
    for (let at = 0; at < words.length; at += BLOCK_WORDS) {
      const block = {
        record: words[at]! >>> 0,
        end: words[at + 1]! >>> 0,
        start: words[at + 2]! >>> 0,
        length: words[at + 3]!,
        second: -1,
        mode: words[at + 4]!,
        key: words[at + 5]!,
      };
      const flags = words[at + 6]!;
      this.blocks.push(block);
      this.byKey.set(keyOf(block.start, block.mode), block);
      if (flags & IS_HEAD) this.heads.add(block);
      if (flags & IS_APART) this.apart.add(block);
    }
    for (let at = 0; at < pages.length; at += PAGE_WORDS) {
      const block = this.blocks[pages[at]!]!;
      const [distance, place] = [pages[at + 1]!, pages[at + 2]! >>> 0];
      const known = this.pages.get(block);
      if (known) known.set(distance, place);
      else this.pages.set(block, new Map([[distance, place]]));
    }
  }
  get maps(): OpcodeMaps | undefined {
    return this.model.maps;
  }
  get longMaps(): OpcodeMaps | undefined {
    return this.model.longMaps;
  }
  findWarm(start: number, mode: number): CodeBlock | undefined {
    return this.byKey.get(keyOf(start, mode));
  }
  isHead(block: CodeBlock): boolean {
    return this.heads.has(block);
  }
  isApart(block: CodeBlock): boolean {
    return this.apart.has(block);
  }
  pageAt(head: CodeBlock, distance: number): number {
    return this.pages.get(head)?.get(distance) ?? -1;
  }
  index(record: number): number {
    return this.bytes[record + RECORD.index]!;
  }
  pc(record: number): number {
    return this.bytes[record + RECORD.pc]!;
  }
}
