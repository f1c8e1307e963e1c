import { describe, expect, it } from 'vitest';
import type { BlockCache } from './blocks.ts';
import { bareMachine, enterFlat32 } from './testing.ts';

const bytes = (hex: string) => Uint8Array.from(hex.match(/[0-9a-f]{2}/g)!.map((b) => Number.parseInt(b, 16)));

describe('blocks that writes dropped', () => {
  it('are remembered up to a number, whatever the guest writes and runs', () => {
    const m = bareMachine(1 << 20, { jit: 'on' });
    enterFlat32(m, 0x1000);
    // xor esi,esi; 1: edi = 0x10000 + 16 * (esi & 0xfff); a function there that returns esi is written and called; inc esi;
    // cmp esi,60000; jb 1b; hlt; 2: ud2
    m.dma(
      0x1000,
      bytes(
        '31f6 89f7 81e7ff0f0000 c1e704 81c700000100 897701 c607b8 c64705c3 ffd7 39f0 750a 46 81fe60ea0000 72d6 f4 0f0b',
      ),
    );
    for (let i = 0; i < 20 && !m.cpu.state.halted; i++) m.cpu.run(100_000);
    expect(m.cpu.state.halted).toBe(true);
    expect([m.cpu.state.reg32(0), m.cpu.state.reg32(6)]).toEqual([59_999, 60_000]);
    const { remembered, byRecord } = (m.cpu as unknown as { blocks: BlockCache }).blocks as unknown as {
      remembered: Set<unknown>;
      byRecord: { size: number };
    };
    expect(remembered.size).toBe(16_384);
    expect(byRecord.size).toBeLessThan(16_384 + 4096 + 20);
  });
});

describe('room for blocks', () => {
  it('is there as long as they can be decoded without dropping the others', () => {
    const m = bareMachine(1 << 20, { jit: 'on' });
    const { blocks } = m.cpu as unknown as { blocks: BlockCache };
    m.ram.fill(0x90);
    const at = m.ram.byteOffset;
    const build = (i: number) => blocks.build(at + i, i, 1, () => 0);
    expect(blocks.hasRoom(32)).toBe(true);
    let decoded = 0;
    for (; blocks.hasRoom(32); decoded++) build(decoded);
    expect(blocks.hasRoom(31)).toBe(true);
    for (let i = 0; i < 31; i++) build(decoded++);
    for (; blocks.hasRoom(1); decoded++) build(decoded);
    expect(blocks.generation).toBe(0);
    build(1 << 19);
    expect(blocks.generation).toBe(1);
    expect(blocks.hasRoom(32)).toBe(true);
  });
});
