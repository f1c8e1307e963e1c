# 3DNow!: every operation on every pair of a list of numbers, from a register and from memory; what it does to the x87 unit; faults.
# NaNs are not in the list: what they give is left open.
.include "common.inc"
.set PAIR, SCRATCH
.macro OPERATION suffix
  movq mm0, [esi]
  movq mm1, [edi]
  .byte 0x0f, 0x0f, 0xc1, \suffix
  movq [PAIR], mm0
  movq mm2, [esi]
  .byte 0x0f, 0x0f, 0x17, \suffix # mm2, [edi]
  movq [PAIR + 8], mm2
  call show
.endm
main:
  mov byte ptr [COMPACT], 0
  mov esi, offset numbers
1: mov edi, offset numbers
2: mov eax, [esi]
  call hex8
  call space
  mov eax, [edi]
  call hex8
  .irp suffix, 0x0c, 0x0d, 0x1c, 0x1d, 0x8a, 0x8e, 0x90, 0x94, 0x96, 0x97, 0x9a, 0x9e
  OPERATION \suffix
  .endr
  .irp suffix, 0xa0, 0xa4, 0xa6, 0xa7, 0xaa, 0xae, 0xb0, 0xb4, 0xb6, 0xb7, 0xbb, 0xbf
  OPERATION \suffix
  .endr
  call newline
  add edi, 8
  cmp edi, offset numbers_end
  jne 2b
  add esi, 8
  cmp esi, offset numbers_end
  jne 1b
  SAY "x87 "
  fninit
  fld1
  movq mm0, [numbers]
  .byte 0x0f, 0x0f, 0xc0, 0x9e
  call environment
  femms
  call environment
  call newline
  SAY "prefixes, addresses "
  movq mm3, [numbers + 16]
  .byte 0x66, 0x0f, 0x0f, 0xdb, 0x9e # mm3 += mm3
  .byte 0xf3, 0x0f, 0x0f, 0xdb, 0x9e
  mov esi, offset numbers
  mov ecx, 2
  .byte 0x0f, 0x0f, 0x5c, 0xce, 0x08, 0xb4 # mm3 *= [esi + ecx * 8 + 8]
  .byte 0x0f, 0x0f, 0x1d
  .long numbers + 32
  .byte 0x9e # mm3 += [numbers + 32]
  movq [PAIR], mm3
  mov eax, [PAIR]
  call hex8
  mov eax, [PAIR + 4]
  call hex8
  prefetch [esi]
  prefetchw [esi]
  call newline
  SAY "faults "
  TRY
  .byte 0x0f, 0x0f, 0xc1, 0x00
  OK
  TRY
  .byte 0x0f, 0x0f, 0xc1, 0x9f
  OK
  TRY # task switched
  mov eax, cr0
  or eax, 8
  mov cr0, eax
  .byte 0x0f, 0x0f, 0xc1, 0x9e
  OK
  TRY # emulated
  mov eax, cr0
  and eax, ~8
  or eax, 4
  mov cr0, eax
  .byte 0x0f, 0x0f, 0xc1, 0x9e
  OK
  call newline
  mov byte ptr [COMPACT], 1
  SAY "femms "
  TRY
  femms
  OK
  TRY
  mov eax, cr0
  xor eax, 12
  mov cr0, eax
  femms
  OK
  clts
  call newline
  ret

# both results must be the same
show:
  call space
  mov eax, [PAIR]
  mov edx, [PAIR + 4]
  cmp eax, [PAIR + 8]
  jne 1f
  cmp edx, [PAIR + 12]
  je 2f
1: push eax
  mov al, '!'
  call putc
  pop eax
2: call hex8
  mov eax, edx
  jmp hex8
environment: # status and tags
  fnstenv [PAIR]
  mov eax, [PAIR + 4]
  call hex4
  mov eax, [PAIR + 8]
  call hex4
  jmp space

numbers:
  .long 0x00000000, 0x3f800000 # 0, 1
  .long 0x80000000, 0xbfc00000 # -0, -1.5
  .long 0x40490fdb, 0x501502f9 # pi, 1e10
  .long 0xba83126f, 0x3eaaaaab # -0.001, 1/3
  .long 0x7f7fffff, 0x00800000 # the largest, the least normal
  .long 0x00000123, 0x80400000 # denormal
  .long 0x7f800000, 0xff800000 # infinities
  .long 0x470000b3, 0xc71c4033 # 32768.7, -40000.2
  .long 0x4f000000, 0xcf000000 # 2^31, -2^31
  .long 0xff7fffff, 0x4b7fffff # -the largest, 2^24 - 1
  .long 0x7fff8000, 0x80018000 # as integers; NaNs are of no use below
numbers_end = . - 8
.include "tail.inc"
