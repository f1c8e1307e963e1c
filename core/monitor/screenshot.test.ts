import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DisplaySurface } from '../backends/display/surface.ts';
import { nodeCompression } from '../node/compression.ts';
import { encodePng, encodePpm } from './screenshot.ts';

const surface = new DisplaySurface(3, 2);
surface.pixels.set([0x112233, 0xff0000, 0x00ff00, 0x0000ff, 0xffffff, 0]);
const PIXELS = [0x11, 0x22, 0x33, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0];

describe('screenshots', () => {
  it('PPM', () => {
    const bytes = encodePpm(surface);
    expect(Buffer.from(bytes.subarray(0, 11)).toString()).toBe('P6\n3 2\n255\n');
    expect([...bytes.subarray(11)]).toEqual(PIXELS);
  });
  it('PNG', () => {
    const bytes = Buffer.from(encodePng(surface, nodeCompression));
    expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    const chunks: Record<string, Buffer> = {};
    for (let at = 8; at < bytes.length; ) {
      const length = bytes.readUInt32BE(at);
      chunks[bytes.toString('latin1', at + 4, at + 8)] = bytes.subarray(at + 8, at + 8 + length);
      at += 12 + length;
    }
    expect([...chunks.IHDR!]).toEqual([0, 0, 0, 3, 0, 0, 0, 2, 8, 2, 0, 0, 0]);
    expect([...inflateSync(chunks.IDAT!)]).toEqual([0, ...PIXELS.slice(0, 9), 0, ...PIXELS.slice(9)]);
    // The checksum of an empty IEND is known to every PNG file.
    expect(bytes.subarray(-4).toString('hex')).toBe('ae426082');
  });
});
