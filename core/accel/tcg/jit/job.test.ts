import { describe, expect, it } from 'vitest';
import { BATCH, headsOf, JOB_WORDS, JobSource, JobWriter, REACH, readJob } from './job.ts';

const NO_MAPS = { maps: undefined, longMaps: undefined };
/** The pool and guest code may lie above 2 GiB. */
const POOL = 0x9000_0000;
const CODE = 0xc000_0000;
const blockOf = (n: number, mode = 33) => ({
  record: POOL + n * 64,
  end: POOL + n * 64 + 48,
  start: CODE + n * 16,
  length: 5 + (n % 10),
  second: -1,
  mode,
  key: 7 * n,
});

describe('a job for the compiling thread', () => {
  it('says the same at the other end, as large as it may be', () => {
    const words = new Int32Array(JOB_WORDS);
    const writer = new JobWriter(words);
    writer.begin();
    for (let head = 0; head < BATCH; head++) writer.head(blockOf(head), 7 * head, head === 3);
    const heads = Array.from({ length: BATCH }, (_, head) => head);
    for (const head of heads)
      for (let i = 0; i < REACH; i++) {
        const n = BATCH + head * REACH + i;
        writer.block(blockOf(n), n % 3 === 0, n % 5 === 0);
        writer.page(head, i - REACH / 2, CODE + n * 4096);
      }
    const sound = heads.map((head) => 2 * head);
    writer.end(77, true, 1234, sound);

    const job = readJob(words);
    expect(job).toMatchObject({ id: 77, isLong: true, hotCount: 1234 });
    expect([...job.sound]).toEqual(sound);
    expect(headsOf(job)).toEqual(heads.map((head) => 7 * head));
    const source = new JobSource(new Uint8Array(0), NO_MAPS, job);
    const all = BATCH + BATCH * REACH;
    expect(source.blocks).toEqual(Array.from({ length: all }, (_, n) => blockOf(n)));
    for (let n = 0; n < all; n++) {
      const block = source.blocks[n]!;
      expect(source.findWarm(block.start, block.mode)).toBe(block);
      expect(source.isHead(block)).toBe(n >= BATCH && n % 3 === 0);
      expect(source.isApart(block)).toBe(n < BATCH ? n === 3 : n % 5 === 0);
    }
    expect(source.findWarm(CODE, 32)).toBe(undefined);
    for (const head of heads) {
      expect(source.pageAt(source.blocks[head]!, 0)).toBe((CODE + (BATCH + head * REACH + REACH / 2) * 4096) >>> 0);
      expect(source.pageAt(source.blocks[head]!, REACH)).toBe(-1);
    }
  });

  it('holds nothing of the one before', () => {
    const words = new Int32Array(JOB_WORDS);
    const writer = new JobWriter(words);
    writer.begin();
    writer.head(blockOf(1), 5, true);
    writer.block(blockOf(2), true, true);
    writer.page(0, 1, CODE);
    writer.end(1, true, 9, [0]);
    writer.begin();
    writer.head(blockOf(3, 1), 6, false);
    const job = writer.end(2, false, 8, []);
    const source = new JobSource(new Uint8Array(0), NO_MAPS, job);
    expect(source.blocks).toEqual([blockOf(3, 1)]);
    expect(source.isHead(source.blocks[0]!) || source.isApart(source.blocks[0]!)).toBe(false);
    expect(headsOf(job)).toEqual([6]);
    expect([job.pages.length, job.sound.length]).toEqual([0, 0]);
    expect(job.isLong).toBe(false);
  });
});
