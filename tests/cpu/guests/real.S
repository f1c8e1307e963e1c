# Real mode: interrupts through the IVT, faults and what they push, far transfers, flags, LIDT, "unreal" segments, wrap-around.
.set REAL_MODE_TEST, 1
.include "common.inc"
.code16
.macro RTRY
  mov word ptr [RESUME], offset 77f - base
  mov [SAVED_ESP], esp
.endm
.macro RSAY text
  call rsay
  .asciz "\text"
.endm
real_mode_test:
  mov cs:[0x10], eax # ROM: ignored
  # vectors 0-31 print and resume; 0x40 returns
  xor di, di
  mov ax, offset rstubs - base
  mov cx, 32
1: mov [di], ax
  mov word ptr [di + 2], 0xf000
  add ax, 8
  add di, 4
  loop 1b
  mov word ptr [0x40 * 4], offset rreturn - base
  mov word ptr [0x40 * 4 + 2], 0xf000
  RSAY "real\n"
  mov eax, cr0
  call rhex8
  call rnl
  RTRY
  xor dx, dx
  div dx
77: RTRY
  ud2
77: RTRY
  int3
77: RTRY
  mov al, 0x7f
  inc al
  into
77: RTRY
  mov word ptr [0x700], 1
  mov word ptr [0x702], 2
  mov ax, 3
  bound ax, [0x700]
77: RTRY
  xor ax, ax
  lldt ax
77: RTRY
  arpl ax, ax
77: RTRY
  lar ax, ax
77: RTRY
  mov ax, ds
  .byte 0x8e, 0xc8 # mov cs, ax
77: RTRY
  lock
  nop
77: RTRY
  pushd 0x246
  popfd
  int 0x40
  pushfd
  pop eax
  call rhex8
  call rnl
77: RTRY
  pushd 0x003ffad7 # VM, VIF, VIP do not stick
  popfd
  pushfd
  pop eax
  pushd 2
  popfd
  call rhex8
  call rnl
77: RTRY
  push 0x7ad7
  popf
  pushf
  pop ax
  push 2
  popf
  call rhex4
  call rnl
77: RTRY # far call and both returns
  .byte 0x9a
  .word rfar - base, 0xf000
  call rhex4
  mov ax, sp
  call rhex4
  call rnl
77: RTRY
  .byte 0x66, 0x9a
  .long rfar32 - base
  .word 0xf000
  call rhex4
  mov ax, sp
  call rhex4
  call rnl
77: RTRY # IRET with 32 bits
  pushd 0x00040003
  pushd 0xf000
  .byte 0x66, 0x68 # push dword
  .long after_iretd - base
  iretd
after_iretd: pushfd
  pop eax
  pushd 2
  popfd
  call rhex8
  call rnl
77: RTRY # wrap-around of segments
  mov ax, 0xffff
  mov ds, ax
  mov al, [0x0510]
  xor bx, bx
  mov ds, bx
  call rhex2
  mov al, [0x500]
  call rhex2
  call rnl
77: RTRY
  lidt cs:[short_ivt - base]
  int 0x40
  RSAY "not refused\n"
77: lidt cs:[real_idtr - base]
  RTRY
  lidt cs:[moved - base]
  mov dword ptr [0x6000 + 0x40 * 4], offset rmoved - base + 0xf0000000
  int 0x40
77: lidt cs:[real_idtr - base]
  sidt [0x700]
  mov eax, [0x700]
  call rhex8
  mov ax, [0x704]
  call rhex4
  sgdt [0x700]
  mov ax, [0x700]
  call rhex4
  smsw ax
  call rhex4
  call rnl
  # unreal: a flat limit survives the way back
  lgdt cs:[gdtr - base]
  mov eax, cr0
  inc ax
  mov cr0, eax
  mov bx, KDATA
  mov fs, bx
  dec ax
  mov cr0, eax
  jmp 1f
1: mov ebx, 0x200000
  mov dword ptr fs:[ebx], 0xcafe1234
  mov eax, fs:[ebx]
  call rhex8
  mov bx, 0x100
  mov fs, bx
  mov ebx, 0x1ff000
  mov eax, fs:[ebx]
  call rhex8
  call rnl
  # single step through a few instructions, POP SS and STI shadows
  mov word ptr [4], offset rstep - base
  mov cx, 3
  pushf
  pop ax
  or ah, 1
  push ax
  popf
  nop
  mov bx, 5
1: loop 1b
  push ss
  pop ss
  nop
  int 0x40
  pushf
  pop ax
  and ah, 0xfe
  push ax
  popf
  nop
  call rnl
  mov eax, dr6
  call rhex8
  mov dword ptr [SCRATCH], 0
  mov eax, 0xffff0ff0
  mov dr6, eax
  call rnl
  # CPUID and MSRs
  xor eax, eax
  cpuid
  mov eax, ebx
  call rhex8
  mov ecx, 0x1b
  rdmsr
  call rhex8
  mov ecx, 0x12345
  rdmsr
  call rhex8
  mov ecx, 0x277
  rdmsr
  call rhex8
  mov eax, edx
  call rhex8
  mov ecx, 0xfe
  rdmsr
  call rhex8
  mov ecx, 0x179
  rdmsr
  call rhex8
  mov ecx, 0x400
  rdmsr
  call rhex8
  call rnl
  # clean up for protected mode
  xor ax, ax
  mov fs, ax
  ret
.align 4
short_ivt: .word 0xff
  .long 0
moved: .word 0x3ff
  .long 0x6000
rfar: pop eax
  push eax
  retf
rfar32: pop eax
  push eax
  retfd
rmoved: RSAY "moved\n"
  iret
rreturn:
  push bp
  mov bp, sp
  push ax
  mov ax, [bp + 2]
  call rhex4
  mov ax, [bp + 4]
  call rhex4
  mov ax, [bp + 6]
  call rhex4
  pop ax
  pop bp
  iret
rstep:
  push bp
  mov bp, sp
  push ax
  mov ax, [bp + 2]
  call rhex4
  mov al, 32
  out 0xe9, al
  pop ax
  pop bp
  iret
.align 8
rstubs:
.set n, 0
.rept 32
  .align 8
  push n
  jmp rfault
  .set n, n + 1
.endr
rfault:
  mov bp, sp
  mov al, '#'
  out 0xe9, al
  mov ax, [bp]
  call rhex2
  mov ax, [bp + 2]
  call rhex4
  mov ax, [bp + 4]
  call rhex4
  mov ax, [bp + 6]
  call rhex4
  mov ax, sp
  call rhex4
  call rnl
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov esp, [SAVED_ESP]
  push 2
  popf
  mov ax, [RESUME]
  jmp ax
rhex8:
  rol eax, 16
  call rhex4
  rol eax, 16
rhex4:
  xchg al, ah
  call rhex2
  xchg al, ah
rhex2:
  push ax
  shr al, 4
  call rhex1
  pop ax
rhex1:
  push ax
  and al, 15
  cmp al, 10
  sbb al, 0x69
  das
  out 0xe9, al
  pop ax
  ret
rnl:
  push ax
  mov al, 10
  out 0xe9, al
  pop ax
  ret
rsay:
  pop si
1: lodsb cs:[si]
  test al, al
  jz 2f
  out 0xe9, al
  jmp 1b
2: jmp si
.code32
main:
  SAY "protected\n"
  ret
.include "tail.inc"
