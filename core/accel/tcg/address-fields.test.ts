import { describe, expect, it } from 'vitest';
import { decode, decodeLong } from '../../target/x86/decode/decoder.ts';
import { displacementField, immediateField } from './address-fields.ts';
import { isRelocated, MODE } from './blocks.ts';

const A = [0x78, 0x56, 0x34, 0xc1];
const SMALL = [0x78, 0xff, 0xff, 0xff];
/** What is asked of instructions: bits of the code, its bytes, where displacement and immediate are. */
const CASES: readonly (readonly [string, 32 | 64, readonly number[], number, number])[] = [
  ['mov eax,[A]', 32, [0xa1, ...A], 1, 0],
  ['mov [A],al', 32, [0xa2, ...A], 1, 0],
  ['mov ecx,[A]', 32, [0x8b, 0x0d, ...A], 2, 0],
  ['mov ecx,fs:[A]', 32, [0x64, 0x8b, 0x0d, ...A], 3, 0],
  ['mov ecx,A', 32, [0xb9, ...A], 0, 1],
  ['push A', 32, [0x68, ...A], 0, 1],
  ['cmp eax,A', 32, [0x3d, ...A], 0, 1],
  ['imul eax,ecx,A', 32, [0x69, 0xc1, ...A], 0, 2],
  ['cmp dword [A],A', 32, [0x81, 0x3d, ...A, ...A], 2, 6],
  ['cmp dword [A],8', 32, [0x83, 0x3d, ...A, 8], 2, 0],
  ['cmp dword [A],-8', 32, [0x83, 0x3d, ...A, 0xf8], 2, 0],
  ['mov dword [eax+8],A', 32, [0xc7, 0x40, 8, ...A], 0, 3],
  ['mov word [A],C134h', 32, [0x66, 0xc7, 0x05, ...A, 0x34, 0xc1], 3, 0],
  ['mov eax,[esi*4+A]', 32, [0x8b, 0x04, 0xb5, ...A], 3, 0],
  ['mov eax,[ebx+esi+A]', 32, [0x8b, 0x84, 0x33, ...A], 3, 0],
  ['jmp [A]', 32, [0xff, 0x25, ...A], 2, 0],
  ['bt [A],3', 32, [0x0f, 0xba, 0x25, ...A, 3], 3, 0],
  ['pop [A]', 32, [0x8f, 0x05, ...A], 2, 0],
  // With ESP as base it is four bytes farther on than the code says.
  ['pop [esp+A]', 32, [0x8f, 0x84, 0x24, ...A], 0, 0],
  ['mov ecx,[small]', 32, [0x8b, 0x0d, ...SMALL], 0, 0],
  ['mov ecx,small', 32, [0xb9, ...SMALL], 0, 0],
  ['mov ecx,[ebp-8]', 32, [0x8b, 0x4d, 0xf8], 0, 0],
  ['jmp far 1234h:A', 32, [0xea, ...A, 0x34, 0x12], 0, 0],
  ['call A', 32, [0xe8, ...A], 0, 0],
  ['mov eax,[bx+C156h]', 32, [0x67, 0x8b, 0x87, 0x56, 0xc1], 0, 0],
  ['mov rdi,A', 64, [0x48, 0xc7, 0xc7, ...A], 0, 3],
  ['mov edi,A', 64, [0xbf, ...A], 0, 1],
  ['mov rax,[rdi*8+A]', 64, [0x48, 0x8b, 0x04, 0xfd, ...A], 4, 0],
  ['mov eax,gs:[A]', 64, [0x65, 0x8b, 0x04, 0x25, ...A], 4, 0],
  ['mov dword [rax+A],A', 64, [0xc7, 0x80, ...A, ...A], 2, 6],
  // Relative to the code, or not of four bytes.
  ['mov rax,[rip+A]', 64, [0x48, 0x8b, 0x05, ...A], 0, 0],
  ['mov dword [rip+A],A', 64, [0xc7, 0x05, ...A, ...A], 0, 6],
  ['mov rax,A of 64 bits', 64, [0x48, 0xb8, ...A, 0xff, 0xff, 0xff, 0xff], 0, 0],
  ['mov rax,[A of 64 bits]', 64, [0x48, 0xa1, ...A, 0xff, 0xff, 0xff, 0xff], 0, 0],
  ['vpaddd ymm0,ymm1,[rax+A]', 64, [0xc5, 0xf5, 0xfe, 0x80, ...A], 4, 0],
  ['vinsertf128 ymm0,ymm1,[rax+A],1', 64, [0xc4, 0xe3, 0x75, 0x18, 0x80, ...A, 1], 5, 0],
];

describe('addresses in code', () => {
  it.each(CASES)('of %s are found where they are', (_name, bits, code, displacement, immediate) => {
    const AT = 3;
    const bytes = Uint8Array.from([0x90, 0x90, 0x90, ...code, ...Array(16).fill(0x90)]);
    const d = bits === 64 ? decodeLong(bytes, AT, bytes.length)! : decode(bytes, AT, bytes.length, true)!;
    expect(d.length).toBe(code.length);
    expect([displacementField(d, bytes, AT), immediateField(d, bytes, AT)]).toEqual([displacement, immediate]);
  });

  it('are looked for in code of the system only, of 32 and 64 bits', () => {
    expect([MODE.code32, MODE.code64, MODE.code32 | MODE.limited].map(isRelocated)).toEqual([true, true, true]);
    expect([0, MODE.user | MODE.code32, MODE.user | MODE.code64].map(isRelocated)).toEqual([false, false, false]);
  });
});
