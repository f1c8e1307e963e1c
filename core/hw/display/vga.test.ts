import { describe, expect, it } from 'vitest';
import type { DisplayConsole } from '../../backends/display/console.ts';
import type { Rect } from '../../backends/display/surface.ts';
import { objectSet } from '../../qom/object.ts';
import { typeIsRegistered } from '../../qom/type.ts';
import { deviceNew, deviceRealize, registerDeviceTypes, resetTree } from '../core/device.ts';
import { bareBoard } from '../core/environment.ts';
import { isaBusNew, isaTypes } from '../isa/isa-bus.ts';
import { VgaIsa, vgaIsaTypes } from './vga-isa.ts';
import { VBE } from './vga-registers.ts';

if (!typeIsRegistered('ISA')) registerDeviceTypes(isaTypes);
registerDeviceTypes(vgaIsaTypes);

/** Register values of standard modes, from the IBM VGA's parameter tables: miscellaneous, sequencer 1-4, CRTC, graphics, attributes. */
const hex = (text: string) => text.split(' ').map((byte) => Number.parseInt(byte, 16));
const EGA_COLOURS = '00 01 02 03 04 05 14 07 38 39 3a 3b 3c 3d 3e 3f';
const IDENTITY = '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f';
interface ModeTable {
  readonly misc: number;
  readonly seq: number[];
  readonly crtc: number[];
  readonly gc: number[];
  readonly attr: number[];
}
const mode = (misc: number, seq: string, crtc: string, gc: string, attr: string): ModeTable => ({
  misc,
  seq: hex(seq),
  crtc: hex(crtc),
  gc: hex(gc),
  attr: hex(attr),
});
const MODES = {
  text80: mode(
    0x67,
    '00 03 00 02',
    '5f 4f 50 82 55 81 bf 1f 00 4f 20 0e 00 00 00 00 9c 8e 8f 28 1f 96 b9 a3 ff',
    '00 00 00 00 00 10 0e 0f ff',
    `${EGA_COLOURS} 0c 00 0f 08`,
  ),
  text40: mode(
    0x67,
    '08 03 00 02',
    '2d 27 28 90 2b a0 bf 1f 00 4f 20 0e 00 00 00 00 9c 8e 8f 14 1f 96 b9 a3 ff',
    '00 00 00 00 00 10 0e 0f ff',
    `${EGA_COLOURS} 0c 00 0f 08`,
  ),
  mono: mode(
    0x66,
    '00 03 00 02',
    '5f 4f 50 82 55 81 bf 1f 00 4f 20 0e 00 00 00 00 9c 8e 8f 28 0d 96 b9 a3 ff',
    '00 00 00 00 00 10 0a 0f ff',
    '00 08 08 08 08 08 08 08 10 18 18 18 18 18 18 18 0e 00 0f 08',
  ),
  cga4: mode(
    0x63,
    '09 03 00 02',
    '2d 27 28 90 2b 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 a2 ff',
    '00 00 00 00 00 30 0f 0f ff',
    '00 13 15 17 02 04 06 07 10 11 12 13 14 15 16 17 01 00 03 00',
  ),
  cga2: mode(
    0x63,
    '01 01 00 06',
    '5f 4f 50 82 54 80 bf 1f 00 c1 00 00 00 00 00 00 9c 8e 8f 28 00 96 b9 c2 ff',
    '00 00 00 00 00 00 0d 0f ff',
    '00 17 17 17 17 17 17 17 17 17 17 17 17 17 17 17 01 00 01 00',
  ),
  ega320: mode(
    0x63,
    '09 0f 00 06',
    '2d 27 28 90 2b 80 bf 1f 00 c0 00 00 00 00 00 00 9c 8e 8f 14 00 96 b9 e3 ff',
    '00 00 00 00 00 00 05 0f ff',
    `${EGA_COLOURS} 01 00 0f 00`,
  ),
  planar640: mode(
    0xe3,
    '01 0f 00 06',
    '5f 4f 50 82 54 80 0b 3e 00 40 00 00 00 00 00 00 ea 8c df 28 00 e7 04 e3 ff',
    '00 00 00 00 00 00 05 0f ff',
    `${EGA_COLOURS} 01 00 0f 00`,
  ),
  mode13: mode(
    0x63,
    '01 0f 00 0e',
    '5f 4f 50 82 54 80 bf 1f 00 41 00 00 00 00 00 00 9c 8e 8f 28 40 96 b9 a3 ff',
    '00 00 00 00 00 40 05 0f ff',
    `${IDENTITY} 41 00 0f 00`,
  ),
  modeX: mode(
    0xe3,
    '01 0f 00 06',
    '5f 4f 50 82 54 80 0d 3e 00 41 00 00 00 00 00 00 ea ac df 28 00 e7 06 e3 ff',
    '00 00 00 00 00 40 05 0f ff',
    `${IDENTITY} 41 00 0f 00`,
  ),
} as const;

/** A card on a bare board, driven by its ports and its window alone. */
class Bench {
  readonly board = bareBoard();
  readonly card: VgaIsa;
  readonly console: DisplayConsole;
  updates: Rect[] = [];

