/**
 * The VGA that every card here has: sequencer, graphics controller, CRT controller, attribute controller, DAC and the
 * Bochs VBE extension, independent of the bus (IBM PS/2 hardware reference; FreeVGA; Bochs VBE).
 *
 * Video memory is one dword per planar address, a byte per plane, so that chained modes and linear frame buffers are
 * plain memory. Hence word and doubleword addressing in the CRTC make no difference: a character clock is always a dword.
 * Not modelled: light pen, DAC diagnostics, the switch sense of input status 0, interrupt 2.
 */
import type { RamBlock } from '../../memory/arena.ts';
import { MemoryRegion, type MemoryRegionOps, memoryTransaction } from '../../memory/region.ts';
import { objectNewAs } from '../../qom/object.ts';
import { UserError } from '../../util/errors.ts';
import { guestError } from '../../util/log.ts';
import type { Device } from '../core/device.ts';
import {
  AR,
  AR_COUNT,
  AR_MASK,
  CR,
  GR,
  GR_MASK,
  SR,
  SR_MASK,
  VBE,
  VBE_ENABLE,
  VBE_ID0,
  VBE_ID5,
  VBE_MAX,
  VBE_STORED,
  VGA_COMMON_STATE,
  type VgaState,
} from './vga-registers.ts';
import { VgaRenderer } from './vga-renderer.ts';
import { retraceStatus } from './vga-timing.ts';

/** Where the processor sees video memory. */
export const LOW_MEMORY_BASE = 0xa0000;
const LOW_MEMORY_SIZE = 0x20000;
/** By memory map select: where in the window, how long. */
const WINDOWS = [
  [0, 0x20000],
  [0, 0x10000],
  [0x10000, 0x8000],
  [0x18000, 0x8000],
] as const;

/** Plane bits spread to the bytes of a dword. */
const PLANES = Uint32Array.from({ length: 16 }, (_, bits) =>
  [0, 1, 2, 3].reduce((word, plane) => word + (bits & (1 << plane) ? 0xff * 2 ** (8 * plane) : 0), 0),
);

const CHAIN4 = 0x08;
/** Set: sequential addresses; clear: even and odd addresses go to different planes. */
const SEQUENTIAL = 0x04;

export interface VgaConfig {
  readonly vgamemMb: number;
  /** Name of the video memory's block. */
  readonly ramName: string;
}

/** QEMU's limits: a power of two from 1 to 512 MiB; whatever is asked for is brought into them. */
export function vramBytes(megabytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(512, Math.max(1, megabytes)))) * 1024 * 1024;
}

export class VgaCommon {
  readonly device: Device;
  readonly vram: MemoryRegion;
  readonly vramBytes: number;
  /** The window at 0xa0000. */
  readonly lowMemory: MemoryRegion;
  readonly renderer: VgaRenderer;
  s: VgaState = VGA_COMMON_STATE.create();
  /** DAC pixel mask (0x3c6). QEMU's state has no room for it; every BIOS sets all ones. */
  pelMask = 0xff;
  isBigEndian = false;
  /** The user's default, which reset restores. */
  isBigEndianByDefault = false;
  readonly endianState: Record<string, unknown>;

  readonly #block: RamBlock;
  #arenaBytes: Uint8Array | null = null;
  #bytes: Uint8Array = new Uint8Array(0);
  #words: Uint32Array = new Uint32Array(0);
  #chain4: MemoryRegion | null = null;
  #chain4Container: MemoryRegion | null = null;

  constructor(device: Device, config: VgaConfig) {
    this.device = device;
    this.vramBytes = vramBytes(config.vgamemMb);
    const { arena } = device.env;
    this.vram = objectNewAs(MemoryRegion, 'memory-region').initRam(device, arena, config.ramName, this.vramBytes);
    this.#block = this.vram.ram!;
    this.vram.setLog('vga', true);
    this.lowMemory = device.ioRegion(lowMemoryOps(this), 'vga-lowmem', LOW_MEMORY_SIZE);
    this.renderer = new VgaRenderer(this);
    const owner = this;
    this.endianState = {
      get big_endian_fb() {
        return owner.isBigEndian ? 1 : 0;
      },
      set big_endian_fb(value: unknown) {
        owner.isBigEndian = value !== 0;
      },
    };
    this.reset(this.s);
  }

