# Task switches: JMP, CALL, IRET, task gates in GDT and IDT, 16- and 32-bit TSS, faults before and in the new task, VM86 tasks.
.include "common.inc"
.set TSS2, 0x3100
.set TSS16, 0x3200
.set TSS3, 0x3300
.set FAR, SCRATCH
main:
  mov byte ptr [COMPACT], 0
  mov dword ptr [TSS + 0x60], 0x30
  mov eax, cr3
  mov [TSS + 0x1c], eax
  # 48: second task, 50: 16-bit task, 58: task gate to 48, 60: third task (double faults)
  mov dword ptr [GDT + 0x48], (TSS2 << 16) + 0x67
  mov dword ptr [GDT + 0x4c], 0x00008900
  mov dword ptr [GDT + 0x50], (TSS16 << 16) + 0x2b
  mov dword ptr [GDT + 0x54], 0x00008100
  mov dword ptr [GDT + 0x58], 0x48 << 16
  mov dword ptr [GDT + 0x5c], 0x00008500
  mov dword ptr [GDT + 0x60], (TSS3 << 16) + 0x67
  mov dword ptr [GDT + 0x64], 0x00008900
  call plain
  call sixteen
  call gates
  call bad
  call inside
  call double
  ret

fill: # edi: a TSS; eax: its eip
  push edi
  push eax
  mov ecx, 0x68 / 4
  xor eax, eax
  rep stosd
  pop eax
  pop edi
  mov [edi + 0x20], eax
  mov dword ptr [edi + 0x24], 0x1d7
  and dword ptr [edi + 0x24], ~0x100
  mov dword ptr [edi + 0x28], 0x28282828
  mov dword ptr [edi + 0x2c], 0x2c2c2c2c
  mov dword ptr [edi + 0x30], 0x30303030
  mov dword ptr [edi + 0x34], 0x34343434
  mov dword ptr [edi + 0x38], 0x6800
  mov dword ptr [edi + 0x3c], 0x3c3c3c3c
  mov dword ptr [edi + 0x40], 0x40404040
  mov dword ptr [edi + 0x44], 0x44444444
  mov dword ptr [edi + 0x48], KDATA
  mov dword ptr [edi + 0x4c], KCODE
  mov dword ptr [edi + 0x50], KDATA
  mov dword ptr [edi + 0x54], KDATA
  mov dword ptr [edi + 0x58], UDATA
  mov dword ptr [edi + 0x5c], 0
  mov dword ptr [edi + 0x60], 0
  mov dword ptr [edi + 4], 0x8000
  mov dword ptr [edi + 8], KDATA
  mov dword ptr [edi + 0x64], 0x680000
  ret
dump: # edi: a 32-bit TSS
  push ebx
  xor ebx, ebx
1: cmp ebx, 0x24
  je 2f
  cmp ebx, 0x38
  je 2f
2: mov eax, [edi + ebx]
  and eax, ~RF
  call hex8
  call space
  add ebx, 4
  cmp ebx, 0x68
  jne 1b
  call newline
  pop ebx
busy:
  mov al, [GDT + 0x2d]
  call hex2
  mov al, [GDT + 0x4d]
  call hex2
  mov al, [GDT + 0x55]
  call hex2
  mov al, [GDT + 0x65]
  call hex2
  str eax
  call hex4
  mov eax, cr0
  call hex8
  call newline
  ret
restore: # back in the main task's TSS by hand
  mov dword ptr [GDT + 0x2c], 0x00008900
  mov dword ptr [GDT + 0x4c], 0x00008900
  mov dword ptr [GDT + 0x54], 0x00008100
  mov dword ptr [GDT + 0x64], 0x00008900
  mov ax, 0x28
  ltr ax
  clts
  pushd 2
  popfd
  ret
registers:
  pushad
  mov ebx, 7
1: mov eax, [esp + ebx * 4]
  call hex8
  call space
  dec ebx
  jns 1b
  popad
  pushfd
  pop eax
  call hex8
  call space
  mov eax, ds
  call hex4
  mov eax, fs
  call hex4
  mov eax, gs
  call hex4
  call newline
  ret

