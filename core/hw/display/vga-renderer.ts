/**
 * From VGA registers and video memory to a surface: text with fonts from plane 2, 16-colour planar, CGA, 256-colour and
 * Bochs VBE modes. Only what lies on pages written since the last update is drawn again, unless a register changed.
 */
import type { DisplayConsole, GraphicHardware } from '../../backends/display/console.ts';
import type { TextMirror } from '../../backends/display/text-mirror.ts';
import { PAGE_BITS } from '../../memory/arena.ts';
import type { VgaCommon } from './vga-common.ts';
import { AR, CR, GR, SR, VBE } from './vga-registers.ts';

/** Plane byte -> the same bits, one per nibble, leftmost pixel in the lowest nibble. */
const SPREAD = Uint32Array.from({ length: 256 }, (_, byte) => {
  let word = 0;
  for (let pixel = 0; pixel < 8; pixel++) if (byte & (0x80 >> pixel)) word += 2 ** (4 * pixel);
  return word;
});
/** The text cursor's half period, and a blinking character's: 16 and 32 fields of 60 Hz. */
const CURSOR_PERIOD_NS = 266_666_667;
const BLINK_PERIOD_NS = 533_333_333;
const GLYPHS = 256;
const GLYPH_BYTES = 32;
const FONT_BYTES = GLYPHS * GLYPH_BYTES;
const NO_CURSOR = -1;

interface TextGeometry {
  readonly columns: number;
  readonly rows: number;
  readonly height: number;
  readonly glyphHeight: number;
  /** Twice the glyph's height when lines are doubled. */
  readonly linesPerRow: number;
  readonly dots: number;
  readonly isDoubled: boolean;
}
interface Addresses {
  /** In dwords, as all planar addresses. */
  readonly start: number;
  /** From row to row. */
  readonly pitch: number;
  /** The scan line after which the picture begins again at address 0. */
  readonly lineCompare: number;
  readonly presetRow: number;
  readonly pan: number;
  readonly panStopsAtSplit: boolean;
  readonly is256: boolean;
}

type Mode = 'blank' | 'text' | 'graphics' | 'vbe';

export class VgaRenderer implements GraphicHardware {
  readonly #vga: VgaCommon;
  console: DisplayConsole | null = null;
  /** All registers that the picture depends on, as they were at the last update. */
  #key = '';
  /** Of the attribute controller's sixteen. */
  readonly #colours = new Uint32Array(16);
  /** Of the DAC's 256. */
  readonly #palette = new Uint32Array(256);
  #isInvalid = true;
  /** What each cell shows: character, attribute, blink and cursor, in one number. */
  #cells = new Uint32Array(0);
  readonly #fonts = [new Uint8Array(FONT_BYTES), new Uint8Array(FONT_BYTES)] as const;
  /** Dirty bits of video memory's pages, taken at the start of an update. */
  #pages = new Uint8Array(0);

  constructor(vga: VgaCommon) {
    this.#vga = vga;
  }

  invalidate(): void {
    this.#isInvalid = true;
  }

  graphicUpdate(): void {
    const { console } = this;
    if (!console) return;
    const mode = this.#mode();
    const key = this.#registers(mode);
    const isFull = this.#isInvalid || key !== this.#key;
    const hasDirtyPages = this.#takeDirtyPages();
    this.#isInvalid = false;
    this.#key = key;
    if (isFull) this.#loadColours();
    if (mode === 'blank') this.#drawBlank(console, isFull);
    else if (mode === 'text') this.#drawText(console, isFull, hasDirtyPages);
    else if (mode === 'vbe') this.#drawVbe(console, isFull, hasDirtyPages);
    else this.#drawGraphics(console, isFull, hasDirtyPages);
  }

