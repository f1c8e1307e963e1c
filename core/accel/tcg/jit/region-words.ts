/** The words that the code of a region reads: all that it knows of the machine that it runs in. The record by which a region is entered
 *  holds their address. */
import { read32 } from '../../../target/x86/decode/decoder.ts';
import type { CodeBlock, PlannedBlock } from './plan.ts';
import { WORD } from './references.ts';

/** A word's value, counted from where the block lies that it belongs to (-1: it is the same everywhere). */
export interface RegionWord {
  readonly kind: number;
  readonly block: number;
  readonly value: number;
}
/** Where a region's blocks are in this machine, in the order of its plan, and the handler number by which it is reached. */
export interface RegionPlace {
  readonly bytes: Uint8Array;
  readonly blocks: readonly Pick<CodeBlock, 'record' | 'start'>[];
  readonly handler: number;
}
/** What the words of a region hold in this machine. */
export function wordsOf(words: Iterable<RegionWord>, { bytes, blocks, handler }: RegionPlace): number[] {
  return Array.from(words, ({ kind, block, value }) => {
    if (kind === WORD.handler) return handler;
    if (kind === WORD.entry) return value;
    const { record, start } = blocks[block]!;
    if (kind === WORD.field) return read32(bytes, start + value);
    return value + (kind === WORD.record ? record : start);
  });
}

/** Gives them numbers as code is written. */
export class RegionWords {
  readonly list: RegionWord[] = [];
  readonly entriesAt: number = 0;
  private readonly blocks: readonly PlannedBlock[];
  private readonly numbers = new Map<number, number>();

  /** @param entries positions among the blocks */
  constructor(blocks: readonly PlannedBlock[], entries: readonly number[]) {
    this.blocks = blocks;
    if (entries.length > 1)
      for (const entry of entries) this.list.push({ kind: WORD.entry, block: -1, value: blocks[entry]!.delta });
  }
  numberOf(kind: number, value: number): number {
    return this.take(value * 4 + kind, () => this.describe(kind, value));
  }
  /** Of four bytes of a block's code. */
  numberOfField(block: number, offset: number): number {
    // Blocks have less than 512 bytes; other words have keys that are not negative.
    return this.take(-1 - (block * 512 + offset), () => ({ kind: WORD.field, block, value: offset }));
  }
  private take(key: number, describe: () => RegionWord): number {
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    const number = this.list.push(describe()) - 1;
    this.numbers.set(key, number);
    return number;
  }
  private describe(kind: number, value: number): RegionWord {
    if (kind === WORD.handler) return { kind, block: -1, value };
    const block = this.blocks.findIndex(({ block: { record, end, start } }) =>
      kind === WORD.record ? value >= record && value < end : value === start,
    );
    if (block < 0) throw new Error(`a region refers to ${value}, which is none of its blocks`);
    const { record, start } = this.blocks[block]!.block;
    return { kind, block, value: value - (kind === WORD.record ? record : start) };
  }
}