plain:
  SAY "jmp\n"
  mov edi, TSS2
  mov eax, offset 2f
  call fill
  TRY
  pushd 0xcd5
  popfd
  mov eax, 0x11
  mov ebx, 0x22
  jmp 0x48:0
1: # back here by a second jump
  call registers
  OK
  mov edi, TSS
  call dump
  mov edi, TSS2
  call dump
  call restore
  SAY "call\n"
  mov edi, TSS2
  mov eax, offset 3f
  call fill
  TRY
  call 0x48:0
  call registers
  OK
  mov edi, TSS
  call dump
  mov edi, TSS2
  call dump
  # again: the task goes on behind its IRET
  TRY
  call 0x48:0
  OK
  mov edi, TSS2
  call dump
  call restore
  ret
2: call registers
  jmp 0x28:0
3: call registers
  mov eax, 0xaa
  iretd
  SAY "again "
  mov eax, cr0
  call hex8
  iretd

sixteen:
  SAY "16\n"
  mov edi, TSS16
  mov ecx, 0x2c / 4
  xor eax, eax
  rep stosd
  # code must lie below 64 KiB: mov eax, imm32; jmp eax
  mov byte ptr [0x6000], 0xb8
  mov dword ptr [0x6001], offset 1f
  mov word ptr [0x6005], 0xe0ff
  mov word ptr [TSS16 + 0x0e], 0x6000
  mov word ptr [TSS16 + 0x10], 0x0003
  mov word ptr [TSS16 + 0x12], 0x1212
  mov word ptr [TSS16 + 0x14], 0x1414
  mov word ptr [TSS16 + 0x1a], 0x6800
  mov word ptr [TSS16 + 0x22], KDATA
  mov word ptr [TSS16 + 0x24], KCODE
  mov word ptr [TSS16 + 0x26], KDATA
  mov word ptr [TSS16 + 0x28], KDATA
  TRY
  mov ecx, 0x89abcdef
  call 0x50:0
  call registers
  OK
  mov edi, TSS16
  call dump
  mov edi, TSS
  call dump
  call restore
  ret
1: call registers
  mov ecx, 0x77777777
  iretd

gates:
  SAY "gates\n"
  mov edi, TSS2
  mov eax, offset 1f
  call fill
  TRY
  jmp 0x58:0x1234
9: OK
  call busy
  call restore
  # an interrupt through a task gate, from ring 3, with and without error code
  mov dword ptr [IDT + 0x42 * 8], 0x48 << 16
  mov dword ptr [IDT + 0x42 * 8 + 4], 0xe500
  mov edi, TSS2
  mov eax, offset 2f
  call fill
  TRY
  mov eax, offset user_int
  jmp user
77:
  call busy
  mov edi, TSS
  call dump
  mov edi, TSS2
  call dump
  call restore
  mov eax, [IDT + 13 * 8]
  mov ebx, [IDT + 13 * 8 + 4]
  push eax
  push ebx
  mov dword ptr [IDT + 13 * 8], 0x48 << 16
  mov dword ptr [IDT + 13 * 8 + 4], 0x8500
  mov edi, TSS2
  mov eax, offset 3f
  call fill
  TRY
  mov eax, 0x7ff8
  mov ds, ax
8: OK
  call busy
  mov edi, TSS
  call dump
  pop ebx
  pop eax
  mov [IDT + 13 * 8], eax
  mov [IDT + 13 * 8 + 4], ebx
  call restore
  # too low a DPL
  mov dword ptr [IDT + 0x42 * 8 + 4], 0x8500
  TRY
  mov eax, offset user_int
  jmp user
77:
  call busy
  ret
1: SAY "in "
  mov dword ptr [TSS + 0x20], offset 9b
  jmp 0x28:0
2: SAY "int "
  call registers
  iretd
