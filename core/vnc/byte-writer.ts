/** A growing buffer of big-endian numbers, as RFB sends them. */

export class ByteWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }
  /** Makes room for `count` more bytes; returns the buffer and moves the end past them. */
  reserve(count: number): { bytes: Uint8Array; at: number } {
    const at = this.#length;
    if (at + count > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + count));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    this.#length = at + count;
    return { bytes: this.#bytes, at };
  }
  u8(value: number): this {
    const { bytes, at } = this.reserve(1);
    bytes[at] = value;
    return this;
  }
  u16(value: number): this {
    const { bytes, at } = this.reserve(2);
    bytes[at] = value >> 8;
    bytes[at + 1] = value;
    return this;
  }
  u32(value: number): this {
    const { bytes, at } = this.reserve(4);
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
    return this;
  }
  zeros(count: number): this {
    const { bytes, at } = this.reserve(count);
    bytes.fill(0, at, at + count);
    return this;
  }
  raw(source: Uint8Array): this {
    const { bytes, at } = this.reserve(source.length);
    bytes.set(source, at);
    return this;
  }
  /** UTF-8 with a 32-bit length in front. */
  text(value: string): this {
    const bytes = encodeUtf8(value);
    return this.u32(bytes.length).raw(bytes);
  }
  /** Overwrites a number written earlier. */
  patchU16(at: number, value: number): void {
    this.#bytes[at] = value >> 8;
    this.#bytes[at + 1] = value;
  }
  patchU32(at: number, value: number): void {
    this.patchU16(at, value >>> 16);
    this.patchU16(at + 2, value & 0xffff);
  }
  /** A view of what was written; valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  /** A copy of what was written; the writer is empty afterwards. */
  take(): Uint8Array {
    const copy = this.#bytes.slice(0, this.#length);
    this.clear();
    return copy;
  }
  /** Forgets what was written beyond `length`. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }
  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > 4 * 1024 * 1024) this.#bytes = new Uint8Array(1024);
  }
}

/** UTF-8 without TextEncoder, which core's language library does not have. */
export function encodeUtf8(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x80) out.push(code);
    else if (code < 0x800) out.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x1_0000) out.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else out.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(out);
}
