# Interrupt gates and call gates: every type byte, several targets, from ring 0 and ring 3, and what ends up on the stack.
.include "common.inc"
.set TYPE, SCRATCH
.set FAR, SCRATCH + 8
.set TARGET, SCRATCH + 16
.set COUNT, SCRATCH + 20
main:
  mov byte ptr [COMPACT], 1
  # 48 is conforming ring 0 code, 50 absent ring 0 code, 58 is the call gate
  mov dword ptr [GDT + 0x48], 0x0000ffff
  mov dword ptr [GDT + 0x4c], 0x00cf9e00
  mov dword ptr [GDT + 0x50], 0x0000ffff
  mov dword ptr [GDT + 0x54], 0x00cf1a00
  xor ebx, ebx
1: movzx eax, word ptr [targets + ebx * 2]
  cmp ax, 0xffff
  je 2f
  mov [TARGET], eax
  SAY "target "
  call hex4
  call newline
  push ebx
  call interrupts
  call calls
  pop ebx
  inc ebx
  jmp 1b
2: call software_interrupts
  call flags
  ret
targets: .word 0x08, 0x0b, 0x1b, 0x38, 0x48, 0x50, 0x10, 0, 0x28, 0x3f8, 0x404, 0xffff

interrupts:
  mov dword ptr [TYPE], 0
1: mov eax, [TYPE]
  call hex2
  call space
  mov eax, [TARGET]
  shl eax, 16
  or eax, LANDING
  mov [IDT + 0x41 * 8], eax
  mov eax, [TYPE]
  shl eax, 8
  mov [IDT + 0x41 * 8 + 4], eax
  TRY
  pushfd
  pop eax
  or eax, 0x4000 # NT
  push eax
  popfd
  mov eax, 0x11111111
  int 0x41
  OK
  TRY
  mov eax, offset user_int
  jmp user
77:
  call newline
  inc dword ptr [TYPE]
  cmp dword ptr [TYPE], 256
  jne 1b
  ret
user_int:
  mov eax, 0x33333333
  int 0x41
  mov eax, 0x44444444
  int 0x40

calls:
  mov dword ptr [TYPE], 0
1: mov eax, [TYPE]
  test al, 0x1b # only 4 and 12, absent or present, every DPL
  jnz 3f
  test al, 4
  jz 3f
4: mov dword ptr [COUNT], 0
2: call set_gate
  mov eax, [TYPE]
  call hex2
  call space
  mov eax, [COUNT]
  call hex2
  call space
  mov dword ptr [FAR + 4], 0x58
  TRY
  call fword ptr [FAR]
  OK
  TRY
  jmp fword ptr [FAR]
  OK
  mov dword ptr [FAR + 4], 0x5b
  TRY
  mov eax, offset user_call
  jmp user
77:
  TRY
  mov eax, offset user_jump
  jmp user
77:
  call newline
  add dword ptr [COUNT], 7
  cmp dword ptr [COUNT], 32
  jb 2b
3: inc dword ptr [TYPE]
  cmp dword ptr [TYPE], 256
  jne 1b
  # the same for type 12
  ret
set_gate:
  mov eax, [TARGET]
  shl eax, 16
  or eax, LANDING
  mov [GDT + 0x58], eax
  mov eax, [TYPE]
  shl eax, 8
  or eax, [COUNT]
  mov [GDT + 0x5c], eax
  mov eax, [TYPE]
  test al, 1
  jz 9f
9: ret
user_call:
  push 0x1111
  push 0x2222
  push 0x3333
  call fword ptr [FAR]
  mov eax, 0x66666666
  int 0x40
user_jump:
  jmp fword ptr [FAR]

# every vector by INT n from ring 3 (gates have DPL 0 but for 0x40), INT3, INTO, BOUND, UD2, and a short IDT
software_interrupts:
  mov byte ptr [COMPACT], 0
  xor ebx, ebx
1: mov byte ptr [0x700], 0xcd
  mov [0x701], bl
  mov word ptr [0x702], 0x40cd
  cmp bl, 0x40
  je 2f
  TRY
  mov eax, 0x700
  jmp user
