# Every type byte of a descriptor against every instruction that loads or looks at one, from ring 0 and ring 3.
.include "common.inc"
.set TYPE, SCRATCH
.set FAR, SCRATCH + 8
main:
  mov byte ptr [COMPACT], 1
  mov dword ptr [SCRATCH + 4], SLOT
  call matrix
  SAY "rpl3\n"
  mov dword ptr [SCRATCH + 4], SLOT + 3
  call matrix
  SAY "selectors\n"
  call selectors
  ret

matrix:
  mov dword ptr [TYPE], 0
1: call set_slot
  mov eax, [TYPE]
  call hex2
  mov al, ':'
  call putc
  call space
  call loads
  call looks
  call far_transfers
  call system_loads
  SAY "| "
  call user_loads
  call newline
  inc dword ptr [TYPE]
  cmp dword ptr [TYPE], 256
  jne 1b
  ret
set_slot:
  mov dword ptr [GDT + SLOT], 0x0000ffff
  mov eax, [TYPE]
  shl eax, 8
  or eax, 0x00cf0000
  mov [GDT + SLOT + 4], eax
  ret
show_type: # what is in memory now: accessed and busy bits
  push eax
  mov al, [GDT + SLOT + 5]
  call hex2
  call space
  pop eax
  ret

loads:
  TRY
  mov eax, [SCRATCH + 4]
  mov ds, ax
  mov ax, KDATA
  mov ds, ax
  OK
  call show_type
  call set_slot
  TRY
  mov eax, [SCRATCH + 4]
  mov ss, ax
  mov ax, KDATA
  mov ss, ax
  OK
  call show_type
  call set_slot
  TRY
  mov eax, [SCRATCH + 4]
  push eax
  pop gs
  OK
  ret
looks:
  mov ecx, [SCRATCH + 4]
  mov eax, 0x12345678
  lar eax, cx
  call zf
  call hex8
  mov eax, 0x12345678
  lsl eax, cx
  call zf
  call hex8
  lar ax, cx
  call zf
  verr cx
  call zf
  verw cx
  call zf
  call space
  ret
zf:
  push eax
  mov al, 'n'
  jnz 1f
  mov al, 'z'
1: out 0xe9, al
  pop eax
  ret
# types with S = 0 that transfer control are tested elsewhere
is_transfer:
  mov eax, [TYPE]
  test al, 0x10
  jnz 1f
  and al, 15
  movzx eax, al
  bt dword ptr cs:[transfer_types], eax
  ret
1: clc
  ret
.align 4
transfer_types: .long 0x1a3a # 1 3 4 5 9 11 12
far_transfers:
  call is_transfer
  jc 2f
  mov eax, [SCRATCH + 4]
  mov [FAR + 4], eax
  call set_slot
  TRY
  mov dword ptr [FAR], offset 1f
  jmp fword ptr [FAR]
1: mov eax, cs
  call hex4
  ljmp KCODE, offset 1f
1: OK
  call set_slot
  TRY
  mov dword ptr [FAR], offset 1f
  call fword ptr [FAR]
1: mov eax, cs
  call hex4
  pop eax
  pop eax
  call hex4
  ljmp KCODE, offset 1f
1: OK
  TRY
  push dword ptr [FAR + 4]
  pushd offset 1f
  retf
1: mov eax, cs
  call hex4
  test al, 3
  jz 1f
  int 0x40
1: ljmp KCODE, offset 1f
1: OK
  TRY
  pushfd
  push dword ptr [FAR + 4]
  pushd offset 1f
  iretd
1: mov eax, cs
  call hex4
  test al, 3
  jz 1f
  int 0x40
1: ljmp KCODE, offset 1f
1: OK
  TRY # outer return with the slot as stack
  push dword ptr [FAR + 4]
  pushd 0xa000
  pushd UCODE
  pushd offset 1f
  retf
1: mov eax, ss
  mov ecx, UDATA
  mov ss, ecx
  int 0x40
77:
2: ret
system_loads:
  call is_transfer
  call set_slot
  TRY
  mov eax, [SCRATCH + 4]
  lldt ax
  OK
  xor eax, eax
  lldt ax
  TRY
  mov eax, [SCRATCH + 4]
  ltr ax
  OK
  call show_type
  mov dword ptr [GDT + 0x2c], 0x00008900
  mov ax, 0x28
  ltr ax
  ret

user_loads:
  call set_slot
  mov ecx, [SCRATCH + 4]
  TRY
  mov eax, offset user_ds
  jmp user
77:
  call set_slot
  TRY
  mov ecx, [SCRATCH + 4]
  mov eax, offset user_ss
  jmp user
77:
  TRY
  mov ecx, [SCRATCH + 4]
  mov eax, offset user_look
  jmp user
77:
  call is_transfer
  jc 1f
  TRY
  mov eax, offset user_jump
  jmp user
77:
  TRY
  mov eax, offset user_call
  jmp user
77:
  TRY
  mov eax, offset user_ret
  jmp user
77:
1: ret
user_ds:
  mov ds, cx
  mov eax, ds
  int 0x40
user_ss:
  mov ss, cx
  mov eax, ss
  mov ecx, UDATA
  mov ss, ecx
  int 0x40
user_look:
  mov eax, 0x12345678
  lar eax, cx
  lahf
  mov edx, eax
  lsl ebx, cx
  lahf
  verr cx
  setz al
  verw cx
  setz dl
  shl dl, 1
  or al, dl
  int 0x40
user_jump:
  mov dword ptr [FAR], offset 1f
  jmp fword ptr [FAR]
1: mov eax, cs
  ljmp UCODE, offset 1f
1: int 0x40
user_call:
  mov dword ptr [FAR], offset 1f
  call fword ptr [FAR]
1: mov eax, cs
  shl eax, 16
  mov ax, [esp + 4]
  ljmp UCODE, offset 1f
1: int 0x40
user_ret:
  push dword ptr [FAR + 4]
  pushd offset 1f
  retf
1: mov eax, cs
  ljmp UCODE, offset 1f
1: int 0x40

# null, beyond the limit, in the LDT
selectors:
  xor ebx, ebx
1: movzx ecx, word ptr [selector_list + ebx * 2]
  cmp cx, 0xffff
  je 9f
  mov eax, ecx
  call hex4
  mov al, ':'
  call putc
  TRY
  mov ds, cx
  mov ax, KDATA
  mov ds, ax
  OK
  TRY
  mov ss, cx
  mov ax, KDATA
  mov ss, ax
  OK
  mov [FAR + 4], ecx
  mov dword ptr [FAR], offset 2f
  TRY
  jmp fword ptr [FAR]
2: ljmp KCODE, offset 2f
2: OK
  TRY
  lldt cx
  OK
  mov ecx, [FAR + 4]
  lar eax, cx
  call zf
  verr cx
  call zf
  TRY
  push ecx
  pushd 0x1000
  retf
  OK
  call newline
  inc ebx
  jmp 1b
9: ret
selector_list:
  .word 0, 1, 2, 3, 4, 7, 8, 0x0b, 0x10, 0x13, 0x1b, 0x23, 0x30, 0x34, 0x90, 0x3f8, 0x400, 0x403, 0xfff8, 0xfffc, 0xffff
.include "tail.inc"
