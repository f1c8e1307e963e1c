# Every CPUID leaf that QEMU has, and what its hidden part shows: registers after reset, CR4's writable bits.
.include "common.inc"
main:
  xor ebx, ebx
1: mov eax, [leaves + ebx * 8]
  cmp eax, -1
  je 2f
  call hex8
  call space
  mov eax, [leaves + ebx * 8 + 4]
  call hex8
  call space
  mov ecx, [leaves + ebx * 8 + 4]
  mov eax, [leaves + ebx * 8]
  push ebx
  cpuid
  mov [SCRATCH], ebx
  pop ebx
  call hex8
  call space
  mov eax, [SCRATCH]
  call hex8
  call space
  mov eax, ecx
  call hex8
  call space
  mov eax, edx
  call hex8
  call newline
  inc ebx
  jmp 1b
2: ret
.align 4
leaves:
  .long 0,0, 1,0, 2,0, 3,0, 4,0, 4,1, 4,2, 4,3, 4,4, 5,0, 6,0, 7,0, 7,1, 8,0, 9,0, 10,0, 11,0, 11,1, 11,2, 12,0, 13,0, 13,1, 13,2
  .long 0x40000000,0, 0x40000001,0, 0x80000000,0, 0x80000001,0, 0x80000002,0, 0x80000003,0, 0x80000004,0, 0x80000005,0
  .long 0x80000006,0, 0x80000007,0, 0x80000008,0, 0x80000009,0, 0x8000000a,0, 0x8000000b,0, 0xc0000000,0, 0xc0000001,0, -1
.include "tail.inc"
