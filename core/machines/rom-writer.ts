/** Writes small pieces of 16-bit x86 code for option ROMs: bytes with labels, so that our own boot ROMs need no assembler. */
import { assert } from '../util/errors.ts';

interface Fixup {
  readonly at: number;
  readonly label: string;
  readonly kind: 'rel8' | 'rel16' | 'abs16';
}

export class RomWriter {
  private readonly code: number[] = [];
  private readonly labels = new Map<string, number>();
  private readonly fixups: Fixup[] = [];

  get position(): number {
    return this.code.length;
  }
  bytes(...values: readonly number[]): this {
    for (const value of values) this.code.push(value & 0xff);
    return this;
  }
  word(value: number): this {
    return this.bytes(value, value >> 8);
  }
  dword(value: number): this {
    return this.bytes(value, value >> 8, value >> 16, value >>> 24);
  }
  text(value: string): this {
    return this.bytes(...[...value].map((c) => c.charCodeAt(0)));
  }
  label(name: string): this {
    assert(!this.labels.has(name), `label ${name} twice`);
    this.labels.set(name, this.position);
    return this;
  }
  /** A one-byte-opcode jump or loop with an 8-bit displacement. */
  jump8(opcode: number, label: string): this {
    this.bytes(opcode, 0);
    this.fixups.push({ at: this.position - 1, label, kind: 'rel8' });
    return this;
  }
  /** CALL (0xe8) or JMP (0xe9) near, 16-bit displacement. */
  jump16(opcode: number, label: string): this {
    this.bytes(opcode).word(0);
    this.fixups.push({ at: this.position - 2, label, kind: 'rel16' });
    return this;
  }
  /** The label's offset in the ROM as a word. */
  address16(label: string): this {
    this.word(0);
    this.fixups.push({ at: this.position - 2, label, kind: 'abs16' });
    return this;
  }
  padTo(offset: number): this {
    assert(this.position <= offset, `ROM code has reached ${this.position}, past ${offset}`);
    while (this.position < offset) this.code.push(0);
    return this;
  }

  /** The ROM image: size byte set, padded to a multiple of 512, bytes summing to zero. */
  finish(): Uint8Array {
    for (const { at, label, kind } of this.fixups) {
      const target = this.labels.get(label);
      assert(target !== undefined, `label ${label} is missing`);
      const value = kind === 'abs16' ? target : target - (at + (kind === 'rel8' ? 1 : 2));
      if (kind === 'rel8') assert(value >= -128 && value < 128, `jump to ${label} is too far`);
      this.code[at] = value & 0xff;
      if (kind !== 'rel8') this.code[at + 1] = (value >> 8) & 0xff;
    }
    const blocks = Math.ceil((this.code.length + 1) / 512);
    const rom = new Uint8Array(blocks * 512);
    rom.set(this.code);
    rom[2] = blocks;
    rom[rom.length - 1] = -rom.reduce((sum, byte) => sum + byte, 0) & 0xff;
    return rom;
  }
}

/**
 * Begins a ROM that offers a bootstrap entry vector at the label `boot` (Plug and Play BIOS Specification 1.0A, section 3.2):
 * the BIOS lists it as a boot device and calls it in real mode.
 */
export function bootableRom(product: string): RomWriter {
  const rom = new RomWriter();
  rom.bytes(0x55, 0xaa, 0).jump8(0xeb, 'init').padTo(0x1a).address16('pnp');
  rom.padTo(0x20).label('pnp');
  const start = rom.position;
  rom
    .text('$PnP')
    .bytes(1, 2)
    .word(0)
    .bytes(0, 0 /* checksum, below */)
    .dword(0)
    .address16('maker')
    .address16('product');
  rom.bytes(0x02 /* mass storage */, 0x80, 0x00, 0x64 /* initial program load device */);
  rom.word(0).word(0).address16('boot').word(0).word(0);
  assert(rom.position === start + 32, 'PnP expansion header is 32 bytes');
  rom.label('maker').text('Terrarium\0').label('product').text(`${product}\0`);
  // Plug and Play return value: bit 5 set in AX says that an initial program load device is there.
  rom.label('init').bytes(0xb8, 0x20, 0x00 /* mov ax, 0x20 */, 0xcb /* retf */);
  return rom;
}

/** Sets the checksum byte of the Plug and Play header, which the labels must be known for. */
export function finishBootableRom(rom: RomWriter): Uint8Array {
  const image = rom.finish();
  const header = image.subarray(0x20, 0x40);
  header[9] = 0;
  header[9] = -header.reduce((sum, byte) => sum + byte, 0) & 0xff;
  image[image.length - 1] = 0;
  image[image.length - 1] = -image.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return image;
}
