# Page tables: rights by level and ring, error codes, CR2, A and D bits, 4 MiB pages, PAE, NX, WP, global pages and INVLPG.
.include "common.inc"
.set DIR, 0x100000
.set TABLE, 0x101000
.set PDPT, 0x104000
.set PD64, 0x105000
.set PT64, 0x108000
.set PAGE, 0x400000 # what is tried out, mapped to 0x200000
.set DATA, 0x200000
main:
  mov byte ptr [COMPACT], 1
  call legacy
  call large
  call pae
  ret

fill_identity: # esi: page table of the first 4 MiB
  mov ecx, 1024
  mov eax, 7
1: mov [esi], eax
  add esi, 4
  add eax, 0x1000
  loop 1b
  ret
legacy:
  mov esi, TABLE
  call fill_identity
  mov edi, DIR
  mov ecx, 1024
  xor eax, eax
  rep stosd
  mov dword ptr [DIR], TABLE + 7
  mov eax, DIR
  mov cr3, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp 1f
1: SAY "paging\n"
  xor ebx, ebx # bits 0-2: PDE, 3-5: PTE, 6: WP
1: mov eax, ebx
  call hex2
  call space
  mov eax, cr0
  and eax, ~0x10000
  test bl, 0x40
  jz 2f
  or eax, 0x10000
2: mov cr0, eax
  mov eax, ebx
  and eax, 7
  or eax, 0x102000
  mov [DIR + 4], eax
  mov eax, ebx
  shr eax, 3
  and eax, 7
  or eax, DATA
  mov [0x102000], eax
  call tries
  inc ebx
  cmp ebx, 128
  jne 1b
  # page crossing
  mov dword ptr [DIR + 4], 0x102007
  mov dword ptr [0x102000], DATA + 7
  mov dword ptr [0x102004], 0
  call flush
  TRY
  mov eax, [PAGE + 0xffe]
  OK
  TRY
  mov dword ptr [PAGE + 0xffd], 0x12345678
  OK
  mov eax, [DATA + 0xffc]
  call hex8
  call space
  TRY
  mov edx, PAGE + 0x1002
  mov eax, offset user_push
  jmp user
77:
  mov eax, [DATA + 0xffc]
  call hex8
  call space
  TRY
  mov esi, PAGE + 0xff0
  mov edi, PAGE + 0x800
  mov ecx, 100
  rep movsb
  OK
  mov eax, ecx
  call hex8
  mov eax, esi
  call hex8
  call space
  # stale and invalidated entries
  mov dword ptr [0x102004], 0x201007
  call flush
  mov eax, [PAGE + 0x1000]
  mov dword ptr [0x102004], 0x202007
  mov dword ptr [0x202000], 0xabcdef01
  mov dword ptr [0x201000], 0x10fedcba
  invlpg [PAGE + 0x1000]
  mov eax, [PAGE + 0x1000]
  call hex8
  call newline
  # code from a page that disappears
  mov byte ptr [DATA], 0xc3
  call flush
  TRY
  mov eax, PAGE
  call eax
  OK
  mov dword ptr [0x102000], DATA + 6
  invlpg [PAGE]
  TRY
  mov eax, PAGE
  call eax
  OK
  mov dword ptr [0x102000], DATA + 7
  call newline
  ret
flush:
  push eax
  mov eax, cr3
  mov cr3, eax
  pop eax
  ret
entries:
  mov eax, [DIR + 4]
  and eax, 0xfff
  call hex4
  mov al, '.'
  call putc
  mov eax, [0x102000]
  and eax, 0xfff
  call hex4
  call space
  ret
tries:
  call flush
  TRY
  mov eax, [PAGE]
  OK
  call entries
  TRY
  mov [PAGE + 4], eax
  OK
  call entries
  TRY
  mov edx, PAGE
  mov eax, offset user_read
  jmp user
77:
  TRY
  mov edx, PAGE
  mov eax, offset user_write
  jmp user
77:
  call entries
  mov dword ptr [DATA + 8], 0x9040cd90 # nop, int 0x40, nop
  TRY
  mov eax, PAGE + 8
  jmp user
77:
  call newline
  ret
user_read:
  mov eax, [edx]
  mov eax, 1
  int 0x40
user_push:
  mov esp, edx
  push edx
  int 0x40
user_write:
  mov [edx], eax
  mov eax, 2
  int 0x40

large:
  SAY "large\n"
  mov dword ptr [DIR + 4], 0x102007
  mov eax, cr0
  and eax, ~0x10000
  mov cr0, eax
  xor ebx, ebx