  constructor(megabytes = 8) {
    this.card = deviceNew(VgaIsa, 'isa-vga');
    objectSet(this.card, 'vgamem_mb', megabytes);
    deviceRealize(this.card, isaBusNew(null));
    resetTree(this.card);
    this.console = this.board.displays.primary!;
    this.console.addListener({ update: (rect) => this.updates.push(rect) });
  }
  out(port: number, value: number): void {
    this.board.io.write(port, 1, value);
  }
  in(port: number): number {
    return this.board.io.read(port, 1);
  }
  indexed(port: number, index: number, value: number): void {
    this.board.io.write(port, 2, index | (value << 8));
  }
  get crtc(): number {
    return this.in(0x3cc) & 1 ? 0x3d4 : 0x3b4;
  }
  attribute(index: number, value: number): void {
    this.in(this.crtc + 6);
    this.out(0x3c0, index);
    this.out(0x3c0, value);
    this.out(0x3c0, 0x20);
  }
  setMode({ misc, seq, crtc, gc, attr }: ModeTable): void {
    this.out(0x3c2, misc);
    this.indexed(0x3c4, 0, 3);
    for (const [i, value] of seq.entries()) this.indexed(0x3c4, i + 1, value);
    this.indexed(this.crtc, 0x11, 0);
    for (const [i, value] of crtc.entries()) this.indexed(this.crtc, i, value);
    for (const [i, value] of gc.entries()) this.indexed(0x3ce, i, value);
    for (const [i, value] of attr.entries()) this.attribute(i, value);
    // A palette that tells its entries apart: red = entry, green = 3 x entry, blue = inverse; six bits each.
    this.out(0x3c8, 0);
    for (let i = 0; i < 256; i++) for (const level of this.dac(i)) this.out(0x3c9, level);
  }
  dac(index: number): [number, number, number] {
    return [index & 63, (index * 3) & 63, ~index & 63];
  }
  rgb(index: number): number {
    const [red, green, blue] = this.dac(index).map((level) => (level << 2) | ((level & 1) * 3)) as [
      number,
      number,
      number,
    ];
    return (red << 16) | (green << 8) | blue;
  }
  poke(address: number, ...bytes: number[]): void {
    for (const [i, byte] of bytes.entries()) this.board.memory.write(address + i, 1, byte);
  }
  peek(address: number): number {
    return this.board.memory.read(address, 1);
  }
  vbe(index: number, value: number): void {
    this.board.io.write(0x1ce, 2, index);
    this.board.io.write(0x1d0, 2, value);
  }
  readVbe(index: number): number {
    this.board.io.write(0x1ce, 2, index);
    return this.board.io.read(0x1cf, 2);
  }
  vbeMode(xres: number, yres: number, bpp: number, flags = 0x41): void {
    this.setMode(MODES.mode13);
    this.vbe(VBE.enable, 0);
    this.vbe(VBE.xres, xres);
    this.vbe(VBE.yres, yres);
    this.vbe(VBE.bpp, bpp);
    this.vbe(VBE.enable, flags);
  }
  draw(): Rect[] {
    this.updates = [];
    this.console.refresh();
    return this.updates;
  }
  pixel(x: number, y: number): number {
    return this.console.surface.pixel(x, y);
  }
  get size(): [number, number] {
    return [this.console.width, this.console.height];
  }
  /** Puts a glyph into plane 2, as a BIOS does. */
  glyph(code: number, rows: number[], block = 0): void {
    this.indexed(0x3c4, 2, 4);
    this.indexed(0x3c4, 4, 6);
    this.indexed(0x3ce, 5, 0);
    this.indexed(0x3ce, 6, 4);
    this.poke(0xa0000 + block + code * 32, ...rows);
    this.indexed(0x3c4, 2, 3);
    this.indexed(0x3c4, 4, 2);
    this.indexed(0x3ce, 5, 0x10);
    this.indexed(0x3ce, 6, 0x0e);
  }
  /** The shape of a character cell as text. */
  cell(column: number, row: number, width = 9, height = 16): string[] {
    return Array.from({ length: height }, (_, y) => {
      const paper = this.rgb(0);
      return Array.from({ length: width }, (_, x) =>
        this.pixel(column * width + x, row * height + y) === paper ? '.' : '#',
      ).join('');
    });
  }
}