77:
2: add ebx, 17
  cmp ebx, 256
  jb 1b
  lidt [short_idt]
  TRY
  int 0x42
  OK
  TRY
  int 0x41
  OK
  lidt [long_idt]
  TRY
  int3
  OK
  TRY
  mov al, 0x7f
  inc al
  into
  OK
  TRY
  xor al, al
  into
  OK
  TRY
  ud2
  OK
  TRY
  mov eax, 5
  mov dword ptr [0x700], 6
  mov dword ptr [0x704], 9
  bound eax, [0x700]
  OK
  TRY
  mov eax, 7
  bound eax, [0x700]
  OK
  TRY
  xor ecx, ecx
  div ecx
  OK
  TRY
  mov eax, 0x80000000
  cdq
  mov ecx, -1
  idiv ecx
  OK
  TRY
  mov eax, offset user_into
  jmp user
77:
  TRY
  mov eax, offset user_int3
  jmp user
77:
  TRY
  mov eax, offset user_hlt
  jmp user
77:
  TRY
  mov eax, offset user_cli
  jmp user
77:
  TRY
  mov eax, offset user_cr
  jmp user
77:
  TRY
  mov eax, offset user_lgdt
  jmp user
77:
  TRY
  mov eax, offset user_msr
  jmp user
77:
  TRY
  mov eax, offset user_out_allowed
  jmp user
77:
  TRY
  mov eax, offset user_out_denied
  jmp user
77:
  TRY
  mov eax, offset user_clts
  jmp user
77:
  TRY
  mov eax, offset user_ltr
  jmp user
77:
  TRY
  mov eax, offset user_smsw
  jmp user
77:
  call newline
  ret
.align 4
short_idt: .word 0x41 * 8 + 7
  .long IDT
long_idt: .word 0x7ff
  .long IDT
user_into:
  mov al, 0x7f
  inc al
  into
  int 0x40
user_int3:
  int3
  int 0x40
user_hlt:
  hlt
  int 0x40
user_cli:
  cli
  int 0x40
user_cr:
  mov eax, cr0
  int 0x40
user_lgdt:
  lgdt [long_idt]
  int 0x40
user_msr:
  mov ecx, 0x1b
  rdmsr
  int 0x40
user_out_allowed:
  mov al, '!'
  out 0xe9, al
  int 0x40
user_out_denied:
  mov byte ptr [TSS + 0x68 + 0xe9 / 8], 2
  mov al, '!'
  out 0xe9, al
  int 0x40
user_clts:
  mov byte ptr [TSS + 0x68 + 0xe9 / 8], 0
  clts
  int 0x40
user_ltr:
  mov ax, 0x28
  ltr ax
  int 0x40
user_smsw:
  smsw eax
  str bx
  sldt cx
  sgdt [0x700]
  int 0x40

# POPF and IRET: which flags stick, by CPL and IOPL and operand size
flags:
  mov ebx, 0
1: mov eax, ebx
  shl eax, 12
  mov [COUNT], eax
  TRY
  push dword ptr [COUNT]
  popfd
  mov eax, 0x003cfad5 # all but VM, IF, TF, RF
  or eax, [COUNT]
  push eax
  popfd
  pushfd
  pop eax
  pushd 2
  popfd
  call hex8
  OK
  TRY
  push dword ptr [COUNT]
  popfd
  pushd 0xffffbaff
  popfw
  popfw
  pushfd
  pop eax
  pushd 2
  popfd
  call hex8
  OK
  # ring 3 with this IOPL
  TRY
  pushd UDATA
  pushd 0xa000
  push dword ptr [COUNT]
  pushd UCODE
  pushd offset user_flags
  iretd
77:
  TRY
  pushd UDATA
  pushd 0xa000
  push dword ptr [COUNT]
  pushd UCODE
  pushd offset user_sti
  iretd
77:
  TRY
  pushd UDATA
  pushd 0xa000
  push dword ptr [COUNT]
  pushd UCODE
  pushd offset user_iret
  iretd
77:
  call newline
  inc ebx
  cmp ebx, 4
  jne 1b
  ret
user_flags:
  pushd 0x003cfad5
  popfd
  pushfd
  pop eax
  pushd 2
  popfd
  int 0x40
user_sti:
  cli
  pushfd
  pop eax
  int 0x40
user_iret:
  pushd 0x0024fad5
  pushd UCODE
  pushd offset 1f
  iretd
1: pushfd
  pop eax
  pushd 2
  popfd
  int 0x40
.include "tail.inc"
