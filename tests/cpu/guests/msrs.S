# Every model-specific register in the ranges that mean something: as it is after reset, after all ones (or what faults), after a
# pattern, after zeroes. Left out: the TSC counters and the APIC base; those that fault or stay zero throughout are not printed.
.include "common.inc"
.set RANGE, SCRATCH
.set NUMBER, SCRATCH + 4
.set BUFFER, SCRATCH + 16
main:
  mov dword ptr [HOOK], offset faulted
  mov dword ptr [RANGE], offset ranges
1: mov esi, [RANGE]
  mov eax, [esi]
  cmp eax, -1
  je 9f
  mov [NUMBER], eax
2: call try
  inc dword ptr [NUMBER]
  mov esi, [RANGE]
  mov eax, [NUMBER]
  cmp eax, [esi + 4]
  jne 2b
  add dword ptr [RANGE], 8
  jmp 1b
9: ret
try:
  mov eax, [NUMBER]
  cmp eax, 0x10
  je 9f
  cmp eax, 0x1b
  je 9f
  cmp eax, 0x3b # TSC_ADJUST moves the counter
  je 9f
  cmp eax, 0x6e0 # TSC_DEADLINE
  je 9f
  mov edi, BUFFER
  mov ecx, 16
  xor eax, eax
  rep stosd
  mov [SAVED_ESP], esp
  mov dword ptr [RESUME], offset 77f
  mov ebp, BUFFER
  call read
77: mov dword ptr [RESUME], offset 78f
  mov ebp, BUFFER + 8
  mov eax, -1
  mov edx, -1
  call write
  call read
78: mov dword ptr [RESUME], offset 79f
  mov ebp, BUFFER + 16
  mov eax, 0x89abcde6
  mov edx, 0x01234567
  call write
  call read
79: mov dword ptr [RESUME], offset 80f
  mov ebp, BUFFER + 24
  xor eax, eax
  xor edx, edx
  call write
  call read
80: mov esi, BUFFER
  mov ecx, 8
  xor eax, eax
81: or eax, [esi]
  add esi, 4
  loop 81b
  test eax, eax
  jz 9f
  mov eax, [NUMBER]
  call hex8
  mov esi, BUFFER
  mov ecx, 4
82: call space
  mov eax, [esi + 4]
  call hex8
  mov eax, [esi]
  call hex8
  add esi, 8
  loop 82b
  call newline
9: ret
read:
  mov ecx, [NUMBER]
  rdmsr
  mov [ebp], eax
  mov [ebp + 4], edx
  ret
write:
  mov ecx, [NUMBER]
  wrmsr
  ret
faulted: # the vector in place of the value
  mov eax, [ebp]
  mov ecx, [esp + 8] # EBP of the code that faulted
  mov [ecx], eax
  mov dword ptr [ecx + 4], 0xffff
  mov esp, [SAVED_ESP]
  jmp dword ptr [RESUME]
.align 4
# not BNDCFGS (MPX), nor FS_BASE and GS_BASE, which are long mode's
ranges: .long 0, 0x600, 0x600, 0x700, 0xc00, 0xd90, 0xd91, 0xe00, 0x40000000, 0x40000120
  .long 0xc0000080, 0xc0000100, 0xc0000102, 0xc0000110, 0xc0010000, 0xc0010140, 0xc0011020, 0xc0011030, -1
.include "tail.inc"
