/** Instances of the engine's own modules, the interpreters and what they call, with the machine code that V8 made of them in earlier
 *  runs: optimising the interpreters alone takes a third of a second of a start. */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Instantiate } from '../accel/tcg/interpreter/machine.ts';
import { type KeepingPlace, keepingPlace, readKept, writeKept } from './kept-code.ts';
import { machineCodeOf } from './machine-code.ts';

/** Bytes of WebAssembly and of machine code, functions that have some. Both follow, each filled up to whole words. */
const HEADER_BYTES = 12;
const ROOM = 8 << 20;
/** A file is written when at least this part of the functions is new. */
const WORTH_PART = 32;

interface Entry {
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly code: Uint8Array<ArrayBuffer>;
  readonly functions: number;
}
interface Made {
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly module: WebAssembly.Module;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly known: Entry | undefined;
}
const padded = (bytes: number) => (bytes + 3) & ~3;
const keyOf = (wire: Uint8Array) => `${wire.length} ${crc32(wire)}`;

function* entriesOf(data: Buffer): Generator<Entry> {
  let at = 0;
  while (at + HEADER_BYTES <= data.length) {
    const [wireBytes, codeBytes, functions] = [0, 4, 8].map((i) => data.readUInt32LE(at + i)) as [
      number,
      number,
      number,
    ];
    const codeAt = at + HEADER_BYTES + padded(wireBytes);
    const wire = Uint8Array.from(data.subarray(at + HEADER_BYTES, at + HEADER_BYTES + wireBytes));
    yield { wire, code: Uint8Array.from(data.subarray(codeAt, codeAt + codeBytes)), functions };
    at = codeAt + padded(codeBytes);
  }
}
function bytesOf({ wire, code, functions }: Entry): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + padded(wire.length) + padded(code.length));
  [wire.length, code.length, functions].forEach((value, i) => {
    bytes.writeUInt32LE(value, 4 * i);
  });
  bytes.set(wire, HEADER_BYTES);
  bytes.set(code, HEADER_BYTES + padded(wire.length));
  return bytes;
}

export class EngineModules {
  private readonly file: string;
  private readonly known = new Map<string, Entry>();
  private readonly made: Made[] = [];

  constructor(file: string) {
    this.file = file;
    const kept = readKept(file);
    if (kept) for (const entry of entriesOf(kept.data)) this.known.set(keyOf(entry.wire), entry);
  }
  readonly instantiate: Instantiate = (wire, imports) => {
    const found = this.known.get(keyOf(wire));
    const known = found && Buffer.compare(found.wire, wire) === 0 ? found : undefined;
    const ready = known && machineCodeOf?.give(known.code, wire);
    const module = ready ?? new WebAssembly.Module(wire);
    const { exports } = new WebAssembly.Instance(module, imports as never);
    this.made.push({ wire, module, exports, known: ready ? known : undefined });
    return exports;
  };
  /** Keeps what V8 has optimised by now, if it is more than what is kept. */
  save(): void {
    const { made, known } = this;
    if (!machineCodeOf) return;
    const counted = made.map((one) => ({ ...one, functions: machineCodeOf!.optimisedIn(one.exports) }));
    const gained = counted.reduce((sum, one) => sum + Math.max(0, one.functions - (one.known?.functions ?? 0)), 0);
    const all = counted.reduce((sum, { functions }) => sum + functions, 0);
    if (gained === 0 || gained < all / WORTH_PART) return;
    const entries = new Map<string, Entry>();
    for (const { wire, module, functions, known: before } of counted) {
      const isNew = functions > (before?.functions ?? 0);
      const entry = isNew ? { wire, code: machineCodeOf.take(module), functions } : before;
      if (entry) entries.set(keyOf(wire), entry);
    }
    // What this machine did not need another may.
    for (const [key, entry] of known) if (!entries.has(key)) entries.set(key, entry);
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (const entry of entries.values()) {
      const piece = bytesOf(entry);
      if (bytes + piece.length > ROOM) continue;
      bytes += piece.length;
      pieces.push(piece);
    }
    writeKept(this.file, { data: Buffer.concat(pieces), isWhole: true });
  }
}

/** Undefined: nothing can be kept. What is optimised is kept when the process ends. */
export function engineModules(place: KeepingPlace | null = keepingPlace()): Instantiate | undefined {
  if (!place || !machineCodeOf) return undefined;
  const modules = new EngineModules(join(place.folder, `${place.build}-engine.bin`));
  process.once('exit', () => modules.save());
  return modules.instantiate;
}