  /** Video memory as bytes. */
  get bytes(): Uint8Array {
    this.#refreshViews();
    return this.#bytes;
  }
  /** Video memory as planar dwords. */
  get words(): Uint32Array {
    if (this.device.env.arena.bytes !== this.#arenaBytes) this.#refreshViews();
    return this.#words;
  }
  /** The arena's view is another one after it has grown. */
  #refreshViews(): void {
    const all = this.device.env.arena.bytes;
    if (all === this.#arenaBytes) return;
    this.#arenaBytes = all;
    this.#bytes = all.subarray(this.#block.offset, this.#block.offset + this.vramBytes);
    this.#words = new Uint32Array(all.buffer, this.#block.offset, this.vramBytes / 4);
  }

  /** Puts the window (and, while chained memory can be plain RAM, an alias over it) into `container` at 0xa0000. */
  mapLowMemory(container: MemoryRegion): void {
    container.addSubregion(LOW_MEMORY_BASE, this.lowMemory, 1);
    this.#chain4Container = container;
  }
  unmapLowMemory(): void {
    if (this.#chain4) this.#chain4Container?.delSubregion(this.#chain4);
    this.#chain4 = null;
    this.#chain4Container?.delSubregion(this.lowMemory);
    this.#chain4Container = null;
  }

  /** Power-on state, in a state object that its owner has just reset. */
  reset(state: VgaState): void {
    this.s = state;
    state.vbe_regs[VBE.id] = VBE_ID5;
    state.vbe_bank_mask = (this.vramBytes >> 16) - 1;
    this.pelMask = 0xff;
    this.isBigEndian = this.isBigEndianByDefault;
    this.stateReplaced();
  }
  /** After loading: everything derived is made anew. @throws UserError for a state that no such card can be in */
  stateReplaced(): void {
    const { s } = this;
    if (s.is_vbe_vmstate !== 1) throw new UserError(`vga: is_vbe_vmstate is ${s.is_vbe_vmstate}, not 1`);
    s.vbe_bank_mask = (this.vramBytes >> 16) - 1;
    s.bank_offset = (s.bank_offset & ((s.vbe_bank_mask << 16) >>> 0)) >>> 0;
    s.sr_index &= 7;
    s.gr_index &= 0x0f;
    this.#updateChain4();
    this.renderer.invalidate();
  }

  get isVbeEnabled(): boolean {
    return (this.s.vbe_regs[VBE.enable]! & VBE_ENABLE.enabled) !== 0;
  }
  get isDac8Bit(): boolean {
    return (this.s.vbe_regs[VBE.enable]! & VBE_ENABLE.eightBitDac) !== 0;
  }

  // ---- ports

  /** Colour (0x3dx) or monochrome (0x3bx) addresses answer, never both. */
  #isSilent(port: number): boolean {
    const isColour = (this.s.msr & 1) !== 0;
    return isColour ? port >= 0x3b0 && port <= 0x3bf : port >= 0x3d0 && port <= 0x3df;
  }

  readPort(port: number): number {
    const { s } = this;
    if (this.#isSilent(port)) return 0xff;
    switch (port) {
      case 0x3c0:
        return s.ar_flip_flop ? 0 : s.ar_index;
      case 0x3c1: {
        const index = s.ar_index & 0x1f;
        return index < AR_COUNT ? s.ar[index]! : 0;
      }
      case 0x3c2:
        return s.st00;
      case 0x3c4:
        return s.sr_index;
      case 0x3c5:
        return s.sr[s.sr_index]!;
      case 0x3c6:
        return this.pelMask;
      case 0x3c7:
        return s.dac_state;
      case 0x3c8:
        return s.dac_write_index;
      case 0x3c9: {
        const value = s.palette[s.dac_read_index * 3 + s.dac_sub_index]!;
        if (++s.dac_sub_index === 3) {
          s.dac_sub_index = 0;
          s.dac_read_index = (s.dac_read_index + 1) & 0xff;
        }
        return value;
      }
      case 0x3ca:
        return s.fcr;
      case 0x3cc:
        return s.msr;
      case 0x3ce:
        return s.gr_index;
      case 0x3cf:
        return s.gr[s.gr_index]!;
      case 0x3b4:
      case 0x3d4:
        return s.cr_index;
      case 0x3b5:
      case 0x3d5:
        return s.cr[s.cr_index]!;
      case 0x3ba:
      case 0x3da:
        s.ar_flip_flop = 0;
        s.st01 = retraceStatus(s, this.isVbeEnabled, this.device.env.clocks.virtual.now());
        return s.st01;
      default:
        return 0;
    }
  }

  writePort(port: number, value: number): void {
    const { s } = this;
    if (this.#isSilent(port)) return;
    switch (port) {
      case 0x3c0:
        this.#writeAttribute(value);
        break;
      case 0x3c2:
        s.msr = value & ~0x10;
        break;
      case 0x3c4:
        s.sr_index = value & 7;
        break;
      case 0x3c5:
        s.sr[s.sr_index] = value & SR_MASK[s.sr_index]!;
        if (s.sr_index === SR.planeMask || s.sr_index === SR.memoryMode) this.#updateChain4();
        break;
      case 0x3c6:
        this.pelMask = value;
        break;
      case 0x3c7:
        s.dac_read_index = value;
        s.dac_sub_index = 0;
        s.dac_state = 3;
        break;
      case 0x3c8:
        s.dac_write_index = value;
        s.dac_sub_index = 0;
        s.dac_state = 0;
        break;
      case 0x3c9:
        s.dac_cache[s.dac_sub_index] = value;
        if (++s.dac_sub_index === 3) {
          s.palette.set(s.dac_cache, s.dac_write_index * 3);
          s.dac_sub_index = 0;
          s.dac_write_index = (s.dac_write_index + 1) & 0xff;
        }
        break;
      case 0x3ce:
        s.gr_index = value & 0x0f;
        break;
      case 0x3cf:
        s.gr[s.gr_index] = value & GR_MASK[s.gr_index]!;
        if (this.isVbeEnabled) this.#programVbeCrtc();
        this.#updateChain4();
        break;
      case 0x3b4:
      case 0x3d4:
        s.cr_index = value;
        break;
      case 0x3b5:
      case 0x3d5:
        this.#writeCrtc(value);
        break;
      case 0x3ba:
      case 0x3da:
        s.fcr = value & 0x10;
        break;
      default:
        guestError('vga', () => `write of 0x${value.toString(16)} to port 0x${port.toString(16)}`);
    }
  }

  #writeAttribute(value: number): void {
    const { s } = this;
    if (s.ar_flip_flop === 0) {
      s.ar_index = value & 0x3f;
    } else {
      const index = s.ar_index & 0x1f;
      if (index < AR_COUNT) s.ar[index] = value & AR_MASK[index]!;
    }
    s.ar_flip_flop ^= 1;
  }

  #writeCrtc(value: number): void {
    const { s } = this;
    const index = s.cr_index;
    const isProtected = (s.cr[CR.retraceEnd]! & 0x80) !== 0 && index <= CR.overflow;
    if (!isProtected) s.cr[index] = value;
    // Only the line compare bit of a protected overflow register takes a write.
    else if (index === CR.overflow) s.cr[index] = (s.cr[index]! & ~0x10) | (value & 0x10);
    if (this.isVbeEnabled) this.#programVbeCrtc();
  }

  // ---- Bochs VBE

  /** What the dispi data register reads as. */
  readVbe(index: number): number {
    const regs = this.s.vbe_regs;
    if (index < VBE_STORED) {
      if (regs[VBE.enable]! & VBE_ENABLE.getCaps) {
        if (index === VBE.xres) return VBE_MAX.xres;
        if (index === VBE.yres) return VBE_MAX.yres;
        if (index === VBE.bpp) return VBE_MAX.bpp;
      }
      return regs[index]!;
    }
    return index === VBE.videoMemory ? this.vramBytes >>> 16 : 0;
  }

  writeVbe(index: number, value: number): void {
    const { s } = this;
    const regs = s.vbe_regs;
    switch (index) {
      case VBE.id:
        if (value >= VBE_ID0 && value <= VBE_ID5) regs[VBE.id] = value;
        break;
      case VBE.xres:
      case VBE.yres:
      case VBE.bpp:
      case VBE.virtualWidth:
      case VBE.xOffset:
      case VBE.yOffset:
        regs[index] = value;
        this.#fixVbe();
        this.#programVbeCrtc();
        break;
      case VBE.bank:
        regs[VBE.bank] = value & s.vbe_bank_mask;
        s.bank_offset = regs[VBE.bank]! << 16;
        this.#updateChain4();
        break;
      case VBE.enable:
        this.#enableVbe(value);
        break;
    }
  }

  #enableVbe(value: number): void {
    const { s } = this;
    const regs = s.vbe_regs;
    if (value & VBE_ENABLE.enabled && !this.isVbeEnabled) {
      regs[VBE.virtualWidth] = 0;
      regs[VBE.xOffset] = 0;
      regs[VBE.yOffset] = 0;
      regs[VBE.enable]! |= VBE_ENABLE.enabled;
      this.#fixVbe();
      this.#programVbeCrtc();
      if (!(value & VBE_ENABLE.noClear)) {
        const length = Math.min(this.vramBytes, regs[VBE.yres]! * s.vbe_line_offset);
        this.bytes.fill(0, 0, length);
        this.vram.markDirty(0, length);
      }
    } else if (!(value & VBE_ENABLE.enabled)) {
      s.bank_offset = 0;
    }
    regs[VBE.enable] = value;
    this.#updateChain4();
  }

