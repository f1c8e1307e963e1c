# The x87's error line on a PC: with CR0.NE clear an exception is interrupt 13 of the controllers; port F0h takes it away.
.include "common.inc"
.set COUNT, SCRATCH
main:
  mov dword ptr [0xfee00350], 0x700 # a local APIC, where there is one, lets the PIC's interrupts through
  mov al, 0x11
  out 0x20, al
  out 0xa0, al
  mov al, 0x70
  out 0x21, al
  mov al, 0x78
  out 0xa1, al
  mov al, 4
  out 0x21, al
  mov al, 2
  out 0xa1, al
  mov al, 1
  out 0x21, al
  out 0xa1, al
  mov al, 0xfb # the cascade and line 13 only
  out 0x21, al
  mov al, 0xdf
  out 0xa1, al
  mov eax, offset handler
  mov [IDT + 0x7d * 8], ax
  shr eax, 16
  mov [IDT + 0x7d * 8 + 6], ax
  mov eax, cr0
  and eax, ~0x2e # NE, EM, MP, TS
  mov cr0, eax
  SAY "masked\n"
  call divide
  SAY "NE clear\n"
  fninit
  mov word ptr [SCRATCH + 8], 0x37b # zero divide
  fldcw [SCRATCH + 8]
  call divide
  call divide
  SAY "ignored\n"
  mov byte ptr [SCRATCH + 4], 1 # the handler leaves the exception pending
  fninit
  fldcw [SCRATCH + 8]
  call divide
  sti
  fld1
  fstp st
  jmp 3f
3: nop
  cli
  fnstsw ax
  call hex4
  mov byte ptr [SCRATCH + 4], 0
  fnclex
  call divide
  SAY "NE set\n"
  mov eax, cr0
  or eax, 0x20
  mov cr0, eax
  fninit
  fldcw [SCRATCH + 8]
  cli
  fld1
  fldz
  fdivp
  TRY
  fwait
  OK
  fnstsw ax
  call hex4
  in al, 0xf0
  call hex2
  call newline
  ret
divide:
  mov dword ptr [COUNT], 0
  cli
  fld1
  fldz
  fdivp
  sti
  nop
  fwait
  jmp 2f # QEMU looks at its interrupts between blocks
2: nop
  cli
  mov eax, [COUNT]
  call hex4
  call space
  fnstsw ax
  call hex4
  call newline
  fninit
  cmp word ptr [SCRATCH + 8], 0
  je 1f
  fldcw [SCRATCH + 8]
1: ret
handler:
  push eax
  inc dword ptr [COUNT]
  fnstsw ax
  call hex4
  call space
  mov al, 0
  out 0xf0, al
  cmp byte ptr [SCRATCH + 4], 0
  jne 1f
  fnclex
1: mov al, 0x20
  out 0xa0, al
  out 0x20, al
  pop eax
  iretd
.include "tail.inc"
