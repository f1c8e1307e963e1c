/** A small, fast writer of WebAssembly binaries. Knows the format and nothing else. */
import { OP } from './opcodes.ts';

/** A growing byte string with the format's integer encodings. */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
  }
  private grow(room: number): void {
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + room));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }
  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(1);
    this.bytes[this.length++] = value;
  }
  /** Unsigned LEB128 of a 32-bit value. */
  u32(value: number): void {
    let v = value >>> 0;
    while (v >= 0x80) {
      this.byte((v & 0x7f) | 0x80);
      v >>>= 7;
    }
    this.byte(v);
  }
  /** Signed LEB128 of a 32-bit value. */
  s32(value: number): void {
    let v = value | 0;
    while (v < -64 || v > 63) {
      this.byte((v & 0x7f) | 0x80);
      v >>= 7;
    }
    this.byte(v & 0x7f);
  }
  /** Signed LEB128 of an integer that a double holds exactly. */
  s64(value: number): void {
    let v = value;
    while (v < -64 || v > 63) {
      const low = ((v % 128) + 128) % 128;
      this.byte(low | 0x80);
      v = Math.floor(v / 128);
    }
    this.byte(((v % 128) + 128) % 128);
  }
  /** Room for what is filled in later. */
  gap(bytes: number): void {
    for (let i = 0; i < bytes; i++) this.byte(0);
  }
  name(text: string): void {
    this.u32(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }
  append(other: ByteWriter): void {
    this.appendBytes(other.bytes.subarray(0, other.length));
  }
  appendBytes(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.bytes.length) this.grow(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  take(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

/** A callee in a function's body that is filled in later. `at`: where in the body; what `value` says is for those
 *  who write and who link. */
export interface Reference {
  readonly at: number;
  readonly value: number;
}
export interface BranchHint {
  readonly at: number;
  readonly likely: boolean;
}
/** Local declarations (run-length), code and the final `end`; places count from the declarations' start. */
export interface FunctionBody {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly hints: readonly BranchHint[];
  readonly references: readonly Reference[];
}

/** Fills in a callee (`callReference`) of a body. */
export function setCallee(body: Uint8Array, at: number, index: number): void {
  if (index >>> 14) throw new Error(`function ${index} of a module: there is room for 16384`);
  body[at] = (index & 0x7f) | 0x80;
  body[at + 1] = index >>> 7;
}

/** One function's instructions and locals. Parameters are locals 0 .. n-1. */
export class FunctionWriter {
  readonly code = new ByteWriter(512);
  readonly type: number;
  private readonly paramCount: number;
  private readonly locals: number[] = [];
  private readonly hints: BranchHint[] = [];
  private readonly references: Reference[] = [];
  constructor(type: number, paramCount: number) {
    this.type = type;
    this.paramCount = paramCount;
  }
  local(type: number): number {
    this.locals.push(type);
    return this.paramCount + this.locals.length - 1;
  }
  /** One byte, or prefix and number of a prefixed instruction (0xfd00 + n). */
  op(opcode: number): void {
    if (opcode < 0x100) this.code.byte(opcode);
    else {
      this.code.byte(opcode >> 8);
      this.code.u32(opcode & 0xff);
    }
  }
  get(index: number): void {
    this.code.byte(OP.localGet);
    this.code.u32(index);
  }
  set(index: number): void {
    this.code.byte(OP.localSet);
    this.code.u32(index);
  }
  tee(index: number): void {
    this.code.byte(OP.localTee);
    this.code.u32(index);
  }
  i32(value: number): void {
    this.code.byte(OP.i32Const);
    this.code.s32(value);
  }
  i64(value: number): void {
    this.code.byte(OP.i64Const);
    this.code.s64(value);
  }
  /** Any load or store; alignment is only a hint and says "unknown". */
  memory(opcode: number, offset: number): void {
    this.op(opcode);
    this.code.byte(0);
    this.code.u32(offset);
  }
  /** `block`, `loop` or `if` with a result type or VOID. `likely` becomes a branch hint (only for `if`). */
  block(opcode: number, result: number, likely?: boolean): void {
    if (likely !== undefined) this.hints.push({ at: this.code.length, likely });
    this.code.byte(opcode);
    this.code.byte(result);
  }
  br(opcode: number, depth: number, likely?: boolean): void {
    if (likely !== undefined) this.hints.push({ at: this.code.length, likely });
    this.code.byte(opcode);
    this.code.u32(depth);
  }
  end(): void {
    this.code.byte(OP.end);
  }
  call(index: number): void {
    this.code.byte(OP.call);
    this.code.u32(index);
  }
  /** A call of a function whose index is filled in later. */
  callReference(value: number): void {
    this.code.byte(OP.call);
    this.references.push({ at: this.code.length, value });
    this.code.gap(2);
  }
  callIndirect(type: number, table = 0, opcode: number = OP.callIndirect): void {
    this.code.byte(opcode);
    this.code.u32(type);
    this.code.u32(table);
  }
  body(): FunctionBody {
    const head = new ByteWriter(16 + this.code.length);
    const runs: [number, number][] = [];
    for (const type of this.locals) {
      const last = runs.at(-1);
      if (last && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    head.u32(runs.length);
    for (const [count, type] of runs) {
      head.u32(count);
      head.byte(type);
    }
    const shift = head.length;
    head.append(this.code);
    head.byte(OP.end);
    return {
      bytes: head.take(),
      hints: this.hints.map(({ at, likely }) => ({ at: at + shift, likely })),
      references: this.references.map(({ at, value }) => ({ at: at + shift, value })),
    };
  }
}

/** A module: declare types and imports first, then functions. */
export class ModuleWriter {
  private readonly types: string[] = [];
  private readonly typeBytes = new ByteWriter();
  private readonly imports = new ByteWriter();
  private importCount = 0;
  private importedFunctions = 0;
  private readonly functions: (FunctionWriter | { readonly type: number; readonly linked: FunctionBody })[] = [];
  private readonly exports = new ByteWriter();
  private exportCount = 0;
  /** Where the functions' bodies (FunctionBody) begin in what `finish` gave. */
  readonly bodiesAt: number[] = [];

  type(params: readonly number[], results: readonly number[]): number {
    const key = `${params}:${results}`;
    const known = this.types.indexOf(key);
    if (known >= 0) return known;
    this.typeBytes.byte(0x60);
    this.typeBytes.u32(params.length);
    for (const p of params) this.typeBytes.byte(p);
    this.typeBytes.u32(results.length);
    for (const r of results) this.typeBytes.byte(r);
    return this.types.push(key) - 1;
  }
  importFunction(module: string, name: string, params: readonly number[], results: readonly number[]): number {
    const type = this.type(params, results);
    this.startImport(module, name, 0);
    this.imports.u32(type);
    return this.importedFunctions++;
  }
  /** Limits are the least that the import must offer; `maxPages` bounds it from above. */
  importMemory(module: string, name: string, minPages: number, maxPages: number, shared: boolean): void {
    this.startImport(module, name, 2);
    this.imports.byte(shared ? 3 : 1);
    this.imports.u32(minPages);
    this.imports.u32(maxPages);
  }
  importTable(module: string, name: string, minimum: number): void {
    this.startImport(module, name, 1);
    this.imports.byte(0x70);
    this.imports.byte(0);
    this.imports.u32(minimum);
  }
  private startImport(module: string, name: string, kind: number): void {
    this.importCount++;
    this.imports.name(module);
    this.imports.name(name);
    this.imports.byte(kind);
  }
  function(params: readonly number[], results: readonly number[]): FunctionWriter {
    const f = new FunctionWriter(this.type(params, results), params.length);
    this.functions.push(f);
    return f;
  }
  /** A function whose body was written before, its references filled in. Returns its call index. */
  linkedFunction(params: readonly number[], results: readonly number[], body: FunctionBody): number {
    return this.importedFunctions + this.functions.push({ type: this.type(params, results), linked: body }) - 1;
  }
  /** Call index of a function made here. All imports must have been declared. */
  indexOf(f: FunctionWriter): number {
    return this.importedFunctions + this.functions.indexOf(f);
  }
  export(name: string, f: FunctionWriter | number): void {
    this.exportCount++;
    this.exports.name(name);
    this.exports.byte(0);
    this.exports.u32(typeof f === 'number' ? f : this.indexOf(f));
  }

  finish(): Uint8Array<ArrayBuffer> {
    const bodies = this.functions.map((f) => ('linked' in f ? f.linked : f.body()));
    const bodyBytes = bodies.reduce((sum, { bytes }) => sum + bytes.length + 5, 0);
    const out = new ByteWriter(bodyBytes + 4096);
    for (const b of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(b);
    const section = (id: number, count: number, content: ByteWriter) => {
      if (count === 0) return;
      const counted = new ByteWriter(8);
      counted.u32(count);
      out.byte(id);
      out.u32(counted.length + content.length);
      out.append(counted);
      out.append(content);
    };
    section(1, this.types.length, this.typeBytes);
    section(2, this.importCount, this.imports);
    const declarations = new ByteWriter();
    for (const f of this.functions) declarations.u32(f.type);
    section(3, this.functions.length, declarations);
    section(7, this.exportCount, this.exports);
    const code = new ByteWriter(bodyBytes);
    const hints = new ByteWriter();
    let hinted = 0;
    bodies.forEach((body, i) => {
      code.u32(body.bytes.length);
      this.bodiesAt.push(code.length);
      code.appendBytes(body.bytes);
      if (body.hints.length === 0) return;
      hinted++;
      hints.u32(this.importedFunctions + i);
      hints.u32(body.hints.length);
      for (const hint of body.hints) {
        hints.u32(hint.at);
        hints.u32(1);
        hints.byte(hint.likely ? 1 : 0);
      }
    });
    if (hinted > 0) {
      const custom = new ByteWriter(hints.length + 64);
      custom.name('metadata.code.branch_hint');
      custom.u32(hinted);
      custom.append(hints);
      out.byte(0);
      out.u32(custom.length);
      out.append(custom);
    }
    section(10, this.functions.length, code);
    const shift = out.length - code.length;
    this.bodiesAt.forEach((at, i) => {
      this.bodiesAt[i] = at + shift;
    });
    return out.take();
  }
}
