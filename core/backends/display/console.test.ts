import { describe, expect, it } from 'vitest';
import { DisplayConsole, DisplayRegistry } from './console.ts';
import { clipRect, DisplaySurface, MAX_SURFACE_PIXELS, type Rect } from './surface.ts';
import { cp437, TextMirror } from './text-mirror.ts';

describe('display console', () => {
  it('tells every listener of surfaces, changes and cursors', () => {
    const console = new DisplayConsole(0);
    const heard: string[] = [];
    const listen = (name: string) =>
      console.addListener({
        surfaceSwitch: ({ width, height }) => heard.push(`${name} ${width}x${height}`),
        update: (rect: Rect) => heard.push(`${name} ${Object.values(rect).join()}`),
        cursorDefine: (cursor) => heard.push(`${name} cursor ${cursor?.width}`),
      });
    const leave = listen('a');
    console.resize(100, 50);
    console.resize(100, 50); // the same surface stays
    console.update(90, 40, 50, 50);
    console.update(200, 0, 5, 5);
    console.defineCursor({ width: 4, height: 4, hotX: 0, hotY: 0, pixels: new Uint32Array(16) });
    listen('b');
    leave();
    console.updateAll();
    expect(heard).toEqual([
      'a 640x480',
      'a 100x50',
      'a 90,40,10,10',
      'a cursor 4',
      'b 100x50',
      'b cursor 4',
      'b 0,0,100,50',
    ]);
  });
  it('lets the device draw, and does without one', () => {
    let drawn = 0;
    const registry = new DisplayRegistry();
    const device = {};
    const console = registry.createGraphicConsole(device, 0, { graphicUpdate: () => drawn++, invalidate() {} });
    console.refresh();
    expect([drawn, registry.primary, registry.find(device), registry.find({})]).toEqual([1, console, console, null]);
    console.setHardware(null);
    console.refresh();
    expect([drawn, console.setUiInfo({ width: 1, height: 1 }), console.readText().columns]).toEqual([1, false, 0]);
  });
  it('never makes a surface larger than its limit', () => {
    const { width, height, pixels } = new DisplaySurface(1e9, 1e9);
    expect(width * height).toBeLessThanOrEqual(MAX_SURFACE_PIXELS);
    expect(pixels).toHaveLength(width * height);
    expect(clipRect({ x: -5, y: -5, width: 3, height: 30 }, 10, 10)).toBeNull();
  });
});

describe('text mirror', () => {
  it('knows code page 437', () => {
    const all = Array.from({ length: 256 }, (_, code) => cp437(code));
    expect(new Set(all).size).toBeGreaterThan(250);
    expect([all[0x1b], all[0x7f], all[0x80], all[0xb3], all[0xdb], all[0xe1], all[0xfd], all[0xfe]].join('')).toBe(
      '←⌂Ç│█ß²■',
    );
    expect(all.every((character) => [...character].length === 1)).toBe(true);
  });
  it('gives lines without the blanks at their ends', () => {
    const mirror = new TextMirror();
    mirror.resize(4, 2);
    mirror.cells.set([0x741, 0x720, 0x720, 0x720, 0x720, 0x742, 0, 0]);
    expect(mirror.text()).toBe('A\n B');
  });
});