describe('ports', () => {
  it('are as QEMU shows them at reset', () => {
    const bench = new Bench();
    // 0x3c6 differs on purpose: a pixel mask of zero would show nothing.
    const ports = [0x3b4, 0x3b5, ...Array.from({ length: 16 }, (_, i) => 0x3c0 + i).filter((port) => port !== 0x3c6)];
    expect(ports.map((port) => bench.in(port))).toEqual(ports.map(() => 0));
    expect([bench.in(0x3d4), bench.in(0x3da), bench.in(0x3c6)]).toEqual([0xff, 0xff, 0xff]);
    expect(bench.card.state.vbe_regs).toEqual([0xb0c5, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
  it('store only bits that exist', () => {
    const bench = new Bench();
    bench.out(0x3c2, 0xff);
    expect(bench.in(0x3cc)).toBe(0xef);
    const readBack = (port: number, count: number) =>
      Array.from({ length: count }, (_, i) => {
        bench.indexed(port, i, 0xff);
        return bench.in(port + 1);
      });
    expect(readBack(0x3c4, 5)).toEqual([0x03, 0x3d, 0x0f, 0x3f, 0x0e]);
    expect(readBack(0x3ce, 10)).toEqual([0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0]);
    bench.attribute(0x10, 0xff);
    bench.in(0x3da);
    bench.out(0x3c0, 0x10);
    expect(bench.in(0x3c1)).toBe(0xef);
  });
  it('answer at the colour or at the monochrome addresses', () => {
    const bench = new Bench();
    bench.out(0x3c2, 1);
    bench.indexed(0x3d4, 0x0f, 0x55);
    bench.indexed(0x3b4, 0x0f, 0x66);
    expect([bench.in(0x3d5), bench.in(0x3b5)]).toEqual([0x55, 0xff]);
  });
  it('protect CRTC 0 to 7 but for the line compare bit', () => {
    const bench = new Bench();
    bench.out(0x3c2, 1);
    bench.indexed(0x3d4, 0, 0x5f);
    bench.indexed(0x3d4, 0x11, 0x80);
    bench.indexed(0x3d4, 0, 0);
    bench.indexed(0x3d4, 7, 0xff);
    expect(bench.in(0x3d5)).toBe(0x10);
    bench.out(0x3d4, 0);
    expect(bench.in(0x3d5)).toBe(0x5f);
  });
  it('palette: three writes and three reads per entry, counting up', () => {
    const bench = new Bench();
    bench.out(0x3c8, 254);
    for (const level of [1, 2, 3, 4, 5, 6, 7, 8, 9]) bench.out(0x3c9, level);
    expect(bench.in(0x3c8)).toBe(1);
    bench.out(0x3c7, 255);
    expect([bench.in(0x3c7), ...Array.from({ length: 6 }, () => bench.in(0x3c9))]).toEqual([3, 4, 5, 6, 7, 8, 9]);
  });
  it('input status 1 follows guest time through a frame', () => {
    const bench = new Bench();
    bench.setMode(MODES.text80);
    let retraces = 0;
    let displayed = 0;
    let before = 0;
    const steps = 70_000;
    for (let i = 0; i < steps; i++) {
      bench.board.advance(1_000); // 70 ms: 70 frames a second
      const status = bench.in(0x3da);
      if (status & 8 && !(before & 8)) retraces++;
      if (!(status & 1)) displayed++;
      before = status;
    }
    expect(retraces).toBeGreaterThanOrEqual(4);
    expect(retraces).toBeLessThanOrEqual(5);
    expect(displayed / steps).toBeCloseTo((80 / 100) * (400 / 449), 1);
  });
  it('reset forgets all but the user’s choices', () => {
    const bench = new Bench();
    bench.vbeMode(640, 480, 32);
    resetTree(bench.card);
    expect(bench.card.state.sr.every((byte) => byte === 0)).toBe(true);
    expect([bench.readVbe(VBE.enable), bench.readVbe(VBE.videoMemory)]).toEqual([0, 128]);
    bench.draw();
    expect(bench.console.surface.pixels.every((pixel) => pixel === 0)).toBe(true);
  });
});

describe('memory through the graphics controller', () => {
  it('writes as the data sheet says, bit by bit, in every mode', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const registers = Array.from({ length: 9 }, () => 0);
    for (let round = 0; round < 3000; round++) {
      const planes = random(16);
      for (const index of [0, 1, 2, 3, 7, 8]) {
        registers[index] = random(index === 3 ? 32 : index === 8 ? 256 : 16);
        bench.indexed(0x3ce, index, registers[index]!);
      }
      const writeMode = random(4);
      bench.indexed(0x3ce, 5, writeMode);
      bench.indexed(0x3c4, 2, planes);
      const address = random(16);
      const before = [0, 1, 2, 3].map((plane) => bench.card.vga.bytes[address * 4 + plane]!);
      const latchAt = random(16);
      const latches = [0, 1, 2, 3].map((plane) => bench.card.vga.bytes[latchAt * 4 + plane]!);
      bench.peek(0xa0000 + latchAt);
      const value = random(256);
      bench.poke(0xa0000 + address, value);
      const [setReset, enable, , rotate, , , , , bitMask] = registers as [
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const turned = ((value >> (rotate & 7)) | (value << (8 - (rotate & 7)))) & 0xff;
      const expected = before.map((old, plane) => {
        if (!(planes & (1 << plane))) return old;
        if (writeMode === 1) return latches[plane]!;
        let byte = 0;
        for (let bit = 0; bit < 8; bit++) {
          const latch = (latches[plane]! >> bit) & 1;
          const on = (word: number) => (word >> plane) & 1;
          const data = [on(enable) ? on(setReset) : (turned >> bit) & 1, 0, on(value), on(setReset)][writeMode]!;
          const mixed = [data, data & latch, data | latch, data ^ latch][rotate >> 3]!;
          const passes = ((writeMode === 3 ? bitMask & turned : bitMask) >> bit) & 1;
          byte |= (passes ? mixed : latch) << bit;
        }
        return byte;
      });
      expect([0, 1, 2, 3].map((plane) => bench.card.vga.bytes[address * 4 + plane]!)).toEqual(expected);
    }
  });
  it('reads a plane, or compares colours', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    bench.card.vga.bytes.set([0b11110000, 0b11001100, 0b10101010, 0b00000001], 40);
    for (const [plane, byte] of [0b11110000, 0b11001100, 0b10101010, 0b00000001].entries()) {
      bench.indexed(0x3ce, 4, plane);
      expect(bench.peek(0xa000a)).toBe(byte);
    }
    bench.indexed(0x3ce, 5, 8);
    bench.indexed(0x3ce, 2, 0b0101); // pixels whose planes 0 and 2 are set, 1 is clear; plane 3 does not count
    bench.indexed(0x3ce, 7, 0b0111);
    expect(bench.peek(0xa000a)).toBe(0b00100000);
    bench.indexed(0x3ce, 7, 0);
    expect(bench.peek(0xa000a)).toBe(0xff);
  });
  it('odd/even: characters and attributes go to planes 0 and 1', () => {
    const bench = new Bench();
    bench.setMode(MODES.text80);
    bench.poke(0xb8000 + 6, 0x41, 0x1e);
    expect([...bench.card.vga.bytes.subarray(12, 16)]).toEqual([0x41, 0x1e, 0, 0]);
    expect([bench.peek(0xb8006), bench.peek(0xb8007), bench.peek(0xa0006)]).toEqual([0x41, 0x1e, 0xff]);
    expect(bench.board.memory.read(0xb8006, 2)).toBe(0x1e41);
  });
  it('answers only inside the selected window', () => {
    const bench = new Bench();
    bench.setMode(MODES.mode13);
    const ends = [
      [0xa0000, 0xbffff],
      [0xa0000, 0xaffff],
      [0xb0000, 0xb7fff],
      [0xb8000, 0xbffff],
    ] as const;
    for (const [map, [first, last]] of ends.entries()) {
      bench.indexed(0x3ce, 6, (map << 2) | 1);
      bench.poke(first, 0x11);
      bench.poke(last, 0x22);
      expect([bench.peek(first), bench.peek(last)]).toEqual([0x11, 0x22]);
      if (first > 0xa0000) expect(bench.peek(first - 1)).toBe(0xff);
      if (last < 0xbffff) expect(bench.peek(last + 1)).toBe(0xff);
    }
  });
  it('filling it is writing again and again, whatever the registers make of a byte', () => {
    const names = ['text80', 'cga4', 'planar640', 'mode13'] as const;
    let fills = 0;
    for (const name of names)
      for (const [mode, rotate, mask, planes, set] of [
        [0, 0, 0xff, 15, 0],
        [0, 3, 0x3c, 5, 0],
        [0, 0x12, 0x81, 15, 6],
        [1, 0, 0xff, 15, 0],
        [2, 0x18, 0x7e, 10, 0],
        [3, 5, 0xf3, 15, 3],
      ] as const) {
        const [filled, written] = [new Bench(), new Bench()];
        for (const bench of [filled, written]) {
          bench.setMode(MODES[name]);
          bench.indexed(0x3ce, 5, MODES[name].gc[5]! & 0x70);
          for (let i = 0; i < 64; i++) bench.poke(0xb8000 + i, (i * 37) & 0xff);
          bench.indexed(0x3ce, 5, (MODES[name].gc[5]! & 0x70) | mode);
          bench.indexed(0x3ce, 3, rotate);
          bench.indexed(0x3ce, 8, mask);
          bench.indexed(0x3c4, 2, planes);
          bench.indexed(0x3ce, 1, set);
          bench.peek(0xb8003);
        }
        const memories = [filled.board.memory, written.board.memory] as const;
        let at = name === 'planar640' || name === 'mode13' ? 0xa0001 : 0xb8001;
        for (const [size, value] of [
          [1, 0xa5],
          [2, 0x1e41],
          [4, 0xfedc_ba98],
        ] as const) {
          // Chained memory may be RAM, which the processor fills itself.
          if (memories[0].fill(at, size, value, 5)) {
            fills++;
            for (let i = 0; i < 5; i++) memories[1].write(at + size * i, size, value);
          }
          at += 5 * size + 1;
        }
        const [there, here] = [filled.card.vga.words, written.card.vga.words];
        expect([name, mode, there.findIndex((word, i) => word !== here[i])]).toEqual([name, mode, -1]);
        expect(filled.board.memory.fill(0xbffff, 2, 0, 1)).toBe(false);
      }
    expect(fills).toBeGreaterThanOrEqual(3 * 3 * 6);
  });
  it('chained memory is plain RAM exactly while nothing alters it', () => {
    const bench = new Bench();
    const isRam = () => bench.board.memory.lookupPage(0xa0000) !== null;
    expect(isRam()).toBe(false);
    bench.setMode(MODES.mode13);
    expect(isRam()).toBe(true);
    for (const [port, index, odd, usual] of [
      [0x3c4, 2, 7, 15],
      [0x3c4, 4, 6, 14],
      [0x3ce, 5, 0x41, 0x40],
      [0x3ce, 8, 0xf0, 0xff],
      [0x3ce, 1, 1, 0],
      [0x3ce, 3, 8, 0],
    ] as const) {
      bench.indexed(port, index, odd);
      expect([port, index, isRam()]).toEqual([port, index, false]);
      bench.indexed(port, index, usual);
      expect(isRam()).toBe(true);
    }
    // The slow way gives the same bytes.
    bench.poke(0xa0123, 0x5a);
    bench.indexed(0x3ce, 8, 0xfe);
    expect(bench.peek(0xa0123)).toBe(0x5a);
    bench.setMode(MODES.text80);
    expect(isRam()).toBe(false);
  });
});

describe('text', () => {
  const A = [0x18, 0x3c, 0x66, 0xc3, 0xff, 0xc3, 0xc3, 0xc3];

  function text(): Bench {
    const bench = new Bench();
    bench.setMode(MODES.text80);
    bench.glyph(0x41, A);
    bench.glyph(
      0xc4,
      new Array(16).fill(0).map((_, i) => (i === 8 ? 0xff : 0)),
    );
    return bench;
  }

  it('draws glyphs with nine dots, the ninth repeated for line graphics', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x07, 0xc4, 0x07);
    bench.draw();
    expect(bench.size).toEqual([720, 400]);
    expect(bench.cell(0, 0).slice(0, 8)).toEqual([
      '...##....',
      '..####...',
      '.##..##..',
      '##....##.',
      '########.',
      '##....##.',
      '##....##.',
      '##....##.',
    ]);
    expect(bench.cell(1, 0)[8]).toBe('#########');
    bench.attribute(0x10, 0x08);
    bench.draw();
    expect(bench.cell(1, 0)[8]).toBe('########.');
  });
  it('takes colours through the attribute controller', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x1e);
    bench.draw();
    expect([bench.pixel(4, 0), bench.pixel(0, 0)]).toEqual([bench.rgb(0x3e), bench.rgb(0x01)]);
    bench.attribute(0x14, 0x04); // bits 6-7 of the DAC index
    bench.draw();
    expect(bench.pixel(4, 0)).toBe(bench.rgb(0x7e));
  });
  it('redraws only cells that changed', () => {
    const bench = text();
    bench.draw();
    expect(bench.draw()).toEqual([]);
    bench.poke(0xb8000 + 2 * (80 * 3 + 10), 0x41, 0x07, 0x41, 0x07);
    expect(bench.draw()).toEqual([{ x: 90, y: 48, width: 18, height: 16 }]);
    bench.poke(0xb8000 + 2 * (80 * 3 + 10), 0x41);
    expect(bench.draw()).toEqual([]);
  });
  it('a new glyph changes the screen', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x07);
    bench.draw();
    bench.glyph(0x41, [0xff]);
    bench.draw();
    expect(bench.cell(0, 0)[0]).toBe('########.');
  });
  it('shows and blinks the cursor, and hides it', () => {
    const bench = text();
    bench.indexed(0x3d4, 0x0a, 13);
    bench.indexed(0x3d4, 0x0b, 14);
    bench.indexed(0x3d4, 0x0f, 5);
    bench.poke(0xb8000 + 10, 0x20, 0x07);
    bench.draw();
    const shape = bench.cell(5, 0);
    expect(shape.filter((row) => row === '#########')).toHaveLength(2);
    expect([shape[13], shape[14]]).toEqual(['#########', '#########']);
    bench.board.advance(300_000_000);
    bench.draw();
    expect(bench.cell(5, 0).every((row) => row === '.........')).toBe(true);
    bench.board.advance(250_000_000);
    bench.draw();
    expect(bench.cell(5, 0)[13]).toBe('#########');
    bench.indexed(0x3d4, 0x0a, 0x20 | 13);
    bench.draw();
    expect(bench.cell(5, 0)[13]).toBe('.........');
  });
  it('blinks characters or gives them bright backgrounds', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x87);
    bench.draw();
    expect(bench.cell(0, 0)[4]).toBe('########.');
    bench.board.advance(600_000_000);
    bench.draw();
    expect(bench.cell(0, 0)[4]).toBe('.........');
    bench.attribute(0x10, 0x04);
    bench.draw();
    expect([bench.pixel(0, 0), bench.pixel(0, 4)]).toEqual([bench.rgb(0x38), bench.rgb(0x07)]);
  });
  it('two fonts at once, chosen by attribute bit 3', () => {
    const bench = text();
    bench.glyph(0x41, [0xaa], 0x4000);
    bench.indexed(0x3c4, 3, 0x04); // set A: block at 16 KiB
    bench.poke(0xb8000, 0x41, 0x07, 0x41, 0x0f);
    bench.draw();
    expect([bench.cell(0, 0)[0], bench.cell(1, 0)[0]]).toEqual(['...##....', '#.#.#.#..']);
  });
  it('underlines in monochrome', () => {
    const bench = new Bench();
    bench.setMode(MODES.mono);
    bench.poke(0xb0000, 0x20, 0x01, 0x20, 0x07);
    bench.draw();
    expect([bench.cell(0, 0)[13], bench.cell(1, 0)[13]]).toEqual(['#########', '.........']);
  });
  it('forty columns have wide characters', () => {
    const bench = new Bench();
    bench.setMode(MODES.text40);
    bench.glyph(0x41, [0x80]);
    bench.poke(0xb8000, 0x41, 0x07);
    bench.draw();
    expect(bench.size).toEqual([720, 400]);
    expect(bench.cell(0, 0, 18)[0]).toBe('##................');
  });
  it('start address, smooth scrolling and split screen', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x07);
    bench.poke(0xb8000 + 160, 0x41, 0x07, 0x20, 0x07, 0x41, 0x07);
    bench.draw();
    bench.indexed(0x3d4, 0x0d, 80);
    bench.draw();
    expect([bench.cell(0, 0)[0], bench.cell(2, 0)[0]]).toEqual(['...##....', '...##....']);
    bench.indexed(0x3d4, 0x08, 3); // three scan lines up
    bench.attribute(0x13, 1); // two dots to the left
    bench.draw();
    expect(bench.cell(2, 0)[1]).toBe('######...');
    bench.indexed(0x3d4, 0x08, 0);
    bench.attribute(0x13, 8);
    bench.indexed(0x3d4, 0x09, 0x0f); // line compare: 200 - 1, bits 8 and 9 clear
    bench.indexed(0x3d4, 0x07, 0x0f);
    bench.indexed(0x3d4, 0x18, 199);
    bench.draw();
    const below = Array.from({ length: 9 }, (_, x) => (bench.pixel(x, 200) === bench.rgb(0) ? '.' : '#')).join('');
    expect(below).toBe('...##....');
    expect(bench.pixel(3 + 18, 200)).toBe(bench.rgb(0));
  });
  it('gives the text to whoever asks', () => {
    const bench = text();
    for (const [i, letter] of [...'GRUB'].entries()) bench.poke(0xb8000 + 160 * 2 + 2 * i, letter.charCodeAt(0), 0x70);
    bench.poke(0xb8000 + 160 * 24, 0xc9, 0x07);
    bench.indexed(0x3d4, 0x0f, 164);
    const mirror = bench.console.readText();
    expect([mirror.columns, mirror.rows, mirror.cursorColumn, mirror.cursorRow]).toEqual([80, 25, 4, 2]);
    expect(mirror.lines()[2]!.trimEnd()).toBe('GRUB');
    expect([mirror.attribute(0, 2), mirror.character(0, 24)]).toEqual([0x70, '╔']);
    bench.setMode(MODES.mode13);
    expect(bench.console.readText().columns).toBe(0);
  });
  it('is black while the screen is off', () => {
    const bench = text();
    bench.poke(0xb8000, 0x41, 0x07);
    bench.draw();
    bench.in(0x3da);
    bench.out(0x3c0, 0);
    expect(bench.draw()).toHaveLength(1);
    expect(bench.console.surface.pixels.every((pixel) => pixel === 0)).toBe(true);
    expect(bench.draw()).toEqual([]);
  });
});

