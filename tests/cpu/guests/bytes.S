# Random bytes as one instruction, single-stepped in ring 3 in a 32-bit segment, a 16-bit one and VM86: what fault it is, or where
# the next instruction is. The test puts the bytes at the table's place: 16 for each case, 15 of them counting.
.include "common.inc"
.set CASE, SCRATCH
.set MODE, SCRATCH + 4
.set TABLE, 0xf8000
.set CASES, 0x7f00 / 16
.set PAGE_DIRECTORY, 0x100000
.set PAGE_TABLE, 0x101000
.set CODE_PAGE, 0x20000
.set DATA_PAGE, 0x21000 # and the one behind it, for the stack
.set UCODE16, 0x4b
.set UDATA16, 0x53
main:
  # only three pages are the user's
  mov edi, PAGE_DIRECTORY
  mov ecx, 1024
  xor eax, eax
  rep stosd
  mov dword ptr [PAGE_DIRECTORY], PAGE_TABLE + 7
  mov edi, PAGE_TABLE
  mov ecx, 1024
  mov eax, 3
1: stosd
  add eax, 0x1000
  loop 1b
  or dword ptr [PAGE_TABLE + 0x20 * 4], 4
  or dword ptr [PAGE_TABLE + 0x21 * 4], 4
  or dword ptr [PAGE_TABLE + 0x22 * 4], 4
  mov eax, PAGE_DIRECTORY
  mov cr3, eax
  mov eax, cr4
  or eax, 0x600
  mov cr4, eax
  mov eax, cr0
  and eax, 0x9fffffff
  or eax, 0x80000020
  mov cr0, eax
  mov dword ptr [GDT + 0x48], 0x0000ffff
  mov dword ptr [GDT + 0x4c], 0x0000fb02
  mov dword ptr [GDT + 0x50], 0x1000ffff
  mov dword ptr [GDT + 0x54], 0x0000f302
  mov dword ptr [HOOK], offset stepped
  mov dword ptr [SAVED_ESP], esp
  mov dword ptr [CASE], 0
2: mov dword ptr [MODE], 0
  mov eax, [CASE]
  call hex4
  call space
3: jmp step
next:
  inc dword ptr [MODE]
  cmp dword ptr [MODE], 3
  jne 3b
  call newline
  inc dword ptr [CASE]
  cmp dword ptr [CASE], CASES
  jne 2b
  ret
step:
  mov edi, DATA_PAGE
  mov ecx, 2048
  xor eax, eax
  rep stosd
  mov edi, CODE_PAGE
  mov ecx, 64
  mov eax, 0xcccccccc
  rep stosd
  mov esi, [CASE]
  shl esi, 4
  add esi, TABLE
  mov edi, CODE_PAGE
  mov ecx, 15
  rep movsb
  fninit
  mov dword ptr [SCRATCH + 16], 0x1f80
  ldmxcsr [SCRATCH + 16]
  cmp dword ptr [MODE], 1
  je 16f
  ja 86f
  pushd UDATA
  pushd DATA_PAGE + 0x1800
  pushd 0x102
  pushd UCODE
  pushd CODE_PAGE
  mov eax, UDATA
  mov ebx, DATA_PAGE + 0x800
  jmp 9f
16: pushd UDATA16
  pushd 0x1800
  pushd 0x102
  pushd UCODE16
  pushd 0
  mov eax, UDATA16
  mov ebx, 0x800
9: mov ds, ax
  mov es, ax
  mov fs, ax
  mov gs, ax
  jmp 8f
86: pushd DATA_PAGE / 16
  pushd DATA_PAGE / 16
  pushd DATA_PAGE / 16
  pushd DATA_PAGE / 16
  pushd DATA_PAGE / 16
  pushd 0x1800
  pushd 0x20102
  pushd CODE_PAGE / 16
  pushd 0
  mov ebx, 0x800
8: mov eax, ebx
  lea edx, [ebx + 16]
  lea ebp, [ebx + 32]
  lea esi, [ebx + 48]
  lea edi, [ebx + 64]
  mov ecx, 1
  iretd
# ebp: vector, error, eip, cs
stepped:
  mov eax, [ebp]
  call hex2
  mov al, '/'
  call putc
  mov eax, [ebp + 4]
  and al, 0xfe # EXT: QEMU never sets it
  call hex4
  cmp dword ptr [ebp], 14
  jne 1f
  mov al, '@'
  call putc
  mov eax, cr2
  call hex8
1: mov al, ':'
  call putc
  mov eax, [ebp + 8]
  call hex8
  call space
  mov ax, KDATA
  mov fs, ax
  mov gs, ax
  mov esp, [SAVED_ESP]
  pushd 2
  popfd
  jmp next
.include "tail.inc"