  textUpdate(mirror: TextMirror): void {
    if (this.#mode() !== 'text') {
      mirror.clear();
      return;
    }
    const { columns, rows } = this.#textGeometry();
    const { words } = this.#vga;
    const { start, pitch } = this.#addresses();
    mirror.resize(columns, rows);
    for (let row = 0, at = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        mirror.cells[at++] = words[(start + row * pitch + column) & (words.length - 1)]! & 0xffff;
      }
    }
    const { cr } = this.#vga.s;
    const cursor = this.#cursorCell() - start;
    mirror.cursorRow = Math.floor(cursor / pitch);
    mirror.cursorColumn = cursor % pitch;
    mirror.cursorVisible = !(cr[CR.cursorStart]! & 0x20) && cursor >= 0 && mirror.cursorRow < rows;
  }

  // ---- what is on

  #mode(): Mode {
    const { s } = this.#vga;
    if (!(s.ar_index & 0x20) || s.sr[SR.clocking]! & 0x20) return 'blank';
    if (!(s.gr[GR.miscellaneous]! & 1)) return 'text';
    return this.#vga.isVbeEnabled && s.vbe_regs[VBE.bpp] !== 4 ? 'vbe' : 'graphics';
  }
  #registers(mode: Mode): string {
    const { s, pelMask, isBigEndian } = this.#vga;
    const { cr } = s;
    const parts: unknown[] = [mode, isBigEndian, pelMask, s.vbe_regs, s.vbe_start_addr, s.vbe_line_offset];
    parts.push(s.sr[SR.clocking], s.sr[SR.fontSelect], s.gr[GR.mode], s.gr[GR.miscellaneous], s.ar, s.palette);
    // The text cursor has its own way of being noticed.
    for (const index of [CR.horizontalEnd, CR.overflow, CR.presetRow, CR.maxScan, CR.startHigh, CR.startLow]) {
      parts.push(cr[index]);
    }
    for (const index of [CR.verticalEnd, CR.offset, CR.underline, CR.mode, CR.lineCompare]) parts.push(cr[index]);
    return parts.join();
  }
  #loadColours(): void {
    const { s } = this.#vga;
    for (let i = 0; i < 256; i++) this.#palette[i] = this.#vga.dacColour(i);
    for (let i = 0; i < 16; i++) {
      const seen = i & s.ar[AR.planeEnable]!;
      this.#colours[i] = this.#palette[this.#vga.attributeColour(seen)]!;
    }
  }
  /** Takes the dirty bits of all pages; false when none is set. */
  #takeDirtyPages(): boolean {
    const { vram } = this.#vga;
    const { arena } = this.#vga.device.env;
    const first = vram.ram!.offset >>> PAGE_BITS;
    const count = this.#vga.vramBytes >>> PAGE_BITS;
    this.#pages = arena.dirty.slice(first, first + count);
    let low = -1;
    let high = -1;
    for (let page = 0; page < count; page++) {
      this.#pages[page]! &= 1;
      if (!this.#pages[page]) continue;
      if (low < 0) low = page;
      high = page;
    }
    if (low < 0) return false;
    vram.clearDirty(low << PAGE_BITS, (high - low + 1) << PAGE_BITS, 'vga');
    return true;
  }
  #isDirty(byte: number, length: number): boolean {
    const last = (byte + length - 1) >>> PAGE_BITS;
    for (let page = byte >>> PAGE_BITS; page <= last; page++) if (this.#pages[page % this.#pages.length]) return true;
    return false;
  }

  #addresses(): Addresses {
    const { cr, ar, gr } = this.#vga.s;
    const overflow = cr[CR.overflow]!;
    const byPixels = cr[CR.presetRow]! >> 5;
    return {
      start: ((cr[CR.startHigh]! << 8) | cr[CR.startLow]!) + (byPixels & 3),
      pitch: cr[CR.offset]! * 2,
      lineCompare: cr[CR.lineCompare]! | (overflow & 0x10 ? 0x100 : 0) | (cr[CR.maxScan]! & 0x40 ? 0x200 : 0),
      presetRow: cr[CR.presetRow]! & 0x1f,
      pan: ar[AR.pan]! & 0x0f,
      panStopsAtSplit: (ar[AR.mode]! & 0x20) !== 0,
      is256: (gr[GR.mode]! & 0x40) !== 0,
    };
  }
  #height(): number {
    const { cr } = this.#vga.s;
    const overflow = cr[CR.overflow]!;
    return (cr[CR.verticalEnd]! | (overflow & 0x02 ? 0x100 : 0) | (overflow & 0x40 ? 0x200 : 0)) + 1;
  }

  #drawBlank(console: DisplayConsole, isFull: boolean): void {
    if (!isFull || console.surface.isPlaceholder) return;
    console.surface.pixels.fill(0);
    console.updateAll();
  }

  // ---- text

  #textGeometry(): TextGeometry {
    const { cr, sr } = this.#vga.s;
    const glyphHeight = (cr[CR.maxScan]! & 0x1f) + 1;
    const linesPerRow = cr[CR.maxScan]! & 0x80 ? glyphHeight * 2 : glyphHeight;
    const height = this.#height();
    const dots = sr[SR.clocking]! & 1 ? 8 : 9;
    return {
      columns: cr[CR.horizontalEnd]! + 1,
      rows: Math.max(1, Math.floor(height / linesPerRow)),
      height,
      glyphHeight,
      linesPerRow,
      dots,
      isDoubled: (sr[SR.clocking]! & 8) !== 0,
    };
  }
  #cursorCell(): number {
    const { cr } = this.#vga.s;
    return (cr[CR.cursorHigh]! << 8) | cr[CR.cursorLow]!;
  }
  /** Copies the two fonts out of plane 2; true when one has changed. */
  #loadFonts(): boolean {
    const { bytes, s } = this.#vga;
    const select = s.sr[SR.fontSelect]!;
    const block = (low: number, high: number) => (low * 16384 + high * 8192) * 4 + 2;
    // Font B is that of characters without attribute bit 3.
    const bases = [block(select & 3, (select >> 4) & 1), block((select >> 2) & 3, (select >> 5) & 1)] as const;
    let changed = false;
    this.#fonts.forEach((font, i) => {
      for (let at = 0, from = bases[i]!; at < FONT_BYTES; at++, from += 4) {
        const byte = bytes[from]!;
        if (font[at] === byte) continue;
        font[at] = byte;
        changed = true;
      }
    });
    return changed;
  }

  #drawText(console: DisplayConsole, isFull: boolean, hasDirtyPages: boolean): void {
    const geometry = this.#textGeometry();
    const { columns, rows, height, dots, linesPerRow } = geometry;
    const cellWidth = geometry.isDoubled ? dots * 2 : dots;
    const surface = console.resize(columns * cellWidth, height);
    const where = this.#addresses();
    const now = this.#vga.device.env.clocks.virtual.now();
    const { s } = this.#vga;
    const cursorStart = s.cr[CR.cursorStart]!;
    const cursorOn = !(cursorStart & 0x20) && Math.floor(now / CURSOR_PERIOD_NS) % 2 === 0;
    const cursor = cursorOn ? this.#cursorCell() : NO_CURSOR;
    const blinkIsOff = (s.ar[AR.mode]! & 0x08) !== 0 && Math.floor(now / BLINK_PERIOD_NS) % 2 === 1;
    const fontsChanged = (isFull || hasDirtyPages) && this.#loadFonts();
    const all = isFull || fontsChanged || this.#cells.length !== columns * rows;
    if (all) this.#cells = new Uint32Array(columns * rows).fill(0xffff_ffff);

    const shifts = where.pan !== (dots === 9 ? 8 : 0) || where.presetRow !== 0 || where.lineCompare < height;
    const { words } = this.#vga;
    const mask = words.length - 1;
    const shape = ((cursorStart & 0x1f) << 5) | (s.cr[CR.cursorEnd]! & 0x1f);
    const cellAt = (address: number) => {
      const word = words[address & mask]! & 0xffff;
      const hidden = blinkIsOff && word & 0x8000 ? 0x1_0000 : 0;
      return word | hidden | (address === cursor ? 0x2_0000 | (shape << 18) : 0);
    };

    if (shifts) {
      // Rare: smooth scrolling or a split screen. Cells decide whether anything changed, lines are drawn one by one.
      let changed = all;
      for (let i = 0; i < this.#cells.length; i++) {
        const cell = cellAt(where.start + Math.floor(i / columns) * where.pitch + (i % columns));
        if (cell !== this.#cells[i]) changed = true;
        this.#cells[i] = cell;
      }
      if (!changed && !hasDirtyPages) return;
      this.#drawTextLines(console, geometry, where, cellAt, cellWidth);
      console.updateAll();
      return;
    }

    if (all && rows * linesPerRow < height) surface.pixels.fill(this.#colours[0]!);
    for (let row = 0; row < rows; row++) {
      let first = columns;
      let last = -1;
      for (let column = 0; column < columns; column++) {
        const index = row * columns + column;
        const cell = cellAt(where.start + row * where.pitch + column);
        if (cell === this.#cells[index]) continue;
        this.#cells[index] = cell;
        for (let line = 0; line < linesPerRow; line++) {
          const at = (row * linesPerRow + line) * surface.stride + column * cellWidth;
          const glyphLine = linesPerRow === geometry.glyphHeight ? line : line >> 1;
          this.#drawGlyphLine(surface.pixels, at, cell, glyphLine, dots, geometry.isDoubled);
        }
        first = Math.min(first, column);
        last = column;
      }
      if (last >= 0 && !all) {
        console.update(first * cellWidth, row * linesPerRow, (last - first + 1) * cellWidth, linesPerRow);
      }
    }
    if (all) console.updateAll();
  }

  /** Scan line by scan line, with panning, preset row scan and split screen. */
  #drawTextLines(
    console: DisplayConsole,
    { columns, height, glyphHeight, linesPerRow, dots, isDoubled }: TextGeometry,
    where: Addresses,
    cellAt: (address: number) => number,
    cellWidth: number,
  ): void {
    const { surface } = console;
    const strip = new Uint32Array((columns + 1) * cellWidth);
    const doubles = linesPerRow !== glyphHeight;
    let address = where.start;
    let line = where.presetRow;
    let half = 0;
    let pan = dots === 9 ? (where.pan + 1) % 9 : where.pan & 7;
    for (let y = 0; y < height; y++) {
      for (let column = 0; column <= columns; column++) {
        this.#drawGlyphLine(strip, column * cellWidth, cellAt(address + column), line, dots, isDoubled);
      }
      const shift = isDoubled ? pan * 2 : pan;
      surface.pixels.set(strip.subarray(shift, shift + columns * cellWidth), y * surface.stride);
      if (y === where.lineCompare) {
        address = 0;
        line = 0;
        half = 0;
        if (where.panStopsAtSplit) pan = 0;
        continue;
      }
      if (doubles && half === 0) {
        half = 1;
        continue;
      }
      half = 0;
      if (line === glyphHeight - 1) {
        line = 0;
        address += where.pitch;
      } else {
        line = (line + 1) & 0x1f;
      }
    }
  }

  #drawGlyphLine(pixels: Uint32Array, at: number, cell: number, line: number, dots: number, isDoubled: boolean): void {
    const { s } = this.#vga;
    const code = cell & 0xff;
    const attribute = (cell >> 8) & 0xff;
    const blinks = (s.ar[AR.mode]! & 0x08) !== 0;
    let bits = this.#fonts[attribute & 0x08 ? 1 : 0]![code * GLYPH_BYTES + (line & 0x1f)]!;
    if (cell & 0x1_0000) bits = 0;
    let wide = dots === 9 && s.ar[AR.mode]! & 0x04 && code >= 0xc0 && code <= 0xdf ? bits & 1 : 0;
    const isMono = (s.ar[AR.mode]! & 0x02) !== 0;
    if (isMono && (attribute & 0x07) === 1 && line === (s.cr[CR.underline]! & 0x1f)) {
      bits = 0xff;
      wide = 1;
    }
    if (cell & 0x2_0000) {
      const start = (cell >>> 23) & 0x1f;
      const end = (cell >>> 18) & 0x1f;
      if (line >= start && line <= end) {
        bits = 0xff;
        wide = 1;
      }
    }
    const foreground = this.#colours[attribute & 0x0f]!;
    const background = this.#colours[(attribute >> 4) & (blinks ? 0x07 : 0x0f)]!;
    let to = at;
    for (let dot = 0; dot < dots; dot++) {
      const colour = (dot < 8 ? bits & (0x80 >> dot) : wide) ? foreground : background;
      pixels[to++] = colour;
      if (isDoubled) pixels[to++] = colour;
    }
  }

  // ---- graphics by the CRTC

  #drawGraphics(console: DisplayConsole, isFull: boolean, hasDirtyPages: boolean): void {
    const { cr, sr, gr, vbe_regs: vbe } = this.#vga.s;
    const where = this.#addresses();
    const isVbe = this.#vga.isVbeEnabled; // 4 bits per pixel
    const clocks = cr[CR.horizontalEnd]! + 1;
    const isDoubled = !isVbe && (sr[SR.clocking]! & 8) !== 0;
    const width = isVbe ? vbe[VBE.xres]! : clocks * 8 * (isDoubled ? 2 : 1);
    const height = isVbe ? vbe[VBE.yres]! : this.#height();
    const before = console.surface;
    const surface = console.resize(width, height);
    const isAll = isFull || surface !== before;
    if (!isAll && !hasDirtyPages) return;

    const { words } = this.#vga;
    const mask = words.length - 1;
    const shift = (gr[GR.mode]! >> 5) & 3;
    const characters = isVbe ? width >> 3 : clocks;
    const maxScan = isVbe ? 0 : cr[CR.maxScan]! & 0x1f;
    const doublesLines = !isVbe && (cr[CR.maxScan]! & 0x80) !== 0;
    const pitch = isVbe ? this.#vga.s.vbe_line_offset >> 2 : where.pitch;
    const lineCompare = isVbe ? height : where.lineCompare;
    const rowBits = cr[CR.mode]!;
    // Row scan bits that stand in for address bits: in word mode an address is two of our dwords.
    const bank = cr[CR.mode]! & 0x40 ? 13 : 12;

    let address = isVbe ? this.#vga.s.vbe_start_addr : where.start;
    let scan = where.presetRow;
    let half = 0;
    let pan = isVbe ? 0 : where.pan & 7;
    const strip = new Uint32Array((characters + 1) * 16);
    let drawnFrom = -1;
    let lastShown = -1;
    const flush = (y: number) => {
      if (drawnFrom >= 0) console.update(0, drawnFrom, width, y - drawnFrom);
      drawnFrom = -1;
    };
    for (let y = 0; y < height; y++) {
      let shown = address;
      if (!(rowBits & 1)) shown = (shown & ~(1 << bank)) | ((scan & 1) << bank);
      if (!(rowBits & 2)) shown = (shown & ~(1 << (bank + 1))) | (((scan >> 1) & 1) << (bank + 1));
      if (isAll || this.#isDirty((shown & mask) * 4, (characters + 1) * 4)) {
        if (drawnFrom < 0) drawnFrom = y;
        const to = y * surface.stride;
        if (shown === lastShown) {
          surface.pixels.copyWithin(to, to - surface.stride, to - surface.stride + width);
        } else {
          const count = characters + (pan ? 1 : 0);
          let skip: number;
          if (shift >= 2) {
            this.#packed(strip, words, mask, shown, count);
            skip = where.is256 ? (pan >> 1) * 2 : pan;
          } else {
            if (shift === 1) this.#interleaved(strip, words, mask, shown, count, isDoubled);
            else this.#planar(strip, words, mask, shown, count, isDoubled);
            skip = isDoubled ? pan * 2 : pan;
          }
          surface.pixels.set(strip.subarray(skip, skip + width), to);
        }
        lastShown = shown;
      } else {
        flush(y);
        lastShown = -1;
      }
      if (y === lineCompare) {
        address = 0;
        scan = 0;
        half = 0;
        if (where.panStopsAtSplit) pan = 0;
        lastShown = -1;
      } else if (doublesLines && half === 0) {
        half = 1;
      } else {
        half = 0;
        if (scan === maxScan) {
          scan = 0;
          address += pitch;
        } else {
          scan = (scan + 1) & 0x1f;
        }
      }
    }
    flush(height);
  }

  /** 16 colours, a bit per plane. */
  #planar(to: Uint32Array, words: Uint32Array, mask: number, from: number, count: number, isDoubled: boolean): void {
    const colours = this.#colours;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const word = words[(from + i) & mask]!;
      const nibbles =
        SPREAD[word & 0xff]! |
        (SPREAD[(word >>> 8) & 0xff]! << 1) |
        (SPREAD[(word >>> 16) & 0xff]! << 2) |
        (SPREAD[word >>> 24]! << 3);
      for (let bit = 0; bit < 32; bit += 4) {
        const colour = colours[(nibbles >>> bit) & 0x0f]!;
        to[at++] = colour;
        if (isDoubled) to[at++] = colour;
      }
    }
  }
  /** CGA: two bits of planes 0 and 2 make a pixel, four pixels to a byte, then planes 1 and 3. */
  #interleaved(
    to: Uint32Array,
    words: Uint32Array,
    mask: number,
    from: number,
    count: number,
    isDoubled: boolean,
  ): void {
    const colours = this.#colours;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const word = words[(from + i) & mask]!;
      for (let half = 0; half < 16; half += 8) {
        const low = (word >>> half) & 0xff;
        const high = (word >>> (half + 16)) & 0xff;
        for (let bit = 6; bit >= 0; bit -= 2) {
          const colour = colours[((low >> bit) & 3) | (((high >> bit) & 3) << 2)]!;
          to[at++] = colour;
          if (isDoubled) to[at++] = colour;
        }
      }
    }
  }
  /** 256 colours: four pixels to a character clock, each two dots wide. */
  #packed(to: Uint32Array, words: Uint32Array, mask: number, from: number, count: number): void {
    const palette = this.#palette;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const word = words[(from + i) & mask]!;
      for (let byte = 0; byte < 32; byte += 8) {
        const colour = palette[(word >>> byte) & 0xff]!;
        to[at++] = colour;
        to[at++] = colour;
      }
    }
  }

  // ---- linear frame buffers

  #drawVbe(console: DisplayConsole, isFull: boolean, hasDirtyPages: boolean): void {
    const { s, isBigEndian } = this.#vga;
    const regs = s.vbe_regs;
    const width = regs[VBE.xres]!;
    const height = regs[VBE.yres]!;
    if (width === 0 || height === 0) return;
    const before = console.surface;
    const surface = console.resize(width, height);
    const isAll = isFull || surface !== before;
    if (!isAll && !hasDirtyPages) return;
    const depth = regs[VBE.bpp]!;
    const pixelBytes = depth === 15 ? 2 : depth >> 3;
    const { bytes, words, vramBytes } = this.#vga;
    const { pixels, stride } = surface;
    const start = s.vbe_start_addr * 4;
    // The surface may be smaller than the mode: never draw outside of it.
    const shownWidth = Math.min(width, surface.width);
    const lineBytes = shownWidth * pixelBytes;
    let drawnFrom = -1;
    const flush = (y: number) => {
      if (drawnFrom >= 0) console.update(0, drawnFrom, shownWidth, y - drawnFrom);
      drawnFrom = -1;
    };
    for (let y = 0; y < Math.min(height, surface.height); y++) {
      const from = (start + y * s.vbe_line_offset) % vramBytes;
      if (!isAll && !this.#isDirty(from, lineBytes)) {
        flush(y);
        continue;
      }
      if (drawnFrom < 0) drawnFrom = y;
      const room = Math.floor(Math.min(lineBytes, vramBytes - from) / pixelBytes);
      this.#linearLine(pixels, y * stride, bytes, words, from, room, depth, isBigEndian);
    }
    flush(Math.min(height, surface.height));
  }

  #linearLine(
    pixels: Uint32Array,
    at: number,
    bytes: Uint8Array,
    words: Uint32Array,
    from: number,
    count: number,
    depth: number,
    isBigEndian: boolean,
  ): void {
    let to = at;
    if (depth === 32 && !isBigEndian) {
      // Lines begin on a dword: the start is counted in dwords and so are widths.
      for (let word = from >>> 2, end = word + count; word < end; word++) pixels[to++] = words[word]! & 0xff_ffff;
      return;
    }
    if (depth === 8) {
      const palette = this.#palette;
      for (let i = from; i < from + count; i++) pixels[to++] = palette[bytes[i]!]!;
      return;
    }
    if (depth >= 24) {
      const step = depth >> 3;
      const [red, green, blue] = isBigEndian ? [step - 3, step - 2, step - 1] : [2, 1, 0];
      for (let i = from, end = from + count * step; i < end; i += step) {
        pixels[to++] = (bytes[i + red!]! << 16) | (bytes[i + green!]! << 8) | bytes[i + blue!]!;
      }
      return;
    }
    const widen5 = (level: number) => (level << 3) | (level >> 2);
    for (let i = from, end = from + count * 2; i < end; i += 2) {
      const value = isBigEndian ? (bytes[i]! << 8) | bytes[i + 1]! : (bytes[i + 1]! << 8) | bytes[i]!;
      const blue = widen5(value & 0x1f);
      if (depth === 15) {
        pixels[to++] = (widen5((value >> 10) & 0x1f) << 16) | (widen5((value >> 5) & 0x1f) << 8) | blue;
      } else {
        const green = (value >> 5) & 0x3f;
        pixels[to++] = (widen5(value >> 11) << 16) | (((green << 2) | (green >> 4)) << 8) | blue;
      }
    }
  }
}