3: SAY "fault "
  pop eax
  call hex8
  call registers
  mov dword ptr [TSS + 0x20], offset 8b
  iretd
user_int:
  int 0x42
  mov eax, 0x99
  int 0x40

# what is refused before the switch
bad:
  SAY "bad\n"
  TRY
  jmp 0x28:0
  OK
  TRY
  call 0x28:0
  OK
  mov dword ptr [GDT + 0x4c], 0x00000900
  TRY
  jmp 0x48:0
  OK
  TRY
  jmp 0x58:0
  OK
  mov dword ptr [GDT + 0x4c], 0x00008900
  mov dword ptr [GDT + 0x48], (TSS2 << 16) + 0x66
  TRY
  jmp 0x48:0
  OK
  mov dword ptr [GDT + 0x48], (TSS2 << 16) + 0x67
  mov dword ptr [GDT + 0x50], (TSS16 << 16) + 0x2a
  TRY
  jmp 0x50:0
  OK
  mov dword ptr [GDT + 0x50], (TSS16 << 16) + 0x2b
  mov dword ptr [GDT + 0x58], 0x10 << 16
  TRY
  jmp 0x58:0
  OK
  mov dword ptr [GDT + 0x58], 0
  TRY
  jmp 0x58:0
  OK
  mov dword ptr [GDT + 0x58], 0x48 << 16
  # IRET with a bad back link
  xor ebx, ebx
1: movzx eax, word ptr [links + ebx * 2]
  cmp eax, 0xffff
  je 2f
  mov [TSS], ax
  TRY
  pushd 0x4002
  popfd
  iretd
  OK
  inc ebx
  jmp 1b
2: call busy
  call restore
  ret
links: .word 0, 8, 0x48, 0x4c, 0x58, 0x3f8, 0xffff

# faults while the new task's data segments are loaded: they belong to the new task (with CS, SS or LDT at fault there is
# no stack to deliver on; QEMU, which checks no limits, delivers nevertheless)
inside:
  SAY "inside\n"
  mov byte ptr [COMPACT], 1 # QEMU pushes the old task's EIP here
  mov dword ptr [GDT + 0x68], 0x0000ffff # absent data
  mov dword ptr [GDT + 0x6c], 0x00cf1300
  mov dword ptr [GDT + 0x70], 0x0000ffff # absent code
  mov dword ptr [GDT + 0x74], 0x00cf1b00
  xor ebx, ebx
1: mov [SCRATCH + 12], ebx
  mov edi, TSS2
  mov eax, offset 3f
  call fill
  movzx edx, word ptr [cases + ebx * 4]
  cmp dx, 0xffff
  je 2f
  movzx eax, word ptr [cases + ebx * 4 + 2]
  mov [TSS2 + edx], eax
  mov eax, edx
  call hex2
  call space
  mov eax, [TSS2 + edx]
  call hex4
  call space
  TRY
  jmp 0x48:0
77:
  call busy
  call restore
  mov ebx, [SCRATCH + 12]
  inc ebx
  jmp 1b
2: ret
3: SAY "ran\n"
  jmp resume
.align 4
cases:
  .word 0x54, 0x68, 0x48, 0x28, 0x58, 0x3f8, 0x5c, 0x404
  .word 0x60, 0x30, 0xffff, 0

# a page fault... none here: #DF through a task gate, from a fault whose gate is absent
double:
  SAY "double\n"
  mov dword ptr [IDT + 8 * 8], 0x60 << 16
  mov dword ptr [IDT + 8 * 8 + 4], 0x8500
  and byte ptr [IDT + 13 * 8 + 5], 0x7f
  and byte ptr [IDT + 11 * 8 + 5], 0x7f
  mov edi, TSS3
  mov eax, offset 3f
  call fill
  TRY
  mov eax, 0x7ff8
  mov ds, ax
  OK
  call busy
  mov edi, TSS
  call dump
  call restore
  ret
3: SAY "df "
  pop eax
  call hex8
  call busy
  jmp resume
.include "tail.inc"
