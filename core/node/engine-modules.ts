/** Instances of the engine's own modules, the interpreters and what they call, with the machine code that V8 made of them in earlier
 *  runs: optimising the interpreters alone takes a third of a second of a start. */
import { join } from 'node:path';
import type { Instantiate } from '../accel/tcg/interpreter/machine.ts';
import { type KeepingPlace, keepingPlace, readKept, writeKept } from './kept-code.ts';
import { machineCodeOf } from './machine-code.ts';

/** Bytes of name, WebAssembly and machine code, functions that have some. All three follow, each filled up to whole words. */
const HEADER_BYTES = 16;
const ROOM = 8 << 20;
/** A file is written when at least this part of the functions is new. */
const WORTH_PART = 32;

/** `code`: empty, V8 has optimised none. */
interface Entry {
  readonly name: string;
  readonly wire: Uint8Array<ArrayBuffer>;
  readonly code: Uint8Array<ArrayBuffer>;
  readonly functions: number;
}
interface Made extends Pick<Entry, 'name' | 'wire'> {
  readonly module: WebAssembly.Module;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly known: Entry | undefined;
}
const padded = (bytes: number) => (bytes + 3) & ~3;

function* entriesOf(data: Buffer): Generator<Entry> {
  let at = 0;
  const take = (bytes: number) => {
    const taken = data.subarray(at, at + bytes);
    at += padded(bytes);
    return taken;
  };
  while (at + HEADER_BYTES <= data.length) {
    const [nameBytes, wireBytes, codeBytes, functions] = [0, 4, 8, 12].map((i) => data.readUInt32LE(at + i));
    at += HEADER_BYTES;
    const name = take(nameBytes!).toString();
    const wire = Uint8Array.from(take(wireBytes!));
    yield { name, wire, code: Uint8Array.from(take(codeBytes!)), functions: functions! };
  }
}
function bytesOf({ name, wire, code, functions }: Entry): Buffer {
  const parts = [Buffer.from(name), wire, code];
  const bytes = Buffer.alloc(parts.reduce((sum, { length }) => sum + padded(length), HEADER_BYTES));
  [...parts.map(({ length }) => length), functions].forEach((value, i) => {
    bytes.writeUInt32LE(value, 4 * i);
  });
  let at = HEADER_BYTES;
  for (const part of parts) {
    bytes.set(part, at);
    at += padded(part.length);
  }
  return bytes;
}

export class EngineModules {
  private readonly file: string;
  private readonly known = new Map<string, Entry>();
  private readonly made: Made[] = [];

  constructor(file: string) {
    this.file = file;
    const kept = readKept(file);
    if (kept) for (const entry of entriesOf(kept.data)) this.known.set(entry.name, entry);
  }
  readonly instantiate: Instantiate = ({ name, make }, imports) => {
    const known = this.known.get(name);
    const ready = known && known.code.length > 0 ? machineCodeOf?.give(known.code, known.wire) : undefined;
    const wire = known?.wire ?? make();
    const module = ready ?? new WebAssembly.Module(wire);
    const { exports } = new WebAssembly.Instance(module, imports as never);
    this.made.push({ name, wire, module, exports, known: known && !ready ? { ...known, functions: 0 } : known });
    return exports;
  };
  /** Keeps what V8 has optimised by now, if it is more than what is kept, and what had to be made. */
  save(): void {
    const { made, known } = this;
    if (!machineCodeOf) return;
    const counted = made.map((one) => ({ ...one, functions: machineCodeOf!.optimisedIn(one.exports) }));
    const gained = counted.reduce((sum, one) => sum + Math.max(0, one.functions - (one.known?.functions ?? 0)), 0);
    const all = counted.reduce((sum, { functions }) => sum + functions, 0);
    const isNew = made.some((one) => !one.known);
    if (!isNew && (gained === 0 || gained < all / WORTH_PART)) return;
    const entries = new Map<string, Entry>();
    for (const { name, wire, module, functions, known: before } of counted) {
      const isMore = functions > (before?.functions ?? 0);
      const code = isMore ? machineCodeOf.take(module) : (before?.code ?? new Uint8Array(0));
      entries.set(name, { name, wire, code, functions: isMore ? functions : (before?.functions ?? 0) });
    }
    // What this machine did not need another may.
    for (const [name, entry] of known) if (!entries.has(name)) entries.set(name, entry);
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
