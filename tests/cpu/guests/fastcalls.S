# SYSENTER and SYSEXIT, MSRs and their privilege, the I/O permission bitmap for every width, LMSW and CLTS.
.include "common.inc"
main:
  mov byte ptr [COMPACT], 0
  SAY "sysenter\n"
  TRY # no target yet
  sysenter
  OK
  TRY
  sysexit
  OK
  mov ecx, 0x174
  xor edx, edx
  mov eax, 8
  wrmsr
  inc ecx
  mov eax, 0x8000
  wrmsr
  inc ecx
  mov eax, offset entered
  wrmsr
  TRY
  mov eax, offset user_sysenter
  jmp user
77:
  call newline
  TRY
  mov eax, offset user_sysexit
  jmp user
77:
  TRY
  mov ebx, 1 # stay in ring 0
  pushd 0x246
  popfd
  sysenter
77:
  call newline
  call msrs
  call ports
  call words
  ret
entered: # from ring 3 (ebx = 0) or ring 0
  mov eax, cs
  call hex4
  mov eax, ss
  call hex4
  mov eax, esp
  call hex8
  pushfd
  pop eax
  call hex8
  test ebx, ebx
  jnz resume
  mov ecx, 0xa000
  mov edx, offset 1f
  sysexit
1: mov eax, cs
  shl eax, 16
  mov ax, ss
  int 0x40
user_sysenter:
  xor ebx, ebx
  sysenter
user_sysexit:
  sysexit
  int 0x40

msrs:
  SAY "msrs\n"
  mov byte ptr [COMPACT], 1
  xor ebx, ebx
1: mov ecx, [list + ebx * 4]
  cmp ecx, -1
  je 9f
  mov eax, ecx
  call hex8
  mov al, ':'
  call putc
  TRY
  mov ecx, [list + ebx * 4]
  rdmsr
  push eax
  mov eax, edx
  call hex8
  pop eax
  call hex8
  OK
  TRY
  mov ecx, [list + ebx * 4]
  mov edx, 0x01234567
  mov eax, 0x89abcdef
  wrmsr
  rdmsr
  push eax
  mov eax, edx
  call hex8
  pop eax
  call hex8
  OK
  TRY
  mov ecx, [list + ebx * 4]
  xor edx, edx
  xor eax, eax
  wrmsr
  rdmsr
  push eax
  mov eax, edx
  call hex8
  pop eax
  call hex8
  OK
  TRY
  mov ecx, [list + ebx * 4]
  mov edx, -1
  mov eax, -1
  wrmsr
  rdmsr
  push eax
  mov eax, edx
  call hex8
  pop eax
  call hex8
  OK
  TRY
  mov ecx, [list + ebx * 4]
  mov eax, offset user_rdmsr
  jmp user
77:
  TRY
  mov ecx, [list + ebx * 4]
  mov eax, offset user_wrmsr
  jmp user
77:
  call newline
  inc ebx
  jmp 1b
9: ret
user_rdmsr:
  rdmsr
  int 0x40
user_wrmsr:
  wrmsr
  int 0x40
.align 4
list: .long 0x17, 0x174, 0x175, 0x176, 0x8b, 0xfe, 0x179, 0x17a, 0x17b, 0x198, 0x1a0, 0x277, 0x200, 0x201, 0x20e, 0x20f, 0x250, 0x258
  .long 0x259, 0x268, 0x26f, 0x2ff, 0x34, 0x35, 0x400, 0x401, 0x402, 0x403, 0x427, 0x428, 0xc0000081, 0xc0010015, 0x12345678, -1

ports:
  SAY "ports\n"
  # odd bytes of the map are all ones, even ones hold their own number
  xor ecx, ecx
1: mov byte ptr [TSS + 0x68 + ecx], cl
  mov byte ptr [TSS + 0x69 + ecx], 0xff
  add ecx, 2
  cmp ecx, 64
  jb 1b
  mov dword ptr [SCRATCH], 0
2: mov eax, [SCRATCH]
  call hex4
  mov al, ':'
  call putc
  TRY
  mov edx, [SCRATCH]
  mov eax, offset user_in1
  jmp user
77: TRY
  mov edx, [SCRATCH]
  mov eax, offset user_in2
  jmp user
77: TRY
  mov edx, [SCRATCH]
  mov eax, offset user_in4
  jmp user
77: call newline
  add dword ptr [SCRATCH], 1
  cmp dword ptr [SCRATCH], 0x150
  jne 2b
  # the map may end early
  mov dword ptr [GDT + 0x28], 0x30000070
  mov dword ptr [GDT + 0x2c], 0x00008900
  mov ax, 0x28
  ltr ax
  mov ebx, 0x30
3: mov eax, ebx
  call hex4
  TRY
  mov edx, ebx
  mov eax, offset user_in1
  jmp user
77: inc ebx
  cmp ebx, 0x48
  jne 3b
  mov word ptr [TSS + 0x66], 0x6f
  TRY
  xor edx, edx
  mov eax, offset user_in1
  jmp user
77:
  mov word ptr [TSS + 0x66], 0xffff
  TRY
  xor edx, edx
  mov eax, offset user_in1
  jmp user
77:
  call newline
  ret
# unused ports near zero are DMA registers: only whether they may be reached is of interest
user_in1:
  in al, dx
  xor eax, eax
  int 0x40
user_in2:
  in ax, dx
  xor eax, eax
  int 0x40
user_in4:
  in eax, dx
  xor eax, eax
  int 0x40

words:
  SAY "cr0\n"
  smsw eax
  call hex8
  mov ax, 0xfff0
  lmsw ax # cannot leave protected mode
  mov eax, cr0
  call hex8
  mov ax, 0x000f
  lmsw ax
  mov eax, cr0
  call hex8
  clts
  mov eax, cr0
  call hex8
  and eax, ~0xe
  mov cr0, eax
  mov eax, cr4
  call hex8
  mov eax, 0xdeadbeef
  mov cr2, eax
  mov eax, cr2
  call hex8
  mov eax, 0x12345678
  mov cr3, eax
  mov eax, cr3
  call hex8
  call newline
  ret
.include "tail.inc"
