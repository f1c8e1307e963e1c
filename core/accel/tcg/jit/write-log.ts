/** The journal of one run (emit/journal.ts), taken out of linear memory: places, what stood there, what stands there now. */
import type { RamArena } from '../../../target/x86/system-ops.ts';
import { JOURNAL } from '../emit/journal.ts';

const ROOM = (JOURNAL.mask + 1) / JOURNAL.entryBytes;
/** Bytes that an entry can hold. */
const WIDEST = 16;

export class WriteLog {
  private readonly arena: RamArena;
  private readonly journal: number;
  private count = 0;
  private readonly places = new Uint32Array(ROOM);
  private readonly lengths = new Uint8Array(ROOM);
  private readonly old = new Uint8Array(ROOM * WIDEST);
  private readonly now = new Uint8Array(ROOM * WIDEST);

  constructor(arena: RamArena, journal: number) {
    this.arena = arena;
    this.journal = journal;
  }
  /** Reads the journal and memory as it is. */
  take(words: Uint32Array): void {
    const { bytes } = this.arena;
    const { places, lengths, old, now } = this;
    this.count = words[this.journal >>> 2]! / JOURNAL.entryBytes;
    for (let i = 0; i < this.count; i++) {
      const entry = this.journal + JOURNAL.entries + i * JOURNAL.entryBytes;
      const place = words[entry >>> 2]!;
      const length = words[(entry >>> 2) + 1]!;
      places[i] = place;
      lengths[i] = length;
      for (let k = 0; k < length; k++) {
        old[i * WIDEST + k] = bytes[entry + JOURNAL.old + k]!;
        now[i * WIDEST + k] = bytes[place + k]!;
      }
    }
  }
  private put(i: number, from: Uint8Array): void {
    const { bytes } = this.arena;
    const place = this.places[i]!;
    for (let k = 0; k < this.lengths[i]!; k++) bytes[place + k] = from[i * WIDEST + k]!;
  }
  undo(): void {
    for (let i = this.count - 1; i >= 0; i--) this.put(i, this.old);
  }
  redo(): void {
    for (let i = 0; i < this.count; i++) this.put(i, this.now);
  }
  /** Places where memory holds something else now, as text. */
  unlike(first: string, second: string): string[] {
    const { bytes } = this.arena;
    const found: string[] = [];
    for (let i = 0; i < this.count; i++) {
      const place = this.places[i]!;
      const length = this.lengths[i]!;
      let k = 0;
      while (k < length && bytes[place + k] === this.now[i * WIDEST + k]) k++;
      if (k === length) continue;
      const text = (data: Uint8Array) => Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
      const mine = text(this.now.subarray(i * WIDEST, i * WIDEST + length));
      const theirs = text(bytes.slice(place, place + length));
      found.push(
        `memory at ${place.toString(16).padStart(8, '0')} of the arena: ${first} ${mine}, ${second} ${theirs}`,
      );
    }
    return found;
  }
}