describe('graphics', () => {
  it('640 x 480 in 16 colours', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    bench.indexed(0x3ce, 5, 2);
    const plot = (x: number, y: number, colour: number) => {
      bench.indexed(0x3ce, 8, 0x80 >> (x & 7));
      bench.peek(0xa0000 + y * 80 + (x >> 3));
      bench.poke(0xa0000 + y * 80 + (x >> 3), colour);
    };
    bench.draw();
    for (let i = 0; i < 16; i++) plot(100 + i * 3, 200, i);
    const updates = bench.draw();
    expect(bench.size).toEqual([640, 480]);
    for (let i = 0; i < 16; i++) expect(bench.pixel(100 + i * 3, 200)).toBe(bench.rgb(hex(EGA_COLOURS)[i]!));
    expect(updates).toHaveLength(1);
    expect(updates[0]!.y).toBeGreaterThan(180); // only what shares the written page
    expect(updates[0]!.height).toBeLessThan(30);
    bench.attribute(0x12, 0x07); // plane 3 off
    bench.draw();
    expect(bench.pixel(100 + 9 * 3, 200)).toBe(bench.rgb(0x01));
  });
  it('pans and scrolls by pixels', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    bench.poke(0xa0000 + 80 * 7 + 3, 0x80);
    bench.indexed(0x3d4, 0x0d, 82);
    bench.attribute(0x13, 5);
    bench.draw();
    expect(bench.pixel((3 - 2) * 8 - 5, 6)).toBe(bench.rgb(0x3f));
    expect(bench.pixel(8, 6)).toBe(bench.rgb(0));
  });
  it('320 x 200 in 16 colours, dots and lines doubled', () => {
    const bench = new Bench();
    bench.setMode(MODES.ega320);
    bench.poke(0xa0000 + 40 * 10 + 1, 0x80);
    bench.draw();
    expect(bench.size).toEqual([640, 400]);
    const lit = [];
    for (let y = 18; y < 24; y++)
      for (let x = 14; x < 20; x++) if (bench.pixel(x, y) === bench.rgb(0x3f)) lit.push(`${x},${y}`);
    expect(lit).toEqual(['16,20', '17,20', '16,21', '17,21']);
  });
  it('CGA: four colours, odd lines in the second bank', () => {
    const bench = new Bench();
    bench.setMode(MODES.cga4);
    bench.poke(0xb8000, 0b00011011);
    bench.poke(0xb8000 + 0x2000 + 1, 0b11000000);
    bench.draw();
    expect(bench.size).toEqual([640, 400]);
    expect([0, 2, 4, 6].map((x) => bench.pixel(x, 1))).toEqual(
      [0x00, 0x13, 0x15, 0x17].map((index) => bench.rgb(index)),
    );
    expect([bench.pixel(8, 2), bench.pixel(8, 3), bench.pixel(8, 4)]).toEqual([
      bench.rgb(0x17),
      bench.rgb(0x17),
      bench.rgb(0),
    ]);
  });
  it('CGA: two colours at 640 x 200', () => {
    const bench = new Bench();
    bench.setMode(MODES.cga2);
    bench.poke(0xb8000 + 0x2000 + 80 * 3 + 2, 0b01000000);
    bench.draw();
    expect([bench.pixel(16, 14), bench.pixel(17, 14), bench.pixel(17, 15), bench.pixel(17, 16)]).toEqual(
      [0, 0x17, 0x17, 0].map((index) => bench.rgb(index)),
    );
  });
  it('320 x 200 in 256 colours', () => {
    const bench = new Bench();
    bench.setMode(MODES.mode13);
    for (let i = 0; i < 256; i++) bench.poke(0xa0000 + 320 * 50 + i, i);
    bench.draw();
    expect(bench.size).toEqual([640, 400]);
    for (const i of [0, 1, 100, 255])
      expect([bench.pixel(i * 2, 100), bench.pixel(i * 2 + 1, 101)]).toEqual([bench.rgb(i), bench.rgb(i)]);
    bench.out(0x3c6, 0x0f);
    bench.draw();
    expect(bench.pixel(200, 100)).toBe(bench.rgb(100 & 15));
  });
  it('mode X: planes by hand, page flipping', () => {
    const bench = new Bench();
    bench.setMode(MODES.modeX);
    const plot = (x: number, y: number, colour: number, page: number) => {
      bench.indexed(0x3c4, 2, 1 << (x & 3));
      bench.poke(0xa0000 + page + y * 80 + (x >> 2), colour);
    };
    plot(13, 100, 0x33, 0);
    plot(13, 100, 0x44, 19200);
    bench.draw();
    expect(bench.size).toEqual([640, 480]);
    expect(bench.pixel(26, 200)).toBe(bench.rgb(0x33));
    bench.indexed(0x3d4, 0x0c, 19200 >> 8);
    bench.indexed(0x3d4, 0x0d, 19200 & 0xff);
    bench.draw();
    expect(bench.pixel(26, 200)).toBe(bench.rgb(0x44));
  });
  it('split screen', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    bench.indexed(0x3d4, 0x0d, 80); // from line 1 on
    bench.indexed(0x3d4, 0x09, 0);
    bench.indexed(0x3d4, 0x07, 0x2e);
    bench.indexed(0x3d4, 0x18, 99);
    bench.poke(0xa0000, 0x80);
    bench.draw();
    expect([bench.pixel(0, 0), bench.pixel(0, 100)]).toEqual([bench.rgb(0), bench.rgb(0x3f)]);
  });
});

