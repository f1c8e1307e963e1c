/** Layouts that generated code and the engine share. */

/** A predecoded record: handler u16, byte offset of its instruction in the block u8, index of the instruction u8,
 *  two register pointers u16 (relative to the state block), two 32-bit words. */
export const RECORD = { bytes: 16, handler: 0, pc: 2, index: 3, a: 4, b: 6, imm: 8, imm2: 12 } as const;

/** TLB entry: three 64-bit tags (linear page, or something no address matches) and what turns a linear address into an
 *  offset in linear memory. Two banks: supervisor, user. */
export const TLB = {
  read: 0,
  write: 8,
  execute: 16,
  addend: 24,
  /** What the entry holds: `SLOT`. */
  kind: 28,
  entryBytes: 32,
  entries: 4096,
  /** (linear >>> indexShift) & indexMask = byte offset of the entry. */
  indexShift: 7,
  indexMask: 4095 << 5,
  /** No tag: page tags have their low bits clear. */
  invalid: 1,
  /** Jump cache: 16-byte entries { linear, mode, record, place }. Behind it a second level, for what others have driven out. */
  jumpEntries: 16384,
  jumpMask: 16383,
  jumpHashShift: 9,
  secondBits: 16,
  secondFactor: 0x9e37_79b1,
} as const;
/** What a TLB entry holds; `used` also while its tags are invalid but it stands in the list of entries in use. `guarded`: the page
 *  may be written, but holds decoded code. */
export const SLOT = { used: 1, global: 2, large: 4, guarded: 8 } as const;