  /** Makes the mode one that fits video memory, and derives line length and start. */
  #fixVbe(): void {
    const { s } = this;
    const regs = s.vbe_regs;
    if (!this.isVbeEnabled) return;
    const bpp = regs[VBE.bpp]!;
    if (![4, 8, 15, 16, 24, 32].includes(bpp)) {
      regs[VBE.bpp] = bpp === 0 ? 8 : ([4, 8, 15, 16, 24, 32].find((depth) => depth >= bpp) ?? 32);
    }
    const bits = regs[VBE.bpp] === 15 ? 16 : regs[VBE.bpp]!;
    const bytesFor = (pixels: number) => (bits === 4 ? pixels >> 1 : (pixels * bits) >> 3);
    const xres = Math.min(Math.max(regs[VBE.xres]! & ~7, 8), VBE_MAX.xres);
    const width = Math.min(Math.max(regs[VBE.virtualWidth]! & ~7, xres), VBE_MAX.xres);
    regs[VBE.xres] = xres;
    regs[VBE.virtualWidth] = width;
    // Planar memory: half a byte per pixel is an eighth per plane; a line is as long as its four planes together.
    const lineBytes = bytesFor(width);
    const lines = Math.floor(this.vramBytes / lineBytes);
    regs[VBE.yres] = Math.min(Math.max(regs[VBE.yres]!, 1), VBE_MAX.yres, Math.max(1, lines));
    regs[VBE.virtualHeight] = Math.min(lines, 0xffff);
    if (regs[VBE.xOffset]! + xres > width) regs[VBE.xOffset] = width - xres;
    if (regs[VBE.yOffset]! + regs[VBE.yres]! > lines) regs[VBE.yOffset] = Math.max(0, lines - regs[VBE.yres]!);
    s.vbe_line_offset = lineBytes;
    s.vbe_start_addr = (regs[VBE.yOffset]! * lineBytes + bytesFor(regs[VBE.xOffset]!)) >>> 2;
  }

  /** A dispi mode is seen in the legacy registers too: guests and BIOSes look there. */
  #programVbeCrtc(): void {
    const { s } = this;
    const regs = s.vbe_regs;
    if (!this.isVbeEnabled) return;
    const { cr, gr } = s;
    gr[GR.miscellaneous] = (gr[GR.miscellaneous]! & ~0x0c) | 0x05;
    cr[CR.mode]! |= 3; // no CGA addressing
    cr[CR.offset] = s.vbe_line_offset >> 3;
    cr[CR.horizontalEnd] = (regs[VBE.xres]! >> 3) - 1;
    const last = regs[VBE.yres]! - 1;
    cr[CR.verticalEnd] = last;
    cr[CR.overflow] = (cr[CR.overflow]! & ~0x42) | ((last >> 7) & 0x02) | ((last >> 3) & 0x40) | 0x10;
    cr[CR.lineCompare] = 0xff; // no split screen
    cr[CR.maxScan] = (cr[CR.maxScan]! & ~0x9f) | 0x40;
    gr[GR.mode] = (gr[GR.mode]! & ~0x60) | (regs[VBE.bpp] === 4 ? 0 : 0x40);
    this.#updateChain4();
  }

  // ---- memory

  /** Packed VBE modes are chained with all planes on, whatever the sequencer says; its registers keep what the guest wrote. */
  get #isVbePacked(): boolean {
    return this.isVbeEnabled && this.s.vbe_regs[VBE.bpp] !== 4;
  }
  get #memoryMode(): number {
    return this.#isVbePacked ? CHAIN4 | SEQUENTIAL : this.s.sr[SR.memoryMode]!;
  }
  get #planeMask(): number {
    return this.#isVbePacked ? 0x0f : this.s.sr[SR.planeMask]!;
  }

  /** Chained memory that nothing masks or alters is plain RAM for the processor. */
  #updateChain4(): void {
    const { s } = this;
    const { gr } = s;
    const isPlain =
      (this.#memoryMode & CHAIN4) !== 0 &&
      this.#planeMask === 0x0f &&
      (gr[GR.mode]! & 0x0b) === 0 &&
      gr[GR.enableSetReset] === 0 &&
      gr[GR.rotate] === 0 &&
      gr[GR.bitMask] === 0xff;
    const container = this.#chain4Container;
    if (!container) return;
    const [start, length] = WINDOWS[(gr[GR.miscellaneous]! >> 2) & 3]!;
    const offset = start === 0 && length === 0x10000 ? s.bank_offset : 0;
    const old = this.#chain4;
    if (old && isPlain && old.address === LOW_MEMORY_BASE + start && old.size === length) {
      old.setAliasOffset(offset);
      return;
    }
    if (!old && !isPlain) return;
    memoryTransaction(() => {
      if (old) container.delSubregion(old);
      this.#chain4 = null;
      if (!isPlain) return;
      this.#chain4 = objectNewAs(MemoryRegion, 'memory-region').initAlias(
        null,
        'vga.chain4',
        this.vram,
        offset,
        length,
      );
      container.addSubregion(LOW_MEMORY_BASE + start, this.#chain4, 2);
    });
  }

  /** An address in the window as one in the memory of the current map, or -1 outside of it. */
  #translate(offset: number): number {
    const { s } = this;
    const map = (s.gr[GR.miscellaneous]! >> 2) & 3;
    const [start, length] = WINDOWS[map]!;
    const inside = offset - start;
    if (inside < 0 || inside >= length) return -1;
    return map === 1 ? inside + s.bank_offset : inside;
  }

  readMemory(offset: number): number {
    const { s } = this;
    const address = this.#translate(offset);
    if (address < 0) return 0xff;
    const { words } = this;
    if (this.#memoryMode & CHAIN4) {
      const word = address >> 2;
      if (word >= words.length) return 0xff;
      s.latch = words[word]!;
      return (s.latch >>> (8 * (address & 3))) & 0xff;
    }
    if (s.gr[GR.mode]! & 0x10) {
      const word = address >> 1;
      if (word >= words.length) return 0xff;
      s.latch = words[word]!;
      return (s.latch >>> (8 * ((s.gr[GR.readPlane]! & 2) | (address & 1)))) & 0xff;
    }
    if (address >= words.length) return 0xff;
    const latch = words[address]!;
    s.latch = latch;
    if (!(s.gr[GR.mode]! & 0x08)) return (latch >>> (8 * s.gr[GR.readPlane]!)) & 0xff;
    const differs = (latch ^ PLANES[s.gr[GR.colourCompare]!]!) & PLANES[s.gr[GR.compareMask]!]!;
    return ~(differs | (differs >>> 8) | (differs >>> 16) | (differs >>> 24)) & 0xff;
  }

  writeMemory(offset: number, value: number): void {
    this.#writePlanes(this.#translate(offset), this.#combine(value), this.#memoryMode, this.#planeMask, this.words);
  }
  /** A value of so many bytes again and again: nothing that the registers say changes on the way. */
  fillMemory(offset: number, value: number, size: number, count: number): void {
    const planes: number[] = [];
    for (let i = 0; i < size; i++) planes.push(this.#combine((value >>> (8 * i)) & 0xff));
    const [mode, enabled, words] = [this.#memoryMode, this.#planeMask, this.words];
    for (let i = 0; i < size * count; i++)
      this.#writePlanes(this.#translate(offset + i), planes[i % size]!, mode, enabled, words);
  }
  /** What a byte came to goes where the memory's mode says; outside of the window (-1) nowhere. */
  #writePlanes(address: number, value: number, mode: number, enabled: number, words: Uint32Array): void {
    if (address < 0) return;
    let planes = enabled;
    let word: number;
    if (mode & CHAIN4) {
      planes &= 1 << (address & 3);
      word = address >> 2;
    } else if (!(mode & SEQUENTIAL)) {
      planes &= address & 1 ? 0xa : 0x5;
      word = address >> 1;
    } else {
      word = address;
    }
    if (planes === 0 || word >= words.length) return;
    const mask = PLANES[planes]!;
    words[word] = (words[word]! & ~mask) | (value & mask);
    this.device.env.arena.markDirty(this.#block.offset + word * 4, 4);
  }

  /** The graphics controller's way from a byte of the processor to four planes. */
  #combine(value: number): number {
    const { gr, latch } = this.s;
    const writeMode = gr[GR.mode]! & 3;
    if (writeMode === 1) return latch;
    const rotation = gr[GR.rotate]! & 7;
    const rotated = ((value >> rotation) | (value << (8 - rotation))) & 0xff;
    let bitMask = gr[GR.bitMask]!;
    let word: number;
    if (writeMode === 0) {
      const set = PLANES[gr[GR.enableSetReset]!]!;
      word = ((rotated * 0x01010101) & ~set) | (PLANES[gr[GR.setReset]!]! & set);
    } else if (writeMode === 2) {
      word = PLANES[value & 0x0f]!;
    } else {
      bitMask &= rotated;
      word = PLANES[gr[GR.setReset]!]!;
    }
    const logic = gr[GR.rotate]! >> 3;
    if (logic === 1) word &= latch;
    else if (logic === 2) word |= latch;
    else if (logic === 3) word ^= latch;
    const bits = bitMask * 0x01010101;
    return (word & bits) | (latch & ~bits);
  }

  // ---- what the picture is made of

  /** The sixteen colours of the attribute controller as indices into the DAC. */
  attributeColour(index: number): number {
    const { ar } = this.s;
    const entry = ar[index & 0x0f]!;
    const select = ar[AR.colourSelect]!;
    return ar[AR.mode]! & 0x80 ? ((select & 0x0f) << 4) | (entry & 0x0f) : ((select & 0x0c) << 4) | (entry & 0x3f);
  }
  /** A DAC entry as 0xRRGGBB. */
  dacColour(index: number): number {
    const { palette } = this.s;
    const at = (index & this.pelMask) * 3;
    const eight = this.isDac8Bit;
    // Six bits become eight with the lowest repeated, as QEMU shows them.
    const level = (value: number) => (eight ? value : ((value & 0x3f) << 2) | ((value & 1) * 3));
    return (level(palette[at]!) << 16) | (level(palette[at + 1]!) << 8) | level(palette[at + 2]!);
  }
}

/** Wider accesses are bytes one after another, as on the card's 8-bit side of the bus. */
function lowMemoryOps(vga: VgaCommon): MemoryRegionOps<Device> {
  return {
    read(_, offset, size) {
      let value = 0;
      for (let i = 0, scale = 1; i < size; i++, scale *= 256) value += vga.readMemory(offset + i) * scale;
      return value;
    },
    write(_, offset, value, size) {
      let rest = value;
      for (let i = 0; i < size; i++) {
        vga.writeMemory(offset + i, rest & 0xff);
        rest = Math.floor(rest / 256);
      }
    },
    fill: (_, offset, value, size, count) => vga.fillMemory(offset, value, size, count),
  };
}