1: mov eax, ebx
  call hex2
  call space
  # identity mapped 4 MiB pages at PAGE: rights in bits 0-2, bit 3: PSE on, bit 4: global, bit 5: reserved bit 21
  mov eax, 0
  test bl, 8
  jz 2f
  or eax, 0x10
2: test bl, 0x10
  jz 2f
  or eax, 0x80
2: mov cr4, eax
  mov eax, ebx
  and eax, 7
  or eax, 0x400080
  test bl, 0x10
  jz 2f
  or eax, 0x100
2: test bl, 0x20
  jz 2f
  or eax, 0x200000
2: mov [DIR + 4], eax
  call flush # keeps global pages
  invlpg [PAGE + 0x123456]
  invlpg [PAGE + 0x3ff000]
  TRY
  mov eax, [PAGE + 0x123456]
  OK
  TRY
  mov [PAGE + 0x123456], ebx
  OK
  mov eax, [DIR + 4]
  call hex8
  call space
  TRY
  mov edx, PAGE + 0x3ff000
  mov eax, offset user_read
  jmp user
77:
  TRY
  mov edx, PAGE + 0x3ff000
  mov eax, offset user_write
  jmp user
77:
  mov eax, [DIR + 4]
  call hex8
  call newline
  inc ebx
  cmp ebx, 64
  jne 1b
  ret

pae:
  SAY "pae\n"
  mov eax, cr0
  and eax, 0x7fffffff
  mov cr0, eax
  jmp 1f
1: xor eax, eax
  mov cr4, eax
  mov edi, PDPT
  mov ecx, 0x6000 / 4
  xor eax, eax
  rep stosd
  mov dword ptr [PDPT], PD64 + 1
  # the first 2 MiB in small pages, then a large one, then the page that is tried out
  mov esi, PT64
  mov eax, 7
  mov ecx, 512
1: mov [esi], eax
  mov dword ptr [esi + 4], 0
  add esi, 8
  add eax, 0x1000
  loop 1b
  mov dword ptr [PD64], PT64 + 7
  mov dword ptr [PD64 + 8], 0x200087
  mov dword ptr [PD64 + 16], 0x109000 + 7
  mov eax, PDPT
  mov cr3, eax
  mov eax, 0x20
  mov cr4, eax
  mov eax, cr0
  or eax, 0x80000000
  mov cr0, eax
  jmp 1f
1: xor ebx, ebx
1: mov eax, ebx
  call hex4
  call space
  # bits 0-2: PTE rights, 3: NX in PTE, 4: NX in PDE, 5: EFER.NXE, 6: WP, 7: large, 8: reserved address bits
  mov ecx, 0xc0000080
  rdmsr
  and eax, ~0x800
  test bl, 0x20
  jz 2f
  or eax, 0x800
2: wrmsr
  mov eax, cr0
  and eax, ~0x10000
  test bl, 0x40
  jz 2f
  or eax, 0x10000
2: mov cr0, eax
  xor edx, edx
  test bl, 8
  jz 2f
  mov edx, 0x80000000
2: test bh, 1
  jz 2f
  or edx, 0x00010000
2: mov eax, ebx
  and eax, 7
  or eax, DATA
  mov [0x109000], eax
  mov [0x109004], edx
  mov dword ptr [PD64 + 16], 0x109007
  mov dword ptr [PD64 + 20], 0
  test bl, 0x80
  jz 2f
  or eax, 0x80
  mov [PD64 + 16], eax
  mov [PD64 + 20], edx
2: test bl, 0x10
  jz 2f
  or dword ptr [PD64 + 20], 0x80000000
2: call flush
  TRY
  mov eax, [PAGE]
  OK
  TRY
  mov [PAGE + 4], eax
  OK
  mov byte ptr [DATA + 16], 0xc3
  TRY
  mov eax, PAGE + 16
  call eax
  OK
  TRY
  mov edx, PAGE
  mov eax, offset user_write
  jmp user
77:
  mov dword ptr [DATA + 8], 0x9040cd90
  TRY
  mov eax, PAGE + 8
  jmp user
77:
  mov eax, [PD64 + 16]
  call hex8
  call space
  mov eax, [0x109000]
  call hex8
  call newline
  inc ebx
  cmp ebx, 512
  jne 1b
  # no such directory pointer entry
  TRY
  mov eax, [0x40000000]
  OK
  call newline
  ret
.include "tail.inc"
