import { describe, expect, it } from 'vitest';
import { inAsmText, listInstructions } from './listing.ts';

const CODE = Uint8Array.from([
  ...[0x66, 0xc7, 0x84, 0x24, 0x11, 0x22, 0x33, 0x44, 0x55],
  ...[0xf3, 0xab],
  ...[0x0f, 0x0f],
  0xff,
]);
const memory = (start: bigint) => (address: bigint, length: number) => {
  const at = Number(address - start);
  return at >= 0 && at + length <= CODE.length ? CODE.subarray(at, at + length) : null;
};

describe('x /i', () => {
  it('goes on below a long instruction, shows bytes that are none, and ends where memory does', () => {
    expect(listInstructions(0x7000n, 20, 16, memory(0x7000n))).toBe(
      [
        '0x00007000:  66 c7 84 24 11 22 33 44  movl     $0x55443322, 0x1124(%si)',
        '0x00007008:  55',
        '0x00007009:  f3 ab                    rep stosw %ax, %es:(%di)',
        '0x0000700b:  0f                       .byte    0x0f',
        '0x0000700c:  0f                       .byte    0x0f',
        '0x0000700d:  ff                       .byte    0xff',
        '0x0000700e: unable to read memory',
        '',
      ].join('\n'),
    );
  });
  it('shows long addresses, and nothing for nothing', () => {
    const high = 0xffff_ffff_8100_0009n;
    expect(listInstructions(high, 1, 64, memory(high - 9n))).toBe(
      '0xffffffff81000009:  f3 ab                    rep stosl %eax, (%rdi)\n',
    );
    expect(listInstructions(0n, 0, 32, () => null)).toBe('');
  });
});

describe('-d in_asm', () => {
  it('logs a block with a heading and an empty line after it', () => {
    expect(inAsmText(CODE, 9, 2, 0xf_fff0n, 32)).toBe(
      '----------------\nIN: \n0x000ffff0:  f3 ab                    rep stosl %eax, %es:(%edi)\n\n',
    );
  });
});