describe('Bochs VBE', () => {
  const LINEAR = 0xe000_0000;

  it.each([
    [8, [0x2a], (bench: Bench) => bench.rgb(0x2a)],
    [15, [0x1f, 0x7c], () => 0xff00ff],
    [16, [0xe0, 0x07], () => 0x00ff00],
    [24, [0x11, 0x22, 0x33], () => 0x332211],
    [32, [0x11, 0x22, 0x33, 0x99], () => 0x332211],
  ] as const)('%d bits per pixel in the linear frame buffer', (bpp, bytes, colour) => {
    const bench = new Bench();
    bench.vbeMode(800, 600, bpp);
    expect(bench.draw()).toHaveLength(1);
    expect(bench.size).toEqual([800, 600]);
    const pixelBytes = bytes.length;
    bench.poke(LINEAR + (800 * 300 + 17) * pixelBytes, ...bytes);
    const updates = bench.draw();
    expect(bench.pixel(17, 300)).toBe(colour(bench));
    expect(updates).toHaveLength(1);
    expect(updates[0]!.y).toBeLessThanOrEqual(300);
    expect(updates[0]!.height).toBeLessThanOrEqual(2 + Math.ceil(4096 / (800 * pixelBytes)));
    expect(bench.draw()).toEqual([]);
  });
  it('4 bits per pixel are planar', () => {
    const bench = new Bench();
    bench.setMode(MODES.planar640);
    for (const [index, value] of [
      [VBE.xres, 800],
      [VBE.yres, 600],
      [VBE.bpp, 4],
      [VBE.enable, 1],
    ] as const)
      bench.vbe(index, value);
    bench.indexed(0x3c4, 2, 0x05);
    bench.poke(0xa0000 + 100 * 500 + 3, 0x80);
    bench.draw();
    expect(bench.size).toEqual([800, 600]);
    expect(bench.pixel(24, 500)).toBe(bench.rgb(0x05));
  });
  it('banks', () => {
    const bench = new Bench();
    bench.vbeMode(640, 480, 8, 0x01);
    bench.vbe(VBE.bank, 3);
    bench.poke(0xa0000 + 10, 0x77);
    const at = 3 * 65536 + 10;
    bench.draw();
    expect(bench.pixel(at % 640, Math.floor(at / 640))).toBe(bench.rgb(0x77));
    expect(bench.peek(LINEAR + at)).toBe(0x77);
  });
  it('virtual screens pan', () => {
    const bench = new Bench();
    bench.vbeMode(640, 480, 32);
    bench.vbe(VBE.virtualWidth, 1024);
    bench.poke(LINEAR + (1024 * 150 + 200) * 4, 1, 2, 3);
    bench.vbe(VBE.xOffset, 100);
    bench.vbe(VBE.yOffset, 50);
    bench.draw();
    expect(bench.pixel(100, 100)).toBe(0x030201);
  });
  it('eight-bit DAC', () => {
    const bench = new Bench();
    bench.vbeMode(640, 480, 8, 0x61);
    bench.out(0x3c8, 5);
    for (const level of [0x81, 0x42, 0xff]) bench.out(0x3c9, level);
    bench.poke(LINEAR, 5);
    bench.draw();
    expect(bench.pixel(0, 0)).toBe(0x8142ff);
  });
  it('clears the screen unless asked not to', () => {
    const bench = new Bench();
    bench.vbeMode(640, 480, 32);
    bench.poke(LINEAR + 4, 9, 9, 9);
    bench.vbeMode(640, 480, 32, 0xc1);
    bench.draw();
    expect(bench.pixel(1, 0)).toBe(0x090909);
    bench.vbeMode(640, 480, 32, 0x41);
    bench.draw();
    expect(bench.pixel(1, 0)).toBe(0);
  });
  it('tells its limits and takes only its ids', () => {
    const bench = new Bench();
    bench.vbe(VBE.enable, 2);
    expect([VBE.xres, VBE.yres, VBE.bpp].map((index) => bench.readVbe(index))).toEqual([16000, 12000, 32]);
    bench.vbe(VBE.id, 0xb0c2);
    bench.vbe(VBE.id, 0x1234);
    expect([bench.readVbe(VBE.id), bench.readVbe(VBE.videoMemory), bench.readVbe(77)]).toEqual([0xb0c2, 128, 0]);
  });
  it('makes impossible modes possible', () => {
    const bench = new Bench(1);
    bench.vbeMode(65535, 65535, 31);
    expect(bench.readVbe(VBE.bpp)).toBe(32);
    expect(bench.readVbe(VBE.xres)).toBe(16000);
    expect(bench.readVbe(VBE.yres)).toBe(Math.floor(1048576 / 64000));
    bench.vbe(VBE.yOffset, 60000);
    bench.vbe(VBE.xOffset, 60000);
    bench.draw();
    expect(bench.size).toEqual([16000, 16]);
  });
  it('survives any register values', () => {
    const bench = new Bench(1);
    let seed = 3;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let round = 0; round < 1500; round++) {
      const kind = random(8);
      if (kind === 0) bench.vbe(random(11), random(65536));
      else if (kind === 1) bench.vbe(VBE.enable, random(256));
      else if (kind === 2) bench.attribute(random(21), random(256));
      else if (kind === 3) bench.poke(0xa0000 + random(0x20000), random(256));
      else if (kind === 4) bench.peek(0xa0000 + random(0x20000));
      else bench.indexed([0x3c4, 0x3ce, bench.crtc][random(3)]!, random(32), random(256));
      if (round % 10 === 0) {
        bench.draw();
        bench.console.readText();
      }
    }
    bench.vbe(VBE.enable, 0);
    bench.setMode(MODES.text80);
    bench.draw();
    expect(bench.size).toEqual([720, 400]);
  });
});

