# VM86: entry, every sensitive instruction at IOPL 0 and 3, faults, interrupts, 32-bit forms, I/O bitmap, leaving again.
.include "common.inc"
.set FLAGS, SCRATCH
.set CODE, 0x6100
main:
  mov byte ptr [COMPACT], 0
  # the TSS's I/O map: port 0x80 denied
  mov byte ptr [TSS + 0x68 + 0x80 / 8], 1
  mov byte ptr [IDT + 0x80 * 8 + 5], 0xee
  mov dword ptr [FLAGS], 0x20000
  call all
  mov dword ptr [FLAGS], 0x23000
  call all
  mov dword ptr [FLAGS], 0x23200
  call all
  ret
all:
  SAY "flags "
  mov eax, [FLAGS]
  call hex8
  call newline
  xor ebx, ebx
1: mov esi, [snippets + ebx * 4]
  cmp esi, 0
  je 9f
  mov eax, ebx
  call hex2
  call space
  # copy 32 bytes of the snippet to CODE
  mov edi, CODE
  mov ecx, 32
  rep movsb
  TRY
  pushd 0x55 # gs
  pushd 0x44 # fs
  pushd 0x33 # ds
  pushd 0x22 # es
  pushd 0x11 # ss
  pushd 0x5000 # esp
  push dword ptr [FLAGS]
  pushd CODE / 16
  pushd 0
  mov eax, 0x11112222
  mov ecx, 0x33334444
  mov edx, 0x80
  mov esi, 0x6200
  mov edi, 0x6300
  iretd
77:
  call newline
  inc ebx
  jmp 1b
9: ret
.align 4
snippets:
  .long s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16, s17, s18, s19, s20, s21, s22, s25, s26
  .long s27, s28, s29, s30, s31, s33, s34, s35
  .long 0
.code16
s1: int 0x40
s2: cli
  int 0x40
s3: sti
  int 0x40
s4: pushf
  pop ax
  int 0x40
s5: pushfd
  pop eax
  int 0x40
s6: push 0x7fd5
  popf
  pushfd
  pop eax
  int 0x40
s7: pushd 0x3ffd5
  popfd
  pushfd
  pop eax
  int 0x40
s8: push 0x7
  push CODE / 16
  push s8_end - s8
  iret
s8_end: mov ax, cs
  int 0x40
s9: int 0x80
  int 0x40
s10: int3
  int 0x40
s11: mov al, 0x7f
  inc al
  into
  int 0x40
s12: hlt
  int 0x40
s13: mov eax, cr0
  int 0x40
s14: lgdt [0x100]
  int 0x40
s15: in al, 0x70
  int 0x40
s16: out 0x80, al
  int 0x40
s17: in al, dx
  int 0x40
s18: mov ax, 0xf000
  mov ds, ax
  mov eax, [0xfff0]
  int 0x40
s19: lar ax, bx
  int 0x40
s20: lldt ax
  int 0x40
s21: mov ax, ss
  shl eax, 16
  mov ax, ds
  int 0x40
s22: mov eax, 0x12345678
  mov [0x100], eax
  mov ax, [0x101]
  int 0x40
s25: push 0x1234
  push CODE / 16
  push s25_end - s25
  retf
s25_end: pop ax
  int 0x40
s26: .byte 0x9a
  .word s26_end - s26, CODE / 16
s26_end: pop ax
  pop bx
  int 0x40
s27: ud2
s28: smsw ax
  int 0x40
s29: clts
  int 0x40
s30: xor dx, dx
  div dx
s31: .byte 0x67, 0x66, 0x8b, 0x04, 0x24 # mov eax, [esp]
  int 0x40
s33: mov sp, 1
  push ax
  int 0x40
s34: mov cx, 4
  push 0x60
  pop ds
  push 0x61
  pop es
  mov si, 0x10
  mov di, 0x20
  rep movsw
  mov ax, si
  int 0x40
s35: rdmsr
  int 0x40
.code32
.include "tail.inc"