describe('saved state', () => {
  it('has QEMU’s fields in QEMU’s order and sizes', () => {
    const fields = Object.entries(new Bench().card.deviceClass.vmstate!.fields).map(
      ([name, field]) => `${name}:${field.size}${field.count ? `x${field.count}` : ''}`,
    );
    expect(fields.join(' ')).toBe(
      'latch:4 sr_index:1 sr:8 gr_index:1 gr:16 ar_index:1 ar:21 ar_flip_flop:4 cr_index:1 cr:256 msr:1 fcr:1 st00:1 st01:1 dac_state:1 dac_sub_index:1 dac_read_index:1 dac_write_index:1 dac_cache:3 palette:768 bank_offset:4 is_vbe_vmstate:1 vbe_index:2 vbe_regs:2x10 vbe_start_addr:4 vbe_line_offset:4 vbe_bank_mask:4',
    );
  });
  it('a picture comes back from its state and video memory', () => {
    const one = new Bench();
    one.setMode(MODES.text80);
    one.glyph(0x42, [0xf0, 0x0f]);
    one.poke(0xb8000, 0x42, 0x1f);
    one.draw();
    const state = structuredClone(one.card.state);
    const memory = one.card.vga.bytes.slice();
    const shown = one.console.surface.pixels.slice();
    const two = new Bench();
    Object.assign(two.card.state, state);
    two.card.vga.bytes.set(memory);
    two.card.postLoad();
    two.draw();
    expect(two.console.surface.pixels).toEqual(shown);
  });
});
